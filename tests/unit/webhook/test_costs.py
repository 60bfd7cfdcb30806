"""What the worst pod costs, counted in what is evaluated, built and kept: never in seconds."""

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.support.api_in_memory import Json
from tests.support.loops import run
from tests.unit.policy.builders import PQ_TOO, authority, policy, signatures
from tests.unit.webhook.cluster import answer, checkpoint, facts
from tests.unit.webhook.objects import claim_volume, container, mount, pod_spec, volume
from tests.unit.webhook.world import world

from weightlock.errors import LimitExceeded
from weightlock.policy.sources import CsiSource
from weightlock.reasons import Reason, Verdict
from weightlock_webhook.decision import decide as deciding_module
from weightlock_webhook.decision.answers import Answer, Outcome
from weightlock_webhook.decision.decide import MOST_PROBLEMS
from weightlock_webhook.decision.facts import Facts
from weightlock_webhook.decision.verdict_checks import MOST_PATHS
from weightlock_webhook.documents import JsonObject
from weightlock_webhook.judging import pods
from weightlock_webhook.judging.deciding import HEAVIEST, weight_of
from weightlock_webhook.judging.remembering import MOST_ATTRIBUTES, RememberingRecords
from weightlock_webhook.mounts.containers import DEEPEST_POINT
from weightlock_webhook.mounts.placement import MOST_REQUIREMENTS
from weightlock_webhook.mounts.pods import (
    MOST_CONTAINERS,
    MOST_MOUNTS,
    MOST_PROJECTIONS,
    MOST_VOLUMES,
    pod_of,
)
from weightlock_webhook.mutation import holding, injecting
from weightlock_webhook.recent import Following
from weightlock_webhook.responses import settled


def wrong_everywhere(mounts: int = MOST_MOUNTS, volumes: int = 8) -> Json:
    """Each mount another path, writable, propagated."""
    return pod_spec(
        *(claim_volume(f"v{number}", read_only=False) for number in range(volumes)),
        containers=[
            container(
                *(
                    mount(
                        f"v{number % volumes}",
                        f"/m{number}",
                        subPath=f"s{number}",
                        readOnly=False,
                        mountPropagation="HostToContainer",
                    )
                    for number in range(mounts)
                )
            )
        ],
    )


def unverified(paths: int) -> Json:
    mounts = [mount("model", f"/m{number}", subPath=f"s{number}") for number in range(paths)]
    return pod_spec(containers=[container(*mounts)])


def under(*modes: Json) -> Facts:
    found = [policy(f"p{number}", **mode) for number, mode in enumerate(modes)]
    return facts(*found, checkpoints=())


@pytest.mark.parametrize(
    ("broken", "what"),
    [
        pytest.param(
            pod_spec(containers=[container(name=f"c{i}") for i in range(MOST_CONTAINERS + 1)]),
            "257 containers",
            id="containers",
        ),
        pytest.param(
            pod_spec(
                volume("v", projected={"sources": [{"secret": {}}] * MOST_PROJECTIONS}),
                volume("w", projected={"sources": [{"secret": {}}]}),
            ),
            "1025 projections",
            id="projections",
        ),
        pytest.param(
            pod_spec(resourceClaims=[{"name": "x"}] * (MOST_MOUNTS + 1)),
            "1025 resource claims",
            id="resource claims",
        ),
        pytest.param(
            pod_spec(
                containers=[
                    container(*(mount(at=f"/{i}") for i in range(MOST_MOUNTS))),
                    container(name="b", volumeDevices=[{"name": "model", "devicePath": "/d"}]),
                ]
            ),
            "1025 mounts",
            id="mounts and devices",
        ),
        pytest.param(
            pod_spec(*(volume(f"v{i}", emptyDir={}) for i in range(MOST_VOLUMES + 1))),
            "129 volumes",
            id="volumes",
        ),
    ],
)
def test_what_is_beyond_a_limit_is_counted_and_not_read(broken: Json, what: str) -> None:
    with pytest.raises(LimitExceeded, match=f"the pod has {what}, at most"):
        pod_of({}, broken)


def test_a_pod_that_is_wrong_everywhere_has_so_many_problems(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked_at: list[object] = []

    def counted(found: Any) -> Any:
        for each in found:
            looked_at.append(each)
            yield each

    real = deciding_module._found
    monkeypatch.setattr(deciding_module, "_found", lambda case: counted(real(case)))
    found = answer(wrong_everywhere(), under({}))
    assert found.outcome is Outcome.DENY
    assert len(found.objections) == MOST_PROBLEMS + 1
    assert len(looked_at) == MOST_PROBLEMS + 1, "then nothing more is looked at"
    assert f"more than {MOST_PROBLEMS} things that are wrong" in str(found.refusals)


def test_a_pod_with_as_many_problems_as_are_listed_has_no_more() -> None:
    found = answer(unverified(MOST_PROBLEMS), under({"onUnverified": "Hold"}))
    assert found.outcome is Outcome.HOLD
    assert len(found.objections) == MOST_PROBLEMS


@pytest.mark.parametrize("mode", ["Deny", "Hold", "Inject"])
def test_beyond_what_is_listed_a_pod_is_refused(mode: str) -> None:
    found = answer(unverified(MOST_PROBLEMS + 1), under({"onUnverified": mode}))
    assert found.outcome is Outcome.DENY
    assert Reason.LIMIT_EXCEEDED in {each.reason for each in found.refusals}


def test_the_problems_of_a_policy_that_only_watches_hide_none_of_another() -> None:
    """And refuse nothing: each policy has its own list."""
    audit = {"enforcement": "Audit"}
    assert answer(wrong_everywhere(), under(audit)).outcome is Outcome.ALLOW
    strict = {"mounts": {"readOnly": "Optional"}}
    assert answer(wrong_everywhere(), under(audit, strict)).outcome is Outcome.DENY
    both = answer(wrong_everywhere(), under(audit, {"onUnverified": "Hold"}))
    assert both.outcome is Outcome.DENY
    many = answer(unverified(MOST_PROBLEMS), under(audit, {"onUnverified": "Hold"}))
    assert many.outcome is Outcome.HOLD


def test_nor_where_both_look_at_volumes_alike_and_only_one_minds_most_of_them() -> None:
    """The first policy's list is full before the second one minds anything."""
    trusting = {"signatures": signatures(authority("second", PQ_TOO))}
    count = MOST_PROBLEMS + 10
    last = checkpoint("z-last", path=f"/s{count - 1}", phase=Verdict.PENDING)
    known = [
        *(checkpoint(f"c{number}", path=f"/s{number}") for number in range(count - 1)),
        last,
    ]
    for first in ({"enforcement": "Audit"}, {"enforcement": "Warn"}):
        watching, strict = policy("p0", **trusting, **first), policy("p1")
        for policies in ((watching, strict), (strict, watching)):
            found = answer(unverified(count), facts(*policies, checkpoints=known))
            assert found.outcome is Outcome.DENY
            assert [each.reason for each in found.refusals] == [Reason.NOT_VERIFIED]
            mine = [each for each in found.objections if strict.origin in each.policies]
            assert [each.problem.path for each in mine] == [f"/s{count - 1}"]


def test_nor_what_both_mind_once_the_first_list_is_full() -> None:
    trusting = {"signatures": signatures(authority("second", PQ_TOO)), "enforcement": "Audit"}
    known = [checkpoint(f"c{number}", path=f"/s{number}") for number in range(MOST_PROBLEMS + 10)]
    watching, strict = policy("a", **trusting), policy("b")
    for policies in ((watching, strict), (strict, watching)):
        found = answer(unverified(len(known) + 1), facts(*policies, checkpoints=known))
        assert found.outcome is Outcome.DENY
        assert [each.reason for each in found.refusals] == [Reason.NO_CHECKPOINT]


def test_so_many_paths_are_judged_under_every_policy() -> None:
    verified = facts(policy("p0"), policy("p1"))
    at_the_limit = answer(unverified(MOST_PATHS), verified)
    assert at_the_limit.outcome is Outcome.ALLOW
    assert len(at_the_limit.vouched) == 2 * MOST_PATHS
    beyond = answer(unverified(MOST_PATHS + 1), verified)
    assert (beyond.outcome, beyond.reason) == (Outcome.DENY, Reason.LIMIT_EXCEEDED)
    assert len(beyond.vouched) == 2 * MOST_PATHS


def test_a_deep_place_is_one_that_cannot_be_told() -> None:
    def at(depth: int) -> Any:
        point = "/a" * depth
        return pod_of({}, pod_spec(containers=[container(mount(at=point))])).mounts[0].point

    assert at(DEEPEST_POINT) is not None
    assert at(DEEPEST_POINT + 1) is None
    assert at(500_000) is None
    deep = pod_spec(containers=[container(mount(at="/a" * 500_000))])
    assert Reason.NESTED_MOUNT in {each.reason for each in answer(deep, under({})).refusals}


@pytest.mark.parametrize(
    ("terms", "each", "nodes"),
    [
        pytest.param(MOST_REQUIREMENTS, 1, frozenset({"n"}), id="so many terms"),
        pytest.param(MOST_REQUIREMENTS + 1, 0, None, id="more terms"),
        pytest.param(2, MOST_REQUIREMENTS // 2, frozenset({"n"}), id="so many requirements"),
        pytest.param(2, MOST_REQUIREMENTS // 2 + 1, None, id="more requirements"),
    ],
)
def test_a_long_selector_leaves_open_where_a_pod_lands(terms: int, each: int, nodes: Any) -> None:
    one = {"key": "kubernetes.io/hostname", "operator": "In", "values": ["n"]}
    term = {"matchExpressions": [one] * each}
    required = {"nodeSelectorTerms": [term] * terms}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}
    assert pod_of({}, pod_spec(affinity=affinity)).pinned_nodes == nodes


def test_the_same_problem_twice_is_listed_once() -> None:
    twice = [mount(at=f"/m{number}", readOnly=False) for number in range(MOST_PROBLEMS + 1)]
    found = answer(pod_spec(containers=[container(*twice)]), facts(policy("p0")))
    assert {each.reason for each in found.refusals} == {Reason.WRITABLE_MOUNT}
    assert [each.policies for each in found.objections] == [("ClusterModelPolicy p0",)]


def test_what_nobody_could_verify_is_not_injected() -> None:
    assert injecting.not_injected({}, ()).startswith("The pod mounts no unverified path")


def test_what_is_remembered_of_records_is_bounded_by_their_attributes() -> None:
    plain = checkpoint()
    attributes = (("key", "v" * (MOST_ATTRIBUTES + 1)),)
    long = replace(plain, spec=replace(plain.spec, source=CsiSource("d", attributes)))
    recalled = RememberingRecords()
    assert recalled(plain, ()) is recalled(plain, ())
    recalled(long, ())
    assert len(recalled._known) == 0
    recalled(plain, ())
    assert len(recalled._known) == 1


def test_what_a_held_pod_waits_for_is_told_once_and_shortly() -> None:
    found = answer(unverified(MOST_PROBLEMS), under({"onUnverified": "Hold"}))
    items = holding.waited_for(unverified(MOST_PROBLEMS), found)
    assert len(items) == holding.MOST_WAITED_FOR
    assert len({json.dumps(each) for each in items}) == len(items)


def test_containers_are_counted_before_they_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def making(index: int, *_: object) -> Json:
        made.append(index)
        return {}

    monkeypatch.setattr(injecting, "_container", making)
    wanted = [injecting.Wanted("v", f"/{number}", ()) for number in range(9)]
    with pytest.raises(LimitExceeded, match="9 unverified paths, at most 8"):
        injecting.containers_for(wanted, "image")
    assert made == []
    assert len(injecting.containers_for(wanted[:8], "image")) == 8


def test_answers_to_big_pods_are_not_kept() -> None:
    async def story() -> None:
        async with world() as found:
            kept = found.webhook.judge._deciding._known
            before = kept.weight
            for number in range(3):
                spec = wrong_everywhere()
                spec["containers"][0]["image"] = f"i{number}"
                refused = await found.answer(JsonObject(json.dumps(spec).encode()))  # type: ignore[arg-type]
                assert refused.outcome is Outcome.DENY
            assert kept.weight == before
            await found.answer(wrong_everywhere(10, 1))
            assert before < kept.weight <= before + HEAVIEST

    run(story())


def test_what_an_answer_weighs_is_what_it_holds_on_to() -> None:
    spec = wrong_everywhere(3, 2)
    found = answer(spec, under({}))
    assert weight_of(pod_of({}, spec), found) == 1 + 2 + 3 + 1 + len(found.objections)
    assert weight_of(pod_of({}, spec), Answer(Reason.VERIFIED)) == 7


def test_what_follows_from_an_answer_is_forgotten_with_it() -> None:
    following = Following(settled)
    first, second = (answer(wrong_everywhere(number, 1), under({})) for number in (1, 2))
    assert following(first) is following(first) is not following(second)
    assert following(first) == settled(first)
    assert len(following) == 2
    del first
    assert len(following) == 1


@pytest.mark.parametrize(
    ("spec", "parts"),
    [
        pytest.param(pod_spec(), 1 + 1 + 1 + 1, id="volume, mount and container"),
        pytest.param(wrong_everywhere(100, 1), 1 + 1 + 100 + 1, id="mounts"),
        pytest.param(pod_spec(a=1, b=2), 4 + 2, id="unknown fields"),
        pytest.param(pod_spec(volume("model", configMap={"name": "x"})), 4 + 1, id="an object"),
        pytest.param(
            pod_spec(volume("model", projected={"sources": [{"secret": {}}] * 9})),
            4 + 9,
            id="projections",
        ),
        pytest.param(pod_spec(volume("model", odd={})), 4 + 1, id="an unknown source"),
    ],
)
def test_a_remembered_pod_weighs_what_it_is_made_of(spec: Json, parts: int) -> None:
    content = json.dumps(spec).encode()
    assert pods.weight_of(content, pod_of({}, spec)) == len(content) + parts * pods.BYTES_OF_PART
