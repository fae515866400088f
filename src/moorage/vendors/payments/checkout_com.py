"""Checkout.com: card payments, captures, refunds, disputes and stored cards, with a secret key.

A payment is decided immediately, but a capture, void or refund is only accepted at first: its
result is in the payment and in webhooks later. Each of these requests is sent with its idempotency
key.
"""

from __future__ import annotations

from datetime import UTC
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
    Refund,
    RefundReason,
    StoredMeans,
    Void,
    stated_amount,
)
from moorage.vendors.payments import _checkout_com_disputes as checkout_com_disputes
from moorage.vendors.payments._checkout_com_answers import (
    PAYMENTS,
    classify,
    decline_error,
    decline_of,
    dispute_of,
    is_ended,
    read_action_id,
    read_payment,
    removed,
    stored_of,
    was_removed,
)
from moorage.vendors.payments._checkout_com_events import read_events
from moorage.vendors.payments._checkout_com_requests import (
    LONGEST_REFERENCE,
    MOST_DIGITS,
    minor_of,
    payment_body,
)
from moorage.vendors.payments._common import (
    is_within,
    refundable_rest,
    return_url_option,
    url_of,
    void_of,
    with_payment_reference,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


_LIVE: Final = "https://api.checkout.com"
_DISPUTES: Final = "/disputes"
_KEY: Final = 64
_KEYS: Final = sdk.VendorKeys(
    memory=86_400.0,
    repeat=sdk.RepeatedKey.REPLAYED,
    documentation=("https://www.checkout.com/docs/payments/manage-payments/idempotency",),
    header="Cko-Idempotency-Key",
)


@attrs.frozen(kw_only=True)
class CheckoutCom(sdk.ApiVendor):
    """An account at Checkout.com.

    Attributes:
        credentials: secret key, sk_...; by default the credential provider supplies it.
        prefix: prefix of the account's URLs: the first eight characters of the client id after
            cli_.
        processing_channel_id: processing channel of the payments, if the account has several.
        return_url: URL that buyers return to, unless a charge has its own.
        base_url: URL of Checkout.com without the prefix.
    """

    name = "checkout_com"
    kinds = ("payments",)
    capabilities = sdk.members_of(
        PaymentsCapability,
        "complete authorize void partial_capture multiple_captures look_up disputes"
        " look_up_dispute accept_dispute dispute_evidence off_session store_method billing_address"
        " shipping_address line_items three_ds stored_means",
    )
    limits: ClassVar[Mapping[str, int]] = {
        "page": 250,
        "reference": LONGEST_REFERENCE,
        "digits": MOST_DIGITS,
    }
    modes = sdk.url_modes(live=_LIVE, test="https://api.sandbox.checkout.com")
    webhook = "checkout-com"
    idempotency = _KEYS
    unknown_outcomes: ClassVar[Mapping[str, sdk.UnknownOutcome]] = {
        **sdk.words(sdk.UnknownOutcome.ASKED_AGAIN, "authorize charge capture void refund"),
        **sdk.words(sdk.UnknownOutcome.REPEATED, "complete"),
    }

    urls: ClassVar[Mapping[str, str]] = {"": "url"}
    refusals = staticmethod(classify)
    ping_path = _DISPUTES
    event_reading = staticmethod(read_events)
    ping_query: ClassVar[Mapping[str, int]] = {"limit": 1}

    prefix: str | None = attrs.field(
        default=None,
        validator=attrs.validators.optional(
            sdk.matches(
                "(?:pl-)?[a-z0-9]+",
                problem="The value is not the prefix of a Checkout.com account.",
                remedy="Set the first eight characters of the client id after cli_.",
            )
        ),
    )
    processing_channel_id: str | None = None
    return_url: str | None = return_url_option()
    base_url: str = _LIVE

    @property
    def url(self) -> str:
        """The URL of the account."""
        if self.prefix is None:
            return self.base_url
        scheme, separator, host = self.base_url.partition("://")
        return f"{scheme}{separator}{self.prefix}.{host}"

    async def authorize(self, wire: sdk.Wire, charge: Charge, /, *, key: str) -> Payment:
        """Authorise an amount, to be captured later."""
        return await self._pay(wire, charge, key, capture=False)

    async def charge(self, wire: sdk.Wire, charge: Charge, /, *, key: str) -> Payment:
        """Charge an amount; it is captured a little later."""
        return await self._pay(wire, charge, key, capture=True)

    async def _pay(self, wire: sdk.Wire, charge: Charge, key: str, *, capture: bool) -> Payment:
        request = sdk.Request.post(PAYMENTS, json=payment_body(self, charge, capture=capture))
        parse = partial(read_payment, wire, charge.amount)
        sending_coroutine = wire.send(request, key=sdk.key_for_vendor(wire, key, _KEY), parse=parse)
        return await with_payment_reference(wire, charge.amount, sending_coroutine)

    async def complete(
        self,
        wire: sdk.Wire,
        ref: sdk.Ref,
        returned: Mapping[str, str],  # noqa: ARG002 - the payment itself says more
        /,
        *,
        key: str,  # noqa: ARG002 - nothing moves
    ) -> Payment:
        """Get the outcome of a payment after the buyer has returned.

        Raises:
            PaymentDeclined: the payment was declined, or not confirmed in time.
        """
        payment = await self.get(wire, ref)
        if not is_ended(payment):
            return payment
        response = await wire.send(sdk.Request.get(url_of(PAYMENTS, ref.id, "actions")))
        authorizations = [
            action
            for action in sdk.read_answers(response)
            if action.text("type") == "Authorization"
        ]
        # The newest action comes first.
        decline = decline_of(next(iter(authorizations), sdk.Answer({})))
        if decline.vendor_code is None:
            decline = attrs.evolve(decline, vendor_code=payment.vendor_state)
        raise decline_error(decline, str(payment.ref))

    async def capture(
        self, wire: sdk.Wire, ref: sdk.Ref, amount: sdk.Money | None, /, *, final: bool, key: str
    ) -> Capture:
        """Request the capture of an authorised payment."""
        fields = _amount_fields(amount) | {"capture_type": "Final" if final else "NonFinal"}
        raw, action = await _step(wire, ref, "captures", fields, key)
        return Capture(
            ref=action,
            payment=ref,
            state=MoveState.PENDING,
            amount=amount or stated_amount(ref),
            raw=raw,
        )

    async def void(self, wire: sdk.Wire, ref: sdk.Ref, /, *, key: str) -> Void:
        """Request the release of the authorised amount that was not captured."""
        try:
            raw, action = await _step(wire, ref, "voids", {}, key)
        except sdk.VendorRejected:
            # An earlier request may have voided the payment.
            payment = await self.get(wire, ref)
            if payment.vendor_state != "Voided":
                raise
            return void_of(payment, word="Voided")
        return Void(ref=action, payment=ref, state=MoveState.PENDING, raw=raw)

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
        """Request a refund of an amount, by default of all that is not refunded yet."""
        refunded_amount = amount or await _refundable(wire, ref, key)
        fields = _amount_fields(refunded_amount)
        if reason is not None:
            fields["metadata"] = {"reason": reason.value}
        raw, action = await _step(wire, ref, "refunds", fields, key)
        return Refund(
            ref=action, payment=ref, state=MoveState.PENDING, amount=refunded_amount, raw=raw
        )

    async def get(self, wire: sdk.Wire, ref: sdk.Ref, /) -> Payment:
        """Get a payment."""
        response = await wire.send(sdk.Request.get(url_of(PAYMENTS, ref.id)))
        return read_payment(wire, stated_amount(ref), response)

    async def disputes(
        self, wire: sdk.Wire, query: PaymentQuery, after: sdk.Ref | None, /
    ) -> Page[Dispute]:
        """List disputes, most recently changed first."""
        start = 0 if after is None else _number_of(after)
        limit = min(query.limit, self.limits["page"])
        since = None if query.since is None else query.since.astimezone(UTC).isoformat()
        # Checkout.com filters by the last change, which may be later than the period.
        filters = {"limit": limit, "skip": start, "from": since}
        response = await wire.send(sdk.Request.get(_DISPUTES, query=filters))
        body = sdk.read_answer(response)
        if not sdk.is_list(body.raw.get("data")):
            raise sdk.malformed(response, "data")
        results = [dispute_of(wire.ref, item) for item in body.objects("data")]
        items = [item for item in results if item is not None]
        end = start + len(results)
        has_more = bool(results) and end < (body.integer("total_count") or 0)
        return Page(
            tuple(item for item in items if is_within(query, item.created_at)),
            wire.ref(str(end)) if has_more else None,
        )

    get_dispute = staticmethod(checkout_com_disputes.get_dispute)
    accept_dispute = staticmethod(checkout_com_disputes.accept_dispute)
    submit_evidence = staticmethod(checkout_com_disputes.submit_evidence)

    async def stored_means(
        self,
        wire: sdk.Wire,
        customer: str,
        after: sdk.Ref | None,  # noqa: ARG002 - all are listed at once
        /,
    ) -> Page[StoredMeans]:
        """List the stored cards of a customer."""
        response = await wire.send(sdk.Request.get(url_of("/customers", customer)))
        body = sdk.read_answer(response)
        if not sdk.is_list(body.raw.get("instruments", [])):
            raise sdk.malformed(response, "instruments")
        rows = [stored_of(wire.ref, item, customer) for item in body.objects("instruments")]
        return Page(tuple(item for item in rows if item is not None))

    async def remove_means(self, wire: sdk.Wire, ref: sdk.Ref, /, *, key: str) -> StoredMeans:
        """Delete a stored card; a repeat has no further effect."""
        request = sdk.Request.delete(url_of("/instruments", ref.id))
        try:
            stored: StoredMeans = await wire.send(
                request, key=sdk.key_for_vendor(wire, key, _KEY), parse=partial(removed, ref)
            )
        except sdk.VendorRejected as error:
            if not was_removed(error):
                raise
            return removed(ref)
        return stored


# --- requests --------------------------------------------------------------


def _amount_fields(amount: sdk.Money | None) -> dict[str, Any]:
    return {} if amount is None else {"amount": minor_of(amount)}


def _number_of(after: sdk.Ref) -> int:
    """The number of disputes on earlier pages."""
    if not after.id.isdecimal():
        raise sdk.InvalidData(
            "The cursor does not identify a page of disputes.",
            field="after",
            remedy="Pass the `next` of the previous page.",
        )
    return int(after.id)


async def _step(
    wire: sdk.Wire, ref: sdk.Ref, name: str, fields: Mapping[str, Any], key: str
) -> tuple[Any, sdk.Ref]:
    """Request a capture, void or refund; return the response and the action's reference."""
    request = sdk.Request.post(url_of(PAYMENTS, ref.id, name), json=fields)

    def parse(response: sdk.Response) -> tuple[Any, sdk.Ref]:
        body, action = read_action_id(response)
        return body.raw, wire.ref(action, payment=ref.id)

    step: tuple[Any, sdk.Ref] = await wire.send(
        request, key=sdk.key_for_vendor(wire, key, _KEY), parse=parse
    )
    return step


async def _refundable(wire: sdk.Wire, ref: sdk.Ref, key: str) -> sdk.Money:
    """The refundable amount; looked up once per key, so that repeats refund the same amount."""
    request = sdk.Request.get(url_of(PAYMENTS, ref.id))
    parse = partial(read_payment, wire, stated_amount(ref))
    vendor_key = sdk.key_for_vendor(wire, sdk.part_key(key, "left"), _KEY)
    return refundable_rest(await wire.send(request, key=vendor_key, parse=parse))
