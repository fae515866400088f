"""A look-up that does not settle a payment is recorded with the reason."""

from __future__ import annotations

from typing import ClassVar

import pytest

from moorage import Response
from moorage.contracts.payments import Inconclusive, NextStep, VendorQuestion
from moorage.errors import ConnectionFailed
from moorage.testing.sandboxes.base import Lost
from moorage.vendors.payments.stripe import Stripe
from tests.contracts.unsettled_harness import (
    KEY,
    ORDER,
    WAIT,
    KeylessStripe,
    PaymentsHarness,
    UnlistedStripe,
)


class _UnlistedStripe(Stripe):
    """A Stripe vendor that can neither list payments nor look them up."""

    capabilities: ClassVar[frozenset[str]] = UnlistedStripe.capabilities


_LISTED = Stripe.listed_within
_UNREACHABLE = ConnectionFailed("no route", may_have_been_processed=False)


def _question(harness: PaymentsHarness) -> VendorQuestion | None:
    with harness.hub() as hub:
        (payment,) = hub.unsettled_payments()
        return payment.last_question


def test_vendor_that_cannot_be_reached_gave_no_answer() -> None:
    """If the vendor cannot be reached, the error, the time and the look-up count are recorded."""
    harness = PaymentsHarness(KeylessStripe)
    with harness.hub() as hub:
        harness.lose(hub)
        harness.clock.advance(WAIT)
        assert _question(harness) is None
        for _ in range(2):
            harness.stripe.fail(_UNREACHABLE)
            assert hub.settle_payment(KEY) is None
            harness.clock.advance(1)
        question = _question(harness)
        assert question is not None
        assert (2, Inconclusive.NO_ANSWER, "ConnectionFailed") == (
            question.count,
            question.result,
            question.error,
        )
        assert 1 == (harness.clock.utc() - question.at).total_seconds()


@pytest.mark.parametrize("error", [_UNREACHABLE, Response(503), Response(401)])
def test_failed_repeat_leaves_the_outcome_unknown(error: ConnectionFailed | Response) -> None:
    """If the repeat of a payment fails, the outcome stays unknown and the error is recorded."""
    harness = PaymentsHarness()
    with harness.hub() as hub:
        harness.lose(hub)
        harness.clock.advance(WAIT)
        harness.stripe.fail(*[error] * 3)
        assert hub.settle_payment(KEY) is None
        question = _question(harness)
        assert question is not None
        assert Inconclusive.NO_ANSWER is question.result
        assert question.error is not None


def test_payment_that_is_not_listed_is_recorded_as_such() -> None:
    """If the vendor does not list the payment, this is recorded, without an error."""
    harness = PaymentsHarness(KeylessStripe)
    with harness.hub() as hub:
        harness.lose(hub)
        harness.clock.advance(WAIT)
        harness.stripe.intents.clear()
        harness.stripe.charges.clear()
        assert [] == hub.settle_payments()
        question = _question(harness)
        assert question is not None
        assert (1, Inconclusive.NOT_LISTED, None) == (
            question.count,
            question.result,
            question.error,
        )


def test_several_listed_payments_are_recorded_as_such() -> None:
    """If the vendor lists several matching payments, none is chosen, and this is recorded."""
    harness = PaymentsHarness(KeylessStripe)
    with harness.hub() as hub:
        hub.payments().charge(ORDER, idempotency_key="another attempt")
        harness.lose(hub)
        harness.clock.advance(WAIT)
        assert hub.settle_payment(KEY) is None
        question = _question(harness)
        assert question is not None
        assert (Inconclusive.SEVERAL_LISTED, None) == (question.result, question.error)
        harness.clock.advance(_LISTED)
        assert [] == hub.settle_payments()
        (payment,) = hub.unsettled_payments()
        assert (NextStep.PERSON, False) == (payment.next, payment.is_proven_absent)


def test_payment_that_is_not_listed_in_time_is_proven_absent() -> None:
    """A look-up proves that a payment is absent only after the vendor's listing time."""
    harness = PaymentsHarness(KeylessStripe)
    with harness.hub() as hub:
        harness.lose(hub)
        harness.stripe.intents.clear()
        harness.stripe.charges.clear()
        (payment,) = hub.unsettled_payments()
        listed_by = payment.listed_by
        assert listed_by is not None
        waiting_seconds = (listed_by - harness.clock.utc()).total_seconds()
        assert (_LISTED, ("stripe",)) == (payment.listed_within, payment.vendors)
        assert pytest.approx(payment.wait + _LISTED) == waiting_seconds
        for seconds, is_proven in ((waiting_seconds - 1, False), (2, True)):
            harness.clock.advance(seconds)
            assert hub.settle_payment(KEY) is None
            (payment,) = hub.unsettled_payments()
            assert (listed_by, is_proven) == (payment.listed_by, payment.is_proven_absent)


def test_vendor_without_a_list_has_no_time_to_list_a_payment() -> None:
    """Without a list (as for refunds), a look-up never proves that an operation is absent."""
    harness = PaymentsHarness(UnlistedStripe)
    with harness.hub() as hub:
        harness.lose(hub)
        (payment,) = hub.unsettled_payments()
        assert (None, None) == (payment.listed_by, payment.listed_within)
        assert not payment.is_proven_absent


def test_refused_question_is_recorded_as_refused() -> None:
    """If the vendor refuses to list payments, this is recorded."""
    harness = PaymentsHarness(KeylessStripe)
    with harness.hub() as hub:
        harness.lose(hub)
        harness.clock.advance(WAIT)
        harness.stripe.fail(Response(400, body=b'{"error": {"type": "invalid_request_error"}}'))
        assert hub.settle_payment(KEY) is None
        question = _question(harness)
        assert question is not None
        assert Inconclusive.REFUSED is question.result


def test_look_ups_are_counted_until_the_outcome_is_known() -> None:
    """Look-ups are counted until the payment's outcome is known."""
    harness = PaymentsHarness()
    with harness.hub() as hub:
        harness.lose(hub)
        for _ in range(2):
            harness.clock.advance(WAIT)
            harness.stripe.fail(_UNREACHABLE)
            assert hub.settle_payment(KEY) is None
        question = _question(harness)
        assert question is not None
        assert 2 == question.count
        hub.payments().charge(ORDER, idempotency_key=KEY)
        assert [] == hub.unsettled_payments()


def test_lost_repeat_at_a_vendor_without_a_list_gave_no_answer() -> None:
    """If the repeat is lost and the vendor cannot list payments, "no answer" is recorded."""
    harness = PaymentsHarness(_UnlistedStripe)
    with harness.hub() as hub:
        harness.lose(hub)
        harness.clock.advance(WAIT)
        harness.stripe.fail(Lost())
        assert hub.settle_payment(KEY) is None
        question = _question(harness)
        assert question is not None
        assert (Inconclusive.NO_ANSWER, "ConnectionFailed") == (
            question.result,
            question.error,
        )
