"""A pod as admission sees it: its volumes, every way to reach them, and what could break the view.

`pod_of` reads the JSON that the API server sends. It judges nothing, and it drops nothing: a field
that it does not know is listed by name for the decision to refuse.
"""

from dataclasses import dataclass
from typing import Final

from weightlock.errors import LimitExceeded, Malformed
from weightlock.injection import injects
from weightlock_webhook.mounts.containers import (
    CONTAINER_LISTS,
    Container,
    Mount,
    Route,
    containers_of,
)
from weightlock_webhook.mounts.fields import Fields
from weightlock_webhook.mounts.paths import ROOT
from weightlock_webhook.mounts.placement import Nodes, pinned_nodes
from weightlock_webhook.mounts.sources import (
    ConfigurationSource,
    ScratchSource,
    VolumeSource,
    source_of,
)
from weightlock_webhook.wording import quoted

MOST_VOLUMES: Final = 128
MOST_MOUNTS: Final = 1024
MOST_CONTAINERS: Final = 256
MOST_PROJECTIONS: Final = 1024
"""Limits on one pod (A06): far above any real one, low enough that judging it keeps nobody waiting.
A training pod has some ten volumes; sidecars and injected ones included, a few dozen mounts."""

KNOWN_POD_FIELDS: Final = frozenset(
    {
        "activeDeadlineSeconds",
        "affinity",
        "automountServiceAccountToken",
        "containers",
        "dnsConfig",
        "dnsPolicy",
        "enableServiceLinks",
        "ephemeralContainers",
        "evictionResponders",
        "hostAliases",
        "hostIPC",
        "hostNetwork",
        "hostPID",
        "hostUsers",
        "hostname",
        "hostnameOverride",
        "imagePullSecrets",
        "initContainers",
        "nodeName",
        "nodeSelector",
        "os",
        "overhead",
        "preemptionPolicy",
        "priority",
        "priorityClassName",
        "readinessGates",
        "resourceClaims",
        "resources",
        "restartPolicy",
        "runtimeClassName",
        "schedulerName",
        "schedulingGates",
        "schedulingGroup",
        "securityContext",
        "serviceAccount",
        "serviceAccountName",
        "setHostnameAsFQDN",
        "shareProcessNamespace",
        "subdomain",
        "terminationGracePeriodSeconds",
        "tolerations",
        "topologySpreadConstraints",
        "volumes",
        "workloadRef",  # 1.35 only; schedulingGroup since
    }
)


@dataclass(frozen=True, slots=True)
class Volume:
    """A declared volume."""

    name: str
    source: VolumeSource


@dataclass(frozen=True, slots=True)
class DeviceClaim:
    """A DRA claim of the pod: by name, or made from a template."""

    name: str
    claim: str
    template: str

    @property
    def key(self) -> str:
        """Where facts say which classes it asks for."""
        return f"claim/{self.claim}" if self.claim else f"template/{self.template}"


@dataclass(frozen=True, slots=True)
class Pod:
    """Everything about a pod that decides what it can reach.

    `mounts` holds every way to every declared volume, those that nobody mounts included.
    """

    volumes: tuple[Volume, ...]
    containers: tuple[Container, ...]
    mounts: tuple[Mount, ...]
    host_pid: bool
    shares_processes: bool
    is_windows: bool
    runtime_class: str
    device_claims: tuple[DeviceClaim, ...]
    injecting_annotations: tuple[str, ...]
    node_name: str
    pinned_nodes: Nodes
    unknown_fields: tuple[str, ...]
    has_storage: bool
    """Whether any volume can bring more than scratch space and API objects."""


def pod_of(metadata: object, spec: object) -> Pod:
    """Read a pod, or the metadata and spec of a pod template.

    Raises:
        Malformed: for what the API server would not have sent.
        LimitExceeded: for more volumes, mounts or containers than one pod may have.
    """
    fields = Fields.of({} if metadata is None else metadata, "metadata")
    pod_spec = Fields.of(spec, "spec")
    _check_limits(pod_spec)
    volumes = _volumes(pod_spec)
    containers = containers_of(pod_spec)
    return Pod(
        volumes,
        containers,
        _mounts(volumes, containers),
        pod_spec.flag("hostPID"),
        pod_spec.flag("shareProcessNamespace"),
        _is_windows(pod_spec),
        pod_spec.text("runtimeClassName"),
        _device_claims(pod_spec, containers),
        _injecting_annotations(fields),
        pod_spec.text("nodeName"),
        pinned_nodes(pod_spec),
        _unknown_fields(pod_spec, containers),
        any(not isinstance(each.source, ScratchSource | ConfigurationSource) for each in volumes),
    )


def _volumes(spec: Fields) -> tuple[Volume, ...]:
    volumes = tuple(
        Volume(entry.name("name"), source_of(entry)) for entry in spec.children("volumes")
    )
    if len({volume.name for volume in volumes}) < len(volumes):
        raise Malformed("two volumes of the pod have the same name")
    return volumes


def _check_limits(spec: Fields) -> None:
    """Counted before anything is read: reading is what costs."""
    _check("containers", sum(map(spec.count, CONTAINER_LISTS)), MOST_CONTAINERS)
    containers = [each for key in CONTAINER_LISTS for each in spec.children(key)]
    _check("volumes", spec.count("volumes"), MOST_VOLUMES)
    mounts = sum(each.count("volumeMounts") + each.count("volumeDevices") for each in containers)
    _check("mounts", mounts, MOST_MOUNTS)
    volumes = spec.children("volumes")
    projections = sum(each.child("projected").count("sources") for each in volumes)
    _check("projections", projections, MOST_PROJECTIONS)
    claims = sum(each.child("resources").count("claims") for each in containers)
    _check("resource claims", spec.count("resourceClaims") + claims, MOST_MOUNTS)


def _check(what: str, found: int, most: int) -> None:
    if found > most:
        raise LimitExceeded(f"the pod has {found} {what}, at most {most} are judged")


def _mounts(volumes: tuple[Volume, ...], containers: tuple[Container, ...]) -> tuple[Mount, ...]:
    declared = {volume.name for volume in volumes}
    mounted = tuple(mount for container in containers for mount in container.mounts)
    for mount in mounted:
        if mount.volume not in declared:
            raise Malformed(
                f"{mount.container} mounts the undeclared volume {quoted(mount.volume)}"
            )
    unmounted = declared - {mount.volume for mount in mounted}
    return mounted + tuple(
        Mount(name, None, Route.UNMOUNTED, ROOT, None, read_only=True) for name in sorted(unmounted)
    )


def _is_windows(spec: Fields) -> bool:
    if any(
        entry.child("securityContext").child("windowsOptions").members
        for entry in (spec, *spec.children("initContainers"), *spec.children("containers"))
    ):
        return True
    selected = spec.child("nodeSelector")
    systems = {
        spec.child("os").text("name"),
        selected.text("kubernetes.io/os"),
        selected.text("beta.kubernetes.io/os"),
    }
    return "windows" in systems


def _device_claims(spec: Fields, containers: tuple[Container, ...]) -> tuple[DeviceClaim, ...]:
    claims = tuple(
        DeviceClaim(
            entry.name("name"),
            entry.text("resourceClaimName"),
            entry.text("resourceClaimTemplateName"),
        )
        for entry in spec.children("resourceClaims")
    )
    if not claims and any(container.uses_device_claims for container in containers):
        raise Malformed("a container uses a resource claim that the pod does not declare")
    return claims


def _injecting_annotations(metadata: Fields) -> tuple[str, ...]:
    keys = metadata.child("annotations").members
    return tuple(sorted(filter(injects, keys)))


def _unknown_fields(spec: Fields, containers: tuple[Container, ...]) -> tuple[str, ...]:
    found = {f"spec.{key}" for key in spec.unknown(KNOWN_POD_FIELDS)}
    for container in containers:
        found.update(f"container.{key}" for key in container.unknown_fields)
        for mount in container.mounts:
            found.update(f"volumeMount.{key}" for key in mount.unknown_fields)
    return tuple(sorted(found))
