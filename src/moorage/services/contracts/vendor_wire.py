"""The access of one operation to its account's services, with one deadline for all requests."""

from __future__ import annotations

from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from moorage.contracts.ref import Ref
from moorage.domain.auth.methods import Credentials, OAuthCredentials
from moorage.domain.auth.sent_values import SentCredentials, new_recent_credentials
from moorage.domain.idempotency.claims import AS_USUAL, AllowedActions, KeyUse
from moorage.domain.observation.call_identity import ContractCall
from moorage.domain.values.frozen_values import evolve
from moorage.domain.values.names import BUDGET_SERVICE, consent_name, service_name
from moorage.errors import (
    ConfigurationError,
    ConnectorError,
    CredentialNotFound,
    DeadlineExceeded,
    InvalidData,
    OutcomeUnknown,
    VendorFailed,
)
from moorage.services.calling.call import value_of
from moorage.services.calling.rehearsal import held_back_error, shown_path
from moorage.services.contracts.batches import result_of
from moorage.services.contracts.token_budget import BudgetedAttempts, MeteredStream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime

    from moorage.contracts.routes import Account
    from moorage.domain.http.requests import Request, Response
    from moorage.domain.values.result import Result
    from moorage.services.calling.attempt_result import AttemptResult
    from moorage.services.calling.attempts import AttemptStep
    from moorage.services.calling.call import Call
    from moorage.services.calling.steps import CallOperations, StepWrapper
    from moorage.services.calling.streaming import Stream
    from moorage.services.contracts.token_budget import TakenTokens
    from moorage.services.core.core import Core

R = TypeVar("R")

_SECOND: Final = 1e9
_CLEANUP: Final = 5.0
"""Seconds beyond its deadline that a failed operation may take to undo its steps."""


class VendorWire:
    """Sends the requests of one operation to the services of its account.

    Args:
        calling: makes the calls.
        account: account whose services are called.
        tenant: tenant of the operation.
        seconds: time limit of the whole operation; with None, each step has its service's limit.
        step: converts an operation of a transport, synchronous or asynchronous, to a step.
        transport: operations of a vendor that does not speak HTTP.
        subject: id of the person whose data the operation is about.
        rehearses: name of the operation in a dry run, where nothing is sent; otherwise None.
        use: the way in which the steps use the idempotency key.
        operation: operation of the contract, such as "payments.charge".
        key: idempotency key that the caller of the operation gave.
        allowed: seconds that the caller allowed, for messages; by default `seconds`.
    """

    def __init__(
        self,
        calling: CallOperations,
        account: Account,
        tenant: str | None,
        *,
        seconds: float | None,
        step: Callable[[Callable[[], Any], Core], AttemptStep],
        transport: Any = None,
        subject: str | None = None,
        rehearses: str | None = None,
        use: KeyUse = AS_USUAL,
        operation: str | None = None,
        key: str | None = None,
        allowed: float | None = None,
    ) -> None:
        self._calling = calling
        self._core = calling.core
        self.vendor = account.vendor.name
        self._step = step
        self._transport = transport
        self._subject = subject
        self._rehearses = rehearses
        self._use = use
        self._contract = (
            None
            if operation is None
            else ContractCall(
                operation, account.vendor.name, account.name, key, timeout=allowed or seconds
            )
        )
        self._replays: list[bool] = []
        self._earlier_effects: list[bool] = []
        self._seconds = allowed or seconds
        self._deadline = (
            None if seconds is None else self._core.nanoseconds() + int(seconds * _SECOND)
        )
        self._sent = new_recent_credentials()
        self.account = account.name
        self.tenant = tenant
        self.key = key
        self.begun = False
        """True once a step of the operation has begun to send something."""
        self.acted = False
        """True once a step of the operation may have changed something at the vendor."""
        self.has_open_key = False
        """True once a step with an idempotency key has failed, so that no result is stored."""

    def ref(self, id: str, /, **related: str | None) -> Ref:
        """Return a reference to an object at this account, made from the vendor's id.

        Raises:
            VendorFailed: the vendor sent an id that is not valid in a reference.
        """
        nonempty = {name: value for name, value in related.items() if value}
        try:
            return Ref(self.vendor, self.account, id, nonempty)
        except InvalidData:
            if not self.begun:
                raise
        raise VendorFailed(
            f"{self.vendor} sent an id that is empty, too long or invalid.",
            retryable=False,
            remedy="Look the operation up at the vendor before you repeat it, and report the"
            " id to the vendor.",
        )

    def now(self) -> datetime:
        """Return the current time, as an aware datetime in UTC."""
        return self._core.utc()

    def new_id(self) -> str:
        """Return a new unique id."""
        return self._core.new_id()

    async def credentials(self, to: str = "") -> Credentials | OAuthCredentials:
        """Return the account's credentials, for signing a string such as a URL."""
        name = service_name(self.account, to)
        credentials = self._calling.plans.services[name].credentials
        if credentials is None:
            credentials = await self._core.get_credentials(name, self.tenant)
        self._sent.append(SentCredentials(credentials))
        return credentials

    def require_consent_store(self) -> None:
        """Refuse an operation whose credentials could not be stored.

        Raises:
            ConfigurationError: there is no credential provider that stores credentials.
        """
        if self._core.store_credentials is None:
            raise ConfigurationError(
                f"{self.vendor} issues credentials for each consent, and no credential store is"
                " configured that could keep them.",
                path=f"vendors.{self.account}",
                remedy="Set a writable credential store under [credentials_from], or pass one as"
                " `credentials` to the hub.",
            )

    async def consent_credentials(self, consent: str, /) -> Credentials | OAuthCredentials | None:
        """Return the stored credentials of a consent; None if none are stored."""
        self.require_consent_store()
        try:
            credentials = await self._core.get_credentials(
                consent_name(self.account, consent), self.tenant
            )
        except CredentialNotFound:
            return None
        self._sent.append(SentCredentials(credentials))
        return credentials

    async def store_consent_credentials(
        self, consent: str, credentials: Credentials | OAuthCredentials, /
    ) -> None:
        """Store the credentials of a consent, for this tenant alone."""
        self.require_consent_store()
        self._sent.append(SentCredentials(credentials))
        store: Any = self._core.store_credentials
        await store(consent_name(self.account, consent), self.tenant, credentials)

    async def renew_consent_credentials(
        self,
        consent: str,
        stale: OAuthCredentials,
        renew: Callable[[], Awaitable[OAuthCredentials]],
        /,
    ) -> Credentials | OAuthCredentials | None:
        """Return credentials that replace stale ones; one caller of all processes renews them."""
        from moorage.services.contracts.consent_renewal import (  # noqa: PLC0415 - loads OpenSSL
            renewed_credentials,
        )

        self.require_consent_store()
        credentials = await renewed_credentials(
            self._core, self, consent, stale, renew, seconds_left=self._time_left
        )
        if credentials is not None:
            self._sent.append(SentCredentials(credentials))
        return credentials

    async def send(
        self,
        request: Request,
        *,
        to: str = "",
        key: str | None = None,
        endpoint: str | None = None,
        parse: Callable[[Response], Any] | None = None,
        reads: bool = False,
    ) -> Any:
        """Send a request to a service of the account; return its response, parsed by `parse`.

        With `reads`, the request changes nothing at the vendor, whatever its method is.

        Raises:
            ConfigurationError: the request has a key, but no `parse` that reads its response.
        """
        if key is not None and parse is None:
            raise ConfigurationError(
                f"{self.vendor} sends a request with an idempotency key but without a parser"
                " for its response, so an unreadable response would be stored under the key.",
                path=f"vendors.{self.account}",
                remedy="Pass a function to `Wire.send` as `parse=` that reads the response,"
                " or raises an error.",
            )
        return await self._send(
            request, to=to, key=key, endpoint=endpoint, parse=parse, reads=reads
        )

    async def _send(
        self,
        request: Request,
        *,
        parse: Callable[[Response], Any] | None,
        key: str | None,
        reads: bool,
        to: str = "",
        endpoint: str | None = None,
        wrap: StepWrapper | None = None,
    ) -> Any:
        """Send a request as `send` does; `wrap` adds a protection around each attempt."""
        self.stop_if_dry_run(f"{request.method} {shown_path(request)}")
        self.begun = True
        reads = reads or request.method.safe
        flows = self._calling.reading(parse, self._sent, self._next_use(), self._contract, wrap)
        try:
            response = await flows.call(
                service_name(self.account, to),
                request,
                tenant=self.tenant,
                endpoint=endpoint,
                idempotency_key=key,
                timeout=self._time_left(),
                subject=self._subject,
            )
        except ConnectorError as error:
            # A later step may find the effect of an attempt whose response was lost.
            is_unknown = isinstance(error, OutcomeUnknown) or bool(vars(error).get("_acted"))
            self.acted = self.acted or (is_unknown and not reads)
            self.has_open_key = self.has_open_key or (key is not None and not reads)
            if isinstance(error, OutcomeUnknown):
                # Without an attempt, an earlier call had the effect.
                self._earlier_effects.append(not error.attempts)
            raise
        if key is not None:
            self._replays.append(getattr(response, "replayed", False))
        self.acted = self.acted or not reads
        return response if parse is None else parse(response)

    async def send_within_budget(
        self,
        request: Request,
        *,
        parse: Callable[[Response], R],
        most: int,
        used: Callable[[R], int],
        key: str | None = None,
        reads: bool = False,
    ) -> R:
        """Send a request that uses tokens of the account's budget, if the account has one.

        Each attempt takes its own tokens, so an attempt whose answer was lost counts too. A stored
        result is returned even if the budget is used up.

        Raises:
            RateLimitExceeded: the budget does not have the `most` tokens that the request may use.
        """
        name = service_name(self.account, BUDGET_SERVICE)
        if name not in self._calling.plans.services:
            return await self.send(request, parse=parse, key=key, reads=reads)  # type: ignore[no-any-return]  # the result of `parse`
        plan = self._calling.plans.find(name, self.tenant, None)

        def count(response: Response, _: TakenTokens) -> int:
            return used(parse(response))

        return await self._send(  # type: ignore[no-any-return]  # the result of `parse`
            request,
            parse=parse,
            key=key,
            reads=reads,
            wrap=partial(BudgetedAttempts, self._core, plan, most, count),
        )

    async def open(self, request: Request, *, to: str = "", endpoint: str | None = None) -> Stream:
        """Send a request, and return as soon as the headers of the response arrive."""
        return await self._open(request, to=to, endpoint=endpoint)

    async def open_within_budget(self, request: Request, *, most: int) -> MeteredStream:
        """Send a request like `open` that uses tokens of the account's budget, if it has one.

        Raises:
            RateLimitExceeded: the budget does not have the `most` tokens that the request may use.
        """
        name = service_name(self.account, BUDGET_SERVICE)
        if name not in self._calling.plans.services:
            return MeteredStream(await self._open(request), None)
        plan = self._calling.plans.find(name, self.tenant, None)
        taken: list[TakenTokens] = []

        def count_later(_: Stream, tokens: TakenTokens) -> None:
            taken.append(tokens)

        wrap = partial(BudgetedAttempts, self._core, plan, most, count_later)
        stream = await self._open(request, wrap=wrap)
        return MeteredStream(stream, taken[-1])

    async def _open(
        self,
        request: Request,
        *,
        to: str = "",
        endpoint: str | None = None,
        wrap: StepWrapper | None = None,
    ) -> Stream:
        self.stop_if_dry_run(f"{request.method} {shown_path(request)}")
        self.begun = True
        flows = self._calling.reading(None, self._sent, contract=self._contract, wrap=wrap)
        return await flows.stream(
            service_name(self.account, to),
            request,
            tenant=self.tenant,
            endpoint=endpoint,
            timeout=self._time_left(),
            subject=self._subject,
        )

    def mask_outcome(self, outcome: R) -> R:
        """Mask the credential that was sent in an error, or in each error of a list of results."""
        if not self._sent:
            return outcome
        results: object = outcome
        errors: list[Any] = [results]
        if isinstance(results, list):
            errors = [getattr(item, "error", None) for item in cast("list[object]", results)]
        for error in errors:
            if isinstance(error, ConnectorError):
                for sent_request in self._sent.copy():
                    sent_request.error(error)
        return outcome

    async def execute(
        self, verb: str, /, *arguments: Any, key: str | None = None, payload: object = None
    ) -> Any:
        """Execute an action over the vendor's own transport, such as a database driver."""
        if self._transport is None:
            raise ConfigurationError(
                f"No transport is configured for {self.vendor}.",
                path=f"vendors.{self.account}",
                remedy="Pass a transport for this account to the hub.",
            )
        self.stop_if_dry_run(verb)
        self.begun = True
        credentials = [
            item for item in arguments if isinstance(item, (Credentials, OAuthCredentials))
        ]
        self._sent.extend(map(SentCredentials, credentials))

        async def step(call: Call) -> AttemptResult:
            operations = _operations_within(self._transport, call.bound(self._core))
            call_vendor = self._step(partial(getattr(operations, verb), *arguments), self._core)
            result = await call_vendor(call)
            call.mask(result.error)
            return result._replace(error=self.mask_outcome(result.error))

        call_ending = await self._calling.reading(None, None, contract=self._contract).run(
            self.account,
            step,
            tenant=self.tenant,
            idempotency_key=key,
            payload=payload,
            timeout=self._time_left(),
            subject=self._subject,
            use=self._next_use(),
            on_finished=lambda call: None if key is None else self._replays.append(call.replayed),
        )
        self.acted = self.acted or call_ending[1] is None
        return value_of(call_ending)

    @property
    def replayed(self) -> bool:
        """True if each step with an idempotency key has repeated a step of an earlier call.

        Such a step got the stored result, or its outcome was unknown before and nothing was sent.
        """
        steps = (*self._replays, *self._earlier_effects)
        return bool(steps) and all(steps)

    def _next_use(self) -> KeyUse:
        """Return the next step's use of the idempotency key; begun operations are completed."""
        may_replay = self._use.reach is AllowedActions.AGAIN and self._replays
        return evolve(self._use, reach=AllowedActions.FRESH) if may_replay else self._use

    def stop_if_dry_run(self, request: str) -> None:
        """In a dry run, stop before anything is sent, and report the request.

        Raises:
            DryRun: this is a dry run.
        """
        if self._rehearses is not None:
            raise held_back_error(
                self._core,
                request,
                service=self.account,
                operation=self._rehearses,
                tenant=self.tenant,
            )

    async def run_all(
        self, steps: Sequence[Callable[[], Awaitable[Any]]], *, at_once: int = 8
    ) -> list[Result[Any]]:
        """Run steps concurrently, at most `at_once` of them; return their results in order."""
        return await self._core.run_all(
            [partial(result_of, step) for step in steps], at_once=at_once
        )

    async def sleep(self, seconds: float) -> None:
        """Sleep for some seconds, but not past the operation's deadline."""
        time_left = self._time_left()
        if time_left is not None and seconds > time_left:
            raise self._late_error()
        await self._core.sleep(seconds)

    def for_cleanup(self) -> VendorWire:
        """Return an access to the account with five seconds of its own, to undo earlier steps."""
        wire = copy(self)
        vars(wire).update(_deadline=self._core.nanoseconds() + int(_CLEANUP * _SECOND))
        return wire

    def _time_left(self) -> float | None:
        if self._deadline is None:
            return None
        time_left = (self._deadline - self._core.nanoseconds()) / _SECOND
        if time_left <= 0:
            raise self._late_error()
        return time_left

    def _late_error(self) -> DeadlineExceeded:
        return DeadlineExceeded(
            f"The operation's timeout of {self._seconds:g} s has passed.", service=self.account
        )


def _operations_within(transport: Any, seconds: float) -> Any:
    """Return a transport's operations, limited to an attempt's time if the transport allows it."""
    return transport.within(seconds) if hasattr(transport.__class__, "within") else transport
