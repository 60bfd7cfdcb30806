"""API objects as the cache decodes them: straight from bytes into what a decision needs.

Whatever is not named here is skipped by the decoder and never becomes a Python object, which is
what keeps a relist of thousands of objects from stalling the requests beside it.
"""

from typing import Generic, TypeVar

import msgspec

Key = tuple[str, str]
"""A namespace, "" for objects without one, and a name."""


class Owner(msgspec.Struct, gc=False):
    """An owner reference."""

    uid: str = ""
    kind: str = ""
    name: str = ""
    controller: bool | None = None


class Metadata(msgspec.Struct, gc=False):
    """What of an object's metadata identifies it."""

    name: str
    namespace: str = ""
    uid: str = ""
    resourceVersion: str = ""  # noqa: N815 - the API's own spelling
    generation: int = 0

    @property
    def key(self) -> Key:
        """Where the object is among those of its kind."""
        return self.namespace, self.name


class GoingMetadata(Metadata, gc=False):
    """The same with when somebody asked for the object to be deleted."""

    deletionTimestamp: str | None = None  # noqa: N815


class OwnedMetadata(GoingMetadata, gc=False):
    """The same with the owners."""

    ownerReferences: list[Owner] | None = None  # noqa: N815


class LabelledMetadata(Metadata, gc=False):
    """The same with the labels."""

    labels: dict[str, str] | None = None


class Item(msgspec.Struct, gc=False):
    """An object of which only its identity counts."""

    metadata: Metadata


Known = TypeVar("Known", bound="Item")


class NamespaceItem(Item, gc=False):
    """A namespace and its labels."""

    metadata: LabelledMetadata


class PolicyItem(Item, gc=False):
    """A ModelPolicy or ClusterModelPolicy; the spec is read once, when it arrives."""

    spec: msgspec.Raw = msgspec.Raw(b"{}")


class ClaimRef(msgspec.Struct, gc=False):
    """What a claim is named by."""

    claimName: str = ""  # noqa: N815


class PathRef(msgspec.Struct, gc=False):
    """A path of a node or of a server."""

    path: str = ""
    server: str = ""


class DriverRef(msgspec.Struct, gc=False):
    """An inline CSI volume's driver."""

    driver: str = ""


class ImageRef(msgspec.Struct, gc=False):
    """An image volume."""

    reference: str = ""


class CheckpointSource(msgspec.Struct, gc=False):
    """As much of `spec.source` as finds the checkpoints of a volume."""

    persistentVolumeClaim: ClaimRef | None = None  # noqa: N815
    hostPath: PathRef | None = None  # noqa: N815
    nfs: PathRef | None = None
    csi: DriverRef | None = None
    image: ImageRef | None = None


class CheckpointItem(Item):
    """A ModelCheckpoint; spec and status stay bytes until a pod asks for them."""

    spec: msgspec.Raw = msgspec.Raw(b"{}")
    status: msgspec.Raw = msgspec.Raw(b"{}")


class ClaimSpec(msgspec.Struct, gc=False):
    """What of a claim's spec counts."""

    volumeName: str | None = None  # noqa: N815
    storageClassName: str | None = None  # noqa: N815
    dataSource: dict[str, object] | None = None  # noqa: N815
    dataSourceRef: dict[str, object] | None = None  # noqa: N815


class Phase(msgspec.Struct, gc=False):
    """What of a claim's status counts."""

    phase: str = ""


class ClaimItem(Item, gc=False):
    """A PersistentVolumeClaim."""

    metadata: OwnedMetadata
    spec: ClaimSpec = msgspec.field(default_factory=ClaimSpec)
    status: Phase = msgspec.field(default_factory=Phase)


class VolumeItem(Item, gc=False):
    """A PersistentVolume: its identity is a hash over the spec, so all of that is kept."""

    metadata: GoingMetadata
    spec: msgspec.Raw = msgspec.Raw(b"{}")


class SecretItem(Item, gc=False):
    """A Secret; values in base64."""

    data: dict[str, str] | None = None


class ConfigMapItem(Item, gc=False):
    """A ConfigMap."""

    data: dict[str, str] | None = None


class ListMetadata(msgspec.Struct, gc=False):
    """Where a list stands, and where it goes on."""

    resourceVersion: str = ""  # noqa: N815
    continue_: str = msgspec.field(default="", name="continue")


class Page(msgspec.Struct, Generic[Known]):
    """A page of a list."""

    metadata: ListMetadata
    items: list[Known] | None = None


class Event(msgspec.Struct):
    """A line of a watch; what the object is depends on the type."""

    type: str
    object: msgspec.Raw


class Version(msgspec.Struct, gc=False):
    """What a bookmark's metadata says."""

    resourceVersion: str = ""  # noqa: N815


class Bookmark(msgspec.Struct, gc=False):
    """How far a watch has come although nothing happened."""

    metadata: Version


class Status(msgspec.Struct, gc=False):
    """What the API server says of an error."""

    code: int = 0
    reason: str = ""
    message: str = ""
