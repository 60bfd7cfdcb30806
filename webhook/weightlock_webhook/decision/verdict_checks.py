"""Whether a good verdict stands behind every path that a pod can reach. The only way to an allow.

For each path to a volume that must be verified, in this order:

1. what the volume is must be known: an unbound claim is nothing yet (A28)
2. a ModelCheckpoint of the pod's namespace must be about this very source
3. its path must be the one that the container reaches, or above it (A01)
4. its verdict must stand (weightlock_webhook.decision.standing)
5. a path of a node must have been verified on every node that the pod can land on (A13)
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from weightlock.policy.checkpoints import Checkpoint
from weightlock.policy.objects import Policy
from weightlock.policy.paths import VolumePath
from weightlock.reasons import Reason
from weightlock_webhook.decision.answers import Problem, Vouched
from weightlock_webhook.decision.case import Case
from weightlock_webhook.decision.governing import GovernedVolume
from weightlock_webhook.decision.identity import is_about, node_of
from weightlock_webhook.decision.reaches import Reach
from weightlock_webhook.decision.standing import Found, grounds_of, standing
from weightlock_webhook.mounts import sources
from weightlock_webhook.wording import listed, quoted

MOST_PATHS: Final = 128
"""Paths of one pod that must be verified; each is judged under every policy (A06)."""


def verdicts(case: Case) -> Iterator[tuple[Found, tuple[Policy, ...]]]:
    """For each path to each governed volume: who vouches for it, or what is wrong; for whom."""
    seen = set[tuple[str, VolumePath]]()
    for mount in case.governed_mounts:
        volume = case.volumes[mount.volume]
        if mount.path is None or (mount.volume, mount.path) in seen or _is_refused(volume):
            continue
        if len(seen) == MOST_PATHS:
            yield _TOO_MANY, case.view.policies
            return
        seen.add((mount.volume, mount.path))
        yield from _verdict(Reach(case, volume, mount))


_TOO_MANY: Final = Problem(
    Reason.LIMIT_EXCEEDED,
    f"more than {MOST_PATHS} paths that must be verified",
    f"a pod with at most {MOST_PATHS} of them",
    "Mount the folder that holds them, once.",
)


def _is_refused(volume: GovernedVolume) -> bool:
    """Whether the source alone is refused already, so that asking for a verdict says no more."""
    if volume.claim and volume.claim.is_going:
        return True
    match volume.volume.source:
        case sources.UnknownSource():
            return True
        case sources.ImageSource(digest=digest):
            return not digest
        case sources.ClaimTemplateSource(prefilled_by=prefilled_by):
            return bool(prefilled_by)
        case _:
            return False


def _verdict(reach: Reach) -> Iterator[tuple[Found, tuple[Policy, ...]]]:
    about = [each for each in reach.case.facts.checkpoints if is_about(each, reach.source)]
    covering = sorted((each for each in about if _covers(each, reach)), key=_closest)
    problem = _unbound(reach) or _not_covered(reach, about, covering)
    if problem is not None:
        yield problem, reach.case.view.policies
        return
    for ageing in reach.case.view.ages:
        grounds = [grounds_of(each, reach, covering, ageing.max_age) for each in covering]
        for demand in ageing.demands:
            found = [standing(each, demand, reach) for each in grounds]
            yield _best(found, reach, covering), (demand.policy,)


def _best(found: list[Found], reach: Reach, covering: list[Checkpoint]) -> Found:
    vouched = [each for each in found if isinstance(each, Vouched)]
    if vouched:
        return _unpinned(reach, vouched, covering) or vouched[0]
    problems = [each for each in found if isinstance(each, Problem)]
    # One that waits for its verdict can still cure this; one that failed cannot.
    return min(problems, key=lambda problem: not problem.awaits_verdict)


def _covers(checkpoint: Checkpoint, reach: Reach) -> bool:
    return reach.mount.path is not None and checkpoint.spec.path.covers(reach.mount.path)


def _closest(checkpoint: Checkpoint) -> tuple[int, str]:
    return -len(checkpoint.spec.path.components), checkpoint.metadata.name


def _unbound(reach: Reach) -> Problem | None:
    """(1) A claim that is bound to nothing, or that nobody knows."""
    source = reach.source
    if isinstance(source, sources.ClaimTemplateSource):
        return reach.problem(
            Reason.NOT_VERIFIED,
            "a claim that is made for this pod",
            "a claim that exists and was verified",
            "Make the claim first, register it as a ModelCheckpoint, and mount it by name; or ask"
            " for a rule that ignores its storage class if it only holds scratch data.",
        )
    if not isinstance(source, sources.ClaimSource) or reach.volume.backing is not None:
        return None
    state = "is not bound" if reach.volume.claim else "does not exist"
    problem = reach.problem(
        Reason.CLAIM_UNBOUND,
        f"that the claim {quoted(source.claim)} {state}",
        "a claim that is bound to the storage that was verified",
        f"See: kubectl describe persistentvolumeclaim --namespace {reach.case.facts.namespace}"
        f" {quoted(source.claim)}",
    )
    return replace(problem, awaits_verdict=True)


def _not_covered(
    reach: Reach, about: list[Checkpoint], covering: list[Checkpoint]
) -> Problem | None:
    """(2) and (3): nothing of what is mounted is registered, or less than that.

    A folder beside all that are registered is one that nobody has registered yet, as it would be on
    a claim of its own: a verification can cure that. One that holds registered folders cannot be
    had without what lies beside them.
    """
    if covering:
        return None
    elsewhere = listed(tuple(sorted(str(each.spec.path) for each in about)))
    if any(_overlaps(each, reach) for each in about):
        inside = min(str(each.spec.path) for each in about if _overlaps(each, reach))
        return reach.problem(
            Reason.PATH_NOT_COVERED,
            f"a way to more than the checkpoints of this volume, which are at {elsewhere}",
            "a mount at or below one of them",
            f"Set subPath to what the pod needs, for example {quoted(inside.lstrip('/'))}."
            f" Or have that verified too: {_registration(reach)}",
        )
    problem = reach.problem(
        Reason.NO_CHECKPOINT,
        "no ModelCheckpoint for it in this namespace"
        + (f"; those of this volume are at {elsewhere}" if about else ""),
        "one that was verified",
        f"Have it verified: {_registration(reach)}{_alone(reach) if about else ''}",
    )
    return replace(problem, awaits_verdict=True)


def _overlaps(checkpoint: Checkpoint, reach: Reach) -> bool:
    return reach.mount.path is not None and checkpoint.spec.path.overlaps(reach.mount.path)


def _alone(reach: Reach) -> str:
    """What a person must know who counts on autoRegister: it is for claims with no checkpoint."""
    policies = reach.case.facts.governance.policies
    if not any(policy.spec.auto_register for policy in policies):
        return ""
    return " (autoRegister does not: it leaves claims alone that have a checkpoint)"


def _registration(reach: Reach) -> str:
    if isinstance(reach.source, sources.ClaimSource):
        return (
            f"weightlock register --namespace {reach.case.facts.namespace}"
            f" --claim {quoted(reach.source.claim)} --path {quoted(reach.path)}"
        )
    return "make a ModelCheckpoint for it, or copy it to a persistentVolumeClaim"


def _unpinned(reach: Reach, vouched: list[Vouched], covering: list[Checkpoint]) -> Problem | None:
    """(5) A folder of a node that the pod may not land on, or of no node in particular."""
    if reach.volume.host_facts is None:
        return None
    names = {each.checkpoint for each in vouched}
    backing = reach.volume.backing
    if backing is not None:
        # The verification ran where the volume is; only with a single node is that the same folder.
        verified, possible = backing.nodes, backing.nodes
        is_pinned = possible is not None and len(possible) == 1
    else:
        verified = frozenset(node_of(each) for each in covering if each.metadata.name in names)
        possible = reach.case.pod.pinned_nodes
        is_pinned = bool(possible) and possible is not None and possible <= verified
    if is_pinned:
        return None
    nodes = listed(tuple(sorted(verified or ())))
    return reach.problem(
        Reason.NODE_NOT_PINNED,
        "a path of whatever node the pod lands on",
        f"a pod that can only land on a node where it was verified: {nodes or 'none'}",
        "Require these nodes by nodeAffinity on kubernetes.io/hostname, or use storage that is the"
        " same on every node.",
    )
