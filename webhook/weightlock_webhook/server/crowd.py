"""Who has to make room when too much is held at once: the oldest of the client that holds the most.

A client is an address. One pod has one, so a pod that holds everything takes it from itself; and
what a client holds for long is taken before what it has just begun to hold. No newcomer is refused.
"""

from collections.abc import Hashable
from typing import Generic, TypeVar

Member = TypeVar("Member", bound=Hashable)


class Crowd(Generic[Member]):
    """Members of clients, each with a weight, oldest first."""

    def __init__(self) -> None:
        self._clients: dict[str, dict[Member, int]] = {}
        self._weights: dict[str, int] = {}
        self.weight = 0

    def add(self, client: str, member: Member, weight: int = 1) -> None:
        """One more, and the youngest; it must not be in yet."""
        self._clients.setdefault(client, {})[member] = weight
        self._weights[client] = self._weights.get(client, 0) + weight
        self.weight += weight

    def discard(self, client: str, member: Member) -> None:
        """One less, if it is in."""
        members = self._clients.get(client)
        weight = members.pop(member, 0) if members else 0
        if not weight:
            return
        self.weight -= weight
        self._weights[client] -= weight
        if not members:
            del self._clients[client], self._weights[client]

    def next_to_go(self) -> Member:
        """Who makes room; there must be somebody."""
        heaviest = max(self._weights, key=self._weights.__getitem__)
        return next(iter(self._clients[heaviest]))
