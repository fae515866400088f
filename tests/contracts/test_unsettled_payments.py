"""Payments with unknown outcomes: listed, settled by asking the vendor, closed by a person."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

import attrs
import pytest

from moorage import AsyncHub, Hub, Ref, RetryPolicy
from moorage.adapters.ciphers.aes_gcm import AesGcmCipher, generate_keys
from moorage.adapters.state.memory import MemoryStorage
from moorage.contracts.payments import (
    Charge,
    Money,
    MoveState,
    NextStep,
    Payment,
    PaymentsCapability,
    PaymentState,
    Refund,
    SettledAs,
    Unsettled,
)
from moorage.contracts.routes import Account
from moorage.contracts.vendor import UnknownOutcome
from moorage.domain.idempotency.claims import Claim
from moorage.domain.idempotency.unsettled import (
    Attend,
    ReadEffects,
    Recall,
    Register,
    Registered,
    Withhold,
    effect_name,
)
from moorage.errors import (
    ConfigurationError,
    ConnectionFailed,
    IdempotencyConflict,
    IdempotencyInProgress,
    InvalidData,
    OutcomeUnknown,
    PaymentDeclined,
    StorageUnavailable,
    VendorRejected,
)
from moorage.testing import VirtualClock, VirtualSleeper
from moorage.testing.sandboxes.base import AsyncSandboxHttpClient, Lost, SandboxHttpClient
from moorage.testing.sandboxes.payments.stripe import StripeSandbox
from moorage.vendors.payments.stripe import Stripe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.domain.service.settings import Service

ORDER = Charge(Money("20.00", "EUR"), "pm_card_visa", reference="INV-7")
KEY = "INV-7/1"
WAIT = 60.0
"""Seconds after which nobody may be at work on a payment any more."""


@attrs.frozen(kw_only=True)
class Keyless(Stripe):
    """Stripe, but without idempotency keys: lost payments are looked up."""

    unknown_outcomes: ClassVar[Mapping[str, UnknownOutcome]] = dict.fromkeys(
        Stripe.unknown_outcomes, UnknownOutcome.LOOKED_UP
    )

    def services(self) -> Mapping[str, Service]:
        """The API, which receives no keys."""
        services = super().services()
        return {
            name: attrs.evolve(
                service, idempotency_header=None, idempotency_memory=None, honours_keys=False
            )
            for name, service in services.items()
        }


class Silent(Keyless):
    """A vendor that can neither list nor look up payments."""

    capabilities: ClassVar[frozenset[str]] = frozenset(PaymentsCapability) - {
        PaymentsCapability.LIST,
        PaymentsCapability.LOOK_UP,
        PaymentsCapability.LOOK_UP_REFUND,
    }


@attrs.frozen(kw_only=True)
class Cautious(Stripe):
    """Stripe with keys, but nothing is sent twice automatically."""

    unknown_outcomes: ClassVar[Mapping[str, UnknownOutcome]] = dict.fromkeys(
        Stripe.unknown_outcomes, UnknownOutcome.LOOKED_UP
    )


class PaymentsWorld:
    """A vendor, a store, and virtual time."""

    def __init__(self, kind: type[Stripe] = Stripe, **settings: Any) -> None:
        self.clock = VirtualClock()
        self.stripe = StripeSandbox(now=lambda: self.clock.utc().timestamp())
        self.state = MemoryStorage(self.clock)
        self.kind = kind
        self.settings = {"volatile_keys": True, "circuit": None, "retry": None, **settings}

    def hub(self, **ports: Any) -> Hub:
        """Return a hub, as another process would open it."""
        vendor = self.kind(credentials=self.stripe.api_key)
        return Hub(
            [Account("till", vendor, settings=self.settings)],
            **dict[str, Any](
                http=SandboxHttpClient(self.stripe),
                state=self.state,
                clock=self.clock,
                sleeper=VirtualSleeper(self.clock),
            )
            | ports,
        )

    def lose(self, hub: Hub, charge: Charge = ORDER, key: str = KEY) -> None:
        """Charge once and lose the response."""
        self.stripe.fail(Lost())
        with pytest.raises((OutcomeUnknown, ConnectionFailed)):
            hub.payments().charge(charge, idempotency_key=key)


class KilledError(BaseException):
    """The process is killed."""


class DyingStore:
    """A store that kills its process before a given command on a given state."""

    def __init__(self, state: MemoryStorage, *at: str) -> None:
        self._state = state
        self._at = at
        self.dead = False

    def execute(self, command: Any, /, timeout: float | None = None) -> Any:
        """Run the command, unless the process dies."""
        self._die(command)
        return self._state.execute(command, timeout)

    def post(self, command: Any, /) -> None:
        """Post the command, unless the process dies."""
        self._die(command)
        self._state.post(command)

    def _die(self, command: Any) -> None:
        kind = command.keys[0].partition("}:")[2].partition(":")[0]
        self.dead = self.dead or (type(command).__name__, kind) == self._at
        if self.dead:
            raise KilledError


@pytest.fixture(params=[Stripe, Keyless, Silent])
def world(request: pytest.FixtureRequest) -> PaymentsWorld:
    """Create a world for each way of looking up payments."""
    return PaymentsWorld(request.param)


NEXT_STEPS = {Stripe: NextStep.ASK_AGAIN, Keyless: NextStep.LOOK_UP, Silent: NextStep.PERSON}


def test_lost_payment_is_listed_in_every_process(world: PaymentsWorld) -> None:
    """The list has the request, its time, and the way to settle it."""
    with world.hub() as hub, world.hub() as other_hub:
        hub.payments().charge(ORDER, idempotency_key="fine")
        assert [] == other_hub.unsettled_payments()
        world.lose(hub)
        (unsettled_payment,) = other_hub.unsettled_payments()
        world.clock.advance(WAIT)
        (later_payment,) = other_hub.unsettled_payments()

        assert (KEY, "charge", ("till",)) == (
            unsettled_payment.idempotency_key,
            unsettled_payment.operation,
            unsettled_payment.accounts,
        )
        assert (ORDER.amount, "INV-7", None) == (
            unsettled_payment.amount,
            unsettled_payment.reference,
            unsettled_payment.payment,
        )
        assert NextStep.WAIT is unsettled_payment.next
        assert 30 < unsettled_payment.wait < WAIT
        assert NEXT_STEPS[world.kind] is later_payment.next
        assert unsettled_payment.since == later_payment.since


def test_job_settles_what_the_vendor_can_tell(world: PaymentsWorld) -> None:
    """The job waits for running callers, looks the payment up, and settles it."""
    with world.hub() as hub, world.hub() as worker:
        world.lose(hub)
        assert [] == worker.settle_payments()
        world.clock.advance(WAIT)
        settled_payments = worker.settle_payments()

        if world.kind is Silent:
            assert [] == settled_payments
            assert 1 == len(worker.unsettled_payments())
            return
        ((settlement),) = settled_payments
        assert SettledAs.DONE is settlement.outcome
        assert KEY == settlement.payment.idempotency_key
        assert "captured" == settlement.receipt.state
        assert [] == worker.unsettled_payments()
        assert [] == worker.settle_payments()
        repeated_payment = hub.payments().charge(ORDER, idempotency_key=KEY)
        assert repeated_payment.replayed
        assert "captured" == repeated_payment.state
        assert 1 == len(world.stripe.charges)


@pytest.mark.parametrize(
    "dies_at, outcome, charges",
    [
        (("Claim", "place"), SettledAs.NOT_DONE, 0),
        (("Claim", "key"), SettledAs.NOT_DONE, 0),
        (("Settle", "key"), SettledAs.DONE, 1),
        (("Strike", "unsettled"), SettledAs.DONE, 1),
    ],
)
def test_payment_of_a_dead_process_is_settled(
    dies_at: tuple[str, str], outcome: SettledAs, charges: int
) -> None:
    """A payment of a process that died is settled, and charged at most once."""
    world = PaymentsWorld()
    dying_store: Any = DyingStore(world.state, *dies_at)
    with world.hub() as worker:
        with pytest.raises(KilledError):
            world.hub(state=dying_store).payments().charge(ORDER, idempotency_key=KEY)
        assert [KEY] == [payment.idempotency_key for payment in worker.unsettled_payments()]
        world.clock.advance(WAIT)
        (settlement,) = worker.settle_payments()

        assert outcome is settlement.outcome
        assert charges == len(world.stripe.charges)
        assert [] == worker.unsettled_payments()
        assert (charges == 1) is worker.payments().charge(ORDER, idempotency_key=KEY).replayed
        assert 1 == len(world.stripe.charges)


def test_request_that_never_arrived_is_made_once_by_the_job() -> None:
    """If the vendor honours keys, the job repeats the request, and it takes effect once."""
    world = PaymentsWorld()
    with world.hub() as hub:
        world.stripe.fail(ConnectionFailed("gone", may_have_been_processed=True))
        with pytest.raises(ConnectionFailed):
            hub.payments().charge(ORDER, idempotency_key=KEY)
        world.clock.advance(WAIT)
        world.stripe.fail(Lost())
        assert [] == hub.settle_payments()
        assert [] == hub.settle_payments()
        world.clock.advance(WAIT)
        (settlement,) = hub.settle_payments()

        assert SettledAs.DONE is settlement.outcome
        assert 1 == len(world.stripe.charges)


def test_declined_payment_is_settled_as_refused() -> None:
    """A lost payment that the vendor declined is settled so, and repeats get the decline."""
    world = PaymentsWorld()
    declined_charge = attrs.evolve(ORDER, source="pm_card_chargeDeclined")
    with world.hub() as hub:
        world.lose(hub, declined_charge)
        world.clock.advance(WAIT)
        (settlement,) = hub.settle_payments()

        assert SettledAs.REFUSED is settlement.outcome
        assert isinstance(settlement.error, PaymentDeclined)
        assert [] == hub.unsettled_payments()
        with pytest.raises(PaymentDeclined):
            hub.payments().charge(declined_charge, idempotency_key=KEY)
        assert [] == hub.unsettled_payments()


def test_each_step_on_a_payment_is_listed_and_settled() -> None:
    """Captures, refunds and voids are looked up as charges are."""
    world = PaymentsWorld()
    with world.hub() as hub:
        payments = hub.payments()
        authorization = payments.authorize(ORDER, idempotency_key="a")
        other_payment = payments.authorize(ORDER, idempotency_key="b")
        steps: list[Any] = [
            ("capture", lambda: payments.capture(authorization.ref, idempotency_key="c")),
            (
                "refund",
                lambda: payments.refund(authorization.ref, ORDER.amount, idempotency_key="r"),
            ),
            ("void", lambda: payments.void(other_payment.ref, idempotency_key="v")),
        ]
        for name, step in steps:
            world.stripe.fail(Lost())
            with pytest.raises(ConnectionFailed):
                step()
            (unsettled_payment,) = hub.unsettled_payments()
            assert name == unsettled_payment.operation
            assert unsettled_payment.payment in {authorization.ref, other_payment.ref}
            world.clock.advance(WAIT)
            (settlement,) = hub.settle_payments()
            assert SettledAs.DONE is settlement.outcome
            assert step().replayed
        assert 1 == len(world.stripe.refunds)


@pytest.mark.parametrize("value", ["id", "ref", "payment", None])
def test_person_closes_a_payment_as_done(value: str | None) -> None:
    """A repeat gets the payment that the person found, without a request."""
    world = PaymentsWorld(Keyless)
    with world.hub() as hub:
        world.lose(hub)
        (intent_id,) = world.stripe.intents
        payment = hub.payments().get(f"stripe:till:{intent_id}")
        receipts = {"id": intent_id, "ref": payment.ref, "payment": payment, None: None}
        closed_payment = hub.close_payment(KEY, done=True, receipt=receipts[value])
        count = len(world.stripe.requests)
        repeated_payment = hub.payments().charge(ORDER, idempotency_key=KEY)

        assert KEY == closed_payment.idempotency_key
        assert (payment.ref.id, payment.state, True) == (
            repeated_payment.ref.id,
            repeated_payment.state,
            repeated_payment.replayed,
        )
        assert count == len(world.stripe.requests)
        assert [] == hub.unsettled_payments()
        assert 1 == len(world.stripe.charges)


def test_closed_payment_is_replayed_to_its_own_request_only() -> None:
    """Another amount under the key of a closed payment is a conflict."""
    world = PaymentsWorld(Keyless)
    with world.hub() as hub:
        world.lose(hub)
        hub.close_payment(KEY, done=True)
        with pytest.raises(IdempotencyConflict):
            hub.payments().charge(
                attrs.evolve(ORDER, amount=Money("21.00", "EUR")), idempotency_key=KEY
            )


def test_person_closes_a_payment_as_not_done() -> None:
    """The key can be used again once no sent request can still be in flight."""
    world = PaymentsWorld(Silent)
    with world.hub() as hub:
        world.stripe.fail(ConnectionFailed("gone", may_have_been_processed=True))
        with pytest.raises(OutcomeUnknown):
            hub.payments().charge(ORDER, idempotency_key=KEY)
        with pytest.raises(IdempotencyInProgress, match="may still be under way") as excinfo:
            hub.close_payment(KEY, done=False)
        assert excinfo.value.retry_at is not None
        world.clock.advance(WAIT)
        hub.close_payment(KEY, done=False)
        assert [] == hub.unsettled_payments()
        receipt = hub.payments().charge(ORDER, idempotency_key=KEY)

        assert not receipt.replayed
        assert 1 == len(world.stripe.charges)
        assert hub.payments().charge(ORDER, idempotency_key=KEY).replayed


def test_completed_payment_cannot_be_closed_as_not_done() -> None:
    """A stored answer cannot be overruled as not done."""
    world = PaymentsWorld(Silent)
    dying_store: Any = DyingStore(world.state, "Strike", "unsettled")
    with world.hub() as hub:
        with pytest.raises(KilledError):
            world.hub(state=dying_store).payments().charge(ORDER, idempotency_key=KEY)
        world.clock.advance(WAIT)
        with pytest.raises(InvalidData, match="says that it was done") as excinfo:
            hub.close_payment(KEY, done=False)
        assert "done" == excinfo.value.field
        assert hub.payments().charge(ORDER, idempotency_key=KEY).replayed


def test_declined_payment_may_be_closed_as_not_done() -> None:
    """A stored refusal agrees with "not done"."""
    world = PaymentsWorld(Silent)
    declined_charge = attrs.evolve(ORDER, source="pm_card_chargeDeclined")
    dying_store: Any = DyingStore(world.state, "Strike", "unsettled")
    with world.hub() as hub:
        with pytest.raises(KilledError):
            world.hub(state=dying_store).payments().charge(declined_charge, idempotency_key=KEY)
        world.clock.advance(WAIT)
        hub.close_payment(KEY, done=False)
        assert [] == hub.unsettled_payments()


def test_receipt_without_a_look_up() -> None:
    """If nothing can be looked up, the receipt has the requested amount and is pending."""
    world = PaymentsWorld(Silent)
    with world.hub() as hub:
        payments = hub.payments()
        world.lose(hub)
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
            world.stripe.fail(Lost())
            with pytest.raises(OutcomeUnknown):
                step()
            hub.close_payment(key, done=True, receipt=f"x_{key}")
            closed_move = step()
            assert (f"x_{key}", MoveState.PENDING) == (closed_move.ref.id, closed_move.state)
            assert closed_move.payment.id in {authorization.id, other_ref.id}


def test_refund_is_looked_up_by_its_own_reference() -> None:
    """A refund's receipt is looked up by its reference; without one it is not found."""
    world = PaymentsWorld(Keyless)
    with world.hub() as hub:
        payments = hub.payments()
        charge = payments.charge(ORDER, idempotency_key="a")
        world.stripe.fail(Lost())
        with pytest.raises(OutcomeUnknown):
            payments.refund(charge.ref, ORDER.amount, idempotency_key="r")
        with pytest.raises(InvalidData, match="reference of its own"):
            hub.close_payment("r", done=True)
        (refund,) = world.stripe.refunds
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
        (KEY, 7, "The receipt of this charge is an int"),
        (KEY, "stripe:other:pi_1", "belongs to the account 'other'"),
        (KEY, "other", "amount"),
        (KEY, "same", "reference"),
        (KEY, None, "not list exactly one payment"),
    ],
)
def test_receipt_of_another_payment_is_refused(key: str, receipt: Any, problem: str) -> None:
    """A payment cannot be closed with another payment's receipt."""
    world = PaymentsWorld(Keyless)
    with world.hub() as hub:
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
        world.lose(hub)
        with pytest.raises(InvalidData, match=problem):
            hub.close_payment(key, done=True, receipt=ids.get(receipt, receipt))
        assert [KEY] == [payment.idempotency_key for payment in hub.unsettled_payments()]


def test_settle_needs_no_since_and_settles_the_key() -> None:
    """The register knows the time of the first request; a found payment settles the key."""
    world = PaymentsWorld(Keyless)
    with world.hub() as hub:
        world.lose(hub)
        (result,) = hub.payments().settle([Unsettled(charge=ORDER, idempotency_key=KEY)])
        repeated_payment = hub.payments().charge(ORDER, idempotency_key=KEY)

        assert "captured" == result.unwrap().state
        assert (result.unwrap().ref.id, True) == (
            repeated_payment.ref.id,
            repeated_payment.replayed,
        )
        assert [] == hub.unsettled_payments()


class Closing(SandboxHttpClient):
    """A client that closes the payment during its request."""

    def __init__(self, world: PaymentsWorld) -> None:
        super().__init__(world.stripe)
        self._world = world

    def send(self, *args: Any) -> Any:
        """Close the payment, and send the request."""
        receipt = Payment(ref=Ref("stripe", "till", "pi_1"), state=PaymentState.CAPTURED)
        with self._world.hub() as other_hub:
            other_hub.close_payment(KEY, done=True, receipt=receipt)
        return super().send(*args)


def test_payment_closed_during_its_look_up() -> None:
    """A payment that is closed during its request is not looked up again."""
    world = PaymentsWorld(Keyless)
    lost_payment = Unsettled(charge=ORDER, idempotency_key=KEY)
    with world.hub(http=Closing(world)) as hub:
        world.stripe.fail(Lost())
        (result,) = hub.payments().settle([lost_payment])
        assert isinstance(result.error, OutcomeUnknown)
        assert 1 == len(world.stripe.requests)
        assert "pi_1" == hub.payments().charge(ORDER, idempotency_key=KEY).ref.id


def test_key_that_is_forgotten_charges_nobody() -> None:
    """A payment that stayed unknown until its claim expired charges nothing."""
    world = PaymentsWorld()
    with world.hub() as hub:
        world.stripe.fail(ConnectionFailed("gone", may_have_been_processed=True))
        with pytest.raises(ConnectionFailed):
            hub.payments().charge(ORDER, idempotency_key=KEY)
        world.clock.advance(3 * 86_400)
        with pytest.raises(OutcomeUnknown, match="key is forgotten"):
            hub.payments().charge(ORDER, idempotency_key=KEY)
        assert NextStep.LOOK_UP is hub.unsettled_payments()[0].next
        assert [] == hub.settle_payments()
        assert 0 == len(world.stripe.charges)
        hub.close_payment(KEY, done=False)
        hub.payments().charge(ORDER, idempotency_key=KEY)
        assert 1 == len(world.stripe.charges)


def test_operation_that_is_looked_up_is_never_sent_twice() -> None:
    """An operation whose vendor requires a look-up is never sent twice."""
    world = PaymentsWorld(Cautious, retry=RetryPolicy(max_attempts=3))
    with world.hub() as hub:
        world.lose(hub)
        count = len(world.stripe.requests)
        with pytest.raises(OutcomeUnknown):
            hub.payments().charge(ORDER, idempotency_key=KEY)
        assert count == len(world.stripe.requests) == 1


def test_tenants_are_listed_and_closed_apart() -> None:
    """The same key of two tenants is two payments."""
    world = PaymentsWorld(Keyless)
    with world.hub() as hub:
        for tenant in ("acme", None):
            world.stripe.fail(Lost())
            with pytest.raises(OutcomeUnknown):
                hub.payments(tenant).charge(ORDER, idempotency_key=KEY)
        assert {"acme", None} == {payment.tenant for payment in hub.unsettled_payments()}
        hub.close_payment(KEY, done=True, receipt=next(iter(world.stripe.intents)), tenant="acme")
        assert [None] == [payment.tenant for payment in hub.unsettled_payments()]


def test_work_is_limited_and_taken_in_order() -> None:
    """The oldest payments come first, up to the requested number."""
    world = PaymentsWorld()
    with world.hub() as hub:
        for number in range(3):
            world.lose(hub, attrs.evolve(ORDER, reference=f"INV-{number}"), f"k{number}")
            world.clock.advance(1)
        world.clock.advance(WAIT)
        assert ["k0"] == [
            payment.payment.idempotency_key for payment in hub.settle_payments(limit=1)
        ]
        assert ["k1", "k2"] == [
            payment.payment.idempotency_key for payment in hub.settle_payments()
        ]


@pytest.mark.parametrize("answer", [{"id": "pi_1"}, None])
def test_unreadable_response_cannot_resolve_a_key(answer: Any) -> None:
    """A key cannot be resolved with an unreadable response."""
    world = PaymentsWorld(Keyless)
    with world.hub() as hub:
        world.lose(hub)
        with pytest.raises(InvalidData, match="The answer of a key") as excinfo:
            hub.manager.resolve_key("till", KEY, done=True, answer=answer)
        assert "hub.close_payment" in excinfo.value.remedy
        hub.close_payment(KEY, done=True)
        assert hub.payments().charge(ORDER, idempotency_key=KEY).replayed


@pytest.mark.parametrize("kind", [Stripe, Keyless])
def test_settled_payment_is_not_taken_again_after_not_done(kind: type[Stripe]) -> None:
    """After the job settled a payment, an operator's "not done" does not cause a second one.

    Where the request was sent again, its answer is stored under the service's key as well. Where
    the payment was looked up, that key is still unknown, and only the payment's record protects it.
    """
    world = PaymentsWorld(kind)
    with world.hub() as hub:
        world.lose(hub)
        world.clock.advance(WAIT)
        assert [SettledAs.DONE] == [settlement.outcome for settlement in hub.settle_payments()]
        assert (kind is Keyless) == hub.manager.resolve_key("till", KEY, done=False)
        assert hub.payments().charge(ORDER, idempotency_key=KEY).replayed
        assert 1 == len(world.stripe.charges)


def test_sealed_payments_need_their_cipher() -> None:
    """An encrypted payment cannot be read without its cipher."""
    world = PaymentsWorld()
    cipher = AesGcmCipher(generate_keys())
    with world.hub(cipher=cipher) as hub, world.hub() as other_hub:
        world.lose(hub)
        world.clock.advance(WAIT)
        (seen_payment,) = hub.unsettled_payments()
        (blind,) = other_hub.unsettled_payments()
        assert (NextStep.ASK_AGAIN, "INV-7") == (seen_payment.next, seen_payment.reference)
        assert (NextStep.CIPHER, None, None) == (blind.next, blind.reference, blind.amount)
        assert [] == other_hub.settle_payments()
        with pytest.raises(ConfigurationError, match="cannot be read here"):
            other_hub.settle_payment(KEY)
        hub.close_payment(KEY, done=True)
        assert hub.payments().charge(ORDER, idempotency_key=KEY).replayed
        with pytest.raises(InvalidData, match="no cipher"):
            other_hub.payments().charge(ORDER, idempotency_key=KEY)


@pytest.mark.parametrize("cipher", [None, AesGcmCipher(generate_keys())])
@pytest.mark.parametrize("done", [True, False])
def test_sealed_payment_is_closed_only_with_its_cipher(
    cipher: AesGcmCipher | None, done: bool
) -> None:
    """A hub that cannot read the stored evidence closes nothing, and says what it needs."""
    world = PaymentsWorld()
    dying_store: Any = DyingStore(world.state, "Strike", "unsettled")
    writer = {"cipher": AesGcmCipher(generate_keys())}
    with world.hub(**writer) as hub, world.hub(cipher=cipher) as other_hub:
        with pytest.raises(KilledError):
            world.hub(**writer, state=dying_store).payments().charge(ORDER, idempotency_key=KEY)
        world.clock.advance(WAIT)
        with pytest.raises(ConfigurationError, match="cannot be read here") as excinfo:
            other_hub.close_payment(KEY, done=done, receipt="pi_1" if done else None)
        assert ("cipher", True) == (excinfo.value.path, "[cipher]" in excinfo.value.remedy)
        assert [KEY] == [payment.idempotency_key for payment in hub.unsettled_payments()]
        with pytest.raises(InvalidData, match="says that it was done"):
            hub.close_payment(KEY, done=False)
        assert hub.payments().charge(ORDER, idempotency_key=KEY).replayed


def test_payment_with_a_sealed_answer_is_not_closed_without_its_cipher() -> None:
    """An unsealed request proves nothing if the stored answer to it is sealed."""
    world = PaymentsWorld()
    dying_store: Any = DyingStore(world.state, "Strike", "unsettled")
    cipher = AesGcmCipher(generate_keys())
    with world.hub() as hub:
        with pytest.raises(KilledError):
            world.hub(cipher=cipher, state=dying_store).payments().charge(
                ORDER, idempotency_key=KEY
            )
        with pytest.raises(ConfigurationError, match="no cipher"):
            hub.payments().charge(ORDER, idempotency_key=KEY)
        world.clock.advance(WAIT)
        with pytest.raises(ConfigurationError, match="no cipher"):
            hub.close_payment(KEY, done=False)
        assert [KEY] == [payment.idempotency_key for payment in hub.unsettled_payments()]


class Narrow:
    """A cipher that cannot encrypt the vendor's answers."""

    def seal(self, plain: bytes, about: bytes, /) -> bytes:
        """Seal anything else."""
        if b"pi_" in plain:
            raise InvalidData(f"{about!r} is too long.")
        return plain

    def open(self, sealed: bytes, about: bytes, /) -> bytes:
        """Open it."""
        assert about
        return sealed


def test_payment_whose_answer_was_not_stored_is_not_closed_as_not_done() -> None:
    """The store knows that the payment was done, although it has no receipt."""
    world = PaymentsWorld()
    dying_store: Any = DyingStore(world.state, "Strike", "unsettled")
    cipher: Any = Narrow()
    with world.hub(cipher=cipher) as hub:
        with pytest.raises(KilledError):
            world.hub(cipher=cipher, state=dying_store).payments().charge(
                ORDER, idempotency_key=KEY
            )
        world.clock.advance(WAIT)
        with pytest.raises(InvalidData, match="happened"):
            hub.close_payment(KEY, done=False)
        assert [KEY] == [payment.idempotency_key for payment in hub.unsettled_payments()]
        assert 1 == len(world.stripe.charges)


def test_asynchronous_hub_settles_payments() -> None:
    """An asynchronous hub lists, settles and closes payments, too."""
    asyncio.run(_settle_later())


async def _settle_later() -> None:
    stripe = StripeSandbox()
    account = Account("till", Stripe(credentials=stripe.api_key), settings={"volatile_keys": True})
    async with AsyncHub([account], http=AsyncSandboxHttpClient(stripe)) as hub:
        stripe.fail(Lost(), Lost(), Lost())
        with pytest.raises(ConnectionFailed):
            await hub.payments().charge(ORDER, idempotency_key=KEY, timeout=30)
        (unsettled_payment,) = await hub.unsettled_payments()
        assert [] == await hub.settle_payments()
        closed_payment = await hub.close_payment(KEY, done=True)
        assert unsettled_payment.idempotency_key == closed_payment.idempotency_key
        assert (await hub.payments().charge(ORDER, idempotency_key=KEY)).replayed


def test_account_that_is_gone_leaves_its_payments_to_a_person() -> None:
    """Payments of a removed account are left to an operator."""
    world = PaymentsWorld()
    with world.hub() as hub, Hub([], state=world.state, clock=world.clock) as bare_hub:
        world.lose(hub)
        world.clock.advance(WAIT)
        (unsettled_payment,) = bare_hub.unsettled_payments()
        assert NextStep.PERSON is unsettled_payment.next
        assert [] == bare_hub.settle_payments()
        with pytest.raises(InvalidData, match="No account that can have made this charge"):
            bare_hub.close_payment(KEY, done=True, receipt="pi_1")
        bare_hub.close_payment(KEY, done=False)
        assert [] == hub.unsettled_payments()


class Attended:
    """A store in which another worker always handles an effect first."""

    def __init__(self, state: MemoryStorage) -> None:
        self._state = state
        self.post = state.post

    def execute(self, command: Any, /, timeout: float | None = None) -> Any:
        """Run the command after the other worker."""
        if isinstance(command, Attend):
            self._state.execute(command, timeout)
        return self._state.execute(command, timeout)


def test_payment_of_another_worker_is_skipped() -> None:
    """Of two workers at the same moment, one looks up the payment."""
    world = PaymentsWorld()
    slower_store: Any = Attended(world.state)
    with world.hub() as hub, world.hub(state=slower_store) as worker:
        world.lose(hub)
        world.clock.advance(WAIT)
        count = len(world.stripe.requests)
        assert [] == worker.settle_payments()
        assert count == len(world.stripe.requests)


class Forgetting:
    """A store that fails at every claim of a key."""

    def __init__(self, state: MemoryStorage) -> None:
        self._state = state
        self.post = state.post

    def execute(self, command: Any, /, timeout: float | None = None) -> Any:
        """Run the command, unless it claims a key."""
        if isinstance(command, Claim):
            raise StorageUnavailable("It is away.")
        return self._state.execute(command, timeout)


def test_payment_is_not_closed_as_not_done_while_the_store_is_away() -> None:
    """The store may have the vendor's response, so the payment stays open during an outage."""
    world = PaymentsWorld(Silent)
    absent_store: Any = Forgetting(world.state)
    with world.hub() as hub, world.hub(state=absent_store) as other_hub:
        world.lose(hub)
        world.clock.advance(WAIT)
        with pytest.raises(StorageUnavailable):
            other_hub.close_payment(KEY, done=False)
        assert [KEY] == [payment.idempotency_key for payment in hub.unsettled_payments()]


def test_payment_that_was_never_sent_may_be_closed_as_not_done() -> None:
    """A payment without a stored response is closed without a request."""
    world = PaymentsWorld()
    dying_store: Any = DyingStore(world.state, "Claim", "key")
    with world.hub() as hub:
        with pytest.raises(KilledError):
            world.hub(state=dying_store).payments().charge(ORDER, idempotency_key=KEY)
        world.clock.advance(WAIT)
        hub.close_payment(KEY, done=False)
        assert [] == world.stripe.requests
        assert [] == hub.unsettled_payments()
        assert not hub.payments().charge(ORDER, idempotency_key=KEY).replayed


def test_unstorable_options_leave_the_payment_to_a_person() -> None:
    """A request with unstorable options cannot be repeated, so a person decides."""
    world = PaymentsWorld()
    charge = attrs.evolve(ORDER, extra={"other": {"a": object()}})
    with world.hub() as hub:
        world.lose(hub, charge)
        world.clock.advance(WAIT)
        (unsettled_payment,) = hub.unsettled_payments()
        assert (NextStep.PERSON, None) == (unsettled_payment.next, unsettled_payment.reference)
        assert [] == hub.settle_payments()


def test_tenant_that_cannot_be_looked_up_is_left_to_a_person() -> None:
    """While a tenant's accounts are unavailable, its payments are listed and not settled."""
    world = PaymentsWorld()
    with world.hub() as hub, world.hub() as other_hub:
        world.stripe.fail(Lost())
        with pytest.raises(ConnectionFailed):
            hub.payments("acme").charge(ORDER, idempotency_key=KEY)
        world.clock.advance(WAIT)

        class UnavailableDirectory:
            """A directory of tenants that cannot be reached."""

            def version(self, *_: object) -> Any:
                """Fail."""
                raise StorageUnavailable("The tenants are away.")

            tables = version

        other_hub.asks(UnavailableDirectory(), lambda *_: ([], []))
        (unsettled_payment,) = other_hub.unsettled_payments()
        assert NextStep.PERSON is unsettled_payment.next
        assert [] == other_hub.settle_payments()


def test_repeat_without_a_request_delays_no_settlement() -> None:
    """Repeating a key without sending does not delay its settlement."""
    world = PaymentsWorld(Keyless)
    with world.hub() as hub, world.hub() as other_hub:
        world.lose(hub)
        (previous_payment,) = hub.unsettled_payments()
        world.clock.advance(20)
        for repeating in (hub, other_hub):
            with pytest.raises(OutcomeUnknown):
                repeating.payments().charge(ORDER, idempotency_key=KEY)
        (later_payment,) = hub.unsettled_payments()
        assert previous_payment.wait - 20 == later_payment.wait
        world.clock.advance(previous_payment.wait - 20)
        assert [SettledAs.DONE] == [payment.outcome for payment in hub.settle_payments()]


def test_repeat_with_another_amount_changes_no_wait() -> None:
    """A repeat with another amount does not change the wait of the registered payment."""
    world = PaymentsWorld(Keyless)
    dying_store: Any = DyingStore(world.state, "Claim", "key")
    with world.hub() as hub:
        with pytest.raises(KilledError):
            world.hub(state=dying_store).payments().charge(ORDER, idempotency_key=KEY)
        (previous_payment,) = hub.unsettled_payments()
        other_charge = attrs.evolve(ORDER, amount=Money("30.00", "EUR"))
        world.lose(hub, other_charge)
        with pytest.raises(OutcomeUnknown):
            hub.payments().charge(other_charge, idempotency_key=KEY)
        assert [previous_payment] == hub.unsettled_payments()


def test_only_the_last_holder_ends_its_wait() -> None:
    """Only the last holder can end its wait, and never that of earlier ones."""
    store = MemoryStorage(VirtualClock())
    effect_key = ("payments", None, "k")

    def register(span: int) -> Any:
        return store.execute(
            Register(*effect_key, fingerprint=b"x", what=(), span=span, memory=10**12)
        )

    def wait() -> int:
        (result,) = store.execute(ReadEffects([effect_name(*effect_key)]))
        return result.remaining

    assert not store.execute(Withhold(*effect_key, number=1, held=0))
    first, second = register(100), register(300)
    assert (0, 100, 300) == (first.held, second.held, wait())
    assert not store.execute(Withhold(*effect_key, number=first.number, held=first.held))
    assert 300 == wait()
    assert not store.execute(Attend(effect_name(*effect_key), pause=0)).ours
    assert store.execute(Withhold(*effect_key, number=second.number, held=second.held))
    assert 100 == wait()
    assert store.execute(Recall(*effect_key, fingerprint=b"y")) == Registered(same=False)


def test_payment_is_found_although_our_clock_is_ahead() -> None:
    """A process whose clock is an hour ahead still finds the payment."""
    world = PaymentsWorld(Keyless)
    with world.hub() as hub:
        world.lose(hub)
        world.clock.advance(WAIT)
        earlier_clock = VirtualClock(world.clock.utc() + timedelta(hours=1))
        with world.hub(clock=earlier_clock) as other_hub:
            assert [SettledAs.DONE] == [payment.outcome for payment in other_hub.settle_payments()]


def _vanished(world: PaymentsWorld, hub: Hub) -> None:
    """Charge once with a request that never arrives, and wait until its caller's time is over."""
    world.stripe.fail(ConnectionFailed("gone", may_have_been_processed=True))
    with pytest.raises(OutcomeUnknown):
        hub.payments().charge(ORDER, idempotency_key=KEY)
    (unsettled_payment,) = hub.unsettled_payments()
    world.clock.advance(unsettled_payment.wait)


def test_unlisted_payment_is_left_to_a_person() -> None:
    """A payment that the vendor does not list within its stated time is left to a person."""
    world = PaymentsWorld(Keyless)
    with world.hub() as hub:
        _vanished(world, hub)
        assert [] == hub.settle_payments()
        assert NextStep.LOOK_UP is hub.unsettled_payments()[0].next
        world.clock.advance(Keyless.listed_within - 1e-3)
        assert [] == hub.settle_payments()
        assert NextStep.LOOK_UP is hub.unsettled_payments()[0].next
        world.clock.advance(Keyless.listed_within)
        assert NextStep.LOOK_UP is hub.unsettled_payments()[0].next
        assert [] == hub.settle_payments()
        assert NextStep.PERSON is hub.unsettled_payments()[0].next
        assert 0 == len(world.stripe.charges)

        hub.payments().charge(ORDER, idempotency_key="by another way")
        world.clock.advance(Keyless.listed_within)
        assert [SettledAs.DONE] == [payment.outcome for payment in hub.settle_payments()]
        assert [] == hub.unsettled_payments()


def test_listing_time_uses_the_stores_clock() -> None:
    """A process whose clock is hours ahead gives up no earlier."""
    world = PaymentsWorld(Keyless)
    with world.hub() as hub:
        _vanished(world, hub)
        earlier_clock = VirtualClock(world.clock.utc() + timedelta(hours=9))
        with world.hub(clock=earlier_clock) as other_hub:
            assert [] == other_hub.settle_payments()
            assert NextStep.LOOK_UP is other_hub.unsettled_payments()[0].next


def test_repeat_restarts_the_listing_time() -> None:
    """A request that is sent during a look-up may still be listed."""
    world = PaymentsWorld()
    with world.hub() as hub:
        world.stripe.fail(ConnectionFailed("gone", may_have_been_processed=True))
        with pytest.raises(ConnectionFailed):
            hub.payments().charge(ORDER, idempotency_key=KEY)
        world.clock.advance(WAIT)
        world.stripe.fail(OutcomeUnknown("No answer."))
        assert [] == hub.settle_payments()
        (unsettled_payment,) = hub.unsettled_payments()
        assert NextStep.WAIT is unsettled_payment.next


@pytest.mark.parametrize("final", [True, False])
def test_refused_list_is_left_to_a_person(*, final: bool) -> None:
    """A permanently refused list counts as nothing found; a failing vendor is asked again."""
    world = PaymentsWorld(Keyless)
    error = (
        VendorRejected("This key may not list payments.")
        if final
        else ConnectionFailed("Down for maintenance.")
    )
    with world.hub() as hub:
        world.lose(hub)
        world.clock.advance(WAIT + Keyless.listed_within)
        world.stripe.fail(error)
        assert [] == hub.settle_payments()
        expected = NextStep.PERSON if final else NextStep.LOOK_UP
        assert expected is hub.unsettled_payments()[0].next
