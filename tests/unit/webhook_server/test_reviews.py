"""What each path answers: at the desk, without a network."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Coroutine
from typing import Any

import pytest
from tests.unit.policy.builders import policy_object
from tests.webhook_server.listeners import Behind
from tests.webhook_server.requests import JOB_CONTROLLER, OPERATOR, TENANT, marked, pod, review
from tests.webhook_server.standins import ALLOWED, DENIED, HELD, INJECTED, Judge, Mutation, Object

from weightlock.errors import Malformed, Unanswerable
from weightlock.policy.spec import Enforcement, OnUnverified
from weightlock_webhook.decision.answers import Answer
from weightlock_webhook.reviews.desk import Desk

PODS = "/validate/pods"
MUTATE = "/mutate/pods"
BINDINGS = "/validate/bindings"
EPHEMERAL = "/validate/ephemeralcontainers"
PROTECTED = "/validate/protected"
CONNECTIONS = "/validate/connections"
POLICIES = "/validate/policies"
NAMESPACES = "/validate/namespaces"
CLAIMS = "/validate/claims"
WORKLOADS = "/validate/workloads"

GROUP = "weightlock.dev"
IN = "/api/v1/namespaces/team-a"


def asked(path: str, body: bytes, behind: Behind | None = None) -> Object:
    return asyncio.run((behind or Behind()).ask(path, body))


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


def saying(answer: Answer | Exception, **mutation: str) -> Behind:
    return Behind(judge=Judge(answer), mutation=Mutation(**mutation))


def with_pod(thing: Object, behind: Behind | None = None) -> Behind:
    found = behind or Behind()
    found.cluster.put(f"{IN}/pods/{thing['metadata']['name']}", thing)
    return found


def verification() -> tuple[Object, Object]:
    """A Job of the operator's, and a pod of it."""
    spec = {"containers": [{"name": "v", "image": "verifier"}]}
    owner = {
        "apiVersion": f"{GROUP}/v1beta1",
        "kind": "ModelCheckpoint",
        "name": "c",
        "uid": "c1",
        "controller": True,
    }
    job = marked(
        {"metadata": {"name": "verify", "uid": "j1"}, "spec": {"template": {"spec": spec}}}
    )
    job["metadata"]["ownerReferences"] = [owner]
    made = marked({"metadata": {"name": "verify-x"}, "spec": spec})
    made["metadata"]["ownerReferences"] = [
        {**owner, "apiVersion": "batch/v1", "kind": "Job", "name": "verify", "uid": "j1"}
    ]
    return job, made


def with_job(behind: Behind | None = None) -> Behind:
    found = behind or Behind()
    job, _ = verification()
    found.cluster.objects["/apis/batch/v1/namespaces/team-a/jobs/verify"] = job
    return found


# --- the desk ---------------------------------------------------------------------------------


def test_a_desk_without_a_handler_for_each_path_cannot_be_made() -> None:
    behind = Behind()
    missing = behind.handlers()
    del missing[PODS]
    with pytest.raises(Malformed):
        Desk(missing, behind.records)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param(PODS, review("pods", "DELETE", old=pod()), id="another operation"),
        pytest.param(
            PODS, review("pods/exec", "CONNECT", kind="PodExecOptions"), id="a subresource"
        ),
        pytest.param(PODS, review("pods", kind="Service", new=pod()), id="another kind"),
        pytest.param(PODS, review("pods", version="v2", new=pod()), id="another version"),
        pytest.param(PODS, review("pods", group="evil.example", new=pod()), id="another group"),
        pytest.param(PODS, review("services", new=pod()), id="another resource"),
        pytest.param(
            MUTATE, review("pods", "UPDATE", new=pod(), old=pod()), id="an update to mutate"
        ),
        pytest.param(BINDINGS, review("pods", new=pod()), id="a pod to bind"),
        pytest.param(
            POLICIES, review("secrets", group=GROUP, version="v1beta1", new=pod()), id="no policy"
        ),
        pytest.param(WORKLOADS, review("pods", "DELETE", old=pod()), id="a workload's end"),
    ],
)
def test_a_review_at_the_wrong_door_is_refused_and_never_passed(path: str, body: bytes) -> None:
    behind = saying(ALLOWED)
    answer = asked(path, body, behind)
    assert answer["uid"] == "u-1"
    assert answer["allowed"] is False
    assert answer["status"]["code"] == 400
    assert "Unserved" in answer["status"]["message"]
    assert not behind.judge.asked


def test_what_is_no_review_is_told_by_its_uid_if_it_has_one() -> None:
    answer = asked(PODS, b'{"request": {"uid": "u-9"}}')
    assert (answer["uid"], answer["allowed"], answer["status"]["code"]) == ("u-9", False, 400)
    old = review(new=pod()).replace(b"admission.k8s.io/v1", b"admission.k8s.io/v1beta1")
    assert asked(PODS, old)["allowed"] is False
    with pytest.raises(Malformed):
        asked(PODS, b"{}")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        pytest.param(Unanswerable("no answer"), 503, id="ours"),
        pytest.param(Malformed("bad"), 400, id="malformed"),
        pytest.param(TimeoutError(), 504, id="late"),
        pytest.param(RuntimeError("secret"), 500, id="anything"),
        pytest.param(RecursionError(), 500, id="too deep"),
        pytest.param(MemoryError(), 500, id="no memory"),
    ],
)
def test_every_exception_is_a_denial(error: Exception, code: int) -> None:
    for path in (PODS, MUTATE):
        answer = asked(path, review(new=pod()), saying(error))
        assert (answer["allowed"], answer["status"]["code"]) == (False, code)
        assert "secret" not in answer["status"]["message"]


# --- pods -------------------------------------------------------------------------------------


def test_the_judge_decides_about_a_new_pod_in_the_requests_namespace() -> None:
    behind = saying(ALLOWED)
    body = review(new={**pod(), "metadata": {"generateName": "x-"}}, dryRun=True)
    answer = asked(PODS, body, behind)
    assert answer["allowed"] is True
    assert answer["auditAnnotations"]["policy"] == "ClusterModelPolicy strict"
    (question,) = behind.judge.asked
    assert (question.namespace, question.name, question.dry_run) == ("team-a", "", True)
    refused = asked(PODS, review(new=pod()), saying(DENIED))
    assert refused["allowed"] is False
    assert refused["status"]["reason"] == "Forbidden"
    assert refused["status"]["message"].startswith("NotVerified:")


@pytest.mark.parametrize("path", [PODS, MUTATE])
def test_exempt_namespaces_are_exempt_by_name(path: str) -> None:
    behind = saying(DENIED)
    assert asked(path, review(new=pod(), namespace="kube-system"), behind)["allowed"] is True
    assert not behind.judge.asked


@pytest.mark.parametrize(("answer"), [HELD, INJECTED], ids=["held", "injected"])
def test_hold_and_inject_allow_only_a_pod_that_has_it(answer: Answer) -> None:
    assert asked(PODS, review(new=pod()), saying(answer))["allowed"] is True
    lacking = asked(PODS, review(new=pod()), saying(answer, lacking="It lacks a gate."))
    assert lacking["allowed"] is False
    assert lacking["status"]["message"].startswith("It lacks a gate.")


def test_a_held_pod_carries_the_label_and_no_other_does() -> None:
    held = {**pod(), "metadata": {"name": "x", "labels": {"weightlock.dev/held": "true"}}}
    assert asked(PODS, review(new=held), saying(HELD))["allowed"] is True
    assert asked(PODS, review(new=held), saying(ALLOWED))["allowed"] is False
    assert asked(PODS, review(new=held), saying(INJECTED))["allowed"] is False


def test_a_pod_is_mutated_only_to_be_held_or_injected() -> None:
    for answer in (ALLOWED, DENIED):
        found = asked(MUTATE, review(new=pod()), saying(answer))
        assert found["allowed"] is True
        assert "patch" not in found
    found = asked(MUTATE, review(new=pod()), saying(HELD))
    assert found["patchType"] == "JSONPatch"
    (operation,) = json.loads(base64.b64decode(found["patch"]))
    assert operation["op"] == "add"


def test_a_mirror_pod_is_let_in_by_its_own_node_only() -> None:
    mirror = {
        "metadata": {"name": "x", "annotations": {"kubernetes.io/config.mirror": "h"}},
        "spec": {"containers": [], "nodeName": "node-1"},
    }
    behind = saying(DENIED)
    own = {"user": "system:node:node-1", "groups": ("system:nodes",)}
    for path in (PODS, MUTATE):
        assert asked(path, review(new=mirror, **own), behind)["allowed"] is True  # type: ignore[arg-type]
    assert asked(PODS, review(new=mirror, user=TENANT), behind)["allowed"] is False


def test_a_verification_pod_is_let_in_without_a_verdict() -> None:
    _, made = verification()
    behind = with_job(saying(DENIED))
    assert asked(PODS, review(new=made, user=JOB_CONTROLLER), behind)["allowed"] is True
    assert asked(MUTATE, review(new=made, user=TENANT), behind)["allowed"] is True
    assert not behind.judge.asked
    assert asked(PODS, review(new=made, user=TENANT), behind)["allowed"] is False
    assert asked(PODS, review(new=made, user=JOB_CONTROLLER), Behind())["allowed"] is False
    behind.images = frozenset({"another"})
    assert asked(PODS, review(new=made, user=JOB_CONTROLLER), behind)["allowed"] is False


def test_marks_without_an_owner_need_no_look_at_any_job() -> None:
    behind = Behind()
    assert asked(PODS, review(new=marked(pod()), user=JOB_CONTROLLER), behind)["allowed"] is False
    assert not behind.cluster.calls


@pytest.mark.parametrize("holds", [True, False])
def test_plain_pods_are_left_alone_where_nobody_minds(holds: bool) -> None:
    behind = Behind(judge=Judge(DENIED, ignores_plain_pods=holds))
    for path in (PODS, MUTATE):
        asked(path, review(new=pod()), behind)
    assert bool(behind.judge.asked) is not holds
    for other in (
        pod(volumes=[{"name": "x", "persistentVolumeClaim": {"claimName": "c"}}]),
        {**pod(), "metadata": {"labels": {"weightlock.dev/x": "1"}}},
    ):
        behind.judge.asked.clear()
        assert asked(PODS, review(new=other), behind)["allowed"] is False
        assert behind.judge.asked


# --- updates ----------------------------------------------------------------------------------


def updated(before: Object, after: Object, user: str = TENANT) -> bytes:
    return review("pods", "UPDATE", new=after, old=before, user=user)


def test_an_update_is_not_judged_again() -> None:
    behind = saying(DENIED)
    assert asked(PODS, updated(pod(), pod()), behind)["allowed"] is True
    assert not behind.judge.asked


def annotated(**annotations: str) -> Object:
    return {**pod(), "metadata": {"name": "trainer", "annotations": annotations}}


CDI = {"cdi.k8s.io/x": "vendor.example/device=all"}
CRIO = {"io.kubernetes.cri-o.Devices": "/dev/sda:/dev/sda:rwm"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param({}, CDI, id="added"),
        pytest.param({}, CRIO, id="of CRI-O"),
        pytest.param({"cdi.k8s.io/x": "vendor.example/device=0"}, CDI, id="changed"),
        pytest.param(CRIO, CRIO | CDI, id="one more"),
    ],
)
@pytest.mark.parametrize("node", ["", "n1"])
def test_an_update_by_which_a_runtime_adds_something_is_judged(
    before: dict[str, str], after: dict[str, str], node: str
) -> None:
    new = annotated(**after)
    new["spec"] = {**new["spec"], "nodeName": node} if node else new["spec"]
    for answer, is_allowed in ((DENIED, False), (ALLOWED, True), (HELD, True), (INJECTED, True)):
        behind = saying(answer)
        assert asked(PODS, updated(annotated(**before), new), behind)["allowed"] is is_allowed
        (question,) = behind.judge.asked
        assert question.metadata["annotations"] == after
        assert question.is_running is bool(node), "it was given its node by a scheduler"
    broken = saying(ALLOWED, broken="The gate was removed.")
    assert asked(PODS, updated(annotated(**before), new), broken)["allowed"] is False


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(CDI, CDI, id="kept"),
        pytest.param(CDI | CRIO, CDI, id="taken away"),
        pytest.param({}, {"k8s.v1.cni.cncf.io/networks": "n"}, id="of a network"),
    ],
)
def test_other_annotations_are_not_judged(before: dict[str, str], after: dict[str, str]) -> None:
    behind = saying(DENIED)
    body = updated(annotated(**before), annotated(**after))
    assert asked(PODS, body, behind)["allowed"] is True
    assert not behind.judge.asked


def test_what_holds_a_pod_is_the_operators_to_take_and_only_when_the_judge_allows() -> None:
    body = updated(pod(), pod())
    refused = asked(PODS, body, saying(ALLOWED, broken="The gate was removed."))
    assert "The gate was removed." in refused["status"]["message"]
    released = updated(pod(), pod(), OPERATOR)
    assert asked(PODS, released, saying(ALLOWED, broken="x"))["allowed"] is True
    for answer in (HELD, DENIED, INJECTED):
        assert asked(PODS, released, saying(answer, broken="x"))["allowed"] is False


def test_our_keys_and_our_pods_are_guarded() -> None:
    held = {**pod(), "metadata": {"name": "x", "labels": {"weightlock.dev/held": "true"}}}
    assert asked(PODS, updated(pod(), held))["allowed"] is False
    assert asked(PODS, updated(marked(pod()), pod()))["allowed"] is False
    assert asked(PODS, updated(marked(pod()), marked(pod()), JOB_CONTROLLER))["allowed"] is True


# --- binding ----------------------------------------------------------------------------------


def binding(name: str = "trainer", **metadata: object) -> Object:
    return {"metadata": {"name": name, **metadata}, "target": {"kind": "Node", "name": "n1"}}


def bound(new: Object, **more: Any) -> bytes:
    more.setdefault("name", "trainer")
    return review("pods/binding", kind="Binding", new=new, **more)


def test_a_binding_is_judged_by_the_pod_as_it_is_now() -> None:
    behind = with_pod(pod("trainer"), saying(ALLOWED))
    assert asked(BINDINGS, bound(binding()), behind)["allowed"] is True
    (question,) = behind.judge.asked
    assert (question.node, question.name) == ("n1", "trainer")
    for answer in (HELD, DENIED):
        assert (
            asked(BINDINGS, bound(binding()), with_pod(pod("trainer"), saying(answer)))["allowed"]
            is False
        )
    assert asked(BINDINGS, bound(binding()), with_pod(pod("trainer"), saying(INJECTED)))["allowed"]
    lost = with_pod(pod("trainer"), saying(INJECTED, lacking="The container is gone."))
    assert asked(BINDINGS, bound(binding()), lost)["allowed"] is False


def test_the_annotations_of_a_binding_are_judged_as_the_pods() -> None:
    behind = with_pod({**annotated(a="1", b="1")}, saying(ALLOWED))
    body = bound(binding(annotations={"b": "2", **CDI}))
    assert asked(BINDINGS, body, behind)["allowed"] is True
    assert behind.judge.asked[0].metadata["annotations"] == {"a": "1", "b": "2", **CDI}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(bound(binding("other")), id="two names"),
        pytest.param(bound(binding("none"), name="none"), id="no such pod"),
        pytest.param(bound(binding(uid="another")), id="another pod of the name"),
        pytest.param(bound(binding(annotations={"weightlock.dev/waits-for": ""})), id="our key"),
        pytest.param(bound(binding(""), name=""), id="no name"),
        pytest.param(bound({"metadata": {}}), id="no target"),
    ],
)
def test_a_binding_that_is_not_right_is_refused(body: bytes) -> None:
    assert asked(BINDINGS, body, with_pod(pod("trainer"), saying(ALLOWED)))["allowed"] is False


def test_the_old_way_names_the_pod_inside() -> None:
    body = review("bindings", kind="Binding", new=binding())
    assert asked(BINDINGS, body, with_pod(pod("trainer"), saying(ALLOWED)))["allowed"] is True
    exempt = review("bindings", kind="Binding", new=binding(), namespace="kube-system")
    assert asked(BINDINGS, exempt, saying(DENIED))["allowed"] is True


def test_a_verification_pod_is_proved_once_more_when_bound() -> None:
    _, made = verification()
    body = bound(binding("verify-x"), name="verify-x")
    assert asked(BINDINGS, body, with_job(with_pod(made, saying(DENIED))))["allowed"] is True
    assert asked(BINDINGS, body, with_pod(made, saying(ALLOWED)))["allowed"] is False


# --- ephemeral containers ---------------------------------------------------------------------


def joined(new: Object, kind: str = "Pod", **more: Any) -> bytes:
    more.setdefault("name", "trainer")
    return review("pods/ephemeralcontainers", "UPDATE", kind=kind, new=new, old=new, **more)


def test_a_pod_is_judged_with_the_container_that_joins() -> None:
    added = [{"name": "debug", "image": "x"}]
    whole = pod(ephemeralContainers=added)
    behind = saying(ALLOWED)
    assert asked(EPHEMERAL, joined(whole), behind)["allowed"] is True
    assert behind.judge.asked[0].spec["ephemeralContainers"] == added
    for answer in (HELD, DENIED):
        assert asked(EPHEMERAL, joined(whole), saying(answer))["allowed"] is False
    assert asked(EPHEMERAL, joined(marked(whole)), saying(ALLOWED))["allowed"] is False
    exempt = joined(whole, namespace="kube-system")
    assert asked(EPHEMERAL, exempt, saying(DENIED))["allowed"] is True


def test_a_container_joins_a_pod_that_has_its_node() -> None:
    behind = Behind()
    new = pod(nodeName="n", ephemeralContainers=[{"name": "debug"}])
    assert asked(EPHEMERAL, joined(new), behind)["allowed"] is True
    asked(PODS, review(new=new), behind)
    assert [each.is_running for each in behind.judge.asked] == [True, False]


def test_before_1_22_the_containers_come_alone_and_the_pod_is_read() -> None:
    added = {"metadata": {"name": "trainer"}, "ephemeralContainers": [{"name": "d", "image": "x"}]}
    behind = with_pod(pod("trainer"), saying(ALLOWED))
    assert asked(EPHEMERAL, joined(added, "EphemeralContainers"), behind)["allowed"] is True
    spec = behind.judge.asked[0].spec
    assert spec["ephemeralContainers"] == added["ephemeralContainers"]
    assert spec["containers"]
    assert asked(EPHEMERAL, joined(added, "EphemeralContainers"))["allowed"] is False


# --- what is ours -----------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["exec", "attach", "portforward"])
def test_nobody_enters_a_verification_pod(way: str) -> None:
    kind = {"exec": "PodExecOptions", "attach": "PodAttachOptions"}.get(
        way, "PodPortForwardOptions"
    )
    body = review(f"pods/{way}", "CONNECT", kind=kind, name="x", new={})
    assert asked(CONNECTIONS, body, with_pod(marked(pod("x"))))["allowed"] is False
    assert asked(CONNECTIONS, body, with_pod(pod("x")))["allowed"] is True
    missing = asked(CONNECTIONS, body)
    assert missing["status"]["code"] == 404
    down = Behind()
    down.cluster.fails = Unanswerable("down")
    assert asked(CONNECTIONS, body, down)["allowed"] is False


@pytest.mark.parametrize("way", ["exec", "attach"])
def test_nobody_enters_a_container_that_was_injected(way: str) -> None:
    kind = {"exec": "PodExecOptions", "attach": "PodAttachOptions"}[way]

    def entering(**options: object) -> bool:
        body = review(f"pods/{way}", "CONNECT", kind=kind, name="x", new=options)
        allowed: bool = asked(CONNECTIONS, body, with_pod(pod("x")))["allowed"]
        return allowed

    assert not entering(container="weightlock-verify-0")
    assert not entering(container="weightlock-verify-7", stdin=False)
    assert entering(container="main")
    assert entering(container=None)
    assert not entering(container=5)


def protected(resource: str, operation: str, kind: str, group: str = "", **more: Any) -> bytes:
    return review(resource, operation, kind=kind, group=group, **more)


MARKED, PLAIN = marked(pod()), pod()


@pytest.mark.parametrize(
    ("resource", "operation", "kind", "group"),
    [
        ("jobs", "CREATE", "Job", "batch"),
        ("jobs", "UPDATE", "Job", "batch"),
        ("jobs", "DELETE", "Job", "batch"),
        ("jobs/status", "UPDATE", "Job", "batch"),
        ("pods", "DELETE", "Pod", ""),
        ("pods/status", "UPDATE", "Pod", ""),
        ("pods/resize", "UPDATE", "Pod", ""),
    ],
)
def test_each_deed_on_ours_is_refused_and_on_others_let_pass(
    resource: str, operation: str, kind: str, group: str
) -> None:
    def ask(thing: Object, user: str) -> bool:
        new = None if operation == "DELETE" else thing
        old = None if operation == "CREATE" else thing
        body = protected(resource, operation, kind, group, new=new, old=old, user=user)
        return bool(asked(PROTECTED, body)["allowed"])

    assert ask(PLAIN, TENANT)
    assert not ask(MARKED, TENANT)


def test_a_node_says_how_its_pod_is_but_changes_no_label() -> None:
    node = {"user": "system:node:n", "groups": ("system:nodes",)}
    same = review("pods/status", "UPDATE", new=MARKED, old=MARKED, **node)  # type: ignore[arg-type]
    other = review(
        "pods/status",
        "UPDATE",
        new=marked(pod(), "n2"),
        old=MARKED,
        **node,  # type: ignore[arg-type]
    )
    assert asked(PROTECTED, same)["allowed"] is True
    assert asked(PROTECTED, other)["allowed"] is False


def ours(new: Object, operation: str = "CREATE", sub: str = "", **more: Any) -> bytes:
    kind = new["kind"]
    plural = {"ModelCheckpoint": "modelcheckpoints", "ModelPolicy": "modelpolicies"}.get(
        kind, "clustermodelpolicies"
    )
    return review(
        f"{plural}{sub}", operation, kind=kind, group=GROUP, version="v1beta1", new=new, **more
    )


def test_a_policy_is_validated_when_its_spec_comes_or_changes() -> None:
    good, bad = policy_object(), {**policy_object(), "spec": {}}
    assert asked(POLICIES, ours(good))["allowed"] is True
    assert asked(POLICIES, ours(bad))["status"]["code"] == 422
    assert asked(POLICIES, ours(bad, "UPDATE", old=bad))["allowed"] is True
    assert asked(POLICIES, ours(bad, "UPDATE", old=good))["allowed"] is False
    own = policy_object("narrow", "team-a")
    assert asked(POLICIES, ours(own))["allowed"] is True
    status = ours(good, "UPDATE", "/status", old=good)
    assert asked(POLICIES, status)["allowed"] is False
    by_operator = ours(good, "UPDATE", "/status", old=good, user=OPERATOR)
    assert asked(POLICIES, by_operator)["allowed"] is True


def test_a_policy_that_selects_by_labels_that_nobody_guards_is_warned_about() -> None:
    loose = policy_object(namespaceSelector={"matchLabels": {"team": "a"}})
    found = asked(POLICIES, ours(loose))
    assert found["allowed"] is True
    assert '"team"' in found["warnings"][0]
    assert "warnings" not in asked(POLICIES, ours(policy_object()))


def namespace(
    labels: dict[str, str], operation: str = "CREATE", old: Object | None = None, sub: str = ""
) -> bytes:
    new = {"metadata": {"name": "sly", "labels": labels}}
    return review(
        f"namespaces{sub}", operation, kind="Namespace", new=new, old=old, namespace="", name="sly"
    )


def test_labels_of_namespaces_are_for_who_writes_cluster_policies() -> None:
    ours_too = namespace({"weightlock.dev/tier": "low"})
    behind = Behind()
    assert asked(NAMESPACES, ours_too, behind)["allowed"] is False
    behind.cluster.may = True
    assert asked(NAMESPACES, ours_too, behind)["allowed"] is True
    assert asked(NAMESPACES, namespace({"a": "b"}))["allowed"] is True
    forged = namespace({"kubernetes.io/metadata.name": "kube-system"})
    assert asked(NAMESPACES, forged, behind)["allowed"] is False
    old = {"metadata": {"name": "sly", "labels": {"weightlock.dev/tier": "low"}}}
    for sub in ("", "/status", "/finalize"):
        assert asked(NAMESPACES, namespace({}, "UPDATE", old, sub))["allowed"] is False
        same = namespace({"weightlock.dev/tier": "low", "a": "b"}, "UPDATE", old, sub)
        assert asked(NAMESPACES, same)["allowed"] is True


# --- claims -----------------------------------------------------------------------------------


PROTECTION = "kubernetes.io/pvc-protection"
PROTECTOR = "system:serviceaccount:kube-system:pvc-protection-controller"


def let_go(sub: str = "", user: str = TENANT, **more: Any) -> bytes:
    old = {"metadata": {"name": "llama", "finalizers": [PROTECTION]}}
    return review(
        f"persistentvolumeclaims{sub}",
        "UPDATE",
        kind="PersistentVolumeClaim",
        new={"metadata": {"name": "llama"}},
        old=old,
        user=user,
        **more,
    )


@pytest.mark.parametrize("sub", ["", "/status"])
def test_what_keeps_a_claim_is_taken_away_by_its_controller_alone(sub: str) -> None:
    refused = asked(CLAIMS, let_go(sub))
    assert refused["allowed"] is False
    assert "ProtectionRemoved" in refused["status"]["message"]
    assert asked(CLAIMS, let_go(sub, PROTECTOR))["allowed"] is True


def test_and_by_anybody_where_no_policy_enforces() -> None:
    warned = asked(CLAIMS, let_go(), Behind(judge=Judge(enforces=Enforcement.WARN)))
    assert warned["allowed"] is True
    assert "ProtectionRemoved" in warned["warnings"][0]
    for mode in (Enforcement.AUDIT, None):
        quiet = asked(CLAIMS, let_go(), Behind(judge=Judge(enforces=mode)))
        assert (quiet["allowed"], "warnings" in quiet) == (True, False)
    assert asked(CLAIMS, let_go(namespace="kube-system"))["allowed"] is True


# --- workloads --------------------------------------------------------------------------------


def workload(**more: Any) -> bytes:
    new = {"kind": "PyTorchJob", "spec": {"worker": {"template": {"spec": pod()["spec"]}}}}
    return review("pytorchjobs", kind="PyTorchJob", group="kubeflow.org", new=new, **more)


def test_a_workload_is_warned_about_and_never_refused() -> None:
    behind = saying(DENIED)
    found = asked(WORKLOADS, workload(), behind)
    assert found["allowed"] is True
    assert found["warnings"][0].startswith("spec.worker.template: NotVerified")
    assert behind.judge.asked[0].dry_run
    assert "warnings" not in asked(WORKLOADS, workload(), saying(ALLOWED))
    assert "warnings" not in asked(WORKLOADS, workload(namespace="kube-system"), saying(DENIED))
    broken = asked(WORKLOADS, workload(), saying(Unanswerable("down")))
    assert broken["allowed"] is True
    assert "could not be looked at" in broken["warnings"][0]


def test_warnings_are_cut_to_what_the_api_server_shows() -> None:
    def say(_: Any) -> Answer:
        return DENIED

    new = {
        "kind": "Many",
        "spec": {f"{'deep' * 30}{index}": {"spec": pod()["spec"]} for index in range(30)},
    }
    body = review("manys", kind="Many", group="x", new=new)
    found = asked(WORKLOADS, body, Behind(judge=Judge(say)))
    assert len(found["warnings"]) == 13
    assert all(len(warning) <= 256 for warning in found["warnings"])


def test_a_metadata_that_is_none_is_empty() -> None:
    new = {"kind": "X", "spec": {"template": {"metadata": 5, "spec": pod()["spec"]}}}
    assert asked(WORKLOADS, review("xs", kind="X", group="x", new=new), saying(ALLOWED))["allowed"]
    assert OnUnverified.HOLD


def test_live_reads_that_fail_are_denials() -> None:
    behind = Behind()
    behind.cluster._get = lambda *_: (500, {})  # type: ignore[method-assign]
    body = review("pods/exec", "CONNECT", kind="PodExecOptions", name="x", new={})
    assert asked(CONNECTIONS, body, behind)["allowed"] is False
    for name in ("", ".."):
        nameless = review("pods/exec", "CONNECT", kind="PodExecOptions", name=name, new={})
        assert asked(CONNECTIONS, nameless)["allowed"] is False


def test_whoever_cannot_be_asked_about_may_not() -> None:
    class Broken(Behind):
        pass

    behind = Broken()

    async def call(*_: Any, **__: Any) -> Any:
        from weightlock_webhook.reviews.collaborators import Reply  # noqa: PLC0415

        return Reply(403, b"{}")

    behind.cluster.call = call  # type: ignore[method-assign]
    assert asked(NAMESPACES, namespace({"weightlock.dev/x": "1"}), behind)["allowed"] is False
