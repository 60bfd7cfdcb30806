"""A store stays equal to what the API server has, or says how long it has not been."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.support.api_in_memory import ApiInMemory, Json
from tests.support.loops import run

from weightlock_webhook.cache import resources
from weightlock_webhook.cache.errors import Unreachable
from weightlock_webhook.cache.objects import Item, SecretItem
from weightlock_webhook.cache.reflector import PAGE_BYTES, PAGE_ITEMS, Patience, Reflector
from weightlock_webhook.cache.store import Store

PATH = "/api/v1/persistentvolumes"
SMALL = resources.Resource("volumes", PATH, Item, lambda item: item, most=2000)


class Watched:
    """A store that is being fed, and what it told."""

    def __init__(self, api: ApiInMemory, resource: resources.Resource[Item, Item] = SMALL) -> None:
        self.told: list[tuple[str, str]] = []
        self.went_back = 0
        self.store: Store[Item] = Store("volumes", self._listen)
        self.reflector = Reflector(
            resource, self.store, api, lambda: 0.5, patience=Patience(), went_back=self._back
        )

    @property
    def names(self) -> set[str]:
        return {item.metadata.name for item in self.store}

    def staleness(self) -> float:
        return self.store.staleness_seconds(asyncio.get_running_loop().time())

    def _listen(self, before: Item | None, after: Item | None) -> None:
        word = "gone" if after is None else "changed" if before else "new"
        found = after or before
        assert found is not None
        self.told.append((word, found.metadata.name))

    def _back(self) -> None:
        self.went_back += 1


@asynccontextmanager
async def watched(
    api: ApiInMemory, resource: resources.Resource[Item, Item] = SMALL
) -> AsyncIterator[Watched]:
    found = Watched(api, resource)
    task = asyncio.create_task(found.reflector.run())
    await asyncio.sleep(1)
    try:
        yield found
    finally:
        task.cancel()
        await asyncio.wait([task])


def volume(name: str) -> Json:
    return {"metadata": {"name": name}, "spec": {"x": 1}}


def api_with(*names: str) -> ApiInMemory:
    api = ApiInMemory()
    for name in names:
        api.put(PATH, volume(name))
    return api


def test_everything_is_listed_and_then_followed() -> None:
    async def story() -> None:
        api = api_with("a", "b")
        async with watched(api) as found:
            assert found.store.is_synced
            assert found.names == {"a", "b"}
            api.put(PATH, volume("c"))
            api.put(PATH, volume("a"))
            api.delete(PATH, "b")
            await asyncio.sleep(0.1)
            assert found.names == {"a", "c"}
            assert found.told[2:] == [("new", "c"), ("changed", "a"), ("gone", "b")]

    run(story())


def test_long_lists_come_in_pages() -> None:
    async def story() -> None:
        api = api_with(*(f"v{number:04}" for number in range(2 * PAGE_ITEMS + 1)))
        async with watched(api) as found:
            assert len(found.store) == 2 * PAGE_ITEMS + 1
        assert sum(method == "GET" for method, _ in api.calls) == 3

    run(story())


def test_pages_that_are_too_long_are_asked_for_with_fewer_objects() -> None:
    """A tenant's pods of some megabytes each, before and behind those of everybody else."""

    async def story() -> None:
        names = [f"v{number:04}" for number in range(200)]
        api = api_with(*names)
        for name in ("v0000", "v0001", "v0100", "v0199"):
            api.put(PATH, {"metadata": {"name": name}, "spec": {"x": "<" * 20_000}})
        api.faults.most_bytes = 21_000
        async with watched(api) as found:
            assert found.names == set(names)
            calls = _lists(api)
            assert calls < 100, "pages grow again where objects are small"
            api.end_watches(Unreachable("reset"))
            await asyncio.sleep(5)
            assert found.names == set(names)

    run(story())


def test_an_object_that_is_too_long_alone_leaves_what_is_known_to_grow_old() -> None:
    async def story() -> None:
        api = api_with("a", "b")
        api.put(PATH, {"metadata": {"name": "c"}, "spec": {"x": "<" * 20_000}})
        api.faults.most_bytes = 10_000
        async with watched(api) as found:
            await asyncio.sleep(100)
            assert not found.store.is_synced

    run(story())


def test_pages_are_as_long_as_is_decoded_at_one_go() -> None:
    async def story() -> None:
        api = ApiInMemory()
        for number in range(8):
            spec = {"x": "y" * (PAGE_BYTES // 4)}
            api.put(PATH, {"metadata": {"name": f"v{number}"}, "spec": spec})
        async with watched(api) as found:
            assert len(found.store) == 8
            api.calls.clear()
            api.end_watches(Unreachable("reset"))
            await asyncio.sleep(5)
            assert "limit=3" in api.calls[0][1]
            assert _lists(api) == 3

    run(story())


def test_a_list_whose_continuation_is_gone_comes_in_one_piece() -> None:
    async def story() -> None:
        api = api_with(*(f"v{number:04}" for number in range(PAGE_ITEMS + 1)))
        api.faults.forgets_continuations = True
        async with watched(api) as found:
            assert len(found.store) == PAGE_ITEMS + 1

    run(story())


def test_what_was_deleted_during_a_gap_is_gone_after_it() -> None:
    async def story() -> None:
        api = api_with("kept", "deleted", "changed")
        async with watched(api) as found:
            api.faults.is_down = True
            api.end_watches(Unreachable("reset"))
            await asyncio.sleep(1)
            api.delete(PATH, "deleted")
            api.put(PATH, volume("changed"))
            api.put(PATH, volume("new"))
            await asyncio.sleep(30)
            found.told.clear()
            api.faults.is_down = False
            await asyncio.sleep(30)
            assert found.names == {"kept", "changed", "new"}
            assert set(found.told) == {("gone", "deleted"), ("changed", "changed"), ("new", "new")}

    run(story())


def test_a_recreated_object_of_the_same_name_is_another_one() -> None:
    async def story() -> None:
        api = api_with("a")
        async with watched(api) as found:
            before = found.store.get(("", "a"))
            api.end_watches(Unreachable("reset"))
            api.delete(PATH, "a")
            api.put(PATH, volume("a"))
            await asyncio.sleep(5)
            after = found.store.get(("", "a"))
            assert before is not None
            assert after is not None
            assert before.metadata.uid != after.metadata.uid

    run(story())


def test_a_version_that_the_server_has_forgotten_is_followed_by_a_list() -> None:
    async def story() -> None:
        api = api_with("a", "b")
        async with watched(api) as found:
            api.delete(PATH, "a")
            api.compact()
            api.end_watches()
            await asyncio.sleep(5)
            assert found.names == {"b"}

    run(story())


def test_gone_on_an_open_watch_is_followed_by_a_list() -> None:
    async def story() -> None:
        api = api_with("a")
        async with watched(api) as found:
            lists = _lists(api)
            api.say({"type": "ERROR", "object": {"code": 410, "reason": "Expired"}})
            await asyncio.sleep(5)
            assert _lists(api) == lists + 1
            assert found.names == {"a"}

    run(story())


@pytest.mark.parametrize(
    "line",
    [
        pytest.param({"type": "ERROR", "object": {"code": 500}}, id="an error"),
        pytest.param({"type": "SURPRISE", "object": {}}, id="an unknown type"),
        pytest.param({"type": "ADDED", "object": {"metadata": {}}}, id="an object without a name"),
        pytest.param({"type": "ADDED", "object": 5}, id="no object"),
        pytest.param({"nothing": 1}, id="no event"),
        pytest.param(
            {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "1"}}},
            id="a version before the list",
        ),
    ],
)
def test_a_watch_that_says_nonsense_is_given_up(line: Json) -> None:
    async def story() -> None:
        api = api_with("a")
        async with watched(api) as found:
            lists = _lists(api)
            api.say(line)
            await asyncio.sleep(5)
            assert _lists(api) == lists + 1
            api.put(PATH, volume("b"))
            await asyncio.sleep(1)
            assert found.names == {"a", "b"}

    run(story())


def test_an_ended_watch_goes_on_without_a_list() -> None:
    async def story() -> None:
        api = api_with("a")
        async with watched(api) as found:
            lists = _lists(api)
            api.end_watches()
            api.put(PATH, volume("b"))
            await asyncio.sleep(1)
            assert found.names == {"a", "b"}
            assert _lists(api) == lists

    run(story())


def test_a_quiet_resource_stays_fresh_by_bookmarks() -> None:
    async def story() -> None:
        async with watched(api_with("a")) as found:
            for _ in range(100):
                await asyncio.sleep(37)
                assert found.staleness() <= 60

    run(story())


def test_a_quiet_resource_stays_fresh_by_lists_where_there_are_no_bookmarks() -> None:
    class Old(ApiInMemory):
        """A watch of it ends when its time is over, and says nothing before."""

        @asynccontextmanager
        async def stream(self, path: str) -> AsyncIterator[AsyncIterator[bytes]]:
            self.calls.append(("WATCH", path))

            async def nothing() -> AsyncIterator[bytes]:
                await asyncio.sleep(Patience().watch_seconds)
                for line in list[bytes]():
                    yield line

            yield nothing()

    async def story() -> None:
        api = Old()
        async with watched(api) as found:
            for _ in range(100):
                await asyncio.sleep(37)
                assert found.staleness() <= 60
        assert len(api.calls) < 200

    run(story())


def test_a_silent_watch_is_noticed_and_replaced() -> None:
    async def story() -> None:
        api = api_with("a")
        api.faults.is_silent = True
        async with watched(api) as found:
            api.put(PATH, volume("b"))
            await asyncio.sleep(70)
            assert found.names == {"a"}
            assert found.staleness() > 69
            await asyncio.sleep(10)
            assert found.names == {"a", "b"}
            assert found.staleness() < 10

    run(story())


def test_a_server_that_stays_away_makes_what_is_known_older_and_older() -> None:
    async def story() -> None:
        api = api_with("a")
        async with watched(api) as found:
            api.faults.is_down = True
            api.end_watches(Unreachable("reset"))
            await asyncio.sleep(3600)
            assert found.staleness() > 3599
            assert found.names == {"a"}

    run(story())


def test_pauses_grow_and_end() -> None:
    async def story() -> None:
        api = ApiInMemory()
        api.faults.is_down = True
        async with watched(api) as found:
            await asyncio.sleep(600)
            assert not found.store.is_synced
            # Ten minutes of at most 15 seconds each, after a quick start.
            assert 40 < len(api.calls) < 80

    run(story())


def test_a_server_that_ends_every_watch_at_once_is_not_asked_in_a_loop() -> None:
    class Hasty(ApiInMemory):
        @asynccontextmanager
        async def stream(self, path: str) -> AsyncIterator[AsyncIterator[bytes]]:
            self.calls.append(("WATCH", path))

            async def nothing() -> AsyncIterator[bytes]:
                for line in list[bytes]():
                    yield line

            yield nothing()

    async def story() -> None:
        api = Hasty()
        async with watched(api):
            await asyncio.sleep(10)
        assert len(api.calls) < 200

    run(story())


@pytest.mark.parametrize(
    "fault", [{"status": 500}, {"status": 403}, {"garbage": b"{"}, {"garbage": b"[]"}]
)
def test_no_list_means_not_synced(fault: Json) -> None:
    async def story() -> None:
        api = api_with("a")
        for name, value in fault.items():
            setattr(api.faults, name, value)
        async with watched(api) as found:
            await asyncio.sleep(100)
            assert not found.store.is_synced

    run(story())


def test_more_objects_than_are_kept_is_an_error_and_not_forgotten() -> None:
    async def story() -> None:
        few = resources.Resource("volumes", PATH, Item, lambda item: item, most=2)
        api = api_with("a", "b", "c")
        async with watched(api, few) as found:
            assert not found.store.is_synced
            api.delete(PATH, "c")
            await asyncio.sleep(20)
            assert found.names == {"a", "b"}
            staleness = found.staleness()
            api.put(PATH, volume("d"))
            await asyncio.sleep(60)
            assert found.staleness() > staleness + 30

    run(story())


def test_versions_that_go_backwards_are_reported_and_nothing_old_is_reused() -> None:
    async def story() -> None:
        api = api_with("a")
        backup = api.snapshot()
        async with watched(api) as found:
            api.put(PATH, volume("b"))
            await asyncio.sleep(1)
            known = found.store.get(("", "a"))
            api.restore(*backup)
            api.end_watches(Unreachable("restarted"))
            await asyncio.sleep(5)
            assert found.went_back == 1
            assert found.names == {"a"}
            assert found.store.get(("", "a")) is not known

    run(story())


def test_objects_that_did_not_change_are_kept_as_they_are() -> None:
    async def story() -> None:
        api = api_with("a")
        async with watched(api) as found:
            known = found.store.get(("", "a"))
            api.end_watches(Unreachable("reset"))
            await asyncio.sleep(5)
            assert found.store.get(("", "a")) is known

    run(story())


def test_versions_that_are_no_numbers_are_followed_all_the_same() -> None:
    async def story() -> None:
        api = api_with("a")
        async with watched(api):
            document = {"metadata": {"name": "b", "resourceVersion": "opaque"}}
            api.say({"type": "ADDED", "object": document})
            await asyncio.sleep(0.1)
            lists = _lists(api)
            await asyncio.sleep(1)
            assert _lists(api) == lists + 1

    run(story())


def _lists(api: ApiInMemory) -> int:
    return sum(method == "GET" for method, _ in api.calls)


def test_a_single_object_is_that_one_whatever_the_server_selects() -> None:
    async def story() -> None:
        api = ApiInMemory()
        path = "/api/v1/secrets"
        secret = {"metadata": {"name": "weightlock-seal", "namespace": "weightlock-system"}}
        api.put(path, secret)
        store: Store[SecretItem] = Store("seal")
        resource = resources.seal_secret("weightlock-system")
        task = asyncio.create_task(Reflector(resource, store, api, lambda: 0.5).run())
        await asyncio.sleep(1)
        other = {"metadata": {"name": "other", "namespace": "weightlock-system"}}
        api.say({"type": "ADDED", "object": other})
        await asyncio.sleep(1)
        assert [item.metadata.name for item in store] == ["weightlock-seal"]
        task.cancel()
        await asyncio.wait([task])

    run(story())


def test_objects_that_are_not_kept_are_left_out_of_a_list_too() -> None:
    async def story() -> None:
        kept = resources.Resource(
            "volumes", PATH, Item, lambda item: item if item.metadata.name == "a" else None
        )
        async with watched(api_with("a", "b"), kept) as found:
            assert found.names == {"a"}

    run(story())


def test_nothing_is_proven_before_the_first_list() -> None:
    store: Store[Item] = Store("x")
    store.proven(5.0)
    assert store.staleness_seconds(6.0) == float("inf")
