"""The process before the real API server: what it covers, says and restores."""

from __future__ import annotations

import re
from contextlib import suppress

import pytest
from tests.support.admitting import is_allowed, why_refused
from tests.webhook_server.real import (
    Webhook,
    lines_of,
)
from tests.webhook_server.site import Site

from e2e.cluster.api import ApiError, Json
from e2e.cluster.waiting import wait_until

pytestmark = pytest.mark.apiserver


KNOWN = frozenset(
    {
        "pods/attach",
        "pods/binding",
        "pods/ephemeralcontainers",
        "pods/eviction",
        "pods/exec",
        "pods/log",
        "pods/portforward",
        "pods/proxy",
        "pods/resize",
        "pods/status",
    }
)
"""Those of every server up to 1.37, whatever this one has."""

HARMLESS = {
    "pods/eviction": "it deletes a pod and writes nothing into it; the Job makes another one, and"
    " only a report of a pod that ended counts; nodes must be drained",
    "pods/log": "reading it changes nothing, and no admission is asked about reads",
    "pods/proxy": "speaks HTTP to a port of the pod; verification pods open none",
}


def test_every_subresource_of_what_is_guarded_is_covered_or_known_to_be_harmless(
    site: Site,
) -> None:
    path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/weightlock"
    covered = {
        (group, version, resource)
        for webhook in site.admin.get(path)["webhooks"]
        for rule in webhook["rules"]
        for group in rule["apiGroups"]
        for version in rule["apiVersions"]
        for resource in rule["resources"]
        if version != "*"  # workloads, which are only warned about
    }
    assert {name for _, _, name in covered} >= KNOWN - HARMLESS.keys()
    assert not {name for _, _, name in covered} & HARMLESS.keys(), "what has a rule is not harmless"
    unknown = set()
    for group, version in {each[:2] for each in covered}:
        root = f"/apis/{group}/{version}" if group else f"/api/{version}"
        guarded = {name.split("/")[0] for *at, name in covered if at == [group, version]}
        served = {each["name"] for each in site.admin.get(root)["resources"]}
        assert guarded <= served
        unknown |= {
            name
            for name in served
            if name.split("/")[0] in guarded
            and (group, version, name) not in covered
            and name not in HARMLESS
        }
    assert not unknown, f"write a rule for {unknown}, or say why they are harmless"


def test_a04_a_configuration_that_calls_the_wrong_path_lets_nothing_in(site: Site) -> None:
    """Under failurePolicy Fail a path that is not served is an outage and no bypass."""
    path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
    (live, *_) = site.admin.get(f"{path}/weightlock")["webhooks"]
    client = dict(live["clientConfig"])
    tenant = site.server.tenant("a04")
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": tenant.namespace}}
    site.admin.patch(namespace, {"metadata": {"labels": {"a04": "yes"}}})
    pod = tenant.object(
        "v1", "Pod", "p", spec={"containers": [{"name": "main", "image": "trainer"}]}
    )
    wrong = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "wrong"},
        "webhooks": [
            {
                "name": "wrong.example.com",
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "failurePolicy": "Fail",
                "namespaceSelector": {"matchLabels": {"a04": "yes"}},
                "rules": live["rules"],
                "clientConfig": {**client, "url": f"{client['url']}/wrong"},
            }
        ],
    }
    assert is_allowed(tenant.api, pod)
    site.admin.create(wrong)
    try:
        wait_until(
            "the wrong path is called",
            lambda: "failed calling webhook" in why_refused(tenant.api, pod),
            timeout_seconds=10,
        )
        with pytest.raises(ApiError):
            site.admin.read(pod)
    finally:
        site.admin.delete(wrong)
    wait_until("it is gone", lambda: is_allowed(tenant.api, pod), timeout_seconds=10)
    tenant.api.create(pod)


def test_the_canary_is_no_decision_of_the_process(site: Site) -> None:
    """It was refused, or the process would not be ready, and nothing counts or logs it."""
    assert site.webhook.probe("/readyz")[0] == 200
    assert "canary" not in site.webhook.log.read_text()
    counted = [
        line
        for line in site.webhook.probe("/metrics")[1].splitlines()
        if line.startswith("weightlock_admission_requests_total{") and 'reason="Malformed"' in line
    ]
    assert any('resource="pods"' in line for line in counted)
    assert all(line.endswith(" 0.0") for line in counted)


def test_it_is_armed_and_its_metrics_are_bounded(site: Site) -> None:
    wait_until(
        "it is armed",
        lambda: site.webhook.metric("weightlock_admission_armed") == 1,
        timeout_seconds=10,
    )
    text = site.webhook.probe("/metrics")[1]
    assert "weightlock_admission_requests_total{" in text
    assert re.search(r'weightlock_cache_objects\{resource="modelcheckpoints"\} \d', text)
    assert site.tenant.namespace not in text
    assert site.webhook.metric("weightlock_certificate_expiry_timestamp_seconds") > 0


def decisions(webhook: Webhook, name: str) -> list[Json]:
    found = (line.get("admission", {}) for line in lines_of(webhook.log))
    return [each for each in found if each.get("name") == name]


def test_the_log_says_each_decision_once_and_escapes_names(site: Site) -> None:
    site.refused(site.pod("logged", "fresh"))
    found = wait_until(
        "the decision is written", lambda: decisions(site.webhook, "logged"), timeout_seconds=5
    )
    assert len(found) == 1
    assert found[0]["decision"] == "Deny"
    assert "ClusterModelPolicy strict" in found[0]["policy"]


def test_a_configuration_that_is_edited_or_removed_comes_back(site: Site) -> None:
    root = "/apis/admissionregistration.k8s.io/v1"
    validating = f"{root}/validatingwebhookconfigurations/weightlock"
    mutating = f"{root}/mutatingwebhookconfigurations/weightlock"
    live = site.admin.get(validating)
    live["webhooks"][0]["failurePolicy"] = "Ignore"
    site.admin.send("PUT", validating, live)
    site.admin.send("DELETE", mutating)

    def is_back() -> bool:
        with suppress(ApiError):
            policy = site.admin.get(validating)["webhooks"][0]["failurePolicy"]
            return bool(policy == "Fail" and site.admin.get(mutating)["webhooks"])
        return False

    wait_until("both are as shipped", is_back, timeout_seconds=20)
    wait_until(
        "a violating pod is refused again",
        lambda: not is_allowed(site.tenant.api, site.pod("after", "fresh")),
        timeout_seconds=10,
    )
    site.stored(site.pod("after-twin"))
