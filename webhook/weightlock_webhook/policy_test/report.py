"""The answers for a person, through rich, or for a program, as one JSON document."""

import json
import sys
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from weightlock.errors import WeightlockError
from weightlock.reasons import Verdict
from weightlock.verdict.records import instant_text
from weightlock_webhook.decision.answers import Answer, Objection, Outcome, Vouched
from weightlock_webhook.policy_test.scenario import Subject
from weightlock_webhook.policy_test.trial import Trial
from weightlock_webhook.wording import quoted

PIPE_WIDTH: Final = 160
"""Columns where there is no terminal to ask."""

_STYLES: Final = {
    Outcome.ALLOW: "green",
    Outcome.INJECT: "yellow",
    Outcome.HOLD: "yellow",
    Outcome.DENY: "red",
}


def write_report(trial: Trial, *, as_json: bool) -> None:
    """Write the answers to standard output."""
    if as_json:
        _write_json(_report(trial))
        return
    console = _console()
    console.print(_summary(trial))
    for subject, answer in trial.answers:
        for line, style in _explanation(answer):
            heading = f"{_title(subject)}: " if len(trial.answers) > 1 else ""
            console.print(Text(heading + line, style=style), soft_wrap=True)
    for assumption in trial.assumptions:
        console.print(Text(f"Assumed: {assumption}", style="dim"), soft_wrap=True)
    for unused in trial.unused:
        console.print(Text(f"Not looked at: {unused}", style="dim"), soft_wrap=True)


def write_error(error: WeightlockError, *, as_json: bool) -> None:
    """Write why there is no answer."""
    if as_json:
        _write_json(
            {
                "verdict": Verdict.ERROR,
                "outcome": Verdict.ERROR,
                "allowed": False,
                "reason": error.reason,
                "message": error.message,
                "hint": error.hint,
            }
        )
        return
    lines = (f"weightlock policy test: {error.message}", error.hint)
    sys.stderr.write("\n".join(filter(None, lines)) + "\n")


def _console() -> Console:
    console = Console(file=sys.stdout, highlight=False)
    return console if console.is_terminal else Console(file=sys.stdout, width=PIPE_WIDTH)


def _summary(trial: Trial) -> Table:
    table = Table(title=f"What the webhook would answer at {instant_text(trial.now)}")
    for heading in ("pod", "answer", "reason", "judged by"):
        table.add_column(heading, overflow="fold")
    for subject, answer in trial.answers:
        table.add_row(
            Text(_title(subject)),
            Text(answer.outcome, style=_STYLES[answer.outcome]),
            Text(answer.reason),
            Text(", ".join(answer.policies) or "no policy"),
        )
    return table


def _title(subject: Subject) -> str:
    where = "" if subject.is_pod else f" {subject.template.where}"
    return f"{subject.kind} {subject.namespace}/{subject.name}{where}"


def _explanation(answer: Answer) -> list[tuple[str, str]]:
    refusals = [(problem.sentence, "red") for problem in answer.refusals]
    warnings = [(f"Warning: {warning}", "yellow") for warning in answer.warnings]
    vouchers = [(_voucher(vouched), "green") for vouched in answer.vouched]
    return refusals + warnings + vouchers


def _voucher(vouched: Vouched) -> str:
    signers = ", ".join(vouched.authorities)
    return (
        f"volume {quoted(vouched.volume)}, path {quoted(vouched.path)}: checkpoint"
        f" {vouched.checkpoint} satisfies {vouched.policy}, signed by {signers}"
    )


def _report(trial: Trial) -> dict[str, object]:
    return {
        "outcome": trial.outcome,
        "allowed": trial.outcome is Outcome.ALLOW,
        "at": instant_text(trial.now),
        "pods": [_pod(subject, answer) for subject, answer in trial.answers],
        "assumptions": list(trial.assumptions),
        "notLookedAt": list(trial.unused),
    }


def _pod(subject: Subject, answer: Answer) -> dict[str, object]:
    return {
        "kind": subject.kind,
        "namespace": subject.namespace,
        "name": subject.name,
        "template": "" if subject.is_pod else subject.template.where,
        "outcome": answer.outcome,
        "reason": answer.reason,
        "message": answer.message,
        "policies": list(answer.policies),
        "objections": [_objection(objection) for objection in answer.objections],
        "warnings": list(answer.warnings),
        "vouched": [
            {
                "volume": vouched.volume,
                "path": vouched.path,
                "checkpoint": vouched.checkpoint,
                "policy": vouched.policy,
                "digest": vouched.digest,
                "authorities": list(vouched.authorities),
                "classicalOnly": vouched.is_classical_only,
            }
            for vouched in answer.vouched
        ],
    }


def _objection(objection: Objection) -> dict[str, object]:
    problem = objection.problem
    container = problem.container
    return {
        "outcome": objection.outcome,
        "enforcement": objection.enforcement,
        "reason": problem.reason,
        "policies": list(objection.policies),
        "volume": problem.volume,
        "container": container.name if container else "",
        "containerKind": container.role if container else "",
        "path": problem.path,
        "checkpoint": problem.checkpoint,
        "found": problem.found,
        "expected": problem.expected,
        "fix": problem.fix,
        "message": problem.sentence,
    }


def _write_json(document: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(document, indent=2) + "\n")
