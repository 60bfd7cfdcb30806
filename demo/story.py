"""The story, chapter by chapter. What it claims is what it checks."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from demo.props import (
    POLICY,
    RELEASE,
    TEAM,
    UPSTREAM,
    document,
    flip_one_byte,
    make_checkpoint,
    namespace,
    policy,
    storage,
    trainer,
)
from demo.stage import NotAsTold, Stage
from e2e.install import NAMESPACE

VERDICT_SECONDS = 180.0
METRICS = (
    "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8080/metrics').read().decode())"
)
Chapter = Callable[["Story"], None]


@dataclass(frozen=True, slots=True)
class Story:
    """Told on a stage, about the checkpoints in a folder that the cluster can mount."""

    stage: Stage
    models: Path

    def tell(self) -> None:
        """From the beginning to the end.

        Raises:
            NotAsTold: something else happened.
        """
        self.tidy()
        for chapter in CHAPTERS:
            chapter(self)

    def tidy(self) -> None:
        """What an earlier telling has left, which may be nothing."""
        run, gone = self.stage.quietly, "--ignore-not-found"
        run("kubectl", "delete", "namespace", TEAM, gone).ended()
        run("kubectl", "delete", "persistentvolume", "--selector=demo=true", gone).ended()
        run("kubectl", "delete", "clustermodelpolicy", POLICY, gone).ended()
        shutil.rmtree(self.models, ignore_errors=True)
        self.models.mkdir(parents=True)
        (self.stage.folder / "models").symlink_to(self.models)

    def checkpoints(self) -> None:
        stage = self.stage
        stage.chapter("A checkpoint, signed the way it is done today")
        stage.say(
            "A publisher makes a model and signs it with ECDSA, as an OpenSSF Model Signing bundle."
            " Whoever has a quantum computer one day can forge that signature."
        )
        make_checkpoint(self.models / UPSTREAM, seed=1)
        keys = ("--private-key", "publisher.key", "--public-key", "publisher.pub")
        stage.run("weightlock", "keygen", "--algorithm", "ECDSA-P256-SHA256", *keys)
        signing = ("--private_key", "publisher.key", "--signature", f"models/{UPSTREAM}/model.sig")
        stage.run("model_signing", "sign", "key", *signing, f"models/{UPSTREAM}")
        stage.run("weightlock", "inspect", f"models/{UPSTREAM}").expect("family=classical")

    def rules(self) -> None:
        stage = self.stage
        stage.chapter("A cluster with one rule: post-quantum signatures only")
        keys = ("--private-key", "release.key", "--public-key", "release.pub")
        stage.run("weightlock", "keygen", *keys)
        stage.say(
            "The policy knows both keys. It holds pods until their checkpoint is verified, and what"
            " only a classical signature vouches for is denied."
        )
        known = [(stage.folder / f"{name}.pub").read_text() for name in ("release", "publisher")]
        stage.show("policy.yaml", document(policy(known[0], known[1], self.models)))
        stage.run("kubectl", "apply", "-f", "policy.yaml")
        node = stage.quietly(
            "kubectl", "get", "nodes", "-o", "jsonpath={.items[-1:].metadata.name}"
        )
        volumes = [storage(name, self.models / name, node.output) for name in (UPSTREAM, RELEASE)]
        objects = [namespace(), *(each for volume in volumes for each in volume)]
        (stage.folder / "storage.yaml").write_text(document(*objects))
        stage.run("kubectl", "apply", "-f", "storage.yaml")
        stage.quietly("kubectl", "config", "set-context", "--current", f"--namespace={TEAM}")
        for name in (UPSTREAM, RELEASE):
            self._await(f"the claim {name} is bound", "pvc", name, "{.status.phase}", "Bound", 60)

    def refused(self) -> None:
        stage = self.stage
        stage.chapter("Refused at the door")
        stage.say("The team registers the checkpoint, and a Job on the node reads and judges it.")
        claim = ("--claim", UPSTREAM, "--name", UPSTREAM)
        done = stage.run("weightlock", "register", *claim, "--wait", code=3)
        done.expect("ClassicalOnly")
        stage.say("Intact, signed by a known publisher, and not good enough. So a pod is refused:")
        pod = document(trainer("trainer-upstream", UPSTREAM))
        (stage.folder / "upstream.yaml").write_text(pod)
        stage.run("kubectl", "create", "-f", "upstream.yaml", code=1).expect("ClassicalOnly")
        self._does_not_exist("trainer-upstream")

    def admitted(self) -> None:
        stage = self.stage
        stage.chapter("Signed with ML-DSA: held, verified, started")
        stage.say(
            "The release team signs its model with ML-DSA-65. The signature is one more file."
        )
        make_checkpoint(self.models / RELEASE, seed=2)
        words = ("--private-key", "release.key", "--name", RELEASE, "--version", "1")
        stage.run("weightlock", "sign", f"models/{RELEASE}", *words)
        stage.say(
            "Nobody has registered it. The first pod that wants it is let in, but not scheduled;"
            " the operator registers the checkpoint and verifies it in a Job."
        )
        stage.show("trainer.yaml", document(trainer("trainer", RELEASE)))
        stage.run("kubectl", "create", "-f", "trainer.yaml")
        held = stage.run("kubectl", "get", "pod", "trainer", "--label-columns=weightlock.dev/held")
        held.expect("Pending", "true")
        self._await("the pod runs", "pod", "trainer", "{.status.phase}", "Running", VERDICT_SECONDS)
        stage.run("kubectl", "get", "modelcheckpoints,jobs,pods").expect("Verified")
        stage.run("kubectl", "logs", "trainer").expect("training on", "model.safetensors")

    def damaged(self) -> None:
        stage = self.stage
        stage.chapter("One flipped byte")
        path = self.models / RELEASE / "model.safetensors"
        where = flip_one_byte(path)
        stage.say(
            f"Somebody with access to the storage changes one bit of byte {where} of"
            f" {path.stat().st_size}. Kubernetes does not notice. A verdict has an age, though, and"
            " this policy's administrator wants none older than a minute:"
        )
        change = '{"spec": {"freshness": {"maxAge": "1m"}}}'
        stage.run("kubectl", "patch", "clustermodelpolicy", POLICY, "--type=merge", "-p", change)
        name = self._checkpoint_of(RELEASE)
        self._await(
            "the operator reads again, and finds it",
            "modelcheckpoint",
            name,
            "{.status.phase}",
            "Failed",
            VERDICT_SECONDS,
        )
        found = stage.run(
            "kubectl", "get", "modelcheckpoint", name, "-o", "jsonpath={.status.message}"
        )
        if where not in damage(found.expect("model.safetensors").output):
            raise NotAsTold(f"byte {where} was changed, and this says\n{found.output}")
        stage.say("The next pod is refused.")
        (stage.folder / "second.yaml").write_text(document(trainer("trainer-2", RELEASE)))
        stage.run("kubectl", "create", "-f", "second.yaml", code=1).expect("ContentMismatch")
        self._does_not_exist("trainer-2")

    def explained(self) -> None:
        stage = self.stage
        stage.chapter("Why?")
        stage.say("A refused pod does not exist, so it is shown from its file.")
        stage.run("weightlock", "why", "-f", "second.yaml", code=1).expect("ContentMismatch")
        stage.say("The pod that was let in before still runs. A policy may evict such pods.")
        stage.run("kubectl", "get", "pod", "trainer").expect("Running")
        why = stage.run("weightlock", "why", "pod/trainer", code=1)
        why.expect("It was let in when this was not so", "ContentMismatch")

    def measured(self) -> None:
        stage = self.stage
        stage.chapter("What those who watch the cluster see")
        inside = ("--namespace", NAMESPACE, "exec")
        operator = stage.quietly(
            "kubectl", *inside, "deployment/weightlock-operator", "--", "python", "-c", METRICS
        )
        webhook = stage.quietly(
            "kubectl", *inside, "deployment/weightlock-webhook", "--", "python", "-c", METRICS
        )
        counted = told(
            operator.output, "weightlock_checkpoints{", "weightlock_verifications_total{"
        )
        stage.say("The operator counts checkpoints and verifications:")
        stage.show("operator.metrics", counted)
        stage.say("The webhook counts its answers:")
        answers = told(webhook.output, 'weightlock_admission_requests_total{decision="Deny"')
        stage.show("webhook.metrics", answers)
        for text, word in (
            (counted, 'phase="Failed"'),
            (counted, 'phase="ClassicalOnly"'),
            (counted, 'result="Verified"'),
            (counted, 'result="ClassicalOnly"'),
            (counted, 'result="Failed"'),
            (answers, 'reason="ClassicalOnly"'),
            (answers, 'reason="ContentMismatch"'),
        ):
            if word not in text:
                raise NotAsTold(f"the metrics should have {word}, and are\n{text}")
        stage.say("Dashboards and alerts for them are in the chart; see docs/observability.md.")

    def _does_not_exist(self, pod: str) -> None:
        """Look whether a pod that was refused was stored all the same."""
        self.stage.quietly("kubectl", "get", "pod", pod).ended(1).expect("NotFound")

    def _checkpoint_of(self, claim: str) -> str:
        """The name that the operator gave the checkpoint of a claim."""
        listed = self.stage.quietly("kubectl", "get", "modelcheckpoints", "-o", "json")
        for item in json.loads(listed.output)["items"]:
            if item["spec"]["source"]["persistentVolumeClaim"]["claimName"] == claim:
                name: str = item["metadata"]["name"]
                return name
        raise NotAsTold(f"no checkpoint is registered for {claim}:\n{listed.output}")

    def _await(
        self, what: str, kind: str, name: str, field: str, value: str, seconds: float
    ) -> None:
        """Wait until a field of an object has a value."""

        def asked() -> str:
            return self.stage.quietly(
                "kubectl", "get", kind, name, "-o", f"jsonpath={field}"
            ).output

        def so_far() -> str:
            return self.stage.quietly("kubectl", "describe", kind, name).output

        self.stage.until(what, lambda: asked() == value, seconds=seconds, so_far=so_far)


CHAPTERS: tuple[Chapter, ...] = (
    Story.checkpoints,
    Story.rules,
    Story.refused,
    Story.admitted,
    Story.damaged,
    Story.explained,
    Story.measured,
)


def damage(message: str) -> range:
    """Where the operator says that a file differs; nowhere if it does not say."""
    found = re.search(r"in bytes (\d+) to (\d+)", message)
    return range(int(found[1]), int(found[2])) if found else range(0)


def told(metrics: str, *starts: str) -> str:
    """The lines of an exposition that begin so, but for those that counted nothing."""
    lines = [
        line
        for line in metrics.splitlines()
        if line.startswith(starts) and float(line.rpartition(" ")[2])
    ]
    return "\n".join(lines) + "\n"
