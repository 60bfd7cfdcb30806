"""From a signed folder to a verdict: what passes, and all that must not."""

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support import folders
from tests.support.checkpoints import ENGINE, signed, verified
from tests.support.keys import key

from weightlock.checkpoint.selection import Selection
from weightlock.checkpoint.walker import Limits
from weightlock.digests import HashAlgorithm
from weightlock.engines.engine import Files, Progress, Span
from weightlock.errors import EngineFault
from weightlock.formats import envelope, statement, strict_base64
from weightlock.formats.shards import Shard
from weightlock.formats.tree import TreeParameters
from weightlock.names import ENVELOPE_FILE
from weightlock.reasons import Reason, Verdict
from weightlock.verification import Verification

ECDSA = "ECDSA-P256-SHA256"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A signed checkpoint."""
    folder = folders.write(tmp_path / "model", folders.SAMPLE)
    signed(folder)
    return folder


def outcome(verification: Verification) -> tuple[Verdict, Reason]:
    return verification.judgement.verdict, verification.judgement.reason


VERIFIED = (Verdict.VERIFIED, Reason.VERIFIED)


@pytest.mark.parametrize("algorithm", list(HashAlgorithm))
def test_what_was_signed_is_verified(algorithm: HashAlgorithm, tmp_path: Path) -> None:
    folders.write(tmp_path, folders.SAMPLE)
    done = signed(tmp_path, parameters=TreeParameters(algorithm, 4096))
    found = verified(tmp_path)
    assert outcome(found) == VERIFIED
    assert found.evidence.digest == done.manifest.digest
    assert (found.files, found.bytes) == (4, 376_829)
    assert found.evidence.model == done.manifest.model


@pytest.mark.parametrize(
    "name",
    [
        "pytorch_model.bin", "modeling_x.py", "__init__.py", "sitecustomize.py", "evil.pth",
        "adapter_config.json", "model.safetensors.index.json", ".git/hooks/post-checkout",
        ".gitattributes", "sub/model.sig", "sub/model.pqc.sig", "claims.jsonl", "sub/deep/.hidden",
    ],
)  # fmt: skip
@pytest.mark.parametrize("content", [b"", b"x"], ids=["empty", "one byte"])
def test_an_extra_file_fails_whatever_its_name(name: str, content: bytes, model: Path) -> None:
    folders.write(model, {name: content})
    found = verified(model)
    assert outcome(found) == (Verdict.FAILED, Reason.EXTRA_FILE)
    assert name in found.judgement.message
    (model / name).unlink()
    assert outcome(verified(model)) == VERIFIED


def remove(model: Path) -> None:
    (model / "weights.bin").unlink()


def remove_empty(model: Path) -> None:
    (model / "empty").unlink()


def rename(model: Path) -> None:
    (model / "weights.bin").rename(model / "weights2.bin")


def swap(model: Path) -> None:
    first, second = model / "config.json", model / "weights.bin"
    first.rename(model / "x")
    second.rename(first)
    (model / "x").rename(second)


def truncate(model: Path) -> None:
    os.truncate(model / "weights.bin", 300_000)


def append(model: Path) -> None:
    with (model / "weights.bin").open("ab") as file:
        file.write(b"\0")


def pad(model: Path) -> None:
    # To a whole leaf with zeros: a tree that pads its last chunk would not notice (A35).
    os.truncate(model / "weights.bin", 19 * 16384)


def grow_from_nothing(model: Path) -> None:
    (model / "empty").write_bytes(b"\0")


@pytest.mark.parametrize(
    ("tamper", "reason"),
    [
        pytest.param(remove, Reason.MISSING_FILE, id="a file is missing"),
        pytest.param(remove_empty, Reason.MISSING_FILE, id="an empty file is missing"),
        pytest.param(rename, Reason.EXTRA_FILE, id="a file has another name"),
        pytest.param(swap, Reason.CONTENT_MISMATCH, id="two files swapped their names"),
        pytest.param(truncate, Reason.CONTENT_MISMATCH, id="a file lost its last byte"),
        pytest.param(append, Reason.CONTENT_MISMATCH, id="a file got a zero byte"),
        pytest.param(pad, Reason.CONTENT_MISMATCH, id="a file was padded to a whole leaf"),
        pytest.param(grow_from_nothing, Reason.CONTENT_MISMATCH, id="an empty file got a byte"),
    ],
)
def test_tampered_content_fails(
    tamper: Callable[[Path], None], reason: Reason, model: Path
) -> None:
    tamper(model)
    assert outcome(verified(model)) == (Verdict.FAILED, reason)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_no_single_byte_of_content_can_change(model: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([name for name, content in folders.SAMPLE.items() if content]))
    original = folders.SAMPLE[name]
    position = data.draw(st.integers(0, len(original) - 1))
    flipped = original[position] ^ data.draw(st.integers(1, 255))
    (model / name).write_bytes(original[:position] + bytes([flipped]) + original[position + 1 :])
    found = verified(model)
    (model / name).write_bytes(original)
    assert outcome(found) == (Verdict.FAILED, Reason.CONTENT_MISMATCH)
    assert name in found.judgement.message


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_no_single_byte_of_the_envelope_can_change_to_another_verified_one(
    model: Path, data: st.DataObject
) -> None:
    path = model / ENVELOPE_FILE
    original = path.read_bytes()
    position = data.draw(st.integers(0, len(original) - 1))
    flipped = original[position] ^ data.draw(st.integers(1, 255))
    path.write_bytes(original[:position] + bytes([flipped]) + original[position + 1 :])
    found = verified(model)
    path.write_bytes(original)
    # The hint of a key proves nothing and may be damaged (C01), which fails for hybrid stripping's
    # sake; nothing else may pass, and nothing may be another model.
    assert found.judgement.verdict is not Verdict.VERIFIED or found.evidence.model is not None
    assert found.judgement.verdict in {Verdict.FAILED, Verdict.VERIFIED}
    if found.judgement.verdict is Verdict.VERIFIED:
        assert position in hint_positions(original)


def hint_positions(document: bytes) -> range:
    start = document.index(b'"keyid":"') + len(b'"keyid":"')
    return range(start, start + 64)


def without(number: int) -> Callable[[Path], None]:
    def strip(model: Path) -> None:
        rewrite(model, lambda found: [*found[:number], *found[number + 1 :]])

    return strip


def rewrite(
    model: Path,
    change: Callable[[Sequence[envelope.EnvelopeSignature]], Sequence[envelope.EnvelopeSignature]],
) -> None:
    path = model / ENVELOPE_FILE
    parsed = envelope.parse(path.read_bytes())
    changed = envelope.Envelope(parsed.payload, tuple(change(parsed.signatures)))
    path.write_bytes(envelope.serialise(changed))


def corrupted(entry: envelope.EnvelopeSignature) -> envelope.EnvelopeSignature:
    flipped = bytes([entry.signature[0] ^ 1]) + entry.signature[1:]
    return envelope.EnvelopeSignature(entry.keyid, flipped)


def corrupt(number: int) -> Callable[[Path], None]:
    return lambda model: rewrite(
        model,
        lambda found: [
            corrupted(entry) if index == number else entry for index, entry in enumerate(found)
        ],
    )


def reverse(model: Path) -> None:
    rewrite(model, lambda found: found[::-1])


def relabel(model: Path) -> None:
    rewrite(
        model,
        lambda found: [
            envelope.EnvelopeSignature(found[0].keyid, found[1].signature),
            envelope.EnvelopeSignature(found[1].keyid, found[1].signature),
        ],
    )


def nothing(model: Path) -> None:
    assert model.is_dir()


PQC, EC = "ML-DSA-65", ECDSA


@pytest.mark.parametrize(
    ("tamper", "trusted", "expected"),
    [
        pytest.param(nothing, [PQC, EC], Verdict.VERIFIED, id="both"),
        pytest.param(reverse, [PQC, EC], Verdict.VERIFIED, id="both, reversed"),
        pytest.param(nothing, [PQC], Verdict.VERIFIED, id="both, one trusted"),
        pytest.param(nothing, [EC], Verdict.CLASSICAL_ONLY, id="both, only the classical trusted"),
        pytest.param(without(0), [PQC, EC], Verdict.FAILED, id="post-quantum stripped"),
        pytest.param(without(0), [EC], Verdict.FAILED, id="untrusted post-quantum stripped"),
        pytest.param(without(1), [PQC, EC], Verdict.FAILED, id="classical stripped"),
        pytest.param(without(1), [PQC], Verdict.FAILED, id="untrusted classical stripped"),
        pytest.param(corrupt(0), [PQC, EC], Verdict.FAILED, id="post-quantum corrupted"),
        pytest.param(corrupt(1), [PQC, EC], Verdict.FAILED, id="classical corrupted"),
        pytest.param(corrupt(0), [PQC], Verdict.FAILED, id="the only trusted one corrupted"),
        pytest.param(relabel, [PQC, EC], Verdict.FAILED, id="classical as post-quantum"),
        pytest.param(nothing, ["ML-DSA-87"], Verdict.FAILED, id="by nobody trusted"),
    ],
)
def test_a_hybrid_signature_is_whole_or_nothing(
    tamper: Callable[[Path], None], trusted: list[str], expected: Verdict, tmp_path: Path
) -> None:
    folders.write(tmp_path, folders.SAMPLE)
    signed(tmp_path, key(PQC), key(EC))
    tamper(tmp_path)
    found = verified(tmp_path, *[key(each) for each in trusted])
    assert found.judgement.verdict is expected


def test_as_many_keys_must_have_signed_as_are_demanded(model: Path) -> None:
    other = key("ML-DSA-87")
    assert outcome(verified(model, key(), other, at_least=1)) == VERIFIED
    assert verified(model, key(), other, at_least=2).judgement.verdict is Verdict.FAILED
    signed(model, key(), other, replace=True)
    assert outcome(verified(model, key(), other, at_least=2)) == VERIFIED


def test_one_signature_twice_counts_once(model: Path) -> None:
    rewrite(model, lambda found: [*found, *found])
    assert verified(model, key(), key("ML-DSA-87"), at_least=2).judgement.verdict is Verdict.FAILED
    assert verified(model).judgement.verdict is Verdict.FAILED


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"{}", id="an empty object"),
        pytest.param(b"[" * 100_000, id="a deep nest"),
        pytest.param(b"\xff\xfe", id="not UTF-8"),
        pytest.param(b'{"payload": NaN}', id="not a number"),
    ],
)
def test_a_malformed_envelope_fails_in_one_line(document: bytes, model: Path) -> None:
    (model / ENVELOPE_FILE).write_bytes(document)
    found = verified(model)
    assert found.judgement.verdict is Verdict.FAILED
    assert found.judgement.reason in {Reason.MALFORMED, Reason.LIMIT_EXCEEDED}
    assert "\n" not in found.judgement.message


def resigned(model: Path, change: Callable[[dict[str, object]], None]) -> None:
    """Sign a changed payload with the right key: what a careless or hostile signer could do."""
    path = model / ENVELOPE_FILE
    payload = json.loads(envelope.parse(path.read_bytes()).payload)
    change(payload)
    changed = envelope.Envelope(json.dumps(payload).encode(), ())
    signature = key().sign(changed.signed_bytes)
    document = {
        "payloadType": "application/vnd.in-toto+json",
        "payload": strict_base64.encode(changed.payload),
        "signatures": [{"keyid": key().public_key.keyid, "sig": strict_base64.encode(signature)}],
    }
    path.write_text(json.dumps(document))


def set_predicate_type(payload: dict[str, object]) -> None:
    payload["predicateType"] = "https://slsa.dev/provenance/v1"


def add_field(payload: dict[str, object]) -> None:
    payload["predicate"]["ignore"] = ["*.py"]  # type: ignore[index]


def no_files(payload: dict[str, object]) -> None:
    payload["predicate"]["files"] = []  # type: ignore[index]


@pytest.mark.parametrize("change", [set_predicate_type, add_field, no_files])
def test_a_signed_payload_of_another_kind_is_refused(
    change: Callable[[dict[str, object]], None], model: Path
) -> None:
    resigned(model, lambda _: None)
    assert outcome(verified(model)) == VERIFIED
    resigned(model, change)
    assert outcome(verified(model)) == (Verdict.FAILED, Reason.MALFORMED)


def test_the_signature_of_another_model_does_not_fit(model: Path, tmp_path: Path) -> None:
    other = folders.write(tmp_path / "other", {"weights.bin": b"backdoor"})
    signed(other)
    shutil.copy(other / ENVELOPE_FILE, model / ENVELOPE_FILE)
    assert verified(model).judgement.verdict is Verdict.FAILED


def test_no_signature_at_all_is_unsigned(model: Path) -> None:
    (model / ENVELOPE_FILE).unlink()
    assert outcome(verified(model)) == (Verdict.FAILED, Reason.UNSIGNED)


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    assert outcome(verified(tmp_path / "nothing")) == (Verdict.ERROR, Reason.UNREADABLE)


def test_a_folder_over_the_limits_fails(model: Path) -> None:
    found = verified(model, limits=Limits(entries=3))
    assert outcome(found) == (Verdict.FAILED, Reason.LIMIT_EXCEEDED)


class Broken:
    """An engine that fails."""

    device = "broken"

    def segment_roots(self, *_: object) -> list[bytes]:
        raise EngineFault("wrong")


class Lying:
    """An engine that answers with other roots."""

    device = "lying"

    def segment_roots(
        self, files: Files, spans: Sequence[Span], parameters: TreeParameters, progress: Progress
    ) -> list[bytes]:
        found = ENGINE.segment_roots(files, spans, parameters, progress)
        return [bytes(len(root)) for root in found]


def test_a_broken_engine_is_an_error_and_a_lying_one_a_false_alarm(model: Path) -> None:
    assert outcome(verified(model, engine=Broken())) == (Verdict.ERROR, Reason.ENGINE_FAULT)
    found = verified(model, engine=Lying())
    assert outcome(found) == (Verdict.FAILED, Reason.CONTENT_MISMATCH)


class Writing:
    """An engine during whose work somebody else writes."""

    device = "writing"

    def __init__(self, disturb: Callable[[], object]) -> None:
        self._disturb = disturb

    def segment_roots(
        self, files: Files, spans: Sequence[Span], parameters: TreeParameters, progress: Progress
    ) -> list[bytes]:
        found = ENGINE.segment_roots(files, spans, parameters, progress)
        self._disturb()
        return found


@pytest.mark.parametrize("name", ["weights.bin", "new.bin", "sub/deep/new"])
def test_whatever_is_written_meanwhile_makes_it_an_error(name: str, model: Path) -> None:
    found = verified(model, engine=Writing(lambda: (model / name).write_bytes(b"x")))
    assert outcome(found) == (Verdict.ERROR, Reason.CHANGED_WHILE_READING)


class TestSelection:
    """Only some files, tensors or shares are hashed; the set of files is compared all the same."""

    @pytest.fixture
    def tensors(self, tmp_path: Path) -> Path:
        layers = {f"layers.{number}.weight": bytes([number]) * 5000 for number in range(4)}
        files = {
            "model.safetensors": folders.safetensors(layers, gap=3),
            "notes.txt": b"hello",
            "broken.safetensors": b"not one",
        }
        signed(folders.write(tmp_path, files))
        return tmp_path

    @pytest.mark.parametrize(
        ("pattern", "size"),
        [
            pytest.param("notes.txt", 5, id="a file"),
            pytest.param("layers.2.*", 5000, id="a tensor"),
            pytest.param("layers.*", 20_000, id="tensors"),
            pytest.param("broken*", 7, id="a file that is no safetensors file"),
        ],
    )
    def test_what_matches_is_hashed(self, pattern: str, size: int, tensors: Path) -> None:
        found = verified(tensors, selection=Selection((pattern,)))
        assert outcome(found) == VERIFIED
        assert (found.files, found.bytes) == (1, size)

    def test_a_change_elsewhere_is_not_seen_and_one_in_the_selection_is(
        self, tensors: Path
    ) -> None:
        path = tensors / "model.safetensors"
        data = path.read_bytes()
        path.write_bytes(data.replace(b"\x02\x02\x02", b"\x02\x09\x02", 1))
        assert outcome(verified(tensors, selection=Selection(("layers.1.*",)))) == VERIFIED
        found = verified(tensors, selection=Selection(("layers.2.*",)))
        assert outcome(found) == (Verdict.FAILED, Reason.CONTENT_MISMATCH)

    def test_a_header_that_was_tampered_with_chooses_nothing(self, tensors: Path) -> None:
        path = tensors / "model.safetensors"
        path.write_bytes(path.read_bytes().replace(b"layers.0", b"layers.9", 1))
        found = verified(tensors, selection=Selection(("layers.2.*",)))
        assert outcome(found) == (Verdict.FAILED, Reason.CONTENT_MISMATCH)

    def test_an_extra_file_fails_whatever_was_selected(self, tensors: Path) -> None:
        folders.write(tensors, {"extra": b""})
        found = verified(tensors, selection=Selection(("notes.txt",)))
        assert outcome(found) == (Verdict.FAILED, Reason.EXTRA_FILE)

    def test_a_pattern_that_matches_nothing_is_an_error(self, tensors: Path) -> None:
        found = verified(tensors, selection=Selection(("nothing*",)))
        assert outcome(found) == (Verdict.ERROR, Reason.NOTHING_SELECTED)

    def test_shares_together_are_the_whole_and_find_every_change(self, tensors: Path) -> None:
        shares = [
            verified(tensors, selection=Selection(shard=Shard(index, 3))) for index in range(3)
        ]
        assert [outcome(share) for share in shares] == [VERIFIED] * 3
        assert sum(share.bytes for share in shares) == verified(tensors).bytes
        (tensors / "notes.txt").write_bytes(b"jello")
        verdicts = [
            verified(tensors, selection=Selection(shard=Shard(index, 3))).judgement.verdict
            for index in range(3)
        ]
        assert sorted(verdicts) == [Verdict.FAILED, Verdict.VERIFIED, Verdict.VERIFIED]

    def test_a_manifest_of_other_segments_than_the_header_has_selects_no_tensor(
        self, tensors: Path
    ) -> None:
        parsed = statement.parse(envelope.parse((tensors / ENVELOPE_FILE).read_bytes()).payload)
        assert [len(file.segments) for file in parsed.files] == [1, 9, 1]
