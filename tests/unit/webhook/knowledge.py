"""Objects as the caches hold them."""

import json
from typing import Any

import msgspec
from tests.unit.webhook.world import NAMESPACE, claim

from weightlock_webhook.cache.objects import (
    CheckpointItem,
    ClaimItem,
    Metadata,
)


def checkpoint_item(spec: bytes, status: bytes = b"{}") -> CheckpointItem:
    metadata = Metadata("step-1", NAMESPACE, "uid", "1", 1)
    return CheckpointItem(metadata, msgspec.Raw(spec), msgspec.Raw(status))


GOOD = b'{"source": {"persistentVolumeClaim": {"claimName": "llama"}}}'


class Claims:
    """A lookup that knows every claim but one."""

    def claim(self, key: tuple[str, str]) -> ClaimItem | None:
        namespace, name = key
        if name == "none":
            return None
        document = claim(name)
        document["metadata"].update(namespace=namespace, uid=f"uid-{namespace}-{name}")
        return msgspec.json.decode(json.dumps(document), type=ClaimItem)

    def volume(self, name: str) -> None: ...

    def checkpoint(self, key: tuple[str, str]) -> None: ...

    def checkpoints(self, namespace: str, source: Any) -> tuple[CheckpointItem, ...]:
        return ()
