import hashlib
from collections.abc import Callable
from datetime import timedelta
from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric import (
    dsa,
    ec,
    ed448,
    ed25519,
    mlkem,
    rsa,
    x448,
    x25519,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from weightlock.algorithms import (
    ALL,
    ECDSA_P256,
    ECDSA_P384,
    ECDSA_P521,
    ED25519,
    ML_DSA_44,
    POST_QUANTUM,
    RSA_PSS,
    SignatureAlgorithm,
)
from weightlock.errors import Malformed
from weightlock.formats import der, pem
from weightlock.formats.spki import (
    EC_KEY_OID,
    PublicKeyInfo,
    public_key_info,
    public_key_info_of_der,
    public_key_info_of_raw,
    raw_public_key,
)

CURVES: dict[SignatureAlgorithm, ec.EllipticCurve] = {
    ECDSA_P256: ec.SECP256R1(),
    ECDSA_P384: ec.SECP384R1(),
    ECDSA_P521: ec.SECP521R1(),
}


@cache
def _spki(algorithm: SignatureAlgorithm) -> bytes:
    """A key by the library where that matters, else any bytes of the right size."""
    public: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey
    if algorithm in POST_QUANTUM:
        key = bytes(i % 251 for i in range(algorithm.public_key_bytes or 0))
        return public_key_info_of_raw(algorithm, key).spki
    if algorithm in CURVES:
        public = ec.generate_private_key(CURVES[algorithm]).public_key()
    elif algorithm is ED25519:
        public = ed25519.Ed25519PrivateKey.generate().public_key()
    else:
        public = rsa.generate_private_key(65537, 2048).public_key()
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _named(*parts: bytes, key: bytes) -> bytes:
    return der.sequence(der.sequence(*parts), der.bit_string(key))


def _rsa(modulus: int, exponent: int = 65537) -> bytes:
    numbers = der.sequence(der.unsigned_integer(modulus), der.unsigned_integer(exponent))
    return _named(der.object_identifier(RSA_PSS.oid), der.null(), key=numbers)


def _ec(curve: str, key: bytes) -> bytes:
    return _named(der.object_identifier(EC_KEY_OID), der.object_identifier(curve), key=key)


@pytest.mark.parametrize("algorithm", ALL, ids=str)
def test_a_key_of_every_algorithm_is_read_as_what_it_is(algorithm: SignatureAlgorithm) -> None:
    spki = _spki(algorithm)
    info = public_key_info(pem.encode("PUBLIC KEY", spki))
    assert info == PublicKeyInfo(algorithm, spki)
    assert info.keyid == hashlib.sha256(spki).hexdigest()
    assert public_key_info(info.pem) == public_key_info(info.pem.encode()) == info


@pytest.mark.parametrize("algorithm", POST_QUANTUM, ids=str)
def test_raw_bytes_are_what_a_raw_key_was_made_of(algorithm: SignatureAlgorithm) -> None:
    key = b"\x01" * (algorithm.public_key_bytes or 0)
    assert raw_public_key(public_key_info_of_raw(algorithm, key)) == key


@pytest.mark.parametrize("change", [-1, 1])
@pytest.mark.parametrize("algorithm", [*POST_QUANTUM, ED25519], ids=str)
def test_a_key_of_another_size_is_malformed(algorithm: SignatureAlgorithm, change: int) -> None:
    with pytest.raises(Malformed, match=f"{algorithm} has {algorithm.public_key_bytes} bytes"):
        public_key_info_of_raw(algorithm, b"\x01" * ((algorithm.public_key_bytes or 0) + change))


@pytest.mark.parametrize("algorithm", [*POST_QUANTUM, ED25519], ids=str)
def test_a_key_of_zeros_is_malformed(algorithm: SignatureAlgorithm) -> None:
    with pytest.raises(Malformed, match="all zeros"):
        public_key_info_of_raw(algorithm, bytes(algorithm.public_key_bytes or 0))


def test_an_ml_dsa_key_for_which_anybody_can_sign_is_malformed() -> None:
    with pytest.raises(Malformed, match="t1 = 0"):
        public_key_info_of_raw(ML_DSA_44, b"\x01" * 32 + bytes(1280))


def _order_8_points() -> list[int]:
    """Every y of the points P with 8P = 0, from the curve's equation and not from a table."""
    p = 2**255 - 19
    d = -121665 * pow(121666, -1, p) % p
    root_of_minus_1 = pow(2, (p - 1) // 4, p)
    # (x, y) has order 8 where doubling it gives y = 0: x^2 = -y^2, so d y^4 + 2 y^2 - 1 = 0.
    s = pow(1 + d, (p + 3) // 8, p)
    s = s if s * s % p == (1 + d) % p else s * root_of_minus_1 % p
    found = {0, 1, p - 1}
    for sign in (1, -1):
        square = (-1 + sign * s) * pow(d, -1, p) % p
        y = pow(square, (p + 3) // 8, p)
        for candidate in (y, y * root_of_minus_1 % p):
            if candidate * candidate % p == square:
                found |= {candidate, p - candidate}
    return sorted(found)


@pytest.mark.parametrize("sign", [0, 1])
def test_ed25519_points_of_small_order_are_malformed(sign: int) -> None:
    points = _order_8_points()
    assert len(points) >= 5
    for y in points:
        key = (y | sign << 255).to_bytes(32, "little")
        with pytest.raises(Malformed):
            public_key_info_of_raw(ED25519, key)


def test_an_ed25519_key_that_is_not_reduced_is_malformed() -> None:
    with pytest.raises(Malformed, match="not canonical"):
        public_key_info_of_raw(ED25519, (2**255 - 19 + 3).to_bytes(32, "little"))


@pytest.mark.parametrize("algorithm", list(CURVES), ids=str)
def test_only_uncompressed_points_of_the_curve_are_read(algorithm: SignatureAlgorithm) -> None:
    curve = algorithm.oid.split("/")[1]
    point = raw_public_key(public_key_info_of_der(_spki(algorithm)))
    half = len(point) // 2
    wrong = {
        "compressed": bytes([2 + point[-1] % 2]) + point[1 : 1 + half],
        "hybrid": bytes([6 + point[-1] % 2]) + point[1:],
        "infinity": b"\x00",
        "empty": b"",
        "one byte more": point + b"\x00",
        "off the curve": point[:-1] + bytes([point[-1] ^ 1]),
        "zeros": b"\x04" + bytes(2 * half),
        "x not reduced": b"\x04" + b"\xff" * half + point[1 + half :],
    }
    for key in wrong.values():
        with pytest.raises(Malformed, match=algorithm.name):
            public_key_info_of_der(_ec(curve, key))


@pytest.mark.parametrize(
    ("modulus", "exponent", "found"),
    [
        pytest.param(2**2046 + 1, 65537, "2047 bits", id="one bit too short"),
        pytest.param(2**16384 + 1, 65537, "16385 bits", id="one bit too long"),
        pytest.param(2**2047, 65537, "odd modulus", id="even modulus"),
        pytest.param(2**2047 + 1, 3, "2 bits", id="exponent 3"),
        pytest.param(2**2047 + 1, 65538, "odd exponent", id="even exponent"),
        pytest.param(2**2047 + 1, 2**64 + 1, "65 bits", id="exponent too long"),
        pytest.param(0, 65537, "0 bits", id="zero"),
    ],
)
def test_an_rsa_key_out_of_bounds_is_malformed(modulus: int, exponent: int, found: str) -> None:
    with pytest.raises(Malformed, match=found):
        public_key_info_of_der(_rsa(modulus, exponent))


@pytest.mark.parametrize("bits", [2048, 3072, 16384])
def test_an_rsa_key_within_bounds_is_read(bits: int) -> None:
    assert public_key_info_of_der(_rsa(2 ** (bits - 1) + 1)).algorithm is RSA_PSS


_ED25519_OID = der.object_identifier(ED25519.oid)
_KEY_32 = b"\x09" + bytes(31)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(_named(_ED25519_OID, der.null(), key=_KEY_32), id="NULL parameters"),
        pytest.param(_named(_ED25519_OID, key=_KEY_32) + b"\0", id="trailing byte"),
        pytest.param(
            der.sequence(der.sequence(_ED25519_OID), der.bit_string(_KEY_32), der.null()),
            id="trailing element",
        ),
        pytest.param(
            der.sequence(der.sequence(_ED25519_OID), der.octet_string(_KEY_32)), id="OCTET STRING"
        ),
        pytest.param(_named(der.object_identifier(RSA_PSS.oid), key=b""), id="RSA without NULL"),
        pytest.param(_named(der.object_identifier(EC_KEY_OID), key=b""), id="EC without a curve"),
        pytest.param(_ec("1.3.132.0.10", b""), id="secp256k1"),
        pytest.param(
            _named(der.object_identifier(EC_KEY_OID), der.sequence(), key=b""), id="EC explicit"
        ),
        pytest.param(_named(der.object_identifier("1.2.3.4"), key=b""), id="unknown algorithm"),
        pytest.param(der.octet_string(b"x" * 20_000), id="too long"),
    ],
)
def test_any_other_encoding_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        public_key_info_of_der(data)


def _other_public_keys() -> dict[str, bytes]:
    keys = (
        x25519.X25519PrivateKey.generate(),
        x448.X448PrivateKey.generate(),
        ed448.Ed448PrivateKey.generate(),
        dsa.generate_private_key(2048),
        mlkem.MLKEM768PrivateKey.generate(),
        mlkem.MLKEM1024PrivateKey.generate(),
    )
    return {
        type(key).__name__: key.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )
        for key in keys
    }


def test_keys_that_do_not_sign_are_named_with_what_to_do() -> None:
    for name, text in _other_public_keys().items():
        with pytest.raises(Malformed, match="which Weightlock does not sign with") as caught:
            public_key_info(text)
        assert caught.value.hint, name


@pytest.mark.parametrize(
    "oid", ["2.16.840.1.101.3.4.4.1", "2.16.840.1.101.3.4.3.32", "2.16.840.1.101.3.4.3.46"]
)
def test_ml_kem_512_and_pre_hash_keys_are_named(oid: str) -> None:
    with pytest.raises(Malformed, match=r"ML-KEM-512|HashML-DSA"):
        public_key_info_of_der(_named(der.object_identifier(oid), key=b"\x01"))


@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(lambda text: text, id="text"),
        pytest.param(lambda text: text.encode(), id="bytes"),
        pytest.param(lambda text: text.replace("PRIVATE", "ENCRYPTED PRIVATE"), id="encrypted"),
        pytest.param(lambda text: text[:80], id="cut short"),
        pytest.param(lambda text: "  " + text.replace("\n", "\n  "), id="indented"),
        pytest.param(lambda text: _a_public_key().pem + text, id="behind a public key"),
    ],
)
def test_a_private_key_is_refused_and_never_repeated(
    wrap: Callable[[str], str | bytes],
) -> None:
    private = ed25519.Ed25519PrivateKey.generate()
    text = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    with pytest.raises(Malformed, match="PRIVATE key where a public key belongs") as caught:
        public_key_info(wrap(text))
    shown = caught.value.message + caught.value.hint
    assert not any(line in shown for line in text.splitlines())
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def _a_public_key() -> PublicKeyInfo:
    return public_key_info_of_der(_spki(ED25519))


@pytest.mark.parametrize(
    ("text", "found", "hint"),
    [
        pytest.param("", "found 0 blocks: none", "by itself", id="nothing"),
        pytest.param("key.pub", "text outside", "keep only the lines", id="a file name"),
        pytest.param(
            pem.encode("CERTIFICATE", b"x"), "found CERTIFICATE", "x509", id="certificate"
        ),
        pytest.param(
            pem.encode("RSA PUBLIC KEY", b"x"),
            "found RSA PUBLIC KEY",
            "RSAPublicKey_in",
            id="PKCS#1",
        ),
        pytest.param(
            pem.encode("CERTIFICATE REQUEST", b"x"), "REQUEST", "openssl req", id="request"
        ),
        pytest.param(pem.encode("X", b"x"), "found 1 blocks: X", "by itself", id="unknown label"),
        pytest.param(
            pem.encode("PUBLIC KEY", b"x") * 2, "found 2 blocks", "by itself", id="two keys"
        ),
    ],
)
def test_anything_but_one_public_key_block_says_what_to_do(
    text: str, found: str, hint: str
) -> None:
    with pytest.raises(Malformed, match=found) as caught:
        public_key_info(text)
    assert hint in caught.value.hint


def test_a_text_over_the_limit_is_malformed() -> None:
    with pytest.raises(Malformed, match="at most 16384"):
        public_key_info("\n" * 16_385)


@settings(deadline=timedelta(seconds=5))
@given(st.sampled_from(ALL), st.data())
def test_a_changed_key_is_malformed_or_another_key_in_its_one_encoding(
    algorithm: SignatureAlgorithm, data: st.DataObject
) -> None:
    spki = bytearray(_spki(algorithm))
    at = data.draw(st.integers(0, min(len(spki), 60) - 1))
    spki[at] ^= data.draw(st.integers(1, 255))
    try:
        info = public_key_info_of_der(bytes(spki))
    except Malformed:
        return
    parts = [der.object_identifier(part) for part in info.algorithm.oid.split("/")]
    parts += [der.null()] if info.algorithm is RSA_PSS else []
    assert _named(*parts, key=raw_public_key(info)) == bytes(spki) == info.spki


@settings(deadline=timedelta(seconds=5))
@given(st.one_of(st.text(max_size=300), st.binary(max_size=300)))
def test_any_text_is_a_key_or_malformed(text: str | bytes) -> None:
    with pytest.raises(Malformed):
        public_key_info(text)


@settings(deadline=timedelta(seconds=5))
@given(st.binary(max_size=300))
def test_any_content_of_a_block_is_a_key_or_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        public_key_info(pem.encode("PUBLIC KEY", data))
