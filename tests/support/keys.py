"""Keys for tests, made anew in each run: no private key is ever in the repository."""

from functools import cache

from weightlock import algorithms
from weightlock.formats.spki import PublicKeyInfo
from weightlock.keys.signing import generate, signing_key
from weightlock.signatures.schemes import SigningKey, VerifyingKey


@cache
def key(algorithm: str = "ML-DSA-65", number: int = 0) -> SigningKey:
    """One key for each algorithm and number, the same one throughout a run."""
    del number
    return signing_key(generate(algorithms.signature_algorithm(algorithm)))


def info(verifying: VerifyingKey) -> PublicKeyInfo:
    """The public key as policies hold it."""
    return PublicKeyInfo(verifying.algorithm, verifying.spki)
