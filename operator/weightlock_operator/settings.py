"""The operator's configuration: one frozen value, read once from the environment.

Every variable is an entry of VARIABLES, so `--help` and the documentation cannot forget one.
"""

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from weightlock.cluster_names import NAMESPACE
from weightlock.errors import Malformed, Unanswerable
from weightlock.policy.paths import VolumePath
from weightlock.policy.scalars import shown
from weightlock.reasons import Reason

_DIGEST: Final = re.compile(r".+@sha256:[0-9a-f]{64}")
_IMAGE_ID: Final = re.compile(
    r"(?:[^\s@]+@|[a-z-]+://)?sha256:[0-9a-f]{64}|[^\s@]+@sha256:[0-9a-f]{64}"
)

DEFAULT_EXEMPT: Final = ("kube-system", NAMESPACE)
"""Also the webhook's default: pods of these namespaces are never judged."""


class SettingsInvalid(Unanswerable):
    """An environment variable that says nothing usable; the message names it."""

    reason = Reason.POLICY_INVALID


class LogFormat(StrEnum):
    """How a line of the log looks."""

    TEXT = "text"
    JSON = "json"


class PullPolicy(StrEnum):
    """As core/v1 has it."""

    ALWAYS = "Always"
    IF_NOT_PRESENT = "IfNotPresent"
    NEVER = "Never"


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable."""

    name: str
    default: str
    meaning: str


VARIABLES: Final = (
    Variable("WEIGHTLOCK_NAMESPACE", NAMESPACE, "the namespace the operator keeps its state in"),
    Variable("WEIGHTLOCK_VERIFIER_IMAGE", "", "image of verifications on a GPU, by digest; needed"),
    Variable(
        "WEIGHTLOCK_VERIFIER_CPU_IMAGE",
        "",
        "image of verifications on the CPU, by digest; else the same image",
    ),
    Variable(
        "WEIGHTLOCK_VERIFIER_IMAGE_IDS",
        "",
        "further imageIDs that a report is accepted from, comma separated, for clusters whose"
        " nodes do not pull by digest",
    ),
    Variable("WEIGHTLOCK_IMAGE_PULL_POLICY", "IfNotPresent", "Always, IfNotPresent or Never"),
    Variable(
        "WEIGHTLOCK_IMAGE_PULL_SECRETS",
        "",
        "names of pull secrets that verification pods name, comma separated",
    ),
    Variable(
        "WEIGHTLOCK_ALLOW_TAGS",
        "false",
        "accept images by tag; only for test clusters, since whoever moves the tag is the verifier",
    ),
    Variable(
        "WEIGHTLOCK_EXEMPT_NAMESPACES",
        ",".join(DEFAULT_EXEMPT),
        "namespaces whose pods are not governed, comma separated",
    ),
    Variable(
        "WEIGHTLOCK_FORBIDDEN_HOST_PATHS",
        "",
        "folders of the nodes that are never read for a tenant, beside those that Weightlock knows,"
        " comma separated: where this cluster's kubelets and container runtimes keep theirs",
    ),
    Variable("WEIGHTLOCK_HTTP_ADDRESS", "0.0.0.0:8080", "where /metrics, /healthz, /readyz listen"),
    Variable("WEIGHTLOCK_LOG_FORMAT", "text", "text or json"),
    Variable(
        "WEIGHTLOCK_KUBECONFIG", "", "a kubeconfig; else the pod's own account, else KUBECONFIG"
    ),
    Variable(
        "WEIGHTLOCK_IDENTITY", "", "the name of this replica in the Lease; else the host name"
    ),
    Variable(
        "WEIGHTLOCK_STATE_DIR",
        "",
        "a folder that outlives the process, to notice that the cluster came back from a backup",
    ),
    Variable("WEIGHTLOCK_WORKERS", "16", "checkpoints that are looked at side by side, 1 to 64"),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """One per process. The fields are the variables of VARIABLES, in its order."""

    verifier_image: str
    verifier_cpu_image: str
    namespace: str = NAMESPACE
    verifier_image_ids: tuple[str, ...] = ()
    image_pull_policy: PullPolicy = PullPolicy.IF_NOT_PRESENT
    image_pull_secrets: tuple[str, ...] = ()
    allow_tags: bool = False
    exempt_namespaces: frozenset[str] = frozenset(DEFAULT_EXEMPT)
    forbidden_host_paths: tuple[VolumePath, ...] = ()
    http_host: str = "0.0.0.0"  # noqa: S104 - the kubelet and Prometheus ask from outside
    http_port: int = 8080
    log_format: LogFormat = LogFormat.TEXT
    kubeconfig: str = ""
    identity: str = ""
    state_dir: str = ""
    workers: int = 16
    """Reconciles wait for the API server, not for the CPU; more of them only fill its queue."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Settings":
        """Read the variables; an empty one counts as not set.

        Raises:
            SettingsInvalid: naming the variable, or one that does not exist.
        """
        read = _Reader(environ)
        read.refuse_unknown()
        allow_tags = read.boolean("WEIGHTLOCK_ALLOW_TAGS")
        image = read.image("WEIGHTLOCK_VERIFIER_IMAGE", allow_tags=allow_tags)
        if not image:
            raise SettingsInvalid("WEIGHTLOCK_VERIFIER_IMAGE: missing, expected an image by digest")
        host, port = read.address("WEIGHTLOCK_HTTP_ADDRESS")
        return cls(
            verifier_image=image,
            verifier_cpu_image=read.image("WEIGHTLOCK_VERIFIER_CPU_IMAGE", allow_tags=allow_tags)
            or image,
            namespace=read.text("WEIGHTLOCK_NAMESPACE"),
            verifier_image_ids=read.image_ids("WEIGHTLOCK_VERIFIER_IMAGE_IDS"),
            image_pull_policy=PullPolicy(
                read.word("WEIGHTLOCK_IMAGE_PULL_POLICY", tuple(PullPolicy))
            ),
            image_pull_secrets=read.words("WEIGHTLOCK_IMAGE_PULL_SECRETS"),
            allow_tags=allow_tags,
            exempt_namespaces=frozenset(read.words("WEIGHTLOCK_EXEMPT_NAMESPACES")),
            forbidden_host_paths=read.paths("WEIGHTLOCK_FORBIDDEN_HOST_PATHS"),
            http_host=host,
            http_port=port,
            log_format=LogFormat(read.word("WEIGHTLOCK_LOG_FORMAT", tuple(LogFormat))),
            kubeconfig=read.text("WEIGHTLOCK_KUBECONFIG"),
            identity=read.text("WEIGHTLOCK_IDENTITY") or socket.gethostname(),
            state_dir=read.text("WEIGHTLOCK_STATE_DIR"),
            workers=read.integer("WEIGHTLOCK_WORKERS", 1, 64),
        )


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads one variable at a time and names it when it is wrong."""

    environ: Mapping[str, str]

    def refuse_unknown(self) -> None:
        """A misspelt variable would silently leave a default in place."""
        known = {variable.name for variable in VARIABLES}
        for name in sorted(self.environ):
            if name.startswith("WEIGHTLOCK_") and name not in known:
                raise SettingsInvalid(f"{name}: there is no such variable; see --help")

    def text(self, name: str) -> str:
        default = next(variable.default for variable in VARIABLES if variable.name == name)
        return self.environ.get(name, "").strip() or default

    def words(self, name: str) -> tuple[str, ...]:
        return tuple(word.strip() for word in self.text(name).split(",") if word.strip())

    def paths(self, name: str) -> tuple[VolumePath, ...]:
        try:
            return tuple(map(VolumePath.parse, self.words(name)))
        except Malformed as error:
            raise SettingsInvalid(f"{name}: {error.message}") from error

    def word(self, name: str, vocabulary: tuple[str, ...]) -> str:
        found = self.text(name)
        if found not in vocabulary:
            raise SettingsInvalid(
                f"{name}: found {shown(found)}, expected {' or '.join(vocabulary)}"
            )
        return found

    def boolean(self, name: str) -> bool:
        return self.word(name, ("true", "false")) == "true"

    def integer(self, name: str, least: int, most: int) -> int:
        found = self.text(name)
        if not (found.isascii() and found.isdigit() and least <= int(found) <= most):
            raise SettingsInvalid(
                f"{name}: found {shown(found)}, expected a number from {least} to {most}"
            )
        return int(found)

    def image(self, name: str, *, allow_tags: bool) -> str:
        found = self.text(name)
        if found and not allow_tags and not _DIGEST.fullmatch(found):
            raise SettingsInvalid(
                f"{name}: found {shown(found)}, expected an image by digest (...@sha256:...);"
                " a tag is whatever somebody moves it to (F01)"
            )
        return found

    def image_ids(self, name: str) -> tuple[str, ...]:
        found = self.words(name)
        for word in found:
            if not _IMAGE_ID.fullmatch(word):
                raise SettingsInvalid(
                    f"{name}: found {shown(word)}, expected imageIDs such as sha256:..."
                )
        return found

    def address(self, name: str) -> tuple[str, int]:
        found = self.text(name)
        host, colon, port = found.rpartition(":")
        if not colon or not (port.isascii() and port.isdigit() and int(port) < 2**16):
            raise SettingsInvalid(f"{name}: found {shown(found)}, expected ADDRESS:PORT")
        return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104 - as the default


def help_text(program: str) -> str:
    """What `--help` prints."""
    lines = [
        f"usage: python -m {program} [--help]",
        "",
        "Configured by environment variables:",
    ]
    for variable in VARIABLES:
        default = f" (default: {variable.default})" if variable.default else ""
        lines.append(f"  {variable.name}{default}")
        lines.append(f"      {variable.meaning}")
    return "\n".join(lines) + "\n"
