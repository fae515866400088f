"""The wire: an object by which a vendor's operation sends requests and does all other I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime

    from moorage.contracts.ref import Ref
    from moorage.domain.auth.methods import Credentials, OAuthCredentials
    from moorage.domain.http.requests import Headers, Request, Response
    from moorage.domain.values.result import Result

R = TypeVar("R")


class StreamedResponse(Protocol):
    """A vendor's response whose body is read in chunks; b"" marks its end."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Headers: ...

    async def read(self) -> bytes: ...

    def settle(self) -> None: ...


class MeteredResponse(StreamedResponse, Protocol):
    """A streamed response that uses tokens of the account's budget.

    Until `count_tokens` is called, the response counts with the most tokens that it may use.
    """

    def count_tokens(self, used: int, /) -> None:
        """Count the tokens that the vendor counted, instead of the most."""
        ...


class Wire(Protocol):
    """The functions that a vendor's operation may await, in sync and async programs alike.

    Each step is a separate call under the protections of the account's services; all of them share
    the operation's deadline. `to` names one of the vendor's services; "" is the main service.
    `send` raises the error that the vendor's `classify` makes of the response.

    `send` returns the response, or the result of `parse`. A request with a `key` has its effect
    once, however often it is sent. It needs a `parse`: if `parse` raises for a successful response,
    the response is not stored under the key, and the outcome is unknown. `parse` may be called
    several times. `reads` is True for a request that changes nothing at the vendor, although its
    method is POST. An operation that is refused after such requests certainly did nothing.
    """

    @property
    def account(self) -> str:
        """The name of the configured account."""
        ...

    @property
    def tenant(self) -> str | None:
        """The name of the tenant that makes the call; None if no tenant does."""
        ...

    def ref(self, id: str, /, **related: str | None) -> Ref:
        """Make a reference to an object at this account."""
        ...

    def now(self) -> datetime:
        """The current time, as an aware datetime in UTC."""
        ...

    def new_id(self) -> str:
        """A new unique id."""
        ...

    async def credentials(self, to: str = "") -> Credentials | OAuthCredentials:
        """The account's credentials, to sign something locally, such as a URL."""
        ...

    def require_consent_store(self) -> None:
        """Raise `ConfigurationError` if the credential provider cannot store credentials."""
        ...

    async def consent_credentials(self, consent: str, /) -> Credentials | OAuthCredentials | None:
        """The credentials stored for a consent at this account and tenant; None without any."""
        ...

    async def store_consent_credentials(
        self, consent: str, credentials: Credentials | OAuthCredentials, /
    ) -> None:
        """Store the credentials of a consent in the credential provider, replacing older ones.

        A vendor that issues credentials for each consent keeps them here, never in a reference or
        in a result.
        """
        ...

    async def renew_consent_credentials(
        self,
        consent: str,
        stale: OAuthCredentials,
        renew: Callable[[], Awaitable[OAuthCredentials]],
        /,
    ) -> Credentials | OAuthCredentials | None:
        """The credentials that replace a consent's stale ones; None if it has none any more.

        One caller of all processes awaits `renew` and stores the result, so that a refresh token is
        not sent twice; the others wait, and get the stored credentials.
        """
        ...

    @overload
    async def send(
        self, request: Request, *, to: str = "", endpoint: str | None = None, reads: bool = False
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
        reads: bool = False,
    ) -> R: ...

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
        """Send a request that uses tokens of the account's budget; see `token_budget`.

        `most` is the highest number of tokens that the request may use, and `used` returns the
        number that it has used. An account without a service `budget` has no budget.
        """
        ...

    async def open(
        self, request: Request, *, to: str = "", endpoint: str | None = None
    ) -> StreamedResponse:
        """Send a request, and return as soon as the headers of the response arrive."""
        ...

    async def open_within_budget(self, request: Request, *, most: int) -> MeteredResponse:
        """Send a request like `open` that uses at most this many tokens of the account's budget."""
        ...

    async def execute(
        self, verb: str, /, *arguments: Any, key: str | None = None, payload: object = None
    ) -> Any:
        """Execute an operation over the vendor's own transport if it does not use HTTP."""
        ...

    async def run_all(
        self, steps: Sequence[Callable[[], Awaitable[Any]]], *, at_once: int = 8
    ) -> list[Result[Any]]:
        """Run functions concurrently, at most `at_once` of them; return their results in order."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for this number of seconds, but not beyond the operation's deadline."""
        ...
