"""Bundles that model-signing's own releases signed; they lie beside the project, not in it.

Their folders hold a file `ignore-me` that was left out with `--ignore-paths`; upstream's tests give
the same option when they verify. Versions before 1.1 signed no word of that, so for us it is a file
that nobody signed: ExtraFile, unless the caller names it.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.oms.forge import Signer, is_accepted, reasons, verify

from weightlock.errors import Malformed
from weightlock.formats.spki import public_key_info
from weightlock.oms.certificates import authorities_of
from weightlock.oms.trust import Trust
from weightlock.oms.vocabulary import Form
from weightlock.reasons import Reason
from weightlock.signatures.verifying import verifying_key

ROOT = Path(__file__).parents[3]
FOLDER = Path(os.getenv("WEIGHTLOCK_OMS_FIXTURES", str(ROOT.parent / "shared/oms")))
KEYS = FOLDER / "keys"
EXTRA = [(Reason.EXTRA_FILE, "ignore-me")]

pytestmark = pytest.mark.skipif(
    not KEYS.is_dir(), reason="published OMS bundles are not here: set WEIGHTLOCK_OMS_FIXTURES"
)


def by_key() -> Trust:
    text = (KEYS / "signing-key-pub.pem").read_text()
    # The tool that made it wrote an explanation above the key.
    info = public_key_info(text[text.index("-----BEGIN") :])
    return Trust((verifying_key(info),))


def by_root() -> Trust:
    return Trust((), authorities_of((KEYS / "ca-cert.pem").read_bytes()))


def by_stranger() -> Trust:
    return Trust((Signer.new().public_key,))


PUBLISHED = [
    pytest.param("v0.3.1-elliptic-key", by_key, (), id="v0.3.1 key, one file"),
    pytest.param("v1.0.1-elliptic-key", by_key, ("ignore-me",), id="v1.0.1 key"),
    pytest.param("v1.0.1-certificate", by_root, ("ignore-me",), id="v1.0.1 certificate"),
    pytest.param("v1.0.1-certificate", by_key, ("ignore-me",), id="v1.0.1 certificate, by its key"),
]


@pytest.mark.parametrize(("name", "trust", "tolerated"), PUBLISHED)
def test_they_verify_as_upstream_verifies_them(
    name: str, trust: Callable[[], Trust], tolerated: tuple[str, ...]
) -> None:
    folder = FOLDER / name
    data = (folder / "model.sig").read_bytes()
    found = verify(data, folder, trust(), tolerated=tolerated)
    assert is_accepted(found)
    assert found.unsigned == tolerated
    assert found.bundle.manifest.form is Form.V1_0


@pytest.mark.parametrize(("name", "trust", "tolerated"), PUBLISHED[1:])
def test_what_they_left_out_is_an_extra_file(
    name: str, trust: Callable[[], Trust], tolerated: tuple[str, ...]
) -> None:
    found = verify((FOLDER / name / "model.sig").read_bytes(), FOLDER / name, trust())
    assert not is_accepted(found)
    assert reasons(found) == EXTRA
    assert tolerated == ("ignore-me",)


@pytest.mark.parametrize(("name", "trust", "tolerated"), PUBLISHED)
def test_strangers_do_not_verify_them(
    name: str, trust: Callable[[], Trust], tolerated: tuple[str, ...]
) -> None:
    data = (FOLDER / name / "model.sig").read_bytes()
    for others in (by_stranger(), Trust()):
        found = verify(data, FOLDER / name, others, tolerated=tolerated)
        assert reasons(found) == [(Reason.SIGNER_UNTRUSTED, "")]
    assert trust() != by_stranger()


@pytest.mark.parametrize(("name", "trust", "tolerated"), PUBLISHED)
def test_tampered_copies_do_not_verify(
    tmp_path: Path, name: str, trust: Callable[[], Trust], tolerated: tuple[str, ...]
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(FOLDER / name, copy)
    data = (copy / "model.sig").read_bytes()
    assert is_accepted(verify(data, copy, trust(), tolerated=tolerated))
    (copy / "signme-1").write_bytes(b"other")
    found = verify(data, copy, trust(), tolerated=tolerated)
    assert reasons(found) == [(Reason.CONTENT_MISMATCH, "signme-1")]


@pytest.mark.parametrize(("name", "trust", "tolerated"), PUBLISHED)
def test_tampered_bundles_do_not_verify(
    name: str, trust: Callable[[], Trust], tolerated: tuple[str, ...]
) -> None:
    data = (FOLDER / name / "model.sig").read_bytes()
    start = data.index(b'"payload": "') + len(b'"payload": "')
    for position in range(start, start + 400, 7):
        changed = bytearray(data)
        changed[position] = ord("B") if changed[position] == ord("A") else ord("A")
        try:
            found = verify(bytes(changed), FOLDER / name, trust(), tolerated=tolerated)
        except Malformed:
            continue
        assert not is_accepted(found)


def test_a_keyless_bundle_is_reported_as_needing_the_network() -> None:
    folder = FOLDER / "v1.0.1-sigstore"
    data = (folder / "model.sig").read_bytes()
    for trust in (by_key(), by_root(), Trust()):
        found = verify(data, folder, trust, tolerated=["ignore-me"])
        assert reasons(found) == [(Reason.NETWORK_REQUIRED, "")]
        assert not is_accepted(found)
