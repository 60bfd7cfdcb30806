"""What a policy bounds besides signatures: digests, deny-lists, versions, age."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from weightlock.digests import Digest, HashAlgorithm, hash_algorithm
from weightlock.errors import Malformed
from weightlock.policy import scalars
from weightlock.policy.fields import Fields
from weightlock.policy.sizes import MOST_DENIED, MOST_FLOORS, MOST_PATTERNS

DIGESTS_FIELDS: Final = ("allowed",)
DENIED_FIELDS: Final = ("digests", "keyids")
ROLLBACK_FIELDS: Final = ("floors",)
FLOOR_FIELDS: Final = ("models", "version")
FRESHNESS_FIELDS: Final = ("maxAge",)

MAX_VERSION: Final = 2**63 - 1
DEFAULT_MAX_AGE: Final = timedelta(hours=168)


@dataclass(frozen=True, slots=True)
class Denied:
    """What is refused whoever signed it: model roots, and keys that must count no more."""

    digests: tuple[Digest, ...] = ()
    keyids: frozenset[str] = frozenset()

    @classmethod
    def from_fields(cls, fields: Fields) -> "Denied":
        """Read `spec.denied`."""
        keyids = frozenset(fields.texts("keyids", scalars.keyid, MOST_DENIED))
        return cls(fields.texts("digests", tagged_digest, MOST_DENIED), keyids)

    def has_digest(self, digest: Digest) -> bool:
        """Whether this root, by this algorithm, is denied."""
        return any(denied.matches(digest) for denied in self.digests)


@dataclass(frozen=True, slots=True)
class VersionFloor:
    """The lowest version that models of these names may have (A22)."""

    models: tuple[str, ...]
    version: int

    def covers_model(self, model_name: str) -> bool:
        """Whether the floor is about this model."""
        return any(scalars.glob_matches(pattern, model_name) for pattern in self.models)


def tagged_digest(text: str) -> Digest:
    """The digest of `sha256:<hexadecimal>`. Law: parsing str(d) gives d."""
    name, colon, digits = text.partition(":")
    if not colon:
        raise Malformed(f"found {scalars.shown(text)}, expected algorithm:hexadecimal")
    return Digest.from_hex(hash_algorithm(name), digits)


def allowed_digests(fields: Fields) -> frozenset[HashAlgorithm]:
    """Read `spec.digests`; every algorithm if it says nothing."""
    if not fields.has("allowed"):
        return frozenset(HashAlgorithm)
    return frozenset(
        fields.some_texts("allowed", hash_algorithm, len(HashAlgorithm), such_as="sha256")
    )


def version_floors(fields: Fields) -> tuple[VersionFloor, ...]:
    """Read `spec.rollback`."""
    return tuple(
        VersionFloor(
            section.some_texts("models", scalars.glob, MOST_PATTERNS, such_as='"llama-*"'),
            section.integer("version", 0, MAX_VERSION),
        )
        for section in fields.sections("floors", FLOOR_FIELDS, MOST_FLOORS)
    )


def version_floor(floors: Collection[VersionFloor], model_name: str) -> int:
    """The highest of the floors about a model; 0 if there is none."""
    return max((floor.version for floor in floors if floor.covers_model(model_name)), default=0)


def max_age(fields: Fields) -> timedelta:
    """Read `spec.freshness`."""
    return fields.text_or("maxAge", scalars.duration, DEFAULT_MAX_AGE)
