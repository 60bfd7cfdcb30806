"""Policies that select namespaces by labels, while the watch of namespaces is late."""

import asyncio
from typing import Any

import pytest
from tests.support.api_in_memory import Json
from tests.support.loops import run
from tests.unit.webhook.objects import pod_spec
from tests.unit.webhook.objects import volume as pod_volume
from tests.unit.webhook.world import NAMESPACE, NAMESPACES, World, new_api, put_policy, world

from weightlock.reasons import Reason
from weightlock_webhook.cache.errors import Stale, Unreachable
from weightlock_webhook.decision.answers import Outcome

NEW = "brand-new"
PRODUCTION = {"matchLabels": {"env": "prod"}}
PLAIN = pod_spec(pod_volume("model", emptyDir={}))
SCRATCH = pod_spec(pod_volume("model", hostPath={"path": "/scratch"}))
NEW_PATH = f"/api/v1/namespaces/{NEW}"


def lax(**strict: Any) -> Any:
    """A cluster where everything is ignored but by one policy, which selects by labels."""
    api = new_api(volumes={"default": "Ignore"})
    put_policy(
        api,
        "strict",
        **{"volumes": {"default": "Forbid"}, "namespaceSelector": PRODUCTION, **strict},
    )
    return api


def namespace(**labels: str) -> Json:
    return {"metadata": {"name": NEW, "labels": labels}}


def reads_of_namespaces(found: World) -> list[str]:
    return [path for _, path in found.api.calls if path == NEW_PATH]


@pytest.mark.parametrize(
    ("labels", "outcome"),
    [
        pytest.param({"env": "prod"}, Outcome.DENY, id="selected"),
        pytest.param({"env": "test"}, Outcome.ALLOW, id="not selected"),
    ],
)
def test_a_namespace_that_nobody_heard_of_is_read(labels: Json, outcome: Outcome) -> None:
    async def story() -> None:
        async with world(lax()) as found:
            found.api.faults.is_lagging = True
            found.api.put(NAMESPACES, namespace(**labels))
            assert (await found.answer(SCRATCH, namespace=NEW)).outcome is outcome
            assert reads_of_namespaces(found)

    run(story())


def test_a_namespace_that_nobody_heard_of_is_read_for_plain_pods_too() -> None:
    async def story() -> None:
        forbidden = {"rules": [{"emptyDir": {}, "action": "Forbid"}]}
        async with world(lax(volumes=forbidden)) as found:
            found.api.faults.is_lagging = True
            found.api.put(NAMESPACES, namespace(env="prod"))
            assert not found.webhook.judge.leaves_alone(NEW)
            assert (await found.answer(PLAIN, namespace=NEW)).outcome is Outcome.DENY
            assert len(reads_of_namespaces(found)) == 1
            assert (await found.answer(PLAIN, namespace=NEW)).outcome is Outcome.DENY
            assert len(reads_of_namespaces(found)) == 1, "it is known now"

    run(story())


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param({}, Stale, id="there is none"),
        pytest.param({"is_down": True}, Unreachable, id="no answer"),
        pytest.param({"status": 403}, Unreachable, id="forbidden"),
    ],
)
def test_a_namespace_that_cannot_be_read_lets_nothing_in(
    fault: Json, error: type[Exception]
) -> None:
    async def story() -> None:
        async with world(lax()) as found:
            for name, value in fault.items():
                setattr(found.api.faults, name, value)
            with pytest.raises(error):
                await found.answer(PLAIN, namespace=NEW)
            with pytest.raises(Stale, match=f"nothing was heard yet of the namespace {NEW}"):
                found.webhook.knowledge.policies.governing(NEW)

    run(story())


def test_a_namespace_is_not_read_where_no_label_counts() -> None:
    async def story() -> None:
        by_name = {"matchLabels": {"kubernetes.io/metadata.name": NEW}}
        async with world(lax(namespaceSelector=by_name)) as found:
            found.api.faults.is_lagging = True
            found.api.put(NAMESPACES, namespace())
            assert (await found.answer(SCRATCH, namespace=NEW)).outcome is Outcome.DENY
            assert (await found.answer(SCRATCH)).outcome is Outcome.ALLOW
            assert not reads_of_namespaces(found)

    run(story())


def test_a_label_that_the_watch_has_not_brought_yet_keeps_the_pod_out() -> None:
    async def story() -> None:
        async with world(lax()) as found:
            assert (await found.answer(SCRATCH)).outcome is Outcome.ALLOW
            await asyncio.sleep(1)
            found.api.faults.is_lagging = True
            document = {"metadata": {"name": NAMESPACE, "labels": {"env": "prod"}}}
            found.api.put(NAMESPACES, document)
            with pytest.raises(Stale, match="labels that choose them"):
                await found.answer(SCRATCH)

    run(story())


def test_what_the_watch_brought_meanwhile_is_not_put_back() -> None:
    async def story() -> None:
        async with world(lax()) as found:
            found.api.faults.is_lagging = True
            found.api.put(NAMESPACES, namespace(env="prod"))
            found.api.faults.reply_delay_seconds = 0.1
            asked = asyncio.create_task(found.answer(SCRATCH, namespace=NEW))
            await asyncio.sleep(0.05)
            found.api.faults.is_lagging = False
            found.api.put(NAMESPACES, namespace(env="test"))
            assert (await asked).outcome is Outcome.ALLOW

    run(story())


def test_what_the_watch_brings_puts_right_what_was_read() -> None:
    async def story() -> None:
        async with world(lax()) as found:
            found.api.faults.is_lagging = True
            found.api.put(NAMESPACES, namespace(env="prod"))
            assert (await found.answer(SCRATCH, namespace=NEW)).outcome is Outcome.DENY
            found.api.faults.is_lagging = False
            found.api.put(NAMESPACES, namespace(env="test"))
            await found.settle()
            answer = await found.answer(SCRATCH, namespace=NEW)
            assert (answer.outcome, answer.reason) == (Outcome.ALLOW, Reason.NOT_GOVERNED)

    run(story())
