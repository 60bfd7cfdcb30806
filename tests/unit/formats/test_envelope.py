"""The envelope: exactly one DSSE envelope with exactly our payload type (A24, C01, C03)."""

import tracemalloc

import pytest

from weightlock.errors import LimitExceeded
from weightlock.formats import envelope


def test_an_envelope_of_many_values_is_refused_before_it_fills_the_memory() -> None:
    data = b'{"signatures":[' + b"{}," * 1_000_000 + b"{}]}"
    tracemalloc.start()
    with pytest.raises(LimitExceeded):
        envelope.parse(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * len(data)
