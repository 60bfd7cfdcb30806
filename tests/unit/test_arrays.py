"""Arrays that speak DLPack against signed roots: NumPy's, and what others might hand out."""

import ctypes
import gc
import resource
import sys
import weakref
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import folders, keys
from tests.support.standin import StandInDevice

import weightlock
from weightlock.arrays import sign_arrays, signed_tensors, verify_arrays
from weightlock.engines import dlpack, memory
from weightlock.engines.dlpack import is_compact, of_arrays
from weightlock.engines.gpu import resident
from weightlock.engines.gpu.recheck import Recheck
from weightlock.engines.gpu.resident import Region, ResidentHasher, read_region
from weightlock.engines.memory import memory_roots
from weightlock.engines.state_file import StateFile
from weightlock.errors import EngineUnavailable, Malformed, Unreadable
from weightlock.formats.manifest import Manifest, ModelIdentity
from weightlock.formats.tree import TreeParameters, segment_root
from weightlock.reasons import Reason
from weightlock.signing import SigningOptions

OPTIONS = SigningOptions(ModelIdentity("model", 1), datetime(2026, 11, 21, tzinfo=UTC))
TREE = TreeParameters()
CUDA, CUDA_MANAGED, ROCM, PINNED = 2, 13, 10, 3
Arrays = dict[str, Any]


class Foreign:
    """An array of another library: NumPy's memory, said to lie elsewhere."""

    def __init__(self, array: Any, kind: int, number: int = 0, handed_out: int | None = None):
        self._array = array
        self._device = (kind, number)
        self._handed_out = kind if handed_out is None else handed_out
        self.asked: dict[str, Any] = {}

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._device

    def __dlpack__(self, **options: Any) -> Any:
        self.asked = options
        capsule = self._array.__dlpack__(max_version=(1, 0))
        tensor = content(capsule).tensor
        tensor.device.kind, tensor.device.number = self._handed_out, self._device[1]
        return capsule


class Old(Foreign):
    """Of a library from before version 1.0 of DLPack."""

    def __dlpack__(self, **options: Any) -> Any:
        if options.keys() - {"stream"}:
            raise TypeError("an unexpected argument")
        self.asked = options
        return self._array.__dlpack__()


class Edited(Foreign):
    """What it hands out is changed once more."""

    def __init__(self, array: Any, edit: Callable[[Any], None]) -> None:
        super().__init__(array, 1)
        self._edit = edit

    def __dlpack__(self, **options: Any) -> Any:
        capsule = super().__dlpack__(**options)
        self._edit(content(capsule))
        return capsule


def content(capsule: object) -> Any:
    return dlpack._Versioned.from_address(dlpack._POINTER(capsule, b"dltensor_versioned"))


def array(dtype: str = "float32", shape: Sequence[int] = (50, 1000)) -> Any:
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    data = Random(size).randbytes(size)  # noqa: S311 - test data
    return np.frombuffer(bytearray(data), dtype=np.dtype(dtype)).reshape(shape)


@pytest.fixture
def arrays() -> Arrays:
    return {
        "norm": array("float16", (4096,)),
        "empty": array("int64", (0, 7)),
        "embed": array(),
        "scale": np.array(3.5),
        "mask": np.array([True, False]),
        "large": array("uint8", (5 * 1024 * 1024 + 3,)),
    }


@pytest.fixture
def signed(tmp_path: Path, arrays: Arrays) -> tuple[Path, Manifest]:
    folders.write(tmp_path, {"config.json": b"{}"})
    return tmp_path, sign_arrays(tmp_path / "m.safetensors", arrays, [keys.key()], OPTIONS)


def test_what_was_signed_in_memory_verifies_on_disk_and_in_memory(
    signed: tuple[Path, Manifest], arrays: Arrays
) -> None:
    folder, manifest = signed
    assert weightlock.verify(folder, [keys.key().public_key], engine="cpu").is_verified
    assert weightlock.read_manifest(folder, [keys.key().public_key]) == manifest
    assert verify_arrays(arrays, folder, manifest) == []
    assert signed_tensors(folder, manifest)["embed"].shape == (50, 1000)


def test_arrays_that_cannot_be_written_to_are_hashed_where_they_lie(
    signed: tuple[Path, Manifest], arrays: Arrays
) -> None:
    folder, manifest = signed
    for each in arrays.values():
        each.flags.writeable = False
    tensors = of_arrays(arrays)
    assert {name: each.address for name, each in tensors.items()} == {
        name: each.ctypes.data for name, each in arrays.items()
    }
    assert verify_arrays(arrays, folder, manifest) == []


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"large": array("uint8", (5 * 1024 * 1024 + 2,))}, id="shorter"),
        pytest.param({"norm": array("float16", (4096,)).view(np.int16)}, id="another type"),
        pytest.param({"norm": array("float16", (2, 2048))}, id="another shape"),
        pytest.param({"empty": array("int64", (7, 0))}, id="another shape of no bytes"),
        pytest.param({"scale": np.array(3.25)}, id="another number"),
        pytest.param({"more": np.zeros(3)}, id="one more"),
    ],
)
def test_any_other_array_is_found(
    changed: Arrays, signed: tuple[Path, Manifest], arrays: Arrays
) -> None:
    findings = verify_arrays(arrays | changed, *signed)
    assert {finding.name for finding in findings} == changed.keys()
    assert {finding.reason for finding in findings} == {Reason.CONTENT_MISMATCH}


@pytest.mark.parametrize("place", [0, 4 * 1024 * 1024, -1])
def test_one_bit_anywhere_is_found(
    place: int, signed: tuple[Path, Manifest], arrays: Arrays
) -> None:
    arrays["large"][place] ^= 1
    assert [finding.name for finding in verify_arrays(arrays, *signed)] == ["large"]


def test_a_missing_array_is_found_unless_parts_are_enough(
    signed: tuple[Path, Manifest], arrays: Arrays
) -> None:
    del arrays["embed"]
    assert [finding.name for finding in verify_arrays(arrays, *signed)] == ["embed"]
    assert verify_arrays(arrays, *signed, complete=False) == []


@pytest.mark.parametrize("leaves", [1, 2, 4])
def test_threads_that_share_an_array_find_the_root_of_the_oracle(
    leaves: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "PIECE_LEAVES", leaves)
    tree = TreeParameters(leaf_bytes=4096)
    for size in (0, 1, 4096, 4 * 4096, 4 * 4096 + 1, 23 * 4096 + 5):
        one = array("uint8", (size,))
        found = memory_roots(of_arrays({"a": one}), tree)
        assert found == {"a": segment_root(tree, one.tobytes())}


@pytest.mark.parametrize(
    "part",
    [
        pytest.param(array().T, id="turned"),
        pytest.param(array()[:, 1:], id="columns of it"),
        pytest.param(array()[::2], id="every second row"),
        pytest.param(array()[::-1], id="backwards"),
        pytest.param(np.broadcast_to(np.zeros(4), (3, 4)), id="repeated"),
    ],
)
def test_what_could_only_be_hashed_as_a_copy_is_refused(
    part: Any, signed: tuple[Path, Manifest]
) -> None:
    with pytest.raises(Malformed, match="'embed' does not lie in one piece") as caught:
        verify_arrays({"embed": part}, *signed, complete=False)
    assert "ascontiguousarray" in caught.value.hint


@given(st.lists(st.integers(0, 4), max_size=4), st.randoms(use_true_random=False))
def test_compact_is_what_numpy_calls_contiguous(shape: list[int], chance: Random) -> None:
    whole = np.zeros([extent + chance.randrange(2) for extent in shape], dtype=np.int8)
    part = whole[tuple(slice(extent) for extent in shape)]
    turned = part.transpose(chance.sample(range(len(shape)), len(shape)))
    assert is_compact(turned.shape, turned.strides) == turned.flags.c_contiguous


def test_rows_of_an_array_are_hashed_where_they_lie() -> None:
    whole = array()
    found = memory_roots(of_arrays({"rows": whole[3:9]}), TREE)
    assert found == {"rows": segment_root(TREE, whole[3:9].tobytes())}


def test_an_array_may_begin_behind_its_address() -> None:
    def shift(managed: Any) -> None:
        managed.tensor.data -= 24
        managed.tensor.byte_offset = 24

    one = array()
    assert of_arrays({"a": Edited(one, shift)})["a"].address == one.ctypes.data


def test_memory_is_kept_while_it_is_needed_and_no_longer() -> None:
    one = array()
    expected = segment_root(TREE, one.tobytes())
    gone = weakref.ref(one)
    tensors = of_arrays({"one": one})
    del one
    gc.collect()
    assert gone() is not None
    assert memory_roots(tensors, TREE) == {"one": expected}
    del tensors
    gc.collect()
    assert gone() is None


def test_a_verification_leaves_nothing_behind(
    signed: tuple[Path, Manifest], arrays: Arrays
) -> None:
    before = sys.getrefcount(arrays["embed"])
    assert verify_arrays(arrays, *signed) == []
    gc.collect()
    after = sys.getrefcount(arrays["embed"])
    assert after == before


@pytest.mark.parametrize(
    ("kind", "stream"), [(CUDA, 1), (CUDA_MANAGED, 1), (ROCM, 0)], ids=["CUDA", "managed", "ROCm"]
)
def test_arrays_on_gpus_are_hashed_there_behind_whoever_writes_them(
    kind: int, stream: int, signed: tuple[Path, Manifest], arrays: Arrays
) -> None:
    there = {"norm": Foreign(arrays["norm"], kind, 1), "embed": Foreign(arrays["embed"], kind, 0)}
    seen: list[tuple[int, list[int]]] = []
    devices = {0: StandInDevice(), 1: StandInDevice()}

    def hash_on_gpu(
        gpu: int, parameters: TreeParameters, regions: Sequence[tuple[int, int]]
    ) -> list[bytes]:
        seen.append((gpu, [length for _, length in regions]))
        hasher = ResidentHasher(devices[gpu], parameters, Recheck(), Random(1))  # noqa: S311
        return hasher.segment_roots([Region(*region) for region in regions])

    assert verify_arrays(arrays | there, *signed, hash_on_gpu=hash_on_gpu) == []
    assert sorted(seen) == [(0, [200_000]), (1, [8192])]
    assert [each.settled for each in devices.values()] == [1, 1]
    assert there["norm"].asked == {"stream": stream, "max_version": (1, 0), "copy": False}


def test_memory_of_the_host_has_no_stream(signed: tuple[Path, Manifest], arrays: Arrays) -> None:
    pinned = Foreign(arrays["norm"], PINNED)
    assert verify_arrays(arrays | {"norm": pinned}, *signed) == []
    assert pinned.asked == {"max_version": (1, 0), "copy": False}


def test_arrays_of_older_libraries_are_read_too(
    signed: tuple[Path, Manifest], arrays: Arrays
) -> None:
    old = {name: Old(each, 1) for name, each in arrays.items()}
    assert verify_arrays(old, *signed) == []


def test_older_libraries_are_told_the_stream_too(arrays: Arrays) -> None:
    old = Old(arrays["norm"], CUDA)
    with pytest.raises(Malformed, match="another kind of device"):  # its capsule is NumPy's
        of_arrays({"norm": old})
    assert old.asked == {"stream": 1}


@pytest.mark.parametrize("kind", [8, 7, 14, 99])
def test_a_device_that_nobody_here_knows_is_named(
    kind: int, signed: tuple[Path, Manifest], arrays: Arrays
) -> None:
    with pytest.raises(EngineUnavailable, match=f"'norm' lies on a device of kind {kind}"):
        verify_arrays({"norm": Foreign(arrays["norm"], kind)}, *signed, complete=False)


def newer(managed: Any) -> None:
    managed.major = 2


def copied(managed: Any) -> None:
    managed.flags |= dlpack.IS_COPIED


def vectors(managed: Any) -> None:
    managed.tensor.type.lanes = 4


def nibbles(managed: Any) -> None:
    managed.tensor.type.bits = 4


class Refusing(Foreign):
    def __dlpack__(self, **options: Any) -> Any:
        raise BufferError("it requires a gradient")


class Lying(Foreign):
    def __dlpack__(self, **options: Any) -> Any:
        return b"no capsule"


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        pytest.param(b"bytes", "is a bytes without __dlpack__", id="no array"),
        pytest.param(Edited(array(), newer), "version 2", id="a version to come"),
        pytest.param(Edited(array(), copied), "a copy of itself", id="a copy"),
        pytest.param(Edited(array(), vectors), "32 bits in 4 lanes", id="vectors"),
        pytest.param(Edited(array(), nibbles), "4 bits in 1 lanes", id="half bytes"),
        pytest.param(Refusing(array(), 1), "it requires a gradient", id="a library that refuses"),
        pytest.param(Lying(array(), 1), "no capsule", id="no capsule"),
        pytest.param(
            Foreign(array(), CUDA, handed_out=1), "another kind of device", id="elsewhere"
        ),
        pytest.param(array(">f4"), "cannot be handed out", id="bytes in the other order"),
        pytest.param(np.array(["a"]), "cannot be handed out", id="text"),
    ],
)
def test_what_is_no_array_that_can_be_hashed_is_refused(
    wrong: Any, why: str, signed: tuple[Path, Manifest]
) -> None:
    with pytest.raises(Malformed, match=why):
        verify_arrays({"embed": wrong}, *signed, complete=False)


class Negated(Foreign):
    """PyTorch hands such a view out as it lies in memory."""

    def is_neg(self) -> bool:
        return True


def test_an_array_that_is_not_what_its_memory_says_is_refused() -> None:
    with pytest.raises(Malformed, match="negated or conjugated"):
        of_arrays({"a": Negated(np.ones(3), 1)})


def test_a_type_that_safetensors_does_not_have_cannot_be_signed(tmp_path: Path) -> None:
    with pytest.raises(Malformed, match="type 5 of DLPack with 128 bits"):
        sign_arrays(tmp_path / "m.safetensors", {"a": np.zeros(2, complex)}, [keys.key()], OPTIONS)


def test_a_disk_that_is_full_leaves_neither_half_a_file_nor_a_signature(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(Unreadable, match=r"m\.safetensors' cannot be written: File too large"):
            sign_arrays(tmp_path / "m.safetensors", {"a": np.zeros(200_000)}, [keys.key()], OPTIONS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_arrays_on_a_gpu_are_written_as_they_lie_there(
    tmp_path: Path, arrays: Arrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resident, "READ_BYTES", 1_000_000)
    device = StandInDevice()

    def read(gpu: int, address: int, length: int, write: Callable[[memoryview], object]) -> None:
        read_region(device, Region(address, length), write)

    StateFile("here", of_arrays(arrays)).write(tmp_path)
    there = {name: Foreign(each, CUDA) for name, each in arrays.items()}
    StateFile("there", of_arrays(there)).write(tmp_path, read)
    assert (tmp_path / "there").read_bytes() == (tmp_path / "here").read_bytes()
    assert device.settled == len(device.freed) == len(arrays)


def test_a_gpu_that_is_lost_while_it_is_read_out_is_unavailable() -> None:
    device = StandInDevice()
    device.is_lost = True
    one = ctypes.create_string_buffer(b"1")
    with pytest.raises(EngineUnavailable):
        read_region(device, Region(ctypes.addressof(one), 1), lambda _: None)
