"""Arrays of CuPy, NumPy, JAX and whatever else speaks DLPack: verified, and signed, in memory.

    manifest = weightlock.read_manifest(folder, ["release.pub"])
    arrays = {"embed.weight": cupy.load("embed.npy"), ...}
    findings = weightlock.arrays.verify_arrays(arrays, folder, manifest)

Nothing is copied: what was compared with the signed roots is the memory that the model computes
with, on a GPU by that GPU, in the host's memory by the CPU. An array whose elements do not lie side
by side, row by row, is refused, because only a copy of it could be hashed. Whatever still writes to
an array on a GPU is waited for; whoever writes to one in the host's memory must have finished.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from weightlock.engines.dlpack import Array, of_arrays
from weightlock.engines.memory import RegionHasher
from weightlock.engines.state_file import StateFile
from weightlock.formats.manifest import Manifest
from weightlock.formats.tree import TreeParameters
from weightlock.in_memory import SignedTensor, sign_file, signed_tensors, verify_tensors
from weightlock.signatures.schemes import SigningKey
from weightlock.signing import SigningOptions
from weightlock.verdict.evidence import Finding

__all__ = ["SignedTensor", "sign_arrays", "signed_tensors", "verify_arrays"]


def verify_arrays(
    arrays: Mapping[str, Array],
    folder: Path,
    manifest: Manifest,
    *,
    complete: bool = True,
    hash_on_gpu: RegionHasher | None = None,
) -> list[Finding]:
    """What is wrong with arrays in memory; nothing if they are the signed tensors.

    Their names, types of elements and shapes must be the signed ones too. Of the folder only the
    headers are read, and compared with the manifest, which must be trusted already. With `complete`
    every signed tensor must be there, without it only none that is not.

    Raises:
        Malformed: if one is no array, or its elements do not lie side by side.
        CheckpointRefused: if there is nothing to compare, or a header is not the signed one.
        EngineUnavailable, EngineFault: if one lies on a device that cannot be used, or a GPU
            computes wrongly.
    """
    tensors = of_arrays(arrays)
    return verify_tensors(tensors, folder, manifest, complete=complete, hash_on_gpu=hash_on_gpu)


def sign_arrays(
    file: Path,
    arrays: Mapping[str, Array],
    keys: Sequence[SigningKey],
    options: SigningOptions,
    parameters: TreeParameters | None = None,
) -> Manifest:
    """Sign arrays as they are in memory, then write them to `file` and the signature beside it.

    The file is a safetensors file. What else is in the folder is hashed and signed with it.

    Raises:
        KeyUnusable: if the keys are none, classical only, or do not sign.
        SignatureExists, CheckpointRefused: if the folder cannot take it.
        Malformed: as verify_arrays, or if a safetensors file cannot hold an array.
        EngineUnavailable, EngineFault: as verify_arrays.
    """
    laid_out = StateFile(file.name, of_arrays(arrays))
    return sign_file(file.parent, laid_out, keys, options, parameters or TreeParameters())
