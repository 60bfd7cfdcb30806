"""Every error that Weightlock raises on purpose.

    WeightlockError              carries a Reason, a sentence and a hint
    ├── Refused                  what was found is wrong: verdict Failed
    │   ├── Malformed            a document, key or name that is not what its format says
    │   │   └── NewerDocument        a document of a later version than this program knows
    │   ├── UnsafeEntry          a symlink, device, fifo, hard link or foreign file system
    │   ├── UnsafeName           a file name that is not its own canonical form
    │   ├── LimitExceeded        more files, bytes, depth or signatures than the caller allows
    │   └── CheckpointRefused    what lies in the folder cannot be a checkpoint; has its own reason
    └── Unanswerable             the question could not be answered: verdict Error
        ├── Unreadable           an OSError while reading
        ├── ChangedWhileReading  a file changed under the reader
        ├── KeyUnusable          a key file that cannot or must not be used
        ├── SignatureExists      a signature that must not be overwritten
        ├── EngineUnavailable    the engine that was asked for cannot run here
        ├── EngineFault          an engine gave an answer that the CPU contradicts
        └── PolicyInvalid        a policy that says nothing that can be decided upon

A refusal that a decision reaches is a value (see weightlock.verdict); these exceptions end the
gathering of facts.
"""

from weightlock.reasons import Reason


class WeightlockError(Exception):
    """The root of the tree. `hint` says what to do; it may be empty."""

    reason: Reason = Reason.INTERNAL_ERROR

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Refused(WeightlockError):
    """What was found is wrong."""


class Malformed(Refused):
    """A document, key or name that is not what its format says."""

    reason = Reason.MALFORMED


class NewerDocument(Malformed):
    """A document of a later version than this program knows; a newer program may read it (E07)."""


class UnsafeEntry(Refused):
    """A directory entry that is neither a regular file nor a directory of this file system."""

    reason = Reason.UNSAFE_ENTRY


class UnsafeName(Refused):
    """A file name that is not its own canonical form (A34)."""

    reason = Reason.UNSAFE_NAME


class LimitExceeded(Refused):
    """More than the caller allows (A26)."""

    reason = Reason.LIMIT_EXCEEDED


class CheckpointRefused(Refused):
    """What lies in the folder cannot be signed; the reason is that of the first finding."""

    def __init__(self, reason: Reason, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


class Unanswerable(WeightlockError):
    """The question could not be answered; never a pass."""


class Unreadable(Unanswerable):
    """An OSError while reading (A09)."""

    reason = Reason.UNREADABLE


class ChangedWhileReading(Unanswerable):
    """A file changed under the reader (A02)."""

    reason = Reason.CHANGED_WHILE_READING


class KeyUnusable(Unanswerable):
    """A key file that cannot or must not be used (F05)."""

    reason = Reason.KEY_UNUSABLE


class SignatureExists(Unanswerable):
    """A signature that must not be overwritten."""

    reason = Reason.SIGNATURE_EXISTS


class EngineUnavailable(Unanswerable):
    """The engine that was asked for cannot run here."""

    reason = Reason.ENGINE_UNAVAILABLE


class EngineFault(Unanswerable):
    """An engine gave an answer that the CPU contradicts (C14)."""

    reason = Reason.ENGINE_FAULT


class PolicyInvalid(Unanswerable):
    """A policy that says nothing that can be decided upon; the message names the field."""

    reason = Reason.POLICY_INVALID
