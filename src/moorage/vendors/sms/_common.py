"""Helpers of SMS vendors: senders, prices, and error messages without telephone numbers."""

from __future__ import annotations

import re
from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.sms import Price, SmsMessage

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from moorage.contracts.sms_templates import TemplateMessage

    Kind = type[
        sdk.VendorRejected | sdk.VendorFailed | sdk.RateLimitExceeded | sdk.AuthenticationFailed
    ]

_NUMBER: Final = re.compile(r"\+?[0-9]{7,15}")
_DIGITS_OF_A_NUMBER: Final = re.compile(r"[1-9][0-9]{6,14}")


def sender_of(message: SmsMessage, usual: str | None, vendor: str) -> str:
    """A message's sender, for a vendor that requires one.

    Raises:
        InvalidData: neither the message nor the account has a sender.
    """
    sender = message.sender or usual
    if sender:
        return sender
    raise sdk.InvalidData(
        f"{vendor} requires a sender, but the message has none.",
        field="sender",
        remedy="Set the message's or the account's `sender`.",
    )


def template_sender(message: TemplateMessage, usual: str | None, vendor: str) -> str:
    """The sender of a message from a template; each channel has a separate sender.

    Args:
        message: message to send.
        usual: the account's sender on this channel.
        vendor: name of the vendor, for the error.

    Raises:
        InvalidData: neither the message nor the account has a sender on this channel.
    """
    sender = message.sender or usual
    if sender:
        return sender
    raise sdk.InvalidData(
        f"{vendor} needs a sender for a message over {message.channel}.",
        field="sender",
        remedy=f"Set the sender of the message, or the {message.channel}_sender of the account.",
    )


def international(path: str) -> Callable[[sdk.Answer], str | None]:
    """Return a function that adds the missing plus to a phone number; other senders are kept."""

    def read(fields: sdk.Answer) -> str | None:
        sender = fields.text(path)
        return (
            f"+{sender}" if sender is not None and _DIGITS_OF_A_NUMBER.fullmatch(sender) else sender
        )

    return read


def media_urls(path: str) -> Callable[[sdk.Answer], tuple[str, ...]]:
    """Return a function that reads the media URLs from the list at a path of a response."""

    def read(fields: sdk.Answer) -> tuple[str, ...]:
        urls = [item.text("url") for item in fields.objects(path)]
        return tuple(url for url in urls if url is not None)

    return read


def as_field(value: Any) -> str:
    """Return a value as the text of a form field."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def utc_text(moment: datetime) -> str:
    """A time in UTC, in milliseconds, such as `2031-05-06T07:08:09.123Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def as_price(amount: object, currency: str | None) -> Price | None:
    """A price; None if the amount or the currency is missing."""
    number = sdk.as_decimal(amount)
    return None if number is None or currency is None else Price(number, currency.upper())


def price(amount: str, currency: str) -> Callable[[sdk.Answer], Price | None]:
    """Return a function that reads a price; `currency` is a path, or a code in capitals."""
    if currency.isupper():
        return lambda fields: as_price(fields.value(amount), currency)
    return lambda fields: as_price(fields.value(amount), fields.text(currency))


def without_numbers(text: str) -> str:
    """A vendor's text without telephone numbers."""
    return _NUMBER.sub("(number)", text)


def refusal(
    kind: Kind, vendor: str, response: sdk.Response, code: str | None, words: str | None
) -> sdk.ConnectorError:
    """Return the error for an error response, with the vendor's text without telephone numbers."""
    return sdk.refusal(kind, vendor, response, code, words and without_numbers(words))
