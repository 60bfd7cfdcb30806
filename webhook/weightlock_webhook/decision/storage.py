"""What a claim really is: the persistent volume behind it, and what that says its source is.

Names are not identities: a claim can be deleted and made again over other bytes (A28), and a claim
over a host path is a host path (A13).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from weightlock.policy.volumes import VolumeFacts
from weightlock.verdict.storage import persistent_volume_hash, source_kind
from weightlock.verdict.tenant_objects import Reference, references_of_volume
from weightlock_webhook.decision.places import LOCAL, Place, Twins, places_of
from weightlock_webhook.mounts.fields import Fields
from weightlock_webhook.mounts.paths import path_of
from weightlock_webhook.mounts.placement import Nodes, nodes_of_selector

HOST_BACKED: Final = frozenset({"hostPath", LOCAL})
"""Sources that are a path of one node."""


@dataclass(frozen=True, slots=True)
class Backing:
    """A persistent volume, the places whose bytes it leads to, and the objects that say which."""

    name: str
    uid: str
    facts: VolumeFacts
    source_hash: str
    places: tuple[Place, ...]
    nodes: Nodes
    references: tuple[Reference, ...]


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim, and the volume that it is bound to, if the two point at each other."""

    name: str
    uid: str
    storage_class: str | None
    is_prefilled: bool = False
    backing: Backing | None = None
    writer_seen_at: datetime | None = None
    is_going: bool = False
    """Whether it, or the volume behind it, is being deleted: kubelets wait until such a claim has
    gone, and then mount whatever bears its name."""


@dataclass(frozen=True, slots=True)
class Storage:
    """The claims that a pod names, and those that were made for its ephemeral volumes."""

    claims: Mapping[str, Claim] = field(default_factory=dict)
    of_ephemeral_volumes: Mapping[str, Claim] = field(default_factory=dict)
    writable_twins: frozenset[str] = frozenset()
    """Names of persistent volumes whose bytes another persistent volume leads to as well."""

    written_at: Mapping[str, datetime] = field(default_factory=dict)
    """Of the pod's volumes without a claim, by name: when a writer was last seen there (A02)."""


def backing_of(persistent_volume: object) -> Backing:
    """Read a persistent volume.

    Raises:
        Malformed: for what the API server would not have sent.
    """
    root = Fields.of(persistent_volume, "persistentVolume")
    metadata, spec = root.child("metadata"), root.child("spec")
    kind = source_kind(spec.members)
    return Backing(
        metadata.name("name"),
        metadata.text("uid"),
        _facts(kind, spec.child(kind)),
        persistent_volume_hash(spec.members, metadata.child("annotations").members),
        places_of(spec),
        nodes_of_selector(spec.child("nodeAffinity").child("required")),
        references_of_volume(spec.members),
    )


def claim_of(
    claim: object, persistent_volume: object | None, writer_seen_at: datetime | None = None
) -> Claim:
    """Read a claim and the volume that it names, which is believed only if it names the claim.

    Raises:
        Malformed: for what the API server would not have sent.
    """
    root = Fields.of(claim, "persistentVolumeClaim")
    metadata, spec = root.child("metadata"), root.child("spec")
    return Claim(
        metadata.name("name"),
        metadata.text("uid"),
        spec.text("storageClassName") or None,
        bool(spec.child("dataSource").members or spec.child("dataSourceRef").members),
        _bound(root, persistent_volume),
        writer_seen_at,
        _is_going(root) or _is_going(Fields.of(persistent_volume or {}, "persistentVolume")),
    )


def writable_twins(backings: Iterable[Backing]) -> frozenset[str]:
    """The names of those whose bytes can be written through another of them (A28).

    Any other will do. Access modes choose a volume, and nobody enforces them (B15); `readOnly` of a
    persistent volume's source is not what kubelets mount by, that of the pod's volume is.
    """
    known, twins = tuple(backings), Twins()
    for each in known:
        twins.put(each.name, each.places)
    return frozenset(each.name for each in known if twins.has_twin(each.name, each.places))


def _facts(kind: str, source: Fields) -> VolumeFacts:
    if kind in HOST_BACKED:
        return VolumeFacts(kind, path=path_of(source.name("path")))
    if kind == "nfs":
        return VolumeFacts(kind, path=path_of(source.name("path")), server=source.name("server"))
    if kind == "csi":
        return VolumeFacts(kind, driver=source.name("driver"))
    return VolumeFacts(kind)


def _is_going(value: Fields) -> bool:
    return bool(value.child("metadata").text("deletionTimestamp"))


def _bound(claim: Fields, persistent_volume: object | None) -> Backing | None:
    if persistent_volume is None or claim.child("status").text("phase") != "Bound":
        return None
    volume = Fields.of(persistent_volume, "persistentVolume")
    reference = volume.child("spec").child("claimRef")
    uid = claim.child("metadata").text("uid")
    names_claim = bool(uid) and reference.text("uid") == uid
    is_named = volume.child("metadata").text("name") == claim.child("spec").text("volumeName")
    return backing_of(persistent_volume) if names_claim and is_named else None
