"""Which volumes a policy governs, and paths on them."""

import itertools

import pytest
from tests.unit.policy.builders import Json, policy_spec

from weightlock.errors import Malformed
from weightlock.policy.paths import VolumePath
from weightlock.policy.volumes import (
    VolumeAction,
    VolumeFacts,
    VolumeRule,
    Volumes,
    strictest_action,
)


def volumes(default: str, *rules: Json) -> Volumes:
    return policy_spec(volumes={"default": default, "rules": list(rules)}).volumes


def host(path: str) -> VolumeFacts:
    return VolumeFacts("hostPath", path=VolumePath.parse(path))


MODELS: Json = {"hostPath": {"paths": ["/mnt/models"]}, "action": "Verify"}
FREE_MODELS: Json = {"hostPath": {"paths": ["/mnt/models"]}, "action": "Ignore"}
NO_HOST: Json = {"hostPath": {}, "action": "Forbid"}
SCRATCH: Json = {"persistentVolumeClaim": {"storageClassNames": ["scratch"]}, "action": "Ignore"}
ONE_CLAIM: Json = {
    "persistentVolumeClaim": {"storageClassNames": ["fast"], "claimNames": ["tmp-*"]},
    "action": "Ignore",
}
NFS: Json = {"nfs": {"servers": ["files.example"], "paths": ["/export"]}, "action": "Forbid"}


@pytest.mark.parametrize(
    ("default", "rules", "facts", "expected"),
    [
        pytest.param("Verify", [], VolumeFacts("nfs"), "Verify", id="no rule: the default"),
        pytest.param("Forbid", [], VolumeFacts("new-in-1.50"), "Forbid", id="an unknown source"),
        pytest.param("Ignore", [MODELS], host("/mnt/models"), "Verify", id="the very path"),
        pytest.param("Ignore", [MODELS], host("/mnt/models/a"), "Verify", id="below it"),
        pytest.param("Ignore", [MODELS], host("/mnt"), "Verify", id="a parent reaches it"),
        pytest.param("Ignore", [MODELS], host("/"), "Verify", id="the root reaches it"),
        pytest.param("Ignore", [MODELS], host("/mnt/models-2"), "Ignore", id="a longer name"),
        pytest.param("Ignore", [MODELS], VolumeFacts("hostPath"), "Verify", id="a path unknown"),
        pytest.param("Forbid", [MODELS], host("/mnt/models"), "Verify", id="laxer than default"),
        pytest.param("Forbid", [MODELS], host("/"), "Forbid", id="a parent is no exception"),
        pytest.param("Verify", [FREE_MODELS], host("/mnt/models/a"), "Ignore", id="inside"),
        pytest.param("Verify", [FREE_MODELS], host("/mnt"), "Verify", id="not only inside"),
        pytest.param("Verify", [FREE_MODELS], VolumeFacts("hostPath"), "Verify", id="who knows"),
        pytest.param("Verify", [FREE_MODELS, NO_HOST], host("/mnt/models"), "Forbid", id="strict"),
        pytest.param("Verify", [NO_HOST], VolumeFacts("nfs"), "Verify", id="another kind"),
        pytest.param(
            "Verify",
            [SCRATCH],
            VolumeFacts("persistentVolumeClaim", storage_class="scratch"),
            "Ignore",
            id="scratch claims",
        ),
        pytest.param(
            "Verify",
            [SCRATCH],
            VolumeFacts("persistentVolumeClaim", storage_class="fast"),
            "Verify",
            id="claims of another class",
        ),
        pytest.param(
            "Verify",
            [SCRATCH],
            VolumeFacts("persistentVolumeClaim"),
            "Verify",
            id="claims of an unknown class",
        ),
        pytest.param(
            "Verify",
            [ONE_CLAIM],
            VolumeFacts("persistentVolumeClaim", storage_class="fast", claim_name="tmp-1"),
            "Ignore",
            id="every condition holds",
        ),
        pytest.param(
            "Verify",
            [ONE_CLAIM],
            VolumeFacts("persistentVolumeClaim", storage_class="fast", claim_name="models"),
            "Verify",
            id="one condition does not hold",
        ),
        pytest.param(
            "Ignore",
            [NFS],
            VolumeFacts("nfs", server="files.example", path=VolumePath.parse("/export/a")),
            "Forbid",
            id="server and path",
        ),
        pytest.param(
            "Ignore",
            [NFS],
            VolumeFacts("nfs", server="other.example", path=VolumePath.parse("/export/a")),
            "Ignore",
            id="another server",
        ),
        pytest.param(
            "Ignore",
            [NFS],
            VolumeFacts("nfs", path=VolumePath.parse("/export/a")),
            "Forbid",
            id="a server unknown",
        ),
        pytest.param(
            "Verify",
            [{"csi": {"drivers": ["csi.example"]}, "action": "Forbid"}],
            VolumeFacts("csi", driver="csi.example"),
            "Forbid",
            id="a driver",
        ),
        pytest.param(
            "Verify",
            [{"image": {"references": ["registry.example/*"]}, "action": "Ignore"}],
            VolumeFacts("image", reference="registry.example/a@sha256:00"),
            "Ignore",
            id="an image",
        ),
    ],
)
def test_the_strictest_rule_decides(
    default: str, rules: list[Json], facts: VolumeFacts, expected: str
) -> None:
    for order in itertools.permutations(rules):
        assert volumes(default, *order).action_for(facts) == VolumeAction(expected)


def test_no_action_at_all_forbids() -> None:
    assert strictest_action([]) is VolumeAction.FORBID


def test_a_rule_that_covers_a_volume_also_overlaps_it() -> None:
    rule = VolumeRule("hostPath", VolumeAction.VERIFY, paths=(VolumePath.parse("/a"),))
    assert rule.covers(host("/a/b"))
    assert rule.overlaps(host("/a/b"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a/b",
        "//",
        "/a/",
        "/a//b",
        "/./a",
        "/a/..",
        "/..",
        "/a\x00",
        "/a\nb",
        "/\u202ea",
        "/a\\b",
        "/" + "x" * 256,
        "/" + "/".join(["x" * 200] * 30),
        "/" + chr(0xD800),
    ],
)
def test_a_path_has_one_spelling(text: str) -> None:
    with pytest.raises(Malformed):
        VolumePath.parse(text)


@pytest.mark.parametrize("text", ["/", "/a", "/a/b", "/a b/ü", "/...", "/.hidden"])
def test_a_normalised_path_is_read_as_it_is_written(text: str) -> None:
    assert str(VolumePath.parse(text)) == text


@pytest.mark.parametrize(
    ("outer", "inner", "covers"),
    [
        pytest.param("/", "/good", True, id="the root covers everything"),
        pytest.param("/good", "/good", True, id="itself"),
        pytest.param("/good", "/good/x", True, id="below"),
        pytest.param("/good", "/good-evil", False, id="a longer name is another name"),
        pytest.param("/good", "/", False, id="never the parent"),
    ],
)
def test_paths_are_compared_by_component(outer: str, inner: str, *, covers: bool) -> None:
    assert VolumePath.parse(outer).covers(VolumePath.parse(inner)) is covers
