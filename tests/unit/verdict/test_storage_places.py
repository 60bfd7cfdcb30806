"""Where persistent volumes lie, as their raw specs say; the webhook's tests hold the twins."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightlock.errors import Malformed
from weightlock.policy.paths import VolumePath
from weightlock.verdict.places import Neighbours, Place, places_of

NESTED: list[Any] = []
for _ in range(100_000):
    NESTED = [NESTED]


def local(*requirements: object) -> dict[str, Any]:
    term = {"matchExpressions": list(requirements)}
    affinity = {"required": {"nodeSelectorTerms": [term]}}
    return {"local": {"path": "/mnt"}, "nodeAffinity": affinity}


FINDING = {
    "csi": {"driver", "volumeHandle"},
    "awsElasticBlockStore": {"volumeID"},
    "azureDisk": {"diskURI"},
    "azureFile": {"shareName"},
    "cinder": {"volumeID"},
    "fc": {"lun", "targetWWNs", "wwids"},
    "flocker": {"datasetName", "datasetUUID"},
    "gcePersistentDisk": {"pdName"},
    "iscsi": {"iqn", "lun"},
    "photonPersistentDisk": {"pdID"},
    "portworxVolume": {"volumeID"},
    "quobyte": {"volume"},
    "rbd": {"image", "pool"},
    "scaleIO": {"system", "volumeName"},
    "storageos": {"volumeName"},
    "vsphereVolume": {"volumePath"},
}
"""What finds the bytes; addresses, partitions, users and options are different ways to them."""


@pytest.mark.parametrize("kind", FINDING)
def test_two_volumes_over_one_disk_lie_in_one_place_however_else_they_differ(kind: str) -> None:
    source = dict.fromkeys(FINDING[kind], "x")

    def place(**changes: object) -> tuple[Place, ...]:
        return places_of({kind: {**source, **changes}})

    # Also by a field of the future: a second way to the same bytes must never look like another.
    for other in ("fsType", "partition", "endpoint", "readOnly", "secretRef", "user", "new"):
        assert place(**{other: "1"}) == place(**{other: "2"}) == place()
    for key in source:
        assert place(**{key: "y"}) != place()


def test_one_value_under_two_keys_is_two_disks() -> None:
    assert places_of({"fc": {"wwids": ["x"]}}) != places_of({"fc": {"targetWWNs": ["x"]}})


def test_of_a_kind_that_nobody_knows_all_counts_but_how_it_is_mounted() -> None:
    def place(**changes: object) -> tuple[Place, ...]:
        return places_of({"tape": {"robot": "r", **changes}})

    for how in ("fsType", "readOnly", "secretRef"):
        assert place(**{how: "1"}) == place(**{how: "2"}) == place()
    assert place(robot="s") != place()
    assert place(slot="1") != place()
    assert place(robot={"a": 1, "b": 2}) == place(robot={"b": 2, "a": 1})


@pytest.mark.parametrize("kind", ["cephfs", "glusterfs"])
def test_folders_of_a_distributed_file_system_are_told_by_path_whatever_the_way(kind: str) -> None:
    def place(path: str, way: str = "1") -> Place:
        (found,) = places_of({kind: {"path": path, "endpoints": way, "monitors": [way]}})
        return found

    assert place("/models") == place("models", "2")
    assert place("/models").overlaps(place("/models/llama", "2"))
    assert not place("/models").overlaps(place("/other"))


@pytest.mark.parametrize("path", ["a/./b", "./a/b", "/a//b/", "a/b/."])
def test_one_folder_has_many_spellings(path: str) -> None:
    (found,) = places_of({"hostPath": {"path": path}})
    assert found.path == VolumePath(("a", "b"))


@pytest.mark.parametrize("path", ["a/../b", "..", "a\0b"])
def test_a_path_that_nobody_can_tell_is_all_of_it(path: str) -> None:
    (found,) = places_of({"hostPath": {"path": path}})
    assert found.path == VolumePath()


@pytest.mark.parametrize("value", [{"x": {1}}, float("nan"), NESTED], ids=["set", "nan", "deep"])
def test_what_is_no_plain_json_is_malformed(value: object) -> None:
    with pytest.raises(Malformed, match="not plain JSON"):
        places_of({"tape": {"robot": value}})


ZONE = {"key": "zone", "operator": "In", "values": ["z"]}
HOST = {"key": "kubernetes.io/hostname", "operator": "In", "values": ["a", "b"]}


def test_a_disk_may_be_pinned_by_the_name_of_its_node() -> None:
    by_name = {"key": "metadata.name", "operator": "In", "values": ["a"]}
    term = {"matchFields": [by_name], "matchExpressions": [HOST]}
    affinity = {"required": {"nodeSelectorTerms": [term]}}
    (found,) = places_of({"local": {"path": "/mnt"}, "nodeAffinity": affinity})
    assert found.nodes == frozenset("a")


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
    for name, where in known.items():
        others = {other for other in near.of(where) if other != name}
        assert near.any_but(name, where) is bool(others)
    for name in known:
        near.drop(name)
    assert near.of(places) == frozenset()
