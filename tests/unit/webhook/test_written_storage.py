"""Who writes to which storage, from the pods that are known."""

import json
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from tests.support.api_in_memory import Json
from tests.unit.policy.builders import NOW
from tests.unit.webhook.objects import claim_volume, container, mount, pod_spec, volume
from tests.unit.webhook.world import NAMESPACE

from weightlock.policy.volumes import VolumeFacts
from weightlock_webhook.cache.objects import (
    Metadata,
)
from weightlock_webhook.cache.pods import (
    PodItem,
    Writer,
    WrittenClaim,
    WrittenPath,
    writer_of,
)
from weightlock_webhook.cache.writers import MOST_PATHS, Writers
from weightlock_webhook.mounts.paths import path_of


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
