"""Which claims refused pods have asked for of late, so many of each namespace and of all.

Tenants can forge the events that say so, hence no namespace may push out another's.
"""

from datetime import datetime, timedelta
from typing import Final

from weightlock_operator.decision.registration import Request

REQUESTED_FOR: Final = timedelta(minutes=30)
"""How long a refused pod's wish counts; whoever still wants it is refused again."""

MOST_OF_NAMESPACE: Final = 1000
MOST_REQUESTS: Final = 10_000


class Wishes:
    """For one event loop."""

    def __init__(self) -> None:
        self._of: dict[str, dict[Request, datetime]] = {}
        self._count = 0

    def add(self, request: Request, now: datetime) -> None:
        """Somebody asks; what was asked for longest ago makes room."""
        own = self._of.setdefault(request.namespace, {})
        self._count += own.pop(request, None) is None
        own[request] = now
        if len(own) > MOST_OF_NAMESPACE:
            self._drop_oldest(request.namespace)
        if self._count > MOST_REQUESTS:
            self._drop_oldest(max(self._of, key=lambda name: len(self._of[name])))

    def of(self, namespace: str, now: datetime) -> tuple[Request, ...]:
        """What still counts of a namespace."""
        own = self._of.get(namespace, {})
        return tuple(request for request, at in own.items() if now - at < REQUESTED_FOR)

    def has(self, request: Request, now: datetime) -> bool:
        """Whether this one still counts."""
        asked = self._of.get(request.namespace, {}).get(request)
        return asked is not None and now - asked < REQUESTED_FOR

    def _drop_oldest(self, namespace: str) -> None:
        own = self._of[namespace]
        del own[next(iter(own))]
        self._count -= 1
        if not own:
            del self._of[namespace]
