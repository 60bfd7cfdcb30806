"""Canonical hashes of what a verdict is bound to: policies, and what a volume really is."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

from weightlock.errors import Malformed
from weightlock.policy.objects import Policy

POLICY_TAG: Final = b"weightlock/policy/v1\x00"
STORAGE_TAG: Final = b"weightlock/storage/v1\x00"


def policy_hash(policies: Iterable[Policy]) -> str:
    """The hash of several policies. Laws: their order never matters, nor does naming one twice.

    Object uid and generation are left out: the same policy applied again is the same policy.
    """
    encoded = {
        _canonical(
            [policy.kind, policy.metadata.namespace, policy.metadata.name, _plain(policy.spec)]
        )
        for policy in policies
    }
    return _hash(POLICY_TAG, _canonical(sorted(encoded)))


def storage_hash(source: Mapping[str, object]) -> str:
    """The hash of a volume source as the API shows it: a PV's source with whatever binds it.

    Raises:
        Malformed: for what is not plain JSON.
    """
    try:
        return _hash(STORAGE_TAG, _canonical(source))
    except (TypeError, ValueError) as error:
        raise Malformed("a volume source that is not plain JSON") from error


def _hash(tag: bytes, text: str) -> str:
    return hashlib.sha256(tag + text.encode()).hexdigest()


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value):
        return {item.name: _plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, frozenset):
        return sorted(_canonical(_plain(item)) for item in value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value // timedelta(microseconds=1)
    return value.hex() if isinstance(value, bytes) else value
