import io
import json
import logging

import pytest

from weightlock_operator import logs
from weightlock_operator.settings import LogFormat

HOSTILE = "llama\n2026-01-01 INFO forged\x1b[31m\u202e"


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def logged(form: LogFormat, stream: io.StringIO, message: str, **fields: object) -> str:
    before = logging.getLogger().handlers[:]
    try:
        logs.configure(form, stream)
        logging.getLogger("weightlock_operator.test").info(
            "%s", message, extra=logs.decision(**fields)
        )
        logging.getLogger("kopf.objects").info("chatter")
    finally:
        logging.getLogger().handlers[:] = before
    return stream.getvalue()


def test_a_decision_is_one_line_of_text(stream: io.StringIO) -> None:
    text = logged(LogFormat.TEXT, stream, "decided", object="team-a/llama", verdict="Verified")
    assert text.count("\n") == 1
    assert text.endswith("decided object=team-a/llama verdict=Verified\n")


def test_a_decision_is_one_json_document(stream: io.StringIO) -> None:
    document = json.loads(logged(LogFormat.JSON, stream, "decided", object="a/b", reason=""))
    assert document["object"] == "a/b"
    assert document["level"] == "INFO"
    assert "reason" not in document


@pytest.mark.parametrize("form", list(LogFormat))
def test_nobody_writes_lines_or_colours_into_the_log(form: LogFormat, stream: io.StringIO) -> None:
    text = logged(form, stream, HOSTILE, object=HOSTILE)
    assert text.count("\n") == 1
    assert text.rstrip("\n").isprintable()


def test_a_line_has_an_end(stream: io.StringIO) -> None:
    assert len(logged(LogFormat.TEXT, stream, "x" * 1_000_000)) < 5000


@pytest.mark.parametrize("form", list(LogFormat))
def test_an_exception_is_part_of_its_line(form: LogFormat) -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError as error:
        record = logging.LogRecord("a", 40, "f", 1, "failed", (), (type(error), error, None))
    formatter = logs.JsonFormatter() if form is LogFormat.JSON else logs.TextFormatter()
    text = formatter.format(record)
    assert "ValueError" in text
    assert "\n" not in text
