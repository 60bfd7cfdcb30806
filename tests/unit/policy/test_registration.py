"""How checkpoints are written: the same folder, the same name; another folder, another name."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightlock.policy.checkpoints import Checkpoint
from weightlock.policy.paths import VolumePath
from weightlock.policy.registration import Registration, checkpoint_name, source_words
from weightlock.policy.sources import (
    ClaimSource,
    CsiSource,
    HostPathSource,
    ImageSource,
    NfsSource,
    Source,
)

STEP = VolumePath(("step-1200",))
SOURCES: list[Source] = [
    ClaimSource("llama"),
    HostPathSource(VolumePath(("mnt", "models")), "node-3"),
    HostPathSource(VolumePath(("mnt", "models"))),
    NfsSource("nas.example", VolumePath(("export",))),
    CsiSource("disk.example", (("volume", "7"),)),
    ImageSource("registry.example/models/llama@sha256:" + "ab" * 32),
]
paths = st.lists(
    st.text("aZ.-_\u00e9 ", min_size=1, max_size=40).filter(lambda text: text not in {".", ".."}),
    max_size=3,
).map(lambda components: VolumePath(tuple(components)))


@pytest.mark.parametrize("source", SOURCES, ids=source_words)
def test_what_is_written_is_what_was_meant(source: Source) -> None:
    registration = Registration("team-a", source, STEP, "llama-70b")
    found = Checkpoint.from_object(registration.document)
    assert found.spec == registration.spec
    assert found.metadata.namespace == "team-a"


def test_a_name_can_be_read() -> None:
    assert re.fullmatch(r"llama-step-1200-[0-9a-f]{8}", checkpoint_name(SOURCES[0], STEP))


def test_a_name_that_was_given_is_kept() -> None:
    registration = Registration("team-a", SOURCES[0], STEP, name="mine")
    assert registration.document["metadata"] == {"name": "mine", "namespace": "team-a"}


def test_dashes_in_names_and_slashes_in_paths_are_not_the_same() -> None:
    one = checkpoint_name(ClaimSource("a-b"), VolumePath(("c",)))
    other = checkpoint_name(ClaimSource("a"), VolumePath(("b-c",)))
    assert one != other


def test_a_folder_of_signs_only_has_a_name() -> None:
    name = checkpoint_name(NfsSource("\u00e9", VolumePath()), VolumePath(("_",)))
    assert name.startswith("checkpoint-")


@given(st.sampled_from(SOURCES), paths, st.sampled_from(SOURCES), paths)
def test_names_are_labels_and_differ_where_folders_do(
    source: Source, path: VolumePath, other: Source, elsewhere: VolumePath
) -> None:
    name = checkpoint_name(source, path)
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", name)
    assert (name == checkpoint_name(other, elsewhere)) == ((source, path) == (other, elsewhere))
