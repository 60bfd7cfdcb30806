"""A site for each module that needs one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.admitting import is_allowed
from tests.unit.policy.builders import PQ, policy_object
from tests.webhook_server.real import (
    Storage,
    checkpoint,
    running_webhook,
    verify,
)
from tests.webhook_server.site import Site

from e2e.cluster.pytest_plugin import RunApiServer
from e2e.cluster.waiting import wait_until


@pytest.fixture(scope="module")
def site(run_apiserver: RunApiServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with run_apiserver() as server:
        folder = tmp_path_factory.mktemp("webhook")
        with running_webhook(server, folder) as webhook:
            tenant = server.tenant()
            api = server.api
            api.create(policy_object("strict"))
            for name in ("llama", "fresh"):
                Storage(api, tenant.namespace, name).make()
            found = api.create(checkpoint(tenant.namespace, "llama"))
            verify(api, found, Storage(api, tenant.namespace, "llama"), PQ.keyid, PQ.algorithm.name)
            site = Site(server, webhook, tenant)
            wait_until(
                "a compliant pod is let in",
                lambda: is_allowed(tenant.api, site.pod("probe")),
                timeout_seconds=10,
            )
            yield site
