"""Laws of admission, for any pod, any policies, any spelling."""

import random
import string
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.policy.builders import EC, PQ, PQ_TOO, authority, policy, rule, signatures
from tests.unit.webhook.cluster import (
    LLAMA,
    NAMESPACE,
    answer,
    checkpoint,
    claim,
    facts,
    storage,
)
from tests.unit.webhook.objects import Object, claim_volume, container, mount, pod_spec, volume

from weightlock.errors import Malformed
from weightlock.policy.paths import VolumePath
from weightlock.reasons import Verdict
from weightlock_webhook.decision.answers import Outcome
from weightlock_webhook.decision.facts import Facts
from weightlock_webhook.mounts.containers import KNOWN_CONTAINER_FIELDS, KNOWN_MOUNT_FIELDS
from weightlock_webhook.mounts.paths import path_of, places_holding
from weightlock_webhook.mounts.pods import KNOWN_POD_FIELDS, pod_of
from weightlock_webhook.mounts.sources import KNOWN_SOURCES
from weightlock_webhook.wording import LONGEST_NAME, listed, quoted

LAX_TO_STRICT = tuple(Outcome)
laws = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# --- a small world in which everything can happen ---

OTHER, SCRATCH = claim("mistral"), claim("scratch")
CHECKPOINTS = (
    checkpoint("whole"),
    checkpoint("good", path="/good"),
    checkpoint("other", about=OTHER, path="/good", signed_by=[PQ_TOO]),
    checkpoint("both", about=OTHER, path="/good/both", signed_by=[PQ, PQ_TOO]),
    checkpoint("classical", path="/old", signed_by=[EC], phase=Verdict.CLASSICAL_ONLY),
    checkpoint("pending", about=OTHER, phase=Verdict.PENDING),
)
POLICIES = (
    policy("a"),
    policy("b", signatures=signatures(authority("second", PQ_TOO))),
    policy("c", mounts={"readOnly": "Optional"}, onUnverified="Hold"),
    policy("d", enforcement="Warn", onUnverified="Inject"),
    policy("e", enforcement="Audit"),
    policy("f", onUnverified="Inject", freshness={"maxAge": "30m"}),
    policy("g", denied={"keyids": [PQ_TOO.keyid]}),
    policy("h", NAMESPACE, volumes={"default": "Ignore"}),
    policy("i", "team-b"),
    policy(
        "j",
        volumes={
            "default": "Ignore",
            "rules": [{"configMap": {}, "action": "Forbid"}, {"nfs": {}, "action": "Verify"}],
        },
    ),
    policy(
        "k",
        signatures=signatures(
            authority("release", PQ),
            authority("legacy", EC),
            rules=[rule("any", "release", "legacy")],
            classical={"action": "Warn", "sunset": "2028-01-01T00:00:00Z"},
        ),
    ),
    policy(
        "l",
        volumes={
            "rules": [
                {"persistentVolumeClaim": {"claimNames": ["scratch"]}, "action": "Ignore"},
                {"hostPath": {"paths": ["/mnt"]}, "action": "Ignore"},
            ]
        },
    ),
)

SOURCES: tuple[Object, ...] = (
    {"persistentVolumeClaim": {"claimName": "llama", "readOnly": True}},
    {"persistentVolumeClaim": {"claimName": "llama"}},
    {"persistentVolumeClaim": {"claimName": "mistral", "readOnly": True}},
    {"persistentVolumeClaim": {"claimName": "scratch"}},
    {"persistentVolumeClaim": {"claimName": "missing", "readOnly": True}},
    {"emptyDir": {}},
    {"configMap": {"name": "c"}},
    {"hostPath": {"path": "/mnt"}},
    {"hostPath": {"path": "/"}},
    {"nfs": {"server": "s", "path": "/e", "readOnly": True}},
    {"ephemeral": {"volumeClaimTemplate": {"spec": {"storageClassName": "scratch"}}}},
    {"image": {"reference": "registry.example/m:v1"}},
    {"tapeRobot": {}},
)
NAMES = ("v0", "v1", "v2")
MOUNTS = st.fixed_dictionaries(
    {
        "name": st.sampled_from(NAMES),
        "mountPath": st.sampled_from(["/models", "/models/x", "/data", "/", "/a/../b"]),
    },
    optional={
        "readOnly": st.booleans(),
        "subPath": st.sampled_from(["", "good", "good/x", "good/both", "old", "evil"]),
        "mountPropagation": st.sampled_from(["None", "Bidirectional"]),
    },
)
CONTAINERS = st.builds(
    lambda mounts, extra: {**container(*mounts), **extra},
    st.lists(MOUNTS, max_size=3),
    st.sampled_from(
        [
            {},
            {},
            {},
            {"securityContext": {"privileged": True}},
            {"terminationMessagePath": "/data/x"},
        ]
    ),
)


def world(*policies: Any) -> Facts:
    return facts(*policies, checkpoints=CHECKPOINTS, storage=storage(LLAMA, OTHER, SCRATCH))


@st.composite
def specs(draw: st.DrawFn) -> Object:
    """A pod of up to three volumes and a few containers."""
    chosen = draw(st.lists(st.sampled_from(SOURCES), min_size=3, max_size=3))
    volumes = [volume(name, **source) for name, source in zip(NAMES, chosen, strict=True)]
    spec = pod_spec(*volumes, containers=draw(st.lists(CONTAINERS, min_size=1, max_size=2)))
    spec["initContainers"] = draw(st.lists(CONTAINERS, max_size=1))
    return spec | draw(st.sampled_from([{}, {}, {}, {"hostPID": True}, {"nodeName": "n"}]))


def strictness(spec: Object, found: Facts) -> int:
    return LAX_TO_STRICT.index(answer(spec, found).outcome)


policy_sets = st.lists(st.sampled_from(POLICIES), min_size=1, max_size=4)


@laws
@given(specs(), policy_sets, st.sampled_from(POLICIES))
def test_more_policies_never_allow_more(spec: Object, some: list[Any], more: Any) -> None:
    base, with_more = world(*some), world(*some, more)
    if base.governance.has_floor == with_more.governance.has_floor:
        assert strictness(spec, with_more) >= strictness(spec, base)


@laws
@given(specs(), policy_sets)
def test_a_set_of_policies_is_as_strict_as_its_strictest(spec: Object, some: list[Any]) -> None:
    together = strictness(spec, world(POLICIES[9], *some))
    alone = [strictness(spec, world(POLICIES[9], each)) for each in some]
    assert together >= max(alone)


@laws
@given(specs(), policy_sets, st.randoms(use_true_random=False))
def test_order_never_matters(spec: Object, some: list[Any], chance: random.Random) -> None:
    base = world(*some)
    shuffled = replace(
        world(*chance.sample(some, len(some))),
        checkpoints=tuple(chance.sample(base.checkpoints, len(base.checkpoints))),
    )
    turned = {
        **spec,
        "volumes": chance.sample(spec["volumes"], len(spec["volumes"])),
        "containers": chance.sample(spec["containers"], len(spec["containers"])),
    }
    first, second = answer(spec, base), answer(turned, shuffled)
    assert first.outcome is second.outcome
    assert first.reason is second.reason
    assert set(first.policies) == set(second.policies)


@laws
@given(specs(), policy_sets, st.sampled_from(SOURCES))
def test_another_volume_never_allows_more(spec: Object, some: list[Any], source: Object) -> None:
    more = {**spec, "volumes": [*spec["volumes"], volume("more", **source)]}
    assert strictness(more, world(*some)) >= strictness(spec, world(*some))


@laws
@given(specs(), policy_sets, CONTAINERS, st.sampled_from(["containers", "initContainers"]))
def test_another_container_never_allows_more(
    spec: Object, some: list[Any], extra: Object, key: str
) -> None:
    # A volume that nobody mounted counted as reachable as a whole: mounting a part of it is less.
    used = {
        each["name"]
        for one in [*spec["containers"], *spec["initContainers"]]
        for each in mounts_of(one)
    }
    kept = [each for each in extra["volumeMounts"] if each["name"] in used]
    more = {**spec, key: [*spec[key], {**extra, "volumeMounts": kept, "name": "extra"}]}
    assert strictness(more, world(*some)) >= strictness(spec, world(*some))


def mounts_of(one: Object) -> list[Object]:
    found: list[Object] = one["volumeMounts"]
    return found


@laws
@given(specs(), policy_sets, MOUNTS)
def test_another_mount_never_allows_more(spec: Object, some: list[Any], extra: Object) -> None:
    first, *others = spec["containers"]
    base = {
        **spec,
        "containers": [{**first, "volumeMounts": [*mounts_of(first), whole(extra)]}, *others],
    }
    more = {
        **spec,
        "containers": [
            {**first, "volumeMounts": [*mounts_of(first), whole(extra), extra]},
            *others,
        ],
    }
    assert strictness(more, world(*some)) >= strictness(base, world(*some))


def whole(extra: Object) -> Object:
    """The same volume somewhere else, so that it is mounted before and after."""
    return mount(extra["name"], at="/somewhere/else")


@laws
@given(specs(), policy_sets)
def test_what_is_allowed_is_allowed_by_a_checkpoint_for_every_governed_path(
    spec: Object, some: list[Any]
) -> None:
    enforcing = [each for each in some if each.spec.enforcement == "Enforce"] or [POLICIES[0]]
    found = answer(spec, world(*enforcing))
    governed = {"llama", "mistral", "missing"}
    if found.outcome is Outcome.ALLOW and any(each.origin.endswith(" a") for each in enforcing):
        for each in pod_of({}, spec).mounts:
            source = next(v for v in spec["volumes"] if v["name"] == each.volume)
            name = source.get("persistentVolumeClaim", {}).get("claimName")
            if name in governed:
                assert (each.volume, str(each.path)) in {(v.volume, v.path) for v in found.vouched}


# --- paths ---

COMPONENTS = st.text(string.ascii_letters + string.digits + "._- ", min_size=1, max_size=8).filter(
    lambda text: text not in (".", "..")
)
PATHS = st.lists(COMPONENTS, max_size=5).map(lambda parts: VolumePath(tuple(parts)))


@laws
@given(PATHS)
def test_a_path_is_read_as_it_is_written(path: VolumePath) -> None:
    assert path_of(str(path)) == path


@laws
@given(PATHS, st.data())
def test_a_spelling_never_changes_a_path(path: VolumePath, data: st.DataObject) -> None:
    noise = st.sampled_from(["/", "//", "/./", "/.//"])
    text = data.draw(st.sampled_from(["", "/", "./", "//"]))
    for component in path.components:
        text += component + data.draw(noise)
    assert path_of(text) == path


@laws
@given(PATHS, PATHS)
def test_a_path_covers_what_lies_below_it_and_nothing_beside(
    path: VolumePath, inner: VolumePath
) -> None:
    below = VolumePath(path.components + inner.components)
    assert path.covers(below)
    assert below.covers(path) is (not inner.components)
    assert path in places_holding(below)
    if path.components:
        *parents, last = path.components
        assert not path.covers(VolumePath((*parents, last + "-evil", *inner.components)))


@laws
@given(st.text(max_size=40))
def test_no_text_leaves_the_volume(text: str) -> None:
    try:
        path = path_of(text)
    except Malformed:
        assert "\0" in text or ".." in text.split("/")
    else:
        assert not {"", ".", ".."} & set(path.components)


SPELLINGS = st.sampled_from(
    [("good", "./good//"), ("good/x", "good/./x/"), ("evil", "evil/."), (".", "./"), ("old", "old")]
)


@laws
@given(SPELLINGS, policy_sets)
def test_a_spelling_never_changes_the_answer(pair: tuple[str, str], some: list[Any]) -> None:
    answers = [
        answer(pod_spec(containers=[container(mount(subPath=text))]), world(*some)) for text in pair
    ]
    assert answers[0] == answers[1]


# --- names and unknown things ---


@laws
@given(st.text())
def test_a_quoted_name_is_one_short_printable_word(name: str) -> None:
    found = quoted(name)
    assert found.isascii()
    assert found.isprintable()
    assert '"' not in found[1:-1].replace("\\\\", "").replace('\\"', "")
    assert len(found) <= 2 + 10 * LONGEST_NAME


@laws
@given(st.lists(st.text(max_size=10)))
def test_lists_of_names_are_short(names: list[str]) -> None:
    assert len(listed(tuple(names))) < 600


@laws
@given(st.text(min_size=1, max_size=30).filter(lambda key: key not in KNOWN_SOURCES | {"name"}))
def test_unknown_sources_are_refused(key: str) -> None:
    spec = pod_spec(volume("model", **{key: {"claimName": "llama", "readOnly": True}}))
    assert answer(spec, world(POLICIES[0])).outcome is Outcome.DENY


@laws
@given(st.text(min_size=1, max_size=20), st.sampled_from(["pod", "container", "mount"]))
def test_unknown_fields_are_refused(key: str, level: str) -> None:
    known = KNOWN_POD_FIELDS | KNOWN_CONTAINER_FIELDS | KNOWN_MOUNT_FIELDS
    unknown: Object = {f"{key}{'x' if key in known else ''}": True}
    places: dict[str, Object] = {"pod": {}, "container": {}, "mount": {}, level: unknown}
    governed = {**container({**mount(), **places["mount"]}), **places["container"]}
    spec = {**pod_spec(containers=[governed]), **places["pod"]}
    assert answer(spec, world(POLICIES[0])).outcome is Outcome.DENY


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["containers", "volumes", "name", "volumeMounts", "nfs", "mountPath", "path", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@laws
@given(JSON, JSON)
def test_reading_a_pod_ends_in_a_pod_or_in_one_of_our_errors(metadata: Any, spec: Any) -> None:
    try:
        found = pod_of(metadata, spec)
    except Malformed:
        return
    assert len(found.mounts) >= len(found.volumes)


def test_the_small_world_allows_denies_holds_and_injects() -> None:
    """The laws are not empty: each outcome happens."""
    outcomes = {
        answer(pod_spec(), world(POLICIES[0])).outcome,
        answer(pod_spec(claim_volume(read_only=False)), world(POLICIES[0])).outcome,
        answer(pod_spec(claim_volume(claim="missing")), world(POLICIES[2])).outcome,
        answer(pod_spec(), world(POLICIES[5])).outcome,
    }
    assert outcomes == set(Outcome)
