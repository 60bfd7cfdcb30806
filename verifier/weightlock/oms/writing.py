"""Write `model.sig` so that model-signing accepts it: OMS v1.0, `files`, sha256, one signature.

Everything in the checkpoint is signed but the two signature files, which are recorded as ignored so
that other tools leave them out too; so are git's own paths where they exist, because model-signing
never looks at them and would call them missing. Those stay under the post-quantum signature alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509

from weightlock.digests import Digest, HashAlgorithm
from weightlock.engines.engine import Progress
from weightlock.errors import KeyUnusable, Malformed
from weightlock.formats import filenames, strict_base64, strict_json
from weightlock.formats.envelope import pre_authentication_encoding
from weightlock.names import IN_TOTO_PAYLOAD_TYPE, STATEMENT_TYPE, UNSIGNED_FILES
from weightlock.oms import ecdsa
from weightlock.oms.certificates import der_of, spki_of
from weightlock.oms.contents import Contents
from weightlock.oms.hashing import Stretch, digests
from weightlock.oms.vocabulary import BUNDLE_MEDIA_TYPE, GIT_PATHS, Form, Serialization
from weightlock.signatures.schemes import SigningKey, VerifyingKey


@dataclass(frozen=True, slots=True)
class FileDigest:
    """A file by name and the SHA-256 of its content."""

    name: str
    digest: Digest


def file_digests(on_disk: Contents, progress: Progress) -> tuple[FileDigest, ...]:
    """Hash the files that a bundle signs.

    Raises:
        Unreadable, ChangedWhileReading, UnsafeEntry: if a file could not be read.
    """
    signed = [
        (number, file)
        for number, file in enumerate(on_disk.present)
        if file.name not in UNSIGNED_FILES and file.name.split("/")[0] not in GIT_PATHS
    ]
    stretches = [Stretch(number, 0, file.size, file.size) for number, file in signed]
    found = digests(on_disk.files, stretches, HashAlgorithm.SHA256, progress)
    return tuple(
        FileDigest(file.name, digest) for (_, file), digest in zip(signed, found, strict=True)
    )


def bundle(
    model: str,
    files: Sequence[FileDigest],
    key: SigningKey,
    chain: Sequence[x509.Certificate] = (),
) -> bytes:
    """The bytes of a bundle over files, signed with an ECDSA key.

    With a chain, the signer's own certificate first, it is of the certificate form.

    Raises:
        KeyUnusable: if the key is not of the kind that bundles are signed with.
        Malformed: if there is nothing to sign, or the chain does not start with the key's.
        UnsafeName: if a file has a name that verifying would refuse.
    """
    if key.public_key.algorithm not in ecdsa.ALGORITHMS:
        raise KeyUnusable(
            f"a key of {key.public_key.algorithm} cannot sign an OMS bundle",
            hint="give an ECDSA key over P-256, P-384 or P-521",
        )
    material = _material(key.public_key, chain)
    payload = _payload(model, files)
    signature = key.sign(pre_authentication_encoding(IN_TOTO_PAYLOAD_TYPE, payload))
    envelope = {
        "payload": strict_base64.encode(payload),
        "payloadType": IN_TOTO_PAYLOAD_TYPE,
        "signatures": [{"sig": strict_base64.encode(signature), "keyid": ""}],
    }
    return strict_json.serialise(
        {
            "mediaType": BUNDLE_MEDIA_TYPE,
            "verificationMaterial": material,
            "dsseEnvelope": envelope,
        }
    )


def _material(key: VerifyingKey, chain: Sequence[x509.Certificate]) -> dict[str, object]:
    if not chain:
        return {"publicKey": {"hint": ecdsa.hint(key)}, "tlogEntries": []}
    if spki_of(chain[0]) != key.spki:
        raise Malformed(
            "the first certificate is not that of the signing key",
            hint="put the signer's own certificate first, then the one that issued it",
        )
    certificates = [{"rawBytes": strict_base64.encode(der)} for der in der_of(chain)]
    return {"x509CertificateChain": {"certificates": certificates}, "tlogEntries": []}


def _payload(model: str, files: Sequence[FileDigest]) -> bytes:
    if not files:
        raise Malformed("there is no file to sign")
    filenames.check_all(file.name for file in files)
    # By path components, as model-signing sorts: its root is over the digests in this order.
    ordered = sorted(files, key=lambda file: file.name.split("/"))
    root = HashAlgorithm.SHA256.digest(b"".join(file.digest.value for file in ordered))
    return strict_json.serialise(
        {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": model, "digest": {"sha256": root.hex()}}],
            "predicateType": Form.V1_0.value,
            "predicate": {
                "serialization": {
                    "method": Serialization.FILES.value,
                    "hash_type": HashAlgorithm.SHA256.value,
                    "allow_symlinks": False,
                    "ignore_paths": sorted(GIT_PATHS | UNSIGNED_FILES),
                },
                "resources": [_resource(file) for file in ordered],
            },
        }
    )


def _resource(file: FileDigest) -> dict[str, str]:
    return {
        "name": file.name,
        "algorithm": file.digest.algorithm.value,
        "digest": file.digest.hex,
    }
