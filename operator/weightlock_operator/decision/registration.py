"""Checkpoints that nobody registered and a pod asked for (autoRegister).

A held pod says so by its annotation, a refused one by an event that the webhook posts. Tenants can
forge both; all it gets them is a verification of a claim of their own namespace.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from weightlock.cluster_names import MANAGED_BY, MANAGED_BY_LABEL, REQUESTED_EVENT
from weightlock.errors import Malformed
from weightlock.policy import scalars
from weightlock.policy.checkpoints import CheckpointSpec
from weightlock.policy.composition import Composition
from weightlock.policy.fields import Fields
from weightlock.policy.paths import VolumePath
from weightlock.policy.registration import Registration
from weightlock.policy.sources import ClaimSource
from weightlock.policy.volumes import VolumeAction, VolumeFacts
from weightlock_operator.decision.actions import RegisterCheckpoint
from weightlock_operator.decision.holding import HeldPod

MOST_PER_NAMESPACE: Final = 1000
"""Checkpoints of a namespace beyond which nothing is registered by itself (D18)."""

_REPORTER: Final = "weightlock-webhook"


@dataclass(frozen=True, slots=True)
class Request:
    """A claim that somebody wants to be verified."""

    namespace: str
    claim: str


def requests_of_pod(pod: HeldPod) -> tuple[Request, ...]:
    """The claims that a held pod waits for and that no checkpoint is about."""
    claims = [wait.claim for wait in pod.waits if wait.claim and not wait.checkpoint]
    return tuple(Request(pod.namespace, claim) for claim in dict.fromkeys(claims))


def request_of_event(event: object) -> Request | None:
    """The claim that an event of the webhook is about; None for any other event."""
    try:
        fields = Fields(event, "event", None, Malformed)
        about = fields.section("involvedObject", None)
        said = (fields.text("reason", str), fields.text_or("reportingComponent", str, ""))
        if said != (REQUESTED_EVENT, _REPORTER):
            return None
        if about.text("kind", str) != "PersistentVolumeClaim":
            return None
        namespace = fields.section("metadata", None).text("namespace", scalars.name)
        if about.text_or("namespace", str, namespace) != namespace:
            return None
        return Request(namespace, about.text("name", scalars.name))
    except Malformed:
        return None


def registration(
    request: Request,
    composition: Composition,
    volume: VolumeFacts,
    known: Iterable[CheckpointSpec | None],
) -> RegisterCheckpoint | None:
    """The checkpoint to make for a claim; None if no policy wants that, or it has one.

    `composition` governs the namespace, `volume` is the claim as policies look at it, `known` are
    the checkpoints of the namespace, None for one that cannot be read.
    """
    there = list(known)
    if not composition.auto_register or len(there) >= MOST_PER_NAMESPACE:
        return None
    if composition.action_for(volume) is not VolumeAction.VERIFY:
        return None
    if any(spec and spec.source == ClaimSource(request.claim) for spec in there):
        return None  # somebody has said what of it is a model
    # The name is that of `weightlock register`, so whoever registers second finds the first.
    document = Registration(request.namespace, ClaimSource(request.claim), VolumePath()).document
    metadata = Fields(document, "checkpoint", None).mapping("metadata")
    return RegisterCheckpoint(
        {**document, "metadata": {**metadata, "labels": {MANAGED_BY_LABEL: MANAGED_BY}}}
    )
