"""The one seam between the cache and the network: calls and streams.

`Client` is the real one; tests have an API server in memory behind the same Protocol.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from weightlock_webhook.reviews.collaborators import Cluster


class Transport(Cluster, Protocol):
    """An API server that answers calls and streams watches."""

    def stream(self, path: str) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The lines of a watch, for as long as the server keeps it open.

        Raises:
            Unreachable: if it does not start or breaks; Gone if the version is too old.
        """
        ...
