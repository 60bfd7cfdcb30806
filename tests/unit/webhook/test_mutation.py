"""Held and injected pods: what is done to them, and that nothing less passes for it."""

import copy
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from tests.unit.policy.builders import policy
from tests.unit.webhook.cluster import NAMESPACE, answer, checkpoint, facts
from tests.unit.webhook.objects import Object, claim_volume, container, mount, pod_spec

from weightlock.cluster_names import HELD_LABEL, SCHEDULING_GATE, WAITS_FOR_ANNOTATION
from weightlock.reasons import Reason
from weightlock.reporting import parse_request
from weightlock_webhook.cache.features import Features
from weightlock_webhook.decision.answers import Answer, Outcome
from weightlock_webhook.decision.facts import Facts
from weightlock_webhook.decision.governance import Governance
from weightlock_webhook.mutation.injecting import MOST_INJECTED, TOKEN_FOLDER
from weightlock_webhook.mutation.mutation import PodMutation
from weightlock_webhook.reviews.collaborators import PodQuestion

IMAGE = "registry.example/verifier@sha256:" + "a" * 64
NEW = Features(frozenset({"schedulingGates"}), frozenset({"image"}))
OLD = Features(frozenset(), frozenset())
HOLD = policy(onUnverified="Hold")
INJECT = policy(onUnverified="Inject")


@dataclass
class Models:
    known: dict[str, tuple[str | None, int]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def expected(
        self, namespace: str, checkpoint: str, policies: Iterable[str]
    ) -> tuple[str | None, int]:
        assert namespace == NAMESPACE
        self.asked = list(policies)
        return self.known.get(checkpoint, (None, 0))


def mutation(
    found: Facts, features: Features = NEW, image: str = IMAGE, known: Any = None
) -> PodMutation:
    return PodMutation(lambda _: found.governance, Models(known or {}), lambda: features, image)


def unverified(*policies: Any, **more: Any) -> Facts:
    return facts(*policies, checkpoints=(), **more)


def question(spec: Object, **metadata: Any) -> PodQuestion:
    return PodQuestion(NAMESPACE, metadata, spec)


def patched(pod: Object, patch: Any) -> Object:
    """RFC 6902, as far as the webhook uses it."""
    result = copy.deepcopy(pod)
    for operation in patch:
        *parents, last = (
            part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]
        )
        target: Any = result
        for part in parents:
            target = target[int(part)] if isinstance(target, list) else target[part]
        if operation["op"] == "remove":
            del target[int(last)]
        elif isinstance(target, list):
            where = len(target) if last == "-" else int(last)
            target.insert(where, operation["value"])
        else:
            target[last] = operation["value"]
    return result


def stored(found: Facts, spec: Object, parts: PodMutation, **metadata: Any) -> Any:
    """The pod after our mutator."""
    asked = question(spec, **metadata)
    pod = {"metadata": metadata, "spec": spec}
    after = patched(pod, parts.patch(asked, answer(spec, found)))
    return question(after["spec"], **after["metadata"])


# Hold


@pytest.mark.parametrize("features", [NEW, OLD])
@pytest.mark.parametrize(
    "metadata",
    [{}, {"labels": {"a": "b"}, "annotations": {"c": "d"}}, {"labels": None, "annotations": {}}],
)
def test_a_held_pod_says_for_what_and_waits_at_a_gate_where_there_are_gates(
    features: Features, metadata: Object
) -> None:
    found = unverified(HOLD)
    spec = pod_spec(containers=[container(mount(subPath="step-1"))])
    parts = mutation(found, features)
    after = stored(found, spec, parts, **metadata)
    assert after.metadata["labels"] == (metadata.get("labels") or {}) | {HELD_LABEL: "true"}
    annotations: Any = after.metadata["annotations"]
    assert json.loads(annotations[WAITS_FOR_ANNOTATION]) == [
        {"volume": "model", "claim": "llama", "path": "/step-1", "checkpoint": ""}
    ]
    gates = after.spec.get("schedulingGates")
    assert gates == ([{"name": SCHEDULING_GATE}] if features is NEW else None)
    assert parts.missing(after, answer(after.spec, found)) == ""


def test_gates_of_others_stay() -> None:
    found = unverified(HOLD)
    spec = pod_spec(schedulingGates=[{"name": "kueue.x-k8s.io/admission"}])
    after = stored(found, spec, mutation(found))
    assert after.spec["schedulingGates"] == [
        {"name": "kueue.x-k8s.io/admission"},
        {"name": SCHEDULING_GATE},
    ]


def test_holding_twice_is_holding_once() -> None:
    found = unverified(HOLD)
    once = stored(found, pod_spec(), mutation(found))
    twice = stored(found, dict(once.spec), mutation(found), **once.metadata)
    assert twice == once


def test_what_a_pod_claims_to_wait_for_is_replaced() -> None:
    found = unverified(HOLD)
    after = stored(found, pod_spec(), mutation(found), annotations={WAITS_FOR_ANNOTATION: "[]"})
    annotations: Any = after.metadata["annotations"]
    assert "llama" in annotations[WAITS_FOR_ANNOTATION]


def test_more_than_twenty_items_are_cut() -> None:
    volumes = [claim_volume(f"v{index}", f"c{index}") for index in range(25)]
    mounts = [mount(f"v{index}", f"/m{index}") for index in range(25)]
    found = unverified(HOLD)
    spec = pod_spec(*volumes, containers=[container(*mounts)])
    annotations: Any = stored(found, spec, mutation(found)).metadata["annotations"]
    assert len(json.loads(annotations[WAITS_FOR_ANNOTATION])) == 20


@pytest.mark.parametrize(
    ("features", "metadata", "gates", "word"),
    [
        pytest.param(NEW, {}, [], "gate", id="no gate"),
        pytest.param(NEW, {}, [{"name": "other"}], "gate", id="another gate"),
        pytest.param(OLD, {}, [], "label", id="no label"),
        pytest.param(OLD, {"labels": {HELD_LABEL: "false"}}, [], "label", id="another label"),
        pytest.param(OLD, {"labels": {HELD_LABEL: "true"}}, [], "annotation", id="no annotation"),
    ],
)
def test_a_pod_that_must_be_held_and_is_not_is_told_so(
    features: Features, metadata: Object, gates: list[Object], word: str
) -> None:
    found = unverified(HOLD)
    spec = pod_spec(schedulingGates=gates)
    lacking = mutation(found, features).missing(question(spec, **metadata), answer(spec, found))
    assert word in lacking


def held() -> Object:
    return {
        "metadata": {
            "labels": {HELD_LABEL: "true", "app": "x"},
            "annotations": {WAITS_FOR_ANNOTATION: "[1]"},
        },
        "spec": pod_spec(schedulingGates=[{"name": SCHEDULING_GATE}, {"name": "kueue"}]),
    }


def _without_gate(pod: Object) -> None:
    del pod["spec"]["schedulingGates"][0]


def _without_gates(pod: Object) -> None:
    del pod["spec"]["schedulingGates"]


def _without_labels(pod: Object) -> None:
    pod["metadata"]["labels"] = None


def _other_label(pod: Object) -> None:
    pod["metadata"]["labels"][HELD_LABEL] = "no"


def _other_annotation(pod: Object) -> None:
    pod["metadata"]["annotations"][WAITS_FOR_ANNOTATION] = "[2]"


@pytest.mark.parametrize(
    "change", [_without_gate, _without_gates, _without_labels, _other_label, _other_annotation]
)
def test_taking_away_what_holds_a_pod_is_noticed(change: Callable[[Object], None]) -> None:
    before, after = held(), held()
    change(after)
    assert mutation(unverified(HOLD)).tampered(question({}), before, after)


@pytest.mark.parametrize("change", [_without_labels, _other_label, _other_annotation])
def test_what_held_a_pod_counts_no_more_once_it_has_its_node(
    change: Callable[[Object], None],
) -> None:
    """The operator tidies up; for everybody else the keys are reserved in any case."""
    before, after = held(), held()
    for each in (before, after):
        each["spec"] |= {"nodeName": "node-1", "schedulingGates": []}
    change(after)
    assert mutation(unverified(HOLD)).tampered(question({}), before, after) == ""


def _without_others_gate(pod: Object) -> None:
    del pod["spec"]["schedulingGates"][1]


def _own_label(pod: Object) -> None:
    pod["metadata"]["labels"]["app"] = "y"


def _other_image(pod: Object) -> None:
    pod["spec"]["containers"][0]["image"] = "y"


@pytest.mark.parametrize("change", [_without_others_gate, _own_label, _other_image])
def test_other_changes_of_a_held_pod_are_not_ours_to_refuse(
    change: Callable[[Object], None],
) -> None:
    before, after = held(), held()
    change(after)
    assert mutation(unverified(HOLD)).tampered(question({}), before, after) == ""


# Inject


def injected_in(spec: Any) -> list[Object]:
    return [
        entry for entry in spec["initContainers"] if entry["name"].startswith("weightlock-verify-")
    ]


def test_a_container_that_verifies_comes_first_and_asks_what_the_policies_demand() -> None:
    found = unverified(INJECT)
    spec = pod_spec(
        containers=[container(mount(subPath="step-1"))], initContainers=[container(name="mine")]
    )
    parts = mutation(found)
    after = stored(found, spec, parts)
    first, second = after.spec["initContainers"]
    assert second["name"] == "mine"
    assert first["image"] == IMAGE
    assert first["command"][:4] == ["weightlock", "report", "/checkpoint", "--gate"]
    asked = parse_request(
        "".join(piece.removeprefix("--request=") for piece in first["command"][4:])
    )
    assert asked.gate is not None
    assert [each.origin for each in asked.gate.requirements] == ["ClusterModelPolicy post-quantum"]
    assert first["volumeMounts"] == [
        {"name": "model", "mountPath": "/checkpoint", "readOnly": True, "subPath": "step-1"}
    ]
    context = first["securityContext"]
    assert context["runAsNonRoot"]
    assert context["readOnlyRootFilesystem"]
    assert not context["allowPrivilegeEscalation"]
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert "env" not in first
    assert parts.missing(after, answer(after.spec, found)) == ""


def test_the_container_says_everything_that_a_server_would_fill_in() -> None:
    """Or the stored one could not be compared; and no right of it comes from the pod."""
    found = unverified(INJECT)
    (first,) = injected_in(stored(found, pod_spec(), mutation(found)).spec)
    assert first | {"command": [], "volumeMounts": []} == {
        "name": "weightlock-verify-0",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": [],
        "resources": {
            "requests": {"cpu": "500m", "memory": "512Mi"},
            "limits": {"memory": "2Gi"},
        },
        "volumeMounts": [],
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "privileged": False,
            "readOnlyRootFilesystem": True,
            "runAsGroup": 65532,
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def test_containers_that_ask_about_other_places_ask_other_questions() -> None:
    found = unverified(INJECT)
    mounts = [
        mount(at="/a", subPath="a"),
        mount(at="/b", subPath="b"),
        mount("second", "/c", subPath="a"),
    ]
    spec = pod_spec(claim_volume(), claim_volume("second"), containers=[container(*mounts)])
    asked = [
        parse_request("".join(each.removeprefix("--request=") for each in one["command"][4:]))
        for one in injected_in(stored(found, spec, mutation(found)).spec)
    ]
    assert len({each.nonce for each in asked}) == len(asked) == 3


def test_the_whole_volume_is_mounted_where_the_pod_mounts_all_of_it() -> None:
    found = unverified(INJECT)
    (first,) = injected_in(stored(found, pod_spec(), mutation(found)).spec)
    assert "subPath" not in first["volumeMounts"][0]


def test_the_injected_pod_needs_no_verdict_beside_the_one_that_it_will_reach() -> None:
    found = unverified(INJECT)
    after = stored(found, pod_spec(), mutation(found))
    assert answer(after.spec, found).outcome is Outcome.INJECT


def test_each_path_is_verified_once() -> None:
    found = unverified(INJECT)
    same = container(mount(subPath="a"), name="one"), container(mount(subPath="a"), name="two")
    spec = pod_spec(containers=[*same, container(mount(subPath="b"), name="three")])
    mounts = [
        each["volumeMounts"][0]["subPath"]
        for each in injected_in(stored(found, spec, mutation(found)).spec)
    ]
    assert mounts == ["a", "b"]


def test_injecting_twice_is_injecting_once() -> None:
    found = unverified(INJECT)
    once = stored(found, pod_spec(), mutation(found))
    assert stored(found, dict(once.spec), mutation(found)).spec == once.spec


def test_a_container_that_only_has_the_name_is_thrown_out() -> None:
    found = unverified(INJECT)
    forged = container(name="weightlock-verify-0")
    mine = container(name="mine")
    for present in ([forged], [forged, mine], [mine, forged, forged]):
        spec = pod_spec(initContainers=present)
        after = stored(found, spec, mutation(found))
        (first,) = injected_in(after.spec)
        assert first["image"] == IMAGE
        assert after.spec["initContainers"][0] == first


def test_what_is_known_of_the_model_is_demanded_too() -> None:
    found = facts(INJECT, checkpoints=(checkpoint("step-1", last_verified=None),))
    parts = mutation(found, known={"step-1": ("llama", 7)})
    after = stored(found, pod_spec(), parts)
    (first,) = injected_in(after.spec)
    asked = parse_request(first["command"][4].removeprefix("--request="))
    assert asked.gate is not None
    assert (asked.gate.model_name, asked.gate.version_floor) == ("llama", 7)
    assert parts.missing(after, answer(after.spec, found)) == ""
    assert isinstance(parts.models, Models)
    assert parts.models.asked == ["ClusterModelPolicy post-quantum"]


def _edited(**fields: Any) -> Callable[[Object], None]:
    def edit(container: Object) -> None:
        container.update(fields)

    return edit


def _mounts(*more: Object) -> Callable[[Object], None]:
    def edit(container: Object) -> None:
        container["volumeMounts"] = [*container["volumeMounts"], *more]

    return edit


def _context(**fields: Any) -> Callable[[Object], None]:
    def edit(container: Object) -> None:
        container["securityContext"] = {**container["securityContext"], **fields}

    return edit


def _argument(container: Object) -> None:
    container["command"] = [*container["command"][:-1], "--request={}"]


def _no_gate(container: Object) -> None:
    container["command"] = [word for word in container["command"] if word != "--gate"]


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(_edited(image="busybox"), id="image"),
        pytest.param(_edited(imagePullPolicy="Never"), id="a node's own image"),
        pytest.param(_edited(command=["true"]), id="command"),
        pytest.param(_edited(args=["--to=/x"]), id="arguments"),
        pytest.param(_edited(env=[{"name": "PYTHONPATH", "value": "/x"}]), id="environment"),
        pytest.param(_edited(envFrom=[{"configMapRef": {"name": "x"}}]), id="environments"),
        pytest.param(_edited(lifecycle={}), id="lifecycle"),
        pytest.param(_edited(restartPolicy="Always"), id="a sidecar waits for nothing"),
        pytest.param(_edited(workingDir="/x"), id="folder"),
        pytest.param(_edited(terminationMessagePath="/checkpoint/x"), id="message"),
        pytest.param(_mounts({"name": "evil", "mountPath": "/usr/lib"}), id="another mount"),
        pytest.param(_edited(volumeMounts=[]), id="no mount"),
        pytest.param(_context(runAsUser=0), id="root"),
        pytest.param(_context(procMount="Unmasked"), id="proc"),
        pytest.param(_context(seLinuxOptions={}), id="another context"),
        pytest.param(_edited(securityContext=None), id="no context"),
        pytest.param(_argument, id="another request"),
        pytest.param(_no_gate, id="no gate"),
    ],
)
def test_a_container_that_is_not_exactly_ours_is_none(edit: Callable[[Object], None]) -> None:
    found = unverified(INJECT)
    parts = mutation(found)
    spec = copy.deepcopy(dict(stored(found, pod_spec(), parts).spec))
    edit(spec["initContainers"][0])
    lacking = parts.missing(question(spec), answer(pod_spec(), found))
    assert "weightlock-verify-0" in lacking


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(_edited(resources={"limits": {"cpu": "1"}}), id="limits of the namespace"),
        pytest.param(
            _mounts({"name": "token", "mountPath": TOKEN_FOLDER, "readOnly": True}),
            id="the service account's token",
        ),
        pytest.param(_context(procMount="Default"), id="a default"),
    ],
)
def test_what_the_server_itself_adds_changes_nothing(edit: Callable[[Object], None]) -> None:
    found = unverified(INJECT)
    parts = mutation(found)
    spec = copy.deepcopy(dict(stored(found, pod_spec(), parts).spec))
    edit(spec["initContainers"][0])
    assert parts.missing(question(spec), answer(pod_spec(), found)) == ""


def _second(spec: Object) -> None:
    spec["initContainers"].insert(0, container(name="before"))


def _none(spec: Object) -> None:
    spec["initContainers"] = []


def _no_list(spec: Object) -> None:
    spec["initContainers"] = "none"


@pytest.mark.parametrize("edit", [_second, _none, _no_list])
def test_a_container_that_is_not_in_its_place_is_none(edit: Callable[[Object], None]) -> None:
    found = unverified(INJECT)
    parts = mutation(found)
    spec = copy.deepcopy(dict(stored(found, pod_spec(), parts).spec))
    edit(spec)
    assert parts.missing(question(spec), answer(pod_spec(), found))


def test_more_paths_than_can_be_verified_inside_are_refused() -> None:
    found = unverified(INJECT)
    mounts = [mount(at=f"/m{index}", subPath=f"s{index}") for index in range(MOST_INJECTED + 1)]
    spec = pod_spec(containers=[container(*mounts)])
    parts = mutation(found)
    assert parts.patch(question(spec), answer(spec, found)) == ()
    assert str(MOST_INJECTED + 1) in parts.missing(question(spec), answer(spec, found))


def test_without_an_image_nothing_is_injected_and_the_pod_is_refused() -> None:
    found = unverified(INJECT)
    parts = mutation(found, image="")
    assert parts.patch(question(pod_spec()), answer(pod_spec(), found)) == ()
    assert "image" in parts.missing(question(pod_spec()), answer(pod_spec(), found))


def test_policies_that_no_container_can_satisfy_together_are_refused() -> None:
    found = unverified(
        policy("a", onUnverified="Inject", digests={"allowed": ["sha256"]}),
        policy("b", onUnverified="Inject", digests={"allowed": ["sha512"]}),
    )
    parts = mutation(found)
    assert parts.patch(question(pod_spec()), answer(pod_spec(), found)) == ()
    assert "allowedHashes" in parts.missing(question(pod_spec()), answer(pod_spec(), found))


def test_policies_that_only_watch_ask_nothing_of_the_container() -> None:
    found = unverified(INJECT, policy("watching", onUnverified="Inject", enforcement="Audit"))
    (first,) = injected_in(stored(found, pod_spec(), mutation(found)).spec)
    asked = parse_request(first["command"][4].removeprefix("--request="))
    assert asked.gate is not None
    assert len(asked.gate.requirements) == 1


def test_what_only_warns_is_nothing_to_verify() -> None:
    warning = policy("warning", enforcement="Warn", volumes={"default": "Forbid"})
    found = unverified(INJECT, warning)
    spec = pod_spec(claim_volume(), claim_volume("other", "c"))
    assert len(injected_in(stored(found, spec, mutation(found)).spec)) == 2


def test_a_policy_that_is_gone_by_now_leaves_nothing_to_ask_for() -> None:
    found = unverified(INJECT)
    parts = replace(mutation(found), governing=lambda _: Governance.of((), NAMESPACE, {}))
    assert parts.patch(question(pod_spec()), answer(pod_spec(), found)) == ()
    assert parts.missing(question(pod_spec()), answer(pod_spec(), found))


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(lambda spec: spec["initContainers"][0].update(image="busybox"), id="image"),
        pytest.param(lambda spec: spec["initContainers"].insert(0, {"name": "x"}), id="place"),
        pytest.param(lambda spec: spec.update(initContainers=[]), id="removed"),
    ],
)
def test_an_update_of_an_injected_container_is_noticed(edit: Callable[[Object], None]) -> None:
    found = unverified(INJECT)
    parts = mutation(found)
    before = {"metadata": {}, "spec": dict(stored(found, pod_spec(), parts).spec)}
    after = copy.deepcopy(before)
    assert parts.tampered(question({}), before, after) == ""
    edit(after["spec"])
    assert parts.tampered(question({}), before, after)


def test_an_update_of_somebodys_own_init_container_is_theirs() -> None:
    found = unverified(INJECT)
    parts = mutation(found)
    spec = pod_spec(initContainers=[container(name="mine")])
    before = {"metadata": {}, "spec": dict(stored(found, spec, parts).spec)}
    after = copy.deepcopy(before)
    after["spec"]["initContainers"][1]["image"] = "newer"
    assert parts.tampered(question({}), before, after) == ""
    after["spec"]["initContainers"][0]["image"] = "newer"
    assert "weightlock-verify-0" in parts.tampered(question({}), before, after)


# Other answers


def test_other_answers_change_nothing() -> None:
    allowed, denied = facts(), unverified(policy())
    parts = mutation(allowed)
    assert parts.patch(question(pod_spec()), answer(pod_spec(), allowed)) == ()
    assert parts.missing(question(pod_spec()), answer(pod_spec(), allowed)) == ""
    assert parts.patch(question(pod_spec()), answer(pod_spec(), denied)) == ()
    assert parts.missing(question(pod_spec()), answer(pod_spec(), denied))
    assert parts.missing(question({}), Answer(Reason.NOT_GOVERNED)) == ""


def test_objects_of_other_shapes_count_as_absent() -> None:
    parts = mutation(unverified(HOLD))
    odd: Object = {"metadata": {"labels": [1]}, "spec": None}
    assert parts.tampered(question({}), odd, odd) == ""
