"""What a notary counter-signs is what the publisher signed, whoever moves folders meanwhile."""

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from tests.support import folders
from tests.support.checkpoints import ENGINE, NOW, verified
from tests.support.keys import key
from tests.unit.oms import forge

from weightlock.checkpoint.walker import Limits
from weightlock.errors import CheckpointRefused, WeightlockError
from weightlock.formats.manifest import ModelIdentity
from weightlock.formats.tree import TreeParameters
from weightlock.hashing import HashingOptions, Nobody
from weightlock.names import ENVELOPE_FILE
from weightlock.notarizing import notarize
from weightlock.oms.trust import Trust
from weightlock.reasons import Reason
from weightlock.signing import SigningOptions

PUBLISHER = forge.Signer.new()
GOOD = {"config.json": b"{}", "sub/weights.bin": b"good"}
OPTIONS = SigningOptions(ModelIdentity("llama", 1), NOW)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A checkpoint with its publisher's bundle, and an evil `sub` beside it."""
    folder = forge.write_model(tmp_path / "model", GOOD)
    bundle = forge.signed(forge.files_statement(GOOD), PUBLISHER)
    folders.write(folder, {"model.sig": bundle})
    folders.write(tmp_path / "evil", {"weights.bin": b"evil"})
    return folder


def swap(model: Path) -> None:
    """The other `sub`. Files in a folder that is renamed keep their times."""
    (model / "sub").rename(model.parent / "aside")
    (model.parent / "evil").rename(model / "sub")
    (model.parent / "aside").rename(model.parent / "evil")


@dataclass
class Racing:
    """Hashing options of somebody whose folder is swapped before some of its listings."""

    model: Path
    swaps: set[int]
    listings: int = 0
    engine: Any = ENGINE
    parameters: TreeParameters = field(default_factory=TreeParameters)
    lattice_threads: int = 0

    @property
    def limits(self) -> Limits:
        self.listings += 1
        if self.listings in self.swaps:
            swap(self.model)
        return Limits()


def notarized(model: Path, hashing: object) -> None:
    trust = Trust([PUBLISHER.public_key])
    notarize(model, trust, [key()], OPTIONS, cast("HashingOptions", hashing), Nobody())


def test_a_model_as_its_publisher_signed_it_is_counter_signed(model: Path) -> None:
    notarized(model, HashingOptions(ENGINE))
    assert verified(model).is_verified


def test_a_model_that_its_publisher_did_not_sign_is_not(model: Path) -> None:
    swap(model)
    with pytest.raises(CheckpointRefused) as refusal:
        notarized(model, HashingOptions(ENGINE))
    assert refusal.value.reason is Reason.CONTENT_MISMATCH
    assert not (model / ENVELOPE_FILE).exists()


@pytest.mark.parametrize(
    ("first", "last"), [(first, last) for last in range(2, 8) for first in range(1, last)]
)
def test_whoever_swaps_folders_meanwhile_gets_nothing_else_counter_signed(
    first: int, last: int, model: Path
) -> None:
    swap(model)  # evil at the beginning and at the end
    with suppress(WeightlockError):
        notarized(model, Racing(model, {first, last}))
    if (model / "sub/weights.bin").read_bytes() != b"good":
        swap(model)
    assert verified(model).is_verified or not (model / ENVELOPE_FILE).exists()
