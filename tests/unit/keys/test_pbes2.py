import hashlib
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from weightlock.errors import KeyUnusable, Malformed
from weightlock.formats import der
from weightlock.keys import pbes2

PBES2 = "1.2.840.113549.1.5.13"
PBKDF2 = "1.2.840.113549.1.5.12"
SCRYPT = "1.3.6.1.4.1.11591.4.11"
AES_128, AES_192, AES_256 = (f"2.16.840.1.101.3.4.1.{arc}" for arc in (2, 22, 42))
SALT, IV = b"salt" * 4, b"iv" * 8
PLAIN = der.sequence(der.octet_string(b"x" * 9))


def _hmac(arc: int, *, with_null: bool = True) -> bytes:
    name = der.object_identifier(f"1.2.840.113549.2.{arc}")
    return der.sequence(name, der.null()) if with_null else der.sequence(name)


def _pbkdf2(iterations: int, *rest: bytes, salt: bytes = SALT) -> bytes:
    parameters = der.sequence(der.octet_string(salt), der.unsigned_integer(iterations), *rest)
    return der.sequence(der.object_identifier(PBKDF2), parameters)


def _scrypt(n: int, r: int, p: int, *rest: bytes) -> bytes:
    numbers = map(der.unsigned_integer, (n, r, p))
    parameters = der.sequence(der.octet_string(SALT), *numbers, *rest)
    return der.sequence(der.object_identifier(SCRYPT), parameters)


def _cipher(oid: str = AES_256, iv: bytes = IV) -> bytes:
    return der.sequence(der.object_identifier(oid), der.octet_string(iv))


def _encrypted(
    derivation: bytes,
    key: bytes = b"k" * 32,
    *,
    cipher: bytes | None = None,
    plain: bytes = PLAIN,
    scheme: str = PBES2,
) -> bytes:
    padding = 16 - len(plain) % 16
    encryptor = Cipher(algorithms.AES(key), modes.CBC(IV)).encryptor()
    ciphertext = encryptor.update(plain + bytes([padding]) * padding)
    parameters = der.sequence(derivation, cipher or _cipher())
    return der.sequence(
        der.sequence(der.object_identifier(scheme), parameters), der.octet_string(ciphertext)
    )


def test_what_was_encrypted_opens_with_its_passphrase_only() -> None:
    encrypted = pbes2.encrypt(PLAIN, b"right")
    assert pbes2.decrypt(encrypted, b"right") == PLAIN
    assert PLAIN[4:] not in encrypted
    for wrong in (b"wrong", b"Right", b"right\n", b""):
        with pytest.raises(KeyUnusable, match="does not open") as caught:
            pbes2.decrypt(encrypted, wrong)
        assert caught.value.__suppress_context__


def test_encrypting_twice_gives_two_texts() -> None:
    assert pbes2.encrypt(PLAIN, b"p") != pbes2.encrypt(PLAIN, b"p")


def test_the_library_reads_what_we_encrypt_and_we_read_what_it_encrypts() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    plain = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    encrypted = key.private_bytes(
        Encoding.DER, PrivateFormat.PKCS8, BestAvailableEncryption(b"pass")
    )
    assert pbes2.decrypt(encrypted, b"pass") == plain
    theirs = load_der_private_key(pbes2.encrypt(plain, b"pass"), b"pass")
    assert theirs.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()) == plain


@pytest.mark.parametrize(
    ("arc", "name"), [(7, "sha1"), (8, "sha224"), (9, "sha256"), (10, "sha384"), (11, "sha512")]
)
@pytest.mark.parametrize("with_null", [True, False])
@pytest.mark.parametrize(("cipher", "size"), [(AES_128, 16), (AES_192, 24), (AES_256, 32)])
def test_every_function_and_key_size_that_openssl_writes_is_read(
    arc: int, name: str, with_null: bool, cipher: str, size: int
) -> None:
    key = hashlib.pbkdf2_hmac(name, b"p", SALT, 7, size)
    derivation = _pbkdf2(7, der.unsigned_integer(size), _hmac(arc, with_null=with_null))
    assert pbes2.decrypt(_encrypted(derivation, key, cipher=_cipher(cipher)), b"p") == PLAIN


def test_the_default_function_is_sha1() -> None:
    key = hashlib.pbkdf2_hmac("sha1", b"p", SALT, 7, 32)
    assert pbes2.decrypt(_encrypted(_pbkdf2(7), key), b"p") == PLAIN


def test_scrypt_as_openssl_writes_it_is_read() -> None:
    key = hashlib.scrypt(b"p", salt=SALT, n=16384, r=8, p=1, maxmem=2**26, dklen=32)
    assert pbes2.decrypt(_encrypted(_scrypt(16384, 8, 1), key), b"p") == PLAIN


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(_encrypted(_pbkdf2(0)), id="no iterations"),
        pytest.param(_encrypted(_pbkdf2(5_000_001)), id="too many iterations"),
        pytest.param(_encrypted(_pbkdf2(2**2000)), id="absurdly many iterations"),
        pytest.param(_encrypted(_pbkdf2(7, _hmac(6))), id="another function"),
        pytest.param(_encrypted(_pbkdf2(7, _hmac(9), der.null())), id="trailing parameter"),
        pytest.param(_encrypted(_pbkdf2(7, der.unsigned_integer(16))), id="another key length"),
        pytest.param(_encrypted(_pbkdf2(7, salt=b"")), id="no salt"),
        pytest.param(_encrypted(_pbkdf2(7, salt=b"s" * 1025)), id="an endless salt"),
        pytest.param(_encrypted(_scrypt(16383, 8, 1)), id="scrypt N no power of two"),
        pytest.param(_encrypted(_scrypt(1, 8, 1)), id="scrypt N of one"),
        pytest.param(_encrypted(_scrypt(2**20, 8, 1)), id="scrypt with a GiB"),
        pytest.param(_encrypted(_scrypt(16384, 0, 1)), id="scrypt r of zero"),
        pytest.param(_encrypted(_scrypt(16384, 8, 0)), id="scrypt p of zero"),
        pytest.param(_encrypted(_scrypt(16384, 8, 17)), id="scrypt p too large"),
        pytest.param(
            _encrypted(der.sequence(der.object_identifier("1.2.3"), der.sequence())),
            id="another derivation",
        ),
        pytest.param(_encrypted(_pbkdf2(7), cipher=_cipher("1.2.840.113549.3.7")), id="3DES"),
        pytest.param(_encrypted(_pbkdf2(7), cipher=_cipher(iv=b"short")), id="a short IV"),
        pytest.param(_encrypted(_pbkdf2(7), scheme="1.2.840.113549.1.5.3"), id="PBES1"),
        pytest.param(_encrypted(_pbkdf2(7)) + b"\0", id="trailing byte"),
        pytest.param(_encrypted(_pbkdf2(7))[:-1], id="cut short"),
        pytest.param(_encrypted(_scrypt(2**16, 1, 1)), id="scrypt beyond its own bounds"),
        pytest.param(_encrypted(_scrypt(2, 2**19, 16)), id="scrypt with much besides N"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_whatever_is_not_read_is_malformed_before_any_work(data: bytes) -> None:
    with pytest.raises(Malformed):
        pbes2.decrypt(data, b"p")


@pytest.mark.parametrize("ciphertext", [b"", b"x" * 15, b"x" * 17])
def test_a_ciphertext_that_is_not_whole_blocks_is_malformed(ciphertext: bytes) -> None:
    parameters = der.sequence(_pbkdf2(7), _cipher())
    scheme = der.sequence(der.object_identifier(PBES2), parameters)
    with pytest.raises(Malformed, match="whole blocks"):
        pbes2.decrypt(der.sequence(scheme, der.octet_string(ciphertext)), b"p")


def test_good_padding_around_something_else_is_a_wrong_passphrase() -> None:
    key = hashlib.pbkdf2_hmac("sha1", b"p", SALT, 7, 32)
    with pytest.raises(KeyUnusable, match="does not open"):
        pbes2.decrypt(_encrypted(_pbkdf2(7), key, plain=b"not a sequence"), b"p")


_VALID = _encrypted(_pbkdf2(7, _hmac(9)), hashlib.pbkdf2_hmac("sha256", b"p", SALT, 7, 32))


@settings(deadline=timedelta(seconds=20), max_examples=200)
@given(st.integers(0, len(_VALID) - 1), st.integers(1, 255))
def test_a_changed_file_is_refused_in_bounded_time(at: int, change: int) -> None:
    data = bytearray(_VALID)
    data[at] ^= change
    try:
        plain = pbes2.decrypt(bytes(data), b"p")
    except (Malformed, KeyUnusable):
        return
    assert plain != PLAIN  # CBC without a tag: a change inside shows when the key is read
