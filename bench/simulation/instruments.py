"""The metrics of both processes, as the simulation fills them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 3)
JOB_SECONDS: Final = (1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400)
SPEEDS: Final = (0.25e9, 0.5e9, 1e9, 2e9, 5e9, 10e9, 20e9, 40e9, 80e9, 160e9)

Maker = Callable[[str, str, tuple[str, ...], CollectorRegistry], MetricWrapperBase]


def _gauge(name: str, about: str, labels: tuple[str, ...], to: CollectorRegistry) -> Gauge:
    return Gauge(name, about, labels, registry=to)


def _counter(name: str, about: str, labels: tuple[str, ...], to: CollectorRegistry) -> Counter:
    return Counter(name, about, labels, registry=to)


def _histogram(buckets: tuple[float, ...]) -> Maker:
    def make(
        name: str, about: str, labels: tuple[str, ...], to: CollectorRegistry
    ) -> MetricWrapperBase:
        return Histogram(name, about, labels, registry=to, buckets=buckets)

    return make


Declared = Mapping[str, tuple[Maker, tuple[str, ...]]]

BOTH: Declared = {"build_info": (_gauge, ("component", "version"))}
OPERATOR: Declared = {
    **BOTH,
    "checkpoints": (_gauge, ("phase", "family")),
    "checkpoint_bytes": (_gauge, ("family",)),
    "namespaces": (_gauge, ("family",)),
    "signatures": (_gauge, ("algorithm", "family")),
    "mounted_unverified_pods": (_gauge, ("phase",)),
    "classical_sunset_timestamp_seconds": (_gauge, ("policy",)),
    "verifications_total": (_counter, ("result", "device")),
    "verification_duration_seconds": (_histogram(JOB_SECONDS), ()),
    "verified_bytes_total": (_counter, ("device",)),
    "verification_bytes_per_second": (_histogram(SPEEDS), ("device",)),
    "jobs": (_gauge, ("state",)),
    "queue_length": (_gauge, ()),
    "reconcile_duration_seconds": (_histogram(SECONDS), ("result",)),
    "leader": (_gauge, ()),
    "api_requests_total": (_counter, ("method", "result")),
    "events_dropped": (_gauge, ()),
    "watch_age_seconds": (_gauge, ("resource",)),
}
WEBHOOK: Declared = {
    **BOTH,
    "admission_requests_total": (_counter, ("decision", "reason", "mode", "resource")),
    "admission_duration_seconds": (_histogram(SECONDS), ("resource",)),
    "admission_in_flight": (_gauge, ()),
    "admission_armed": (_gauge, ()),
    "admission_paths_open": (_gauge, ()),
    "webhook_leader": (_gauge, ()),
    "cache_staleness_seconds": (_gauge, ("resource",)),
    "cache_objects": (_gauge, ("resource",)),
    "certificate_expiry_timestamp_seconds": (_gauge, ()),
    "certificate_reload_failures_total": (_counter, ()),
    "live_reads_total": (_counter, ("resource", "result")),
}


@dataclass(slots=True)
class Process:
    """One replica: a registry of its own, as in the product."""

    job: str
    instance: str
    declared: Declared
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    metrics: dict[str, MetricWrapperBase] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, (make, labels) in self.declared.items():
            self.metrics[name] = make(f"weightlock_{name}", name, labels, self.registry)

    def set(self, name: str, value: float, **labels: str) -> None:
        """Say what a gauge shows."""
        cast(Gauge, self._series(name, labels)).set(value)

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Let a counter grow."""
        cast(Counter, self._series(name, labels)).inc(amount)

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Give a histogram one value."""
        cast(Histogram, self._series(name, labels)).observe(value)

    def _series(self, name: str, labels: dict[str, str]) -> MetricWrapperBase:
        metric = self.metrics[name]
        return metric.labels(**labels) if labels else metric
