"""AdmissionReviews as the API server sends them.

Only what is needed becomes an object: managedFields, oldObject and whatever a handler does not ask
for stay bytes. Decoding is typed, so a value of another type is refused, never coerced (A24), and
nesting deeper than the interpreter's limit is an error like any other (A40).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

import msgspec

from weightlock.errors import Malformed

API_VERSION: Final = "admission.k8s.io/v1"
KIND: Final = "AdmissionReview"
LONGEST_UID: Final = 128
"""Kubernetes' own are 36 characters; longer ones are nobody's."""

Decoded = TypeVar("Decoded")
Decoded_co = TypeVar("Decoded_co", covariant=True)


class Decodes(Protocol[Decoded_co]):
    """A decoder of one type."""

    def decode(self, content: msgspec.Raw | bytes, /) -> Decoded_co:
        """One document.

        Raises:
            msgspec.MsgspecError: for anything else.
        """
        ...


class GroupVersionKind(msgspec.Struct, frozen=True):
    """Which kind an object is."""

    group: str
    version: str
    kind: str


class GroupVersionResource(msgspec.Struct, frozen=True):
    """Which endpoint a request went to."""

    group: str
    version: str
    resource: str


class User(msgspec.Struct, frozen=True):
    """Whoever sent the request. Controllers make pods for others, so this is rarely a person."""

    username: str = ""
    uid: str = ""
    groups: list[str] | None = None
    extra: dict[str, list[str]] | None = None

    @property
    def in_groups(self) -> frozenset[str]:
        """The groups, none if there are none."""
        return frozenset(self.groups or ())


class Request(msgspec.Struct, frozen=True, rename="camel"):
    """What is asked for. Objects stay bytes until a handler decodes what it needs of them."""

    uid: str
    kind: GroupVersionKind
    resource: GroupVersionResource
    operation: str
    sub_resource: str = ""
    name: str = ""
    namespace: str = ""
    user_info: User = User()
    object: msgspec.Raw = msgspec.Raw()
    old_object: msgspec.Raw = msgspec.Raw()
    dry_run: bool | None = None

    @property
    def is_dry_run(self) -> bool:
        """Whether nothing may be kept of it (B07)."""
        return bool(self.dry_run)


class Review(msgspec.Struct, frozen=True, rename="camel"):
    """The whole document."""

    api_version: str
    kind: str
    request: Request


class OwnerReference(msgspec.Struct, frozen=True, rename="camel"):
    """Who owns an object."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool | None = None

    @property
    def group(self) -> str:
        """The API group without its version."""
        return self.api_version.rpartition("/")[0]


class Metadata(msgspec.Struct, frozen=True, rename="camel"):
    """What guards look at."""

    name: str | None = None
    namespace: str | None = None
    uid: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    finalizers: list[str] | None = None
    owner_references: list[OwnerReference] | None = None


class Object(msgspec.Struct, frozen=True):
    """Any object, read no further than its metadata."""

    metadata: Metadata = Metadata()


class JsonObject(Mapping[str, object]):
    """A JSON object that is decoded when somebody looks inside: copies of a pod are read once."""

    __slots__ = ("_members", "content")

    def __init__(self, content: bytes) -> None:
        """`content` starts like an object; whether it is one, is found out later."""
        self.content = content
        self._members: dict[str, object] | None = None

    def __getitem__(self, key: str) -> object:
        return self._decoded()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._decoded())

    def __len__(self) -> int:
        return len(self._decoded())

    def _decoded(self) -> dict[str, object]:
        if self._members is None:
            self._members = _decoded(ANY_OBJECT, self.content, "spec")
        return self._members


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod for a decision: the spec as it is, without managedFields and status."""

    spec: Mapping[str, object]
    metadata: Metadata


class PodParts(msgspec.Struct, frozen=True):
    """A pod as it is decoded, as far as its metadata."""

    spec: msgspec.Raw
    metadata: Metadata = Metadata()

    def __post_init__(self) -> None:
        """A spec that is no object is refused when it arrives, though it is read later."""
        if bytes(memoryview(self.spec)[:1]) != b"{":
            raise ValueError("Expected `object` - at `$.spec`")

    @property
    def pod(self) -> Pod:
        """The pod."""
        return Pod(JsonObject(bytes(self.spec)), self.metadata)


class PodRequest(Request, frozen=True, rename="camel", kw_only=True):
    """A request with its pod decoded in the same go: the pod is most of the review.

    Without one it is none: no pod must ever be made up.
    """

    object: PodParts  # type: ignore[assignment]  # instead of bytes


class _PodReview(Review, frozen=True, rename="camel"):
    request: PodRequest


class _PodDecoder:
    """Reads pods as far as their metadata."""

    def __init__(self) -> None:
        self._parts = msgspec.json.Decoder(PodParts)

    def decode(self, content: msgspec.Raw | bytes, /) -> Pod:
        """A pod.

        Raises:
            msgspec.MsgspecError: for anything else.
        """
        return self._parts.decode(content).pod


class EphemeralContainers(msgspec.Struct, frozen=True, rename="camel"):
    """What servers before 1.22 send for pods/ephemeralcontainers."""

    ephemeral_containers: list[dict[str, object]]
    metadata: Metadata = Metadata()


class Target(msgspec.Struct, frozen=True):
    """Where a binding wants the pod."""

    kind: str = ""
    name: str = ""


class Binding(msgspec.Struct, frozen=True):
    """What the scheduler creates."""

    target: Target
    metadata: Metadata = Metadata()


class Connection(msgspec.Struct, frozen=True):
    """What comes with exec and its kin; portforward names no container."""

    container: str | None = None


class _OnlyUid(msgspec.Struct, frozen=True):
    uid: str = ""


class _OnlyRequest(msgspec.Struct, frozen=True):
    request: _OnlyUid = _OnlyUid()


OBJECT: Final = msgspec.json.Decoder(Object)
POD: Final = _PodDecoder()
EPHEMERAL_CONTAINERS: Final = msgspec.json.Decoder(EphemeralContainers)
BINDING: Final = msgspec.json.Decoder(Binding)
CONNECTION: Final = msgspec.json.Decoder(Connection)
ANY_OBJECT: Final = msgspec.json.Decoder(dict[str, object])
"""Decoders are made once: each knows its type's layout."""

_REVIEW: Final = msgspec.json.Decoder(Review)
_POD_REVIEW: Final = msgspec.json.Decoder(_PodReview)
_ONLY_UID: Final = msgspec.json.Decoder(_OnlyRequest)


def request_of(body: bytes, *, has_pod: bool = False) -> Request:
    """The request of an AdmissionReview; with its pod decoded too if it should have one.

    Raises:
        Malformed: for anything else.
    """
    review = _review_of_pod(body) if has_pod else None
    review = review or _decoded(_REVIEW, body, "AdmissionReview")
    if (review.api_version, review.kind) != (API_VERSION, KIND):
        raise Malformed(f"found another document, expected {KIND} of {API_VERSION}")
    if not is_uid(review.request.uid):
        raise Malformed("request.uid is empty, too long or not printable")
    return review.request


def _review_of_pod(body: bytes) -> Review | None:
    """None for what is no such review: what is wrong with it is told by reading it in parts."""
    try:
        return _POD_REVIEW.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def pod_of(request: Request) -> Pod:
    """The pod of a request.

    Raises:
        Malformed: for an object that is none.
    """
    if isinstance(request, PodRequest):
        return request.object.pod
    return decoded(request.object, POD, "pod")


def uid_of(body: bytes) -> str:
    """The uid of a review that could not be read as a whole; "" if not even that can be."""
    try:
        uid = _decoded(_ONLY_UID, body, "AdmissionReview").request.uid
    except Malformed:
        return ""
    return uid if is_uid(uid) else ""


def is_uid(text: str) -> bool:
    """Whether this can be echoed: printable, not empty, not long."""
    return 0 < len(text) <= LONGEST_UID and text.isascii() and text.isprintable()


def decoded(raw: msgspec.Raw | bytes, decoder: Decodes[Decoded], what: str) -> Decoded:
    """One object of a request.

    Raises:
        Malformed: for bytes that are no such object, or none at all.
    """
    return _decoded(decoder, raw, what)


def _decoded(decoder: Decodes[Decoded], body: msgspec.Raw | bytes, what: str) -> Decoded:
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Malformed(f"the {what} cannot be read: {error}") from error
    except RecursionError as error:
        raise Malformed(f"the {what} is nested too deeply") from error
