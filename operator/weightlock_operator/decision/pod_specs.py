"""What a verifying pod comes down to once everything is left out that may rightly change.

Between a Job's template and the pod that ran, the scheduler, the Job controller and admission each
add something. Whatever of that cannot alter which bytes are read, or by which program, is left out;
everything else must be the same to the letter, or the pod's report does not count (A07).
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Final

from weightlock.errors import Malformed

POD_SPEC_TAG: Final = b"weightlock/pod-spec/v1\x00"

PLACED_BY_OTHERS: Final = frozenset(
    {
        "hostname",  # the Job controller: the index of a shard
        "imagePullSecrets",  # the ServiceAccount's; images are named by digest
        "nodeName",  # the scheduler
        "nodeSelector",  # PodNodeSelector, RuntimeClass, Kueue; a pinned node is in affinity
        "overhead",  # RuntimeClass
        "preemptionPolicy",  # Priority, as the two below
        "priority",
        "priorityClassName",
        "resources",  # of the pod as a whole, from newer LimitRanges
        "schedulingGates",
        "serviceAccount",  # the old name of serviceAccountName, which stays in
        "tolerations",  # DefaultTolerationSeconds and others
    }
)
"""What may differ: where and with what urgency a pod runs, never what it runs or reads."""

_AMOUNTS: Final = frozenset({"limits", "requests"})
"""LimitRanges add to them. Claims of devices stay in: their drivers may add mounts (B21)."""

_INDEX: Final = "batch.kubernetes.io/job-completion-index"
_INDEX_VARIABLE: Final = "JOB_COMPLETION_INDEX"
_INDEX_PATHS: Final = (f"metadata.annotations['{_INDEX}']", f"metadata.labels['{_INDEX}']")


def pod_spec_hash(spec: Mapping[str, object]) -> str:
    """The hash of a pod's spec, or of a template's, as the API server shows it.

    Raises:
        Malformed: for what is not plain JSON.
    """
    return hashlib.sha256(POD_SPEC_TAG + _text(_kept(spec)).encode()).hexdigest()


def changed_fields(sent: Mapping[str, object], found: Mapping[str, object]) -> tuple[str, ...]:
    """The fields that make two pod specs different ones; none if they have the same hash.

    Raises:
        Malformed: for what is not plain JSON.
    """
    ours, theirs = _kept(sent), _kept(found)
    return tuple(
        key
        for key in sorted(ours.keys() | theirs.keys())
        if _text(ours.get(key)) != _text(theirs.get(key))
    )


def _kept(spec: Mapping[str, object]) -> dict[str, object]:
    return {
        key: _containers(value) if key.endswith("ontainers") else _volumes(key, value)
        for key, value in spec.items()
        if key not in PLACED_BY_OTHERS and value is not None
    }


def _text(value: object) -> str:
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise Malformed("a pod spec that is not plain JSON") from error


def _containers(value: object) -> object:
    if not isinstance(value, list):
        return value
    return [_container(each) if isinstance(each, Mapping) else each for each in value]


def _volumes(key: str, value: object) -> object:
    """Volumes without the pull policy of images, which are named by digest like the verifier's."""
    if key != "volumes" or not isinstance(value, list):
        return value
    return [_volume(each) for each in value]


def _volume(volume: object) -> object:
    image = volume.get("image") if isinstance(volume, Mapping) else None
    if not isinstance(volume, Mapping) or not isinstance(image, Mapping):
        return volume
    return {**volume, "image": {key: image[key] for key in image if key != "pullPolicy"}}


def _container(container: Mapping[str, object]) -> dict[str, object]:
    kept = dict(container)
    # AlwaysPullImages sets it. The image is named by its digest, and its id is looked at (F01).
    kept.pop("imagePullPolicy", None)
    resources = kept.get("resources")
    if isinstance(resources, Mapping):
        kept["resources"] = {key: value for key, value in resources.items() if key not in _AMOUNTS}
    variables = kept.get("env")
    if isinstance(variables, list):
        kept["env"] = [each for each in variables if not _is_index(each)]
    if not kept.get("env"):
        kept.pop("env", None)
    return kept


def _is_index(variable: object) -> bool:
    """Whether it is the variable that the Job controller adds for an index, exactly as it does."""
    return any(
        variable
        in (
            {"name": _INDEX_VARIABLE, "valueFrom": {"fieldRef": {"fieldPath": path}}},
            {
                "name": _INDEX_VARIABLE,
                "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}},
            },
        )
        for path in _INDEX_PATHS
    )
