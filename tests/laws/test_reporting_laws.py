"""Laws of requests and reports: true of every input, not of examples."""

from dataclasses import replace
from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.policy.builders import EC, HASH_BASED, NOW, PQ, PQ_TOO
from tests.unit.verdict.facts import MODEL, ROOT
from tests.unit.verdict.strategies import evidences, some_policies

from weightlock.digests import HashAlgorithm
from weightlock.errors import Malformed
from weightlock.formats.shards import Shard
from weightlock.policy.composition import Composition
from weightlock.policy.objects import Policy
from weightlock.reasons import Reason, Verdict, verdict_of
from weightlock.reporting import (
    MAX_REPORT_BYTES,
    EngineName,
    Gate,
    ReadingLimits,
    Report,
    ReportedSignature,
    Request,
    evidence_of,
    merged,
    parse_report,
    parse_request,
    report_json,
    request_arguments,
    request_json,
)
from weightlock.reporting.report import GOOD
from weightlock.verdict.evidence import Evidence
from weightlock.verdict.judge import judge

nonces = st.text("aZ0._-", min_size=1, max_size=128)
counts = st.integers(0, 2**63 - 1)
limits = st.builds(ReadingLimits, st.integers(1, 10**8), st.integers(1, 2**63 - 1))
shards = st.integers(1, 10_000).flatmap(
    lambda count: st.builds(Shard, st.integers(0, count - 1), st.just(count))
)
texts = st.text(st.characters(), max_size=3000) | st.text(
    "x\n\udc80\u00e9\U0001f600", max_size=3000
)
endings = st.sampled_from(
    [reason for reason in Reason if verdict_of(reason) in GOOD | {Verdict.FAILED, Verdict.ERROR}]
)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    common = Request(
        draw(nonces),
        draw(limits),
        tuple(
            draw(st.lists(st.sampled_from([PQ, PQ_TOO, EC, HASH_BASED]), min_size=1, unique=True))
        ),
        draw(st.booleans()),
        draw(st.frozensets(st.sampled_from(HashAlgorithm), min_size=1)),
        engine=draw(st.sampled_from(EngineName)),
    )
    if draw(st.booleans()):
        return replace(common, shard=draw(st.none() | shards))
    gate = Gate(
        Composition.of(draw(some_policies())).requirements,
        draw(st.sampled_from([None, "llama-70b"])),
        draw(st.integers(0, 9)),
    )
    return replace(common, trust=(), gate=gate)


@st.composite
def signature(draw: st.DrawFn) -> ReportedSignature:
    key = draw(st.sampled_from([PQ, PQ_TOO, EC]))
    trusted = draw(st.booleans())
    return ReportedSignature(
        key.algorithm if trusted else draw(st.sampled_from([key.algorithm, None])),
        draw(st.sampled_from([key.keyid, "77" * 32])),
        draw(st.sampled_from([True, False, None])) if trusted else None,
        trusted,
        draw(st.booleans()),
    )


@st.composite
def reports(draw: st.DrawFn) -> Report:
    reason = draw(endings)
    found = draw(st.lists(signature(), max_size=16))
    if verdict_of(reason) in GOOD:
        found = [ReportedSignature(PQ.algorithm, PQ.keyid, True, True, True), *found[:15]]
    good = verdict_of(reason) in GOOD
    return Report(
        nonce=draw(nonces),
        reason=reason,
        message=draw(texts),
        hint=draw(texts),
        model=draw(st.sampled_from([MODEL, replace(MODEL, name="m" * 253), None])),
        digest=ROOT if good else draw(st.sampled_from([ROOT, None])),
        signatures=tuple(found),
        payload="cd" * 32 if good else draw(st.sampled_from(["cd" * 32, None])),
        shard=draw(st.none() | shards),
        files=draw(counts),
        bytes=draw(counts),
        milliseconds=draw(counts),
        device=draw(st.text("A 0(", min_size=1, max_size=100)),
        started_at=draw(st.datetimes(timezones=st.just(UTC))),
        version=draw(st.text("1.a+", min_size=1, max_size=40)),
    )


@given(requests())
def test_reading_what_was_written_gives_the_request(request: Request) -> None:
    assert parse_request(request_json(request)) == request
    pieces = request_arguments(request)
    assert parse_request("".join(piece.removeprefix("--request=") for piece in pieces)) == request


@given(reports())
def test_every_report_fits_and_keeps_all_but_the_ends_of_its_sentences(report: Report) -> None:
    data = report_json(report)
    assert len(data) <= MAX_REPORT_BYTES
    read = parse_report(data)
    assert replace(read, message="", hint="") == replace(report, message="", hint="")
    assert parse_report(report_json(read)) == read


@given(reports(), st.data())
def test_a_report_that_lost_or_changed_a_byte_never_becomes_better(
    report: Report, data: st.DataObject
) -> None:
    written = bytearray(report_json(report))
    at = data.draw(st.integers(0, len(written) - 1))
    written[at : at + 1] = data.draw(st.binary(max_size=2))
    try:
        read = parse_report(bytes(written))
    except Malformed:
        return
    assert read.is_good <= report.is_good


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_anything_else_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        parse_report(data)
    with pytest.raises(Malformed):
        parse_request(data.decode("latin-1"))


@given(st.lists(reports(), min_size=1, max_size=3))
def test_merged_shards_are_good_only_if_each_is_and_in_any_order(found: list[Report]) -> None:
    shards_ = [
        replace(each, nonce="n", shard=Shard(index, len(found))) for index, each in enumerate(found)
    ]
    answers: list[Report | None] = []
    for order in (shards_, shards_[::-1]):
        try:
            answers.append(merged(order))
        except Malformed:
            answers.append(None)
    assert answers[0] == answers[1]
    if answers[0] is not None and answers[0].is_good:
        assert all(each.is_good for each in found)


@given(evidences(), some_policies())
def test_judging_a_report_is_judging_what_was_found_or_stricter(
    evidence: Evidence, policies: list[Policy]
) -> None:
    """The way through the report never opens what the evidence itself would not."""
    requirements = Composition.of(policies).requirements
    direct = judge(evidence, requirements, NOW)
    listed = {signer.keyid for signer in evidence.signers}
    try:
        report = Report(
            nonce="n",
            reason=direct.reason,
            message=direct.message,
            hint="",
            model=evidence.model,
            digest=evidence.digest,
            signatures=tuple(
                ReportedSignature(
                    fact.algorithm, fact.keyid, fact.valid, fact.trusted, fact.keyid in listed
                )
                for fact in evidence.signatures
            ),
            payload="cd" * 32,
            shard=None,
            files=1,
            bytes=1,
            milliseconds=1,
            device="cpu",
            started_at=NOW,
            version="1",
        )
    except Malformed:
        return
    again = judge(evidence_of(parse_report(report_json(report))), requirements, NOW)
    assert again.admits <= direct.admits
    assert (again.verdict is Verdict.VERIFIED) <= (direct.verdict is Verdict.VERIFIED)
