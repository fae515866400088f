"""A credential provider that stores OAuth tokens and renews them."""

from __future__ import annotations

import threading
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs

from moorage.adapters.concurrency.allowance import allowance
from moorage.adapters.concurrency.forking import in_child
from moorage.adapters.concurrency.thread_start import start_thread
from moorage.adapters.credentials.memory import (
    AsyncMemoryCredentialProvider,
    MemoryCredentialProvider,
)
from moorage.domain.oauth.client import OAuthClient
from moorage.domain.oauth.freshness import EarlyRenewal
from moorage.domain.oauth.token_renewal import slow_renewal_error
from moorage.domain.resilience.retry import RetryPolicy
from moorage.domain.service.settings import Service
from moorage.domain.values.durations import seconds
from moorage.domain.values.text import with_article
from moorage.errors import ConfigurationError, LocalFailure
from moorage.parts.base import Part
from moorage.runtime.flows import (
    as_async,
    documented_by,
    guarded_async,
    guarded_port,
    run_now,
)
from moorage.runtime.signatures import with_arguments_of
from moorage.services.core.foreign_errors import credential_read_failure, refresh_failure
from moorage.services.oauth.renewal import RenewalTimeLimits, Vault
from moorage.services.oauth.token_refresher import TokenRefreshFlows
from moorage.wiring.core_assembly import async_core, sync_core

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable, Mapping
    from datetime import timedelta
    from types import TracebackType
    from typing import Self

    from moorage.ports.chance import Randomness
    from moorage.ports.clock import AsyncSleeper, Clock, Sleeper
    from moorage.ports.credentials import AsyncCredentialProvider, CredentialProvider
    from moorage.ports.http import AsyncHttpClient, HttpClient
    from moorage.ports.locks import AsyncLocks, Locks
    from moorage.ports.observer import Observer
    from moorage.ports.state import AsyncStateStorage, StateStorage
    from moorage.services.core.core import Flow

R = TypeVar("R")

_DEFAULT_RETRY: Final = RetryPolicy(max_attempts=3, base_delay=0.5, max_delay=5.0)
_REQUEST_TIMEOUT: Final = 10.0
_RENEWAL_WAIT: Final = 30.0
_TRUSTED_SECONDS: Final = 60.0
_NAME: Final = "oauth"


class _Clients:
    """A function that returns the OAuth client of a service, or of a service and tenant."""

    def __init__(self, clients: Mapping[Any, OAuthClient] | Callable[..., Any]) -> None:
        self._given = clients if callable(clients) else self._client_of
        self._known = {} if callable(clients) else dict(clients)
        for owner, client in self._known.items():
            self._check(client, f"clients[{owner!r}]")

    def __call__(self, service: str, tenant: str | None) -> OAuthClient | None:
        client = self._given(service, tenant)
        if client is not None:
            self._check(client, "clients")
        return client

    def _client_of(self, service: str, tenant: str | None) -> OAuthClient | None:
        clients = self._known
        return clients.get((service, tenant)) or clients.get(service)

    @staticmethod
    def _check(client: object, path: str) -> None:
        if not isinstance(client, OAuthClient):
            raise ConfigurationError(
                f"The value is {with_article(type(client).__name__)}, not an OAuthClient.",
                path=path,
                remedy="Pass an OAuthClient for each service, or for each (service, tenant).",
            )


class _Refresher(Part):
    """The code that the synchronous and the asynchronous refresher share."""

    def __init__(
        self,
        clients: Mapping[Any, OAuthClient] | Callable[..., Any],
        *,
        retry: RetryPolicy | None,
        early: float | timedelta,
        leeway: float | timedelta,
        request_timeout: float | timedelta,
        patience: float | timedelta,
        **ports: Any,
    ) -> None:
        super().__init__(Service(_NAME, circuit=None, retry=None), **ports)
        self._clients = _Clients(clients)
        request = seconds(request_timeout, "request_timeout")
        self._pace = RenewalTimeLimits(
            ahead=EarlyRenewal(early=early, leeway=leeway),
            retry=_DEFAULT_RETRY if retry is None else retry,
            request=request,
            renewal=2 * request,
            patience=seconds(patience, "patience"),
            believed=_TRUSTED_SECONDS,
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class OAuthTokenRefresher(_Refresher):
    """A credential provider that always returns a current access token.

    Tokens are stored in `vault`. One caller renews a token before it expires, or when the service
    refuses it; all other callers continue to use the present token. Refreshers that share
    `storage` and `vault`, in any process, renew once among them, and never send the same refresh
    token twice unless an answer was lost.

    Args:
        clients: the OAuth clients, by service name or by name and tenant; or a function of both.
            Credentials without a client are passed through from the vault.
        vault: the store of tokens; by default the memory of this process.
        storage: the state store by which processes agree on which of them renews a token; by
            default the memory of this refresher.
        http: sends the requests to authorisation servers; a client of its own by default.
        retry: the retries of one renewal when an authorisation server fails.
        early: how many seconds before its expiry a token is renewed; at most a quarter of the
            token's lifetime.
        leeway: how many seconds before its expiry a token is no longer used, because clocks
            differ; at most a tenth of the token's lifetime.
        request_timeout: the time limit in seconds of one request to an authorisation server. A
            renewal takes at most twice this time. If the renewing process dies, another takes over
            a second after that, or within two seconds if refresh tokens do not rotate.
        patience: the maximum number of seconds to wait while another caller renews an expired
            token.
        observers, clock, sleeper, randomness, locks: the remaining ports.
    """

    def __init__(
        self,
        clients: Mapping[Any, OAuthClient] | Callable[[str, str | None], OAuthClient | None],
        *,
        vault: CredentialProvider | None = None,
        storage: StateStorage | None = None,
        http: HttpClient | None = None,
        retry: RetryPolicy | None = None,
        early: float | timedelta = 60.0,
        leeway: float | timedelta = 10.0,
        request_timeout: float | timedelta = _REQUEST_TIMEOUT,
        patience: float | timedelta = _RENEWAL_WAIT,
        observers: Iterable[Observer] = (),
        clock: Clock | None = None,
        sleeper: Sleeper | None = None,
        randomness: Randomness | None = None,
        locks: Locks | None = None,
    ) -> None:
        super().__init__(
            clients,
            retry=retry,
            early=early,
            leeway=leeway,
            request_timeout=request_timeout,
            patience=patience,
            storage=storage,
            observers=observers,
            clock=clock,
            sleeper=sleeper,
            randomness=randomness,
            locks=locks,
        )
        self._sync_ports = attrs.evolve(self._sync_ports, http=http)
        self._wired = sync_core(self._ports_with_store(self._sync_ports, "a synchronous"))
        self._vault = MemoryCredentialProvider() if vault is None else vault
        self._start()
        in_child(self, OAuthTokenRefresher._start)

    def _start(self) -> None:
        provided = self._vault
        vault = Vault(
            as_async(guarded_port(provided.get, credential_read_failure)),
            as_async(guarded_port(provided.has, credential_read_failure)),
            as_async(guarded_port(provided.refresh, refresh_failure)),
            as_async(guarded_port(provided.rotate, refresh_failure)),
        )
        self._flows = TokenRefreshFlows(
            self._wired.core, self._clients, vault, self._pace, self._run_flow_to_end
        )

    async def _run_flow_to_end(self, flow: Flow[R]) -> R:
        """Run a coroutine in this thread, or in another if the caller may stop waiting first."""
        time_allowed = allowance()
        if time_allowed is None or time_allowed >= self._pace.renewal:
            return await flow
        ended_pairs: list[tuple[Any, BaseException | None]] = []

        def run() -> None:
            try:
                ended_pairs.append((run_now(flow), None))
            except BaseException as error:  # noqa: BLE001 - carried to who waits
                ended_pairs.append((None, error))

        thread = threading.Thread(target=partial(copy_context().run, run), name="moorage-oauth")
        try:
            start_thread(thread)
        except LocalFailure:
            flow.close()
            raise
        thread.join(time_allowed)
        if not ended_pairs:
            raise slow_renewal_error(None)
        value, error = ended_pairs.pop()
        if error is not None:
            raise error
        return value  # type: ignore[no-any-return]  # the flow's

    def get(self, service: str, tenant: str | None, /) -> Any:
        """Return the current credentials of this service and tenant."""
        client = self._flows.usable_token(service, tenant)
        return run_now(self._flows.get(service, tenant)) if client is None else client

    def has(self, service: str, tenant: str | None, /) -> bool:
        """Return whether there are credentials for this service and tenant."""
        return run_now(self._flows.has(service, tenant))

    def refresh(self, service: str, tenant: str | None, stale: Any, /) -> Any:
        """Return a valid credential to replace one that the service has refused."""
        return run_now(self._flows.refresh(service, tenant, stale))

    def rotate(self, service: str, tenant: str | None, new: Any, /) -> None:
        """Store new credentials, such as those that a user's consent has returned."""
        run_now(self._flows.rotate(service, tenant, new))

    def revoke(self, service: str, tenant: str | None = None) -> None:
        """Revoke the token of this service and tenant, and stop using it (RFC 7009).

        The refresh token is revoked, which ends the whole grant at the server; or else the access
        token. No process sends it to the token endpoint afterwards. If a person had given consent,
        calls raise `AuthorizationRequired` until `rotate` stores another token. If no consent is
        needed, the next call gets a new token.

        Args:
            service: the name of the service.
            tenant: the tenant of the token.

        Raises:
            ConfigurationError: no client is known, or the server has no revocation_endpoint.
            CredentialNotFound: there is no token to revoke.
            ConnectionFailed: the server cannot be reached; the token is kept.
            VendorFailed: the server cannot revoke it at present; the token is kept.
            UnsupportedByVendor: the server does not revoke such tokens; the token is kept.
            AuthenticationFailed: the server does not know the client.
            VendorRejected: the server refuses for another reason.
        """
        run_now(self._flows.revoke(service, tenant))

    def close(self) -> None:
        """Close the connections that this refresher opened itself."""
        default_http = self._wired.end_default_http()
        if default_http is not None:
            default_http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


@with_arguments_of(OAuthTokenRefresher)
class AsyncOAuthTokenRefresher(_Refresher):
    """The asynchronous `OAuthTokenRefresher`, for one event loop.

    A renewal runs in a task of its own, and continues if the task that needed it is cancelled.
    """

    def __init__(
        self,
        clients: Mapping[Any, OAuthClient] | Callable[[str, str | None], OAuthClient | None],
        *,
        vault: AsyncCredentialProvider | None = None,
        storage: AsyncStateStorage | None = None,
        http: AsyncHttpClient | None = None,
        retry: RetryPolicy | None = None,
        early: float | timedelta = 60.0,
        leeway: float | timedelta = 10.0,
        request_timeout: float | timedelta = _REQUEST_TIMEOUT,
        patience: float | timedelta = _RENEWAL_WAIT,
        observers: Iterable[Observer] = (),
        clock: Clock | None = None,
        sleeper: AsyncSleeper | None = None,
        randomness: Randomness | None = None,
        locks: AsyncLocks | None = None,
    ) -> None:
        super().__init__(
            clients,
            retry=retry,
            early=early,
            leeway=leeway,
            request_timeout=request_timeout,
            patience=patience,
            storage=storage,
            observers=observers,
            clock=clock,
            async_sleeper=sleeper,
            randomness=randomness,
            async_locks=locks,
        )
        self._async_ports = attrs.evolve(self._async_ports, http=http)
        self._wired = async_core(self._ports_with_store(self._async_ports, "an asynchronous"))
        self._vault = AsyncMemoryCredentialProvider() if vault is None else vault
        self._start()
        in_child(self, AsyncOAuthTokenRefresher._start)

    def _start(self) -> None:
        provided = self._vault
        vault = Vault(
            guarded_async(provided.get, credential_read_failure),
            guarded_async(provided.has, credential_read_failure),
            guarded_async(provided.refresh, refresh_failure),
            guarded_async(provided.rotate, refresh_failure),
        )
        self._tasks: set[asyncio.Task[Any]] = set()
        self._flows = TokenRefreshFlows(
            self._wired.core, self._clients, vault, self._pace, self._run_flow_to_end
        )

    async def _run_flow_to_end(self, flow: Flow[R]) -> R:
        """Run a coroutine in its own task, which continues if the waiting caller is cancelled."""
        import asyncio  # noqa: PLC0415 - synchronous programs never need it

        from moorage.adapters.clocks.event_loop import running_loop  # noqa: PLC0415 - as above

        try:
            task = running_loop().create_task(flow)
        except LocalFailure:
            flow.close()
            raise
        self._tasks.add(task)
        task.add_done_callback(self._forget_task)
        return await asyncio.shield(task)

    def _forget_task(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # no other code may read the exception

    @documented_by(OAuthTokenRefresher.get)
    async def get(self, service: str, tenant: str | None, /) -> Any:  # noqa: D102 - documented by its twin
        return await self._flows.get(service, tenant)

    @documented_by(OAuthTokenRefresher.has)
    async def has(self, service: str, tenant: str | None, /) -> bool:  # noqa: D102 - documented by its twin
        return await self._flows.has(service, tenant)

    @documented_by(OAuthTokenRefresher.refresh)
    async def refresh(self, service: str, tenant: str | None, stale: Any, /) -> Any:  # noqa: D102 - documented by its twin
        return await self._flows.refresh(service, tenant, stale)

    @documented_by(OAuthTokenRefresher.rotate)
    async def rotate(self, service: str, tenant: str | None, new: Any, /) -> None:  # noqa: D102 - documented by its twin
        await self._flows.rotate(service, tenant, new)

    @documented_by(OAuthTokenRefresher.revoke)
    async def revoke(self, service: str, tenant: str | None = None) -> None:  # noqa: D102 - documented by its twin
        await self._flows.revoke(service, tenant)

    @documented_by(OAuthTokenRefresher.close)
    async def close(self) -> None:  # noqa: D102 - documented by its twin
        default_http = self._wired.end_default_http()
        if default_http is not None:
            await default_http.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()
