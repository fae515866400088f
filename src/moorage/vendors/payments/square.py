"""Square: payments, refunds, disputes, payouts and stored cards, by a pinned API version.

Square takes idempotency keys in the body of requests that create something, and remembers them
forever. Captures and voids need no key: a payment is completed or cancelled once. A partial
capture first reduces the payment to that part, which releases the rest.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import (
    Capture,
    Charge,
    Dispute,
    MoveState,
    Page,
    Payment,
    PaymentQuery,
    PaymentsCapability,
    Payout,
    PayoutItem,
    Refund,
    RefundReason,
    StoredMeans,
    StoreRequest,
    Void,
)
from moorage.vendors.payments import _square_disputes as square_disputes
from moorage.vendors.payments._common import (
    is_within,
    refundable_rest,
    url_of,
    void_of,
    with_payment_reference,
)
from moorage.vendors.payments._square_answers import (
    dispute_of,
    payment_of,
    payout_item_of,
    payout_of,
    read_payment,
    read_refund,
    read_stored,
    stored_of,
)
from moorage.vendors.payments._square_errors import classify
from moorage.vendors.payments._square_events import read_events
from moorage.vendors.payments._square_requests import (
    KEY,
    LONGEST,
    PAGE,
    PAYMENTS,
    amount_body,
    card_body,
    keyed_request,
    payment_body,
    period_fields,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


API_VERSION: Final = "2025-08-20"
_REFUNDS: Final = "/v2/refunds"
_CARDS: Final = "/v2/cards"
_KEYS: Final = sdk.VendorKeys(
    # Square publishes no retention time; an hour covers the usual repeats.
    memory=3_600.0,
    repeat=sdk.RepeatedKey.REPLAYED,
    documentation=(
        "https://developer.squareup.com/docs/build-basics/common-api-patterns/idempotency",
        "https://developer.squareup.com/forums/t/how-long-are-idempotency-keys-retained-for-the-createpayment-endpoint/28303",
    ),
)


@attrs.frozen(kw_only=True)
class Square(sdk.ApiVendor):
    """An account at Square.

    Attributes:
        credentials: access token; by default the credential provider supplies it.
        location_id: location that takes the payments; by default Square's main location.
        base_url: URL of Square; its sandbox is https://connect.squareupsandbox.com.
    """

    name = "square"
    kinds = ("payments",)
    api_version = API_VERSION
    capabilities = sdk.members_of(
        PaymentsCapability,
        "authorize void partial_capture look_up look_up_refund list disputes look_up_dispute"
        " accept_dispute dispute_evidence payouts off_session statement_descriptor billing_address"
        " shipping_address store_means stored_means payout_items",
    )
    limits: ClassVar[Mapping[str, int]] = {"idempotency_key": KEY, "page": PAGE, **LONGEST}
    modes = sdk.url_modes(
        live="https://connect.squareup.com", test="https://connect.squareupsandbox.com"
    )
    webhook = "square"
    idempotency = _KEYS
    unknown_outcomes: ClassVar[Mapping[str, sdk.UnknownOutcome]] = {
        **sdk.words(sdk.UnknownOutcome.ASKED_AGAIN, "authorize charge refund"),
        **sdk.words(sdk.UnknownOutcome.REPEATED, "capture void"),
    }

    refusals = staticmethod(classify)
    headers: ClassVar[Mapping[str, str]] = {"Square-Version": API_VERSION}
    ping_path = PAYMENTS
    event_reading = staticmethod(read_events)
    ping_query: ClassVar[Mapping[str, int]] = {"limit": 1}

    location_id: str | None = None
    base_url: str = "https://connect.squareup.com"

    async def authorize(self, wire: sdk.Wire, charge: Charge, /, *, key: str) -> Payment:
        """Authorise an amount, to be completed later."""
        return await self._pay(wire, charge, key, autocomplete=False)

    async def charge(self, wire: sdk.Wire, charge: Charge, /, *, key: str) -> Payment:
        """Charge an amount at once."""
        return await self._pay(wire, charge, key, autocomplete=True)

    async def _pay(
        self, wire: sdk.Wire, charge: Charge, key: str, *, autocomplete: bool
    ) -> Payment:
        body = payment_body(self, charge, autocomplete=autocomplete)
        request, parse = keyed_request(wire, PAYMENTS, body, key), partial(read_payment, wire)
        return await with_payment_reference(
            wire, charge.amount, wire.send(request, key=key, parse=parse)
        )

    async def capture(
        self,
        wire: sdk.Wire,
        ref: sdk.Ref,
        amount: sdk.Money | None,
        /,
        *,
        final: bool,  # noqa: ARG002 - there is no other
        key: str,
    ) -> Capture:
        """Complete a payment, fully or partly."""
        previous_payment = await _payment_before(wire, ref, key)
        requested_amount = amount or previous_payment.authorized
        if amount is not None and amount != previous_payment.authorized:
            part = {"payment": {"amount_money": amount_body(amount)}}
            request = keyed_request(
                wire, url_of(PAYMENTS, ref.id), part, sdk.part_key(key, "part"), method="PUT"
            )
            await wire.send(
                request, key=sdk.part_key(key, "part"), parse=partial(read_payment, wire)
            )
        try:
            payment = await _payment_after_move(
                wire, sdk.Request.post(url_of(PAYMENTS, ref.id, "complete"), json={}), key
            )
        except sdk.VendorRejected:
            # The response to an earlier, successful attempt may have been lost.
            payment = await self.get(wire, ref)
            if previous_payment.vendor_state != "APPROVED" or payment.captured != requested_amount:
                raise
        is_finished = payment.vendor_state == "COMPLETED"
        return Capture(
            ref=payment.ref,
            payment=payment.ref,
            state=MoveState.SUCCEEDED if is_finished else MoveState.UNKNOWN,
            vendor_state=payment.vendor_state,
            amount=requested_amount,
            after=payment,
            raw=payment.raw,
        )

    async def void(self, wire: sdk.Wire, ref: sdk.Ref, /, *, key: str) -> Void:
        """Cancel an uncompleted payment."""
        try:
            payment = await _payment_after_move(
                wire, sdk.Request.post(url_of(PAYMENTS, ref.id, "cancel")), key
            )
        except sdk.VendorRejected:
            # The response to an earlier, successful attempt may have been lost.
            payment = await self.get(wire, ref)
            if payment.vendor_state != "CANCELED":
                raise
        return void_of(payment, word="CANCELED")

    async def refund(
        self,
        wire: sdk.Wire,
        ref: sdk.Ref,
        amount: sdk.Money | None,
        /,
        *,
        reason: RefundReason | None,
        key: str,
    ) -> Refund:
        """Refund a payment; without an amount, refund all that is not refunded yet."""
        body = {
            "payment_id": ref.id,
            "amount_money": amount_body(
                amount or refundable_rest(await _payment_before(wire, ref, key))
            ),
        }
        if reason is not None:
            body["reason"] = reason.value.replace("_", " ")
        request = keyed_request(wire, _REFUNDS, body, key)
        refund = await wire.send(request, key=key, parse=partial(read_refund, wire))
        return attrs.evolve(refund, payment=ref)

    async def get(self, wire: sdk.Wire, ref: sdk.Ref, /) -> Payment:
        """Get a payment."""
        return read_payment(wire, await wire.send(sdk.Request.get(url_of(PAYMENTS, ref.id))))

    async def get_refund(self, wire: sdk.Wire, ref: sdk.Ref, /) -> Refund:
        """Get a refund."""
        return read_refund(wire, await wire.send(sdk.Request.get(url_of(_REFUNDS, ref.id))))

    async def payments(
        self, wire: sdk.Wire, query: PaymentQuery, after: sdk.Ref | None, /
    ) -> Page[Payment]:
        """List payments."""
        return await self._page(wire, PAYMENTS, query, after, payment_of, **period_fields(query))

    async def disputes(
        self, wire: sdk.Wire, query: PaymentQuery, after: sdk.Ref | None, /
    ) -> Page[Dispute]:
        """List disputes, on pages whose size Square chooses."""
        return await self._page(wire, square_disputes.DISPUTES, query, after, dispute_of)

    get_dispute = staticmethod(square_disputes.get_dispute)
    accept_dispute = staticmethod(square_disputes.accept_dispute)
    submit_evidence = staticmethod(square_disputes.submit_evidence)

    async def payouts(
        self, wire: sdk.Wire, query: PaymentQuery, after: sdk.Ref | None, /
    ) -> Page[Payout]:
        """List payouts."""
        return await self._page(
            wire, "/v2/payouts", query, after, payout_of, **period_fields(query)
        )

    async def payout_items(
        self, wire: sdk.Wire, ref: sdk.Ref, /, *, after: sdk.Ref | None
    ) -> Page[PayoutItem]:
        """List the entries of a payout."""
        filters = {"cursor": _cursor(after), "limit": PAGE}
        path = url_of("/v2/payouts", ref.id, "payout-entries")
        items, next_cursor = await _listed_items(
            wire, path, "payout_entries", filters, payout_item_of
        )
        return Page(tuple(items), next_cursor)

    async def store_means(
        self, wire: sdk.Wire, request: StoreRequest, /, *, key: str
    ) -> StoredMeans:
        """Verify a card with its bank, and store it for a customer."""
        card_request = keyed_request(wire, _CARDS, card_body(request), key)
        stored: StoredMeans = await wire.send(
            card_request, key=key, parse=partial(read_stored, wire)
        )
        return stored

    async def stored_means(
        self, wire: sdk.Wire, customer: str, after: sdk.Ref | None, /
    ) -> Page[StoredMeans]:
        """List a customer's chargeable cards."""
        filters = {"cursor": _cursor(after), "customer_id": customer}
        items, next_cursor = await _listed_items(wire, _CARDS, "cards", filters, stored_of)
        return Page(tuple(items), next_cursor)

    async def remove_means(self, wire: sdk.Wire, ref: sdk.Ref, /, *, key: str) -> StoredMeans:
        """Disable a card; a repeat has no further effect."""
        request = sdk.Request.post(url_of(_CARDS, ref.id, "disable"))
        repeatable = attrs.evolve(request, idempotent=True)
        stored: StoredMeans = await wire.send(repeatable, key=key, parse=partial(read_stored, wire))
        return stored

    async def _page(
        self,
        wire: sdk.Wire,
        path: str,
        query: PaymentQuery,
        after: sdk.Ref | None,
        read_one: Callable[[sdk.MakeRef, sdk.Answer], Any],
        **filters: Any,
    ) -> Page[Any]:
        filters |= {"cursor": _cursor(after), "location_id": self.location_id}
        name = path.rpartition("/")[2]
        items, next_cursor = await _listed_items(wire, path, name, filters, read_one)
        return Page(tuple(item for item in items if is_within(query, item.created_at)), next_cursor)


async def _listed_items(
    wire: sdk.Wire,
    path: str,
    name: str,
    filters: Mapping[str, Any],
    read_one: Callable[[sdk.MakeRef, sdk.Answer], Any],
) -> tuple[list[Any], sdk.Ref | None]:
    """The valid items on a list page, and the reference of the next page."""
    response = await wire.send(sdk.Request.get(path, query=filters))
    body = sdk.read_answer(response)
    if not sdk.is_list(body.raw.get(name, [])):
        raise sdk.malformed(response, name)
    results = [read_one(wire.ref, item) for item in body.objects(name)]
    next_cursor = body.text("cursor")
    items = [item for item in results if item is not None]
    return items, None if next_cursor is None else wire.ref(next_cursor)


def _cursor(after: sdk.Ref | None) -> str | None:
    return None if after is None else after.id


async def _payment_after_move(wire: sdk.Wire, request: sdk.Request, key: str) -> Payment:
    """The payment after a step that is executed once per idempotency key."""
    repeatable = attrs.evolve(request, idempotent=True)
    return await wire.send(repeatable, key=key, parse=partial(read_payment, wire))


async def _payment_before(wire: sdk.Wire, ref: sdk.Ref, key: str) -> Payment:
    """Get the payment as it was when the idempotency key was first used."""
    request = sdk.Request.get(url_of(PAYMENTS, ref.id))
    return await wire.send(
        request, key=sdk.part_key(key, "before"), parse=partial(read_payment, wire)
    )
