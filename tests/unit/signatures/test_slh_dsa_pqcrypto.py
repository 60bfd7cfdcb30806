"""The adapter to the wheel: only a check that ends as the wheel's does today is a yes."""

from dataclasses import dataclass

import pytest

from weightlock.algorithms import SLH_DSA
from weightlock.signatures.slh_dsa_pqcrypto import Pqcrypto


@dataclass(frozen=True)
class Answering:
    """A parameter set of a later wheel, whose check answers instead of raising."""

    answer: object

    def keygen(self) -> tuple[bytes, bytes]:
        raise NotImplementedError

    def sign(self, secret: bytes, message: bytes) -> bytes:
        raise NotImplementedError

    def verify(self, public: bytes, message: bytes, signature: bytes) -> object:
        return self.answer


def accepts(answer: object) -> bool:
    library = Pqcrypto(lambda _: Answering(answer))
    return library.accepts(SLH_DSA[0], b"public", b"signature", b"message")


def test_a_check_that_does_not_raise_and_says_nothing_is_a_yes() -> None:
    assert accepts(None)


@pytest.mark.parametrize("answer", [False, 0, True, 1, "no"])
def test_a_check_that_answers_is_one_that_nobody_here_knows(answer: object) -> None:
    assert not accepts(answer)
