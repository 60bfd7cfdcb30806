"""What storage is told by, what closes it, and what a person is told of it."""

import pytest
from tests.unit.webhook.cluster import (
    LLAMA,
    NAMESPACE,
    answer,
    checkpoint,
    facts,
    storage,
)
from tests.unit.webhook.objects import pod_spec
from tests.unit.webhook.stored import (
    DIGEST,
    HOST_RULE,
    IMAGE,
    ON_NO_NODE,
    SCRATCH_RULE,
    bound_claim,
    disk,
    of,
    on,
    pinned,
    rules,
)

from weightlock.policy.sources import (
    ClaimSource,
    CsiSource,
    HostPathSource,
    ImageSource,
    NfsSource,
    Source,
)
from weightlock.reasons import Reason
from weightlock.verdict.storage import described_hash
from weightlock_webhook.decision.facts import Allowances
from weightlock_webhook.mounts.paths import path_of


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
