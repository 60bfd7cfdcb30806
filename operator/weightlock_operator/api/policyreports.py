"""Policy reports, where their CRD is installed: one per namespace, for the tools that read them.

wgpolicyk8s.io/v1alpha2 and openreports.io/v1alpha1 differ in name and little else. A report is what
the statuses say, gathered: nothing is decided from it.
"""

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from weightlock.names import API_GROUP, API_VERSION
from weightlock.policy.checkpoints import KIND
from weightlock.policy.scalars import printable
from weightlock.reasons import Verdict
from weightlock_operator.api.cluster import Cluster, Json, Precondition, Resource
from weightlock_operator.api.cluster_errors import (
    AlreadyExists,
    ClusterTrouble,
    Conflict,
    NotFound,
    Terminating,
)

NAME: Final = "weightlock"
SOURCE: Final = "weightlock"
MAX_RESULTS: Final = 500
"""Well below what etcd stores; the summary counts all of them."""

KINDS: Final = (
    Resource("wgpolicyk8s.io", "v1alpha2", "policyreports", "PolicyReport"),
    Resource("openreports.io", "v1alpha1", "reports", "Report"),
)

_RESULTS: Final = {
    Verdict.VERIFIED: ("pass", "info"),
    Verdict.CLASSICAL_ONLY: ("fail", "high"),
    Verdict.FAILED: ("fail", "critical"),
    Verdict.ERROR: ("error", "medium"),
    Verdict.STALE: ("warn", "medium"),
    Verdict.PENDING: ("skip", "info"),
    Verdict.VERIFYING: ("skip", "info"),
}
_ORDER: Final = ("critical", "high", "medium", "info")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a checkpoint's status says."""

    namespace: str
    name: str
    uid: str
    phase: Verdict
    reason: str
    message: str
    policies: tuple[str, ...]
    at: datetime


def report(resource: Resource, namespace: str, outcomes: Sequence[Outcome]) -> Json:
    """The report of one namespace; the worst first, so that a cut takes the good ones."""
    worst_first = sorted(outcomes, key=_rank)
    summary = Counter(_RESULTS[each.phase][0] for each in outcomes)
    body: Json = {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {
            "name": NAME,
            "namespace": namespace,
            "labels": {"app.kubernetes.io/name": SOURCE, "app.kubernetes.io/managed-by": SOURCE},
        },
        "summary": {word: summary[word] for word in ("pass", "fail", "warn", "error", "skip")},
        "results": [_result(each) for each in worst_first[:MAX_RESULTS]],
    }
    if resource.kind == "Report":
        body["source"] = SOURCE
    return body


class Reporter:
    """Writes what changed; remembers what it wrote by its hash."""

    def __init__(self, cluster: Cluster, kinds: Iterable[Resource]) -> None:
        self._cluster = cluster
        self._kinds = tuple(kinds)
        self._written: dict[tuple[str, str], str] = {}

    async def write(self, namespace: str, outcomes: Sequence[Outcome]) -> bool:
        """Bring the namespace's reports up to date; False if that has to be tried again."""
        complete = True
        for resource in self._kinds:
            body = report(resource, namespace, outcomes)
            content = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
            if self._written.get((resource.group, namespace)) == content:
                continue
            try:
                await self._put(resource, namespace, body, remove=not outcomes)
            except Terminating:
                continue
            except ClusterTrouble as trouble:
                _log.warning("the report of %s was not written: %s", namespace, trouble.message)
                complete = False
                continue
            self._written[resource.group, namespace] = content
        return complete

    async def _put(self, resource: Resource, namespace: str, body: Json, *, remove: bool) -> None:
        try:
            live = await self._cluster.get(resource, namespace, NAME)
        except NotFound:
            if not remove:
                try:
                    await self._cluster.create(resource, namespace, body)
                except AlreadyExists:
                    raise Conflict("somebody made the report in between") from None
            return
        version = live["metadata"]["resourceVersion"]
        if remove:
            only_if = Precondition(uid=live["metadata"]["uid"])
            await self._cluster.delete(resource, namespace, NAME, only_if=only_if)
        else:
            body = {**body, "metadata": {**body["metadata"], "resourceVersion": version}}
            await self._cluster.replace(resource, namespace, body)


async def served(cluster: Cluster, kinds: Iterable[Resource] = KINDS) -> tuple[Resource, ...]:
    """Those of the kinds that this cluster has.

    Raises:
        ClusterTrouble: the server could not be asked.
    """
    found = []
    for resource in kinds:
        try:
            document = await cluster.document(f"/apis/{resource.group}/{resource.version}")
        except NotFound:
            continue
        names = {each.get("name") for each in document.get("resources") or []}
        if resource.plural in names:
            found.append(resource)
    return tuple(found)


def by_namespace(outcomes: Iterable[Outcome]) -> dict[str, list[Outcome]]:
    """The outcomes of each namespace."""
    found: dict[str, list[Outcome]] = {}
    for each in outcomes:
        found.setdefault(each.namespace, []).append(each)
    return found


def _rank(outcome: Outcome) -> tuple[int, str]:
    return (_ORDER.index(_RESULTS[outcome.phase][1]), outcome.name)


def _result(outcome: Outcome) -> Json:
    result, severity = _RESULTS[outcome.phase]
    return {
        "source": SOURCE,
        "policy": ",".join(outcome.policies)[:1000] or "none",
        "rule": outcome.reason or outcome.phase.value,
        "category": "Model integrity",
        "severity": severity,
        "result": result,
        "scored": True,
        "message": printable(outcome.message),
        "timestamp": {"seconds": int(outcome.at.timestamp()), "nanos": 0},
        "resources": [
            {
                "apiVersion": API_VERSION,
                "kind": KIND,
                "namespace": outcome.namespace,
                "name": outcome.name,
                "uid": outcome.uid,
            }
        ],
        "properties": {f"{API_GROUP}.phase": outcome.phase.value},
    }
