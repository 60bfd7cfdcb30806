"""Who writes to storage now, and who did until when (A02).

A verdict is no older than the last writer, so the end of a writing pod is remembered for as long as
its claim lives. The memory is this process's own: the operator, which watches too, marks verdicts
as stale for good.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from weightlock.errors import Malformed
from weightlock.policy.paths import VolumePath
from weightlock.policy.volumes import VolumeFacts
from weightlock_webhook.cache.objects import ClaimItem
from weightlock_webhook.cache.pods import Writer, Written, WrittenClaim, WrittenPath
from weightlock_webhook.mounts.paths import path_of

MOST_PATHS: Final = 10_000
"""Paths of nodes and servers whose writers are remembered one by one."""

MOST_NAMESPACES: Final = 10_000
"""Namespaces whose changes are counted one by one."""


class Writers:
    """An index beside the store of writing pods."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._pods: dict[Written, set[str]] = {}
        self._ended_at: dict[Written, datetime] = {}
        self._paths: set[WrittenPath] = set()
        self._forgotten_at: datetime | None = None
        self._changes = 0
        self._changed_in: dict[str, int] = {}
        self._oldest_change = 0

    def changed(self, before: Writer | None, after: Writer | None) -> None:
        """A writing pod is new, different or gone."""
        written_before = frozenset(before.writes if before else ())
        written_after = frozenset(after.writes if after else ())
        if after is not None:
            for written in written_after:
                self._pods.setdefault(written, set()).add(after.metadata.uid)
                if isinstance(written, WrittenPath):
                    self._paths.add(written)
                else:
                    self._count(written.namespace)
        if before is not None:
            # Another pod of the same name has another uid.
            is_another = after is not None and after.metadata.uid != before.metadata.uid
            for written in written_before if is_another else written_before - written_after:
                self._ended(written, before.metadata.uid)

    def claim_changed(self, before: ClaimItem | None, after: ClaimItem | None) -> None:
        """A claim that is gone, or is another one of the same name, has no history."""
        if before is None or (after and after.metadata.uid == before.metadata.uid):
            return
        self._ended_at.pop(WrittenClaim(*before.metadata.key), None)
        self._count(before.metadata.namespace)

    def version(self, namespace: str) -> int:
        """Changes whenever `of_claim` may say another thing of a claim there that has no path.

        Of a claim that is written it says another thing at every instant.
        """
        return self._changed_in.get(namespace, self._oldest_change)

    def is_written(self, namespace: str, name: str) -> bool:
        """Whether a pod writes to a claim now."""
        return WrittenClaim(namespace, name) in self._pods

    def of_claim(self, namespace: str, name: str, real: VolumeFacts | None) -> datetime | None:
        """When a writer of a claim, or of the path that it really is, was last seen."""
        found = self._seen_at(WrittenClaim(namespace, name))
        return _latest(found, self.of_path(real) if real else None)

    def of_path(self, facts: VolumeFacts) -> datetime | None:
        """When a writer of an overlapping path of any node or of that server was last seen."""
        if facts.path is None:
            return None
        seen = self._forgotten_at
        for written in self._paths:
            if _overlaps(written, facts):
                seen = _latest(seen, self._seen_at(written))
        return seen

    def _seen_at(self, written: Written) -> datetime | None:
        return self._clock() if written in self._pods else self._ended_at.get(written)

    def _ended(self, written: Written, uid: str) -> None:
        if isinstance(written, WrittenClaim):
            self._count(written.namespace)
        pods = self._pods.get(written, set())
        pods.discard(uid)
        if not pods:
            self._pods.pop(written, None)
            self._ended_at[written] = self._clock()
            if len(self._paths) > MOST_PATHS:
                self._forget_paths()

    def _count(self, namespace: str) -> None:
        """No number is used twice, so one that was forgotten equals none that anybody remembers."""
        self._changes += 1
        self._changed_in[namespace] = self._changes
        if len(self._changed_in) > MOST_NAMESPACES:
            self._changed_in.clear()
            self._oldest_change = self._changes

    def _forget_paths(self) -> None:
        """Paths are made up by whoever writes a pod; of too many, only the last end is kept."""
        ended = {written for written in self._paths if written not in self._pods}
        for written in ended:
            self._forgotten_at = _latest(self._forgotten_at, self._ended_at.pop(written, None))
        self._paths -= ended


def _overlaps(written: WrittenPath, facts: VolumeFacts) -> bool:
    if written.server != (facts.server or ""):
        return False
    try:
        path = path_of(written.path)
    except Malformed:
        path = VolumePath()
    return facts.path is not None and facts.path.overlaps(path)


def _latest(one: datetime | None, other: datetime | None) -> datetime | None:
    if one is None or other is None:
        return other if one is None else one
    return max(one, other)
