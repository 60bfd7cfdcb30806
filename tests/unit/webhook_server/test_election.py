"""One replica leads, and another soon after it is gone."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.webhook_server.armed import LEASE_PATH, NOW, SYSTEM, run
from tests.webhook_server.standins import Cluster

from weightlock.errors import Unanswerable
from weightlock_webhook.arming.store import ReleaseStore
from weightlock_webhook.election import DURATION_SECONDS, RENEW_SECONDS, Election


def leads(election: Election) -> bool:
    return election.is_leader


def test_one_leads_until_it_resigns_or_falls_silent() -> None:
    async def test() -> None:
        cluster = Cluster()
        one, other = (Election(cluster, SYSTEM, name, lambda: NOW) for name in ("one", "other"))
        await one.attempt()
        await other.attempt()
        assert (one.is_leader, other.is_leader) == (True, False)
        await one.attempt()
        assert one.is_leader
        await one.resign()
        assert not leads(one)
        await other.attempt()
        assert leads(other)
        await one.attempt()
        assert not leads(one)
        await one.resign()

    run(test())


def test_a_holder_that_changes_nothing_is_replaced_by_our_own_clock() -> None:
    class Later(asyncio.SelectorEventLoop):
        offset = 0.0

        def time(self) -> float:
            return super().time() + self.offset

    async def test() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Later)
        cluster = Cluster()
        one, other = (Election(cluster, SYSTEM, name, lambda: NOW) for name in ("one", "other"))
        await one.attempt()
        await other.attempt()
        loop.offset += DURATION_SECONDS - 1
        await other.attempt()
        assert not other.is_leader
        assert not one.is_leader  # it has not renewed, so it cannot be sure
        loop.offset += 2
        await other.attempt()
        assert leads(other)
        transitions = cluster.objects[LEASE_PATH]["spec"]["leaseTransitions"]
        assert transitions == 1

    with asyncio.Runner(loop_factory=Later) as runner:
        runner.run(test())
    assert RENEW_SECONDS < DURATION_SECONDS / 2


def test_whoever_loses_the_race_does_not_lead() -> None:
    async def test() -> None:
        cluster = Cluster()
        election = Election(cluster, SYSTEM, "one", lambda: NOW)
        cluster._get = lambda *_: (404, {})  # type: ignore[method-assign]  # not there yet
        cluster._post = lambda *_: (409, {})  # type: ignore[method-assign]  # and then it is
        await election.attempt()
        assert not election.is_leader
        cluster.fails = Unanswerable("down")
        with pytest.raises(Unanswerable):
            await election.attempt()

    run(test())


def test_an_unexpected_answer_is_no_lease() -> None:
    async def test() -> None:
        cluster = Cluster()
        cluster._get = lambda *_: (500, {})  # type: ignore[method-assign]
        with pytest.raises(Unanswerable):
            await Election(cluster, SYSTEM, "one", lambda: NOW).attempt()
        with pytest.raises(Unanswerable):
            await ReleaseStore(cluster, SYSTEM).state()

    run(test())
