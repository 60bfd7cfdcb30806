"""Which of the GPUs of a machine work: those that can be had."""

import logging
import os
from collections.abc import Callable

import pytest
from tests.support.standin import StandInDevice
from tests.unit.engines.gpu.test_device_process import OPTIONS

from weightlock.engines.gpu.device_process import DeviceProcess
from weightlock.engines.gpu.engine import Lane
from weightlock.engines.gpu.lane import LocalLane, readers_for
from weightlock.engines.gpu.opening import usable_lanes
from weightlock.errors import EngineUnavailable


def busy() -> Lane:
    raise EngineUnavailable("GPU 0 is busy")


def usable() -> Lane:
    return LocalLane(StandInDevice(), OPTIONS)


def other(factory: str) -> DeviceProcess:
    return DeviceProcess(f"tests.support.standin:{factory}", 1, OPTIONS)


@pytest.mark.parametrize(
    ("first", "second", "names", "told"),
    [
        pytest.param(usable, "numbered", ["stand-in", "stand-in 1"], "", id="both"),
        pytest.param(busy, "numbered", ["stand-in 1"], "GPU 0 is busy; continuing", id="the other"),
        pytest.param(usable, "absent", ["stand-in"], "GPU 1: there is no stand-in 1;", id="first"),
    ],
)
def test_those_that_can_be_had_work(
    first: Callable[[], Lane],
    second: str,
    names: list[str],
    told: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    lanes = usable_lanes(first, [other(second)])
    for lane in lanes:
        lane.close()
    assert [lane.name for lane in lanes] == names
    assert told in caplog.text
    assert bool(told) == bool(caplog.text)


def test_without_any_the_first_ones_trouble_is_told() -> None:
    with pytest.raises(EngineUnavailable, match="GPU 0 is busy"):
        usable_lanes(busy, [other("absent")])


@pytest.mark.parametrize(
    ("devices", "cores", "readers"),
    [
        pytest.param(1, 1, 1, id="there is always one"),
        pytest.param(1, 8, 7, id="most cores, not all"),
        pytest.param(1, 64, 14, id="one device is fed by so many and no more"),
        pytest.param(2, 32, 14, id="two divide the cores"),
        pytest.param(3, 64, 7, id="three would crowd the memory"),
        pytest.param(8, 128, 7, id="and so would eight"),
        pytest.param(8, 32, 3, id="however few cores there are"),
    ],
)
def test_each_device_of_several_gets_its_share_of_the_cores(
    devices: int, cores: int, readers: int
) -> None:
    assert readers_for(devices, cores) == readers


def test_the_cores_are_those_of_this_process() -> None:
    assert readers_for(1) == readers_for(1, len(os.sched_getaffinity(0)))
