"""The Python API: the same verdicts as the command line, in a few calls."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support import folders
from tests.support.keys import key

import weightlock
from weightlock.engines.choice import choose_engine
from weightlock.errors import CheckpointRefused, EngineUnavailable, KeyUnusable
from weightlock.keys.private import write_private_key
from weightlock.keys.public import write_public_key
from weightlock.keys.signing import generate
from weightlock.reasons import Reason, Verdict


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A signed checkpoint."""
    folder = folders.write(tmp_path / "model", folders.SAMPLE)
    weightlock.sign(folder, [key()], name="llama", version=2)
    return folder


def test_what_was_signed_verifies(model: Path) -> None:
    result = weightlock.verify(model, [key().public_key])
    assert result.is_verified
    assert result.judgement.verdict is weightlock.Verdict.VERIFIED
    assert weightlock.hash_checkpoint(model).digest == result.evidence.digest


def test_keys_may_be_files(tmp_path: Path) -> None:
    from weightlock import algorithms  # noqa: PLC0415 - only this test needs it

    folder = folders.write(tmp_path / "model", folders.SAMPLE)
    private = generate(algorithms.ML_DSA_44)
    write_private_key(tmp_path / "k", private)
    write_public_key(tmp_path / "p", private.public)
    weightlock.sign(folder, [tmp_path / "k"], name="m")
    assert weightlock.verify(folder, [str(tmp_path / "p")]).is_verified


def test_tampering_is_in_the_result_and_raises_nothing(model: Path) -> None:
    (model / "config.json").write_bytes(b"{}")
    result = weightlock.verify(model, [key().public_key])
    assert not result.is_verified
    assert result.judgement.reason is Reason.CONTENT_MISMATCH


def test_a_part_can_be_verified_alone(model: Path) -> None:
    result = weightlock.verify(model, [key().public_key], select=["config.json"])
    assert result.is_verified
    assert result.files == 1


def test_the_manifest_is_given_only_if_trusted_keys_signed_it(model: Path) -> None:
    manifest = weightlock.read_manifest(model, [key().public_key])
    assert (manifest.model.name, manifest.model.version) == ("llama", 2)
    with pytest.raises(CheckpointRefused) as refusal:
        weightlock.read_manifest(model, [key("ML-DSA-87").public_key])
    assert refusal.value.reason is Reason.SIGNER_UNTRUSTED
    (model / "model.pqc.sig").unlink()
    with pytest.raises(CheckpointRefused) as refusal:
        weightlock.read_manifest(model, [key().public_key])
    assert refusal.value.reason is Reason.UNSIGNED


def test_a_classical_key_alone_vouches_for_no_manifest(model: Path) -> None:
    classical = key("ECDSA-P256-SHA256")
    weightlock.sign(model, [key(), classical], name="llama", replace=True)
    assert weightlock.read_manifest(model, [key().public_key]).model.name == "llama"
    with pytest.raises(CheckpointRefused) as refusal:
        weightlock.read_manifest(model, [classical.public_key])
    assert refusal.value.reason is Reason.CLASSICAL_ONLY


def test_time_can_be_given(model: Path) -> None:
    then = datetime(2001, 1, 1, tzinfo=UTC)
    assert weightlock.verify(model, [key().public_key], now=then).is_verified


def test_a_classical_key_alone_signs_nothing(tmp_path: Path) -> None:
    folders.write(tmp_path, folders.SAMPLE)
    with pytest.raises(KeyUnusable):
        weightlock.sign(tmp_path, [key("Ed25519")], name="m")


def test_an_engine_that_is_not_there_is_an_error_if_it_was_named(model: Path) -> None:
    try:
        choose_engine("cuda", threads=1, notice=lambda _: None)
    except EngineUnavailable:
        with pytest.raises(EngineUnavailable):
            weightlock.verify(model, [key().public_key], engine="cuda")
    assert weightlock.verify(model, [key().public_key], engine="auto").is_verified


def test_unknown_names_are_no_attributes() -> None:
    with pytest.raises(AttributeError):
        _ = weightlock.no_such_thing
    assert weightlock.Verdict is Verdict


def test_importing_a_format_loads_no_cryptography() -> None:
    program = (
        "import sys, weightlock, weightlock.formats.statement, weightlock.policy.documents,"
        " weightlock.verdict.judge; sys.exit('cryptography' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0  # noqa: S603
