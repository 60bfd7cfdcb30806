"""The walker lists everything that lies in a folder, or says why it could not (A09, A20, A26)."""

import os
import socket
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support import folders

from weightlock.checkpoint.folder import CheckpointFolder
from weightlock.checkpoint.walker import Limits, Walk
from weightlock.errors import Unreadable, UnsafeEntry
from weightlock.reasons import Reason


def walk(path: Path, limits: Limits | None = None) -> Walk:
    with CheckpointFolder(path) as folder:
        return folder.walk(limits or Limits())


def reasons(found: Walk) -> list[tuple[str, Reason]]:
    return sorted((finding.name, finding.reason) for finding in found.findings)


def test_a_sound_folder_is_listed_in_the_order_of_the_bytes_of_its_names(tmp_path: Path) -> None:
    folders.write(tmp_path, folders.SAMPLE | {"Z": b"z", "é": b"e"})
    found = walk(tmp_path)
    assert [file.name for file in found.files] == [
        "Z", "config.json", "empty", "sub/deep/tokenizer.model", "weights.bin", "é",
    ]  # fmt: skip
    assert [file.size for file in found.files] == [1, 28, 0, 76_800, 300_001, 1]
    assert found.findings == ()


def test_only_the_two_signature_files_at_the_root_are_left_out(tmp_path: Path) -> None:
    names = ["model.sig", "model.pqc.sig", "sub/model.sig", "a.sig", ".git/config", "claims.jsonl"]
    folders.write(tmp_path, dict.fromkeys(names, b"x"))
    assert [file.name for file in walk(tmp_path).files] == sorted(names[2:])


def fifo(path: Path) -> None:
    os.mkfifo(path)


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        pytest.param(lambda p: p.symlink_to("weights.bin"), "symbolic link", id="link to a file"),
        pytest.param(lambda p: p.symlink_to("/dev/zero"), "symbolic link", id="link to a device"),
        pytest.param(lambda p: p.symlink_to(".."), "symbolic link", id="link to a folder"),
        pytest.param(lambda p: p.symlink_to("nowhere"), "symbolic link", id="link to nothing"),
        pytest.param(fifo, "named pipe", id="pipe that would block"),
        pytest.param(unix_socket, "socket", id="socket"),
    ],
)
def test_what_is_neither_file_nor_folder_is_unsafe(
    make: Callable[[Path], None], words: str, tmp_path: Path
) -> None:
    folders.write(tmp_path, folders.SAMPLE)
    make(tmp_path / "odd.safetensors")
    found = walk(tmp_path)
    assert reasons(found) == [("odd.safetensors", Reason.UNSAFE_ENTRY)]
    assert words in found.findings[0].message
    assert found.findings[0].hint


@pytest.mark.parametrize("name", ["model.sig", "model.pqc.sig"])
def test_a_signature_file_must_be_a_regular_file_too(name: str, tmp_path: Path) -> None:
    folders.write(tmp_path, folders.SAMPLE)
    (tmp_path / name).symlink_to("weights.bin")
    assert reasons(walk(tmp_path)) == [(name, Reason.UNSAFE_ENTRY)]


def test_a_device_is_unsafe(tmp_path: Path) -> None:
    # /dev holds devices on every system, and needs no right to make one.
    kinds = {finding.message for finding in walk(Path("/dev")).findings}
    assert any("character device" in message for message in kinds)


def test_a_hard_link_is_unsafe_because_a_name_outside_can_change_it(tmp_path: Path) -> None:
    folder = folders.write(tmp_path / "model", folders.SAMPLE)
    os.link(folder / "weights.bin", tmp_path / "outside")
    assert reasons(walk(folder)) == [("weights.bin", Reason.UNSAFE_ENTRY)]


def test_another_file_system_is_unsafe() -> None:
    # The root is listed whole before any folder below it is entered, which the depth forbids.
    found = walk(Path("/"), Limits(depth=2))
    assert ("proc", Reason.UNSAFE_ENTRY) in reasons(found)


@pytest.mark.parametrize(
    "mode", [pytest.param(0o000, id="no right at all"), pytest.param(0o111, id="only search")]
)
def test_a_folder_that_cannot_be_listed_is_reported_and_never_skipped(
    mode: int, tmp_path: Path
) -> None:
    folders.write(tmp_path, folders.SAMPLE | {".cache/evil.pkl": b"x"})
    tmp_path.chmod(0o755)
    hidden = tmp_path / ".cache"
    hidden.chmod(mode)
    with CheckpointFolder(tmp_path) as folder:
        found = folders.unprivileged(lambda: folder.walk(Limits()))
    hidden.chmod(0o700)
    assert reasons(found) == [(".cache", Reason.UNREADABLE)]
    assert reasons(walk(tmp_path)) == []


def test_a_folder_whose_entries_cannot_be_examined_is_reported(tmp_path: Path) -> None:
    folders.write(tmp_path, folders.SAMPLE | {"sub/evil.pkl": b"x"})
    tmp_path.chmod(0o755)
    (tmp_path / "sub").chmod(0o444)
    with CheckpointFolder(tmp_path) as folder:
        found = folders.unprivileged(lambda: folder.walk(Limits()))
    (tmp_path / "sub").chmod(0o700)
    assert ("sub/evil.pkl", Reason.UNREADABLE) in reasons(found)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(b"a\xff.bin", id="bytes that are not UTF-8"),
        pytest.param(b"a\nb", id="line end"),
        pytest.param(b"a\x1b[31m", id="terminal escape"),
        pytest.param("a\u202eb".encode(), id="direction override"),
        pytest.param(b"a\\b", id="backslash"),
        pytest.param(b"C:model", id="drive"),
    ],
)
def test_a_hostile_name_is_reported_escaped(name: bytes, tmp_path: Path) -> None:
    with (tmp_path / "fine").open("wb"):
        pass
    os.close(os.open(os.fsencode(tmp_path) + b"/" + name, os.O_CREAT | os.O_WRONLY))
    (finding,) = walk(tmp_path).findings
    assert finding.reason is Reason.UNSAFE_NAME
    assert finding.message.isprintable()


def test_names_that_differ_only_in_case_are_refused(tmp_path: Path) -> None:
    folders.write(tmp_path, {"Model.bin": b"1", "model.bin": b"2"})
    assert [finding.reason for finding in walk(tmp_path).findings] == [Reason.UNSAFE_NAME]


def test_content_behind_a_size_of_zero_is_no_empty_file() -> None:
    # As /proc does, FUSE file systems can: a signed empty __init__.py must not stand for code.
    found = walk(Path("/proc/sys/kernel/random"))
    assert ("boot_id", Reason.UNREADABLE) in reasons(found)
    assert "boot_id" not in {file.name for file in found.files}


def test_an_empty_file_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    folders.write(tmp_path, {"empty": b"", "weights.bin": b"x"})
    tmp_path.chmod(0o755)
    (tmp_path / "empty").chmod(0o000)
    with CheckpointFolder(tmp_path) as folder:
        found = folders.unprivileged(lambda: folder.walk(Limits()))
    assert reasons(found) == [("empty", Reason.UNREADABLE)]


@pytest.mark.parametrize(
    ("limits", "exceeded"),
    [
        pytest.param(Limits(entries=5), True, id="one entry too many"),
        pytest.param(Limits(entries=6), False, id="as many entries as allowed"),
        pytest.param(Limits(bytes=376_828), True, id="too many bytes"),
        pytest.param(Limits(bytes=376_829), False, id="as many bytes as allowed"),
        pytest.param(Limits(depth=2), True, id="too deep"),
        pytest.param(Limits(depth=3), False, id="as deep as allowed"),
    ],
)
def test_limits_end_the_walk(limits: Limits, exceeded: bool, tmp_path: Path) -> None:
    folders.write(tmp_path, folders.SAMPLE)
    expected = [Reason.LIMIT_EXCEEDED] if exceeded else []
    assert [finding.reason for finding in walk(tmp_path, limits).findings] == expected


def test_a_sparse_giant_is_over_the_limit_before_anything_is_read(tmp_path: Path) -> None:
    with (tmp_path / "giant.bin").open("wb") as file:
        file.truncate(1 << 43)
    found = walk(tmp_path, Limits(bytes=1 << 40))
    assert [finding.reason for finding in found.findings] == [Reason.LIMIT_EXCEEDED]


def test_very_many_findings_are_capped(tmp_path: Path) -> None:
    for number in range(1100):
        (tmp_path / f"link{number}").symlink_to("x")
    assert len(walk(tmp_path).findings) == 1000


def test_findings_are_capped_while_they_are_found(tmp_path: Path) -> None:
    for number in range(20_000):
        (tmp_path / f"link{number}").symlink_to("x")
    tracemalloc.start()
    try:
        assert len(walk(tmp_path).findings) == 1000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1024 * 1024


def test_names_are_bounded_together_however_few_entries_there_are(tmp_path: Path) -> None:
    # 200,000 entries whose names have 4096 bytes each would take gigabytes (A26).
    folders.write(tmp_path, {"a" * 100 + "/" + "b" * 100: b"", "c": b""})
    found = 100 + 201 + 1
    assert walk(tmp_path, Limits(name_characters=found)).findings == ()
    (finding,) = walk(tmp_path, Limits(name_characters=found - 1)).findings
    assert finding.reason is Reason.LIMIT_EXCEEDED
    assert finding.message == f"the names have more than {found - 1} characters together"


def test_a_linked_folder_is_refused_and_the_real_one_named(tmp_path: Path) -> None:
    folders.write(tmp_path / "v1", folders.SAMPLE)
    (tmp_path / "current").symlink_to("v1")
    with pytest.raises(UnsafeEntry) as refusal:
        CheckpointFolder(tmp_path / "current")
    assert str(tmp_path / "v1") in refusal.value.hint


@pytest.mark.parametrize("depth", [0, 1, 2], ids=["the first", "one between", "the last"])
@pytest.mark.parametrize("target", ["elsewhere", "/", ".."], ids=["beside", "outside", "above"])
def test_no_component_on_the_way_to_a_folder_may_be_a_link(
    depth: int, target: str, tmp_path: Path
) -> None:
    folders.write(tmp_path / "a/b/c", folders.SAMPLE)
    with CheckpointFolder(tmp_path, "a/b/c") as folder:
        assert folder.read("weights.bin", max_bytes=1 << 20) == folders.SAMPLE["weights.bin"]
    turned = tmp_path.joinpath(*"abc"[: depth + 1])
    turned.rename(turned.with_name("elsewhere"))
    turned.symlink_to(target)
    with pytest.raises(UnsafeEntry) as refusal:
        CheckpointFolder(tmp_path, "a/b/c")
    assert str(turned) in refusal.value.message
    turned.unlink()
    turned.with_name("elsewhere").rename(turned)
    with CheckpointFolder(tmp_path, "a/b/c"):
        pass


@pytest.mark.parametrize(
    ("mode", "found"), [pytest.param(0o711, 4, id="pass"), pytest.param(0o700, "denied", id="not")]
)
def test_who_may_not_list_a_folder_may_pass_it(mode: int, found: object) -> None:
    # Not in pytest's folder, which is open to its user alone.
    with tempfile.TemporaryDirectory() as name:
        volume = Path(name)
        folders.write(volume / "a/b", folders.SAMPLE)
        volume.chmod(0o711)
        (volume / "a").chmod(mode)
        (volume / "a/b").chmod(0o755)

        def listed() -> object:
            try:
                with CheckpointFolder(volume, "a/b") as folder:
                    return len(folder.walk(Limits()).files)
            except Unreadable as error:
                return error.message.split()[-1]

        assert folders.unprivileged(listed) == found


@pytest.mark.parametrize("name", ["file", "nothing"])
def test_what_is_no_folder_is_unreadable(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(Unreadable):
        CheckpointFolder(tmp_path / name)
    with pytest.raises(Unreadable):
        CheckpointFolder(tmp_path, name)
    with pytest.raises(Unreadable):
        CheckpointFolder(tmp_path, f"{name}/below")
