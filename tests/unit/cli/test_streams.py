"""Where output cannot go, the exit code is still right: never that of a verdict unsaid."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support import folders

from weightlock.cli.main import main

PROGRAM = f'"{sys.executable}" -m weightlock'


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a signed checkpoint `model` and the key `k.pub`."""
    folder = tmp_path_factory.mktemp("streams")
    folders.write(folder / "model", {"weights.bin": b"x"})
    pair = ["--private-key", str(folder / "k"), "--public-key", str(folder / "k.pub")]
    assert main(["keygen", *pair]) == 0
    assert main(["sign", str(folder / "model"), "--private-key", str(folder / "k")]) == 0
    return folder


def shell(folder: Path, arguments: str) -> "subprocess.CompletedProcess[str]":
    """What came of the program in a shell that redirects its streams."""
    return subprocess.run(  # noqa: S602 - redirections are what is tested
        f"exec {PROGRAM} {arguments}",
        shell=True,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


VERIFY = "verify model --public-key k.pub"


@pytest.mark.parametrize("form", ["", " --json"])
@pytest.mark.parametrize("folder", ["model", "absent"])
def test_a_full_disk_under_the_output_is_an_error_and_no_verdict(
    form: str, folder: str, signed: Path
) -> None:
    done = shell(signed, f"verify {folder} --public-key k.pub{form} > /dev/full")
    assert done.returncode == 4
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("form", ["", " --json"])
def test_streams_that_nobody_wants_change_no_verdict(closed: str, form: str, signed: Path) -> None:
    assert shell(signed, f"{VERIFY}{form} {closed}").returncode == 0
    done = shell(signed, f"verify absent --public-key k.pub{form} {closed}")
    assert done.returncode == 4
    assert "Traceback" not in done.stderr


def test_a_name_that_the_terminal_has_no_letters_for_changes_no_verdict(signed: Path) -> None:
    folders.write(signed / "copy", {"weights.bin": b"x", "\u65e5": b"", "\u672c": b""})
    (signed / "copy/model.pqc.sig").write_bytes((signed / "model/model.pqc.sig").read_bytes())
    done = subprocess.run(
        [sys.executable, "-m", "weightlock", "verify", "copy", "--public-key", "k.pub"],
        env={"PYTHONIOENCODING": "ascii"},
        cwd=signed,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert r"'\u65e5' is not among the signed files" in done.stdout


def test_no_file_of_ours_takes_the_place_of_a_closed_stream(signed: Path) -> None:
    # A library that complains on descriptor 2 would write into a key or a signature.
    script = (
        "import os, weightlock.cli.main as m;"
        "m.main(['inspect', 'model']);"
        "print(os.readlink('/proc/self/fd/2'))"
    )
    done = subprocess.run(  # noqa: S602 - redirections are what is tested
        f'exec "{sys.executable}" -c "{script}" 2>&-',
        shell=True,
        cwd=signed,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout.endswith("/dev/null\n")


def test_the_program_may_open_as_many_files_as_it_is_allowed_to(signed: Path) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    script = (
        "import resource, weightlock.cli.main as m;"
        "m.main(['inspect', 'model']);"
        "print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    done = subprocess.run(  # noqa: S602 - as above
        f'ulimit -S -n 64; exec "{sys.executable}" -c "{script}"',
        shell=True,
        cwd=signed,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    wanted = 65536 if most == resource.RLIM_INFINITY else min(most, 65536)
    assert int(done.stdout.split()[-1]) == wanted
