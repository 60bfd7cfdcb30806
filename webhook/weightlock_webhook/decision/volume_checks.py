"""What is wrong with a volume by its source alone, before anybody asks for a verdict."""

import json
from collections.abc import Iterator
from typing import Final

from weightlock.policy.host_paths import leads_to_other_pods
from weightlock.policy.paths import VolumePath
from weightlock.policy.volumes import VolumeAction
from weightlock.reasons import Reason
from weightlock.verdict.tenant_objects import (
    HINT,
    INLINE_HINT,
    Reference,
    references_of_source,
    within,
)
from weightlock_webhook.decision.answers import Problem
from weightlock_webhook.decision.case import Case, Check
from weightlock_webhook.decision.governing import GovernedVolume, may_be_swapped
from weightlock_webhook.mounts import sources
from weightlock_webhook.wording import listed, quoted


def source_unknown(case: Case) -> Iterator[Problem]:
    """A source that nobody has judged (A12)."""
    for each in _judged(case):
        if isinstance(each.volume.source, sources.UnknownSource):
            keys = each.volume.source.keys
            yield Problem(
                Reason.UNKNOWN_VOLUME_SOURCE,
                f"the volume source {listed(keys)}" if keys else "no volume source",
                "a source that this version knows",
                "Use a persistentVolumeClaim.",
                volume=each.volume.name,
            )


def forbidden(case: Case) -> Iterator[Problem]:
    """A rule of the policy says Forbid."""
    for each in case.volumes.values():
        if each.action is not VolumeAction.FORBID:
            continue
        yield Problem(
            Reason.VOLUME_FORBIDDEN,
            f"a volume of the kind {_kind(each)}",
            "none: the policy forbids it",
            "Use a persistentVolumeClaim over storage that the policy lets you use.",
            volume=each.volume.name,
        )


def host_path_alias(case: Case) -> Iterator[Problem]:
    """A path of the node that is, holds or may lead to something else (A13)."""
    for each in case.volumes.values():
        path = each.host_facts.path if each.host_facts else None
        if path is None:
            continue
        if leads_to_other_pods(path, case.facts.allowances.forbidden_host_paths):
            yield _host_problem(each, path, "a path that leads to no other pod's volumes")
        elif each.action is VolumeAction.VERIFY and not _is_listed(each, case):
            yield _host_problem(each, path, "a host path that a rule of the policy names")


def claim_going(case: Case) -> Iterator[Problem]:
    """A claim that will be gone before a kubelet mounts it, and may be another by then (A28)."""
    for each in case.volumes.values():
        if each.claim and each.claim.is_going and may_be_swapped(each.volume, case.view):
            yield Problem(
                Reason.CLAIM_UNBOUND,
                f"that the claim {quoted(each.claim.name)} or its volume is being deleted",
                "a claim that stays: kubelets mount none that is going",
                "Wait until it is gone, then make it anew and have it verified.",
                volume=each.volume.name,
            )


def prefilled_template(case: Case) -> Iterator[Problem]:
    """A claim made for the pod from somebody's data: nothing can have verified it (B05, B14)."""
    for each in case.governed:
        source = each.volume.source
        if isinstance(source, sources.ClaimTemplateSource) and source.prefilled_by:
            yield Problem(
                Reason.DATA_SOURCE_TEMPLATE,
                f"a volumeClaimTemplate with {listed(source.prefilled_by)}",
                "a claim that exists and was verified",
                "Make the claim first, register it as a ModelCheckpoint, and mount it by name.",
                volume=each.volume.name,
            )


def image_by_tag(case: Case) -> Iterator[Problem]:
    """A tag can be moved after it was verified (B20)."""
    for each in case.governed:
        source = each.volume.source
        if isinstance(source, sources.ImageSource) and not source.digest:
            yield Problem(
                Reason.IMAGE_BY_TAG,
                f"the image {quoted(source.reference)}",
                "a reference that ends in @sha256: and 64 hexadecimal digits",
                "Name the image by digest.",
                volume=each.volume.name,
            )


def backing_shared(case: Case) -> Iterator[Problem]:
    """Another persistent volume leads to the same bytes, so somebody can write through it (A28)."""
    for each in case.governed:
        if each.backing and each.backing.name in case.facts.storage.writable_twins:
            yield Problem(
                Reason.BACKING_SHARED,
                "storage that another persistent volume can write to",
                "one persistent volume for the storage: nobody enforces access modes",
                "Ask whoever owns the storage to remove the other persistent volume.",
                volume=each.volume.name,
            )


def secret_of_tenant(case: Case) -> Iterator[Problem]:
    """Who can edit a Secret of this namespace may say what the driver mounts (A28)."""
    for each in case.governed:
        editable = _editable(each, case.facts.namespace)
        if editable:
            yield Problem(
                Reason.SECRET_OF_TENANT,
                f"that {listed(tuple(map(str, editable)))} of this namespace decides what is"
                " mounted",
                "storage that is found without what tenants can edit",
                HINT if each.backing else INLINE_HINT,
                volume=each.volume.name,
            )


def inline_driver_unnamed(case: Case) -> Iterator[Problem]:
    """Attributes may name objects that decide the bytes, and only whoever knows the driver knows.

    As with paths of nodes: a rule must name it, a default does not open it (A28, B19).
    """
    for each in case.governed:
        if _is_inline_csi(each) and not case.view.volumes.names_driver(each.facts):
            yield Problem(
                Reason.VOLUME_FORBIDDEN,
                f"an inline volume of the CSI driver {quoted(each.facts.driver or '')}",
                "a driver that a rule of the policy names",
                "Use a persistentVolumeClaim, or ask for a csi rule with this driver in the"
                " ClusterModelPolicy.",
                volume=each.volume.name,
            )


VOLUME_CHECKS: Final[tuple[Check, ...]] = (
    source_unknown,
    forbidden,
    host_path_alias,
    claim_going,
    prefilled_template,
    image_by_tag,
    backing_shared,
    secret_of_tenant,
    inline_driver_unnamed,
)


def _judged(case: Case) -> tuple[GovernedVolume, ...]:
    return tuple(each for each in case.volumes.values() if each.action is not VolumeAction.IGNORE)


def _kind(volume: GovernedVolume) -> str:
    real = volume.backing.facts.kind if volume.backing else ""
    return f"{volume.facts.kind} over {quoted(real)}" if real else volume.facts.kind


def _is_listed(volume: GovernedVolume, case: Case) -> bool:
    facts = volume.host_facts
    return facts is not None and any(rule.covers(facts) for rule in case.view.volumes.rules)


def _editable(volume: GovernedVolume, namespace: str) -> tuple[Reference, ...]:
    """What tenants can edit of the objects that decide what is mounted; inline, that is all."""
    if volume.backing is not None:
        return within(volume.backing.references, namespace)
    source = volume.volume.source
    if not isinstance(source, sources.InlineSource) or not _is_inline_csi(volume):
        return ()  # no checkpoint can be about any other
    return references_of_source(source.kind, json.loads(source.definition))


def _is_inline_csi(volume: GovernedVolume) -> bool:
    return volume.volume.source.kind == sources.CSI


def _host_problem(volume: GovernedVolume, path: VolumePath, expected: str) -> Problem:
    kind = volume.host_facts.kind if volume.host_facts else ""
    return Problem(
        Reason.HOST_PATH_ALIAS,
        f"the node's path {quoted(str(path))}",
        expected,
        f"Use a persistentVolumeClaim, or ask for a {kind} rule in the ClusterModelPolicy.",
        volume=volume.volume.name,
    )
