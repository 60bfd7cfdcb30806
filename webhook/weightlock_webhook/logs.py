"""Logs: one line per decision, as JSON where somebody collects them (D03)."""

import asyncio
import json
import logging
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final, TypeAlias

import orjson

from weightlock.reasons import Reason
from weightlock_webhook.documents import Request
from weightlock_webhook.metrics import Metrics
from weightlock_webhook.recent import Following
from weightlock_webhook.responses import Response
from weightlock_webhook.reviews import claims, pods, protected, resources, workloads

DECISIONS: Final = "weightlock_webhook.decisions"
LONGEST_FIELD: Final = 512

_DULL: Final = frozenset(
    {
        str(Reason.NOT_GOVERNED),
        pods.EXEMPT,
        pods.UNCHANGED,
        protected.NOT_OURS,
        resources.VALID,
        claims.KEPT,
        workloads.UNOBJECTED,
    }
)
"""Allowances in which no policy and no guard had a say."""

Decision: TypeAlias = dict[str, str | bool | float | list[str]]

_HEAD: Final = f'"level":"INFO","logger":"{DECISIONS}","message":"admission"'.encode("ascii")


class Lines:
    """Decisions on their way to standard error, a batch at a time.

    The logging module takes longer for a line than a decision takes, and each line by itself is a
    system call. A process that is killed loses what it decided in the last moments; one that ends
    in good order writes all.
    """

    def __init__(self, write: Callable[[bytes], object], wait_seconds: float = 0.05) -> None:
        self._write = write
        self._wait_seconds = wait_seconds
        self._waiting: list[bytes] = []

    def add(self, line: bytes) -> None:
        """One line, without its end."""
        if not self._waiting:
            asyncio.get_running_loop().call_later(self._wait_seconds, self.flush)
        self._waiting.append(line)

    def flush(self) -> None:
        """Write what waits."""
        if self._waiting:
            self._write(b"\n".join([*self._waiting, b""]))
            self._waiting.clear()


class DecisionLog:
    """Records decisions: the metrics always, a line for each that says more than "not ours".

    Pods that nothing governs come by the thousand and are only counted. The process's own canary is
    nobody's request: readiness says how it fared.
    """

    def __init__(
        self,
        metrics: Metrics,
        lines: Lines,
        line_of: Callable[[bytes], bytes],
        canary_uid: str,
    ) -> None:
        self._metrics = metrics
        self._lines = lines
        self._line_of = line_of
        self._canary_uid = canary_uid
        self._said = Following(_beginning)

    def record(self, request: Request | None, response: Response, seconds: float) -> None:
        """One decision."""
        if request is not None and request.uid == self._canary_uid:
            return
        self._metrics.count(request, response, seconds)
        if not _is_dull(response):
            asked = _ascii_json(asked_of(request, seconds))
            self._lines.add(self._line_of(b"%s,%s" % (self._said(response), asked[1:])))

    def passed(self, resource: str, response: Response, seconds: float) -> None:
        """One allowance in which no policy had a say."""
        self._metrics.count_as(resource, response, seconds)


def json_line(admission: bytes) -> bytes:
    """As the lines of JsonLines are, about a decision in JSON."""
    return b'{"time":"%s",%s,"admission":%s}' % (_now("T"), _HEAD, admission)


def plain_line(admission: bytes) -> bytes:
    """For people."""
    return b"%s INFO %s: admission %s" % (_now(" "), DECISIONS.encode("ascii"), admission)


def described(request: Request | None, response: Response, seconds: float) -> Decision:
    """What the line says. Names are cut, JSON escapes the rest."""
    return {**said_of(response), **asked_of(request, seconds)}


def _beginning(response: Response) -> bytes:
    """How the line begins: what it says of a response, which is often given again."""
    return _ascii_json(said_of(response))[:-1]


def said_of(response: Response) -> Decision:
    """What it says of the answer."""
    found: Decision = {
        "decision": response.decision,
        "allowed": response.allowed,
        "reason": response.reason,
        "mode": response.mode,
        **{key: _cut(value) for key, value in response.audit.items() if key != "reason"},
    }
    if response.message:
        found["message"] = _cut(response.message)
    if response.warnings:
        found["warnings"] = [_cut(warning) for warning in response.warnings[:5]]
    return found


def asked_of(request: Request | None, seconds: float) -> Decision:
    """What it says of the question."""
    if request is None:
        return {"seconds": round(seconds, 6)}
    asked = request.resource
    sub = f"/{request.sub_resource}" if request.sub_resource else ""
    return {
        "seconds": round(seconds, 6),
        "uid": request.uid,
        "operation": request.operation,
        "resource": _cut(f"{asked.resource}{sub}.{asked.group}".rstrip(".")),
        "namespace": _cut(request.namespace),
        "name": _cut(request.name),
        "user": _cut(request.user_info.username),
        "dryRun": request.is_dry_run,
    }


class JsonLines(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, object] = {
            "time": at,
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _ascii_json(line).decode("ascii")


class PlainLines(logging.Formatter):
    """For people."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")


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


def _now(between: str) -> bytes:
    at = datetime.now(UTC)  # noqa: TID251 the edge
    return at.isoformat(between, "milliseconds").encode("ascii")


def _ascii_json(line: Mapping[str, object]) -> bytes:
    # orjson leaves other scripts, and what turns text around, as they are.
    written = orjson.dumps(line, default=str)
    return written if written.isascii() else json.dumps(line, default=str).encode("ascii")


def _is_dull(response: Response) -> bool:
    return response.allowed and response.reason in _DULL and not response.warnings


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_FIELD else f"{text[: LONGEST_FIELD - 3]}..."
