"""The components of a native cluster, in the order in which they start."""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from e2e.cluster import components
from e2e.cluster.api import Api, ApiError, Json
from e2e.cluster.components import (
    FIRST_SERVICE_ADDRESS,
    ApiServerOptions,
    ControlPlaneFiles,
    EtcdAddresses,
)
from e2e.cluster.errors import StepFailed, TimedOut
from e2e.cluster.kubeconfig import write_kubeconfig
from e2e.cluster.native import node_files
from e2e.cluster.native.folders import Folders
from e2e.cluster.native.inside import APISERVER_PORT
from e2e.cluster.native.namespaces import NODE_ADDRESS
from e2e.cluster.pki import Authority, KeyPair
from e2e.cluster.ports import LOOPBACK
from e2e.cluster.supervised import Supervised
from e2e.cluster.tenants import pods_are_welcome
from e2e.cluster.waiting import wait_until

PROGRAMS = Path("/opt/kubernetes")
ETCD = EtcdAddresses(f"http://{LOOPBACK}:2379", f"http://{LOOPBACK}:2380")
COMPONENT_SECONDS = 60.0
LOAD_SECONDS = 300.0

# The kubelet's and the components' identities, as RBAC's built-in bindings expect them.
USERS = {
    "kube-controller-manager": ("system:kube-controller-manager",),
    "kube-scheduler": ("system:kube-scheduler",),
    "kube-proxy": ("system:kube-proxy",),
}


class NodeCluster:
    """One control plane and one node behind a supervisor."""

    def __init__(self, folders: Folders, supervised: Supervised, port: int) -> None:
        self._folders = folders
        self._supervised = supervised
        self._port = port

    @property
    def node(self) -> str:
        """The node's name."""
        return f"{self._folders.name}-node"

    def steps(self, program_images: Path) -> Iterator[tuple[str, Callable[[], None]]]:
        """What `up` does, each with the words to show."""
        yield "Making certificates and configuration", self._write_files
        yield "Starting etcd", self._start_etcd
        yield "Starting the API server", self.start_apiserver
        yield (
            "Starting the controllers, the scheduler and the Service proxy",
            self._start_controllers,
        )
        yield "Starting containerd", self._start_containerd
        yield "Loading the images of the test programs", lambda: self.load(program_images)
        yield "Starting the kubelet and waiting for a ready node", self._start_kubelet

    def start_apiserver(self) -> None:
        """Start the API server and wait until it is ready."""
        options = ApiServerOptions(NODE_ADDRESS, NODE_ADDRESS, APISERVER_PORT, ETCD.client)
        program = PROGRAMS / "kube-apiserver"
        self._supervised.start(program.name, components.apiserver(program, self._files, options))
        self._await(program.name, self._api.answers)

    def load(self, archive: Path) -> None:
        """Import an archive into containerd, through the one folder that the node sees too."""
        visible = self._folders.state / "load.tar"
        visible.unlink(missing_ok=True)
        try:
            visible.hardlink_to(archive)
        except OSError:  # another file system
            shutil.copyfile(archive, visible)
        address = ["--address", node_files.SOCKET, "--namespace", "k8s.io"]
        self._run("ctr-import", ["ctr", *address, "images", "import", visible])
        visible.unlink()

    def _write_files(self) -> None:
        folders = self._folders
        authority = Authority(folders.pki, datetime.datetime.now(tz=datetime.UTC))  # noqa: TID251 the edge
        authority.server("kube-apiserver", LOOPBACK, NODE_ADDRESS, FIRST_SERVICE_ADDRESS)
        authority.client("kubelet-client", "kube-apiserver", "system:masters")
        authority.signing_key("service-account")
        self._write_kubeconfigs(authority)
        (folders.state / "cni").mkdir()
        (folders.state / "cni" / "10-weightlock.conflist").write_text(node_files.cni_config())
        (folders.state / "containerd.toml").write_text(node_files.containerd_config(folders))
        serving = authority.server("kubelet", self.node, NODE_ADDRESS)
        config = node_files.kubelet_config(folders, authority.certificate, serving)
        (folders.state / "kubelet.json").write_text(config)

    def _write_kubeconfigs(self, authority: Authority) -> None:
        context = f"weightlock-{self._folders.name}"
        write_kubeconfig(
            self._folders.kubeconfig,
            context=context,
            server=f"https://{LOOPBACK}:{self._port}",
            ca=authority.certificate,
            client=authority.client("admin", "weightlock-admin", "system:masters"),
        )
        users = {**USERS, "kubelet": (f"system:node:{self.node}", "system:nodes")}
        for component, identity in users.items():
            write_kubeconfig(
                self._folders.node_kubeconfig(component),
                context=context,
                server=f"https://{NODE_ADDRESS}:{APISERVER_PORT}",
                ca=authority.certificate,
                client=authority.client(component, *identity),
            )

    def _start_etcd(self) -> None:
        argv = components.etcd(PROGRAMS / "etcd", self._folders.state, ETCD)
        self._supervised.start("etcd", argv)

    def _start_controllers(self) -> None:
        start = self._supervised.start
        kubeconfig = self._folders.node_kubeconfig
        manager = PROGRAMS / "kube-controller-manager"
        minor = int(self._api.get("/version")["minor"].rstrip("+"))
        start(
            manager.name,
            components.controller_manager(manager, self._files, kubeconfig(manager.name), minor),
        )
        scheduler = PROGRAMS / "kube-scheduler"
        start(scheduler.name, components.scheduler(scheduler, kubeconfig(scheduler.name)))
        start("kube-proxy", node_files.kube_proxy(self._folders, self.node))

    def _start_containerd(self) -> None:
        config = self._folders.state / "containerd.toml"
        self._supervised.start("containerd", ["containerd", "--config", config])
        wait_until(
            "containerd answers", self._containerd_answers, timeout_seconds=COMPONENT_SECONDS
        )

    def _containerd_answers(self) -> bool:
        self._supervised.expect_running("containerd")
        try:
            self._run("ctr-version", ["ctr", "--address", node_files.SOCKET, "version"])
        except StepFailed:
            return False
        return True

    def _start_kubelet(self) -> None:
        self._supervised.start("kubelet", node_files.kubelet(self._folders, self.node))
        self._await("kubelet", self._node_is_ready)
        self._await("kube-controller-manager", self._pods_are_welcome)

    def _node_is_ready(self) -> bool:
        try:
            node = self._api.get(f"/api/v1/nodes/{self.node}")
        except ApiError:
            return False
        return _is_ready(node) and not node["spec"].get("taints")

    def _pods_are_welcome(self) -> bool:
        return pods_are_welcome(self._api, "default")

    def _run(self, name: str, argv: list[str | Path]) -> None:
        """Run a command in the node to its end."""
        self._supervised.start(name, argv)

        def ended() -> bool:
            return self._supervised.status()[name]["exit"] is not None

        wait_until(f"{name} ends", ended, timeout_seconds=LOAD_SECONDS)
        status = self._supervised.status()[name]["exit"]
        if status:
            raise StepFailed(f"{name} exited {status}", self._folders.logs / f"{name}.log")

    def _await(self, component: str, ready: Callable[[], bool]) -> None:
        def ready_or_dead() -> bool:
            self._supervised.expect_running(component)
            return ready()

        try:
            wait_until(f"{component} is ready", ready_or_dead, timeout_seconds=COMPONENT_SECONDS)
        except TimedOut as error:
            log = self._folders.logs / f"{component}.log"
            raise StepFailed(f"{component} did not become ready", log) from error

    @property
    def _api(self) -> Api:
        return Api.from_kubeconfig(self._folders.kubeconfig)

    @property
    def _files(self) -> ControlPlaneFiles:
        def pair(name: str) -> KeyPair:
            return KeyPair(self._folders.pki / f"{name}.crt", self._folders.pki / f"{name}.key")

        return ControlPlaneFiles(
            ca=pair("ca"),
            server=pair("kube-apiserver"),
            kubelet_client=pair("kubelet-client"),
            service_account_key=self._folders.pki / "service-account.key",
        )


def _is_ready(node: Json) -> bool:
    conditions = node.get("status", {}).get("conditions", [])
    return any(
        condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions
    )
