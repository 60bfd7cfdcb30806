"""Whether a real API server lets an object in: every denial by a 404 on GET, and by a webhook."""

from __future__ import annotations

import pytest

from e2e.cluster.api import Api, ApiError, Json


def refused(manifest: Json, *, by: Api, admin: Api, code: int = 403) -> str:
    """Create an object that must be refused, and give the words."""
    with pytest.raises(ApiError) as refusal:
        by.create(manifest)
    assert refusal.value.code == code, refusal.value.message
    assert "denied the request: " in refusal.value.message, "by a webhook, not by RBAC"
    with pytest.raises(ApiError) as missing:
        admin.read(manifest)
    assert missing.value.code == 404
    return refusal.value.message


def is_allowed(api: Api, manifest: Json) -> bool:
    """Whether it would be stored."""
    return not why_refused(api, manifest)


def why_refused(api: Api, manifest: Json) -> str:
    """Why it would be refused; empty if it would not."""
    try:
        api.create(manifest, dry_run=True)
    except ApiError as error:
        return error.message
    return ""
