"""Logs that outlive their cluster, for whoever finds out later why a run failed."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from e2e.cluster.commands import Programs
from e2e.cluster.errors import ClusterError
from e2e.cluster.progress import Progress
from e2e.cluster.provider import Provider
from e2e.cluster.running import RunningCluster
from e2e.install import NAMESPACE


def keep_logs(provider: Provider, progress: Progress, folder: Path) -> None:
    """Save the logs of the cluster and of our pods from `down`; what cannot be had is left out."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for log in provider.logs():
        shutil.copy(log, folder)
    with contextlib.suppress(ClusterError, OSError):  # the cluster may be what failed
        for name, text in _pod_logs(RunningCluster(provider, Programs(progress))).items():
            (folder / f"{name}.log").write_text(text)
    progress.say(f"the cluster's logs are kept in {folder}")


def _pod_logs(cluster: RunningCluster) -> dict[str, str]:
    """What our pods have written, by name."""
    listed = cluster.api.get(f"/api/v1/namespaces/{NAMESPACE}/pods")["items"]
    names = [pod["metadata"]["name"] for pod in listed]
    return {name: cluster.api.log(NAMESPACE, name) for name in names}
