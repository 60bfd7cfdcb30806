"""A node that runs nothing: it ends verification pods with the reports that a test wants.

It does through the API what scheduler and kubelet do: binds the pod, sets its status, and puts the
report into the container's termination message. What lies on a volume is told by the name of the
checkpoint (`contents`), so that a test reads as a story.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from tests.unit.policy.builders import PQ

from weightlock.cluster_names import CHECKPOINT_ANNOTATION, VERIFICATION_LABEL
from weightlock.digests import Digest, HashAlgorithm
from weightlock.formats.manifest import ModelIdentity
from weightlock.formats.spki import PublicKeyInfo
from weightlock.reasons import Reason
from weightlock.reporting import Report, ReportedSignature, Request, parse_request, report_json
from weightlock_operator.api.cluster import PODS, Json, Resource
from weightlock_operator.api.cluster_errors import AlreadyExists, ClusterTrouble
from weightlock_operator.api.connecting import api_client
from weightlock_operator.api.rest import RestCluster, Unfenced
from weightlock_operator.settings import Settings

NODE = "node-a"
NODES = Resource("", "v1", "nodes", "Node")
BINDINGS = Resource("", "v1", "pods", "Binding")


@dataclass(frozen=True)
class Content:
    """What lies on a volume, and what the pod makes of it."""

    signers: tuple[PublicKeyInfo, ...] = (PQ,)
    reason: Reason = Reason.VERIFIED
    model: ModelIdentity = field(default_factory=lambda: ModelIdentity("llama-70b", 7))
    image: str = ""
    """What the kubelet says ran; else the image of the pod."""

    change: Callable[[Report], Report] = lambda report: report
    exit_code: int = 0


@dataclass
class NodeAgent:
    """`contents` by the name of the checkpoint; a checkpoint without one is good."""

    kubeconfig: Path
    contents: dict[str, Content] = field(default_factory=dict)
    paused: set[str] = field(default_factory=set)
    """Checkpoints whose pods are left waiting."""

    interval_seconds: float = 0.1
    ran: list[str] = field(default_factory=list)
    """The checkpoints whose pods were run, in order."""

    def __enter__(self) -> NodeAgent:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)

    async def _run(self) -> None:
        with ThreadPoolExecutor(8) as threads:
            self._cluster = RestCluster(
                api_client(
                    Settings(
                        verifier_image="v", verifier_cpu_image="v", kubeconfig=str(self.kubeconfig)
                    )
                ),
                threads=threads,
                fence=Unfenced(),
            )
            await self._register()
            while not self._stop.is_set():
                with contextlib.suppress(ClusterTrouble):
                    await self._look()
                await asyncio.sleep(self.interval_seconds)

    async def _register(self) -> None:
        """As a kubelet does; pods on a node that does not exist are collected as garbage."""
        node: Json = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}}
        with contextlib.suppress(AlreadyExists):
            await self._cluster.create(NODES, "", node)

    async def _look(self) -> None:
        listing = await self._cluster.list(
            PODS, labels=VERIFICATION_LABEL, fields="status.phase=Pending"
        )
        await asyncio.gather(*(self._end(pod) for pod in listing.items))

    async def _end(self, pod: Json) -> None:
        metadata = pod["metadata"]
        name = metadata["annotations"].get(CHECKPOINT_ANNOTATION, "")
        if name in self.paused or metadata.get("deletionTimestamp"):
            return
        content = self.contents.get(name, Content())
        with contextlib.suppress(ClusterTrouble):
            await self._bind(pod)
            await self._cluster.patch(
                PODS,
                metadata["namespace"],
                metadata["name"],
                {"metadata": {"uid": metadata["uid"]}, "status": ended(pod, content)},
                subresource="status",
            )
            self.ran.append(name)

    async def _bind(self, pod: Json) -> None:
        if pod["spec"].get("nodeName"):
            return
        metadata = pod["metadata"]
        body: Json = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": metadata["name"], "namespace": metadata["namespace"]},
            "target": {"kind": "Node", "name": NODE},
        }
        path = replace(PODS, plural=f"pods/{metadata['name']}/binding")
        await self._cluster.create(path, metadata["namespace"], body)


def ended(pod: Json, content: Content, at_time: datetime | None = None) -> Json:
    """The status of a pod that has ended, now unless another time is given."""
    container = pod["spec"]["containers"][0]
    now = at_time or datetime.now(UTC)  # noqa: TID251 - it plays the kubelet
    at = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    message = ""
    if "args" not in container:
        message = '{"verdict": "Verified"}'  # somebody else's pod
    elif not content.exit_code:
        report = content.change(report_of(request_of(container["args"]), content, now))
        message = report_json(report).decode()
    return {
        "phase": "Failed" if content.exit_code else "Succeeded",
        "startTime": at,
        "containerStatuses": [
            {
                "name": container["name"],
                "image": container["image"],
                "imageID": content.image or container["image"],
                "ready": False,
                "restartCount": 0,
                "state": {
                    "terminated": {
                        "exitCode": content.exit_code,
                        "reason": "Error" if content.exit_code else "Completed",
                        "message": message,
                        "startedAt": at,
                        "finishedAt": at,
                    }
                },
            }
        ],
    }


def request_of(arguments: list[str]) -> Request:
    pieces = [each.removeprefix("--request=") for each in arguments if "--request=" in each]
    return parse_request("".join(pieces))


def report_of(request: Request, content: Content, now: datetime) -> Report:
    """What our program would have said about that content."""
    signed = [key for key in content.signers if key in request.trust]
    reason = content.reason
    if reason is Reason.VERIFIED and not signed:
        reason = Reason.SIGNER_UNTRUSTED
    if reason is Reason.VERIFIED and not any(key.algorithm.is_post_quantum for key in signed):
        reason = Reason.CLASSICAL_ONLY
    return Report(
        nonce=request.nonce,
        reason=reason,
        message="as it was found",
        hint="",
        model=content.model if signed else None,
        digest=Digest(HashAlgorithm.SHA256, b"\xab" * 32) if signed else None,
        signatures=tuple(
            ReportedSignature(key.algorithm, key.keyid, True, True, True)
            if key in signed
            else ReportedSignature(key.algorithm, key.keyid, None, False, True)
            for key in content.signers
        ),
        payload="cd" * 32 if signed else None,
        shard=None,
        files=3,
        bytes=10**9,
        milliseconds=500,
        device="cpu",
        started_at=now.replace(microsecond=0),
        version="0.1.0",
    )
