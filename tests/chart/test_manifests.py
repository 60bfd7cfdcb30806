"""Chart and kustomize base install the same."""

import copy
import re

import pytest
from tests.support.charts import (
    MANIFESTS,
    VALUES,
    Json,
    documents,
    kustomized,
    named,
    plainly_built,
    pod_specs,
    rendered,
)

HELMS_OWN = {
    "app.kubernetes.io/instance",
    "app.kubernetes.io/version",
    "app.kubernetes.io/managed-by",
    "helm.sh/chart",
}
HASHED = re.compile(r"^(weightlock-webhook-configuration)-[a-z0-9]{10}$")


def essence(objects: list[Json]) -> dict[tuple[str, str], Json]:
    """The objects without what each of the two tools adds by itself."""
    found = {}
    for each in copy.deepcopy(objects):
        metadata = each["metadata"]
        labels = {
            key: value for key, value in metadata.get("labels", {}).items() if key not in HELMS_OWN
        }
        metadata["labels"] = labels
        annotations = metadata.pop("annotations", {})
        annotations.pop("helm.sh/resource-policy", None)
        if annotations:
            metadata["annotations"] = annotations
        metadata["name"] = HASHED.sub(r"\1", metadata["name"])
        if each["kind"] == "ConfigMap":
            each["data"] = {key: essence(documents(text)) for key, text in each["data"].items()}
        if each["kind"] == "Deployment":
            without_tools(each["spec"]["template"])
        found[(each["kind"], metadata["name"])] = each
    return found


def without_tools(template: Json) -> None:
    annotations = template["metadata"].setdefault("annotations", {})
    annotations.pop("checksum/webhook-configuration", None)
    for volume in template["spec"]["volumes"]:
        if "configMap" in volume:
            volume["configMap"]["name"] = HASHED.sub(r"\1", volume["configMap"]["name"])
    for container in template["spec"]["containers"]:
        for field in ("env", "volumeMounts"):
            container[field] = sorted(container[field], key=lambda item: str(item["name"]))
    template["spec"]["volumes"].sort(key=lambda volume: str(volume["name"]))


def chart(file: str) -> dict[tuple[str, str], Json]:
    found = essence(rendered(VALUES / f"{file}.yaml"))
    found.pop(("Job", "weightlock-disarm"), None)  # a hook of helm's uninstall
    return found


def kustomize(overlay: str) -> dict[tuple[str, str], Json]:
    return without_namespace(kustomized(overlay))


def without_namespace(objects: list[Json]) -> dict[tuple[str, str], Json]:
    found = essence(objects)
    del found[("Namespace", "weightlock-system")]  # helm makes it by --create-namespace
    return found


def test_the_files_of_the_base_are_the_chart_with_its_default_values() -> None:
    """The same as below, where there is no kustomize."""
    assert without_namespace(plainly_built(MANIFESTS / "base")) == chart("defaults")


@pytest.mark.parametrize("overlay", ["base", "default"])
def test_the_base_is_the_chart_with_its_default_values(overlay: str) -> None:
    theirs, ours = kustomize(overlay), chart("defaults")
    assert set(theirs) == set(ours)
    for key, found in ours.items():
        assert theirs[key] == found, key


def test_the_overlay_for_cert_manager_is_the_chart_with_that_mode() -> None:
    theirs, ours = kustomize("cert-manager"), chart("cert-manager")
    assert set(theirs) == set(ours)
    for key, found in ours.items():
        if key[0] == "ConfigMap":  # kustomize generates it before it patches annotations
            continue
        assert theirs[key] == found, key


def test_the_overlay_for_development_runs_one_of_each_by_tag() -> None:
    found = kustomized("dev")
    assert not [each for each in found if each["kind"] == "PodDisruptionBudget"]
    for name, spec in pod_specs(found).items():
        (container,) = spec["containers"]
        component = name.removeprefix("Deployment weightlock-")
        assert container["image"] == f"weightlock.test/{component}:dev"
        assert container["imagePullPolicy"] == "Never"
        variables = {each["name"]: each.get("value") for each in container["env"]}
        assert variables["WEIGHTLOCK_ALLOW_TAGS"] == "true"
        assert variables["WEIGHTLOCK_VERIFIER_IMAGE"] == "weightlock.test/verifier-cpu:dev"
        deployment = named(found, "Deployment", f"weightlock-{component}")
        assert deployment["spec"]["replicas"] == 1


def test_the_component_for_flow_control_is_the_charts() -> None:
    folder = MANIFESTS / "components" / "flow-control"
    arguments = ["--set=flowControl.enabled=true", "--kube-version=1.32.0"]
    more = essence(rendered(arguments=arguments))
    ours = {key: found for key, found in more.items() if key not in chart("defaults")}
    ours.pop(("Job", "weightlock-disarm"))
    theirs = essence(documents((folder / "flowcontrol.yaml").read_text()))
    assert theirs == ours


def test_the_namespace_takes_restricted_pods_only() -> None:
    labels = named(plainly_built(MANIFESTS / "base"), "Namespace", "weightlock-system")["metadata"][
        "labels"
    ]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_the_chart_renders_the_roles_that_the_processes_are_tested_with() -> None:
    ours = chart("defaults")
    for file in ("operator/role.yaml", "webhook/role.yaml", "roles.yaml"):
        for each in documents((MANIFESTS / "base" / file).read_text()):
            found = ours[(each["kind"], each["metadata"]["name"])]
            assert found.get("rules") == each.get("rules")
            assert found.get("subjects") == each.get("subjects")


def test_a_namespaces_people_write_no_status_and_no_cluster_policy() -> None:
    for each in documents((MANIFESTS / "base" / "roles.yaml").read_text()):
        for rule in each["rules"]:
            assert set(rule["resources"]) <= {"modelcheckpoints", "modelpolicies"}
            assert "*" not in rule["verbs"]
