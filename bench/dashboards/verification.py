"""The verification Jobs: how fast, how many wait, what became of them."""

from bench.dashboards.expressions import led, quantile, total
from bench.dashboards.panels import (
    ANY_IS_BAD,
    NONE_IS_GOOD,
    YES_IS_GOOD,
    Colour,
    Dashboard,
    Kind,
    Limits,
    Panel,
    Query,
    Row,
)

RESULTS = "weightlock_verifications_total"
SPEED = "weightlock_verification_bytes_per_second"
DURATION = "weightlock_verification_duration_seconds"
AN_HOUR = "1h"  # verifications are rare: a shorter window would mostly be empty
RUNNING = total('weightlock_jobs{state="Running"}')
QUEUE = Limits(Colour.GOOD, ((10, Colour.LOOK), (100, Colour.BAD)))


def in_a_day(result: str) -> str:
    """How many verifications ended so, 0 where there was never one."""
    found = f'sum(increase({RESULTS}{{result="{result}"}}[24h]))'
    return f"round({found}) or 0 * sum(weightlock_leader == 1)"


VERIFICATION = Dashboard(
    uid="weightlock-verification",
    title="Weightlock / Verification",
    description="The Jobs that verify checkpoints: speed by device, queue, results, durations, and"
    " the operator that runs them.",
    rows=(
        Row(
            "Now",
            (
                Panel(
                    "Operator",
                    "Whether exactly one replica of the operator leads.",
                    Kind.NUMBER,
                    "short",
                    (Query("sum(weightlock_leader)"),),
                    width=4,
                    limits=Limits(YES_IS_GOOD.first, (*YES_IS_GOOD.steps, (2, Colour.BAD))),
                    words={0: "NO LEADER", 1: "one leader"},
                ),
                Panel(
                    "Running Jobs",
                    "Verification Jobs with a running pod.",
                    Kind.NUMBER,
                    "short",
                    (Query(RUNNING),),
                    width=4,
                ),
                Panel(
                    "Waiting",
                    "Checkpoints that wait for their turn.",
                    Kind.NUMBER,
                    "short",
                    (Query(total("weightlock_queue_length")),),
                    width=4,
                    limits=QUEUE,
                ),
                Panel(
                    "Failed in 24 h",
                    "Verifications that found wrong content or wrong signatures. None is normal.",
                    Kind.NUMBER,
                    "short",
                    (Query(in_a_day("Failed")),),
                    width=4,
                    limits=ANY_IS_BAD,
                ),
                Panel(
                    "Errors in 24 h",
                    "Verifications that could not be carried out: they are tried again.",
                    Kind.NUMBER,
                    "short",
                    (Query(in_a_day("Error")),),
                    width=4,
                    limits=NONE_IS_GOOD,
                ),
                Panel(
                    "Verified in 24 h",
                    "Bytes read, hashed and compared.",
                    Kind.NUMBER,
                    "decbytes",
                    (Query("sum(increase(weightlock_verified_bytes_total[24h]))"),),
                    width=4,
                ),
            ),
            height=4,
        ),
        Row(
            "Speed",
            (
                Panel(
                    "Speed of a verification, by device",
                    "Bytes a second of a verification, from the first byte read to the verdict: the"
                    " mean over the last hour's.",
                    Kind.LINES,
                    "Bps",
                    (
                        Query(
                            f"sum by (device) (rate({SPEED}_sum[{AN_HOUR}]))"
                            f" / sum by (device) (rate({SPEED}_count[{AN_HOUR}]))",
                            "{{device}}",
                        ),
                    ),
                    width=8,
                ),
                Panel(
                    "Throughput, by device",
                    "Bytes verified a second, all Jobs together. Counted when a Job ends.",
                    Kind.LINES,
                    "Bps",
                    (
                        Query(
                            "sum by (device)"
                            " (rate(weightlock_verified_bytes_total[$__rate_interval]))",
                            "{{device}}",
                        ),
                    ),
                    width=8,
                    stacked=True,
                ),
                Panel(
                    "Duration",
                    "How long verifications took, from the first byte read to the report,"
                    " over the last hour.",
                    Kind.LINES,
                    "s",
                    (
                        Query(quantile(0.5, DURATION, AN_HOUR), "p50"),
                        Query(quantile(0.99, DURATION, AN_HOUR), "p99"),
                    ),
                    width=8,
                ),
            ),
        ),
        Row(
            "Results",
            (
                Panel(
                    "Results an hour",
                    "Finished verifications by verdict.",
                    Kind.LINES,
                    "short",
                    (Query(f"sum by (result) (increase({RESULTS}[1h]))", "{{result}}"),),
                    width=8,
                    stacked=True,
                ),
                Panel(
                    "Queue",
                    "Checkpoints that wait for their turn.",
                    Kind.LINES,
                    "short",
                    (Query(total("weightlock_queue_length"), "waiting"),),
                    width=8,
                    limits=QUEUE,
                ),
                Panel(
                    "Jobs by state",
                    "Verification Jobs that exist.",
                    Kind.LINES,
                    "short",
                    (Query(f"sum by (state) ({led('weightlock_jobs')})", "{{state}}"),),
                    width=8,
                    stacked=True,
                ),
            ),
        ),
        Row(
            "Operator",
            (
                Panel(
                    "Time of a reconcile",
                    "How long the operator takes for one look at one object.",
                    Kind.LINES,
                    "s",
                    (
                        Query(quantile(0.5, "weightlock_reconcile_duration_seconds"), "p50"),
                        Query(quantile(0.99, "weightlock_reconcile_duration_seconds"), "p99"),
                    ),
                ),
                Panel(
                    "Leader",
                    "Which replica leads: 1. Never two at once for longer than a lease.",
                    Kind.LINES,
                    "short",
                    (Query("weightlock_leader", "{{instance}}"),),
                ),
            ),
        ),
    ),
)
