"""How the operator does with many checkpoints: python -m bench.operator_scale [--checkpoints N].

A real etcd and API server; Jobs are ended by a simulated Job controller and kubelet in a process of
its own. The operator runs as its own account in a process that is measured from /proc. Measured are
the time until every checkpoint is verified, requests per checkpoint, the peak of resident memory,
CPU at rest, a restart over verified checkpoints, and unrelated pods that come and go.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from tests.cluster import operator_account
from tests.support.node_agent import Content, ended
from tests.support.running_operator import RunningOperator
from tests.unit.policy.builders import PQ, authority, signatures

from e2e.cluster.apiserver import ApiServer, running_apiserver
from e2e.cluster.pytest_plugin import _assets
from weightlock.cluster_names import CHECKPOINT_UID_LABEL
from weightlock_operator.api.cluster import (
    CHECKPOINTS,
    CLAIMS,
    CLUSTER_POLICIES,
    JOBS,
    NAMESPACES,
    PODS,
    VOLUMES,
    Json,
    Precondition,
)
from weightlock_operator.api.cluster_errors import ClusterTrouble
from weightlock_operator.api.connecting import api_client
from weightlock_operator.api.rest import RestCluster, Unfenced
from weightlock_operator.settings import Settings

TICKS = os.sysconf("SC_CLK_TCK")
REST_SECONDS = 60.0


def main() -> None:
    """Run everything and print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoints", type=int, default=2000)
    parser.add_argument("--namespaces", type=int, default=50)
    parser.add_argument("--pods", type=int, default=10_000)
    parser.add_argument("--rest", type=float, default=REST_SECONDS)
    arguments = parser.parse_args()
    with (
        running_apiserver(_assets(controllers=False)) as server,
        tempfile.TemporaryDirectory() as folder,
    ):
        found = Bench(server, Path(folder), arguments).run()
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


class Bench:
    """One run."""

    def __init__(self, server: ApiServer, folder: Path, arguments: argparse.Namespace) -> None:
        self.server = server
        self.folder = folder
        self.arguments = arguments
        self.cluster = connected(server.kubeconfig)

    def run(self) -> dict[str, object]:
        """All measurements, in order."""
        found: dict[str, object] = {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),  # noqa: TID251
            "cores": os.cpu_count(),
            "checkpoints": self.arguments.checkpoints,
            "namespaces": self.arguments.namespaces,
        }
        operator_account.install(self.server)
        asyncio.run(self.fill())
        kubeconfig = operator_account.kubeconfig(self.server, self.folder / "kubeconfig")
        operator = RunningOperator(kubeconfig, self.folder)
        agent = multiprocessing.get_context("spawn").Process(
            target=end_jobs, args=(str(self.server.kubeconfig),), daemon=True
        )
        agent.start()
        try:
            with operator:
                found |= self.verified(operator) | self.at_rest(operator)
            self.free_lease()
            found |= self.restarted(operator)
        finally:
            agent.kill()
            agent.join()
        return found

    def verified(self, operator: RunningOperator) -> dict[str, object]:
        """From nothing to a verdict about each."""
        say("verifying")
        count = self.arguments.checkpoints
        before, cpu = requests(operator), cpu_seconds(operator.pid)
        seconds = asyncio.run(self.until_verified(count))
        return {
            "seconds_to_verified": round(seconds, 1),
            "cpu_seconds_to_verified": round(cpu_seconds(operator.pid) - cpu, 1),
            "requests_per_checkpoint": round((requests(operator) - before) / count, 2),
            "jobs": len(asyncio.run(self.cluster.list(JOBS)).items),
            "rss_mib": rss_mib(operator.pid),
            "peak_rss_mib": peak_mib(operator.pid),
        }

    def at_rest(self, operator: RunningOperator) -> dict[str, object]:
        """When nothing happens any more."""
        say("resting")
        time.sleep(15)
        cpu, asked = cpu_seconds(operator.pid), requests(operator)
        time.sleep(self.arguments.rest)
        used, made = cpu_seconds(operator.pid) - cpu, requests(operator) - asked
        return {
            "cpu_at_rest_percent": round(100 * used / self.arguments.rest, 2),
            "requests_at_rest_per_minute": round(60 * made / self.arguments.rest, 1),
            "log_bytes": len(operator.log),
        }

    def restarted(self, operator: RunningOperator) -> dict[str, object]:
        """Start over verified checkpoints, then let unrelated pods come and go."""
        say("restarting")
        jobs = len(asyncio.run(self.cluster.list(JOBS)).items)
        began = time.monotonic()
        with operator:
            ready = time.monotonic() - began
            while metric(operator, "weightlock_queue_length") > 0:
                time.sleep(0.1)
            found: dict[str, object] = {
                "restart_seconds_to_ready": round(ready, 1),
                "restart_seconds_to_settled": round(time.monotonic() - began, 1),
                "restart_requests": requests(operator),
                "restart_new_jobs": len(asyncio.run(self.cluster.list(JOBS)).items) - jobs,
                "restart_cpu_seconds": round(cpu_seconds(operator.pid), 1),
                "restart_peak_rss_mib": peak_mib(operator.pid),
            }
            say("churning pods")
            time.sleep(5)
            before, cpu = rss_mib(operator.pid), cpu_seconds(operator.pid)
            began = time.monotonic()
            asyncio.run(self.churn(self.arguments.pods))
            half = rss_mib(operator.pid)
            asyncio.run(self.churn(self.arguments.pods))
            found |= {
                "churned_pods": 2 * self.arguments.pods,
                "churn_seconds": round(time.monotonic() - began, 1),
                "churn_cpu_seconds": round(cpu_seconds(operator.pid) - cpu, 1),
                "churn_rss_mib": [before, half, rss_mib(operator.pid)],
                "churn_healthz": operator.get("/healthz")[0],
            }
            return found

    async def fill(self) -> None:
        """Namespaces, a policy, and a claim, a volume and a checkpoint for each."""
        say("filling")
        names = [f"team-{number:03d}" for number in range(self.arguments.namespaces)]
        await self.cluster.create(CLUSTER_POLICIES, "", policy())
        await each(names, lambda name: self.cluster.create(NAMESPACES, "", named(name)))
        numbers = range(self.arguments.checkpoints)
        await each(numbers, lambda number: self.one(names[number % len(names)], number))

    async def one(self, namespace: str, number: int) -> None:
        """A claim that is bound, and a checkpoint on it."""
        name = f"model-{number:05d}"
        claim = await self.cluster.create(CLAIMS, namespace, claim_of(namespace, name))
        volume = volume_of(namespace, name, claim["metadata"]["uid"])
        await self.cluster.create(VOLUMES, "", volume)
        bound = {"status": {"phase": "Bound"}}
        await self.cluster.patch(CLAIMS, namespace, name, bound, subresource="status")
        await self.cluster.create(CHECKPOINTS, namespace, checkpoint_of(namespace, name))

    async def until_verified(self, count: int) -> float:
        """Wait until all are; how long it took."""
        began = time.monotonic()
        while True:
            listing = await self.cluster.list(CHECKPOINTS)
            phases = [(body.get("status") or {}).get("phase") for body in listing.items]
            verified = phases.count("Verified")
            if verified == count:
                return time.monotonic() - began
            say(f"{verified} of {count} after {time.monotonic() - began:.0f} s")
            if time.monotonic() - began > 1800:  # noqa: PLR2004 - something is very wrong
                raise SystemExit(f"phases: { {phase: phases.count(phase) for phase in phases} }")
            await asyncio.sleep(3)

    async def churn(self, count: int) -> None:
        """Pods that nobody of ours cares about are made and deleted."""

        async def one(number: int) -> None:
            name = f"unrelated-{number}"
            await self.cluster.create(PODS, "default", unrelated(name))
            only_if = Precondition()
            with contextlib.suppress(ClusterTrouble):
                await self.cluster.delete(PODS, "default", name, only_if=only_if)

        await each(range(count), one)

    def free_lease(self) -> None:
        """A killed leader's Lease lasts; a restart is measured without that wait."""
        lease = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": "weightlock-operator", "namespace": operator_account.NAMESPACE},
        }
        self.server.api.delete(lease)


def end_jobs(kubeconfig: str) -> None:
    """The process that plays Job controller and kubelet."""
    asyncio.run(_end_jobs(connected(Path(kubeconfig))))


async def _end_jobs(cluster: RestCluster) -> None:
    begun: set[str] = set()

    async def end(job: Json) -> None:
        pod = await cluster.create(PODS, job["metadata"]["namespace"], pod_of(job))
        where, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        status = {"status": ended(pod, Content())}
        await cluster.patch(PODS, where, name, status, subresource="status")
        done = {"status": {"succeeded": 1, "conditions": [complete()]}}
        await cluster.patch(JOBS, where, job["metadata"]["name"], done, subresource="status")

    while True:
        with contextlib.suppress(ClusterTrouble):
            listing = await cluster.list(JOBS, labels=CHECKPOINT_UID_LABEL)
            fresh = [job for job in listing.items if job["metadata"]["uid"] not in begun]
            begun |= {job["metadata"]["uid"] for job in fresh}
            await asyncio.gather(*map(end, fresh), return_exceptions=True)
        await asyncio.sleep(0.5)


def complete() -> Json:
    """A Job's condition."""
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")  # noqa: TID251 - it plays a controller
    return {"type": "Complete", "status": "True", "lastTransitionTime": at}


def pod_of(job: Json) -> Json:
    """The pod that the Job controller would make, on a node already."""
    template = job["spec"]["template"]
    metadata = job["metadata"]
    owner = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            **template["metadata"],
            "name": f"{metadata['name']}-x",
            "namespace": metadata["namespace"],
            "ownerReferences": [owner],
        },
        "spec": {**template["spec"], "nodeName": "node-a"},
    }


def connected(kubeconfig: Path) -> RestCluster:
    """A client with the rights of a kubeconfig."""
    settings = Settings(verifier_image="v", verifier_cpu_image="v", kubeconfig=str(kubeconfig))
    return RestCluster(api_client(settings), threads=ThreadPoolExecutor(16), fence=Unfenced())


def policy() -> Json:
    """For every namespace."""
    return {
        "apiVersion": CLUSTER_POLICIES.api_version,
        "kind": "ClusterModelPolicy",
        "metadata": {"name": "post-quantum"},
        "spec": {"signatures": signatures(authority("release", PQ))},
    }


def named(name: str) -> Json:
    """A namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def claim_of(namespace: str, name: str) -> Json:
    """A claim that names its volume."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "resources": {"requests": {"storage": "1Gi"}},
            "storageClassName": "models",
            "volumeName": f"{namespace}-{name}",
        },
    }


def volume_of(namespace: str, name: str, uid: str) -> Json:
    """The volume of a claim."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"{namespace}-{name}"},
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "capacity": {"storage": "1Gi"},
            "storageClassName": "models",
            "claimRef": {"namespace": namespace, "name": name, "uid": uid},
            "csi": {"driver": "csi.example", "volumeHandle": f"{namespace}-{name}"},
        },
    }


def checkpoint_of(namespace: str, name: str) -> Json:
    """A checkpoint that is a whole claim."""
    source = {"persistentVolumeClaim": {"claimName": name}, "path": "/"}
    return {
        "apiVersion": CHECKPOINTS.api_version,
        "kind": "ModelCheckpoint",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"source": source},
    }


def unrelated(name: str) -> Json:
    """A pod of the usual size that nobody of ours cares about."""
    environment = [{"name": f"VARIABLE_{number}", "value": "x" * 60} for number in range(40)]
    container = {"name": "main", "image": "registry.example/web:1", "env": environment}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": {"app": "web"}},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [container],
            "volumes": [{"name": "scratch", "emptyDir": {}}],
        },
    }


async def each(items: Iterable[object], work: Callable[..., Awaitable[object]]) -> None:
    """Do it for each, a few at a time."""
    limit = asyncio.Semaphore(16)

    async def one(item: object) -> None:
        async with limit:
            await work(item)

    await asyncio.gather(*map(one, items))


def requests(operator: RunningOperator) -> int:
    """How many requests the operator has made."""
    return int(metric(operator, "weightlock_api_requests_total"))


def metric(operator: RunningOperator, name: str) -> float:
    """The sum of a metric over its labels."""
    text = operator.get("/metrics")[1]
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    )


def cpu_seconds(pid: int) -> float:
    """User and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def rss_mib(pid: int) -> int:
    """Its resident memory."""
    return _status(pid, "VmRSS") // 1024


def peak_mib(pid: int) -> int:
    """The most it ever had."""
    return _status(pid, "VmHWM") // 1024


def _status(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])


def say(text: str) -> None:
    """Progress."""
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    main()
