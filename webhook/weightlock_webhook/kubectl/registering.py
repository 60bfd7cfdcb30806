"""Which checkpoints to register, and what that changes; pure.

For a pod these are the folders that it reaches on volumes that its policies want verified: the very
mounts that the decision looks at, so that a pod whose checkpoints were registered is refused for no
lack of one.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from weightlock.errors import Malformed
from weightlock.policy import sources as registered
from weightlock.policy.checkpoints import Checkpoint, CheckpointSpec
from weightlock.policy.paths import VolumePath
from weightlock.policy.registration import Registration, checkpoint_name, source_words
from weightlock.policy.sources import Source
from weightlock_webhook.decision.case import Case
from weightlock_webhook.decision.facts import Facts
from weightlock_webhook.mounts import sources
from weightlock_webhook.mounts.pods import Pod
from weightlock_webhook.wording import quoted


class Change(StrEnum):
    """What registering does."""

    CREATED = "created"
    UNCHANGED = "unchanged"
    DIFFERS = "differs"


@dataclass(frozen=True, slots=True)
class Step:
    """One checkpoint: what happens to it under which name, and why."""

    change: Change
    name: str
    registration: Registration
    why: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a pod needs: what can be registered for it, and what cannot, with reasons."""

    registrations: tuple[Registration, ...]
    obstacles: tuple[str, ...] = ()


def wanted_by(pod: Pod, facts: Facts) -> Wanted:
    """A checkpoint for each folder that the pod reaches and that must be verified."""
    found: list[Registration] = []
    obstacles: list[str] = []
    for view in facts.governance.views:
        case = Case.of(pod, facts, view)
        for mount in case.governed_mounts:
            volume = case.volumes[mount.volume].volume
            try:
                source = source_of(volume.source, pod)
                path = _path(mount.path)
            except Malformed as error:
                obstacles.append(f"volume {quoted(volume.name)}: {error.message}. {error.hint}")
                continue
            found.append(Registration(facts.namespace, source, path))
    return Wanted(tuple(_outermost(found)), tuple(dict.fromkeys(obstacles)))


def steps(wanted: Iterable[Registration], existing: Sequence[Checkpoint]) -> Iterator[Step]:
    """What registering would do, given what is registered."""
    for registration in wanted:
        yield _step(registration, existing)


def compared(registration: Registration, found: CheckpointSpec, name: str) -> Step:
    """What an object of the very name means for a registration."""
    differences = tuple(_differences(registration.spec, found))
    if not differences:
        return Step(Change.UNCHANGED, name, registration)
    return Step(Change.DIFFERS, name, registration, "; ".join(differences))


def source_of(source: sources.VolumeSource, pod: Pod) -> Source:
    """A volume's source as a checkpoint names it.

    Raises:
        Malformed: if no checkpoint can name it; the hint says what to do instead.
    """
    match source:
        case sources.ClaimSource(claim=claim):
            return registered.ClaimSource(claim)
        case sources.HostPathSource(path=path):
            return registered.HostPathSource(path, _only_node(pod))
        case sources.ImageSource(reference=reference, digest=digest) if digest:
            return registered.ImageSource(registered.pinned_reference(reference))
        case sources.InlineSource(kind=sources.NFS, server=server, path=path) if path:
            return registered.NfsSource(server, path)
        case sources.InlineSource(kind=sources.CSI, driver=driver, definition=definition):
            return registered.CsiSource(driver, _attributes(definition))
    raise Malformed(
        f"a volume of kind {source.kind} cannot be registered",
        hint="Put the checkpoint on a persistentVolumeClaim.",
    )


def _step(registration: Registration, existing: Sequence[Checkpoint]) -> Step:
    name = registration.name or checkpoint_name(registration.source, registration.path)
    for each in existing:
        if each.metadata.name == name:
            return compared(registration, each.spec, name)
    same = [each for each in existing if each.spec.source == registration.source]
    for each in sorted(same, key=lambda one: len(one.spec.path.components)):
        covers = each.spec.path.covers(registration.path)
        names_model = registration.model_name in (None, each.spec.model_name)
        is_exact = each.spec.path == registration.path
        if covers and names_model and not registration.name and (is_exact or _is_verified(each)):
            why = "" if is_exact else f"{each.metadata.name} covers it from {each.spec.path} on"
            return Step(Change.UNCHANGED, each.metadata.name, registration, why)
    return Step(Change.CREATED, name, replace(registration, name=name))


def _is_verified(checkpoint: Checkpoint) -> bool:
    return checkpoint.status is not None and checkpoint.status.last_verified is not None


def _differences(wanted: CheckpointSpec, found: CheckpointSpec) -> Iterator[str]:
    if wanted.source != found.source:
        yield f"it is about {source_words(found.source)}, not {source_words(wanted.source)}"
    if wanted.path != found.path:
        yield f"its path is {found.path}, not {wanted.path}"
    if wanted.model_name is not None and wanted.model_name != found.model_name:
        yield f"its modelName is {found.model_name or 'not set'}, not {wanted.model_name}"


def _outermost(found: Iterable[Registration]) -> Iterator[Registration]:
    """Each folder once, without those below another: who verifies a folder verifies all of it."""
    unique = list(dict.fromkeys(found))
    for one in unique:
        others = (each for each in unique if each != one and each.source == one.source)
        if not any(each.path.covers(one.path) for each in others):
            yield one


def _path(path: VolumePath | None) -> VolumePath:
    if path is None:
        raise Malformed(
            "its path is known only when the pod runs (subPathExpr)",
            hint="Mount it by subPath.",
        )
    return path


def _only_node(pod: Pod) -> str:
    nodes = pod.pinned_nodes
    if nodes is None or len(nodes) != 1:
        raise Malformed(
            "a hostPath is another folder on each node, and the pod is not pinned to one",
            hint="Require one node by nodeAffinity on kubernetes.io/hostname.",
        )
    return next(iter(nodes))


def _attributes(definition: str) -> tuple[tuple[str, str], ...]:
    says = json.loads(definition)
    attributes = says.pop("volumeAttributes", None) or {}
    if set(says) != {"driver"}:
        raise Malformed(
            "an inline CSI volume that says more than driver and volumeAttributes",
            hint="Put the checkpoint on a persistentVolumeClaim.",
        )
    return tuple(sorted(attributes.items()))
