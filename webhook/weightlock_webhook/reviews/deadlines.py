"""Answers by a deadline, which costs nothing where an answer does not wait for anything.

Law: by(deadline, answer) is what `async with asyncio.timeout_at(deadline): await answer` is, except
that an answer that never waits is never late.
"""

import asyncio
from collections.abc import Coroutine, Generator
from types import coroutine
from typing import Any, TypeVar

Found = TypeVar("Found")


async def by(deadline: float, answer: Coroutine[Any, Any, Found]) -> Found:
    """What the coroutine returns.

    Raises:
        TimeoutError: if it still waits at the deadline.
    """
    try:
        awaited = answer.send(None)
    except StopIteration as returned:
        found: Found = returned.value
        return found
    async with asyncio.timeout_at(deadline):
        return await _rest(answer, awaited)


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
