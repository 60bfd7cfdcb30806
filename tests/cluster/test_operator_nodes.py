"""Nodes and pods that are lost while they verify: the verdict is a living pod's, in the end.

The pod garbage collector and the Job controller are real; kubelets are played. Retries come after
half a minute, so the stories run side by side.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from tests.cluster.operator_objects import Shelf
from tests.support.node_agent import Content, NodeAgent, ended

from e2e.cluster.api import ApiError, Json
from e2e.cluster.apiserver import ApiServer
from e2e.cluster.waiting import wait_until
from weightlock.cluster_names import CHECKPOINT_ANNOTATION
from weightlock.reasons import Reason

BAD = Content(reason=Reason.CONTENT_MISMATCH, signers=())


def node_named(name: str) -> Json:
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}


@dataclass
class Ward:
    """The verification pods of one namespace, which a test lets suffer."""

    server: ApiServer
    shelf: Shelf
    node: NodeAgent
    names: list[str] = field(default_factory=list)

    def begin(self, name: str, content: Content | None = None, *, on: str = "node-a") -> Json:
        """A verification whose pod runs and does not end; the pod."""
        self.node.paused.add(name)
        self.node.contents[name] = content or Content()
        self.shelf.good(name)
        (pod,) = wait_until(f"the pod of {name}", lambda: self.pods(name), timeout_seconds=30)
        target = {"apiVersion": "v1", "kind": "Node", "name": on}
        binding = {"apiVersion": "v1", "kind": "Binding", "target": target}
        binding["metadata"] = {"name": pod["metadata"]["name"]}
        self.server.api.send("POST", f"{self.path(pod)}/binding", binding)
        self.says(pod, {"phase": "Running", "startTime": instant()})
        return pod

    def go_on(self, name: str) -> None:
        """From now on its pods run to their end."""
        self.node.paused.discard(name)

    def pods(self, name: str) -> list[Json]:
        found = self.server.api.get(f"/api/v1/namespaces/{self.shelf.tenant.namespace}/pods")
        return [
            {"apiVersion": "v1", "kind": "Pod", **pod}
            for pod in found["items"]
            if (pod["metadata"].get("annotations") or {}).get(CHECKPOINT_ANNOTATION) == name
        ]

    def is_going(self, pod: Json) -> bool:
        """Whether a pod was told to end."""
        return "deletionTimestamp" in self.server.api.get(self.path(pod))["metadata"]

    def says(self, pod: Json, status: Json) -> None:
        """What a kubelet reports."""
        self.server.api.patch(pod, {"status": status}, subresource="/status")

    def path(self, pod: Json) -> str:
        return self.server.api.path(pod)


@pytest.fixture
def ward(apiserver_with_controllers: ApiServer, shelf: Shelf, node: NodeAgent) -> Ward:
    return Ward(apiserver_with_controllers, shelf, node)


def instant() -> str:
    now = datetime.now(UTC)  # noqa: TID251 - it plays the kubelet
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")


def uids(pods: Iterable[Json]) -> set[str]:
    return {each["metadata"]["uid"] for each in pods}


def container(pod: Json, state: Json) -> Json:
    spec = pod["spec"]["containers"][0]
    found = {"name": spec["name"], "image": spec["image"], "imageID": "", "restartCount": 0}
    return {"containerStatuses": [{**found, "ready": False, "state": state}]}


def evicted(pod: Json) -> Json:
    del pod
    return {"phase": "Failed", "reason": "Evicted", "message": "The node was low on memory"}


def shut_down(pod: Json) -> Json:
    del pod
    return {"phase": "Failed", "reason": "NodeShutdown", "message": "Node is shutting down"}


def unknown(pod: Json) -> Json:
    del pod
    return {"phase": "Unknown", "reason": "NodeLost"}


def out_of_memory(pod: Json) -> Json:
    dead = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    return {"phase": "Failed", **container(pod, dead)}


def without_image(pod: Json) -> Json:
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}}
    return {"phase": "Pending", "startTime": instant(), **container(pod, waiting)}


LOSSES: dict[str, tuple[Callable[[Json], Json], Reason]] = {
    "evicted": (evicted, Reason.VERIFIER_EVICTED),
    "shut-down": (shut_down, Reason.NODE_LOST),
    "unknown": (unknown, Reason.NODE_LOST),
    "oom": (out_of_memory, Reason.OUT_OF_MEMORY),
}


def test_what_is_lost_is_named_and_verified_again(ward: Ward) -> None:
    for name, (loss, _) in LOSSES.items():
        pod = ward.begin(name)
        ward.says(pod, loss(pod))
    for name, (_, reason) in LOSSES.items():
        ward.shelf.reaches(name, "Error", reason)
        assert ward.shelf.status(name)["nextAttempt"]
        ward.go_on(name)
    for name in LOSSES:
        ward.shelf.reaches(name, "Verified", seconds=60)
        assert ward.node.ran.count(name) == 1


def test_nothing_that_a_lost_pod_says_later_counts(ward: Ward) -> None:
    """The bytes were changed while the node was away; the pod from before saw the good ones."""
    pods = {name: ward.begin(name, BAD) for name in ("unknown-late", "evicted-late")}
    ward.says(pods["unknown-late"], unknown({}))
    ward.says(pods["evicted-late"], evicted({}))
    for name, pod in pods.items():
        ward.shelf.reaches(name, "Error")
        with contextlib.suppress(ApiError):  # it is gone already, which is as good
            ward.says(pod, ended(pod, Content()))
    for name in pods:
        ward.go_on(name)
        phases = watched(ward.shelf, name, until="Failed")
        assert not {"Verified", "ClassicalOnly"} & phases


def watched(shelf: Shelf, name: str, until: str) -> set[str]:
    """The phases on the way to that one."""
    seen: set[str] = set()

    def there() -> bool:
        seen.add(str(shelf.status(name).get("phase")))
        return until in seen

    wait_until(f"{name} is {until}", there, timeout_seconds=60)
    return seen


def test_a_node_that_is_deleted_takes_its_pod_along_and_another_one_verifies(ward: Ward) -> None:
    """The garbage collector of pods waits for most of a minute until it believes it."""
    api = ward.server.api
    api.create(node_named("doomed"))
    pod = ward.begin("bereft", on="doomed")
    api.delete(node_named("doomed"))
    wait_until(
        "its pod is collected",
        lambda: pod["metadata"]["uid"] not in uids(ward.pods("bereft")),
        timeout_seconds=150,
    )
    ward.go_on("bereft")
    status = ward.shelf.reaches("bereft", "Verified", seconds=60)
    assert status["verifier"]["node"] == "node-a"


def test_a_pod_that_never_ends_on_a_lost_node_keeps_no_other_from_verifying(ward: Ward) -> None:
    """It was told to go, and nobody there hears it: its Job makes another one meanwhile."""
    pod = ward.begin("stuck", on="silent")
    ward.server.api.send("DELETE", ward.path(pod), {"gracePeriodSeconds": 30})
    ward.go_on("stuck")
    status = ward.shelf.reaches("stuck", "Verified", seconds=60)
    assert status["verifier"]["node"] == "node-a"


def test_a_pod_whose_image_does_not_come_is_given_up_in_time(ward: Ward) -> None:
    """Five minutes by the operator's own clock, whatever the node says of its start."""
    pod = ward.begin("no-image")
    ward.says(pod, without_image(pod))
    ward.shelf.reaches("no-image", "Error", Reason.IMAGE_UNAVAILABLE, seconds=60 + 5 * 60)
    assert ward.shelf.status("no-image")["nextAttempt"]
    wait_until("its pod is told to go", lambda: ward.is_going(pod), timeout_seconds=30)
    ward.server.api.send("DELETE", ward.path(pod), {"gracePeriodSeconds": 0})  # as its kubelet says
    ward.go_on("no-image")
    ward.shelf.reaches("no-image", "Verified", seconds=60)
    assert ward.node.ran.count("no-image") == 1
