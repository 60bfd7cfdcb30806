"""The supervisor of a native cluster: `python -m e2e.cluster.native.inside`, started by the
provider.

Two processes. The outer one stays on the machine, is the one to end, and holds the lock that says
the cluster lives. The inner one is the first process of the node's namespaces: when it ends, the
kernel ends everything in them. It ends with the outer one, however that goes.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from e2e.cluster.native.door import lead_to, open_door
from e2e.cluster.native.folders import Folders
from e2e.cluster.native.namespaces import (
    NODE_ADDRESS,
    die_with_parent,
    furnish,
    leave_the_machine,
)
from e2e.cluster.native.processes import namespace_of
from e2e.cluster.supervisor import Supervisor

APISERVER_PORT = 6443


def main(arguments: Sequence[str]) -> None:
    """Read the command line and become the two processes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--node-root", type=Path, required=True)
    parser.add_argument("--servers", type=Path, required=True)
    options = parser.parse_args(arguments)
    folders = Folders(options.state)

    # Inherited by the inner process, so that the lock outlives the outer one if that is killed.
    alive = os.open(folders.alive, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
    door = open_door()
    leave_the_machine()
    inner = os.fork()
    if inner == 0:
        die_with_parent()
        in_node = furnish(folders, options.node_root, options.servers)
        asyncio.run(_supervise(folders, door, in_node))
    else:
        _attend(inner, folders, door)


def _attend(inner: int, folders: Folders, door: socket.socket) -> None:
    signal.signal(signal.SIGTERM, lambda *_: os.kill(inner, signal.SIGKILL))
    record = {
        "pid": os.getpid(),
        "inner": inner,
        "namespace": namespace_of(inner),
        "port": door.getsockname()[1],
    }
    unfinished = folders.record.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(record))
    unfinished.rename(folders.record)
    _, status = os.waitpid(inner, 0)  # returns when every process of the namespaces is gone
    sys.exit(abs(os.waitstatus_to_exitcode(status)))


async def _supervise(folders: Folders, door: socket.socket, in_node: tuple[str, ...]) -> None:
    supervisor = Supervisor(folders.logs, in_node)
    asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, supervisor.reap)
    await asyncio.start_server(lead_to(NODE_ADDRESS, APISERVER_PORT), sock=door)
    control = await asyncio.start_unix_server(supervisor.converse, folders.control)
    await control.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
