"""All that an operation of a vendor can reach: one protected way out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime

    from moorage.contracts.ref import Ref
    from moorage.domain.auth import Credentials, OAuthCredentials
    from moorage.domain.http import Headers, Request, Response
    from moorage.domain.result import Result

R = TypeVar("R")


class Arriving(Protocol):
    """An answer whose body is read piece by piece; b"" is its end. `settle` leaves it early."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Headers: ...

    async def read(self) -> bytes: ...

    def settle(self) -> None: ...


class Wire(Protocol):
    """What an operation awaits: nothing else, so that it runs in either colour.

    Every step is a call of its own under the protections of the account's services, and all of
    them share the operation's deadline. `to` names one of the vendor's services, "" its main one.
    An error that `send` raises is what the vendor's `classify` made of the answer.

    `send` returns the answer, or what `parse` makes of it. A request with a `key` is carried out
    once, however often it is sent, and needs a `parse`: a successful answer that `parse` raises for
    is as good as lost, so it is not kept under the key, and the outcome is unknown. `parse` may be
    called more than once.
    """

    @property
    def account(self) -> str:
        """The configured account that is used."""
        ...

    @property
    def tenant(self) -> str | None:
        """Whose operation it is."""
        ...

    def ref(self, id: str, /, **related: str | None) -> Ref:
        """A thing of this account."""
        ...

    def now(self) -> datetime:
        """The time, aware and in UTC."""
        ...

    def new_id(self) -> str:
        """An id that nobody else has."""
        ...

    async def credentials(self, to: str = "") -> Credentials | OAuthCredentials:
        """Who we say we are, for what is signed and not sent, such as a URL."""
        ...

    @overload
    async def send(
        self, request: Request, *, to: str = "", endpoint: str | None = None
    ) -> Response: ...

    @overload
    async def send(
        self,
        request: Request,
        *,
        parse: Callable[[Response], R],
        to: str = "",
        key: str | None = None,
        endpoint: str | None = None,
    ) -> R: ...

    async def open(
        self, request: Request, *, to: str = "", endpoint: str | None = None
    ) -> Arriving:
        """Send, and return as soon as the headers of the answer are there."""
        ...

    async def act(
        self, verb: str, /, *given: Any, key: str | None = None, payload: object = None
    ) -> Any:
        """Ask the vendor's own transport, where it is not HTTP, to do something."""
        ...

    async def every(
        self, steps: Sequence[Callable[[], Awaitable[Any]]], *, at_once: int = 8
    ) -> list[Result[Any]]:
        """Take steps at once, at most so many, and tell how each ended, in their order."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait, within the deadline."""
        ...
