"""Whom the caller trusts, and whether a certificate leads there.

The certificate must be within its validity at the given time, allow digital signatures and be for
code signing; then a path to a given authority is built and checked by the library: signatures,
alternative names, path lengths, validity of every certificate on it. An authority that is limited
to certain subjects is believed about nobody. What else lies in a bundle is only material for that
path.

Time: model-signing checks the path at the moment the certificate became valid, so that none ever
expires. Here it is checked at the time that the caller gives: a bundle carries no proof of when it
was made, and after the end of its validity nobody answers for a key any more. Who knows from
elsewhere when a model was signed can give that time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from weightlock.oms.certificates import SigningCertificate, certificate_of, shown
from weightlock.reasons import Reason
from weightlock.signatures.schemes import VerifyingKey
from weightlock.verdict.evidence import Finding

MAX_INTERMEDIATES: Final = 8
_FOR_CODE_SIGNERS: Final = frozenset(
    {ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
)


@dataclass(frozen=True, slots=True)
class Trust:
    """Keys and authorities named by the caller, never by a bundle; empty trusts nobody."""

    keys: Sequence[VerifyingKey] = ()
    authorities: Sequence[x509.Certificate] = ()


def distrust(
    leaf: SigningCertificate, intermediates: Sequence[bytes], trust: Trust, now: datetime
) -> Finding | None:
    """Why no authority vouches for a certificate; None if one does.

    Raises:
        Malformed: if an intermediate certificate cannot be read.
    """
    if not trust.authorities:
        return _untrusted(
            "the bundle is signed with a certificate, and no authority is trusted",
            "name the authority that issued the certificate, or the signer's public key",
        )
    return (
        _expired(leaf, now)
        or _unsuitable(leaf)
        or _no_path(leaf, [certificate_of(der) for der in intermediates], trust, now)
    )


def _expired(leaf: SigningCertificate, now: datetime) -> Finding | None:
    if leaf.not_before <= now <= leaf.not_after:
        return None
    return Finding(
        Reason.KEY_EXPIRED,
        "",
        f"the signing certificate is valid from {leaf.not_before:%Y-%m-%d} to"
        f" {leaf.not_after:%Y-%m-%d}, not on {now:%Y-%m-%d}",
        "ask the publisher for a signature under a current certificate",
    )


def _unsuitable(leaf: SigningCertificate) -> Finding | None:
    if not leaf.signs_digitally:
        return _untrusted("the signing certificate lacks the key usage digitalSignature")
    if not leaf.signs_code:
        # Without it every TLS server certificate of the same authority could sign models (C20).
        return _untrusted("the signing certificate lacks the extended key usage codeSigning")
    return None


def _no_path(
    leaf: SigningCertificate,
    intermediates: Sequence[x509.Certificate],
    trust: Trust,
    now: datetime,
) -> Finding | None:
    verifier = (
        PolicyBuilder()
        .store(Store(list(trust.authorities)))
        .time(now.astimezone(UTC))
        .max_chain_depth(MAX_INTERMEDIATES)
        .extension_policies(
            ca_policy=_authority_policy(leaf), ee_policy=ExtensionPolicy.permit_all()
        )
        .build_client_verifier()
    )
    try:
        verifier.verify(leaf.certificate, list(intermediates))
    except VerificationError as error:
        return _untrusted(
            f"no trusted authority vouches for {shown(leaf.subject)}: {shown(error)}",
            "the certificates in the bundle must lead to an authority that you named",
        )
    return None


def _authority_policy(leaf: SigningCertificate) -> ExtensionPolicy:
    subject = leaf.certificate.subject
    has_address = bool(subject.get_attributes_for_oid(NameOID.EMAIL_ADDRESS))

    def limits_what_is_checked(
        _: Policy, __: x509.Certificate, found: x509.NameConstraints | None
    ) -> None:
        # The library compares alternative names. Of the subject, by which a signer is called here,
        # it compares nothing, and it says so only where the extension is critical.
        kinds = _kinds(found) if found is not None else set()
        if x509.DirectoryName in kinds or (has_address and x509.RFC822Name in kinds):
            raise ValueError("an issuer is limited to certain subjects, which nobody checks here")

    # The library itself looks at what basicConstraints says once they must be present.
    return (
        ExtensionPolicy.permit_all()
        .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, None)
        .require_present(x509.KeyUsage, Criticality.AGNOSTIC, _may_sign_certificates)
        .may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _may_issue_code_signers)
        .may_be_present(x509.NameConstraints, Criticality.AGNOSTIC, limits_what_is_checked)
    )


def _kinds(limits: x509.NameConstraints) -> set[type[x509.GeneralName]]:
    return {
        type(name)
        for name in (*(limits.permitted_subtrees or ()), *(limits.excluded_subtrees or ()))
    }


def _may_sign_certificates(_: Policy, __: x509.Certificate, found: x509.KeyUsage) -> None:
    if not found.key_cert_sign:
        raise ValueError("an issuer may not sign certificates")


def _may_issue_code_signers(
    _: Policy, __: x509.Certificate, found: x509.ExtendedKeyUsage | None
) -> None:
    if found is not None and _FOR_CODE_SIGNERS.isdisjoint(found):
        raise ValueError("an issuer is not for code signing")


def _untrusted(message: str, hint: str = "") -> Finding:
    return Finding(Reason.SIGNER_UNTRUSTED, "", message, hint)
