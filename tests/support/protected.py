"""A real API server as Weightlock would have it: custom resources, seal key, policies, storage.

What the operator and the volume controllers would do is done here by hand, with the product's own
functions, so that a test has storage that is bound and checkpoints that are verified and sealed.
"""

from __future__ import annotations

import base64
import contextlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import yaml
from tests.unit.policy.builders import PQ, policy_object
from tests.unit.webhook.cluster import SEAL_KEY, recorded

from e2e.cluster.api import Api, ApiError, Json
from e2e.cluster.supervised import ROOT
from e2e.cluster.tenants import Tenant
from e2e.cluster.waiting import wait_until
from weightlock.cluster_names import NAMESPACE, OPERATOR_ACCOUNT, SEAL_SECRET
from weightlock.digests import Digest, HashAlgorithm
from weightlock.names import API_VERSION
from weightlock.policy.checkpoints import RecordedSignature
from weightlock.reasons import Verdict
from weightlock.verdict.evidence import ModelIdentity
from weightlock.verdict.records import VerdictRecord, status_of
from weightlock.verdict.seal import seal
from weightlock_webhook.decision.storage import claim_of

GROUP_PATH = f"/apis/{API_VERSION}"
PROTECTOR = "system:serviceaccount:kube-system:pvc-protection-controller"
OPERATOR = f"system:serviceaccount:{NAMESPACE}:{OPERATOR_ACCOUNT}"


def install(api: Api) -> None:
    """Custom resources, namespace and seal key; no policy yet."""
    for path in sorted((ROOT / "crds").glob("*.yaml")):
        api.create(yaml.safe_load(path.read_text()))
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    secret = base64.b64encode(SEAL_KEY.secret).decode()
    api.create(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": SEAL_SECRET, "namespace": NAMESPACE},
            "data": {"current": secret},
        }
    )
    wait_until("policies are served", lambda: _are_served(api), timeout_seconds=30)


def _are_served(api: Api) -> bool:
    try:
        for plural in ("clustermodelpolicies", "modelpolicies", "modelcheckpoints"):
            api.get(f"{GROUP_PATH}/{plural}")
    except ApiError:
        return False
    return True


def put_policy(api: Api, name: str = "post-quantum", **spec: object) -> Json:
    """Make or replace a cluster policy; it governs what the tests' selectors say."""
    document = policy_object(name, **spec)
    try:
        return api.create(document)
    except ApiError as error:
        if error.reason != "AlreadyExists":
            raise
    return api.patch(document, {"spec": document["spec"]})


def bind(
    tenant: Tenant,
    name: str = "llama",
    source: Mapping[str, Any] | None = None,
    modes: Sequence[str] = ("ReadOnlyMany",),
    **spec: Any,
) -> Json:
    """A claim of the tenant, bound to a volume of its own as the controllers would bind it."""
    volume_name = f"pv-{secrets.token_hex(4)}"
    claim = tenant.object("v1", "PersistentVolumeClaim", name)
    claim["spec"] = {
        "accessModes": list(modes),
        "resources": {"requests": {"storage": "1Gi"}},
        "storageClassName": "models",
        "volumeName": volume_name,
        **spec,
    }
    made = tenant.api.create(claim)
    reference = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "namespace": tenant.namespace,
        "name": name,
        "uid": made["metadata"]["uid"],
    }
    handle = {"csi": {"driver": "disk.example", "volumeHandle": secrets.token_hex(8)}}
    tenant.admin.create(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": volume_name},
            "spec": {
                "accessModes": claim["spec"]["accessModes"],
                "capacity": {"storage": "1Gi"},
                "storageClassName": claim["spec"]["storageClassName"],
                "claimRef": reference,
                **(source or handle),
            },
        }
    )
    return tenant.admin.replace_status({**made, "status": {"phase": "Bound"}})


def register(tenant: Tenant, name: str, claim: str = "llama", path: str = "/") -> Json:
    """A checkpoint as a team registers it."""
    source = {"persistentVolumeClaim": {"claimName": claim}, "path": path}
    return tenant.admin.create(
        tenant.object(API_VERSION, "ModelCheckpoint", name, spec={"source": source})
    )


def verify(
    tenant: Tenant, name: str = "llama-step-1200", claim: str = "llama", path: str = "/"
) -> Json:
    """The same after the operator has verified it, for which it needs no content here."""
    return record(tenant, register(tenant, name, claim, path))


def record(tenant: Tenant, made: Json, **more: object) -> Json:
    """Write the sealed verdict on what a checkpoint names now, as the operator would."""
    source = made["spec"]["source"]
    manifest = tenant.object(
        "v1", "PersistentVolumeClaim", source["persistentVolumeClaim"]["claimName"]
    )
    claim = tenant.admin.read(manifest)
    volume = tenant.admin.get(f"/api/v1/persistentvolumes/{claim['spec']['volumeName']}")
    found = VerdictRecord(
        checkpoint_uid=made["metadata"]["uid"],
        generation=made["metadata"]["generation"],
        volume=recorded(claim_of(claim, volume), source.get("path", "/")),
        digest=Digest(HashAlgorithm.SHA256, b"d" * 32),
        signatures=(RecordedSignature(PQ.algorithm, PQ.keyid),),
        model=ModelIdentity("llama", 3),
        policy_hash="0" * 64,
        verifier_image="registry.example/verifier@sha256:" + "0" * 64,
        verified_at=datetime.now(tz=UTC).replace(microsecond=0),  # noqa: TID251 the test's edge
    )
    found = replace(found, **more)  # type: ignore[arg-type]
    status = {
        "phase": Verdict.VERIFIED.value,
        "reason": "Verified",
        **status_of(found),
        "seal": seal(found, SEAL_KEY),
    }
    # The webhook, where one watches, lets nobody else write a verdict.
    operator = tenant.admin.acting_as(OPERATOR, "system:masters")
    return operator.replace_status({**made, "status": status})


def govern(tenant: Tenant, **spec: object) -> Json:
    """A cluster policy over the tenant's namespace alone."""
    selector = {
        "key": "kubernetes.io/metadata.name",
        "operator": "In",
        "values": [tenant.namespace],
    }
    spec = {"namespaceSelector": {"matchExpressions": [selector]}, **spec}
    return put_policy(tenant.admin, f"for-{tenant.namespace}", **spec)


def delete_claim(tenant: Tenant, name: str = "llama") -> None:
    """Delete a claim; a controller manager, which would let go of it, is not needed here."""
    claim = tenant.object("v1", "PersistentVolumeClaim", name)
    tenant.api.delete(claim)
    with contextlib.suppress(ApiError):  # gone already, where controllers run
        protector = tenant.admin.acting_as(PROTECTOR, "system:masters")
        protector.patch(claim, {"metadata": {"finalizers": None}})
