"""What a verification is asked, and what it answers: the two documents that cross a Job.

The operator writes a request into the arguments of `weightlock report` and reads a report out of
its container's termination message. Both are versioned and parsed strictly; a report carries facts,
and whoever reads it judges them. The webhook writes requests too, for containers that verify before
a pod's own ones start (see weightlock.reporting.request.Gate).
"""

from weightlock.reporting.merging import evidence_of, merged
from weightlock.reporting.report import (
    MAX_REPORT_BYTES,
    Report,
    ReportedSignature,
    keyid_or_none,
    parse_report,
    report_json,
)
from weightlock.reporting.request import (
    EngineName,
    Gate,
    ReadingLimits,
    Request,
    parse_request,
    request_arguments,
    request_json,
)

__all__ = [
    "MAX_REPORT_BYTES",
    "EngineName",
    "Gate",
    "ReadingLimits",
    "Report",
    "ReportedSignature",
    "Request",
    "evidence_of",
    "keyid_or_none",
    "merged",
    "parse_report",
    "parse_request",
    "report_json",
    "request_arguments",
    "request_json",
]
