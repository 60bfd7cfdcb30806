"""What whoever installs the webhook may decide, read once from WEIGHTLOCK_* variables."""

# ruff: noqa: RUF009 - _setting() is field(), whose value is made once on purpose

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TypeVar

from weightlock.cluster_names import NAMESPACE, OPERATOR_ACCOUNT
from weightlock.errors import Malformed
from weightlock.policy.paths import VolumePath
from weightlock_webhook.guards.users import listed_users

PREFIX: Final = "WEIGHTLOCK_"
INJECT_CA_FROM: Final = "cert-manager.io/inject-ca-from"

Value = TypeVar("Value")


class TlsMode(StrEnum):
    """Where the serving certificate comes from."""

    SELF = "self"
    FILES = "files"


class LogFormat(StrEnum):
    """How logs are written."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Address":
        """`HOST:PORT`.

        Raises:
            ValueError: for anything else.
        """
        host, _, port = text.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65535:  # noqa: PLR2004 a port is 16 bits
            raise ValueError("expected HOST:PORT")
        return cls(host, int(port))


def _names(text: str) -> frozenset[str]:
    return listed_users(text.split(","))


def _paths(text: str) -> tuple[VolumePath, ...]:
    try:
        return tuple(VolumePath.parse(each.strip()) for each in text.split(",") if each.strip())
    except Malformed as error:
        raise ValueError(error.message) from error


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < 3600:  # noqa: PLR2004 no wait of ours is longer than an hour
        raise ValueError("expected seconds, more than 0 and less than 3600")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError("expected a whole number of at least 1")
    return value


def _flag(text: str) -> bool:
    if text not in {"true", "false"}:
        raise ValueError("expected true or false")
    return text == "true"


def _setting(parse: Callable[[str], Value], default: Value, meaning: str) -> Any:
    return field(default=default, metadata={"parse": parse, "meaning": meaning})


@dataclass(frozen=True, slots=True)
class Settings:
    """One per process. The variable of `listen` is WEIGHTLOCK_LISTEN, and so on."""

    namespace: str = _setting(str, NAMESPACE, "the namespace that Weightlock runs in")
    release: str = _setting(
        str, "weightlock", "the name of both webhook configurations that this process looks after"
    )
    service: str = _setting(
        str,
        "weightlock-webhook",
        "the Service that the certificate is for; the API server calls it",
    )
    extra_names: frozenset[str] = _setting(
        _names,
        frozenset[str](),
        "further DNS names of the certificate, for an API server that calls by another name",
    )
    listen: Address = _setting(Address.parse, Address("0.0.0.0", 8443), "where HTTPS is served")  # noqa: S104 in a pod
    http_address: Address = _setting(
        Address.parse,
        Address("0.0.0.0", 8080),  # noqa: S104 in a pod
        "where /metrics, /healthz and /readyz are served, without TLS",
    )
    tls_mode: TlsMode = _setting(
        TlsMode,
        TlsMode.SELF,
        "self: an own authority in the Secret weightlock-webhook-ca; files: tls.crt and tls.key of"
        " WEIGHTLOCK_TLS_DIR, as cert-manager writes them",
    )
    tls_dir: Path = _setting(Path, Path("/tls"), "the folder of tls.crt and tls.key for files")
    client_ca: Path | None = _setting(
        Path,
        None,
        "a file with the authorities of which every client must show a certificate; none by"
        " default, since API servers show none unless they are configured to",
    )
    shipped: Path = _setting(
        Path,
        Path("/etc/weightlock/webhook-configuration.yaml"),
        "the file with both webhook configurations as they must be in the cluster",
    )
    inject_ca_from: str = _setting(
        str,
        "",
        "NAMESPACE/NAME of the Certificate whose authority cert-manager's cainjector writes into"
        " both configurations, where the file does not say so: what is put back has to say it",
    )
    deadline_seconds: float = _setting(
        _seconds,
        3.0,
        "after how many seconds a review is denied: well below the 5 that the API server waits",
    )
    read_seconds: float = _setting(
        _seconds, 2.0, "within how many seconds a request must have arrived as a whole"
    )
    most_in_flight: int = _setting(
        _count, 256, "how many reviews may be answered at once; more are told to try again"
    )
    most_connections: int = _setting(
        _count,
        1024,
        "how many connections may be open; then the address with most idle ones loses its oldest",
    )
    drain_seconds: float = _setting(
        _seconds,
        15.0,
        "for how long requests are still answered after SIGTERM: endpoints take seconds to change",
    )
    exempt_namespaces: frozenset[str] = _setting(
        _names,
        frozenset({"kube-system", NAMESPACE}),
        "namespaces whose pods are never judged, by name, separated by commas",
    )
    operator_user: str = _setting(
        str,
        f"system:serviceaccount:{NAMESPACE}:{OPERATOR_ACCOUNT}",
        "the user that the operator is to the API server",
    )
    job_managers: frozenset[str] = _setting(
        _names,
        frozenset[str](),
        "further users that may update verification Jobs, such as Kueue's controller",
    )
    verifier_image: str = _setting(str, "", "the image of the verifier, by digest, for Inject")
    verifier_cpu_image: str = _setting(str, "", "the image of the verifier without CUDA, by digest")
    allow_tags: bool = _setting(
        _flag, False, "whether images may be named by tag: for test clusters only"
    )
    runtime_classes: frozenset[str] = _setting(
        _names, frozenset({"nvidia"}), "RuntimeClasses that pods with governed volumes may use"
    )
    device_classes: frozenset[str] = _setting(
        _names, frozenset[str](), "DeviceClasses that pods with governed volumes may use"
    )
    harmless_fields: frozenset[str] = _setting(
        _names,
        frozenset[str](),
        "fields of newer API servers that reach no storage, as spec.FIELD or container.FIELD",
    )
    without_policy: bool = _setting(
        _flag, False, "whether pods are let in while the cluster has no ClusterModelPolicy at all"
    )
    forbidden_host_paths: tuple[VolumePath, ...] = _setting(
        _paths,
        tuple[VolumePath, ...](),
        "folders of the nodes that no rule of a policy opens, beside those that Weightlock knows,"
        " separated by commas: where this cluster's kubelets and container runtimes keep theirs",
    )
    kubeconfig: Path | None = _setting(
        Path, None, "a kubeconfig instead of the pod's own service account"
    )
    log_format: LogFormat = _setting(LogFormat, LogFormat.JSON, "text or json")

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Read the variables; an empty one counts as not set.

        Raises:
            Malformed: naming the variable.
        """
        given: dict[str, object] = {}
        for each in fields(cls):
            name = variable_of(each.name)
            text = environ.get(name, "").strip()
            if text:
                given[each.name] = _parsed(name, text, each.metadata["parse"])
        settings = cls(**given)  # type: ignore[arg-type]  # each value is its parser's
        settings._check()
        # Were its own namespace judged, a webhook that is down could not be started again.
        exempt = settings.exempt_namespaces | {settings.namespace}
        return replace(settings, exempt_namespaces=exempt)

    @property
    def verifier_images(self) -> frozenset[str]:
        """The images that a verification pod may run; empty if none is known."""
        return frozenset({self.verifier_image, self.verifier_cpu_image} - {""})

    @property
    def shipped_annotations(self) -> Mapping[str, str]:
        """Annotations that both configurations have beside those of the file."""
        return {INJECT_CA_FROM: self.inject_ca_from} if self.inject_ca_from else {}

    def _check(self) -> None:
        by_tag = [image for image in self.verifier_images if "@sha256:" not in image]
        if by_tag and not self.allow_tags:
            raise Malformed(
                f"found the image {by_tag[0]}, expected one by digest",
                hint="Set WEIGHTLOCK_ALLOW_TAGS=true on a test cluster.",
            )


def environment() -> Mapping[str, str]:
    """The process's environment, for what is no setting of ours: how a pod finds the API server."""
    return os.environ


def variable_of(name: str) -> str:
    """The environment variable of a setting."""
    return f"{PREFIX}{name.upper()}"


def described() -> str:
    """Every variable, its default and its meaning, for --help."""
    lines = []
    for each in fields(Settings):
        default = _shown(each.default)
        lines.append(f"  {variable_of(each.name)}{f'={default}' if default else ''}")
        lines.append(f"      {each.metadata['meaning']}")
    return "\n".join(lines)


def _parsed(name: str, text: str, parse: Callable[[str], object]) -> object:
    try:
        return parse(text)
    except ValueError as error:
        raise Malformed(f"{name}: found {text!r}: {error}") from error


def _shown(default: object) -> str:
    match default:
        case None | "" | ():
            return ""
        case bool():
            return str(default).lower()
        case frozenset():
            return ",".join(sorted(map(str, default)))
        case Address(host=host, port=port):
            return f"{host}:{port}"
        case _:
            return str(default)
