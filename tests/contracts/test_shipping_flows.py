"""Shipping operations: rates, purchases and labels."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from moorage.contracts.shipping.rates import (
    CarrierMessage,
    Choice,
    LabelFormat,
    Rate,
    RateResult,
)
from moorage.contracts.shipping.shipments import Label, ShipmentRequest
from moorage.errors import InvalidData, OutcomeUnknown, VendorRejected
from moorage.runtime.flows import run_now
from moorage.services.contracts.shipping import ShippingFlows
from tests.contracts.recording_dispatcher import (
    MONEY,
    RATES,
    REF,
    TIME,
    AnsweringDispatcher,
    RecordingDispatcher,
    dispatcher_answering,
    record_operation,
)


@pytest.mark.parametrize("number, carrier, field", [("", "ups", "number"), ("1", "a\n", "carrier")])
def test_invalid_tracking_arguments_are_refused(number: str, carrier: str, field: str) -> None:
    """An empty tracking number or carrier is refused; the error has the argument's name."""
    with pytest.raises(
        InvalidData, match=f"The {field} must be a string that is not empty"
    ) as excinfo:
        record_operation(ShippingFlows, lambda flows: flows.track(number, carrier))

    assert field == excinfo.value.field
    assert "Give the tracking number, and the carrier's name." == excinfo.value.remedy


def test_error_without_a_matching_rate_quotes_the_first_carrier() -> None:
    """If no rate matches, the error quotes the reason of the first carrier."""
    silent_message, result = CarrierMessage(code="1"), CarrierMessage(code="2", text="Too heavy.")
    offers = [
        ([silent_message, result], ("2", "Too heavy.")),
        ([silent_message], (None, None)),
    ]
    for messages, vendor_refusal in offers:

        class IncapableDispatcher(RecordingDispatcher):
            @property
            def _vendor(self) -> Any:
                async def no_rates(*_: Any, key: str) -> RateResult:
                    assert "k/rates" == key
                    return RateResult(rates=(), messages=tuple(messages))  # noqa: B023 - used now

                return SimpleNamespace(get_rates=no_rates)

        dispatcher: Any = IncapableDispatcher()
        buy = ShippingFlows(dispatcher, None).create_shipment(
            ShipmentRequest(rate_request=RATES), idempotency_key="k"
        )
        with pytest.raises(VendorRejected, match="None of the 0 offered rates") as excinfo:
            run_now(buy)
        assert vendor_refusal == (excinfo.value.vendor_code, excinfo.value.vendor_message)
        assert "use a new idempotency key" in excinfo.value.remedy


def test_rates_carry_their_shipment() -> None:
    """Each rate contains the shipment for which it was requested."""
    offered_rate = Rate(ref=REF, carrier="ups", service="ups_ground", total=MONEY)
    dispatcher = dispatcher_answering("get_rates", RateResult(rates=(offered_rate, offered_rate)))
    rates = run_now(ShippingFlows(dispatcher, None).get_rates(RATES)).rates

    assert [RATES, RATES] == [rate.rate_request for rate in rates]


@pytest.mark.parametrize(
    "label, need, target",
    [
        (None, "label_again", None),
        ("pdf", "label_again", None),
        ("zpl", "convert_label", LabelFormat.ZPL),
    ],
)
def test_label_is_converted_only_if_its_format_differs_from_bought_one(
    label: str | None, need: str, target: LabelFormat | None
) -> None:
    """A label is converted only if its format differs from the bought one."""
    label_ref = REF.with_related(label="pdf")
    dispatcher = record_operation(
        ShippingFlows, lambda flows: flows.get_label(label_ref, label, timeout=TIME)
    )

    assert (frozenset({need}), ("get_labels", label_ref, target, {})) == (
        dispatcher.needs,
        dispatcher.told,
    )


def test_label_is_found_by_the_number_of_its_parcel() -> None:
    """A label is found by its parcel's number, counted from 1; a missing label raises an error."""
    labels = [Label(format=LabelFormat.PDF, tracking_number=number) for number in ("1Z1", "1Z2")]
    flows = ShippingFlows(dispatcher_answering("get_labels", labels), None)
    unbought = ShippingFlows(dispatcher_answering("get_labels", []), None)

    assert labels[0] == run_now(flows.get_label(REF))
    assert labels[1] == run_now(flows.get_label(REF, parcel=2))
    for request, parcel, retryable in ((flows, 0, False), (flows, 3, False), (unbought, 1, True)):
        with pytest.raises(VendorRejected, match=f"label of parcel {parcel}") as excinfo:
            run_now(request.get_label(REF, parcel=parcel))
        assert retryable is excinfo.value.retryable
        assert (
            "Call again after the shipment is bought, with the number of one of its parcels."
        ) == excinfo.value.remedy


def test_best_rate_is_bought() -> None:
    """The best rate is bought with all options of the purchase, after the rates were requested."""
    requests: list[tuple[Any, ...]] = []
    best_rate = Rate(ref=REF, carrier="ups", service="ups_ground", total=MONEY)

    async def get_rates(*value: Any, **named: Any) -> RateResult:
        requests.append((*value, named))
        return RateResult(rates=(best_rate,))

    async def buy(*value: Any, **named: Any) -> str:
        requests.append((*value, named))
        return "bought"

    dispatcher: Any = AnsweringDispatcher(vendor=SimpleNamespace(get_rates=get_rates, buy=buy))
    bought_shipment: Any = run_now(
        ShippingFlows(dispatcher, "acme").create_shipment(
            ShipmentRequest(rate_request=RATES), idempotency_key="k", timeout=TIME
        )
    )

    assert "bought" == bought_shipment
    assert [
        (dispatcher.wire, RATES, {"key": "k/rates"}),
        (dispatcher.wire, REF, RATES, {"key": "k"}),
    ] == requests
    assert ("create_shipment", "acme", "k", TIME, "DE") == (
        dispatcher.operation,
        dispatcher.tenant,
        dispatcher.key,
        dispatcher.timeout,
        dispatcher.country,
    )


def test_buying_a_rate_sends_its_shipment() -> None:
    """Buying a rate needs its shipment's capabilities, and sends the shipment along."""
    offer = Rate(ref=REF, carrier="ups", service="ups_ground", total=MONEY, rate_request=RATES)
    dispatcher = record_operation(
        ShippingFlows, lambda flows: flows.create_shipment(offer, idempotency_key="k", timeout=TIME)
    )

    assert (REF, RATES.needs) == (dispatcher.ref, dispatcher.needs)
    assert ("buy", REF, RATES, {"key": "k"}) == dispatcher.told


@pytest.mark.parametrize("capabilities, sources", [({"rates"}, ["rates", "buy"]), ((), ["buy"])])
def test_named_service_is_bought_without_rates(capabilities: Any, sources: list[str]) -> None:
    """A named service is bought at its best rate, or by its name if the vendor has no rates."""
    calls: list[tuple[str, Any]] = []
    rate = Rate(ref=REF, carrier="ups", service="ups_ground", total=MONEY)

    async def get_rates(*_: Any, **__: Any) -> RateResult:
        calls.append(("rates", None))
        return RateResult(rates=(rate,))

    async def buy(_: Any, ref: Any, *__: Any, **___: Any) -> str:
        calls.append(("buy", ref))
        return "bought"

    vendor = SimpleNamespace(
        get_rates=get_rates, buy=buy, capabilities=frozenset(capabilities), name="acme"
    )
    dispatcher: Any = AnsweringDispatcher(vendor=vendor)
    dispatcher.wire.ref = str
    request = ShipmentRequest(rate_request=RATES, choose=Choice(services=["ups_ground"]))
    run_now(ShippingFlows(dispatcher, None).create_shipment(request, idempotency_key="k"))

    assert sources == [name for name, _ in calls]
    assert ("buy", REF if capabilities else "ups_ground") == calls[-1]
    assert frozenset() == dispatcher.needs


@pytest.mark.parametrize("finds", [True, False])
def test_unknown_outcome_says_that_vendor_finds_no_label(finds: bool) -> None:
    """If the vendor cannot search labels, the error for an unknown outcome says so."""

    async def buy(*_: Any, **__: Any) -> None:
        raise OutcomeUnknown("The answer was lost.", remedy="Look up the label.")

    capabilities = frozenset({"find_lost_label"} if finds else ())
    vendor = SimpleNamespace(buy=buy, capabilities=capabilities, name="acme")
    dispatcher: Any = AnsweringDispatcher(vendor=vendor)
    offer = Rate(ref=REF, carrier="ups", service="ups_ground", total=MONEY, rate_request=RATES)
    with pytest.raises(OutcomeUnknown) as excinfo:
        run_now(ShippingFlows(dispatcher, None).create_shipment(offer, idempotency_key="k"))

    first_sentence = (
        "" if finds else "acme does not find the label of a purchase with a lost response. "
    )
    assert f"{first_sentence}Look up the label." == excinfo.value.remedy
