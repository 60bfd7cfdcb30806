"""API objects as the cache decodes them: straight from bytes into what a decision needs.

Whatever is not named here is skipped by the decoder and never becomes a Python object, which is
what keeps a relist of thousands of objects from stalling the requests beside it.
"""

from typing import Generic, TypeVar

import msgspec

from weightlock.verdict.storage import MOUNT_OPTIONS_ANNOTATION

Key = tuple[str, str]
"""A namespace, "" for objects without one, and a name."""


class Owner(msgspec.Struct, gc=False):
    """An owner reference, as far as it says who may use the object."""

    uid: str = ""


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


class Presence(msgspec.Struct, gc=False):
    """An object of which only it counts that it is there."""

    is_there: bool = msgspec.field(default=True, name="")


class ClaimSpec(msgspec.Struct, gc=False):
    """What of a claim's spec counts."""

    volumeName: str | None = None  # noqa: N815
    storageClassName: str | None = None  # noqa: N815
    dataSource: Presence | None = None  # noqa: N815
    dataSourceRef: Presence | None = None  # noqa: N815


class Phase(msgspec.Struct, gc=False):
    """What of a claim's status counts."""

    phase: str = ""


class ClaimItem(Item, gc=False):
    """A PersistentVolumeClaim."""

    metadata: OwnedMetadata
    spec: ClaimSpec = msgspec.field(default_factory=ClaimSpec)
    status: Phase = msgspec.field(default_factory=Phase)


class VolumeAnnotations(msgspec.Struct, gc=False):
    """What of a volume's annotations kubelets still mount by."""

    mount_options: str = msgspec.field(default="", name=MOUNT_OPTIONS_ANNOTATION)


class VolumeMetadata(GoingMetadata, gc=False):
    """The same with that annotation."""

    annotations: VolumeAnnotations | None = None


class VolumeItem(Item, gc=False):
    """A PersistentVolume: its identity is a hash over the spec, so all of that is kept."""

    metadata: VolumeMetadata
    spec: msgspec.Raw = msgspec.Raw(b"{}")


class SecretItem(Item, gc=False):
    """A Secret; values in base64."""

    data: dict[str, str] | None = None


class ConfigMapItem(Item, gc=False):
    """A ConfigMap."""

    data: dict[str, str] | None = None


class DeviceClaimItem(msgspec.Struct, gc=False):
    """A ResourceClaim or ResourceClaimTemplate: requests look different in each version."""

    spec: dict[str, object] = msgspec.field(default_factory=dict)


class MadeDeviceClaim(msgspec.Struct, gc=False):
    """The claim that was made for a pod from a template; no name if none was needed."""

    name: str
    resourceClaimName: str | None = None  # noqa: N815


class _PodDevicesStatus(msgspec.Struct, gc=False):
    resourceClaimStatuses: list[MadeDeviceClaim] | None = None  # noqa: N815


class PodDevices(Item, gc=False):
    """A pod, as far as devices were claimed for it."""

    status: _PodDevicesStatus = msgspec.field(default_factory=_PodDevicesStatus)

    @property
    def made(self) -> dict[str, str | None]:
        """The claims that the kubelet will use, by the names that the pod has for them."""
        found = self.status.resourceClaimStatuses or ()
        return {each.name: each.resourceClaimName for each in found}


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
