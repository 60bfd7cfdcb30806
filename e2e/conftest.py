"""What the e2e tests share."""

from __future__ import annotations

import pytest

from e2e.cluster.running import RunningCluster
from e2e.cluster.tenants import Tenant


@pytest.fixture
def tenant(cluster: RunningCluster) -> Tenant:
    """Someone with edit rights in a namespace of this test's own."""
    return cluster.tenant()
