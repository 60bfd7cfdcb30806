"""Pod templates inside workloads, found by their shape.

Workload kinds come and go (Deployment, JobSet, PyTorchJob, RayCluster, LeaderWorkerSet, ...); what
they share is an object with a `spec` that has `containers`. Templates only ever get warnings
(B03): the pods made from them are judged when they are made.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from weightlock.errors import LimitExceeded, Malformed

DEEPEST: Final = 32
MOST_TEMPLATES: Final = 32
"""Limits on one workload, so that a hostile document costs no more than a real one (A06)."""


@dataclass(frozen=True, slots=True)
class PodTemplate:
    """A template and where in the workload it stands."""

    where: str
    metadata: object
    spec: Mapping[str, object]


def templates_of(workload: object) -> tuple[PodTemplate, ...]:
    """Every pod template of a workload, a bare pod included, in document order.

    Raises:
        Malformed: if the workload is not an object.
        LimitExceeded: for a document deeper than any workload, or with too many templates.
    """
    if not isinstance(workload, Mapping):
        raise Malformed(f"a workload must be an object, found {type(workload).__name__}")
    templates: list[PodTemplate] = []
    for template in _found(workload, "", DEEPEST):
        if len(templates) == MOST_TEMPLATES:
            raise LimitExceeded(f"the workload has more than {MOST_TEMPLATES} pod templates")
        templates.append(template)
    claims = _claim_template_names(workload)
    return tuple(_with_claims(template, claims, _name_of(workload)) for template in templates)


def _found(value: object, where: str, depth: int) -> Iterator[PodTemplate]:
    if depth == 0:
        raise LimitExceeded(f"the workload is more than {DEEPEST} levels deep")
    if isinstance(value, Mapping):
        spec = value.get("spec")
        if isinstance(spec, Mapping) and isinstance(spec.get("containers"), list):
            yield PodTemplate(where or "pod", value.get("metadata"), spec)
            return
        for key, member in value.items():
            yield from _found(member, f"{where}.{key}" if where else str(key), depth - 1)
    elif isinstance(value, list):
        for index, member in enumerate(value):
            yield from _found(member, f"{where}[{index}]", depth - 1)


def _claim_template_names(workload: Mapping[str, object]) -> tuple[str, ...]:
    """The names of a StatefulSet's volumeClaimTemplates."""
    spec = workload.get("spec")
    entries = spec.get("volumeClaimTemplates") if isinstance(spec, Mapping) else None
    if workload.get("kind") != "StatefulSet" or not isinstance(entries, list):
        return ()
    metadata = (entry.get("metadata") for entry in entries if isinstance(entry, Mapping))
    names = (data.get("name") for data in metadata if isinstance(data, Mapping))
    return tuple(name for name in names if isinstance(name, str))


def _name_of(workload: Mapping[str, object]) -> str:
    metadata = workload.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    return name if isinstance(name, str) else ""


def _with_claims(template: PodTemplate, claims: tuple[str, ...], owner: str) -> PodTemplate:
    """The template with the volumes that its controller will add, as for the first replica."""
    declared = template.spec.get("volumes") or []
    if not claims or not isinstance(declared, list):
        return template
    kept = [
        volume
        for volume in declared
        if not (isinstance(volume, Mapping) and volume.get("name") in claims)
    ]
    added = [
        {"name": name, "persistentVolumeClaim": {"claimName": f"{name}-{owner}-0"}}
        for name in claims
    ]
    spec = {**template.spec, "volumes": [*kept, *added]}
    return PodTemplate(template.where, template.metadata, spec)
