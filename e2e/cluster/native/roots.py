"""Debian root file systems, built with mmdebstrap from the machine's own Debian archive."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from e2e.cluster.cache import recipe_key
from e2e.cluster.commands import Commands
from e2e.cluster.errors import CannotRun

SUITE = "bookworm"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
TARGET_FIELDS = "$(CREATED_BY)|$(ORIGIN)|$(CODENAME)|$(REPO_URI)|$(COMPONENT)"

# As Debian's own slim images: no documentation but the licences, no translations.
SLIM = (
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
)

# Mounts that a build makes, and processes it leaves, go with the build, however it ends.
ISOLATED = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")


def debian_sources(commands: Commands, mirror: str | None) -> str:
    """An apt source list for the suite: the given mirror, else what the machine's own apt uses.

    Raises:
        CannotRun: neither is there.
    """
    if mirror:
        return _lines([(mirror, SUITE, "main"), (mirror, f"{SUITE}-updates", "main")])
    targets = commands.read(["apt-get", "indextargets", "--format", TARGET_FIELDS])
    found = [
        (uri, codename, component)
        for made_by, origin, codename, uri, component in (
            line.split("|") for line in targets.splitlines() if line.count("|") == 4
        )
        if made_by == "Packages" and origin == "Debian" and codename.startswith(SUITE)
    ]
    if not found:
        raise CannotRun(
            f"apt knows no Debian {SUITE} archive here: run `apt-get update`, "
            "or name one in WEIGHTLOCK_DEBIAN_MIRROR"
        )
    return _lines(found)


def root_key(packages: Path) -> str:
    """Changes with what a root file system is made of."""
    return recipe_key(SUITE, *SLIM, packages.read_text())


def build_root(
    folder: Path,
    packages: Sequence[str],
    sources: str,
    commands: Commands,
    log: Path,
    *,
    options: Sequence[str] = (),
) -> None:
    """Fill an empty folder with a minimal Debian and these packages; `options` are mmdebstrap's."""
    argv = [*ISOLATED, "mmdebstrap", "--mode=root", "--variant=minbase", *SLIM, *options]
    argv += [f"--include={','.join(packages)}", SUITE, str(folder), "-"]
    commands.run(argv, log, stdin=sources)


def in_root(root: Path, argv: Sequence[str]) -> list[str]:
    """The command line that runs another one inside a root file system."""
    return [
        *ISOLATED,
        "sh",
        "-c",
        'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"',
        str(root),
        *argv,
    ]


def read_list(path: Path) -> list[str]:
    """A list file: one word a line, `#` starts a comment."""
    words = (line.split("#", 1)[0].strip() for line in path.read_text().splitlines())
    return [word for word in words if word]


def _lines(sources: Iterable[tuple[str, str, str]]) -> str:
    kinds = ("deb", "deb-src")
    unique = dict.fromkeys(sources)
    return "".join(
        f"{kind} [signed-by={KEYRING}] {uri} {suite} {component}\n"
        for uri, suite, component in unique
        for kind in kinds
    )
