"""Which nodes a pod can land on, as far as its own spec pins it.

A host path that was verified on one node says nothing about another (A13), so a pod that uses one
must be pinned to nodes where it was verified. What a spec leaves open counts as open.
"""

from typing import Final

from weightlock_webhook.mounts.fields import Fields

MOST_REQUIREMENTS: Final = 1024
"""Of all terms together; of a longer selector it is left open where the pod can land."""

_HOST_NAME: Final = "kubernetes.io/hostname"
_NODE_NAME: Final = "metadata.name"

Nodes = frozenset[str] | None
"""The only nodes that are possible; None if any is."""


def pinned_nodes(spec: Fields) -> Nodes:
    """The nodes that nodeName, nodeSelector and required node affinity leave possible."""
    named, selected = spec.text("nodeName"), spec.child("nodeSelector").text(_HOST_NAME)
    affinity = spec.child("affinity").child("nodeAffinity")
    required = affinity.child("requiredDuringSchedulingIgnoredDuringExecution")
    return _both(
        _both(frozenset({named}) if named else None, frozenset({selected}) if selected else None),
        nodes_of_selector(required),
    )


def nodes_of_selector(selector: Fields) -> Nodes:
    """The nodes of a node selector: any of its terms may hold, so one open term opens all."""
    if selector.count("nodeSelectorTerms") > MOST_REQUIREMENTS:
        return None
    parts = selector.children("nodeSelectorTerms")
    requirements = sum(each.count("matchExpressions") + each.count("matchFields") for each in parts)
    if requirements > MOST_REQUIREMENTS:
        return None
    terms = [_nodes_of_term(term) for term in parts]
    pinned = [nodes for nodes in terms if nodes is not None]
    if not terms or len(pinned) < len(terms):
        return None
    return frozenset().union(*pinned)


def _nodes_of_term(term: Fields) -> Nodes:
    nodes: Nodes = None
    for key, field in (("matchExpressions", _HOST_NAME), ("matchFields", _NODE_NAME)):
        for requirement in term.children(key):
            if requirement.text("key") == field and requirement.text("operator") == "In":
                nodes = _both(nodes, frozenset(requirement.texts("values")))
    return nodes


def _both(one: Nodes, other: Nodes) -> Nodes:
    if one is None or other is None:
        return other if one is None else one
    return one & other
