import asyncio
from dataclasses import replace
from datetime import UTC, datetime

from tests.support.memory_cluster import Hands, MemoryCluster, failing

from weightlock_operator.api.cluster_errors import Forbidden
from weightlock_operator.api.events import (
    OBJECT_BURST,
    QUEUE_EVENTS,
    REMEMBERED,
    EventType,
    Involved,
    Notice,
    Recorder,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LLAMA = Involved("weightlock.dev/v1beta1", "ModelCheckpoint", "team-a", "llama", "uid-llama")
FAILED = Notice(LLAMA, EventType.WARNING, "ContentMismatch", "weights.bin differs")


def recorder(cluster: MemoryCluster, hands: Hands | None = None) -> Recorder:
    return Recorder(cluster, instance="one", clock=hands or Hands(), wall=lambda: NOW)


def written(told: Recorder) -> None:
    asyncio.run(write(told))


async def write(told: Recorder) -> None:
    writer = asyncio.create_task(told.run())
    await told.flush()
    writer.cancel()


def events(cluster: MemoryCluster) -> list[dict[str, object]]:
    return [body for (plural, _, _), body in cluster.objects.items() if plural == "events"]


def test_an_event_says_what_happened_to_whom() -> None:
    cluster = MemoryCluster()
    told = recorder(cluster)
    told.record(FAILED)
    written(told)
    [event] = events(cluster)
    assert event["reason"] == "ContentMismatch"
    assert event["involvedObject"] == {
        "apiVersion": "weightlock.dev/v1beta1",
        "kind": "ModelCheckpoint",
        "namespace": "team-a",
        "name": "llama",
        "uid": "uid-llama",
    }


def test_the_same_again_is_one_event_that_counts() -> None:
    cluster, hands = MemoryCluster(), Hands()
    told = recorder(cluster, hands)
    for _ in range(3):
        told.record(FAILED)
        hands.seconds += 61
    written(told)
    [event] = events(cluster)
    assert event["count"] == 3
    assert event["message"] == "weights.bin differs", "a merge patch leaves the rest alone"


def test_ten_thousand_failures_at_once_are_one_event() -> None:
    cluster = MemoryCluster()
    told = recorder(cluster)
    for _ in range(10_000):
        told.record(FAILED)
    written(told)
    assert len(cluster.calls) == 1


def test_a_talkative_object_is_cut_short_and_the_others_are_heard() -> None:
    cluster = MemoryCluster()
    told = recorder(cluster)
    for number in range(10_000):
        told.record(Notice(LLAMA, EventType.WARNING, "Reason", f"message {number}"))
    other = Involved("v1", "Pod", "team-b", "trainer", "uid-trainer")
    told.record(Notice(other, EventType.NORMAL, "Waiting", "for a verdict"))
    written(told)
    assert len(events(cluster)) == OBJECT_BURST + 1
    assert told.dropped == 10_000 - OBJECT_BURST


def test_the_allowance_grows_back() -> None:
    cluster, hands = MemoryCluster(), Hands()
    told = recorder(cluster, hands)
    for number in range(OBJECT_BURST + 1):
        told.record(Notice(LLAMA, EventType.NORMAL, "Reason", f"message {number}"))
    hands.seconds += 61
    told.record(Notice(LLAMA, EventType.NORMAL, "Reason", "later"))
    written(told)
    assert len(events(cluster)) == OBJECT_BURST + 1


def test_memory_does_not_grow_with_the_objects() -> None:
    told = recorder(MemoryCluster())
    for number in range(REMEMBERED * 2):
        about = Involved("v1", "Pod", "team-a", "p", f"uid-{number}")
        told.record(Notice(about, EventType.NORMAL, "Reason", "text"))
    assert len(told._told) == len(told._allowances) == REMEMBERED
    assert told._queue.qsize() == QUEUE_EVENTS


def test_an_expired_event_is_made_anew() -> None:
    cluster, hands = MemoryCluster(), Hands()
    told = recorder(cluster, hands)

    async def story() -> None:
        told.record(FAILED)
        await write(told)
        cluster.objects.clear()
        hands.seconds += 3700
        told.record(FAILED)
        await write(told)

    asyncio.run(story())
    assert len(events(cluster)) == 1


def test_the_event_of_a_predecessor_is_touched_and_not_doubled() -> None:
    cluster = MemoryCluster()
    for _ in range(2):
        told = recorder(cluster)
        told.record(FAILED)
        written(told)
    assert len(events(cluster)) == 1


def test_trouble_costs_an_event_and_nothing_else() -> None:
    cluster = MemoryCluster()
    cluster.before = failing(Forbidden("no"), ["create"])
    told = recorder(cluster)
    told.record(FAILED)
    told.record(Notice(LLAMA, EventType.NORMAL, "Verified", "by release"))
    written(told)
    assert [event["reason"] for event in events(cluster)] == ["Verified"]
    assert told.dropped == 1


def test_what_somebody_put_into_a_name_is_escaped_and_cut() -> None:
    cluster = MemoryCluster()
    told = recorder(cluster)
    told.record(Notice(LLAMA, EventType.WARNING, "ExtraFile", "\x1b[31m\n" + "x" * 5000))
    written(told)
    [event] = events(cluster)
    message = event["message"]
    assert isinstance(message, str)
    assert message.startswith("\\x1b[31m\\n")
    assert len(message) <= 1000


def test_a_name_that_is_cut_stays_one_that_objects_may_have() -> None:
    """253 characters with a dash where the name is cut: an Event of such a name is refused."""
    cluster = MemoryCluster()
    told = recorder(cluster)
    about = replace(LLAMA, name="a" * 198 + "-." + "b" * 53)
    told.record(replace(FAILED, about=about))
    written(told)
    [event] = events(cluster)
    name = event["metadata"]["name"]  # type: ignore[index]
    assert all(part[0].isalnum() and part[-1].isalnum() for part in name.split("."))
    assert event["involvedObject"]["name"] == about.name  # type: ignore[index]
