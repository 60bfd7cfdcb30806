"""A small cluster in memory with the webhook's parts over it, in virtual time."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec
from tests.support.api_in_memory import ApiInMemory, Json
from tests.support.assembly import NO_FEATURES, Assembled, Edges, Installation, assembled
from tests.unit.policy.builders import NOW, policy_object
from tests.unit.webhook.cluster import SEAL_KEY, checkpoint
from tests.unit.webhook.objects import pod_spec

from weightlock.cluster_names import NAMESPACE as SYSTEM
from weightlock.names import API_VERSION
from weightlock.policy.checkpoints import Checkpoint
from weightlock.policy.sources import ClaimSource
from weightlock.verdict.floors import VouchedModel, entry_of
from weightlock.verdict.records import record_of, status_of
from weightlock_webhook.cache.features import Features
from weightlock_webhook.cache.objects import ClaimItem, VolumeItem
from weightlock_webhook.decision.answers import Answer
from weightlock_webhook.decision.facts import Allowances
from weightlock_webhook.reviews.collaborators import PodQuestion

GROUP = f"/apis/{API_VERSION}"
CLAIMS = "/api/v1/persistentvolumeclaims"
VOLUMES = "/api/v1/persistentvolumes"
PODS = "/api/v1/pods"
NAMESPACES = "/api/v1/namespaces"
SECRETS = "/api/v1/secrets"
CONFIG_MAPS = "/api/v1/configmaps"
CHECKPOINTS = f"{GROUP}/modelcheckpoints"
CLUSTER_POLICIES = f"{GROUP}/clustermodelpolicies"
POLICIES = f"{GROUP}/modelpolicies"
NAMESPACE = "team-a"
IMAGE = "registry.example/weightlock@sha256:" + "a" * 64


def claim(name: str = "llama", volume: str | None = None, **spec: Any) -> Json:
    return {
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"volumeName": volume or f"pv-{name}", "storageClassName": "models", **spec},
        "status": {"phase": "Bound"},
    }


def volume(name: str, claim_uid: str, handle: str = "vol-1", **spec: Any) -> Json:
    return {
        "metadata": {"name": name},
        "spec": {
            "accessModes": ["ReadOnlyMany"],
            "claimRef": {"uid": claim_uid},
            "csi": {"driver": "disk.example", "volumeHandle": handle},
            **spec,
        },
    }


def document_of(found: Checkpoint) -> Json:
    """A checkpoint as the API shows it."""
    source = found.spec.source
    assert isinstance(source, ClaimSource)
    spec: Json = {
        "source": {
            "persistentVolumeClaim": {"claimName": source.claim_name},
            "path": str(found.spec.path),
        }
    }
    if found.spec.model_name:
        spec["modelName"] = found.spec.model_name
    metadata = {
        "name": found.metadata.name,
        "namespace": found.metadata.namespace,
        "uid": found.metadata.uid,
        "generation": found.metadata.generation,
    }
    document: Json = {"metadata": metadata, "spec": spec}
    record, status = record_of(found), found.status
    if status is not None:
        document["status"] = {"phase": status.phase.value, "seal": status.seal}
    if record is not None:
        document["status"] |= status_of(record)
    return document


@dataclass
class World:
    """The cluster, the webhook over it, and what time it is."""

    api: ApiInMemory
    webhook: Assembled
    started: float = 0.0
    wall: list[timedelta] = field(default_factory=lambda: [timedelta(0)])

    async def answer(
        self, spec: Json | None = None, *, seconds: float = 3.0, **question: Any
    ) -> Answer:
        """What the webhook says to a pod."""
        asked = PodQuestion(
            **{"namespace": NAMESPACE, "metadata": {}, "spec": spec or pod_spec(), **question}
        )
        deadline = asyncio.get_running_loop().time() + seconds
        return await self.webhook.judge.answer(asked, deadline)

    async def settle(self) -> None:
        """Let the watches bring what happened."""
        await asyncio.sleep(0.05)

    def verify(self, name: str = "llama-step-1200", path: str = "/", of: str = "llama") -> Json:
        """A checkpoint that was verified on the storage that a claim has now."""
        found = self.verified(name, path, of)
        return self.api.put(CHECKPOINTS, document_of(found))

    def verified(self, name: str, path: str, of: str) -> Checkpoint:
        key = (NAMESPACE, of)
        held = self.api.stored(CLAIMS, *key)
        backing = self.api.stored(VOLUMES, "", held["spec"]["volumeName"])
        about = self.webhook.knowledge.claim_reader.read(*_items(held, backing))
        return checkpoint(name, path, about=about)

    def bind(self, name: str = "llama", handle: str = "vol-1", **spec: Any) -> Json:
        """A claim and the volume that it is bound to."""
        made = self.api.put(CLAIMS, claim(name, **spec))
        self.api.put(VOLUMES, volume(made["spec"]["volumeName"], made["metadata"]["uid"], handle))
        return made


def _items(held: Json, backing: Json) -> tuple[ClaimItem, VolumeItem]:
    return (
        msgspec.json.decode(json.dumps(held), type=ClaimItem),
        msgspec.json.decode(json.dumps(backing), type=VolumeItem),
    )


def new_api(api: ApiInMemory | None = None, **policy: Any) -> ApiInMemory:
    """A cluster with a seal key and one policy."""
    api = api or ApiInMemory()
    for namespace in (NAMESPACE, SYSTEM, "kube-system"):
        api.put(NAMESPACES, {"metadata": {"name": namespace, "labels": {}}})
    secret = base64.b64encode(SEAL_KEY.secret).decode()
    api.put(
        SECRETS,
        {"metadata": {"name": "weightlock-seal", "namespace": SYSTEM}, "data": {"current": secret}},
    )
    put_policy(api, **policy)
    return api


def put_policy(
    api: ApiInMemory, name: str = "post-quantum", generation: int = 1, **spec: Any
) -> None:
    document: Json = policy_object(name, **spec)
    document["metadata"]["generation"] = generation
    api.put(CLUSTER_POLICIES, document)


def put_config_map(api: ApiInMemory, name: str, **data: str) -> None:
    api.put(CONFIG_MAPS, {"metadata": {"name": name, "namespace": SYSTEM}, "data": data})


def remember(api: ApiInMemory, *floors: tuple[str, int], model: str = "llama") -> None:
    """What the operator writes once a version was verified under policies."""
    entries = (entry_of(VouchedModel(policy, model), version) for policy, version in floors)
    put_config_map(api, "weightlock-versions", **dict(entries))


@asynccontextmanager
async def world(
    api: ApiInMemory | None = None,
    *,
    allowances: Allowances | None = None,
    features: Features = NO_FEATURES,
) -> AsyncIterator[World]:
    """A cluster with one verified checkpoint, and the webhook synced with it."""
    loop = asyncio.get_running_loop()
    is_empty = api is None
    api = api or new_api()
    began, offset = loop.time(), [timedelta(0)]

    def wall_clock() -> datetime:
        return NOW + timedelta(seconds=loop.time() - began) + offset[0]

    webhook = assembled(
        api,
        Installation(SYSTEM, allowances or Allowances(), IMAGE, features),
        Edges(wall_clock, loop.time, lambda: 0.5),
    )
    found = World(api, webhook, began, offset)
    if is_empty:
        found.bind()
        found.verify()
    task = asyncio.create_task(webhook.run())
    await asyncio.sleep(0.5)
    try:
        yield found
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and task.exception():
            raise task.exception()  # type: ignore[misc]
