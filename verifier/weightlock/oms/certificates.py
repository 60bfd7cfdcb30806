"""Certificates as found in a bundle, read completely once so that nothing odd surfaces later."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from weightlock.errors import Malformed
from weightlock.oms.ecdsa import ecdsa_key
from weightlock.signatures.schemes import VerifyingKey

_UNREADABLE: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
_MAX_ERROR_CHARACTERS: Final = 160
_Extension = TypeVar("_Extension", bound=x509.ExtensionType)


@dataclass(frozen=True, slots=True)
class SigningCertificate:
    """The certificate of a signer. What it says of its owner counts only once it is trusted."""

    certificate: x509.Certificate
    key: VerifyingKey
    subject: str
    issuer: str
    alternative_names: tuple[str, ...]
    fingerprint: str
    not_before: datetime
    not_after: datetime
    signs_digitally: bool
    signs_code: bool


def signing_certificate(der: bytes) -> SigningCertificate:
    """Read the certificate of a signer.

    Raises:
        Malformed: if it cannot be read or holds no key that bundles are signed with.
    """
    certificate = certificate_of(der)
    with _malformed_if_unreadable():
        usage = _extension(certificate, x509.KeyUsage)
        purposes = _extension(certificate, x509.ExtendedKeyUsage)
        return SigningCertificate(
            certificate=certificate,
            key=ecdsa_key(spki_of(certificate)),
            subject=certificate.subject.rfc4514_string(),
            issuer=certificate.issuer.rfc4514_string(),
            alternative_names=_alternative_names(certificate),
            fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
            signs_digitally=usage is not None and usage.digital_signature,
            signs_code=purposes is not None and ExtendedKeyUsageOID.CODE_SIGNING in purposes,
        )


def certificate_of(der: bytes) -> x509.Certificate:
    """Read any certificate.

    Raises:
        Malformed: if it is none.
    """
    with _malformed_if_unreadable():
        return x509.load_der_x509_certificate(der)


def authorities_of(pem: bytes) -> tuple[x509.Certificate, ...]:
    """The authorities that a caller trusts, from a file of one or more PEM certificates.

    Raises:
        Malformed: if it holds none.
    """
    with _malformed_if_unreadable():
        return tuple(x509.load_pem_x509_certificates(pem))


def der_of(certificates: Sequence[x509.Certificate]) -> tuple[bytes, ...]:
    """The bytes of certificates as a bundle carries them."""
    return tuple(certificate.public_bytes(Encoding.DER) for certificate in certificates)


def spki_of(certificate: x509.Certificate) -> bytes:
    """The public key of a certificate, in its one encoding."""
    key = certificate.public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def shown(text: object) -> str:
    """What a library or a certificate says, escaped and capped for messages (D03)."""
    return ascii(str(text))[1:-1][:_MAX_ERROR_CHARACTERS]


@contextmanager
def _malformed_if_unreadable() -> Iterator[None]:
    try:
        yield
    except _UNREADABLE as error:
        raise Malformed(f"a certificate that cannot be read: {shown(error)}") from error


def _extension(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _alternative_names(certificate: x509.Certificate) -> tuple[str, ...]:
    names = _extension(certificate, x509.SubjectAlternativeName)
    return tuple(shown(name.value) for name in names or ())
