"""A real Prometheus on loopback for the length of a `with` block."""

from __future__ import annotations

import http.client
import json
import shutil
import tempfile
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.cluster.errors import StepFailed
from e2e.cluster.ports import LOOPBACK, ReservedPort
from e2e.cluster.supervised import Owned, Supervised
from e2e.cluster.waiting import wait_until
from e2e.prometheus.programs import Programs

STARTUP_SECONDS = 30.0
REPLY_SECONDS = 20.0
HTTP_OK = 200

Series = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Target:
    """Something to scrape. `instance` is what its series are labelled with."""

    job: str
    instance: str
    address: str
    path: str = "/metrics"


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running one."""

    port: int
    folder: Path
    supervised: Supervised

    def query(self, expression: str, at: float | None = None) -> list[Series]:
        """The series of an instant query.

        Raises:
            StepFailed: Prometheus refuses the expression; carries its words.
        """
        result: list[Series] = self._ask("query", query=expression, time=at)["result"]
        return result

    def range(self, expression: str, start: float, end: float, step: float) -> list[Series]:
        """The series of a range query."""
        asked = {"query": expression, "start": start, "end": end, "step": step}
        result: list[Series] = self._ask("query_range", **asked)["result"]
        return result

    def rules(self) -> list[dict[str, Any]]:
        """Every rule as Prometheus loaded and last evaluated it."""
        groups = self._ask("rules")["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def healthy(self) -> bool:
        """Whether every target was scraped."""
        targets = self._ask("targets")["activeTargets"]
        return bool(targets) and all(target["health"] == "up" for target in targets)

    def ready(self) -> bool:
        """Whether it answers queries."""
        self.supervised.expect_running("prometheus")
        try:
            return self._get("/-/ready")[0] == HTTP_OK
        except OSError:
            return False

    def _ask(self, what: str, **parameters: object) -> dict[str, Any]:
        words = {name: value for name, value in parameters.items() if value is not None}
        _, body = self._get(f"/api/v1/{what}?{urllib.parse.urlencode(words)}")
        answer = json.loads(body)
        if answer["status"] != "success":
            raise StepFailed(f"Prometheus refuses {words}: {answer['error']}")
        data: dict[str, Any] = answer["data"]
        return data

    def _get(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=REPLY_SECONDS)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


def configuration(
    targets: Sequence[Target], *, interval: str, rules: Sequence[Path] = ()
) -> dict[str, Any]:
    """Scrape these targets this often. JSON is YAML, so this is written as it is."""
    return {
        "global": {"scrape_interval": interval, "evaluation_interval": interval},
        "rule_files": [str(path) for path in rules],
        "scrape_configs": [
            {
                "job_name": f"{target.job}-{target.instance}",
                "metrics_path": target.path,
                "static_configs": [
                    {
                        "targets": [target.address],
                        "labels": {"job": target.job, "instance": target.instance},
                    }
                ],
            }
            for target in targets
        ],
    }


@contextmanager
def running_prometheus(
    programs: Programs, config: dict[str, Any], load: Callable[[Path], None] | None = None
) -> Iterator[Prometheus]:
    """Run one. `load` may fill the folder of its data before it starts."""
    folder = Path(tempfile.mkdtemp(prefix="weightlock-prometheus-"))
    port = ReservedPort()
    owned = Owned(folder)
    try:
        (folder / "prometheus.yml").write_text(json.dumps(config))
        (folder / "data").mkdir()
        if load:
            load(folder / "data")
        server = Prometheus(port.number, folder, owned.supervised)
        owned.supervised.start("prometheus", _command(programs, folder, port.number))
        wait_until("Prometheus is ready", server.ready, timeout_seconds=STARTUP_SECONDS)
        yield server
    finally:
        owned.close()
        port.close()
        shutil.rmtree(folder, ignore_errors=True)  # still there if the supervisor was killed


def _command(programs: Programs, folder: Path, port: int) -> list[str | Path]:
    return [
        programs.prometheus,
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        "--storage.tsdb.retention.time=10y",  # what is loaded may be old
        f"--web.listen-address={LOOPBACK}:{port}",
        "--log.level=warn",
    ]
