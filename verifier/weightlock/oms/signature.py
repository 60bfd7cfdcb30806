"""Who signed a bundle: the trusted key or certificate under which its one signature is valid.

1. Keyless material is never verified here: NetworkRequired, whatever else is true.
2. Every trusted key of a fitting algorithm is tried, whatever the bundle says of its signer (C01).
3. A certificate counts only if an authority that the caller named vouches for it; then its key is
   tried.
4. What is left is a bundle that names a trusted key and is not signed by it (SignatureInvalid), or
   one by a stranger (SignerUntrusted).

The signature is over exactly the payload bytes that were parsed; its form follows from the payload.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from weightlock.formats.envelope import pre_authentication_encoding
from weightlock.formats.manifest import UpstreamSigner
from weightlock.names import IN_TOTO_PAYLOAD_TYPE
from weightlock.oms import ecdsa, legacy
from weightlock.oms.bundle import OmsBundle
from weightlock.oms.certificates import SigningCertificate, signing_certificate
from weightlock.oms.trust import Trust, distrust
from weightlock.oms.vocabulary import Form, Method
from weightlock.reasons import Reason
from weightlock.signatures.schemes import VerifyingKey
from weightlock.verdict.evidence import Finding, SignatureFact


@dataclass(frozen=True, slots=True)
class SignatureOutcome:
    """What trying the trusted keys showed. `signer` is set exactly if there is no `finding`."""

    fact: SignatureFact
    signer: UpstreamSigner | None = None
    finding: Finding | None = None


def verified(bundle: OmsBundle, trust: Trust, now: datetime) -> SignatureOutcome:
    """Check the signature of a bundle.

    Raises:
        Malformed: if a certificate in the bundle cannot be read.
    """
    # Step 1: keyless is never verified.
    if bundle.material.method is Method.KEYLESS:
        return _keyless()
    # Step 2: the keys that the caller trusts.
    keys = [key for key in trust.keys if key.algorithm in ecdsa.ALGORITHMS]
    for key in keys:
        if _accepts(key, bundle):
            return _signed_by_key(key, bundle)
    # Step 3: the authorities that the caller trusts.
    if bundle.material.method is Method.CERTIFICATE:
        return _by_certificate(bundle, trust, now)
    # Step 4: nobody that the caller trusts.
    claimed = next((key for key in keys if _is_named(key, bundle)), None)
    return _stranger(bundle.material.hint) if claimed is None else _invalid(claimed)


def payload_sha256(bundle: OmsBundle) -> str:
    """The identity of what was signed: unlike the subject's digest it binds every name (A36)."""
    return hashlib.sha256(bundle.payload).hexdigest()


def _accepts(key: VerifyingKey, bundle: OmsBundle) -> bool:
    if bundle.manifest.form is Form.V0_2:
        message = legacy.signed_bytes(bundle.payload)
        return ecdsa.accepts_with_sha256(key, bundle.signature, message)
    message = pre_authentication_encoding(IN_TOTO_PAYLOAD_TYPE, bundle.payload)
    return key.accepts(bundle.signature, message)


def _is_named(key: VerifyingKey, bundle: OmsBundle) -> bool:
    return bundle.material.hint in {
        ecdsa.hint(key),
        key.keyid,
    } or bundle.material.raw_key == ecdsa.pem(key)


def _by_certificate(bundle: OmsBundle, trust: Trust, now: datetime) -> SignatureOutcome:
    # The signer's certificate is the first, never one that happens to fit (C04).
    leaf = signing_certificate(bundle.material.certificates[0])
    finding = distrust(leaf, bundle.material.certificates[1:], trust, now)
    if finding is not None:
        fact = SignatureFact(leaf.key.keyid, leaf.key.algorithm, valid=None, trusted=False)
        return SignatureOutcome(fact, finding=finding)
    if not _accepts(leaf.key, bundle):
        return _invalid(leaf.key)
    return _signed_by_certificate(leaf, bundle)


def _signed_by_key(key: VerifyingKey, bundle: OmsBundle) -> SignatureOutcome:
    signer = UpstreamSigner(
        method=Method.KEY.value,
        algorithm=key.algorithm.name,
        identity=key.keyid,
        issuer="",
        predicate_type=bundle.manifest.form.value,
        payload_sha256=payload_sha256(bundle),
    )
    return SignatureOutcome(_valid(key), signer)


def _signed_by_certificate(leaf: SigningCertificate, bundle: OmsBundle) -> SignatureOutcome:
    signer = UpstreamSigner(
        method=Method.CERTIFICATE.value,
        algorithm=leaf.key.algorithm.name,
        identity=leaf.subject or ",".join(leaf.alternative_names),
        issuer=leaf.issuer,
        predicate_type=bundle.manifest.form.value,
        payload_sha256=payload_sha256(bundle),
    )
    return SignatureOutcome(_valid(leaf.key), signer)


def _valid(key: VerifyingKey) -> SignatureFact:
    return SignatureFact(key.keyid, key.algorithm, valid=True, trusted=True)


def _invalid(key: VerifyingKey) -> SignatureOutcome:
    fact = SignatureFact(key.keyid, key.algorithm, valid=False, trusted=True)
    message = f"the bundle names the trusted key {key.keyid} and its signature is not by that key"
    return SignatureOutcome(fact, finding=Finding(Reason.SIGNATURE_INVALID, "", message))


def _stranger(hint: str) -> SignatureOutcome:
    # The hint is shown nowhere as if it were true: it is what the writer of the bundle chose.
    finding = Finding(
        Reason.SIGNER_UNTRUSTED,
        "",
        "the bundle is not signed by any of the trusted keys",
        "name the publisher's public key (ECDSA over P-256, P-384 or P-521)",
    )
    return SignatureOutcome(SignatureFact(hint, None, valid=None, trusted=False), finding=finding)


def _keyless() -> SignatureOutcome:
    finding = Finding(
        Reason.NETWORK_REQUIRED,
        "",
        "the bundle is signed keyless; checking it needs the roots and logs of Sigstore",
        "verify it with model-signing where there is a network, then sign it with your own key",
    )
    return SignatureOutcome(SignatureFact("", None, valid=None, trusted=False), finding=finding)
