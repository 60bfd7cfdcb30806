"""What reviews need of the rest of the process, as Protocols.

The judge answers for pods, whatever it takes: cache, live reads, the pure decision. `Mutation` is
pure. `Cluster` is the API server, seen by the one client of the process. `Readiness` is what the
cache says of itself. `__main__` puts the real ones together; tests have working fakes.

Deadlines are instants of the event loop's clock (`loop.time()`). Whoever cannot answer by then
raises; every exception is a denial.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from weightlock.policy.spec import Enforcement
from weightlock_webhook.decision.answers import Answer
from weightlock_webhook.documents import JsonObject

PatchOperation: TypeAlias = Mapping[str, object]
"""One operation of RFC 6902: op, path, value."""


@dataclass(frozen=True, slots=True)
class PodQuestion:
    """A pod, or what will be one, as the API server sent it or as a live read found it.

    `metadata.namespace` may be empty while a pod is made, so `namespace` is the request's (B06).
    `name` is empty while the API server has still to generate it (B05). `node` is where a binding
    wants the pod; else empty. `is_running` says that it has a node and only a container joins.
    """

    namespace: str
    metadata: Mapping[str, object]
    spec: Mapping[str, object]
    name: str = ""
    node: str = ""
    dry_run: bool = False
    is_running: bool = False

    @property
    def content(self) -> bytes:
        """The JSON of the spec, if that is how it came; else empty."""
        return self.spec.content if isinstance(self.spec, JsonObject) else b""


class PodJudge(Protocol):
    """May this pod have what it mounts?"""

    def leaves_alone(self, namespace: str) -> bool:
        """Whether nobody there minds pods that hold only scratch space and configuration.

        Raises:
            WeightlockError: if that is not known, or was heard of too long ago.
        """
        ...

    def enforcement(self, namespace: str) -> Enforcement | None:
        """How strictly the strictest policy judges pods there; None where none does.

        Raises:
            WeightlockError: if that is not known, or was heard of too long ago.
        """
        ...

    async def answer(self, question: PodQuestion, deadline: float) -> Answer:
        """The decision; a positive one rests on live reads of what identity hangs on.

        A refusal that awaits a verdict may ask for one in the background, never on a dry run.

        Raises:
            WeightlockError: if the question cannot be answered in time or at all.
        """
        ...


class Mutation(Protocol):
    """What the answers Hold and Inject do to a pod. Pure."""

    def patch(self, question: PodQuestion, answer: Answer) -> Sequence[PatchOperation]:
        """What makes the pod one that may be stored under this answer; empty if nothing does."""
        ...

    def missing(self, question: PodQuestion, answer: Answer) -> str:
        """What the final pod lacks of what the answer demands, as a sentence; empty if nothing.

        Asked in the validating phase, after all mutators: an answer of Hold or Inject is an
        allowance only for a pod that is held or injected (A16, A17).
        """
        ...

    def tampered(
        self, question: PodQuestion, before: Mapping[str, object], after: Mapping[str, object]
    ) -> str:
        """What an update took away of what held or injected the pod, as a sentence; else empty.

        `before` and `after` are whole pods. Whether the updater may, is the caller's to say.
        """
        ...


class Readiness(Protocol):
    """What the cache says of itself."""

    @property
    def is_synced(self) -> bool:
        """Whether every resource was listed once."""
        ...

    def staleness_seconds(self) -> Mapping[str, float]:
        """Per resource, how long ago the watch was last proven to be alive."""
        ...

    def counts(self) -> Mapping[str, int]:
        """Per resource, how many objects are known."""
        ...


@dataclass(frozen=True, slots=True)
class Reply:
    """What the API server answered: a status, and the body whatever it was."""

    status: int
    body: bytes


class Cluster(Protocol):
    """The API server."""

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
        """One request; `path` with its query, `body` to be written as JSON.

        Raises:
            WeightlockError: if there was no answer by the deadline.
        """
        ...
