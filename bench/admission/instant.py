"""The webhook without live reads: what its own work costs. Never to be used for anything else.

Everything but the last look at the API server is the product's own process.
"""

from __future__ import annotations

import asyncio
import logging
import sys

import uvloop

from weightlock_webhook.__main__ import serve_with
from weightlock_webhook.cache.access import access_of
from weightlock_webhook.cache.client import connected
from weightlock_webhook.decision.answers import Answer
from weightlock_webhook.gathering.subjects import Subject
from weightlock_webhook.logs import JsonLines, configure
from weightlock_webhook.settings import Settings, environment


class Trusting:
    """Believes the cache."""

    async def confirm(self, subject: Subject, answer: Answer, deadline: float) -> Answer:
        """As the cache says."""
        return answer

    async def look(self, subject: Subject, answer: Answer, deadline: float) -> Answer:
        """As the cache says."""
        return answer

    async def hear_of(self, namespace: str, deadline: float) -> None:
        """Nothing is read."""


async def serve(settings: Settings) -> None:
    async with connected(access_of(settings.kubeconfig, environment())) as client:
        await serve_with(settings, client, lambda _: Trusting())


if __name__ == "__main__":
    configure(JsonLines())
    logging.getLogger().setLevel(logging.INFO)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(Settings.from_environ()))
    sys.exit(0)
