"""Payments: arguments, results, states and events, and the operations of payment vendors.

`requests` has the arguments of operations, `values` their results, `states` the states and decline
reasons, `events` the events, `disputes` the evidence in a dispute, `lines` the lines of an order,
`minor` amounts in minor units, `brands` the names of card brands, `buyers` messages to buyers,
`unsettled` operations without a known outcome, `stored` means of payment without a payment,
`links` payment links, `payout_items` the transactions of a payout, `payees` money that is sent to
payees, `subscriptions` repeated charges, and `vendor` the operations of a vendor.
"""

from __future__ import annotations

from moorage.contracts.payments.buyers import BuyerNotice, BuyerOutcome, buyer_notice
from moorage.contracts.payments.disputes import DisputeEvidence
from moorage.contracts.payments.events import PaymentEvent, advance, state_of
from moorage.contracts.payments.lines import LineItem, total_tax
from moorage.contracts.payments.links import LinkRequest, LinkState, PaymentLink
from moorage.contracts.payments.minor import MinorUnits
from moorage.contracts.payments.payees import PayeePayout, PayeeTransfer
from moorage.contracts.payments.payout_items import PayoutItem, PayoutItemKind, unexplained_amount
from moorage.contracts.payments.requests import (
    KIND,
    Charge,
    Customer,
    PaymentQuery,
    ThreeDs,
    Unsettled,
    capture_needs,
    check_currency,
    payment_ref,
    stated_amount,
)
from moorage.contracts.payments.states import (
    DeclineReason,
    DisputeState,
    MoveState,
    NextActionType,
    PaymentState,
    PayoutState,
    RefundReason,
)
from moorage.contracts.payments.stored import StoredMeans, StoredState, StoreRequest
from moorage.contracts.payments.subscriptions import (
    BillingInterval,
    IntervalUnit,
    Subscription,
    SubscriptionCharge,
    SubscriptionRequest,
    SubscriptionState,
)
from moorage.contracts.payments.unsettled import (
    Inconclusive,
    NextStep,
    SettledAs,
    SettledPayment,
    UnsettledPayment,
    VendorQuestion,
)
from moorage.contracts.payments.values import (
    Capture,
    Decline,
    Dispute,
    MeansOfPayment,
    NextAction,
    Page,
    Payment,
    Payout,
    Refund,
    Void,
)
from moorage.contracts.payments.vendor import MOVING, PaymentsCapability, PaymentsVendor
from moorage.domain.values.money import Money

__all__ = [
    "KIND",
    "MOVING",
    "BillingInterval",
    "BuyerNotice",
    "BuyerOutcome",
    "Capture",
    "Charge",
    "Customer",
    "Decline",
    "DeclineReason",
    "Dispute",
    "DisputeEvidence",
    "DisputeState",
    "Inconclusive",
    "IntervalUnit",
    "LineItem",
    "LinkRequest",
    "LinkState",
    "MeansOfPayment",
    "MinorUnits",
    "Money",
    "MoveState",
    "NextAction",
    "NextActionType",
    "NextStep",
    "Page",
    "PayeePayout",
    "PayeeTransfer",
    "Payment",
    "PaymentEvent",
    "PaymentLink",
    "PaymentQuery",
    "PaymentState",
    "PaymentsCapability",
    "PaymentsVendor",
    "Payout",
    "PayoutItem",
    "PayoutItemKind",
    "PayoutState",
    "Refund",
    "RefundReason",
    "SettledAs",
    "SettledPayment",
    "StoreRequest",
    "StoredMeans",
    "StoredState",
    "Subscription",
    "SubscriptionCharge",
    "SubscriptionRequest",
    "SubscriptionState",
    "ThreeDs",
    "Unsettled",
    "UnsettledPayment",
    "VendorQuestion",
    "Void",
    "advance",
    "buyer_notice",
    "capture_needs",
    "check_currency",
    "payment_ref",
    "state_of",
    "stated_amount",
    "total_tax",
    "unexplained_amount",
]
