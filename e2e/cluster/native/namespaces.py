"""The node's own kernel namespaces: mounts, network, processes, host name.

Links, addresses, routes, iptables rules and mounts that the node makes exist nowhere else, and the
kernel removes all of them with the node's last process. That is what makes `down` exact.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from e2e.cluster.components import SERVICE_RANGE
from e2e.cluster.native.folders import Folders

NODE_ADDRESS = "192.168.199.2"
NODE_LINK = "node0"

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1

# The kubelet wants these values and would write them for the whole machine. It is shown files that
# already say so.
KERNEL_SETTINGS = {
    "kernel/keys/root_maxbytes": 25_000_000,
    "kernel/keys/root_maxkeys": 1_000_000,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
}

_libc = ctypes.CDLL(None, use_errno=True)


def leave_the_machine() -> None:
    """Give this process, and its coming children, namespaces of their own."""
    wanted = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET
    if _libc.unshare(wanted):
        error = ctypes.get_errno()
        raise OSError(error, f"unshare: {os.strerror(error)}")


def die_with_parent() -> None:
    """Have the kernel kill this process as soon as its parent is gone."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def furnish(folders: Folders, node_root: Path, servers: Path) -> tuple[str, ...]:
    """Make the new namespaces a node. Runs as their first process.

    Returns what to put before a command so that it sees the node's root file system.
    """
    _mount_root(folders, node_root, servers)
    _shield_kernel_settings(folders)
    socket.sethostname(folders.name)
    in_node = ("nsenter", f"--mount=/proc/{_pivot(folders)}/ns/mnt", "--")
    _connect(in_node)
    return in_node


def _mount_root(folders: Folders, node_root: Path, servers: Path) -> None:
    """An overlay keeps the cached root file system as it is."""
    upper, work = folders.state / "upper", folders.state / "work"
    root, state = folders.root, folders.state
    for folder in (upper, work, root):
        folder.mkdir(exist_ok=True)
    _mount("--make-rprivate", "/")
    _mount(
        "-t", "proc", "proc", "/proc"
    )  # unshare and nsenter look processes up by their new numbers
    layers = f"lowerdir={node_root},upperdir={upper},workdir={work}"
    _mount("-t", "overlay", "-o", layers, "overlay", root)
    for mounted in (_under(root, state), root / "opt" / "kubernetes"):
        mounted.mkdir(parents=True, exist_ok=True)
    _mount("-t", "proc", "proc", root / "proc")
    _mount("-t", "sysfs", "sysfs", root / "sys")
    _mount("--rbind", "/sys/fs/cgroup", root / "sys" / "fs" / "cgroup")
    _mount("--rbind", "/dev", root / "dev")
    _mount("-t", "tmpfs", "tmpfs", root / "run")
    _mount("--bind", state, _under(root, state))
    _mount("--bind", "-o", "ro", servers, root / "opt" / "kubernetes")


def _shield_kernel_settings(folders: Folders) -> None:
    pretended = folders.state / "sysctl"
    pretended.mkdir()
    for number, (name, value) in enumerate(KERNEL_SETTINGS.items()):
        path = pretended / str(number)
        path.write_text(f"{value}\n")
        _mount("--bind", path, folders.root / "proc" / "sys" / name)


def _pivot(folders: Folders) -> int:
    """Make that root the root of one more mount namespace; the pid of a process that keeps it.

    A chroot is not enough: whoever enters a container's mount namespace later, as `kubectl exec`
    does, starts at the root of that namespace, and that would still be the machine's. This process
    keeps the machine's root, because Python reads its modules from there. Binding the namespace to
    a file (`unshare --mount=FILE`) instead of keeping a process in it failed now and then on Linux
    6.18 with "Invalid argument".
    """
    (folders.root / "machine").mkdir(exist_ok=True)
    script = (
        'cd "$0" && pivot_root . machine && umount --lazy /machine && rmdir /machine'
        " && mount --make-rshared / && echo ready && exec sleep infinity"
    )
    keeper = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", script, str(folders.root)], stdout=subprocess.PIPE
    )
    if not keeper.stdout or keeper.stdout.readline() != b"ready\n":
        raise OSError("the node's root file system could not be made the root of its namespace")
    return keeper.pid


def _connect(in_node: Sequence[str]) -> None:
    """One link with one address, since the kubelet refuses loopback; it leads nowhere."""
    for words in (
        ["link", "set", "lo", "up"],
        ["link", "add", NODE_LINK, "type", "veth", "peer", "name", "nowhere"],
        ["addr", "add", f"{NODE_ADDRESS}/30", "dev", NODE_LINK],
        ["link", "set", "nowhere", "up"],
        ["link", "set", NODE_LINK, "up"],
        # The kernel looks for a route before it applies the Service rules, which then replace it.
        ["route", "add", SERVICE_RANGE, "dev", NODE_LINK],
    ):
        _run([*in_node, "ip", *words])
    _run([*in_node, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"])


def _mount(*words: str | Path) -> None:
    _run(["mount", *map(str, words)])


def _run(argv: Sequence[str]) -> None:
    subprocess.run(argv, check=True)


def _under(root: Path, path: Path) -> Path:
    return root / path.relative_to("/")
