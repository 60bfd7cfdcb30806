"""What tests wait for, beside verdicts."""

from __future__ import annotations

import contextlib

from e2e.cluster.api import Api, ApiError, Json
from e2e.cluster.waiting import wait_until

GONE_SECONDS = 60.0
NOT_FOUND = 404


def exists(api: Api, manifest: Json) -> bool:
    """Whether there is such an object."""
    try:
        api.read(manifest)
    except ApiError as error:
        if error.code == NOT_FOUND:
            return False
        raise
    return True


def await_gone(api: Api, manifest: Json, *, seconds: float = GONE_SECONDS) -> None:
    """Wait until there is no such object."""
    name = f"{manifest['kind']} {manifest['metadata']['name']}"
    wait_until(f"{name} is gone", lambda: not exists(api, manifest), timeout_seconds=seconds)


def gone(api: Api, manifest: Json) -> None:
    """Delete an object, if there is one, and wait until it is not there any more."""
    with contextlib.suppress(ApiError):
        api.delete(manifest)
    await_gone(api, manifest)
