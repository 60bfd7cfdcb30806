"""`weightlock why`: what keeps a pod from running, or lets it, and what to do.

1. Find what was asked about: a pod, a workload, or the workload that tried to make a pod.
2. Read what the webhook would read, as far as the user may.
3. Ask the webhook's own decision.
4. Say it volume by volume, with what events and statuses add.

Seals cannot be checked by anybody but the operator and the webhook; that is said as well.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from weightlock.errors import Malformed, Refused, Unreadable
from weightlock.formats.strict_yaml import MAX_DOCUMENT_BYTES
from weightlock.policy.documents import DEFAULT_NAMESPACE
from weightlock_webhook.decision.answers import Answer, Outcome
from weightlock_webhook.kubectl.cluster import Cluster, JsonObject, Unanswered, found_at, text_at
from weightlock_webhook.kubectl.explaining import Finding, advice_of, claims_of, findings_of
from weightlock_webhook.kubectl.incidents import Incident, events_of, incidents, maker_of
from weightlock_webhook.kubectl.observing import observe
from weightlock_webhook.kubectl.options import add_cluster, cluster_of, namespace_of
from weightlock_webhook.kubectl.targets import POD, Target
from weightlock_webhook.kubectl.telling import write_explanation
from weightlock_webhook.mounts.pods import Pod, pod_of
from weightlock_webhook.policy_test.scenario import Subject, read_scenario
from weightlock_webhook.policy_test.trial import Seals, trial_of

ALLOWED: Final = 0
DENIED: Final = 1
USAGE: Final = 2


@dataclass(frozen=True, slots=True)
class Judged:
    """A pod, or a template of one, with its answer and everything there is to say about it."""

    subject: Subject
    answer: Answer
    findings: tuple[Finding, ...]
    advice: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """The whole answer."""

    asked: str
    notes: tuple[str, ...]
    judged: tuple[Judged, ...]
    incidents: tuple[Incident, ...]
    assumptions: tuple[str, ...]

    @property
    def is_allowed(self) -> bool:
        """Whether all of it may run."""
        return all(each.answer.outcome is Outcome.ALLOW for each in self.judged)


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `why` to the commands of `weightlock`."""
    parser = commands.add_parser(
        "why",
        help="why a pod on a cluster is refused, held or let in, and what to do",
        description=(
            "Explain what admission makes of a pod: its volumes, which checkpoint covers which"
            " path, the verdict, who signed, until when it holds, and what to do. A refused pod"
            " does not exist; ask about its workload (deployment/NAME, job/NAME, pytorchjob/NAME),"
            " or give the pod with -f."
        ),
        epilog="Exit codes: 0 it may run, 1 refused or held, 2 usage, 4 error.",
    )
    parser.add_argument("target", metavar="KIND/NAME", nargs="?", help="such as pod/trainer-0")
    parser.add_argument(
        "-f",
        "--filename",
        dest="file",
        metavar="FILE",
        help="a pod or workload that is not on the cluster, in YAML or JSON; - for standard input",
    )
    add_cluster(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    if (args.target is None) == (args.file is None):
        sys.stderr.write("weightlock why: name a pod or workload, or give one with -f\n")
        return USAGE
    try:
        # Whatever is asked about, a slip of the pen needs no cluster to be told.
        if args.target is not None:
            Target.parse(args.target, DEFAULT_NAMESPACE)
    except Malformed as error:
        sys.stderr.write(f"weightlock why: {error.message}\n  {error.hint}\n".rstrip() + "\n")
        return USAGE
    try:
        explanation = explain(cluster_of(args), args, args.now)
    except Malformed as error:
        raise Unanswered.of(error) from error
    write_explanation(explanation, as_json=args.json)
    return ALLOWED if explanation.is_allowed else DENIED


def explain(cluster: Cluster, args: argparse.Namespace, now: datetime) -> Explanation:
    """Find, read, ask, say.

    Raises:
        WeightlockError: if it cannot be answered.
    """
    namespace = namespace_of(args, cluster)
    # Step 1.
    found: JsonObject | None = None
    notes: tuple[str, ...] = ()
    if args.file is not None:
        subjects = _in_file(args.file, namespace)
        namespace = subjects[0].namespace
        events = events_of(cluster, namespace)
    else:
        target = Target.parse(args.target, namespace)
        events = events_of(cluster, namespace)
        found, subjects, notes = _on_cluster(cluster, target, events)
    # Step 2.
    observed = observe(cluster, namespace, subjects, now)
    # Step 3.
    trial = trial_of(observed.scenario, Seals(assumed=True), now)
    # Step 4.
    judged = []
    claims: list[str] = []
    for subject, answer in trial.answers:
        pod = _pod(subject)
        claims += claims_of(pod) if pod else ()
        facts = trial.facts[subject.namespace]
        findings = tuple(findings_of(pod, answer, facts, observed.checkpoints))
        phase = text_at(found, "status", "phase") if subject.is_pod else ""
        judged.append(Judged(subject, answer, findings, advice_of(answer.outcome, phase)))
    # A namespace may hold hundreds; nobody asked about those that this pod does not mount.
    said_of = {finding.checkpoint for each in judged for finding in each.findings} | {""}
    assumptions = [each for each in trial.assumptions if trial.about.get(each, "") in said_of]
    names = {subject.name for subject in subjects} | {text_at(found, "metadata", "name")}
    return Explanation(
        args.target or args.file,
        (*notes, *_state(found)),
        tuple(judged),
        incidents(events, names - {""}, claims),
        (*assumptions, *observed.remarks),
    )


def _on_cluster(
    cluster: Cluster, target: Target, events: Sequence[JsonObject]
) -> tuple[JsonObject | None, tuple[Subject, ...], tuple[str, ...]]:
    """The object, its pods, and what to say about how they were found."""
    found = cluster.get(target.path)
    if found is not None:
        return found, _some(target, found), ()
    if target.kind is not POD:
        raise Malformed(f"there is no {target} in namespace {target.namespace}")
    maker = maker_of(cluster, target, events)
    owner = cluster.get(maker.path) if maker else None
    if maker is None or owner is None:
        raise Malformed(
            f"there is no pod {target.name} in namespace {target.namespace}, and nothing there"
            " makes pods of such a name",
            hint="A refused pod does not exist: give it with -f FILE, or ask about its workload,"
            " such as deployment/NAME or job/NAME.",
        )
    note = f"There is no pod {target.name}; {maker} makes pods of such a name, so this is about it."
    return None, _some(maker, owner), (note,)


def _some(target: Target, found: JsonObject) -> tuple[Subject, ...]:
    subjects = tuple(target.subjects(found))
    if not subjects:
        raise Malformed(f"{target} has no pod template")
    return subjects


def _in_file(name: str, namespace: str) -> tuple[Subject, ...]:
    try:
        if name == "-":
            content = sys.stdin.buffer.read(MAX_DOCUMENT_BYTES + 1)
        else:
            with Path(name).open("rb") as file:
                content = file.read(MAX_DOCUMENT_BYTES + 1)
    except OSError as error:
        raise Unreadable(f"{name}: {error.strerror}") from error
    subjects = read_scenario([(name, content)], namespace).subjects
    if not subjects:
        raise Malformed(
            f"{name} holds no pod and no workload",
            hint="Give the pod, or what makes it; policies and storage are read from the cluster.",
        )
    if len({subject.namespace for subject in subjects}) != 1:
        raise Malformed(
            f"{name} holds pods or workloads of {len({each.namespace for each in subjects})}"
            " namespaces, expected one"
        )
    return subjects


def _pod(subject: Subject) -> Pod | None:
    try:
        return pod_of(subject.template.metadata, subject.template.spec)
    except Refused:
        return None


def _state(found: JsonObject | None) -> tuple[str, ...]:
    """What the scheduler says of a pod that waits."""
    notes = []
    for condition in found_at(found, "status", "conditions") or ():
        if text_at(condition, "type") == "PodScheduled" and text_at(condition, "status") == "False":
            reason, message = text_at(condition, "reason"), text_at(condition, "message")
            notes.append(f"It waits for the scheduler ({reason}): {message}")
    return tuple(notes)
