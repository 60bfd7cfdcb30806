"""The persistent volumes, and which of them lead to bytes that another one can write (A28)."""

from collections import OrderedDict
from typing import Final

import msgspec

from weightlock.errors import WeightlockError
from weightlock_webhook.cache.objects import ClaimItem, VolumeItem
from weightlock_webhook.decision.places import Place, Twins, places_of
from weightlock_webhook.decision.storage import Backing, Claim, claim_of
from weightlock_webhook.mounts.fields import Fields

MOST_READ: Final = 2048
"""Claims that are kept in their read form, those that were asked for last."""


class Volumes:
    """An index of places beside the store of persistent volumes."""

    def __init__(self) -> None:
        self._twins = Twins()
        self.version = 0
        """Changes whenever any of them does."""

    def changed(self, before: VolumeItem | None, after: VolumeItem | None) -> None:
        """A persistent volume is new, different or gone."""
        self.version += 1
        if before is not None:
            self._twins.drop(before.metadata.name)
        if after is not None:
            self._twins.put(after.metadata.name, places_in(after))

    def has_writable_twin(self, backing: Backing) -> bool:
        """Whether another persistent volume leads to the same bytes: any may be written.

        Law: as weightlock_webhook.decision.storage.writable_twins says of all of them.
        """
        return self._twins.has_twin(backing.name, backing.places)


class Claims:
    """Reads claims with the volumes behind them, and remembers what it read."""

    def __init__(self) -> None:
        self._read: OrderedDict[tuple[str, ...], Claim] = OrderedDict()

    def read(self, claim: ClaimItem, volume: VolumeItem | None) -> Claim:
        """The claim and its volume, which is believed only if it names the claim.

        Raises:
            Malformed: for what the API server would not have sent.
        """
        bound = volume.metadata if volume is not None else None
        key = (
            claim.metadata.uid,
            claim.metadata.resourceVersion,
            bound.uid if bound else "",
            bound.resourceVersion if bound else "",
        )
        known = self._read.get(key)
        if known is not None:
            self._read.move_to_end(key)
            return known
        found = claim_of(msgspec.to_builtins(claim), _document(volume) if volume else None)
        self._read[key] = found
        if len(self._read) > MOST_READ:
            self._read.popitem(last=False)
        return found


def _document(volume: VolumeItem) -> dict[str, object]:
    metadata = msgspec.to_builtins(volume.metadata)
    return {"metadata": metadata, "spec": msgspec.json.decode(volume.spec)}


def places_in(volume: VolumeItem) -> tuple[Place, ...]:
    """Where the volume leads; nowhere if it is none that the API server would have taken."""
    try:
        return places_of(Fields.of(msgspec.json.decode(volume.spec), "spec"))
    except (WeightlockError, msgspec.MsgspecError, RecursionError):
        return ()
