"""The Job that is made: what it runs, what it may do, what it reads, and where."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.operator_decisions.simulated import (
    CPU_IMAGE,
    DEVICE_IMAGE,
    Cluster,
    checkpoint_object,
    claim_object,
    pod_object,
    request_of,
    step,
    volume_object,
)
from tests.unit.policy.builders import (
    EC,
    PQ,
    PQ_TOO,
    authority,
    key,
    policy_object,
    rule,
    signatures,
)

from weightlock.algorithms import ML_DSA_87
from weightlock.digests import HashAlgorithm
from weightlock.errors import Malformed
from weightlock.reporting import EngineName
from weightlock_operator.decision import jobs
from weightlock_operator.decision.facts import Installation, ServerFeatures
from weightlock_operator.decision.flights import DeviceKind
from weightlock_operator.decision.pod_specs import changed_fields, pod_spec_hash

POD = "spec.template.spec"
CONTAINER = f"{POD}.containers.0"


def job_for(cluster: Cluster) -> Any:
    cluster.look()
    assert cluster.jobs, cluster.status
    return list(cluster.jobs.values())[-1]


def with_policy(**spec: object) -> Cluster:
    return Cluster(policies=[policy_object(**spec)])


def verified_on(device: object, **more: object) -> Any:
    return job_for(with_policy(verification={"device": device, **more}))


def test_the_pod_is_restricted() -> None:
    """As the Restricted pod security standard of Kubernetes demands it."""
    job = job_for(Cluster())
    pod, container = step(job, POD), step(job, CONTAINER)
    assert isinstance(pod, dict)
    assert isinstance(container, dict)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    context = container["securityContext"]
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["readOnlyRootFilesystem"] is True
    assert not {"hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"} & pod.keys()
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False


def test_a_job_and_its_pods_can_be_told_by_their_labels() -> None:
    """Network policies, quotas and our own guards go by them."""
    job = job_for(Cluster())
    for where in ("metadata.labels", "spec.template.metadata.labels"):
        labels = step(job, where)
        assert isinstance(labels, dict)
        nonce = labels.pop("weightlock.dev/verification")
        assert str(step(job, "metadata.name")).endswith(f"-{nonce}")
        assert labels == {
            "app.kubernetes.io/name": "weightlock",
            "app.kubernetes.io/component": "verifier",
            "app.kubernetes.io/managed-by": "weightlock",
            "weightlock.dev/checkpoint-uid": str(step(job, "metadata.ownerReferences.0.uid")),
        }


def test_it_ends_and_is_never_started_again() -> None:
    job = job_for(with_policy(verification={"limits": {"deadline": "90m"}}))
    assert step(job, "spec.backoffLimit") == 0
    assert step(job, f"{POD}.restartPolicy") == "Never"
    assert step(job, "spec.activeDeadlineSeconds") == 90 * 60
    assert step(job, "spec.ttlSecondsAfterFinished") == 30 * 60
    assert step(job, f"{CONTAINER}.terminationMessagePolicy") == "File"


def test_the_volume_is_mounted_read_only_and_no_kubelet_follows_links_in_it() -> None:
    job = job_for(Cluster())
    assert step(job, f"{CONTAINER}.volumeMounts.0") == {
        "name": "checkpoint",
        "mountPath": "/checkpoint",
        "readOnly": True,
    }
    assert step(job, f"{CONTAINER}.args.2") == "--below=step-1200"
    assert step(job, f"{POD}.volumes.0") == {
        "name": "checkpoint",
        "persistentVolumeClaim": {"claimName": "llama", "readOnly": True},
    }


def test_a_path_says_the_same_after_a_kubelet_put_variables_into_it() -> None:
    odd = checkpoint_object(
        source={"persistentVolumeClaim": {"claimName": "llama"}, "path": "/a$$b/$(HOME)/$x"}
    )
    text = step(job_for(Cluster(checkpoint=odd)), f"{CONTAINER}.args.2")
    assert expanded(str(text), {"HOME": "/root"}) == "--below=a$$b/$(HOME)/$x"


def expanded(text: str, variables: dict[str, str]) -> str:
    """What a kubelet makes of an argument."""
    return re.sub(
        r"\$(?:\$|\((\w+)\))", lambda found: variables[found[1]] if found[1] else "$", text
    )


IMAGE = "registry.example/models/llama@sha256:" + "ab" * 32
SOURCES: dict[str, tuple[Any, Any]] = {
    "hostPath": (
        {"hostPath": {"path": "/mnt/models", "nodeName": "node-a"}},
        {"hostPath": {"path": "/mnt/models", "type": "Directory"}},
    ),
    "nfs": (
        {"nfs": {"server": "files.example", "path": "/export"}},
        {"nfs": {"server": "files.example", "path": "/export", "readOnly": True}},
    ),
    "csi": (
        {"csi": {"driver": "csi.example", "volumeAttributes": {"bucket": "models"}}},
        {
            "csi": {
                "driver": "csi.example",
                "readOnly": True,
                "volumeAttributes": {"bucket": "models"},
            }
        },
    ),
    "bare csi": (
        {"csi": {"driver": "csi.example"}},
        {"csi": {"driver": "csi.example", "readOnly": True}},
    ),
    "image": (
        {"image": {"reference": IMAGE}},
        {"image": {"reference": IMAGE, "pullPolicy": "IfNotPresent"}},
    ),
}


def on_node(source: Any, **more: Any) -> Cluster:
    """Under a policy that has rules for the folder and the driver."""
    rules = [
        {"hostPath": {"paths": ["/mnt/models"]}, "action": "Verify"},
        {"csi": {"drivers": ["csi.example"]}, "action": "Verify"},
    ]
    policies = [policy_object(volumes={"rules": rules})]
    return Cluster(checkpoint=checkpoint_object(source=source), policies=policies, **more)


@pytest.mark.parametrize(("source", "volume"), SOURCES.values(), ids=SOURCES)
def test_every_source_becomes_a_volume(source: Any, volume: Any) -> None:
    cluster = on_node(source, server=ServerFeatures(image_volumes=True))
    job = job_for(cluster)
    assert step(job, f"{POD}.volumes.0") == {"name": "checkpoint", **volume}
    assert "below" not in str(step(job, CONTAINER))
    cluster.settle()
    assert cluster.phase == "Verified"


def test_an_image_is_not_read_where_the_server_drops_it() -> None:
    cluster = Cluster(checkpoint=checkpoint_object(source={"image": {"reference": IMAGE}}))
    cluster.look()
    assert (cluster.phase, cluster.reason, cluster.jobs) == ("Error", "StorageUnavailable", {})


def test_a_folder_of_a_node_that_is_missing_is_not_made() -> None:
    path = {"hostPath": {"path": "/mnt/models", "nodeName": "node-a"}, "path": "/llama/step-1200"}
    job = job_for(on_node(path))
    assert step(job, f"{POD}.volumes.0.hostPath") == {
        "path": "/mnt/models/llama/step-1200",
        "type": "Directory",
    }
    assert "below" not in str(step(job, CONTAINER))


def test_a_path_of_a_node_is_read_on_that_node() -> None:
    job = job_for(on_node({"hostPath": {"path": "/mnt/models", "nodeName": "node-a"}}))
    assert step(job, f"{POD}.affinity") == pinned("node-a")


def test_a_path_of_no_node_in_particular_is_not_read() -> None:
    cluster = on_node({"hostPath": {"path": "/mnt/models"}})
    cluster.look()
    assert (cluster.phase, cluster.reason) == ("Error", "StorageUnavailable")
    assert "nodeName" in str(cluster.status["message"])


def pinned(node: str) -> object:
    field = {"key": "metadata.name", "operator": "In", "values": [node]}
    required = {"nodeSelectorTerms": [{"matchFields": [field]}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}


@pytest.mark.parametrize(
    ("device", "limits", "engine", "image"),
    [
        ({}, {}, EngineName.CPU, CPU_IMAGE),
        ({"resource": "nvidia.com/gpu"}, {"nvidia.com/gpu": "1"}, EngineName.CUDA, DEVICE_IMAGE),
        (
            {"resource": "nvidia.com/mig-1g.10gb", "count": 2},
            {"nvidia.com/mig-1g.10gb": "2"},
            EngineName.CUDA,
            DEVICE_IMAGE,
        ),
        ({"resource": "amd.com/gpu"}, {"amd.com/gpu": "1"}, EngineName.ROCM, DEVICE_IMAGE),
        (
            {"resource": "vendor.example/x"},
            {"vendor.example/x": "1"},
            EngineName.AUTO,
            DEVICE_IMAGE,
        ),
    ],
)
def test_the_device_that_a_policy_asks_for(
    device: Any, limits: Any, engine: EngineName, image: str
) -> None:
    job = verified_on(device)
    found = step(job, f"{CONTAINER}.resources.limits")
    assert isinstance(found, dict)
    assert {key: value for key, value in found.items() if key not in ("cpu", "memory")} == limits
    assert request_of(job).engine is engine
    assert step(job, f"{CONTAINER}.image") == image


def test_a_device_claim_is_passed_on() -> None:
    job = verified_on({"resourceClaimTemplateName": "one-gpu"})
    claim = {"name": "device", "resourceClaimTemplateName": "one-gpu"}
    assert step(job, f"{POD}.resourceClaims") == [claim]
    assert step(job, f"{CONTAINER}.resources.claims") == [{"name": "device"}]


def test_what_a_policy_says_of_scheduling() -> None:
    job = verified_on(
        {},
        nodeSelector={"gpu": "h100"},
        tolerations=[{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
        priorityClassName="verification",
        queueName="models",
    )
    assert step(job, f"{POD}.nodeSelector") == {"gpu": "h100"}
    assert step(job, f"{POD}.tolerations") == [
        {"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}
    ]
    assert step(job, f"{POD}.priorityClassName") == "verification"
    spec = step(job, "spec")
    assert isinstance(spec, dict)
    assert "suspend" not in spec


def test_a_queue_needs_a_server_that_suspends_jobs() -> None:
    cluster = with_policy(verification={"queueName": "models"})
    cluster.server = ServerFeatures(suspended_jobs=True)
    job = job_for(cluster)
    assert step(job, "spec.suspend") is True
    labels = step(job, "metadata.labels")
    assert isinstance(labels, dict)
    assert labels["kueue.x-k8s.io/queue-name"] == "models"


def test_the_request_asks_for_every_policys_keys() -> None:
    audit = {"enforcement": "Audit", "digests": {"allowed": ["sha512"]}}
    watching = policy_object("watching", signatures=signatures(authority("x", PQ_TOO)), **audit)
    strict = policy_object(digests={"allowed": ["sha256"]})
    request = request_of(job_for(Cluster(policies=[strict, watching])))
    assert set(request.trust) == {PQ, PQ_TOO}
    assert request.allowed_hashes == {HashAlgorithm.SHA256, HashAlgorithm.SHA512}


def test_more_keys_than_arguments_can_hold_are_an_error() -> None:
    def trusting(policy: int) -> dict[str, object]:
        names = [f"key-{policy}-{number}" for number in range(30)]
        many = [authority(name, key(name, ML_DSA_87)) for name in names]
        return policy_object(
            f"p-{policy}", signatures=signatures(*many, rules=[rule("all", *names)])
        )

    cluster = Cluster(policies=[trusting(policy) for policy in range(11)])
    cluster.look()
    assert (cluster.phase, cluster.reason) == ("Error", "JobRefused")
    assert "Remove authorities" in str(cluster.status["message"])


def test_pull_secrets_and_amounts_come_from_the_installation() -> None:
    cluster = Cluster()
    installation = Installation(DEVICE_IMAGE, CPU_IMAGE, pull_secrets=("registry",))
    spec = cluster.facts().checkpoint.spec
    assert spec is not None
    order = jobs.Order(cluster.facts(installation=installation), spec, DeviceKind.CPU, shards=1)
    job = jobs.job_for(order)
    assert step(job, f"{POD}.imagePullSecrets") == [{"name": "registry"}]


# Placement.


def near(job: Any) -> Any:
    return step(job, f"{POD}.affinity")


def test_it_runs_near_the_pods_that_use_it() -> None:
    selector = {
        "matchLabels": {"app": "trainer"},
        "matchExpressions": [{"key": "gpu", "operator": "Exists"}],
    }
    cluster = Cluster(checkpoint=checkpoint_object(workloadSelector=selector))
    cluster.others = [pod_object()]
    affinity = near(job_for(cluster))
    preferred = "preferredDuringSchedulingIgnoredDuringExecution"
    (term,) = affinity["nodeAffinity"][preferred]
    assert term["preference"]["matchFields"][0]["values"] == ["node-a"]
    (other,) = affinity["podAffinity"][preferred]
    assert other["podAffinityTerm"]["labelSelector"]["matchExpressions"] == [
        {"key": "app", "operator": "In", "values": ["trainer"]},
        {"key": "gpu", "operator": "Exists"},
    ]


def held_pod(**spec: Any) -> Any:
    pod: Any = pod_object("waiting", nodeName="", **spec)
    pod["metadata"]["labels"] = {"weightlock.dev/held": "true"}
    pod["metadata"]["annotations"] = {"weightlock.dev/waits-for": '[{"claim":"llama"}]'}
    return pod


def test_it_runs_where_waiting_pods_may_run() -> None:
    cluster = Cluster(others=[held_pod(nodeSelector={"zone": "b"})])
    (term,) = near(job_for(cluster))["nodeAffinity"][
        "preferredDuringSchedulingIgnoredDuringExecution"
    ]
    assert term["preference"] == {
        "matchExpressions": [{"key": "zone", "operator": "In", "values": ["b"]}]
    }


def test_anywhere_is_anywhere() -> None:
    cluster = with_policy(verification={"placement": "Anywhere"})
    cluster.others = [pod_object()]
    pod = step(job_for(cluster), POD)
    assert isinstance(pod, dict)
    assert "affinity" not in pod


def test_a_volume_of_one_node_is_read_where_it_is() -> None:
    volume: Any = volume_object()
    volume["spec"]["accessModes"] = ["ReadWriteOnce"]
    cluster = Cluster(volume=volume, others=[pod_object()])
    assert near(job_for(cluster)) == pinned("node-a")


def test_a_volume_of_one_pod_is_waited_for() -> None:
    volume: Any = volume_object()
    volume["spec"]["accessModes"] = ["ReadWriteOncePod"]
    cluster = Cluster(volume=volume, others=[pod_object()])
    cluster.look()
    assert (cluster.phase, cluster.reason) == ("Pending", "StoragePending")
    cluster.others = []
    cluster.settle()
    assert cluster.phase == "Verified"


LATE: Any = {"volumeBindingMode": "WaitForFirstConsumer"}


def bound_late() -> Cluster:
    return Cluster(claim=claim_object(volume=""), volume=None, storage_class=LATE)


def test_a_claim_that_is_bound_late_waits_for_its_first_pod() -> None:
    cluster = bound_late()
    cluster.look()
    assert (cluster.phase, cluster.reason) == ("Pending", "WaitingForConsumer")


def test_it_is_bound_where_the_waiting_pod_can_run() -> None:
    cluster = bound_late()
    required: Any = {"nodeSelectorTerms": [{"matchExpressions": []}]}
    word = "requiredDuringSchedulingIgnoredDuringExecution"
    tolerations = [{"key": "gpu", "operator": "Exists"}]
    cluster.others = [
        held_pod(
            nodeSelector={"zone": "b"},
            tolerations=tolerations,
            affinity={"nodeAffinity": {word: required}},
        )
    ]
    job = job_for(cluster)
    assert near(job) == {"nodeAffinity": {word: required}}
    assert step(job, f"{POD}.nodeSelector") == {"zone": "b"}
    assert step(job, f"{POD}.tolerations") == tolerations
    cluster.look()
    assert cluster.phase == "Verifying"
    cluster.claim, cluster.volume = claim_object(), volume_object()
    cluster.look()
    cluster.settle()
    assert (cluster.phase, cluster.jobs_made) == ("Verified", 1)


def test_a_claim_that_is_bound_a_second_time_is_other_storage() -> None:
    cluster = bound_late()
    cluster.is_requested = True
    cluster.look()
    cluster.claim, cluster.volume = claim_object(), volume_object(handle="good")
    cluster.look()
    cluster.run_jobs()
    cluster.volume = volume_object(handle="evil")
    cluster.look()
    assert (cluster.phase, cluster.reason) == ("Pending", "Queued")
    cluster.settle()
    assert "seal" not in cluster.status


def test_what_a_claim_was_bound_to_is_seen_before_the_answer_counts() -> None:
    cluster = bound_late()
    cluster.is_requested = True
    cluster.look()
    cluster.run_jobs()
    cluster.claim, cluster.volume = claim_object(), volume_object(handle="evil")
    cluster.look()
    assert (cluster.phase, cluster.reason) == ("Error", "ChangedWhileReading")
    cluster.pass_time(minutes=1)
    cluster.settle()
    assert (cluster.phase, cluster.jobs_made) == ("Verified", 2)


@pytest.mark.parametrize("how", ["anywhere", "requested"])
def test_it_is_bound_for_whoever_was_refused(how: str) -> None:
    cluster = bound_late()
    cluster.is_requested = how == "requested"
    if how == "anywhere":
        cluster.policies = [policy_object(verification={"placement": "Anywhere"})]
    cluster.look()
    phases = [cluster.phase]
    cluster.claim, cluster.volume = claim_object(uid="claim-2"), volume_object(claim_uid="claim-2")
    cluster.look()
    assert [*phases, cluster.phase] == ["Verifying", "Pending"]


# Names and shards.


@given(
    st.text(max_size=60),
    st.integers(0, 2**63 - 1),
    st.text("0123456789abcdef", min_size=16, max_size=16),
)
def test_a_job_name_is_a_label(uid: str, generation: int, nonce: str) -> None:
    name = jobs.job_name(uid, generation, nonce)
    assert len(name) <= 63
    assert name.replace("-", "a").isalnum()
    assert name.endswith(nonce)


def test_the_uid_can_be_read_in_the_name() -> None:
    name = jobs.job_name("0a1b2c3d-4e5f-6789-abcd-ef0123456789", 3, "abc")
    assert name == "wl-0a1b2c3d4e5f-g3-abc"


@pytest.mark.parametrize(
    ("size", "modes", "indexed", "expected"),
    [
        (None, ["ReadWriteMany"], True, 1),
        ("511Gi", ["ReadWriteMany"], True, 1),
        ("512Gi", ["ReadWriteMany"], True, 2),
        ("900Ti", ["ReadWriteMany"], True, 16),
        ("512Gi", ["ReadWriteMany"], False, 1),
        ("512Gi", ["ReadWriteOnce"], True, 1),
        ("512Gi", ["ReadWriteOncePod"], True, 1),
        ("0.5Ti", ["ReadWriteMany"], True, 1),
    ],
)
def test_large_checkpoints_are_spread(
    size: str | None, modes: list[str], indexed: bool, expected: int
) -> None:
    volume: Any = volume_object()
    volume["spec"].update(accessModes=modes, capacity={"storage": size} if size else {})
    cluster = Cluster(volume=volume, server=ServerFeatures(indexed_jobs=indexed))
    assert jobs.shard_count(cluster.facts(), None) == expected
    assert jobs.shard_count(cluster.facts(), 1) == 1


# What may differ between template and pod.


def test_the_hash_is_of_plain_json() -> None:
    with pytest.raises(Malformed):
        pod_spec_hash({"x": object()})
    with pytest.raises(Malformed):
        changed_fields({"x": float("nan")}, {})


def test_odd_shapes_are_hashed_as_they_are() -> None:
    assert pod_spec_hash({"containers": "x"}) != pod_spec_hash({"containers": ["x"]})
    assert pod_spec_hash({"containers": [{"resources": "x"}]}) != pod_spec_hash(
        {"containers": [{}]}
    )
    assert pod_spec_hash({"nodeName": "x", "priority": 1}) == pod_spec_hash({"hostPID": None})


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=4), json), st.dictionaries(st.text(max_size=4), json))
def test_two_specs_have_one_hash_exactly_if_no_field_differs(one: Any, other: Any) -> None:
    assert (pod_spec_hash(one) == pod_spec_hash(other)) == (changed_fields(one, other) == ())


def test_a_job_that_was_changed_on_its_way_is_deleted() -> None:
    cluster = Cluster()

    def put_in_a_sidecar(job: Any) -> None:
        job["spec"]["template"]["spec"]["containers"].append({"name": "x", "image": "evil"})

    cluster.mutate_job = put_in_a_sidecar
    cluster.look()
    assert (cluster.phase, cluster.reason, cluster.jobs) == ("Error", "JobRefused", {})
    assert "containers" in str(cluster.status["message"])


def test_an_answer_that_is_no_job_is_a_refusal() -> None:
    cluster = Cluster()
    cluster.mutate_job = lambda job: job["metadata"].pop("uid")  # type: ignore[attr-defined]
    cluster.look()
    assert (cluster.phase, cluster.reason) == ("Error", "JobRefused")


def test_classical_keys_are_tried_too() -> None:
    trust = signatures(authority("release", PQ), authority("legacy", EC))
    assert EC in request_of(job_for(with_policy(signatures=trust))).trust
