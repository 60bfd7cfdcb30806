"""Keys, versions, restores and the clock, as far as they were seen."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.unit.policy.builders import NOW

from weightlock.verdict.floors import VouchedModel, entry_of
from weightlock_webhook.cache.memory import Restores, SealKeys, Versions
from weightlock_webhook.cache.objects import (
    ConfigMapItem,
    Metadata,
    SecretItem,
)
from weightlock_webhook.judging.clocks import ForwardClock

SECRET = base64.b64encode(b"k" * 32).decode()


@pytest.mark.parametrize(
    ("data", "count"),
    [
        (None, 0),
        ({}, 0),
        ({"current": SECRET}, 1),
        ({"current": SECRET, "previous": SECRET}, 2),
        ({"current": SECRET, "next": SECRET}, 1),
        ({"current": "%"}, 0),
        ({"current": "c2hvcnQ="}, 0),
    ],
)
def test_seal_keys_are_the_two_that_have_a_name(data: Any, count: int) -> None:
    keys = SealKeys()
    keys.changed(None, SecretItem(Metadata("weightlock-seal"), data))
    assert len(keys.keys) == count
    keys.changed(None, None)
    assert keys.keys == ()


def test_versions_only_rise() -> None:
    versions = Versions()
    model = VouchedModel("ClusterModelPolicy p", "m")
    damaged = [(entry_of(model, 9)[0], "{"), ("k", entry_of(model, 9)[1])]
    for entry in (entry_of(model, 3), entry_of(model, 2), *damaged):
        versions.changed(None, ConfigMapItem(Metadata("v"), dict([entry])))
    versions.changed(None, None)
    assert versions.highest == {model: 3}


def test_the_last_restore_counts_whoever_noticed_it() -> None:
    restores = Restores(lambda: NOW)
    assert restores.restored_at is None
    state = ConfigMapItem(Metadata("s"), {"restoredAt": "2030-01-01T00:00:00Z"})
    restores.notice()
    assert restores.restored_at == NOW
    restores.changed(None, state)
    assert restores.restored_at == datetime(2030, 1, 1, tzinfo=UTC)
    restores.changed(state, None)
    assert restores.restored_at == datetime(2030, 1, 1, tzinfo=UTC)


def test_a_clock_only_goes_forward() -> None:
    shown = [NOW, NOW + timedelta(1), NOW, NOW + timedelta(2)]
    clock = ForwardClock(lambda: shown.pop(0))
    assert [clock() for _ in range(3)] == [
        NOW + timedelta(1),
        NOW + timedelta(1),
        NOW + timedelta(2),
    ]
