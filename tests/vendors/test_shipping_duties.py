"""Estimates of duties and taxes at DHL Express and UPS."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from moorage.contracts.shipping import (
    Contents,
    Customs,
    CustomsItem,
    DutiesEstimate,
    ItemDuties,
    RateRequest,
)
from moorage.domain.http.requests import Response
from moorage.domain.values.money import Money
from moorage.errors import InvalidData, InvalidRequest, VendorFailed, VendorRejected
from moorage.testing.sandboxes.base import reply
from moorage.vendors.shipping._dhl_express_answers import read_duties as read_dhl
from moorage.vendors.shipping._dhl_express_requests import duties_body as dhl_body
from moorage.vendors.shipping._ups_duties import duties_body as ups_body
from moorage.vendors.shipping._ups_duties import read_duties as read_ups
from tests.support.openapi import excerpt_problems
from tests.vendors import dhl_express_account, ups_account
from tests.vendors.dhl_express_account import PARCEL, RECIPIENT, SENDER

SHIRTS = CustomsItem(
    description="Shirts",
    quantity=3,
    value=Money("10.00", "EUR"),
    weight="0.6",
    hs_code="6109.10",
    origin="DE",
    sku="S-1",
)
PENS = CustomsItem(
    description="Pens",
    quantity=1,
    value=Money("5", "EUR"),
    weight="0.1",
    hs_code="9608",
    origin="FR",
)
GOODS = Customs(items=[SHIRTS, PENS], signer="Steve Brule")
ORDER = RateRequest(sender=SENDER, recipient=RECIPIENT, parcels=PARCEL, customs=GOODS)
FREIGHT = Money("12.50", "EUR")
SHOES = Customs(
    items=[
        attrs.evolve(SHIRTS, quantity=2, value=Money("5000", "AUD"), hs_code="640391"),
    ],
    signer="Ada",
)
RUBBER = Customs(
    items=[
        attrs.evolve(SHIRTS, quantity=24, value=Money("3000", "GBP"), hs_code="400932"),
        attrs.evolve(PENS, quantity=900, value=Money("450", "GBP"), hs_code=None),
    ],
    signer="Ada",
)
DHL_PRODUCT: dict[str, Any] = {
    "totalPrice": [{"priceCurrency": "AUD", "price": 6078.22}],
    "detailedPriceBreakdown": [
        {
            "priceCurrency": "AUD",
            "breakdown": [
                {"name": "SCUSV", "price": 5000, "priceCurrency": "AUD"},
                {"name": "SPRQN", "price": 204.19, "priceCurrency": "GBP"},
                {"name": "TOTAL DUTIES", "typeCode": "DUTY", "price": 0, "priceCurrency": "AUD"},
                {"name": "TOTAL TAXES", "typeCode": "TAX", "price": 534.92, "priceCurrency": "AUD"},
                {"name": "TOTAL FEES", "typeCode": "FEE", "price": 88, "priceCurrency": "AUD"},
                {"name": "IMPORT", "typeCode": "FEE", "price": 50, "priceCurrency": "AUD"},
                {"name": "IDCA", "typeCode": "FEE", "price": 38, "priceCurrency": "AUD"},
            ],
        }
    ],
    "items": [
        {
            "number": 1,
            "breakdown": [
                {"name": "CIF", "price": 5349.21, "priceCurrency": "AUD"},
                {"name": "DUTY", "typeCode": "DUTY", "price": 0, "priceCurrency": "AUD"},
                {"name": "GST", "typeCode": "TAX", "price": 534.92, "priceCurrency": "AUD"},
            ],
        }
    ],
}
UPS_SHIPMENT: dict[str, Any] = {
    "currencyCode": "GBP",
    "totalBrokerageFees": 24.65,
    "totalDuties": 60,
    "totalCommodityLevelTaxesAndFees": 0,
    "totalShipmentLevelTaxesAndFees": 0,
    "totalVAT": 702,
    "totalDutyandTax": 762,
    "grandTotal": 786.65,
    "shipmentItems": [
        {
            "commodityId": "1",
            "commodityDuty": 60,
            "totalCommodityTaxesAndFees": 0,
            "commodityVAT": 612,
            "isCalculable": True,
            "hsCode": "4009320090",
        },
        {
            "commodityId": "2",
            "commodityDuty": 0,
            "totalCommodityTaxesAndFees": 0,
            "commodityVAT": 90,
            "isCalculable": True,
            "hsCode": "8546901000",
        },
    ],
}


def order_of(customs: Customs, **fields: Any) -> RateRequest:
    """Return a shipment with the given goods."""
    return attrs.evolve(ORDER, customs=customs, **fields)


def dhl_estimate(product: Any, customs: Customs = SHOES, **answer: Any) -> DutiesEstimate:
    """Return the estimate in a response of DHL Express."""
    return read_dhl(reply({"products": [product], **answer}), order_of(customs), None)


def ups_estimate(shipment: Any) -> DutiesEstimate:
    """Return the estimate in a response of UPS."""
    return read_ups(reply({"shipment": shipment}), order_of(RUBBER), None)


def aud(amount: str) -> Money:
    """Return an amount in Australian dollars."""
    return Money(amount, "AUD")


def gbp(amount: str) -> Money:
    """Return an amount in pounds."""
    return Money(amount, "GBP")


def test_published_answer_of_dhl_is_read() -> None:
    """The sums read from DHL's published response are its totals, and count no fee twice."""
    estimate = dhl_estimate(DHL_PRODUCT, warnings=["200203: The HS code is not complete."])

    assert ("0.00", "534.92", "88.00") == tuple(
        str(money.amount) for money in (estimate.duties, estimate.taxes, estimate.fees)
    )
    assert (aud("5000"), aud("622.92"), aud("5622.92")) == (
        estimate.goods,
        estimate.total,
        estimate.landed_cost,
    )
    assert (ItemDuties(duties=aud("0"), taxes=aud("534.92"), fees=aud("0")),) == estimate.items
    assert "200203: The HS code is not complete." == estimate.messages[0].text


def test_charges_of_dhl_without_totals_are_added_up() -> None:
    """Without totals the charges on the items and on the shipment are added up."""
    charges = DHL_PRODUCT["detailedPriceBreakdown"][0]["breakdown"]
    single_charges = [charge for charge in charges if not charge["name"].startswith("TOTAL")]
    prices = [
        {"priceCurrency": "GBP", "breakdown": charges},
        {"priceCurrency": "AUD", "breakdown": single_charges},
    ]
    estimate = dhl_estimate({**DHL_PRODUCT, "detailedPriceBreakdown": prices})

    assert (aud("0"), aud("534.92"), aud("88")) == (
        estimate.duties,
        estimate.taxes,
        estimate.fees,
    )


def test_charges_that_dhl_lists_twice_count_once() -> None:
    """A second list of prices in the same currency repeats the charges of the first list."""
    [prices] = DHL_PRODUCT["detailedPriceBreakdown"]
    charges = [charge for charge in prices["breakdown"] if not charge["name"].startswith("TOTAL")]
    lists = [
        {"currencyType": kind, "priceCurrency": "AUD", "breakdown": charges}
        for kind in ("BILLC", "PULCL")
    ]
    estimate = dhl_estimate({**DHL_PRODUCT, "detailedPriceBreakdown": lists})

    assert (aud("534.92"), aud("88")) == (estimate.taxes, estimate.fees)


def test_charges_of_dhl_in_other_currencies_are_no_estimate() -> None:
    """If no list of prices is in the currency of the goods, the response is not an estimate."""
    prices = [{"priceCurrency": "GBP", "breakdown": []}]
    with pytest.raises(VendorFailed, match="detailedPriceBreakdown"):
        dhl_estimate({**DHL_PRODUCT, "detailedPriceBreakdown": prices})


@pytest.mark.parametrize("currency, value, price", [("JPY", "100", 33), ("KWD", "0.1", 0.033)])
def test_prices_per_piece_have_the_decimals_of_the_currency(
    currency: str, value: str, price: float
) -> None:
    """Uneven values are divided into exact prices, with no decimals or three if need be."""
    goods = Customs(items=[attrs.evolve(SHIRTS, value=Money(value, currency))], signer="Ada")
    dhl, ups = dhl_body(order_of(goods), "1", None), ups_body(order_of(goods), None, "1")
    more = Money.from_minor(34, currency).amount

    expected = [(2, price), (1, float(more))]
    assert expected == [(line["quantity"], line["unitPrice"]) for line in dhl["items"]]
    lines = ups["shipment"]["shipmentItems"]
    assert expected == [(line["quantity"], line["priceEach"]) for line in lines]


def test_goods_without_a_value_have_a_price_of_zero() -> None:
    """Free goods are sent with a price of zero, and are not left out."""
    goods = Customs(items=[attrs.evolve(SHIRTS, value=Money("0", "EUR"))], signer="Ada")
    dhl, ups = dhl_body(order_of(goods), "1", None), ups_body(order_of(goods), None, "1")

    assert [0] == [line["unitPrice"] for line in dhl["items"]]
    assert [0] == [line["priceEach"] for line in ups["shipment"]["shipmentItems"]]


def test_published_answer_of_ups_is_read() -> None:
    """UPS's published response is read, although its field names differ from the description's."""
    estimate = ups_estimate(UPS_SHIPMENT)

    assert (gbp("60"), gbp("702"), gbp("24.65")) == (
        estimate.duties,
        estimate.taxes,
        estimate.fees,
    )
    assert (gbp("786.65"), gbp("4236.65")) == (estimate.total, estimate.landed_cost)
    assert [("4009320090", gbp("672")), ("8546901000", gbp("90"))] == [
        (item.hs_code, item.total) for item in estimate.items
    ]


def test_fees_of_ups_are_those_of_items_shipment_and_broker() -> None:
    """UPS's three sums of fees are added, whatever spelling the fees of an item have."""
    item = UPS_SHIPMENT["shipmentItems"][0] | {"commodityID": "1", "totalCommodityTaxAndFee": 7}
    fees = {"totalCommodityLevelTaxesAndFees": 7, "totalShipmentLevelTaxesAndFees": 3.5}
    items = [item, UPS_SHIPMENT["shipmentItems"][1]]
    estimate = ups_estimate(UPS_SHIPMENT | fees | {"shipmentItems": items})

    assert (gbp("35.15"), gbp("7")) == (estimate.fees, estimate.items[0].fees)


def test_lines_of_one_item_are_added_up() -> None:
    """An item whose value does not divide evenly is two lines, and one item of the estimate."""
    lines = [
        {
            "number": number,
            "breakdown": [
                {"typeCode": kind, "price": price, "priceCurrency": "EUR"}
                for kind, price in (("DUTY", 0.1), ("DUTY", 0.2), ("TAX", 1.5), ("FEE", 0.25))
            ],
        }
        for number in (1, 2, 3)
    ]
    estimate = dhl_estimate({"items": lines[::-1]}, GOODS)
    amounts = [(item.duties, item.taxes, item.fees) for item in estimate.items]

    assert [("0.60", "3.00", "0.50"), ("0.30", "1.50", "0.25")] == [
        tuple(str(money.amount) for money in item) for item in amounts
    ]
    assert Money("0.90", "EUR") == estimate.duties


@pytest.mark.parametrize(
    "product",
    [
        {},
        {"items": []},
        {"items": [{"number": 2, "breakdown": []}]},
        {
            "items": [
                {
                    "number": 1,
                    "breakdown": [{"typeCode": "TAX", "price": 1, "priceCurrency": "GBP"}],
                }
            ]
        },
        {"items": [{"number": 1, "breakdown": [{"typeCode": "TAX", "priceCurrency": "AUD"}]}]},
        {
            "items": [
                {
                    "number": 1,
                    "breakdown": [{"typeCode": "TAX", "price": 0.005, "priceCurrency": "AUD"}],
                }
            ]
        },
    ],
)
def test_incomplete_answer_of_dhl_is_no_estimate(product: Any) -> None:
    """A response without an item, or with an amount that is not exact, is not an estimate."""
    with pytest.raises(VendorFailed):
        dhl_estimate(product)


@pytest.mark.parametrize(
    "fields",
    [
        {"currencyCode": "USD"},
        {"currencyCode": None},
        {"totalDuties": None},
        {"totalVAT": "much"},
        {"shipmentItems": UPS_SHIPMENT["shipmentItems"][:1]},
        {"shipmentItems": [{"commodityId": "1"}]},
    ],
)
def test_incomplete_answer_of_ups_is_no_estimate(fields: dict[str, Any]) -> None:
    """A response without an item or an amount, or in another currency, is not an estimate."""
    with pytest.raises(VendorFailed):
        ups_estimate(UPS_SHIPMENT | fields)


def test_goods_that_ups_cannot_calculate_are_no_estimate() -> None:
    """An item whose duties UPS cannot calculate is refused, not counted as free."""
    items = [item | {"isCalculable": False} for item in UPS_SHIPMENT["shipmentItems"]]

    with pytest.raises(VendorRejected, match="line 1"):
        ups_estimate(UPS_SHIPMENT | {"shipmentItems": items})


def test_request_to_dhl_has_the_goods_and_the_freight() -> None:
    """A request to DHL has each line with its exact value, the freight, and who pays duties."""
    paid = attrs.evolve(GOODS, incoterm="DDP")
    body = dhl_body(order_of(paid, insurance=Money("15", "EUR")), "1", FREIGHT)

    assert [] == excerpt_problems("dhl_express", "POST", "/landed-cost", body)
    assert [(1, 2, 3.33), (2, 1, 3.34), (3, 1, 5)] == [
        (line["number"], line["quantity"], line["unitPrice"]) for line in body["items"]
    ]
    assert {
        "number": 1,
        "description": "Shirts",
        "manufacturerCountry": "DE",
        "partNumber": "S-1",
        "quantity": 2,
        "quantityType": "prt",
        "unitPrice": 3.33,
        "unitPriceCurrencyCode": "EUR",
        "commodityCode": "6109.10",
    } == body["items"][0]
    assert [{"typeCode": "freight", "amount": 12.5, "currencyCode": "EUR"}] == body["charges"]
    assert (True, True, True) == (
        body["isDTPRequested"],
        body["isInsuranceRequested"],
        body["getCostBreakdown"],
    )
    assert [{"typeCode": "shipper", "number": "1"}] == body["accounts"]
    assert ("air", "DHL") == (body["transportationMode"], body["merchantSelectedCarrierName"])
    places = [party["countryCode"] for party in body["customerDetails"].values()]
    assert (["US", "CA"], "EUR", "personal") == (
        places,
        body["currencyCode"],
        body["shipmentPurpose"],
    )


def test_request_to_dhl_names_a_company_and_own_options() -> None:
    """A recipient with a company imports for business; DHL's extra options are merged in."""
    company = attrs.evolve(RECIPIENT, company="ACME")
    extra = {"dhl_express": {"duties": {"productCode": "P"}}}
    body = dhl_body(order_of(GOODS, recipient=company, extra=extra), "1", None)

    assert ("commercial", "P", False) == (
        body["shipmentPurpose"],
        body["productCode"],
        body["isDTPRequested"],
    )
    assert "charges" not in body


def test_requests_are_in_the_currency_of_the_goods() -> None:
    """The currency of a request, of its lines and of the freight is that of the goods."""
    request, freight = order_of(SHOES), aud("12.50")
    dhl, ups = dhl_body(request, "1", freight), ups_body(request, freight, "1")
    currencies = [
        dhl["currencyCode"],
        dhl["charges"][0]["currencyCode"],
        dhl["items"][0]["unitPriceCurrencyCode"],
        ups["currencyCode"],
        ups["shipment"]["shipmentItems"][0]["commodityCurrencyCode"],
    ]

    assert ["AUD"] * 5 == currencies


@pytest.mark.parametrize("hs_code", [None, ""])
def test_dhl_needs_a_tariff_number(hs_code: str | None) -> None:
    """Goods without a customs tariff number are refused before anything is sent."""
    shop = dhl_express_account.SandboxHub()
    goods = Customs(items=[SHIRTS, attrs.evolve(PENS, hs_code=hs_code)], signer="Ada")

    with pytest.raises(InvalidData) as excinfo:
        shop.shipping.estimate_duties(order_of(goods))

    assert ("shipment.customs.items[1].hs_code", []) == (excinfo.value.field, shop.sandbox.requests)


def test_request_to_ups_has_the_goods_and_the_freight() -> None:
    """A request to UPS has each line with its exact value and weight, and the freight."""
    gift = attrs.evolve(GOODS, contents=Contents.GIFT, incoterm="DAP")
    body = ups_body(order_of(gift), FREIGHT, "n-1")
    shipment = body["shipment"]

    assert [] == excerpt_problems("ups", "POST", "/landedcost/v1/quotes", body)
    assert ("EUR", "n-1", False, 1) == (
        body["currencyCode"],
        body["transID"],
        body["allowPartialLandedCostResult"],
        body["alversion"],
    )
    assert {
        "id": "n-1",
        "importCountryCode": "CA",
        "importProvince": "ON",
        "incoterms": "DAP",
        "exportCountryCode": "US",
        "transModes": "INT_AIR",
        "transportCost": 12.5,
        "shipmentType": "GIFT",
    } == {name: value for name, value in shipment.items() if name != "shipmentItems"}
    assert [("1", 2, 3.33, 0.4), ("2", 1, 3.34, 0.2), ("3", 1, 5, 0.1)] == [
        (item["commodityId"], item["quantity"], item["priceEach"], item["grossWeight"])
        for item in shipment["shipmentItems"]
    ]
    assert {
        "commodityId": "1",
        "grossWeight": 0.4,
        "grossWeightUnit": "KG",
        "priceEach": 3.33,
        "commodityCurrencyCode": "EUR",
        "quantity": 2,
        "UOM": "Each",
        "hsCode": "610910",
        "description": "Shirts",
        "originCountryCode": "DE",
    } == shipment["shipmentItems"][0]


@pytest.mark.parametrize("country, province", [("CA", "ON"), ("MX", "ON"), ("BR", None)])
def test_request_to_ups_has_the_province_of_canada_and_mexico(
    country: str, province: str | None
) -> None:
    """Charges on an import depend on the province in Canada and in Mexico only."""
    place = attrs.evolve(RECIPIENT, country=country, region="ON")
    shipment = ups_body(order_of(GOODS, recipient=place), None, "1")["shipment"]

    assert province == shipment.get("importProvince")


@pytest.mark.parametrize("hs_code", [None, "", "."])
def test_request_to_ups_leaves_out_what_nobody_states(hs_code: str | None) -> None:
    """Without a tariff number, a term or a relevant province, the request to UPS contains none."""
    goods = Customs(
        items=[attrs.evolve(PENS, hs_code=hs_code)], signer="Ada", contents=Contents.DONATION
    )
    place = attrs.evolve(RECIPIENT, country="GB", region="LND")
    extra = {"ups": {"duties": {"shipment": {"transModes": "INT_OCEAN"}}}}
    shipment = ups_body(order_of(goods, recipient=place, extra=extra), None, "1")["shipment"]

    assert ("OTHER", "INT_OCEAN") == (shipment["shipmentType"], shipment["transModes"])
    assert set() == {"incoterms", "importProvince", "transportCost", "shipDate"} & set(shipment)
    assert "hsCode" not in shipment["shipmentItems"][0]


def test_sandboxes_agree() -> None:
    """The same goods have the same total cost at the sandboxes of DHL Express and UPS."""
    dhl, ups = dhl_express_account.SandboxHub(), ups_account.SandboxHub()
    totals = [
        shop.shipping.estimate_duties(ORDER, freight=FREIGHT).landed_cost for shop in (dhl, ups)
    ]

    assert totals[:1] * 2 == totals
    request = ups.sandbox.requests[-1]
    assert json.loads(request.body)["transID"] == request.headers["transId"]


def test_vendors_refuse_what_they_cannot_estimate() -> None:
    """A refusal of the vendor is raised, with the vendor's code."""
    ups = ups_account.SandboxHub()

    with pytest.raises(InvalidRequest) as excinfo:
        ups.shipping.estimate_duties(order_of(GOODS, recipient=SENDER))

    assert "LC0003" == excinfo.value.vendor_code
    dhl = dhl_express_account.SandboxHub()
    detail = {"detail": "1026: The HS code is unknown.", "title": "Bad request", "status": "400"}
    dhl.sandbox.fail(Response(400, {}, json.dumps(detail).encode()))
    with pytest.raises(InvalidRequest) as excinfo:
        dhl.shipping.estimate_duties(ORDER)

    assert "1026" == excinfo.value.vendor_code


def test_estimate_needs_declared_goods_of_one_currency() -> None:
    """A shipment without goods, or with prices in two currencies, is refused unsent."""
    shop = dhl_express_account.SandboxHub()
    mixed = Customs(items=[SHIRTS, attrs.evolve(PENS, value=Money("5", "USD"))], signer="Ada")
    calls: list[tuple[str, RateRequest, Money | None]] = [
        ("shipment.customs", attrs.evolve(ORDER, customs=None), None),
        ("customs.items", order_of(mixed), None),
        ("freight", ORDER, Money("1", "USD")),
        ("freight", ORDER, Money("-1", "EUR")),
        ("freight", ORDER, "1"),  # type: ignore[list-item]  # a call without type checks
    ]
    for field, shipment, freight in calls:
        with pytest.raises(InvalidData) as excinfo:
            shop.shipping.estimate_duties(shipment, freight=freight)
        assert field == excinfo.value.field

    assert [] == shop.sandbox.requests
