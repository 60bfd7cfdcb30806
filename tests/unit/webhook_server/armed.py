"""A keeper of configurations over a cluster in memory, and what was shipped."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.webhook_server.standins import Cluster

from weightlock_webhook.arming.comparison import (
    MUTATING,
    PLURALS,
    VALIDATING,
    Configuration,
)
from weightlock_webhook.arming.keeper import Keeper
from weightlock_webhook.arming.shipped import configurations_in
from weightlock_webhook.arming.store import ReleaseStore
from weightlock_webhook.arming.tokens import (
    token_of,
)
from weightlock_webhook.certificates import tls
from weightlock_webhook.certificates.rotation import Authorities
from weightlock_webhook.certificates.serving import OwnLeaf, Serving
from weightlock_webhook.election import LEASE
from weightlock_webhook.server.gate import Sightings

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
