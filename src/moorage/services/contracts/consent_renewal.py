"""The renewal of a consent's tokens by one caller of all processes.

Laws:

1. A token is renewed by one caller at a time, under a claim in shared state. The others wait, and
   get the token that it stored.
2. A new token is stored before the claim is settled. A caller whose cached token is older than that
   reads the store, and does not send the refresh token again.
3. The claim is renewed while its holder lives. If the renewal fails or its holder dies, the next
   caller renews the token. A caller that has lost its claim does not send the refresh token.
4. A new token that could not be stored, because its caller was cancelled or the store failed, stays
   in this process. The next renewal of the process stores it, and requests no other.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

from moorage.domain.entries.renewal import HeldClaim
from moorage.domain.http.fingerprint import SAME_FINGERPRINT
from moorage.domain.idempotency.claims import Claim, Verdict, release_claim, store_answer
from moorage.domain.service.plan import MARGIN
from moorage.domain.state.keys import own_key
from moorage.domain.values.durations import SECOND, micros
from moorage.domain.values.names import consent_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from moorage.domain.auth.methods import Credentials, OAuthCredentials
    from moorage.services.contracts.vendor_wire import VendorWire
    from moorage.services.core.core import Core

_FIRST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 0.25
_LONGEST_RENEWAL: Final = 60.0
_REMEMBERED: Final = 86_400 * SECOND
"""Microseconds for which a renewal is remembered, longer than providers cache credentials."""


async def renewed_credentials(
    core: Core,
    wire: VendorWire,
    consent: str,
    stale: OAuthCredentials,
    renew: Callable[[], Awaitable[OAuthCredentials]],
    *,
    seconds_left: Callable[[], float | None],
) -> Credentials | OAuthCredentials | None:
    """Return the credentials that replace stale ones; None if the consent has none any more.

    Args:
        core: the ports.
        wire: reads and stores the consent's credentials.
        consent: id of the consent.
        stale: the credentials that have expired.
        renew: requests new credentials from the vendor.
        seconds_left: returns the seconds until the operation's deadline; None without one.
    """
    token_hash = sha256(stale.access_token.reveal_bytes()).hexdigest()[:32]
    key = own_key("oauth", wire.account, wire.tenant, consent, token_hash)
    owner, pause = core.token(), _FIRST_PAUSE
    while True:
        time_left, started_at = seconds_left(), core.nanoseconds()
        term = micros((_LONGEST_RENEWAL if time_left is None else time_left) + MARGIN)
        lease = core.renewals.lease(term)
        claim = Claim(
            key,
            fingerprint=SAME_FINGERPRINT,
            owner=owner,
            lease=lease,
            term=term,
            ttl=_REMEMBERED,
            target="",
            remembered=0,
        )
        verdict, fence, wait, _ = await core.execute(claim, time_left)
        if verdict is Verdict.RUN:
            held = HeldClaim(key, fence, ttl=_REMEMBERED, until=started_at + lease * 1000)
            is_over, credentials = await _renewed_under_claim(
                core, wire, consent, stale, renew, held=held, seconds_left=seconds_left
            )
            if is_over:
                return credentials
            continue
        if verdict is Verdict.REPLAY:
            name = consent_name(wire.account, consent)
            stored: Credentials | OAuthCredentials = await core.refresh_credentials(
                name,
                wire.tenant,
                stale,  # type: ignore[arg-type]  # providers store both kinds
            )
            return stored
        await wire.sleep(min(pause, wait / SECOND))
        pause = min(2 * pause, _LONGEST_PAUSE)


async def _renewed_under_claim(
    core: Core,
    wire: VendorWire,
    consent: str,
    stale: OAuthCredentials,
    renew: Callable[[], Awaitable[OAuthCredentials]],
    *,
    held: HeldClaim,
    seconds_left: Callable[[], float | None],
) -> tuple[bool, Credentials | OAuthCredentials | None]:
    """Return the credentials stored meanwhile, or request and store new ones.

    The first value is False if the claim was lost before the refresh token was sent.
    """
    settlement = release_claim(held.key, held.fence, ttl=held.ttl)
    token_owner = consent_name(wire.account, consent), wire.tenant
    core.renewals.keep(held)
    try:
        stored = await wire.consent_credentials(consent)
        if stored != stale:
            core.unstored_tokens.pop(token_owner, None)
            return True, stored
        replaced, new = core.unstored_tokens.get(token_owner, (None, None))
        if new is None or replaced != stale:
            if not await core.renewals.holds(held, seconds_left()):
                return False, None
            new = await renew()
            core.unstored_tokens[token_owner] = stale, new
        await wire.store_consent_credentials(consent, new)
        core.unstored_tokens.pop(token_owner, None)
        settlement = store_answer(held.key, held.fence, None, ttl=held.ttl)
        return True, new
    finally:
        core.renewals.stop_renewing(held)
        core.post(settlement)
