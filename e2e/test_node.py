"""The node is a real one: containers run, volumes hold what is in them, Services lead somewhere."""

from __future__ import annotations

from e2e.cluster.api import Json
from e2e.cluster.running import RunningCluster
from e2e.cluster.simulated import simulated_node
from e2e.cluster.tenants import Tenant
from e2e.cluster.waiting import wait_until
from e2e.images.product import VERIFIER_CPU
from e2e.pods import busybox, pod, run

SLEEP = ("sleep", "3600")


def test_a_pod_runs_what_it_was_told(tenant: Tenant) -> None:
    assert run(tenant, pod(tenant, "hello", [busybox("echo", "hello")])) == "hello\n"


def test_a_job_completes(tenant: Tenant) -> None:
    template = {"spec": pod(tenant, "any", [busybox("true")])["spec"]}
    job = tenant.object("batch/v1", "Job", "work", spec={"template": template})
    tenant.api.create(job)
    tenant.api.wait_for(job, "the Job succeeds", succeeded=1)


def test_a_failing_job_fails(tenant: Tenant) -> None:
    template = {"spec": pod(tenant, "any", [busybox("false")])["spec"]}
    spec = {"template": template, "backoffLimit": 0}
    job = tenant.object("batch/v1", "Job", "work", spec=spec)
    tenant.api.create(job)
    tenant.api.wait_for(job, "the Job fails", failed=1)


def test_a_service_reaches_a_pod(tenant: Tenant) -> None:
    page = "mkdir -p /tmp/www && echo found > /tmp/www/index.html && httpd -f -p 8080 -h /tmp/www"
    server = pod(tenant, "web", [busybox("sh", "-c", page)])
    tenant.api.create(server)
    spec = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}
    service = tenant.api.create(tenant.object("v1", "Service", "web", spec=spec))
    await_endpoints(tenant, "web")
    ask = r"printf 'GET / HTTP/1.0\r\n\r\n' | nc -w 5 " + service["spec"]["clusterIP"] + " 80"
    retried = f"for i in 1 2 3 4 5 6 7 8 9; do {ask} && exit; sleep 1; done; exit 1"
    assert "found" in run(tenant, pod(tenant, "client", [busybox("sh", "-c", retried)]))


def test_whoever_enters_a_container_is_inside_its_image(
    cluster: RunningCluster, tenant: Tenant
) -> None:
    """Not trivial: in a node that is only a chroot, `exec` lands in the machine's own root."""
    sleeper = pod(tenant, "sleeper", [busybox(*SLEEP)])
    tenant.api.create(sleeper)
    tenant.api.wait_for(sleeper, "the pod runs", phase="Running")
    entered = cluster.kubectl("--namespace", tenant.namespace, "exec", "sleeper", "--", "ls", "/")
    assert set(entered.split()) == {"bin", "dev", "etc", "proc", "sys", "tmp"}


def test_a_host_path_volume_shows_the_machines_files(
    cluster: RunningCluster, tenant: Tenant
) -> None:
    folder = cluster.volumes / tenant.namespace
    folder.mkdir()
    (folder / "model").write_text("weights")
    volume = {"name": "m", "hostPath": {"path": str(folder), "type": "Directory"}}
    assert run(tenant, reader(tenant, volume)) == "weights"


def test_a_local_volume_is_bound_to_the_pod_that_waits_for_it(
    cluster: RunningCluster, tenant: Tenant
) -> None:
    folder = cluster.volumes / tenant.namespace
    folder.mkdir()
    (folder / "model").write_text("weights")
    create_local_volume(cluster, tenant, str(folder))
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": tenant.namespace,
        "resources": {"requests": {"storage": "1Mi"}},
    }
    tenant.api.create(tenant.object("v1", "PersistentVolumeClaim", "model", spec=spec))
    volume = {"name": "m", "persistentVolumeClaim": {"claimName": "model", "readOnly": True}}
    assert run(tenant, reader(tenant, volume)) == "weights"


def test_placement_follows_labels_and_resources(cluster: RunningCluster, tenant: Tenant) -> None:
    name = f"gpu-{tenant.namespace}"
    with simulated_node(cluster.api, name, resources={"nvidia.com/gpu": "8"}):
        container = busybox(*SLEEP) | {"resources": {"limits": {"nvidia.com/gpu": "1"}}}
        trainer = pod(tenant, "trainer", [container])
        tenant.api.create(trainer)
        placed = wait_until(
            "the scheduler has placed the pod",
            lambda: tenant.api.read(trainer)["spec"].get("nodeName"),
            timeout_seconds=30,
        )
        tenant.api.delete(trainer)
    assert placed == name


def test_the_products_image_runs_unprivileged_by_its_digest(
    cluster: RunningCluster, tenant: Tenant
) -> None:
    script = "import weightlock; print(weightlock.__name__)"
    named = pod(tenant, "tag", [busybox("python", "-c", script, image=VERIFIER_CPU.name)])
    assert run(tenant, named) == "weightlock\n"
    live = tenant.api.read(named)
    digest = live["status"]["containerStatuses"][0]["imageID"].rsplit("@", 1)[1]
    image = f"{VERIFIER_CPU.name.rsplit(':', 1)[0]}@{digest}"
    pinned = pod(tenant, "digest", [busybox("python", "-c", script, image=image)])
    assert run(tenant, pinned) == "weightlock\n"


def reader(tenant: Tenant, volume: Json) -> Json:
    mount = {"name": volume["name"], "mountPath": "/models", "readOnly": True}
    container = busybox("cat", "/models/model") | {"volumeMounts": [mount]}
    return pod(tenant, "reader", [container], volumes=[volume])


def create_local_volume(cluster: RunningCluster, tenant: Tenant, path: str) -> None:
    """A storage class and a volume on the real node, as an administrator would."""
    cluster.api.create(
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": tenant.namespace},
            "provisioner": "kubernetes.io/no-provisioner",
            "volumeBindingMode": "WaitForFirstConsumer",
        }
    )
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [cluster.node]}
    cluster.api.create(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": tenant.namespace},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "capacity": {"storage": "1Mi"},
                "local": {"path": path},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
                "persistentVolumeReclaimPolicy": "Retain",
                "storageClassName": tenant.namespace,
            },
        }
    )


def await_endpoints(tenant: Tenant, service: str) -> None:
    # Asked for as a list, because in the first moments there are none.
    path = (
        f"/api/v1/namespaces/{tenant.namespace}/endpoints?fieldSelector=metadata.name%3D{service}"
    )

    def addresses() -> list[Json]:
        items = tenant.api.get(path)["items"]
        return [
            each for item in items for each in item.get("subsets") or [] if each.get("addresses")
        ]

    wait_until(f"{service} has a ready pod", addresses, timeout_seconds=60)
