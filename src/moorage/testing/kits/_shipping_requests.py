"""Checks of the requests of shipping operations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from moorage.contracts.shipping import (
    Customs,
    CustomsItem,
    ShippingCapability,
)
from moorage.domain.http.requests import Response
from moorage.domain.values.money import Money
from moorage.errors import (
    ConnectorError,
    IdempotencyConflict,
    InvalidData,
    OutcomeUnknown,
    UnsupportedByVendor,
    VendorFailed,
)
from moorage.testing.kits._sent_requests import require_no_repeats, with_added_words
from moorage.testing.kits._shipping_duties import declared
from moorage.testing.kits._shipping_harness import Harness
from moorage.testing.kits.checks import require

if TYPE_CHECKING:
    from moorage.contracts.shipping import Shipment

Open: TypeAlias = Callable[[], Harness]

_LONGEST_KEY: Final = "k" * 255
_EMAIL: Final = "swan@mail.example"
_VALUES: Final = ("USD", "46.50"), ("JPY", "4650")
_OTHER_CURRENCY: Final = b'"eur"'


async def each_request_is_sent_once(make: Open) -> None:
    """Check that no operation repeats a request itself, because the hub decides on retries.

    A key of the greatest length buys a shipment like any other.
    """
    async with make() as harness:
        shipment: Shipment = await harness(
            "create_shipment", harness.shipment(), idempotency_key=_LONGEST_KEY
        )
        require_no_repeats("purchase", harness.sandbox.requests)
        other_bought: Shipment = await harness(
            "create_shipment", harness.shipment(2), idempotency_key="k-2"
        )
        number, carrier = shipment.tracking_numbers[0], shipment.carrier
        calls: dict[str, Callable[[], Awaitable[Any]]] = {
            "request for an offer": partial(harness.offers, harness.request()),
            "look at a shipment": partial(harness, "get_shipment", shipment.ref),
        }
        if ShippingCapability.LABEL_AGAIN in harness.capabilities:
            calls["request for a label"] = partial(harness, "get_label", shipment.ref)
        if ShippingCapability.TRACK in harness.capabilities:
            calls["look at a parcel"] = partial(harness, "track", number, carrier)
            calls["look at a bought parcel"] = partial(harness, "track_shipment", shipment.ref)
        if ShippingCapability.VALIDATE_ADDRESS in harness.capabilities:
            calls["check of an address"] = partial(harness, "validate_address", harness.address())
        if ShippingCapability.DUTIES in harness.capabilities:
            calls["estimate of duties"] = partial(harness, "estimate_duties", declared(harness))
        if ShippingCapability.CANCEL in harness.capabilities:
            calls["cancellation"] = partial(harness, "cancel", other_bought.ref)
        for name, call in calls.items():
            request_count = len(harness.sandbox.requests)
            await call()
            require_no_repeats(name, harness.sandbox.requests[request_count:])


async def no_error_shows_a_secret(make: Open) -> None:
    """Check that errors hide credentials and addresses, even if the vendor repeats them."""
    async with make() as harness:
        await harness.offers(harness.request())
        secret, sold_count = _sent_secret(harness), harness.sold()
        words = f" {secret} {_EMAIL}"
        for number, (answer, kind, _) in enumerate(harness.subject.refusals):
            harness.line.refusal = with_added_words(words, answer)
            purchase = harness("create_shipment", harness.shipment(), idempotency_key=f"k-{number}")
            error = await harness.refused(kind, purchase, f"Refusal {number}")
            shown_text = f"{error}{error!r}{error.vendor_message}"
            for word in (secret, _EMAIL):
                require(word not in shown_text, f"Refusal {number} shows a secret.")
        require(harness.sold() == sold_count, "A refused label was bought.")


async def no_log_shows_a_secret(make: Open) -> None:
    """Check that credentials are in no event, log entry, error or repr.

    This matters most for a vendor that takes its key in the query, because URLs are shown often.
    """
    async with make() as harness:
        bought: Shipment = await harness(
            "create_shipment", harness.shipment(), idempotency_key="k-1"
        )
        answer, kind, _ = harness.subject.refusals[0]
        harness.line.refusal = answer
        refused = harness("create_shipment", harness.shipment(2), idempotency_key="k-2")
        refusal = await harness.refused(kind, refused, "A refusal")
        harness.line.lost = harness.sold()
        lost = harness("create_shipment", harness.shipment(3), idempotency_key="k-3")
        loss = await harness.refused(ConnectorError, lost, "A lost answer")
        reprs = [repr(harness.subject.vendor), repr(harness.hub), repr(bought)]
        texts = [*reprs, *(f"{error}{error!r}{vars(error)!r}" for error in (refusal, loss))]
        authorizations = (item.headers.get("authorization") for item in harness.sandbox.requests)
        tokens = {text.split()[-1] for text in authorizations if text}
        await harness.require_hidden(texts, {harness.subject.secret, *tokens})


async def money_keeps_its_currency(make: Open) -> None:
    """Values of insurance and goods are sent in their own currency, with its number of decimals.

    A vendor may refuse a currency before it sends anything.
    """
    async with make() as harness:
        if ShippingCapability.INSURANCE in harness.capabilities:
            insured = harness.request(insurance=Money("100", "USD"))
            await harness("create_shipment", harness.purchase(insured), idempotency_key="k-1")
            bodies = b"".join(request.body for request in harness.sandbox.requests).lower()
            require(_OTHER_CURRENCY not in bodies, "Insurance has another currency.")
        if ShippingCapability.CUSTOMS not in harness.capabilities:
            return
        for currency, value in _VALUES:
            shirts = CustomsItem(
                description="Shirts",
                quantity=2,
                value=Money(value, currency),
                weight="0.2",
                origin="DE",
                hs_code="610910",
            )
            customs = Customs(items=[shirts], signer="Steve Brule")
            request_count = len(harness.sandbox.requests)
            recipient = harness.address(country="CA")
            foreign_shipment = harness.request(
                to=recipient, customs=customs, reference=f"order {currency}"
            )
            purchase = harness(
                "create_shipment", harness.purchase(foreign_shipment), idempotency_key=currency
            )
            try:
                await purchase
            except (InvalidData, UnsupportedByVendor) as error:
                require(currency != "USD", f"Goods with a value in dollars were refused: {error}")
                continue
            requests = harness.sandbox.requests[request_count:]
            bodies = b"".join(request.body for request in requests).lower()
            word = f'"{currency.lower()}"'.encode()
            require(word in bodies, f"The currency {currency} of goods is lost.")
            require(_OTHER_CURRENCY not in bodies, "Goods have another currency.")
            require(b'"4650.00"' not in bodies, "An amount in yen has decimals.")


async def a_repeat_requests_no_new_rates(make: Open) -> None:
    """A repeated purchase with the same key requests no new rates, because they might differ."""
    async with make() as harness:
        if ShippingCapability.RATES not in harness.capabilities:
            return
        await harness("get_rates", harness.request())
        paths = {item.path for item in harness.sandbox.requests if item.method == "POST"}
        harness.line.refusal = Response(503, body=b"<html></html>")
        purchase = partial(harness, "create_shipment", harness.shipment(), idempotency_key="k-1")
        await harness.refused(VendorFailed | OutcomeUnknown, purchase(), "An outage")
        request_count = len(harness.sandbox.requests)
        try:
            await purchase()
        except OutcomeUnknown:
            pass
        except IdempotencyConflict as error:
            raise AssertionError("A repeated purchase chose another rate.") from error
        requests = harness.sandbox.requests[request_count:]
        require(
            not any(request.path in paths for request in requests),
            "A repeated purchase requested rates again.",
        )


def _sent_secret(harness: Harness) -> str:
    """Return the secret in the latest request: the account's own, or an access token."""
    request = harness.sandbox.requests[-1]
    headers = request.headers
    is_sent = any(harness.subject.secret in value for _, value in (*headers.pairs, *request.query))
    return harness.subject.secret if is_sent else (headers.get("authorization") or "").split()[-1]


REQUESTS: Final = (
    each_request_is_sent_once,
    no_error_shows_a_secret,
    no_log_shows_a_secret,
    money_keeps_its_currency,
    a_repeat_requests_no_new_rates,
)
