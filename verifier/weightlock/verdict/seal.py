"""Seals a verdict's record, so that whoever can write a status still cannot write a verdict (A10).

The seal is an HMAC-SHA-256 under a key that only operator and webhook hold. Both ends are ours, so
nothing is gained by a signature; and a MAC is post-quantum as it is: Grover's search for a 256-bit
key takes 2^128 steps, and forging a tag takes as many guesses as before.

The tag is over a length-prefixed encoding of every field in a fixed order, so no two records share
one encoding. A seal names its key, so that two keys can be in use while one replaces the other.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from weightlock.errors import KeyUnusable
from weightlock.verdict.records import SCHEMA_VERSION, VerdictRecord, instant_text

MIN_KEY_BYTES: Final = 32
KEYID_DIGITS: Final = 16

_TAG: Final = b"weightlock/verdict-seal"
_KEYID_TAG: Final = b"weightlock/seal-keyid/v1"
_SEAL: Final = re.compile(
    rf"v{SCHEMA_VERSION}:([0-9a-f]{{{KEYID_DIGITS}}}):([0-9a-f]{{64}})", re.ASCII
)


@dataclass(frozen=True, slots=True)
class SealKey:
    """A secret of at least 32 random bytes."""

    secret: bytes = field(repr=False)
    keyid: str = field(init=False, compare=False)
    """A name derived from the secret, so that nobody has to keep names and secrets together."""

    def __post_init__(self) -> None:
        if len(self.secret) < MIN_KEY_BYTES:
            raise KeyUnusable(
                f"a seal key of {len(self.secret)} bytes; expected at least {MIN_KEY_BYTES}"
            )
        keyid = hmac.digest(self.secret, _KEYID_TAG, hashlib.sha256).hex()[:KEYID_DIGITS]
        object.__setattr__(self, "keyid", keyid)


def seal(record: VerdictRecord, key: SealKey) -> str:
    """The seal of a record, as it stands in `status.seal`."""
    return f"v{SCHEMA_VERSION}:{key.keyid}:{_tag(record, key).hex()}"


def seal_intact(record: VerdictRecord, sealed: str, keys: Iterable[SealKey]) -> bool:
    """Whether the seal is of this record under one of the keys; False for whatever is malformed."""
    match = _SEAL.fullmatch(sealed)
    if match is None:
        return False
    tag = bytes.fromhex(match[2])
    return any(
        key.keyid == match[1] and hmac.compare_digest(_tag(record, key), tag) for key in keys
    )


def _tag(record: VerdictRecord, key: SealKey) -> bytes:
    return hmac.digest(key.secret, encoded(record), hashlib.sha256)


def encoded(record: VerdictRecord) -> bytes:
    """The bytes that are sealed. Law: two records have the same bytes only if they are equal."""
    digest, model, volume = record.digest, record.model, record.volume
    return joined(
        _TAG,
        SCHEMA_VERSION,
        record.checkpoint_uid,
        record.generation,
        joined(volume.pvc_uid, volume.pv_name, volume.pv_uid, volume.source_hash, str(volume.path)),
        b"" if digest is None else joined(digest.algorithm.value, digest.value),
        joined(*(joined(each.algorithm.name, each.keyid) for each in record.signatures)),
        b"" if model is None else joined(model.name, model.version),
        record.policy_hash,
        record.verifier_image,
        instant_text(record.verified_at),
    )


def joined(*parts: bytes | str | int) -> bytes:
    """Bytes that no other parts have: each part behind its length, all behind their count.

    They are never empty, so b"" can say "none".
    """
    found = [_bytes(part) for part in parts]
    return len(found).to_bytes(4, "big") + b"".join(
        len(part).to_bytes(4, "big") + part for part in found
    )


def _bytes(part: bytes | str | int) -> bytes:
    # Lone surrogates have no UTF-8; a text of the API has none, and a seal must not raise on one.
    if isinstance(part, bytes):
        return part
    return str(part).encode("utf-8", "surrogatepass")
