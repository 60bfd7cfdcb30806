"""One request and its answer over the wire, with the `kubernetes` package's configuration and pool.

JSON in, JSON out: no models are built, which would cost ten times the CPU and refuse fields that a
newer server has. Every foreign error becomes one of weightlock_operator.api.cluster_errors here,
and nowhere else. All of it blocks.
"""

import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

import urllib3
import urllib3.exceptions
from kubernetes.client import ApiClient
from kubernetes.client.exceptions import ApiException

from weightlock.policy.scalars import printable
from weightlock_operator.api.cluster import Json
from weightlock_operator.api.cluster_errors import Unavailable, trouble_of
from weightlock_operator.api.parsing import parsed
from weightlock_operator.pod_reader import Answer

CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 30.0

MERGE_PATCH: Final = "application/merge-patch+json"
_JSON: Final = "application/json"
_AGENT: Final = "weightlock-operator"


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it goes over the wire."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Json | None = None
    content_type: str = _JSON
    read_seconds: float = READ_SECONDS

    @property
    def reads(self) -> bool:
        """Reviews are created and yet change nothing."""
        return self.method == "GET"

    @property
    def url(self) -> str:
        """The path with its query."""
        query = urllib.parse.urlencode({key: text for key, text in self.query.items() if text})
        return f"{self.path}?{query}" if query else self.path


def exchanged(client: ApiClient, request: Request) -> Json:
    """Send and read.

    Raises:
        ClusterTrouble: as the server answered, or did not.
    """
    headers = _headers(client)
    if request.body is not None:
        headers["Content-Type"] = request.content_type
    where = f"{request.method} {request.path}"
    try:
        answer = client.rest_client.request(
            request.method,
            client.configuration.host + request.url,
            headers=headers,
            body=request.body,
            _request_timeout=(CONNECT_SECONDS, request.read_seconds),
        )
        content = answer.read()
    except (
        urllib3.exceptions.NewConnectionError,
        urllib3.exceptions.ConnectTimeoutError,
    ) as error:
        raise Unavailable(f"{where}: no connection: {printable(str(error))}", sent=False) from error
    except (urllib3.exceptions.HTTPError, ApiException, OSError) as error:
        raise Unavailable(f"{where}: no answer: {printable(str(error))}") from error
    return _parsed(where, answer.status, answer.headers, content)


def opened(client: ApiClient, path: str, silence_seconds: float) -> Answer:
    """GET a path and read nothing yet.

    Raises:
        OSError, urllib3's HTTPError: as they come.
    """
    headers = _headers(client)
    answer = client.rest_client.pool_manager.request(
        "GET",
        client.configuration.host + path,
        headers=headers,
        timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=silence_seconds),
        preload_content=False,
        retries=False,
    )
    return cast(Answer, answer)


def _headers(client: ApiClient) -> dict[str, str]:
    headers: dict[str, str] = {"Accept": _JSON, "User-Agent": _AGENT}
    client.update_params_for_auth(headers, [], ["BearerToken"], "", "", None)
    return headers


def _parsed(where: str, code: int, headers: Mapping[str, str], content: bytes) -> Json:
    answer: Json = {}
    try:
        answer = parsed(content) if content else {}
    except ValueError as error:
        if code < 300:  # noqa: PLR2004 - a success that is no JSON is a cut-off one
            raise Unavailable(f"{where}: found an answer that is no JSON") from error
    if code < 300:  # noqa: PLR2004
        return answer
    message = printable(str(answer.get("message") or content[:200].decode(errors="replace")))
    raise trouble_of(
        code,
        str(answer.get("reason", "")),
        f"{where}: {code}: {message}",
        retry_after_seconds=_seconds(headers.get("Retry-After")),
    )


def _seconds(text: str | None) -> float:
    """Retry-After in seconds; dates do not occur here, and a broken one means soon."""
    return float(text) if text and text.isascii() and text.isdigit() else 1.0
