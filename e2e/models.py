"""Model checkpoints on disk, made and signed by the programs that people use, and then spoiled."""

from __future__ import annotations

import json
import random
import struct
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = Path(sysconfig.get_path("scripts"))
WEIGHTS, CONFIG = "model.safetensors", "config.json"
TENSOR_BYTES = 64 * 1024
POST_QUANTUM, CLASSICAL = "ML-DSA-65", "ECDSA-P256-SHA256"


@dataclass(frozen=True, slots=True)
class Key:
    """A key pair in two files."""

    private: Path
    public: Path
    algorithm: str

    @property
    def pem(self) -> str:
        """The public key, as policies have it."""
        return self.public.read_text()


def key(folder: Path, name: str, algorithm: str = POST_QUANTUM) -> Key:
    """Make a key pair with `weightlock keygen`."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Key(folder / f"{name}.key", folder / f"{name}.pub", algorithm)
    _run(
        *("weightlock", "keygen", "--algorithm", algorithm),
        *("--private-key", str(made.private), "--public-key", str(made.public)),
    )
    return made


def write_model(folder: Path, *, seed: int = 1, tensor_bytes: int = TENSOR_BYTES) -> Path:
    """A small model in safetensors beside its configuration, not signed."""
    folder.mkdir(parents=True)
    data = random.Random(seed).randbytes(tensor_bytes)  # noqa: S311 weights, not secrets
    shape = {"dtype": "U8", "shape": [tensor_bytes], "data_offsets": [0, tensor_bytes]}
    header = json.dumps({"layer.weight": shape}).encode()
    header += b" " * (-len(header) % 8)
    (folder / WEIGHTS).write_bytes(struct.pack("<Q", len(header)) + header + data)
    (folder / CONFIG).write_text(config_of(seed))
    return folder


def config_of(seed: int) -> str:
    """The configuration of the model of that seed: what tells one from another."""
    return json.dumps({"architectures": ["LlamaForCausalLM"], "seed": seed})


def sign(folder: Path, *keys: Key, name: str = "llama", version: int = 1) -> Path:
    """Sign with `weightlock sign`."""
    words = [word for each in keys for word in ("--private-key", str(each.private))]
    _run("weightlock", "sign", str(folder), *words, "--name", name, "--version", str(version))
    return folder


def sign_as_today(folder: Path, signer: Key) -> Path:
    """Sign with the OpenSSF's `model_signing`, which knows classical algorithms only."""
    files = ("--private_key", str(signer.private), "--signature", str(folder / "model.sig"))
    _run("model_signing", "sign", "key", *files, str(folder))
    return folder


def flip_one_bit(folder: Path) -> None:
    """What a failing disk does to the weights, or somebody with access to the storage."""
    with (folder / WEIGHTS).open("r+b") as file:
        file.seek(-TENSOR_BYTES // 2, 2)
        (before,) = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([before ^ 0x10]))


def _run(program: str, *words: str) -> None:
    subprocess.run([str(PROGRAMS / program), *words], check=True, capture_output=True)
