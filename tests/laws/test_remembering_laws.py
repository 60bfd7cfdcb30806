"""Laws of memory: what is remembered is what would be found out, at every instant."""

import asyncio
import base64
import json
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.laws.test_admission_laws import CHECKPOINTS, POLICIES
from tests.support.loops import run
from tests.unit.policy.builders import NOW, PQ, authority, policy, signatures
from tests.unit.webhook.cluster import OTHER_KEY, SEAL_KEY
from tests.unit.webhook.objects import claim_volume, container, mount, pod_spec
from tests.unit.webhook.world import (
    CHECKPOINTS as PATH,
)
from tests.unit.webhook.world import (
    CLAIMS,
    NAMESPACE,
    PODS,
    SECRETS,
    VOLUMES,
    World,
    claim,
    new_api,
    put_config_map,
    put_policy,
    remember,
    volume,
    world,
)

from weightlock.cluster_names import NAMESPACE as SYSTEM
from weightlock.verdict.cases import Expected
from weightlock.verdict.judge import judge
from weightlock.verdict.records import record_of
from weightlock_webhook.decision.decide import decide
from weightlock_webhook.decision.facts import recorded_of
from weightlock_webhook.decision.governance import Governance
from weightlock_webhook.documents import JsonObject
from weightlock_webhook.gathering.lookups import Cached
from weightlock_webhook.gathering.names import names_of
from weightlock_webhook.gathering.subjects import Subject
from weightlock_webhook.judging.pods import Pods
from weightlock_webhook.judging.remembering import RememberingJudge, RememberingRecords
from weightlock_webhook.mounts.pods import pod_of
from weightlock_webhook.reviews.collaborators import PodQuestion

laws = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

TURNING = (
    policy("t1", signatures=signatures(authority("release", PQ, notAfter="2027-01-01T00:00:00Z"))),
    policy("t2", signatures=signatures(authority("release", PQ, notBefore="2026-12-01T00:00:00Z"))),
)
REQUIREMENTS = [
    demand.requirements
    for view in Governance.of((*POLICIES, *TURNING), NAMESPACE, {}).views
    for demand in view.demands
]
EVIDENCE = [record.evidence for each in CHECKPOINTS if (record := record_of(each)) is not None]
DAYS = st.integers(-400, 800).map(lambda days: NOW + timedelta(days=days))
EXPECTED = st.sampled_from([Expected(), Expected("llama", 2), Expected("llama", 4), Expected("x")])


@laws
@given(
    asked=st.lists(
        st.tuples(st.sampled_from(EVIDENCE), st.sampled_from(REQUIREMENTS), DAYS, EXPECTED),
        max_size=40,
    )
)
def test_a_remembering_judge_says_what_the_judge_says(asked: list[Any]) -> None:
    remembering = RememberingJudge()
    for evidence, requirements, now, expected in asked:
        found = remembering(evidence, (requirements,), now, expected)
        assert found == judge(evidence, (requirements,), now, expected)


@laws
@given(
    asked=st.lists(
        st.tuples(
            st.sampled_from(CHECKPOINTS),
            st.sampled_from([(SEAL_KEY,), (OTHER_KEY,), (SEAL_KEY, OTHER_KEY), ()]),
        )
    )
)
def test_a_remembered_seal_is_as_intact_as_it_is(asked: list[Any]) -> None:
    remembering = RememberingRecords()
    for found, keys in asked:
        assert remembering(found, keys) == recorded_of(found, keys)


SPECS = [
    pod_spec(),
    pod_spec(claim_volume(read_only=False)),
    pod_spec(containers=[container(mount(subPath="good"))]),
    pod_spec(claim_volume(claim="other")),
    pod_spec({"name": "model", "emptyDir": {}}),
    pod_spec({"name": "model", "hostPath": {"path": "/mnt"}}),
    pod_spec({"name": "model", "nfs": {"server": "s", "path": "/mnt", "readOnly": True}}),
    pod_spec(claim_volume(), claim_volume("more", claim="other")),
    pod_spec({"name": "model", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}}),
]


SUBJECTS = [
    Subject(pod_of({}, spec), NAMESPACE, *who) for spec in SPECS for who in ((), ("p", "uid-of-p"))
]


async def _verify(found: World) -> None:
    if found.api.has(CLAIMS, NAMESPACE, "llama"):
        found.verify()


async def _recreate(found: World) -> None:
    made = found.api.put(CLAIMS, claim())
    found.api.put(VOLUMES, volume("pv-llama", made["metadata"]["uid"], "other"))


async def _unverify(found: World) -> None:
    if found.api.has(PATH, NAMESPACE, "llama-step-1200"):
        found.api.delete(PATH, "llama-step-1200", NAMESPACE)


async def _unbind(found: World) -> None:
    if found.api.has(CLAIMS, NAMESPACE, "llama"):
        found.api.delete(CLAIMS, "llama", NAMESPACE)


async def _write(found: World) -> None:
    writing = pod_spec(claim_volume(read_only=False), containers=[container(mount(readOnly=False))])
    metadata = {"name": "w", "namespace": NAMESPACE}
    found.api.put(PODS, {"metadata": metadata, "spec": writing, "status": {"phase": "Running"}})


async def _stop_writing(found: World) -> None:
    if found.api.has(PODS, NAMESPACE, "w"):
        found.api.delete(PODS, "w", NAMESPACE)


async def _warn(found: World) -> None:
    put_policy(found.api, generation=found.api.version, enforcement="Warn")


async def _enforce(found: World) -> None:
    put_policy(found.api, generation=found.api.version, freshness={"maxAge": "2h"})


async def _twin(found: World) -> None:
    found.api.put(VOLUMES, volume("twin", "x", accessModes=["ReadWriteMany"]))


async def _twin_away(found: World) -> None:
    if found.api.has(VOLUMES, "", "twin"):
        found.api.delete(VOLUMES, "twin")


async def _write_path(found: World) -> None:
    source = {"nfs": {"server": "s", "path": "/mnt/x"}}
    writing = pod_spec({"name": "model", **source}, containers=[container(mount(readOnly=False))])
    metadata = {"name": "w", "namespace": "team-b"}
    found.api.put(PODS, {"metadata": metadata, "spec": writing, "status": {"phase": "Running"}})


async def _make_ephemeral(found: World) -> None:
    made = claim("p-model")
    made["metadata"]["ownerReferences"] = [{"uid": "uid-of-p"}]
    found.api.put(CLAIMS, made)


async def _reseal(found: World) -> None:
    secret = base64.b64encode(OTHER_KEY.secret).decode()
    metadata = {"name": "weightlock-seal", "namespace": SYSTEM}
    found.api.put(SECRETS, {"metadata": metadata, "data": {"current": secret}})


async def _remember(found: World) -> None:
    remember(found.api, ("ClusterModelPolicy post-quantum", found.api.version))


async def _restore(found: World) -> None:
    put_config_map(found.api, "weightlock-state", restoredAt="2026-11-20T12:00:00Z")


async def _touch(found: World) -> None:
    if found.api.has(PATH, NAMESPACE, "llama-step-1200"):
        found.api.put(PATH, found.api.stored(PATH, NAMESPACE, "llama-step-1200"))


async def _wait(found: World) -> None:
    await asyncio.sleep(1800)


DEEDS = [
    _verify,
    _recreate,
    _unverify,
    _unbind,
    _write,
    _stop_writing,
    _warn,
    _enforce,
    _twin,
    _twin_away,
    _write_path,
    _make_ephemeral,
    _reseal,
    _remember,
    _restore,
    _touch,
    _wait,
]


@laws
@given(deeds=st.lists(st.sampled_from(DEEDS), min_size=2, max_size=16))
def test_a_remembered_answer_is_what_would_be_decided(deeds: list[Any]) -> None:
    async def story() -> None:
        async with world(new_api(freshness={"maxAge": "2h"})) as found:
            found.bind()
            found.verify()
            judging = found.webhook.judge
            lookup = Cached(found.webhook.knowledge)
            for deed in (_touch, *deeds, _wait):
                await deed(found)
                await found.settle()
                for subject in SUBJECTS:
                    gathering = judging._deciding._gathering
                    ground = gathering.ground(subject, lookup)
                    fresh = gathering.facts(subject, ground, judging._deciding._clock())
                    assert judging._deciding.answer(subject, lookup) == decide(subject.pod, fresh)

    run(story())


@laws
@given(deeds=st.lists(st.sampled_from(DEEDS), min_size=2, max_size=16))
def test_on_an_equal_footing_the_ground_is_equal(deeds: list[Any]) -> None:
    async def story() -> None:
        async with world(new_api(freshness={"maxAge": "2h"})) as found:
            found.bind()
            found.verify()
            gathering, lookup = (
                found.webhook.judge._deciding._gathering,
                Cached(found.webhook.knowledge),
            )
            stood: list[tuple[Subject, Any, Any]] = []
            for deed in (_touch, *deeds, _wait):
                await deed(found)
                await found.settle()
                for subject, footing, ground in stood:
                    if gathering.footing(subject, lookup) == footing:
                        assert gathering.ground(subject, lookup) == ground
                grounds = [(subject, gathering.ground(subject, lookup)) for subject in SUBJECTS]
                stood += [
                    (subject, gathering.footing(subject, lookup), ground)
                    for subject, ground in grounds
                    if gathering.has_footing(subject, ground)
                ]

    run(story())


@laws
@given(
    asked=st.lists(
        st.tuples(
            st.integers(0, len(SPECS) - 1),
            st.sampled_from([None, {}, {"a": "b"}, {"cdi.k8s.io/x": "y"}]),
        ),
        max_size=20,
    )
)
def test_a_remembered_pod_is_what_would_be_read(asked: list[Any]) -> None:
    pods = Pods()
    for index, annotations in asked:
        metadata = {"annotations": annotations}
        content = JsonObject(json.dumps(SPECS[index]).encode())
        found, names = pods.read(PodQuestion(NAMESPACE, metadata, content))
        assert found == pod_of(metadata, SPECS[index])
        assert names == names_of(found)


def test_a_judgement_ends_when_a_key_or_a_tolerance_begins_or_ends() -> None:
    days = [NOW + timedelta(days=number) for number in (0, 20, 60, 500, 60, 0)]
    remembering = RememberingJudge()
    for requirements in REQUIREMENTS:
        for evidence in EVIDENCE:
            for now in days:
                found = remembering(evidence, (requirements,), now, Expected())
                assert found == judge(evidence, (requirements,), now, Expected())
