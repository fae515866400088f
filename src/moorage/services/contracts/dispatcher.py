"""Sends each operation to an account, and to the next account if the first is unavailable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from moorage.contracts.effects import has_effect
from moorage.contracts.replays import as_replay
from moorage.contracts.vendor import UnknownOutcome
from moorage.domain.idempotency.claims import AS_USUAL, KeyUse, checked_key
from moorage.domain.observation.events import FailedOver
from moorage.domain.service.safety import Safety
from moorage.domain.values.durations import maybe_seconds
from moorage.domain.values.frozen_values import evolve, field, frozen
from moorage.errors import (
    BulkheadFull,
    CircuitBreakerOpen,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    CredentialRefreshFailed,
    DestinationRefused,
    InvalidData,
    RateLimitExceeded,
    RetryBudgetExhausted,
    UnsupportedByVendor,
)
from moorage.services.contracts.key_ownership import KeyOwnership
from moorage.services.contracts.vendor_wire import VendorWire

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from moorage.contracts.ref import Ref
    from moorage.contracts.routes import Account, Directory, RoutingRequest
    from moorage.contracts.vendor import Vendor
    from moorage.errors import RecipientRefused
    from moorage.services.calling.attempts import AttemptStep
    from moorage.services.calling.steps import CallOperations
    from moorage.services.core.core import Core

R = TypeVar("R")

_FAILOVER_ERRORS: Final = (
    BulkheadFull,
    CircuitBreakerOpen,
    ConnectionFailed,
    RateLimitExceeded,
    RetryBudgetExhausted,
)
"""Errors after which an operation may still succeed at another vendor."""
_REPEAT_RULES: Final[Mapping[UnknownOutcome | None, bool]] = {
    UnknownOutcome.REPEATED: True,
    UnknownOutcome.LOOKED_UP: False,
}
"""For each declaration of a vendor about unknown outcomes, whether a lost request may be sent
again.
"""
_NO_VALUES: Final = frozenset({"extra", "source"})
"""The argument names whose refusal ends the operation, instead of trying another vendor."""


def is_certainly_undone(error: ConnectorError, wire: VendorWire) -> bool:
    """Return whether the vendor certainly did nothing, so that another account may be tried."""
    return (
        (isinstance(error, _FAILOVER_ERRORS) or is_token_failure(error))
        and not isinstance(error, DestinationRefused)
        and not wire.acted
        and not vars(error).get("_acted", True)
    )


def is_argument_refusal(error: ConnectorError, wire: VendorWire) -> bool:
    """Return whether the vendor's adapter refused an argument before anything was sent.

    Another vendor may accept the argument. Two kinds of refusals do not count: a wrong option for a
    single vendor, which is the caller's mistake, and a source that was already read.
    """
    if wire.begun or not isinstance(error, (InvalidData, UnsupportedByVendor)):
        return False
    return (getattr(error, "field", None) or "").partition(".")[0] not in _NO_VALUES


def is_token_failure(error: ConnectorError) -> bool:
    """Return whether an error means a temporary failure of the authorisation server."""
    return isinstance(error, CredentialRefreshFailed) and error.retryable


@frozen(kw_only=True)
class Dispatcher:
    """Sends operations, such as a payment, to accounts at vendors.

    Attributes:
        calling: makes the calls.
        directory: accounts and routes.
        step: converts an operation of a transport, synchronous or asynchronous, to a step.
        transports: transports of the accounts whose vendors do not speak HTTP.
        subject: id of the person whose data the operations are about, for later searches.
        safety: limits on effects at vendors, such as a dry run.
    """

    calling: CallOperations
    directory: Directory
    step: Callable[[Callable[[], Any], Core], AttemptStep]
    transports: Mapping[str, Any]
    subject: str | None = None
    safety: Safety = field(factory=Safety)

    def about(self, subject: str) -> Dispatcher:
        """Return a dispatcher whose calls are recorded as data about this person."""
        return evolve(self, subject=subject)

    async def execute(
        self,
        operation: RoutingRequest,
        perform: Callable[[Any, VendorWire], Awaitable[R]],
        *,
        key: str | None = None,
        timeout: float | None = None,
    ) -> R:
        """Execute an operation at the account that routing chooses, or at the next if that fails.

        With a key, the effect only ever happens at one account.

        Args:
            operation: properties of the operation that decide its route.
            perform: executes the operation, with a vendor and a wire.
            key: idempotency key of the effect.
            timeout: seconds for each account that is tried.
        """
        timeout = maybe_seconds(timeout, "timeout")
        accounts = self.directory.choose(operation)
        if key is None or self.rehearses(operation):
            return await self._execute_at_first_account(
                operation, accounts, perform, timeout, key=key
            )
        return await self._execute_with_key(operation, accounts, perform, checked_key(key), timeout)

    async def execute_at(
        self,
        ref: Ref | str,
        operation: RoutingRequest,
        perform: Callable[[Any, VendorWire, Ref], Awaitable[R]],
        *,
        key: str | None = None,
        timeout: float | None = None,
    ) -> R:
        """Execute an operation on an existing object, at the account that the reference names."""
        timeout = maybe_seconds(timeout, "timeout")
        account, own_ref = self.directory.find(ref, operation)
        if key is not None:
            checked_key(key)
        wire = self._wire(account, operation, timeout, key)
        return await self._execute_for_account(operation, wire, perform, account.vendor, own_ref)

    def refusal(self, operation: str, recipients: Iterable[str]) -> RecipientRefused | None:
        """Return the error if messages to any of these recipients are forbidden; otherwise None."""
        refused_error = self.safety.refusal(recipients)
        if refused_error is not None:
            refused_error.operation = operation
        return refused_error

    def wire(
        self,
        account: Account,
        tenant: str | None,
        timeout: float | None,
        *,
        keyed: bool,
        rehearses: str | None = None,
        use: KeyUse = AS_USUAL,
        operation: str | None = None,
        key: str | None = None,
        allowed: float | None = None,
    ) -> VendorWire:
        """Return an operation's access to an account, which sends nothing in a dry run."""
        return VendorWire(
            self.calling,
            account,
            tenant,
            seconds=self._seconds(account) if keyed and timeout is None else timeout,
            step=self.step,
            transport=self.transports.get(account.name),
            subject=self.subject,
            rehearses=rehearses,
            use=use,
            operation=operation,
            key=key,
            allowed=allowed,
        )

    def rehearses(self, operation: RoutingRequest) -> bool:
        """Return whether an operation has an effect and is therefore only reported in a dry run."""
        return self.safety.dry_run and has_effect(operation)

    def _wire(
        self, account: Account, operation: RoutingRequest, timeout: float | None, key: str | None
    ) -> VendorWire:
        rehearses = operation.full_name if self.rehearses(operation) else None
        repeat_rule = _REPEAT_RULES.get(account.vendor.unknown_outcomes.get(operation.operation))
        key_use = (
            operation.use if repeat_rule is None else evolve(operation.use, repeats=repeat_rule)
        )
        return self.wire(
            account,
            operation.tenant,
            timeout,
            keyed=key is not None,
            rehearses=rehearses,
            use=key_use,
            operation=operation.full_name,
            key=key,
            allowed=operation.timeout,
        )

    def _seconds(self, account: Account) -> float:
        return self.calling.plans.services[account.name].timeout

    async def _execute_at_first_account(
        self,
        operation: RoutingRequest,
        accounts: tuple[Account, ...],
        perform: Callable[[Any, VendorWire], Awaitable[R]],
        timeout: float | None,
        *,
        ownership: KeyOwnership | None = None,
        key: str | None = None,
    ) -> R:
        """Execute an operation at the first of several accounts that accepts it.

        The next account is tried only if the previous one did nothing. If an unavailable account
        had accepted an argument that the last account refuses, the error of the unavailable account
        is raised, and an effect with a key returns to the unavailable account.
        """
        first_unavailable: tuple[Account, ConnectorError] | None = None
        *earlier_accounts, last_account = accounts
        for account, following_account in zip(earlier_accounts, accounts[1:], strict=True):
            wire = self._wire(account, operation, timeout, key)
            try:
                return await self._execute_for_account(operation, wire, perform, account.vendor)
            except ConnectorError as error:
                is_refused = is_argument_refusal(error, wire)
                if not (is_refused or is_certainly_undone(error, wire)):
                    raise
                if first_unavailable is None and not is_refused:
                    first_unavailable = account, error
                await _move_ownership(ownership, following_account)
                self._notify_fail_over(operation, account, following_account, error, key)
        wire = self._wire(last_account, operation, timeout, key)
        try:
            return await self._execute_for_account(operation, wire, perform, last_account.vendor)
        except ConnectorError as error:
            if first_unavailable is None or not is_argument_refusal(error, wire):
                raise
            unavailable_account, unavailable_error = first_unavailable
            await _move_ownership(ownership, unavailable_account)
            raise unavailable_error from error

    async def _execute_with_key(
        self,
        operation: RoutingRequest,
        accounts: tuple[Account, ...],
        perform: Callable[[Any, VendorWire], Awaitable[R]],
        key: str,
        timeout: float | None,
    ) -> R:
        services = self.calling.plans.services
        memory_seconds = max(services[item.name].idempotency_ttl for item in accounts)
        seconds = sum(timeout or self._seconds(item) for item in accounts)
        ownership = KeyOwnership(
            self.calling.core,
            operation.kind,
            operation.tenant,
            key,
            remembered=memory_seconds,
            seconds=seconds,
        )
        try:
            name, movable = await ownership.record_owner(
                accounts[0].name, movable=len(accounts) > 1
            )
            account = self._configured_account(name, operation)
            names = [item.name for item in accounts]
            other_accounts = accounts[names.index(name) + 1 :] if movable and name in names else ()
            return await self._execute_at_first_account(
                operation,
                (account, *other_accounts),
                perform,
                timeout,
                ownership=ownership,
                key=key,
            )
        finally:
            ownership.give_back()

    async def _execute_for_account(
        self,
        operation: RoutingRequest,
        wire: VendorWire,
        perform: Callable[..., Awaitable[R]],
        vendor: Vendor,
        *refs: Ref,
    ) -> R:
        """Execute an operation at one account, and name account and vendor in the errors.

        If an earlier step may have had an effect, the error never claims that nothing was done.
        """
        try:
            answer = wire.mask_outcome(await perform(vendor, wire, *refs))
        except ConnectorError as error:
            wire.mask_outcome(error)
            error.service = error.service or wire.account
            error.operation = error.operation or operation.full_name
            error.vendor = error.vendor or wire.vendor
            error.account = error.account or wire.account
            error.idempotency_key = error.idempotency_key or wire.key
            if wire.acted:
                vars(error).update(_acted=True, may_have_been_processed=True)
            raise
        return as_replay(answer) if wire.replayed else answer

    def _configured_account(self, name: str, operation: RoutingRequest) -> Account:
        account = self.directory.accounts.get(name)
        if account is None:
            error = ConfigurationError(
                f"This idempotency key was used at the account {name!r}, which is no longer"
                " configured.",
                path=f"{operation.kind}.vendor",
                remedy="Configure the account again. With another account, the call could"
                " take effect twice.",
            )
            vars(error).update(_acted=True, _earlier=True, may_have_been_processed=True)
            raise error
        return account

    def _notify_fail_over(
        self,
        operation: RoutingRequest,
        account: Account,
        following: Account,
        error: ConnectorError,
        key: str | None,
    ) -> None:
        core = self.calling.core
        if core.observers:
            core.notify(
                FailedOver(
                    at=core.utc(),
                    service=account.name,
                    operation=operation.full_name,
                    vendor=account.vendor.name,
                    account=account.name,
                    idempotency_key=key,
                    tenant=operation.tenant,
                    request_id=error.request_id,
                    to=following.name,
                    error=type(error).__name__,
                )
            )


async def _move_ownership(ownership: KeyOwnership | None, account: Account) -> None:
    """Record the next account as the owner of a key, before anything is sent there."""
    if ownership is not None:
        await ownership.move(account.name)
