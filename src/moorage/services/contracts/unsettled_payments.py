"""Payments whose outcome is unknown: list them, settle them by a look-up, or close them."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.payments import (
    KIND,
    Capture,
    Charge,
    MoveState,
    NextStep,
    Payment,
    PaymentsCapability,
    PaymentState,
    Refund,
    SettledAs,
    SettledPayment,
    Unsettled,
    UnsettledPayment,
    Void,
    payment_ref,
)
from moorage.contracts.payments.requests import stated_amount
from moorage.contracts.ref import Ref
from moorage.contracts.vendor import UnknownOutcome
from moorage.domain.idempotency.claims import Reach, checked_key
from moorage.domain.idempotency.unsettled import (
    Attend,
    NotFound,
    Open,
    ReadEffects,
    ReadShards,
    effect_name,
    is_absent,
)
from moorage.domain.values.durations import SECOND, count, micros
from moorage.domain.values.money import Money
from moorage.domain.values.result import Result
from moorage.domain.values.text import with_article
from moorage.errors import (
    ConfigurationError,
    ConnectorError,
    IdempotencyConflict,
    IdempotencyInProgress,
    InvalidData,
    OutcomeUnknown,
    VendorRejected,
)
from moorage.services.calling.idempotency import NotSentError
from moorage.services.calling.manual_operations import ManualAct, recorded
from moorage.services.contracts.lost_keys import check_reason, readable_here
from moorage.services.contracts.payment_effects import (
    EffectRecord,
    Request,
    effect_record,
    is_refused,
    ref_of,
)
from moorage.services.contracts.payments import CLOCK_SKEW, PaymentsFlows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from moorage.contracts.routes import Account
    from moorage.domain.idempotency.unsettled import Reserved
    from moorage.services.contracts.dispatcher import Dispatcher
    from moorage.services.contracts.live_configuration import FindDispatcher
    from moorage.services.core.core import Core

_PAUSE: Final = 60.0
"""Seconds before an effect that stayed unknown is looked at again, at first."""
_SHARE: Final = 0.1
"""The same as a share of its age."""
_LONGEST_PAUSE: Final = 3_600.0
_AT_ONCE: Final = 200
_RECEIPTS: Final[dict[str, type[Capture | Refund | Void]]] = {
    "capture": Capture,
    "refund": Refund,
    "void": Void,
}
_STEPS: Final = {
    UnknownOutcome.ASKED_AGAIN: NextStep.ASK_AGAIN,
    UnknownOutcome.REPEATED: NextStep.REPEAT,
}


class _Settling(PaymentsFlows):
    """The payment operations with which one lost payment is looked up."""

    async def look_up(self, lost: Unsettled, unknown: ConnectorError) -> Payment:
        """Find the payment that a lost request created, and store the outcome under its key."""
        return await self._look_up(lost, unknown, None)


class _OpenEffect:
    """A payment operation whose outcome is unknown, with its record in the register."""

    def __init__(self, core: Core, opened: Open) -> None:
        self.opened = opened
        self.record: EffectRecord = effect_record(core, opened.what)
        self.since = core.utc() - timedelta(microseconds=opened.age)

    def report(self, dispatcher: Dispatcher | None) -> UnsettledPayment:
        record, first_value = self.record, None
        if record.request is not None:
            first_value = record.request.values[0]
        charge = first_value if isinstance(first_value, Charge) else None
        return UnsettledPayment(
            idempotency_key=record.key,
            tenant=record.tenant,
            operation=record.operation,
            accounts=record.accounts,
            reference=None if charge is None else charge.reference,
            amount=self._amount(charge),
            payment=None if record.request is None else ref_of(record.request),
            since=self.since,
            wait=self.opened.remaining / SECOND,
            next=NextStep.WAIT if self.opened.remaining else self._next_step(dispatcher),
            is_readable=record.unreadable is None,
        )

    def _next_step(self, dispatcher: Dispatcher | None) -> NextStep:
        """Return what can settle the operation next, such as a look-up or a person's decision."""
        step = self.step(dispatcher)
        if dispatcher is None or step is not NextStep.LOOK_UP:
            return step
        listed = max(account.vendor.listed_within for account in self.accounts(dispatcher))
        return NextStep.PERSON if is_absent(self.opened.searched, micros(listed)) else step

    def _amount(self, charge: Charge | None) -> Money | None:
        if charge is not None:
            return charge.amount
        request = self.record.request
        values: tuple[Any, ...] = () if request is None else request.values[1:]
        return next((candidate for candidate in values if isinstance(candidate, Money)), None)

    @property
    def pause(self) -> int:
        """Microseconds until this operation is looked up again, if its outcome stays unknown."""
        share = self.opened.age / SECOND * _SHARE
        return micros(min(max(_PAUSE, share), _LONGEST_PAUSE))

    def check_readable(self) -> None:
        """Refuse to settle an operation whose stored request this process cannot read.

        The vendor's stored answer cannot be read either, and may say that it was done.

        Raises:
            ConfigurationError: the request cannot be read.
        """
        obstacle = self.record.unreadable
        if obstacle is not None:
            raise ConfigurationError(
                f"The stored request of this {self.record.operation} cannot be read here, so that"
                f" nothing stored can prove its outcome: {obstacle.message}",
                path="cipher",
                remedy="Open the hub with the cipher of the processes that send payments: give it"
                " `cipher=`, or write their keys under [cipher] in the configuration. Then try"
                " again. If the keys are lost for ever, close the payment with"
                " keys_lost=True, or `moorage payments close --keys-lost`.",
            ) from None

    def loses_request(self, *, done: bool, reason: str) -> bool:
        """Return whether closing the operation without keys loses its stored request.

        Raises:
            InvalidData: there is no reason, or the operation was done and its request is readable.
        """
        check_reason(reason)
        is_lost = self.record.unreadable is not None
        if done and not is_lost:
            raise readable_here(self.record.operation)
        return is_lost

    def accounts(self, dispatcher: Dispatcher) -> list[Account]:
        configured = dispatcher.directory.accounts
        return [configured[name] for name in self.record.accounts if name in configured]

    def step(self, dispatcher: Dispatcher | None) -> NextStep:
        """Return the step that the settling job can take, once the caller's deadline is over."""
        if self.record.unreadable is not None:
            return NextStep.CIPHER
        accounts = [] if dispatcher is None else self.accounts(dispatcher)
        if dispatcher is None or not accounts or self.record.request is None:
            return NextStep.PERSON
        stated_outcome = accounts[0].vendor.unknown_outcomes.get(self.record.operation)
        services = dispatcher.calling.plans.services
        memory = min(_memory(services[account.name]) for account in accounts)
        span = sum(services[account.name].timeout for account in accounts)
        if (
            stated_outcome is not None
            and stated_outcome in _STEPS
            and self.opened.age / SECOND + span <= memory
        ):
            return _STEPS[stated_outcome]
        lists = all(PaymentsCapability.LIST in account.vendor.capabilities for account in accounts)
        begins = isinstance(self.record.request.values[0], Charge)
        return NextStep.LOOK_UP if lists and begins else NextStep.PERSON


def _memory(service: Any) -> float:
    """Return the seconds for which the vendor of a service remembers idempotency keys."""
    seconds: float = service.idempotency_ttl
    return (
        seconds if service.idempotency_memory is None else min(seconds, service.idempotency_memory)
    )


class UnsettledFlows:
    """The operations of a hub on payments whose outcome is unknown.

    Args:
        core: has the store.
        find_dispatcher: returns the dispatcher of a tenant.
    """

    def __init__(self, core: Core, find_dispatcher: FindDispatcher) -> None:
        self._core = core
        self._find_dispatcher = find_dispatcher

    async def unsettled(self) -> list[UnsettledPayment]:
        """List the operations of all tenants that move money and whose outcome is unknown."""
        return [
            effect.report(await self._dispatcher_of(effect.record.tenant))
            for effect in await self._read()
        ]

    async def settle(self, *, limit: int = 100) -> list[SettledPayment]:
        """Settle up to `limit` operations, oldest first, where the vendor can tell the outcome."""
        limit, settled_payments = count(limit, "limit"), list[SettledPayment]()
        for effect in await self._read():
            if not limit:
                break
            dispatcher = await self._dispatcher_of(effect.record.tenant)
            step = NextStep.WAIT if effect.opened.remaining else effect.step(dispatcher)
            if (
                not effect.opened.due
                or dispatcher is None
                or step in {NextStep.WAIT, NextStep.PERSON, NextStep.CIPHER}
            ):
                continue
            attend = Attend(effect.opened.name, pause=effect.pause)
            reservation: Reserved = await self._core.execute(attend, None)
            if reservation.ours:
                limit -= 1
                outcome = await self._settle_one(effect, dispatcher, step, reservation)
                if outcome is not None:
                    settled_payments.append(outcome)
        return settled_payments

    async def settle_payment(
        self,
        idempotency_key: str,
        *,
        tenant: str | None = None,
        actor: str | None = None,
        reason: str = "",
    ) -> SettledPayment | None:
        """Ask the vendor about one operation now, and settle it if the vendor can tell."""
        effect = await self._find(checked_key(idempotency_key), tenant)
        effect.check_readable()
        dispatcher = await self._find_dispatcher(tenant)
        step = effect.step(dispatcher)
        if step is NextStep.PERSON:
            raise InvalidData(
                f"The vendor cannot be asked about this {effect.record.operation}.",
                field="idempotency_key",
                remedy="Look at the vendor's web page, and close the payment with what it says.",
            )
        attend = Attend(effect.opened.name, pause=effect.pause, early=True)
        reserved: Reserved = await self._core.execute(attend, None)
        if not reserved.ours:
            raise IdempotencyInProgress(
                "The caller of this payment may still be at work on it.",
                retry_at=self._core.utc() + timedelta(microseconds=effect.opened.remaining),
                remedy=f"Ask again in {effect.opened.remaining / SECOND:.0f} s.",
            )
        act = _act("settle", effect, actor, reason)
        return await recorded(
            self._core, act, lambda: self._settle_one(effect, dispatcher, step, reserved)
        )

    async def close(
        self,
        idempotency_key: str,
        *,
        done: bool,
        receipt: Payment | Capture | Refund | Void | Ref | str | None = None,
        tenant: str | None = None,
        keys_lost: bool = False,
        actor: str | None = None,
        reason: str = "",
    ) -> UnsettledPayment:
        """Close an operation whose outcome you have looked up at the vendor."""
        key = checked_key(idempotency_key)
        effect = await self._find(key, tenant)
        is_lost = effect.loses_request(done=done, reason=reason) if keys_lost else False
        if not keys_lost:
            effect.check_readable()
        dispatcher = await self._find_dispatcher(tenant)
        flows = _Settling(dispatcher, tenant)
        answer = None
        if done:
            answer = await self._receipt(effect, dispatcher, flows, receipt)
        elif not effect.opened.remaining and not is_lost:
            stored_refusal = await self._stored_refusal(effect, dispatcher, keys_lost=keys_lost)
            if stored_refusal:
                return effect.report(dispatcher)
            is_lost = stored_refusal is None
        after: dict[str, Any] = {"done": done, "keys_lost": True} if is_lost else {"done": done}
        act = _act("close", effect, actor, reason, after=after)
        decision = await recorded(
            self._core, act, lambda: flows.effects.decide(key, done=done, answer=answer)
        )
        if decision.wait:
            raise IdempotencyInProgress(
                "The request may still be under way, so that nothing proves yet that it was not"
                " done.",
                retry_at=self._core.utc() + timedelta(microseconds=decision.wait),
                remedy=f"Close it in {decision.wait / SECOND:.0f} s, after you have looked again.",
            )
        return effect.report(dispatcher)

    async def closed(self, effects: Iterable[tuple[str | None, str]]) -> list[bool]:
        """Return for each operation, named by tenant and key, whether it is settled.

        Args:
            effects: the operations, at most some hundreds.
        """
        names = [effect_name(KIND, tenant, key) for tenant, key in effects]
        open_effects = await self._core.execute(ReadEffects(names), None) if names else ()
        unsettled_names = {effect.name for effect in open_effects}
        return [name not in unsettled_names for name in names]

    async def stored(self, tenant: str | None, key: str, request: Request) -> Result[Any] | None:
        """Return the stored outcome of an operation without sending anything.

        Return None if there is none.

        Args:
            tenant: whose operation it is.
            key: its idempotency key.
            request: what was asked for.
        """
        dispatcher = await self._dispatcher_of(tenant)
        if dispatcher is None or dispatcher.safety.dry_run:
            return None
        try:
            return Result(await _call_again(dispatcher, tenant, key, request, Reach.STORED))
        except ConnectorError as error:
            return Result(error=error) if is_refused(error) else None

    async def _read(self) -> list[_OpenEffect]:
        names = await self._core.execute(ReadShards(KIND), None)
        effects: list[_OpenEffect] = []
        for start in range(0, len(names), _AT_ONCE):
            query_effects = ReadEffects(names[start : start + _AT_ONCE])
            effects += [
                _OpenEffect(self._core, effect)
                for effect in await self._core.execute(query_effects, None)
            ]
        return sorted(effects, key=lambda effect: effect.since)

    async def _find(self, key: str, tenant: str | None) -> _OpenEffect:
        query_effects = ReadEffects([effect_name(KIND, tenant, key)])
        for effect in await self._core.execute(query_effects, None):
            return _OpenEffect(self._core, effect)
        raise InvalidData(
            f"No unsettled payment has the key {key!r}"
            f"{'' if tenant is None else f' for the tenant {tenant!r}'}.",
            field="idempotency_key",
            remedy="Use a key, with its tenant, that `hub.unsettled_payments` or"
            " `moorage payments unsettled` lists.",
        )

    async def _dispatcher_of(self, tenant: str | None) -> Dispatcher | None:
        """Return a tenant's dispatcher; None if its accounts cannot be found."""
        try:
            return await self._find_dispatcher(tenant)
        except ConnectorError:
            return None

    async def _settle_one(
        self, effect: _OpenEffect, dispatcher: Dispatcher, step: NextStep, reserved: Reserved
    ) -> SettledPayment | None:
        """Settle an operation and return its outcome; None if the vendor cannot tell it now."""
        outcome_of = partial(SettledPayment, payment=effect.report(dispatcher))
        unknown_errors: list[ConnectorError] = [
            OutcomeUnknown("", service=account.name) for account in effect.accounts(dispatcher)
        ]
        if step is not NextStep.LOOK_UP:
            try:
                return outcome_of(
                    outcome=SettledAs.DONE, receipt=await _repeat(effect, dispatcher, Reach.AGAIN)
                )
            except NotSentError:
                return outcome_of(outcome=SettledAs.NOT_DONE)
            except ConnectorError as error:
                if is_refused(error):
                    return outcome_of(outcome=SettledAs.REFUSED, error=error)
                if not isinstance(error, OutcomeUnknown):
                    return None
                unknown_errors = [error]
        flows, fruitless = _Settling(dispatcher, effect.record.tenant), True
        for lost_error in unknown_errors:
            try:
                receipt = await self._look_up(effect, flows, lost_error)
            except ConnectorError as error:
                fruitless = fruitless and (error is lost_error or _is_final(error))
            else:
                return outcome_of(outcome=SettledAs.DONE, receipt=receipt)
        if fruitless:
            await self._core.execute(NotFound(effect.opened.name, reserved), None)
        return None

    async def _look_up(
        self, effect: _OpenEffect, flows: _Settling, unknown: ConnectorError
    ) -> Payment:
        """Find the payment that has our reference, and store it as the outcome of the key."""
        record = effect.record
        charge = None if record.request is None else record.request.values[0]
        if not isinstance(charge, Charge):
            raise unknown
        lost_payment = Unsettled(
            charge=charge,
            idempotency_key=record.key,
            operation=record.operation,
            since=effect.since - CLOCK_SKEW,
        )
        return await flows.look_up(lost_payment, unknown)

    async def _is_refused(self, effect: _OpenEffect, dispatcher: Dispatcher) -> bool:
        """Return whether the answer stored for the key proves that the payment was not made.

        Raises:
            InvalidData: it says that it was done.
            ConnectorError: it cannot be read.
        """
        if effect.record.request is None or not effect.accounts(dispatcher):
            return False
        try:
            await _repeat(effect, dispatcher, Reach.STORED)
        except (NotSentError, OutcomeUnknown, IdempotencyConflict):
            return False
        except ConnectorError as error:
            if is_refused(error):
                return True
            raise
        raise InvalidData(
            "The vendor's answer under this key is stored here, and says that it was done.",
            field="done",
            remedy="Repeat the operation under its key to get that answer.",
        )

    async def _stored_refusal(
        self, effect: _OpenEffect, dispatcher: Dispatcher, *, keys_lost: bool
    ) -> bool | None:
        """Return what `_is_refused` does; None if the keys of the stored answer are lost.

        Raises:
            InvalidData: the keys are said to be lost, and all that is stored can be read here.
        """
        try:
            is_refused_here = await self._is_refused(effect, dispatcher)
        except ConfigurationError:
            if not keys_lost:
                raise
            return None
        if keys_lost:
            raise readable_here(effect.record.operation)
        return is_refused_here

    async def _receipt(
        self, effect: _OpenEffect, dispatcher: Dispatcher, flows: _Settling, receipt: Any
    ) -> Payment | Capture | Refund | Void:
        """Return the receipt of an operation that the vendor carried out."""
        operation = effect.record.operation
        kind: type[Payment | Capture | Refund | Void] = _RECEIPTS.get(operation, Payment)
        if isinstance(receipt, kind):
            return receipt
        accounts = effect.accounts(dispatcher)
        if receipt is None and accounts:
            unknown = InvalidData(
                _why_not_found(effect.record, kind),
                field="receipt",
                remedy="Give the vendor's id of it, or the receipt itself.",
            )
            unknown.service = accounts[0].name
            return await self._look_up(effect, flows, unknown)
        if not isinstance(receipt, (Ref, str)):
            raise InvalidData(
                f"The receipt of this {operation} is {with_article(type(receipt).__name__)}.",
                field="receipt",
                remedy=f"Give {with_article(kind.__name__)}, or its reference.",
            )
        if not accounts:
            raise InvalidData(
                f"No account that can have made this {operation} is configured.",
                field="receipt",
                remedy="Configure the account, so that the receipt can be read from the vendor.",
            )
        return await _receipt_of(
            effect, flows, accounts[0], _payment_ref(effect, accounts, receipt)
        )


def _act(
    act: str,
    effect: _OpenEffect,
    actor: str | None,
    reason: str,
    after: Mapping[str, Any] | None = None,
) -> ManualAct:
    """Return the audit trail's record of a person's action on a payment."""
    record = effect.record
    return ManualAct(
        act=f"payment.{act}",
        subject=f"payment {record.key}",
        actor=actor,
        reason=reason,
        before={
            "operation": record.operation,
            "accounts": list(record.accounts),
            "tenant": record.tenant,
        },
        after=after,
    )


def _is_final(error: ConnectorError) -> bool:
    """Return whether an error shows that looking again cannot help.

    This is so, for example, if the account may not list payments.
    """
    return isinstance(error, VendorRejected) and not error.retryable


async def _repeat(effect: _OpenEffect, dispatcher: Dispatcher, reach: Reach) -> Any:
    """Repeat an operation under its key, as far as `reach` allows: look up, or send again."""
    request, record = effect.record.request, effect.record
    assert request is not None  # noqa: S101 - for the type checker: nothing unreadable gets here
    return await _call_again(dispatcher, record.tenant, record.key, request, reach)


async def _call_again(
    dispatcher: Dispatcher, tenant: str | None, key: str, request: Request, reach: Reach
) -> Any:
    verb = getattr(PaymentsFlows(dispatcher, tenant, reach), request.operation)
    return await verb(*request.values, **request.options, idempotency_key=key)


def _why_not_found(record: EffectRecord, kind: type[Payment | Capture | Refund | Void]) -> str:
    """Return the reason that the receipt of an operation cannot be looked for."""
    if record.unreadable is not None:
        return (
            f"The stored request of this {record.operation} cannot be read, so that its receipt"
            " cannot be looked for."
        )
    if kind is not Payment:
        return f"A {record.operation} has a reference of its own."
    return (
        "The vendor does not list exactly one payment with the reference and the amount of this"
        " one."
    )


def _payment_ref(effect: _OpenEffect, accounts: list[Account], receipt: Ref | str) -> Ref:
    """Return the reference of a payment; a person may have entered only the vendor's id."""
    names = {account.name for account in accounts}
    if isinstance(receipt, str) and receipt.count(":") < 2:
        request = effect.record.request
        payment_of_effect = None if request is None else ref_of(request)
        name = accounts[0].name if payment_of_effect is None else payment_of_effect.account
        receipt = Ref(accounts[0].vendor.name, name, receipt)
    ref = Ref.parse(receipt, "receipt")
    if ref.account not in names:
        raise InvalidData(
            f"The reference belongs to the account {ref.account!r}, and this was asked for at"
            f" {', '.join(sorted(names))}.",
            field="receipt",
            remedy="Give the reference of what was done there.",
        )
    return ref


async def _receipt_of(
    effect: _OpenEffect, flows: _Settling, account: Account, ref: Ref
) -> Payment | Capture | Refund | Void:
    """Return the receipt of a payment, read from the vendor or made from the known fields."""
    operation, capabilities = effect.record.operation, account.vendor.capabilities
    report = effect.report(None)
    parent = report.payment
    if operation in {"capture", "void"} and parent is None:
        parent = ref  # the request that names the payment cannot be read
    if operation == "refund":
        if PaymentsCapability.LOOK_UP_REFUND in capabilities:
            return await flows.get_refund(ref)
        return Refund(ref=ref, payment=parent, state=MoveState.PENDING, amount=report.amount)
    if operation == "capture" and parent is not None:
        return Capture(ref=ref, payment=parent, state=MoveState.PENDING, amount=report.amount)
    if operation == "void" and parent is not None:
        return Void(ref=ref, payment=parent, state=MoveState.PENDING)
    amount = report.amount if parent is None else stated_amount(parent)
    if PaymentsCapability.LOOK_UP not in capabilities:
        full_ref = ref if amount is None else payment_ref(partial(_ref_at, ref), ref.id, amount)
        return Payment(
            ref=full_ref, state=PaymentState.PENDING, amount=amount, reference=report.reference
        )
    payment = await flows.get(ref)
    _check_same(payment, amount, report.reference)
    return payment


def _ref_at(at: Ref, id: str, /, **related: str | None) -> Ref:
    nonempty = {name: value for name, value in related.items() if value}
    return Ref(at.vendor, at.account, id, nonempty)


def _check_same(payment: Payment, amount: Money | None, reference: str | None) -> None:
    """Refuse a payment whose amount or reference differs from the request's."""
    for field, expected, actual in (
        ("amount", amount, payment.amount),
        ("reference", reference, payment.reference),
    ):
        if expected is not None and actual is not None and expected != actual:
            raise InvalidData(
                f"The {field} of {payment.ref} is {actual}, and {expected} was asked for.",
                field="receipt",
                remedy="Give the payment that was made under this key.",
            )
