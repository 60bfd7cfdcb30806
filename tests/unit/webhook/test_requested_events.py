"""Verdicts are asked for by events, a few at a time, by turns of namespaces."""

import asyncio

import pytest
from tests.support.api_in_memory import ApiInMemory, Json
from tests.support.loops import run
from tests.unit.policy.builders import NOW
from tests.unit.webhook.knowledge import Claims
from tests.unit.webhook.objects import claim_volume, container, mount, pod_spec, volume
from tests.unit.webhook.world import NAMESPACE

from weightlock.reasons import Reason
from weightlock_webhook.decision.answers import Problem
from weightlock_webhook.gathering.subjects import Subject
from weightlock_webhook.mounts.pods import pod_of
from weightlock_webhook.requesting import events, waiting
from weightlock_webhook.requesting.events import RequestedEvents
from weightlock_webhook.requesting.waiting import Request, Waiting


def problem(name: str = "model", path: str = "/") -> Problem:
    return Problem(Reason.NO_CHECKPOINT, "", "", "", volume=name, path=path, awaits_verdict=True)


Asking = tuple[Subject, list[Problem]]


def requested(api: ApiInMemory) -> RequestedEvents:
    loop = asyncio.get_running_loop()
    return RequestedEvents(api, Claims(), lambda: NOW, loop.time)


def waits_for(*claims: str, namespace: str = NAMESPACE, paths: int = 1) -> Asking:
    """A pod that lacks a verdict on so many paths of each of these claims."""
    volumes = [claim_volume(name, name) for name in claims]
    mounts = [mount(name, f"/{name}") for name in claims]
    subject = Subject(pod_of(None, pod_spec(*volumes, containers=[container(*mounts)])), namespace)
    return subject, [problem(name, f"/{path}") for name in claims for path in range(paths)]


async def posted(found: RequestedEvents, api: ApiInMemory, count: int) -> list[Json]:
    """What is posted first."""
    task = asyncio.create_task(found.run())
    while len(api.posted) < count:
        await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])
    return api.posted


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        pytest.param(pod_spec(), "other", id="another volume"),
        pytest.param(pod_spec(volume("model", emptyDir={})), "model", id="no claim"),
        pytest.param(pod_spec(claim_volume(claim="none")), "model", id="an unknown claim"),
    ],
)
def test_only_claims_that_exist_are_asked_for(spec: Json, name: str) -> None:
    async def story() -> None:
        api = ApiInMemory()
        found = requested(api)
        found.ask(Subject(pod_of(None, spec), NAMESPACE), [problem(name)])
        assert not len(found._waiting)

    run(story())


def test_a_claim_is_asked_for_once_however_many_of_its_paths_are_mounted() -> None:
    async def story() -> None:
        api = ApiInMemory()
        found = requested(api)
        found.ask(*waits_for("llama", paths=1200))
        found.ask(*waits_for("llama", paths=3))
        assert len(found._waiting) == 1

    run(story())


def test_one_refusal_asks_for_a_few_claims_and_the_next_for_more() -> None:
    async def story() -> None:
        api = ApiInMemory()
        found = requested(api)
        pod = waits_for(*(f"c{number}" for number in range(40)))
        for known in (16, 32, 40, 40):
            found.ask(*pod)
            assert len(found._waiting) == known

    run(story())


def test_a_namespace_that_asks_for_much_does_not_keep_others_waiting() -> None:
    async def story() -> None:
        api = ApiInMemory()
        found = requested(api)
        for number in range(200):
            found.ask(*waits_for(f"c{number}", namespace="greedy"))
        assert len(found._waiting) == waiting.MOST_OF_NAMESPACE
        found.ask(*waits_for("llama", namespace="modest"))
        first = await posted(found, api, 2)
        assert {each["metadata"]["namespace"] for each in first[:2]} == {"greedy", "modest"}

    run(story())


def test_when_too_many_wait_the_greediest_loses_its_last_and_may_ask_again() -> None:
    async def story() -> None:
        found = requested(ApiInMemory())
        greedy = [waits_for(f"c{number}", namespace="greedy") for number in range(100)]
        for each in greedy:
            found.ask(*each)
        for number in range(waiting.MOST_WAITING - 100 + 2):
            found.ask(*waits_for("llama", namespace=f"n{number}"))
        assert len(found._waiting) == waiting.MOST_WAITING
        left = [(await found._waiting.take()).namespace for _ in range(waiting.MOST_WAITING)]
        assert left.count("greedy") == 98
        found.ask(*greedy[98])  # dropped, so it was not asked for
        found.ask(*greedy[97])  # asked for a moment ago
        assert [(await found._waiting.take()).claim, len(found._waiting)] == ["c98", 0]

    run(story())


def test_a_thousand_namespaces_keep_their_turns_whoever_comes() -> None:
    queue = Waiting()
    requests = [Request(f"n{number}", "llama", "uid") for number in range(waiting.MOST_WAITING)]
    assert [queue.add(each) for each in requests] == [None] * len(requests)
    late = Request("late", "llama", "uid")
    assert queue.add(late) == late
    assert len(queue) == waiting.MOST_WAITING


def test_nobody_waits_for_long_whoever_asks_how_much() -> None:
    async def story() -> None:
        queue = Waiting()
        for number in range(99):
            queue.add(Request("greedy", f"c{number}", "uid"))
        for name in ("a", "b"):
            queue.add(Request(name, "llama", "uid"))
        taken = [(await queue.take()).namespace for _ in range(101)]
        assert taken[:4] == ["greedy", "a", "b", "greedy"]
        assert not len(queue)
        taker = asyncio.create_task(queue.take())
        await asyncio.sleep(0)
        assert not taker.done()
        queue.add(Request("a", "late", "uid"))
        assert (await taker).claim == "late"

    run(story())


def test_a_storm_of_refusals_is_no_storm_of_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_MOST_ASKED", 10)

    async def story() -> None:
        api = ApiInMemory()
        found = requested(api)
        for number in range(200):
            found.ask(*waits_for(f"c{number}"))
        assert len(found._asked) <= 10
        task = asyncio.create_task(found.run())
        await asyncio.sleep(1)
        assert len(api.posted) <= 1 / events.PAUSE_SECONDS + 1
        task.cancel()
        await asyncio.wait([task])

    run(story())
