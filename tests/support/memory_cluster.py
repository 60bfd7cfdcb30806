"""A cluster in memory behind the operator's Protocol: versions, conflicts, preconditions, trouble.

It behaves as the API server does where the operator can tell the difference; what it cannot show is
tested against a real one (tests/cluster).
"""

from __future__ import annotations

import asyncio
import copy
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from weightlock_operator.api.cluster import ACCESS_REVIEWS, Json, Listing, Precondition, Resource
from weightlock_operator.api.cluster_errors import AlreadyExists, ClusterTrouble, Conflict, NotFound

Key = tuple[str, str, str]


@dataclass
class Call:
    verb: str
    resource: str
    namespace: str
    name: str


@dataclass
class MemoryCluster:
    """`before` is asked at every call and may raise, or change the world in between."""

    objects: dict[Key, Json] = field(default_factory=dict)
    documents: dict[str, Json] = field(default_factory=dict)
    denied: set[str] = field(default_factory=set)
    calls: list[Call] = field(default_factory=list)
    before: Callable[[Call], None] = lambda _call: None
    after: Callable[[Call], None] = lambda _call: None
    """Asked when an object was made or replaced; raises if the answer is lost on its way back."""

    version: int = 100
    time: str = "2026-01-01T00:00:00Z"
    """When objects are made."""

    _uids: itertools.count[int] = field(default_factory=itertools.count)

    def add(self, resource: Resource, body: Json) -> Json:
        """Put an object in place, as somebody else would."""
        metadata = body.setdefault("metadata", {})
        metadata.setdefault("uid", f"uid-{next(self._uids)}")
        metadata.setdefault("creationTimestamp", self.time)
        self._store(resource, metadata.get("namespace", ""), body)
        return body

    def writes(self) -> list[Call]:
        return [call for call in self.calls if call.verb not in ("get", "list", "document")]

    async def get(self, resource: Resource, namespace: str, name: str) -> Json:
        await self._called("get", resource, namespace, name)
        return copy.deepcopy(self._found(resource, namespace, name))

    async def list(
        self, resource: Resource, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> Listing:
        await self._called("list", resource, namespace, "")
        wanted = dict(pair.split("=") for pair in labels.split(",") if "=" in pair)
        found = [
            copy.deepcopy(body)
            for (plural, where, _), body in self.objects.items()
            if plural == resource.plural
            and namespace in ("", where)
            and wanted.items() <= (body["metadata"].get("labels") or {}).items()
        ]
        return Listing(found, str(self.version))

    async def some(self, resource: Resource, namespace: str, *, fields: str, most: int) -> Listing:
        await self._called("list", resource, namespace, fields)
        wanted = dict(pair.split("=") for pair in fields.split(","))
        found = [
            copy.deepcopy(body)
            for (plural, where, _), body in self.objects.items()
            if (plural, where) == (resource.plural, namespace)
            and all(_at(body, path) == value for path, value in wanted.items())
        ]
        return Listing(found[:most], str(self.version))

    async def create(
        self, resource: Resource, namespace: str, body: Json, *, dry_run: bool = False
    ) -> Json:
        await self._called("create", resource, namespace, body.get("metadata", {}).get("name", ""))
        if resource == ACCESS_REVIEWS:
            asked = body["spec"]["resourceAttributes"]
            words = f"{asked['verb']} {asked['resource']}"
            return {"status": {"allowed": words not in self.denied}}
        if dry_run:
            return copy.deepcopy(body)
        name = body["metadata"]["name"]
        if (resource.plural, namespace, name) in self.objects:
            raise AlreadyExists(f"{resource.plural} {name} exists", code=409)
        made = copy.deepcopy(body)
        made["metadata"] |= {
            "uid": f"uid-{next(self._uids)}",
            "creationTimestamp": self.time,
        }
        self._store(resource, namespace, made)
        self.after(Call("create", resource.plural, namespace, name))
        return copy.deepcopy(made)

    async def replace(
        self, resource: Resource, namespace: str, body: Json, *, subresource: str = ""
    ) -> Json:
        name = body["metadata"]["name"]
        await self._called(f"replace/{subresource}".strip("/"), resource, namespace, name)
        live = self._found(resource, namespace, name)
        version = body["metadata"].get("resourceVersion")
        if version and version != live["metadata"]["resourceVersion"]:
            raise Conflict(f"{resource.plural} {name} was changed", code=409)
        made = copy.deepcopy({**live, "status": body.get("status")} if subresource else body)
        made["metadata"] = {**live["metadata"], **made["metadata"]}
        self._store(resource, namespace, made)
        verb = f"replace/{subresource}".strip("/")
        self.after(Call(verb, resource.plural, namespace, name))
        return copy.deepcopy(made)

    async def patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        change: Json,
        *,
        subresource: str = "",
    ) -> Json:
        await self._called(f"patch/{subresource}".strip("/"), resource, namespace, name)
        live = self._found(resource, namespace, name)
        version = change.get("metadata", {}).get("resourceVersion")
        if version and version != live["metadata"]["resourceVersion"]:
            raise Conflict(f"{resource.plural} {name} was changed", code=409)
        made = merged(live, change)
        self._store(resource, namespace, made)
        return copy.deepcopy(made)

    async def delete(
        self, resource: Resource, namespace: str, name: str, *, only_if: Precondition
    ) -> None:
        await self._called("delete", resource, namespace, name)
        live = self._found(resource, namespace, name)
        if only_if.uid and only_if.uid != live["metadata"]["uid"]:
            raise Conflict(f"{resource.plural} {name} is another one", code=409)
        del self.objects[resource.plural, namespace, name]

    async def evict(self, namespace: str, pod: str, *, only_if: Precondition) -> None:
        self.calls.append(Call("evict", "pods", namespace, pod))
        self.objects.pop(("pods", namespace, pod), None)

    async def document(self, path: str) -> Json:
        self.calls.append(Call("document", "", "", path))
        if path not in self.documents:
            raise NotFound(f"{path}: 404", code=404)
        return copy.deepcopy(self.documents[path])

    async def _called(self, verb: str, resource: Resource, namespace: str, name: str) -> None:
        call = Call(verb, resource.plural, namespace, name)
        self.calls.append(call)
        self.before(call)
        await asyncio.sleep(0)

    def _found(self, resource: Resource, namespace: str, name: str) -> Json:
        try:
            return self.objects[resource.plural, namespace, name]
        except KeyError:
            raise NotFound(f"{resource.plural} {name}: 404", code=404) from None

    def _store(self, resource: Resource, namespace: str, body: Json) -> None:
        self.version += 1
        body["metadata"]["resourceVersion"] = str(self.version)
        self.objects[resource.plural, namespace, body["metadata"]["name"]] = body


def _at(body: Json, path: str) -> object:
    for key in path.split("."):
        body = body.get(key) or {}
    return body


def merged(live: Json, change: Json) -> Json:
    """RFC 7396."""
    made = dict(live)
    for key, value in change.items():
        if value is None:
            made.pop(key, None)
        elif isinstance(value, dict):
            before = made.get(key)
            made[key] = merged(before if isinstance(before, dict) else {}, value)
        else:
            made[key] = value
    return made


def failing(
    trouble: ClusterTrouble, verbs: Iterable[str], times: int = 1
) -> Callable[[Call], None]:
    """For `before`: the first calls of these verbs fail."""
    left = [times]
    wanted = set(verbs)

    def fail(call: Call) -> None:
        if call.verb in wanted and left[0]:
            left[0] -= 1
            raise trouble

    return fail


@dataclass
class Hands:
    """A clock that the test turns."""

    seconds: float = 1000.0

    def __call__(self) -> float:
        return self.seconds
