"""Documents: what is written is read, what is read has one meaning (A24).

The laws were tried against mutations of the code; what they let pass, the tables of the unit
tests catch.
"""

import json

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from tests.laws.names import names

from weightlock import algorithms
from weightlock.digests import HashAlgorithm
from weightlock.errors import Refused
from weightlock.formats import envelope, filenames, statement, strict_base64, strict_json
from weightlock.formats.envelope import Envelope, EnvelopeSignature
from weightlock.formats.lthash import LtHash
from weightlock.formats.manifest import (
    Manifest,
    ModelIdentity,
    SegmentEntry,
    Signer,
    UpstreamSigner,
    file_entry,
    in_order,
    model_root,
)
from weightlock.formats.tree import TreeParameters

hashes = st.sampled_from(HashAlgorithm)
leaf_sizes = st.integers(12, 20).map(lambda exponent: 2**exponent)
keyids = st.binary(min_size=32, max_size=32).map(bytes.hex)
texts = st.text(st.characters(codec="utf-8"), max_size=40)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@given(json_values)
def test_json_that_is_written_is_read(value: object) -> None:
    for written in (strict_json.serialise(value), json.dumps(value, indent=1).encode()):
        assert strict_json.parse(written, max_bytes=10**6) == value


AMBIGUOUS = (
    "NaN", "-Infinity", "1.0", "1e3", "-0", "9" * 21, '"\\ud800"', '{"a":1,"a":1}', '{"\\udc00":1}',
)  # fmt: skip


@given(json_values, st.sampled_from(AMBIGUOUS), st.data())
def test_what_is_ambiguous_is_refused_wherever_it_stands(
    value: object, ambiguous: str, data: st.DataObject
) -> None:
    for _ in range(data.draw(st.integers(0, 3))):
        value = data.draw(st.sampled_from(([value], {"k": value}, [0, value, {}])))
    mark = "\U0010fffd"
    for holder in ([value, mark], {"k": value, "m": mark}, [[mark], value]):
        written = json.dumps(holder, ensure_ascii=False).replace(f'"{mark}"', ambiguous).encode()
        try:
            strict_json.parse(written, max_bytes=10**6)
        except Refused:
            continue
        raise AssertionError(written)


@given(st.text())
@example('"\\"[[')
@example("[-0]")
def test_what_is_read_as_json_is_what_the_standard_library_reads(text: str) -> None:
    try:
        data = text.encode()
        value = strict_json.parse(data, max_bytes=10**6)
    except (Refused, UnicodeEncodeError):
        return
    assert json.loads(data) == value
    assert strict_json.parse(strict_json.serialise(value), max_bytes=10**6) == value


@given(st.integers(0, 70), st.integers(0, 70))
@example(strict_json.MAX_DEPTH - 1, 70)
@example(strict_json.MAX_DEPTH, 0)
def test_depth_is_that_of_the_brackets_outside_strings(lists: int, quoted: int) -> None:
    document = json.dumps(["[{" * quoted, '"' * quoted, "\\" * quoted]).encode()
    deep = b"[" * lists + document + b"]" * lists
    try:
        strict_json.parse(deep, max_bytes=10**6)
    except Refused:
        assert lists + 1 > strict_json.MAX_DEPTH
    else:
        assert lists + 1 <= strict_json.MAX_DEPTH


@given(st.binary())
def test_base64_that_is_written_is_read(data: bytes) -> None:
    assert strict_base64.decode(strict_base64.encode(data)) == data


@given(st.binary(max_size=8), st.integers(0, 12), st.sampled_from("AQgwB/+=-_ \n"), st.booleans())
def test_what_is_read_as_base64_has_no_other_spelling(
    original: bytes,
    at: int,
    character: str,
    insert: bool,
) -> None:
    spelled = strict_base64.encode(original)
    text = spelled[:at] + character + spelled[at if insert else at + 1 :]
    try:
        data = strict_base64.decode(text)
    except Refused:
        return
    assert strict_base64.encode(data) == text


envelopes = st.builds(
    Envelope,
    st.binary(max_size=60),
    st.lists(
        st.builds(EnvelopeSignature, keyids, st.binary(max_size=60)), min_size=1, max_size=16
    ).map(tuple),
)


@given(envelopes)
def test_an_envelope_that_is_written_is_read(found: Envelope) -> None:
    assert envelope.parse(envelope.serialise(found)) == found


kinds = texts | st.text("a 1", max_size=4)
payloads = st.binary(max_size=40) | st.text("a 1", max_size=4).map(str.encode)


@given(kinds, payloads, kinds, payloads)
@example("a", b"b c", "a b", b"c")
@example("\u00e9", b"", "e", b"")
def test_what_is_signed_tells_apart_types_and_payloads(
    kind: str, payload: bytes, other_kind: str, other_payload: bytes
) -> None:
    one = envelope.pre_authentication_encoding(kind, payload)
    other = envelope.pre_authentication_encoding(other_kind, other_payload)
    assert (one == other) == ((kind, payload) == (other_kind, other_payload))


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    parameters = TreeParameters(draw(hashes), draw(leaf_sizes))
    algorithm = parameters.algorithm
    root = st.binary(min_size=algorithm.digest_bytes, max_size=algorithm.digest_bytes)
    segment = st.builds(SegmentEntry, st.integers(1, 2**40), root)
    chosen = draw(st.lists(names, min_size=1, max_size=4, unique_by=filenames.folded))
    assume(not {"model.sig", "model.pqc.sig"} & set(map(filenames.folded, chosen)))
    files = in_order(
        [file_entry(algorithm, name, draw(st.lists(segment, max_size=4))) for name in chosen]
    )
    signers = st.builds(Signer, st.sampled_from(algorithms.ALL), keyids)
    upstream = st.builds(
        UpstreamSigner, st.sampled_from(("key", "certificate")), texts, texts, texts, texts, keyids
    )
    return Manifest(
        model=ModelIdentity(draw(st.from_regex(r"\A[A-Za-z0-9]{1,20}\Z")), draw(st.integers(0, 9))),
        created_at=draw(st.datetimes()).replace(year=2026, day=1).strftime("%Y-%m-%dT%H:%M:%SZ"),
        parameters=parameters,
        root=model_root(algorithm, files),
        files=files,
        signers=tuple(draw(st.lists(signers, min_size=1, max_size=16, unique_by=_keyid))),
        lthash=draw(st.sampled_from((None, LtHash(), LtHash(b"\x01\xff" * 1024)))),
        upstream=draw(st.none() | upstream),
    )


def _keyid(signer: Signer) -> str:
    return signer.keyid


@given(manifests())
@settings(max_examples=50)
def test_a_manifest_that_is_written_is_read(manifest: Manifest) -> None:
    payload = statement.serialise(manifest)
    assert statement.parse(payload) == manifest
    assert statement.serialise(statement.parse(payload)) == payload


@given(manifests(), st.data())
@settings(max_examples=50)
def test_a_manifest_with_another_root_anywhere_is_refused(
    manifest: Manifest, data: st.DataObject
) -> None:
    document = json.loads(statement.serialise(manifest))
    files = document["predicate"]["files"]
    holders = [document["predicate"]["tree"], *files]
    holders += [segment for file in files for segment in file["segments"]]
    holder = data.draw(st.sampled_from(holders))
    at = data.draw(st.integers(0, len(holder["root"]) - 1))
    digit = "0" if holder["root"][at] != "0" else "1"
    holder["root"] = holder["root"][:at] + digit + holder["root"][at + 1 :]
    digest = document["subject"][0]["digest"]
    digest.update(dict.fromkeys(digest, document["predicate"]["tree"]["root"]))
    try:
        statement.parse(json.dumps(document).encode())
    except Refused:
        return
    raise AssertionError(holder)
