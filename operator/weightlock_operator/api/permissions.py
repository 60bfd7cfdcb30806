"""Asks the API server, at start, for each right that the operator will need (E17).

A role that somebody trimmed shows as one sentence that names the verb, in the log and at /readyz,
and not as a checkpoint that stays Pending for no visible reason.
"""

import asyncio
from dataclasses import dataclass

from weightlock_operator.api.cluster import ACCESS_REVIEWS, Cluster, Json
from weightlock_operator.api.rights import CLUSTER_RIGHTS, OWN_RIGHTS, Right


@dataclass(frozen=True, slots=True)
class Question:
    """One verb on one resource, as the API server is asked."""

    verb: str
    group: str
    resource: str
    namespace: str = ""
    name: str = ""
    optional: bool = False

    def __str__(self) -> str:
        """As `kubectl auth can-i` would say it."""
        resource = f"{self.resource}.{self.group}" if self.group else self.resource
        what = f"{resource}/{self.name}" if self.name else resource
        return f"{self.verb} {what}" + (f" in {self.namespace}" if self.namespace else "")

    @property
    def review(self) -> Json:
        """The SelfSubjectAccessReview."""
        resource, _, subresource = self.resource.partition("/")
        wanted = {
            "verb": self.verb,
            "group": self.group,
            "resource": resource,
            "subresource": subresource,
            "namespace": self.namespace,
            "name": self.name,
        }
        return {
            "apiVersion": ACCESS_REVIEWS.api_version,
            "kind": ACCESS_REVIEWS.kind,
            "spec": {"resourceAttributes": {key: text for key, text in wanted.items() if text}},
        }


def questions(namespace: str) -> tuple[Question, ...]:
    """Every right that is needed, verb by verb."""
    everywhere = tuple(each for right in CLUSTER_RIGHTS for each in _asked(right, ""))
    return everywhere + tuple(each for right in OWN_RIGHTS for each in _asked(right, namespace))


async def missing(cluster: Cluster, namespace: str) -> tuple[Question, ...]:
    """The rights that the account has not.

    Raises:
        ClusterTrouble: the question could not be asked.
    """
    asked = questions(namespace)
    allowed = await asyncio.gather(*(_allowed(cluster, question) for question in asked))
    return tuple(question for question, yes in zip(asked, allowed, strict=True) if not yes)


def _asked(right: Right, namespace: str) -> tuple[Question, ...]:
    return tuple(
        Question(verb, right.group, right.resource, namespace, name, right.optional)
        for name in right.names or ("",)
        for verb in right.verbs
    )


async def _allowed(cluster: Cluster, question: Question) -> bool:
    answer = await cluster.create(ACCESS_REVIEWS, "", question.review)
    return bool((answer.get("status") or {}).get("allowed"))
