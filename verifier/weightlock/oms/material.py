"""What a bundle says about its signer: three kinds, none of which is ever a reason to trust.

A public key or hint in a bundle is what the attacker would write there too (C01, A32). A chain of
certificates is only the way from a leaf to authorities that the caller named (C04). Keyless
material needs Sigstore's roots and logs, hence the network: recognised, never verified (C05).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from weightlock.errors import Malformed
from weightlock.formats import strict_base64
from weightlock.formats.strict_json import Record
from weightlock.oms.vocabulary import Method

MAX_CERTIFICATES: Final = 16
MAX_LOG_ENTRIES: Final = 16
_MAX_CERTIFICATE_CHARACTERS: Final = 64 * 1024
_FORMS: Final = ("publicKey", "x509CertificateChain", "certificate")


@dataclass(frozen=True, slots=True)
class Material:
    """Unauthenticated claims about the signer.

    `hint` (since v1.1) and `raw_key` (before) are for the key form; `certificates` in DER, the
    signer's own first, for the others.
    """

    method: Method
    hint: str = ""
    raw_key: bytes = b""
    certificates: tuple[bytes, ...] = ()


def material(record: Record) -> Material:
    """Read `verificationMaterial`.

    Raises:
        Malformed: if it is not exactly one of the three kinds.
    """
    forms = [form for form in _FORMS if form in record]
    if len(forms) != 1:
        raise Malformed(
            f"verificationMaterial holds {' and '.join(forms) or 'no signer'};"
            f" expected exactly one of {', '.join(_FORMS)}"
        )
    found = _READERS[forms[0]](record)
    _skip_log_entries(record, found)
    record.done()
    return found


def _public_key(record: Record) -> Material:
    key = record.record("publicKey")
    if "rawBytes" not in key:
        hint = key.text("hint") if "hint" in key else ""
        key.done()
        return Material(Method.KEY, hint=hint)
    raw = strict_base64.decode(key.text("rawBytes"), "publicKey.rawBytes")
    # Written wrongly by v0.2 (P-256 whatever the key), so nothing may ever depend on it.
    if "keyDetails" in key:
        key.text("keyDetails")
    key.done()
    return Material(Method.KEY, raw_key=raw)


def _certificate_chain(record: Record) -> Material:
    chain = record.record("x509CertificateChain")
    listed = chain.items("certificates", maximum=MAX_CERTIFICATES)
    chain.done()
    if not listed:
        raise Malformed("x509CertificateChain is empty; expected the signer's certificate first")
    return Material(Method.CERTIFICATE, certificates=_certificates(listed))


def _keyless(record: Record) -> Material:
    return Material(
        Method.KEYLESS, certificates=(_certificate(record.record("certificate"), "certificate"),)
    )


_READERS: Final = {
    "publicKey": _public_key,
    "x509CertificateChain": _certificate_chain,
    "certificate": _keyless,
}


def _certificates(listed: Sequence[object]) -> tuple[bytes, ...]:
    places = (f"certificates[{index}]" for index in range(len(listed)))
    return tuple(
        _certificate(Record(item, where), where) for item, where in zip(listed, places, strict=True)
    )


def _certificate(record: Record, where: str) -> bytes:
    text = record.text("rawBytes", max_characters=_MAX_CERTIFICATE_CHARACTERS)
    record.done()
    return strict_base64.decode(text, f"{where}.rawBytes")


def _skip_log_entries(record: Record, found: Material) -> None:
    # Entries of a transparency log and timestamps neither help nor hurt: what they say could only
    # be believed after asking Sigstore, and no decision here looks at them (C05).
    has_list = "tlogEntries" in record
    entries = record.items("tlogEntries", maximum=MAX_LOG_ENTRIES) if has_list else ()
    if found.method is Method.KEYLESS and not entries:
        raise Malformed("a keyless bundle without an entry of a transparency log")
    if "timestampVerificationData" in record:
        record.record("timestampVerificationData")
