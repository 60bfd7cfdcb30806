"""One look after the other, over a cluster in memory: requests, order, and what trouble costs."""

import asyncio
import contextlib
import copy
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from tests.support.memory_cluster import Call, failing
from tests.support.node_agent import Content
from tests.unit.operator_runtime.stage import (
    NAMESPACE,
    NOW,
    Stage,
    verified,
    work,
)

from weightlock.errors import Malformed
from weightlock.reasons import Reason
from weightlock_operator.api.cluster import (
    CHECKPOINTS,
    JOBS,
    PODS,
)
from weightlock_operator.api.cluster_errors import (
    AlreadyExists,
    ClusterTrouble,
    Conflict,
    Forbidden,
    NotFound,
    NotLeader,
    Rejected,
    Terminating,
    Unavailable,
)
from weightlock_operator.controller import LOBBY
from weightlock_operator.decision.announcing import EVICT_EVERY
from weightlock_operator.decision.facts import ServerFeatures
from weightlock_operator.decision.landing import COOLDOWN, ORPHAN_AGE
from weightlock_operator.decision.reconcile import NOT_KEPT_RETRY

Json = dict[str, Any]
CREATES_JOB = ("create", "jobs")


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_from_nothing_to_a_verdict_takes_two_looks(stage: Stage) -> None:
    uid = stage.good()
    stage.look(uid)
    assert stage.word() == ("Verifying", "VerificationRunning")
    stage.run_jobs()
    looked = stage.look(uid)
    assert stage.word() == ("Verified", "Verified")
    assert looked.verdict_changed
    assert looked.again_after is not None


def test_it_takes_no_more_requests_than_it_may(stage: Stage) -> None:
    verified(stage)
    calls = [f"{call.verb} {call.resource}" for call in stage.cluster.calls]
    assert len(calls) <= 12, calls


def test_a_settled_checkpoint_costs_no_request(stage: Stage) -> None:
    uid = verified(stage)
    before = len(stage.cluster.calls)
    for _ in range(5):
        stage.look(uid)
    assert len(stage.cluster.calls) == before


def test_a_restart_over_a_verified_checkpoint_asks_and_makes_nothing(stage: Stage) -> None:
    uid = verified(stage)
    stage.restart()
    before = len(stage.cluster.calls)
    stage.look(uid)
    assert len(stage.cluster.calls) == before
    assert len(stage.all(JOBS)) == 1


def test_a_store_that_lags_behind_makes_no_second_job(stage: Stage) -> None:
    """The checkpoint's flight and its Job are in the cluster, and nobody has heard of them."""
    uid = stage.good()
    stage.hear()
    stage.blind = {"modelcheckpoints", "jobs"}
    body = dict(stage.store.checkpoints[uid])
    stage.look(uid)
    stage.store.checkpoints[uid] = body
    [job] = stage.all(JOBS)
    stage.store.apply(JOBS, job, deleted=True)
    stage.turns.forget(uid)
    stage.look(uid)
    assert len(stage.all(JOBS)) == 1


def test_a_verdict_rests_on_storage_read_live(stage: Stage) -> None:
    """A28: the claim was replaced, and no watch has said so."""
    uid = stage.good()
    stage.look(uid)
    stage.run_jobs()
    stage.hear()
    stage.blind = {"persistentvolumeclaims", "persistentvolumes"}
    claim = stage.cluster.objects["persistentvolumeclaims", NAMESPACE, "llama"]
    claim["metadata"]["uid"] = "another"
    stage.look(uid)
    assert stage.word()[0] != "Verified"


def test_a_verdict_rests_on_pods_read_live(stage: Stage) -> None:
    """A second pod of the Job has come, and no watch has said so."""
    uid = stage.good()
    stage.look(uid)
    stage.run_jobs()
    stage.hear()
    stage.blind = {"pods"}
    [pod] = stage.all(PODS)
    pod["metadata"] |= {"name": "second", "uid": "second"}
    pod["status"]["containerStatuses"][0]["imageID"] = "evil@sha256:" + "66" * 32
    stage.cluster.add(PODS, pod)
    stage.look(uid)
    assert stage.word() == ("Error", "VerifierTampered")


def test_a_policy_is_judged_without_a_job_and_with_live_storage(stage: Stage) -> None:
    uid = verified(stage)
    policy = stage.cluster.objects["clustermodelpolicies", "", "post-quantum"]
    keyid = stage.status()["signatures"][0]["keyid"]
    policy["spec"]["denied"] = {"keyids": [keyid]}
    policy["metadata"] |= {"generation": 2, "resourceVersion": "5000"}
    stage.look(uid)
    assert stage.word() == ("Failed", "KeyRevoked")
    del policy["spec"]["denied"]
    policy["metadata"] |= {"generation": 3, "resourceVersion": "5001"}
    before = len(stage.cluster.calls)
    stage.look(uid)
    assert stage.word() == ("Verified", "Verified")
    asked = Counter(call.resource for call in stage.cluster.calls[before:])
    assert asked["persistentvolumeclaims"] == asked["persistentvolumes"] == 1
    assert asked["jobs"] == 0


def test_a_status_that_was_put_back_does_not_count_for_whoever_has_seen_the_next(
    stage: Stage,
) -> None:
    """A10: sealed by us, and older than what was found since."""
    uid = verified(stage)
    former = copy.deepcopy(stage.status())
    stage.pass_time(140 * 3600)
    stage.look(uid)
    stage.run_jobs(Content(reason=Reason.CONTENT_MISMATCH, signers=()))
    stage.look(uid)
    assert stage.word() == ("Failed", "ContentMismatch")
    body = stage.cluster.objects["modelcheckpoints", NAMESPACE, "llama"]
    stage.cluster.add(CHECKPOINTS, {**body, "status": former})
    stage.look(uid)
    assert stage.word()[0] == "Verifying"
    stage.cluster.objects.pop(("modelcheckpoints", NAMESPACE, "llama"))
    stage.look(uid)
    assert stage.store.spent == {}


def test_the_floor_is_recorded_before_the_status_says_so(stage: Stage) -> None:
    verified(stage)
    order = [call.resource for call in stage.cluster.writes() if call.resource != "events"]
    assert order.index("configmaps") < len(order) - 1 - order[::-1].index("modelcheckpoints")


def test_a_floor_that_cannot_be_recorded_keeps_the_verdict_back(stage: Stage) -> None:
    uid = stage.good()
    stage.look(uid)
    stage.run_jobs()

    def no_config_maps(call: Call) -> None:
        if call.resource == "configmaps":
            raise Unavailable("away")

    stage.cluster.before = no_config_maps
    with pytest.raises(Unavailable):
        stage.look(uid)
    assert stage.word()[0] == "Verifying"


@pytest.mark.parametrize("refusal", [Rejected("Too long"), Forbidden("no right")])
def test_a_floor_that_is_refused_is_an_error_and_makes_no_more_jobs(
    stage: Stage, refusal: ClusterTrouble
) -> None:
    uid = stage.good()
    stage.look(uid)
    stage.run_jobs()

    def no_config_maps(call: Call) -> None:
        if call.resource == "configmaps" and call.verb != "get":
            raise refusal

    stage.cluster.before = no_config_maps
    for _ in range(3):
        looked = stage.look(uid)
        assert stage.word() == ("Error", "VersionNotKept")
        assert refusal.message in stage.status()["message"]
        assert looked.again_after == NOT_KEPT_RETRY
        stage.pass_time(3600)
    stage.cluster.before = lambda _: None
    stage.look(uid)
    assert stage.word()[0] == "Verified"
    made = [call for call in stage.cluster.writes() if call.resource == "jobs"]
    assert [call.verb for call in made].count("create") == 1


def test_a_refused_floor_takes_no_job_back_that_refreshes_the_verdict(stage: Stage) -> None:
    uid = stage.good()
    stage.look(uid)
    stage.run_jobs()

    def no_config_maps(call: Call) -> None:
        if call.resource == "configmaps" and call.verb != "get":
            raise Rejected("Too long")

    stage.cluster.before = no_config_maps
    stage.look(uid)
    stage.pass_time(6 * 24 * 3600)
    for _ in range(3):
        stage.look(uid)
        assert stage.word() == ("Error", "VersionNotKept")
        assert "verification" in stage.status()
    made = [call.verb for call in stage.cluster.writes() if call.resource == "jobs"]
    assert made.count("create") == 2
    stage.run_jobs()
    stage.look(uid)
    assert stage.word() == ("Error", "VersionNotKept")


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        pytest.param(Forbidden("exceeded quota"), "JobRefused", id="a quota"),
        pytest.param(AlreadyExists("taken"), None, id="the name is taken"),
        pytest.param(Unavailable("cut off"), None, id="nobody knows"),
        pytest.param(Terminating("going"), None, id="the namespace goes"),
    ],
)
def test_a_job_that_is_not_made_gives_its_turn_back(
    stage: Stage, refusal: ClusterTrouble, reason: str | None
) -> None:
    uid = stage.good()
    stage.cluster.before = failing(refusal, ["create"])
    if reason:
        stage.look(uid)
        assert stage.word() == ("Error", reason)
    else:
        with pytest.raises(type(refusal)):
            stage.look(uid)
        assert stage.status() == {}
    assert stage.turns.running == 0


def test_what_is_refused_looks_again_later_and_starts_then(stage: Stage) -> None:
    uid = stage.good()
    stage.cluster.before = failing(Forbidden("exceeded quota"), ["create"])
    looked = stage.look(uid)
    assert looked.again_after is not None
    stage.pass_time(looked.again_after.total_seconds() + 1)
    stage.look(uid)
    assert stage.word()[0] == "Verifying"


def test_a_job_whose_status_was_not_written_is_no_ones_and_is_deleted(stage: Stage) -> None:
    """A33: ended between making the Job and recording it."""
    uid = stage.good()
    away_from(stage, "replace/status")
    with pytest.raises(Unavailable):
        stage.look(uid)
    stage.cluster.before = lambda _call: None
    [orphan] = stage.all(JOBS)
    stage.restart()
    stage.pass_time(120)
    stage.look(uid)
    assert orphan["metadata"]["name"] not in {job["metadata"]["name"] for job in stage.all(JOBS)}
    stage.run_jobs()
    stage.look(uid)
    assert stage.word()[0] == "Verified"


LOST = [
    pytest.param(Conflict("changed", code=409), id="somebody wrote in between"),
    pytest.param(NotFound("gone", code=404), id="it was deleted"),
    pytest.param(Rejected("no", code=422), id="it may not say so"),
    pytest.param(Forbidden("no", code=403), id="a right is missing"),
]


@pytest.mark.parametrize("trouble", LOST)
def test_a_job_that_no_status_will_know_goes_at_once(stage: Stage, trouble: ClusterTrouble) -> None:
    uid = stage.good()
    stage.cluster.before = failing(trouble, ["replace/status"])
    look_anyway(stage, uid)
    assert stage.all(JOBS) == []
    looked = stage.look(uid)
    assert (stage.all(JOBS), stage.turns.running) == ([], 0)
    assert stage.word() == ("Pending", "Queued")
    assert looked.again_after == COOLDOWN
    stage.pass_time(COOLDOWN.total_seconds() - 1)
    stage.look(uid)
    assert stage.all(JOBS) == [], "the status that was written meanwhile ends no pause"
    stage.pass_time(1)
    stage.look(uid)
    assert stage.word()[0] == "Verifying"


def away_from(stage: Stage, verb: str) -> None:
    """From the first such call on the API server is away."""
    is_away: list[bool] = []

    def fail(call: Call) -> None:
        if call.verb == verb:
            is_away.append(True)
        if is_away:
            raise Unavailable("away")

    stage.cluster.before = fail


def test_a_job_whose_status_may_be_written_stays(stage: Stage) -> None:
    uid = stage.good()
    away_from(stage, "replace/status")
    look_anyway(stage, uid)
    stage.cluster.before = lambda _call: None
    assert len(stage.all(JOBS)) == 1
    for _ in range(3):
        assert stage.turns.running == 1, "it runs, so it has a turn"
        stage.look(uid)
    assert len(stage.all(JOBS)) == 1, "and there is no second one beside it"


def test_a_job_whose_status_was_written_unheard_is_the_one(stage: Stage) -> None:
    uid = stage.good()
    stage.cluster.after = failing(Unavailable("cut off"), ["replace/status"])
    look_anyway(stage, uid)
    [job] = stage.all(JOBS)
    stage.look(uid)
    assert stage.word()[0] == "Verifying"
    assert stage.all(JOBS) == [job]


def test_a_status_that_was_not_written_costs_a_job_and_no_time(stage: Stage) -> None:
    """The API server's trouble is no tenant's doing: the work queue waits, and nothing else."""
    uid = stage.good()
    stage.cluster.before = failing(Unavailable("500"), ["replace/status"])
    look_anyway(stage, uid)
    assert stage.all(JOBS) == []
    stage.look(uid)
    stage.look(uid)
    assert stage.word()[0] == "Verifying"
    assert len(stage.all(JOBS)) == 1


@pytest.mark.parametrize("is_made", [True, False])
def test_a_job_of_which_nobody_knows_whether_it_was_made_is_looked_for(
    stage: Stage, is_made: bool
) -> None:
    uid = stage.good()
    failure = failing(Unavailable("cut off"), ["create"])
    if is_made:
        stage.cluster.after = failure
    else:
        stage.cluster.before = failure
    look_anyway(stage, uid)
    assert (stage.all(JOBS), stage.turns.running) == ([], 0)
    stage.look(uid)
    assert stage.word()[0] == "Verifying"


def test_a_job_that_may_have_been_made_is_an_orphan_if_nobody_can_be_asked(stage: Stage) -> None:
    uid = stage.good()

    def lost(_call: Call) -> None:
        away_from(stage, "get")
        raise Unavailable("cut off")

    stage.cluster.after = lost
    look_anyway(stage, uid)
    assert len(stage.all(JOBS)) == 1
    stage.cluster.before = stage.cluster.after = lambda _call: None
    stage.look(uid)
    assert len(stage.all(JOBS)) == 1, "no second one beside it"


def test_a_job_that_could_not_be_taken_back_holds_its_turn(stage: Stage) -> None:
    uid = stage.good()
    conflict, away = Conflict("changed"), Unavailable("away")

    def fail(call: Call) -> None:
        if call.verb == "replace/status" and stage.now == NOW:
            raise conflict
        if call.verb == "delete":
            raise away

    stage.cluster.before = fail
    look_anyway(stage, uid)
    stage.pass_time(COOLDOWN.total_seconds() + 1)
    for _ in range(2):
        looked = stage.look(uid)
        assert (len(stage.all(JOBS)), stage.turns.running) == (1, 1)
    assert looked.again_after == ORPHAN_AGE - COOLDOWN - timedelta(seconds=1)
    stage.cluster.before = lambda _call: None
    [orphan] = stage.all(JOBS)
    stage.pass_time(ORPHAN_AGE.total_seconds())
    stage.look(uid)
    [job] = stage.all(JOBS)
    assert job["metadata"]["uid"] != orphan["metadata"]["uid"]
    assert stage.word()[0] == "Verifying"


def test_a_tenant_who_is_faster_than_every_status_gets_few_jobs(stage: Stage) -> None:
    """A25: it changes the spec each time between the Job and the status."""
    uid = stage.good()
    most = 0

    def overtake(call: Call) -> None:
        if call.verb == "replace/status":
            body = stage.cluster.objects["modelcheckpoints", NAMESPACE, "llama"]
            body["metadata"]["generation"] += 1
            body["metadata"]["resourceVersion"] = str(int(body["metadata"]["resourceVersion"]) + 1)

    stage.cluster.before = overtake
    for _ in range(120):
        look_anyway(stage, uid)
        stage.pass_time(1)
        most = max(most, len(stage.all(JOBS)))
    made = [call for call in stage.cluster.writes() if (call.verb, call.resource) == CREATES_JOB]
    assert (most, len(made)) == (0, 4)


def test_a_job_of_another_namespace_takes_nobodys_turn(stage: Stage) -> None:
    uid = stage.good()
    labels = {"weightlock.dev/checkpoint-uid": uid, "app.kubernetes.io/managed-by": "weightlock"}
    owner = {"kind": "ModelCheckpoint", "uid": uid, "controller": True}
    job = {
        "metadata": {
            "name": "mine",
            "namespace": "elsewhere",
            "labels": labels,
            "ownerReferences": [owner],
        },
        "spec": {"template": {"spec": {}}},
    }
    stage.cluster.add(JOBS, job)
    stage.look(uid)
    assert stage.word()[0] == "Verifying"


def look_anyway(stage: Stage, uid: str) -> None:
    with contextlib.suppress(ClusterTrouble):
        stage.look(uid)


def test_somebody_who_wrote_in_between_is_not_overwritten(stage: Stage) -> None:
    uid = stage.good()

    def overtake(call: Call) -> None:
        if call.verb == "replace/status":
            stage.cluster.before = lambda _call: None
            stage.cluster.add(
                CHECKPOINTS, stage.cluster.objects["modelcheckpoints", NAMESPACE, "llama"]
            )

    stage.cluster.before = overtake
    with pytest.raises(Conflict):
        stage.look(uid)
    assert stage.status() == {}


def test_a_checkpoint_that_is_gone_is_forgotten(stage: Stage) -> None:
    uid = stage.good()
    stage.look(uid)
    assert stage.turns.running == 1
    del stage.cluster.objects["modelcheckpoints", NAMESPACE, "llama"]
    stage.look(uid)
    assert stage.turns.running == 0


def test_one_that_goes_while_it_is_looked_at_costs_nothing(stage: Stage) -> None:
    uid = stage.good()

    def vanish(call: Call) -> None:
        if call.verb == "get" and call.resource == "modelcheckpoints":
            stage.cluster.objects.pop(("modelcheckpoints", NAMESPACE, "llama"), None)

    stage.cluster.before = vanish
    stage.look(uid)
    assert stage.all(JOBS) == []
    assert stage.turns.running == 0


def test_a_bad_model_is_told_and_its_users_evicted(stage: Stage) -> None:
    policy = stage.cluster.objects["clustermodelpolicies", "", "post-quantum"]
    policy["spec"]["onFailure"] = "Evict"
    uid = stage.good()
    source = {"name": "m", "persistentVolumeClaim": {"claimName": "llama", "readOnly": True}}
    stage.cluster.add(
        PODS,
        {
            "metadata": {"name": "trainer", "namespace": NAMESPACE},
            "spec": {"nodeName": "node-a", "volumes": [source], "containers": []},
            "status": {"phase": "Running"},
        },
    )
    stage.look(uid)
    stage.run_jobs(Content(reason=Reason.EXTRA_FILE, signers=()))
    stage.look(uid)
    assert stage.word() == ("Failed", "ExtraFile")
    assert [call.name for call in stage.cluster.calls if call.verb == "evict"] == ["trainer"]
    assert stage.recorder._queue.qsize() >= 2


def test_strangers_shield_nobody_from_eviction(stage: Stage) -> None:
    policy = stage.cluster.objects["clustermodelpolicies", "", "post-quantum"]
    policy["spec"]["onFailure"] = "Evict"
    export = {"server": "files.example", "path": "/models"}
    body = {
        "apiVersion": "weightlock.dev/v1beta1",
        "kind": "ModelCheckpoint",
        "metadata": {"name": "llama", "namespace": NAMESPACE, "generation": 1},
        "spec": {"source": {"nfs": export, "path": "/"}},
    }
    uid = stage.cluster.add(CHECKPOINTS, body)["metadata"]["uid"]
    strangers = [("elsewhere", f"aaa-{number:02d}") for number in range(20)]
    for namespace, name in (*strangers, (NAMESPACE, "trainer")):
        metadata = {"name": name, "namespace": namespace}
        volume = {"name": "m", "nfs": {**export, "readOnly": True}}
        spec = {"nodeName": "node-a", "volumes": [volume], "containers": []}
        stage.cluster.add(
            PODS, {"metadata": metadata, "spec": spec, "status": {"phase": "Running"}}
        )
    stage.look(uid)
    stage.run_jobs(Content(reason=Reason.EXTRA_FILE, signers=()))
    assert stage.look(uid).again_after == EVICT_EVERY
    evicted = [(call.namespace, call.name) for call in stage.cluster.calls if call.verb == "evict"]
    assert evicted == [(NAMESPACE, "trainer")]


def test_what_follows_a_status_costs_only_itself(stage: Stage) -> None:
    test_a_bad_model_is_told_and_its_users_evicted(stage)
    uid = next(iter(stage.store.checkpoints))
    assert stage.look(uid) is not None


def test_an_exempt_namespace_is_governed_by_nobody(stage: Stage) -> None:
    uid = stage.good()
    stage.around.exempt = frozenset({NAMESPACE})
    stage.look(uid)
    assert stage.word() == ("Error", "NoPolicy")


@pytest.mark.parametrize(
    "trouble",
    [
        Conflict("changed"),
        Unavailable("away"),
        NotLeader("no"),
        Malformed("bad"),
        ZeroDivisionError("a bug"),
    ],
    ids=lambda trouble: type(trouble).__name__,
)
def test_whatever_happens_to_one_happens_to_no_other(stage: Stage, trouble: Exception) -> None:
    poison, good = stage.good("poison"), stage.good("llama")

    def fail(call: Call) -> None:
        if call.name.startswith("poison"):
            raise trouble

    stage.cluster.before = fail
    work(stage, poison, good)
    assert stage.word("llama")[0] == "Verifying"
    assert stage.status("poison") == {}


def test_a_suspended_job_takes_no_turn_of_others(stage: Stage) -> None:
    """A queue that nobody manages: nothing of it may ever end."""
    policy = stage.cluster.objects["clustermodelpolicies", "", "post-quantum"]
    policy["spec"]["verification"] = {"queueName": "nobody", "limits": {"total": 1}}
    stage.around.features = ServerFeatures(suspended_jobs=True)
    stage.look(stage.good("one"))
    assert stage.turns.running == 1
    stage.look(stage.good("two"))
    assert (stage.word("one")[0], stage.word("two")[0]) == ("Verifying", "Verifying")
    job = next(iter(stage.all(JOBS)))
    job["spec"]["suspend"] = False
    stage.cluster.add(JOBS, job)
    for uid in list(stage.store.checkpoints):
        stage.look(uid)
    stage.look(stage.good("three"))
    assert stage.word("three") == ("Pending", "Queued")


def test_looks_that_ask_nothing_keep_nobody_waiting(stage: Stage) -> None:
    """The Lease, /healthz and the watches live in the same loop."""
    uid = verified(stage)
    stage.hear()

    async def run() -> None:
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        other = asyncio.create_task(others())
        worker = asyncio.create_task(stage.controller.work())
        for number in range(50):
            stage.queue.add(f"{LOBBY}empty-{number}")
            stage.store.checkpoints[f"{uid}-{number}"] = stage.store.checkpoints[uid]
            stage.queue.add(f"{uid}-{number}")
        while not stage.queue.is_idle:
            await asyncio.sleep(0)
        assert turns >= 100
        worker.cancel()
        other.cancel()

    asyncio.run(run())


def test_turns_are_called_up(stage: Stage) -> None:
    uids = [stage.good(f"m-{number}") for number in range(6)]
    work(stage, *uids)
    phases = Counter(stage.word(f"m-{number}")[0] for number in range(6))
    assert phases == {"Verifying": 4, "Pending": 2}, "perNamespace is 4"
    stage.run_jobs()
    work(stage, *uids)
    stage.pass_time(1)
    assert set(stage.turns.call()) <= set(uids)
    work(stage, *uids)
    phases = Counter(stage.word(f"m-{number}")[0] for number in range(6))
    assert phases == {"Verified": 4, "Verifying": 2}


@pytest.mark.parametrize("is_labelled", [True, False])
def test_only_a_job_that_somebody_ends_holds_a_turn(stage: Stage, *, is_labelled: bool) -> None:
    """One that says whose it is, and not that it is ours, is deleted by nobody (A08)."""
    uid = stage.good()
    labels = {"weightlock.dev/checkpoint-uid": uid}
    ours = {"app.kubernetes.io/managed-by": "weightlock"} if is_labelled else {}
    owner = {"kind": "ModelCheckpoint", "uid": uid, "controller": True}
    metadata = {
        "name": "forged",
        "namespace": NAMESPACE,
        "labels": {**labels, **ours},
        "ownerReferences": [owner],
    }
    forged = {"metadata": metadata, "spec": {"template": {"spec": {}}}, "status": {"active": 1}}
    stage.cluster.add(JOBS, forged)
    stage.look(uid)
    assert stage.store.has_job(uid)
    made = len(stage.all(JOBS)) - 1
    assert made == (0 if is_labelled else 1), "one that is ours by its label ends first"
    if not is_labelled:
        stage.run_jobs()
        stage.look(uid)
        assert stage.word() == ("Verified", "Verified")
        assert not stage.store.has_job(uid)
        assert stage.turns.running == 0
