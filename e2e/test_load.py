"""Pods come all the time, and the webhook is replaced meanwhile: nothing violating is ever stored,
and nothing compliant is refused because nobody could answer.
"""

from __future__ import annotations

import base64
import datetime
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from e2e.cluster.api import Api, Json
from e2e.cluster.native.provider import NativeProvider
from e2e.cluster.running import RunningCluster
from e2e.cluster.waiting import wait_until
from e2e.install import NAMESPACE, WEBHOOK_NAME, Installation
from e2e.load import STARTING_SERVER, Load
from e2e.models import flip_one_bit, key, sign, write_model
from e2e.teams import Team, team_on
from weightlock_webhook.certificates.authority import new_authority

PER_SECOND = 50.0
BEFORE_SECONDS, AFTER_SECONDS = 3.0, 8.0
SETTLING_SECONDS = 5.0
"""After which a restarted API server refuses nothing compliant any more."""
ROLLOUT_SECONDS = 180.0
LEAST_PER_SECOND = 5.0
AUTHORITY: Json = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "weightlock-webhook-ca", "namespace": NAMESPACE},
}
ISSUER = (
    "import ssl; from cryptography import x509;"
    " pem = ssl.get_server_certificate(('127.0.0.1', 8443)).encode();"
    " print(x509.load_pem_x509_certificate(pem).issuer.rfc4514_string())"
)


@dataclass(frozen=True, slots=True)
class Site:
    """A team with a good and a bad checkpoint, and the installation that judges them."""

    team: Team
    installation: Installation

    @property
    def cluster(self) -> RunningCluster:
        return self.team.cluster


@pytest.fixture(scope="module")
def site(
    cluster: RunningCluster,
    installation: Installation,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    release = key(tmp_path_factory.mktemp("keys"), "release")
    with team_on(cluster, "load") as team:
        sign(write_model(team.folder / "good"), release)
        flip_one_bit(sign(write_model(team.folder / "bad"), release))
        team.govern({"release": release})
        team.share_folder()
        for name, phase in (("good", "Verified"), ("bad", "Failed")):
            team.register(name)
            team.verdict(name, phase)
        yield Site(team, installation)


def restart_webhook(site: Site) -> None:
    kubectl(site, "rollout", "restart", f"deployment/{WEBHOOK_NAME}")
    await_rollout(site)


def upgrade(site: Site) -> None:
    site.installation.upgrade(
        {"webhook": {"podAnnotations": {"again": "true"}}}, words=["--reuse-values"]
    )


def restart_api_server(site: Site) -> None:
    provider = site.cluster.provider
    assert isinstance(provider, NativeProvider)
    provider.stop_component("kube-apiserver")
    provider.start_apiserver()


def rotate_certificates(site: Site) -> None:
    """Let the next authority be there for long enough, and wait until all serve with it."""
    api = site.cluster.api
    now = datetime.datetime.now(tz=datetime.UTC)  # noqa: TID251 the edge
    following = new_authority(now)
    patch(api, {"next.crt": following.certificate, "next.key": following.key})
    wait_until(
        "both configurations know it", lambda: data(api).get("next.since"), timeout_seconds=60
    )
    patch(api, {"next.since": (now - datetime.timedelta(minutes=5)).isoformat()})
    wait_until("it signs", lambda: data(api)["ca.crt"] == following.certificate, timeout_seconds=60)
    issuer = f"weightlock-webhook-ca {now:%Y-%m-%dT%H:%M:%SZ}"

    def all_serve() -> bool:
        return all(
            issuer in kubectl(site, "exec", pod, "--", "python", "-c", ISSUER) for pod in pods(site)
        )

    wait_until("all replicas serve with it", all_serve, timeout_seconds=60, poll=1.0)


@pytest.mark.parametrize(
    "disturb",
    [restart_webhook, rotate_certificates, restart_api_server, upgrade],
    ids=lambda each: each.__name__,
)
def test_under_load_nothing_violating_gets_in_and_nothing_compliant_is_kept_out(
    site: Site, disturb: Callable[[Site], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """No refusal of a compliant pod is tolerated, but those of the API server while it restarts.

    It has no second replica as the webhook has. Then exactly two refusals are nobody's fault
    (`STARTING_SERVER`, word for word), and only until the server has been back for a moment.
    """
    if disturb is restart_api_server and not isinstance(site.cluster.provider, NativeProvider):
        pytest.skip("this cluster's API server is not ours to restart")
    team = site.team
    # Nobody schedules them: what is tried is the door, not the node.
    good, bad = (team.reader(name) for name in ("good", "bad"))
    for each in (good, bad):
        each["spec"]["schedulerName"] = "nobody"
    load = Load(team.tenant.api, (good, bad), PER_SECOND)
    try:
        with load.running():
            load.wait(BEFORE_SECONDS)
            disturb(site)
            settled = time.monotonic() + SETTLING_SECONDS
            load.wait(AFTER_SECONDS)
        stored = stored_pods(team)
    finally:
        remove_pods(team)  # or they stand in the way of the next disturbance
    compliant, violating = load.tallies
    with capsys.disabled():  # what was reached is told, passed or not
        sys.stdout.write(f"\n{disturb.__name__}: {load}\n")
    team.tenant.api.create(good)  # and afterwards all is as before
    team.cluster.api.delete(good)

    assert (violating.created, [name for name in stored if name.startswith("load-1-")]) == (0, [])
    refused = [*compliant.denied, *compliant.failed]
    if disturb is restart_api_server:
        refused = [words for words in refused if not STARTING_SERVER.match(words)]
        assert compliant.last_refused < settled
    assert refused == []
    assert load.rate > LEAST_PER_SECOND
    assert len(stored) >= compliant.created  # one whose answer was lost may be stored as well


def stored_pods(team: Team) -> list[str]:
    items = team.cluster.api.get(f"/api/v1/namespaces/{team.namespace}/pods")["items"]
    return [item["metadata"]["name"] for item in items]


def remove_pods(team: Team) -> None:
    path = f"/api/v1/namespaces/{team.namespace}/pods?fieldSelector=spec.schedulerName%3Dnobody"
    team.cluster.api.send("DELETE", path, {"gracePeriodSeconds": 0}, timeout_seconds=120)


def pods(site: Site) -> list[str]:
    path = f"/api/v1/namespaces/{NAMESPACE}/pods?labelSelector=app.kubernetes.io/component=webhook"
    found = [item["metadata"] for item in site.cluster.api.get(path)["items"]]
    # Those that a restart before this one has not quite ended serve nobody any more.
    return [each["name"] for each in found if "deletionTimestamp" not in each]


def data(api: Api) -> dict[str, str]:
    found = api.read(AUTHORITY)["data"]
    return {name: base64.b64decode(text).decode() for name, text in found.items()}


def patch(api: Api, texts: dict[str, str]) -> None:
    encoded = {name: base64.b64encode(text.encode()).decode() for name, text in texts.items()}
    api.patch(AUTHORITY, {"data": encoded})


def await_rollout(site: Site) -> None:
    words = ("rollout", "status", f"deployment/{WEBHOOK_NAME}", f"--timeout={ROLLOUT_SECONDS:.0f}s")
    kubectl(site, *words)


def kubectl(site: Site, *words: str) -> str:
    return site.cluster.kubectl("--namespace", NAMESPACE, *words)
