"""The API server as the commands need it: paths in, JSON out, and errors that say what to do."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol, TypeAlias

from weightlock.errors import Malformed, Unanswerable
from weightlock.names import API_GROUP
from weightlock.reasons import Reason

JsonObject: TypeAlias = dict[str, Any]

OURS: Final = f"/apis/{API_GROUP}/v1beta1"
CORE: Final = "/api/v1"


class ClusterTrouble(Unanswerable):
    """The API server gave no answer that can be used."""

    reason = Reason.UNREADABLE


class Forbidden(ClusterTrouble):
    """The user may not do this; the hint says which right is missing."""


class Unanswered(ClusterTrouble):
    """What was asked about is not there, or is nothing that could be judged."""

    @classmethod
    def of(cls, error: Malformed) -> "Unanswered":
        """The same for a command whose exit code 1 would mean that something was refused."""
        return cls(error.message, hint=error.hint)


class NotInstalled(ClusterTrouble):
    """The API server knows no such resource."""


class AlreadyThere(ClusterTrouble):
    """An object of this name exists."""


class Refused(ClusterTrouble):
    """The API server, or one of its webhooks, does not take what was sent."""


class Cluster(Protocol):
    """A cluster, seen by one user."""

    @property
    def namespace(self) -> str:
        """The namespace of whoever names none."""
        ...

    def get(self, path: str) -> JsonObject | None:
        """An object; None if there is none.

        Raises:
            ClusterTrouble: for any other answer, or none.
        """
        ...

    def list(self, path: str, fields: Mapping[str, str] = ...) -> Sequence[JsonObject]:
        """All objects of a collection, whose fields have these values.

        Raises:
            NotInstalled: if the server has no such collection.
            ClusterTrouble: for any other answer, or none.
        """
        ...

    def create(self, path: str, document: JsonObject, *, dry_run: bool) -> JsonObject:
        """Make an object; a dry run goes through every check and stores nothing.

        Raises:
            AlreadyThere, Refused, ClusterTrouble: if it was not made.
        """
        ...


def namespaced(namespace: str, plural: str, name: str = "", *, api: str = OURS) -> str:
    """Where an object, or a collection, of a namespace lives."""
    return f"{api}/namespaces/{namespace}/{plural}" + (f"/{name}" if name else "")


def found_at(value: object, *keys: str) -> Any:
    """What lies at a path of keys; None if anything on the way is missing."""
    for key in keys:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def text_at(value: object, *keys: str) -> str:
    """The text at a path of keys; "" for anything else."""
    found = found_at(value, *keys)
    return found if isinstance(found, str) else ""


def items_at(value: object, *keys: str) -> list[Any]:
    """The list at a path of keys; an empty one for anything else."""
    found = found_at(value, *keys)
    return found if isinstance(found, list) else []
