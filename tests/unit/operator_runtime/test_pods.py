"""What is kept of pods, and how it is found again."""

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import urllib3.exceptions
from hypothesis import given
from hypothesis import strategies as st

from weightlock.policy.paths import VolumePath
from weightlock.policy.sources import ClaimSource, HostPathSource, NfsSource
from weightlock.verdict.places import Place
from weightlock_operator.decision.places import places_of_source
from weightlock_operator.decision.readings import reading_of
from weightlock_operator.decision.usage import use_of, uses_of
from weightlock_operator.pod_index import (
    DEPARTED_FOR,
    DEPARTED_PODS,
    PodIndex,
)
from weightlock_operator.pod_reader import (
    FIRST_PAUSE_SECONDS,
    LINE_BYTES,
    PAGE_BYTES,
    PAGE_ITEMS,
    PodChange,
    PodList,
    PodReader,
)
from weightlock_operator.pod_records import PodRecord, record_of_pod

Json = dict[str, Any]
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
MODEL: Json = {"name": "model", "persistentVolumeClaim": {"claimName": "llama"}}


def pod(name: str = "trainer", *volumes: Json, node: str = "node-a", **metadata: object) -> Json:
    return {
        "metadata": {
            "name": name,
            "namespace": "team-a",
            "uid": f"uid-{name}",
            "resourceVersion": "7",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "managedFields": [{"manager": "x" * 1000}],
            **metadata,
        },
        "spec": {
            "nodeName": node,
            "volumes": [*volumes, {"name": "token", "projected": {}}],
            "containers": [
                {
                    "name": "main",
                    "image": "i",
                    "env": [{"name": "A", "value": "x" * 1000}],
                    "volumeMounts": [
                        {"name": each["name"], "mountPath": "/m", "subPath": "a"}
                        for each in volumes
                    ],
                }
            ],
        },
        "status": {"phase": "Running"},
    }


def record(*args: Any, **more: Any) -> PodRecord:
    found = record_of_pod(pod(*args, **more))
    assert found is not None
    return found


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(pod("web"), id="no volume of interest"),
        pytest.param(pod("web", {"name": "s", "emptyDir": {}}), id="scratch"),
        pytest.param(pod("web", MODEL, node=""), id="not on a node yet"),
        pytest.param({"metadata": {}}, id="nothing"),
    ],
)
def test_nothing_is_kept_of_a_pod_that_does_not_matter(body: Json) -> None:
    assert record_of_pod(body) is None


def test_little_is_kept_of_one_that_does() -> None:
    kept = record("trainer", MODEL)
    assert kept.claims == ("llama",)
    assert len(kept.use) < 600


SOURCES = [
    (ClaimSource("llama"), MODEL),
    (ClaimSource("trainer-model"), {"name": "model", "ephemeral": {"volumeClaimTemplate": {}}}),
    (
        HostPathSource(VolumePath.parse("/models"), "node-a"),
        {"name": "model", "hostPath": {"path": "/models/llama"}},
    ),
]
TIMES = st.sampled_from(["2026-01-01T09:00:00Z", "2026-01-01T10:00:00Z", "2026-01-01T11:00:00Z"])
CONTAINERS = st.one_of(
    st.just({"state": {"running": {}}}),
    st.just({}),
    st.builds(
        lambda at: {"state": {"terminated": {"finishedAt": at, "exitCode": 0}}},
        st.one_of(TIMES, st.none()),
    ),
)


@given(
    pair=st.sampled_from(SOURCES),
    phase=st.sampled_from(["Pending", "Running", "Succeeded", "Failed"]),
    read_only=st.booleans(),
    containers=st.lists(CONTAINERS, max_size=3),
    conditions=st.lists(st.one_of(TIMES, st.none()), max_size=2),
    managed=st.lists(TIMES, max_size=2),
)
def test_what_is_kept_says_the_same_about_use_as_the_whole_pod(
    pair: tuple[Any, Json],
    phase: str,
    *,
    read_only: bool,
    containers: list[Json],
    conditions: list[str | None],
    managed: list[str],
) -> None:
    source, volume = pair
    body = pod("trainer", volume, managedFields=[{"time": at} for at in managed])
    body["spec"]["containers"][0]["volumeMounts"][0]["readOnly"] = read_only
    body["status"] = {
        "phase": phase,
        "containerStatuses": containers,
        "conditions": [{"lastTransitionTime": at} for at in conditions],
    }
    kept = record_of_pod(body)
    assert kept is not None
    path = VolumePath.parse("/")
    kept_use = use_of(reading_of(json.loads(kept.use)), source, path)
    assert kept_use == use_of(reading_of(body), source, path)


def test_a_pod_of_ours_is_kept_as_seen_and_uses_nothing() -> None:
    labels = {"weightlock.dev/checkpoint-uid": "c", "weightlock.dev/verification": "n" * 16}
    claim = {"claimName": "llama", "readOnly": True}
    kept = record("verifier", {"name": "model", "persistentVolumeClaim": claim}, labels=labels)
    assert kept.seen is not None
    assert (kept.checkpoint_uid, kept.use) == ("c", b"")


@pytest.mark.parametrize(
    ("volume", "mount", "may_write"),
    [
        pytest.param({}, {"readOnly": True}, False, id="a mount that is only read"),
        pytest.param({}, {}, True, id="a mount"),
        pytest.param({"readOnly": True}, {}, False, id="a volume that is only read"),
        pytest.param({}, None, True, id="not mounted yet"),
        pytest.param({"readOnly": True}, None, False, id="only read and not mounted yet"),
        pytest.param({}, {"readOnly": "true"}, True, id="what is no boolean"),
    ],
)
@pytest.mark.parametrize("kind", ["persistentVolumeClaim", "hostPath", "nfs"])
def test_a_label_of_ours_makes_nobody_less_of_a_writer(
    kind: str, volume: Json, mount: Json | None, *, may_write: bool
) -> None:
    if kind == "hostPath" and volume:
        pytest.skip("it cannot say so")
    sources = {
        "persistentVolumeClaim": {"claimName": "llama"},
        "hostPath": {"path": "/models"},
        "nfs": {"server": "s", "path": "/models"},
    }
    labels = {"weightlock.dev/checkpoint-uid": "c"}
    body = pod("forged", {"name": "model", kind: {**sources[kind], **volume}}, labels=labels)
    mounts = [] if mount is None else [{"name": "model", "mountPath": "/m", **mount}]
    body["spec"]["containers"][0]["volumeMounts"] = mounts
    kept = record_of_pod(body)
    assert kept is not None
    assert kept.checkpoint_uid == "c"
    assert bool(kept.use) is may_write


def test_a_held_pod_is_kept_before_it_has_a_node() -> None:
    waits = [{"volume": "model", "claim": "llama", "path": "/", "checkpoint": ""}]
    kept = record(
        "held",
        MODEL,
        node="",
        labels={"weightlock.dev/held": "true"},
        annotations={"weightlock.dev/waits-for": json.dumps(waits)},
    )
    assert kept.held is not None
    assert kept.held.waits[0].claim == "llama"


def test_what_nobody_reads_is_no_change() -> None:
    one, other = record("trainer", MODEL), record("trainer", MODEL, resourceVersion="8")
    assert other.says_the_same(one)
    assert not other.says_the_same(None)


def test_pods_are_found_by_claim_and_gone_when_dropped() -> None:
    index = PodIndex()
    index.put(record("trainer", MODEL))
    index.put(record("other", {"name": "m", "persistentVolumeClaim": {"claimName": "mistral"}}))
    index.put(record("host", {"name": "m", "hostPath": {"path": "/models"}}))
    index.put(record("far", {"name": "m", "hostPath": {"path": "/models"}}, node="node-b"))
    index.put(record("nfs", {"name": "m", "nfs": {"server": "Files.example.", "path": "/m"}}))
    assert names(index, ("team-a", "llama")) == ["trainer"]
    there = places_of_source(HostPathSource(VolumePath.parse("/models/llama"), "node-a"))
    export = places_of_source(NfsSource("files.example", VolumePath.parse("/m")))
    assert names(index, places=there) == ["host"]
    assert names(index, places=export) == ["nfs"]
    assert names(index) == []
    assert len(index.uids) == 5
    before = index.drop("uid-other", NOW)
    assert before is not None
    assert index.get("uid-other") is None
    assert len(index) == 4


def names(
    index: PodIndex,
    claim: tuple[str, str] | None = None,
    now: datetime = NOW,
    places: Iterable[Place] = (),
) -> list[str]:
    claims = [claim] if claim else []
    return sorted(pod.name for pod in index.using(claims, places, now) if pod)


def test_a_pod_that_moves_is_found_where_it_is() -> None:
    index = PodIndex()
    index.put(record("trainer", MODEL))
    index.put(record("trainer", {"name": "m", "persistentVolumeClaim": {"claimName": "new"}}))
    assert names(index, ("team-a", "llama")) == []
    assert names(index, ("team-a", "new")) == ["trainer"]


def test_a_deleted_writer_is_remembered_as_one_that_wrote_until_then() -> None:
    index = PodIndex()
    index.put(record("trainer", MODEL))
    index.drop("uid-trainer", NOW)
    [use] = uses_of(index.using([("team-a", "llama")], (), NOW), ClaimSource("llama"), VolumePath())
    assert (use.may_write, use.is_running, use.until) == (True, False, NOW)
    assert names(index, ("team-a", "llama"), NOW + DEPARTED_FOR) == []


def test_a_deleted_writer_is_remembered_by_its_own_storage() -> None:
    index = PodIndex()
    index.put(record("trainer", {"name": "m", "nfs": {"server": "files.example", "path": "/m"}}))
    index.drop("uid-trainer", NOW)
    export = places_of_source(NfsSource("files.example", VolumePath.parse("/m/llama")))
    other = places_of_source(NfsSource("files.example", VolumePath.parse("/n")))
    assert names(index, places=export) == ["trainer"]
    assert names(index, places=other) == []


def test_memory_of_the_deleted_is_bounded() -> None:
    index = PodIndex()
    for number in range(DEPARTED_PODS + 100):
        index.put(record(f"p-{number}", MODEL))
        index.drop(f"uid-p-{number}", NOW)
    assert len(names(index, ("team-a", "llama"))) == DEPARTED_PODS
    assert len(index) == 0
    assert index.drop("unknown", NOW) is None
    assert names(index, ("team-a", "llama"), NOW + timedelta(days=1)) == []


class Answer:
    """A response from a script."""

    def __init__(self, body: bytes, status: int = 200) -> None:
        self.body = body
        self.status = status

    def stream(self, amt: int) -> Iterator[bytes]:
        del amt
        for start in range(0, len(self.body), 10):
            yield self.body[start : start + 10]

    def release_conn(self) -> None: ...

    def close(self) -> None: ...


def page(*pods: Json, version: str = "100", more: str = "") -> Answer:
    metadata = {"resourceVersion": version, "continue": more}
    return Answer(json.dumps({"metadata": metadata, "items": list(pods)}).encode())


def events(*pairs: tuple[str, Json]) -> Answer:
    return Answer(b"".join(json.dumps({"type": t, "object": o}).encode() + b"\n" for t, o in pairs))


def read(
    *answers: Answer | Exception, pauses: list[float] | None = None, page_bytes: int = PAGE_BYTES
) -> tuple[list[PodChange | PodList | None], list[str]]:
    """Run a reader through the answers; what it delivered, and what it asked."""
    script, asked = list(answers), list[str]()
    delivered: list[PodChange | PodList | None] = []

    def open_path(path: str, _seconds: float) -> Answer:
        asked.append(path)
        if not script:
            reader.stop()
            return Answer(b"", 500)
        found = script.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    def wait(pause: float) -> bool:
        if pauses is not None:
            pauses.append(pause)
        return reader._stopping.is_set()

    reader = PodReader(open_path, delivered.append, page_bytes=page_bytes)
    reader._stopping.wait = wait  # type: ignore[assignment,method-assign]
    reader.start().join(10)
    return delivered, asked


class LongEvent(Answer):
    """An event in pieces as they come from a socket."""

    def __init__(self, found: Json) -> None:
        super().__init__(events(("ADDED", found)).body)

    def stream(self, amt: int) -> Iterator[bytes]:
        for start in range(0, len(self.body), amt):
            yield self.body[start : start + amt]


def uids(found: Iterable[PodRecord]) -> list[str]:
    return [each.uid for each in found]


def test_it_lists_page_by_page_and_then_follows() -> None:
    delivered, asked = read(
        page(pod("a", MODEL), pod("web"), more="next"),
        page(pod("b", MODEL)),
        events(
            ("ADDED", pod("c", MODEL, resourceVersion="101")),
            ("MODIFIED", pod("web", resourceVersion="102")),
            ("DELETED", pod("a", MODEL, resourceVersion="103")),
            ("BOOKMARK", {"metadata": {"resourceVersion": "110"}}),
        ),
    )
    assert isinstance(delivered[0], PodList)
    assert uids(delivered[0].records) == ["uid-a", "uid-b"]
    changes = [each for each in delivered if isinstance(each, PodChange)]
    assert [(each.uid, each.record is None) for each in changes] == [
        ("uid-c", False),
        ("uid-a", True),
    ]
    assert delivered.count(None) == 2, "one pod that does not matter, one bookmark"
    assert "continue=next" in asked[1]
    assert "resourceVersion=100" in asked[2]
    assert "resourceVersion=110" in asked[3], "it goes on from the bookmark"


def test_pods_of_a_tenant_that_are_long_leave_the_list_in_shorter_pages() -> None:
    long = pod("long", MODEL, annotations={"a": "<" * 5_000})
    delivered, asked = read(
        page(long, long, long),
        page(long, more="next"),
        page(pod("a", MODEL)),
        page_bytes=10_000,
    )
    assert isinstance(delivered[0], PodList)
    assert uids(delivered[0].records) == ["uid-long", "uid-a"]
    limits = [path.split("limit=")[1].split("&")[0] for path in asked if "limit=" in path]
    assert limits[:3] == [f"{PAGE_ITEMS}", f"{PAGE_ITEMS // 4}", f"{PAGE_ITEMS // 4 * 2}"]
    assert "continue=next" in asked[2]


def test_a_page_of_one_that_is_too_long_is_trouble_and_no_list() -> None:
    long = page(pod("long", MODEL, annotations={"a": "<" * 5_000}))
    pauses: list[float] = []
    delivered, asked = read(*[long] * 6, pauses=pauses, page_bytes=1_000)
    assert delivered == []
    assert "limit=1&" in asked[5]
    assert pauses


def test_no_pod_that_etcd_takes_is_too_long_for_a_watch() -> None:
    assert 1.5 * 2**20 * 6 < LINE_BYTES < PAGE_BYTES
    found = pod("a", MODEL, annotations={"a": "<" * 9 * 2**20}, resourceVersion="8")
    delivered, _ = read(page(), LongEvent(found))
    assert isinstance(delivered[1], PodChange)


def test_a_pod_that_stops_mattering_is_gone() -> None:
    delivered, _ = read(page(pod("a", MODEL)), events(("MODIFIED", pod("a", resourceVersion="9"))))
    assert delivered[1] == PodChange("uid-a", None)


@pytest.mark.parametrize(
    "gone",
    [
        pytest.param(Answer(b"{}", 410), id="as an answer"),
        pytest.param(events(("ERROR", {"code": 410, "message": "too old"})), id="in the stream"),
    ],
)
def test_after_a_gap_who_is_not_in_the_list_is_gone(gone: Answer) -> None:
    delivered, _ = read(page(pod("a", MODEL), pod("b", MODEL)), gone, page(pod("b", MODEL)))
    lists = [each for each in delivered if isinstance(each, PodList)]
    assert [uids(each.records) for each in lists] == [["uid-a", "uid-b"], ["uid-b"]]


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(OSError("reset"), id="reset"),
        pytest.param(Answer(b"{}", 500), id="500"),
        pytest.param(Answer(b"not json\n"), id="no JSON"),
        pytest.param(events(("ERROR", {"code": 500, "message": "?"})), id="another error"),
        pytest.param(Answer(b'{"type": "ADDED"'), id="cut off"),
    ],
)
def test_trouble_is_outlived_and_the_version_kept(trouble: Answer | Exception) -> None:
    _, asked = read(page(version="55"), trouble, events(("ADDED", pod("a", MODEL))))
    assert sum("watch" in path for path in asked) >= 2
    assert "resourceVersion=55" in asked[2]


def test_a_list_that_fails_is_listed_again() -> None:
    delivered, asked = read(OSError("refused"), page(pod("a", MODEL)))
    assert isinstance(delivered[0], PodList)
    assert asked[0] == asked[1]


def test_pauses_grow_only_while_a_watch_brings_nothing() -> None:
    cut = events(("MODIFIED", pod("a", MODEL, resourceVersion="9")))
    cut.body += b"not json\n"
    pauses: list[float] = []
    read(page(pod("a", MODEL)), OSError("refused"), OSError("refused"), cut, cut, pauses=pauses)
    first = FIRST_PAUSE_SECONDS
    assert pauses[:4] == [first, 2 * first, first, first]


def test_a_version_that_is_always_too_old_is_not_listed_for_in_a_loop() -> None:
    pauses: list[float] = []
    gone = Answer(b"", 410)
    read(page(), gone, page(), gone, page(), gone, pauses=pauses)
    first = FIRST_PAUSE_SECONDS
    assert pauses[:3] == [first, 2 * first, 4 * first]


def test_a_silent_watch_is_proven_by_a_list() -> None:
    """E04: servers before 1.21 send no bookmarks while nothing happens."""
    silence = urllib3.exceptions.ReadTimeoutError(None, "", "silent")  # type: ignore[arg-type]
    delivered, _ = read(page(pod("a", MODEL)), silence, page(pod("a", MODEL)))
    assert sum(isinstance(each, PodList) for each in delivered) == 2


def test_whatever_goes_wrong_the_pods_are_listed_again(caplog: pytest.LogCaptureFixture) -> None:
    delivered, _ = read(RuntimeError("nobody thought of it"), page(pod("a", MODEL)))
    assert isinstance(delivered[0], PodList)
    assert "nobody thought of it" in caplog.text


def test_one_pod_that_is_nested_too_deeply_hides_no_other() -> None:
    """D07: the API server keeps managed fields as deep as a tenant makes them."""
    fields = "@fields@"
    body = page(pod("deep", MODEL, managedFields=fields), pod("b", MODEL)).body
    nest = b'{"f:x":' * 5000 + b"{}" + b"}" * 5000
    delivered, _ = read(Answer(body.replace(json.dumps(fields).encode(), nest)))
    assert isinstance(delivered[0], PodList)
    assert uids(delivered[0].records) == ["uid-deep", "uid-b"]
