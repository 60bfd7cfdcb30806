"""The kernel cache: what it keeps, and when it must not be believed."""

from pathlib import Path

import pytest

from weightlock.digests import HashAlgorithm
from weightlock.engines.gpu.compiling import KernelCache, lattice_source, tree_source

SOURCE = tree_source(HashAlgorithm.SHA256)
TARGET = ("cuda 13000", "sm_90")


class Compiler:
    def __init__(self) -> None:
        self.runs = 0

    def __call__(self) -> bytes:
        self.runs += 1
        return b"code %d" % self.runs


def test_every_source_can_be_found_with_what_it_includes() -> None:
    for source in [lattice_source(), *(tree_source(algorithm) for algorithm in HashAlgorithm)]:
        included = [
            line.split('"')[1]
            for text in [source.text, *source.headers.values()]
            for line in text.splitlines()
            if line.startswith("#include")
        ]
        assert set(included) <= set(source.headers)


def test_a_kernel_is_compiled_once(tmp_path: Path) -> None:
    compiler = Compiler()
    assert not KernelCache(tmp_path / "kernels").holds(SOURCE, TARGET)
    for _ in range(2):
        assert KernelCache(tmp_path / "kernels").code(SOURCE, TARGET, compiler) == b"code 1"
    assert compiler.runs == 1
    assert KernelCache(tmp_path / "kernels").holds(SOURCE, TARGET)


def test_another_hash_or_target_is_another_kernel(tmp_path: Path) -> None:
    compiler = Compiler()
    cache = KernelCache(tmp_path / "kernels")
    cache.code(SOURCE, TARGET, compiler)
    cache.code(SOURCE, (*TARGET, "more"), compiler)
    cache.code(tree_source(HashAlgorithm.SHA384), TARGET, compiler)
    cache.code(tree_source(HashAlgorithm.SHA512), TARGET, compiler)
    assert compiler.runs == 4


@pytest.mark.parametrize("damage", [b"", b"short", bytes(100)], ids=["empty", "short", "other"])
def test_a_damaged_entry_is_compiled_anew(damage: bytes, tmp_path: Path) -> None:
    compiler = Compiler()
    folder = tmp_path / "kernels"
    KernelCache(folder).code(SOURCE, TARGET, compiler)
    (entry,) = folder.iterdir()
    entry.write_bytes(damage)
    assert KernelCache(folder).code(SOURCE, TARGET, compiler) == b"code 2"
    assert KernelCache(folder).code(SOURCE, TARGET, compiler) == b"code 2"


def test_a_folder_that_others_can_write_to_is_not_believed(tmp_path: Path) -> None:
    folder = tmp_path / "kernels"
    folder.mkdir()
    folder.chmod(0o777)
    compiler = Compiler()
    for _ in range(2):
        KernelCache(folder).code(SOURCE, TARGET, compiler)
    assert compiler.runs == 2
    assert not list(folder.iterdir())


def test_a_link_to_a_folder_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "kernels").symlink_to(tmp_path / "real")
    compiler = Compiler()
    KernelCache(tmp_path / "kernels").code(SOURCE, TARGET, compiler)
    assert not list((tmp_path / "real").iterdir())


@pytest.mark.parametrize("folder", [None, Path("/proc/weightlock")], ids=["none", "unwritable"])
def test_without_a_folder_the_kernels_are_compiled_each_time(folder: Path | None) -> None:
    compiler = Compiler()
    assert KernelCache(folder).code(SOURCE, TARGET, compiler) == b"code 1"
    assert KernelCache(folder).code(SOURCE, TARGET, compiler) == b"code 2"
