"""PKCS#8: from every private-key form that OpenSSL and the RFCs know to the one that we write.

ML-DSA keys (RFC 9881) come as seed, as expanded key, or as both; only the seed is kept, after both
were compared. SLH-DSA keys (RFC 9909) are their plain bytes. Classical keys go through the
library, which checks them. Whatever public key comes along must be the one that belongs.
"""

from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

from weightlock.algorithms import RSA_PSS, Family, SignatureAlgorithm
from weightlock.errors import KeyUnusable, Malformed
from weightlock.formats import der
from weightlock.formats.spki import (
    EC_KEY_OID,
    MAX_RSA_BITS,
    PublicKeyInfo,
    public_key_info_of_der,
    public_key_info_of_raw,
    raw_public_key,
    read_algorithm,
)
from weightlock.keys.ml_dsa_expansion import expanded_bytes, expanded_key
from weightlock.signatures.ml_dsa import SEED_BYTES, library_key

_WHAT: Final = "the private key"
_SEED: Final = der.context(0, constructed=False)
_ATTRIBUTES: Final = der.context(0, constructed=True)
_PUBLIC_KEY: Final = der.context(1, constructed=False)
_SEC1_CURVE: Final = der.context(0, constructed=True)
_RSA_NUMBERS: Final = 9
"""Version, n, e, d, p, q and three that follow from them (RFC 8017)."""


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A private key as the unencrypted PKCS#8 that Weightlock writes, and its public half.

    Law: private_key_of_pkcs8(key.pkcs8) == key. Python cannot promise to wipe memory: keep it
    short-lived, or keep the key in a device behind `sign_mu`.
    """

    public: PublicKeyInfo
    pkcs8: bytes = field(repr=False)

    @property
    def algorithm(self) -> SignatureAlgorithm:
        """The one algorithm of this key."""
        return self.public.algorithm


def private_key_of_pkcs8(data: bytes) -> PrivateKey:
    """The key of a PrivateKeyInfo or OneAsymmetricKey (RFC 5958).

    Raises:
        Malformed: if it is none, or its parts contradict each other.
        KeyUnusable: if it is one that cannot be used.
    """
    outer = der.Reader(data, _WHAT)
    info = outer.sequence()
    outer.finish()
    if info.unsigned_integer() > 1:
        raise info.malformed("a version other than 0 and 1")
    identifier = info.sequence()
    algorithm = read_algorithm(identifier)
    content = info.octet_string()
    if info.next_is(_ATTRIBUTES):
        info.element(_ATTRIBUTES)
    claimed = info.element(_PUBLIC_KEY) if info.next_is(_PUBLIC_KEY) else None
    info.finish()
    key = _private_key(algorithm, content)
    if claimed is not None and claimed != b"\x00" + raw_public_key(key.public):
        raise Malformed("a private key with the public key of another one")
    return key


def private_key_of_pkcs1(data: bytes) -> PrivateKey:
    """The key of an RSAPrivateKey, the content of a block RSA PRIVATE KEY."""
    return private_key_of_pkcs8(_pkcs8(RSA_PSS.oid, data))


def private_key_of_sec1(data: bytes) -> PrivateKey:
    """The key of an ECPrivateKey that names its curve, the content of a block EC PRIVATE KEY."""
    outer = der.Reader(data, _WHAT)
    fields = outer.sequence()
    outer.finish()
    fields.unsigned_integer()
    fields.octet_string()
    parameters = der.Reader(fields.element(_SEC1_CURVE), _WHAT)
    if not parameters.next_is(der.OBJECT_IDENTIFIER):
        raise Malformed(
            "an elliptic-curve key with explicit parameters, no named curve",
            hint="convert it with `openssl ec -param_enc named_curve`",
        )
    return private_key_of_pkcs8(_pkcs8(f"{EC_KEY_OID}/{parameters.object_identifier()}", data))


def private_key_of_seed(algorithm: SignatureAlgorithm, seed: bytes) -> PrivateKey:
    """The ML-DSA key of a 32-byte seed.

    Raises:
        Malformed: for a seed of another size.
    """
    if len(seed) != SEED_BYTES:
        raise Malformed(f"the seed of {algorithm} has {SEED_BYTES} bytes, found {len(seed)}")
    public = library_key(algorithm, seed).public_key().public_bytes_raw()
    content = der.element(_SEED, seed)
    return PrivateKey(public_key_info_of_raw(algorithm, public), _pkcs8(algorithm.oid, content))


def private_key_of_slh_dsa(algorithm: SignatureAlgorithm, secret: bytes) -> PrivateKey:
    """The SLH-DSA key of SK.seed || SK.prf || PK.seed || PK.root.

    Whether PK.root belongs to SK.seed shows when the key first signs: see CheckedSigningKey.

    Raises:
        Malformed: for a key of another size.
    """
    size = 2 * (algorithm.public_key_bytes or 0)
    if len(secret) != size:
        raise Malformed(f"a private key of {algorithm} has {size} bytes, found {len(secret)}")
    public = public_key_info_of_raw(algorithm, secret[size // 2 :])
    return PrivateKey(public, _pkcs8(algorithm.oid, secret))


def secret_of(key: PrivateKey) -> bytes:
    """What a post-quantum library signs with: the seed of ML-DSA, the plain bytes of SLH-DSA."""
    reader = der.Reader(key.pkcs8, _WHAT).sequence()
    reader.unsigned_integer()
    reader.sequence()
    content = reader.octet_string()
    if key.algorithm.family is Family.ML_DSA:
        return der.Reader(content, _WHAT).element(_SEED)
    return content


def _pkcs8(oid: str, content: bytes) -> bytes:
    parts = [der.object_identifier(part) for part in oid.split("/")]
    if oid == RSA_PSS.oid:
        parts.append(der.null())
    return der.sequence(der.unsigned_integer(0), der.sequence(*parts), der.octet_string(content))


def _private_key(algorithm: SignatureAlgorithm, content: bytes) -> PrivateKey:
    match algorithm.family:
        case Family.ML_DSA:
            return private_key_of_seed(algorithm, _seed(algorithm, content))
        case Family.SLH_DSA:
            return private_key_of_slh_dsa(algorithm, content)
        case Family.CLASSICAL:
            return _classical(algorithm, content)


def _seed(algorithm: SignatureAlgorithm, content: bytes) -> bytes:
    """The seed of any form of RFC 9881 and any that OpenSSL can be told to write."""
    reader = der.Reader(content, _WHAT)
    expanded_only = expanded_bytes(algorithm)
    with_public_key = expanded_only + (algorithm.public_key_bytes or 0)
    if len(content) == SEED_BYTES:  # OpenSSL's output format `bare-seed`
        return content
    if len(content) in (expanded_only, with_public_key) or reader.next_is(der.OCTET_STRING):
        raise KeyUnusable(
            f"the {algorithm} key is in its expanded form only, without the seed",
            hint="the seed cannot be recovered from it: export the key again where it was made,"
            " with its seed (OpenSSL: `-provparam ml-dsa.output_formats=seed-priv`), or make a"
            " new one with `weightlock keygen`",
        )
    if reader.next_is(der.SEQUENCE):
        seed = _seed_of_both(algorithm, reader.sequence())
    else:
        seed = reader.element(_SEED)
    reader.finish()
    return seed


def _seed_of_both(algorithm: SignatureAlgorithm, both: der.Reader) -> bytes:
    seed, expanded = both.octet_string(), both.octet_string()
    both.finish()
    # A file whose halves differ is two keys, one for each program that reads it (RFC 9881, 8.2).
    if len(seed) != SEED_BYTES or expanded_key(algorithm, seed) != expanded:
        raise Malformed(f"an {algorithm} key whose seed and expanded key do not belong together")
    return seed


def _classical(algorithm: SignatureAlgorithm, content: bytes) -> PrivateKey:
    if algorithm is RSA_PSS:
        _check_rsa_numbers(content)
    try:
        key = load_der_private_key(_pkcs8(algorithm.oid, content), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyUnusable(
            f"the library does not take the {algorithm} private key: it is damaged or not valid"
        ) from error
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pkcs8 = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return PrivateKey(public_key_info_of_der(spki), pkcs8)


def _check_rsa_numbers(content: bytes) -> None:
    """Bound the numbers before the library tests for primes, which takes minutes for huge ones."""
    outer = der.Reader(content, _WHAT)
    fields = outer.sequence()
    outer.finish()
    numbers = [fields.unsigned_integer() for _ in range(_RSA_NUMBERS)]
    fields.finish()
    version, modulus, p, q = numbers[0], numbers[1], numbers[4], numbers[5]
    if version or modulus.bit_length() > MAX_RSA_BITS or p * q != modulus:
        raise Malformed("an RSA private key that is too long or whose primes do not multiply to it")
