"""One object that no parser can read hides none of the others (D07)."""

import msgspec
import pytest

from weightlock_webhook.cache.decoding import decoded
from weightlock_webhook.cache.objects import ClaimItem, Event, Page

DEEP = b'{"f:x":' * 5000 + b"{}" + b"}" * 5000
CLAIM = b'{"metadata": {"name": "%s", "managedFields": [{"fieldsV1": %s}]}}'


def test_a_page_with_an_object_nested_too_deeply_is_read() -> None:
    page = b'{"metadata": {}, "items": [%s, %s]}' % (CLAIM % (b"a", DEEP), CLAIM % (b"b", b"{}"))
    found = decoded(msgspec.json.Decoder(Page[ClaimItem]), page)
    assert [each.metadata.name for each in found.items or ()] == ["a", "b"]


def test_an_event_about_one_is_read() -> None:
    line = b'{"type": "ADDED", "object": %s}' % (CLAIM % (b"a", DEEP))
    event = decoded(msgspec.json.Decoder(Event), line)
    item = decoded(msgspec.json.Decoder(ClaimItem), bytes(event.object))
    assert item.metadata.name == "a"


@pytest.mark.parametrize("content", [b"{", b"[]", DEEP[:-1], b'{"metadata": 5}'])
def test_what_is_no_such_document_stays_none(content: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        decoded(msgspec.json.Decoder(ClaimItem), content)
