"""A local sandbox that imitates DPD's META-API.

DPD refuses a label to the postal code 00001.
"""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.http.requests import Response
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import NUMBER, problems, typed, words
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.shipping.shipments import LABEL_TEXTS, NO_LABEL

if TYPE_CHECKING:
    from pathlib import Path

_CUSTOMER: Final = typed(str, "customerAccountNumber customerSubAccountNumber customerID")
_PARTY: Final = {
    "customerInfos": _CUSTOMER,
    "address!": {
        **typed(str, "street! country! zipCode! city!"),
        **typed(str, "companyName name1 name2 houseNumber"),
        **typed(str, "addressLine2 addressLine3 state"),
    },
    "contact": typed(str, "contactPerson phone1 phone2 fax email"),
    "comment": str,
}
_SIDES: Final = typed(int, "length width height")
_SHIPMENT: Final = {
    "numberOfParcels!": words("1"),
    "shipmentInfos!": {
        "productCode!": words("101 136 154 155 179 225 327 328 350 CL E10 E12 E18"),
        "shipmentId": str,
        "weight": str,
        "dimensions": _SIDES,
    },
    "customerReferenceNumbers": [str],
    "sender!": _PARTY,
    "receiver!": _PARTY,
    "parcel!": [
        {
            "parcelInfos": {"parcelNumber": str, "weight": str, "dimensions": _SIDES},
            "senderParcelRefs": [str],
            "parcelContent": str,
            "insurance": {
                "insuranceAmount": {"amount!": NUMBER, "currency!": str},
                "insuranceParcelContent": str,
            },
        }
    ],
    "shippingDate": str,
    "mpsCompleteDeliveryLabel": str,
    "payerType": words("S R 3"),
}
_LABEL_REQUEST: Final = {
    "shipment!": {"shipmentId": str, "parcelNumbers!": [str]},
    "customerInfos": _CUSTOMER,
    "pudoId": str,
}
_FORMATS: Final = words("PDF EPL ZPL PNG")
_PAPER_SIZES: Final = words("A4 A5 A6 A7")
_LOGIN: Final = "/shipping/v1/login"
_Fields = dict[str, Any]


class DpdSandbox(base.Sandbox):
    """A sandbox of the META-API: logins, and labels of shipments with one parcel.

    Attributes:
        login, password: the login of the customer.
        business_unit: the number of the company that the login is for.
        shipments: the shipments that were sold, by parcel number.
        logins: the number of logins.
    """

    hosts = ("api.dpdgroup.com", "api-preprod.dpsin.dpdgroup.com")

    login: str = "dpd-sandbox"
    password: str = "dpd-sandbox-password"
    business_unit: str = "001"
    shipments: dict[str, _Fields] = base.state_field(dict)
    logins: int = 0

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {
            f"POST {_LOGIN}": self._sign_in,
            "POST /shipping/v1/shipment": self._sell_label,
            "POST /shipping/v1/label": self._print_again,
        }

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check a request's token, or the headers of a login."""
        if request.path == _LOGIN:
            names = ("X-DPD-LOGIN", "X-DPD-PASSWORD", "X-DPD-BUCODE")
            values = [request.headers.get(name) for name in names]
            if values != [self.login, self.password, self.business_unit]:
                raise _refusal(401, "COMMON_5", "The login or the password is wrong.")
        elif request.bearer() not in {_token(number + 1) for number in range(self.logins)}:
            raise _refusal(401, "COMMON_6", "The token is wrong.")

    def _sign_in(self, _: base.SandboxRequest) -> Response:
        self.logins += 1
        return Response(200, {"X-DPD-TOKEN": _token(self.logins)})

    def _sell_label(self, request: base.SandboxRequest) -> Response:
        kind = _format(request)
        body = request.json()
        for location, name, problem in problems([_SHIPMENT], body):
            raise _refusal(400, "COMMON_2", f"{location}/{name} is {problem}.")
        [shipment] = body
        if shipment["receiver"]["address"]["zipCode"] == NO_LABEL:
            raise _refusal(
                400, "ROUTING_1", "The carrier does not deliver to this postal code.", "BU-API"
            )
        number = f"0150{self.number():010d}"
        self.shipments[number] = shipment
        ids = {"shipmentId": f"MPS{number}", "parcelIds": [number]}
        network = {"networkShipmentId": f"MPS{number}", "networkParcelIds": [number]}
        barcode = {"parcel": number, "barcode": f"%{number}"}
        label = {"base64Data": _label(number, kind), "media-type": f"application/{kind}"}
        return base.reply({**ids, **network, "parcelBarcodes": [barcode], "label": label})

    def _print_again(self, request: base.SandboxRequest) -> Response:
        kind = _format(request)
        body = request.json()
        for location, name, problem in problems(_LABEL_REQUEST, body):
            raise _refusal(400, "COMMON_2", f"{location}/{name} is {problem}.")
        [number] = body["shipment"]["parcelNumbers"]
        if number not in self.shipments:
            raise _refusal(400, "LABEL_1", "The account has no parcel with this number.", "BU-API")
        label = {"base64Data": _label(number, kind), "mediaType": f"application/{kind}"}
        return base.reply({"label": label})


def _token(number: int) -> str:
    return f"eyJhbGciOiJIUzUxMiJ9.eyJzdWIiOiJkcGQtc2FuZGJveCJ9.c2lnbmF0dXJl{number:08d}"


def _format(request: base.SandboxRequest) -> str:
    query = dict(request.query)
    if query.get("LabelPrintFormat") not in _FORMATS:
        raise _refusal(400, "COMMON_2", "LabelPrintFormat is missing or wrong.")
    if query.get("LabelPaperFormat", "A6") not in _PAPER_SIZES:
        raise _refusal(400, "COMMON_2", "LabelPaperFormat is wrong.")
    return query["LabelPrintFormat"].lower()


def _label(number: str, kind: str) -> str:
    return b64encode(LABEL_TEXTS[kind] + number.encode()).decode()


def _refusal(status: int, code: str, text: str, origin: str = "META-API") -> base.Refusal:
    problem = {"errorCode": code, "errorMessage": text, "errorOrigin": origin}
    return base.Refusal(base.reply([problem] if status == 400 else problem, status))


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = DpdSandbox()
    return SandboxFixture(
        sandbox=sandbox,
        options={
            "login": sandbox.login,
            "credentials": sandbox.password,
            "business_unit": sandbox.business_unit,
        },
        vendor_values={"service": "dpd_101"},
    )
