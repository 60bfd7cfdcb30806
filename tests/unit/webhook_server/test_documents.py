"""Reviews of pods: read in one go or in parts, they say the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightlock.errors import Malformed
from weightlock_webhook import documents
from weightlock_webhook.documents import PodRequest

Object = dict[str, Any]

REQUEST: Object = {
    "uid": "u",
    "kind": {"group": "", "version": "v1", "kind": "Pod"},
    "resource": {"group": "", "version": "v1", "resource": "pods"},
    "operation": "CREATE",
}
GOOD: Object = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": []}}
ANYTHING: st.SearchStrategy[Any] = st.sampled_from(
    [None, 5, "x", [], {}, [{}], {"a": 1}, {"name": 5}, GOOD]
)
OBJECTS = (
    st.fixed_dictionaries({}, optional={"spec": ANYTHING, "metadata": ANYTHING, "odd": ANYTHING})
    | ANYTHING
)


def review(request: Object, **outside: Any) -> bytes:
    document = {"apiVersion": documents.API_VERSION, "kind": documents.KIND, "request": request}
    return json.dumps({**document, **outside}).encode()


def said(body: bytes, *, has_pod: bool) -> Any:
    """What a review is read as, or why it is not."""
    try:
        request = documents.request_of(body, has_pod=has_pod)
        pod = documents.pod_of(request)
    except Malformed as error:
        return error.message
    parts = (request.uid, request.namespace, request.is_dry_run, bytes(request.old_object))
    return dict(pod.spec), pod.metadata, parts


@given(
    st.fixed_dictionaries({}, optional={"object": OBJECTS, "oldObject": OBJECTS}),
    st.fixed_dictionaries({}, optional={"uid": ANYTHING, "dryRun": st.booleans() | st.none()}),
    st.fixed_dictionaries({}, optional={"kind": ANYTHING, "apiVersion": st.just("v2")}),
)
def test_law_how_a_review_is_read_changes_nothing(
    objects: Object, more: Object, outside: Object
) -> None:
    body = review({**REQUEST, **objects, **more}, **outside)
    assert said(body, has_pod=True) == said(body, has_pod=False)


@pytest.mark.parametrize(
    "objects",
    [{}, {"object": None}, {"object": {}}, {"object": {"spec": []}}, {"object": {"spec": None}}],
    ids=str,
)
def test_a_pod_that_is_not_there_is_never_made_up(objects: Object) -> None:
    body = review({**REQUEST, **objects})
    assert isinstance(said(body, has_pod=True), str)


def test_a_pod_is_read_in_one_go() -> None:
    body = review({**REQUEST, "object": GOOD})
    assert isinstance(documents.request_of(body, has_pod=True), PodRequest)
    assert not isinstance(documents.request_of(body), PodRequest)
