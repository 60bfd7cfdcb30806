"""The cluster over HTTP: which requests there are, behind which fence, and which are tried again.

Requests (weightlock_operator.api.exchange) run in a bounded thread pool, since they block.

What is tried again, with jitter: reads, whatever went wrong; writes only when the server certainly
did not apply them (429, or never connected). Anything else is the caller's to look at again: a
write that was cut off may have happened (A33).
"""

import asyncio
import logging
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

from kubernetes.client import ApiClient

from weightlock_operator.api.cluster import PODS, Json, Listing, Precondition, Resource
from weightlock_operator.api.cluster_errors import ClusterTrouble, Gone, Throttled, Unavailable
from weightlock_operator.api.exchange import MERGE_PATCH, Request, exchanged, opened
from weightlock_operator.api.parsing import lightened
from weightlock_operator.pod_reader import Answer

PAGE_ITEMS: Final = 100
"""A page is read into memory as a whole, and a tenant's objects may be of 1.5 MiB each."""

ATTEMPTS: Final = 4
FIRST_PAUSE_SECONDS: Final = 0.2
LONGEST_PAUSE_SECONDS: Final = 10.0
"""The longest Retry-After that is waited for here; a longer one is the work queue's business."""

_log = logging.getLogger(__name__)


class Fence(Protocol):
    """Asked in the very thread that is about to write, as late as possible."""

    def check(self) -> None:
        """Return if this replica certainly leads.

        Raises:
            NotLeader: it may not.
        """
        ...


class Unfenced:
    """For the Lease itself, and for questions about one's own rights."""

    def check(self) -> None:
        """Always."""


class RestCluster:
    """The implementation of weightlock_operator.api.cluster.Cluster."""

    def __init__(
        self,
        client: ApiClient,
        *,
        threads: ThreadPoolExecutor,
        fence: Fence,
        count: Callable[[str, str], None] = lambda _method, _result: None,
    ) -> None:
        """`count` hears of every request's method and result."""
        self._client = client
        self._threads = threads
        self._fence = fence
        self._count = count

    def fenced(self, fence: Fence) -> "RestCluster":
        """The same connections behind another fence."""
        return RestCluster(self._client, threads=self._threads, fence=fence, count=self._count)

    async def get(self, resource: Resource, namespace: str, name: str) -> Json:
        """See Cluster.get."""
        return await self._send(Request("GET", resource.path(namespace, name), {}))

    async def list(
        self, resource: Resource, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> Listing:
        """See Cluster.list. A list whose continuation expired is begun anew, once."""
        try:
            return await self._pages(resource, namespace, labels=labels, fields=fields)
        except Gone:
            return await self._pages(resource, namespace, labels=labels, fields=fields)

    async def some(self, resource: Resource, namespace: str, *, fields: str, most: int) -> Listing:
        """See Cluster.some."""
        query = {"limit": str(most), "fieldSelector": fields}
        return _listed(resource, await self._send(Request("GET", resource.path(namespace), query)))

    async def create(
        self, resource: Resource, namespace: str, body: Json, *, dry_run: bool = False
    ) -> Json:
        """See Cluster.create."""
        query = {"dryRun": "All"} if dry_run else {}
        return await self._send(Request("POST", resource.path(namespace), query, body))

    async def replace(
        self, resource: Resource, namespace: str, body: Json, *, subresource: str = ""
    ) -> Json:
        """See Cluster.replace."""
        path = resource.path(namespace, body["metadata"]["name"], subresource)
        return await self._send(Request("PUT", path, {}, body))

    async def patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        change: Json,
        *,
        subresource: str = "",
    ) -> Json:
        """See Cluster.patch."""
        path = resource.path(namespace, name, subresource)
        return await self._send(Request("PATCH", path, {}, change, MERGE_PATCH))

    async def delete(
        self, resource: Resource, namespace: str, name: str, *, only_if: Precondition
    ) -> None:
        """See Cluster.delete."""
        options: Json = {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "propagationPolicy": "Background",
            "preconditions": _preconditions(only_if),
        }
        await self._send(Request("DELETE", resource.path(namespace, name), {}, options))

    async def evict(self, namespace: str, pod: str, *, only_if: Precondition) -> None:
        """See Cluster.evict. policy/v1beta1 until 1.21, policy/v1 from 1.22 on.

        What a budget refuses is not tried again here: it is refused for minutes, not moments.
        """
        for version in ("v1", "v1beta1"):
            body: Json = {
                "apiVersion": f"policy/{version}",
                "kind": "Eviction",
                "metadata": {"name": pod, "namespace": namespace},
                "deleteOptions": {"preconditions": _preconditions(only_if)},
            }
            path = f"/api/v1/namespaces/{namespace}/pods/{pod}/eviction"
            try:
                await self._send(Request("POST", path, {}, body), attempts=1)
            except ClusterTrouble as trouble:
                if version == "v1" and trouble.code in _UNKNOWN_VERSION:
                    continue
                raise
            return

    def open_path(self, path: str, silence_seconds: float) -> Answer:
        """GET a path and read nothing yet, for weightlock_operator.pod_reader. Blocks.

        Raises:
            OSError, urllib3's HTTPError: as they come; the reader tries again.
        """
        return opened(self._client, path, silence_seconds)

    async def document(self, path: str) -> Json:
        """See Cluster.document."""
        return await self._send(Request("GET", path, {}))

    async def _pages(
        self, resource: Resource, namespace: str, *, labels: str, fields: str
    ) -> Listing:
        items: list[Json] = []
        token = ""
        while True:
            query = {
                "limit": str(PAGE_ITEMS),
                "continue": token,
                "labelSelector": labels,
                "fieldSelector": fields,
            }
            page = await self._send(Request("GET", resource.path(namespace), query))
            listing = _listed(resource, page)
            items += listing.items
            token = (page.get("metadata") or {}).get("continue") or ""
            if not token:
                return Listing(items, listing.resource_version)

    async def _send(self, request: Request, attempts: int = ATTEMPTS) -> Json:
        loop = asyncio.get_running_loop()
        pause = FIRST_PAUSE_SECONDS
        for attempt in range(1, attempts + 1):
            try:
                return await loop.run_in_executor(self._threads, self._once, request)
            except (Throttled, Unavailable) as trouble:
                wait = _pause_before_retry(trouble, pause, reads=request.reads)
                if wait is None or attempt == attempts:
                    raise
                _log.debug("trying again in %.1f s: %s", wait, trouble.message)
                await asyncio.sleep(wait)
                pause *= 2
        raise AssertionError("unreachable")

    def _once(self, request: Request) -> Json:
        """One attempt, in a thread."""
        if not request.reads:
            self._fence.check()
        try:
            answer = exchanged(self._client, request)
        except ClusterTrouble as trouble:
            self._count(request.method, type(trouble).__name__)
            raise
        self._count(request.method, "Ok")
        return answer


_UNKNOWN_VERSION: Final = (400, 404, 415)


def _listed(resource: Resource, page: Json) -> Listing:
    found: list[Json] = page.get("items") or []
    # Whether something was injected into a pod is told by its annotations.
    items = found if resource is PODS else list(map(lightened, found))
    return Listing(items, str((page.get("metadata") or {}).get("resourceVersion", "")))


def _preconditions(only_if: Precondition) -> dict[str, str]:
    wanted = {"uid": only_if.uid, "resourceVersion": only_if.resource_version}
    return {key: text for key, text in wanted.items() if text}


def _pause_before_retry(
    trouble: Throttled | Unavailable, pause: float, *, reads: bool
) -> float | None:
    """How long to wait before trying again; None if that is not for us to do."""
    jittered = pause * (0.5 + random.random())  # noqa: S311 - spreads load, hides nothing
    if isinstance(trouble, Throttled):
        wait = max(jittered, trouble.retry_after_seconds)
        return wait if wait <= LONGEST_PAUSE_SECONDS else None
    return jittered if reads or not trouble.sent else None
