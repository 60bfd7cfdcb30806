"""Vectors of envelopes: what is signed, what is read, which signatures are valid under which keys.

Signatures are made once and then kept, since most algorithms sign with fresh randomness. The seeds
of keys that have one are published: these keys protect nothing. The others were thrown away.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from tests.golden.layout import Row, text
from tests.support.documents import MANIFEST

from weightlock import algorithms
from weightlock.errors import WeightlockError
from weightlock.formats import der, envelope, statement
from weightlock.formats.envelope import Envelope, EnvelopeSignature, pre_authentication_encoding
from weightlock.formats.manifest import Signer
from weightlock.keys.pkcs8 import PrivateKey, private_key_of_pkcs8, private_key_of_seed
from weightlock.keys.signing import generate, signing_key
from weightlock.signatures import ml_dsa

SEEDED: Final = ("ML-DSA-44", "ML-DSA-65", "ML-DSA-87", "Ed25519")
THROWN_AWAY: Final = ("SLH-DSA-SHA2-128s", "ECDSA-P256-SHA256")


def seed(algorithm: str) -> bytes:
    """The published seed of a key: SHA-256 of `weightlock golden key` and the algorithm's name."""
    return hashlib.sha256(f"weightlock golden key {algorithm}".encode()).digest()


def seeded_key(name: str) -> PrivateKey:
    """The key of a published seed."""
    algorithm = algorithms.signature_algorithm(name)
    if name == algorithms.ED25519.name:
        identifier = der.sequence(der.object_identifier(algorithm.oid))
        content = der.octet_string(der.octet_string(seed(name)))
        return private_key_of_pkcs8(der.sequence(der.unsigned_integer(0), identifier, content))
    return private_key_of_seed(algorithm, seed(name))


def envelope_vectors(stored: Mapping[str, Any] | None) -> str:
    """envelopes.json, with the keys and signatures of the stored one if there is one."""
    keys = _keys() if stored is None else {}
    return text(
        [
            "Envelopes, the content of model.pqc.sig; docs/checkpoint-format.md, section 7.",
            "pae: what is signed, for a type and a payload in hexadecimal.",
            "keys: public keys. Those with a `seed` come from it: ML-DSA by FIPS 204, Ed25519 by",
            "RFC 8032; the seed is SHA-256 of `weightlock golden key ` and the algorithm's name.",
            "signed: envelopes that are read. With all keys of this file trusted, `accepted` lists",
            "for each signature the keyid of the key that accepts it, null where none does.",
            "malformed: envelopes that are refused before any signature is looked at, and the",
            "word to refuse them with.",
        ],
        pae=_pae(),
        keys=_key_rows(keys) if stored is None else stored["keys"],
        signed=_signed(keys) if stored is None else stored["signed"],
        malformed=_malformed(),
    )


def _pae() -> Iterator[Row]:
    for kind, payload in (
        ("http://example.com/HelloWorld", b"hello world"),
        ("application/vnd.in-toto+json", b'{"a":1}'),
        ("", b""),
        ("\u00e9\u4e2d", "\u00e9".encode()),
        ("t", b"\x00\xff"),
    ):
        encoded = pre_authentication_encoding(kind, payload)
        yield {"payloadType": kind, "payload": payload.hex(), "signed": encoded.hex()}


def _keys() -> dict[str, PrivateKey]:
    keys = {name: seeded_key(name) for name in SEEDED}
    keys |= {name: generate(algorithms.signature_algorithm(name)) for name in THROWN_AWAY}
    modulus = rsa.generate_private_key(65537, 2048)
    pkcs8 = modulus.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return {**keys, algorithms.RSA_PSS.name: private_key_of_pkcs8(pkcs8)}


def _key_rows(keys: Mapping[str, PrivateKey]) -> Iterator[Row]:
    for name, key in keys.items():
        published = seed(name).hex() if name in SEEDED else None
        public = key.public
        yield {"algorithm": name, "seed": published, "keyid": public.keyid, "publicKey": public.pem}


def _payload(*keys: PrivateKey) -> bytes:
    signers = tuple(Signer(key.algorithm, key.public.keyid) for key in keys)
    return statement.serialise(replace(MANIFEST, signers=signers))


def _signed(keys: Mapping[str, PrivateKey]) -> Iterator[Row]:
    for name, key in keys.items():
        payload = _payload(key)
        yield _row(name, payload, [(key, _sign(key, payload))], [key])
    large, curve = keys["ML-DSA-87"], keys["Ed25519"]
    both = _payload(large, curve)
    pairs = [(large, _sign(large, both)), (curve, _sign(curve, both))]
    yield _row("hybrid", both, pairs, [large, curve])
    swapped = [(curve, pairs[0][1]), (large, pairs[1][1])]
    yield _row("keyids swapped: they are only hints", both, swapped, [large, curve])
    yield _row(
        "one signature of two is spoiled", both, [pairs[0], (curve, bytes(64))], [large, None]
    )
    yield from _wrong_messages(keys["ML-DSA-65"])
    yield from _wrong_signatures(keys)


def _wrong_messages(key: PrivateKey) -> Iterator[Row]:
    payload = _payload(key)
    message = Envelope(payload, ()).signed_bytes
    signer = signing_key(key)
    other_type = pre_authentication_encoding("application/json", payload)
    digest = hashlib.sha256(message).digest()
    context = ml_dsa.library_key(key.algorithm, seed("ML-DSA-65")).sign(message, b"weightlock")
    for case, signature in {
        "signed without the type and the lengths": signer.sign(payload),
        "signed with another type": signer.sign(other_type),
        "signed over a digest": signer.sign(digest),
        "signed with a context": context,
        "another payload": _sign(key, payload.replace(b'"version":3', b'"version":4')),
        "a signature cut short": signer.sign(message)[:-1],
        "a signature with a byte more": signer.sign(message) + b"\x00",
        "a signature of zeros": bytes(key.algorithm.signature_bytes or 0),
        "an empty signature": b"",
    }.items():
        yield _row(case, payload, [(key, signature)], [None])


def _wrong_signatures(keys: Mapping[str, PrivateKey]) -> Iterator[Row]:
    ecdsa, modulus = keys["ECDSA-P256-SHA256"], keys["RSA-PSS-SHA512"]
    payload = _payload(ecdsa)
    signature = _sign(ecdsa, payload)
    numbers = der.Reader(signature, "a signature").sequence()
    r, s = numbers.unsigned_integer(), numbers.unsigned_integer()
    padded = der.element(der.INTEGER, b"\x00" + r.to_bytes(33)) + der.unsigned_integer(s)
    yield _row(
        "ECDSA: an integer in two spellings", payload, [(ecdsa, der.sequence(padded))], [None]
    )
    yield _row("ECDSA: a byte after the end", payload, [(ecdsa, signature + b"\x00")], [None])
    payload = _payload(modulus)
    message = Envelope(payload, ()).signed_bytes
    key = load_der_private_key(modulus.pkcs8, None)
    assert isinstance(key, rsa.RSAPrivateKey)
    for case, scheme in {
        "RSA: PKCS #1 v1.5": padding.PKCS1v15(),
        "RSA: a salt of 32 bytes": padding.PSS(padding.MGF1(hashes.SHA512()), 32),
        "RSA: MGF1 with another hash": padding.PSS(padding.MGF1(hashes.SHA256()), 64),
    }.items():
        wrong = key.sign(message, scheme, hashes.SHA512())
        yield _row(case, payload, [(modulus, wrong)], [None])


def _sign(key: PrivateKey, payload: bytes) -> bytes:
    return signing_key(key).sign(Envelope(payload, ()).signed_bytes)


def _row(
    case: str,
    payload: bytes,
    entries: Sequence[tuple[PrivateKey, bytes]],
    accepted: Sequence[PrivateKey | None],
) -> Row:
    signatures = tuple(EnvelopeSignature(key.public.keyid, made) for key, made in entries)
    document = envelope.serialise(Envelope(payload, signatures)).decode()
    keyids = [key.public.keyid if key else None for key in accepted]
    return {"case": case, "accepted": keyids, "envelope": document}


def _malformed() -> Iterator[Row]:
    entry: dict[str, object] = {"keyid": "ab" * 32, "sig": "AAEC"}
    sound: dict[str, object] = {
        "payloadType": "application/vnd.in-toto+json",
        "payload": "e30=",
        "signatures": [entry],
    }
    changes: dict[str, dict[str, object]] = {
        "another type": {"payloadType": "application/json"},
        "a type in capitals": {"payloadType": "application/vnd.in-toto+JSON"},
        "no signature": {"signatures": []},
        "17 signatures": {"signatures": [entry] * 17},
        "an unknown field": {"extra": None},
        "a payload without padding": {"payload": "e30"},
        "a payload with stray bits": {"payload": "e31="},
        "a payload in the alphabet for URLs": {"payload": "_-8="},
        "a payload in two lines": {"payload": "e3\n0="},
        "a payload as object": {"payload": {}},
        "a keyid in capitals": {"signatures": [{**entry, "keyid": "AB" * 32}]},
        "a keyid cut short": {"signatures": [{**entry, "keyid": "ab" * 31}]},
        "no keyid": {"signatures": [{"sig": "AAEC"}]},
        "a certificate": {"signatures": [{**entry, "cert": "AAEC"}]},
        "a signature without padding": {"signatures": [{**entry, "sig": "AA"}]},
    }
    whole = json.dumps(sound)
    for case, change in changes.items():
        yield _refused(case, json.dumps({**sound, **change}))
    yield _refused("a list", f"[{whole}]")
    yield _refused("a key twice", whole[:-1] + ', "payload": "e30="}')
    yield _refused("two documents", whole * 2)
    yield _refused("cut short", whole[:-1])
    yield _refused("nothing", "")


def _refused(case: str, document: str) -> Row:
    try:
        envelope.parse(document.encode())
    except WeightlockError as error:
        return {"case": case, "reason": error.reason.value, "envelope": document}
    raise AssertionError(case)
