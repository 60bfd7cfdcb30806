"""From a public key as a value to one that checks signatures."""

from weightlock.algorithms import Family
from weightlock.formats.spki import PublicKeyInfo
from weightlock.signatures import classical, ml_dsa, slh_dsa
from weightlock.signatures.checked import CheckedVerifyingKey
from weightlock.signatures.schemes import VerifyingKey


def verifying_key(info: PublicKeyInfo) -> VerifyingKey:
    """The key that checks signatures of exactly its own algorithm (A11, A32).

    Raises:
        KeyUnusable: if no library here takes the key.
    """
    match info.algorithm.family:
        case Family.ML_DSA:
            return CheckedVerifyingKey(info, ml_dsa.check_of(info))
        case Family.SLH_DSA:
            return CheckedVerifyingKey(info, slh_dsa.check_of(info))
        case Family.CLASSICAL:
            return CheckedVerifyingKey(info, classical.check_of(info))
