"""The operations and the optional features of payment vendors."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.payments.disputes import DisputeEvidence
    from moorage.contracts.payments.links import LinkRequest, PaymentLink
    from moorage.contracts.payments.payees import PayeePayout, PayeeTransfer
    from moorage.contracts.payments.payout_items import PayoutItem
    from moorage.contracts.payments.requests import Charge, PaymentQuery
    from moorage.contracts.payments.states import RefundReason
    from moorage.contracts.payments.stored import StoredMeans, StoreRequest
    from moorage.contracts.payments.subscriptions import Subscription, SubscriptionRequest
    from moorage.contracts.payments.values import (
        Capture,
        Dispute,
        Page,
        Payment,
        Payout,
        Refund,
        Void,
    )
    from moorage.contracts.ref import Ref
    from moorage.contracts.wire import Wire
    from moorage.domain.values.money import Money


class PaymentsCapability(StrEnum):
    """An optional feature of a payment vendor."""

    INTENT = "intent"
    COMPLETE = "complete"
    AUTHORIZE = "authorize"
    VOID = "void"
    PARTIAL_CAPTURE = "partial_capture"
    MULTIPLE_CAPTURES = "multiple_captures"
    LOOK_UP = "look_up"
    LOOK_UP_REFUND = "look_up_refund"
    LIST = "list"
    DISPUTES = "disputes"
    LOOK_UP_DISPUTE = "look_up_dispute"
    ACCEPT_DISPUTE = "accept_dispute"
    DISPUTE_EVIDENCE = "dispute_evidence"
    PAYOUTS = "payouts"
    OFF_SESSION = "off_session"
    STORE_METHOD = "store_method"
    STATEMENT_DESCRIPTOR = "statement_descriptor"
    BILLING_ADDRESS = "billing_address"
    SHIPPING_ADDRESS = "shipping_address"
    LINE_ITEMS = "line_items"
    THREE_DS = "three_ds"
    STORE_MEANS = "store_means"
    STORED_MEANS = "stored_means"
    LINKS = "links"
    LINK_EXPIRY = "link_expiry"
    LINK_ADDRESSES = "link_addresses"
    LINK_LINE_ITEMS = "link_line_items"
    PAYOUT_ITEMS = "payout_items"
    PAYEES = "payees"
    SUBSCRIPTIONS = "subscriptions"
    SUBSCRIPTION_SOURCE = "subscription_source"
    SUBSCRIPTION_CONSENT = "subscription_consent"
    SUBSCRIPTION_QUANTITY = "subscription_quantity"
    SUBSCRIPTION_PERIOD_END = "subscription_period_end"


MOVING: Final[Mapping[str, PaymentsCapability | None]] = {
    "create_intent": PaymentsCapability.INTENT,
    "authorize": PaymentsCapability.AUTHORIZE,
    "charge": None,
    "complete": PaymentsCapability.COMPLETE,
    "capture": PaymentsCapability.AUTHORIZE,
    "void": PaymentsCapability.VOID,
    "refund": None,
    "pay_payee": PaymentsCapability.PAYEES,
    "create_subscription": PaymentsCapability.SUBSCRIPTIONS,
}
"""Operations that move money, each with the capability that a vendor needs for it."""


class PaymentsVendor(Protocol):
    """The operations of a payment vendor; its `capabilities` list the optional ones.

    Every operation that moves money receives a key, under which it must be done only once. A
    declined payment is raised as `PaymentDeclined`. Payment references are made by `payment_ref`,
    so that they record the currency.
    """

    @property
    def capabilities(self) -> frozenset[str]: ...

    @property
    def states_refunds(self) -> bool: ...

    async def create_intent(self, wire: Wire, charge: Charge, /, *, key: str) -> Payment: ...

    async def authorize(self, wire: Wire, charge: Charge, /, *, key: str) -> Payment: ...

    async def charge(self, wire: Wire, charge: Charge, /, *, key: str) -> Payment: ...

    async def complete(
        self, wire: Wire, ref: Ref, returned: Mapping[str, str], /, *, key: str
    ) -> Payment: ...

    async def capture(
        self, wire: Wire, ref: Ref, amount: Money | None, /, *, final: bool, key: str
    ) -> Capture: ...

    async def void(self, wire: Wire, ref: Ref, /, *, key: str) -> Void: ...

    async def refund(
        self,
        wire: Wire,
        ref: Ref,
        amount: Money | None,
        /,
        *,
        reason: RefundReason | None,
        key: str,
    ) -> Refund: ...

    async def get(self, wire: Wire, ref: Ref, /) -> Payment: ...

    async def get_refund(self, wire: Wire, ref: Ref, /) -> Refund: ...

    async def payments(
        self, wire: Wire, query: PaymentQuery, after: Ref | None, /
    ) -> Page[Payment]: ...

    async def disputes(
        self, wire: Wire, query: PaymentQuery, after: Ref | None, /
    ) -> Page[Dispute]: ...

    async def get_dispute(self, wire: Wire, ref: Ref, /) -> Dispute: ...

    async def accept_dispute(self, wire: Wire, ref: Ref, /, *, key: str) -> Dispute: ...

    async def submit_evidence(
        self, wire: Wire, ref: Ref, evidence: DisputeEvidence, /, *, key: str
    ) -> Dispute: ...

    async def payouts(
        self, wire: Wire, query: PaymentQuery, after: Ref | None, /
    ) -> Page[Payout]: ...

    async def payout_items(
        self, wire: Wire, ref: Ref, /, *, after: Ref | None
    ) -> Page[PayoutItem]: ...

    async def pay_payee(
        self, wire: Wire, transfer: PayeeTransfer, /, *, key: str
    ) -> PayeePayout: ...

    async def get_payee_payout(self, wire: Wire, ref: Ref, /) -> PayeePayout: ...

    async def create_subscription(
        self, wire: Wire, request: SubscriptionRequest, /, *, key: str
    ) -> Subscription: ...

    async def get_subscription(self, wire: Wire, ref: Ref, /) -> Subscription: ...

    async def change_subscription(
        self, wire: Wire, ref: Ref, /, *, amount: Money | None, quantity: int | None, key: str
    ) -> Subscription: ...

    async def cancel_subscription(
        self, wire: Wire, ref: Ref, /, *, at_period_end: bool, key: str
    ) -> Subscription: ...

    async def list_subscriptions(
        self, wire: Wire, query: PaymentQuery, after: Ref | None, /
    ) -> Page[Subscription]: ...

    async def store_means(
        self, wire: Wire, request: StoreRequest, /, *, key: str
    ) -> StoredMeans: ...

    async def stored_means(
        self, wire: Wire, customer: str, after: Ref | None, /
    ) -> Page[StoredMeans]: ...

    async def remove_means(self, wire: Wire, ref: Ref, /, *, key: str) -> StoredMeans: ...

    async def create_link(self, wire: Wire, link: LinkRequest, /, *, key: str) -> PaymentLink: ...

    async def get_link(self, wire: Wire, ref: Ref, /) -> PaymentLink: ...

    async def close_link(self, wire: Wire, ref: Ref, /, *, key: str) -> PaymentLink: ...
