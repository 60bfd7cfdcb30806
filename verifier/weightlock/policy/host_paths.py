"""Folders of a node through which one pod reaches another's volumes, or the node itself.

No rule of a policy opens them (A13). A path is compared as it is written: a bind mount of the same
folder elsewhere has another name, which nobody can tell from a pod's spec. So the names under which
distributions keep them are here, and whoever runs a cluster with others adds those by a setting.
"""

from collections.abc import Iterable
from typing import Final

from weightlock.policy.paths import VolumePath

_FORBIDDEN: Final = (
    "/etc/kubernetes",  # static pods, which no admission sees, and the administrator's credentials
    "/home/kubernetes/containerized_mounter",  # GKE: mounts of other pods
    "/local/var",  # Bottlerocket: what /var is mounted from
    "/mnt/aks",  # AKS: /var/lib/kubelet and containerd on the temporary disk
    "/mnt/k8s-disks/0",  # EKS: /var/lib/kubelet and containerd on an array of local disks
    "/mnt/stateful_partition",  # Container-Optimized OS: what /var is mounted from
    "/ostree",
    "/proc",  # /proc/PID/root
    "/run",  # sockets of container runtimes, root file systems of containers
    "/sysroot",  # Fedora and Red Hat CoreOS: what /var is mounted from
    "/var/data/cripersistentstorage",  # IBM Cloud
    "/var/data/criorootstorage",
    "/var/data/kubelet",
    "/var/lib/containerd",
    "/var/lib/containers",
    "/var/lib/cri-dockerd",
    "/var/lib/crio",
    "/var/lib/docker",
    "/var/lib/etcd",
    "/var/lib/k0s",  # k0s: kubelet, containerd, manifests
    "/var/lib/kubelet",
    "/var/lib/minikube",
    "/var/lib/rancher",  # k3s and RKE2: agent, server, containerd, manifests
    "/var/run",
    "/var/snap/docker",
    "/var/snap/k8s",  # Canonical Kubernetes
    "/var/snap/microk8s",  # MicroK8s: common/var/lib/kubelet, containerd, credentials by revision
    "/var/vcap",  # Tanzu Kubernetes Grid Integrated: data/kubelet
)

_PROVISIONED: Final = (
    "/var/lib/rancher/k3s/storage",
    "/var/snap/microk8s/common/default-storage",
)

FORBIDDEN_HOST_PATHS: Final = tuple(map(VolumePath.parse, _FORBIDDEN))
"""What is refused, with all above and below."""

PROVISIONED_HOST_PATHS: Final = tuple(map(VolumePath.parse, _PROVISIONED))
"""Where the default provisioners of distributions make volumes, inside folders that are refused."""


def leads_to_other_pods(path: VolumePath, further: Iterable[VolumePath] = ()) -> bool:
    """Whether a path of a node is, holds, or lies in a folder that nobody may mount.

    `further` are folders that whoever runs the cluster adds. Law: more of them refuse no less.
    """
    if any(path.overlaps(each) for each in further):
        return True
    if any(each.covers(path) for each in PROVISIONED_HOST_PATHS):
        return False
    return any(path.overlaps(each) for each in FORBIDDEN_HOST_PATHS)
