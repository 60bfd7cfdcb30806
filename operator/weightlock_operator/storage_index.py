"""Claims and volumes, as much of each as says which storage a claim is bound to."""

from collections.abc import Iterable

from weightlock.verdict.places import Neighbours
from weightlock.verdict.places import Place as StoragePlace
from weightlock_operator.api.cluster import Json
from weightlock_operator.api.parsing import lightened
from weightlock_operator.decision.places import places_of_volume, shown_to_pods
from weightlock_operator.kept import identity, says_the_same
from weightlock_operator.pod_index import Place

_OF_A_CLAIM = ("accessModes", "volumeMode", "volumeName", "storageClassName")


class StorageIndex:
    """For one event loop."""

    def __init__(self) -> None:
        self.claims: dict[Place, Json] = {}
        self.volumes: dict[str, Json] = {}
        """By name."""
        self._places: dict[str, tuple[StoragePlace, ...]] = {}
        self._near = Neighbours()
        self._shown = Neighbours()

    def take_claim(self, body: Json, *, deleted: bool) -> Place | None:
        """Take one as it is now, or its end; returns where it is if that is news."""
        metadata, spec = lightened(body)["metadata"], body.get("spec") or {}
        place = (metadata.get("namespace", ""), metadata["name"])
        before = self.claims.get(place)
        if deleted:
            if before is None or before["metadata"]["uid"] != metadata["uid"]:
                return None  # another of that name is here already
            del self.claims[place]
            return place
        status = body.get("status") or {}
        found: Json = {
            "metadata": identity(metadata),
            "spec": {key: spec[key] for key in _OF_A_CLAIM if spec.get(key) is not None},
            "status": {"phase": status.get("phase", "")},
        }
        self.claims[place] = found
        return None if says_the_same(before, found) else place

    def take_volume(self, body: Json, *, deleted: bool) -> Place | None:
        """Take one as it is now, or its end; returns the claim that it is bound to, if news."""
        metadata, spec = lightened(body)["metadata"], body.get("spec") or {}
        before = self.volumes.get(metadata["name"])
        if deleted:
            if before is None or before["metadata"]["uid"] != metadata["uid"]:
                return None
            del self.volumes[metadata["name"]]
            del self._places[metadata["name"]]
            self._near.drop(metadata["name"])
            self._shown.drop(metadata["name"])
        else:
            found: Json = {"metadata": identity(metadata), "spec": spec}
            self.volumes[metadata["name"]] = found
            if says_the_same(before, found):
                return None
            places, shown = places_of_volume(spec), shown_to_pods(spec)
            self._places[metadata["name"]] = (*places, *shown)
            self._near.put(metadata["name"], places)
            self._shown.put(metadata["name"], shown)
        return _claim_of(spec)

    def places_of(self, claim: Place) -> tuple[StoragePlace, ...]:
        """Where the volume lies that a claim is bound to."""
        name = self.claims.get(claim, {}).get("spec", {}).get("volumeName", "")
        return self._places.get(name, ())

    def claims_at(self, places: Iterable[StoragePlace]) -> dict[Place, tuple[StoragePlace, ...]]:
        """The claims that are bound to some of the bytes there, and where their volumes lie."""
        return self._claims_of(self._near.of(places))

    def claims_shown_at(
        self, places: Iterable[StoragePlace]
    ) -> dict[Place, tuple[StoragePlace, ...]]:
        """The claims whose bytes inline volumes at these places may show."""
        return self._claims_of(self._shown.of(places))

    def _claims_of(self, names: Iterable[str]) -> dict[Place, tuple[StoragePlace, ...]]:
        found = {name: _claim_of(self.volumes[name]["spec"]) for name in names}
        return {claim: self._places[name] for name, claim in found.items() if claim}


def _claim_of(spec: Json) -> Place | None:
    claim = spec.get("claimRef") or {}
    return (claim.get("namespace", ""), claim.get("name", "")) if claim else None
