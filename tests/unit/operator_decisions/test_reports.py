"""Which reports count: only one that the very pod wrote that was asked for (A07, A08)."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.operator_decisions.simulated import (
    CPU_IMAGE,
    IMAGE_DIGEST,
    INSTALLATION,
    Cluster,
    Content,
    checkpoint_object,
    step,
    volume_object,
)
from tests.unit.policy.builders import policy_object

from weightlock.formats.shards import Shard
from weightlock.reasons import Reason
from weightlock.verdict.records import instant_text
from weightlock_operator.decision.facts import Installation, ServerFeatures
from weightlock_operator.decision.memory import recall
from weightlock_operator.decision.reports import Landed, Outcome
from weightlock_operator.decision.reports import outcome_of as outcome_of_flight
from weightlock_operator.decision.seen import SeenJob, SeenPod
from weightlock_operator.decision.troubles import (
    ASKED_AFTER,
    CACHE_LAG,
    PATIENCE,
    QUEUE_PATIENCE,
    START_PATIENCE,
    Course,
    Trouble,
    Waiting,
)


@pytest.fixture
def cluster() -> Cluster:
    """A Job has been made, and nothing has run yet."""
    cluster = Cluster()
    cluster.look()
    return cluster


@pytest.fixture
def sharded() -> Cluster:
    """A Job over three shares."""
    volume: Any = volume_object()
    volume["spec"]["capacity"]["storage"] = "768Gi"
    cluster = Cluster(volume=volume, server=ServerFeatures(indexed_jobs=True))
    cluster.look()
    assert step(job_of(cluster), "spec.completions") == 3
    assert step(job_of(cluster), "spec.completionMode") == "Indexed"
    return cluster


def job_of(cluster: Cluster) -> Any:
    (job,) = cluster.jobs.values()
    return job


def outcome(cluster: Cluster, installation: Installation = INSTALLATION) -> Outcome:
    facts = cluster.facts(installation=installation)
    flight = recall(facts).flight
    assert flight is not None
    return outcome_of_flight(flight, facts)


def trouble(cluster: Cluster) -> Reason:
    found = outcome(cluster)
    assert isinstance(found, Trouble), found
    assert found.message
    return found.reason


def status(pod: Any) -> Any:
    return pod["status"]


def container(pod: Any) -> Any:
    return pod["status"]["containerStatuses"][0]


def test_the_report_of_the_right_pod_counts(cluster: Cluster) -> None:
    cluster.pass_time(minutes=1)
    cluster.run_pod(job_of(cluster))
    found = outcome(cluster)
    assert isinstance(found, Landed)
    assert found.report.reason is Reason.VERIFIED
    assert (found.verified_at, found.node) == (cluster.now, "node-a")


TAMPERING: dict[str, Callable[[Any], object]] = {
    "image in the spec": lambda pod: pod["spec"]["containers"][0].update(image="evil"),
    "command": lambda pod: pod["spec"]["containers"][0].update(command=["sh"]),
    "environment": lambda pod: pod["spec"]["containers"][0]["env"].append(
        {"name": "LD_PRELOAD", "value": "/checkpoint/evil.so"}
    ),
    "index of another kind": lambda pod: pod["spec"]["containers"][0]["env"].append(
        {"name": "JOB_COMPLETION_INDEX", "value": "0"}
    ),
    "sidecar": lambda pod: pod["spec"]["containers"].append({"name": "x", "image": "evil"}),
    "writable mount": lambda pod: pod["spec"]["containers"][0]["volumeMounts"][0].update(
        readOnly=False
    ),
    "other claim": lambda pod: pod["spec"]["volumes"][0].update(
        persistentVolumeClaim={"claimName": "good", "readOnly": True}
    ),
    "token": lambda pod: pod["spec"].update(automountServiceAccountToken=True),
    "host processes": lambda pod: pod["spec"].update(hostPID=True),
    "init container": lambda pod: pod["spec"].update(initContainers=[{"name": "x"}]),
    "ephemeral container": lambda pod: pod["spec"].update(ephemeralContainers=[{"name": "x"}]),
    "ephemeral container that ran": lambda pod: status(pod).update(
        ephemeralContainerStatuses=[{"name": "x"}]
    ),
    "device claim": lambda pod: pod["spec"]["containers"][0].update(
        resources={"claims": [{"name": "x"}]}
    ),
    "label": lambda pod: pod["metadata"]["labels"].update({"weightlock.dev/verification": "x"}),
    "restart": lambda pod: container(pod).update(restartCount=1),
    "second container ran": lambda pod: status(pod)["containerStatuses"].append(
        dict(container(pod))
    ),
    "image id": lambda pod: container(pod).update(imageID="evil@sha256:" + "ee" * 32),
    "no image id": lambda pod: container(pod).update(imageID=""),
    "image by tag": lambda pod: container(pod).update(imageID="registry.example/verifier:1"),
    "no message": lambda pod: container(pod)["state"]["terminated"].update(message=""),
    "message": lambda pod: container(pod)["state"]["terminated"].update(message='{"ok":true}'),
    "no container": lambda pod: status(pod).update(containerStatuses=[]),
    "mounts by annotation": lambda pod: pod["metadata"]["annotations"].update(
        {"cdi.k8s.io/x": "vendor.example/class=mount"}
    ),
    "mounts by a plugin": lambda pod: pod["metadata"]["annotations"].update(
        {"mounts.nri.io/container.verifier": "- source: /evil"}
    ),
}


@pytest.mark.parametrize("change", TAMPERING.values(), ids=TAMPERING)
def test_whatever_else_there_is_counts_for_nothing(
    cluster: Cluster, change: Callable[[Any], object]
) -> None:
    change(cluster.run_pod(job_of(cluster)))
    assert trouble(cluster) is Reason.VERIFIER_TAMPERED


HARMLESS: dict[str, Callable[[Any], object]] = {
    "node": lambda pod: pod["spec"].update(nodeName="node-z"),
    "priority": lambda pod: pod["spec"].update(priority=7, preemptionPolicy="Never"),
    "pull secrets": lambda pod: pod["spec"].update(imagePullSecrets=[{"name": "registry"}]),
    "pull policy": lambda pod: pod["spec"]["containers"][0].update(imagePullPolicy="Always"),
    "node selector": lambda pod: pod["spec"].update(nodeSelector={"zone": "a"}),
    "limits": lambda pod: pod["spec"]["containers"][0]["resources"]["limits"].update(x="1"),
    "index": lambda pod: pod["spec"]["containers"][0]["env"].append(
        {
            "name": "JOB_COMPLETION_INDEX",
            "valueFrom": {
                "fieldRef": {
                    "apiVersion": "v1",
                    "fieldPath": "metadata.annotations['batch.kubernetes.io/job-completion-index']",
                }
            },
        }
    ),
    "pullable image id": lambda pod: container(pod).update(
        imageID=f"docker-pullable://registry.example/x@{IMAGE_DIGEST}"
    ),
    "the CPU's image": lambda pod: container(pod).update(imageID=CPU_IMAGE),
}


@pytest.mark.parametrize("change", HARMLESS.values(), ids=HARMLESS)
def test_what_a_cluster_adds_is_no_tampering(
    cluster: Cluster, change: Callable[[Any], object]
) -> None:
    change(cluster.run_pod(job_of(cluster)))
    assert isinstance(outcome(cluster), Landed)


def test_an_image_volume_that_is_always_pulled_is_the_same() -> None:
    reference = "registry.example/models/llama@sha256:" + "ab" * 32
    cluster = Cluster(
        checkpoint=checkpoint_object(source={"image": {"reference": reference}}),
        server=ServerFeatures(image_volumes=True),
    )
    cluster.look()
    pod: Any = cluster.run_pod(job_of(cluster))
    image = pod["spec"]["volumes"][0]["image"]
    image["pullPolicy"] = "Always"
    assert isinstance(outcome(cluster), Landed)
    image["reference"] = reference.replace("ab", "cd")
    assert trouble(cluster) is Reason.VERIFIER_TAMPERED


def test_further_image_ids_can_be_accepted(cluster: Cluster) -> None:
    further = "sha256:" + "77" * 32
    container(cluster.run_pod(job_of(cluster))).update(imageID=further)
    installation = replace(INSTALLATION, accepted_image_ids=frozenset({further}))
    assert isinstance(outcome(cluster, installation), Landed)
    assert trouble(cluster) is Reason.VERIFIER_TAMPERED


def test_images_by_tag_accept_nothing_by_themselves(cluster: Cluster) -> None:
    container(cluster.run_pod(job_of(cluster))).update(imageID="weightlock:dev")
    found = outcome(cluster, Installation("weightlock:dev", "weightlock:dev"))
    assert isinstance(found, Trouble)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda job: job["spec"]["template"]["spec"].update(hostPID=True), id="pod"),
        pytest.param(lambda job: job["metadata"].update(ownerReferences=[]), id="owner"),
        pytest.param(
            lambda job: job["metadata"]["ownerReferences"][0].update(controller=False),
            id="no controller",
        ),
        pytest.param(
            lambda job: job["metadata"]["ownerReferences"][0].update(kind="Pod"), id="other owner"
        ),
        pytest.param(lambda job: job["metadata"]["labels"].clear(), id="labels"),
    ],
)
def test_a_job_that_was_changed(cluster: Cluster, change: Callable[[Any], object]) -> None:
    change(job_of(cluster))
    assert trouble(cluster) is Reason.VERIFIER_TAMPERED


def test_a_job_of_the_same_name_is_not_ours(cluster: Cluster) -> None:
    job_of(cluster)["metadata"]["uid"] = "forged"
    assert trouble(cluster) is Reason.VERIFIER_TAMPERED


def test_a_job_that_is_gone(cluster: Cluster) -> None:
    cluster.jobs.clear()
    assert trouble(cluster) is Reason.VERIFIER_EVICTED


def test_a_pod_of_another_job_is_nothing_to_us(cluster: Cluster) -> None:
    pod: Any = cluster.run_pod(job_of(cluster))
    pod["metadata"]["ownerReferences"][0]["uid"] = "another"
    assert isinstance(outcome(cluster), Waiting)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"nonce": "another"}, id="another request"),
        pytest.param({"shard": Shard(0, 2)}, id="a share of a whole"),
    ],
)
def test_a_report_that_answers_something_else(cluster: Cluster, changes: Any) -> None:
    cluster.run_pod(job_of(cluster), **changes)
    assert trouble(cluster) is Reason.VERIFIER_TAMPERED


def test_two_answers_for_one_share(cluster: Cluster) -> None:
    cluster.run_pod(job_of(cluster))
    cluster.run_pod(job_of(cluster))
    assert trouble(cluster) is Reason.VERIFIER_TAMPERED


def test_an_error_in_a_report_is_trouble_and_no_answer(cluster: Cluster) -> None:
    cluster.run_pod(job_of(cluster), reason=Reason.UNREADABLE)
    assert trouble(cluster) is Reason.UNREADABLE


def test_all_shares_together_are_the_answer(sharded: Cluster) -> None:
    job = job_of(sharded)
    for index in range(3):
        assert isinstance(outcome(sharded), Waiting)
        sharded.run_pod(job, index)
    found = outcome(sharded)
    assert isinstance(found, Landed)
    assert (found.report.bytes, found.report.shard) == (3000, None)
    sharded.look()
    assert (sharded.phase, step(sharded.status, "verifier.shards")) == ("Verified", 3)


def test_one_bad_share_is_the_answer_and_the_others_need_not_go_on(sharded: Cluster) -> None:
    sharded.content = Content(reason=Reason.CONTENT_MISMATCH)
    sharded.run_pod(job_of(sharded), 1)
    sharded.look()
    assert (sharded.phase, sharded.jobs) == ("Failed", {})


@pytest.mark.parametrize("index", ["3", "-1", "x", ""])
def test_a_share_that_nobody_asked_for(sharded: Cluster, index: str) -> None:
    pod: Any = sharded.run_pod(job_of(sharded), 1)
    pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"] = index
    assert trouble(sharded) is Reason.VERIFIER_TAMPERED


def test_a_share_that_answers_for_another(sharded: Cluster) -> None:
    pod: Any = sharded.run_pod(job_of(sharded), 1)
    pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"] = "2"
    assert trouble(sharded) is Reason.VERIFIER_TAMPERED


def test_shares_that_disagree(sharded: Cluster) -> None:
    for index in range(3):
        sharded.run_pod(job_of(sharded), index, payload=f"{index}{index}" * 32)
    assert trouble(sharded) is Reason.VERIFIER_TAMPERED


def test_a_share_whose_pod_went_with_its_node_is_read_again(sharded: Cluster) -> None:
    """Pods that have ended are collected with their node; the shares that still run go on."""
    job = job_of(sharded)
    first = sharded.run_pod(job, 0)
    del sharded.pods[str(step(first, "metadata.uid"))]
    sharded.run_pod(job, 1)
    sharded.run_pod(job, 2)
    assert isinstance(outcome(sharded), Waiting)
    sharded.end_job(job, "Complete")
    assert isinstance(outcome(sharded), Waiting), "its pod may only not be here yet"
    sharded.pass_time(seconds=31)
    sharded.look()
    assert (sharded.phase, sharded.reason) == ("Error", "VerifierEvicted")
    sharded.pass_time(minutes=1)
    sharded.settle()
    assert (sharded.phase, sharded.jobs_made) == ("Verified", 2)


def test_a_share_that_has_not_ended_in_a_job_that_has_is_a_lie(sharded: Cluster) -> None:
    job = job_of(sharded)
    sharded.run_pod(job, 0)
    sharded.run_pod(job, 1)
    sharded.start_pod(job, 2)
    sharded.end_job(job, "Complete")
    sharded.pass_time(seconds=31)
    assert trouble(sharded) is Reason.VERIFIER_TAMPERED


def failed_pod(cluster: Cluster, ended: Any = None, **said: object) -> None:
    pod: Any = cluster.start_pod(job_of(cluster))
    pod["status"] = {"phase": "Failed", **said}
    if ended is not None:
        pod["status"]["containerStatuses"] = [
            {"name": "verifier", "restartCount": 0, "imageID": CPU_IMAGE, "state": ended}
        ]


@pytest.mark.parametrize(
    ("ended", "said", "reason"),
    [
        pytest.param(None, {"reason": "Evicted"}, Reason.VERIFIER_EVICTED, id="evicted"),
        pytest.param(None, {"reason": "Preempting"}, Reason.VERIFIER_EVICTED, id="preempted"),
        pytest.param(None, {"reason": "NodeShutdown"}, Reason.NODE_LOST, id="node"),
        pytest.param(None, {"reason": "DeadlineExceeded"}, Reason.DEADLINE_EXCEEDED, id="late"),
        pytest.param(None, {"reason": "Other"}, Reason.VERIFIER_CRASHED, id="unknown"),
        pytest.param(
            {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
            {},
            Reason.OUT_OF_MEMORY,
            id="memory",
        ),
        pytest.param(
            {"terminated": {"exitCode": 2, "reason": "Error"}},
            {},
            Reason.VERIFIER_CRASHED,
            id="exit code",
        ),
    ],
)
def test_a_pod_that_failed(cluster: Cluster, ended: Any, said: Any, reason: Reason) -> None:
    failed_pod(cluster, ended, **said)
    assert trouble(cluster) is reason


def test_a_pod_whose_node_answers_no_more(cluster: Cluster) -> None:
    pod: Any = cluster.start_pod(job_of(cluster))
    pod["status"] = {"phase": "Unknown"}
    assert trouble(cluster) is Reason.NODE_LOST


@pytest.mark.parametrize(
    ("waits", "reason"),
    [
        ({"reason": "ImagePullBackOff", "message": "no such image"}, Reason.IMAGE_UNAVAILABLE),
        ({"reason": "CreateContainerConfigError"}, Reason.STORAGE_UNAVAILABLE),
        ({"reason": "ContainerCreating"}, None),
        ({}, None),
    ],
)
def test_a_pod_that_does_not_start(cluster: Cluster, waits: Any, reason: Reason | None) -> None:
    pod: Any = cluster.start_pod(job_of(cluster))
    pod["status"]["containerStatuses"] = [{"name": "verifier", "state": {"waiting": waits}}]
    first = outcome(cluster)
    assert isinstance(first, Waiting)
    assert first.look_again_at == cluster.now + PATIENCE
    cluster.pass_time(minutes=5)
    found = outcome(cluster)
    assert (found.reason if isinstance(found, Trouble) else None) is reason


def test_a_pod_whose_storage_does_not_come(cluster: Cluster) -> None:
    cluster.start_pod(job_of(cluster), node="")
    cluster.pass_time(minutes=90)
    (pod,) = cluster.pods.values()
    waits: Any = {"reason": "ContainerCreating"}
    status(pod).update(
        startTime=instant_text(cluster.now),
        containerStatuses=[{"name": "verifier", "state": {"waiting": waits}}],
    )
    cluster.pass_time(minutes=10)
    found = outcome(cluster)
    assert isinstance(found, Waiting)
    assert found.look_again_at == cluster.now + START_PATIENCE - timedelta(minutes=10)
    cluster.pass_time(minutes=10)
    assert trouble(cluster) is Reason.STORAGE_UNAVAILABLE


def test_a_job_that_may_not_make_pods_does_not_keep_its_turn(cluster: Cluster) -> None:
    found = outcome(cluster)
    assert isinstance(found, Waiting)
    assert found.look_again_at == cluster.now + ASKED_AFTER[0]
    cluster.pass_time(minutes=2)
    job_of(cluster)["status"] = {"startTime": instant_text(cluster.now)}
    cluster.pass_time(minutes=4)
    assert isinstance(outcome(cluster), Waiting)
    cluster.pass_time(minutes=1)
    assert trouble(cluster) is Reason.JOB_REFUSED
    cluster.look()
    assert (cluster.phase, cluster.reason, cluster.jobs) == ("Error", "JobRefused", {})


QUOTA = 'Error creating: pods "verify-x" is forbidden: exceeded quota: pods'


def scheduled(cluster: Cluster) -> Any:
    return next(each for each in conditions(cluster) if each["type"] == "Scheduled")


def conditions(cluster: Cluster) -> Any:
    return cluster.status["conditions"]


AHEAD = timedelta(minutes=50)


@pytest.fixture
def ahead(cluster: Cluster) -> Cluster:
    """The operator's clock is, as everybody else sees it; what the API server wrote is of then."""
    cluster = Cluster(now=cluster.now)
    made = cluster.create

    def create(manifest: Any) -> Any:
        job: Any = made(manifest)
        job["metadata"]["creationTimestamp"] = instant_text(cluster.now - AHEAD)
        return job

    cluster.create = create  # type: ignore[method-assign]
    cluster.look()
    return cluster


def test_a_clock_that_is_ahead_takes_no_job_for_one_without_pods(ahead: Cluster) -> None:
    """E10."""
    found = outcome(ahead)
    assert isinstance(found, Waiting)
    assert found.look_again_at == ahead.now + ASKED_AFTER[0]
    ahead.pass_time(minutes=5)
    assert trouble(ahead) is Reason.JOB_REFUSED


def test_a_clock_that_is_ahead_gives_pods_their_time_to_start(ahead: Cluster) -> None:
    pod: Any = ahead.start_pod(job_of(ahead))
    pod["metadata"]["creationTimestamp"] = instant_text(ahead.now - AHEAD)
    waits = {"reason": "ErrImagePull"}
    pod["status"]["containerStatuses"] = [{"name": "verifier", "state": {"waiting": waits}}]
    assert isinstance(outcome(ahead), Waiting)
    ahead.pass_time(minutes=5)
    assert trouble(ahead) is Reason.IMAGE_UNAVAILABLE


def test_a_clock_that_went_back_gives_nobody_endless_time(cluster: Cluster) -> None:
    cluster.now -= timedelta(days=3650)
    job_of(cluster)["metadata"]["creationTimestamp"] = instant_text(cluster.now)
    cluster.pass_time(minutes=5)
    assert trouble(cluster) is Reason.JOB_REFUSED


def test_what_refuses_the_pods_of_a_job_is_said_long_before_it_is_given_up(
    cluster: Cluster,
) -> None:
    """D12."""
    cluster.pass_time(seconds=10)
    cluster.refusal = QUOTA
    decision = cluster.look()
    assert (cluster.phase, cluster.reason) == ("Verifying", "VerificationRunning")
    assert QUOTA in str(cluster.status["message"])
    assert [scheduled(cluster)[key] for key in ("status", "reason")] == ["False", "JobRefused"]
    assert QUOTA in scheduled(cluster)["message"]
    [event] = [each for each in cluster.events if each.reason == "JobRefused"]
    assert QUOTA in event.message
    assert decision.requeue_after == ASKED_AFTER[1] - ASKED_AFTER[0]
    writes = cluster.status_writes
    cluster.pass_time(seconds=50)
    assert cluster.look().requeue_after == PATIENCE - ASKED_AFTER[-1]
    assert (cluster.status_writes, cluster.events.count(event)) == (writes, 1), "once is enough"
    cluster.pass_time(minutes=4)
    cluster.look()
    assert (cluster.phase, cluster.reason) == ("Error", "JobRefused")
    assert QUOTA in str(cluster.status["message"])


def test_a_job_that_may_make_pods_after_all_is_forgiven(cluster: Cluster) -> None:
    cluster.pass_time(seconds=10)
    cluster.refusal = QUOTA
    cluster.look()
    cluster.start_pod(job_of(cluster))
    cluster.look()
    assert QUOTA not in str(cluster.status)
    assert [scheduled(cluster)[key] for key in ("status", "reason")] == [
        "True",
        "VerificationRunning",
    ]


def test_a_refusal_of_a_later_attempt_is_no_trouble_of_an_earlier_one(cluster: Cluster) -> None:
    cluster.pass_time(minutes=5)
    cluster.look()
    assert cluster.status["attempts"] == 1
    cluster.pass_time(minutes=2)
    cluster.look()
    cluster.pass_time(seconds=10)
    cluster.refusal = QUOTA
    cluster.look()
    assert QUOTA in scheduled(cluster)["message"]
    assert recall(cluster.facts()).trouble is None
    cluster.run_pod(job_of(cluster))
    cluster.look()
    assert cluster.phase == "Verified"


@pytest.mark.parametrize(
    ("state", "asks"),
    [
        pytest.param({}, True, id="nothing has happened"),
        pytest.param({"suspend": True}, False, id="it is suspended"),
        pytest.param({"ended": True}, False, id="it has ended"),
        pytest.param({"pod": True}, False, id="it has a pod"),
        pytest.param({"early": True}, False, id="it was made just now"),
    ],
)
def test_whose_controller_is_asked(cluster: Cluster, state: dict[str, bool], *, asks: bool) -> None:
    job = job_of(cluster)
    if "suspend" in state:
        job["spec"]["suspend"] = True
    if "ended" in state:
        cluster.end_job(job, "Failed", "BackoffLimitExceeded")
    if "pod" in state:
        cluster.start_pod(job)
    cluster.pass_time(seconds=9 if "early" in state else 10)
    facts = cluster.facts()
    course = Course(facts.jobs[0], facts.pods, facts.now - timedelta(hours=1), facts.now)
    assert course.asks_why is asks


def test_a_job_that_is_suspended_says_so_and_is_waited_for() -> None:
    cluster = Cluster(
        policies=[policy_object(verification={"queueName": "models"})],
        server=ServerFeatures(suspended_jobs=True),
    )
    cluster.look()
    cluster.pass_time(hours=10)
    cluster.look()
    assert cluster.reason == "VerificationRunning"
    assert "suspended" in str(cluster.status["message"])
    job_of(cluster)["spec"]["suspend"] = False
    job_of(cluster)["status"] = {"startTime": instant_text(cluster.now)}
    cluster.run_pod(job_of(cluster))
    cluster.look()
    assert cluster.phase == "Verified"


@pytest.mark.parametrize("since", ["creation", "its condition"])
def test_a_job_in_a_queue_that_nobody_manages_is_given_up(since: str) -> None:
    cluster = Cluster(
        policies=[policy_object(verification={"queueName": "nobody"})],
        server=ServerFeatures(suspended_jobs=True),
    )
    cluster.look()
    if since == "its condition":
        cluster.pass_time(hours=10)
        at = instant_text(cluster.now)
        condition = {"type": "Suspended", "status": "True", "lastTransitionTime": at}
        job_of(cluster)["status"] = {"conditions": [condition]}
    assert cluster.look().requeue_after == QUEUE_PATIENCE
    cluster.pass_time(seconds=QUEUE_PATIENCE.total_seconds() - 1)
    assert isinstance(outcome(cluster), Waiting)
    cluster.pass_time(seconds=1)
    assert trouble(cluster) is Reason.UNSCHEDULABLE
    cluster.look()
    assert (cluster.phase, cluster.reason, cluster.jobs) == ("Error", "Unschedulable", {})


def test_what_the_scheduler_says_is_told(cluster: Cluster) -> None:
    pod: Any = cluster.start_pod(job_of(cluster), node="")
    said = "0/3 nodes are available"
    pod["status"]["conditions"] = [{"type": "PodScheduled", "status": "False", "message": said}]
    found = outcome(cluster)
    assert isinstance(found, Waiting)
    assert (found.is_unscheduled, found.message) == (True, said)
    cluster.look()
    assert said in str(cluster.status["message"])
    cluster.end_job(job_of(cluster), "Failed", "DeadlineExceeded")
    assert trouble(cluster) is Reason.UNSCHEDULABLE


@pytest.mark.parametrize(
    ("kind", "reason", "expected"),
    [
        ("Failed", "DeadlineExceeded", Reason.DEADLINE_EXCEEDED),
        ("Failed", "BackoffLimitExceeded", Reason.VERIFIER_CRASHED),
        ("Failed", "", Reason.VERIFIER_CRASHED),
        ("Complete", "", Reason.VERIFIER_EVICTED),
    ],
)
def test_a_job_that_ended_without_a_pod_to_be_seen(
    cluster: Cluster, kind: str, reason: str, expected: Reason
) -> None:
    cluster.end_job(job_of(cluster), kind, reason)
    if expected is not Reason.DEADLINE_EXCEEDED:
        found = outcome(cluster)
        assert isinstance(found, Waiting)
        assert found.look_again_at == cluster.now + CACHE_LAG
    cluster.pass_time(seconds=CACHE_LAG.total_seconds())
    assert trouble(cluster) is expected


def test_a_job_that_says_it_is_complete_while_its_pod_still_runs(cluster: Cluster) -> None:
    """A07: whoever may write a Job's status says so; no pod has answered."""
    cluster.start_pod(job_of(cluster))
    cluster.end_job(job_of(cluster), "Complete", "")
    assert isinstance(outcome(cluster), Waiting)
    cluster.pass_time(seconds=CACHE_LAG.total_seconds())
    assert trouble(cluster) is Reason.VERIFIER_TAMPERED


def test_a_tampered_verification_is_tried_again_and_told(cluster: Cluster) -> None:
    container(cluster.run_pod(job_of(cluster))).update(restartCount=1)
    cluster.look()
    assert (cluster.phase, cluster.reason) == ("Error", "VerifierTampered")
    assert [event.reason for event in cluster.events][-1] == "VerifierTampered"
    cluster.pass_time(minutes=1)
    cluster.settle()
    assert (cluster.phase, cluster.jobs_made) == ("Verified", 2)


def test_the_cpu_takes_over_when_no_device_comes() -> None:
    device = {"resource": "nvidia.com/gpu", "fallback": {"device": "cpu", "after": "10m"}}
    cluster = Cluster(policies=[policy_object(verification={"device": device})])
    assert cluster.look().requeue_after == timedelta(minutes=10)
    cluster.start_pod(job_of(cluster), node="")
    cluster.pass_time(minutes=9)
    assert cluster.look().requeue_after == timedelta(minutes=1)
    assert step(cluster.status, "verification.device") == "gpu"
    cluster.pass_time(minutes=1)
    cluster.look()
    assert step(cluster.status, "verification.device") == "cpu"
    assert len(cluster.jobs) == 1
    assert step(job_of(cluster), "spec.template.spec.containers.0.image") == CPU_IMAGE
    cluster.pass_time(minutes=30)
    cluster.settle()
    assert (cluster.phase, cluster.jobs_made) == ("Verified", 2)


def test_a_device_that_is_there_is_waited_for() -> None:
    device = {"resource": "nvidia.com/gpu", "fallback": {"device": "cpu", "after": "10m"}}
    cluster = Cluster(policies=[policy_object(verification={"device": device})])
    cluster.look()
    cluster.start_pod(job_of(cluster))
    cluster.pass_time(minutes=30)
    cluster.look()
    assert step(cluster.status, "verification.device") == "gpu"


def test_the_cpu_takes_over_when_the_engine_does_not_start() -> None:
    device = {"resource": "nvidia.com/gpu", "fallback": {"device": "cpu"}}
    cluster = Cluster(policies=[policy_object(verification={"device": device})])
    cluster.look()
    cluster.run_pod(job_of(cluster), reason=Reason.ENGINE_UNAVAILABLE)
    cluster.look()
    assert cluster.phase == "Error"
    cluster.pass_time(minutes=1)
    cluster.look()
    assert step(cluster.status, "verification.device") == "cpu"


def test_seen_objects_are_read_strictly() -> None:
    cluster = Cluster()
    cluster.look()
    pod: Any = cluster.start_pod(job_of(cluster))
    pod["status"]["containerStatuses"] = [{"restartCount": "0"}]
    with pytest.raises(Exception, match="restartCount"):
        SeenPod.from_object(pod)
    with pytest.raises(Exception, match=r"spec\.template"):
        SeenJob.from_object({**job_of(cluster), "spec": {}})
