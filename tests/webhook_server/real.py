"""The webhook's own process beside a real API server, configured as shipped but for the address."""

from __future__ import annotations

import base64
import functools
import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from tests.support.crds import PLURALS, definition

from e2e.cluster.api import Api, ApiError, Json
from e2e.cluster.apiserver import ApiServer
from e2e.cluster.kubeconfig import write_kubeconfig
from e2e.cluster.pki import KeyPair
from e2e.cluster.ports import LOOPBACK, ReservedPort
from e2e.cluster.waiting import wait_until
from weightlock.policy.checkpoints import Checkpoint
from weightlock.verdict.records import record_of
from weightlock.verdict.seal import SealKey, seal
from weightlock_webhook.decision.storage import claim_of

ROOT = Path(__file__).parents[2]
BASE = ROOT / "manifests" / "base" / "webhook"
SYSTEM = "weightlock-system"
OPERATOR = f"system:serviceaccount:{SYSTEM}:weightlock-operator"
WEBHOOK = f"system:serviceaccount:{SYSTEM}:weightlock-webhook"
JOB_CONTROLLER = "system:serviceaccount:kube-system:job-controller"
PROTECTOR = "system:serviceaccount:kube-system:pvc-protection-controller"
SCHEDULER = "system:kube-scheduler"
SEAL_KEY = SealKey(b"s" * 32)
READY_SECONDS = 40.0
GROUP = "weightlock.dev/v1beta1"


@dataclass
class Webhook:
    """One process of it."""

    server: ApiServer
    folder: Path
    number: int = 0
    settings: dict[str, str] = field(default_factory=dict)
    port: ReservedPort = field(default_factory=ReservedPort)
    probes: ReservedPort = field(default_factory=ReservedPort)
    process: subprocess.Popen[bytes] | None = None

    @property
    def shipped(self) -> Path:
        return self.folder / "shipped.yaml"

    @property
    def log(self) -> Path:
        return self.folder / f"webhook-{self.number}.log"

    def start(self) -> None:
        if not self.shipped.exists():
            self.shipped.write_text(shipped_for(self.port.number))
        environment = {
            "PATH": os.defpath,
            "WEIGHTLOCK_KUBECONFIG": str(kubeconfig_of(self.server, WEBHOOK, self.folder)),
            "WEIGHTLOCK_LISTEN": f"{LOOPBACK}:{self.port.number}",
            "WEIGHTLOCK_HTTP_ADDRESS": f"{LOOPBACK}:{self.probes.number}",
            "WEIGHTLOCK_SHIPPED": str(self.shipped),
            "WEIGHTLOCK_EXTRA_NAMES": "localhost",
            "WEIGHTLOCK_DRAIN_SECONDS": "1",
            **self.settings,
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "weightlock_webhook"],
                cwd=self.folder,
                env=environment,
                stderr=log,
                stdout=log,
            )

    def probe(self, path: str) -> tuple[int, str]:
        """What a probe is answered; 0 for nothing."""
        url = f"http://{LOOPBACK}:{self.probes.number}{path}"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def is_ready(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"it ended: {self.log.read_text()[-4000:]}")
        return self.probe("/readyz")[0] == 200

    def wait(self) -> None:
        try:
            wait_until("the webhook is ready", self.is_ready, timeout_seconds=READY_SECONDS)
        except BaseException as error:
            error.add_note(f"{self.probe('/readyz')}\n{self.log.read_text()[-6000:]}")
            raise

    def metric(self, name: str) -> float:
        """The value of a metric without labels."""
        found = re.search(rf"^{name} (\S+)$", self.probe("/metrics")[1], re.MULTILINE)
        return float(found[1]) if found else -1.0

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        with suppress(ProcessLookupError):
            self.process.send_signal(how)
        return self.process.wait(20)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.stop(signal.SIGKILL)
        self.port.close()
        self.probes.close()


@contextmanager
def running_webhook(server: ApiServer, folder: Path, **settings: str) -> Iterator[Webhook]:
    """Install what a chart would, run one process, and wait until it is ready."""
    install(server.api)
    webhook = Webhook(server, folder, settings=settings)
    try:
        webhook.start()
        webhook.wait()
        yield webhook
    finally:
        webhook.close()


def install(api: Api) -> None:
    """Namespace, definitions, rights, the seal's key; the operator may do anything here."""
    create(api, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}})
    for plural in PLURALS:
        create(api, definition(plural))
    wait_until(
        "the definitions are established",
        functools.partial(serves_ours, api),
        timeout_seconds=20,
    )
    for document in yaml.safe_load_all((BASE / "role.yaml").read_text()):
        create(api, document)
    key = base64.b64encode(SEAL_KEY.secret).decode()
    create(
        api,
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "weightlock-seal", "namespace": SYSTEM},
            "data": {"current": key},
        },
    )
    for name, user in (("operator", OPERATOR), ("jobs", JOB_CONTROLLER), ("sched", SCHEDULER)):
        group = "rbac.authorization.k8s.io"
        create(
            api,
            {
                "apiVersion": f"{group}/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": f"test-{name}"},
                "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "cluster-admin"},
                "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
            },
        )


def serves_ours(api: Api) -> bool:
    try:
        found = api.get(f"/apis/{GROUP}")["resources"]
    except ApiError:
        return False
    return set(PLURALS) <= {each["name"] for each in found}


def create(api: Api, manifest: Json) -> None:
    try:
        api.create(manifest)
    except ApiError as error:
        if error.reason != "AlreadyExists":
            raise


def shipped_for(port: int) -> str:
    """The shipped configurations, calling a port of this machine instead of a Service."""
    documents = list(yaml.safe_load_all((BASE / "configuration.yaml").read_text()))
    for document in documents:
        for webhook in document["webhooks"]:
            path = webhook["clientConfig"]["service"]["path"]
            webhook["clientConfig"] = {"url": f"https://localhost:{port}{path}"}
    return yaml.safe_dump_all(documents)


def kubeconfig_of(server: ApiServer, user: str, folder: Path) -> Path:
    """A kubeconfig of exactly this user."""
    pair = client_pair(server, user, folder)
    return write_kubeconfig(
        folder / f"{user.rpartition(':')[2]}.kubeconfig",
        context="weightlock-test",
        server=server.url,
        ca=server.ca,
        client=pair,
    )


def client_pair(server: ApiServer, user: str, folder: Path) -> KeyPair:
    authority = x509.load_pem_x509_certificate(server.files.ca.certificate.read_bytes())
    authority_key = load_pem_private_key(server.files.ca.key.read_bytes(), None)
    assert isinstance(authority_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)  # noqa: TID251 the edge
    certificate = (
        x509.CertificateBuilder()
        .subject_name(
            x509.Name(
                [
                    x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:serviceaccounts"),
                    x509.NameAttribute(NameOID.COMMON_NAME, user),
                ]
            )
        )
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    pair = KeyPair(folder / "client.crt", folder / "client.key")
    pair.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
    pair.key.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    )
    return pair


@dataclass
class Storage:
    """A claim of a namespace, bound to a volume, as a controller would leave it."""

    api: Api
    namespace: str
    name: str

    def make(self) -> None:
        volume_name = f"{self.namespace}-{self.name}"
        self.api.create(
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": self.name, "namespace": self.namespace},
                "spec": {
                    "accessModes": ["ReadOnlyMany"],
                    "resources": {"requests": {"storage": "1Gi"}},
                    "volumeName": volume_name,
                    "storageClassName": "models",
                },
            }
        )
        claim = self.claim()
        volume = {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": volume_name},
            "spec": {
                "accessModes": ["ReadOnlyMany"],
                "capacity": {"storage": "1Gi"},
                "storageClassName": "models",
                "csi": {"driver": "disk.example", "volumeHandle": claim["metadata"]["uid"]},
                "claimRef": {
                    "kind": "PersistentVolumeClaim",
                    "apiVersion": "v1",
                    "namespace": self.namespace,
                    "name": self.name,
                    "uid": claim["metadata"]["uid"],
                },
            },
        }
        try:
            self.api.create(volume)
        except ApiError:
            live = self.api.read(volume)
            live["spec"]["claimRef"] = volume["spec"]["claimRef"]  # type: ignore[index]
            self.api.send("PUT", self.api.path(volume), live)
        self.api.replace_status({**claim, "status": {"phase": "Bound"}})

    def claim(self) -> Json:
        return self.api.get(
            f"/api/v1/namespaces/{self.namespace}/persistentvolumeclaims/{self.name}"
        )

    def volume(self) -> Json:
        return self.api.get(f"/api/v1/persistentvolumes/{self.namespace}-{self.name}")

    def remove(self) -> None:
        protector = self.api.acting_as(PROTECTOR, "system:masters")
        protector.send(
            "PATCH",
            f"/api/v1/namespaces/{self.namespace}/persistentvolumeclaims/{self.name}",
            {"metadata": {"finalizers": None}},
        )
        self.api.send(
            "DELETE", f"/api/v1/namespaces/{self.namespace}/persistentvolumeclaims/{self.name}"
        )
        with suppress(ApiError):
            protector.send(
                "PATCH",
                f"/api/v1/namespaces/{self.namespace}/persistentvolumeclaims/{self.name}",
                {"metadata": {"finalizers": None}},
            )


def checkpoint(namespace: str, claim: str, name: str = "llama", path: str = "/") -> Json:
    return {
        "apiVersion": GROUP,
        "kind": "ModelCheckpoint",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"source": {"persistentVolumeClaim": {"claimName": claim}, "path": path}},
    }


def verify(api: Api, found: Json, storage: Storage, keyid: str, algorithm: str) -> Json:
    """Write the verdict that the operator would."""
    known = claim_of(storage.claim(), storage.volume())
    assert known.backing is not None
    status: dict[str, Any] = {
        "observedGeneration": found["metadata"]["generation"],
        "phase": "Verified",
        "reason": "Verified",
        "message": "as signed",
        "digest": {"tree": "rfc6962-v1", "hash": "sha256", "root": "d" * 64},
        "signatures": [
            {
                "algorithm": algorithm,
                "family": "ML-DSA",
                "keyid": keyid,
                "authority": "release",
            }
        ],
        "volume": {
            "pvcUID": known.uid,
            "pvName": known.backing.name,
            "pvUID": known.backing.uid,
            "sourceHash": known.backing.source_hash,
            "path": found["spec"]["source"].get("path", "/"),
        },
        "modelName": "llama",
        "modelVersion": 3,
        "policyHash": "p",
        "verifier": {"image": "verifier@sha256:" + "a" * 64},
        "lastVerified": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),  # noqa: TID251 the edge
    }
    record = record_of(Checkpoint.from_object({**found, "status": status}))
    assert record is not None
    status["seal"] = seal(record, SEAL_KEY)
    return api.acting_as(OPERATOR).replace_status({**found, "status": status})


def lines_of(log: Path) -> list[Json]:
    """The JSON lines of a log."""
    found = []
    for line in log.read_text().splitlines():
        with suppress(json.JSONDecodeError):
            found.append(json.loads(line))
    return found
