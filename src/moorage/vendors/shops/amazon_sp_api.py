"""Amazon: a seller's orders, stock and prices, by the Selling Partner API (SP-API).

Orders are read by version 2026-01-01 of the Orders API, parcels confirmed by its version v0, and
listings changed by version 2021-08-01 of the Listings Items API. Amazon takes no idempotency key,
but a number for each parcel of an order; a parcel with the number of an earlier parcel replaces it.
So the number is derived from the key, and a parcel whose response was lost is looked up by the
number.
"""

from __future__ import annotations

from datetime import UTC, timedelta
from decimal import Decimal
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.shops import (
    Completion,
    FulfilmentReceipt,
    ItemPage,
    OrderPage,
    PriceReceipt,
    ShopsCapability,
    StockReceipt,
    check_same_currency,
)
from moorage.vendors.shops._amazon_sp_api_answers import (
    REFUSALS,
    SELLERS_STOCK,
    VENDOR,
    check_accepted,
    read_item,
    read_order,
    read_parcels,
)
from moorage.vendors.shops._common import found_or_unknown, nearest_valid_time, not_possible

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from moorage.contracts.shops import Fulfilment, OrderQuery, ShopOrder
    from moorage.vendor_sdk import Mode, Money, Ref, Response, Wire
    from moorage.vendors.shops._amazon_sp_api_answers import OrderParcels

_ORDERS: Final = "/orders/2026-01-01/orders"
_CONFIRMATIONS: Final = "/orders/v0/orders"
_LISTINGS: Final = "/listings/2021-08-01/items"
_WHOLE: Final = "BUYER,RECIPIENT,PROCEEDS,FULFILLMENT,PAYMENT"
_PARCELS: Final = "FULFILLMENT,PACKAGES"
_ITEM: Final = "summaries,offers,fulfillmentAvailability,productTypes"
_OLDEST: Final = timedelta(days=2 * 365)
"""The age of the oldest orders that Amazon shows in most marketplaces."""
_OTHER_CARRIER: Final = "Other"
_MOST_REFERENCES: Final = 999_999_999
_MILLISECOND: Final = timedelta(milliseconds=1)
_URL: Final = "sellingpartnerapi-{region}.amazon.com"
_REGIONS: Final = ("eu", "na", "fe")


@attrs.frozen(kw_only=True)
class AmazonSpApi(sdk.ApiVendor):
    """A seller in one of Amazon's marketplaces.

    Attributes:
        seller_id: Amazon's id of the seller (the merchant token).
        marketplace: Amazon's id of the marketplace, such as A1PA6795UKMFR9 for Germany.
        region: region of the marketplace: "eu", "na" or "fe" (the Far East).
        client_id: client id of the application.
        client_secret: client secret of the application.
        refresh_token: refresh token of the seller's authorisation; without these three, the
            credential provider supplies a token.
        base_url: URL of the API; by default the region's.
        token_url: URL that grants tokens.
    """

    name = "amazon_sp_api"
    kinds = ("shops",)
    api_version = "2026-01-01"
    capabilities = frozenset({ShopsCapability.PARTIAL_FULFILMENT})
    limits: ClassVar[Mapping[str, int]] = {"page": 100}
    auth = sdk.api_key("x-amz-access-token")
    refusals = REFUSALS
    urls: ClassVar[Mapping[str, str]] = {"": "api_url"}
    ping_path = "/sellers/v1/marketplaceParticipations"

    seller_id: str = attrs.field(
        validator=sdk.matches(
            "[A-Z0-9]+",
            problem="The value is not the id of an Amazon seller.",
            remedy="Copy the merchant token from the account information in Seller Central.",
        )
    )
    marketplace: str = attrs.field(
        validator=sdk.matches(
            "[A-Z0-9]+",
            problem="The value is not the id of a marketplace.",
            remedy="Set Amazon's id of the marketplace, such as A1PA6795UKMFR9 for Germany.",
        )
    )
    region: str = attrs.field(
        default="eu", validator=sdk.one_of(*_REGIONS, problem="Amazon does not have this region.")
    )
    client_id: str | None = attrs.field(default=None, repr=False)
    client_secret: sdk.Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(sdk.as_secret)
    )
    refresh_token: sdk.Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(sdk.as_secret)
    )
    base_url: str | None = None
    token_url: str = "https://api.amazon.com/auth/o2/token"  # noqa: S105 - an address

    def __attrs_post_init__(self) -> None:
        """Refuse incomplete authorisation settings."""
        parts = (self.client_id, self.client_secret, self.refresh_token)
        if any(part is None for part in parts) and any(part is not None for part in parts):
            raise sdk.ConfigurationError(
                "Amazon needs a client id, a client secret and a refresh token, but not all"
                " of them are set.",
                path="client_id",
                remedy="Set all three, or remove all three and use a credential provider.",
            )

    @property
    def api_url(self) -> str:
        """The URL of the API."""
        return self.base_url or f"https://{_URL.format(region=self.region)}"

    def mode(self) -> Mode | None:
        """Return live or test mode, as the URL shows; None if unknown."""
        host = _URL.format(region=self.region)
        return sdk.mode_of_url(self.api_url, live=f"https://{host}", test=f"https://sandbox.{host}")

    def clients(self) -> Mapping[str, sdk.OAuthClient]:
        """The OAuth client of the application."""
        if self.client_id is None or self.client_secret is None or self.refresh_token is None:
            return {}
        return {
            "": sdk.OAuthClient(
                server=self.token_url,
                client_id=self.client_id,
                secret=self.client_secret,
                authentication=sdk.ClientAuthentication.POST,
                grant=sdk.RefreshToken(self.refresh_token),
                token_header="x-amz-access-token",  # noqa: S106 - the name of a header
            )
        }

    async def orders(self, wire: Wire, query: OrderQuery, after: Ref | None, /) -> OrderPage:
        """A page of a marketplace's orders that changed since a time."""
        since, token = query.updated_since, None
        if after is not None:
            since, token = sdk.as_time(after.other("since")), after.other("token")
        if since is None:
            since = wire.now() - _OLDEST
        filters: dict[str, str | int | None] = {
            "marketplaceIds": self.marketplace,
            "lastUpdatedAfter": _utc_text(since),
            "maxResultsPerPage": min(query.limit, self.limits["page"]),
            "paginationToken": token,
            "includedData": _WHOLE,
        }
        response = await wire.send(sdk.Request.get(_ORDERS, query=filters))
        answer = sdk.read_answer(response)
        if not sdk.is_list(answer.value("orders")):
            raise sdk.malformed(response, "orders")
        orders = [read_order(wire.ref, response, item) for item in answer.objects("orders")]
        changes = [order.updated_at for order in orders if order.updated_at is not None]
        token_of_next = answer.text("pagination.nextToken")
        next_cursor: dict[str, str | None] | None = None
        if token_of_next is not None:
            next_cursor = {"since": _utc_text(since), "token": token_of_next}
        elif token is not None and orders:
            # Orders that changed after the first page was read are outside of its period.
            until = answer.time("lastUpdatedBefore") or max(changes)
            next_cursor = {
                "since": _utc_text(nearest_valid_time(until) + _MILLISECOND),
                "token": None,
            }
        return OrderPage(
            items=tuple(order for _, order in sorted(enumerate(orders), key=_change_order)),
            next=None if next_cursor is None else wire.ref("next", **next_cursor),
            resume_at=max(changes, default=since) if next_cursor is None else since,
        )

    async def get_order(self, wire: Wire, ref: Ref, /) -> ShopOrder:
        """The current state of an order."""
        response = await wire.send(
            sdk.Request.get(_order_path(ref), query={"includedData": _WHOLE})
        )
        return read_order(wire.ref, response, sdk.read_answer(response).object("order"))

    async def fulfil(
        self, wire: Wire, ref: Ref, fulfilment: Fulfilment, /, *, key: str
    ) -> FulfilmentReceipt:
        """Confirm a parcel with the given lines, or with all remaining items."""
        number, carrier = _required_number(fulfilment), fulfilment.carrier or _OTHER_CARRIER
        look_up = sdk.Request.get(_order_path(ref), query={"includedData": _PARCELS})
        order = await wire.send(look_up, key=sdk.part_key(key, "order"), parse=read_parcels)
        reference = _reference_of(wire, key)
        find = partial(_parcel_of, ref, reference, fulfilment)
        receipt = find(order)
        if receipt is not None:
            return receipt
        order.check_shippable()
        shipped_at = order.read_at or wire.now()
        body = {
            "marketplaceId": order.marketplace or self.marketplace,
            "packageDetail": {
                "packageReferenceId": reference,
                "carrierCode": carrier,
                "carrierName": carrier,
                "trackingNumber": number,
                "shipDate": _utc_text(shipped_at),
                "orderItems": _items_of(order, fulfilment),
            },
        }
        path = f"{_CONFIRMATIONS}/{quote(ref.id, safe='')}/shipmentConfirmation"
        request = sdk.Request.post(path, json=body)
        try:
            return await wire.send(request, key=key, parse=partial(_read_confirmed, ref, reference))
        except sdk.OutcomeUnknown as unknown_outcome:

            async def parcel_of() -> FulfilmentReceipt | None:
                return find(read_parcels(await wire.send(look_up)))

            return await found_or_unknown(unknown_outcome, parcel_of)

    async def find_items(self, wire: Wire, sku: str, _: Ref | None, /) -> ItemPage:
        """The seller's listing with this item number."""
        request = sdk.Request.get(self._listing(sku), query=self._in_marketplace(_ITEM))
        try:
            response = await wire.send(request)
        except sdk.VendorRejected as refusal:
            if refusal.status != 404:
                raise
            return ItemPage(items=())
        item = read_item(wire.ref, response, self.marketplace)
        return ItemPage(items=(item,) if item.sku == sku else ())

    async def set_stock(
        self,
        wire: Wire,
        ref: Ref,
        quantity: int,
        /,
        *,
        expected: int | None,  # noqa: ARG002 - a capability that this vendor lacks
        location: str | None,  # noqa: ARG002 - a capability that this vendor lacks
    ) -> StockReceipt:
        """Set the seller's own stock; Amazon shows it a little later."""
        stock = {"fulfillment_channel_code": SELLERS_STOCK, "quantity": quantity}
        raw = await self._merge(wire, ref, "fulfillment_availability", stock)
        return StockReceipt(ref=ref, quantity=quantity, raw=raw)

    async def set_price(self, wire: Wire, ref: Ref, price: Money, /) -> PriceReceipt:
        """Set the regular price; Amazon shows it a little later."""
        check_same_currency(price, ref, "price")
        offer = {
            "marketplace_id": self.marketplace,
            "currency": price.currency,
            "audience": "ALL",
            "our_price": [{"schedule": [{"value_with_tax": _number(price.amount)}]}],
        }
        raw = await self._merge(wire, ref, "purchasable_offer", offer)
        return PriceReceipt(ref=ref, price=price, raw=raw)

    async def _merge(self, wire: Wire, ref: Ref, name: str, value: dict[str, Any]) -> Any:
        """Change an attribute of a listing; a repeat has no further effect."""
        kind = ref.other("product_type")
        if kind is None:
            raise sdk.InvalidData(
                "The item's reference does not contain the product type.",
                field="ref",
                remedy="Pass the `ref` of an item that was found in the shop.",
            )
        patch = {"op": "merge", "path": f"/attributes/{name}", "value": [value]}
        request = sdk.Request.patch(
            self._listing(ref.id),
            json={"productType": kind, "patches": [patch]},
            query=self._in_marketplace("issues"),
        )
        return check_accepted(await wire.send(request.evolve(idempotent=True))).raw

    def _listing(self, sku: str) -> str:
        return f"{_LISTINGS}/{self.seller_id}/{quote(sku, safe='')}"

    def _in_marketplace(self, data: str) -> dict[str, str]:
        return {"marketplaceIds": self.marketplace, "includedData": data}


def _order_path(ref: Ref) -> str:
    return f"{_ORDERS}/{quote(ref.id, safe='')}"


def _change_order(entry: tuple[int, ShopOrder]) -> Any:
    place, order = entry
    return order.updated_at, place


def _utc_text(at: datetime) -> str:
    """A UTC time in Amazon's format, to the millisecond."""
    in_utc = nearest_valid_time(at).astimezone(UTC).replace(tzinfo=None)
    return f"{in_utc.isoformat(timespec='milliseconds')}Z"


def _number(amount: Decimal) -> int | float:
    """A price as a JSON number.

    Raises:
        InvalidData: no JSON number has exactly this value.
    """
    if amount == amount.to_integral_value():
        return int(amount)
    number = float(amount)
    if Decimal(repr(number)) != amount:
        raise sdk.InvalidData(
            "The price has more digits than can be sent exactly.",
            field="price",
            remedy="Check that the price is for one item.",
        )
    return number


def _required_number(fulfilment: Fulfilment) -> str:
    """A parcel's tracking number, which Amazon requires.

    Raises:
        InvalidData: the tracking number is missing.
    """
    if fulfilment.tracking_number is None:
        raise sdk.InvalidData(
            "Amazon does not accept a parcel without a tracking number.",
            field="tracking_number",
            remedy="Pass the carrier's tracking number of the parcel.",
        )
    return fulfilment.tracking_number


def _items_of(order: OrderParcels, fulfilment: Fulfilment) -> list[dict[str, Any]]:
    """A parcel's lines with their quantities.

    Raises:
        VendorRejected: a line does not belong to the order, or its quantity exceeds what is left.
    """
    unshipped = {id_: quantity for id_, quantity in order.left.items() if quantity > 0}
    quantities = {line.id: line.quantity for line in fulfilment.lines} or unshipped
    for id_, quantity in quantities.items():
        if quantity > unshipped.get(id_, 0):
            text = "The parcel has more items than are left to ship."
            raise not_possible(VENDOR, order.response, "quantityUnfulfilled", text)
    if not quantities:
        text = "The order has no items left to ship."
        raise not_possible(VENDOR, order.response, "quantityUnfulfilled", text)
    return [{"orderItemId": id_, "quantity": quantity} for id_, quantity in quantities.items()]


def _receipt(ref: Ref, id_: str, raw: Any) -> FulfilmentReceipt:
    return FulfilmentReceipt(ref=ref, id=id_, completion=Completion.DONE, raw=raw)


def _reference_of(wire: Wire, key: str) -> str:
    """A parcel's number within its order; the same idempotency key gives the same number."""
    unique_hash = sha256(f"{wire.tenant or ''}\n{key}".encode()).digest()
    return str(int.from_bytes(unique_hash[:8]) % _MOST_REFERENCES + 1)


def _parcel_of(
    ref: Ref, reference: str, fulfilment: Fulfilment, order: OrderParcels
) -> FulfilmentReceipt | None:
    """The receipt of the parcel with a number or tracking number; None if there is none.

    By its tracking number, a parcel with all remaining items is found only if no items remain.
    """
    is_over = bool(fulfilment.lines) or not any(order.left.values())
    for known_reference, tracking_number in order.parcels:
        is_same = is_over and tracking_number == fulfilment.tracking_number
        if known_reference == reference or is_same:
            return _receipt(ref, known_reference, order.answer.raw)
    return None


def _read_confirmed(ref: Ref, reference: str, response: Response) -> FulfilmentReceipt:
    """The receipt of a confirmed parcel; the response is empty."""
    if response.status != 204:
        raise sdk.malformed(response, "status 204")
    return _receipt(ref, reference, {"packageReferenceId": reference})
