"""A responder that does nothing, on the webhook's own stack: read, decode the review, allow.

`python -m bench.admission.nothing PORT FOLDER` writes its certificate to the folder.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from weightlock_webhook import documents
from weightlock_webhook.certificates import tls
from weightlock_webhook.certificates.authority import new_authority, server_leaf
from weightlock_webhook.replies import ResponseDocument, encoded
from weightlock_webhook.reviews.routes import SERVED
from weightlock_webhook.server.door import Door
from weightlock_webhook.server.gate import Gate, Sightings
from weightlock_webhook.server.limits import Limits
from weightlock_webhook.server.listening import https
from weightlock_webhook.settings import Address


class Nothing:
    """Allows."""

    async def answer(self, path: str, body: bytes, arrived: float, deadline: float) -> bytes:
        request = documents.request_of(body)
        return encoded(ResponseDocument(request.uid, True))


async def serve(port: int, folder: Path) -> None:
    now = datetime.now(UTC)  # noqa: TID251 the edge
    authority = new_authority(now)
    context = tls.server_context()
    names = ("weightlock-webhook.weightlock-system.svc",)
    tls.take(context, server_leaf(authority, names, now))
    sightings = Sightings(lambda: 0.0)
    sightings.saw([""])
    gate = Gate(sightings, asyncio.Event().wait, "0" * 64, lambda: 0.0)
    door = Door(Nothing(), frozenset(SERVED), gate, Limits())
    async with https(Address("127.0.0.1", port), door, Limits(), context):
        (folder / "nothing.crt").write_text(authority.certificate)
        await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1]), Path(sys.argv[2])))
