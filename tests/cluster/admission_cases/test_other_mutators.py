"""Other mutating webhooks come after ours: only what is stored in the end is judged.

The numbers are those of the threat model. Each refusal has its compliant twin.
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.cluster.admission import Case, new_case
from tests.cluster.admission_cases.shared import IMAGE
from tests.support.admitting import why_refused
from tests.support.protected import bind
from tests.unit.webhook.objects import claim_volume, container, mount, pod_spec, volume
from tests.webhook_server.real import Webhook

from e2e.cluster.api import Json
from e2e.cluster.apiserver import ApiServer
from e2e.cluster.pki import Authority
from e2e.cluster.ports import LOOPBACK
from e2e.cluster.waiting import wait_until

LABEL = "mutated-by-another"
OTHER_MOUNT = mount("other", "/other")

PATCHES: dict[str, list[Json]] = {
    "scratch": [
        {"op": "add", "path": "/spec/volumes/-", "value": volume("other", emptyDir={})},
        {"op": "add", "path": "/spec/containers/0/volumeMounts/-", "value": OTHER_MOUNT},
    ],
    "storage": [
        {"op": "add", "path": "/spec/volumes/-", "value": claim_volume("other", "fresh")},
        {"op": "add", "path": "/spec/containers/0/volumeMounts/-", "value": OTHER_MOUNT},
    ],
    "label": [{"op": "add", "path": "/metadata/labels/touched", "value": "yes"}],
    "last-place": [
        {"op": "move", "from": "/spec/initContainers/0", "path": "/spec/initContainers/-"}
    ],
    "image": [{"op": "replace", "path": "/spec/initContainers/0/image", "value": "busybox"}],
    "removal": [{"op": "remove", "path": "/spec/initContainers/0"}],
}


class Handler(BaseHTTPRequestHandler):
    """Answers each review with the patch that the path names, however often it is asked."""

    def do_POST(self) -> None:
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        patch = json.dumps(PATCHES[self.path.strip("/").partition("?")[0]])
        response = {
            "uid": review["request"]["uid"],
            "allowed": True,
            "patchType": "JSONPatch",
            "patch": base64.b64encode(patch.encode()).decode(),
        }
        body = json.dumps({**review, "request": None, "response": response}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


@contextmanager
def serving(folder: Path) -> Iterator[tuple[int, str]]:
    """The port, and the authority as a configuration has it."""
    authority = Authority(folder, datetime.now(UTC))  # noqa: TID251 the edge
    pair = authority.server("other", "localhost")
    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        bundle = base64.b64encode(authority.certificate.read_bytes()).decode()
        yield server.server_address[1], bundle
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def configuration(port: int, bundle: str) -> Json:
    """For pods that ask for it; called after ours, for its name, and again if ours changed them."""
    pods = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "zz-other"},
        "webhooks": [
            {
                "name": f"{name}-{again.lower()}.other.example",
                "clientConfig": {"url": f"https://localhost:{port}/{name}", "caBundle": bundle},
                "rules": [{**pods, "operations": ["CREATE"]}],
                "objectSelector": {"matchLabels": {LABEL: f"{name}-{again.lower()}"}},
                "reinvocationPolicy": again,
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
            }
            for name in PATCHES
            for again in ("Never", "IfNeeded")
        ],
    }


@pytest.fixture(scope="module")
def others(
    server: ApiServer, webhook: Webhook, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Webhook]:
    """Our webhook, and the others."""
    with serving(tmp_path_factory.mktemp("other")) as (port, bundle):
        made = configuration(port, bundle)
        server.api.create(made)
        yield webhook
        server.api.delete(made)


@pytest.fixture(scope="module")
def injecting(server: ApiServer, others: Webhook) -> Case:
    """A tenant whose pods verify for themselves."""
    case = new_case(server, others, onUnverified="Inject")
    bind(case.tenant)
    wait_until(
        "the other webhooks are called",
        lambda: "missing" in why_refused(case.tenant.api, pod(case, "removal-ifneeded")),
        timeout_seconds=20,
    )
    return case


def pod(case: Case, asked: str) -> Json:
    spec = pod_spec(initContainers=[container(name="mine")])
    return case.pod(spec, labels={LABEL: asked})


def test_b10_storage_that_another_webhook_adds_is_judged(injecting: Case, verified: Case) -> None:
    del injecting  # by now the others are called
    verified.refused(pod(verified, "storage-never"), "NoCheckpoint")
    stored = verified.stored(pod(verified, "scratch-never"))
    assert [each["name"] for each in stored["spec"]["volumes"]][:2] == ["model", "other"]


@pytest.mark.parametrize("change", ["last-place", "image", "removal"])
def test_a16_what_another_webhook_does_to_the_container_once_is_put_right(
    injecting: Case, change: str
) -> None:
    """The API server calls ours again when somebody changed the pod after it."""
    first = injecting.stored(pod(injecting, f"{change}-never"))["spec"]["initContainers"][0]
    assert (first["name"], first["image"]) == ("weightlock-verify-0", IMAGE)


@pytest.mark.parametrize("change", ["last-place", "image", "removal"])
def test_a16_and_whoever_does_it_again_has_the_last_word_and_a_refused_pod(
    injecting: Case, change: str
) -> None:
    injecting.refused(pod(injecting, f"{change}-ifneeded"), "weightlock-verify-0")


def test_a16_other_changes_of_theirs_stay(injecting: Case) -> None:
    stored = injecting.stored(pod(injecting, "label-ifneeded"))
    assert stored["metadata"]["labels"]["touched"] == "yes"
    assert stored["spec"]["initContainers"][0]["image"] == IMAGE
