"""What the reader knows, held against the published schemas of every Kubernetes release.

A field or a volume source that a release adds and that nobody has judged fails here, before a
cluster with that release refuses pods for it.
"""

import pytest
from tests.support.published_schemas import RELEASES, fields_of, schema_of_source

from weightlock.policy.volume_kinds import INLINE, INLINE_WITH_READ_ONLY
from weightlock.policy.volumes import MATCHER_FIELDS
from weightlock.verdict.storage import PV_ATTRIBUTES
from weightlock_webhook.mounts import containers, pods, sources

KNOWN = {
    "Volume": sources.KNOWN_SOURCES | {"name"},
    "VolumeProjection": sources.KNOWN_PROJECTIONS,
    "PersistentVolumeClaimVolumeSource": sources.KNOWN_SOURCE_FIELDS[sources.CLAIM],
    "EphemeralVolumeSource": sources.KNOWN_SOURCE_FIELDS[sources.EPHEMERAL],
    "HostPathVolumeSource": sources.KNOWN_SOURCE_FIELDS[sources.HOST_PATH],
    "ImageVolumeSource": sources.KNOWN_SOURCE_FIELDS[sources.IMAGE],
    "EmptyDirVolumeSource": sources.KNOWN_SOURCE_FIELDS[sources.EMPTY_DIR],
    "ProjectedVolumeSource": sources.KNOWN_SOURCE_FIELDS[sources.PROJECTED],
    "VolumeMount": containers.KNOWN_MOUNT_FIELDS,
    "VolumeDevice": containers.KNOWN_DEVICE_FIELDS,
    "PodSpec": pods.KNOWN_POD_FIELDS,
    "EphemeralContainer": containers.KNOWN_CONTAINER_FIELDS,
    "Container": containers.KNOWN_CONTAINER_FIELDS,
}


@pytest.mark.parametrize("kind", KNOWN)
@pytest.mark.parametrize("minor", RELEASES)
def test_every_field_of_a_release_is_known(minor: int, kind: str) -> None:
    assert fields_of(minor, kind) <= KNOWN[kind]


@pytest.mark.parametrize("kind", sorted(set(KNOWN) - {"Container"}))
def test_nothing_is_known_that_no_release_has(kind: str) -> None:
    assert frozenset().union(*(fields_of(minor, kind) for minor in RELEASES)) == KNOWN[kind]


@pytest.mark.parametrize("kind", sorted(INLINE))
def test_inline_sources_are_read_only_where_the_schema_lets_them(kind: str) -> None:
    schema = schema_of_source("Volume", kind)
    assert ("readOnly" in schema["properties"]) is (kind in INLINE_WITH_READ_ONLY)


@pytest.mark.parametrize("minor", RELEASES)
def test_persistent_volumes_have_the_sources_that_policies_can_name(minor: int) -> None:
    fields = fields_of(minor, "PersistentVolumeSpec")
    assert fields - PV_ATTRIBUTES <= MATCHER_FIELDS.keys()
    assert fields_of(minor, "Volume") - {"name"} <= MATCHER_FIELDS.keys()
