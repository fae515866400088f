"""The sandboxes of shipping vendors are as strict as the vendors."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from moorage import Request, Response
from moorage.domain.http.requests import Timeouts
from moorage.exporting.recording import recorded_exchanges
from moorage.testing.fakes.http import as_bytes
from moorage.testing.sandbox_fixtures import fixture_of
from moorage.testing.sandboxes.base import SandboxHttpClient, SandboxRequest
from moorage.testing.sandboxes.shipping.easypost import EasyPostSandbox
from moorage.testing.sandboxes.shipping.shipments import number
from moorage.testing.sandboxes.shipping.shippo import ShippoSandbox

HOME = {"street1": "388 Townsend St", "zip": "94107", "country": "US"}
CALIFORNIA = {"street1": "179 N Harbor Dr", "zip": "90277", "country": "US"}
CANADA = {"street1": "1A Larkspur Cres", "zip": "T8N2M4", "country": "CA"}
BOX = {
    "weight": "1",
    "mass_unit": "kg",
    "length": "10",
    "width": "10",
    "height": "10",
    "distance_unit": "cm",
}
CUSTOMS = {
    "certify": True,
    "certify_signer": "Ada",
    "contents_type": "GIFT",
    "non_delivery_option": "RETURN",
    "items": [],
}
PARCEL_SHIPMENT: dict[str, Any] = {
    "address_from": HOME,
    "address_to": CALIFORNIA,
    "parcels": [BOX],
}
WRONG_CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"address_from": {"street1": "388 Townsend St"}}, "address_from"),
    ({"address_to": {**CALIFORNIA, "zip": 90277}}, "address_to"),
    ({"address_return": {**CALIFORNIA, "postcode": "90277"}}, "address_return"),
    ({"extra": []}, "extra"),
    ({"extra": {"is_return": "yes"}}, "extra"),
    ({"extra": {"signature_confirmation": "NOBODY"}}, "extra"),
    ({"customs_declaration": {"items": []}}, "customs_declaration"),
    ({"customs_declaration": {**CUSTOMS, "items": [{"quantity": 1}]}}, "customs_declaration"),
    ({"customs_declaration": {**CUSTOMS, "non_delivery_option": "BURN"}}, "customs_declaration"),
]


def send(sandbox: Any, request: Request, headers: dict[str, str], host: int = 0) -> Response:
    """Send a request to a sandbox."""
    sent_request = request.evolve(headers=[*request.headers.pairs, *headers.items()])
    path, _, query = request.path.partition("?")
    url = f"https://{sandbox.hosts[host]}{path}"
    url = f"{url}?{query}" if query else url
    return SandboxHttpClient(sandbox).send(sent_request, url, Timeouts())


def easypost(sandbox: EasyPostSandbox, request: Request, key: str = "EZTK-sandbox") -> Response:
    """Send a request to EasyPost's sandbox."""
    token = b64encode(f"{key}:".encode()).decode()
    return send(sandbox, request, {"Authorization": f"Basic {token}"})


def shippo(sandbox: ShippoSandbox, request: Request, **headers: str) -> Response:
    """Send a request to Shippo's sandbox."""
    default_headers = {
        "Authorization": f"ShippoToken {sandbox.token}",
        "SHIPPO-API-VERSION": "2018-02-08",
    }
    return send(
        sandbox, request, default_headers | {k.replace("_", "-"): v for k, v in headers.items()}
    )


def code_of(response: Response) -> str:
    """Return the error code of EasyPost's response."""
    code: str = response.json()["error"]["code"]
    return code


SHIPMENT = {"from_address": HOME, "to_address": CALIFORNIA, "parcel": {"weight": "16"}}


@pytest.mark.parametrize(
    "body, code",
    [
        ([], "PARAMETER.REQUIRED"),
        ({}, "PARAMETER.REQUIRED"),
        ({"shipment": {}}, "PARAMETER.REQUIRED"),
        ({"shipment": {**SHIPMENT, "mode": "red"}}, "PARAMETER.INVALID"),
        ({"shipment": {**SHIPMENT, "parcel": None}}, "PARAMETER.REQUIRED"),
        ({"shipment": {**SHIPMENT, "parcel": {"weight": "0"}}}, "PARCEL.WEIGHT.INVALID"),
        (
            {"shipment": {**SHIPMENT, "options": {"label_format": "GIF"}}},
            "SHIPMENT.POSTAGE.FORMAT_UNAVAILABLE",
        ),
        ({"shipment": {**SHIPMENT, "to_address": CANADA}}, "SHIPMENT.CUSTOMS_INFO.REQUIRED"),
        (
            {"shipment": {**SHIPMENT, "customs_info": {"customs_items": [{"quantity": 1}]}}},
            "SHIPMENT.CUSTOMS_INFO.DESCRIPTION_REQUIRED",
        ),
    ],
)
def test_easypost_refuses_invalid_shipments(body: object, code: str) -> None:
    """The EasyPost sandbox refuses a shipment that EasyPost would refuse."""
    response = easypost(EasyPostSandbox(), Request.post("/v2/shipments", json=body))

    assert (422, code) == (response.status, code_of(response))


def test_easypost_refuses_other_keys_and_paths() -> None:
    """EasyPost refuses a wrong key and unknown resources."""
    sandbox = EasyPostSandbox()

    assert 401 == easypost(sandbox, Request.get("/v2/shipments/shp_1"), "wrong").status
    assert 404 == easypost(sandbox, Request.get("/v2/shipments/shp_1")).status
    assert 404 == easypost(sandbox, Request.get("/v2/nothing")).status


def test_easypost_does_not_sell_rate_of_another_shipment() -> None:
    """EasyPost does not sell a rate of another shipment."""
    sandbox = EasyPostSandbox()
    path = "/v2/shipments"
    shipment_id = easypost(sandbox, Request.post(path, json={"shipment": SHIPMENT})).json()["id"]
    path = f"{path}/{shipment_id}"

    wrong_request = Request.post(f"{path}/buy", json={"rate": {"id": "rate_1"}})
    assert "SHIPMENT.RATE.INVALID" == code_of(easypost(sandbox, wrong_request))
    label = Request.get(f"{path}/label?file_format=ZPL")
    assert "SHIPMENT.POSTAGE.REQUIRED" == code_of(easypost(sandbox, label))
    rate = sandbox.shipments[shipment_id]["rates"][0]["id"]
    assert 200 == easypost(sandbox, Request.post(f"{path}/buy", json={"rate": {"id": rate}})).status
    for wrong_format in ("PNG", "GIF"):
        label = Request.get(f"{path}/label?file_format={wrong_format}")
        assert "SHIPMENT.POSTAGE.FORMAT_UNAVAILABLE" == code_of(easypost(sandbox, label))


def test_easypost_verifies_on_request() -> None:
    """EasyPost verifies an address only on request."""
    request = Request.post("/v2/addresses", json={"address": CALIFORNIA})

    assert {} == easypost(EasyPostSandbox(), request).json()["verifications"]


def test_files_need_no_credentials() -> None:
    """The URL of a file at EasyPost can be read without credentials."""
    sandbox = EasyPostSandbox()
    sandbox.labels["postage_label/1.pdf"] = b"label"
    stored_path, missing_path = "/files/postage_label/1.pdf", "/files/postage_label/2.pdf"

    assert b"label" == send(sandbox, Request.get(stored_path), {}, 1).body
    assert 404 == send(sandbox, Request.get(missing_path), {}, 1).status
    assert 400 == send(sandbox, Request.get(stored_path), {"Authorization": "Basic QTo="}, 1).status
    other_sandbox = ShippoSandbox()
    other_sandbox.labels["1.pdf"] = b"label"
    signed_path = "/1.pdf?Signature=a%2Fb~c-d_e"
    assert b"label" == send(other_sandbox, Request.get(signed_path), {}, 1).body
    assert 403 == send(other_sandbox, Request.get("/1.pdf"), {}, 1).status
    assert 403 == send(other_sandbox, Request.get(signed_path.replace("1", "2")), {}, 1).status
    assert (
        400
        == send(
            other_sandbox, Request.get(signed_path), {"Authorization": "ShippoToken 1"}, 1
        ).status
    )


@pytest.mark.parametrize(
    "body, field",
    [
        ([], "address_from"),
        ({"address_from": HOME, "address_to": CALIFORNIA}, "parcels"),
        ({"address_from": HOME, "address_to": CALIFORNIA, "parcels": [BOX], "mode": "red"}, "mode"),
        (
            {"address_from": HOME, "address_to": CALIFORNIA, "parcels": [{**BOX, "weight": 1}]},
            "parcels",
        ),
        (
            {"address_from": HOME, "address_to": CALIFORNIA, "parcels": [{**BOX, "width": 1}]},
            "parcels",
        ),
        (
            {
                "address_from": HOME,
                "address_to": CALIFORNIA,
                "parcels": [{**BOX, "mass_unit": "st"}],
            },
            "parcels",
        ),
        ({"address_from": HOME, "address_to": CANADA, "parcels": [BOX]}, "customs_declaration"),
        *[({**PARCEL_SHIPMENT, **change}, field) for change, field in WRONG_CHANGES],
    ],
)
def test_shippo_refuses_invalid_shipments(body: object, field: str) -> None:
    """The Shippo sandbox refuses a shipment that Shippo would refuse, and names the field."""
    response = shippo(ShippoSandbox(), Request.post("/shipments", json=body))

    assert (400, [field]) == (response.status, [*response.json()])


def test_shippo_refuses_other_tokens_versions_and_paths() -> None:
    """Shippo refuses a wrong token or version, and unknown resources."""
    sandbox = ShippoSandbox()

    assert 401 == send(sandbox, Request.get("/rates/1"), {}).status
    old_values = {
        "Authorization": f"ShippoToken {sandbox.token}",
        "SHIPPO-API-VERSION": "2014-02-11",
    }
    assert 400 == send(sandbox, Request.get("/rates/1"), old_values).status
    assert 404 == shippo(sandbox, Request.get("/rates/1")).status
    assert 404 == shippo(sandbox, Request.post("/nothing")).status
    assert 404 == shippo(sandbox, Request.get("/tracks/usps/SHIPPO_TRANSIT")).status
    assert 404 == shippo(sandbox, Request.get("/tracks/shippo/SHIPPO_LOST")).status
    assert 200 == shippo(sandbox, Request.get("/tracks/shippo/SHIPPO_TRANSIT")).status
    assert 404 == shippo(sandbox, Request.get("/tracks/usps/SHIPPO_TRANSIT")).status
    assert 404 == shippo(sandbox, Request.get("/refunds")).status


@pytest.mark.parametrize(
    "fields, field",
    [
        ({"rate": "another"}, "rate"),
        ({"label_file_type": "GIF"}, "label_file_type"),
        ({"metadata": "m" * 101}, "metadata"),
    ],
    ids=["rate", "label", "metadata"],
)
def test_shippo_sells_its_own_rates(fields: dict[str, str], field: str) -> None:
    """Shippo refuses an unknown rate, an impossible label and a note that is too long."""
    sandbox = ShippoSandbox()
    shipment = {"address_from": HOME, "address_to": CALIFORNIA, "parcels": [BOX]}
    rates = shippo(sandbox, Request.post("/shipments", json=shipment)).json()["rates"]
    body = {"rate": rates[0]["object_id"], **fields}
    response = shippo(sandbox, Request.post("/transactions", json=body))

    assert (400, [field]) == (response.status, [*response.json()])


def test_shippo_needs_a_country() -> None:
    """Shippo refuses an address without a country, and validates others only on request."""
    sandbox = ShippoSandbox()

    assert 400 == shippo(sandbox, Request.post("/addresses", json={"city": "Rome"})).status
    fields = shippo(sandbox, Request.post("/addresses", json=CALIFORNIA)).json()
    assert {} == fields["validation_results"]


def test_shippo_lists_pages() -> None:
    """Shippo lists five labels by default and 100 at most, with the URL of the next page."""
    sandbox = ShippoSandbox()
    sandbox.transactions.update({str(number): {"rate": "r"} for number in range(120)})

    def listed(path: str) -> tuple[int, bool]:
        body = shippo(sandbox, Request.get(path)).json()
        return len(body["results"]), body["next"] is not None

    assert (5, True) == listed("/transactions?rate=r")
    assert (100, True) == listed("/transactions?rate=r&results=200")
    assert (20, False) == listed("/transactions?rate=r&results=100&page=2")
    assert (0, False) == listed("/transactions?rate=other")


def test_refused_shipment_is_not_stored() -> None:
    """A shipment that is refused because of an unreadable value is not stored."""
    sandbox = EasyPostSandbox()
    parcel = {"weight": "9" * 400}
    body = {"shipment": {**SHIPMENT, "parcel": parcel}}

    assert 400 == easypost(sandbox, Request.post("/v2/shipments", json=body)).status
    assert {} == sandbox.shipments
    other = ShippoSandbox()
    declaration = {**CUSTOMS, "items": 7}
    wrong = {**PARCEL_SHIPMENT, "customs_declaration": declaration}
    assert 400 == shippo(other, Request.post("/shipments", json=wrong)).status
    assert {} == other.rates


@pytest.mark.parametrize(
    "vendor, route, field, value",
    [
        ("dhl_express", "/mydhlapi/shipments", "outputImageProperties", {"encodingFormat": "gif"}),
        ("gls", "/shipit-farm/v1/backend/rs/shipments", "Shipment.ShipmentUnit", []),
        ("ups", "/api/shipments/v2409/ship", "ShipmentRequest.Shipment.Package", []),
    ],
)
def test_carrier_stores_no_refused_shipment(
    vendor: str, route: str, field: str, value: object
) -> None:
    """A carrier stores no shipment whose parcels or label format it refuses."""
    recorded_request = next(
        exchange.request
        for exchange in recorded_exchanges(vendor)
        if exchange.request.method.value == "POST" and urlsplit(exchange.url).path == route
    )
    body = json.loads(as_bytes(recorded_request))
    *steps, name = field.split(".")
    reduce(getitem, steps, body)[name] = value
    sandbox: Any = fixture_of(vendor, Path()).sandbox
    sandbox.check_access = lambda _: None
    headers, content = recorded_request.headers, json.dumps(body).encode()
    response = sandbox.answer(SandboxRequest("POST", "", route, (), headers, content))

    assert (400, {}) == (response.status, sandbox.shipments)


@pytest.mark.parametrize("weight, offers", [("31", 3), ("32", 0)])
def test_too_heavy_parcel_has_no_rates(weight: str, offers: int) -> None:
    """For a parcel that is too heavy, both vendors return a reason instead of rates."""
    body = {
        "address_from": HOME,
        "address_to": CALIFORNIA,
        "parcels": [{**BOX, "weight": weight}],
    }
    response = shippo(ShippoSandbox(), Request.post("/shipments", json=body)).json()
    ounces = str(number(weight) * number("35.274"))
    heavy = {"shipment": {**SHIPMENT, "parcel": {"weight": ounces}}}
    easypost_shipment = easypost(
        EasyPostSandbox(), Request.post("/v2/shipments", json=heavy)
    ).json()

    assert [offers, offers] == [len(response["rates"]), len(easypost_shipment["rates"])]
    assert bool(offers) is not bool(response["messages"])
    assert number("heavy").is_nan()


def test_sent_webhooks_are_recorded() -> None:
    """A test can inspect the webhooks that a sandbox has sent."""
    sandbox, other_sandbox = EasyPostSandbox(), ShippoSandbox()
    sandbox.report("https://shop.example/easypost", "tracker.updated", {"object": "Tracker"})
    other_sandbox.report("https://shop.example/shippo", "track_updated", {}, at=datetime.now(UTC))

    assert [1, 1] == [len(sandbox.sent), len(other_sandbox.sent)]
