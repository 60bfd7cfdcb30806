"""Which engine is used: what was named, or the fastest that works, with one line if it does not."""

from collections.abc import Sequence
from importlib.util import find_spec

import pytest

from weightlock.engines.choice import AutoEngine, choose_engine
from weightlock.engines.cpu import CpuEngine
from weightlock.engines.engine import Engine, Files, Progress, Span
from weightlock.engines.lattice import NumberedSegment
from weightlock.engines.measuring import PlainFiles
from weightlock.errors import EngineFault, EngineUnavailable, Malformed, WeightlockError
from weightlock.formats.lthash import ELEMENT_BYTES, LtHash
from weightlock.formats.tree import TreeParameters

SPANS = [Span(0, 0, 60), Span(0, 60, 40)]
FILES: Files = PlainFiles([])


class FakeEngine:
    def __init__(self, device: str, error: WeightlockError | None = None) -> None:
        self.device = device
        self._error = error

    def segment_roots(
        self,
        files: Files,
        spans: Sequence[Span],
        parameters: TreeParameters,
        progress: Progress,
    ) -> list[bytes]:
        progress(spans[0].length)
        if self._error:
            raise self._error
        progress(sum(span.length for span in spans[1:]))
        return [self.device.encode()] * len(spans)

    def lattice_sum(
        self,
        files: Files,
        segments: Sequence[NumberedSegment],
        leaf_bytes: int,
        progress: Progress,
    ) -> LtHash:
        if self._error:
            raise self._error
        return LtHash(self.device.encode().ljust(ELEMENT_BYTES))


class Case:
    def __init__(self, gpu: Engine | WeightlockError, worth: int = 100) -> None:
        self.notices: list[str] = []
        self.opened = 0
        self.progress = 0
        self._gpu = gpu
        self.engine = AutoEngine(FakeEngine("cpu"), self._open, worth, self.notices.append)

    def _open(self) -> Engine:
        self.opened += 1
        if isinstance(self._gpu, WeightlockError):
            raise self._gpu
        return self._gpu

    def _advance(self, size: int) -> None:
        self.progress += size

    def run(self) -> bytes:
        return self.engine.segment_roots(FILES, SPANS, TreeParameters(), self._advance)[0]


def test_enough_bytes_go_to_the_gpu_which_is_opened_once() -> None:
    case = Case(FakeEngine("gpu"))
    assert case.run() == case.run() == b"gpu"
    assert (case.opened, case.notices, case.engine.device) == (1, [], "gpu")


def test_too_few_bytes_go_to_the_cpu_and_no_gpu_is_opened() -> None:
    case = Case(FakeEngine("gpu"), worth=101)
    assert case.run() == b"cpu"
    assert (case.opened, case.notices, case.engine.device) == (0, [], "cpu")


@pytest.mark.parametrize("late", [False, True], ids=["cannot be opened", "is lost on the way"])
def test_a_gpu_that_is_unavailable_is_replaced_with_one_line(late: bool) -> None:
    error = EngineUnavailable("out of memory")
    case = Case(FakeEngine("gpu", error) if late else error)
    assert case.run() == b"cpu"
    assert case.progress == 100
    assert case.notices == ["out of memory; continuing on the CPU"]
    assert case.engine.device == "cpu"
    case.run()
    assert (case.opened, len(case.notices)) == (1, 1)


def test_a_gpu_that_computes_wrongly_is_not_passed_over() -> None:
    case = Case(FakeEngine("gpu", EngineFault("wrong leaf")))
    with pytest.raises(EngineFault):
        case.run()
    assert case.notices == []


@pytest.mark.parametrize(
    ("lost", "worth", "device"),
    [
        pytest.param(False, 400, "gpu", id="a quarter of the bytes repays it"),
        pytest.param(False, 401, "cpu", id="too few bytes"),
        pytest.param(True, 400, "cpu", id="the GPU is lost"),
    ],
)
def test_the_lattice_hash_goes_the_same_way(lost: bool, worth: int, device: str) -> None:
    case = Case(FakeEngine("gpu", EngineUnavailable("lost") if lost else None), worth)
    segments = [NumberedSegment(0, 0, 0, 60), NumberedSegment(0, 1, 60, 40)]
    found = case.engine.lattice_sum(FILES, segments, 4096, lambda _: None)
    assert found.lanes.decode().strip() == case.engine.device == device
    assert case.notices == (["lost; continuing on the CPU"] if lost else [])


def test_names_choose_engines() -> None:
    notices: list[str] = []
    assert isinstance(choose_engine("cpu", threads=2, notice=notices.append), CpuEngine)
    with pytest.raises(Malformed, match="expected auto, cuda, rocm or cpu"):
        choose_engine("tpu", threads=2, notice=notices.append)


@pytest.mark.skipif(find_spec("cupy_backends") is not None, reason="CuPy is installed")
def test_without_cupy_auto_is_the_cpu_and_a_named_gpu_an_error() -> None:
    notices: list[str] = []
    assert isinstance(choose_engine("auto", threads=2, notice=notices.append), CpuEngine)
    for name in ("cuda", "rocm"):
        with pytest.raises(EngineUnavailable, match="CuPy is not installed"):
            choose_engine(name, threads=2, notice=notices.append)
    assert notices == []
