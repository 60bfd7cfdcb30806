"""Logs: one line per decision, as JSON where somebody collects them (D03)."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Final

import orjson

from weightlock.reasons import Reason
from weightlock_webhook.documents import Request
from weightlock_webhook.metrics import Metrics
from weightlock_webhook.responses import Response

DECISIONS: Final = "weightlock_webhook.decisions"
LONGEST_FIELD: Final = 512

log: Final = logging.getLogger(DECISIONS)


class DecisionLog:
    """Records decisions: the metrics always, a line for each that says more than "not ours".

    Pods that nothing governs come by the thousand and are only counted; DEBUG shows them too.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def record(self, request: Request | None, response: Response, seconds: float) -> None:
        """One decision."""
        self._metrics.count(request, response, seconds)
        level = logging.DEBUG if _is_dull(response) else logging.INFO
        if log.isEnabledFor(level):
            log.log(level, "admission", extra={"decision": described(request, response, seconds)})


def described(
    request: Request | None, response: Response, seconds: float
) -> dict[str, str | bool | float | list[str]]:
    """What the line says. Names are cut, JSON escapes the rest."""
    found: dict[str, str | bool | float | list[str]] = {
        "decision": response.decision,
        "allowed": response.allowed,
        "reason": response.reason,
        "mode": response.mode,
        "seconds": round(seconds, 6),
        **{key: _cut(value) for key, value in response.audit.items() if key != "reason"},
    }
    if response.message:
        found["message"] = _cut(response.message)
    if response.warnings:
        found["warnings"] = [_cut(warning) for warning in response.warnings[:5]]
    if request is not None:
        asked = request.resource
        sub = f"/{request.sub_resource}" if request.sub_resource else ""
        found |= {
            "uid": request.uid,
            "operation": request.operation,
            "resource": _cut(f"{asked.resource}{sub}.{asked.group}".rstrip(".")),
            "namespace": _cut(request.namespace),
            "name": _cut(request.name),
            "user": _cut(request.user_info.username),
            "dryRun": request.is_dry_run,
        }
    return found


class JsonLines(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record, with a decision's fields beside the usual ones."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, object] = {
            "time": at,
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        decision = getattr(record, "decision", None)
        if decision is not None:
            line["admission"] = decision
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _ascii_json(line)


class PlainLines(logging.Formatter):
    """For people."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """As usual, and a decision's fields at the end."""
        decision = getattr(record, "decision", None)
        line = super().format(record)
        return line if decision is None else f"{line} {json.dumps(decision)}"


def configure(formatter: logging.Formatter) -> None:
    """Send everything to standard error in this form.

    Who logged from which line of which thread is in no line of ours, and looking it up takes longer
    than a decision does; the logging module's documentation names these switches.
    """
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)


def _ascii_json(line: dict[str, object]) -> str:
    # orjson leaves other scripts, and what turns text around, as they are.
    written = orjson.dumps(line, default=str)
    return written.decode() if written.isascii() else json.dumps(line, default=str)


def _is_dull(response: Response) -> bool:
    return response.allowed and response.reason == Reason.NOT_GOVERNED and not response.warnings


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_FIELD else f"{text[: LONGEST_FIELD - 3]}..."
