"""Kubernetes objects for tests, as the API server would send them."""

from typing import Any

Object = dict[str, Any]


def claim_volume(name: str = "model", claim: str = "llama", *, read_only: bool = True) -> Object:
    return {"name": name, "persistentVolumeClaim": {"claimName": claim, "readOnly": read_only}}


def volume(name: str, **source: Any) -> Object:
    return {"name": name, **source}


def mount(name: str = "model", at: str = "/models", **fields: Any) -> Object:
    return {"name": name, "mountPath": at, "readOnly": True, **fields}


def container(*mounts: Object, name: str = "trainer", **fields: Any) -> Object:
    return {"name": name, "image": "trainer", "volumeMounts": list(mounts), **fields}


def pod_spec(*volumes: Object, containers: list[Object] | None = None, **fields: Any) -> Object:
    mounted = [container(mount())] if containers is None else containers
    return {"volumes": list(volumes) or [claim_volume()], "containers": mounted, **fields}
