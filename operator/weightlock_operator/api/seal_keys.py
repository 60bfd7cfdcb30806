"""The key that verdicts are sealed with: Secret `weightlock-seal`, made by the leader (A10).

`current` seals; `previous` is still believed, so that a change of key breaks no verdict. A key is
replaced when it is older than the longest that any verdict may live, and then some: by then every
verdict was reached again under it.
"""

import base64
import binascii
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from weightlock.cluster_names import (
    COMPONENT_LABEL,
    SEAL_KEY_CURRENT,
    SEAL_KEY_PREVIOUS,
    SEAL_SECRET,
)
from weightlock.errors import KeyUnusable, Malformed
from weightlock.policy.scalars import instant
from weightlock.verdict.seal import MIN_KEY_BYTES, SealKey
from weightlock_operator.api.cluster import SECRETS, Cluster, Json, texts
from weightlock_operator.api.cluster_errors import AlreadyExists, NotFound

CREATED_ANNOTATION: Final = "weightlock.dev/seal-key-created"
MAX_AGE: Final = timedelta(days=90)

RandomBytes = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class SealKeys:
    """What the Secret holds."""

    current: SealKey
    previous: SealKey | None

    @property
    def accepted(self) -> tuple[SealKey, ...]:
        """The keys whose seals are believed."""
        return (self.current,) if self.previous is None else (self.current, self.previous)


async def ensure(
    cluster: Cluster,
    namespace: str,
    now: datetime,
    random_bytes: RandomBytes = secrets.token_bytes,
) -> SealKeys:
    """The keys; made if there are none, changed if the current one is old.

    Raises:
        KeyUnusable: the Secret holds something else. It is left alone: whoever put it there may
            have the right one.
        ClusterTrouble: it could not be read or written.
    """
    try:
        secret = await cluster.get(SECRETS, namespace, SEAL_SECRET)
    except NotFound:
        try:
            made = await cluster.create(SECRETS, namespace, _fresh(namespace, now, random_bytes))
        except AlreadyExists:  # somebody was faster
            made = await cluster.get(SECRETS, namespace, SEAL_SECRET)
        return keys_of(made)
    keys = keys_of(secret)
    if now - _created(secret, now) <= MAX_AGE:
        return keys
    changed = rotated(secret, keys, now, random_bytes)
    return keys_of(await cluster.replace(SECRETS, namespace, changed))


def keys_of(secret: Json) -> SealKeys:
    """The keys that a Secret holds.

    Raises:
        KeyUnusable: no current key, or one that is too short.
    """
    data = texts(secret.get("data"))
    if SEAL_KEY_CURRENT not in data:
        raise KeyUnusable(
            f"Secret {SEAL_SECRET} has no {SEAL_KEY_CURRENT}",
            hint="Delete the Secret; the operator makes a new one and verifies everything again.",
        )
    previous = data.get(SEAL_KEY_PREVIOUS)
    return SealKeys(_key(data[SEAL_KEY_CURRENT]), _key(previous) if previous else None)


def rotated(secret: Json, keys: SealKeys, now: datetime, random_bytes: RandomBytes) -> Json:
    """The Secret with a new current key, the old one behind it."""
    metadata = secret["metadata"]
    return {
        **secret,
        "metadata": {
            **metadata,
            "annotations": {**texts(metadata.get("annotations")), CREATED_ANNOTATION: _time(now)},
        },
        "data": {
            SEAL_KEY_CURRENT: _encoded(random_bytes(MIN_KEY_BYTES)),
            SEAL_KEY_PREVIOUS: _encoded(keys.current.secret),
        },
    }


def _fresh(namespace: str, now: datetime, random_bytes: RandomBytes) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {
            "name": SEAL_SECRET,
            "namespace": namespace,
            "labels": {"app.kubernetes.io/name": "weightlock", COMPONENT_LABEL: "operator"},
            "annotations": {CREATED_ANNOTATION: _time(now)},
        },
        "data": {SEAL_KEY_CURRENT: _encoded(random_bytes(MIN_KEY_BYTES))},
    }


def _created(secret: Json, now: datetime) -> datetime:
    """When the current key was made; now, if nobody can say, so that nothing changes by mistake."""
    metadata = secret["metadata"]
    text = texts(metadata.get("annotations")).get(CREATED_ANNOTATION)
    try:
        return instant(text or str(metadata.get("creationTimestamp", "")))
    except Malformed:
        return now


def _key(text: str) -> SealKey:
    try:
        return SealKey(base64.b64decode(text, validate=True))
    except binascii.Error as error:
        raise KeyUnusable(f"Secret {SEAL_SECRET} holds something that is no base64") from error


def _encoded(secret: bytes) -> str:
    return base64.b64encode(secret).decode()


def _time(now: datetime) -> str:
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
