from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from tests.support.memory_cluster import Hands

from weightlock_operator.decision.queue import Running, Ticket
from weightlock_operator.turns import ORDER_SECONDS, Turns

TOTALS = (("p", 4),)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def ticket(uid: str, namespace: str = "team-a", after: int = 0, *, most: int = 2) -> Ticket:
    since = NOW + timedelta(seconds=after)
    return Ticket(uid, namespace, since, is_awaited=False, per_namespace=most, totals=TOTALS)


def test_whoever_waits_alone_may_start_at_once() -> None:
    turns = Turns(Hands())
    turns.wants(ticket("a"))
    assert turns.place("a").may_start


def test_without_a_ticket_there_is_no_place() -> None:
    assert not Turns(Hands()).place("a").may_start


def test_the_limit_of_a_namespace_holds_between_two_orders() -> None:
    hands = Hands()
    turns = Turns(hands)
    for uid in "abc":
        turns.wants(ticket(uid))
    assert turns.call() == ("a", "b")
    turns.runs(Running("a", "team-a", TOTALS))
    turns.runs(Running("b", "team-a", TOTALS))
    assert not turns.place("c").may_start
    assert turns.call() == (), "not computed again so soon"
    turns.runs_no_more("a")
    hands.seconds += ORDER_SECONDS
    assert turns.call() == ("c",)
    assert turns.place("c").may_start


def test_who_has_its_turn_keeps_it_until_it_is_over() -> None:
    turns = Turns(Hands())
    turns.wants(ticket("a"))
    turns.runs(Running("a", "team-a", TOTALS))
    assert turns.place("a").may_start
    assert (turns.running, len(turns)) == (1, 0)
    turns.forget("a")
    assert not turns.place("a").may_start
    assert turns.running == 0


def test_the_order_is_only_computed_when_something_changed() -> None:
    hands = Hands()
    turns = Turns(hands)
    turns.wants(ticket("a"))
    assert turns.call() == ("a",)
    hands.seconds += 10
    turns.wants(ticket("a"))
    assert turns.call() == ()


def test_what_is_suspended_leaves_its_turn_to_others_and_comes_back() -> None:
    hands = Hands()
    turns = Turns(hands)
    for uid in "abcd":
        turns.runs(Running(uid, "team-a", TOTALS))
    turns.wants(ticket("x", "team-b"))
    assert turns.call() == ()
    turns.runs(Running("a", "team-a", TOTALS, is_suspended=True))
    hands.seconds += ORDER_SECONDS
    assert turns.call() == ("x",)
    assert turns.place("x").may_start
    turns.runs(Running("a", "team-a", TOTALS))
    assert not turns.place("x").may_start


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["want", "start", "end", "call", "leave"]),
            st.sampled_from("abcdefgh"),
            st.sampled_from(["team-a", "team-b", "team-c"]),
        ),
        max_size=60,
    )
)
def test_no_limit_is_ever_exceeded(  # noqa: C901 - a story told by words
    steps: list[tuple[str, str, str]],
) -> None:
    hands = Hands()
    turns = Turns(hands)
    homes: dict[str, str] = {}
    running: dict[str, str] = {}
    for number, (step, uid, namespace) in enumerate(steps):
        home = homes.setdefault(uid, namespace)
        match step:
            case "want":
                if uid not in running:
                    turns.wants(ticket(uid, home, number))
            case "start":
                if uid not in running and turns.place(uid).may_start:
                    turns.runs(Running(uid, home, TOTALS))
                    running[uid] = home
            case "end":
                turns.runs_no_more(uid)
                running.pop(uid, None)
            case "call":
                hands.seconds += ORDER_SECONDS
                turns.call()
            case "leave":
                turns.forget(uid)
                running.pop(uid, None)
        assert len(running) <= 4
        assert all(list(running.values()).count(each) <= 2 for each in running.values())
        assert turns.running == len(running)
