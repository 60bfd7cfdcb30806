"""A cluster in memory: what it holds, what its user may not do, what happens while one waits."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from tests.unit.policy.builders import NOW, policy_object
from tests.unit.webhook.cluster import NAMESPACE, claim_object, volume_object
from tests.unit.webhook.objects import Object, pod_spec
from tests.unit.webhook.test_policy_test import checkpoint

from weightlock.cli.main import parser
from weightlock_webhook.kubectl.answers import error_of, is_collection
from weightlock_webhook.kubectl.cluster import CORE, OURS, AlreadyThere, JsonObject, namespaced
from weightlock_webhook.kubectl.waiting import Patience

CHECKPOINTS = namespaced(NAMESPACE, "modelcheckpoints")
EVENTS = namespaced(NAMESPACE, "events", api=CORE)
PODS = namespaced(NAMESPACE, "pods", api=CORE)


class FakeCluster:
    """Implements Cluster."""

    def __init__(self, objects: Mapping[str, JsonObject]) -> None:
        self.objects = dict(objects)
        self.forbidden: set[str] = set()
        """Such as `list /api/v1/persistentvolumes`."""
        self.missing: set[str] = set()
        """Collections that the server does not know."""
        self.before_create: Callable[[], None] = lambda: None
        self.dry_runs = 0

    @property
    def namespace(self) -> str:
        return NAMESPACE

    def get(self, path: str) -> JsonObject | None:
        self._check("get", path)
        return self.objects.get(path)

    def list(self, path: str, fields: Mapping[str, str] | None = None) -> Sequence[JsonObject]:
        assert is_collection(path), path
        self._check("list", path)
        if path in self.missing:
            raise error_of("GET", path, 404, b'{"message": "page not found"}')
        return [
            each
            for where, each in self.objects.items()
            if where.rpartition("/")[0] == path
            and all(each.get(key) == value for key, value in (fields or {}).items())
        ]

    def create(self, path: str, document: JsonObject, *, dry_run: bool) -> JsonObject:
        self._check("create", path)
        self.before_create()
        where = f"{path}/{document['metadata']['name']}"
        if where in self.objects:
            raise AlreadyThere(f"{where} already exists")
        made = {**document, "metadata": {**document["metadata"], "uid": "new", "generation": 1}}
        if dry_run:
            self.dry_runs += 1
        else:
            self.objects[where] = made
        return made

    def _check(self, verb: str, path: str) -> None:
        if f"{verb} {path}" in self.forbidden:
            method = "POST" if verb == "create" else "GET"
            raise error_of(method, path, 403, b'{"message": "it is forbidden"}')


def pod(name: str = "trainer-0", spec: Object | None = None, **rest: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": spec or pod_spec(),
        **rest,
    }


def stored(found: Object | None = None, **status: Any) -> Object:
    """A checkpoint as a cluster has it, with its generation."""
    whole: Object = found or checkpoint(**status)
    whole["metadata"] |= {"uid": "uid-llama", "generation": 1}
    if "status" in whole:
        whole["status"].setdefault("observedGeneration", 1)
    return whole


def cluster(*pods: Object, **more: JsonObject) -> FakeCluster:
    """One policy, one claim with its volume, and these pods."""
    found: dict[str, JsonObject] = {
        f"{OURS}/clustermodelpolicies/post-quantum": policy_object(),
        f"{CORE}/namespaces/{NAMESPACE}": {"metadata": {"name": NAMESPACE, "labels": {}}},
        namespaced(NAMESPACE, "persistentvolumeclaims", "llama", api=CORE): claim_object(),
        f"{CORE}/persistentvolumes/pv-llama": volume_object(),
    }
    for each in pods:
        found[f"{PODS}/{each['metadata']['name']}"] = each
    return FakeCluster(found | more)


class Clock:
    """Passes only while somebody waits; `then` happens once so many pauses are over."""

    def __init__(self, *then: Callable[[], None]) -> None:
        self.now = 0.0
        self._then = list(then)

    def patience(self, limit: timedelta = timedelta(hours=2)) -> Patience:
        return Patience(limit, lambda: self.now, self._pause)

    def _pause(self, seconds: float) -> None:
        self.now += seconds
        if self._then:
            self._then.pop(0)()


def arguments(*words: str) -> argparse.Namespace:
    found = parser(words).parse_args(words)
    found.now = NOW
    return found
