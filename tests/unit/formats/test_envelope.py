"""The envelope: exactly one DSSE envelope with exactly our payload type (A24, C01, C03)."""

import base64
import json
import tracemalloc
from typing import Any

import pytest

from weightlock.errors import LimitExceeded, Malformed, Refused
from weightlock.formats import envelope
from weightlock.formats.envelope import (
    MAX_ENVELOPE_BYTES,
    MAX_SIGNATURES,
    Envelope,
    EnvelopeSignature,
    pre_authentication_encoding,
)

KEYID = "0123456789abcdef" * 4
SIGNATURE = EnvelopeSignature(KEYID, b"signature")
ENVELOPE = Envelope(b'{"a":1}', (SIGNATURE,))


def document(**fields: object) -> Any:
    return {
        "payloadType": "application/vnd.in-toto+json",
        "payload": "eyJhIjoxfQ==",
        "signatures": [{"keyid": KEYID, "sig": "c2lnbmF0dXJl"}],
        **fields,
    }


def entry(**fields: object) -> object:
    return document(signatures=[{"keyid": KEYID, "sig": "c2lnbmF0dXJl", **fields}])


def without(key: str) -> object:
    return {name: value for name, value in document().items() if name != key}


def parse(value: object) -> Envelope:
    return envelope.parse(json.dumps(value).encode())


def test_an_envelope_is_written_and_read() -> None:
    assert json.loads(envelope.serialise(ENVELOPE)) == document()
    assert parse(document()) == ENVELOPE


def test_the_order_of_fields_and_white_space_mean_nothing() -> None:
    fields = dict(reversed(document().items()))
    assert envelope.parse(json.dumps(fields, indent=2).encode()) == ENVELOPE


def test_what_is_signed_is_the_type_and_the_bytes_of_the_payload() -> None:
    assert ENVELOPE.signed_bytes == b'DSSEv1 28 application/vnd.in-toto+json 7 {"a":1}'


@pytest.mark.parametrize(
    ("kind", "payload", "encoded"),
    [
        pytest.param(
            "http://example.com/HelloWorld",
            b"hello world",
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world",
            id="the example of the DSSE specification",
        ),
        pytest.param("", b"", b"DSSEv1 0  0 ", id="nothing"),
        pytest.param("a", b"1 b", b"DSSEv1 1 a 3 1 b", id="a payload that looks like lengths"),
        pytest.param(
            "é\u4e2d", "é".encode(), "DSSEv1 5 é\u4e2d 2 é".encode(), id="bytes, not characters"
        ),
        pytest.param("t", b"\x00\xff", b"DSSEv1 1 t 2 \x00\xff", id="bytes that are no text"),
    ],
)
def test_lengths_in_what_is_signed_count_bytes(kind: str, payload: bytes, encoded: bytes) -> None:
    assert pre_authentication_encoding(kind, payload) == encoded


@pytest.mark.parametrize(
    "value",
    [
        pytest.param([document()], id="a list"),
        pytest.param(None, id="null"),
        pytest.param(without("payload"), id="no payload"),
        pytest.param(without("payloadType"), id="no payload type"),
        pytest.param(without("signatures"), id="no list of signatures"),
        pytest.param(document(signatures=[]), id="no signature"),
        pytest.param(document(signatures={}), id="signatures as an object"),
        pytest.param(document(signatures=[None]), id="a signature that is null"),
        pytest.param(document(extra=1), id="an unknown field"),
        pytest.param(document(payloadType="application/json"), id="plain JSON as type"),
        pytest.param(document(payloadType="application/vnd.in-toto+json "), id="a blank after it"),
        pytest.param(document(payloadType="Application/vnd.in-toto+json"), id="a capital in it"),
        pytest.param(document(payload={"a": 1}), id="a payload that is not encoded"),
        pytest.param(document(payload="eyJhIjoxfQ"), id="a payload without padding"),
        pytest.param(document(payload="eyJhIjoxfR=="), id="a payload with stray bits"),
        pytest.param(document(payload="eyJhIjox\nfQ=="), id="a payload in two lines"),
        pytest.param(entry(sig="-_-_"), id="a signature in the alphabet for URLs"),
        pytest.param(entry(sig=None), id="a signature that is null inside"),
        pytest.param(entry(cert="x"), id="a certificate beside the signature"),
        pytest.param(entry(keyid=KEYID.upper()), id="an identifier in capitals"),
        pytest.param(entry(keyid=KEYID[:-1]), id="an identifier of 63 digits"),
        pytest.param(entry(keyid=KEYID + "0"), id="an identifier of 65 digits"),
        pytest.param(entry(keyid=KEYID[:-1] + "\n"), id="an identifier with a line end"),
        pytest.param(entry(keyid=""), id="an empty identifier"),
        pytest.param(entry(keyid=None), id="an identifier that is null"),
        pytest.param(document(signatures=[{"sig": "AA=="}]), id="no identifier"),
        pytest.param(document(signatures=[{"keyid": KEYID}]), id="no signature beside the keyid"),
    ],
)
def test_whatever_is_not_exactly_an_envelope_is_refused(value: object) -> None:
    with pytest.raises(Malformed):
        parse(value)


@pytest.mark.parametrize(
    "field", ["payload", "payloadType", "signatures"], ids="twice the {}".format
)
def test_a_field_that_stands_twice_is_refused(field: str) -> None:
    once = json.dumps(document())
    twice = f"{once[:-1]},{json.dumps(field)}:{json.dumps(document()[field])}}}"
    with pytest.raises(Malformed, match="twice"):
        envelope.parse(twice.encode())


def test_sixteen_signatures_are_read_and_one_more_is_not() -> None:
    signatures = document()["signatures"]
    assert len(parse(document(signatures=signatures * MAX_SIGNATURES)).signatures) == 16
    with pytest.raises(LimitExceeded):
        parse(document(signatures=signatures * (MAX_SIGNATURES + 1)))


def test_the_longest_signature_is_read_and_one_more_quantum_is_not() -> None:
    longest = base64.b64encode(bytes(96 * 1024)).decode()
    assert len(parse(entry(sig=longest)).signatures[0].signature) == 98304
    with pytest.raises(LimitExceeded):
        parse(entry(sig=longest + "AAAA"))


def test_the_largest_envelope_is_read_and_one_byte_more_is_not() -> None:
    data = envelope.serialise(ENVELOPE)
    data += b" " * (MAX_ENVELOPE_BYTES - len(data))
    assert envelope.parse(data) == ENVELOPE
    with pytest.raises(LimitExceeded):
        envelope.parse(data + b" ")


def test_an_envelope_of_many_values_is_refused_before_it_fills_the_memory() -> None:
    data = b'{"signatures":[' + b"{}," * 1_000_000 + b"{}]}"
    tracemalloc.start()
    with pytest.raises(LimitExceeded):
        envelope.parse(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * len(data)


def test_every_cut_of_an_envelope_is_refused() -> None:
    data = envelope.serialise(ENVELOPE)
    for end in range(len(data)):
        with pytest.raises(Refused):
            envelope.parse(data[:end])
