"""Makes bundles, good and bad ones, with a key of the test's own."""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from weightlock.algorithms import SignatureAlgorithm
from weightlock.checkpoint.folder import CheckpointFolder
from weightlock.checkpoint.walker import Limits
from weightlock.digests import Digest, HashAlgorithm
from weightlock.oms import ecdsa
from weightlock.oms.contents import Contents
from weightlock.oms.trust import Trust
from weightlock.oms.verification import OmsVerification, Settings, verify_bundle
from weightlock.reasons import Reason
from weightlock.signatures.schemes import VerifyingKey

Json = dict[str, Any]

NOW = datetime(2026, 6, 1, tzinfo=UTC)
MODEL = {"config.json": b"{}", "sub/empty": b"", "weights.bin": b"w" * 2500}
PREDICATE = "https://model_signing/signature/v1.0"
LEGACY_PREDICATE = "https://model_signing/Digests/v0.1"
IN_TOTO = "application/vnd.in-toto+json"
MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
HASHES: dict[str, hashes.HashAlgorithm] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}


@dataclass(frozen=True)
class Signer:
    """A private key that the tests hold; a `SigningKey`."""

    private: ec.EllipticCurvePrivateKey

    @classmethod
    def new(cls, curve: ec.EllipticCurve | None = None) -> "Signer":
        return cls(ec.generate_private_key(curve or ec.SECP256R1()))

    @property
    def public_key(self) -> VerifyingKey:
        return ecdsa.ecdsa_key(
            self.point.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        )

    @property
    def point(self) -> ec.EllipticCurvePublicKey:
        return self.private.public_key()

    @property
    def hint(self) -> str:
        return ecdsa.hint(self.public_key)

    @property
    def pem(self) -> bytes:
        return self.point.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def sign(self, message: bytes) -> bytes:
        return self.private.sign(message, ec.ECDSA(HASHES[self.private.curve.name]))

    def sign_with_sha256(self, message: bytes) -> bytes:
        return self.private.sign(message, ec.ECDSA(hashes.SHA256()))


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def compact(value: object) -> bytes:
    return json.dumps(value).encode()


def resource(name: str, content: bytes, algorithm: str = "sha256") -> Json:
    digest = hashlib.sha256(content).hexdigest()
    return {"name": name, "algorithm": algorithm, "digest": digest}


def root_of(resources: Sequence[Mapping[str, Any]]) -> str:
    return hashlib.sha256(b"".join(bytes.fromhex(r["digest"]) for r in resources)).hexdigest()


def statement(resources: Sequence[Json], **serialization: object) -> Json:
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "model", "digest": {"sha256": root_of(resources)}}],
        "predicateType": PREDICATE,
        "predicate": {
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                **serialization,
            },
            "resources": list(resources),
        },
    }


def files_statement(model: Mapping[str, bytes] = MODEL) -> Json:
    return statement([resource(name, content) for name, content in model.items()])


def shards_statement(model: Mapping[str, bytes] = MODEL, size: int = 1000) -> Json:
    shards = [
        resource(f"{name}:{start}:{min(start + size, len(content))}", content[start : start + size])
        for name, content in model.items()
        for start in range(0, len(content), size)
    ]
    return statement(shards, method="shards", shard_size=size)


def legacy_statement(model: Mapping[str, bytes] = MODEL) -> Json:
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [
            {
                "name": name,
                "digest": {"sha256": hashlib.sha256(content).hexdigest()},
                "annotations": {"actual_hash_algorithm": "file-sha256"},
            }
            for name, content in model.items()
        ],
        "predicateType": LEGACY_PREDICATE,
        "predicate": {"unused": "Unused, just passed due to API requirements"},
    }


def pae(payload: bytes) -> bytes:
    return b"DSSEv1 %d %s %d %s" % (len(IN_TOTO), IN_TOTO.encode(), len(payload), payload)


def legacy_pae(payload: bytes) -> bytes:
    return f"DSSEV1 {len(IN_TOTO)} {IN_TOTO} {len(payload)} {payload!r}".encode()


def bundle(payload: bytes, signature: bytes = b"signature", material: Json | None = None) -> Json:
    return {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": material or {"publicKey": {"hint": "ab"}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": encoded(payload),
            "payloadType": IN_TOTO,
            "signatures": [{"sig": encoded(signature), "keyid": ""}],
        },
    }


def hinted(signer: Signer) -> Json:
    return {"publicKey": {"hint": signer.hint}, "tlogEntries": []}


def chained(*certificates: x509.Certificate) -> Json:
    from weightlock.oms.certificates import der_of  # noqa: PLC0415 - only these tests need it

    listed = [{"rawBytes": encoded(der)} for der in der_of(certificates)]
    return {"x509CertificateChain": {"certificates": listed}}


def signed(document: Json, signer: Signer, material: Json | None = None) -> bytes:
    """A bundle over a statement, properly signed."""
    payload = compact(document)
    if document["predicateType"] == LEGACY_PREDICATE:
        signature = signer.sign_with_sha256(legacy_pae(payload))
    else:
        signature = signer.sign(pae(payload))
    return compact(bundle(payload, signature, material or hinted(signer)))


def write_model(folder: Path, model: Mapping[str, bytes] = MODEL) -> Path:
    for name, content in model.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@contextmanager
def on_disk(folder: Path) -> Iterator[Contents]:
    with CheckpointFolder(folder) as opened:
        walk = opened.walk(Limits())
        assert walk.findings == ()
        yield Contents(walk.files, opened.files(walk.files))


def verify(
    data: bytes, folder: Path, trust: Trust, *, now: datetime = NOW, tolerated: Sequence[str] = ()
) -> OmsVerification:
    settings = Settings(trust, now, frozenset(tolerated))
    with on_disk(folder) as contents:
        return verify_bundle(data, contents, settings, lambda _: None)


def reasons(found: OmsVerification) -> list[tuple[Reason, str]]:
    return [(finding.reason, finding.name) for finding in found.evidence.findings]


def is_accepted(found: OmsVerification) -> bool:
    """The one way in: a valid trusted signature and every byte compared."""
    evidence = found.evidence
    [fact] = evidence.signatures
    accepted = (
        fact.valid is True and fact.trusted and evidence.content_compared and not evidence.findings
    )
    assert accepted == (found.upstream is not None)
    return accepted


@dataclass(frozen=True)
class Renamed:
    """A key that says it is of another algorithm."""

    key: VerifyingKey
    algorithm: SignatureAlgorithm

    @property
    def spki(self) -> bytes:
        return self.key.spki

    @property
    def keyid(self) -> str:
        return self.key.keyid

    def accepts(self, signature: bytes, message: bytes) -> bool:
        return self.key.accepts(signature, message)


def digest_of(content: bytes) -> Digest:
    return Digest(HashAlgorithm.SHA256, hashlib.sha256(content).digest())
