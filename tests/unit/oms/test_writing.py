"""What is written is read again, verifies, and leaves out exactly what it says."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.oms import authority, forge
from tests.unit.oms.forge import MODEL, Signer, is_accepted, verify

from weightlock.algorithms import ED25519
from weightlock.errors import KeyUnusable, Malformed, UnsafeName
from weightlock.oms import bundle, writing
from weightlock.oms.trust import Trust
from weightlock.oms.writing import FileDigest
from weightlock.signatures.schemes import VerifyingKey

SIGNER = Signer.new()
FILES = (FileDigest("a", forge.digest_of(b"")),)


def digests_of(folder: Path) -> tuple[FileDigest, ...]:
    with forge.on_disk(folder) as contents:
        return writing.file_digests(contents, lambda _: None)


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_what_is_written_verifies(tmp_path: Path, curve: ec.EllipticCurve) -> None:
    signer = Signer.new(curve)
    forge.write_model(tmp_path)
    data = writing.bundle("model", digests_of(tmp_path), signer)
    (tmp_path / "model.sig").write_bytes(data)
    assert is_accepted(verify(data, tmp_path, Trust((signer.public_key,))))
    assert not is_accepted(verify(data, tmp_path, Trust((SIGNER.public_key,))))


def test_a_chain_makes_the_certificate_form(tmp_path: Path) -> None:
    root = authority.root()
    chain = (authority.leaf(root, SIGNER.point), root.certificate)
    forge.write_model(tmp_path)
    data = writing.bundle("model", digests_of(tmp_path), SIGNER, chain)
    assert is_accepted(verify(data, tmp_path, Trust((), (root.certificate,))))


def test_the_signature_files_and_git_are_left_out_and_said_to_be(tmp_path: Path) -> None:
    outside = {"model.sig": b"1", "model.pqc.sig": b"2", ".git/config": b"3", ".gitignore": b"4"}
    forge.write_model(tmp_path, {**MODEL, **outside, "sub/.gitignore": b"5"})
    data = writing.bundle("model", digests_of(tmp_path), SIGNER)
    manifest = bundle.parse(data).manifest
    assert {file.name for file in manifest.files} == {*MODEL, "sub/.gitignore"}
    assert set(manifest.ignored_paths) == {
        "model.sig", "model.pqc.sig", ".git", ".gitignore", ".gitattributes", ".github",
    }  # fmt: skip


@given(
    st.sets(
        st.text("ab./-", min_size=1, max_size=6).filter(
            lambda name: all(part.strip(".") for part in name.split("/"))
        ),
        min_size=1,
    )
)
def test_whatever_is_written_is_read_again(names: set[str]) -> None:
    files = [FileDigest(name, forge.digest_of(name.encode())) for name in names]
    found = bundle.parse(writing.bundle("model", files, SIGNER)).manifest
    assert {file.name: file.pieces[0].digest for file in found.files} == {
        file.name: file.digest for file in files
    }


def test_a_key_that_bundles_do_not_know_is_refused() -> None:
    class Odd(Signer):
        @property
        def public_key(self) -> VerifyingKey:
            return forge.Renamed(super().public_key, ED25519)

    with pytest.raises(KeyUnusable, match="Ed25519"):
        writing.bundle("model", FILES, Odd(SIGNER.private))


def test_a_certificate_of_another_key_is_refused() -> None:
    other = authority.leaf(authority.root(), Signer.new().point)
    with pytest.raises(Malformed, match="first certificate"):
        writing.bundle("model", FILES, SIGNER, (other,))


def test_nothing_is_not_signed() -> None:
    with pytest.raises(Malformed, match="no file"):
        writing.bundle("model", (), SIGNER)


@pytest.mark.parametrize("name", ["../x", "model.sig", "a\nb", ""])
def test_a_name_that_verifying_would_refuse_is_not_signed(name: str) -> None:
    with pytest.raises(UnsafeName):
        writing.bundle("model", (FileDigest(name, forge.digest_of(b"")),), SIGNER)
