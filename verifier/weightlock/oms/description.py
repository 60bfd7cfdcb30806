"""A bundle for people and for `inspect --json`: what it claims, none of it verified.

Every text is escaped and capped, because whoever wrote the bundle chose it (D03).
"""

from dataclasses import dataclass

from weightlock.formats.filenames import printable
from weightlock.oms.bundle import OmsBundle
from weightlock.oms.certificates import SigningCertificate, shown, signing_certificate
from weightlock.oms.signature import payload_sha256
from weightlock.oms.vocabulary import Form, Method

KIND = "OpenSSF Model Signing bundle"
FAMILY = "classical"
_VERSIONS = {
    Form.V1_0: "signature/v1.0 (model-signing 0.3 and later)",
    Form.V0_2: "Digests/v0.1 (model-signing 0.2)",
}


@dataclass(frozen=True, slots=True)
class ClaimedSigner:
    """Who a bundle says signed it. `hint` is for the key form, the rest for certificates."""

    method: str
    hint: str = ""
    algorithm: str = ""
    keyid: str = ""
    subject: str = ""
    issuer: str = ""
    alternative_names: tuple[str, ...] = ()
    fingerprint: str = ""
    not_before: str = ""
    not_after: str = ""


@dataclass(frozen=True, slots=True)
class Description:
    """What a bundle says of itself. `size` is known in the form by shards only."""

    kind: str
    version: str
    family: str
    model: str
    payload_sha256: str
    serialization: str
    hash: str
    signer: ClaimedSigner
    files: tuple[str, ...]
    size: int | None
    ignored_paths: tuple[str, ...]
    allow_symlinks: bool


def described(bundle: OmsBundle) -> Description:
    """Describe a bundle.

    Raises:
        Malformed: if the signer's certificate cannot be read.
    """
    manifest = bundle.manifest
    sizes = [file.size for file in manifest.files if file.size is not None]
    return Description(
        kind=KIND,
        version=_VERSIONS[manifest.form],
        family=FAMILY,
        model=printable(manifest.subject)[1:-1],
        payload_sha256=payload_sha256(bundle),
        serialization=manifest.serialization.value,
        hash=manifest.algorithm.value,
        signer=_claimed_signer(bundle),
        files=tuple(file.name for file in manifest.files),
        size=sum(sizes) if sizes else None,
        ignored_paths=manifest.ignored_paths,
        allow_symlinks=manifest.allow_symlinks,
    )


def _claimed_signer(bundle: OmsBundle) -> ClaimedSigner:
    found = bundle.material
    if found.method is Method.KEY:
        return ClaimedSigner(found.method.value, hint=shown(found.hint))
    return _of_certificate(found.method, signing_certificate(found.certificates[0]))


def _of_certificate(method: Method, leaf: SigningCertificate) -> ClaimedSigner:
    return ClaimedSigner(
        method.value,
        algorithm=leaf.key.algorithm.name,
        keyid=leaf.key.keyid,
        subject=shown(leaf.subject),
        issuer=shown(leaf.issuer),
        alternative_names=leaf.alternative_names,
        fingerprint=leaf.fingerprint,
        not_before=f"{leaf.not_before:%Y-%m-%dT%H:%M:%SZ}",
        not_after=f"{leaf.not_after:%Y-%m-%dT%H:%M:%SZ}",
    )
