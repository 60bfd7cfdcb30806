"""What is watched, with kopf, and how what it misses is found out.

kopf only carries events: low-level handlers, no state of its own on any object, no finalizers, no
posting, no peering, no scanning for new kinds. After a 410 it lists again without noticing what was
deleted in between, and a stream may die in silence; so everything is listed once before the first
decision, and again every few minutes, and held against what was heard.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any, Final

import kopf

from weightlock.cluster_names import CHECKPOINT_UID_LABEL, REQUESTED_EVENT
from weightlock_operator.api.cluster import (
    CHECKPOINTS,
    CLAIMS,
    CLUSTER_POLICIES,
    EVENTS,
    JOBS,
    NAMESPACES,
    POLICIES,
    VOLUMES,
    Cluster,
    Json,
    Listing,
    Resource,
)
from weightlock_operator.api.rest import PAGE_ITEMS

RESYNC_SECONDS: Final = 300.0
GRACE_SECONDS: Final = 5.0
"""What a list shows may still be on its way through the watch."""

MISSES_TOLERATED: Final = 3

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Watched:
    """A kind that is watched, and which of its objects."""

    resource: Resource
    labels: str = ""
    fields: str = ""


WATCHED: Final = (
    Watched(NAMESPACES),
    Watched(CLUSTER_POLICIES),
    Watched(POLICIES),
    Watched(VOLUMES),
    Watched(CLAIMS),
    Watched(JOBS, labels=CHECKPOINT_UID_LABEL),
    Watched(CHECKPOINTS),
    Watched(EVENTS, fields=f"reason={REQUESTED_EVENT}"),
)
"""In this order they are listed first: what a checkpoint is judged by before the checkpoints."""

Sink = Callable[[Resource, Json, bool], None]
"""Takes an object, and whether it is gone."""


class _Backoffs:
    """How kopf waits between attempts: an API server that is away is no reason to end (E01)."""

    def __iter__(self) -> Iterator[float]:
        return chain((1, 1, 2, 3, 5, 8, 13, 21), repeat(30))


def kopf_settings() -> kopf.OperatorSettings:
    """How kopf behaves here."""
    settings = kopf.OperatorSettings()
    settings.peering.standalone = True  # the Lease decides
    settings.posting.enabled = False  # weightlock_operator.api.events
    settings.scanning.disabled = True  # the kinds are known, and no rights are needed for others
    # Nothing is ever persisted by low-level handlers; if that changes, it must not look like kopf's
    # own, which tenants could forge (A10).
    prefix = "operator.weightlock.dev"
    settings.persistence.finalizer = f"{prefix}/finalizer"
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=prefix)
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=prefix)
    settings.networking.connect_timeout = 5
    settings.networking.request_timeout = 30
    settings.networking.error_backoffs = _Backoffs()
    settings.watching.connect_timeout = 10
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 310
    settings.watching.inactivity_timeout = 70
    settings.watching.reconnect_backoff = 1
    settings.watching.chunk_size = PAGE_ITEMS
    # A worker keeps its place for idle_timeout after its last event. Limiting their number would
    # let a listing of thousands through at so many per timeout; ours do nothing that needs a limit.
    settings.queueing.worker_limit = None
    settings.queueing.idle_timeout = 0.1
    settings.queueing.exit_timeout = 2
    settings.execution.max_workers = 1  # there are no synchronous handlers
    # Or the whole process is killed so long after kopf has ended, whatever else it does by then.
    settings.process.ultimate_exiting_timeout = None
    for watched in WATCHED:
        resource = watched.resource
        key = (resource.group, resource.version, resource.plural)
        if watched.labels:
            settings.watching.label_selectors[key] = watched.labels
        if watched.fields:
            settings.watching.field_selectors[key] = watched.fields
    return settings


def kopf_registry(
    sink: Sink, login: Callable[[], kopf.AiohttpSession], relisted: Callable[[Resource], None]
) -> kopf.OperatorRegistry:
    """Handlers that carry every event to `sink`; `relisted` hears when kopf lists."""
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def log_in(**_: Any) -> kopf.AiohttpSession:
        return login()

    for watched in WATCHED:
        _register(registry, watched.resource, sink, relisted)
    return registry


def _register(
    registry: kopf.OperatorRegistry,
    resource: Resource,
    sink: Sink,
    relisted: Callable[[Resource], None],
) -> None:
    async def seen(event: Any, **_: Any) -> None:
        if event["type"] is None:
            relisted(resource)
        sink(resource, event["object"], event["type"] == "DELETED")

    kopf.on.event(resource.group, resource.version, resource.plural, registry=registry, id="seen")(
        seen
    )


async def start_kopf(
    registry: kopf.OperatorRegistry, stopping: asyncio.Event, identity: str
) -> Collection[asyncio.Task[None]]:
    """Start kopf's tasks, which run until one of them ends; then the others are to be cancelled.

    kopf would see to that itself, and cancel every other task of this process with them.
    """
    tasks: Collection[asyncio.Task[None]] = await kopf.spawn_tasks(
        registry=registry,
        settings=kopf_settings(),
        clusterwide=True,
        standalone=True,
        stop_flag=stopping,
        # Or kopf asks who the user is, which has no name in the image; its type, a NewType of str,
        # is not exported.
        identity=identity,  # type: ignore[arg-type]
    )
    return tasks


class Resync:
    """Lists what is watched: all of it at the start, one kind after the other later."""

    def __init__(
        self,
        cluster: Cluster,
        take: Callable[[Resource, Listing], int],
        heard: Callable[[str], None],
    ) -> None:
        """`take` takes a list and says how many objects of it were news."""
        self._cluster = cluster
        self._take = take
        self._heard = heard
        self._misses: dict[str, int] = {}
        self.grace_seconds = GRACE_SECONDS
        self.missed: Callable[[], None] = lambda: None
        """Told when a watch had missed something."""

    async def first(self) -> None:
        """List everything once, before anything is decided.

        Raises:
            ClusterTrouble: something could not be listed.
        """
        for watched in WATCHED:
            self._take(watched.resource, await self._list(watched))
            self._heard(watched.resource.plural)

    async def refresh(self, watched: Watched) -> None:
        """List one kind because something may have been missed.

        Raises:
            ClusterTrouble: it could not be listed.
        """
        self._take(watched.resource, await self._list(watched))
        self._heard(watched.resource.plural)

    async def again(self, watched: Watched) -> None:
        """List one kind and hold it against what was heard.

        Raises:
            ClusterTrouble: it could not be listed.
        """
        listing = await self._list(watched)
        await asyncio.sleep(self.grace_seconds)
        missed = self._take(watched.resource, listing)
        self._heard(watched.resource.plural)
        plural = watched.resource.plural
        if missed:
            self._misses[plural] = self._misses.get(plural, 0) + 1
            _log.warning("the watch of %s had missed %d objects", plural, missed)
            self.missed()
        else:
            self._misses.pop(plural, None)

    def wrong(self) -> str:
        """A check for Health: a watch that misses something time after time is dead."""
        dead = [plural for plural, times in self._misses.items() if times >= MISSES_TOLERATED]
        return f"the watch of {', '.join(sorted(dead))} misses changes" if dead else ""

    async def _list(self, watched: Watched) -> Listing:
        return await self._cluster.list(
            watched.resource, labels=watched.labels, fields=watched.fields
        )
