"""Which verifications of a checkpoint count no more, whatever seal their records bear.

A seal says that the operator wrote a record once, not that it stands by it still. Whoever can write
a status could put an earlier one back, from before a writer was seen or a bad model was found. So
whoever decides remembers this from look to look, as long as it lives.

After a look that kept a record nothing older than it counts; after one that did not keep what an
earlier look had kept, or what it found itself, that does not either. Times are of whole seconds and
two verifications may begin in the same one, so what was dropped is remembered as it was.

Laws: a.joined(a) == a; what either covers, the two together do; what was kept last is not covered.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from weightlock.verdict.records import VerdictRecord


@dataclass(frozen=True, slots=True)
class Spent:
    """Every record from before that instant, and some of that instant."""

    before: datetime
    records: frozenset[VerdictRecord] = frozenset()
    kept: VerdictRecord | None = None
    """What counts still, and will be spent by the look that does not find it."""

    def covers(self, record: VerdictRecord, now: datetime) -> bool:
        """Whether it counts no more.

        An instant that has not come yet is from a clock that has gone back since; verifications are
        all earlier then, and only what was dropped itself is known for certain.
        """
        is_past = record.verified_at < self.before <= now
        return is_past or record in self.records

    def joined(self, former: "Spent | None") -> "Spent":
        """What either covers, from now on."""
        if former is None:
            return self
        before = max(self.before, former.before)
        records = self.records | former.records
        recent = frozenset(each for each in records if each.verified_at >= before)
        return Spent(before, recent, self.kept)


def spent(
    kept: VerdictRecord | None, known: Iterable[VerdictRecord | None], now: datetime
) -> Spent | None:
    """What a look has spent that kept this record, or none, of those that were known.

    Never what begins from now on: a clock that was ahead must not spend the time to come.
    """
    dropped = frozenset(each for each in known if each is not None and each != kept)
    times = [kept.verified_at] if kept else [each.verified_at for each in dropped]
    if not times:
        return None
    before = min(max(times), now.replace(microsecond=0))
    return Spent(before, frozenset(each for each in dropped if each.verified_at >= before), kept)
