"""What the webhook answers: one frozen value, and its JSON.

The same value goes to the client, the decision log and the metrics, so that they never differ.
"""

from binascii import b2a_base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import msgspec

from weightlock.errors import WeightlockError
from weightlock.policy.spec import Enforcement
from weightlock.reasons import Reason
from weightlock_webhook.decision.answers import Answer, Objection, Outcome
from weightlock_webhook.guards.refusals import Refusal
from weightlock_webhook.replies import ResponseDocument, Status, rest_of

LONGEST_WARNING: Final = 256
"""The API server cuts longer ones, and drops all beyond 4 KiB."""

MOST_WARNINGS: Final = 12
LONGEST_MESSAGE: Final = 4096
LONGEST_ANNOTATION: Final = 1024
NO_MODE: Final = "None"
ERROR: Final = "Error"

_STATUS_REASONS: Final = {
    400: "BadRequest",
    403: "Forbidden",
    404: "NotFound",
    422: "Invalid",
    429: "TooManyRequests",
    503: "ServiceUnavailable",
    504: "Timeout",
}
_MODES: Final = tuple(map(str, Enforcement))
_ALLOW: Final = str(Outcome.ALLOW)
_DENY: Final = str(Outcome.DENY)
"""Plain strings: hashing a member of an enumeration is a call, and every decision is counted."""


@dataclass(frozen=True)
class Response:
    """An answer to one request.

    `decision`, `reason` and `mode` are words of small sets: they label metrics.
    """

    allowed: bool
    decision: str
    reason: str
    mode: str = NO_MODE
    message: str = ""
    code: int = 403
    warnings: tuple[str, ...] = ()
    audit: Mapping[str, str] = field(default_factory=dict)
    patch: Sequence[Mapping[str, object]] = ()

    @cached_property
    def rest(self) -> bytes:
        """What goes over the wire, from behind the uid on; written once, however often given."""
        return rest_of(document_of("", self))


def allowed(reason: str = Reason.NOT_GOVERNED, *, warnings: tuple[str, ...] = ()) -> Response:
    """Nothing stands against it."""
    return Response(True, _ALLOW, str(reason), warnings=warnings)


def refused(refusal: Refusal) -> Response:
    """A guard refuses."""
    return Response(
        False,
        _DENY,
        str(refusal.reason),
        str(Enforcement.ENFORCE),
        refusal.message,
        refusal.code,
        audit={"reason": refusal.reason},
    )


def unanswerable(error: BaseException) -> Response:
    """The question could not be answered, which is no permission.

    Only our own errors are quoted: others may carry anything.
    """
    if isinstance(error, TimeoutError):
        return _error(Reason.INTERNAL_ERROR, "the deadline passed before all was known", 504)
    if isinstance(error, WeightlockError):
        return _error(error.reason, error.message, 503)
    return _error(Reason.INTERNAL_ERROR, "an unexpected error, see the webhook's log", 500)


def judged(answer: Answer, *, patch: Sequence[Mapping[str, object]] = ()) -> Response:
    """A pod is let in under this answer, held or injected as it demands."""
    return Response(
        True,
        str(answer.outcome),
        str(answer.reason),
        mode_of(answer.objections),
        warnings=answer.warnings + answer.waits,
        audit=audit_of(answer),
        patch=patch,
    )


def settled(answer: Answer) -> Response:
    """The response to an answer that allows or denies."""
    return judged(answer) if answer.outcome is Outcome.ALLOW else denied(answer)


def denied(answer: Answer, lacking: str = "") -> Response:
    """A pod is refused; `lacking` says what a held or injected pod does not have."""
    sentences = [part for part in (lacking, answer.message) if part]
    return Response(
        False,
        _DENY,
        str(answer.reason),
        mode_of(answer.objections),
        "\n".join(sentences) or f"{answer.reason}",
        warnings=answer.warnings,
        audit=audit_of(answer),
    )


def mode_of(objections: Sequence[Objection]) -> str:
    """How strictly the strictest policy that minds anything does; None if none minds."""
    minding = {objection.enforcement for objection in objections}
    return next((mode for mode in _MODES if mode in minding), NO_MODE)


def audit_of(answer: Answer) -> dict[str, str]:
    """What the API server's audit log keeps of a decision."""
    found = {"reason": str(answer.reason), "outcome": str(answer.outcome)}
    policies = answer.policies
    if policies:
        found["policy"] = _cut(", ".join(policies), LONGEST_ANNOTATION)
    digests = sorted({f"{each.checkpoint}={each.digest}" for each in answer.vouched})
    if digests:
        found["digest"] = _cut(", ".join(digests), LONGEST_ANNOTATION)
    return found


def document_of(uid: str, response: Response) -> ResponseDocument:
    """The response as it goes over the wire."""
    status = None
    if not response.allowed:
        status = Status(
            _cut(response.message, LONGEST_MESSAGE),
            response.code,
            _STATUS_REASONS.get(response.code, "InternalError"),
        )
    patch = None
    if response.allowed and response.patch:
        patch = _base64(msgspec.json.encode(list(response.patch)))
    return ResponseDocument(
        uid,
        response.allowed,
        status,
        shortened(response.warnings) if response.warnings else None,
        response.audit or None,
        patch,
        "JSONPatch" if patch else None,
    )


def shortened(warnings: tuple[str, ...]) -> tuple[str, ...]:
    """Warnings as the API server takes them: one line each, at most 256 characters."""
    lines = tuple(_cut(" ".join(each.split()), LONGEST_WARNING) for each in warnings)
    if len(lines) <= MOST_WARNINGS:
        return lines
    rest = len(lines) - MOST_WARNINGS
    return (*lines[:MOST_WARNINGS], f"({rest} more warnings of Weightlock)")


def _error(reason: str, what: str, code: int) -> Response:
    message = f"{reason}: this could not be answered, so it is refused: {what}. Try again."
    return Response(False, ERROR, reason, Enforcement.ENFORCE, message, code)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def _base64(content: bytes) -> str:
    return b2a_base64(content, newline=False).decode("ascii")
