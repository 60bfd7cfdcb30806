"""Keeps one store equal to one resource of the API server: list, watch, and list again.

1. LIST in pages, answered from etcd itself; the store is replaced as a whole when all pages are in;
   a page that is too long is asked for again with fewer objects, down to one: nobody can write an
   object that is too long alone (weightlock_webhook.cache.client)
2. WATCH from there with bookmarks, so that a quiet resource proves that it is watched
3. a watch that says nothing for too long is taken for dead: half-open connections never end (E04)
4. whatever breaks is followed by a fresh list, after a pause that grows and varies; so are a
   version that the server has forgotten (410) and one that it has not reached yet, which is what a
   restored etcd looks like (A39)

5. servers before 1.21 send no bookmarks for a kind of which nothing has changed since they started:
   what a whole watch has not proven, a list proves; so it does that a namespace has room again

A watch that the server ends in good order goes on from where it was.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Generic
from urllib.parse import urlencode

import msgspec

from weightlock_webhook.cache.decoding import decoded
from weightlock_webhook.cache.errors import Gone, TooLarge, Unreachable
from weightlock_webhook.cache.objects import Bookmark, Event, Known, Page, Status
from weightlock_webhook.cache.resources import Resource
from weightlock_webhook.cache.rooms import Contents, KeptType
from weightlock_webhook.cache.store import Store, is_same
from weightlock_webhook.cache.transport import Transport

logger = logging.getLogger(__name__)

PAGE_ITEMS: Final = 500
PAGE_BYTES: Final = 8 << 20
"""What a page should come to: it is decoded at one go, while nothing else is answered."""

_FEWER: Final = 4
"""By how much a page is shortened that was too long."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long each step may take, in seconds."""

    list_seconds: float = 30.0
    """One page."""

    watch_seconds: int = 50
    """After which the server ends a watch; it sends a bookmark shortly before."""

    silence_seconds: float = 75.0
    """After which a watch that says nothing is dead; bookmarks come more often."""

    first_pause_seconds: float = 0.2
    longest_pause_seconds: float = 15.0


class Reflector(Generic[Known, KeptType]):
    """Feeds a store for as long as `run` runs."""

    def __init__(
        self,
        resource: Resource[Known, KeptType],
        store: Store[KeptType],
        transport: Transport,
        jitter: Callable[[], float],
        *,
        patience: Patience | None = None,
        went_back: Callable[[], None] = lambda: None,
    ) -> None:
        """`jitter` gives numbers from 0 to 1; `went_back` hears of versions that went backwards."""
        self._resource = resource
        self._store = store
        self._transport = transport
        self._jitter = jitter
        self._patience = patience or Patience()
        self._went_back = went_back
        self._page: msgspec.json.Decoder[Page[Known]] = msgspec.json.Decoder(_page(resource.item))
        self._item = msgspec.json.Decoder(resource.item)
        self._event = msgspec.json.Decoder(Event)
        self._version = ""
        self._items = PAGE_ITEMS

    async def run(self) -> None:
        """List and watch until cancelled."""
        pause = self._patience.first_pause_seconds
        while True:
            try:
                await self._list()
                pause = self._patience.first_pause_seconds
                while True:
                    await self._watch()
            except Gone:
                logger.info("%s: the version to watch from is gone", self._resource.name)
            except (Unreachable, msgspec.MsgspecError, UnicodeDecodeError) as error:
                logger.warning("%s: %s", self._resource.name, error)
            await asyncio.sleep(pause * (0.5 + self._jitter() / 2))
            pause = min(2 * pause, self._patience.longest_pause_seconds)

    async def _list(self) -> None:
        """(1)."""
        started = _now()
        try:
            found, version = await self._pages(in_pages=True)
        except Gone:
            # The list took longer than the server remembers; the next one comes in one piece.
            started = _now()
            found, version = await self._pages(in_pages=False)
        if _number(version) < _number(self._version):
            logger.warning("%s: versions went backwards", self._resource.name)
            self._went_back()
        self._version = version
        self._store.replace(found, started)

    async def _pages(self, *, in_pages: bool) -> tuple[Contents[KeptType], str]:
        found, token = self._store.empty(), ""
        while True:
            page = await self._page_at(token, in_pages=in_pages)
            # After a restore the same version may stand for something else.
            may_reuse = _number(page.metadata.resourceVersion) >= _number(self._version)
            for item in page.items or ():
                self._add(found, item, may_reuse=may_reuse)
            token = page.metadata.continue_
            if not token:
                return found, page.metadata.resourceVersion
            await asyncio.sleep(0)

    def _add(self, found: Contents[KeptType], item: Known, *, may_reuse: bool) -> None:
        known = self._store.get(item.metadata.key)
        if may_reuse and known is not None and is_same(known, item):
            kept: KeptType | None = known
        else:
            kept = self._resource.keep(item)
        if kept is not None:
            found.put(kept)
        self._expect_no_more(len(found))

    async def _page_at(self, token: str, *, in_pages: bool) -> Page[Known]:
        while True:
            items = self._items if in_pages else 0
            try:
                body = await self._fetched(items, token)
            except TooLarge as error:
                if items <= 1:
                    raise
                self._items = max(1, items // _FEWER)
                logger.warning("%s: %s; shorter pages", self._resource.name, error)
                continue
            page = decoded(self._page, body)
            self._items = _fitting(self._items, len(page.items or ()), len(body))
            return page

    async def _fetched(self, items: int, token: str) -> bytes:
        query = {"limit": str(items)} if items else {}
        if token:
            query["continue"] = token
        deadline = _now() + self._patience.list_seconds
        reply = await self._transport.call("GET", self._path(query), deadline=deadline)
        if reply.status == HTTPStatus.GONE:
            raise Gone("the list's continuation is gone")
        if reply.status != HTTPStatus.OK:
            raise Unreachable(f"the API server answered a list with {reply.status}")
        return reply.body

    async def _watch(self) -> None:
        """(2) and (3)."""
        query = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(self._patience.watch_seconds),
        }
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(self._patience.list_seconds):
                    lines = await stack.enter_async_context(
                        self._transport.stream(self._path(query))
                    )
                while (line := await self._next(lines)) is not None:
                    self._apply(decoded(self._event, line))
            except TimeoutError as error:
                raise Unreachable("a watch went silent") from error
        # Ended in good order. A server that ends every watch at once must not be asked in a loop.
        await asyncio.sleep(self._patience.first_pause_seconds * self._jitter())
        is_old = self._store.staleness_seconds(_now()) > self._patience.watch_seconds / 2
        if is_old or self._store.has_crowded:
            await self._list()  # (5)

    async def _next(self, lines: AsyncIterator[bytes]) -> bytes | None:
        async with asyncio.timeout(self._patience.silence_seconds):
            return await anext(lines, None)

    def _apply(self, event: Event) -> None:
        match event.type:
            case "ADDED" | "MODIFIED" | "DELETED":
                version = self._changed(event)
            case "BOOKMARK":
                version = msgspec.json.decode(event.object, type=Bookmark).metadata.resourceVersion
            case "ERROR":
                status = msgspec.json.decode(event.object, type=Status)
                error = Gone if status.code == HTTPStatus.GONE else Unreachable
                raise error(f"the watch says {status.code} {status.reason}")
            case _:
                raise Unreachable("an event of an unknown type")
        if _number(version) < _number(self._version):
            raise Gone("the watch is behind where it started")
        self._version = version
        self._store.proven(_now())

    def _changed(self, event: Event) -> str:
        item = decoded(self._item, bytes(event.object))
        kept = None if event.type == "DELETED" else self._resource.keep(item)
        if kept is None:
            self._store.drop(item.metadata.key)
        else:
            self._store.put(kept)
            self._expect_no_more(len(self._store))
        return item.metadata.resourceVersion

    def _expect_no_more(self, count: int) -> None:
        most = self._resource.most
        if most is not None and count > most:
            raise Unreachable(f"more than {most} objects, which is the most kept")

    def _path(self, query: dict[str, str]) -> str:
        if self._resource.field_selector:
            query = {**query, "fieldSelector": self._resource.field_selector}
        return f"{self._resource.path}?{urlencode(query)}" if query else self._resource.path


def _page(item: type[Known]) -> Any:
    return Page[item]  # type: ignore[valid-type]


def _fitting(items: int, found: int, size: int) -> int:
    """As many as make a page of the size that is wanted, by the last one; it grows step by step."""
    return max(1, min(PAGE_ITEMS, 2 * items, max(1, found) * PAGE_BYTES // max(1, size)))


def _number(version: str) -> int:
    """Versions are opaque to clients, except that they are told to compare them since 1.35.

    A server whose versions are no numbers gives up the check for going back, nothing else.
    """
    return int(version) if version.isascii() and version.isdecimal() else 0


def _now() -> float:
    return asyncio.get_running_loop().time()
