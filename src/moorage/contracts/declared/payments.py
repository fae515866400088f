"""The contract of payments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.declaration import (
    Contract,
    Effect,
    Requirements,
    Target,
    changes,
    reads,
)
from moorage.contracts.payments import (
    Charge,
    DisputeEvidence,
    LinkRequest,
    PayeeTransfer,
    PaymentQuery,
    PaymentsCapability,
    RefundReason,
    StoreRequest,
    SubscriptionRequest,
    buyers,
    capture_needs,
    disputes,
    events,
    lines,
    links,
    payees,
    payout_items,
    requests,
    states,
    stored,
    subscriptions,
    unsettled,
    values,
)
from moorage.contracts.payments.events import PaymentEvent
from moorage.contracts.payments.requests import check_amount
from moorage.contracts.payments.subscriptions import check_change, subscription_needs
from moorage.contracts.ref import Ref
from moorage.contracts.validators import (
    as_table,
    check_kind,
    check_maybe,
    check_text,
    check_texts,
)
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.payments import (
        Capture,
        Dispute,
        Money,
        Page,
        PayeePayout,
        Payment,
        PaymentLink,
        Payout,
        PayoutItem,
        Refund,
        StoredMeans,
        Subscription,
        Void,
    )


_LOOK_UP: Final[Requirements[Payment]] = Requirements()
_VOID: Final[Requirements[Void]] = Requirements()
_LOOK_UP_REFUND: Final[Requirements[Refund]] = Requirements()


class PaymentsContract(Contract):
    """Takes payments by the vendor that the configuration chooses."""

    kind = "payments"
    capabilities = PaymentsCapability
    event = PaymentEvent
    values = (
        buyers,
        disputes,
        events,
        lines,
        links,
        payees,
        payout_items,
        requests,
        states,
        stored,
        subscriptions,
        unsettled,
        values,
    )
    flows = {"follow_up": Effect.NONE, "settle": Effect.IMMEDIATE}

    @changes(needs=PaymentsCapability.INTENT)
    def create_intent(
        self, charge: Charge, *, idempotency_key: str, timeout: float | None = None
    ) -> Requirements[Payment]:
        """Prepare a payment that the buyer continues in the vendor's form; no money moves yet.

        Args:
            charge: payment to prepare.
            idempotency_key: identifies this payment: a repeat returns the same payment.
            timeout: seconds for the whole operation.
        """
        check_kind(charge, Charge, "charge")
        return _charge_requirements(charge)

    @changes(needs=PaymentsCapability.AUTHORIZE)
    def authorize(
        self, charge: Charge, *, idempotency_key: str, timeout: float | None = None
    ) -> Requirements[Payment]:
        """Authorise an amount, to be captured or voided later.

        Args:
            charge: payment with its source.
            idempotency_key: identifies this payment: a repeat returns the same payment, never a
                second one.
            timeout: seconds for the whole operation.

        Raises:
            PaymentDeclined: the payment was declined for `reason`.
        """
        _check_source(charge)
        return _charge_requirements(charge)

    @changes()
    def charge(
        self, charge: Charge, *, idempotency_key: str, timeout: float | None = None
    ) -> Requirements[Payment]:
        """Charge an amount at once.

        Args:
            charge: payment with its source.
            idempotency_key: identifies this payment: a repeat returns the same payment, never a
                second one.
            timeout: seconds for the whole operation.

        Raises:
            PaymentDeclined: the payment was declined for `reason`.
        """
        _check_source(charge)
        return _charge_requirements(charge)

    @changes(target=Target.REFERENCE, needs=PaymentsCapability.COMPLETE)
    def complete(
        self,
        ref: Ref | str,
        returned: Mapping[str, str] | None = None,
        *,
        idempotency_key: str,
        timeout: float | None = None,
    ) -> Requirements[Payment]:
        """Continue a payment after the buyer has taken its next action.

        Args:
            ref: reference of the payment.
            returned: values that the buyer came back with, such as the parameters of the return
                URL.
            idempotency_key: identifies this step.
            timeout: seconds for the whole operation.

        Raises:
            PaymentDeclined: the payment was declined for `reason`.
        """
        fields = as_table({} if returned is None else returned)
        check_texts(fields, "returned")
        return Requirements(arguments={"returned": fields})

    @changes(target=Target.REFERENCE, needs=PaymentsCapability.AUTHORIZE)
    def capture(
        self,
        ref: Ref | str,
        amount: Money | None = None,
        *,
        idempotency_key: str,
        final: bool = True,
        timeout: float | None = None,
    ) -> Requirements[Capture]:
        """Capture an authorised payment, or a part of it.

        Args:
            ref: reference of the payment.
            amount: amount to capture; all of it by default. Less than all of it needs a vendor
                with the capability `partial_capture`.
            idempotency_key: identifies this capture.
            final: True to void the rest, False to leave it for later captures.
            timeout: seconds for the whole operation.
        """
        check_kind(final, bool, "final")
        _check_some(amount)
        return Requirements(needs=capture_needs(Ref.parse(ref), amount, final=final))

    @changes(target=Target.REFERENCE, needs=PaymentsCapability.VOID)
    def void(
        self, ref: Ref | str, *, idempotency_key: str, timeout: float | None = None
    ) -> Requirements[Void]:
        """Void the authorised amount that is not captured, or cancel a payment that is pending.

        Args:
            ref: reference of the payment.
            idempotency_key: identifies this void.
            timeout: seconds for the whole operation.
        """
        return _VOID

    @changes(target=Target.REFERENCE)
    def refund(
        self,
        ref: Ref | str,
        amount: Money | None = None,
        *,
        idempotency_key: str,
        reason: RefundReason | str | None = None,
        timeout: float | None = None,
    ) -> Requirements[Refund]:
        """Refund a captured payment, or a part of it.

        Args:
            ref: reference of the payment.
            amount: amount to refund; the whole rest by default.
            idempotency_key: identifies this refund: another part needs another key.
            reason: reason, also as a string such as "duplicate".
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the amount exceeds the refundable rest; or no amount is given, and
                the vendor cannot report the rest after an earlier partial refund.
        """
        refund_reason = None if reason is None else RefundReason(reason)
        _check_some(amount)
        return Requirements(arguments={"reason": refund_reason})

    @reads(target=Target.PAGE, needs=PaymentsCapability.LIST)
    def payments(
        self,
        query: PaymentQuery | None = None,
        *,
        after: Ref | str | None = None,
        account: str | None = None,
        timeout: float | None = None,
    ) -> Requirements[Page[Payment]]:
        """Get a page of the vendor's list of payments.

        Args:
            query: filter of the list.
            after: the `next` of the previous page.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        return _page(query, after, account)

    @reads(target=Target.PAGE, needs=PaymentsCapability.DISPUTES)
    def disputes(
        self,
        query: PaymentQuery | None = None,
        *,
        after: Ref | str | None = None,
        account: str | None = None,
        timeout: float | None = None,
    ) -> Requirements[Page[Dispute]]:
        """Get a page of the vendor's list of disputes.

        Args:
            query: filter of the list.
            after: the `next` of the previous page.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        return _page(query, after, account)

    @reads(target=Target.REFERENCE, needs=PaymentsCapability.LOOK_UP_DISPUTE)
    def get_dispute(self, ref: Ref | str, *, timeout: float | None = None) -> Requirements[Dispute]:
        """Get the current state of a dispute."""
        return Requirements()

    @changes(target=Target.REFERENCE, needs=PaymentsCapability.ACCEPT_DISPUTE)
    def accept_dispute(
        self, ref: Ref | str, *, idempotency_key: str, timeout: float | None = None
    ) -> Requirements[Dispute]:
        """Accept a dispute, so that the buyer keeps the money; this cannot be undone.

        Args:
            ref: reference of the dispute.
            idempotency_key: identifies this step.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the dispute is over, or there was a response to it before. Some
                vendors return a
                dispute that was accepted before.
        """
        return Requirements()

    @changes(target=Target.REFERENCE, needs=PaymentsCapability.DISPUTE_EVIDENCE)
    def submit_evidence(
        self,
        ref: Ref | str,
        evidence: DisputeEvidence,
        *,
        idempotency_key: str,
        timeout: float | None = None,
    ) -> Requirements[Dispute]:
        """Respond to a dispute with evidence, which is sent to the buyer's bank at once.

        Args:
            ref: reference of the dispute.
            evidence: evidence that the payment was right.
            idempotency_key: identifies this response: a repeat sends no second one.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the dispute is over, or there was a response to it before. Some
                vendors accept
                further evidence.
        """
        check_kind(evidence, DisputeEvidence, "evidence")
        return Requirements()

    @reads(target=Target.PAGE, needs=PaymentsCapability.PAYOUTS)
    def payouts(
        self,
        query: PaymentQuery | None = None,
        *,
        after: Ref | str | None = None,
        account: str | None = None,
        timeout: float | None = None,
    ) -> Requirements[Page[Payout]]:
        """Get a page of the vendor's list of payouts to your bank.

        Args:
            query: filter of the list.
            after: the `next` of the previous page.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        return _page(query, after, account)

    @reads(target=Target.REFERENCE, needs=PaymentsCapability.LOOK_UP)
    def get(self, ref: Ref | str, *, timeout: float | None = None) -> Requirements[Payment]:
        """Get the current state of a payment."""
        return _LOOK_UP

    @reads(target=Target.REFERENCE, needs=PaymentsCapability.LOOK_UP_REFUND)
    def get_refund(self, ref: Ref | str, *, timeout: float | None = None) -> Requirements[Refund]:
        """Get the current state of a refund, by its own reference."""
        return _LOOK_UP_REFUND

    @reads(target=Target.REFERENCE, needs=PaymentsCapability.PAYOUT_ITEMS)
    def payout_items(
        self,
        ref: Ref | str,
        *,
        after: Ref | str | None = None,
        timeout: float | None = None,
    ) -> Requirements[Page[PayoutItem]]:
        """Get a page of the transactions in a payout, with their fees.

        Args:
            ref: reference of the payout.
            after: the `next` of the previous page.
            timeout: seconds for the whole operation.
        """
        start = None if after is None else Ref.parse(after, "after")
        return Requirements(arguments={"after": start})

    @changes(deferrable=False, needs=PaymentsCapability.PAYEES)
    def pay_payee(
        self, transfer: PayeeTransfer, *, idempotency_key: str, timeout: float | None = None
    ) -> Requirements[PayeePayout]:
        """Send money to a payee.

        Args:
            transfer: amount and payee.
            idempotency_key: identifies this transfer: a repeat sends no second transfer.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the vendor refuses the payee or the amount; nothing was sent.
        """
        check_kind(transfer, PayeeTransfer, "transfer")
        return Requirements(currency=transfer.amount.currency)

    @reads(target=Target.REFERENCE, needs=PaymentsCapability.PAYEES)
    def get_payee_payout(
        self, ref: Ref | str, *, timeout: float | None = None
    ) -> Requirements[PayeePayout]:
        """Get the current state of money that was sent to a payee."""
        return Requirements()

    @changes(deferrable=False, needs=PaymentsCapability.SUBSCRIPTIONS)
    def create_subscription(
        self,
        subscription: SubscriptionRequest,
        *,
        idempotency_key: str,
        timeout: float | None = None,
    ) -> Requirements[Subscription]:
        """Create a subscription that charges a means of payment again and again.

        Without a source, it is pending until the buyer has taken its `next_action`.

        Args:
            subscription: amount, interval and means of payment.
            idempotency_key: identifies this subscription: a repeat creates no second subscription.
            timeout: seconds for the whole operation.

        Raises:
            PaymentDeclined: the first charge was declined for `reason`; there is no subscription.
        """
        check_kind(subscription, SubscriptionRequest, "subscription")
        return Requirements(needs=subscription.needs, currency=subscription.amount.currency)

    @reads(target=Target.REFERENCE, needs=PaymentsCapability.SUBSCRIPTIONS)
    def get_subscription(
        self, ref: Ref | str, *, timeout: float | None = None
    ) -> Requirements[Subscription]:
        """Get the current state of a subscription."""
        return Requirements()

    @changes(target=Target.REFERENCE, needs=PaymentsCapability.SUBSCRIPTIONS)
    def change_subscription(
        self,
        ref: Ref | str,
        *,
        idempotency_key: str,
        amount: Money | None = None,
        quantity: int | None = None,
        timeout: float | None = None,
    ) -> Requirements[Subscription]:
        """Change the amount or the quantity of a subscription from its next charge on.

        Nothing is charged or credited for the current period. If the returned subscription has a
        `next_action`, the change takes effect once the buyer has taken that step.

        Args:
            ref: reference of the subscription.
            idempotency_key: identifies this change.
            amount: new amount of one charge, for one piece; unchanged by default.
            quantity: new number of pieces; unchanged by default.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the subscription is over.
        """
        check_change(Ref.parse(ref), amount, quantity)
        return Requirements(needs=subscription_needs(quantity))

    @changes(target=Target.REFERENCE, needs=PaymentsCapability.SUBSCRIPTIONS)
    def cancel_subscription(
        self,
        ref: Ref | str,
        *,
        idempotency_key: str,
        at_period_end: bool = False,
        timeout: float | None = None,
    ) -> Requirements[Subscription]:
        """Cancel a subscription, so that it is charged no more; nothing is refunded.

        A subscription that is cancelled already is returned as it is.

        Args:
            ref: reference of the subscription.
            idempotency_key: identifies this step.
            at_period_end: True to let the current period end first, which needs a vendor with the
                capability `subscription_period_end`.
            timeout: seconds for the whole operation.
        """
        check_kind(at_period_end, bool, "at_period_end")
        needs = {PaymentsCapability.SUBSCRIPTIONS}
        if at_period_end:
            needs.add(PaymentsCapability.SUBSCRIPTION_PERIOD_END)
        return Requirements(needs=needs)

    @reads(target=Target.PAGE, needs=PaymentsCapability.SUBSCRIPTIONS)
    def list_subscriptions(
        self,
        query: PaymentQuery | None = None,
        *,
        after: Ref | str | None = None,
        account: str | None = None,
        timeout: float | None = None,
    ) -> Requirements[Page[Subscription]]:
        """Get a page of the vendor's list of subscriptions, including those that have ended.

        Args:
            query: filter of the list.
            after: the `next` of the previous page.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        return _page(query, after, account)

    @changes(deferrable=False, needs=PaymentsCapability.STORE_MEANS)
    def store_means(
        self, request: StoreRequest, *, idempotency_key: str, timeout: float | None = None
    ) -> Requirements[StoredMeans]:
        """Store a means of payment for later payments; nothing is charged.

        Args:
            request: means of payment, and the buyer whom it belongs to.
            idempotency_key: identifies this request: a repeat returns the same stored means.
            timeout: seconds for the whole operation.

        Raises:
            PaymentDeclined: the bank refused the means for `reason`.
        """
        check_kind(request, StoreRequest, "request")
        country = request.customer.country
        return Requirements(
            country=None if country is None else country.upper(),
        )

    @reads(target=Target.PAGE, needs=PaymentsCapability.STORED_MEANS)
    def stored_means(
        self,
        customer: str,
        *,
        after: Ref | str | None = None,
        account: str | None = None,
        timeout: float | None = None,
    ) -> Requirements[Page[StoredMeans]]:
        """Get a page of the means of payment that are stored for a buyer.

        Args:
            customer: the vendor's id of the buyer.
            after: the `next` of the previous page.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        check_text(customer, "customer")
        check_maybe(account, str, "account")
        start = None if after is None else Ref.parse(after, "after")
        return Requirements(arguments={"after": start})

    @changes(target=Target.REFERENCE, needs=PaymentsCapability.STORED_MEANS)
    def remove_means(
        self, ref: Ref | str, *, idempotency_key: str, timeout: float | None = None
    ) -> Requirements[StoredMeans]:
        """Remove a stored means of payment, so that it can no longer be charged.

        Args:
            ref: reference of the stored means.
            idempotency_key: identifies this removal.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the vendor does not know the means. Some vendors do not know a means
                after its removal either; the others return it as removed.
        """
        return Requirements()

    @changes(deferrable=False, needs=PaymentsCapability.LINKS)
    def create_link(
        self, link: LinkRequest, *, idempotency_key: str, timeout: float | None = None
    ) -> Requirements[PaymentLink]:
        """Create a page at the vendor on which a buyer pays one amount once.

        Args:
            link: amount and reference of the payment.
            idempotency_key: identifies this link: a repeat returns the same link.
            timeout: seconds for the whole operation.
        """
        check_kind(link, LinkRequest, "link")
        return Requirements(needs=link.needs, currency=link.amount.currency)

    @reads(target=Target.REFERENCE, needs=PaymentsCapability.LINKS)
    def get_link(
        self, ref: Ref | str, *, timeout: float | None = None
    ) -> Requirements[PaymentLink]:
        """Get the current state of a payment link."""
        return Requirements()

    @changes(target=Target.REFERENCE, needs=PaymentsCapability.LINKS)
    def close_link(
        self, ref: Ref | str, *, idempotency_key: str, timeout: float | None = None
    ) -> Requirements[PaymentLink]:
        """Close a payment link, so that it takes no payment any more.

        Args:
            ref: reference of the link.
            idempotency_key: identifies this step.
            timeout: seconds for the whole operation.
        """
        return Requirements()


def _charge_requirements(charge: Charge) -> Requirements[Payment]:
    return Requirements(needs=charge.needs, country=charge.country, currency=charge.amount.currency)


def _check_source(charge: Charge) -> None:
    check_kind(charge, Charge, "charge")
    if charge.source is None:
        raise InvalidData(
            "The payment must have a source, which says what the buyer pays with.",
            field="source",
            remedy="Give the token of the vendor, or create a payment intent that the buyer"
            " completes.",
        )


def _check_some(amount: object) -> None:
    """Refuse any value except None or a positive amount."""
    if amount is not None:
        check_amount(amount)


def _page(
    query: PaymentQuery | None,
    after: Ref | str | None,
    account: str | None,
) -> Requirements[Any]:
    query = PaymentQuery() if query is None else query
    check_kind(query, PaymentQuery, "query")
    check_maybe(account, str, "account")
    start = None if after is None else Ref.parse(after, "after")
    return Requirements(arguments={"query": query, "after": start})
