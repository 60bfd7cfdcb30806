"""An API server in memory over real TLS: `python -m bench.admission.site FOLDER CHECKPOINTS ...`.

Lists in pages, watches with bookmarks, single objects, and what the webhook writes. While it runs
it changes as many objects a second as it is told, and on SIGUSR1 ends the checkpoints' watch with
410, so that they are listed anew.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import random
import signal
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs

import uvloop
from aiohttp import web

from bench.admission import world
from weightlock_webhook.certificates import tls
from weightlock_webhook.certificates.authority import new_authority, server_leaf

Json = world.Json
BOOKMARK_SECONDS = 20.0
OPENAPI: Json = {
    "definitions": {
        f"io.k8s.api.core.v1.{kind}": {"properties": {name: {} for name in names}}
        for kind, names in {
            "PodSpec": ("containers", "volumes", "schedulingGates"),
            "Volume": ("name", "persistentVolumeClaim", "image"),
            "VolumeMount": ("name", "mountPath"),
            "Container": ("name", "image"),
        }.items()
    }
}


class Site:
    """Objects as bytes, by path."""

    def __init__(self, checkpoints: int, policies: int) -> None:
        self.version = 1000
        self.objects: dict[str, Json] = {}
        self.bodies: dict[str, bytes] = {}
        self.collections: dict[str, list[str]] = defaultdict(list)
        self.watchers: dict[str, set[tuple[str, asyncio.Queue[bytes]]]] = defaultdict(set)
        for collection, document in world.documents(checkpoints, policies):
            self.put(collection, document)
        self.checkpoints = [path for path in self.objects if "/modelcheckpoints/" in path]

    def put(self, collection: str, document: Json) -> bytes:
        """Store one."""
        self.version += 1
        path = f"{collection}/{document['metadata']['name']}"
        metadata = {"uid": f"uid-{self.version}", **document["metadata"]}
        metadata["resourceVersion"] = str(self.version)
        is_new = path not in self.objects
        self.objects[path] = {**document, "metadata": metadata}
        body = self.bodies[path] = json.dumps(self.objects[path]).encode()
        if is_new:
            self.collections[_everywhere(collection)].append(path)
        kind = "ADDED" if is_new else "MODIFIED"
        self.tell(_everywhere(collection), kind, body, document["metadata"]["name"])
        return body

    def tell(self, collection: str, kind: str, body: bytes, name: str = "") -> None:
        """Send an event to every watch of a collection that selects an object of this name."""
        line = b'{"type":"%s","object":%s}\n' % (kind.encode(), body)
        for selected, queue in self.watchers[collection]:
            if not name or selected in {"", name}:
                queue.put_nowait(line)

    def forget(self) -> None:
        """Make the watch of the checkpoints begin anew with a list."""
        status = {"kind": "Status", "code": 410, "reason": "Expired"}
        self.tell(
            "/apis/weightlock.dev/v1beta1/modelcheckpoints", "ERROR", json.dumps(status).encode()
        )

    async def churn(self, per_second: float) -> None:
        """Touch checkpoints, as an operator does that writes statuses."""
        while per_second:
            await asyncio.sleep(1 / per_second)
            path = random.choice(self.checkpoints)  # noqa: S311 no secret
            document = self.objects[path]
            labels = {"touched": str(self.version)}
            touched = {**document, "metadata": {**document["metadata"], "labels": labels}}
            self.put(path.rpartition("/")[0], touched)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Any request."""
        path = request.rel_url.raw_path
        if request.method == "GET":
            return await self._get(request, path)
        body = json.loads(await request.read() or b"{}")
        if request.method == "POST":
            if path.endswith("/events"):
                return web.Response(status=201, body=b"{}")
            at = f"{path}/{body['metadata']['name']}"
            if at in self.objects:
                return web.Response(status=409, body=b"{}")
            return web.Response(status=201, body=self.put(path, body))
        if path not in self.objects:
            return web.Response(status=404, body=b"{}")
        if request.method == "PUT":
            return web.Response(body=self.put(path.rpartition("/")[0], body))
        return web.Response(body=self._patched(path, body))

    def _patched(self, path: str, body: object) -> bytes:
        document = json.loads(self.bodies[path])
        for operation in body if isinstance(body, list) else []:
            if operation["op"] == "add":
                target = document
                *parents, last = operation["path"].strip("/").split("/")
                for step in parents:
                    target = target[int(step) if isinstance(target, list) else step]
                target[last] = operation["value"]
        return self.put(path.rpartition("/")[0], document)

    async def _get(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        if path == "/openapi/v2":
            return web.Response(body=json.dumps(OPENAPI).encode())
        if path in self.bodies:
            return web.Response(body=self.bodies[path])
        query = {
            key: values[0] for key, values in parse_qs(request.rel_url.raw_query_string).items()
        }
        if "watch" in query:
            return await self._watch(request, path, query)
        if path.rpartition("/")[2] not in PLURALS:
            return web.Response(status=404, body=b"{}")
        return web.Response(body=self._listed(path, query))

    def _listed(self, path: str, query: dict[str, str]) -> bytes:
        everywhere = _everywhere(path)
        found = self.collections[everywhere]
        if path != everywhere:
            found = [each for each in found if each.startswith(f"{path}/")]
        wanted = _selected_name(query)
        if wanted:
            found = [each for each in found if each.endswith(f"/{wanted}")]
        start, limit = int(query.get("continue", 0)), int(query.get("limit", 0)) or len(found)
        metadata = {"resourceVersion": str(self.version)}
        if start + limit < len(found):
            metadata["continue"] = str(start + limit)
        items = b",".join(self.bodies[each] for each in found[start : start + limit])
        return b'{"kind":"List","metadata":%s,"items":[%s]}' % (
            json.dumps(metadata).encode(),
            items,
        )

    async def _watch(
        self, request: web.BaseRequest, path: str, query: dict[str, str]
    ) -> web.StreamResponse:
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        watchers = self.watchers[_everywhere(path)]
        watcher = _selected_name(query), queue
        watchers.add(watcher)
        seconds = float(query["timeoutSeconds"])
        response = web.StreamResponse()
        await response.prepare(request)
        end = asyncio.get_running_loop().time() + seconds
        try:
            while (left := end - asyncio.get_running_loop().time()) > 0:
                try:
                    async with asyncio.timeout(min(left, BOOKMARK_SECONDS)):
                        line = await queue.get()
                except TimeoutError:
                    metadata = {"resourceVersion": str(self.version)}
                    mark = {"type": "BOOKMARK", "object": {"metadata": metadata}}
                    line = json.dumps(mark).encode() + b"\n"
                await response.write(line)
        except ConnectionError:
            pass
        finally:
            watchers.discard(watcher)
        return response


PLURALS = {
    "clustermodelpolicies",
    "configmaps",
    "modelcheckpoints",
    "modelpolicies",
    "namespaces",
    "persistentvolumeclaims",
    "persistentvolumes",
    "pods",
    "secrets",
}


def _selected_name(query: dict[str, str]) -> str:
    field, _, name = query.get("fieldSelector", "").partition("=")
    return name if field == "metadata.name" else ""


def _everywhere(collection: str) -> str:
    """A collection in all namespaces."""
    root, mark, rest = collection.partition("/namespaces/")
    return f"{root}/{rest.partition('/')[2]}" if mark and "/" in rest else collection


async def serve(folder: Path, site: Site, churn: float) -> None:
    """Serve until told to stop."""
    now = datetime.now(UTC)  # noqa: TID251 the edge
    authority = new_authority(now)
    context = tls.server_context()
    tls.take(context, server_leaf(authority, ("localhost",), now))
    server = web.Server(site.handle, access_log=None)
    loop = asyncio.get_running_loop()
    socket = await loop.create_server(server, "127.0.0.1", 0, ssl=context)
    port = socket.sockets[0].getsockname()[1]
    loop.add_signal_handler(signal.SIGUSR1, site.forget)
    (folder / "kubeconfig").write_text(json.dumps(kubeconfig(port, authority.certificate)))
    await site.churn(churn)
    await asyncio.Event().wait()


def kubeconfig(port: int, authority: str) -> Json:
    cluster = {
        "server": f"https://localhost:{port}",
        "certificate-authority-data": base64.b64encode(authority.encode()).decode(),
    }
    return {
        "current-context": "b",
        "contexts": [{"name": "b", "context": {"cluster": "b", "user": "b"}}],
        "clusters": [{"name": "b", "cluster": cluster}],
        "users": [{"name": "b", "user": {"token": "t"}}],
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("checkpoints", type=int)
    parser.add_argument("policies", type=int)
    parser.add_argument("churn", type=float)
    given = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(given.folder, Site(given.checkpoints, given.policies), given.churn))
