"""Pods for tests: small, quick, and allowed under the restricted pod security standard."""

from __future__ import annotations

from collections.abc import Sequence

from e2e.cluster.api import Json
from e2e.cluster.tenants import Tenant
from e2e.images.programs import BUSYBOX_IMAGE


def busybox(*command: str, name: str = "main", image: str = BUSYBOX_IMAGE) -> Json:
    """A container that runs a command of the node's own test image."""
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": "Never",
        "command": list(command),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
        },
    }


def pod(tenant: Tenant, name: str, containers: Sequence[Json], **spec: object) -> Json:
    """A pod that is not restarted and ends at once when it is deleted."""
    manifest = tenant.object("v1", "Pod", name)
    manifest["metadata"]["labels"] = {"app": name}
    manifest["spec"] = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
        "containers": list(containers),
        **spec,
    }
    return manifest


def run(tenant: Tenant, manifest: Json) -> str:
    """Create a pod, wait until it has succeeded, and return what it printed."""
    tenant.api.create(manifest)
    name = manifest["metadata"]["name"]
    tenant.api.wait_for(manifest, f"pod {name} succeeds", phase="Succeeded")
    return tenant.api.log(tenant.namespace, name)
