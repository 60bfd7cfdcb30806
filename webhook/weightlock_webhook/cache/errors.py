"""What can keep the webhook from knowing; each of them is a denial.

Unanswerable (weightlock.errors)
├── Unreachable     the API server did not answer, or not with a success
│   ├── Gone        it has forgotten the resource version that was asked for: list again
│   └── TooLarge    it answered with more than is taken at once: ask for less
├── Stale           what is known was proven fresh too long ago to say yes (A38)
└── Crowded         a namespace has more of something than is kept of it
"""

from weightlock.errors import Unanswerable
from weightlock.reasons import Reason


class Unreachable(Unanswerable):
    """The API server did not answer, or not with a success."""

    reason = Reason.CLUSTER_UNREACHABLE


class Gone(Unreachable):
    """The resource version is too old for the server."""


class TooLarge(Unreachable):
    """The answer is longer than what is taken at once."""


class Stale(Unanswerable):
    """What is known was proven fresh too long ago."""

    reason = Reason.CACHE_STALE


class Crowded(Unanswerable):
    """A namespace has more than is kept of it, so not all that counts there is known."""

    reason = Reason.LIMIT_EXCEEDED
