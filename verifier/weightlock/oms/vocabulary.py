"""The strings of OpenSSF Model Signing that other tools write and read, exactly as they spell them.

Versions of `model-signing` and what their bundles look like (v0.3 of the Sigstore bundle in all):

    v0.2         predicate `Digests/v0.1`: the files are the subjects; see legacy.py
    v0.3 - v1.0  predicate `signature/v1.0`; key form shows `rawBytes` and `keyDetails`
    v1.1         the same predicate, with `ignore_paths`; key form shows `hint`
"""

from enum import StrEnum
from typing import Final

BUNDLE_MEDIA_TYPE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"

GIT_PATHS: Final = frozenset({".git", ".gitattributes", ".github", ".gitignore"})
"""What model-signing never signs unless told to; it records them in `ignore_paths` since v1.1."""


class Form(StrEnum):
    """The predicate types that are read. Each has its own parser and its own signed bytes."""

    V1_0 = "https://model_signing/signature/v1.0"
    V0_2 = "https://model_signing/Digests/v0.1"


class Method(StrEnum):
    """How a bundle says that its signature is to be checked."""

    KEY = "key"
    CERTIFICATE = "certificate"
    KEYLESS = "keyless"


class Serialization(StrEnum):
    """How files became digests."""

    FILES = "files"
    SHARDS = "shards"
