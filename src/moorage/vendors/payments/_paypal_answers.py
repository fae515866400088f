"""Parsing of PayPal's responses: orders, authorisations, captures and refunds."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from moorage.contracts.payments import (
    Capture,
    Decline,
    DeclineReason,
    MeansOfPayment,
    MinorUnits,
    MoveState,
    NextAction,
    NextActionType,
    Payment,
    PaymentState,
    Refund,
    payment_ref,
    state_of,
)
from moorage.vendor_sdk import EXPONENTS, Answer, as_answer, as_money, read_answer, required
from moorage.vendors.payments._common import reason_by_code

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moorage.contracts.payments import Money
    from moorage.vendor_sdk import MakeRef, Ref, Response, Wire

UNITS: Final = MinorUnits(
    vendor="paypal",
    exponents={"HUF": 0, "TWD": 0}
    | {currency: 2 for currency, decimals in EXPONENTS.items() if decimals > 2},
)
"""The minor units at PayPal, which writes at most two decimals, and no decimals of the forint and
the Taiwan dollar.
"""

REFUND_PREFIX: Final = "order-"
"""Prefix of the `custom_id` that moorage gives a refund; the id of the order follows."""

_ORDERS: Final = {
    "CREATED": PaymentState.REQUIRES_ACTION,
    "PAYER_ACTION_REQUIRED": PaymentState.REQUIRES_ACTION,
    "SAVED": PaymentState.PENDING,
    "APPROVED": PaymentState.PENDING,
    "VOIDED": PaymentState.VOIDED,
}
_AUTHORIZATIONS: Final = {
    "CREATED": PaymentState.AUTHORIZED,
    "CAPTURED": PaymentState.AUTHORIZED,
    "PARTIALLY_CAPTURED": PaymentState.AUTHORIZED,
    "PENDING": PaymentState.PENDING,
    "VOIDED": PaymentState.VOIDED,
    "EXPIRED": PaymentState.EXPIRED,
    "DENIED": PaymentState.FAILED,
}
_CAPTURES: Final = {
    "COMPLETED": MoveState.SUCCEEDED,
    "PARTIALLY_REFUNDED": MoveState.SUCCEEDED,
    "REFUNDED": MoveState.SUCCEEDED,
    "PENDING": MoveState.PENDING,
    "DECLINED": MoveState.FAILED,
    "FAILED": MoveState.FAILED,
}
_REFUNDS: Final = {
    "COMPLETED": MoveState.SUCCEEDED,
    "PENDING": MoveState.PENDING,
    "FAILED": MoveState.FAILED,
    "CANCELLED": MoveState.CANCELED,
}
_REASONS: Final = reason_by_code(
    {
        DeclineReason.ACCOUNT_CLOSED: """
            0390 1330 1335 1352 5140 6300 PAYER_ACCOUNT_LOCKED_OR_CLOSED
        """,
        DeclineReason.AUTHENTICATION_REQUIRED: "5650 7700 7710 PAYER_ACTION_REQUIRED",
        DeclineReason.CALL_ISSUER: "0100 9530",
        DeclineReason.CANCELED_BY_BUYER: "0R00",
        DeclineReason.CARD_NOT_SUPPORTED: "5180 5700 8030 CARD_BRAND_NOT_SUPPORTED",
        DeclineReason.CURRENCY_NOT_SUPPORTED: "1320",
        DeclineReason.DO_NOT_HONOR: """
            0500 10BR 5100 9540 ALIAS_DECLINED_BY_PROCESSOR DECLINED_DUE_TO_RELATED_TXN
            INSTRUMENT_DECLINED PAYMENT_SOURCE_DECLINED_BY_PROCESSOR
            REDIRECT_PAYER_FOR_ALTERNATE_FUNDING TRANSACTION_REFUSED
        """,
        DeclineReason.DUPLICATE: "5200",
        DeclineReason.EXPIRED_CARD: "5400 CARD_EXPIRED REFERENCED_CARD_EXPIRED",
        DeclineReason.FRAUD_SUSPECTED: """
            0580 5160 9500 9510 PAYEE_BLOCKED_TRANSACTION TRANSACTION_BLOCKED_BY_PAYEE
        """,
        DeclineReason.INCORRECT_ADDRESS: "5170 5190 BILLING_ADDRESS_INVALID",
        DeclineReason.INCORRECT_CVC: "00N7 1382 5110",
        DeclineReason.INCORRECT_PIN: "0890 5130 5135 5500 7900",
        DeclineReason.INSUFFICIENT_FUNDS: "5120",
        DeclineReason.INVALID_EXPIRY: "1380",
        DeclineReason.LIMIT_EXCEEDED: """
            5710 MAX_NUMBER_OF_PAYMENT_ATTEMPTS_EXCEEDED TRANSACTION_LIMIT_EXCEEDED
        """,
        DeclineReason.LOST_OR_STOLEN: "5150 9520",
        DeclineReason.OTHER: """
            COMPLIANCE_VIOLATION PAYER_ACCOUNT_RESTRICTED PAYER_CANNOT_PAY
            PAYMENT_SOURCE_INFO_CANNOT_BE_VERIFIED
        """,
        DeclineReason.PROCESSING_ERROR: """
            0800 0880 0960 5910 5920 8000 8010 8020 8100 8110 8220 9100
        """,
    }
)
_NOT_CONFIRMED: Final = frozenset({"NO", "UNKNOWN"})
_BUYER_LINKS: Final = ("payer-action", "approve")
_EXPIRES: Final = re.compile(r"([0-9]{4})-([0-9]{2})")
_PARENT_PATH: Final = re.compile(r".*/v2/(checkout/orders|payments/captures)/([^/?#]+)")


def amount_body(amount: Money) -> dict[str, str]:
    """An amount in PayPal's format: a decimal number as text.

    Raises:
        InvalidData: PayPal accepts fewer decimals of the currency.
    """
    currency, minor = amount.currency, UNITS.to_minor(amount)
    decimals = UNITS.exponents.get(currency, EXPONENTS[currency])
    return {"currency_code": currency, "value": str(Decimal(f"{minor}E-{decimals}"))}


def money(body: Answer, path: str) -> Money | None:
    """Parse an amount."""
    return as_money(body.value(f"{path}.value"), body.value(f"{path}.currency_code"))


def decline_reason(code: str | None) -> DeclineReason | None:
    """The reason for an issue or processor code; None if it is not a known decline."""
    return _REASONS.get(code or "")


def order_id(body: Answer) -> str | None:
    """The id of an object's order, if stated."""
    return body.text("supplementary_data.related_ids.order_id") or _parent_id(body, "orders")


def refunded_order(body: Answer) -> str | None:
    """A refund's order id, as stated or from `custom_id`, where moorage stores it; else None."""
    custom_id = body.text("custom_id") or ""
    embedded_order_id = (
        custom_id.removeprefix(REFUND_PREFIX) if custom_id.startswith(REFUND_PREFIX) else None
    )
    return order_id(body) or embedded_order_id


def capture_id(body: Answer) -> str | None:
    """The id of the capture that a refund belongs to, if stated."""
    return body.text("supplementary_data.related_ids.capture_id") or _parent_id(body, "captures")


def _parent_id(body: Answer, kind: str) -> str | None:
    """Return the parent object's id if it is of this kind; otherwise None."""
    match = _PARENT_PATH.fullmatch(_link(body, ("up",)) or "")
    return unquote(match[2]) if match is not None and match[1].endswith(kind) else None


def _link(body: Answer, names: Iterable[str]) -> str | None:
    links = {link.text("rel"): link.text("href") for link in body.objects("links")}
    return next((links[name] for name in names if links.get(name)), None)


def read_payment(wire: Wire, response: Response) -> Payment:
    """Parse the order in a response."""
    return required(payment_of(wire.ref, read_answer(response)), response, "id, status or amount")


def payment_of(make: MakeRef, body: Answer) -> Payment | None:
    """Parse an order as a payment; None if it is malformed."""
    key, status = body.text("id"), body.text("status")
    unit = body.object("purchase_units.0")
    amount = money(unit, "amount")
    if key is None or status is None or amount is None:
        return None
    authorization = _last_capture(unit.objects("payments.authorizations"))
    capture_answers = list(unit.objects("payments.captures"))
    refund_bodies = list(unit.objects("payments.refunds"))
    ref = payment_ref(
        make,
        key,
        amount,
        authorization=authorization.text("id"),
        # While further captures are possible, it is unknown which capture a later refund would
        # concern.
        capture=capture_answers[0].text("id")
        if len(capture_answers) == 1 and _is_final(capture_answers[0])
        else None,
    )
    captures = [
        capture for item in capture_answers if (capture := capture_of(make, ref, item)) is not None
    ]
    refunds = [
        refund for item in refund_bodies if (refund := refund_of(make, ref, item)) is not None
    ]
    captured, refunded_amount = (
        _completed_total(captures, amount),
        _refunded_total(captures, refunds, amount),
    )
    state = state_of(amount, captured, refunded_amount) or _order_state(
        status, authorization, capture_answers
    )
    needs_action = state is PaymentState.REQUIRES_ACTION
    failed_capture = _last_capture(
        element
        for element in (*capture_answers, authorization)
        if "processor_response" in element.raw
    )
    return Payment(
        ref=ref,
        state=state,
        vendor_state=status,
        amount=amount,
        authorized=_authorized_total(authorization, capture_answers, captured),
        captured=captured,
        refunded=refunded_amount,
        next_action=_next_action(body) if needs_action else None,
        decline=decline_of(failed_capture) if state is PaymentState.FAILED else None,
        client_token=key if needs_action else None,
        means=_payment_means(body),
        reference=unit.text("custom_id"),
        captures=tuple(captures),
        refunds=tuple(refunds),
        created_at=body.time("create_time"),
        authorized_until=authorization.time("expiration_time"),
        as_of=body.time("update_time"),
        raw=body.raw,
    )


def _last_capture(answers: Iterable[Answer]) -> Answer:
    return [Answer({}), *answers][-1]


def _is_final(capture: Answer) -> bool:
    return capture.flag("final_capture") is not False


def _order_state(status: str, authorization: Answer, captures: list[Answer]) -> PaymentState:
    """The state of an order that has no capture."""
    capture_states = {
        _CAPTURES.get(capture.text("status") or "", MoveState.UNKNOWN) for capture in captures
    }
    if MoveState.PENDING in capture_states:
        return PaymentState.PENDING
    if authorization:
        return _AUTHORIZATIONS.get(authorization.text("status") or "", PaymentState.UNKNOWN)
    if capture_states == {MoveState.FAILED}:
        return PaymentState.FAILED
    return _ORDERS.get(status, PaymentState.UNKNOWN)


def _completed_total(moves: Iterable[Capture | Refund], amount: Money) -> Money:
    """The total of the captures or refunds that succeeded."""
    completed_amounts = (move.amount for move in moves if move.state is MoveState.SUCCEEDED)
    matching_amounts = (
        item for item in completed_amounts if item is not None and item.currency == amount.currency
    )
    return sum(matching_amounts, amount * 0)


def _refunded_total(captures: list[Capture], refunds: list[Refund], amount: Money) -> Money:
    """The refunded total; it includes reversals by PayPal, which have no refund objects."""
    reversed_captures = (capture for capture in captures if capture.vendor_state == "REFUNDED")
    return max(_completed_total(refunds, amount), _completed_total(reversed_captures, amount))


def _authorized_total(authorization: Answer, taken: list[Answer], captured: Money) -> Money | None:
    """The authorised total, minus amounts released by a final capture or void."""
    if authorization.text("status") == "VOIDED" or any(
        item.flag("final_capture") for item in taken
    ):
        return captured
    is_authorized = (
        _AUTHORIZATIONS.get(authorization.text("status") or "") is PaymentState.AUTHORIZED
    )
    return money(authorization, "amount") if is_authorized else None


def _next_action(body: Answer) -> NextAction | None:
    url = _link(body, _BUYER_LINKS)
    if url is None:
        return None
    return NextAction(type=NextActionType.REDIRECT, url=url, vendor_type=body.text("status"))


def decline_of(move: Answer) -> Decline:
    """Return the reason for which a capture or authorisation was declined."""
    code = move.text("processor_response.response_code")
    return Decline(
        reason=decline_reason(code) or DeclineReason.OTHER,
        vendor_code=code or move.text("status_details.reason") or move.text("status"),
    )


def is_ready(payment: Payment) -> bool:
    """True if the buyer has approved the order, or has entered a card in PayPal's form."""
    is_entered = payment.means is not None and payment.means.last4 is not None
    return payment.vendor_state == "APPROVED" or (payment.vendor_state == "CREATED" and is_entered)


def unconfirmed(payment: Payment) -> Decline | None:
    """The failed 3-D Secure confirmation of a card; None if there is none."""
    result = as_answer(payment.raw).object("payment_source.card.authentication_result")
    shift = result.text("liability_shift")
    if result.text("three_d_secure.enrollment_status") != "Y" or shift not in _NOT_CONFIRMED:
        return None
    return Decline(reason=DeclineReason.AUTHENTICATION_REQUIRED, vendor_code=shift)


def _payment_means(body: Answer) -> MeansOfPayment | None:
    source = body.object("payment_source")
    kind = next(iter(source.raw), None)
    if kind is None:
        return None
    means = source.object(kind)
    expires = _EXPIRES.fullmatch(means.text("expiry") or "")
    return MeansOfPayment(
        type=kind,
        brand=means.text("brand"),
        last4=means.text("last_digits"),
        expires=None if expires is None else (int(expires[1]), int(expires[2])),
        stored=_stored_source(kind, means.text("attributes.vault.id")),
    )


def _stored_source(kind: str, vault_id: str | None) -> str | None:
    """The reference of a stored payment method, as the source of later charges."""
    return None if vault_id is None else f"{kind}:{vault_id}"


def capture_of(make: MakeRef, payment: Ref, body: Answer) -> Capture | None:
    """Parse a capture; None if it is malformed."""
    fields = _move_fields(body, _CAPTURES)
    if fields is None:
        return None
    currency = None if fields["amount"] is None else fields["amount"].currency
    ref = make(body.text("id") or "", order=payment.id, currency=currency)
    return Capture(ref=ref, payment=payment, **fields)


def refund_of(make: MakeRef, payment: Ref | None, body: Answer) -> Refund | None:
    """Parse a refund; None if it is malformed."""
    fields = _move_fields(body, _REFUNDS)
    if fields is None:
        return None
    ref = make(body.text("id") or "", order=None if payment is None else payment.id)
    return Refund(ref=ref, payment=payment, **fields)


def _move_fields(body: Answer, states: dict[str, MoveState]) -> dict[str, Any] | None:
    """The fields that captures and refunds have in common."""
    status = body.text("status")
    if body.text("id") is None or status is None:
        return None
    state = states.get(status, MoveState.UNKNOWN)
    code = body.text("processor_response.response_code")
    failure_code = code if state is MoveState.FAILED else None
    return {
        "state": state,
        "vendor_state": status,
        "amount": money(body, "amount"),
        "reason": failure_code or body.text("status_details.reason"),
        "at": body.time("update_time") or body.time("create_time"),
        "raw": body.raw,
    }
