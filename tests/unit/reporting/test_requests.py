"""Requests: what the operator writes, the verifier reads, whatever the number of keys."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.unit.policy.builders import (
    EC,
    HASH_BASED,
    PQ,
    PQ_TOO,
    authority,
    key,
    policy,
    signatures,
)

from weightlock.algorithms import ML_DSA_65, ML_DSA_87
from weightlock.digests import HashAlgorithm
from weightlock.errors import LimitExceeded, Malformed, NewerDocument
from weightlock.formats.shards import Shard
from weightlock.policy.requirements import SignatureRequirements
from weightlock.reporting import (
    EngineName,
    Gate,
    ReadingLimits,
    Request,
    parse_request,
    request_arguments,
    request_json,
)
from weightlock.reporting.request import MAX_PIECE_CHARACTERS, MAX_REQUEST_CHARACTERS

LIMITS = ReadingLimits(200_000, 20 << 40)
REQUEST = Request("n-1", LIMITS, (PQ, EC))
STRICT = SignatureRequirements.of_policy(
    policy(
        "strict",
        signatures=signatures(
            authority(
                "release",
                PQ,
                notBefore="2026-01-01T00:00:00Z",
                notAfter="2028-01-01T00:00:00Z",
                models=["llama-*"],
            ),
            authority("archive", HASH_BASED),
            classical={"action": "Warn", "sunset": "2027-01-01T00:00:00Z"},
        ),
        digests={"allowed": ["sha512", "sha256"]},
        denied={"digests": ["sha256:" + "ab" * 32], "keyids": [PQ_TOO.keyid]},
        rollback={"floors": [{"models": ["llama-*", "x"], "version": 8}]},
    )
)
GATED = Request("n-2", LIMITS, gate=Gate((STRICT,), "llama-70b", 7))


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(REQUEST, id="two keys"),
        pytest.param(replace(REQUEST, shard=Shard(3, 8)), id="a shard"),
        pytest.param(replace(REQUEST, engine=EngineName.CUDA), id="an engine"),
        pytest.param(replace(REQUEST, recognise_classical=False), id="no classical"),
        pytest.param(replace(REQUEST, allowed_hashes=frozenset({HashAlgorithm.SHA512})), id="hash"),
        pytest.param(GATED, id="a gate"),
        pytest.param(replace(GATED, gate=Gate((STRICT, STRICT))), id="a gate for any model"),
        pytest.param(
            replace(GATED, gate=Gate((SignatureRequirements.of_keys([PQ]),))), id="plain keys"
        ),
    ],
)
def test_what_is_written_is_read(request_: Request) -> None:
    assert parse_request(request_json(request_)) == request_


def test_two_hundred_keys_pass_a_command_line_in_pieces_that_linux_takes() -> None:
    keys = tuple(key(f"k{number}", ML_DSA_87) for number in range(200))
    request = replace(REQUEST, trust=keys)
    pieces = request_arguments(request)
    assert len(pieces) > 1
    assert all(len(piece) < 128 * 1024 for piece in pieces)
    assert parse_request("".join(piece.removeprefix("--request=") for piece in pieces)) == request


def test_a_short_request_is_one_argument() -> None:
    (piece,) = request_arguments(REQUEST)
    assert len(piece) < MAX_PIECE_CHARACTERS


def test_more_keys_than_arguments_can_hold_are_refused_before_a_job_fails_to_start() -> None:
    keys = tuple(key(f"k{number}", ML_DSA_87) for number in range(400))
    with pytest.raises(LimitExceeded, match="characters"):
        request_json(replace(REQUEST, trust=keys))


def test_kubernetes_finds_nothing_to_expand() -> None:
    origin = replace(STRICT, origin="ClusterModelPolicy $(HOSTNAME) \u00e9$$")
    request = replace(GATED, gate=Gate((origin,)))
    text = request_json(request)
    assert "$" not in text
    assert text.isascii()
    assert parse_request(text) == request


def test_a_gate_tries_the_keys_of_its_requirements() -> None:
    assert set(GATED.keys) == {PQ, HASH_BASED}
    assert REQUEST.keys == (PQ, EC)


def test_only_a_gate_expects_a_model() -> None:
    assert (GATED.expected.model_name, GATED.expected.version_floor) == ("llama-70b", 7)
    assert REQUEST.expected.model_name is None


@pytest.mark.parametrize(
    ("schema", "error"),
    [
        pytest.param("weightlock.dev/request/v2", NewerDocument, id="newer"),
        pytest.param("weightlock.dev/request/v10", NewerDocument, id="much newer"),
        pytest.param("weightlock.dev/report/v2", Malformed, id="another document"),
        pytest.param("weightlock.dev/request/v0", Malformed, id="no version"),
        pytest.param("weightlock.dev/request/v1 ", Malformed, id="nearly"),
        pytest.param(1, Malformed, id="a number"),
        pytest.param(None, Malformed, id="null"),
    ],
)
def test_another_schema_is_refused_and_a_newer_one_is_called_so(
    schema: object, error: type[Malformed]
) -> None:
    with pytest.raises(Malformed) as raised:
        parse_request(changed(schema=schema))
    assert type(raised.value) is error
    assert ("newer" in str(raised.value)) == (error is NewerDocument)


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({"nonce": ""}, id="no nonce"),
        pytest.param({"nonce": "a b"}, id="a nonce with a blank"),
        pytest.param({"nonce": "x" * 129}, id="a long nonce"),
        pytest.param({"trust": []}, id="nobody trusted"),
        pytest.param({"trust": [{"algorithm": "ML-DSA-65"}]}, id="no key"),
        pytest.param({"trust": [{"algorithm": "ML-DSA-65", "publicKey": "AAAA"}]}, id="no DER"),
        pytest.param({"limits": {"maxFiles": 0, "maxBytes": 1}}, id="no file allowed"),
        pytest.param({"limits": {"maxFiles": 1}}, id="a limit missing"),
        pytest.param({"limits": {"maxFiles": 1, "maxBytes": 1, "more": 1}}, id="a limit more"),
        pytest.param({"classical": {"recognise": "true"}}, id="a text for a boolean"),
        pytest.param({"classical": {}}, id="classical unsaid"),
        pytest.param({"allowedHashes": []}, id="no hash"),
        pytest.param({"allowedHashes": ["md5"]}, id="an unknown hash"),
        pytest.param({"shard": {"index": 2, "count": 2}}, id="a shard beyond the last"),
        pytest.param({"shard": {"index": 0, "count": 0}}, id="no shards"),
        pytest.param({"shard": {"index": 0, "count": 2, "x": 1}}, id="a shard with more"),
        pytest.param({"engine": "tpu"}, id="an unknown engine"),
        pytest.param({"gate": {"requirements": []}}, id="an empty gate"),
        pytest.param({"surprise": 1}, id="an unknown field"),
    ],
)
def test_whatever_else_is_malformed(document: dict[str, object]) -> None:
    with pytest.raises(Malformed):
        parse_request(changed(**document))


def test_a_key_under_another_algorithm_is_refused() -> None:
    document = json.loads(request_json(REQUEST))
    document["trust"][0]["algorithm"] = ML_DSA_87.name
    with pytest.raises(Malformed, match=f"a key of {ML_DSA_65}"):
        parse_request(json.dumps(document))


def test_a_key_counts_once() -> None:
    with pytest.raises(Malformed, match="twice"):
        replace(REQUEST, trust=(PQ, PQ))


def test_keys_and_a_gate_together_say_two_things() -> None:
    with pytest.raises(Malformed, match="or a gate"):
        replace(GATED, trust=(PQ,))


def test_a_gate_never_judges_a_share() -> None:
    with pytest.raises(Malformed, match="whole"):
        replace(GATED, shard=Shard(0, 2))


def test_a_gate_without_requirements_is_refused() -> None:
    with pytest.raises(Malformed, match="let everything in"):
        Gate(())


def test_an_impossible_floor_is_refused() -> None:
    with pytest.raises(Malformed, match="floor"):
        Gate((STRICT,), version_floor=-1)


def test_a_request_that_is_no_ascii_is_refused() -> None:
    with pytest.raises(Malformed, match="ASCII"):
        parse_request(request_json(REQUEST).replace("n-1", "n\u00e9"))


def test_a_request_longer_than_any_is_not_parsed() -> None:
    with pytest.raises(Malformed, match="at most"):
        parse_request(" " * (MAX_REQUEST_CHARACTERS + 1))


def gate_document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(request_json(GATED))
    return document


@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param("origin", "", id="nobody demands it"),
        pytest.param("origin", "x" * 1025, id="a long name"),
        pytest.param("digests", {}, id="hashes unsaid"),
        pytest.param("signatures", {"authorities": [], "rules": []}, id="no authority"),
        pytest.param("surprise", 1, id="an unknown field"),
        pytest.param("denied", {"keyids": ["x"]}, id="no keyid"),
    ],
)
def test_requirements_are_read_as_strictly_as_policies(field: str, value: object) -> None:
    document = gate_document()
    document["gate"]["requirements"][0][field] = value
    with pytest.raises(Malformed, match=r"gate\.requirements\[0\]"):
        parse_request(json.dumps(document))


@pytest.mark.parametrize("name", ["", "/", "a b"])
def test_a_gate_for_an_impossible_model_is_refused(name: str) -> None:
    document = gate_document()
    document["gate"]["modelName"] = name
    with pytest.raises(Malformed):
        parse_request(json.dumps(document))


def test_instants_keep_their_fractions() -> None:
    instant = datetime(2027, 1, 1, 0, 0, 0, 250_000, tzinfo=UTC)
    authority_ = replace(STRICT.signatures.authorities[0], not_after=instant)
    found = replace(STRICT.signatures, authorities=(authority_, *STRICT.signatures.authorities[1:]))
    request = replace(GATED, gate=Gate((replace(STRICT, signatures=found),)))
    assert parse_request(request_json(request)) == request


def changed(**fields: object) -> str:
    return json.dumps(json.loads(request_json(REQUEST)) | fields)
