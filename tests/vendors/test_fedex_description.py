"""Requests to FedEx match FedEx's own API descriptions."""

from __future__ import annotations

import json
from typing import Final

import attrs
import pytest

from moorage import Account, Hub
from moorage.contracts.address import Address
from moorage.contracts.shipping import (
    Customs,
    CustomsItem,
    Parcel,
    RateRequest,
    ShipmentRequest,
    Signature,
)
from moorage.domain.values.money import Money
from moorage.errors import VendorRejected
from moorage.testing.sandboxes.base import Lost, SandboxHttpClient
from moorage.testing.sandboxes.shipping.fedex import FedExSandbox
from moorage.vendors.shipping.fedex import FedEx
from tests.support.openapi import Json, problems

TEXT: Json = {"type": "string"}
NUMBER: Json = {"type": "number"}
COUNT: Json = {"type": "integer"}
FLAG: Json = {"type": "boolean"}


def fields(required: str, **properties: Json) -> Json:
    """Return the schema of an object with these fields and no others."""
    return {"type": "object", "required": required.split(), "properties": properties}


def listed(items: Json) -> Json:
    """Return the schema of a list of these items."""
    return {"type": "array", "items": items}


def one_of(words: str) -> Json:
    """Return the schema of an enumeration of these words."""
    return {"type": "string", "enum": words.split()}


def operation(schema: Json, method: str = "post") -> Json:
    """Return a description of a request with this body."""
    return {method: {"requestBody": {"content": {"application/json": {"schema": schema}}}}}


ACCOUNT = fields("value", value=TEXT)
MONEY = fields("", amount=NUMBER, currency=TEXT)
WEIGHT = fields("units value", units=one_of("KG LB"), value=NUMBER)
PLACE = {
    "city": TEXT,
    "stateOrProvinceCode": TEXT,
    "postalCode": TEXT,
    "countryCode": TEXT,
    "residential": FLAG,
}
SIZES = fields("", length=COUNT, width=COUNT, height=COUNT, units=one_of("CM IN"))
SIGNING = fields(
    "",
    specialServiceTypes=listed(TEXT),
    signatureOptionType=one_of("SERVICE_DEFAULT NO_SIGNATURE_REQUIRED INDIRECT DIRECT ADULT"),
)
COMMODITY = fields(
    "description",
    description=TEXT,
    countryOfManufacture=TEXT,
    harmonizedCode=TEXT,
    partNumber=TEXT,
    numberOfPieces=COUNT,
    quantity=COUNT,
    quantityUnits=TEXT,
    weight=WEIGHT,
    unitPrice=MONEY,
    customsValue=MONEY,
)
RETURNING = fields("returnType", returnType=one_of("PENDING PRINT_RETURN_LABEL"))
SERVICES = fields("", specialServiceTypes=listed(TEXT), returnShipmentDetail=RETURNING)
PICKUPS = one_of("CONTACT_FEDEX_TO_SCHEDULE DROPOFF_AT_FEDEX_LOCATION USE_SCHEDULED_PICKUP")
RATED = fields(
    "weight",
    groupPackageCount=COUNT,
    weight=WEIGHT,
    dimensions=SIZES,
    packageSpecialServices=SIGNING,
)
RATES = fields(
    "accountNumber requestedShipment",
    accountNumber=ACCOUNT,
    rateRequestControlParameters=fields("", returnTransitTimes=FLAG),
    requestedShipment=fields(
        "pickupType recipient requestedPackageLineItems shipper",
        shipper=fields("address", address=fields("", **PLACE)),
        recipient=fields("address", address=fields("", **PLACE)),
        rateRequestType=listed(one_of("LIST INCENTIVE ACCOUNT PREFERRED")),
        shipDateStamp=TEXT,
        pickupType=PICKUPS,
        packagingType=TEXT,
        totalPackageCount=COUNT,
        requestedPackageLineItems=listed(RATED),
        shipmentSpecialServices=SERVICES,
        customsClearanceDetail=fields("commodities", commodities=listed(COMMODITY)),
    ),
)
PARTY = fields(
    "address contact",
    contact=fields("", personName=TEXT, companyName=TEXT, phoneNumber=TEXT, emailAddress=TEXT),
    address=fields("", streetLines=listed(TEXT), **PLACE),
)
REFERENCE = fields(
    "",
    customerReferenceType=one_of("CUSTOMER_REFERENCE DEPARTMENT_NUMBER INVOICE_NUMBER P_O_NUMBER"),
    value=TEXT,
)
INVOICE = fields(
    "",
    originatorName=TEXT,
    shipmentPurpose=one_of("GIFT NOT_SOLD PERSONAL_EFFECTS REPAIR_AND_RETURN SAMPLE SOLD"),
    specialInstructions=TEXT,
    termsOfSale=TEXT,
    customerReferences=listed(REFERENCE),
)
CLEARANCE = fields(
    "commercialInvoice commodities",
    commercialInvoice=INVOICE,
    dutiesPayment=fields("", paymentType=one_of("SENDER RECIPIENT THIRD_PARTY COLLECT")),
    isDocumentOnly=FLAG,
    totalCustomsValue=MONEY,
    commodities=listed(COMMODITY),
    exportDetail=fields("", exportComplianceStatement=TEXT),
)
SHIPMENT = fields(
    "accountNumber labelResponseOptions requestedShipment",
    accountNumber=ACCOUNT,
    labelResponseOptions=one_of("URL_ONLY LABEL"),
    processingOptionType=one_of("SYNCHRONOUS_ONLY ALLOW_ASYNCHRONOUS"),
    requestedShipment=fields(
        "labelSpecification packagingType pickupType recipients requestedPackageLineItems"
        " serviceType shipper shippingChargesPayment totalWeight",
        shipDatestamp=TEXT,
        shipper=PARTY,
        recipients=listed(PARTY),
        pickupType=PICKUPS,
        serviceType=TEXT,
        packagingType=TEXT,
        totalWeight=NUMBER,
        shippingChargesPayment=fields("paymentType", paymentType=one_of("SENDER RECIPIENT")),
        shipmentSpecialServices=SERVICES,
        customsClearanceDetail=CLEARANCE,
        labelSpecification=fields(
            "imageType labelStockType",
            imageType=one_of("ZPLII EPL2 PDF PNG"),
            labelStockType=one_of("PAPER_4X6 STOCK_4X6"),
        ),
        rateRequestType=listed(one_of("LIST NONE PREFERRED ACCOUNT INCENTIVE RETAIL")),
        totalPackageCount=COUNT,
        requestedPackageLineItems=listed(
            fields(
                "weight",
                sequenceNumber=COUNT,
                groupPackageCount=COUNT,
                customerReferences=listed(REFERENCE),
                weight=WEIGHT,
                dimensions=SIZES,
                packageSpecialServices=SIGNING,
            )
        ),
    ),
)
CANCEL = fields(
    "accountNumber trackingNumber",
    accountNumber=ACCOUNT,
    trackingNumber=TEXT,
    deletionControl=one_of("DELETE_ALL_PACKAGES"),
)
NUMBERS = fields("trackingNumber", trackingNumber=TEXT)
TRACK = fields(
    "includeDetailedScans trackingInfo",
    includeDetailedScans=FLAG,
    trackingInfo=listed(fields("trackingNumberInfo", trackingNumberInfo=NUMBERS)),
)
REFERENCES = fields(
    "referencesInformation",
    includeDetailedScans=FLAG,
    referencesInformation=fields(
        "shipDateBegin shipDateEndDate value",
        type=TEXT,
        value=TEXT,
        accountNumber=TEXT,
        shipDateBegin=TEXT,
        shipDateEndDate=TEXT,
    ),
)
RESOLVED = fields(
    "streetLines city postalCode",
    streetLines=listed(TEXT),
    city=TEXT,
    stateOrProvinceCode=TEXT,
    postalCode=TEXT,
    countryCode=TEXT,
)
ADDRESSES = fields(
    "addressesToValidate", addressesToValidate=listed(fields("address", address=RESOLVED))
)
OURS: Final[Json] = {
    "paths": {
        "/rate/v1/rates/quotes": operation(RATES),
        "/ship/v1/shipments": operation(SHIPMENT),
        "/ship/v1/shipments/cancel": operation(CANCEL, "put"),
        "/track/v1/trackingnumbers": operation(TRACK),
        "/track/v1/referencenumbers": operation(REFERENCES),
        "/address/v1/addresses/resolve": operation(ADDRESSES),
    }
}
"""An excerpt of FedEx's API descriptions with the fields that moorage sends."""
HERE: Final = Address(
    name="Jack Sparrow",
    company="ACME",
    line1="388 Townsend St",
    line2="Apt 20",
    city="San Francisco",
    region="CA",
    postal_code="94107",
    country="US",
    phone="5555555555",
    email="jack@shop.example",
    residential=False,
)


def test_requests_match_the_descriptions() -> None:
    """Each field of each FedEx request is in the API description, with its type."""
    sandbox = FedExSandbox()
    vendor = FedEx(
        client_id=sandbox.client_id,
        credentials=sandbox.client_secret,
        account_number=sandbox.account_number,
    )
    hub = Hub([Account("fedex", vendor)], http=SandboxHttpClient(sandbox))
    item = CustomsItem(
        description="Shirts",
        quantity=2,
        value=Money("46.50", "USD"),
        weight="0.3",
        hs_code="6109.10",
        origin="DE",
        sku="S-1",
    )
    order = RateRequest(
        sender=HERE,
        recipient=attrs.evolve(HERE, country="CA", region="ON"),
        parcels=[Parcel(weight="1.25", length=30, width="20.5", height=10)] * 2,
        customs=Customs(
            items=[item],
            signer="Steve Brule",
            explanation="A surprise",
            incoterm="DDP",
            invoice_number="INV-1",
            eel_pfc="NO EEI 30.37(f)",
        ),
        signature=Signature.ADULT,
        saturday=True,
        is_return=True,
        reference="order 7",
    )
    bought_shipment = hub.shipping().create_shipment(
        ShipmentRequest(rate_request=order), idempotency_key="k-1"
    )
    hub.shipping().track_shipment(bought_shipment.ref)
    hub.shipping().cancel(bought_shipment.ref)
    hub.shipping().validate_address(HERE)
    rate = hub.shipping().get_rates(order).rates[0]
    sandbox.fail(Lost())
    hub.shipping().create_shipment(rate, idempotency_key="k-2")
    with pytest.raises(VendorRejected):
        hub.shipping().track("7", "fedex")

    assert set(OURS["paths"]) == {request.path for request in sandbox.requests}
    for element in sandbox.requests:
        assert [] == problems(OURS, element.method, element.path, json.loads(element.body))
