"""Deals the segments of a checkpoint out to shards, the same way wherever it is computed.

Several Jobs verify one checkpoint together; each computes its own share from the manifest alone.
"""

import heapq
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from weightlock.errors import Malformed

MAX_SHARDS: Final = 10_000
_SHARD: Final = re.compile(r"(0|[1-9][0-9]{0,4})/([1-9][0-9]{0,4})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Shard:
    """Share number `index`, from 0, of `count`. Law: Shard.parse(str(s)) == s."""

    index: int
    count: int

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Read `I/N`, counted from 0 as the indexes of a Job are.

        Raises:
            Malformed: for anything else.
        """
        match = _SHARD.fullmatch(text)
        shard = cls(int(match[1]), int(match[2])) if match else None
        if shard is None or shard.index >= shard.count or shard.count > MAX_SHARDS:
            raise Malformed(
                f"{text!r:.40} is not a shard; expected I/N with I from 0 to N-1, such as 0/4"
            )
        return shard

    def share(self, lengths: Sequence[int]) -> list[int]:
        """The numbers of the segments of this shard; the shards of one count hold each once.

        The longest go first, each to the shard with the fewest bytes so far.
        """
        loads = [(0, shard) for shard in range(self.count)]
        mine = []
        for number in sorted(range(len(lengths)), key=lambda n: (-lengths[n], n)):
            load, shard = heapq.heappop(loads)
            heapq.heappush(loads, (load + lengths[number], shard))
            if shard == self.index:
                mine.append(number)
        return sorted(mine)
