"""SLH-DSA (FIPS 205) in pure mode with an empty context: all twelve sets.

Through liboqs where its shared library is really installed, else through the `pqcrypto` wheel; both
are checked against each other and against OpenSSL in the tests.
"""

from typing import Protocol

from weightlock.algorithms import SignatureAlgorithm
from weightlock.formats.spki import PublicKeyInfo, raw_public_key
from weightlock.signatures.checked import Check, Sign
from weightlock.signatures.slh_dsa_liboqs import installed_liboqs
from weightlock.signatures.slh_dsa_pqcrypto import Pqcrypto


class SlhDsaLibrary(Protocol):
    """An implementation of SLH-DSA. Sizes were checked before it is called."""

    def supports(self, algorithm: SignatureAlgorithm) -> bool:
        """Whether this build has the parameter set."""
        ...

    def generated(self, algorithm: SignatureAlgorithm) -> bytes:
        """A new private key: SK.seed || SK.prf || PK.seed || PK.root."""
        ...

    def sign(self, algorithm: SignatureAlgorithm, secret: bytes, message: bytes) -> bytes:
        """A hedged signature."""
        ...

    def accepts(
        self, algorithm: SignatureAlgorithm, public: bytes, signature: bytes, message: bytes
    ) -> bool:
        """Whether the signature is valid."""
        ...


def library_for(algorithm: SignatureAlgorithm) -> SlhDsaLibrary:
    """The implementation to use for a parameter set on this machine."""
    liboqs = installed_liboqs()
    if liboqs is not None and liboqs.supports(algorithm):
        return liboqs
    return Pqcrypto()


def check_of(info: PublicKeyInfo) -> Check:
    """What checks signatures under an SLH-DSA public key."""
    library = library_for(info.algorithm)
    public = raw_public_key(info)
    return lambda signature, message: library.accepts(info.algorithm, public, signature, message)


def sign_of(algorithm: SignatureAlgorithm, secret: bytes) -> Sign:
    """What signs with the private key SK.seed || SK.prf || PK.seed || PK.root."""
    library = library_for(algorithm)
    return lambda message: library.sign(algorithm, secret, message)


def generated_secret(algorithm: SignatureAlgorithm) -> bytes:
    """A new private key: SK.seed || SK.prf || PK.seed || PK.root."""
    return library_for(algorithm).generated(algorithm)
