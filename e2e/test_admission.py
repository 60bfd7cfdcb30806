"""A webhook behind a Service decides about pods, and the API server survives a restart."""

from __future__ import annotations

import base64
import datetime
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.cluster.api import ApiError, Json
from e2e.cluster.native.provider import NativeProvider
from e2e.cluster.pki import Authority
from e2e.cluster.running import RunningCluster
from e2e.cluster.tenants import Tenant
from e2e.cluster.waiting import wait_until
from e2e.doubles import denying_webhook
from e2e.images.product import VERIFIER_CPU
from e2e.pods import busybox, pod

HOOKS = "admissionregistration.k8s.io/v1"


@pytest.fixture
def judged(cluster: RunningCluster, tmp_path: Path) -> Iterator[Tenant]:
    """A tenant about whose pods the double decides; the double itself runs in another namespace."""
    peer, tenant = cluster.tenant("peer"), cluster.tenant("judged")
    now = datetime.datetime.now(tz=datetime.UTC)  # noqa: TID251 certificates need the time
    authority = Authority(tmp_path, now)
    deploy_double(peer, authority)
    judge_namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": tenant.namespace},
    }
    cluster.api.patch(judge_namespace, {"metadata": {"labels": {"judged": tenant.namespace}}})
    hook = configuration(peer, tenant, authority)
    cluster.api.create(hook)
    yield tenant
    cluster.api.delete(hook)


def test_a_webhook_at_a_service_address_denies_a_pod(judged: Tenant) -> None:
    def refused_by_the_double() -> bool:
        """Until the API server knows of the webhook, pods pass; a dry run leaves none behind."""
        try:
            judged.api.create(pod(judged, "any", [busybox("true")]), dry_run=True)
        except ApiError as error:
            return denying_webhook.MESSAGE in error.message
        return False

    wait_until("the double denies the pod", refused_by_the_double, timeout_seconds=60)
    with pytest.raises(ApiError, match=denying_webhook.MESSAGE):
        judged.api.create(pod(judged, "real", [busybox("true")]))


def test_a_running_pod_survives_a_restart_of_the_api_server(
    cluster: RunningCluster, tenant: Tenant
) -> None:
    if not isinstance(cluster.provider, NativeProvider):
        pytest.skip("only the native cluster's API server is ours to stop")
    sleeper = pod(tenant, "sleeper", [busybox("sleep", "3600")])
    tenant.api.create(sleeper)
    before = tenant.api.wait_for(sleeper, "the pod runs", phase="Running")
    cluster.provider.stop_component("kube-apiserver")
    assert not cluster.api.answers()
    cluster.provider.start_apiserver()
    after = tenant.api.read(sleeper)
    assert after["status"]["containerStatuses"] == before["status"]["containerStatuses"]


def deploy_double(peer: Tenant, authority: Authority) -> None:
    pair = authority.server("double", f"double.{peer.namespace}.svc")
    code = Path(denying_webhook.__file__).read_text()
    peer.api.create(peer.object("v1", "ConfigMap", "code", data={"webhook.py": code}))
    secret = {"tls.crt": inline(pair.certificate), "tls.key": inline(pair.key)}
    peer.api.create(peer.object("v1", "Secret", "tls", data=secret))
    container = busybox("python", "/code/webhook.py", image=VERIFIER_CPU.name) | {
        "readinessProbe": {"tcpSocket": {"port": 8443}, "periodSeconds": 1},
        "volumeMounts": [
            {"name": "code", "mountPath": "/code"},
            {"name": "tls", "mountPath": "/tls"},
        ],
    }
    volumes = [
        {"name": "code", "configMap": {"name": "code"}},
        {"name": "tls", "secret": {"secretName": "tls"}},
    ]
    double = pod(peer, "double", [container], volumes=volumes)
    peer.api.create(double)
    spec = {"selector": {"app": "double"}, "ports": [{"port": 443, "targetPort": 8443}]}
    peer.api.create(peer.object("v1", "Service", "double", spec=spec))
    wait_until("the double is ready", lambda: is_ready(peer, double), timeout_seconds=60)


def is_ready(tenant: Tenant, manifest: Json) -> bool:
    conditions = tenant.api.read(manifest)["status"].get("conditions", [])
    return any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions)


def configuration(peer: Tenant, judged: Tenant, authority: Authority) -> Json:
    service = {"namespace": peer.namespace, "name": "double", "path": "/", "port": 443}
    rule = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": ["CREATE"],
        "resources": ["pods"],
    }
    hook = {
        "name": "double.tests.weightlock.dev",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Ignore",  # so that only a real answer can deny
        "namespaceSelector": {"matchLabels": {"judged": judged.namespace}},
        "rules": [rule],
        "clientConfig": {"service": service, "caBundle": inline(authority.certificate)},
    }
    metadata = {"name": judged.namespace}
    return {
        "apiVersion": HOOKS,
        "kind": "ValidatingWebhookConfiguration",
        "metadata": metadata,
        "webhooks": [hook],
    }


def inline(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
