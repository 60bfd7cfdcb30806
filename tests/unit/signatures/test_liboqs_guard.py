"""Importing `oqs` without its library would build it over the network: it must not come to that."""

import ast
import ctypes.util
import subprocess
import sys
from pathlib import Path

import pytest

import weightlock

_ASK = """
import sys
from weightlock.signatures.slh_dsa_liboqs import installed_liboqs
found = installed_liboqs()
sys.stderr.write(f"{found is not None} {'oqs' in sys.modules}")
"""


def _ask(folder: Path, stub: Path, named: str | None = None) -> tuple[str, str]:
    """What is on stdout, and whether liboqs was found and `oqs` imported, in a fresh process.

    The process runs in the folder, and its home is there too.
    """
    done = subprocess.run(  # noqa: S603 # the import under test happens once per process
        [sys.executable, "-c", _ASK],
        env={
            "PATH": "",
            "HOME": str(folder),
            "OQS_INSTALL_PATH": str(folder) if named is None else named,
            "PYTHONPATH": str(stub),
        },
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout, done.stderr


def _stub(folder: Path, code: str) -> Path:
    package = folder / "stub"
    (package / "oqs").mkdir(parents=True)
    (package / "oqs" / "__init__.py").write_text(code)
    return package


def _library(folder: Path, content: bytes) -> None:
    (folder / "lib").mkdir()
    (folder / "lib" / "liboqs.so").write_bytes(content)


def _a_library_that_is_not_liboqs() -> bytes:
    import _ctypes  # noqa: PLC0415 # any shared object that surely loads

    return Path(_ctypes.__file__).read_bytes()


needs_no_liboqs = pytest.mark.skipif(
    ctypes.util.find_library("oqs") is not None,
    reason="liboqs is among the system's libraries, where this test cannot hide it",
)


@needs_no_liboqs
def test_without_the_shared_library_oqs_is_not_even_imported(tmp_path: Path) -> None:
    stub = _stub(tmp_path, "raise SystemExit('building')")
    assert _ask(tmp_path, stub) == ("", "False False")


@needs_no_liboqs
def test_a_file_that_is_not_a_library_does_not_count(tmp_path: Path) -> None:
    _library(tmp_path, b"not a library")
    stub = _stub(tmp_path, "raise SystemExit('building')")
    assert _ask(tmp_path, stub) == ("", "False False")


@needs_no_liboqs
@pytest.mark.parametrize("named", ["", ".", "lib/.."])
def test_a_library_of_the_folder_we_run_in_does_not_count(tmp_path: Path, named: str) -> None:
    _library(tmp_path, _a_library_that_is_not_liboqs())
    stub = _stub(tmp_path, "raise SystemExit('building')")
    assert _ask(tmp_path, stub, named) == ("", "False False")


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("raise SystemExit('building')", id="exits"),
        pytest.param("raise RuntimeError('no symbols')", id="raises"),
        pytest.param("import warnings; warnings.warn('x'); raise ImportError", id="warns"),
    ],
)
def test_an_oqs_that_does_not_import_does_not_count(tmp_path: Path, code: str) -> None:
    _library(tmp_path, _a_library_that_is_not_liboqs())
    out, error = _ask(tmp_path, _stub(tmp_path, code))
    assert (out, error) == ("", "False False")


def test_an_oqs_that_imports_is_found_and_writes_nothing(tmp_path: Path) -> None:
    _library(tmp_path, _a_library_that_is_not_liboqs())
    code = (
        "import logging, sys\n"
        "logger = logging.getLogger('oqs.oqs')\n"
        "logger.setLevel(logging.INFO)\n"
        "logger.addHandler(logging.StreamHandler(sys.stdout))\n"
        "logger.info('hello')\n"
    )
    assert _ask(tmp_path, _stub(tmp_path, code)) == ("", "True True")


def test_exactly_one_module_imports_oqs() -> None:
    package = Path(weightlock.__file__).parent
    importers = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if '"oqs"' in path.read_text() or _imports(path, "oqs")
    }
    assert importers == {"signatures/slh_dsa_liboqs.py"}


def _imports(path: Path, name: str) -> bool:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import) and any(a.name.split(".")[0] == name for a in node.names):
            return True
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == name:
            return True
    return False
