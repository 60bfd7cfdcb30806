"""Putting a container first that verifies what the pod mounts, and lets the pod start only then.

Weaker than denying: it runs in a pod that somebody else wrote (A27). What makes it hold:

1. it comes before every other container, and every mount of the volume is read-only
2. it is told everything by its arguments; no environment, file or object of the tenant reaches it
3. its image is named by digest, and it has no rights
4. later edits are refused (A16), and what the stored pod has is compared with what belongs there
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from weightlock.digests import HashAlgorithm
from weightlock.errors import LimitExceeded
from weightlock.policy.composition import Composition
from weightlock.policy.requirements import SignatureRequirements
from weightlock.policy.spec import Enforcement
from weightlock.reporting import Gate, ReadingLimits, Request, request_arguments
from weightlock_webhook.decision.answers import Answer, Outcome
from weightlock_webhook.decision.governance import Demand, Governance
from weightlock_webhook.guards.pods import INJECTED_PREFIX
from weightlock_webhook.mutation.shapes import objects_of, part_of
from weightlock_webhook.reviews.collaborators import PatchOperation

NAME_PREFIX: Final = INJECTED_PREFIX
MOST_INJECTED: Final = 8
"""Containers for one pod; a pod that mounts more unverified paths is refused."""

FOLDER: Final = "/checkpoint"
USER: Final = 65532
"""Whom the images run as; nobody in particular on a node."""

TOKEN_FOLDER: Final = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a folder
"""Where the API server itself mounts a token into every container."""

_NONCE_DIGITS: Final = 32
_MAY_DIFFER: Final = frozenset({"resources", "volumeMounts", "securityContext"})
"""Fields that other admission plugins complete; what may be added to them is checked one by one."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one container verifies: a path of a volume, and under which policies."""

    volume: str
    path: str
    demands: tuple[Demand, ...]
    model_name: str | None = None
    version_floor: int = 0


def wanted_of(answer: Answer, governance: Governance) -> tuple[Wanted, ...]:
    """What has to be verified in the pod, once for each path, in a fixed order."""
    demands = {demand.policy.origin: demand for view in governance.views for demand in view.demands}
    origins: dict[tuple[str, str], set[str]] = {}
    for objection in answer.objections:
        if objection.outcome is Outcome.INJECT:
            problem = objection.problem
            origins.setdefault((problem.volume, problem.path or "/"), set()).update(
                objection.policies
            )
    return tuple(
        Wanted(volume, path, tuple(_enforced(demands, found)))
        for (volume, path), found in sorted(origins.items())
    )


def _enforced(demands: Mapping[str, Demand], origins: set[str]) -> Iterator[Demand]:
    for origin in sorted(origins):
        demand = demands.get(origin)
        if demand and demand.policy.spec.enforcement is Enforcement.ENFORCE:
            yield demand


def containers_for(wanted: Sequence[Wanted], image: str) -> tuple[Mapping[str, object], ...]:
    """The containers to inject.

    Raises:
        LimitExceeded: before any of them is made, if they would be too many.
        WeightlockError: if any of it cannot be asked of a container.
    """
    if len(wanted) > MOST_INJECTED:
        raise LimitExceeded(
            f"the pod mounts {len(wanted)} unverified paths, at most {MOST_INJECTED} can be"
            " verified inside a pod"
        )
    return tuple(_container(index, each, image) for index, each in enumerate(wanted))


def injecting_patch(
    spec: Mapping[str, object], containers: Sequence[Mapping[str, object]]
) -> list[PatchOperation]:
    """What puts the containers first; others that go by their names are thrown out."""
    present = objects_of(spec, "initContainers")
    if not present:
        return [{"op": "add", "path": "/spec/initContainers", "value": list(containers)}]
    patch: list[PatchOperation] = [
        {"op": "remove", "path": f"/spec/initContainers/{index}"}
        for index in reversed(range(len(present)))
        if _is_named_like_ours(present[index])
    ]
    if len(patch) == len(present):
        return [*patch, {"op": "add", "path": "/spec/initContainers", "value": list(containers)}]
    return patch + [
        {"op": "add", "path": "/spec/initContainers/0", "value": container}
        for container in reversed(containers)
    ]


def not_injected(spec: Mapping[str, object], containers: Sequence[Mapping[str, object]]) -> str:
    """What a pod lacks that must be injected, as a sentence; empty if nothing."""
    if not containers:
        return "The pod mounts no unverified path that a container could verify."
    present = objects_of(spec, "initContainers")[: len(containers)]
    if len(present) < len(containers):
        return "The containers that must verify the pod's volumes are missing."
    for found, expected in zip(present, containers, strict=True):
        if not _is_ours(found, expected):
            return (
                f"The container {expected['name']} that must verify the pod's volumes first is"
                " missing, not in its place, or changed."
            )
    return ""


def injected_changed(before: Mapping[str, object], after: Mapping[str, object]) -> str:
    """What an update changed of injected containers, as a sentence; empty if nothing."""
    had = objects_of(part_of(before, "spec"), "initContainers")
    has = objects_of(part_of(after, "spec"), "initContainers")
    for index, container in enumerate(had):
        if _is_named_like_ours(container) and (index >= len(has) or has[index] != container):
            return f"The container {container['name']}, which verifies the pod's volumes, changed."
    return ""


def _container(index: int, wanted: Wanted, image: str) -> Mapping[str, object]:
    mount: dict[str, object] = {"name": wanted.volume, "mountPath": FOLDER, "readOnly": True}
    if wanted.path != "/":
        mount["subPath"] = wanted.path.removeprefix("/")
    arguments = request_arguments(_request(wanted))
    # Everything that the server would fill in is said, so that the stored one can be compared.
    return {
        "name": f"{NAME_PREFIX}{index}",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["weightlock", "report", FOLDER, "--gate", *arguments],
        "resources": {
            "requests": {"cpu": "500m", "memory": "512Mi"},
            "limits": {"memory": "2Gi"},
        },
        "volumeMounts": [mount],
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "privileged": False,
            "readOnlyRootFilesystem": True,
            "runAsGroup": USER,
            "runAsNonRoot": True,
            "runAsUser": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }


def _request(wanted: Wanted) -> Request:
    requirements = tuple(demand.requirements for demand in wanted.demands)
    limits = Composition.of(demand.policy for demand in wanted.demands).limits
    return Request(
        nonce=_nonce(wanted),
        limits=ReadingLimits(limits.max_files, limits.max_bytes),
        allowed_hashes=_hashes(requirements),
        gate=Gate(requirements, wanted.model_name, wanted.version_floor),
    )


def _hashes(requirements: Sequence[SignatureRequirements]) -> frozenset[HashAlgorithm]:
    return frozenset(HashAlgorithm).intersection(*(each.allowed_digests for each in requirements))


def _nonce(wanted: Wanted) -> str:
    """The same for the same question: nobody collects this report, and the pod is compared."""
    text = "\0".join((wanted.volume, wanted.path))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_NONCE_DIGITS]


def _is_named_like_ours(container: Mapping[str, object]) -> bool:
    name = container.get("name")
    return isinstance(name, str) and name.startswith(NAME_PREFIX)


def _is_ours(found: Mapping[str, object], expected: Mapping[str, object]) -> bool:
    if found.keys() != expected.keys():
        return False
    if any(found[key] != expected[key] for key in expected.keys() - _MAY_DIFFER):
        return False
    return _only_token_added(found, expected) and _only_defaults_added(found, expected)


def _only_token_added(found: Mapping[str, object], expected: Mapping[str, object]) -> bool:
    mounts = [
        mount
        for mount in objects_of(found, "volumeMounts")
        if mount.get("mountPath") != TOKEN_FOLDER
    ]
    return mounts == list(objects_of(expected, "volumeMounts"))


def _only_defaults_added(found: Mapping[str, object], expected: Mapping[str, object]) -> bool:
    context = {
        key: value
        for key, value in part_of(found, "securityContext").items()
        if (key, value) != ("procMount", "Default")
    }
    return context == part_of(expected, "securityContext")
