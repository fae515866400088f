"""Checks that every vendor of payments must pass; run them on your own.

`moorage scaffold vendor NAME --contract payments` writes a vendor, and a test that runs all
checks.

Each check takes a function that makes a new `PaymentsSubject`: the vendor, its sandbox, and what
the kit cannot know. `CHECKS` go through `Hub`, and `ASYNC_CHECKS` through `AsyncHub`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

import attrs

from moorage.adapters.state.memory import AsyncMemoryStorage, MemoryStorage
from moorage.contracts.payments import (
    KIND,
    BuyerOutcome,
    Capture,
    Charge,
    DeclineReason,
    Money,
    MoveState,
    Payment,
    PaymentsCapability,
    PaymentState,
    Refund,
    ThreeDs,
    Unsettled,
    Void,
    advance,
    told_buyer,
)
from moorage.contracts.ref import Ref
from moorage.contracts.routes import Account, Route
from moorage.domain.http.requests import Response
from moorage.domain.values.json_text import encode_json, is_list, is_object
from moorage.errors import (
    ConnectionFailed,
    ConnectorError,
    IdempotencyConflict,
    InvalidData,
    PaymentDeclined,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
    WebhookRejected,
)
from moorage.hub.hub import AsyncHub, Hub
from moorage.testing.kits.checks import blocking, in_thread, require, soon
from moorage.testing.sandboxes.base import (
    Altered,
    AsyncSandboxHttpClient,
    Lost,
    SandboxHttpClient,
    Slow,
)
from moorage.wiring.installed_vendors import able

if TYPE_CHECKING:
    from moorage.contracts.payments import PaymentEvent
    from moorage.contracts.vendor import Vendor
    from moorage.domain.webhooks.events import WebhookEvent
    from moorage.parts.webhook_verifier import WebhookVerifier
    from moorage.testing.sandboxes.base import Sandbox, SandboxRequest

_HANGS: Final = "An operation does not come to an end."
_FIRST: Final = "first"
_SECOND: Final = "second"
_EUROS: Final = Money("149.90", "EUR")
_STEPS: Final = 4
_NEW: Final = "levitated"
_OPEN: Final = frozenset({MoveState.PENDING, MoveState.UNKNOWN})
_TAKEN: Final = frozenset(
    {
        PaymentState.CAPTURED,
        PaymentState.PARTIALLY_CAPTURED,
        PaymentState.REFUNDED,
        PaymentState.PARTIALLY_REFUNDED,
    }
)
_MALFORMED: Final = (b"{}", b"[]", b"null", b"", b"<html></html>", b'{"id": "x"}')
_AMOUNTS: Final = (
    (Money("149.90", "EUR"), 14990),
    (Money("500", "JPY"), 500),
    (Money("500", "KRW"), 500),
    (Money("1.230", "BHD"), 1230),
    (Money("1.230", "KWD"), 1230),
    (Money("1.230", "JOD"), 1230),
    (Money("1.230", "OMR"), 1230),
    (Money("1.230", "TND"), 1230),
    (Money("0.1", "EUR") + Money("0.2", "EUR"), 30),
    (Money("9999999999.99", "USD"), 999999999999),
)


@attrs.frozen(kw_only=True)
class PaymentsSubject:
    """A vendor under test, with a sandbox of its own.

    Attributes:
        vendor: an account of ours at the sandbox.
        sandbox: where it goes.
        charged: how many payments the sandbox has authorised or taken.
        pays, declined, expired: sources that pay, are declined, and have expired.
        asks: one that waits for the buyer, unless the vendor never does.
        refusals: answers by which the vendor refuses, with the error that each must become.
        written: the amount in minor units that a request asks for.
        option: an option in the vendor's own words, and a word of it that must be sent.
        pending, pending_refund: the vendor's words for a payment and a refund that are under way.
        secret: what the vendor's credentials must not show.
        webhook_secret: what its webhooks are signed with; None where a certificate says by whom.
        happen: lets everything happen that the vendor has only taken note of.
    """

    vendor: Vendor
    sandbox: Sandbox
    charged: Callable[[], int]
    pays: str
    declined: str
    expired: str
    refusals: tuple[tuple[Response, type[ConnectorError]], ...]
    written: Callable[[SandboxRequest], int]
    option: tuple[Mapping[str, Any], bytes]
    pending: str
    pending_refund: str
    secret: str = attrs.field(repr=False)
    webhook_secret: str | None = attrs.field(repr=False)
    asks: str | None = None
    happen: Callable[[], object] = lambda: None


Factory: TypeAlias = Callable[[], PaymentsSubject]
Check: TypeAlias = Callable[[Factory], None]
AsyncCheck: TypeAlias = Callable[[Factory], Coroutine[Any, Any, None]]


class _Lab:
    """A vendor under test behind a synchronous or asynchronous hub, called asynchronously."""

    def __init__(self, subject: PaymentsSubject, make: Callable[..., Hub | AsyncHub]) -> None:
        self.subject = subject
        self.sandbox = subject.sandbox
        self.able = subject.vendor.capabilities
        self._make = make
        self.hub = make((_FIRST, _SECOND))

    def configure(self, *accounts: str) -> None:
        """Configure other accounts, or another order; what is stored stays."""
        self.hub = self._make(accounts)

    async def __call__(self, operation: str, *arguments: Any, **named: Any) -> Any:
        call = partial(getattr(self.hub.payments(), operation), *arguments, **named)
        doing = call() if isinstance(self.hub, AsyncHub) else in_thread(call)
        return await soon(doing, _HANGS)

    def order(self, source: str | None = None, **fields: Any) -> Charge:
        amount = fields.pop("amount", _EUROS)
        url = "https://shop.example/back"
        reference = fields.pop("reference", "INV-2041")
        return Charge(
            amount, source or self.subject.pays, reference=reference, return_url=url, **fields
        )

    async def settled(self, payment: Payment) -> Payment:
        """Return the final known state of a payment."""
        self.subject.happen()
        if PaymentsCapability.LOOK_UP in self.able:
            return await self("get", payment.ref)  # type: ignore[no-any-return]  # a Payment
        return await self.after_webhooks(payment)

    def verifier(self, *, strange: bool = False, **options: Any) -> WebhookVerifier:
        """Return a verifier of the vendor's webhooks, or one with other secrets."""
        secret = self.subject.webhook_secret
        if secret is not None:
            options["secrets"] = "ab" * 32 if strange else secret
        elif strange:
            parameters: Mapping[str, str] = self.subject.vendor.verifying()["parameters"]
            options["parameters"] = dict.fromkeys(parameters, "another")
        return self.hub.webhooks(_FIRST, http=SandboxHttpClient(self.sandbox), **options)

    async def after_webhooks(self, payment: Payment, *, backwards: bool = False) -> Payment:
        """Return the payment after its webhooks, in order or reversed."""
        # The same events are read repeatedly here.
        verifier = self.verifier(replay_guard=False)
        events = [
            event
            for notice in self.sandbox.sent
            for webhook in verifier.verify(**notice.given())
            for event in self.hub.events(_FIRST, webhook)
            if event.ref.id == payment.ref.id
        ]
        for event in reversed(events) if backwards else events:
            hinted = advance(payment, event) if event.ask else payment
            require(hinted == payment, "News that are only hinted at changed something.")
            payment = advance(payment, await self("follow_up", event))
        return payment

    def retold(self, word: str, refund_word: str) -> Iterator[PaymentEvent]:
        """Events of the webhooks so far, as if each had other words for its states.

        Args:
            word: in place of the vendor's word for the state of a payment.
            refund_word: in place of that for the state of a refund.
        """
        for notice in self.sandbox.sent:
            for webhook in self.verifier(replay_guard=False).verify(**notice.given()):
                for event in self.hub.events(_FIRST, webhook):
                    refund_state = None if event.refund is None else event.refund.vendor_state
                    for before, after in ((event.vendor_state, word), (refund_state, refund_word)):
                        if before is not None:
                            yield from self.hub.events(
                                _FIRST, _webhook_with_status(webhook, before, after)
                            )

    async def with_status(self, word: str, operation: str, *arguments: Any, **named: Any) -> Any:
        """Return an operation's result when the vendor's last answer has this state.

        It is done twice: first as ever, to learn the word and how many requests it takes.
        """
        request_count = len(self.sandbox.asked)
        keys = [named.pop("idempotency_key", None), named.pop("other_key", None)]
        first, second = [{**named, "idempotency_key": key} if key else named for key in keys]
        usual = await self(operation, *arguments, **first)
        steps = len(self.sandbox.asked) - request_count
        change = partial(_answer_with_status, usual.vendor_state, word)
        self.sandbox.fail(*[Slow(0.0)] * (steps - 1), Altered(change))
        try:
            return await self(operation, *arguments, **second)
        finally:
            self.sandbox.forget_faults()

    async def despite(self, operation: str, *arguments: Any, step: int, **named: Any) -> None:
        """Do something whose answer at one step cannot be read, and then repeat it."""
        named["idempotency_key"] += f"-{step}"
        self.sandbox.fail(*[Slow(0.0)] * step, Altered(partial(_with_body, b"<html></html>")))
        try:
            await self(operation, *arguments, **named)
        except ConnectorError as error:
            outcome = told_buyer(error).outcome
            require(outcome is BuyerOutcome.UNKNOWN, f"{operation} is told as {outcome}.")
        self.sandbox.forget_faults()
        await self(operation, *arguments, **named)

    async def refused(self, kind: type[ConnectorError], doing: Awaitable[Any], step: str) -> Any:
        try:
            result = await doing
        except ConnectorError as error:
            require(isinstance(error, kind), f"{step} raised {type(error).__name__}: {error}")
            require(self.subject.secret not in f"{error}{error!r}", f"{step} shows a secret.")
            return error
        raise AssertionError(f"{step} was no {kind.__name__}, but gave {result!r}.")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if isinstance(self.hub, AsyncHub):
            await self.hub.close()
        else:
            self.hub.close()


Open: TypeAlias = Callable[[], _Lab]


def _answer_with_status(before: str, word: str, response: Response) -> Response:
    """Return the answer with each of the vendor's status words replaced by another word."""
    return response.evolve(body=encode_json(_replaced(response.json(), before, word)))


def _webhook_with_status(webhook: WebhookEvent, before: str, word: str) -> WebhookEvent:
    """Return the webhook with each of the vendor's status words replaced by another word."""
    payload, data = (_replaced(part, before, word) for part in (webhook.payload, webhook.data))
    return attrs.evolve(webhook, payload=payload, data=data)


def _replaced(value: Any, before: str, word: str) -> Any:
    if is_object(value):
        return {name: _replaced(part, before, word) for name, part in value.items()}
    if is_list(value):
        return [_replaced(part, before, word) for part in value]
    return word if value == before else value


def _with_body(body: bytes, response: Response) -> Response:
    return response.evolve(body=body)


def _accounts(subject: PaymentsSubject) -> list[Account]:
    settings = {"retry": None, "circuit": None, "volatile_keys": True}
    return [Account(name, subject.vendor, settings=settings) for name in (_FIRST, _SECOND)]


def _plainly(factory: Factory) -> _Lab:
    subject, state = factory(), MemoryStorage()
    http = SandboxHttpClient(subject.sandbox)

    def make(order: tuple[str, ...]) -> Hub:
        return Hub(_accounts(subject), [Route(KIND, order)], http=http, state=state)

    return _Lab(subject, make)


def _awaited(factory: Factory) -> _Lab:
    subject, state = factory(), AsyncMemoryStorage()
    http = AsyncSandboxHttpClient(subject.sandbox)

    def make(order: tuple[str, ...]) -> AsyncHub:
        return AsyncHub(_accounts(subject), [Route(KIND, order)], http=http, state=state)

    return _Lab(subject, make)


async def a_payment_is_taken_once(make: Open) -> None:
    """A payment is taken once for its key, and every repeat has the same receipt."""
    async with make() as lab:
        order = lab.order()
        payments = [await lab("charge", order, idempotency_key="k-1") for _ in range(3)]
        payment: Payment = payments[0]
        require(payments[1] == payments[2] == payment, "A repeat has another receipt.")
        require(lab.subject.charged() == 1, "A key took its payment more than once.")
        require(payment.ref.vendor == lab.subject.vendor.name, "The receipt names no vendor.")
        require(payment.ref.account == _FIRST, "The receipt names no account.")
        require(payment.vendor_state and payment.raw, "What the vendor said is lost.")
        require(Ref.parse(str(payment.ref)) == payment.ref, "A reference changes as text.")
        payment_state = await lab.settled(payment)
        require(
            payment_state.state is PaymentState.CAPTURED,
            f"What was taken is {payment_state.state}.",
        )
        require(
            payment_state.amount == payment_state.captured == _EUROS, "Another amount was taken."
        )
        other = lab("charge", lab.order(reference="other"), idempotency_key="k-1")
        error = await lab.refused(IdempotencyConflict, other, "A key for another payment")
        require(told_buyer(error).outcome is BuyerOutcome.UNKNOWN, "A used key is no charge.")
        await lab("charge", order, idempotency_key="k-2")
        require(lab.subject.charged() == 2, "Another key did not pay.")


async def a_key_is_required(make: Open) -> None:
    """Nothing that moves money is done without a key."""
    async with make() as lab:
        ref = Ref(lab.subject.vendor.name, _FIRST, "1")
        for doing in (
            lab("charge", lab.order(), idempotency_key=None),
            lab("authorize", lab.order(), idempotency_key=None),
            lab("refund", ref, idempotency_key=None),
            lab("capture", ref, idempotency_key=None),
            lab("void", ref, idempotency_key=None),
        ):
            await lab.refused(InvalidData, doing, "An effect without a key")
        require(lab.sandbox.asked == [], "Something was sent without a key.")


async def amounts_are_exact(make: Open) -> None:
    """The vendor receives the exact amount, whatever the currency's decimals."""
    async with make() as lab:
        for number, (amount, minor) in enumerate(_AMOUNTS):
            key = f"k-{number}"
            payment = await lab("charge", lab.order(amount=amount), idempotency_key=key)
            written = lab.subject.written(lab.sandbox.asked[-1])
            require(written == minor, f"{amount} was written as {written}.")
            require(payment.amount in {amount, None}, f"{amount} was read as {payment.amount}.")


async def a_decline_says_why(make: Open) -> None:
    """A declined payment says why, in our words and the vendor's, and so does its repeat."""
    async with make() as lab:
        for source, reason in (
            (lab.subject.declined, None),
            (lab.subject.expired, DeclineReason.EXPIRED_CARD),
        ):
            for _ in range(2):
                doing = lab("charge", lab.order(source), idempotency_key=f"k-{source}"[:60])
                error = await lab.refused(PaymentDeclined, doing, "A declined payment")
                require(reason is None or error.reason == reason, f"It is {error.reason}.")
                require(error.reason in set(DeclineReason), f"Declined for {error.reason}.")
                require(error.vendor_code is not None, "The vendor's own code is lost.")
                require(told_buyer(error).outcome is BuyerOutcome.DECLINED, "It is no decline.")
        require(lab.subject.charged() == 0, "What was declined was charged.")


async def a_buyer_may_be_asked(make: Open) -> None:
    """A payment that waits for the buyer is no success, and says where to send them."""
    async with make() as lab:
        if lab.subject.asks is None:
            require(PaymentsCapability.COMPLETE not in lab.able, "Nobody knows who is asked.")
            return
        order = lab.order(lab.subject.asks)
        payment: Payment = await lab("charge", order, idempotency_key="k-1")
        require(payment.state is PaymentState.REQUIRES_ACTION, f"It is {payment.state}.")
        action = payment.next_action
        action_fields = () if action is None else (action.url, action.token, action.fields)
        require(any(action_fields), "Nobody knows what the buyer has to do.")
        shown = [text for text in action_fields if isinstance(text, str) and text in repr(payment)]
        require(not shown, "What leads the buyer on is shown.")
        require(lab.subject.charged() == 0, "The buyer was not asked.")


async def a_refusal_has_its_type(make: Open) -> None:
    """Each refusal raises the right error, and charges no buyer."""
    async with make() as lab:
        for number, (answer, kind) in enumerate(lab.subject.refusals):
            lab.configure(_FIRST)
            lab.sandbox.fail(answer)
            doing = lab("charge", lab.order(), idempotency_key=f"k-{number}")
            error = await lab.refused(kind, doing, f"Refusal {number}")
            require(type(error) is kind, f"Refusal {number} is a {type(error).__name__}.")
            require(error.service == _FIRST, "A refusal names no account.")
            outcome = told_buyer(error).outcome
            require(outcome is not BuyerOutcome.UNKNOWN, f"Refusal {number} is unknown.")
        require(lab.subject.charged() == 0, "What was refused was charged.")


async def what_failed_is_unknown(make: Open) -> None:
    """An outage or malformed response is never reported as "nothing was charged"."""
    async with make() as lab:
        answers = [Response(503, body=b"<html></html>")]
        answers += [Response(200, {"Content-Type": "application/json"}, b) for b in _MALFORMED]
        for number, answer in enumerate(answers):
            lab.sandbox.fail(answer)
            doing = lab("charge", lab.order(), idempotency_key=f"k-{number}")
            error = await lab.refused(VendorFailed, doing, f"{answer.body!r}")
            require(told_buyer(error).outcome is BuyerOutcome.UNKNOWN, "It is told as known.")


async def a_lost_answer_is_asked_for_again(make: Open) -> None:
    """A payment with a lost answer is unknown, and settled under its key without a charge."""
    async with make() as lab:
        lab.sandbox.fail(Lost())
        doing = lab("charge", lab.order(), idempotency_key="k-1")
        error = await lab.refused(ConnectionFailed, doing, "A lost answer")
        require(told_buyer(error).outcome is BuyerOutcome.UNKNOWN, "It is told as known.")
        unsettled = Unsettled(charge=lab.order(), idempotency_key="k-1")
        settled = (await lab("settle", [unsettled]))[0].unwrap()
        require(lab.subject.charged() == 1, "A lost answer was paid for twice.")
        require(settled == await lab("charge", lab.order(), idempotency_key="k-1"), "It changed.")


async def an_unreadable_success_is_asked_for_again(make: Open) -> None:
    """A payment with an unreadable answer is unknown, and its key returns the receipt, once."""
    async with make() as lab:
        for number, body in enumerate(_MALFORMED):
            key = f"k-{number}"
            lab.sandbox.fail(Altered(partial(_with_body, body)))
            doing = lab("charge", lab.order(), idempotency_key=key)
            error = await lab.refused(ConnectorError, doing, f"{body!r}")
            require(told_buyer(error).outcome is BuyerOutcome.UNKNOWN, "It is told as known.")
            unsettled = Unsettled(charge=lab.order(), idempotency_key=key)
            settled = (await lab("settle", [unsettled]))[0].unwrap()
            require(lab.subject.charged() == number + 1, f"{body!r} was paid for twice.")
            again = await lab("charge", lab.order(), idempotency_key=key)
            require(settled == again, "A repeat has another receipt.")


async def an_unreadable_step_is_asked_for_again(make: Open) -> None:
    """Whichever answer of an operation cannot be read, a repeat of its key does the rest once."""
    async with make() as lab:
        part = Money("50.00", "EUR")
        for step in range(_STEPS):
            payment: Payment = await lab("authorize", lab.order(), idempotency_key=f"a-{step}")
            await lab.despite("capture", payment.ref, _EUROS, step=step, idempotency_key="c")
            await lab.settled(payment)
            await lab.despite("refund", payment.ref, part, step=step, idempotency_key=f"r-{step}")
            payment_state = await lab.settled(payment)
            require(payment_state.captured == _EUROS, f"{payment_state.captured} was captured.")
            require(payment_state.refunded == part, f"{payment_state.refunded} was given back.")
            other: Payment = await lab("authorize", lab.order(), idempotency_key=f"v-{step}")
            await lab.despite("void", other.ref, step=step, idempotency_key=f"w-{step}")
            state = (await lab.settled(other)).state
            require(state is PaymentState.VOIDED, f"What was given up is {state}.")


async def a_new_word_is_no_success(make: Open) -> None:
    """An unknown state is reported as unknown, never as success, and its word is kept."""
    async with make() as lab:
        part = Money("5.00", "EUR")
        order = lab.order()
        payment: Payment = await lab.with_status(
            _NEW, "charge", order, idempotency_key="k-1", other_key="k-2"
        )
        require(payment.state is PaymentState.UNKNOWN, f"A new word is {payment.state}.")
        require(payment.vendor_state == _NEW, "The vendor's new word is lost.")
        ref = (await lab.settled(await lab("charge", order, idempotency_key="k-1"))).ref
        if PaymentsCapability.LOOK_UP in lab.able:
            payment_state: Payment = await lab.with_status(_NEW, "get", ref)
            require(
                payment_state.state is PaymentState.UNKNOWN, f"A new word is {payment_state.state}."
            )
        refund: Refund = await lab.with_status(
            _NEW, "refund", ref, part, idempotency_key="r-1", other_key="r-2"
        )
        require(refund.state in _OPEN, f"A refund of a new word is {refund.state}.")
        if PaymentsCapability.LOOK_UP_REFUND in lab.able:
            refund = await lab.with_status(_NEW, "get_refund", refund.ref)
            require(refund.state in _OPEN, f"A refund of a new word is {refund.state}.")


async def what_is_pending_is_no_success(make: Open) -> None:
    """A payment or a refund that is under way is pending, and neither taken nor given back."""
    async with make() as lab:
        part, order = Money("5.00", "EUR"), lab.order()
        word, refund_word = lab.subject.pending, lab.subject.pending_refund
        payment: Payment = await lab.with_status(
            word, "charge", order, idempotency_key="k-1", other_key="k-2"
        )
        require(payment.state is PaymentState.PENDING, f"What is pending is {payment.state}.")
        ref = (await lab.settled(await lab("charge", order, idempotency_key="k-1"))).ref
        if PaymentsCapability.LOOK_UP in lab.able:
            payment_state: Payment = await lab.with_status(word, "get", ref)
            require(
                payment_state.state is PaymentState.PENDING,
                f"What is pending is {payment_state.state}.",
            )
        refund: Refund = await lab.with_status(
            refund_word, "refund", ref, part, idempotency_key="r-1", other_key="r-2"
        )
        require(refund.state is MoveState.PENDING, f"A pending refund is {refund.state}.")
        if PaymentsCapability.LOOK_UP_REFUND in lab.able:
            refund = await lab.with_status(refund_word, "get_refund", refund.ref)
            require(refund.state is MoveState.PENDING, f"A pending refund is {refund.state}.")


async def a_new_word_in_a_webhook_is_no_success(make: Open) -> None:
    """A webhook with an unknown or pending state never reports success.

    The word of the vendor decides, whatever the webhook is called.
    """
    async with make() as lab:
        payment: Payment = await lab("charge", lab.order(), idempotency_key="k-1")
        lab.subject.happen()
        ref = (await lab.settled(payment)).ref
        await lab("refund", ref, Money("50.00", "EUR"), idempotency_key="k-2")
        lab.subject.happen()
        for word, refund_word in (
            (_NEW, _NEW),
            (lab.subject.pending, lab.subject.pending_refund),
        ):
            for event in lab.retold(word, refund_word):
                if event.vendor_state == word:
                    require(event.state not in _TAKEN, f"A webhook's {word!r} is {event.state}.")
                refund = event.refund
                if refund is not None and refund.vendor_state == refund_word:
                    message = f"A webhook's refund of {refund_word!r} is {refund.state}."
                    require(refund.state in _OPEN, message)


async def amounts_in_webhooks_are_exact(make: Open) -> None:
    """Webhooks report exact amounts in currencies with three decimals and with none."""
    for amount in (Money("1.230", "KWD"), Money("500", "JPY")):
        async with make() as lab:
            try:
                await lab("charge", lab.order(amount=amount), idempotency_key="k-1")
            except InvalidData:
                continue  # the vendor cannot write it, and has said so
            lab.subject.happen()
            for notice in lab.sandbox.sent:
                for webhook in lab.verifier(replay_guard=False).verify(**notice.given()):
                    for event in lab.hub.events(_FIRST, webhook):
                        for stated in (event.amount, event.captured):
                            message = f"{amount} is {stated} in a webhook."
                            require(stated is None or stated in {amount, amount * 0}, message)


async def a_part_is_captured(make: Open) -> None:
    """A part of what was authorised is taken, once for its key, and never in another currency."""
    async with make() as lab:
        payment: Payment = await lab("authorize", lab.order(), idempotency_key="k-1")
        payment_state = await lab.settled(payment)
        require(payment_state.state is PaymentState.AUTHORIZED, f"It is {payment_state.state}.")
        require(payment_state.remaining == _EUROS, f"{payment_state.remaining} could be captured.")
        request_count, dollars = len(lab.sandbox.asked), Money("100.00", "USD")
        doing = lab("capture", payment.ref, dollars, idempotency_key="k-2")
        await lab.refused(InvalidData, doing, "Another currency")
        require(request_count == len(lab.sandbox.asked), "Another currency was sent.")
        part = Money("100.00", "EUR")
        captures: list[Capture] = [
            await lab("capture", str(payment.ref), part, idempotency_key="k-3") for _ in range(2)
        ]
        require(captures[0] == captures[1], "A repeat captures again.")
        require(captures[0].state in {MoveState.SUCCEEDED, MoveState.PENDING}, "It failed.")
        require(captures[0].amount == part and captures[0].raw, "What was captured is lost.")
        payment_state = await lab.settled(payment_state)
        require(
            payment_state.state is PaymentState.PARTIALLY_CAPTURED, f"It is {payment_state.state}."
        )
        require(payment_state.captured == part, f"{payment_state.captured} was captured.")
        require(
            payment_state.remaining == part * 0,
            f"{payment_state.remaining} could be captured after it.",
        )


async def what_was_given_up_is_not_captured(make: Open) -> None:
    """An authorisation that was given up brings nothing any more."""
    async with make() as lab:
        payment: Payment = await lab("authorize", lab.order(), idempotency_key="k-1")
        void: Void = await lab("void", payment.ref, idempotency_key="k-2")
        require(void.state in {MoveState.SUCCEEDED, MoveState.PENDING}, f"It is {void.state}.")
        payment_state = await lab.settled(payment)
        require(payment_state.state is PaymentState.VOIDED, f"It is {payment_state.state}.")
        try:
            late: Capture = await lab("capture", payment.ref, _EUROS, idempotency_key="k-3")
        except VendorRejected:
            return
        require(late.state is MoveState.PENDING, "What was given up was captured.")
        require((await lab.settled(payment_state)).state is PaymentState.VOIDED, "It was captured.")


async def money_is_given_back_in_parts(make: Open) -> None:
    """Parts are given back, each once for its key, and never more than was taken."""
    async with make() as lab:
        payment: Payment = await lab("charge", lab.order(), idempotency_key="k-1")
        payment = await lab.settled(payment)
        part = Money("50.00", "EUR")
        request_count = len(lab.sandbox.asked)
        doing = lab("refund", payment.ref, Money("50.00", "USD"), idempotency_key="k-2")
        await lab.refused(InvalidData, doing, "Another currency")
        require(request_count == len(lab.sandbox.asked), "Another currency was sent.")
        for key in ("r-1", "r-1", "r-2"):
            refund: Refund = await lab("refund", payment.ref, part, idempotency_key=key)
            require(refund.state in {MoveState.SUCCEEDED, MoveState.PENDING}, "It failed.")
            require(refund.amount == part and refund.raw, "What was given back is lost.")
        payment = await lab.settled(payment)
        require(payment.state is PaymentState.PARTIALLY_REFUNDED, f"It is {payment.state}.")
        require(payment.refunded == part * 2, f"{payment.refunded} was given back.")
        require(payment.refundable == _EUROS - part * 2, f"{payment.refundable} is left.")
        try:
            more: Refund = await lab("refund", payment.ref, _EUROS, idempotency_key="r-3")
        except VendorRejected:
            return
        require(more.state is MoveState.PENDING, "More was given back than was taken.")
        require((await lab.settled(payment)).refunded == part * 2, "More was given back.")


async def a_step_too_far_is_refused(make: Open) -> None:
    """A step that the payment is not in the state for is refused, now or later, by one error."""
    async with make() as lab:
        payment: Payment = await lab("authorize", lab.order(), idempotency_key="k-1")
        await lab("capture", payment.ref, idempotency_key="k-2")
        lab.subject.happen()
        steps: tuple[tuple[str, tuple[Any, ...]], ...] = (
            ("capture", (_EUROS,)),
            ("void", ()),
            ("refund", (_EUROS * 2,)),
        )
        for number, (verb, arguments) in enumerate(steps):
            try:
                move = await lab(verb, payment.ref, *arguments, idempotency_key=f"s-{number}")
            except ConnectorError as error:
                require(type(error) is VendorRejected, f"A {verb} ended with {error!r}.")
            else:
                require(move.state is MoveState.PENDING, f"A {verb} was done.")


async def a_refund_is_of_what_is_left(make: Open) -> None:
    """Without an amount the rest is given back; who cannot know it refuses to send anything."""
    async with make() as lab:
        payment: Payment = await lab("charge", lab.order(), idempotency_key="k-1")
        payment = await lab.settled(payment)
        part = Money("50.00", "EUR")
        await lab("refund", payment.ref, part, idempotency_key="r-1")
        lab.subject.happen()
        request_count = len(lab.sandbox.asked)
        try:
            rest: Refund = await lab("refund", payment.ref, idempotency_key="r-2")
        except VendorRejected:
            require(request_count == len(lab.sandbox.asked), "It was sent all the same.")
            return
        require(rest.amount == _EUROS - part, f"{rest.amount} was given back.")


async def another_account_takes_over(make: Open) -> None:
    """A payment goes to the second account if the first certainly did nothing."""
    async with make() as lab:
        away = ConnectionFailed("Nobody is there.", may_have_been_processed=False)
        lab.sandbox.fail(away)
        payment: Payment = await lab("charge", lab.order(), idempotency_key="k-1")
        require(payment.ref.account == _SECOND, "Nobody took over.")
        again = await lab("charge", lab.order(), idempotency_key="k-1")
        require(again == payment and lab.subject.charged() == 1, "It was paid twice.")


async def nobody_takes_over_what_may_be_done(make: Open) -> None:
    """A payment whose answer was lost stays where it was sent, however it is configured later."""
    async with make() as lab:
        lab.sandbox.fail(Lost())
        doing = lab("charge", lab.order(), idempotency_key="k-1")
        await lab.refused(ConnectionFailed, doing, "A lost answer")
        lab.configure(_SECOND, _FIRST)
        payment: Payment = await lab("charge", lab.order(), idempotency_key="k-1")
        require(payment.ref.account == _FIRST, "Another account took over.")
        require(lab.subject.charged() == 1, "It was paid twice.")
        refund: Refund = await lab("refund", payment.ref, idempotency_key="r-1")
        require(refund.ref.account == _FIRST, "Another account gave it back.")


async def what_it_cannot_do_is_refused(make: Open) -> None:
    """An unsupported feature is refused before sending, and the error names other vendors."""
    async with make() as lab:
        ref = Ref(lab.subject.vendor.name, _FIRST, "1")

        def charge(**fields: Any) -> Callable[[], Awaitable[Any]]:
            return lambda: lab("charge", lab.order(**fields), idempotency_key="4")

        calls: Mapping[PaymentsCapability, Callable[[], Awaitable[Any]]] = {
            PaymentsCapability.INTENT: lambda: lab(
                "create_intent", lab.order(), idempotency_key="1"
            ),
            PaymentsCapability.COMPLETE: lambda: lab("complete", ref, idempotency_key="2"),
            PaymentsCapability.MULTIPLE_CAPTURES: lambda: lab(
                "capture", ref, _EUROS, final=False, idempotency_key="3"
            ),
            PaymentsCapability.LOOK_UP: lambda: lab("get", ref),
            PaymentsCapability.LOOK_UP_REFUND: lambda: lab("get_refund", ref),
            PaymentsCapability.LIST: lambda: lab("payments"),
            PaymentsCapability.DISPUTES: lambda: lab("disputes"),
            PaymentsCapability.PAYOUTS: lambda: lab("payouts"),
            PaymentsCapability.OFF_SESSION: charge(off_session=True),
            PaymentsCapability.STORE_METHOD: charge(store_method=True),
            PaymentsCapability.STATEMENT_DESCRIPTOR: charge(statement_descriptor="ACME"),
            PaymentsCapability.THREE_DS: charge(three_ds=ThreeDs.ALWAYS),
        }
        for capability in set(PaymentsCapability) - lab.able:
            error = await lab.refused(UnsupportedByVendor, calls[capability](), str(capability))
            require(error.capabilities == (capability,), f"{capability} is not named.")
            require(error.able == able(KIND, frozenset({capability})), "Who can is not named.")
        require(lab.sandbox.asked == [], "Something was sent for what cannot be done.")


async def options_arrive(make: Open) -> None:
    """An option in the vendor's words arrives, and those of others are not looked at."""
    async with make() as lab:
        option, word = lab.subject.option
        extra = {lab.subject.vendor.name: option, "another": {"other-option": "1"}}
        await lab("charge", lab.order(extra=extra), idempotency_key="k-1")
        body = lab.sandbox.asked[-1].body
        require(word in body, "An option is lost.")
        require(b"other-option" not in body, "Another vendor's option arrived.")


async def nothing_shows_what_is_paid_with(make: Open) -> None:
    """Neither an order nor a receipt shows a source, and no account its secret."""
    async with make() as lab:
        order = lab.order()
        payment = await lab("charge", order, idempotency_key="k-1")
        shown = f"{order!r}{payment!r}{lab.hub.account(_FIRST)!r}"
        for hidden in (lab.subject.pays, lab.subject.secret):
            require(hidden not in shown, "A source or a secret is shown.")


async def events_are_accepted_if_signed(make: Open) -> None:
    """Signed webhooks give the same result in any order, and unsigned ones are refused."""
    async with make() as lab:
        payment: Payment = await lab("authorize", lab.order(), idempotency_key="k-1")
        await lab("capture", payment.ref, _EUROS, idempotency_key="k-2")
        lab.subject.happen()
        await lab("refund", payment.ref, Money("50.00", "EUR"), idempotency_key="k-3")
        lab.subject.happen()
        for backwards in (False, True):
            payment_state = await lab.after_webhooks(payment, backwards=backwards)
            require(
                payment_state.state is PaymentState.PARTIALLY_REFUNDED,
                f"It is {payment_state.state}.",
            )
            require(payment_state.captured == _EUROS, f"{payment_state.captured} was captured.")
            require(
                payment_state.refunded == Money("50.00", "EUR"),
                f"{payment_state.refunded} came back.",
            )
        payment_state = await lab.after_webhooks(await lab.after_webhooks(payment))
        require(
            payment_state.refunded == Money("50.00", "EUR"), "What was told twice counts twice."
        )
        stranger = lab.verifier(strange=True)
        believing = in_thread(lambda: stranger.verify(**lab.sandbox.sent[0].given()))
        await lab.refused(WebhookRejected, believing, "News that somebody else signed")


_ALL: Final = (
    a_payment_is_taken_once,
    a_key_is_required,
    amounts_are_exact,
    a_decline_says_why,
    a_buyer_may_be_asked,
    a_refusal_has_its_type,
    what_failed_is_unknown,
    a_lost_answer_is_asked_for_again,
    an_unreadable_success_is_asked_for_again,
    an_unreadable_step_is_asked_for_again,
    a_new_word_is_no_success,
    what_is_pending_is_no_success,
    a_new_word_in_a_webhook_is_no_success,
    amounts_in_webhooks_are_exact,
    a_part_is_captured,
    what_was_given_up_is_not_captured,
    money_is_given_back_in_parts,
    a_step_too_far_is_refused,
    a_refund_is_of_what_is_left,
    another_account_takes_over,
    nobody_takes_over_what_may_be_done,
    what_it_cannot_do_is_refused,
    options_arrive,
    nothing_shows_what_is_paid_with,
    events_are_accepted_if_signed,
)


def _through_async_hub(check: Callable[[Open], Coroutine[Any, Any, None]]) -> AsyncCheck:
    @wraps(check)
    async def awaited(factory: Factory) -> None:
        await check(partial(_awaited, factory))

    return awaited


CHECKS: Final[tuple[Check, ...]] = tuple(blocking(check, _plainly) for check in _ALL)
ASYNC_CHECKS: Final[tuple[AsyncCheck, ...]] = tuple(_through_async_hub(check) for check in _ALL)
