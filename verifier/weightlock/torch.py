"""Tensors of PyTorch: verified against a signed manifest, and signed before they are written.

    manifest = weightlock.read_manifest(folder, ["release.pub"])
    state = safetensors.torch.load_file(folder / "model.safetensors", device="cuda")
    findings = weightlock.torch.verify_state_dict(state, folder, manifest)

What was compared with the signed roots is the memory that the model computes with: nobody can
change a file between the check and its use. On a GPU the tensors are hashed where they lie.
"""

from collections.abc import Sequence
from pathlib import Path

from weightlock.engines.memory import RegionHasher
from weightlock.engines.state_file import StateFile
from weightlock.engines.tensors import State, of_state
from weightlock.formats.manifest import Manifest
from weightlock.formats.tree import TreeParameters
from weightlock.in_memory import SignedTensor, sign_file, signed_tensors, verify_tensors
from weightlock.signatures.schemes import SigningKey
from weightlock.signing import SigningOptions
from weightlock.verdict.evidence import Finding

__all__ = ["SignedTensor", "sign_state_dict", "signed_tensors", "verify_state_dict"]


def verify_state_dict(
    state: State,
    folder: Path,
    manifest: Manifest,
    *,
    complete: bool = True,
    hash_on_gpu: RegionHasher | None = None,
) -> list[Finding]:
    """What is wrong with tensors in memory; nothing if they are the signed ones.

    Of the folder only the headers are read, and compared with the manifest, which must be trusted
    already. With `complete` every signed tensor must be there, without it only none that is not.

    Raises:
        CheckpointRefused: if there is nothing to compare, or a header is not the signed one.
        Malformed: if a tensor is negated or conjugated when it is read.
        EngineUnavailable, EngineFault: if a GPU cannot be used or computes wrongly.
    """
    tensors = of_state(state)
    return verify_tensors(tensors, folder, manifest, complete=complete, hash_on_gpu=hash_on_gpu)


def sign_state_dict(
    file: Path,
    state: State,
    keys: Sequence[SigningKey],
    options: SigningOptions,
    parameters: TreeParameters | None = None,
) -> Manifest:
    """Sign a state dict as it is in memory, then write it to `file` and its signature beside it.

    What else is in the folder is hashed and signed with it. If the file is not written as it was
    in memory, verifying will say so: the signature is not about what reached the disk.

    Raises:
        KeyUnusable: if the keys are none, classical only, or do not sign.
        SignatureExists, CheckpointRefused: if the folder cannot take it.
        Malformed: as verify_state_dict, or if a safetensors file cannot hold a tensor.
        EngineUnavailable, EngineFault: if a GPU cannot be used or computes wrongly.
    """
    laid_out = StateFile(file.name, of_state(state))
    return sign_file(file.parent, laid_out, keys, options, parameters or TreeParameters())
