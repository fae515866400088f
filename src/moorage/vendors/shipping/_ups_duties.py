"""UPS's landed cost: its request and the parsing of its response, without I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.shipping.duties import DutiesEstimate, ItemDuties, declared_goods
from moorage.contracts.shipping.units import WeightUnit, convert_measure
from moorage.vendors.shipping._common import as_number, extra_of, filled
from moorage.vendors.shipping._duties import GoodsLine, goods_lines, item_charges
from moorage.vendors.shipping._ups_requests import CARRIER, REASONS, plain_code

if TYPE_CHECKING:
    from moorage.contracts.shipping.rates import RateRequest

_OTHER_PURPOSE: Final = "OTHER"
_PROVINCES: Final = frozenset({"CA", "MX"})
"""Countries whose charges on an import depend on the province."""


def duties_body(request: RateRequest, freight: sdk.Money | None, number: str) -> dict[str, Any]:
    """The body of the request for the charges on the import of a shipment.

    Args:
        request: the shipment.
        freight: price of the transport.
        number: number of the request.
    """
    customs, recipient = declared_goods(request), request.recipient
    shipment = {
        "id": number,
        "importCountryCode": recipient.country,
        "importProvince": (recipient.region or None) if recipient.country in _PROVINCES else None,
        "shipDate": request.ship_date and f"{request.ship_date}",
        "incoterms": customs.incoterm,
        "exportCountryCode": request.sender.country,
        "transModes": "INT_AIR",
        "transportCost": freight and as_number(freight.amount),
        "shipmentType": REASONS.get(customs.contents, _OTHER_PURPOSE),
        "shipmentItems": [
            _commodity(number, line) for number, line in goods_lines(customs).items()
        ],
    }
    body = {
        "currencyCode": customs.value.currency,
        "transID": number,
        "allowPartialLandedCostResult": False,
        "alversion": 1,
        "shipment": filled(shipment.items()),
    }
    return sdk.merged(body, extra_of(CARRIER, request, "duties"))


def _commodity(number: int, line: GoodsLine) -> dict[str, Any]:
    item = line.item
    weight = item.weight * line.count / item.quantity
    fields = {
        "commodityId": str(number),
        "grossWeight": as_number(
            convert_measure(weight, item.weight_unit, WeightUnit.KILOGRAM, decimals=3)
        ),
        "grossWeightUnit": "KG",
        "priceEach": as_number(line.unit_price.amount),
        "commodityCurrencyCode": line.unit_price.currency,
        "quantity": line.count,
        "UOM": "Each",
        "hsCode": plain_code(item.hs_code),
        "description": item.description[:150],
        "originCountryCode": item.origin,
    }
    return filled(fields.items())


def read_duties(
    response: sdk.Response, request: RateRequest, freight: sdk.Money | None
) -> DutiesEstimate:
    """Parse the charges on the import of a shipment.

    Raises:
        VendorRejected: UPS cannot calculate the charges on an item.
        VendorFailed: the response lacks an item or an amount, or has another currency.
    """
    body, customs = sdk.read_answer(response), declared_goods(request)
    currency, shipment = customs.value.currency, body.object("shipment")
    if shipment.text("currencyCode") != currency:
        raise sdk.malformed(response, "shipment.currencyCode")

    def amount(answer: sdk.Answer, *names: str) -> sdk.Money:
        values = [answer.value(name) for name in names if name in answer.raw]
        money = sdk.as_money(values[0], currency) if values else None
        return sdk.required(money, response, names[0])

    charges: dict[str, ItemDuties] = {}
    for item in shipment.objects("shipmentItems"):
        number = item.text("commodityID") or item.text("commodityId") or ""
        if item.value("isCalculable") is False:
            words = f"UPS cannot calculate the duties on line {number}."
            raise sdk.VendorRejected(words, response=response)
        charges[number] = ItemDuties(
            duties=amount(item, "commodityDuty"),
            taxes=amount(item, "commodityVAT"),
            fees=amount(item, "totalCommodityTaxAndFee", "totalCommodityTaxesAndFees"),
            hs_code=item.text("hsCode"),
        )
    fees = ("totalCommodityLevelTaxesAndFees", "totalShipmentLevelTaxesAndFees")
    return DutiesEstimate(
        goods=customs.value,
        freight=freight,
        items=item_charges(response, customs, charges),
        duties=amount(shipment, "totalDuties"),
        taxes=amount(shipment, "totalVAT"),
        fees=sum((amount(shipment, name) for name in fees), amount(shipment, "totalBrokerageFees")),
        raw=body.raw,
    )
