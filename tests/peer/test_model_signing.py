"""Beside model-signing: we read what it signs, it accepts what we write, both refuse the bad."""

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from tests.peer import model_signing_peer as peer
from tests.unit.oms import authority, forge
from tests.unit.oms.forge import Signer, is_accepted, reasons, verify

from weightlock.checkpoint.folder import CheckpointFolder
from weightlock.checkpoint.walker import Limits
from weightlock.errors import Refused
from weightlock.oms import bundle, writing
from weightlock.oms.contents import Contents
from weightlock.oms.trust import Trust
from weightlock.oms.verification import Settings, verify_bundle
from weightlock.reasons import Reason

MODEL = {"a.b": b"1", "a/b": b"2", "a/empty": b"", "weights.bin": bytes(range(256)) * 20}
CURVES = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}
SIGNER = Signer.new()

Config = peer.hashing_config


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return forge.write_model(tmp_path / "model", MODEL)


@pytest.fixture
def files(tmp_path: Path) -> peer.KeyFiles:
    return peer.key_files(tmp_path / "keys", SIGNER)


@pytest.fixture
def root() -> authority.Authority:
    return authority.root()


@pytest.fixture
def certified(tmp_path: Path, root: authority.Authority) -> peer.KeyFiles:
    middle = authority.intermediate(root)
    own = authority.leaf(middle, SIGNER.point)
    chain = (own, middle.certificate, root.certificate)
    return peer.key_files(tmp_path / "keys", SIGNER, chain)


def ours(folder: Path, *, certified_by: peer.KeyFiles | None = None) -> bytes:
    with forge.on_disk(folder) as contents:
        digests = writing.file_digests(contents, lambda _: None)
    chain = peer.certificates(certified_by) if certified_by else ()
    return writing.bundle(folder.name, digests, SIGNER, chain)


class TestWhatItSigns:
    @pytest.mark.parametrize("curve", CURVES.values(), ids=CURVES)
    def test_with_a_key_we_verify(
        self, model: Path, tmp_path: Path, curve: ec.EllipticCurve
    ) -> None:
        signer = Signer.new(curve)
        data = peer.sign(model, Config(), peer.key_files(tmp_path / "keys", signer))
        assert is_accepted(verify(data, model, Trust((signer.public_key,))))
        assert bundle.parse(data).material.hint == signer.hint

    def test_with_a_certificate_we_verify(
        self, model: Path, certified: peer.KeyFiles, root: authority.Authority
    ) -> None:
        data = peer.sign(model, Config(), certified)
        assert is_accepted(verify(data, model, Trust((), (root.certificate,))))
        assert not is_accepted(verify(data, model, Trust((), (authority.root().certificate,))))

    def test_by_shards_we_verify(self, tmp_path: Path, files: peer.KeyFiles) -> None:
        full = {name: content for name, content in MODEL.items() if content}
        model = forge.write_model(tmp_path / "full", full)
        data = peer.sign(model, Config().use_shard_serialization(shard_size=1000), files)
        assert is_accepted(verify(data, model, Trust((SIGNER.public_key,))))
        (model / "weights.bin").write_bytes(MODEL["weights.bin"] + b"\0")
        assert not is_accepted(verify(data, model, Trust((SIGNER.public_key,))))

    def test_by_shards_leaves_empty_files_unsigned_so_they_are_extra(
        self, model: Path, files: peer.KeyFiles
    ) -> None:
        data = peer.sign(model, Config().use_shard_serialization(shard_size=1000), files)
        found = verify(data, model, Trust((SIGNER.public_key,)))
        assert reasons(found) == [(Reason.EXTRA_FILE, "a/empty")]

    def test_of_one_file_we_verify_in_a_folder_of_its_own(
        self, tmp_path: Path, files: peer.KeyFiles
    ) -> None:
        folder = forge.write_model(tmp_path / "one", {"model.bin": b"x"})
        data = peer.sign(folder / "model.bin", Config(), files)
        trust = Trust((SIGNER.public_key,))
        assert is_accepted(verify(data, folder, trust))
        (folder / "model.bin").rename(folder / "modeling.py")
        assert not is_accepted(verify(data, folder, trust))

    def test_without_git_paths_we_refuse_as_long_as_they_are_there(
        self, model: Path, files: peer.KeyFiles
    ) -> None:
        forge.write_model(model, {".gitattributes": b"x"})
        data = peer.sign(model, Config(), files)
        found = verify(data, model, Trust((SIGNER.public_key,)))
        assert reasons(found) == [(Reason.EXTRA_FILE, ".gitattributes")]
        data = peer.sign(model, Config().set_ignored_paths(paths=[], ignore_git_paths=False), files)
        assert is_accepted(verify(data, model, Trust((SIGNER.public_key,))))

    @pytest.mark.parametrize("algorithm", ["blake2", "blake3"])
    def test_with_a_hash_that_is_not_allowed_we_refuse(
        self, model: Path, files: peer.KeyFiles, algorithm: Literal["blake2", "blake3"]
    ) -> None:
        config = Config().use_file_serialization(hashing_algorithm=algorithm)
        data = peer.sign(model, config, files)
        with pytest.raises(Refused, match="hash algorithm"):
            bundle.parse(data)


class TestWhatWeWrite:
    @pytest.mark.parametrize("git", [{}, {".gitattributes": b"x", ".git/config": b"y"}])
    def test_with_a_key_it_accepts(
        self, model: Path, files: peer.KeyFiles, git: dict[str, bytes]
    ) -> None:
        forge.write_model(model, git)
        data = ours(model)
        assert peer.accepts(model, data, files)
        (model / "model.sig").write_bytes(data)
        (model / "model.pqc.sig").write_bytes(b"{}")
        assert peer.accepts(model, data, files)

    def test_with_a_certificate_it_accepts(self, model: Path, certified: peer.KeyFiles) -> None:
        assert peer.accepts(model, ours(model, certified_by=certified), certified)

    def test_its_command_accepts(self, model: Path, files: peer.KeyFiles) -> None:
        (model / "model.sig").write_bytes(ours(model))
        assert run("verify", "key", "--public_key", files.public, model) == 0
        (model / "extra").touch()
        assert run("verify", "key", "--public_key", files.public, model) != 0

    def test_means_to_it_what_it_would_have_written(
        self, model: Path, files: peer.KeyFiles
    ) -> None:
        theirs = json.loads(bundle.parse(peer.sign(model, Config(), files)).payload)
        mine = json.loads(bundle.parse(ours(model)).payload)
        for statement in (theirs, mine):
            statement["predicate"]["serialization"].pop("ignore_paths")
        assert mine == theirs


def test_what_its_command_signs_we_verify(model: Path, files: peer.KeyFiles) -> None:
    assert run("sign", "key", "--private_key", files.private, model) == 0
    data = (model / "model.sig").read_bytes()
    assert is_accepted(verify(data, model, Trust((SIGNER.public_key,))))


TAMPERINGS: dict[str, Callable[[Path], object]] = {
    "content": lambda folder: (folder / "a.b").write_bytes(b"3"),
    "longer": lambda folder: (folder / "a.b").write_bytes(b"1\0"),
    "shorter": lambda folder: (folder / "weights.bin").write_bytes(MODEL["weights.bin"][:-1]),
    "filled": lambda folder: (folder / "a/empty").write_bytes(b"x"),
    "missing": lambda folder: (folder / "a/empty").unlink(),
    "extra": lambda folder: (folder / "modeling.py").touch(),
    "renamed": lambda folder: (folder / "a.b").rename(folder / "a.c"),
    "swapped": lambda folder: (folder / "a.b").replace(folder / "a/b"),
    "link": lambda folder: (folder / "link").symlink_to("a.b"),
}


@pytest.mark.parametrize("tamper", TAMPERINGS.values(), ids=TAMPERINGS)
def test_a_tampered_model_is_refused_by_both(
    model: Path, files: peer.KeyFiles, tamper: Callable[[Path], object]
) -> None:
    bundles = [peer.sign(model, Config(), files), ours(model)]
    assert [peer.accepts(model, data, files) for data in bundles] == [True, True]
    assert [accepted_by_us(data, model) for data in bundles] == [True, True]
    tamper(model)
    assert [peer.accepts(model, data, files) for data in bundles] == [False, False]
    assert [accepted_by_us(data, model) for data in bundles] == [False, False]


def test_a_tampered_bundle_is_refused_by_both(model: Path, files: peer.KeyFiles) -> None:
    document = json.loads(ours(model))
    envelope = document["dsseEnvelope"]
    signature = bytearray(base64.b64decode(envelope["signatures"][0]["sig"]))
    signature[-1] ^= 1
    payload = base64.b64decode(envelope["payload"]).replace(b'"model"', b'"other"')
    changes: list[forge.Json] = [
        {"signatures": [{"sig": forge.encoded(bytes(signature)), "keyid": ""}]},
        {"signatures": []},
        {"payload": forge.encoded(payload)},
        {"payloadType": "text/plain"},
    ]
    for change in changes:
        data = forge.compact({**document, "dsseEnvelope": {**envelope, **change}})
        assert not peer.accepts(model, data, files)
        assert not accepted_by_us(data, model)


def accepted_by_us(data: bytes, model: Path) -> bool:
    """As the command line does: what the walker or the parser complains about is a refusal."""
    with CheckpointFolder(model) as folder:
        found = folder.walk(Limits())
        contents = Contents(found.files, folder.files(found.files))
        settings = Settings(Trust((SIGNER.public_key,)), forge.NOW)
        try:
            return not found.findings and is_accepted(
                verify_bundle(data, contents, settings, lambda _: None)
            )
        except Refused:
            return False


def run(*arguments: object) -> int:
    """The peer's command, on its own, with the signature at its usual place."""
    *options, model = arguments
    signature = ["--signature", f"{model}/model.sig"]
    command = [sys.executable, "-m", "model_signing", *map(str, options), *signature, str(model)]
    return subprocess.run(command, check=False, capture_output=True, timeout=120).returncode  # noqa: S603 - our own arguments
