"""A user's first OAuth tokens, after consent in a browser or on another device."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeVar

import attrs

from moorage.domain.oauth.client import OAuthClient
from moorage.domain.oauth.consent import begin_consent, read_callback
from moorage.domain.resilience.retry import RetryPolicy
from moorage.domain.service.settings import Service
from moorage.domain.values.durations import seconds
from moorage.domain.values.text import with_article
from moorage.errors import ConfigurationError
from moorage.parts.base import Part
from moorage.runtime.flows import run_now
from moorage.services.oauth.consent import ConsentFlows
from moorage.services.oauth.server_requests import RequestLimits
from moorage.wiring.core_assembly import async_core, sync_core
from moorage.wiring.ports import check_sync_or_async

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from moorage.domain.auth.methods import OAuthCredentials
    from moorage.domain.oauth.device import DeviceConsent
    from moorage.domain.oauth.pending import PendingConsent
    from moorage.domain.oauth.token_answer import Granted
    from moorage.ports.chance import Randomness
    from moorage.ports.clock import AsyncSleeper, Clock, Sleeper
    from moorage.ports.http import AsyncHttpClient, HttpClient
    from moorage.services.core.core import Flow

R = TypeVar("R")

_DEFAULT_RETRY: Final = RetryPolicy(max_attempts=3, base_delay=0.5, max_delay=5.0)
_REQUEST_TIMEOUT: Final = 10.0
_WHOLE_TIMEOUT: Final = 20.0
_LONGEST_CONSENT: Final = 3_600.0


class OAuthConsent(Part):
    """Gets a user's first OAuth tokens by consent, and revokes them.

    With a browser: `begin` returns a URL to send the person to and a state to store, and `finish`
    accepts the URL to which they return. With another device: `begin_device` returns a code to
    show, and `finish_device` waits until the person has entered it on the other device. Every code
    is bound to the client that asked for it (PKCE, S256).

    Args:
        client: the OAuth client; its `server` needs the endpoints that are used, as `discover`
            finds them.
        http, async_http: send the requests to the authorisation server; clients of its own by
            default.
        retry: the retries when the server fails.
        request_timeout: the seconds for one request.
        consent_timeout: the seconds that a person may take between `begin` and `finish`.
        clock, sleeper, async_sleeper, randomness: the remaining ports. Only the tokens of
            `randomness` are used, which must be impossible to guess.
    """

    def __init__(
        self,
        client: OAuthClient,
        *,
        http: HttpClient | None = None,
        async_http: AsyncHttpClient | None = None,
        retry: RetryPolicy | None = None,
        request_timeout: float | timedelta = _REQUEST_TIMEOUT,
        consent_timeout: float | timedelta = _LONGEST_CONSENT,
        clock: Clock | None = None,
        sleeper: Sleeper | None = None,
        async_sleeper: AsyncSleeper | None = None,
        randomness: Randomness | None = None,
    ) -> None:
        super().__init__(
            Service("oauth", circuit=None, retry=None),
            clock=clock,
            sleeper=sleeper,
            async_sleeper=async_sleeper,
            randomness=randomness,
        )
        self._sync_ports = attrs.evolve(self._sync_ports, http=http)
        self._async_ports = attrs.evolve(self._async_ports, http=async_http)
        check_sync_or_async(self._sync_ports, is_async=False)
        check_sync_or_async(self._async_ports, is_async=True)
        if not isinstance(client, OAuthClient):
            raise ConfigurationError(
                f"The value is {with_article(type(client).__name__)}, not an OAuthClient.",
                path="client",
                remedy="Pass an OAuthClient that is registered at the authorisation server.",
            )
        self._client = client
        request = seconds(request_timeout, "request_timeout")
        self._patience = RequestLimits(
            retry=_DEFAULT_RETRY if retry is None else retry,
            request=request,
            whole=max(_WHOLE_TIMEOUT, 2 * request),
        )
        self._consent_timeout = timedelta(seconds=seconds(consent_timeout, "consent_timeout"))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._client.client_id!r}>"

    def _run_sync(self, flow: Callable[[ConsentFlows], Flow[R]]) -> R:
        """Run a coroutine synchronously, then close the HTTP client if it was newly made."""
        wired_core = sync_core(self._sync_ports)
        try:
            return run_now(flow(ConsentFlows(wired_core.core, self._client, self._patience)))
        finally:
            client = wired_core.end_default_http()
            if client is not None:
                client.close()

    async def _run_async(self, flow: Callable[[ConsentFlows], Flow[R]]) -> R:
        """Await a coroutine, then close the HTTP client if it was newly made."""
        wired = async_core(self._async_ports)
        try:
            return await flow(ConsentFlows(wired.core, self._client, self._patience))
        finally:
            client = wired.end_default_http()
            if client is not None:
                await client.close()

    def begin(
        self,
        redirect_uri: str,
        *,
        scope: Iterable[str] | str | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> tuple[str, PendingConsent]:
        """Return the URL to send a user to, and the state to store until the user comes back.

        Args:
            redirect_uri: the registered URL to which they return.
            scope: the scopes to request, if not the client's; with `openid` the server must return
                an ID token.
            parameters: additional parameters of the URL, such as `prompt`, `login_hint`, `audience`
                or `resource`.
        """
        core = self._sync_core
        return begin_consent(
            self._client,
            redirect_uri,
            now=core.utc(),
            lifetime=self._consent_timeout,
            draw=core.token,
            scope=scope,
            parameters=parameters,
        )

    def finish(self, callback: str, pending: PendingConsent) -> Granted:
        """Exchange the code in the callback's URL for the tokens that the user agreed to.

        Args:
            callback: the URL to which the person returned, or its query.
            pending: the stored state of this person. A state cannot be used a second time.

        Raises:
            AuthorizationRequired: the person refused, took too long, or must begin again because
                the code was used or its answer lost.
            InvalidData: the callback does not belong to this person's consent.
            CredentialRefreshFailed: the server gives no token.
            VendorFailed: the ID token is not for this client, or not of this consent.
        """
        code = read_callback(callback, pending, self._client, self._sync_core.utc())
        del callback
        return self._run_sync(lambda flows: flows.finish(code, pending))

    async def afinish(self, callback: str, pending: PendingConsent) -> Granted:
        """Exchange the code in the callback's URL for tokens; asynchronous."""
        code = read_callback(callback, pending, self._client, self._async_core.utc())
        del callback
        return await self._run_async(lambda flows: flows.finish(code, pending))

    def begin_device(
        self,
        *,
        scope: Iterable[str] | str | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> DeviceConsent:
        """Return a code to show to the user, who types it in with another device.

        Args:
            scope: the scopes to request, if not the client's.
            parameters: additional parameters of the request, such as `audience`.

        Raises:
            CredentialRefreshFailed: the server gives no code.
        """
        client = self._client_for(scope, parameters)
        return self._run_sync(lambda flows: flows.begin_device(client))

    async def abegin_device(
        self,
        *,
        scope: Iterable[str] | str | None = None,
        parameters: Mapping[str, str] | None = None,
    ) -> DeviceConsent:
        """Return a code to show to the user, who types it in with another device; asynchronous."""
        client = self._client_for(scope, parameters)
        return await self._run_async(lambda flows: flows.begin_device(client))

    def finish_device(
        self, device: DeviceConsent, *, timeout: float | timedelta | None = None
    ) -> Granted:
        """Wait until the user consents on the other device, and return the tokens.

        Args:
            device: the result of `begin_device`.
            timeout: the seconds to wait; by default until the code expires.

        Raises:
            AuthorizationRequired: the person refused, or the code has expired.
            DeadlineExceeded: the person has not decided yet; wait again, or give up.
            CredentialRefreshFailed: the server gives no token.
        """
        time_limit = _timeout_seconds(timeout)
        return self._run_sync(lambda flows: flows.finish_device(device, time_limit))

    async def afinish_device(
        self, device: DeviceConsent, *, timeout: float | timedelta | None = None
    ) -> Granted:
        """Wait until the user consents on the other device, and return the tokens; asynchronous."""
        time_limit = _timeout_seconds(timeout)
        return await self._run_async(lambda flows: flows.finish_device(device, time_limit))

    def revoke(self, credentials: OAuthCredentials) -> None:
        """Revoke tokens at the authorisation server (RFC 7009).

        The refresh token is revoked, which ends the whole grant at the server; or else the access
        token. For tokens of an `OAuthTokenRefresher` use its `revoke`, which also stops renewing
        them.

        Args:
            credentials: the granted tokens.

        Raises:
            ConnectionFailed: the server cannot be reached.
            VendorFailed: the server cannot revoke them just now.
            UnsupportedByVendor: the server does not revoke such tokens.
            AuthenticationFailed: the server does not know the client.
            VendorRejected: the server refuses for another reason.
        """
        self._run_sync(lambda flows: flows.revoke(credentials))

    async def arevoke(self, credentials: OAuthCredentials) -> None:
        """Revoke tokens at the authorisation server (RFC 7009); asynchronous."""
        await self._run_async(lambda flows: flows.revoke(credentials))

    def _client_for(
        self, scope: Iterable[str] | str | None, parameters: Mapping[str, str] | None
    ) -> OAuthClient:
        """Return a copy of the OAuth client with this scope and these parameters."""
        client = self._client
        return attrs.evolve(
            client,
            scope=client.scope if scope is None else scope,
            parameters={**client.parameters, **(parameters or {})},
        )


def _timeout_seconds(timeout: float | timedelta | None) -> float | None:
    return None if timeout is None else seconds(timeout, "timeout", zero=True)
