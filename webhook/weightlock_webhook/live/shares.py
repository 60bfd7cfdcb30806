"""A share of the calls that may run at once: looks for refused pods never wait before others."""

import asyncio
from typing import Final

from weightlock_webhook.cache.errors import Unreachable
from weightlock_webhook.reviews.collaborators import Cluster, Reply

MOST_LOOKS: Final = 8
"""Of the calls that the connection allows (weightlock_webhook.cache.client.Bounds), those that
looks may take: the others are left to confirmations, however many pods are refused."""


class Share:
    """The same API server, with no more than so many calls at once."""

    def __init__(self, cluster: Cluster, calls: int = MOST_LOOKS) -> None:
        self._cluster = cluster
        self._places = asyncio.Semaphore(calls)

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
        """One request; waiting for a place counts as waiting.

        Raises:
            WeightlockError: if there was no answer by the deadline.
        """
        try:
            async with asyncio.timeout_at(deadline):
                await self._places.acquire()
        except TimeoutError as error:
            raise Unreachable("too many looks at the API server wait already") from error
        try:
            return await self._cluster.call(
                method, path, body, deadline=deadline, content_type=content_type, accept=accept
            )
        finally:
            self._places.release()
