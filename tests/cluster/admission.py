"""What the tests of admission share: a real API server, the real webhook, tenants with edit rights.

Every denial is asserted by a 404 on GET, every allowance by reading the stored object back.
"""

from __future__ import annotations

import itertools
import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.support.admitting import is_allowed, refused, why_refused
from tests.support.protected import govern, install, put_policy
from tests.unit.policy.builders import PQ, authority, signatures
from tests.unit.webhook.objects import container, mount, pod_spec
from tests.webhook_server.real import Webhook, running_webhook

from e2e.cluster.api import Api, ApiError, Json
from e2e.cluster.apiserver import ApiServer
from e2e.cluster.tenants import Tenant
from e2e.cluster.waiting import wait_until

SECONDS = 20.0
POISONED = {"poisoned": "true"}
"""Labels of namespaces that a policy selects which cannot be read."""

_NUMBERS = itertools.count()


@dataclass
class Case:
    """A tenant whose namespace one policy governs, and what becomes of its pods."""

    webhook: Webhook
    tenant: Tenant
    _names: Iterator[int] = field(default_factory=itertools.count)

    @property
    def admin(self) -> Api:
        return self.tenant.admin

    def pod(self, spec: Mapping[str, Any], **metadata: Any) -> Json:
        made = self.tenant.object("v1", "Pod", f"pod-{next(self._names)}", spec=dict(spec))
        made["metadata"].update(metadata)
        return made

    def refused(self, manifest: Json, reason: str = "", *, by: Api | None = None) -> str:
        message = refused(manifest, by=by or self.tenant.api, admin=self.admin)
        assert reason in message
        return message

    def stored(self, manifest: Json, *, by: Api | None = None) -> Json:
        (by or self.tenant.api).create(manifest)
        return self.admin.read(manifest)

    def becomes_stored(self, manifest: Json) -> Json:
        """Stored once the watches have brought what the test has just changed."""
        wait_until(
            "the pod is let in", lambda: is_allowed(self.tenant.api, manifest), timeout_seconds=10
        )
        return self.stored(manifest)

    def becomes_refused(self, manifest: Json, reason: str) -> str:
        wait_until(
            f"the pod is refused for {reason}",
            lambda: reason in why_refused(self.tenant.api, manifest),
            timeout_seconds=10,
        )
        return self.refused(manifest, reason)

    def refused_patch(
        self, manifest: Json, body: object, kind: str, *, by: Api | None = None
    ) -> str:
        before = self.admin.read(manifest)
        with pytest.raises(ApiError) as refusal:
            patch(by or self.tenant.api, manifest, body, kind)
        assert refusal.value.code == 403, refusal.value.message
        after = self.admin.read(manifest)
        assert after["spec"] == before["spec"]
        assert after["metadata"].get("labels") == before["metadata"].get("labels")
        return refusal.value.message


def warnings_of(api: Api, manifest: Json) -> list[str]:
    """What the API server warns of when a pod is made, on a dry run."""
    request = urllib.request.Request(  # noqa: S310 the URL is the cluster's, always https
        f"{api.url}/api/v1/namespaces/{manifest['metadata']['namespace']}/pods?dryRun=All",
        data=json.dumps(manifest).encode(),
        headers={"Content-Type": "application/json", **api.headers},
        method="POST",
    )
    with _opener(api).open(request, timeout=10) as answer:
        answer.read()
        found: list[str] = answer.headers.get_all("Warning") or []
    # 299 - "the words", with quotes inside escaped.
    return [each.partition('"')[2].removesuffix('"').replace('\\"', '"') for each in found]


def _opener(api: Api) -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(
        urllib.request.HTTPSHandler(context=api.tls), urllib.request.ProxyHandler({})
    )


def patch(api: Api, manifest: Json, body: object, kind: str) -> None:
    """PATCH with any content type."""
    query = "?fieldManager=test&force=true" if "apply" in kind else ""
    request = urllib.request.Request(  # noqa: S310 the URL is the cluster's, always https
        api.url + api.path(manifest) + query,
        data=json.dumps(body).encode(),
        headers={"Content-Type": kind, "Accept": "application/json", **api.headers},
        method="PATCH",
    )
    try:
        with _opener(api).open(request, timeout=10) as answer:
            answer.read()
    except urllib.error.HTTPError as error:
        with error:
            status = json.loads(error.read())
        raise ApiError(error.code, status.get("reason", ""), status["message"]) from error


@contextmanager
def protected(server: ApiServer, folder: Path, **settings: str) -> Iterator[Webhook]:
    """The server with the webhook before it, and a policy that nobody's namespace is under.

    Without any cluster policy there would be no floor, and every pod with storage refused.
    """
    install(server.api)
    # Stored while nobody checked, as a cluster may have it: all cases stand beside it.
    put_policy(
        server.api,
        "poisonous",
        namespaceSelector={"matchLabels": POISONED},
        signatures=signatures({**authority("broken", PQ), "publicKey": "no key"}),
    )
    nobody = {"matchExpressions": [{"key": "nobody", "operator": "In", "values": ["x"]}]}
    with running_webhook(server, folder, **settings) as webhook:
        put_policy(server.api, "of-nobody", namespaceSelector=nobody)
        guarded = server.tenant("guarded")
        govern(guarded)
        unknown = guarded.object("v1", "Pod", "unknown", spec=pod_spec())
        wait_until(
            "the API server asks the webhook",
            lambda: "ClaimUnbound" in why_refused(guarded.api, unknown),
            timeout_seconds=SECONDS,
        )
        yield webhook


def new_case(server: ApiServer, webhook: Webhook, **policy: Any) -> Case:
    """A tenant under a policy of its own."""
    tenant = server.tenant(f"t{next(_NUMBERS)}")
    govern(tenant, **policy)
    found = Case(webhook, tenant)
    # No policy that governs a claim lets this pass, however it answers unverified ones.
    unknown = found.pod(pod_spec(containers=[container(mount(subPathExpr="$(X)"))]))
    wait_until(
        "the policy is known",
        lambda: "SubPathExpr" in why_refused(tenant.api, unknown),
        timeout_seconds=10,
    )
    return found
