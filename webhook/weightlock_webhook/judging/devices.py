"""The classes of devices that a pod's DRA claims ask for, read live (B21).

A driver may inject mounts of the host, so whoever runs the webhook names the classes that were
looked at. Where none is named nothing is read: any claim for devices beside a governed volume is
refused.

A claim is read by its name. One that is made from a template has none until the pod exists; then
the pod's status says which it is, and that one counts, since the template can be another one by
now. At binding no other will do.
"""

from collections.abc import Callable
from typing import Protocol

from weightlock_webhook.cache.features import Features
from weightlock_webhook.decision.devices import classes_in
from weightlock_webhook.gathering.subjects import DeviceClasses, Subject
from weightlock_webhook.live.reads import DEVICE_CLAIM_TEMPLATES, DEVICE_CLAIMS, LiveReads, arrived
from weightlock_webhook.mounts.pods import DeviceClaim


class Devices(Protocol):
    """Whoever knows the classes."""

    async def classes(
        self, subject: Subject, deadline: float, *, is_binding: bool
    ) -> DeviceClasses:
        """Of each claim whose classes are known, those that it asks for."""
        ...


class LiveDevices:
    """Reads them."""

    def __init__(self, reads: LiveReads, features: Callable[[], Features]) -> None:
        self._reads = reads
        self._features = features

    async def classes(
        self, subject: Subject, deadline: float, *, is_binding: bool
    ) -> DeviceClasses:
        """Of each claim whose classes are known, those that it asks for.

        Raises:
            WeightlockError: if the API server does not say.
        """
        api = self._features().device_api
        if not api:
            return ()
        made = await self._made(subject, deadline)
        claims = subject.pod.device_claims
        sources = {each: _source(each, made, is_binding=is_binding) for each in claims}
        reads = {
            source: self._reads.device_claim(api, source[0], (subject.namespace, source[1]))
            for source in sources.values()
            if source is not None
        }
        await arrived(reads.values(), deadline)
        found: dict[str, frozenset[str] | None] = {}
        for claim, source in sources.items():
            item = reads[source].result() if source is not None else None
            classes = classes_in(item.spec) if item is not None else None
            found[claim.key] = _both(found.get(claim.key, frozenset()), classes)
        return tuple((key, each) for key, each in found.items() if each is not None)

    async def _made(self, subject: Subject, deadline: float) -> dict[str, str | None]:
        """The claims that were made from templates, for a pod that is there."""
        if not subject.uid or not any(each.template for each in subject.pod.device_claims):
            return {}
        read = self._reads.claimed_devices((subject.namespace, subject.name))
        await arrived((read,), deadline)
        pod = read.result()
        return pod.made if pod is not None and pod.metadata.uid == subject.uid else {}


def _source(
    claim: DeviceClaim, made: dict[str, str | None], *, is_binding: bool
) -> tuple[str, str] | None:
    """Where a claim's classes are read; None if nobody can tell yet."""
    name = claim.claim or made.get(claim.name)
    if name:
        return DEVICE_CLAIMS, name
    return None if is_binding else (DEVICE_CLAIM_TEMPLATES, claim.template)


def _both(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    """Two claims of one template: what is unknown of one is unknown of both."""
    return None if one is None or other is None else one | other
