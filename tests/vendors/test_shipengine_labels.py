"""ShipEngine: rates, labels, cancellations, and purchases with a lost response."""

from __future__ import annotations

import json

import attrs
import pytest

from moorage.contracts.ref import Ref
from moorage.contracts.shipping import (
    CancelState,
    LabelFormat,
    LabelSize,
    Parcel,
    ShipmentState,
    TrackingStatus,
)
from moorage.domain.http.requests import Response
from moorage.domain.values.money import Money
from moorage.errors import (
    InvalidData,
    InvalidRequest,
    OutcomeUnknown,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)
from moorage.testing.sandboxes.base import Lost, reply
from tests.vendors.shipengine_account import PARCEL, REQUEST, SandboxHub


@pytest.fixture(name="shop")
def _shop() -> SandboxHub:
    """Return a hub with an account at a new ShipEngine sandbox."""
    return SandboxHub()


def test_all_carriers_are_asked_unless_some_are_named() -> None:
    """All ShipEngine carriers are asked for rates, unless the account's settings name some."""
    listing, carrier_shop = SandboxHub(), SandboxHub(carriers=["se-100"])
    listing.shipping.get_rates(REQUEST)
    carrier_shop.shipping.get_rates(REQUEST)
    with pytest.raises(InvalidRequest, match="se-9 is not known"):
        listing.shipping.get_rates(attrs.evolve(REQUEST, carrier_accounts=["se-9"]))

    assert ["/v1/carriers", "/v1/rates", "/v1/rates"] == [
        request.path for request in listing.sandbox.requests
    ]
    assert ["/v1/rates"] == [request.path for request in carrier_shop.sandbox.requests]


def test_too_heavy_parcel_becomes_a_message(shop: SandboxHub) -> None:
    """If a carrier of ShipEngine refuses the weight, its message is returned."""
    result = shop.shipping.get_rates(attrs.evolve(REQUEST, parcels=Parcel(weight=40)))

    assert ((), "The parcel is too heavy.") == (result.rates, result.messages[0].text)


def test_account_without_carriers_is_refused(shop: SandboxHub) -> None:
    """A ShipEngine account without a carrier is refused."""
    shop.sandbox.carriers = []
    with pytest.raises(VendorRejected, match="no carrier account"):
        shop.shipping.get_rates(REQUEST)


def test_rate_is_the_total_price(shop: SandboxHub) -> None:
    """A ShipEngine rate's price is its amounts for shipping, insurance, signature and the rest."""
    usd = {"currency": "usd", "amount": 1.1}
    rates = [
        {
            "rate_id": "se-1",
            "carrier_code": "ups",
            "shipping_amount": usd,
            "insurance_amount": {"currency": "usd", "amount": 20},
            "confirmation_amount": {"currency": "usd", "amount": 300},
            "other_amount": {"currency": "usd", "amount": 4000},
        },
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
    invalid_rates = [{"carrier_code": "fedex", "error_messages": ["Too far.", 7]}]
    error = {"error_code": "unspecified", "message": "It is closed.", "carrier_code": "ups"}
    response = {"rates": rates, "invalid_rates": invalid_rates, "errors": [error]}
    shop.wire.planned["POST /v1/rates"] = [
        reply({"shipment_id": "se-5", "rate_response": response}),
        reply({"rate_response": {"rates": rates}}),
    ]
    result = shop.shipping.get_rates(REQUEST)

    assert [Money("4321.10", "USD")] == [rate.total for rate in result.rates]
    assert [
        ("ups", "It is closed."),
        ("fedex", "Too far."),
        ("ups", "A rate could not be read."),
        (None, "A rate could not be read."),
        ("ups", "A rate could not be read."),
        (None, "A rate could not be read."),
    ] == [(message.carrier, message.text) for message in result.messages]
    with pytest.raises(VendorFailed):
        shop.shipping.get_rates(REQUEST)


def test_label_format_and_size(shop: SandboxHub) -> None:
    """A label is bought in the format and size that were requested with its ShipEngine rate."""
    label = shop.buy_label_of_order(label_size=LabelSize.A6).labels[0]
    request = next(request for request in shop.sandbox.requests if "/labels/rates/" in request.path)

    assert {
        "label_format": "pdf",
        "label_layout": "A6",
        "label_download_type": "url",
        "validate_address": "no_validation",
        "custom_field1": "order-1",
    } == json.loads(request.body)
    assert (LabelFormat.PDF, "A6", "pdf") == (label.format, label.size, label.vendor_format)


def test_several_parcels_have_a_label_each(shop: SandboxHub) -> None:
    """Each parcel of a ShipEngine shipment has its own label and number."""
    shipment = shop.buy_label_of_order(parcels=[PARCEL, PARCEL])

    assert 2 == len(set(shipment.tracking_numbers)) == len(shipment.labels)
    assert shipment.tracking_numbers == tuple(label.tracking_number for label in shipment.labels)
    third = shop.shipping.get_label(str(shipment.ref), parcel=2)
    assert shipment.labels[1] == third


def test_several_parcels_may_share_a_file(shop: SandboxHub) -> None:
    """If ShipEngine has one file for all parcels, it is one label for several numbers."""
    shipment = shop.buy_label_of_order(parcels=[PARCEL, PARCEL])
    for package in shop.sandbox.labels[shipment.ref.id]["packages"]:
        package["label_download"] = None
    result = shop.shipping.get_shipment(shipment.ref)

    assert (2, 1) == (len(result.tracking_numbers), len(result.labels))


def test_label_is_returned_in_another_format_only_if_shipengine_has_it(shop: SandboxHub) -> None:
    """A label is returned in another format only if ShipEngine has it."""
    shipment = shop.buy_label_of_order()

    label = shop.shipping.get_label(shipment.ref, "png")
    assert (LabelFormat.PNG, "png") == (label.format, label.vendor_format)
    del shop.sandbox.labels[shipment.ref.id]["label_download"]["zpl"]
    with pytest.raises(VendorRejected, match="not have the label of this shipment in zpl"):
        shop.shipping.get_label(shipment.ref, "zpl")
    count = len(shop.sandbox.requests)
    with pytest.raises(UnsupportedByVendor):
        shop.shipping.get_label(shipment.ref, "epl")
    assert count == len(shop.sandbox.requests)


def test_shipengine_label_in_unknown_format_has_shipengine_link(shop: SandboxHub) -> None:
    """A ShipEngine label in an unknown format is returned as a link."""
    shipment = shop.buy_label_of_order()
    label = shop.sandbox.labels[shipment.ref.id]
    label |= {"label_format": "svg", "status": "on_ice", "form_download": {"href": "https://f"}}
    result = shop.shipping.get_shipment(shipment.ref)

    assert (ShipmentState.UNKNOWN, "on_ice") == (result.state, result.vendor_status)
    assert (LabelFormat.UNKNOWN, ("https://f",)) == (result.labels[0].format, result.documents)


def test_label_that_comes_later_is_pending(shop: SandboxHub) -> None:
    """A ShipEngine label that is not ready yet is pending."""
    shop.sandbox.slow = True
    shipment, lost_shipment = shop.buy_label_of_order(), shop.buy_label_of_order("order-2")

    assert (ShipmentState.PENDING, (), ()) == (
        shipment.state,
        shipment.labels,
        shipment.tracking_numbers,
    )
    with pytest.raises(VendorRejected) as excinfo:
        shop.shipping.get_label(shipment.ref, "pdf")
    assert TrackingStatus.UNKNOWN is shop.shipping.track_shipment(shipment.ref).status
    with pytest.raises(VendorRejected, match="no label to void"):
        shop.shipping.cancel(shipment.ref)
    shop.sandbox.finish(shipment.ref.id)
    shop.sandbox.finish(lost_shipment.ref.id, "error")
    assert ShipmentState.BOUGHT is shop.shipping.get_shipment(shipment.ref).state
    assert ShipmentState.FAILED is shop.shipping.get_shipment(lost_shipment.ref).state
    assert excinfo.value.vendor_code is None


def test_lost_purchase_is_found_by_its_mark(shop: SandboxHub) -> None:
    """After a lost response, a ShipEngine purchase is found by its reference among the labels."""
    rate = shop.shipping.get_rates(REQUEST).rates[0]
    shop.wire.planned[shop.buying(rate.ref.id)] = [Lost()]
    result = shop.shipping.create_shipment(rate, idempotency_key="order-1")

    assert [result.ref.id] == [*shop.sandbox.labels]
    assert {
        "rate_id": rate.ref.id,
        "page_size": "100",
        "sort_by": "created_at",
        "sort_dir": "desc",
    } == dict(shop.sandbox.requests[-2].query)


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
def test_lost_purchase_that_is_not_found_is_unknown(shop: SandboxHub, listed: object) -> None:
    """If a lost ShipEngine purchase is not found, its outcome is unknown."""
    rate = shop.shipping.get_rates(REQUEST).rates[0]
    shop.wire.planned[shop.buying(rate.ref.id)] = [Response(503)]
    shop.wire.planned["GET /v1/labels"] = [reply(listed)]
    with pytest.raises(OutcomeUnknown):
        shop.shipping.create_shipment(rate, idempotency_key="order-1")

    assert {} == shop.sandbox.labels


def test_long_key_is_sent_as_a_digest(shop: SandboxHub) -> None:
    """A key longer than ShipEngine's limit is sent as its digest."""
    shop.buy_label_of_order("k" * 200)

    [label] = shop.sandbox.labels.values()

    assert 64 == len(label["shipment"]["advanced_options"]["custom_field1"])


def test_only_rates_can_be_bought(shop: SandboxHub) -> None:
    """For a purchase, a reference that is not a rate's is refused before anything is sent."""
    with pytest.raises(InvalidData):
        shop.shipping.create_shipment("shipengine:shipengine:se-1", idempotency_key="k-1")
    with pytest.raises(VendorRejected) as excinfo:
        shop.shipping.create_shipment(
            Ref("shipengine", "shipengine", "se-1", {"file": "pdf"}), idempotency_key="k-2"
        )
    assert "invalid_identifier" == excinfo.value.vendor_code


@pytest.mark.parametrize(
    "refund, state, shipment_state",
    [
        ("request_scheduled", CancelState.REQUESTED, ShipmentState.CANCELING),
        ("pending", CancelState.REQUESTED, ShipmentState.CANCELING),
        ("approved", CancelState.APPROVED, ShipmentState.CANCELED),
        ("rejected", CancelState.REJECTED, ShipmentState.CANCELED),
        ("excluded", CancelState.UNKNOWN, ShipmentState.CANCELED),
    ],
)
def test_void_shipengine_label_waits_for_its_refund(
    shop: SandboxHub, refund: str, state: CancelState, shipment_state: ShipmentState
) -> None:
    """An approved void is not a refund: the cancellation has the state of the label's refund."""
    shipment = shop.buy_label_of_order()
    first = shop.shipping.cancel(shipment.ref)
    shop.sandbox.refund(shipment.ref.id, refund)
    second = shop.shipping.cancel(shipment.ref)

    assert (CancelState.REQUESTED, "request_scheduled", None) == (
        first.state,
        first.vendor_status,
        first.refund,
    )
    assert (state, refund) == (second.state, second.vendor_status)
    assert second.refund == (shipment.cost if state is CancelState.APPROVED else None)
    assert shipment_state is shop.shipping.get_shipment(shipment.ref).state


def test_voiding_shipengine_label_again_reports_it_as_void(shop: SandboxHub) -> None:
    """Voiding a voided ShipEngine label again succeeds, also if ShipEngine tracks no refund."""
    shipment = shop.buy_label_of_order()
    shop.shipping.cancel(shipment.ref)
    del shop.sandbox.labels[shipment.ref.id]["refund_details"]
    second = shop.shipping.cancel(shipment.ref)

    assert (CancelState.APPROVED, "label_already_voided") == (second.state, second.vendor_status)
    assert ShipmentState.CANCELED is shop.shipping.get_shipment(shipment.ref).state
    shop.sandbox.fail(reply({}))
    with pytest.raises(VendorFailed):
        shop.shipping.cancel(shipment.ref)
