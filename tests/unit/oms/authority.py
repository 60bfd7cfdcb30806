"""A small certificate authority for the tests, with every knob that a path check must look at."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

START = datetime(2026, 1, 1, tzinfo=UTC)
END = datetime(2027, 1, 1, tzinfo=UTC)
CODE_SIGNING = (ExtendedKeyUsageOID.CODE_SIGNING,)
SERVER = (ExtendedKeyUsageOID.SERVER_AUTH,)

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey


@dataclass(frozen=True)
class Authority:
    """A certificate and its key; issues others."""

    certificate: x509.Certificate
    private: ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Traits:
    """What a certificate says besides its names. None leaves an extension out."""

    ca: bool | None = None
    path_length: int | None = None
    usage: x509.KeyUsage | None = None
    purposes: Sequence[x509.ObjectIdentifier] = ()
    start: datetime = START
    end: datetime = END
    extra: Sequence[tuple[x509.ExtensionType, bool]] = ()


def key_usage(*, digital_signature: bool = False, key_cert_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


CA = Traits(ca=True, usage=key_usage(key_cert_sign=True))
SIGNS_CODE = Traits(usage=key_usage(digital_signature=True), purposes=CODE_SIGNING)


def root(name: str = "root", traits: Traits = CA) -> Authority:
    private = ec.generate_private_key(ec.SECP256R1())
    named = _named(name)
    certificate = _certificate(named, private.public_key(), (named, private), traits)
    return Authority(certificate, private)


def intermediate(issuer: Authority, name: str = "middle", traits: Traits = CA) -> Authority:
    private = ec.generate_private_key(ec.SECP256R1())
    return Authority(_issued(issuer, name, private.public_key(), traits), private)


def leaf(
    issuer: Authority, key: PublicKey, traits: Traits = SIGNS_CODE, address: str = ""
) -> x509.Certificate:
    return _issued(issuer, "signer", key, traits, address)


def _issued(
    issuer: Authority, name: str, key: PublicKey, traits: Traits, address: str = ""
) -> x509.Certificate:
    issuers = (issuer.certificate.subject, issuer.private)
    return _certificate(_named(name, address), key, issuers, traits)


def _certificate(
    subject: x509.Name,
    key: PublicKey,
    issuer: tuple[x509.Name, ec.EllipticCurvePrivateKey],
    traits: Traits,
) -> x509.Certificate:
    issuer_name, issuer_private = issuer
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer_name)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(traits.start)
        .not_valid_after(traits.end)
    )
    for extension, critical in _extensions(traits):
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(issuer_private, hashes.SHA256())


def _extensions(traits: Traits) -> list[tuple[x509.ExtensionType, bool]]:
    found: list[tuple[x509.ExtensionType, bool]] = []
    if traits.ca is not None:
        found.append((x509.BasicConstraints(traits.ca, traits.path_length), True))
    if traits.usage is not None:
        found.append((traits.usage, True))
    if traits.purposes:
        found.append((x509.ExtendedKeyUsage(traits.purposes), False))
    return [*found, *traits.extra]


def _named(name: str, address: str = "") -> x509.Name:
    addresses = [x509.NameAttribute(NameOID.EMAIL_ADDRESS, address)] if address else []
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name), *addresses])
