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
from weightlock.verdict.judge import judge
from weightlock.verdict.records import VerdictRecord
from weightlock_operator.facts import Facts

_OF_NAMESPACE: Final = ":"
"""Between namespace and model; neither can have one in its name."""


def floor_of(model: ModelIdentity, facts: Facts) -> int:
    """The version below which a model is refused where the checkpoint is."""
    known = (model.name, _own_name(model, facts))
    return max(facts.floors.get(name, 0) for name in known)


def remembered_as(record: VerdictRecord, model: ModelIdentity, facts: Facts) -> str:
    """The name for a model that was verified."""
    cluster = Composition(
        tuple(
            policy
            for policy in facts.composition.policies
            if policy.kind is PolicyKind.CLUSTER_MODEL_POLICY
        )
    )
    judgement = judge(record.evidence, cluster.binding.requirements, facts.now)
    return model.name if judgement.verdict is Verdict.VERIFIED else _own_name(model, facts)


def _own_name(model: ModelIdentity, facts: Facts) -> str:
    return f"{facts.checkpoint.metadata.namespace}{_OF_NAMESPACE}{model.name}"
