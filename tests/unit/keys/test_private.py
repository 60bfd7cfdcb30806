import os
import stat
import traceback
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, mlkem, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from weightlock.algorithms import (
    ALL,
    CLASSICAL,
    ECDSA_P256,
    ECDSA_P384,
    ECDSA_P521,
    ED25519,
    ML_DSA_44,
    ML_DSA_65,
    ML_DSA_87,
    POST_QUANTUM,
    RSA_PSS,
    SLH_DSA,
    Family,
    SignatureAlgorithm,
)
from weightlock.errors import KeyUnusable, Malformed
from weightlock.formats import der, pem
from weightlock.formats.spki import EC_KEY_OID, public_key_info, raw_public_key
from weightlock.keys.ml_dsa_expansion import expanded_key
from weightlock.keys.pkcs8 import (
    PrivateKey,
    private_key_of_pkcs8,
    private_key_of_seed,
    private_key_of_slh_dsa,
    secret_of,
)
from weightlock.keys.private import (
    private_key,
    private_key_text,
    read_private_key,
    write_private_key,
)
from weightlock.keys.public import read_public_key, write_public_key

Keys = Mapping[SignatureAlgorithm, PrivateKey]
ML_DSA = [ML_DSA_44, ML_DSA_65, ML_DSA_87]


def _pkcs8(oid: str, content: bytes, *rest: bytes, version: int = 0) -> bytes:
    parts = [der.object_identifier(part) for part in oid.split("/")]
    parts += [der.null()] if oid == RSA_PSS.oid else []
    return der.sequence(
        der.unsigned_integer(version), der.sequence(*parts), der.octet_string(content), *rest
    )


def _text(data: bytes, label: str = "PRIVATE KEY") -> bytes:
    return pem.encode(label, data).encode()


def _content(key: PrivateKey) -> bytes:
    reader = der.Reader(key.pkcs8, "the test").sequence()
    reader.unsigned_integer()
    reader.sequence()
    return reader.octet_string()


# --- the law -------------------------------------------------------------------------------------


@pytest.mark.parametrize("passphrase", [None, b"a pass phrase"], ids=["plain", "encrypted"])
@pytest.mark.parametrize("algorithm", ALL, ids=str)
def test_a_key_is_read_as_it_was_written(
    keys: Keys, algorithm: SignatureAlgorithm, passphrase: bytes | None
) -> None:
    key = keys[algorithm]
    text = private_key_text(key, passphrase).encode()
    assert text.startswith(b"-----BEGIN ENCRYPTED" if passphrase else b"-----BEGIN PRIVATE KEY")
    assert private_key(text, passphrase) == key
    assert key.algorithm is key.public.algorithm is algorithm


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(ML_DSA), st.binary(min_size=32, max_size=32))
def test_every_seed_is_read_as_it_was_written(algorithm: SignatureAlgorithm, seed: bytes) -> None:
    key = private_key_of_seed(algorithm, seed)
    assert private_key(private_key_text(key).encode()) == key
    assert secret_of(key) == seed


@given(st.sampled_from(SLH_DSA), st.data())
def test_every_slh_dsa_key_is_read_as_it_was_written(
    algorithm: SignatureAlgorithm, data: st.DataObject
) -> None:
    size = 2 * (algorithm.public_key_bytes or 0)
    secret = data.draw(st.binary(min_size=size, max_size=size).filter(lambda s: any(s[-1:])))
    key = private_key_of_slh_dsa(algorithm, secret)
    assert private_key(private_key_text(key).encode()) == key
    assert secret_of(key) == secret


# --- forms of post-quantum keys ------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ML_DSA, ids=str)
@pytest.mark.parametrize(
    "form",
    [
        pytest.param(lambda s, e: der.element(0x80, s), id="seed"),
        pytest.param(
            lambda s, e: der.sequence(der.octet_string(s), der.octet_string(e)), id="both"
        ),
        pytest.param(lambda s, e: s, id="bare seed"),
    ],
)
def test_every_form_with_a_seed_is_the_same_key(
    algorithm: SignatureAlgorithm, form: Callable[[bytes, bytes], bytes]
) -> None:
    seed = bytes(range(32))
    content = form(seed, expanded_key(algorithm, seed))
    key = private_key(_text(_pkcs8(algorithm.oid, content)))
    assert key == private_key_of_seed(algorithm, seed)


@pytest.mark.parametrize("algorithm", ML_DSA, ids=str)
@pytest.mark.parametrize(
    "form",
    [
        pytest.param(lambda e, p: der.octet_string(e), id="expanded"),
        pytest.param(lambda e, p: e, id="bare expanded"),
        pytest.param(lambda e, p: e + p, id="expanded and public"),
    ],
)
def test_an_expanded_key_alone_is_refused_with_the_way_out(
    algorithm: SignatureAlgorithm, form: Callable[[bytes, bytes], bytes]
) -> None:
    seed = bytes(range(32))
    public = raw_public_key(private_key_of_seed(algorithm, seed).public)
    content = form(expanded_key(algorithm, seed), public)
    with pytest.raises(KeyUnusable, match="expanded form only") as caught:
        private_key(_text(_pkcs8(algorithm.oid, content)))
    assert "seed-priv" in caught.value.hint


@pytest.mark.parametrize("algorithm", ML_DSA, ids=str)
@pytest.mark.parametrize("at", [0, 31, 32, 64, 128, 700, -1])
def test_a_seed_with_the_expanded_key_of_another_is_refused(
    algorithm: SignatureAlgorithm, at: int
) -> None:
    seed = bytes(range(32))
    expanded = bytearray(expanded_key(algorithm, seed))
    expanded[at] ^= 1
    content = der.sequence(der.octet_string(seed), der.octet_string(bytes(expanded)))
    with pytest.raises(KeyUnusable, match="do not belong together"):
        private_key(_text(_pkcs8(algorithm.oid, content)))


def test_both_with_a_third_part_is_refused() -> None:
    seed = bytes(range(32))
    both = (der.octet_string(seed), der.octet_string(expanded_key(ML_DSA_65, seed)))
    with pytest.raises(KeyUnusable, match="2 bytes follow"):
        private_key(_text(_pkcs8(ML_DSA_65.oid, der.sequence(*both, der.null()))))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(der.element(0x80, b"s" * 31), id="a seed cut short"),
        pytest.param(der.element(0x80, b"s" * 33), id="a seed too long"),
        pytest.param(der.element(0x81, b"s" * 32), id="another tag"),
        pytest.param(der.element(0x80, b"s" * 32) + b"\0", id="a trailing byte"),
        pytest.param(der.sequence(der.octet_string(b"s" * 32)), id="half of both"),
        pytest.param(
            der.sequence(der.octet_string(b"s" * 31), der.octet_string(b"e")), id="both, cut short"
        ),
    ],
)
def test_whatever_is_no_form_of_ml_dsa_is_refused(content: bytes) -> None:
    with pytest.raises(KeyUnusable):
        private_key(_text(_pkcs8(ML_DSA_65.oid, content)))


@pytest.mark.parametrize("change", [-1, 1])
@pytest.mark.parametrize("algorithm", SLH_DSA, ids=str)
def test_an_slh_dsa_key_of_another_size_is_refused(
    algorithm: SignatureAlgorithm, change: int
) -> None:
    size = 2 * (algorithm.public_key_bytes or 0)
    with pytest.raises(KeyUnusable, match=f"{algorithm} has {size} bytes"):
        private_key(_text(_pkcs8(algorithm.oid, b"x" * (size + change))))


# --- what comes along in PKCS#8 ------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", [ML_DSA_44, SLH_DSA[0], ED25519, ECDSA_P256], ids=str)
def test_attributes_and_the_right_public_key_may_come_along(
    keys: Keys, algorithm: SignatureAlgorithm
) -> None:
    key = keys[algorithm]
    public = der.element(0x81, b"\0" + raw_public_key(key.public))
    attributes = der.element(0xA0, der.sequence())
    data = _pkcs8(algorithm.oid, _content(key), attributes, public, version=1)
    assert private_key(_text(data)) == key


@pytest.mark.parametrize("algorithm", [ML_DSA_44, SLH_DSA[0], ED25519, ECDSA_P256], ids=str)
def test_the_public_key_of_another_is_refused(keys: Keys, algorithm: SignatureAlgorithm) -> None:
    other = bytearray(raw_public_key(keys[algorithm].public))
    other[-1] ^= 1
    public = der.element(0x81, b"\0" + bytes(other))
    data = _pkcs8(algorithm.oid, _content(keys[algorithm]), public, version=1)
    with pytest.raises(KeyUnusable, match="public key of another"):
        private_key(_text(data))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(_pkcs8(SLH_DSA[0].oid, b"k" * 64, version=2), id="version 2"),
        pytest.param(
            _pkcs8(SLH_DSA[0].oid, b"k" * 64, version=1), id="version 1 without a public key"
        ),
        pytest.param(
            _pkcs8(SLH_DSA[0].oid, b"k" * 64, der.element(0x81, b"\0" + b"k" * 32)),
            id="version 0 with a public key",
        ),
        pytest.param(_pkcs8(ED25519.oid, b"x" * 32), id="Ed25519 without its wrapping"),
        pytest.param(_pkcs8(ED25519.oid, b"", der.null()), id="a trailing element"),
        pytest.param(_pkcs8(ED25519.oid, b"") + b"\0", id="a trailing byte"),
        pytest.param(_pkcs8("1.2.3.4", b""), id="an unknown algorithm"),
        pytest.param(_pkcs8(f"{EC_KEY_OID}/1.3.132.0.10", b""), id="an unknown curve"),
        pytest.param(_pkcs8(ECDSA_P256.oid, b""), id="an empty EC key"),
        pytest.param(_pkcs8(RSA_PSS.oid, b""), id="an empty RSA key"),
    ],
)
def test_whatever_is_not_pkcs8_is_refused(data: bytes) -> None:
    with pytest.raises(KeyUnusable):
        private_key(_text(data or b"\0"))


# --- classical keys ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("algorithm", "label"),
    [
        (ECDSA_P256, "EC PRIVATE KEY"),
        (ECDSA_P384, "EC PRIVATE KEY"),
        (ECDSA_P521, "EC PRIVATE KEY"),
        (RSA_PSS, "RSA PRIVATE KEY"),
    ],
    ids=str,
)
def test_the_older_blocks_are_the_same_key(
    keys: Keys, algorithm: SignatureAlgorithm, label: str
) -> None:
    theirs = load_pem_private_key(private_key_text(keys[algorithm]).encode(), None)
    text = theirs.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    assert text.startswith(f"-----BEGIN {label}-----".encode())
    assert private_key(text) == keys[algorithm]
    if label.startswith("EC"):
        curve = der.object_identifier(algorithm.oid.split("/")[1])
        assert private_key(_text(curve, "EC PARAMETERS") + text) == keys[algorithm]


@pytest.mark.parametrize("algorithm", CLASSICAL, ids=str)
def test_a_key_that_the_library_encrypted_is_read(
    keys: Keys, algorithm: SignatureAlgorithm
) -> None:
    theirs = load_pem_private_key(private_key_text(keys[algorithm]).encode(), None)
    text = theirs.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"p"))
    assert private_key(text, b"p") == keys[algorithm]


def test_outdated_encryption_of_the_older_blocks_is_refused_with_the_way_out(keys: Keys) -> None:
    theirs = load_pem_private_key(private_key_text(keys[ECDSA_P256]).encode(), None)
    text = theirs.private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(b"p")
    )
    with pytest.raises(KeyUnusable, match="outdated encryption") as caught:
        private_key(text, b"p")
    assert "openssl pkcs8 -topk8" in caught.value.hint


def _sec1(key: ec.EllipticCurvePrivateKey, *rest: bytes) -> bytes:
    scalar = key.private_numbers().private_value.to_bytes((key.key_size + 7) // 8)
    return der.sequence(der.unsigned_integer(1), der.octet_string(scalar), *rest)


def test_an_ec_key_with_the_point_of_another_is_refused() -> None:
    key, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    point = other.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    content = _sec1(key, der.element(0xA1, der.bit_string(point)))
    with pytest.raises(KeyUnusable):
        private_key(_text(_pkcs8(ECDSA_P256.oid, content)))


@pytest.mark.parametrize(
    "rest",
    [
        pytest.param((), id="no curve"),
        pytest.param((der.element(0xA0, der.sequence()),), id="explicit curve"),
        pytest.param((der.element(0xA0, der.object_identifier("1.3.132.0.10")),), id="secp256k1"),
        pytest.param((der.element(0xA0, der.object_identifier("1.3.132.0.34")),), id="P-384"),
    ],
)
def test_an_ec_block_without_its_curve_is_refused(rest: tuple[bytes, ...]) -> None:
    data = _sec1(ec.generate_private_key(ec.SECP256R1()), *rest)
    with pytest.raises(KeyUnusable):
        private_key(_text(data, "EC PRIVATE KEY"))


def _rsa(numbers: rsa.RSAPrivateNumbers, *, version: int = 0, **changed: int) -> bytes:
    values = {
        "n": numbers.public_numbers.n,
        "e": numbers.public_numbers.e,
        "d": numbers.d,
        "p": numbers.p,
        "q": numbers.q,
        "dmp1": numbers.dmp1,
        "dmq1": numbers.dmq1,
        "iqmp": numbers.iqmp,
    } | changed
    return der.sequence(*map(der.unsigned_integer, (version, *values.values())))


def test_an_rsa_key_whose_numbers_do_not_fit_is_refused() -> None:
    numbers = rsa.generate_private_key(65537, 2048).private_numbers()
    n, p = numbers.public_numbers.n, numbers.p
    assert private_key(_text(_rsa(numbers), "RSA PRIVATE KEY")).algorithm is RSA_PSS
    for data in (
        _rsa(numbers, version=1),
        _rsa(numbers, n=n + 2),
        _rsa(numbers, p=p * numbers.q, q=1),
        _rsa(numbers, p=2**16400 + 1, q=1, n=2**16400 + 1),
        _rsa(numbers, e=3),
    ):
        with pytest.raises(KeyUnusable):
            private_key(_text(data, "RSA PRIVATE KEY"))


def test_an_rsa_key_that_is_too_short_is_refused() -> None:
    short = rsa.generate_private_key(65537, 1024)  # noqa: S505 # that is the point
    text = short.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(KeyUnusable, match="found 1024 bits"):
        private_key(text)


# --- texts that are not one usable private key ---------------------------------------------------


def test_keys_that_do_not_sign_are_named_with_what_to_do() -> None:
    for key in (
        mlkem.MLKEM768PrivateKey.generate(),
        mlkem.MLKEM1024PrivateKey.generate(),
        x25519.X25519PrivateKey.generate(),
        dsa.generate_private_key(2048),
    ):
        text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        with pytest.raises(KeyUnusable) as caught:
            private_key(text)
        assert caught.value.hint
        assert b"MLKEM" not in type(key).__name__.encode() or "ML-KEM" in caught.value.message


def test_an_openssh_key_is_refused_with_the_way_out() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    text = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    with pytest.raises(KeyUnusable, match="OPENSSH") as caught:
        private_key(text)
    assert "ssh-keygen" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        pytest.param(b"", "by itself", id="nothing"),
        pytest.param(_text(b"x") * 2, "by itself", id="two keys"),
        pytest.param(_text(b"x", "PUBLIC KEY"), "public half", id="a public key"),
        pytest.param(_text(b"x", "CERTIFICATE"), "certificate", id="a certificate"),
        pytest.param(_text(b"x", "EC PARAMETERS"), "by itself", id="only a curve"),
        pytest.param(_text(b"x", "DSA PRIVATE KEY"), "keygen", id="an old DSA key"),
        pytest.param(b"\x30\x82\xff", "DER", id="DER"),
        pytest.param(b"\n" * 16_385, "", id="too long"),
    ],
)
def test_anything_but_one_private_key_says_what_to_do(text: bytes, hint: str) -> None:
    with pytest.raises(KeyUnusable) as caught:
        private_key(text)
    assert hint in caught.value.hint


# --- passphrases ---------------------------------------------------------------------------------


def test_an_encrypted_key_without_a_passphrase_says_which_option(keys: Keys) -> None:
    text = private_key_text(keys[ML_DSA_65], b"right").encode()
    with pytest.raises(KeyUnusable, match="no passphrase was given") as caught:
        private_key(text)
    assert "--passphrase-file" in caught.value.hint


def test_a_wrong_passphrase_says_so(keys: Keys) -> None:
    text = private_key_text(keys[ML_DSA_65], b"right").encode()
    with pytest.raises(KeyUnusable, match="passphrase does not open"):
        private_key(text, b"wrong")


def test_a_passphrase_is_not_needed_for_a_plain_key(keys: Keys) -> None:
    assert private_key(private_key_text(keys[ED25519]).encode(), b"unused") == keys[ED25519]


def test_an_empty_passphrase_encrypts_nothing(keys: Keys) -> None:
    with pytest.raises(KeyUnusable, match="protects nothing"):
        private_key_text(keys[ED25519], b"")


# --- files ---------------------------------------------------------------------------------------


def test_a_key_file_is_written_0600_and_read_back(keys: Keys, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_private_key(tmp_path / "key", keys[ML_DSA_87], b"pass")
        write_public_key(tmp_path / "pub", keys[ML_DSA_87].public)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert read_private_key(tmp_path / "key", b"pass") == keys[ML_DSA_87]
    public = read_public_key(tmp_path / "pub")
    assert (public.algorithm, public.spki) == (ML_DSA_87, keys[ML_DSA_87].public.spki)


def test_a_bad_key_file_is_named(keys: Keys, tmp_path: Path) -> None:
    path = tmp_path / "key"
    write_public_key(path, keys[ED25519].public)
    for mode, said in ((0o644, "a PUBLIC KEY where"), (0o600, "expected exactly one")):
        path.chmod(mode)
        with pytest.raises(KeyUnusable, match=f"{path}: {said}") as caught:
            read_private_key(path)
        assert "public half" in caught.value.hint
    path.write_bytes(b"no key at all")
    path.chmod(0o644)
    with pytest.raises(KeyUnusable, match="0644"):
        read_private_key(path)


def test_a_private_key_read_as_a_public_one_is_named_and_not_repeated(
    keys: Keys, tmp_path: Path
) -> None:
    path = tmp_path / "key"
    write_private_key(path, keys[ED25519])
    with pytest.raises(KeyUnusable, match=f"{path}: a PRIVATE key") as caught:
        read_public_key(path)
    body = path.read_text().splitlines()[1]
    assert body not in str(caught.value) + caught.value.hint


# --- secrets stay secret, whatever the input -----------------------------------------------------


@pytest.mark.parametrize("algorithm", ALL, ids=str)
def test_no_representation_shows_the_secret(keys: Keys, algorithm: SignatureAlgorithm) -> None:
    shown = repr(keys[algorithm])
    assert "pkcs8" not in shown
    assert len(keys[algorithm].pkcs8) > 40


@settings(deadline=timedelta(seconds=20))
@given(
    algorithm=st.sampled_from([ML_DSA_65, SLH_DSA[0], ED25519, ECDSA_P256]),
    at=st.floats(0, 1, exclude_max=True),
    damage=st.sampled_from(
        ["", "\0", "\n", "\n\n", "=", "!", "\u00e4", "-----END PRIVATE KEY-----"]
    ),
    read=st.sampled_from([private_key, public_key_info]),
)
def test_no_error_repeats_a_damaged_key(
    keys: Keys,
    algorithm: SignatureAlgorithm,
    at: float,
    damage: str,
    read: Callable[[bytes], object],
) -> None:
    text = private_key_text(keys[algorithm])
    cut = int(at * len(text))
    body = "".join(text.splitlines()[1:-1])
    windows = {body[i : i + 8] for i in range(24, len(body) - 8)}  # after what is not secret
    try:
        read((text[:cut] + damage + text[cut + 1 :]).encode())
    except (KeyUnusable, Malformed) as error:
        shown = "".join(traceback.format_exception(error)) + error.hint
        assert not any(window in shown for window in windows)


@settings(deadline=timedelta(seconds=20), max_examples=300)
@given(algorithm=st.sampled_from([*POST_QUANTUM, ED25519, ECDSA_P256]), data=st.data())
def test_a_changed_key_is_refused_or_is_another_key(
    keys: Keys, algorithm: SignatureAlgorithm, data: st.DataObject
) -> None:
    changed = bytearray(keys[algorithm].pkcs8)
    at = data.draw(st.integers(0, len(changed) - 1))
    changed[at] ^= data.draw(st.integers(1, 255))
    try:
        key = private_key_of_pkcs8(bytes(changed))
    except (KeyUnusable, Malformed):
        return
    # The library takes a hybrid point beside the private scalar; what is kept is canonical.
    assert key != keys[algorithm] or algorithm is ECDSA_P256
    assert private_key(private_key_text(key).encode()) == key


@settings(deadline=timedelta(seconds=20))
@given(
    st.sampled_from(["PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY", "ENCRYPTED PRIVATE KEY"]),
    st.binary(min_size=1, max_size=300),
)
def test_any_content_of_a_block_is_a_key_or_unusable(label: str, data: bytes) -> None:
    with pytest.raises(KeyUnusable):
        private_key(_text(data, label), b"p")


@settings(deadline=timedelta(seconds=20))
@given(st.sampled_from(ALL), st.binary(max_size=300))
def test_any_content_of_any_algorithm_is_a_key_or_unusable(
    algorithm: SignatureAlgorithm, content: bytes
) -> None:
    try:
        key = private_key(_text(_pkcs8(algorithm.oid, content)))
    except KeyUnusable:
        return
    assert key.algorithm.family in (Family.SLH_DSA, Family.ML_DSA)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_key_or_unusable(text: bytes) -> None:
    with pytest.raises(KeyUnusable):
        private_key(text)
