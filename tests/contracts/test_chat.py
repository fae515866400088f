"""Chat messages: their fields, limits and needed capabilities, and refused arguments."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from moorage import InvalidData
from moorage.contracts.chat import ChatCapability, ChatMessage, LinkButton, check_fits
from moorage.contracts.ref import Ref
from moorage.hub.hub import Hub
from moorage.packing import pack, unpack

URL = "https://erp.example/orders/1042"
MOMENT = datetime(2031, 5, 6, tzinfo=UTC)


def test_fields_are_a_table_or_pairs() -> None:
    """Fields may be passed as a table or as a list of pairs, and keep their order."""
    from_table = ChatMessage(text="a", fields={"Order": "1042", "Total": "1.00"})

    assert (("Order", "1042"), ("Total", "1.00")) == from_table.fields
    assert from_table == ChatMessage(text="a", fields=[("Order", "1042"), ("Total", "1.00")])


def test_message_survives_a_store() -> None:
    """A message with all its fields can be packed and read back."""
    message = ChatMessage(
        text="a",
        channel="orders",
        title="b",
        fields={"c": "d"},
        buttons=[LinkButton("Open", URL)],
        silent=True,
        send_at=MOMENT,
        extra={"slack": {"icon_emoji": ":truck:"}},
    )

    assert message == unpack(pack(message))


@pytest.mark.parametrize(
    "fields, field",
    [
        ({"text": ""}, "text"),
        ({"text": " \n"}, "text"),
        ({"text": 1}, "text"),
        ({"text": "\ud800"}, "text"),
        ({"channel": 1}, "channel"),
        ({"title": b"a"}, "title"),
        ({"fields": "ab"}, "fields"),
        ({"fields": ["ab"]}, "fields"),
        ({"fields": [("a", "b", "c")]}, "fields"),
        ({"fields": {1: "a"}}, "fields"),
        ({"fields": {"a": 1}}, "fields.a"),
        ({"fields": {"a": None}}, "fields.a"),
        ({"buttons": [URL]}, "buttons[0]"),
        ({"silent": 1}, "silent"),
        ({"send_at": datetime(2031, 5, 6)}, "send_at"),  # noqa: DTZ001 - is refused
        ({"extra": []}, "extra"),
    ],
)
def test_wrong_fields_are_refused(fields: dict[str, Any], field: str) -> None:
    """A message with a wrong field is refused; the error contains the field's name."""
    options: dict[str, Any] = {"text": "a", **fields}
    with pytest.raises(InvalidData) as excinfo:
        ChatMessage(**options)
    assert field == excinfo.value.field


@pytest.mark.parametrize(
    "url",
    ["", "erp.example", "http://erp.example", "javascript:alert(1)", "https://", "https://a b"],
)
def test_button_opens_a_secure_page(url: str) -> None:
    """A button's URL must begin with https://."""
    with pytest.raises(InvalidData, match="must be an https:// address") as excinfo:
        LinkButton("Open", url)
    assert "url" == excinfo.value.field


def test_url_of_a_button_is_a_text() -> None:
    """A button's URL must be a str."""
    number: Any = 1
    with pytest.raises(InvalidData, match="must be a str, not an int") as excinfo:
        LinkButton("Open", number)
    assert "url" == excinfo.value.field


def test_button_needs_a_label() -> None:
    """A button without a label is refused."""
    with pytest.raises(InvalidData, match="label is empty"):
        LinkButton(" ", URL)


def test_message_needs_a_capability_for_each_special_field() -> None:
    """A message needs a capability for each special field that it uses, and no other capability."""
    assert frozenset() == ChatMessage(text="a", title="b", fields={"c": "d"}).needs
    message = ChatMessage(
        text="a", channel="b", silent=True, send_at=MOMENT, buttons=[LinkButton("c", URL)]
    )
    assert message.needs == {
        ChatCapability.CHANNEL,
        ChatCapability.SILENT,
        ChatCapability.SCHEDULED,
        ChatCapability.BUTTONS,
    }


@pytest.mark.parametrize(
    "limits, field",
    [
        ({"text": 1}, "text"),
        ({"title": 2}, "title"),
        ({"buttons": 1}, "buttons"),
        ({"button_label": 3}, "buttons"),
    ],
)
def test_message_above_a_limit_of_the_vendor_is_refused(limits: dict[str, int], field: str) -> None:
    """A message above a vendor's limit is refused, and one at the limit is accepted."""
    message = ChatMessage(text="ab", title="abc", buttons=[LinkButton("abcd", URL)] * 2)

    with pytest.raises(InvalidData, match="at most") as excinfo:
        check_fits(message, limits)
    assert field == excinfo.value.field
    check_fits(message, {name: limit + 1 for name, limit in limits.items()})
    check_fits(message, {})


@pytest.mark.parametrize(
    "operation, fields, field",
    [
        ("reply", {"channel": "a"}, "channel"),
        ("edit", {"channel": "a"}, "channel"),
        ("edit", {"silent": True}, "silent"),
        ("edit", {"send_at": MOMENT}, "send_at"),
    ],
)
def test_existing_message_takes_no_channel_and_no_time(
    operation: str, fields: dict[str, Any], field: str
) -> None:
    """A reply has no channel, and an edited message has no channel, `silent` or `send_at`."""
    chat = Hub([]).chat()
    with pytest.raises(InvalidData) as excinfo:
        getattr(chat, operation)(Ref("slack", "team", "1"), ChatMessage(text="a", **fields))
    assert field == excinfo.value.field


@pytest.mark.parametrize("operation", ["send", "reply", "edit"])
def test_string_instead_of_a_message_is_refused(operation: str) -> None:
    """A str instead of a message is refused."""
    arguments = ["Hello."] if operation == "send" else [Ref("slack", "team", "1"), "Hello."]
    with pytest.raises(InvalidData, match="must be a ChatMessage"):
        getattr(Hub([]).chat(), operation)(*arguments)
