"""USPS's requests and responses use field names of a library made from USPS's description.

The names are those of the classes of apimatic-usps-sdk 1.0.0 (MIT).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from moorage.exporting.recording import recorded_exchanges
from moorage.testing.fakes.http import as_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

_ADDRESS: Final = (
    "city cityAbbreviation secondaryAddress state streetAddress streetAddressAbbreviation"
    " urbanization ZIPCode ZIPPlus4"
)
_PERSON: Final = f"{_ADDRESS} email firm firstName ignoreBadAddress lastName phone"
_EXTRA_SERVICE: Final = {"": "extraService name price priceType SKU warnings"}
Shape = dict[str, Any]

RATES: Final[Shape] = {
    "": "destinationEntryFacilityType destinationZIPCode originZIPCode packageDescription"
    " pricingOptions shippingFilter",
    "packageDescription": {
        "": "extraServices girth hasNonstandardCharacteristics height length mailClass mailingDate"
        " packageValue weight width"
    },
    "pricingOptions": {"": "paymentAccount priceType shippingOptions"},
}
FOUND_RATES: Final[Shape] = {
    "": "destinationZIPCode originZIPCode pricingOptions",
    "pricingOptions": {
        "": "paymentAccount priceType shippingOptions",
        "shippingOptions": {
            "": "mailClass rateOptions",
            "rateOptions": {
                "": "commitment extraServices rates totalBasePrice totalPrice",
                "commitment": {
                    "": "expectedDeliveryDate guaranteedDelivery isPriorityMailNextDay name"
                    " scheduleDeliveryDate"
                },
                "rates": {
                    "": "description destinationEntryFacilityType dimWeight endDate fees mailClass"
                    " price priceType processingCategory productDefinition productName"
                    " rateIndicator SKU startDate warnings weight zone"
                },
                "extraServices": _EXTRA_SERVICE,
            },
        },
    },
}
PAYMENT: Final[Shape] = {
    "": "paymentAuthorizationToken roles",
    "roles": {
        "": "accountNumber accountType CRID manifestMID MID nonProfitStatus permitNumber permitZIP"
        " roleName sufficientFunds"
    },
}
LABEL: Final[Shape] = {
    "": "customsForm fromAddress imageInfo packageDescription returnAddress senderAddress"
    " toAddress",
    "imageInfo": {
        "": "addImageComments addZPLComments brandingImageFormat brandingImageUUIDs imageType"
        " includeLabelBrokerPDF labelType packageNumber receiptOption returnLabel shipInfo"
        " suppressMailDate suppressPostage totalPackages"
    },
    "fromAddress": {"": _PERSON},
    "toAddress": {"": f"{_PERSON} facilityId holdForPickup parcelLockerDelivery"},
    "packageDescription": {
        "": "carrierRelease customerReference destinationEntryFacilityAddress"
        " destinationEntryFacilityType dimensionsUOM extraServices girth"
        " hasNonstandardCharacteristics height inductionZIPCode length logisticsManagerMID"
        " mailClass mailingDate mailOwnerMID packageOptions physicalSignatureRequired"
        " processingCategory rateIndicator shipperVisibilityMethod weight weightUOM width",
        "customerReference": {"": "printReferenceNumber referenceNumber"},
    },
}
BOUGHT_LABEL: Final[Shape] = {
    "": "bannerText commitment constructCode dimensionalWeight extraServices fees inductionType"
    " labelAddress labelBrokerID labelBrokerQR labelImage links mailingDate permitHolderName"
    " postage receiptImage retailDistributionCode returnLabel returnReceiptTrackingNumber"
    " routingInformation serviceTypeCode SKU trackingNumber weight weightUOM zone",
    "labelAddress": {"": _PERSON},
    "extraServices": _EXTRA_SERVICE,
}
TRACKED: Final[Shape] = {
    "": "expectedDeliveryTimeStamp mailClass status statusCategory statusSummary trackingEvents"
    " trackingNumber",
    "trackingEvents": {
        "": "actionCode authorizedAgent eventCity eventCode eventCountry eventState eventTimestamp"
        " eventType eventZIP firm GMTOffset GMTTimestamp name reasonCode veriPoint"
    },
}
CHECKED_ADDRESS: Final[Shape] = {
    "": "additionalInfo address corrections firm matches warnings",
    "address": {"": _ADDRESS},
    "additionalInfo": {
        "": "business carrierRoute centralDeliveryPoint deliveryPoint DPVCMRA DPVConfirmation"
        " vacant"
    },
    "corrections": {"": "code text"},
}
QUERIES: Final[dict[str, str]] = {
    "/addresses/v3/address": "city firm secondaryAddress state streetAddress urbanization ZIPCode"
    " ZIPPlus4",
    "/tracking/v3/tracking": "destinationZIPCode expand mailingDate",
}
SHAPES: Final[dict[str, tuple[Shape | None, Shape]]] = {
    "/shipments/v3/options/search": (RATES, FOUND_RATES),
    "/payments/v3/payment-authorization": (PAYMENT, PAYMENT),
    "/labels/v3/label": (LABEL, BOUGHT_LABEL),
    "/tracking/v3/tracking": (None, TRACKED),
    "/addresses/v3/address": (None, CHECKED_ADDRESS),
}
"""The names of requests and responses, by the beginning of the path."""


def unknown_names(value: Any, shape: Shape, path: str = "") -> Iterator[str]:
    """Yield the path of each field name in a body that is not among the known names."""
    if isinstance(value, list):
        for item in value:
            yield from unknown_names(item, shape, path)
    elif isinstance(value, dict):
        names = set(shape[""].split())
        for name, item in value.items():
            if name not in names:
                yield f"{path}.{name}"
            yield from unknown_names(item, shape.get(name, {"": ""}), f"{path}.{name}")


def test_each_name_in_request_or_in_sandbox_answer_is_one_of_library_classes() -> None:
    """Each field name in a request or in the sandbox's response is known to the library."""
    seen: set[str] = set()
    problems: list[str] = []
    for exchange in recorded_exchanges("usps"):
        if exchange.url.endswith("/oauth2/v3/token"):
            continue
        [start] = [path for path in SHAPES if exchange.request.path.startswith(path)]
        seen.add(start)
        sent, answered = SHAPES[start]
        if sent is not None:
            problems += unknown_names(json.loads(as_bytes(exchange.request)), sent, start)
        problems += unknown_names(exchange.response.json(), answered, start)
        names = {name for name, _ in exchange.request.query}
        problems += sorted(names - set(QUERIES.get(start, "").split()))

    assert [] == problems
    assert set(SHAPES) == seen


def test_unknown_names_are_found() -> None:
    """A field name that the library lacks is found at each depth of the body."""
    body = {"roles": [{"roleName": "PAYER", "crid": "1"}], "token": "t"}

    assert ["x.roles.crid", "x.token"] == [*unknown_names(body, PAYMENT, "x")]
