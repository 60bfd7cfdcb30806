"""Requests that wait to be posted: a queue for each namespace, emptied by turns.

Any tenant can be refused as often as it likes. Its requests keep its own waiting, never those of
others (D03).
"""

import asyncio
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Final

MOST_WAITING: Final = 1000
"""Requests of all namespaces; what is dropped beyond, the next refusal asks for again."""

MOST_OF_NAMESPACE: Final = 100
"""Requests of one: what it takes 5 s to post."""


@dataclass(frozen=True, slots=True)
class Request:
    """A claim that a pod waited for; which part of it is a model, the operator knows."""

    namespace: str
    claim: str
    claim_uid: str


class Waiting:
    """Adding never waits and taking does, for one taker."""

    def __init__(self) -> None:
        self._queues: OrderedDict[str, deque[Request]] = OrderedDict()
        self._count = 0
        self._is_any = asyncio.Event()

    def __len__(self) -> int:
        return self._count

    def add(self, request: Request) -> Request | None:
        """Queue a request; the one that was dropped for it, perhaps itself."""
        queue = self._queues.setdefault(request.namespace, deque())
        if len(queue) >= MOST_OF_NAMESPACE:
            return request
        queue.append(request)
        self._count += 1
        self._is_any.set()
        return self._dropped() if self._count > MOST_WAITING else None

    async def take(self) -> Request:
        """The next request of the namespace that has waited for its turn longest."""
        await self._is_any.wait()
        namespace, queue = self._queues.popitem(last=False)
        request = queue.popleft()
        if queue:
            self._queues[namespace] = queue
        self._forget_one()
        return request

    def _dropped(self) -> Request:
        # The namespace with the most has at least two: there are more requests than namespaces, or
        # each of a thousand namespaces has one and the newcomer goes.
        queue = max(reversed(self._queues.values()), key=len)
        request = queue.pop()
        if not queue:
            del self._queues[request.namespace]
        self._forget_one()
        return request

    def _forget_one(self) -> None:
        self._count -= 1
        if not self._count:
            self._is_any.clear()
