"""Payments: what is asked for, what became of it, and what vendors of them can do.

`asking` has what an operation is given, `values` what it gives, `states` how far a payment has
come and why it did not, `news` what arrives later, `minor` how vendors write amounts, `buyers` what
a buyer may be told, and `vendor` what a vendor of payments does.
"""

from __future__ import annotations

from moorage.contracts.payments.asking import (
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
from moorage.contracts.payments.buyers import BuyerNotice, BuyerOutcome, told_buyer
from moorage.contracts.payments.minor import MinorUnits
from moorage.contracts.payments.news import PaymentEvent, advance, state_of
from moorage.contracts.payments.states import (
    DeclineReason,
    DisputeState,
    MoveState,
    NextActionType,
    PaymentState,
    PayoutState,
    RefundReason,
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
from moorage.domain.money import Money

__all__ = [
    "KIND",
    "MOVING",
    "BuyerNotice",
    "BuyerOutcome",
    "Capture",
    "Charge",
    "Customer",
    "Decline",
    "DeclineReason",
    "Dispute",
    "DisputeState",
    "MeansOfPayment",
    "MinorUnits",
    "Money",
    "MoveState",
    "NextAction",
    "NextActionType",
    "Page",
    "Payment",
    "PaymentEvent",
    "PaymentQuery",
    "PaymentState",
    "PaymentsCapability",
    "PaymentsVendor",
    "Payout",
    "PayoutState",
    "Refund",
    "RefundReason",
    "ThreeDs",
    "Unsettled",
    "Void",
    "advance",
    "capture_needs",
    "check_currency",
    "payment_ref",
    "state_of",
    "stated_amount",
    "told_buyer",
]
