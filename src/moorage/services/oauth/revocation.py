"""Revocation of stored tokens, while no other process can renew them.

Laws:

1. A token is revoked by the holder of the claim on its renewal, who reads it again under the claim.
   If a renewal is in progress, its end is awaited, and then its new token is revoked.
2. A revoked token is never sent to the token endpoint: the token is removed from the vault before
   the claim ends.
3. A token that could not be revoked stays unchanged, and so does the claim on its renewal.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from moorage.domain.auth.methods import OAuthCredentials
from moorage.domain.idempotency.claims import Claim, Resolve, Verdict, release_claim, store_answer
from moorage.domain.oauth.revocation import as_expired, no_client_error
from moorage.domain.oauth.token_renewal import (
    FIRST_USE,
    GRANT,
    LATER_USE,
    REMEMBERED,
    REPEATED_USE,
    claim_key,
    single_use_token,
    slow_renewal_error,
)
from moorage.errors import ConnectorError, CredentialNotFound
from moorage.services.core.core import seconds_left
from moorage.services.oauth.consent import revoke_token
from moorage.services.oauth.server_requests import RequestLimits

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from moorage.domain.idempotency.claims import Settle
    from moorage.domain.oauth.client import OAuthClient
    from moorage.domain.oauth.token_renewal import TokenUse
    from moorage.services.core.core import Core, Flow
    from moorage.services.oauth.renewal import Owner, RenewalTimeLimits, Vault

_SECOND: Final = 10**9
_FIRST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 0.25
_MARGIN: Final = 1.0
_SHORT_TTL: Final = 3_600 * 10**6


class _RevocationClaim(NamedTuple):
    """The result of claiming a token; until the claim ends, no process renews the token.

    `wait` is the number of seconds for which another process may be renewing.
    """

    verdict: Verdict
    key: str
    fence: int
    wait: float


class Revocation:
    """Revokes stored tokens at the authorisation server.

    Args:
        core: the ports.
        vault: store of the tokens.
        pace: time limits.
        stored: reads the token in the vault.
    """

    def __init__(
        self,
        core: Core,
        vault: Vault,
        pace: RenewalTimeLimits,
        stored: Callable[[Owner], Flow[Any]],
    ) -> None:
        self._core = core
        self._vault = vault
        self._pace = pace
        self._stored = stored

    async def revoked(self, owner: Owner, client: OAuthClient) -> None:
        """Revoke an owner's stored token, and store it as expired.

        A token that a person's consent stored meanwhile stays.
        """
        core, time_limits = self._core, self._pace
        client.at("revocation_endpoint")
        token, claim = await self._token_and_claim(owner, client)
        end_time = core.nanoseconds() + int(time_limits.renewal * _SECOND)
        if claim.verdict is not Verdict.REPLAY:
            request_limits = RequestLimits(
                retry=time_limits.retry, request=time_limits.request, whole=time_limits.renewal
            )
            try:
                await revoke_token(core, client, request_limits, token, owner[0])
            except ConnectorError:
                await self._settle(release_claim(claim.key, claim.fence, ttl=_SHORT_TTL), end_time)
                raise
            if single_use_token(client, token) is None:
                # The next token has the same claim key, so the claim is released instead of
                # completed.
                await self._settle(release_claim(claim.key, claim.fence, ttl=_SHORT_TTL), end_time)
            elif claim.verdict is Verdict.UNKNOWN:
                resolve = Resolve(claim.key, done=True, ttl=REMEMBERED)
                await core.execute(resolve, seconds_left(core, end_time))
            else:
                await self._settle(
                    store_answer(claim.key, claim.fence, None, ttl=REMEMBERED), end_time
                )
        with suppress(CredentialNotFound):
            if await self._stored(owner) == token:
                await self._vault.rotate(*owner, as_expired(token))

    async def _token_and_claim(
        self, owner: Owner, client: OAuthClient
    ) -> tuple[OAuthCredentials, _RevocationClaim]:
        """Return the stored token, and the claim that prevents other processes from renewing it."""
        core, pause = self._core, _FIRST_PAUSE
        end_time = core.nanoseconds() + int(self._pace.patience * _SECOND)
        while True:
            token = await self._stored(owner)
            if not isinstance(token, OAuthCredentials):
                raise no_client_error(owner[0])
            claim = await self._claim(owner, client, token, end_time, use=FIRST_USE)
            for later_use in (REPEATED_USE, LATER_USE):
                if claim.verdict is Verdict.UNKNOWN and not claim.wait:
                    # The token was sent and the response was lost; the server may have processed
                    # it, and a later use may send it now.
                    claim = await self._claim(owner, client, token, end_time, use=later_use)
            if not claim.wait and await self._is_current(owner, token, claim):
                return token, claim
            pause = min(claim.wait or pause, pause)
            if core.nanoseconds() + pause * _SECOND > end_time:
                raise slow_renewal_error(owner[0])
            await core.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _is_current(
        self, owner: Owner, token: OAuthCredentials, claim: _RevocationClaim
    ) -> bool:
        """Return whether the vault still has a token that was read before it was claimed.

        If another process renewed the token in between, the claim on the old token ends.
        """
        try:
            is_current: bool = await self._stored(owner) == token
        except ConnectorError:
            # Nothing was sent, so no caller has to wait until this claim expires.
            await self._release(claim)
            raise
        if not is_current:
            await self._release(claim)
        return is_current

    async def _release(self, claim: _RevocationClaim) -> None:
        """Release a claim under which nothing was sent."""
        if claim.verdict is Verdict.RUN:
            end_time = self._core.nanoseconds() + int(self._pace.renewal * _SECOND)
            await self._settle(release_claim(claim.key, claim.fence, ttl=_SHORT_TTL), end_time)

    async def _settle(self, command: Settle, until: int) -> None:
        """Record in the store that the claim on a token has ended."""
        await self._core.execute(command, seconds_left(self._core, until))

    async def _claim(
        self,
        owner: Owner,
        client: OAuthClient,
        token: OAuthCredentials,
        until: int,
        *,
        use: TokenUse,
    ) -> _RevocationClaim:
        key, lease = claim_key(owner, client, token, use=use), self._pace.renewal + _MARGIN
        claim_verdict, fence, wait, _ = await self._core.execute(
            Claim(
                key,
                fingerprint=GRANT,
                owner=self._core.token(),
                lease=int(lease * 10**6),
                ttl=REMEMBERED,
                target=client.at("token_endpoint"),
                remembered=0,
            ),
            seconds_left(self._core, until),
        )
        # If it has sent nothing, the earlier holder of a granted claim does not matter.
        return _RevocationClaim(
            claim_verdict, key, fence, 0 if claim_verdict is Verdict.RUN else wait / 10**6
        )
