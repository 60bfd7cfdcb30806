"""The seam for KMS and HSM: only mu leaves, and what comes back is checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weightlock.algorithms import ML_DSA_44, ML_DSA_65, ML_DSA_87, SignatureAlgorithm
from weightlock.errors import KeyUnusable
from weightlock.keys.pkcs8 import private_key_of_seed
from weightlock.signatures.ml_dsa import (
    SeedMuSigner,
    library_key,
    message_representative,
    mu_signing_key,
)
from weightlock.signatures.pkcs11 import (
    CKK_ML_DSA,
    CKO_PRIVATE_KEY,
    Attribute,
    Pkcs11MuSigner,
)
from weightlock.signatures.schemes import VerifyingKey
from weightlock.signatures.verifying import verifying_key

SETS = [ML_DSA_44, ML_DSA_65, ML_DSA_87]
SEED, OTHER_SEED = b"s" * 32, b"o" * 32
MU_MECHANISM = 0x80000001


class WrongMechanismError(Exception):
    """What a binding raises for CKR_MECHANISM_INVALID."""


@dataclass
class SoftwareToken:
    """A PKCS#11 token in memory: objects with attributes, and real ML-DSA behind them."""

    objects: Sequence[tuple[str, SignatureAlgorithm, bytes]]
    seen: list[bytes]

    def find_objects(self, template: Mapping[Attribute, int | str]) -> Sequence[int]:
        return [
            handle
            for handle, (label, algorithm, _) in enumerate(self.objects)
            if template.items()
            <= {
                Attribute.CKA_CLASS: CKO_PRIVATE_KEY,
                Attribute.CKA_KEY_TYPE: CKK_ML_DSA,
                Attribute.CKA_PARAMETER_SET: 1 + SETS.index(algorithm),
                Attribute.CKA_LABEL: label,
            }.items()
        ]

    def sign(self, key: int, mechanism: int, data: bytes) -> bytes:
        if mechanism != MU_MECHANISM:
            raise WrongMechanismError
        self.seen.append(data)
        _, algorithm, seed = self.objects[key]
        return library_key(algorithm, seed).sign_mu(data)


def _public(algorithm: SignatureAlgorithm, seed: bytes = SEED) -> VerifyingKey:
    return verifying_key(private_key_of_seed(algorithm, seed).public)


def _token() -> SoftwareToken:
    return SoftwareToken(
        [
            ("release", ML_DSA_44, SEED),
            ("release", ML_DSA_65, SEED),
            ("release", ML_DSA_87, SEED),
            ("twice", ML_DSA_65, SEED),
            ("twice", ML_DSA_65, OTHER_SEED),
        ],
        [],
    )


@settings(deadline=None, max_examples=20)
@given(st.sampled_from(SETS), st.binary(max_size=300))
def test_signing_mu_is_signing_the_message(algorithm: SignatureAlgorithm, message: bytes) -> None:
    public = _public(algorithm)
    signer = mu_signing_key(public, SeedMuSigner(algorithm, SEED))
    assert signer.public_key is public
    assert public.accepts(signer.sign(message), message)


@pytest.mark.parametrize("algorithm", SETS, ids=str)
def test_mu_is_what_the_library_verifies_under(algorithm: SignatureAlgorithm) -> None:
    key = library_key(algorithm, SEED)
    mu = message_representative(private_key_of_seed(algorithm, SEED).public, b"message")
    assert len(mu) == 64
    key.public_key().verify_mu(key.sign(b"message"), mu)


@pytest.mark.parametrize("algorithm", SETS, ids=str)
def test_a_token_signs_and_sees_only_mu(algorithm: SignatureAlgorithm) -> None:
    token, public = _token(), _public(algorithm)
    signer = mu_signing_key(public, Pkcs11MuSigner(token, "release", algorithm, MU_MECHANISM))
    message = b"a payload of megabytes" * 50_000
    assert public.accepts(signer.sign(message), message)
    assert list(map(len, token.seen)) == [64]


def test_a_token_that_signs_with_another_key_is_found_out() -> None:
    device = Pkcs11MuSigner(_token(), "release", ML_DSA_65, MU_MECHANISM)
    signer = mu_signing_key(_public(ML_DSA_65, OTHER_SEED), device)
    with pytest.raises(KeyUnusable, match="own public key does not accept"):
        signer.sign(b"message")


@pytest.mark.parametrize(("label", "count"), [("none", 0), ("twice", 2)])
def test_a_label_must_name_exactly_one_key(label: str, count: int) -> None:
    with pytest.raises(KeyUnusable, match=f"has {count} private keys ML-DSA-65"):
        Pkcs11MuSigner(_token(), label, ML_DSA_65, MU_MECHANISM)


def test_a_mechanism_that_the_token_does_not_have_is_named() -> None:
    device = Pkcs11MuSigner(_token(), "release", ML_DSA_65, 0x1D)
    with pytest.raises(KeyUnusable, match="mechanism 0x1d: WrongMechanismError"):
        mu_signing_key(_public(ML_DSA_65), device).sign(b"message")


def test_a_token_that_cannot_be_searched_is_named() -> None:
    class Absent(SoftwareToken):
        def find_objects(self, template: Mapping[Attribute, int | str]) -> Sequence[int]:
            raise ConnectionError

    with pytest.raises(KeyUnusable, match="could not be searched: ConnectionError"):
        Pkcs11MuSigner(Absent([], []), "release", ML_DSA_65, MU_MECHANISM)
