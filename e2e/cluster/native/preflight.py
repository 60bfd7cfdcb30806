"""What the native provider needs from the machine, checked before anything is changed."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster.errors import CannotRun

DOCKER_SECONDS = 10.0

PROGRAMS = {
    "apt-get": "Debian's or Ubuntu's package manager",
    "mmdebstrap": "apt-get install mmdebstrap",
    "unshare": "apt-get install util-linux",
    "setpriv": "apt-get install util-linux",
    "mount": "apt-get install mount",
    "chroot": "put /usr/sbin on the PATH, as `su -` does, or apt-get install coreutils",
}
SYSTEM_FOLDERS = ("/usr/sbin", "/sbin")


@dataclass(frozen=True, slots=True)
class Machine:
    """The facts that decide."""

    system: str
    user: int
    find_program: Callable[[str], str | None]
    cgroups: bool
    docker_engine: bool

    @classmethod
    def this(cls) -> Machine:
        """The machine we are on."""
        return cls(
            system=platform.system(),
            user=os.geteuid(),
            find_program=shutil.which if os.geteuid() == 0 else _which_root_would_find,
            docker_engine=_docker_answers(),
            cgroups=any(Path("/sys/fs/cgroup").glob("*")),
        )


def _which_root_would_find(program: str) -> str | None:
    """Who is not root lacks the folders of root's programs, and is told to become root anyway."""
    return shutil.which(program) or shutil.which(program, path=os.pathsep.join(SYSTEM_FOLDERS))


def _docker_answers() -> bool:
    """The program alone says nothing: it may have no engine to talk to."""
    if shutil.which("docker") is None:
        return False
    try:
        asked = subprocess.run(
            ["docker", "info"], capture_output=True, check=False, timeout=DOCKER_SECONDS
        )
    except subprocess.TimeoutExpired:
        return False
    return asked.returncode == 0


def obstacles(machine: Machine) -> list[str]:
    """Everything that is in the way, each with what to do about it."""
    if machine.system != "Linux":
        return [f"the native provider needs Linux, this is {machine.system}: use kind"]
    found = [
        f"{program} is missing: {remedy}"
        for program, remedy in PROGRAMS.items()
        if machine.find_program(program) is None
    ]
    if machine.user != 0:
        found.append(
            "the native provider needs root: it makes namespaces, mounts and control groups"
        )
    if not machine.cgroups:
        found.append("no control groups are mounted at /sys/fs/cgroup")
    return found


def check(machine: Machine) -> None:
    """Refuse early and plainly.

    Raises:
        CannotRun: names all obstacles at once.
    """
    found = obstacles(machine)
    if found:
        raise CannotRun("cannot run a native cluster here: " + "; ".join(found))
