"""The register of money movements that were sent and have no known outcome yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import attrs

from moorage.contracts.payments import (
    KIND,
    BuyerOutcome,
    Charge,
    Decline,
    DeclineReason,
    PayeeTransfer,
    PaymentState,
    SubscriptionRequest,
    buyer_notice,
)
from moorage.contracts.ref import Ref
from moorage.contracts.replays import as_replay
from moorage.contracts.value_codec import pack, unpack
from moorage.domain.http.fingerprint import digest
from moorage.domain.idempotency.claims import AllowedActions, KeyUse
from moorage.domain.idempotency.unsettled import (
    EndHolding,
    ReadRegistration,
    RegisterOperation,
    Registration,
    SettleOperation,
    SettlingAnswer,
    UnregisterOperation,
)
from moorage.domain.service.plan import MARGIN
from moorage.domain.state.sealing import sealing_context
from moorage.domain.values.durations import maybe_seconds, micros
from moorage.domain.values.money import Money
from moorage.errors import (
    ConnectorError,
    IdempotencyConflict,
    IdempotencyInProgress,
    InvalidData,
    OutcomeUnknown,
    PaymentDeclined,
)
from moorage.services.calling.idempotency import NotSentError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from moorage.contracts.routes import Account, RoutingRequest
    from moorage.services.contracts.dispatcher import Dispatcher
    from moorage.services.core.core import Core

_DECLINED_AS_ERROR: Final = frozenset({"charge", "authorize", "complete"})
"""The operations that raise `PaymentDeclined` if the vendor declines the payment."""
_SEALED_FORMAT: Final = "sealed"
_LEAST: Final = 0.001
_SETTLE_REMEDY: Final = (
    "Money may have moved. Repeat the call with the same idempotency key, or call"
    " `hub.settle_payments()`, which looks the payment up. `hub.unsettled_payments()` lists"
    " it until then."
)


class Request(NamedTuple):
    """The request of an operation that moves money: its name, values and options."""

    operation: str
    values: tuple[Any, ...]
    options: dict[str, Any]


class PerformedEffect(NamedTuple):
    """An operation that succeeded.

    Attributes:
        receipt: its receipt.
        has_open_key: True if no step has stored a result under the idempotency key, because the
            receipt was looked up after a lost response.
    """

    receipt: Any
    has_open_key: bool


class EffectRecord(NamedTuple):
    """The stored record of one operation that moves money.

    Attributes:
        tenant, key, operation, accounts: the operation, and the accounts that may execute it.
        request: the request; None if it was not stored, or this process cannot decrypt it.
        unreadable: the error that explains why this process cannot read the stored request.
    """

    tenant: str | None
    key: str
    operation: str
    accounts: tuple[str, ...]
    request: Request | None = None
    unreadable: ConnectorError | None = None


class PaymentEffects:
    """The register of one tenant's money movements without a known outcome.

    Args:
        dispatcher: dispatcher with the store and the accounts.
        tenant: tenant of the operations.
        reach: the actions that the operations may take: some callers only look up the result of
            a lost response, and send nothing new.
    """

    def __init__(self, dispatcher: Dispatcher, tenant: str | None, reach: AllowedActions) -> None:
        self._dispatcher = dispatcher
        self._tenant = tenant
        self._allowed_actions = reach

    @property
    def _core(self) -> Core:
        return self._dispatcher.calling.core

    async def once(
        self,
        request: Request,
        operation: RoutingRequest,
        accounts: tuple[Account, ...],
        act: Callable[[RoutingRequest, float | None], Awaitable[PerformedEffect]],
        *,
        key: str,
        timeout: float | None,
    ) -> Any:
        """Execute an operation that moves money, and keep it registered until its outcome is known.

        Args:
            request: the operation.
            operation: properties of the operation that decide its route.
            accounts: accounts that may execute the operation.
            act: sends the request to a vendor; receives the routed operation and the time left.
            key: idempotency key of the effect.
            timeout: seconds for the whole operation; None for the services' own limits.

        Raises:
            IdempotencyConflict: the key belongs to another payload, whose outcome is unknown or was
                settled by a person.
            OutcomeUnknown: the first request was so long ago that its key is forgotten, and its
                outcome was never settled.
        """
        timeout = maybe_seconds(timeout, "timeout")
        if self._dispatcher.rehearses(operation):
            return (await act(operation, timeout)).receipt
        core, start_time = self._core, self._core.nanoseconds()
        services = [self._dispatcher.calling.plans.services[account.name] for account in accounts]
        span = sum(timeout or service.timeout for service in services) + MARGIN
        memory = min(service.idempotency_ttl for service in services)
        registration = await self._registration(request, accounts, key, (span, memory))
        if not registration.same:
            # Another payload under an open key would be sent without a record.
            raise IdempotencyConflict(
                "This idempotency key was already used for a different payment."
            )
        if registration.settled:
            return self._replayed_receipt(registration, request.operation, key)
        if registration.forgotten:
            raise _forgotten_key_error(key, accounts)
        key_use = KeyUse(round=registration.round, reach=self._allowed_actions)
        operation = attrs.evolve(operation, use=key_use, timeout=timeout)
        if timeout is not None:
            timeout = max(_LEAST, timeout - (core.nanoseconds() - start_time) / 1e9)
        return await self._execute_registered(act(operation, timeout), key, registration)

    async def _execute_registered(
        self, execution: Awaitable[PerformedEffect], key: str, registration: Registration
    ) -> Any:
        """Execute a registered operation; unregister it once its outcome is known.

        A receipt that no step has stored under the key is stored with the registration.
        """
        try:
            receipt, has_open_key = await execution
        except NotSentError:
            if self._allowed_actions is AllowedActions.AGAIN:
                self._unregister(key, registration, is_certain=False)
            raise
        except ConnectorError as error:
            if is_refused(error):
                self._unregister(key, registration, is_certain=True)
            elif registration.first and (_had_no_effect(error) or _concerns_earlier_call(error)):
                self._unregister(key, registration, is_certain=False)
            else:
                if self._allowed_actions is not AllowedActions.STORED and _sent_nothing(error):
                    self._allow_settling(key, registration)
                if self._allowed_actions is AllowedActions.FRESH:
                    error.remedy = f"{error.remedy} {_SETTLE_REMEDY}"
            raise
        if has_open_key:
            self._core.post(self._settling_command(key, done=True, receipt=receipt))
        else:
            self._unregister(key, registration, is_certain=True)
        return receipt

    async def decide(self, key: str, *, done: bool, answer: Any = None) -> SettlingAnswer:
        """Store the outcome of a registered operation, as a lookup or an operator determined it.

        Args:
            key: idempotency key of the effect.
            done: True if the effect happened.
            answer: receipt that repeats of the key get.
        """
        decision: SettlingAnswer = await self._core.execute(
            self._settling_command(key, done=done, receipt=answer), None
        )
        return decision

    def _settling_command(self, key: str, *, done: bool, receipt: Any) -> SettleOperation:
        """Return the command that stores an operation's outcome, with the receipt if it is done."""
        content = None
        if done:
            content = _seal_payload(
                self._core, self._tenant, key, pack(attrs.evolve(receipt, raw=None))
            )
        return SettleOperation(KIND, self._tenant, key, done=done, answer=content)

    async def _registration(
        self, request: Request, accounts: tuple[Account, ...], key: str, times: tuple[float, float]
    ) -> Registration:
        core, fingerprint = self._core, request_fingerprint(request)
        if self._allowed_actions is AllowedActions.STORED:
            read_command = ReadRegistration(KIND, self._tenant, key, fingerprint=fingerprint)
            registration: Registration = await core.execute(read_command, None)
            return registration
        try:
            packed_bytes = pack((request.values, request.options))
        except InvalidData:
            # Options for other vendors may be of any type; then a person has to settle the payment.
            packed_bytes = b""
        names = tuple(account.name for account in accounts)
        content = _seal_payload(core, self._tenant, key, packed_bytes)
        command = RegisterOperation(
            KIND,
            self._tenant,
            key,
            fingerprint=fingerprint,
            operation=request.operation,
            accounts=names,
            content=content,
            span=micros(times[0]),
            memory=micros(times[1]),
        )
        new_registration: Registration = await core.execute(command, times[0])
        return new_registration

    def _unregister(self, key: str, registration: Registration, *, is_certain: bool) -> None:
        if registration.number:
            number = registration.number
            self._core.post(
                UnregisterOperation(KIND, self._tenant, key, number=number, is_certain=is_certain)
            )

    def _allow_settling(self, key: str, registration: Registration) -> None:
        if registration.number:
            number, held_effects = registration.number, registration.held
            self._core.post(EndHolding(KIND, self._tenant, key, number=number, held=held_effects))

    def _replayed_receipt(self, registration: Registration, operation: str, key: str) -> Any:
        """Return the stored receipt of a payment that was settled as done, marked as a replay.

        Raises:
            PaymentDeclined: the vendor declined the payment that was found.
        """
        receipt = stored_receipt(self._core, self._tenant, key, registration.answer)
        error = declined_error(operation, receipt)
        if error is not None:
            error.replayed = True
            raise error
        return as_replay(receipt)


def declined_error(operation: str, receipt: Any) -> PaymentDeclined | None:
    """Return the error for a payment that a look-up found, if the vendor declined it."""
    if operation not in _DECLINED_AS_ERROR or receipt.state is not PaymentState.FAILED:
        return None
    decline = receipt.decline or Decline(reason=DeclineReason.OTHER)
    ref: Ref = receipt.ref
    return PaymentDeclined(
        "The vendor lists the payment as declined"
        f" ({decline.vendor_message or decline.vendor_code or decline.reason}).",
        reason=decline.reason,
        payment=str(ref),
        vendor_code=decline.vendor_code,
        vendor_message=decline.vendor_message,
        service=ref.account,
    )


def stored_receipt(core: Core, tenant: str | None, key: str, answer: Any) -> Any:
    """Return the registered receipt of an operation that was settled as done.

    Raises:
        ConnectorError: the receipt cannot be decrypted or read here.
    """
    return unpack(_unsealed_payload(core, tenant, key, answer))


def effect_record(core: Core, what: Any) -> EffectRecord:
    """Decode the register's record of a payment operation whose outcome is unknown."""
    tenant, key, operation, accounts, content = what
    record = EffectRecord(tenant, key, operation, accounts)
    try:
        packed_bytes = _unsealed_payload(core, tenant, key, content)
        if not packed_bytes:
            return record
        values, options = unpack(packed_bytes)
    except ConnectorError as error:
        # The record is encrypted with a key that this process lacks, or another release wrote it.
        return record._replace(unreadable=error)
    return record._replace(request=Request(operation, values, options))


def is_refused(error: ConnectorError) -> bool:
    """Return whether an error is final: the vendor did nothing, and a repeat fails again."""
    return error.replayed or "_final" in vars(error)


def _had_no_effect(error: ConnectorError) -> bool:
    """Return whether an error proves that the payment call had no effect.

    A conflict proves that, because it concerns another payload.
    """
    conflict = isinstance(error, IdempotencyConflict)
    return conflict or buyer_notice(error).outcome is not BuyerOutcome.UNKNOWN


def _concerns_earlier_call(error: ConnectorError) -> bool:
    """Return whether an error tells of an earlier call's effect, and this call did nothing."""
    return "_earlier" in vars(error)


def _sent_nothing(error: ConnectorError) -> bool:
    """Return whether nothing was sent, because the key is used by another call or too old."""
    is_held_back = isinstance(error, (IdempotencyInProgress, OutcomeUnknown))
    return is_held_back and not error.attempts


def _forgotten_key_error(key: str, accounts: tuple[Account, ...]) -> OutcomeUnknown:
    names = ", ".join(account.name for account in accounts)
    return OutcomeUnknown(
        "This payment was requested so long ago that its idempotency key is no longer stored."
        " Its outcome is unknown.",
        idempotency_key=key,
        lookup=f"the payment of key {key!r} at {names}",
        service=accounts[0].name,
        remedy="Look the payment up at the vendor, then close it with `hub.close_payment` or"
        " `moorage payments close`.",
    )


def request_fingerprint(request: Request) -> bytes:
    """Return a digest that is the same for equal requests in all releases of moorage."""
    first_argument, *other_arguments = request.values
    parts: list[object] = [request.operation]
    order = started_order(request)
    if order is not None:
        parts += [order.reference, order.amount.minor, order.amount.currency]
    if isinstance(order, PayeeTransfer):
        parts.append(order.payee)
    elif isinstance(order, SubscriptionRequest):
        parts += [order.interval.unit.value, order.interval.count, order.quantity]
    if order is None:
        amount = other_arguments[0] if request.operation in {"capture", "refund"} else None
        parts += [first_argument.account, first_argument.id, getattr(amount, "minor", None)]
    return digest(repr(part).encode() for part in parts)


def _seal_payload(core: Core, tenant: str | None, key: str, packed: bytes) -> tuple[str, bytes]:
    if core.cipher is None:
        return "", packed
    return _SEALED_FORMAT, core.cipher.seal(packed, _binding_of(tenant, key))


def _unsealed_payload(
    core: Core, tenant: str | None, key: str, sealed_payload: tuple[str, bytes]
) -> bytes:
    encoding, content = sealed_payload
    if encoding != _SEALED_FORMAT:
        return content
    if core.cipher is None:
        raise InvalidData(
            "The stored payment is encrypted, and no cipher is configured to decrypt it.",
            field="cipher",
            remedy="Set the same cipher in all processes that share the store.",
        )
    return core.cipher.open(content, _binding_of(tenant, key))


def _binding_of(tenant: str | None, key: str) -> bytes:
    return sealing_context(tenant, KIND, f"unsettled {key}")


def started_order(request: Request) -> Charge | PayeeTransfer | SubscriptionRequest | None:
    """Return the charge, transfer or subscription that a request starts, if it starts one."""
    first_argument = request.values[0]
    return (
        first_argument
        if isinstance(first_argument, (Charge, PayeeTransfer, SubscriptionRequest))
        else None
    )


def requested_amount(request: Request) -> Money | None:
    """Return the amount of a request; None means the whole amount of a payment."""
    order = started_order(request)
    if order is not None:
        return order.amount
    return next((value for value in request.values[1:] if isinstance(value, Money)), None)


def requested_payment(request: Request) -> Ref | None:
    """Return the payment that a request refers to; None if the request creates a payment."""
    first_argument = request.values[0]
    return first_argument if isinstance(first_argument, Ref) else None
