"""The indices beside the stores, the reader of writing pods, features and requests."""

import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from tests.support.api_in_memory import ApiInMemory, Json
from tests.support.loops import run
from tests.unit.policy.builders import NOW
from tests.unit.webhook.objects import claim_volume, container, mount, pod_spec, volume
from tests.unit.webhook.world import NAMESPACE, claim

from weightlock.errors import Malformed
from weightlock.policy.objects import PolicyKind
from weightlock.policy.volumes import VolumeFacts
from weightlock.reasons import Reason
from weightlock.verdict.floors import VouchedModel, entry_of
from weightlock_webhook import documents
from weightlock_webhook.cache.checkpoints import checkpoint_of, key_of, key_of_volume
from weightlock_webhook.cache.errors import Unreachable
from weightlock_webhook.cache.features import discovered, features_of
from weightlock_webhook.cache.memory import Restores, SealKeys, Versions
from weightlock_webhook.cache.objects import (
    CheckpointItem,
    ClaimItem,
    ConfigMapItem,
    Metadata,
    PolicyItem,
    SecretItem,
    VolumeItem,
    VolumeMetadata,
)
from weightlock_webhook.cache.pods import (
    PodItem,
    Writer,
    WrittenClaim,
    WrittenPath,
    writer_of,
)
from weightlock_webhook.cache.policies import Policies
from weightlock_webhook.cache.store import Store
from weightlock_webhook.cache.volumes import Volumes, places_in
from weightlock_webhook.cache.writers import MOST_PATHS, Writers
from weightlock_webhook.decision.answers import Problem
from weightlock_webhook.decision.storage import Backing, backing_of
from weightlock_webhook.gathering.lookups import Live
from weightlock_webhook.gathering.subjects import Subject
from weightlock_webhook.judging.clocks import ForwardClock
from weightlock_webhook.mounts import sources
from weightlock_webhook.mounts.paths import path_of
from weightlock_webhook.mounts.pods import pod_of
from weightlock_webhook.requesting import events, waiting
from weightlock_webhook.requesting.events import RequestedEvents
from weightlock_webhook.requesting.waiting import Request, Waiting


def pod_item(spec: Json, name: str = "p") -> PodItem:
    document = {"metadata": {"name": name, "namespace": NAMESPACE, "uid": name}, "spec": spec}
    return msgspec.json.decode(json.dumps(document), type=PodItem)


WRITABLE = mount(readOnly=False)
LLAMA = WrittenClaim(NAMESPACE, "llama")


@pytest.mark.parametrize(
    ("spec", "writes"),
    [
        pytest.param(pod_spec(), (), id="read-only twice"),
        pytest.param(pod_spec(claim_volume(read_only=False)), (), id="read-only mount"),
        pytest.param(pod_spec(containers=[container(WRITABLE)]), (), id="read-only volume"),
        pytest.param(
            pod_spec(claim_volume(read_only=False), containers=[container()]), (), id="not mounted"
        ),
        *(
            pytest.param(
                pod_spec(claim_volume(read_only=False), **{"containers": [], group: [writing]}),
                (LLAMA,),
                id=f"{kind} of {group}",
            )
            for group in ("containers", "initContainers", "ephemeralContainers")
            for kind, writing in (
                ("mount", container(WRITABLE)),
                ("device", {"name": "x", "volumeDevices": [{"name": "model"}]}),
            )
        ),
        pytest.param(
            pod_spec(claim_volume(read_only=False), containers=[container(mount(), WRITABLE)]),
            (LLAMA,),
            id="one mount of two",
        ),
        pytest.param(
            pod_spec(volume("model", hostPath={"path": "/data"}), containers=[container(WRITABLE)]),
            (WrittenPath("", "/data"),),
            id="host path",
        ),
        pytest.param(
            pod_spec(
                volume("model", nfs={"server": "s", "path": "/e"}), containers=[container(WRITABLE)]
            ),
            (WrittenPath("s", "/e"),),
            id="nfs",
        ),
        pytest.param(
            pod_spec(
                volume("model", nfs={"server": "s", "path": "/e", "readOnly": True}),
                containers=[container(WRITABLE)],
            ),
            (),
            id="read-only nfs",
        ),
        pytest.param(
            pod_spec(volume("model", ephemeral={}), containers=[container(WRITABLE)]),
            (WrittenClaim(NAMESPACE, "p-model"),),
            id="ephemeral",
        ),
        pytest.param(
            pod_spec(volume("model", emptyDir={}), containers=[container(WRITABLE)]),
            (),
            id="scratch",
        ),
        pytest.param({"containers": None, "volumes": None}, (), id="nothing"),
    ],
)
def test_a_pod_writes_to_what_it_mounts_for_writing(spec: Json, writes: tuple[object, ...]) -> None:
    found = writer_of(pod_item(spec))
    assert (found.writes if found else ()) == writes


class Writes:
    """Writers under a clock that the test moves."""

    def __init__(self) -> None:
        self.now = NOW
        self.writers = Writers(lambda: self.now)

    def pod(self, uid: str, *writes: Any) -> Writer:
        return Writer(Metadata(uid, NAMESPACE, uid), writes)

    def later(self) -> datetime:
        self.now += timedelta(minutes=1)
        return self.now


def test_a_writer_was_last_seen_when_the_last_of_them_went() -> None:
    case = Writes()
    one, other = case.pod("one", LLAMA), case.pod("other", LLAMA)
    assert case.writers.of_claim(NAMESPACE, "llama", None) is None
    case.writers.changed(None, one)
    case.writers.changed(None, other)
    case.later()
    assert case.writers.of_claim(NAMESPACE, "llama", None) == case.now
    case.writers.changed(one, None)
    case.later()
    assert case.writers.of_claim(NAMESPACE, "llama", None) == case.now
    case.writers.changed(other, None)
    ended = case.now
    case.later()
    assert case.writers.of_claim(NAMESPACE, "llama", None) == ended
    assert case.writers.of_claim("team-b", "llama", None) is None


def test_another_pod_of_the_same_name_is_another_writer() -> None:
    case = Writes()
    one, other = case.pod("one", LLAMA), case.pod("other", LLAMA)
    case.writers.changed(None, one)
    case.writers.changed(one, other)
    case.writers.changed(other, None)
    assert case.writers.of_claim(NAMESPACE, "llama", None) == case.now


def test_an_ephemeral_container_makes_a_pod_a_writer_of_more() -> None:
    case = Writes()
    one, more = case.pod("one"), case.pod("one", LLAMA)
    case.writers.changed(one, more)
    case.writers.changed(more, case.pod("one"))
    ended = case.now
    case.later()
    assert case.writers.of_claim(NAMESPACE, "llama", None) == ended


HOST = VolumeFacts("hostPath", path=path_of("/data/models"))
EXPORT = VolumeFacts("nfs", path=path_of("/export"), server="s")


@pytest.mark.parametrize(
    ("written", "facts", "is_seen"),
    [
        pytest.param(WrittenPath("", "/data"), HOST, True, id="above"),
        pytest.param(WrittenPath("", "/data/models/a"), HOST, True, id="below"),
        pytest.param(WrittenPath("", "/data/model"), HOST, False, id="beside"),
        pytest.param(WrittenPath("", "/data/../x"), HOST, True, id="anywhere"),
        pytest.param(WrittenPath("s", "/data"), HOST, False, id="of a server"),
        pytest.param(WrittenPath("s", "//export/"), EXPORT, True, id="export"),
        pytest.param(WrittenPath("t", "/export"), EXPORT, False, id="another server"),
        pytest.param(LLAMA, HOST, False, id="a claim"),
        pytest.param(WrittenPath("", "/data"), VolumeFacts("csi"), False, id="no path"),
    ],
)
def test_paths_are_written_by_whoever_reaches_them(
    written: Any, facts: VolumeFacts, is_seen: bool
) -> None:
    case = Writes()
    case.writers.changed(None, case.pod("one", written))
    assert (case.writers.of_path(facts) is not None) is is_seen
    assert (case.writers.of_claim(NAMESPACE, "other", facts) is not None) is is_seen


def test_too_many_paths_end_as_one_that_may_be_any() -> None:
    case = Writes()
    running = case.pod("running", WrittenPath("", "/running"))
    case.writers.changed(None, running)
    for number in range(MOST_PATHS + 1):
        pod = case.pod(f"p{number}", WrittenPath("", f"/p{number}"))
        case.writers.changed(None, pod)
        case.writers.changed(pod, None)
    assert len(case.writers._paths) < MOST_PATHS
    assert case.writers.of_path(EXPORT) == case.now
    ended = case.now
    case.later()
    assert case.writers.of_path(EXPORT) == ended
    assert case.writers.of_path(VolumeFacts("hostPath", path=path_of("/running"))) == case.now


def volume_item(name: str, handle: str, mode: str = "ReadWriteMany", **spec: Any) -> VolumeItem:
    source = spec or {"csi": {"driver": "d", "volumeHandle": handle}}
    document = {"accessModes": [mode], **source}
    return VolumeItem(VolumeMetadata(name), msgspec.Raw(json.dumps(document).encode()))


def backing(item: VolumeItem) -> Backing:
    document = {"metadata": {"name": item.metadata.name}, "spec": json.loads(bytes(item.spec))}
    return backing_of(document)


def test_twins_are_told_as_they_come_and_go() -> None:
    index = Volumes()
    one, twin = volume_item("one", "h"), volume_item("twin", "h")
    index.changed(None, one)
    assert not index.has_writable_twin(backing(one))
    index.changed(None, twin)
    assert index.has_writable_twin(backing(one))
    read_only = volume_item("twin", "h", "ReadOnlyMany")
    index.changed(twin, read_only)
    assert index.has_writable_twin(backing(one)), "nobody enforces access modes"
    assert index.has_writable_twin(backing(read_only))
    index.changed(one, None)
    index.changed(read_only, None)
    assert not index.has_writable_twin(backing(one))


@pytest.mark.parametrize("spec", [b'{"csi": 5}', b'{"csi": {}, "nfs": {}}', b"{", b"[]"])
def test_a_volume_that_the_api_would_not_have_sent_leads_nowhere(spec: bytes) -> None:
    odd = VolumeItem(VolumeMetadata("odd"), msgspec.Raw(spec))
    assert places_in(odd) == ()
    index = Volumes()
    index.changed(None, odd)
    index.changed(odd, odd)
    index.changed(odd, None)


def test_a_volume_with_a_path_that_nobody_can_tell_is_a_twin_of_all_on_its_server() -> None:
    index = Volumes()
    one = volume_item("one", "", nfs={"server": "s", "path": "/models"})
    index.changed(None, one)
    index.changed(None, volume_item("odd", "", nfs={"server": "s", "path": "/x/../models"}))
    assert index.has_writable_twin(backing(one))


def checkpoint_item(spec: bytes, status: bytes = b"{}") -> CheckpointItem:
    metadata = Metadata("step-1", NAMESPACE, "uid", "1", 1)
    return CheckpointItem(metadata, msgspec.Raw(spec), msgspec.Raw(status))


DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("source", "pod_source"),
    [
        pytest.param(
            {"persistentVolumeClaim": {"claimName": "llama"}},
            sources.ClaimSource("llama", read_only=True),
            id="claim",
        ),
        pytest.param(
            {"hostPath": {"path": "/mnt/m", "nodeName": "n"}},
            sources.HostPathSource(path_of("//mnt/m/"), ""),
            id="host path",
        ),
        pytest.param(
            {"nfs": {"server": "s", "path": "/e"}},
            sources.InlineSource("nfs", "{}", True, "s", path_of("/e/.")),
            id="nfs",
        ),
        pytest.param(
            {"csi": {"driver": "d", "volumeAttributes": {"a": "b"}}},
            sources.InlineSource("csi", "{}", True, driver="d"),
            id="csi",
        ),
        pytest.param(
            {"image": {"reference": f"a.example/b@{DIGEST}"}},
            sources.ImageSource(f"mirror.example/b@{DIGEST}", DIGEST),
            id="image",
        ),
    ],
)
def test_checkpoints_are_found_by_what_a_pod_names(source: Json, pod_source: Any) -> None:
    found = key_of(checkpoint_item(json.dumps({"source": source}).encode()))
    assert found == key_of_volume(NAMESPACE, pod_source)
    assert found is not None


@pytest.mark.parametrize("spec", [b"{}", b'{"source": {}}', b'{"source": 5}', b"{"])
def test_a_checkpoint_about_nothing_is_never_found(spec: bytes) -> None:
    assert key_of(checkpoint_item(spec)) is None


@pytest.mark.parametrize(
    "source",
    [
        sources.ScratchSource(),
        sources.ImageSource("x:latest", ""),
        sources.UnknownSource(("x",)),
        sources.InlineSource("iscsi", "{}", True),
    ],
)
def test_volumes_that_no_checkpoint_is_about_have_no_key(source: Any) -> None:
    assert key_of_volume(NAMESPACE, source) is None


GOOD = b'{"source": {"persistentVolumeClaim": {"claimName": "llama"}}}'


@pytest.mark.parametrize("status", [b'{"phase": "Nonsense"}', b"null", b"{}"])
def test_a_status_that_cannot_be_read_is_none(status: bytes) -> None:
    found = checkpoint_of(checkpoint_item(GOOD, status))
    assert found is not None
    assert found.status is None


@pytest.mark.parametrize("spec", [b"{}", b"{", b"5"])
def test_a_checkpoint_that_cannot_be_read_vouches_for_nothing(spec: bytes) -> None:
    assert checkpoint_of(checkpoint_item(spec)) is None


SECRET = base64.b64encode(b"k" * 32).decode()


@pytest.mark.parametrize(
    ("data", "count"),
    [
        (None, 0),
        ({}, 0),
        ({"current": SECRET}, 1),
        ({"current": SECRET, "previous": SECRET}, 2),
        ({"current": SECRET, "next": SECRET}, 1),
        ({"current": "%"}, 0),
        ({"current": "c2hvcnQ="}, 0),
    ],
)
def test_seal_keys_are_the_two_that_have_a_name(data: Any, count: int) -> None:
    keys = SealKeys()
    keys.changed(None, SecretItem(Metadata("weightlock-seal"), data))
    assert len(keys.keys) == count
    keys.changed(None, None)
    assert keys.keys == ()


def test_versions_only_rise() -> None:
    versions = Versions()
    model = VouchedModel("ClusterModelPolicy p", "m")
    damaged = [(entry_of(model, 9)[0], "{"), ("k", entry_of(model, 9)[1])]
    for entry in (entry_of(model, 3), entry_of(model, 2), *damaged):
        versions.changed(None, ConfigMapItem(Metadata("v"), dict([entry])))
    versions.changed(None, None)
    assert versions.highest == {model: 3}


def test_the_last_restore_counts_whoever_noticed_it() -> None:
    restores = Restores(lambda: NOW)
    assert restores.restored_at is None
    state = ConfigMapItem(Metadata("s"), {"restoredAt": "2030-01-01T00:00:00Z"})
    restores.notice()
    assert restores.restored_at == NOW
    restores.changed(None, state)
    assert restores.restored_at == datetime(2030, 1, 1, tzinfo=UTC)
    restores.changed(state, None)
    assert restores.restored_at == datetime(2030, 1, 1, tzinfo=UTC)


def test_a_clock_only_goes_forward() -> None:
    shown = [NOW, NOW + timedelta(1), NOW, NOW + timedelta(2)]
    clock = ForwardClock(lambda: shown.pop(0))
    assert [clock() for _ in range(3)] == [
        NOW + timedelta(1),
        NOW + timedelta(1),
        NOW + timedelta(2),
    ]


CORE = "io.k8s.api.core.v1."


def openapi(**kinds: list[str]) -> bytes:
    definitions: Json = {
        CORE + kind: {"properties": {name: {} for name in names}} for kind, names in kinds.items()
    }
    return json.dumps({"definitions": definitions}).encode()


def test_features_are_what_the_document_says() -> None:
    new = features_of(openapi(PodSpec=["schedulingGates"], Volume=["name", "image"]))
    assert new.has_scheduling_gates
    assert new.has_image_volumes
    assert new.volume_sources == {"image"}
    old = features_of(openapi(PodSpec=["containers"]))
    assert not old.has_scheduling_gates
    assert not old.has_image_volumes


@pytest.mark.parametrize(
    ("served", "api"),
    [
        pytest.param([], "", id="none"),
        pytest.param(["v1alpha2"], "", id="one without classes of devices"),
        pytest.param(["v1beta1"], "v1beta1", id="the only one"),
        pytest.param(["v1beta1", "v1", "v1beta2"], "v1", id="the newest of three"),
    ],
)
def test_claims_for_devices_are_read_by_the_newest_version_that_is_served(
    served: list[str], api: str
) -> None:
    document = json.loads(openapi(PodSpec=["containers"]))
    for version in served:
        document["definitions"][f"io.k8s.api.resource.{version}.ResourceClaim"] = {}
    assert features_of(json.dumps(document).encode()).device_api == api


@pytest.mark.parametrize("document", [b"{}", b"[]", b"{", openapi(), openapi(PodSpec=[])])
def test_a_document_without_pods_is_an_error(document: bytes) -> None:
    with pytest.raises(Unreachable):
        features_of(document)


def test_features_are_asked_of_the_server() -> None:
    async def story() -> None:
        api = ApiInMemory()
        api.documents["/openapi/v2"] = json.loads(openapi(PodSpec=["containers"]))
        assert not (await discovered(api)).has_scheduling_gates
        api.faults.status = 403
        with pytest.raises(Unreachable, match="403"):
            await discovered(api)

    run(story())


def problem(name: str = "model", path: str = "/") -> Problem:
    return Problem(Reason.NO_CHECKPOINT, "", "", "", volume=name, path=path, awaits_verdict=True)


class Claims:
    """A lookup that knows every claim but one."""

    def claim(self, key: tuple[str, str]) -> ClaimItem | None:
        namespace, name = key
        if name == "none":
            return None
        document = claim(name)
        document["metadata"].update(namespace=namespace, uid=f"uid-{namespace}-{name}")
        return msgspec.json.decode(json.dumps(document), type=ClaimItem)

    def volume(self, name: str) -> None: ...

    def checkpoint(self, key: tuple[str, str]) -> None: ...

    def checkpoints(self, namespace: str, source: Any) -> tuple[CheckpointItem, ...]:
        return ()


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


def test_a_policy_that_is_no_json_cannot_be_decided_upon() -> None:
    index = Policies(Store("namespaces"))
    item = PolicyItem(Metadata("bad", "", "uid"), msgspec.Raw(b"{"))
    index.changed(PolicyKind.CLUSTER_MODEL_POLICY, None, item)
    (unread,) = index.governing("team-a").unread
    assert (unread.policy.origin, unread.view) == ("ClusterModelPolicy bad", None)
    assert "not plain JSON" in unread.policy.trouble.message
    index.changed(PolicyKind.CLUSTER_MODEL_POLICY, item, None)
    assert not index.governing("team-a").unread
    assert index.identities("team-a") == frozenset()


def test_live_reads_of_other_namespaces_are_no_business_of_this_one() -> None:
    item = checkpoint_item(GOOD)
    live = Live(Claims(), read_checkpoints={("team-b", "x"): item})
    assert tuple(live.checkpoints(NAMESPACE, sources.ClaimSource("llama", read_only=True))) == ()


@pytest.mark.parametrize("content", [b'{"spec": []}', b'{"spec": 5}', b"{}"])
def test_a_pod_without_a_spec_is_none(content: bytes) -> None:
    with pytest.raises(Malformed):
        documents.decoded(content, documents.POD, "pod")


def test_a_json_object_is_one_when_somebody_looks() -> None:
    found = documents.JsonObject(b'{"a": 1}')
    assert (dict(found), len(found), list(found)) == ({"a": 1}, 1, ["a"])
    with pytest.raises(Malformed):
        len(documents.JsonObject(b"{"))
