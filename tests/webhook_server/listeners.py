"""A whole listener on loopback, with certificates of its own and stand-ins behind it."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.webhook_server.standins import Cluster, Judge, Mutation, Records

from weightlock_webhook.certificates import tls
from weightlock_webhook.certificates.authority import Pair, client_leaf, new_authority, server_leaf
from weightlock_webhook.guards.users import Accounts
from weightlock_webhook.live.lanes import MOST_READS, Lanes
from weightlock_webhook.reviews.claims import ClaimReviews
from weightlock_webhook.reviews.desk import Desk, Handler, Recorder
from weightlock_webhook.reviews.pods import PodReviews, Rules
from weightlock_webhook.reviews.protected import ProtectedReviews
from weightlock_webhook.reviews.reading import Reading
from weightlock_webhook.reviews.resources import ResourceReviews
from weightlock_webhook.reviews.routes import MUTATE_PODS, SERVED, VALIDATE_PODS
from weightlock_webhook.reviews.waiting import WaitingRoom
from weightlock_webhook.reviews.wiring import handlers
from weightlock_webhook.reviews.workloads import WorkloadReviews
from weightlock_webhook.server.door import Door
from weightlock_webhook.server.gate import Gate, Sightings
from weightlock_webhook.server.limits import Limits
from weightlock_webhook.server.listening import Listener, https
from weightlock_webhook.settings import Address

NAME = "weightlock-webhook.weightlock-system.svc"
ACCOUNTS = Accounts("system:serviceaccount:weightlock-system:weightlock-operator")
OWN_TOKEN = "0" * 64
EXEMPT = frozenset({"kube-system", "weightlock-system"})
NOW = datetime(2026, 11, 21, tzinfo=UTC)


@dataclass
class Behind:
    """What stands behind the desk."""

    judge: Judge = field(default_factory=Judge)
    mutation: Mutation = field(default_factory=Mutation)
    cluster: Cluster = field(default_factory=Cluster)
    records: Records = field(default_factory=Records)
    recorder: Recorder | None = None
    """Who hears of decisions in place of the records."""

    images: frozenset[str] = frozenset()
    lanes: Lanes = field(default_factory=lambda: Lanes(MOST_READS))
    room: WaitingRoom = field(default_factory=WaitingRoom)

    def pods(self) -> PodReviews:
        rules = Rules(ACCOUNTS, EXEMPT, self.images)
        return PodReviews(self.judge, self.mutation, Reading(self.cluster, self.lanes), rules)

    def handlers(self) -> dict[str, Handler]:
        reading = Reading(self.cluster, self.lanes)
        return dict(
            handlers(
                self.pods(),
                ProtectedReviews(reading, ACCOUNTS),
                ResourceReviews(reading, ACCOUNTS),
                ClaimReviews(self.judge, EXEMPT),
                WorkloadReviews(self.judge, EXEMPT),
            )
        )

    def desk(self) -> Desk:
        at_once = self.pods().at_once
        paths = {VALIDATE_PODS: at_once, MUTATE_PODS: at_once}
        return Desk(self.handlers(), self.recorder or self.records, paths, self.room)

    async def ask(self, path: str, body: bytes, seconds: float = 3.0) -> dict[str, Any]:
        """What the desk answers, without a network."""
        now = asyncio.get_running_loop().time()
        answer = await self.desk().answer(path, body, now, now + seconds)
        found: dict[str, Any] = json.loads(answer)["response"]
        return found


@dataclass
class Running:
    """A listener, and how to reach it."""

    listener: Listener
    door: Door
    context: ssl.SSLContext
    authority: Pair
    behind: Behind
    looks: list[float]
    """When somebody looked at the live configurations."""

    fails: list[Exception]
    """What comes of further looks."""

    @property
    def port(self) -> int:
        return self.listener.port

    def client(self, *, certified: bool = False) -> ssl.SSLContext:
        pair = client_leaf(self.authority, "client", datetime.now(UTC)) if certified else None  # noqa: TID251 TLS looks at the clock
        return tls.client_context(self.authority.certificate, pair)

    async def connect(
        self, address: str = "127.0.0.1"
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection from this address; all of 127.0.0.0/8 is this machine's."""
        return await asyncio.open_connection(
            "127.0.0.1",
            self.port,
            ssl=self.client(),
            server_hostname=NAME,
            local_addr=(address, 0),
        )

    async def post(
        self, path: str, body: bytes, *, headers: str = "", method: str = "POST"
    ) -> tuple[int, bytes]:
        """One request by a connection of its own, as raw as it gets."""
        reader, writer = await self.connect()
        try:
            head = (
                f"{method} {path} HTTP/1.1\r\nHost: {NAME}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n{headers}\r\n"
            )
            writer.write(head.encode() + body)
            return await answer_of(reader)
        finally:
            writer.close()


async def answer_of(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Status and body of one HTTP response."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    status = int(head.split(" ", 2)[1])
    length = next(
        int(line.split(":")[1])
        for line in head.split("\r\n")
        if line.lower().startswith("content-length")
    )
    return status, await reader.readexactly(length)


@asynccontextmanager
async def running(
    behind: Behind | None = None,
    limits: Limits | None = None,
    client_authorities: tuple[str, ...] = (),
    named: set[str] | None = None,
) -> AsyncIterator[Running]:
    """One for the length of an `async with` block.

    `named` is what ends the paths of the live configurations: by default, they have no tokens.
    """
    now = datetime.now(UTC)  # noqa: TID251 TLS looks at the clock
    authority = new_authority(now)
    context = tls.server_context(client_authorities)
    tls.take(context, server_leaf(authority, (NAME,), now))
    found, bounds = behind or Behind(), limits or Limits()
    loop = asyncio.get_running_loop()
    sightings = Sightings(loop.time)
    live = {""} if named is None else named

    async def look() -> None:
        looks.append(loop.time())
        if fails:
            raise fails[0]
        sightings.saw(live)

    looks: list[float] = []
    fails: list[Exception] = []
    gate = Gate(sightings, look, OWN_TOKEN, loop.time)
    door = Door(found.desk(), frozenset(SERVED), gate, bounds)
    async with https(Address("127.0.0.1", 0), door, bounds, context) as listener:
        yield Running(listener, door, context, authority, found, looks, fails)
