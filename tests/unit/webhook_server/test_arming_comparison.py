"""Which differences from what was shipped count, and where that is read (A05)."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from tests.unit.webhook_server.armed import (
    SHIPPED,
    TEXT,
    VALIDATING_SHIPPED,
    Object,
    Site,
    defaulted,
    edited,
    path_of_kind,
    run,
)

from weightlock.errors import Malformed, Unreadable
from weightlock_webhook.arming.comparison import (
    MUTATING,
    PLURALS,
    VALIDATING,
    Arming,
    Configuration,
    arming_of,
)
from weightlock_webhook.arming.marker import is_disarmed, mark
from weightlock_webhook.arming.restoring import (
    bundle_patch,
    decoded_bundle,
    document_of,
    encoded_bundle,
    entries_of,
)
from weightlock_webhook.arming.shipped import ShippedFile, configurations_in, read
from weightlock_webhook.arming.tokens import (
    BARE,
)


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


def test_annotations_of_the_installer_are_shipped_too(tmp_path: Path) -> None:
    path = tmp_path / "shipped.yaml"
    path.write_text(TEXT)
    for each in ShippedFile(path, {"a": "b"})():
        assert each.document["metadata"]["annotations"]["a"] == "b"  # type: ignore[index]
        assert each.webhooks == next(it for it in SHIPPED if it.kind == each.kind).webhooks


OF_INJECTOR = "b3RoZXIgYnVuZGxl"


def inject(site: Site, bundle: str = OF_INJECTOR) -> None:
    """What cert-manager's cainjector does, by an update of the whole object."""
    for kind in PLURALS:
        document = copy.deepcopy(site.live(kind))
        for webhook in document["webhooks"]:
            webhook["clientConfig"]["caBundle"] = bundle
        site.cluster.put(path_of_kind(kind), document)


def bundles_of(site: Site) -> set[str]:
    return {
        webhook["clientConfig"].get("caBundle", "")
        for kind in PLURALS
        for webhook in site.live(kind)["webhooks"]
    }


@pytest.mark.parametrize("bundle", [OF_INJECTOR, "w6TDtsO8", "no base64"])
def test_a_bundle_that_is_not_ours_stays_whatever_is_put_right(bundle: str) -> None:
    async def test() -> None:
        site = Site(own=False)
        await site.rounds()
        inject(site, bundle)
        await site.rounds()
        site.live(VALIDATING)["webhooks"][0]["failurePolicy"] = "Ignore"
        await site.rounds()
        assert (site.is_armed, bundles_of(site)) == (True, {bundle})
        site.live(MUTATING)["webhooks"][0]["timeoutSeconds"] = 1
        del site.live(MUTATING)["webhooks"][0]["clientConfig"]["caBundle"]
        await site.rounds()
        assert (site.is_armed, bundles_of(site)) == (True, {bundle}), "as the other one says"
        for kind in PLURALS:
            del site.cluster.objects[path_of_kind(kind)]
        await site.rounds()
        assert (site.is_armed, bundles_of(site)) == (True, {bundle}), "as it was last seen"

    run(test())


def test_whoever_writes_at_the_same_time_is_not_written_over() -> None:
    async def test() -> None:
        site = Site(own=False)
        await site.rounds()
        found = await site.store.configuration(VALIDATING, "weightlock")
        assert found is not None
        inject(site)
        await site.store.replace(found, entries_of(VALIDATING_SHIPPED, "", BARE))
        assert bundles_of(site) == {OF_INJECTOR}
        await site.rounds()
        assert (site.is_armed, bundles_of(site)) == (True, {OF_INJECTOR})

    run(test())


def test_what_is_put_back_has_the_annotations_that_were_shipped_and_those_that_were_seen() -> None:
    shipped = Configuration(
        VALIDATING,
        "weightlock",
        {**VALIDATING_SHIPPED.document, "metadata": {"annotations": {"a": "1", "b": "1"}}},
    )
    seen = Configuration(VALIDATING, "weightlock", {"metadata": {"annotations": {"b": "2"}}})
    for last, expected in ((seen, {"a": "1", "b": "2"}), (None, {"a": "1", "b": "1"})):
        metadata = document_of(shipped, "", BARE, last)["metadata"]
        assert metadata == {"name": "weightlock", "annotations": expected}


def test_the_shipped_file_is_the_manifest() -> None:
    assert len(list(yaml.safe_load_all(TEXT))) == 2
