"""Which volumes a policy governs: a default for every source, known or not, and rules.

The order of rules has no meaning: of all rules that match, the strictest decides. A rule that is
stricter than the default also matches a volume from which its paths can be reached (`/` reaches
`/mnt/models`); a rule that is laxer matches only what lies entirely inside its paths (A01, A13).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from weightlock.policy import scalars
from weightlock.policy.fields import Fields
from weightlock.policy.paths import VolumePath
from weightlock.policy.sizes import MOST_PATTERNS, MOST_VOLUME_RULES

VOLUMES_FIELDS: Final = ("default", "rules")

MATCHER_FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "persistentVolumeClaim": ("storageClassNames", "claimNames"),
    "ephemeral": ("storageClassNames",),
    "hostPath": ("paths",),
    "local": ("paths",),
    "nfs": ("servers", "paths"),
    "csi": ("drivers",),
    "image": ("references",),
    "awsElasticBlockStore": (),
    "azureDisk": (),
    "azureFile": (),
    "cephfs": (),
    "cinder": (),
    "configMap": (),
    "downwardAPI": (),
    "emptyDir": (),
    "fc": (),
    "flexVolume": (),
    "flocker": (),
    "gcePersistentDisk": (),
    "gitRepo": (),
    "glusterfs": (),
    "iscsi": (),
    "photonPersistentDisk": (),
    "portworxVolume": (),
    "projected": (),
    "quobyte": (),
    "rbd": (),
    "scaleIO": (),
    "secret": (),
    "storageos": (),
    "vsphereVolume": (),
}
"""Every volume source of core/v1, as pods and persistent volumes name them, and what a rule may
say about it."""


class VolumeAction(StrEnum):
    """What happens to a volume; from lax to strict."""

    IGNORE = "Ignore"
    VERIFY = "Verify"
    FORBID = "Forbid"


_STRICTNESS: Final = {action: rank for rank, action in enumerate(VolumeAction)}


def strictest_action(actions: Iterable[VolumeAction]) -> VolumeAction:
    """The strictest of the actions; Forbid of none (A31)."""
    return max(actions, key=_STRICTNESS.__getitem__, default=VolumeAction.FORBID)


@dataclass(frozen=True, slots=True)
class VolumeFacts:
    """What rules look at: one volume source, already resolved from live objects.

    `kind` is the source's key in core/v1. None says that a fact is unknown or has no normal form;
    then no laxer rule matches, and every stricter one does. A claim and what its persistent volume
    really is are two facts, and the strictest action of both decides (A13).
    """

    kind: str
    storage_class: str | None = None
    claim_name: str | None = None
    path: VolumePath | None = None
    server: str | None = None
    driver: str | None = None
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class VolumeRule:
    """One kind of source, narrowed by whichever lists are not empty."""

    kind: str
    action: VolumeAction
    storage_classes: tuple[str, ...] = ()
    claim_names: tuple[str, ...] = ()
    paths: tuple[VolumePath, ...] = ()
    servers: tuple[str, ...] = ()
    drivers: tuple[str, ...] = ()
    references: tuple[str, ...] = ()

    def covers(self, volume: VolumeFacts) -> bool:
        """Whether all that can be reached through the volume is certainly inside this rule."""
        return (
            volume.kind == self.kind
            and all(
                not wanted or (found is not None and _matches_some(wanted, found))
                for wanted, found in self._conditions(volume)
            )
            and (not self.paths or self._holds(volume.path))
        )

    def overlaps(self, volume: VolumeFacts) -> bool:
        """Whether anything inside this rule may be reached through the volume."""
        return (
            volume.kind == self.kind
            and all(
                not wanted or found is None or _matches_some(wanted, found)
                for wanted, found in self._conditions(volume)
            )
            and (
                not self.paths
                or volume.path is None
                or any(path.overlaps(volume.path) for path in self.paths)
            )
        )

    def _holds(self, path: VolumePath | None) -> bool:
        return path is not None and any(outer.covers(path) for outer in self.paths)

    def _conditions(self, volume: VolumeFacts) -> tuple[tuple[tuple[str, ...], str | None], ...]:
        return (
            (self.storage_classes, volume.storage_class),
            (self.claim_names, volume.claim_name),
            (self.servers, volume.server),
            (self.drivers, volume.driver),
            (self.references, volume.reference),
        )


def _matches_some(patterns: tuple[str, ...], text: str) -> bool:
    return any(scalars.glob_matches(pattern, text) for pattern in patterns)


@dataclass(frozen=True, slots=True)
class Volumes:
    """The default and its rules."""

    default: VolumeAction = VolumeAction.VERIFY
    rules: tuple[VolumeRule, ...] = ()

    @classmethod
    def from_fields(cls, fields: Fields) -> "Volumes":
        """Read `spec.volumes`."""
        default = fields.choice_or("default", VolumeAction, VolumeAction.VERIFY)
        sections = fields.sections("rules", ("action", *MATCHER_FIELDS), MOST_VOLUME_RULES)
        return cls(default, tuple(_rule(section) for section in sections))

    def action_for(self, volume: VolumeFacts) -> VolumeAction:
        """What happens to a volume. Law: the order of rules never matters."""
        covering = [rule.action for rule in self.rules if rule.covers(volume)]
        base = strictest_action(covering) if covering else self.default
        return strictest_action(
            [base, *(rule.action for rule in self.rules if rule.overlaps(volume))]
        )

    def names_driver(self, volume: VolumeFacts) -> bool:
        """Whether a rule names the driver of a CSI volume; one for all drivers names none."""
        return any(rule.drivers and rule.covers(volume) for rule in self.rules)


def _rule(fields: Fields) -> VolumeRule:
    kinds = fields.present(MATCHER_FIELDS)
    if len(kinds) != 1:
        found = " and ".join(kinds) or "none"
        raise fields.wrong("", f"found {found}, expected exactly one volume source beside action")
    (kind,) = kinds
    matcher = fields.section(kind, MATCHER_FIELDS[kind])
    return VolumeRule(
        kind,
        fields.choice("action", VolumeAction),
        storage_classes=_patterns(matcher, "storageClassNames"),
        claim_names=_patterns(matcher, "claimNames"),
        paths=_paths(matcher),
        servers=_patterns(matcher, "servers"),
        drivers=_patterns(matcher, "drivers"),
        references=_patterns(matcher, "references"),
    )


def _patterns(fields: Fields, key: str) -> tuple[str, ...]:
    # An empty list would match everything although it reads like nothing (A31).
    if not fields.has(key):
        return ()
    return fields.some_texts(key, scalars.glob, MOST_PATTERNS, such_as='"scratch"')


def _paths(fields: Fields) -> tuple[VolumePath, ...]:
    if not fields.has("paths"):
        return ()
    return fields.some_texts("paths", VolumePath.parse, MOST_PATTERNS, such_as='"/mnt/models"')
