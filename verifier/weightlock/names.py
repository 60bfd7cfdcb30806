"""Every string that other programs see: file names, media types, identifiers.

They live in one place because each is part of a contract that cannot change silently.
"""

from typing import Final

ENVELOPE_FILE: Final = "model.pqc.sig"
"""The post-quantum envelope at the checkpoint's root; with OMS_FILE the only file outside it."""

OMS_FILE: Final = "model.sig"
"""The OpenSSF Model Signing bundle that other tools read and write."""

UNSIGNED_FILES: Final = frozenset({ENVELOPE_FILE, OMS_FILE})
"""Exactly these names, at the root only, are outside the closed world of signed files (A21)."""

IN_TOTO_PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = "https://weightlock.dev/checkpoint/v1"

TREE_ID: Final = "rfc6962-v1"
LTHASH_ID: Final = "lthash-v1"

SEGMENT_TAG: Final = b"weightlock/segment/v1"
FILE_TAG: Final = b"weightlock/file/v1"
MODEL_TAG: Final = b"weightlock/model/v1"
LTHASH_TAG: Final = b"weightlock/lthash/v1"

API_GROUP: Final = "weightlock.dev"
API_VERSION: Final = "weightlock.dev/v1beta1"

REQUEST_SCHEMA: Final = "weightlock.dev/request/v1"
"""What a verification is asked, as arguments of `weightlock report`."""

REPORT_SCHEMA: Final = "weightlock.dev/report/v1"
"""What a verification found, as the termination message of its container."""
