"""The persistent volumes, and which of them lead to bytes that another one can write (A28)."""

from collections import OrderedDict
from typing import Final

import msgspec

from weightlock.errors import WeightlockError
from weightlock_webhook.cache.objects import ClaimItem, VolumeItem
from weightlock_webhook.decision.storage import Backing, Claim, backing_of, claim_of

MOST_READ: Final = 2048
"""Claims that are kept in their read form, those that were asked for last."""


class Volumes:
    """An index of handles beside the store of persistent volumes."""

    def __init__(self) -> None:
        self._handles: dict[str, str] = {}
        self._names: dict[str, set[str]] = {}

    def changed(self, before: VolumeItem | None, after: VolumeItem | None) -> None:
        """A persistent volume is new, different or gone."""
        if before is not None:
            name = before.metadata.name
            handle = self._handles.pop(name, None)
            if handle is not None:
                self._forget(handle, name)
        if after is not None and (backing := backing_in(after)) is not None:
            self._handles[backing.name] = backing.handle
            self._names.setdefault(backing.handle, set()).add(backing.name)

    def has_writable_twin(self, backing: Backing) -> bool:
        """Whether another persistent volume leads to the same bytes: any may be written.

        Law: as weightlock_webhook.decision.storage.writable_twins says of all of them.
        """
        names = self._names.get(backing.handle, ())
        return len(names) > 1 or (len(names) == 1 and backing.name not in names)

    def _forget(self, handle: str, name: str) -> None:
        names = self._names.get(handle)
        if names is not None:
            names.discard(name)
            if not names:
                del self._names[handle]


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
    metadata = {"name": volume.metadata.name, "uid": volume.metadata.uid}
    return {"metadata": metadata, "spec": msgspec.json.decode(volume.spec)}


def backing_in(volume: VolumeItem) -> Backing | None:
    """The volume as the decision sees it; None if it cannot be read."""
    try:
        return backing_of(_document(volume))
    except (WeightlockError, msgspec.MsgspecError, RecursionError):
        # It identifies nothing, so no verdict can be about it, and no claim over it is believed.
        return None
