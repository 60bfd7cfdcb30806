"""The vectors of the `cryptography-vectors` package, which is installed wherever tests run."""

from collections.abc import Iterator
from pathlib import Path

import cryptography_vectors
import pytest
from cryptography.hazmat.primitives.asymmetric import mlkem
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from weightlock.algorithms import (
    ECDSA_P256,
    ML_DSA_44,
    ML_DSA_65,
    ML_DSA_87,
    RSA_PSS,
    SignatureAlgorithm,
)
from weightlock.errors import KeyUnusable, Malformed
from weightlock.formats import pem
from weightlock.formats.spki import public_key_info, public_key_info_of_der, raw_public_key
from weightlock.keys.ml_dsa_expansion import expanded_key
from weightlock.keys.pkcs8 import private_key_of_seed
from weightlock.keys.private import private_key
from weightlock.signatures.ml_dsa import library_public_key
from weightlock.signatures.verifying import verifying_key

FOLDER = Path(cryptography_vectors.__file__).parent / "asymmetric"
ML_DSA = [ML_DSA_44, ML_DSA_65, ML_DSA_87]


def _records(name: str) -> Iterator[dict[str, bytes]]:
    """The records of a file of `name = hexadecimal` lines, each begun by its count."""
    record: dict[str, bytes] = {}
    for line in (FOLDER / name).read_text().splitlines():
        key, _, value = line.partition(" = ")
        if key == "count" and record:
            yield record
            record = {}
        if key not in ("count", "mlen", "smlen", ""):
            record[key] = bytes.fromhex(value)
    yield record


def _ml_dsa_records(algorithm: SignatureAlgorithm) -> Iterator[dict[str, bytes]]:
    return _records(
        f"MLDSA/kat_{algorithm.name.replace('-', '', 1).replace('-', '_')}_det_pure.rsp"
    )


@pytest.mark.parametrize("algorithm", ML_DSA, ids=str)
def test_every_seed_grows_into_the_published_keys(algorithm: SignatureAlgorithm) -> None:
    counted = 0
    for record in _ml_dsa_records(algorithm):
        key = private_key_of_seed(algorithm, record["xi"])
        assert raw_public_key(key.public) == record["pk"]
        assert expanded_key(algorithm, record["xi"]) == record["sk"]
        counted += 1
    assert counted == 100


@pytest.mark.parametrize("algorithm", ML_DSA, ids=str)
def test_a_published_signature_is_good_with_its_context_and_so_not_for_us(
    algorithm: SignatureAlgorithm,
) -> None:
    for record in _ml_dsa_records(algorithm):
        info = private_key_of_seed(algorithm, record["xi"]).public
        signature = record["sm"][: algorithm.signature_bytes]
        library_public_key(info).verify(signature, record["msg"], record["ctx"])
        ours = verifying_key(info).accepts(signature, record["msg"])
        assert ours is (record["ctx"] == b"")


def test_the_published_files_of_ml_dsa_are_read_or_refused() -> None:
    data = (FOLDER / "MLDSA" / "mldsa44_priv.der").read_bytes()
    key = private_key(pem.encode("PRIVATE KEY", data).encode())
    public = public_key_info_of_der((FOLDER / "MLDSA" / "mldsa44_pub.der").read_bytes())
    assert key.public == public
    assert key.algorithm is ML_DSA_44
    data = (FOLDER / "MLDSA" / "mldsa65_noseed_priv.der").read_bytes()
    with pytest.raises(KeyUnusable, match="expanded form only"):
        private_key(pem.encode("PRIVATE KEY", data).encode())


def test_every_ml_kem_key_is_recognised_and_refused() -> None:
    counted = 0
    for name, kind in (("768", mlkem.MLKEM768PrivateKey), ("1024", mlkem.MLKEM1024PrivateKey)):
        for record in _records(f"MLKEM/kat_MLKEM_{name}.rsp"):
            key = kind.from_seed_bytes(record["d"] + record["z"])
            assert key.public_key().public_bytes_raw() == record["pk"]
            counted += 1
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        with pytest.raises(Malformed, match=f"ML-KEM-{name} key"):
            public_key_info(public)
        with pytest.raises(KeyUnusable, match=f"ML-KEM-{name} key"):
            private_key(private)
    assert counted == 2000


@pytest.mark.parametrize(
    ("name", "passphrase", "algorithm"),
    [
        ("PKCS8/ec_private_key.pem", None, ECDSA_P256),
        ("PKCS8/ec_private_key_encrypted.pem", b"123456", ECDSA_P256),
        ("PEM_Serialization/ec_private_key.pem", None, ECDSA_P256),
        ("PKCS8/private.pem", None, None),
        ("Traditional_OpenSSL_Serialization/testrsa.pem", None, RSA_PSS),
        ("PKCS8/enc-rsa-pkcs8.pem", b"foobar", None),
        ("PEM_Serialization/rsa_private_key.pem", b"123456", None),
        ("PKCS8/rsa-pbewithmd5anddescbc.pem", b"hunter2", None),
        ("PKCS8/rsa_pss_2048.pem", None, None),
        ("PKCS8/rsa_pkcs8_pbes2_pbkdf2_2048_3des_sha512.pem", b"PolarSSLTest", None),
        ("PKCS8/rsa-aes-192-cbc.pem", b"PolarSSLTest", RSA_PSS),
    ],
)
def test_well_known_files_are_read_or_refused(
    name: str, passphrase: bytes | None, algorithm: SignatureAlgorithm | None
) -> None:
    text = (FOLDER / name).read_bytes()
    if algorithm is None:
        with pytest.raises(KeyUnusable):
            private_key(text, passphrase)
    else:
        assert private_key(text, passphrase).algorithm is algorithm


def test_no_file_of_any_library_raises_anything_but_our_own_errors() -> None:
    names = sorted(path for path in FOLDER.rglob("*") if path.suffix in (".pem", ".der", ".pub"))
    assert len(names) > 100
    for path in names:
        data = path.read_bytes()
        wrapped = [pem.encode(label, data).encode() for label in ("PRIVATE KEY", "PUBLIC KEY")]
        for text in (data, *wrapped):
            for read, error in ((private_key, KeyUnusable), (public_key_info, Malformed)):
                try:
                    read(text)
                except error:
                    continue
