"""Tensors in memory against signed roots, with tensors that need no PyTorch."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Self

import pytest
from tests.support import folders, keys

import weightlock
from weightlock.errors import (
    CheckpointRefused,
    EngineUnavailable,
    KeyUnusable,
    Malformed,
    SignatureExists,
)
from weightlock.formats.manifest import Manifest, ModelIdentity
from weightlock.formats.tree import TreeParameters, segment_root
from weightlock.reasons import Reason
from weightlock.signing import SigningOptions
from weightlock.torch import sign_state_dict, signed_tensors, verify_state_dict

OPTIONS = SigningOptions(ModelIdentity("model", 1), datetime(2026, 11, 21, tzinfo=UTC))


@dataclass(frozen=True)
class FakeDevice:
    type: str = "cpu"
    index: int | None = None


@dataclass(frozen=True)
class FakeTensor:
    data: bytes
    dtype: str = "torch.bfloat16"
    shape: Sequence[int] = ()
    device: FakeDevice = FakeDevice()
    keep: list[object] = field(default_factory=list)

    def data_ptr(self) -> int:
        buffer = ctypes.create_string_buffer(self.data)
        self.keep.append(buffer)
        return ctypes.addressof(buffer)

    def numel(self) -> int:
        return len(self.data) // self.element_size()

    def element_size(self) -> int:
        return 4 if self.dtype == "torch.float32" else 2

    def contiguous(self) -> Self:
        return self


def tensor(size: int, dtype: str = "torch.bfloat16", on: FakeDevice | None = None) -> FakeTensor:
    data = Random(size).randbytes(size)  # noqa: S311 - test data
    shape = (size // (4 if dtype == "torch.float32" else 2),)
    return FakeTensor(data, dtype, shape, on or FakeDevice())


@pytest.fixture
def state() -> dict[str, FakeTensor]:
    return {
        "norm": tensor(8192),
        "empty": tensor(0),
        "embed": tensor(100_000, "torch.float32"),
        "bias": tensor(2),
    }


@pytest.fixture
def signed(tmp_path: Path, state: dict[str, FakeTensor]) -> tuple[Path, Manifest]:
    folders.write(tmp_path, {"config.json": b"{}"})
    file = tmp_path / "model.safetensors"
    return tmp_path, sign_state_dict(file, state, [keys.key()], OPTIONS)


def test_what_was_signed_in_memory_verifies_on_disk(signed: tuple[Path, Manifest]) -> None:
    folder, manifest = signed
    result = weightlock.verify(folder, [keys.key().public_key], engine="cpu")
    assert result.is_verified
    assert result.manifest == manifest
    assert [file.name for file in manifest.files] == ["config.json", "model.safetensors"]


def test_the_tensors_that_were_signed_are_without_findings(
    signed: tuple[Path, Manifest], state: dict[str, FakeTensor]
) -> None:
    folder, _ = signed
    manifest = weightlock.read_manifest(folder, [keys.key().public_key])
    assert verify_state_dict(state, folder, manifest) == []
    assert set(signed_tensors(folder, manifest)) == set(state)


@dataclass(frozen=True)
class LazyTensor(FakeTensor):
    """One whose elements are others than its memory says, as PyTorch's views can be."""

    negated: bool = False
    conjugated: bool = False

    def is_neg(self) -> bool:
        return self.negated

    def is_conj(self) -> bool:
        return self.conjugated


@pytest.mark.parametrize("lazy", [{"negated": True}, {"conjugated": True}])
def test_a_tensor_that_is_not_what_its_memory_says_is_refused(
    lazy: dict[str, bool], signed: tuple[Path, Manifest], state: dict[str, FakeTensor]
) -> None:
    # A pickle can say so of a tensor; the model would compute with minus the signed weights.
    folder, manifest = signed
    norm = state["norm"]
    plain = LazyTensor(norm.data, norm.dtype, norm.shape)
    assert verify_state_dict(state | {"norm": plain}, folder, manifest) == []
    with pytest.raises(Malformed, match="'norm' is negated or conjugated when it is read"):
        verify_state_dict(state | {"norm": replace(plain, **lazy)}, folder, manifest)  # type: ignore[arg-type]


def damaged(name: str, state: dict[str, FakeTensor]) -> dict[str, FakeTensor]:
    first = state["norm"]
    changes = {
        "one bit": {"norm": replace(first, data=bytes([first.data[0] ^ 1]) + first.data[1:])},
        "another type": {"norm": replace(first, dtype="torch.float16")},
        "another shape": {"norm": replace(first, shape=(2, 2048))},
        "shorter": {"norm": replace(first, data=first.data[:-2])},
        "two exchanged": {"norm": state["embed"], "embed": first},
        "one more": {"more": first},
        "one of no bytes reshaped": {"empty": replace(state["empty"], shape=(0, 7))},
    }
    return state | changes[name]


@pytest.mark.parametrize(
    "name",
    [
        "one bit", "another type", "another shape", "shorter", "two exchanged", "one more",
        "one of no bytes reshaped",
    ],
)  # fmt: skip
def test_any_other_tensor_is_found(
    name: str, signed: tuple[Path, Manifest], state: dict[str, FakeTensor]
) -> None:
    folder, manifest = signed
    findings = verify_state_dict(damaged(name, state), folder, manifest)
    assert findings
    assert {finding.reason for finding in findings} == {Reason.CONTENT_MISMATCH}


def test_a_missing_tensor_is_found_unless_parts_are_enough(
    signed: tuple[Path, Manifest], state: dict[str, FakeTensor]
) -> None:
    folder, manifest = signed
    del state["bias"]
    assert [f.name for f in verify_state_dict(state, folder, manifest)] == ["bias"]
    assert verify_state_dict(state, folder, manifest, complete=False) == []


def test_no_tensors_are_never_verified(signed: tuple[Path, Manifest]) -> None:
    folder, manifest = signed
    with pytest.raises(CheckpointRefused, match="no tensors"):
        verify_state_dict({}, folder, manifest, complete=False)


def test_a_header_that_is_not_the_signed_one_is_refused(
    signed: tuple[Path, Manifest], state: dict[str, FakeTensor]
) -> None:
    folder, manifest = signed
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes().replace(b"norm", b"nerm"))
    with pytest.raises(CheckpointRefused, match="header"):
        verify_state_dict(state, folder, manifest)
    path.unlink()
    with pytest.raises(CheckpointRefused, match="missing"):
        verify_state_dict(state, folder, manifest)


def test_tensors_on_gpus_are_hashed_there_each_on_its_own(
    signed: tuple[Path, Manifest], state: dict[str, FakeTensor]
) -> None:
    folder, manifest = signed
    state["norm"] = replace(state["norm"], device=FakeDevice("cuda", 1))
    state["embed"] = replace(state["embed"], device=FakeDevice("cuda", 0))
    seen: list[tuple[int, list[int]]] = []

    def hash_on_gpu(
        gpu: int, parameters: TreeParameters, regions: Sequence[tuple[int, int]]
    ) -> list[bytes]:
        seen.append((gpu, [length for _, length in regions]))
        return [segment_root(parameters, ctypes.string_at(*region)) for region in regions]

    assert verify_state_dict(state, folder, manifest, hash_on_gpu=hash_on_gpu) == []
    assert sorted(seen) == [(0, [100_000]), (1, [8192])]


def test_a_type_that_safetensors_does_not_have_is_refused(tmp_path: Path) -> None:
    state = {"a": tensor(4, "torch.qint8")}
    with pytest.raises(Malformed, match="qint8"):
        sign_state_dict(tmp_path / "model.safetensors", state, [keys.key()], OPTIONS)


@pytest.mark.parametrize("device", ["mps", "meta"])
def test_tensors_where_nothing_here_can_hash_them_are_refused(
    device: str, signed: tuple[Path, Manifest]
) -> None:
    folder, manifest = signed
    with pytest.raises(EngineUnavailable, match=f"lies on {device}"):
        verify_state_dict({"norm": tensor(8192, on=FakeDevice(device))}, folder, manifest)


def test_nothing_is_written_without_a_key_or_over_another_file(
    signed: tuple[Path, Manifest], state: dict[str, FakeTensor], tmp_path: Path
) -> None:
    folder, _ = signed
    other = folder / "other.safetensors"
    with pytest.raises(KeyUnusable):
        sign_state_dict(other, state, [], OPTIONS)
    with pytest.raises(SignatureExists):
        sign_state_dict(other, state, [keys.key()], OPTIONS)
    assert not other.exists()
