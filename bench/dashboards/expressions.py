"""The PromQL that several dashboards use."""


def led(metric: str) -> str:
    """A gauge of the operator, as the leader sees it: the other replicas know nothing."""
    return f"{metric} and on (job, instance) weightlock_leader == 1"


def total(metric: str) -> str:
    """The sum of such a gauge; 0 where it has no series, but only while somebody leads."""
    return f"sum({led(metric)}) or 0 * sum(weightlock_leader == 1)"


def quantile(share: float, metric: str, window: str = "$__rate_interval") -> str:
    """A quantile of a histogram over all replicas."""
    return f"histogram_quantile({share}, sum by (le) (rate({metric}_bucket[{window}])))"
