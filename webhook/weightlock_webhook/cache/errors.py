"""What can keep the webhook from knowing; each of them is a denial.

Unanswerable (weightlock.errors)
├── Unreachable     the API server did not answer, or not with a success
│   └── Gone        it has forgotten the resource version that was asked for: list again
└── Stale           what is known was proven fresh too long ago to say yes (A38)
"""

from weightlock.errors import Unanswerable
from weightlock.reasons import Reason


class Unreachable(Unanswerable):
    """The API server did not answer, or not with a success."""

    reason = Reason.CLUSTER_UNREACHABLE


class Gone(Unreachable):
    """The resource version is too old for the server."""


class Stale(Unanswerable):
    """What is known was proven fresh too long ago."""

    reason = Reason.CACHE_STALE
