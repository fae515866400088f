"""The payment operations that need more than one request, and the register of payments."""

from __future__ import annotations

from datetime import timedelta
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Final, TypeVar

from moorage.contracts.declaration import KEY, TIMEOUT, Effect, Target
from moorage.contracts.declared.payments import PaymentsContract
from moorage.contracts.payments import (
    KIND,
    MOVING,
    PaymentEvent,
    PaymentQuery,
    PaymentsCapability,
    Unsettled,
    check_currency,
)
from moorage.contracts.payments.events import completed_with
from moorage.contracts.payments.requests import stated_amount
from moorage.contracts.validators import as_list, check_kind
from moorage.domain.idempotency.claims import AllowedActions
from moorage.domain.idempotency.unsettled import ReadEffects, effect_name
from moorage.domain.resilience.interruptions import is_interruption
from moorage.domain.values.durations import count, maybe_seconds
from moorage.domain.values.result import Result
from moorage.errors import (
    ConnectorError,
    InvalidRequest,
    OutcomeUnknown,
    VendorRejected,
)
from moorage.services.contracts.flows import Flows, required_key
from moorage.services.contracts.key_ownership import KeyOwnership
from moorage.services.contracts.payment_effects import (
    PaymentEffects,
    PerformedEffect,
    Request,
    declined_error,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable
    from datetime import datetime

    from moorage.contracts.declaration import ContractOperation
    from moorage.contracts.payments import Charge, Money, Payment, PaymentsVendor
    from moorage.contracts.ref import Ref
    from moorage.contracts.routes import Account, RoutingRequest
    from moorage.contracts.wire import Wire
    from moorage.services.contracts.dispatcher import Dispatcher
    from moorage.services.contracts.vendor_wire import VendorWire

R = TypeVar("R")

_REFUND: Final = "refund"
_FOLLOWING_OPERATIONS: Final = frozenset({"capture", "void", _REFUND})
"""Operations on a payment whose arguments are valid, so that a refusal concerns its state."""
_STEPS: Final = frozenset(
    {"accept_dispute", "submit_evidence", "change_subscription", "cancel_subscription"}
)
"""The steps that a vendor refuses once a dispute has been answered, or a subscription has ended."""
_FIRST_REFUNDS: Final = "payments.refund"
CLOCK_SKEW: Final = timedelta(minutes=1)
"""The maximum time by which a vendor's clock may be behind this machine's clock."""
_WRONG_CLOCK: Final = timedelta(hours=2)
"""The time by which this machine's clock may be ahead, as after a wrong time zone."""
_YEAR: Final = 366 * 86_400.0
"""Seconds for which a payment can be refunded in parts, at the vendor with the longest limit."""


def _with_uniform_refusals(
    flow: Callable[..., Coroutine[Any, Any, Any]],
) -> Callable[..., Coroutine[Any, Any, Any]]:
    """Return a method that raises every rejection by the vendor as a `VendorRejected` error."""

    @wraps(flow)
    async def uniform_flow(self: PaymentsFlows, /, *values: Any, **options: Any) -> Any:
        return await _with_uniform_refusal(flow(self, *values, **options))

    return uniform_flow


class PaymentsFlows(Flows, PaymentsContract):
    """The payment operations of one tenant.

    Args:
        dispatcher: sends the operations to vendors.
        tenant: tenant of the operations.
        reach: the actions that the operations may take: some callers only look up the result of
            a lost response, and send nothing new.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        tenant: str | None,
        reach: AllowedActions = AllowedActions.FRESH,
    ) -> None:
        super().__init__(dispatcher, tenant)
        self.effects = PaymentEffects(dispatcher, tenant, reach)

    @classmethod
    def _flow(cls, operation: ContractOperation) -> Callable[..., Coroutine[Any, Any, Any]]:
        """Return the method that executes this operation.

        An operation that moves money is registered before it is sent.
        """
        if operation.effect is Effect.NONE:
            return super()._flow(operation)
        if operation.name not in MOVING:
            plain_flow = super()._flow(operation)
            return _with_uniform_refusals(plain_flow) if operation.name in _STEPS else plain_flow
        name, at_reference = operation.name, operation.target is Target.REFERENCE

        @wraps(operation.plan)
        async def run_flow(self: PaymentsFlows, /, *values: Any, **options: Any) -> Any:
            requirements = operation.plan(self, *values, **options)
            key, timeout = required_key(options.pop(KEY)), options.pop(TIMEOUT, None)
            values, options = operation.arguments(values, options, requirements.arguments)
            routing = self._request(
                name,
                operation.needs.union(requirements.needs),
                requirements.country,
                requirements.currency,
            )
            dispatcher = self._dispatcher
            if at_reference:
                account, payment_ref = dispatcher.directory.find(values[0], routing)
                accounts: tuple[Account, ...] = (account,)
                values = (payment_ref, *values[1:])
            else:
                accounts = dispatcher.directory.choose(routing)

            has_open_key = False

            async def call_vendor(vendor: PaymentsVendor, wire: VendorWire, *_: Ref) -> Any:
                nonlocal has_open_key
                step = partial(getattr(vendor, operation.verb), wire, *values, **options, key=key)
                if name not in _FOLLOWING_OPERATIONS:
                    receipt = await step()
                else:
                    await _check_currency(vendor, wire, *values)
                    if name == _REFUND:
                        await self._check_remaining_amount(vendor, key, *values)
                    receipt = await _with_uniform_refusal(step())
                has_open_key = wire.has_open_key
                return receipt

            async def act(
                routing_request: RoutingRequest, timeout: float | None
            ) -> PerformedEffect:
                if at_reference:
                    receipt = await dispatcher.execute_at(
                        values[0], routing_request, call_vendor, key=key, timeout=timeout
                    )
                else:
                    receipt = await dispatcher.execute(
                        routing_request, call_vendor, key=key, timeout=timeout
                    )
                return PerformedEffect(receipt, has_open_key=has_open_key)

            request = Request(name, values, options)
            return await self.effects.once(
                request, routing, accounts, act, key=key, timeout=timeout
            )

        return run_flow

    async def follow_up(self, event: PaymentEvent, *, timeout: float | None = None) -> PaymentEvent:
        """Return a payment event with all fields, fetched from the vendor if they are missing.

        Only the id is read from an incomplete event, so a forged event can only cause a look-up at
        the vendor.

        Args:
            event: event from `Hub.events`; a complete event is returned unchanged.
            timeout: seconds for asking the vendor.
        """
        check_kind(event, PaymentEvent, "event")
        if not event.ask:
            return event
        return completed_with(event, await self.get(event.ref, timeout=timeout))

    async def settle(
        self,
        payments: Iterable[Ref | str | Unsettled],
        *,
        timeout: float | None = None,
        at_once: int = 8,
    ) -> list[Result[Payment]]:
        """Get the current state of several payments, and return the results in order.

        Args:
            payments: references of payments, and `Unsettled` for payments without a reference:
                these are sent again under their key, which has no second effect.
            timeout: seconds for each payment.
            at_once: maximum number of concurrent requests.
        """

        def step(payment: Ref | str | Unsettled) -> Callable[[], Awaitable[Result[Payment]]]:
            return partial(self._outcome_of, payment, timeout)

        maybe_seconds(timeout, "timeout")
        return await self._dispatcher.calling.core.run_all(
            [step(payment) for payment in as_list(payments, "payments")],
            at_once=count(at_once, "at_once"),
        )

    async def _check_remaining_amount(
        self, vendor: PaymentsVendor, key: str, ref: Ref, amount: Money | None
    ) -> None:
        """Refuse to refund the remaining amount if the vendor cannot report that amount.

        The key of the first refund of such a payment is recorded. If another refund came first, the
        rest is less than the original amount, but the reference records only the original amount.

        Raises:
            VendorRejected: the caller must state the amount.
        """
        whole_amount = stated_amount(ref)
        can_look_up = PaymentsCapability.LOOK_UP in vendor.capabilities and vendor.states_refunds
        if whole_amount is None or can_look_up or self._dispatcher.safety.dry_run:
            return
        calling = self._dispatcher.calling
        key_ownership = KeyOwnership(
            calling.core,
            _FIRST_REFUNDS,
            self._tenant,
            f"{ref.account}:{ref.id}",
            remembered=_YEAR,
            seconds=calling.plans.services[ref.account].timeout,
        )
        first_record, _ = await key_ownership.record_owner(key, movable=False)
        if amount is None and first_record != key:
            raise VendorRejected(
                f"A refund of this payment was requested before, and {ref.vendor} does not"
                " report the remaining amount.",
                remedy="Give the amount.",
            )

    async def _outcome_of(
        self, payment: Ref | str | Unsettled, timeout: float | None
    ) -> Result[Payment]:
        try:
            if isinstance(payment, Unsettled):
                repeat_operation = getattr(self, payment.operation)
                key = payment.idempotency_key
                try:
                    return Result(
                        await repeat_operation(payment.charge, idempotency_key=key, timeout=timeout)
                    )
                except OutcomeUnknown as error:
                    return Result(await self._look_up(payment, error, timeout))
            return Result(await self.get(payment, timeout=timeout))
        except Exception as error:
            if is_interruption(error):
                raise
            return Result(error=error)

    async def _look_up(
        self, lost_payment: Unsettled, unknown: ConnectorError, timeout: float | None
    ) -> Payment:
        """Find the vendor's payment for a request without a response, by reference and amount.

        A match settles its key. Without a match the outcome stays unknown, because the vendor may
        not list the payment yet. Several matches are ambiguous.

        Args:
            lost_payment: the lost request.
            unknown: error to raise unless there is exactly one match; its service is the account to
                search.
            timeout: seconds for each page.

        Raises:
            PaymentDeclined: the only match is a payment that the vendor declined.
        """
        matches = await self._search(lost_payment, unknown, timeout)
        if len(matches) != 1:
            raise unknown
        (payment,) = matches
        await self.effects.decide(lost_payment.idempotency_key, done=True, answer=payment)
        error = declined_error(lost_payment.operation, payment)
        if error is not None:
            raise error
        return payment

    async def _search(
        self, lost_payment: Unsettled, unknown: ConnectorError, timeout: float | None
    ) -> list[Payment]:
        """Return the vendor's payments with the reference and amount of an unanswered request.

        Args:
            lost_payment: the lost request.
            unknown: error to raise if the vendor cannot list; its service is the account to search.
            timeout: seconds for each page.
        """
        account = self._dispatcher.directory.accounts.get(unknown.service or "")
        start_time = await self._first_sent_time(lost_payment)
        lists = account is not None and PaymentsCapability.LIST in account.vendor.capabilities
        if start_time is None or not lists:
            raise unknown
        at = unknown.service
        matches = await self._matching_payments(lost_payment.charge, start_time, at, timeout)
        if not matches:
            matches = await self._matching_payments(
                lost_payment.charge, start_time - _WRONG_CLOCK, at, timeout
            )
        return matches

    async def _matching_payments(
        self, charge: Charge, since: datetime, account: str | None, timeout: float | None
    ) -> list[Payment]:
        """Return the vendor's payments since a time that have a charge's reference and amount."""
        query, next_page, matches = PaymentQuery(since=since), None, list["Payment"]()
        while True:
            page = await self.payments(query, after=next_page, account=account, timeout=timeout)
            matches += (payment for payment in page.items if _is_same(payment, charge))
            next_page = page.next
            if next_page is None:
                return matches

    async def _first_sent_time(self, lost_payment: Unsettled) -> datetime | None:
        """Return when a request without a response was first sent; None if unknown."""
        if lost_payment.since is not None:
            return lost_payment.since
        core = self._dispatcher.calling.core
        query_effects = ReadEffects([effect_name(KIND, self._tenant, lost_payment.idempotency_key)])
        for effect in await core.execute(query_effects, None):
            return core.utc() - timedelta(microseconds=effect.age) - CLOCK_SKEW
        return None


def _is_same(payment: Payment, charge: Charge) -> bool:
    return payment.reference == charge.reference and payment.amount in (None, charge.amount)


async def _with_uniform_refusal(step: Awaitable[R]) -> R:
    """Await a payment operation, and raise every rejection by the vendor as `VendorRejected`.

    The arguments were checked before, so a rejection as "invalid" concerns the payment's state, or
    an amount that exceeds it.
    """
    try:
        return await step
    except InvalidRequest as error:
        refused_error = VendorRejected(error.message)
        vars(refused_error).update(vars(error))
        raise refused_error from error


async def _check_currency(
    vendor: PaymentsVendor, wire: Wire, ref: Ref, amount: Money | None = None
) -> None:
    """Refuse an amount whose currency differs from the payment's, before anything is sent."""
    if amount is None:
        return
    currency = ref.other("currency")
    if currency is None and PaymentsCapability.LOOK_UP in vendor.capabilities:
        payment = await vendor.get(wire, ref)
        currency = None if payment.amount is None else payment.amount.currency
    check_currency(amount, currency)
