"""Checks for every shipping vendor.

`moorage scaffold vendor NAME --contract shipping` writes a vendor, and a test that runs all
checks.

Each check takes a function that makes a new `ShippingSubject`: the vendor, its sandbox, and what
the kit cannot know. `CHECKS` go through `Hub`, and `ASYNC_CHECKS` through `AsyncHub`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from moorage.contracts.ref import Ref
from moorage.contracts.shipping import (
    AddressVerdict,
    CancelState,
    Choice,
    Customs,
    CustomsItem,
    LabelFormat,
    LabelSize,
    Parcel,
    ShipmentState,
    ShippingCapability,
    Signature,
    TrackingStatus,
)
from moorage.domain.values.money import Money
from moorage.errors import UnsupportedByVendor, VendorRejected, WebhookRejected
from moorage.testing.kits._contract_harness import (
    require_unsupported,
    through_async_hub,
    through_hub,
)
from moorage.testing.kits._shipping_buying import BUYING, name_same_object
from moorage.testing.kits._shipping_duties import DUTIES, declared, electronic_invoices
from moorage.testing.kits._shipping_handovers import HANDOVERS
from moorage.testing.kits._shipping_harness import (
    ACCOUNT,
    Harness,
    ShippingSubject,
    async_harness,
    sync_harness,
)
from moorage.testing.kits._shipping_measures import MEASURES
from moorage.testing.kits._shipping_requests import REQUESTS
from moorage.testing.kits.checks import require

if TYPE_CHECKING:
    from moorage.contracts.shipping import AddressResult, RateRequest, Shipment, Tracking

__all__ = ["ASYNC_CHECKS", "CHECKS", "AsyncCheck", "Check", "Factory", "ShippingSubject"]

Factory: TypeAlias = Callable[[], ShippingSubject]
Check: TypeAlias = Callable[[Factory], None]
AsyncCheck: TypeAlias = Callable[[Factory], Coroutine[Any, Any, None]]
Open: TypeAlias = Callable[[], Harness]

_WORD: Final = "A_WORD_NOBODY_KNOWS"
_URL: Final = "https://shop.example/parcels"


def _features(harness: Harness) -> dict[ShippingCapability, dict[str, Any]]:
    """Return example shipment fields, by the vendor capability that each of them requires."""
    parcel = Parcel(weight=1, length=1, width=1, height=1)
    item = CustomsItem(
        description="Shirts", quantity=2, value=Money("46.50", "USD"), weight="0.3", origin="DE"
    )
    customs = Customs(items=[item], signer="Steve Brule")
    abroad = harness.address(country="CA")
    electronic = electronic_invoices() if ShippingCapability.CUSTOMS in harness.capabilities else {}
    return {
        **{name: {"to": abroad, "customs": invoice} for name, invoice in electronic.items()},
        ShippingCapability.MULTI_PARCEL: {"parcels": [parcel, parcel]},
        ShippingCapability.CUSTOMS: {"to": abroad, "customs": customs},
        ShippingCapability.INSURANCE: {"insurance": Money("100", "USD")},
        ShippingCapability.SIGNATURE: {"signature": Signature.ADULT},
        ShippingCapability.SATURDAY_DELIVERY: {"saturday": True},
        ShippingCapability.RETURNS: {"is_return": True},
        ShippingCapability.LABEL_ZPL: {"label": LabelFormat.ZPL},
        ShippingCapability.LABEL_EPL: {"label": LabelFormat.EPL},
        ShippingCapability.LABEL_PAPER: {"label_size": LabelSize.A6},
        ShippingCapability.SERVICE_POINTS: {"service_point": "1"},
    }


def _calls_by_capability(
    harness: Harness,
) -> dict[ShippingCapability, Callable[[], Awaitable[Any]]]:
    """Calls that need exactly one capability; a purchase of a named service needs no rates."""
    ref = Ref(harness.subject.vendor.name, ACCOUNT, "1", {"label": "pdf"})
    named = Choice(services=[harness.subject.service or "a_service"])

    def purchase(request: RateRequest, **fields: Any) -> Callable[[], Awaitable[Any]]:
        what = harness.purchase(request, choose=named, **fields)
        return lambda: harness("create_shipment", what, idempotency_key="k-1")

    return {
        **{
            name: purchase(harness.request(**fields)) for name, fields in _features(harness).items()
        },
        ShippingCapability.RATES: lambda: harness("get_rates", harness.request()),
        ShippingCapability.FIND_LOST_LABEL: purchase(harness.request(), recoverable=True),
        ShippingCapability.LABEL_AGAIN: lambda: harness("get_label", ref),
        ShippingCapability.CONVERT_LABEL: lambda: harness("get_label", ref, "zpl"),
        ShippingCapability.BUY_BY_REFERENCE: lambda: harness(
            "create_shipment", str(ref), idempotency_key="k-1"
        ),
        ShippingCapability.TRACK: lambda: harness("track", "1", "usps"),
        ShippingCapability.CANCEL: lambda: harness("cancel", ref),
        ShippingCapability.VALIDATE_ADDRESS: lambda: harness("validate_address", harness.address()),
        ShippingCapability.PICKUP: lambda: harness(
            "schedule_pickup", harness.pickup(ref), idempotency_key="k-1"
        ),
        ShippingCapability.DUTIES: lambda: harness("estimate_duties", declared(harness)),
        ShippingCapability.CANCEL_PICKUP: lambda: harness("cancel_pickup", ref),
        ShippingCapability.MANIFEST: lambda: harness(
            "create_manifest", [ref], idempotency_key="k-1"
        ),
    }


async def unsupported_features_are_refused(make: Open) -> None:
    """An unsupported feature is refused before sending; the error names vendors that have it."""
    async with make() as harness:
        await require_unsupported(harness, _calls_by_capability(harness).items())
        for capability, fields in _features(harness).items():
            if capability not in harness.capabilities:
                rates = harness("get_rates", harness.request(**fields))
                await harness.refused(UnsupportedByVendor, rates, f"A rate with {capability}")
        require(
            harness.sandbox.requests == [],
            "A request was sent for an operation that the vendor does not support.",
        )


async def declared_capabilities_work(make: Open) -> None:
    """Each feature of a shipment that a vendor declares works with its carriers."""
    async with make() as harness:
        for capability, fields in _features(harness).items():
            if capability in harness.capabilities:
                offers = await harness.offers(harness.request(**fields))
                require(offers, f"The vendor returned no rates with {capability}.")


async def a_parcel_is_tracked(make: Open) -> None:
    """A parcel is tracked by reference and number; undocumented statuses are unknown."""
    async with make() as harness:
        if ShippingCapability.TRACK not in harness.capabilities:
            return
        bought_shipment: Shipment = await harness(
            "create_shipment", harness.shipment(), idempotency_key="k-1"
        )
        number, carrier = bought_shipment.tracking_numbers[0], bought_shipment.carrier
        words = {
            None: TrackingStatus.PRE_TRANSIT,
            _WORD: TrackingStatus.UNKNOWN,
            harness.subject.delivered: TrackingStatus.DELIVERED,
        }
        for word, status in words.items():
            if word is not None:
                harness.subject.move(number, word)
            by_ref: Tracking = await harness("track_shipment", str(bought_shipment.ref))
            by_number: Tracking = await harness("track", number, carrier)
            require(
                by_ref == by_number,
                "Tracking by reference and tracking by number give different results.",
            )
            require(by_ref.status is status, f"{word} was read as {by_ref.status}.")
            require(
                (by_ref.number, by_ref.carrier) == (number, carrier),
                "The tracking is of another parcel.",
            )
            require(
                word is None or by_ref.vendor_status == word,
                "The result lacks the vendor's own status.",
            )
            require(
                all(event.at and event.at.tzinfo for event in by_ref.events),
                "An event has no time.",
            )
        tracking: Tracking = await harness("track_shipment", bought_shipment.ref)
        require(tracking.delivered_at and tracking.raw, "The time of the delivery is missing.")


async def a_shipment_is_cancelled(make: Open) -> None:
    """A cancellation is pending until the carrier confirms it, and can be repeated."""
    async with make() as harness:
        if ShippingCapability.CANCEL not in harness.capabilities:
            return
        bought_shipment: Shipment = await harness(
            "create_shipment", harness.shipment(), idempotency_key="k-1"
        )
        for _ in range(2):
            cancellation = await harness("cancel", str(bought_shipment.ref))
            is_waiting = cancellation.state in {CancelState.REQUESTED, CancelState.APPROVED}
            require(
                is_waiting and cancellation.vendor_status and cancellation.raw,
                "The cancellation is not reported as requested or approved.",
            )
        shipment: Shipment = await harness("get_shipment", bought_shipment.ref)
        require(
            shipment.state in {ShipmentState.CANCELING, ShipmentState.CANCELED},
            "The shipment's state does not show the cancellation.",
        )
        lost_shipment: Shipment = await harness(
            "create_shipment", harness.shipment(2), idempotency_key="k-2"
        )
        harness.subject.move(lost_shipment.tracking_numbers[0], harness.subject.delivered)
        error = await harness.refused(
            VendorRejected, harness("cancel", lost_shipment.ref), "Cancelling a delivered shipment"
        )
        require(type(error) is VendorRejected, f"A late cancellation ended with {error!r}.")


async def an_address_is_checked(make: Open) -> None:
    """An address check reports valid, corrected or invalid, and never changes an address."""
    async with make() as harness:
        if ShippingCapability.VALIDATE_ADDRESS not in harness.capabilities:
            return
        address = harness.address()
        accepted_result: AddressResult = await harness("validate_address", address)
        require(
            accepted_result.verdict in {AddressVerdict.VALID, AddressVerdict.CORRECTED},
            "A valid address is reported as invalid.",
        )
        require(
            accepted_result.given == address and accepted_result.suggested is not None,
            "The result lacks the checked address or the suggested address.",
        )
        harness.check_hides(repr(accepted_result), "A checked address")
        refused_result: AddressResult = await harness(
            "validate_address", harness.address(city=harness.subject.nowhere)
        )
        require(
            refused_result.verdict is AddressVerdict.INVALID,
            "An address that does not exist is reported as valid.",
        )
        require(
            refused_result.suggested is None and refused_result.messages,
            "The result for an invalid address has no message, or suggests an address.",
        )


async def options_arrive(make: Open) -> None:
    """The caller's extra options for this vendor are sent.

    Options for other vendors are ignored.
    """
    async with make() as harness:
        options, seen_bytes = harness.subject.option
        extra_options = {harness.subject.vendor.name: options, "another": {"other_option": "1"}}
        await harness.offers(harness.request(extra=extra_options))
        bodies = b"".join(request.body for request in harness.sandbox.requests)
        require(seen_bytes in bodies, "An option is lost.")
        require(b"other_option" not in bodies, "An extra option of another vendor was sent.")
        harness.check_hides(repr(harness.request(extra=extra_options)), "A request")


async def events_are_accepted_if_signed(make: Open) -> None:
    """Signed tracking webhooks are accepted for every status, and others are refused."""
    async with make() as harness:
        report, secret = harness.subject.report, harness.subject.webhook_secret
        if report is None or secret is None:
            return
        bought_shipment: Shipment = await harness(
            "create_shipment", harness.shipment(), idempotency_key="k-1"
        )
        number = bought_shipment.tracking_numbers[0]
        words = {_WORD: TrackingStatus.UNKNOWN, harness.subject.delivered: TrackingStatus.DELIVERED}
        for word, status in words.items():
            harness.subject.move(number, word)
            notice = report(number, _URL)
            verifier = harness.hub.webhooks(ACCOUNT, secrets=secret)
            event = harness.hub.events(ACCOUNT, verifier.verify(**notice.arguments())[0])[0]
            require(
                name_same_object(event.ref, bought_shipment.ref),
                "The event is about another shipment.",
            )
            require(event.tracking.status is status, f"{word} was read as {event.tracking.status}.")
            require(
                event.vendor_status == word and event.raw,
                "The event lacks the vendor's status or raw data.",
            )
            require(
                event.tracking == await harness("track_shipment", bought_shipment.ref),
                "The event and the look-up report different tracking.",
            )
        strange_verifier = harness.hub.webhooks(
            ACCOUNT, secrets=harness.subject.wrong_secret, replay_guard=False
        )
        accepted_events: Any = ()
        with suppress(WebhookRejected):
            accepted_events = strange_verifier.verify(**report(number, _URL).arguments())
        require(not accepted_events, "A webhook with a forged signature is accepted.")


_ALL_CHECKS: Final = (
    *BUYING,
    *REQUESTS,
    *HANDOVERS,
    *DUTIES,
    *MEASURES,
    unsupported_features_are_refused,
    declared_capabilities_work,
    a_parcel_is_tracked,
    a_shipment_is_cancelled,
    an_address_is_checked,
    options_arrive,
    events_are_accepted_if_signed,
)


CHECKS: Final[tuple[Check, ...]] = through_hub(_ALL_CHECKS, sync_harness)
ASYNC_CHECKS: Final[tuple[AsyncCheck, ...]] = through_async_hub(_ALL_CHECKS, async_harness)
