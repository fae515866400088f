"""Checks of buying shipping labels: rates, labels, idempotency keys and broken connections."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import urlsplit

from moorage.contracts.ref import Ref
from moorage.contracts.shipping import (
    Choice,
    LabelFormat,
    Parcel,
    ShipmentRequest,
    ShipmentState,
    ShippingCapability,
)
from moorage.domain.http.requests import Response
from moorage.domain.values.money import Money
from moorage.domain.values.text import with_article
from moorage.errors import (
    ConnectorError,
    IdempotencyConflict,
    InvalidRequest,
    OutcomeUnknown,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)
from moorage.testing.kits._shipping_harness import ACCOUNT, Harness
from moorage.testing.kits.checks import require

if TYPE_CHECKING:
    from moorage.contracts.shipping import Rate, RateResult, Shipment
    from moorage.domain.values.result import Result

Open: TypeAlias = Callable[[], Harness]

_MALFORMED: Final = (b"{}", b"[]", b"null", b"", b"<html></html>", b'{"rates": [{}]}')


def name_same_object(first: Ref, second: Ref) -> bool:
    """Return whether two references identify the same object."""
    return (first.vendor, first.account, first.id) == (second.vendor, second.account, second.id)


async def rates_are_returned(make: Open) -> None:
    """Rates have prices, common names of carriers, and references storable as text."""
    async with make() as harness:
        if ShippingCapability.RATES not in harness.capabilities:
            return
        result: RateResult = await harness("get_rates", harness.request())
        require(
            result.rates and result.raw, "The result has no rate, or lacks the vendor's own names."
        )
        for rate in result.rates:
            require(
                isinstance(rate.total, Money) and rate.total.minor > 0,
                "The total price of a rate is not above zero.",
            )
            require(
                rate.carrier == rate.carrier.lower(), "A carrier does not have its common name."
            )
            require(rate.service.startswith(f"{rate.carrier}_"), "A service has no carrier.")
            require(
                rate.vendor_carrier and rate.vendor_service,
                "The result lacks the vendor's own names.",
            )
            require(Ref.parse(str(rate.ref)) == rate.ref, "A reference changes as text.")
        require(harness.sold() == 0, "Requesting rates bought a shipment.")


async def missing_rates_are_explained(make: Open) -> None:
    """If no carrier offers a rate, the error has the carriers' reasons and nothing is bought."""
    async with make() as harness:
        if ShippingCapability.RATES not in harness.capabilities:
            return
        request = harness.request(harness.address(postal_code=harness.subject.no_rates))
        result: RateResult = await harness("get_rates", request)
        message = result.messages[0].text if result.messages else None
        require(
            result.rates == () and message,
            "The result has rates, or no message that explains their absence.",
        )
        purchase = harness(
            "create_shipment", ShipmentRequest(rate_request=request), idempotency_key="k-1"
        )
        error = await harness.refused(VendorRejected, purchase, "A shipment without an offer")
        require(error.vendor_message == message, "The result lacks the carriers' own names.")
        dear = harness.shipment(choose=Choice(most=Money("0.01", "USD")))
        purchase = harness("create_shipment", dear, idempotency_key="k-2")
        await harness.refused(VendorRejected, purchase, "An offer that is too dear")
        require(harness.sold() == 0, "A rate that does not fit the request was bought.")


async def the_best_rate_is_bought(make: Open) -> None:
    """Without a choice the cheapest rate is bought; a chosen service is bought at any price.

    A vendor without rates sells the named service, and refuses a choice that needs prices before
    anything is sent.
    """
    async with make() as harness:
        if ShippingCapability.RATES in harness.capabilities:
            result: RateResult = await harness("get_rates", harness.request())
            rates = sorted(result.rates, key=lambda rate: rate.total)
            dearest_service = rates[-1].service
            best_of_dearest = next(rate for rate in rates if rate.service == dearest_service)
            choices = {
                "k-1": (Choice(), rates[0]),
                "k-2": (Choice(services=[dearest_service]), best_of_dearest),
            }
            for key, (choice, rate) in choices.items():
                request = harness.shipment(choose=choice)
                bought: Shipment = await harness("create_shipment", request, idempotency_key=key)
                require(
                    (bought.service, bought.cost) == (rate.service, rate.total),
                    "Another rate than the best one was bought.",
                )
            return
        service = str(harness.subject.service)
        limit = Money("1000", "EUR")
        for choice in (Choice(), Choice(services=[service], most=limit), Choice(within_days=9)):
            purchase = harness(
                "create_shipment", harness.shipment(choose=choice), idempotency_key="k-1"
            )
            error = await harness.refused(UnsupportedByVendor, purchase, "A choice between prices")
            require(
                error.capabilities == (ShippingCapability.RATES,), "The capability is not named."
            )
        require(
            harness.sandbox.requests == [],
            "A request was sent for an operation that the vendor does not support.",
        )
        sold: Shipment = await harness("create_shipment", harness.shipment(), idempotency_key="k-2")
        require(sold.service == service, f"{sold.service} was bought.")
        require(service.startswith(f"{sold.carrier}_"), "A service has no carrier.")


async def a_label_is_bought(make: Open) -> None:
    """A bought shipment has a label and a number, and can be read again."""
    async with make() as harness:
        bought_shipment: Shipment = await harness(
            "create_shipment", harness.shipment(), idempotency_key="k-1"
        )
        require(harness.sold() == 1, "One shipment was not bought once.")
        require(
            bought_shipment.state is ShipmentState.BOUGHT,
            f"The shipment is {bought_shipment.state}.",
        )
        require(
            len(bought_shipment.tracking_numbers) == 1 and bought_shipment.raw,
            "The bought shipment lacks its tracking number.",
        )
        label = bought_shipment.labels[0]
        require(label.format is LabelFormat.PDF and label.content, "There is no label in PDF.")
        harness.check_hides(repr(bought_shipment), "A shipment")
        require(
            str(label.content) not in repr(bought_shipment),
            "The repr of a shipment shows its label.",
        )
        shipment: Shipment = await harness("get_shipment", str(bought_shipment.ref))
        require(
            name_same_object(shipment.ref, bought_shipment.ref),
            "The looked-up shipment has another reference than the bought one.",
        )
        require(
            shipment.tracking_numbers == bought_shipment.tracking_numbers,
            "The looked-up shipment has another tracking number than the bought one.",
        )
        if ShippingCapability.LABEL_AGAIN in harness.capabilities:
            require(
                shipment.labels == bought_shipment.labels,
                "The looked-up shipment has other labels than the bought one.",
            )
            repeated_label = await harness("get_label", str(bought_shipment.ref), "pdf")
            require(
                repeated_label == label, "The label has different bytes when it is fetched again."
            )


async def each_parcel_has_a_label(make: Open) -> None:
    """A shipment of several parcels has a tracking number and a label for each of them."""
    async with make() as harness:
        if ShippingCapability.MULTI_PARCEL not in harness.capabilities:
            return
        parcel = Parcel(weight=1, length=1, width=1, height=1)
        purchase = harness.purchase(harness.request(parcels=[parcel, parcel]))
        bought: Shipment = await harness("create_shipment", purchase, idempotency_key="k-1")
        for shipment in (bought, await harness("get_shipment", str(bought.ref))):
            number_count = len(set(shipment.tracking_numbers))
            require(number_count == 2, f"Two parcels have {number_count} tracking numbers.")
        labels = {label.content for label in bought.labels}
        require(len(labels - {None}) == 2, f"Two parcels have {len(labels)} labels.")


async def an_address_arrives_whole(make: Open) -> None:
    """Every line of an address is sent, both to get rates and to buy labels."""
    async with make() as harness:
        recipient = harness.address(line2="Floor 7", line3="Door B")
        rate_request = harness.request(to=recipient, reference="order 1")
        await harness("create_shipment", harness.purchase(rate_request), idempotency_key="k-1")
        bodies = b"".join(request.body for request in harness.sandbox.requests)
        parts = (
            recipient.line1,
            recipient.line2,
            recipient.line3,
            recipient.city,
            recipient.region,
            recipient.postal_code,
            recipient.name,
        )
        lost_parts = [part for part in parts if part and part.encode() not in bodies]
        require(not lost_parts, f"{len(lost_parts)} parts of an address are lost.")


async def a_label_is_converted_or_refused(make: Open) -> None:
    """A label in another format is converted, or refused before anything is sent."""
    async with make() as harness:
        shipment: Shipment = await harness(
            "create_shipment", harness.shipment(), idempotency_key="k-1"
        )
        request_count = len(harness.sandbox.requests)
        request_zpl = partial(harness, "get_label", shipment.ref, LabelFormat.ZPL)
        if ShippingCapability.CONVERT_LABEL in harness.capabilities:
            label = await request_zpl()
            require(
                label.format is LabelFormat.ZPL and label.content,
                "The label was not converted to ZPL.",
            )
        else:
            await harness.refused(UnsupportedByVendor, request_zpl(), "A label in another format")
            require(
                len(harness.sandbox.requests) == request_count,
                "A request was sent for an operation that the vendor does not support.",
            )
        if ShippingCapability.LABEL_ZPL not in harness.capabilities:
            return
        zpl = harness.purchase(harness.request(label="zpl"))
        shipment = await harness("create_shipment", zpl, idempotency_key="k-2")
        require(
            shipment.labels[0].format is LabelFormat.ZPL,
            "The bought label is not in the requested format.",
        )


def _unchanged_rate(rate: Rate) -> Rate:
    return rate


def _as_text(rate: Rate) -> str:
    return str(rate.ref)


async def a_chosen_rate_is_bought(make: Open) -> None:
    """A rate can be bought by its object and, if supported, by its stored reference."""
    async with make() as harness:
        if ShippingCapability.RATES not in harness.capabilities:
            return
        by_reference = ShippingCapability.BUY_BY_REFERENCE in harness.capabilities
        for number, form in enumerate(
            (_unchanged_rate, _as_text) if by_reference else (_unchanged_rate,), 1
        ):
            rates: RateResult = await harness("get_rates", harness.request())
            dearest_rate = max(rates.rates, key=lambda rate: rate.total)
            key = f"k-{number}"
            shipment: Shipment = await harness(
                "create_shipment", form(dearest_rate), idempotency_key=key
            )
            require(shipment.cost == dearest_rate.total, "A different rate was bought.")
            require(harness.sold() == number, "An offer was not bought once.")


async def a_key_buys_once(make: Open) -> None:
    """A label is bought once per idempotency key; a repeat returns the same label."""
    async with make() as harness:
        buy = partial(harness, "create_shipment", harness.shipment())
        shipments = [await buy(idempotency_key="k-1") for _ in range(3)]
        require(harness.sold() == 1, "One idempotency key bought its label more than once.")
        require(shipments[0] == shipments[1] == shipments[2], "A repeat has another label.")
        await buy(idempotency_key="k-2")
        require(harness.sold() == 2, "A second idempotency key bought no second label.")
        conflicting_call = harness("create_shipment", harness.shipment(2), idempotency_key="k-1")
        await harness.refused(IdempotencyConflict, conflicting_call, "A key for another shipment")
        require(harness.sold() == 2, "A key was used for two shipments.")


async def a_refusal_has_its_type(make: Open) -> None:
    """Each error response raises the right error, with the vendor's code."""
    async with make() as harness:
        for number, (answer, kind, code) in enumerate(harness.subject.refusals):
            harness.line.refusal = answer
            purchase = harness("create_shipment", harness.shipment(), idempotency_key=f"k-{number}")
            error = await harness.refused(kind, purchase, f"Refusal {number}")
            require(
                type(error) is kind, f"Refusal {number} is {with_article(type(error).__name__)}."
            )
            require(error.service == ACCOUNT, "A refusal names no account.")
            require(error.vendor_code == code, f"The code is {error.vendor_code}, not {code}.")
            require(error.response.body == answer.body, "The result lacks the vendor's response.")
        foreign_shipment = harness.purchase(
            harness.request(harness.address(postal_code=harness.subject.no_label))
        )
        purchase = harness("create_shipment", foreign_shipment, idempotency_key="k")
        kinds = VendorRejected | InvalidRequest
        error = await harness.refused(kinds, purchase, "A shipment that the carrier refuses")
        require(
            error.vendor_code == harness.subject.carrier_code, "The event lacks the carrier's code."
        )
        require(harness.sold() == 0, "A refused label was bought.")


async def an_outage_is_no_refusal(make: Open) -> None:
    """An outage is not reported as a refusal, and repeating the key buys no second label."""
    async with make() as harness:
        harness.line.refusal = Response(503, body=b"<html></html>")
        purchase = harness("create_shipment", harness.shipment(), idempotency_key="k-1")
        await harness.refused(VendorFailed | OutcomeUnknown, purchase, "An outage")
        with_luck = await _try_purchase(harness, "k-1")
        require(
            harness.sold() == (with_luck is not None),
            "One idempotency key bought its label more than once.",
        )


async def _try_purchase(harness: Harness, key: str) -> Shipment | None:
    try:
        shipment: Shipment = await harness(
            "create_shipment", harness.shipment(), idempotency_key=key
        )
    except OutcomeUnknown:
        return None
    return shipment


async def a_malformed_answer_is_no_success(make: Open) -> None:
    """If a success lacks the purchase, repeating the idempotency key buys no second label."""
    async with make() as harness:
        bought_count = 0
        for number, body in enumerate(_MALFORMED):
            harness.line.refusal = Response(200, {"Content-Type": "application/json"}, body)
            purchase = harness("create_shipment", harness.shipment(), idempotency_key=f"k-{number}")
            await harness.refused(VendorFailed | OutcomeUnknown, purchase, f"{body!r}")
            bought_count += await _try_purchase(harness, f"k-{number}") is not None
            require(
                harness.sold() == bought_count,
                "One idempotency key bought its label more than once.",
            )


async def a_lost_answer_buys_nothing_twice(make: Open) -> None:
    """If the response to a purchase is lost, repeating its idempotency key buys no second label.

    A vendor that finds lost labels returns the first one. At another vendor the outcome stays
    unknown, and the error tells the caller to look for the label.
    """
    async with make() as harness:
        harness.line.lost = 0
        purchase = harness("create_shipment", harness.shipment(), idempotency_key="k-1")
        await harness.refused(ConnectorError, purchase, "A lost answer")
        harness.line.whole = True
        repeated_shipment = await _try_purchase(harness, "k-1")
        require(harness.sold() == 1, "After a lost response, a second label was bought.")
        finds = ShippingCapability.FIND_LOST_LABEL in harness.capabilities
        if repeated_shipment is not None:
            require(
                finds, "A label was found, but the vendor does not declare that it can find labels."
            )
            is_bought = repeated_shipment.state is ShipmentState.BOUGHT
            require(is_bought, "A bought shipment is not reported as bought.")
            purchase_count = harness.line.purchases
            repeated_purchase = await _try_purchase(harness, "k-1")
            require(repeated_shipment == repeated_purchase, "A repeat has another label.")
            is_reported = repeated_purchase is not None and repeated_purchase.replayed
            require(is_reported, "A repeated purchase is not reported as a repeat.")
            is_sent = harness.line.purchases > purchase_count
            require(not is_sent, "The repeat of a purchase that was found is sent to the vendor.")
            return
        require(not finds, "The vendor declares that it can find a label, but did not find it.")
        purchase = harness("create_shipment", harness.shipment(), idempotency_key="k-1")
        error = await harness.refused(OutcomeUnknown, purchase, "A label that cannot be found")
        require(
            error.idempotency_key == "k-1", "The purchase was sent without its idempotency key."
        )
        name = harness.subject.vendor.name
        is_told = error.remedy.startswith(
            f"{name} does not find the label of a purchase with a lost response."
        )
        require(is_told, "The error does not state that the vendor cannot find the label.")
        require(harness.sold() == 1, "After a lost response, a second label was bought.")


async def an_interrupted_batch_is_completed(make: Open) -> None:
    """If a batch of five labels failed after two, repeating it buys only the missing three."""
    for breakage in ("whole", "lost", "dropped"):
        async with make() as harness:
            finds = ShippingCapability.FIND_LOST_LABEL in harness.capabilities
            items = [harness.shipment(number) for number in range(1, 6)]
            batch = partial(harness, "create_many", items, idempotency_key="batch", at_once=1)
            if breakage == "whole":
                items[2:] = []
                await harness("create_many", items[:2], idempotency_key="batch", at_once=1)
                items += [harness.shipment(number) for number in range(3, 6)]
            else:
                setattr(harness.line, breakage, 2)
                first_results: list[Result[Shipment]] = await batch()
                require(
                    [result.ok for result in first_results] == [True, True, False, False, False],
                    "Not cut.",
                )
                harness.line.whole = True
            request_count = len(harness.sandbox.requests)
            final_results: list[Result[Shipment]] = await batch()
            errors = [result.error for result in final_results if not result.ok]
            require(
                all(isinstance(result, OutcomeUnknown) for result in errors), f"{errors} failed."
            )
            lost_count = 1 if breakage == "lost" and not finds else 0
            require(
                breakage == "dropped" or len(errors) == lost_count,
                "A rerun does not settle the purchase that was cut off.",
            )
            expected_count = 5 - len(errors) + lost_count
            require(
                harness.sold() == expected_count, "A second run bought too many labels, or too few."
            )
            numbers = {
                number
                for result in final_results
                if result.value
                for number in result.value.tracking_numbers
            }
            require(len(numbers) == 5 - len(errors), "Two items of the batch have the same label.")
            require(len(harness.sandbox.requests) > request_count, "No request was sent.")
            repeated_values = [result.value for result in await batch()]
            require(
                repeated_values == [result.value for result in final_results],
                "A repeat has other labels.",
            )


async def a_label_without_its_file_is_bought(make: Open) -> None:
    """If a label's file cannot be downloaded, the label is still bought and its URL returned."""
    async with make() as harness:
        harness.line.files = False
        shipment: Shipment = await harness(
            "create_shipment", harness.shipment(), idempotency_key="k-1"
        )
        label = shipment.labels[0]
        require(
            shipment.state is ShipmentState.BOUGHT,
            "A shipment whose label file is missing is not reported as bought.",
        )
        if label.url is None:
            require(label.content, "The label has no URL and no content.")
            return
        require(label.content is None, "A label without a file has content.")
        require(
            str(label.url) not in repr(shipment),
            "The repr of a shipment shows the address of its label.",
        )
        harness.line.files = True
        if ShippingCapability.LABEL_AGAIN in harness.capabilities:
            fetched_label = await harness("get_label", shipment.ref)
            require(fetched_label.content, "The label cannot be fetched later.")
        home = urlsplit(str(harness.subject.vendor.services()[""].base_url)).netloc
        for request in harness.sandbox.requests:
            content = str(request.headers.pairs) + str(request.query)
            require(
                request.host == home or "uthorization" not in content,
                "The credentials were sent to another host.",
            )


BUYING: Final = (
    rates_are_returned,
    missing_rates_are_explained,
    the_best_rate_is_bought,
    a_label_is_bought,
    each_parcel_has_a_label,
    an_address_arrives_whole,
    a_label_is_converted_or_refused,
    a_chosen_rate_is_bought,
    a_key_buys_once,
    a_refusal_has_its_type,
    an_outage_is_no_refusal,
    a_malformed_answer_is_no_success,
    a_lost_answer_buys_nothing_twice,
    an_interrupted_batch_is_completed,
    a_label_without_its_file_is_bought,
)
