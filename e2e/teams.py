"""A team: a namespace under a policy of its own, with a volume that holds checkpoints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from e2e.cluster.api import ApiError, Json
from e2e.cluster.running import RunningCluster
from e2e.cluster.tenants import Tenant
from e2e.cluster.waiting import wait_until
from e2e.models import CONFIG, Key
from e2e.pods import busybox, pod
from e2e.waiting import await_gone, exists

GROUP = "weightlock.dev/v1beta1"
CLAIM = "models"
TEAM_LABEL = "team"
VERDICT_SECONDS = 120.0
BOUND_SECONDS = 60.0
READ = ("cat", f"/models/{CONFIG}")
SERVE = ("sh", "-c", f"cat /models/{CONFIG} && sleep 3600")
LABEL_CHECKPOINT = "weightlock.dev/checkpoint-uid"
SETTLED = ("Verified", "ClassicalOnly", "Failed", "Error")


@dataclass(frozen=True, slots=True)
class Team:
    """Acts as the tenant where a tenant may, and as the administrator for policies and volumes."""

    cluster: RunningCluster
    tenant: Tenant

    @property
    def namespace(self) -> str:
        return self.tenant.namespace

    @property
    def folder(self) -> Path:
        """What is on the volume; also where hostPath volumes of this team are."""
        return self.cluster.volumes / self.namespace

    @property
    def policy(self) -> Json:
        """Which policy is the team's, to read or change the live one."""
        return cluster_policy(self.namespace)

    def govern(self, keys: Mapping[str, Key], **changes: object) -> None:
        """Have signatures by one of these keys demanded in this namespace, and only here."""
        spec = {
            "namespaceSelector": {"matchLabels": {TEAM_LABEL: self.namespace}},
            "volumes": {"rules": folder_rules(self.folder)},
            "signatures": signatures_by(keys),
        }
        self.cluster.api.create(cluster_policy(self.namespace, **{**spec, **changes}))

    def change_policy(self, **changes: object) -> None:
        """Merge into the policy's spec."""
        self.cluster.api.patch(self.policy, {"spec": changes})

    def share_folder(self) -> None:
        """Offer the folder as a local volume, and claim it."""
        self.cluster.api.create(local_volume(self))
        self.claim()

    def claim(self) -> Json:
        """Claim the volume as the tenant; what is bound."""
        wanted = claim_for(self)
        self.tenant.api.create(wanted)
        return self.tenant.api.wait_for(
            wanted, "the claim is bound", phase="Bound", timeout_seconds=BOUND_SECONDS
        )

    def checkpoint(self, name: str, **source: object) -> Json:
        """The manifest of a checkpoint: the folder of its name on the claim, or another source."""
        place = source or {"persistentVolumeClaim": {"claimName": CLAIM}, "path": f"/{name}"}
        return self.tenant.object(GROUP, "ModelCheckpoint", name, spec={"source": place})

    def register(self, name: str, **source: object) -> Json:
        """Register a checkpoint as the tenant."""
        return self.tenant.api.create(self.checkpoint(name, **source))

    def status(self, name: str) -> Json:
        """What the operator says of a checkpoint."""
        status: Json = self.tenant.api.read(self.checkpoint(name)).get("status", {})
        return status

    def verdict(self, name: str, *phases: str, seconds: float = VERDICT_SECONDS) -> Json:
        """The status once its phase is one of these; without any, once it is settled."""

        def reached() -> Json | None:
            status = self.status(name)
            return status if status.get("phase") in (phases or SETTLED) else None

        try:
            return wait_until(f"a verdict on {name}", reached, timeout_seconds=seconds, poll=0.1)
        except Exception as error:
            error.add_note(f"so far: {self.status(name)}")
            raise

    def jobs(self) -> list[Json]:
        """The verification Jobs of this namespace."""
        listed: list[Json] = self.cluster.api.get(
            f"/apis/batch/v1/namespaces/{self.namespace}/jobs?labelSelector={LABEL_CHECKPOINT}"
        )["items"]
        return listed

    def verifiers(self, name: str) -> list[Json]:
        """The pods of a checkpoint's verifications."""
        uid = self.tenant.api.read(self.checkpoint(name))["metadata"]["uid"]
        pods: list[Json] = self.cluster.api.get(
            f"/api/v1/namespaces/{self.namespace}/pods?labelSelector={LABEL_CHECKPOINT}={uid}"
        )["items"]
        return pods

    def reader(
        self,
        name: str,
        *,
        path: str = "",
        command: Sequence[str] = READ,
        volume: Json | None = None,
    ) -> Json:
        """A pod that reads a checkpoint, by default the one of its own name on the claim.

        From another volume source, all that is on it.
        """
        mount: Json = {"name": "m", "mountPath": "/models", "readOnly": True}
        if volume is None:
            mount["subPath"] = path or name
        source = volume or {"persistentVolumeClaim": {"claimName": CLAIM, "readOnly": True}}
        container = busybox(*command) | {"volumeMounts": [mount]}
        return pod(self.tenant, name, [container], volumes=[{"name": "m", **source}])

    def refusal(self, manifest: Json) -> str:
        """Why the API server does not take a pod, which must not be there afterwards."""
        with pytest.raises(ApiError) as refused:
            self.tenant.api.create(manifest)
        assert not exists(self.cluster.api, manifest)
        return refused.value.message

    def runs(self, manifest: Json) -> str:
        """Create a pod and wait for its success; what it has read."""
        self.tenant.api.create(manifest)
        return self.read_by(manifest)

    def read_by(self, manifest: Json, phase: str = "Succeeded") -> str:
        """What a pod has read, once it has reached a phase."""
        name = manifest["metadata"]["name"]
        self.tenant.api.wait_for(
            manifest, f"pod {name}: {phase}", phase=phase, timeout_seconds=VERDICT_SECONDS
        )
        return self.cluster.api.log(self.namespace, name)

    def is_evicted(self, manifest: Json) -> None:
        """Wait until a pod is there no more, nobody else having deleted it."""
        await_gone(self.cluster.api, manifest, seconds=VERDICT_SECONDS)

    def pod_status(self, manifest: Json) -> Json:
        status: Json = self.tenant.api.read(manifest)["status"]
        return status

    def events_about(self, name: str) -> list[Json]:
        """The events of this namespace about an object of that name."""
        listed: list[Json] = self.cluster.api.get(
            f"/api/v1/namespaces/{self.namespace}/events?fieldSelector=involvedObject.name={name}"
        )["items"]
        return listed


@contextmanager
def team_on(cluster: RunningCluster, name: str) -> Iterator[Team]:
    """A team of its own; its policy and volume end with it, its namespace with the cluster."""
    team = Team(cluster, cluster.tenant(name))
    namespace: Json = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": team.namespace},
    }
    cluster.api.patch(namespace, {"metadata": {"labels": {TEAM_LABEL: team.namespace}}})
    team.folder.mkdir()
    try:
        yield team
    finally:
        if exists(cluster.api, team.policy):
            cluster.api.delete(team.policy)


def cluster_policy(name: str, **spec: object) -> Json:
    """The manifest of a policy for more than one namespace."""
    metadata = {"name": name}
    return {"apiVersion": GROUP, "kind": "ClusterModelPolicy", "metadata": metadata, "spec": spec}


def signatures_by(keys: Mapping[str, Key]) -> Json:
    """One of these keys is enough; what classical ones have signed never is."""
    authorities = [
        {"name": name, "algorithm": each.algorithm, "publicKey": each.pem}
        for name, each in keys.items()
    ]
    return {
        "authorities": authorities,
        "rules": [{"name": "signed", "authorities": list(keys)}],
    }


def folder_rules(folder: Path) -> list[Json]:
    """A folder of a node is trusted only where a policy names it."""
    place = {"paths": [str(folder)]}
    return [{source: place, "action": "Verify"} for source in ("hostPath", "local")]


def local_volume(team: Team) -> Json:
    """The team's folder on the node, for the team's claim only."""
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [team.cluster.node]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": team.namespace},
        "spec": {
            "accessModes": ["ReadOnlyMany"],
            "capacity": {"storage": "1Gi"},
            "claimRef": {"namespace": team.namespace, "name": CLAIM},
            "local": {"path": str(team.folder)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": team.namespace,
        },
    }


def claim_for(team: Team) -> Json:
    """A claim that only the team's volume can satisfy."""
    spec = {
        "accessModes": ["ReadOnlyMany"],
        "resources": {"requests": {"storage": "1Gi"}},
        "storageClassName": team.namespace,
        "volumeName": team.namespace,
    }
    return team.tenant.object("v1", "PersistentVolumeClaim", CLAIM, spec=spec)
