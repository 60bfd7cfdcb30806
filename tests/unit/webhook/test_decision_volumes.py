"""Every kind of storage under a policy; each denial with its compliant twin."""

from typing import Any

import pytest
from tests.unit.policy.builders import policy
from tests.unit.webhook.cluster import (
    LLAMA,
    NAMESPACE,
    answer,
    checkpoint,
    claim,
    claim_object,
    facts,
    storage,
    volume_object,
)
from tests.unit.webhook.objects import Object, claim_volume, container, mount, pod_spec, volume

from weightlock.policy.checkpoints import Checkpoint, VolumeStatus
from weightlock.policy.objects import Policy
from weightlock.policy.sources import (
    ClaimSource,
    CsiSource,
    HostPathSource,
    ImageSource,
    NfsSource,
    Source,
)
from weightlock.policy.volume_kinds import INLINE
from weightlock.reasons import Reason
from weightlock.verdict.storage import described_hash
from weightlock_webhook.decision.answers import Outcome
from weightlock_webhook.decision.facts import Allowances
from weightlock_webhook.decision.storage import claim_of
from weightlock_webhook.mounts.paths import path_of

DIGEST = "0123456789abcdef" * 4
IMAGE = f"registry.example/llama@sha256:{DIGEST}"


def rules(*found: Object, **more: Any) -> Policy:
    return policy(volumes={"rules": list(found), **more})


def verified(source: Source) -> Checkpoint:
    """A verified checkpoint of storage that the pod describes itself."""
    status = VolumeStatus(source_hash=described_hash(source), path=path_of("/"))
    return checkpoint(source=source, volume=status)


ON_NODE = verified(HostPathSource(path_of("/mnt/models"), "node-1"))
ON_NO_NODE = verified(HostPathSource(path_of("/mnt/models")))
ON_NFS = verified(NfsSource("nas", path_of("/export")))
ON_CSI = verified(CsiSource("csi.example", (("bucket", "models"),)))
IN_IMAGE = verified(ImageSource(IMAGE))
REGISTERED = (checkpoint(), ON_NODE, ON_NFS, ON_CSI, IN_IMAGE)

HOST_RULE: Object = {"hostPath": {"paths": ["/mnt/models"]}, "action": "Verify"}
SCRATCH_RULE: Object = {
    "persistentVolumeClaim": {"storageClassNames": ["scratch"]},
    "action": "Ignore",
}
CSI_RULE: Object = {"csi": {"drivers": ["csi.*"]}, "action": "Verify"}
EPHEMERAL_RULE: Object = {"ephemeral": {"storageClassNames": ["scratch"]}, "action": "Ignore"}


def of(**source: Any) -> Object:
    return pod_spec(volume("model", **source))


def on(node: str, **source: Any) -> Object:
    return of(**source) | {"nodeSelector": {"kubernetes.io/hostname": node}}


def inline_csi(**more: Any) -> Object:
    says = {"driver": "csi.example", "volumeAttributes": {"bucket": "models"}, **more}
    return of(csi={"readOnly": True, **says})


def ephemeral(**spec: Any) -> Object:
    return of(ephemeral={"volumeClaimTemplate": {"spec": spec}})


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
    refused = answer(denied, found)
    assert reason in [each.reason for each in refused.refusals]
    assert refused.outcome is Outcome.DENY
    assert answer(allowed, found).message == ""


SCRATCH = claim("scratch")


def disk(**more: Any) -> Object:
    return {"driver": "disk.example", "volumeHandle": "1", **more}


def bound_claim(name: str = "llama", /, claim_spec: Object | None = None, **volume: Any) -> Any:
    uid = f"uid-{name}"
    return claim_of(
        claim_object(name, uid, **(claim_spec or {})), volume_object(name, uid, **volume)
    )


def pinned(*nodes: str) -> Object:
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": list(nodes)}
    return {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}


LOCAL = {"local": {"path": "/mnt/models"}, "nodeAffinity": pinned("node-1")}
LOCAL_RULE: Object = {"local": {"paths": ["/mnt/models"]}, "action": "Verify"}


@pytest.mark.parametrize(
    ("reason", "under", "denied", "allowed"),
    [
        pytest.param(
            Reason.HOST_PATH_ALIAS,
            rules(HOST_RULE),
            bound_claim(hostPath={"path": "/evil"}, nodeAffinity=pinned("node-1")),
            bound_claim(hostPath={"path": "/mnt/models/x"}, nodeAffinity=pinned("node-1")),
            id="a claim over a host path",
        ),
        pytest.param(
            Reason.HOST_PATH_ALIAS,
            rules(SCRATCH_RULE),
            bound_claim(
                claim_spec={"storageClassName": "scratch"},
                hostPath={"path": "/evil"},
                nodeAffinity=pinned("node-1"),
            ),
            bound_claim(claim_spec={"storageClassName": "scratch"}),
            id="a scratch claim over a host path",
        ),
        pytest.param(
            Reason.HOST_PATH_ALIAS,
            rules(HOST_RULE),
            bound_claim(**LOCAL),
            bound_claim(hostPath={"path": "/mnt/models"}, nodeAffinity=pinned("node-1")),
            id="a claim over a local volume that no rule names",
        ),
        pytest.param(
            Reason.NODE_NOT_PINNED,
            rules(LOCAL_RULE),
            bound_claim(**LOCAL | {"nodeAffinity": pinned("node-1", "node-2")}),
            bound_claim(**LOCAL),
            id="a claim over a path of several nodes",
        ),
        pytest.param(
            Reason.NODE_NOT_PINNED,
            rules(HOST_RULE),
            bound_claim(hostPath={"path": "/mnt/models"}),
            bound_claim(hostPath={"path": "/mnt/models"}, nodeAffinity=pinned("node-1")),
            id="a claim over a host path of any node",
        ),
        pytest.param(
            Reason.VOLUME_FORBIDDEN,
            rules({"nfs": {"servers": ["evil"]}, "action": "Forbid"}),
            bound_claim(nfs={"server": "evil", "path": "/e"}),
            bound_claim(nfs={"server": "nas", "path": "/e"}),
            id="a claim over a forbidden NFS server",
        ),
        pytest.param(
            Reason.VOLUME_FORBIDDEN,
            rules({"csi": {"drivers": ["evil.example"]}, "action": "Forbid"}),
            bound_claim(csi={"driver": "evil.example"}),
            bound_claim(csi={"driver": "disk.example"}),
            id="a claim over a forbidden driver",
        ),
        pytest.param(
            Reason.VOLUME_FORBIDDEN,
            rules({"rbd": {}, "action": "Forbid"}),
            bound_claim(rbd={"image": "i"}),
            bound_claim(iscsi={"lun": 0}),
            id="a claim over a forbidden kind of storage",
        ),
        pytest.param(
            Reason.SECRET_OF_TENANT,
            rules(),
            bound_claim(csi=disk(nodePublishSecretRef={"name": "s", "namespace": NAMESPACE})),
            bound_claim(csi=disk(nodePublishSecretRef={"name": "s", "namespace": "storage"})),
            id="a claim that a Secret of its namespace decides",
        ),
        pytest.param(
            Reason.SECRET_OF_TENANT,
            rules(),
            bound_claim(csi=disk(volumeAttributes={"secretnamespace": NAMESPACE})),
            bound_claim(csi=disk(volumeAttributes={"secretnamespace": "storage"})),
            id="a claim whose driver looks for a Secret in its namespace",
        ),
        pytest.param(
            Reason.SECRET_OF_TENANT,
            rules(),
            bound_claim(rbd={"image": "i", "secretRef": {"name": "s"}}),
            bound_claim(rbd={"image": "i", "secretRef": {"name": "s", "namespace": "storage"}}),
            id="a claim over storage of the tree that a Secret without a namespace decides",
        ),
    ],
)
def test_a_claim_is_judged_by_what_it_really_is(
    reason: Reason, under: Policy, denied: Any, allowed: Any
) -> None:
    refused = answer(
        pod_spec(),
        facts(under, storage=storage(denied), checkpoints=[checkpoint(about=denied)]),
    )
    assert [each.reason for each in refused.refusals] == [reason]
    twin = facts(under, storage=storage(allowed), checkpoints=[checkpoint(about=allowed)])
    assert answer(pod_spec(), twin).message == ""


@pytest.mark.parametrize(
    "claim_spec",
    [
        pytest.param({"dataSource": {"kind": "VolumeSnapshot"}}, id="dataSource"),
        pytest.param({"dataSourceRef": {"kind": "X", "namespace": "team-b"}}, id="dataSourceRef"),
    ],
)
def test_a_claim_that_starts_with_somebody_s_bytes_is_no_scratch(claim_spec: Object) -> None:
    scratch = {"storageClassName": "scratch"}
    for spec, outcome in ((scratch, Outcome.ALLOW), (scratch | claim_spec, Outcome.DENY)):
        found = facts(
            rules(SCRATCH_RULE), storage=storage(bound_claim(claim_spec=spec)), checkpoints=[]
        )
        assert answer(pod_spec(), found).outcome is outcome


@pytest.mark.parametrize(
    ("rule", "spec"),
    [
        pytest.param({"claimNames": ["llama"]}, {}, id="by its name"),
        pytest.param({"claimNames": ["lla*"], "storageClassNames": ["models"]}, {}, id="by both"),
    ],
)
def test_the_name_of_a_claim_that_starts_with_somebody_s_bytes_says_nothing(
    rule: Object, spec: Object
) -> None:
    under = rules({"persistentVolumeClaim": rule, "action": "Ignore"})
    evil = {"dataSource": {"kind": "PersistentVolumeClaim", "name": "evil"}}
    for claim_spec, outcome in ((spec, Outcome.ALLOW), (spec | evil, Outcome.DENY)):
        found = facts(under, storage=storage(bound_claim(claim_spec=claim_spec)), checkpoints=[])
        assert answer(pod_spec(), found).outcome is outcome


def test_and_a_stricter_rule_by_name_still_finds_it() -> None:
    under = rules(
        {"persistentVolumeClaim": {"claimNames": ["llama"]}, "action": "Forbid"}, default="Ignore"
    )
    evil = {"dataSource": {"kind": "PersistentVolumeClaim", "name": "evil"}}
    found = facts(under, storage=storage(bound_claim(claim_spec=evil)))
    refused = answer(pod_spec(), found)
    assert [each.reason for each in refused.refusals] == [Reason.VOLUME_FORBIDDEN]


@pytest.mark.parametrize(
    ("became", "reasons"),
    [
        pytest.param({"storageClassName": "scratch"}, [], id="as the template says"),
        pytest.param({"storageClassName": "models"}, [Reason.NOT_VERIFIED], id="another class"),
        pytest.param(
            {"storageClassName": "scratch", "dataSource": {"kind": "X", "name": "evil"}},
            [Reason.NOT_VERIFIED],
            id="prefilled by somebody",
        ),
    ],
)
def test_a_claim_in_the_place_of_an_ephemeral_one_is_no_scratch(
    became: Object, reasons: list[Reason]
) -> None:
    made = bound_claim("trainer-model", claim_spec=became)
    found = facts(rules(EPHEMERAL_RULE), storage=storage(of_ephemeral_volumes={"model": made}))
    refused = answer(ephemeral(storageClassName="scratch"), found)
    assert [each.reason for each in refused.refusals] == reasons


def test_scratch_may_be_written_and_need_not_be_bound_yet() -> None:
    pending = claim_of(claim_object("out", storageClassName="scratch"), None)
    spec = pod_spec(
        claim_volume("out", "out", read_only=False),
        containers=[container(mount("out", readOnly=False))],
    )
    assert answer(spec, facts(rules(SCRATCH_RULE), storage=storage(pending))).message == ""


def test_a_host_path_checkpoint_without_a_node_admits_nobody() -> None:
    found = facts(rules(HOST_RULE), checkpoints=[ON_NO_NODE])
    refused = answer(on("node-1", hostPath={"path": "/mnt/models"}), found)
    assert [each.reason for each in refused.refusals] == [Reason.NODE_NOT_PINNED]


def test_a_policy_that_ignores_everything_still_closes_the_back_door() -> None:
    found = facts(rules(default="Ignore"))
    assert answer(of(tapeRobot={}), found).message == ""
    assert answer(of(hostPath={"path": "/data"}), found).message == ""
    refused = answer(of(hostPath={"path": "/var/lib"}), found)
    assert [each.reason for each in refused.refusals] == [Reason.HOST_PATH_ALIAS]


def test_a_cluster_s_own_folders_close_like_those_that_are_known() -> None:
    under = rules({"hostPath": {}, "action": "Ignore"})
    closed = Allowances(forbidden_host_paths=(path_of("/data/kubelet"),))
    for path in ("/data/kubelet/pods", "/data"):
        spec = of(hostPath={"path": path})
        refused = answer(spec, facts(under, allowances=closed))
        assert [each.reason for each in refused.refusals] == [Reason.HOST_PATH_ALIAS]
        assert answer(spec, facts(under)).message == ""


def test_the_claim_of_an_ephemeral_volume_is_judged_by_what_it_became() -> None:
    became = bound_claim("trainer-model", hostPath={"path": "/evil"})
    found = facts(rules(EPHEMERAL_RULE), storage=storage(of_ephemeral_volumes={"model": became}))
    refused = answer(ephemeral(storageClassName="scratch"), found)
    assert Reason.HOST_PATH_ALIAS in [each.reason for each in refused.refusals]


def test_storage_that_another_volume_can_write_to_is_refused() -> None:
    shared = storage(LLAMA, writable_twins=frozenset({"pv-llama"}))
    refused = answer(pod_spec(), facts(storage=shared))
    assert [each.reason for each in refused.refusals] == [Reason.BACKING_SHARED]
    assert answer(pod_spec(), facts()).message == ""


@pytest.mark.parametrize("kind", ["hostPath", "local"])
def test_a_person_is_told_which_rule_to_ask_for(kind: str) -> None:
    source = {kind: {"path": "/mnt/models"}, "nodeAffinity": pinned("node-1")}
    refused = answer(pod_spec(), facts(rules(), storage=storage(bound_claim(**source))))
    (hint,) = [each.fix for each in refused.refusals if each.reason is Reason.HOST_PATH_ALIAS]
    assert f"a {kind} rule" in hint


def test_a_person_is_told_which_object_decides_and_whom_to_ask() -> None:
    secret = {"name": "metaurl", "namespace": NAMESPACE}
    found = bound_claim(csi=disk(nodePublishSecretRef=secret))
    (refusal,) = answer(
        pod_spec(),
        facts(rules(), storage=storage(found), checkpoints=[checkpoint(about=found)]),
    ).refusals
    assert '"csi.nodePublishSecretRef metaurl"' in refusal.found
    assert "administrator" in refusal.fix
    assert not refusal.awaits_verdict


def test_ignored_storage_may_be_decided_by_anybody() -> None:
    secret = {"name": "s", "namespace": NAMESPACE}
    scratch = bound_claim(
        claim_spec={"storageClassName": "scratch"}, csi=disk(nodePublishSecretRef=secret)
    )
    found = facts(rules(SCRATCH_RULE), storage=storage(scratch), checkpoints=[])
    assert answer(pod_spec(), found).message == ""


def test_storage_that_a_checkpoint_describes_is_identified_by_all_that_it_says() -> None:
    path = path_of("/m")
    sources: list[Source] = [
        HostPathSource(path),
        HostPathSource(path, "node-1"),
        HostPathSource(path, "node-2"),
        NfsSource("nas", path),
        NfsSource("nas-2", path),
        CsiSource("d"),
        CsiSource("d", (("bucket", "x"),)),
        ImageSource(IMAGE),
    ]
    assert len({described_hash(source) for source in sources}) == len(sources)
    assert described_hash(ImageSource(f"mirror@sha256:{DIGEST}")) == described_hash(sources[-1])
    assert described_hash(ClaimSource("llama")) == ""


GOING: Object = {"deletionTimestamp": "2026-11-21T12:00:00Z"}


def going(made: Object) -> Object:
    return made | {"metadata": made["metadata"] | GOING}


@pytest.mark.parametrize("what", ["the claim", "its volume"])
@pytest.mark.parametrize(
    ("under", "minded"),
    [
        pytest.param({}, True, id="governed"),
        pytest.param({"rules": [SCRATCH_RULE]}, True, id="beside scratch"),
        pytest.param({"default": "Ignore"}, False, id="nobody's business"),
    ],
)
def test_a_claim_that_is_being_deleted_is_none(what: str, under: Object, minded: bool) -> None:
    claim_found, volume_found = claim_object(uid="uid-llama"), volume_object(claim_uid="uid-llama")
    here = claim_of(claim_found, volume_found)
    gone = (
        claim_of(going(claim_found), volume_found)
        if what == "the claim"
        else claim_of(claim_found, going(volume_found))
    )
    assert not here.is_going
    assert answer(pod_spec(), facts(policy(volumes=under), storage=storage(here))).message == ""
    refused = answer(pod_spec(), facts(policy(volumes=under), storage=storage(gone)))
    expected = [Reason.CLAIM_UNBOUND] if minded else []
    assert [each.reason for each in refused.refusals] == expected


def test_a_scratch_claim_that_is_being_deleted_may_be_another_by_the_time_it_is_mounted() -> None:
    scratch = claim_object("out", storageClassName="scratch")
    spec = pod_spec(
        claim_volume("out", "out", read_only=False),
        containers=[container(mount("out", readOnly=False))],
    )
    under = rules(SCRATCH_RULE)
    here, gone = claim_of(scratch, None), claim_of(going(scratch), None)
    assert answer(spec, facts(under, storage=storage(here))).message == ""
    refused = answer(spec, facts(under, storage=storage(gone)))
    assert [each.reason for each in refused.refusals] == [Reason.CLAIM_UNBOUND]


def test_a_volume_that_is_being_deleted_is_still_what_it_is() -> None:
    """Or a claim over a path of the node would pass for one over nothing."""
    volume_found = going(
        volume_object(claim_uid="uid-llama", hostPath={"path": "/var/lib/kubelet"})
    )
    gone = claim_of(claim_object(uid="uid-llama"), volume_found)
    found = facts(rules({"persistentVolumeClaim": {}, "action": "Ignore"}), storage=storage(gone))
    assert Reason.HOST_PATH_ALIAS in [each.reason for each in answer(pod_spec(), found).refusals]
