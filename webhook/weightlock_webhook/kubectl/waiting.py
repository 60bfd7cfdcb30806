"""Waits until checkpoints have a verdict, and says what happens meanwhile."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from weightlock_webhook.kubectl.cluster import Cluster, JsonObject, namespaced
from weightlock_webhook.kubectl.progress import is_final, sentence_of

PAUSE_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, and by which clock."""

    limit: timedelta
    seconds: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep


def wait(
    cluster: Cluster,
    namespace: str,
    names: Iterable[str],
    patience: Patience,
    say: Callable[[str], None],
) -> Mapping[str, JsonObject]:
    """The checkpoints, once all have a verdict, or as they are when patience ends.

    Raises:
        ClusterTrouble: if they cannot be read.
    """
    ends = patience.seconds() + patience.limit.total_seconds()
    said: dict[str, str] = {}
    while True:
        found = {
            name: cluster.get(namespaced(namespace, "modelcheckpoints", name)) or {}
            for name in names
        }
        for name, checkpoint in found.items():
            sentence = sentence_of(checkpoint)
            if said.get(name) != sentence:
                said[name] = sentence
                say(f"{name}: {sentence}")
        if all(map(is_final, found.values())) or patience.seconds() >= ends:
            return found
        patience.pause(PAUSE_SECONDS)
