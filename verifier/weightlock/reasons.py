"""The words of a verdict: one enum of reasons, the same strings everywhere.

CLI JSON, status, events, metrics and denials all use these strings verbatim, so a person can search
for one and find the same thing in each place.
"""

from enum import StrEnum


class Verdict(StrEnum):
    """What is known about a checkpoint. Only VERIFIED ever lets anything load."""

    VERIFIED = "Verified"
    CLASSICAL_ONLY = "ClassicalOnly"
    FAILED = "Failed"
    ERROR = "Error"
    PENDING = "Pending"
    VERIFYING = "Verifying"
    STALE = "Stale"


class Reason(StrEnum):
    """Why a verdict is what it is. Each reason belongs to exactly one verdict, see verdict_of."""

    VERIFIED = "Verified"
    CLASSICAL_ONLY = "ClassicalOnly"

    # What was found is wrong: Failed. Trying again without a change gives the same answer.
    CONTENT_MISMATCH = "ContentMismatch"
    EXTRA_FILE = "ExtraFile"
    MISSING_FILE = "MissingFile"
    UNSIGNED = "Unsigned"
    SIGNATURE_INVALID = "SignatureInvalid"
    SIGNER_UNTRUSTED = "SignerUntrusted"
    SIGNER_MISSING = "SignerMissing"
    SIGNATURE_UNLISTED = "SignatureUnlisted"
    ALGORITHM_FORBIDDEN = "AlgorithmForbidden"
    KEY_EXPIRED = "KeyExpired"
    KEY_NOT_YET_VALID = "KeyNotYetValid"
    KEY_REVOKED = "KeyRevoked"
    DIGEST_DENIED = "DigestDenied"
    ROLLBACK = "Rollback"
    IDENTITY_MISMATCH = "IdentityMismatch"
    MALFORMED = "Malformed"
    UNSAFE_ENTRY = "UnsafeEntry"
    UNSAFE_NAME = "UnsafeName"
    EMPTY_MODEL = "EmptyModel"
    LIMIT_EXCEEDED = "LimitExceeded"

    # A verdict was reached and counts no more: Stale. Verifying again may make it count.
    SEAL_BROKEN = "SealBroken"
    SPEC_CHANGED = "SpecChanged"
    IDENTITY_CHANGED = "IdentityChanged"
    WRITER_SEEN = "WriterSeen"
    RESTORED_FROM_BACKUP = "RestoredFromBackup"
    CLOCK_BEHIND = "ClockBehind"
    VERDICT_EXPIRED = "VerdictExpired"

    # Nobody has looked yet: Pending, or Verifying while somebody does.
    QUEUED = "Queued"
    STORAGE_PENDING = "StoragePending"
    WAITING_FOR_CONSUMER = "WaitingForConsumer"
    WRITER_ACTIVE = "WriterActive"
    VERIFICATION_RUNNING = "VerificationRunning"

    # The question could not be answered: Error. Never a pass.
    UNREADABLE = "Unreadable"
    CHANGED_WHILE_READING = "ChangedWhileReading"
    NETWORK_REQUIRED = "NetworkRequired"
    NOTHING_SELECTED = "NothingSelected"
    ENGINE_UNAVAILABLE = "EngineUnavailable"
    ENGINE_FAULT = "EngineFault"
    KEY_UNUSABLE = "KeyUnusable"
    SIGNATURE_EXISTS = "SignatureExists"
    POLICY_INVALID = "PolicyInvalid"
    CLUSTER_UNREACHABLE = "ClusterUnreachable"
    CACHE_STALE = "CacheStale"
    INTERNAL_ERROR = "InternalError"

    # The same, of a verification Job: what kept it from answering, or its answer from counting.
    VERIFIER_TAMPERED = "VerifierTampered"
    VERIFIER_CRASHED = "VerifierCrashed"
    VERIFIER_EVICTED = "VerifierEvicted"
    OUT_OF_MEMORY = "OutOfMemory"
    NODE_LOST = "NodeLost"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    UNSCHEDULABLE = "Unschedulable"
    IMAGE_UNAVAILABLE = "ImageUnavailable"
    JOB_REFUSED = "JobRefused"
    STORAGE_UNAVAILABLE = "StorageUnavailable"

    # The content is as signed, and its version could not be remembered against rollback: Error.
    VERSION_NOT_KEPT = "VersionNotKept"

    # What admission adds: why a pod may not have a volume. They are about the pod and the way it
    # reaches storage, never about a checkpoint's content.
    NOT_GOVERNED = "NotGoverned"
    NO_POLICY = "NoPolicy"
    NO_CHECKPOINT = "NoCheckpoint"
    NOT_VERIFIED = "NotVerified"
    PATH_NOT_COVERED = "PathNotCovered"
    CLAIM_UNBOUND = "ClaimUnbound"
    BACKING_SHARED = "BackingShared"
    SECRET_OF_TENANT = "SecretOfTenant"  # noqa: S105 - the word, no secret
    WRITABLE_MOUNT = "WritableMount"
    SUB_PATH_EXPR = "SubPathExpr"
    NESTED_MOUNT = "NestedMount"
    MOUNT_PROPAGATION = "MountPropagation"
    RAW_BLOCK_DEVICE = "RawBlockDevice"
    UNKNOWN_VOLUME_SOURCE = "UnknownVolumeSource"
    UNKNOWN_FIELD = "UnknownField"
    VOLUME_FORBIDDEN = "VolumeForbidden"
    DATA_SOURCE_TEMPLATE = "DataSourceTemplate"
    IMAGE_BY_TAG = "ImageByTag"
    HOST_PATH_ALIAS = "HostPathAlias"
    NODE_NOT_PINNED = "NodeNotPinned"
    NODE_NAMED = "NodeNamed"
    HOST_NAMESPACES = "HostNamespaces"
    SHARED_PROCESSES = "SharedProcesses"
    PRIVILEGED_CONTAINER = "PrivilegedContainer"
    CDI_ANNOTATION = "CdiAnnotation"
    DEVICE_CLAIM = "DeviceClaim"
    RUNTIME_CLASS = "RuntimeClass"
    WINDOWS_POD = "WindowsPod"


_CONTENT_IS_BAD = frozenset(
    {
        Reason.CONTENT_MISMATCH,
        Reason.EXTRA_FILE,
        Reason.MISSING_FILE,
        Reason.UNSIGNED,
        Reason.SIGNATURE_INVALID,
        Reason.SIGNER_UNTRUSTED,
        Reason.SIGNER_MISSING,
        Reason.SIGNATURE_UNLISTED,
        Reason.ALGORITHM_FORBIDDEN,
        Reason.KEY_EXPIRED,
        Reason.KEY_NOT_YET_VALID,
        Reason.KEY_REVOKED,
        Reason.DIGEST_DENIED,
        Reason.ROLLBACK,
        Reason.IDENTITY_MISMATCH,
        Reason.MALFORMED,
        Reason.UNSAFE_ENTRY,
        Reason.UNSAFE_NAME,
        Reason.EMPTY_MODEL,
        Reason.LIMIT_EXCEEDED,
    }
)

_VERDICT_IS_OLD = frozenset(
    {
        Reason.SEAL_BROKEN,
        Reason.SPEC_CHANGED,
        Reason.IDENTITY_CHANGED,
        Reason.WRITER_SEEN,
        Reason.RESTORED_FROM_BACKUP,
        Reason.CLOCK_BEHIND,
        Reason.VERDICT_EXPIRED,
    }
)

_NOT_LOOKED_YET = frozenset(
    {
        Reason.QUEUED,
        Reason.STORAGE_PENDING,
        Reason.WAITING_FOR_CONSUMER,
        Reason.WRITER_ACTIVE,
    }
)


def verdict_of(reason: Reason) -> Verdict:
    """The one verdict that a reason stands for; whatever is not listed is Error."""
    if reason is Reason.VERIFIED:
        return Verdict.VERIFIED
    if reason is Reason.CLASSICAL_ONLY:
        return Verdict.CLASSICAL_ONLY
    if reason in _VERDICT_IS_OLD:
        return Verdict.STALE
    if reason in _NOT_LOOKED_YET:
        return Verdict.PENDING
    if reason is Reason.VERIFICATION_RUNNING:
        return Verdict.VERIFYING
    return Verdict.FAILED if reason in _CONTENT_IS_BAD else Verdict.ERROR
