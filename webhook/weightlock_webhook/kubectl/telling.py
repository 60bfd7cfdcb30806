"""An explanation for a person, line by line, or for a program, as one JSON document."""

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.text import Text

from weightlock.policy.scalars import printable
from weightlock_webhook.decision.answers import Outcome
from weightlock_webhook.kubectl.explaining import Finding
from weightlock_webhook.kubectl.incidents import Incident
from weightlock_webhook.wording import quoted

if TYPE_CHECKING:
    from weightlock_webhook.kubectl.why import Explanation, Judged

_STYLES: Final = {
    Outcome.ALLOW: "green",
    Outcome.INJECT: "yellow",
    Outcome.HOLD: "yellow",
    Outcome.DENY: "red",
}


def write_explanation(explanation: "Explanation", *, as_json: bool) -> None:
    """Write to standard output."""
    if as_json:
        sys.stdout.write(json.dumps(_document(explanation), indent=2) + "\n")
        return
    console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
    for line, style in _lines(explanation):
        # Text objects, not markup: a name must not be able to colour or hide anything (B30).
        console.print(Text(line, style=style))


def _lines(explanation: "Explanation") -> Iterator[tuple[str, str]]:
    for note in explanation.notes:
        yield printable(note), ""
    for judged in explanation.judged:
        yield from _judged_lines(judged)
    for incident in explanation.incidents:
        yield _incident_line(incident), "dim"
    for assumption in explanation.assumptions:
        yield f"Assumed: {assumption}", "dim"


def _judged_lines(judged: "Judged") -> Iterator[tuple[str, str]]:
    answer, subject = judged.answer, judged.subject
    where = "" if subject.is_pod else f" {subject.template.where}"
    reason = "" if answer.outcome is Outcome.ALLOW else f" ({answer.reason})"
    title = f"{subject.kind.lower()} {subject.namespace}/{subject.name}{where}"
    yield f"{title}: {answer.outcome}{reason}. {judged.advice}", _STYLES[answer.outcome]
    yield f"  judged by   {', '.join(answer.policies) or 'no policy'}", ""
    for finding in judged.findings:
        yield from _finding_lines(finding)


def _finding_lines(finding: Finding) -> Iterator[tuple[str, str]]:
    path = f", path {quoted(finding.path)}" if finding.path else ""
    subject = (
        f"volume {quoted(finding.volume)} ({finding.source}){path}" if finding.volume else "pod"
    )
    if not finding.reason:
        yield f"  {subject}: {finding.message}", "dim"
        return
    style = "red" if finding.stops else "green" if finding.signed_by else "yellow"
    yield f"  {subject}: {finding.reason}", style
    rows = {
        "checkpoint": finding.checkpoint,
        "content" if finding.signed_by else "because": finding.message,
        "signed by": ", ".join(finding.signed_by),
        "good until": finding.until,
        "state": finding.progress,
        "policy": _policies(finding),
        "do": finding.fix,
    }
    for label, text in rows.items():
        if text:
            yield f"    {label:<10}  {text}", ""


def _policies(finding: Finding) -> str:
    """Whose objection it is; somebody who reads "Allow" above it wonders why it stands here."""
    named = "" if finding.signed_by else ", ".join(finding.policies)
    return named if finding.stops or not named else f"{named} warns or counts, and refuses nothing"


def _incident_line(incident: Incident) -> str:
    times = f" ({incident.count} times)" if incident.count > 1 else ""
    return f"Event {incident.last} {incident.about} {incident.reason}{times}: {incident.message}"


def _document(explanation: "Explanation") -> dict[str, object]:
    return {
        "asked": explanation.asked,
        "allowed": explanation.is_allowed,
        "notes": list(explanation.notes),
        "pods": [_pod(judged) for judged in explanation.judged],
        "events": [
            {
                "about": each.about,
                "reason": each.reason,
                "message": each.message,
                "last": each.last,
                "count": each.count,
            }
            for each in explanation.incidents
        ],
        "assumptions": list(explanation.assumptions),
    }


def _pod(judged: "Judged") -> dict[str, object]:
    subject, answer = judged.subject, judged.answer
    return {
        "kind": subject.kind,
        "namespace": subject.namespace,
        "name": subject.name,
        "template": "" if subject.is_pod else subject.template.where,
        "outcome": answer.outcome.value,
        "reason": answer.reason.value,
        "message": answer.message,
        "advice": judged.advice,
        "policies": list(answer.policies),
        "warnings": list(answer.warnings),
        "findings": [_finding(each) for each in judged.findings],
    }


def _finding(finding: Finding) -> dict[str, object]:
    return {
        "volume": finding.volume,
        "source": finding.source,
        "path": finding.path,
        "checkpoint": finding.checkpoint,
        "verdict": finding.verdict,
        "reason": finding.reason,
        "message": finding.message,
        "fix": finding.fix,
        "signedBy": list(finding.signed_by),
        "until": finding.until,
        "progress": finding.progress,
        "policies": list(finding.policies),
        "stops": finding.stops,
    }
