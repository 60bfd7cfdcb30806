"""What goes back over the wire."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightlock_webhook.guards.refusals import Refusal
from weightlock_webhook.replies import encoded, review
from weightlock_webhook.responses import Response, allowed, document_of, refused

RESPONSES = st.sampled_from(
    [
        allowed(),
        allowed(warnings=("w",)),
        refused(Refusal("Malformed", '"uid":"",', 400)),
        Response(True, "Allow", "Hold", patch=({"op": "add", "path": "/x", "value": 1},)),
    ]
)


@given(st.text(max_size=40) | st.uuids().map(str), RESPONSES)
def test_law_a_review_is_what_would_be_encoded(uid: str, response: Response) -> None:
    assert review(uid, response.rest) == encoded(document_of(uid, response))


@pytest.mark.parametrize("uid", ['"', "\\", 'a","allowed":true,"x":"', "UID", "", "é", "\n"])
def test_no_uid_can_end_its_string(uid: str) -> None:
    response = refused(Refusal("Malformed", "x"))
    assert review(uid, response.rest) == encoded(document_of(uid, response))
