"""A small Kubernetes client: JSON in, JSON out, for tests that must see every answer."""

from __future__ import annotations

import base64
import json
import ssl
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from e2e.cluster.errors import CannotRun, ClusterError
from e2e.cluster.waiting import wait_until

Json = dict[str, Any]

REQUEST_SECONDS = 30.0
PROBE_SECONDS = 2.0
MERGE_PATCH = "application/merge-patch+json"


class ApiError(ClusterError):
    """The API server refused. `code` is the HTTP status, `message` its words."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        self.code = code
        self.reason = reason
        self.message = message
        super().__init__(f"{code} {reason}: {message}")


@dataclass(frozen=True, slots=True)
class Api:
    """One user's view of one API server."""

    url: str
    tls: ssl.SSLContext
    headers: Mapping[str, str]

    @classmethod
    def from_kubeconfig(cls, path: Path) -> Api:
        """The current context of a kubeconfig that has everything inside it.

        Raises:
            CannotRun: it names other files or asks other programs for its credentials.
        """
        document = yaml.safe_load(path.read_text())
        context = _named(document["contexts"], document["current-context"])["context"]
        cluster = _named(document["clusters"], context["cluster"])["cluster"]
        user = _named(document["users"], context["user"])["user"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        tls = ssl.create_default_context(cadata=authority)
        if "token" in user:
            return cls(cluster["server"], tls, {"Authorization": f"Bearer {user['token']}"})
        if "client-certificate-data" not in user:
            raise CannotRun(f"{path}: only inline certificates and tokens are understood")
        # The ssl module reads key pairs from files only.
        with tempfile.NamedTemporaryFile() as pair:
            pair.write(base64.b64decode(user["client-certificate-data"]))
            pair.write(base64.b64decode(user["client-key-data"]))
            pair.flush()
            tls.load_cert_chain(pair.name)
        return cls(cluster["server"], tls, {})

    def acting_as(self, user: str, group: str = "system:authenticated") -> Api:
        """The same server seen by someone else, by impersonation."""
        identity = {"Impersonate-User": user, "Impersonate-Group": group}
        return replace(self, headers={**self.headers, **identity})

    def get(self, path: str) -> Json:
        """Read a path such as `/api/v1/namespaces/default/pods`."""
        return self.send("GET", path)

    def create(self, manifest: Json, *, dry_run: bool = False) -> Json:
        """POST an object to where its kind lives."""
        query = "?dryRun=All" if dry_run else ""
        return self.send("POST", self._collection(manifest) + query, manifest)

    def read(self, manifest: Json) -> Json:
        """The live object of the same kind, namespace and name."""
        return self.get(self.path(manifest))

    def replace_status(self, manifest: Json) -> Json:
        """PUT the status subresource."""
        return self.send("PUT", f"{self.path(manifest)}/status", manifest)

    def patch(self, manifest: Json, change: Json, *, subresource: str = "") -> Json:
        """Merge-patch the live object."""
        return self.send("PATCH", self.path(manifest) + subresource, change)

    def delete(self, manifest: Json) -> Json:
        """Delete at once: no grace period, since nobody waits for the data."""
        return self.send("DELETE", self.path(manifest), {"gracePeriodSeconds": 0})

    def log(self, namespace: str, pod: str) -> str:
        """What a pod's only container has printed."""
        text: str = self.get(f"/api/v1/namespaces/{namespace}/pods/{pod}/log")["text"]
        return text

    def path(self, manifest: Json) -> str:
        """Where an object lives."""
        return f"{self._collection(manifest)}/{manifest['metadata']['name']}"

    def answers(self) -> bool:
        """Whether the server is up and says it is ready."""
        try:
            self.send("GET", "/readyz", timeout_seconds=PROBE_SECONDS)
        except (OSError, ApiError):
            return False
        return True

    def wait_for(
        self, manifest: Json, what: str, *, timeout_seconds: float = 60, **status: object
    ) -> Json:
        """Wait until the object's status has these fields, e.g. `phase="Running"`."""

        def reached() -> Json | None:
            live = self.read(manifest)
            found = live.get("status", {})
            return live if all(found.get(key) == value for key, value in status.items()) else None

        return wait_until(what, reached, timeout_seconds=timeout_seconds)

    def send(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        timeout_seconds: float = REQUEST_SECONDS,
    ) -> Json:
        """One request.

        Raises:
            ApiError: any answer that is not a success.
            OSError: no answer.
        """
        kind = MERGE_PATCH if method == "PATCH" else "application/json"
        request = urllib.request.Request(  # noqa: S310 the URL is the cluster's, always https
            self.url + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": kind, "Accept": "application/json", **self.headers},
            method=method,
        )
        # No proxy, whatever the environment says: a cluster of ours is on this machine.
        opener = urllib.request.build_opener(
            urllib.request.HTTPSHandler(context=self.tls), urllib.request.ProxyHandler({})
        )
        try:
            with opener.open(request, timeout=timeout_seconds) as answer:
                return _parse(answer.read(), answer.headers.get("Content-Type", ""))
        except urllib.error.HTTPError as error:
            with error:
                status = _parse(error.read(), error.headers.get("Content-Type", ""))
            message = status.get("message") or status.get("text", "")
            raise ApiError(error.code, status.get("reason", ""), message) from error

    def _collection(self, manifest: Json) -> str:
        group_version = manifest["apiVersion"]
        root = f"/apis/{group_version}" if "/" in group_version else f"/api/{group_version}"
        plural, namespaced = self._resource(root, manifest["kind"])
        if not namespaced:
            return f"{root}/{plural}"
        namespace = manifest["metadata"].get("namespace", "default")
        return f"{root}/namespaces/{namespace}/{plural}"

    def _resource(self, root: str, kind: str) -> tuple[str, bool]:
        for resource in self.get(root)["resources"]:
            if resource["kind"] == kind and "/" not in resource["name"]:
                return resource["name"], resource["namespaced"]
        raise ClusterError(f"the server knows no {kind} in {root}")


def _named(entries: Sequence[Json], name: str) -> Json:
    return next(entry for entry in entries if entry["name"] == name)


def _parse(content: bytes, content_type: str) -> Json:
    """Health checks and logs answer in plain text, whatever it looks like."""
    if content_type.startswith("application/json"):
        document: Json = json.loads(content)
        return document
    return {"text": content.decode(errors="replace")}
