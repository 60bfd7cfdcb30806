"""Working stand-ins for what the server meets: a judge, a mutation, an API server in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from weightlock.policy.spec import Enforcement, OnUnverified
from weightlock.reasons import Reason
from weightlock_webhook.decision.answers import Answer, Objection, Problem
from weightlock_webhook.documents import Request
from weightlock_webhook.responses import Response
from weightlock_webhook.reviews.collaborators import PatchOperation, PodQuestion, Reply

Object = dict[str, Any]

ALLOWED = Answer(Reason.VERIFIED, policies=("ClusterModelPolicy strict",))


def objecting(response: OnUnverified, *, awaits: bool = True) -> Answer:
    problem = Problem(
        Reason.NOT_VERIFIED, "no verdict", "a verdict", "Wait.", awaits_verdict=awaits
    )
    objection = Objection(problem, ("ClusterModelPolicy strict",), Enforcement.ENFORCE, response)
    return Answer(Reason.NOT_VERIFIED, (objection,), policies=("ClusterModelPolicy strict",))


DENIED = objecting(OnUnverified.DENY)
HELD = objecting(OnUnverified.HOLD)
INJECTED = objecting(OnUnverified.INJECT)


@dataclass
class Judge:
    """Says what it was told to say, and remembers what it was asked."""

    says: Answer | Callable[[PodQuestion], Answer] | Exception = ALLOWED
    asked: list[PodQuestion] = field(default_factory=list)
    ignores_plain_pods: bool = False
    enforces: Enforcement | None = Enforcement.ENFORCE

    def leaves_alone(self, namespace: str) -> bool:
        return self.ignores_plain_pods

    def enforcement(self, namespace: str) -> Enforcement | None:
        return self.enforces

    async def answer(self, question: PodQuestion, deadline: float) -> Answer:
        self.asked.append(question)
        if isinstance(self.says, Exception):
            raise self.says
        return self.says if isinstance(self.says, Answer) else self.says(question)


@dataclass
class Mutation:
    """Holds by one label."""

    lacking: str = ""
    broken: str = ""

    def patch(self, question: PodQuestion, answer: Answer) -> Sequence[PatchOperation]:
        return [{"op": "add", "path": "/metadata/labels", "value": {"weightlock.dev/held": "true"}}]

    def missing(self, question: PodQuestion, answer: Answer) -> str:
        return self.lacking

    def tampered(
        self, question: PodQuestion, before: Mapping[str, object], after: Mapping[str, object]
    ) -> str:
        return self.broken


@dataclass
class Records:
    """What was decided, in order."""

    responses: list[Response] = field(default_factory=list)

    def record(self, request: Request | None, response: Response, seconds: float) -> None:
        self.responses.append(response)

    def passed(self, resource: str, response: Response, seconds: float) -> None:
        self.responses.append(response)


@dataclass
class Cluster:
    """An API server in memory: objects by path, with resource versions and conflicts."""

    objects: dict[str, Object] = field(default_factory=dict)
    may: bool = False
    calls: list[tuple[str, str]] = field(default_factory=list)
    fails: Exception | None = None
    _version: int = 0

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        deadline: float,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Reply:
        self.calls.append((method, path))
        if self.fails:
            raise self.fails
        path = urlsplit(path).path
        if path.endswith("/subjectaccessreviews"):
            return _reply(201, {"status": {"allowed": self.may}})
        status, answer = getattr(self, f"_{method.lower()}")(path, body, content_type)
        return _reply(status, answer)

    def put(self, path: str, document: Object) -> Object:
        """Store an object as the API server would."""
        self._version += 1
        metadata = {"uid": f"uid-{self._version}", **document.get("metadata", {})}
        metadata["resourceVersion"] = str(self._version)
        self.objects[path] = json.loads(json.dumps({**document, "metadata": metadata}))
        return self.objects[path]

    def _get(self, path: str, body: object, kind: str) -> tuple[int, Object]:
        found = self.objects.get(path)
        return (404, {"kind": "Status"}) if found is None else (200, found)

    def _post(self, path: str, body: Any, kind: str) -> tuple[int, Object]:
        at = f"{path}/{body['metadata']['name']}"
        return (409, {}) if at in self.objects else (201, self.put(at, body))

    def _put(self, path: str, body: Any, kind: str) -> tuple[int, Object]:
        found = self.objects[path]["metadata"]
        if body["metadata"].get("resourceVersion") != found["resourceVersion"]:
            return 409, {}
        body["metadata"] = {**found, **body["metadata"]}
        return 200, self.put(path, body)

    def _delete(self, path: str, body: Any, kind: str) -> tuple[int, Object]:
        found = self.objects.get(path)
        if found is None:
            return 404, {}
        if body["preconditions"]["uid"] != found["metadata"]["uid"]:
            return 409, {}
        del self.objects[path]
        return 200, {}

    def _patch(self, path: str, body: Any, kind: str) -> tuple[int, Object]:
        found = self.objects.get(path)
        if found is None:
            return 404, {}
        changed = json.loads(json.dumps(found))
        if kind == "application/json-patch+json":
            for operation in body:
                _operate(changed, operation)
        else:
            version = body.get("metadata", {}).get("resourceVersion")
            if version not in {None, found["metadata"]["resourceVersion"]}:
                return 409, {}
            _merge(changed, body)
        return 200, self.put(path, changed)


def _operate(document: Any, operation: Any) -> None:
    *parents, last = operation["path"].strip("/").split("/")
    for step in parents:
        document = document[int(step) if isinstance(document, list) else step]
    if operation["op"] == "test":
        assert document[last] == operation["value"]
    else:
        document[last] = operation["value"]


def _merge(document: Object, change: Object) -> None:
    for key, value in change.items():
        if value is None:
            document.pop(key, None)
        elif isinstance(value, dict) and isinstance(document.get(key), dict):
            _merge(document[key], value)
        elif isinstance(value, dict):
            document[key] = {k: v for k, v in value.items() if v is not None}
        else:
            document[key] = value


def _reply(status: int, document: Object) -> Reply:
    return Reply(status, json.dumps(document).encode())
