import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.memory_cluster import Hands

from weightlock_operator.work import LONGEST_DELAY_SECONDS, Priority, WorkQueue

LOOP = asyncio.Runner()
"""One event loop for all steps of a story: a queue belongs to one."""


@pytest.fixture(scope="module", autouse=True)
def loop() -> Iterator[None]:
    yield
    LOOP.close()


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def queue(hands: Hands) -> Iterator[WorkQueue]:
    made = WorkQueue(hands)
    yield made
    assert made.is_idle or len(made)


def take(queue: WorkQueue, count: int = 1) -> list[str]:
    async def run() -> list[str]:
        found = []
        for _ in range(count):
            found.append(await asyncio.wait_for(queue.get(), 1))
            queue.done(found[-1])
        return found

    return LOOP.run(run())


def nothing_is_due(queue: WorkQueue) -> bool:
    async def run() -> bool:
        try:
            await asyncio.wait_for(queue.get(), 0.01)
        except TimeoutError:
            return True
        return False

    return LOOP.run(run())


def test_however_often_it_is_named_it_is_queued_once(queue: WorkQueue) -> None:
    for _ in range(100):
        queue.add("a")
    assert take(queue) == ["a"]
    assert nothing_is_due(queue)


def test_who_is_awaited_overtakes_and_routine_comes_last(queue: WorkQueue) -> None:
    queue.add("routine", Priority.ROUTINE)
    queue.add("live")
    queue.add("awaited", Priority.AWAITED)
    assert take(queue, 3) == ["awaited", "live", "routine"]


def test_a_better_priority_moves_up_and_a_worse_one_changes_nothing(queue: WorkQueue) -> None:
    queue.add("a", Priority.ROUTINE)
    queue.add("b", Priority.LIVE)
    queue.add("a", Priority.AWAITED)
    queue.add("a", Priority.ROUTINE)
    assert take(queue, 2) == ["a", "b"]
    assert nothing_is_due(queue)


def test_what_happens_meanwhile_is_looked_at_afterwards(queue: WorkQueue) -> None:
    async def run() -> None:
        queue.add("a")
        first = await queue.get()
        queue.add("a")
        queue.add("a", Priority.AWAITED)
        assert len(queue) == 0, "never two at a time"
        queue.done(first)
        assert len(queue) == 1

    LOOP.run(run())
    assert take(queue) == ["a"]


def test_an_alarm_rings_when_its_time_has_come(queue: WorkQueue, hands: Hands) -> None:
    queue.add_after("a", 60)
    queue.add_after("a", 30)
    queue.add_after("a", 90)
    assert nothing_is_due(queue)
    hands.seconds += 30
    assert take(queue) == ["a"]
    hands.seconds += 1000
    assert nothing_is_due(queue), "the earliest counts, once"


def test_a_look_makes_the_alarm_superfluous(queue: WorkQueue, hands: Hands) -> None:
    queue.add_after("a", 30)
    queue.add("a")
    assert take(queue) == ["a"]
    hands.seconds += 60
    assert nothing_is_due(queue)


def test_each_failure_makes_the_pause_longer_up_to_an_end(queue: WorkQueue) -> None:
    delays = [queue.failed("a") for _ in range(20)]
    assert 0.75 <= delays[0] <= 1
    assert delays[4] > delays[0]
    assert LONGEST_DELAY_SECONDS * 0.75 <= delays[-1] <= LONGEST_DELAY_SECONDS
    queue.forget_failures("a")
    assert queue.failed("a") <= 1


def test_what_is_forgotten_comes_back_by_no_alarm(queue: WorkQueue, hands: Hands) -> None:
    queue.failed("a")
    queue.add_after("b", 1)
    queue.forget("a")
    queue.forget("b")
    hands.seconds += 1000
    assert nothing_is_due(queue)


def test_waiting_ends_with_the_next_news() -> None:
    queue = WorkQueue(Hands())

    async def run() -> str:
        waiting = asyncio.create_task(queue.get())
        await asyncio.sleep(0)
        queue.add("a")
        return await asyncio.wait_for(waiting, 1)

    assert LOOP.run(run()) == "a"


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from(list(Priority)))))
def test_nothing_that_was_added_is_lost(additions: list[tuple[str, Priority]]) -> None:
    queue = WorkQueue(Hands())
    for uid, priority in additions:
        queue.add(uid, priority)
    wanted = {uid for uid, _ in additions}
    assert sorted(take(queue, len(wanted))) == sorted(wanted)
    assert queue.is_idle


@pytest.fixture
def shared(hands: Hands) -> WorkQueue:
    """Keys such as `team-a/7`."""
    return WorkQueue(hands, lambda key: key.partition("/")[0])


@pytest.mark.parametrize("theirs", list(Priority))
def test_whoever_has_much_to_be_looked_at_keeps_nobody_else_waiting(
    shared: WorkQueue, theirs: Priority
) -> None:
    """A25: a tenant can touch its thousand checkpoints as often as it likes."""
    for number in range(1000):
        shared.add(f"crowd/{number}", theirs)
    take(shared, 10)
    shared.add("other/1", theirs)
    shared.add("other/2", theirs)
    assert {"other/1", "other/2"} <= set(take(shared, 5))


def test_whom_pods_wait_for_goes_first_and_not_alone(shared: WorkQueue) -> None:
    served = []
    shared.add("other/live")
    shared.add("third/routine", Priority.ROUTINE)
    for number in range(6000):  # for ever, as far as the others can tell
        shared.add(f"crowd/{number}", Priority.AWAITED)
        shared.add(f"crowd/{number}-again", Priority.AWAITED)
        served += take(shared)
    assert 0 < served.index("other/live") <= 100
    assert 1000 < served.index("third/routine") <= 5000


def test_each_party_is_served_in_the_order_of_its_own(shared: WorkQueue) -> None:
    for number in range(3):
        shared.add(f"a/{number}")
        shared.add(f"b/{number}")
    assert take(shared, 6) == ["a/0", "b/0", "a/1", "b/1", "a/2", "b/2"]


def test_who_was_busy_before_everybody_rested_pays_nothing(shared: WorkQueue) -> None:
    for number in range(100):
        shared.add(f"a/{number}")
    take(shared, 100)
    assert nothing_is_due(shared)
    assert not shared._last, "nothing is kept of namespaces that want nothing"
    shared.add("a/again")
    shared.add("b/1")
    assert take(shared, 2) == ["a/again", "b/1"]
