"""The two ways to build the images say the same, and the archive is what loaders expect."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest

from e2e.cluster.native.roots import SUITE
from e2e.images.archive import Image, image_sizes, write_archive
from e2e.images.debian import pack
from e2e.images.product import ENVIRONMENT, INSTALL, PRODUCTS, ROOT, USER, Product

MOST_NOT_COMPILED = 5
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def stages() -> dict[str, list[str]]:
    """Each stage's instructions by its name, continuation lines joined, comments gone."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE).replace("\\\n", " ")
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in filter(None, text.splitlines()):
        if match := re.fullmatch(r"FROM \S+ AS (\S+)", line):
            current = found.setdefault(match[1], [])
        else:
            current.append(" ".join(line.split()))
    return found


@pytest.mark.parametrize("product", PRODUCTS, ids=lambda product: product.target)
def test_each_image_starts_the_same_program(product: Product) -> None:
    assert f"ENTRYPOINT {json.dumps(product.entrypoint)}" in stages()[product.target]


@pytest.mark.parametrize("target", ["operator", "webhook", "verifier", "verifier-cpu"])
def test_each_target_installs_its_own_lock_with_the_shared_script(target: str) -> None:
    dependencies = f"sh install.sh dependencies image-{target}.lock"
    install = f"RUN {dependencies} && sh install.sh product weightlock-*.whl"
    assert stages()[f"build-{target}"] == [install]
    assert f"COPY --from=build-{target} /opt/weightlock /opt/weightlock" in stages()[target]
    assert (ROOT / "requirements" / f"image-{target}.lock").is_file()


def test_the_base_has_the_shared_packages_user_and_environment() -> None:
    base = stages()["base"]
    assert "COPY images/base.packages /tmp/packages" in base
    assert f"USER {USER}" in base
    assert {f"ENV {name}={value}" for name, value in ENVIRONMENT.items()} <= set(base)


def test_the_build_stage_has_the_shared_packages_and_files() -> None:
    build = stages()["build"]
    assert "COPY images/build.packages /tmp/packages" in build
    copied = "COPY images/install.sh dist/weightlock-*.whl requirements/image-*.lock /build/"
    assert copied in build


def test_no_package_is_named_outside_the_shared_lists() -> None:
    installs = re.findall(r"apt-get install[^\n&|\\]*", DOCKERFILE)
    assert installs
    assert all(words.split()[2:] == ["--yes", "--no-install-recommends"] for words in installs)


@pytest.mark.parametrize("lock", sorted((ROOT / "requirements").glob("*.lock")), ids=str)
def test_every_requirement_of_a_lock_has_one_version_and_its_hashes(lock: Path) -> None:
    lines = lock.read_text().replace("\\\n", " ").splitlines()
    requirements = [line for line in lines if not line.lstrip().startswith("#")]
    pinned = re.compile(
        r"[a-z0-9-]+(\[[a-z,]+\])?==[^ ]+( ;[^\\]+?)?( +--hash=sha256:[0-9a-f]{64})+"
    )
    assert [line for line in requirements if not pinned.fullmatch(line)] == []


@pytest.mark.parametrize("lock", sorted((ROOT / "requirements").glob("image-*.lock")), ids=str)
def test_the_images_locks_name_no_registry(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    assert "--index" not in text


@pytest.mark.parametrize(
    ("target", "extras"),
    [
        ("operator", ["operator"]),
        ("webhook", ["webhook"]),
        ("verifier-cpu", []),
        ("verifier", ["cuda"]),
    ],
)
def test_each_lock_holds_what_the_project_declares(target: str, extras: list[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = list(project["dependencies"])
    for extra in extras:
        declared += project["optional-dependencies"][extra]
    lock = (ROOT / "requirements" / f"image-{target}.lock").read_text()
    locked = set(re.findall(r"^([a-z0-9][a-z0-9._-]*)==", lock, flags=re.MULTILINE))
    wanted = {re.split(r"[\s<>=!~;\[]", requirement.lower())[0] for requirement in declared}
    assert wanted <= locked


def test_both_builds_start_from_the_same_debian() -> None:
    assert f"ARG BASE=debian:{SUITE}-slim\n\nFROM ${{BASE}} AS base\n" in DOCKERFILE


@pytest.mark.parametrize("target", ["operator", "webhook", "verifier", "verifier-cpu"])
def test_each_image_says_what_it_is(target: str) -> None:
    assert f"FROM labelled AS {target}\n" in DOCKERFILE
    (label,) = stages()["labelled"][2:]
    keys = set(re.findall(r"org\.opencontainers\.image\.(\w+)=", label))
    assert keys == {"title", "url", "licenses", "version", "revision"}
    (about,) = [line for line in stages()[target] if line.startswith("LABEL")]
    assert about.startswith("LABEL org.opencontainers.image.description=")


def test_what_is_fetched_from_elsewhere_has_a_checksum() -> None:
    added = [line for lines in stages().values() for line in lines if line.startswith("ADD")]
    assert added
    assert all(re.match(r"ADD --checksum=sha256:[0-9a-f]{64} https://", line) for line in added)


@pytest.mark.parametrize("target", ["operator", "webhook", "verifier", "verifier-cpu"])
def test_liboqs_is_where_signatures_are_checked_and_nowhere_else(target: str) -> None:
    copied = "COPY --from=build-liboqs /opt/liboqs /opt/liboqs" in stages()[target]
    assert copied == target.startswith("verifier")
    assert ("ENV OQS_INSTALL_PATH=/opt/liboqs" in stages()[target]) == copied


def test_no_image_has_a_health_check_of_its_own() -> None:
    assert "HEALTHCHECK" not in DOCKERFILE  # probes are Kubernetes' business


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "opt" / "weightlock").mkdir(parents=True)
    (root / "opt" / "weightlock" / "file").write_text("content")
    (root / "build").mkdir()
    path = tmp_path / "layer"
    pack(root, path, ["opt/weightlock"])
    return path


def test_a_layer_holds_one_folder_and_its_parents(layer: Path) -> None:
    with tarfile.open(layer) as archive:
        names = archive.getnames()
    assert names == ["opt", "opt/weightlock", "opt/weightlock/file"]


def test_every_blob_of_an_archive_is_named_by_its_content(layer: Path, tmp_path: Path) -> None:
    archive = tmp_path / "images.tar"
    write_archive(archive, [Image("test/one:1", [layer], ["/bin/one"])], "x86_64")
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            if member.name.startswith("blobs/sha256/"):
                blob = tar.extractfile(member)
                assert blob
                assert hashlib.sha256(blob.read()).hexdigest() == member.name.rsplit("/", 1)[1]


def test_an_image_is_known_by_tag_and_by_digest(layer: Path, tmp_path: Path) -> None:
    archive = tmp_path / "images.tar"
    image = Image("test/one:1", [layer], ["/bin/one"])
    digest = write_archive(archive, [image], "x86_64")["test/one:1"]
    with tarfile.open(archive) as tar:
        index = json.load(tar.extractfile("index.json") or pytest.fail("no index"))
    names = [entry["annotations"]["io.containerd.image.name"] for entry in index["manifests"]]
    assert names == ["test/one:1", f"test/one@{digest}"]


def test_an_images_size_is_that_of_its_layers(layer: Path, tmp_path: Path) -> None:
    images = [
        Image("test/one:1", [layer], ["/bin/one"]),
        Image("test/two:1", [layer, layer], ["/bin/two"]),
    ]
    write_archive(tmp_path / "images.tar", images, "x86_64")
    size = layer.stat().st_size
    assert image_sizes(tmp_path / "images.tar") == {"test/one:1": size, "test/two:1": 2 * size}


def test_the_operator_loads_next_to_nothing_of_the_kubernetes_client() -> None:
    """images/install.sh makes no byte code of these modules: they would be compiled at each start.

    And it removes `kubernetes.aio`, which nothing may import.
    """
    listing = (
        "import sys, weightlock_operator.__main__; "
        "print(*(name for name in sys.modules if name.startswith('kubernetes.')))"
    )
    said = subprocess.run(  # noqa: S603 our own words
        [sys.executable, "-c", listing], check=True, capture_output=True
    )
    loaded = said.stdout.decode().split()
    not_compiled = re.compile(r"kubernetes\.client\.(api|models)\.[a-z]")
    assert "-x 'site-packages/kubernetes/client/(api|models)/[a-z]'" in INSTALL.read_text()
    assert "kubernetes.client" in loaded
    assert len([name for name in loaded if not_compiled.match(name)]) <= MOST_NOT_COMPILED
    assert not [name for name in loaded if name.startswith("kubernetes.aio")]


def test_the_same_input_gives_the_same_archive(layer: Path, tmp_path: Path) -> None:
    images = [Image("test/one:1", [layer], ["/bin/one"])]
    for name in ("a.tar", "b.tar"):
        write_archive(tmp_path / name, images, "x86_64")
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
