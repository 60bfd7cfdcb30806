"""Tokens at the ends of paths: made, written, replaced, and known by every replica."""

from __future__ import annotations

import copy
import re
from datetime import timedelta

import pytest
from tests.unit.webhook_server.armed import (
    NOW,
    PODS,
    SHIPPED,
    VALIDATING_SHIPPED,
    Object,
    Site,
    defaulted,
    edited,
    path_of_kind,
    run,
)

from weightlock.errors import Unanswerable
from weightlock_webhook.arming.comparison import (
    PLURALS,
    VALIDATING,
    Arming,
    Configuration,
    arming_of,
)
from weightlock_webhook.arming.keeper import ROUND_SECONDS
from weightlock_webhook.arming.restoring import (
    entries_of,
    path_patch,
)
from weightlock_webhook.arming.store import DOOR_ANNOTATION
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
from weightlock_webhook.server.gate import GRACE_SECONDS

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
