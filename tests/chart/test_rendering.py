"""What the chart renders with each of the files in values/."""

import functools
import json
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from tests.support.charts import (
    CHART,
    DEFAULTS,
    HELM,
    RELEASE,
    VALUES,
    Json,
    documents,
    helm_template,
    named,
    pod_specs,
    rendered,
    run,
)

from weightlock_webhook.arming.store import DOOR_ANNOTATION
from weightlock_webhook.arming.tokens import token_of
from weightlock_webhook.reviews.routes import SERVED

FILES = sorted(VALUES.glob("*.yaml"), key=lambda path: path.name)
RELEASES = tuple(range(25, 38))
FOREIGN_GROUPS = {"cert-manager.io/v1", "monitoring.coreos.com/v1"}

every_file = pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)


@functools.cache
def objects(file: Path) -> list[Json]:
    return rendered(file)


@every_file
def test_helm_finds_nothing_to_complain_about(file: Path) -> None:
    run([HELM, "lint", CHART, "--strict", "--values", DEFAULTS, "--values", file])


@functools.cache
def fits(text: str, minor: int) -> bool:
    kubernetes_validate.validate(json.loads(text), f"1.{minor}", strict=True)
    return True


@pytest.mark.parametrize("minor", RELEASES)
@every_file
def test_every_object_fits_the_published_schemas(file: Path, minor: int) -> None:
    for found in objects(file):
        if found["apiVersion"] not in FOREIGN_GROUPS:
            # CEL came with 1.25's schema for definitions; ours is the same for each release.
            assert fits(json.dumps(found, sort_keys=True), minor)


@every_file
def test_no_object_is_there_twice(file: Path) -> None:
    keys = [
        (each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"])
        for each in objects(file)
    ]
    assert len(keys) == len(set(keys))


@every_file
def test_every_pod_is_restricted(file: Path) -> None:
    """The Restricted profile of Pod Security, and a root that cannot be written."""
    found = pod_specs(objects(file))
    assert found
    for spec in found.values():
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        security = spec["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["runAsUser"] == 65532
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert {kind for each in spec["volumes"] for kind in each if kind != "name"} <= {
            "emptyDir",
            "configMap",
            "secret",
        }
        for container in spec["containers"]:
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False
            assert own["readOnlyRootFilesystem"] is True
            assert own["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["requests"]


@every_file
def test_services_of_the_namespace_are_no_settings(file: Path) -> None:
    """WEIGHTLOCK_WEBHOOK_SERVICE_HOST would be an unknown setting."""
    assert all(spec["enableServiceLinks"] is False for spec in pod_specs(objects(file)).values())


@every_file
def test_images_are_named_by_digest_except_where_tags_are_allowed(file: Path) -> None:
    for spec in pod_specs(objects(file)).values():
        (container,) = spec["containers"]
        values = {each["name"]: each.get("value") for each in container["env"]}
        images = [container["image"], values["WEIGHTLOCK_VERIFIER_IMAGE"]]
        images.append(values["WEIGHTLOCK_VERIFIER_CPU_IMAGE"])
        by_digest = file.stem != "development"
        assert all(("@sha256:" in str(image)) is by_digest for image in images)
        assert values["WEIGHTLOCK_ALLOW_TAGS"] == str(not by_digest).lower()


@every_file
def test_the_chart_makes_no_secret(file: Path) -> None:
    """Seal and authority are made by the processes: what helm renders, helm stores."""
    assert not [each for each in objects(file) if each["kind"] == "Secret"]


@every_file
def test_the_webhook_reads_the_configurations_that_are_installed(file: Path) -> None:
    shipped = named(objects(file), "ConfigMap", "weightlock-webhook-configuration")
    text = shipped["data"]["webhook-configuration.yaml"]
    installed = [each for each in objects(file) if each["kind"].endswith("WebhookConfiguration")]
    by_kind = {each["kind"]: each for each in documents(text)}
    assert {each["kind"]: each for each in installed} == by_kind


@every_file
def test_whoever_is_exempt_is_exempt_everywhere(file: Path) -> None:
    found = objects(file)
    exempt = exempt_by_settings(found)
    assert "weightlock-system" in exempt
    selected = [
        expression["values"]
        for each in found
        if each["kind"].endswith("WebhookConfiguration")
        for webhook in each["webhooks"]
        for expression in webhook.get("namespaceSelector", {}).get("matchExpressions", [])
    ]
    assert selected
    assert all(values == exempt for values in selected)


def exempt_by_settings(found: list[Json]) -> list[str]:
    (exempt,) = {
        str(variable["value"])
        for spec in pod_specs(found).values()
        for variable in spec["containers"][0]["env"]
        if variable["name"] == "WEIGHTLOCK_EXEMPT_NAMESPACES"
    }
    return exempt.split(",")


@every_file
def test_every_webhook_that_can_refuse_fails_closed(file: Path) -> None:
    for each in objects(file):
        for webhook in each.get("webhooks", []):
            expected = "Ignore" if webhook["name"].startswith("workloads.") else "Fail"
            assert webhook["failurePolicy"] == expected
            assert not webhook["clientConfig"].get("caBundle")


@every_file
def test_an_update_never_leaves_fewer_webhooks_than_before(file: Path) -> None:
    found = named(objects(file), "Deployment", "weightlock-webhook")["spec"]
    assert found["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    pod = found["template"]["spec"]
    stop = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    assert stop[0] == "sleep"
    assert pod["terminationGracePeriodSeconds"] > int(stop[1]) + 15


@every_file
def test_services_and_budgets_select_the_pods_of_their_component(file: Path) -> None:
    found = objects(file)
    labels = {
        each["metadata"]["name"]: each["spec"]["template"]["metadata"]["labels"]
        for each in found
        if each["kind"] in {"Deployment", "Job"}
    }
    for each in found:
        selector = selector_of(each)
        if selector is not None:
            matching = {name for name, own in labels.items() if selector.items() <= own.items()}
            component = selector["app.kubernetes.io/component"]
            expected = set() if component == "verifier" else {f"weightlock-{component}"}
            assert matching == expected


def selector_of(found: Json) -> dict[str, str] | None:
    match found["kind"]:
        case "Service":
            return found["spec"]["selector"]  # type: ignore[no-any-return]
        case "PodDisruptionBudget" | "Deployment":
            return found["spec"]["selector"]["matchLabels"]  # type: ignore[no-any-return]
        case "NetworkPolicy":
            return found["spec"]["podSelector"]["matchLabels"]  # type: ignore[no-any-return]
        case _:
            return None


def test_three_webhooks_and_two_operators_by_default() -> None:
    found = objects(DEFAULTS)
    assert named(found, "Deployment", "weightlock-webhook")["spec"]["replicas"] == 3
    assert named(found, "Deployment", "weightlock-operator")["spec"]["replicas"] == 2
    budget = named(found, "PodDisruptionBudget", "weightlock-webhook")
    assert (budget["apiVersion"], budget["spec"]["maxUnavailable"]) == ("policy/v1", 1)


def test_webhooks_are_as_important_as_the_control_plane_and_do_not_fall_together() -> None:
    spec = named(objects(DEFAULTS), "Deployment", "weightlock-webhook")["spec"]["template"]["spec"]
    assert spec["priorityClassName"] == "system-cluster-critical"
    (apart,) = spec["affinity"]["podAntiAffinity"][
        "preferredDuringSchedulingIgnoredDuringExecution"
    ]
    assert apart["podAffinityTerm"]["topologyKey"] == "kubernetes.io/hostname"
    spread = {each["topologyKey"]: each for each in spec["topologySpreadConstraints"]}
    assert set(spread) == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    # Never DoNotSchedule: three webhooks on one node are better than one.
    assert {each["whenUnsatisfiable"] for each in spread.values()} == {"ScheduleAnyway"}


@pytest.mark.parametrize(
    ("process", "key"),
    [
        ("operator", "affinity"),
        ("operator", "priorityClassName"),
        ("operator", "nodeSelector"),
        ("webhook", "topologySpreadConstraints"),
        ("webhook", "tolerations"),
    ],
)
def test_other_ideas_about_placement_replace_the_charts(process: str, key: str) -> None:
    file = VALUES / "everything.yaml"
    deployment = named(objects(file), "Deployment", f"weightlock-{process}")
    wanted = yaml.safe_load(file.read_text())[process][key]
    assert deployment["spec"]["template"]["spec"][key] == wanted


def test_old_servers_get_the_budget_that_they_know() -> None:
    found = rendered(arguments=["--kube-version", "1.20.2"])
    assert (
        named(found, "PodDisruptionBudget", "weightlock-webhook")["apiVersion"] == "policy/v1beta1"
    )


@pytest.mark.parametrize(
    ("minor", "version", "shares"),
    [
        (20, "v1beta1", "assuredConcurrencyShares"),
        (23, "v1beta2", "assuredConcurrencyShares"),
        (26, "v1beta3", "nominalConcurrencyShares"),
        (29, "v1", "nominalConcurrencyShares"),
        (36, "v1", "nominalConcurrencyShares"),
    ],
)
def test_flow_control_speaks_the_version_of_the_server(
    minor: int, version: str, shares: str
) -> None:
    found = [each for each in flow_control("--kube-version", f"1.{minor}.0") if is_flow(each)]
    assert {each["apiVersion"] for each in found} == {f"flowcontrol.apiserver.k8s.io/{version}"}
    level = named(found, "PriorityLevelConfiguration", "weightlock")
    assert level["spec"]["limited"][shares] == 20
    if minor >= min(RELEASES):
        assert all(fits(json.dumps(each, sort_keys=True), minor) for each in found)


def test_flow_control_speaks_the_version_that_it_is_told() -> None:
    found = flow_control("--set=flowControl.apiVersion=v1beta3")
    assert named(found, "FlowSchema", "weightlock")["apiVersion"].endswith("/v1beta3")


def flow_control(*arguments: str) -> list[Json]:
    return rendered(arguments=["--set=flowControl.enabled=true", *arguments])


def is_flow(found: Json) -> bool:
    return bool(found["apiVersion"].startswith("flowcontrol."))


def test_flow_control_means_the_accounts_of_operator_and_webhook_wherever_they_are() -> None:
    found = rendered(arguments=["--set=flowControl.enabled=true"], namespace="integrity")
    for name in ("weightlock", "weightlock-leases"):
        (rule,) = named(found, "FlowSchema", name)["spec"]["rules"]
        accounts = {
            (each["serviceAccount"]["namespace"], each["serviceAccount"]["name"])
            for each in rule["subjects"]
        }
        assert accounts == {
            (each["metadata"]["namespace"], each["metadata"]["name"])
            for each in found
            if each["kind"] == "ServiceAccount" and each["metadata"]["name"] != "weightlock-disarm"
        }


def test_one_webhook_has_no_budget_that_would_keep_its_node_from_being_drained() -> None:
    kinds = {each["kind"] for each in objects(VALUES / "development.yaml")}
    assert "PodDisruptionBudget" not in kinds


def test_the_webhooks_port_is_open_to_all_and_its_metrics_are_not() -> None:
    policy = named(objects(DEFAULTS), "NetworkPolicy", "weightlock-webhook")["spec"]
    open_to_all, metrics = policy["ingress"]
    assert "from" not in open_to_all
    assert open_to_all["ports"] == [{"port": "https", "protocol": "TCP"}]
    assert metrics["from"]
    assert metrics["ports"] == [{"port": "http", "protocol": "TCP"}]


def test_the_webhooks_port_is_open_to_named_api_servers_only_where_it_is_asked_for() -> None:
    found = objects(VALUES / "everything.yaml")
    reviews, metrics = named(found, "NetworkPolicy", "weightlock-webhook")["spec"]["ingress"]
    assert reviews["from"] == [
        {"ipBlock": {"cidr": "192.0.2.10/32"}},
        {"ipBlock": {"cidr": "2001:db8::/64"}},
    ]
    assert reviews["ports"] == [{"port": "https", "protocol": "TCP"}]
    assert metrics["ports"] == [{"port": "http", "protocol": "TCP"}]


def test_replicas_say_that_they_know_of_tokens_in_paths_and_the_configuration_has_none() -> None:
    found = objects(DEFAULTS)
    template = named(found, "Deployment", "weightlock-webhook")["spec"]["template"]
    assert DOOR_ANNOTATION in template["metadata"]["annotations"]
    for each in found:
        for webhook in each.get("webhooks", ()):
            assert token_of(webhook["clientConfig"]) == ""
            assert webhook["clientConfig"]["service"]["path"] in SERVED


def test_verification_pods_are_cut_off_where_it_is_asked_for() -> None:
    found = [
        each
        for each in objects(VALUES / "everything.yaml")
        if each["metadata"]["name"] == "weightlock-verifier"
    ]
    assert [each["metadata"]["namespace"] for each in found] == ["team-a", "team-b"]
    for each in found:
        assert each["spec"]["policyTypes"] == ["Ingress", "Egress"]
        assert not {"ingress", "egress"} & set(each["spec"])


def test_another_namespace_is_followed_everywhere() -> None:
    text = helm_template(VALUES / "cert-manager.yaml", namespace="integrity")
    found = documents(text)
    assert "weightlock-system" not in text.replace("Weightlock's own", "")
    assert {each["metadata"].get("namespace", "integrity") for each in found} == {"integrity"}
    operator = variable(found, "weightlock-webhook", "WEIGHTLOCK_OPERATOR_USER")
    assert operator == "system:serviceaccount:integrity:weightlock-operator"


def test_further_folders_of_nodes_reach_the_webhook() -> None:
    found = variable(
        objects(VALUES / "everything.yaml"), "weightlock-webhook", "WEIGHTLOCK_FORBIDDEN_HOST_PATHS"
    )
    assert found == "/data/kubelet,/data/.containerd"


def variable(found: list[Json], deployment: str, name: str) -> Any:
    container = named(found, "Deployment", deployment)["spec"]["template"]["spec"]["containers"][0]
    return next(each["value"] for each in container["env"] if each["name"] == name)


def test_cert_manager_writes_certificate_and_authority() -> None:
    found = objects(VALUES / "cert-manager.yaml")
    certificate = named(found, "Certificate", "weightlock-webhook")["spec"]
    assert "weightlock-webhook.weightlock-system.svc" in certificate["dnsNames"]
    assert variable(found, "weightlock-webhook", "WEIGHTLOCK_TLS_MODE") == "files"
    for kind in ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"):
        annotations = named(found, kind, RELEASE)["metadata"]["annotations"]
        expected = "weightlock-system/weightlock-webhook"
        assert annotations["cert-manager.io/inject-ca-from"] == expected
    volumes = pod_specs(found)["Deployment weightlock-webhook"]["volumes"]
    assert {"name": "tls", "secret": {"secretName": certificate["secretName"]}} in volumes


def test_an_issuer_of_the_company_is_used_as_it_is() -> None:
    found = objects(VALUES / "cert-manager-issuer.yaml")
    issuer = named(found, "Certificate", "weightlock-webhook")["spec"]["issuerRef"]
    assert issuer == {"name": "company", "kind": "ClusterIssuer", "group": "cert-manager.io"}
    assert not [each for each in found if each["kind"] == "Issuer"]


def test_definitions_are_kept_unless_told() -> None:
    def policies(file: Path) -> set[str]:
        return {
            str(each["metadata"].get("annotations", {}).get("helm.sh/resource-policy"))
            for each in objects(file)
            if each["kind"] == "CustomResourceDefinition"
        }

    assert policies(DEFAULTS) == {"keep"}
    assert policies(VALUES / "crds-go-too.yaml") == {"None"}
    assert policies(VALUES / "bare.yaml") == set()


def test_an_uninstall_disarms_first() -> None:
    job = named(objects(DEFAULTS), "Job", "weightlock-disarm")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-delete"
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["disarm"]
    webhook = pod_specs(objects(DEFAULTS))["Deployment weightlock-webhook"]["containers"][0]
    assert container["image"] == webhook["image"]


def test_alerts_and_dashboards_are_wrapped_as_they_are() -> None:
    found = objects(VALUES / "monitoring-pods.yaml")
    rules = {each["metadata"]["name"]: each for each in found if each["kind"] == "PrometheusRule"}
    files = sorted((CHART / "alerts").glob("*.yaml"))
    assert len(rules) == len(files)
    for path in files:
        name = path.name.removesuffix(".yaml").removesuffix(".rules")
        assert [rules[name]["spec"]] == documents(path.read_text())
    for path in sorted((CHART / "dashboards").glob("*.json")):
        wrapped = named(found, "ConfigMap", f"weightlock-dashboard-{path.stem}")
        assert json.loads(wrapped["data"][f"weightlock-{path.name}"]) == json.loads(
            path.read_text()
        )
        assert wrapped["metadata"]["labels"]["grafana_dashboard"] == "1"


@pytest.mark.parametrize("file", ["monitoring-pods", "monitoring-services"])
def test_both_processes_are_scraped(file: str) -> None:
    found = objects(VALUES / f"{file}.yaml")
    monitors = [each["kind"] for each in found if each["kind"].endswith("Monitor")]
    assert monitors == ["PodMonitor" if file == "monitoring-pods" else "ServiceMonitor"]
    metrics = [each for each in found if each["metadata"]["name"].endswith("-metrics")]
    assert len(metrics) == (0 if file == "monitoring-pods" else 2)


def test_a_packaged_chart_renders_the_same(tmp_path: Path) -> None:
    """The package holds what the checkout links to."""
    run([HELM, "package", CHART, "--destination", tmp_path])
    (package,) = tmp_path.glob("weightlock-*.tgz")
    argv: list[str | Path] = [
        HELM,
        "template",
        RELEASE,
        package,
        "--namespace",
        "weightlock-system",
    ]
    assert documents(run([*argv, "--values", DEFAULTS])) == objects(DEFAULTS)


def test_labels_for_every_object_are_on_every_object() -> None:
    found = objects(VALUES / "everything.yaml")
    assert found
    for each in found:
        assert each["metadata"]["labels"]["cost-center"] == "4711", each["kind"]


@every_file
def test_no_sidecar_keeps_the_uninstall_from_ending(file: Path) -> None:
    """Where a mesh puts one into every pod, a Job with one is never done."""
    jobs = [each for each in objects(file) if each["kind"] == "Job"]
    for job in jobs:
        annotations = job["spec"]["template"]["metadata"]["annotations"]
        assert annotations["sidecar.istio.io/inject"] == "false"
        assert annotations["linkerd.io/inject"] == "disabled"


@every_file
def test_a_class_of_the_control_plane_comes_with_the_quota_that_some_clusters_demand(
    file: Path,
) -> None:
    webhook = pod_specs(objects(file))["Deployment weightlock-webhook"]
    name = webhook.get("priorityClassName", "")
    quotas = [each for each in objects(file) if each["kind"] == "ResourceQuota"]
    wanted = [[name]] if name.startswith("system-") else []
    assert [
        each["spec"]["scopeSelector"]["matchExpressions"][0]["values"] for each in quotas
    ] == wanted
