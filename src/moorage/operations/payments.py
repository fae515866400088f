"""The operations on payments for users, synchronous and asynchronous.

Written by tools/operations.py from the declarations in contracts/declared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.domain.values.uncopyable import Uncopyable
from moorage.runtime.flows import run_now
from moorage.services.contracts.live_configuration import CurrentOperations
from moorage.services.contracts.payments import PaymentsFlows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from moorage.contracts.payments import (
        Capture,
        Charge,
        Dispute,
        DisputeEvidence,
        LinkRequest,
        Money,
        Page,
        PayeePayout,
        PayeeTransfer,
        Payment,
        PaymentEvent,
        PaymentLink,
        PaymentQuery,
        Payout,
        PayoutItem,
        Refund,
        RefundReason,
        StoredMeans,
        StoreRequest,
        Subscription,
        SubscriptionRequest,
        Unsettled,
        Void,
    )
    from moorage.contracts.ref import Ref
    from moorage.domain.values.result import Result
    from moorage.services.contracts.live_configuration import FindDispatcher


class Payments(Uncopyable):
    """Takes payments by the vendor that the configuration chooses."""

    def __init__(self, find_dispatcher: FindDispatcher, tenant: str | None) -> None:
        self._flows = CurrentOperations(PaymentsFlows, find_dispatcher, tenant)

    def follow_up(self, event: PaymentEvent, *, timeout: float | None = None) -> PaymentEvent:
        """Return a payment event with all fields, fetched from the vendor if they are missing.

        Only the id is read from an incomplete event, so a forged event can only cause a look-up at
        the vendor.

        Args:
            event: event from `Hub.events`; a complete event is returned unchanged.
            timeout: seconds for asking the vendor.
        """
        return run_now(self._flows.run(PaymentsFlows.follow_up, event, timeout=timeout))

    def settle(
        self,
        payments: Iterable[Ref | str | Unsettled],
        *,
        timeout: float | None = None,
        at_once: int = 8,
    ) -> list[Result[Payment]]:
        """Get the current state of several payments, and return the results in order.

        Args:
            payments: references of payments, and `Unsettled` for payments without a reference:
                these are sent again under their key, which has no second effect.
            timeout: seconds for each payment.
            at_once: maximum number of concurrent requests.
        """
        return run_now(
            self._flows.run(PaymentsFlows.settle, payments, timeout=timeout, at_once=at_once)
        )

    def create_intent(
        self, charge: Charge, *, idempotency_key: str, timeout: float | None = None
    ) -> Payment:
        """Prepare a payment that the buyer continues in the vendor's form; no money moves yet.

        Args:
            charge: payment to prepare.
            idempotency_key: identifies this payment: a repeat returns the same payment.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(
                PaymentsFlows.create_intent,
                charge,
                idempotency_key=idempotency_key,
                timeout=timeout,
            )
        )

    def authorize(
        self, charge: Charge, *, idempotency_key: str, timeout: float | None = None
    ) -> Payment:
        """Authorise an amount, to be captured or voided later.

        Args:
            charge: payment with its source.
            idempotency_key: identifies this payment: a repeat returns the same payment, never a
                second one.
            timeout: seconds for the whole operation.

        Raises:
            PaymentDeclined: the payment was declined for `reason`.
        """
        return run_now(
            self._flows.run(
                PaymentsFlows.authorize, charge, idempotency_key=idempotency_key, timeout=timeout
            )
        )

    def charge(
        self, charge: Charge, *, idempotency_key: str, timeout: float | None = None
    ) -> Payment:
        """Charge an amount at once.

        Args:
            charge: payment with its source.
            idempotency_key: identifies this payment: a repeat returns the same payment, never a
                second one.
            timeout: seconds for the whole operation.

        Raises:
            PaymentDeclined: the payment was declined for `reason`.
        """
        return run_now(
            self._flows.run(
                PaymentsFlows.charge, charge, idempotency_key=idempotency_key, timeout=timeout
            )
        )

    def complete(
        self,
        ref: Ref | str,
        returned: Mapping[str, str] | None = None,
        *,
        idempotency_key: str,
        timeout: float | None = None,
    ) -> Payment:
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
        return run_now(
            self._flows.run(
                PaymentsFlows.complete,
                ref,
                returned,
                idempotency_key=idempotency_key,
                timeout=timeout,
            )
        )

    def capture(
        self,
        ref: Ref | str,
        amount: Money | None = None,
        *,
        idempotency_key: str,
        final: bool = True,
        timeout: float | None = None,
    ) -> Capture:
        """Capture an authorised payment, or a part of it.

        Args:
            ref: reference of the payment.
            amount: amount to capture; all of it by default. Less than all of it needs a vendor
                with the capability `partial_capture`.
            idempotency_key: identifies this capture.
            final: True to void the rest, False to leave it for later captures.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(
                PaymentsFlows.capture,
                ref,
                amount,
                idempotency_key=idempotency_key,
                final=final,
                timeout=timeout,
            )
        )

    def void(self, ref: Ref | str, *, idempotency_key: str, timeout: float | None = None) -> Void:
        """Void the authorised amount that is not captured, or cancel a payment that is pending.

        Args:
            ref: reference of the payment.
            idempotency_key: identifies this void.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(
                PaymentsFlows.void, ref, idempotency_key=idempotency_key, timeout=timeout
            )
        )

    def refund(
        self,
        ref: Ref | str,
        amount: Money | None = None,
        *,
        idempotency_key: str,
        reason: RefundReason | str | None = None,
        timeout: float | None = None,
    ) -> Refund:
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
        return run_now(
            self._flows.run(
                PaymentsFlows.refund,
                ref,
                amount,
                idempotency_key=idempotency_key,
                reason=reason,
                timeout=timeout,
            )
        )

    def payments(
        self,
        query: PaymentQuery | None = None,
        *,
        after: Ref | str | None = None,
        account: str | None = None,
        timeout: float | None = None,
    ) -> Page[Payment]:
        """Get a page of the vendor's list of payments.

        Args:
            query: filter of the list.
            after: the `next` of the previous page.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(
                PaymentsFlows.payments, query, after=after, account=account, timeout=timeout
            )
        )

    def disputes(
        self,
        query: PaymentQuery | None = None,
        *,
        after: Ref | str | None = None,
        account: str | None = None,
        timeout: float | None = None,
    ) -> Page[Dispute]:
        """Get a page of the vendor's list of disputes.

        Args:
            query: filter of the list.
            after: the `next` of the previous page.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(
                PaymentsFlows.disputes, query, after=after, account=account, timeout=timeout
            )
        )

    def get_dispute(self, ref: Ref | str, *, timeout: float | None = None) -> Dispute:
        """Get the current state of a dispute."""
        return run_now(self._flows.run(PaymentsFlows.get_dispute, ref, timeout=timeout))

    def accept_dispute(
        self, ref: Ref | str, *, idempotency_key: str, timeout: float | None = None
    ) -> Dispute:
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
        return run_now(
            self._flows.run(
                PaymentsFlows.accept_dispute, ref, idempotency_key=idempotency_key, timeout=timeout
            )
        )

    def submit_evidence(
        self,
        ref: Ref | str,
        evidence: DisputeEvidence,
        *,
        idempotency_key: str,
        timeout: float | None = None,
    ) -> Dispute:
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
        return run_now(
            self._flows.run(
                PaymentsFlows.submit_evidence,
                ref,
                evidence,
                idempotency_key=idempotency_key,
                timeout=timeout,
            )
        )

    def payouts(
        self,
        query: PaymentQuery | None = None,
        *,
        after: Ref | str | None = None,
        account: str | None = None,
        timeout: float | None = None,
    ) -> Page[Payout]:
        """Get a page of the vendor's list of payouts to your bank.

        Args:
            query: filter of the list.
            after: the `next` of the previous page.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(
                PaymentsFlows.payouts, query, after=after, account=account, timeout=timeout
            )
        )

    def get(self, ref: Ref | str, *, timeout: float | None = None) -> Payment:
        """Get the current state of a payment."""
        return run_now(self._flows.run(PaymentsFlows.get, ref, timeout=timeout))

    def get_refund(self, ref: Ref | str, *, timeout: float | None = None) -> Refund:
        """Get the current state of a refund, by its own reference."""
        return run_now(self._flows.run(PaymentsFlows.get_refund, ref, timeout=timeout))

    def payout_items(
        self, ref: Ref | str, *, after: Ref | str | None = None, timeout: float | None = None
    ) -> Page[PayoutItem]:
        """Get a page of the transactions in a payout, with their fees.

        Args:
            ref: reference of the payout.
            after: the `next` of the previous page.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(PaymentsFlows.payout_items, ref, after=after, timeout=timeout)
        )

    def pay_payee(
        self, transfer: PayeeTransfer, *, idempotency_key: str, timeout: float | None = None
    ) -> PayeePayout:
        """Send money to a payee.

        Args:
            transfer: amount and payee.
            idempotency_key: identifies this transfer: a repeat sends no second transfer.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the vendor refuses the payee or the amount; nothing was sent.
        """
        return run_now(
            self._flows.run(
                PaymentsFlows.pay_payee, transfer, idempotency_key=idempotency_key, timeout=timeout
            )
        )

    def get_payee_payout(self, ref: Ref | str, *, timeout: float | None = None) -> PayeePayout:
        """Get the current state of money that was sent to a payee."""
        return run_now(self._flows.run(PaymentsFlows.get_payee_payout, ref, timeout=timeout))

    def create_subscription(
        self,
        subscription: SubscriptionRequest,
        *,
        idempotency_key: str,
        timeout: float | None = None,
    ) -> Subscription:
        """Create a subscription that charges a means of payment again and again.

        Without a source, it is pending until the buyer has taken its `next_action`.

        Args:
            subscription: amount, interval and means of payment.
            idempotency_key: identifies this subscription: a repeat creates no second subscription.
            timeout: seconds for the whole operation.

        Raises:
            PaymentDeclined: the first charge was declined for `reason`; there is no subscription.
        """
        return run_now(
            self._flows.run(
                PaymentsFlows.create_subscription,
                subscription,
                idempotency_key=idempotency_key,
                timeout=timeout,
            )
        )

    def get_subscription(self, ref: Ref | str, *, timeout: float | None = None) -> Subscription:
        """Get the current state of a subscription."""
        return run_now(self._flows.run(PaymentsFlows.get_subscription, ref, timeout=timeout))

    def change_subscription(
        self,
        ref: Ref | str,
        *,
        idempotency_key: str,
        amount: Money | None = None,
        quantity: int | None = None,
        timeout: float | None = None,
    ) -> Subscription:
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
        return run_now(
            self._flows.run(
                PaymentsFlows.change_subscription,
                ref,
                idempotency_key=idempotency_key,
                amount=amount,
                quantity=quantity,
                timeout=timeout,
            )
        )

    def cancel_subscription(
        self,
        ref: Ref | str,
        *,
        idempotency_key: str,
        at_period_end: bool = False,
        timeout: float | None = None,
    ) -> Subscription:
        """Cancel a subscription, so that it is charged no more; nothing is refunded.

        A subscription that is cancelled already is returned as it is.

        Args:
            ref: reference of the subscription.
            idempotency_key: identifies this step.
            at_period_end: True to let the current period end first, which needs a vendor with the
                capability `subscription_period_end`.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(
                PaymentsFlows.cancel_subscription,
                ref,
                idempotency_key=idempotency_key,
                at_period_end=at_period_end,
                timeout=timeout,
            )
        )

    def list_subscriptions(
        self,
        query: PaymentQuery | None = None,
        *,
        after: Ref | str | None = None,
        account: str | None = None,
        timeout: float | None = None,
    ) -> Page[Subscription]:
        """Get a page of the vendor's list of subscriptions, including those that have ended.

        Args:
            query: filter of the list.
            after: the `next` of the previous page.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(
                PaymentsFlows.list_subscriptions,
                query,
                after=after,
                account=account,
                timeout=timeout,
            )
        )

    def store_means(
        self, request: StoreRequest, *, idempotency_key: str, timeout: float | None = None
    ) -> StoredMeans:
        """Store a means of payment for later payments; nothing is charged.

        Args:
            request: means of payment, and the buyer whom it belongs to.
            idempotency_key: identifies this request: a repeat returns the same stored means.
            timeout: seconds for the whole operation.

        Raises:
            PaymentDeclined: the bank refused the means for `reason`.
        """
        return run_now(
            self._flows.run(
                PaymentsFlows.store_means, request, idempotency_key=idempotency_key, timeout=timeout
            )
        )

    def stored_means(
        self,
        customer: str,
        *,
        after: Ref | str | None = None,
        account: str | None = None,
        timeout: float | None = None,
    ) -> Page[StoredMeans]:
        """Get a page of the means of payment that are stored for a buyer.

        Args:
            customer: the vendor's id of the buyer.
            after: the `next` of the previous page.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(
                PaymentsFlows.stored_means, customer, after=after, account=account, timeout=timeout
            )
        )

    def remove_means(
        self, ref: Ref | str, *, idempotency_key: str, timeout: float | None = None
    ) -> StoredMeans:
        """Remove a stored means of payment, so that it can no longer be charged.

        Args:
            ref: reference of the stored means.
            idempotency_key: identifies this removal.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the vendor does not know the means. Some vendors do not know a means
                after its removal either; the others return it as removed.
        """
        return run_now(
            self._flows.run(
                PaymentsFlows.remove_means, ref, idempotency_key=idempotency_key, timeout=timeout
            )
        )

    def create_link(
        self, link: LinkRequest, *, idempotency_key: str, timeout: float | None = None
    ) -> PaymentLink:
        """Create a page at the vendor on which a buyer pays one amount once.

        Args:
            link: amount and reference of the payment.
            idempotency_key: identifies this link: a repeat returns the same link.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(
                PaymentsFlows.create_link, link, idempotency_key=idempotency_key, timeout=timeout
            )
        )

    def get_link(self, ref: Ref | str, *, timeout: float | None = None) -> PaymentLink:
        """Get the current state of a payment link."""
        return run_now(self._flows.run(PaymentsFlows.get_link, ref, timeout=timeout))

    def close_link(
        self, ref: Ref | str, *, idempotency_key: str, timeout: float | None = None
    ) -> PaymentLink:
        """Close a payment link, so that it takes no payment any more.

        Args:
            ref: reference of the link.
            idempotency_key: identifies this step.
            timeout: seconds for the whole operation.
        """
        return run_now(
            self._flows.run(
                PaymentsFlows.close_link, ref, idempotency_key=idempotency_key, timeout=timeout
            )
        )


class AsyncPayments(Uncopyable):
    """The asynchronous version of `Payments`."""

    def __init__(self, find_dispatcher: FindDispatcher, tenant: str | None) -> None:
        self._flows = CurrentOperations(PaymentsFlows, find_dispatcher, tenant)

    async def follow_up(self, event: PaymentEvent, *, timeout: float | None = None) -> PaymentEvent:
        """Return a payment event with all fields, fetched from the vendor if they are missing.

        Only the id is read from an incomplete event, so a forged event can only cause a look-up at
        the vendor.

        Args:
            event: event from `Hub.events`; a complete event is returned unchanged.
            timeout: seconds for asking the vendor.
        """
        return await self._flows.run(PaymentsFlows.follow_up, event, timeout=timeout)

    async def settle(
        self,
        payments: Iterable[Ref | str | Unsettled],
        *,
        timeout: float | None = None,
        at_once: int = 8,
    ) -> list[Result[Payment]]:
        """Get the current state of several payments, and return the results in order.

        Args:
            payments: references of payments, and `Unsettled` for payments without a reference:
                these are sent again under their key, which has no second effect.
            timeout: seconds for each payment.
            at_once: maximum number of concurrent requests.
        """
        return await self._flows.run(
            PaymentsFlows.settle, payments, timeout=timeout, at_once=at_once
        )

    async def create_intent(
        self, charge: Charge, *, idempotency_key: str, timeout: float | None = None
    ) -> Payment:
        """Prepare a payment that the buyer continues in the vendor's form; no money moves yet.

        Args:
            charge: payment to prepare.
            idempotency_key: identifies this payment: a repeat returns the same payment.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            PaymentsFlows.create_intent, charge, idempotency_key=idempotency_key, timeout=timeout
        )

    async def authorize(
        self, charge: Charge, *, idempotency_key: str, timeout: float | None = None
    ) -> Payment:
        """Authorise an amount, to be captured or voided later.

        Args:
            charge: payment with its source.
            idempotency_key: identifies this payment: a repeat returns the same payment, never a
                second one.
            timeout: seconds for the whole operation.

        Raises:
            PaymentDeclined: the payment was declined for `reason`.
        """
        return await self._flows.run(
            PaymentsFlows.authorize, charge, idempotency_key=idempotency_key, timeout=timeout
        )

    async def charge(
        self, charge: Charge, *, idempotency_key: str, timeout: float | None = None
    ) -> Payment:
        """Charge an amount at once.

        Args:
            charge: payment with its source.
            idempotency_key: identifies this payment: a repeat returns the same payment, never a
                second one.
            timeout: seconds for the whole operation.

        Raises:
            PaymentDeclined: the payment was declined for `reason`.
        """
        return await self._flows.run(
            PaymentsFlows.charge, charge, idempotency_key=idempotency_key, timeout=timeout
        )

    async def complete(
        self,
        ref: Ref | str,
        returned: Mapping[str, str] | None = None,
        *,
        idempotency_key: str,
        timeout: float | None = None,
    ) -> Payment:
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
        return await self._flows.run(
            PaymentsFlows.complete, ref, returned, idempotency_key=idempotency_key, timeout=timeout
        )

    async def capture(
        self,
        ref: Ref | str,
        amount: Money | None = None,
        *,
        idempotency_key: str,
        final: bool = True,
        timeout: float | None = None,
    ) -> Capture:
        """Capture an authorised payment, or a part of it.

        Args:
            ref: reference of the payment.
            amount: amount to capture; all of it by default. Less than all of it needs a vendor
                with the capability `partial_capture`.
            idempotency_key: identifies this capture.
            final: True to void the rest, False to leave it for later captures.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            PaymentsFlows.capture,
            ref,
            amount,
            idempotency_key=idempotency_key,
            final=final,
            timeout=timeout,
        )

    async def void(
        self, ref: Ref | str, *, idempotency_key: str, timeout: float | None = None
    ) -> Void:
        """Void the authorised amount that is not captured, or cancel a payment that is pending.

        Args:
            ref: reference of the payment.
            idempotency_key: identifies this void.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            PaymentsFlows.void, ref, idempotency_key=idempotency_key, timeout=timeout
        )

    async def refund(
        self,
        ref: Ref | str,
        amount: Money | None = None,
        *,
        idempotency_key: str,
        reason: RefundReason | str | None = None,
        timeout: float | None = None,
    ) -> Refund:
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
        return await self._flows.run(
            PaymentsFlows.refund,
            ref,
            amount,
            idempotency_key=idempotency_key,
            reason=reason,
            timeout=timeout,
        )

    async def payments(
        self,
        query: PaymentQuery | None = None,
        *,
        after: Ref | str | None = None,
        account: str | None = None,
        timeout: float | None = None,
    ) -> Page[Payment]:
        """Get a page of the vendor's list of payments.

        Args:
            query: filter of the list.
            after: the `next` of the previous page.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            PaymentsFlows.payments, query, after=after, account=account, timeout=timeout
        )

    async def disputes(
        self,
        query: PaymentQuery | None = None,
        *,
        after: Ref | str | None = None,
        account: str | None = None,
        timeout: float | None = None,
    ) -> Page[Dispute]:
        """Get a page of the vendor's list of disputes.

        Args:
            query: filter of the list.
            after: the `next` of the previous page.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            PaymentsFlows.disputes, query, after=after, account=account, timeout=timeout
        )

    async def get_dispute(self, ref: Ref | str, *, timeout: float | None = None) -> Dispute:
        """Get the current state of a dispute."""
        return await self._flows.run(PaymentsFlows.get_dispute, ref, timeout=timeout)

    async def accept_dispute(
        self, ref: Ref | str, *, idempotency_key: str, timeout: float | None = None
    ) -> Dispute:
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
        return await self._flows.run(
            PaymentsFlows.accept_dispute, ref, idempotency_key=idempotency_key, timeout=timeout
        )

    async def submit_evidence(
        self,
        ref: Ref | str,
        evidence: DisputeEvidence,
        *,
        idempotency_key: str,
        timeout: float | None = None,
    ) -> Dispute:
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
        return await self._flows.run(
            PaymentsFlows.submit_evidence,
            ref,
            evidence,
            idempotency_key=idempotency_key,
            timeout=timeout,
        )

    async def payouts(
        self,
        query: PaymentQuery | None = None,
        *,
        after: Ref | str | None = None,
        account: str | None = None,
        timeout: float | None = None,
    ) -> Page[Payout]:
        """Get a page of the vendor's list of payouts to your bank.

        Args:
            query: filter of the list.
            after: the `next` of the previous page.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            PaymentsFlows.payouts, query, after=after, account=account, timeout=timeout
        )

    async def get(self, ref: Ref | str, *, timeout: float | None = None) -> Payment:
        """Get the current state of a payment."""
        return await self._flows.run(PaymentsFlows.get, ref, timeout=timeout)

    async def get_refund(self, ref: Ref | str, *, timeout: float | None = None) -> Refund:
        """Get the current state of a refund, by its own reference."""
        return await self._flows.run(PaymentsFlows.get_refund, ref, timeout=timeout)

    async def payout_items(
        self, ref: Ref | str, *, after: Ref | str | None = None, timeout: float | None = None
    ) -> Page[PayoutItem]:
        """Get a page of the transactions in a payout, with their fees.

        Args:
            ref: reference of the payout.
            after: the `next` of the previous page.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(PaymentsFlows.payout_items, ref, after=after, timeout=timeout)

    async def pay_payee(
        self, transfer: PayeeTransfer, *, idempotency_key: str, timeout: float | None = None
    ) -> PayeePayout:
        """Send money to a payee.

        Args:
            transfer: amount and payee.
            idempotency_key: identifies this transfer: a repeat sends no second transfer.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the vendor refuses the payee or the amount; nothing was sent.
        """
        return await self._flows.run(
            PaymentsFlows.pay_payee, transfer, idempotency_key=idempotency_key, timeout=timeout
        )

    async def get_payee_payout(
        self, ref: Ref | str, *, timeout: float | None = None
    ) -> PayeePayout:
        """Get the current state of money that was sent to a payee."""
        return await self._flows.run(PaymentsFlows.get_payee_payout, ref, timeout=timeout)

    async def create_subscription(
        self,
        subscription: SubscriptionRequest,
        *,
        idempotency_key: str,
        timeout: float | None = None,
    ) -> Subscription:
        """Create a subscription that charges a means of payment again and again.

        Without a source, it is pending until the buyer has taken its `next_action`.

        Args:
            subscription: amount, interval and means of payment.
            idempotency_key: identifies this subscription: a repeat creates no second subscription.
            timeout: seconds for the whole operation.

        Raises:
            PaymentDeclined: the first charge was declined for `reason`; there is no subscription.
        """
        return await self._flows.run(
            PaymentsFlows.create_subscription,
            subscription,
            idempotency_key=idempotency_key,
            timeout=timeout,
        )

    async def get_subscription(
        self, ref: Ref | str, *, timeout: float | None = None
    ) -> Subscription:
        """Get the current state of a subscription."""
        return await self._flows.run(PaymentsFlows.get_subscription, ref, timeout=timeout)

    async def change_subscription(
        self,
        ref: Ref | str,
        *,
        idempotency_key: str,
        amount: Money | None = None,
        quantity: int | None = None,
        timeout: float | None = None,
    ) -> Subscription:
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
        return await self._flows.run(
            PaymentsFlows.change_subscription,
            ref,
            idempotency_key=idempotency_key,
            amount=amount,
            quantity=quantity,
            timeout=timeout,
        )

    async def cancel_subscription(
        self,
        ref: Ref | str,
        *,
        idempotency_key: str,
        at_period_end: bool = False,
        timeout: float | None = None,
    ) -> Subscription:
        """Cancel a subscription, so that it is charged no more; nothing is refunded.

        A subscription that is cancelled already is returned as it is.

        Args:
            ref: reference of the subscription.
            idempotency_key: identifies this step.
            at_period_end: True to let the current period end first, which needs a vendor with the
                capability `subscription_period_end`.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            PaymentsFlows.cancel_subscription,
            ref,
            idempotency_key=idempotency_key,
            at_period_end=at_period_end,
            timeout=timeout,
        )

    async def list_subscriptions(
        self,
        query: PaymentQuery | None = None,
        *,
        after: Ref | str | None = None,
        account: str | None = None,
        timeout: float | None = None,
    ) -> Page[Subscription]:
        """Get a page of the vendor's list of subscriptions, including those that have ended.

        Args:
            query: filter of the list.
            after: the `next` of the previous page.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            PaymentsFlows.list_subscriptions, query, after=after, account=account, timeout=timeout
        )

    async def store_means(
        self, request: StoreRequest, *, idempotency_key: str, timeout: float | None = None
    ) -> StoredMeans:
        """Store a means of payment for later payments; nothing is charged.

        Args:
            request: means of payment, and the buyer whom it belongs to.
            idempotency_key: identifies this request: a repeat returns the same stored means.
            timeout: seconds for the whole operation.

        Raises:
            PaymentDeclined: the bank refused the means for `reason`.
        """
        return await self._flows.run(
            PaymentsFlows.store_means, request, idempotency_key=idempotency_key, timeout=timeout
        )

    async def stored_means(
        self,
        customer: str,
        *,
        after: Ref | str | None = None,
        account: str | None = None,
        timeout: float | None = None,
    ) -> Page[StoredMeans]:
        """Get a page of the means of payment that are stored for a buyer.

        Args:
            customer: the vendor's id of the buyer.
            after: the `next` of the previous page.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            PaymentsFlows.stored_means, customer, after=after, account=account, timeout=timeout
        )

    async def remove_means(
        self, ref: Ref | str, *, idempotency_key: str, timeout: float | None = None
    ) -> StoredMeans:
        """Remove a stored means of payment, so that it can no longer be charged.

        Args:
            ref: reference of the stored means.
            idempotency_key: identifies this removal.
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the vendor does not know the means. Some vendors do not know a means
                after its removal either; the others return it as removed.
        """
        return await self._flows.run(
            PaymentsFlows.remove_means, ref, idempotency_key=idempotency_key, timeout=timeout
        )

    async def create_link(
        self, link: LinkRequest, *, idempotency_key: str, timeout: float | None = None
    ) -> PaymentLink:
        """Create a page at the vendor on which a buyer pays one amount once.

        Args:
            link: amount and reference of the payment.
            idempotency_key: identifies this link: a repeat returns the same link.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            PaymentsFlows.create_link, link, idempotency_key=idempotency_key, timeout=timeout
        )

    async def get_link(self, ref: Ref | str, *, timeout: float | None = None) -> PaymentLink:
        """Get the current state of a payment link."""
        return await self._flows.run(PaymentsFlows.get_link, ref, timeout=timeout)

    async def close_link(
        self, ref: Ref | str, *, idempotency_key: str, timeout: float | None = None
    ) -> PaymentLink:
        """Close a payment link, so that it takes no payment any more.

        Args:
            ref: reference of the link.
            idempotency_key: identifies this step.
            timeout: seconds for the whole operation.
        """
        return await self._flows.run(
            PaymentsFlows.close_link, ref, idempotency_key=idempotency_key, timeout=timeout
        )
