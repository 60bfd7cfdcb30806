"""Where persistent volumes lie, as their raw specs say; the webhook's tests hold the twins."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightlock.errors import Malformed
from weightlock.policy.paths import VolumePath
from weightlock.verdict.places import Neighbours, Place, places_of


def local(*requirements: object) -> dict[str, Any]:
    term = {"matchExpressions": list(requirements)}
    affinity = {"required": {"nodeSelectorTerms": [term]}}
    return {"local": {"path": "/mnt"}, "nodeAffinity": affinity}


ZONE = {"key": "zone", "operator": "In", "values": ["z"]}
HOST = {"key": "kubernetes.io/hostname", "operator": "In", "values": ["a", "b"]}


@pytest.mark.parametrize(
    ("spec", "nodes"),
    [
        pytest.param(local(ZONE), None, id="of no node in particular"),
        pytest.param(local(ZONE, HOST), frozenset("ab"), id="of two"),
        pytest.param(local(HOST, {**HOST, "values": ["b"]}), frozenset("b"), id="of both, so one"),
        pytest.param(local({**HOST, "values": "a"}), frozenset(), id="of none"),
    ],
)
def test_a_disk_is_of_the_nodes_that_it_is_pinned_to(
    spec: dict[str, Any], nodes: frozenset[str] | None
) -> None:
    assert [place.nodes for place in places_of(spec)] == [nodes]


@pytest.mark.parametrize(
    "spec",
    [
        {"nfs": "odd"},
        {"nfs": {"server": 1, "path": "/"}},
        {"local": {"path": "/"}, "nodeAffinity": {"required": {"nodeSelectorTerms": {}}}},
        {"local": {"path": "/"}, "nodeAffinity": {"required": {"nodeSelectorTerms": ["odd"]}}},
    ],
)
def test_what_the_server_would_not_send_is_malformed(spec: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        places_of(spec)


FOLDERS = st.lists(st.sampled_from("ab"), max_size=3).map(lambda parts: VolumePath(tuple(parts)))
NODES = st.one_of(st.none(), st.frozensets(st.sampled_from("xy")))
PLACES = st.lists(st.builds(Place, st.sampled_from(["s", "t"]), FOLDERS, NODES), max_size=2)


@given(st.dictionaries(st.sampled_from("klmn"), PLACES.map(tuple)), PLACES)
def test_neighbours_are_found_as_if_each_were_compared(
    known: dict[str, tuple[Place, ...]], places: list[Place]
) -> None:
    near = Neighbours()
    for name, where in known.items():
        near.put(name, where)
    expected = {
        name
        for name, where in known.items()
        if any(mine.overlaps(place) for mine in where for place in places)
    }
    assert near.of(places) == expected
    for name in known:
        near.drop(name)
    assert near.of(places) == frozenset()
