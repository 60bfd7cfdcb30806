"""The definitions of `crds/` on a real API server."""

from __future__ import annotations

import functools
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.support.crds import FOLDER, PLURALS, Json, definition
from tests.unit.policy.builders import EVERYTHING, policy_object, replaced

from e2e.cluster.api import ApiError
from e2e.cluster.apiserver import ApiServer
from e2e.cluster.waiting import wait_until
from weightlock.policy.objects import Policy
from weightlock.policy.spec import PolicySpec

FIRST_MINOR_WITH_CEL = 25
GROUP = "/apis/weightlock.dev/v1beta1"


@pytest.fixture(scope="module", autouse=True)
def installed(apiserver: ApiServer) -> None:
    """As `kubectl apply -f crds/` does it, twice: the second time nothing is to be done."""
    for _ in range(2):
        for plural in PLURALS:
            apply(apiserver, definition(plural))
    for plural in PLURALS:
        wait_until(
            f"{plural} is established",
            functools.partial(established, apiserver, plural),
            timeout_seconds=20,
        )


def apply(apiserver: ApiServer, manifest: Json) -> None:
    try:
        apiserver.api.create(manifest)
    except ApiError as error:
        if error.reason != "AlreadyExists":
            raise
        live = apiserver.api.read(manifest)
        version = live["metadata"]["resourceVersion"]
        metadata = {**manifest["metadata"], "resourceVersion": version}
        path = apiserver.api.path(manifest)
        apiserver.api.send("PUT", path, {**manifest, "metadata": metadata})


def conditions(apiserver: ApiServer, plural: str) -> dict[str, str]:
    live = apiserver.api.read(definition(plural))
    found = live.get("status", {}).get("conditions") or []
    return {condition["type"]: condition["status"] for condition in found}


def established(apiserver: ApiServer, plural: str) -> bool:
    if conditions(apiserver, plural).get("Established") != "True":
        return False
    try:
        resources = apiserver.api.get(GROUP)["resources"]
    except ApiError:
        return False
    return any(resource["name"] == plural for resource in resources)


def policy(name: str, namespace: str = "", /, **more: object) -> Json:
    return dict(policy_object(name, namespace, **more))


def checkpoint(namespace: str, name: str = "llama", **spec: object) -> Json:
    source = {"persistentVolumeClaim": {"claimName": "llama"}}
    return {
        "apiVersion": "weightlock.dev/v1beta1",
        "kind": "ModelCheckpoint",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"source": source, **spec},
    }


@pytest.mark.parametrize("plural", PLURALS)
def test_the_schema_is_structural(apiserver: ApiServer, plural: str) -> None:
    found = conditions(apiserver, plural)
    assert found["NamesAccepted"] == "True"
    assert "NonStructuralSchema" not in found


def test_discovery_has_short_names_and_the_category(apiserver: ApiServer) -> None:
    resources = {each["name"]: each for each in apiserver.api.get(GROUP)["resources"]}
    assert {name: resources[name]["shortNames"] for name in PLURALS} == {
        "clustermodelpolicies": ["cmp"],
        "modelpolicies": ["mp"],
        "modelcheckpoints": ["mckpt"],
    }
    assert all(resources[name]["categories"] == ["weightlock"] for name in PLURALS)
    assert {f"{name}/status" for name in PLURALS} <= set(resources)


def test_the_smallest_policy_is_stored_with_all_that_is_in_force(apiserver: ApiServer) -> None:
    tenant = apiserver.tenant()
    sent = policy("smallest", tenant.namespace)
    stored = apiserver.api.create(sent)
    spec = stored["spec"]
    assert (spec["enforcement"], spec["onUnverified"], spec["onFailure"]) == (
        "Enforce",
        "Deny",
        "Report",
    )
    assert spec["volumes"] == {"default": "Verify"}
    assert spec["mounts"] == {"readOnly": "Required"}
    assert spec["freshness"] == {"maxAge": "168h"}
    assert spec["verification"]["limits"]["maxBytes"] == "20Ti"
    assert "device" not in spec["verification"]
    assert Policy.from_object(stored).spec == PolicySpec.from_spec(sent["spec"])


def test_a_policy_that_says_everything_is_stored_as_it_was_sent(apiserver: ApiServer) -> None:
    sent = {**policy("everything"), "spec": EVERYTHING}
    stored = apiserver.api.create(sent)
    assert PolicySpec.from_spec(stored["spec"]) == PolicySpec.from_spec(EVERYTHING)
    apiserver.api.delete(sent)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("enforcement", "Off", "spec.enforcement"),
        ("signatures.authorities", [], "spec.signatures.authorities"),
        ("signatures.rules", [], "spec.signatures.rules"),
        ("signatures.rules.0.authorities", [], "spec.signatures.rules"),
        ("signatures.authorities.0.algorithm", "ML-DSA", "algorithm"),
        ("denied.keyids.0", "CD" * 32, "spec.denied.keyids"),
        ("volumes.rules.0", {"action": "Ignore"}, "spec.volumes.rules"),
        ("volumes.rules.0", {"action": "Ignore", "nfs": {}, "csi": {}}, "spec.volumes.rules"),
        ("volumes.rules.1.hostPath.paths", ["/a/../b"], "spec.volumes.rules"),
        ("verification.limits.maxBytes", "20TiB", "maxBytes"),
        ("verification.limits.maxBytes", 0, "maxBytes"),
        ("verification.limits.total", 10_001, "total"),
        ("freshness.maxAge", "7d", "maxAge"),
    ],
)
def test_a_bad_policy_is_refused_by_the_schema(
    apiserver: ApiServer, path: str, value: object, message: str
) -> None:
    bad = {**policy("bad"), "spec": replaced(EVERYTHING, path, value)}
    with pytest.raises(ApiError, match=message) as refusal:
        apiserver.api.create(bad)
    assert refusal.value.code == 422


def test_two_authorities_of_one_name_are_refused(apiserver: ApiServer) -> None:
    doubled = [*EVERYTHING["signatures"]["authorities"]]  # type: ignore[index]
    doubled[1] = {**doubled[1], "name": doubled[0]["name"]}
    spec = replaced(EVERYTHING, "signatures.authorities", doubled)
    with pytest.raises(ApiError, match="Duplicate"):
        apiserver.api.create({**policy("bad"), "spec": spec})


def test_an_unknown_field_is_not_kept(apiserver: ApiServer) -> None:
    """Servers before 1.25 drop it; later ones refuse it where the client asks for that."""
    tenant = apiserver.tenant()
    sent = policy("typing-error", tenant.namespace)
    sent["spec"] = {**sent["spec"], "enforcment": "Audit", "namespaceSelector": {}}
    stored = apiserver.api.create(sent)
    assert "enforcment" not in stored["spec"]
    assert "namespaceSelector" not in stored["spec"]
    assert stored["spec"]["enforcement"] == "Enforce"


@pytest.mark.parametrize("text", ["-----BEGIN PRIVATE KEY-----\nSECRET", "SECRET"])
def test_the_servers_answer_never_repeats_a_key(apiserver: ApiServer, text: str) -> None:
    spec = replaced(EVERYTHING, "signatures.authorities.0.publicKey", text)
    spec = replaced(spec, "enforcement", "Off")
    with pytest.raises(ApiError) as refusal:
        apiserver.api.create({**policy("bad"), "spec": spec})
    assert "SECRET" not in str(refusal.value)


def test_a_status_is_written_apart_and_whole(apiserver: ApiServer) -> None:
    tenant = apiserver.tenant()
    created = apiserver.api.create(
        {**checkpoint(tenant.namespace), "status": {"phase": "Verified"}}
    )
    assert "status" not in created
    assert created["spec"]["source"]["path"] == "/"
    status = full_status()
    after = apiserver.api.replace_status({**created, "status": status})
    assert after["status"] == status
    assert after["metadata"]["generation"] == created["metadata"]["generation"]


def test_a_status_may_have_empty_texts(apiserver: ApiServer) -> None:
    """What is unknown, such as the claim of a host path."""
    tenant = apiserver.tenant()
    created = apiserver.api.create(checkpoint(tenant.namespace))
    status = full_status()
    status["volume"] |= {"pvcUID": "", "pvName": "", "pvUID": ""}
    status["verifier"] |= {"job": "", "node": "", "image": "", "device": ""}
    status["conditions"][0]["message"] = ""
    status |= {"message": "", "seal": "", "policyHash": ""}
    assert apiserver.api.replace_status({**created, "status": status})["status"] == status


def test_a_status_that_means_nothing_is_refused(apiserver: ApiServer) -> None:
    tenant = apiserver.tenant()
    created = apiserver.api.create(checkpoint(tenant.namespace))
    with pytest.raises(ApiError, match="phase"):
        apiserver.api.replace_status({**created, "status": {"phase": "Fine"}})


def test_a_checkpoint_of_two_volumes_is_refused(apiserver: ApiServer) -> None:
    bad = checkpoint(apiserver.tenant().namespace)
    bad["spec"]["source"]["hostPath"] = {"path": "/mnt"}
    with pytest.raises(ApiError, match=r"spec\.source"):
        apiserver.api.create(bad)


def test_explanations_are_served(apiserver: ApiServer) -> None:
    definitions = wait_until(
        "all kinds are explained",
        functools.partial(explained_kinds, apiserver),
        timeout_seconds=30,
    )
    for kind, path in (
        ("ModelPolicy", ("spec", "signatures", "classical", "sunset")),
        ("ClusterModelPolicy", ("spec", "verification", "device", "fallback", "after")),
        ("ModelCheckpoint", ("status", "volume", "pvcUID")),
    ):
        found: Any = definitions[f"dev.weightlock.v1beta1.{kind}"]
        for step in path:
            assert found["description"]
            found = found["properties"][step]
        assert found["description"].endswith(".")


def explained_kinds(apiserver: ApiServer) -> Json | None:
    answer = apiserver.api.get("/openapi/v2")
    # Old servers do not say that it is JSON.
    found: Json = (json.loads(answer["text"]) if "text" in answer else answer)["definitions"]
    kinds = ("ModelPolicy", "ClusterModelPolicy", "ModelCheckpoint")
    return found if all(f"dev.weightlock.v1beta1.{kind}" in found for kind in kinds) else None


def test_columns_show_the_verdict(apiserver: ApiServer) -> None:
    tenant = apiserver.tenant()
    created = apiserver.api.create(checkpoint(tenant.namespace))
    apiserver.api.replace_status({**created, "status": full_status()})
    text = kubectl(apiserver, "get", "mckpt", "--namespace", tenant.namespace)
    heads, row = (line.split() for line in text.splitlines())
    assert heads == ["NAME", "MODEL", "PHASE", "REASON", "FAMILY", "CHECKED", "EXPIRES", "AGE"]
    assert row[:5] == ["llama", "llama-70b", "Verified", "Verified", "ML-DSA"]
    assert row[6] == "2036-11-28T09:30:00Z"


def test_kubectl_applies_and_explains(apiserver: ApiServer) -> None:
    # A kubectl from before CEL refuses its rules by itself; a server from before it drops them.
    unchecked = ["--validate=false"] if apiserver.assets.minor < FIRST_MINOR_WITH_CEL else []
    for _ in range(2):
        kubectl(apiserver, "apply", *unchecked, "--filename", str(FOLDER))
    words = kubectl(apiserver, "explain", "cmp.spec.verification.device.fallback.after")
    assert "How long to wait for the device first." in words
    example = Path(__file__).parents[2] / "docs" / "examples" / "policy.yaml"
    kubectl(apiserver, "apply", "--filename", str(example))
    shown = kubectl(apiserver, "get", "weightlock")
    assert "clustermodelpolicy.weightlock.dev/post-quantum" in shown
    kubectl(apiserver, "delete", "--filename", str(example))


def kubectl(apiserver: ApiServer, *words: str) -> str:
    program = apiserver.assets.folder / "kubectl"
    if not program.exists():
        pytest.skip("the folder of the API server has no kubectl")
    argv = [str(program), "--kubeconfig", str(apiserver.kubeconfig), *words]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)  # noqa: S603 our words
    assert done.returncode == 0, done.stderr
    return done.stdout


def full_status() -> Json:
    """Every field of a status, so that none of them is dropped."""
    volume = {
        "pvcUID": "6d6a0d8f",
        "pvName": "pv-llama",
        "pvUID": "0c4f6b7e",
        "sourceHash": "7c" * 32,
        "path": "/",
    }
    condition = {
        "type": "Verified",
        "status": "True",
        "observedGeneration": 1,
        "lastTransitionTime": "2026-11-21T09:30:00Z",
        "reason": "Verified",
        "message": "as signed",
    }
    text = """
    {"observedGeneration": 1, "phase": "Verified", "reason": "Verified", "message": "as signed",
     "digest": {"tree": "rfc6962-v1", "hash": "sha256", "root": "ab"},
     "modelName": "llama-70b", "modelVersion": 3, "policyHash": "cd",
     "lastVerified": "2026-11-21T09:30:00Z", "expires": "2036-11-28T09:30:00Z",
     "verifier": {"image": "v@sha256:ab", "job": "j", "node": "n", "device": "cpu", "files": 1,
                  "bytes": 2, "seconds": 0.5, "gbps": 1.25, "shards": 1, "keys": ["55f6599b"]},
     "seal": "v1:ab:cd",
     "verification": {"job": "j", "jobUID": "u", "nonce": "n", "attempt": 1, "generation": 1,
                      "podSpecHash": "ef", "device": "cpu", "policyHash": "cd", "writerCount": 0,
                      "startedAt": "2026-11-21T09:30:00Z", "seal": "v1:ab:cd"},
     "queue": {"position": 1, "since": "2026-11-21T09:30:00Z", "waitingFor": "total"},
     "attempts": 1, "nextAttempt": "2026-11-21T09:30:00Z", "users": ["trainer-0"], "userCount": 1}
    """
    found: Json = json.loads(text)
    keyid = "55" * 32
    found["signatures"] = [
        {"algorithm": "ML-DSA-65", "family": "ML-DSA", "keyid": keyid, "authority": "release"}
    ]
    found["volume"] = volume
    found["verification"]["volume"] = volume
    found["conditions"] = [condition]
    return found


def test_the_full_status_is_full() -> None:
    known = definition("modelcheckpoints")["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    status = known["properties"]["status"]["properties"]
    found = full_status()
    assert set(found) == set(status)
    for name in ("verifier", "verification", "volume", "queue", "digest"):
        assert set(found[name]) == set(status[name]["properties"])
