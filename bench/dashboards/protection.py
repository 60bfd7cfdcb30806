"""How much of what is loaded is protected, and for how long the rest may go on."""

from bench.dashboards.expressions import led, total
from bench.dashboards.panels import (
    NO_LIMITS,
    NONE_IS_GOOD,
    Colour,
    Dashboard,
    Kind,
    Limits,
    Panel,
    Query,
    Row,
)

SHARE = Limits(Colour.BAD, ((0.5, Colour.LOOK), (0.999, Colour.GOOD)))
DAYS_LEFT = Limits(Colour.BAD, ((30, Colour.LOOK), (90, Colour.GOOD)))
CHECKPOINTS = led("weightlock_checkpoints")
VERIFIED = total('weightlock_checkpoints{phase="Verified"}')
SUNSET = led("weightlock_classical_sunset_timestamp_seconds")

PROTECTION = Dashboard(
    uid="weightlock-protection",
    title="Weightlock / Protection",
    description="Which checkpoints are verified, which signatures vouch for them, what is mounted"
    " although it is not verified, and how long classical signatures are tolerated.",
    rows=(
        Row(
            "Now",
            (
                Panel(
                    "Checkpoints",
                    "All ModelCheckpoints that the operator watches.",
                    Kind.NUMBER,
                    "short",
                    (Query(total("weightlock_checkpoints")),),
                    width=6,
                ),
                Panel(
                    "Verified post-quantum",
                    "The share of checkpoints whose verdict is Verified. The rest is classically"
                    " signed only, failed, stale, or not verified yet.",
                    Kind.NUMBER,
                    "percentunit",
                    (
                        Query(
                            f"({VERIFIED}) / sum({CHECKPOINTS})",
                        ),
                    ),
                    width=6,
                    limits=SHARE,
                    decimals=1,
                ),
                Panel(
                    "Pods with unverified weights",
                    "Running pods that mount a checkpoint whose verdict is not Verified: let in"
                    " under Warn or Audit, or verified once and failed or stale since.",
                    Kind.NUMBER,
                    "short",
                    (Query(total("weightlock_mounted_unverified_pods")),),
                    width=6,
                    limits=NONE_IS_GOOD,
                ),
                Panel(
                    "Days to the next sunset",
                    "Days until the first cluster policy stops tolerating classical signatures."
                    " Negative: the day has passed. No data: no policy tolerates them.",
                    Kind.NUMBER,
                    "d",
                    (Query(f"(min({SUNSET}) - time()) / 86400"),),
                    width=6,
                    limits=DAYS_LEFT,
                    least=None,
                    decimals=0,
                ),
            ),
            height=4,
        ),
        Row(
            "By algorithm family",
            (
                Panel(
                    "Checkpoints",
                    "Checkpoints by the family of the signatures that vouch for them.",
                    Kind.LINES,
                    "short",
                    (Query(f"sum by (family) ({CHECKPOINTS})", "{{family}}"),),
                    width=8,
                    stacked=True,
                ),
                Panel(
                    "Share of bytes",
                    "The share of all registered bytes, by the family of their signatures.",
                    Kind.BARS,
                    "percentunit",
                    (
                        Query(
                            f"sum by (family) ({led('weightlock_checkpoint_bytes')})"
                            f" / scalar(sum({led('weightlock_checkpoint_bytes')}))",
                            "{{family}}",
                        ),
                    ),
                    width=8,
                    decimals=1,
                ),
                Panel(
                    "Namespaces",
                    "Namespaces by the weakest family among their checkpoints' signatures.",
                    Kind.BARS,
                    "short",
                    (
                        Query(
                            f"sum by (family) ({led('weightlock_namespaces')})",
                            "{{family}}",
                        ),
                    ),
                    width=8,
                ),
            ),
        ),
        Row(
            "Verdicts",
            (
                Panel(
                    "Checkpoints by phase",
                    "Only Verified ever lets a pod load a checkpoint under Enforce.",
                    Kind.LINES,
                    "short",
                    (Query(f"sum by (phase) ({CHECKPOINTS})", "{{phase}}"),),
                    stacked=True,
                ),
                Panel(
                    "Mounted although not verified",
                    "Running pods by the phase of the worst checkpoint they mount.",
                    Kind.LINES,
                    "short",
                    (
                        Query(
                            f"sum by (phase) ({led('weightlock_mounted_unverified_pods')})",
                            "{{phase}}",
                        ),
                    ),
                    stacked=True,
                ),
            ),
        ),
        Row(
            "Signatures",
            (
                Panel(
                    "Signatures by algorithm",
                    "Signatures that vouch for checkpoints. A hybrid checkpoint counts twice.",
                    Kind.BARS,
                    "short",
                    (
                        Query(
                            f"sum by (algorithm) ({led('weightlock_signatures')})",
                            "{{algorithm}}",
                        ),
                    ),
                    limits=NO_LIMITS,
                ),
                Panel(
                    "Days to sunset by policy",
                    "Days until each cluster policy stops tolerating classical signatures.",
                    Kind.BARS,
                    "d",
                    (Query(f"(max by (policy) ({SUNSET}) - time()) / 86400", "{{policy}}"),),
                    limits=DAYS_LEFT,
                    least=None,
                    decimals=0,
                ),
            ),
        ),
    ),
)
