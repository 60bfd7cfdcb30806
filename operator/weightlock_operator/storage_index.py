"""Claims and volumes, as much of each as says which storage a claim is bound to."""

from weightlock_operator.api.cluster import Json
from weightlock_operator.api.parsing import lightened
from weightlock_operator.kept import identity, says_the_same
from weightlock_operator.pod_index import Place

_OF_A_CLAIM = ("accessModes", "volumeMode", "volumeName", "storageClassName")


class StorageIndex:
    """For one event loop."""

    def __init__(self) -> None:
        self.claims: dict[Place, Json] = {}
        self.volumes: dict[str, Json] = {}
        """By name."""

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
        else:
            found: Json = {"metadata": identity(metadata), "spec": spec}
            self.volumes[metadata["name"]] = found
            if says_the_same(before, found):
                return None
        claim = spec.get("claimRef") or {}
        return (claim.get("namespace", ""), claim.get("name", "")) if claim else None
