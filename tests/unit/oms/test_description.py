"""What `inspect` shows of a bundle."""

import pytest
from tests.unit.oms import authority, forge
from tests.unit.oms.forge import Signer

from weightlock.errors import Malformed
from weightlock.oms import bundle
from weightlock.oms.description import Description, described

SIGNER = Signer.new()


def description(document: forge.Json, material: forge.Json | None = None) -> Description:
    return described(bundle.parse(forge.signed(document, SIGNER, material)))


def test_a_bundle_of_the_key_form_shows_its_hint_and_files() -> None:
    found = description(forge.files_statement())
    assert (found.kind, found.family) == ("OpenSSF Model Signing bundle", "classical")
    assert found.version.startswith("signature/v1.0")
    assert (found.model, found.serialization, found.hash) == ("model", "files", "sha256")
    assert (found.signer.method, found.signer.hint) == ("key", SIGNER.hint)
    assert (found.files, found.size) == (tuple(forge.MODEL), None)


def test_shards_and_ignored_paths_are_shown() -> None:
    document = forge.shards_statement()
    document["predicate"]["serialization"]["ignore_paths"] = [".git"]
    found = description(document)
    assert (found.serialization, found.size, found.ignored_paths) == ("shards", 2502, (".git",))


def test_the_first_version_is_called_so() -> None:
    assert "0.2" in description(forge.legacy_statement()).version


def test_a_certificate_is_shown_with_its_names_and_validity() -> None:
    leaf = authority.leaf(authority.root(), SIGNER.point)
    signer = description(forge.files_statement(), forge.chained(leaf)).signer
    assert (signer.method, signer.subject, signer.issuer) == ("certificate", "CN=signer", "CN=root")
    assert (signer.algorithm, signer.keyid) == ("ECDSA-P256-SHA256", SIGNER.public_key.keyid)
    assert (signer.not_before, signer.not_after) == ("2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z")


def test_what_the_writer_chose_is_escaped() -> None:
    document = forge.files_statement()
    document["subject"][0]["name"] = "\x1b[2J"
    found = description(document, {"publicKey": {"hint": "\x1b[2J"}})
    assert (found.model, found.signer.hint) == (r"\x1b[2J", r"\x1b[2J")


def test_a_certificate_that_is_none_is_malformed() -> None:
    material = {"certificate": {"rawBytes": "AAAA"}, "tlogEntries": [{}]}
    with pytest.raises(Malformed):
        description(forge.files_statement(), material)
