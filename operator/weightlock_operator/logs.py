"""One line per entry, as text or JSON, whatever somebody put into a name (D03)."""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Final, TextIO

from weightlock_operator.settings import LogFormat

LINE_CHARACTERS: Final = 4000

_NOISY: Final = ("kopf", "aiohttp", "urllib3", "kubernetes")
"""They speak of their own doings, at INFO once per object and event."""

_CONTEXT: Final = ("decision",)
"""The extra fields that our own entries carry."""


def escaped(text: str) -> str:
    """A line without anything that a terminal or a log parser obeys."""
    safe = "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )
    return safe if len(safe) <= LINE_CHARACTERS else safe[:LINE_CHARACTERS] + "..."


class TextFormatter(logging.Formatter):
    """Time, level, module, message; key=value pairs of a decision behind it."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        pairs = " ".join(f"{key}={text}" for key, text in _context(record).items())
        words = (_time(record), record.levelname, record.name, record.getMessage(), pairs)
        return escaped(" ".join(word for word in words if word) + _trace(record))


class JsonFormatter(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        document = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": escaped(record.getMessage()),
            **_context(record),
        }
        trace = _trace(record)
        if trace:
            document["trace"] = trace[:LINE_CHARACTERS]
        return json.dumps(document, ensure_ascii=True)


def configure(form: LogFormat, stream: TextIO = sys.stderr) -> None:
    """Send everything to one stream in one form."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter() if form is LogFormat.JSON else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)


def decision(**fields: object) -> dict[str, object]:
    """The `extra` of a log entry about a decision: `log.info("...", extra=decision(...))`."""
    return {
        "decision": {key: str(value) for key, value in fields.items() if value not in ("", None)}
    }


def _context(record: logging.LogRecord) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in _CONTEXT:
        value = getattr(record, name, None)
        if isinstance(value, dict):
            found |= {str(key): escaped(str(text)) for key, text in value.items()}
    return found


def _time(record: logging.LogRecord) -> str:
    instant = datetime.fromtimestamp(record.created, UTC)
    return instant.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _trace(record: logging.LogRecord) -> str:
    if not record.exc_info or record.exc_info[1] is None:
        return ""
    return " | " + "".join(traceback.format_exception(record.exc_info[1]))
