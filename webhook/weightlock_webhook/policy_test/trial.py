"""Every pod of a scenario before the webhook's own decision, with facts gathered from files."""

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from weightlock.policy.checkpoints import Checkpoint
from weightlock.policy.sources import ClaimSource
from weightlock.verdict.seal import MIN_KEY_BYTES, SealKey
from weightlock_webhook.decision.answers import Answer, Outcome, strictest_outcome
from weightlock_webhook.decision.decide import answer_for
from weightlock_webhook.decision.devices import classes_in
from weightlock_webhook.decision.facts import Facts
from weightlock_webhook.decision.governance import Governance
from weightlock_webhook.decision.storage import (
    Claim,
    Storage,
    backing_of,
    claim_of,
    writable_twins,
)
from weightlock_webhook.mounts.fields import Fields
from weightlock_webhook.policy_test.assumptions import assumed_backing, assumed_claim, sealed
from weightlock_webhook.policy_test.scenario import Key, Scenario, Subject


@dataclass(frozen=True, slots=True)
class Seals:
    """Whether statuses count as sealed, or else the keys to check their seals with."""

    assumed: bool
    keys: tuple[SealKey, ...] = ()


@dataclass(frozen=True, slots=True)
class Trial:
    """The answers, when they hold, and what they assume."""

    answers: tuple[tuple[Subject, Answer], ...]
    now: datetime
    assumptions: tuple[str, ...]
    unused: tuple[str, ...]
    facts: Mapping[str, Facts]
    """What was decided upon, by namespace."""
    about: Mapping[str, str]
    """The checkpoint that an assumption is about, for those that are about one."""

    @property
    def outcome(self) -> Outcome:
        """The strictest of all answers."""
        return strictest_outcome(tuple(answer for _, answer in self.answers))


def trial_of(scenario: Scenario, seals: Seals, now: datetime) -> Trial:
    """Judge every pod and template of a scenario.

    Raises:
        WeightlockError: for a claim, volume or namespace that is not one.
    """
    assumptions: list[str] = []
    about: dict[str, str] = {}
    if seals.assumed:
        scenario, seals, about = _with_seals(scenario)
        assumptions += about
    facts = {}
    for namespace in sorted({subject.namespace for subject in scenario.subjects}):
        storage = _storage(scenario, namespace, assumptions)
        facts[namespace] = _facts(namespace, scenario, storage, seals, now)
    answers = tuple((subject, _answer(subject, facts)) for subject in scenario.subjects)
    assumptions += _unlabelled(scenario)
    return Trial(answers, now, tuple(dict.fromkeys(assumptions)), scenario.unused, facts, about)


def _with_seals(scenario: Scenario) -> tuple[Scenario, Seals, dict[str, str]]:
    """The scenario, sealed, and what is assumed for that: about which checkpoint."""
    key = SealKey(secrets.token_bytes(MIN_KEY_BYTES))
    assumed = [sealed(checkpoint, key) for checkpoint in scenario.checkpoints]
    about = {text: one.checkpoint.metadata.name for one in assumed for text in one.assumptions}
    checkpoints = tuple(one.checkpoint for one in assumed)
    return replace(scenario, checkpoints=checkpoints), Seals(assumed=False, keys=(key,)), about


def _answer(subject: Subject, facts: Mapping[str, Facts]) -> Answer:
    template, known = subject.template, facts[subject.namespace]
    if subject.exists:
        known = replace(known, is_running=True)
    return answer_for(template.metadata, template.spec, known)


def _facts(
    namespace: str, scenario: Scenario, storage: Storage, seals: Seals, now: datetime
) -> Facts:
    return Facts(
        namespace,
        Governance.of(
            scenario.policies, namespace, _labels(scenario, namespace), scenario.unreadable
        ),
        _checkpoints(scenario, namespace),
        storage,
        seals.keys,
        now,
        device_classes=dict(_device_classes(scenario, namespace)),
        highest_versions=scenario.highest_versions,
        restored_at=scenario.restored_at,
    )


def _checkpoints(scenario: Scenario, namespace: str) -> tuple[Checkpoint, ...]:
    return tuple(each for each in scenario.checkpoints if each.metadata.namespace == namespace)


def _labels(scenario: Scenario, namespace: str) -> dict[str, str]:
    found = Fields.of(scenario.namespaces.get(("", namespace), {}), "namespace")
    labels = found.child("metadata").child("labels")
    return {key: labels.text(key) for key in labels.members}


def _unlabelled(scenario: Scenario) -> Iterator[str]:
    for subject in scenario.subjects:
        if ("", subject.namespace) not in scenario.namespaces:
            yield f"Namespace {subject.namespace} has no labels but its name."


def _storage(scenario: Scenario, namespace: str, assumptions: list[str]) -> Storage:
    claims: dict[str, Claim] = {}
    for (where, name), _ in scenario.claims.items():
        if where == namespace:
            claims[name] = _given_claim(scenario, (where, name), assumptions)
    checkpoints = _checkpoints(scenario, namespace)
    for checkpoint in checkpoints:
        source = checkpoint.spec.source
        if not isinstance(source, ClaimSource) or source.claim_name in claims:
            continue
        claim = assumed_claim(source.claim_name, checkpoints)
        if claim is not None:
            claims[claim.name] = claim
            assumptions.append(
                f"Claim {claim.name} of namespace {namespace}, {scenario.absent}, is bound to what"
                " was verified."
            )
    twins = writable_twins(map(backing_of, scenario.volumes.values()))
    return Storage(claims, writable_twins=twins)


def _given_claim(scenario: Scenario, key: Key, assumptions: list[str]) -> Claim:
    document = scenario.claims[key]
    root = Fields.of(document, "persistentVolumeClaim")
    volume_name = root.child("spec").text("volumeName")
    persistent_volume = scenario.volumes.get(("", volume_name))
    claim = claim_of(document, persistent_volume, scenario.writers.get(key))
    is_bound = root.child("status").text("phase") == "Bound"
    if persistent_volume is None and is_bound:
        backing = assumed_backing(claim, volume_name, _checkpoints(scenario, key[0]))
        if backing is not None:
            assumptions.append(
                f"PersistentVolume {volume_name}, {scenario.absent}, is the one that was verified."
            )
            return replace(claim, backing=backing)
    return claim


def _device_classes(scenario: Scenario, namespace: str) -> Iterator[tuple[str, frozenset[str]]]:
    for prefix, documents in (
        ("claim", scenario.device_claims),
        ("template", scenario.device_claim_templates),
    ):
        for (where, name), document in documents.items():
            if where == namespace:
                yield f"{prefix}/{name}", classes_in(document)
