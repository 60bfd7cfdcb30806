"""Checkpoints on disk, made and disturbed by tests."""

import json
import os
import pickle
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")
NOBODY = 65534

SAMPLE: dict[str, bytes] = {
    "config.json": b'{"architectures": ["Llama"]}',
    "empty": b"",
    "sub/deep/tokenizer.model": bytes(range(256)) * 300,
    "weights.bin": random.Random(7).randbytes(300_001),  # noqa: S311 - test data
}


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write files below a folder."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def safetensors(tensors: Mapping[str, bytes], *, gap: int = 0) -> bytes:
    """A safetensors file with these tensors in this order, each followed by a gap."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    position = 0
    for name, data in tensors.items():
        end = position + len(data)
        header[name] = {"dtype": "U8", "shape": [len(data)], "data_offsets": [position, end]}
        position = end + gap
    encoded = json.dumps(header).encode()
    body = b"".join(data + bytes(gap) for data in tensors.values())
    return len(encoded).to_bytes(8, "little") + encoded + body


def unprivileged(work: Callable[[], Result]) -> Result:
    """The result of calling `work` without root's right to read everything.

    Tests often run as root, which no file permission stops; so a child process drops it.
    """
    if os.geteuid() != 0:
        return work()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        os.write(writing, pickle.dumps(work()))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        data = answer.read()
    os.waitpid(child, 0)
    result: Result = pickle.loads(data)  # noqa: S301 - from our own child
    return result
