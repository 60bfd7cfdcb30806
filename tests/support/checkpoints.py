"""Signing and verifying in tests: short words for long argument lists."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.support.keys import info, key

from weightlock.checkpoint.selection import Selection
from weightlock.checkpoint.walker import Limits
from weightlock.engines.cpu import CpuEngine
from weightlock.engines.engine import Engine
from weightlock.formats.manifest import ModelIdentity
from weightlock.formats.tree import TreeParameters
from weightlock.hashing import HashingOptions, Nobody
from weightlock.oms.trust import Trust
from weightlock.policy.requirements import SignatureRequirements
from weightlock.signatures.schemes import SigningKey
from weightlock.signing import SignedCheckpoint, SigningOptions, sign
from weightlock.verification import Verification, VerificationOptions, verify

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
ENGINE = CpuEngine(1)


def signed(
    folder: Path,
    *keys: SigningKey,
    parameters: TreeParameters | None = None,
    **options: object,
) -> SignedCheckpoint:
    """Sign a folder, by default with one ML-DSA-65 key."""
    model = ModelIdentity(str(options.pop("name", "llama")), 3)
    return sign(
        folder,
        keys or (key(),),
        SigningOptions(model, NOW, **options),  # type: ignore[arg-type]
        HashingOptions(ENGINE, parameters or TreeParameters()),
        Nobody(),
    )


def verified(
    folder: Path,
    *keys: SigningKey,
    at_least: int = 1,
    selection: Selection | None = None,
    engine: Engine = ENGINE,
    limits: Limits | None = None,
) -> Verification:
    """Verify a folder, by default with the same key."""
    trusted = keys or (key(),)
    options = VerificationOptions(
        requirements=requirements(trusted, at_least),
        classical_trust=Trust([each.public_key for each in trusted]),
        now=NOW,
        engine=engine,
        selection=selection or Selection(),
        limits=limits or Limits(),
    )
    return verify(folder, options, Nobody())


def requirements(keys: Sequence[SigningKey], at_least: int = 1) -> Sequence[SignatureRequirements]:
    """What plain keys demand."""
    return [SignatureRequirements.of_keys([info(each.public_key) for each in keys], at_least)]
