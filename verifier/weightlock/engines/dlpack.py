"""Where arrays of any library that speaks DLPack lie: CuPy, NumPy, JAX, PyTorch and others.

An array hands out a capsule with the address, and nothing is copied. The capsule is held until the
memory was read, and never marked as used: so it is the capsule itself that tells the library, when
it is dropped, that nobody needs the memory any more. On a GPU the library is asked to make the
device's default stream wait for whatever still writes the array; whoever hashes waits for that.

Layouts: https://dmlc.github.io/dlpack/latest/c_api.html (versions 0.x and 1.x).
"""

import ctypes
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from weightlock.engines.memory import InMemory, refuse_lazy
from weightlock.errors import EngineUnavailable, Malformed
from weightlock.formats.filenames import printable

HOST: Final = frozenset({1, 3, 11})
"""kDLCPU, and memory of the host that CUDA or ROCm has pinned."""
DEFAULT_STREAM: Final = {2: 1, 13: 1, 10: 0}
"""For each kind of GPU memory (CUDA, CUDA managed, ROCm) how the default stream is called."""
VERSION: Final = (1, 0)
IS_COPIED: Final = 2
DTYPES: Final = {
    (0, 8): "I8",
    (0, 16): "I16",
    (0, 32): "I32",
    (0, 64): "I64",
    (1, 8): "U8",
    (1, 16): "U16",
    (1, 32): "U32",
    (1, 64): "U64",
    (2, 16): "F16",
    (2, 32): "F32",
    (2, 64): "F64",
    (4, 16): "BF16",
    (5, 64): "C64",
    (6, 8): "BOOL",
    (10, 8): "F8_E4M3",
    (12, 8): "F8_E5M2",
}
"""The types of DLPack, by code and bits, and the names of safetensors."""


class Array(Protocol):
    """What is used of an array."""

    @property
    def __dlpack__(self) -> Callable[..., Any]:
        """Gives a capsule; libraries differ in which arguments they know."""
        ...

    def __dlpack_device__(self) -> tuple[int, int]:
        """The kind of device and its number."""
        ...


class _Device(ctypes.Structure):
    _fields_ = (("kind", ctypes.c_int32), ("number", ctypes.c_int32))


class _Type(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16))


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device", _Device),
        ("dimensions", ctypes.c_int32),
        ("type", _Type),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


class _Versioned(ctypes.Structure):
    """DLManagedTensorVersioned; the one without a version begins with the tensor."""

    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", _Tensor),
    )


# Prototypes of our own: those that ctypes.pythonapi keeps are everybody's.
_IS_VALID: Final = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_IsValid", ctypes.pythonapi)
)
_POINTER: Final = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)


def of_arrays(arrays: Mapping[str, Array]) -> dict[str, InMemory]:
    """Where arrays lie. What this gives keeps their memory.

    Raises:
        Malformed: if one is no array, or its elements do not lie side by side in their order.
        EngineUnavailable: if one lies where nothing here can hash it.
    """
    return {name: _of_array(f"the array {printable(name)}", arrays[name]) for name in arrays}


def _of_array(what: str, array: Array) -> InMemory:
    refuse_lazy(what, array)
    kind = _kind(what, array)
    capsule = _capsule(what, array, kind)
    tensor = _tensor(what, capsule)
    if (tensor.device.kind in HOST) != (kind in HOST):
        raise Malformed(f"{what} is handed out on another kind of device than it says")
    shape = [tensor.shape[axis] for axis in range(tensor.dimensions)]
    strides = [tensor.strides[axis] for axis in range(len(shape))] if tensor.strides else None
    if strides is not None and not is_compact(shape, strides):
        raise Malformed(
            f"{what} does not lie in one piece, row by row",
            hint="give the array that it is a part of, or make a copy that the model then uses,"
            " for example with ascontiguousarray",
        )
    code, bits, lanes = tensor.type.code, tensor.type.bits, tensor.type.lanes
    if bits % 8 or lanes != 1:
        raise Malformed(f"{what} has elements of {bits} bits in {lanes} lanes; expected bytes")
    length = bits // 8
    for extent in shape:
        length *= extent
    return InMemory(
        dtype=DTYPES.get((code, bits), f"type {code} of DLPack with {bits} bits"),
        element_bytes=bits // 8,
        shape=tuple(shape),
        address=(tensor.data or 0) + tensor.byte_offset,
        length=length,
        gpu=None if kind in HOST else tensor.device.number,
        owner=capsule,
    )


def is_compact(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether elements lie side by side, the last index running fastest."""
    expected = 1
    for extent, stride in zip(reversed(shape), reversed(strides), strict=True):
        if extent != 1 and stride != expected:
            return 0 in shape
        expected *= extent
    return True


def _kind(what: str, array: Array) -> int:
    try:
        kind, _ = array.__dlpack_device__()
    except AttributeError as error:
        raise Malformed(f"{what} is a {type(array).__name__} without __dlpack__") from error
    if kind not in HOST and kind not in DEFAULT_STREAM:
        raise EngineUnavailable(
            f"{what} lies on a device of kind {int(kind)} of DLPack, where it cannot be hashed",
            hint="load it into the memory of the host, or of a CUDA or ROCm GPU",
        )
    return int(kind)


def _capsule(what: str, array: Array, kind: int) -> object:
    stream = {} if kind in HOST else {"stream": DEFAULT_STREAM[kind]}
    try:
        try:
            return array.__dlpack__(**stream, max_version=VERSION, copy=False)
        except TypeError:  # a library from before version 1.0
            return array.__dlpack__(**stream)
    except Exception as error:  # libraries raise what they like, BufferError mostly
        raise Malformed(f"{what} cannot be handed out by its library: {error}") from error


def _tensor(what: str, capsule: object) -> Any:
    if _IS_VALID(capsule, b"dltensor"):
        return _Tensor.from_address(_POINTER(capsule, b"dltensor"))
    if not _IS_VALID(capsule, b"dltensor_versioned"):
        raise Malformed(f"{what} hands out something that is no capsule of DLPack")
    managed = _Versioned.from_address(_POINTER(capsule, b"dltensor_versioned"))
    if managed.major != VERSION[0]:
        raise Malformed(f"{what} speaks version {managed.major} of DLPack; expected {VERSION[0]}")
    if managed.flags & IS_COPIED:
        raise Malformed(f"{what} hands out a copy of itself, which nobody computes with")
    return managed.tensor
