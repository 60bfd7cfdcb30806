"""Whatever bytes come: only our own errors come out, and soon."""

import json
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.unit.oms import authority, forge
from tests.unit.oms.forge import NOW, Signer

from weightlock.errors import WeightlockError
from weightlock.oms import bundle, signature, statement
from weightlock.oms.certificates import der_of, signing_certificate
from weightlock.oms.description import described
from weightlock.oms.trust import Trust

SIGNER = Signer.new()
ROOT = authority.root()
CHAIN = (authority.leaf(ROOT, SIGNER.point), ROOT.certificate)
TRUST = Trust((SIGNER.public_key,), (ROOT.certificate,))
SEEDS = [
    forge.signed(document, SIGNER, material)
    for document in (forge.files_statement(), forge.shards_statement(), forge.legacy_statement())
    for material in (forge.hinted(SIGNER), forge.chained(*CHAIN))
]
STRANGE: list[Any] = [
    None, True, False, 0, -1, 2**63, 1e3, "", ".", "..", "/", "\x00", "\ud800", "x" * 5000,
    "a:0:10", [], {}, [[]], [{}], {"": ""}, "sha256", "AAAA",
]  # fmt: skip
WEIRD = st.sampled_from(STRANGE) | st.text(max_size=8) | st.integers()


def survive(data: bytes) -> None:
    """Parse, describe and check a bundle; it is by the trusted signer or refused."""
    try:
        parsed = bundle.parse(data)
        described(parsed)
        found = signature.verified(parsed, TRUST, NOW)
    except WeightlockError:
        return
    assert (found.finding is None) == (found.fact.valid is True)


def paths_of(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if not isinstance(value, dict | list):
        return [path]
    children = value.items() if isinstance(value, dict) else enumerate(value)
    return [path, *(found for key, child in children for found in paths_of(child, (*path, key)))]


def replaced(value: Any, path: tuple[Any, ...], new: object) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


@given(st.binary(max_size=200))
@example(b"")
@example(b"[" * 100_000)
@example(b'{"a":' * 5000)
@example(b'"' * 1_001)
@example(b"1" * 100_000)
def test_any_bytes(data: bytes) -> None:
    survive(data)
    try:
        statement.parse(data)
    except WeightlockError:
        return
    pytest.fail("random bytes are no statement")


@given(st.sampled_from(SEEDS), st.data())
@settings(max_examples=200)
def test_one_byte_changed(seed: bytes, data: st.DataObject) -> None:
    changed = bytearray(seed)
    changed[data.draw(st.integers(0, len(seed) - 1))] = data.draw(st.integers(0, 255))
    survive(bytes(changed))


@given(st.sampled_from(SEEDS), st.data())
@settings(max_examples=200)
def test_one_value_of_the_bundle_replaced(seed: bytes, data: st.DataObject) -> None:
    document = json.loads(seed)
    path = data.draw(st.sampled_from(paths_of(document)))
    survive(forge.compact(replaced(document, path, data.draw(WEIRD))))


@given(
    st.sampled_from([forge.files_statement(), forge.shards_statement(), forge.legacy_statement()]),
    st.data(),
)
@settings(max_examples=300)
def test_one_value_of_the_statement_replaced(document: forge.Json, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(paths_of(document)))
    payload = forge.compact(replaced(document, path, data.draw(WEIRD)))
    try:
        found = statement.parse(payload)
    except WeightlockError:
        return
    assert found.files


@given(st.data())
@settings(max_examples=200, suppress_health_check=[HealthCheck.filter_too_much])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_one_byte_of_a_certificate_changed(data: st.DataObject) -> None:
    changed = bytearray(der_of(CHAIN)[0])
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        signing_certificate(bytes(changed))
    except WeightlockError:
        return


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b'"' + b'\\"' * 3_000, id="a string that never ends"),
        pytest.param(b'{"a":"' + b"1.0," * 500_000 + b'"}', id="doubles in a string"),
        pytest.param(b"[" + b"1.0," * 500_000 + b"1.0]", id="doubles in a list"),
        pytest.param(b"1" * 2_000_000, id="digits"),
        pytest.param(b"[" * 2_000_000, id="brackets"),
        pytest.param(b'"a"' * 700_000, id="strings side by side"),
    ],
)
def test_large_nonsense_is_refused_soon(payload: bytes) -> None:
    start = time.process_time()
    with pytest.raises(WeightlockError):
        statement.parse(payload)
    assert time.process_time() - start < 10


def test_many_files_are_read_in_bounded_time() -> None:
    document = forge.statement([forge.resource(f"{i:06}", b"") for i in range(50_000)])
    payload = forge.compact(document)
    start = time.process_time()
    assert len(statement.parse(payload).files) == 50_000
    assert time.process_time() - start < 10
