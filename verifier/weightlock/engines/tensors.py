"""Where tensors of PyTorch lie.

PyTorch itself is not imported; whatever has the attributes of `Tensor` will do.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol, Self

from weightlock.engines.memory import InMemory, refuse_lazy
from weightlock.errors import EngineUnavailable
from weightlock.formats.filenames import printable

DTYPES: Final = {
    "torch.bool": "BOOL",
    "torch.uint8": "U8",
    "torch.int8": "I8",
    "torch.uint16": "U16",
    "torch.int16": "I16",
    "torch.uint32": "U32",
    "torch.int32": "I32",
    "torch.uint64": "U64",
    "torch.int64": "I64",
    "torch.float16": "F16",
    "torch.bfloat16": "BF16",
    "torch.float32": "F32",
    "torch.float64": "F64",
    "torch.float8_e4m3fn": "F8_E4M3",
    "torch.float8_e5m2": "F8_E5M2",
    "torch.complex64": "C64",
}
"""PyTorch's names of types, and those of safetensors."""


class TensorDevice(Protocol):
    """Where a tensor lies."""

    @property
    def type(self) -> str:
        """`cpu` or `cuda` (also for ROCm); others are refused."""
        ...

    @property
    def index(self) -> int | None:
        """Which GPU."""
        ...


class Tensor(Protocol):
    """What is used of torch.Tensor."""

    @property
    def dtype(self) -> object:
        """Its str() is a key of DTYPES."""
        ...

    @property
    def shape(self) -> Sequence[int]:
        """The dimensions."""
        ...

    @property
    def device(self) -> TensorDevice:
        """Where it lies."""
        ...

    def data_ptr(self) -> int:
        """The address of the first element."""
        ...

    def numel(self) -> int:
        """The number of elements."""
        ...

    def element_size(self) -> int:
        """The bytes of an element."""
        ...

    def contiguous(self) -> Self:
        """Itself, or a copy if its elements do not lie side by side in order."""
        ...


State = Mapping[str, Tensor]


def of_state(state: State) -> dict[str, InMemory]:
    """Where the tensors of a state dict lie.

    Raises:
        EngineUnavailable: if one lies where nothing here can hash it.
        Malformed: if one is not what its memory says.
    """
    return {name: _of_tensor(name, tensor) for name, tensor in state.items()}


def _of_tensor(name: str, tensor: Tensor) -> InMemory:
    refuse_lazy(f"the tensor {printable(name)}", tensor)
    device = tensor.device
    if device.type not in {"cpu", "cuda"}:
        raise EngineUnavailable(
            f"the tensor {printable(name)} lies on {device.type}, where it cannot be hashed",
            hint="load it into the memory of the host, or of a CUDA or ROCm GPU",
        )
    ready = tensor.contiguous()
    return InMemory(
        dtype=DTYPES.get(str(tensor.dtype), str(tensor.dtype)),
        element_bytes=tensor.element_size(),
        shape=tuple(tensor.shape),
        address=ready.data_ptr(),
        length=ready.numel() * ready.element_size(),
        gpu=None if device.type == "cpu" else device.index or 0,
        owner=ready,
    )
