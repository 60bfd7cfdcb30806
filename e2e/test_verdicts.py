"""What each kind of checkpoint is called, and that exactly the good one gets through the door."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from e2e.cluster.running import RunningCluster
from e2e.models import (
    CLASSICAL,
    CONFIG,
    Key,
    config_of,
    flip_one_bit,
    key,
    sign,
    sign_as_today,
    write_model,
)
from e2e.teams import Team, team_on

LONG_AGO = "2020-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Shelf:
    """Checkpoints of every kind on one volume, registered."""

    team: Team
    release: Key


@pytest.fixture(scope="module")
def shelf(cluster: RunningCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    keys = tmp_path_factory.mktemp("keys")
    release, stranger, retired = (key(keys, name) for name in ("release", "stranger", "retired"))
    publisher = key(keys, "publisher", CLASSICAL)
    with team_on(cluster, "shelf") as team:
        place = team.folder
        sign(write_model(place / "good", seed=7), release)
        sign_as_today(write_model(place / "classical"), publisher)
        flip_one_bit(sign(write_model(place / "tampered"), release))
        (sign(write_model(place / "extra"), release) / "adapter.bin").write_bytes(b"\x00" * 100)
        (sign(write_model(place / "missing"), release) / CONFIG).unlink()
        sign(write_model(place / "stranger"), stranger)
        sign(write_model(place / "retired"), retired)
        write_model(place / "unsigned")
        (place / "linked").symlink_to("good")
        sign(write_model(place / "new"), release, name="mistral", version=2)
        sign(write_model(place / "old"), release, name="mistral", version=1)
        team.govern({"release": release, "retired": retired, "publisher": publisher})
        retire(team, "retired")
        team.share_folder()
        for kind in ("new", "good", *(each for each, _, _ in BAD if each != "old")):
            team.register(kind)
        yield Shelf(team, release)


def retire(team: Team, name: str) -> None:
    """End the trust in a key."""
    signatures = team.cluster.api.read(team.policy)["spec"]["signatures"]
    for authority in signatures["authorities"]:
        if authority["name"] == name:
            authority["notAfter"] = LONG_AGO
    team.change_policy(signatures=signatures)


BAD = [
    ("classical", "ClassicalOnly", "ClassicalOnly"),
    ("tampered", "Failed", "ContentMismatch"),
    ("extra", "Failed", "ExtraFile"),
    ("missing", "Failed", "MissingFile"),
    ("stranger", "Failed", "SignerUntrusted"),
    ("retired", "Failed", "KeyExpired"),
    ("unsigned", "Failed", "Unsigned"),
    ("linked", "Failed", "UnsafeEntry"),
    ("old", "Failed", "Rollback"),
]


def test_a_good_checkpoint_is_verified_and_read(shelf: Shelf) -> None:
    status = shelf.team.verdict("good")
    assert (status["phase"], status["reason"]) == ("Verified", "Verified")
    assert [each["authority"] for each in status["signatures"]] == ["release"]
    assert shelf.team.runs(shelf.team.reader("good")) == config_of(7)


@pytest.mark.parametrize(
    ("kind", "phase", "reason"), [pytest.param(*each, id=each[0]) for each in BAD]
)
def test_a_bad_checkpoint_is_refused_with_its_reason(
    shelf: Shelf, kind: str, phase: str, reason: str
) -> None:
    if kind == "old":  # older than what has been seen
        assert shelf.team.verdict("new")["phase"] == "Verified"
        shelf.team.register("old")
    status = shelf.team.verdict(kind)
    assert (status["phase"], status["reason"]) == (phase, reason)
    assert reason in shelf.team.refusal(shelf.team.reader(kind))
