"""One path to one volume that must be verified, as one policy sees it."""

from dataclasses import dataclass

from weightlock.reasons import Reason
from weightlock_webhook.decision.answers import Problem
from weightlock_webhook.decision.case import Case
from weightlock_webhook.decision.governing import GovernedVolume
from weightlock_webhook.mounts.containers import Mount
from weightlock_webhook.mounts.sources import VolumeSource


@dataclass(frozen=True, slots=True)
class Reach:
    """One path to one volume, by whoever reaches it first."""

    case: Case
    volume: GovernedVolume
    mount: Mount

    @property
    def source(self) -> VolumeSource:
        """Where the volume's bytes come from, as the pod says."""
        return self.volume.volume.source

    @property
    def path(self) -> str:
        """The path inside the volume, for messages."""
        return "" if self.mount.path is None else str(self.mount.path)

    def problem(self, reason: Reason, found: str, expected: str, fix: str) -> Problem:
        """Something that is wrong about this path."""
        return Problem(
            reason,
            found,
            expected,
            fix,
            volume=self.mount.volume,
            container=self.mount.container,
            path=self.path,
        )
