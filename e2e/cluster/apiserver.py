"""An API server for a test: etcd and kube-apiserver, and the controller manager on request.

Needs no root. Everything listens on loopback or on socket files, lives in one temporary folder, and
ends with the `with` block or with the process that opened it, even when that is killed.
"""

from __future__ import annotations

import datetime
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from e2e.cluster import components
from e2e.cluster.api import Api, ApiError
from e2e.cluster.assets import Assets
from e2e.cluster.components import (
    FIRST_SERVICE_ADDRESS,
    ApiServerOptions,
    ControlPlaneFiles,
    EtcdAddresses,
)
from e2e.cluster.errors import TimedOut
from e2e.cluster.kubeconfig import write_kubeconfig
from e2e.cluster.pki import Authority, KeyPair
from e2e.cluster.ports import LOOPBACK, ReservedPort
from e2e.cluster.supervised import Owned, Supervised, tail
from e2e.cluster.tenants import Tenant, create_tenant
from e2e.cluster.waiting import wait_until

CONTEXT = "weightlock-apiserver"
STARTUP_SECONDS = 60.0


class Ports:
    """What one instance reserves."""

    def __init__(self) -> None:
        self.apiserver = ReservedPort()
        self.etcd_client = ReservedPort()
        self.etcd_peer = ReservedPort()

    @property
    def etcd(self) -> EtcdAddresses:
        """As etcd wants them."""
        return EtcdAddresses(
            f"http://{LOOPBACK}:{self.etcd_client.number}",
            f"http://{LOOPBACK}:{self.etcd_peer.number}",
        )

    def close(self) -> None:
        """Give them back."""
        for port in (self.apiserver, self.etcd_client, self.etcd_peer):
            port.close()


@dataclass(frozen=True, slots=True)
class ApiServer:
    """A running one.

    Attributes:
        folder: logs (`NAME.log`), certificates and data; gone afterwards.
        kubeconfig: cluster administrator, for kubectl and other clients.
        api: the same administrator, for the test itself.
    """

    folder: Path
    assets: Assets
    files: ControlPlaneFiles
    ports: Ports
    kubeconfig: Path
    controllers: bool
    api: Api
    supervised: Supervised
    audited: bool = False

    @property
    def audit_log(self) -> Path:
        """One JSON event a line, of everything that happens to pods, if this one is audited."""
        return self.folder / "audit.log"

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"https://{LOOPBACK}:{self.ports.apiserver.number}"

    @property
    def ca(self) -> Path:
        """What its certificate is verified with."""
        return self.files.ca.certificate

    def tenant(self, name: str = "team-a") -> Tenant:
        """Someone with edit rights in a fresh namespace."""
        return create_tenant(self.api, name, aggregated=self.controllers)

    def start_etcd(self) -> None:
        """Start etcd and wait until it listens: the API server is slow to try again."""
        program = self.assets.program("etcd")
        argv = components.etcd(program, self.folder, self.ports.etcd)
        self.supervised.start("etcd", argv)
        self._wait("etcd", self.ports.etcd_client.listens)

    def start(self) -> None:
        """Start the API server and wait until it is ready."""
        # Pods are refused until a controller has made the namespace's service account; without one,
        # nobody does.
        disabled = () if self.controllers else ("ServiceAccount",)
        options = ApiServerOptions(
            bind_address=LOOPBACK,
            advertise_address=LOOPBACK,
            port=self.ports.apiserver.number,
            etcd=self.ports.etcd.client,
            disabled_admission=disabled,
            audit_policy=self._audit_policy() if self.audited else None,
            audit_log=self.audit_log,
        )
        program = self.assets.program("kube-apiserver")
        self.supervised.start("kube-apiserver", components.apiserver(program, self.files, options))
        self._wait("kube-apiserver", self.api.answers)

    def _audit_policy(self) -> Path:
        path = self.folder / "audit-policy.yaml"
        rules = [
            {"level": "Metadata", "resources": [{"group": "", "resources": ["pods"]}]},
            {"level": "None"},
        ]
        policy = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": rules}
        path.write_text(json.dumps({**policy, "omitStages": ["RequestReceived"]}))
        return path

    def stop(self) -> None:
        """Stop the API server; etcd keeps the data."""
        self.supervised.stop("kube-apiserver")

    def start_controllers(self) -> None:
        """Start the controller manager and wait for the work that tests build upon."""
        program = self.assets.program("kube-controller-manager")
        argv = components.controller_manager(
            program, self.files, self.kubeconfig, self.assets.minor
        )
        self.supervised.start("kube-controller-manager", argv)
        self._wait("kube-controller-manager", self._controllers_work)

    def _controllers_work(self) -> bool:
        try:
            self.api.get("/api/v1/namespaces/default/serviceaccounts/default")
            roles = [
                self.api.get(f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{name}")
                for name in ("edit", "admin", "view")
            ]
        except ApiError:
            return False
        return all(role["rules"] for role in roles)

    def _wait(self, component: str, ready: Callable[[], bool]) -> None:
        def ready_or_dead() -> bool:
            self.supervised.expect_running(component)
            return ready()

        try:
            wait_until(f"{component} is ready", ready_or_dead, timeout_seconds=STARTUP_SECONDS)
        except TimedOut as error:
            error.add_note(tail(self.folder / f"{component}.log"))
            raise


@contextmanager
def running_apiserver(
    assets: Assets, *, controllers: bool = False, audited: bool = False
) -> Iterator[ApiServer]:
    """Run one for the length of a `with` block."""
    folder = Path(tempfile.mkdtemp(prefix="weightlock-apiserver-"))
    ports = Ports()
    owned = Owned(folder)
    try:
        server = _prepare(folder, assets, ports, owned.supervised, controllers=controllers)
        server = replace(server, audited=audited)
        server.start_etcd()
        server.start()
        if controllers:
            server.start_controllers()
        yield server
    finally:
        owned.close()
        ports.close()
        shutil.rmtree(folder, ignore_errors=True)  # still there if the supervisor was killed


def _prepare(
    folder: Path, assets: Assets, ports: Ports, supervised: Supervised, *, controllers: bool
) -> ApiServer:
    authority = Authority(folder / "pki", datetime.datetime.now(tz=datetime.UTC))  # noqa: TID251 the edge
    files = ControlPlaneFiles(
        ca=KeyPair(authority.certificate, authority.key),
        server=authority.server("kube-apiserver", LOOPBACK, "localhost", FIRST_SERVICE_ADDRESS),
        kubelet_client=authority.client("kubelet-client", "kube-apiserver", "system:masters"),
        service_account_key=authority.signing_key("service-account"),
    )
    kubeconfig = write_kubeconfig(
        folder / "kubeconfig",
        context=CONTEXT,
        server=f"https://{LOOPBACK}:{ports.apiserver.number}",
        ca=authority.certificate,
        client=authority.client("admin", "weightlock-admin", "system:masters"),
    )
    return ApiServer(
        folder=folder,
        assets=assets,
        files=files,
        ports=ports,
        kubeconfig=kubeconfig,
        controllers=controllers,
        api=Api.from_kubeconfig(kubeconfig),
        supervised=supervised,
    )
