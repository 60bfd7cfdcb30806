"""Whether the door is guarded, what it answers, how fast, and on what knowledge."""

from bench.dashboards.expressions import quantile
from bench.dashboards.panels import (
    YES_IS_GOOD,
    Colour,
    Dashboard,
    Kind,
    Limits,
    Panel,
    Query,
    Row,
)

REQUESTS = "weightlock_admission_requests_total"
EXPIRY = "weightlock_certificate_expiry_timestamp_seconds"
SECONDS = "weightlock_admission_duration_seconds"
# `mode` is how strictly the strictest policy that objects does, or None: two sets of series that
# overlap, which `or` counts once.
OBJECTED_TO = f'rate({REQUESTS}{{decision="Allow",mode=~"Warn|Audit"}}[$__rate_interval])'
CLASSICAL = f'rate({REQUESTS}{{decision="Allow",reason="ClassicalOnly"}}[$__rate_interval])'
# The server's own time; the API server gives up after five seconds.
SLOW = Limits(Colour.GOOD, ((0.1, Colour.LOOK), (1, Colour.BAD)))
# Watches prove themselves every 50 s; beyond 90 s nothing is let in.
STALE = Limits(Colour.GOOD, ((60, Colour.LOOK), (90, Colour.BAD)))
DAYS_LEFT = Limits(Colour.BAD, ((1, Colour.LOOK), (2, Colour.GOOD)))


def rate(labels: str, which: str = "") -> str:
    """Answers a second, summed over replicas."""
    return f"sum by ({labels}) (rate({REQUESTS}{which}[$__rate_interval]))"


LATENCY = (Query(quantile(0.5, SECONDS), "p50"), Query(quantile(0.99, SECONDS), "p99"))

ADMISSION = Dashboard(
    uid="weightlock-admission",
    title="Weightlock / Admission",
    description="Whether the webhook is armed, what it answers and why, how fast it is, and how"
    " fresh its knowledge and its certificate are.",
    rows=(
        Row(
            "Now",
            (
                Panel(
                    "Armed",
                    "Whether every replica has seen both webhook configurations in the cluster as"
                    " they were shipped. Without them the API server asks nobody.",
                    Kind.NUMBER,
                    "short",
                    (Query("min(weightlock_admission_armed)"),),
                    width=4,
                    limits=YES_IS_GOOD,
                    words={0: "NOT ARMED", 1: "armed"},
                ),
                Panel(
                    "Replicas",
                    "Replicas of the webhook that report.",
                    Kind.NUMBER,
                    "short",
                    (Query("count(weightlock_admission_armed)"),),
                    width=4,
                    limits=Limits(Colour.BAD, ((1, Colour.LOOK), (2, Colour.GOOD))),
                ),
                Panel(
                    "Requests",
                    "Admission requests a second.",
                    Kind.NUMBER,
                    "reqps",
                    (Query(f"sum(rate({REQUESTS}[$__rate_interval]))"),),
                    width=4,
                ),
                Panel(
                    "Latency, p99",
                    "99 of 100 requests are answered within this time, as the webhook measures it.",
                    Kind.NUMBER,
                    "s",
                    (Query(quantile(0.99, SECONDS)),),
                    width=4,
                    limits=SLOW,
                ),
                Panel(
                    "Oldest knowledge",
                    "The age of the stalest cache. What is too old is never used to allow.",
                    Kind.NUMBER,
                    "s",
                    (Query("max(weightlock_cache_staleness_seconds)"),),
                    width=4,
                    limits=STALE,
                ),
                Panel(
                    "Certificate expires in",
                    "Days until the first replica's serving certificate expires. It is renewed by"
                    " itself long before.",
                    Kind.NUMBER,
                    "d",
                    (Query(f"(min({EXPIRY}) - time()) / 86400"),),
                    width=4,
                    limits=DAYS_LEFT,
                    least=None,
                    decimals=1,
                ),
            ),
            height=4,
        ),
        Row(
            "Answers",
            (
                Panel(
                    "Answers by decision",
                    "Allow, Deny, Hold (kept unscheduled until verified), Inject; Error is a"
                    " question that could not be answered, and so a refusal.",
                    Kind.LINES,
                    "reqps",
                    (Query(rate("decision"), "{{decision}}"),),
                    width=8,
                    stacked=True,
                ),
                Panel(
                    "Refused and held, by reason",
                    "The reason that stood first in each refusal; the same word as in the message.",
                    Kind.LINES,
                    "reqps",
                    (Query(rate("reason", '{decision=~"Deny|Hold|Error"}'), "{{reason}}"),),
                    width=8,
                    stacked=True,
                ),
                Panel(
                    "Let in against a policy",
                    "What Enforce would have refused, by reason: let in because the policy only"
                    " warns or audits, or because it tolerates classical signatures until its"
                    " sunset.",
                    Kind.LINES,
                    "reqps",
                    (
                        Query(
                            f"sum by (reason) ({OBJECTED_TO} or {CLASSICAL})",
                            "{{reason}}",
                        ),
                    ),
                    width=8,
                    stacked=True,
                ),
            ),
        ),
        Row(
            "Speed",
            (
                Panel(
                    "Latency",
                    "The webhook's own time for a request. Its internal deadline denies what would"
                    " take longer.",
                    Kind.LINES,
                    "s",
                    LATENCY,
                    width=8,
                    limits=SLOW,
                ),
                Panel(
                    "Requests by resource",
                    "What the API server asks about.",
                    Kind.LINES,
                    "reqps",
                    (Query(rate("resource"), "{{resource}}"),),
                    width=8,
                    stacked=True,
                ),
                Panel(
                    "Requests in flight",
                    "Requests being answered, by replica.",
                    Kind.LINES,
                    "short",
                    (Query("weightlock_admission_in_flight", "{{instance}}"),),
                    width=8,
                ),
            ),
        ),
        Row(
            "Knowledge",
            (
                Panel(
                    "Age of what is known",
                    "Seconds since each cache was last known to be complete, over the worst"
                    " replica. Beyond its limit, the webhook denies.",
                    Kind.LINES,
                    "s",
                    (
                        Query(
                            "max by (resource) (weightlock_cache_staleness_seconds)",
                            "{{resource}}",
                        ),
                    ),
                    width=8,
                    limits=STALE,
                ),
                Panel(
                    "Objects known",
                    "Objects in each cache, over the fullest replica.",
                    Kind.LINES,
                    "short",
                    (
                        Query(
                            "max by (resource) (weightlock_cache_objects)",
                            "{{resource}}",
                        ),
                    ),
                    width=8,
                ),
                Panel(
                    "Live reads",
                    "Reads of the API server on which positive answers rest, by result.",
                    Kind.LINES,
                    "reqps",
                    (
                        Query(
                            "sum by (resource, result)"
                            " (rate(weightlock_live_reads_total[$__rate_interval]))",
                            "{{resource}} {{result}}",
                        ),
                    ),
                    width=8,
                ),
            ),
        ),
        Row(
            "Replicas",
            (
                Panel(
                    "Armed, by replica",
                    "1: armed. A replica that is not armed reports so until it is.",
                    Kind.LINES,
                    "short",
                    (Query("weightlock_admission_armed", "{{instance}}"),),
                    width=8,
                    limits=YES_IS_GOOD,
                ),
                Panel(
                    "Certificate, by replica",
                    "Days until each replica's serving certificate expires.",
                    Kind.LINES,
                    "d",
                    (
                        Query(
                            f"({EXPIRY} - time()) / 86400",
                            "{{instance}}",
                        ),
                    ),
                    width=8,
                    limits=DAYS_LEFT,
                    decimals=1,
                ),
                Panel(
                    "Versions",
                    "Replicas by component and version: two versions for longer than an upgrade"
                    " takes are a stuck upgrade.",
                    Kind.BARS,
                    "short",
                    (
                        Query(
                            "count by (component, version) (weightlock_build_info)",
                            "{{component}} {{version}}",
                        ),
                    ),
                    width=8,
                ),
            ),
        ),
    ),
)
