"""The commands over HTTP: kubeconfigs, pages, refusals, and a server that is not there."""

import json
import threading
import urllib.parse
from collections.abc import Iterator
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import certifi
import pytest
import yaml
from tests.unit.webhook.cluster import NAMESPACE
from tests.unit.webhook.kubectl.fake import CHECKPOINTS, cluster, pod
from tests.unit.webhook.objects import Object

from weightlock.cli.main import main
from weightlock_webhook.kubectl import connection
from weightlock_webhook.kubectl.answers import is_collection
from weightlock_webhook.kubectl.cluster import (
    AlreadyThere,
    ClusterTrouble,
    Forbidden,
    NotInstalled,
)
from weightlock_webhook.kubectl.connection import connect


class Server(ThreadingHTTPServer):
    """Answers like an API server that holds these objects."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.objects = cluster(pod()).objects
        self.seen: list[Message] = []
        self.refusing: tuple[int, bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        self.server.seen.append(self.headers)
        if self.server.refusing is not None:
            self._answer(self.server.refusing[0], self.server.refusing[1])
        elif is_collection(url.path):
            self._list(url.path, query)
        elif url.path in self.server.objects:
            self._answer(200, json.dumps(self.server.objects[url.path]).encode())
        else:
            self._answer(404, b'{"message": "not found"}')

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        document: Object = json.loads(self.rfile.read(length))
        path, _, query = self.path.partition("?")
        where = f"{path}/{document['metadata']['name']}"
        if where in self.server.objects:
            self._answer(409, b'{"message": "already exists"}')
            return
        if "dryRun=All" not in query:
            self.server.objects[where] = document
        self._answer(201, json.dumps(document).encode())

    def _list(self, path: str, query: dict[str, str]) -> None:
        reason = query.get("fieldSelector", "").removeprefix("reason=")
        found = [
            each
            for where, each in sorted(self.server.objects.items())
            if where.rpartition("/")[0] == path and (not reason or each.get("reason") == reason)
        ]
        first = int(query.get("continue", "0"))
        last = first + int(query["limit"])
        metadata = {"continue": str(last)} if last < len(found) else {}
        self._answer(200, json.dumps({"items": found[first:last], "metadata": metadata}).encode())

    def _answer(self, code: int, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def config(server: Server, tmp_path: Path) -> Path:
    return kubeconfig(tmp_path, server.url)


def kubeconfig(folder: Path, url: str, **user: object) -> Path:
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [
            {"name": "here", "context": {"cluster": "c", "user": "u", "namespace": NAMESPACE}},
            {"name": "other", "context": {"cluster": "c", "user": "u"}},
        ],
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": "secret-token", **user}}],
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(document))
    return path


def test_register_and_why_over_http(
    config: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["register", "--pod", "trainer-0", "--kubeconfig", str(config)]) == 0
    assert any(path.startswith(CHECKPOINTS) for path in server.objects)
    capsys.readouterr()
    assert main(["why", "pod/trainer-0", "--kubeconfig", str(config)]) == 1
    assert "waiting for the operator" in capsys.readouterr().out
    # Exit code 1 would mean that admission refuses it.
    assert main(["why", "pod/none", "--kubeconfig", str(config)]) == 4
    assert main(["register", "--pod", "none", "--kubeconfig", str(config)]) == 4


def test_the_user_of_the_kubeconfig_asks(config: Path, server: Server) -> None:
    connect(str(config), None).get("/api/v1/namespaces/none")
    assert server.seen[-1]["Authorization"] == "Bearer secret-token"
    assert "Impersonate-User" not in server.seen[-1]


def test_another_user_asks_if_named_here_or_in_the_kubeconfig(
    server: Server, tmp_path: Path
) -> None:
    config = str(kubeconfig(tmp_path, server.url, **{"as": "alice"}))
    connect(config, None).get("/api/v1/namespaces/none")
    assert server.seen[-1]["Impersonate-User"] == "alice"
    connect(config, None, "bob").get("/api/v1/namespaces/none")
    assert server.seen[-1]["Impersonate-User"] == "bob"


@pytest.mark.parametrize("field", [{"as-groups": ["g"]}, {"as-user-extra": {"a": ["b"]}}])
def test_what_of_a_kubeconfig_is_not_understood_is_not_skipped(
    server: Server, tmp_path: Path, field: dict[str, object]
) -> None:
    with pytest.raises(ClusterTrouble, match="are not understood"):
        connect(str(kubeconfig(tmp_path, server.url, **field)), None)


def test_the_namespace_is_the_contexts(config: Path) -> None:
    assert connect(str(config), None).namespace == NAMESPACE
    assert connect(str(config), "other").namespace == "default"


def test_lists_come_whole_although_in_pages(
    config: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PAGE", 2)
    path = f"/api/v1/namespaces/{NAMESPACE}/events"
    for number in range(5):
        server.objects[f"{path}/{number}"] = {"reason": "odd" if number % 2 else "even"}
    found = connect(str(config), None)
    assert len(found.list(path)) == 5
    assert len(found.list(path, {"reason": "odd"})) == 2


def test_an_object_is_made_once(config: Path) -> None:
    found = connect(str(config), None)
    document: Object = {"metadata": {"name": "a"}}
    found.create(CHECKPOINTS, document, dry_run=True)
    assert found.get(f"{CHECKPOINTS}/a") is None
    assert found.create(CHECKPOINTS, document, dry_run=False) == document
    with pytest.raises(AlreadyThere):
        found.create(CHECKPOINTS, document, dry_run=False)


@pytest.mark.parametrize(
    ("code", "error"), [(403, Forbidden), (404, NotInstalled), (500, ClusterTrouble)]
)
def test_refusals_are_errors(
    config: Path, server: Server, code: int, error: type[ClusterTrouble]
) -> None:
    server.refusing = (code, b'{"message": "no"}')
    with pytest.raises(error, match="no"):
        connect(str(config), None).list(CHECKPOINTS)


def test_a_server_that_is_not_there_is_named(server: Server, tmp_path: Path) -> None:
    url = server.url
    server.server_close()
    with pytest.raises(ClusterTrouble, match=f"{url} gave no answer"):
        connect(str(kubeconfig(tmp_path, url)), None).get("/api/v1/namespaces/none")


def test_no_kubeconfig_is_said(
    tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ClusterTrouble, match="no kubeconfig"):
        connect(str(tmp_path / "none"), None)
    with pytest.raises(ClusterTrouble, match="no kubeconfig"):
        connect(str(config), "no-such-context")
    without(monkeypatch, tmp_path)
    with pytest.raises(ClusterTrouble, match="no kubeconfig"):
        connect(None, None)


def test_in_a_pod_its_own_account_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kubernetes.config import incluster_config  # noqa: PLC0415

    without(monkeypatch, tmp_path)
    for name, text in (("namespace", "team-b\n"), ("token", "t")):
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(connection, "_ACCOUNT_NAMESPACE", tmp_path / "namespace")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", certifi.where())
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
    assert connect(None, None).namespace == "team-b"


def without(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """No kubeconfig at the default place."""
    from kubernetes.config import kube_config  # noqa: PLC0415

    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(folder / "none"))
