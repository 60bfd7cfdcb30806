"""Counts, policy statuses, reports, state, and what is noticed of the watches."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from tests.support.memory_cluster import MemoryCluster, failing
from tests.support.node_agent import Content
from tests.unit.operator_runtime.stage import NAMESPACE, Stage
from tests.unit.policy.builders import PQ

from weightlock.reasons import Reason, Verdict
from weightlock_operator import census
from weightlock_operator.api import features, restores
from weightlock_operator.api.cluster import (
    CHECKPOINTS,
    CLUSTER_POLICIES,
    EVENTS,
    JOBS,
    PODS,
    POLICIES,
    Json,
    Listing,
    Resource,
)
from weightlock_operator.api.cluster_errors import (
    AlreadyExists,
    ClusterTrouble,
    Conflict,
    Forbidden,
    Gone,
    NotFound,
    NotLeader,
    Rejected,
    Terminating,
    Throttled,
    Unavailable,
    trouble_of,
)
from weightlock_operator.api.policyreports import KINDS, Reporter
from weightlock_operator.api.restores import Epoch, Moment
from weightlock_operator.decision.facts import ServerFeatures
from weightlock_operator.pod_reader import PodChange, PodList
from weightlock_operator.pod_records import record_of_pod
from weightlock_operator.upkeep import Restored, Upkeep
from weightlock_operator.watching import (
    MISSES_TOLERATED,
    WATCHED,
    Resync,
    kopf_registry,
    kopf_settings,
)

OWN = "weightlock-system"


@pytest.fixture
def stage() -> Stage:
    return Stage()


def upkeep_of(stage: Stage) -> Upkeep:
    return Upkeep(
        stage.cluster,
        stage.store,
        namespace=OWN,
        controller=stage.controller,
        surroundings=stage.around,
        versions=stage.versions,
    )


def verified(stage: Stage, name: str, content: Content | None = None) -> str:
    uid = stage.good(name)
    stage.look(uid)
    stage.run_jobs(content)
    stage.look(uid)
    stage.hear()
    return uid


def test_metrics_count_what_statuses_say(stage: Stage) -> None:
    verified(stage, "good", Content(signers=(PQ,)))
    verified(stage, "bad", Content(reason=Reason.EXTRA_FILE, signers=()))
    stage.good("new")
    mount = {"name": "m", "persistentVolumeClaim": {"claimName": "bad", "readOnly": True}}
    stage.cluster.add(
        PODS,
        {
            "metadata": {"name": "trainer", "namespace": NAMESPACE},
            "spec": {"nodeName": "node-a", "volumes": [mount], "containers": []},
            "status": {"phase": "Running"},
        },
    )
    for uid in list(stage.store.checkpoints):
        stage.look(uid)
    found = census.snapshot(stage.store)
    assert found.checkpoints == {
        ("Verified", "post-quantum"): 1,
        ("Failed", "none"): 1,
        ("Pending", "none"): 1,
    }
    assert found.signatures == {("ML-DSA-65", "ML-DSA"): 1}
    assert found.checkpoint_bytes == {"post-quantum": 10**9}
    assert found.namespaces == {"none": 1}
    assert found.jobs == {"Complete": 2}
    assert found.mounted_unverified == {"Failed": 1}
    assert found.sunsets == {}


def test_users_are_counted_as_the_last_look_saw_them(stage: Stage) -> None:
    """Whoever may ask for metrics must not have every pod compared with every checkpoint."""
    uid = stage.good("new")
    mount = {"name": "m", "persistentVolumeClaim": {"claimName": "new", "readOnly": True}}
    pod = {
        "metadata": {"name": "trainer", "namespace": NAMESPACE},
        "spec": {"nodeName": "node-a", "volumes": [mount], "containers": []},
        "status": {"phase": "Running"},
    }
    stage.cluster.add(PODS, pod)
    stage.look(uid)
    assert census.snapshot(stage.store).mounted_unverified == {"Verifying": 1}
    stage.cluster.objects.pop(("pods", NAMESPACE, "trainer"))
    stage.look(uid)
    assert census.snapshot(stage.store).mounted_unverified == {}
    body = stage.cluster.objects.pop(("modelcheckpoints", NAMESPACE, "new"))
    stage.store.apply(CHECKPOINTS, body, deleted=True)
    assert stage.store.users == {}


def test_what_somebody_wrote_into_a_status_makes_no_series(stage: Stage) -> None:
    verified(stage, "llama", Content(signers=(PQ,)))
    body = stage.cluster.objects["modelcheckpoints", NAMESPACE, "llama"]
    body["status"]["signatures"][0]["algorithm"] = "series 1"
    stage.cluster.add(CHECKPOINTS, body)
    stage.hear()
    assert census.snapshot(stage.store).signatures == {("other", "ML-DSA"): 1}


@pytest.mark.parametrize(
    ("families", "word"),
    [
        ([], "none"),
        (["ML-DSA"], "post-quantum"),
        (["SLH-DSA"], "post-quantum"),
        (["classical"], "classical"),
        (["classical", "ML-DSA"], "hybrid"),
    ],
)
def test_a_family_is_one_of_four_words(families: list[str], word: str) -> None:
    assert census.family_of({"signatures": [{"family": each} for each in families]}) == word


def test_a_phase_of_a_later_version_counts_as_pending() -> None:
    assert census.phase_of({"status": {"phase": "Sparkling"}}) is Verdict.PENDING


def test_a_sunset_is_told_by_cluster_policy(stage: Stage) -> None:
    policy = stage.cluster.objects["clustermodelpolicies", "", "post-quantum"]
    policy["spec"]["signatures"]["classical"] = {"action": "Warn", "sunset": "2027-01-01T00:00:00Z"}
    stage.hear()
    assert census.snapshot(stage.store).sunsets == {"post-quantum": 1798761600.0}


def test_a_policy_status_is_written_once(stage: Stage) -> None:
    verified(stage, "good")
    chores = upkeep_of(stage)
    asyncio.run(chores.write_policies())
    live = stage.cluster.objects["clustermodelpolicies", "", "post-quantum"]
    assert live["status"]["checkpoints"]["verified"] == 1
    assert live["status"]["conditions"][0]["status"] == "True"
    before = len(stage.cluster.calls)
    asyncio.run(chores.write_policies())
    chores.policies_changed()
    asyncio.run(chores.write_policies())
    assert len(stage.cluster.calls) == before


@pytest.mark.parametrize("trouble", [Conflict("changed"), NotFound("gone")])
def test_a_policy_that_changes_meanwhile_is_written_next_time(
    stage: Stage, trouble: ClusterTrouble
) -> None:
    stage.hear()
    chores = upkeep_of(stage)
    stage.cluster.before = failing(trouble, ["replace/status"])
    asyncio.run(chores.write_policies())
    assert "status" not in stage.cluster.objects["clustermodelpolicies", "", "post-quantum"]
    asyncio.run(chores.write_policies())
    assert "status" in stage.cluster.objects["clustermodelpolicies", "", "post-quantum"]


def test_a_status_that_is_refused_keeps_no_other_policy_from_its_own(stage: Stage) -> None:
    """D07."""
    names = [f"p-{number}" for number in range(3)]
    for name in names:
        head = {"apiVersion": "weightlock.dev/v1beta1", "kind": "ClusterModelPolicy"}
        body = {**head, "metadata": {"name": name, "generation": 1}, "spec": {}}
        stage.cluster.add(CLUSTER_POLICIES, body)
    stage.hear()
    chores = upkeep_of(stage)

    def written() -> int:
        found = (stage.cluster.objects["clustermodelpolicies", "", name] for name in names)
        return sum("status" in each for each in found)

    stage.cluster.before = failing(Rejected("too long"), ["replace/status"], times=2)
    asyncio.run(chores.write_policies())
    assert written() == 2
    asyncio.run(chores.write_policies())
    assert written() == 3


def test_whoever_does_not_lead_writes_no_status(stage: Stage) -> None:
    stage.hear()
    stage.cluster.before = failing(NotLeader("another one leads"), ["replace/status"])
    with pytest.raises(NotLeader):
        asyncio.run(upkeep_of(stage).write_policies())


def test_an_unusable_policy_says_so_in_its_status(stage: Stage) -> None:
    stage.cluster.add(
        CLUSTER_POLICIES,
        {
            "apiVersion": "weightlock.dev/v1beta1",
            "kind": "ClusterModelPolicy",
            "metadata": {"name": "bad", "generation": 1},
            "spec": {},
        },
    )
    stage.hear()
    asyncio.run(upkeep_of(stage).write_policies())
    status = stage.cluster.objects["clustermodelpolicies", "", "bad"]["status"]
    assert status["conditions"][0]["status"] == "False"


def run_briefly(work: Coroutine[Any, Any, None], until: Callable[[], object]) -> None:
    async def run() -> None:
        task = asyncio.create_task(work)
        for _ in range(1000):
            await asyncio.sleep(0)
            if until() or task.done():
                break
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())


def test_reports_are_written_where_something_changed(stage: Stage) -> None:
    verified(stage, "good")
    chores = upkeep_of(stage)
    chores.verdicts_changed(NAMESPACE)
    key = ("policyreports", NAMESPACE, "weightlock")
    reporter = Reporter(stage.cluster, KINDS[:1])
    run_briefly(chores.keep_reports(reporter), lambda: key in stage.cluster.objects)
    assert stage.cluster.objects[key]["summary"]["pass"] == 1


def test_a_report_that_failed_is_written_next_time(stage: Stage) -> None:
    verified(stage, "good")
    chores = upkeep_of(stage)
    chores.verdicts_changed(NAMESPACE)
    stage.cluster.before = failing(Unavailable("away"), ["create"])
    run_briefly(chores.keep_reports(Reporter(stage.cluster, KINDS[:1])), lambda: False)
    assert chores._unreported == {NAMESPACE}


def test_a_changed_state_has_everything_looked_at(stage: Stage) -> None:
    uid = verified(stage, "good")
    chores = upkeep_of(stage)
    asyncio.run(chores.refresh_state())
    assert len(stage.queue) == 1, "another seal key than the stage began with"
    stage.look(uid)
    before = len(stage.queue)
    asyncio.run(chores.refresh_state())
    assert len(stage.queue) == before


def test_a_restore_is_recorded_and_ends_whoever_leads(stage: Stage) -> None:
    chores, epoch = upkeep_of(stage), Epoch()
    epoch.hear(Moment(9, 1), "c")
    epoch.hear(Moment(5, 1), "c")
    stage.cluster.before = failing(Unavailable("away"), ["create"])
    assert not asyncio.run(chores.note_restore(epoch))
    assert asyncio.run(chores.note_restore(epoch))
    assert stage.around.restored_at == stage.now
    assert asyncio.run(restores.restored_at(stage.cluster, OWN)) == stage.now
    assert not asyncio.run(chores.note_restore(epoch))
    assert issubclass(Restored, Exception)


def test_features_are_those_of_fields_that_come_back() -> None:
    class Old(MemoryCluster):
        async def create(
            self, resource: Resource, namespace: str, body: Json, *, dry_run: bool = False
        ) -> Json:
            made = await super().create(resource, namespace, body, dry_run=dry_run)
            made["spec"].pop("completionMode", None)
            for volume in made["spec"]["template"]["spec"]["volumes"]:
                volume.pop("image", None)
            return made

    new = asyncio.run(features.server_features(MemoryCluster(), OWN))
    assert (new.indexed_jobs, new.suspended_jobs, new.image_volumes) == (True, True, True)
    old = asyncio.run(features.server_features(Old(), OWN))
    assert (old.indexed_jobs, old.suspended_jobs, old.image_volumes) == (False, True, False)


@pytest.mark.parametrize("trouble", [Rejected("unknown field"), Unavailable("away")])
def test_what_cannot_be_asked_is_not_there(trouble: ClusterTrouble) -> None:
    cluster = MemoryCluster()
    cluster.before = failing(trouble, ["create"], times=3)
    found = asyncio.run(features.server_features(cluster, OWN))
    assert found == ServerFeatures()


def test_a_watch_that_misses_time_after_time_is_told(stage: Stage) -> None:
    news = [0]
    told: list[str] = []

    def take(_resource: Resource, _listing: Listing) -> int:
        return news[0]

    resync = Resync(stage.cluster, take, lambda _plural: None)
    resync.grace_seconds = 0
    resync.missed = lambda: told.append("missed")
    watched = WATCHED[0]
    asyncio.run(resync.first())
    asyncio.run(resync.refresh(watched))
    assert (resync.wrong(), told) == ("", [])
    news[0] = 2
    for _ in range(MISSES_TOLERATED):
        asyncio.run(resync.again(watched))
    assert "namespaces" in resync.wrong()
    assert len(told) == MISSES_TOLERATED
    news[0] = 0
    asyncio.run(resync.again(watched))
    assert resync.wrong() == ""


def test_kopf_writes_nothing_of_its_own() -> None:
    settings = kopf_settings()
    assert settings.peering.standalone
    assert settings.scanning.disabled
    assert settings.process.ultimate_exiting_timeout is None, "it would kill the whole process"
    assert not settings.posting.enabled
    assert settings.queueing.worker_limit is None
    backoffs = iter(settings.networking.error_backoffs)  # type: ignore[arg-type]
    assert [next(backoffs) for _ in range(10)][-2:] == [30, 30]


def test_kopf_watches_what_is_listed_and_nothing_else() -> None:
    registry = kopf_registry(lambda *_: None, lambda: None, lambda _: None)  # type: ignore[arg-type,return-value]
    handlers = registry._watching.get_all_handlers()
    watched = {(h.selector.group, h.selector.version, h.selector.any_name) for h in handlers}  # type: ignore[union-attr]
    assert watched == {(w.resource.group, w.resource.version, w.resource.plural) for w in WATCHED}
    assert not registry._changing.get_all_handlers()
    assert not registry._spawning.get_all_handlers()


def test_events_and_pods_reach_the_queue(stage: Stage) -> None:
    uid = stage.good()
    heard: list[str] = []
    stage.controller.heard = heard.append
    stage.controller.policies_changed = lambda: heard.append("policies changed")
    for resource in (CLUSTER_POLICIES, CHECKPOINTS):
        listing = Listing(stage.all(resource), "1000")
        assert stage.controller.take(resource, listing) == 1
    stage.controller.sink(EVENTS, {"metadata": {"namespace": NAMESPACE, "uid": "e"}}, False)
    pod = {
        "metadata": {"name": "p", "namespace": NAMESPACE, "uid": "p", "creationTimestamp": "x"},
        "spec": {
            "nodeName": "n",
            "volumes": [{"name": "m", "persistentVolumeClaim": {"claimName": "llama"}}],
        },
    }
    record = record_of_pod(pod)
    assert record is not None
    stage.controller.take_pods(PodList((record,)))
    stage.controller.take_pods(PodChange("p", None))
    stage.controller.take_pods(None)
    assert heard == ["policies changed", "events", "pods", "pods", "pods"]
    assert uid in stage.queue._queued
    assert stage.controller.take(EVENTS, Listing([], "1")) == 0


@pytest.mark.parametrize(
    ("code", "reason", "message", "kind"),
    [
        (404, "NotFound", "", NotFound),
        (409, "AlreadyExists", "", AlreadyExists),
        (409, "Conflict", "", Conflict),
        (410, "Expired", "", Gone),
        (403, "Forbidden", "", Forbidden),
        (401, "Unauthorized", "", Forbidden),
        (403, "Forbidden", "namespace is being terminated", Terminating),
        (422, "Invalid", "", Rejected),
        (429, "TooManyRequests", "", Throttled),
        (500, "InternalError", "", Unavailable),
        (504, "Timeout", "", Unavailable),
        (418, "", "", Unavailable),
    ],
)
def test_each_answer_is_its_own_error(
    code: int, reason: str, message: str, kind: type[ClusterTrouble]
) -> None:
    assert type(trouble_of(code, reason, message)) is kind


def test_a_listing_of_jobs_and_policies_has_its_kinds() -> None:
    assert {watched.resource for watched in WATCHED} >= {JOBS, POLICIES, CLUSTER_POLICIES}
