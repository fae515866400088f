"""The way out that an operation of a vendor is given: an account's services, under one deadline."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from moorage.contracts.ref import Ref
from moorage.domain.auth import Credentials, OAuthCredentials
from moorage.domain.names import service_name
from moorage.domain.result import Result
from moorage.domain.sent_values import Sent, witness
from moorage.errors import ConfigurationError, ConnectorError, DeadlineExceeded
from moorage.services.call import value_of
from moorage.services.rehearsal import rehearsed, shown_path

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime

    from moorage.contracts.routes import Account
    from moorage.domain.http import Request, Response
    from moorage.services.attempts import AttemptStep
    from moorage.services.calling import Calling
    from moorage.services.core import Core
    from moorage.services.streaming import Stream

R = TypeVar("R")

_SECOND: Final = 1e9


class VendorWire:
    """One operation's way out.

    Args:
        calling: makes the calls.
        account: whose services are called.
        tenant: whose operation it is.
        seconds: for all of it; None leaves each step the bound of its service.
        step: makes a step of a verb, in the colour of the face.
        transport: the verbs of a vendor that does not speak HTTP.
        subject: whose data it is about.
        rehearses: the operation, if this is a rehearsal in which nothing of it is sent.
    """

    def __init__(
        self,
        calling: Calling,
        account: Account,
        tenant: str | None,
        *,
        seconds: float | None,
        step: Callable[[Callable[[], Any], Core], AttemptStep],
        transport: Any = None,
        subject: str | None = None,
        rehearses: str | None = None,
    ) -> None:
        self._calling = calling
        self._core = calling.core
        self._vendor = account.vendor.name
        self._step = step
        self._transport = transport
        self._subject = subject
        self._rehearses = rehearses
        self._deadline = (
            None if seconds is None else self._core.nanoseconds() + int(seconds * _SECOND)
        )
        self._sent = witness()
        self.account = account.name
        self.tenant = tenant
        self.begun = False
        """Whether a step was begun that sends something."""
        self.acted = False
        """Whether a step may have changed something at the vendor."""

    def ref(self, id: str, /, **related: str | None) -> Ref:
        """A thing of this account."""
        kept = {name: value for name, value in related.items() if value}
        return Ref(self._vendor, self.account, id, kept)

    def now(self) -> datetime:
        """The time, aware and in UTC."""
        return self._core.utc()

    def new_id(self) -> str:
        """An id that nobody else has."""
        return self._core.new_id()

    async def credentials(self, to: str = "") -> Credentials | OAuthCredentials:
        """Who we say we are, for what is signed and not sent."""
        name = service_name(self.account, to)
        own = self._calling.plans.services[name].credentials
        return await self._core.get_credentials(name, self.tenant) if own is None else own

    async def send(
        self,
        request: Request,
        *,
        to: str = "",
        key: str | None = None,
        endpoint: str | None = None,
        parse: Callable[[Response], Any] | None = None,
    ) -> Any:
        """Send, and return the answer, or what `parse` makes of it.

        Raises:
            ConfigurationError: it has a key, and the vendor does not say how its answer is read.
        """
        if key is not None and parse is None:
            raise ConfigurationError(
                f"{self._vendor} sends a request with an idempotency key and without a parser of"
                " its answer: an answer that nobody can read would be kept under the key.",
                path=f"vendors.{self.account}",
                remedy="Pass `parse=` to `Wire.send`, a function that reads the response or"
                " raises.",
            )
        self.rehearse(f"{request.method} {shown_path(request)}")
        self.begun = True
        response = await self._calling.send(
            service_name(self.account, to),
            request,
            tenant=self.tenant,
            endpoint=endpoint,
            idempotency_key=key,
            timeout=self._left(),
            subject=self._subject,
            parse=parse,
            witness=self._sent,
        )
        self.acted = self.acted or not request.method.safe
        return response if parse is None else parse(response)

    async def open(self, request: Request, *, to: str = "", endpoint: str | None = None) -> Stream:
        """Send, and return as soon as the headers of the answer are there."""
        self.rehearse(f"{request.method} {shown_path(request)}")
        self.begun = True
        return await self._calling.stream(
            service_name(self.account, to),
            request,
            tenant=self.tenant,
            endpoint=endpoint,
            timeout=self._left(),
            subject=self._subject,
            witness=self._sent,
        )

    def masked(self, outcome: R) -> R:
        """An error, or a list of results, without what was sent as a credential."""
        told: object = outcome
        errors: list[Any] = [told]
        if isinstance(told, list):
            errors = [getattr(item, "error", None) for item in cast("list[object]", told)]
        for error in errors:
            if isinstance(error, ConnectorError):
                for sent in self._sent:
                    sent.error(error)
        return outcome

    async def act(
        self, verb: str, /, *given: Any, key: str | None = None, payload: object = None
    ) -> Any:
        """Ask the vendor's own transport to do something."""
        if self._transport is None:
            raise ConfigurationError(
                f"{self._vendor} has no transport here.",
                path=f"vendors.{self.account}",
                remedy="Give the hub a transport for this account.",
            )
        self.rehearse(verb)
        self.begun = True
        known = [one for one in given if isinstance(one, (Credentials, OAuthCredentials))]
        self._sent.extend(map(Sent, known))
        ending = await self._calling.run(
            self.account,
            self._step(partial(getattr(self._transport, verb), *given), self._core),
            tenant=self.tenant,
            idempotency_key=key,
            payload=payload,
            timeout=self._left(),
            subject=self._subject,
        )
        self.acted = self.acted or ending[1] is None
        return value_of(ending)

    def rehearse(self, request: str) -> None:
        """Stop here in a rehearsal, before anything is sent, and tell what would have been.

        Raises:
            DryRun: this is one.
        """
        if self._rehearses is not None:
            raise rehearsed(
                self._core,
                request,
                service=self.account,
                operation=self._rehearses,
                tenant=self.tenant,
            )

    async def every(
        self, steps: Sequence[Callable[[], Awaitable[Any]]], *, at_once: int = 8
    ) -> list[Result[Any]]:
        """Take steps at once, at most so many, and tell how each ended, in their order."""
        return await self._core.every([_told(step) for step in steps], at_once=at_once)

    async def sleep(self, seconds: float) -> None:
        """Wait, within the deadline."""
        left = self._left()
        if left is not None and seconds > left:
            raise self._late()
        await self._core.sleep(seconds)

    def _left(self) -> float | None:
        if self._deadline is None:
            return None
        left = (self._deadline - self._core.nanoseconds()) / _SECOND
        if left <= 0:
            raise self._late()
        return left

    def _late(self) -> DeadlineExceeded:
        return DeadlineExceeded(
            "The time for all steps of this operation is over.", service=self.account
        )


def _told(step: Callable[[], Awaitable[Any]]) -> Callable[[], Awaitable[Result[Any]]]:
    async def told() -> Result[Any]:
        try:
            return Result(await step())
        except Exception as error:  # noqa: BLE001 - each item has its own result
            return Result(error=error)

    return told
