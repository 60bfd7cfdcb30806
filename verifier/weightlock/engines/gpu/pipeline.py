"""Reading, copying and hashing at once, on one device.

Processes read runs of files, in order, into memory that they share with us. Here one thread queues
the copy of each run to the batch that it belongs to and, behind a batch's last copy, its kernels.
When the batch's memory is wanted again, its nodes have long come back and are checked. So batches
are at once read, on their way, hashed and checked; a queue's own order keeps a batch's kernels
behind its copies and the next batch's copies behind the kernels.
"""

import select
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import NamedTuple

from weightlock.engines.engine import Files, Progress
from weightlock.engines.gpu.computation import Computation
from weightlock.engines.gpu.plan import Batch, Geometry, Piece, Read, batches
from weightlock.engines.gpu.readers import BUFFERS, Reader, SharedFile
from weightlock.engines.gpu.recheck import Sample
from weightlock.engines.gpu.slots import Pool, Slot, address_of
from weightlock.engines.gpu.table import Table, table_of

Record = Callable[[Piece, bytes], None]


@dataclass(frozen=True, slots=True)
class Job:
    """What one device is to hash, and how."""

    files: Files
    pieces: Sequence[Piece]
    computation: Computation
    geometry: Geometry
    random: Random


@dataclass(slots=True)
class _Load:
    """A batch in a slot."""

    batch: Batch
    table: Table
    tables: bytes
    slot: Slot
    sample: Sample
    missing: int


class _Task(NamedTuple):
    load: _Load
    number: int
    read: Read
    file: SharedFile


class Pipeline:
    """One run over the pieces of a job."""

    def __init__(self, pool: Pool, job: Job) -> None:
        self._pool = pool
        self._job = job
        self._computation = job.computation
        self._batches = batches(job.pieces, job.geometry)
        self._loads: deque[_Load] = deque()
        self._free = deque(pool.slots)
        self._tasks: Iterator[_Task] = iter(())
        self._asked: dict[Reader, deque[tuple[int, _Task]]] = {
            reader: deque() for reader in pool.readers
        }
        self._idle = deque((reader, n) for n in range(BUFFERS) for reader in pool.readers)
        self._copying: dict[Reader, int] = {}
        self._file: SharedFile | None = None
        self._opened: list[SharedFile] = []

    def run(self, record: Record, progress: Progress) -> None:
        """Hash all pieces; `record` gets the result of each.

        Raises:
            ChangedWhileReading, Unreadable: if a file cannot be read as it should.
            EngineFault: if the device computed wrongly.
        """
        failure: Exception | None = None
        try:
            self._read_and_hash(record, progress)
        finally:
            failure = self._clear()
            for file in self._opened:
                file.abandon()
        if failure is not None:
            raise failure

    def _read_and_hash(self, record: Record, progress: Progress) -> None:
        answers = select.poll()
        readers = {reader.fileno(): reader for reader in self._pool.readers}
        for descriptor in readers:
            answers.register(descriptor, select.POLLIN)
        self._ask_idle(record, progress)
        while any(self._asked.values()):
            for descriptor, _ in answers.poll():
                self._take_answer(readers[descriptor])
            self._ask_idle(record, progress)
        while self._loads:
            self._collect(self._loads.popleft(), record, progress)
        if self._file is not None:
            self._file.leave()

    def _ask_idle(self, record: Record, progress: Progress) -> None:
        while self._idle:
            task = self._next_task(record, progress)
            if task is None:
                return
            reader, buffer = self._idle.popleft()
            reader.ask(buffer, task.read, task.file)
            self._asked[reader].append((buffer, task))

    def _next_task(self, record: Record, progress: Progress) -> _Task | None:
        """None if there is nothing more to read, or not before an answer has come."""
        task = next(self._tasks, None)
        if task is None and self._has_slot(record, progress):
            batch = next(self._batches, None)
            if batch is None:
                return None
            self._tasks = self._tasks_of(self._loaded(batch, self._free.popleft()))
            task = next(self._tasks)
        return task

    def _has_slot(self, record: Record, progress: Progress) -> bool:
        if not self._free and self._loads[0].missing == 0:
            load = self._loads.popleft()
            self._collect(load, record, progress)
            self._free.append(load.slot)
        return bool(self._free)

    def _loaded(self, batch: Batch, slot: Slot) -> _Load:
        computation = self._computation
        addresses = [slot.staging.address + start for start in batch.starts]
        lengths = [piece.length for piece in batch.pieces]
        table = table_of(addresses, lengths, computation.leaf_bytes)
        tables = computation.tables(batch, table)
        # A copy that silently does not happen must not leave what an earlier batch had (C14).
        slot.queue.clear(slot.staging.address, slot.staging.size)
        slot.queue.upload(slot.tables.address, address_of(tables), len(tables))
        sample = computation.sample(batch, table, self._job.random)
        load = _Load(batch, table, tables, slot, sample, len(batch.reads))
        self._loads.append(load)
        return load

    def _tasks_of(self, load: _Load) -> Iterator[_Task]:
        for number, read in enumerate(load.batch.reads):
            yield _Task(load, number, read, self._file_of(read))

    def _file_of(self, read: Read) -> SharedFile:
        if self._file is None or self._file.number != read.file:
            if self._file is not None:
                self._file.leave()
            direct = self._job.geometry.alignment > 1
            self._file = SharedFile(self._job.files, read.file, direct=direct)
            self._opened.append(self._file)
        self._file.join()
        return self._file

    def _take_answer(self, reader: Reader) -> None:
        buffer, task = self._asked[reader].popleft()
        load, read = task.load, task.read
        reader.answer(task.file)
        task.file.leave()
        queue = load.slot.queue
        queue.upload(load.slot.staging.address + read.start, reader.address(buffer), read.needed)
        reader.marks[buffer].put(queue)
        load.sample.take(task.number, partial(reader.content, buffer))
        # The buffer before this one has surely been copied by now; this one has not.
        if reader in self._copying:
            self._idle.append((reader, self._copying[reader]))
        self._copying[reader] = buffer
        load.missing -= 1
        if load.missing == 0:
            self._launch(load)

    def _launch(self, load: _Load) -> None:
        slot, table = load.slot, load.table
        self._computation.launch(slot.queue, table, slot.tables.address, slot.results.address)
        size = self._computation.result_bytes(table)
        slot.queue.download(slot.fetched.address, slot.results.address, size)
        slot.done.put(slot.queue)

    def _collect(self, load: _Load, record: Record, progress: Progress) -> None:
        slot, batch = load.slot, load.batch
        slot.done.wait()
        found = self._computation.results(batch, load.table, slot.fetch, load.sample)
        for piece, result in zip(batch.pieces, found, strict=True):
            record(piece, result)
        slot.fetched.clear(self._computation.result_bytes(load.table))
        progress(sum(piece.length for piece in batch.pieces))

    def _clear(self) -> Exception | None:
        """Zero everything; what is zeroed does not depend on what cannot be, as on a lost device.

        Returns the first thing that went wrong.
        """
        steps: list[Callable[[], None]] = [reader.wait for reader in self._pool.readers]
        steps += [reader.begin_clearing for reader in self._pool.readers]
        steps += [slot.clear for slot in self._pool.slots]
        steps += [partial(load.slot.fetched.clear, load.slot.fetched.size) for load in self._loads]
        steps += [
            partial(reader.finish_clearing, len(asked)) for reader, asked in self._asked.items()
        ]
        failures = [error for error in map(_attempt, steps) if error is not None]
        return failures[0] if failures else None


def _attempt(step: Callable[[], None]) -> Exception | None:
    try:
        step()
    except Exception as error:
        return error
    return None
