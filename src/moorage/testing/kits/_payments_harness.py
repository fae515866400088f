"""A payment vendor under test, behind a hub with two of its accounts."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.adapters.state.memory import AsyncMemoryStorage, MemoryStorage
from moorage.contracts.payments import (
    KIND,
    BuyerOutcome,
    Charge,
    Money,
    Payment,
    PaymentsCapability,
    PaymentState,
    advance,
    buyer_notice,
)
from moorage.contracts.routes import Account, Route
from moorage.contracts.vendor import UnknownOutcome
from moorage.domain.values.json_text import encode_json, is_list, is_object
from moorage.errors import ConnectorError, OutcomeUnknown
from moorage.hub.hub import AsyncHub, Hub
from moorage.testing.kits._contract_harness import (
    ContractHarness,
    with_body,
)
from moorage.testing.kits.checks import require
from moorage.testing.sandboxes.base import (
    AlteredAnswer,
    AsyncSandboxHttpClient,
    SandboxHttpClient,
    SlowAnswer,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import UnionType

    from moorage.contracts.payments import Customer, DeclineReason, PaymentEvent, StoreRequest
    from moorage.contracts.vendor import Vendor
    from moorage.domain.http.requests import Response
    from moorage.domain.webhooks.events import WebhookEvent
    from moorage.parts.webhook_verifier import WebhookVerifier
    from moorage.testing.sandboxes.base import Sandbox, SandboxRequest

FIRST: Final = "first"
SECOND: Final = "second"
EUROS: Final = Money("149.90", "EUR")


@attrs.frozen(kw_only=True)
class PaymentsSubject:
    """A payment vendor to be checked, with its sandbox.

    Attributes:
        vendor: an account at the sandbox.
        sandbox: the sandbox of the account.
        charged: returns the number of payments that the sandbox has authorised or captured.
        pays, declined, expired: sources that succeed, are declined, and have expired; None if the
            vendor declines no payment immediately, or has no error for an expired source.
        decline_reason: the reason for which the payment of `declined` is declined; None if the
            vendor's word for it has no certain meaning.
        billed: source that takes a billing address; `pays` by default.
        asks: source whose payment waits for the buyer; None if no payment does, or only an intent.
        refusals: error responses of the vendor, each with the error that it must raise.
        written: returns the amount in a request, in minor units.
        option: an option in the vendor's own words, and a text of it that the request must contain.
        pending, pending_refund: the vendor's words for a payment and a refund that are under way.
        secret: the secret that the vendor's credentials must not show.
        webhook_secret: the secret that signs webhooks; None if a certificate does.
        happen: completes everything that the vendor has only accepted so far.
        longest_key: the number of characters that an idempotency key may have at the vendor.
        key_of: reads the idempotency key of a request, if it is not in the header that the
            vendor's services name.
        keyless: the last parts of the paths of steps without a key, which the vendor executes only
            once.
        stores: a means of payment that the vendor stores without a payment.
        dispute: disputes a captured payment, and returns the dispute's id; None if no dispute
            can be answered.
        payee: a payee of the vendor; None if the vendor sends no money to payees.
        subscriber: a stored means of payment that subscriptions can charge, and its customer; None
            if the vendor has no subscriptions, or asks the buyer for the means.
        consent: consents as the buyer to a subscription, given its id, or to a change of it.
        renew: charges a subscription, given its id, for its next period, with or without success.
        pay_out: pays all charged money out to the merchant.
        largest: the largest amount in minor units that the vendor accepts; None if it states no
            limit.
        currencies: currencies that `pays` can be charged in; None for all of them.
        buyer: the buyer of each charge, if the vendor requires one.
    """

    vendor: Vendor
    sandbox: Sandbox
    charged: Callable[[], int]
    pays: str
    refusals: tuple[tuple[Response, type[ConnectorError]], ...]
    written: Callable[[SandboxRequest], int]
    option: tuple[Mapping[str, Any], bytes]
    pending: str
    pending_refund: str
    secret: str = attrs.field(repr=False)
    webhook_secret: str | None = attrs.field(repr=False)
    declined: str | None = None
    expired: str | None = None
    decline_reason: DeclineReason | None = None
    billed: str | None = None
    asks: str | None = None
    happen: Callable[[], object] = lambda: None
    longest_key: int = 255
    key_of: Callable[[SandboxRequest], str | None] | None = None
    keyless: tuple[str, ...] = ()
    stores: StoreRequest | None = None
    dispute: Callable[[str], str] | None = None
    payee: str | None = None
    subscriber: tuple[str, Customer] | None = None
    consent: Callable[[str], object] | None = None
    renew: Callable[[str, bool], object] | None = None
    pay_out: Callable[[], object] | None = None
    largest: int | None = None
    currencies: frozenset[str] | None = None
    buyer: Customer | None = None


class Harness(ContractHarness[PaymentsSubject]):
    """A payment vendor under test, with its hub and sandbox."""

    contract = "payments"

    def __init__(self, subject: PaymentsSubject, make: Callable[..., Hub | AsyncHub]) -> None:
        super().__init__(subject, make((FIRST, SECOND)))
        self._make = make

    def hidden(self) -> tuple[str, ...]:
        return (self.subject.secret,)

    def configure(self, *accounts: str) -> None:
        """Replace the accounts of the hub by these, in this order; stored data stays."""
        self.hub = self._make(accounts)

    def order(self, source: str | None = None, **fields: Any) -> Charge:
        amount = fields.pop("amount", EUROS)
        url = "https://shop.example/back"
        reference = fields.pop("reference", "INV-2041")
        fields.setdefault("customer", self.subject.buyer)
        return Charge(
            amount, source or self.subject.pays, reference=reference, return_url=url, **fields
        )

    def last_change(self) -> SandboxRequest:
        """Return the last request that could have changed something at the vendor."""
        return next(item for item in reversed(self.sandbox.requests) if item.method != "GET")

    def key_of(self, request: SandboxRequest) -> str | None:
        """Return the idempotency key of a request; None if it has none."""
        if self.subject.key_of is not None:
            return self.subject.key_of(request)
        headers = {
            service.idempotency_header for service in self.subject.vendor.services().values()
        }
        keys = [request.headers.get(name) for name in headers if name is not None]
        return next((key for key in keys if key is not None), None)

    def unanswered(self, kind: type[ConnectorError]) -> type[ConnectorError] | UnionType:
        """Return the error of a charge whose response was lost, so that its outcome is unknown.

        For a vendor at which the charge must be looked up, it may be `OutcomeUnknown`, too.
        """
        outcomes = self.subject.vendor.unknown_outcomes
        is_looked_up = outcomes.get("charge") is UnknownOutcome.LOOKED_UP
        return kind | OutcomeUnknown if is_looked_up else kind

    def is_sign_in(self, request: SandboxRequest) -> bool:
        """Return whether a request only fetches an access token."""
        return b"grant_type=" in request.body

    async def held(self, key: str) -> Payment:
        """Return a new payment that is authorised, or at least requested."""
        operation = "authorize" if PaymentsCapability.AUTHORIZE in self.capabilities else "charge"
        return await self(operation, self.order(), idempotency_key=key)  # type: ignore[no-any-return]  # a Payment

    async def taken(self, key: str) -> Payment:
        """Return a new payment whose money was captured or charged."""
        payment = await self.held(key)
        if PaymentsCapability.AUTHORIZE in self.capabilities:
            await self("capture", payment.ref, EUROS, idempotency_key=f"{key}-capture"[-255:])
        return await self.settled(payment)

    async def settled(self, payment: Payment) -> Payment:
        """Return a payment's final state."""
        self.subject.happen()
        if PaymentsCapability.LOOK_UP in self.capabilities:
            return await self("get", payment.ref)  # type: ignore[no-any-return]  # a Payment
        return await self.after_webhooks(payment)

    def verifier(self, *, strange: bool = False, **options: Any) -> WebhookVerifier:
        """Return a verifier of the vendor's webhooks; with `strange`, it has wrong secrets."""
        secret = self.subject.webhook_secret
        if secret is not None:
            options["secrets"] = "ab" * 32 if strange else secret
        elif strange:
            parameters: Mapping[str, str] = self.subject.vendor.webhook_verification()["parameters"]
            options["parameters"] = dict.fromkeys(parameters, "another")
        return self.hub.webhooks(FIRST, http=SandboxHttpClient(self.sandbox), **options)

    def check_refunded(self, payment: Payment, refunded: Money) -> None:
        """Check the refunds that a captured payment states after refunds of this total.

        A vendor that does not state refunds must not state a total either.
        """
        if not self.subject.vendor.states_refunds:
            require(payment.refunded is None, f"The payment states a refund of {payment.refunded}.")
            return
        require(
            payment.state is PaymentState.PARTIALLY_REFUNDED, f"The payment is {payment.state}."
        )
        require(payment.refunded == refunded, f"{payment.refunded} was refunded.")
        require(payment.refundable == EUROS - refunded, f"{payment.refundable} is left.")

    async def after_webhooks(self, payment: Payment, *, backwards: bool = False) -> Payment:
        """Return the payment after its webhooks were handled, in order or in reverse order."""
        # The same events are read several times here.
        verifier = self.verifier(replay_guard=False)
        events = [
            event
            for notice in self.sandbox.sent
            for webhook in verifier.verify(**notice.arguments())
            for event in self.hub.events(FIRST, webhook)
            if event.ref.id == payment.ref.id
        ]
        for event in reversed(events) if backwards else events:
            advanced_payment = advance(payment, event) if event.ask else payment
            require(
                advanced_payment == payment,
                "An event that must be looked up changed the payment by itself.",
            )
            payment = advance(payment, await self("follow_up", event))
        return payment

    def events_with_unknown_words(self, word: str, refund_word: str) -> Iterator[PaymentEvent]:
        """Return the sandbox's webhook events, with states replaced by undocumented words.

        Args:
            word: in place of the vendor's word for the state of a payment.
            refund_word: in place of that for the state of a refund.
        """
        for notice in self.sandbox.sent:
            for webhook in self.verifier(replay_guard=False).verify(**notice.arguments()):
                for event in self.hub.events(FIRST, webhook):
                    refund_state = None if event.refund is None else event.refund.vendor_state
                    for old_status, new_status in (
                        (event.vendor_state, word),
                        (refund_state, refund_word),
                    ):
                        if old_status is not None:
                            yield from self.hub.events(
                                FIRST, _webhook_with_status(webhook, old_status, new_status)
                            )

    async def with_status(
        self, word: str, operation: str, *arguments: Any, in_all: bool = False, **named: Any
    ) -> Any:
        """Return an operation's result after replacing the state in the vendor's last response.

        `in_all` is True if each response has it, so that the order of requests does not matter. The
        operation runs twice: first unchanged, to find out the vendor's word and the number of
        requests.
        """
        request_count = len(self.sandbox.requests)
        keys = [named.pop("idempotency_key", None), named.pop("other_key", None)]
        first_options, second_options = [
            {**named, "idempotency_key": key} if key else named for key in keys
        ]
        normal_result = await self(operation, *arguments, **first_options)
        steps = len(self.sandbox.requests) - request_count
        change = partial(_answer_with_status, normal_result.vendor_state, word)
        earlier_answers: list[AlteredAnswer | SlowAnswer] = [
            AlteredAnswer(change) if in_all else SlowAnswer(0.0)
        ] * (steps - 1)
        self.sandbox.fail(*earlier_answers, AlteredAnswer(change))
        try:
            return await self(operation, *arguments, **second_options)
        finally:
            self.sandbox.forget_faults()

    async def despite(self, operation: str, *arguments: Any, step: int, **named: Any) -> None:
        """Run an operation whose `step`-th response is unreadable, and then repeat it."""
        named["idempotency_key"] += f"-{step}"
        self.sandbox.fail(
            *[SlowAnswer(0.0)] * step, AlteredAnswer(partial(with_body, b"<html></html>"))
        )
        try:
            await self(operation, *arguments, **named)
        except ConnectorError as error:
            outcome = buyer_notice(error).outcome
            require(outcome is BuyerOutcome.UNKNOWN, f"{operation} is reported as {outcome}.")
        self.sandbox.forget_faults()
        await self(operation, *arguments, **named)


def _answer_with_status(before: str, word: str, response: Response) -> Response:
    """Return the response with each status word of the vendor replaced by another word."""
    return response.evolve(body=encode_json(_replace_in(response.json(), before, word)))


def _webhook_with_status(webhook: WebhookEvent, before: str, word: str) -> WebhookEvent:
    """Return the webhook with each status word of the vendor replaced by another word."""
    payload, data = (_replace_in(part, before, word) for part in (webhook.payload, webhook.data))
    return attrs.evolve(webhook, payload=payload, data=data)


def _replace_in(value: Any, before: str, word: str) -> Any:
    if is_object(value):
        return {name: _replace_in(part, before, word) for name, part in value.items()}
    if is_list(value):
        return [_replace_in(part, before, word) for part in value]
    return word if value == before else value


def _accounts(subject: PaymentsSubject) -> list[Account]:
    settings = {"retry": None, "circuit": None, "volatile_keys": True}
    return [Account(name, subject.vendor, settings=settings) for name in (FIRST, SECOND)]


def sync_harness(factory: Callable[[], PaymentsSubject]) -> Harness:
    subject, state = factory(), MemoryStorage()
    http = SandboxHttpClient(subject.sandbox)

    def make_hub(order: tuple[str, ...]) -> Hub:
        return Hub(_accounts(subject), [Route(KIND, order)], http=http, state=state)

    return Harness(subject, make_hub)


def async_harness(factory: Callable[[], PaymentsSubject]) -> Harness:
    subject, state = factory(), AsyncMemoryStorage()
    http = AsyncSandboxHttpClient(subject.sandbox)

    def make_hub(order: tuple[str, ...]) -> AsyncHub:
        return AsyncHub(_accounts(subject), [Route(KIND, order)], http=http, state=state)

    return Harness(subject, make_hub)
