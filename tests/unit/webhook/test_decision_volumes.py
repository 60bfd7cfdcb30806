"""Each kind of volume: refused, and let in as its compliant twin."""

import pytest
from tests.unit.webhook.cluster import (
    answer,
    checkpoint,
    facts,
)
from tests.unit.webhook.objects import Object, pod_spec, volume
from tests.unit.webhook.stored import (
    CSI_RULE,
    DIGEST,
    EPHEMERAL_RULE,
    HOST_RULE,
    IMAGE,
    IN_IMAGE,
    ON_NODE,
    REGISTERED,
    ephemeral,
    inline_csi,
    of,
    on,
    rules,
    verified,
)

from weightlock.policy.checkpoints import VolumeStatus
from weightlock.policy.objects import Policy
from weightlock.policy.sources import HostPathSource, ImageSource
from weightlock.policy.volume_kinds import INLINE
from weightlock.reasons import Reason, Verdict
from weightlock.verdict.storage import described_hash
from weightlock_webhook.decision.answers import Outcome
from weightlock_webhook.decision.identity import is_about
from weightlock_webhook.mounts import sources
from weightlock_webhook.mounts.paths import path_of


def either(*nodes: str) -> Object:
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": list(nodes)}
    required = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}


ONLY_NODE_2 = either("node-2")


@pytest.mark.parametrize(
    ("reason", "under", "denied", "allowed"),
    [
        pytest.param(
            Reason.UNKNOWN_VOLUME_SOURCE,
            rules(),
            of(tapeRobot={}),
            of(emptyDir={}),
            id="an unknown source",
        ),
        pytest.param(
            Reason.UNKNOWN_VOLUME_SOURCE,
            rules(),
            of(),
            of(emptyDir={}),
            id="no source at all",
        ),
        pytest.param(
            Reason.UNKNOWN_VOLUME_SOURCE,
            rules(),
            of(projected={"sources": [{"bucket": {}}]}),
            of(projected={"sources": [{"serviceAccountToken": {}}, {"secret": {}}]}),
            id="an unknown projection",
        ),
        pytest.param(
            Reason.VOLUME_FORBIDDEN,
            rules({"configMap": {}, "action": "Forbid"}),
            of(configMap={"name": "c"}),
            of(secret={"secretName": "s"}),
            id="a source that a rule forbids",
        ),
        pytest.param(
            Reason.NO_CHECKPOINT,
            rules({"configMap": {}, "action": "Verify"}),
            of(configMap={"name": "c"}),
            of(secret={"secretName": "s"}),
            id="a source that nothing can verify although a rule wants it",
        ),
        pytest.param(
            Reason.HOST_PATH_ALIAS,
            rules(HOST_RULE),
            on("node-1", hostPath={"path": "/mnt"}),
            on("node-1", hostPath={"path": "/mnt/models"}),
            id="the parent of a host path",
        ),
        pytest.param(
            Reason.HOST_PATH_ALIAS,
            rules(HOST_RULE),
            on("node-1", hostPath={"path": "/mnt/models-evil"}),
            on("node-1", hostPath={"path": "/mnt//models/./"}),
            id="a host path with a longer name, and another spelling of the right one",
        ),
        pytest.param(
            Reason.HOST_PATH_ALIAS,
            rules({"hostPath": {}, "action": "Ignore"}),
            of(hostPath={"path": "/"}),
            of(hostPath={"path": "/data"}),
            id="the root of the node, even where host paths are ignored",
        ),
        pytest.param(
            Reason.HOST_PATH_ALIAS,
            rules({"hostPath": {}, "action": "Ignore"}),
            of(hostPath={"path": "/proc/1/root/data"}),
            of(hostPath={"path": "/data"}),
            id="another process's root",
        ),
        pytest.param(
            Reason.HOST_PATH_ALIAS,
            rules({"hostPath": {}, "action": "Ignore"}),
            of(hostPath={"path": "/var/lib/kubelet/pods/x/volumes"}),
            of(hostPath={"path": "/var/lib/kubelet-other"}),
            id="other pods' volumes through the kubelet's folder",
        ),
        pytest.param(
            Reason.NO_CHECKPOINT,
            rules(HOST_RULE),
            on("node-1", hostPath={"path": "/mnt/models/other"}),
            on("node-1", hostPath={"path": "/mnt/models"}),
            id="a host path that the rule names and no checkpoint is about",
        ),
        pytest.param(
            Reason.NODE_NOT_PINNED,
            rules(HOST_RULE),
            on("node-1", hostPath={"path": "/mnt/models"})
            | {"nodeSelector": {"kubernetes.io/hostname": "node-1"}, "affinity": ONLY_NODE_2},
            on("node-1", hostPath={"path": "/mnt/models"}),
            id="a host path on a node that cannot be",
        ),
        pytest.param(
            Reason.NODE_NOT_PINNED,
            rules(HOST_RULE),
            of(hostPath={"path": "/mnt/models"}),
            on("node-1", hostPath={"path": "/mnt/models"}),
            id="a host path on any node",
        ),
        pytest.param(
            Reason.NODE_NOT_PINNED,
            rules(HOST_RULE),
            on("node-2", hostPath={"path": "/mnt/models"}),
            on("node-1", hostPath={"path": "/mnt/models"}),
            id="a host path on another node",
        ),
        pytest.param(
            Reason.NO_CHECKPOINT,
            rules(),
            of(nfs={"server": "other", "path": "/export", "readOnly": True}),
            of(nfs={"server": "nas", "path": "/export/", "readOnly": True}),
            id="an NFS export",
        ),
        pytest.param(
            Reason.VOLUME_FORBIDDEN,
            rules({"nfs": {"servers": ["evil"]}, "action": "Forbid"}),
            of(nfs={"server": "evil", "path": "/export", "readOnly": True}),
            of(nfs={"server": "nas", "path": "/export", "readOnly": True}),
            id="an NFS server that a rule forbids",
        ),
        pytest.param(
            Reason.NO_CHECKPOINT,
            rules({"csi": {"drivers": ["secrets.example"]}, "action": "Ignore"}),
            of(csi={"driver": "other.example", "readOnly": True}),
            of(csi={"driver": "secrets.example"}),
            id="an inline CSI driver that no rule ignores",
        ),
        pytest.param(
            Reason.WRITABLE_MOUNT,
            rules(),
            of(nfs={"server": "nas", "path": "/export"}),
            of(nfs={"server": "nas", "path": "/export", "readOnly": True}),
            id="an NFS export that is writable at the volume",
        ),
        pytest.param(
            Reason.NO_CHECKPOINT,
            rules(CSI_RULE),
            of(
                csi={
                    "driver": "csi.example",
                    "readOnly": True,
                    "volumeAttributes": {"bucket": "evil"},
                }
            ),
            of(
                csi={
                    "driver": "csi.example",
                    "readOnly": True,
                    "volumeAttributes": {"bucket": "models"},
                }
            ),
            id="an inline CSI volume with other attributes",
        ),
        pytest.param(
            Reason.NO_CHECKPOINT,
            rules(CSI_RULE),
            of(
                csi={
                    "driver": "csi.example",
                    "readOnly": True,
                    "nodePublishSecretRef": {"name": "s"},
                    "volumeAttributes": {"bucket": "models"},
                }
            ),
            of(
                csi={
                    "driver": "csi.example",
                    "readOnly": True,
                    "volumeAttributes": {"bucket": "models"},
                }
            ),
            id="an inline CSI volume with somebody's credentials",
        ),
        pytest.param(
            Reason.SECRET_OF_TENANT,
            rules(CSI_RULE),
            inline_csi(nodePublishSecretRef={"name": "s"}),
            inline_csi(),
            id="an inline CSI volume that a Secret of the pod's namespace decides",
        ),
        pytest.param(
            Reason.SECRET_OF_TENANT,
            rules(CSI_RULE),
            inline_csi(volumeAttributes={"bucket": "models", "secretName": "s"}),
            inline_csi(),
            id="an inline CSI volume whose attributes name a Secret",
        ),
        pytest.param(
            Reason.VOLUME_FORBIDDEN,
            rules(),
            inline_csi(),
            of(nfs={"server": "nas", "path": "/export", "readOnly": True}),
            id="an inline CSI volume under a default, and an export",
        ),
        pytest.param(
            Reason.VOLUME_FORBIDDEN,
            rules({"csi": {}, "action": "Verify"}),
            inline_csi(),
            of(nfs={"server": "nas", "path": "/export", "readOnly": True}),
            id="an inline CSI volume under a rule for every driver",
        ),
        pytest.param(
            Reason.VOLUME_FORBIDDEN,
            rules({"csi": {"drivers": ["other.example"]}, "action": "Verify"}, CSI_RULE),
            of(csi={"driver": "third.example", "readOnly": True}),
            inline_csi(),
            id="an inline CSI volume of another driver than rules name",
        ),
        pytest.param(
            Reason.IMAGE_BY_TAG,
            rules(),
            of(image={"reference": "registry.example/llama:v1"}),
            of(image={"reference": IMAGE}),
            id="an image by tag",
        ),
        pytest.param(
            Reason.NO_CHECKPOINT,
            rules(),
            of(image={"reference": "registry.example/llama@sha256:" + "0" * 64}),
            of(image={"reference": f"mirror.example/llama@sha256:{DIGEST}"}),
            id="an image with another digest, and the same from a mirror",
        ),
        pytest.param(
            Reason.NOT_VERIFIED,
            rules(EPHEMERAL_RULE),
            ephemeral(storageClassName="models"),
            ephemeral(storageClassName="scratch"),
            id="a claim made for the pod",
        ),
        pytest.param(
            Reason.NOT_VERIFIED,
            rules(EPHEMERAL_RULE),
            ephemeral(),
            ephemeral(storageClassName="scratch"),
            id="a claim made for the pod, of the default class",
        ),
        pytest.param(
            Reason.NOT_VERIFIED,
            rules({"ephemeral": {"storageClassNames": ["*"]}, "action": "Ignore"}),
            ephemeral(storageClassName=""),
            ephemeral(storageClassName="scratch"),
            id="a claim made for the pod, of no class, where every class is ignored",
        ),
        pytest.param(
            Reason.DATA_SOURCE_TEMPLATE,
            rules(EPHEMERAL_RULE),
            ephemeral(storageClassName="scratch", dataSource={"kind": "VolumeSnapshot"}),
            ephemeral(storageClassName="scratch"),
            id="a scratch claim filled from a snapshot",
        ),
        pytest.param(
            Reason.DATA_SOURCE_TEMPLATE,
            rules(EPHEMERAL_RULE),
            ephemeral(storageClassName="scratch", volumeName="pv-evil"),
            ephemeral(storageClassName="scratch"),
            id="a scratch claim on a volume that exists",
        ),
        *(
            pytest.param(
                Reason.NO_CHECKPOINT,
                rules(),
                of(**{kind: {}}),
                pod_spec(),
                id=f"{kind}, which only a claim can bring",
            )
            for kind in sorted(INLINE - {"nfs", "csi"})
        ),
    ],
)
def test_storage_is_refused_and_its_compliant_twin_is_not(
    reason: Reason, under: Policy, denied: Object, allowed: Object
) -> None:
    found = facts(under, checkpoints=REGISTERED)
    # Also where the first volume and the last are harmless: whoever stops looking sees too little.
    scratch = (volume("first", emptyDir={}), volume("last", emptyDir={}))
    for spec in (denied, denied | {"volumes": [scratch[0], *denied["volumes"], scratch[1]]}):
        refused = answer(spec, found)
        assert reason in [each.reason for each in refused.refusals]
        assert refused.outcome is Outcome.DENY
    assert answer(allowed, found).message == ""


def test_a_checkpoint_of_an_image_by_tag_would_be_about_no_image_by_tag() -> None:
    """Neither is ever read or let in; this is what stands behind that."""
    tagged = ImageSource("registry.example/llama:v1")
    assert not is_about(verified(tagged), sources.ImageSource("registry.example/llama:v1", ""))
    assert is_about(IN_IMAGE, sources.ImageSource("mirror.example/x", f"sha256:{DIGEST}"))


@pytest.mark.parametrize(
    ("status", "reasons"),
    [
        pytest.param({}, [], id="verified on both nodes"),
        pytest.param({"phase": Verdict.FAILED}, [Reason.NODE_NOT_PINNED], id="failed on one"),
        pytest.param({"phase": Verdict.PENDING}, [Reason.NODE_NOT_PINNED], id="read on one so far"),
    ],
)
def test_a_folder_of_nodes_must_be_verified_on_each_that_the_pod_can_land_on(
    status: Object, reasons: list[Reason]
) -> None:
    there = HostPathSource(path_of("/mnt/models"), "node-2")
    told = VolumeStatus(source_hash=described_hash(there), path=path_of("/"))
    second = checkpoint("second", source=there, volume=told, **status)
    spec = of(hostPath={"path": "/mnt/models"}) | {"affinity": either("node-1", "node-2")}
    for known in ([ON_NODE, second], [second, ON_NODE]):
        refused = answer(spec, facts(rules(HOST_RULE), checkpoints=known))
        assert [each.reason for each in refused.refusals] == reasons
        assert all('"node-1"' in each.expected for each in refused.refusals)
        assert all('"node-2"' not in each.expected for each in refused.refusals)
