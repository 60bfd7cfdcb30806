"""A policy that can no longer be read allows no more than it did, whatever of it is damaged."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.laws.test_admission_laws import (
    CHECKPOINTS,
    LAX_TO_STRICT,
    OTHER,
    POLICIES,
    SCRATCH,
    laws,
    specs,
)
from tests.unit.policy.builders import EC, PQ, PQ_TOO, Json, authority, policy, signatures, spec
from tests.unit.webhook.cluster import NAMESPACE, answer, facts, storage
from tests.unit.webhook.objects import Object

from weightlock.errors import PolicyInvalid
from weightlock.policy.objects import Metadata, Policy, PolicyKind
from weightlock.policy.unreadable import UnreadablePolicy
from weightlock_webhook.decision.facts import Facts
from weightlock_webhook.decision.governance import Governance

LABELS = {"team": "a"}
SPECS: tuple[Json, ...] = (
    {},
    {"enforcement": "Warn"},
    {"enforcement": "Audit", "denied": {"keyids": [PQ.keyid]}},
    {"volumes": {"default": "Ignore"}, "denied": {"keyids": [PQ_TOO.keyid]}},
    {"volumes": {"rules": [{"hostPath": {"paths": ["/mnt"]}, "action": "Ignore"}]}},
    {"volumes": {"default": "Ignore", "rules": [{"configMap": {}, "action": "Forbid"}]}},
    {"namespaceSelector": {"matchLabels": LABELS}, "onUnverified": "Hold"},
    {"namespaceSelector": {"matchLabels": {"team": "b"}}},
    {"mounts": {"readOnly": "Optional"}, "onUnverified": "Inject"},
    {"signatures": signatures(authority("legacy", PQ_TOO), authority("older", EC))},
)
DAMAGES: tuple[Json, ...] = (
    {"signatures": {}},
    {"signatures": {}, "enforcement": "?"},
    {"signatures": {}, "namespaceSelector": {"matchFields": []}},
    {"volumes": {"default": "?"}},
    {"denied": {"keyids": [5]}},
    {"mounts": {"readOnly": None}},
    {"fieldOfTheFuture": {}},
)


def world(policies: list[Policy], *unreadable: UnreadablePolicy) -> Facts:
    return facts(
        governance=Governance.of(policies, NAMESPACE, LABELS, unreadable),
        checkpoints=CHECKPOINTS,
        storage=storage(OTHER, SCRATCH),
    )


@laws
@given(
    specs(),
    st.lists(st.sampled_from(POLICIES), max_size=3),
    st.sampled_from(SPECS),
    st.sampled_from(DAMAGES),
)
def test_what_cannot_be_read_allows_no_more_than_what_could(
    pod: Object, others: list[Any], content: Json, damage: Json
) -> None:
    readable = policy("x", **content)
    unreadable = UnreadablePolicy.of(
        PolicyKind.CLUSTER_MODEL_POLICY,
        Metadata("x"),
        {**spec(**content), **damage},
        PolicyInvalid("damaged"),
    )
    before = answer(pod, world([*others, readable])).outcome
    after = answer(pod, world(others, unreadable)).outcome
    assert LAX_TO_STRICT.index(after) >= LAX_TO_STRICT.index(before)
