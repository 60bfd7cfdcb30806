"""The spec of a ModelPolicy or ClusterModelPolicy, as one frozen value.

`from_spec` is the border: whatever it returns can be decided upon; nothing behind it checks again.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Final

from weightlock.digests import HashAlgorithm
from weightlock.policy import bounds
from weightlock.policy.bounds import DEFAULT_MAX_AGE, Denied, VersionFloor
from weightlock.policy.fields import Fields
from weightlock.policy.selectors import SELECTOR_FIELDS, LabelSelector
from weightlock.policy.signatures import SIGNATURES_FIELDS, Signatures
from weightlock.policy.verification import VERIFICATION_FIELDS, Verification
from weightlock.policy.volumes import VOLUMES_FIELDS, Volumes

SPEC_FIELDS: Final = (
    "enforcement",
    "onUnverified",
    "onFailure",
    "namespaceSelector",
    "volumes",
    "signatures",
    "digests",
    "denied",
    "rollback",
    "freshness",
    "mounts",
    "verification",
    "autoRegister",
)
MOUNTS_FIELDS: Final = ("readOnly",)


class Enforcement(StrEnum):
    """What a violated policy does; from strict to lax."""

    ENFORCE = "Enforce"
    WARN = "Warn"
    AUDIT = "Audit"


class OnUnverified(StrEnum):
    """What happens to a pod whose checkpoint has no verdict yet; from strict to lax."""

    DENY = "Deny"
    HOLD = "Hold"
    INJECT = "Inject"


class OnFailure(StrEnum):
    """What happens to running pods whose checkpoint fails later; from strict to lax."""

    EVICT = "Evict"
    REPORT = "Report"


class ReadOnly(StrEnum):
    """Whether governed volumes may be mounted for writing; from strict to lax."""

    REQUIRED = "Required"
    OPTIONAL = "Optional"


@dataclass(frozen=True, slots=True)
class PolicySpec:
    """Everything that a policy says."""

    signatures: Signatures
    enforcement: Enforcement = Enforcement.ENFORCE
    on_unverified: OnUnverified = OnUnverified.DENY
    on_failure: OnFailure = OnFailure.REPORT
    namespace_selector: LabelSelector = field(default_factory=LabelSelector)
    volumes: Volumes = field(default_factory=Volumes)
    allowed_digests: frozenset[HashAlgorithm] = frozenset(HashAlgorithm)
    denied: Denied = field(default_factory=Denied)
    version_floors: tuple[VersionFloor, ...] = ()
    max_age: timedelta = DEFAULT_MAX_AGE
    read_only: ReadOnly = ReadOnly.REQUIRED
    verification: Verification = field(default_factory=Verification)
    auto_register: bool = False

    @classmethod
    def from_spec(cls, spec: object, path: str = "spec") -> "PolicySpec":
        """Read a plain mapping.

        Raises:
            PolicyInvalid: naming the field, what was found and what was expected.
        """
        fields = Fields(spec, path, SPEC_FIELDS)
        if not fields.has("signatures"):
            raise fields.wrong("signatures", "missing, expected authorities and rules")
        enforcement = fields.choice_or("enforcement", Enforcement, Enforcement.ENFORCE)
        return cls(
            signatures=Signatures.from_fields(
                fields.section("signatures", SIGNATURES_FIELDS),
                enforcing=enforcement is Enforcement.ENFORCE,
            ),
            enforcement=enforcement,
            on_unverified=fields.choice_or("onUnverified", OnUnverified, OnUnverified.DENY),
            on_failure=fields.choice_or("onFailure", OnFailure, OnFailure.REPORT),
            namespace_selector=LabelSelector.from_fields(
                fields.section("namespaceSelector", SELECTOR_FIELDS)
            ),
            volumes=Volumes.from_fields(fields.section("volumes", VOLUMES_FIELDS)),
            allowed_digests=bounds.allowed_digests(
                fields.section("digests", bounds.DIGESTS_FIELDS)
            ),
            denied=Denied.from_fields(fields.section("denied", bounds.DENIED_FIELDS)),
            version_floors=bounds.version_floors(
                fields.section("rollback", bounds.ROLLBACK_FIELDS)
            ),
            max_age=bounds.max_age(fields.section("freshness", bounds.FRESHNESS_FIELDS)),
            read_only=fields.section("mounts", MOUNTS_FIELDS).choice_or(
                "readOnly", ReadOnly, ReadOnly.REQUIRED
            ),
            verification=Verification.from_fields(
                fields.section("verification", VERIFICATION_FIELDS)
            ),
            auto_register=fields.boolean_or("autoRegister", default=False),
        )
