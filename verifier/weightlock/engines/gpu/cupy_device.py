"""CUDA and HIP devices, through the bindings that CuPy brings.

CuPy's bindings of runtime, driver and run-time compiler are used as they are; importing all of CuPy
would take longer than verifying 30 GiB. The only module that imports them; they are the same names
for CUDA (cupy-cuda13x) and for HIP (cupy-rocm-*).
"""

import ctypes
import importlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from weightlock.digests import HashAlgorithm
from weightlock.engines.gpu.compiling import KernelCache, KernelSource, lattice_source, tree_source
from weightlock.engines.gpu.device import Queue
from weightlock.engines.gpu.table import Table
from weightlock.errors import EngineUnavailable

LEAF_THREADS: Final = 128
"""Threads of a block that hashes leaves; kernels/tree.cuh is bound to the same number."""
FOLD_THREADS: Final = 32
"""Threads of a block that folds a group: one for each pair of its nodes."""
_TO_DEVICE: Final = 1
_TO_HOST: Final = 2
_WITHIN_DEVICE: Final = 3
_COMPUTE_MAJOR: Final = 75
_COMPUTE_MINOR: Final = 76
_NON_BLOCKING: Final = 1
_BLOCKING_WAIT_WITHOUT_TIME: Final = 3


_HINTS: Final = {
    "cudaErrorNoDevice": "CUDA_VISIBLE_DEVICES may name a GPU, or a part of one (MIG), that is not"
    " there: nvidia-smi -L lists them",
    "cudaErrorInsufficientDriver": "update the driver, or install the CuPy that fits it",
    "cudaErrorMemoryAllocation": "other processes have its memory: nvidia-smi lists them",
    "cudaErrorDevicesUnavailable": "another process has it to itself, or its compute mode forbids"
    " work: nvidia-smi -q -d COMPUTE",
    "cudaErrorDeviceUnavailable": "another process has it to itself, or its compute mode forbids"
    " work: nvidia-smi -q -d COMPUTE",
    "cudaErrorECCUncorrectable": "its memory is broken: take it out of service",
}
_HINT: Final = "--engine cpu does without; nvidia-smi or rocm-smi shows the GPU's state"


class Bindings:
    """The modules of CuPy that are used."""

    def __init__(self) -> None:
        try:
            self.runtime: Any = importlib.import_module("cupy_backends.cuda.api.runtime")
            self.driver: Any = importlib.import_module("cupy_backends.cuda.api.driver")
        except ImportError as error:
            raise EngineUnavailable(
                f"CuPy cannot be imported: {error}",
                hint="in a checkout of Weightlock: pip install '.[cuda]' or '.[rocm]'",
            ) from error
        self.is_hip = bool(self.runtime.is_hip)

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Errors of runtime and driver become EngineUnavailable."""
        failures = (self.runtime.CUDARuntimeError, self.driver.CUDADriverError)
        try:
            yield
        except failures as error:
            name = str(error).split(":", 1)[0]
            raise EngineUnavailable(
                f"the GPU cannot be used: {error}", hint=_HINTS.get(name, _HINT)
            ) from error


class DeviceMemory:
    """Implements Memory."""

    def __init__(self, bindings: Bindings, size: int) -> None:
        self._runtime = bindings.runtime
        self.size = size
        self.address: int = self._runtime.malloc(size)

    def free(self) -> None:
        """Give it back, zeroed."""
        with suppress(self._runtime.CUDARuntimeError):  # a lost device has nothing to give back
            self._runtime.memset(self.address, 0, self.size)
            self._runtime.deviceSynchronize()
            self._runtime.free(self.address)


class PinnedMemory:
    """Implements HostMemory."""

    def __init__(self, bindings: Bindings, size: int) -> None:
        self._runtime = bindings.runtime
        self.size = size
        self.address: int = self._runtime.hostAlloc(size, self._runtime.hostAllocPortable)
        self._bytes = (ctypes.c_char * size).from_address(self.address)
        self.view = memoryview(self._bytes).cast("B")

    def clear(self, size: int) -> None:
        """Zero its first bytes."""
        ctypes.memset(self.address, 0, size)

    def free(self) -> None:
        """Give it back, zeroed."""
        self.clear(self.size)
        self.view.release()
        with suppress(self._runtime.CUDARuntimeError):
            self._runtime.freeHost(self.address)


class Stream:
    """Implements Queue."""

    def __init__(self, bindings: Bindings) -> None:
        self._runtime = bindings.runtime
        self.handle: int = self._runtime.streamCreateWithFlags(_NON_BLOCKING)

    def upload(self, target: int, source: int, size: int) -> None:
        """Copy host memory to the device."""
        self._runtime.memcpyAsync(target, source, size, _TO_DEVICE, self.handle)

    def download(self, target: int, source: int, size: int) -> None:
        """Copy device memory to the host."""
        self._runtime.memcpyAsync(target, source, size, _TO_HOST, self.handle)

    def copy(self, target: int, source: int, size: int) -> None:
        """Copy within the device's memory."""
        self._runtime.memcpyAsync(target, source, size, _WITHIN_DEVICE, self.handle)

    def clear(self, target: int, size: int) -> None:
        """Zero device memory."""
        self._runtime.memsetAsync(target, 0, size, self.handle)

    def finish(self) -> None:
        """Wait for all of it."""
        self._runtime.streamSynchronize(self.handle)


class Event:
    """Implements Mark. Waiting sleeps: a core that spins is a core that does not read."""

    def __init__(self, bindings: Bindings) -> None:
        self._runtime = bindings.runtime
        self._handle: int = self._runtime.eventCreateWithFlags(_BLOCKING_WAIT_WITHOUT_TIME)

    def put(self, queue: Queue) -> None:
        """Behind what is in the queue now."""
        self._runtime.eventRecord(self._handle, handle_of(queue))

    def wait(self) -> None:
        """Until the device has come here."""
        self._runtime.eventSynchronize(self._handle)


def handle_of(queue: Queue) -> int:
    """The stream behind a queue."""
    if not isinstance(queue, Stream):
        raise TypeError("a queue of another device")
    return queue.handle


class CupyDevice:
    """Implements Device."""

    def __init__(self, bindings: Bindings, number: int, cache: Path | None) -> None:
        self._bindings = bindings
        self._number = number
        self._cache = KernelCache(cache)
        self._modules: dict[KernelSource, Module] = {}
        with self.translated():
            self.use()
            properties = bindings.runtime.getDeviceProperties(number)
            bindings.runtime.free(0)  # makes the context now, while falling back is still easy
        self.name: str = properties["name"].decode()
        self._hip_target = properties.get("gcnArchName", b"").decode()

    def use(self) -> None:
        """Make it the calling thread's device."""
        self._bindings.runtime.setDevice(self._number)

    def settle(self) -> None:
        """Wait for whatever anybody in this process has queued on it."""
        self._bindings.runtime.deviceSynchronize()

    def allocate(self, size: int) -> DeviceMemory:
        """Device memory."""
        return DeviceMemory(self._bindings, size)

    def pin(self, size: int) -> PinnedMemory:
        """Host memory for copies."""
        return PinnedMemory(self._bindings, size)

    def register(self, address: int, size: int) -> None:
        """Pin host memory that is there already."""
        self._bindings.runtime.hostRegister(address, size, self._bindings.runtime.hostAllocPortable)

    def unregister(self, address: int) -> None:
        """Let it go."""
        with suppress(self._bindings.runtime.CUDARuntimeError):
            self._bindings.runtime.hostUnregister(address)

    def queue(self) -> Stream:
        """A new queue."""
        return Stream(self._bindings)

    def mark(self) -> Event:
        """A new mark."""
        return Event(self._bindings)

    def kernels(self, algorithm: HashAlgorithm) -> "CupyTreeKernels":
        """The kernels of a hash."""
        return CupyTreeKernels(self.module(tree_source(algorithm)))

    def lattice(self) -> "CupyLatticeKernels":
        """The kernel of the lattice hash."""
        return CupyLatticeKernels(self.module(lattice_source()))

    def preload(self, algorithm: HashAlgorithm) -> None:
        """Load the kernels of a hash if that needs no compiler."""
        source = tree_source(algorithm)
        if self._cache.holds(source, self._target()):
            self.module(source)

    def module(self, source: KernelSource) -> "Module":
        """A loaded translation unit."""
        if source not in self._modules:
            self.use()
            with self.translated():
                target = self._target()
                code = self._cache.code(
                    source, target, lambda: _compiled(source, target[1:], self._bindings)
                )
                self._modules[source] = Module(self._bindings, code)
        return self._modules[source]

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Whatever the device raises becomes EngineUnavailable."""
        with self._bindings.translated():
            yield

    def _target(self) -> tuple[str, ...]:
        runtime = self._bindings.runtime
        version = f"{'hip' if self._bindings.is_hip else 'cuda'} {runtime.runtimeGetVersion()}"
        if self._bindings.is_hip:
            return (version, f"--offload-arch={self._hip_target}", "-std=c++17")
        major = runtime.deviceGetAttribute(_COMPUTE_MAJOR, self._number)
        minor = runtime.deviceGetAttribute(_COMPUTE_MINOR, self._number)
        return (version, f"--gpu-architecture=sm_{major}{minor}", "--std=c++17")


def _compiled(source: KernelSource, options: tuple[str, ...], bindings: Bindings) -> bytes:
    try:
        compiler: Any = importlib.import_module("cupy_backends.cuda.libs.nvrtc")
        headers = source.headers
        program = compiler.createProgram(
            source.text,
            source.file,
            [text.encode() for text in headers.values()],
            [name.encode() for name in headers],
        )
    # Its loader raises errors of a third package when the compiler's library is missing.
    except Exception as error:
        raise EngineUnavailable(
            f"the run-time compiler cannot be used: {error}",
            hint="install it: pip install nvidia-cuda-nvrtc",
        ) from error
    try:
        compiler.compileProgram(program, (*options, *source.options))
        code: bytes = (compiler.getPTX if bindings.is_hip else compiler.getCUBIN)(program)
    except compiler.NVRTCError as error:
        log = compiler.getProgramLog(program)
        raise EngineUnavailable(f"{source.file} cannot be compiled: {log}") from error
    finally:
        compiler.destroyProgram(program)
    return code


class Module:
    """Loaded code."""

    def __init__(self, bindings: Bindings, code: bytes) -> None:
        self._driver = bindings.driver
        self._handle: int = self._driver.moduleLoadData(code)
        self._functions: dict[str, int] = {}

    def launch(
        self, name: str, queue: Queue, blocks: int, threads: int, arguments: tuple[int, ...]
    ) -> None:
        """Queue a kernel. Its parameters are integers and pointers, each in eight bytes."""
        if name not in self._functions:
            self._functions[name] = self._driver.moduleGetFunction(self._handle, name)
        # The driver copies as many low bytes of each as the parameter has.
        values = (ctypes.c_uint64 * len(arguments))(*arguments)
        first = ctypes.addressof(values)
        cells = (ctypes.c_void_p * len(arguments))(
            *(first + 8 * number for number in range(len(arguments)))
        )
        grid = (blocks, 1, 1, threads, 1, 1)
        function, stream = self._functions[name], handle_of(queue)
        self._driver.launchKernel(function, *grid, 0, stream, ctypes.addressof(cells), 0)


class CupyTreeKernels:
    """Implements TreeKernels: the launchers of kernels/tree.cuh."""

    def __init__(self, module: Module) -> None:
        self._module = module

    def hash_leaves(self, queue: Queue, table: Table, at: int, leaf_bytes: int, nodes: int) -> None:
        """Hash every leaf of a table."""
        leaves = table.leaves
        tails = at + table.offsets[0]
        arguments = (at, table.pieces, tails, table.full_leaves, leaves, leaf_bytes, nodes)
        blocks = -(-leaves // LEAF_THREADS)
        self._module.launch("hash_leaves", queue, blocks, LEAF_THREADS, arguments)

    def fold_groups(self, queue: Queue, groups: int, count: int, nodes: int, folded: int) -> None:
        """Fold groups of nodes."""
        self._module.launch("fold_groups", queue, count, FOLD_THREADS, (groups, nodes, folded))


class CupyLatticeKernels:
    """Implements LatticeKernels: the launcher of kernels/lthash.cu."""

    def __init__(self, module: Module) -> None:
        self._module = module

    def sum_elements(
        self, queue: Queue, table: Table, at: int, leaf_bytes: int, sums: int, threads: int
    ) -> None:
        """Add up elements, block by block."""
        places, tails = at + table.places_offset, at + table.offsets[0]
        full, leaves = table.full_leaves, table.leaves
        arguments = (at, table.pieces, places, tails, full, leaves, leaf_bytes, sums)
        self._module.launch("sum_elements", queue, -(-leaves // threads), threads, arguments)
