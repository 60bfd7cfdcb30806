"""Which differences from what was shipped count, and where that is read (A05)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from tests.unit.webhook_server.armed import (
    SHIPPED,
    TEXT,
    VALIDATING_SHIPPED,
    Object,
    defaulted,
    edited,
)

from weightlock.errors import Malformed, Unreadable
from weightlock_webhook.arming.comparison import (
    VALIDATING,
    Arming,
    Configuration,
    arming_of,
)
from weightlock_webhook.arming.marker import is_disarmed, mark
from weightlock_webhook.arming.restoring import (
    bundle_patch,
    decoded_bundle,
    encoded_bundle,
)
from weightlock_webhook.arming.shipped import ShippedFile, configurations_in, read


def test_what_the_api_server_fills_in_is_no_difference() -> None:
    for shipped in SHIPPED:
        live = Configuration(shipped.kind, "weightlock", defaulted(dict(shipped.document)))
        assert arming_of(shipped, live) is Arming.ARMED
    assert arming_of(VALIDATING_SHIPPED, None) is Arming.MISSING


def drop(key: str) -> Callable[[Object], object]:
    return lambda webhook: webhook.pop(key)


def put(key: str, value: object) -> Callable[[Object], object]:
    return lambda webhook: webhook.update({key: value})


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(put("failurePolicy", "Ignore"), id="optional"),
        pytest.param(put("rules", []), id="no rules"),
        pytest.param(put("timeoutSeconds", 1), id="a short wait"),
        pytest.param(drop("timeoutSeconds"), id="the default wait"),
        pytest.param(put("objectSelector", {"matchLabels": {"skip": "no"}}), id="a selector"),
        pytest.param(put("namespaceSelector", {}), id="no selector"),
        pytest.param(
            put("matchConditions", [{"name": "x", "expression": "false"}]), id="a condition"
        ),
        pytest.param(put("somethingNew", 1), id="a field that nobody knows"),
        pytest.param(put("name", "other.weightlock.dev"), id="another name"),
        pytest.param(
            put("clientConfig", {"service": {"name": "x", "namespace": "y"}}), id="another service"
        ),
        pytest.param(put("clientConfig", {"url": "https://evil.example"}), id="another address"),
        pytest.param(lambda webhook: webhook["rules"][0]["operations"].remove("UPDATE"), id="less"),
        pytest.param(lambda webhook: webhook["rules"][0].update(scope="Cluster"), id="no scope"),
    ],
)
def test_any_other_is_one(change: Callable[[Object], object]) -> None:
    assert arming_of(VALIDATING_SHIPPED, edited(change)) is Arming.EDITED


def test_the_order_of_operations_is_no_difference_but_a_missing_webhook_is() -> None:
    turned = edited(lambda webhook: webhook["rules"][0]["operations"].reverse())
    assert arming_of(VALIDATING_SHIPPED, turned) is Arming.ARMED
    document = {**VALIDATING_SHIPPED.document, "webhooks": VALIDATING_SHIPPED.webhooks[1:]}
    assert arming_of(VALIDATING_SHIPPED, Configuration(VALIDATING, "w", document)) is Arming.EDITED


def test_a_bundle_is_patched_and_nothing_else() -> None:
    live = Configuration(VALIDATING, "weightlock", defaulted(dict(VALIDATING_SHIPPED.document)))
    operations = bundle_patch(live, "PEM")
    assert len(operations) == 2 * len(live.webhooks)
    assert {each["op"] for each in operations} == {"test", "add"}
    assert decoded_bundle(encoded_bundle("PEM")) == "PEM"
    assert decoded_bundle("!") == ""


def test_a_mark_is_for_the_configurations_of_its_time() -> None:
    data = mark(["u1", "", "u2"])
    assert is_disarmed(data, [])
    assert is_disarmed(data, ["u2"])
    assert not is_disarmed(data, ["u2", "u3"])
    assert not is_disarmed({}, [])
    assert not is_disarmed({**data, "disarmed": "false"}, [])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: [",
        "kind: ValidatingWebhookConfiguration",
        TEXT.split("---")[0],
        f"{TEXT}\n---\n{TEXT}",
        f"{TEXT}\n---\napiVersion: v1\nkind: Secret\n",
    ],
    ids=["nothing", "no YAML", "no version", "one", "two of each", "something else"],
)
def test_a_file_that_is_not_both_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        configurations_in(text)


def test_the_file_is_read_anew_and_a_broken_one_ignored(tmp_path: Path) -> None:
    path = tmp_path / "shipped.yaml"
    with pytest.raises(Unreadable):
        read(path)
    path.write_text(TEXT)
    file = ShippedFile(path)
    assert file() == SHIPPED
    path.write_text("nonsense: [")
    assert file() == SHIPPED
    path.write_text(TEXT.replace("timeoutSeconds: 5", "timeoutSeconds: 6"))
    assert file() != SHIPPED


def test_the_shipped_file_is_the_manifest() -> None:
    assert len(list(yaml.safe_load_all(TEXT))) == 2
