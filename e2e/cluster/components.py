"""The command lines of the control plane. Pure: paths and addresses in, words out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from e2e.cluster.pki import KeyPair

SERVICE_RANGE = "10.96.0.0/16"
POD_RANGE = "10.244.0.0/16"
FIRST_SERVICE_ADDRESS = "10.96.0.1"  # the `kubernetes` Service: the first address of the range

# The last version whose controller manager also listens without TLS unless it is told not to.
LAST_WITH_INSECURE_PORT = 23


@dataclass(frozen=True, slots=True)
class ControlPlaneFiles:
    """Where one cluster's secrets lie."""

    ca: KeyPair
    server: KeyPair
    kubelet_client: KeyPair
    service_account_key: Path


@dataclass(frozen=True, slots=True)
class EtcdAddresses:
    """Loopback only: whoever can reach etcd rules the cluster."""

    client: str
    peer: str


def etcd(program: Path, data: Path, addresses: EtcdAddresses) -> list[str | Path]:
    """A single member."""
    return [
        program,
        "--name=only",
        f"--data-dir={data}/etcd",
        f"--listen-client-urls={addresses.client}",
        f"--advertise-client-urls={addresses.client}",
        f"--listen-peer-urls={addresses.peer}",
        f"--initial-advertise-peer-urls={addresses.peer}",
        f"--initial-cluster=only={addresses.peer}",
    ]


@dataclass(frozen=True, slots=True)
class ApiServerOptions:
    """What differs between the API alone and a whole cluster."""

    bind_address: str
    advertise_address: str
    port: int
    etcd: str
    disabled_admission: tuple[str, ...] = ()
    audit_policy: Path | None = None
    audit_log: Path | None = None


def apiserver(
    program: Path, files: ControlPlaneFiles, options: ApiServerOptions
) -> list[str | Path]:
    """Certificates for everyone, RBAC, and no anonymous surprises."""
    words: list[str | Path] = [
        program,
        f"--bind-address={options.bind_address}",
        f"--advertise-address={options.advertise_address}",
        f"--secure-port={options.port}",
        f"--etcd-servers={options.etcd}",
        f"--client-ca-file={files.ca.certificate}",
        f"--tls-cert-file={files.server.certificate}",
        f"--tls-private-key-file={files.server.key}",
        f"--kubelet-client-certificate={files.kubelet_client.certificate}",
        f"--kubelet-client-key={files.kubelet_client.key}",
        f"--kubelet-certificate-authority={files.ca.certificate}",
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={files.service_account_key}",
        f"--service-account-signing-key-file={files.service_account_key}",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
    ]
    if options.disabled_admission:
        words.append(f"--disable-admission-plugins={','.join(options.disabled_admission)}")
    if options.audit_policy:
        words.append(f"--audit-policy-file={options.audit_policy}")
        words.append(f"--audit-log-path={options.audit_log}")
    return words


def controller_manager(
    program: Path, files: ControlPlaneFiles, kubeconfig: Path, minor: int
) -> list[str | Path]:
    """One instance, no port, no election: nobody else runs it, nobody asks it anything."""
    words: list[str | Path] = [
        program,
        f"--kubeconfig={kubeconfig}",
        f"--root-ca-file={files.ca.certificate}",
        f"--cluster-signing-cert-file={files.ca.certificate}",
        f"--cluster-signing-key-file={files.ca.key}",
        f"--service-account-private-key-file={files.service_account_key}",
        "--use-service-account-credentials",
        "--leader-elect=false",
        "--secure-port=0",
        # A simulated node has no kubelet to renew its lease.
        "--node-monitor-grace-period=24h",
    ]
    if minor <= LAST_WITH_INSECURE_PORT:
        words.append("--port=0")
    return words


def scheduler(program: Path, kubeconfig: Path) -> list[str | Path]:
    """As the controller manager; its ports are inside the node's own network."""
    return [program, f"--kubeconfig={kubeconfig}", "--leader-elect=false"]
