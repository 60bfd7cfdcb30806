"""How to reach the API server, and as whom: from inside a pod, or by a kubeconfig.

Only what a process in a cluster or a test needs is understood: certificates and tokens, inline or
in files. A kubeconfig that runs a program for its credentials is refused in clear words.
"""

import base64
import binascii
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import yaml

from weightlock.errors import Unreadable

SERVICE_ACCOUNT_FOLDER: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TOKEN_SECONDS: Final = 60.0
"""How long a token that was read is used; the kubelet renews the file long before it expires."""


class Token(Protocol):
    """A bearer token that may be renewed."""

    def current(self, now: float) -> str:
        """The token to send; `now` is any steady clock's.

        Raises:
            Unreadable: if it lies in a file that cannot be read.
        """
        ...


@dataclass(frozen=True, slots=True)
class InlineToken:
    """One that never changes; empty for none."""

    text: str = field(default="", repr=False)

    def current(self, now: float) -> str:
        """The same at any time."""
        del now
        return self.text


class TokenFile:
    """One that the kubelet renews in place; it is read again every minute."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._text = ""
        self._read_at: float | None = None

    def current(self, now: float) -> str:
        """The token, from the file if it was read too long ago."""
        if self._read_at is None or now - self._read_at >= TOKEN_SECONDS:
            self._text, self._read_at = _text_of(self._path).strip(), now
        return self._text


@dataclass(frozen=True, slots=True)
class Access:
    """An API server and a way in."""

    url: str
    tls: ssl.SSLContext
    token: Token


def access_of(kubeconfig: Path | None, environ: Mapping[str, str]) -> Access:
    """By the kubeconfig if there is one, else as the pod that this runs in.

    Raises:
        Unreadable: for a file that is missing or cannot be understood, or if neither way exists.
    """
    if kubeconfig is not None:
        return from_kubeconfig(kubeconfig)
    return in_cluster(environ)


def in_cluster(environ: Mapping[str, str], folder: Path = SERVICE_ACCOUNT_FOLDER) -> Access:
    """The way in that every pod with a service account has.

    Raises:
        Unreadable: if this is no such pod.
    """
    host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT")
    if not host or not port:
        raise Unreadable(
            "found no KUBERNETES_SERVICE_HOST, expected to run in a pod",
            hint="Name a kubeconfig with WEIGHTLOCK_KUBECONFIG.",
        )
    address = f"[{host}]" if ":" in host else host
    token = TokenFile(folder / "token")
    token.current(0.0)
    return Access(f"https://{address}:{port}", _tls(_text_of(folder / "ca.crt")), token)


def from_kubeconfig(path: Path) -> Access:
    """The current context of a kubeconfig.

    Raises:
        Unreadable: naming what is missing, or what is not understood.
    """
    try:
        document = yaml.safe_load(_text_of(path))
    except yaml.YAMLError as error:
        raise Unreadable(f"{path} is not YAML") from error
    try:
        context = _named(document["contexts"], document["current-context"])["context"]
        cluster = _named(document["clusters"], context["cluster"])["cluster"]
        user = _named(document["users"], context["user"])["user"]
        return _access(cluster, user, path.parent)
    except (KeyError, TypeError) as error:
        raise Unreadable(f"{path}: found no {error} where a kubeconfig has one") from error


def _access(cluster: Mapping[str, Any], user: Mapping[str, Any], folder: Path) -> Access:
    for key in ("exec", "auth-provider", "username"):
        if key in user:
            raise Unreadable(
                f"the kubeconfig gets its credentials by {key!r}, which is not understood",
                hint="Use a kubeconfig with a token or a client certificate.",
            )
    if cluster.get("insecure-skip-tls-verify"):
        raise Unreadable("the kubeconfig skips the verification of the API server")
    if not str(cluster["server"]).startswith("https://"):
        raise Unreadable(f"the kubeconfig's server is {cluster['server']!r}, expected https://")
    tls = _tls(_pem(cluster, "certificate-authority", folder))
    certificate, key_text = (
        _pem(user, name, folder) for name in ("client-certificate", "client-key")
    )
    if certificate:
        _load_pair(tls, certificate, key_text)
    return Access(str(cluster["server"]).rstrip("/"), tls, _token(user, folder))


def _token(user: Mapping[str, Any], folder: Path) -> Token:
    if "tokenFile" in user:
        return TokenFile(folder / user["tokenFile"])
    return InlineToken(user.get("token", ""))


def _pem(entry: Mapping[str, Any], name: str, folder: Path) -> str:
    """Inline data wins over a file, as it does for kubectl."""
    if f"{name}-data" in entry:
        try:
            return base64.b64decode(entry[f"{name}-data"], validate=True).decode("ascii")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise Unreadable(f"the kubeconfig's {name}-data is not base64 of PEM") from error
    return _text_of(folder / entry[name]) if name in entry else ""


def _tls(authority: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cadata=authority or None)
    except ssl.SSLError as error:
        raise Unreadable("the certificate authority of the API server is not PEM") from error


def _load_pair(tls: ssl.SSLContext, certificate: str, key: str) -> None:
    # The ssl module reads key pairs from files only; this one is gone before anything else happens.
    with tempfile.NamedTemporaryFile() as pair:
        pair.write(f"{certificate}\n{key}".encode())
        pair.flush()
        try:
            tls.load_cert_chain(pair.name)
        except ssl.SSLError as error:
            raise Unreadable("the client certificate and key are not a pair in PEM") from error


def _named(entries: Any, name: str) -> Mapping[str, Any]:
    for entry in entries:
        if entry["name"] == name:
            found: Mapping[str, Any] = entry
            return found
    raise KeyError(name)


def _text_of(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Unreadable(f"cannot read {path}: {type(error).__name__}") from error
