"""The checkpoints, found by where they lie and by the model that was verified there."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

from weightlock.errors import Malformed
from weightlock.policy.checkpoints import CheckpointSpec
from weightlock.verdict.places import Neighbours
from weightlock.verdict.places import Place as StoragePlace
from weightlock_operator.api.cluster import Json
from weightlock_operator.api.parsing import lightened
from weightlock_operator.decision.places import places_of_source
from weightlock_operator.kept import discard
from weightlock_operator.pod_index import NOWHERE, Place

NOBODY: Final[frozenset[str]] = frozenset()


class CheckpointIndex:
    """For one event loop."""

    def __init__(self) -> None:
        self.bodies: dict[str, Json] = {}
        """By uid."""
        self._elsewhere = Neighbours()
        """Those that say themselves where they lie."""
        self._at: defaultdict[Place, set[str]] = defaultdict(set)
        self._named: dict[Place, str] = {}
        """By namespace and name."""
        self._in: defaultdict[str, set[str]] = defaultdict(set)
        self._of_model: defaultdict[str, set[str]] = defaultdict(set)

    def take(self, body: Json, *, deleted: bool) -> frozenset[str]:
        """Take one as it is now, or its end; returns it if that is news."""
        uid, namespace = body["metadata"]["uid"], body["metadata"].get("namespace", "")
        name = (namespace, body["metadata"].get("name", ""))
        before = self.bodies.pop(uid, None)
        if before is not None:
            discard(self._at, place_of(before), uid)
            self._elsewhere.drop(uid)
            discard(self._in, namespace, uid)
            if self._named.get(name) == uid:  # or another of that name is here already
                del self._named[name]
            discard(self._of_model, model_of(before), uid)
        if deleted:
            return frozenset({uid})
        self.bodies[uid] = lightened(body)
        self._at[place_of(body)].add(uid)
        if place_of(body) == NOWHERE:
            self._elsewhere.put(uid, _places(body))
        self._in[namespace].add(uid)
        self._named[name] = uid
        self._of_model[model_of(body)].add(uid)
        # A write of our own comes back as an event; it changes nothing that we do not know.
        return NOBODY if before is not None and is_same(before, body) else frozenset({uid})

    def at(self, place: Place) -> frozenset[str]:
        """Those on a claim, or on no claim."""
        return frozenset(self._at.get(place, ()))

    def named(self, namespace: str, name: str) -> frozenset[str]:
        """The one of that name, if there is one."""
        found = self._named.get((namespace, name))
        return frozenset({found}) if found else NOBODY

    def at_storage(self, places: Iterable[StoragePlace]) -> frozenset[str]:
        """Those that say themselves that they lie there."""
        return self._elsewhere.of(places)

    def of_namespace(self, namespace: str) -> frozenset[str]:
        """Those of a namespace."""
        return frozenset(self._in.get(namespace, ()))

    def of_model(self, model: str) -> frozenset[str]:
        """Those in which that model was found."""
        return frozenset(self._of_model.get(model, ()))


def place_of(checkpoint: Json) -> Place:
    """Where a checkpoint lies: its namespace and claim, or elsewhere."""
    source = (checkpoint.get("spec") or {}).get("source") or {}
    claim = source.get("persistentVolumeClaim") if isinstance(source, Mapping) else None
    name = claim.get("claimName") if isinstance(claim, Mapping) else None
    return (checkpoint["metadata"].get("namespace", ""), str(name)) if name else NOWHERE


def _places(checkpoint: Json) -> tuple[StoragePlace, ...]:
    try:
        return places_of_source(CheckpointSpec.from_spec(checkpoint.get("spec")).source)
    except Malformed:
        return ()


def model_of(checkpoint: Json) -> str:
    """The name of the model that the last verification found; "" for none."""
    return str((checkpoint.get("status") or {}).get("modelName") or "")


def is_same(one: Json, other: Json) -> bool:
    """Whether two states of a checkpoint differ in nothing that is looked at."""
    parts = ("spec", "status")
    return all(one.get(key) == other.get(key) for key in parts) and (
        one["metadata"].get("generation") == other["metadata"].get("generation")
    )
