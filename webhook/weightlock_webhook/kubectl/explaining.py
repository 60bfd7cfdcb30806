"""From the webhook's own answer to an explanation, volume by volume; pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from weightlock.errors import Malformed
from weightlock.policy.composition import Composition
from weightlock.policy.registration import source_words
from weightlock.reasons import Reason, Verdict
from weightlock.verdict.records import instant_text, record_of
from weightlock_webhook.decision.answers import Answer, Objection, Outcome, Problem, Vouched
from weightlock_webhook.decision.facts import Facts
from weightlock_webhook.kubectl.cluster import JsonObject, items_at, text_at
from weightlock_webhook.kubectl.progress import sentence_of
from weightlock_webhook.kubectl.registering import source_of
from weightlock_webhook.mounts import sources
from weightlock_webhook.mounts.pods import Pod

_RESTORE: Final = "Copy it again from where it was signed, or sign it again if the change is meant."
_CURES: Final = {
    Reason.CONTENT_MISMATCH: _RESTORE,
    Reason.EXTRA_FILE: _RESTORE,
    Reason.MISSING_FILE: _RESTORE,
    Reason.UNSIGNED: "Sign it: weightlock sign DIR --private-key YOUR.key.",
}
"""What to do about verdicts whose message says only what was found."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about one path of a volume, or about the pod where `volume` is empty."""

    volume: str
    source: str
    path: str
    checkpoint: str
    verdict: str
    reason: str
    message: str
    fix: str = ""
    signed_by: tuple[str, ...] = ()
    until: str = ""
    progress: str = ""
    policies: tuple[str, ...] = ()
    stops: bool = False
    """Whether the pod does not run because of it."""


def findings_of(
    pod: Pod | None, answer: Answer, facts: Facts, checkpoints: Mapping[str, JsonObject]
) -> Iterator[Finding]:
    """Everything there is to say: the pod itself first, then its volumes in their order.

    A pod that cannot be read is None, and its answer says why.
    """
    words = {volume.name: _words(volume.source, pod) for volume in pod.volumes} if pod else {}
    for objection in answer.objections:
        if objection.problem.volume not in words:
            yield _objected(objection, "", checkpoints)
    for name, source in words.items():
        found = [each for each in answer.objections if each.problem.volume == name]
        vouched = [each for each in answer.vouched if each.volume == name]
        for objection in found:
            yield _objected(objection, source, checkpoints)
        for path in dict.fromkeys(each.path for each in vouched):
            here = [each for each in vouched if each.path == path]
            yield _vouched(here, source, facts, checkpoints)
        if not found and not vouched:
            yield Finding(name, source, "", "", "", "", "no policy wants it verified")


def claims_of(pod: Pod) -> tuple[str, ...]:
    """The claims that a pod names."""
    return tuple(
        volume.source.claim
        for volume in pod.volumes
        if isinstance(volume.source, sources.ClaimSource)
    )


def advice_of(outcome: Outcome, phase: str) -> str:
    """What an answer means for a pod that exists, or does not."""
    running = phase in {"Running", "Succeeded", "Failed"}
    match outcome:
        case Outcome.ALLOW:
            return "It may run."
        case _ if running:
            return "It was let in when this was not so; a new pod like it would not be."
        case Outcome.HOLD:
            return "It is held until what it mounts is verified, and then starts by itself."
        case Outcome.INJECT:
            return "It starts once an init container in front of it has verified what it mounts."
    return "It is refused until this is put right."


def _objected(objection: Objection, source: str, checkpoints: Mapping[str, JsonObject]) -> Finding:
    problem = objection.problem
    checkpoint = checkpoints.get(problem.checkpoint)
    return Finding(
        volume=problem.volume,
        source=source,
        path=problem.path,
        checkpoint=problem.checkpoint,
        verdict=text_at(checkpoint, "status", "phase") if checkpoint else "",
        reason=problem.reason.value,
        message=_message(problem),
        fix=f"{_CURES.get(problem.reason, '')} {problem.fix}".strip(),
        progress=sentence_of(checkpoint) if checkpoint and problem.awaits_verdict else "",
        policies=objection.policies,
        stops=objection.outcome is not Outcome.ALLOW,
    )


def _message(problem: Problem) -> str:
    expected = f", expected {problem.expected}" if problem.expected else ""
    what = f"found {problem.found}{expected}" if expected else problem.found
    return f"{problem.container}: {what}" if problem.container and not problem.checkpoint else what


def _vouched(
    vouched: list[Vouched], source: str, facts: Facts, checkpoints: Mapping[str, JsonObject]
) -> Finding:
    first = vouched[0]
    classical = any(each.is_classical_only for each in vouched)
    verdict = Verdict.CLASSICAL_ONLY if classical else Verdict.VERIFIED
    authorities = tuple(dict.fromkeys(name for each in vouched for name in each.authorities))
    return Finding(
        volume=first.volume,
        source=source,
        path=first.path,
        checkpoint=first.checkpoint,
        verdict=verdict.value,
        reason=verdict.value,
        message=f"{first.digest or 'content'} as signed",
        signed_by=tuple(_signer(name, checkpoints.get(first.checkpoint)) for name in authorities),
        until=_until(first.checkpoint, facts),
        policies=tuple(dict.fromkeys(each.policy for each in vouched)),
    )


def _signer(authority: str, checkpoint: JsonObject | None) -> str:
    """The authority, with its algorithm where the status says which signature is whose."""
    for signature in items_at(checkpoint, "status", "signatures"):
        if text_at(signature, "authority") == authority:
            return f"{authority} ({text_at(signature, 'algorithm')})"
    return authority


def _until(name: str, facts: Facts) -> str:
    """When the verdict expires under the policies that govern the namespace."""
    records = (record_of(each) for each in facts.checkpoints if each.metadata.name == name)
    verified = [record.verified_at for record in records if record is not None]
    expires = Composition.of(facts.governance.policies).expires
    return "".join(instant_text(expires(at)) for at in verified[:1])


def _words(source: sources.VolumeSource, pod: Pod) -> str:
    match source:
        case sources.HostPathSource(path=path):
            return f"hostPath {path}"
        case sources.InlineSource(kind=kind):
            return kind
    try:
        return source_words(source_of(source, pod))
    except Malformed:
        return source.kind
