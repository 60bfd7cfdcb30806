"""What containerd, the CNI plugins, the kubelet and kube-proxy are configured with. Pure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from e2e.cluster.components import POD_RANGE
from e2e.cluster.native.folders import Folders
from e2e.cluster.native.namespaces import NODE_ADDRESS
from e2e.cluster.pki import KeyPair
from e2e.images.programs import PAUSE_IMAGE

SOCKET = "/run/containerd/containerd.sock"
NODE_PODS = "10.244.0.0/24"


def containerd_config(folders: Folders) -> str:
    """Pods without a registry: the sandbox image is our own.

    restrict_oom_score_adj: without CAP_SYS_RESOURCE, lowering the score fails, and with it every
        sandbox.
    """
    return f"""version = 2
root = "{folders.state}/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]

[grpc]
  address = "{SOCKET}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  disable_apparmor = true

  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{folders.state}/cni"
"""


def cni_config() -> str:
    """A routed link per pod: on a bridge, replies between pods bypass the Service rules."""
    ipam = {
        "type": "host-local",
        "dataDir": "/run/cni-addresses",
        "routes": [{"dst": "0.0.0.0/0"}],
        "ranges": [[{"subnet": NODE_PODS}]],
    }
    plugins = [
        {"type": "ptp", "mtu": 1500, "ipam": ipam},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    return json.dumps({"cniVersion": "0.4.0", "name": "weightlock", "plugins": plugins})


def kubelet_config(folders: Folders, ca: Path, serving: KeyPair) -> str:
    """A kubelet that shares the machine: it changes no kernel setting and evicts nobody."""
    config: dict[str, Any] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(ca)},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(serving.certificate),
        "tlsPrivateKeyFile": str(serving.key),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": folders.cgroup,
        "enforceNodeAllocatable": [],
        "evictionHard": {},
        "failSwapOn": False,
        "imageGCHighThresholdPercent": 100,  # an image that is removed cannot be pulled again
        "oomScoreAdj": 0,
        # complain instead of writing; see namespaces.KERNEL_SETTINGS
        "protectKernelDefaults": True,
        "readOnlyPort": 0,
        "resolvConf": "",
        "nodeStatusUpdateFrequency": "1s",  # ready within a second of being ready
        "syncFrequency": "10s",
        "fileCheckFrequency": "10s",
    }
    return json.dumps(config, indent=2)


def kubelet(folders: Folders, node: str) -> list[str | Path]:
    """Its command line."""
    return [
        "/opt/kubernetes/kubelet",
        f"--config={folders.state}/kubelet.json",
        f"--kubeconfig={folders.node_kubeconfig('kubelet')}",
        f"--root-dir={folders.state}/kubelet",
        f"--hostname-override={node}",
        f"--node-ip={NODE_ADDRESS}",
        "--container-runtime=remote",
        f"--container-runtime-endpoint=unix://{SOCKET}",
    ]


def kube_proxy(folders: Folders, node: str) -> list[str | Path]:
    """The iptables mode; the machine's connection tracking table keeps its size."""
    return [
        "/opt/kubernetes/kube-proxy",
        f"--kubeconfig={folders.node_kubeconfig('kube-proxy')}",
        f"--hostname-override={node}",
        f"--cluster-cidr={POD_RANGE}",
        "--proxy-mode=iptables",
        "--conntrack-max-per-core=0",
        "--conntrack-tcp-timeout-established=0",
        "--conntrack-tcp-timeout-close-wait=0",
        "--oom-score-adj=0",
    ]
