"""Whom facts are gathered about."""

from typing import NamedTuple, TypeAlias

from weightlock_webhook.gathering.names import Names, names_of
from weightlock_webhook.mounts.pods import Pod, Volume

DeviceClasses: TypeAlias = tuple[tuple[str, frozenset[str]], ...]
"""Of a pod's claims for devices, by `claim/NAME` and `template/NAME`, the classes they ask for."""


class Subject(NamedTuple):
    """A pod with what is known of who and where it is.

    `name` and `uid` are empty until the API server has given them. `known_names` is what the pod
    names, if that was worked out before, `device_classes` those of its claims that were read.
    """

    pod: Pod
    namespace: str
    name: str = ""
    uid: str = ""
    known_names: Names | None = None
    device_classes: DeviceClasses = ()
    is_running: bool = False

    @property
    def names(self) -> Names:
        """What has to be looked up."""
        return self.known_names or names_of(self.pod)


def ephemeral_claim_of(subject: Subject, volume: Volume) -> str:
    """The claim that is made for a generic ephemeral volume of a pod."""
    return f"{subject.name}-{volume.name}"
