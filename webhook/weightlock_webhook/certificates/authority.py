"""Authorities and the leaves that they sign."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from weightlock.errors import KeyUnusable, Malformed

AUTHORITY_LIFE: Final = timedelta(days=365)
LEAF_LIFE: Final = timedelta(days=7)
BACKDATED: Final = timedelta(hours=1)
"""Clocks of nodes differ; a certificate that is not valid yet is refused like a forged one."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, both PEM."""

    certificate: str
    key: str = field(repr=False)

    @property
    def not_before(self) -> datetime:
        """From when it counts."""
        return parsed(self.certificate).not_valid_before_utc

    @property
    def not_after(self) -> datetime:
        """Until when it counts."""
        return parsed(self.certificate).not_valid_after_utc

    def is_due(self, now: datetime) -> bool:
        """Whether two thirds of its life are over, or it lies in the future."""
        life = self.not_after - self.not_before
        return now < self.not_before or now >= self.not_before + life * 2 / 3


def new_authority(now: datetime) -> Pair:
    """One that signs itself. Its name tells authorities apart in a list."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"weightlock-webhook-ca {now:%Y-%m-%dT%H:%M:%SZ}")
    certificate = (
        _builder(name, name, key.public_key(), now, AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _pair(certificate, key)


def server_leaf(authority: Pair, names: tuple[str, ...], now: datetime) -> Pair:
    """A certificate for a server of these names.

    Raises:
        Malformed: if the authority is not one.
    """
    return _leaf(authority, names, now, ExtendedKeyUsageOID.SERVER_AUTH)


def client_leaf(authority: Pair, name: str, now: datetime) -> Pair:
    """A certificate for a client.

    Raises:
        Malformed: if the authority is not one.
    """
    return _leaf(authority, (name,), now, ExtendedKeyUsageOID.CLIENT_AUTH)


def parsed(certificate: str) -> x509.Certificate:
    """The first certificate of a PEM text.

    Raises:
        Malformed: if there is none.
    """
    try:
        return x509.load_pem_x509_certificate(certificate.encode("ascii"))
    except ValueError as error:
        raise Malformed("expected a certificate in PEM") from error


def is_issued_by(leaf: str, authority: str) -> bool:
    """Whether an authority signed a leaf."""
    try:
        parsed(leaf).verify_directly_issued_by(parsed(authority))
    except Exception:
        return False
    return True


def is_pair(pair: Pair) -> bool:
    """Whether the key is the certificate's, and both can be read."""
    try:
        return parsed(pair.certificate).public_key() == _key(pair.key).public_key()
    except (Malformed, KeyUnusable):
        return False


def _leaf(
    authority: Pair, names: tuple[str, ...], now: datetime, usage: x509.ObjectIdentifier
) -> Pair:
    issuer, issuer_key = parsed(authority.certificate), _key(authority.key)
    if now >= issuer.not_valid_after_utc:
        raise Malformed("the authority has ended")
    key = ec.generate_private_key(ec.SECP256R1())
    alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    # A leaf that outlives its authority would fail on the authority's last day, unannounced.
    life = min(LEAF_LIFE, issuer.not_valid_after_utc - now)
    certificate = (
        _builder(_name(names[0][:64]), issuer.subject, key.public_key(), now, life)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(alternatives, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
        .sign(issuer_key, hashes.SHA256())
    )
    return _pair(certificate, key)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime,
    life: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + life)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    written = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Pair(certificate.public_bytes(Encoding.PEM).decode(), written.decode())


def _key(text: str) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(text.encode("ascii"), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyUnusable("expected an unencrypted private key in PEM") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise KeyUnusable("expected an elliptic-curve key")
    return key
