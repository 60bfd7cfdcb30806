"""What Prometheus scrapes. Every label is a word of a small set (D02)."""

from bisect import bisect_left
from collections.abc import Iterator
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from weightlock.policy.spec import Enforcement
from weightlock.reasons import Reason
from weightlock_webhook.decision.answers import Outcome
from weightlock_webhook.documents import Request
from weightlock_webhook.guards.refusals import GuardReason
from weightlock_webhook.responses import ERROR, NO_MODE, Response
from weightlock_webhook.reviews.collaborators import Readiness

BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 3.0)
UNREADABLE: Final = "unreadable"
OTHER: Final = "other"

KNOWN_RESOURCES: Final = frozenset(
    {
        "bindings",
        "clustermodelpolicies",
        "clustermodelpolicies/status",
        "jobs",
        "jobs/status",
        "modelcheckpoints",
        "modelcheckpoints/status",
        "modelpolicies",
        "modelpolicies/status",
        "namespaces",
        "namespaces/finalize",
        "namespaces/status",
        "persistentvolumeclaims",
        "persistentvolumeclaims/status",
        "pods",
        "pods/attach",
        "pods/binding",
        "pods/ephemeralcontainers",
        "pods/exec",
        "pods/portforward",
        "pods/resize",
        "pods/status",
    }
)

_ENFORCE: Final = str(Enforcement.ENFORCE)
_PODS: Final = ("pods", "pods/binding", "pods/ephemeralcontainers")
_ERRORS: Final = (
    Reason.CACHE_STALE,
    Reason.CLUSTER_UNREACHABLE,
    Reason.INTERNAL_ERROR,
    Reason.LIMIT_EXCEEDED,
)
_GUARDED: Final = {
    GuardReason.PROTECTED_OBJECT: sorted(
        each for each in KNOWN_RESOURCES if each.startswith(("pods", "jobs"))
    ),
    GuardReason.RESERVED_KEY: ("bindings", "namespaces", "pods", "pods/binding"),
    GuardReason.NOT_THE_OPERATOR: sorted(
        each for each in KNOWN_RESOURCES if "model" in each or each == "jobs"
    ),
    GuardReason.NOT_A_VERIFICATION: ("pods", "pods/binding"),
    GuardReason.FOREIGN_OWNER: ("modelcheckpoints",),
    GuardReason.HOLD_BROKEN: ("pods",),
    GuardReason.NAMESPACE_NAME: ("namespaces",),
    GuardReason.PROTECTION_REMOVED: ("persistentvolumeclaims", "persistentvolumeclaims/status"),
    GuardReason.UNSERVED: (OTHER,),
}
_AGAINST: Final = tuple(
    reason for reason in Reason if reason not in {Reason.VERIFIED, Reason.NOT_GOVERNED}
)
_BORN: Final = (
    *(
        (ERROR, str(reason), _ENFORCE, resource)
        for reason in _ERRORS
        for resource in sorted({*KNOWN_RESOURCES, UNREADABLE, OTHER})
    ),
    *((str(Outcome.DENY), str(reason), _ENFORCE, pods) for reason in _AGAINST for pods in _PODS),
    *(
        (str(Outcome.DENY), str(reason), _ENFORCE, resource)
        for reason, resources in _GUARDED.items()
        for resource in resources
    ),
    *(
        (str(Outcome.ALLOW), str(Reason.CLASSICAL_ONLY), mode, pods)
        for mode in (NO_MODE, str(Enforcement.AUDIT), str(Enforcement.WARN))
        for pods in _PODS
    ),
)
"""Series that are there from the start: `rate()` does not see the first of one that is born at 1,
and alerts and whoever watches refusals wait for these. All others would be thousands."""

_TIMED: Final = ("pods", "pods/binding")
"""Resources whose histograms are there from the start."""

_READ: Final = (
    "clustermodelpolicies",
    "modelcheckpoints",
    "modelpolicies",
    "namespaces",
    "persistentvolumeclaims",
    "persistentvolumes",
    "pods",
    "resourceclaims",
    "resourceclaimtemplates",
)
_READ_RESULTS: Final = ("found", "missing", "error")


class Metrics:
    """The metrics of one process, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._tally = _Tally()
        self.registry.register(self._tally)
        self.in_flight = self._gauge("weightlock_admission_in_flight", "Reviews being answered.")
        self.armed = self._gauge(
            "weightlock_admission_armed",
            "1 if both webhook configurations are in the cluster as they were shipped.",
        )
        self.paths_open = self._gauge(
            "weightlock_admission_paths_open",
            "1 while paths without a token are answered, which every pod can call.",
        )
        self._certificate_expiry = self._gauge(
            "weightlock_certificate_expiry_timestamp_seconds",
            "When the serving certificate ends.",
        )
        self._certificate_failures = Counter(
            "weightlock_certificate_reload_failures",
            "Certificates that could not be taken; the one before stays.",
            registry=self.registry,
        )
        self.leader = self._gauge(
            "weightlock_webhook_leader", "1 if this replica looks after configurations and CA."
        )
        self._live_reads = Counter(
            "weightlock_live_reads",
            "Reads of the API server for a decision.",
            ("resource", "result"),
            registry=self.registry,
        )
        self._read_counts: dict[tuple[str, str], Counter] = {}
        """By labels, which are few: looking them up takes longer than counting."""
        for resource in _READ:
            for result in _READ_RESULTS:
                self._read_counts[resource, result] = self._live_reads.labels(resource, result)
        build = Gauge(
            "weightlock_build_info",
            "1; the labels say what runs.",
            ("component", "version"),
            registry=self.registry,
        )
        build.labels("webhook", _version()).set(1)

    def watch_cache(self, readiness: Readiness) -> None:
        """Show what the cache says of itself whenever somebody scrapes."""
        self.registry.register(_Cache(readiness))

    def count(self, request: Request | None, response: Response, seconds: float) -> None:
        """One decision."""
        self.count_as(resource_of(request), response, seconds)

    def count_as(self, resource: str, response: Response, seconds: float) -> None:
        """One decision about a resource that is known to be one of ours."""
        self._tally.add(response, resource, seconds)

    def certificate_taken(self, not_after: datetime) -> None:
        """A certificate is served from now on."""
        self._certificate_expiry.set(not_after.timestamp())

    def certificate_refused(self) -> None:
        """One could not be taken."""
        self._certificate_failures.inc()

    def live_read(self, resource: str, result: str) -> None:
        """One read of the API server for a decision."""
        known = self._read_counts.get((resource, result))
        if known is None:
            known = self._read_counts[resource, result] = self._live_reads.labels(resource, result)
        known.inc()

    def exposition(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self.registry)

    def _gauge(self, name: str, meaning: str) -> Gauge:
        return Gauge(name, meaning, registry=self.registry)


class _Tally:
    """Counts decisions. Plain numbers: this is done for every review, a scrape is rare."""

    def __init__(self) -> None:
        self._decisions: dict[tuple[str, str, str, str], int] = dict.fromkeys(_BORN, 0)
        self._durations = {resource: [0] * (len(BUCKETS) + 1) for resource in _TIMED}
        self._seconds = dict.fromkeys(_TIMED, 0.0)

    def add(self, response: Response, resource: str, seconds: float) -> None:
        """One decision."""
        key = (response.decision, response.reason, response.mode, resource)
        self._decisions[key] = self._decisions.get(key, 0) + 1
        counts = self._durations.get(resource)
        if counts is None:
            counts = self._durations[resource] = [0] * (len(BUCKETS) + 1)
        counts[bisect_left(BUCKETS, seconds)] += 1
        self._seconds[resource] = self._seconds.get(resource, 0.0) + seconds

    def collect(self) -> Iterator[Metric]:
        """What Prometheus reads."""
        requests = CounterMetricFamily(
            "weightlock_admission_requests",
            "Reviews answered.",
            labels=["decision", "reason", "mode", "resource"],
        )
        for key, count in self._decisions.items():
            requests.add_metric([str(word) for word in key], count)
        yield requests
        durations = HistogramMetricFamily(
            "weightlock_admission_duration_seconds",
            "From the head of a review to its answer.",
            labels=["resource"],
        )
        for resource, counts in self._durations.items():
            sums = list(accumulate(counts))
            bounds = [*(str(bound) for bound in BUCKETS), "+Inf"]
            durations.add_metric(
                [resource], list(zip(bounds, sums, strict=True)), self._seconds[resource]
            )
        yield durations


class _Cache:
    """A collector: asked at every scrape, it keeps nothing."""

    def __init__(self, readiness: Readiness) -> None:
        self._readiness = readiness

    def collect(self) -> Iterator[Metric]:
        staleness = GaugeMetricFamily(
            "weightlock_cache_staleness_seconds",
            "How long ago a watch was last proven to be alive.",
            labels=["resource"],
        )
        for resource, seconds in self._readiness.staleness_seconds().items():
            staleness.add_metric([resource], seconds)
        yield staleness
        objects = GaugeMetricFamily(
            "weightlock_cache_objects", "Objects that are known.", labels=["resource"]
        )
        for resource, count in self._readiness.counts().items():
            objects.add_metric([resource], count)
        yield objects


def resource_of(request: Request | None) -> str:
    """The resource as a label: one of those we know, or `other` for workloads of any kind."""
    if request is None:
        return UNREADABLE
    name = request.resource.resource
    if request.sub_resource:
        name = f"{name}/{request.sub_resource}"
    return name if name in KNOWN_RESOURCES else OTHER


def _version() -> str:
    try:
        return version("weightlock")
    except PackageNotFoundError:
        return "unknown"
