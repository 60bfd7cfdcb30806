"""What this API server can do, found by asking it to pretend.

A field may stand in its documentation and still be dropped because a feature is switched off (M11),
so a Job that has them all is sent as a dry run: what comes back is what would have been stored.
"""

import logging

from weightlock_operator.api.cluster import JOBS, Cluster, Json
from weightlock_operator.api.cluster_errors import ClusterTrouble, Rejected
from weightlock_operator.decision.facts import ServerFeatures

_IMAGE = "registry.invalid/weightlock@sha256:" + "0" * 64

_log = logging.getLogger(__name__)


async def server_features(cluster: Cluster, namespace: str) -> ServerFeatures:
    """What the server would store of each of the fields."""
    indexed = await _stored(cluster, namespace, {"completionMode": "Indexed", "completions": 1})
    suspended = await _stored(cluster, namespace, {"suspend": True})
    volume: Json = {"name": "v", "image": {"reference": _IMAGE, "pullPolicy": "IfNotPresent"}}
    image = await _stored(cluster, namespace, {}, volume)
    found = ServerFeatures(
        indexed_jobs=indexed.get("completionMode") == "Indexed",
        suspended_jobs=suspended.get("suspend") is True,
        image_volumes=any("image" in each for each in _volumes(image)),
    )
    _log.info("the API server has %s", found)
    return found


async def _stored(
    cluster: Cluster, namespace: str, fields: Json, volume: Json | None = None
) -> Json:
    """The spec of a Job that was not made; nothing if it was refused."""
    job: Json = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"generateName": "feature-check-", "namespace": namespace},
        "spec": {
            **fields,
            "template": {
                "spec": {
                    "restartPolicy": "Never",
                    "containers": [{"name": "c", "image": _IMAGE}],
                    "volumes": [volume] if volume else [],
                }
            },
        },
    }
    try:
        answer = await cluster.create(JOBS, namespace, job, dry_run=True)
    except Rejected:
        return {}
    except ClusterTrouble as trouble:
        _log.warning("the API server's features are unknown: %s", trouble.message)
        return {}
    spec: Json = answer.get("spec") or {}
    return spec


def _volumes(spec: Json) -> list[Json]:
    template = (spec.get("template") or {}).get("spec") or {}
    volumes: list[Json] = template.get("volumes") or []
    return volumes
