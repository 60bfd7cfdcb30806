"""Whether a pod is one that the Job controller made of a verification Job, and nothing else.

Such a pod is let in without a verdict: it is there to reach one. So the proof is complete or there
is none (A15):

1. the Job controller makes it, and no person
2. its controller is a Job of the same uid, found live, with the same marks
3. the Job is one that the operator made: it carries the marks, and a ModelCheckpoint owns it
4. the pod's spec is the Job's template, and beyond it only what the API server's own plugins add
5. it runs a verifier's image, if this installation names them, and mounts claims read-only
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from weightlock.names import API_GROUP
from weightlock.policy.checkpoints import KIND as CHECKPOINT_KIND
from weightlock_webhook.documents import Metadata, OwnerReference, User
from weightlock_webhook.guards.keys import MARKS, is_marked
from weightlock_webhook.guards.refusals import GuardReason, Refusal
from weightlock_webhook.guards.users import is_job_controller

ADDED_TO_PODS: Final = frozenset(
    {
        "dnsPolicy",
        "enableServiceLinks",
        "hostname",
        "overhead",
        "preemptionPolicy",
        "priority",
        "priorityClassName",
        "restartPolicy",
        "schedulerName",
        "securityContext",
        "serviceAccount",
        "serviceAccountName",
        "subdomain",
        "terminationGracePeriodSeconds",
    }
)
"""What defaults, priorities, quotas, taints and the Job controller may add where a template is
silent. None of them reaches storage or replaces a program."""

GROWING: Final = frozenset({"tolerations", "imagePullSecrets"})
"""Lists that plugins append to; `nodeSelector` is a map that they add to."""

ADDED_TO_CONTAINERS: Final = frozenset(
    {"imagePullPolicy", "resources", "terminationMessagePath", "terminationMessagePolicy"}
)
INDEX_VARIABLE: Final = "JOB_COMPLETION_INDEX"
_CONTAINERS: Final = ("containers", "initContainers")


def job_of(pod: Metadata) -> OwnerReference | None:
    """The Job that a pod says controls it."""
    for owner in pod.owner_references or ():
        if owner.controller and owner.kind == "Job" and owner.group == "batch":
            return owner
    return None


@dataclass(frozen=True, slots=True)
class Claimed:
    """A pod with our marks, who makes it, and the Job that it names, if there is one.

    `images` are the verifiers' of this installation; none means that it does not say.
    """

    user: User
    metadata: Metadata
    spec: Mapping[str, object]
    job: Metadata | None
    job_spec: Mapping[str, object]
    images: frozenset[str] = frozenset()


def not_a_verification(claimed: Claimed) -> Refusal | None:
    """A pod with our marks that is not what they say."""
    wrong = next(_wrongs(claimed), "")
    return _not(wrong) if wrong else None


def _wrongs(claimed: Claimed) -> Iterator[str]:
    """In the order of the module's steps: each relies on those before it."""
    # (1) who makes it
    if not is_job_controller(claimed.user):
        yield "only the Job controller makes such pods"
    # (2) its Job, live
    owner, job = job_of(claimed.metadata), claimed.job or Metadata()
    if owner is None or job.uid != owner.uid:
        yield "its Job was not found"
    if any(_label(job, mark) != _label(claimed.metadata, mark) for mark in MARKS):
        yield "it and its Job carry different labels"
    # (3) who made the Job
    if not is_marked(job) or not _is_owned_by_checkpoint(job):
        yield "its Job is not one of the operator's"
    # (4) nothing but the template
    template = _mapping(_mapping(claimed.job_spec.get("template")).get("spec"))
    difference = differing_field(claimed.spec, template)
    if difference:
        yield f"its {difference} is not what its Job's template says"
    # (5) our program, reading only
    if claimed.images and not set(_images(claimed.spec)) <= claimed.images:
        yield "it runs another image than the verifiers'"
    if _writes(claimed.spec):
        yield "it mounts a claim for writing"


def differing_field(spec: Mapping[str, object], template: Mapping[str, object]) -> str:
    """The first field in which a pod is more or less than its template allows; "" for none."""
    if not template:
        return "spec"
    for key in sorted(spec.keys() | template.keys()):
        if not _agrees(key, spec.get(key), template.get(key)):
            return key
    return ""


def _agrees(key: str, found: object, expected: object) -> bool:
    if found == expected:
        return True
    if key in _CONTAINERS:
        return _containers_agree(found, expected)
    if key in GROWING:
        return all(each in _list(found) for each in _list(expected))
    if key == "nodeSelector":
        return _mapping(expected).items() <= _mapping(found).items()
    return key in ADDED_TO_PODS and expected in (None, {}, "")


def _containers_agree(found: object, expected: object) -> bool:
    have, want = _list(found), _list(expected)
    return len(have) == len(want) and all(
        _container_agrees(_mapping(one), _mapping(other))
        for one, other in zip(have, want, strict=True)
    )


def _container_agrees(found: Mapping[str, object], expected: Mapping[str, object]) -> bool:
    for key in found.keys() | expected.keys():
        if found.get(key) == expected.get(key):
            continue
        if key == "env" and _only_index_added(found.get(key), expected.get(key)):
            continue
        if key in ADDED_TO_CONTAINERS and expected.get(key) in (None, {}, ""):
            continue
        return False
    return True


def _only_index_added(found: object, expected: object) -> bool:
    """What the controller of an Indexed Job adds, and nothing else."""
    added = [each for each in _list(found) if each not in _list(expected)]
    kept = [each for each in _list(found) if each in _list(expected)]
    return kept == _list(expected) and all(
        _mapping(each).get("name") == INDEX_VARIABLE for each in added
    )


def _writes(spec: Mapping[str, object]) -> bool:
    claims = [
        _mapping(_mapping(volume).get("persistentVolumeClaim"))
        for volume in _list(spec.get("volumes"))
    ]
    return any(claim and claim.get("readOnly") is not True for claim in claims)


def _images(spec: Mapping[str, object]) -> Iterator[str]:
    for key in _CONTAINERS:
        for container in _list(spec.get(key)):
            yield str(_mapping(container).get("image"))


def _is_owned_by_checkpoint(job: Metadata) -> bool:
    return any(
        owner.controller and owner.kind == CHECKPOINT_KIND and owner.group == API_GROUP
        for owner in job.owner_references or ()
    )


def _label(metadata: Metadata, key: str) -> str | None:
    return (metadata.labels or {}).get(key)


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _not(why: str) -> Refusal:
    return Refusal(
        GuardReason.NOT_A_VERIFICATION,
        f"{GuardReason.NOT_A_VERIFICATION}: the pod carries the label {' or '.join(MARKS)}, but"
        f" {why}. Remove the labels; to have a checkpoint verified, create a ModelCheckpoint.",
    )
