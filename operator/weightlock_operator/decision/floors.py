"""Under which policies the version of a model is remembered against rollback (A22).

Under each by itself that the model satisfies, also those that only watch: they may be enforced one
day. No policy's floor counts under another (weightlock.verdict.floors), since whoever signs for it
may be nobody there, and floors never sink again.
"""

from typing import Final

from weightlock.formats.manifest import ModelIdentity
from weightlock.policy.requirements import SignatureRequirements
from weightlock.reasons import Verdict
from weightlock.verdict.floors import VouchedModel, highest_seen
from weightlock.verdict.judge import judge
from weightlock.verdict.records import VerdictRecord
from weightlock_operator.decision.facts import Facts

MOST_OF_A_TENANT: Final = 50
MOST_OF_TENANTS: Final = 1000
"""All share one ConfigMap of 1 MiB; once it is full nobody's model could be verified."""


def floor_of(model: ModelIdentity, facts: Facts) -> int:
    """The version below which a model is refused where the checkpoint is."""
    binding = facts.composition.binding.policies
    return highest_seen(facts.floors, (policy.origin for policy in binding), model.name)


def news_of(record: VerdictRecord, model: ModelIdentity, facts: Facts) -> tuple[VouchedModel, ...]:
    """Under what the version of a model that was verified is to be remembered from now on.

    What there is no room for among a tenant's is left out.
    """
    found = []
    for requirement in facts.composition.requirements:
        vouched = VouchedModel(requirement.origin, model.name)
        is_news = model.version > facts.floors.get(vouched, 0)
        if is_news and _vouches(requirement, record, facts) and _has_room(vouched, facts):
            found.append(vouched)
    return tuple(found)


def _vouches(requirement: SignatureRequirements, record: VerdictRecord, facts: Facts) -> bool:
    return judge(record.evidence, (requirement,), facts.now).verdict is Verdict.VERIFIED


def _has_room(vouched: VouchedModel, facts: Facts) -> bool:
    if vouched in facts.floors or not vouched.namespace:
        return True
    tenants = [each.namespace for each in facts.floors if each.namespace]
    own = tenants.count(vouched.namespace)
    return own < MOST_OF_A_TENANT and len(tenants) < MOST_OF_TENANTS
