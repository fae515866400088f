"""Transactions that an earlier attempt with the same idempotency key made at Authorize.Net."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import Payment, Refund
from moorage.vendors.payments._authorize_net_answers import has_mark, read_details
from moorage.vendors.payments._authorize_net_errors import DUPLICATE, transaction_id
from moorage.vendors.payments._authorize_net_lists import unsettled_rows
from moorage.vendors.payments._authorize_net_requests import VENDOR, details_request

if TYPE_CHECKING:
    from collections.abc import Awaitable

R = TypeVar("R", Payment, Refund)


async def sent_or_earlier(
    wire: sdk.Wire, sending: Awaitable[R], mark: str, invoice: str | None
) -> R | sdk.Answer:
    """The result of a request, or the details of the transaction that an earlier attempt made.

    Args:
        wire: asks for the transaction.
        sending: sends the request.
        mark: the mark of the idempotency key.
        invoice: the invoice number of the transaction.

    Raises:
        OutcomeUnknown: an earlier attempt may have made a transaction, which is not found.
    """
    outcome_error: sdk.OutcomeUnknown
    try:
        return await sending
    except sdk.OutcomeUnknown as unknown:
        # Only if nothing was sent now, an earlier attempt was.
        if unknown.attempts:
            raise
        outcome_error, look_up = unknown, _marked_details(wire, mark, invoice)
    except sdk.VendorRejected as refused:
        if refused.vendor_code != DUPLICATE:
            raise
        outcome_error, look_up = _unknown_error(), _duplicated_details(wire, refused, mark)
    try:
        details = await look_up
    except sdk.ConnectorError as error:
        # A look-up that fails must not hide that there may be a transaction.
        raise outcome_error from error
    if details is None:
        raise outcome_error
    return details


async def _marked_details(wire: sdk.Wire, mark: str, invoice: str | None) -> sdk.Answer | None:
    """The details of the unsettled transaction with a mark; None if there is none."""
    page, has_more = 1, True
    while has_more:
        rows, has_more = await unsettled_rows(wire, page)
        for row in rows:
            id_ = row.text("transId")
            if id_ is None or row.text("invoiceNumber") != invoice:
                continue
            details = read_details(await wire.send(details_request(id_), reads=True))
            if has_mark(details, mark):
                return details
        page += 1
    return None


async def _duplicated_details(
    wire: sdk.Wire, refused: sdk.VendorRejected, mark: str
) -> sdk.Answer | None:
    """The details of the earlier transaction that a refusal names, if it has the mark."""
    response = refused.response
    if response is None:
        return None
    id_ = transaction_id(sdk.error_answer(response).object("transactionResponse"))
    if id_ is None:
        return None
    details = read_details(await wire.send(details_request(id_), reads=True))
    return details if has_mark(details, mark) else None


def _unknown_error() -> sdk.OutcomeUnknown:
    return sdk.OutcomeUnknown(
        f"{VENDOR} refused this request as a duplicate of an earlier request, but did not return"
        " the outcome of the earlier request.",
        remedy="Look for the transaction in the Merchant Interface before you repeat the call.",
    )
