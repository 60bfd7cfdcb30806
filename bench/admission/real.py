"""The same cluster on a real API server: etcd and kube-apiserver, as e2e/cluster provides them.

They run on all processors that this was started on, the webhook and the load on one each.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import yaml

from bench.admission import world
from bench.admission.processes import OTHERS, ROOT, pin, unpin
from e2e.cluster.apiserver import running_apiserver
from e2e.cluster.assets import API_ONLY, Assets, assets_in
from e2e.cluster.commands import Programs
from e2e.cluster.native.kubernetes import kubernetes_servers
from e2e.cluster.native.preflight import Machine, check
from e2e.cluster.progress import Progress
from e2e.cluster.settings import Settings
from weightlock.errors import WeightlockError
from weightlock_webhook.arming.tokens import divided, path_of
from weightlock_webhook.cache.access import from_kubeconfig
from weightlock_webhook.cache.client import Client, connected

Json = world.Json
AT_ONCE = 24
SECONDS = 60.0
STORAGE = {"storage": "1Gi"}
PODS = "/validate/pods"
LIVE = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/weightlock"


class Refused(Exception):
    """The API server said no."""


@dataclass(frozen=True)
class Real:
    """A real API server, filled."""

    kubeconfig: Path
    client: Client

    def relist(self) -> None:
        """Nobody can ask for it; servers before 1.21 make the webhook list quiet resources anew."""

    async def addressed(self, requests: Sequence[bytes]) -> Sequence[bytes]:
        """By the live configuration's path, once it ends with a token; good for 15 minutes."""
        while not (token := await self._token()):
            await asyncio.sleep(0.1)
        path = f"{PODS}/{token}".encode()
        return [each.replace(PODS.encode(), path, 1) for each in requests]

    async def _token(self) -> str:
        live = await _sent(self.client, "GET", LIVE, None)
        paths = (divided(path_of(each["clientConfig"])[1]) for each in live["webhooks"])
        return next(token for path, token in paths if path.endswith(PODS))


@asynccontextmanager
async def real_apiserver(given: argparse.Namespace) -> AsyncIterator[Real]:
    """One, with all objects in it and objects that change all the while."""
    unpin()
    with running_apiserver(_assets()) as server:
        async with connected(from_kubeconfig(server.kubeconfig)) as client:
            await filled(client, given.checkpoints, given.policies)
            pin(OTHERS)
            churning = asyncio.create_task(churn(client, given.checkpoints, given.churn))
            yield Real(server.kubeconfig, client)
            churning.cancel()
            with suppress(asyncio.CancelledError):
                await churning


def _assets() -> Assets:
    settings, progress = Settings.from_environ(), Progress(sys.stderr)
    programs = Programs(progress)
    if settings.assets:
        return assets_in(settings.assets, API_ONLY, programs)
    check(Machine.this())
    return assets_in(kubernetes_servers(settings, programs, progress), API_ONLY, programs)


async def filled(client: Client, checkpoints: int, policies: int) -> None:
    """Every object of the world, with the identities that this server gives."""
    for path in sorted((ROOT / "crds").glob("*.yaml")):
        document = yaml.safe_load(path.read_text())
        await post(client, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", document)
    await post(client, "/api/v1/namespaces", {"metadata": {"name": world.SYSTEM}})
    await _served(client)
    everything = tuple(world.documents(0, policies))
    for collection, document in everything:
        kind = "ClusterModelPolicy" if "clustermodelpolicies" in collection else ""
        await post(client, collection, {**document, **_typed(kind)})
    await _each(range(checkpoints), lambda number: one(client, number))


async def one(client: Client, number: int) -> None:
    """A claim, bound to its volume, and the checkpoint that was verified on it."""
    (claims, claim), (volumes, volume), (ours, _) = world.of_checkpoint(number)
    claim["spec"] |= {"accessModes": ["ReadOnlyMany"], "resources": {"requests": STORAGE}}
    del claim["metadata"]["uid"], volume["metadata"]["uid"]
    claim = await post(client, claims, claim)
    volume["spec"]["claimRef"]["uid"] = claim["metadata"]["uid"]
    volume["spec"] |= {"capacity": STORAGE, "persistentVolumeReclaimPolicy": "Retain"}
    volume = await post(client, volumes, volume)
    claim["status"] = {"phase": "Bound"}
    claim = await put(client, f"{claims}/{claim['metadata']['name']}/status", claim)
    found = world.unsealed(number, claim, volume)
    metadata = {"name": found["metadata"]["name"], "namespace": found["metadata"]["namespace"]}
    made = await post(client, ours, {**found, "metadata": metadata})
    status = world.sealed({**found, "metadata": {**made["metadata"]}})["status"]
    await put(client, f"{ours}/{metadata['name']}/status", {**made, "status": status})


async def churn(client: Client, checkpoints: int, per_second: float) -> None:
    """Touch checkpoints, as an operator does that writes statuses."""
    while per_second:
        await asyncio.sleep(1 / per_second)
        number = random.randrange(checkpoints)  # noqa: S311 no secret
        labels = {"touched": str(random.random())}  # noqa: S311 no secret
        name = f"{world.OURS}/namespaces/{world.namespace_of(number)}/modelcheckpoints"
        path = f"{name}/{world.name_of(number)}"
        with suppress(Refused):  # the webhook, which is asked about it, is not up all the while
            await _sent(client, "PATCH", path, {"metadata": {"labels": labels}})


async def post(client: Client, collection: str, document: Json) -> Json:
    """Make one."""
    return await _sent(client, "POST", collection, document)


async def put(client: Client, path: str, document: Json) -> Json:
    """Replace one."""
    return await _sent(client, "PUT", path, document)


async def _sent(client: Client, method: str, path: str, document: Json | None) -> Json:
    content_type = "application/merge-patch+json" if method == "PATCH" else "application/json"
    deadline = asyncio.get_running_loop().time() + SECONDS
    reply = await client.call(method, path, document, deadline=deadline, content_type=content_type)
    if reply.status not in {200, 201}:
        raise Refused(f"{method} {path}: {reply.status} {reply.body[:500]!r}")
    found: Json = msgspec.json.decode(reply.body)
    return found


def _typed(kind: str) -> Json:
    return {"apiVersion": "weightlock.dev/v1beta1", "kind": kind} if kind else {}


async def _served(client: Client) -> None:
    """Custom resources take a moment."""
    for plural in ("clustermodelpolicies", "modelpolicies", "modelcheckpoints"):
        for _ in range(600):
            deadline = asyncio.get_running_loop().time() + SECONDS
            with suppress(WeightlockError):
                reply = await client.call("GET", f"{world.OURS}/{plural}", deadline=deadline)
                if reply.status == 200:  # noqa: PLR2004 OK
                    break
            await asyncio.sleep(0.1)


async def _each(numbers: Iterable[int], do: Callable[[int], Any]) -> None:
    left = iter(numbers)

    async def work() -> None:
        for number in left:
            await do(number)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
