"""The real helm against a real API server: install, upgrade, uninstall. No pods run."""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support.charts import (
    CHART,
    DEFAULTS,
    HELM,
    MANIFESTS,
    NAMESPACE,
    RELEASE,
    ROOT,
    VALUES,
    Json,
    Refused,
    kubectl,
    kustomized,
    rendered,
)

from e2e.cluster.api import Api, ApiError
from e2e.cluster.apiserver import ApiServer
from e2e.cluster.pytest_plugin import RunApiServer
from e2e.cluster.waiting import wait_until
from weightlock_webhook.arming.tokens import new_token, token_of, with_token

FIRST_MINOR_WITH_CEL = 25
FIRST_MINOR_WITH_NAME_LABELS = 21
CONFIGURATIONS = ("validatingwebhookconfigurations", "mutatingwebhookconfigurations")
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
SYSTEM = f"/api/v1/namespaces/{NAMESPACE}"
JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
TOKEN = new_token(datetime(2026, 11, 21, tzinfo=UTC))
AUTHORITY = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCg=="


@dataclass(frozen=True, slots=True)
class Cluster:
    """An API server of this test's own: a webhook configuration would stop the others' pods."""

    server: ApiServer
    home: Path

    @property
    def api(self) -> Api:
        return self.server.api

    def helm(self, *words: str | Path) -> str:
        return self.run([HELM, *words, "--namespace", NAMESPACE])

    def kubectl(self, *words: str | Path) -> str:
        return self.run([kubectl(), *words])

    def run(self, argv: list[str | Path]) -> str:
        environ = {"PATH": os.environ["PATH"], "KUBECONFIG": str(self.server.kubeconfig)}  # noqa: TID251
        environ |= {"HOME": str(self.home)}
        done = subprocess.run(  # noqa: S603 our words
            list(map(str, argv)), capture_output=True, text=True, check=False, env=environ
        )
        if done.returncode:
            raise Refused(done.stderr)
        return done.stdout

    def install(self, *words: str | Path, chart: Path = CHART) -> None:
        values = ["--values", DEFAULTS, *words]
        self.helm("upgrade", "--install", "--create-namespace", RELEASE, chart, *values)

    def uninstall(self) -> Json:
        """The disarming Job, which this test runs in the kubelet's place."""
        runner = threading.Thread(target=functools.partial(self.helm, "uninstall", RELEASE))
        runner.start()
        try:
            job = wait_until("the Job is there", self.disarming_job, timeout_seconds=30)
            before = self.configurations()
            self.run_container(job["spec"]["template"]["spec"]["containers"][0])
            done = {"conditions": [{"type": "Complete", "status": "True"}], "succeeded": 1}
            self.api.replace_status({**job, "status": done})
        finally:
            runner.join()
        assert before, "the Job comes before anything is deleted"
        return job

    def run_container(self, container: Json) -> None:
        """The webhook's own program, with what the Job gives it."""
        if not importlib.util.find_spec("weightlock_webhook.arming"):
            self.remove_configurations()
            return
        values = {each["name"]: each["value"] for each in container["env"]}
        environ = {**os.environ, **values, "WEIGHTLOCK_KUBECONFIG": str(self.server.kubeconfig)}  # noqa: TID251
        argv = [sys.executable, "-m", "weightlock_webhook", *container["args"]]
        subprocess.run(argv, env=environ, check=True)  # noqa: S603 our words

    def disarming_job(self) -> Json | None:
        return next(iter(self.api.get(JOBS)["items"]), None) and {
            "apiVersion": "batch/v1",
            "kind": "Job",
            **self.api.get(JOBS)["items"][0],
        }

    def configurations(self) -> list[Json]:
        return [
            found
            for plural in CONFIGURATIONS
            for found in self.api.get(f"{ADMISSION}/{plural}")["items"]
        ]

    def exists(self, path: str) -> bool:
        try:
            self.api.get(path)
        except ApiError as error:
            if error.code == 404:
                return False
            raise
        return True

    def remove_configurations(self) -> None:
        """As the Job does it."""
        for plural in CONFIGURATIONS:
            if self.exists(f"{ADMISSION}/{plural}/{RELEASE}"):
                self.api.send("DELETE", f"{ADMISSION}/{plural}/{RELEASE}")


@pytest.fixture(scope="module")
def server(run_apiserver: RunApiServer) -> Iterator[ApiServer]:
    with run_apiserver() as running:
        for name in (NAMESPACE, "cni", "team-a", "team-b"):
            running.api.create(namespace(name))  # before a webhook is asked that does not run
        for name in ("kube-system", NAMESPACE, "cni"):  # as the guide says for servers before 1.21
            labels = {"kubernetes.io/metadata.name": name}
            running.api.patch(namespace(name), {"metadata": {"labels": labels}})
        yield running


def namespace(name: str) -> Json:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


@pytest.fixture
def cluster(server: ApiServer, tmp_path: Path) -> Iterator[Cluster]:
    found = Cluster(server, tmp_path)
    yield found
    found.remove_configurations()
    if "weightlock" in found.helm("list", "--short"):
        found.helm("uninstall", RELEASE, "--no-hooks")


def served(cluster: Cluster, found: Json) -> bool:
    try:
        cluster.api.read(found)
    except ApiError as error:
        if error.code == 404:
            return False
        raise
    return True


def test_an_install_puts_every_object_there(cluster: Cluster) -> None:
    cluster.install()
    version = ["--kube-version", f"1.{cluster.server.assets.minor}.0"]
    for found in rendered(arguments=version):
        is_hook = "helm.sh/hook" in found["metadata"].get("annotations", {})
        assert served(cluster, found) is not is_hook, found["metadata"]["name"]
    assert [each["metadata"]["name"] for each in cluster.configurations()] == [RELEASE, RELEASE]


@pytest.mark.parametrize("file", ["everything", "development", "bare", "monitoring-services"])
def test_the_server_takes_what_other_values_render(cluster: Cluster, file: str) -> None:
    cluster.install()  # the definitions, which `bare` leaves out
    foreign = {"monitoring.coreos.com/v1"}
    version = ["--kube-version", f"1.{cluster.server.assets.minor}.0"]
    for found in rendered(VALUES / f"{file}.yaml", arguments=version):
        if found["apiVersion"] not in foreign and not served(cluster, found):
            cluster.api.create(found, dry_run=True)


def test_a_server_that_does_not_label_namespaces_is_found_out(cluster: Cluster) -> None:
    """Or the webhook's own pods would wait for the webhook."""
    if cluster.server.assets.minor >= FIRST_MINOR_WITH_NAME_LABELS:
        pytest.skip("this server labels namespaces by itself")
    with pytest.raises(Refused, match=r"kubectl label namespace new .*=new"):
        cluster.install("--set-json", 'exemptNamespaces=["kube-system","new"]')
    assert cluster.configurations() == []


def test_an_upgrade_keeps_what_the_webhook_wrote_and_never_disarms(cluster: Cluster) -> None:
    cluster.install()
    before = cluster.configurations()
    for found in before:
        webhooks = found["webhooks"]
        for webhook in webhooks:
            webhook["clientConfig"]["caBundle"] = AUTHORITY
            webhook["clientConfig"] = dict(with_token(webhook["clientConfig"], TOKEN))
        kind = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind_of(cluster, found)}
        cluster.api.patch({**kind, **found}, {"webhooks": webhooks})
    cluster.install(
        "--set", "logFormat=text", "--set-json", 'exemptNamespaces=["kube-system","cni"]'
    )
    after = cluster.configurations()
    assert [each["metadata"]["uid"] for each in after] == [
        each["metadata"]["uid"] for each in before
    ]
    for found in after:
        for webhook in found["webhooks"]:
            assert webhook["clientConfig"]["caBundle"] == AUTHORITY
            assert webhook["failurePolicy"] in {"Fail", "Ignore"}
            # helm takes these away; the webhook answers without, and puts them back.
            assert token_of(webhook["clientConfig"]) == ""
    pods = next(each for each in after[0]["webhooks"] if each["name"] == "pods.weightlock.dev")
    (expression,) = pods["namespaceSelector"]["matchExpressions"]
    assert expression["values"] == ["kube-system", "cni", NAMESPACE]


def kind_of(cluster: Cluster, found: Json) -> str:
    validating = cluster.api.get(f"{ADMISSION}/{CONFIGURATIONS[0]}/{RELEASE}")
    same = validating["metadata"]["uid"] == found["metadata"]["uid"]
    return "ValidatingWebhookConfiguration" if same else "MutatingWebhookConfiguration"


def test_an_upgrade_brings_new_definitions(cluster: Cluster, tmp_path: Path) -> None:
    """What helm's own folder for definitions would not do."""
    older = tmp_path / "older"
    shutil.copytree(CHART, older)  # follows the links
    file = older / "files" / "crds" / "modelcheckpoints.yaml"
    file.write_text(file.read_text().replace("How many bytes were read.", "Bytes."))
    cluster.install(chart=older)
    assert "Bytes." in checkpoint_schema(cluster)
    cluster.install()
    assert "How many bytes were read." in checkpoint_schema(cluster)


def checkpoint_schema(cluster: Cluster) -> str:
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/modelcheckpoints.weightlock.dev"
    return str(cluster.api.get(path)["spec"])


def test_an_uninstall_leaves_no_webhook_and_keeps_what_was_found_out(cluster: Cluster) -> None:
    cluster.install()
    cluster.remove_configurations()  # nobody answers here, so nothing of ours could be written
    checkpoint = wait_until("checkpoints are served", lambda: created(cluster), timeout_seconds=20)
    seal = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "weightlock-seal", "namespace": NAMESPACE},
        "stringData": {"current": "k" * 32},
    }
    cluster.api.create(seal)
    cluster.install("--set", "logFormat=text")  # and so they are back
    assert cluster.configurations()
    job = cluster.uninstall()
    assert job["spec"]["template"]["spec"]["containers"][0]["args"] == ["disarm"]
    assert cluster.configurations() == []
    assert not cluster.exists(
        f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/weightlock-webhook"
    )
    assert cluster.api.read(checkpoint)["metadata"]["uid"] == checkpoint["metadata"]["uid"]
    assert cluster.exists(f"{SYSTEM}/secrets/weightlock-seal")
    assert cluster.api.get(JOBS)["items"] == []
    cluster.install()  # and the definitions that stayed are its own again
    assert cluster.api.read(checkpoint)["spec"] == checkpoint["spec"]


def created(cluster: Cluster) -> Json | None:
    source = {"persistentVolumeClaim": {"claimName": "llama"}}
    manifest = {
        "apiVersion": "weightlock.dev/v1beta1",
        "kind": "ModelCheckpoint",
        "metadata": {"name": "llama", "namespace": "default"},
        "spec": {"source": source},
    }
    try:
        return cluster.api.create(manifest)
    except ApiError as error:
        if error.code == 404:
            return None
        raise


def test_nothing_is_left_without_the_job_either(cluster: Cluster) -> None:
    cluster.install("--set", "uninstall.disarm=false")
    cluster.helm("uninstall", RELEASE)
    assert cluster.configurations() == []


def test_an_overlay_is_applied_twice_and_leaves_without_its_definitions(cluster: Cluster) -> None:
    """`dev`, which has no budget: 1.20 has another version of it. The commands are the guide's."""
    # kubectl checks objects against what the server knows, and old ones know no CEL.
    unchecked = ["--validate=false"] if cluster.server.assets.minor < FIRST_MINOR_WITH_CEL else []
    for _ in range(2):
        cluster.kubectl("apply", *unchecked, "--kustomize", MANIFESTS / "overlays" / "dev")
    for found in kustomized("dev"):
        assert served(cluster, found), found["metadata"]["name"]
    cluster.remove_configurations()
    kinds = (
        "deployment,service,networkpolicy,poddisruptionbudget,resourcequota,serviceaccount,role,"
        "rolebinding"
    )
    ours = ("--selector", "app.kubernetes.io/name=weightlock")
    cluster.kubectl("delete", "--namespace", NAMESPACE, kinds, *ours)
    cluster.kubectl("delete", "clusterrole,clusterrolebinding", *ours)
    left = {found["kind"] for found in kustomized("dev") if served(cluster, found)}
    assert left == {"Namespace", "CustomResourceDefinition", "ConfigMap"}
    cluster.kubectl("delete", "--filename", ROOT / "crds")
