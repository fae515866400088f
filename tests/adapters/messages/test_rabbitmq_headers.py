"""Unreadable properties are removed from the content headers of AMQP messages."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from moorage.adapters.messages._rabbitmq_headers import readable_header

_END = b"\xce"
_TIME = datetime(2026, 11, 25, tzinfo=UTC)
_AT = datetime(2026, 1, 2, tzinfo=UTC)
_MICROSECONDS = (1_700_000_000_000_000).to_bytes(8)
_ALL: dict[str, Any] = {
    "content_type": "text/plain",
    "content_encoding": "gzip",
    "headers": {"name": "T\u00fcr", "at": _AT, "n": 1},
    "delivery_mode": 2,
    "priority": 3,
    "correlation_id": "c",
    "reply_to": "r",
    "expiration": "60000",
    "message_id": "\u00fc" * 100,
    "timestamp": _TIME,
    "message_type": "order",
    "user_id": "guest",
    "app_id": "shop",
}


def _seconds(time: datetime) -> bytes:
    return int(time.timestamp()).to_bytes(8)


def content_of(**properties: Any) -> bytes:
    """Return the content of a header frame, with the byte that ends the frame."""
    return ContentHeader(0, 7, Basic.Properties(**properties)).marshal() + _END


def decoded(content: bytes) -> dict[str, Any]:
    """Return the properties that the client library decodes."""
    header = ContentHeader()
    header.unmarshal(content)
    assert header.body_size == 7
    return {name: value for name, value in header.properties if value}


@pytest.mark.parametrize("names", [(), ("timestamp",), ("headers", "message_id"), tuple(_ALL)])
def test_readable_properties_are_unchanged(names: tuple[str, ...]) -> None:
    """A header with readable properties stays as it is."""
    content = content_of(**{name: _ALL[name] for name in names})
    assert content == readable_header(content)


@pytest.mark.parametrize(
    "name, readable, unreadable",
    [
        ("timestamp", _seconds(_TIME), _MICROSECONDS),
        ("headers", b"\x02atT" + _seconds(_AT), b"\x02atT" + _MICROSECONDS),
        ("headers", b"\x04nameS", b"\x04\xffameS"),
        ("message_type", b"\x05order", b"\x05\xff\xffder"),
    ],
)
def test_unreadable_property_is_left_out(name: str, readable: bytes, unreadable: bytes) -> None:
    """Removing an unreadable property keeps the header's length and all its other properties."""
    content = content_of(**_ALL)
    assert 1 == content.count(readable)
    spoiled = content.replace(readable, unreadable)
    with pytest.raises(ValueError, match=r"year|decode"):
        decoded(spoiled)

    mended = readable_header(spoiled)

    assert (len(content), _END) == (len(mended), mended[-1:])
    assert {item: value for item, value in _ALL.items() if item != name} == decoded(mended)


def test_header_that_ends_too_early_is_left_to_the_library() -> None:
    """A header whose properties are longer than the frame stays as it is."""
    content = content_of(message_id="abc", message_type="d")[:-4] + _END
    assert content == readable_header(content)
