"""Lists and maps end at the same item in the schema and in the Python that reads them."""

from typing import Any

import pytest
from tests.support.crds import Json, schema, schemas
from tests.unit.policy.builders import authority, key, rule, spec

from weightlock import algorithms
from weightlock.digests import HashAlgorithm
from weightlock.errors import Malformed, PolicyInvalid
from weightlock.policy import checkpoints, sizes, volumes
from weightlock.policy.spec import PolicySpec

CLUSTER = "clustermodelpolicies"
CHECKPOINTS = "modelcheckpoints"

MATCHERS = {
    f"spec.volumes.rules.items.{kind}.{field}": sizes.MOST_PATTERNS
    for kind, known in volumes.MATCHER_FIELDS.items()
    for field in known
}
SIZES: dict[tuple[str, str], int] = {
    (CLUSTER, "spec.namespaceSelector.matchLabels"): sizes.MOST_LABELS,
    (CLUSTER, "spec.namespaceSelector.matchExpressions"): sizes.MOST_EXPRESSIONS,
    (CLUSTER, "spec.namespaceSelector.matchExpressions.items.values"): sizes.MOST_VALUES,
    (CLUSTER, "spec.volumes.rules"): sizes.MOST_VOLUME_RULES,
    **{(CLUSTER, path): most for path, most in MATCHERS.items()},
    (CLUSTER, "spec.signatures.authorities"): sizes.MOST_AUTHORITIES,
    (CLUSTER, "spec.signatures.authorities.items.models"): sizes.MOST_PATTERNS,
    (CLUSTER, "spec.signatures.rules"): sizes.MOST_SIGNATURE_RULES,
    (CLUSTER, "spec.signatures.rules.items.authorities"): sizes.MOST_AUTHORITIES,
    (CLUSTER, "spec.digests.allowed"): len(HashAlgorithm),
    (CLUSTER, "spec.denied.digests"): sizes.MOST_DENIED,
    (CLUSTER, "spec.denied.keyids"): sizes.MOST_DENIED,
    (CLUSTER, "spec.rollback.floors"): sizes.MOST_FLOORS,
    (CLUSTER, "spec.rollback.floors.items.models"): sizes.MOST_PATTERNS,
    (CLUSTER, "spec.verification.nodeSelector"): sizes.MOST_LABELS,
    (CLUSTER, "spec.verification.tolerations"): sizes.MOST_TOLERATIONS,
    (CHECKPOINTS, "spec.source.csi.volumeAttributes"): sizes.MOST_ATTRIBUTES,
    (CHECKPOINTS, "spec.workloadSelector.matchLabels"): sizes.MOST_LABELS,
    (CHECKPOINTS, "spec.workloadSelector.matchExpressions"): sizes.MOST_EXPRESSIONS,
    (CHECKPOINTS, "spec.workloadSelector.matchExpressions.items.values"): sizes.MOST_VALUES,
}


@pytest.mark.parametrize("where", SIZES, ids="/".join)
def test_lists_and_maps_end_at_the_same_item(where: tuple[str, str]) -> None:
    found = schema(*where)
    assert found["maxItems" if found["type"] == "array" else "maxProperties"] == SIZES[where]


@pytest.mark.parametrize("plural", [CLUSTER, CHECKPOINTS])
def test_no_list_or_map_of_a_spec_is_left_out_of_the_table(plural: str) -> None:
    found = {
        (plural, path)
        for path, words in schemas(schema(plural, "spec"), "spec")
        if words.get("type") == "array" or "additionalProperties" in words
    }
    assert found == {where for where in SIZES if where[0] == plural}


def numbered(pattern: str, many: int) -> list[Any]:
    return [pattern.format(number) for number in range(many)]


def policy_with(path: str, many: int) -> Json:
    """A policy that is fine, with so many items in the list or map at a path."""
    names = numbered("a{}", many)
    matcher = path.removeprefix("spec.volumes.rules.items.").split(".")
    if matcher[0] in volumes.MATCHER_FIELDS:
        items = numbered("/p{}", many) if matcher[1] == "paths" else names
        return spec(volumes={"rules": [{matcher[0]: {matcher[1]: items}, "action": "Verify"}]})
    few = [authority(name, key(name, algorithms.SLH_DSA[0])) for name in names[:32]]
    more = [authority(name, key(name, algorithms.SLH_DSA[0])) for name in names[32:]]
    expression = {"key": "k", "operator": "In", "values": names}
    found: dict[str, Json] = {
        "spec.namespaceSelector.matchLabels": {
            "namespaceSelector": {"matchLabels": dict.fromkeys(names, "x")}
        },
        "spec.namespaceSelector.matchExpressions": {
            "namespaceSelector": {
                "matchExpressions": [{"key": name, "operator": "Exists"} for name in names]
            }
        },
        "spec.namespaceSelector.matchExpressions.items.values": {
            "namespaceSelector": {"matchExpressions": [expression]}
        },
        "spec.volumes.rules": {
            "volumes": {"rules": [{"hostPath": {}, "action": "Verify"} for _ in names]}
        },
        "spec.signatures.authorities": {
            "signatures": {
                "authorities": few + more,
                "rules": [
                    rule(name, *(str(each["name"]) for each in some))
                    for name, some in (("few", few), ("more", more))
                    if some
                ],
            }
        },
        "spec.signatures.authorities.items.models": {
            "signatures": {
                "authorities": [authority("a", key("a"), models=names)],
                "rules": [rule("all", "a")],
            }
        },
        "spec.signatures.rules": {
            "signatures": {
                "authorities": [authority("a", key("a"))],
                "rules": [rule(name, "a") for name in names],
            }
        },
        "spec.signatures.rules.items.authorities": {
            "signatures": {"authorities": few, "rules": [rule("all", *names)]}
        },
        "spec.denied.digests": {"denied": {"digests": numbered("sha256:{:064x}", many)}},
        "spec.denied.keyids": {"denied": {"keyids": numbered("{:064x}", many)}},
        "spec.rollback.floors": {
            "rollback": {"floors": [{"models": ["*"], "version": 1} for _ in names]}
        },
        "spec.rollback.floors.items.models": {
            "rollback": {"floors": [{"models": names, "version": 1}]}
        },
        "spec.verification.nodeSelector": {
            "verification": {"nodeSelector": dict.fromkeys(names, "x")}
        },
        "spec.verification.tolerations": {
            "verification": {"tolerations": [{"key": name} for name in names]}
        },
    }
    return spec(**found[path])


@pytest.mark.parametrize(
    ("path", "most"),
    [
        pytest.param(path, most, id=path)
        for (plural, path), most in SIZES.items()
        if plural == CLUSTER and path != "spec.digests.allowed"
    ],
)
def test_python_takes_the_last_item_and_refuses_the_next(path: str, most: int) -> None:
    PolicySpec.from_spec(policy_with(path, most))
    with pytest.raises(PolicyInvalid, match=f"{most + 1} items, expected at most {most}"):
        PolicySpec.from_spec(policy_with(path, most + 1))


def test_attributes_end_at_the_same_character() -> None:
    value = schema(CHECKPOINTS, "spec.source.csi.volumeAttributes")["additionalProperties"]
    assert value["maxLength"] == sizes.LONGEST_ATTRIBUTE

    def csi(key: str, text: str) -> Json:
        return {"source": {"csi": {"driver": "d", "volumeAttributes": {key: text}}}}

    longest = "<" * sizes.LONGEST_ATTRIBUTE
    checkpoints.CheckpointSpec.from_spec(csi(longest, longest))
    with pytest.raises(Malformed, match="1025 characters, expected at most 1024"):
        checkpoints.CheckpointSpec.from_spec(csi("a", longest + "<"))
    with pytest.raises(Malformed, match="a key of more than 1024 characters"):
        checkpoints.CheckpointSpec.from_spec(csi(longest + "<", "a"))


def test_a_checkpoint_ends_where_its_schema_does() -> None:
    def csi(many: int) -> Json:
        attributes = dict.fromkeys(numbered("a{}", many), "x")
        return {"source": {"csi": {"driver": "d", "volumeAttributes": attributes}, "path": "/"}}

    checkpoints.CheckpointSpec.from_spec(csi(sizes.MOST_ATTRIBUTES))
    with pytest.raises(Malformed, match="65 items, expected at most 64"):
        checkpoints.CheckpointSpec.from_spec(csi(sizes.MOST_ATTRIBUTES + 1))
