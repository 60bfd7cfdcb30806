"""The webhook with live reads that are answered from this process's memory: `... FOLDER`.

Everything else is the product's own process: the measure of what its decisions cost by themselves.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import msgspec
import uvloop

from weightlock_webhook.__main__ import serve_with
from weightlock_webhook.cache.access import access_of
from weightlock_webhook.cache.client import Client, connected
from weightlock_webhook.logs import JsonLines, configure
from weightlock_webhook.reviews.collaborators import Reply
from weightlock_webhook.settings import Settings, environment

LISTS = (
    "/api/v1/persistentvolumeclaims",
    "/api/v1/persistentvolumes",
    "/apis/weightlock.dev/v1beta1/modelcheckpoints",
)


class Instant:
    """A client that knows single objects by heart."""

    def __init__(self, client: Client, replies: dict[str, Reply]) -> None:
        self._client = client
        self._replies = replies

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        deadline: float,
        content_type: str = "application/json",
    ) -> Reply:
        known = self._replies.get(path)
        if known is not None and method == "GET":
            return known
        return await self._client.call(
            method, path, body, deadline=deadline, content_type=content_type
        )

    def stream(self, path: str) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        return self._client.stream(path)


class _Items(msgspec.Struct):
    items: list[msgspec.Raw]


class _Metadata(msgspec.Struct):
    name: str
    namespace: str = ""


class _Named(msgspec.Struct):
    metadata: _Metadata


async def learned(client: Client) -> dict[str, Reply]:
    """Every single object by its path."""
    found = {}
    for path in LISTS:
        deadline = asyncio.get_running_loop().time() + 60
        reply = await client.call("GET", path, deadline=deadline)
        root, _, plural = path.rpartition("/")
        for item in msgspec.json.decode(reply.body, type=_Items).items:
            of = msgspec.json.decode(item, type=_Named).metadata
            within = f"{root}/namespaces/{of.namespace}" if of.namespace else root
            found[f"{within}/{plural}/{of.name}"] = Reply(200, bytes(item))
    return found


async def serve(settings: Settings) -> None:
    async with connected(access_of(settings.kubeconfig, environment())) as client:
        await serve_with(settings, Instant(client, await learned(client)))


if __name__ == "__main__":
    configure(JsonLines())
    logging.getLogger().setLevel(logging.INFO)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(Settings.from_environ()))
    sys.exit(0)
