"""A local sandbox that imitates eBay's Fulfillment and Inventory APIs, with one seller.

The item `ROPE-10` has a published offer; the offer of `ROPE-20` is neither published nor priced. As
at eBay, a line counts as shipped as soon as one piece of it is in a parcel.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import problems, typed
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.shops.base import BUYER, SKU, SeenParcel, ShopSandbox

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from moorage.domain.http.requests import Response

_FULFILLMENT: Final = "/sell/fulfillment/v1"
_INVENTORY: Final = "/sell/inventory/v1"
_TIME: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z"
_CHANGED: Final = re.compile(rf"lastmodifieddate:\[({_TIME})\.\.({_TIME})?\]")
_AMOUNT: Final = {"value!": str, "currency!": str}
_PARCEL: Final = {
    "lineItems!": [{"lineItemId!": str, "quantity": int}],
    **typed(str, "shippedDate shippingCarrierCode trackingNumber"),
}
_UPDATE: Final = {
    "requests!": [
        {
            "sku": str,
            "shipToLocationAvailability": {"quantity!": int},
            "offers": [{"offerId!": str, "availableQuantity": int, "price": _AMOUNT}],
        }
    ]
}


class EbaySandbox(ShopSandbox):
    """A sandbox of an eBay seller: orders, parcels, inventory items and offers.

    Attributes:
        token: access token that requests must have.
    """

    hosts = ("api.ebay.com",)

    token: str = "v^1.1#for-the-sandbox-only-0123456789"
    _orders: dict[str, dict[str, Any]] = base.state_field(dict)
    _parcels: dict[str, list[dict[str, Any]]] = base.state_field(dict)
    _offers: dict[str, dict[str, Any]] = base.state_field(
        lambda: {
            "8001": {
                **_offer("8001", SKU, "PUBLISHED"),
                "availableQuantity": 12,
                "pricingSummary": {"price": _euros("19.90")},
            },
            "8002": _offer("8002", "ROPE-20", "UNPUBLISHED"),
        }
    )
    _items: dict[str, dict[str, Any]] = base.state_field(
        lambda: {SKU: _item(SKU, 12), "ROPE-20": _item("ROPE-20", 5)}
    )

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        order = f"{_FULFILLMENT}/order/{{id}}"
        return {
            f"GET {_FULFILLMENT}/order": self._list_orders,
            f"GET {order}": self._fetch_order,
            f"GET {order}/shipping_fulfillment": self._list_parcels,
            f"POST {order}/shipping_fulfillment": self._ship,
            f"GET {_INVENTORY}/offer": self._list_offers,
            f"GET {_INVENTORY}/inventory_item/{{sku}}": self._fetch_item,
            f"POST {_INVENTORY}/bulk_update_price_quantity": self._update,
        }

    def unknown(self, request: base.SandboxRequest) -> Response:  # noqa: ARG002 - as the base has it
        """Return the response for an unknown path."""
        return _error(404, 2002, "Resource not found").response

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check a request's access token."""
        if request.bearer() != self.token:
            raise _error(401, 1001, "Invalid access token", domain="OAuth")

    def add_order(self, *quantities: int) -> str:
        """Add a paid order with one line for each given quantity; return the order's id."""
        number = self.number()
        id_, change_time = f"27-{10_000 + number}-{number:05d}", _time_text(self.tick())
        total = sum(quantities or (1,)) * 1990 + 450
        self._orders[id_] = {
            "orderId": id_,
            "creationDate": change_time,
            "lastModifiedDate": change_time,
            "orderFulfillmentStatus": "NOT_STARTED",
            "orderPaymentStatus": "PAID",
            "cancelStatus": {"cancelState": "NONE_REQUESTED", "cancelRequests": []},
            "sellerId": "harbour-goods",
            "buyer": {"username": "ada_q", "buyerRegistrationAddress": _contact()},
            "buyerCheckoutNotes": "Please ring twice.",
            "pricingSummary": {
                "priceSubtotal": _cents(total - 450),
                "deliveryCost": _cents(450),
                "total": _cents(total),
            },
            "paymentSummary": {
                "totalDueSeller": _cents(total),
                "refunds": [],
                "payments": [{"paymentMethod": "EBAY", "paymentStatus": "PAID"}],
            },
            "fulfillmentStartInstructions": [
                {
                    "fulfillmentInstructionsType": "SHIP_TO",
                    "shippingStep": {"shipTo": _contact(), "shippingServiceCode": "DE_DHLPaket"},
                }
            ],
            "fulfillmentHrefs": [],
            "lineItems": [
                {
                    "lineItemId": f"{number}{position}",
                    "legacyItemId": "170009283860",
                    "sku": SKU,
                    "title": "Rope, 10 m",
                    "quantity": quantity,
                    "lineItemCost": _cents(quantity * 1990),
                    "total": _cents(quantity * 1990),
                    "lineItemFulfillmentStatus": "NOT_STARTED",
                }
                for position, quantity in enumerate(quantities or (1,), start=1)
            ],
        }
        return id_

    def touch(self, order: str) -> None:
        """Change an order, such as by a seller's note."""
        self._orders[order]["lastModifiedDate"] = _time_text(self.tick())

    def cancel(self, order: str) -> None:
        """Cancel an order, as buyer and seller can do on eBay's pages."""
        self._orders[order]["cancelStatus"]["cancelState"] = "CANCELED"
        self.touch(order)

    def parcels(self) -> Sequence[SeenParcel]:
        """Return all orders' parcels; eBay notifies the buyer about each."""
        return [
            SeenParcel(
                order=id_,
                tracking_number=parcel.get("shipmentTrackingNumber"),
                quantity=sum(line["quantity"] for line in parcel["lineItems"]),
                notified=True,
            )
            for id_, parcels in self._parcels.items()
            for parcel in parcels
        ]

    def canceled(self) -> Sequence[str]:
        """Return the ids of cancelled orders."""
        return [
            id_
            for id_, order in self._orders.items()
            if order["cancelStatus"]["cancelState"] == "CANCELED"
        ]

    def refunds(self) -> Sequence[tuple[str, str]]:
        """Return no refunds, because this sandbox makes none."""
        return ()

    def stock(self) -> int:
        """Return the listed quantity: the smaller of the item's and the offer's quantity."""
        total = self._items[SKU]["availability"]["shipToLocationAvailability"]["quantity"]
        return min(int(total), int(self._offers["8001"]["availableQuantity"]))

    def price(self) -> str:
        """Return the item's price."""
        return str(self._offers["8001"]["pricingSummary"]["price"]["value"])

    def _list_orders(self, request: base.SandboxRequest) -> Response:
        query = dict(request.query)
        limit, offset = query.pop("limit", "50"), query.pop("offset", "0")
        since, until = _period(query.pop("filter", None))
        if not limit.isdigit() or not 1 <= int(limit) <= 200:
            raise _error(400, 31100, f"Invalid limit: {limit}")
        if query or not offset.isdigit():
            raise _error(400, 31000, f"Invalid offset: {offset}")
        orders = [
            order
            for order in self._orders.values()
            if since <= order["lastModifiedDate"] <= (until or _time_text(self.clock))
        ]
        page = orders[int(offset) : int(offset) + int(limit)]
        answer = {"total": len(orders), "limit": int(limit), "offset": int(offset), "orders": page}
        return base.reply(answer)

    def _order(self, id_: str) -> dict[str, Any]:
        missing_error = _error(404, 32100, f"Invalid order ID: {id_}")
        return base.existing(self._orders, id_, missing_error)

    def _fetch_order(self, _: base.SandboxRequest, id: str) -> Response:
        return base.reply(self._order(id))

    def _list_parcels(self, _: base.SandboxRequest, id: str) -> Response:
        self._order(id)
        parcels = self._parcels.get(id, [])
        return base.reply({"fulfillments": parcels, "total": len(parcels)})

    def _ship(self, request: base.SandboxRequest, id: str) -> Response:
        order, body = self._order(id), _body(request, _PARCEL, 32600)
        number, carrier = body.get("trackingNumber"), body.get("shippingCarrierCode")
        if (number is None) != (carrier is None) or not (number or "a").isalnum():
            raise _error(400, 32300, "Invalid shipment tracking number or carrier")
        lines = {line["lineItemId"]: line for line in order["lineItems"]}
        named_lines = [{"quantity": 1, **line} for line in body["lineItems"]]
        if not named_lines or any(line["lineItemId"] not in lines for line in named_lines):
            raise _error(400, 32200, "Invalid line item id")
        if id in self.canceled():
            raise _error(400, 32600, "Invalid input data")
        for line in named_lines:
            lines[line["lineItemId"]]["lineItemFulfillmentStatus"] = "FULFILLED"
        statuses = {line["lineItemFulfillmentStatus"] for line in order["lineItems"]}
        order["orderFulfillmentStatus"] = "FULFILLED" if len(statuses) == 1 else "IN_PROGRESS"
        change_time = _time_text(self.tick())
        order["lastModifiedDate"] = change_time
        parcel = {
            "fulfillmentId": number or "999",
            "shippedDate": change_time,
            "lineItems": named_lines,
        }
        if number is not None:
            parcel |= {"shipmentTrackingNumber": number, "shippingCarrierCode": carrier}
        self._parcels.setdefault(id, []).append(parcel)
        path = f"{_FULFILLMENT}/order/{id}/shipping_fulfillment/{parcel['fulfillmentId']}"
        address = f"https://{self.hosts[0]}{path}"
        order["fulfillmentHrefs"].append(address)
        return base.reply({}, 201, Location=address)

    def _list_offers(self, request: base.SandboxRequest) -> Response:
        query = dict(request.query)
        offers = [offer for offer in self._offers.values() if offer["sku"] == query.get("sku")]
        if query.keys() != {"sku"} or not offers:
            raise _error(404, 25713, "This Offer is not available.", domain="API_INVENTORY")
        size = len(offers)
        return base.reply({"total": size, "size": size, "limit": 100, "offers": offers})

    def _fetch_item(self, _: base.SandboxRequest, sku: str) -> Response:
        missing_error = _error(404, 25710, "We didn't find the resource.", domain="API_INVENTORY")
        return base.reply(base.existing(self._items, sku, missing_error))

    def _update(self, request: base.SandboxRequest) -> Response:
        entries = _body(request, _UPDATE, 25709)["requests"]
        return base.reply({"responses": [part for entry in entries for part in self._set(entry)]})

    def _set(self, fields: dict[str, Any]) -> list[dict[str, Any]]:
        """Set an item's stock and its offers' fields; return a status for each."""
        sku, stock = fields.get("sku"), fields.get("shipToLocationAvailability")
        parts: list[dict[str, Any]] = []
        if stock is not None:
            if sku not in self._items:
                return [_refusal({"sku": sku}, 25702, f"{sku} could not be found.")]
            self._items[sku]["availability"]["shipToLocationAvailability"] = stock
            parts.append({"sku": sku, "statusCode": 200})
        for change in fields.get("offers", []):
            names = {"offerId": change["offerId"], "sku": sku}
            offer = self._offers.get(change["offerId"])
            if offer is None or offer["status"] != "PUBLISHED" or sku not in {None, offer["sku"]}:
                parts.append(_refusal(names, 25713, "This Offer is not available."))
                continue
            if "availableQuantity" in change:
                offer["availableQuantity"] = change["availableQuantity"]
            if "price" in change:
                offer["pricingSummary"]["price"] = change["price"]
            parts.append({"offerId": change["offerId"], "sku": offer["sku"], "statusCode": 200})
        return parts


def _item(sku: str, stock: int) -> dict[str, Any]:
    return {
        "sku": sku,
        "product": {"title": f"Rope {sku}"},
        "condition": "NEW",
        "availability": {"shipToLocationAvailability": {"quantity": stock}},
    }


def _offer(id_: str, sku: str, status: str) -> dict[str, Any]:
    return {
        "offerId": id_,
        "sku": sku,
        "marketplaceId": "EBAY_DE",
        "format": "FIXED_PRICE",
        "status": status,
    }


def _contact() -> dict[str, Any]:
    return {
        "fullName": BUYER,
        "contactAddress": {
            "addressLine1": "Kai 1",
            "city": "Hamburg",
            "postalCode": "20457",
            "countryCode": "DE",
        },
        "primaryPhone": {"phoneNumber": "+4940123456"},
        "email": "ada@quayle.example",
    }


def _euros(value: str) -> dict[str, str]:
    return {"value": value, "currency": "EUR"}


def _cents(amount: int) -> dict[str, str]:
    return _euros(f"{amount // 100}.{amount % 100:02d}")


def _time_text(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}.000Z"


def _period(text: str | None) -> tuple[str, str]:
    if text is None:
        return "", ""
    match = _CHANGED.fullmatch(text)
    if match is None:
        raise _error(400, 30800, f"Invalid filter value {text}")
    since, until = match[1], match[2] or ""
    if until and until < since:
        raise _error(400, 30840, "Start date should be before end date")
    return since, until


def _body(request: base.SandboxRequest, shape: dict[str, Any], code: int) -> dict[str, Any]:
    body = request.json()
    mistakes = [name for _, name, _ in problems(shape, body)]
    if mistakes:
        raise _error(400, code, f"Invalid input data: {', '.join(mistakes)}")
    fields: dict[str, Any] = body
    return fields


def _problem(code: int, message: str, domain: str) -> dict[str, Any]:
    return {"errorId": code, "domain": domain, "category": "REQUEST", "message": message}


def _refusal(names: dict[str, Any], code: int, message: str) -> dict[str, Any]:
    return {**names, "statusCode": 400, "errors": [_problem(code, message, "API_INVENTORY")]}


def _error(
    status: int, code: int, message: str, *, domain: str = "API_FULFILLMENT"
) -> base.Refusal:
    return base.refusal({"errors": [_problem(code, message, domain)]}, status)


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = EbaySandbox()
    return SandboxFixture(
        sandbox=sandbox,
        options={"credentials": sandbox.token},
        vendor_values={"order": lambda: sandbox.add_order(2)},
    )
