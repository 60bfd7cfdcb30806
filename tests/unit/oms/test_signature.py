"""Who signed: a trusted key or nobody; what the bundle says of its signer decides nothing."""

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.unit.oms import authority, forge
from tests.unit.oms.forge import NOW, Json, Signer

from weightlock.algorithms import ECDSA_P256, ECDSA_P384, ECDSA_P521, ED25519, SignatureAlgorithm
from weightlock.errors import Malformed
from weightlock.formats.spki import public_key_info_of_der
from weightlock.oms import bundle, legacy, signature
from weightlock.oms.ecdsa import accepts_with_sha256, ecdsa_key
from weightlock.oms.signature import SignatureOutcome
from weightlock.oms.trust import Trust
from weightlock.reasons import Reason
from weightlock.signatures.schemes import VerifyingKey
from weightlock.signatures.verifying import verifying_key

OTHER = Signer.new()
KEYLESS: Json = {"certificate": {"rawBytes": "AAAA"}, "tlogEntries": [{"logIndex": "1"}]}


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer.new()


def outcome(data: bytes, *keys: VerifyingKey) -> SignatureOutcome:
    return signature.verified(bundle.parse(data), Trust(keys), NOW)


@pytest.mark.parametrize(
    ("curve", "algorithm"),
    [
        pytest.param(ec.SECP256R1(), ECDSA_P256, id="P-256"),
        pytest.param(ec.SECP384R1(), ECDSA_P384, id="P-384"),
        pytest.param(ec.SECP521R1(), ECDSA_P521, id="P-521"),
    ],
)
@pytest.mark.parametrize(
    "document", [forge.files_statement(), forge.legacy_statement()], ids=["v1.0", "v0.2"]
)
def test_a_trusted_key_is_found(
    curve: ec.EllipticCurve, algorithm: SignatureAlgorithm, document: Json
) -> None:
    mine = Signer.new(curve)
    found = outcome(forge.signed(document, mine), OTHER.public_key, mine.public_key)
    assert found.finding is None
    assert found.fact.valid is True
    assert (found.fact.keyid, found.fact.algorithm) == (mine.public_key.keyid, algorithm)
    assert found.signer is not None
    assert (found.signer.method, found.signer.identity) == ("key", mine.public_key.keyid)
    assert found.signer.predicate_type == document["predicateType"]


@pytest.mark.parametrize(
    "material",
    [
        pytest.param({"publicKey": {"hint": OTHER.hint}}, id="the hint of another key"),
        pytest.param({"publicKey": {}}, id="no hint"),
        pytest.param({"publicKey": {"hint": "nonsense"}}, id="a hint that is none"),
        pytest.param({"publicKey": {"rawBytes": forge.encoded(OTHER.pem)}}, id="another key"),
        pytest.param(
            {"x509CertificateChain": {"certificates": [{"rawBytes": "AAAA"}]}},
            id="a certificate that is none",
        ),
    ],
)
def test_what_a_bundle_says_of_its_signer_makes_no_key_be_skipped(
    signer: Signer, material: Json
) -> None:
    data = forge.signed(forge.files_statement(), signer, material)
    assert outcome(data, signer.public_key).finding is None


@pytest.mark.parametrize(
    "material",
    [
        pytest.param(forge.hinted, id="its hint"),
        pytest.param(
            lambda signer: {"publicKey": {"hint": signer.public_key.keyid}}, id="its keyid"
        ),
        pytest.param(
            lambda signer: {"publicKey": {"rawBytes": forge.encoded(signer.pem)}},
            id="the key itself",
        ),
    ],
)
def test_a_bundle_that_names_a_trusted_key_and_is_by_another_is_invalid(
    signer: Signer, material: Callable[[Signer], Json]
) -> None:
    data = forge.signed(forge.files_statement(), OTHER, material(signer))
    found = outcome(data, signer.public_key)
    assert found.finding is not None
    assert found.finding.reason is Reason.SIGNATURE_INVALID
    assert (found.fact.valid, found.fact.trusted) == (False, True)
    assert found.signer is None


@pytest.mark.parametrize("trusted", [True, False], ids=["another key", "no key at all"])
def test_a_bundle_by_a_stranger_is_untrusted_though_it_carries_its_key(
    signer: Signer, *, trusted: bool
) -> None:
    material = {"publicKey": {"rawBytes": forge.encoded(signer.pem)}}
    data = forge.signed(forge.files_statement(), signer, material)
    found = outcome(data, *([OTHER.public_key] if trusted else []))
    assert found.finding is not None
    assert found.finding.reason is Reason.SIGNER_UNTRUSTED
    assert (found.fact.valid, found.fact.trusted) == (None, False)


def test_a_keyless_bundle_needs_the_network_even_under_a_trusted_key(signer: Signer) -> None:
    found = outcome(forge.signed(forge.files_statement(), signer, KEYLESS), signer.public_key)
    assert found.finding is not None
    assert found.finding.reason is Reason.NETWORK_REQUIRED
    assert found.fact.valid is None


def test_keys_of_algorithms_that_bundles_do_not_know_are_not_tried(signer: Signer) -> None:
    odd = forge.Renamed(signer.public_key, ED25519)
    found = outcome(forge.signed(forge.files_statement(), signer), odd)
    assert found.finding is not None
    assert found.finding.reason is Reason.SIGNER_UNTRUSTED


class TestEncodings:
    """Each form has one encoding under its signature and is never tried with another."""

    def test_the_first_version_signs_what_python_prints(self, signer: Signer) -> None:
        payload = forge.compact(forge.legacy_statement())
        assert legacy.signed_bytes(payload) == forge.legacy_pae(payload)
        assert legacy.signed_bytes(b"'\"\n\xff").endswith(b" 4 b'\\'\"\\n\\xff'")

    @pytest.mark.parametrize(
        ("document", "encode", "sha256"),
        [
            pytest.param(forge.files_statement(), forge.legacy_pae, True, id="v1.0 as v0.2"),
            pytest.param(forge.files_statement(), forge.legacy_pae, False, id="v1.0, old encoding"),
            pytest.param(forge.files_statement(), forge.pae, True, id="v1.0, P-384 with SHA-256"),
            pytest.param(forge.legacy_statement(), forge.pae, True, id="v0.2, new encoding"),
            pytest.param(forge.legacy_statement(), forge.pae, False, id="v0.2 as v1.0"),
            pytest.param(forge.legacy_statement(), forge.legacy_pae, False, id="v0.2, SHA-384"),
            pytest.param(forge.files_statement(), bytes, False, id="no encoding at all (C03)"),
        ],
    )
    def test_another_forms_encoding_is_invalid(
        self, document: Json, encode: Callable[[bytes], bytes], *, sha256: bool
    ) -> None:
        mine = Signer.new(ec.SECP384R1())
        payload = forge.compact(document)
        sign = mine.sign_with_sha256 if sha256 else mine.sign
        data = forge.bundle(payload, sign(encode(payload)), forge.hinted(mine))
        found = outcome(forge.compact(data), mine.public_key)
        assert found.finding is not None
        assert found.finding.reason is Reason.SIGNATURE_INVALID

    @pytest.mark.parametrize("junk", [b"", b"\x30\x00", b"\x00" * 72, b"\xff" * 200])
    def test_junk_is_no_signature(self, signer: Signer, junk: bytes) -> None:
        data = forge.bundle(forge.compact(forge.files_statement()), junk, forge.hinted(signer))
        found = outcome(forge.compact(data), signer.public_key)
        assert found.fact.valid is False

    def test_bytes_after_a_signature_are_refused(self, signer: Signer) -> None:
        payload = forge.compact(forge.files_statement())
        longer = signer.sign(forge.pae(payload)) + b"\x00"
        data = forge.bundle(payload, longer, forge.hinted(signer))
        assert outcome(forge.compact(data), signer.public_key).fact.valid is False


class TestCertificateForm:
    """A certificate speaks for its key only if an authority of the caller vouches for it."""

    @pytest.mark.parametrize(
        "document", [forge.files_statement(), forge.legacy_statement()], ids=["v1.0", "v0.2"]
    )
    def test_the_signer_is_described_by_its_certificate(
        self, signer: Signer, document: Json
    ) -> None:
        ca = authority.root()
        data = forge.signed(document, signer, forge.chained(authority.leaf(ca, signer.point)))
        found = signature.verified(bundle.parse(data), Trust((), (ca.certificate,)), NOW)
        assert found.finding is None
        assert found.signer is not None
        assert (found.signer.method, found.signer.identity) == ("certificate", "CN=signer")
        assert found.signer.issuer == "CN=root"
        assert found.fact.keyid == signer.public_key.keyid

    def test_the_key_is_that_of_the_first_certificate_only(self, signer: Signer) -> None:
        ca = authority.root()
        chain = forge.chained(authority.leaf(ca, OTHER.point), authority.leaf(ca, signer.point))
        data = forge.signed(forge.files_statement(), signer, chain)
        found = signature.verified(bundle.parse(data), Trust((), (ca.certificate,)), NOW)
        assert found.finding is not None
        assert found.finding.reason is Reason.SIGNATURE_INVALID
        assert found.fact.keyid == OTHER.public_key.keyid

    def test_an_unknown_authority_is_untrusted_and_nothing_is_said_to_be_valid(
        self, signer: Signer
    ) -> None:
        chain = forge.chained(authority.leaf(authority.root(), signer.point))
        data = forge.signed(forge.files_statement(), signer, chain)
        other = authority.root()
        found = signature.verified(bundle.parse(data), Trust((), (other.certificate,)), NOW)
        assert found.finding is not None
        assert found.finding.reason is Reason.SIGNER_UNTRUSTED
        assert (found.fact.valid, found.fact.trusted) == (None, False)


@pytest.mark.parametrize("spki", [b"", b"junk", b"\x30\x00"])
def test_bytes_that_are_no_key_are_refused(spki: bytes) -> None:
    with pytest.raises(Malformed):
        ecdsa_key(spki)


@pytest.mark.parametrize(
    "private", [ec.generate_private_key(ec.SECP256K1()), ed25519.Ed25519PrivateKey.generate()]
)
def test_a_key_on_another_curve_is_refused(
    private: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey,
) -> None:
    spki = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(Malformed):
        ecdsa_key(spki)


def test_a_key_that_only_says_it_is_one_accepts_nothing(signer: Signer) -> None:
    other = ed25519.Ed25519PrivateKey.generate().public_key()
    spki = other.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    key = forge.Renamed(verifying_key(public_key_info_of_der(spki)), ECDSA_P256)
    assert not accepts_with_sha256(key, signer.sign_with_sha256(b"m"), b"m")
    assert accepts_with_sha256(signer.public_key, signer.sign_with_sha256(b"m"), b"m")
