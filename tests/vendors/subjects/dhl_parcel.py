"""Prepares DHL Parcel and its sandbox for the conformance kit of shipping vendors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.errors import AuthenticationFailed, InvalidRequest, RateLimitExceeded, VendorRejected
from moorage.testing.kits.shipping_conformance import ShippingSubject
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.shipping.dhl_parcel import DhlParcelSandbox
from moorage.vendors.shipping.dhl_parcel import DhlParcel

if TYPE_CHECKING:
    from moorage.domain.http.requests import Response


def dhl_error(status: int, code: int, title: str) -> Response:
    """Return DHL Parcel's response to an order of one shipment that it refuses."""
    problem = {"title": title, "statusCode": code, "detail": "It is refused."}
    head = {"title": "Bad Request", "statusCode": status, "detail": "0 of 1 shipment is created."}
    return reply({"status": head, "items": [{"sstatus": problem}]}, status)


def dhl_parcel_vendor(sandbox: DhlParcelSandbox, **options: Any) -> DhlParcel:
    """Return the vendor DHL Parcel with the sandbox's credentials."""
    values: dict[str, Any] = {"customer_number": sandbox.customer_number, **options}
    return DhlParcel(
        username=sandbox.username,
        credentials=sandbox.password,
        api_key=sandbox.api_key,
        **values,
    )


def dhl_parcel() -> ShippingSubject:
    """Return a DHL Parcel test subject with a new sandbox."""
    sandbox = DhlParcelSandbox()
    unauthorized = {"title": "Unauthorized", "status": 401, "detail": "It is refused."}
    return ShippingSubject(
        vendor=dhl_parcel_vendor(sandbox),
        sandbox=sandbox,
        sold=lambda: sandbox.sold,
        buys=lambda request: request.method.value == "POST",
        refusals=(
            (dhl_error(400, 400, "Bad Request"), InvalidRequest, "400"),
            (dhl_error(200, 206, "GeneralShipmentError"), VendorRejected, "206"),
            (reply(unauthorized, 401), AuthenticationFailed, "401"),
            (reply({}, 403), AuthenticationFailed, None),
            (reply({}, 429), RateLimitExceeded, None),
        ),
        carrier_code="400",
        option=({"costCenter": "Shelf 7"}, b'"costCenter":"Shelf 7"'),
        secret=sandbox.password,
        move=sandbox.move,
        delivered="delivered",
        service="dhl_parcel_v01_pak",
    )
