"""What the operator mounts for a tenant, and what for nobody (A13)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.operator_decisions.simulated import INSTALLATION, Cluster, checkpoint_object
from tests.unit.policy.builders import policy_object

from weightlock.policy.paths import VolumePath
from weightlock_operator.decision.facts import ServerFeatures
from weightlock_operator.decision.permission import not_permitted

IMAGE = "registry.example/models/llama@sha256:" + "ab" * 32


def host(path: str) -> Any:
    return {"hostPath": {"path": path, "nodeName": "node-a"}}


def rule(action: str, **matcher: object) -> dict[str, object]:
    return {**matcher, "action": action}


MODELS = rule("Verify", hostPath={"paths": ["/mnt/models"]})
NFS = {"nfs": {"server": "files.example", "path": "/export"}}
CSI = {"csi": {"driver": "csi.example"}}

REFUSED: dict[str, tuple[Any, list[Any], str]] = {
    "a folder that no rule names": (host("/mnt/models"), [{}], "HostPathAlias"),
    "a folder that one of two policies names": (
        host("/mnt/models"),
        [{"rules": [MODELS]}, {}],
        "HostPathAlias",
    ),
    "a folder above": (host("/mnt"), [{"rules": [MODELS]}], "HostPathAlias"),
    "a folder beside": (host("/mnt/models-2"), [{"rules": [MODELS]}], "HostPathAlias"),
    "a folder that a rule ignores": (
        host("/mnt/models"),
        [{"rules": [rule("Ignore", hostPath={"paths": ["/mnt/models"]})]}],
        "HostPathAlias",
    ),
    "a folder that another rule forbids": (
        host("/mnt/models"),
        [{"rules": [MODELS, rule("Forbid", hostPath={})]}],
        "HostPathAlias",
    ),
    "other pods' volumes, though a rule opens all": (
        host("/var/lib/kubelet/pods"),
        [{"rules": [rule("Verify", hostPath={"paths": ["/"]})]}],
        "HostPathAlias",
    ),
    "the node, though a rule opens all": (
        host("/"),
        [{"rules": [rule("Verify", hostPath={"paths": ["/"]})]}],
        "HostPathAlias",
    ),
    "what the administrator added": (
        host("/data/kubelet/pods"),
        [{"rules": [rule("Verify", hostPath={"paths": ["/data"]})]}],
        "HostPathAlias",
    ),
    "an export where all is forbidden": (NFS, [{"default": "Forbid"}], "VolumeForbidden"),
    "an export that a rule forbids": (
        NFS,
        [{"rules": [rule("Forbid", nfs={"servers": ["files.*"]})]}],
        "VolumeForbidden",
    ),
    "an export that is ignored": (NFS, [{"default": "Ignore"}], "VolumeForbidden"),
    "a driver that a rule forbids": (
        CSI,
        [{"rules": [rule("Forbid", csi={"drivers": ["csi.example"]})]}],
        "VolumeForbidden",
    ),
    "an image that a rule forbids": (
        {"image": {"reference": IMAGE}},
        [{"rules": [rule("Forbid", image={})]}],
        "VolumeForbidden",
    ),
}

READ: dict[str, tuple[Any, list[Any]]] = {
    "a folder that every policy names": (host("/mnt/models"), [{"rules": [MODELS]}] * 2),
    "a folder inside": (host("/mnt/models/llama"), [{"rules": [MODELS]}]),
    "an export": (NFS, [{}]),
    "an export that a rule names": (
        NFS,
        [{"default": "Forbid", "rules": [rule("Verify", nfs={"servers": ["files.*"]})]}],
    ),
    "a driver": (CSI, [{}]),
    "an image": ({"image": {"reference": IMAGE}}, [{}]),
}


def cluster_of(source: Any, policies: list[Any]) -> Cluster:
    found = [policy_object(f"p-{n}", volumes=each) for n, each in enumerate(policies)]
    server = ServerFeatures(image_volumes=True)
    return Cluster(checkpoint=checkpoint_object(source=source), policies=found, server=server)


@pytest.mark.parametrize(("source", "policies", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_policies_do_not_open_is_read_for_nobody(
    source: Any, policies: list[Any], reason: str
) -> None:
    further = (VolumePath.parse("/data/kubelet"),)
    installation = INSTALLATION.__class__("v", "v", forbidden_host_paths=further)
    word = not_permitted(cluster_of(source, policies).facts(installation=installation))
    assert word is not None
    assert word.reason.value == reason
    assert word.message


@pytest.mark.parametrize("name", [name for name in REFUSED if "administrator" not in name])
def test_no_job_is_made_for_it(name: str) -> None:
    source, policies, reason = REFUSED[name]
    cluster = cluster_of(source, policies)
    cluster.settle()
    assert (cluster.phase, cluster.reason, cluster.jobs) == ("Error", reason, {})


@pytest.mark.parametrize(("source", "policies"), READ.values(), ids=READ)
def test_what_policies_open_is_read(source: Any, policies: list[Any]) -> None:
    cluster = cluster_of(source, policies)
    assert not_permitted(cluster.facts()) is None
    cluster.look()
    assert cluster.jobs_made == 1


def test_a_claim_is_the_tenants_own() -> None:
    cluster = Cluster(policies=[policy_object(volumes={"default": "Forbid"})])
    assert not_permitted(cluster.facts()) is None
    cluster.checkpoint["spec"] = {}
    assert not_permitted(cluster.facts()) is None
