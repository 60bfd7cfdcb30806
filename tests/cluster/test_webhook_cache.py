"""The webhook's cache and live reads against a real API server."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from tests.support.assembly import Assembled, Edges, Installation, assembled
from tests.support.protected import (
    bind,
    delete_claim,
    install,
    put_policy,
    record,
    register,
    verify,
)
from tests.unit.webhook.objects import claim_volume, container, mount, pod_spec

from e2e.cluster.api import Json
from e2e.cluster.apiserver import ApiServer
from e2e.cluster.pytest_plugin import RunApiServer
from e2e.cluster.tenants import Tenant
from weightlock.cluster_names import NAMESPACE as SYSTEM
from weightlock.reasons import Reason
from weightlock_webhook.cache.access import from_kubeconfig
from weightlock_webhook.cache.client import Bounds, connected
from weightlock_webhook.cache.features import discovered
from weightlock_webhook.cache.objects import Item, Page
from weightlock_webhook.cache.policies import identity_of
from weightlock_webhook.cache.resources import CLUSTER_POLICIES, GROUP_PATH
from weightlock_webhook.decision.answers import Answer, Outcome
from weightlock_webhook.decision.facts import Allowances
from weightlock_webhook.live.reads import ONLY_METADATA
from weightlock_webhook.mounts import containers, pods, sources
from weightlock_webhook.reviews.collaborators import PodQuestion

SECONDS = 20.0


@pytest.fixture(scope="module")
def server(run_apiserver: RunApiServer) -> Iterator[ApiServer]:
    """An API server with the custom resources, for this module: its policies are everywhere."""
    with run_apiserver() as found:
        install(found.api)
        put_policy(found.api)
        yield found


@pytest.fixture
def tenant(server: ApiServer) -> Tenant:
    return server.tenant()


@dataclass
class Story:
    """A tenant, and the webhook's parts that watch the same server."""

    tenant: Tenant
    webhook: Assembled

    async def do(self, deed: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
        """A blocking call, beside the watches."""
        return await asyncio.to_thread(deed, *arguments, **more)

    async def answer(self, spec: Json | None = None) -> Answer:
        """What the webhook says of a pod of the tenant's at this moment."""
        question = PodQuestion(self.tenant.namespace, {}, spec or pod_spec())
        return await self.webhook.judge.answer(question, asyncio.get_running_loop().time() + 3)

    async def until(self, reason: Reason, spec: Json | None = None) -> Answer:
        """Ask until the answer is this one."""
        last = None
        for _ in range(int(SECONDS / 0.05)):
            last = await self.answer(spec)
            if last.reason is reason:
                return last
            await asyncio.sleep(0.05)
        raise AssertionError(f"the answer is still {last}")


@asynccontextmanager
async def story(
    server: ApiServer, tenant: Tenant, bounds: Bounds | None = None
) -> AsyncIterator[Story]:
    loop = asyncio.get_running_loop()
    async with connected(from_kubeconfig(server.kubeconfig), bounds) as client:
        webhook = assembled(
            client,
            Installation(SYSTEM, Allowances()),
            Edges(lambda: datetime.now(tz=UTC), loop.time, random.random),  # noqa: TID251 the edge
        )
        task = asyncio.create_task(webhook.run())
        try:
            async with asyncio.timeout(SECONDS):
                while not webhook.knowledge.is_synced:
                    await asyncio.sleep(0.02)
            yield Story(tenant, webhook)
        finally:
            task.cancel()
            await asyncio.wait([task])


def test_which_policies_there_are_is_told_without_their_keys(server: ApiServer) -> None:
    """By the server itself: what comes is a fraction, and names the same policies."""
    path = f"{GROUP_PATH}/{CLUSTER_POLICIES}"

    async def told() -> None:
        async with connected(from_kubeconfig(server.kubeconfig)) as client:
            deadline = asyncio.get_running_loop().time() + SECONDS
            whole = await client.call("GET", path, deadline=deadline)
            short = await client.call("GET", path, deadline=deadline, accept=ONLY_METADATA)
            pages = [msgspec.json.decode(each.body, type=Page[Item]) for each in (whole, short)]
            known, found = (set(map(identity_of, page.items or ())) for page in pages)
            assert found == known != set()
            assert b"PUBLIC KEY" in whole.body
            assert b"PUBLIC KEY" not in short.body

    asyncio.run(told())


def test_a_verified_checkpoint_lets_the_pod_in_and_a_new_one_does_not(
    server: ApiServer, tenant: Tenant
) -> None:
    async def told() -> None:
        async with story(server, tenant) as found:
            await found.do(bind, tenant)
            await found.until(Reason.NO_CHECKPOINT)
            made = await found.do(register, tenant, "step-1")
            await found.until(Reason.NOT_VERIFIED)
            await found.do(record, tenant, made)
            answer = await found.until(Reason.VERIFIED)
            assert answer.outcome is Outcome.ALLOW

    asyncio.run(told())


def test_a_claim_that_was_deleted_and_made_again_never_lets_the_next_pod_in(
    server: ApiServer, tenant: Tenant
) -> None:
    """Delete and recreate the claim, then create the pod at once, many times (A28)."""

    async def told() -> None:
        async with story(server, tenant) as found:
            for round_ in range(20):
                await found.do(bind, tenant)
                made = await found.do(verify, tenant, f"round-{round_}")
                await found.until(Reason.VERIFIED)
                await found.do(delete_claim, tenant)
                await found.do(bind, tenant)
                # At once: refused by whatever the watches have brought so far, the old claim, none,
                # or the new one; and by what is there now as soon as they have.
                assert (await found.answer()).outcome is Outcome.DENY
                await found.until(Reason.IDENTITY_CHANGED)
                await found.do(tenant.admin.delete, made)
                await found.do(delete_claim, tenant)
                assert (await found.answer()).outcome is Outcome.DENY

    asyncio.run(told())


def test_a_removed_policy_key_counts_no_more_within_a_second(
    server: ApiServer, tenant: Tenant
) -> None:
    async def told() -> None:
        async with story(server, tenant) as found:
            await found.do(bind, tenant)
            made = await found.do(verify, tenant)
            await found.until(Reason.VERIFIED)
            keyid = made["status"]["signatures"][0]["keyid"]
            try:
                await found.do(put_policy, server.api, denied={"keyids": [keyid]})
                began = asyncio.get_running_loop().time()
                await found.until(Reason.KEY_REVOKED)
                assert asyncio.get_running_loop().time() - began < 1
            finally:
                await found.do(put_policy, server.api, denied=None)
            await found.until(Reason.VERIFIED)

    asyncio.run(told())


def test_a_writing_pod_is_seen_and_remembered(server: ApiServer, tenant: Tenant) -> None:
    async def told() -> None:
        async with story(server, tenant) as found:
            await found.do(bind, tenant)
            await found.do(verify, tenant)
            await found.until(Reason.VERIFIED)
            writable = [container(mount(readOnly=False))]
            writer = tenant.object("v1", "Pod", "writer")
            writer["spec"] = pod_spec(claim_volume(read_only=False), containers=writable)
            await found.do(tenant.api.create, writer)
            await found.until(Reason.WRITER_SEEN)
            await found.do(tenant.api.delete, writer)
            await asyncio.sleep(0.5)
            assert (await found.answer()).reason is Reason.WRITER_SEEN

    asyncio.run(told())


def test_pods_that_are_long_on_the_wire_stop_nobody_else(server: ApiServer, tenant: Tenant) -> None:
    """Each is six times as long as it is in etcd, and all of them are more than one page."""
    bounds = Bounds(reply_bytes=3 << 20, line_bytes=2 << 20)

    def long(number: int) -> Json:
        writable = [container(mount(readOnly=False), env=[{"name": "A", "value": "<" * 200_000}])]
        pod = tenant.object("v1", "Pod", f"long-{number}")
        pod["spec"] = pod_spec(claim_volume(read_only=False), containers=writable)
        made: Json = tenant.api.create(pod)
        return made

    async def told() -> None:
        pods = [await asyncio.to_thread(long, number) for number in range(5)]
        async with story(server, tenant, bounds) as found:
            assert found.webhook.knowledge.counts()["pods"] == 5, "listed, in short pages"
            pods.append(await found.do(long, 5))
            async with asyncio.timeout(SECONDS):
                while found.webhook.knowledge.counts()["pods"] < 6:
                    await asyncio.sleep(0.05)
            for pod in pods:
                await found.do(tenant.api.delete, pod)
            async with asyncio.timeout(SECONDS):
                while found.webhook.knowledge.counts()["pods"]:
                    await asyncio.sleep(0.05)

    asyncio.run(told())


def test_no_pod_that_the_server_takes_is_longer_than_what_is_taken_of_it(
    server: ApiServer, tenant: Tenant
) -> None:
    async def told() -> None:
        async with story(server, tenant) as found:
            writable = [
                container(mount(readOnly=False), env=[{"name": "A", "value": "<" * 1_500_000}])
            ]
            pod = tenant.object("v1", "Pod", "longest")
            pod["spec"] = pod_spec(claim_volume(read_only=False), containers=writable)
            made = await found.do(tenant.api.create, pod)
            async with asyncio.timeout(SECONDS):
                while not found.webhook.knowledge.counts()["pods"]:
                    await asyncio.sleep(0.05)
            await found.do(tenant.api.delete, made)

    asyncio.run(told())


def test_a_restarted_api_server_is_found_again_with_what_was_deleted_meanwhile(
    run_apiserver: RunApiServer,
) -> None:
    with run_apiserver() as server:
        install(server.api)
        put_policy(server.api)
        tenant = server.tenant()

        async def told() -> None:
            async with story(server, tenant) as found:
                await found.do(bind, tenant)
                made = await found.do(verify, tenant)
                await found.until(Reason.VERIFIED)
                await found.do(server.stop)
                with pytest.raises(Exception, match="did not answer"):
                    await found.answer()
                await found.do(server.start)
                await found.do(tenant.admin.delete, made)
                assert (await found.answer()).outcome is Outcome.DENY
                async with asyncio.timeout(SECONDS):
                    while found.webhook.knowledge.counts()["modelcheckpoints"]:
                        await asyncio.sleep(0.1)
                await found.do(verify, tenant, "again")
                await found.until(Reason.VERIFIED)

        asyncio.run(told())


def test_a_version_that_etcd_has_compacted_is_followed_by_a_list(
    run_apiserver: RunApiServer,
) -> None:
    with run_apiserver() as server:
        install(server.api)
        put_policy(server.api)
        tenant = server.tenant()

        async def told() -> None:
            async with story(server, tenant) as found:
                await found.do(bind, tenant)
                made = await found.do(verify, tenant)
                await found.until(Reason.VERIFIED)
                await found.do(server.stop)
                # A fresh server remembers nothing from before its start: 410 for older versions.
                await found.do(server.start)
                await found.do(tenant.admin.delete, made)
                for number in range(50):
                    await found.do(register, tenant, f"other-{number}", "other")
                await found.until(Reason.NO_CHECKPOINT)
                assert found.webhook.knowledge.counts()["modelcheckpoints"] == 50

        asyncio.run(told())


def test_every_pod_field_of_the_server_is_known(server: ApiServer) -> None:
    """What the live server's OpenAPI lists beside the published schemas."""

    async def told() -> None:
        async with connected(from_kubeconfig(server.kubeconfig)) as client:
            features = await discovered(client)
        assert features.volume_sources <= sources.KNOWN_SOURCES
        assert features.pod_fields <= pods.KNOWN_POD_FIELDS
        assert features.mount_fields <= containers.KNOWN_MOUNT_FIELDS
        assert features.container_fields <= containers.KNOWN_CONTAINER_FIELDS
        assert {"persistentVolumeClaim", "ephemeral", "csi"} <= features.volume_sources
        assert features.has_scheduling_gates is (server.assets.minor >= 26)

    asyncio.run(told())
