"""Giving back what is kept: under the claim that a renewal would need, so that no other has it.

Laws:

1. A token is given back by whoever holds the claim of its renewal. Whoever renews just now is
   waited for, and then it is what they got that is given back.
2. What was given back is shown to the token endpoint by nobody: the claim ends for good, and the
   vault's token has ended long ago.
3. What could not be given back is kept as it was, and so is who may renew it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from moorage.domain.auth import OAuthCredentials
from moorage.domain.idempotency import Claim, Verdict, complete, release
from moorage.domain.oauth.question import GRANT, REMEMBERED, claim_key, too_slow
from moorage.domain.oauth.revocation import ended, no_client
from moorage.errors import ConnectorError
from moorage.services.oauth_asking import Patience
from moorage.services.oauth_consent import revoked

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from moorage.domain.oauth.client import OAuthClient
    from moorage.services.core import Core, Flow
    from moorage.services.oauth_renewal import Owner, Pace, Vault

_SECOND: Final = 10**9
_SOONEST: Final = 0.02
_LATEST: Final = 0.25
_MARGIN: Final = 1.0
_BRIEFLY: Final = 3_600 * 10**6


class _Claimed(NamedTuple):
    """What became of a claim: if it is held, others are kept from renewing.

    `wait` is for how many seconds somebody else may be at it.
    """

    verdict: Verdict
    key: str
    fence: int
    wait: float


class Revocation:
    """Gives tokens back.

    Args:
        core: the ports.
        vault: where tokens are kept.
        pace: how long things may take.
        stored: what the vault has.
    """

    def __init__(
        self, core: Core, vault: Vault, pace: Pace, stored: Callable[[Owner], Flow[Any]]
    ) -> None:
        self._core = core
        self._vault = vault
        self._pace = pace
        self._stored = stored

    async def revoked(self, owner: Owner, client: OAuthClient) -> None:
        """Give back what is kept for an owner."""
        core, pace = self._core, self._pace
        client.at("revocation_endpoint")
        kept, claim = await self._claimed(owner, client)
        if claim.verdict is not Verdict.REPLAY:
            patience = Patience(retry=pace.retry, request=pace.request, whole=pace.renewal)
            try:
                await revoked(core, client, patience, kept, owner[0])
            except ConnectorError:
                await core.execute(release(claim.key, claim.fence, ttl=_BRIEFLY), None)
                raise
            if client.grant.alone or kept.refresh_token is None:
                # The claim is that of whatever comes next, too.
                await core.execute(release(claim.key, claim.fence, ttl=_BRIEFLY), None)
            else:
                await core.execute(complete(claim.key, claim.fence, None, ttl=REMEMBERED), None)
        await self._vault.rotate(*owner, ended(kept))

    async def _claimed(
        self, owner: Owner, client: OAuthClient
    ) -> tuple[OAuthCredentials, _Claimed]:
        """What is kept, and what became of the claim of its renewal, once nobody renews."""
        core, began, pause = self._core, self._core.nanoseconds(), _SOONEST
        while True:
            kept = await self._stored(owner)
            if not isinstance(kept, OAuthCredentials):
                raise no_client(owner[0])
            claim = await self._claim(owner, client, kept, again=False)
            if claim.verdict is Verdict.UNKNOWN and not claim.wait:
                # It was shown and its answer lost; nobody knows what the server made of that.
                claim = await self._claim(owner, client, kept, again=True)
            if not claim.wait:
                return kept, claim
            pause = min(claim.wait, pause)
            if core.nanoseconds() - began + pause * _SECOND > self._pace.patience * _SECOND:
                raise too_slow(owner[0])
            await core.sleep(pause)
            pause = min(2 * pause, _LATEST)

    async def _claim(
        self, owner: Owner, client: OAuthClient, kept: OAuthCredentials, *, again: bool
    ) -> _Claimed:
        key, lease = claim_key(owner, client, kept, again=again), self._pace.renewal + _MARGIN
        verdict, fence, wait, _ = await self._core.execute(
            Claim(
                key,
                fingerprint=GRANT,
                owner=self._core.token(),
                lease=int(lease * 10**6),
                ttl=REMEMBERED,
                target=client.at("token_endpoint"),
                remembered=0,
            ),
            None,
        )
        # Of a claim that is granted it does not matter who had it, unsent, before.
        return _Claimed(verdict, key, fence, 0 if verdict is Verdict.RUN else wait / 10**6)
