"""Policies as objects of the cluster: who they are, and whom they govern."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from weightlock.errors import PolicyInvalid, WeightlockError
from weightlock.names import API_VERSION
from weightlock.policy import scalars
from weightlock.policy.fields import Fields
from weightlock.policy.selectors import LabelSelector
from weightlock.policy.spec import PolicySpec

OBJECT_FIELDS: Final = ("apiVersion", "kind", "metadata", "spec", "status")
NAMESPACE_NAME_LABEL: Final = "kubernetes.io/metadata.name"
MAX_GENERATION: Final = 2**63 - 1


class PolicyKind(StrEnum):
    """The two kinds of policy."""

    CLUSTER_MODEL_POLICY = "ClusterModelPolicy"
    MODEL_POLICY = "ModelPolicy"


@dataclass(frozen=True, slots=True)
class Metadata:
    """What of an object's metadata identifies it; `uid` is empty in a file."""

    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0

    @classmethod
    def from_fields(cls, fields: Fields) -> "Metadata":
        """Read `metadata`, which others write too: unknown fields are theirs."""
        return cls(
            fields.text("name", scalars.name),
            fields.text_or("namespace", scalars.optional_name, ""),
            fields.text_or("uid", scalars.line, ""),
            fields.integer_or("generation", 0, MAX_GENERATION, 0),
        )


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy with its name and its reach."""

    kind: PolicyKind
    metadata: Metadata
    spec: PolicySpec

    @property
    def origin(self) -> str:
        """How messages name the policy."""
        return origin_of(self.kind, self.metadata)

    @property
    def namespace_selector(self) -> LabelSelector:
        """Whom a ClusterModelPolicy governs."""
        return self.spec.namespace_selector

    @classmethod
    def from_object(cls, value: object, default_namespace: str = "") -> "Policy":
        """Read a whole object.

        Raises:
            PolicyInvalid: naming the field.
        """
        fields = object_fields(value, PolicyInvalid)
        kind = fields.choice("kind", PolicyKind)
        metadata = Metadata.from_fields(fields.section("metadata", None))
        policy = cls(
            kind,
            _placed(metadata, kind, default_namespace, fields),
            PolicySpec.from_spec(fields.raw("spec")),
        )
        if kind is PolicyKind.MODEL_POLICY and policy.spec.namespace_selector.expressions:
            raise fields.wrong(
                "spec.namespaceSelector",
                "found a selector, expected none: a ModelPolicy governs its own namespace only",
            )
        return policy

    def governs(self, namespace: str, labels: Mapping[str, str]) -> bool:
        """Whether pods of a namespace are judged by this policy."""
        return governs(self, namespace, labels)


class Placed(Protocol):
    """What says whom a policy governs."""

    @property
    def kind(self) -> PolicyKind:
        """Which of the two."""
        ...

    @property
    def metadata(self) -> Metadata:
        """Who it is."""
        ...

    @property
    def namespace_selector(self) -> LabelSelector:
        """Whom a ClusterModelPolicy governs."""
        ...


def governs(policy: Placed, namespace: str, labels: Mapping[str, str]) -> bool:
    """Whether pods of a namespace are judged by a policy.

    The label that carries the namespace's name is set here, so that neither an old server that does
    not write it nor whoever edits labels can change it (A30).
    """
    if policy.kind is PolicyKind.MODEL_POLICY:
        return policy.metadata.namespace == namespace
    return policy.namespace_selector.matches({**labels, NAMESPACE_NAME_LABEL: namespace})


def origin_of(kind: PolicyKind, metadata: Metadata) -> str:
    """How messages name a policy."""
    where = f"{metadata.namespace}/" if kind is PolicyKind.MODEL_POLICY else ""
    return f"{kind} {where}{metadata.name}"


def policies_governing(
    policies: Iterable[Policy], namespace: str, labels: Mapping[str, str]
) -> tuple[Policy, ...]:
    """Those of the policies that govern a namespace."""
    return tuple(policy for policy in policies if policy.governs(namespace, labels))


def object_fields(value: object, error: type[WeightlockError]) -> Fields:
    """The fields of an object of our API group, in exactly our version.

    Raises:
        PolicyInvalid: or the error given.
    """
    untyped = Fields(value, "object", None, error)
    kind = untyped.text("kind", scalars.line)
    fields = Fields(value, kind, OBJECT_FIELDS, error)
    version = fields.text("apiVersion", scalars.line)
    if version != API_VERSION:
        raise fields.wrong("apiVersion", f"found {scalars.shown(version)}, expected {API_VERSION}")
    return fields


def _placed(
    metadata: Metadata, kind: PolicyKind, default_namespace: str, fields: Fields
) -> Metadata:
    if kind is PolicyKind.MODEL_POLICY:
        namespace = metadata.namespace or default_namespace
        if not namespace:
            raise fields.wrong("metadata.namespace", "missing")
        return Metadata(metadata.name, namespace, metadata.uid, metadata.generation)
    if metadata.namespace:
        raise fields.wrong("metadata.namespace", f"found {metadata.namespace}, expected none")
    return metadata
