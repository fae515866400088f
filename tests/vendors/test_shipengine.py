"""ShipEngine: what it is told, and how its answers are read."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from mooring.contracts.ref import Ref
from mooring.contracts.routes import Account
from mooring.contracts.shipping import (
    Address,
    AddressVerdict,
    CancelState,
    Contents,
    Customs,
    CustomsItem,
    LabelFormat,
    LabelSize,
    NonDelivery,
    Parcel,
    Place,
    RateRequest,
    ShipmentRequest,
    ShipmentState,
    Signature,
    TrackingStatus,
)
from mooring.domain.http import Request, Response, Timeouts
from mooring.domain.money import Money
from mooring.domain.webhooks.events import WebhookEvent
from mooring.errors import (
    AuthenticationFailed,
    ConnectorError,
    InvalidData,
    InvalidRequest,
    OutcomeUnknown,
    RateLimitExceeded,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)
from mooring.hub import Hub
from mooring.testing.sandbox.base import Lost, SandboxHttpClient, reply
from mooring.testing.sandbox.shipengine import ShipEngineSandbox
from mooring.vendors._shipengine_requests import rates_body
from mooring.vendors._shipping import as_number
from mooring.vendors.shipengine import ShipEngine

if TYPE_CHECKING:
    from mooring.contracts.shipping import Shipment
    from mooring.faces.shipping import Shipping

HERE = Address(
    name="Jack Sparrow",
    company="ACME",
    line1="388 Townsend St",
    line2="Apt 20",
    line3="Back door",
    city="San Francisco",
    region="CA",
    postal_code="94107",
    country="US",
    phone="5555555555",
    email="jack@shop.example",
    residential=False,
)
THERE = Address(
    name="Elizabeth Swan",
    line1="179 N Harbor Dr",
    city="Redondo Beach",
    region="CA",
    postal_code="90277",
    country="US",
    residential=True,
)
PARCEL = Parcel(weight="1.25", length=30, width="20.5", height=10, reference="box 1")
REQUEST = RateRequest(sender=HERE, recipient=THERE, parcels=PARCEL)
SHIRTS = CustomsItem(
    description="Shirts",
    quantity=3,
    value=Money("10.00", "EUR"),
    weight="0.3",
    hs_code="6109.10",
    origin="DE",
    sku="S-1",
)
ABROAD = attrs.evolve(THERE, country="CA", region="ON")


class Wire(SandboxHttpClient):
    """Reaches the sandbox, but for what is planned for a path."""

    def __init__(self, sandbox: ShipEngineSandbox) -> None:
        super().__init__(sandbox)
        self.sandbox = sandbox
        self.planned: dict[str, list[Response | ConnectorError | Lost]] = {}

    def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Let the sandbox answer, or do what was planned."""
        planned = self.planned.get(f"{request.method.value} {request.path}")
        if planned:
            self.sandbox.fail(planned.pop(0))
        return super().send(request, url, timeouts)


class Shop:
    """A hub with ShipEngine, and its sandbox."""

    def __init__(self, **options: Any) -> None:
        self.sandbox = ShipEngineSandbox()
        self.wire = Wire(self.sandbox)
        vendor = ShipEngine(credentials=self.sandbox.api_key, **options)
        account = Account("shipengine", vendor, settings={"retry": None, "circuit": None})
        self.hub = Hub([account], http=self.wire)
        self.shipping: Shipping = self.hub.shipping()

    def bought(self, key: str = "order-1", **fields: Any) -> Shipment:
        """A shipment."""
        request = attrs.evolve(REQUEST, **fields)
        return self.shipping.create_shipment(ShipmentRequest(asked=request), idempotency_key=key)

    def buying(self, rate: str) -> str:
        """What buys this offer."""
        return f"POST /v1/labels/rates/{rate}"


@pytest.fixture(name="shop")
def _shop() -> Shop:
    """A shop of its own for each test."""
    return Shop()


def told(request: RateRequest, insurer: str = "carrier") -> dict[str, Any]:
    """What a shipment is told as."""
    shipment: dict[str, Any] = rates_body(request, ["se-1"], insurer)["shipment"]
    return shipment


def test_a_shipment_is_told_in_numbers_with_units() -> None:
    """Measures go in units that ShipEngine knows, rounded up to four decimals."""
    small = Parcel(
        weight="0.00001", weight_unit="lb", length=1, width=2, height=3, length_unit="mm"
    )
    long = Parcel(weight=3, weight_unit="oz", length=1, width=1, height=1, length_unit="ft")
    given = attrs.evolve(REQUEST, parcels=[PARCEL, small, long, Parcel(weight=5, weight_unit="g")])

    assert [
        {
            "weight": {"value": 1.25, "unit": "kilogram"},
            "dimensions": {"unit": "centimeter", "length": 30, "width": 20.5, "height": 10},
            "external_package_id": "box 1",
        },
        {
            "weight": {"value": 0.0001, "unit": "pound"},
            "dimensions": {"unit": "centimeter", "length": 0.1, "width": 0.2, "height": 0.3},
        },
        {
            "weight": {"value": 3, "unit": "ounce"},
            "dimensions": {"unit": "inch", "length": 12, "width": 12, "height": 12},
        },
        {"weight": {"value": 5, "unit": "gram"}},
    ] == told(given)["packages"]


def test_an_address_is_told_in_shipengines_words() -> None:
    """Every field has its name there, and whether people live there is always said."""
    shipment = told(REQUEST)

    assert {
        "name": "Jack Sparrow",
        "company_name": "ACME",
        "address_line1": "388 Townsend St",
        "address_line2": "Apt 20",
        "address_line3": "Back door",
        "city_locality": "San Francisco",
        "state_province": "CA",
        "postal_code": "94107",
        "country_code": "US",
        "phone": "5555555555",
        "email": "jack@shop.example",
        "address_residential_indicator": "no",
    } == shipment["ship_from"]
    assert "yes" == shipment["ship_to"]["address_residential_indicator"]


def test_what_is_wished_is_told() -> None:
    """Insurance, signature and the rest are told in ShipEngine's words; options go in last."""
    request = attrs.evolve(
        REQUEST,
        signature=Signature.ANYBODY,
        insurance=Money("149.90", "EUR"),
        saturday=True,
        is_return=True,
        return_to=THERE,
        ship_date=date(2030, 1, 2),
        reference="order 7",
        extra={"shipengine": {"shipment": {"confirmation": "direct_signature"}}},
    )
    body = rates_body(request, ["se-1", "se-2"], "shipsurance")
    shipment = body["shipment"]

    assert {"carrier_ids": ["se-1", "se-2"], "is_return": True} == body["rate_options"]
    assert {"currency": "eur", "amount": 149.9} == shipment["packages"][0]["insured_value"]
    assert {"saturday_delivery": True} == shipment["advanced_options"]
    assert ("direct_signature", "shipsurance", True, "order 7", "2030-01-02", "90277") == (
        shipment["confirmation"],
        shipment["insurance_provider"],
        shipment["is_return"],
        shipment["shipment_number"],
        shipment["ship_date"],
        shipment["return_to"]["postal_code"],
    )
    assert "no_validation" == shipment["validate_address"]


def test_customs_are_told_what_each_thing_is_worth() -> None:
    """A line whose value does not come out even is told as two, so that nothing is lost."""
    customs = Customs(
        items=[SHIRTS],
        signer="Steve Brule",
        non_delivery=NonDelivery.ABANDON,
        incoterm="DDP",
        invoice_number="INV-1",
    )
    shipment = told(attrs.evolve(REQUEST, recipient=ABROAD, customs=customs))
    product = {
        "description": "Shirts",
        "weight": {"value": 0.1, "unit": "kilogram"},
        "harmonized_tariff_code": "6109.10",
        "country_of_origin": "DE",
        "sku": "S-1",
    }

    assert {
        "contents": "merchandise",
        "non_delivery": "treat_as_abandoned",
        "terms_of_trade_code": "ddp",
        "invoice_additional_details": {"invoice_number": "INV-1"},
    } == shipment["customs"]
    assert [
        product | {"quantity": 2, "value": {"currency": "eur", "amount": 3.33}},
        product | {"quantity": 1, "value": {"currency": "eur", "amount": 3.34}},
    ] == shipment["packages"][0]["products"]


@pytest.mark.parametrize(
    "contents, word, why",
    [
        (Contents.RETURNED, "returned_goods", None),
        (Contents.DONATION, "other", "donation"),
        (Contents.GIFT, "gift", None),
    ],
)
def test_contents_have_words_of_their_own(contents: Contents, word: str, why: str | None) -> None:
    """What ShipEngine has no word for is something else, with an explanation."""
    even = attrs.evolve(SHIRTS, quantity=2)
    customs = Customs(items=[even], signer="Steve Brule", contents=contents)
    shipment = told(attrs.evolve(REQUEST, customs=customs))

    assert (word, why) == (
        shipment["customs"]["contents"],
        shipment["customs"].get("contents_explanation"),
    )
    assert 1 == len(shipment["packages"][0]["products"])


@pytest.mark.parametrize(
    "fields",
    [
        {"label_size": LabelSize.A5},
        {"insurance": Money("1", "USD"), "parcels": [PARCEL, PARCEL]},
        {"customs": Customs(items=[SHIRTS], signer="Steve Brule", eel_pfc="NOEEI 30.37(a)")},
    ],
    ids=["paper", "insurance", "exemption"],
)
def test_what_it_does_not_take_is_refused_before_anything_is_sent(
    shop: Shop, fields: dict[str, Any]
) -> None:
    """A wish that ShipEngine has no field for is refused, and nobody is asked."""
    with pytest.raises(UnsupportedByVendor):
        shop.shipping.get_rates(attrs.evolve(REQUEST, **fields))

    assert [] == shop.sandbox.asked


@pytest.mark.parametrize(
    "value, expected",
    [("3", 3), ("3.00", 3), ("0.1", 0.1), ("123456789.1234", 123456789.1234)],
)
def test_a_number_is_told_exactly(value: str, expected: float) -> None:
    """A number of JSON has the digits that it was given in."""
    assert expected == as_number(Decimal(value))
    assert Decimal(value) == Decimal(json.dumps(as_number(Decimal(value))))


def test_a_number_of_too_many_digits_is_refused() -> None:
    """What a reader of JSON would round is not told."""
    with pytest.raises(InvalidData):
        as_number(Decimal("12345678901234567.89"))


def test_all_carriers_are_asked_unless_some_are_named() -> None:
    """The list of carriers is asked for where neither the account nor the shipment names any."""
    listing, named = Shop(), Shop(carriers=["se-100"])
    listing.shipping.get_rates(REQUEST)
    named.shipping.get_rates(REQUEST)
    with pytest.raises(InvalidRequest, match="se-9 is not known"):
        listing.shipping.get_rates(attrs.evolve(REQUEST, carrier_accounts=["se-9"]))

    assert ["/v1/carriers", "/v1/rates", "/v1/rates"] == [one.path for one in listing.sandbox.asked]
    assert ["/v1/rates"] == [one.path for one in named.sandbox.asked]


def test_what_is_too_heavy_is_not_offered(shop: Shop) -> None:
    """Who carries nothing so heavy says so."""
    result = shop.shipping.get_rates(attrs.evolve(REQUEST, parcels=Parcel(weight=40)))

    assert ((), "The parcel is too heavy.") == (result.rates, result.messages[0].text)


def test_nobody_can_be_asked_if_no_carrier_is_connected(shop: Shop) -> None:
    """An account without a carrier is told so."""
    shop.sandbox.carriers = []
    with pytest.raises(VendorRejected, match="No carrier"):
        shop.shipping.get_rates(REQUEST)


def test_a_price_is_all_that_is_paid(shop: Shop) -> None:
    """What shipping, insurance and the rest cost is one price; what cannot be read is no offer."""
    usd = {"currency": "usd", "amount": 1.1}
    rates = [
        {"rate_id": "se-1", "carrier_code": "ups", "shipping_amount": usd, "other_amount": usd},
        {"rate_id": "se-2", "carrier_code": "ups", "insurance_amount": usd},
        {"rate_id": "se-3", "shipping_amount": {"currency": "usd", "amount": "much"}},
        {
            "rate_id": "se-4",
            "carrier_code": "ups",
            "shipping_amount": usd,
            "other_amount": {"currency": "eur", "amount": 1},
        },
        {"shipping_amount": usd},
    ]
    invalid = [{"carrier_code": "fedex", "error_messages": ["Too far.", 7]}]
    error = {"error_code": "unspecified", "message": "It is closed.", "carrier_code": "ups"}
    response = {"rates": rates, "invalid_rates": invalid, "errors": [error]}
    shop.wire.planned["POST /v1/rates"] = [
        reply({"shipment_id": "se-5", "rate_response": response}),
        reply({"rate_response": {"rates": rates}}),
    ]
    result = shop.shipping.get_rates(REQUEST)

    assert [Money("2.20", "USD")] == [rate.total for rate in result.rates]
    assert [
        ("ups", "It is closed."),
        ("fedex", "Too far."),
        ("ups", "An offer could not be read."),
        (None, "An offer could not be read."),
        ("ups", "An offer could not be read."),
        (None, "An offer could not be read."),
    ] == [(one.carrier, one.text) for one in result.messages]
    with pytest.raises(VendorFailed):
        shop.shipping.get_rates(REQUEST)


def test_a_label_is_asked_for_as_it_was_wished(shop: Shop) -> None:
    """Format and paper are kept with the offer; addresses stay as they are; the key is a mark."""
    label = shop.bought(label_size=LabelSize.A6).labels[0]
    asked = next(one for one in shop.sandbox.asked if "/labels/rates/" in one.path)

    assert {
        "label_format": "pdf",
        "label_layout": "A6",
        "label_download_type": "url",
        "validate_address": "no_validation",
        "custom_field1": "order-1",
    } == json.loads(asked.body)
    assert (LabelFormat.PDF, "A6", "pdf") == (label.format, label.size, label.vendor_format)


def test_several_parcels_have_a_label_each(shop: Shop) -> None:
    """Parcels that go together have labels and numbers of their own."""
    bought = shop.bought(parcels=[PARCEL, PARCEL])

    assert 2 == len(set(bought.tracking_numbers)) == len(bought.labels)
    assert bought.tracking_numbers == tuple(one.tracking_number for one in bought.labels)
    third = shop.shipping.get_label(str(bought.ref), parcel=2)
    assert bought.labels[1] == third


def test_several_parcels_may_share_a_file(shop: Shop) -> None:
    """If there is one file for all parcels, it is one label, and each parcel has its number."""
    bought = shop.bought(parcels=[PARCEL, PARCEL])
    for package in shop.sandbox.labels[bought.ref.id]["packages"]:
        package["label_download"] = None
    found = shop.shipping.get_shipment(bought.ref)

    assert (2, 1) == (len(found.tracking_numbers), len(found.labels))


def test_a_label_comes_in_other_formats_if_there_are_any(shop: Shop) -> None:
    """A label is given in another format that ShipEngine has, and never taken for one."""
    bought = shop.bought()

    assert LabelFormat.PNG is shop.shipping.get_label(bought.ref, "png").format
    del shop.sandbox.labels[bought.ref.id]["label_download"]["zpl"]
    with pytest.raises(VendorRejected, match="no label in zpl"):
        shop.shipping.get_label(bought.ref, "zpl")
    asked = len(shop.sandbox.asked)
    with pytest.raises(UnsupportedByVendor):
        shop.shipping.get_label(bought.ref, "epl")
    assert asked == len(shop.sandbox.asked)


def test_a_label_of_a_new_kind_is_at_its_link(shop: Shop) -> None:
    """A format that nobody knows is unknown, and the label is where ShipEngine says."""
    bought = shop.bought()
    label = shop.sandbox.labels[bought.ref.id]
    label |= {"label_format": "svg", "status": "on_ice", "form_download": {"href": "https://f"}}
    found = shop.shipping.get_shipment(bought.ref)

    assert (ShipmentState.UNKNOWN, "on_ice") == (found.state, found.vendor_status)
    assert (LabelFormat.UNKNOWN, ("https://f",)) == (found.labels[0].format, found.documents)


def test_a_label_that_comes_later_is_pending(shop: Shop) -> None:
    """What is still being made is pending and has no label; later it is bought, or has failed."""
    shop.sandbox.slow = True
    bought, lost = shop.bought(), shop.bought("order-2")

    assert (ShipmentState.PENDING, (), ()) == (
        bought.state,
        bought.labels,
        bought.tracking_numbers,
    )
    with pytest.raises(VendorRejected) as caught:
        shop.shipping.get_label(bought.ref, "pdf")
    assert TrackingStatus.UNKNOWN is shop.shipping.track_shipment(bought.ref).status
    with pytest.raises(VendorRejected, match="no label to void"):
        shop.shipping.cancel(bought.ref)
    shop.sandbox.finish(bought.ref.id)
    shop.sandbox.finish(lost.ref.id, "error")
    assert ShipmentState.BOUGHT is shop.shipping.get_shipment(bought.ref).state
    assert ShipmentState.FAILED is shop.shipping.get_shipment(lost.ref).state
    assert caught.value.vendor_code is None


def test_a_lost_purchase_is_found_by_its_mark(shop: Shop) -> None:
    """What was bought and lost its answer is found among the labels of its offer."""
    rate = shop.shipping.get_rates(REQUEST).rates[0]
    shop.wire.planned[shop.buying(rate.ref.id)] = [Lost()]
    found = shop.shipping.create_shipment(rate, idempotency_key="order-1")

    assert [found.ref.id] == [*shop.sandbox.labels]
    assert (("rate_id", rate.ref.id), "desc") == (
        shop.sandbox.asked[-2].query[0],
        dict(shop.sandbox.asked[-2].query)["sort_dir"],
    )


@pytest.mark.parametrize(
    "listed",
    [
        {"labels": []},
        {"labels": [{"label_id": "se-1"}]},
        {"labels": "none"},
        [],
        {
            "labels": [
                {
                    "label_id": "se-1",
                    "status": "error",
                    "shipment": {"advanced_options": {"custom_field1": "order-1"}},
                }
            ]
        },
    ],
    ids=["none", "unmarked", "odd", "list", "failed"],
)
def test_a_lost_purchase_that_is_not_found_is_unknown(shop: Shop, listed: object) -> None:
    """What no label is marked as is unknown, whatever is listed; nothing is bought again."""
    rate = shop.shipping.get_rates(REQUEST).rates[0]
    shop.wire.planned[shop.buying(rate.ref.id)] = [Response(503)]
    shop.wire.planned["GET /v1/labels"] = [reply(listed)]
    with pytest.raises(OutcomeUnknown):
        shop.shipping.create_shipment(rate, idempotency_key="order-1")

    assert {} == shop.sandbox.labels


def test_a_long_key_is_told_by_its_digest(shop: Shop) -> None:
    """A key that is longer than what ShipEngine keeps is told shortly."""
    shop.bought("k" * 200)

    [label] = shop.sandbox.labels.values()

    assert 64 == len(label["shipment"]["advanced_options"]["custom_field1"])


def test_only_an_offer_can_be_bought(shop: Shop) -> None:
    """What is no offer's reference is refused before anything is sent."""
    with pytest.raises(InvalidData):
        shop.shipping.create_shipment("shipengine:shipengine:se-1", idempotency_key="k-1")
    with pytest.raises(VendorRejected) as caught:
        shop.shipping.create_shipment(
            Ref("shipengine", "shipengine", "se-1", {"file": "pdf"}), idempotency_key="k-2"
        )
    assert "invalid_identifier" == caught.value.vendor_code


def test_a_void_is_told_as_it_stands(shop: Shop) -> None:
    """What was voided before is told so, and money that is waited for is not back yet."""
    bought = shop.bought()
    first, second = shop.shipping.cancel(bought.ref), shop.shipping.cancel(bought.ref)

    assert (CancelState.APPROVED, "approved") == (first.state, first.vendor_status)
    assert (CancelState.APPROVED, "label_already_voided") == (second.state, second.vendor_status)
    assert ShipmentState.CANCELED is shop.shipping.get_shipment(bought.ref).state
    shop.sandbox.labels[bought.ref.id]["refund_details"] = {"refund_status": "pending"}
    assert ShipmentState.CANCELING is shop.shipping.get_shipment(bought.ref).state
    shop.sandbox.fail(reply({}))
    with pytest.raises(VendorFailed):
        shop.shipping.cancel(bought.ref)


@pytest.mark.parametrize(
    "status, error, kind",
    [
        (400, {"error_code": "field_value_required", "error_type": "validation"}, InvalidRequest),
        (400, {"error_code": "trial_expired", "error_type": "account_status"}, VendorRejected),
        (400, {"error_code": "new", "error_type": "system"}, VendorFailed),
        (400, {"error_code": "new", "error_type": "new"}, InvalidRequest),
        (400, {"error_code": "new", "error_type": "integrations"}, VendorRejected),
        (401, {"error_code": "unauthorized", "error_type": "security"}, AuthenticationFailed),
        (404, {"error_code": "invalid_identifier", "error_type": "validation"}, VendorRejected),
        (429, {"error_code": "rate_limit_exceeded", "error_type": "security"}, RateLimitExceeded),
        (429, {}, RateLimitExceeded),
        (500, {"error_code": "unspecified", "error_type": "validation"}, VendorFailed),
        (200, {"error_code": "unspecified"}, None),
    ],
)
def test_an_error_is_told_by_its_own_code(
    shop: Shop, status: int, error: dict[str, str], kind: type[ConnectorError] | None
) -> None:
    """What kind of failure it is, the body says before the status does."""
    shop.sandbox.fail(reply({"errors": [{**error, "message": "No."}]}, status))
    if kind is None:
        assert TrackingStatus.UNKNOWN is shop.shipping.track("1", "usps").status
        return
    with pytest.raises(kind, match=r"No\.") as caught:
        shop.shipping.track("1", "usps")

    assert kind is type(caught.value)
    assert error.get("error_code") == caught.value.vendor_code  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "body, kind",
    [
        (b"<html></html>", VendorRejected),
        (b'{"errors": "no"}', VendorRejected),
        (b"[]", VendorRejected),
        (b'{"errors": [7]}', VendorRejected),
    ],
)
def test_an_error_without_words_is_told_by_its_status(
    shop: Shop, body: bytes, kind: type[ConnectorError]
) -> None:
    """What is no error of ShipEngine's is read as anybody's."""
    shop.sandbox.fail(Response(404, body=body))
    with pytest.raises(kind):
        shop.shipping.track("1", "usps")


def test_a_secret_in_an_error_is_masked(shop: Shop) -> None:
    """What ShipEngine says back of a key is not shown."""
    said = "The API key sk_live_51H8xYzAbCdEfGhIjKlMnOpQr is not valid."
    error = {"error_code": "unauthorized", "error_type": "security", "message": said}
    shop.sandbox.fail(reply({"errors": [error]}, 401))
    with pytest.raises(AuthenticationFailed) as caught:
        shop.shipping.track("1", "usps")

    assert "sk_live_51H8xYzAbCdEfGhIjKlMnOpQr" not in f"{caught.value}{caught.value!r}"


@pytest.mark.parametrize(
    "word, closer, status",
    [
        ("UN", None, TrackingStatus.UNKNOWN),
        ("NY", None, TrackingStatus.PRE_TRANSIT),
        ("AC", None, TrackingStatus.PRE_TRANSIT),
        ("AC", "PICKED_UP", TrackingStatus.IN_TRANSIT),
        ("IT", None, TrackingStatus.IN_TRANSIT),
        ("IT", "A_NEW_WORD", TrackingStatus.IN_TRANSIT),
        ("IT", "OUT_FOR_DELIVERY", TrackingStatus.OUT_FOR_DELIVERY),
        ("AT", None, TrackingStatus.DELIVERY_ATTEMPTED),
        ("SP", None, TrackingStatus.AVAILABLE_FOR_PICKUP),
        ("DE", "DELIVERED", TrackingStatus.DELIVERED),
        ("EX", None, TrackingStatus.FAILED),
        ("EX", "HELD_BY_CUSTOMS", TrackingStatus.ON_HOLD),
        ("EX", "RETURN_TO_SENDER", TrackingStatus.RETURNED),
        ("EX", "CANCELLED", TrackingStatus.CANCELED),
    ],
)
def test_parcels_are_followed(
    shop: Shop, word: str, closer: str | None, status: TrackingStatus
) -> None:
    """A number is followed as closely as ShipEngine says; its last news is the last event."""
    [number] = shop.bought().tracking_numbers
    shop.sandbox.move(number, "NY")
    shop.sandbox.move(number, word, closer)
    tracking = shop.shipping.track(number, "usps")

    assert (status, word, closer) == (tracking.status, tracking.vendor_status, tracking.code)
    assert ["NY", word] == [one.vendor_status for one in tracking.events]
    expected = Place(city="HOUSTON", region="TX", postal_code="77063", country="US")
    assert expected == tracking.events[0].location
    assert datetime(2030, 1, 5, tzinfo=UTC) == tracking.estimated_delivery


def test_what_a_track_does_not_say_is_not_known(shop: Shop) -> None:
    """A track without times or places is read as far as it goes; who signed is told."""
    events = [{"status_code": "DE", "signer": "Anna"}, {"status_code": "NEW"}, 7]
    shop.sandbox.fail(reply({"status_code": "DE", "events": events}))
    tracking = shop.shipping.track("1", "ups")

    assert (TrackingStatus.DELIVERED, None, None, "Anna") == (
        tracking.status,
        tracking.carrier,
        tracking.delivered_at,
        tracking.signed_by,
    )
    assert [None, None] == [one.location for one in tracking.events]
    with pytest.raises(InvalidRequest):
        shop.shipping.track("1", "nobody")
    with pytest.raises(VendorRejected):
        shop.shipping.track("1", "usps")


@pytest.mark.parametrize(
    "status, matched, verdict",
    [
        ("verified", {"address_line1": "179 N Harbor Dr"}, AddressVerdict.CORRECTED),
        ("warning", {"address_line1": "179 N Harbor Dr"}, AddressVerdict.CORRECTED),
        ("verified", None, AddressVerdict.UNKNOWN),
        ("unverified", None, AddressVerdict.UNKNOWN),
        ("error", {"address_line1": "179 N Harbor Dr"}, AddressVerdict.INVALID),
        ("new", {}, AddressVerdict.UNKNOWN),
    ],
)
def test_an_address_is_judged(
    shop: Shop, status: str, matched: dict[str, str] | None, verdict: AddressVerdict
) -> None:
    """What was not matched is not valid, and nothing is suggested for it."""
    message = {"code": "a1001", "detail_code": "suite_missing", "message": "Which?"}
    body = {"status": status, "matched_address": matched, "messages": [message, {"code": "a1"}]}
    shop.sandbox.fail(reply([body]))
    checked = shop.shipping.validate_address(THERE)

    assert verdict is checked.verdict
    assert (verdict is AddressVerdict.CORRECTED) is (checked.suggested is not None)
    assert ["suite_missing", "a1"] == [one.code for one in checked.messages]


def test_an_address_is_valid_if_only_its_letters_differ(shop: Shop) -> None:
    """How the post writes an address is suggested, and whether people live there is told."""
    checked = shop.shipping.validate_address(THERE)

    assert (AddressVerdict.VALID, True, ()) == (
        checked.verdict,
        checked.residential,
        checked.changes,
    )
    assert checked.suggested is not None
    assert "179 N HARBOR DR" == checked.suggested.line1
    shop.sandbox.fail(reply([]))
    with pytest.raises(VendorFailed):
        shop.shipping.validate_address(THERE)


def event(kind: str, **data: Any) -> WebhookEvent:
    """A webhook that was verified."""
    return WebhookEvent(vendor="shipengine", id="1", type=kind, vendor_type=kind, data=data)


def test_news_is_of_a_label_if_it_names_one(shop: Shop) -> None:
    """A parcel that was not bought here has news too; what is new means nothing."""
    home = "https://api.shipengine.com/v1/labels/se-7"
    (ours,) = shop.hub.events("shipengine", event("API_TRACK", label_url=home, status_code="IT"))
    (theirs,) = shop.hub.events("shipengine", event("API_TRACK", label_url=None, status_code="DE"))

    assert (Ref("shipengine", "shipengine", "se-7"), "IT") == (ours.ref, ours.vendor_status)
    assert (None, TrackingStatus.DELIVERED) == (theirs.ref, theirs.tracking.status)
    assert () == shop.hub.events("shipengine", event("API_BATCH"))


def test_news_of_a_strangers_parcel_is_signed_too(shop: Shop) -> None:
    """A webhook of a parcel that no label is known of has no reference."""
    number = shop.bought().tracking_numbers[0]
    shop.sandbox.labels.clear()
    notice = shop.sandbox.report("https://shop.example", number, at=datetime.now(UTC))
    verifier = shop.hub.webhooks("shipengine", secrets=shop.sandbox.webhook_key)
    (told_of,) = shop.hub.events("shipengine", verifier.verify(**notice.given())[0])

    assert (None, number) == (told_of.ref, told_of.tracking.number)


def test_a_key_may_come_from_a_provider() -> None:
    """Without a key of its own the account asks the credential provider."""
    services = ShipEngine().services()

    assert (True, None) == (services[""].needs_credentials, services[""].credentials)
    assert (False, None) == (services["labels"].needs_credentials, services["labels"].credentials)
    assert "TEST_1" not in repr(ShipEngine(credentials="TEST_1"))


GOOD = rates_body(attrs.evolve(REQUEST, saturday=True), ["se-100"], "carrier")


@pytest.mark.parametrize(
    "path, value, code",
    [
        (("shipment", "ship_to", "zip"), "90277", "invalid_field_value"),
        (("shipment", "ship_to", "postal_code"), 90277, "invalid_field_value"),
        (("shipment", "packages"), [], "invalid_field_value"),
        (("shipment", "packages"), {}, "invalid_field_value"),
        (("shipment", "packages"), [{}], "field_value_required"),
        (("shipment", "packages"), [7], "invalid_field_value"),
        (
            ("shipment", "packages"),
            [{"weight": {"value": True, "unit": "gram"}}],
            "invalid_field_value",
        ),
        (
            ("shipment", "packages"),
            [{"weight": {"value": 1, "unit": "stone"}}],
            "invalid_field_value",
        ),
        (
            ("shipment", "packages"),
            [
                {
                    "weight": {"value": 1, "unit": "gram"},
                    "insured_value": {"currency": "usd", "amount": 1},
                }
            ],
            "field_value_required",
        ),
        (("shipment", "advanced_options", "saturday_delivery"), 1, "invalid_field_value"),
        (("shipment", "ship_from", "country_code"), "DE", "customs_items_required"),
        (("shipment", "ship_from"), {"country_code": "US"}, "field_value_required"),
        (("rate_options", "carrier_ids"), ["se-9"], "invalid_identifier"),
    ],
)
def test_the_sandbox_is_strict(shop: Shop, path: tuple[str, ...], value: object, code: str) -> None:
    """What ShipEngine does not know, or takes in another form, the sandbox refuses."""
    body = json.loads(json.dumps(GOOD))
    inner = body
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    response = answered(shop.sandbox, Request.post("/v1/rates", json=body))

    assert (400, code) == (response.status, response.json()["errors"][0]["error_code"])


def test_the_sandbox_lets_nobody_else_in(shop: Shop) -> None:
    """Whoever has no key, asks for nothing, or shows a key where files are, is refused."""
    shop.bought()
    [path, *_] = shop.sandbox.contents
    long = Request.post("/v1/labels/rates/se-3", json={"custom_field1": "k" * 101})
    file = Request.get(f"/v1/downloads/{path}")

    assert 404 == answered(shop.sandbox, Request.get("/v1/nothing")).status
    assert 401 == answered(shop.sandbox, Request.get("/v1/labels"), key="another").status
    assert 404 == answered(shop.sandbox, Request.get("/v1/labels/se-99")).status
    assert 400 == answered(shop.sandbox, long).status
    assert 400 == answered(shop.sandbox, file).status
    assert 404 == answered(shop.sandbox, Request.get("/v1/downloads/none"), key=None).status


def answered(
    sandbox: ShipEngineSandbox, request: Request, key: str | None = "TEST_sandbox_key_of_shipengine"
) -> Response:
    """What the sandbox says to whoever has this key."""
    shown = request if key is None else request.with_header("API-Key", key)
    url = f"https://api.shipengine.com{request.path}"
    return SandboxHttpClient(sandbox).send(shown, url, Timeouts())
