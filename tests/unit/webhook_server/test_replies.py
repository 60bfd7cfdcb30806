"""What goes back over the wire."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from weightlock_webhook.replies import ResponseDocument, allowance, encoded
from weightlock_webhook.responses import allowed, document_of


@given(st.text(max_size=40) | st.uuids().map(str))
def test_law_a_bare_allowance_is_what_would_be_encoded(uid: str) -> None:
    assert allowance(uid) == encoded(document_of(uid, allowed()))


def test_no_uid_can_end_its_string() -> None:
    for uid in ('"', "\\", 'a","allowed":true,"x":"', "UID", "", "é", "\n"):
        assert allowance(uid) == encoded(ResponseDocument(uid, True))
