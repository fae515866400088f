"""Server-sent events are decoded from a stream that is split anywhere."""

from __future__ import annotations

import pytest

from moorage.domain.http.server_sent_events import EventDecoder, ServerSentEvent
from moorage.errors import VendorFailed

STREAM = (
    "\ufeff: a comment\n\n"
    "event: ping\ndata: {}\n\n"
    "data: first\r\ndata:second\r\nid: 7\r\nretry: 10\r\n\r\n"
    "event: empty\n\n"
    "data\rdata:  ü\r\r"
    "data: unfinished\n"
).encode()
EVENTS = [
    ServerSentEvent("ping", "{}"),
    ServerSentEvent("message", "first\nsecond"),
    ServerSentEvent("message", "\n ü"),
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1_000])
def test_events_are_the_same_for_pieces_of_any_size(size: int) -> None:
    """Line ends of all kinds, comments and unknown fields are read in pieces of any size."""
    decoder = EventDecoder()
    pieces = [STREAM[start : start + size] for start in range(0, len(STREAM), size)]
    assert EVENTS == [event for piece in pieces for event in decoder.feed(piece)]


def test_bytes_that_are_no_text_are_replaced() -> None:
    """Invalid UTF-8 becomes a replacement character."""
    assert [ServerSentEvent("message", "a\ufffd")] == EventDecoder().feed(b"data: a\xff\n\n")


@pytest.mark.parametrize("line", [b"x" * 65_536, b"data: x\n" * 8_192], ids=["line", "lines"])
def test_too_large_event_is_refused(line: bytes) -> None:
    """An event that never ends is refused instead of filling the memory."""
    decoder = EventDecoder()

    def feed_many() -> None:
        for _ in range(200):
            decoder.feed(line)

    with pytest.raises(VendorFailed, match="more than 4 MiB"):
        feed_many()
