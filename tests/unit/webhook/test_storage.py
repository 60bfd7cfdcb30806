"""Claims and persistent volumes, read and told apart."""

from typing import Any

import pytest
from tests.unit.policy.builders import policy
from tests.unit.webhook.cluster import NAMESPACE, checkpoint, claim_object, storage, volume_object
from tests.unit.webhook.objects import Object, pod_spec

from weightlock.errors import Malformed
from weightlock.policy.volumes import VolumeFacts
from weightlock.verdict.storage import (
    MOUNT_OPTIONS_ANNOTATION,
    PV_ATTRIBUTES,
    persistent_volume_hash,
)
from weightlock_webhook.decision.governance import Governance
from weightlock_webhook.decision.governing import governed_volumes
from weightlock_webhook.decision.identity import volume_now
from weightlock_webhook.decision.storage import (
    Storage,
    backing_of,
    claim_of,
    writable_twins,
)
from weightlock_webhook.mounts.paths import path_of
from weightlock_webhook.mounts.pods import pod_of


def bound(found_claim: Object, found_volume: Object | None) -> bool:
    return claim_of(found_claim, found_volume).backing is not None


@pytest.mark.parametrize(
    ("found_claim", "found_volume", "expected"),
    [
        pytest.param(claim_object(), volume_object(), True, id="each names the other"),
        pytest.param(claim_object(), None, False, id="no volume"),
        pytest.param(claim_object(volumeName="x"), volume_object(), False, id="another volume"),
        pytest.param(claim_object(), volume_object(claim_uid="x"), False, id="another claim"),
        pytest.param(
            claim_object(uid=""), volume_object(claim_uid=""), False, id="claims without identity"
        ),
        pytest.param(
            claim_object() | {"status": {"phase": "Lost"}},
            volume_object(),
            False,
            id="a lost claim",
        ),
        pytest.param(claim_object() | {"status": None}, volume_object(), False, id="a new claim"),
    ],
)
def test_a_claim_is_bound_if_both_sides_say_so(
    found_claim: Object, found_volume: Object | None, expected: bool
) -> None:
    assert bound(found_claim, found_volume) is expected


@pytest.mark.parametrize(
    ("source", "facts"),
    [
        pytest.param({"nfs": {"server": "s", "path": "/e/"}}, ("nfs", "/e", "s", None), id="nfs"),
        pytest.param({"csi": {"driver": "d"}}, ("csi", None, None, "d"), id="csi"),
        pytest.param({"local": {"path": "/l"}}, ("local", "/l", None, None), id="local"),
        pytest.param({"hostPath": {"path": "/h"}}, ("hostPath", "/h", None, None), id="hostPath"),
        pytest.param({"rbd": {"image": "i"}}, ("rbd", None, None, None), id="rbd"),
        pytest.param({"tape": {}}, ("tape", None, None, None), id="a source of the future"),
    ],
)
def test_what_a_persistent_volume_really_is(source: Object, facts: Any) -> None:
    kind, path, server, driver = facts
    assert backing_of(volume_object(**source)).facts == VolumeFacts(
        kind, path=path_of(path) if path else None, server=server, driver=driver
    )


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"csi": {"driver": "d", "volumeHandle": "2"}}, id="the handle"),
        pytest.param({"csi": {"driver": "d", "volumeHandle": "1", "x": 1}}, id="an attribute"),
        pytest.param(
            {"csi": {"driver": "d", "volumeHandle": "1"}, "volumeMode": "Block"}, id="the mode"
        ),
        pytest.param(
            {"csi": {"driver": "d", "volumeHandle": "1"}, "nodeAffinity": {"required": {}}},
            id="the nodes",
        ),
    ],
)
def test_whatever_decides_the_bytes_changes_the_hash(changed: Object) -> None:
    before = volume_object(csi={"driver": "d", "volumeHandle": "1"})
    assert backing_of(volume_object(**changed)).source_hash != backing_of(before).source_hash


def test_whatever_does_not_decide_the_bytes_leaves_the_hash_alone() -> None:
    before = volume_object(csi={"driver": "d"})
    after = volume_object(csi={"readOnly": True, "driver": "d"}, capacity={"storage": "2Ti"})
    assert backing_of(after).source_hash == backing_of(before).source_hash


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param({"metadata": {"name": "v"}, "spec": {}}, id="no source"),
        pytest.param({"metadata": {"name": "v"}, "spec": {"nfs": {}, "csi": {}}}, id="two sources"),
        pytest.param({"spec": {"csi": {"driver": "d"}}}, id="no name"),
        pytest.param({"metadata": {"name": "v"}, "spec": {"csi": {}}}, id="no driver"),
        pytest.param({"metadata": {"name": "v"}, "spec": {"csi": "d"}}, id="a source as text"),
        pytest.param(
            {"metadata": {"name": "v"}, "spec": {"csi": {"driver": "d", "x": b""}}},
            id="a source that is not JSON",
        ),
    ],
)
def test_a_volume_that_the_api_would_not_have_sent_is_malformed(broken: Object) -> None:
    with pytest.raises(Malformed):
        backing_of(broken)


def twin(name: str, *modes: str, handle: str = "1", read_only: bool = False) -> Object:
    source = {"driver": "d", "volumeHandle": handle, "readOnly": read_only}
    return volume_object(name, csi=source, accessModes=list(modes))


@pytest.mark.parametrize(
    ("volumes", "twins"),
    [
        pytest.param([twin("a", "ReadWriteMany")], set(), id="alone"),
        pytest.param(
            [twin("a", "ReadOnlyMany"), twin("b", "ReadOnlyMany")],
            {"pv-a", "pv-b"},
            id="two that say that they are read",
        ),
        pytest.param(
            [twin("a", read_only=True), twin("b", read_only=True)],
            {"pv-a", "pv-b"},
            id="two whose sources say that they are read",
        ),
        pytest.param(
            [twin("a", "ReadOnlyMany"), twin("b", "ReadWriteOnce")],
            {"pv-a", "pv-b"},
            id="a reader and a writer",
        ),
        pytest.param(
            [twin("a", "ReadWriteMany"), twin("b", "ReadWriteMany")],
            {"pv-a", "pv-b"},
            id="two writers",
        ),
        pytest.param(
            [twin("a", "ReadOnlyMany"), twin("b")], {"pv-a", "pv-b"}, id="one without modes"
        ),
        pytest.param(
            [twin("a", "ReadOnlyMany"), twin("b", "ReadWriteOnce", handle="2")],
            set(),
            id="two disks",
        ),
    ],
)
def test_writable_twins(volumes: list[Object], twins: set[str]) -> None:
    assert writable_twins(map(backing_of, volumes)) == twins


def test_the_storage_class_of_a_claim_is_known_or_unknown() -> None:
    assert claim_of(claim_object(storageClassName="fast"), None).storage_class == "fast"
    assert claim_of(claim_object(storageClassName=None), None).storage_class is None
    assert claim_of(claim_object(storageClassName=""), None).storage_class is None


def test_attributes_are_no_sources() -> None:
    everything: Object = {key: {} for key in PV_ATTRIBUTES - {"accessModes", "claimRef"}}
    found = volume_object()
    found["spec"] |= everything
    assert backing_of(found).facts.kind == "csi"


def test_mount_options_choose_the_bytes() -> None:
    """A28: `only-dir=`, `subvol=`, `prefix=` mount another part of the same storage."""
    spec: Object = {"csi": {"driver": "d", "volumeHandle": "h"}}
    found = {
        persistent_volume_hash(spec),
        persistent_volume_hash(spec | {"mountOptions": ["only-dir=good"]}),
        persistent_volume_hash(spec | {"mountOptions": ["only-dir=evil"]}),
        persistent_volume_hash(spec | {"mountOptions": ["ro", "only-dir=evil"]}),
        persistent_volume_hash(spec | {"mountOptions": ["only-dir=evil", "ro"]}),
        persistent_volume_hash(spec, {MOUNT_OPTIONS_ANNOTATION: "only-dir=evil"}),
    }
    assert len(found) == 6
    assert persistent_volume_hash(spec, {"other": "x"}) == persistent_volume_hash(spec)
    assert persistent_volume_hash(spec | {"mountOptions": []}) == persistent_volume_hash(spec)


def test_a_source_as_text_has_no_hash() -> None:
    with pytest.raises(Malformed):
        persistent_volume_hash({"csi": "d"})


@pytest.mark.parametrize("known", [storage(), storage(claim_of(claim_object(), None))])
def test_storage_that_nobody_found_is_not_what_was_verified(known: Storage) -> None:
    pod = pod_of({}, pod_spec())
    (view,) = Governance.of([policy()], NAMESPACE, {}).views
    volume = governed_volumes(pod, view, known)["model"]
    assert volume_now(checkpoint(), volume) is None
