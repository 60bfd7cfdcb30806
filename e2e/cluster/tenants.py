"""People of the test: users who may edit one namespace and nothing else."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from e2e.cluster.api import Api, Json

# `edit` is put together by the controller manager. Its parts hold the same rules on a server that
# has none.
EDIT = ("edit",)
EDIT_IN_PARTS = ("system:aggregate-to-edit", "system:aggregate-to-view")


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

    `aggregated`: a controller manager runs, so that the role also has what custom resources add to
    it.
    """
    namespace = f"{name}-{secrets.token_hex(3)}"
    user = f"{name}@tenants.test"
    admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    for role in EDIT if aggregated else EDIT_IN_PARTS:
        admin.create(_binding(namespace, user, role))
    return Tenant(user, namespace, admin.acting_as(user), admin)


def _binding(namespace: str, user: str, role: str) -> Json:
    group = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": role.replace(":", "-"), "namespace": namespace},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
    }
