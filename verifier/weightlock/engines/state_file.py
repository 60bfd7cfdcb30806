"""Tensors in memory as the safetensors file that will hold them: laid out, hashed, written."""

import json
import os
from pathlib import Path
from typing import BinaryIO, Final

from weightlock.engines import dlpack, tensors
from weightlock.engines.memory import (
    InMemory,
    RegionHasher,
    RegionReader,
    Tensors,
    memory_roots,
    read_out,
)
from weightlock.errors import Malformed, Unreadable
from weightlock.formats.filenames import printable
from weightlock.formats.manifest import FileEntry, SegmentEntry, file_entry
from weightlock.formats.segments import PREFIX_BYTES
from weightlock.formats.tree import TreeParameters, segment_root

DTYPES: Final = frozenset({*tensors.DTYPES.values(), *dlpack.DTYPES.values()})
"""What a file can hold."""
_ALIGNMENT: Final = 8


class StateFile:
    """Tensors as the safetensors file that will hold them."""

    def __init__(self, name: str, tensors: Tensors) -> None:
        self.name = name
        # The widest elements first, so that every tensor is aligned to its own.
        order = sorted(tensors, key=lambda key: (-tensors[key].element_bytes, key))
        self._tensors = {key: tensors[key] for key in order}
        self._header = _header_of(self._tensors)

    def entry(
        self, parameters: TreeParameters, hash_on_gpu: RegionHasher | None = None
    ) -> FileEntry:
        """Its entry in a manifest, from the tensors in memory: nothing is written yet."""
        roots = memory_roots(self._tensors, parameters, hash_on_gpu)
        segments = [SegmentEntry(len(self._header), segment_root(parameters, self._header))]
        segments += [
            SegmentEntry(tensor.length, roots[key])
            for key, tensor in self._tensors.items()
            if tensor.length
        ]
        return file_entry(parameters.algorithm, self.name, segments)

    @property
    def size(self) -> int:
        """The bytes that it will have."""
        return len(self._header) + sum(tensor.length for tensor in self._tensors.values())

    def write(self, folder: Path, read_from_gpu: RegionReader | None = None) -> None:
        """Write it into a folder in which there is no such file; all of it, or none.

        Raises:
            Unreadable: if it cannot be written.
            EngineUnavailable: if a GPU cannot be used.
        """
        path = folder / self.name
        try:
            with path.open("xb") as file:
                self._write_to(file, path, read_from_gpu)
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise Unreadable(f"{printable(self.name)} cannot be written: {why}") from error

    def _write_to(self, file: BinaryIO, path: Path, read_from_gpu: RegionReader | None) -> None:
        try:
            file.write(self._header)
            for tensor in self._tensors.values():
                read_out(tensor, file.write, read_from_gpu)
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            path.unlink()  # half of it would stand in the way of the next attempt
            raise


def _header_of(tensors: Tensors) -> bytes:
    document: dict[str, object] = {"__metadata__": {"format": "pt"}}
    position = 0
    for name, tensor in tensors.items():
        end = position + tensor.length
        document[name] = {
            "dtype": _dtype(tensor),
            "shape": list(tensor.shape),
            "data_offsets": [position, end],
        }
        position = end
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return len(text).to_bytes(PREFIX_BYTES, "little") + text


def _dtype(tensor: InMemory) -> str:
    if tensor.dtype not in DTYPES:
        raise Malformed(f"tensors of {tensor.dtype} cannot be stored in a safetensors file")
    return tensor.dtype
