"""Pod templates are found by shape, whatever the kind of workload."""

from typing import Any

import pytest
from tests.unit.webhook.objects import Object, claim_volume, pod_spec

from weightlock.errors import LimitExceeded, Malformed
from weightlock_webhook.mounts.templates import DEEPEST, MOST_TEMPLATES, templates_of

TEMPLATE = {"metadata": {"annotations": {}}, "spec": pod_spec()}


@pytest.mark.parametrize(
    ("workload", "places"),
    [
        pytest.param({"kind": "Pod", **TEMPLATE}, ["pod"], id="a pod"),
        pytest.param({"kind": "PodTemplate", "template": TEMPLATE}, ["template"], id="PodTemplate"),
        pytest.param(
            {"kind": "Deployment", "spec": {"template": TEMPLATE}},
            ["spec.template"],
            id="Deployment",
        ),
        pytest.param(
            {"kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": TEMPLATE}}}},
            ["spec.jobTemplate.spec.template"],
            id="CronJob",
        ),
        pytest.param(
            {
                "kind": "PyTorchJob",
                "spec": {
                    "pytorchReplicaSpecs": {
                        "Master": {"template": TEMPLATE},
                        "Worker": {"template": TEMPLATE},
                    }
                },
            },
            [
                "spec.pytorchReplicaSpecs.Master.template",
                "spec.pytorchReplicaSpecs.Worker.template",
            ],
            id="PyTorchJob",
        ),
        pytest.param(
            {"kind": "MPIJob", "spec": {"mpiReplicaSpecs": {"Launcher": {"template": TEMPLATE}}}},
            ["spec.mpiReplicaSpecs.Launcher.template"],
            id="MPIJob",
        ),
        pytest.param(
            {
                "kind": "RayCluster",
                "spec": {
                    "headGroupSpec": {"template": TEMPLATE},
                    "workerGroupSpecs": [{"template": TEMPLATE}],
                },
            },
            ["spec.headGroupSpec.template", "spec.workerGroupSpecs[0].template"],
            id="RayCluster",
        ),
        pytest.param(
            {
                "kind": "JobSet",
                "spec": {"replicatedJobs": [{"template": {"spec": {"template": TEMPLATE}}}]},
            },
            ["spec.replicatedJobs[0].template.spec.template"],
            id="JobSet",
        ),
        pytest.param(
            {
                "kind": "LeaderWorkerSet",
                "spec": {
                    "leaderWorkerTemplate": {
                        "leaderTemplate": TEMPLATE,
                        "workerTemplate": TEMPLATE,
                    }
                },
            },
            [
                "spec.leaderWorkerTemplate.leaderTemplate",
                "spec.leaderWorkerTemplate.workerTemplate",
            ],
            id="LeaderWorkerSet",
        ),
        pytest.param({"kind": "Service", "spec": {"ports": [80]}}, [], id="no template at all"),
    ],
)
def test_the_templates_of_a_workload(workload: Object, places: list[str]) -> None:
    assert [template.where for template in templates_of(workload)] == places


def stateful_set(**spec: Any) -> Object:
    template = {"spec": pod_spec(claim_volume("other", "other"), claim_volume("data", "replaced"))}
    return {
        "kind": "StatefulSet",
        "metadata": {"name": "s"},
        "spec": {"template": template, **spec},
    }


def test_a_stateful_set_adds_the_claims_of_its_first_replica() -> None:
    workload = stateful_set(volumeClaimTemplates=[{"metadata": {"name": "data"}}])
    assert templates_of(workload)[0].spec["volumes"] == [
        claim_volume("other", "other"),
        {"name": "data", "persistentVolumeClaim": {"claimName": "data-s-0"}},
    ]


def test_nothing_else_adds_claims_by_that_field() -> None:
    workload = stateful_set(volumeClaimTemplates=[{"metadata": {"name": "data"}}])
    for kind in ("Deployment", "StatefulSets"):
        (found,) = templates_of({**workload, "kind": kind})
        volumes = found.spec["volumes"]
        assert isinstance(volumes, list)
        assert volumes[1] == claim_volume("data", "replaced")


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({}, id="no claim templates"),
        pytest.param({"volumeClaimTemplates": ["x", {"metadata": {}}, {}]}, id="none with a name"),
    ],
)
def test_a_stateful_set_without_usable_claims_is_left_alone(spec: Object) -> None:
    workload = stateful_set(**spec)
    assert templates_of(workload)[0].spec is workload["spec"]["template"]["spec"]


def test_volumes_that_are_no_list_are_left_for_the_reader_to_refuse() -> None:
    workload = stateful_set(volumeClaimTemplates=[{"metadata": {"name": "data"}}])
    workload["spec"]["template"]["spec"]["volumes"] = "x"
    workload["metadata"] = None
    assert templates_of(workload)[0].spec["volumes"] == "x"


def test_a_workload_that_is_no_object_is_malformed() -> None:
    with pytest.raises(Malformed):
        templates_of(["spec"])


def nested(levels: int) -> Object:
    value: Object = {}
    for _ in range(levels):
        value = {"a": value}
    return value


def test_a_workload_as_deep_as_allowed_is_read() -> None:
    assert templates_of(nested(DEEPEST - 1)) == ()


def test_a_workload_too_deep_is_refused() -> None:
    with pytest.raises(LimitExceeded):
        templates_of(nested(DEEPEST))


def test_a_workload_with_too_many_templates_is_refused() -> None:
    with pytest.raises(LimitExceeded):
        templates_of({"spec": {"groups": [TEMPLATE] * (MOST_TEMPLATES + 1)}})
