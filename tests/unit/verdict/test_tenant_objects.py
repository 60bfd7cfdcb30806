"""What decides which bytes are mounted, besides the volume itself."""

from typing import Any

import pytest

from weightlock.errors import Malformed
from weightlock.verdict.tenant_objects import (
    Reference,
    references_of_source,
    references_of_volume,
    within,
)

OURS, THEIRS = "team-a", "storage-admins"
IN_OURS = {"name": "s", "namespace": OURS}
IN_THEIRS = {"name": "s", "namespace": THEIRS}

OF_CSI = (
    "controllerExpandSecretRef",
    "controllerPublishSecretRef",
    "nodeExpandSecretRef",
    "nodePublishSecretRef",
    "nodeStageSecretRef",
)
IN_TREE = ("cephfs", "flexVolume", "iscsi", "rbd", "scaleIO", "storageos")


def editable(**source: Any) -> bool:
    """Whether the tenant of the claim decides."""
    return bool(within(references_of_volume({"capacity": {}, **source}), OURS))


@pytest.mark.parametrize(
    ("tenants", "administrators"),
    [
        *(pytest.param({"csi": {k: IN_OURS}}, {"csi": {k: IN_THEIRS}}, id=k) for k in OF_CSI),
        *(
            pytest.param({k: {"secretRef": IN_OURS}}, {k: {"secretRef": IN_THEIRS}}, id=k)
            for k in IN_TREE
        ),
        *(
            pytest.param(
                {k: {"secretRef": {"name": "s"}}}, {k: {"secretRef": None}}, id=f"{k}, no namespace"
            )
            for k in IN_TREE
        ),
        pytest.param(
            {"csi": {"nodeStageSecretRef": IN_THEIRS, "nodePublishSecretRef": IN_OURS}},
            {"csi": {"nodeStageSecretRef": IN_THEIRS, "nodePublishSecretRef": IN_THEIRS}},
            id="one of two",
        ),
        pytest.param(
            {"azureFile": {"secretName": "s", "secretNamespace": OURS}},
            {"azureFile": {"secretName": "s", "secretNamespace": THEIRS}},
            id="azureFile",
        ),
        pytest.param(
            {"azureFile": {"secretName": "s", "secretNamespace": None}},
            {"azureDisk": {"diskName": "d"}},
            id="azureFile, no namespace",
        ),
        pytest.param(
            {"glusterfs": {"endpoints": "e", "path": "p"}},
            {"glusterfs": {"endpoints": "e", "endpointsNamespace": THEIRS}},
            id="the servers of glusterfs",
        ),
        pytest.param(
            {"csi": {"volumeAttributes": {"secretnamespace": OURS}}},
            {"csi": {"volumeAttributes": {"secretnamespace": THEIRS}}},
            id="an attribute",
        ),
        pytest.param(
            {"csi": {"volumeAttributes": {"secretName": "s"}}},
            {"csi": {"volumeAttributes": {"secretName": "s", "secretNamespace": THEIRS}}},
            id="an attribute without a namespace",
        ),
        pytest.param(
            {"csi": {"volumeAttributes": {"x.io/meta-secret_namespace": ""}}},
            {"csi": {"volumeAttributes": {"csi.storage.k8s.io/pvc/namespace": OURS}}},
            id="an attribute in another spelling",
        ),
        pytest.param(
            {"ofTomorrow": {"mountSecretRef": {"name": "s"}}},
            {"ofTomorrow": {"secret": "s"}},
            id="a source of the future",
        ),
        pytest.param(
            {"csi": {"nodePublishSecretRef": {}}}, {"csi": {"volumeAttributes": None}}, id="empty"
        ),
    ],
)
def test_what_a_tenant_can_edit_is_told_from_what_only_administrators_can(
    tenants: dict[str, Any], administrators: dict[str, Any]
) -> None:
    assert editable(**tenants)
    assert not editable(**administrators)


def test_a_reference_says_where_it_stands_and_what_it_names() -> None:
    attributes = {"secretName": "key", "secretNamespace": OURS}
    source = {"nodePublishSecretRef": IN_OURS, "volumeAttributes": attributes}
    assert references_of_source("csi", source) == (
        Reference("csi.nodePublishSecretRef", "s", OURS),
        Reference("csi.volumeAttributes.secretNamespace", "key", OURS),
    )
    assert str(Reference("csi.nodePublishSecretRef", "s", OURS)) == "csi.nodePublishSecretRef s"
    assert str(Reference("rbd.secretRef", "", "")) == "rbd.secretRef"


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param({}, id="no source"),
        pytest.param({"csi": "d"}, id="a source as text"),
        pytest.param({"csi": {1: {}}}, id="a key that is no text"),
        pytest.param({"csi": {"nodePublishSecretRef": "s"}}, id="a reference as text"),
        pytest.param({"rbd": {"secretRef": {"namespace": 5}}}, id="a namespace as a number"),
        pytest.param({"csi": {"volumeAttributes": {"secretName": 5}}}, id="an attribute"),
        pytest.param({"csi": {"volumeAttributes": ["x"]}}, id="attributes as a list"),
    ],
)
def test_what_the_api_would_not_have_sent_is_no_permission(broken: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        references_of_volume(broken)
