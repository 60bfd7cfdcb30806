"""An API server in memory, behind the cache's own seam: lists in pages, watches, versions, faults.

It speaks the API's bytes, so whatever decodes them is tested too.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from weightlock_webhook.cache.errors import Gone, TooLarge, Unreachable
from weightlock_webhook.reviews.collaborators import Reply

Json = dict[str, Any]
BOOKMARK_SECONDS = 40.0


@dataclass
class Faults:
    """What is wrong with the server or the way to it; all off at first."""

    is_down: bool = False
    """Nothing is answered."""
    is_silent: bool = False
    """Watches stay open and say nothing: half-open connections look like this."""
    forgets_continuations: bool = False
    """The second page of every list is gone."""
    is_lagging: bool = False
    """Watches hold back what happens; calls see it. Watches that begin anew see it too."""
    watches_fail: bool = False
    """Lists fail and watches do not start; single objects are answered."""
    status: int = 0
    """Every call is answered with this."""
    delay_seconds: float = 0.0
    """Before every answer."""
    reply_delay_seconds: float = 0.0
    """After an answer was found, before it arrives."""
    most_bytes: int = 0
    """What is longer does not come through; 0 for no bound."""
    garbage: bytes = b""
    """What every call is answered with."""


@dataclass
class _Watcher:
    collection: str
    selected: Callable[[Json], bool]
    lines: asyncio.Queue[bytes | Exception | None] = field(default_factory=asyncio.Queue)


class ApiInMemory:
    """Objects by collection path, such as `/api/v1/persistentvolumes`."""

    def __init__(self) -> None:
        self.version = 100
        self.compacted = 0
        self.faults = Faults()
        self.calls: list[tuple[str, str]] = []
        self.accepted: dict[str, str] = {}
        self.posted: list[Json] = []
        self.missing: set[str] = set()
        """Paths that do not exist."""
        self.documents: dict[str, Json] = {}
        """What is answered at paths that are no collections."""
        self._objects: dict[str, dict[tuple[str, str], Json]] = {}
        self._log: list[tuple[int, str, str, Json]] = []
        self._watchers: list[_Watcher] = []
        self._uids = 0

    # What a test does to it.

    def put(self, collection: str, document: Json) -> Json:
        """Create or update an object; it gets a version, and a uid if it is new."""
        objects = self._objects.setdefault(collection, {})
        metadata = dict(document["metadata"])
        key = (metadata.get("namespace", ""), metadata["name"])
        known = objects.get(key)
        self.version += 1
        self._uids += 1
        metadata["resourceVersion"] = str(self.version)
        metadata.setdefault("uid", known["metadata"]["uid"] if known else f"uid-{self._uids}")
        stored = {**document, "metadata": metadata}
        objects[key] = stored
        self._happened(collection, "MODIFIED" if known else "ADDED", stored, known)
        return stored

    def stored(self, collection: str, namespace: str, name: str) -> Json:
        """An object as it is."""
        return self._objects[collection][namespace, name]

    def has(self, collection: str, namespace: str, name: str) -> bool:
        """Whether there is such an object."""
        return (namespace, name) in self._objects.get(collection, {})

    def delete(self, collection: str, name: str, namespace: str = "") -> None:
        """Delete an object."""
        stored = self._objects[collection].pop((namespace, name))
        self.version += 1
        metadata = {**stored["metadata"], "resourceVersion": str(self.version)}
        gone = {**stored, "metadata": metadata}
        self._happened(collection, "DELETED", gone, stored)

    def compact(self) -> None:
        """Forget everything before now."""
        self.compacted = self.version
        self._log.clear()

    def end_watches(self, error: Exception | None = None) -> None:
        """End all watches: in good order, or by an error."""
        for watcher in self._watchers:
            watcher.lines.put_nowait(error)
        self._watchers.clear()

    def say(self, line: Json) -> None:
        """Say something of the test's own on every watch."""
        for watcher in self._watchers:
            watcher.lines.put_nowait(json.dumps(line).encode())

    def restore(self, objects: dict[str, dict[tuple[str, str], Json]], version: int) -> None:
        """Go back to an earlier state, as from a backup of etcd."""
        self._objects = {path: dict(found) for path, found in objects.items()}
        self.version = version
        self._log.clear()

    def snapshot(self) -> tuple[dict[str, dict[tuple[str, str], Json]], int]:
        """The state, for `restore`."""
        return {path: dict(found) for path, found in self._objects.items()}, self.version

    # What the cache does with it.

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        deadline: float,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Reply:
        del content_type
        self.calls.append((method, path))
        self.accepted[path] = accept
        try:
            async with asyncio.timeout_at(deadline):
                await asyncio.sleep(self.faults.delay_seconds)
        except TimeoutError as error:
            raise Unreachable("too late") from error
        reply = self._replied(method, path, body)
        if 0 < self.faults.most_bytes < len(reply.body):
            raise TooLarge("too long")
        if self.faults.reply_delay_seconds:
            await asyncio.sleep(self.faults.reply_delay_seconds)
        return reply

    def _replied(self, method: str, path: str, body: object) -> Reply:
        if self.faults.is_down or (self.faults.watches_fail and "limit=" in path):
            raise Unreachable("connection refused")
        if self.faults.status or self.faults.garbage:
            return Reply(self.faults.status or 200, self.faults.garbage or b"{}")
        if method == "POST":
            self.posted.append(body)  # type: ignore[arg-type]
            return Reply(201, b"{}")
        if path in self.missing:
            return Reply(404, b"{}")
        if path in self.documents:
            return Reply(200, json.dumps(self.documents[path]).encode())
        return self._got(path)

    @asynccontextmanager
    async def stream(self, path: str) -> AsyncIterator[AsyncIterator[bytes]]:
        self.calls.append(("WATCH", path))
        if self.faults.is_down or self.faults.watches_fail:
            raise Unreachable("connection refused")
        parts = urlsplit(path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        since = int(query["resourceVersion"])
        if since < self.compacted:
            raise Gone("too old")
        watcher = _Watcher(parts.path, _selected(query.get("fieldSelector", "")))
        for version, collection, kind, document in self._log:
            if version > since and _is_in(collection, watcher.collection, document):
                self._tell(watcher, kind, document)
        self._watchers.append(watcher)
        try:
            yield self._lines(watcher, float(query["timeoutSeconds"]))
        finally:
            if watcher in self._watchers:
                self._watchers.remove(watcher)

    async def _lines(self, watcher: _Watcher, seconds: float) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while True:
            if self.faults.is_silent:
                await asyncio.Event().wait()
            try:
                wait = min(BOOKMARK_SECONDS, end - loop.time())
                line = await asyncio.wait_for(watcher.lines.get(), wait)
            except TimeoutError:
                if loop.time() >= end:
                    return
                metadata = {"resourceVersion": str(self.version)}
                yield json.dumps({"type": "BOOKMARK", "object": {"metadata": metadata}}).encode()
                continue
            if isinstance(line, Exception):
                raise line
            if line is None:
                return
            yield line

    def _happened(self, collection: str, kind: str, document: Json, known: Json | None) -> None:
        self._log.append((self.version, collection, kind, document))
        if self.faults.is_lagging:
            return
        for watcher in self._watchers:
            if _is_in(collection, watcher.collection, document):
                self._tell(watcher, kind, document, known)

    def _tell(
        self, watcher: _Watcher, kind: str, document: Json, known: Json | None = None
    ) -> None:
        is_in, was_in = watcher.selected(document), known is not None and watcher.selected(known)
        if not is_in and not was_in:
            return
        kind = kind if is_in else "DELETED"
        line = {"type": kind, "object": {"apiVersion": "v1", "kind": "Any", **document}}
        watcher.lines.put_nowait(json.dumps(line).encode())

    def _got(self, path: str) -> Reply:
        parts = urlsplit(path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        for collection, objects in self._objects.items():
            for (namespace, name), document in objects.items():
                if parts.path == f"{_namespaced(collection, namespace)}/{name}":
                    return Reply(200, json.dumps(document).encode())
        if _names_an_object(parts.path):
            return Reply(404, b"{}")
        return self._listed(parts.path, query)

    def _listed(self, path: str, query: dict[str, str]) -> Reply:
        selected = _selected(query.get("fieldSelector", ""))
        found = [
            document
            for collection, objects in sorted(self._objects.items())
            for _, document in sorted(objects.items())
            if _is_in(collection, path, document) and selected(document)
        ]
        start, limit = int(query.get("continue", "0")), int(query.get("limit", "0"))
        if start and self.faults.forgets_continuations:
            return Reply(410, b"{}")
        metadata: Json = {"resourceVersion": str(self.version)}
        if limit and start + limit < len(found):
            metadata["continue"] = str(start + limit)
            found = found[: start + limit]
        body = {"kind": "List", "metadata": metadata, "items": found[start:] or None}
        return Reply(200, json.dumps(body).encode())


class CountingApi(ApiInMemory):
    """Knows how many calls ran at once."""

    def __init__(self, delay_seconds: float = 0.0) -> None:
        super().__init__()
        self.faults.delay_seconds = delay_seconds
        self.running = self.most = 0

    async def call(self, *arguments: Any, **more: Any) -> Reply:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            return await super().call(*arguments, **more)
        finally:
            self.running -= 1


def _namespaced(collection: str, namespace: str) -> str:
    root, _, plural = collection.rpartition("/")
    return f"{root}/namespaces/{namespace}/{plural}" if namespace else collection


def _is_in(collection: str, path: str, document: Json) -> bool:
    namespace = document["metadata"].get("namespace", "")
    return path in (collection, _namespaced(collection, namespace))


def _names_an_object(path: str) -> bool:
    """By the number of segments: collections are named by their plural."""
    segments = path.strip("/").split("/")
    root = 2 if segments[0] == "api" else 3
    rest = segments[root:]
    return len(rest) in (2, 4)


def _selected(selector: str) -> Callable[[Json], bool]:
    terms = [term for term in selector.split(",") if term]

    def matches(document: Json) -> bool:
        for term in terms:
            is_not = "!=" in term
            path, _, wanted = term.partition("!=" if is_not else "=")
            value: Any = document
            for key in path.split("."):
                value = value.get(key, {}) if isinstance(value, dict) else {}
            if (value == wanted) is is_not:
                return False
        return True

    return matches
