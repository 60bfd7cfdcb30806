"""What is known badly is not known."""

import msgspec
import pytest
from tests.unit.webhook.knowledge import GOOD, Claims, checkpoint_item
from tests.unit.webhook.world import NAMESPACE

from weightlock.errors import Malformed
from weightlock.policy.objects import PolicyKind
from weightlock_webhook import documents
from weightlock_webhook.cache.objects import (
    Metadata,
    PolicyItem,
)
from weightlock_webhook.cache.policies import Policies
from weightlock_webhook.cache.store import Store
from weightlock_webhook.gathering.lookups import Live
from weightlock_webhook.mounts import sources


def test_a_policy_that_is_no_json_cannot_be_decided_upon() -> None:
    index = Policies(Store("namespaces"))
    item = PolicyItem(Metadata("bad", "", "uid"), msgspec.Raw(b"{"))
    index.changed(PolicyKind.CLUSTER_MODEL_POLICY, None, item)
    (unread,) = index.governing("team-a").unread
    assert (unread.policy.origin, unread.view) == ("ClusterModelPolicy bad", None)
    assert "not plain JSON" in unread.policy.trouble.message
    index.changed(PolicyKind.CLUSTER_MODEL_POLICY, item, None)
    assert not index.governing("team-a").unread
    assert index.identities("team-a") == frozenset()


def test_live_reads_of_other_namespaces_are_no_business_of_this_one() -> None:
    item = checkpoint_item(GOOD)
    live = Live(Claims(), read_checkpoints={("team-b", "x"): item})
    assert tuple(live.checkpoints(NAMESPACE, sources.ClaimSource("llama", read_only=True))) == ()


@pytest.mark.parametrize("content", [b'{"spec": []}', b'{"spec": 5}', b"{}"])
def test_a_pod_without_a_spec_is_none(content: bytes) -> None:
    with pytest.raises(Malformed):
        documents.decoded(content, documents.POD, "pod")


def test_a_json_object_is_one_when_somebody_looks() -> None:
    found = documents.JsonObject(b'{"a": 1}')
    assert (dict(found), len(found), list(found)) == ({"a": 1}, 1, ["a"])
    with pytest.raises(Malformed):
        len(documents.JsonObject(b"{"))
