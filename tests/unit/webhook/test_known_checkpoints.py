"""Checkpoints by what they are about."""

import json
from typing import Any

import pytest
from tests.support.api_in_memory import Json
from tests.unit.webhook.knowledge import GOOD, checkpoint_item
from tests.unit.webhook.world import NAMESPACE

from weightlock_webhook.cache.checkpoints import checkpoint_of, key_of, key_of_volume
from weightlock_webhook.mounts import sources
from weightlock_webhook.mounts.paths import path_of

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("source", "pod_source"),
    [
        pytest.param(
            {"persistentVolumeClaim": {"claimName": "llama"}},
            sources.ClaimSource("llama", read_only=True),
            id="claim",
        ),
        pytest.param(
            {"hostPath": {"path": "/mnt/m", "nodeName": "n"}},
            sources.HostPathSource(path_of("//mnt/m/"), ""),
            id="host path",
        ),
        pytest.param(
            {"nfs": {"server": "s", "path": "/e"}},
            sources.InlineSource("nfs", "{}", True, "s", path_of("/e/.")),
            id="nfs",
        ),
        pytest.param(
            {"csi": {"driver": "d", "volumeAttributes": {"a": "b"}}},
            sources.InlineSource("csi", "{}", True, driver="d"),
            id="csi",
        ),
        pytest.param(
            {"image": {"reference": f"a.example/b@{DIGEST}"}},
            sources.ImageSource(f"mirror.example/b@{DIGEST}", DIGEST),
            id="image",
        ),
    ],
)
def test_checkpoints_are_found_by_what_a_pod_names(source: Json, pod_source: Any) -> None:
    found = key_of(checkpoint_item(json.dumps({"source": source}).encode()))
    assert found == key_of_volume(NAMESPACE, pod_source)
    assert found is not None


@pytest.mark.parametrize("spec", [b"{}", b'{"source": {}}', b'{"source": 5}', b"{"])
def test_a_checkpoint_about_nothing_is_never_found(spec: bytes) -> None:
    assert key_of(checkpoint_item(spec)) is None


@pytest.mark.parametrize(
    "source",
    [
        sources.ScratchSource(),
        sources.ImageSource("x:latest", ""),
        sources.UnknownSource(("x",)),
        sources.InlineSource("iscsi", "{}", True),
    ],
)
def test_volumes_that_no_checkpoint_is_about_have_no_key(source: Any) -> None:
    assert key_of_volume(NAMESPACE, source) is None


@pytest.mark.parametrize("status", [b'{"phase": "Nonsense"}', b"null", b"{}"])
def test_a_status_that_cannot_be_read_is_none(status: bytes) -> None:
    found = checkpoint_of(checkpoint_item(GOOD, status))
    assert found is not None
    assert found.status is None


@pytest.mark.parametrize("spec", [b"{}", b"{", b"5"])
def test_a_checkpoint_that_cannot_be_read_vouches_for_nothing(spec: bytes) -> None:
    assert checkpoint_of(checkpoint_item(spec)) is None
