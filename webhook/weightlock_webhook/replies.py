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


_MARK: Final = "UID"
_BEFORE, _, _AFTER = encoded(ResponseDocument(_MARK, True)).partition(_MARK.encode("ascii"))


def allowance(uid: str) -> bytes:
    """The AdmissionReview that allows, and says nothing else."""
    is_simple = uid.isascii() and uid.isprintable() and '"' not in uid and "\\" not in uid
    if not is_simple:
        return encoded(ResponseDocument(uid, True))
    return b"%s%s%s" % (_BEFORE, uid.encode("ascii"), _AFTER)
