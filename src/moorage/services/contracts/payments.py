"""The payment operations: a payment starts at the configured vendor, and stays there."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from moorage.contracts.declared.payments import PaymentsContract
from moorage.contracts.payments import (
    KIND,
    Charge,
    PaymentEvent,
    PaymentQuery,
    PaymentsCapability,
    RefundReason,
    Unsettled,
    capture_needs,
    check_currency,
)
from moorage.contracts.payments.events import completed_with
from moorage.contracts.payments.requests import check_amount, stated_amount
from moorage.contracts.ref import Ref
from moorage.contracts.validators import (
    as_table,
    check_kind,
    check_maybe,
    check_texts,
    several,
)
from moorage.domain.idempotency.claims import Reach, checked_key
from moorage.domain.idempotency.unsettled import ReadEffects, effect_name
from moorage.domain.values.durations import count, maybe_seconds
from moorage.domain.values.result import Result
from moorage.errors import (
    ConnectorError,
    InvalidData,
    InvalidRequest,
    OutcomeUnknown,
    VendorRejected,
)
from moorage.services.contracts.flows import Flows
from moorage.services.contracts.key_ownership import KeyOwnership
from moorage.services.contracts.payment_effects import PaymentEffects, Request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from datetime import datetime

    from moorage.contracts.payments import (
        Capture,
        Dispute,
        Money,
        Page,
        Payment,
        PaymentsVendor,
        Payout,
        Refund,
        Void,
    )
    from moorage.contracts.routes import RoutingRequest
    from moorage.contracts.wire import Wire
    from moorage.services.contracts.dispatcher import Dispatcher

R = TypeVar("R")

_Step: TypeAlias = "tuple[str, tuple[Any, ...], dict[str, Any]]"
"""An operation on a payment: its name, its other values and its options."""

_FIRST_REFUNDS: Final = "payments.refund"
CLOCK_SKEW: Final = timedelta(minutes=1)
"""Maximum lag of a vendor's clock behind ours."""
_WRONG_CLOCK: Final = timedelta(hours=2)
"""How far our own clock may be ahead, as after a wrong time zone."""
_YEAR: Final = 366 * 86_400.0
"""Seconds for which a payment can be refunded in parts, at the vendor with the longest limit."""


class PaymentsFlows(Flows, PaymentsContract):
    """The payment operations of one tenant.

    Args:
        dispatcher: sends the operations to vendors.
        tenant: tenant of the operations.
        reach: limit of the operations under their keys.
    """

    def __init__(
        self, dispatcher: Dispatcher, tenant: str | None, reach: Reach = Reach.FRESH
    ) -> None:
        super().__init__(dispatcher, tenant)
        self.effects = PaymentEffects(dispatcher, tenant, reach)

    async def create_intent(
        self, charge: Charge, *, idempotency_key: str, timeout: float | None = None
    ) -> Payment:
        """Prepare a payment that the buyer continues in the vendor's form; no money moves yet.

        Args:
            charge: payment to prepare.
            idempotency_key: identifies this payment: a repeat returns the same one.
            timeout: seconds for the whole operation.
        """
        check_kind(charge, Charge, "charge")
        needs = charge.needs | {PaymentsCapability.INTENT}
        return await self._begin("create_intent", charge, needs, idempotency_key, timeout)

    async def authorize(
        self, charge: Charge, *, idempotency_key: str, timeout: float | None = None
    ) -> Payment:
        """Authorise an amount, to be captured or voided later.

        Args:
            charge: payment with its source.
            idempotency_key: identifies this payment: a repeat returns the same one, never a second.
            timeout: seconds for the whole operation.

        Raises:
            PaymentDeclined: the payment was declined for `reason`.
        """
        check_kind(charge, Charge, "charge")
        _check_source(charge)
        return await self._begin("authorize", charge, charge.needs, idempotency_key, timeout)

    async def charge(
        self, charge: Charge, *, idempotency_key: str, timeout: float | None = None
    ) -> Payment:
        """Charge an amount at once.

        Args:
            charge: payment with its source.
            idempotency_key: identifies this payment: a repeat returns the same one, never a second.
            timeout: seconds for the whole operation.

        Raises:
            PaymentDeclined: the payment was declined for `reason`.
        """
        check_kind(charge, Charge, "charge")
        _check_source(charge)
        return await self._begin("charge", charge, charge.needs, idempotency_key, timeout)

    async def complete(
        self,
        ref: Ref | str,
        returned: Mapping[str, str] | None = None,
        *,
        idempotency_key: str,
        timeout: float | None = None,
    ) -> Payment:
        """Continue a payment after the buyer has taken its next action.

        Args:
            ref: reference of the payment.
            returned: values that the buyer came back with, such as the parameters of the return
                URL.
            idempotency_key: identifies this step.
            timeout: seconds for the whole operation.

        Raises:
            PaymentDeclined: the payment was declined for `reason`.
        """
        came_back = as_table({} if returned is None else returned)
        check_texts(came_back, "returned")

        async def perform(vendor: PaymentsVendor, wire: Wire, ref: Ref) -> Payment:
            return await vendor.complete(wire, ref, came_back, key=idempotency_key)

        operation = self._request("complete", {PaymentsCapability.COMPLETE})
        request: _Step = ("complete", (came_back,), {})
        return await self._step(ref, operation, perform, request, idempotency_key, timeout)

    async def capture(
        self,
        ref: Ref | str,
        amount: Money | None = None,
        *,
        idempotency_key: str,
        final: bool = True,
        timeout: float | None = None,
    ) -> Capture:
        """Capture an authorised payment, or a part of it.

        Args:
            ref: reference of the payment.
            amount: amount to capture; all of it by default.
            idempotency_key: identifies this capture.
            final: True to void the rest, False to leave it for later captures.
            timeout: seconds for the whole operation.
        """
        check_kind(final, bool, "final")
        _check_some(amount)

        async def perform(vendor: PaymentsVendor, wire: Wire, ref: Ref) -> Capture:
            await _check_currency(vendor, wire, ref, amount)
            return await _refused_alike(
                vendor.capture(wire, ref, amount, final=final, key=idempotency_key)
            )

        operation = self._request("capture", capture_needs(final=final))
        request: _Step = ("capture", (amount,), {"final": final})
        return await self._step(ref, operation, perform, request, idempotency_key, timeout)

    async def void(
        self, ref: Ref | str, *, idempotency_key: str, timeout: float | None = None
    ) -> Void:
        """Void the authorised amount that is not captured.

        Args:
            ref: reference of the payment.
            idempotency_key: identifies this void.
            timeout: seconds for the whole operation.
        """

        async def perform(vendor: PaymentsVendor, wire: Wire, ref: Ref) -> Void:
            return await _refused_alike(vendor.void(wire, ref, key=idempotency_key))

        request: _Step = ("void", (), {})
        return await self._step(
            ref, self._request("void"), perform, request, idempotency_key, timeout
        )

    async def refund(
        self,
        ref: Ref | str,
        amount: Money | None = None,
        *,
        idempotency_key: str,
        reason: RefundReason | str | None = None,
        timeout: float | None = None,
    ) -> Refund:
        """Refund a captured payment, or a part of it.

        Args:
            ref: reference of the payment.
            amount: amount to refund; the whole rest by default.
            idempotency_key: identifies this refund: another part needs another key.
            reason: reason, also as a text such as "duplicate".
            timeout: seconds for the whole operation.

        Raises:
            VendorRejected: the amount exceeds the refundable rest; or no amount is given, and the
                vendor cannot tell the rest after an earlier partial refund.
        """
        why = None if reason is None else RefundReason(reason)
        _check_some(amount)

        async def perform(vendor: PaymentsVendor, wire: Wire, ref: Ref) -> Refund:
            await _check_currency(vendor, wire, ref, amount)
            await self._check_rest(vendor, ref, amount, idempotency_key)
            return await _refused_alike(
                vendor.refund(wire, ref, amount, reason=why, key=idempotency_key)
            )

        request: _Step = ("refund", (amount,), {"reason": why})
        return await self._step(
            ref, self._request("refund"), perform, request, idempotency_key, timeout
        )

    async def follow_up(self, event: PaymentEvent, *, timeout: float | None = None) -> PaymentEvent:
        """Complete an event: if it only hints at a change, get the payment from the vendor.

        Only the id is read from such a hint, so a forged one can only cause a look-up of the truth.

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
        """Get the current state of several payments; return the results in their order.

        Args:
            payments: references of payments, and `Unsettled` for payments without one: these are
                sent again under their key, which has no second effect.
            timeout: seconds for each payment.
            at_once: maximum number of concurrent requests.
        """

        def step(payment: Ref | str | Unsettled) -> Callable[[], Awaitable[Result[Payment]]]:
            return partial(self._outcome_of, payment, timeout)

        maybe_seconds(timeout, "timeout")
        return await self._dispatcher.calling.core.every(
            [step(payment) for payment in several(payments, "payments")],
            at_once=count(at_once, "at_once"),
        )

    async def payments(
        self,
        query: PaymentQuery | None = None,
        *,
        after: Ref | str | None = None,
        account: str | None = None,
        timeout: float | None = None,
    ) -> Page[Payment]:
        """Get a page of the vendor's list of payments.

        Args:
            query: filter of the list.
            after: the `next` of the previous page.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        operation = self._request("payments", {PaymentsCapability.LIST})
        page: Page[Payment] = await self._page(operation, query, after, account, timeout)
        return page

    async def disputes(
        self,
        query: PaymentQuery | None = None,
        *,
        after: Ref | str | None = None,
        account: str | None = None,
        timeout: float | None = None,
    ) -> Page[Dispute]:
        """Get a page of the vendor's list of disputes.

        Args:
            query: filter of the list.
            after: the `next` of the previous page.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        operation = self._request("disputes", {PaymentsCapability.DISPUTES})
        page: Page[Dispute] = await self._page(operation, query, after, account, timeout)
        return page

    async def payouts(
        self,
        query: PaymentQuery | None = None,
        *,
        after: Ref | str | None = None,
        account: str | None = None,
        timeout: float | None = None,
    ) -> Page[Payout]:
        """Get a page of the vendor's list of payouts to your bank.

        Args:
            query: filter of the list.
            after: the `next` of the previous page.
            account: name of the account; required if several are configured.
            timeout: seconds for the whole operation.
        """
        operation = self._request("payouts", {PaymentsCapability.PAYOUTS})
        page: Page[Payout] = await self._page(operation, query, after, account, timeout)
        return page

    async def _begin(
        self,
        verb: str,
        charge: Charge,
        needs: Iterable[str],
        key: str,
        timeout: float | None,
    ) -> Payment:
        async def perform(vendor: PaymentsVendor, wire: Wire) -> Payment:
            payment: Payment = await getattr(vendor, verb)(wire, charge, key=key)
            return payment

        operation = self._request(verb, needs, charge.country, charge.amount.currency)
        key = _required(key)

        async def act(routed: RoutingRequest, timeout: float | None) -> Payment:
            return await self._dispatcher.execute(routed, perform, key=key, timeout=timeout)

        accounts = self._dispatcher.directory.choose(operation)
        request = Request(verb, (charge,), {})
        return await self.effects.once(request, operation, accounts, act, key=key, timeout=timeout)

    async def _step(  # noqa: PLR0917 - all of one step
        self,
        ref: Ref | str,
        operation: RoutingRequest,
        perform: Callable[[PaymentsVendor, Wire, Ref], Awaitable[R]],
        step: _Step,
        key: str,
        timeout: float | None,
    ) -> R:
        """Execute an operation on a payment, at the account of its reference."""
        verb, values, options = step
        key = _required(key)
        account, payment_ref = self._dispatcher.directory.find(ref, operation)

        async def act(routed: RoutingRequest, timeout: float | None) -> R:
            return await self._dispatcher.execute_at(
                payment_ref, routed, perform, key=key, timeout=timeout
            )

        request = Request(verb, (payment_ref, *values), options)
        return await self.effects.once(
            request, operation, (account,), act, key=key, timeout=timeout
        )

    async def _page(
        self,
        operation: RoutingRequest,
        query: PaymentQuery | None,
        after: Ref | str | None,
        account: str | None,
        timeout: float | None,
    ) -> Any:
        query = PaymentQuery() if query is None else query
        check_kind(query, PaymentQuery, "query")
        check_maybe(account, str, "account")
        verb = operation.operation
        if after is None and account is None:

            async def first(vendor: PaymentsVendor, wire: Wire) -> Any:
                return await getattr(vendor, verb)(wire, query, None)

            return await self._dispatcher.execute(operation, first, timeout=timeout)

        async def perform(vendor: PaymentsVendor, wire: Wire, _: Ref) -> Any:
            return await getattr(vendor, verb)(wire, query, start)

        start = None if after is None else Ref.parse(after, "after")
        at = start if start is not None else self._somewhere(account or "")
        return await self._dispatcher.execute_at(at, operation, perform, timeout=timeout)

    async def _check_rest(
        self, vendor: PaymentsVendor, ref: Ref, amount: Money | None, key: str
    ) -> None:
        """Refuse to refund the remaining amount if the vendor cannot tell it.

        The key of the first refund of such a payment is recorded. If another refund came first,
        the rest is less than the original amount, which is all that the reference records.

        Raises:
            VendorRejected: the caller must state the amount.
        """
        whole = stated_amount(ref)
        checkable = whole is None or PaymentsCapability.LOOK_UP in vendor.capabilities
        if checkable or self._dispatcher.safety.dry_run:
            return
        calling = self._dispatcher.calling
        turn = KeyOwnership(
            calling.core,
            _FIRST_REFUNDS,
            self._tenant,
            f"{ref.account}:{ref.id}",
            remembered=_YEAR,
            seconds=calling.plans.services[ref.account].timeout,
        )
        first, _ = await turn.recorded(key, movable=False)
        if amount is None and first != key:
            raise VendorRejected(
                "A refund of this payment was requested before, and"
                f" {ref.vendor} does not tell the remaining amount.",
                remedy="Give the amount.",
            )

    def _somewhere(self, account: str) -> Ref:
        """A placeholder reference that names only an account."""
        configured = self._dispatcher.directory.accounts.get(account)
        if configured is None:
            raise InvalidData(
                f"No account is named {account!r}.",
                field="account",
                remedy="Give the name of a configured account.",
            )
        return Ref(configured.vendor.name, account, account)

    async def _outcome_of(
        self, payment: Ref | str | Unsettled, timeout: float | None
    ) -> Result[Payment]:
        try:
            if isinstance(payment, Unsettled):
                again = getattr(self, payment.operation)
                key = payment.idempotency_key
                try:
                    return Result(await again(payment.charge, idempotency_key=key, timeout=timeout))
                except OutcomeUnknown as error:
                    return Result(await self._look_up(payment, error, timeout))
            return Result(await self.get(payment, timeout=timeout))
        except Exception as error:  # noqa: BLE001 - each item has its own result
            return Result(error=error)

    async def _look_up(
        self, lost: Unsettled, unknown: ConnectorError, timeout: float | None
    ) -> Payment:
        """Search the vendor's payments for one with the reference and amount of a lost request.

        A match settles its key. No match proves nothing, because the vendor may not list the
        payment yet; and several matches are ambiguous.

        Args:
            lost: the lost request.
            unknown: error to raise without a single match; its service is the account to search.
            timeout: seconds for each page.
        """
        account = self._dispatcher.directory.accounts.get(unknown.service or "")
        since = await self._sent_since(lost)
        lists = account is not None and PaymentsCapability.LIST in account.vendor.capabilities
        if since is None or not lists:
            raise unknown
        at = unknown.service
        matches = await self._matching(lost.charge, since, at, timeout)
        if not matches:
            matches = await self._matching(lost.charge, since - _WRONG_CLOCK, at, timeout)
        if len(matches) != 1:
            raise unknown
        (payment,) = matches
        await self.effects.decide(lost.idempotency_key, done=True, answer=payment)
        return payment

    async def _matching(
        self, charge: Charge, since: datetime, account: str | None, timeout: float | None
    ) -> list[Payment]:
        """The payments since then that have the reference and the amount of a charge."""
        query, after, matches = PaymentQuery(since=since), None, list["Payment"]()
        while True:
            page = await self.payments(query, after=after, account=account, timeout=timeout)
            matches += (payment for payment in page.items if _is_same(payment, charge))
            after = page.next
            if after is None:
                return matches

    async def _sent_since(self, lost: Unsettled) -> datetime | None:
        """The time of a lost payment's first request, from the caller's records or the register."""
        if lost.since is not None:
            return lost.since
        core = self._dispatcher.calling.core
        read = ReadEffects([effect_name(KIND, self._tenant, lost.idempotency_key)])
        for effect in await core.execute(read, None):
            return core.utc() - timedelta(microseconds=effect.age) - CLOCK_SKEW
        return None


def _is_same(payment: Payment, charge: Charge) -> bool:
    return payment.reference == charge.reference and payment.amount in (None, charge.amount)


def _check_source(charge: Charge) -> None:
    if charge.source is None:
        raise InvalidData(
            "The payment has no source.",
            field="source",
            remedy="Give the vendor's token, or create an intent that the buyer continues.",
        )


def _required(key: str | None) -> str:
    """Refuse a missing key: a repeat without one could move money twice."""
    if key is None:
        raise InvalidData(
            "An operation that moves money requires an idempotency key.",
            field="idempotency_key",
            remedy="Name the effect, such as idempotency_key='INV-2041/1'.",
        )
    return checked_key(key)


def _check_some(amount: object) -> None:
    """Refuse anything but None or a positive amount."""
    if amount is not None:
        check_amount(amount)


async def _refused_alike(step: Awaitable[R]) -> R:
    """Await an operation on a payment; unify the type of its refusal across vendors.

    The arguments were checked before, so a refusal as "invalid" concerns the payment's state, or an
    amount that it does not have.
    """
    try:
        return await step
    except InvalidRequest as error:
        refused = VendorRejected(error.message)
        vars(refused).update(vars(error))
        raise refused from error


async def _check_currency(
    vendor: PaymentsVendor, wire: Wire, ref: Ref, amount: Money | None
) -> None:
    """Refuse another currency than the payment's, before anything is sent."""
    if amount is None:
        return
    currency = ref.other("currency")
    if currency is None and PaymentsCapability.LOOK_UP in vendor.capabilities:
        payment = await vendor.get(wire, ref)
        currency = None if payment.amount is None else payment.amount.currency
    check_currency(amount, currency)
