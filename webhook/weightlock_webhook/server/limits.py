"""How much of everything a client may use."""

from dataclasses import dataclass
from typing import Final

MOST_BODY_BYTES: Final = 8 << 20
"""The API server takes requests of 3 MiB, and an update carries the object twice (A06)."""

MOST_ARRIVING_BYTES: Final = 64 << 20
"""Bodies that are on their way, by the lengths that they were told: 8 of the longest."""

LEAST_ARRIVING_BYTES: Final = 256 << 10
"""What a shorter body counts as, so that there are 256 at most."""

MOST_DOUBTFUL: Final = 64
"""Requests that wait for a look whether they come from the API server."""

HANDSHAKE_SECONDS: Final = 5.0
MOST_HANDSHAKES: Final = 512
"""That are not finished, of about 70 KiB each: more than API servers begin at once."""

KEEP_ALIVE_SECONDS: Final = 180.0
"""Longer than the 90 s that the API server keeps idle connections: it closes first, never we."""

LINGERING_SECONDS: Final = 1.0
"""How long the rest of a refused body is read, so that the client sees the answer."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What settings may change."""

    deadline_seconds: float = 3.0
    read_seconds: float = 2.0
    most_in_flight: int = 256
    most_connections: int = 1024
