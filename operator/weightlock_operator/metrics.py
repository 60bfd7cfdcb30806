"""The operator's metrics (design section 8). Labels are words from closed lists, never names (D02).

The one exception is the label `policy` of the sunset: cluster policies are few and their
administrators'.

Counters begin at 0 with every word that they can have: one that is born with its first increment
hides it from rate() and increase(), and with it the first failure there ever was.

Gauges over all objects are computed from the store when Prometheus asks, so they cannot drift.
"""

import asyncio
import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from weightlock_operator.clocks import steady_clock

RECONCILE_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
VERIFICATION_BUCKETS: Final = (1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400)
RATE_BUCKETS: Final = tuple(float(rate) * 1e9 for rate in (0.25, 0.5, 1, 2, 5, 10, 20, 40, 80, 160))

OTHER: Final = "other"
DEVICES: Final = ("cuda", "rocm", "cpu", OTHER)
RESULTS: Final = ("Verified", "ClassicalOnly", "Failed", "Error")
LOOKS: Final = ("ok", "conflict", "trouble", "malformed", "error", "not_leader")
METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
ANSWERS: Final = (
    "Ok",
    *("NotFound", "AlreadyExists", "Conflict", "Gone", "Forbidden", "Terminating", "Rejected"),
    *("Throttled", "Unavailable"),
)
_BUILD: Final = ("component", "version")

Words = Mapping[str, tuple[str, ...]]
"""The labels of a metric and every word that each can have."""

_NO_LABELS: Final[Words] = {}


@dataclass(slots=True)
class Snapshot:
    """Everything that is counted over all objects, at one instant."""

    checkpoints: dict[tuple[str, str], int] = field(default_factory=dict)
    """By phase and family."""
    jobs: dict[str, int] = field(default_factory=dict)
    """By state."""
    signatures: dict[tuple[str, str], int] = field(default_factory=dict)
    """By algorithm and family."""
    checkpoint_bytes: dict[str, int] = field(default_factory=dict)
    """By family."""
    namespaces: dict[str, int] = field(default_factory=dict)
    """By the weakest family of their checkpoints."""
    sunsets: dict[str, float] = field(default_factory=dict)
    """By cluster policy."""
    mounted_unverified: dict[str, int] = field(default_factory=dict)
    """Pods by the phase of what they have mounted."""


COUNTED_FOR_SECONDS: Final = 1.0
COUNTING_SHARE: Final = 20


@dataclass(slots=True)
class Result:
    """How a look went, in one word."""

    word: str = "error"


class Metrics:
    """One per process, in a registry of its own."""

    def __init__(self, version: str, clock: Callable[[], float] = steady_clock) -> None:
        self._clock = clock
        self._count_again_at = float("-inf")
        self.registry = CollectorRegistry()
        self.snapshot: Callable[[], Snapshot] = Snapshot
        self.counted = Snapshot()
        self.queue_length: Callable[[], int] = lambda: 0
        self.watch_ages: Callable[[], dict[str, float]] = dict
        _gauge(self.registry, "build_info", "Always 1; the labels say what runs.", _BUILD).labels(
            "operator", version
        ).set(1)
        self.leader = _gauge(self.registry, "leader", "1 while this replica leads.")
        self.events_dropped = _gauge(
            self.registry, "events_dropped", "Kubernetes Events that were not written."
        )
        self._declare_verifications()
        self.reconcile = _histogram(
            self.registry,
            "reconcile_duration_seconds",
            "One look at one checkpoint, with everything that was done about it.",
            RECONCILE_BUCKETS,
            {"result": LOOKS},
        )
        self.requests = _counter(
            self.registry,
            "api_requests",
            "Requests to the API server, by method and result.",
            {"method": METHODS, "result": ANSWERS},
        )
        self.registry.register(_Census(self))

    def _declare_verifications(self) -> None:
        device = {"device": DEVICES}
        self.verifications = _counter(
            self.registry,
            "verifications",
            "Verifications that ended, by verdict and device.",
            {"result": RESULTS, **device},
        )
        self.verified_bytes = _counter(
            self.registry, "verified_bytes", "Bytes read by verifications.", device
        )
        self.duration = _histogram(
            self.registry,
            "verification_duration_seconds",
            "From the first byte to the report.",
            VERIFICATION_BUCKETS,
        )
        self.rate = _histogram(
            self.registry,
            "verification_bytes_per_second",
            "Bytes per second of one verification.",
            RATE_BUCKETS,
            device,
        )

    @contextmanager
    def reconciling(self) -> Iterator["Result"]:
        """Times one look; its result is set inside."""
        result = Result()
        started = time.perf_counter()
        try:
            yield result
        finally:
            self.reconcile.labels(result.word).observe(time.perf_counter() - started)

    def count_request(self, method: str, result: str) -> None:
        """For weightlock_operator.api.rest."""
        self.requests.labels(method, result).inc()

    def verification_ended(self, result: str, device: str, size: int, seconds: float) -> None:
        """A verification has reported."""
        kind = device_kind(device)
        self.verifications.labels(result, kind).inc()
        self.verified_bytes.labels(kind).inc(max(0, size))
        self.duration.observe(max(0.0, seconds))
        if size > 0 and seconds > 0:
            self.rate.labels(kind).observe(size / seconds)

    async def exposition(self) -> bytes:
        """What Prometheus reads: counted in the event loop, written out in a thread.

        Everybody on the pod network may ask, and counting takes the time of whoever decides: a
        twentieth of it at most, however often somebody asks and however much there is.
        """
        began = self._clock()
        if began >= self._count_again_at:
            self.counted = self.snapshot()
            took = self._clock() - began
            self._count_again_at = began + COUNTED_FOR_SECONDS + COUNTING_SHARE * took
        return await asyncio.to_thread(generate_latest, self.registry)


def _gauge(
    registry: CollectorRegistry, name: str, text: str, labels: tuple[str, ...] = ()
) -> Gauge:
    return Gauge(f"weightlock_{name}", text, labels, registry=registry)


def _counter(registry: CollectorRegistry, name: str, text: str, words: Words) -> Counter:
    made = Counter(f"weightlock_{name}", text, tuple(words), registry=registry)
    _begin_at_zero(made, words)
    return made


def _histogram(
    registry: CollectorRegistry,
    name: str,
    text: str,
    buckets: tuple[float, ...],
    words: Words = _NO_LABELS,
) -> Histogram:
    made = Histogram(f"weightlock_{name}", text, tuple(words), buckets=buckets, registry=registry)
    _begin_at_zero(made, words)
    return made


def _begin_at_zero(metric: Counter | Histogram, words: Words) -> None:
    if words:
        for each in itertools.product(*words.values()):
            metric.labels(*each)


def device_kind(device: str) -> str:
    """A closed word for what a report calls its device, which is free text."""
    lowered = device.lower()
    if "cpu" in lowered:
        return "cpu"
    if "rocm" in lowered or "amd" in lowered:
        return "rocm"
    if any(word in lowered for word in ("cuda", "nvidia", "gpu")):
        return "cuda"
    return OTHER


class _Census(Collector):
    """Counts when asked."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Nothing, so that registering does not count."""
        return ()

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """The gauges over all objects."""
        seen = self._metrics.counted
        yield _family(
            "weightlock_checkpoints", "Checkpoints by phase.", ("phase", "family"), seen.checkpoints
        )
        yield _family(
            "weightlock_jobs", "Verification Jobs by state.", ("state",), _single(seen.jobs)
        )
        yield _family(
            "weightlock_signatures",
            "Valid signatures of verified checkpoints.",
            ("algorithm", "family"),
            seen.signatures,
        )
        yield _family(
            "weightlock_checkpoint_bytes",
            "Bytes of verified checkpoints.",
            ("family",),
            _single(seen.checkpoint_bytes),
        )
        yield _family(
            "weightlock_namespaces",
            "Namespaces by the weakest family of their checkpoints.",
            ("family",),
            _single(seen.namespaces),
        )
        yield _family(
            "weightlock_classical_sunset_timestamp_seconds",
            "When a cluster policy stops accepting classical signatures.",
            ("policy",),
            _single(seen.sunsets),
        )
        yield _family(
            "weightlock_mounted_unverified_pods",
            "Running pods that have an unverified checkpoint mounted.",
            ("phase",),
            _single(seen.mounted_unverified),
        )
        queued = GaugeMetricFamily(
            "weightlock_queue_length", "Checkpoints that wait to be looked at."
        )
        queued.add_metric((), self._metrics.queue_length())
        yield queued
        yield _family(
            "weightlock_watch_age_seconds",
            "Seconds since something was heard of a watched resource.",
            ("resource",),
            _single(self._metrics.watch_ages()),
        )


def _single(values: dict[str, int] | dict[str, float]) -> dict[tuple[str, ...], float]:
    return {(key,): value for key, value in values.items()}


def _family(
    name: str,
    help_text: str,
    labels: tuple[str, ...],
    values: dict[tuple[str, ...], float] | dict[tuple[str, str], int],
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, help_text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family
