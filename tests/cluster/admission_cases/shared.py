"""What the cases share."""

from __future__ import annotations

from typing import Any

from tests.unit.webhook.objects import Object, claim_volume, container, mount, pod_spec

APPLY = "application/apply-patch+yaml"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
IMAGE = "registry.example/verifier@sha256:" + "a" * 64


def of_shared(**fields: Any) -> Object:
    return pod_spec(claim_volume(claim="shared"), containers=[container(mount(**fields))])


WRITABLE = mount(readOnly=False)
