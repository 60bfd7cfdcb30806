"""Objects that decide what storage is mounted and that a tenant may edit (A28).

A driver is handed a Secret with every mount, and may find server, bucket or database in it. What is
in a Secret belongs to no volume's identity, and nobody here reads Secrets. So a verdict counts only
where those who load the checkpoint cannot edit what finds it: never with an object in the claim's
own namespace. One in another namespace is taken for the administrators'.

Where there are such references:

1. `...SecretRef` of any source; without a namespace it is in the pod's
2. `secretName` of azureFile, and the Endpoints of glusterfs, which name its servers
3. attributes of CSI drivers that take the name of a Secret there, in any spelling
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from weightlock.errors import Malformed
from weightlock.verdict.storage import source_kind

HINT: Final = (
    "Ask an administrator to put it into a namespace where no tenant works, as"
    " csi.storage.k8s.io/node-publish-secret-namespace and its kin of the StorageClass say, and to"
    " make the volume anew."
)
INLINE_HINT: Final = (
    "Use a persistentVolumeClaim: an inline volume's Secret is always the pod's own."
)

_REFERENCE: Final = "secretref"
_NAME: Final = "secretname"
_NAMESPACE: Final = "secretnamespace"

_BY_NAME: Final[Mapping[str, tuple[str, str]]] = {
    "azureFile": ("secretName", "secretNamespace"),
    "glusterfs": ("endpoints", "endpointsNamespace"),
}


@dataclass(frozen=True, slots=True)
class Reference:
    """One such object, and the field that names it; `namespace` is "" for the pod's own."""

    field: str
    name: str
    namespace: str

    def __str__(self) -> str:
        return f"{self.field} {self.name}".rstrip()


def references_of_volume(spec: Mapping[str, object]) -> tuple[Reference, ...]:
    """What the spec of a persistent volume refers to.

    Raises:
        Malformed: for what the API server would not have sent.
    """
    kind = source_kind(spec)
    return references_of_source(kind, _object(spec[kind], kind))


def references_of_source(kind: str, source: Mapping[str, object]) -> tuple[Reference, ...]:
    """What a source refers to.

    Raises:
        Malformed: for what the API server would not have sent.
    """
    return (*_structured(kind, source), *_by_name(kind, source), *_in_attributes(kind, source))


def within(references: tuple[Reference, ...], namespace: str) -> tuple[Reference, ...]:
    """Those that lie in the namespace of the claim. Law: a reference without one always does."""
    return tuple(each for each in references if each.namespace in ("", namespace))


def _structured(kind: str, source: Mapping[str, object]) -> Iterator[Reference]:
    """(1) Of sources of the future too."""
    for key in sorted(source):
        if key.lower().endswith(_REFERENCE) and source[key] is not None:
            found = _object(source[key], f"{kind}.{key}")
            yield Reference(f"{kind}.{key}", _text(found, "name"), _text(found, "namespace"))


def _by_name(kind: str, source: Mapping[str, object]) -> Iterator[Reference]:
    """(2) The namespace is the claim's unless it says another."""
    if kind in _BY_NAME:
        name, namespace = _BY_NAME[kind]
        yield Reference(f"{kind}.{name}", _text(source, name), _text(source, namespace))


def _in_attributes(kind: str, source: Mapping[str, object]) -> Iterator[Reference]:
    """(3) `secretnamespace` alone will do: such drivers make up the name."""
    attributes = _object(source.get("volumeAttributes") or {}, f"{kind}.volumeAttributes")
    of_names = [key for key in sorted(attributes) if _plain(key).endswith(_NAME)]
    of_namespaces = [key for key in sorted(attributes) if _plain(key).endswith(_NAMESPACE)]
    names = " and ".join(_text(attributes, key) for key in of_names)
    for key in of_namespaces or of_names:
        namespace = _text(attributes, key) if of_namespaces else ""
        yield Reference(f"{kind}.volumeAttributes.{key}", names, namespace)


def _plain(key: str) -> str:
    return "".join(filter(str.isalnum, key)).lower()


def _text(fields: Mapping[str, object], key: str) -> str:
    value = fields.get(key)
    if value is not None and not isinstance(value, str):
        raise Malformed(f"{key} of a volume is no text")
    return value or ""


def _object(value: object, where: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise Malformed(f"{where} of a volume is no object")
    return value
