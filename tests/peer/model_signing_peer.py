"""model-signing from PyPI as a second opinion: it signs and verifies beside us, through its API."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from tests.unit.oms.forge import Signer

with warnings.catch_warnings():  # what its dependencies deprecate is not ours to fix
    warnings.simplefilter("ignore")
    from model_signing import hashing, signing, verifying


def hashing_config() -> hashing.Config:
    """How the peer hashes unless told otherwise."""
    return hashing.Config()  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class KeyFiles:
    """A key pair, and possibly certificates, as the files that the peer wants."""

    private: Path
    public: Path
    certificate: Path
    chain: Path
    root: Path


def key_files(
    folder: Path, signer: Signer, certificates: Sequence[x509.Certificate] = ()
) -> KeyFiles:
    """Write a key and its certificates: the signer's own first, the root last."""
    folder.mkdir(exist_ok=True)
    files = KeyFiles(*(folder / name for name in ("key", "pub", "own", "chain", "root")))
    files.private.write_bytes(
        signer.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    files.public.write_bytes(signer.pem)
    if certificates:
        own, *middle, root = [item.public_bytes(Encoding.PEM) for item in certificates]
        files.certificate.write_bytes(own)
        files.chain.write_bytes(b"".join(middle) or root)
        files.root.write_bytes(root)
    return files


def certificates(files: KeyFiles) -> tuple[x509.Certificate, ...]:
    """The signer's own certificate and those that lead to the root."""
    pem = files.certificate.read_bytes() + files.chain.read_bytes()
    return tuple(x509.load_pem_x509_certificates(pem))


def sign(model: Path, config: hashing.Config, files: KeyFiles) -> bytes:
    """Sign a model; the bundle lands beside it, outside."""
    signer = signing.Config()  # type: ignore[no-untyped-call]
    signer.set_hashing_config(config)
    if files.certificate.exists():
        signer.use_certificate_signer(
            private_key=files.private,
            signing_certificate=files.certificate,
            certificate_chain=[files.chain],
        )
    else:
        signer.use_elliptic_key_signer(private_key=files.private)
    path = files.private.parent / "peer.sig"
    signer.sign(model, path)
    return path.read_bytes()


def accepts(model: Path, data: bytes, files: KeyFiles) -> bool:
    """Whether the peer verifies a bundle; whatever it raises is a refusal."""
    path = files.private.parent / "ours.sig"
    path.write_bytes(data)
    verifier = verifying.Config()  # type: ignore[no-untyped-call]
    try:
        if files.root.exists():
            verifier.use_certificate_verifier(certificate_chain=[files.root])
        else:
            verifier.use_elliptic_key_verifier(public_key=files.public)
        verifier.verify(model, path)
    except Exception:
        return False
    return True
