"""Pods that were read before: the same one comes to be mutated, validated and bound.

Reading a pod is a good part of what its answer costs, and most of a pod says nothing about storage:
commands, environments and probes differ between the replicas of a job where its mounts do not. So
what is read is remembered by the part that counts.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

import msgspec

from weightlock_webhook.mounts.pods import Pod, pod_of

MOST_PODS: Final = 4096
LARGEST_ESSENCE: Final = 16 << 10
"""Bytes of a pod that are remembered; a larger one is read each time it comes."""

SAYS_NOTHING: Final = frozenset(
    {
        "args",
        "command",
        "env",
        "envFrom",
        "image",
        "imagePullPolicy",
        "lifecycle",
        "livenessProbe",
        "ports",
        "readinessProbe",
        "resizePolicy",
        "startupProbe",
        "stdin",
        "stdinOnce",
        "terminationMessagePolicy",
        "tty",
        "workingDir",
    }
)
"""Fields of containers that are known, and that pod_of does not look into."""

_CONTAINERS: Final = ("containers", "initContainers", "ephemeralContainers")
_ENCODER: Final = msgspec.json.Encoder()


class RecognizedPods:
    """Law: reads every pod as `pod_of` does. Equal pods are the same object while remembered."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, Pod] = OrderedDict()

    def read(self, metadata: Mapping[str, object], spec: Mapping[str, object]) -> Pod:
        """The pod.

        Raises:
            Refused: for a pod that the API server would not have sent.
        """
        essence = essence_of(metadata, spec)
        if not essence or len(essence) > LARGEST_ESSENCE:
            return pod_of(metadata, spec)
        pod = self._known.get(essence)
        if pod is None:
            pod = self._known[essence] = pod_of(metadata, spec)
            if len(self._known) > MOST_PODS:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(essence)
        return pod


def essence_of(metadata: Mapping[str, object], spec: Mapping[str, object]) -> bytes:
    """What of a pod decides how it is read; empty for what cannot be told."""
    reduced = dict(spec)
    for key in _CONTAINERS:
        entries = spec.get(key)
        if isinstance(entries, list):
            reduced[key] = [_reduced(entry) for entry in entries]
    try:
        return _ENCODER.encode((metadata.get("annotations"), reduced))
    except (TypeError, ValueError, RecursionError):
        return b""


def _reduced(container: object) -> object:
    if not isinstance(container, dict):
        return container
    return {key: value for key, value in container.items() if key not in SAYS_NOTHING}
