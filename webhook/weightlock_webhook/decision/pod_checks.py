"""What is wrong with a pod as a whole, once it has a volume that must be verified.

Whatever lets one container change what another one sees, or lets something outside the pod spec
change its mounts, makes the rest of the decision worthless (A27, B21-B23, B27).
"""

from collections.abc import Iterator
from typing import Final

from weightlock.reasons import Reason
from weightlock_webhook.decision.answers import Problem
from weightlock_webhook.decision.case import Case, Check
from weightlock_webhook.decision.governing import may_be_swapped
from weightlock_webhook.wording import listed, quoted

_ASK_ADMINISTRATOR: Final = "Remove it, or ask whoever runs the webhook to allow it."


def field_unknown(case: Case) -> Iterator[Problem]:
    """A field of an API newer than this version: it may mount storage."""
    unknown = tuple(
        field
        for field in case.pod.unknown_fields
        if field not in case.facts.allowances.harmless_fields
    )
    if unknown:
        yield Problem(
            Reason.UNKNOWN_FIELD,
            f"the fields {listed(unknown)}, which this version does not know",
            "only fields that are known to reach no storage",
            _ASK_ADMINISTRATOR,
        )


def node_named(case: Case) -> Iterator[Problem]:
    """No scheduler, so no second look: the node may be one that starts it much later (A28).

    By then a claim may be another under the same name, and a verdict may have been revoked. A pod
    that runs already was given its node by a scheduler.
    """
    pod = case.pod
    if not pod.node_name or case.facts.is_running:
        return
    if case.is_governed or any(may_be_swapped(each, case.view) for each in pod.volumes):
        yield Problem(
            Reason.NODE_NAMED,
            f"nodeName: {quoted(pod.node_name)}",
            "a pod that a scheduler places, since what it mounts is looked at again then",
            "Leave nodeName out. Use nodeSelector, or nodeAffinity as DaemonSets do, to choose"
            " nodes.",
        )


def on_windows(case: Case) -> Iterator[Problem]:
    """Windows spells paths in ways that nobody has judged (B23)."""
    if case.is_governed and case.pod.is_windows:
        yield Problem(
            Reason.WINDOWS_POD,
            "a Windows pod with volumes that must be verified",
            "a Linux pod",
            "Run it on Linux nodes.",
        )


def host_processes_visible(case: Case) -> Iterator[Problem]:
    """/proc/<pid>/root of any process of the node is a way to any mount on it (B27)."""
    if case.is_governed and case.pod.host_pid:
        yield Problem(
            Reason.HOST_NAMESPACES,
            "hostPID: true",
            "no host process namespace in a pod with volumes that must be verified",
            "Remove hostPID.",
        )


def processes_shared(case: Case) -> Iterator[Problem]:
    """A sidecar may trace the container that loads the model (A27)."""
    if case.is_governed and case.pod.shares_processes:
        yield Problem(
            Reason.SHARED_PROCESSES,
            "shareProcessNamespace: true",
            "containers that cannot see each other's processes",
            "Remove shareProcessNamespace.",
        )


def processes_targeted(case: Case) -> Iterator[Problem]:
    """An ephemeral container that joins another's processes may trace whoever loads the model."""
    if not case.is_governed:
        return
    for container in case.pod.containers:
        if container.target:
            yield Problem(
                Reason.SHARED_PROCESSES,
                f"targetContainerName: {quoted(container.target)}",
                "containers that cannot see each other's processes",
                "Remove targetContainerName; kubectl debug sets it only with --target.",
                container=container.name,
            )


def privileged(case: Case) -> Iterator[Problem]:
    """Whoever may mount can make a read-only mount writable again."""
    if not case.is_governed:
        return
    for container in case.pod.containers:
        if container.privileged or container.capabilities:
            found = "privileged: true" if container.privileged else ""
            added = f"capabilities {', '.join(container.capabilities)}"
            yield Problem(
                Reason.PRIVILEGED_CONTAINER,
                found or added,
                "containers that can neither remount volumes nor trace others",
                "Remove privileged and these capabilities from its securityContext.",
                container=container.name,
            )


def devices_injected_by_annotation(case: Case) -> Iterator[Problem]:
    """Annotations of CDI, NRI and CRI-O make runtimes add mounts that no spec shows (B21)."""
    if case.is_governed and case.pod.injecting_annotations:
        yield Problem(
            Reason.CDI_ANNOTATION,
            f"the annotations {listed(case.pod.injecting_annotations)}",
            "none by which the runtime adds mounts, in a pod with volumes that must be verified",
            "Ask for devices through resource limits instead.",
        )


def device_class_not_allowed(case: Case) -> Iterator[Problem]:
    """A DRA driver may inject mounts, so its class must be one that was looked at (B21)."""
    if not case.is_governed:
        return
    for claim in case.pod.device_claims:
        classes = case.facts.device_classes.get(claim.key)
        if not classes or not classes <= case.facts.allowances.device_classes:
            found = listed(tuple(sorted(classes))) if classes else "unknown device classes"
            yield Problem(
                Reason.DEVICE_CLAIM,
                f"the resource claim {quoted(claim.name)} of {found}",
                "only device classes that are allowed",
                _ASK_ADMINISTRATOR,
            )


def device_class_asked_for(case: Case) -> Iterator[Problem]:
    """A resource that names a device class is a claim that nobody sees (B21)."""
    if not case.is_governed:
        return
    for container in case.pod.containers:
        found = set(container.device_classes) - case.facts.allowances.device_classes
        if found:
            yield Problem(
                Reason.DEVICE_CLAIM,
                f"resources of the device classes {listed(tuple(sorted(found)))}",
                "only device classes that are allowed",
                _ASK_ADMINISTRATOR,
                container=container.name,
            )


def runtime_class_not_allowed(case: Case) -> Iterator[Problem]:
    """A runtime handler may add or alter mounts (B22)."""
    name = case.pod.runtime_class
    if case.is_governed and name and name not in case.facts.allowances.runtime_classes:
        yield Problem(
            Reason.RUNTIME_CLASS,
            f"the RuntimeClass {quoted(name)}",
            "only RuntimeClasses that are allowed",
            _ASK_ADMINISTRATOR,
        )


POD_CHECKS: Final[tuple[Check, ...]] = (
    field_unknown,
    node_named,
    on_windows,
    host_processes_visible,
    processes_shared,
    processes_targeted,
    privileged,
    devices_injected_by_annotation,
    device_class_not_allowed,
    device_class_asked_for,
    runtime_class_not_allowed,
)
