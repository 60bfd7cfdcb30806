"""A pod that the decoder lets pass is one about which the decision finds nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.policy.builders import policy
from tests.unit.webhook.cluster import facts

from weightlock.reasons import Reason
from weightlock_webhook.decision.answers import Outcome
from weightlock_webhook.decision.decide import answer_for
from weightlock_webhook.decision.governance import Governance
from weightlock_webhook.mounts.containers import KNOWN_CONTAINER_FIELDS, KNOWN_MOUNT_FIELDS
from weightlock_webhook.mounts.pods import KNOWN_POD_FIELDS
from weightlock_webhook.mounts.sources import KNOWN_PROJECTIONS, KNOWN_SOURCES
from weightlock_webhook.reviews.plain import PLAIN_SOURCES, is_plain

Object = dict[str, Any]

NAMES = st.sampled_from(["a", "b", "c"])
SOURCES: st.SearchStrategy[tuple[str, Object]] = st.one_of(
    st.fixed_dictionaries({}, optional={"medium": st.just("Memory"), "odd": st.just(1)}).map(
        lambda value: ("emptyDir", value)
    ),
    st.sampled_from(sorted(KNOWN_SOURCES | {"unheardOf"})).map(
        lambda kind: (kind, {"claimName": "llama", "path": "/x", "server": "s", "driver": "d"})
    ),
    st.sampled_from(sorted(KNOWN_PROJECTIONS | {"novelty"})).map(
        lambda kind: ("projected", {"sources": [{kind: {}}]})
    ),
    st.sampled_from(["configMap", "secret", "downwardAPI"]).map(lambda kind: (kind, {"name": "x"})),
)
VOLUMES = st.lists(st.tuples(NAMES, SOURCES), max_size=3, unique_by=lambda each: each[0])
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "hostPID": st.just(True),
        "shareProcessNamespace": st.just(True),
        "runtimeClassName": st.just("odd"),
        "nodeName": st.just("n"),
        "resourceClaims": st.just([{"name": "r", "resourceClaimName": "r"}]),
        "ephemeralContainers": st.just([{"name": "e", "image": "x"}]),
        "somethingNew": st.just(1),
        "os": st.just({"name": "windows"}),
    },
)


@st.composite
def pods(draw: st.DrawFn) -> Object:
    volumes = [{"name": name, kind: source} for name, (kind, source) in draw(VOLUMES)]
    mounts = [
        {
            "name": volume["name"],
            "mountPath": f"/m/{volume['name']}",
            **draw(st.sampled_from([{}, {"odd": 1}])),
        }
        for volume in volumes
    ]
    container: Object = {"name": "main", "image": "x", "volumeMounts": mounts}
    container.update(
        draw(st.sampled_from([{}, {"novel": 1}, {"securityContext": {"privileged": True}}]))
    )
    labels = draw(st.sampled_from([{}, {"app": "x"}, {"weightlock.dev/x": "1"}]))
    spec = {"containers": [container], "volumes": volumes, **draw(FIELDS)}
    return {"metadata": {"labels": labels}, "spec": spec}


POLICIES = [policy(), policy(enforcement="Warn"), policy(onUnverified="Hold")]
FACTS = facts(*POLICIES)


@settings(max_examples=400)
@given(pods())
def test_law_what_is_plain_is_nobodys_business(pod: Object) -> None:
    if is_plain(json.dumps(pod).encode()):
        assert FACTS.governance.leaves_plain_pods_alone
        answer = answer_for(pod["metadata"], pod["spec"], FACTS)
        assert (answer.outcome, answer.reason) == (Outcome.ALLOW, Reason.NOT_GOVERNED)
        assert not answer.objections


def plain() -> Object:
    volumes = [
        {"name": "a", "emptyDir": {}},
        {"name": "b", "configMap": {"name": "x"}},
        {"name": "c", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
        {"name": "d", "secret": {"secretName": "x"}},
        {"name": "e", "downwardAPI": {"items": []}},
    ]
    mounts = [{"name": each["name"], "mountPath": f"/{each['name']}"} for each in volumes]
    container = {"name": "m", "image": "x", "volumeMounts": mounts}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"labels": {"app": "x"}, "annotations": None, "managedFields": [{}]},
        "spec": {"containers": [container], "initContainers": None, "volumes": volumes},
        "status": {},
    }


def test_most_pods_are_plain() -> None:
    assert is_plain(json.dumps(plain()).encode())
    bare = {"metadata": {}, "spec": {"containers": [{"name": "m", "image": "x"}]}}
    assert is_plain(json.dumps(bare).encode())


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda pod: pod["spec"].update(novelty=1), id="a field of pods"),
        pytest.param(
            lambda pod: pod["spec"]["containers"][0].update(novelty=1), id="of containers"
        ),
        pytest.param(
            lambda pod: pod["spec"]["containers"][0]["volumeMounts"][0].update(novelty=1),
            id="of mounts",
        ),
        pytest.param(lambda pod: pod["spec"]["volumes"].append({"name": "z"}), id="no source"),
        pytest.param(
            lambda pod: pod["spec"]["volumes"][0].update(configMap={"name": "y"}), id="two sources"
        ),
        pytest.param(
            lambda pod: pod["spec"]["volumes"].append({"name": "z", "hostPath": {"path": "/"}}),
            id="a host path",
        ),
        pytest.param(
            lambda pod: pod["spec"]["volumes"][0]["emptyDir"].update(novelty=1), id="of emptyDir"
        ),
        pytest.param(
            lambda pod: pod["metadata"].update(labels={"weightlock.dev/x": ""}), id="ours"
        ),
        pytest.param(
            lambda pod: pod["metadata"].update(annotations={"weightlock.dev/x": ""}), id="ours too"
        ),
        pytest.param(lambda pod: pod["spec"].update(containers=5), id="nonsense"),
        pytest.param(lambda pod: pod.pop("spec"), id="no spec"),
        pytest.param(
            lambda pod: pod["spec"]["containers"][0].update(volumeDevices=[]), id="devices"
        ),
    ],
)
def test_whatever_else_there_is_is_looked_at_in_full(change: Any) -> None:
    pod = plain()
    change(pod)
    assert not is_plain(json.dumps(pod).encode())


def test_a_rule_about_scratch_space_ends_it() -> None:
    rules = [{"emptyDir": {}, "action": "Forbid"}]
    strict = policy(volumes={"default": "Ignore", "rules": rules})
    assert not Governance.of((strict,), "team-a", {}).leaves_plain_pods_alone
    assert Governance.of((), "team-a", {}).leaves_plain_pods_alone
    assert Governance.of(POLICIES, "team-a", {}).leaves_plain_pods_alone
    ignoring = policy(
        volumes={"default": "Verify", "rules": [{"emptyDir": {}, "action": "Ignore"}]}
    )
    assert Governance.of((ignoring,), "team-a", {}).leaves_plain_pods_alone


def test_the_decoder_knows_what_the_decision_knows() -> None:
    """A field that is added to the decision's lists is known here by itself."""
    assert PLAIN_SOURCES <= KNOWN_SOURCES
    assert KNOWN_POD_FIELDS
    assert KNOWN_CONTAINER_FIELDS
    assert KNOWN_MOUNT_FIELDS
