import pytest

from weightlock.algorithms import (
    ALL,
    CLASSICAL,
    POST_QUANTUM,
    SLH_DSA,
    Family,
    SignatureAlgorithm,
    algorithm_of_oid,
    signature_algorithm,
)
from weightlock.errors import Malformed


@pytest.mark.parametrize("algorithm", ALL, ids=str)
def test_an_algorithm_is_found_by_its_name_and_its_identifier(
    algorithm: SignatureAlgorithm,
) -> None:
    assert signature_algorithm(str(algorithm)) is algorithm
    assert algorithm_of_oid(algorithm.oid) is algorithm


@pytest.mark.parametrize(
    "name",
    ["", "ml-dsa-65", "ML-DSA-65 ", "ML-DSA", "ML_DSA_65", "none", None, 65, ["ML-DSA-65"], b"x"],
)
def test_no_other_spelling_is_an_algorithm(name: object) -> None:
    with pytest.raises(Malformed, match="unknown signature algorithm"):
        signature_algorithm(name)


@pytest.mark.parametrize("oid", ["", "1.2.3", "2.16.840.1.101.3.4.3.32", "1.2.840.10045.2.1"])
def test_no_other_identifier_is_an_algorithm(oid: str) -> None:
    with pytest.raises(Malformed, match="unknown algorithm"):
        algorithm_of_oid(oid)


def test_post_quantum_is_what_is_not_classical() -> None:
    assert len(POST_QUANTUM) == 15
    assert len(SLH_DSA) == 12
    assert all(algorithm.is_post_quantum for algorithm in POST_QUANTUM)
    assert not any(algorithm.is_post_quantum for algorithm in CLASSICAL)
    assert [family.is_post_quantum for family in Family] == [True, True, False]


@pytest.mark.parametrize("algorithm", POST_QUANTUM, ids=str)
def test_sizes_of_post_quantum_algorithms_are_exact(algorithm: SignatureAlgorithm) -> None:
    assert algorithm.public_key_bytes
    assert algorithm.signature_bytes
