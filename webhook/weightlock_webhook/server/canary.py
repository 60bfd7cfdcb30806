"""A review that must be denied, sent by the way that the API server takes (A04).

Before a process says that it is ready, it has seen itself refuse: TLS, door, desk, cache and judge
are one chain, and a chain that lets everything through looks healthy from outside. The canary is a
pod that no API server would send, since two of its volumes share a name; whatever the policies are,
a judge that works refuses it.

Its uid is this process's secret, so that its reviews can be told from those of clients, which are
what metrics and logs are about.
"""

import asyncio
import secrets
import ssl
from dataclasses import dataclass
from typing import Final

import aiohttp
import msgspec

from weightlock.errors import Unanswerable
from weightlock.reasons import Reason
from weightlock_webhook import documents
from weightlock_webhook.replies import Status
from weightlock_webhook.reviews.routes import VALIDATE_PODS

NAMESPACE: Final = "weightlock-canary"
USER: Final = "weightlock:canary"
SECONDS: Final = 5.0

_REVIEW: Final = {"apiVersion": documents.API_VERSION, "kind": documents.KIND}
_REQUEST: Final = {
    "kind": {"group": "", "version": "v1", "kind": "Pod"},
    "resource": {"group": "", "version": "v1", "resource": "pods"},
    "operation": "CREATE",
    "namespace": NAMESPACE,
    "userInfo": {"username": USER},
    "dryRun": True,
    "object": {
        "metadata": {"name": "canary"},
        "spec": {
            "containers": [{"name": "canary", "image": "canary"}],
            "volumes": [
                {"name": "twice", "emptyDir": {}},
                {"name": "twice", "hostPath": {"path": "/"}},
            ],
        },
    },
}


def new_token() -> str:
    """What ends the path by which a process's canary comes; nobody else can say it either."""
    return secrets.token_hex(32)


def new_uid() -> str:
    """The uid of a process's canary; nobody else can say it."""
    return f"weightlock-canary-{secrets.token_hex(16)}"


class _Answer(msgspec.Struct, frozen=True):
    uid: str
    allowed: bool
    status: Status | None = None


class _Review(msgspec.Struct, frozen=True):
    response: _Answer


_ANSWER: Final = msgspec.json.Decoder(_Review)


@dataclass(frozen=True, slots=True)
class Canary:
    """Where to send it, and as whom."""

    port: int
    server_name: str
    context: ssl.SSLContext
    uid: str
    token: str

    async def sing(self) -> None:
        """Send it, and expect to be refused for the right reason.

        Raises:
            Unanswerable: for any other answer, or none.
        """
        try:
            async with asyncio.timeout(SECONDS):
                status, body = await self._posted()
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise Unanswerable(f"the own listener did not answer: {error}") from error
        if status != 200:  # noqa: PLR2004
            raise Unanswerable(f"the own listener answered {status}")
        answer = documents.decoded(body, _ANSWER, "canary's answer").response
        message = answer.status.message if answer.status else ""
        if answer.allowed or answer.uid != self.uid or not message.startswith(Reason.MALFORMED):
            raise Unanswerable("the canary was not refused as it must be")

    async def _posted(self) -> tuple[int, bytes]:
        connector = aiohttp.TCPConnector(ssl=self.context, force_close=True)
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.post(
                f"https://127.0.0.1:{self.port}{VALIDATE_PODS}/{self.token}",
                data=msgspec.json.encode({**_REVIEW, "request": {"uid": self.uid, **_REQUEST}}),
                headers={"Content-Type": "application/json"},
                server_hostname=self.server_name,
                allow_redirects=False,
            ) as response,
        ):
            return response.status, await response.read()
