"""Places for calls, given by turns of namespaces: a lane for each, and few places where they meet.

One pod may ask for some hundred objects, and a tenant makes as many pods as it likes. What it asks
for waits behind what it asked for before, never before what others ask for (D03).

Laws: a namespace holds no more than its part of the places; a free place is taken by somebody who
may have it, if anybody may; whoever is first in its lane waits for one turn of each other lane.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias, TypeVar

from weightlock_webhook.cache.errors import Crowded, Unreachable

Found = TypeVar("Found")

MOST_READS: Final = 32
"""Of the calls that the connection allows (weightlock_webhook.cache.client.Bounds), those that
reviews may take to be answered."""

MOST_LOOKS: Final = 8
"""Those that looks for refused pods may take besides: confirmations never wait for them. What is
left is for the process itself: its Lease, the configurations, lists, events."""

MOST_WAITING: Final = 2048
"""Calls that wait in one lane, of some kilobytes each: eight of the biggest pods need as many."""

_Turn: TypeAlias = "asyncio.Future[None]"

CLUSTER: Final = ""
"""The lane of what belongs to no namespace, and everybody needs."""


class Lanes:
    """So many places, three quarters of them at most for one namespace."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._most = max(1, places * 3 // 4)
        self._held: dict[str, int] = {}
        self._lanes: OrderedDict[str, deque[_Turn]] = OrderedDict()

    async def within(
        self, namespace: str, deadline: float, call: Callable[[], Awaitable[Found]]
    ) -> Found:
        """What a call returns that runs once there is a place; waiting for it counts as waiting.

        Raises:
            Crowded: if too many of the namespace wait already.
            Unreachable: if there was no place by the deadline.
        """
        if not self._may_enter(namespace):
            await self._turn(namespace, deadline)
        else:
            self._enter(namespace)
        try:
            return await call()
        finally:
            self._leave(namespace)

    def _may_enter(self, namespace: str) -> bool:
        # Whoever waits while there is a free place has all that it may have.
        return self._free > 0 and self._held.get(namespace, 0) < self._most

    def _enter(self, namespace: str) -> None:
        self._free -= 1
        self._held[namespace] = self._held.get(namespace, 0) + 1

    def _leave(self, namespace: str) -> None:
        self._free += 1
        self._held[namespace] -= 1
        if not self._held[namespace]:
            del self._held[namespace]
        self._next()

    async def _turn(self, namespace: str, deadline: float) -> None:
        lane = self._lanes.setdefault(namespace, deque())
        if len(lane) >= MOST_WAITING:
            raise Crowded("too much is read for the namespace at once", hint="Try again.")
        turn: _Turn = asyncio.get_running_loop().create_future()
        lane.append(turn)
        try:
            async with asyncio.timeout_at(deadline):
                await turn
        except BaseException as error:
            self._give_up(namespace, turn)
            if isinstance(error, TimeoutError):
                raise Unreachable("too much is read at once") from error
            raise

    def _give_up(self, namespace: str, turn: _Turn) -> None:
        if not turn.cancelled():
            self._leave(namespace)  # it has just become this one's turn
            return
        lane = self._lanes.get(namespace)
        if lane is not None and turn in lane:
            lane.remove(turn)
            if not lane:
                del self._lanes[namespace]

    def _next(self) -> None:
        """Give the free place to whose turn it is."""
        # At most one is passed over: no two namespaces hold three quarters each.
        while (namespace := next(filter(self._may_enter, self._lanes), None)) is not None:
            lane = self._lanes[namespace]
            turn = lane.popleft()
            if lane:
                self._lanes.move_to_end(namespace)
            else:
                del self._lanes[namespace]
            if not turn.cancelled():
                self._enter(namespace)
                turn.set_result(None)
                return
