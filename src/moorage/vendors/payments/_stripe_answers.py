"""Parsing of Stripe's responses."""

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
    Money,
    MoveState,
    NextAction,
    NextActionType,
    Payment,
    PaymentState,
    Payout,
    PayoutItem,
    PayoutItemKind,
    PayoutState,
    Refund,
    payment_ref,
    state_of,
)
from moorage.vendors.payments._common import reason_by_code, safe_text

MINOR: Final = MinorUnits(
    vendor="stripe",
    exponents={"ISK": 2, "MGA": 0, "UGX": 2},
    steps=dict.fromkeys(("BHD", "JOD", "KWD", "OMR", "TND"), 10),
)
"""Stripe's minor units: it writes the króna and the shilling, which have no decimals, as if they
had two.
"""

_STATES: Final = {
    "requires_payment_method": PaymentState.REQUIRES_PAYMENT_METHOD,
    "requires_confirmation": PaymentState.REQUIRES_ACTION,
    "requires_action": PaymentState.REQUIRES_ACTION,
    "processing": PaymentState.PENDING,
    "requires_capture": PaymentState.AUTHORIZED,
    "canceled": PaymentState.VOIDED,
    "succeeded": PaymentState.CAPTURED,
}
_PAID: Final = {PaymentState.AUTHORIZED, PaymentState.CAPTURED}
_EXPIRY_REASONS: Final = {"automatic", "expired"}
_MOVES: Final = {
    "pending": MoveState.PENDING,
    "requires_action": MoveState.PENDING,
    "processing": MoveState.PENDING,
    "succeeded": MoveState.SUCCEEDED,
    "failed": MoveState.FAILED,
    "canceled": MoveState.CANCELED,
}
_DISPUTES: Final = {
    "warning_needs_response": DisputeState.INQUIRY,
    "warning_under_review": DisputeState.INQUIRY,
    "warning_closed": DisputeState.CLOSED,
    "needs_response": DisputeState.NEEDS_RESPONSE,
    "under_review": DisputeState.UNDER_REVIEW,
    "won": DisputeState.WON,
    "lost": DisputeState.LOST,
    "prevented": DisputeState.CLOSED,
}
_PAYOUTS: Final = {
    "pending": PayoutState.PENDING,
    "in_transit": PayoutState.IN_TRANSIT,
    "paid": PayoutState.PAID,
    "failed": PayoutState.FAILED,
    "canceled": PayoutState.CANCELED,
}
_ITEMS: Final = {
    "charge": PayoutItemKind.PAYMENT,
    "payment": PayoutItemKind.PAYMENT,
    **sdk.words(
        PayoutItemKind.REFUND,
        "payment_failure_refund payment_refund payment_reversal refund refund_failure",
    ),
    **sdk.words(
        PayoutItemKind.FEE,
        "application_fee application_fee_refund stripe_fee stripe_fx_fee tax_fee",
    ),
    **sdk.words(
        PayoutItemKind.RESERVE,
        "payment_network_reserve_hold payment_network_reserve_release payout_minimum_balance_hold"
        " payout_minimum_balance_release reserve_hold reserve_release reserve_transaction"
        " reserved_funds",
    ),
    **sdk.words(
        PayoutItemKind.TRANSFER,
        "topup topup_reversal transfer transfer_cancel transfer_failure transfer_refund",
    ),
    "adjustment": PayoutItemKind.ADJUSTMENT,
}
_DISPUTE_TRANSACTIONS: Final = frozenset({"dispute", "dispute_reversal"})
_PAYOUT_TRANSACTIONS: Final = frozenset({"payout", "payout_cancel", "payout_failure"})
"""The types of balance transactions for the payout itself, which Stripe lists among the
transactions that it pays out.
"""
_ACTIONS: Final = {
    "redirect_to_url": NextActionType.REDIRECT,
    "alipay_handle_redirect": NextActionType.REDIRECT,
    "verify_with_microdeposits": NextActionType.REDIRECT,
    "use_stripe_sdk": NextActionType.SDK,
}
_REASONS: Final = reason_by_code(
    {
        DeclineReason.ACCOUNT_CLOSED: "invalid_account",
        DeclineReason.AUTHENTICATION_REQUIRED: """
            authentication_required authentication_not_handled mobile_device_authentication_required
            payment_intent_authentication_failure
        """,
        DeclineReason.CALL_ISSUER: "approve_with_id call_issuer new_account_information_available",
        DeclineReason.CARD_NOT_SUPPORTED: "card_not_supported service_not_allowed",
        DeclineReason.CURRENCY_NOT_SUPPORTED: "currency_not_supported",
        DeclineReason.DO_NOT_HONOR: """
            do_not_honor do_not_try_again generic_decline no_action_taken not_permitted
            revocation_of_all_authorizations revocation_of_authorization stop_payment_order
            transaction_not_allowed card_declined
        """,
        DeclineReason.DUPLICATE: "duplicate_transaction",
        DeclineReason.EXPIRED_CARD: "expired_card",
        DeclineReason.FRAUD_SUSPECTED: "fraudulent merchant_blacklist security_violation",
        DeclineReason.INCORRECT_ADDRESS: "incorrect_address incorrect_zip",
        DeclineReason.INCORRECT_CVC: "incorrect_cvc invalid_cvc",
        DeclineReason.INCORRECT_NUMBER: "incorrect_number invalid_number",
        DeclineReason.INCORRECT_PIN: """
            incorrect_pin invalid_pin offline_pin_required online_or_offline_pin_required
            pin_try_exceeded
        """,
        DeclineReason.INSUFFICIENT_FUNDS: "insufficient_funds",
        DeclineReason.INVALID_EXPIRY: "invalid_expiry_month invalid_expiry_year",
        DeclineReason.LIMIT_EXCEEDED: """
            card_velocity_exceeded withdrawal_count_limit_exceeded invalid_amount
            card_decline_rate_limit_exceeded
        """,
        DeclineReason.LOST_OR_STOLEN: "lost_card stolen_card pickup_card restricted_card",
        DeclineReason.PROCESSING_ERROR: """
            processing_error issuer_not_available reenter_transaction try_again_later
        """,
    }
)


def read_payment(wire: sdk.Wire, response: sdk.Response) -> Payment:
    """Parse the payment intent in a response."""
    return sdk.required(payment_of(wire.ref, sdk.read_answer(response)), response, "id or status")


def read_refund(wire: sdk.Wire, response: sdk.Response) -> Refund:
    """Parse the refund in a response."""
    return sdk.required(refund_of(wire.ref, sdk.read_answer(response)), response, "id or status")


def payment_of(ref: sdk.MakeRef, body: sdk.Answer) -> Payment | None:
    """Parse a payment intent as a payment; None if it is malformed."""
    key, status = body.text("id"), body.text("status")
    amount = money(body, "amount")
    if key is None or status is None or amount is None:
        return None
    state = _payment_state(body, status)
    charge = body.object("latest_charge")
    captured, capturable_amount = money(body, "amount_received"), money(body, "amount_capturable")
    refunded_amount = _refunded_total(body, charge, captured)
    return Payment(
        ref=payment_ref(ref, key, amount),
        state=(state_of(amount, captured, refunded_amount) or state) if state in _PAID else state,
        vendor_state=status,
        amount=amount,
        authorized=None
        if captured is None or capturable_amount is None
        else captured + capturable_amount,
        captured=captured,
        refunded=refunded_amount,
        next_action=next_action_of(body),
        decline=decline_of(body.object("last_payment_error")),
        client_token=body.text("client_secret"),
        means=_payment_means(body, charge),
        reference=body.text("metadata.reference"),
        created_at=body.time("created"),
        authorized_until=charge.time("payment_method_details.card.capture_before"),
        raw=body.raw,
    )


def _payment_state(body: sdk.Answer, status: str) -> PaymentState:
    state = _STATES.get(status, PaymentState.UNKNOWN)
    if state is PaymentState.REQUIRES_PAYMENT_METHOD and body.value("last_payment_error"):
        return PaymentState.FAILED
    if state is PaymentState.VOIDED and body.text("cancellation_reason") in _EXPIRY_REASONS:
        return PaymentState.EXPIRED
    return state


def _refunded_total(body: sdk.Answer, charge: sdk.Answer, captured: Money | None) -> Money | None:
    if charge.flag("captured"):
        return MINOR.read(charge.value("amount_refunded"), body.value("currency"))
    # Stripe may report an uncaptured amount as refunded after a cancellation.
    if captured is None or (body.value("latest_charge") is not None and not charge):
        return None
    return captured * 0


def money(body: sdk.Answer, name: str) -> Money | None:
    """Return the amount of money in a field, in the currency of the field's object."""
    return MINOR.read(body.value(name), body.value("currency"))


def decline_of(error: sdk.Answer) -> Decline | None:
    if not error:
        return None
    code = error.text("decline_code") or error.text("code")
    return Decline(
        reason=_REASONS.get(code or "", DeclineReason.OTHER),
        vendor_code=code,
        vendor_message=safe_text(error.text("message")),
    )


def next_action_of(body: sdk.Answer) -> NextAction | None:
    """The buyer's next step for a payment intent or setup intent."""
    action = body.object("next_action")
    kind = action.text("type")
    if kind is None:
        return None
    details = action.object(kind)
    action_type = NextActionType.DISPLAY if "display" in kind else NextActionType.UNKNOWN
    type_ = _ACTIONS.get(kind, action_type)
    return NextAction(
        type=type_,
        url=details.text("url") or details.text("hosted_verification_url"),
        fields=details.raw,
        token=body.text("client_secret") if type_ is NextActionType.SDK else None,
        expires_at=details.time("expires_at"),
        vendor_type=kind,
    )


def _payment_means(body: sdk.Answer, charge: sdk.Answer) -> MeansOfPayment | None:
    details = charge.object("payment_method_details")
    stored_method = body.text("payment_method") if body.text("customer") else None
    if not details and stored_method is None:
        return None
    return means_of(details, stored_method)


def means_of(details: sdk.Answer, stored: str | None) -> MeansOfPayment:
    """The payment method in a charge's details or in a payment method object."""
    kind = details.text("type")
    number = details.object(kind or "card").text("last4")
    card = details.object("card")
    year, month = card.integer("exp_year"), card.integer("exp_month")
    return MeansOfPayment(
        type=kind,
        brand=card.text("brand"),
        last4=number,
        expires=None if year is None or month is None else (year, month),
        wallet=card.text("wallet.type"),
        stored=stored,
    )


def refund_of(ref: sdk.MakeRef, body: sdk.Answer) -> Refund | None:
    """Parse a refund; None if it is malformed."""
    key, status = body.text("id"), body.text("status")
    if key is None or status is None:
        return None
    return Refund(
        ref=ref(key),
        payment=payment_ref_of(ref, body),
        state=_MOVES.get(status, MoveState.UNKNOWN),
        vendor_state=status,
        amount=money(body, "amount"),
        reason=body.text("failure_reason"),
        at=body.time("created"),
        raw=body.raw,
    )


def dispute_of(ref: sdk.MakeRef, body: sdk.Answer) -> Dispute | None:
    """Parse a dispute; None if it is malformed."""
    key, status = body.text("id"), body.text("status")
    if key is None or status is None:
        return None
    # Zero means that no evidence is accepted.
    may_respond = body.integer("evidence_details.due_by") != 0
    return Dispute(
        ref=ref(key),
        payment=payment_ref_of(ref, body),
        state=_DISPUTES.get(status, DisputeState.UNKNOWN),
        vendor_state=status,
        amount=money(body, "amount"),
        reason=body.text("reason"),
        respond_by=body.time("evidence_details.due_by") if may_respond else None,
        created_at=body.time("created"),
        raw=body.raw,
    )


def read_dispute(wire: sdk.Wire, response: sdk.Response) -> Dispute:
    """Parse the dispute in a response."""
    return sdk.required(dispute_of(wire.ref, sdk.read_answer(response)), response, "id or status")


def payout_of(ref: sdk.MakeRef, body: sdk.Answer) -> Payout | None:
    """Parse a payout; None if it is malformed."""
    key, status = body.text("id"), body.text("status")
    if key is None or status is None:
        return None
    return Payout(
        ref=ref(key),
        state=_PAYOUTS.get(status, PayoutState.UNKNOWN),
        vendor_state=status,
        amount=money(body, "amount"),
        arrives=body.time("arrival_date"),
        reason=body.text("failure_code"),
        created_at=body.time("created"),
        raw=body.raw,
    )


def payment_ref_of(ref: sdk.MakeRef, body: sdk.Answer) -> sdk.Ref | None:
    """Return the reference of the payment that a charge, refund or dispute belongs to."""
    key = body.text("payment_intent") or body.text("payment_intent.id") or body.text("charge")
    return None if key is None else ref(key)


def payout_item_of(ref: sdk.MakeRef, body: sdk.Answer) -> PayoutItem | None:
    """Parse a balance transaction and its source; None for a malformed one or the payout."""
    key, word = body.text("id"), body.text("type")
    if key is None or word is None or word in _PAYOUT_TRANSACTIONS:
        return None
    source = body.object("source")
    is_dispute = body.text("reporting_category") in _DISPUTE_TRANSACTIONS
    kind = PayoutItemKind.DISPUTE if is_dispute else _ITEMS.get(word, PayoutItemKind.OTHER)
    is_charge = source.text("object") == "charge"
    return PayoutItem(
        id=key,
        kind=kind,
        vendor_kind=word,
        payment=payment_ref_of(ref, source)
        or (ref(source.text("id") or key) if is_charge else None),
        refund=source.text("id") if source.text("object") == "refund" else None,
        gross=money(body, "amount"),
        fee=money(body, "fee"),
        net=money(body, "net"),
        description=safe_text(body.text("description")),
        at=body.time("created"),
        raw=body.raw,
    )
