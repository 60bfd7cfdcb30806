"""How one authority follows another without a moment in which the API server trusts neither. Pure.

The Secret holds up to three: the one that signs, the one that will, and the one that did.

1. there is none, or what is there cannot be used: make one
2. two thirds of its life are over: make the next one; it only goes into the caBundle
3. both configurations carry the next one for a while: it signs from now on; every replica takes a
   new leaf when it sees that
4. every leaf of the old one has ended: drop it
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from weightlock.errors import Malformed
from weightlock_webhook.certificates.authority import LEAF_LIFE, Pair, is_pair, new_authority

OVERLAP: Final = timedelta(minutes=2)
"""For how long the next authority is in the caBundle before it signs: several API servers read
their configurations each for itself, within seconds."""

CURRENT: Final = "ca.crt", "ca.key"
NEXT: Final = "next.crt", "next.key"
PREVIOUS: Final = "previous.crt"
NEXT_SINCE: Final = "next.since"
PREVIOUS_UNTIL: Final = "previous.until"


@dataclass(frozen=True, slots=True)
class Authorities:
    """What the Secret holds. `next_since` is when both configurations first carried the next."""

    current: Pair
    next: Pair | None = None
    next_since: datetime | None = None
    previous: str = ""
    previous_until: datetime | None = None

    @property
    def bundle(self) -> str:
        """Whom the API server must trust."""
        following = self.next.certificate if self.next else ""
        return "".join(
            _ending_in_newline(each)
            for each in (self.current.certificate, following, self.previous)
            if each
        )

    @classmethod
    def from_data(cls, data: Mapping[str, str]) -> "Authorities":
        """Read the Secret's decoded data.

        Raises:
            Malformed: if the current authority is missing or cannot be used.
        """
        current, following = _pair_of(data, CURRENT), _pair_of(data, NEXT)
        if current is None:
            raise Malformed("the Secret holds no usable authority")
        return cls(
            current,
            following,
            _instant(data.get(NEXT_SINCE, "")) if following else None,
            data.get(PREVIOUS, ""),
            _instant(data.get(PREVIOUS_UNTIL, "")),
        )

    def data(self) -> dict[str, str]:
        """What the Secret is to hold. from_data(x.data()) == x."""
        found = dict(zip(CURRENT, (self.current.certificate, self.current.key), strict=True))
        if self.next:
            found |= zip(NEXT, (self.next.certificate, self.next.key), strict=True)
        if self.next_since:
            found[NEXT_SINCE] = self.next_since.isoformat()
        if self.previous:
            found[PREVIOUS] = self.previous
        if self.previous_until:
            found[PREVIOUS_UNTIL] = self.previous_until.isoformat()
        return found


def following(found: Authorities, now: datetime, *, bundle_is_live: bool) -> Authorities:
    """What the Secret should hold now; the same if nothing is due.

    `bundle_is_live` says that both configurations carry exactly this bundle.
    """
    if now >= found.current.not_after:
        # Too late for any overlap; every replica was down for months.
        return Authorities(found.next or new_authority(now))
    if found.previous and (found.previous_until is None or now >= found.previous_until):
        return replace(found, previous="", previous_until=None)
    if found.next is None:
        due = found.current.is_due(now)
        return replace(found, next=new_authority(now)) if due else found
    return _towards(found.next, found, now, bundle_is_live=bundle_is_live)


def _towards(
    following: Pair, found: Authorities, now: datetime, *, bundle_is_live: bool
) -> Authorities:
    """Step 3: the next one signs once it has been trusted everywhere for a while."""
    if not bundle_is_live:
        return replace(found, next_since=None)
    if found.next_since is None:
        return replace(found, next_since=now)
    if now < found.next_since + OVERLAP:
        return found
    return Authorities(
        following, previous=found.current.certificate, previous_until=now + LEAF_LIFE
    )


def _pair_of(data: Mapping[str, str], keys: tuple[str, str]) -> Pair | None:
    pair = Pair(data.get(keys[0], ""), data.get(keys[1], ""))
    return pair if is_pair(pair) else None


def _instant(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None


def _ending_in_newline(text: str) -> str:
    return text if text.endswith("\n") else f"{text}\n"
