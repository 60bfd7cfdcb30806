"""Whether two persistent volumes lead to the same bytes (see weightlock.verdict.places)."""

from typing import Final

from weightlock.verdict import places
from weightlock.verdict.places import Place
from weightlock_webhook.mounts.fields import Fields

__all__ = ["LOCAL", "Place", "Twins", "places_of"]

LOCAL: Final = "local"


def places_of(spec: Fields) -> tuple[Place, ...]:
    """Every place that the spec of a persistent volume leads to.

    Raises:
        Malformed: for what the API server would not have sent.
    """
    return places.places_of(spec.members)


class Twins(places.Neighbours):
    """Which persistent volumes share bytes with another."""

    def has_twin(self, name: str, places: tuple[Place, ...]) -> bool:
        """Whether another volume leads to some of the bytes that lie at these places."""
        return self.any_but(name, places)
