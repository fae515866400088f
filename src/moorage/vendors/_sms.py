"""What vendors of text messages have in common: senders, prices, refusals that show no number."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.sms import Price
from moorage.errors import InvalidData, RateLimitExceeded
from moorage.vendors._reading import as_decimal

if TYPE_CHECKING:
    from moorage.contracts.sms import SmsMessage
    from moorage.domain.http import Response
    from moorage.errors import AuthenticationFailed, ConnectorError, VendorFailed, VendorRejected

    Kind = type[VendorRejected | VendorFailed | RateLimitExceeded | AuthenticationFailed]

_NUMBER: Final = re.compile(r"\+?[0-9]{7,15}")
_LONG: Final = re.compile(r"[1-9][0-9]{6,14}")


def sender_of(message: SmsMessage, own: str | None, vendor: str) -> str:
    """Whom a message comes from, by a vendor that has to be told.

    Raises:
        InvalidData: neither the message nor the account says so.
    """
    sender = message.sender or own
    if sender:
        return sender
    raise InvalidData(
        f"A message by {vendor} says whom it comes from.",
        field="sender",
        remedy="Give the message a sender, or the account.",
    )


def international(sender: str | None) -> str | None:
    """A number that came without its plus, with it; a name or a short number as it is."""
    return f"+{sender}" if sender is not None and _LONG.fullmatch(sender) else sender


def as_field(value: Any) -> str:
    """A plain value as a form has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def as_price(amount: object, currency: str | None) -> Price | None:
    """An amount and its currency; None if either is missing."""
    number = as_decimal(amount)
    return None if number is None or currency is None else Price(number, currency.upper())


def refusal(
    kind: Kind, vendor: str, response: Response, code: str | None, words: str | None
) -> ConnectorError:
    """What a vendor refused, in its words but for telephone numbers."""
    said = None if words is None else _NUMBER.sub("(number)", words)
    fields: dict[str, Any] = {"by_vendor": True} if kind is RateLimitExceeded else {}
    return kind(
        f"{vendor} refused: {said or code}",
        status=response.status,
        vendor_code=code,
        vendor_message=said,
        response=response,
        **fields,
    )
