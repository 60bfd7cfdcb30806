"""What the server can do, as its document says."""

import json

import pytest
from tests.support.api_in_memory import ApiInMemory, Json
from tests.support.loops import run

from weightlock_webhook.cache.errors import Unreachable
from weightlock_webhook.cache.features import discovered, features_of

CORE = "io.k8s.api.core.v1."


def openapi(**kinds: list[str]) -> bytes:
    definitions: Json = {
        CORE + kind: {"properties": {name: {} for name in names}} for kind, names in kinds.items()
    }
    return json.dumps({"definitions": definitions}).encode()


def test_features_are_what_the_document_says() -> None:
    new = features_of(openapi(PodSpec=["schedulingGates"], Volume=["name", "image"]))
    assert new.has_scheduling_gates
    assert new.has_image_volumes
    assert new.volume_sources == {"image"}
    old = features_of(openapi(PodSpec=["containers"]))
    assert not old.has_scheduling_gates
    assert not old.has_image_volumes


@pytest.mark.parametrize(
    ("served", "api"),
    [
        pytest.param([], "", id="none"),
        pytest.param(["v1alpha2"], "", id="one without classes of devices"),
        pytest.param(["v1beta1"], "v1beta1", id="the only one"),
        pytest.param(["v1beta1", "v1", "v1beta2"], "v1", id="the newest of three"),
    ],
)
def test_claims_for_devices_are_read_by_the_newest_version_that_is_served(
    served: list[str], api: str
) -> None:
    document = json.loads(openapi(PodSpec=["containers"]))
    for version in served:
        document["definitions"][f"io.k8s.api.resource.{version}.ResourceClaim"] = {}
    assert features_of(json.dumps(document).encode()).device_api == api


@pytest.mark.parametrize("document", [b"{}", b"[]", b"{", openapi(), openapi(PodSpec=[])])
def test_a_document_without_pods_is_an_error(document: bytes) -> None:
    with pytest.raises(Unreachable):
        features_of(document)


def test_features_are_asked_of_the_server() -> None:
    async def story() -> None:
        api = ApiInMemory()
        api.documents["/openapi/v2"] = json.loads(openapi(PodSpec=["containers"]))
        assert not (await discovered(api)).has_scheduling_gates
        api.faults.status = 403
        with pytest.raises(Unreachable, match="403"):
            await discovered(api)

    run(story())
