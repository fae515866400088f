"""Parsing of Authorize.Net's responses: transactions, refunds and payment profiles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.payments import (
    MeansOfPayment,
    MoveState,
    Payment,
    PaymentState,
    Refund,
    StoredMeans,
    StoredState,
    payment_ref,
    state_of,
)
from moorage.vendors.payments._authorize_net_errors import decline_of, transaction_id
from moorage.vendors.payments._common import safe_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.payments import Charge

APPROVED: Final = "1"
"""The response code of an approved transaction."""
AUTHORIZED: Final = "authorizedPendingCapture"
VOIDED: Final = "voided"
ALREADY_VOIDED: Final = "310"
ALREADY_CAPTURED: Final = "311"
REFUND_TYPE: Final = "refundTransaction"

_HELD: Final = "4"
_STATES: Final[Mapping[str, PaymentState]] = {
    **sdk.words(
        PaymentState.PENDING,
        "FDSPendingReview FDSAuthorizedPendingReview authorizedPendingRelease underReview"
        " approvedReview",
    ),
    AUTHORIZED: PaymentState.AUTHORIZED,
    **sdk.words(
        PaymentState.CAPTURED,
        "capturedPendingSettlement pendingSettlement pendingFinalSettlement updatingSettlement"
        " settledSuccessfully chargebackReversal",
    ),
    **sdk.words(
        PaymentState.FAILED,
        "communicationError declined failedReview generalError returnedItem settlementError",
    ),
    VOIDED: PaymentState.VOIDED,
    "expired": PaymentState.EXPIRED,
    "chargeback": PaymentState.DISPUTED,
}
_REFUNDS: Final[Mapping[str, MoveState]] = {
    **sdk.words(
        MoveState.PENDING,
        "refundPendingSettlement FDSPendingReview FDSAuthorizedPendingReview underReview"
        " approvedReview updatingSettlement pendingSettlement pendingFinalSettlement",
    ),
    "refundSettledSuccessfully": MoveState.SUCCEEDED,
    **sdk.words(
        MoveState.FAILED,
        "communicationError declined expired failedReview generalError returnedItem"
        " settlementError",
    ),
    VOIDED: MoveState.CANCELED,
}
_BRANDS: Final = {"AmericanExpress": "amex", "DinersClub": "diners"}


def read_transaction(response: sdk.Response) -> sdk.Answer:
    """The transaction in the response to a request for one.

    Raises:
        VendorFailed: the response has no transaction with an id and a response code.
    """
    transaction = sdk.read_answer(response).object("transactionResponse")
    if transaction_id(transaction) is None or transaction.text("responseCode") is None:
        raise sdk.malformed(response, "transactionResponse.transId or .responseCode")
    return transaction


def read_details(response: sdk.Response) -> sdk.Answer:
    """The details of a transaction in a response, with the reference id of its request.

    Raises:
        VendorFailed: the response has no transaction with an id and a status.
    """
    answer = sdk.read_answer(response)
    transaction = answer.object("transaction")
    if transaction.text("transId") is None or transaction.text("transactionStatus") is None:
        raise sdk.malformed(response, "transaction.transId or .transactionStatus")
    return sdk.Answer({**transaction.raw, "transrefId": answer.text("transrefId")})


def has_mark(details: sdk.Answer, mark: str) -> bool:
    """True if a transaction has the mark of an idempotency key."""
    return mark in {details.text("order.purchaseOrderNumber"), details.text("transrefId")}


def is_done_before(transaction: sdk.Answer) -> bool:
    """True if a response says that an earlier request has already made the change.

    Authorize.Net approves a second capture and a second void; only the message's code differs.
    """
    codes = {message.text("code") for message in transaction.objects("messages")}
    return not codes.isdisjoint({ALREADY_CAPTURED, ALREADY_VOIDED})


def charged_payment(
    wire: sdk.Wire, charge: Charge, done: PaymentState, response: sdk.Response
) -> Payment:
    """Parse the response to a charge or an authorisation.

    Args:
        wire: makes the reference.
        charge: the charge.
        done: state of the payment if it is approved.
        response: the response.
    """
    transaction = read_transaction(response)
    response_code = transaction.text("responseCode") or ""
    amount = charge.amount
    states = {APPROVED: done, _HELD: PaymentState.PENDING, **_STATES}
    state = states.get(response_code, PaymentState.UNKNOWN)
    is_known = state is not PaymentState.UNKNOWN
    captured_amount = amount if state is PaymentState.CAPTURED else amount * 0
    held = amount if state in {PaymentState.AUTHORIZED, PaymentState.CAPTURED} else amount * 0
    answer = sdk.read_answer(response)
    return Payment(
        ref=payment_ref(wire.ref, transaction_id(transaction) or "", amount),
        state=state,
        vendor_state=response_code,
        amount=amount,
        authorized=held if is_known else None,
        captured=captured_amount if is_known else None,
        means=_means(
            transaction.text("accountType"),
            transaction.text("accountNumber"),
            _stored_id(answer.object("profileResponse"))
            or _stored_id(transaction.object("profile")),
        ),
        reference=charge.reference,
        raw=answer.raw,
    )


def payment_of(ref: sdk.MakeRef, currency: str, details: sdk.Answer) -> Payment | None:
    """Parse the details of a payment; None if they are malformed."""
    id_, word = details.text("transId"), details.text("transactionStatus")
    authorized = sdk.as_money(details.value("authAmount"), currency)
    settled = sdk.as_money(details.value("settleAmount"), currency)
    if id_ is None or word is None or authorized is None or settled is None:
        return None
    card = details.object("payment.creditCard")
    account = details.text("payment.bankAccount.accountNumber")
    payment = _payment(ref, id_, word, (max(authorized, settled), settled))
    return sdk.evolve(
        payment,
        decline=decline_of(details) if payment.state is PaymentState.FAILED else None,
        means=_means(
            card.text("cardType") or ("eCheck" if account else None),
            card.text("cardNumber") or account,
            _stored_id(details.object("profile")),
        ),
        reference=details.text("order.invoiceNumber"),
        created_at=details.time("submitTimeUTC"),
        raw=details.raw,
    )


def listed_payment(ref: sdk.MakeRef, currency: str, row: sdk.Answer) -> Payment | None:
    """Parse a payment in a list; None if it is malformed, or a refund.

    A list states only the amount that is settled, which is less after a capture of a part.
    """
    id_, word = row.text("transId"), row.text("transactionStatus")
    settled = sdk.as_money(row.value("settleAmount"), currency)
    if id_ is None or word is None or settled is None or word.startswith("refund"):
        return None
    payment = _payment(ref, id_, word, (settled if settled.minor > 0 else None, settled))
    return sdk.evolve(
        payment,
        means=_means(
            row.text("accountType"), row.text("accountNumber"), _stored_id(row.object("profile"))
        ),
        reference=row.text("invoiceNumber"),
        created_at=row.time("submitTimeUTC"),
        raw=row.raw,
    )


def _payment(
    ref: sdk.MakeRef, id_: str, word: str, amounts: tuple[sdk.Money | None, sdk.Money]
) -> Payment:
    """A payment with a status and the amounts that were requested and are settled."""
    amount, settled = amounts
    state = _STATES.get(word, PaymentState.UNKNOWN)
    is_known = state is not PaymentState.UNKNOWN
    is_taken = state in {PaymentState.CAPTURED, PaymentState.DISPUTED}
    captured = settled if is_taken else settled * 0
    if state is PaymentState.CAPTURED:
        state = state_of(amount, captured, None) or state
    authorized = amount if state is PaymentState.AUTHORIZED else captured
    return Payment(
        ref=payment_ref(ref, id_, amount),
        state=state,
        vendor_state=word,
        amount=amount,
        authorized=authorized if is_known else None,
        captured=captured if is_known else None,
    )


def new_refund(
    wire: sdk.Wire, payment: sdk.Ref, amount: sdk.Money, response: sdk.Response
) -> Refund:
    """Parse the response to a refund."""
    transaction = read_transaction(response)
    response_code = transaction.text("responseCode") or ""
    states = {APPROVED: MoveState.PENDING, _HELD: MoveState.PENDING, **_REFUNDS}
    return Refund(
        ref=payment_ref(wire.ref, transaction_id(transaction) or "", amount),
        payment=payment,
        state=states.get(response_code, MoveState.UNKNOWN),
        vendor_state=response_code,
        amount=amount,
        raw=sdk.read_answer(response).raw,
    )


def refund_of(ref: sdk.MakeRef, currency: str, details: sdk.Answer) -> Refund:
    """Parse the details of a refund."""
    word, payment = details.text("transactionStatus") or "", details.text("refTransId")
    amount = sdk.as_money(details.value("settleAmount"), currency)
    return Refund(
        ref=payment_ref(ref, details.text("transId") or "", amount),
        payment=None if payment is None else ref(payment),
        state=_REFUNDS.get(word, MoveState.UNKNOWN),
        vendor_state=word,
        amount=amount,
        reason=safe_text(details.text("responseReasonDescription"))
        if _REFUNDS.get(word) is MoveState.FAILED
        else None,
        at=details.time("submitTimeUTC"),
        raw=details.raw,
    )


def move_state(transaction: sdk.Answer) -> MoveState:
    """The state of a capture or a void in a response."""
    states = {APPROVED: MoveState.SUCCEEDED, _HELD: MoveState.PENDING}
    return states.get(transaction.text("responseCode") or "", MoveState.UNKNOWN)


def stored_of(ref: sdk.MakeRef, customer: str, profile: sdk.Answer) -> StoredMeans | None:
    """Parse a payment profile; None if it is malformed."""
    id_ = profile.text("customerPaymentProfileId")
    if id_ is None:
        return None
    card = profile.object("payment.creditCard")
    account = profile.text("payment.bankAccount.accountNumber")
    stored_id = f"{customer}/{id_}"
    return StoredMeans(
        ref=ref(stored_id),
        state=StoredState.STORED,
        customer=customer,
        means=_means(
            card.text("cardType") or ("eCheck" if account else "creditCard"),
            card.text("cardNumber") or account,
            stored_id,
        ),
        # The answer names the customer profile once, for all of its payment profiles.
        raw={"customerProfileId": customer, **profile.raw},
    )


def _stored_id(profile: sdk.Answer) -> str | None:
    """The id of a stored means of payment: the ids of its customer and its payment profile."""
    customer = profile.text("customerProfileId")
    listed_ids = profile.texts("customerPaymentProfileIdList")
    payment = profile.text("customerPaymentProfileId") or next(iter(listed_ids), None)
    return None if customer is None or payment is None else f"{customer}/{payment}"


def _means(kind: str | None, number: str | None, stored: str | None) -> MeansOfPayment | None:
    if kind is None:
        return None
    is_account = kind == "eCheck"
    is_brand = not is_account and kind != "creditCard"
    return MeansOfPayment(
        type="eCheck" if is_account else "creditCard",
        brand=_BRANDS.get(kind, kind) if is_brand else None,
        last4=None if number is None or is_account else number[-4:],
        stored=stored,
    )
