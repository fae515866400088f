"""Colissimo's requests and responses use only names that other programs also use.

The names are those of the requests and responses of karrio, and of La Poste's own plugin for
Magento.
"""

from __future__ import annotations

import json
from typing import Final

from moorage.exporting.recording import recorded_exchanges
from moorage.testing.fakes.http import as_bytes
from tests.support.known_names import Shape, unknown_names

ADDRESS: Final[Shape] = {
    "": "city companyName countryCode countryLabel doorCode1 doorCode2 email firstName intercom"
    " language lastName line0 line1 line2 line3 mobileNumber phoneNumber stateOrProvinceCode"
    " zipCode"
}
LABEL: Final[Shape] = {
    "": "contractNumber fields letter outputFormat password",
    "outputFormat": {"": "dematerialized outputPrintingType printCODDocument returnType x y"},
    "letter": {
        "": "addressee codSenderAddress customsDeclarations features parcel sender service"
        " uploadDocument",
        "service": {
            "": "commercialName depositDate mailBoxPicking mailBoxPickingDate orderNumber"
            " productCode reseauPostal returnTypeChoice totalAmount transportationAmount vatAmount"
            " vatCode vatPercentage"
        },
        "parcel": {
            "": "cod codamount codcurrency ddp ftd insuranceAmount insuranceValue instructions"
            " nonMachinable parcelNumber pickupLocationId recommendationLevel returnReceipt weight"
        },
        "sender": {"": "address senderParcelRef", "address": ADDRESS},
        "addressee": {
            "": "address addresseeParcelRef codeBarForReference promotionCode serviceInfo",
            "address": ADDRESS,
        },
    },
}
PURCHASE_SHAPE: Final[Shape] = {
    "": "labelV2Response labelXmlV2Reponse messages",
    "messages": {"": "id messageContent replacementValues type"},
    "labelV2Response": {"": "fields parcelNumber parcelNumberPartner pdfUrl"},
}
TRACKED: Final[Shape] = {
    "": "lang returnCode scope shipment",
    "shipment": {
        "": "contextData deliveryDate entryDate estimDate event holder idShip isFinal product"
        " timeline url",
        "event": {"": "code date label"},
    },
}


def test_each_name_in_request_or_in_sandbox_answer_is_one_that_other_programs_know() -> None:
    """Each name in a request or in the sandbox's response also occurs in other programs."""
    seen: set[str] = set()
    problems: list[str] = []
    for exchange in recorded_exchanges("colissimo"):
        path, body = exchange.request.path, exchange.response.body
        seen.add(exchange.request.method.value)
        if path.startswith("/suivi/v2/idships/"):
            problems += unknown_names(json.loads(body), TRACKED, "tracked")
            continue
        problems += unknown_names(json.loads(as_bytes(exchange.request)), LABEL, "label")
        infos = body.partition(b"<jsonInfos>\r\n\r\n")[2].partition(b"\r\n--")[0]
        problems += unknown_names(json.loads(infos), PURCHASE_SHAPE, "sold")

    assert [] == problems
    assert {"GET", "POST"} == seen
