"""The parts of the native provider that need no root."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cluster.recording import Recorded

from e2e.cluster.errors import CannotRun
from e2e.cluster.native import cgroups, node_files
from e2e.cluster.native.folders import Folders
from e2e.cluster.native.roots import debian_sources, in_root, read_list
from e2e.cluster.pki import KeyPair

FOLDERS = Folders(Path("/state/demo"))


def test_sources_come_from_what_the_machine_already_uses() -> None:
    targets = (
        "Packages|Debian|bookworm|http://debian.test/debian/|main\n"
        "Sources|Debian|bookworm|http://debian.test/debian/|main\n"
        "Packages|Debian|bookworm-security|http://debian.test/security/|main\n"
        "Packages|Debian|trixie|http://debian.test/debian/|main\n"
        "Packages|Somebody|bookworm|http://somebody.test/|main\n"
    )
    sources = debian_sources(Recorded({"apt-get indextargets": targets}), None)
    words = [line.split() for line in sources.splitlines()]
    assert [(line[0], *line[2:]) for line in words] == [
        ("deb", "http://debian.test/debian/", "bookworm", "main"),
        ("deb-src", "http://debian.test/debian/", "bookworm", "main"),
        ("deb", "http://debian.test/security/", "bookworm-security", "main"),
        ("deb-src", "http://debian.test/security/", "bookworm-security", "main"),
    ]


def test_every_source_is_held_to_the_archive_keyring() -> None:
    sources = debian_sources(Recorded({}), "http://mirror.test/debian")
    assert all("[signed-by=/usr/share/keyrings/debian-" in line for line in sources.splitlines())


def test_a_machine_whose_apt_knows_no_debian_is_told_what_to_do() -> None:
    with pytest.raises(CannotRun, match="WEIGHTLOCK_DEBIAN_MIRROR"):
        debian_sources(Recorded({"apt-get": "Packages|Ubuntu|noble|http://u.test/|main\n"}), None)


def test_a_build_runs_in_namespaces_that_end_with_it() -> None:
    argv = in_root(Path("/root/of/build"), ["bash", "/build.sh"])
    assert argv[0] == "unshare"
    assert {"--mount", "--pid", "--kill-child"} <= set(argv)


def test_a_list_file_holds_one_word_a_line_and_comments(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text("# why\nfirst\n\nsecond # because\n")
    assert read_list(path) == ["first", "second"]


@pytest.mark.parametrize("version", ["one", "two"])
def test_control_groups_are_removed_with_all_below_them(tmp_path: Path, version: str) -> None:
    if version == "two":
        (tmp_path / "cgroup.controllers").touch()
    hierarchies = [tmp_path] if version == "two" else [tmp_path / "cpu", tmp_path / "memory"]
    for hierarchy in hierarchies:
        hierarchy.mkdir(exist_ok=True)
    cgroups.create("/demo", tmp_path)
    for hierarchy in hierarchies:
        (hierarchy / "demo" / "kubepods" / "pod1").mkdir(parents=True)
        (hierarchy / "other").mkdir()
    cgroups.remove("/demo", tmp_path)
    cgroups.remove("/demo", tmp_path)  # again: nothing to do
    for hierarchy in hierarchies:
        assert not (hierarchy / "demo").exists()
        assert (hierarchy / "other").is_dir()


def test_the_kubelet_writes_no_kernel_setting_and_reads_only_ours() -> None:
    pair = KeyPair(Path("/k.crt"), Path("/k.key"))
    config = json.loads(node_files.kubelet_config(FOLDERS, Path("/ca.crt"), pair))
    assert config["protectKernelDefaults"] is True
    assert config["cgroupRoot"] == "/weightlock-demo"
    assert config["authentication"]["anonymous"]["enabled"] is False


def test_containerd_works_without_the_capability_to_lower_scores() -> None:
    assert "restrict_oom_score_adj = true" in node_files.containerd_config(FOLDERS)


def test_everything_of_a_cluster_lies_in_its_folder() -> None:
    paths = (FOLDERS.kubeconfig, FOLDERS.logs, FOLDERS.pki, FOLDERS.control, FOLDERS.volumes)
    assert all(path.is_relative_to(FOLDERS.state) for path in paths)
