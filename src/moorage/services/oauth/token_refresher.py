"""OAuth tokens; one caller renews a token for all threads, tasks and processes.

Laws:

1. A valid token is used. One caller renews it ahead of time while the others continue; if that
   fails, they still continue.
2. A token that another process renewed is adopted.
3. Callers that waited for a renewal that failed get its error, and do not retry immediately.
4. A renewal continues even if its caller is cancelled: a new token whose answer nobody awaits would
   be lost.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from moorage.domain.auth.methods import OAuthCredentials
from moorage.domain.oauth.freshness import Freshness
from moorage.domain.oauth.revocation import no_client_error
from moorage.domain.oauth.token_renewal import slow_renewal_error
from moorage.domain.oauth.token_store_names import tenant_of
from moorage.domain.observation.events import TokenNotRenewed
from moorage.domain.secrets.frames import without_frames
from moorage.domain.state.keys import state_key
from moorage.errors import ConnectorError, CredentialNotFound, StorageUnavailable
from moorage.services.oauth.renewal import Renewal
from moorage.services.oauth.revocation import Revocation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from moorage.domain.oauth.client import OAuthClient
    from moorage.domain.oauth.freshness import Span
    from moorage.services.core.core import Core, Flow
    from moorage.services.oauth.renewal import Owner, RenewalTimeLimits, Vault

FindClient: TypeAlias = "Callable[[str, str | None], OAuthClient | None]"
Apart: TypeAlias = "Callable[[Flow[Any]], Awaitable[Any]]"

_SECOND: Final = 10**9
_UNBOUNDED_QUEUE: Final = 10**9
_RETRY_SECONDS: Final = 5.0


class CachedToken:
    """An owner's OAuth token in memory, with its validity by the local clock."""

    __slots__ = ("_again_at", "_read_at", "_span", "credentials", "look_at")

    def __init__(
        self, credentials: OAuthCredentials, span: Span, now: int, trusted_seconds: float
    ) -> None:
        self.credentials = credentials
        self._span = span
        self._read_at = now
        self._again_at = 0
        self.confirm(now, trusted_seconds)

    def confirm(self, now: int, trusted_seconds: float) -> None:
        """Record that the store still has this token, so that the store is not read again soon."""
        fresh_until = self._read_at + self._span.fresh * _SECOND
        self.look_at = min(max(fresh_until, self._again_at), now + trusted_seconds * _SECOND)

    def postpone_renewal(self, until: int) -> None:
        """Use the token unchanged until a given time, because renewing or reading it failed."""
        self._again_at = until
        self.look_at = min(until, self._read_at + self._span.works * _SECOND)

    def freshness(self, now: int) -> Freshness:
        """Return whether the token is fresh, due for renewal, or expired at this time."""
        freshness = self._span.after((now - self._read_at) / _SECOND)
        is_postponed = freshness is Freshness.DUE and now < self._again_at
        return Freshness.FRESH if is_postponed else freshness


class TokenRefreshFlows:
    """The operations of a token refresher: get, refresh, store and revoke OAuth tokens.

    Args:
        core: the ports.
        clients: finds the OAuth client of a service and tenant; None if it does not use OAuth.
        vault: store of the tokens.
        pace: time limits.
        run_apart: runs a flow to its end even if its caller is cancelled.
    """

    def __init__(
        self,
        core: Core,
        clients: FindClient,
        vault: Vault,
        pace: RenewalTimeLimits,
        run_apart: Apart,
    ) -> None:
        self._core = core
        self._clients = clients
        self._vault = vault
        self._pace = pace
        self._run_apart = run_apart
        self._renewal = Renewal(core, vault, pace, self.get)
        self._revocation = Revocation(core, vault, pace, self._renewal.stored)
        self._cached: dict[Owner, CachedToken] = {}
        self._failures = 0
        self._failed: dict[Owner, tuple[int, ConnectorError]] = {}

    def usable_token(self, service: str, tenant: str | None) -> OAuthCredentials | None:
        """Return the token in memory if it needs no reading or renewing now; otherwise None."""
        cached_token = self._cached.get((service, tenant))
        if cached_token is not None and self._core.nanoseconds() < cached_token.look_at:
            return cached_token.credentials
        return None

    async def get(self, service: str, tenant: str | None) -> Any:
        """Return the current credential, after renewing it if necessary."""
        usable_credentials = self.usable_token(service, tenant)
        if usable_credentials is not None:
            return usable_credentials
        owner, client = (service, tenant), self._clients(service, tenant)
        if client is None:
            return await self._vault.get(service, tenant)
        try:
            token = await self._read(owner, client)
        except StorageUnavailable as error:
            return self._valid_token_in_memory(owner, error)
        if token is None:
            return await self._run_apart(self._renew_or_wait(owner, client, None))
        if not isinstance(token, OAuthCredentials):
            return token
        cached_token = self._cache_token(owner, token)
        freshness = cached_token.freshness(self._core.nanoseconds())
        if freshness is Freshness.FRESH:
            return token
        if freshness is Freshness.DUE:
            return await self._run_apart(self._renewed_ahead(owner, client, cached_token))
        return await self._run_apart(self._renew_or_wait(owner, client, token))

    async def refresh(self, service: str, tenant: str | None, stale: Any) -> Any:
        """Return a new credential in place of one that the service refused."""
        owner, client = (service, tenant), self._clients(service, tenant)
        if client is None or not isinstance(stale, OAuthCredentials):
            return await self._vault.refresh(service, tenant, stale)
        self._cached.pop(owner, None)
        token = await self._read(owner, client)
        if token is not None and not isinstance(token, OAuthCredentials):
            return token
        if token is not None and token.access_token != stale.access_token:
            return self._cache_token(owner, token).credentials
        return await self._run_apart(
            self._renew_or_wait(owner, client, stale if token is None else token)
        )

    async def has(self, service: str, tenant: str | None) -> bool:
        """Return whether a credential is stored, or can be requested without a person."""
        client = self._clients(service, tenant)
        return (client is not None and client.grant.alone) or await self._vault.has(service, tenant)

    async def rotate(self, service: str, tenant: str | None, new: Any) -> None:
        """Store the tokens of a person's consent."""
        owner = (service, tenant)
        self._renewal.unstored.pop(owner, None)
        try:
            await self._vault.rotate(service, tenant, new)
        finally:
            self._cached.pop(owner, None)
            self._failed.pop(owner, None)

    async def revoke(self, service: str, tenant: str | None) -> None:
        """Revoke the stored token, and stop using it."""
        owner, client = (service, tenant), self._clients(service, tenant)
        if client is None:
            raise no_client_error(service)
        try:
            await self._run_apart(self._revocation.revoked(owner, client))
        finally:
            self._cached.pop(owner, None)
            self._failed.pop(owner, None)

    async def _read(self, owner: Owner, client: OAuthClient) -> Any:
        """Return the stored token; None if a new one can be requested without a person."""
        try:
            return await self._renewal.stored(owner)
        except CredentialNotFound:
            if not client.grant.alone:
                raise
            return None

    def _valid_token_in_memory(self, owner: Owner, error: StorageUnavailable) -> OAuthCredentials:
        """Return the token in memory if it is valid, because the store cannot be read."""
        cached_token, now = self._cached.get(owner), self._core.nanoseconds()
        if cached_token is None or cached_token.freshness(now) is Freshness.PAST:
            raise error
        cached_token.postpone_renewal(now + int(_RETRY_SECONDS * _SECOND))
        return cached_token.credentials

    def _cache_token(self, owner: Owner, token: OAuthCredentials) -> CachedToken:
        core, trusted_seconds = self._core, self._pace.believed
        cached_token, now = self._cached.get(owner), core.nanoseconds()
        if cached_token is not None and cached_token.credentials == token:
            cached_token.confirm(now, trusted_seconds)
            return cached_token
        span = self._pace.ahead.span(token, core.utc(), core.fraction())
        cached_token = self._cached[owner] = CachedToken(token, span, now, trusted_seconds)
        return cached_token

    def _adopted(self, owner: Owner, credential: Any) -> Any:
        """Return a renewed token, or the credential of another kind that replaces it."""
        if isinstance(credential, OAuthCredentials):
            return self._cache_token(owner, credential).credentials
        self._cached.pop(owner, None)
        return credential

    async def _renewed_ahead(
        self, owner: Owner, client: OAuthClient, cached_token: CachedToken
    ) -> Any:
        """Renew a token before it expires; return the old one if that is not possible now."""
        core, lock_holder, stale_credentials = self._core, object(), cached_token.credentials
        lock = state_key("oauth", *owner)
        try:
            if not await core.acquire(lock, lock_holder, slots=1, queue=0, timeout=0.0):
                return stale_credentials
            new_credentials = await self._renewal.renew_token(
                owner, client, stale_credentials, patience=None
            )
            return (
                stale_credentials
                if new_credentials is None
                else self._adopted(owner, new_credentials)
            )
        except ConnectorError as error:
            wait = _RETRY_SECONDS
            if error.retry_at is not None:
                wait = max(wait, (error.retry_at - core.utc()).total_seconds())
            cached_token.postpone_renewal(core.nanoseconds() + int(wait * _SECOND))
            self._notify_observers(owner, error, still_works=True)
            return stale_credentials
        finally:
            core.release(lock, lock_holder)

    async def _renew_or_wait(
        self, owner: Owner, client: OAuthClient, stale: OAuthCredentials | None
    ) -> Any:
        """Renew an expired token, or wait for the caller that is renewing it."""
        core, holder, failures_before = self._core, object(), self._failures
        lock, request_limits = state_key("oauth", *owner), self._pace.patience
        try:
            if not await core.acquire(
                lock, holder, slots=1, queue=_UNBOUNDED_QUEUE, timeout=request_limits
            ):
                raise slow_renewal_error(owner[0])
            self._raise_earlier_error(owner, failures_before)
            try:
                new_token = await self._renewal.renew_token(
                    owner, client, stale, patience=request_limits
                )
            except ConnectorError as error:
                self._failures += 1
                self._failed[owner] = self._failures, without_frames(copy(error))
                self._notify_observers(owner, error, still_works=False)
                raise
            self._failed.pop(owner, None)
            return self._adopted(owner, new_token)
        finally:
            core.release(lock, holder)

    def _raise_earlier_error(self, owner: Owner, before: int) -> None:
        """Raise the error of an earlier renewal, if it is recent or no retry is allowed yet."""
        number, error = self._failed.get(owner, (0, None))
        if error is None:
            return
        is_early = error.retry_at is not None and self._core.utc() < error.retry_at
        if number > before or is_early:
            raise copy(error)

    def _notify_observers(self, owner: Owner, error: ConnectorError, *, still_works: bool) -> None:
        core = self._core
        if core.observers:
            core.notify(
                TokenNotRenewed(
                    at=core.utc(),
                    service=owner[0],
                    tenant=tenant_of(owner[1]),
                    error=type(error).__name__,
                    still_works=still_works,
                )
            )
