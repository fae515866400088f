"""Payments whose outcome is not known: listed, settled by asking the vendor, closed by a person."""

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
    """As Stripe, but without keys: what was lost is looked up."""

    unknown_outcomes: ClassVar[Mapping[str, UnknownOutcome]] = dict.fromkeys(
        Stripe.unknown_outcomes, UnknownOutcome.LOOKED_UP
    )

    def services(self) -> Mapping[str, Service]:
        """The API, which is shown no keys."""
        services = super().services()
        return {
            name: attrs.evolve(one, idempotency_header=None, idempotency_memory=None)
            for name, one in services.items()
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
    """As Stripe, with keys, and yet nothing is sent twice on its own."""

    unknown_outcomes: ClassVar[Mapping[str, UnknownOutcome]] = dict.fromkeys(
        Stripe.unknown_outcomes, UnknownOutcome.LOOKED_UP
    )


class World:
    """A vendor, a store, and a time of its own."""

    def __init__(self, kind: type[Stripe] = Stripe, **settings: Any) -> None:
        self.clock = VirtualClock()
        self.stripe = StripeSandbox(now=lambda: self.clock.utc().timestamp())
        self.state = MemoryStorage(self.clock)
        self.kind = kind
        self.settings = {"volatile_keys": True, "circuit": None, "retry": None, **settings}

    def hub(self, **ports: Any) -> Hub:
        """A hub as another process would have it."""
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
        """Charge once, and lose the answer."""
        self.stripe.fail(Lost())
        with pytest.raises((OutcomeUnknown, ConnectionFailed)):
            hub.payments().charge(charge, idempotency_key=key)


class KilledError(BaseException):
    """The process dies here."""


class DyingStore:
    """A store whose process dies as soon as it would run such a command on such a state."""

    def __init__(self, state: MemoryStorage, *at: str) -> None:
        self._state = state
        self._at = at
        self.dead = False

    def execute(self, command: Any, /, timeout: float | None = None) -> Any:
        """Run it, unless the process dies of it."""
        self._die(command)
        return self._state.execute(command, timeout)

    def post(self, command: Any, /) -> None:
        """As above."""
        self._die(command)
        self._state.post(command)

    def _die(self, command: Any) -> None:
        kind = command.keys[0].partition("}:")[2].partition(":")[0]
        self.dead = self.dead or (type(command).__name__, kind) == self._at
        if self.dead:
            raise KilledError


@pytest.fixture(params=[Stripe, Keyless, Silent])
def world(request: pytest.FixtureRequest) -> World:
    """One for each way in which a vendor can tell."""
    return World(request.param)


NEXT = {Stripe: NextStep.ASK_AGAIN, Keyless: NextStep.LOOK_UP, Silent: NextStep.PERSON}


def test_lost_payment_is_listed_in_every_process(world: World) -> None:
    """The list says what was asked for, since when, and what settles it."""
    with world.hub() as hub, world.hub() as other:
        hub.payments().charge(ORDER, idempotency_key="fine")
        assert [] == other.unsettled_payments()
        world.lose(hub)
        (listed,) = other.unsettled_payments()
        world.clock.advance(WAIT)
        (later,) = other.unsettled_payments()

        assert (KEY, "charge", ("till",)) == (
            listed.idempotency_key,
            listed.operation,
            listed.accounts,
        )
        assert (ORDER.amount, "INV-7", None) == (listed.amount, listed.reference, listed.payment)
        assert NextStep.WAIT is listed.next
        assert 30 < listed.wait < WAIT
        assert NEXT[world.kind] is later.next
        assert listed.since == later.since


def test_the_job_settles_what_the_vendor_can_tell(world: World) -> None:
    """The job waits for running callers, looks the payment up, and settles it."""
    with world.hub() as hub, world.hub() as worker:
        world.lose(hub)
        assert [] == worker.settle_payments()
        world.clock.advance(WAIT)
        settled = worker.settle_payments()

        if world.kind is Silent:
            assert [] == settled
            assert 1 == len(worker.unsettled_payments())
            return
        ((one),) = settled
        assert SettledAs.DONE is one.outcome
        assert KEY == one.payment.idempotency_key
        assert "captured" == one.receipt.state
        assert [] == worker.unsettled_payments()
        assert [] == worker.settle_payments()
        again = hub.payments().charge(ORDER, idempotency_key=KEY)
        assert again.replayed
        assert "captured" == again.state
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
def test_whatever_a_dead_process_left_is_settled(
    dies_at: tuple[str, str], outcome: SettledAs, charges: int
) -> None:
    """A payment left by a dead process is settled, and charged at most once."""
    world = World()
    dying: Any = DyingStore(world.state, *dies_at)
    with world.hub() as worker:
        with pytest.raises(KilledError):
            world.hub(state=dying).payments().charge(ORDER, idempotency_key=KEY)
        assert [KEY] == [payment.idempotency_key for payment in worker.unsettled_payments()]
        world.clock.advance(WAIT)
        (one,) = worker.settle_payments()

        assert outcome is one.outcome
        assert charges == len(world.stripe.charges)
        assert [] == worker.unsettled_payments()
        assert (charges == 1) is worker.payments().charge(ORDER, idempotency_key=KEY).replayed
        assert 1 == len(world.stripe.charges)


def test_request_that_never_arrived_is_made_once_by_the_job() -> None:
    """Where the vendor remembers keys, what was asked for comes about, and once."""
    world = World()
    with world.hub() as hub:
        world.stripe.fail(ConnectionFailed("gone", may_have_been_processed=True))
        with pytest.raises(ConnectionFailed):
            hub.payments().charge(ORDER, idempotency_key=KEY)
        world.clock.advance(WAIT)
        world.stripe.fail(Lost())
        assert [] == hub.settle_payments()
        assert [] == hub.settle_payments()
        world.clock.advance(WAIT)
        (one,) = hub.settle_payments()

        assert SettledAs.DONE is one.outcome
        assert 1 == len(world.stripe.charges)


def test_declined_payment_is_settled_as_refused() -> None:
    """The vendor's word on a lost answer may be no; then repeats get that."""
    world = World()
    declined = attrs.evolve(ORDER, source="pm_card_chargeDeclined")
    with world.hub() as hub:
        world.lose(hub, declined)
        world.clock.advance(WAIT)
        (one,) = hub.settle_payments()

        assert SettledAs.REFUSED is one.outcome
        assert isinstance(one.error, PaymentDeclined)
        assert [] == hub.unsettled_payments()
        with pytest.raises(PaymentDeclined):
            hub.payments().charge(declined, idempotency_key=KEY)
        assert [] == hub.unsettled_payments()


def test_each_step_on_a_payment_is_listed_and_settled() -> None:
    """Captures, refunds and voids are found again as charges are."""
    world = World()
    with world.hub() as hub:
        payments = hub.payments()
        held = payments.authorize(ORDER, idempotency_key="a")
        other = payments.authorize(ORDER, idempotency_key="b")
        steps: list[Any] = [
            ("capture", lambda: payments.capture(held.ref, idempotency_key="c")),
            ("refund", lambda: payments.refund(held.ref, ORDER.amount, idempotency_key="r")),
            ("void", lambda: payments.void(other.ref, idempotency_key="v")),
        ]
        for name, step in steps:
            world.stripe.fail(Lost())
            with pytest.raises(ConnectionFailed):
                step()
            (listed,) = hub.unsettled_payments()
            assert name == listed.operation
            assert listed.payment in {held.ref, other.ref}
            world.clock.advance(WAIT)
            (one,) = hub.settle_payments()
            assert SettledAs.DONE is one.outcome
            assert step().replayed
        assert 1 == len(world.stripe.refunds)


@pytest.mark.parametrize("value", ["id", "ref", "payment", None])
def test_person_closes_a_payment_as_done(value: str | None) -> None:
    """A repeat gets the payment that was found, and the vendor is not asked again."""
    world = World(Keyless)
    with world.hub() as hub:
        world.lose(hub)
        (taken,) = world.stripe.intents
        payment = hub.payments().get(f"stripe:till:{taken}")
        receipts = {"id": taken, "ref": payment.ref, "payment": payment, None: None}
        closed = hub.close_payment(KEY, done=True, receipt=receipts[value])
        count = len(world.stripe.asked)
        again = hub.payments().charge(ORDER, idempotency_key=KEY)

        assert KEY == closed.idempotency_key
        assert (payment.ref.id, payment.state, True) == (again.ref.id, again.state, again.replayed)
        assert count == len(world.stripe.asked)
        assert [] == hub.unsettled_payments()
        assert 1 == len(world.stripe.charges)


def test_closed_payment_is_replayed_to_its_own_request_only() -> None:
    """Another amount under the key of a closed payment is a conflict."""
    world = World(Keyless)
    with world.hub() as hub:
        world.lose(hub)
        hub.close_payment(KEY, done=True)
        with pytest.raises(IdempotencyConflict):
            hub.payments().charge(
                attrs.evolve(ORDER, amount=Money("21.00", "EUR")), idempotency_key=KEY
            )


def test_person_closes_a_payment_as_not_done() -> None:
    """Its key may be used again, once nothing that was sent can be under way any more."""
    world = World(Silent)
    with world.hub() as hub:
        world.stripe.fail(ConnectionFailed("gone", may_have_been_processed=True))
        with pytest.raises(OutcomeUnknown):
            hub.payments().charge(ORDER, idempotency_key=KEY)
        with pytest.raises(IdempotencyInProgress, match="may still be under way") as caught:
            hub.close_payment(KEY, done=False)
        assert caught.value.retry_at is not None
        world.clock.advance(WAIT)
        hub.close_payment(KEY, done=False)
        assert [] == hub.unsettled_payments()
        receipt = hub.payments().charge(ORDER, idempotency_key=KEY)

        assert not receipt.replayed
        assert 1 == len(world.stripe.charges)
        assert hub.payments().charge(ORDER, idempotency_key=KEY).replayed


def test_payment_whose_answer_is_stored_is_not_closed_as_not_done() -> None:
    """A stored answer cannot be overruled as not done."""
    world = World(Silent)
    dying: Any = DyingStore(world.state, "Strike", "unsettled")
    with world.hub() as hub:
        with pytest.raises(KilledError):
            world.hub(state=dying).payments().charge(ORDER, idempotency_key=KEY)
        world.clock.advance(WAIT)
        with pytest.raises(InvalidData, match="says that it was done") as caught:
            hub.close_payment(KEY, done=False)
        assert "done" == caught.value.field
        assert hub.payments().charge(ORDER, idempotency_key=KEY).replayed


def test_declined_payment_may_be_closed_as_not_done() -> None:
    """A stored refusal says the same."""
    world = World(Silent)
    declined = attrs.evolve(ORDER, source="pm_card_chargeDeclined")
    dying: Any = DyingStore(world.state, "Strike", "unsettled")
    with world.hub() as hub:
        with pytest.raises(KilledError):
            world.hub(state=dying).payments().charge(declined, idempotency_key=KEY)
        world.clock.advance(WAIT)
        hub.close_payment(KEY, done=False)
        assert [] == hub.unsettled_payments()


def test_receipts_of_a_vendor_that_tells_nothing_are_as_the_person_says() -> None:
    """Where nothing can be looked up, a receipt has what was asked for, and is pending."""
    world = World(Silent)
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

        held = payments.authorize(ORDER, idempotency_key="a").ref
        other = payments.authorize(ORDER, idempotency_key="b").ref
        steps: list[Any] = [
            ("c", lambda: payments.capture(held, ORDER.amount, idempotency_key="c")),
            ("r", lambda: payments.refund(held, ORDER.amount, idempotency_key="r")),
            ("v", lambda: payments.void(other, idempotency_key="v")),
        ]
        for key, step in steps:
            world.stripe.fail(Lost())
            with pytest.raises(OutcomeUnknown):
                step()
            hub.close_payment(key, done=True, receipt=f"x_{key}")
            closed = step()
            assert (f"x_{key}", MoveState.PENDING) == (closed.ref.id, closed.state)
            assert closed.payment.id in {held.id, other.id}


def test_refund_is_looked_up_by_its_own_reference() -> None:
    """A refund's receipt is asked of the vendor; without a reference nothing can be found."""
    world = World(Keyless)
    with world.hub() as hub:
        payments = hub.payments()
        held = payments.charge(ORDER, idempotency_key="a")
        world.stripe.fail(Lost())
        with pytest.raises(OutcomeUnknown):
            payments.refund(held.ref, ORDER.amount, idempotency_key="r")
        with pytest.raises(InvalidData, match="reference of its own"):
            hub.close_payment("r", done=True)
        (refund,) = world.stripe.refunds
        hub.close_payment("r", done=True, receipt=refund)
        again = payments.refund(held.ref, ORDER.amount, idempotency_key="r")

        assert isinstance(again, Refund)
        assert (refund, MoveState.SUCCEEDED, True) == (again.ref.id, again.state, again.replayed)


@pytest.mark.parametrize(
    "key, receipt, problem",
    [
        ("none", "pi_1", "No unsettled payment has the key"),
        (KEY, 7, "is no receipt of this charge"),
        (KEY, "stripe:other:pi_1", "belongs to the account 'other'"),
        (KEY, "other", "amount"),
        (KEY, "same", "reference"),
        (KEY, None, "not list exactly one payment"),
    ],
)
def test_receipt_of_another_payment_is_refused(key: str, receipt: Any, problem: str) -> None:
    """A payment cannot be closed with another payment's receipt."""
    world = World(Keyless)
    with world.hub() as hub:
        payments = hub.payments()
        wrong = {
            "other": attrs.evolve(ORDER, amount=Money("5.00", "EUR"), reference="INV-8"),
            "same": attrs.evolve(ORDER, reference="INV-9"),
        }
        ids = {
            name: payments.charge(charge, idempotency_key=name).ref.id
            for name, charge in wrong.items()
        }
        payments.charge(ORDER, idempotency_key="another attempt")
        world.lose(hub)
        with pytest.raises(InvalidData, match=problem):
            hub.close_payment(key, done=True, receipt=ids.get(receipt, receipt))
        assert [KEY] == [payment.idempotency_key for payment in hub.unsettled_payments()]


def test_settle_needs_no_since_and_settles_the_key() -> None:
    """The register knows when a payment was first asked for; what is found settles the key."""
    world = World(Keyless)
    with world.hub() as hub:
        world.lose(hub)
        (result,) = hub.payments().settle([Unsettled(charge=ORDER, idempotency_key=KEY)])
        again = hub.payments().charge(ORDER, idempotency_key=KEY)

        assert "captured" == result.unwrap().state
        assert (result.unwrap().ref.id, True) == (again.ref.id, again.replayed)
        assert [] == hub.unsettled_payments()


class Closing(SandboxHttpClient):
    """A client during whose request somebody closes the payment."""

    def __init__(self, world: World) -> None:
        super().__init__(world.stripe)
        self._world = world

    def send(self, *args: Any) -> Any:
        """Close the payment, and send the request."""
        receipt = Payment(ref=Ref("stripe", "till", "pi_1"), state=PaymentState.CAPTURED)
        with self._world.hub() as other:
            other.close_payment(KEY, done=True, receipt=receipt)
        return super().send(*args)


def test_settle_looks_up_no_payment_that_was_closed_meanwhile() -> None:
    """A payment that somebody closes during its request is no longer looked up without a time."""
    world = World(Keyless)
    lost = Unsettled(charge=ORDER, idempotency_key=KEY)
    with world.hub(http=Closing(world)) as hub:
        world.stripe.fail(Lost())
        (result,) = hub.payments().settle([lost])
        assert isinstance(result.error, OutcomeUnknown)
        assert 1 == len(world.stripe.asked)
        assert "pi_1" == hub.payments().charge(ORDER, idempotency_key=KEY).ref.id


def test_key_that_is_forgotten_charges_nobody() -> None:
    """A payment that stayed unknown until its claim expired charges nothing."""
    world = World()
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
    world = World(Cautious, retry=RetryPolicy(max_attempts=3))
    with world.hub() as hub:
        world.lose(hub)
        count = len(world.stripe.asked)
        with pytest.raises(OutcomeUnknown):
            hub.payments().charge(ORDER, idempotency_key=KEY)
        assert count == len(world.stripe.asked) == 1


def test_tenants_are_listed_and_closed_apart() -> None:
    """The same key of two tenants is two payments."""
    world = World(Keyless)
    with world.hub() as hub:
        for tenant in ("acme", None):
            world.stripe.fail(Lost())
            with pytest.raises(OutcomeUnknown):
                hub.payments(tenant).charge(ORDER, idempotency_key=KEY)
        assert {"acme", None} == {payment.tenant for payment in hub.unsettled_payments()}
        hub.close_payment(KEY, done=True, receipt=next(iter(world.stripe.intents)), tenant="acme")
        assert [None] == [payment.tenant for payment in hub.unsettled_payments()]


def test_work_is_limited_and_taken_in_order() -> None:
    """The oldest come first, as many as are asked for."""
    world = World()
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
def test_key_of_a_payment_is_not_settled_with_what_nobody_can_read(answer: Any) -> None:
    """A key cannot be resolved with an unreadable answer."""
    world = World(Keyless)
    with world.hub() as hub:
        world.lose(hub)
        with pytest.raises(InvalidData, match="The answer of a key") as caught:
            hub.manager.resolve_key("till", KEY, done=True, answer=answer)
        assert "hub.close_payment" in caught.value.remedy
        hub.close_payment(KEY, done=True)
        assert hub.payments().charge(ORDER, idempotency_key=KEY).replayed


@pytest.mark.parametrize("kind", [Stripe, Keyless])
def test_settled_payment_is_not_taken_again_after_not_done(kind: type[Stripe]) -> None:
    """The job stored the payment, so an operator's later "not done" makes nobody pay twice.

    Where the request was sent again, its answer is stored under the service's key as well. Where
    the payment was looked up, that key is still unknown, and only the payment's record protects it.
    """
    world = World(kind)
    with world.hub() as hub:
        world.lose(hub)
        world.clock.advance(WAIT)
        assert [SettledAs.DONE] == [one.outcome for one in hub.settle_payments()]
        assert (kind is Keyless) == hub.manager.resolve_key("till", KEY, done=False)
        assert hub.payments().charge(ORDER, idempotency_key=KEY).replayed
        assert 1 == len(world.stripe.charges)


def test_sealed_payments_need_their_cipher() -> None:
    """An encrypted payment cannot be read without its cipher."""
    world = World()
    cipher = AesGcmCipher(generate_keys())
    with world.hub(cipher=cipher) as hub, world.hub() as other:
        world.lose(hub)
        world.clock.advance(WAIT)
        (seen,) = hub.unsettled_payments()
        (blind,) = other.unsettled_payments()
        assert (NextStep.ASK_AGAIN, "INV-7") == (seen.next, seen.reference)
        assert (NextStep.PERSON, None, None) == (blind.next, blind.reference, blind.amount)
        assert [] == other.settle_payments()
        with pytest.raises(InvalidData, match="exactly one"):
            other.close_payment(KEY, done=True)
        hub.close_payment(KEY, done=True)
        assert hub.payments().charge(ORDER, idempotency_key=KEY).replayed
        with pytest.raises(InvalidData, match="no cipher"):
            other.payments().charge(ORDER, idempotency_key=KEY)


def test_awaited_hub_has_the_same_verbs() -> None:
    """An asynchronous hub lists, settles and closes, too."""
    asyncio.run(_awaited())


async def _awaited() -> None:
    stripe = StripeSandbox()
    account = Account("till", Stripe(credentials=stripe.api_key), settings={"volatile_keys": True})
    async with AsyncHub([account], http=AsyncSandboxHttpClient(stripe)) as hub:
        stripe.fail(Lost(), Lost(), Lost())
        with pytest.raises(ConnectionFailed):
            await hub.payments().charge(ORDER, idempotency_key=KEY, timeout=0.5)
        (listed,) = await hub.unsettled_payments()
        assert [] == await hub.settle_payments()
        closed = await hub.close_payment(KEY, done=True)
        assert listed.idempotency_key == closed.idempotency_key
        assert (await hub.payments().charge(ORDER, idempotency_key=KEY)).replayed


def test_account_that_is_gone_leaves_its_payments_to_a_person() -> None:
    """Payments of a removed account are left to an operator."""
    world = World()
    with world.hub() as hub, Hub([], state=world.state, clock=world.clock) as bare:
        world.lose(hub)
        world.clock.advance(WAIT)
        (listed,) = bare.unsettled_payments()
        assert NextStep.PERSON is listed.next
        assert [] == bare.settle_payments()
        with pytest.raises(InvalidData, match="account has to be configured"):
            bare.close_payment(KEY, done=True, receipt="pi_1")
        bare.close_payment(KEY, done=False)
        assert [] == hub.unsettled_payments()


class Attended:
    """A store in which another worker always attends to an effect first."""

    def __init__(self, state: MemoryStorage) -> None:
        self._state = state
        self.post = state.post

    def execute(self, command: Any, /, timeout: float | None = None) -> Any:
        """Run it after the other worker did."""
        if isinstance(command, Attend):
            self._state.execute(command, timeout)
        return self._state.execute(command, timeout)


def test_payment_that_another_worker_attends_to_is_left_to_it() -> None:
    """Of two workers at the same moment one asks the vendor."""
    world = World()
    slower: Any = Attended(world.state)
    with world.hub() as hub, world.hub(state=slower) as worker:
        world.lose(hub)
        world.clock.advance(WAIT)
        count = len(world.stripe.asked)
        assert [] == worker.settle_payments()
        assert count == len(world.stripe.asked)


class Forgetting:
    """A store that is lost as soon as it would claim a key."""

    def __init__(self, state: MemoryStorage) -> None:
        self._state = state
        self.post = state.post

    def execute(self, command: Any, /, timeout: float | None = None) -> Any:
        """Run it, unless it is a claim."""
        if isinstance(command, Claim):
            raise StorageUnavailable("It is away.")
        return self._state.execute(command, timeout)


def test_payment_is_not_closed_as_not_done_while_the_store_is_away() -> None:
    """The vendor's answer may be in the store, so the payment stays open."""
    world = World(Silent)
    away: Any = Forgetting(world.state)
    with world.hub() as hub, world.hub(state=away) as other:
        world.lose(hub)
        world.clock.advance(WAIT)
        with pytest.raises(StorageUnavailable):
            other.close_payment(KEY, done=False)
        assert [KEY] == [payment.idempotency_key for payment in hub.unsettled_payments()]


def test_payment_that_was_never_sent_may_be_closed_as_not_done() -> None:
    """Nothing is stored under its key, and nothing is sent to find that out."""
    world = World()
    dying: Any = DyingStore(world.state, "Claim", "key")
    with world.hub() as hub:
        with pytest.raises(KilledError):
            world.hub(state=dying).payments().charge(ORDER, idempotency_key=KEY)
        world.clock.advance(WAIT)
        hub.close_payment(KEY, done=False)
        assert [] == world.stripe.asked
        assert [] == hub.unsettled_payments()
        assert not hub.payments().charge(ORDER, idempotency_key=KEY).replayed


def test_options_that_cannot_be_kept_leave_the_payment_to_a_person() -> None:
    """Options of other vendors may be any object; without the request nothing is asked again."""
    world = World()
    charge = attrs.evolve(ORDER, extra={"other": {"a": object()}})
    with world.hub() as hub:
        world.lose(hub, charge)
        world.clock.advance(WAIT)
        (listed,) = hub.unsettled_payments()
        assert (NextStep.PERSON, None) == (listed.next, listed.reference)
        assert [] == hub.settle_payments()


def test_tenant_that_cannot_be_looked_up_is_left_to_a_person() -> None:
    """While nobody knows the accounts of a tenant, its payments are listed and not settled."""
    world = World()
    with world.hub() as hub, world.hub() as other:
        world.stripe.fail(Lost())
        with pytest.raises(ConnectionFailed):
            hub.payments("acme").charge(ORDER, idempotency_key=KEY)
        world.clock.advance(WAIT)

        class Away:
            """A directory of tenants that cannot be reached."""

            def version(self, *_: object) -> Any:
                """Fail."""
                raise StorageUnavailable("The tenants are away.")

            tables = version

        other.asks(Away(), lambda *_: ([], []))
        (listed,) = other.unsettled_payments()
        assert NextStep.PERSON is listed.next
        assert [] == other.settle_payments()


def test_repeat_that_sends_nothing_lengthens_no_wait() -> None:
    """Repeating a key without sending does not delay its settlement."""
    world = World(Keyless)
    with world.hub() as hub, world.hub() as other:
        world.lose(hub)
        (before,) = hub.unsettled_payments()
        world.clock.advance(20)
        for repeating in (hub, other):
            with pytest.raises(OutcomeUnknown):
                repeating.payments().charge(ORDER, idempotency_key=KEY)
        (after,) = hub.unsettled_payments()
        assert before.wait - 20 == after.wait
        world.clock.advance(before.wait - 20)
        assert [SettledAs.DONE] == [payment.outcome for payment in hub.settle_payments()]


def test_key_of_another_payment_ends_nobodys_time() -> None:
    """A repeat with another amount leaves the wait of the payment that is registered."""
    world = World(Keyless)
    dying: Any = DyingStore(world.state, "Claim", "key")
    with world.hub() as hub:
        with pytest.raises(KilledError):
            world.hub(state=dying).payments().charge(ORDER, idempotency_key=KEY)
        (before,) = hub.unsettled_payments()
        other = attrs.evolve(ORDER, amount=Money("30.00", "EUR"))
        world.lose(hub, other)
        with pytest.raises(OutcomeUnknown):
            hub.payments().charge(other, idempotency_key=KEY)
        assert [before] == hub.unsettled_payments()


def test_holder_that_sent_nothing_leaves_the_time_of_others() -> None:
    """Only the last holder may end its time, and never that of those before it."""
    store = MemoryStorage(VirtualClock())
    about = ("payments", None, "k")

    def register(span: int) -> Any:
        return store.execute(Register(*about, fingerprint=b"x", what=(), span=span, memory=10**12))

    def wait() -> int:
        (result,) = store.execute(ReadEffects([effect_name(*about)]))
        return result.remaining

    assert not store.execute(Withhold(*about, number=1, held=0))
    first, second = register(100), register(300)
    assert (0, 100, 300) == (first.held, second.held, wait())
    assert not store.execute(Withhold(*about, number=first.number, held=first.held))
    assert 300 == wait()
    assert not store.execute(Attend(effect_name(*about), pause=0)).ours
    assert store.execute(Withhold(*about, number=second.number, held=second.held))
    assert 100 == wait()
    assert store.execute(Recall(*about, fingerprint=b"y")) == Registered(same=False)


def test_payment_is_found_although_our_clock_is_ahead() -> None:
    """A process whose clock is an hour ahead finds a payment that was made by then."""
    world = World(Keyless)
    with world.hub() as hub:
        world.lose(hub)
        world.clock.advance(WAIT)
        ahead = VirtualClock(world.clock.utc() + timedelta(hours=1))
        with world.hub(clock=ahead) as other:
            assert [SettledAs.DONE] == [payment.outcome for payment in other.settle_payments()]


def _vanished(world: World, hub: Hub) -> None:
    """Charge once, so that the request never arrives, and wait until its caller's time is over."""
    world.stripe.fail(ConnectionFailed("gone", may_have_been_processed=True))
    with pytest.raises(OutcomeUnknown):
        hub.payments().charge(ORDER, idempotency_key=KEY)
    (listed,) = hub.unsettled_payments()
    world.clock.advance(listed.wait)


def test_payment_that_the_vendor_does_not_list_in_its_time_is_left_to_a_person() -> None:
    """Before that time "not there" proves nothing, and after it nobody waits for more."""
    world = World(Keyless)
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


def test_time_to_be_listed_goes_by_the_clock_of_the_store() -> None:
    """A process whose clock is hours ahead gives up no earlier."""
    world = World(Keyless)
    with world.hub() as hub:
        _vanished(world, hub)
        ahead = VirtualClock(world.clock.utc() + timedelta(hours=9))
        with world.hub(clock=ahead) as other:
            assert [] == other.settle_payments()
            assert NextStep.LOOK_UP is other.unsettled_payments()[0].next


def test_repeat_begins_the_time_to_be_listed_anew() -> None:
    """A request that leaves while a payment is looked up may still be listed."""
    world = World()
    with world.hub() as hub:
        world.stripe.fail(ConnectionFailed("gone", may_have_been_processed=True))
        with pytest.raises(ConnectionFailed):
            hub.payments().charge(ORDER, idempotency_key=KEY)
        world.clock.advance(WAIT)
        world.stripe.fail(OutcomeUnknown("No answer."))
        assert [] == hub.settle_payments()
        (listed,) = hub.unsettled_payments()
        assert NextStep.WAIT is listed.next


@pytest.mark.parametrize("final", [True, False])
def test_list_that_may_not_be_read_is_left_to_a_person(*, final: bool) -> None:
    """A refusal for good counts as nothing found; a vendor that is down is asked again."""
    world = World(Keyless)
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
