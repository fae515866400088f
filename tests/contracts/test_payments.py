"""The value types of the payments contract: charges, payments, events and errors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import attrs
import pytest

from moorage.contracts.payments import (
    BuyerOutcome,
    Capture,
    Charge,
    Customer,
    Decline,
    DeclineReason,
    Dispute,
    DisputeState,
    MinorUnits,
    Money,
    MoveState,
    NextAction,
    NextActionType,
    Payment,
    PaymentEvent,
    PaymentQuery,
    PaymentsCapability,
    PaymentState,
    Refund,
    ThreeDs,
    Unsettled,
    advance,
    buyer_notice,
    payment_ref,
    state_of,
    stated_amount,
)
from moorage.contracts.payments.events import completed_with
from moorage.contracts.ref import Ref
from moorage.errors import (
    AuthenticationFailed,
    CircuitBreakerOpen,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    DeadlineExceeded,
    IdempotencyConflict,
    IdempotencyInProgress,
    InvalidData,
    InvalidRequest,
    OutcomeUnknown,
    PaymentDeclined,
    RateLimitExceeded,
    StorageUnavailable,
    UnsupportedByVendor,
    VendorFailed,
)

EUROS = Money("149.90", "EUR")
NO_MONEY = Money("0", "EUR")
PART = Money("50.00", "EUR")
REF = Ref("stripe", "main", "pi_1")
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
LATER_TIME = NOON + timedelta(minutes=1)


def captured_payment(state: PaymentState = PaymentState.CAPTURED, **fields: object) -> Payment:
    """Return a payment that was captured in full at noon."""
    table: dict[str, object] = {
        "amount": EUROS,
        "authorized": EUROS,
        "captured": EUROS,
        "refunded": NO_MONEY,
        "as_of": NOON,
    }
    return Payment(ref=REF, state=state, **{**table, **fields})  # type: ignore[arg-type]  # as they come


def refund(state: MoveState = MoveState.SUCCEEDED, amount: Money | None = PART) -> Refund:
    """Return a refund of part of the payment."""
    return Refund(ref=Ref("stripe", "main", "re_1"), payment=REF, state=state, amount=amount)


def event_of(**fields: object) -> PaymentEvent:
    """Return an event about the payment."""
    return PaymentEvent(id="evt_1", ref=REF, **fields)  # type: ignore[arg-type]  # as they come


# --- what may be asked for --------------------------------------------------


@pytest.mark.parametrize(
    "source",
    ["4242424242424242", "4242 4242 4242 4242", "4242-4242-4242-4242", "378282246310005", " ", ""],
)
def test_card_number_is_refused(source: str) -> None:
    """A payment source that looks like a card number is refused and not shown."""
    with pytest.raises(InvalidData) as excinfo:
        Charge(EUROS, source, reference="INV-1")

    assert "source" == excinfo.value.field
    assert "4242" not in str(excinfo.value)


@pytest.mark.parametrize("source", ["tok_visa", "4242424242424241", "12345678901", "pm_1", None])
def test_token_is_accepted(source: str | None) -> None:
    """Any token is accepted as a payment source, and never shown."""
    charge = Charge(EUROS, source, reference="INV-1")

    assert source == charge.source
    assert source is None or source not in repr(charge)


@pytest.mark.parametrize(
    "fields, field",
    [
        ({"amount": Money("0", "EUR")}, "amount"),
        ({"amount": -EUROS}, "amount"),
        ({"amount": 149.9}, "amount"),
        ({"source": 4242}, "source"),
        ({"reference": ""}, "reference"),
        ({"reference": "x" * 201}, "reference"),
        ({"metadata": {"n": 1}}, "metadata"),
    ],
)
def test_invalid_charges_are_refused(fields: dict[str, object], field: str) -> None:
    """A charge with an amount of zero, a float or other impossible fields is refused."""
    options: dict[str, object] = {"amount": EUROS, "source": "tok_visa", "reference": "INV-1"}

    with pytest.raises(InvalidData) as excinfo:
        Charge(**{**options, **fields})  # type: ignore[arg-type]  # that is the point

    assert field == excinfo.value.field


def test_needed_capabilities_of_a_charge() -> None:
    """A charge needs a capability for each unusual field that it has."""
    usual_charge = Charge(EUROS, "tok_visa", reference="INV-1")
    rich = attrs.evolve(
        usual_charge,
        off_session=True,
        store_method=True,
        statement_descriptor="ACME",
        three_ds=ThreeDs.ALWAYS,
        customer=Customer(country="de"),
    )

    assert frozenset() == usual_charge.needs
    assert usual_charge.country is None
    assert "DE" == rich.country
    assert {
        PaymentsCapability.OFF_SESSION,
        PaymentsCapability.STORE_METHOD,
        PaymentsCapability.STATEMENT_DESCRIPTOR,
        PaymentsCapability.THREE_DS,
    } == rich.needs


def test_query_times_need_a_zone() -> None:
    """A payment time without a zone is refused."""
    with pytest.raises(InvalidData):
        PaymentQuery(until=datetime(2026, 5, 4))  # noqa: DTZ001 - that is the point
    assert NOON == PaymentQuery(since=NOON).since


def test_only_new_payments_can_be_unsettled() -> None:
    """Only operations that begin a payment can be listed as unsettled."""
    with pytest.raises(InvalidData) as excinfo:
        Unsettled(charge=Charge(EUROS, reference="INV-1"), idempotency_key="k", operation="refund")
    assert "operation" == excinfo.value.field


def test_reference_of_a_payment_contains_the_requested_amount() -> None:
    """If the requested amount is known, a payment's reference contains the amount."""

    def make_ref(id: str, /, **related: str | None) -> Ref:
        return Ref("stripe", "main", id, {k: v for k, v in related.items() if v})

    ref = payment_ref(make_ref, "pi_1", EUROS)

    assert EUROS == stated_amount(Ref.parse(str(ref)))
    assert stated_amount(payment_ref(make_ref, "pi_1", None)) is None


# --- minor units -----------------------------------------------------------

ODD_UNITS = MinorUnits(vendor="odd", exponents={"ISK": 2, "MGA": 0}, steps={"ISK": 100, "BHD": 10})


@pytest.mark.parametrize(
    "money, minor",
    [
        (Money("5", "ISK"), 500),
        (Money("5.00", "MGA"), 5),
        (Money("1.230", "BHD"), 1230),
        (Money("500", "JPY"), 500),
        (Money("0.1", "EUR") + Money("0.2", "EUR"), 30),
    ],
)
def test_minor_units_are_exact(money: Money, minor: int) -> None:
    """An amount survives its conversion to a vendor's minor units and back."""
    assert minor == ODD_UNITS.to_minor(money)
    assert money == ODD_UNITS.from_minor(minor, money.currency.lower())
    assert money == ODD_UNITS.read(minor, money.currency)


@pytest.mark.parametrize("money", [Money("5.50", "MGA"), Money("1.234", "BHD")])
def test_unrepresentable_amounts_are_refused(money: Money) -> None:
    """An amount that a vendor cannot represent is refused and not rounded."""
    with pytest.raises(InvalidData) as excinfo:
        ODD_UNITS.to_minor(money)

    assert "odd" in str(excinfo.value)


@pytest.mark.parametrize("minor, currency", [(150, "ISK"), (1, "XXX"), (1.5, "EUR"), (1, None)])
def test_invalid_amount_or_currency_in_vendor_response_is_read_as_none(
    minor: object, currency: object
) -> None:
    """An invalid amount or currency in a vendor's response is read as None."""
    assert ODD_UNITS.read(minor, currency) is None


# --- how far it has come ---------------------------------------------------


@pytest.mark.parametrize(
    "captured, refunded, state",
    [
        (None, None, None),
        (NO_MONEY, None, None),
        (PART, NO_MONEY, PaymentState.PARTIALLY_CAPTURED),
        (EUROS, None, PaymentState.CAPTURED),
        (EUROS, PART, PaymentState.PARTIALLY_REFUNDED),
        (PART, PART, PaymentState.REFUNDED),
    ],
)
def test_payment_state_follows_from_captured_and_refunded_totals(
    captured: Money | None, refunded: Money | None, state: PaymentState | None
) -> None:
    """The state of a payment follows from its captured and refunded totals."""
    assert state == state_of(EUROS, captured, refunded)


def test_amounts_that_can_still_be_captured_or_refunded_follow_from_totals() -> None:
    """The amounts that can still be captured or refunded follow from the totals."""
    open_payment = captured_payment(PaymentState.PARTIALLY_CAPTURED, captured=PART)

    assert EUROS - PART == open_payment.remaining
    assert EUROS == open_payment.authorised
    assert NO_MONEY == captured_payment().remaining
    assert EUROS == attrs.evolve(open_payment, captured=None).remaining
    assert attrs.evolve(captured_payment(), amount=None).remaining is None
    assert EUROS - PART == captured_payment(refunded=PART).refundable
    assert EUROS == captured_payment(refunded=None).refundable


def test_pending_payments_are_not_settled() -> None:
    """Pending payments are not settled, and disputes under review are not final."""
    assert not PaymentState.PENDING.settled
    assert PaymentState.CAPTURED.settled
    assert DisputeState.WON.final
    assert not DisputeState.UNDER_REVIEW.final


# --- news ------------------------------------------------------------------


@pytest.mark.parametrize(
    "before, after, at, state",
    [
        ("unknown", "captured", None, "captured"),
        ("authorized", "captured", None, "captured"),
        ("captured", "authorized", LATER_TIME, "captured"),
        ("captured", "requires_action", LATER_TIME, "captured"),
        ("captured", "unknown", LATER_TIME, "captured"),
        ("authorized", "pending", LATER_TIME, "authorized"),
        ("pending", "requires_action", LATER_TIME, "requires_action"),
        ("pending", "requires_action", None, "requires_action"),
        ("pending", "requires_action", NOON - timedelta(minutes=1), "pending"),
        ("failed", "captured", None, "captured"),
        ("voided", "authorized", LATER_TIME, "voided"),
        ("voided", "captured", None, "captured"),
        ("refunded", "captured", LATER_TIME, "captured"),
        ("refunded", "captured", None, "refunded"),
        ("refunded", "captured", NOON, "refunded"),
        ("disputed", "captured", LATER_TIME, "captured"),
        ("disputed", "captured", None, "disputed"),
        ("captured", "disputed", None, "disputed"),
        ("captured", "disputed", NOON - timedelta(minutes=1), "captured"),
        ("captured", "captured", NOON - timedelta(minutes=1), "captured"),
        ("captured", "failed", LATER_TIME, "failed"),
        ("captured", "failed", None, "captured"),
        ("captured", "failed", NOON, "captured"),
        ("voided", "failed", LATER_TIME, "voided"),
    ],
)
def test_state_moves_forward(before: str, after: str, at: datetime | None, state: str) -> None:
    """A webhook event moves a payment's state forward; only a newer event moves it back."""
    existing_payment = captured_payment(PaymentState(before))

    assert (
        PaymentState(state)
        == advance(existing_payment, event_of(state=PaymentState(after), at=at)).state
    )


def test_late_events_change_nothing() -> None:
    """A webhook event that is older than the payment's state leaves the payment unchanged."""
    existing_payment = captured_payment(captured=EUROS)
    late_event = event_of(
        state=PaymentState.AUTHORIZED, captured=NO_MONEY, at=NOON - timedelta(minutes=1)
    )

    assert existing_payment is advance(existing_payment, late_event)


def test_events_update_totals() -> None:
    """An event updates a payment's totals and removes its next action."""
    action = NextAction(type=NextActionType.REDIRECT, url="https://bank.example")
    existing_payment = captured_payment(
        PaymentState.REQUIRES_ACTION, next_action=action, captured=NO_MONEY
    )
    later_payment = advance(
        existing_payment, event_of(state=PaymentState.CAPTURED, captured=EUROS, at=LATER_TIME)
    )

    assert (EUROS, None, LATER_TIME) == (
        later_payment.captured,
        later_payment.next_action,
        later_payment.as_of,
    )


def test_event_with_a_whole_payment() -> None:
    """A webhook event that contains the whole payment replaces the stored payment."""
    result = captured_payment(PaymentState.REFUNDED, refunded=EUROS, as_of=None)
    event = event_of(state=PaymentState.REFUNDED, payment=result, at=LATER_TIME)

    assert PaymentState.REFUNDED == advance(captured_payment(), event).state
    assert LATER_TIME == advance(captured_payment(), event).as_of
    assert PaymentState.REFUNDED == advance(captured_payment(), result).state


def test_event_of_another_payment_is_refused() -> None:
    """An event about another payment is refused."""
    with pytest.raises(InvalidData):
        advance(attrs.evolve(captured_payment(), ref=Ref("stripe", "other", "pi_1")), event_of())


def test_payment_gets_its_vendor_id() -> None:
    """A payment that has only the caller's own reference gets the id that the vendor assigned."""
    own_ref = Ref("stripe", "main", "INV-1", {"unnamed": "reference"})
    existing_payment = advance(
        attrs.evolve(captured_payment(PaymentState.PENDING), ref=own_ref),
        event_of(state=PaymentState.AUTHORIZED, reference="INV-1"),
    )

    assert (REF, PaymentState.AUTHORIZED) == (existing_payment.ref, existing_payment.state)


@pytest.mark.parametrize("field", ["amount", "captured"])
def test_unexpected_amounts_are_refused(field: str) -> None:
    """If an event's amount is not the expected one, an error is raised that names the payment."""
    for reference, payment_name in (("INV-1", "INV-1"), (None, "pi_1")):
        with pytest.raises(InvalidData) as excinfo:
            event_of(reference=reference, **{field: PART}).expect(EUROS)
        assert ("amount", True) == (excinfo.value.field, excinfo.value.remedy is not None)
        assert f"payment {payment_name} was 149.90 EUR, but the event reports 50.00 EUR." in str(
            excinfo.value
        )

    event_of(**{field: EUROS}).expect(EUROS)
    event_of().expect(EUROS)


def test_event_without_details_changes_nothing_until_its_payment_is_looked_up() -> None:
    """An event without details changes nothing until its payment is looked up."""
    previous_payment = captured_payment()
    hint = PaymentEvent(id="evt_1", ref=REF, at=LATER_TIME, ask=True, raw="hint")
    later_payment = captured_payment(
        PaymentState.REFUNDED, refunded=EUROS, as_of=None, vendor_state="gone", reference="INV-1"
    )
    result = completed_with(hint, later_payment)

    assert previous_payment == advance(previous_payment, hint)
    assert (
        PaymentEvent(
            id="evt_1",
            ref=REF,
            state=PaymentState.REFUNDED,
            vendor_state="gone",
            at=LATER_TIME,
            reference="INV-1",
            amount=EUROS,
            authorized=EUROS,
            captured=EUROS,
            refunded=EUROS,
        )
        == result
    )
    assert (later_payment, "hint") == (result.payment, result.raw)
    assert LATER_TIME == advance(previous_payment, result).as_of
    assert PaymentState.REFUNDED == advance(previous_payment, result).state


def test_late_failure_of_a_bank_debit_takes_the_money_back() -> None:
    """If the vendor later reports that a collected payment failed, it fails with that reason."""
    decline = Decline(reason=DeclineReason.INSUFFICIENT_FUNDS, vendor_code="AM04")
    hint = PaymentEvent(id="evt_1", ref=REF, at=LATER_TIME, ask=True, decline=decline)
    failed_payment = captured_payment(PaymentState.FAILED, captured=NO_MONEY, as_of=None)

    known_payment = advance(captured_payment(captured=EUROS), completed_with(hint, failed_payment))
    declined_again = attrs.evolve(failed_payment, decline=attrs.evolve(decline, vendor_code="X"))

    assert (PaymentState.FAILED, NO_MONEY, decline) == (
        known_payment.state,
        known_payment.captured,
        known_payment.decline,
    )
    assert declined_again.decline == completed_with(hint, declined_again).decline
    assert completed_with(hint, captured_payment()).decline is None


def test_refund_counts_once() -> None:
    """A repeated refund event is counted once, and a failed refund is not counted."""
    first_payment = advance(captured_payment(), event_of(refund=refund(), at=LATER_TIME))
    repeated_payment = advance(first_payment, event_of(refund=refund(), at=LATER_TIME))
    failed_payment = advance(
        attrs.evolve(repeated_payment, as_of=LATER_TIME),
        event_of(refund=refund(MoveState.FAILED), at=LATER_TIME + timedelta(minutes=1)),
    )

    assert PART == first_payment.refunded == repeated_payment.refunded
    assert PaymentState.PARTIALLY_REFUNDED == first_payment.state == repeated_payment.state
    assert NO_MONEY == failed_payment.refunded
    assert PaymentState.CAPTURED == failed_payment.state


def test_pending_refund_does_not_count_as_refunded_yet() -> None:
    """A pending refund does not count as refunded yet."""
    request = advance(captured_payment(), event_of(refund=refund(MoveState.PENDING), at=LATER_TIME))
    finished_payment = advance(request, event_of(refund=refund(), at=LATER_TIME))
    pending_refund_payment = advance(
        finished_payment, event_of(refund=refund(MoveState.PENDING), at=NOON)
    )

    assert NO_MONEY == request.refunded
    assert PART == finished_payment.refunded == pending_refund_payment.refunded


def test_total_includes_its_refunds() -> None:
    """If a vendor's total already includes single refunds, they are not added again."""
    existing_payment = captured_payment(PaymentState.PARTIALLY_REFUNDED, refunded=PART)

    assert PART == advance(existing_payment, event_of(refund=refund(), at=LATER_TIME)).refunded
    assert (
        EUROS
        == advance(existing_payment, event_of(refund=refund(amount=EUROS), at=LATER_TIME)).refunded
    )
    assert (
        PART
        == advance(existing_payment, event_of(refund=refund(amount=None), at=LATER_TIME)).refunded
    )


def test_total_never_shrinks_by_simultaneous_events() -> None:
    """If two refund totals have the same time, the larger one is used."""
    existing_payment = captured_payment(PaymentState.PARTIALLY_REFUNDED, refunded=PART * 2)
    fields = {"state": PaymentState.PARTIALLY_REFUNDED, "captured": EUROS, "refunded": PART}

    assert PART * 2 == advance(existing_payment, event_of(**fields, at=NOON)).refunded
    assert PART == advance(existing_payment, event_of(**fields, at=LATER_TIME)).refunded
    unknown_payment = attrs.evolve(existing_payment, refunded=None)
    assert PART == advance(unknown_payment, event_of(**fields, at=NOON)).refunded


def test_late_refund_total_counts() -> None:
    """A refund counts even if its event arrives after the event of a later dispute."""
    existing_payment = captured_payment(PaymentState.DISPUTED)
    earlier_time = NOON - timedelta(minutes=1)
    late_event = advance(
        existing_payment,
        event_of(state=PaymentState.PARTIALLY_REFUNDED, refunded=PART, at=earlier_time),
    )

    assert (PaymentState.DISPUTED, PART, NOON) == (
        late_event.state,
        late_event.refunded,
        late_event.as_of,
    )


def test_failed_refund_is_not_revived() -> None:
    """An older refund total does not restore a refund that has failed."""
    existing_payment = captured_payment(refunds=(refund(MoveState.FAILED),), as_of=LATER_TIME)
    late_event = advance(
        existing_payment, event_of(state=PaymentState.CAPTURED, refunded=PART, at=NOON)
    )

    assert NO_MONEY == late_event.refunded


def test_late_step_forward_keeps_the_newer_time() -> None:
    """If an older event moves the state forward, the payment keeps the time of the newer event."""
    existing_payment = captured_payment(PaymentState.CAPTURED)
    earlier_time = NOON - timedelta(minutes=1)
    later_payment = advance(
        existing_payment,
        event_of(state=PaymentState.PARTIALLY_REFUNDED, refunded=PART, at=earlier_time),
    )

    assert (PART, NOON) == (later_payment.refunded, later_payment.as_of)


def test_captures_add_up() -> None:
    """Partial captures add up, and change the payment's state when all is captured."""
    existing_payment = captured_payment(PaymentState.AUTHORIZED, captured=None, refunded=None)
    for number, amount in enumerate((PART, EUROS - PART)):
        capture = Capture(
            ref=Ref("stripe", "main", f"c{number}"),
            payment=REF,
            state=MoveState.SUCCEEDED,
            amount=amount,
        )
        existing_payment = advance(existing_payment, event_of(capture=capture, at=LATER_TIME))

    assert EUROS == existing_payment.captured
    assert PaymentState.CAPTURED == existing_payment.state


def test_won_dispute_restores_the_state() -> None:
    """After a dispute is won, the payment's state follows from its totals again."""
    dispute = Dispute(ref=Ref("stripe", "main", "du_1"), payment=REF, state=DisputeState.WON)
    disputed_payment = captured_payment(PaymentState.DISPUTED, refunded=PART)

    assert (
        PaymentState.PARTIALLY_REFUNDED
        == advance(disputed_payment, event_of(dispute=dispute, at=LATER_TIME)).state
    )
    payment_without_total = attrs.evolve(disputed_payment, captured=None)
    assert (
        PaymentState.CAPTURED
        == advance(payment_without_total, event_of(dispute=dispute, at=LATER_TIME)).state
    )
    assert captured_payment() == advance(
        captured_payment(), event_of(dispute=dispute, at=LATER_TIME)
    )
    assert disputed_payment is advance(
        disputed_payment, event_of(dispute=dispute, at=NOON - timedelta(minutes=1))
    )


# --- what a buyer may be told ----------------------------------------------


def error_with_call_details(error: ConnectorError, *, acted: bool) -> ConnectorError:
    """Return the error with the details that a call adds to errors."""
    vars(error).update(_signature=1, _acted=acted)
    return error


@pytest.mark.parametrize(
    "error, outcome",
    [
        (PaymentDeclined("no"), "declined"),
        (InvalidData("no"), "not_attempted"),
        (ConfigurationError("no"), "not_attempted"),
        (UnsupportedByVendor("no"), "not_attempted"),
        (AuthenticationFailed("no"), "not_attempted"),
        (InvalidRequest("no"), "not_attempted"),
        (error_with_call_details(InvalidRequest("no"), acted=True), "unknown"),
        (error_with_call_details(InvalidData("unreadable"), acted=False), "unknown"),
        (RateLimitExceeded("no"), "unavailable"),
        (error_with_call_details(RateLimitExceeded("no"), acted=True), "unknown"),
        (CircuitBreakerOpen("no"), "unavailable"),
        (error_with_call_details(CircuitBreakerOpen("no"), acted=True), "unknown"),
        (ConnectionFailed("no", may_have_been_processed=False), "unavailable"),
        (ConnectionFailed("no"), "unknown"),
        (DeadlineExceeded("no"), "unknown"),
        (error_with_call_details(DeadlineExceeded("no"), acted=False), "unavailable"),
        (VendorFailed("no"), "unknown"),
        (OutcomeUnknown("no"), "unknown"),
        (IdempotencyConflict("no"), "unknown"),
        (IdempotencyInProgress("no"), "unknown"),
        (StorageUnavailable("no"), "unknown"),
        (RuntimeError("no"), "unknown"),
        (KeyboardInterrupt(), "unknown"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_unknown_outcome_is_never_reported_as_not_charged(
    error: BaseException, outcome: str
) -> None:
    """The text for the buyer says that no money was taken only if the error proves it."""
    notice = buyer_notice(error)

    assert BuyerOutcome(outcome) == notice.outcome
    assert outcome in {"not_attempted", "unavailable"} or "not been charged" not in notice.text
    assert notice.code
    assert notice.text.endswith(".")


@pytest.mark.parametrize("reason", DeclineReason)
def test_decline_reasons_have_texts(reason: DeclineReason) -> None:
    """The text for a declined payment helps the buyer, but tells a thief nothing useful."""
    notice = buyer_notice(PaymentDeclined("no", reason=reason))

    assert BuyerOutcome.DECLINED == notice.outcome
    assert reason in {"lost_or_stolen", "fraud_suspected"} or notice.text
    if reason in {DeclineReason.LOST_OR_STOLEN, DeclineReason.FRAUD_SUSPECTED}:
        assert "declined" == notice.code
