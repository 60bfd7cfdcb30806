"""Whether the API server asks us, and who puts that right (A05)."""

from __future__ import annotations

import copy
from datetime import timedelta

import pytest
from tests.unit.webhook_server.armed import (
    NOW,
    SECRET,
    SHIPPED,
    STATE,
    VALIDATING_SHIPPED,
    Site,
    path_of_kind,
    run,
)

from weightlock.errors import Malformed, Unanswerable
from weightlock_webhook.arming.comparison import (
    MUTATING,
    PLURALS,
    VALIDATING,
)
from weightlock_webhook.arming.disarming import arm, disarm
from weightlock_webhook.arming.marker import mark
from weightlock_webhook.arming.restoring import (
    encoded_bundle,
)
from weightlock_webhook.certificates.authority import AUTHORITY_LIFE
from weightlock_webhook.certificates.rotation import OVERLAP


def test_a_leader_brings_everything_about() -> None:
    async def test() -> None:
        site = Site()
        assert (site.is_armed, site.keeper.bundles) == (False, None)
        await site.rounds()
        assert site.is_armed
        assert site.serving.troubles(NOW, site.keeper.bundles) == ()
        bundle = encoded_bundle(site.authorities().bundle)
        for kind in PLURALS:
            for webhook in site.live(kind)["webhooks"]:
                assert webhook["clientConfig"]["caBundle"] == bundle

    run(test())


def test_nobody_else_writes_but_everybody_may_begin_the_authority() -> None:
    async def test() -> None:
        site = Site(leads=False)
        await site.rounds()
        assert not site.is_armed
        assert site.serving.pair
        assert [call for call in site.cluster.calls if call[0] != "GET"] == [
            ("POST", SECRET.rpartition("/")[0])
        ]

    run(test())


def test_a_secret_that_broke_is_the_leaders_to_replace() -> None:
    async def test() -> None:
        site = Site(leads=False)
        site.cluster.put(SECRET, {"metadata": {"name": "weightlock-webhook-ca"}, "data": {}})
        with pytest.raises(Malformed):
            await site.keeper.round()
        site.leads = True
        await site.rounds()
        assert site.authorities().current.key

    run(test())


@pytest.mark.parametrize("kind", PLURALS)
def test_what_is_edited_or_removed_comes_back_with_its_labels(kind: str) -> None:
    async def test() -> None:
        site = Site()
        await site.rounds()
        labels = {"app.kubernetes.io/managed-by": "Helm"}
        site.live(kind)["metadata"]["labels"] = labels
        await site.rounds(1)
        site.live(kind)["webhooks"][0]["failurePolicy"] = "Ignore"
        await site.rounds(1)
        assert site.is_armed
        assert site.live(kind)["webhooks"][0]["failurePolicy"] == "Fail"
        del site.cluster.objects[path_of_kind(kind)]
        await site.rounds(2)
        assert site.is_armed
        assert site.live(kind)["metadata"]["labels"] == labels
        assert site.live(kind)["webhooks"][0]["clientConfig"]["caBundle"]

    run(test())


def test_with_certificates_of_another_only_the_rules_are_kept() -> None:
    async def test() -> None:
        site = Site(own=False)
        await site.rounds()
        assert site.is_armed
        assert site.keeper.bundles is None
        assert SECRET not in site.cluster.objects
        live = site.live(VALIDATING)
        live["webhooks"][0]["clientConfig"]["caBundle"] = "QUFB"
        live["webhooks"][0]["failurePolicy"] = "Ignore"
        await site.rounds(1)
        fixed = site.live(VALIDATING)["webhooks"]
        assert fixed[0]["failurePolicy"] == "Fail"
        assert fixed[0]["clientConfig"]["caBundle"] == "QUFB"

    run(test())


def test_an_uninstall_is_not_worked_against() -> None:
    async def test() -> None:
        site = Site()
        await site.rounds()

        async def sleep(_: float) -> None:
            await site.rounds(1)

        await disarm(site.store, "weightlock", sleep)
        site.cluster.calls.clear()
        await site.rounds()
        assert {method for method, _ in site.cluster.calls} == {"GET"}
        assert path_of_kind(VALIDATING) not in site.cluster.objects
        assert path_of_kind(MUTATING) not in site.cluster.objects
        assert not site.is_armed
        assert site.cluster.objects[STATE]["data"]["disarmed"] == "true"

    run(test())


def test_one_that_was_put_back_meanwhile_goes_too() -> None:
    async def test() -> None:
        site = Site()
        await site.rounds()
        late = [copy.deepcopy(dict(VALIDATING_SHIPPED.document))]

        async def sleep(_: float) -> None:
            if late:
                site.cluster.put(path_of_kind(VALIDATING), late.pop())

        await disarm(site.store, "weightlock", sleep)
        assert path_of_kind(VALIDATING) not in site.cluster.objects
        await site.rounds()
        assert path_of_kind(VALIDATING) not in site.cluster.objects

    run(test())


def test_what_a_leader_made_too_late_it_takes_back() -> None:
    async def test() -> None:
        site = Site()
        await site.rounds()
        del site.cluster.objects[path_of_kind(VALIDATING)]
        seen = site.store.state

        async def state() -> dict[str, str]:
            found = await seen()
            site.cluster.put(
                STATE, {"metadata": {"name": "weightlock-state"}, "data": mark(["uid-1"])}
            )
            return found

        site.store.state = state  # type: ignore[method-assign]  # the mark arrives between looks
        await site.keeper.round()
        assert path_of_kind(VALIDATING) not in site.cluster.objects

    run(test())


def test_a_later_installation_is_not_disarmed_and_arm_undoes_it() -> None:
    async def test() -> None:
        site = Site()
        await site.rounds()

        async def sleep(_: float) -> None:
            pass

        await disarm(site.store, "weightlock", sleep)
        for shipped in SHIPPED:
            site.cluster.put(path_of_kind(shipped.kind), dict(shipped.document))
        await site.rounds()
        assert site.is_armed
        await disarm(site.store, "weightlock", sleep)
        await arm(site.store)
        await site.rounds()
        assert site.is_armed

    run(test())


def test_the_authority_rotates_under_way() -> None:
    async def test() -> None:
        site = Site()
        await site.rounds()
        first = site.authorities().current
        site.now = NOW + AUTHORITY_LIFE * 3 / 4
        await site.rounds(3)
        announced = site.authorities()
        assert announced.current == first
        assert announced.next
        assert announced.next_since == site.now
        site.now += OVERLAP
        await site.rounds(3)
        moved = site.authorities()
        assert moved.current == announced.next
        assert site.serving.troubles(site.now, site.keeper.bundles) == ()
        site.now += timedelta(days=8)
        await site.rounds(3)
        assert site.authorities().previous == ""
        assert site.serving.troubles(site.now, site.keeper.bundles) == ()

    run(test())


def test_a_refusal_of_the_api_server_is_an_error() -> None:
    async def test() -> None:
        site = Site()
        site.cluster.fails = Unanswerable("down")
        with pytest.raises(Unanswerable):
            await site.keeper.round()
        assert not site.is_armed

    run(test())
