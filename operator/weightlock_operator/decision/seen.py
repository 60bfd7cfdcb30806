"""What the API server shows of verification Jobs and their pods, read strictly at the border.

Both live in a namespace of others, so nothing in them is believed;
weightlock_operator.decision.reports says what a report must come with to count.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from weightlock.cluster_names import CHECKPOINT_UID_LABEL, MANAGED_BY, MANAGED_BY_LABEL
from weightlock.cluster_names import VERIFICATION_LABEL as NONCE_LABEL
from weightlock.errors import Malformed
from weightlock.injection import injects
from weightlock.policy import scalars
from weightlock.policy.checkpoints import KIND
from weightlock.policy.fields import Fields
from weightlock_operator.decision.pod_specs import pod_spec_hash

INDEX_ANNOTATION: Final = "batch.kubernetes.io/job-completion-index"
_INDEX: Final = re.compile("[0-9]{1,9}")
_MOST: Final = 2**31


@dataclass(frozen=True, slots=True)
class SeenJob:
    """A Job that carries our label."""

    name: str
    uid: str
    checkpoint_uid: str
    """That of its owner, not of its label."""

    nonce: str
    is_ours_by_label: bool
    created_at: datetime
    template_hash: str
    completions: int = 1
    is_suspended: bool = False
    started_at: datetime | None = None
    """When its controller took it up, after a suspension anew."""

    suspended_at: datetime | None = None
    finished_at: datetime | None = None
    failure: str = ""
    """The reason of its condition Failed, "" if it has none."""

    message: str = ""

    @property
    def is_finished(self) -> bool:
        """Whether it runs no more."""
        return self.finished_at is not None or bool(self.failure)

    @classmethod
    def from_object(cls, value: object) -> "SeenJob":
        """Read a Job.

        Raises:
            Malformed: for what the API server would not have sent.
        """
        root = Fields(value, "job", None, Malformed)
        metadata = root.section("metadata", None)
        labels = metadata.section("labels", None)
        spec = root.section("spec", None)
        failed, complete = _condition(root, "Failed"), _condition(root, "Complete")
        over, suspended = failed or complete, _condition(root, "Suspended")
        return cls(
            name=metadata.text("name", str),
            uid=metadata.text("uid", str),
            checkpoint_uid=_controller(metadata, KIND),
            nonce=labels.text_or(NONCE_LABEL, str, ""),
            is_ours_by_label=labels.text_or(MANAGED_BY_LABEL, str, "") == MANAGED_BY
            and labels.has(CHECKPOINT_UID_LABEL),
            created_at=metadata.text("creationTimestamp", scalars.moment),
            template_hash=pod_spec_hash(template_spec(value)),
            completions=spec.integer_or("completions", 0, _MOST, 1),
            is_suspended=spec.boolean_or("suspend", default=False),
            started_at=root.section("status", None).optional_text("startTime", scalars.moment),
            suspended_at=suspended.optional_text("lastTransitionTime", scalars.moment)
            if suspended
            else None,
            finished_at=over.optional_text("lastTransitionTime", scalars.moment) if over else None,
            failure=(failed.text_or("reason", str, "") or "Failed") if failed else "",
            message=failed.text_or("message", str, "") if failed else "",
        )


@dataclass(frozen=True, slots=True)
class SeenContainer:
    """The state of a container: `exit_code` is None until it has ended."""

    image_id: str = ""
    restarts: int = 0
    exit_code: int | None = None
    reason: str = ""
    """Why it waits, or why it ended."""

    message: str = ""


@dataclass(frozen=True, slots=True)
class SeenPod:
    """A pod that a verification Job made, or that says so."""

    name: str
    uid: str
    job_uid: str
    nonce: str
    created_at: datetime
    spec_hash: str
    accepted_at: datetime | None = None
    """When the kubelet of its node took it up."""

    phase: str = "Pending"
    index: int | None = None
    node: str = ""
    reason: str = ""
    message: str = ""
    unschedulable: str = ""
    """What the scheduler says, "" if it has not refused."""

    containers: tuple[SeenContainer, ...] = ()
    has_others: bool = False
    """Whether an init or ephemeral container is, or ever was, in it."""

    is_injected: bool = False
    """Whether an annotation asks the container runtime for devices and mounts of its own (B21)."""

    @property
    def is_over(self) -> bool:
        """Whether it runs no more."""
        return self.phase in ("Succeeded", "Failed")

    @classmethod
    def from_object(cls, value: object) -> "SeenPod":
        """Read a pod.

        Raises:
            Malformed: for what the API server would not have sent.
        """
        root = Fields(value, "pod", None, Malformed)
        metadata, status = root.section("metadata", None), root.section("status", None)
        spec = root.section("spec", None)
        annotations = metadata.section("annotations", None)
        keys = metadata.mapping("annotations") if metadata.has("annotations") else {}
        index = annotations.text_or(INDEX_ANNOTATION, str, "")
        scheduled = _condition(root, "PodScheduled", "False")
        others = ("initContainerStatuses", "ephemeralContainerStatuses")
        return cls(
            name=metadata.text("name", str),
            uid=metadata.text("uid", str),
            job_uid=_controller(metadata, "Job"),
            nonce=metadata.section("labels", None).text_or(NONCE_LABEL, str, ""),
            created_at=metadata.text("creationTimestamp", scalars.moment),
            spec_hash=pod_spec_hash(root.mapping("spec")),
            accepted_at=status.optional_text("startTime", scalars.moment),
            phase=status.text_or("phase", str, "Pending"),
            index=int(index) if _INDEX.fullmatch(index) else None,
            node=spec.text_or("nodeName", str, ""),
            reason=status.text_or("reason", str, ""),
            message=status.text_or("message", str, ""),
            unschedulable=scheduled.text_or("message", str, "") if scheduled else "",
            containers=tuple(map(_container, status.sections("containerStatuses", None))),
            has_others=any(status.items(key) for key in others)
            or any(spec.items(key) for key in ("initContainers", "ephemeralContainers")),
            is_injected=any(map(injects, keys)),
        )


def template_spec(job: object) -> Mapping[str, object]:
    """The pod spec of a Job's template.

    Raises:
        Malformed: if it has none.
    """
    spec = Fields(job, "job", None, Malformed).section("spec", None)
    return spec.section("template", None).mapping("spec")


def _container(status: Fields) -> SeenContainer:
    state = status.section("state", None)
    ended, waiting = state.section("terminated", None), state.section("waiting", None)
    has_ended = state.has("terminated")
    told = ended if has_ended else waiting
    return SeenContainer(
        image_id=status.text_or("imageID", str, ""),
        restarts=status.integer_or("restartCount", 0, _MOST, 0),
        exit_code=ended.integer("exitCode", -_MOST, _MOST) if has_ended else None,
        reason=told.text_or("reason", str, ""),
        message=told.text_or("message", str, ""),
    )


def _condition(root: Fields, kind: str, status: str = "True") -> Fields | None:
    for condition in root.section("status", None).sections("conditions", None):
        if (condition.text("type", str), condition.text("status", str)) == (kind, status):
            return condition
    return None


def _controller(metadata: Fields, kind: str) -> str:
    """The uid of the owner that controls the object, if it is of that kind; else ""."""
    for owner in metadata.sections("ownerReferences", None):
        if owner.boolean_or("controller", default=False) and owner.text("kind", str) == kind:
            return owner.text("uid", str)
    return ""
