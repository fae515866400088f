"""A local sandbox that imitates PostNord's booking of shipments and its tracking.

PostNord refuses a label to the postal code 00001.
"""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final

from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import NUMBER, problems, typed, words
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.shipping.shipments import LABEL_TEXTS, NO_LABEL, event_time

if TYPE_CHECKING:
    from pathlib import Path

    from moorage.domain.http.requests import Response

_PARTY: Final = {
    "nameIdentification!": {"name!": str, "companyName": str, "careOfName": str},
    "address!": {
        "streets": [str],
        **typed(str, "postalCode! city! countryCode! placeName state"),
    },
    "contact": typed(str, "contactName emailAddress phoneNo smsNo"),
}
_AMOUNT: Final = {"value!": NUMBER, "unit!": str}
_BOOKING: Final = {
    "messageDate!": str,
    "messageId": str,
    "application!": {"applicationId!": int, "name!": str, "version": str},
    "updateIndicator!": words("Original"),
    "testIndicator": bool,
    "language": str,
    "shipment!": [
        {
            "shipmentIdentification": {"shipmentId": str},
            "dateAndTimes": {"loadingDate": str},
            "service!": {
                "basicServiceCode!": words("11 17 18 19 20 30 34 52 83 86 91 UX"),
                "additionalServiceCode": [str],
            },
            "freeText": [{"usageCode!": str, "text!": str}],
            "references": [{"referenceNo!": str, "referenceType!": str}],
            "parties!": {
                "consignor!": {
                    "issuerCode!": words("Z11 Z12 Z13 Z14"),
                    "partyIdentification!": {"partyId!": str, "partyIdType!": words("160 167")},
                    "party!": _PARTY,
                },
                "consignee": {"party!": _PARTY},
            },
            "goodsItem!": [
                {
                    "packageTypeCode": words("PC PE AF OA OF CW BX EN"),
                    "items!": [
                        {
                            "itemIdentification!": {"itemId!": str},
                            "dimensions": typed(_AMOUNT, "length width height"),
                            "grossWeight": _AMOUNT,
                        }
                    ],
                }
            ],
        }
    ],
}
_PAPER_SIZES: Final = words("A4 A5 A6 LETTER LABEL")
_SUBTYPE: Final = "CustomerOriginValidationError.subType"
_Fields = dict[str, Any]


class PostNordSandbox(base.Sandbox):
    """A sandbox of PostNord: labels of shipments with one parcel, and their tracking.

    Attributes:
        api_key: the API key of the account.
        shipments: the shipments that were booked, by the number of their parcel.
        items: the parcels with their events, by number.
    """

    hosts = ("api2.postnord.com", "atapi2.postnord.com")

    api_key: str = "5f2d1c7b9e8a4f60b3d2c1a0987e6f54"
    shipments: dict[str, _Fields] = base.state_field(dict)
    items: dict[str, _Fields] = base.state_field(dict)

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {
            "POST /rest/shipment/v3/edi/labels/pdf": self._book_pdf,
            "POST /rest/shipment/v3/edi/labels/zpl": self._book_zpl,
            "GET /rest/shipment/v7/trackandtrace/id/{number}/public": self._track,
        }

    def move(self, number: str, status: str) -> None:
        """Change a parcel's status, and add an event with this status."""
        item = self.items[number]
        item["status"] = item["eventStatus"] = status
        at = f"{event_time(len(item['events']))}Z"
        if status == "DELIVERED":
            item["deliveryDate"] = at
        location = {
            "locationId": "1",
            "locationType": "DEPOT",
            "name": "Årsta",
            "city": "Stockholm",
            "postcode": "12043",
            "countryCode": "SE",
        }
        item["events"].append(
            {
                "eventTime": at,
                "eventCode": str(len(item["events"]) + 1),
                "location": location,
                "status": status,
                "eventDescription": f"The parcel is {status}.",
            }
        )

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check a request's API key, which PostNord accepts only in the query."""
        if dict(request.query).get("apikey") != self.api_key:
            text = {"status_code": 403, "error_type": "Forbidden", "message": "Invalid API Key"}
            raise base.refusal({"error": text}, 403)

    def _book_pdf(self, request: base.SandboxRequest) -> Response:
        if dict(request.query).get("paperSize", "A4") not in _PAPER_SIZES:
            raise _refusal("PAPER_SIZE", "paperSize is wrong")
        number = self._booked(request)
        label = {"labelFormat": "PDF", "encoding": "base64"}
        data = b64encode(LABEL_TEXTS["pdf"] + number.encode()).decode()
        return self._answer(number, {**label, "data": data})

    def _book_zpl(self, request: base.SandboxRequest) -> Response:
        number = self._booked(request)
        data = LABEL_TEXTS["zpl"].decode() + number
        return self._answer(number, {"labelFormat": "ZPL", "encoding": "none", "data": data})

    def _booked(self, request: base.SandboxRequest) -> str:
        body = request.json()
        for location, name, problem in problems(_BOOKING, body):
            raise _refusal("MANDATORY_FIELDS_MISSING", f"{location}/{name} is {problem}")
        [shipment] = body["shipment"]
        if shipment["parties"]["consignee"]["party"]["address"]["postalCode"] == NO_LABEL:
            raise _refusal("POSTAL_CODE", "postalCode of consignee is unknown")
        number = f"00370724{self.number():012d}"
        self.shipments[number] = shipment
        self.items[number] = {"itemId": number, "events": []}
        self.move(number, "CREATED")
        return number

    def _answer(self, number: str, printout: _Fields) -> Response:
        url = {"type": "TRACKING", "url": f"https://tracking.postnord.com/se/?id={number}"}
        ids = [
            {"idType": "itemId", "value": number, "printId": f"P{number}"},
            {"idType": "shipmentId", "value": f"UJ{number}", "printId": f"S{number}"},
        ]
        booking = {
            "bookingId": f"B{number}",
            "idInformation": [{"status": "OK", "ids": ids, "urls": [url]}],
        }
        return base.reply(
            {
                "bookingResponse": booking,
                "labelPrintout": [{"printout": {"type": "LABEL", **printout}}],
            }
        )

    def _track(self, _: base.SandboxRequest, number: str) -> Response:
        item = self.items.get(number)
        if item is None:
            return base.reply({"TrackingInformationResponse": {"shipments": []}})
        shipment = {"shipmentId": f"UJ{number}", "items": [item]}
        return base.reply({"TrackingInformationResponse": {"shipments": [shipment]}})


def _refusal(reason: str, text: str) -> base.Refusal:
    references = [{"key": _SUBTYPE, "value": reason}]
    fault = {"explanationText": text, "faultReferences": references}
    body = {
        "message": "Invalid indata object EdiInstruction",
        "compositeFault": {"faults": [fault]},
    }
    return base.refusal(body, 400)


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = PostNordSandbox()
    return SandboxFixture(
        sandbox=sandbox,
        options={
            "credentials": sandbox.api_key,
            "customer_number": "0012345678",
            "application_id": 1438,
        },
        vendor_values={"service": "postnord_19"},
    )
