"""PBES2 (RFC 8018): the encryption of PKCS#8 files, read as OpenSSL writes it, written one way.

Written by hand from `cryptography`'s primitives because no library here takes an SLH-DSA key, or
the form of ML-DSA keys that OpenSSL writes by default. Work factors are bounded before any work is
done: a key file must not be able to occupy the machine for hours (A26).
"""

import hashlib
import secrets
from collections.abc import Callable
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from weightlock.errors import KeyUnusable, Malformed
from weightlock.formats import der

ITERATIONS: Final = 600_000
"""For keys that we write: a fifth of a second here, and as much for each guess of a thief."""

MAX_ITERATIONS: Final = 5_000_000
MAX_SCRYPT_BYTES: Final = 128 * 1024 * 1024
MAX_SCRYPT_PARALLEL: Final = 16
_MAX_SALT_BYTES: Final = 1024
_SALT_BYTES: Final = 16
_BLOCK_BYTES: Final = 16

_PBES2: Final = "1.2.840.113549.1.5.13"
_PBKDF2: Final = "1.2.840.113549.1.5.12"
_SCRYPT: Final = "1.3.6.1.4.1.11591.4.11"
_HMAC_SHA256: Final = "1.2.840.113549.2.9"
_AES_256_CBC: Final = "2.16.840.1.101.3.4.1.42"
_HASHES: Final = {
    "1.2.840.113549.2.7": "sha1",
    "1.2.840.113549.2.8": "sha224",
    _HMAC_SHA256: "sha256",
    "1.2.840.113549.2.10": "sha384",
    "1.2.840.113549.2.11": "sha512",
}
_KEY_BYTES: Final = {
    "2.16.840.1.101.3.4.1.2": 16,
    "2.16.840.1.101.3.4.1.22": 24,
    _AES_256_CBC: 32,
}
_CONVERT: Final = "convert it with `openssl pkcs8 -topk8 -v2 aes-256-cbc -in OLD -out NEW`"

_Derive = Callable[[bytes, int], bytes]
"""The key of so many bytes from a passphrase."""


def encrypt(pkcs8: bytes, passphrase: bytes) -> bytes:
    """An EncryptedPrivateKeyInfo. Law: decrypt(encrypt(k, p), p) == k."""
    salt, iv = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_BLOCK_BYTES)
    padder = PKCS7(8 * _BLOCK_BYTES).padder()
    padded = padder.update(pkcs8) + padder.finalize()
    key = hashlib.pbkdf2_hmac("sha256", passphrase, salt, ITERATIONS, _KEY_BYTES[_AES_256_CBC])
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    function = der.sequence(der.object_identifier(_HMAC_SHA256), der.null())
    derivation = der.sequence(
        der.object_identifier(_PBKDF2),
        der.sequence(der.octet_string(salt), der.unsigned_integer(ITERATIONS), function),
    )
    cipher = der.sequence(der.object_identifier(_AES_256_CBC), der.octet_string(iv))
    scheme = der.sequence(der.object_identifier(_PBES2), der.sequence(derivation, cipher))
    return der.sequence(scheme, der.octet_string(encryptor.update(padded) + encryptor.finalize()))


def decrypt(data: bytes, passphrase: bytes) -> bytes:
    """The PKCS#8 inside an EncryptedPrivateKeyInfo.

    Raises:
        Malformed: if it is none, or of a kind that is not read.
        KeyUnusable: if the passphrase does not open it.
    """
    outer = der.Reader(data, "the encrypted private key")
    info = outer.sequence()
    outer.finish()
    scheme = info.sequence()
    ciphertext = info.octet_string()
    info.finish()
    derive, key_bytes, iv = _scheme(scheme)
    if not ciphertext or len(ciphertext) % _BLOCK_BYTES:
        raise info.malformed("a ciphertext that is not whole blocks")
    try:
        key = derive(passphrase, key_bytes)
    except ValueError as error:  # parameters that OpenSSL does not take
        raise Malformed(
            "a private key whose key derivation cannot be done", hint=_CONVERT
        ) from error
    decryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
    return _unpadded(decryptor.update(ciphertext) + decryptor.finalize())


def _unpadded(padded: bytes) -> bytes:
    """What a right passphrase opens: good padding around one whole SEQUENCE."""
    unpadder = PKCS7(8 * _BLOCK_BYTES).unpadder()
    try:
        plain = unpadder.update(padded) + unpadder.finalize()
        reader = der.Reader(plain, "the decrypted private key")
        reader.sequence()
        reader.finish()
    except (ValueError, Malformed):
        # `from None`: the context would hold what the passphrase opened.
        raise KeyUnusable(
            "the passphrase does not open the private key: it is wrong, or the file is damaged"
        ) from None
    return plain


def _scheme(scheme: der.Reader) -> tuple[_Derive, int, bytes]:
    if scheme.object_identifier() != _PBES2:
        raise Malformed("a private key under an outdated encryption", hint=_CONVERT)
    parameters = scheme.sequence()
    scheme.finish()
    derivation, cipher = parameters.sequence(), parameters.sequence()
    parameters.finish()
    key_bytes = _KEY_BYTES.get(cipher.object_identifier())
    if key_bytes is None:
        raise Malformed("a private key encrypted with a cipher other than AES-CBC", hint=_CONVERT)
    iv = cipher.octet_string()
    cipher.finish()
    if len(iv) != _BLOCK_BYTES:
        raise cipher.malformed(f"an initialisation vector of {len(iv)} bytes")
    return _derivation(derivation, key_bytes), key_bytes, iv


def _derivation(derivation: der.Reader, key_bytes: int) -> _Derive:
    read = {_PBKDF2: _pbkdf2, _SCRYPT: _scrypt}.get(derivation.object_identifier())
    if read is None:
        raise Malformed("a private key under an unknown key derivation", hint=_CONVERT)
    parameters = derivation.sequence()
    derivation.finish()
    salt = parameters.octet_string()
    if not 0 < len(salt) <= _MAX_SALT_BYTES:
        raise parameters.malformed(f"a salt of {len(salt)} bytes")
    derive = read(parameters, salt, key_bytes)
    parameters.finish()
    return derive


def _pbkdf2(parameters: der.Reader, salt: bytes, key_bytes: int) -> _Derive:
    iterations = parameters.unsigned_integer()
    if not 0 < iterations <= MAX_ITERATIONS:
        raise Malformed("a private key under no or too many iterations of PBKDF2", hint=_CONVERT)
    _skip_key_length(parameters, key_bytes)
    hash_name: str | None = "sha1"  # the DEFAULT of RFC 8018
    if not parameters.at_end:
        function = parameters.sequence()
        hash_name = _HASHES.get(function.object_identifier())
        if not function.at_end:
            function.null()
        function.finish()
    if hash_name is None:
        raise Malformed("a private key under an unknown function of PBKDF2", hint=_CONVERT)
    name = hash_name
    return lambda word, size: hashlib.pbkdf2_hmac(name, word, salt, iterations, size)


def _scrypt(parameters: der.Reader, salt: bytes, key_bytes: int) -> _Derive:
    n, r, p = (parameters.unsigned_integer() for _ in range(3))
    _skip_key_length(parameters, key_bytes)
    power_of_two = n > 1 and n & (n - 1) == 0
    bounded = 0 < p <= MAX_SCRYPT_PARALLEL and 0 < 128 * r * (n + p) <= MAX_SCRYPT_BYTES
    if not power_of_two or not bounded:
        raise Malformed("a private key under scrypt with excessive parameters", hint=_CONVERT)
    memory = 2 * MAX_SCRYPT_BYTES
    return lambda word, size: hashlib.scrypt(
        word, salt=salt, n=n, r=r, p=p, maxmem=memory, dklen=size
    )


def _skip_key_length(parameters: der.Reader, key_bytes: int) -> None:
    """The OPTIONAL keyLength, which can only repeat what the cipher says."""
    if parameters.next_is(der.INTEGER) and parameters.unsigned_integer() != key_bytes:
        raise parameters.malformed("a key length that is not the cipher's")
