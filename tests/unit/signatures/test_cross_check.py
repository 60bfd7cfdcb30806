"""Every implementation checks every other: sign with one, verify with all."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from tests.unit.signatures.conftest import Signed

from weightlock.algorithms import ML_DSA_44, ML_DSA_65, ML_DSA_87, SLH_DSA, SignatureAlgorithm
from weightlock.formats.spki import raw_public_key
from weightlock.keys.ml_dsa_expansion import expanded_key
from weightlock.keys.pkcs8 import PrivateKey, secret_of
from weightlock.keys.signing import signing_key
from weightlock.signatures import slh_dsa
from weightlock.signatures.slh_dsa import SlhDsaLibrary
from weightlock.signatures.slh_dsa_liboqs import Liboqs
from weightlock.signatures.slh_dsa_pqcrypto import Pqcrypto

All = Mapping[SignatureAlgorithm, Signed]
ML_DSA = [ML_DSA_44, ML_DSA_65, ML_DSA_87]


def _cross_check(
    key: PrivateKey, message: bytes, signers: list[SlhDsaLibrary], checkers: list[SlhDsaLibrary]
) -> None:
    algorithm, secret, public = key.algorithm, secret_of(key), raw_public_key(key.public)
    for signer in signers:
        signature = signer.sign(algorithm, secret, message)
        assert len(signature) == algorithm.signature_bytes
        for checker in checkers:
            assert checker.accepts(algorithm, public, signature, message)


@pytest.mark.parametrize("algorithm", SLH_DSA, ids=str)
def test_pqcrypto_and_liboqs_accept_each_others_slh_dsa(
    signed: All, liboqs: Liboqs, algorithm: SignatureAlgorithm
) -> None:
    both: list[SlhDsaLibrary] = [Pqcrypto(), liboqs]
    _cross_check(signed[algorithm].private, b"message", both, both)


@pytest.mark.parametrize("algorithm", SLH_DSA, ids=str)
def test_keys_of_pqcrypto_and_liboqs_have_one_form(
    liboqs: Liboqs, algorithm: SignatureAlgorithm
) -> None:
    for library in (Pqcrypto(), liboqs):
        assert library.supports(algorithm)
        assert len(library.generated(algorithm)) == 2 * (algorithm.public_key_bytes or 0)


def test_liboqs_is_used_where_it_is_installed(liboqs: Liboqs) -> None:
    assert slh_dsa.library_for(SLH_DSA[0]) is liboqs


def test_pqcrypto_is_used_for_what_liboqs_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    class Old:
        """A liboqs of the time before FIPS 205."""

        def is_sig_enabled(self, name: str) -> bool:
            return name.startswith("SPHINCS+")

    monkeypatch.setattr(slh_dsa, "installed_liboqs", lambda: Liboqs(Old()))
    assert isinstance(slh_dsa.library_for(SLH_DSA[0]), Pqcrypto)
    monkeypatch.setattr(slh_dsa, "installed_liboqs", lambda: None)
    assert isinstance(slh_dsa.library_for(SLH_DSA[0]), Pqcrypto)


def test_pqcrypto_has_all_sets_of_slh_dsa_and_nothing_else() -> None:
    assert all(Pqcrypto().supports(algorithm) for algorithm in SLH_DSA)
    assert not Pqcrypto().supports(ML_DSA_65)


@dataclass
class MlDsaPqcrypto:
    """ML-DSA of the pqcrypto wheel, which signs with expanded keys."""

    algorithm: SignatureAlgorithm

    def _module(self) -> Any:
        name = self.algorithm.name.lower().replace("-", "_")
        return importlib.import_module(f"pqcrypto.sign.{name}")

    def sign(self, expanded: bytes, message: bytes) -> bytes:
        return bytes(self._module().sign(expanded, message))

    def verify(self, public: bytes, message: bytes, signature: bytes) -> bool:
        self._module().verify(public, message, signature)
        return True


@dataclass
class MlDsaLiboqs:
    """ML-DSA of liboqs, which signs with expanded keys too."""

    algorithm: SignatureAlgorithm

    def sign(self, expanded: bytes, message: bytes) -> bytes:
        with importlib.import_module("oqs").Signature(self.algorithm.name, expanded) as scheme:
            return bytes(scheme.sign(message))

    def verify(self, public: bytes, message: bytes, signature: bytes) -> bool:
        with importlib.import_module("oqs").Signature(self.algorithm.name) as scheme:
            return bool(scheme.verify(message, signature, public))


def _cross_check_ml_dsa(one: Signed, other: MlDsaPqcrypto | MlDsaLiboqs) -> None:
    algorithm, public = one.private.algorithm, raw_public_key(one.private.public)
    expanded = expanded_key(algorithm, secret_of(one.private))
    assert one.key.accepts(other.sign(expanded, b"message"), b"message")
    assert other.verify(public, b"message", signing_key(one.private).sign(b"message"))


@pytest.mark.parametrize("algorithm", ML_DSA, ids=str)
def test_cryptography_and_pqcrypto_accept_each_others_ml_dsa(
    signed: All, algorithm: SignatureAlgorithm
) -> None:
    _cross_check_ml_dsa(signed[algorithm], MlDsaPqcrypto(algorithm))


@pytest.mark.parametrize("algorithm", ML_DSA, ids=str)
def test_cryptography_and_liboqs_accept_each_others_ml_dsa(
    signed: All, liboqs: Liboqs, algorithm: SignatureAlgorithm
) -> None:
    _cross_check_ml_dsa(signed[algorithm], MlDsaLiboqs(algorithm))


@pytest.mark.parametrize("algorithm", ML_DSA, ids=str)
def test_pqcrypto_and_liboqs_accept_each_others_ml_dsa(
    signed: All, liboqs: Liboqs, algorithm: SignatureAlgorithm
) -> None:
    public = raw_public_key(signed[algorithm].private.public)
    expanded = expanded_key(algorithm, secret_of(signed[algorithm].private))
    one, two = MlDsaPqcrypto(algorithm), MlDsaLiboqs(algorithm)
    assert one.verify(public, b"message", two.sign(expanded, b"message"))
    assert two.verify(public, b"message", one.sign(expanded, b"message"))
