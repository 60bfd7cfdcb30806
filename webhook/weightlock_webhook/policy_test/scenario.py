"""The objects of files or of a cluster, sorted: what is judged, by what, and what else is known."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from weightlock.errors import Malformed, WeightlockError
from weightlock.policy.checkpoints import Checkpoint
from weightlock.policy.documents import Documents, read_documents
from weightlock.policy.objects import Policy
from weightlock.policy.unreadable import UnreadablePolicy
from weightlock.verdict.floors import Floors
from weightlock_webhook.mounts.fields import Fields
from weightlock_webhook.mounts.templates import PodTemplate, templates_of

JsonObject = Mapping[str, object]
Key = tuple[str, str]
"""A namespace, "" for objects without one, and a name."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A pod, or a template of one, to be judged."""

    kind: str
    namespace: str
    name: str
    template: PodTemplate

    @property
    def is_pod(self) -> bool:
        """Whether this is a pod itself and not the template of one."""
        return self.kind == "Pod"

    @property
    def exists(self) -> bool:
        """Whether an API server has stored it: then a scheduler has named its node."""
        metadata = self.template.metadata
        return self.is_pod and isinstance(metadata, Mapping) and bool(metadata.get("uid"))


@dataclass(frozen=True, slots=True)
class Scenario:
    """Everything that the files hold."""

    policies: tuple[Policy, ...] = ()
    checkpoints: tuple[Checkpoint, ...] = ()
    subjects: tuple[Subject, ...] = ()
    claims: Mapping[Key, JsonObject] = field(default_factory=dict)
    volumes: Mapping[Key, JsonObject] = field(default_factory=dict)
    namespaces: Mapping[Key, JsonObject] = field(default_factory=dict)
    device_claims: Mapping[Key, JsonObject] = field(default_factory=dict)
    device_claim_templates: Mapping[Key, JsonObject] = field(default_factory=dict)
    unused: tuple[str, ...] = ()
    """Objects that no decision looks at, such as Services."""
    highest_versions: Floors = field(default_factory=dict)
    restored_at: datetime | None = None
    writers: Mapping[Key, datetime] = field(default_factory=dict)
    """When claims could last be written to, where that is known."""
    unreadable: tuple[UnreadablePolicy, ...] = ()
    """Policies of a cluster that cannot be read; a file with one is refused."""
    absent: str = "which no file holds"
    """Why an object that is named is not here."""


def read_scenario(files: Iterable[tuple[str, bytes]], namespace: str) -> Scenario:
    """Everything in the files; objects that name no namespace are in the one given.

    Raises:
        WeightlockError: naming the file, for whatever cannot be read.
    """
    documents = Documents()
    for name, content in files:
        try:
            documents = documents.joined(read_documents(content, namespace))
        except WeightlockError as error:
            raise type(error)(f"{name}: {error.message}", hint=error.hint) from error
    return _sorted(documents, namespace)


def _sorted(documents: Documents, namespace: str) -> Scenario:
    found: dict[str, dict[Key, JsonObject]] = {kind: {} for kind in _NAMESPACED}
    subjects: list[Subject] = []
    unused: list[str] = []
    for value in documents.others:
        kind, key = _identity(value, namespace)
        if kind in found:
            _add(found[kind], key, value, kind)
            continue
        templates = tuple(_subjects(value, kind, key))
        subjects += templates
        unused += [] if templates else [f"{kind} {key[1]}"]
    return Scenario(
        documents.policies,
        documents.checkpoints,
        tuple(subjects),
        claims=found["PersistentVolumeClaim"],
        volumes=found["PersistentVolume"],
        namespaces=found["Namespace"],
        device_claims=found["ResourceClaim"],
        device_claim_templates=found["ResourceClaimTemplate"],
        unused=tuple(unused),
    )


_NAMESPACED = {
    "PersistentVolumeClaim": True,
    "PersistentVolume": False,
    "Namespace": False,
    "ResourceClaim": True,
    "ResourceClaimTemplate": True,
}


def _identity(value: JsonObject, namespace: str) -> tuple[str, Key]:
    root = Fields.of(value, "")
    kind, metadata = root.name("kind"), root.child("metadata")
    # A pod made by a controller has generateName only (B05).
    name = metadata.text("name") or metadata.text("generateName") or "(no name)"
    in_namespace = metadata.text("namespace") or namespace
    return kind, (in_namespace if _NAMESPACED.get(kind, True) else "", name)


def _add(known: dict[Key, JsonObject], key: Key, value: JsonObject, kind: str) -> None:
    if key in known:
        raise Malformed(f"found {kind} {'/'.join(filter(None, key))} twice")
    known[key] = value


def _subjects(value: JsonObject, kind: str, key: Key) -> Iterator[Subject]:
    return (Subject(kind, *key, template) for template in templates_of(value))
