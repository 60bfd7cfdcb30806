"""Pods as they were read, remembered by their bytes: copies of a pod are read once."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from weightlock_webhook.gathering.names import Names, names_of
from weightlock_webhook.mounts.pods import Pod, pod_of
from weightlock_webhook.reviews.collaborators import PodQuestion

MOST_PODS: Final = 4096
MOST_BYTES: Final = 8 << 20
"""Of the bytes that pods are remembered by; what did not fit is read again. As objects
they take up to twenty times as much."""

LARGEST: Final = 64 << 10
"""A larger pod is nobody's copy."""


class Pods:
    """Reads pods. Law: what is remembered equals what would be read."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[bytes, tuple[str, ...]], tuple[Pod, Names]] = OrderedDict()
        self._bytes = 0

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
        names = tuple(annotations) if isinstance(annotations, Mapping) else ()
        key = content, names
        known = self._known.get(key)
        if known is not None:
            self._known.move_to_end(key)
            return known
        found = self._known[key] = _read(question)
        self._bytes += len(content)
        while len(self._known) > MOST_PODS or self._bytes > MOST_BYTES:
            (forgotten, _), _ = self._known.popitem(last=False)
            self._bytes -= len(forgotten)
        return found


def _read(question: PodQuestion) -> tuple[Pod, Names]:
    pod = pod_of(question.metadata, question.spec)
    return pod, names_of(pod)
