"""Leader election by a Lease, and the fence that every write passes.

Two replicas run, one leads. The Lease lasts 15 s, its holder renews it every 2 s and gives up after
10 s without success; then the process ends, since nothing that it knows may be true any longer.

Time is the caller's steady clock, which goes on while the process is stopped and while the machine
sleeps; no wall clock is compared with another (E10). Whether somebody else's Lease has expired is
judged by how long it has not changed *here*.

The fence is asked in the thread that is about to write. A process that was paused finds the Lease
too old before it writes anything (E06); what was already on its way carries a resource version.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from weightlock.cluster_names import RENEWALS_ANNOTATION
from weightlock_operator.api.cluster import LEASES, Cluster, Json
from weightlock_operator.api.cluster_errors import (
    AlreadyExists,
    ClusterTrouble,
    Conflict,
    NotFound,
    NotLeader,
)
from weightlock_operator.api.restores import Moment, number

LEASE_SECONDS: Final = 15
RENEW_SECONDS: Final = 10.0
RETRY_SECONDS: Final = 2.0
ASK_SECONDS: Final = 5.0
"""How long one request about the Lease may take: two must fit before giving up."""

_log = logging.getLogger(__name__)

Clock = Callable[[], float]
WallClock = Callable[[], datetime]


class LeaseFence:
    """Whether this process certainly leads, by its steady clock alone. Safe in any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._renewed_at: float | None = None

    def renewed(self, asked_at: float) -> None:
        """The Lease was ours at `asked_at`, when the request that says so was begun."""
        self._renewed_at = asked_at

    def lost(self) -> None:
        """It is ours no more."""
        self._renewed_at = None

    @property
    def holds(self) -> bool:
        """Whether a write may begin now."""
        renewed_at = self._renewed_at
        return renewed_at is not None and self._clock() - renewed_at < RENEW_SECONDS

    def check(self) -> None:
        """Return if this replica certainly leads.

        Raises:
            NotLeader: it may not.
        """
        if not self.holds:
            raise NotLeader("the Lease is not held, or too old to be sure; nothing is written")


@dataclass(slots=True)
class _Seen:
    """A Lease as it was last seen, and when it last changed by our clock."""

    version: str = ""
    changed_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """Which Lease, and who wants it. The identity must be new for each process."""

    namespace: str
    lease: str
    identity: str


class Election:
    """One replica's part in the election."""

    def __init__(
        self,
        cluster: Cluster,
        candidate: Candidate,
        *,
        clock: Clock,
        wall: WallClock,
        fence: LeaseFence,
    ) -> None:
        """`cluster` writes unfenced: a Lease cannot wait for itself."""
        self._cluster = cluster
        self._namespace = candidate.namespace
        self._name = candidate.lease
        self._identity = candidate.identity
        self._clock = clock
        self._wall = wall
        self._fence = fence
        self._seen = _Seen()
        self._lease: Json | None = None
        self._other_leads = False
        self.answered_at: float | None = None
        """When the API server last answered about the Lease, by the steady clock."""

        self.heard: Callable[[Moment, str], None] = lambda _moment, _uid: None
        """Told moment and uid of the Lease in every answer (weightlock_operator.api.restores)."""

    async def acquire(self) -> None:
        """Return when this replica leads."""
        while not await self._attempt():
            await asyncio.sleep(RETRY_SECONDS)
        _log.info("leading as %s", self._identity)

    async def hold(self) -> None:
        """Renew until that fails for too long or somebody else leads; then return."""
        while self._fence.holds:
            await asyncio.sleep(RETRY_SECONDS)
            if not await self._attempt() and self._other_leads:
                break
        self._fence.lost()
        _log.error("leading no more: the Lease was lost or could not be renewed")

    async def release(self) -> None:
        """Give the Lease back, so that the other replica need not wait."""
        self._fence.lost()
        if self._lease is None:
            return
        free = self._with_spec(self._lease, holder="", seconds=1)
        try:
            await self._cluster.replace(LEASES, self._namespace, free)
        except ClusterTrouble as trouble:
            _log.warning("the Lease could not be given back: %s", trouble.message)

    async def _attempt(self) -> bool:
        """Take or renew the Lease once; whether it is ours now."""
        asked_at = self._clock()
        try:
            async with asyncio.timeout(ASK_SECONDS):
                held = await self._take()
        except (AlreadyExists, Conflict):
            return False  # somebody was faster; the next look shows who
        except TimeoutError:
            _log.warning("no answer about the Lease in %.0f s", ASK_SECONDS)
            return False
        except ClusterTrouble as trouble:
            _log.warning("the Lease could not be renewed: %s", trouble.message)
            return False
        self.answered_at = self._clock()
        if held:
            self._fence.renewed(asked_at)
        return held

    async def _take(self) -> bool:
        if self._lease is not None and self._fence.holds:
            # Nobody else may have written it: then the version that is known is the newest.
            mine = self._with_spec(self._lease, holder=self._identity, seconds=LEASE_SECONDS)
            try:
                self._remember(await self._cluster.replace(LEASES, self._namespace, mine))
            except (Conflict, NotFound):
                self._lease = None  # somebody did; look who
            else:
                return True
        try:
            live = await self._cluster.get(LEASES, self._namespace, self._name)
        except NotFound:
            self._remember(await self._cluster.create(LEASES, self._namespace, self._fresh()))
            return True
        self._hear(live)
        self._other_leads = not self._may_take(live)
        if self._other_leads:
            self._lease = None
            return False
        mine = self._with_spec(live, holder=self._identity, seconds=LEASE_SECONDS)
        self._remember(await self._cluster.replace(LEASES, self._namespace, mine))
        return True

    def _remember(self, lease: Json) -> None:
        self._lease = lease
        self._hear(lease)

    def _hear(self, lease: Json) -> None:
        metadata = lease["metadata"]
        moment = Moment(number(metadata["resourceVersion"]), renewals_of(lease))
        self.heard(moment, str(metadata.get("uid", "")))

    def _may_take(self, live: Json) -> bool:
        """Ours, nobody's, or unchanged for longer than it lasts."""
        version = live["metadata"]["resourceVersion"]
        if version != self._seen.version:
            self._seen = _Seen(version, self._clock())
        spec = live.get("spec") or {}
        if spec.get("holderIdentity") in (self._identity, "", None):
            return True
        lasts = spec.get("leaseDurationSeconds") or LEASE_SECONDS
        return self._clock() - self._seen.changed_at > lasts

    def _fresh(self) -> Json:
        empty: Json = {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {"name": self._name, "namespace": self._namespace},
        }
        return self._with_spec(empty, holder=self._identity, seconds=LEASE_SECONDS)

    def _with_spec(self, lease: Json, *, holder: str, seconds: int) -> Json:
        before = lease.get("spec") or {}
        now = micro_time(self._wall())
        changed = before.get("holderIdentity") != holder
        metadata = lease["metadata"]
        renewals = {RENEWALS_ANNOTATION: str(renewals_of(lease) + 1)}
        annotations = {**(metadata.get("annotations") or {}), **renewals}
        return {
            **lease,
            "metadata": {**metadata, "annotations": annotations},
            "spec": {
                "holderIdentity": holder,
                "leaseDurationSeconds": seconds,
                "renewTime": now,
                "acquireTime": now if changed else before.get("acquireTime", now),
                "leaseTransitions": int(before.get("leaseTransitions") or 0) + int(changed),
            },
        }


def renewals_of(lease: Json) -> int:
    """How often a Lease was written; 0 for one of which nobody has counted it."""
    annotations = lease["metadata"].get("annotations") or {}
    return number(str(annotations.get(RENEWALS_ANNOTATION, "")))


def micro_time(instant: datetime) -> str:
    """As meta/v1 MicroTime has it: always six digits."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
