"""People of the test: users who may edit one namespace and nothing else."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from e2e.cluster.api import Api, ApiError, Json
from e2e.cluster.waiting import wait_until

# `edit` is put together by the controller manager. Its parts hold the same rules on a server that
# has none.
EDIT = ("edit",)
EDIT_IN_PARTS = ("system:aggregate-to-edit", "system:aggregate-to-view")


WELCOME_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Tenant:
    """A user and the namespace they own; `api` acts as them, `admin` for what they may not do."""

    user: str
    namespace: str
    api: Api
    admin: Api

    def object(self, api_version: str, kind: str, name: str, **rest: object) -> Json:
        """A manifest in the tenant's namespace."""
        metadata = {"name": name, "namespace": self.namespace}
        return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **rest}


def create_tenant(admin: Api, name: str, *, aggregated: bool) -> Tenant:
    """Make a namespace of a fresh name and someone with edit rights in it.

    `aggregated`: a controller manager runs, so the role has what custom resources add to it.
    """
    namespace = f"{name}-{secrets.token_hex(3)}"
    user = f"{name}@tenants.test"
    admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    for role in EDIT if aggregated else EDIT_IN_PARTS:
        admin.create(_binding(namespace, user, role))
    if aggregated:
        what = f"pods are welcome in {namespace}"
        wait_until(
            what, lambda: pods_are_welcome(admin, namespace), timeout_seconds=WELCOME_SECONDS
        )
    return Tenant(user, namespace, admin.acting_as(user), admin)


def pods_are_welcome(admin: Api, namespace: str) -> bool:
    """Whether the controllers have made the service account, and on old servers its token too.

    Asked with a dry run, since which of the two a pod waits for depends on the server's version.
    """
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "welcome", "namespace": namespace},
        "spec": {"containers": [{"name": "any", "image": "any"}]},
    }
    try:
        admin.create(pod, dry_run=True)
    except ApiError as error:
        return (
            "service account" not in error.message
        )  # refused for another reason: not our business
    return True


def _binding(namespace: str, user: str, role: str) -> Json:
    group = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": role.replace(":", "-"), "namespace": namespace},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
    }
