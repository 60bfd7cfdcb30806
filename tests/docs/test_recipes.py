"""The recipes for policies do what the guide says: each is asked what it makes of some pods."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support import crds
from tests.unit.webhook.cluster import CSI
from tests.unit.webhook.objects import Object, claim_volume, pod_spec, volume

from weightlock.cli.main import main
from weightlock.formats.spki import public_key_info
from weightlock.policy.documents import read_policies
from weightlock.policy.objects import PolicyKind
from weightlock.verdict.storage import persistent_volume_hash

RECIPES = Path(__file__).resolve().parents[2] / "docs" / "examples" / "policies"
FILES = sorted(RECIPES.glob("*.yaml"))
NOW = "2026-11-21T12:00:00Z"
PLURALS = {
    PolicyKind.CLUSTER_MODEL_POLICY: "clustermodelpolicies",
    PolicyKind.MODEL_POLICY: "modelpolicies",
}


def keys(recipe: str) -> dict[str, tuple[str, str]]:
    """The algorithm and keyid of each authority, by name."""
    return {
        authority["name"]: (
            authority["algorithm"],
            public_key_info(authority["publicKey"]).keyid,
        )
        for document in yaml.safe_load_all((RECIPES / f"{recipe}.yaml").read_text())
        for authority in document["spec"]["signatures"]["authorities"]
    }


def checkpoint(recipe: str, *signers: str, **more: Any) -> Object:
    known = keys(recipe)
    return {
        "apiVersion": "weightlock.dev/v1beta1",
        "kind": "ModelCheckpoint",
        "metadata": {"name": "llama", "namespace": "team-a", "generation": 1},
        "spec": {"source": {"persistentVolumeClaim": {"claimName": "llama"}}},
        "status": {
            "observedGeneration": 1,
            "phase": "Verified",
            "digest": {"tree": "rfc6962-v1", "hash": "sha256", "root": "ab" * 32},
            "signatures": [
                {"algorithm": known[signer][0], "keyid": known[signer][1]} for signer in signers
            ],
            "volume": {
                "pvcUID": "u",
                "pvName": "pv",
                "pvUID": "v",
                "sourceHash": persistent_volume_hash(CSI),
            },
            "modelName": "llama",
            "modelVersion": 3,
            "lastVerified": "2026-11-21T11:00:00Z",
            **more,
        },
    }


def claim(storage_class: str = "models") -> list[Object]:
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "llama", "namespace": "team-a", "uid": "u"},
            "spec": {"volumeName": "pv", "storageClassName": storage_class},
            "status": {"phase": "Bound"},
        },
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": "pv", "uid": "v"},
            "spec": {
                "accessModes": ["ReadOnlyMany"],
                "claimRef": {"uid": "u"},
                "storageClassName": storage_class,
                **CSI,
            },
        },
    ]


class Trial:
    """A recipe, asked about a pod."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._folder = folder
        self._capsys = capsys

    def answer(
        self, recipe: str, *objects: Object, spec: Object | None = None, at: str = NOW
    ) -> Object:
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "trainer", "namespace": "team-a"},
            "spec": spec or pod_spec(claim_volume()),
        }
        file = self._folder / "objects.yaml"
        file.write_text("\n---\n".join(map(json.dumps, [pod, *objects])))
        policy = str(RECIPES / f"{recipe}.yaml")
        main(["policy", "test", "-f", policy, "-f", str(file), "--at", at, "--json"])
        document: Object = json.loads(self._capsys.readouterr().out)
        found: Object
        (found,) = document["pods"]
        return found


@pytest.fixture
def trial(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Trial:
    return Trial(tmp_path, capsys)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_recipes_are_policies_to_us_and_to_the_api_server(path: Path) -> None:
    documents = list(yaml.safe_load_all(path.read_text()))
    for policy, document in zip(read_policies(path.read_text()), documents, strict=True):
        schema = crds.schema(PLURALS[policy.kind])
        assert crds.errors(document, schema) == []


def test_the_guide_names_every_recipe() -> None:
    guide = (RECIPES.parents[1] / "guides" / "write-a-policy.md").read_text()
    assert all(f"../examples/policies/{path.name}" in guide for path in FILES)


@pytest.mark.parametrize(
    ("recipe", "outcome", "warned"),
    [("watch", "Allow", False), ("warn", "Allow", True), ("enforce", "Hold", False)],
)
def test_watching_warns_nobody_warning_stops_nobody_enforcing_holds(
    trial: Trial, recipe: str, outcome: str, warned: bool
) -> None:
    found = trial.answer(recipe, *claim())
    assert (found["outcome"], bool(found["warnings"])) == (outcome, warned)
    signed = trial.answer(recipe, *claim(), checkpoint(recipe, "release"))
    assert (signed["outcome"], signed["reason"]) == ("Allow", "Verified")
    scratch = trial.answer(recipe, *claim("scratch"))
    assert scratch["reason"] == "NotGoverned"


@pytest.mark.parametrize(
    ("signer", "at", "outcome", "reason"),
    [
        ("release-pq", "2026-11-21T12:00:00Z", "Allow", "Verified"),
        ("release-ec", "2026-11-21T12:00:00Z", "Allow", "ClassicalOnly"),
        ("release-ec", "2027-01-01T00:00:00Z", "Deny", "ClassicalOnly"),
        ("release-pq", "2027-01-01T00:00:00Z", "Allow", "Verified"),
    ],
)
def test_the_transition_ends_with_its_sunset(
    trial: Trial, signer: str, at: str, outcome: str, reason: str
) -> None:
    verified = checkpoint("transition", signer, lastVerified=at.replace("T12", "T11"))
    found = trial.answer("transition", *claim(), verified, at=at)
    assert (found["outcome"], found["reason"]) == (outcome, reason)


@pytest.mark.parametrize(
    ("signers", "outcome"),
    [
        (["release-pq", "release-ec"], "Allow"),
        (["release-pq"], "Deny"),
        (["release-ec"], "Deny"),
    ],
)
def test_hybrid_wants_both(trial: Trial, signers: list[str], outcome: str) -> None:
    found = trial.answer("hybrid", *claim(), checkpoint("hybrid", *signers))
    assert found["outcome"] == outcome


@pytest.mark.parametrize(
    ("hash_", "digits", "outcome"),
    [("sha512", 128, "Allow"), ("sha384", 96, "Allow"), ("sha256", 64, "Deny")],
)
def test_cnsa2_wants_its_hashes(trial: Trial, hash_: str, digits: int, outcome: str) -> None:
    digest = {"tree": "rfc6962-v1", "hash": hash_, "root": "a" * digits}
    found = trial.answer("cnsa2", *claim(), checkpoint("cnsa2", "release", digest=digest))
    assert found["outcome"] == outcome


@pytest.mark.parametrize(
    ("signers", "model", "outcome"),
    [
        pytest.param(["team-a", "reviewer"], "team-a/llama", "Allow", id="team and reviewer"),
        pytest.param(["team-a"], "team-a/llama", "Deny", id="nobody reviewed"),
        pytest.param(["team-b", "reviewer"], "team-b/llama", "Deny", id="another team's model"),
        pytest.param(["team-b", "team-a"], "team-a/llama", "Deny", id="another team's key"),
        pytest.param(["team-a", "reviewer"], "base/llama", "Deny", id="a model of the platform"),
    ],
)
def test_teams_sign_for_their_own_models(
    trial: Trial, signers: list[str], model: str, outcome: str
) -> None:
    verified = checkpoint("teams", *signers, modelName=model)
    assert trial.answer("teams", *claim(), verified)["outcome"] == outcome


@pytest.mark.parametrize(
    ("model", "version", "outcome"),
    [("base/llama", 3, "Allow"), ("base/llama", 2, "Deny"), ("ours/llama", 1, "Allow")],
)
def test_behind_the_air_gap_versions_do_not_go_back(
    trial: Trial, model: str, version: int, outcome: str
) -> None:
    verified = checkpoint("air-gap", "notary", modelName=model, modelVersion=version)
    assert trial.answer("air-gap", *claim(), verified)["outcome"] == outcome


def test_behind_the_air_gap_other_storage_is_forbidden(trial: Trial) -> None:
    elsewhere = trial.answer("air-gap", *claim("unheard-of"), checkpoint("air-gap", "notary"))
    assert (elsewhere["outcome"], elsewhere["reason"]) == ("Deny", "VolumeForbidden")
    scratch = pod_spec(volume("model", emptyDir={}))
    assert trial.answer("air-gap", spec=scratch)["outcome"] == "Allow"
    assert trial.answer("air-gap", *claim())["outcome"] == "Hold"


def local_claim(path: str, *nodes: str) -> list[Object]:
    found, volume_ = claim()
    del volume_["spec"]["csi"]
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": list(nodes)}
    terms = [{"matchExpressions": [here]}]
    volume_["spec"] |= {
        "local": {"path": path},
        "nodeAffinity": {"required": {"nodeSelectorTerms": terms}},
    }
    return [found, volume_]


@pytest.mark.parametrize(
    ("recipe", "path", "nodes", "outcome", "reason"),
    [
        pytest.param("local-storage", "/mnt/models", ["a"], "Allow", "Verified", id="named"),
        pytest.param("local-storage", "/mnt/models/x", ["a"], "Allow", "Verified", id="below it"),
        pytest.param("enforce", "/mnt/models", ["a"], "Deny", "HostPathAlias", id="no rule"),
        pytest.param("local-storage", "/mnt", ["a"], "Deny", "HostPathAlias", id="above it"),
        pytest.param(
            "local-storage", "/mnt/models", ["a", "b"], "Deny", "NodeNotPinned", id="two nodes"
        ),
    ],
)
def test_a_folder_of_a_node_needs_a_rule_that_names_it_and_one_node(
    trial: Trial, recipe: str, path: str, nodes: list[str], outcome: str, reason: str
) -> None:
    storage = local_claim(path, *nodes)
    verified = checkpoint(recipe, "release")
    verified["status"]["volume"]["sourceHash"] = persistent_volume_hash(storage[1]["spec"])
    found = trial.answer(recipe, *storage, verified)
    assert (found["outcome"], found["reason"]) == (outcome, reason)


def test_a_host_path_is_refused_whether_or_not_it_is_the_same_folder(trial: Trial) -> None:
    direct = pod_spec(volume("model", hostPath={"path": "/mnt/models"}))
    found = trial.answer("local-storage", spec=direct)
    assert (found["outcome"], found["reason"]) == ("Deny", "VolumeForbidden")


@pytest.mark.parametrize(
    ("action", "path", "reason"),
    [
        pytest.param("Ignore", "/var/log", "NotGoverned", id="an agent that a rule lets in"),
        pytest.param("Ignore", "/var/lib/kubelet", "HostPathAlias", id="what no rule opens"),
        pytest.param("Verify", "/var/log", "NoCheckpoint", id="a folder that is to be verified"),
    ],
)
def test_a_rule_lets_an_agent_of_the_node_in_but_not_to_other_pods_volumes(
    trial: Trial, tmp_path: Path, action: str, path: str, reason: str
) -> None:
    policy = yaml.safe_load((RECIPES / "enforce.yaml").read_text())
    policy["spec"]["volumes"]["rules"] += [{"hostPath": {"paths": [path]}, "action": action}]
    (tmp_path / "ours.yaml").write_text(json.dumps(policy))
    agent = pod_spec(volume("model", hostPath={"path": path}))
    assert trial.answer(str(tmp_path / "ours"), spec=agent)["reason"] == reason


def test_watching_lets_agents_of_the_node_run(trial: Trial) -> None:
    agent = pod_spec(volume("model", hostPath={"path": "/var/lib/kubelet"}))
    found = trial.answer("watch", spec=agent)
    assert (found["outcome"], found["reason"]) == ("Allow", "HostPathAlias")
