"""DPD's requests and responses use only the field names of DPD's API description.

The names are those of the description "META-API Shipment" 2.30.48 of 2025-11-18.
"""

from __future__ import annotations

import json
from typing import Final

from moorage.exporting.recording import recorded_exchanges
from moorage.testing.fakes.http import as_bytes
from tests.support.known_names import Shape, unknown_names

CUSTOMER: Final[Shape] = {
    "": "customerAccountNumber customerID customerSubAccountNumber originalCustomerId"
}
PARTY: Final[Shape] = {
    "": "accountOwner address addressId comment contact customerInfos gln legalEntity pudoId",
    "address": {
        "": "addressLine2 addressLine3 apartmentNo blockNo building city companyName complexId"
        " complexName complexType country department doorCode entranceNo floor houseNumber"
        " interphoneName name1 name2 poiId siteId siteName siteType state street streetId"
        " streetType zipCode"
    },
    "contact": {"": "contactPerson email fax phone1 phone2"},
    "customerInfos": CUSTOMER,
}
SIDES: Final[Shape] = {"": "height length width"}
SHIPMENT: Final[Shape] = {
    "": "cifcost customerBillingReference customerReferenceNumbers customsReference delivery"
    " documents international mpsCompleteDelivery mpsCompleteDeliveryLabel numberOfParcels parcel"
    " payerType person pickup receiver return sender sendingDepot shipmentInfos shippingDate",
    "shipmentInfos": {
        "": "additionalServiceCode dimensions exWorksDelivery productCode serviceCode shipmentId"
        " shipmentIdCKey weight",
        "dimensions": SIDES,
    },
    "sender": PARTY,
    "receiver": PARTY,
    "parcel": {
        "": "cod hazardous hazardousLimitedQuantities hazardousPackingCode insurance messages"
        " parcelContent parcelInfos parcelRank partnerParcelRefs reference senderParcelRefs",
        "parcelInfos": {
            "": "dimensions parcelNumber parcelNumberCcKey weight",
            "dimensions": SIDES,
        },
    },
}
AGAIN: Final[Shape] = {
    "": "customerInfos pudoId shipment",
    "shipment": {"": "parcelNumbers shipmentId"},
    "customerInfos": CUSTOMER,
}
PURCHASE_SHAPE: Final[Shape] = {
    "": "debugList label networkParcelIds networkShipmentId others parcelBarcodes parcelIds"
    " qrcode shipmentId warningMessage",
    "label": {"": "base64Data media-type pincode qrcode"},
    "parcelBarcodes": {"": "barcode parcel reference"},
}
PRINTED: Final[Shape] = {"": "debugList label", "label": {"": "base64Data mediaType"}}
SHAPES: Final = {"shipment": (SHIPMENT, PURCHASE_SHAPE), "label": (AGAIN, PRINTED)}
QUERY: Final = frozenset({"LabelPrintFormat", "LabelPaperFormat"})


def test_each_name_in_request_or_in_sandbox_answer_is_one_that_dpd_knows() -> None:
    """Each field name in a request or a response of the sandbox is a field name of DPD."""
    seen: set[str] = set()
    problems: list[str] = []
    for exchange in recorded_exchanges("dpd"):
        operation = exchange.request.path.removeprefix("/shipping/v1/")
        seen.add(operation)
        if operation == "login":
            continue
        sent, answered = SHAPES[operation]
        problems += unknown_names(json.loads(as_bytes(exchange.request)), sent, "sent")
        problems += unknown_names(exchange.response.json(), answered, "answered")
        problems += {name for name, _ in exchange.request.query} - QUERY

    assert [] == problems
    assert {"login", "shipment", "label"} == seen
