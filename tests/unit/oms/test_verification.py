"""The way in, end to end on a real folder, and every way that must stay shut."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.oms import authority, forge
from tests.unit.oms.forge import MODEL, NOW, Json, Signer, is_accepted, reasons, verify

from weightlock.errors import ChangedWhileReading, Malformed
from weightlock.oms.trust import Trust
from weightlock.oms.verification import Settings, verify_bundle
from weightlock.oms.vocabulary import GIT_PATHS
from weightlock.reasons import Reason

FULL = {name: content for name, content in MODEL.items() if content}


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer.new()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return forge.write_model(tmp_path)


@pytest.fixture
def trust(signer: Signer) -> Trust:
    return Trust((signer.public_key,))


@pytest.mark.parametrize(
    ("document", "content"),
    [
        pytest.param(forge.files_statement(), MODEL, id="files"),
        pytest.param(forge.shards_statement(), FULL, id="shards"),
        pytest.param(forge.legacy_statement(), MODEL, id="v0.2"),
    ],
)
def test_a_model_as_signed_is_accepted(
    tmp_path: Path, signer: Signer, trust: Trust, document: Json, content: dict[str, bytes]
) -> None:
    found = verify(forge.signed(document, signer), forge.write_model(tmp_path, content), trust)
    assert is_accepted(found)
    assert found.evidence.digest is not None
    assert found.upstream is not None
    assert found.upstream.payload_sha256 == found.evidence.digest.hex


def test_a_model_signed_with_a_certificate_is_accepted(model: Path, signer: Signer) -> None:
    root = authority.root()
    middle = authority.intermediate(root)
    chain = forge.chained(authority.leaf(middle, signer.point), middle.certificate)
    data = forge.signed(forge.files_statement(), signer, chain)
    assert is_accepted(verify(data, model, Trust((), (root.certificate,))))
    assert not is_accepted(verify(data, model, Trust((), (authority.root().certificate,))))
    assert not is_accepted(verify(data, model, Trust()))


def flip(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[len(content) // 2] ^= 1
        (folder / name).write_bytes(content)

    return change


def append(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).write_bytes((folder / name).read_bytes() + b"\0")

    return change


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(flip("weights.bin"), [(Reason.CONTENT_MISMATCH, "weights.bin")], id="a bit"),
        pytest.param(append("weights.bin"), [(Reason.CONTENT_MISMATCH, "weights.bin")], id="more"),
        pytest.param(append("sub/empty"), [(Reason.CONTENT_MISMATCH, "sub/empty")], id="filled"),
        pytest.param(
            lambda folder: os.truncate(folder / "weights.bin", 2499),
            [(Reason.CONTENT_MISMATCH, "weights.bin")],
            id="less",
        ),
        pytest.param(
            lambda folder: (folder / "sub/empty").unlink(),
            [(Reason.MISSING_FILE, "sub/empty")],
            id="a file less",
        ),
        pytest.param(
            lambda folder: (folder / "x.py").touch(),
            [(Reason.EXTRA_FILE, "x.py")],
            id="a file more",
        ),
    ],
)
def test_a_changed_model_is_not_accepted(
    model: Path,
    signer: Signer,
    trust: Trust,
    change: Callable[[Path], None],
    expected: list[tuple[Reason, str]],
) -> None:
    data = forge.signed(forge.files_statement(), signer)
    assert is_accepted(verify(data, model, trust))
    change(model)
    found = verify(data, model, trust)
    assert not is_accepted(found)
    assert reasons(found) == expected


def test_content_is_not_hashed_for_a_stranger(model: Path, signer: Signer) -> None:
    def never(_: int) -> None:
        pytest.fail("bytes were read")

    data = forge.signed(forge.files_statement(), signer)
    with forge.on_disk(model) as contents:
        found = verify_bundle(data, contents, Settings(Trust(), NOW), never)
    assert not is_accepted(found)
    assert found.evidence.digest is None
    assert reasons(found) == [(Reason.SIGNER_UNTRUSTED, "")]


def test_every_byte_of_the_payload_is_under_the_signature(
    model: Path, signer: Signer, trust: Trust
) -> None:
    payload = forge.compact(forge.files_statement())
    signature = signer.sign(forge.pae(payload))
    for changed in (payload + b" ", b" " + payload, payload.replace(b"model", b"other", 1)):
        data = forge.compact(forge.bundle(changed, signature, forge.hinted(signer)))
        try:
            found = verify(data, model, trust)
        except Malformed:
            continue
        assert reasons(found) == [(Reason.SIGNATURE_INVALID, "")]


def test_models_with_one_root_and_other_names_are_different_models(
    tmp_path: Path, signer: Signer, trust: Trust
) -> None:
    first = {"config.json": b"c", "modeling.py": b"m", "weights.bin": b"w"}
    second = dict(zip(("a.txt", "b.pth", "site-packages.pth"), first.values(), strict=True))
    documents = [forge.files_statement(model) for model in (first, second)]
    assert documents[0]["subject"] == documents[1]["subject"]
    folders = [
        forge.write_model(tmp_path / str(number), model)
        for number, model in enumerate((first, second))
    ]
    bundles = [forge.signed(document, signer) for document in documents]
    own = [verify(data, folder, trust) for data, folder in zip(bundles, folders, strict=True)]
    assert [is_accepted(found) for found in own] == [True, True]
    assert own[0].evidence.digest != own[1].evidence.digest
    assert not is_accepted(verify(bundles[0], folders[1], trust))
    assert not is_accepted(verify(bundles[1], folders[0], trust))


def test_git_paths_are_refused_unless_tolerated_and_then_reported(
    model: Path, signer: Signer, trust: Trust
) -> None:
    forge.write_model(model, {".git/hooks/post-checkout": b"evil", ".gitattributes": b"x"})
    document = forge.files_statement()
    document["predicate"]["serialization"]["ignore_paths"] = sorted(GIT_PATHS)
    data = forge.signed(document, signer)
    assert not is_accepted(verify(data, model, trust))
    found = verify(data, model, trust, tolerated=sorted(GIT_PATHS))
    assert is_accepted(found)
    assert set(found.unsigned) == {".git/hooks/post-checkout", ".gitattributes"}


def test_a_file_that_changes_after_it_was_found_has_no_verdict(
    model: Path, signer: Signer, trust: Trust
) -> None:
    data = forge.signed(forge.files_statement(), signer)
    with forge.on_disk(model) as contents:
        (model / "weights.bin").write_bytes(b"v" * 2500)
        with pytest.raises(ChangedWhileReading):
            verify_bundle(data, contents, Settings(trust, NOW), lambda _: None)


def test_keyless_is_reported_and_never_accepted(model: Path, signer: Signer, trust: Trust) -> None:
    material = {"certificate": {"rawBytes": "AAAA"}, "tlogEntries": [{"logIndex": "1"}]}
    found = verify(forge.signed(forge.files_statement(), signer, material), model, trust)
    assert not is_accepted(found)
    assert reasons(found) == [(Reason.NETWORK_REQUIRED, "")]
