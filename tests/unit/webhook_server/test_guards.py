"""Who may do what to Weightlock's own (A07, A08, A10, A15, A30, B02, B25)."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from tests.unit.policy.builders import policy_object

from weightlock_webhook.documents import Metadata, OwnerReference, User
from weightlock_webhook.guards import claims, jobs, namespaces, pods, resources
from weightlock_webhook.guards.keys import added_finalizers, changed_keys, is_marked
from weightlock_webhook.guards.refusals import GuardReason
from weightlock_webhook.guards.users import (
    CLEANERS,
    Accounts,
    is_job_controller,
    is_node,
    is_platform,
    listed_users,
)
from weightlock_webhook.guards.verification_pods import (
    Claimed,
    differing_field,
    job_of,
    not_a_verification,
)

OPERATOR = User("system:serviceaccount:weightlock-system:weightlock-operator")
CONTROLLER = User("system:serviceaccount:kube-system:job-controller")
REPLICA_SETS = User("system:serviceaccount:kube-system:replicaset-controller")
COLLECTOR = User("system:serviceaccount:kube-system:generic-garbage-collector")
NODE = User("system:node:node-1", groups=["system:nodes"])
NODE_IN_NAME_ONLY = User("system:node:node-1")
TENANT = User("team-a", groups=["system:authenticated"])
KUEUE = User("system:serviceaccount:kueue-system:kueue-controller-manager")
ACCOUNTS = Accounts(OPERATOR.username, frozenset({KUEUE.username}))

MARKS = {"weightlock.dev/verification": "n1", "weightlock.dev/checkpoint-uid": "c1"}
PLAIN = Metadata(name="x")
MARKED = Metadata(name="x", labels=MARKS)
REMARKED = Metadata(name="x", labels={**MARKS, "weightlock.dev/verification": "n2"})
LABELLED = Metadata(name="x", labels={**MARKS, "a": "b"})

WHO = [
    pytest.param(user, id=name)
    for name, user in {
        "tenant": TENANT,
        "replica set controller": REPLICA_SETS,
        "a node in name only": NODE_IN_NAME_ONLY,
    }.items()
]


@pytest.mark.parametrize("user", WHO)
def test_a_marked_job_is_the_operators_alone(user: User) -> None:
    assert jobs.job_created(user, MARKED, ACCOUNTS)
    assert jobs.job_created(user, PLAIN, ACCOUNTS) is None
    assert jobs.job_updated(user, MARKED, LABELLED, ACCOUNTS)
    assert jobs.job_updated(user, PLAIN, MARKED, ACCOUNTS)
    assert jobs.job_updated(user, PLAIN, PLAIN, ACCOUNTS) is None
    assert jobs.job_deleted(user, MARKED, ACCOUNTS)
    assert jobs.job_deleted(user, PLAIN, ACCOUNTS) is None
    assert jobs.job_status_updated(user, MARKED, MARKED)
    assert jobs.job_status_updated(user, MARKED, PLAIN)
    assert jobs.job_status_updated(user, PLAIN, MARKED)
    assert jobs.job_status_updated(user, PLAIN, PLAIN) is None


def test_those_who_look_after_jobs_may() -> None:
    assert jobs.job_created(OPERATOR, MARKED, ACCOUNTS) is None
    assert jobs.job_created(CONTROLLER, MARKED, ACCOUNTS)
    for user in (OPERATOR, CONTROLLER, KUEUE):
        assert jobs.job_updated(user, MARKED, LABELLED, ACCOUNTS) is None
    assert jobs.job_deleted(OPERATOR, MARKED, ACCOUNTS) is None
    assert jobs.job_deleted(COLLECTOR, MARKED, ACCOUNTS) is None
    assert jobs.job_deleted(KUEUE, MARKED, ACCOUNTS)
    assert jobs.job_status_updated(CONTROLLER, MARKED, MARKED) is None
    assert jobs.job_status_updated(OPERATOR, MARKED, MARKED)


@pytest.mark.parametrize("user", [OPERATOR, CONTROLLER, KUEUE], ids=str)
def test_nobody_changes_the_marks_of_a_job(user: User) -> None:
    assert jobs.job_updated(user, MARKED, REMARKED, ACCOUNTS)
    assert jobs.job_updated(user, MARKED, PLAIN, ACCOUNTS)
    assert jobs.job_updated(user, PLAIN, MARKED, ACCOUNTS)


@pytest.mark.parametrize("user", WHO)
def test_a_verification_pod_is_not_theirs(user: User) -> None:
    assert pods.verification_pod_updated(user, MARKED, LABELLED, ACCOUNTS)
    assert pods.verification_pod_updated(user, MARKED, PLAIN, ACCOUNTS)
    assert pods.verification_pod_deleted(user, MARKED, ACCOUNTS)
    assert pods.verification_pod_updated(user, PLAIN, PLAIN, ACCOUNTS) is None
    assert pods.verification_pod_deleted(user, PLAIN, ACCOUNTS) is None


@pytest.mark.parametrize("user", [OPERATOR, CONTROLLER, COLLECTOR, NODE], ids=str)
def test_those_who_look_after_pods_may_but_not_change_their_marks(user: User) -> None:
    assert pods.verification_pod_updated(user, MARKED, LABELLED, ACCOUNTS) is None
    assert pods.verification_pod_deleted(user, MARKED, ACCOUNTS) is None
    assert pods.verification_pod_updated(user, MARKED, REMARKED, ACCOUNTS)
    assert pods.verification_pod_updated(user, MARKED, PLAIN, ACCOUNTS)
    assert pods.verification_pod_updated(user, PLAIN, MARKED, ACCOUNTS)


@pytest.mark.parametrize("mark", MARKS)
def test_one_mark_is_enough(mark: str) -> None:
    assert is_marked(Metadata(labels={mark: MARKS[mark]}))
    assert not is_marked(Metadata(annotations={mark: MARKS[mark]}))


@pytest.mark.parametrize(
    ("labels", "annotations", "held", "free"),
    [
        pytest.param({}, {}, None, None, id="nothing"),
        pytest.param({"app": "x"}, {"a": "b"}, None, None, id="their own"),
        pytest.param({"weightlock.dev/held": "true"}, {}, None, "no", id="held"),
        pytest.param({}, {"weightlock.dev/waits-for": "[]"}, None, None, id="what a copy brings"),
        pytest.param({}, {"weightlock.dev/nudged-at": "x"}, None, None, id="what a copy brings 2"),
        pytest.param({"weightlock.dev/skip": "1"}, {}, "no", "no", id="an invention"),
        pytest.param({}, {"weightlock.dev/checkpoint": "x"}, "no", "no", id="a Job's"),
        pytest.param({"xweightlock.dev/held": "true"}, {}, None, None, id="another prefix"),
    ],
)
def test_keys_of_ours_on_a_new_pod(
    labels: dict[str, str], annotations: dict[str, str], held: str | None, free: str | None
) -> None:
    metadata = Metadata(labels=labels, annotations=annotations)
    assert bool(pods.reserved_keys_set(metadata, is_held=True)) == bool(held)
    assert bool(pods.reserved_keys_set(metadata, is_held=False)) == bool(free)


def test_a_binding_brings_none_at_all() -> None:
    assert pods.reserved_keys_bound(Metadata(annotations={"weightlock.dev/waits-for": "[]"}))
    assert pods.reserved_keys_bound(Metadata(annotations={"a": "b"})) is None


@pytest.mark.parametrize("key", ["held", "waits-for", "nudged-at"])
def test_only_the_operator_changes_what_holds(key: str) -> None:
    before, after = Metadata(labels={f"weightlock.dev/{key}": "1"}), PLAIN
    for old, new in ((before, after), (after, before)):
        refusal = pods.reserved_keys_changed(TENANT, old, new, ACCOUNTS)
        assert refusal
        assert refusal.reason == GuardReason.RESERVED_KEY
        assert pods.reserved_keys_changed(OPERATOR, old, new, ACCOUNTS) is None
    assert pods.reserved_keys_changed(TENANT, before, before, ACCOUNTS) is None
    assert pods.reserved_keys_changed(
        OPERATOR, PLAIN, Metadata(labels={"weightlock.dev/x": ""}), ACCOUNTS
    )


@pytest.mark.parametrize(
    ("user", "annotations", "node", "is_mirror"),
    [
        pytest.param(NODE, {pods.MIRROR_ANNOTATION: "h"}, "node-1", True, id="its own node"),
        pytest.param(NODE, {pods.MIRROR_ANNOTATION: "h"}, "node-2", False, id="another node"),
        pytest.param(NODE, {pods.MIRROR_ANNOTATION: "h"}, "", False, id="no node"),
        pytest.param(
            User("system:node:", groups=["system:nodes"]),
            {pods.MIRROR_ANNOTATION: "h"},
            "",
            False,
            id="a node without a name",
        ),
        pytest.param(NODE, {}, "node-1", False, id="no annotation"),
        pytest.param(TENANT, {pods.MIRROR_ANNOTATION: "h"}, "node-1", False, id="a tenant"),
        pytest.param(
            NODE_IN_NAME_ONLY, {pods.MIRROR_ANNOTATION: "h"}, "node-1", False, id="a name only"
        ),
    ],
)
def test_a_mirror_pod_is_its_nodes(
    user: User, annotations: dict[str, str], node: str, is_mirror: bool
) -> None:
    assert pods.is_mirror_of(user, Metadata(annotations=annotations), node) is is_mirror


def test_names_in_messages_are_escaped() -> None:
    refusal = pods.reserved_keys_set(
        Metadata(labels={"weightlock.dev/\x1b[31m\n": "x"}), is_held=False
    )
    assert refusal
    assert "\x1b" not in refusal.message
    assert "\n" not in refusal.message


# --- the proof that a pod is a verification ---------------------------------------------------


def template() -> dict[str, Any]:
    return {
        "containers": [
            {
                "name": "v",
                "image": "verifier@sha256:1",
                "env": [{"name": "A", "value": "1"}],
                "resources": {"limits": {"cpu": "1"}},
            }
        ],
        "volumes": [
            {"name": "c", "persistentVolumeClaim": {"claimName": "x", "readOnly": True}},
            {"name": "t", "emptyDir": {}},
        ],
        "nodeSelector": {"gpu": "yes"},
        "tolerations": [{"key": "gpu"}],
        "restartPolicy": "Never",
    }


def owner(
    kind: str = "Job", uid: str = "j1", group: str = "batch/v1", **more: Any
) -> OwnerReference:
    return OwnerReference(group, kind, "verify", uid, **{"controller": True, **more})


CHECKPOINT_OWNER = owner("ModelCheckpoint", "c1", "weightlock.dev/v1beta1")
JOB = Metadata(name="verify", uid="j1", labels=MARKS, owner_references=[CHECKPOINT_OWNER])
POD = Metadata(name="verify-x", labels=MARKS, owner_references=[owner()])


def claimed(**changes: Any) -> Claimed:
    found: dict[str, Any] = {
        "user": CONTROLLER,
        "metadata": POD,
        "spec": template(),
        "job": JOB,
        "job_spec": {"template": {"spec": template()}},
        **changes,
    }
    return Claimed(**found)


def test_the_whole_proof_lets_a_pod_in() -> None:
    assert not_a_verification(claimed()) is None
    assert not_a_verification(claimed(images=frozenset({"verifier@sha256:1"}))) is None


def writing() -> dict[str, Any]:
    found = template()
    found["volumes"][0]["persistentVolumeClaim"]["readOnly"] = False
    return found


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        pytest.param({"user": TENANT}, "only the Job controller", id="a tenant makes it"),
        pytest.param({"user": OPERATOR}, "only the Job controller", id="the operator makes it"),
        pytest.param({"user": REPLICA_SETS}, "only the Job controller", id="another controller"),
        pytest.param({"job": None}, "not found", id="no Job"),
        pytest.param({"metadata": Metadata(labels=MARKS)}, "not found", id="no owner"),
        pytest.param(
            {"metadata": Metadata(labels=MARKS, owner_references=[owner(uid="j2")])},
            "not found",
            id="another Job's uid",
        ),
        pytest.param(
            {"metadata": Metadata(labels=MARKS, owner_references=[owner(controller=False)])},
            "not found",
            id="an owner that does not control",
        ),
        pytest.param(
            {"metadata": Metadata(labels=MARKS, owner_references=[owner(group="batch.evil/v1")])},
            "not found",
            id="a Job of another group",
        ),
        pytest.param(
            {"metadata": Metadata(labels=MARKS, owner_references=[owner("CronJob")])},
            "not found",
            id="an owner of another kind",
        ),
        pytest.param(
            {
                "metadata": Metadata(
                    labels={**MARKS, "weightlock.dev/verification": "n2"},
                    owner_references=[owner()],
                )
            },
            "different labels",
            id="another nonce",
        ),
        pytest.param(
            {"job": Metadata(uid="j1", labels=MARKS)}, "operator's", id="a Job without checkpoint"
        ),
        pytest.param(
            {
                "job": Metadata(
                    uid="j1", labels=MARKS, owner_references=[owner("ModelCheckpoint", "c", "x/v1")]
                )
            },
            "operator's",
            id="a checkpoint of another group",
        ),
        pytest.param(
            {
                "job": Metadata(
                    uid="j1",
                    labels=MARKS,
                    owner_references=[owner("ModelPolicy", "c1", "weightlock.dev/v1beta1")],
                )
            },
            "operator's",
            id="another kind of the group",
        ),
        pytest.param(
            {
                "job": Metadata(
                    uid="j1",
                    labels=MARKS,
                    owner_references=[
                        owner("ModelCheckpoint", "c1", "weightlock.dev/v1beta1", controller=False)
                    ],
                )
            },
            "operator's",
            id="a checkpoint that does not control",
        ),
        pytest.param(
            {
                "job": Metadata(uid="j1", owner_references=[CHECKPOINT_OWNER]),
                "metadata": Metadata(owner_references=[owner()]),
            },
            "operator's",
            id="no labels at all",
        ),
        pytest.param({"job_spec": {}}, "its spec", id="a Job without template"),
        pytest.param(
            {"images": frozenset({"other@sha256:2"})}, "another image", id="another image"
        ),
        pytest.param(
            {"spec": writing(), "job_spec": {"template": {"spec": writing()}}},
            "for writing",
            id="a claim for writing",
        ),
    ],
)
def test_anything_less_does_not(changes: dict[str, Any], why: str) -> None:
    refusal = not_a_verification(claimed(**changes))
    assert refusal
    assert why in refusal.message
    assert refusal.reason == GuardReason.NOT_A_VERIFICATION


def test_only_a_controlling_job_counts_as_job() -> None:
    assert job_of(POD) == owner()
    assert job_of(Metadata(owner_references=[CHECKPOINT_OWNER])) is None
    assert job_of(Metadata()) is None


ADDITIONS: list[tuple[str, Any]] = [
    ("serviceAccountName", "default"),
    ("schedulerName", "default-scheduler"),
    ("priority", 0),
    ("preemptionPolicy", "PreemptLowerPriority"),
    ("tolerations", [{"key": "gpu"}, {"key": "node.kubernetes.io/not-ready"}]),
    ("nodeSelector", {"gpu": "yes", "zone": "a"}),
    ("imagePullSecrets", [{"name": "registry"}]),
    ("enableServiceLinks", True),
    ("hostname", "verify-0"),
    ("dnsPolicy", "ClusterFirst"),
    ("overhead", {"cpu": "1"}),
    ("priorityClassName", "low"),
    ("securityContext", {}),
    ("serviceAccount", "default"),
    ("subdomain", "verify"),
    ("terminationGracePeriodSeconds", 30),
]


@pytest.mark.parametrize(("key", "value"), ADDITIONS, ids=[key for key, _ in ADDITIONS])
def test_what_the_api_server_adds_is_no_difference(key: str, value: Any) -> None:
    assert differing_field({**template(), key: value}, template()) == ""


CHANGES: list[tuple[str, Any]] = [
    ("volumes", []),
    ("volumes", [*template()["volumes"], {"name": "h", "hostPath": {"path": "/"}}]),
    ("initContainers", [{"name": "i", "image": "x"}]),
    ("ephemeralContainers", [{"name": "i", "image": "x"}]),
    ("hostPID", True),
    ("hostNetwork", True),
    ("shareProcessNamespace", True),
    ("runtimeClassName", "other"),
    ("nodeName", "node-1"),
    ("nodeSelector", {"gpu": "no"}),
    ("tolerations", []),
    ("restartPolicy", "Always"),
    ("affinity", {}),
    ("unknown", 1),
    ("containers", []),
]


@pytest.mark.parametrize("silent", [None, {}, ""], ids=repr)
def test_what_a_template_says_with_nothing_is_added_to(silent: object) -> None:
    """The API server may leave an empty value where it was sent one."""
    assert differing_field(template(), {**template(), "restartPolicy": silent}) == ""
    assert differing_field(template(), {**template(), "nodeSelector": silent}) == ""
    assert differing_field(template(), {**template(), "volumes": silent}) == "volumes"
    pulled = template()
    pulled["containers"][0]["imagePullPolicy"] = silent
    added = template()
    added["containers"][0]["imagePullPolicy"] = "Always"
    added["containers"][0]["terminationMessagePolicy"] = "File"
    assert differing_field(added, pulled) == ""


@pytest.mark.parametrize(("key", "value"), CHANGES, ids=[f"{k}={v}"[:40] for k, v in CHANGES])
def test_anything_else_is_one(key: str, value: Any) -> None:
    assert differing_field({**template(), key: value}, template()) == key


CONTAINER_CHANGES: list[tuple[str, Any, bool]] = [
    ("terminationMessagePath", "/dev/termination-log", True),
    ("imagePullPolicy", "IfNotPresent", True),
    ("env", [{"name": "A", "value": "1"}, {"name": "JOB_COMPLETION_INDEX", "value": "0"}], True),
    ("env", [{"name": "A", "value": "1"}, {"name": "LD_PRELOAD", "value": "0"}], False),
    ("env", [{"name": "JOB_COMPLETION_INDEX", "value": "0"}], False),
    ("image", "other", False),
    ("command", ["sh"], False),
    ("args", [], False),
    ("resources", {"limits": {"cpu": "2"}}, False),
    ("volumeMounts", [{"name": "t", "mountPath": "/"}], False),
    ("securityContext", {"privileged": True}, False),
]


@pytest.mark.parametrize(
    ("key", "value", "same"), CONTAINER_CHANGES, ids=[f"{c[0]}-{c[2]}" for c in CONTAINER_CHANGES]
)
def test_a_containers_program_is_the_templates(key: str, value: Any, same: bool) -> None:
    spec = copy.deepcopy(template())
    spec["containers"][0][key] = value
    assert (differing_field(spec, template()) == "") is same
    # What the server adds beside it hides nothing, in whatever order the fields are looked at.
    for added in ("imagePullPolicy", "terminationMessagePath", "terminationMessagePolicy"):
        spec["containers"][0].setdefault(added, "x")
    index = {"name": "JOB_COMPLETION_INDEX", "value": "0"}
    if key != "env":
        spec["containers"][0]["env"] = [*template()["containers"][0]["env"], index]
    assert (differing_field(spec, template()) == "") is same


def test_every_container_must_be_the_templates() -> None:
    two = template()
    two["containers"].append({"name": "second", "image": "verifier@sha256:1"})
    assert differing_field(two, two) == ""
    for number in (0, 1):
        spec = copy.deepcopy(two)
        spec["containers"][number]["image"] = "other"
        assert differing_field(spec, two) == "containers"
    first = {"initContainers": template()["containers"]}
    spec = {**copy.deepcopy(template()), **copy.deepcopy(first)}
    spec["initContainers"][0]["imagePullPolicy"] = "Always"
    assert differing_field(spec, {**template(), **first}) == ""
    spec["initContainers"][0]["image"] = "other"
    assert differing_field(spec, {**template(), **first}) == "initContainers"


def test_every_variable_that_was_added_must_be_the_index() -> None:
    spec = template()
    spec["containers"][0]["env"] += [
        {"name": "JOB_COMPLETION_INDEX", "value": "0"},
        {"name": "LD_PRELOAD", "value": "evil.so"},
    ]
    assert differing_field(spec, template()) == "containers"


def test_resources_may_come_from_a_limit_range_only_where_none_are_said() -> None:
    silent = template()
    del silent["containers"][0]["resources"]
    assert differing_field(template(), silent) == ""


# --- our own kinds ----------------------------------------------------------------------------


def test_a_status_is_written_by_the_operator() -> None:
    assert resources.status_written(OPERATOR, ACCOUNTS) is None
    refusal = resources.status_written(User('eve"\n'), ACCOUNTS)
    assert refusal
    assert "\n" not in refusal.message


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(Metadata(annotations={"kopf.zalando.org/x": "1"}), id="kopf"),
        pytest.param(Metadata(annotations={"kopf.dev/x": "1"}), id="newer kopf"),
        pytest.param(Metadata(annotations={"operator.weightlock.dev/x": "1"}), id="operator"),
        pytest.param(Metadata(labels={"weightlock.dev/x": "1"}), id="label"),
        pytest.param(Metadata(finalizers=["operator.weightlock.dev/f"]), id="finalizer"),
    ],
)
def test_notes_for_the_operator_are_its_own(after: Metadata) -> None:
    assert resources.keys_set(TENANT, None, after, ACCOUNTS)
    assert resources.keys_set(TENANT, after, after, ACCOUNTS) is None
    assert resources.keys_set(OPERATOR, None, after, ACCOUNTS) is None


def test_other_notes_are_theirs() -> None:
    after = Metadata(annotations={"a": "b"}, labels={"c": "d"}, finalizers=["e/f"])
    assert resources.keys_set(TENANT, None, after, ACCOUNTS) is None


def test_an_owner_may_go_but_not_come() -> None:
    owned = Metadata(owner_references=[owner("ConfigMap", "u", "v1")])
    assert resources.owner_added(TENANT, None, owned, ACCOUNTS)
    assert resources.owner_added(TENANT, PLAIN, owned, ACCOUNTS)
    assert resources.owner_added(TENANT, owned, owned, ACCOUNTS) is None
    assert resources.owner_added(TENANT, owned, PLAIN, ACCOUNTS) is None
    assert resources.owner_added(OPERATOR, None, owned, ACCOUNTS) is None
    assert resources.owner_added(COLLECTOR, None, owned, ACCOUNTS) is None


def test_a_policy_is_read_as_everywhere() -> None:
    assert resources.spec_invalid(policy_object(), "") is None
    generated = {**policy_object(), "metadata": {"generateName": "p-"}}
    assert resources.spec_invalid(generated, "") is None
    bad = resources.spec_invalid({**policy_object(), "spec": {}}, "")
    assert bad
    assert (bad.code, bad.reason) == (422, "PolicyInvalid")


@pytest.mark.parametrize(
    ("selector", "loose"),
    [
        pytest.param({}, "", id="every namespace"),
        pytest.param({"matchLabels": {"weightlock.dev/tier": "low"}}, "", id="ours"),
        pytest.param(
            {"matchLabels": {"kubernetes.io/metadata.name": "team-a"}}, "", id="by its name"
        ),
        pytest.param({"matchLabels": {"team": "a"}}, '"team"', id="anybody's"),
        pytest.param(
            {
                "matchLabels": {"weightlock.dev/tier": "low"},
                "matchExpressions": [{"key": "xweightlock.dev/off", "operator": "DoesNotExist"}],
            },
            '"xweightlock.dev/off"',
            id="one of two",
        ),
    ],
)
def test_labels_that_nobody_guards_are_warned_about(selector: dict[str, Any], loose: str) -> None:
    found = resources.selector_unguarded(policy_object(namespaceSelector=selector))
    assert bool(found) is bool(loose)
    assert all(loose in warning and len(warning) <= 256 for warning in found)


def test_a_checkpoint_too_and_its_status_does_not_matter() -> None:
    found = {
        "apiVersion": "weightlock.dev/v1beta1",
        "kind": "ModelCheckpoint",
        "metadata": {"name": "c"},
        "spec": {"source": {"persistentVolumeClaim": {"claimName": "x"}, "path": "/a"}},
        "status": {"phase": "Nonsense"},
    }
    assert resources.spec_invalid(found, "team-a") is None
    assert resources.selector_unguarded(found) == ()
    assert resources.spec_invalid({**found, "spec": {"source": {}}}, "team-a")
    assert resources.spec_invalid({**found, "metadata": None}, "team-a")


def test_only_a_changed_spec_is_read_again() -> None:
    assert resources.spec_changed(None, {"spec": 1})
    assert resources.spec_changed({"spec": 1}, {"spec": 2})
    assert not resources.spec_changed({"spec": 1, "a": 1}, {"spec": 1, "a": 2})


# --- namespaces, keys, users ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "refused"),
    [(None, False), ("sly", False), ("kube-system", True), ("", True)],
    ids=["none", "its own", "another's", "empty"],
)
def test_a_namespace_bears_its_own_name(label: str | None, refused: bool) -> None:
    labels = {} if label is None else {"kubernetes.io/metadata.name": label}
    assert bool(namespaces.name_label_forged("sly", Metadata(labels=labels))) is refused


def test_our_labels_of_namespaces_are_noticed() -> None:
    after = Metadata(labels={"weightlock.dev/tier": "low", "a": "b"})
    assert namespaces.labels_changed(None, after) == ("weightlock.dev/tier",)
    assert namespaces.labels_changed(after, after) == ()
    assert namespaces.labels_changed(after, PLAIN) == ("weightlock.dev/tier",)
    assert "weightlock.dev/tier" in namespaces.labels_refused(("weightlock.dev/tier",)).message


def test_keys_that_change_are_found() -> None:
    before = Metadata(labels={"weightlock.dev/a": "1", "b": "1"}, annotations=None)
    after = Metadata(labels={"b": "2"}, annotations={"weightlock.dev/c": "1"})
    assert changed_keys(before, after) == ("weightlock.dev/a", "weightlock.dev/c")
    assert changed_keys(before, after, "b") == ("b",)
    assert added_finalizers(None, Metadata(finalizers=["x/y", "z"]), "x/") == ("x/y",)
    assert is_marked(MARKED)
    assert not is_marked(PLAIN)
    assert not is_marked(None)


def test_users_are_who_they_are() -> None:
    # Without one of these, Jobs, pods or whole namespaces of ours could never go.
    assert {name.rpartition(":")[2] for name in CLEANERS} == {
        "daemon-set-controller",
        "disruption-controller",
        "generic-garbage-collector",
        "job-controller",
        "namespace-controller",
        "node-controller",
        "pod-garbage-collector",
        "taint-eviction-controller",
        "ttl-after-finished-controller",
    }
    assert all(name.startswith("system:serviceaccount:kube-system:") for name in CLEANERS)
    assert all(is_platform(User(name)) for name in CLEANERS)
    assert is_job_controller(CONTROLLER)
    assert is_job_controller(MANAGER)
    assert not is_job_controller(COLLECTOR)
    assert is_platform(User("system:kube-controller-manager"))
    assert not is_platform(TENANT)
    assert is_node(NODE)
    assert not is_node(NODE_IN_NAME_ONLY)
    assert not is_node(User("eve", groups=["system:nodes"]))
    assert listed_users([" a", "", "b "]) == {"a", "b"}


PROTECTED = Metadata(name="llama", finalizers=["team.example/mine", claims.PROTECTION])
UNPROTECTED = Metadata(name="llama", finalizers=["team.example/mine"])
BARE = Metadata(name="llama")
MANAGER = User("system:kube-controller-manager")
PROTECTOR = User("system:serviceaccount:kube-system:pvc-protection-controller")
MASTER = User("kubernetes-admin", groups=["system:masters"])


@pytest.mark.parametrize("user", [TENANT, MASTER, OPERATOR, REPLICA_SETS, NODE], ids=str)
@pytest.mark.parametrize("after", [UNPROTECTED, BARE], ids=["one left", "none left"])
def test_nobody_takes_away_what_keeps_a_claim(user: User, after: Metadata) -> None:
    refusal = claims.protection_removed(user, PROTECTED, after)
    assert refusal is not None
    assert refusal.reason == GuardReason.PROTECTION_REMOVED
    assert 'claim "llama"' in refusal.message
    assert "delete it" in refusal.message


@pytest.mark.parametrize("user", [MANAGER, PROTECTOR], ids=str)
def test_but_the_controllers_that_put_it_there(user: User) -> None:
    assert claims.protection_removed(user, PROTECTED, BARE) is None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(PROTECTED, PROTECTED, id="left as it is"),
        pytest.param(UNPROTECTED, BARE, id="their own removed"),
        pytest.param(BARE, UNPROTECTED, id="their own added"),
        pytest.param(BARE, PROTECTED, id="protected"),
        pytest.param(
            PROTECTED, Metadata(name="llama", finalizers=[claims.PROTECTION]), id="only theirs"
        ),
    ],
)
def test_whatever_else_becomes_of_finalizers_is_the_tenants(
    before: Metadata, after: Metadata
) -> None:
    assert claims.protection_removed(TENANT, before, after) is None
