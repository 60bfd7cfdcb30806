"""A claim is judged by what it really is, and only while it stays."""

from typing import Any

import pytest
from tests.unit.policy.builders import policy
from tests.unit.webhook.cluster import (
    NAMESPACE,
    answer,
    checkpoint,
    claim_object,
    facts,
    storage,
    volume_object,
)
from tests.unit.webhook.objects import Object, claim_volume, container, mount, pod_spec
from tests.unit.webhook.stored import (
    EPHEMERAL_RULE,
    HOST_RULE,
    SCRATCH_RULE,
    bound_claim,
    disk,
    ephemeral,
    pinned,
    rules,
)

from weightlock.policy.objects import Policy
from weightlock.reasons import Reason
from weightlock_webhook.decision.answers import Outcome
from weightlock_webhook.decision.storage import claim_of

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
    ("source", "reasons"),
    [
        pytest.param({"csi": disk()}, [], id="a disk"),
        pytest.param({"nfs": {"server": "nas", "path": "/e"}}, [Reason.NO_CHECKPOINT], id="nfs"),
    ],
)
def test_a_scratch_claim_over_an_export_is_that_export(
    source: Object, reasons: list[Reason]
) -> None:
    under = rules({"persistentVolumeClaim": {"claimNames": ["*"]}, "action": "Ignore"})
    found = facts(under, storage=storage(bound_claim(**source)), checkpoints=[])
    assert [each.reason for each in answer(pod_spec(), found).refusals] == reasons


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


def test_the_claim_of_an_ephemeral_volume_is_judged_by_what_it_became() -> None:
    became = bound_claim("trainer-model", hostPath={"path": "/evil"})
    found = facts(rules(EPHEMERAL_RULE), storage=storage(of_ephemeral_volumes={"model": became}))
    refused = answer(ephemeral(storageClassName="scratch"), found)
    assert Reason.HOST_PATH_ALIAS in [each.reason for each in refused.refusals]


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
