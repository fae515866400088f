"""Helpers for Braintree: input fields, marks from idempotency keys, ids and pages of lists."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import Charge, Page
from moorage.vendors.payments import _braintree_documents as documents
from moorage.vendors.payments._braintree_answers import NODE, VENDOR

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from moorage.vendors.payments.braintree import Braintree


def payment_fields(vendor: Braintree, charge: Charge, order_id: str) -> dict[str, Any]:
    """The input of a charge or authorisation; the caller's extra options override its fields.

    Raises:
        InvalidData: the currency is not that of the account, or the source is missing.
    """
    if charge.amount.currency != vendor.currency:
        raise sdk.InvalidData(
            f"The payment is in {charge.amount.currency}, but the merchant account at"
            f" Braintree accepts only {vendor.currency}.",
            field="amount",
            remedy="Configure an account for each currency, and a route that chooses the"
            " account by currency.",
        )
    if charge.source is None:
        raise sdk.InvalidData(
            "The charge names no means of payment.",
            field="source",
            remedy="Pass the nonce of Braintree's form, or the id of a stored means of payment.",
        )
    customer, address = charge.customer, charge.shipping_address
    contact = {} if customer is None else {"email": customer.email, "phone": customer.phone}
    transaction: dict[str, Any] = {
        "amount": str(charge.amount.amount),
        "orderId": order_id,
        "merchantAccountId": vendor.merchant_account_id,
        "customerId": None if customer is None else customer.id,
        "customerDetails": _without_empty_fields(
            {"email": contact.get("email"), "phoneNumber": contact.get("phone")}
        ),
        "customFields": [
            {"name": metadata_name, "value": charge.metadata[metadata_name]}
            for metadata_name in charge.metadata
        ],
        "paymentInitiator": "UNSCHEDULED" if charge.off_session else None,
    }
    if charge.store_method:
        transaction["vaultPaymentMethodAfterTransacting"] = {"when": "ON_SUCCESSFUL_TRANSACTION"}
    if address is not None:
        place = {
            "firstName": address.name,
            "company": address.company,
            "addressLine1": address.line1,
            "addressLine2": address.line2,
            "adminArea2": address.city,
            "adminArea1": address.region,
            "postalCode": address.postal_code,
            "countryCodeAlpha2": address.country,
        }
        transaction["shipping"] = {"shippingAddress": _without_empty_fields(place)}
    fields = sdk.merged(
        _without_empty_fields(transaction), sdk.extra_for("braintree", charge.extra)
    )
    return {"paymentMethodId": charge.source, "transaction": fields}


def mark_of(wire: sdk.Wire, key: str) -> str:
    """A short mark computed from the tenant and an idempotency key; equal keys give equal marks."""
    return sha256(f"{wire.tenant or ''}\n{key}".encode()).hexdigest()[:16]


async def node_of(wire: sdk.Wire, ref: sdk.Ref, kind: str = "TRANSACTION") -> str:
    """The GraphQL id of a referenced object; webhooks do not contain it."""
    known_id = ref.other(NODE)
    if known_id is not None:
        return known_id
    response = await wire.send(documents.query(documents.RESOLVE, id=ref.id, type=kind), reads=True)
    return sdk.required(
        sdk.read_answer(response).text("data.idFromLegacyId"), response, "idFromLegacyId"
    )


def with_node(response: sdk.Response) -> sdk.Response:
    """Return the response after checking that it contains the requested GraphQL node.

    Raises:
        VendorRejected: the node does not exist.
    """
    data = sdk.read_answer(response).object("data").raw
    if "node" in data and data["node"] is None:
        text = "This transaction does not exist."
        raise sdk.refusal(sdk.VendorRejected, VENDOR, response, "NOT_FOUND", None, otherwise=text)
    return response


def listed(response: sdk.Response, path: str) -> tuple[list[sdk.Answer], str | None]:
    """The nodes of a GraphQL connection, and the cursor of the next page."""
    prefix = path if "." in path else f"search.{path}"
    connection = sdk.read_answer(response).object(f"data.{prefix}")
    if not sdk.is_list(connection.value("edges")):
        raise sdk.malformed(response, f"{prefix}.edges")
    nodes = [edge.object("node") for edge in connection.objects("edges")]
    has_more = connection.flag("pageInfo.hasNextPage")
    return nodes, connection.text("pageInfo.endCursor") if has_more else None


def page_of(
    wire: sdk.Wire,
    response: sdk.Response,
    path: str,
    read_one: Callable[[sdk.MakeRef, sdk.Answer], Any],
) -> Page[Any]:
    nodes, cursor = listed(response, path)
    items = [item for node in nodes if (item := read_one(wire.ref, node)) is not None]
    return Page(tuple(items), None if cursor is None else wire.ref(cursor))


def _without_empty_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in (None, {}, [])}


def time_text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
