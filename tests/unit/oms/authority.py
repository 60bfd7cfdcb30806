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
    return Authority(_certificate(name, private.public_key(), name, private, traits), private)


def intermediate(issuer: Authority, name: str = "middle", traits: Traits = CA) -> Authority:
    private = ec.generate_private_key(ec.SECP256R1())
    return Authority(_issued(issuer, name, private.public_key(), traits), private)


def leaf(issuer: Authority, key: PublicKey, traits: Traits = SIGNS_CODE) -> x509.Certificate:
    return _issued(issuer, "signer", key, traits)


def _issued(issuer: Authority, name: str, key: PublicKey, traits: Traits) -> x509.Certificate:
    [attribute] = issuer.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return _certificate(name, key, str(attribute.value), issuer.private, traits)


def _certificate(
    subject: str,
    key: PublicKey,
    issuer: str,
    issuer_private: ec.EllipticCurvePrivateKey,
    traits: Traits,
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(_named(subject))
        .issuer_name(_named(issuer))
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


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
