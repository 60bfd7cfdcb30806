"""AdmissionReviews for tests."""

from __future__ import annotations

import json
from typing import Any

from weightlock_webhook.documents import API_VERSION, KIND

Object = dict[str, Any]

OPERATOR = "system:serviceaccount:weightlock-system:weightlock-operator"
JOB_CONTROLLER = "system:serviceaccount:kube-system:job-controller"
TENANT = "team-a@tenants.test"


def review(
    resource: str = "pods",
    operation: str = "CREATE",
    *,
    kind: str = "Pod",
    new: object = None,
    old: object = None,
    user: str = TENANT,
    groups: tuple[str, ...] = (),
    group: str = "",
    version: str = "v1",
    namespace: str = "team-a",
    name: str = "",
    uid: str = "u-1",
    **more: object,
) -> bytes:
    resource, _, sub = resource.partition("/")
    request: Object = {
        "uid": uid,
        "kind": {"group": group, "version": version, "kind": kind},
        "resource": {"group": group, "version": version, "resource": resource},
        "operation": operation,
        "userInfo": {"username": user, "groups": list(groups)},
        "object": new,
        "oldObject": old,
        "dryRun": False,
        "options": None,
        **more,
    }
    if namespace:
        request["namespace"] = namespace
    if sub:
        request["subResource"] = sub
    if name:
        request["name"] = name
    return json.dumps({"apiVersion": API_VERSION, "kind": KIND, "request": request}).encode()


def pod(name: str = "trainer", **spec: object) -> Object:
    containers = [{"name": "main", "image": "trainer"}]
    return {
        "metadata": {"name": name, "uid": f"uid-{name}"},
        "spec": {"containers": containers, **spec},
    }


def labelled(thing: Object, **labels: str) -> Object:
    """With labels; `__` stands for a dot or slash: use `weightlock(...)` for ours."""
    return {**thing, "metadata": {**thing["metadata"], "labels": labels}}


def marked(thing: Object, nonce: str = "n1", checkpoint: str = "c1") -> Object:
    labels = {"weightlock.dev/verification": nonce, "weightlock.dev/checkpoint-uid": checkpoint}
    return {**thing, "metadata": {**thing["metadata"], "labels": labels}}
