"""A local sandbox that imitates Amazon's Selling Partner API for one seller in Germany.

The item `ROPE-10` is sold from the seller's own stock; `ROPE-20` is in Amazon's warehouses and has
no offer. `set_state` can make an order one that Amazon ships, or one that is not ready. As at
Amazon, a parcel with the number of an earlier parcel replaces it.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextlib import suppress
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from moorage.domain.http.requests import Response
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import NUMBER, problems, typed
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.shops.base import BUYER, SKU, SeenParcel, ShopSandbox
from moorage.testing.sandboxes.tokens import TokenEndpoint

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

MARKETPLACE: Final = "A1PA6795UKMFR9"
"""The id of the only marketplace."""

_ORDERS: Final = "/orders/2026-01-01/orders"
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")
_DATASETS: Final = {
    "BUYER": ("buyer",),
    "RECIPIENT": ("recipient",),
    "PROCEEDS": ("proceeds",),
    "EXPENSE": ("expense",),
    "PROMOTION": ("promotion",),
    "CANCELLATION": ("cancellation",),
    "FULFILLMENT": ("fulfillment",),
    "PACKAGES": ("packages",),
    "TAX": ("tax",),
    "PAYMENT": ("payment",),
    "FULFILLMENT_ORDERS": ("fulfillmentOrders",),
}
"""The fields of orders and their items that each dataset has."""
_LISTING_DATA: Final = frozenset(
    {"summaries", "attributes", "issues", "offers", "fulfillmentAvailability"}
    | {"procurement", "relationships", "productTypes"}
)
_SEARCH: Final = frozenset(
    {"createdAfter", "createdBefore", "lastUpdatedAfter", "lastUpdatedBefore", "marketplaceIds"}
    | {"fulfillmentStatuses", "fulfilledBy", "maxResultsPerPage", "paginationToken"}
    | {"includedData"}
)
_PARCEL: Final = {
    "marketplaceId!": str,
    "codCollectionMethod": str,
    "packageDetail!": {
        **typed(
            str,
            "packageReferenceId! carrierCode! carrierName shippingMethod trackingNumber! shipDate!"
            " shipFromSupplySourceId",
        ),
        "orderItems!": [{"orderItemId!": str, "quantity!": int, "transparencyCodes": [str]}],
    },
}
_PATCH: Final = {
    "productType!": str,
    "patches!": [{"op!": frozenset({"merge"}), "path!": str, "value": [dict]}],
}
_STOCK: Final = {"fulfillment_channel_code!": str, "quantity!": int}
_OFFER: Final = {
    **typed(str, "marketplace_id! currency! audience!"),
    "our_price!": [{"schedule!": [{"value_with_tax!": NUMBER}]}],
}
_SHIPPABLE: Final = frozenset({"UNSHIPPED", "PARTIALLY_SHIPPED"})


class AmazonSpApiSandbox(ShopSandbox):
    """A sandbox of Amazon's Selling Partner API: one seller's orders, parcels and listings.

    Attributes:
        client_id, client_secret: credentials of the application.
        refresh_token: refresh token of the seller's authorisation.
        seller_id: id of the seller.
        token: an access token that does not expire.
        token_endpoint: the endpoint that grants tokens.
    """

    hosts = ("sellingpartnerapi-eu.amazon.com", "api.amazon.com")
    seller_id = "A2SANDBOX1"

    client_id: str = "amzn1.application-oa2-client.sandbox"
    client_secret: str = "amzn1.oa2-cs.v1.for-the-sandbox-only"
    refresh_token: str = "Atzr|for-the-sandbox-only"
    token: str = "Atza|for-the-sandbox-only"
    _orders: dict[str, dict[str, Any]] = base.state_field(dict)

    def __attrs_post_init__(self) -> None:
        self.token_endpoint = TokenEndpoint(
            "/auth/o2/token",
            self.client_id,
            self.client_secret,
            posted=True,
            refresh_token=self.refresh_token,
            header="x-amz-access-token",
        )
        self.mounts = {self.token_endpoint.path: self.token_endpoint}
        self._listings = {SKU: _listing(SKU, 12, "19.90"), "ROPE-20": _listing("ROPE-20")}

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        listing = f"/listings/2021-08-01/items/{self.seller_id}/{{sku}}"
        return {
            f"GET {_ORDERS}": self._search,
            f"GET {_ORDERS}/{{id}}": self._fetch_order,
            "POST /orders/v0/orders/{id}/shipmentConfirmation": self._confirm,
            f"GET {listing}": self._fetch_listing,
            f"PATCH {listing}": self._patch_listing,
            "GET /sellers/v1/marketplaceParticipations": self._list_marketplaces,
        }

    def unknown(self, request: base.SandboxRequest) -> Response:  # noqa: ARG002 - as the base has it
        """Return the response for an unknown path."""
        return _error(404, "NotFound", "The resource does not exist.").response

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check a request's access token."""
        is_known = request.headers.get("x-amz-access-token") == self.token
        if not is_known and not self.token_endpoint.allows(request):
            raise _error(403, "Unauthorized", "Access to requested resource is denied.")

    def add_order(self, *quantities: int) -> str:
        """Add a paid order with one line for each given quantity; return the order's id."""
        number = self.number()
        id_, change_time = f"302-{number:07d}-{number:07d}", _written_time(self.tick())
        lines = quantities or (1,)
        price = sum(lines) * 1990
        self._orders[id_] = {
            "orderId": id_,
            "createdTime": change_time,
            "lastUpdatedTime": change_time,
            "programs": [],
            "salesChannel": {
                "channelName": "AMAZON",
                "marketplaceId": MARKETPLACE,
                "marketplaceName": "Amazon.de",
            },
            "buyer": {"buyerName": BUYER, "buyerEmail": "ada@quayle.example"},
            "recipient": {
                "deliveryAddress": {
                    "name": BUYER,
                    "addressLine1": "Kai 1",
                    "city": "Hamburg",
                    "postalCode": "20457",
                    "countryCode": "DE",
                    "phone": "+4940123456",
                }
            },
            "proceeds": {
                "grandTotal": _euros(price + 450),
                "breakdowns": [
                    {"type": "ITEM", "subtotal": _euros(price)},
                    {"type": "SHIPPING", "subtotal": _euros(450)},
                ],
            },
            "payment": {
                "paymentExecutions": [
                    {"paymentMethod": "CreditCard", "paymentAmount": _euros(price + 450)}
                ]
            },
            "fulfillment": {"fulfillmentStatus": "UNSHIPPED", "fulfilledBy": "MERCHANT"},
            "orderItems": [
                {
                    "orderItemId": f"{number}{position}",
                    "quantityOrdered": quantity,
                    "product": {
                        "asin": "B000000001",
                        "title": "Rope, 10 m",
                        "sellerSku": SKU,
                        "price": {"unitPrice": _euros(1990)},
                    },
                    "proceeds": {
                        "proceedsTotal": _euros(quantity * 1990),
                        "breakdowns": [{"type": "ITEM", "subtotal": _euros(quantity * 1990)}],
                    },
                    "fulfillment": {"quantityFulfilled": 0, "quantityUnfulfilled": quantity},
                }
                for position, quantity in enumerate(lines, start=1)
            ],
            "packages": [],
        }
        return id_

    def touch(self, order: str) -> None:
        """Change an order, such as by a seller's note."""
        self._orders[order]["lastUpdatedTime"] = _written_time(self.tick())

    def set_state(self, order: str, state: str, *, shipper: str = "MERCHANT") -> None:
        """Set an order's state, and who ships it."""
        self._orders[order]["fulfillment"] = {"fulfillmentStatus": state, "fulfilledBy": shipper}
        self.touch(order)

    def parcels(self) -> Sequence[SeenParcel]:
        """Return all orders' parcels; Amazon notifies the buyer about each."""
        return [
            SeenParcel(
                order=id_,
                tracking_number=parcel["trackingNumber"],
                quantity=sum(item["quantity"] for item in parcel["packageItems"]),
                notified=True,
            )
            for id_, order in self._orders.items()
            for parcel in order["packages"]
        ]

    def canceled(self) -> Sequence[str]:
        """Return the ids of cancelled orders."""
        return [
            id_
            for id_, order in self._orders.items()
            if order["fulfillment"]["fulfillmentStatus"] == "CANCELLED"
        ]

    def refunds(self) -> Sequence[tuple[str, str]]:
        """Return no refunds, because this sandbox makes none."""
        return ()

    def stock(self) -> int:
        """Return the item's stock."""
        return int(self._listings[SKU]["fulfillmentAvailability"][0]["quantity"])

    def price(self) -> str:
        """Return the item's price."""
        return str(self._listings[SKU]["offers"][0]["price"]["amount"])

    def _list_marketplaces(self, _: base.SandboxRequest) -> Response:
        return base.reply({"payload": [{"marketplace": {"id": MARKETPLACE}}]})

    def _search(self, request: base.SandboxRequest) -> Response:
        query = dict(request.query)
        limit, since = query.get("maxResultsPerPage", "100"), query.get("lastUpdatedAfter", "")
        if set(query) - _SEARCH or _TIME.fullmatch(since) is None:
            raise _invalid("Exactly one of createdAfter and lastUpdatedAfter must be a time.")
        if not limit.isdigit() or not 1 <= int(limit) <= 100:
            raise _invalid("maxResultsPerPage must be between 1 and 100.")
        fixed_query = {name: query.get(name) for name in ("lastUpdatedAfter", "marketplaceIds")}
        place = _place_of(query.get("paginationToken"), fixed_query)
        until, last_key = place or (_written_time(self.clock), ["", ""])
        matches = sorted(
            (
                order
                for order in self._orders.values()
                if since <= order["lastUpdatedTime"] <= until
                and MARKETPLACE in (query.get("marketplaceIds") or MARKETPLACE).split(",")
            ),
            key=_sort_key,
        )
        remaining_orders = [order for order in matches if _sort_key(order) > last_key]
        page = remaining_orders[: int(limit)]
        answer: dict[str, Any] = {
            "orders": [_with_datasets(order, query.get("includedData")) for order in page],
            "lastUpdatedBefore": until,
        }
        if len(remaining_orders) > len(page):
            token = {"until": until, "last": _sort_key(page[-1]), **fixed_query}
            text = urlsafe_b64encode(json.dumps(token).encode()).decode()
            answer["pagination"] = {"nextToken": text}
        return base.reply(answer)

    def _order(self, id_: str) -> dict[str, Any]:
        missing_error = _error(404, "NotFound", "The order does not exist.")
        return base.existing(self._orders, unquote(id_), missing_error)

    def _fetch_order(self, request: base.SandboxRequest, id: str) -> Response:
        order = _with_datasets(self._order(id), dict(request.query).get("includedData"))
        return base.reply({"order": order}, Date=format_datetime(self.clock, usegmt=True))

    def _confirm(self, request: base.SandboxRequest, id: str) -> Response:
        order, body = self._order(id), _body(request, _PARCEL)
        parcel = body["packageDetail"]
        reference = parcel["packageReferenceId"]
        if not reference.isdigit() or int(reference) < 1:
            raise _invalid("PackageReferenceId: is invalid, must be a positive numeric value.")
        if _TIME.fullmatch(parcel["shipDate"]) is None or not parcel["trackingNumber"]:
            raise _invalid("The ship date or the tracking number is invalid.")
        fulfilment = order["fulfillment"]
        items = {item["orderItemId"]: item["fulfillment"] for item in order["orderItems"]}
        earlier_packages = [it for it in order["packages"] if it["packageReferenceId"] == reference]
        freed_quantities = {
            line["orderItemId"]: line["quantity"]
            for package in earlier_packages
            for line in package["packageItems"]
        }
        is_shippable = bool(earlier_packages) or fulfilment["fulfillmentStatus"] in _SHIPPABLE
        if body["marketplaceId"] != MARKETPLACE or not is_shippable:
            raise _invalid("Failed to create package: order already fulfilled.")
        for item in parcel["orderItems"]:
            id_ = item["orderItemId"]
            unshipped = items.get(id_, {}).get("quantityUnfulfilled", 0) + freed_quantities.get(
                id_, 0
            )
            if not 1 <= item["quantity"] <= unshipped:
                raise _invalid("OrderItemId or quantity is invalid.")
        for package in earlier_packages:
            order["packages"].remove(package)
            _count(items, package["packageItems"], -1)
        _count(items, parcel["orderItems"], 1)
        is_rest = any(counts["quantityUnfulfilled"] for counts in items.values())
        fulfilment["fulfillmentStatus"] = "PARTIALLY_SHIPPED" if is_rest else "SHIPPED"
        order["packages"].append(
            {
                "packageReferenceId": reference,
                "createdTime": _written_time(self.tick()),
                "packageStatus": {"status": "SHIPPED"},
                "carrier": parcel["carrierCode"],
                "shipTime": parcel["shipDate"],
                "trackingNumber": parcel["trackingNumber"],
                "packageItems": parcel["orderItems"],
            }
        )
        order["lastUpdatedTime"] = _written_time(self.clock)
        return Response(204)

    def _fetch_listing(self, request: base.SandboxRequest, sku: str) -> Response:
        listing, query = self._listing(sku), dict(request.query)
        names = set(query.get("includedData", "summaries").split(","))
        if query.get("marketplaceIds") != MARKETPLACE or not names <= _LISTING_DATA:
            raise _invalid("marketplaceIds or includedData is invalid.")
        return base.reply({name: listing[name] for name in ("sku", *names) if name in listing})

    def _listing(self, sku: str) -> dict[str, Any]:
        missing_error = _error(404, "NOT_FOUND", f"SKU '{unquote(sku)}' not found.")
        return base.existing(self._listings, unquote(sku), missing_error)

    def _patch_listing(self, request: base.SandboxRequest, sku: str) -> Response:
        listing, body = self._listing(sku), _body(request, _PATCH)
        if dict(request.query).get("marketplaceIds") != MARKETPLACE:
            raise _invalid("marketplaceIds is invalid.")
        issue = None
        for patch in body["patches"]:
            value = patch.get("value", [])
            if body["productType"] != listing["productTypes"][0]["productType"]:
                issue = "The product type is not that of the item."
            elif patch["path"] == "/attributes/fulfillment_availability":
                issue = _set_stock(listing, value)
            elif patch["path"] == "/attributes/purchasable_offer":
                issue = _set_price(listing, value)
            else:
                raise _invalid("Invalid path provided in patch.")
        return base.reply(
            {
                "sku": listing["sku"],
                "status": "ACCEPTED" if issue is None else "INVALID",
                "submissionId": f"{self.number():032x}",
                "issues": [] if issue is None else [_issue(issue)],
            }
        )


def _count(items: dict[str, Any], lines: list[Any], sign: int) -> None:
    """Mark a package's lines as shipped, or as not shipped if `sign` is -1."""
    for line in lines:
        counts, quantity = items[line["orderItemId"]], sign * line["quantity"]
        counts["quantityFulfilled"] += quantity
        counts["quantityUnfulfilled"] -= quantity


def _set_stock(listing: dict[str, Any], value: list[Any]) -> str | None:
    """Set a listing's stock; return the problem with the value, if any."""
    if len(value) != 1 or list(problems(_STOCK, value[0])) or value[0]["quantity"] < 0:
        return "The provided value for 'fulfillment_availability' is invalid."
    for stock in listing["fulfillmentAvailability"]:
        if stock["fulfillmentChannelCode"] == value[0]["fulfillment_channel_code"]:
            stock["quantity"] = value[0]["quantity"]
            return None
    return "The item is not in this stock."


def _set_price(listing: dict[str, Any], value: list[Any]) -> str | None:
    """Set a listing's price; return the problem with the value, if any."""
    if len(value) != 1 or list(problems(_OFFER, value[0])):
        return "The provided value for 'purchasable_offer' is invalid."
    offer = value[0]
    if (offer["marketplace_id"], offer["audience"]) != (MARKETPLACE, "ALL"):
        return "The provided value for 'purchasable_offer' is invalid."
    amount = offer["our_price"][0]["schedule"][0]["value_with_tax"]
    price = {"amount": f"{amount:.2f}", "currencyCode": offer["currency"]}
    listing["offers"] = [{"marketplaceId": MARKETPLACE, "offerType": "B2C", "price": price}]
    return None


def _listing(sku: str, stock: int | None = None, price: str | None = None) -> dict[str, Any]:
    offer = {"marketplaceId": MARKETPLACE, "offerType": "B2C"}
    return {
        "sku": sku,
        "summaries": [
            {
                "marketplaceId": MARKETPLACE,
                "productType": "ROPE",
                "status": [],
                "itemName": f"Rope {sku}",
                "createdDate": "2031-01-01T00:00:00Z",
                "lastUpdatedDate": "2031-01-01T00:00:00Z",
            }
        ],
        "productTypes": [{"marketplaceId": MARKETPLACE, "productType": "ROPE"}],
        "offers": []
        if price is None
        else [{**offer, "price": {"amount": price, "currencyCode": "EUR"}}],
        "fulfillmentAvailability": [
            {"fulfillmentChannelCode": "AMAZON_EU"}
            if stock is None
            else {"fulfillmentChannelCode": "DEFAULT", "quantity": stock}
        ],
    }


def _sort_key(order: dict[str, Any]) -> list[str]:
    return [order["lastUpdatedTime"], order["orderId"]]


def _place_of(
    token: str | None, fixed_query: dict[str, str | None]
) -> tuple[str, list[str]] | None:
    """Return the period's end and the last order from a page token."""
    if token is None:
        return None
    place: dict[str, Any] = {}
    with suppress(ValueError, TypeError):
        place = dict(json.loads(urlsafe_b64decode(token)))
    if {name: place.get(name) for name in fixed_query} != fixed_query or "until" not in place:
        raise _invalid("paginationToken is invalid, or another parameter changed.")
    return place["until"], place["last"]


def _with_datasets(order: dict[str, Any], names: str | None) -> dict[str, Any]:
    """Return an order with only the requested datasets."""
    datasets = [] if names is None else names.split(",")
    if any(name not in _DATASETS for name in datasets):
        raise _invalid("includedData is invalid.")
    hidden_fields = {field for fields in _DATASETS.values() for field in fields}
    hidden_fields -= {field for name in datasets for field in _DATASETS[name]}
    order_fields = {name: value for name, value in order.items() if name not in hidden_fields}
    items = [
        {name: value for name, value in item.items() if name not in hidden_fields}
        for item in order["orderItems"]
    ]
    return {**order_fields, "orderItems": items}


def _euros(cents: int) -> dict[str, str]:
    return {"amount": f"{cents // 100}.{cents % 100:02d}", "currencyCode": "EUR"}


def _written_time(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}.000Z"


def _body(request: base.SandboxRequest, shape: dict[str, Any]) -> dict[str, Any]:
    body = request.json()
    wrong_fields = [name for _, name, _ in problems(shape, body)]
    if wrong_fields:
        raise _invalid(f"The fields are invalid: {', '.join(wrong_fields)}")
    fields: dict[str, Any] = body
    return fields


def _issue(message: str) -> dict[str, Any]:
    return {
        "code": "90000900",
        "message": message,
        "severity": "ERROR",
        "categories": ["INVALID_ATTRIBUTE"],
    }


def _invalid(message: str) -> base.Refusal:
    return _error(400, "InvalidInput", message)


def _error(status: int, code: str, message: str) -> base.Refusal:
    return base.refusal({"errors": [{"code": code, "message": message, "details": ""}]}, status)


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = AmazonSpApiSandbox()
    return SandboxFixture(
        sandbox=sandbox,
        options={
            "client_id": sandbox.client_id,
            "client_secret": sandbox.client_secret,
            "refresh_token": sandbox.refresh_token,
            "seller_id": sandbox.seller_id,
            "marketplace": MARKETPLACE,
        },
        vendor_values={"order": lambda: sandbox.add_order(2)},
    )
