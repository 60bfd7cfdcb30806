"""`python -m weightlock_webhook disarm`: what an uninstall runs before it removes anything.

1. mark the ConfigMap with the uids of both configurations, so that no replica puts them back
2. delete both
3. look again after more than a round: a leader that had not seen the mark may have put one back
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from weightlock_webhook.arming.comparison import PLURALS, Configuration
from weightlock_webhook.arming.keeper import ROUND_SECONDS
from weightlock_webhook.arming.marker import DISARMED_KEY, UIDS_KEY, mark
from weightlock_webhook.arming.store import ReleaseStore

LOOKS: Final = 2

log: Final = logging.getLogger(__name__)

Sleep = Callable[[float], Awaitable[None]]


async def disarm(store: ReleaseStore, release: str, sleep: Sleep = asyncio.sleep) -> None:
    """Remove both configurations for good.

    Raises:
        WeightlockError: if the API server does not answer, or does not let us.
    """
    known: set[str] = set()
    for look in range(LOOKS + 1):
        found = await _live(store, release)
        known |= {each.uid for each in found}
        await store.write_state(dict(mark(known)))
        for each in found:
            await store.delete(each)
            log.info("deleted %s %s", each.kind, each.name)
        if look < LOOKS:
            await sleep(ROUND_SECONDS * 1.5)


async def arm(store: ReleaseStore) -> None:
    """Remove the mark: the next round puts the configurations back.

    Raises:
        WeightlockError: if the API server does not answer, or does not let us.
    """
    await store.write_state({DISARMED_KEY: None, UIDS_KEY: None})
    log.info(
        "armed: the replica that leads puts the configurations back within %d s", ROUND_SECONDS
    )


async def _live(store: ReleaseStore, release: str) -> list[Configuration]:
    found = [await store.configuration(kind, release) for kind in PLURALS]
    return [each for each in found if each is not None]
