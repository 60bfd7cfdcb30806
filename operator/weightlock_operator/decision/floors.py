"""Under which name the version of a model is remembered against rollback (A22).

What cluster policies vouch for counts in every namespace. What only a namespace's own policies
vouch for counts in that namespace: its keys are the tenant's, and floors never sink again, so a
tenant that signs another's model with the highest version there is would take it from everybody.
"""

from typing import Final

from weightlock.formats.manifest import ModelIdentity
from weightlock.policy.composition import Composition
from weightlock.policy.objects import PolicyKind
from weightlock.reasons import Verdict
from weightlock.verdict.floors import OF_NAMESPACE, highest_seen, own_name
from weightlock.verdict.judge import judge
from weightlock.verdict.records import VerdictRecord
from weightlock_operator.decision.facts import Facts

MOST_OF_A_TENANT: Final = 50
MOST_OF_TENANTS: Final = 1000
"""All names share one ConfigMap of 1 MiB; once it is full nobody's model could be verified."""


def floor_of(model: ModelIdentity, facts: Facts) -> int:
    """The version below which a model is refused where the checkpoint is."""
    return highest_seen(facts.floors, facts.checkpoint.metadata.namespace, model.name)


def remembered_as(record: VerdictRecord, model: ModelIdentity, facts: Facts) -> str:
    """The name for a model that was verified; "" if there is no room for one of a tenant's more."""
    cluster = Composition(
        tuple(
            policy
            for policy in facts.composition.policies
            if policy.kind is PolicyKind.CLUSTER_MODEL_POLICY
        )
    )
    judgement = judge(record.evidence, cluster.binding.requirements, facts.now)
    if judgement.verdict is Verdict.VERIFIED:
        return model.name
    name = own_name(facts.checkpoint.metadata.namespace, model.name)
    return name if name in facts.floors or _has_room(facts) else ""


def _has_room(facts: Facts) -> bool:
    prefix = f"{facts.checkpoint.metadata.namespace}{OF_NAMESPACE}"
    tenants = [name for name in facts.floors if OF_NAMESPACE in name]
    own = sum(name.startswith(prefix) for name in tenants)
    return own < MOST_OF_A_TENANT and len(tenants) < MOST_OF_TENANTS
