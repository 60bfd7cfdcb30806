"""From an API server's refusal to an error that says what was found, expected, and to do."""

import json
import re
from typing import Final

from weightlock.names import API_GROUP
from weightlock.policy.scalars import printable
from weightlock_webhook.kubectl.cluster import (
    AlreadyThere,
    ClusterTrouble,
    Forbidden,
    NotInstalled,
    Refused,
    found_at,
    text_at,
)

UNAUTHORIZED: Final = 401
FORBIDDEN: Final = 403
NOT_FOUND: Final = 404
CONFLICT: Final = 409

_VERBS: Final = {"GET": "get", "POST": "create"}
_PATH: Final = re.compile(
    r"/(?:api/v1|apis/(?P<group>[^/]+)/[^/]+)(?:/namespaces/(?P<namespace>[^/]+))?"
    r"/(?P<plural>[^/?]+)(?:/(?P<name>[^/?]+))?"
)
_DENIED: Final = re.compile(r"admission webhook .* denied the request", re.DOTALL)


def error_of(method: str, path: str, status: int, body: bytes) -> ClusterTrouble:
    """The error that an answer stands for."""
    message = _message(body) or f"HTTP status {status}"
    if status == UNAUTHORIZED:
        return ClusterTrouble(
            f"the API server does not know who you are: {message}",
            hint="Log in again; see: kubectl config view --minify",
        )
    if status == FORBIDDEN and not _DENIED.search(message):
        return Forbidden(message, hint=_missing_right(method, path))
    if status == NOT_FOUND:
        return NotInstalled(
            f"the API server has no {_resource(path)}: {message}",
            hint=f"Install Weightlock's CRDs; see: kubectl api-resources --api-group {API_GROUP}"
            if f"/{API_GROUP}/" in path
            else "",
        )
    if status == CONFLICT:
        return AlreadyThere(message)
    if method == "POST":
        return Refused(message)
    return ClusterTrouble(f"{method} {path}: {message}", hint="Try again.")


def _message(body: bytes) -> str:
    try:
        document = json.loads(body)
    except ValueError:
        return printable(body[:200].decode("utf-8", "replace"))
    return printable(text_at(document, "message"))


def is_collection(path: str) -> bool:
    """Whether a path is that of a collection."""
    match = _PATH.fullmatch(path)
    return match is not None and match["name"] is None


def _missing_right(method: str, path: str) -> str:
    match = _PATH.match(path)
    if match is None:
        return ""
    verb = "list" if method == "GET" and match["name"] is None else _VERBS[method]
    kind, namespace = ("role", match["namespace"]) if match["namespace"] else ("clusterrole", "")
    where = f"in namespace {namespace}" if namespace else "in the whole cluster"
    option = f" --namespace {namespace}" if namespace else ""
    return (
        f'You lack the verb "{verb}" on {_resource(path)} {where}. An administrator can give it:'
        f" kubectl create {kind} weightlock-{verb}{option} --verb={verb}"
        f" --resource={_resource(path)}, and bind that to you."
    )


def _resource(path: str) -> str:
    match = _PATH.match(path)
    if match is None:
        return path
    return match["plural"] + (f".{match['group']}" if match["group"] else "")


def page_of(body: bytes, where: str) -> tuple[list[dict[str, object]], str]:
    """The items of one page of a list, and the token of the next page.

    Raises:
        ClusterTrouble: for anything but a list.
    """
    document = object_of(body, where)
    items = found_at(document, "items")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ClusterTrouble(f"{where}: the answer is no list")
    return items, text_at(document, "metadata", "continue")


def object_of(body: bytes, where: str) -> dict[str, object]:
    """The object of an answer.

    Raises:
        ClusterTrouble: for anything else.
    """
    try:
        document = json.loads(body)
    except ValueError as error:
        raise ClusterTrouble(f"{where}: the answer is not JSON") from error
    if not isinstance(document, dict):
        raise ClusterTrouble(f"{where}: the answer is no object")
    return document
