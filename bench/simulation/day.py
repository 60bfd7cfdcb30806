"""What happens in the simulated day, minute by minute.

Teams sign again post-quantum, so classical signatures give way; at nine a changed policy makes
every checkpoint wait for a new verification; at ten the webhook is rolled out; in the afternoon two
checkpoints turn out damaged.
"""

import math
import random
from dataclasses import dataclass
from typing import Final

from bench.simulation.instruments import OPERATOR, WEBHOOK, Process

MINUTES: Final = 24 * 60
DAY_SECONDS: Final = 86400
VERSION: Final = "0.1.0"
POLICY_CHANGE: Final = 9 * 60
ROLLOUT: Final = 10 * 60
DAMAGE: Final = range(14 * 60, 17 * 60)
CHECKPOINTS: Final = 120
GB: Final = 10**9
SUNSETS: Final = {"production": 41, "research": 132}  # days after the start
CACHES: Final = {
    "pods": 900,
    "persistentvolumeclaims": 240,
    "persistentvolumes": 250,
    "modelcheckpoints": CHECKPOINTS,
    "modelpolicies": 9,
    "clustermodelpolicies": 2,
    "namespaces": 31,
    "weightlock-seal": 1,
    "weightlock-state": 1,
    "weightlock-versions": 1,
}
# How often each answer is given, in a thousand: decision, reason, mode, resource.
ANSWERS: Final = (
    (500, "Allow", "Verified", "None", "pods"),
    (260, "Allow", "NotGoverned", "None", "pods"),
    (120, "Allow", "Verified", "None", "pods/binding"),
    (40, "Allow", "ClassicalOnly", "None", "pods"),
    (20, "Allow", "NoCheckpoint", "Warn", "pods"),
    (30, "Hold", "NotVerified", "Enforce", "pods"),
    (10, "Deny", "NotVerified", "Enforce", "pods/binding"),
    (8, "Deny", "WritableMount", "Enforce", "pods"),
    (6, "Deny", "NoCheckpoint", "Enforce", "pods"),
    (6, "Deny", "ClassicalOnly", "Enforce", "pods"),
)
DAMAGED: Final = (25, "Deny", "ContentMismatch", "Enforce", "pods")


@dataclass(frozen=True, slots=True)
class Share:
    """What the teams have signed with, as counts of checkpoints."""

    post_quantum: int
    hybrid: int
    classical: int
    unsigned: int

    @classmethod
    def at(cls, minute: int) -> "Share":
        """Moves over the day in steps, as teams release."""
        done = round(minute / MINUTES * 8) / 8
        post_quantum, hybrid = 36 + round(28 * done), 20 + round(12 * done)
        unsigned = 6 - round(3 * done)
        classical = CHECKPOINTS - post_quantum - hybrid - unsigned
        return cls(post_quantum, hybrid, classical, unsigned)


class Day:
    """The processes of a cluster; `step` moves all of them by a minute."""

    def __init__(self, start: float, seed: int = 7) -> None:
        self._random = random.Random(seed)  # noqa: S311 - the same day every time, not a secret
        self._start = start
        self.minute = 0
        self.leader = Process("weightlock-operator", "operator-0", OPERATOR)
        self.second = Process("weightlock-operator", "operator-1", OPERATOR)
        self.webhooks = [Process("weightlock-webhook", f"webhook-{n}", WEBHOOK) for n in range(3)]
        self._waiting = 0
        self._running = 0

    @property
    def processes(self) -> list[Process]:
        """All that can be scraped."""
        return [self.leader, self.second, *self.webhooks]

    @property
    def now(self) -> float:
        """The simulated time."""
        return self._start + 60 * self.minute

    def step(self) -> None:
        """One more minute."""
        self._identity()
        self._protection()
        self._verification()
        for number, webhook in enumerate(self.webhooks):
            self._admission(webhook, number)
        self.minute += 1

    def _identity(self) -> None:
        for process in self.processes:
            component = process.job.removeprefix("weightlock-")
            process.set("build_info", 1, component=component, version=VERSION)
        self.leader.set("leader", 1)
        self.second.set("leader", 0)

    def _protection(self) -> None:
        share = Share.at(self.minute)
        failed = 2 if self.minute in DAMAGE else 0
        again = min(self._waiting + self._running, share.post_quantum - failed)
        phases = {
            ("Verified", "post-quantum"): share.post_quantum - failed - again,
            ("Verifying", "post-quantum"): min(again, self._running),
            ("Stale", "post-quantum"): max(0, again - self._running),
            ("Failed", "post-quantum"): failed,
            ("Verified", "hybrid"): share.hybrid,
            ("ClassicalOnly", "classical"): share.classical,
            ("Pending", "none"): share.unsigned,
        }
        lead = self.leader
        for (phase, family), count in phases.items():
            lead.set("checkpoints", count, phase=phase, family=family)
        self._families(share)
        lead.set("mounted_unverified_pods", 3 * failed, phase="Failed")
        lead.set("mounted_unverified_pods", round(share.classical * 1.4), phase="ClassicalOnly")
        lead.set("mounted_unverified_pods", share.unsigned, phase="Pending")
        for policy, days in SUNSETS.items():
            at = self._start + days * DAY_SECONDS
            lead.set("classical_sunset_timestamp_seconds", at, policy=policy)

    def _families(self, share: Share) -> None:
        lead = self.leader
        counts = {
            "post-quantum": (share.post_quantum, 160),
            "hybrid": (share.hybrid, 420),
            "classical": (share.classical, 60),
            "none": (share.unsigned, 25),
        }
        for family, (count, gigabytes) in counts.items():
            lead.set("checkpoint_bytes", count * gigabytes * GB, family=family)
            lead.set("namespaces", math.ceil(count / 6), family=family)
        for algorithm, family, count in (
            ("ML-DSA-65", "ML-DSA", share.post_quantum - 14 + share.hybrid),
            ("ML-DSA-87", "ML-DSA", 8),
            ("SLH-DSA-SHA2-128s", "SLH-DSA", 6),
            ("ECDSA-P256", "classical", share.classical + share.hybrid),
        ):
            lead.set("signatures", count, algorithm=algorithm, family=family)

    def _verification(self) -> None:
        if self.minute == POLICY_CHANGE:
            self._waiting += 64
        if self._random.random() < 0.2:  # noqa: PLR2004 - one in five minutes brings a release
            self._waiting += 1
        for _ in range(self._running):
            self._finish()
        self._running = min(self._waiting, 2)
        self._waiting -= self._running
        self.leader.set("queue_length", self._waiting)
        for state, count in (("Running", self._running), ("Complete", 4), ("Failed", 0)):
            self.leader.set("jobs", count, state=state)
        for _ in range(6):
            seconds = self._random.expovariate(60)
            self.leader.observe("reconcile_duration_seconds", seconds, result="ok")
            self.leader.count("api_requests_total", method="GET", result="ok")
        for resource in ("modelcheckpoints", "pods", "jobs"):
            age = self._random.uniform(0, 20)
            self.leader.set("watch_age_seconds", age, resource=resource)

    def _finish(self) -> None:
        device = self._random.choices(("cuda", "cpu"), (4, 1))[0]
        speed = self._random.gauss(*((41e9, 3e9) if device == "cuda" else (1.9e9, 0.1e9)))
        size = self._random.uniform(14, 300) * GB
        lead, result = self.leader, self._result()
        lead.count("verifications_total", result=result, device=device)
        if result == "Error":
            return
        lead.count("verified_bytes_total", size, device=device)
        lead.observe("verification_bytes_per_second", speed, device=device)
        lead.observe("verification_duration_seconds", size / speed)

    def _result(self) -> str:
        if self.minute in DAMAGE:
            return self._random.choices(("Failed", "Verified"), (1, 3))[0]
        return self._random.choices(("Verified", "ClassicalOnly", "Error"), (90, 7, 3))[0]

    def _admission(self, webhook: Process, number: int) -> None:
        daily = 1 + math.sin((self.minute / MINUTES - 0.33) * 2 * math.pi)
        answers = [*ANSWERS, DAMAGED] if self.minute in DAMAGE else [*ANSWERS]
        weights = [answer[0] for answer in answers]
        for _ in range(int(self._random.uniform(4, 8) + 20 * daily)):
            _, decision, reason, mode, resource = self._random.choices(answers, weights)[0]
            webhook.count(
                "admission_requests_total",
                decision=decision,
                reason=reason,
                mode=mode,
                resource=resource,
            )
            seconds = self._random.lognormvariate(-5.8, 0.6)
            webhook.observe("admission_duration_seconds", seconds, resource=resource)
            if decision != "Deny":
                result = "404" if reason == "NoCheckpoint" else "found"
                webhook.count("live_reads_total", resource="modelcheckpoints", result=result)
        rolled_at = ROLLOUT + 3 * number
        armed = not rolled_at <= self.minute < rolled_at + 2
        webhook.set("admission_armed", int(armed))
        webhook.set("admission_paths_open", 0)
        webhook.set("webhook_leader", int(number == 0))
        webhook.set("admission_in_flight", self._random.choice((0, 0, 1, 2)))
        renewed = self._start + (6.2 if self.minute < rolled_at else 7.4) * DAY_SECONDS
        webhook.set("certificate_expiry_timestamp_seconds", renewed)
        for resource, count in CACHES.items():
            webhook.set("cache_staleness_seconds", self._random.uniform(0, 50), resource=resource)
            webhook.set("cache_objects", count, resource=resource)
