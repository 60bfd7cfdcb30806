"""Policies, claims and checkpoints on a real API server, and what becomes of them."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from tests.unit.policy.builders import PQ, authority, signatures

from e2e.cluster.api import Api, ApiError, Json
from e2e.cluster.tenants import Tenant
from e2e.cluster.waiting import wait_until

CHECKPOINT = "/apis/weightlock.dev/v1beta1/namespaces/{}/modelcheckpoints/{}"
SECONDS = 30.0


def policy(name: str, namespace: str, **more: object) -> Json:
    """A cluster policy for one namespace."""
    return {
        "apiVersion": "weightlock.dev/v1beta1",
        "kind": "ClusterModelPolicy",
        "metadata": {"name": name},
        "spec": {
            "signatures": signatures(authority("release", PQ)),
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            **more,
        },
    }


@dataclass
class Shelf:
    """The claims and checkpoints of one tenant."""

    tenant: Tenant

    @property
    def api(self) -> Api:
        return self.tenant.admin

    def volume(self, name: str, handle: str = "", source: Json | None = None) -> None:
        """A bound claim and its volume, as a provisioner would leave them."""
        namespace = self.tenant.namespace
        csi = {"driver": "csi.example", "volumeHandle": handle or f"{namespace}-{name}"}
        claim = self.api.create(
            self.tenant.object(
                "v1",
                "PersistentVolumeClaim",
                name,
                spec={
                    "accessModes": ["ReadWriteMany"],
                    "resources": {"requests": {"storage": "1Gi"}},
                    "storageClassName": "models",
                    "volumeName": f"{namespace}-{name}",
                },
            )
        )
        volume = {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": f"{namespace}-{name}"},
            "spec": {
                "accessModes": ["ReadWriteMany"],
                "capacity": {"storage": "1Gi"},
                "storageClassName": "models",
                "persistentVolumeReclaimPolicy": "Retain",
                "claimRef": {
                    "apiVersion": "v1",
                    "kind": "PersistentVolumeClaim",
                    "namespace": namespace,
                    "name": name,
                    "uid": claim["metadata"]["uid"],
                },
                **(source or {"csi": csi}),
            },
        }
        self.api.create(volume)
        self.bind(claim, volume)

    def bind(self, claim: Json, volume: Json) -> None:
        """What the volume controller does; nothing if it has done it."""
        self.api.patch(volume, {"status": {"phase": "Bound"}}, subresource="/status")
        self.api.patch(claim, {"status": {"phase": "Bound"}}, subresource="/status")

    def remove_volume(self, name: str) -> None:
        """Claim and volume, with the finalizers that their controllers would remove."""
        claim = self.tenant.object("v1", "PersistentVolumeClaim", name)
        volume = {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": f"{self.tenant.namespace}-{name}"},
        }
        for each in (claim, volume):
            self.api.delete(each)  # first, or the controller puts its finalizer back
            with contextlib.suppress(ApiError):  # the controller was faster
                self.api.patch(each, {"metadata": {"finalizers": None}})

    def checkpoint(self, name: str, claim: str = "", **spec: object) -> Json:
        """Register a checkpoint of a claim of the same name."""
        source = {"persistentVolumeClaim": {"claimName": claim or name}, "path": "/"}
        return self.api.create(
            self.tenant.object(
                "weightlock.dev/v1beta1", "ModelCheckpoint", name, spec={"source": source, **spec}
            )
        )

    def good(self, name: str) -> Json:
        """A claim and a checkpoint on it."""
        self.volume(name)
        return self.checkpoint(name)

    def status(self, name: str) -> Json:
        live = self.api.get(CHECKPOINT.format(self.tenant.namespace, name))
        status: Json = live.get("status") or {}
        return status

    def reaches(self, name: str, phase: str, reason: str = "", seconds: float = SECONDS) -> Json:
        """Wait until a checkpoint has that phase (and reason); its status."""

        def reached() -> Json | None:
            status = self.status(name)
            fits = status.get("phase") == phase and reason in ("", status.get("reason"))
            return status if fits else None

        try:
            return wait_until(f"{name} is {phase} {reason}", reached, timeout_seconds=seconds)
        except Exception as error:
            error.add_note(f"{name}: {self.status(name)}")
            raise

    def jobs(self) -> list[Json]:
        found = self.api.get(f"/apis/batch/v1/namespaces/{self.tenant.namespace}/jobs")
        items: list[Json] = found["items"]
        return items
