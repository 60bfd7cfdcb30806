"""The operator's role is what it uses: nothing is refused to it, and nothing is granted in vain."""

from __future__ import annotations

import base64
import json
from functools import partial
from pathlib import Path

import pytest
from tests.cluster import operator_account
from tests.cluster.operator_objects import CHECKPOINT, Shelf, policy
from tests.support.api_proxy import ApiProxy, Request
from tests.support.node_agent import Content, NodeAgent
from tests.support.running_operator import RunningOperator

from e2e.cluster.api import Json
from e2e.cluster.pytest_plugin import RunApiServer
from e2e.cluster.waiting import wait_until
from weightlock.formats.manifest import ModelIdentity
from weightlock.reasons import Reason
from weightlock_operator.api.policyreports import KINDS
from weightlock_operator.api.rights import CLUSTER_RIGHTS, OWN_RIGHTS

Use = tuple[str, str, str]
"""Verb, group, resource with its subresource."""

NOT_HERE: set[Use] = {
    ("create", "", "secrets"),  # there is one already, so that it can be replaced
    ("get", "", "pods"),  # before a scheduling gate is removed, which this server has not
    ("patch", "", "events"),  # an event that is told again after a minute
}

VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
FREE = {"selfsubjectaccessreviews"}
"""What every account may."""


def use_of(request: Request) -> Use | None:
    parts = request.path.strip("/").split("/")
    if parts[0] not in ("api", "apis"):
        return None
    group, rest = ("", parts[2:]) if parts[0] == "api" else ("".join(parts[1:2]), parts[3:])
    if rest[:1] == ["namespaces"] and len(rest) > 2:
        rest = rest[2:]
    if not rest or not rest[0] or rest[0] in FREE:
        return None  # discovery
    resource = "/".join([rest[0], *rest[2:3]])
    verb = VERBS.get(request.method) or ("get" if len(rest) > 1 else "list")
    return ("watch" if request.watches else verb, group, resource)


def granted() -> set[Use]:
    return {
        (verb, right.group, right.resource)
        for right in (*CLUSTER_RIGHTS, *OWN_RIGHTS)
        for verb in right.verbs
    }


@pytest.mark.apiserver
def test_what_is_granted_is_used_and_what_is_used_is_granted(
    run_apiserver: RunApiServer, tmp_path: Path
) -> None:
    with run_apiserver(controllers=True) as server, ApiProxy(server) as proxy:
        for resource in KINDS:
            server.api.create(report_definition(resource.group, resource.version, resource.plural))
        operator_account.install(server)
        server.api.create(old_seal_key())
        kubeconfig = operator_account.kubeconfig(server, tmp_path / "kubeconfig", proxy.url)
        with NodeAgent(server.kubeconfig) as node, RunningOperator(kubeconfig, tmp_path) as running:
            shelf = Shelf(server.tenant())
            namespace = shelf.tenant.namespace
            body = policy(namespace, namespace, autoRegister=True, onFailure="Evict")
            body["spec"]["namespaceSelector"] = {}
            shelf.api.create(body)
            every_story(shelf, node)
            running.stop()
            used = {use for request in proxy.requests if (use := use_of(request)) is not None}
        assert "403" not in running.log
        assert used - granted() == set()
        assert granted() - used == NOT_HERE


def every_story(shelf: Shelf, node: NodeAgent) -> None:
    """Everything that the operator ever does."""
    node.contents["second"] = Content(model=ModelIdentity("mistral", 2))
    for name in ("first", "second"):  # the second floor is an update
        shelf.good(name)
        shelf.reaches(name, "Verified")
    wait_for_reports(shelf)
    bad = used_by_a_pod(shelf, node)
    registered_and_nudged(shelf)
    waits_for_its_first_pod(shelf)
    narrower(shelf)
    shelf.api.delete(bad)
    everything = CHECKPOINT.format(shelf.tenant.namespace, "").rstrip("/")
    shelf.api.send("DELETE", everything)
    for resource in KINDS:
        path = resource.path(shelf.tenant.namespace, "weightlock")
        wait_until("it is gone", partial(gone, shelf, path), timeout_seconds=40)


def wait_for_reports(shelf: Shelf) -> None:
    for resource in KINDS:
        path = resource.path(shelf.tenant.namespace, "weightlock")
        wait_until("a report is written", partial(there, shelf, path), timeout_seconds=40)


def gone(shelf: Shelf, path: str) -> bool:
    return not there(shelf, path)


def there(shelf: Shelf, path: str) -> bool:
    try:
        return bool(shelf.api.get(path)["results"])
    except Exception:
        return False


def used_by_a_pod(shelf: Shelf, node: NodeAgent) -> Json:
    """Whoever runs with a model that turns out bad is evicted; what is called off is deleted."""
    node.contents["bad"] = Content(reason=Reason.CONTENT_MISMATCH, signers=())
    node.paused.add("bad")
    body = shelf.good("bad")
    shelf.reaches("bad", "Verifying")
    shelf.api.patch(body, {"spec": {"source": {"path": "/other"}}})
    pod = shelf.tenant.object("v1", "Pod", "user", spec=mounting("bad", nodeName="node-a"))
    shelf.api.create(pod)
    node.paused.discard("bad")
    shelf.reaches("bad", "Failed", seconds=90)

    def evicted() -> bool:
        try:
            return "deletionTimestamp" in shelf.api.read(pod)["metadata"]
        except Exception:
            return True

    wait_until("the pod is evicted", evicted, timeout_seconds=30)
    return body


def registered_and_nudged(shelf: Shelf) -> None:
    shelf.volume("wanted")
    waits = [{"volume": "model", "claim": "wanted", "path": "/", "checkpoint": ""}]
    pod = shelf.tenant.object("v1", "Pod", "held", spec=mounting("wanted"))
    pod["metadata"]["labels"] = {"weightlock.dev/held": "true"}
    pod["metadata"]["annotations"] = {"weightlock.dev/waits-for": json.dumps(waits)}
    shelf.api.create(pod)
    wait_until(
        "the pod is nudged",
        lambda: "weightlock.dev/nudged-at" in shelf.api.read(pod)["metadata"]["annotations"],
        timeout_seconds=30,
    )


def waits_for_its_first_pod(shelf: Shelf) -> None:
    storage_class = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "late"},
        "provisioner": "csi.example",
        "volumeBindingMode": "WaitForFirstConsumer",
    }
    shelf.api.create(storage_class)
    claim = {
        "accessModes": ["ReadWriteMany"],
        "resources": {"requests": {"storage": "1Gi"}},
        "storageClassName": "late",
    }
    shelf.api.create(shelf.tenant.object("v1", "PersistentVolumeClaim", "late", spec=claim))
    shelf.checkpoint("late")
    shelf.reaches("late", "Pending", "WaitingForConsumer")


def narrower(shelf: Shelf) -> None:
    """A namespaced policy, so that its status is written too."""
    namespace = shelf.tenant.namespace
    spec = policy("any", namespace)["spec"]
    del spec["namespaceSelector"]
    body = shelf.tenant.object("weightlock.dev/v1beta1", "ModelPolicy", "own", spec=spec)
    shelf.api.create(body)
    wait_until(
        "its status is written", lambda: shelf.api.read(body).get("status"), timeout_seconds=20
    )


def mounting(claim: str, **more: object) -> Json:
    source = {"claimName": claim, "readOnly": True}
    mount = {"name": "model", "mountPath": "/model"}
    return {
        "volumes": [{"name": "model", "persistentVolumeClaim": source}],
        "containers": [{"name": "main", "image": "any", "volumeMounts": [mount]}],
        **more,
    }


def old_seal_key() -> Json:
    """One that is replaced at the start."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "weightlock-seal",
            "namespace": operator_account.NAMESPACE,
            "annotations": {"weightlock.dev/seal-key-created": "2020-01-01T00:00:00Z"},
        },
        "data": {"current": base64.b64encode(b"k" * 32).decode()},
    }


def report_definition(group: str, version: str, plural: str) -> Json:
    """As much of the report kinds as this server needs to store them."""
    kind = next(each.kind for each in KINDS if each.group == group)
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.{group}",
            "annotations": {"api-approved.kubernetes.io": "unapproved, for tests"},
        },
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind},
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }
