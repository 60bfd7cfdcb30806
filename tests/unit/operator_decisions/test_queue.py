"""Who verifies next."""

from collections import Counter
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.operator_decisions.simulated import Cluster
from tests.unit.policy.builders import NOW, policy_object

from weightlock_operator.decision import reconcile
from weightlock_operator.decision.backoff import FIRST, SLOWEST, SPREAD, delay_after, spread
from weightlock_operator.decision.queue import Load, Place, Running, Ticket, places
from weightlock_operator.decision.statuses import rounded


def ticket(
    name: str, namespace: str = "a", waited: int = 0, *, is_awaited: bool = False, total: int = 32
) -> Ticket:
    since = NOW - timedelta(minutes=waited)
    return Ticket(name, namespace, since, is_awaited, per_namespace=2, totals=(("p", total),))


def order(*tickets: Ticket, running: tuple[Running, ...] = ()) -> list[str]:
    found = places(tickets, running)
    return sorted(found, key=lambda uid: found[uid].position)


def test_the_oldest_comes_first() -> None:
    assert order(ticket("x"), ticket("y", waited=2), ticket("z", waited=1)) == ["y", "z", "x"]


def test_whoever_is_awaited_comes_before_older_ones() -> None:
    assert order(ticket("x", waited=9), ticket("y", is_awaited=True)) == ["y", "x"]


def test_namespaces_take_turns() -> None:
    flood = [ticket(f"a{number}", "a", waited=9) for number in range(3)]
    assert order(*flood, ticket("b", "b")) == ["a0", "b", "a1", "a2"]


def test_what_runs_counts_as_a_turn() -> None:
    running = (Running("a0", "a"),)
    assert order(ticket("a1", "a", waited=9), ticket("b", "b"), running=running) == ["b", "a1"]


def test_limits_of_the_namespace_and_in_all() -> None:
    tickets = [ticket(f"a{number}", "a") for number in range(3)]
    tickets += [ticket(f"b{number}", "b", total=3) for number in range(2)]
    found = places(tickets, [])
    assert {uid for uid, place in found.items() if place.may_start} == {"a0", "a1", "b0"}


def test_whoever_flies_waits_no_more() -> None:
    assert places([ticket("x")], [Running("x", "a")]) == {}


TOTALS = st.dictionaries(st.sampled_from("uvw"), st.integers(1, 6), min_size=1).map(
    lambda totals: tuple(sorted(totals.items()))
)
tickets = st.lists(
    st.builds(
        Ticket,
        st.sampled_from("abcdefghij"),
        st.sampled_from("xyz"),
        st.integers(0, 3).map(lambda minutes: NOW - timedelta(minutes=minutes)),
        st.booleans(),
        st.integers(1, 3),
        TOTALS,
    ),
    unique_by=lambda each: each.checkpoint_uid,
)
runnings = st.lists(
    st.builds(
        Running,
        st.sampled_from("klmnop"),
        st.sampled_from("xyz"),
        TOTALS,
        is_suspended=st.booleans(),
    ),
    unique_by=lambda each: each.checkpoint_uid,
)


@given(tickets, runnings, st.randoms())
def test_the_order_of_the_tickets_never_matters(
    waiting: list[Ticket], running: list[Running], chance: Random
) -> None:
    shuffled = list(waiting)
    chance.shuffle(shuffled)
    assert places(shuffled, running) == places(waiting, running)


@given(tickets, runnings)
def test_no_limit_is_ever_exceeded(waiting: list[Ticket], running: list[Running]) -> None:
    found = places(waiting, running)
    busy = Counter(each.namespace for each in running)
    awake = [each for each in running if not each.is_suspended]
    under = Counter(policy for each in awake for policy, _ in each.totals)
    started = [each for each in waiting if found[each.checkpoint_uid].may_start]
    for each in sorted(started, key=lambda each: found[each.checkpoint_uid].position):
        assert busy[each.namespace] < each.per_namespace
        assert all(under[policy] < total for policy, total in each.totals)
        busy[each.namespace] += 1
        under.update(policy for policy, _ in each.totals)


@given(tickets, runnings)
def test_whoever_has_room_under_all_that_governs_it_waits_for_no_other_policy(
    waiting: list[Ticket], running: list[Running]
) -> None:
    """Far below the usual number nothing counts but the own namespace and the own policies."""
    load = Load()
    for each in running:
        load.add(each)
    first = min(
        waiting,
        key=lambda each: places(waiting, running)[each.checkpoint_uid].position,
        default=None,
    )
    if first is None:
        return
    under = load.policies
    has_room = load.namespaces[first.namespace] < first.per_namespace and all(
        under[policy] < total for policy, total in first.totals
    )
    assert places(waiting, running)[first.checkpoint_uid].may_start is has_room


def test_a_careful_policy_is_not_kept_waiting_by_a_lax_one() -> None:
    lax = [Running(f"r{number}", "tenant", (("lax", 32),)) for number in range(4)]
    careful = Ticket("x", "prod", NOW, True, per_namespace=4, totals=(("careful", 4),))
    assert places([careful], lax)["x"].may_start
    own = [Running(f"o{number}", "prod-2", (("careful", 4),)) for number in range(4)]
    assert not places([careful], own)["x"].may_start


@pytest.mark.parametrize(
    ("flying", "total", "may_start"),
    [
        pytest.param(31, 4, True, id="below the usual number"),
        pytest.param(32, 4, False, id="the usual number in all"),
        pytest.param(32, 64, True, id="the laxest policy grants more"),
        pytest.param(64, 64, False, id="and no more than that"),
    ],
)
def test_all_together_fly_as_many_as_the_laxest_grants(
    flying: int, total: int, may_start: bool
) -> None:
    running = [Running(f"r{n}", f"n{n}", ((f"p{n}", total),)) for n in range(flying)]
    careful = Ticket("x", "prod", NOW, True, per_namespace=4, totals=(("careful", 4),))
    assert places([careful], running)["x"].may_start is may_start


def test_a_suspended_job_takes_a_turn_of_its_namespace_only() -> None:
    totals = (("p", 2),)
    waits = [Running(f"s{number}", "a", totals, is_suspended=True) for number in range(2)]
    found = places(
        [
            Ticket("x", "a", NOW, False, per_namespace=2, totals=totals),
            Ticket("y", "b", NOW, False, per_namespace=2, totals=totals),
        ],
        waits,
    )
    assert (found["x"].may_start, found["y"].may_start) == (False, True)


@pytest.mark.parametrize(
    ("kind", "namespace", "total", "counted"),
    [
        pytest.param("own", "team-a", 100, 32, id="a tenant grants itself no more than usual"),
        pytest.param("own", "team-a", 3, 3, id="but less"),
        pytest.param("all", None, 100, 100, id="an administrator may"),
    ],
)
def test_what_a_ticket_says_of_its_policies(
    kind: str, namespace: str | None, total: int, counted: int
) -> None:
    more = {"verification": {"limits": {"total": total}}}
    cluster = Cluster(policies=[policy_object(kind, *([namespace] if namespace else []), **more)])
    cluster.running = [
        Running("other", "b", ((cluster.facts().composition.policies[0].origin, 1),))
    ]
    found = reconcile.ticket_for(cluster.facts())
    assert found is not None
    assert [number for _, number in found.totals] == [counted]


@given(tickets.filter(bool))
def test_where_nothing_runs_somebody_starts(waiting: list[Ticket]) -> None:
    found = places(waiting, [])
    assert any(place.may_start for place in found.values())
    assert sorted(place.position for place in found.values()) == list(range(1, len(waiting) + 1))


def test_a_full_queue_is_told_in_the_status() -> None:
    cluster = Cluster(running=[Running(f"other-{number}", "b") for number in range(32)])
    decision = cluster.look()
    assert (cluster.phase, cluster.reason, cluster.jobs) == ("Pending", "Queued", {})
    assert decision.ticket is not None
    queue = cluster.status["queue"]
    assert isinstance(queue, dict)
    assert queue["position"] == 1
    assert "32 under its policies" in queue["waitingFor"]
    since = queue["since"]
    cluster.pass_time(hours=1)
    assert cluster.look().status is None
    assert cluster.status["queue"] == queue
    ticket = reconcile.ticket_for(cluster.facts())
    assert ticket is not None
    assert ticket.since == NOW
    cluster.running = []
    cluster.settle()
    assert cluster.phase == "Verified"
    assert "queue" not in cluster.status
    assert since


@pytest.mark.parametrize("has_keys", [True, False])
def test_only_who_wants_to_be_verified_has_a_ticket(has_keys: bool) -> None:
    cluster = Cluster()
    if has_keys:
        cluster.settle()
    else:
        cluster.keys = ()
    assert reconcile.ticket_for(cluster.facts(place=Place())) is None


def test_a_refresh_waits_for_its_turn_too() -> None:
    cluster = Cluster()
    cluster.settle()
    cluster.pass_time(hours=140)
    cluster.running = [Running(f"other-{number}", "b") for number in range(32)]
    cluster.look()
    assert cluster.phase == "Verified"
    assert "queue" in cluster.status


def test_the_cpu_keeps_the_turn_of_the_device() -> None:
    device = {"resource": "nvidia.com/gpu", "fallback": {"device": "cpu", "after": "1m"}}
    cluster = Cluster(policies=[policy_object(verification={"device": device})])
    cluster.look()
    (job,) = cluster.jobs.values()
    cluster.start_pod(job, node="")
    cluster.pass_time(minutes=2)
    cluster.running = [Running(f"other-{number}", "b") for number in range(40)]
    cluster.look()
    assert (cluster.phase, cluster.jobs_made, len(cluster.jobs)) == ("Verifying", 2, 1)


@pytest.mark.parametrize(("position", "shown"), [(1, 1), (2, 10), (10, 10), (11, 100), (999, 1000)])
def test_positions_are_rounded_up(position: int, shown: int) -> None:
    assert rounded(position) == shown


@given(st.integers(1, 50), st.integers(0, 10), st.text(max_size=8))
def test_the_wait_grows_and_has_an_end(attempts: int, retries: int, uid: str) -> None:
    wait = delay_after(attempts, retries, uid)
    assert FIRST <= wait <= 1.25 * SLOWEST
    assert wait <= delay_after(attempts + 1, retries, uid)
    assert 1 <= spread(uid, 0.25) <= 1.25


@pytest.mark.parametrize(
    ("attempts", "retries", "minutes"),
    [
        pytest.param(0, 3, 0.5, id="none yet"),
        pytest.param(1, 3, 0.5, id="the first"),
        pytest.param(2, 3, 1, id="twice as long"),
        pytest.param(3, 3, 2, id="the last that is soon"),
        pytest.param(4, 3, 60, id="then every hour"),
        pytest.param(1, 0, 60, id="at once, where no retry is wanted"),
        pytest.param(7, 20, 32, id="still doubling"),
        pytest.param(8, 20, 60, id="never above an hour"),
        pytest.param(200, 300, 60, id="whatever the number"),
    ],
)
def test_the_wait_doubles_and_is_hourly_in_the_end(
    attempts: int, retries: int, minutes: float
) -> None:
    wait = delay_after(attempts, retries, "u") / spread("u", SPREAD)
    assert abs(wait - timedelta(minutes=minutes)) < timedelta(milliseconds=1)


def test_checkpoints_that_failed_together_are_not_tried_together() -> None:
    factors = sorted(spread(f"uid-{number}", 0.25) for number in range(100))
    assert len(set(factors)) == 100
    assert factors[0] < 1.05
    assert factors[-1] > 1.2
