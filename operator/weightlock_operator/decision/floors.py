"""Under which policies the version of a model is remembered against rollback (A22).

Under each by itself that the model satisfies, also those that only watch: they may be enforced one
day. No policy's floor counts under another (weightlock.verdict.floors), since whoever signs for it
may be nobody there, and floors never sink again.
"""

from collections.abc import Iterator
from typing import Final

from weightlock.formats.manifest import ModelIdentity
from weightlock.policy.bounds import MAX_VERSION
from weightlock.reasons import Reason, Verdict
from weightlock.verdict.floors import VouchedModel, entry_of, highest_seen
from weightlock.verdict.judge import judge
from weightlock.verdict.records import VerdictRecord
from weightlock_operator.decision.facts import Facts
from weightlock_operator.decision.memory import Word

UNNUMBERED: Final = 1
"""What `weightlock sign` writes if nobody numbers versions: each `step-1200` is a model of its own
then, and to remember it would refuse nothing that it signs."""

MOST_OF_A_TENANT: Final = 50
MOST_OF_A_POLICY: Final = 2000
MOST_BYTES_OF_TENANTS: Final = 256 * 1024
MOST_BYTES: Final = 960 * 1024
"""All share one ConfigMap of 1 MiB; once it is full nobody's model could be verified."""

_WHAT_TO_DO: Final = (
    "Sign checkpoints of one model under one name (weightlock sign --name), and take away what"
    " nobody needs any more: docs/runbooks/version-floors.md"
)


def floor_of(model: ModelIdentity, facts: Facts) -> int:
    """The version below which a model is refused where the checkpoint is."""
    binding = facts.composition.binding.policies
    return highest_seen(facts.floors, (policy.origin for policy in binding), model.name)


def news_of(record: VerdictRecord, facts: Facts) -> tuple[VouchedModel, ...]:
    """Under what the version of a model that was verified is to be remembered from now on.

    What there is no room for is left out.
    """
    return tuple(each for each in _news(record, facts) if _room(each, facts))


def not_kept(record: VerdictRecord, facts: Facts) -> Word | None:
    """Why a version cannot be remembered, so that what is good may not be called so.

    A tenant's own policies do without, or tenants could keep each other out.
    """
    if not any(True for _ in _news(record, facts)):
        return None
    if facts.unkept:
        return Word(Reason.VERSION_NOT_KEPT, f"its version could not be recorded: {facts.unkept}")
    crowded = [each for each in _news(record, facts) if not each.namespace]
    policy = next((each.policy for each in crowded if not _room(each, facts)), "")
    if not policy:
        return None
    said = f"no room to remember another model under {policy}. {_WHAT_TO_DO}"
    return Word(Reason.VERSION_NOT_KEPT, said)


def _news(record: VerdictRecord, facts: Facts) -> Iterator[VouchedModel]:
    model = record.model
    if model is None or model.version <= UNNUMBERED:
        return
    for requirement in facts.composition.requirements:
        vouched = VouchedModel(requirement.origin, model.name)
        if model.version <= facts.floors.get(vouched, 0):
            continue
        if judge(record.evidence, (requirement,), facts.now).verdict is Verdict.VERIFIED:
            yield vouched


def _room(vouched: VouchedModel, facts: Facts) -> bool:
    """Whether it may be remembered; what is remembered already only rises."""
    if vouched in facts.floors:
        return True
    size = _size(vouched)
    if vouched.namespace:
        tenants = [each for each in facts.floors if each.namespace]
        own = sum(each.namespace == vouched.namespace for each in tenants)
        if own >= MOST_OF_A_TENANT or size + sum(map(_size, tenants)) > MOST_BYTES_OF_TENANTS:
            return False
    elif sum(each.policy == vouched.policy for each in facts.floors) >= MOST_OF_A_POLICY:
        return False
    return size + sum(map(_size, facts.floors)) <= MOST_BYTES


def _size(vouched: VouchedModel) -> int:
    """The bytes of its entry, at most."""
    return sum(map(len, entry_of(vouched, MAX_VERSION)))
