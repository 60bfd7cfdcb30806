"""The operator's own account on a real API server: kubeconfigs with exactly its rights."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import yaml

from e2e.cluster.api import Api, ApiError
from e2e.cluster.apiserver import ApiServer

NAMESPACE = "weightlock-system"
ROLE = Path(__file__).parents[2] / "manifests" / "base" / "operator" / "role.yaml"
CRDS = Path(__file__).parents[2] / "crds"


def install(server: ApiServer) -> None:
    """Namespace, CRDs, account and role, as `kubectl apply` would."""
    apply(server.api, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    for path in sorted(CRDS.glob("*.yaml")):
        for body in yaml.safe_load_all(path.read_text()):
            apply(server.api, body)
    for body in yaml.safe_load_all(ROLE.read_text()):
        apply(server.api, body)


def apply(api: Api, body: dict[str, object]) -> None:
    try:
        api.create(body)
    except ApiError as error:
        if error.reason != "AlreadyExists":
            raise


def kubeconfig(server: ApiServer, path: Path, url: str = "", ca: str = "") -> Path:
    """A kubeconfig with a token of the operator's account."""
    answer = server.api.send(
        "POST",
        f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/weightlock-operator/token",
        {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}},
    )
    authority = ca or base64.b64encode(server.ca.read_bytes()).decode()
    cluster = {"server": url or server.url, "certificate-authority-data": authority}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "operator",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": answer["status"]["token"]}}],
        "contexts": [{"name": "operator", "context": {"cluster": "c", "user": "u"}}],
    }
    path.write_text(json.dumps(document))
    return path
