"""AdmissionReviews as the API server expects them, which answer weightlock_webhook.documents."""

from collections.abc import Mapping
from typing import Final

import msgspec

from weightlock_webhook.documents import API_VERSION, KIND


class Status(msgspec.Struct, frozen=True):
    """What a client is told; `message` is what people see."""

    message: str
    code: int
    reason: str


class ResponseDocument(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The response as JSON."""

    uid: str
    allowed: bool
    status: Status | None = None
    warnings: tuple[str, ...] | None = None
    audit_annotations: Mapping[str, str] | None = None
    patch: str | None = None
    patch_type: str | None = None


class ResponseReview(msgspec.Struct, frozen=True, rename="camel"):
    """The answer as JSON."""

    response: ResponseDocument
    api_version: str = API_VERSION
    kind: str = KIND


_ENCODER: Final = msgspec.json.Encoder()


def encoded(response: ResponseDocument) -> bytes:
    """The AdmissionReview that carries a response."""
    return _ENCODER.encode(ResponseReview(response))


_UP_TO_UID: Final = b'{"response":{"uid":'


def rest_of(response: ResponseDocument) -> bytes:
    """The AdmissionReview that carries a response, from behind its uid on.

    The same response is given to many, and nothing else of it differs.
    """
    return encoded(msgspec.structs.replace(response, uid=""))[len(_UP_TO_UID) + len('""') :]


def review(uid: str, rest: bytes) -> bytes:
    """The whole again. Law: as `encoded` would have written it."""
    return b"%s%s%s" % (_UP_TO_UID, _ENCODER.encode(uid), rest)
