"""Royal Mail's requests and responses use only the field names of Royal Mail's API description.

The names are those of the description "ChannelShipper & Royal Mail Public API" 1.0.0.
"""

from __future__ import annotations

import json
from typing import Final

from moorage.exporting.recording import recorded_exchanges
from moorage.testing.fakes.http import as_bytes
from tests.support.known_names import Shape, unknown_names

ADDRESS: Final[Shape] = {
    "": "addressLine1 addressLine2 addressLine3 city companyName countryCode county fullName"
    " postcode"
}
CONTENT: Final[Shape] = {
    "": "SKU certificateNumber customsCode customsDeclarationCategory customsDescription"
    " extendedCustomsDescription licenseNumber name originCountryCode quantity"
    " requiresExportLicence stockLocation supplementaryUnits unitValue unitWeightInGrams"
    " useOriginPreference"
}
PACKAGE: Final[Shape] = {
    "": "contents customPackageFormatIdentifier dimensions packageFormatIdentifier weightInGrams",
    "dimensions": {"": "depthInMms heightInMms widthInMms"},
    "contents": CONTENT,
}
ORDER: Final[Shape] = {
    "": "billing containsDangerousGoods currencyCode customsDutyCosts importer"
    " isRecipientABusiness label orderDate orderReference orderTax otherCosts packages"
    " plannedDespatchDate postageDetails recipient sender shippingCostCharged specialInstructions"
    " subtotal tags total",
    "recipient": {"": "address addressBookReference emailAddress phoneNumber", "address": ADDRESS},
    "sender": {"": "emailAddress phoneNumber tradingName"},
    "packages": PACKAGE,
    "postageDetails": {
        "": "AIRNumber IOSSNumber carrierName commercialInvoiceDate commercialInvoiceNumber"
        " consequentialLoss department isLocalCollect receiveEmailNotification"
        " receiveSmsNotification recipientEoriNumber requestSignatureUponDelivery"
        " requiresExportLicense safePlace sendNotificationsTo serviceCode serviceRegisterCode"
    },
    "label": {"": "includeCN includeLabelInResponse includeReturnsLabel"},
}
ORDER_SHAPE: Final[Shape] = {
    "": "createdOn manifestedOn orderDate orderIdentifier orderReference packages printedOn"
    " shippedOn trackingNumber",
    "packages": {"": "packageNumber trackingNumber"},
}
CREATED: Final[Shape] = {
    "": "createdOrders errorsCount failedOrders successCount",
    "createdOrders": {
        **ORDER_SHAPE,
        "": f"{ORDER_SHAPE['']} generatedDocuments label labelErrors",
        "labelErrors": {"": "code message"},
    },
    "failedOrders": {
        "": "errors order",
        "errors": {"": "errorCode errorMessage fields", "fields": {"": "fieldName value"}},
    },
}
DELETED: Final[Shape] = {
    "": "deletedOrders errors",
    "deletedOrders": {"": "orderIdentifier orderInfo orderReference"},
    "errors": {"": "code message orderIdentifier orderReference"},
}
ANSWERS: Final[dict[str, Shape]] = {"POST": CREATED, "GET": ORDER_SHAPE, "DELETE": DELETED}


def test_each_name_in_request_or_in_sandbox_answer_is_one_that_royal_mail_knows() -> None:
    """Each field name in a request or response of the sandbox is a field name of Royal Mail."""
    seen: set[str] = set()
    problems: list[str] = []
    for exchange in recorded_exchanges("royalmail"):
        method = exchange.request.method.value
        if exchange.request.path.endswith("/label"):
            seen.add("label")
            continue
        seen.add(method)
        if method == "POST":
            sent = {"": "items", "items": ORDER}
            problems += unknown_names(json.loads(as_bytes(exchange.request)), sent, method)
        problems += unknown_names(exchange.response.json(), ANSWERS[method], method)

    assert [] == problems
    assert {"POST", "DELETE", "label"} == seen
