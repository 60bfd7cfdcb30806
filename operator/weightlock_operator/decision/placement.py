"""Where a verification runs: next to the pods that wait for the checkpoint or use it.

- A path of a node is read on that node; there is no other choice (A13).
- A volume that only one node at a time can mount goes where it is mounted already, or the
  verification would wait for ever for the pod that uses it (D10).
- A claim that is bound only when its first pod is scheduled is bound by the verification, if that
  comes first. So it runs where the pod that waits could run: with the selector, affinity and
  tolerations of that pod. Without a waiting pod it does not run, unless the policy says Anywhere or
  a refused pod asked for it: else nobody would ever bind the claim, or somebody at a wrong place
  (D11).
- Otherwise affinity is a preference, so that a full node delays nothing. Local volumes need
  nothing: the scheduler follows their own affinity.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from weightlock.policy.selectors import LabelSelector
from weightlock.policy.sources import HostPathSource
from weightlock.policy.verification import Placement, Toleration, Verification
from weightlock_operator.decision.facts import Facts
from weightlock_operator.decision.storage import StorageState

MOST_NODES: Final = 5
_STRONGEST: Final = 100
_HOSTNAME: Final = "kubernetes.io/hostname"
_REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED: Final = "preferredDuringSchedulingIgnoredDuringExecution"


@dataclass(frozen=True, slots=True)
class Placed:
    """The parts of a pod spec that say where it runs."""

    affinity: Mapping[str, object] = field(default_factory=dict)
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, object], ...] = ()

    @property
    def spec(self) -> dict[str, object]:
        """The fields, those that are empty left out."""
        fields: dict[str, object] = {
            "affinity": dict(self.affinity),
            "nodeSelector": dict(self.node_selector),
            "tolerations": [dict(each) for each in self.tolerations],
        }
        return {key: value for key, value in fields.items() if value}


def placed(facts: Facts, verification: Verification) -> Placed:
    """Where the verification of these facts runs."""
    own = tuple(_toleration(each) for each in verification.tolerations)
    selector = dict(verification.node_selector)
    pin = pinned_node(facts)
    if pin:
        return Placed({"nodeAffinity": {_REQUIRED: _nodes(pin)}}, selector, own)
    if facts.storage.state is StorageState.WAITS_FOR_CONSUMER and facts.held:
        pod = min(facts.held, key=lambda each: (each.name, each.uid))
        required = {"nodeAffinity": {_REQUIRED: pod.required_affinity}}
        return Placed(
            required if pod.required_affinity else {},
            {**selector, **dict(pod.node_selector)},
            own + pod.tolerations,
        )
    if verification.placement is Placement.ANYWHERE:
        return Placed({}, selector, own)
    return Placed(_near(facts), selector, own)


def pinned_node(facts: Facts) -> str:
    """The one node where the storage can be read; "" if there are more."""
    spec = facts.checkpoint.spec
    if spec is not None and isinstance(spec.source, HostPathSource):
        return spec.source.node_name or ""
    if facts.storage.is_of_one_node and facts.users:
        return facts.users[0].node
    return ""


def _near(facts: Facts) -> dict[str, object]:
    """A preference for the nodes of its users, then for nodes where its pods are or may go."""
    spec, affinity = facts.checkpoint.spec, dict[str, object]()
    nodes = tuple(dict.fromkeys(use.node for use in facts.users))[:MOST_NODES]
    wishes = [{"weight": _STRONGEST, "preference": _node(node)} for node in nodes]
    for selector in sorted({pod.node_selector for pod in facts.held if pod.node_selector}):
        labels = [_expression(key, "In", (value,)) for key, value in selector]
        wishes.append({"weight": _STRONGEST // 2, "preference": {"matchExpressions": labels}})
    if wishes:
        affinity["nodeAffinity"] = {_PREFERRED: wishes[: 2 * MOST_NODES]}
    if spec is not None and spec.workload_selector is not None:
        term = {
            "labelSelector": _selector(spec.workload_selector),
            "topologyKey": _HOSTNAME,
        }
        affinity["podAffinity"] = {_PREFERRED: [{"weight": _STRONGEST, "podAffinityTerm": term}]}
    return affinity


def _nodes(name: str) -> dict[str, object]:
    return {"nodeSelectorTerms": [_node(name)]}


def _node(name: str) -> dict[str, object]:
    return {"matchFields": [_expression("metadata.name", "In", (name,))]}


def _selector(selector: LabelSelector) -> dict[str, object]:
    return {
        "matchExpressions": [
            _expression(each.key, each.operator.value, each.values) for each in selector.expressions
        ]
    }


def _expression(key: str, operator: str, values: tuple[str, ...]) -> dict[str, object]:
    expression: dict[str, object] = {"key": key, "operator": operator}
    return {**expression, "values": list(values)} if values else expression


def _toleration(toleration: Toleration) -> dict[str, object]:
    fields: dict[str, object | None] = {
        "key": toleration.key,
        "operator": toleration.operator.value,
        "value": toleration.value,
        "effect": toleration.effect.value if toleration.effect else None,
        "tolerationSeconds": toleration.toleration_seconds,
    }
    return {key: value for key, value in fields.items() if value is not None}
