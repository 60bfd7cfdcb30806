"""A judge that is late, busy or broken is a denial."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.webhook_server.clients import PATH, run, still_serves
from tests.webhook_server.listeners import Behind, running
from tests.webhook_server.requests import pod, review
from tests.webhook_server.standins import Judge

from weightlock_webhook.reviews.waiting import WaitingRoom
from weightlock_webhook.server.limits import (
    Limits,
)


def test_too_many_reviews_at_once_are_told_to_come_back() -> None:
    limits = Limits(most_in_flight=4)

    async def test() -> None:
        waiting = asyncio.Event()

        class Slow(Judge):
            async def answer(self, question: Any, deadline: float) -> Any:
                await waiting.wait()
                return await super().answer(question, deadline)

        async with running(Behind(judge=Slow()), limits) as server:
            body = review(new=pod())
            asked = [asyncio.ensure_future(server.post(PATH, body)) for _ in range(12)]
            done: set[Any] = set()
            while len(done) < 8:
                done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            waiting.set()
            statuses = sorted([(await each)[0] for each in asked])
            assert statuses == [200] * 4 + [503] * 8

    run(test())


def test_one_namespaces_pods_that_wait_stop_no_other_namespaces() -> None:
    async def test() -> None:
        waiting = asyncio.Event()

        class Slow(Judge):
            async def answer(self, question: Any, deadline: float) -> Any:
                if question.namespace == "crowd":
                    await waiting.wait()
                return await super().answer(question, deadline)

        limits = Limits(most_in_flight=64, deadline_seconds=60, read_seconds=60)
        async with running(Behind(judge=Slow(), room=WaitingRoom(48)), limits) as server:
            body = review(new=pod(), namespace="crowd")
            asked = [asyncio.ensure_future(server.post(PATH, body)) for _ in range(48)]
            for refused in range(1, 53):  # one by one: at the door itself there is room for 64
                asked.append(asyncio.ensure_future(server.post(PATH, body)))
                while sum(each.done() for each in asked) < refused:
                    await asyncio.wait(
                        [each for each in asked if not each.done()],
                        return_when=asyncio.FIRST_COMPLETED,
                    )
            for _ in range(20):
                await still_serves(server)
            waiting.set()
            answers = [json.loads((await each)[1])["response"] for each in asked]
            allowed = [each["allowed"] for each in answers]
            assert allowed.count(True) == 48
            sent_away = next(each for each in answers if not each["allowed"])
            assert sent_away["status"]["code"] == 503
            assert "too many requests of the namespace" in sent_away["status"]["message"]

    run(test())


def test_a_judge_that_is_late_is_a_denial() -> None:
    limits = Limits(deadline_seconds=0.1)

    async def test() -> None:
        class Late(Judge):
            async def answer(self, question: Any, deadline: float) -> Any:
                await asyncio.Event().wait()

        async with running(Behind(judge=Late()), limits) as server:
            status, body = await server.post(PATH, review(new=pod()))
            answer = json.loads(body)["response"]
            assert (status, answer["allowed"], answer["uid"]) == (200, False, "u-1")
            assert answer["status"]["code"] == 504

    run(test())


def test_a_judge_that_breaks_is_a_denial_that_tells_no_secrets() -> None:
    behind = Behind(judge=Judge(RuntimeError("the key is hunter2")))

    async def test() -> None:
        async with running(behind) as server:
            status, body = await server.post(PATH, review(new=pod()))
            answer = json.loads(body)["response"]
            assert (status, answer["allowed"]) == (200, False)
            assert b"hunter2" not in body

    run(test())
