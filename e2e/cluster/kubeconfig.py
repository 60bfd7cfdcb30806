"""Kubeconfig files of our own: one cluster, one user, one context with a name nobody else uses."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from e2e.cluster.pki import KeyPair


def write_kubeconfig(path: Path, *, context: str, server: str, ca: Path, client: KeyPair) -> Path:
    """Write one with the certificates inside, so that the file can be handed around alone.

    JSON is YAML, and needs no quoting rules.
    """
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": context,
        "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
        "clusters": [
            {
                "name": context,
                "cluster": {"server": server, "certificate-authority-data": _inline(ca)},
            }
        ],
        "users": [
            {
                "name": context,
                "user": {
                    "client-certificate-data": _inline(client.certificate),
                    "client-key-data": _inline(client.key),
                },
            }
        ],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(json.dumps(document, indent=2) + "\n")
    return path


def _inline(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
