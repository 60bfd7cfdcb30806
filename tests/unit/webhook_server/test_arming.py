"""Whether the API server asks us, and who puts that right (A05)."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.webhook_server.standins import Cluster

from weightlock.errors import Malformed, Unanswerable, Unreadable
from weightlock_webhook.arming.comparison import (
    MUTATING,
    PLURALS,
    VALIDATING,
    Arming,
    Configuration,
    arming_of,
)
from weightlock_webhook.arming.disarming import arm, disarm
from weightlock_webhook.arming.keeper import Keeper
from weightlock_webhook.arming.marker import is_disarmed, mark
from weightlock_webhook.arming.restoring import bundle_patch, decoded_bundle, encoded_bundle
from weightlock_webhook.arming.shipped import ShippedFile, configurations_in, read
from weightlock_webhook.arming.store import ReleaseStore
from weightlock_webhook.certificates import tls
from weightlock_webhook.certificates.authority import AUTHORITY_LIFE
from weightlock_webhook.certificates.rotation import OVERLAP, Authorities
from weightlock_webhook.certificates.serving import OwnLeaf, Serving
from weightlock_webhook.election import DURATION_SECONDS, LEASE, RENEW_SECONDS, Election

ROOT = Path(__file__).parents[3]
FILE = ROOT / "manifests" / "base" / "webhook" / "configuration.yaml"
TEXT = FILE.read_text()
SHIPPED = configurations_in(TEXT)
VALIDATING_SHIPPED = next(each for each in SHIPPED if each.kind == VALIDATING)
MUTATING_SHIPPED = next(each for each in SHIPPED if each.kind == MUTATING)
NOW = datetime(2026, 11, 21, tzinfo=UTC)
SYSTEM = "weightlock-system"
ROOT_PATH = "/apis/admissionregistration.k8s.io/v1"
STATE = f"/api/v1/namespaces/{SYSTEM}/configmaps/weightlock-state"
SECRET = f"/api/v1/namespaces/{SYSTEM}/secrets/weightlock-webhook-ca"
LEASE_PATH = f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases/{LEASE}"

Object = dict[str, Any]


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


def path_of(kind: str) -> str:
    return f"{ROOT_PATH}/{PLURALS[kind]}/weightlock"


def edited(change: Callable[[Object], object]) -> Configuration:
    document: Object = copy.deepcopy(dict(VALIDATING_SHIPPED.document))
    change(document["webhooks"][0])
    return Configuration(VALIDATING, "weightlock", document)


def defaulted(document: Object) -> Object:
    """As an API server stores it."""
    found = copy.deepcopy(document)
    for webhook in found["webhooks"]:
        webhook.setdefault("objectSelector", {})
        webhook.setdefault("namespaceSelector", {})
        webhook["clientConfig"]["caBundle"] = "QUFB"
        if found["kind"] == MUTATING:
            webhook.setdefault("reinvocationPolicy", "Never")
    return found


def test_what_the_api_server_fills_in_is_no_difference() -> None:
    for shipped in SHIPPED:
        live = Configuration(shipped.kind, "weightlock", defaulted(dict(shipped.document)))
        assert arming_of(shipped, live) is Arming.ARMED
    assert arming_of(VALIDATING_SHIPPED, None) is Arming.MISSING


def drop(key: str) -> Callable[[Object], object]:
    return lambda webhook: webhook.pop(key)


def put(key: str, value: object) -> Callable[[Object], object]:
    return lambda webhook: webhook.update({key: value})


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(put("failurePolicy", "Ignore"), id="optional"),
        pytest.param(put("rules", []), id="no rules"),
        pytest.param(put("timeoutSeconds", 1), id="a short wait"),
        pytest.param(drop("timeoutSeconds"), id="the default wait"),
        pytest.param(put("objectSelector", {"matchLabels": {"skip": "no"}}), id="a selector"),
        pytest.param(put("namespaceSelector", {}), id="no selector"),
        pytest.param(
            put("matchConditions", [{"name": "x", "expression": "false"}]), id="a condition"
        ),
        pytest.param(put("somethingNew", 1), id="a field that nobody knows"),
        pytest.param(put("name", "other.weightlock.dev"), id="another name"),
        pytest.param(
            put("clientConfig", {"service": {"name": "x", "namespace": "y"}}), id="another service"
        ),
        pytest.param(put("clientConfig", {"url": "https://evil.example"}), id="another address"),
        pytest.param(lambda webhook: webhook["rules"][0]["operations"].remove("UPDATE"), id="less"),
        pytest.param(lambda webhook: webhook["rules"][0].update(scope="Cluster"), id="no scope"),
    ],
)
def test_any_other_is_one(change: Callable[[Object], object]) -> None:
    assert arming_of(VALIDATING_SHIPPED, edited(change)) is Arming.EDITED


def test_the_order_of_operations_is_no_difference_but_a_missing_webhook_is() -> None:
    turned = edited(lambda webhook: webhook["rules"][0]["operations"].reverse())
    assert arming_of(VALIDATING_SHIPPED, turned) is Arming.ARMED
    document = {**VALIDATING_SHIPPED.document, "webhooks": VALIDATING_SHIPPED.webhooks[1:]}
    assert arming_of(VALIDATING_SHIPPED, Configuration(VALIDATING, "w", document)) is Arming.EDITED


def test_a_bundle_is_patched_and_nothing_else() -> None:
    live = Configuration(VALIDATING, "weightlock", defaulted(dict(VALIDATING_SHIPPED.document)))
    operations = bundle_patch(live, "PEM")
    assert len(operations) == 2 * len(live.webhooks)
    assert {each["op"] for each in operations} == {"test", "add"}
    assert decoded_bundle(encoded_bundle("PEM")) == "PEM"
    assert decoded_bundle("!") == ""


def test_a_mark_is_for_the_configurations_of_its_time() -> None:
    data = mark(["u1", "", "u2"])
    assert is_disarmed(data, [])
    assert is_disarmed(data, ["u2"])
    assert not is_disarmed(data, ["u2", "u3"])
    assert not is_disarmed({}, [])
    assert not is_disarmed({**data, "disarmed": "false"}, [])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: [",
        "kind: ValidatingWebhookConfiguration",
        TEXT.split("---")[0],
        f"{TEXT}\n---\n{TEXT}",
        f"{TEXT}\n---\napiVersion: v1\nkind: Secret\n",
    ],
    ids=["nothing", "no YAML", "no version", "one", "two of each", "something else"],
)
def test_a_file_that_is_not_both_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        configurations_in(text)


def test_the_file_is_read_anew_and_a_broken_one_ignored(tmp_path: Path) -> None:
    path = tmp_path / "shipped.yaml"
    with pytest.raises(Unreadable):
        read(path)
    path.write_text(TEXT)
    file = ShippedFile(path)
    assert file() == SHIPPED
    path.write_text("nonsense: [")
    assert file() == SHIPPED
    path.write_text(TEXT.replace("timeoutSeconds: 5", "timeoutSeconds: 6"))
    assert file() != SHIPPED


# --- the keeper -------------------------------------------------------------------------------


class Site:
    """A keeper over a cluster in memory; the clock is set by hand."""

    def __init__(self, *, leads: bool = True, own: bool = True) -> None:
        self.cluster = Cluster()
        self.leads = leads
        self.now = NOW
        self.serving = Serving(tls.server_context(), self)
        leaf = OwnLeaf(self.serving, ("hook.ns.svc",)) if own else None
        self.store = ReleaseStore(self.cluster, SYSTEM)
        self.keeper = Keeper(
            self.store, lambda: SHIPPED, leaf, lambda: self.leads, lambda: self.now
        )

    def certificate_taken(self, not_after: datetime) -> None:
        self.taken = not_after

    def certificate_refused(self) -> None:
        raise AssertionError

    def live(self, kind: str) -> Object:
        return self.cluster.objects[path_of(kind)]

    @property
    def is_armed(self) -> bool:
        return self.keeper.is_armed

    def authorities(self) -> Authorities:
        import base64  # noqa: PLC0415

        data = self.cluster.objects[SECRET]["data"]
        return Authorities.from_data(
            {key: base64.b64decode(value).decode() for key, value in data.items()}
        )

    async def rounds(self, count: int = 3) -> None:
        for _ in range(count):
            await self.keeper.round()


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
        del site.cluster.objects[path_of(kind)]
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
        assert path_of(VALIDATING) not in site.cluster.objects
        assert path_of(MUTATING) not in site.cluster.objects
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
                site.cluster.put(path_of(VALIDATING), late.pop())

        await disarm(site.store, "weightlock", sleep)
        assert path_of(VALIDATING) not in site.cluster.objects
        await site.rounds()
        assert path_of(VALIDATING) not in site.cluster.objects

    run(test())


def test_what_a_leader_made_too_late_it_takes_back() -> None:
    async def test() -> None:
        site = Site()
        await site.rounds()
        del site.cluster.objects[path_of(VALIDATING)]
        seen = site.store.state

        async def state() -> dict[str, str]:
            found = await seen()
            site.cluster.put(
                STATE, {"metadata": {"name": "weightlock-state"}, "data": mark(["uid-1"])}
            )
            return found

        site.store.state = state  # type: ignore[method-assign]  # the mark arrives between looks
        await site.keeper.round()
        assert path_of(VALIDATING) not in site.cluster.objects

    run(test())


def test_a_later_installation_is_not_disarmed_and_arm_undoes_it() -> None:
    async def test() -> None:
        site = Site()
        await site.rounds()

        async def sleep(_: float) -> None:
            pass

        await disarm(site.store, "weightlock", sleep)
        for shipped in SHIPPED:
            site.cluster.put(path_of(shipped.kind), dict(shipped.document))
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


# --- the election -----------------------------------------------------------------------------


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


def test_the_shipped_file_is_the_manifest() -> None:
    assert len(list(yaml.safe_load_all(TEXT))) == 2
