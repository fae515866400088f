"""Shippo: requests, responses and webhooks."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage.contracts.ref import Ref
from moorage.contracts.routes import Account
from moorage.contracts.shipping import (
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
from moorage.domain.http.requests import Response
from moorage.domain.values.money import Money
from moorage.domain.webhooks.events import WebhookEvent
from moorage.errors import (
    InvalidData,
    InvalidRequest,
    OutcomeUnknown,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import Lost, SandboxHttpClient, reply
from moorage.testing.sandboxes.shipping.shippo import ShippoSandbox
from moorage.vendors.shipping._shippo import address_body, shipment_body, transaction_mark
from moorage.vendors.shipping.shippo import Shippo

if TYPE_CHECKING:
    from moorage.contracts.shipping import Shipment
    from moorage.domain.http.requests import Request, Timeouts
    from moorage.operations.shipping import Shipping

SENDER = Address(
    name="Mr Hippo",
    line1="965 Mission St",
    line2="Suite 480",
    line3="Back door",
    city="San Francisco",
    region="CA",
    postal_code="94103",
    country="US",
    residential=True,
)
RECIPIENT = Address(line1="2967 Filbert Dr", city="Walnut Creek", postal_code="94598", country="US")
PARCEL = Parcel(weight="1.25", length=30, width="20.5", height=10, reference="box 1")
REQUEST = RateRequest(sender=SENDER, recipient=RECIPIENT, parcels=PARCEL)


class Wire(SandboxHttpClient):
    """An HTTP client that returns a planned response for some paths, else the sandbox's."""

    def __init__(self, sandbox: ShippoSandbox) -> None:
        super().__init__(sandbox)
        self.sandbox = sandbox
        self.planned: dict[str, list[Response | Exception | Lost]] = {}

    def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Return the planned response for the path, or the sandbox's response."""
        planned_responses = self.planned.get(f"{request.method.value} {request.path}")
        if planned_responses:
            self.sandbox.fail(planned_responses.pop(0))  # type: ignore[arg-type]  # as it is planned
        return super().send(request, url, timeouts)


class SandboxHub:
    """A hub with an account at Shippo's sandbox."""

    def __init__(self) -> None:
        self.sandbox = ShippoSandbox()
        self.wire = Wire(self.sandbox)
        vendor = Shippo(credentials=self.sandbox.token)
        account = Account("shippo", vendor, settings={"retry": None, "circuit": None})
        self.hub = Hub([account], http=self.wire)
        self.shipping: Shipping = self.hub.shipping()

    def buy_label_of_order(self, key: str = "order-1", **fields: Any) -> Shipment:
        """Buy a label and return the shipment."""
        request = attrs.evolve(REQUEST, **fields)
        return self.shipping.create_shipment(
            ShipmentRequest(rate_request=request), idempotency_key=key
        )


@pytest.fixture(name="shop")
def _shop() -> SandboxHub:
    """Return a hub with an account at a new Shippo sandbox."""
    return SandboxHub()


def test_measures_are_texts_with_units() -> None:
    """Weights and dimensions are sent to Shippo as texts in their own units, rounded up."""
    fine = Parcel(weight="0.00001", length=1, width=1, height="2.54", length_unit="in")
    result = shipment_body(attrs.evolve(REQUEST, parcels=[PARCEL, fine, Parcel(weight=3)]))

    assert [
        {
            "weight": "1.25",
            "mass_unit": "kg",
            "length": "30",
            "width": "20.5",
            "height": "10",
            "distance_unit": "cm",
            "metadata": "box 1",
        },
        {
            "weight": "0.0001",
            "mass_unit": "kg",
            "length": "1",
            "width": "1",
            "height": "2.54",
            "distance_unit": "in",
        },
        {"weight": "3", "mass_unit": "kg"},
    ] == result["parcels"]
    assert ("Back door", True) == (
        result["address_from"]["street3"],
        result["address_from"]["is_residential"],
    )
    assert False is result["async"]
    assert "extra" not in result


def test_options_are_sent_as_extra() -> None:
    """Insurance, signature and other options of a shipment are sent in Shippo's terms."""
    request = attrs.evolve(
        REQUEST,
        signature=Signature.ANYBODY,
        insurance=Money("100", "EUR"),
        saturday=True,
        is_return=True,
        return_to=RECIPIENT,
        ship_date=date(2030, 1, 2),
        carrier_accounts=["a1"],
        reference="order 7",
        extra={"shippo": {"extra": {"bypass_address_validation": True}}},
    )
    result = shipment_body(request)

    assert {
        "insurance": {"amount": "100.00", "currency": "EUR"},
        "signature_confirmation": "STANDARD",
        "saturday_delivery": True,
        "is_return": True,
        "bypass_address_validation": True,
    } == result["extra"]
    assert ("2030-01-02T12:00:00Z", ["a1"], "order 7", "94598") == (
        result["shipment_date"],
        result["carrier_accounts"],
        result["metadata"],
        result["address_return"]["zip"],
    )


@pytest.mark.parametrize("is_return", [False, True])
def test_label_leads_from_sender_to_recipient(*, is_return: bool) -> None:
    """A label leads from the sender to the recipient, even if Shippo swaps them for a return."""
    shipment = shipment_body(attrs.evolve(REQUEST, is_return=is_return))
    route = [shipment["address_from"], shipment["address_to"]]
    if shipment.get("extra", {}).get("is_return"):
        route.reverse()

    assert [address_body(SENDER), address_body(RECIPIENT)] == route


@pytest.mark.parametrize(
    "provider, is_return, count",
    [("USPS", True, 1), ("DHL eCommerce", True, 0), ("DHL eCommerce", False, 1)],
)
def test_return_has_only_rates_of_carriers_with_return_labels(
    shop: SandboxHub, provider: str, count: int, *, is_return: bool
) -> None:
    """A rate of a carrier without return labels becomes a message, as its label would go astray."""
    rate = {
        "object_id": "r1",
        "provider": provider,
        "servicelevel": {"token": "ground"},
        "amount": "5.00",
        "currency": "USD",
    }
    answer = {"object_id": "s1", "rates": [rate], "messages": []}
    shop.wire.planned["POST /shipments"] = [reply(answer, 201)]
    result = shop.shipping.get_rates(attrs.evolve(REQUEST, is_return=is_return))

    assert (count, 1 - count) == (len(result.rates), len(result.messages))


@pytest.mark.parametrize(
    "citation", ["NOEEI 30.37(a)", "noeei 30.37 (A)", "NOEEI §30.37(a)", "NOEEI30.37(a)"]
)
def test_exemption_is_sent_as_shippos_code(citation: str) -> None:
    """Every usual spelling of an exemption from filing is sent as Shippo's code."""
    item = CustomsItem(
        description="Shirts", quantity=1, value=Money("46.50", "EUR"), weight="0.3", origin="DE"
    )
    customs = Customs(items=[item], signer="Ada", eel_pfc=citation)
    body = shipment_body(attrs.evolve(REQUEST, customs=customs))
    assert "NOEEI_30_37_a" == body["customs_declaration"]["eel_pfc"]


def test_customs_line_for_shippo_has_value_and_weight_of_all_its_pieces() -> None:
    """A customs line for Shippo has the value and weight of all its pieces."""
    item = CustomsItem(
        description="Shirts",
        quantity=2,
        value=Money("46.50", "EUR"),
        weight="0.3",
        hs_code="6109.10",
        origin="DE",
        sku="S-1",
    )
    customs = Customs(
        items=[item],
        signer="Steve Brule",
        contents=Contents.OTHER,
        explanation="A surprise",
        non_delivery=NonDelivery.ABANDON,
        incoterm="DDP",
        invoice_number="INV-1",
        eel_pfc="NOEEI 30.37(a)",
    )
    result = shipment_body(attrs.evolve(REQUEST, customs=customs))["customs_declaration"]

    assert {
        "certify": True,
        "certify_signer": "Steve Brule",
        "contents_type": "OTHER",
        "contents_explanation": "A surprise",
        "non_delivery_option": "ABANDON",
        "incoterm": "DDP",
        "invoice": "INV-1",
        "eel_pfc": "NOEEI_30_37_a",
        "items": [
            {
                "description": "Shirts",
                "quantity": 2,
                "net_weight": "0.3",
                "mass_unit": "kg",
                "value_amount": "46.50",
                "value_currency": "EUR",
                "origin_country": "DE",
                "tariff_number": "6109.10",
                "sku_code": "S-1",
            }
        ],
    } == result
    value = shipment_body(attrs.evolve(REQUEST, customs=attrs.evolve(customs, contents="donation")))
    assert "HUMANITARIAN_DONATION" == value["customs_declaration"]["contents_type"]


@pytest.mark.parametrize(
    "wished, result, results",
    [
        ({}, "PDF", (LabelFormat.PDF, None)),
        ({"label_size": LabelSize.INCHES_4X6}, "PDF_4x6", (LabelFormat.PDF, "4x6")),
        ({"label_size": LabelSize.A4}, "PDF_A4", (LabelFormat.PDF, "A4")),
        ({"label": "png"}, "PNG", (LabelFormat.PNG, None)),
        ({"label": "zpl"}, "ZPLII", (LabelFormat.ZPL, None)),
    ],
)
def test_label_format_and_size(
    shop: SandboxHub, wished: dict[str, Any], result: str, results: tuple[LabelFormat, str | None]
) -> None:
    """A Shippo label has the requested format and size."""
    label = shop.buy_label_of_order(**wished).labels[0]

    assert (result, results) == (label.vendor_format, (label.format, label.size))


def test_several_parcels_have_a_label_each(shop: SandboxHub) -> None:
    """Each parcel of a Shippo shipment has its own label, and all are cancelled together."""
    shipment = shop.buy_label_of_order(parcels=[PARCEL, PARCEL, PARCEL])

    assert 3 == len(set(shipment.tracking_numbers)) == len(shipment.labels)
    assert shipment.tracking_numbers == tuple(label.tracking_number for label in shipment.labels)
    third = shop.shipping.get_label(str(shipment.ref), parcel=3)
    assert shipment.labels[2] == third
    with pytest.raises(VendorRejected, match="has 3 labels, but the label of parcel 4"):
        shop.shipping.get_label(shipment.ref, parcel=4)
    returned_result = shop.shipping.cancel(str(shipment.ref))
    assert (CancelState.REQUESTED, 3) == (returned_result.state, len(shop.sandbox.refunds))
    first_refund, *other_refunds = shop.sandbox.refunds
    shop.sandbox.settle_refund(first_refund, "ERROR")
    for other_refund in other_refunds:
        shop.sandbox.settle_refund(other_refund)
    shop.sandbox.move(shipment.tracking_numbers[0], "TRANSIT")
    assert CancelState.REJECTED is shop.shipping.cancel(shipment.ref).state


def test_purchase_is_returned_with_one_label_if_shippo_cannot_list_other_labels(
    shop: SandboxHub,
) -> None:
    """If Shippo cannot list the other labels, a purchase is returned with one label."""
    shop.wire.planned["GET /transactions"] = [Response(503)]

    assert 1 == len(shop.buy_label_of_order(parcels=[PARCEL, PARCEL]).labels)


def test_unlisted_parcels_are_cancelled_by_reference(shop: SandboxHub) -> None:
    """If Shippo cannot list a shipment's parcels, only the known transaction is cancelled."""
    shipment = shop.buy_label_of_order(parcels=[PARCEL, PARCEL])
    shop.wire.planned["GET /transactions"] = [reply({"results": []})]
    shop.shipping.cancel(shipment.ref)

    assert [shipment.ref.id] == [*shop.sandbox.refunds]


def test_parcels_of_other_purchases_of_the_rate_are_not_of_the_shipment(shop: SandboxHub) -> None:
    """A failed purchase and another purchase of the same rate have no part in a shipment."""
    rate = shop.shipping.get_rates(attrs.evolve(REQUEST, parcels=[PARCEL, PARCEL])).rates[0]
    shop.sandbox.slow = True
    shop.shipping.create_shipment(rate, idempotency_key="failed")
    for id_ in [*shop.sandbox.transactions]:
        shop.sandbox.finish(id_, "ERROR")
    shop.sandbox.slow = False
    other = shop.shipping.create_shipment(rate, idempotency_key="order-1")
    shipment = shop.shipping.create_shipment(rate, idempotency_key="order-2")

    assert 2 == len(shipment.labels)
    assert set(other.tracking_numbers).isdisjoint(shipment.tracking_numbers)
    assert CancelState.REQUESTED is shop.shipping.cancel(shipment.ref).state
    transactions = shop.sandbox.transactions
    assert set(shipment.tracking_numbers) == {
        transactions[id_]["tracking_number"] for id_ in shop.sandbox.refunds
    }


def test_shipment_with_a_label_that_is_not_refunded_is_not_cancelled(shop: SandboxHub) -> None:
    """If Shippo refuses the refund of one of several labels, the others are refunded."""
    shipment = shop.buy_label_of_order(parcels=[PARCEL, PARCEL, PARCEL])
    shop.sandbox.move(shipment.tracking_numbers[1], "TRANSIT")
    result = shop.shipping.cancel(shipment.ref)

    assert (CancelState.REJECTED, 2) == (result.state, len(shop.sandbox.refunds))
    assert 2 == len(result.raw)


def test_label_that_comes_later_is_pending(shop: SandboxHub) -> None:
    """A Shippo label that is not ready yet is pending."""
    shop.sandbox.slow = True
    shipment = shop.buy_label_of_order()

    assert (ShipmentState.PENDING, (), ()) == (
        shipment.state,
        shipment.labels,
        shipment.tracking_numbers,
    )
    assert not shipment.state.settled
    with pytest.raises(VendorRejected) as excinfo:
        shop.shipping.get_label(shipment.ref)
    assert excinfo.value.retryable
    tracking = shop.shipping.track_shipment(shipment.ref)
    assert (None, TrackingStatus.UNKNOWN) == (tracking.number, tracking.status)
    shop.sandbox.finish(shipment.ref.id)
    result = shop.shipping.get_shipment(shipment.ref)
    assert (ShipmentState.BOUGHT, 1) == (result.state, len(result.labels))


def test_label_that_fails_later(shop: SandboxHub) -> None:
    """A Shippo label that is refused after it was pending has the state failed, with the reason."""
    shop.sandbox.slow = True
    shipment = shop.buy_label_of_order()
    shop.sandbox.finish(shipment.ref.id, "ERROR")
    result = shop.shipping.get_shipment(shipment.ref)

    assert (ShipmentState.FAILED, "carrier_error") == (result.state, result.warnings[0].code)


def test_new_status_is_kept(shop: SandboxHub) -> None:
    """An unknown Shippo status becomes the state unknown, beside Shippo's own word."""
    shipment = shop.buy_label_of_order()
    shop.sandbox.transactions[shipment.ref.id] |= {
        "status": "ON_ICE",
        "label_file_type": "SVG",
        "rate": {"provider": "USPS", "amount": "6.07", "currency": "USD"},
        "commercial_invoice_url": "https://deliver.goshippo.com/invoice.pdf",
    }
    result = shop.shipping.get_shipment(shipment.ref)

    assert (ShipmentState.UNKNOWN, "ON_ICE") == (result.state, result.vendor_status)
    assert (LabelFormat.UNKNOWN, 1) == (result.labels[0].format, len(result.documents))
    assert Money("6.07", "USD") == result.cost


def test_lost_purchase_is_found_by_its_mark(shop: SandboxHub) -> None:
    """After a lost response, a Shippo purchase is found by its reference among the transactions."""
    rate = shop.shipping.get_rates(REQUEST).rates[0]
    shop.wire.planned["POST /transactions"] = [Lost()]
    result = shop.shipping.create_shipment(rate, idempotency_key="order-1")

    assert [result.ref.id] == [*shop.sandbox.transactions]
    other_shipment = shop.shipping.create_shipment(rate, idempotency_key="order-2")
    assert result.ref.id != other_shipment.ref.id


def test_lost_purchase_that_is_not_found_is_unknown(shop: SandboxHub) -> None:
    """If a lost Shippo purchase is not found, its outcome is unknown."""
    rate = shop.shipping.get_rates(REQUEST).rates[0]
    shop.wire.planned["POST /transactions"] = [Response(503)]
    with pytest.raises(OutcomeUnknown):
        shop.shipping.create_shipment(rate, idempotency_key="order-1")
    shop.wire.planned["GET /transactions"] = [Response(503)]
    with pytest.raises(OutcomeUnknown):
        shop.shipping.create_shipment(rate, idempotency_key="order-1")
    refused_transaction = {"object_id": "1", "status": "ERROR", "metadata": "order-1"}
    shop.wire.planned["GET /transactions"] = [reply({"results": [refused_transaction]})]
    with pytest.raises(OutcomeUnknown):
        shop.shipping.create_shipment(rate, idempotency_key="order-1")
    assert {} == shop.sandbox.transactions


def test_long_key_has_a_short_mark() -> None:
    """The look-up mark for a long key fits Shippo's limit and is unique."""
    long_key = "k" * 254

    assert "order-1" == transaction_mark("order-1")
    assert 64 == len(transaction_mark(long_key))
    assert transaction_mark(long_key) != transaction_mark(f"{long_key}k")


def test_only_rates_can_be_bought(shop: SandboxHub) -> None:
    """For a purchase, a reference that is not a rate's is refused before anything is sent."""
    with pytest.raises(InvalidData):
        shop.shipping.create_shipment("shippo:shippo:1", idempotency_key="k-1")
    assert [] == shop.sandbox.requests


def test_unreadable_rates_become_messages(shop: SandboxHub) -> None:
    """A Shippo rate without price or carrier becomes a message."""
    rates = [{"object_id": "1", "provider": "UPS"}, {"object_id": "2", "amount": "1"}]
    shop.sandbox.fail(reply({"object_id": "s", "rates": rates}, 201))
    result = shop.shipping.get_rates(REQUEST)

    assert () == result.rates
    assert ["ups", None] == [message.carrier for message in result.messages]
    shop.sandbox.fail(reply({"rates": []}, 201))
    with pytest.raises(VendorFailed):
        shop.shipping.get_rates(REQUEST)


@pytest.mark.parametrize(
    "answer, code, words",
    [
        (
            {"parcels": ["Weight is wrong.", "So is length."]},
            "parcels",
            "Weight is wrong. So is length.",
        ),
        ({"address_to": {"zip": ["Wrong."]}}, "address_to", None),
        ({}, None, None),
    ],
    ids=["fields", "nested", "empty"],
)
def test_wrong_fields_are_named(
    shop: SandboxHub, answer: dict[str, Any], code: str | None, words: str | None
) -> None:
    """If Shippo refuses several wrong fields, the error names the first of them."""
    shop.sandbox.fail(reply(answer, 400))
    with pytest.raises(InvalidRequest) as excinfo:
        shop.shipping.get_rates(REQUEST)

    assert (code, words) == (excinfo.value.vendor_code, excinfo.value.vendor_message)


def test_refusal_without_a_word_is_a_refusal(shop: SandboxHub) -> None:
    """A label that Shippo refuses without a reason is still refused."""
    rate = shop.shipping.get_rates(REQUEST).rates[0]
    shop.wire.planned["POST /transactions"] = [reply({"object_id": "1", "status": "ERROR"}, 201)]
    with pytest.raises(VendorRejected, match="no reason is given") as excinfo:
        shop.shipping.create_shipment(rate, idempotency_key="k-1")

    assert (None, None) == (excinfo.value.vendor_code, excinfo.value.vendor_message)


@pytest.mark.parametrize(
    "word, state",
    [
        ("SUCCESS", CancelState.APPROVED),
        ("ERROR", CancelState.REJECTED),
    ],
)
def test_requesting_shippo_refund_again_returns_carrier_decision(
    shop: SandboxHub, word: str, state: CancelState
) -> None:
    """Requesting a Shippo refund again returns the carrier's decision."""
    shipment = shop.buy_label_of_order()
    assert CancelState.REQUESTED is shop.shipping.cancel(shipment.ref).state
    shop.sandbox.settle_refund(shipment.ref.id, word)
    shop.sandbox.move(shipment.tracking_numbers[0], "TRANSIT")

    assert state is shop.shipping.cancel(shipment.ref).state


def test_refund_of_a_new_kind_is_unknown(shop: SandboxHub) -> None:
    """A Shippo refund with an unknown status has the state unknown."""
    shipment = shop.buy_label_of_order()
    shop.wire.planned["POST /refunds"] = [reply({"status": "PONDERED"}, 201)]
    result = shop.shipping.cancel(shipment.ref)

    assert (CancelState.UNKNOWN, "PONDERED") == (result.state, result.vendor_status)


def test_unbought_shipment_cannot_be_cancelled(shop: SandboxHub) -> None:
    """An unknown or unfinished Shippo shipment cannot be cancelled."""
    with pytest.raises(VendorRejected):
        shop.shipping.cancel("shippo:shippo:nothing")
    shop.sandbox.slow = True
    with pytest.raises(VendorRejected) as excinfo:
        shop.shipping.cancel(shop.buy_label_of_order().ref)
    assert VendorRejected is type(excinfo.value)
    assert ("transaction", 400) == (excinfo.value.vendor_code, excinfo.value.status)


def test_shippo_converts_no_labels(shop: SandboxHub) -> None:
    """Shippo converts no labels; a format that a label's reference lacks is looked up."""
    shipment = shop.buy_label_of_order()
    with pytest.raises(UnsupportedByVendor):
        shop.shipping.get_label(shipment.ref, "zpl")
    with pytest.raises(UnsupportedByVendor):
        shop.shipping.get_label(Ref("shippo", "shippo", shipment.ref.id), "pdf")
    odd_ref = Ref("shippo", "shippo", shipment.ref.id, {"label": "zpl"})
    assert LabelFormat.PDF is shop.shipping.get_label(odd_ref, "zpl").format


@pytest.mark.parametrize(
    "word, closer, status",
    [
        ("PRE_TRANSIT", None, TrackingStatus.PRE_TRANSIT),
        ("TRANSIT", None, TrackingStatus.IN_TRANSIT),
        ("TRANSIT", "package_departed", TrackingStatus.IN_TRANSIT),
        ("TRANSIT", "out_for_delivery", TrackingStatus.OUT_FOR_DELIVERY),
        ("TRANSIT", "pickup_available", TrackingStatus.AVAILABLE_FOR_PICKUP),
        ("TRANSIT", "package_held", TrackingStatus.ON_HOLD),
        ("FAILURE", "delivery_attempted", TrackingStatus.DELIVERY_ATTEMPTED),
        ("DELIVERED", None, TrackingStatus.DELIVERED),
        ("RETURNED", None, TrackingStatus.RETURNED),
        ("FAILURE", None, TrackingStatus.FAILED),
        ("UNKNOWN", None, TrackingStatus.UNKNOWN),
    ],
)
def test_foreign_numbers_are_tracked(
    shop: SandboxHub, word: str, closer: str | None, status: TrackingStatus
) -> None:
    """Shippo can track a parcel that was bought elsewhere."""
    shop.shipping.track("SHIPPO_PRE_TRANSIT", "shippo")
    shop.sandbox.move("SHIPPO_PRE_TRANSIT", word, closer)
    tracking = shop.shipping.track("SHIPPO_PRE_TRANSIT", "shippo")

    assert (status, word, closer) == (tracking.status, tracking.vendor_status, tracking.code)
    assert 2 == len(tracking.events)
    expected = Place(city="HOUSTON", region="TX", postal_code="77063", country="US")
    assert expected == tracking.events[0].location
    assert datetime(2030, 1, 5, tzinfo=UTC) == tracking.estimated_delivery


@pytest.mark.parametrize(
    "provider, token",
    [
        ("Canada Post", "canada_post"),
        ("DHL eCommerce", "dhl_ecommerce"),
        ("NZ Post", "new_zealand_post"),
        ("OnTrac", "ontrac"),
    ],
)
def test_shipment_is_tracked_under_shippos_name_of_its_carrier(
    shop: SandboxHub, provider: str, token: str
) -> None:
    """A shipment is tracked under Shippo's name of the carrier, whatever moorage calls it."""
    shipment = shop.buy_label_of_order()
    for rate in shop.sandbox.rates.values():
        rate["provider"] = provider
    for track in shop.sandbox.tracks.values():
        track["carrier"] = token
    shop.shipping.track_shipment(shop.shipping.get_shipment(shipment.ref).ref)

    assert f"/tracks/{token}/" in shop.sandbox.requests[-1].path


@pytest.mark.parametrize(
    "carrier, token",
    [
        ("asendia", "asendia_us"),
        ("collect", "collect_plus"),
        ("collectplus", "collect_plus"),
        ("correosbr", "correios_br"),
        ("correosespana", "correos_espana"),
        ("correosspain", "correos_espana"),
        ("deutschepost", "deutsche_post"),
        ("epostglobal", "rr_donnelley"),
        ("evriuk", "hermes_uk"),
        ("hermesuk", "hermes_uk"),
        ("newzealandpost", "new_zealand_post"),
        ("nzpost", "new_zealand_post"),
        ("royalmail", "royal_mail"),
        ("usps", "usps"),
    ],
)
def test_parcel_is_tracked_under_shippos_name_of_its_carrier(
    shop: SandboxHub, carrier: str, token: str
) -> None:
    """A parcel is tracked under the token in Shippo's documentation of carriers."""
    shop.sandbox.fail(reply({"tracking_status": None, "tracking_history": []}))
    shop.shipping.track("1", carrier)

    assert f"/tracks/{token}/1" == shop.sandbox.requests[-1].path


def test_incomplete_tracking_is_read_as_far_as_possible(shop: SandboxHub) -> None:
    """Shippo tracking without status, carrier or time is read as far as possible."""
    history = [{"status": "TRANSIT", "status_date": "2030-01-02T00:00:00Z"}, {"status": "NEW"}]
    shop.sandbox.fail(reply({"tracking_status": None, "tracking_history": history}))
    tracking = shop.shipping.track("1", "usps")

    assert (TrackingStatus.UNKNOWN, None, None) == (
        tracking.status,
        tracking.carrier,
        tracking.delivered_at,
    )
    assert ["NEW", "TRANSIT"] == [event.vendor_status for event in tracking.events]
    with pytest.raises(VendorRejected):
        shop.shipping.track("1", "usps")


def test_shipment_is_tracked_by_its_events_reference(shop: SandboxHub) -> None:
    """The reference of a Shippo event is enough to track the shipment."""
    shipment = shop.buy_label_of_order()
    [result] = shop.hub.events("shippo", event("transaction_updated", object_id=shipment.ref.id))
    assert result.ref is not None
    whole_tracking, named_tracking = (
        shop.shipping.track_shipment(ref) for ref in (shipment.ref, result.ref)
    )

    assert whole_tracking.status is not TrackingStatus.UNKNOWN
    assert (whole_tracking.number, whole_tracking.carrier, whole_tracking.status) == (
        named_tracking.number,
        named_tracking.carrier,
        named_tracking.status,
    )


def test_delivery_time_needs_an_event_with_a_time(shop: SandboxHub) -> None:
    """Shippo's delivery time is the time of the first delivery event that states one."""
    history = [{"status": "DELIVERED"}, {"status": "DELIVERED", "status_date": "2030-01-02T00:00Z"}]
    shop.sandbox.fail(reply({"tracking_status": history[1], "tracking_history": history}))

    assert datetime(2030, 1, 2, tzinfo=UTC) == shop.shipping.track("1", "usps").delivered_at


def test_country_name_is_no_change(shop: SandboxHub) -> None:
    """A country's full name in Shippo's response does not count as a correction of the address."""
    shop.sandbox.fail(reply({"country": "United States"}, 201))

    assert AddressVerdict.UNKNOWN is shop.shipping.validate_address(RECIPIENT).verdict


def test_address_changes_are_listed(shop: SandboxHub) -> None:
    """Shippo's corrections of an address are listed.

    An unchecked address has an unknown verdict.
    """
    valid_result = {"is_valid": True, "messages": []}
    fields = {
        "street1": "2967 Filbert Drive",
        "city": "Walnut Creek",
        "zip": "94598",
        "country": "US",
    }
    shop.sandbox.fail(reply({**fields, "validation_results": valid_result}, 201))
    checked_result = shop.shipping.validate_address(RECIPIENT)

    assert (AddressVerdict.CORRECTED, ("line1",)) == (
        checked_result.verdict,
        checked_result.changes,
    )
    shop.sandbox.fail(reply({"validation_results": {}}, 201))
    checked_result = shop.shipping.validate_address(RECIPIENT)
    assert (AddressVerdict.UNKNOWN, None) == (checked_result.verdict, checked_result.suggested)


def event(kind: str, **data: Any) -> WebhookEvent:
    """Return a verified webhook."""
    return WebhookEvent(vendor="shippo", id="1", type=kind, vendor_type=kind, data=data)


def test_refunded_shippo_label_gives_event(shop: SandboxHub) -> None:
    """A refunded Shippo label gives an event; for an unknown status the event has no state."""
    bought_event = event("transaction_updated", object_id="t1", status="REFUNDED")
    (result,) = shop.hub.events("shippo", bought_event)

    assert (Ref("shippo", "shippo", "t1"), ShipmentState.CANCELED) == (result.ref, result.state)
    (new_value,) = shop.hub.events("shippo", event("transaction_created", status="NEW"))
    assert (None, ShipmentState.UNKNOWN) == (new_value.ref, new_value.state)
    assert () == shop.hub.events("shippo", event("batch_purchased"))


def test_token_may_come_from_a_provider() -> None:
    """Without its own token a Shippo account uses the credential provider."""
    services = Shippo().services()

    assert (True, None) == (services[""].needs_credentials, services[""].credentials)
    assert (False, None) == (services["labels"].needs_credentials, services["labels"].credentials)
    assert "2018-02-08" == services[""].headers["SHIPPO-API-VERSION"]
