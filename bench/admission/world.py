"""The cluster that is measured: policies, and checkpoints with their claims and volumes."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.unit.policy.builders import PQ, authority, key, policy_object, rule

from weightlock.policy.checkpoints import Checkpoint
from weightlock.verdict.records import record_of
from weightlock.verdict.seal import SealKey, seal
from weightlock_webhook.decision.storage import claim_of

Json = dict[str, Any]

SYSTEM = "weightlock-system"
NAMESPACES = 100
KEY = SealKey(b"b" * 32)
OURS = "/apis/weightlock.dev/v1beta1"
POD_BYTES = 8_000


def namespace_of(number: int) -> str:
    return f"team-{number % NAMESPACES:03d}"


def name_of(number: int) -> str:
    return f"llama-{number:05d}"


def documents(checkpoints: int, policies: int) -> Iterator[tuple[str, Json]]:
    """Every object with the path of its collection."""
    for number in range(NAMESPACES):
        metadata = {"name": namespace_of(number), "labels": {"team": str(number)}}
        yield "/api/v1/namespaces", {"metadata": metadata}
    for number in range(policies):
        yield f"{OURS}/clustermodelpolicies", policy(number)
    for number in range(checkpoints):
        yield from of_checkpoint(number)
    secret = {"current": base64.b64encode(KEY.secret).decode()}
    metadata = {"name": "weightlock-seal", "namespace": SYSTEM}
    yield f"/api/v1/namespaces/{SYSTEM}/secrets", {"metadata": metadata, "data": secret}


def policy(number: int) -> Json:
    """All want the same release key; each has one more of its own that also may sign."""
    own = key(f"team-{number}")
    signatures = {
        "authorities": [authority("release", PQ), authority("own", own)],
        "rules": [rule("either", "release", "own", atLeast=1)],
    }
    rules = [{"persistentVolumeClaim": {"storageClassNames": ["scratch"]}, "action": "Ignore"}]
    return dict(
        policy_object(
            f"policy-{number:02d}",
            signatures=signatures,
            volumes={"default": "Verify", "rules": rules},
            freshness={"maxAge": f"{168 + number % 4}h"},
        )
    )


def of_checkpoint(number: int) -> Iterator[tuple[str, Json]]:
    """A claim, the volume behind it, and the checkpoint that was verified on it."""
    namespace, name = namespace_of(number), name_of(number)
    within = f"/namespaces/{namespace}"
    claim: Json = {
        "metadata": {"name": name, "namespace": namespace, "uid": f"claim-{number}"},
        "spec": {"volumeName": f"pv-{name}", "storageClassName": "models"},
        "status": {"phase": "Bound"},
    }
    volume: Json = {
        "metadata": {"name": f"pv-{name}", "uid": f"volume-{number}"},
        "spec": {
            "accessModes": ["ReadOnlyMany"],
            "storageClassName": "models",
            "claimRef": {"namespace": namespace, "name": name, "uid": f"claim-{number}"},
            "csi": {"driver": "disk.example", "volumeHandle": f"disk-{number}"},
        },
    }
    yield f"/api/v1{within}/persistentvolumeclaims", claim
    yield "/api/v1/persistentvolumes", volume
    yield f"{OURS}{within}/modelcheckpoints", checkpoint(number, claim, volume)


def checkpoint(number: int, claim: Json, volume: Json) -> Json:
    """With a verdict."""
    return sealed(unsealed(number, claim, volume))


def sealed(found: Json) -> Json:
    """The same with the operator's seal."""
    record = record_of(Checkpoint.from_object(found))
    assert record is not None
    return {**found, "status": {**found["status"], "seal": seal(record, KEY)}}


def unsealed(number: int, claim: Json, volume: Json) -> Json:
    """What was found on a claim."""
    known = claim_of(claim, volume)
    assert known.backing is not None
    now = datetime.now(UTC)  # noqa: TID251 the edge
    status: Json = {
        "observedGeneration": 1,
        "phase": "Verified",
        "reason": "Verified",
        "message": "content and signatures are as signed by release",
        "digest": {"tree": "rfc6962-v1", "hash": "sha256", "root": f"{number:064x}"},
        "signatures": [
            {
                "algorithm": PQ.algorithm.name,
                "family": "ML-DSA",
                "keyid": PQ.keyid,
                "authority": "release",
            }
        ],
        "volume": {
            "pvcUID": known.uid,
            "pvName": known.backing.name,
            "pvUID": known.backing.uid,
            "sourceHash": known.backing.source_hash,
            "path": "/",
        },
        "modelName": f"llama-{number}",
        "modelVersion": 1,
        "policyHash": "p" * 64,
        "verifier": {"image": "verifier@sha256:" + "a" * 64, "job": "j", "node": "n"},
        "lastVerified": f"{now - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}",
        "conditions": [
            {
                "type": kind,
                "status": "True",
                "reason": "Verified",
                "message": "as signed",
                "lastTransitionTime": f"{now:%Y-%m-%dT%H:%M:%SZ}",
            }
            for kind in ("Verified", "Scheduled", "Fresh")
        ],
    }
    name = claim["metadata"]["name"]
    found: Json = {
        "apiVersion": "weightlock.dev/v1beta1",
        "kind": "ModelCheckpoint",
        "metadata": {
            "name": name,
            "namespace": claim["metadata"]["namespace"],
            "uid": f"checkpoint-{number}",
            "generation": 1,
            "managedFields": [{"manager": "operator", "fieldsV1": {"f:x": {"y" * 400: {}}}}],
        },
        "spec": {"source": {"persistentVolumeClaim": {"claimName": name}, "path": "/"}},
    }
    return {**found, "status": status}


def governed_pod(number: int) -> Json:
    """A training pod of 8 kB with one claim."""
    volume = {
        "name": "model",
        "persistentVolumeClaim": {"claimName": name_of(number), "readOnly": True},
    }
    mount = {"name": "model", "mountPath": "/models", "readOnly": True}
    return _pod(number, [volume], [mount])


def writing_pod(number: int) -> Json:
    """The same, refused by what it says alone."""
    pod = governed_pod(number)
    pod["spec"]["containers"][0]["volumeMounts"][0]["readOnly"] = False
    return pod


def plain_pod(number: int) -> Json:
    """The same without a claim: scratch space and configuration, as most pods have."""
    volumes: list[Json] = [
        {"name": "work", "emptyDir": {}},
        {"name": "settings", "configMap": {"name": "settings", "defaultMode": 420}},
    ]
    mounts: list[Json] = [
        {"name": "work", "mountPath": "/work"},
        {"name": "settings", "mountPath": "/etc/settings", "readOnly": True},
    ]
    return _pod(number, volumes, mounts)


def _pod(number: int, volumes: list[Json], mounts: list[Json]) -> Json:
    token = {
        "name": "kube-api-access-x",
        "projected": {
            "defaultMode": 420,
            "sources": [
                {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt"}},
            ],
        },
    }
    at = "/var/run/secrets/kubernetes.io/serviceaccount"
    container = {
        "name": "trainer",
        "image": "registry.example/trainer@sha256:" + "b" * 64,
        "command": ["torchrun", "train.py"],
        "env": [
            {"name": f"SETTING_{index:02d}", "value": f"value-of-setting-{index}-" + "x" * 60}
            for index in range(52)
        ],
        "resources": {"limits": {"nvidia.com/gpu": "8"}, "requests": {"cpu": "8"}},
        "volumeMounts": [*mounts, {"name": token["name"], "mountPath": at, "readOnly": True}],
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "imagePullPolicy": "IfNotPresent",
    }
    pod: Json = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": "trainer-",
            "namespace": namespace_of(number),
            "labels": {"app": "trainer", "job": name_of(number)},
            "managedFields": [{"manager": "kube-controller-manager", "fieldsV1": {"f:spec": {}}}],
        },
        # In the order in which the API server writes them.
        "spec": {
            "volumes": [*volumes, token],
            "containers": [container],
            "restartPolicy": "OnFailure",
            "dnsPolicy": "ClusterFirst",
            "serviceAccountName": "default",
            "schedulerName": "default-scheduler",
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
            "priority": 0,
            "enableServiceLinks": True,
            "terminationGracePeriodSeconds": 30,
            "securityContext": {},
        },
        "status": {},
    }
    return pod
