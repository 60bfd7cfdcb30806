"""What clients of a listener in tests share."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from typing import Any

import uvloop
from tests.webhook_server.listeners import Running
from tests.webhook_server.requests import pod, review

PATH = "/validate/pods"
SOON = 3.0
"""Seconds in which a hostile client must have its answer; the machine may be very busy."""


def run(test: Coroutine[Any, Any, None]) -> None:
    """On the loop that the process uses."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(test)


async def still_serves(server: Running) -> None:
    status, body = await server.post(PATH, review(new=pod()))
    assert status == 200
    assert json.loads(body)["response"] == {
        "uid": "u-1",
        "allowed": True,
        "auditAnnotations": {
            "reason": "Verified",
            "outcome": "Allow",
            "policy": "ClusterModelPolicy strict",
        },
    }


POD, OTHER_POD = "127.0.0.2", "127.0.0.3"


def begun(length: int) -> bytes:
    """The head of a review and the first byte of its body."""
    head = f"POST {PATH} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {length}\r\n\r\n{{".encode()


async def the_end(reader: asyncio.StreamReader) -> bytes:
    """What comes before the connection ends, however it ends."""
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""
