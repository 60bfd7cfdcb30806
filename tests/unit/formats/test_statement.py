"""The manifest as JSON: what it says is read, whatever else it could say is refused (A24)."""

import json
from typing import Any

import pytest

from weightlock.algorithms import ML_DSA_65
from weightlock.digests import HashAlgorithm
from weightlock.errors import Malformed
from weightlock.formats import statement, tree
from weightlock.formats.manifest import (
    Manifest,
    ModelIdentity,
    SegmentEntry,
    Signer,
    file_entry,
    model_root,
)

SHA256 = HashAlgorithm.SHA256
PARAMETERS = tree.TreeParameters()
SEGMENT = SegmentEntry(3, tree.segment_root(PARAMETERS, b"abc"))
FILES = (file_entry(SHA256, "a", [SEGMENT]), file_entry(SHA256, "b", []))
MANIFEST = Manifest(
    model=ModelIdentity("llama", 3),
    created_at="2026-11-21T09:30:00Z",
    parameters=PARAMETERS,
    root=model_root(SHA256, FILES),
    files=FILES,
    signers=(Signer(ML_DSA_65, "ab" * 32),),
)


def document() -> Any:
    return json.loads(statement.serialise(MANIFEST))


def parse(value: object) -> Manifest:
    return statement.parse(json.dumps(value).encode())


@pytest.mark.parametrize(
    "instant",
    [
        "2026-02-29T09:30:00Z",
        "2026-13-01T09:30:00Z",
        "2026-11-21T24:00:00Z",
        "2026-11-21T09:60:00Z",
        "2026-12-31T23:59:60Z",
        "0000-11-21T09:30:00Z",
    ],
)
def test_a_time_that_no_calendar_has_is_refused(instant: str) -> None:
    changed = document()
    changed["predicate"]["createdAt"] = instant
    with pytest.raises(Malformed, match="createdAt"):
        parse(changed)
