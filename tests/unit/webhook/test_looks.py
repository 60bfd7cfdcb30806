"""What refused pods may ask of the API server, and what they leave to others."""

import asyncio
from typing import Any

import pytest
from tests.support.api_in_memory import CountingApi
from tests.support.loops import run
from tests.unit.webhook.objects import claim_volume, container, mount, pod_spec
from tests.unit.webhook.world import World, new_api, world

from weightlock.reasons import Reason
from weightlock_webhook.decision.answers import Outcome
from weightlock_webhook.judging.confirming import MOST_LOOKED_AT
from weightlock_webhook.live.lanes import MOST_LOOKS


def many_claims(count: int, name: str = "none") -> Any:
    volumes = [claim_volume(f"v{number}", f"{name}-{number}") for number in range(count)]
    mounts = [mount(f"v{number}", f"/m{number}") for number in range(count)]
    return pod_spec(*volumes, containers=[container(*mounts)])


def reads(found: World) -> int:
    return sum(method == "GET" for method, _ in found.api.calls)


@pytest.mark.parametrize(("count", "expected"), [(MOST_LOOKED_AT - 1, 15), (40, MOST_LOOKED_AT)])
def test_a_refused_pod_has_so_many_claims_read(count: int, expected: int) -> None:
    async def story() -> None:
        async with world() as found:
            found.api.calls.clear()
            answer = await found.answer(many_claims(count))
            assert (answer.outcome, answer.reason) == (Outcome.DENY, Reason.CLAIM_UNBOUND)
            assert reads(found) == expected + 1, "and one list of checkpoints"

    run(story())


def test_a_refused_pod_has_so_many_checkpoints_read() -> None:
    async def story() -> None:
        async with world(new_api()) as found:
            for claim in range(3):
                found.bind(f"c-{claim}", f"vol-{claim}")
                for number in range(MOST_LOOKED_AT):
                    path = f"/{number}"
                    made = found.verify(f"c-{claim}-{number}", path, of=f"c-{claim}")
                    del made["status"]
                    found.api.put("/apis/weightlock.dev/v1beta1/modelcheckpoints", made)
            await found.settle()
            found.api.calls.clear()
            spec = many_claims(3, "c")
            for number, each in enumerate(spec["containers"][0]["volumeMounts"]):
                each["subPath"] = str(number)
            assert (await found.answer(spec)).reason is Reason.NOT_VERIFIED
            assert sum("modelcheckpoints/" in path for _, path in found.api.calls) == MOST_LOOKED_AT

    run(story())


def test_a_pod_that_is_let_in_has_all_its_claims_read() -> None:
    async def story() -> None:
        async with world(new_api(volumes={"default": "Ignore"})) as found:
            for number in range(MOST_LOOKED_AT + 4):
                found.bind(f"c-{number}", f"vol-{number}")
            await found.settle()
            found.api.calls.clear()
            answer = await found.answer(many_claims(MOST_LOOKED_AT + 4, "c"))
            assert answer.outcome is Outcome.ALLOW
            claims = sum("persistentvolumeclaims/" in path for _, path in found.api.calls)
            assert claims == MOST_LOOKED_AT + 4

    run(story())


POLICY_WATCHES = 2
"""Lists of policies, which are not looks."""


def test_all_refused_pods_together_have_that_share() -> None:
    async def story() -> None:
        api = CountingApi()
        async with world(new_api(api)) as found:
            api.faults.delay_seconds = 0.2
            crowd = [
                asyncio.create_task(found.answer(many_claims(16, f"none-{number}")))
                for number in range(20)
            ]
            api.most = api.running
            await asyncio.wait(crowd)
            assert api.most <= POLICY_WATCHES + MOST_LOOKS
            for task in crowd:
                task.exception()

    run(story())


def test_a_crowd_of_refused_pods_does_not_delay_a_confirmation() -> None:
    async def story() -> None:
        async with world() as found:
            found.api.faults.delay_seconds = 0.2
            crowd = [
                asyncio.create_task(found.answer(many_claims(16, f"none-{number}")))
                for number in range(20)
            ]
            await asyncio.sleep(0.1)
            began = asyncio.get_running_loop().time()
            assert (await found.answer()).outcome is Outcome.ALLOW
            assert asyncio.get_running_loop().time() - began < 1
            await asyncio.wait(crowd)
            for task in crowd:
                task.exception()

    run(story())
