"""What a cluster may answer besides yes: one small tree, drawn here.

Foreign errors become these in weightlock_operator.api.exchange and nowhere else.

ClusterTrouble            is Unanswerable: nobody may conclude anything about content from it
├── NotFound              404: the object does not exist (now)
├── AlreadyExists         409 on a create: the name is taken, by whomever
├── Conflict              409: somebody wrote in between, or the uid is another one
├── Gone                  410: the version that was asked for is too old to be known
├── Forbidden             403: the account has no right to do this
│   └── Terminating       403: the namespace is being deleted; nothing new fits in (B29)
├── Rejected              400, 405, 413, 415, 422: the request can never succeed as it is
├── Throttled             429: come back later; the request was not applied
├── Unavailable           5xx or no answer: the request may or may not have been applied
└── NotLeader             never sent: the Lease is not held, or too old to be sure (E06)
"""

from weightlock.errors import Unanswerable
from weightlock.reasons import Reason


class ClusterTrouble(Unanswerable):
    """The API server did not do what was asked. `code` is the HTTP status, 0 without one."""

    reason = Reason.INTERNAL_ERROR

    def __init__(self, message: str, *, code: int = 0, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


class NotFound(ClusterTrouble):
    """The object does not exist."""


class AlreadyExists(ClusterTrouble):
    """The name is taken. By whom is another question (A08)."""


class Conflict(ClusterTrouble):
    """Somebody wrote in between."""


class Gone(ClusterTrouble):
    """The resource version is too old."""


class Forbidden(ClusterTrouble):
    """A right is missing."""


class Terminating(Forbidden):
    """The namespace is being deleted."""


class Rejected(ClusterTrouble):
    """The request can never succeed as it is."""


class Throttled(ClusterTrouble):
    """Too many requests; this one was not applied."""

    def __init__(self, message: str, *, retry_after_seconds: float) -> None:
        super().__init__(message, code=429)
        self.retry_after_seconds = retry_after_seconds


class Unavailable(ClusterTrouble):
    """No usable answer. `sent` is False when the request certainly never reached the server."""

    def __init__(self, message: str, *, code: int = 0, sent: bool = True) -> None:
        super().__init__(message, code=code)
        self.sent = sent


class NotLeader(ClusterTrouble):
    """A write was held back, because another replica may lead by now."""


_BY_CODE: dict[int, type[ClusterTrouble]] = {
    400: Rejected,
    404: NotFound,
    405: Rejected,
    410: Gone,
    413: Rejected,
    415: Rejected,
    422: Rejected,
}


def trouble_of(
    code: int, reason: str, message: str, *, retry_after_seconds: float = 1.0
) -> ClusterTrouble:
    """The error for an answer that is not a success."""
    if code == 429:  # noqa: PLR2004 - HTTP's own number
        return Throttled(message, retry_after_seconds=retry_after_seconds)
    if code == 409:  # noqa: PLR2004
        return (AlreadyExists if reason == "AlreadyExists" else Conflict)(message, code=code)
    if code in (401, 403):
        terminating = "being terminated" in message
        return (Terminating if terminating else Forbidden)(message, code=code)
    kind = _BY_CODE.get(code)
    return kind(message, code=code) if kind else Unavailable(message, code=code)
