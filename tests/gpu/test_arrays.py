"""Tensors in the memory of a real device: hashed where they lie, behind whoever still writes them.

python -m pytest -m gpu tests/gpu
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from tests.support import keys

import weightlock
from weightlock.arrays import sign_arrays, verify_arrays
from weightlock.engines.dlpack import of_arrays
from weightlock.engines.memory import memory_roots
from weightlock.errors import Malformed
from weightlock.formats.manifest import ModelIdentity
from weightlock.formats.tree import TreeParameters, segment_root
from weightlock.signing import SigningOptions
from weightlock.torch import sign_state_dict, verify_state_dict

pytestmark = pytest.mark.gpu

OPTIONS = SigningOptions(ModelIdentity("model", 1), datetime(2026, 11, 21, tzinfo=UTC))
TREE = TreeParameters()
STEPS = 200


@dataclass(frozen=True)
class Library:
    """What the tests need of a library of arrays."""

    to_gpu: Callable[[Any], Any]
    stream: Callable[[], AbstractContextManager[object]]
    device: Callable[[], int]


def of_cupy() -> Library:
    cupy: Any = pytest.importorskip("cupy")
    return Library(
        cupy.asarray,
        lambda: cupy.cuda.Stream(non_blocking=True),
        lambda: int(cupy.cuda.Device().id),
    )


def of_torch() -> Library:
    torch: Any = pytest.importorskip("torch")
    return Library(
        lambda array: torch.from_numpy(array).to("cuda"),
        lambda: torch.cuda.stream(torch.cuda.Stream()),
        torch.cuda.current_device,
    )


@pytest.fixture(params=[of_cupy, of_torch], ids=["CuPy", "PyTorch"])
def library(request: pytest.FixtureRequest) -> Library:
    made: Library = request.param()
    return made


def host_arrays() -> dict[str, Any]:
    generator = np.random.default_rng(7)
    return {
        "norm": generator.random(4096, np.float32),
        "embed": generator.integers(0, 255, (1000, 4001), np.uint8),
        "large": generator.integers(-9, 9, (5_000_001,), np.int64),
        "scale": np.array(3.5),
        "empty": np.zeros((0, 7), np.float16),
    }


def test_arrays_are_hashed_where_they_lie(library: Library) -> None:
    host = host_arrays()
    there = {name: library.to_gpu(array) for name, array in host.items()}
    tensors = of_arrays(there)
    assert {tensor.gpu for name, tensor in tensors.items() if name != "empty"} == {0}
    expected = {name: segment_root(TREE, array.tobytes()) for name, array in host.items()}
    assert memory_roots(tensors, TREE) == expected
    rows = there["embed"][3:700]
    assert of_arrays({"rows": rows})["rows"].address == tensors["embed"].address + 3 * 4001
    assert memory_roots(of_arrays({"rows": rows}), TREE) == {
        "rows": segment_root(TREE, host["embed"][3:700].tobytes())
    }
    with pytest.raises(Malformed, match="one piece"):
        of_arrays({"turned": there["embed"].T})


def test_work_that_is_still_queued_is_waited_for(library: Library) -> None:
    size = 1 << 28
    with library.stream():
        array = library.to_gpu(np.zeros(size, np.uint8))
        for _ in range(STEPS):
            array += 1
        found = memory_roots(of_arrays({"a": array}), TREE)
    assert found == {"a": segment_root(TREE, bytes([STEPS]) * size)}


def test_the_memory_is_kept_while_it_is_hashed_and_the_device_stays_current(
    library: Library,
) -> None:
    before = library.device()
    data = Random(3).randbytes(50_000_000)  # noqa: S311 - test data
    tensors = of_arrays({"a": library.to_gpu(np.frombuffer(bytearray(data), np.uint8))})
    others = [library.to_gpu(np.zeros(50_000_000, np.uint8)) for _ in range(8)]
    assert memory_roots(tensors, TREE) == {"a": segment_root(TREE, data)}
    assert len(others) == 8
    assert library.device() == before


def test_arrays_are_signed_in_memory_and_written(library: Library, tmp_path: Path) -> None:
    there = {name: library.to_gpu(array) for name, array in host_arrays().items()}
    sign_arrays(tmp_path / "model.safetensors", there, [keys.key()], OPTIONS)
    public = [keys.key().public_key]
    assert weightlock.verify(tmp_path, public, engine="cpu").is_verified
    manifest = weightlock.read_manifest(tmp_path, public)
    assert verify_arrays(there, tmp_path, manifest) == []
    there["large"][4_999_999] += 1
    assert [each.name for each in verify_arrays(there, tmp_path, manifest)] == ["large"]


def test_a_state_dict_on_a_gpu_is_signed_in_memory_and_written(tmp_path: Path) -> None:
    torch: Any = pytest.importorskip("torch")
    state = {
        "half": torch.randn(1000, 333).to("cuda", torch.bfloat16),
        "turned": torch.randn(100, 33).to("cuda").t(),
        "here": torch.randn(77),
    }
    sign_state_dict(tmp_path / "model.safetensors", state, [keys.key()], OPTIONS)
    public = [keys.key().public_key]
    assert weightlock.verify(tmp_path, public, engine="cpu").is_verified
    manifest = weightlock.read_manifest(tmp_path, public)
    assert verify_state_dict(state, tmp_path, manifest) == []
    # The same tensors through DLPack, but for the one that is not in one piece.
    parts = {name: state[name] for name in ("half", "here")}
    assert verify_arrays(parts, tmp_path, manifest, complete=False) == []
    state["half"][999, 332] += 1
    assert [each.name for each in verify_state_dict(state, tmp_path, manifest)] == ["half"]
