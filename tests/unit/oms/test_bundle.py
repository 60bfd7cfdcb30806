"""What is not exactly one bundle is refused; what differs in that one thing is read."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.oms import forge
from tests.unit.oms.forge import Json

from weightlock.errors import LimitExceeded, Malformed, Refused
from weightlock.oms import bundle
from weightlock.oms.vocabulary import Form, Method, Serialization

CERTIFICATE = {"rawBytes": "AAAA"}
KEYLESS: Json = {"certificate": CERTIFICATE, "tlogEntries": [{"logIndex": "1"}]}

Change = Callable[[Any], object]


def good() -> Json:
    return forge.bundle(forge.compact(forge.files_statement()))


def with_material(**material: object) -> Change:
    def change(document: Json) -> None:
        document["verificationMaterial"] = material

    return change


def put(path: str, value: object) -> Change:
    """Set the field at a dotted path."""

    def change(document: Any) -> None:
        *parents, last = (int(part) if part.isdigit() else part for part in path.split("."))
        for parent in parents:
            document = document[parent]
        document[last] = value

    return change


def drop(path: str) -> Change:
    def change(document: Any) -> None:
        *parents, last = (int(part) if part.isdigit() else part for part in path.split("."))
        for parent in parents:
            document = document[parent]
        del document[last]

    return change


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda document: None, id="as model-signing 1.1 writes it"),
        pytest.param(put("dsseEnvelope.signatures.0.keyid", None), id="keyid null, before 1.1"),
        pytest.param(
            put("dsseEnvelope.signatures", [{"sig": "AAAA"}]), id="keyid absent, other tools"
        ),
        pytest.param(drop("verificationMaterial.tlogEntries"), id="no log entries, before 1.1"),
        pytest.param(with_material(publicKey={}), id="a key form that names no key"),
        pytest.param(
            with_material(publicKey={"rawBytes": "AAAA", "keyDetails": "PKIX_ECDSA_P384_SHA_384"}),
            id="raw key, before 1.1",
        ),
        pytest.param(with_material(publicKey={"rawBytes": "AAAA"}), id="raw key without details"),
        pytest.param(
            with_material(x509CertificateChain={"certificates": [CERTIFICATE, CERTIFICATE]}),
            id="a chain",
        ),
        pytest.param(
            with_material(publicKey={"hint": "ab"}, timestampVerificationData={}),
            id="empty timestamps",
        ),
        pytest.param(with_material(**KEYLESS), id="keyless"),
    ],
)
def test_known_shapes_are_read(change: Change) -> None:
    document = good()
    change(document)
    found = bundle.parse(forge.compact(document))
    assert [file.name for file in found.manifest.files] == list(forge.MODEL)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(put("mediaType", "application/json"), "mediaType", id="media type"),
        pytest.param(
            put("mediaType", forge.MEDIA_TYPE.replace("v0.3", "v0.2")), "mediaType", id="old type"
        ),
        pytest.param(put("dsseEnvelope.payloadType", "text/plain"), "payloadType", id="payload"),
        pytest.param(put("extra", 1), "unknown fields", id="unknown field in the bundle"),
        pytest.param(put("dsseEnvelope.extra", 1), "unknown", id="unknown field in the envelope"),
        pytest.param(
            put("dsseEnvelope.signatures.0.extra", 1), "unknown", id="unknown field in a signature"
        ),
        pytest.param(put("verificationMaterial.extra", 1), "unknown", id="unknown material"),
        pytest.param(
            put("verificationMaterial.publicKey.extra", 1), "unknown", id="unknown field in a key"
        ),
        pytest.param(put("dsseEnvelope.signatures", []), "0 signatures", id="no signature"),
        pytest.param(
            put("dsseEnvelope.signatures", [{"sig": "AAAA"}] * 2), "2 signatures", id="two"
        ),
        pytest.param(put("dsseEnvelope.signatures", [{"sig": "AAAA"}] * 3), "3 items", id="three"),
        pytest.param(put("dsseEnvelope.signatures", [[]]), "object", id="signature is a list"),
        pytest.param(put("dsseEnvelope.signatures.0.keyid", 1), "string", id="keyid is a number"),
        pytest.param(put("dsseEnvelope.signatures.0.sig", "AA=="[:3]), "base64", id="no padding"),
        pytest.param(put("dsseEnvelope.signatures.0.sig", "AB=="), "base64", id="stray bits"),
        pytest.param(put("dsseEnvelope.signatures.0.sig", "-_8="), "base64", id="URL alphabet"),
        pytest.param(put("dsseEnvelope.signatures.0.sig", "AA AA"), "base64", id="space"),
        pytest.param(put("dsseEnvelope.payload", "e30=\n"), "base64", id="newline in payload"),
        pytest.param(put("dsseEnvelope.payload", {}), "string", id="payload is an object"),
        pytest.param(put("verificationMaterial", {}), "no signer", id="no material"),
        pytest.param(
            with_material(publicKey={"hint": "ab"}, **KEYLESS),
            "publicKey and certificate",
            id="two kinds of material",
        ),
        pytest.param(
            with_material(x509CertificateChain={"certificates": []}), "empty", id="empty chain"
        ),
        pytest.param(
            with_material(x509CertificateChain={"certificates": [CERTIFICATE] * 17}),
            "at most 16",
            id="a chain too long",
        ),
        pytest.param(
            with_material(x509CertificateChain={"certificates": [{"rawBytes": "?"}]}),
            "base64",
            id="a certificate that is not base64",
        ),
        pytest.param(
            with_material(publicKey={"hint": "a", "rawBytes": "AAAA"}), "unknown", id="two keys"
        ),
        pytest.param(with_material(publicKey={"hint": True}), "string", id="hint is a boolean"),
        pytest.param(
            with_material(certificate=CERTIFICATE, tlogEntries=[]), "log", id="keyless, empty log"
        ),
        pytest.param(with_material(certificate=CERTIFICATE), "log", id="keyless, no log"),
        pytest.param(
            with_material(publicKey={}, timestampVerificationData=[]), "object", id="timestamps"
        ),
        pytest.param(drop("mediaType"), "no field", id="no media type"),
        pytest.param(drop("dsseEnvelope.payload"), "no field", id="no payload"),
    ],
)
def test_anything_else_is_refused(change: Change, message: str) -> None:
    document = good()
    change(document)
    with pytest.raises(Refused, match=re.escape(message)):
        bundle.parse(forge.compact(document))


@pytest.mark.parametrize(
    "key",
    ["mediaType", "verificationMaterial", "hint", "payload", "payloadType", "signatures", "sig"],
)
def test_a_key_that_appears_twice_is_refused_at_every_level(key: str) -> None:
    text = forge.compact(good()).decode()
    doubled = re.sub(rf'"{key}": ', f'"{key}": null, "{key}": ', text, count=1)
    with pytest.raises(Malformed, match="twice"):
        bundle.parse(doubled.encode())


@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(lambda data: data + b"{}", id="trailing document"),
        pytest.param(lambda data: data + b"PK\x05\x06", id="trailing archive (C07)"),
        pytest.param(lambda data: b"\xef\xbb\xbf" + data, id="byte order mark"),
        pytest.param(lambda data: data[:-1], id="cut off"),
        pytest.param(lambda data: b"[" + data + b"]", id="list of bundles (C21)"),
        pytest.param(lambda data: b"", id="empty"),
    ],
)
def test_a_file_is_exactly_one_bundle(wrap: Callable[[bytes], bytes]) -> None:
    with pytest.raises(Malformed):
        bundle.parse(wrap(forge.compact(good())))


def test_white_space_around_a_bundle_changes_nothing() -> None:
    data = forge.compact(good())
    assert bundle.parse(b" \n" + data + b"\n") == bundle.parse(data)


def test_an_oversized_bundle_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(LimitExceeded):
        bundle.parse(b"[" * (bundle.MAX_BUNDLE_BYTES + 1))


def test_a_bundle_keeps_what_was_signed_and_what_it_means() -> None:
    payload = forge.compact(forge.files_statement())
    found = bundle.parse(forge.compact(forge.bundle(payload, b"sig")))
    assert (found.payload, found.signature) == (payload, b"sig")
    assert (found.material.method, found.material.hint) == (Method.KEY, "ab")
    assert found.manifest.form is Form.V1_0
    assert found.manifest.serialization is Serialization.FILES
    assert json.loads(found.payload)["subject"][0]["name"] == found.manifest.subject
