"""Which volumes lead to the same bytes."""

import json
from typing import Any

import msgspec
import pytest

from weightlock_webhook.cache.objects import (
    VolumeItem,
    VolumeMetadata,
)
from weightlock_webhook.cache.volumes import Volumes, places_in
from weightlock_webhook.decision.storage import Backing, backing_of


def volume_item(name: str, handle: str, mode: str = "ReadWriteMany", **spec: Any) -> VolumeItem:
    source = spec or {"csi": {"driver": "d", "volumeHandle": handle}}
    document = {"accessModes": [mode], **source}
    return VolumeItem(VolumeMetadata(name), msgspec.Raw(json.dumps(document).encode()))


def backing(item: VolumeItem) -> Backing:
    document = {"metadata": {"name": item.metadata.name}, "spec": json.loads(bytes(item.spec))}
    return backing_of(document)


def test_twins_are_told_as_they_come_and_go() -> None:
    index = Volumes()
    one, twin = volume_item("one", "h"), volume_item("twin", "h")
    index.changed(None, one)
    assert not index.has_writable_twin(backing(one))
    index.changed(None, twin)
    assert index.has_writable_twin(backing(one))
    read_only = volume_item("twin", "h", "ReadOnlyMany")
    index.changed(twin, read_only)
    assert index.has_writable_twin(backing(one)), "nobody enforces access modes"
    assert index.has_writable_twin(backing(read_only))
    index.changed(one, None)
    index.changed(read_only, None)
    assert not index.has_writable_twin(backing(one))


@pytest.mark.parametrize("spec", [b'{"csi": 5}', b'{"csi": {}, "nfs": {}}', b"{", b"[]"])
def test_a_volume_that_the_api_would_not_have_sent_leads_nowhere(spec: bytes) -> None:
    odd = VolumeItem(VolumeMetadata("odd"), msgspec.Raw(spec))
    assert places_in(odd) == ()
    index = Volumes()
    index.changed(None, odd)
    index.changed(odd, odd)
    index.changed(odd, None)


def test_a_volume_with_a_path_that_nobody_can_tell_is_a_twin_of_all_on_its_server() -> None:
    index = Volumes()
    one = volume_item("one", "", nfs={"server": "s", "path": "/models"})
    index.changed(None, one)
    index.changed(None, volume_item("odd", "", nfs={"server": "s", "path": "/x/../models"}))
    assert index.has_writable_twin(backing(one))
