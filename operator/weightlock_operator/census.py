"""Counts over all objects, for metrics, policy statuses and reports: what the statuses say."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from weightlock.algorithms import ALL, Family
from weightlock.policy.objects import Policy, PolicyKind
from weightlock.reasons import Verdict
from weightlock_operator.api.cluster import Json
from weightlock_operator.api.policyreports import Outcome
from weightlock_operator.decision.seen import SeenJob
from weightlock_operator.metrics import Snapshot
from weightlock_operator.store import Store

POST_QUANTUM: Final = "post-quantum"
HYBRID: Final = "hybrid"
CLASSICAL: Final = "classical"
NONE: Final = "none"
OTHER: Final = "other"
_ALGORITHMS: Final = frozenset(each.name for each in ALL)
_WEAKEST_FIRST: Final = (NONE, CLASSICAL, HYBRID, POST_QUANTUM)


def snapshot(store: Store) -> Snapshot:
    """Everything that metrics count over all objects."""
    found = Snapshot()
    weakest: dict[str, str] = {}
    for uid, body in store.checkpoints.items():
        status = body.get("status") or {}
        phase, family = phase_of(body), family_of(status)
        _count(found.checkpoints, (phase.value, family))
        namespace = body["metadata"].get("namespace", "")
        weakest[namespace] = min(weakest.get(namespace, family), family, key=_WEAKEST_FIRST.index)
        if phase in (Verdict.VERIFIED, Verdict.CLASSICAL_ONLY):
            size = (status.get("verifier") or {}).get("bytes")
            found.checkpoint_bytes[family] = found.checkpoint_bytes.get(family, 0) + (
                size if isinstance(size, int) else 0
            )
            for each in status.get("signatures") or []:
                algorithm = each.get("algorithm")
                known = algorithm if algorithm in _ALGORITHMS else OTHER
                key = (known, str(each.get("family")))
                _count(found.signatures, key)
        users = store.users.get(uid, 0)
        if phase is not Verdict.VERIFIED and users:
            known = found.mounted_unverified.get(phase.value, 0)
            found.mounted_unverified[phase.value] = known + users
    found.namespaces = dict(Counter(weakest.values()))
    found.jobs = dict(Counter(map(state_of, store.all_jobs())))
    found.sunsets = _sunsets(store)
    return found


def phase_of(body: Json) -> Verdict:
    """The phase of a checkpoint; Pending before there is one."""
    try:
        return Verdict((body.get("status") or {}).get("phase", Verdict.PENDING))
    except ValueError:
        return Verdict.PENDING


def family_of(status: Json) -> str:
    """What the signatures of a checkpoint rest on."""
    families = {each.get("family") for each in status.get("signatures") or []}
    classical = Family.CLASSICAL.value in families
    if families - {Family.CLASSICAL.value}:
        return HYBRID if classical else POST_QUANTUM
    return CLASSICAL if classical else NONE


def state_of(job: SeenJob) -> str:
    """A Job's state in one word."""
    if not job.is_finished:
        return "Running"
    return "Failed" if job.failure else "Complete"


def verdicts_under(store: Store, policy: Policy) -> Iterable[Verdict]:
    """The phases of the checkpoints that a policy governs."""
    for namespace, labels in store.namespaces.items():
        if policy.governs(namespace, labels):
            for uid in store.of_namespace(namespace):
                yield phase_of(store.checkpoints[uid])


def outcomes(store: Store, namespace: str, now: datetime) -> list[Outcome]:
    """The checkpoints of a namespace, as policy reports want them."""
    governing, _ = store.governing(namespace)
    policies = tuple(sorted(policy.origin for policy in governing))
    return [
        _outcome(store.checkpoints[uid], policies, now)
        for uid in sorted(store.of_namespace(namespace))
    ]


def _outcome(body: Json, policies: tuple[str, ...], now: datetime) -> Outcome:
    metadata, status = body["metadata"], body.get("status") or {}
    return Outcome(
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        phase=phase_of(body),
        reason=str(status.get("reason", "")),
        message=str(status.get("message", "")),
        policies=policies,
        at=_changed_at(status, now),
    )


def _changed_at(status: Json, now: datetime) -> datetime:
    """When the verdict changed, so that a report that says the same is the same."""
    for condition in status.get("conditions") or []:
        if condition.get("type") == "Verified":
            try:
                return datetime.fromisoformat(str(condition.get("lastTransitionTime")))
            except ValueError:
                break
    return now


def _sunsets(store: Store) -> dict[str, float]:
    found = {}
    for entry in store.policies.values():
        policy = entry.found
        if isinstance(policy, Policy) and policy.kind is PolicyKind.CLUSTER_MODEL_POLICY:
            sunset = policy.spec.signatures.classical.sunset
            if sunset is not None:
                found[policy.metadata.name] = sunset.timestamp()
    return found


def _count(counts: dict[tuple[str, str], int], key: tuple[str, str]) -> None:
    counts[key] = counts.get(key, 0) + 1
