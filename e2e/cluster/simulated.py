"""Nodes without a kubelet, for tests of placement: the scheduler binds pods to them, nothing runs
there.

On the native cluster they stay ready for a day; on others the node controller takes them for lost
when no lease was renewed for its grace period, usually 40 s.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from e2e.cluster.api import Api, Json
from e2e.cluster.waiting import wait_until

READY_SECONDS = 30.0
ROOM = {"cpu": "32", "memory": "256Gi", "pods": "110", "ephemeral-storage": "1Ti"}


@contextmanager
def simulated_node(
    api: Api,
    name: str,
    *,
    labels: Mapping[str, str] | None = None,
    resources: Mapping[str, str] | None = None,
) -> Iterator[Json]:
    """A node for the length of a `with` block, e.g. with `resources={"nvidia.com/gpu": "8"}`."""
    metadata = {"name": name, "labels": {"kubernetes.io/hostname": name, **(labels or {})}}
    node: Json = {"apiVersion": "v1", "kind": "Node", "metadata": metadata}
    api.create(node)
    try:
        room = {**ROOM, **(resources or {})}
        ready = {"type": "Ready", "status": "True", "reason": "Simulated", "message": "no kubelet"}
        status = {"capacity": room, "allocatable": room, "conditions": [ready]}
        api.patch(node, {"status": status}, subresource="/status")

        def schedulable() -> Json | None:
            live = api.read(node)
            return None if live["spec"].get("taints") else live

        yield wait_until(f"pods may go to {name}", schedulable, timeout_seconds=READY_SECONDS)
    finally:
        api.delete(node)
