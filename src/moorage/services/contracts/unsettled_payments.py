"""Payments whose outcome is unknown: list them, settle them by a lookup, or close them."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from moorage.contracts.payments import (
    KIND,
    Charge,
    Inconclusive,
    NextStep,
    Payment,
    SettledAs,
    SettledPayment,
    Unsettled,
    UnsettledPayment,
)
from moorage.contracts.ref import Ref
from moorage.domain.idempotency.claims import AllowedActions, checked_key
from moorage.domain.idempotency.unsettled import (
    ReadEffects,
    ReadShards,
    RecordLookup,
    ReserveLookup,
    effect_name,
)
from moorage.domain.values.durations import SECOND, count
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
from moorage.services.calling.manual_operations import ManualAct, perform_recorded
from moorage.services.contracts.lost_keys import readable_here
from moorage.services.contracts.payment_effects import (
    Request,
    declined_error,
    is_refused,
)
from moorage.services.contracts.payment_receipts import (
    RECEIPTS,
    listing_sentence,
    missing_search_reason,
    receipt_not_found_error,
    receipt_of,
    receipt_ref,
)
from moorage.services.contracts.payments import CLOCK_SKEW, PaymentsFlows
from moorage.services.contracts.unsettled_effects import UnsettledEffect

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from moorage.contracts.payments.unsettled import Receipt
    from moorage.domain.idempotency.unsettled import LookupReservation
    from moorage.services.contracts.dispatcher import Dispatcher
    from moorage.services.contracts.live_configuration import FindDispatcher
    from moorage.services.core.core import Core

_AT_ONCE: Final = 200


_REASONS_BY_UNCERTAINTY: Final = (
    Inconclusive.NO_ANSWER,
    Inconclusive.REFUSED,
    Inconclusive.SEVERAL_LISTED,
    Inconclusive.NOT_LISTED,
)
"""The reasons for a failed look-up, the most doubtful first. Of several reasons, the first is
reported.
"""

_Result: TypeAlias = "tuple[Inconclusive, ConnectorError | None]"


class _SettlementFlows(PaymentsFlows):
    """The payment operations for looking up one payment of unknown outcome."""

    async def search(self, lost: Unsettled, unknown: ConnectorError) -> list[Payment]:
        """Return the payments that an unanswered request may have made; a single match settles it.

        Args:
            lost: the lost request.
            unknown: error to raise if the vendor cannot list; its service is the account to search.
        """
        matches = await self._search(lost, unknown, None)
        if len(matches) == 1:
            await self.effects.decide(lost.idempotency_key, done=True, answer=matches[0])
        return matches


class UnsettledFlows:
    """The operations of a hub on payments whose outcome is unknown.

    Args:
        core: the ports, with the store.
        find_dispatcher: returns the dispatcher of a tenant.
    """

    def __init__(self, core: Core, find_dispatcher: FindDispatcher) -> None:
        self._core = core
        self._find_dispatcher = find_dispatcher

    async def unsettled(self) -> list[UnsettledPayment]:
        """List all tenants' operations that move money and have an unknown outcome."""
        return [
            effect.report(await self._dispatcher_of(effect.record.tenant))
            for effect in await self._read()
        ]

    async def settle(self, *, limit: int = 100) -> list[SettledPayment]:
        """Settle up to `limit` operations, oldest first, by asking their vendors."""
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
            reservation_command = ReserveLookup(effect.opened.name, pause=effect.pause)
            reservation: LookupReservation = await self._core.execute(reservation_command, None)
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
        """Ask the vendor about one operation now; settle it if the vendor has the outcome."""
        effect = await self._find(checked_key(idempotency_key), tenant)
        effect.check_readable()
        dispatcher = await self._find_dispatcher(tenant)
        step = effect.step(dispatcher)
        if step is NextStep.PERSON:
            raise InvalidData(
                f"The vendor cannot look up this {effect.record.operation}.",
                field="idempotency_key",
                remedy="Look it up on the vendor's website, and close the payment with the"
                " outcome that you find.",
            )
        reservation_command = ReserveLookup(effect.opened.name, pause=effect.pause, early=True)
        reservation: LookupReservation = await self._core.execute(reservation_command, None)
        if not reservation.ours:
            raise IdempotencyInProgress(
                "The call that started this payment may still be in progress.",
                retry_at=self._core.utc() + timedelta(microseconds=effect.opened.remaining),
                remedy=f"Ask again in {effect.opened.remaining / SECOND:.0f} s.",
            )
        manual_act = _manual_act("settle", effect, actor, reason)
        return await perform_recorded(
            self._core, manual_act, lambda: self._settle_one(effect, dispatcher, step, reservation)
        )

    async def close(
        self,
        idempotency_key: str,
        *,
        done: bool,
        receipt: Receipt | Ref | str | None = None,
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
        flows = _SettlementFlows(dispatcher, tenant)
        answer = None
        if done:
            answer = await self._receipt(effect, dispatcher, flows, receipt)
        elif not effect.opened.remaining and not is_lost:
            stored_refusal = await self._stored_refusal(effect, dispatcher, keys_lost=keys_lost)
            if stored_refusal:
                return effect.report(dispatcher)
            is_lost = stored_refusal is None
        closed_fields: dict[str, Any] = (
            {"done": done, "keys_lost": True} if is_lost else {"done": done}
        )
        manual_act = _manual_act("close", effect, actor, reason, after=closed_fields)
        decision = await perform_recorded(
            self._core, manual_act, lambda: flows.effects.decide(key, done=done, answer=answer)
        )
        if decision.wait:
            raise IdempotencyInProgress(
                "The request may still be in progress, so it may still have an effect.",
                retry_at=self._core.utc() + timedelta(microseconds=decision.wait),
                remedy=f"Look the payment up again in {decision.wait / SECOND:.0f} s, then"
                " close it.",
            )
        return effect.report(dispatcher)

    async def closed(self, effects: Iterable[tuple[str | None, str]]) -> list[bool]:
        """Return for each pair of tenant and idempotency key whether the operation is settled.

        Args:
            effects: the operations, at most some hundreds.
        """
        names = [effect_name(KIND, tenant, key) for tenant, key in effects]
        unsettled_effects = await self._core.execute(ReadEffects(names), None) if names else ()
        unsettled_names = {effect.name for effect in unsettled_effects}
        return [name not in unsettled_names for name in names]

    async def stored(self, tenant: str | None, key: str, request: Request) -> Result[Any] | None:
        """Return an operation's stored outcome, or None; send nothing to the vendor.

        Args:
            tenant: the tenant of the operation.
            key: the idempotency key of the operation.
            request: the request of the operation.
        """
        dispatcher = await self._dispatcher_of(tenant)
        if dispatcher is None or dispatcher.safety.dry_run:
            return None
        try:
            return Result(
                await _call_again(dispatcher, tenant, key, request, AllowedActions.STORED)
            )
        except ConnectorError as error:
            return Result(error=error) if is_refused(error) else None

    async def _read(self) -> list[UnsettledEffect]:
        names = await self._core.execute(ReadShards(KIND), None)
        effects: list[UnsettledEffect] = []
        for start in range(0, len(names), _AT_ONCE):
            query_effects = ReadEffects(names[start : start + _AT_ONCE])
            effects += [
                UnsettledEffect(self._core, effect)
                for effect in await self._core.execute(query_effects, None)
            ]
        return sorted(effects, key=lambda effect: effect.since)

    async def _find(self, key: str, tenant: str | None) -> UnsettledEffect:
        query_effects = ReadEffects([effect_name(KIND, tenant, key)])
        for effect in await self._core.execute(query_effects, None):
            return UnsettledEffect(self._core, effect)
        raise InvalidData(
            "No unsettled payment has the key"
            f" {key!r}{'' if tenant is None else f' for the tenant {tenant!r}'}.",
            field="idempotency_key",
            remedy="Pass a key, and its tenant, from the list of `hub.unsettled_payments` or"
            " `moorage payments unsettled`.",
        )

    async def _dispatcher_of(self, tenant: str | None) -> Dispatcher | None:
        """Return a tenant's dispatcher; None if its accounts cannot be found."""
        try:
            return await self._find_dispatcher(tenant)
        except ConnectorError:
            return None

    async def _settle_one(
        self,
        effect: UnsettledEffect,
        dispatcher: Dispatcher,
        step: NextStep,
        reservation: LookupReservation,
    ) -> SettledPayment | None:
        """Look up an operation at its vendors, settle it if possible, and return the outcome.

        If the vendor does not report the outcome, record the reason, and return None.
        """
        outcome_of = partial(SettledPayment, payment=effect.report(dispatcher))
        unknown_errors: list[ConnectorError] = [
            OutcomeUnknown("", service=account.name) for account in effect.accounts(dispatcher)
        ]
        if step is not NextStep.LOOK_UP:
            try:
                return outcome_of(
                    outcome=SettledAs.DONE,
                    receipt=await _repeat(effect, dispatcher, AllowedActions.AGAIN),
                )
            except NotSentError:
                return outcome_of(outcome=SettledAs.NOT_DONE)
            except ConnectorError as error:
                if is_refused(error):
                    return outcome_of(outcome=SettledAs.REFUSED, error=error)
                if not isinstance(error, OutcomeUnknown):
                    await self._record(effect, reservation, [(Inconclusive.NO_ANSWER, error)])
                    return None
                unknown_errors = [error]
        flows, results = _SettlementFlows(dispatcher, effect.record.tenant), list[_Result]()
        for unknown_error in unknown_errors:
            try:
                matches = await self._search(effect, flows, unknown_error)
            except ConnectorError as error:
                results.append(_result_of(unknown_error, error))
            else:
                if len(matches) == 1:
                    return outcome_of(**_outcome_of_match(effect, matches[0]))
                reason = Inconclusive.SEVERAL_LISTED if matches else Inconclusive.NOT_LISTED
                results.append((reason, None))
        await self._record(effect, reservation, results)
        return None

    async def _record(
        self, effect: UnsettledEffect, reservation: LookupReservation, results: Iterable[_Result]
    ) -> None:
        """Record why an operation could not be settled; of several reasons, the most uncertain."""
        by_reason = dict(results)
        reason = next(reason for reason in _REASONS_BY_UNCERTAINTY if reason in by_reason)
        error = by_reason[reason]
        command = RecordLookup(
            effect.opened.name,
            reservation,
            result=reason.value,
            error=None if error is None else type(error).__name__,
            absent=reason is not Inconclusive.NO_ANSWER,
        )
        await self._core.execute(command, None)

    async def _search(
        self, effect: UnsettledEffect, flows: _SettlementFlows, unknown: ConnectorError
    ) -> list[Payment]:
        """Return the payments with the request's reference; a single match settles the key."""
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
        return await flows.search(lost_payment, unknown)

    async def _is_refused(self, effect: UnsettledEffect, dispatcher: Dispatcher) -> bool:
        """Return whether the stored error of the key proves that no payment was made.

        Raises:
            InvalidData: the stored result says that the operation was done.
            ConnectorError: the stored result cannot be read.
        """
        if effect.record.request is None or not effect.accounts(dispatcher):
            return False
        try:
            await _repeat(effect, dispatcher, AllowedActions.STORED)
        except (NotSentError, OutcomeUnknown, IdempotencyConflict):
            return False
        except ConnectorError as error:
            if is_refused(error):
                return True
            raise
        raise InvalidData(
            "The vendor's stored response confirms that this operation succeeded.",
            field="done",
            remedy="Repeat the operation with its idempotency key to get that response.",
        )

    async def _stored_refusal(
        self, effect: UnsettledEffect, dispatcher: Dispatcher, *, keys_lost: bool
    ) -> bool | None:
        """Return whether the stored response is an error; None if it cannot be decrypted.

        Raises:
            InvalidData: `keys_lost` is set, although everything stored can be read here.
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
        self, effect: UnsettledEffect, dispatcher: Dispatcher, flows: _SettlementFlows, receipt: Any
    ) -> Receipt:
        """Return the receipt of an operation that the vendor carried out."""
        operation = effect.record.operation
        kind: type[Receipt] = RECEIPTS.get(operation, Payment)
        if isinstance(receipt, kind):
            return receipt
        accounts = effect.accounts(dispatcher)
        if receipt is None and accounts:
            return await self._only_match(effect, flows, accounts[0].name, kind)
        if not isinstance(receipt, (Ref, str)):
            raise InvalidData(
                f"The receipt of a {operation} must not be {with_article(type(receipt).__name__)}.",
                field="receipt",
                remedy=f"Pass {with_article(kind.__name__)}, or its reference.",
            )
        if not accounts:
            raise InvalidData(
                f"The account at which this {operation} may have been made is not configured.",
                field="receipt",
                remedy="Configure the account, so that moorage can read the receipt from the"
                " vendor.",
            )
        return await receipt_of(effect, flows, accounts[0], receipt_ref(effect, accounts, receipt))

    async def _only_match(
        self, effect: UnsettledEffect, flows: _SettlementFlows, account: str, kind: type[Receipt]
    ) -> Payment:
        """Return the only payment that an account lists with the request's reference and amount."""
        unknown = receipt_not_found_error(missing_search_reason(effect.record, kind), account)
        matches = await self._search(effect, flows, unknown)
        if len(matches) == 1:
            return matches[0]
        raise receipt_not_found_error(listing_sentence(matches), account)


def _outcome_of_match(effect: UnsettledEffect, payment: Payment) -> dict[str, Any]:
    """Return the outcome of an operation whose only match was found by a look-up."""
    error = declined_error(effect.record.operation, payment)
    if error is not None:
        return {"outcome": SettledAs.REFUSED, "error": error}
    return {"outcome": SettledAs.DONE, "receipt": payment}


def _manual_act(
    act: str,
    effect: UnsettledEffect,
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


def _result_of(unknown: ConnectorError, error: ConnectorError) -> _Result:
    """Return the reason why a look-up at an account proved nothing, and the error.

    Args:
        unknown: the error that the look-up raises if the account cannot be searched.
        error: the error that the look-up raised.
    """
    is_final = error is not unknown and _is_final(error)
    return (Inconclusive.REFUSED if is_final else Inconclusive.NO_ANSWER), error


def _is_final(error: ConnectorError) -> bool:
    """Return whether repeating a look-up cannot help, for example because listing is forbidden."""
    return isinstance(error, VendorRejected) and not error.retryable


async def _repeat(effect: UnsettledEffect, dispatcher: Dispatcher, reach: AllowedActions) -> Any:
    """Repeat an operation with its idempotency key, to get its outcome or to send it again."""
    request, record = effect.record.request, effect.record
    assert request is not None  # noqa: S101 - for the type checker: callers exclude unreadable requests
    return await _call_again(dispatcher, record.tenant, record.key, request, reach)


async def _call_again(
    dispatcher: Dispatcher, tenant: str | None, key: str, request: Request, reach: AllowedActions
) -> Any:
    if reach is AllowedActions.STORED:
        # Nothing is sent, so the log and the metrics must not show a call.
        dispatcher = attrs.evolve(dispatcher, calling=dispatcher.calling.unobserved())
    verb = getattr(PaymentsFlows(dispatcher, tenant, reach), request.operation)
    return await verb(*request.values, **request.options, idempotency_key=key)
