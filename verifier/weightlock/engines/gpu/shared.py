"""Memory that this process shares with the processes that read files into it."""

import ctypes
import mmap
import os
import socket
import subprocess
import sys
from pathlib import Path

from weightlock.engines.gpu import filler
from weightlock.errors import EngineUnavailable


class SharedMemory:
    """A file without a name, mapped; the kernel zeroes it before anybody else gets it."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.descriptor = os.memfd_create("weightlock", os.MFD_CLOEXEC)
        os.ftruncate(self.descriptor, size)
        self._map = mmap.mmap(self.descriptor, size)
        self.view = memoryview(self._map)
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self._map))

    def close(self) -> None:
        """Give it back."""
        os.close(self.descriptor)


class ReadingProcess:
    """A process that fills memory from files; it can start before any device is known."""

    def __init__(self, memory_bytes: int) -> None:
        self.memory = SharedMemory(memory_bytes)
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = _start(theirs.fileno(), self.memory.descriptor)

    def close(self) -> None:
        """End it and give the memory back."""
        self.channel.close()
        self._process.kill()
        self._process.wait()
        self.memory.close()


def _start(channel: int, memory: int) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-ISE",  # nothing of the environment or of site-packages: faster, and nobody's hooks
        str(Path(filler.__file__)),
        str(channel),
        str(memory),
    ]
    try:
        return subprocess.Popen(  # noqa: S603 - this interpreter and a file of this package
            command, pass_fds=[channel, memory], stdin=subprocess.DEVNULL, env={}
        )
    except OSError as error:
        raise EngineUnavailable(f"a reading process cannot be started: {error}") from error
