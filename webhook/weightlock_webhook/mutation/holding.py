"""Keeping a pod from the scheduler until its verdict stands.

The gate does it where the server has gates. Where it has not, and where somebody takes all of this
away, the pod's binding to a node is refused; label and annotation only tell the operator whom to
release, and for what.
"""

import json
from collections.abc import Mapping
from itertools import islice
from typing import Final

from weightlock.cluster_names import HELD_LABEL, SCHEDULING_GATE, WAITS_FOR_ANNOTATION
from weightlock_webhook.decision.answers import Answer
from weightlock_webhook.mutation.shapes import objects_of, part_of, pointer, texts_of
from weightlock_webhook.reviews.collaborators import PatchOperation

HELD: Final = "true"
MOST_WAITED_FOR: Final = 20
"""Items of the annotation; more of one pod wait for the first of them anyway."""

_GATE: Final = {"name": SCHEDULING_GATE}


def holding_patch(
    metadata: Mapping[str, object],
    spec: Mapping[str, object],
    answer: Answer,
    *,
    has_gates: bool,
) -> list[PatchOperation]:
    """What holds a pod."""
    waits_for = json.dumps(waited_for(spec, answer), separators=(",", ":"))
    patch = [
        _with_text(metadata, "labels", HELD_LABEL, HELD),
        _with_text(metadata, "annotations", WAITS_FOR_ANNOTATION, waits_for),
    ]
    if has_gates and not has_gate(spec):
        patch.append(_with_gate(spec))
    return patch


def not_held(metadata: Mapping[str, object], spec: Mapping[str, object], *, has_gates: bool) -> str:
    """What a pod lacks that must be held, as a sentence; empty if nothing."""
    if has_gates and not has_gate(spec):
        return f"The pod must be held and has no scheduling gate {SCHEDULING_GATE}."
    if texts_of(metadata, "labels").get(HELD_LABEL) != HELD:
        return f"The pod must be held and has no label {HELD_LABEL}."
    if not texts_of(metadata, "annotations").get(WAITS_FOR_ANNOTATION):
        return f"The pod must be held and has no annotation {WAITS_FOR_ANNOTATION}."
    return ""


def let_go(before: Mapping[str, object], after: Mapping[str, object]) -> str:
    """What an update took away of what held a pod, as a sentence; empty if nothing.

    A pod that has its node is held by nothing any more: its binding was the last look at it.
    """
    if part_of(before, "spec").get("nodeName"):
        return ""
    if has_gate(part_of(before, "spec")) and not has_gate(part_of(after, "spec")):
        return f"The scheduling gate {SCHEDULING_GATE} was removed from a held pod."
    metadata = part_of(before, "metadata"), part_of(after, "metadata")
    for field, key in (("labels", HELD_LABEL), ("annotations", WAITS_FOR_ANNOTATION)):
        had, has = (texts_of(each, field).get(key) for each in metadata)
        if had is not None and has != had:
            return f"{key} of a held pod was changed."
    return ""


def has_gate(spec: Mapping[str, object]) -> bool:
    """Whether our gate is on a pod."""
    return any(gate.get("name") == SCHEDULING_GATE for gate in objects_of(spec, "schedulingGates"))


def waited_for(spec: Mapping[str, object], answer: Answer) -> list[dict[str, str]]:
    """What the pod waits for: what the annotation tells the operator."""
    claims = {
        volume.get("name"): part_of(volume, "persistentVolumeClaim").get("claimName", "")
        for volume in objects_of(spec, "volumes")
    }
    unique = dict.fromkeys(
        (problem.volume, problem.path or "/", problem.checkpoint)
        for problem in answer.refusals
        if problem.awaits_verdict
    )
    return [
        {
            "volume": volume,
            "claim": str(claims.get(volume, "")),
            "path": path,
            "checkpoint": checkpoint,
        }
        for volume, path, checkpoint in islice(unique, MOST_WAITED_FOR)
    ]


def _with_text(metadata: Mapping[str, object], field: str, key: str, value: str) -> PatchOperation:
    if not texts_of(metadata, field):
        return {"op": "add", "path": f"/metadata/{field}", "value": {key: value}}
    return {"op": "add", "path": f"/metadata/{field}/{pointer(key)}", "value": value}


def _with_gate(spec: Mapping[str, object]) -> PatchOperation:
    if not objects_of(spec, "schedulingGates"):
        return {"op": "add", "path": "/spec/schedulingGates", "value": [_GATE]}
    return {"op": "add", "path": "/spec/schedulingGates/-", "value": _GATE}
