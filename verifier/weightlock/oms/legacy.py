r"""Bundles of model-signing v0.2: another statement, and another encoding under the signature.

They are still in production, so they are read, as a form of their own and never as a fallback: the
predicate type, which the signature covers, picks the one encoding and the one hash with which the
signature is checked, so no bundle is ever tried twice.

    statement   every file is a subject with its sha256 digest; there is no predicate to speak of
    signed      "DSSEV1 28 application/vnd.in-toto+json <length> " followed by the payload as
                Python prints bytes, for example  b'{\n ...'
    hash        SHA-256 whatever the curve

This is sound: distinct payloads print as distinct text, so a signature over the text is one over
exactly the bytes that are parsed; the capital V keeps it apart from every DSSE v1 signature; and
ECDSA over SHA-256 is as strong as SHA-256 is on each of the three curves.
"""

from typing import Final

from weightlock.digests import Digest, HashAlgorithm
from weightlock.errors import Malformed
from weightlock.formats.strict_json import Record
from weightlock.names import IN_TOTO_PAYLOAD_TYPE
from weightlock.oms import resources
from weightlock.oms.manifest import OmsManifest
from weightlock.oms.vocabulary import Form, Serialization

MAX_SUBJECTS: Final = 1_000_000
_HASH_NAME: Final = "file-sha256"


def manifest(record: Record) -> OmsManifest:
    """Read `Digests/v0.1`, written by model-signing v0.2.

    Raises:
        Malformed: if it is not exactly that.
        UnsafeName: if it names a file that must not be named, "." of a single file included: this
            form signs no other name for it.
    """
    subjects = record.items("subject", maximum=MAX_SUBJECTS)
    if not subjects:
        raise Malformed("the signed payload lists no subjects; expected at least one (A31)")
    _skip_predicate(record)
    named = [_subject(item, index) for index, item in enumerate(subjects)]
    files = resources.files(named, resources.SINGLE_FILE, None)
    return OmsManifest(Form.V0_2, Serialization.FILES, HashAlgorithm.SHA256, "", files)


def signed_bytes(payload: bytes) -> bytes:
    """What a signature of v0.2 is over. Law: two payloads have the same only if they are equal."""
    kind = IN_TOTO_PAYLOAD_TYPE
    return f"DSSEV1 {len(kind)} {kind} {len(payload)} {payload!r}".encode("ascii")


def _subject(item: object, index: int) -> tuple[str, Digest]:
    record = Record(item, f"subject[{index}]")
    name = record.text("name")
    digest = record.record("digest")
    value = Digest.from_hex(HashAlgorithm.SHA256, digest.text("sha256"))
    digest.done()
    if "annotations" in record:
        annotations = record.record("annotations")
        annotations.constant("actual_hash_algorithm", _HASH_NAME)
        annotations.done()
    record.done()
    return name, value


def _skip_predicate(record: Record) -> None:
    if "predicate" not in record:
        return
    predicate = record.record("predicate")
    if "unused" in predicate:
        predicate.text("unused")
    predicate.done()
