"""What vendors of text messages have in common: prices, and refusals that show no number."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from mooring.contracts.sms import Price
from mooring.errors import RateLimitExceeded
from mooring.vendors._reading import as_decimal

if TYPE_CHECKING:
    from mooring.domain.http import Response
    from mooring.errors import AuthenticationFailed, ConnectorError, VendorFailed, VendorRejected

    Kind = type[VendorRejected | VendorFailed | RateLimitExceeded | AuthenticationFailed]

_NUMBER: Final = re.compile(r"\+?[0-9]{7,15}")


def as_price(amount: object, currency: str | None) -> Price | None:
    """An amount and its currency; None if either is missing."""
    number = as_decimal(amount)
    return None if number is None or currency is None else Price(number, currency.upper())


def refusal(
    kind: Kind, vendor: str, response: Response, code: str, words: str | None
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
