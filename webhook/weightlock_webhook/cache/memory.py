"""What the operator shares through a Secret and two ConfigMaps of its own namespace."""

import base64
import binascii
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Final

from weightlock.cluster_names import RESTORED_AT_KEY, SEAL_KEY_CURRENT, SEAL_KEY_PREVIOUS
from weightlock.errors import KeyUnusable, Malformed
from weightlock.policy import scalars
from weightlock.verdict.floors import Floors, read_entry
from weightlock.verdict.seal import SealKey
from weightlock_webhook.cache.objects import ConfigMapItem, SecretItem

logger = logging.getLogger(__name__)

_SEAL_KEYS: Final = (SEAL_KEY_CURRENT, SEAL_KEY_PREVIOUS)


class SealKeys:
    """The keys that verdicts are sealed with; none of them without the Secret."""

    def __init__(self) -> None:
        self.keys: tuple[SealKey, ...] = ()

    def changed(self, before: SecretItem | None, after: SecretItem | None) -> None:
        """The Secret is new, different or gone."""
        del before
        data = (after.data if after else None) or {}
        self.keys = tuple(key for name, text in data.items() if (key := _key(name, text)))


class Versions:
    """The highest version of each model that a policy has vouched for (A22)."""

    def __init__(self) -> None:
        self.highest: Floors = {}

    def changed(self, before: ConfigMapItem | None, after: ConfigMapItem | None) -> None:
        """The ConfigMap is new, different or gone. What was once seen is never forgotten."""
        del before
        highest = dict(self.highest)
        for key, text in ((after.data if after else None) or {}).items():
            entry = read_entry(key, text)
            if entry is None:
                logger.warning("a remembered version cannot be read")
            else:
                vouched, version = entry
                highest[vouched] = max(version, highest.get(vouched, 0))
        self.highest = highest


class Restores:
    """When the cluster's state last came from a backup, as the operator or the watches say."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._noticed: datetime | None = None
        self._told: datetime | None = None

    def changed(self, before: ConfigMapItem | None, after: ConfigMapItem | None) -> None:
        """The ConfigMap is new, different or gone."""
        del before
        text = ((after.data if after else None) or {}).get(RESTORED_AT_KEY)
        if text is None:
            return
        try:
            self._told = scalars.instant(text)
        except Malformed:
            # Somebody meant to say that there was a restore; now is the latest it can have been.
            logger.warning("the time of a restore cannot be read")
            self._told = self._clock()

    def notice(self) -> None:
        """Resource versions went backwards."""
        self._noticed = self._clock()

    @property
    def restored_at(self) -> datetime | None:
        """The last one; None if there was none."""
        if self._noticed is None or self._told is None:
            return self._noticed or self._told
        return max(self._noticed, self._told)


def _key(name: str, text: str) -> SealKey | None:
    if name not in _SEAL_KEYS:
        return None
    try:
        return SealKey(base64.b64decode(text, validate=True))
    except (binascii.Error, KeyUnusable):
        logger.warning("a seal key cannot be used")
        return None
