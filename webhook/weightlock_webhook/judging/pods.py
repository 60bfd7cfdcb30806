"""Pods as they were read, remembered by their bytes: copies of a pod are read once."""

from collections.abc import Mapping
from typing import Final

from weightlock_webhook.gathering.names import Names, names_of
from weightlock_webhook.mounts.pods import Pod, pod_of
from weightlock_webhook.mounts.sources import ConfigurationSource, UnknownSource, VolumeSource
from weightlock_webhook.recent import Recent
from weightlock_webhook.reviews.collaborators import PodQuestion

MOST_PODS: Final = 4096
MOST_BYTES: Final = 32 << 20
"""What may be held on to by all that is remembered; what did not fit is read again."""

BYTES_OF_PART: Final = 768
"""What a mount, a volume or a container takes as an object; a mount is the largest of them."""

LARGEST: Final = 64 << 10
"""A larger pod is nobody's copy."""


class Pods:
    """Reads pods. Law: what is remembered equals what would be read."""

    def __init__(self) -> None:
        self._known: Recent[tuple[bytes, tuple[str, ...]], tuple[Pod, Names]] = Recent(
            MOST_PODS, MOST_BYTES
        )

    def read(self, question: PodQuestion) -> tuple[Pod, Names]:
        """The pod of a question, and what it names.

        Raises:
            Refused: for a pod that the API server would not have sent.
        """
        content = question.content
        if not 0 < len(content) <= LARGEST:
            return _read(question)
        # Of the metadata, a pod's reading takes the names of annotations and nothing else.
        annotations = question.metadata.get("annotations")
        names = () if annotations is None else _names_in(annotations)
        key = content, names
        known = self._known.get(key)
        if known is None:
            known = _read(question)
            self._known.put(key, known, weight_of(content, known[0]))
        return known


def _names_in(annotations: object) -> tuple[str, ...]:
    return tuple(annotations) if isinstance(annotations, Mapping) else ()


def weight_of(content: bytes, pod: Pod) -> int:
    """Bytes that are held on to by remembering a pod, at most: its JSON, and what was made of it.

    Little JSON can be many mounts, each of them an object.
    """
    parts = 1 + len(pod.volumes) + len(pod.mounts) + len(pod.containers) + len(pod.device_claims)
    words = len(pod.unknown_fields) + sum(len(_words(each.source)) for each in pod.volumes)
    return len(content) + (parts + words) * BYTES_OF_PART


def _words(source: VolumeSource) -> tuple[str, ...]:
    match source:
        case ConfigurationSource(parts=words) | UnknownSource(keys=words):
            return words
        case _:
            return ()


def _read(question: PodQuestion) -> tuple[Pod, Names]:
    pod = pod_of(question.metadata, question.spec)
    return pod, names_of(pod)
