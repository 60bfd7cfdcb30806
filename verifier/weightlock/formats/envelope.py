"""`model.pqc.sig`: a DSSE 1.0 envelope, parsed strictly.

The bytes that are verified are the bytes that are parsed: the payload is decoded once, the
signatures are over PAE(payloadType, those bytes), and the payload type is a constant.
"""

import re
from dataclasses import dataclass
from typing import Final

from weightlock.errors import Malformed
from weightlock.formats import strict_base64, strict_json
from weightlock.names import IN_TOTO_PAYLOAD_TYPE

MAX_ENVELOPE_BYTES: Final = 64 * 1024 * 1024
MAX_SIGNATURES: Final = 16
_MAX_VALUES: Final = 1024  # one with 16 signatures has 51
_MAX_SIGNATURE_CHARACTERS: Final = 128 * 1024  # the longest SLH-DSA signature has 49,856 bytes
_KEYID: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class EnvelopeSignature:
    """One signature; `keyid` narrows the search for its key and proves nothing (C01)."""

    keyid: str
    signature: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """A payload with its signatures. Law: parse(serialise(e)) == e."""

    payload: bytes
    signatures: tuple[EnvelopeSignature, ...]

    @property
    def signed_bytes(self) -> bytes:
        """What every signature is over."""
        return pre_authentication_encoding(IN_TOTO_PAYLOAD_TYPE, self.payload)


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """PAE of DSSE v1; the lengths count bytes, not characters (C03)."""
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def parse(data: bytes) -> Envelope:
    """Read an envelope.

    Raises:
        LimitExceeded: if it is larger than any checkpoint needs.
        Malformed: if it is anything but exactly one envelope.
    """
    document = strict_json.parse(
        data, max_bytes=MAX_ENVELOPE_BYTES, max_values=_MAX_VALUES, what="the envelope"
    )
    record = strict_json.Record(document, "envelope")
    record.constant("payloadType", IN_TOTO_PAYLOAD_TYPE)
    payload = record.text("payload", max_characters=MAX_ENVELOPE_BYTES)
    listed = record.items("signatures", maximum=MAX_SIGNATURES)
    record.done()
    if not listed:
        raise Malformed("the envelope has no signature; expected at least one")
    signatures = tuple(_signature(item, index) for index, item in enumerate(listed))
    return Envelope(strict_base64.decode(payload, "the payload of the envelope"), signatures)


def serialise(envelope: Envelope) -> bytes:
    """Write an envelope."""
    return strict_json.serialise(
        {
            "payloadType": IN_TOTO_PAYLOAD_TYPE,
            "payload": strict_base64.encode(envelope.payload),
            "signatures": [
                {"keyid": entry.keyid, "sig": strict_base64.encode(entry.signature)}
                for entry in envelope.signatures
            ],
        }
    )


def _signature(item: object, index: int) -> EnvelopeSignature:
    where = f"signatures[{index}]"
    record = strict_json.Record(item, where)
    keyid = record.text("keyid")
    text = record.text("sig", max_characters=_MAX_SIGNATURE_CHARACTERS)
    record.done()
    if not _KEYID.fullmatch(keyid):
        raise Malformed(f"{where}.keyid is not 64 lower-case hexadecimal digits")
    return EnvelopeSignature(keyid, strict_base64.decode(text, f"{where}.sig"))
