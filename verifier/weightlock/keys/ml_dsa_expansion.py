"""ML-DSA.KeyGen_internal (FIPS 204, algorithm 6): what a seed expands to, to compare with a file.

OpenSSL writes private keys as seed and expanded key together. Signing uses the seed alone, so an
expanded key that belongs to another seed would go unnoticed, and the same file would be two keys
to two programs. No library here exports the expansion, so it is computed, once per key file read,
in plain Python that follows the standard. Nothing is ever signed with its result.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final, Protocol

from weightlock.algorithms import ML_DSA_44, ML_DSA_65, ML_DSA_87, SignatureAlgorithm

Polynomial = list[int]

_Q: Final = 8380417
_N: Final = 256
_D: Final = 13
_ROOT: Final = 1753
_INVERSE_OF_N: Final = 8347681
_T1_BITS: Final = 10


@dataclass(frozen=True, slots=True)
class _Parameters:
    """The rows (k) and columns (l) of the matrix, and the bound of the secret."""

    rows: int
    columns: int
    eta: int


_PARAMETERS: Final = {
    ML_DSA_44: _Parameters(4, 4, 2),
    ML_DSA_65: _Parameters(6, 5, 4),
    ML_DSA_87: _Parameters(8, 7, 2),
}
_ZETAS: Final = tuple(pow(_ROOT, int(f"{m:08b}"[::-1], 2), _Q) for m in range(_N))


class _Shake(Protocol):
    def digest(self, length: int, /) -> bytes:
        """The first bytes of the output."""
        ...


def expanded_bytes(algorithm: SignatureAlgorithm) -> int:
    """The size of an expanded private key."""
    set_ = _PARAMETERS[algorithm]
    secret_bits = (2 * set_.eta).bit_length() * (set_.rows + set_.columns)
    return 128 + _N // 8 * (secret_bits + _D * set_.rows)


def expanded_key(algorithm: SignatureAlgorithm, seed: bytes) -> bytes:
    """The expanded private key of a seed."""
    set_ = _PARAMETERS[algorithm]
    # 1. Everything comes from the seed and the parameter set.
    stream = hashlib.shake_256(seed + bytes((set_.rows, set_.columns))).digest(128)
    rho, rho_prime, key = stream[:32], stream[32:96], stream[96:]
    # 2. The secret vectors s1 and s2.
    secret = [_bounded(rho_prime, number, set_.eta) for number in range(set_.rows + set_.columns)]
    s1, s2 = secret[: set_.columns], secret[set_.columns :]
    # 3. t = A s1 + s2, split into the public t1 and the private t0.
    t1, t0 = _split(_product_plus(rho, s1, s2))
    # 4. The encodings (algorithms 22 and 24).
    public = rho + b"".join(_packed(polynomial, _T1_BITS) for polynomial in t1)
    width = (2 * set_.eta).bit_length()
    private = [_packed([set_.eta - c for c in polynomial], width) for polynomial in secret]
    private += [_packed([2 ** (_D - 1) - c for c in polynomial], _D) for polynomial in t0]
    tr = hashlib.shake_256(public).digest(64)
    return rho + key + tr + b"".join(private)


def _product_plus(rho: bytes, s1: list[Polynomial], s2: list[Polynomial]) -> list[Polynomial]:
    transformed = [_ntt(polynomial) for polynomial in s1]
    result = []
    for row, addend in enumerate(s2):
        total = [0] * _N
        for column, factor in enumerate(transformed):
            entry = _uniform(rho + bytes((column, row)))
            total = [(t + a * b) % _Q for t, a, b in zip(total, entry, factor, strict=True)]
        product = _inverse_ntt(total)
        result.append([(p + a) % _Q for p, a in zip(product, addend, strict=True)])
    return result


def _split(vector: list[Polynomial]) -> tuple[list[Polynomial], list[Polynomial]]:
    """Power2Round (algorithm 35)."""
    half = 2 ** (_D - 1)
    high = [[(c + half - 1) >> _D for c in polynomial] for polynomial in vector]
    low = [
        [c - (h << _D) for c, h in zip(polynomial, highs, strict=True)]
        for polynomial, highs in zip(vector, high, strict=True)
    ]
    return high, low


def _uniform(seed: bytes) -> Polynomial:
    """RejNTTPoly (algorithm 30)."""
    stream = _octets(hashlib.shake_128(seed))
    candidates = (a | b << 8 | (c & 0x7F) << 16 for a, b, c in zip(stream, stream, stream))  # noqa: B905 # one endless stream, three at a time
    return list(islice((c for c in candidates if c < _Q), _N))


def _bounded(seed: bytes, number: int, eta: int) -> Polynomial:
    """RejBoundedPoly (algorithm 31)."""
    stream = _octets(hashlib.shake_256(seed + number.to_bytes(2, "little")))
    halves = (half for octet in stream for half in (octet & 0x0F, octet >> 4))
    below, modulus = (15, 5) if eta == 2 else (9, 9)  # noqa: PLR2004 # eta is 2 or 4
    return list(islice((eta - half % modulus for half in halves if half < below), _N))


def _octets(shake: _Shake) -> Iterator[int]:
    """The endless output of an extendable-output function."""
    length = 0
    while True:
        yield from shake.digest(length + 1024)[length:]
        length += 1024


def _ntt(polynomial: Polynomial) -> Polynomial:
    """Algorithm 41."""
    w, m, length = list(polynomial), 0, _N // 2
    while length:
        for start in range(0, _N, 2 * length):
            m += 1
            for j in range(start, start + length):
                t = _ZETAS[m] * w[j + length] % _Q
                w[j + length], w[j] = (w[j] - t) % _Q, (w[j] + t) % _Q
        length //= 2
    return w


def _inverse_ntt(polynomial: Polynomial) -> Polynomial:
    """Algorithm 42."""
    w, m, length = list(polynomial), _N, 1
    while length < _N:
        for start in range(0, _N, 2 * length):
            m -= 1
            for j in range(start, start + length):
                t = w[j]
                w[j] = (t + w[j + length]) % _Q
                w[j + length] = _ZETAS[m] * (w[j + length] - t) % _Q
        length *= 2
    return [_INVERSE_OF_N * c % _Q for c in w]


def _packed(coefficients: Polynomial, width: int) -> bytes:
    """SimpleBitPack (algorithm 16); the callers have subtracted for BitPack (algorithm 17)."""
    value = 0
    for coefficient in reversed(coefficients):
        value = value << width | coefficient
    return value.to_bytes(_N * width // 8, "little")
