"""The real API server asks the real process, by the configuration as shipped (but for the address):
verification Jobs and their pods.

Every refusal is asserted by a 404 on GET, every allowance by reading the stored object back, and
every refusal has its twin: the same object, compliant.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
from tests.webhook_server.real import (
    JOB_CONTROLLER,
    OPERATOR,
)
from tests.webhook_server.site import Site

from e2e.cluster.api import Api, ApiError, Json

pytestmark = pytest.mark.apiserver


def job(site: Site, name: str, **labels: str) -> Json:
    marks = {"weightlock.dev/verification": "n1", "weightlock.dev/checkpoint-uid": "c1"} | labels
    template = {
        "metadata": {"labels": marks},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "containers": [{"name": "verifier", "image": "verifier@sha256:" + "a" * 64}],
            "volumes": [
                {
                    "name": "checkpoint",
                    "persistentVolumeClaim": {"claimName": "fresh", "readOnly": True},
                }
            ],
        },
    }
    owner = {
        "apiVersion": "weightlock.dev/v1beta1",
        "kind": "ModelCheckpoint",
        "name": "llama",
        "uid": "c1",
        "controller": True,
    }
    found = site.tenant.object("batch/v1", "Job", name, spec={"template": template})
    found["metadata"].update(labels=marks, ownerReferences=[owner])
    return found


def pod_of(job: Json, name: str) -> Json:
    owner = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": job["metadata"]["name"],
        "uid": job["metadata"]["uid"],
        "controller": True,
    }
    template = copy.deepcopy(job["spec"]["template"])
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": job["metadata"]["namespace"],
            "labels": template["metadata"]["labels"],
            "ownerReferences": [owner],
        },
        "spec": template["spec"],
    }


def test_only_the_operator_makes_verification_jobs(site: Site) -> None:
    operator = site.admin.acting_as(OPERATOR)
    assert "NotTheOperator" in site.refused(job(site, "squat"))
    site.stored(job(site, "verify-1"), by=operator)
    plain = site.tenant.object(
        "batch/v1",
        "Job",
        "plain",
        spec={
            "template": {
                "spec": {
                    "restartPolicy": "Never",
                    "containers": [{"name": "main", "image": "any"}],
                }
            }
        },
    )
    site.stored(plain)
    with pytest.raises(ApiError, match="ProtectedObject"):
        site.tenant.api.patch(plain, {"metadata": {"labels": {"weightlock.dev/verification": "n"}}})


def test_nobody_else_touches_one(site: Site) -> None:
    operator = site.admin.acting_as(OPERATOR)
    one = job(site, "verify-2")
    site.stored(one, by=operator)
    tenant = site.tenant.api
    attempts: list[Callable[[], Json]] = [
        lambda: tenant.patch(one, {"spec": {"parallelism": 0}}),
        lambda: tenant.patch(one, {"metadata": {"labels": {"weightlock.dev/verification": None}}}),
        lambda: tenant.patch(one, {"metadata": {"labels": {"a": "b"}}}),
        lambda: tenant.delete(one),
        lambda: site.admin.patch(one, {"status": {"succeeded": 1}}, subresource="/status"),
    ]
    for attempt in attempts:
        with pytest.raises(ApiError, match="ProtectedObject"):
            attempt()
    assert site.admin.read(one)["metadata"]["labels"]["weightlock.dev/verification"] == "n1"
    site.admin.acting_as(JOB_CONTROLLER).patch(
        one, {"status": {"active": 1}}, subresource="/status"
    )
    operator.delete(one)


def test_a_verification_pod_is_let_in_only_with_the_whole_proof(site: Site) -> None:
    operator, controller = site.admin.acting_as(OPERATOR), site.admin.acting_as(JOB_CONTROLLER)
    live = site.stored(job(site, "verify-3"), by=operator)
    forged = pod_of(live, "forged")
    assert "NotAVerification" in site.refused(forged)
    assert "NotAVerification" in site.refused(forged, by=operator)
    edited = pod_of(live, "edited")
    edited["spec"]["containers"][0]["image"] = "other"
    assert "containers" in site.refused(edited, by=controller)
    more = pod_of(live, "more")
    more["spec"]["volumes"].append({"name": "host", "hostPath": {"path": "/"}})
    assert "volumes" in site.refused(more, by=controller)
    stranger = pod_of({**live, "metadata": {**live["metadata"], "uid": "other"}}, "stranger")
    assert "Job was not found" in site.refused(stranger, by=controller)
    site.stored(pod_of(live, "verify-3-a"), by=controller)


def test_nobody_enters_or_changes_a_verification_pod(site: Site) -> None:
    operator, controller = site.admin.acting_as(OPERATOR), site.admin.acting_as(JOB_CONTROLLER)
    live = site.stored(job(site, "verify-4"), by=operator)
    pod = pod_of(live, "verify-4-a")
    site.stored(pod, by=controller)
    path = site.admin.path(pod)
    (container,) = site.admin.read(pod)["spec"]["containers"]
    other = {"spec": {"containers": [{**container, "image": "other"}]}}
    attempts: list[Callable[[Api], Json]] = [
        lambda api: api.send("GET", f"{path}/exec?command=sh"),
        lambda api: api.send("POST", f"{path}/exec?command=sh"),
        lambda api: api.send("POST", f"{path}/attach"),
        lambda api: api.send("POST", f"{path}/portforward"),
        lambda api: api.patch(pod, {"metadata": {"labels": {"a": "b"}}}),
        lambda api: api.patch(pod, other),
        lambda api: api.delete(pod),
    ]
    for api in (site.tenant.api, site.admin):
        for attempt in attempts:
            with pytest.raises(ApiError, match=r"ProtectedObject"):
                attempt(api)
    with pytest.raises(ApiError, match=r"ProtectedObject"):
        site.admin.patch(pod, {"status": {"phase": "Succeeded"}}, subresource="/status")
    site.admin.send(
        "POST",
        f"{path}/binding",
        {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": "verify-4-a"},
            "target": {"kind": "Node", "name": "node-1"},
        },
    )
    controller.delete(pod)


def test_an_evicted_verification_pod_is_replaced_by_its_job_or_by_nobody(site: Site) -> None:
    """Why evictions need no rule: they take a pod away, and its place stays guarded."""
    operator, controller = site.admin.acting_as(OPERATOR), site.admin.acting_as(JOB_CONTROLLER)
    live = site.stored(job(site, "verify-5"), by=operator)
    pod = pod_of(live, "verify-5-a")
    site.stored(pod, by=controller)
    eviction = {
        "apiVersion": "policy/v1beta1",
        "kind": "Eviction",
        "metadata": {
            "name": "verify-5-a",
            "namespace": site.tenant.namespace,
            "labels": {"a": "b"},
            "annotations": {"weightlock.dev/verification": "forged"},
        },
        "deleteOptions": {"dryRun": ["All"]},
    }
    path = f"{site.admin.path(pod)}/eviction"
    before = site.admin.read(pod)["metadata"]
    site.admin.send("POST", path, eviction)
    after = site.admin.read(pod)["metadata"]
    assert (after["labels"], after.get("annotations")) == (
        before["labels"],
        before.get("annotations"),
    )
    site.admin.send("POST", path, {**eviction, "deleteOptions": {"gracePeriodSeconds": 0}})
    with pytest.raises(ApiError) as missing:
        site.admin.read(pod)
    assert missing.value.code == 404
    assert "NotAVerification" in site.refused(pod)
    assert site.admin.read(live)["metadata"]["uid"] == live["metadata"]["uid"]
    site.stored(pod, by=controller)


def test_an_ordinary_pod_may_be_entered(site: Site) -> None:
    pod = site.plain("entered")
    site.stored(pod)
    with pytest.raises(ApiError) as refusal:
        site.tenant.api.send("POST", f"{site.admin.path(pod)}/exec?command=sh")
    # It is on no node, so it cannot be entered, but not because of us.
    assert "weightlock" not in refusal.value.message
