"""Fixtures for tests of the API: `apiserver` and its kin. Tests with running pods live in e2e.

Whoever asks for one of them is marked `apiserver` and so left out of a plain `python -m pytest`.
A test that was asked for and cannot run fails: it never passes in silence.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from e2e.cluster.apiserver import ApiServer, running_apiserver
from e2e.cluster.assets import API_ONLY, WITH_CONTROLLERS, Assets, assets_in
from e2e.cluster.commands import Programs
from e2e.cluster.native.kubernetes import kubernetes_servers
from e2e.cluster.native.preflight import Machine, check
from e2e.cluster.progress import Progress
from e2e.cluster.settings import Settings

RunApiServer = Callable[..., AbstractContextManager[ApiServer]]

FIXTURES = {"apiserver", "apiserver_with_controllers", "run_apiserver"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cluster", default="weightlock", help="the cluster that e2e tests use")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Before `-m` chooses."""
    for item in items:
        if FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("apiserver")


@pytest.fixture(scope="session")
def run_apiserver() -> RunApiServer:
    """Starts API servers: `with run_apiserver(controllers=True) as server:`."""

    def run(
        *, controllers: bool = False, audited: bool = False
    ) -> AbstractContextManager[ApiServer]:
        assets = _assets(controllers=controllers)
        return running_apiserver(assets, controllers=controllers, audited=audited)

    return run


@pytest.fixture(scope="session")
def apiserver(run_apiserver: RunApiServer) -> Iterator[ApiServer]:
    """An API server that all tests share: each works in namespaces of its own
    (`apiserver.tenant()`).
    """
    with run_apiserver() as server:
        yield server


@pytest.fixture(scope="session")
def apiserver_with_controllers(run_apiserver: RunApiServer) -> Iterator[ApiServer]:
    """The same with a controller manager: Jobs, service accounts, garbage collection, roles."""
    with run_apiserver(controllers=True) as server:
        yield server


def _assets(*, controllers: bool) -> Assets:
    needed = WITH_CONTROLLERS if controllers else API_ONLY
    settings = Settings.from_environ()
    progress = Progress(sys.stderr)
    programs = Programs(progress)
    if settings.assets:
        return assets_in(settings.assets, needed, programs)
    check(Machine.this())
    return assets_in(kubernetes_servers(settings, programs, progress), needed, programs)
