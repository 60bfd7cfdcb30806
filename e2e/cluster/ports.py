"""Loopback ports that stay reserved."""

from __future__ import annotations

import socket

LOOPBACK = "127.0.0.1"


class ReservedPort:
    """A free port that nobody else is given while this object lives.

    The socket stays bound but never listens. Linux lets a server that sets SO_REUSEADDR, as Go's
    do, listen on the same port beside it, while nobody who asks for any free port gets it: no race
    between parallel test runs, and the port survives a restart of the server.
    """

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.bind((LOOPBACK, 0))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.number: int = self._socket.getsockname()[1]

    def listens(self) -> bool:
        """Whether a server has opened it."""
        try:
            socket.create_connection((LOOPBACK, self.number), timeout=1).close()
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Give it back."""
        self._socket.close()
