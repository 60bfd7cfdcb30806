"""Workloads that will make pods: warnings only, since each pod is judged when it is made (B03)."""

import asyncio

from weightlock.errors import WeightlockError
from weightlock_webhook import documents
from weightlock_webhook.documents import Request
from weightlock_webhook.mounts.templates import PodTemplate, templates_of
from weightlock_webhook.responses import MOST_WARNINGS, Response, allowed
from weightlock_webhook.reviews.collaborators import PodJudge, PodQuestion

WARNED: str = "TemplateWarned"
UNOBJECTED: str = "TemplateUnobjected"


class WorkloadReviews:
    """Tells whoever applies a workload what will become of its pods."""

    def __init__(self, judge: PodJudge, exempt_namespaces: frozenset[str]) -> None:
        self._judge = judge
        self._exempt = exempt_namespaces

    async def warn(self, request: Request, deadline: float) -> Response:
        """Always allowed: refusing here would break controllers and protect nothing."""
        if request.namespace in self._exempt:
            return allowed(UNOBJECTED)
        try:
            async with asyncio.timeout_at(deadline):
                warnings = await self._warnings(request, deadline)
        except (WeightlockError, TimeoutError):
            warnings = ("its pod templates could not be looked at; its pods will be judged",)
        return allowed(WARNED if warnings else UNOBJECTED, warnings=warnings)

    async def _warnings(self, request: Request, deadline: float) -> tuple[str, ...]:
        workload = documents.decoded(request.object, documents.ANY_OBJECT, "workload")
        found: list[str] = []
        for template in templates_of(workload):
            await asyncio.sleep(0)  # others' pods do not wait for a workload of many templates
            answer = await self._judge.answer(_question(request, template), deadline)
            found += [
                f"{template.where}: {sentence}"
                for sentence in (
                    *(problem.sentence for problem in answer.refusals[:MOST_WARNINGS]),
                    *answer.warnings,
                )
            ]
            if len(found) > MOST_WARNINGS:
                found.append("the pod templates behind it were not looked at")
                break
        return tuple(dict.fromkeys(found))


def _question(request: Request, template: PodTemplate) -> PodQuestion:
    metadata = template.metadata if isinstance(template.metadata, dict) else {}
    # A template asks for no verdict to be reached: its pods do.
    return PodQuestion(request.namespace, metadata, template.spec, dry_run=True)
