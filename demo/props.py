"""The things in the story: checkpoints, keys' policy, volume, pods."""

from __future__ import annotations

import json
import random
import struct
from pathlib import Path
from typing import Any

import yaml

from e2e.images.programs import BUSYBOX_IMAGE

TEAM = "team-a"
POLICY = "post-quantum"
UPSTREAM, RELEASE = "llama-upstream", "llama-release"
TENSOR_BYTES = 8 * 1024 * 1024
TENSORS = 4

Json = dict[str, Any]


def make_checkpoint(folder: Path, seed: int) -> None:
    """A small model in safetensors, and its configuration."""
    folder.mkdir(parents=True)
    numbers = random.Random(seed)  # noqa: S311 - weights, not secrets
    header, data = {}, b""
    for number in range(TENSORS):
        begin = len(data)
        data += numbers.randbytes(TENSOR_BYTES)
        name = f"model.layers.{number}.weight"
        shape, place = [TENSOR_BYTES // 2], [begin, len(data)]
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": place}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
    (folder / "config.json").write_text('{"architectures": ["LlamaForCausalLM"]}\n')


def flip_one_byte(path: Path) -> int:
    """What an attacker on the storage's side does, or a failing disk; where."""
    where = path.stat().st_size // 2
    with path.open("r+b") as file:
        file.seek(where)
        (before,) = file.read(1)
        file.seek(where)
        file.write(bytes([before ^ 0x01]))
    return where


def policy(release: str, publisher: str, models: Path) -> Json:
    """Who may sign. Both keys are known, and only post-quantum signatures are enough."""
    rule = {"local": {"paths": [str(models)]}, "action": "Verify"}
    return {
        "apiVersion": "weightlock.dev/v1beta1",
        "kind": "ClusterModelPolicy",
        "metadata": {"name": POLICY},
        "spec": {
            "enforcement": "Enforce",
            "onUnverified": "Hold",
            "autoRegister": True,
            "volumes": {"default": "Verify", "rules": [rule]},
            "signatures": {
                "classical": {"action": "Deny"},
                "rules": [
                    {"name": "signed", "authorities": ["release", "publisher"], "atLeast": 1}
                ],
                "authorities": [
                    {"name": "release", "algorithm": "ML-DSA-65", "publicKey": release},
                    {"name": "publisher", "algorithm": "ECDSA-P256-SHA256", "publicKey": publisher},
                ],
            },
            "mounts": {"readOnly": "Required"},
        },
    }


def namespace() -> Json:
    """Where the team works."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": TEAM}}


def storage(name: str, path: Path, node: str) -> list[Json]:
    """A folder of the node as a volume, and the claim that binds it."""
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    modes, size = ["ReadOnlyMany"], {"storage": "1Gi"}
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name, "labels": {"demo": "true"}},
            "spec": {
                "accessModes": modes,
                "capacity": size,
                "claimRef": {"namespace": TEAM, "name": name},
                "local": {"path": str(path)},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
                "persistentVolumeReclaimPolicy": "Retain",
                "storageClassName": "demo",
            },
        },
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "namespace": TEAM},
            "spec": {
                "accessModes": modes,
                "resources": {"requests": size},
                "storageClassName": "demo",
                "volumeName": name,
            },
        },
    ]


def trainer(name: str, checkpoint: str) -> Json:
    """A pod that loads a checkpoint, and then pretends to train."""
    mount = {"name": "model", "mountPath": "/models", "readOnly": True}
    claim = {"claimName": checkpoint, "readOnly": True}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": TEAM},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "containers": [
                {
                    "name": "trainer",
                    "image": BUSYBOX_IMAGE,
                    "imagePullPolicy": "Never",
                    "command": ["sh", "-c", "echo training on: && ls /models && sleep 86400"],
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"]},
                        "runAsNonRoot": True,
                    },
                    "volumeMounts": [mount],
                }
            ],
            "volumes": [{"name": "model", "persistentVolumeClaim": claim}],
        },
    }


def document(*objects: Json) -> str:
    """The objects as YAML."""
    return yaml.dump_all(objects, Dumper=_Readable, sort_keys=False, width=200)


class _Readable(yaml.SafeDumper):
    """Texts of several lines as blocks."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Readable.add_representer(str, _text)
