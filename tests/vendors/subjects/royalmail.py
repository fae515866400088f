"""Prepares Royal Mail and its sandbox for the conformance kit of shipping vendors."""

from __future__ import annotations

from moorage.contracts.shipping import WeightUnit
from moorage.errors import AuthenticationFailed, InvalidRequest, RateLimitExceeded, VendorRejected
from moorage.testing.kits.shipping_conformance import ShippingSubject
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.shipping.royalmail import RoyalMailSandbox
from moorage.vendors.shipping.royalmail import RoyalMail


def royalmail() -> ShippingSubject:
    """Return a Royal Mail test subject with a new sandbox."""
    sandbox = RoyalMailSandbox()
    problem = {"code": "BadRequest", "message": "It is refused.", "details": ""}
    failure = {"errorCode": 53, "errorMessage": "The service is unavailable.", "fields": []}
    failed = {"createdOrders": [], "failedOrders": [{"order": {}, "errors": [failure]}]}
    return ShippingSubject(
        weight_unit=WeightUnit.GRAM,
        vendor=RoyalMail(credentials=sandbox.api_key),
        sandbox=sandbox,
        sold=lambda: sandbox.sold,
        buys=lambda request: request.method.value == "POST",
        refusals=(
            (reply(problem, 400), InvalidRequest, "BadRequest"),
            (reply(failed), VendorRejected, "53"),
            (reply({}, 401), AuthenticationFailed, None),
            (reply([problem], 403), AuthenticationFailed, "BadRequest"),
            (reply({}, 429), RateLimitExceeded, None),
        ),
        carrier_code="11",
        option=({"specialInstructions": "Ring twice"}, b'"specialInstructions":"Ring twice"'),
        secret=sandbox.api_key,
        move=sandbox.move,
        delivered="shippedOn",
        service="royalmail_tpn24",
    )
