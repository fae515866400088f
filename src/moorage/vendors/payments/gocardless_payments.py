"""GoCardless: payments and subscriptions by bank debit, with mandates and pages for buyers.

A payment against a mandate stays pending for days, until the bank has collected it or collecting
has failed. There is no authorisation before. Until a payment is submitted to the banks, it can be
cancelled.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import (
    Charge,
    DeclineReason,
    Page,
    Payment,
    PaymentEvent,
    PaymentQuery,
    PaymentsCapability,
    Payout,
    Refund,
    RefundReason,
    StoredMeans,
    Subscription,
    SubscriptionRequest,
    Void,
)
from moorage.vendors.payments._common import (
    events_of,
    refundable_rest,
    return_url_option,
    url_of,
    void_of,
)
from moorage.vendors.payments._gocardless_payments_answers import (
    CANCELLED,
    FULFILLED,
    UNITS,
    classify,
    mandate_of,
    payment_of,
    payout_of,
    read_current,
    read_events,
    read_flow,
    read_mandate,
    read_payment,
    read_refund,
    read_request,
)
from moorage.vendors.payments._gocardless_payments_requests import (
    MOST_TEXTS,
    flow_fields,
    payment_fields,
    request_fields,
)
from moorage.vendors.payments._gocardless_payments_steps import (
    LONGEST_KEY,
    cancel_object,
    create_object,
    get_object,
    list_objects,
    send_once,
)
from moorage.vendors.payments._gocardless_payments_subscriptions import (
    SUBSCRIPTIONS,
    read_subscription,
    subscription_event,
    subscription_fields,
    subscription_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


API_VERSION: Final = "2015-07-06"
_LIVE: Final = "https://api.gocardless.com"
_PAYMENTS: Final = "/payments"
_REQUESTS: Final = "/billing_requests"
_FLOWS: Final = "/billing_request_flows"
_REFUNDS: Final = "/refunds"
_MANDATES: Final = "/mandates"
_REQUEST_ID: Final = "BRQ"
_KEYS: Final = sdk.VendorKeys(
    # GoCardless publishes no retention time; an hour covers the usual repeats.
    memory=3_600.0,
    repeat=sdk.RepeatedKey.CONFLICT,
    documentation=("https://gocardless.com/blog/idempotency-keys/",),
    header="Idempotency-Key",
)


@attrs.frozen(kw_only=True)
class GoCardlessPayments(sdk.ApiVendor):
    """An account at GoCardless that collects payments.

    Attributes:
        credentials: access token; by default the credential provider supplies it.
        return_url: URL that buyers return to, unless a charge has its own.
        base_url: URL of GoCardless; its sandbox is https://api-sandbox.gocardless.com.
    """

    name = "gocardless_payments"
    kinds = ("payments",)
    api_version = API_VERSION
    capabilities = sdk.members_of(
        PaymentsCapability,
        "intent complete void look_up look_up_refund list payouts off_session store_method"
        " statement_descriptor stored_means subscriptions subscription_source",
    )
    limits: ClassVar[Mapping[str, int]] = {"metadata": MOST_TEXTS, "page": 500}
    modes = sdk.url_modes(live=_LIVE, test="https://api-sandbox.gocardless.com")
    webhook = "gocardless"
    idempotency = _KEYS
    unknown_outcomes: ClassVar[Mapping[str, sdk.UnknownOutcome]] = {
        **sdk.words(
            sdk.UnknownOutcome.ASKED_AGAIN, "create_intent charge refund create_subscription"
        ),
        **sdk.words(sdk.UnknownOutcome.REPEATED, "complete void"),
    }

    refusals = staticmethod(classify)
    headers: ClassVar[Mapping[str, str]] = {"GoCardless-Version": API_VERSION}
    ping_path = _PAYMENTS
    ping_query: ClassVar[Mapping[str, int]] = {"limit": 1}

    return_url: str | None = return_url_option()
    base_url: str = _LIVE

    async def create_intent(self, wire: sdk.Wire, charge: Charge, /, *, key: str) -> Payment:
        """Create a page where the buyer pays and, if requested, agrees to later payments.

        The payment itself begins when the buyer has agreed; `complete` and `get` return it.
        """
        fields = request_fields(charge)
        payment = await create_object(wire, _REQUESTS, fields, key, read_request)
        flow = flow_fields(charge, charge.return_url or self.return_url, payment.ref)
        request = sdk.Request.post(_FLOWS, json={"billing_request_flows": flow})
        flow_key = sdk.key_for_vendor(wire, sdk.part_key(key, "flow"), LONGEST_KEY)
        action = await wire.send(request, key=flow_key, parse=read_flow)
        return attrs.evolve(payment, next_action=action)

    async def charge(self, wire: sdk.Wire, charge: Charge, /, *, key: str) -> Payment:
        """Request a payment by mandate; the outcome is known some days later."""
        payment = await create_object(wire, _PAYMENTS, payment_fields(charge), key, read_payment)
        if payment.amount != charge.amount:
            raise sdk.IdempotencyConflict(
                "GoCardless received this key before, with a payment of another amount."
            )
        return payment

    async def complete(
        self,
        wire: sdk.Wire,
        ref: sdk.Ref,
        returned: Mapping[str, str],  # noqa: ARG002 - the billing request itself says more
        /,
        *,
        key: str,  # noqa: ARG002 - nothing moves
    ) -> Payment:
        """Get the payment after the buyer has returned.

        Raises:
            PaymentDeclined: the page was cancelled.
        """
        payment = await self.get(wire, ref)
        if payment.ref.id.startswith(_REQUEST_ID) and payment.vendor_state == CANCELLED:
            raise sdk.PaymentDeclined(
                "The billing request was cancelled, and nothing was paid.",
                reason=DeclineReason.CANCELED_BY_BUYER,
                payment=str(payment.ref),
                vendor_code=CANCELLED,
            )
        return payment

    async def void(self, wire: sdk.Wire, ref: sdk.Ref, /, *, key: str) -> Void:
        """Cancel a payment not yet submitted to the banks, or a payment page not used yet."""
        is_request = ref.id.startswith(_REQUEST_ID)
        path, parse = (_REQUESTS, read_request) if is_request else (_PAYMENTS, read_payment)
        payment = await cancel_object(wire, path, ref, key, parse, look_up=self.get)
        return void_of(payment, word=CANCELLED)

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
        """Refund a collected payment; without an amount, refund all that is not refunded yet."""
        request = sdk.Request.get(url_of(_PAYMENTS, ref.id))
        # A repeat must confirm the same total amount.
        first_key = sdk.key_for_vendor(wire, sdk.part_key(key, "before"), LONGEST_KEY)
        payment = await wire.send(request, key=first_key, parse=partial(read_payment, wire))
        refunded_amount = amount or refundable_rest(payment)
        total = refunded_amount if payment.refunded is None else payment.refunded + refunded_amount
        fields: dict[str, Any] = {
            "amount": UNITS.to_minor(refunded_amount),
            "total_amount_confirmation": UNITS.to_minor(total),
            "links": {"payment": ref.id},
        }
        if reason is not None:
            fields["metadata"] = {"reason": reason.value}
        refund = await create_object(wire, _REFUNDS, fields, key, read_refund)
        return attrs.evolve(refund, payment=ref)

    async def get(self, wire: sdk.Wire, ref: sdk.Ref, /) -> Payment:
        """Get a payment; for a reference to a payment page, get the payment made on that page."""
        if not ref.id.startswith(_REQUEST_ID):
            return await get_object(wire, _PAYMENTS, ref.id, read_current)
        payment = await get_object(wire, _REQUESTS, ref.id, read_request)
        payment_id = payment.raw.get("links", {}).get("payment_request_payment")
        if payment.vendor_state != FULFILLED or not isinstance(payment_id, str):
            return payment
        return await get_object(wire, _PAYMENTS, payment_id, read_current)

    async def get_refund(self, wire: sdk.Wire, ref: sdk.Ref, /) -> Refund:
        """Get a refund."""
        return await get_object(wire, _REFUNDS, ref.id, read_refund)

    async def payments(
        self, wire: sdk.Wire, query: PaymentQuery, after: sdk.Ref | None, /
    ) -> Page[Payment]:
        """List payments, newest first."""
        return await list_objects(wire, _PAYMENTS, _filters(self, query), after, payment_of)

    async def payouts(
        self, wire: sdk.Wire, query: PaymentQuery, after: sdk.Ref | None, /
    ) -> Page[Payout]:
        """List payouts, newest first."""
        return await list_objects(wire, "/payouts", _filters(self, query), after, payout_of)

    async def stored_means(
        self, wire: sdk.Wire, customer: str, after: sdk.Ref | None, /
    ) -> Page[StoredMeans]:
        """List a customer's chargeable mandates."""
        filters = {"customer": customer, "status": "pending_submission,submitted,active"}
        return await list_objects(wire, _MANDATES, filters, after, mandate_of)

    async def remove_means(self, wire: sdk.Wire, ref: sdk.Ref, /, *, key: str) -> StoredMeans:
        """Cancel a mandate; GoCardless also cancels its payments not yet submitted to the banks."""
        return await cancel_object(wire, _MANDATES, ref, key, read_mandate, look_up=_found_mandate)

    async def create_subscription(
        self, wire: sdk.Wire, request: SubscriptionRequest, /, *, key: str
    ) -> Subscription:
        """Create a subscription that charges a mandate."""
        fields = subscription_fields(request)
        return await create_object(wire, SUBSCRIPTIONS, fields, key, read_subscription)

    async def get_subscription(self, wire: sdk.Wire, ref: sdk.Ref, /) -> Subscription:
        """Get a subscription."""
        return await get_object(wire, SUBSCRIPTIONS, ref.id, read_subscription)

    async def change_subscription(
        self,
        wire: sdk.Wire,
        ref: sdk.Ref,
        /,
        *,
        amount: sdk.Money,
        quantity: None,  # noqa: ARG002 - GoCardless has no quantities
        key: str,
    ) -> Subscription:
        """Change a subscription's amount for payments not yet created."""
        fields = {"subscriptions": {"amount": UNITS.to_minor(amount)}}
        request = sdk.Request.put(url_of(SUBSCRIPTIONS, ref.id), json=fields)
        return await send_once(wire, request, key, read_subscription)

    async def cancel_subscription(
        self,
        wire: sdk.Wire,
        ref: sdk.Ref,
        /,
        *,
        at_period_end: bool,  # noqa: ARG002 - GoCardless cancels at once
        key: str,
    ) -> Subscription:
        """Cancel a subscription at once; existing payments are still collected."""
        read, look_up = read_subscription, self.get_subscription
        return await cancel_object(wire, SUBSCRIPTIONS, ref, key, read, look_up=look_up)

    async def list_subscriptions(
        self, wire: sdk.Wire, query: PaymentQuery, after: sdk.Ref | None, /
    ) -> Page[Subscription]:
        """List subscriptions in all states, newest first."""
        read_one = partial(subscription_of, now=wire.now())
        return await list_objects(wire, SUBSCRIPTIONS, _filters(self, query), after, read_one)

    def events(self, event: sdk.WebhookEvent, ref: sdk.MakeRef) -> tuple[PaymentEvent, ...]:
        """Convert a webhook to events of payments, pages, refunds, payouts and subscriptions."""
        body = sdk.as_answer(event.data)
        if body.text("resource_type") == SUBSCRIPTIONS[1:]:
            return events_of(event, subscription_event(ref, body))
        return read_events(event, ref)


def _filters(vendor: GoCardlessPayments, query: PaymentQuery) -> dict[str, Any]:
    return {
        "limit": min(query.limit, vendor.limits["page"]),
        "created_at[gte]": None if query.since is None else query.since.isoformat(),
        "created_at[lt]": None if query.until is None else query.until.isoformat(),
    }


async def _found_mandate(wire: sdk.Wire, ref: sdk.Ref) -> StoredMeans:
    return await get_object(wire, _MANDATES, ref.id, read_mandate)
