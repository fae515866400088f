"""Payments with an unknown outcome that a person closes as done or not done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import Hub, Ref
from moorage.adapters.logs.memory import MemoryIntegrationLogger
from moorage.contracts.payments import (
    Money,
    MoveState,
    Payment,
    PaymentState,
    Refund,
    SettledAs,
    Unsettled,
)
from moorage.contracts.routes import Account
from moorage.domain.idempotency.claims import Claim
from moorage.domain.observation.integration_log import LogQuery
from moorage.errors import (
    ConfigurationError,
    ConnectionFailed,
    IdempotencyConflict,
    IdempotencyInProgress,
    InvalidData,
    OutcomeUnknown,
    StorageUnavailable,
)
from moorage.testing import VirtualSleeper
from moorage.testing.sandboxes.base import Lost, SandboxHttpClient
from moorage.vendors.payments.stripe import Stripe
from tests.contracts.unsettled_harness import (
    KEY,
    ORDER,
    WAIT,
    DyingStore,
    KeylessStripe,
    KilledError,
    PaymentsHarness,
    UnlistedStripe,
)

if TYPE_CHECKING:
    from moorage.adapters.state.memory import MemoryStorage


@pytest.mark.parametrize("value", ["id", "ref", "payment", None])
def test_person_closes_a_payment_as_done(value: str | None) -> None:
    """If a payment is closed with a receipt, a repeat returns the receipt and sends nothing."""
    harness = PaymentsHarness(KeylessStripe)
    with harness.hub() as hub:
        harness.lose(hub)
        (intent_id,) = harness.stripe.intents
        payment = hub.payments().get(f"stripe:till:{intent_id}")
        receipts = {"id": intent_id, "ref": payment.ref, "payment": payment, None: None}
        closed_payment = hub.close_payment(KEY, done=True, receipt=receipts[value])
        count = len(harness.stripe.requests)
        repeated_payment = hub.payments().charge(ORDER, idempotency_key=KEY)

        assert KEY == closed_payment.idempotency_key
        assert (payment.ref.id, payment.state, True) == (
            repeated_payment.ref.id,
            repeated_payment.state,
            repeated_payment.replayed,
        )
        assert count == len(harness.stripe.requests)
        assert [] == hub.unsettled_payments()
        assert 1 == len(harness.stripe.charges)


def test_closed_payment_is_replayed_to_its_own_request_only() -> None:
    """If a payment was closed as done, using its key with another amount is a conflict."""
    harness = PaymentsHarness(KeylessStripe)
    with harness.hub() as hub:
        harness.lose(hub)
        hub.close_payment(KEY, done=True)
        with pytest.raises(IdempotencyConflict):
            hub.payments().charge(
                attrs.evolve(ORDER, amount=Money("21.00", "EUR")), idempotency_key=KEY
            )


def test_person_closes_a_payment_as_not_done() -> None:
    """A payment can be closed as not done only if no request can still be running."""
    harness = PaymentsHarness(UnlistedStripe)
    with harness.hub() as hub:
        harness.stripe.fail(ConnectionFailed("gone", may_have_been_processed=True))
        with pytest.raises(OutcomeUnknown):
            hub.payments().charge(ORDER, idempotency_key=KEY)
        with pytest.raises(
            IdempotencyInProgress, match="The request may still be in progress"
        ) as excinfo:
            hub.close_payment(KEY, done=False)
        assert excinfo.value.retry_at is not None
        harness.clock.advance(WAIT)
        hub.close_payment(KEY, done=False)
        assert [] == hub.unsettled_payments()
        receipt = hub.payments().charge(ORDER, idempotency_key=KEY)

        assert not receipt.replayed
        assert 1 == len(harness.stripe.charges)
        assert hub.payments().charge(ORDER, idempotency_key=KEY).replayed


def test_completed_payment_cannot_be_closed_as_not_done() -> None:
    """If a payment's stored response says that it succeeded, it cannot be closed as not done."""
    harness = PaymentsHarness(UnlistedStripe)
    dying_store: Any = DyingStore(harness.state, "UnregisterOperation", "unsettled")
    with harness.hub() as hub:
        with pytest.raises(KilledError):
            harness.hub(state=dying_store).payments().charge(ORDER, idempotency_key=KEY)
        harness.clock.advance(WAIT)
        with pytest.raises(
            InvalidData, match=("The vendor's stored response confirms that this")
        ) as excinfo:
            hub.close_payment(KEY, done=False)
        assert "done" == excinfo.value.field
        assert hub.payments().charge(ORDER, idempotency_key=KEY).replayed


def test_declined_payment_may_be_closed_as_not_done() -> None:
    """A payment that the vendor declined can be closed as not done."""
    harness = PaymentsHarness(UnlistedStripe)
    declined_charge = attrs.evolve(ORDER, source="pm_card_chargeDeclined")
    dying_store: Any = DyingStore(harness.state, "UnregisterOperation", "unsettled")
    with harness.hub() as hub:
        with pytest.raises(KilledError):
            harness.hub(state=dying_store).payments().charge(declined_charge, idempotency_key=KEY)
        harness.clock.advance(WAIT)
        hub.close_payment(KEY, done=False)
        assert [] == hub.unsettled_payments()


def test_receipt_without_a_look_up() -> None:
    """If a closed payment cannot be looked up, its receipt is pending with the requested amount."""
    harness = PaymentsHarness(UnlistedStripe)
    with harness.hub() as hub:
        payments = hub.payments()
        harness.lose(hub)
        hub.close_payment(KEY, done=True, receipt="pi_1")
        payment = payments.charge(ORDER, idempotency_key=KEY)
        assert ("pi_1", PaymentState.PENDING, ORDER.amount) == (
            payment.ref.id,
            payment.state,
            payment.amount,
        )
        assert "EUR" == payment.ref.other("currency")

        authorization = payments.authorize(ORDER, idempotency_key="a").ref
        other_ref = payments.authorize(ORDER, idempotency_key="b").ref
        steps: list[Any] = [
            ("c", lambda: payments.capture(authorization, ORDER.amount, idempotency_key="c")),
            ("r", lambda: payments.refund(authorization, ORDER.amount, idempotency_key="r")),
            ("v", lambda: payments.void(other_ref, idempotency_key="v")),
        ]
        for key, step in steps:
            harness.stripe.fail(Lost())
            with pytest.raises(OutcomeUnknown):
                step()
            hub.close_payment(key, done=True, receipt=f"x_{key}")
            closed_move = step()
            assert (f"x_{key}", MoveState.PENDING) == (closed_move.ref.id, closed_move.state)
            assert closed_move.payment.id in {authorization.id, other_ref.id}


def test_refund_is_closed_with_refund_own_id() -> None:
    """An operator closes a refund with the refund's own id.

    A refund that was closed without its id cannot be found by the id.
    """
    harness = PaymentsHarness(KeylessStripe)
    with harness.hub() as hub:
        payments = hub.payments()
        charge = payments.charge(ORDER, idempotency_key="a")
        harness.stripe.fail(Lost())
        with pytest.raises(OutcomeUnknown):
            payments.refund(charge.ref, ORDER.amount, idempotency_key="r")
        with pytest.raises(InvalidData, match="cannot be looked up by the payment's"):
            hub.close_payment("r", done=True)
        (refund,) = harness.stripe.refunds
        hub.close_payment("r", done=True, receipt=refund)
        repeated_refund = payments.refund(charge.ref, ORDER.amount, idempotency_key="r")

        assert isinstance(repeated_refund, Refund)
        assert (refund, MoveState.SUCCEEDED, True) == (
            repeated_refund.ref.id,
            repeated_refund.state,
            repeated_refund.replayed,
        )


@pytest.mark.parametrize(
    "key, receipt, problem",
    [
        ("none", "pi_1", "No unsettled payment has the key"),
        (KEY, 7, "The receipt of a charge must not be an int"),
        (KEY, "stripe:other:pi_1", "belongs to the account 'other'"),
        (KEY, "other", "amount"),
        (KEY, "same", "reference"),
        (KEY, None, "lists 2 payments with this reference and amount: pi_[0-9]+, pi_"),
    ],
)
def test_receipt_of_another_payment_is_refused(key: str, receipt: Any, problem: str) -> None:
    """A payment cannot be closed with the receipt of another payment."""
    harness = PaymentsHarness(KeylessStripe)
    with harness.hub() as hub:
        payments = hub.payments()
        wrong_charges = {
            "other": attrs.evolve(ORDER, amount=Money("5.00", "EUR"), reference="INV-8"),
            "same": attrs.evolve(ORDER, reference="INV-9"),
        }
        ids = {
            name: payments.charge(charge, idempotency_key=name).ref.id
            for name, charge in wrong_charges.items()
        }
        payments.charge(ORDER, idempotency_key="another attempt")
        harness.lose(hub)
        with pytest.raises(InvalidData, match=problem):
            hub.close_payment(key, done=True, receipt=ids.get(receipt, receipt))
        assert [KEY] == [payment.idempotency_key for payment in hub.unsettled_payments()]


class PaymentClosingClient(SandboxHttpClient):
    """An HTTP client that closes a payment while the payment's look-up is sent."""

    def __init__(self, harness: PaymentsHarness) -> None:
        super().__init__(harness.stripe)
        self._harness = harness

    def send(self, *args: Any) -> Any:
        """Close the payment, and send the request."""
        receipt = Payment(ref=Ref("stripe", "till", "pi_1"), state=PaymentState.CAPTURED)
        with self._harness.hub() as other_hub:
            other_hub.close_payment(KEY, done=True, receipt=receipt)
        return super().send(*args)


def test_payment_closed_during_its_look_up() -> None:
    """If an operator closes a payment during its look-up, it is not looked up again."""
    harness = PaymentsHarness(KeylessStripe)
    lost_payment = Unsettled(charge=ORDER, idempotency_key=KEY)
    with harness.hub(http=PaymentClosingClient(harness)) as hub:
        harness.stripe.fail(Lost())
        (result,) = hub.payments().settle([lost_payment])
        assert isinstance(result.error, OutcomeUnknown)
        assert 1 == len(harness.stripe.requests)
        assert "pi_1" == hub.payments().charge(ORDER, idempotency_key=KEY).ref.id


def test_tenants_are_listed_and_closed_separately() -> None:
    """Payments of two tenants with the same idempotency key are listed and closed separately."""
    harness = PaymentsHarness(KeylessStripe)
    with harness.hub() as hub:
        for tenant in ("acme", None):
            harness.stripe.fail(Lost())
            with pytest.raises(OutcomeUnknown):
                hub.payments(tenant).charge(ORDER, idempotency_key=KEY)
        assert {"acme", None} == {payment.tenant for payment in hub.unsettled_payments()}
        hub.close_payment(KEY, done=True, receipt=next(iter(harness.stripe.intents)), tenant="acme")
        assert [None] == [payment.tenant for payment in hub.unsettled_payments()]


@pytest.mark.parametrize("answer", [{"id": "pi_1"}, None])
def test_unreadable_response_cannot_resolve_a_key(answer: Any) -> None:
    """A payment's idempotency key cannot be resolved with a value that is not a receipt."""
    harness = PaymentsHarness(KeylessStripe)
    with harness.hub() as hub:
        harness.lose(hub)
        with pytest.raises(InvalidData, match="The answer for an idempotency key") as excinfo:
            hub.manager.resolve_key("till", KEY, done=True, answer=answer)
        assert "hub.close_payment" in excinfo.value.remedy
        hub.close_payment(KEY, done=True)
        assert hub.payments().charge(ORDER, idempotency_key=KEY).replayed


@pytest.mark.parametrize("kind", [Stripe, KeylessStripe])
def test_payment_that_job_has_settled_is_not_repeated_after_operator_says_not_done(
    kind: type[Stripe],
) -> None:
    """If the settlement job has settled a payment, an operator's "not done" does not repeat it.

    If the request was sent again, its answer is also stored under the service's key. If the payment
    was looked up, that key's outcome is still unknown, and only the payment's record prevents a
    repeat.
    """
    harness = PaymentsHarness(kind)
    with harness.hub() as hub:
        harness.lose(hub)
        harness.clock.advance(WAIT)
        assert [SettledAs.DONE] == [settlement.outcome for settlement in hub.settle_payments()]
        assert (kind is KeylessStripe) == hub.manager.resolve_key("till", KEY, done=False)
        assert hub.payments().charge(ORDER, idempotency_key=KEY).replayed
        assert 1 == len(harness.stripe.charges)


class UnclaimableStore:
    """A store that fails whenever an idempotency key is claimed."""

    def __init__(self, state: MemoryStorage) -> None:
        self._state = state
        self.post = state.post

    def execute(self, command: Any, /, timeout: float | None = None) -> Any:
        """Raise an error for a command that claims an idempotency key.

        Execute any other command.
        """
        if isinstance(command, Claim):
            raise StorageUnavailable("It is away.")
        return self._state.execute(command, timeout)


def test_payment_is_not_closed_as_not_done_while_the_store_is_away() -> None:
    """While the store is unavailable, a payment cannot be closed as not done."""
    harness = PaymentsHarness(UnlistedStripe)
    absent_store: Any = UnclaimableStore(harness.state)
    with harness.hub() as hub, harness.hub(state=absent_store) as other_hub:
        harness.lose(hub)
        harness.clock.advance(WAIT)
        with pytest.raises(StorageUnavailable):
            other_hub.close_payment(KEY, done=False)
        assert [KEY] == [payment.idempotency_key for payment in hub.unsettled_payments()]


def test_payment_that_was_never_sent_may_be_closed_as_not_done() -> None:
    """A payment without a stored answer is closed without a request to the vendor."""
    harness = PaymentsHarness()
    dying_store: Any = DyingStore(harness.state, "Claim", "key")
    with harness.hub() as hub:
        with pytest.raises(KilledError):
            harness.hub(state=dying_store).payments().charge(ORDER, idempotency_key=KEY)
        harness.clock.advance(WAIT)
        hub.close_payment(KEY, done=False)
        assert [] == harness.stripe.requests
        assert [] == hub.unsettled_payments()
        assert not hub.payments().charge(ORDER, idempotency_key=KEY).replayed


def test_closing_as_not_done_is_not_recorded_as_a_call() -> None:
    """If a payment is closed as not done, the log has no entry for reading its stored answer."""
    harness, log = PaymentsHarness(KeylessStripe), MemoryIntegrationLogger()
    with harness.hub(log=log) as hub:
        harness.lose(hub)
        harness.clock.advance(WAIT)
        calls = log.find(LogQuery()).items
        hub.close_payment(KEY, done=False)
        assert calls == log.find(LogQuery()).items
        assert 1 == len(calls)
        hub.payments().charge(ORDER, idempotency_key=KEY)
        assert 2 == len(log.find(LogQuery()).items)


@pytest.mark.parametrize("lost", [False, True], ids=["settled", "unknown"])
def test_payment_of_a_removed_account_is_listed_only_if_it_is_unknown(lost: bool) -> None:
    """A repeat after the account was removed lists a payment only if its outcome is unknown."""
    harness = PaymentsHarness(Stripe)
    with harness.hub() as hub:
        if lost:
            harness.lose(hub)
        else:
            hub.payments().charge(ORDER, idempotency_key=KEY)

    other_account = Account(
        "booth", Stripe(credentials=harness.stripe.api_key), settings=harness.settings
    )
    with Hub(
        [other_account],
        http=SandboxHttpClient(harness.stripe),
        state=harness.state,
        clock=harness.clock,
        sleeper=VirtualSleeper(harness.clock),
    ) as hub:
        with pytest.raises(ConfigurationError, match="'till', which is no longer") as excinfo:
            hub.payments().charge(ORDER, idempotency_key=KEY)

        assert lost is ("hub.unsettled_payments()" in excinfo.value.remedy)
        assert [KEY] * lost == [payment.idempotency_key for payment in hub.unsettled_payments()]
    assert 1 == len(harness.stripe.charges)
