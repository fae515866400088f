"""Mollie's mandates: requests and responses."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import MeansOfPayment, PaymentQuery, StoredMeans, StoredState
from moorage.vendors.payments._mollie_answers import KEY, means_of
from moorage.vendors.payments._mollie_lists import LONGEST_PAGE, listed

if TYPE_CHECKING:
    from moorage.contracts.payments import Page, StoreRequest

_MISSING: Final = 404
_GONE: Final = 410
_IBAN: Final = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
_STATES: Final = {
    "valid": StoredState.STORED,
    "pending": StoredState.PENDING,
    "invalid": StoredState.FAILED,
}


async def store_mandate(wire: sdk.Wire, request: StoreRequest, /, *, key: str) -> StoredMeans:
    """Store a direct debit mandate that the buyer has signed."""
    customer = request.customer_id
    mandate_request = sdk.Request.post(_path(customer), json=mandate_body(request))
    parse = partial(read_mandate, wire, customer)
    mandate: StoredMeans = await wire.send(
        mandate_request, key=sdk.key_for_vendor(wire, key, KEY), parse=parse
    )
    return mandate


async def list_mandates(
    wire: sdk.Wire, customer: str, after: sdk.Ref | None, /
) -> Page[StoredMeans]:
    """List the mandates of a customer."""
    query = PaymentQuery(limit=LONGEST_PAGE)
    read_one = partial(mandate_of, customer=customer)
    return await listed(wire, _path(customer), query, after, read_one)


async def revoke_mandate(wire: sdk.Wire, ref: sdk.Ref, /, *, key: str) -> StoredMeans:
    """Revoke a mandate; Mollie refuses a second revocation."""
    customer = ref.other("customer")
    if customer is None:
        raise sdk.InvalidData(
            "Mollie finds a mandate only through its customer, but this reference names no"
            " customer.",
            field="ref",
            remedy="Pass the complete `ref` of the stored means of payment.",
        )
    request = sdk.Request.delete(f"{_path(customer)}/{quote(ref.id, safe='')}")
    parse = partial(revoked_mandate, ref, customer)
    try:
        mandate: StoredMeans = await wire.send(
            request, key=sdk.key_for_vendor(wire, key, KEY), parse=parse
        )
    except sdk.VendorRejected as error:
        if not was_revoked(error):
            raise
        return revoked_mandate(ref, customer)
    return mandate


def _path(customer: str) -> str:
    return f"/v2/customers/{quote(customer, safe='')}/mandates"


def mandate_body(request: StoreRequest) -> dict[str, Any]:
    """The body that stores a SEPA mandate; the caller's extra options override its fields.

    Raises:
        InvalidData: the source is not an IBAN, or the name of the account's holder is missing.
    """
    iban = request.source.replace(" ", "").upper()
    if _IBAN.fullmatch(iban) is None:
        raise sdk.InvalidData(
            "Without a payment, Mollie can store only mandates for direct debits.",
            field="source",
            remedy="Pass the IBAN of the buyer's account, or store a card with its first payment.",
        )
    if not request.customer.name:
        raise sdk.InvalidData(
            "Mollie requires the account holder's name for a mandate.",
            field="customer.name",
            remedy="Pass a customer with a name.",
        )
    body = {
        "method": "directdebit",
        "consumerName": request.customer.name,
        "consumerAccount": iban,
    }
    return sdk.merged(body, sdk.extra_for("mollie", request.extra))


def mandate_of(ref: sdk.MakeRef, body: sdk.Answer, customer: str) -> StoredMeans | None:
    """Parse a mandate; None if it is malformed."""
    key, status = body.text("id"), body.text("status")
    if key is None or status is None:
        return None
    means = means_of(body, key)
    return StoredMeans(
        ref=ref(key, customer=customer),
        state=_STATES.get(status, StoredState.UNKNOWN),
        vendor_state=status,
        customer=customer,
        means=MeansOfPayment(stored=key) if means is None else means,
        created_at=body.time("createdAt"),
        raw=body.raw,
    )


def read_mandate(wire: sdk.Wire, customer: str, response: sdk.Response) -> StoredMeans:
    """Parse the mandate in a response."""
    mandate = mandate_of(wire.ref, sdk.read_answer(response), customer)
    return sdk.required(mandate, response, "id or status")


def revoked_mandate(
    ref: sdk.Ref, customer: str, response: sdk.Response | None = None
) -> StoredMeans:
    """The revoked mandate; Mollie's response is empty."""
    if response is not None and response.body:
        raise sdk.malformed(
            response, problem="has a body, although a successful response must be empty"
        )
    return StoredMeans(ref=ref, state=StoredState.REMOVED, customer=customer)


def was_revoked(error: sdk.VendorRejected) -> bool:
    """True if an earlier attempt, whose response was lost, revoked the mandate."""
    return error.status == _GONE or (error.status == _MISSING and error.attempts > 1)
