"""The token that ends every path that the API server is told to call. Pure.

The port of the reviews is open to every pod, and API servers show no certificate by default. What
they say and a pod does not know is the path, so the leader ends each path with a random token and
the server answers nobody else (docs/decisions/080).

It is no password: messages of failed calls show the path to whoever made the request, so a token
is good for minutes. It tells its age, so that any leader knows when it is due. The API takes
nothing in a path but small letters, digits, dots and dashes.
"""

import re
import secrets
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

LIFE: Final = timedelta(minutes=15)
RANDOM_BYTES: Final = 32
BARE: Final = ""
"""What stands for the token of a path without one."""

URL: Final = "url"
SERVICE_PATH: Final = "service/path"
_TOKEN: Final = re.compile(r"([0-9a-f]{8})-[0-9a-f]{64}")


def new_token(now: datetime) -> str:
    """Another one, issued now."""
    return f"{int(now.timestamp()):08x}-{secrets.token_hex(RANDOM_BYTES)}"


def is_due(token: str, now: datetime) -> bool:
    """Whether it is as old as one may be, or from the future, or none."""
    found = _TOKEN.fullmatch(token)
    if found is None:
        return True
    issued = datetime.fromtimestamp(int(found[1], 16), UTC)
    return abs(now - issued) >= LIFE


def divided(path: str) -> tuple[str, str]:
    """A path or address without its token, and the token."""
    start, _, end = path.rpartition("/")
    return (start, end) if _TOKEN.fullmatch(end) else (path, BARE)


def token_of(client: Mapping[str, object]) -> str:
    """The token of a clientConfig; BARE if it has none."""
    return divided(path_of(client)[1])[1]


def youngest(tokens: Iterable[str], now: datetime) -> str:
    """The one to go on with; BARE if none is good any more."""
    return max((token for token in tokens if not is_due(token, now)), default=BARE)


def with_token(client: Mapping[str, object], token: str) -> Mapping[str, object]:
    """A clientConfig whose path ends with this token and no other."""
    place, path = path_of(client)
    if not path:
        return client
    if place == URL:
        return {**client, URL: joined(path, token)}
    return {**client, "service": {**_service(client), "path": joined(path, token)}}


def joined(path: str, token: str) -> str:
    """A path or address that ends with this token and no other."""
    bare, _ = divided(path)
    return f"{bare}/{token}" if token else bare


def path_of(client: Mapping[str, object]) -> tuple[str, str]:
    """Where in a clientConfig the path is, and what it says; "" for none."""
    if isinstance(client.get(URL), str):
        return URL, str(client[URL])
    path = _service(client).get("path")
    return SERVICE_PATH, path if isinstance(path, str) else ""


def _service(client: Mapping[str, object]) -> Mapping[str, object]:
    service = client.get("service")
    return service if isinstance(service, Mapping) else {}
