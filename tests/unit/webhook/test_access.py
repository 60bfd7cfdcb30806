"""The ways to the API server: what is understood, and what is refused in clear words."""

import base64
import datetime
import ssl
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.cluster.pki import Authority
from weightlock.errors import Unreadable
from weightlock_webhook.cache.access import (
    TOKEN_SECONDS,
    InlineToken,
    TokenFile,
    access_of,
    from_kubeconfig,
    in_cluster,
)

NOW = datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC)
IN_A_POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"), NOW)


@pytest.fixture
def account(tmp_path: Path, authority: Authority) -> Path:
    (tmp_path / "ca.crt").write_text(authority.certificate.read_text())
    (tmp_path / "token").write_text("first\n")
    return tmp_path


def inline(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def kubeconfig(folder: Path, user: Any, **cluster: Any) -> Path:
    document = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [
            {"name": "other", "cluster": {"server": "https://nowhere"}},
            {"name": "c", "cluster": {"server": "https://127.0.0.1:6443/", **cluster}},
        ],
        "users": [{"name": "u", "user": user}],
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(document))
    return path


def test_a_pod_finds_its_server_by_its_environment(account: Path) -> None:
    access = in_cluster(IN_A_POD, account)
    assert access.url == "https://10.0.0.1:443"
    assert access.token.current(0) == "first"
    assert access.tls.verify_mode is ssl.CERT_REQUIRED
    assert access.tls.check_hostname


def test_an_address_of_version_six_is_put_in_brackets(account: Path) -> None:
    assert in_cluster({**IN_A_POD, "KUBERNETES_SERVICE_HOST": "fd00::1"}, account).url == (
        "https://[fd00::1]:443"
    )


def test_a_token_is_read_again_after_a_minute(account: Path) -> None:
    token = TokenFile(account / "token")
    assert token.current(0) == "first"
    (account / "token").write_text("second")
    assert token.current(TOKEN_SECONDS - 1) == "first"
    assert token.current(TOKEN_SECONDS) == "second"


def test_outside_a_pod_there_is_no_way_without_a_kubeconfig() -> None:
    with pytest.raises(Unreadable, match="KUBERNETES_SERVICE_HOST") as refusal:
        access_of(None, {})
    assert "WEIGHTLOCK_KUBECONFIG" in refusal.value.hint


def test_a_token_that_is_missing_is_said_at_the_start(account: Path) -> None:
    (account / "token").unlink()
    with pytest.raises(Unreadable, match="token"):
        in_cluster(IN_A_POD, account)


def test_certificates_come_from_the_file_itself(tmp_path: Path, authority: Authority) -> None:
    pair = authority.client("someone", "somebody", "people")
    user = {
        "client-certificate-data": inline(pair.certificate),
        "client-key-data": inline(pair.key),
    }
    path = kubeconfig(
        tmp_path, user, **{"certificate-authority-data": inline(authority.certificate)}
    )
    access = access_of(path, {})
    assert access.url == "https://127.0.0.1:6443"
    assert access.tls.cert_store_stats()["x509_ca"] == 1
    assert access.token == InlineToken()
    assert access.token.current(0) == ""


def test_certificates_and_tokens_come_from_files_beside_it(
    account: Path, authority: Authority
) -> None:
    pair = authority.client("another", "somebody", "people")
    user = {
        "client-certificate": str(pair.certificate),
        "client-key": str(pair.key),
        "tokenFile": "token",
    }
    access = from_kubeconfig(kubeconfig(account, user, **{"certificate-authority": "ca.crt"}))
    assert access.token.current(0) == "first"
    assert access.tls.cert_store_stats()["x509_ca"] == 1


def test_a_token_may_stand_in_the_file(tmp_path: Path) -> None:
    access = from_kubeconfig(kubeconfig(tmp_path, {"token": "secret"}))
    assert access.token.current(0) == "secret"
    assert "secret" not in repr(access)


@pytest.mark.parametrize(
    ("user", "cluster", "word"),
    [
        pytest.param({"exec": {"command": "aws"}}, {}, "'exec'", id="program"),
        pytest.param({"auth-provider": {"name": "gcp"}}, {}, "'auth-provider'", id="provider"),
        pytest.param({"username": "a", "password": "b"}, {}, "'username'", id="password"),
        pytest.param({}, {"insecure-skip-tls-verify": True}, "skips", id="no verification"),
        pytest.param({}, {"server": "http://127.0.0.1"}, "https://", id="no TLS"),
        pytest.param({}, {"certificate-authority": "none"}, "cannot read", id="no file"),
        pytest.param({}, {"certificate-authority-data": "%%"}, "base64", id="no base64"),
        pytest.param({}, {"certificate-authority-data": "eHg="}, "PEM", id="no PEM"),
        pytest.param({"client-certificate-data": "eHg="}, {}, "not a pair", id="no pair"),
    ],
)
def test_what_is_not_understood_is_refused(
    tmp_path: Path, user: Any, cluster: Any, word: str
) -> None:
    with pytest.raises(Unreadable, match=word):
        from_kubeconfig(kubeconfig(tmp_path, user, **cluster))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("{", id="no YAML"),
        pytest.param("[]", id="a list"),
        pytest.param("current-context: x\ncontexts: []", id="no such context"),
        pytest.param("current-context: x\ncontexts: [{name: x, context: null}]", id="no context"),
    ],
)
def test_a_file_that_is_no_kubeconfig_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    with pytest.raises(Unreadable):
        from_kubeconfig(path)
