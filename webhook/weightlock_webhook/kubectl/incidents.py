"""What events say about pods that were refused, held or not scheduled.

A refused pod does not exist, so nothing can be read of it; but whatever tried to make it wrote an
event, and so did the webhook. Events are forgotten after an hour, and anybody in the namespace can
write them: they are shown and never believed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from weightlock.cluster_names import REQUESTED_EVENT
from weightlock.policy.scalars import printable
from weightlock_webhook.kubectl.cluster import (
    CORE,
    Cluster,
    Forbidden,
    JsonObject,
    found_at,
    namespaced,
    text_at,
)
from weightlock_webhook.kubectl.progress import to_the_second
from weightlock_webhook.kubectl.targets import KINDS, MAKERS, Target, kind_of

REASONS: Final = ("FailedCreate", "FailedScheduling", REQUESTED_EVENT)
MOST: Final = 5


@dataclass(frozen=True, slots=True)
class Incident:
    """One event, as far as a person wants it."""

    about: str
    reason: str
    message: str
    last: str
    count: int


def events_of(cluster: Cluster, namespace: str) -> Sequence[JsonObject]:
    """The events of a namespace that could say something; none if the user may not read them."""
    path = namespaced(namespace, "events", api=CORE)
    try:
        return [event for reason in REASONS for event in cluster.list(path, {"reason": reason})]
    except Forbidden:
        return ()


def incidents(
    events: Iterable[JsonObject], names: Iterable[str], claims: Iterable[str]
) -> tuple[Incident, ...]:
    """The latest events about objects of these names, what these made, and these claims."""
    wanted, of_claims = tuple(names), frozenset(claims)
    found = [_incident(each) for each in events if _concerns(each, wanted, of_claims)]
    return tuple(sorted(found, key=lambda incident: incident.last, reverse=True)[:MOST])


def maker_of(cluster: Cluster, target: Target, events: Iterable[JsonObject]) -> Target | None:
    """The workload that would have made a pod of this name; None if none is known."""
    known = [
        Target(kind, target.namespace, text_at(each, "involvedObject", "name"))
        for each in events
        if text_at(each, "reason") == "FailedCreate"
        and (kind := kind_of(text_at(each, "involvedObject", "kind"))) in KINDS
        and kind is not None
    ]
    for kind in MAKERS:
        path = namespaced(target.namespace, kind.plural, api=kind.api)
        try:
            listed = cluster.list(path)
        except Forbidden:
            continue
        known += [
            Target(kind, target.namespace, text_at(each, "metadata", "name")) for each in listed
        ]
    makers = [each for each in known if each.name and target.name.startswith(f"{each.name}-")]
    return max(makers, key=lambda maker: len(maker.name), default=None)


def _concerns(event: JsonObject, names: tuple[str, ...], claims: frozenset[str]) -> bool:
    about = text_at(event, "involvedObject", "name")
    if text_at(event, "involvedObject", "kind") == "PersistentVolumeClaim":
        return about in claims
    return any(about == name or about.startswith(f"{name}-") for name in names)


def _incident(event: JsonObject) -> Incident:
    about = event.get("involvedObject")
    count = found_at(event, "count") or found_at(event, "series", "count")
    return Incident(
        f"{text_at(about, 'kind').lower()}/{text_at(about, 'name')}",
        printable(text_at(event, "reason")),
        printable(" ".join(text_at(event, "message").split())),
        to_the_second(
            text_at(event, "lastTimestamp")
            or text_at(event, "eventTime")
            or text_at(event, "metadata", "creationTimestamp")
        ),
        count if isinstance(count, int) else 1,
    )
