"""Helpers of SMS vendors: senders, prices, and refusals without telephone numbers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.sms import Price
from moorage.errors import InvalidData, RateLimitExceeded
from moorage.vendors._reading import as_decimal

if TYPE_CHECKING:
    from moorage.contracts.sms import SmsMessage
    from moorage.domain.http.requests import Response
    from moorage.errors import AuthenticationFailed, ConnectorError, VendorFailed, VendorRejected

    Kind = type[VendorRejected | VendorFailed | RateLimitExceeded | AuthenticationFailed]

_NUMBER: Final = re.compile(r"\+?[0-9]{7,15}")
_LONG: Final = re.compile(r"[1-9][0-9]{6,14}")


def sender_of(message: SmsMessage, usual: str | None, vendor: str) -> str:
    """The sender of a message, at a vendor that requires one.

    Raises:
        InvalidData: neither the message nor the account has one.
    """
    sender = message.sender or usual
    if sender:
        return sender
    raise InvalidData(
        f"A message by {vendor} needs a sender.",
        field="sender",
        remedy="Give the message a sender, or the account.",
    )


def international(sender: str | None) -> str | None:
    """A number with its plus restored; a name or a short number is returned unchanged."""
    return f"+{sender}" if sender is not None and _LONG.fullmatch(sender) else sender


def as_field(value: Any) -> str:
    """A value as a form field."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def as_price(amount: object, currency: str | None) -> Price | None:
    """A price; None if the amount or the currency is missing."""
    number = as_decimal(amount)
    return None if number is None or currency is None else Price(number, currency.upper())


def refusal(
    kind: Kind, vendor: str, response: Response, code: str | None, words: str | None
) -> ConnectorError:
    """The error of a refusal, with the vendor's text but without telephone numbers."""
    message = None if words is None else _NUMBER.sub("(number)", words)
    fields: dict[str, Any] = {"by_vendor": True} if kind is RateLimitExceeded else {}
    return kind(
        f"{vendor} refused: {message or code}",
        status=response.status,
        vendor_code=code,
        vendor_message=message,
        response=response,
        **fields,
    )
