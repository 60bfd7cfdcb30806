"""What an API server refuses, in words that a person can act on."""

import json
import sys

import pytest

from weightlock.cli.main import main
from weightlock_webhook.kubectl.answers import error_of, is_collection, object_of, page_of
from weightlock_webhook.kubectl.cluster import (
    AlreadyThere,
    ClusterTrouble,
    Forbidden,
    NotInstalled,
    Refused,
)
from weightlock_webhook.kubectl.connection import connect

CHECKPOINTS = "/apis/weightlock.dev/v1beta1/namespaces/team-a/modelcheckpoints"


def status(message: str) -> bytes:
    return json.dumps({"kind": "Status", "message": message}).encode()


@pytest.mark.parametrize(
    ("method", "path", "code", "message", "kind", "hint"),
    [
        pytest.param("GET", CHECKPOINTS, 401, "no", ClusterTrouble, "Log in", id="nobody"),
        pytest.param(
            "GET", CHECKPOINTS, 403, "no", Forbidden, '"list" on modelcheckpoints', id="list"
        ),
        pytest.param("GET", f"{CHECKPOINTS}/a", 403, "no", Forbidden, '"get" on', id="get"),
        pytest.param("POST", CHECKPOINTS, 403, "no", Forbidden, '"create" on', id="create"),
        pytest.param(
            "GET", "/api/v1/persistentvolumes", 403, "no", Forbidden, "whole cluster", id="cluster"
        ),
        pytest.param("GET", "/healthz", 403, "no", Forbidden, "", id="no resource"),
        pytest.param(
            "POST",
            CHECKPOINTS,
            403,
            'admission webhook "x" denied the request: no',
            Refused,
            "",
            id="a webhook",
        ),
        pytest.param("GET", CHECKPOINTS, 404, "no", NotInstalled, "CRDs", id="not installed"),
        pytest.param("GET", "/apis/ray.io/v1/rayjobs", 404, "no", NotInstalled, "", id="no Ray"),
        pytest.param("GET", "/nowhere", 404, "no", NotInstalled, "", id="nowhere"),
        pytest.param("POST", CHECKPOINTS, 409, "no", AlreadyThere, "", id="there"),
        pytest.param("POST", CHECKPOINTS, 422, "no", Refused, "", id="invalid"),
        pytest.param("GET", CHECKPOINTS, 500, "no", ClusterTrouble, "Try again", id="broken"),
    ],
)
def test_each_refusal_has_its_error(
    method: str, path: str, code: int, message: str, kind: type[ClusterTrouble], hint: str
) -> None:
    error = error_of(method, path, code, status(message))
    assert type(error) is kind
    assert message in error.message
    assert hint in error.hint


def test_what_is_not_a_status_is_quoted_safely() -> None:
    assert error_of("GET", CHECKPOINTS, 502, b"\x1b[31mBad Gateway").message.endswith(
        "\\x1b[31mBad Gateway"
    )
    assert "HTTP status 500" in error_of("GET", CHECKPOINTS, 500, b"{}").message


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (CHECKPOINTS, True),
        (f"{CHECKPOINTS}/a", False),
        ("/api/v1/pods", True),
        ("/", False),
    ],
)
def test_collections_are_told_from_objects(path: str, expected: bool) -> None:
    assert is_collection(path) is expected


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'"text"', b"{}", b'{"items": [1]}'])
def test_what_is_no_list_is_trouble(body: bytes) -> None:
    with pytest.raises(ClusterTrouble):
        page_of(body, "here")


def test_a_page_names_the_next() -> None:
    body = b'{"items": [{"a": 1}], "metadata": {"continue": "more"}}'
    assert page_of(body, "here") == ([{"a": 1}], "more")
    assert object_of(b'{"a": 1}', "here") == {"a": 1}


def test_without_the_package_that_reads_kubeconfigs_one_reads_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "kubernetes.client", None)
    with pytest.raises(ClusterTrouble) as raised:
        connect(None, None)
    assert raised.value.hint == "In a checkout of Weightlock: pip install '.[cluster]'"


def test_the_commands_are_described_without_that_package(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    for command in ("register", "why"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        assert f"weightlock {command}" in capsys.readouterr().out
