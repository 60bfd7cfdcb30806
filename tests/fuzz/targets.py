"""What is fuzzed: every parser that reads a stranger's bytes, with valid documents to start from.

A target takes any bytes. Only Weightlock's own errors may come out of it, and what it accepts must
survive being written and read again. Used by coverage_guided.py and test_bounded_fuzz.py.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)
from tests.support import folders
from tests.support.documents import MANIFEST, NOTARISED
from tests.unit.oms import authority, forge
from tests.unit.policy.builders import EC, PQ

from weightlock import algorithms
from weightlock.errors import WeightlockError
from weightlock.formats import envelope, pem, segments, spki, statement
from weightlock.formats.shards import Shard
from weightlock.keys import pbes2
from weightlock.keys.pkcs8 import PrivateKey, private_key_of_pkcs8, private_key_of_seed
from weightlock.keys.private import private_key, private_key_text
from weightlock.keys.signing import generate
from weightlock.names import API_VERSION
from weightlock.oms import bundle
from weightlock.oms import statement as oms_statement
from weightlock.oms.certificates import certificate_of, der_of, signing_certificate
from weightlock.oms.trust import Trust, distrust
from weightlock.policy.documents import read_documents
from weightlock.policy.requirements import SignatureRequirements
from weightlock.reasons import Reason
from weightlock.reporting import (
    Gate,
    ReadingLimits,
    Report,
    ReportedSignature,
    Request,
    parse_report,
    parse_request,
    report_json,
    request_json,
)

PASSPHRASE: Final = b"correct horse"
TENSOR_BYTES: Final = 20
_ENTRIES: Final = (
    envelope.EnvelopeSignature("ab" * 32, b"one signature"),
    envelope.EnvelopeSignature("cd" * 32, b""),
)


@dataclass(frozen=True)
class Target:
    """One parser; `tokens` are words of its language that a fuzzer would not guess."""

    name: str
    parse: Callable[[bytes], None]
    seeds: Callable[[], Sequence[bytes]]
    tokens: tuple[bytes, ...] = ()

    def accepts(self, data: bytes) -> bool:
        """Whether the bytes are read; whatever is raised besides our own errors is a finding."""
        try:
            self.parse(data)
        except WeightlockError:
            return False
        return True


def _envelope(data: bytes) -> None:
    found = envelope.parse(data)
    assert envelope.parse(envelope.serialise(found)) == found
    _statement(found.payload)


def _statement(data: bytes) -> None:
    found = statement.parse(data)
    assert statement.parse(statement.serialise(found)) == found


def _oms_bundle(data: bytes) -> None:
    bundle.parse(data)


def _oms_statement(data: bytes) -> None:
    oms_statement.parse(data)


def _certificate(data: bytes) -> None:
    leaf, root = _certificates()
    trust = Trust((), (certificate_of(root),))
    distrust(signing_certificate(leaf), [data], trust, forge.NOW)
    distrust(signing_certificate(data), [root], trust, forge.NOW)


def _public_key(data: bytes) -> None:
    found = spki.public_key_info(data)
    assert spki.public_key_info(found.pem) == found


def _public_key_der(data: bytes) -> None:
    _public_key(pem.encode(spki.LABEL, spki.public_key_info_of_der(data).spki).encode())


def _private_key(data: bytes) -> None:
    _check_private_key(private_key(data, PASSPHRASE))


def _private_key_der(data: bytes) -> None:
    _check_private_key(private_key_of_pkcs8(data))


def _check_private_key(found: PrivateKey) -> None:
    assert private_key(private_key_text(found).encode()) == found


def _encrypted_key_der(data: bytes) -> None:
    pbes2.decrypt(data, PASSPHRASE)


def _safetensors(data: bytes) -> None:
    length = segments.header_length(data[: segments.PREFIX_BYTES], len(data))
    if length is not None:
        _check_cut(data[segments.PREFIX_BYTES : segments.PREFIX_BYTES + length], len(data))


def _safetensors_header(data: bytes) -> None:
    _check_cut(data, segments.PREFIX_BYTES + len(data) + TENSOR_BYTES)


def _check_cut(header: bytes, size: int) -> None:
    try:
        cut = segments.safetensors_segments(header, size)
    except WeightlockError as error:
        raise AssertionError("a header that is none is no error") from error
    position = 0
    for part in cut or ():
        assert part.offset == position
        assert part.length > 0
        position += part.length
    assert cut is None or position == size


def _policy(data: bytes) -> None:
    read_documents(data)


def _report(data: bytes) -> None:
    found = parse_report(data)
    written = replace(parse_report(report_json(found)), message=found.message, hint=found.hint)
    assert written == found  # sentences for people may be cut


def _request(data: bytes) -> None:
    found = parse_request(data.decode("utf-8", "surrogateescape"))
    assert parse_request(request_json(found)) == found


def _envelopes() -> list[bytes]:
    return [
        envelope.serialise(envelope.Envelope(payload, entries))
        for payload in _statements()
        for entries in (_ENTRIES[:1], _ENTRIES)
    ]


def _statements() -> list[bytes]:
    return [statement.serialise(manifest) for manifest in (MANIFEST, NOTARISED)]


def _oms_statements() -> list[bytes]:
    made = (forge.files_statement(), forge.shards_statement(), forge.legacy_statement())
    return [forge.compact(document) for document in made]


def _oms_bundles() -> list[bytes]:
    chain = {"x509CertificateChain": {"certificates": [{"rawBytes": "MAA="}]}, "tlogEntries": []}
    keyless = {"certificate": {"rawBytes": "MAA="}, "tlogEntries": [{}]}
    return [
        forge.compact(forge.bundle(payload, material=material))
        for payload in _oms_statements()
        for material in (None, chain, keyless)
    ]


@cache
def _certificates() -> tuple[bytes, ...]:
    root = authority.root()
    names = x509.SubjectAlternativeName(
        [
            x509.DNSName("a.example"),
            x509.RFC822Name("b@a.example"),
            x509.DirectoryName(x509.Name([])),
        ]
    )
    traits = replace(authority.SIGNS_CODE, extra=[(names, False)])
    leaf = authority.leaf(root, forge.Signer.new().point, traits, "b@a.example")
    return der_of([leaf, root.certificate])


def _signing_certificates() -> list[bytes]:
    return list(_certificates()[:1])


@cache
def _keys() -> tuple[PrivateKey, ...]:
    seeded = [
        private_key_of_seed(algorithm, bytes(range(32)))
        for algorithm in (algorithms.ML_DSA_44, algorithms.ML_DSA_65, algorithms.ML_DSA_87)
    ]
    names = ("SLH-DSA-SHA2-128f", "Ed25519", "ECDSA-P256-SHA256", "ECDSA-P521-SHA512")
    made = [generate(algorithms.signature_algorithm(name)) for name in (*names, "RSA-PSS-SHA512")]
    return (*seeded, *made)


def _public_keys() -> list[bytes]:
    return [key.public.pem.encode() for key in _keys()]


def _public_keys_der() -> list[bytes]:
    return [key.public.spki for key in _keys()]


def _private_keys_der() -> list[bytes]:
    return [key.pkcs8 for key in _keys()]


def _private_keys() -> list[bytes]:
    plain = [private_key_text(key).encode() for key in _keys()]
    return [*plain, pem.encode("ENCRYPTED PRIVATE KEY", _encrypted_keys()[0]).encode()]


def _encrypted_keys() -> list[bytes]:
    # The library takes few iterations of its key derivation, so that many mutants can be tried.
    key = Ed25519PrivateKey.generate()
    return [
        key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, BestAvailableEncryption(PASSPHRASE))
    ]


def _safetensors_files() -> list[bytes]:
    tensors = {"a": b"abc", "empty": b"", "b": bytes(TENSOR_BYTES - 3)}
    return [folders.safetensors(tensors), folders.safetensors(tensors, gap=3), bytes(64)]


def _safetensors_headers() -> list[bytes]:
    return [file[segments.PREFIX_BYTES : -TENSOR_BYTES] for file in _safetensors_files()[:1]]


def _policies() -> list[bytes]:
    public = _public_keys()[1].decode()
    policy = {
        "apiVersion": API_VERSION,
        "kind": "ClusterModelPolicy",
        "metadata": {"name": "post-quantum"},
        "spec": {
            "signatures": {
                "authorities": [
                    {
                        "name": "release",
                        "algorithm": "ML-DSA-65",
                        "publicKey": public,
                        "notAfter": "2028-01-01T00:00:00Z",
                        "models": ["llama-*"],
                    }
                ],
                "rules": [{"name": "release", "authorities": ["release"], "atLeast": 1}],
                "classical": {"action": "Deny", "sunset": "2027-01-01T00:00:00Z"},
            },
            "digests": {"allowed": ["sha256"]},
            "freshness": {"maxAge": "168h"},
        },
    }
    checkpoint = {
        "apiVersion": API_VERSION,
        "kind": "ModelCheckpoint",
        "metadata": {"name": "llama", "namespace": "team-a"},
        "spec": {
            "source": {"persistentVolumeClaim": {"claimName": "llama"}, "path": "/step-1200"},
            "modelName": "llama-70b",
        },
    }
    yaml = b"apiVersion: v1\nkind: Pod\nmetadata:\n  name: 'x'\n  n: [1, 2.5, ~, true]\n---\n"
    return [json.dumps(value).encode() for value in (policy, checkpoint)] + [yaml]


def _requests() -> list[bytes]:
    trust = (PQ, EC)
    asked = Request("n-1", ReadingLimits(200_000, 20 << 40), trust, shard=Shard(1, 4))
    gate = Gate((SignatureRequirements.of_keys(trust),), "llama-70b", 3)
    gated = replace(asked, trust=(), shard=None, gate=gate)
    return [request_json(each).encode() for each in (asked, gated)]


def _reports() -> list[bytes]:
    good = Report(
        nonce="n-1",
        reason=Reason.VERIFIED,
        message="content and signatures are as signed by key-1",
        hint="",
        model=MANIFEST.model,
        digest=MANIFEST.digest,
        signatures=(ReportedSignature(PQ.algorithm, PQ.keyid, True, True, True),),
        payload="cd" * 32,
        shard=Shard(0, 2),
        files=4,
        bytes=1000,
        milliseconds=4000,
        device="cpu",
        started_at=forge.NOW,
        version="0.1.0",
    )
    bad = replace(good, reason=Reason.UNREADABLE, model=None, digest=None, signatures=())
    return [report_json(each) for each in (good, bad)]


_JSON: Final = (b"\\ud800", b"NaN", b"1e9", b"-0", b"null", b"true", b"[[[[", b'{"":{"":')
_YAML: Final = (b"&a ", b"*a", b"!!str ", b"<<: ", b"? ", b"|\n", b"0x1f", b"yes", b"---\n")
_DER: Final = (b"\x30\x80", b"\x30\x84", b"\x02\x01\x00", b"\x05\x00", b"\x03\x02\x00")

TARGETS: Final = {
    target.name: target
    for target in (
        Target("envelope", _envelope, _envelopes, _JSON),
        Target("statement", _statement, _statements, _JSON),
        Target("oms-bundle", _oms_bundle, _oms_bundles, _JSON),
        Target("oms-statement", _oms_statement, _oms_statements, _JSON),
        Target("certificate", _certificate, _signing_certificates, _DER),
        Target("public-key", _public_key, _public_keys, (b"-----BEGIN PUBLIC KEY-----",)),
        Target("public-key-der", _public_key_der, _public_keys_der, _DER),
        Target("private-key", _private_key, _private_keys, (b"-----BEGIN EC PRIVATE KEY-----",)),
        Target("private-key-der", _private_key_der, _private_keys_der, _DER),
        Target("encrypted-key-der", _encrypted_key_der, _encrypted_keys, _DER),
        Target("safetensors", _safetensors, _safetensors_files, (b"data_offsets", *_JSON)),
        Target("safetensors-header", _safetensors_header, _safetensors_headers, _JSON),
        Target("report", _report, _reports, _JSON),
        Target("request", _request, _requests, _JSON),
        Target("policy", _policy, _policies, (*_JSON, *_YAML)),
    )
}
