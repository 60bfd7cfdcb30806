"""Replies of the API server, from bytes."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weightlock_webhook.cache.errors import Unreachable
from weightlock_webhook.cache.incoming import MOST_HEAD_BYTES, Incoming
from weightlock_webhook.reviews.collaborators import Reply

MOST = 100_000


def head(*lines: str, status: str = "HTTP/1.1 200 OK") -> bytes:
    return "\r\n".join([status, *lines, "", ""]).encode()


def with_length(body: bytes, *lines: str) -> bytes:
    return head(f"Content-Length: {len(body)}", *lines) + body


def in_chunks(*chunks: bytes, trailer: bytes = b"") -> bytes:
    parts = b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in chunks)
    return head("Transfer-Encoding: chunked") + parts + b"0\r\n" + trailer + b"\r\n"


def read(data: bytes, cuts: list[int] | None = None) -> Reply | None:
    incoming, found = Incoming(MOST), None
    edges = [0, *sorted(cut % len(data) for cut in cuts or ()), len(data)]
    for begin, end in pairwise(edges):
        assert found is None
        if begin < end:
            found = incoming.feed(data[begin:end])
    return found


BODIES = st.binary(max_size=300)
CUTS = st.lists(st.integers(0, 10_000), max_size=6)


@given(BODIES, CUTS)
def test_law_a_body_with_a_length_is_read_however_it_is_cut(body: bytes, cuts: list[int]) -> None:
    assert read(with_length(body), cuts) == Reply(200, body)


@given(st.lists(st.binary(min_size=1, max_size=80), max_size=5), CUTS)
def test_law_chunks_are_read_however_they_are_cut(chunks: list[bytes], cuts: list[int]) -> None:
    assert read(in_chunks(*chunks), cuts) == Reply(200, b"".join(chunks))


@given(CUTS)
def test_extensions_and_trailers_are_skipped(cuts: list[int]) -> None:
    data = head("transfer-encoding: chunked") + b"3;a=b\r\nabc\r\n0\r\nX: y\r\n\r\n"
    assert read(data, cuts) == Reply(200, b"abc")


def test_a_status_without_a_body_is_whole() -> None:
    assert read(head(status="HTTP/1.1 204 No Content")) == Reply(204, b"")
    assert read(head("content-length: 0", status="HTTP/1.1 404 Not Found")) == Reply(404, b"")


def test_nothing_is_an_answer_before_its_end() -> None:
    for data in (with_length(b"abc"), in_chunks(b"abc"), in_chunks(b"a", trailer=b"X: y\r\n")):
        for end in range(1, len(data)):
            assert Incoming(MOST).feed(data[:end]) is None


def test_what_has_come_and_what_will_close_is_known() -> None:
    assert Incoming(MOST).is_untouched
    begun, closing = Incoming(MOST), Incoming(MOST)
    begun.feed(b"H")
    assert closing.feed(with_length(b"a", "Connection: close"))
    assert (begun.is_untouched, begun.is_last) == (False, False)
    assert (closing.is_untouched, closing.is_last) == (False, True)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(with_length(b"abc") + b"x", "more than one", id="more after the end"),
        pytest.param(in_chunks(b"abc") + b"x", "more than one", id="more after the chunks"),
        pytest.param(head("A: b"), "where it ends", id="no length"),
        pytest.param(head("content-length: x"), "where it ends", id="no number"),
        pytest.param(head("content-length: -1"), "where it ends", id="a negative length"),
        pytest.param(
            head("content-length: 1", "content-length: 2"), "where it ends", id="two lengths"
        ),
        pytest.param(
            head("content-length: 1", "transfer-encoding: chunked"), "where it ends", id="both"
        ),
        pytest.param(head("transfer-encoding: gzip"), "where it ends", id="another coding"),
        pytest.param(
            head("content-length: 0", status="HTTP/1.0 200 OK"), "not HTTP/1.1", id="an old server"
        ),
        pytest.param(
            head("content-length: 0", status="HTTP/1.1 100 Continue"), "not HTTP/1.1", id="interim"
        ),
        pytest.param(b"SSH-2.0\r\n\r\n", "not HTTP/1.1", id="another protocol"),
        pytest.param(b"x" * (MOST_HEAD_BYTES + 1), "too long", id="an endless head"),
        pytest.param(head(f"content-length: {MOST + 1}"), "more than", id="too long a body"),
        pytest.param(
            head("transfer-encoding: chunked") + b"fffff\r\n", "more than", id="too long a chunk"
        ),
        pytest.param(head("transfer-encoding: chunked") + b"zz\r\n", "not in chunks", id="no size"),
        pytest.param(
            head("transfer-encoding: chunked") + b"1" * 300, "not in chunks", id="endless size"
        ),
        pytest.param(
            head("transfer-encoding: chunked") + b"1\r\nabc\r\n", "longer than", id="a wrong size"
        ),
    ],
)
def test_anything_else_is_no_answer(data: bytes, words: str) -> None:
    with pytest.raises(Unreachable, match=words):
        Incoming(MOST).feed(data)
