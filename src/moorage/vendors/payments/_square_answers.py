"""Parsing of Square's responses: payments, refunds, disputes, payouts and cards on file."""

from __future__ import annotations

from typing import Final

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import (
    Decline,
    DeclineReason,
    Dispute,
    DisputeState,
    MeansOfPayment,
    MinorUnits,
    MoveState,
    Payment,
    PaymentState,
    Payout,
    PayoutItem,
    PayoutItemKind,
    PayoutState,
    Refund,
    StoredMeans,
    StoredState,
    payment_ref,
    state_of,
)
from moorage.vendors.payments._common import (
    reason_by_code,
    safe_text,
)

UNITS: Final = MinorUnits(vendor="square")
_STATES: Final = {
    "APPROVED": PaymentState.AUTHORIZED,
    "PENDING": PaymentState.PENDING,
    "COMPLETED": PaymentState.CAPTURED,
    "CANCELED": PaymentState.VOIDED,
    "FAILED": PaymentState.FAILED,
}
_REFUNDS: Final = {
    "PENDING": MoveState.PENDING,
    "COMPLETED": MoveState.SUCCEEDED,
    "REJECTED": MoveState.FAILED,
    "FAILED": MoveState.FAILED,
}
_DISPUTES: Final = {
    "INQUIRY_EVIDENCE_REQUIRED": DisputeState.INQUIRY,
    "INQUIRY_PROCESSING": DisputeState.INQUIRY,
    "INQUIRY_CLOSED": DisputeState.CLOSED,
    "EVIDENCE_REQUIRED": DisputeState.NEEDS_RESPONSE,
    "PROCESSING": DisputeState.UNDER_REVIEW,
    "WON": DisputeState.WON,
    "LOST": DisputeState.LOST,
    "ACCEPTED": DisputeState.ACCEPTED,
}
_PAYOUTS: Final = {
    "SENT": PayoutState.IN_TRANSIT,
    "PAID": PayoutState.PAID,
    "FAILED": PayoutState.FAILED,
}
_ITEMS: Final = {
    "CHARGE": PayoutItemKind.PAYMENT,
    "REFUND": PayoutItemKind.REFUND,
    "DISPUTE": PayoutItemKind.DISPUTE,
    "OPEN_DISPUTE": PayoutItemKind.DISPUTE,
    **sdk.words(
        PayoutItemKind.FEE,
        "APP_FEE_REFUND APP_FEE_REVENUE DEPOSIT_FEE DEPOSIT_FEE_REVERSED FEE PAID_SERVICE_FEE"
        " PAID_SERVICE_FEE_REFUND PROCESSING_FEE PROCESSING_FEE_REFUND SUBSCRIPTION_FEE"
        " SUBSCRIPTION_FEE_REFUND TAX_ON_FEE THIRD_PARTY_FEE THIRD_PARTY_FEE_REFUND",
    ),
    "HOLD_ADJUSTMENT": PayoutItemKind.RESERVE,
    "RELEASE_ADJUSTMENT": PayoutItemKind.RESERVE,
    "RESERVE_HOLD": PayoutItemKind.RESERVE,
    "RESERVE_RELEASE": PayoutItemKind.RESERVE,
    **sdk.words(
        PayoutItemKind.TRANSFER,
        "AUTOMATIC_SAVINGS AUTOMATIC_SAVINGS_REVERSED SQUARE_CAPITAL_PAYMENT"
        " SQUARE_CAPITAL_REVERSED_PAYMENT SQUARE_PAYROLL_TRANSFER SQUARE_PAYROLL_TRANSFER_REVERSED",
    ),
    "ADJUSTMENT": PayoutItemKind.ADJUSTMENT,
    "OTHER_ADJUSTMENT": PayoutItemKind.ADJUSTMENT,
}
_REASONS: Final = reason_by_code(
    {
        DeclineReason.ACCOUNT_CLOSED: "ACCOUNT_UNUSABLE INVALID_ACCOUNT",
        DeclineReason.AUTHENTICATION_REQUIRED: "CARD_DECLINED_VERIFICATION_REQUIRED",
        DeclineReason.CALL_ISSUER: "CARD_DECLINED_CALL_ISSUER VOICE_FAILURE",
        DeclineReason.CANCELED_BY_BUYER: "BUYER_REFUSED_PAYMENT",
        DeclineReason.CARD_NOT_SUPPORTED: """
            CARD_NOT_SUPPORTED CARD_PRESENCE_REQUIRED CHIP_INSERTION_REQUIRED
            MANUALLY_ENTERED_PAYMENT_NOT_SUPPORTED UNSUPPORTED_CARD_BRAND UNSUPPORTED_ENTRY_METHOD
            UNSUPPORTED_INSTRUMENT_TYPE UNSUPPORTED_SOURCE_TYPE
        """,
        DeclineReason.CURRENCY_NOT_SUPPORTED: "CURRENCY_MISMATCH UNSUPPORTED_CURRENCY",
        DeclineReason.DO_NOT_HONOR: """
            CARDHOLDER_INSUFFICIENT_PERMISSIONS CARD_DECLINED GENERIC_DECLINE RESERVATION_DECLINED
        """,
        DeclineReason.EXPIRED_CARD: "CARD_EXPIRED",
        DeclineReason.INCORRECT_ADDRESS: """
            ADDRESS_VERIFICATION_FAILURE INVALID_POSTAL_CODE VERIFY_AVS_FAILURE
        """,
        DeclineReason.INCORRECT_CVC: "CVV_FAILURE VERIFY_CVV_FAILURE",
        DeclineReason.INCORRECT_NUMBER: """
            INVALID_CARD INVALID_CARD_DATA INVALID_ENCRYPTED_CARD PAN_FAILURE
        """,
        DeclineReason.INCORRECT_PIN: "ALLOWABLE_PIN_TRIES_EXCEEDED INVALID_PIN MISSING_PIN",
        DeclineReason.INSUFFICIENT_FUNDS: "GIFT_CARD_AVAILABLE_AMOUNT INSUFFICIENT_FUNDS",
        DeclineReason.INVALID_EXPIRY: """
            BAD_EXPIRATION EXPIRATION_FAILURE INVALID_EXPIRATION INVALID_EXPIRATION_DATE
            INVALID_EXPIRATION_YEAR
        """,
        DeclineReason.LIMIT_EXCEEDED: "AMOUNT_TOO_HIGH PAYMENT_LIMIT_EXCEEDED TRANSACTION_LIMIT",
        DeclineReason.PROCESSING_ERROR: "TEMPORARY_ERROR",
    }
)


def read_payment(wire: sdk.Wire, response: sdk.Response) -> Payment:
    """Parse the payment in a response."""
    return sdk.required(
        payment_of(wire.ref, sdk.read_answer(response).object("payment")),
        response,
        "payment with an id, a status and an amount",
    )


def payment_of(ref: sdk.MakeRef, body: sdk.Answer) -> Payment | None:
    """Parse a payment; None if it is malformed."""
    key, status = body.text("id"), body.text("status")
    total = money(body, "total_money") or money(body, "amount_money")
    if key is None or status is None or total is None:
        return None
    # Before a partial capture, the payment's amount is reduced to that part.
    approved = money(body, "approved_money")
    amount = total if approved is None else max(total, approved)
    state = _STATES.get(status, PaymentState.UNKNOWN)
    captured = total if status == "COMPLETED" else total * 0
    refunded_amount = money(body, "refunded_money") or total * 0
    is_known = state is not PaymentState.UNKNOWN
    return Payment(
        ref=payment_ref(ref, key, amount),
        state=state_of(amount, captured, refunded_amount) or state,
        vendor_state=status,
        amount=amount,
        authorized=total if status == "APPROVED" else captured if is_known else None,
        captured=captured if is_known else None,
        refunded=refunded_amount,
        decline=failure_of(body) if state is PaymentState.FAILED else None,
        means=_payment_means(body),
        reference=body.text("reference_id"),
        created_at=body.time("created_at"),
        authorized_until=body.time("delayed_until") if status == "APPROVED" else None,
        as_of=body.time("updated_at"),
        raw=body.raw,
    )


def money(body: sdk.Answer, name: str) -> sdk.Money | None:
    """Return the amount of money in a field of a response."""
    return UNITS.read(body.value(f"{name}.amount"), body.value(f"{name}.currency"))


def failure_of(body: sdk.Answer) -> Decline:
    """Return the reason for which a payment failed."""
    errors = [*body.objects("card_details.errors"), *body.objects("bank_account_details.errors")]
    return decline_of(errors[0] if errors else sdk.Answer({}))


def decline_of(error: sdk.Answer) -> Decline:
    """Return the reason for a declined payment, from its error."""
    code = error.text("code")
    return Decline(
        reason=_REASONS.get(code or "", DeclineReason.OTHER),
        vendor_code=code,
        vendor_message=safe_text(error.text("detail")),
    )


def _payment_means(body: sdk.Answer) -> MeansOfPayment | None:
    kind, card = body.text("source_type"), body.object("card_details.card")
    if kind is None:
        return None
    return _payment_method_of(kind, card, body.text("wallet_details.brand"))


def _payment_method_of(kind: str, card: sdk.Answer, wallet: str | None = None) -> MeansOfPayment:
    year, month, card_id = card.integer("exp_year"), card.integer("exp_month"), card.text("id")
    return MeansOfPayment(
        type=kind.lower(),
        brand=card.text("card_brand"),
        last4=card.text("last_4"),
        expires=None if year is None or month is None else (year, month),
        wallet=wallet,
        stored=card_id if card_id is not None and card_id.startswith("ccof:") else None,
    )


def stored_of(ref: sdk.MakeRef, card: sdk.Answer) -> StoredMeans | None:
    """Parse a card on file; None if it is malformed."""
    key, is_enabled = card.text("id"), card.flag("enabled")
    if key is None or is_enabled is None:
        return None
    return StoredMeans(
        ref=ref(key),
        state=StoredState.STORED if is_enabled else StoredState.REMOVED,
        customer=card.text("customer_id"),
        means=_payment_method_of("card", card),
        created_at=card.time("created_at"),
        raw=card.raw,
    )


def read_stored(wire: sdk.Wire, response: sdk.Response) -> StoredMeans:
    """Parse the card on file in a response."""
    card = sdk.read_answer(response).object("card")
    return sdk.required(stored_of(wire.ref, card), response, "card with an id")


def payout_item_of(ref: sdk.MakeRef, body: sdk.Answer) -> PayoutItem | None:
    """Parse an entry of a payout; None if it is malformed."""
    key, word = body.text("id"), body.text("type")
    if key is None or word is None:
        return None
    details = body.object(f"type_{word.lower()}_details")
    payment = details.text("payment_id")
    gross, net = money(body, "gross_amount_money"), money(body, "net_amount_money")
    is_whole = gross is not None and net is not None and gross.currency == net.currency
    return PayoutItem(
        id=key,
        kind=_ITEMS.get(word, PayoutItemKind.OTHER),
        vendor_kind=word,
        payment=None if payment is None else ref(payment),
        refund=details.text("refund_id"),
        gross=gross,
        # Square's examples leave the sign of the fee open, but the two amounts determine it.
        fee=gross - net if is_whole and gross is not None and net is not None else None,
        net=net,
        at=body.time("effective_at"),
        raw=body.raw,
    )


def read_refund(wire: sdk.Wire, response: sdk.Response) -> Refund:
    """Parse the refund in a response."""
    return sdk.required(
        refund_of(wire.ref, sdk.read_answer(response).object("refund")),
        response,
        "refund with an id and a status",
    )


def refund_of(ref: sdk.MakeRef, body: sdk.Answer) -> Refund | None:
    """Parse a refund; None if it is malformed."""
    key, status, payment = body.text("id"), body.text("status"), body.text("payment_id")
    if key is None or status is None:
        return None
    return Refund(
        ref=ref(key),
        payment=None if payment is None else ref(payment),
        state=_REFUNDS.get(status, MoveState.UNKNOWN),
        vendor_state=status,
        amount=money(body, "amount_money"),
        at=body.time("created_at"),
        raw=body.raw,
    )


def dispute_of(ref: sdk.MakeRef, body: sdk.Answer) -> Dispute | None:
    """Parse a dispute; None if it is malformed."""
    key, state = body.text("id") or body.text("dispute_id"), body.text("state")
    if key is None or state is None:
        return None
    payment = body.text("disputed_payment.payment_id")
    return Dispute(
        ref=ref(key),
        payment=None if payment is None else ref(payment),
        state=_DISPUTES.get(state, DisputeState.UNKNOWN),
        vendor_state=state,
        amount=money(body, "amount_money"),
        reason=body.text("reason"),
        respond_by=body.time("due_at"),
        created_at=body.time("created_at"),
        raw=body.raw,
    )


def payout_of(ref: sdk.MakeRef, body: sdk.Answer) -> Payout | None:
    """Parse a payout; None if it is malformed."""
    key, status = body.text("id"), body.text("status")
    if key is None or status is None:
        return None
    return Payout(
        ref=ref(key),
        state=_PAYOUTS.get(status, PayoutState.UNKNOWN),
        vendor_state=status,
        amount=money(body, "amount_money"),
        arrives=body.time("arrival_date"),
        created_at=body.time("created_at"),
        raw=body.raw,
    )
