"""What must be there before a replica can work: its rights, and the custom resources."""

import logging
from typing import Final

from weightlock.names import API_GROUP
from weightlock_operator.api import permissions
from weightlock_operator.api.cluster import CHECKPOINTS, CLUSTER_POLICIES, POLICIES, Cluster
from weightlock_operator.api.cluster_errors import NotFound

_KINDS: Final = (CHECKPOINTS, POLICIES, CLUSTER_POLICIES)

_log = logging.getLogger(__name__)


async def unusable(cluster: Cluster, namespace: str) -> str:
    """What keeps the operator from working here, in one sentence; "" for nothing.

    Raises:
        ClusterTrouble: it could not be asked.
    """
    return await _rights_missing(cluster, namespace) or await _kinds_missing(cluster)


async def _rights_missing(cluster: Cluster, namespace: str) -> str:
    missing = await permissions.missing(cluster, namespace)
    for question in missing:
        if question.optional:
            _log.warning("no right to %s; it is done without", question)
    needed = [str(question) for question in missing if not question.optional]
    return (
        f"the account may not {'; '.join(needed)}. Apply the role of this version" if needed else ""
    )


async def _kinds_missing(cluster: Cluster) -> str:
    try:
        document = await cluster.document(f"/apis/{CHECKPOINTS.api_version}")
    except NotFound:
        document = {}
    served = {each.get("name") for each in document.get("resources") or []}
    absent = [kind.plural for kind in _KINDS if kind.plural not in served]
    return f"not served: {', '.join(absent)} of {API_GROUP}; apply crds/" if absent else ""
