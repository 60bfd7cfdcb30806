"""Which claims the pods of a namespace can write to, as the webhook's cache sees it.

The webhook watches, and so also remembers pods that are gone; from here only those that still exist
can be seen.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from weightlock.errors import Malformed, Refused
from weightlock.policy.scalars import instant
from weightlock_webhook.kubectl.cluster import JsonObject, found_at, items_at, text_at
from weightlock_webhook.mounts import sources
from weightlock_webhook.mounts.containers import Route
from weightlock_webhook.mounts.pods import Pod, pod_of

_ENDED = frozenset({"Succeeded", "Failed"})
_STATUSES = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")


def written_claims(pods: Iterable[JsonObject], now: datetime) -> Mapping[str, datetime]:
    """When a pod could last write to a claim, by the claim's name."""
    found: dict[str, datetime] = {}
    for pod in pods:
        seen = _seen_at(pod, now)
        if seen is not None:
            found |= {claim: max(seen, found.get(claim, seen)) for claim in _written_by(pod)}
    return found


def _written_by(pod: JsonObject) -> Iterator[str]:
    try:
        read = pod_of(pod.get("metadata"), pod.get("spec"))
    except Refused:
        return  # the API server stored it, so it is newer than this program; the webhook knows more
    written = set(_writable_volumes(read))
    for volume in read.volumes:
        match volume.source:
            case sources.ClaimSource(claim=claim, read_only=False) if volume.name in written:
                yield claim


def _writable_volumes(pod: Pod) -> Iterator[str]:
    for mount in pod.mounts:
        if mount.route is not Route.UNMOUNTED and not mount.read_only:
            yield mount.volume


def _seen_at(pod: JsonObject, now: datetime) -> datetime | None:
    if text_at(pod, "status", "phase") not in _ENDED:
        return now
    ends = [
        text_at(status, "state", "terminated", "finishedAt")
        for statuses in _STATUSES
        for status in items_at(pod, "status", statuses)
        if found_at(status, "state", "terminated")
    ]
    try:
        return max((instant(end) for end in ends if end), default=None)
    except Malformed:
        return now
