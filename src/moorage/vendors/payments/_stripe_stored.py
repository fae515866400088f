"""Stripe's stored payment methods: request bodies and responses."""

from __future__ import annotations

from typing import Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import StoredMeans, StoredState, StoreRequest
from moorage.vendors.payments._stripe_answers import means_of, next_action_of

_STATES: Final = {
    "succeeded": StoredState.STORED,
    "requires_action": StoredState.REQUIRES_ACTION,
    "requires_confirmation": StoredState.REQUIRES_ACTION,
    "processing": StoredState.PENDING,
    "requires_payment_method": StoredState.FAILED,
    "canceled": StoredState.FAILED,
}


def setup_body(request: StoreRequest) -> dict[str, Any]:
    """The body that verifies a payment method with the bank and stores it.

    Raises:
        InvalidData: the source is a token of a card, which only a payment accepts.
    """
    source = request.source
    if source.startswith("tok_"):
        raise sdk.InvalidData(
            "Stripe does not store a card token without a payment.",
            field="source",
            remedy="Pass a payment method (pm_…) or a confirmation token (ctoken_…).",
        )
    is_token = source.startswith("ctoken_")
    body: dict[str, Any] = {
        "confirm": True,
        "customer": request.customer_id,
        "usage": "off_session",
        "confirmation_token" if is_token else "payment_method": source,
        "automatic_payment_methods": {"enabled": True},
        "expand": ["payment_method"],
    }
    if request.return_url is None:
        body["automatic_payment_methods"]["allow_redirects"] = "never"
    else:
        body["return_url"] = request.return_url
    return sdk.merged(body, sdk.extra_for("stripe", request.extra))


def read_setup(wire: sdk.Wire, response: sdk.Response) -> StoredMeans:
    """Parse the setup intent in a response."""
    body = sdk.read_answer(response)
    method = body.object("payment_method")
    key = method.text("id") or body.text("payment_method")
    status = sdk.required(body.text("status"), response, "status")
    return StoredMeans(
        ref=wire.ref(sdk.required(key, response, "payment_method"), setup=body.text("id")),
        state=_STATES.get(status, StoredState.UNKNOWN),
        vendor_state=status,
        customer=body.text("customer"),
        means=means_of(method, key),
        next_action=next_action_of(body),
        created_at=body.time("created"),
        raw=body.raw,
    )


def stored_of(ref: sdk.MakeRef, body: sdk.Answer) -> StoredMeans | None:
    """Parse a payment method; None if it is malformed."""
    key, customer = body.text("id"), body.text("customer")
    if key is None or body.text("type") is None:
        return None
    return StoredMeans(
        ref=ref(key),
        state=StoredState.REMOVED if customer is None else StoredState.STORED,
        vendor_state="detached" if customer is None else "attached",
        customer=customer,
        means=means_of(body, key),
        created_at=body.time("created"),
        raw=body.raw,
    )


def read_stored(wire: sdk.Wire, response: sdk.Response) -> StoredMeans:
    """Parse the payment method in a response."""
    return sdk.required(stored_of(wire.ref, sdk.read_answer(response)), response, "id or type")
