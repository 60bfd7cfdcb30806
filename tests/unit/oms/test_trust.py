"""From a certificate to an authority: each row breaks one rule of the path."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from tests.unit.oms import authority
from tests.unit.oms.authority import (
    CA,
    CODE_SIGNING,
    END,
    SERVER,
    SIGNS_CODE,
    START,
    Authority,
)
from tests.unit.oms.forge import NOW, Signer

from weightlock.errors import Malformed
from weightlock.oms.certificates import authorities_of, der_of, shown, signing_certificate
from weightlock.oms.trust import Trust, distrust
from weightlock.reasons import Reason
from weightlock.verdict.evidence import Finding

SIGNER = Signer.new().point
LONG_AGO = START - timedelta(days=900)
ANY_PURPOSE = (x509.oid.ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,)


def complaint(
    leaf: x509.Certificate, chain: list[Authority], roots: list[Authority]
) -> Finding | None:
    [first, *others] = der_of([leaf, *(authority.certificate for authority in chain)])
    trust = Trust((), tuple(root.certificate for root in roots))
    return distrust(signing_certificate(first), others, trust, NOW)


def test_a_certificate_of_a_root_is_trusted() -> None:
    root = authority.root()
    assert complaint(authority.leaf(root, SIGNER), [], [root]) is None


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="plain"),
        pytest.param({"path_length": 0}, id="for leaves only"),
        pytest.param({"purposes": CODE_SIGNING}, id="for code signing"),
        pytest.param({"purposes": ANY_PURPOSE}, id="for every purpose"),
    ],
)
def test_a_path_over_an_intermediate_is_trusted(options: Any) -> None:
    root = authority.root()
    middle = authority.intermediate(root, traits=replace(CA, **options))
    leaf = authority.leaf(middle, SIGNER)
    assert complaint(leaf, [middle], [root]) is None
    assert complaint(leaf, [middle, root], [authority.root(), root]) is None
    assert complaint(leaf, [], [middle]) is None


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"ca": False}, id="no authority"),
        pytest.param({"ca": None}, id="no word of being an authority"),
        pytest.param(
            {"usage": authority.key_usage(digital_signature=True)}, id="may not sign certificates"
        ),
        pytest.param({"usage": None}, id="no word of signing certificates"),
        pytest.param({"purposes": SERVER}, id="for servers"),
        pytest.param({"start": LONG_AGO, "end": START}, id="expired"),
    ],
)
def test_a_path_over_an_unfit_intermediate_is_not(options: Any) -> None:
    root = authority.root()
    middle = authority.intermediate(root, traits=replace(CA, **options))
    found = complaint(authority.leaf(middle, SIGNER), [middle], [root])
    assert found is not None
    assert found.reason is Reason.SIGNER_UNTRUSTED


def test_a_path_longer_than_its_authority_allows_is_not_trusted() -> None:
    root = authority.root()
    upper = authority.intermediate(root, "upper", replace(CA, path_length=0))
    lower = authority.intermediate(upper, "lower")
    assert complaint(authority.leaf(lower, SIGNER), [lower, upper], [root]) is not None


def test_a_missing_intermediate_breaks_the_path() -> None:
    root = authority.root()
    middle = authority.intermediate(root)
    assert complaint(authority.leaf(middle, SIGNER), [], [root]) is not None


def test_a_root_that_only_the_bundle_brings_is_not_trusted() -> None:
    mine, theirs = authority.root(), authority.root()
    assert complaint(authority.leaf(theirs, SIGNER), [theirs], [mine]) is not None


def test_a_root_of_the_same_name_with_another_key_is_not_the_root() -> None:
    root, twin = authority.root("same"), authority.root("same")
    assert complaint(authority.leaf(twin, SIGNER), [], [root]) is not None


def test_no_authority_means_nobody_is_trusted() -> None:
    found = complaint(authority.leaf(authority.root(), SIGNER), [], [])
    assert found is not None
    assert "no authority" in found.message


@pytest.mark.parametrize(
    ("start", "end", "trusted"),
    [
        pytest.param(START, END, True, id="within"),
        pytest.param(NOW, END, True, id="from now on"),
        pytest.param(START, NOW, True, id="until now"),
        pytest.param(NOW + timedelta(seconds=1), END, False, id="not yet"),
        pytest.param(START, NOW - timedelta(seconds=1), False, id="no longer"),
    ],
)
def test_a_certificate_counts_within_its_validity(
    start: datetime, end: datetime, *, trusted: bool
) -> None:
    root = authority.root()
    leaf = authority.leaf(root, SIGNER, replace(SIGNS_CODE, start=start, end=end))
    found = complaint(leaf, [], [root])
    assert (found is None) is trusted
    assert found is None or found.reason is Reason.KEY_EXPIRED


def test_who_knows_when_a_model_was_signed_can_give_that_time() -> None:
    root = authority.root(traits=replace(CA, start=LONG_AGO))
    leaf = authority.leaf(root, SIGNER, replace(SIGNS_CODE, start=LONG_AGO, end=START))
    [der] = der_of([leaf])
    trust = Trust((), (root.certificate,))
    assert distrust(signing_certificate(der), [], trust, START - timedelta(days=1)) is None
    assert distrust(signing_certificate(der), [], trust, NOW) is not None


@pytest.mark.parametrize(
    ("traits", "message"),
    [
        pytest.param(
            {"usage": authority.key_usage(key_cert_sign=True)}, "digitalSignature", id="usage"
        ),
        pytest.param({"usage": None}, "digitalSignature", id="no usage"),
        pytest.param({"purposes": SERVER}, "codeSigning", id="a server's certificate"),
        pytest.param({"purposes": ()}, "codeSigning", id="no purpose"),
        pytest.param({"purposes": ANY_PURPOSE}, "codeSigning", id="any purpose"),
    ],
)
def test_a_certificate_must_be_for_signing_code(traits: Any, message: str) -> None:
    root = authority.root()
    leaf = authority.leaf(root, SIGNER, replace(SIGNS_CODE, **traits))
    found = complaint(leaf, [], [root])
    assert found is not None
    assert found.reason is Reason.SIGNER_UNTRUSTED
    assert message in found.message


def test_an_unknown_critical_extension_is_not_overlooked() -> None:
    root = authority.root()
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    harmless = replace(SIGNS_CODE, extra=[(unknown, False)])
    critical = replace(SIGNS_CODE, extra=[(unknown, True)])
    assert complaint(authority.leaf(root, SIGNER, harmless), [], [root]) is None
    assert complaint(authority.leaf(root, SIGNER, critical), [], [root]) is not None


@pytest.mark.parametrize(
    ("name", "trusted"), [("models.good.example", True), ("models.evil.example", False)]
)
def test_an_authority_vouches_only_for_the_names_that_it_may(name: str, *, trusted: bool) -> None:
    root = authority.root()
    only = x509.NameConstraints([x509.DNSName("good.example")], None)
    middle = authority.intermediate(root, traits=replace(CA, extra=[(only, True)]))
    alternative = x509.SubjectAlternativeName([x509.DNSName(name)])
    leaf = authority.leaf(middle, SIGNER, replace(SIGNS_CODE, extra=[(alternative, False)]))
    assert (complaint(leaf, [middle], [root]) is None) is trusted
    assert signing_certificate(der_of([leaf])[0]).alternative_names == (name,)


def directory(name: str) -> x509.DirectoryName:
    return x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))


@pytest.mark.parametrize(
    ("permitted", "excluded"),
    [
        pytest.param([directory("other")], None, id="another name is permitted"),
        pytest.param(None, [directory("signer")], id="this name is excluded"),
        pytest.param([x509.DNSName("a.example"), directory("other")], None, id="beside a host"),
    ],
)
@pytest.mark.parametrize("critical", [True, False])
def test_limits_on_the_subject_which_nobody_checks_are_not_overlooked(
    permitted: Any, excluded: Any, *, critical: bool
) -> None:
    # The library refuses what it cannot check only where the extension is critical.
    only = x509.NameConstraints(permitted, excluded)
    root = authority.root()
    middle = authority.intermediate(root, traits=replace(CA, extra=[(only, critical)]))
    assert complaint(authority.leaf(middle, SIGNER), [middle], [root]) is not None


def test_an_address_in_the_subject_is_not_overlooked_where_addresses_are_limited() -> None:
    only = x509.NameConstraints([x509.RFC822Name("good.example")], None)
    root = authority.root()
    middle = authority.intermediate(root, traits=replace(CA, extra=[(only, False)]))
    named = authority.leaf(middle, SIGNER)
    addressed = authority.leaf(middle, SIGNER, address="x@evil.example")
    assert complaint(named, [middle], [root]) is None
    assert complaint(addressed, [middle], [root]) is not None


def test_a_key_that_bundles_do_not_know_is_refused() -> None:
    key = rsa.generate_private_key(65537, 2048)
    leaf = authority.leaf(authority.root(), key.public_key())
    with pytest.raises(Malformed, match="P-256"):
        signing_certificate(der_of([leaf])[0])


@pytest.mark.parametrize("junk", [b"", b"junk", b"\x30\x80"])
def test_bytes_that_are_no_certificate_are_refused(junk: bytes) -> None:
    with pytest.raises(Malformed):
        signing_certificate(junk)
    with pytest.raises(Malformed):
        authorities_of(junk)
    root = authority.root()
    leaf = signing_certificate(der_of([authority.leaf(root, SIGNER)])[0])
    with pytest.raises(Malformed):
        distrust(leaf, [junk], Trust((), (root.certificate,)), NOW)


def test_bytes_after_a_certificate_are_refused() -> None:
    [der] = der_of([authority.leaf(authority.root(), SIGNER)])
    with pytest.raises(Malformed):
        signing_certificate(der + b"\x00")


def test_authorities_are_read_from_pem() -> None:
    roots = [authority.root(), authority.root()]
    pem = b"".join(root.certificate.public_bytes(Encoding.PEM) for root in roots)
    assert authorities_of(pem) == tuple(root.certificate for root in roots)


def test_what_others_wrote_is_escaped_and_capped() -> None:
    assert shown("a\x1b[2J'\n") == r"a\x1b[2J'\n"
    assert len(shown("x" * 1000)) == 160
