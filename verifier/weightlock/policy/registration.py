"""How a ModelCheckpoint is written: by `weightlock register`, and by the operator for a pod's sake.

Whoever registers the same folder of the same storage gives it the same name, so that registering
twice is registering once. Law: Checkpoint.from_object(r.document).spec == r.spec.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Final

from weightlock.names import API_VERSION
from weightlock.policy.checkpoints import KIND, CheckpointSpec
from weightlock.policy.paths import VolumePath
from weightlock.policy.sources import (
    ClaimSource,
    CsiSource,
    HostPathSource,
    NfsSource,
    Source,
)

MAX_READABLE: Final = 48
"""Of a name; with the rest it stays a label's length, so that events and Jobs can carry it."""

_HASH_DIGITS: Final = 8
_NOT_IN_NAMES: Final = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Registration:
    """A checkpoint to be registered. Without a name it gets one of its own."""

    namespace: str
    source: Source
    path: VolumePath
    model_name: str | None = None
    name: str = ""

    @property
    def spec(self) -> CheckpointSpec:
        """What the object says."""
        return CheckpointSpec(self.source, self.path, self.model_name)

    @property
    def document(self) -> dict[str, object]:
        """The object for the API server."""
        spec: dict[str, object] = {
            "source": {**source_document(self.source), "path": str(self.path)}
        }
        if self.model_name is not None:
            spec["modelName"] = self.model_name
        return {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {
                "name": self.name or checkpoint_name(self.source, self.path),
                "namespace": self.namespace,
            },
            "spec": spec,
        }


def checkpoint_name(source: Source, path: VolumePath) -> str:
    """The name of a checkpoint that nobody named: readable, and another one for each folder."""
    document = {**source_document(source), "path": str(path)}
    spelled = json.dumps(document, sort_keys=True, separators=(",", ":"))
    digits = hashlib.sha256(spelled.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_DIGITS]
    words = _NOT_IN_NAMES.sub("-", f"{_called(source)}{path}".lower()).strip("-")
    readable = words[:MAX_READABLE].strip("-")
    return f"{readable}-{digits}" if readable else f"checkpoint-{digits}"


def source_document(source: Source) -> dict[str, object]:
    """A source as `spec.source` has it, without the path."""
    match source:
        case ClaimSource(claim_name=name):
            return {"persistentVolumeClaim": {"claimName": name}}
        case HostPathSource(path=path, node_name=node):
            says: dict[str, object] = {"path": str(path)}
            return {"hostPath": {**says, "nodeName": node} if node else says}
        case NfsSource(server=server, path=path):
            return {"nfs": {"server": server, "path": str(path)}}
        case CsiSource(driver=driver, attributes=attributes):
            return {"csi": {"driver": driver, "volumeAttributes": dict(attributes)}}
    return {"image": {"reference": source.reference}}


def source_words(source: Source) -> str:
    """A source as a sentence calls it."""
    match source:
        case ClaimSource(claim_name=name):
            return f"claim {name}"
        case HostPathSource(path=path, node_name=node):
            return f"host path {path} of {node or 'any node'}"
        case NfsSource(server=server, path=path):
            return f"NFS export {server}:{path}"
        case CsiSource(driver=driver):
            return f"inline CSI volume of {driver}"
    return f"image {source.reference}"


def _called(source: Source) -> str:
    match source:
        case ClaimSource(claim_name=name):
            return name
        case HostPathSource(path=path, node_name=node):
            return f"{node or 'host'}{path}"
        case NfsSource(server=server, path=path):
            return f"{server}{path}"
        case CsiSource(driver=driver):
            return driver
    return source.reference.partition("@")[0].rpartition("/")[2]
