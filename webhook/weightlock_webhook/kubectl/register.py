"""`weightlock register`: have a checkpoint verified, from now on.

It writes ModelCheckpoints and nothing else; the operator does the rest. Registering again changes
nothing, and nothing that somebody else wrote is overwritten.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

from weightlock.errors import Malformed, WeightlockError
from weightlock.names import API_VERSION
from weightlock.policy import scalars
from weightlock.policy.checkpoints import KIND, Checkpoint, CheckpointSpec, model_name
from weightlock.policy.paths import VolumePath
from weightlock.policy.registration import Registration, source_words
from weightlock.policy.sources import ClaimSource
from weightlock.reasons import Verdict
from weightlock_webhook.kubectl.cluster import (
    CORE,
    AlreadyThere,
    Cluster,
    Forbidden,
    JsonObject,
    Unanswered,
    namespaced,
    text_at,
)
from weightlock_webhook.kubectl.observing import observe
from weightlock_webhook.kubectl.options import add_cluster, cluster_of, namespace_of
from weightlock_webhook.kubectl.progress import is_final, phase_of, sentence_of
from weightlock_webhook.kubectl.registering import Change, Step, compared, steps, wanted_by
from weightlock_webhook.kubectl.targets import POD, Target
from weightlock_webhook.kubectl.waiting import Patience, wait
from weightlock_webhook.mounts.pods import pod_of
from weightlock_webhook.policy_test.trial import Seals, trial_of

Value = TypeVar("Value")

DONE: Final = 0
USAGE: Final = 2
ERROR: Final = 4
EXIT_OF_PHASE: Final = {Verdict.VERIFIED: 0, Verdict.FAILED: 1, Verdict.CLASSICAL_ONLY: 3}
_WORST_LAST: Final = (0, 3, 4, 1)


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `register` to the commands of `weightlock`."""
    parser = commands.add_parser(
        "register",
        help="have a checkpoint on a cluster verified, from now on",
        description=(
            "Write a ModelCheckpoint for a folder of a claim, or for every folder that a pod"
            " mounts and that a policy wants verified. The operator verifies it, and verifies it"
            " again before the verdict expires. Registering twice changes nothing."
        ),
        epilog="Exit codes: 0 registered, or with --wait Verified; with --wait also 1 Failed and"
        " 3 ClassicalOnly; 2 usage; 4 error, another checkpoint has this name, or no verdict in"
        " time.",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--claim", metavar="NAME", help="a PersistentVolumeClaim of the namespace")
    what.add_argument("--pod", metavar="NAME", help="a pod that waits or runs: all that it needs")
    parser.add_argument(
        "--path", default="/", help="the folder on the claim, such as /step-1200 (default: /)"
    )
    parser.add_argument(
        "--model-name",
        metavar="NAME",
        help="the model that must be there; any other, validly signed, is Failed",
    )
    parser.add_argument("--name", help="the ModelCheckpoint's own name (default: made from both)")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="have the API server check everything and store nothing",
    )
    parser.add_argument("--wait", action="store_true", help="wait for the verdict")
    parser.add_argument(
        "--timeout", metavar="DURATION", default="2h", help="how long, such as 90m (default: 2h)"
    )
    add_cluster(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    options = _options(args)
    if options is None:
        return USAGE
    try:
        return register(cluster_of(args), options, args.now)
    except Malformed as error:
        raise Unanswered.of(error) from error


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for."""

    args: argparse.Namespace
    patience: Patience
    path: VolumePath
    model_name: str | None


@dataclass(frozen=True, slots=True)
class Done:
    """A step that was taken, and the object that there is now."""

    step: Step
    checkpoint: JsonObject


def register(cluster: Cluster, options: Options, now: datetime) -> int:
    """Register, report, wait, and return the exit code.

    Raises:
        WeightlockError: for whatever keeps it from being done.
    """
    args = options.args
    namespace = namespace_of(args, cluster)
    wanted, remarks = _wanted(cluster, namespace, options, now)
    existing = _existing(cluster, namespace)
    done = [_taken(cluster, step, dry_run=args.dry_run) for step in steps(wanted, existing)]
    for each in done:
        _say(_sentence(each.step, dry_run=args.dry_run), quiet=args.json)
    for remark in remarks:
        _say(f"Not registered: {remark}", quiet=args.json)
    _hint(_missing_claim(cluster, namespace, args.claim), quiet=args.json)
    found = _awaited(cluster, namespace, done, options)
    _hint(_not_yet(found, args.timeout), quiet=args.json)
    if args.json:
        _write(done, found, remarks, dry_run=args.dry_run)
    return _exit_code(done, found, remarks)


def _options(args: argparse.Namespace) -> Options | None:
    try:
        if args.pod and (args.path != "/" or args.name or args.model_name):
            raise Malformed("--path, --name and --model-name go with --claim, not with --pod")
        limit = _said("--timeout", scalars.duration, args.timeout)
        path = _said("--path", VolumePath.parse, args.path)
        wanted = _said("--model-name", model_name, args.model_name) if args.model_name else None
        for option in ("claim", "pod", "name", "namespace"):
            _said(f"--{option}", scalars.optional_name, getattr(args, option) or "")
    except Malformed as error:
        sys.stderr.write(f"weightlock register: {error.message}\n")
        return None
    return Options(args, Patience(limit), path, wanted)


def _said(option: str, parse: Callable[[str], Value], text: str) -> Value:
    """What an option says; of many, it is the wrong one that a person wants to hear named."""
    try:
        return parse(text)
    except Malformed as error:
        raise Malformed(f"{option}: {error.message}", hint=error.hint) from error


def _wanted(
    cluster: Cluster, namespace: str, options: Options, now: datetime
) -> tuple[Sequence[Registration], Sequence[str]]:
    args = options.args
    if args.claim:
        source = ClaimSource(args.claim)
        return [
            Registration(namespace, source, options.path, options.model_name, args.name or "")
        ], ()
    target = Target(POD, namespace, args.pod)
    found = cluster.get(target.path)
    if found is None:
        raise Malformed(
            f"there is no pod {args.pod} in namespace {namespace}",
            hint="A refused pod does not exist; its refusal names the claim and the path:"
            f" weightlock why {target} --namespace {namespace}",
        )
    subjects = tuple(target.subjects(found))
    observed = observe(cluster, namespace, subjects, now)
    trial = trial_of(observed.scenario, Seals(assumed=True), now)
    template = subjects[0].template
    wanted = wanted_by(pod_of(template.metadata, template.spec), trial.facts[namespace])
    return wanted.registrations, wanted.obstacles


def _existing(cluster: Cluster, namespace: str) -> Sequence[Checkpoint]:
    try:
        found = cluster.list(namespaced(namespace, "modelcheckpoints"))
    except Forbidden:
        return ()  # who may create and not list finds out by creating
    return tuple(each for one in found if (each := _checkpoint(one, namespace)) is not None)


def _checkpoint(found: JsonObject, namespace: str) -> Checkpoint | None:
    without_status = {key: value for key, value in found.items() if key != "status"}
    try:
        spec = {"apiVersion": API_VERSION, "kind": KIND, **without_status}
        verified = text_at(found, "status", "lastVerified")
        status = {"status": found["status"]} if verified else {}
        return Checkpoint.from_object({**spec, **status}, namespace)
    except WeightlockError:
        return None


def _taken(cluster: Cluster, step: Step, *, dry_run: bool) -> Done:
    collection = namespaced(step.registration.namespace, "modelcheckpoints")
    if step.change is not Change.CREATED:
        return Done(step, cluster.get(f"{collection}/{step.name}") or {})
    try:
        return Done(step, cluster.create(collection, step.registration.document, dry_run=dry_run))
    except AlreadyThere:
        found = cluster.get(f"{collection}/{step.name}")
        if found is None:
            raise
        spec = CheckpointSpec.from_spec(found.get("spec"))
        return Done(compared(step.registration, spec, step.name), found)


def _awaited(
    cluster: Cluster, namespace: str, done: Sequence[Done], options: Options
) -> Mapping[str, JsonObject] | None:
    """The checkpoints with their verdicts; None if nobody wants to wait for them."""
    if not options.args.wait or options.args.dry_run:
        return None
    names = [each.step.name for each in done if each.step.change is not Change.DIFFERS]
    quiet = options.args.json

    def say(sentence: str) -> None:
        if not quiet:
            sys.stderr.write(sentence + "\n")

    return wait(cluster, namespace, names, options.patience, say)


def _sentence(step: Step, *, dry_run: bool) -> str:
    registration = step.registration
    what = f"{source_words(registration.source)}, path {registration.path}"
    word = "would be created" if dry_run and step.change is Change.CREATED else step.change.value
    sentence = f"modelcheckpoint {registration.namespace}/{step.name} {word}: {what}"
    if step.change is Change.DIFFERS:
        describe = f"kubectl describe modelcheckpoint -n {registration.namespace} {step.name}"
        return (
            f"{sentence}; there is one of this name, and {step.why}. Choose another --name, or see:"
            f" {describe}"
        )
    return sentence + (f" ({step.why})" if step.why else "")


def _exit_code(
    done: Iterable[Done], found: Mapping[str, JsonObject] | None, remarks: Sequence[str]
) -> int:
    codes = [ERROR for each in done if each.step.change is Change.DIFFERS]
    codes += [ERROR for _ in remarks]
    for checkpoint in (found or {}).values():
        phase = phase_of(checkpoint)
        codes.append(next((code for word, code in EXIT_OF_PHASE.items() if word == phase), ERROR))
    return max(codes, key=_WORST_LAST.index, default=DONE)


def _write(
    done: Iterable[Done],
    found: Mapping[str, JsonObject] | None,
    remarks: Sequence[str],
    *,
    dry_run: bool,
) -> None:
    document = {
        "dryRun": dry_run,
        "checkpoints": [_document(each, found) for each in done],
        "notRegistered": list(remarks),
    }
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


def _document(done: Done, found: Mapping[str, JsonObject] | None) -> dict[str, object]:
    registration, name = done.step.registration, done.step.name
    checkpoint = (found or {}).get(name, done.checkpoint)
    return {
        "namespace": registration.namespace,
        "name": name,
        "change": done.step.change.value,
        "why": done.step.why,
        "path": str(registration.path),
        "source": source_words(registration.source),
        "phase": phase_of(checkpoint),
        "reason": text_at(checkpoint, "status", "reason"),
        "message": text_at(checkpoint, "status", "message"),
        "progress": sentence_of(checkpoint),
    }


def _say(sentence: str, *, quiet: bool) -> None:
    if not quiet:
        sys.stdout.write(sentence + "\n")
        sys.stdout.flush()  # what follows while waiting is about this, and goes to standard error


def _hint(sentence: str, *, quiet: bool) -> None:
    if sentence and not quiet:
        sys.stderr.write(sentence + "\n")


def _missing_claim(cluster: Cluster, namespace: str, name: str | None) -> str:
    """What to say of a claim that is not there: a name mistyped is registered as well as any."""
    try:
        if not name or cluster.get(namespaced(namespace, "persistentvolumeclaims", name, api=CORE)):
            return ""
    except Forbidden:
        return ""
    return f"There is no claim {name} in namespace {namespace}; it is verified once there is one."


def _not_yet(found: Mapping[str, JsonObject] | None, timeout: str) -> str:
    waiting = [name for name, checkpoint in (found or {}).items() if not is_final(checkpoint)]
    if not waiting:
        return ""
    return (
        f"No verdict within {timeout}: {', '.join(waiting)}. It goes on without this command;"
        " run it again to wait on."
    )
