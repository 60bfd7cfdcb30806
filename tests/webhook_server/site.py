"""An API server, the webhook before it, and a tenant."""

from __future__ import annotations

from dataclasses import dataclass

from tests.support.admitting import refused
from tests.webhook_server.real import SCHEDULER, Webhook

from e2e.cluster.api import Api, ApiError, Json
from e2e.cluster.apiserver import ApiServer
from e2e.cluster.tenants import Tenant


@dataclass
class Site:
    """An API server, a webhook, and a tenant with two claims: `llama` is verified, `fresh` not."""

    server: ApiServer
    webhook: Webhook
    tenant: Tenant

    @property
    def admin(self) -> Api:
        return self.server.api

    def pod(
        self, name: str, claim: str = "llama", *, read_only: bool = True, **spec: object
    ) -> Json:
        volume = {
            "name": "model",
            "persistentVolumeClaim": {"claimName": claim, "readOnly": read_only},
        }
        mount = {"name": "model", "mountPath": "/models", "readOnly": read_only}
        container = {"name": "main", "image": "trainer", "volumeMounts": [mount]}
        return self.tenant.object(
            "v1", "Pod", name, spec={"volumes": [volume], "containers": [container], **spec}
        )

    def plain(self, name: str, **metadata: object) -> Json:
        found = self.tenant.object(
            "v1", "Pod", name, spec={"containers": [{"name": "main", "image": "trainer"}]}
        )
        found["metadata"].update(metadata)
        return found

    def refused(self, manifest: Json, *, by: Api | None = None, code: int = 403) -> str:
        return refused(manifest, by=by or self.tenant.api, admin=self.admin, code=code)

    def stored(self, manifest: Json, *, by: Api | None = None) -> Json:
        (by or self.tenant.api).create(manifest)
        return self.admin.read(manifest)


def bind(site: Site, pod: Json, node: str = "node-1", **metadata: object) -> None:
    name = pod["metadata"]["name"]
    site.admin.acting_as(SCHEDULER).send(
        "POST",
        f"{site.admin.path(pod)}/binding",
        {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": name, **metadata},
            "target": {"kind": "Node", "name": node},
        },
    )


def why_not(api: Api, method: str, path: str, body: Json | None = None) -> str:
    """Why it was refused; empty if it was not."""
    try:
        api.send(method, path, body)
    except ApiError as error:
        return error.message
    return ""
