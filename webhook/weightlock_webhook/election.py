"""Which replica looks after configurations and authority: the holder of a Lease.

All replicas answer reviews; only what must not be done twice is the leader's. Time is this
process's own: a Lease counts as held for as long as its holder keeps changing it, whatever the
clocks of other nodes say.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from weightlock.errors import Unanswerable, WeightlockError
from weightlock_webhook import documents
from weightlock_webhook.reviews.collaborators import Cluster, Reply

LEASE: Final = "weightlock-webhook"
DURATION_SECONDS: Final = 15
RENEW_SECONDS: Final = 5.0
CALL_SECONDS: Final = 4.0
_GROUP: Final = "/apis/coordination.k8s.io/v1"
_NOT_FOUND, _CONFLICT = 404, 409

log: Final = logging.getLogger(__name__)


class _Spec(msgspec.Struct, frozen=True, rename="camel"):
    holder_identity: str | None = None
    renew_time: str | None = None
    lease_transitions: int | None = None


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    resource_version: str = ""


class _Lease(msgspec.Struct, frozen=True):
    metadata: _Metadata = _Metadata()
    spec: _Spec = _Spec()


_LEASE: Final = msgspec.json.Decoder(_Lease)


@dataclass(frozen=True, slots=True)
class _Seen:
    version: str
    at: float


class Election:
    """Tries to hold the Lease. `is_leader` is true only while it certainly does."""

    def __init__(
        self, cluster: Cluster, namespace: str, identity: str, clock: Callable[[], datetime]
    ) -> None:
        self._cluster = cluster
        self._path = f"{_GROUP}/namespaces/{namespace}/leases"
        self._namespace = namespace
        self._identity = identity
        self._clock = clock
        self._seen = _Seen("", 0.0)
        self._held_until = 0.0

    @property
    def is_leader(self) -> bool:
        """Whether nobody else can hold it now."""
        return asyncio.get_running_loop().time() < self._held_until

    async def run(self) -> None:
        """Try until cancelled."""
        while True:
            try:
                await self.attempt()
            except WeightlockError as error:
                log.warning("the Lease could not be renewed: %s", error.message)
            await asyncio.sleep(RENEW_SECONDS)

    async def attempt(self) -> None:
        """Create, renew or take the Lease, if that is ours to do.

        Raises:
            Unanswerable: if the API server does not answer, or not as expected.
        """
        before = asyncio.get_running_loop().time()
        reply = await self._call("GET", f"{self._path}/{LEASE}")
        if reply.status == _NOT_FOUND:
            done = await self._call("POST", self._path, self._document("", 0))
        else:
            lease = documents.decoded(reply.body, _LEASE, "Lease")
            if not self._may_take(lease, before):
                return
            transitions = (lease.spec.lease_transitions or 0) + (not self._is_ours(lease))
            document = self._document(lease.metadata.resource_version, transitions)
            done = await self._call("PUT", f"{self._path}/{LEASE}", document)
        if done.status == _CONFLICT:
            return
        # Counted from before the request was sent: others count from when they saw it arrive.
        self._held_until = before + DURATION_SECONDS - RENEW_SECONDS / 2

    async def resign(self) -> None:
        """Let another replica take over at once."""
        if not self.is_leader:
            return
        self._held_until = 0.0
        reply = await self._call("GET", f"{self._path}/{LEASE}")
        lease = documents.decoded(reply.body, _LEASE, "Lease")
        if self._is_ours(lease):
            document = self._document(
                lease.metadata.resource_version, lease.spec.lease_transitions or 0, holder=""
            )
            await self._call("PUT", f"{self._path}/{LEASE}", document)

    def _may_take(self, lease: _Lease, now: float) -> bool:
        if self._is_ours(lease) or not lease.spec.holder_identity:
            return True
        if lease.metadata.resource_version != self._seen.version:
            self._seen = _Seen(lease.metadata.resource_version, now)
            self._held_until = 0.0
        return now - self._seen.at > DURATION_SECONDS

    def _is_ours(self, lease: _Lease) -> bool:
        return lease.spec.holder_identity == self._identity

    def _document(
        self, version: str, transitions: int, *, holder: str | None = None
    ) -> dict[str, object]:
        now = self._clock().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        metadata = {"name": LEASE, "namespace": self._namespace}
        if version:
            metadata["resourceVersion"] = version
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": {
                "holderIdentity": self._identity if holder is None else holder,
                "leaseDurationSeconds": DURATION_SECONDS,
                "acquireTime": now,
                "renewTime": now,
                "leaseTransitions": transitions,
            },
        }

    async def _call(self, method: str, path: str, body: object = None) -> Reply:
        deadline = asyncio.get_running_loop().time() + CALL_SECONDS
        reply = await self._cluster.call(method, path, body, deadline=deadline)
        if reply.status >= 300 and reply.status not in {_NOT_FOUND, _CONFLICT}:  # noqa: PLR2004
            raise Unanswerable(f"the API server answered {reply.status} to a Lease")
        return reply
