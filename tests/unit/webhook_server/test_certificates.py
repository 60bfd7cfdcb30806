"""One authority follows another without a moment in which nobody is trusted (A39)."""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.webhook_server.listeners import NAME, answer_of, running
from tests.webhook_server.mounted import mounted
from tests.webhook_server.requests import pod, review

from weightlock.errors import KeyUnusable, Malformed, Unreadable
from weightlock_webhook.certificates import tls
from weightlock_webhook.certificates.authority import (
    AUTHORITY_LIFE,
    LEAF_LIFE,
    Pair,
    client_leaf,
    is_issued_by,
    is_pair,
    new_authority,
    server_leaf,
)
from weightlock_webhook.certificates.rotation import OVERLAP, Authorities, following
from weightlock_webhook.certificates.serving import (
    Files,
    OwnLeaf,
    Serving,
    certificates_in,
    service_names,
    trusts,
)

START = datetime(2026, 11, 21, tzinfo=UTC)
FIRST = new_authority(START)
OTHER = new_authority(START)
NAMES = ("hook.ns.svc", "hook.ns")


class Gauges:
    def __init__(self) -> None:
        self.taken: list[datetime] = []
        self.refused = 0

    def certificate_taken(self, not_after: datetime) -> None:
        self.taken.append(not_after)

    def certificate_refused(self) -> None:
        self.refused += 1


def test_a_leaf_is_its_authoritys_and_ends_with_it() -> None:
    leaf = server_leaf(FIRST, NAMES, START)
    assert is_issued_by(leaf.certificate, FIRST.certificate)
    assert not is_issued_by(leaf.certificate, OTHER.certificate)
    assert not is_issued_by("nonsense", FIRST.certificate)
    assert leaf.not_after == START + LEAF_LIFE
    late = START + AUTHORITY_LIFE - timedelta(days=1)
    assert server_leaf(FIRST, NAMES, late).not_after == FIRST.not_after
    with pytest.raises(Malformed):
        server_leaf(FIRST, NAMES, START + AUTHORITY_LIFE)


@pytest.mark.parametrize(
    ("at", "due"),
    [
        (START - timedelta(hours=2), True),
        (START, False),
        (START + LEAF_LIFE / 2, False),
        (START + LEAF_LIFE * 3 / 4, True),
        (START + LEAF_LIFE * 2, True),
    ],
)
def test_two_thirds_of_a_life_are_enough(at: datetime, due: bool) -> None:
    assert server_leaf(FIRST, NAMES, START).is_due(at) is due


@pytest.mark.parametrize(
    "pair",
    [
        pytest.param(Pair("", ""), id="nothing"),
        pytest.param(Pair(FIRST.certificate, OTHER.key), id="another's key"),
        pytest.param(Pair(FIRST.certificate, "nonsense"), id="no key"),
        pytest.param(Pair("nonsense", FIRST.key), id="no certificate"),
        pytest.param(Pair("é", "é"), id="no ASCII"),
    ],
)
def test_what_does_not_belong_together_is_no_pair(pair: Pair) -> None:
    assert not is_pair(pair)
    assert is_pair(FIRST)


def test_a_key_of_another_kind_is_refused() -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    with pytest.raises(KeyUnusable):
        server_leaf(Pair(FIRST.certificate, pem), NAMES, START)


def test_what_is_stored_is_what_is_read() -> None:
    found = Authorities(FIRST, OTHER, START, OTHER.certificate, START + LEAF_LIFE)
    assert Authorities.from_data(found.data()) == found
    assert Authorities.from_data(Authorities(FIRST).data()) == Authorities(FIRST)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"ca.crt": FIRST.certificate},
        {"ca.crt": FIRST.certificate, "ca.key": OTHER.key},
        {"ca.crt": "x", "ca.key": "y"},
    ],
    ids=["nothing", "no key", "another's key", "nonsense"],
)
def test_a_secret_that_cannot_be_used_is_none(data: dict[str, str]) -> None:
    with pytest.raises(Malformed):
        Authorities.from_data(data)


def test_instants_that_cannot_be_read_count_as_missing() -> None:
    data = {**Authorities(FIRST, OTHER, START).data(), "next.since": "yesterday"}
    assert Authorities.from_data(data).next_since is None


def test_a_rotation_step_by_step() -> None:
    young = Authorities(FIRST)
    assert following(young, START, bundle_is_live=True) is young
    due = START + AUTHORITY_LIFE * 3 / 4
    announced = following(young, due, bundle_is_live=True)
    assert announced.current == FIRST
    assert announced.next
    assert announced.next.certificate in announced.bundle
    # It does not sign before both configurations carry it, and not at once then.
    assert following(announced, due + OVERLAP * 9, bundle_is_live=False) == announced
    seen = following(announced, due, bundle_is_live=True)
    assert seen.next_since == due
    assert following(seen, due + OVERLAP / 2, bundle_is_live=True) is seen
    assert following(seen, due + OVERLAP / 2, bundle_is_live=False).next_since is None
    moved = following(seen, due + OVERLAP, bundle_is_live=True)
    assert (moved.current, moved.previous) == (announced.next, FIRST.certificate)
    assert FIRST.certificate in moved.bundle
    # The old one is trusted for as long as its leaves may live.
    assert following(moved, due + OVERLAP + LEAF_LIFE / 2, bundle_is_live=True) == moved
    dropped = following(moved, due + OVERLAP + LEAF_LIFE, bundle_is_live=True)
    assert dropped == Authorities(moved.current)


def test_an_authority_that_has_ended_is_replaced_at_once() -> None:
    late = START + AUTHORITY_LIFE
    assert following(Authorities(FIRST, OTHER), late, bundle_is_live=False).current == OTHER
    assert following(Authorities(FIRST), late, bundle_is_live=False).current != FIRST


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 40), st.booleans()), min_size=1, max_size=60))
def test_law_every_leaf_is_trusted_by_what_was_live_when_it_was_signed(
    steps: list[tuple[int, bool]],
) -> None:
    """However the days go by and whenever the configurations catch up."""
    now, found = START, Authorities(FIRST)
    live = found.bundle
    for days, catches_up in steps:
        if found.current.not_after <= now + timedelta(days=days):
            return  # nobody looked for months: the one case without an overlap
        now += timedelta(days=days)
        found = following(found, now, bundle_is_live=live == found.bundle)
        leaf = server_leaf(found.current, NAMES, now)
        assert trusts(live, leaf)
        if catches_up:
            live = found.bundle
            assert trusts(live, leaf)


def test_a_bundle_is_taken_apart() -> None:
    assert len(certificates_in(FIRST.certificate + OTHER.certificate)) == 2
    assert certificates_in("") == ()
    assert service_names("hook", "ns")[0] == "hook.ns.svc"


# --- what is served ---------------------------------------------------------------------------


def serving() -> tuple[Serving, Gauges]:
    gauges = Gauges()
    return Serving(tls.server_context(), gauges), gauges


def test_a_pair_that_cannot_be_taken_leaves_the_one_before() -> None:
    found, gauges = serving()
    good = server_leaf(FIRST, NAMES, START)
    assert found.take(good)
    for _ in range(2):
        assert not found.take(Pair(good.certificate, OTHER.key))
        assert not found.take(Pair("x", "y"))
    assert found.pair == good
    assert (len(gauges.taken), gauges.refused) == (1, 4)


def test_a_leaf_is_signed_when_it_is_due_or_anothers() -> None:
    found, gauges = serving()
    own = OwnLeaf(found, NAMES)
    for _ in range(3):
        own.keep(Authorities(FIRST), START)
    assert len(gauges.taken) == 1
    own.keep(Authorities(OTHER), START)
    assert len(gauges.taken) == 2
    own.keep(Authorities(OTHER), START + LEAF_LIFE * 3 / 4)
    assert len(gauges.taken) == 3


def test_troubles_are_told() -> None:
    found, _ = serving()
    assert found.troubles(START, None) == ("no certificate yet",)
    found.take(server_leaf(FIRST, NAMES, START))
    assert found.troubles(START, None) == ()
    assert found.troubles(START, (FIRST.certificate, OTHER.certificate + FIRST.certificate)) == ()
    assert "does not trust" in found.troubles(START, (FIRST.certificate, ""))[0]
    assert "ends at" in found.troubles(START + LEAF_LIFE, None)[0]


def test_files_are_followed(tmp_path: Path) -> None:
    found, gauges = serving()
    files = Files(found, tmp_path)
    with pytest.raises(Unreadable):
        files.keep()
    for authority in (FIRST, OTHER):
        pair = server_leaf(authority, NAMES, START)
        (tmp_path / "tls.crt").write_text(pair.certificate)
        (tmp_path / "tls.key").write_text(pair.key)
        files.keep()
        files.keep()
        assert found.pair == pair
    assert len(gauges.taken) == 2


class Swapping(type(Path())):  # type: ignore[misc]
    """A folder whose content is swapped whenever a certificate of it was read."""

    swaps: ClassVar[list[Callable[[], None]]] = []

    def read_text(self, *arguments: Any, **more: Any) -> str:
        found: str = super().read_text(*arguments, **more)
        if self.name == "tls.crt" and self.swaps:
            self.swaps.pop()()
        return found


@pytest.mark.parametrize("times", [0, 1, 2])
def test_a_swap_between_the_two_files_is_never_a_pair_of_two_halves(
    times: int, tmp_path: Path
) -> None:
    found, gauges = serving()
    pairs = [server_leaf(FIRST, NAMES, START) for _ in range(times + 1)]
    mounted(tmp_path, 0, pairs[0])
    Swapping.swaps.clear()
    for number in range(times, 0, -1):
        Swapping.swaps.append(functools.partial(mounted, tmp_path, number, pairs[number]))
    Files(found, Swapping(tmp_path)).keep()
    assert not Swapping.swaps
    assert found.pair == pairs[times]
    assert len(gauges.taken) == 1
    assert gauges.refused == 0


def test_the_context_is_strict() -> None:
    context = tls.server_context()
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_NONE
    assert tls.server_context((FIRST.certificate,)).verify_mode is ssl.CERT_REQUIRED
    with pytest.raises(Malformed):
        tls.server_context(("nonsense",))
    with pytest.raises(Malformed):
        tls.client_context("nonsense")


def test_the_hybrid_exchange_is_offered_where_openssl_has_it() -> None:
    assert tls.offers_hybrid((3, 5, 0))
    assert tls.offers_hybrid((4, 0, 0, 0, 0))
    assert not tls.offers_hybrid((3, 4, 9))


# --- on a listener ----------------------------------------------------------------------------


def test_a_certificate_changes_while_connections_stay() -> None:
    now = datetime.now(UTC)  # noqa: TID251 TLS looks at the clock
    second = new_authority(now)

    async def test() -> None:
        async with running() as server:
            reader, writer = await server.connect()
            body = review(new=pod())
            head = "POST /validate/pods HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
            request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
            writer.write(request)
            assert (await answer_of(reader))[0] == 200
            tls.take(server.context, server_leaf(second, (NAME,), now))
            writer.write(request)
            assert (await answer_of(reader))[0] == 200
            writer.close()
            with pytest.raises(ssl.SSLError):
                await server.connect()
            newer = replace(server, authority=second)
            assert (await newer.post("/validate/pods", body))[0] == 200

    asyncio.run(test())


def test_where_clients_must_show_a_certificate_others_get_nothing() -> None:
    now = datetime.now(UTC)  # noqa: TID251 TLS looks at the clock
    own = new_authority(now)

    async def test() -> None:
        async with running(client_authorities=(own.certificate,)) as server:
            with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
                await server.post("/validate/pods", review(new=pod()))
            context = tls.client_context(
                server.authority.certificate, client_leaf(own, "api-server", now)
            )
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", server.port, ssl=context, server_hostname=NAME
            )
            body = review(new=pod())
            head = "POST /validate/pods HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            assert (await answer_of(reader))[0] == 200
            writer.close()

    asyncio.run(test())


def test_older_tls_is_refused() -> None:
    async def test() -> None:
        async with running() as server:
            context = server.client()
            context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
            context.set_ciphers("AES256-SHA:@SECLEVEL=0")
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await asyncio.open_connection(
                    "127.0.0.1", server.port, ssl=context, server_hostname=NAME
                )
            reader, writer = await server.connect()
            del reader
            assert writer.get_extra_info("ssl_object").version() == "TLSv1.3"
            writer.close()

    asyncio.run(test())
