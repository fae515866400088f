"""Where operations of a contract are handed in: who does them, and who else if they cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs

from moorage.contracts.effects import has_effect
from moorage.domain.durations import maybe_seconds
from moorage.domain.events import FailedOver
from moorage.domain.idempotency import checked_key
from moorage.domain.safety import Safety
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
from moorage.services.turns import Turn
from moorage.services.vendor_wire import VendorWire

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from moorage.contracts.ref import Ref
    from moorage.contracts.routes import Account, Asked, Directory
    from moorage.contracts.wire import Wire
    from moorage.errors import RecipientRefused
    from moorage.services.attempts import AttemptStep
    from moorage.services.calling import Calling
    from moorage.services.core import Core

R = TypeVar("R")

_ELSEWHERE: Final = (
    BulkheadFull,
    CircuitBreakerOpen,
    ConnectionFailed,
    RateLimitExceeded,
    RetryBudgetExhausted,
)
"""What another vendor may not suffer from."""
_NO_VALUES: Final = frozenset({"extra", "source"})
"""Fields that no vendor judges as a value of the contract."""


def nothing_done(error: ConnectorError, wire: VendorWire) -> bool:
    """Whether it is certain that the vendor did nothing, and another may do it instead."""
    return (
        (isinstance(error, _ELSEWHERE) or _gives_no_token(error))
        and not isinstance(error, DestinationRefused)
        and not wire.acted
        and not vars(error).get("_acted", True)
    )


def refuses_value(error: ConnectorError, wire: VendorWire) -> bool:
    """Whether the vendor's own code refused what was given, before anything was sent.

    Another vendor may take it. Options for one vendor alone are no value of the contract: wrong
    ones are the caller's mistake. Neither is a source that was read already.
    """
    if wire.begun or not isinstance(error, (InvalidData, UnsupportedByVendor)):
        return False
    return (getattr(error, "field", None) or "").partition(".")[0] not in _NO_VALUES


def _gives_no_token(error: ConnectorError) -> bool:
    """Whether the vendor's own authorisation server does not work just now."""
    return isinstance(error, CredentialRefreshFailed) and error.retryable


@attrs.frozen(kw_only=True)
class Desk:
    """Hands operations to vendors.

    Attributes:
        calling: makes the calls.
        directory: the accounts and routes.
        step: makes a step of a transport's verb, in the colour of the face.
        transports: the transports of the accounts whose vendors do not speak HTTP.
        subject: whose data the operations are about, if somebody is to find them by it.
        safety: how far they reach into the world.
    """

    calling: Calling
    directory: Directory
    step: Callable[[Callable[[], Any], Core], AttemptStep]
    transports: Mapping[str, Any]
    subject: str | None = None
    safety: Safety = attrs.field(factory=Safety)

    def about(self, subject: str) -> Desk:
        """A desk for operations that are about somebody's data."""
        return attrs.evolve(self, subject=subject)

    async def ask(
        self,
        asked: Asked,
        deed: Callable[[Any, Wire], Awaitable[R]],
        *,
        key: str | None = None,
        timeout: float | None = None,
    ) -> R:
        """Have an operation done by whoever the routes name, and by the next if nothing was done.

        With a key its effect is brought about at one account only, ever.

        Args:
            asked: what is known of it beforehand.
            deed: does it, with a vendor and a wire.
            key: names its effect.
            timeout: seconds for each account that is tried.
        """
        timeout = maybe_seconds(timeout, "timeout")
        accounts = self.directory.choose(asked)
        if key is None or self._rehearses(asked):
            return await self._by_turns(asked, accounts, deed, timeout)
        return await self._once(asked, accounts, deed, checked_key(key), timeout)

    async def at(
        self,
        ref: Ref | str,
        asked: Asked,
        deed: Callable[[Any, Wire, Ref], Awaitable[R]],
        *,
        key: str | None = None,
        timeout: float | None = None,
    ) -> R:
        """Have an operation done where the thing is that it is done to."""
        timeout = maybe_seconds(timeout, "timeout")
        account, found = self.directory.find(ref, asked)
        wire = self._wire(account, asked, timeout, keyed=key is not None)
        return await self._named(asked, wire, deed(account.vendor, wire, found))

    def refusal(self, operation: str, recipients: Iterable[str]) -> RecipientRefused | None:
        """Why something must not be sent to these people from here, if it must not."""
        refused = self.safety.refusal(recipients)
        if refused is not None:
            refused.operation = operation
        return refused

    def wire(
        self,
        account: Account,
        tenant: str | None,
        timeout: float | None,
        *,
        keyed: bool,
        rehearses: str | None = None,
    ) -> VendorWire:
        """The way out to an account, which is shut where an operation is only rehearsed."""
        return VendorWire(
            self.calling,
            account,
            tenant,
            seconds=self._seconds(account) if keyed and timeout is None else timeout,
            step=self.step,
            transport=self.transports.get(account.name),
            subject=self.subject,
            rehearses=rehearses,
        )

    def _rehearses(self, asked: Asked) -> bool:
        """Whether nothing of an operation may be sent, as it brings something about."""
        return self.safety.dry_run and has_effect(asked)

    def _wire(
        self, account: Account, asked: Asked, timeout: float | None, *, keyed: bool
    ) -> VendorWire:
        rehearses = asked.operation if self._rehearses(asked) else None
        return self.wire(account, asked.tenant, timeout, keyed=keyed, rehearses=rehearses)

    def _seconds(self, account: Account) -> float:
        return self.calling.plans.services[account.name].timeout

    async def _by_turns(
        self,
        asked: Asked,
        accounts: tuple[Account, ...],
        deed: Callable[[Any, Wire], Awaitable[R]],
        timeout: float | None,
        turn: Turn | None = None,
    ) -> R:
        """Have it done by the first account, or by the next if the one before did nothing.

        Where the last refuses the value, an earlier one that takes it and was away speaks for all,
        and an effect with a key goes back to it.
        """
        away: tuple[Account, ConnectorError] | None = None
        *others, last = accounts
        for account, following in zip(others, accounts[1:], strict=True):
            wire = self._wire(account, asked, timeout, keyed=turn is not None)
            try:
                return await self._named(asked, wire, deed(account.vendor, wire))
            except ConnectorError as error:
                refused = refuses_value(error, wire)
                if not (refused or nothing_done(error, wire)):
                    raise
                if away is None and not refused:
                    away = account, error
                await _move(turn, following)
                self._tell(asked, account, following, error)
        wire = self._wire(last, asked, timeout, keyed=turn is not None)
        try:
            return await self._named(asked, wire, deed(last.vendor, wire))
        except ConnectorError as error:
            if away is None or not refuses_value(error, wire):
                raise
            takes_it, absence = away
            await _move(turn, takes_it)
            raise absence from error

    async def _once(
        self,
        asked: Asked,
        accounts: tuple[Account, ...],
        deed: Callable[[Any, Wire], Awaitable[R]],
        key: str,
        timeout: float | None,
    ) -> R:
        services = self.calling.plans.services
        remembered = max(services[one.name].idempotency_ttl for one in accounts)
        seconds = sum(timeout or self._seconds(one) for one in accounts)
        turn = Turn(
            self.calling.core,
            asked.kind,
            asked.tenant,
            key,
            remembered=remembered,
            seconds=seconds,
        )
        try:
            name, movable = await turn.settled(accounts[0].name, movable=len(accounts) > 1)
            account = self._known(name, asked)
            names = [one.name for one in accounts]
            rest = accounts[names.index(name) + 1 :] if movable and name in names else ()
            return await self._by_turns(asked, (account, *rest), deed, timeout, turn)
        finally:
            turn.give_back()

    async def _named(self, asked: Asked, wire: VendorWire, doing: Awaitable[R]) -> R:
        """Say on an error which account and operation were meant, unless that is said already.

        An error after a step that may have changed something never says that nothing was done.
        """
        try:
            return wire.masked(await doing)
        except ConnectorError as error:
            wire.masked(error)
            error.service = error.service or wire.account
            error.operation = error.operation or asked.operation
            if wire.acted:
                vars(error).update(_acted=True)
            raise

    def _known(self, name: str, asked: Asked) -> Account:
        account = self.directory.accounts.get(name)
        if account is None:
            error = ConfigurationError(
                f"This key was used at the account {name!r}, which is not configured any more.",
                path=f"{asked.kind}.vendor",
                remedy="Configure it again; another account could do the same a second time.",
            )
            vars(error).update(_acted=True)
            raise error
        return account

    def _tell(
        self, asked: Asked, account: Account, following: Account, error: ConnectorError
    ) -> None:
        core = self.calling.core
        if core.observers:
            core.tell(
                FailedOver(
                    at=core.utc(),
                    service=account.name,
                    operation=asked.operation,
                    tenant=asked.tenant,
                    request_id=error.request_id,
                    to=following.name,
                    error=type(error).__name__,
                )
            )


async def _move(turn: Turn | None, account: Account) -> None:
    """Write down where an effect with a key goes next, before anything is sent there."""
    if turn is not None:
        await turn.move(account.name)
