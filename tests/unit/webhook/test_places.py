"""Which persistent volumes lead to the same bytes, however they spell it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.webhook.objects import Object

from weightlock.errors import Malformed
from weightlock.policy.volumes import MATCHER_FIELDS
from weightlock.verdict import places
from weightlock_webhook.decision.places import Place, Twins, places_of
from weightlock_webhook.mounts.fields import Fields
from weightlock_webhook.mounts.paths import path_of


def where(spec: Object) -> tuple[Place, ...]:
    return places_of(Fields.of(spec, "spec"))


def are_twins(one: Object, other: Object) -> bool:
    twins = Twins()
    twins.put("one", where(one))
    twins.put("other", where(other))
    found = {twins.has_twin("one", where(one)), twins.has_twin("other", where(other))}
    assert len(found) == 1, "a twin's twin is its twin"
    return found.pop()


def csi(handle: str = "vol-1", driver: str = "disk.example", **more: Any) -> Object:
    return {"csi": {"driver": driver, "volumeHandle": handle, **more}}


def by_nfs_driver(handle: str, **attributes: str) -> Object:
    return csi(handle, places.NFS_DRIVER, volumeAttributes=attributes)


def local(path: str, *nodes: str) -> Object:
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": list(nodes)}
    term = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    return {"local": {"path": path}, "nodeAffinity": {"required": term if nodes else {}}}


NFS = {"nfs": {"server": "files.example", "path": "/export/models"}}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(csi(), csi(), id="the same"),
        pytest.param(csi(), csi(fsType="xfs"), id="another file system"),
        pytest.param(csi(), csi(volumeAttributes={"x": "y"}), id="other attributes"),
        pytest.param(csi(), csi(nodeStageSecretRef={"name": "s"}), id="another secret"),
        pytest.param(csi(), csi(readOnly=True), id="one that says that it is read"),
        pytest.param(csi(), csi() | {"mountOptions": ["rw"]}, id="other mount options"),
        pytest.param(csi(), csi() | {"volumeMode": "Block"}, id="as a device"),
        pytest.param(
            NFS, {"nfs": {"server": "FILES.example.", "path": "/export//models/"}}, id="nfs"
        ),
        pytest.param(NFS, {"nfs": {"server": "files.example", "path": "/export"}}, id="nfs above"),
        pytest.param(
            NFS, {"nfs": {"server": "files.example", "path": "/export/models/a"}}, id="nfs below"
        ),
        pytest.param(NFS, {"nfs": {"server": "files.example", "path": "/"}}, id="all of a server"),
        pytest.param(
            NFS, {"nfs": {"server": "files.example", "path": "/a/../export/models"}}, id="nfs .."
        ),
        pytest.param(
            NFS,
            by_nfs_driver("any", server="files.example", share="/export", subDir="models"),
            id="nfs by its driver",
        ),
        pytest.param(
            by_nfs_driver("a", server="s", share="/e"),
            by_nfs_driver("b", server="s", share="/e/"),
            id="the nfs driver under two handles",
        ),
        pytest.param(
            by_nfs_driver("a", server="s", share="/e"),
            by_nfs_driver("a"),
            id="the nfs driver by its handle",
        ),
        pytest.param(
            {"hostPath": {"path": "/m"}},
            {"hostPath": {"path": "/m", "type": "Directory"}},
            id="host path",
        ),
        pytest.param({"hostPath": {"path": "/m"}}, local("/m", "a"), id="host path and local"),
        pytest.param(local("/m", "a"), local("/m/x", "a", "b"), id="local on a common node"),
        pytest.param(local("/m", "a"), local("/m"), id="local on any node"),
        pytest.param(
            {"hostPath": {"path": "/" + "d/" * 70 + "a"}},
            {"hostPath": {"path": "/" + "d/" * 70 + "b"}},
            id="deeper than anybody looks",
        ),
        pytest.param(
            {"iscsi": {"targetPortal": "1:3260", "iqn": "q", "lun": 0, "fsType": "xfs"}},
            {"iscsi": {"targetPortal": "2:3260", "iqn": "q", "lun": 0, "portals": ["3"]}},
            id="iscsi by another portal",
        ),
        pytest.param(
            {"rbd": {"monitors": ["a"], "pool": "p", "image": "i", "user": "admin"}},
            {"rbd": {"monitors": ["b"], "pool": "p", "image": "i", "keyring": "/k"}},
            id="rbd by another monitor",
        ),
        pytest.param(
            {"cephfs": {"monitors": ["a"], "path": "/m"}},
            {"cephfs": {"monitors": ["b"]}},
            id="cephfs",
        ),
        pytest.param(
            {"fc": {"wwids": ["a", "b"]}}, {"fc": {"wwids": ["b", "a"], "fsType": "x"}}, id="fc"
        ),
        pytest.param(
            {"flexVolume": {"driver": "d", "fsType": "x", "options": {"a": "b"}}},
            {"flexVolume": {"driver": "d", "readOnly": True, "options": {"a": "b"}}},
            id="flexVolume",
        ),
        pytest.param({"tape": {"reel": 7}}, {"tape": {"reel": 7, "fsType": "x"}}, id="the future"),
        pytest.param(
            csi("projects/p/zones/z/disks/models", "pd.csi.storage.gke.io"),
            {"gcePersistentDisk": {"pdName": "models"}},
            id="a disk that its driver took over",
        ),
        pytest.param(
            {"awsElasticBlockStore": {"volumeID": "aws://eu-west-1a/vol-1"}},
            {"awsElasticBlockStore": {"volumeID": "vol-1", "partition": 1}},
            id="a disk with its zone",
        ),
    ],
)
def test_the_same_bytes(one: Object, other: Object) -> None:
    assert are_twins(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(csi(), csi("vol-2"), id="another handle"),
        pytest.param(csi(), csi("VOL-1"), id="handles are compared as they are"),
        pytest.param(csi(), csi(driver="tape.example"), id="another driver"),
        pytest.param(
            csi("projects/p/zones/y/disks/models", "pd.csi.storage.gke.io"),
            csi("projects/p/zones/z/disks/models", "pd.csi.storage.gke.io"),
            id="a disk of the same name in another zone",
        ),
        pytest.param(NFS, {"nfs": {"server": "x", "path": "/export/models"}}, id="another server"),
        pytest.param(
            NFS,
            {"nfs": {"server": "files.example", "path": "/export/models-2"}},
            id="a folder beside it",
        ),
        pytest.param(local("/m", "a"), local("/m", "b", "c"), id="disks of different nodes"),
        pytest.param({"hostPath": {"path": "/m"}}, {"hostPath": {"path": "/n"}}, id="host paths"),
        pytest.param(
            {"rbd": {"pool": "p", "image": "i"}}, {"rbd": {"pool": "p", "image": "j"}}, id="rbd"
        ),
        pytest.param({"tape": {"reel": 7}}, {"tape": {"reel": 8}}, id="the future"),
        pytest.param(
            {"awsElasticBlockStore": {"volumeID": "1"}},
            {"portworxVolume": {"volumeID": "1"}},
            id="another kind",
        ),
    ],
)
def test_other_bytes(one: Object, other: Object) -> None:
    assert not are_twins(one, other)


def test_a_volume_that_the_index_knows_otherwise_or_not_at_all_is_compared_as_it_is() -> None:
    twins = Twins()
    twins.put("other", where(csi()))
    twins.put("one", where(csi("vol-2")))
    assert twins.has_twin("one", where(csi())), "read live, it has just become a twin"
    assert twins.has_twin("new", where(csi()))
    assert not twins.has_twin("new", where(csi("vol-3")))


def test_a_volume_alone_has_no_twin_and_forgets_the_one_that_left() -> None:
    twins = Twins()
    twins.drop("never seen")
    twins.put("one", where(NFS))
    twins.put("one", where(NFS))
    assert not twins.has_twin("one", where(NFS))
    twins.put("other", where({"nfs": {"server": "files.example", "path": "/"}}))
    assert twins.has_twin("one", where(NFS))
    twins.put("other", where(csi()))
    assert not twins.has_twin("one", where(NFS))
    twins.drop("one")
    twins.drop("other")
    assert not any((twins._places, twins._counts, twins._at, twins._inside)), (
        "nothing is kept of what is gone"
    )


@pytest.mark.parametrize("spec", [{}, {"csi": 5}, {"tape": {"reel": float("nan")}}])
def test_no_place_at_all(spec: Object) -> None:
    with pytest.raises(Malformed):
        where(spec)


def test_every_source_of_a_persistent_volume_is_either_known_or_taken_whole() -> None:
    assert places._FINDING.keys() <= set(MATCHER_FIELDS)


PLACES = st.builds(
    Place,
    st.sampled_from(["a", "b"]),
    st.sampled_from(["/", "/m", "/m/x", "/m/x/y", "/n"]).map(path_of),
    st.sampled_from([None, frozenset({"1"}), frozenset({"2"}), frozenset({"1", "2"})]),
)


@given(st.dictionaries(st.sampled_from("uvwxyz"), st.lists(PLACES, max_size=2), max_size=6))
def test_the_index_finds_what_comparing_every_place_with_every_other_finds(
    volumes: dict[str, list[Place]],
) -> None:
    twins = Twins()
    for name, found in volumes.items():
        twins.put(name, tuple(found))
    for name, found in volumes.items():
        others = [each for other, theirs in volumes.items() if other != name for each in theirs]
        expected = any(one.overlaps(other) for one in found for other in others)
        assert twins.has_twin(name, tuple(found)) is expected
