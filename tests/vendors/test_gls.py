"""GLS: allowed products, labels, lost labels, tracking, cancellation and error responses."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from typing import Any

import attrs
import pytest

from moorage.contracts.routes import Account
from moorage.contracts.shipping import (
    Address,
    CancelState,
    LabelFormat,
    Parcel,
    Place,
    RateRequest,
    ShipmentRequest,
    ShipmentState,
    TrackingStatus,
)
from moorage.domain.http.requests import Request, Response, Timeouts
from moorage.domain.values.money import Money
from moorage.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectorError,
    InvalidData,
    InvalidRequest,
    OutcomeUnknown,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)
from moorage.hub.hub import Hub
from moorage.testing import VirtualClock
from moorage.testing.sandboxes.base import AlteredAnswer, Lost, SandboxHttpClient, reply
from moorage.testing.sandboxes.shipping.gls import GlsSandbox
from tests.vendors.subjects.gls import gls_vendor

SENDER = Address(
    name="Jack Sparrow",
    company="Acme GmbH",
    line1="GLS-Germany-Str. 1",
    city="Neuenstein",
    postal_code="36286",
    country="DE",
    phone="+49667712345",
    email="jack@shop.example",
)
RECIPIENT = Address(
    name="Ada Lovelace",
    line1="Musterweg 5",
    line2="Hinterhaus",
    line3="2. Stock",
    city="Berlin",
    region="BE",
    postal_code="10437",
    country="DE",
)
BOX = Parcel(weight="1.234", length=30, width=20, height=10)
REQUEST = RateRequest(sender=SENDER, recipient=RECIPIENT, parcels=BOX, reference="SO-1")
BACKEND = "/shipit-farm/v1/backend/rs"
SHIPMENTS = f"{BACKEND}/shipments"
TYPED = {"Content-Type": "application/glsVersion1+json"}
DELIVERED: dict[str, Any] = {
    "requested": "604831862623",
    "unitno": "60483186262",
    "status": "DELIVERED",
    "statusDateTime": "2024-10-11T15:24:57+0200",
    "events": [
        {"code": "DELIVD.NORMAL", "eventDateTime": "2024-10-11T15:24:57+0200"},
        {
            "code": "INTIAL.NORMAL",
            "city": "Berlin",
            "postalCode": "10437",
            "country": "DE",
            "description": "The parcel was handed over to GLS.",
            "eventDateTime": "2024-10-07T10:46:14+0200",
        },
        {
            "code": "INTIAL.PREADVICE",
            "city": "",
            "country": "DE",
            "eventDateTime": "2024-10-07T09:30:00+0200",
        },
    ],
}
"""The form of a recorded response, whose parcel number has one digit less than the requested one.
"""


class Shop:
    """A hub with an account at GLS's sandbox."""

    def __init__(self, **options: Any) -> None:
        self.sandbox = GlsSandbox()
        self.vendor = gls_vendor(self.sandbox, **options)
        account = Account("gls", self.vendor, settings={"retry": None, "circuit": None})
        self.clock = VirtualClock()
        self.hub = Hub([account], http=SandboxHttpClient(self.sandbox), clock=self.clock)
        self.shipping = self.hub.shipping()

    def buy(self, key: str = "k-1", **fields: Any) -> Any:
        """Buy a label and return the shipment."""
        request = ShipmentRequest(rate_request=attrs.evolve(REQUEST, **fields))
        return self.shipping.create_shipment(request, idempotency_key=key)

    def today(self) -> date:
        """Return the day of the hub's clock, in UTC."""
        return self.clock.utc().date()

    def bodies(self, path: str) -> list[Any]:
        """Return the bodies of the requests to a path."""
        return [item.json() for item in self.sandbox.requests if item.path == path]

    def refused(self, answer: Response) -> Any:
        """Return the error that tracking raises when GLS answers like this."""
        self.sandbox.fail(answer)
        with pytest.raises(ConnectorError) as excinfo:
            self.shipping.track("1", "gls")
        return excinfo.value


@pytest.fixture(name="shop")
def _shop() -> Shop:
    """Return a hub with an account at a new GLS sandbox."""
    return Shop()


def test_rates_are_the_allowed_products_at_the_prices_of_the_contract(shop: Shop) -> None:
    """A rate is a product that GLS allows for the shipment, at the account's price."""
    rates = shop.shipping.get_rates(REQUEST).rates

    assert [
        ("gls_parcel", "PARCEL", Money("4.90", "EUR")),
        ("gls_express", "EXPRESS", Money("12.50", "EUR")),
    ] == [(rate.service, rate.vendor_service, rate.total) for rate in rates]
    assert [
        {
            "Source": {"CountryCode": "DE", "ZIPCode": "36286"},
            "Destination": {"CountryCode": "DE", "ZIPCode": "10437"},
            "ContactID": shop.sandbox.contact_id,
        }
    ] == shop.bodies(f"{SHIPMENTS}/allowedservices")


def test_product_without_a_price_or_permission_is_not_offered() -> None:
    """A GLS product is offered only if GLS allows it and the account has a price for it."""
    shop = Shop(express_price=None, currency="CHF")
    assert [Money("4.90", "CHF")] == [rate.total for rate in shop.shipping.get_rates(REQUEST).rates]

    shop.sandbox.fail(reply({"AllowedServices": [{"ProductName": "EXPRESS"}, {}]}))
    result = shop.shipping.get_rates(REQUEST)
    assert ((), "GLS does not offer any of the account's products for this shipment.") == (
        result.rates,
        result.messages[0].text,
    )

    shop.sandbox.fail(reply({"AllowedServices": "none"}))
    with pytest.raises(VendorFailed, match="AllowedServices"):
        shop.shipping.get_rates(REQUEST)


def test_label_request_has_addresses_weight_and_mark(shop: Shop) -> None:
    """A label request has both addresses, the weight in kilograms, and a mark made from the key."""
    purchase = shop.buy(ship_date=date(2030, 1, 2))
    [body] = shop.bodies(SHIPMENTS)
    [unit] = body["Shipment"].pop("ShipmentUnit")

    assert {
        "Shipment": {
            "ShipmentReference": ["SO-1"],
            "ShippingDate": "2030-01-02",
            "Middleware": "moorage",
            "Product": "PARCEL",
            "Consignee": {
                "Address": {
                    "Name1": "Ada Lovelace",
                    "Name3": "Hinterhaus, 2. Stock",
                    "Street": "Musterweg 5",
                    "City": "Berlin",
                    "Province": "BE",
                    "CountryCode": "DE",
                    "ZIPCode": "10437",
                }
            },
            "Shipper": {
                "ContactID": shop.sandbox.contact_id,
                "AlternativeShipperAddress": {
                    "Name1": "Acme GmbH",
                    "Name2": "Jack Sparrow",
                    "Street": "GLS-Germany-Str. 1",
                    "City": "Neuenstein",
                    "FixedLinePhonenumber": "+49667712345",
                    "eMail": "jack@shop.example",
                    "CountryCode": "DE",
                    "ZIPCode": "36286",
                },
            },
        },
        "PrintingOptions": {"ReturnLabels": {"TemplateSet": "NONE", "LabelFormat": "PDF"}},
    } == body
    assert 1.24 == unit["Weight"]
    assert [32] == [len(mark) for mark in unit["ShipmentUnitReference"]]
    assert ("gls_parcel", Money("4.90", "EUR"), ShipmentState.BOUGHT) == (
        purchase.service,
        purchase.cost,
        purchase.state,
    )
    assert {
        "number": purchase.tracking_numbers[0],
        "label": "pdf",
        "day": shop.today().isoformat(),
    } == dict(purchase.ref.related)


def test_reference_layout_and_extra_options_are_sent() -> None:
    """A parcel's own reference, the account's layout and the extra options are sent."""
    shop = Shop(zebra_template="ZPL_300")
    extra = {"gls": {"shipment": {"Shipment": {"IncotermCode": "20"}}}}
    purchase = shop.buy(parcels=attrs.evolve(BOX, reference="BOX-1"), label="zpl", extra=extra)
    [body] = shop.bodies(SHIPMENTS)

    assert (["BOX-1"], "20") == (
        body["Shipment"]["ShipmentReference"],
        body["Shipment"]["IncotermCode"],
    )
    assert {"TemplateSet": "ZPL_300", "LabelFormat": "ZEBRA"} == (
        body["PrintingOptions"]["ReturnLabels"]
    )
    assert (LabelFormat.ZPL, "ZEBRA") == (
        purchase.labels[0].format,
        purchase.labels[0].vendor_format,
    )
    assert b"^XA" == _content(shop, purchase.ref)[:3]
    assert b"%PDF" == _content(shop, purchase.ref, "pdf")[:4]


def _content(shop: Shop, *arguments: Any) -> bytes:
    """Print a label again, and return its bytes."""
    return shop.shipping.get_label(*arguments).content or b""


def test_shipment_without_reference_is_sent_without_one(shop: Shop) -> None:
    """A shipment without a reference is sent without one."""
    shop.buy(reference=None)

    assert "ShipmentReference" not in shop.bodies(SHIPMENTS)[0]["Shipment"]


@pytest.mark.parametrize(
    "fields, kind, words",
    [
        ({"return_to": SENDER}, UnsupportedByVendor, "only to the sender"),
        ({"reference": "x" * 36}, InvalidData, "too long for a label"),
    ],
    ids=["return_to", "reference"],
)
def test_label_that_gls_cannot_make_is_not_ordered(
    shop: Shop, fields: dict[str, Any], kind: type[Exception], words: str
) -> None:
    """A separate return address or a long reference is refused before the label is ordered."""
    with pytest.raises(kind, match=words):
        shop.buy(**fields)

    assert [] == shop.bodies(SHIPMENTS)


def test_label_in_epl_is_not_printed_again(shop: Shop) -> None:
    """A label cannot be printed again as EPL, because GLS does not have this format."""
    ref = shop.buy().ref

    with pytest.raises(UnsupportedByVendor, match="EPL"):
        shop.shipping.get_label(ref, "epl")


def test_label_is_read_from_a_string_or_a_list(shop: Shop) -> None:
    """A label is read from a single string, as GLS sends it, and from a list, as GLS describes."""
    ref = attrs.evolve(shop.buy().ref, related={})
    for data in ("JVBERg==", ["JVBERg=="]):
        parcel = {"TrackID": ref.id, "ParcelNumber": "936000000019"}
        created = {"ParcelData": [parcel], "PrintData": [{"Data": data, "LabelFormat": "PDF"}]}
        shop.sandbox.fail(reply({"CreatedShipment": created}))

        label = shop.shipping.get_label(ref)
        assert (LabelFormat.PDF, b"%PDF") == (label.format, label.content)


def test_lost_label_is_found_by_its_mark(shop: Shop) -> None:
    """After a lost response the label is searched for by its mark, and printed again."""
    shop.sandbox.fail(None, Lost())
    purchase = shop.buy()
    [search] = shop.bodies(f"{BACKEND}/tracking/parcels")
    [order] = shop.bodies(SHIPMENTS)
    today = shop.today()

    assert {
        "ShipmentUnitReference": order["Shipment"]["ShipmentUnit"][0]["ShipmentUnitReference"][0],
        "DateFrom": f"{today - timedelta(days=31)}T00:00:00Z",
        "DateTo": f"{today + timedelta(days=1)}T00:00:00Z",
    } == search
    assert "2030-01-01" == shop.bodies(f"{SHIPMENTS}/reprintparcel")[0]["CreationDate"]
    assert ("gls_parcel", Money("4.90", "EUR"), b"%PDF") == (
        purchase.service,
        purchase.cost,
        purchase.labels[0].content[:4],
    )


@pytest.mark.parametrize(
    "items",
    [[], [{"TrackID": "ZX000001", "ShipmentUnitReference": ["another"]}], [{}]],
    ids=["none", "another", "empty"],
)
def test_label_that_is_not_found_has_an_unknown_outcome(shop: Shop, items: list[Any]) -> None:
    """If no parcel has the mark, the outcome is unknown, and no other parcel's label is printed."""
    shop.sandbox.fail(None, Lost(), reply({"UnitItems": items}))

    with pytest.raises(OutcomeUnknown):
        shop.buy()
    assert (1, []) == (len(shop.bodies(SHIPMENTS)), shop.bodies(f"{SHIPMENTS}/reprintparcel"))


@pytest.mark.parametrize(
    "field, reprints",
    [("InitialDate", [["PrintingOptions", "TrackID"]]), ("TrackID", [])],
    ids=["day", "track id"],
)
def test_parcel_without_a_day_is_printed_and_without_a_track_id_is_not(
    shop: Shop, field: str, reprints: list[Any]
) -> None:
    """A found parcel without a date is still printed again; a parcel without a track id is not."""

    def without_field(response: Response) -> Response:
        items = response.json()["UnitItems"]
        return reply({"UnitItems": [{**item, field: None} for item in items]})

    shop.sandbox.fail(None, Lost(), AlteredAnswer(without_field))
    with pytest.raises(OutcomeUnknown):
        shop.buy()

    assert reprints == [sorted(body) for body in shop.bodies(f"{SHIPMENTS}/reprintparcel")]


def test_tracking_returns_the_requested_number_and_all_events(shop: Shop) -> None:
    """Tracking returns the parcel number that was requested, all events, and the delivery."""
    shop.sandbox.fail(reply({"parcels": [DELIVERED]}))
    tracking = shop.shipping.track("604831862623", "GLS")
    zone = timezone(timedelta(hours=2))

    assert "/track-and-trace-v1/tracking/simple/trackids/604831862623" == (
        shop.sandbox.requests[-1].path
    )
    assert ("604831862623", TrackingStatus.DELIVERED, "DELIVERED", "DELIVD.NORMAL") == (
        tracking.number,
        tracking.status,
        tracking.vendor_status,
        tracking.code,
    )
    assert datetime(2024, 10, 11, 15, 24, 57, tzinfo=zone) == tracking.delivered_at
    assert [TrackingStatus.PRE_TRANSIT, TrackingStatus.IN_TRANSIT, TrackingStatus.UNKNOWN] == [
        event.status for event in tracking.events
    ]
    handed_over = tracking.events[1]
    assert ("INTIAL.NORMAL", "The parcel was handed over to GLS.") == (
        handed_over.code,
        handed_over.text,
    )
    assert Place(city="Berlin", postal_code="10437", country="DE") == handed_over.location


@pytest.mark.parametrize(
    "words, status",
    [
        ("PLANNEDPICKUP INPICKUP NOTPICKEDUP PREADVICE", TrackingStatus.PRE_TRANSIT),
        ("INTRANSIT INWAREHOUSE", TrackingStatus.IN_TRANSIT),
        ("INDELIVERY", TrackingStatus.OUT_FOR_DELIVERY),
        ("DELIVEREDPS", TrackingStatus.AVAILABLE_FOR_PICKUP),
        ("DELIVERED", TrackingStatus.DELIVERED),
        ("NOTDELIVERED", TrackingStatus.DELIVERY_ATTEMPTED),
        ("CANCELED", TrackingStatus.CANCELED),
    ],
)
def test_state_of_a_parcel_becomes_a_status(shop: Shop, words: str, status: TrackingStatus) -> None:
    """Each word of GLS for the state of a parcel is a status."""
    for word in words.split():
        shop.sandbox.fail(reply({"parcels": [{"unitno": "1", "status": word}]}))
        assert status is shop.shipping.track("1", "gls").status


@pytest.mark.parametrize(
    "code, status",
    [
        ("INTIAL.E48_DATA", TrackingStatus.PRE_TRANSIT),
        ("INTIAL.PREADVICE", TrackingStatus.PRE_TRANSIT),
        ("INTIAL.NORMAL", TrackingStatus.IN_TRANSIT),
        ("DELIVD.PARCELSHOP", TrackingStatus.AVAILABLE_FOR_PICKUP),
        ("CANCEL.NORMAL", TrackingStatus.CANCELED),
    ],
)
def test_code_of_an_event_becomes_a_status(shop: Shop, code: str, status: TrackingStatus) -> None:
    """An event of a parcel at GLS has the status of its code."""
    event = {"code": code, "eventDateTime": "2024-10-10T10:00:00+0200"}
    parcel = {"unitno": "1", "status": "INTRANSIT", "events": [event]}
    shop.sandbox.fail(reply({"parcels": [parcel]}))
    [read_event] = shop.shipping.track("1", "gls").events
    assert status is read_event.status


def test_final_parcel_has_an_unknown_status(shop: Shop) -> None:
    """GLS's status FINAL does not say how the parcel ended, so the tracking status is unknown."""
    shop.sandbox.fail(reply({"parcels": [{"unitno": "1", "status": "FINAL"}]}))
    tracking = shop.shipping.track("1", "gls")

    assert (TrackingStatus.UNKNOWN, "FINAL", None, None, ()) == (
        tracking.status,
        tracking.vendor_status,
        tracking.code,
        tracking.delivered_at,
        tracking.events,
    )


def test_shipment_is_tracked_by_its_track_id(shop: Shop) -> None:
    """A bought shipment is tracked by its track id, and keeps its parcel number."""
    purchase = shop.buy()
    tracking = shop.shipping.track_shipment(purchase.ref)

    assert f"/track-and-trace-v1/tracking/simple/references/{purchase.ref.id}" == (
        shop.sandbox.requests[-1].path
    )
    assert purchase.tracking_numbers[0] == tracking.number
    assert purchase.ref.id == (
        shop.shipping.track_shipment(attrs.evolve(purchase.ref, related={})).number
    )


def test_shipment_that_tracking_does_not_know_yet_has_its_label(shop: Shop) -> None:
    """If tracking does not know a shipment yet, it is read by printing its label again."""
    purchase = shop.buy()
    shop.sandbox.fail(reply({"parcels": [{"errorCode": "E_404_01", "errorMessage": "Unknown"}]}))
    shipment = shop.shipping.get_shipment(purchase.ref)

    assert (ShipmentState.BOUGHT, purchase.labels, None) == (
        shipment.state,
        shipment.labels,
        shipment.vendor_status,
    )


def test_reference_without_a_parcel_number_is_read_by_its_track_id(shop: Shop) -> None:
    """If a reference has no parcel number, the shipment's track id is used as the number."""
    ref = attrs.evolve(shop.buy().ref, related={})
    shop.shipping.cancel(ref)

    assert (ref.id,) == shop.shipping.get_shipment(ref).tracking_numbers


def test_refusal_other_than_unknown_number_is_raised_by_look_up(shop: Shop) -> None:
    """When a shipment is read, any error except for an unknown number is raised."""
    purchase = shop.buy()
    shop.sandbox.fail(reply({"parcels": [{"errorCode": "E_400_01", "errorMessage": "Bad"}]}))

    with pytest.raises(VendorRejected) as excinfo:
        shop.shipping.get_shipment(purchase.ref)
    assert "E_400_01" == excinfo.value.vendor_code


def test_tracked_shipment_is_returned_without_label_if_gls_does_not_print_it_again(
    shop: Shop,
) -> None:
    """A tracked shipment is returned without a label if GLS does not print it again."""
    purchase = shop.buy()
    shop.sandbox.fail(None, Response(400, {"error": "TOO_OLD", "message": "It is too old."}))
    shipment = shop.shipping.get_shipment(purchase.ref)

    assert (ShipmentState.BOUGHT, (), "PREADVICE") == (
        shipment.state,
        shipment.labels,
        shipment.vendor_status,
    )


def test_cancelled_shipment_has_no_label(shop: Shop) -> None:
    """A cancelled shipment is read as cancelled, without its label."""
    purchase = shop.buy()
    cancellation = shop.shipping.cancel(purchase.ref)
    shipment = shop.shipping.get_shipment(purchase.ref)

    assert (CancelState.APPROVED, "CANCELLED") == (cancellation.state, cancellation.vendor_status)
    assert (ShipmentState.CANCELED, ()) == (shipment.state, shipment.labels)


@pytest.mark.parametrize(
    "answer, state",
    [
        ({"result": "CANCELLATION_PENDING"}, CancelState.REQUESTED),
        ({"Result": "CANCELLED"}, CancelState.APPROVED),
        ({"result": "ERROR"}, CancelState.UNKNOWN),
    ],
    ids=["pending", "described name", "error"],
)
def test_result_of_a_cancellation_is_read_under_both_spellings(
    shop: Shop, answer: dict[str, str], state: CancelState
) -> None:
    """GLS's cancellation result is read under both spellings of its field; ERROR is a failure."""
    ref = shop.buy().ref
    shop.sandbox.fail(reply({"TrackID": ref.id, **answer}))

    assert state is shop.shipping.cancel(ref).state


def test_scanned_parcel_is_not_cancelled(shop: Shop) -> None:
    """A parcel that is on its way cannot be cancelled."""
    purchase = shop.buy()
    shop.sandbox.move(purchase.tracking_numbers[0], "INTRANSIT")

    with pytest.raises(VendorRejected, match="scanned") as excinfo:
        shop.shipping.cancel(purchase.ref)
    assert "SCANNED" == excinfo.value.vendor_code


REFUSALS: dict[str, tuple[Response, type[ConnectorError], str | None, str | None]] = {
    "headers": (
        Response(400, {"error": "COMMON", "message": "It is wrong."}),
        InvalidRequest,
        "COMMON",
        "It is wrong.",
    ),
    "list": (
        reply({"errors": [{"code": "C-1", "message": "It is wrong."}]}, 400),
        InvalidRequest,
        "C-1",
        "It is wrong.",
    ),
    "type": (
        reply({"errors": [{"type": "400", "message": "It is wrong."}]}, 400),
        InvalidRequest,
        "400",
        "It is wrong.",
    ),
    "fault": (
        reply({"fault": {"faultstring": "No.", "detail": {"errorcode": "oauth.Denied"}}}, 403),
        AuthenticationFailed,
        "oauth.Denied",
        "No.",
    ),
    "problem": (
        reply({"title": "Bad Request", "detail": "Too many numbers."}, 400),
        InvalidRequest,
        None,
        "Too many numbers.",
    ),
    "nothing": (Response(404), VendorRejected, None, None),
    "outage": (Response(503, body=b"<html></html>"), VendorFailed, None, None),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusal_has_its_code_and_text(shop: Shop, name: str) -> None:
    """An error response is read from the headers, or from each form of the body."""
    answer, kind, code, text = REFUSALS[name]
    error = shop.refused(answer)

    assert (kind, code, text) == (type(error), error.vendor_code, error.vendor_message)


def test_secret_in_a_header_is_masked(shop: Shop) -> None:
    """If GLS repeats a secret in a header, the error does not show it."""
    words = "The header Authorization: Bearer abcdefghijklmnop is wrong."
    error = shop.refused(Response(400, {"error": "COMMON", "message": words}))

    assert "abcdefghijklmnop" not in f"{error}{error!r}{error.vendor_message}"


@pytest.mark.parametrize(
    "options, words",
    [
        ({"parcel_price": "free"}, "not a price"),
        ({"express_price": "-1"}, "not a price"),
        ({"currency": "euro"}, "not a currency"),
        ({"zebra_template": "ZPL_1"}, "not have this label layout"),
    ],
    ids=["parcel_price", "express_price", "currency", "zebra_template"],
)
def test_wrong_option_is_refused(options: dict[str, Any], words: str) -> None:
    """An account with an invalid price, currency or layout is refused when it is created."""
    with pytest.raises(ConfigurationError, match=words):
        gls_vendor(GlsSandbox(), **options)


@pytest.mark.parametrize(
    "url, mode",
    [
        ("https://api.gls-group.net", "live"),
        ("https://api-sandbox.gls-group.net", "test"),
        ("https://gls.example", None),
    ],
    ids=["live", "test", "unknown"],
)
def test_mode_follows_the_url(url: str, mode: str | None) -> None:
    """GLS's URL decides whether the account is live or in test mode."""
    assert mode == gls_vendor(GlsSandbox(), base_url=url).mode()


def test_sandbox_refuses_what_gls_refuses(shop: Shop) -> None:
    """The sandbox refuses a wrong media type, an unknown contract and a missing token."""
    shop.buy()
    order, sent = shop.bodies(SHIPMENTS)[0], shop.sandbox.requests[-1].headers
    wrong_contract = {**order["Shipment"], "Shipper": {"ContactID": "another"}}
    token = {"Authorization": sent.get("authorization") or ""}
    statuses = [
        _status(shop, {**token, "Content-Type": "application/json"}, order),
        _status(shop, TYPED, order),
        _status(shop, {**token, **TYPED}, {**order, "Shipment": wrong_contract}),
        _status(shop, {**token, **TYPED}, {}),
    ]

    assert [415, 401, 400, 400] == statuses


def _status(shop: Shop, headers: dict[str, str], body: Any) -> int:
    """Return the status of the sandbox's response to an order."""
    request = Request.post(SHIPMENTS, json=body, headers=headers)
    client = SandboxHttpClient(shop.sandbox)
    return client.send(request, f"https://api.gls-group.net{SHIPMENTS}", Timeouts()).status
