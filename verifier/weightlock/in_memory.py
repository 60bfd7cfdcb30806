"""Tensors in memory against a signed manifest, whichever library made them.

weightlock.torch and weightlock.arrays are what users call; both say where their tensors lie, and
the rest is here.
"""

import hmac
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weightlock.checkpoint.folder import CheckpointFolder, FolderFiles
from weightlock.checkpoint.layout import read_header
from weightlock.checkpoint.walker import Limits
from weightlock.checkpoint.writing import already_there, exists
from weightlock.engines.cpu import CpuEngine
from weightlock.engines.memory import RegionHasher, Tensors, memory_roots
from weightlock.engines.state_file import StateFile
from weightlock.errors import CheckpointRefused, Malformed
from weightlock.formats import strict_json
from weightlock.formats.filenames import printable
from weightlock.formats.manifest import (
    FileEntry,
    Manifest,
    check_model_name,
    in_order,
    model_root,
)
from weightlock.formats.segments import (
    MAX_HEADER_BYTES,
    PREFIX_BYTES,
    SAFETENSORS_SUFFIX,
    safetensors_segments,
)
from weightlock.formats.tree import TreeParameters, segment_root
from weightlock.hashing import HashedCheckpoint, HashingOptions, Nobody, hash_folder
from weightlock.names import ENVELOPE_FILE
from weightlock.reasons import Reason
from weightlock.signatures.schemes import SigningKey
from weightlock.signing import (
    SignedCheckpoint,
    SigningOptions,
    check_keys,
    manifest_of,
    sealed_envelope,
    write,
)
from weightlock.verdict.evidence import Finding


@dataclass(frozen=True, slots=True)
class SignedTensor:
    """What the signers say of a tensor; `root` is None if it has no bytes."""

    dtype: str
    shape: tuple[int, ...]
    length: int
    root: bytes | None


def verify_tensors(
    tensors: Tensors,
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
        EngineUnavailable, EngineFault: if a GPU cannot be used or computes wrongly.
    """
    signed = signed_tensors(folder, manifest)
    if not tensors or not signed:
        raise CheckpointRefused(Reason.NOTHING_SELECTED, "there are no tensors to compare")
    findings = [
        _finding(name, "is not among the signed tensors") for name in tensors if name not in signed
    ]
    if complete:
        findings += [_finding(name, "is missing") for name in signed if name not in tensors]
    known = {name: tensor for name, tensor in tensors.items() if name in signed}
    findings += [_finding(name, why) for name, why in _differences(known, signed)]
    roots = memory_roots(known, manifest.parameters, hash_on_gpu)
    for name, root in roots.items():
        expected = signed[name].root
        if expected is not None and not hmac.compare_digest(root, expected):
            findings.append(_finding(name, "is not the signed one"))
    return findings


def signed_tensors(folder: Path, manifest: Manifest) -> dict[str, SignedTensor]:
    """The tensors of all safetensors files of a checkpoint, by name.

    Raises:
        CheckpointRefused: if a file is missing or its header is not the signed one.
        Malformed: if two files have a tensor of the same name.
    """
    found: dict[str, SignedTensor] = {}
    with CheckpointFolder(folder) as opened:
        facts = opened.walk(Limits()).files
        numbers = {fact.name: number for number, fact in enumerate(facts)}
        for entry in manifest.files:
            if entry.name.endswith(SAFETENSORS_SUFFIX) and entry.segments:
                header = _signed_header(opened.files(facts), numbers, entry, manifest.parameters)
                tensors = _tensors(header, entry)
                if found.keys() & tensors.keys():
                    raise Malformed("two files of the checkpoint have a tensor of the same name")
                found |= tensors
    return found


def sign_file(
    folder: Path,
    file: StateFile,
    keys: Sequence[SigningKey],
    options: SigningOptions,
    parameters: TreeParameters,
) -> Manifest:
    """Sign tensors as they are in memory, then write them and the signature into a folder.

    What else is in the folder is hashed and signed with it. If the file is not written as it was
    in memory, verifying will say so: the signature is not about what reached the disk.

    Raises:
        KeyUnusable: if the keys are none, classical only, or do not sign.
        SignatureExists, CheckpointRefused: if the folder cannot take it.
    """
    check_keys(keys)
    check_model_name(options.model.name)
    with CheckpointFolder(folder) as opened:
        if not options.replace and exists(opened.descriptor, ENVELOPE_FILE):
            raise already_there(ENVELOPE_FILE)
    started = time.perf_counter()
    entries = [*_entries_of(folder, parameters), file.entry(parameters)]
    files = in_order(entries)
    hashed = HashedCheckpoint(
        parameters=parameters,
        files=files,
        root=model_root(parameters.algorithm, files),
        total_bytes=sum(entry.size for entry in files),
        seconds=time.perf_counter() - started,
        device="memory",
    )
    manifest = manifest_of(hashed, keys, options)
    documents = {ENVELOPE_FILE: sealed_envelope(manifest, keys)}
    file.write(folder)
    with CheckpointFolder(folder) as opened:
        write(opened, SignedCheckpoint(manifest, hashed, documents), options)
    return manifest


def _entries_of(folder: Path, parameters: TreeParameters) -> Sequence[FileEntry]:
    with CheckpointFolder(folder) as opened:
        if not opened.walk(Limits()).files:
            return []
    engine = CpuEngine(len(os.sched_getaffinity(0)))
    return hash_folder(folder, HashingOptions(engine, parameters), Nobody()).files


def _differences(known: Tensors, signed: Mapping[str, SignedTensor]) -> Iterable[tuple[str, str]]:
    for name, tensor in known.items():
        if tensor.dtype != signed[name].dtype:
            yield name, f"has elements of {tensor.dtype}, signed were {signed[name].dtype}"
        elif tensor.shape != signed[name].shape:
            yield name, f"has the shape {tensor.shape}, signed was {signed[name].shape}"
        elif tensor.length != signed[name].length:
            yield name, "has another length than was signed"


def _signed_header(
    files: FolderFiles,
    numbers: Mapping[str, int],
    entry: FileEntry,
    parameters: TreeParameters,
) -> bytes:
    number = numbers.get(entry.name)
    if number is None:
        raise CheckpointRefused(Reason.MISSING_FILE, f"{printable(entry.name)} is missing")
    with files.open(number) as opened:
        header = read_header(opened)
    document = len(header).to_bytes(PREFIX_BYTES, "little") + header if header is not None else b""
    if not hmac.compare_digest(segment_root(parameters, document), entry.segments[0].root):
        raise CheckpointRefused(
            Reason.CONTENT_MISMATCH,
            f"the header of {printable(entry.name)} is not the signed one",
            hint="restore the checkpoint from where it was signed",
        )
    return document[PREFIX_BYTES:]


def _tensors(header: bytes, entry: FileEntry) -> dict[str, SignedTensor]:
    cut = safetensors_segments(header, entry.size)
    if cut is None or [part.length for part in cut] != [part.length for part in entry.segments]:
        raise CheckpointRefused(
            Reason.CONTENT_MISMATCH,
            f"{printable(entry.name)} was not signed tensor by tensor",
            hint="sign it again with this program",
        )
    roots = {
        part.tensor: segment.root
        for part, segment in zip(cut, entry.segments, strict=True)
        if part.tensor is not None
    }
    document = strict_json.parse(header, max_bytes=MAX_HEADER_BYTES, what="a safetensors header")
    fields: Any = document
    return {
        name: SignedTensor(
            dtype=value["dtype"],
            shape=tuple(value["shape"]),
            length=value["data_offsets"][1] - value["data_offsets"][0],
            root=roots.get(name),
        )
        for name, value in fields.items()
        if name != "__metadata__"
    }


def _finding(name: str, why: str) -> Finding:
    return Finding(Reason.CONTENT_MISMATCH, name, f"the tensor {printable(name)} {why}")
