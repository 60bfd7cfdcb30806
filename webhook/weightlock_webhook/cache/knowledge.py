"""Everything that the webhook knows of the cluster, in one place, with how fresh it is."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from weightlock.policy.objects import PolicyKind
from weightlock.verdict.floors import highest_seen
from weightlock_webhook.cache import resources
from weightlock_webhook.cache.checkpoints import Checkpoints
from weightlock_webhook.cache.errors import Crowded, Stale
from weightlock_webhook.cache.memory import Restores, SealKeys, Versions
from weightlock_webhook.cache.objects import (
    CheckpointItem,
    ClaimItem,
    ConfigMapItem,
    NamespaceItem,
    PolicyItem,
    SecretItem,
    VolumeItem,
)
from weightlock_webhook.cache.pods import Writer
from weightlock_webhook.cache.policies import Policies
from weightlock_webhook.cache.reflector import Patience, Reflector
from weightlock_webhook.cache.store import Store
from weightlock_webhook.cache.transport import Transport
from weightlock_webhook.cache.volumes import Claims, Volumes
from weightlock_webhook.cache.writers import Writers

STALE_SECONDS: Final = 90.0
"""Beyond this nothing is let in that rests on it. Watches prove themselves every 50 seconds, and a
silent one is replaced after 75."""


class Knowledge:
    """The stores, and what is worked out beside them. `clock` is the wall clock, in UTC."""

    def __init__(
        self,
        clock: Callable[[], datetime],
        steady: Callable[[], float],
        *,
        stale_seconds: float = STALE_SECONDS,
    ) -> None:
        self._steady = steady
        self._stale_seconds = stale_seconds
        self._began = steady()
        self.namespaces: Store[NamespaceItem] = Store("namespaces")
        self.policies = Policies(self.namespaces, self._has_too_many_policies)
        self.cluster_policies: Store[PolicyItem] = Store(
            resources.CLUSTER_POLICIES, self.policies.listener(PolicyKind.CLUSTER_MODEL_POLICY)
        )
        self.namespaced_policies: Store[PolicyItem] = Store(
            resources.POLICIES,
            self.policies.listener(PolicyKind.MODEL_POLICY),
            room=resources.MODEL_POLICIES.room,
        )
        self.checkpoint_index = Checkpoints()
        self.checkpoints: Store[CheckpointItem] = Store(
            resources.CHECKPOINTS,
            self.checkpoint_index.changed,
            room=resources.MODEL_CHECKPOINTS.room,
        )
        self.writers = Writers(clock)
        self.claims: Store[ClaimItem] = Store(resources.CLAIMS.name, self.writers.claim_changed)
        self.claim_reader = Claims()
        self.volume_index = Volumes()
        self.volumes: Store[VolumeItem] = Store(resources.VOLUMES.name, self.volume_index.changed)
        self.writing_pods: Store[Writer] = Store(resources.WRITERS.name, self.writers.changed)
        self.seal_keys, self.versions, self.restores = SealKeys(), Versions(), Restores(clock)
        self.seal: Store[SecretItem] = Store("seal", self.seal_keys.changed)
        self.floors: Store[ConfigMapItem] = Store("versions", self.versions.changed)
        self.state: Store[ConfigMapItem] = Store("state", self.restores.changed)
        rules = (self.namespaces, self.cluster_policies, self.namespaced_policies)
        self._rules = _Proof(rules, steady, stale_seconds)
        self._all = _Proof(self.stores, steady, stale_seconds)

    @property
    def stores(self) -> tuple[Store[Any], ...]:
        """All of them."""
        return (
            self.namespaces,
            self.cluster_policies,
            self.namespaced_policies,
            self.checkpoints,
            self.claims,
            self.volumes,
            self.writing_pods,
            self.seal,
            self.floors,
            self.state,
        )

    @property
    def is_synced(self) -> bool:
        """Whether every resource was listed once."""
        return all(store.is_synced for store in self.stores)

    def staleness_seconds(self) -> Mapping[str, float]:
        """Per resource, how long ago it was last proven to be all there is."""
        now = self._steady()
        return {store.name: store.staleness_seconds(now) for store in self.stores}

    def counts(self) -> Mapping[str, int]:
        """Per resource, how many objects are kept."""
        return {store.name: len(store) for store in self.stores}

    def expected(
        self, namespace: str, checkpoint: str, policies: Iterable[str]
    ) -> tuple[str | None, int]:
        """The model that a checkpoint is registered as, and the highest that these vouched for."""
        item = self.checkpoints.get((namespace, checkpoint))
        found = self.checkpoint_index.read((item,)) if item else ()
        name = found[0].spec.model_name if found else None
        return name, highest_seen(self.versions.highest, policies, name) if name else 0

    def expect_rules(self) -> None:
        """Raise if policies or namespaces are too old to say that nobody minds a pod (A38).

        Raises:
            Stale: naming the resource.
        """
        self._rules.expect()

    def expect_grounds(self, namespace: str) -> None:
        """Raise if anything is too old, or too much, to judge storage there by it (A38).

        Raises:
            Stale: naming the resource.
            Crowded: if the namespace has more checkpoints than are kept of it.
        """
        self._all.expect()
        if self.checkpoints.is_crowded(namespace):
            raise Crowded(
                f"the namespace {namespace} has more ModelCheckpoints than are kept of one:"
                f" {resources.MOST_CHECKPOINTS}, or {resources.MOST_SIZE >> 20} MiB of them",
                hint="Delete those that are not needed; within a minute the rest count again.",
            )

    def expect_ready(self) -> None:
        """Raise if this replica should not be asked yet, or no more.

        Without rules nothing is let in, and while it starts all the rest is waited for. Later a
        replica without the rest still answers for whoever needs none of it: were it not asked, what
        a tenant does to one watch would stop everybody.

        Raises:
            Stale: naming the resource.
        """
        self._rules.expect()
        if self._steady() - self._began < self._stale_seconds and not self.is_synced:
            self._all.expect()

    def _has_too_many_policies(self, namespace: str) -> bool:
        return self.namespaced_policies.is_crowded(namespace)


class _Proof:
    """That some stores were heard of not long ago."""

    def __init__(
        self, stores: Sequence[Store[Any]], steady: Callable[[], float], stale_seconds: float
    ) -> None:
        self._stores = stores
        self._steady = steady
        self._stale_seconds = stale_seconds
        self._fresh_until = float("-inf")

    def expect(self) -> None:
        now = self._steady()
        # What was proven stays proven, so until the oldest proof is too old nothing can be stale.
        if now <= self._fresh_until:
            return
        for store in self._stores:
            age = store.staleness_seconds(now)
            if age > self._stale_seconds:
                since = f"for {age:.0f} s" if store.is_synced else "since this process started"
                raise Stale(
                    f"nothing was heard of {store.name} {since},"
                    f" at most {self._stale_seconds:.0f} s are acceptable",
                    hint="See whether the webhook reaches the API server, then try again.",
                )
        oldest = max(store.staleness_seconds(now) for store in self._stores)
        self._fresh_until = now + self._stale_seconds - oldest


async def watch(
    knowledge: Knowledge,
    transport: Transport,
    namespace: str,
    jitter: Callable[[], float],
    patience: Patience | None = None,
) -> None:
    """Keep the knowledge current until cancelled; a mistake of ours ends all of it."""

    def reflector(resource: resources.Resource[Any, Any], store: Store[Any]) -> Reflector[Any, Any]:
        return Reflector(
            resource,
            store,
            transport,
            jitter,
            patience=patience,
            went_back=knowledge.restores.notice,
        )

    pairs: tuple[tuple[resources.Resource[Any, Any], Store[Any]], ...] = (
        (resources.NAMESPACES, knowledge.namespaces),
        (resources.CLUSTER_MODEL_POLICIES, knowledge.cluster_policies),
        (resources.MODEL_POLICIES, knowledge.namespaced_policies),
        (resources.CLAIMS, knowledge.claims),
        (resources.VOLUMES, knowledge.volumes),
        (resources.WRITERS, knowledge.writing_pods),
        (resources.seal_secret(namespace), knowledge.seal),
        (resources.versions_config_map(namespace), knowledge.floors),
        (resources.state_config_map(namespace), knowledge.state),
        (resources.MODEL_CHECKPOINTS, knowledge.checkpoints),
    )
    async with asyncio.TaskGroup() as tasks:
        for resource, store in pairs:
            tasks.create_task(reflector(resource, store).run(), name=f"watch {resource.name}")
