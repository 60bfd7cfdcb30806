"""What the API server knows, by its own OpenAPI: an old one drops what it does not know (M11)."""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import msgspec

from weightlock_webhook.cache.errors import Unreachable
from weightlock_webhook.reviews.collaborators import Cluster

_CORE: Final = "io.k8s.api.core.v1."
_DEVICES: Final = "io.k8s.api.resource."
_DEVICE_APIS: Final = ("v1", "v1beta2", "v1beta1", "v1alpha3")
"""Those that know classes of devices, the newest first."""

DOCUMENT_PATH: Final = "/openapi/v2"


@dataclass(frozen=True, slots=True)
class Features:
    """The fields of a pod that the server has."""

    pod_fields: frozenset[str]
    volume_sources: frozenset[str]
    mount_fields: frozenset[str] = frozenset()
    container_fields: frozenset[str] = frozenset()
    device_api: str = ""
    """The version of resource.k8s.io that claims for devices are read by; empty for none."""

    @property
    def has_scheduling_gates(self) -> bool:
        """Whether a pod can be kept from the scheduler."""
        return "schedulingGates" in self.pod_fields

    @property
    def has_image_volumes(self) -> bool:
        """Whether a volume can be an image; older servers store an emptyDir instead."""
        return "image" in self.volume_sources


class _Schema(msgspec.Struct, gc=False):
    properties: dict[str, msgspec.Raw] | None = None


class _Document(msgspec.Struct, gc=False):
    definitions: dict[str, _Schema]


def features_of(document: bytes) -> Features:
    """What an OpenAPI document says of pods.

    Raises:
        Unreachable: for a document without pods.
    """
    try:
        definitions = msgspec.json.decode(document, type=_Document).definitions
    except msgspec.MsgspecError as error:
        raise Unreachable("the API server's OpenAPI document cannot be read") from error
    spec = _fields(definitions, "PodSpec")
    if not spec:
        raise Unreachable("the API server's OpenAPI document knows no pods")
    return Features(
        spec,
        _fields(definitions, "Volume") - {"name"},
        _fields(definitions, "VolumeMount"),
        _fields(definitions, "Container"),
        next(
            (each for each in _DEVICE_APIS if f"{_DEVICES}{each}.ResourceClaim" in definitions), ""
        ),
    )


async def discovered(cluster: Cluster, timeout_seconds: float = 30.0) -> Features:
    """What the API server says now.

    Raises:
        Unreachable: if it says nothing that can be understood.
    """
    deadline = asyncio.get_running_loop().time() + timeout_seconds
    reply = await cluster.call("GET", DOCUMENT_PATH, deadline=deadline)
    if reply.status != HTTPStatus.OK:
        raise Unreachable(f"the API server answered for its OpenAPI document with {reply.status}")
    return features_of(reply.body)


def _fields(definitions: dict[str, _Schema], kind: str) -> frozenset[str]:
    schema = definitions.get(_CORE + kind)
    return frozenset((schema and schema.properties) or ())
