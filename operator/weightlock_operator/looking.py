"""One look at one checkpoint: gather, decide, act once, and say when to look again.

1. gather what was seen and decide; in a settled cluster that is all, without any request
2. before a Job is made, read the checkpoint live and decide again: a store that lags behind shows
   a checkpoint without its flight, and a second Job would be made
3. before a verdict is written, read storage, Job and pods live and decide again (A28, A38)
4. carry the decision out, with one status write over exactly the state that was decided upon; a
   Job that no status will ever know is deleted at once, and the next one waits for its time (A25)
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from weightlock.reasons import Verdict
from weightlock_operator import logs
from weightlock_operator.acting import Actor, FloorRefused
from weightlock_operator.api.cluster import CHECKPOINTS, JOBS, Json
from weightlock_operator.api.cluster_errors import (
    ClusterTrouble,
    Forbidden,
    NotFound,
    Rejected,
    Terminating,
    Unavailable,
)
from weightlock_operator.decision.actions import CreateJob, Decision, DeleteJob, Finished
from weightlock_operator.decision.facts import Facts
from weightlock_operator.decision.needs import totals_of
from weightlock_operator.decision.queue import Running
from weightlock_operator.decision.reconcile import actions_for, job_refused, job_started
from weightlock_operator.gathering import Gatherer
from weightlock_operator.metrics import Metrics
from weightlock_operator.store import Store
from weightlock_operator.turns import Turns

GRANTING: Final = (Verdict.VERIFIED.value, Verdict.CLASSICAL_ONLY.value)
PODS_UNHEARD_SECONDS: Final = 120.0
"""A quiet watch is proven about every minute."""

REFUSALS: Final = (Forbidden, Rejected)
"""What makes an object impossible as it is: quota, pod security, a name. Else it is trouble."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Looked:
    """What came of a look."""

    again_after: timedelta | None = None
    verdict_changed: bool = False


class Looker:
    """Looks at checkpoints. Never at the same one twice at once: the work queue sees to that."""

    def __init__(
        self,
        gatherer: Gatherer,
        actor: Actor,
        *,
        store: Store,
        turns: Turns,
        metrics: Metrics,
        pods_unheard_seconds: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """`pods_unheard_seconds` says for how long nothing was heard of pods."""
        self._gatherer = gatherer
        self._actor = actor
        self._store = store
        self._turns = turns
        self._metrics = metrics
        self._pods_unheard_seconds = pods_unheard_seconds

    async def look(self, uid: str) -> Looked:
        """Look once.

        Raises:
            Conflict: somebody wrote in between; look again at once.
            ClusterTrouble: the cluster could not do its part; look again later.
            Malformed: the object cannot be read at all.
        """
        body = self._store.checkpoints.get(uid)
        if body is None:
            self._turns.forget(uid)
            return Looked()
        try:
            return await self._looked(uid, body)
        except Exception:
            # A turn that was taken for a Job that was not made must not be lost to the others, and
            # being called up must not cut the pause short that follows a failure.
            self._turns.wants_nothing(uid)
            if "verification" not in (body.get("status") or {}) and not self._store.has_job(uid):
                self._turns.runs_no_more(uid)
            raise

    async def _looked(self, uid: str, body: Json) -> Looked:
        # Step 1.
        facts = await self._gatherer.from_store(body)
        if uid in self._store.checkpoints:  # or it ended while the facts were gathered
            self._store.users[uid] = facts.user_count
        decision = self._decide(facts)
        # Step 2.
        if decision.create is not None:
            live = await self._gatherer.live_checkpoint(body)
            if live is None:
                self._turns.forget(uid)
                return Looked()
            if live["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]:
                body = live
                facts = await self._gatherer.live(body, facts)
                decision = self._decide(facts)
        # Step 3.
        if _needs_proof(body, decision):
            facts = await self._gatherer.live(body, facts)
            decision = self._decide(facts)
            self._must_know_writers(decision)
        # Step 4.
        return await self._act(body, facts, decision)

    def _must_know_writers(self, decision: Decision) -> None:
        """A02: whoever writes is known by the watch of pods alone, so no verdict without one."""
        unheard = self._pods_unheard_seconds()
        grants = (decision.status or {}).get("phase") in GRANTING
        if grants and unheard > PODS_UNHEARD_SECONDS:
            raise ClusterTrouble(f"nothing was heard of pods for {unheard:.0f} s")

    def _decide(self, facts: Facts) -> Decision:
        """Decide, and take the turn that the decision uses before anybody else can."""
        metadata = facts.checkpoint.metadata
        decision = actions_for(facts)
        if decision.ticket is not None:
            self._turns.wants(decision.ticket)
            place = self._turns.place(metadata.uid)
            if place.may_start and not facts.place.may_start:
                decision = actions_for(replace(facts, place=place))
        if decision.ticket is None:
            self._turns.wants_nothing(metadata.uid)
        return self._settled(facts, decision)

    async def _act(self, body: Json, facts: Facts, decision: Decision) -> Looked:
        facts, decision = await self._prepared(body, facts, decision)
        finished = decision.finished
        made: DeleteJob | None = None
        has_tried = decision.create is not None
        if decision.create is not None:
            decision, made = await self._started(facts, decision.create)
        try:
            if made is not None:
                await self._actor.before(decision.before, body)
            written = await self._recorded(body, decision)
        except Unavailable:
            await self._doubted(made, body)
            raise
        except Exception:
            await self._take_back(made, body)
            raise
        if written is None:
            await self._take_back(made, body)
            return Looked()
        if has_tried:  # no other status says when the next may start
            self._turns.recorded(body["metadata"]["uid"])
        changed = _word(body) != _word(written)
        if changed:
            self._say(body, decision)
        self._store.spend(body["metadata"]["uid"], decision.spent)
        await self._actor.after(decision.after, body)
        self._count(finished)
        return Looked(decision.requeue_after, changed)

    def _count(self, finished: Finished | None) -> None:
        if finished is not None:
            result = finished.verdict.value
            self._metrics.verification_ended(
                result, finished.device, finished.bytes, finished.seconds
            )

    async def _prepared(
        self, body: Json, facts: Facts, decision: Decision
    ) -> tuple[Facts, Decision]:
        """Do what has to be so first; what is decided if a version cannot be recorded."""
        try:
            await self._actor.before(decision.before, body)
        except FloorRefused as refusal:
            _log.error("the version of a model cannot be recorded: %s", refusal.message)
            facts = replace(facts, unkept=refusal.message)
            decision = self._decide(facts)
            await self._actor.before(decision.before, body)
        return facts, decision

    async def _recorded(self, body: Json, decision: Decision) -> Json | None:
        """Write the status, if it says something new; None if the checkpoint was deleted."""
        if decision.status is None:
            return body
        try:
            written = await self._actor.write_status(body, decision.status)
        except NotFound:
            return None
        self._store.apply(CHECKPOINTS, written)
        return written

    async def _take_back(self, made: DeleteJob | None, body: Json) -> None:
        """Delete a Job that no status will ever know."""
        if made is not None:
            await self._actor.after((made,), body)

    async def _doubted(self, made: DeleteJob | None, body: Json) -> None:
        """Nobody said whether the status was written: look, and take back what it does not know.

        A status that arrives later still knows a Job that is gone, which counts as evicted. Where
        nobody can be asked either, the Job is an orphan in a minute.
        """
        if made is None:
            return
        try:
            live = await self._gatherer.live_checkpoint(body)
        except ClusterTrouble:
            return
        flying = ((live or {}).get("status") or {}).get("verification") or {}
        if flying.get("jobUID") != made.uid:
            await self._take_back(made, body)
            self._no_tenants_doing(body["metadata"]["uid"])

    async def _doubted_creation(self, facts: Facts, create: CreateJob) -> None:
        """Nobody said whether the Job was made: look, and delete what no status will know."""
        wanted: Any = create.manifest["metadata"]
        try:
            job = await self._gatherer.live_job(facts.namespace, wanted["name"])
            if job is not None:
                made = DeleteJob(facts.namespace, wanted["name"], job["metadata"]["uid"])
                await self._actor.before((made,), {})
        except ClusterTrouble:
            return  # without its uid in a status nobody ever believes it; an orphan in a minute
        self._no_tenants_doing(facts.checkpoint.metadata.uid)

    def _no_tenants_doing(self, uid: str) -> None:
        """The pause between starts is for specs that flip; after trouble the work queue waits."""
        self._turns.recorded(uid)

    async def _started(self, facts: Facts, create: CreateJob) -> tuple[Decision, DeleteJob | None]:
        """Make the Job; what follows, and what takes it back."""
        uid = facts.checkpoint.metadata.uid
        # Or a tenant who is faster than every status write is given a Job for each of them.
        self._turns.starts(uid)
        try:
            answer = await self._actor.create_job(create.manifest)
        except Terminating:
            raise
        except REFUSALS as refusal:
            return self._settled(facts, job_refused(facts, create, refusal.message)), None
        except ClusterTrouble as trouble:
            if isinstance(trouble, Unavailable):
                await self._doubted_creation(facts, create)
            self._turns.runs_no_more(uid)
            raise
        self._store.apply(JOBS, answer)  # it holds a turn from now on, whatever becomes of it
        metadata = answer["metadata"]
        made = DeleteJob(metadata["namespace"], metadata["name"], metadata["uid"])
        return self._settled(facts, job_started(facts, create, answer)), made

    def _settled(self, facts: Facts, decision: Decision) -> Decision:
        uid, store = facts.checkpoint.metadata.uid, self._store
        if decision.is_flying or store.has_job(uid):
            totals, is_suspended = totals_of(facts.composition), store.is_suspended(uid)
            running = Running(uid, facts.namespace, totals, is_suspended=is_suspended)
            self._turns.runs(running)
        else:
            self._turns.runs_no_more(uid)
        return decision

    def _say(self, body: Json, decision: Decision) -> None:
        metadata = body["metadata"]
        _log.info(
            "decided",
            extra=logs.decision(
                object=f"{metadata['namespace']}/{metadata['name']}",
                verdict=decision.verdict,
                reason=decision.reason,
                generation=metadata.get("generation"),
            ),
        )


def _needs_proof(body: Json, decision: Decision) -> bool:
    """Whether the decision writes a verdict that nobody has written yet."""
    if decision.finished is not None:
        return True
    if decision.status is None:
        return False
    before = body.get("status") or {}
    grants = decision.status.get("phase") in GRANTING
    return grants and any(before.get(key) != decision.status.get(key) for key in ("phase", "seal"))


def _word(body: Json) -> tuple[object, object]:
    status = body.get("status") or {}
    return (status.get("phase"), status.get("reason"))
