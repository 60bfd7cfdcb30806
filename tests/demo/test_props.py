"""The things in the story are what the story says they are."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.charts import CHART, HELM, NAMESPACE, RELEASE, run

from demo.__main__ import EPILOGUE
from demo.props import RELEASE as RELEASED
from demo.props import document, flip_one_byte, make_checkpoint, policy, storage, trainer
from demo.scene import VALUES
from demo.story import damage
from demo.watching import NOTHING, ZERO, asked, through_the_api_server
from e2e.images.archive import CONTAINERD_NAME
from e2e.images.product import OPERATOR, VERIFIER_CPU, WEBHOOK
from e2e.install import images_in
from e2e.prometheus.server import Target
from weightlock.algorithms import ML_DSA_65
from weightlock.formats.segments import safetensors_segments
from weightlock.policy.objects import Policy
from weightlock.policy.signatures import ClassicalAction
from weightlock.policy.spec import Enforcement, OnUnverified

ROOT = Path(__file__).resolve().parents[2]
ALL = (OPERATOR, WEBHOOK, VERIFIER_CPU)
DIGEST = "sha256:" + 64 * "a"
EXAMPLE = yaml.safe_load((ROOT / "docs" / "examples" / "policy.yaml").read_text())
KEY = EXAMPLE["spec"]["signatures"]["authorities"][0]["publicKey"]


def archive(path: Path, *names: str) -> Path:
    manifests = [{"annotations": {CONTAINERD_NAME: name}} for name in names]
    content = json.dumps({"manifests": manifests}).encode()
    entry = tarfile.TarInfo("index.json")
    entry.size = len(content)
    with tarfile.open(path, "w") as tar:
        tar.addfile(entry, io.BytesIO(content))
    return path


def test_one_bit_is_flipped_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(bytes(1000))
    where = flip_one_byte(path)
    after = path.read_bytes()
    assert [index for index, byte in enumerate(after) if byte] == [where]
    assert after[where].bit_count() == 1


def test_a_checkpoint_is_safetensors(tmp_path: Path) -> None:
    make_checkpoint(tmp_path / "model", seed=1)
    data = (tmp_path / "model" / "model.safetensors").read_bytes()
    header = data[8 : 8 + int.from_bytes(data[:8], "little")]
    segments = safetensors_segments(header, len(data))
    assert segments is not None
    assert len(segments) == 5  # four tensors, and the header before them


def test_the_policy_is_one_and_says_what_the_story_says(tmp_path: Path) -> None:
    made = policy(KEY, KEY, tmp_path)
    # The story's second key is of ECDSA; here one is enough to read the rest.
    made["spec"]["signatures"]["authorities"].pop()
    made["spec"]["signatures"]["rules"][0]["authorities"].pop()
    (read,) = yaml.safe_load_all(document(made))
    spec = Policy.from_object(read).spec
    assert spec.enforcement is Enforcement.ENFORCE
    assert spec.on_unverified is OnUnverified.HOLD
    assert spec.auto_register
    assert spec.signatures.classical.action is ClassicalAction.DENY
    assert spec.signatures.authorities[0].algorithm == ML_DSA_65


def test_claim_volume_and_pod_name_one_another(tmp_path: Path) -> None:
    volume, claim = storage(RELEASED, tmp_path, "node")
    assert volume["spec"]["claimRef"]["name"] == claim["metadata"]["name"] == RELEASED
    assert claim["spec"]["volumeName"] == volume["metadata"]["name"]
    (mounted,) = trainer("trainer", RELEASED)["spec"]["volumes"]
    assert mounted["persistentVolumeClaim"] == {"claimName": RELEASED, "readOnly": True}


@pytest.mark.parametrize(
    ("names", "images"),
    [
        pytest.param(
            [f"{each.name.removesuffix(':dev')}@{DIGEST}" for each in ALL],
            {"digest": DIGEST},
            id="named by digest",
        ),
        pytest.param([OPERATOR.name], {"tag": "dev"}, id="named by tag only"),
    ],
)
def test_the_chart_takes_the_demos_values(
    tmp_path: Path, names: list[str], images: dict[str, str]
) -> None:
    found = images_in(archive(tmp_path / "images.tar", *names))
    assert found["operator"] == {"repository": "weightlock.test/operator", **images}
    values = tmp_path / "values.yaml"
    values.write_text(json.dumps({"images": found, **VALUES}))
    shown = run([HELM, "template", RELEASE, CHART, "--namespace", NAMESPACE, "--values", values])
    assert "imagePullPolicy: Never" in shown


def test_prometheus_scrapes_through_the_api_server(tmp_path: Path) -> None:
    inline = {"certificate-authority-data": "Y2E=", "client-certificate-data": "Y2VydA=="}
    user: dict[str, Any] = {**inline, "client-key-data": "a2V5"}
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        json.dumps({"clusters": [{"cluster": inline}], "users": [{"user": user}]})
    )
    target = Target("weightlock-webhook", "pod", "127.0.0.1:6443", "/proxy/metrics")
    (scrape,) = through_the_api_server(kubeconfig, [target], tmp_path)["scrape_configs"]
    assert scrape["scheme"] == "https"
    assert Path(scrape["tls_config"]["key_file"]).read_text() == "key"
    assert Path(scrape["tls_config"]["key_file"]).stat().st_mode & 0o077 == 0


def test_reasons_are_given_only_for_what_is_asked() -> None:
    assert set(NOTHING) | set(ZERO) <= set(asked())


def test_the_end_says_how_to_look_around_and_how_to_clean_up() -> None:
    assert "make demo-down" in EPILOGUE
    assert "weightlock why" in EPILOGUE


def test_the_damage_is_looked_for_where_the_operator_says_it_is() -> None:
    message = "'model.safetensors': differs from what was signed in bytes 8 to 16"
    assert [where in damage(message) for where in (7, 8, 15, 16)] == [False, True, True, False]
    assert not damage("'model.safetensors': is missing")
