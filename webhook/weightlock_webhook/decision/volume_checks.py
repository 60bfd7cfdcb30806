"""What is wrong with a volume by its source alone, before anybody asks for a verdict."""

from collections.abc import Iterator
from typing import Final

from weightlock.policy.host_paths import leads_to_other_pods
from weightlock.policy.paths import VolumePath
from weightlock.policy.volumes import VolumeAction
from weightlock.reasons import Reason
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


VOLUME_CHECKS: Final[tuple[Check, ...]] = (
    source_unknown,
    forbidden,
    host_path_alias,
    claim_going,
    prefilled_template,
    image_by_tag,
    backing_shared,
)


def _judged(case: Case) -> tuple[GovernedVolume, ...]:
    return tuple(each for each in case.volumes.values() if each.action is not VolumeAction.IGNORE)


def _kind(volume: GovernedVolume) -> str:
    real = volume.backing.facts.kind if volume.backing else ""
    return f"{volume.facts.kind} over {quoted(real)}" if real else volume.facts.kind


def _is_listed(volume: GovernedVolume, case: Case) -> bool:
    facts = volume.host_facts
    return facts is not None and any(rule.covers(facts) for rule in case.view.volumes.rules)


def _host_problem(volume: GovernedVolume, path: VolumePath, expected: str) -> Problem:
    return Problem(
        Reason.HOST_PATH_ALIAS,
        f"the node's path {quoted(str(path))}",
        expected,
        "Use a persistentVolumeClaim, or ask for a hostPath rule in the ClusterModelPolicy.",
        volume=volume.volume.name,
    )
