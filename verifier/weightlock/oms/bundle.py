"""`model.sig`: a Sigstore bundle with one DSSE envelope and one signature, parsed strictly.

The payload is decoded once: the signature is checked over the same bytes that are parsed (A24).
Parsing authenticates nothing; see verification.py for the order in which things are believed.
"""

from dataclasses import dataclass
from typing import Final

from weightlock.errors import Malformed
from weightlock.formats import strict_base64, strict_json
from weightlock.formats.strict_json import Record
from weightlock.names import IN_TOTO_PAYLOAD_TYPE
from weightlock.oms import statement
from weightlock.oms.manifest import OmsManifest
from weightlock.oms.material import Material, material
from weightlock.oms.vocabulary import BUNDLE_MEDIA_TYPE

MAX_BUNDLE_BYTES: Final = 64 * 1024 * 1024
_MAX_SIGNATURE_CHARACTERS: Final = 4096  # ECDSA over P-521 has at most 139 bytes


@dataclass(frozen=True, slots=True)
class OmsBundle:
    """Everything a bundle says. `payload` is what was signed and `manifest` what it means."""

    material: Material
    payload: bytes
    signature: bytes
    manifest: OmsManifest


def parse(data: bytes) -> OmsBundle:
    """Read a bundle.

    Raises:
        LimitExceeded: if it is larger than any model needs.
        Malformed: if it is anything but exactly one bundle of a known form.
        UnsafeName: if it names a file that must not be named.
    """
    document = strict_json.parse(data, max_bytes=MAX_BUNDLE_BYTES, what="the bundle")
    record = Record(document, "bundle")
    record.constant("mediaType", BUNDLE_MEDIA_TYPE)
    signer = material(record.record("verificationMaterial"))
    payload, signature = _envelope(record.record("dsseEnvelope"))
    record.done()
    return OmsBundle(signer, payload, signature, statement.parse(payload))


def _envelope(record: Record) -> tuple[bytes, bytes]:
    record.constant("payloadType", IN_TOTO_PAYLOAD_TYPE)
    payload = record.text("payload", max_characters=MAX_BUNDLE_BYTES)
    signatures = record.items("signatures", maximum=2)
    record.done()
    # Verifiers that read only the first of several would disagree on who signed (A11, C21).
    if len(signatures) != 1:
        raise Malformed(f"the bundle has {len(signatures)} signatures; expected exactly one")
    return strict_base64.decode(payload, "the payload of the bundle"), _signature(signatures[0])


def _signature(item: object) -> bytes:
    # The keyid is null before v1.1, empty since, absent from other tools, and never used.
    if isinstance(item, dict) and item.get("keyid", "") is None:
        item = {key: value for key, value in item.items() if key != "keyid"}
    record = Record(item, "signatures[0]")
    text = record.text("sig", max_characters=_MAX_SIGNATURE_CHARACTERS)
    if "keyid" in record:
        record.text("keyid")
    record.done()
    return strict_base64.decode(text, "signatures[0].sig")
