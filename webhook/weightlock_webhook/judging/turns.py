"""The instants at which an answer changes by itself: there ends what is remembered."""

from collections.abc import Iterator
from datetime import datetime

from weightlock.policy.requirements import SignatureRequirements
from weightlock.verdict.staleness import CLOCK_SKEW
from weightlock_webhook.decision.facts import Facts


def turns_of(facts: Facts) -> Iterator[datetime]:
    """Every instant at which the answer to any pod may change by itself."""
    verified = [
        checkpoint.status.last_verified
        for checkpoint in facts.checkpoints
        if checkpoint.status and checkpoint.status.last_verified
    ]
    yield from (instant - CLOCK_SKEW for instant in verified)
    for view in facts.governance.views:
        yield from (instant + ageing.max_age for ageing in view.ages for instant in verified)
        for demand in view.demands:
            yield from turns_of_requirements(demand.requirements)


def turns_of_requirements(requirements: SignatureRequirements) -> Iterator[datetime]:
    """Every instant at which what counts of signatures changes by itself."""
    signatures = requirements.signatures
    if signatures.classical.sunset is not None:
        yield signatures.classical.sunset
    for authority in signatures.authorities:
        yield from (
            each for each in (authority.not_before, authority.not_after) if each is not None
        )
