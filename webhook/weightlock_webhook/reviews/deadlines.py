"""Answers by a deadline, which costs nothing where an answer does not wait for anything.

Law: by(deadline, answer, ...) is what `async with asyncio.timeout_at(deadline): await answer` is,
except that an answer that never waits is never late, and that one that waits may be sent away.
"""

import asyncio
from collections.abc import Coroutine, Generator
from types import coroutine
from typing import Any, Final, TypeVar

from weightlock_webhook.cache.errors import Crowded
from weightlock_webhook.reviews.waiting import Seat, WaitingRoom

Found = TypeVar("Found")

CROWDED: Final = "too many requests of the namespace wait for the API server at once"


async def by(
    deadline: float, answer: Coroutine[Any, Any, Found], room: WaitingRoom, namespace: str
) -> Found:
    """What the coroutine returns; while it waits, it is in the room as one of the namespace.

    Raises:
        TimeoutError: if it still waits at the deadline.
        Crowded: if it was sent away, since too many wait.
    """
    try:
        awaited = answer.send(None)
    except StopIteration as returned:
        found: Found = returned.value
        return found
    seat: Seat | None = None
    try:
        async with asyncio.timeout_at(deadline) as timeout:
            seat = room.enter(namespace, timeout)
            try:
                return await _rest(answer, awaited)
            finally:
                room.leave(seat)
    except TimeoutError as error:
        if seat is not None and seat.was_sent_away:
            raise Crowded(CROWDED, hint="Try again.") from error
        raise


@coroutine
def _rest(answer: Coroutine[Any, Any, Found], awaited: Any) -> Generator[Any, Any, Found]:
    """Go on with a coroutine that was begun and waits; it hears of cancellation like any other."""
    try:
        while True:
            try:
                sent = yield awaited
            except GeneratorExit:
                answer.close()
                raise
            except BaseException as error:
                awaited = answer.throw(error)
            else:
                awaited = answer.send(sent)
    except StopIteration as returned:
        found: Found = returned.value
        return found
