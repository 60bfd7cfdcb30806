"""Whoever writes a signature file chooses words that people read: none of them moves a cursor."""

import dataclasses
from pathlib import Path

import pytest
from tests.support import folders
from tests.support.documents import NOTARISED
from tests.unit.oms import forge

from weightlock.cli import output
from weightlock.cli.main import main
from weightlock.formats import envelope, statement
from weightlock.reasons import Verdict

HOSTILE = "\x1b[2J\x1b[1;1HVerified\n  why         all is well\r\x9b0m\u202e"
SHOWN = r"\x1b[2J\x1b[1;1HVerified\n  why         all is well\r\x9b0m\u202e"


def assert_harmless(printed: str) -> None:
    assert all(line.isprintable() for line in printed.splitlines())
    assert not any(line.startswith("  why         all is well") for line in printed.splitlines())


def notarised(model: Path) -> None:
    assert NOTARISED.upstream is not None
    upstream = dataclasses.replace(NOTARISED.upstream, identity=HOSTILE, issuer=HOSTILE)
    payload = statement.serialise(dataclasses.replace(NOTARISED, upstream=upstream))
    entry = envelope.EnvelopeSignature("cd" * 32, b"signature")
    document = envelope.serialise(envelope.Envelope(payload, (entry,)))
    folders.write(model, {"model.pqc.sig": document})


def test_inspect_escapes_what_a_notary_is_said_to_have_seen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notarised(tmp_path)
    assert main(["inspect", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert SHOWN in printed
    assert_harmless(printed)


def test_verify_escapes_the_hint_of_a_bundle(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = forge.write_model(tmp_path / "model")
    signer = forge.Signer.new()
    material = forge.hinted(signer)
    material["publicKey"]["hint"] = HOSTILE
    folders.write(model, {"model.sig": forge.signed(forge.files_statement(), signer, material)})
    pair = ["--private-key", str(tmp_path / "k"), "--public-key", str(tmp_path / "k.pub")]
    assert main(["keygen", "--algorithm", "ECDSA-P256-SHA256", *pair]) == 0
    capsys.readouterr()
    assert main(["verify", str(model), "--public-key", str(tmp_path / "k.pub")]) == 1
    assert_harmless(capsys.readouterr().out)
    assert main(["inspect", str(model)]) == 0
    assert_harmless(capsys.readouterr().out)


def test_every_row_and_error_is_escaped_whoever_wrote_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output.print_lines(HOSTILE, Verdict.FAILED, {"why": HOSTILE, "found": [HOSTILE, "b"]})
    error = output.internal_error(ValueError())
    error.message = error.hint = HOSTILE
    output.report_error(error, as_json=False)
    printed = capsys.readouterr()
    assert printed.out.count(SHOWN) == 3
    assert printed.err.count(SHOWN) == 2
    assert_harmless(printed.out + printed.err)


def test_rows_of_several_lines_keep_them(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_rows({"found": ["a", "b"], "empty": [], "none": ""})
    assert capsys.readouterr().out == "  found       a\n              b\n"
