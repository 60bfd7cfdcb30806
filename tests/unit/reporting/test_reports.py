"""Reports: short enough whatever happened, strict enough for whoever reads them."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.unit.policy.builders import PQ, PQ_TOO, policy
from tests.unit.verdict.facts import MODEL, ROOT

from weightlock.errors import Malformed, NewerDocument
from weightlock.formats.shards import Shard
from weightlock.policy.composition import Composition
from weightlock.reasons import Reason, Verdict
from weightlock.reporting import (
    MAX_REPORT_BYTES,
    Report,
    ReportedSignature,
    evidence_of,
    merged,
    parse_report,
    report_json,
)
from weightlock.verdict.judge import judge

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
SIGNATURE = ReportedSignature(PQ.algorithm, PQ.keyid, valid=True, trusted=True, listed=True)
REPORT = Report(
    nonce="n-1",
    reason=Reason.VERIFIED,
    message="content and signatures are as signed by key-1",
    hint="",
    model=MODEL,
    digest=ROOT,
    signatures=(SIGNATURE,),
    payload="cd" * 32,
    shard=None,
    files=4,
    bytes=140_000_000_000,
    milliseconds=4000,
    device="NVIDIA H100 80GB HBM3",
    started_at=NOW,
    version="0.1.0",
)
FAILED = replace(
    REPORT, reason=Reason.CONTENT_MISMATCH, message="weights.bin differs", hint="restore it"
)
ERROR = replace(REPORT, reason=Reason.UNREADABLE, message="no", signatures=(), digest=None)
UNTRUSTED = ReportedSignature(None, "77" * 32, valid=None, trusted=False, listed=False)


@pytest.mark.parametrize(
    "report",
    [
        pytest.param(REPORT, id="verified"),
        pytest.param(FAILED, id="failed"),
        pytest.param(replace(ERROR, model=None, payload=None), id="error"),
        pytest.param(replace(REPORT, shard=Shard(1, 3)), id="a shard"),
        pytest.param(replace(FAILED, signatures=(SIGNATURE, UNTRUSTED)), id="untrusted"),
        pytest.param(
            replace(REPORT, reason=Reason.CLASSICAL_ONLY, tree="", model=None), id="an OMS bundle"
        ),
    ],
)
def test_what_is_written_is_read(report: Report) -> None:
    assert parse_report(report_json(report)) == report


def test_speed_is_what_was_read_in_the_time() -> None:
    assert (REPORT.seconds, REPORT.gbps) == (4.0, 35.0)
    assert replace(REPORT, milliseconds=0).gbps == 0.0


@pytest.mark.parametrize("filler", ["x", "\u00e9", "\U0001f600", "\x07", "\udc80", '"', "\\"])
def test_the_longest_report_still_fits(filler: str) -> None:
    longest = replace(
        FAILED,
        nonce="n" * 128,
        message=filler * 5000,
        hint=filler * 5000,
        model=replace(MODEL, name="m" * 253, version=2**63 - 1),
        signatures=tuple(
            ReportedSignature(
                PQ.algorithm, f"{number:064x}", valid=False, trusted=False, listed=False
            )
            for number in range(16)
        ),
        shard=Shard(9998, 9999),
        files=2**63 - 1,
        bytes=2**63 - 1,
        milliseconds=2**63 - 1,
        device="d" * 100,
        version="1" * 40,
    )
    data = report_json(longest)
    assert len(data) <= MAX_REPORT_BYTES
    read = parse_report(data)
    assert replace(read, message="", hint="") == replace(longest, message="", hint="")
    assert len(read.message) > 50


@pytest.mark.parametrize(
    ("schema", "error"),
    [
        pytest.param("weightlock.dev/report/v2", NewerDocument, id="newer"),
        pytest.param("weightlock.dev/request/v2", Malformed, id="another document"),
        pytest.param("report", Malformed, id="nothing of ours"),
    ],
)
def test_a_newer_report_is_told_apart(schema: str, error: type[Malformed]) -> None:
    with pytest.raises(Malformed) as raised:
        parse_report(changed(schema=schema))
    assert type(raised.value) is error


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"verdict": "Failed"}, id="verdict and reason disagree"),
        pytest.param({"reason": "Fine"}, id="an unknown reason"),
        pytest.param({"verdict": "Stale", "reason": "SealBroken"}, id="no verification ends so"),
        pytest.param({"digest": None}, id="verified without a digest"),
        pytest.param({"manifest": None}, id="verified without a payload"),
        pytest.param({"manifest": "ab"}, id="a short payload hash"),
        pytest.param({"signatures": []}, id="verified without a signature"),
        pytest.param({"nonce": ""}, id="no nonce"),
        pytest.param({"files": -1}, id="fewer than no files"),
        pytest.param({"files": True}, id="a boolean for a number"),
        pytest.param({"milliseconds": 1.5}, id="a fraction"),
        pytest.param({"device": ""}, id="no device"),
        pytest.param({"device": "a\nb"}, id="two lines of device"),
        pytest.param({"version": "a b"}, id="a version with a blank"),
        pytest.param({"startedAt": "2026-11-21T12:00:00+01:00"}, id="another time zone"),
        pytest.param({"model": {"name": "/", "version": 1}}, id="an impossible model"),
        pytest.param({"shard": {"index": 0}}, id="half a shard"),
        pytest.param({"surprise": 1}, id="an unknown field"),
    ],
)
def test_whatever_else_is_malformed(fields: dict[str, object]) -> None:
    with pytest.raises(Malformed):
        parse_report(changed(**fields))


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"valid": True, "trusted": False}, id="valid under no trusted key"),
        pytest.param({"valid": True, "algorithm": None}, id="valid under no algorithm"),
        pytest.param({"keyid": "AB" * 32}, id="upper case"),
        pytest.param({"algorithm": "RSA"}, id="an unknown algorithm"),
        pytest.param({"valid": 1}, id="a number for a boolean"),
        pytest.param({"x": 1}, id="an unknown field"),
    ],
)
def test_a_signature_that_cannot_be_is_malformed(fields: dict[str, object]) -> None:
    signature = json.loads(report_json(REPORT))["signatures"][0]
    with pytest.raises(Malformed):
        parse_report(changed(signatures=[signature | fields]))


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[]", b"null", b"Killed", b"\xff", b'{"schema":"weightlock.dev/report/v1"}'],
)
def test_what_is_no_report_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        parse_report(data)


def test_half_a_report_is_malformed() -> None:
    data = report_json(REPORT)
    for end in range(0, len(data), 7):
        with pytest.raises(Malformed):
            parse_report(data[:end])


def test_more_than_a_termination_message_is_not_parsed() -> None:
    with pytest.raises(Malformed, match="at most"):
        parse_report(b" " * (MAX_REPORT_BYTES + 1))


def test_seventeen_signatures_are_refused() -> None:
    with pytest.raises(Malformed, match="17"):
        replace(FAILED, signatures=(UNTRUSTED,) * 17)


def test_counts_are_counts() -> None:
    with pytest.raises(Malformed, match="out of range"):
        replace(REPORT, files=2**63)


def test_another_tree_is_refused() -> None:
    with pytest.raises(Malformed, match="tree"):
        replace(REPORT, tree="merkle")


SHARDS = tuple(
    replace(REPORT, shard=Shard(index, 3), bytes=index + 1, milliseconds=100 * index)
    for index in range(3)
)


def test_all_shards_together_are_one_report() -> None:
    whole = merged(SHARDS)
    assert whole == replace(REPORT, bytes=6, milliseconds=200)
    assert merged(SHARDS[::-1]) == whole


def test_a_single_report_is_itself() -> None:
    assert merged([REPORT]) == REPORT


@pytest.mark.parametrize(
    "reports",
    [
        pytest.param([], id="none"),
        pytest.param(SHARDS[:2], id="the last is missing"),
        pytest.param(SHARDS[1:], id="the first is missing"),
        pytest.param([*SHARDS, SHARDS[2]], id="one twice"),
        pytest.param([SHARDS[0], SHARDS[0], SHARDS[2]], id="one instead of another"),
        pytest.param([REPORT, REPORT], id="two whole ones"),
        pytest.param([*SHARDS[:2], replace(REPORT, shard=Shard(2, 4))], id="of another count"),
        pytest.param([*SHARDS[:2], replace(SHARDS[2], nonce="n-2")], id="another request"),
        pytest.param([*SHARDS[:2], replace(SHARDS[2], payload="ef" * 32)], id="another manifest"),
        pytest.param(
            [*SHARDS[:2], replace(SHARDS[2], signatures=(SIGNATURE, UNTRUSTED))],
            id="other signatures",
        ),
    ],
)
def test_shards_that_do_not_fit_together_are_no_report(reports: list[Report]) -> None:
    with pytest.raises(Malformed):
        merged(reports)


def test_one_bad_shard_makes_all_bad_and_bad_content_outweighs_trouble() -> None:
    bad = replace(FAILED, shard=Shard(2, 3))
    trouble = replace(ERROR, shard=Shard(1, 3))
    assert merged([SHARDS[0], SHARDS[1], bad]).reason is Reason.CONTENT_MISMATCH
    assert merged([SHARDS[0], trouble, SHARDS[2]]).reason is Reason.UNREADABLE
    assert merged([SHARDS[0], trouble, bad]).reason is Reason.CONTENT_MISMATCH


def test_a_verified_report_is_judged_under_the_policies_of_its_reader() -> None:
    requirements = Composition.of([policy("p")]).requirements
    assert judge(evidence_of(REPORT), requirements, NOW).verdict is Verdict.VERIFIED
    stranger = replace(SIGNATURE, keyid=PQ_TOO.keyid, algorithm=PQ_TOO.algorithm)
    judged = judge(evidence_of(replace(REPORT, signatures=(stranger,))), requirements, NOW)
    assert judged.reason is Reason.SIGNER_UNTRUSTED


@pytest.mark.parametrize("report", [FAILED, replace(FAILED, reason=Reason.SIGNER_MISSING), ERROR])
def test_what_was_not_good_never_becomes_good(report: Report) -> None:
    requirements = Composition.of([policy("p")]).requirements
    judged = judge(evidence_of(report), requirements, NOW)
    assert (judged.reason, judged.admits) == (report.reason, False)


def test_one_shard_of_several_is_no_evidence() -> None:
    with pytest.raises(Malformed, match="shard 0/3"):
        evidence_of(SHARDS[0])


def changed(**fields: object) -> bytes:
    return json.dumps(json.loads(report_json(REPORT)) | fields).encode()
