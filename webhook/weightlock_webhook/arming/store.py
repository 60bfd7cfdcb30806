"""Webhook configurations, the authority's Secret and the state ConfigMap, in the cluster."""

import asyncio
import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

import msgspec

from weightlock.cluster_names import STATE_CONFIG_MAP
from weightlock.errors import Unanswerable
from weightlock_webhook import documents
from weightlock_webhook.arming.comparison import API_VERSION, PLURALS, Configuration, mapping
from weightlock_webhook.reviews.collaborators import Cluster, Reply

AUTHORITY_SECRET: Final = "weightlock-webhook-ca"  # noqa: S105 the name of one
CALL_SECONDS: Final = 4.0
DOOR_ANNOTATION: Final = "weightlock.dev/door"
"""On pods of the webhook that know of tokens in paths; versions before them have none."""

_REPLICAS: Final = "app.kubernetes.io/name=weightlock,app.kubernetes.io/component=webhook"
_FINISHED: Final = frozenset({"Succeeded", "Failed"})
_REGISTRATION: Final = f"/apis/{API_VERSION}"
_NOT_FOUND, _CONFLICT, _FIRST_FAILURE = 404, 409, 300
_MERGE: Final = "application/merge-patch+json"
_JSON_PATCH: Final = "application/json-patch+json"


@dataclass(frozen=True, slots=True)
class StoredSecret:
    """The Secret's decoded data, and what a write must be based on."""

    data: Mapping[str, str] = field(default_factory=dict, repr=False)
    resource_version: str = ""

    @property
    def exists(self) -> bool:
        """Whether there is one in the cluster."""
        return bool(self.resource_version)


class ReleaseStore:
    """Reads and writes them; an unexpected answer is an error, a lost race is not."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace

    async def configuration(self, kind: str, name: str) -> Configuration | None:
        """One webhook configuration as it is now."""
        reply = await self._call("GET", f"{_REGISTRATION}/{PLURALS[kind]}/{name}")
        if reply.status == _NOT_FOUND:
            return None
        found = Configuration.of(_object(reply))
        return Configuration(kind, found.name, found.document)

    async def create(
        self, shipped: Configuration, document: Mapping[str, object]
    ) -> Configuration | None:
        """Create one; None if somebody else just did."""
        reply = await self._call("POST", f"{_REGISTRATION}/{PLURALS[shipped.kind]}", document)
        if reply.status == _CONFLICT:
            return None
        return Configuration(shipped.kind, shipped.name, _object(reply))

    async def replace(self, found: Configuration, webhooks: Sequence[Mapping[str, object]]) -> None:
        """Give one other entries, and leave the rest of it.

        If it is no more what was found, that is the next round's: whoever has written meanwhile,
        such as cert-manager's cainjector, has written the whole of it.
        """
        version = mapping(found.document.get("metadata")).get("resourceVersion")
        document = {"metadata": {"resourceVersion": version}, "webhooks": webhooks}
        await self._call("PATCH", _path(found), document, _MERGE)

    async def patch(self, found: Configuration, operations: Sequence[Mapping[str, object]]) -> None:
        """Apply operations of RFC 6902; one that does not fit any more is the next round's."""
        await self._call("PATCH", _path(found), operations, _JSON_PATCH)

    async def delete(self, found: Configuration) -> None:
        """Delete exactly this one."""
        await self._call("DELETE", _path(found), {"preconditions": {"uid": found.uid}})

    async def state(self) -> dict[str, str]:
        """What the ConfigMap weightlock-state says; empty if there is none."""
        reply = await self._call("GET", f"{self._in('configmaps')}/{STATE_CONFIG_MAP}")
        if reply.status == _NOT_FOUND:
            return {}
        data = mapping(_object(reply).get("data"))
        return {key: value for key, value in data.items() if isinstance(value, str)}

    async def write_state(self, data: Mapping[str, str | None]) -> None:
        """Change some keys of it, creating it if need be; None removes a key."""
        path = f"{self._in('configmaps')}/{STATE_CONFIG_MAP}"
        reply = await self._call("PATCH", path, {"data": data}, _MERGE)
        if reply.status == _NOT_FOUND:
            present = {key: value for key, value in data.items() if value is not None}
            await self._call(
                "POST", self._in("configmaps"), self._named("ConfigMap", STATE_CONFIG_MAP, present)
            )

    async def has_older_replicas(self) -> bool:
        """Whether a replica runs that answers no paths with tokens, or does not end yet."""
        path = f"{self._in('pods')}?labelSelector={quote(_REPLICAS)}"
        pods = _object(await self._call("GET", path)).get("items")
        return any(
            mapping(mapping(pod).get("status")).get("phase") not in _FINISHED
            and DOOR_ANNOTATION not in mapping(_metadata(pod).get("annotations"))
            for pod in (pods if isinstance(pods, list) else [])
        )

    async def authorities(self) -> StoredSecret:
        """The authority's Secret."""
        reply = await self._call("GET", f"{self._in('secrets')}/{AUTHORITY_SECRET}")
        return StoredSecret() if reply.status == _NOT_FOUND else _secret(reply)

    async def write_authorities(
        self, based_on: StoredSecret, data: Mapping[str, str]
    ) -> StoredSecret:
        """Write it, unless somebody else has written meanwhile; what is there afterwards."""
        document = self._named(
            "Secret",
            AUTHORITY_SECRET,
            {key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
        )
        if based_on.exists:
            document["metadata"] = {
                "name": AUTHORITY_SECRET,
                "namespace": self._namespace,
                "resourceVersion": based_on.resource_version,
            }
            path = f"{self._in('secrets')}/{AUTHORITY_SECRET}"
            reply = await self._call("PUT", path, document)
        else:
            reply = await self._call("POST", self._in("secrets"), document)
        return await self.authorities() if reply.status == _CONFLICT else _secret(reply)

    def _in(self, plural: str) -> str:
        return f"/api/v1/namespaces/{self._namespace}/{plural}"

    def _named(self, kind: str, name: str, data: Mapping[str, str]) -> dict[str, object]:
        labels = {"app.kubernetes.io/name": "weightlock", "app.kubernetes.io/component": "webhook"}
        metadata = {"name": name, "namespace": self._namespace, "labels": labels}
        return {"apiVersion": "v1", "kind": kind, "metadata": metadata, "data": data}

    async def _call(
        self, method: str, path: str, body: object = None, content_type: str = "application/json"
    ) -> Reply:
        deadline = asyncio.get_running_loop().time() + CALL_SECONDS
        reply = await self._cluster.call(
            method, path, body, deadline=deadline, content_type=content_type
        )
        if reply.status >= _FIRST_FAILURE and reply.status not in {_NOT_FOUND, _CONFLICT}:
            raise Unanswerable(f"the API server answered {reply.status} to {method} {path}")
        return reply


def _metadata(pod: object) -> Mapping[str, object]:
    return mapping(mapping(pod).get("metadata"))


def _path(found: Configuration) -> str:
    return f"{_REGISTRATION}/{PLURALS[found.kind]}/{found.name}"


def _object(reply: Reply) -> dict[str, object]:
    return documents.decoded(reply.body, documents.ANY_OBJECT, "answer of the API server")


class _SecretMetadata(msgspec.Struct, frozen=True, rename="camel"):
    resource_version: str = ""


class _Secret(msgspec.Struct, frozen=True):
    metadata: _SecretMetadata = _SecretMetadata()
    data: dict[str, str] | None = None


_SECRET: Final = msgspec.json.Decoder(_Secret)


def _secret(reply: Reply) -> StoredSecret:
    found = documents.decoded(reply.body, _SECRET, "Secret")
    data = {key: _text(value) for key, value in (found.data or {}).items()}
    return StoredSecret(data, found.metadata.resource_version)


def _text(encoded: str) -> str:
    try:
        return base64.b64decode(encoded, validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        return ""
