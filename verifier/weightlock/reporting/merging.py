"""From reports to evidence: what the operator judges.

Each shard of a checkpoint looks at the same signatures and names, and hashes its own share. So all
of them must agree on everything but their share, and none may be missing: half of a checkpoint that
was compared is a checkpoint that was not.
"""

from collections.abc import Sequence
from dataclasses import replace

from weightlock.errors import Malformed
from weightlock.reasons import Verdict
from weightlock.reporting.report import Report
from weightlock.verdict.evidence import Evidence, Finding, SignatureFact, Signer


def merged(reports: Sequence[Report]) -> Report:
    """The one report that those of all shards together are; a single whole one is itself.

    Bad content in any shard is the answer; next comes trouble in any. The order of the reports
    never matters.

    Raises:
        Malformed: if shards are missing, there twice, or speak of different things.
    """
    ordered = sorted(reports, key=lambda report: report.shard.index if report.shard else 0)
    if not ordered:
        raise Malformed("there is no report")
    _check_complete(ordered)
    if len({report.nonce for report in ordered}) > 1:
        raise Malformed("the reports of the shards answer different requests")
    for verdict in (Verdict.FAILED, Verdict.ERROR):
        for report in ordered:
            if report.verdict is verdict:
                return replace(report, shard=None)
    if len({_signed(report) for report in ordered}) > 1:
        raise Malformed("the shards saw different signatures or manifests")
    return replace(
        ordered[0],
        shard=None,
        # Empty files have no segment, so every shard counts them; files of many segments too.
        files=max(report.files for report in ordered),
        bytes=sum(report.bytes for report in ordered),
        milliseconds=max(report.milliseconds for report in ordered),
        started_at=min(report.started_at for report in ordered),
    )


def evidence_of(report: Report) -> Evidence:
    """The facts of a whole report; whatever was not good is a finding, so it never becomes good.

    Raises:
        Malformed: for one shard of several.
    """
    if report.shard is not None and report.shard.count > 1:
        raise Malformed(f"shard {report.shard} alone says nothing about the checkpoint")
    facts = report.signatures
    return Evidence(
        signatures=tuple(
            SignatureFact(each.keyid, each.algorithm, each.valid, each.trusted) for each in facts
        ),
        signers=tuple(
            Signer(each.algorithm, each.keyid) for each in facts if each.listed and each.algorithm
        ),
        model=report.model,
        digest=report.digest,
        findings=() if report.is_good else (_finding(report),),
        content_compared=report.is_good,
    )


def _finding(report: Report) -> Finding:
    return Finding(report.reason, "", report.message, report.hint)


def _check_complete(ordered: Sequence[Report]) -> None:
    count = ordered[0].shard.count if ordered[0].shard else 1
    for number, report in enumerate(ordered):
        found = (report.shard.index, report.shard.count) if report.shard else (0, 1)
        if found != (number, count):
            raise Malformed(f"expected shard {number} of {count}, found {found[0]} of {found[1]}")
    if len(ordered) != count:
        raise Malformed(f"found {len(ordered)} of {count} shards")


def _signed(report: Report) -> object:
    """Everything that shards must agree on."""
    return (
        report.reason,
        report.model,
        report.tree,
        report.digest,
        report.payload,
        report.signatures,
        report.version,
    )
