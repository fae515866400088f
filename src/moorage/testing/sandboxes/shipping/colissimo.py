"""A local sandbox that imitates Colissimo's shipping service and La Poste's API Suivi.

Colissimo refuses a label to the postal code 00001.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.http.requests import Response
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import NUMBER, problems, typed, words
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.shipping.shipments import LABEL_TEXTS, NO_LABEL, event_time

if TYPE_CHECKING:
    from pathlib import Path

_ADDRESS: Final = {
    **typed(str, "line2! countryCode! city! zipCode!"),
    **typed(str, "companyName lastName firstName line0 line1 line3"),
    **typed(str, "stateOrProvinceCode phoneNumber mobileNumber email"),
}
_LABEL: Final = {
    "outputFormat!": {
        "x": int,
        "y": int,
        "outputPrintingType!": words(
            "PDF_10x15_300dpi PDF_A4_300dpi PDF_10x10_300dpi ZPL_10x15_203dpi ZPL_10x15_300dpi"
            " ZPL_10x10_203dpi ZPL_10x10_300dpi"
        ),
    },
    "letter!": {
        "service!": {
            "productCode!": words("DOM DOS COM CDS CECO CORE CORI HD COLD COL ECO ECOS ACCI"),
            **typed(str, "depositDate! orderNumber commercialName"),
            "returnTypeChoice": int,
        },
        "parcel!": {"weight!": NUMBER, "instructions": str, "nonMachinable": bool},
        "sender!": {"senderParcelRef": str, "address!": _ADDRESS},
        "addressee!": {"addresseeParcelRef": str, "address!": _ADDRESS},
    },
}
_GENERATE: Final = "/sls-ws/SlsServiceWSRest/2.0/generateLabel"
_UUID: Final = "uuid:dee537d3-3319-4ad8-87c1-b958f43e0739"
_Fields = dict[str, Any]


class ColissimoSandbox(base.Sandbox):
    """A sandbox of Colissimo: labels, and the tracking of parcels.

    Attributes:
        api_key: the API key of the contract.
        tracking_key: the Okapi key of the application.
        shipments: the requests of the labels that were sold, by parcel number.
        events: the events of parcels, by parcel number, the newest first.
    """

    hosts = ("ws.colissimo.fr", "api.laposte.fr")

    api_key: str = "colissimo-sandbox-key"
    tracking_key: str = "okapi-sandbox-key"
    shipments: dict[str, _Fields] = base.state_field(dict)
    events: dict[str, list[_Fields]] = base.state_field(dict)

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {
            f"POST {_GENERATE}": self._generate,
            "GET /suivi/v2/idships/{number}": self._track,
        }

    def move(self, number: str, code: str) -> None:
        """Add an event, given as La Poste's code, to the tracking of a parcel."""
        events = self.events[number]
        at = f"{event_time(len(events))}+02:00"
        events.insert(0, {"code": code, "label": f"Votre colis est à {code}.", "date": at})

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check a request's key."""
        if request.path == _GENERATE:
            if request.headers.get("apiKey") != self.api_key:
                raise _refusal("30000", "Identifiant ou mot de passe incorrect")
        elif request.headers.get("X-Okapi-Key") != self.tracking_key:
            raise base.refusal({"code": "UNAUTHORIZED", "message": "The API key is wrong."}, 401)

    def _generate(self, request: base.SandboxRequest) -> Response:
        body = request.json()
        for location, name, problem in problems(_LABEL, body):
            raise _refusal("30001", f"{location}/{name} is {problem}.")
        if body["letter"]["addressee"]["address"]["zipCode"] == NO_LABEL:
            raise _refusal("30204", "Le code postal du destinataire est incorrect")
        number = f"6A{self.number():011d}"
        self.shipments[number] = body
        self.events[number] = []
        self.move(number, "DR1")
        kind = body["outputFormat"]["outputPrintingType"][:3].lower()
        message: _Fields = {
            "id": "0",
            "type": "INFOS",
            "messageContent": "La requête a été traitée avec succès",
            "replacementValues": [],
        }
        label = {"parcelNumber": number, "parcelNumberPartner": None, "pdfUrl": None}
        infos: _Fields = {
            "messages": [message],
            "labelXmlV2Reponse": None,
            "labelV2Response": label,
        }
        return _in_parts(200, infos, LABEL_TEXTS[kind] + number.encode())

    def _track(self, _: base.SandboxRequest, number: str) -> Response:
        head: _Fields = {"lang": "fr_FR", "scope": "open"}
        if number not in self.events:
            text = "Le numéro est introuvable."
            answer = {**head, "returnCode": 404, "returnMessage": text, "idShip": number}
            return base.reply(answer, 404)
        events = self.events[number]
        shipment = {
            "idShip": number,
            "product": "colissimo",
            "isFinal": events[0]["code"] == "DI1",
            "event": events,
            "url": f"https://www.laposte.fr/outils/suivre-vos-envois?code={number}",
        }
        return base.reply({**head, "returnCode": 200, "shipment": shipment})


def _in_parts(status: int, infos: _Fields, label: bytes | None = None) -> Response:
    parts = [("jsonInfos", "application/json;charset=UTF-8", json.dumps(infos).encode())]
    if label is not None:
        parts.append(("label", "application/octet-stream", label))
    body = b""
    for name, kind, content in parts:
        head = (
            f"--{_UUID}\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: binary\r\n"
            f"Content-ID: <{name}>\r\n\r\n"
        )
        body += head.encode() + content + b"\r\n"
    boundary = f'multipart/mixed; boundary="{_UUID}"'
    return Response(status, {"Content-Type": boundary}, body + f"--{_UUID}--".encode())


def _refusal(code: str, text: str) -> base.Refusal:
    message = {"id": code, "type": "ERROR", "messageContent": text}
    infos = {"messages": [message], "labelXmlV2Reponse": None, "labelV2Response": None}
    return base.Refusal(_in_parts(400, infos))


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = ColissimoSandbox()
    return SandboxFixture(
        sandbox=sandbox,
        options={"credentials": sandbox.api_key, "tracking_key": sandbox.tracking_key},
        vendor_values={"service": "colissimo_dom"},
    )
