"""Pods that the webhook holds until what they mount is verified, and when they may go.

Letting one go decides nothing: admission looks again when the pod is bound, with live reads. So a
pod may be let go too early at the cost of one more refusal, and never loads anything for it.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from weightlock.cluster_names import (
    HELD_LABEL,
    NUDGED_AT_ANNOTATION,
    SCHEDULING_GATE,
    WAITS_FOR_ANNOTATION,
)
from weightlock.errors import Malformed
from weightlock.policy import scalars
from weightlock.policy.checkpoints import Checkpoint
from weightlock.policy.fields import Fields
from weightlock.policy.paths import VolumePath
from weightlock.policy.sources import ClaimSource
from weightlock_operator.decision.actions import NudgePod, ReleasePod

MAX_WAITS = 20
MAX_ANNOTATION_CHARACTERS = 16 * 1024


@dataclass(frozen=True, slots=True)
class Wait:
    """One volume that a held pod waits for: a claim, or a checkpoint, or both."""

    claim: str
    checkpoint: str
    path: VolumePath


@dataclass(frozen=True, slots=True)
class HeldPod:
    """A pod that is held. What it says of itself a tenant may have written."""

    namespace: str
    name: str
    uid: str
    waits: tuple[Wait, ...] = ()
    has_gate: bool = False
    nudged_at: str = ""
    node_selector: tuple[tuple[str, str], ...] = ()
    required_affinity: Mapping[str, object] | None = None
    tolerations: tuple[Mapping[str, object], ...] = ()

    @classmethod
    def from_object(cls, value: object) -> "HeldPod | None":
        """Read a pod; None if it is not held: without our label, or let in in spite of it.

        Raises:
            Malformed: for what the API server would not have sent.
        """
        root = Fields(value, "pod", None, Malformed)
        metadata, spec = root.section("metadata", None), root.section("spec", None)
        if metadata.section("labels", None).text_or(HELD_LABEL, str, "") != "true":
            return None
        if spec.text_or("nodeName", str, "") or is_over(root.section("status", None)):
            return None  # nobody removes the label where servers know no gates
        annotations = metadata.section("annotations", None)
        gates = spec.sections("schedulingGates", None)
        node_affinity = spec.section("affinity", None).section("nodeAffinity", None)
        required = "requiredDuringSchedulingIgnoredDuringExecution"
        selector = spec.mapping_of_texts("nodeSelector", str)
        return cls(
            namespace=metadata.text("namespace", str),
            name=metadata.text("name", str),
            uid=metadata.text("uid", str),
            waits=_waits(annotations.text_or(WAITS_FOR_ANNOTATION, str, "[]")),
            has_gate=any(gate.text("name", str) == SCHEDULING_GATE for gate in gates),
            nudged_at=annotations.text_or(NUDGED_AT_ANNOTATION, str, ""),
            node_selector=tuple(sorted(selector.items())),
            required_affinity=node_affinity.mapping(required)
            if node_affinity.has(required)
            else None,
            tolerations=tuple(spec.mappings("tolerations")),
        )

    def waits_for(self, checkpoint: Checkpoint) -> bool:
        """Whether a checkpoint of its namespace is among what it waits for."""
        return any(_is_about(wait, checkpoint) for wait in self.waits)


def is_over(status: Fields) -> bool:
    """Whether a pod of this status runs no more."""
    return status.text_or("phase", str, "") in ("Succeeded", "Failed")


def release(
    pod: HeldPod, admitted: Iterable[Checkpoint], *, nudge: bool
) -> ReleasePod | NudgePod | None:
    """What lets a held pod go, once every volume that it waits for has an admitted checkpoint.

    `nudge` says that the pod may be nudged again; pods without a gate only ever are.
    """
    good = tuple(admitted)
    ready = bool(pod.waits) and all(
        any(_is_about(wait, each) and each.spec.path.covers(wait.path) for each in good)
        for wait in pod.waits
    )
    if not ready:
        return None
    if pod.has_gate:
        return ReleasePod(pod.namespace, pod.name, pod.uid)
    return NudgePod(pod.namespace, pod.name, pod.uid) if nudge else None


def _is_about(wait: Wait, checkpoint: Checkpoint) -> bool:
    if wait.checkpoint and wait.checkpoint == checkpoint.metadata.name:
        return True
    source = checkpoint.spec.source
    return bool(wait.claim) and isinstance(source, ClaimSource) and source.claim_name == wait.claim


def _waits(text: str) -> tuple[Wait, ...]:
    """What the annotation says; nothing if anything of it is not as the webhook writes it."""
    if len(text) > MAX_ANNOTATION_CHARACTERS:
        return ()
    try:
        items = json.loads(text)
        holder = Fields({"waits": items}, "waits-for", None, Malformed)
        found = tuple(
            Wait(
                item.text_or("claim", scalars.optional_name, ""),
                item.text_or("checkpoint", scalars.optional_name, ""),
                item.text_or("path", VolumePath.parse, VolumePath()),
            )
            for item in holder.sections("waits", None)
        )
    except (ValueError, RecursionError, Malformed):
        return ()
    return found if len(found) <= MAX_WAITS else ()
