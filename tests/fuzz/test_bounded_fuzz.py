"""A few seconds of fuzzing in every run: only our own errors come out, in bounded time and memory.

The examples are the same in each run; README.md says how to look for others.
"""

import time
import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.fuzz.mutations import FRAGMENTS, spoiled_bytes, spoiled_json
from tests.fuzz.targets import TARGETS, Target

MAX_SECONDS = 10.0
MAX_SECONDS_OF_40_KB = 2.0
MAX_MEMORY = 32 * 1024 * 1024
JSON_TARGETS = (
    "envelope", "statement", "oms-bundle", "oms-statement", "safetensors-header", "report",
    "request",
)  # fmt: skip

bounded = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def accepts_within_bounds(target: Target, data: bytes) -> bool:
    tracemalloc.start()
    started = time.perf_counter()
    try:
        accepted = target.accepts(data)
        seconds, peak = time.perf_counter() - started, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert seconds < MAX_SECONDS
    assert peak < MAX_MEMORY + 32 * len(data)
    return accepted


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())
def test_the_documents_to_start_from_are_accepted(target: Target) -> None:
    accepted = [accepts_within_bounds(target, seed) for seed in target.seeds()]
    assert all(accepted)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())
@given(data=st.data())
@bounded
def test_spoiled_bytes_are_read_or_refused(target: Target, data: st.DataObject) -> None:
    accepts_within_bounds(target, data.draw(spoiled_bytes(target.seeds())))


@pytest.mark.parametrize("name", JSON_TARGETS)
@given(data=st.data())
@settings(bounded, max_examples=300)
def test_spoiled_values_are_read_or_refused(name: str, data: st.DataObject) -> None:
    target = TARGETS[name]
    accepts_within_bounds(target, data.draw(spoiled_json(target.seeds())))


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())
@given(data=st.binary(max_size=300))
@bounded
def test_noise_is_read_or_refused(target: Target, data: bytes) -> None:
    accepts_within_bounds(target, data)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())
def test_a_document_that_repeats_itself_takes_linear_time(target: Target) -> None:
    # An unclosed string of escaped quotes once took 5 seconds at this size, and 16 at twice of it.
    seed = target.seeds()[0]
    for fragment in filter(None, FRAGMENTS):
        for head in (b"", b'"', seed[: len(seed) // 2]):
            started = time.perf_counter()
            target.accepts(head + fragment * (40_000 // len(fragment)))
            assert time.perf_counter() - started < MAX_SECONDS_OF_40_KB, (head[:20], fragment)
