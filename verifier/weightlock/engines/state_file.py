"""A state dict as the safetensors file that will hold it: laid out, hashed in memory, written."""

import json
import os
from pathlib import Path
from typing import Final

from weightlock.engines.tensors import (
    RegionHasher,
    State,
    Tensor,
    host_bytes,
    length_of,
    tensor_roots,
)
from weightlock.errors import Malformed
from weightlock.formats.manifest import FileEntry, SegmentEntry, file_entry
from weightlock.formats.segments import PREFIX_BYTES
from weightlock.formats.tree import TreeParameters, segment_root

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
_ALIGNMENT: Final = 8


class StateFile:
    """A state dict as the safetensors file that will hold it."""

    def __init__(self, name: str, state: State) -> None:
        self.name = name
        # The widest elements first, so that every tensor is aligned to its own.
        order = sorted(state, key=lambda key: (-state[key].element_size(), key))
        self._tensors = {key: state[key].contiguous() for key in order}
        self._header = _header_of(self._tensors)

    def entry(
        self, parameters: TreeParameters, hash_on_gpu: RegionHasher | None = None
    ) -> FileEntry:
        """Its entry in a manifest, from the tensors in memory: nothing is written yet."""
        roots = tensor_roots(self._tensors, parameters, hash_on_gpu)
        segments = [SegmentEntry(len(self._header), segment_root(parameters, self._header))]
        segments += [
            SegmentEntry(length_of(tensor), roots[key])
            for key, tensor in self._tensors.items()
            if length_of(tensor)
        ]
        return file_entry(parameters.algorithm, self.name, segments)

    @property
    def size(self) -> int:
        """The bytes that it will have."""
        return len(self._header) + sum(length_of(tensor) for tensor in self._tensors.values())

    def write(self, folder: Path) -> None:
        """Write it into a folder in which there is no such file."""
        with (folder / self.name).open("xb") as file:
            file.write(self._header)
            for tensor in self._tensors.values():
                here = tensor.cpu().contiguous()
                file.write(host_bytes(here))
            file.flush()
            os.fsync(file.fileno())


def _header_of(tensors: State) -> bytes:
    document: dict[str, object] = {"__metadata__": {"format": "pt"}}
    position = 0
    for name, tensor in tensors.items():
        end = position + length_of(tensor)
        document[name] = {
            "dtype": _dtype(tensor),
            "shape": list(tensor.shape),
            "data_offsets": [position, end],
        }
        position = end
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return len(text).to_bytes(PREFIX_BYTES, "little") + text


def _dtype(tensor: Tensor) -> str:
    name = str(tensor.dtype)
    if name not in DTYPES:
        raise Malformed(f"tensors of {name} cannot be stored in a safetensors file")
    return DTYPES[name]
