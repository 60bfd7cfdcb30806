"""Two replicas, one Lease, and clocks that the test turns."""

import asyncio
import copy
from datetime import UTC, datetime

import pytest
from tests.support.memory_cluster import Hands, MemoryCluster

from weightlock_operator.api.cluster import LEASES
from weightlock_operator.api.cluster_errors import NotLeader, Unavailable
from weightlock_operator.api.leader import (
    LEASE_SECONDS,
    Candidate,
    Election,
    LeaseFence,
    micro_time,
)
from weightlock_operator.api.restores import Epoch, Moment

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LEASE = ("leases", "weightlock-system", "weightlock-operator")


class Replica:
    def __init__(self, cluster: MemoryCluster, identity: str, hands: Hands) -> None:
        self.hands = hands
        self.fence = LeaseFence(hands)
        self.election = Election(
            cluster,
            Candidate("weightlock-system", "weightlock-operator", identity),
            clock=hands,
            wall=lambda: NOW,
            fence=self.fence,
        )

    def attempt(self) -> bool:
        return asyncio.run(self.election._attempt())


@pytest.fixture
def cluster() -> MemoryCluster:
    return MemoryCluster()


def holder(cluster: MemoryCluster) -> object:
    return cluster.objects["leases", "weightlock-system", "weightlock-operator"]["spec"][
        "holderIdentity"
    ]


def test_the_first_leads_and_the_second_waits(cluster: MemoryCluster) -> None:
    one, two = Replica(cluster, "one", Hands()), Replica(cluster, "two", Hands())
    assert one.attempt()
    assert not two.attempt()
    assert (one.fence.holds, two.fence.holds) == (True, False)
    assert holder(cluster) == "one"


def test_nobody_writes_before_leading(cluster: MemoryCluster) -> None:
    with pytest.raises(NotLeader):
        Replica(cluster, "one", Hands()).fence.check()


def test_a_lease_that_is_renewed_is_never_taken(cluster: MemoryCluster) -> None:
    hands = Hands()
    one, two = Replica(cluster, "one", hands), Replica(cluster, "two", hands)
    for _ in range(20):
        assert one.attempt()
        assert not two.attempt()
        hands.seconds += 2


def test_a_lease_that_does_not_change_is_taken_after_its_time(cluster: MemoryCluster) -> None:
    one, two = Replica(cluster, "one", Hands()), Replica(cluster, "two", Hands(5.0))
    one.attempt()
    assert not two.attempt()
    two.hands.seconds += LEASE_SECONDS
    assert not two.attempt()
    two.hands.seconds += 1
    assert two.attempt()
    assert holder(cluster) == "two"
    assert not one.attempt(), "the first sees that it leads no more"


def test_wall_clocks_play_no_part(cluster: MemoryCluster) -> None:
    one = Replica(cluster, "one", Hands())
    one.attempt()
    lease = cluster.objects["leases", "weightlock-system", "weightlock-operator"]
    lease["spec"]["renewTime"] = "1999-01-01T00:00:00.000000Z"
    assert not Replica(cluster, "two", Hands()).attempt()


def test_a_paused_process_writes_nothing_when_it_goes_on(cluster: MemoryCluster) -> None:
    one = Replica(cluster, "one", Hands())
    one.attempt()
    one.fence.check()
    one.hands.seconds += 60
    with pytest.raises(NotLeader, match="too old"):
        one.fence.check()


def test_the_time_that_a_renewal_took_does_not_count(cluster: MemoryCluster) -> None:
    one = Replica(cluster, "one", Hands())

    def slow(_call: object) -> None:
        one.hands.seconds += 4

    cluster.before = slow
    one.attempt()
    one.hands.seconds += 3
    assert not one.fence.holds, "8 s for two requests and 3 s since: older than 10 s"


def test_a_server_that_is_away_does_not_end_leading_at_once(cluster: MemoryCluster) -> None:
    one = Replica(cluster, "one", Hands())
    one.attempt()

    def away(_call: object) -> None:
        raise Unavailable("away")

    cluster.before = away
    one.hands.seconds += 5
    assert not one.attempt()
    assert one.fence.holds
    one.hands.seconds += 6
    assert not one.fence.holds


def test_whoever_is_slower_in_a_race_does_not_lead(cluster: MemoryCluster) -> None:
    one, two = Replica(cluster, "one", Hands()), Replica(cluster, "two", Hands())

    def overtake(call: object) -> None:
        if getattr(call, "verb", "") == "create":
            cluster.before = lambda _call: None
            cluster.add(
                LEASES,
                {
                    "metadata": {"name": "weightlock-operator", "namespace": "weightlock-system"},
                    "spec": {"holderIdentity": "two", "leaseDurationSeconds": 15},
                },
            )

    cluster.before = overtake
    assert not one.attempt()
    assert two.attempt()
    assert not one.fence.holds


def test_a_released_lease_is_taken_at_once(cluster: MemoryCluster) -> None:
    one, two = Replica(cluster, "one", Hands()), Replica(cluster, "two", Hands())
    one.attempt()
    asyncio.run(one.election.release())
    assert not one.fence.holds
    assert two.attempt()
    spec = cluster.objects["leases", "weightlock-system", "weightlock-operator"]["spec"]
    assert spec["leaseTransitions"] == 3


def test_a_renewal_is_one_request(cluster: MemoryCluster) -> None:
    one = Replica(cluster, "one", Hands())
    one.attempt()
    before = len(cluster.calls)
    one.attempt()
    assert [call.verb for call in cluster.calls[before:]] == ["replace"]


def test_whoever_was_overtaken_looks_who_leads(cluster: MemoryCluster) -> None:
    one = Replica(cluster, "one", Hands())
    one.attempt()
    lease = cluster.objects["leases", "weightlock-system", "weightlock-operator"]
    lease["spec"]["holderIdentity"] = "two"
    cluster.add(LEASES, lease)
    assert not one.attempt()
    asyncio.run(asyncio.wait_for(one.election.hold(), 10))
    assert not one.fence.holds


def test_releasing_what_was_never_held_writes_nothing(cluster: MemoryCluster) -> None:
    asyncio.run(Replica(cluster, "one", Hands()).election.release())
    assert not cluster.calls


def test_every_answer_tells_its_moment(cluster: MemoryCluster) -> None:
    """Every write is counted, whoever makes it, and reading tells the count too."""
    hands = Hands()
    one, two = Replica(cluster, "one", hands), Replica(cluster, "two", hands)
    heard: list[Moment] = []
    for each in (one, two):
        each.election.heard = lambda moment, _uid: heard.append(moment)
    one.attempt()
    one.attempt()
    two.attempt()
    asyncio.run(one.election.release())
    two.attempt()
    assert [moment.renewals for moment in heard] == [1, 2, 2, 3, 4]
    versions = [moment.version for moment in heard]
    assert versions == sorted(versions)


def test_a_lease_of_another_time_tells_an_earlier_moment(cluster: MemoryCluster) -> None:
    """A39: a restore may raise its resource version, and not what it says."""
    one, epoch = Replica(cluster, "one", Hands()), Epoch()
    one.election.heard = epoch.hear
    one.attempt()
    backup = copy.deepcopy(cluster.objects[LEASE])
    one.attempt()
    one.attempt()
    assert not epoch.take()
    cluster.add(LEASES, backup)
    one.attempt()
    assert epoch.take()


def test_what_else_is_written_on_the_lease_is_kept(cluster: MemoryCluster) -> None:
    one = Replica(cluster, "one", Hands())
    one.attempt()
    lease = cluster.objects[LEASE]
    lease["metadata"]["annotations"] = {"note": "theirs"}
    cluster.add(LEASES, lease)
    one.attempt()
    annotations = cluster.objects[LEASE]["metadata"]["annotations"]
    assert annotations == {"note": "theirs", "weightlock.dev/renewals": "1"}


def test_micro_times_have_six_digits() -> None:
    assert micro_time(NOW) == "2026-01-01T00:00:00.000000Z"
