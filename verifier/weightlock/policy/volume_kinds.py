"""The volume sources of core/v1 that a pod names in its own spec, sorted by what lies behind them.

The webhook reads mounts by this, and the operator finds writers by it. A test compares it with the
published schemas of every Kubernetes release.
"""

from collections.abc import Mapping
from typing import Final

CLAIM: Final = "persistentVolumeClaim"
EPHEMERAL: Final = "ephemeral"

CLAIMED: Final = frozenset({CLAIM, EPHEMERAL})
"""Storage behind a claim of the pod's namespace."""

INLINE_WITH_READ_ONLY: Final = frozenset(
    {
        "awsElasticBlockStore",
        "azureDisk",
        "azureFile",
        "cephfs",
        "cinder",
        "csi",
        "fc",
        "flexVolume",
        "gcePersistentDisk",
        "glusterfs",
        "iscsi",
        "nfs",
        "portworxVolume",
        "quobyte",
        "rbd",
        "scaleIO",
        "storageos",
    }
)
INLINE_WITHOUT_READ_ONLY: Final = frozenset(
    {"flocker", "gitRepo", "photonPersistentDisk", "vsphereVolume"}
)
INLINE: Final = INLINE_WITH_READ_ONLY | INLINE_WITHOUT_READ_ONLY
"""Storage that the pod itself describes, without a claim."""

OWN: Final[Mapping[str, str]] = {
    "configMap": "shows an object of the API server",
    "downwardAPI": "shows the pod's own fields",
    "emptyDir": "is made for the pod, and goes with it",
    "gitRepo": "is an emptyDir that a clone is put into",
    "image": "is mounted to be read, and what lies in it is named by a digest",
    "projected": "shows objects of the API server",
    "secret": "shows an object of the API server",
}
"""Sources through which no pod writes to bytes that another one sees, and why."""


def may_be_shared(kind: str) -> bool:
    """Whether what a pod writes there may be seen by others; so it is of a kind nobody knows."""
    return kind not in OWN
