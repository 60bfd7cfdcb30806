"""Claims for devices beside a verified model: let in if their classes, read live, are allowed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.support.api_in_memory import Json
from tests.support.loops import run
from tests.unit.webhook.objects import pod_spec
from tests.unit.webhook.world import NAMESPACE, PODS, World, world

from weightlock.reasons import Reason
from weightlock_webhook.cache.errors import Unreachable
from weightlock_webhook.cache.features import Features
from weightlock_webhook.decision.answers import Outcome
from weightlock_webhook.decision.devices import classes_in
from weightlock_webhook.decision.facts import Allowances

API = "/apis/resource.k8s.io/v1"
CLAIMS, TEMPLATES = f"{API}/resourceclaims", f"{API}/resourceclaimtemplates"
GPU, EVIL = "gpu.example", "evil.example"
ALLOWED = Allowances(device_classes=frozenset({GPU}))
NEW = Features(frozenset(), frozenset(), device_api="v1")


def devices(*classes: str) -> Json:
    return {
        "devices": {
            "requests": [
                {"name": f"r{number}", "exactly": {"deviceClassName": each}}
                for number, each in enumerate(classes)
            ]
        }
    }


def put_claim(found: World, name: str, *classes: str) -> None:
    metadata = {"name": name, "namespace": NAMESPACE}
    found.api.put(CLAIMS, {"metadata": metadata, "spec": devices(*classes)})


def put_template(found: World, name: str, *classes: str) -> None:
    metadata = {"name": name, "namespace": NAMESPACE}
    found.api.put(TEMPLATES, {"metadata": metadata, "spec": {"spec": devices(*classes)}})


def put_pod(found: World, made: dict[str, str | None], uid: str = "pod-uid") -> None:
    statuses = [{"name": name, "resourceClaimName": claim} for name, claim in made.items()]
    metadata = {"name": "trainer", "namespace": NAMESPACE, "uid": uid}
    found.api.put(PODS, {"metadata": metadata, "status": {"resourceClaimStatuses": statuses}})


def by_name(*claims: str) -> Json:
    found = [{"name": f"d{n}", "resourceClaimName": each} for n, each in enumerate(claims)]
    return pod_spec(resourceClaims=found)


def by_template(template: str = "ours", *names: str) -> Json:
    found = [{"name": each, "resourceClaimTemplateName": template} for each in names or ("gpu",)]
    return pod_spec(resourceClaims=found)


EXISTING: Json = {"metadata": {"uid": "pod-uid"}, "name": "trainer"}
BINDING: Json = {**EXISTING, "node": "n1"}


@asynccontextmanager
async def cluster(**more: Any) -> AsyncIterator[World]:
    async with world(**{"allowances": ALLOWED, "features": NEW, **more}) as found:
        put_claim(found, "good", GPU)
        put_claim(found, "evil", EVIL)
        put_claim(found, "mixed", GPU, EVIL)
        put_claim(found, "empty")
        put_template(found, "ours", GPU)
        put_template(found, "theirs", EVIL)
        yield found


@pytest.mark.parametrize(
    ("spec", "outcome"),
    [
        pytest.param(by_name("good"), Outcome.ALLOW, id="an allowed class"),
        pytest.param(by_name("evil"), Outcome.DENY, id="another class"),
        pytest.param(by_name("mixed"), Outcome.DENY, id="another class beside it"),
        pytest.param(by_name("empty"), Outcome.DENY, id="no class at all"),
        pytest.param(by_name("missing"), Outcome.DENY, id="no such claim"),
        pytest.param(by_name(".."), Outcome.DENY, id="a name that no server takes"),
        pytest.param(by_name("good?x=1"), Outcome.DENY, id="a name that is a query"),
        pytest.param(by_name("good", "evil"), Outcome.DENY, id="one of two claims"),
        pytest.param(by_template(), Outcome.ALLOW, id="a template of an allowed class"),
        pytest.param(by_template("theirs"), Outcome.DENY, id="a template of another class"),
        pytest.param(by_template("missing"), Outcome.DENY, id="no such template"),
    ],
)
def test_a_pod_may_claim_devices_of_allowed_classes(spec: Json, outcome: Outcome) -> None:
    async def story() -> None:
        async with cluster() as found:
            try:
                answer = await found.answer(spec)
            except Unreachable:
                assert outcome is Outcome.DENY
                return
            assert answer.outcome is outcome
            if outcome is Outcome.DENY:
                assert answer.reason is Reason.DEVICE_CLAIM

    run(story())


def test_a_claim_that_was_made_again_with_another_class_is_noticed_at_once() -> None:
    async def story() -> None:
        async with cluster() as found:
            assert (await found.answer(by_name("good"))).outcome is Outcome.ALLOW
            put_claim(found, "good", EVIL)
            assert (await found.answer(by_name("good"))).reason is Reason.DEVICE_CLAIM

    run(story())


def test_where_no_class_is_allowed_nothing_is_read() -> None:
    async def story() -> None:
        async with cluster(allowances=Allowances()) as found:
            assert (await found.answer(by_name("good"))).reason is Reason.DEVICE_CLAIM
            assert not [path for _, path in found.api.calls if "resource.k8s.io" in path]

    run(story())


def test_a_server_without_the_api_says_nothing_of_classes() -> None:
    async def story() -> None:
        async with cluster(features=Features(frozenset(), frozenset())) as found:
            assert (await found.answer(by_name("good"))).reason is Reason.DEVICE_CLAIM

    run(story())


def test_a_pod_without_governed_storage_may_claim_what_it_likes() -> None:
    async def story() -> None:
        async with cluster() as found:
            plain = {**by_name("evil"), "volumes": [], "containers": [{"name": "c"}]}
            assert (await found.answer(plain)).outcome is Outcome.ALLOW

    run(story())


@pytest.mark.parametrize(
    ("made", "question", "outcome"),
    [
        pytest.param({"gpu": "good"}, BINDING, Outcome.ALLOW, id="the claim that was made"),
        pytest.param({"gpu": "evil"}, BINDING, Outcome.DENY, id="a claim of another class"),
        pytest.param({"gpu": "missing"}, BINDING, Outcome.DENY, id="a claim that is gone"),
        pytest.param({}, BINDING, Outcome.DENY, id="none was made yet"),
        pytest.param({"gpu": None}, BINDING, Outcome.DENY, id="none was needed, it says"),
        pytest.param({}, EXISTING, Outcome.ALLOW, id="none yet, and no node either"),
        pytest.param({"gpu": "evil"}, EXISTING, Outcome.DENY, id="a running pod is judged by it"),
    ],
)
def test_at_binding_the_claim_that_was_made_counts_and_not_the_template(
    made: dict[str, str | None], question: Json, outcome: Outcome
) -> None:
    async def story() -> None:
        async with cluster() as found:
            put_pod(found, made)
            assert (await found.answer(by_template(), **question)).outcome is outcome

    run(story())


def test_another_pod_of_the_same_name_says_nothing_of_this_one() -> None:
    async def story() -> None:
        async with cluster() as found:
            put_pod(found, {"gpu": "good"}, "another-uid")
            assert (await found.answer(by_template(), **BINDING)).outcome is Outcome.DENY
            found.api.delete(PODS, "trainer", NAMESPACE)
            assert (await found.answer(by_template(), **BINDING)).outcome is Outcome.DENY

    run(story())


@pytest.mark.parametrize(
    ("second", "outcome"), [("good", Outcome.ALLOW), ("evil", Outcome.DENY), (None, Outcome.DENY)]
)
def test_two_claims_of_one_template_are_both_looked_at(
    second: str | None, outcome: Outcome
) -> None:
    async def story() -> None:
        async with cluster() as found:
            put_pod(found, {"one": "good", "two": second})
            spec = by_template("ours", "one", "two")
            assert (await found.answer(spec, **BINDING)).outcome is outcome

    run(story())


def test_requests_of_any_version_are_read() -> None:
    old = {"devices": {"requests": [{"name": "a", "deviceClassName": "x"}]}}
    some = [{"name": "a", "deviceClassName": "y"}, {"name": "b", "deviceClassName": "z"}]
    new = {"devices": {"requests": [{"name": "a", "firstAvailable": some}]}}
    assert classes_in(old) == {"x"}
    assert classes_in({"spec": new}) == {"y", "z"}
    assert classes_in({"deviceClassName": 5}) == frozenset()
