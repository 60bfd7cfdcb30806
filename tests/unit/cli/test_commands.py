"""The command line as its user meets it: what is printed, what is written, how it exits."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization import load_der_public_key as x509_key
from tests.support import folders
from tests.support.keys import key
from tests.unit.oms import authority

from weightlock.checkpoint.folder import CheckpointFolder
from weightlock.checkpoint.walker import Limits
from weightlock.cli.main import main
from weightlock.oms import writing
from weightlock.oms.contents import Contents

Run = Callable[..., int]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with key pairs that the program itself made."""
    folder = tmp_path_factory.mktemp("keys")
    for name, algorithm in [
        ("release", "ML-DSA-65"),
        ("other", "ML-DSA-65"),
        ("strong", "ML-DSA-87"),
        ("hash", "SLH-DSA-SHA2-128f"),
        ("classical", "ECDSA-P256-SHA256"),
    ]:
        pair = ["--private-key", f"{folder}/{name}.key", "--public-key", f"{folder}/{name}.pub"]
        assert main(["keygen", "--algorithm", algorithm, *pair]) == 0
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """An unsigned checkpoint."""
    return folders.write(tmp_path / "llama-7b", folders.SAMPLE)


def sign(model: Path, keys: Path, *names: str, extra: tuple[str, ...] = ()) -> int:
    arguments = [part for name in names for part in ("--private-key", str(keys / f"{name}.key"))]
    return main(["sign", str(model), *arguments, *extra])


def verify(model: Path, keys: Path, *names: str, extra: tuple[str, ...] = ()) -> int:
    arguments = [part for name in names for part in ("--public-key", str(keys / f"{name}.pub"))]
    return main(["verify", str(model), *arguments, *extra])


def as_json(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert isinstance(document, dict)
    return document


def test_keygen_makes_a_private_file_and_a_public_one(keys: Path) -> None:
    assert stat.S_IMODE((keys / "release.key").stat().st_mode) == 0o600
    assert b"PRIVATE KEY" in (keys / "release.key").read_bytes()
    assert (keys / "release.pub").read_text().startswith("-----BEGIN PUBLIC KEY-----")


def test_keygen_overwrites_nothing(keys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (keys / "release.key").read_bytes()
    pair = ["--private-key", str(keys / "release.key"), "--public-key", str(keys / "new.pub")]
    assert main(["keygen", *pair]) == 4
    assert (keys / "release.key").read_bytes() == before
    assert not (keys / "new.pub").exists()
    assert "release.key" in capsys.readouterr().err


def test_sign_then_verify(model: Path, keys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sign(model, keys, "release") == 0
    assert "Signed llama-7b version 1" in capsys.readouterr().out
    assert verify(model, keys, "release") == 0
    shown = capsys.readouterr().out
    assert shown.startswith("Verified: llama-7b version 1")
    assert "ML-DSA-65" in shown
    assert "4 files" in shown


def test_the_json_of_a_verification_is_the_documented_one(
    model: Path, keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sign(model, keys, "release", extra=("--name", "meta/llama", "--version", "7"))
    capsys.readouterr()
    assert verify(model, keys, "release", extra=("--json",)) == 0
    document = as_json(capsys)
    assert document["verdict"] == document["reason"] == "Verified"
    assert document["model"] == {"name": "meta/llama", "version": 7}
    digest = document["digest"]
    assert (digest["tree"], digest["hash"], len(digest["root"])) == ("rfc6962-v1", "sha256", 64)
    (signature,) = document["signatures"]
    assert signature["algorithm"] == "ML-DSA-65"
    assert signature["family"] == "ML-DSA"
    assert (signature["valid"], signature["trusted"]) == (True, True)
    assert (document["files"], document["bytes"]) == (4, 376_829)
    assert {"message", "seconds", "gbps", "device"} <= document.keys()


@pytest.mark.parametrize(
    ("signers", "trusted", "code", "verdict", "reason"),
    [
        pytest.param(["hash"], ["hash"], 0, "Verified", "Verified", id="SLH-DSA"),
        pytest.param(["release", "classical"], ["release"], 0, "Verified", "Verified", id="hybrid"),
        pytest.param(
            ["release", "classical"],
            ["classical"],
            3,
            "ClassicalOnly",
            "ClassicalOnly",
            id="hybrid with only the classical key trusted",
        ),
        pytest.param(["release"], ["other"], 1, "Failed", "SignerUntrusted", id="a stranger"),
    ],
)
def test_each_verdict_has_its_exit_code(
    signers: list[str],
    trusted: list[str],
    code: int,
    verdict: str,
    reason: str,
    model: Path,
    keys: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert sign(model, keys, *signers) == 0
    capsys.readouterr()
    assert verify(model, keys, *trusted, extra=("--json",)) == code
    document = as_json(capsys)
    assert (document["verdict"], document["reason"]) == (verdict, reason)


def test_tampering_is_exit_code_one_with_what_and_what_to_do(
    model: Path, keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sign(model, keys, "release")
    (model / "weights.bin").write_bytes(folders.SAMPLE["weights.bin"][:-1] + b"\0")
    capsys.readouterr()
    assert verify(model, keys, "release") == 1
    shown = capsys.readouterr().out
    assert "Failed: ContentMismatch" in shown
    assert "weights.bin" in shown
    assert "sign it again" in shown


def test_an_unreadable_folder_is_exit_code_four(
    tmp_path: Path, keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify(tmp_path / "nothing", keys, "release", extra=("--json",)) == 4
    assert as_json(capsys)["reason"] == "Unreadable"


def test_a_hugging_face_snapshot_is_refused_with_the_way_out(
    tmp_path: Path, keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders.write(tmp_path / "blobs", {"abc": b"weights"})
    (tmp_path / "snapshots").mkdir()
    (tmp_path / "snapshots/model.safetensors").symlink_to("../blobs/abc")
    assert sign(tmp_path / "snapshots", keys, "release") == 1
    shown = capsys.readouterr().err
    assert "UnsafeEntry" in shown
    assert "hf download --local-dir" in shown
    assert not (tmp_path / "snapshots/model.pqc.sig").exists()


def test_a_signature_is_replaced_only_with_force(
    model: Path, keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sign(model, keys, "release") == 0
    before = (model / "model.pqc.sig").read_bytes()
    assert sign(model, keys, "other") == 4
    assert "--force" in capsys.readouterr().err
    assert (model / "model.pqc.sig").read_bytes() == before
    assert sign(model, keys, "other", extra=("--force",)) == 0
    assert verify(model, keys, "other") == 0


@pytest.mark.parametrize(
    ("names", "words"),
    [
        pytest.param(["classical"], "no post-quantum key", id="classical alone"),
        pytest.param(["release", "release"], "twice", id="the same key twice"),
        pytest.param(["missing"], "missing.key", id="no such file"),
    ],
)
def test_keys_that_cannot_sign_are_an_error(
    names: list[str], words: str, model: Path, keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sign(model, keys, *names) == 4
    shown = capsys.readouterr().err
    assert "KeyUnusable" in shown
    assert words in shown
    assert not (model / "model.pqc.sig").exists()


def test_a_private_key_that_others_can_read_is_refused(
    model: Path, keys: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exposed = tmp_path / "exposed.key"
    exposed.write_bytes((keys / "release.key").read_bytes())
    exposed.chmod(0o640)
    assert main(["sign", str(model), "--private-key", str(exposed)]) == 4
    assert "chmod 600" in capsys.readouterr().err
    exposed.chmod(0o600)
    assert main(["sign", str(model), "--private-key", str(exposed)]) == 0


def test_an_encrypted_key_needs_its_passphrase(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    phrase, wrong = tmp_path / "phrase", tmp_path / "wrong"
    for path, text in ((phrase, "correct horse\n"), (wrong, "battery staple\n")):
        path.write_text(text)
        path.chmod(0o600)
    pair = ["--private-key", str(tmp_path / "k"), "--public-key", str(tmp_path / "p")]
    assert main(["keygen", *pair, "--passphrase-file", str(phrase)]) == 0
    assert b"ENCRYPTED" in (tmp_path / "k").read_bytes()
    signing = ["sign", str(model), "--private-key", str(tmp_path / "k")]
    assert main(signing) == 4
    assert "--passphrase-file" in capsys.readouterr().err
    assert main([*signing, "--passphrase-file", str(wrong)]) == 4
    assert main([*signing, "--passphrase-file", str(phrase)]) == 0
    assert main(["verify", str(model), "--public-key", str(tmp_path / "p")]) == 0


def test_no_passphrase_or_key_material_is_ever_printed(
    model: Path, keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = (keys / "release.key").read_text().splitlines()[1]
    sign(model, keys, "release")
    main(["verify", str(model), "--public-key", str(keys / "release.key")])
    main(["sign", str(model), "--private-key", str(keys / "release.pub")])
    captured = capsys.readouterr()
    assert secret not in captured.out + captured.err


@pytest.mark.parametrize(
    ("names", "extra", "code"),
    [
        pytest.param(["strong"], (), 0, id="ML-DSA-87 and sha512"),
        pytest.param(["strong", "classical"], (), 0, id="hybrid"),
        pytest.param(["strong"], ("--hash", "sha384"), 0, id="sha384"),
        pytest.param(["release"], (), 4, id="ML-DSA-65"),
        pytest.param(["hash"], (), 4, id="SLH-DSA"),
        pytest.param(["strong"], ("--hash", "sha256"), 4, id="sha256"),
        pytest.param(["strong"], ("--hash", "sha3-512"), 4, id="sha3"),
    ],
)
def test_the_profile_cnsa2_allows_only_what_it_names(
    names: list[str], extra: tuple[str, ...], code: int, model: Path, keys: Path
) -> None:
    assert sign(model, keys, *names, extra=("--profile", "cnsa2", *extra)) == code


def test_hash_prints_the_root_that_sign_signs(
    model: Path, keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["hash", str(model)]) == 0
    printed = capsys.readouterr().out.strip()
    sign(model, keys, "release", extra=("--json",))
    digest = as_json(capsys)["digest"]
    assert printed == f"sha256:{digest['root']}"
    assert main(["hash", str(model), "--hash", "sha3-384", "--json"]) == 0
    assert as_json(capsys)["digest"] != digest


def test_an_empty_folder_is_no_checkpoint(
    tmp_path: Path, keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sign(tmp_path, keys, "release") == 1
    assert "EmptyModel" in capsys.readouterr().err


@pytest.mark.parametrize("public", ["taken.pub", "new.key"])
def test_no_private_key_is_left_without_its_public_half(public: str, tmp_path: Path) -> None:
    (tmp_path / "taken.pub").write_text("another key")
    pair = ["--private-key", f"{tmp_path}/new.key", "--public-key", f"{tmp_path}/{public}"]
    assert main(["keygen", *pair]) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["taken.pub"]


@pytest.mark.parametrize("as_folder", [True, False])
def test_inspect_shows_an_envelope_without_believing_it(
    as_folder: bool,
    model: Path,
    keys: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sign(model, keys, "release", "classical")
    capsys.readouterr()
    assert main(["inspect", str(model if as_folder else model / "model.pqc.sig")]) == 0
    shown = capsys.readouterr().out
    for words in ("not verified", "ML-DSA-65", "family=classical", "weights.bin", "llama-7b"):
        assert words in shown
    assert main(["inspect", str(model), "--json"]) == 0
    document = as_json(capsys)
    assert document["verified"] is False


@pytest.mark.parametrize(
    ("content", "code"),
    [
        pytest.param(b"{}", 1, id="neither envelope nor bundle"),
        pytest.param(None, 4, id="nothing there"),
    ],
)
def test_inspect_says_what_it_cannot_read(
    content: bytes | None, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / "model.pqc.sig").write_bytes(content)
    assert main(["inspect", str(tmp_path)]) == code
    assert main(["inspect", str(tmp_path / "model.pqc.sig")]) == code
    assert "Traceback" not in capsys.readouterr().err


def test_a_name_that_would_paint_the_terminal_is_escaped(
    tmp_path: Path, keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders.write(tmp_path, {"\x1b[31mred": b"x"})
    assert sign(tmp_path, keys, "release") == 1
    captured = capsys.readouterr()
    assert "\x1b" not in captured.out + captured.err
    assert "\\x1b" in captured.err


class TestNotarize:
    """A classical upstream signature is believed once and counter-signed."""

    @pytest.fixture
    def upstream(self, model: Path, keys: Path) -> Path:
        """A model with nothing but a classical bundle."""
        assert sign(model, keys, "release", "classical", extra=("--oms",)) == 0
        (model / "model.pqc.sig").unlink()
        return model

    def notarize(self, model: Path, keys: Path, *extra: str) -> int:
        private = ["--private-key", str(keys / "strong.key")]
        return main(["notarize", str(model), *private, *extra])

    def test_a_classical_bundle_alone_is_classical_only(self, upstream: Path, keys: Path) -> None:
        assert verify(upstream, keys, "classical") == 3

    def test_what_its_publisher_signed_is_signed_post_quantum(
        self, upstream: Path, keys: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert self.notarize(upstream, keys, "--upstream-key", str(keys / "classical.pub")) == 0
        assert "ECDSA-P256-SHA256" in capsys.readouterr().out
        assert verify(upstream, keys, "strong") == 0
        capsys.readouterr()
        assert main(["inspect", str(upstream / "model.pqc.sig"), "--json"]) == 0
        (document,) = as_json(capsys)["documents"]
        assert document["upstream"]["method"] == "key"

    def test_the_wrong_publisher_is_refused(self, upstream: Path, keys: Path) -> None:
        other = str(keys / "release.pub")
        assert self.notarize(upstream, keys, "--upstream-key", other) == 1
        assert not (upstream / "model.pqc.sig").exists()

    def test_tampered_content_is_refused(self, upstream: Path, keys: Path) -> None:
        (upstream / "config.json").write_bytes(b"{}")
        key = str(keys / "classical.pub")
        assert self.notarize(upstream, keys, "--upstream-key", key) == 1
        assert not (upstream / "model.pqc.sig").exists()

    def test_an_unsigned_model_is_refused(
        self, model: Path, keys: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        key = str(keys / "classical.pub")
        assert self.notarize(model, keys, "--upstream-key", key) == 1
        assert "Unsigned" in capsys.readouterr().err

    def test_somebody_must_be_believed(self, upstream: Path, keys: Path) -> None:
        with pytest.raises(SystemExit) as stopped:
            self.notarize(upstream, keys)
        assert stopped.value.code == 2

    def test_a_bundle_needs_an_ecdsa_key(
        self, model: Path, keys: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert sign(model, keys, "release", extra=("--oms",)) == 4
        assert "ECDSA" in capsys.readouterr().err


POLICY = """
apiVersion: weightlock.dev/v1beta1
kind: ClusterModelPolicy
metadata: {{name: post-quantum}}
spec:
  enforcement: Enforce
  signatures:
    authorities:
    - name: release
      algorithm: ML-DSA-65
      publicKey: |
{key}
      notAfter: "{until}"
      models: ["llama-*"]
    rules: [{{name: release, authorities: [release], atLeast: 1}}]
"""


@pytest.mark.parametrize(
    ("key", "until", "code"),
    [
        pytest.param("release", "2999-01-01T00:00:00Z", 0, id="the policy's key"),
        pytest.param("other", "2999-01-01T00:00:00Z", 1, id="another key"),
        pytest.param("release", "2001-01-01T00:00:00Z", 1, id="an expired key"),
        pytest.param("release", "soon", 4, id="a policy that cannot be read"),
    ],
)
def test_a_policy_file_decides(
    key: str, until: str, code: int, model: Path, keys: Path, tmp_path: Path
) -> None:
    sign(model, keys, "release")
    pem = "".join(f"        {line}\n" for line in (keys / f"{key}.pub").read_text().splitlines())
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY.format(key=pem, until=until))
    assert main(["verify", str(model), "--policy", str(policy)]) == code


def test_verifying_without_any_trust_is_an_error(
    model: Path, keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sign(model, keys, "release")
    assert main(["verify", str(model), "--json"]) == 4
    assert '"PolicyInvalid"' in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param([], id="no command"),
        pytest.param(["verify"], id="no folder"),
        pytest.param(["sign", "."], id="no key"),
        pytest.param(["hash", ".", "--hash", "md5"], id="a hash that is none of ours"),
        pytest.param(["hash", ".", "--threads", "0"], id="no thread"),
        pytest.param(["hash", ".", "--js"], id="an abbreviated option"),
        pytest.param(["keygen", "--algorithm", "ml-dsa-65"], id="a name in another case"),
    ],
)
def test_wrong_usage_is_exit_code_two(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2


@pytest.mark.parametrize("shard", ["2/2", "1/0", "a/b", "0/2x", "-1/2", "01/2"])
def test_a_shard_that_is_none_is_refused(shard: str, model: Path, keys: Path) -> None:
    sign(model, keys, "release")
    assert verify(model, keys, "release", extra=(f"--shard={shard}",)) != 0


def test_the_program_runs_as_a_program(model: Path, keys: Path) -> None:
    command = [sys.executable, "-m", "weightlock", "hash", str(model)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("sha256:")


def test_a_reader_who_goes_away_causes_no_traceback(model: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "weightlock", "hash", str(model)]
    with os.fdopen(writing, "wb") as gone:
        done = subprocess.run(  # noqa: S603
            command, stdout=gone, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode != 0
    assert "Traceback" not in done.stderr


def test_a_bug_is_one_line_and_never_a_pass(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("weightlock.cli.hash.hash_folder", bug)
    assert main(["hash", str(model)]) == 4
    shown = capsys.readouterr().err
    assert "InternalError" in shown
    assert "Traceback" not in shown
    assert main(["--traceback", "hash", str(model)]) == 4
    assert "Traceback" in capsys.readouterr().err


# The program reads the real clock, so what it is shown must not run out.
FAR = datetime(2999, 1, 1, tzinfo=UTC)


def lasting_root(name: str) -> authority.Authority:
    return authority.root(name, replace(authority.CA, end=FAR))


class TestClassicalBundles:
    """OMS bundles of others: by key, by authority, with files that they leave unsigned."""

    @pytest.fixture
    def bundled(self, model: Path, keys: Path) -> Path:
        """A model with nothing but a bundle by key."""
        assert sign(model, keys, "release", "classical", extra=("--oms",)) == 0
        (model / "model.pqc.sig").unlink()
        return model

    @pytest.fixture
    def root(self) -> authority.Authority:
        """An authority that nobody knows yet."""
        return lasting_root("root")

    def certify(self, model: Path, root: authority.Authority) -> None:
        """Exchange the bundle for one by certificate."""
        signer = key("ECDSA-P256-SHA256")
        public_key = x509_key(signer.public_key.spki)
        assert isinstance(public_key, ec.EllipticCurvePublicKey)
        leaf = authority.leaf(root, public_key, replace(authority.SIGNS_CODE, end=FAR))
        with CheckpointFolder(model) as folder:
            found = folder.walk(Limits()).files
            digests = writing.file_digests(Contents(found, folder.files(found)), lambda _: None)
        document = writing.bundle("llama", digests, signer, [leaf, root.certificate])
        (model / "model.sig").write_bytes(document)

    def authority_file(self, tmp_path: Path, root: authority.Authority) -> str:
        path = tmp_path / "ca.pem"
        path.write_bytes(root.certificate.public_bytes(Encoding.PEM))
        return str(path)

    def test_a_certificate_of_a_named_authority_is_classical_only(
        self, bundled: Path, root: authority.Authority, tmp_path: Path
    ) -> None:
        self.certify(bundled, root)
        assert main(["verify", str(bundled), "--ca", self.authority_file(tmp_path, root)]) == 3
        other = self.authority_file(tmp_path, lasting_root("another"))
        assert main(["verify", str(bundled), "--ca", other]) == 1

    def test_a_named_authority_notarizes(
        self, bundled: Path, keys: Path, root: authority.Authority, tmp_path: Path
    ) -> None:
        self.certify(bundled, root)
        private = ["--private-key", str(keys / "strong.key")]
        authorities = ["--upstream-ca", self.authority_file(tmp_path, root)]
        assert main(["notarize", str(bundled), *private, *authorities]) == 0
        assert verify(bundled, keys, "strong") == 0

    def test_an_authority_says_nothing_about_a_bundle_by_key(
        self,
        bundled: Path,
        root: authority.Authority,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        authorities = ["--ca", self.authority_file(tmp_path, root)]
        capsys.readouterr()
        assert main(["verify", str(bundled), *authorities, "--json"]) == 1
        assert as_json(capsys)["reason"] == "SignerUntrusted"

    def test_an_unsigned_file_is_tolerated_only_by_name_and_reported(
        self, bundled: Path, keys: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        folders.write(bundled, {".gitattributes": b"*.bin lfs"})
        assert verify(bundled, keys, "classical") == 1
        assert verify(bundled, keys, "classical", extra=("--tolerate", "other")) == 1
        capsys.readouterr()
        extra = ("--tolerate", ".gitattributes", "--json")
        assert verify(bundled, keys, "classical", extra=extra) == 3
        assert as_json(capsys)["unsigned"] == [".gitattributes"]

    def test_nothing_is_tolerated_under_a_post_quantum_envelope(
        self, model: Path, keys: Path
    ) -> None:
        sign(model, keys, "release")
        folders.write(model, {"extra.py": b""})
        assert verify(model, keys, "release", extra=("--tolerate", "extra.py")) == 1


@pytest.mark.parametrize(
    "name", [".model.pqc.sig.0123456789abcdef.tmp", ".model.sig.0000000000000000.tmp"]
)
def test_the_leftover_of_an_interrupted_signing_is_not_signed(
    name: str, model: Path, keys: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders.write(model, {name: b"half"})
    assert sign(model, keys, "release") == 1
    assert "interrupted" in capsys.readouterr().err
    (model / name).rename(model / "model.tmp")
    assert sign(model, keys, "release") == 0
