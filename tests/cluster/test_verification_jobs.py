"""A real API server answers with the very pod that was asked for, and its pods have that hash.

If it filled in another field, every verification would be refused as tampered with; if the hash
left out too much, a pod that somebody changed would count.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.operator_decisions.simulated import Cluster, checkpoint_object, step
from tests.unit.policy.builders import policy_object

from e2e.cluster.apiserver import ApiServer
from e2e.cluster.waiting import wait_until
from weightlock_operator.decision import reconcile
from weightlock_operator.decision.facts import Facts, Registered
from weightlock_operator.decision.pod_specs import changed_fields, pod_spec_hash
from weightlock_operator.decision.queue import Place
from weightlock_operator.decision.seen import SeenJob, SeenPod, template_spec

SOURCES = {
    "claim": {"persistentVolumeClaim": {"claimName": "llama"}, "path": "/step-1200"},
    "whole claim": {"persistentVolumeClaim": {"claimName": "llama"}},
    "host path": {"hostPath": {"path": "/mnt/models", "nodeName": "node-a"}, "path": "/llama"},
    "nfs": {"nfs": {"server": "files.example", "path": "/export"}},
    "csi": {"csi": {"driver": "csi.example", "volumeAttributes": {"bucket": "models"}}},
    "bare csi": {"csi": {"driver": "csi.example"}},
}
RULES = [
    {"hostPath": {"paths": ["/mnt/models"]}, "action": "Verify"},
    {"csi": {"drivers": ["csi.example"]}, "action": "Verify"},
]
DEVICES = {
    "cpu": {},
    "gpu": {
        "device": {"resource": "nvidia.com/gpu", "count": 2},
        "nodeSelector": {"gpu": "h100"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
    },
}


def facts_for(source: object, verification: object, namespace: str) -> Facts:
    cluster = Cluster(
        checkpoint=checkpoint_object(
            source=source, workloadSelector={"matchLabels": {"app": "trainer"}}
        ),
        policies=[policy_object(verification=verification, volumes={"rules": RULES})],
    )
    metadata: Any = cluster.checkpoint["metadata"]
    facts = cluster.facts(place=Place(may_start=True))
    metadata["namespace"] = namespace
    return replace(facts, checkpoint=Registered.from_object(cluster.checkpoint))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("source", SOURCES)
def test_the_answer_is_the_pod_that_was_asked_for(
    apiserver: ApiServer, source: str, device: str
) -> None:
    tenant = apiserver.tenant()
    facts = facts_for(SOURCES[source], DEVICES[device], tenant.namespace)
    decision = reconcile.actions_for(facts)
    assert decision.create is not None
    answer = apiserver.api.create(dict(decision.create.manifest))
    sent, found = template_spec(decision.create.manifest), template_spec(answer)
    assert changed_fields(sent, found) == ()
    started = reconcile.job_started(facts, decision.create, answer)
    assert started.is_flying
    assert started.verdict.value == "Verifying"
    assert SeenJob.from_object(answer).checkpoint_uid == facts.checkpoint.metadata.uid


def test_the_job_controllers_pod_has_the_hash_of_the_template(
    apiserver_with_controllers: ApiServer,
) -> None:
    server = apiserver_with_controllers
    tenant = server.tenant()
    facts = facts_for(SOURCES["claim"], DEVICES["gpu"], tenant.namespace)
    decision = reconcile.actions_for(facts)
    assert decision.create is not None
    manifest: Any = dict(decision.create.manifest)
    del manifest["metadata"]["ownerReferences"]  # there is no such kind for the collector here
    path = f"/api/v1/namespaces/{tenant.namespace}"
    job = server.api.create(manifest)
    (pod,) = wait_until(
        "the Job's pod", lambda: server.api.get(f"{path}/pods")["items"], timeout_seconds=30
    )
    seen = SeenPod.from_object(pod)
    assert seen.spec_hash == pod_spec_hash(template_spec(job))
    assert seen.job_uid == step(job, "metadata.uid")
    assert seen.nonce == facts.nonce
    changed = {**pod["spec"], "containers": [{**pod["spec"]["containers"][0], "command": ["sh"]}]}
    assert pod_spec_hash(changed) != seen.spec_hash
