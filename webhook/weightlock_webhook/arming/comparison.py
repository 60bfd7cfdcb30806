"""Shipped and live configurations, compared. Pure.

Whatever is in one and not in the other counts, except what each cluster must say for itself: the
caBundle, the token that ends each path, and what the API server fills in. A rule that is narrower,
a selector or a match condition that somebody added, `failurePolicy: Ignore`: each is another
configuration.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from weightlock_webhook.arming.tokens import BARE, token_of, with_token

VALIDATING: Final = "ValidatingWebhookConfiguration"
MUTATING: Final = "MutatingWebhookConfiguration"
API_VERSION: Final = "admissionregistration.k8s.io/v1"

PLURALS: Final = {
    VALIDATING: "validatingwebhookconfigurations",
    MUTATING: "mutatingwebhookconfigurations",
}

_DEFAULTS: Final[Mapping[str, object]] = {
    "failurePolicy": "Fail",
    "matchPolicy": "Equivalent",
    "namespaceSelector": {},
    "objectSelector": {},
    "timeoutSeconds": 10,
    "matchConditions": [],
}
_DEFAULTS_OF_MUTATING: Final[Mapping[str, object]] = {"reinvocationPolicy": "Never"}
_UNORDERED: Final = frozenset(
    {"operations", "apiGroups", "apiVersions", "resources", "admissionReviewVersions"}
)


class Arming(StrEnum):
    """What one configuration is like."""

    ARMED = "armed"
    MISSING = "missing"
    EDITED = "edited"


@dataclass(frozen=True, slots=True)
class Configuration:
    """One webhook configuration as an object."""

    kind: str
    name: str
    document: Mapping[str, object]

    @property
    def uid(self) -> str:
        """Which of all those of this name it is; empty for a shipped one."""
        uid = mapping(self.document.get("metadata")).get("uid")
        return uid if isinstance(uid, str) else ""

    @property
    def webhooks(self) -> tuple[Mapping[str, object], ...]:
        """Its entries, in their order."""
        entries = self.document.get("webhooks")
        return tuple(map(mapping, entries)) if isinstance(entries, list) else ()

    @property
    def bundles(self) -> tuple[str, ...]:
        """The caBundle of each entry, as base64."""
        return tuple(
            str(mapping(each.get("clientConfig")).get("caBundle") or "") for each in self.webhooks
        )

    @property
    def tokens(self) -> tuple[str, ...]:
        """The token that ends the path of each entry."""
        return tuple(token_of(mapping(each.get("clientConfig"))) for each in self.webhooks)

    @classmethod
    def of(cls, document: Mapping[str, object]) -> "Configuration":
        """Read what the API server or a file holds."""
        name = mapping(document.get("metadata")).get("name")
        return cls(str(document.get("kind")), str(name), document)


def arming_of(shipped: Configuration, live: Configuration | None) -> Arming:
    """How the live one stands to the shipped one."""
    if live is None:
        return Arming.MISSING
    mutating = shipped.kind == MUTATING
    same = essence(shipped.webhooks, mutating=mutating) == essence(live.webhooks, mutating=mutating)
    return Arming.ARMED if same else Arming.EDITED


def essence(webhooks: Iterable[Mapping[str, object]], *, mutating: bool) -> Sequence[object]:
    """The entries with every default spelt out and without what is the cluster's own."""
    defaults = {**_DEFAULTS, **(_DEFAULTS_OF_MUTATING if mutating else {})}
    return [_entry(each, defaults) for each in webhooks]


def _entry(webhook: Mapping[str, object], defaults: Mapping[str, object]) -> Mapping[str, object]:
    found = {**defaults, **{key: value for key, value in webhook.items() if value is not None}}
    client = dict(with_token(mapping(found.get("clientConfig")), BARE))
    client.pop("caBundle", None)
    if isinstance(client.get("service"), Mapping):
        client["service"] = {"port": 443, **mapping(client["service"])}
    rules = found.get("rules")
    listed = rules if isinstance(rules, list) else []
    found["rules"] = [_rule(mapping(rule)) for rule in listed]
    found["clientConfig"] = client
    return {key: _plain(key, value) for key, value in found.items()}


def _rule(rule: Mapping[str, object]) -> Mapping[str, object]:
    return {key: _plain(key, value) for key, value in {"scope": "*", **rule}.items()}


def _plain(key: str, value: object) -> object:
    if key in _UNORDERED and isinstance(value, list):
        return sorted(map(str, value))
    return value


def mapping(value: object) -> Mapping[str, object]:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, Mapping) else {}
