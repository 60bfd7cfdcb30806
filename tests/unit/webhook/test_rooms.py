"""Whoever fills a memory fills their own part of it."""

import asyncio
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.api_in_memory import ApiInMemory, Json
from tests.support.loops import run
from tests.unit.policy.builders import policy_object
from tests.unit.webhook.cluster import checkpoint
from tests.unit.webhook.objects import claim_volume, container, mount, pod_spec
from tests.unit.webhook.objects import volume as pod_volume
from tests.unit.webhook.world import (
    CHECKPOINTS,
    CLAIMS,
    NAMESPACE,
    PODS,
    POLICIES,
    claim,
    document_of,
    new_api,
    put_policy,
    world,
)

from weightlock.errors import WeightlockError
from weightlock.reasons import Reason
from weightlock_webhook.cache import resources
from weightlock_webhook.cache.errors import Crowded, Stale, Unreachable
from weightlock_webhook.cache.knowledge import STALE_SECONDS
from weightlock_webhook.cache.objects import CheckpointItem, ClaimItem, Item, Metadata
from weightlock_webhook.cache.pods import (
    LONGEST_PATHS,
    PodItem,
    WrittenClaim,
    WrittenPath,
    writer_of,
)
from weightlock_webhook.cache.reflector import Patience, Reflector
from weightlock_webhook.cache.resources import MOST_POLICIES
from weightlock_webhook.cache.rooms import Contents, Room
from weightlock_webhook.cache.store import Store
from weightlock_webhook.decision.answers import Outcome
from weightlock_webhook.recent import Recent

ITEMS = "/api/v1/things"
PLAIN = pod_spec(pod_volume("model", emptyDir={}))


def item(name: str, namespace: str = "a", generation: int = 1) -> Item:
    """Its generation is what it weighs."""
    return Item(Metadata(name, namespace, f"{namespace}-{name}", "1", generation))


def contents(objects: int = 2, size: int = 10) -> Contents[Item]:
    return Contents(Room(objects, size, lambda found: found.metadata.generation))


def names(found: Contents[Item]) -> set[str]:
    return {each.metadata.name for each in found}


def test_a_namespace_has_room_for_so_many() -> None:
    found = contents()
    assert [found.put(item(name)) for name in ("1", "2", "3")] == [True, True, False]
    assert found.put(item("1", "b"))
    assert (names(found), found.crowded) == ({"1", "2"}, {"a"})


def test_a_namespace_has_room_for_so_much() -> None:
    found = contents()
    assert found.put(item("1", generation=9))
    assert not found.put(item("2", generation=2))
    assert found.put(item("3", generation=1))
    assert found.crowded == {"a"}


def test_what_is_gone_or_smaller_makes_room_again() -> None:
    found = contents()
    for name in ("1", "2"):
        assert found.put(item(name, generation=5))
    assert found.put(item("1", generation=5)), "in its own place"
    found.pop(("a", "2"))
    assert found.put(item("3", generation=5))
    assert found.pop(("a", "none")) is None
    assert not found.crowded


def test_what_has_grown_beyond_the_room_is_not_kept_as_it_was() -> None:
    told: list[tuple[bool, bool]] = []
    store: Store[Item] = Store(
        "things",
        lambda before, after: told.append((before is not None, after is not None)),
        room=Room(2, 10, lambda found: found.metadata.generation),
    )
    store.put(item("1"))
    store.put(item("1", generation=11))
    store.put(item("1", generation=11))
    assert told == [(False, True), (True, False)]
    assert store.is_crowded("a")
    assert not store.is_crowded("b")


@given(
    st.lists(
        st.tuples(st.sampled_from("xyz"), st.sampled_from("ab"), st.integers(0, 7), st.booleans())
    )
)
def test_nothing_is_ever_kept_beyond_the_room_nor_forgotten_quietly(
    steps: list[tuple[str, str, int, bool]],
) -> None:
    found, all_there = contents(), dict[tuple[str, str], int]()
    for name, namespace, weight, is_kept in steps:
        if is_kept:
            found.put(item(name, namespace, weight))
            all_there[namespace, name] = weight
        else:
            found.pop((namespace, name))
            all_there.pop((namespace, name), None)
    kept = {each.metadata.key: each.metadata.generation for each in found}
    for namespace in "ab":
        weights = [weight for (where, _), weight in kept.items() if where == namespace]
        assert len(weights) <= 2
        assert sum(weights) <= 10
        if namespace not in found.crowded:
            expected = {key: weight for key, weight in all_there.items() if key[0] == namespace}
            assert {key: kept[key] for key in kept if key[0] == namespace} == expected


def test_a_crowded_namespace_is_listed_until_it_is_crowded_no_more() -> None:
    async def story() -> None:
        api = ApiInMemory()
        for name in ("1", "2", "3"):
            api.put(ITEMS, {"metadata": {"name": name, "namespace": "a"}})
        room: Room[Item] = Room(2, 1000, lambda _: 1)
        resource = resources.Resource("things", ITEMS, Item, lambda found: found, room=room)
        store: Store[Item] = Store("things", room=room)
        task = asyncio.create_task(Reflector(resource, store, api, lambda: 0.5).run())
        await asyncio.sleep(1)
        assert store.is_synced
        assert store.is_crowded("a")
        api.put(ITEMS, {"metadata": {"name": "1", "namespace": "b"}})
        api.delete(ITEMS, "1", "a")
        await asyncio.sleep(1)
        assert len(store) == 2, "one of each; which ones are missing only a list tells"
        await asyncio.sleep(2 * Patience().watch_seconds)
        assert not store.is_crowded("a")
        assert len(store) == 3
        lists = len(api.calls)
        await asyncio.sleep(10 * Patience().watch_seconds)
        assert not any("limit" in path for _, path in api.calls[lists:])
        task.cancel()
        await asyncio.wait([task])

    run(story())


def test_too_many_policies_of_a_namespace_refuse_its_pods_and_nobody_elses() -> None:
    async def story() -> None:
        async with world() as found:
            for number in range(MOST_POLICIES):
                found.api.put(POLICIES, policy_object(f"p{number}", "team-b"))
            await found.settle()
            answer = await found.answer(namespace="team-b")
            assert Reason.POLICY_INVALID not in {each.reason for each in answer.refusals}
            found.api.put(POLICIES, policy_object("one-more", "team-b"))
            await found.settle()
            answer = await found.answer(namespace="team-b")
            assert answer.outcome is Outcome.DENY
            assert "has more ModelPolicies than the 64 that are read" in answer.message
            assert (await found.answer()).outcome is Outcome.ALLOW
            assert (await found.answer(PLAIN)).outcome is Outcome.ALLOW
            found.api.delete(POLICIES, "one-more", "team-b")
            await asyncio.sleep(2 * Patience().watch_seconds)
            answer = await found.answer(namespace="team-b")
            assert Reason.POLICY_INVALID not in {each.reason for each in answer.refusals}

    run(story())


def test_too_many_checkpoints_of_a_namespace_refuse_its_pods_and_nobody_elses() -> None:
    async def story() -> None:
        async with world() as found:
            store = found.webhook.knowledge.checkpoints
            store._contents.crowded.add("team-b")
            with pytest.raises(Crowded, match="team-b has more ModelCheckpoints than are kept"):
                await found.answer(namespace="team-b")
            assert (await found.answer(PLAIN, namespace="team-b")).outcome is Outcome.ALLOW
            assert (await found.answer()).outcome is Outcome.ALLOW

    run(story())


def test_the_room_of_checkpoints_is_counted_in_bytes() -> None:
    kept = resources.MODEL_CHECKPOINTS.room
    assert kept is not None
    document = document_of(checkpoint())
    found = msgspec.json.decode(json.dumps(document), type=CheckpointItem)
    assert kept.weigh(found) == len(json.dumps(document["spec"])) + len(
        json.dumps(document["status"])
    )
    assert CHECKPOINTS.endswith(resources.CHECKPOINTS)


class Deaf(ApiInMemory):
    """One resource of it cannot be listed nor watched from some instant on."""

    def __init__(self) -> None:
        super().__init__()
        self.deaf_to = ""

    def stream(self, path: str) -> Any:
        if self.deaf_to and path.startswith(self.deaf_to):
            raise Unreachable("a watch event of more than 1 bytes")
        return super().stream(path)

    def _replied(self, method: str, path: str, body: object) -> Any:
        if self.deaf_to and path.startswith(f"{self.deaf_to}?"):
            raise Unreachable("the API server sent more than 1 bytes")
        return super()._replied(method, path, body)


def deaf() -> Deaf:
    plain, found = new_api(), Deaf()
    found.restore(*plain.snapshot())
    return found


@pytest.mark.parametrize(
    ("resource", "stops_plain_pods"),
    [
        pytest.param(PODS, False, id="pods"),
        pytest.param(CHECKPOINTS, False, id="checkpoints"),
        pytest.param(CLAIMS, False, id="claims"),
        pytest.param(POLICIES, True, id="policies"),
        pytest.param("/api/v1/namespaces", True, id="namespaces"),
    ],
)
def test_a_watch_that_is_late_stops_what_rests_on_it(
    resource: str, *, stops_plain_pods: bool
) -> None:
    async def story() -> None:
        api = deaf()
        async with world(api) as found:
            found.bind()
            found.verify()
            await found.settle()
            assert (await found.answer()).outcome is Outcome.ALLOW
            api.deaf_to = resource
            api.end_watches(Unreachable("reset"))
            await asyncio.sleep(STALE_SECONDS + 10)
            with pytest.raises(Stale):
                await found.answer()
            knowledge, judge = found.webhook.knowledge, found.webhook.judge
            if stops_plain_pods:
                with pytest.raises(Stale):
                    await found.answer(PLAIN)
                with pytest.raises(Stale):
                    judge.leaves_alone(NAMESPACE)
                with pytest.raises(Stale):
                    knowledge.expect_ready()
            else:
                assert (await found.answer(PLAIN)).outcome is Outcome.ALLOW
                assert judge.leaves_alone(NAMESPACE)
                knowledge.expect_ready()

    run(story())


def test_storage_that_nobody_governs_goes_on_while_writers_are_unknown() -> None:
    async def story() -> None:
        scratch = {"persistentVolumeClaim": {"storageClassNames": ["scratch"]}, "action": "Ignore"}
        api = deaf()
        put_policy(api, generation=2, volumes={"rules": [scratch]})
        async with world(api) as found:
            found.bind(storageClassName="scratch")
            await found.settle()
            api.deaf_to = PODS
            api.end_watches(Unreachable("reset"))
            await asyncio.sleep(STALE_SECONDS + 10)
            assert (await found.answer()).reason is Reason.NOT_GOVERNED
            # The claim is another one by now, of a class that is verified.
            found.api.delete(CLAIMS, "llama", NAMESPACE)
            found.bind()
            with pytest.raises(Stale, match="pods"):
                await found.answer()
            await found.settle()

    run(story())


def test_a_replica_that_starts_waits_for_everything_but_not_for_ever() -> None:
    async def story() -> None:
        api = deaf()
        api.deaf_to = PODS
        async with world(api) as found:
            knowledge = found.webhook.knowledge
            with pytest.raises(WeightlockError, match="pods"):
                knowledge.expect_ready()
            await asyncio.sleep(STALE_SECONDS)
            knowledge.expect_ready()
            assert (await found.answer(PLAIN)).outcome is Outcome.ALLOW
            found.bind()
            await found.settle()
            with pytest.raises(Stale):
                await found.answer()

    run(story())


def written(*volumes: Json) -> Any:
    mounts = [mount(each["name"], f"/{each['name']}", readOnly=False) for each in volumes]
    document = {
        "metadata": {"name": "w", "namespace": NAMESPACE},
        "spec": pod_spec(*volumes, containers=[container(*mounts)]),
    }
    found = writer_of(msgspec.json.decode(json.dumps(document), type=PodItem))
    return found.writes if found else ()


def test_the_same_place_is_kept_once() -> None:
    twice = [claim_volume(name, read_only=False) for name in ("a", "b")]
    assert written(*twice) == (WrittenClaim(NAMESPACE, "llama"),)


def test_names_that_nothing_can_have_are_not_kept() -> None:
    longest = "x" * 253
    assert written(claim_volume(claim=longest, read_only=False)) == (
        WrittenClaim(NAMESPACE, longest),
    )
    assert written(claim_volume(claim=longest + "x", read_only=False)) == ()
    assert written(pod_volume("a", nfs={"server": "s" * 254, "path": "/"})) == ()


def test_of_very_long_paths_the_roots_are_kept() -> None:
    def paths(length: int) -> Any:
        return written(
            pod_volume("a", hostPath={"path": "/" + "x" * (length - 1)}),
            pod_volume("b", nfs={"server": "s", "path": "/"}),
            claim_volume("c", read_only=False),
        )

    assert WrittenPath("", "/") not in paths(LONGEST_PATHS - 1)
    assert paths(LONGEST_PATHS) == (
        WrittenPath("", "/"),
        WrittenPath("s", "/"),
        WrittenClaim(NAMESPACE, "llama"),
    )


def kept_claim(**fields: Any) -> ClaimItem:
    document = claim()
    for key, value in fields.items():
        part = "metadata" if key == "ownerReferences" else "spec"
        document[part][key] = value
    found = resources.CLAIMS.keep(msgspec.json.decode(json.dumps(document), type=ClaimItem))
    assert found is not None
    return found


def test_of_a_claim_only_what_can_be_true_is_kept() -> None:
    assert kept_claim(volumeName="v" * 253).spec.volumeName == "v" * 253
    assert kept_claim(volumeName="v" * 254).spec.volumeName is None
    owners = [{"uid": "u", "name": "x" * 10_000}]
    assert [each.uid for each in kept_claim(ownerReferences=owners).metadata.ownerReferences or ()]
    assert kept_claim(ownerReferences=[{"uid": "u" * 4097}]).metadata.ownerReferences is None


def test_whatever_fills_a_claim_counts_and_is_not_kept() -> None:
    found = kept_claim(dataSource={"kind": "VolumeSnapshot", "name": "x" * 10_000})
    assert len(msgspec.json.encode(found)) < 500
    assert msgspec.to_builtins(found)["spec"]["dataSource"]


def test_what_was_used_last_is_kept() -> None:
    found: Recent[str, int] = Recent(2, 100)
    found.put("a", 1, 1)
    found.put("b", 2, 1)
    assert found.get("a") == 1
    found.put("c", 3, 1)
    assert [found.get(name) for name in "abc"] == [1, None, 3]
    found.put("c", 4, 99)
    assert (found.get("a"), found.get("c"), found.weight) == (1, 4, 100)
    found.put("d", 5, 101)
    assert (len(found), found.weight) == (0, 0)
