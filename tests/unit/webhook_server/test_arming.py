"""Whether the API server asks us, and who puts that right (A05)."""

from __future__ import annotations

import asyncio
import copy
import re
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
from weightlock_webhook.arming.keeper import ROUND_SECONDS, Keeper
from weightlock_webhook.arming.marker import is_disarmed, mark
from weightlock_webhook.arming.restoring import (
    bundle_patch,
    decoded_bundle,
    document_of,
    encoded_bundle,
    entries_of,
    path_patch,
)
from weightlock_webhook.arming.shipped import ShippedFile, configurations_in, read
from weightlock_webhook.arming.store import DOOR_ANNOTATION, ReleaseStore
from weightlock_webhook.arming.tokens import (
    BARE,
    LIFE,
    is_due,
    new_token,
    path_of,
    token_of,
    with_token,
    youngest,
)
from weightlock_webhook.certificates import tls
from weightlock_webhook.certificates.authority import AUTHORITY_LIFE
from weightlock_webhook.certificates.rotation import OVERLAP, Authorities
from weightlock_webhook.certificates.serving import OwnLeaf, Serving
from weightlock_webhook.election import DURATION_SECONDS, LEASE, RENEW_SECONDS, Election
from weightlock_webhook.server.gate import GRACE_SECONDS, Sightings

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
PODS = f"/api/v1/namespaces/{SYSTEM}/pods"
LEASE_PATH = f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases/{LEASE}"

Object = dict[str, Any]


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


def path_of_kind(kind: str) -> str:
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


TOKEN = new_token(NOW)
PATHS = [
    pytest.param({"service": {"name": "w", "path": "/validate/pods"}}, id="a service"),
    pytest.param({"url": "https://localhost:8443/validate/pods"}, id="an address"),
]


@pytest.mark.parametrize("client", PATHS)
def test_a_token_ends_a_path_and_there_is_one_at_most(client: Object) -> None:
    once = with_token({**client, "caBundle": "QUFB"}, TOKEN)
    assert token_of(once) == TOKEN
    assert path_of(once)[1].endswith(f"/validate/pods/{TOKEN}")
    other = new_token(NOW)
    assert with_token(once, other) == {**with_token(client, other), "caBundle": "QUFB"}
    assert with_token(once, BARE) == {**client, "caBundle": "QUFB"}
    assert token_of(client) == BARE


@pytest.mark.parametrize("client", [{}, {"service": {"name": "w"}}, {"service": []}, {"url": 5}])
def test_where_there_is_no_path_there_is_no_token(client: Object) -> None:
    assert with_token(client, TOKEN) == client
    assert token_of(client) == BARE


def test_tokens_are_long_new_and_of_letters_that_the_api_takes() -> None:
    assert new_token(NOW) != TOKEN
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", TOKEN)
    assert len(TOKEN.partition("-")[2]) == 64


@pytest.mark.parametrize(
    ("token", "after", "due"),
    [
        pytest.param(TOKEN, timedelta(), False, id="new"),
        pytest.param(TOKEN, LIFE - timedelta(seconds=1), False, id="almost old"),
        pytest.param(TOKEN, LIFE, True, id="old"),
        pytest.param(TOKEN, timedelta(minutes=-1), False, id="of a clock that is a bit ahead"),
        pytest.param(TOKEN, -LIFE, True, id="of the future"),
        pytest.param("x", timedelta(), True, id="of somebody else"),
        pytest.param(BARE, timedelta(), True, id="none"),
    ],
)
def test_a_token_tells_its_age(token: str, after: timedelta, due: bool) -> None:
    assert is_due(token, NOW + after) is due
    assert youngest([token], NOW + after) == (BARE if due else token)


def test_paths_are_patched_and_nothing_else() -> None:
    for shipped in SHIPPED:
        live = Configuration(shipped.kind, "weightlock", defaulted(dict(shipped.document)))
        operations = path_patch(live, TOKEN)
        assert len(operations) == 3 * len(live.webhooks)
        assert {each["op"] for each in operations} == {"test", "replace"}
        closed = Configuration(shipped.kind, "w", {"webhooks": entries_of(shipped, "", TOKEN)})
        assert closed.tokens == (TOKEN,) * len(live.webhooks)
        assert path_patch(closed, TOKEN) == []
        assert arming_of(shipped, closed) is Arming.ARMED


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(f"/validate/other/{TOKEN}", id="another path"),
        pytest.param("/validate/pods/weak", id="a token of somebody else"),
        pytest.param(f"/validate/pods/{TOKEN}/{TOKEN}", id="two tokens"),
    ],
)
def test_any_other_end_of_a_path_is_another_configuration(path: str) -> None:
    changed = edited(lambda webhook: webhook["clientConfig"]["service"].update(path=path))
    assert arming_of(VALIDATING_SHIPPED, changed) is Arming.EDITED


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


def test_annotations_of_the_installer_are_shipped_too(tmp_path: Path) -> None:
    path = tmp_path / "shipped.yaml"
    path.write_text(TEXT)
    for each in ShippedFile(path, {"a": "b"})():
        assert each.document["metadata"]["annotations"]["a"] == "b"  # type: ignore[index]
        assert each.webhooks == next(it for it in SHIPPED if it.kind == each.kind).webhooks


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
        self.cluster.put(PODS, {"items": []})
        self.sightings = Sightings(self.seconds)
        self.keeper = Keeper(
            self.store,
            lambda: SHIPPED,
            leaf,
            self.sightings,
            lambda: self.leads,
            lambda: self.now,
        )

    def seconds(self) -> float:
        return (self.now - NOW).total_seconds()

    def certificate_taken(self, not_after: datetime) -> None:
        self.taken = not_after

    def certificate_refused(self) -> None:
        raise AssertionError

    def live(self, kind: str) -> Object:
        return self.cluster.objects[path_of_kind(kind)]

    def tokens(self) -> set[str]:
        return {
            token_of(webhook["clientConfig"])
            for kind in PLURALS
            for webhook in self.live(kind)["webhooks"]
        }

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


OF_INJECTOR = "b3RoZXIgYnVuZGxl"


def inject(site: Site, bundle: str = OF_INJECTOR) -> None:
    """What cert-manager's cainjector does, by an update of the whole object."""
    for kind in PLURALS:
        document = copy.deepcopy(site.live(kind))
        for webhook in document["webhooks"]:
            webhook["clientConfig"]["caBundle"] = bundle
        site.cluster.put(path_of_kind(kind), document)


def bundles_of(site: Site) -> set[str]:
    return {
        webhook["clientConfig"].get("caBundle", "")
        for kind in PLURALS
        for webhook in site.live(kind)["webhooks"]
    }


@pytest.mark.parametrize("bundle", [OF_INJECTOR, "w6TDtsO8", "no base64"])
def test_a_bundle_that_is_not_ours_stays_whatever_is_put_right(bundle: str) -> None:
    async def test() -> None:
        site = Site(own=False)
        await site.rounds()
        inject(site, bundle)
        await site.rounds()
        site.live(VALIDATING)["webhooks"][0]["failurePolicy"] = "Ignore"
        await site.rounds()
        assert (site.is_armed, bundles_of(site)) == (True, {bundle})
        site.live(MUTATING)["webhooks"][0]["timeoutSeconds"] = 1
        del site.live(MUTATING)["webhooks"][0]["clientConfig"]["caBundle"]
        await site.rounds()
        assert (site.is_armed, bundles_of(site)) == (True, {bundle}), "as the other one says"
        for kind in PLURALS:
            del site.cluster.objects[path_of_kind(kind)]
        await site.rounds()
        assert (site.is_armed, bundles_of(site)) == (True, {bundle}), "as it was last seen"

    run(test())


def test_whoever_writes_at_the_same_time_is_not_written_over() -> None:
    async def test() -> None:
        site = Site(own=False)
        await site.rounds()
        found = await site.store.configuration(VALIDATING, "weightlock")
        assert found is not None
        inject(site)
        await site.store.replace(found, entries_of(VALIDATING_SHIPPED, "", BARE))
        assert bundles_of(site) == {OF_INJECTOR}
        await site.rounds()
        assert (site.is_armed, bundles_of(site)) == (True, {OF_INJECTOR})

    run(test())


def test_what_is_put_back_has_the_annotations_that_were_shipped_and_those_that_were_seen() -> None:
    shipped = Configuration(
        VALIDATING,
        "weightlock",
        {**VALIDATING_SHIPPED.document, "metadata": {"annotations": {"a": "1", "b": "1"}}},
    )
    seen = Configuration(VALIDATING, "weightlock", {"metadata": {"annotations": {"b": "2"}}})
    for last, expected in ((seen, {"a": "1", "b": "2"}), (None, {"a": "1", "b": "1"})):
        metadata = document_of(shipped, "", BARE, last)["metadata"]
        assert metadata == {"name": "weightlock", "annotations": expected}


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


# --- tokens -------------------------------------------------------------------------------------


def replica(name: str, *, knows: bool, phase: str = "Running") -> Object:
    annotations = {DOOR_ANNOTATION: "token"} if knows else {}
    return {
        "metadata": {"name": name, "annotations": annotations},
        "status": {"phase": phase},
    }


async def settled(site: Site) -> None:
    """Rounds for as long as it takes."""
    for _ in range(4):
        await site.rounds(1)
        site.now += timedelta(seconds=ROUND_SECONDS)


@pytest.mark.parametrize("own", [True, False], ids=["own certificates", "cert-manager's"])
def test_paths_are_closed_once_every_replica_has_seen_them_open(own: bool) -> None:
    async def test() -> None:
        site = Site(own=own)
        await site.rounds(4)
        assert site.tokens() == {BARE}
        assert site.sightings.know(b"")
        await settled(site)
        (token,) = site.tokens()
        assert not is_due(token, site.now)
        assert site.is_armed
        assert site.sightings.know(token.encode())
        assert not site.sightings.know(new_token(site.now).encode())
        site.now += timedelta(seconds=GRACE_SECONDS)
        await site.rounds(1)
        assert not site.sightings.know(b"")
        assert site.sightings.know(token.encode())
        assert site.tokens() == {token}

    run(test())


def test_a_token_that_is_due_gives_way_and_counts_a_little_longer() -> None:
    async def test() -> None:
        site = Site()
        await settled(site)
        await settled(site)
        (first,) = site.tokens()
        site.now += LIFE
        await site.rounds(2)
        (second,) = site.tokens()
        assert first != second
        assert site.sightings.know(first.encode())
        site.now += timedelta(seconds=GRACE_SECONDS)
        await site.rounds(1)
        assert not site.sightings.know(first.encode())
        assert site.sightings.know(second.encode())

    run(test())


def test_what_an_installer_opens_again_is_answered_and_closed_again() -> None:
    async def test() -> None:
        site = Site()
        await settled(site)
        for shipped in SHIPPED:
            site.live(shipped.kind)["webhooks"] = copy.deepcopy(list(shipped.webhooks))
        await site.keeper.see()
        assert site.sightings.know(b"")
        await site.rounds(2)
        assert site.tokens() == {BARE}
        await settled(site)
        assert BARE not in site.tokens()

    run(test())


def test_nobody_but_the_leader_writes_tokens_and_everybody_knows_them() -> None:
    async def test() -> None:
        site, other = Site(), Site(leads=False)
        other.cluster.objects = site.cluster.objects
        await settled(site)
        (token,) = site.tokens()
        assert not other.sightings.know(token.encode())
        await other.keeper.see()
        assert other.sightings.know(token.encode())
        await settled(other)
        assert site.tokens() == {token}

    run(test())


@pytest.mark.parametrize(
    ("pods", "closed"),
    [
        pytest.param([replica("new", knows=True)], True, id="all know"),
        pytest.param(
            [replica("new", knows=True), replica("old", knows=False)], False, id="one does not"
        ),
        pytest.param([replica("old", knows=False, phase="Pending")], False, id="one will not"),
        pytest.param([replica("old", knows=False, phase="Failed")], True, id="that one has ended"),
    ],
)
def test_while_an_older_replica_runs_paths_have_no_tokens(pods: list[Object], closed: bool) -> None:
    async def test() -> None:
        site = Site()
        site.cluster.put(PODS, {"items": pods})
        await settled(site)
        assert (BARE not in site.tokens()) is closed
        site.cluster.put(PODS, {"items": [replica("new", knows=True)]})
        await settled(site)
        assert BARE not in site.tokens()
        site.cluster.put(PODS, {"items": [replica("old", knows=False)]})
        await site.rounds(1)
        assert site.tokens() == {BARE}

    run(test())


def test_without_a_word_on_replicas_paths_stay_as_they_are_and_all_else_goes_on() -> None:
    async def test() -> None:
        site = Site()

        async def forbidden() -> bool:
            raise Unanswerable("403")

        site.store.has_older_replicas = forbidden  # type: ignore[method-assign]  # no right to list pods
        await settled(site)
        assert site.tokens() == {BARE}
        assert site.is_armed
        assert site.serving.troubles(site.now, site.keeper.bundles) == ()

    run(test())


@pytest.mark.parametrize("kind", PLURALS)
def test_what_comes_back_comes_back_closed(kind: str) -> None:
    async def test() -> None:
        site = Site()
        await settled(site)
        (token,) = site.tokens()
        site.live(kind)["webhooks"][0]["failurePolicy"] = "Ignore"
        await site.rounds(1)
        assert site.tokens() == {token}
        del site.cluster.objects[path_of_kind(kind)]
        await site.rounds(1)
        assert site.tokens() == {token}

    run(test())


def test_paths_that_are_half_open_are_closed_with_what_the_others_have() -> None:
    async def test() -> None:
        site = Site()
        await settled(site)
        (token,) = site.tokens()
        client = site.live(VALIDATING)["webhooks"][0]["clientConfig"]
        client["service"]["path"] = "/validate/pods"
        await settled(site)
        assert site.tokens() == {token}

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
