"""What a person may ask about: `pod/trainer-0`, `deployment/trainer`, `pytorchjob/llama`."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from weightlock.errors import Malformed
from weightlock.policy import scalars
from weightlock_webhook.kubectl.cluster import CORE, JsonObject, namespaced
from weightlock_webhook.mounts.templates import templates_of
from weightlock_webhook.policy_test.scenario import Subject

APPS: Final = "/apis/apps/v1"
BATCH: Final = "/apis/batch/v1"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object with pods, and where the API server keeps it."""

    name: str
    api: str
    plural: str
    short: str = ""

    @property
    def words(self) -> frozenset[str]:
        """How people call it."""
        return frozenset({self.name.lower(), self.plural, self.short} - {""})


POD: Final = Kind("Pod", CORE, "pods", "po")
REPLICA_SET: Final = Kind("ReplicaSet", APPS, "replicasets", "rs")
STATEFUL_SET: Final = Kind("StatefulSet", APPS, "statefulsets", "sts")
JOB: Final = Kind("Job", BATCH, "jobs")

KINDS: Final = (
    POD,
    Kind("Deployment", APPS, "deployments", "deploy"),
    REPLICA_SET,
    STATEFUL_SET,
    Kind("DaemonSet", APPS, "daemonsets", "ds"),
    JOB,
    Kind("CronJob", BATCH, "cronjobs", "cj"),
    Kind("PyTorchJob", "/apis/kubeflow.org/v1", "pytorchjobs"),
    Kind("TFJob", "/apis/kubeflow.org/v1", "tfjobs"),
    Kind("MPIJob", "/apis/kubeflow.org/v2beta1", "mpijobs"),
    Kind("JobSet", "/apis/jobset.x-k8s.io/v1alpha2", "jobsets"),
    Kind("LeaderWorkerSet", "/apis/leaderworkerset.x-k8s.io/v1", "leaderworkersets", "lws"),
    Kind("RayCluster", "/apis/ray.io/v1", "rayclusters"),
    Kind("RayJob", "/apis/ray.io/v1", "rayjobs"),
)
MAKERS: Final = (REPLICA_SET, STATEFUL_SET, JOB)
"""The controllers that make pods, after which these are named."""


@dataclass(frozen=True, slots=True)
class Target:
    """One object that somebody asks about."""

    kind: Kind
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind.name.lower()}/{self.name}"

    @property
    def path(self) -> str:
        """Where it lives."""
        return namespaced(self.namespace, self.kind.plural, self.name, api=self.kind.api)

    @classmethod
    def parse(cls, text: str, namespace: str) -> "Target":
        """Read `kind/name`; a name alone is a pod's.

        Raises:
            Malformed: for a kind that is not known, or what is no name.
        """
        word, slash, name = text.rpartition("/")
        kind = kind_of(word) if slash else POD
        if kind is None:
            known = ", ".join(each.name.lower() for each in KINDS)
            raise Malformed(
                f"found {scalars.shown(word)}, expected one of: {known}",
                hint="For another workload: kubectl get KIND NAME -o yaml | weightlock why -f -,"
                " or ask about one of its pods.",
            )
        return cls(kind, namespace, scalars.name(name))

    def subjects(self, found: JsonObject) -> Iterator[Subject]:
        """The pod, or every pod template, of the object."""
        for template in templates_of(found):
            yield Subject(self.kind.name, self.namespace, self.name, template)


def kind_of(word: str) -> Kind | None:
    """The kind that somebody calls by this word, with or without its group."""
    plain = word.lower().partition(".")[0]
    return next((kind for kind in KINDS if plain in kind.words), None)
