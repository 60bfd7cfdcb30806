"""What the containers of a pod reach: main, init, sidecar and ephemeral ones through one reader.

Whoever looks at `spec.containers` alone misses `kubectl debug` and init containers (A18).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from weightlock.errors import Malformed
from weightlock.policy.paths import VolumePath
from weightlock_webhook.mounts.fields import Fields
from weightlock_webhook.mounts.paths import ROOT, path_of
from weightlock_webhook.wording import quoted

KNOWN_MOUNT_FIELDS: Final = frozenset(
    {
        "bindMountOptions",  # noexec, nodev, nosuid: can only take rights away
        "mountPath",
        "mountPropagation",
        "name",
        "readOnly",
        "recursiveReadOnly",
        "subPath",
        "subPathExpr",
    }
)
KNOWN_DEVICE_FIELDS: Final = frozenset({"devicePath", "name"})
KNOWN_CONTAINER_FIELDS: Final = frozenset(
    {
        "args",
        "command",
        "env",
        "envFrom",
        "image",
        "imagePullPolicy",
        "lifecycle",
        "livenessProbe",
        "name",
        "ports",
        "readinessProbe",
        "resizePolicy",
        "resources",
        "restartPolicy",
        "restartPolicyRules",
        "securityContext",
        "startupProbe",
        "stdin",
        "stdinOnce",
        "targetContainerName",
        "terminationMessagePath",
        "terminationMessagePolicy",
        "tty",
        "volumeDevices",
        "volumeMounts",
        "workingDir",
    }
)

CONTAINER_LISTS: Final = ("initContainers", "containers", "ephemeralContainers")
DEEPEST_POINT: Final = 64
"""Folders above a mount; what is deeper counts as a place that cannot be told."""

DEFAULT_TERMINATION_MESSAGE_PATH: Final = "/dev/termination-log"

POWERFUL_CAPABILITIES: Final = frozenset(
    {
        "ALL",
        "DAC_READ_SEARCH",  # open_by_handle_at leaves the subPath
        "SYS_ADMIN",  # remounts read-only mounts read-write
        "SYS_MODULE",
        "SYS_PTRACE",  # /proc/<pid>/root of the pod's other containers
        "SYS_RAWIO",
    }
)


DEVICE_CLASS_PREFIX: Final = "deviceclass.resource.kubernetes.io/"
"""Of resources by which a container claims devices of a class, of any, without a claim (1.34)."""


class Role(StrEnum):
    """The kinds of container; the value is how a sentence calls them."""

    MAIN = "container"
    INIT = "init container"
    SIDECAR = "sidecar container"
    EPHEMERAL = "ephemeral container"


class Route(StrEnum):
    """How a container gets at a volume."""

    MOUNT = "mount"
    SUB_PATH = "subPath"
    SUB_PATH_EXPR = "subPathExpr"
    DEVICE = "volumeDevice"
    UNMOUNTED = "declared"


class Propagation(StrEnum):
    """Whether mounts made later cross between node and container."""

    NONE = "None"
    HOST_TO_CONTAINER = "HostToContainer"
    BIDIRECTIONAL = "Bidirectional"


class RecursiveReadOnly(StrEnum):
    """Whether what is mounted inside a read-only mount is read-only too."""

    DISABLED = "Disabled"
    IF_POSSIBLE = "IfPossible"
    ENABLED = "Enabled"


@dataclass(frozen=True, slots=True, order=True)
class ContainerName:
    """A container by its role and name."""

    role: Role
    name: str

    def __str__(self) -> str:
        return f"{self.role} {quoted(self.name)}"


@dataclass(frozen=True, slots=True)
class Mount:
    """One way from a container to a volume.

    `path` is None where it is known only when the pod runs (subPathExpr). `point` is where the
    container sees it, None if that cannot be told. `container` is None for a volume that nobody
    mounts: an ephemeral container may mount it later (A18), so it counts as reachable as a whole.
    """

    volume: str
    container: ContainerName | None
    route: Route
    path: VolumePath | None
    point: VolumePath | None
    read_only: bool
    recursive_read_only: RecursiveReadOnly = RecursiveReadOnly.DISABLED
    propagation: Propagation = Propagation.NONE
    unknown_fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cover:
    """A place in a container where something lies that is none of the governed bytes (A29).

    `point` is None if its path cannot be told without following `..` through the image.
    """

    container: ContainerName
    point: VolumePath | None
    by: str
    mount: Mount | None


@dataclass(frozen=True, slots=True)
class Container:
    """What one container reaches and may do."""

    name: ContainerName
    mounts: tuple[Mount, ...]
    covers: tuple[Cover, ...]
    privileged: bool
    capabilities: tuple[str, ...]
    uses_device_claims: bool
    device_classes: tuple[str, ...]
    """Classes whose devices it asks for as resources."""

    target: str
    """The container whose processes an ephemeral one shares; empty for none."""

    unknown_fields: tuple[str, ...]


def containers_of(spec: Fields) -> tuple[Container, ...]:
    """Every container of a pod spec.

    Raises:
        Malformed: for a container that the API could not have accepted.
    """
    return tuple(
        _container(entry, role)
        for key, role in zip(CONTAINER_LISTS, (Role.INIT, Role.MAIN, Role.EPHEMERAL), strict=True)
        for entry in spec.children(key)
    )


def _container(entry: Fields, role: Role) -> Container:
    if role is Role.INIT and entry.text("restartPolicy") == "Always":
        role = Role.SIDECAR
    name = ContainerName(role, entry.name("name"))
    mounts = tuple(_mount(mount, name) for mount in entry.children("volumeMounts"))
    devices = tuple(_device(device, name) for device in entry.children("volumeDevices"))
    security = entry.child("securityContext")
    return Container(
        name,
        mounts + devices,
        _covers(name, mounts + devices, entry.text("terminationMessagePath")),
        security.flag("privileged"),
        _powerful(security.child("capabilities").texts("add")),
        bool(entry.child("resources").children("claims")),
        _device_classes(entry.child("resources")),
        entry.text("targetContainerName"),
        entry.unknown(KNOWN_CONTAINER_FIELDS),
    )


def _mount(entry: Fields, container: ContainerName) -> Mount:
    route, path = _inside(entry)
    return Mount(
        entry.name("name"),
        container,
        route,
        path,
        _point(entry.name("mountPath")),
        entry.flag("readOnly"),
        _recursive_read_only(entry),
        _propagation(entry),
        entry.unknown(KNOWN_MOUNT_FIELDS),
    )


def _inside(entry: Fields) -> tuple[Route, VolumePath | None]:
    sub_path, expression = entry.text("subPath"), entry.text("subPathExpr")
    if sub_path and expression:
        raise Malformed(f"{quoted(entry.where)} has both subPath and subPathExpr")
    if expression:
        return Route.SUB_PATH_EXPR, None
    if sub_path:
        return Route.SUB_PATH, path_of(sub_path)
    return Route.MOUNT, ROOT


def _device(entry: Fields, container: ContainerName) -> Mount:
    return Mount(
        entry.name("name"),
        container,
        Route.DEVICE,
        ROOT,
        _point(entry.name("devicePath")),
        read_only=False,
        unknown_fields=entry.unknown(KNOWN_DEVICE_FIELDS),
    )


def _point(text: str) -> VolumePath | None:
    """Where in the container; None for `..`, which the runtime resolves through the image.

    Also for what is deeper than anybody's folders: each place above it would have to be looked at.
    """
    try:
        point = path_of(text)
    except Malformed:
        return None
    return point if len(point.components) <= DEEPEST_POINT else None


def _recursive_read_only(entry: Fields) -> RecursiveReadOnly:
    text = entry.text("recursiveReadOnly") or RecursiveReadOnly.DISABLED
    if text not in tuple(RecursiveReadOnly):
        raise Malformed(f"{quoted(entry.where)} has an unknown recursiveReadOnly {quoted(text)}")
    return RecursiveReadOnly(text)


def _propagation(entry: Fields) -> Propagation:
    text = entry.text("mountPropagation") or Propagation.NONE
    if text not in tuple(Propagation):
        raise Malformed(f"{quoted(entry.where)} has an unknown mountPropagation {quoted(text)}")
    return Propagation(text)


def _covers(
    container: ContainerName, mounts: tuple[Mount, ...], termination_message_path: str
) -> tuple[Cover, ...]:
    of_mounts = tuple(
        Cover(container, mount.point, f"the {mount.route} of volume {quoted(mount.volume)}", mount)
        for mount in mounts
    )
    # The kubelet bind-mounts an empty file here: at /models/config.json it replaces a signed one.
    message_path = termination_message_path or DEFAULT_TERMINATION_MESSAGE_PATH
    return (*of_mounts, Cover(container, _point(message_path), "terminationMessagePath", None))


def _device_classes(resources: Fields) -> tuple[str, ...]:
    asked = {*resources.child("limits").members, *resources.child("requests").members}
    return tuple(
        sorted(
            name.removeprefix(DEVICE_CLASS_PREFIX)
            for name in asked
            if name.startswith(DEVICE_CLASS_PREFIX)
        )
    )


def _powerful(added: tuple[str, ...]) -> tuple[str, ...]:
    names = {name.upper().removeprefix("CAP_") for name in added}
    return tuple(sorted(names & POWERFUL_CAPABILITIES))
