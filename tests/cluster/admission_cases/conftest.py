"""An API server, the webhook before it, and a tenant with verified checkpoints, for each module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.cluster.admission import Case, new_case, protected
from tests.cluster.admission_cases.shared import IMAGE, of_shared
from tests.support.admitting import is_allowed
from tests.support.protected import (
    bind,
    verify,
)
from tests.unit.webhook.objects import pod_spec
from tests.webhook_server.real import Webhook

from e2e.cluster.apiserver import ApiServer
from e2e.cluster.pytest_plugin import RunApiServer
from e2e.cluster.waiting import wait_until


@pytest.fixture(scope="module")
def server(run_apiserver: RunApiServer) -> Iterator[ApiServer]:
    with run_apiserver(audited=True) as found:
        yield found


@pytest.fixture(scope="module")
def webhook(server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webhook]:
    folder = tmp_path_factory.mktemp("webhook")
    with protected(server, folder, WEIGHTLOCK_VERIFIER_IMAGE=IMAGE) as found:
        yield found


@pytest.fixture(scope="module")
def verified(server: ApiServer, webhook: Webhook) -> Case:
    """A tenant with three claims: `llama` verified as a whole, `shared` at /good, `fresh` not."""
    case = new_case(server, webhook)
    for claim in ("llama", "shared", "fresh"):
        bind(case.tenant, claim)
    verify(case.tenant, "whole", "llama")
    verify(case.tenant, "part", "shared", "/good")
    wait_until(
        "both verdicts stand",
        lambda: (
            is_allowed(case.tenant.api, case.pod(pod_spec()))
            and is_allowed(case.tenant.api, case.pod(of_shared(subPath="good")))
        ),
        timeout_seconds=10,
    )
    return case
