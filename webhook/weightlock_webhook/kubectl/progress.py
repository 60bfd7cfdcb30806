"""How far a checkpoint's verification is, in one sentence.

From its status, as the operator writes it, and only for people: nothing is decided by it.
"""

from typing import Final

from weightlock.policy.scalars import printable
from weightlock.reasons import Verdict
from weightlock_webhook.kubectl.cluster import JsonObject, found_at, text_at

FINAL: Final = {Verdict.VERIFIED, Verdict.CLASSICAL_ONLY, Verdict.FAILED}


def phase_of(checkpoint: JsonObject) -> str:
    """The phase that is about the present spec; Pending if the operator has not looked at it."""
    generation = found_at(checkpoint, "metadata", "generation")
    observed = found_at(checkpoint, "status", "observedGeneration")
    phase = text_at(checkpoint, "status", "phase")
    return phase if phase and observed == generation else Verdict.PENDING


def is_final(checkpoint: JsonObject) -> bool:
    """Whether waiting on leads to nothing new by itself."""
    phase = phase_of(checkpoint)
    if phase == Verdict.ERROR:
        return not text_at(checkpoint, "status", "nextAttempt")
    return phase in FINAL


def sentence_of(checkpoint: JsonObject) -> str:
    """What is going on."""
    phase = phase_of(checkpoint)
    status = found_at(checkpoint, "status")
    if phase == Verdict.VERIFYING:
        return _verifying(status)
    if phase == Verdict.PENDING:
        return _pending(status)
    reason, message = text_at(status, "reason"), printable(text_at(status, "message"))
    sentence = f"{phase}{f' ({reason})' if reason and reason != phase else ''}"
    sentence += f": {message}" if message else ""
    following = text_at(status, "nextAttempt")
    return f"{sentence}; tried again at {following}" if following else sentence


def to_the_second(instant: str) -> str:
    """An instant without its fraction, which nobody wants to read."""
    whole, dot, _ = instant.partition(".")
    return f"{whole}Z" if dot and instant.endswith("Z") else instant


def _verifying(status: object) -> str:
    flight = found_at(status, "verification")
    job, since = text_at(flight, "job"), to_the_second(text_at(flight, "startedAt"))
    attempt = found_at(flight, "attempt")
    sentence = f"being verified by Job {job}" if job else "being verified"
    sentence += f" since {since}" if since else ""
    return sentence + (f", attempt {attempt}" if isinstance(attempt, int) and attempt > 1 else "")


def _pending(status: object) -> str:
    position, reason = found_at(status, "queue", "position"), text_at(status, "reason")
    waiting_for = printable(text_at(status, "queue", "waitingFor"))
    if isinstance(position, int):
        since = text_at(status, "queue", "since")
        sentence = f"waiting at place {position} of the queue"
        sentence += f" since {since}" if since else ""
        return sentence + (f", for {waiting_for}" if waiting_for else "")
    message = printable(text_at(status, "message"))
    if message:
        return f"Pending{f' ({reason})' if reason else ''}: {message}"
    return "waiting for the operator"
