"""Everything of a live cluster that a decision about pods of one namespace rests on.

A user seldom may read all of it. What the decision cannot do without raises; for the rest there is
a remark, and what `policy test` assumes where files are silent is assumed here too.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from weightlock import cluster_names
from weightlock.errors import Malformed, WeightlockError
from weightlock.names import API_VERSION
from weightlock.policy.checkpoints import Checkpoint
from weightlock.policy.objects import Metadata, Policy, PolicyKind
from weightlock.policy.scalars import instant
from weightlock.policy.unreadable import UnreadablePolicy
from weightlock.verdict.floors import Floors, read_entry
from weightlock_webhook.kubectl.cluster import (
    CORE,
    OURS,
    Cluster,
    Forbidden,
    JsonObject,
    NotInstalled,
    found_at,
    items_at,
    namespaced,
    text_at,
)
from weightlock_webhook.kubectl.writers import written_claims
from weightlock_webhook.policy_test.scenario import Key, Scenario, Subject

NOT_READ: Final = "which you may not read"
_DEVICE_APIS: Final = ("v1", "v1beta2", "v1beta1")


@dataclass(frozen=True, slots=True)
class Observed:
    """A namespace, as far as the user may see it."""

    scenario: Scenario
    checkpoints: Mapping[str, JsonObject]
    """As the API server has them, by name: the decision reads less of a status than people do."""

    remarks: tuple[str, ...]


def observe(
    cluster: Cluster, namespace: str, subjects: Sequence[Subject], now: datetime
) -> Observed:
    """Read a namespace and the policies that may govern it.

    Raises:
        ClusterTrouble: if policies or checkpoints cannot be read.
    """
    reading = _Reading(cluster, namespace)
    checkpoints = {
        text_at(each, "metadata", "name"): each
        for each in cluster.list(namespaced(namespace, "modelcheckpoints"))
    }
    uses_devices = any(items_at(each.template.spec, "resourceClaims") for each in subjects)
    scenario = Scenario(
        policies=tuple(reading.policies()),
        unreadable=tuple(reading.unreadable),
        checkpoints=tuple(reading.readable(checkpoints.values())),
        subjects=tuple(subjects),
        claims=reading.claims(),
        volumes=reading.by_name(f"{CORE}/persistentvolumes", ""),
        namespaces=reading.the_namespace(),
        device_claims=reading.devices("resourceclaims") if uses_devices else {},
        device_claim_templates=reading.devices("resourceclaimtemplates") if uses_devices else {},
        highest_versions=reading.highest_versions(),
        restored_at=reading.restored_at(),
        writers=reading.writers(now),
        absent=NOT_READ,
    )
    return Observed(scenario, checkpoints, tuple(reading.remarks))


class _Reading:
    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self.remarks: list[str] = []
        self.unreadable: list[UnreadablePolicy] = []

    def policies(self) -> Iterator[Policy]:
        found = {
            PolicyKind.CLUSTER_MODEL_POLICY: f"{OURS}/clustermodelpolicies",
            PolicyKind.MODEL_POLICY: namespaced(self._namespace, "modelpolicies"),
        }
        for kind, path in found.items():
            for each in self._cluster.list(path):
                whole = {"apiVersion": API_VERSION, "kind": kind.value, **each}
                try:
                    yield Policy.from_object(whole)
                except WeightlockError as error:
                    own = "" if kind is PolicyKind.CLUSTER_MODEL_POLICY else self._namespace
                    metadata = Metadata(text_at(each, "metadata", "name"), own)
                    spec = each.get("spec")
                    self.unreadable.append(UnreadablePolicy.of(kind, metadata, spec, error))

    def readable(self, checkpoints: Iterable[JsonObject]) -> Iterator[Checkpoint]:
        for each in checkpoints:
            try:
                whole = {"apiVersion": API_VERSION, "kind": "ModelCheckpoint", **each}
                yield Checkpoint.from_object(whole, self._namespace)
            except WeightlockError as error:
                # It vouches for nothing, to the webhook as here.
                name = text_at(each, "metadata", "name")
                self.remarks.append(f"ModelCheckpoint {name} cannot be read: {error.message}")

    def claims(self) -> dict[Key, JsonObject]:
        path = namespaced(self._namespace, "persistentvolumeclaims", api=CORE)
        return self.by_name(path, self._namespace)

    def by_name(self, path: str, namespace: str) -> dict[Key, JsonObject]:
        return {(namespace, text_at(each, "metadata", "name")): each for each in self._listed(path)}

    def the_namespace(self) -> dict[Key, JsonObject]:
        found = self._got(f"{CORE}/namespaces/{self._namespace}")
        return {("", self._namespace): found} if found else {}

    def devices(self, plural: str) -> dict[Key, JsonObject]:
        for version in _DEVICE_APIS:
            path = namespaced(self._namespace, plural, api=f"/apis/resource.k8s.io/{version}")
            try:
                listed = self._cluster.list(path)
            except (NotInstalled, Forbidden):
                continue
            return {(self._namespace, text_at(each, "metadata", "name")): each for each in listed}
        return {}

    def highest_versions(self) -> Floors:
        found = self._ours(cluster_names.VERSIONS_CONFIG_MAP)
        data = found_at(found, "data") or {}
        # What is damaged is the operator's to repair; the webhook leaves it out too.
        return dict(filter(None, (read_entry(key, str(text)) for key, text in data.items())))

    def restored_at(self) -> datetime | None:
        found = self._ours(cluster_names.STATE_CONFIG_MAP)
        text = text_at(found, "data", cluster_names.RESTORED_AT_KEY)
        try:
            return instant(text) if text else None
        except Malformed:
            self.remarks.append(f"ConfigMap {cluster_names.STATE_CONFIG_MAP} cannot be read.")
            return None

    def writers(self, now: datetime) -> dict[Key, datetime]:
        pods = self._listed(namespaced(self._namespace, "pods", api=CORE))
        return {(self._namespace, name): at for name, at in written_claims(pods, now).items()}

    def _ours(self, config_map: str) -> JsonObject | None:
        try:
            return self._cluster.get(
                namespaced(cluster_names.NAMESPACE, "configmaps", config_map, api=CORE)
            )
        except Forbidden:
            self.remarks.append(
                f"You may not read ConfigMap {config_map} of namespace {cluster_names.NAMESPACE},"
                " so what it says is not looked at."
            )
            return None

    def _got(self, path: str) -> JsonObject | None:
        try:
            return self._cluster.get(path)
        except Forbidden as error:
            self.remarks.append(error.message)
            return None

    def _listed(self, path: str) -> Sequence[JsonObject]:
        try:
            return self._cluster.list(path)
        except Forbidden as error:
            self.remarks.append(error.message)
            return ()
