"""Seal keys, rollback floors, restores: what the operator keeps in its own namespace."""

import asyncio
import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.memory_cluster import Call, MemoryCluster, failing

from weightlock.errors import KeyUnusable, Malformed
from weightlock.verdict.floors import VouchedModel, entry_of
from weightlock_operator.api import restores, seal_keys
from weightlock_operator.api.cluster import CONFIG_MAPS, SECRETS, Json
from weightlock_operator.api.cluster_errors import AlreadyExists, Conflict, Unavailable
from weightlock_operator.api.restores import Epoch, Moment, number
from weightlock_operator.api.versions import Versions, floors_of

NAMESPACE = "weightlock-system"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def counting(size: int, _state: list[int] = [0]) -> bytes:  # noqa: B006 - each call differs
    _state[0] += 1
    return bytes([_state[0] % 256]) * size


def ensure(cluster: MemoryCluster, now: datetime = NOW) -> seal_keys.SealKeys:
    return asyncio.run(seal_keys.ensure(cluster, NAMESPACE, now, counting))


def test_the_leader_makes_the_seal_key_once() -> None:
    cluster = MemoryCluster()
    first = ensure(cluster)
    assert ensure(cluster) == first
    assert first.previous is None
    assert len(first.current.secret) == 32
    assert [call.verb for call in cluster.writes()] == ["create"]


def test_an_old_key_is_replaced_and_still_believed() -> None:
    cluster = MemoryCluster()
    old = ensure(cluster)
    new = ensure(cluster, NOW + timedelta(days=91))
    assert new.current != old.current
    assert new.accepted == (new.current, old.current)
    assert ensure(cluster, NOW + timedelta(days=92)) == new


def test_two_that_make_a_key_at_once_agree() -> None:
    cluster = MemoryCluster()
    theirs = base64.b64encode(b"t" * 32).decode()

    def overtake(call: Call) -> None:
        if call.verb == "create":
            cluster.before = lambda _call: None
            cluster.add(SECRETS, secret({"current": theirs}))

    cluster.before = overtake
    assert ensure(cluster).current.secret == b"t" * 32


def secret(data: dict[str, str]) -> Json:
    return {"metadata": {"name": "weightlock-seal", "namespace": NAMESPACE}, "data": data}


@pytest.mark.parametrize(
    "data",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"current": base64.b64encode(b"short").decode()}, id="a short key"),
        pytest.param({"current": "not base64!"}, id="no base64"),
    ],
)
def test_what_is_no_key_is_left_alone(data: dict[str, str]) -> None:
    cluster = MemoryCluster()
    cluster.add(SECRETS, secret(data))
    with pytest.raises(KeyUnusable):
        ensure(cluster)
    assert not cluster.writes()


def test_a_key_of_unknown_age_is_not_replaced() -> None:
    cluster = MemoryCluster()
    made = secret({"current": base64.b64encode(b"k" * 32).decode()})
    made["metadata"]["creationTimestamp"] = "yesterday"
    cluster.add(SECRETS, made)
    assert ensure(cluster).previous is None


def versions(cluster: MemoryCluster) -> Versions:
    found = Versions(cluster, NAMESPACE)
    asyncio.run(found.load())
    return found


LLAMA = VouchedModel("ClusterModelPolicy prod", "llama")
MISTRAL = VouchedModel("ClusterModelPolicy prod", "mistral")


def test_the_floor_survives_the_process() -> None:
    cluster = MemoryCluster()
    asyncio.run(versions(cluster).raise_to(LLAMA, 7))
    assert versions(cluster).floor(LLAMA) == 7
    assert versions(cluster).floor(LLAMA._replace(policy="ClusterModelPolicy dev")) == 0


def test_the_floor_never_sinks() -> None:
    cluster = MemoryCluster()
    found = versions(cluster)
    asyncio.run(found.raise_to(LLAMA, 7))
    before = len(cluster.calls)
    asyncio.run(found.raise_to(LLAMA, 6))
    assert len(cluster.calls) == before
    assert versions(cluster).floor(LLAMA) == 7


def test_whose_floor_rises_is_told_once() -> None:
    cluster = MemoryCluster()
    found = versions(cluster)
    told: list[VouchedModel] = []
    found.risen = told.append
    asyncio.run(found.raise_to(LLAMA, 7))
    asyncio.run(found.raise_to(LLAMA, 6))
    asyncio.run(found.raise_to(LLAMA, 8))
    assert told == [LLAMA, LLAMA]
    asyncio.run(versions(cluster).raise_to(MISTRAL, 2))
    asyncio.run(found.load())
    assert told == [LLAMA, LLAMA, MISTRAL]


def test_a_floor_that_somebody_raised_in_between_is_kept() -> None:
    cluster = MemoryCluster()
    one, two = versions(cluster), versions(cluster)
    asyncio.run(one.raise_to(LLAMA, 7))
    asyncio.run(two.raise_to(MISTRAL, 3))
    asyncio.run(two.raise_to(LLAMA, 5))
    found = versions(cluster)
    assert (found.floor(LLAMA), found.floor(MISTRAL)) == (7, 3)
    assert two.floor(LLAMA) == 7


@pytest.mark.parametrize("trouble", [Conflict("changed"), AlreadyExists("made")])
def test_a_conflict_is_read_again(trouble: Conflict | AlreadyExists) -> None:
    cluster = MemoryCluster()
    asyncio.run(versions(cluster).raise_to(LLAMA, 1))
    cluster.before = failing(trouble, ["replace", "create"], times=2)
    asyncio.run(versions(cluster).raise_to(LLAMA, 2))
    assert versions(cluster).floor(LLAMA) == 2


def test_what_could_not_be_recorded_is_not_believed() -> None:
    cluster = MemoryCluster()
    found = versions(cluster)
    cluster.before = failing(Unavailable("away"), ["create"])
    with pytest.raises(Unavailable):
        asyncio.run(found.raise_to(LLAMA, 2))
    assert found.floor(LLAMA) == 0


def test_conflicts_without_end_are_trouble() -> None:
    cluster = MemoryCluster()
    asyncio.run(versions(cluster).raise_to(LLAMA, 1))
    cluster.before = failing(Conflict("changed"), ["replace"], times=100)
    with pytest.raises(Conflict):
        asyncio.run(versions(cluster).raise_to(LLAMA, 2))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda _: "", id="nothing"),
        pytest.param(lambda _: "[]", id="a list"),
        pytest.param(lambda text: text.replace("7", "true"), id="no version"),
        pytest.param(lambda text: text.replace("llama", "mistral"), id="under another's key"),
    ],
)
def test_a_damaged_entry_hides_no_other(change: Callable[[str], str]) -> None:
    (key, text), good = entry_of(LLAMA, 7), entry_of(MISTRAL, 3)
    assert floors_of({"data": dict([(key, change(text)), good])}) == {MISTRAL: 3}


def test_a_backup_does_not_take_the_floor_from_who_remembers_it() -> None:
    cluster = MemoryCluster()
    found = versions(cluster)
    asyncio.run(found.raise_to(LLAMA, 7))
    cluster.objects.clear()
    asyncio.run(found.restore())
    assert versions(cluster).floor(LLAMA) == 7


def at(version: int, renewals: int = 1) -> Moment:
    return Moment(version, renewals)


def test_versions_that_go_back_are_noticed_once() -> None:
    epoch = Epoch()
    for version in (5, 9, 9, 12):
        epoch.hear(at(version), "c")
    assert not epoch.take()
    epoch.hear(Moment(0, 0), "c")
    epoch.hear(at(11), "c")
    assert epoch.take()
    epoch.hear(at(11), "c")
    epoch.hear(at(12), "c")
    assert not epoch.take(), "the cluster's time goes on from there"


def test_what_was_seen_outlives_the_process(tmp_path: Path) -> None:
    file = tmp_path / "seen.json"
    Epoch(file).hear(at(500), "c")
    after = Epoch(file)
    after.hear(at(300), "c")
    assert after.take()
    later = Epoch(file)
    later.hear(at(301), "c")
    assert not later.take(), "noticed once"


def test_another_cluster_is_no_earlier_state_of_this_one(tmp_path: Path) -> None:
    file = tmp_path / "seen.json"
    Epoch(file).hear(at(500), "c")
    after = Epoch(file)
    after.hear(at(3), "another")
    assert not after.take()


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"c": "many"}', '{"c": 9}', '{"c": [9]}', '{"c": [9, true]}', "\x00"],
)
def test_a_damaged_memory_is_none(tmp_path: Path, text: str) -> None:
    file = tmp_path / "seen.json"
    file.write_text(text)
    epoch = Epoch(file)
    epoch.hear(at(3), "c")
    assert not epoch.take()


def test_a_folder_that_cannot_be_written_costs_only_the_memory(tmp_path: Path) -> None:
    epoch = Epoch(tmp_path / "missing" / "seen.json")
    epoch.hear(at(500), "c")
    epoch.hear(at(400), "c")
    assert epoch.take()
    epoch.again()
    assert epoch.take()


def test_a_restore_that_raises_versions_is_told_by_what_the_lease_counts(tmp_path: Path) -> None:
    """`etcdutl snapshot restore --bump-revision`, which is made for Kubernetes."""
    file = tmp_path / "seen.json"
    epoch = Epoch(file)
    epoch.hear(at(500, 40), "c")
    epoch.hear(at(520, 41), "c")
    assert not epoch.take()
    epoch.hear(at(1_000_000_500, 40), "c")
    assert epoch.take()
    epoch.hear(at(1_000_000_501, 41), "c")
    assert not epoch.take(), "noticed once"
    after = Epoch(file)
    after.hear(at(2_000_000_000, 39), "c")
    assert after.take(), "also by the next process"


@pytest.mark.parametrize(
    ("text", "found"), [("12", 12), ("", 0), ("x", 0), ("-1", 0), ("\u0663", 0), ("9" * 5000, 0)]
)
def test_numbers_are_as_the_api_server_writes_them(text: str, found: int) -> None:
    assert number(text) == found


def test_a_restore_is_written_down_and_never_moved_back() -> None:
    cluster = MemoryCluster()
    assert asyncio.run(restores.restored_at(cluster, NAMESPACE)) is None
    asyncio.run(restores.record(cluster, NAMESPACE, NOW))
    assert asyncio.run(restores.restored_at(cluster, NAMESPACE)) == NOW
    asyncio.run(restores.record(cluster, NAMESPACE, NOW - timedelta(days=1)))
    assert asyncio.run(restores.restored_at(cluster, NAMESPACE)) == NOW
    asyncio.run(restores.record(cluster, NAMESPACE, NOW + timedelta(days=1)))
    assert asyncio.run(restores.restored_at(cluster, NAMESPACE)) == NOW + timedelta(days=1)


def test_what_a_person_wrote_wrong_stops_judging_until_it_is_right() -> None:
    cluster = MemoryCluster()
    body = {
        "metadata": {"name": "weightlock-state", "namespace": NAMESPACE},
        "data": {"restoredAt": "yesterday"},
    }
    cluster.add(CONFIG_MAPS, body)
    with pytest.raises(Malformed):
        asyncio.run(restores.restored_at(cluster, NAMESPACE))
    asyncio.run(restores.record(cluster, NAMESPACE, NOW))
    assert asyncio.run(restores.restored_at(cluster, NAMESPACE)) == NOW


def test_a_restore_is_recorded_through_conflicts() -> None:
    cluster = MemoryCluster()
    asyncio.run(restores.record(cluster, NAMESPACE, NOW))
    cluster.before = failing(Conflict("changed"), ["replace"], times=2)
    later = NOW + timedelta(hours=1)
    asyncio.run(restores.record(cluster, NAMESPACE, later))
    assert asyncio.run(restores.restored_at(cluster, NAMESPACE)) == later
    cluster.before = failing(Conflict("changed"), ["replace"], times=100)
    with pytest.raises(Conflict):
        asyncio.run(restores.record(cluster, NAMESPACE, later + timedelta(hours=1)))
