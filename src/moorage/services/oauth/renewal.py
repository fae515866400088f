"""The renewal of an OAuth token by one process at a time.

Laws:

1. A refresh token is sent by one holder at a time, under a claim in shared state. The claim is
   marked before the request leaves, and renewed while the holder lives. A holder that dies before
   the mark is replaced immediately. A token that a dead holder may have sent, or whose answer was
   lost, is sent once more after its request must have ended. If that answer is lost too, the token
   is sent at most once in the time of a whole renewal, until the server grants a token or states
   that the grant has ended. A refresh token that the last renewal did not change may be
   sent at any time: its claim is not marked, and a holder that dies with it is replaced
   immediately. A configured refresh token may be sent at any time too, until the server replaces
   it, and again when its replacement has ended.
2. A granted token is stored before it is used.
3. After a failure of the server, renewal is tried again later, and nothing is forgotten. Only if
   the server states that a grant has ended, no process asks again.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import attrs

from moorage.domain.auth.methods import OAuthCredentials
from moorage.domain.entries.renewal import HeldClaim
from moorage.domain.http.requests import Timeouts
from moorage.domain.idempotency.claims import (
    Claim,
    MarkSent,
    Resolve,
    Verdict,
    abandon_claim,
    release_claim,
    store_answer,
)
from moorage.domain.oauth.client import ClientAuthentication
from moorage.domain.oauth.grants import Consent, TokenExchange
from moorage.domain.oauth.token_answer import Granted, Refusal, Refused, read_token
from moorage.domain.oauth.token_renewal import (
    FIRST_USE,
    GRANT,
    LATER_USE,
    REMEMBERED,
    REPEATED_USE,
    TokenQuestion,
    claim_key,
    is_lost,
    lost_renewal_error,
    renewal_error,
    single_use_token,
    slow_renewal_error,
)
from moorage.domain.oauth.token_request import token_request
from moorage.domain.oauth.token_store_names import tenant_of
from moorage.domain.observation.events import ConsentNeeded, TokenRenewed
from moorage.domain.resilience import retry
from moorage.domain.resilience.retry import RetryAfterDelay
from moorage.domain.secrets.frames import without_frames
from moorage.domain.signing.context import SigningContext
from moorage.errors import (
    AuthorizationRequired,
    ConnectorError,
    CredentialNotFound,
    CredentialRefreshFailed,
)
from moorage.services.core.core import seconds_left

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moorage.domain.oauth.client import OAuthClient
    from moorage.domain.oauth.freshness import EarlyRenewal
    from moorage.domain.oauth.token_renewal import TokenUse
    from moorage.domain.resilience.retry import RetryPolicy
    from moorage.domain.secrets.secret import Secret
    from moorage.services.core.core import Core, Flow

Owner: TypeAlias = "tuple[str, str | None]"
Get: TypeAlias = "Callable[[str, str | None], Flow[Any]]"

_SECOND: Final = 10**9
_FIRST_PAUSE: Final = 0.02
_LONGEST_PAUSE: Final = 0.25
_MARGIN: Final = 1.0
_SHORT_TTL: Final = 3_600 * 10**6
_EARLIER_USES: Final[Mapping[TokenUse, tuple[TokenUse, ...]]] = {
    FIRST_USE: (),
    REPEATED_USE: (FIRST_USE,),
    LATER_USE: (FIRST_USE, REPEATED_USE),
}


@attrs.frozen
class Vault:
    """The operations that the renewal of a token needs from a store of credentials."""

    get: Callable[[str, str | None], Flow[Any]]
    has: Callable[[str, str | None], Flow[bool]]
    refresh: Callable[[str, str | None, Any], Flow[Any]]
    rotate: Callable[[str, str | None, Any], Flow[None]]


@attrs.frozen(kw_only=True)
class RenewalTimeLimits:
    """The time limits of a token renewal, in seconds.

    `request` is for one request, `renewal` for all requests of one holder, `patience` for waiting
    for another holder. A value that was read from the vault is used for `believed` seconds.
    """

    ahead: EarlyRenewal
    retry: RetryPolicy
    request: float
    renewal: float
    patience: float
    believed: float


class _RenewalClaim(NamedTuple):
    """A claim on a token's renewal that belongs to this process."""

    claim: HeldClaim
    until: int
    use: TokenUse


class _ClaimWait(NamedTuple):
    """The seconds for which another process may own the claim on a token's renewal."""

    seconds: float


class _GrantEnd(NamedTuple):
    """The reason why a refresh token is not sent again."""

    reason: str


class Renewal:
    """Renews OAuth tokens; only one process at a time renews each token.

    Args:
        core: the ports.
        vault: store of the tokens.
        pace: time limits.
        get: reads another service's credential, for a token exchange.

    Attributes:
        unstored: granted tokens that could not be stored yet, each with the token it replaces, or
            None if it replaces no token.
    """

    def __init__(self, core: Core, vault: Vault, pace: RenewalTimeLimits, get: Get) -> None:
        self._core = core
        self._vault = vault
        self._pace = pace
        self._get = get
        self.unstored: dict[Owner, tuple[OAuthCredentials | None, OAuthCredentials]] = {}
        self._reusable_tokens: dict[Owner, Secret] = {}

    async def stored(self, owner: Owner) -> Any:
        """Return the owner's stored token; if a newer one is only in memory, first store that."""
        try:
            token = await self._vault.get(*owner)
            unstored_token = self.unstored.get(owner)
        except CredentialNotFound:
            token, unstored_token = None, self.unstored.get(owner)
            if unstored_token is None or unstored_token[0] is not None:
                raise
        if unstored_token is None:
            return token
        stale_credentials, new_credentials = unstored_token
        if token == stale_credentials:
            await self._vault.rotate(*owner, new_credentials)
            token = new_credentials
        self.unstored.pop(owner, None)
        return token

    async def renew_token(
        self,
        owner: Owner,
        client: OAuthClient,
        stale: OAuthCredentials | None,
        *,
        patience: float | None,
    ) -> Any:
        """Renew a token, or return the credential that was stored meanwhile.

        That is a token that another process renewed, or any credential that an operator stored.
        Return None if another process is renewing it, and the caller has no time to wait.
        """
        core, start_time, pause = self._core, self._core.nanoseconds(), _FIRST_PAUSE
        held_credentials = stale
        use: TokenUse = FIRST_USE
        end_time = start_time + int(
            (self._pace.renewal if patience is None else patience) * _SECOND
        )
        while True:
            result = await self._renew(owner, client, stale, held_credentials, end_time, use=use)
            if result is None:
                use = REPEATED_USE if use == FIRST_USE else LATER_USE
                continue
            if isinstance(result, _GrantEnd):
                if held_credentials is None or isinstance(client.grant, Consent):
                    raise self._consent_error(owner, result.reason)
                # The configured refresh token may be valid still, or may have been replaced.
                held_credentials = attrs.evolve(held_credentials, refresh_token=None)
                use = FIRST_USE
                continue
            if not isinstance(result, _ClaimWait):
                return result
            if patience is None:
                return None
            if use == LATER_USE:
                raise self._lost_error(owner, result.seconds)
            pause = min(result.seconds, pause)
            if core.nanoseconds() + pause * _SECOND > end_time:
                raise slow_renewal_error(owner[0])
            await core.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            newer_credentials = await self._newer_credential(owner, stale)
            if newer_credentials is not None:
                return newer_credentials

    async def _renew(
        self,
        owner: Owner,
        client: OAuthClient,
        stale: OAuthCredentials | None,
        held: OAuthCredentials | None,
        patience: int,
        *,
        use: TokenUse,
    ) -> Any:
        """Claim a token's renewal and renew the token; return it, or the reason for a failure.

        The reason is a `_ClaimWait` or a `_GrantEnd`.

        Return None if a response that may have contained a token was lost.
        """
        result = await self._claim(owner, client, held, patience, use=use)
        if not isinstance(result, _RenewalClaim):
            return result
        if use != LATER_USE:
            self._core.renewals.keep(result.claim)
        try:
            return await self._use_claim(owner, client, stale, held, result)
        finally:
            self._core.renewals.stop_renewing(result.claim)

    async def _claim(
        self,
        owner: Owner,
        client: OAuthClient,
        held: OAuthCredentials | None,
        patience: int,
        *,
        use: TokenUse,
    ) -> _RenewalClaim | _ClaimWait | _GrantEnd | None:
        """Claim a token's renewal; return the claim, or how long another process may own it.

        Return None if the token was sent and the response was lost. The store may take until
        `patience`, a time in nanoseconds of the local clock.
        """
        core, renewal = self._core, self._pace.renewal
        key = claim_key(owner, client, held, use=use)
        start_time, term = core.nanoseconds(), int((renewal + _MARGIN) * 10**6)
        claim_end = start_time + int(renewal * _SECOND)
        # The claim of a later use also keeps the distance to the next use, so it is not shortened.
        lease = term if use == LATER_USE else core.renewals.lease(term)
        claim_verdict, fence, wait, _ = await core.execute(
            Claim(
                key,
                fingerprint=GRANT,
                owner=core.token(),
                lease=lease,
                term=term,
                ttl=REMEMBERED,
                target=client.at("token_endpoint"),
                remembered=0,
            ),
            seconds_left(core, patience),
        )
        if claim_verdict is Verdict.REPLAY:
            return _GrantEnd("the authorisation has ended")
        if claim_verdict is Verdict.RUN:
            claim = HeldClaim(key, fence, ttl=REMEMBERED, until=start_time + lease * 1000)
            return _RenewalClaim(claim, claim_end, use)
        # Sending the token during another holder's request may end the grant.
        return _ClaimWait(wait / 10**6) if wait else None

    async def _newer_credential(self, owner: Owner, stale: OAuthCredentials | None) -> Any:
        """Return the credential that was stored after `stale`; None if nothing else is stored."""
        try:
            token = await self.stored(owner)
        except CredentialNotFound:
            return None
        is_same = (
            stale is not None
            and isinstance(token, OAuthCredentials)
            and token.access_token == stale.access_token
            and token.refresh_token == stale.refresh_token
        )
        return None if is_same else token

    async def _use_claim(
        self,
        owner: Owner,
        client: OAuthClient,
        stale: OAuthCredentials | None,
        held: OAuthCredentials | None,
        renewal_claim: _RenewalClaim,
    ) -> Any:
        """Under a claim, read the stored token again, request a new one, and store it.

        `stale` is the token that was stored before the claim, and `held` is that token with the
        refresh token to send. Return None if the response was lost and may have contained a token.
        """
        core, start_time = self._core, self._core.nanoseconds()
        refresh_token = single_use_token(client, held)
        repeatable = refresh_token is None or refresh_token == self._reusable_tokens.get(owner)
        try:
            newer_credential = await self._newer_credential(owner, stale)
            token_question = (
                await self._question(owner, client, held) if newer_credential is None else None
            )
        except ConnectorError:
            # Nothing was sent, so no caller has to wait until this claim expires.
            await self._release_claim(renewal_claim)
            raise
        if token_question is None:
            await self._release_claim(renewal_claim)
            return newer_credential
        if not repeatable and not await self._may_send(client, renewal_claim):
            raise slow_renewal_error(owner[0])
        answer, attempts = await self._final_answer(
            token_question, renewal_claim, repeatable=repeatable
        )
        if isinstance(answer, Granted):
            await self._store_token(owner, token_question, stale, answer.credentials, renewal_claim)
            duration = (core.nanoseconds() - start_time) / _SECOND
            self._notify_observers(TokenRenewed, owner, duration=duration, attempts=attempts)
            return answer.credentials
        if isinstance(answer, Refused) and answer.why is Refusal.GONE and refresh_token is not None:
            await core.execute(
                store_answer(
                    renewal_claim.claim.key, renewal_claim.claim.fence, None, ttl=REMEMBERED
                ),
                seconds_left(core, renewal_claim.until),
            )
            return _GrantEnd(answer.words)
        rotated_credentials = _rotated_credentials(stale, answer)
        if rotated_credentials is not None:
            await self._store_token(
                owner, token_question, stale, rotated_credentials, renewal_claim
            )
            raise renewal_error(owner[0], answer)[0]
        if is_lost(answer) and not repeatable:
            await self._record_loss(owner, client, held, renewal_claim)
            return None
        await self._release_claim(renewal_claim)
        error, wait = renewal_error(owner[0], answer)
        if wait is not None:
            error.due = core.utc() + timedelta(seconds=wait)
        raise error

    async def _record_loss(
        self,
        owner: Owner,
        client: OAuthClient,
        held: OAuthCredentials | None,
        renewal_claim: _RenewalClaim,
    ) -> None:
        """Record that an answer was lost; return if the token may be sent again immediately."""
        core = self._core
        if renewal_claim.use != LATER_USE:
            await core.execute(
                abandon_claim(renewal_claim.claim.key, renewal_claim.claim.fence, ttl=REMEMBERED),
                seconds_left(core, renewal_claim.until),
            )
        if renewal_claim.use == FIRST_USE:
            return
        if renewal_claim.use == REPEATED_USE:
            # Nothing is sent under this claim: it keeps the distance to the next use.
            await self._claim(owner, client, held, renewal_claim.until, use=LATER_USE)
        raise self._lost_error(owner, self._pace.renewal + _MARGIN)

    async def _may_send(self, client: OAuthClient, renewal_claim: _RenewalClaim) -> bool:
        """Return whether a request may be sent under the claim, and mark a first use as sent."""
        core = self._core
        if renewal_claim.use == LATER_USE:
            return renewal_claim.until - core.nanoseconds() >= self._pace.request * _SECOND
        mark_command = MarkSent(
            renewal_claim.claim.key, renewal_claim.claim.fence, client.at("token_endpoint")
        )
        return bool(
            await core.renewals.holds(renewal_claim.claim, seconds_left(core, renewal_claim.until))
            and await core.execute(mark_command, seconds_left(core, renewal_claim.until))
        )

    async def _question(
        self, owner: Owner, client: OAuthClient, stale: OAuthCredentials | None
    ) -> TokenQuestion:
        """Return the token request that asks the authorisation server for a new token."""
        grant, subject = client.grant, None
        if isinstance(grant, Consent) and (stale is None or stale.refresh_token is None):
            raise self._consent_error(owner, "there is no refresh token")
        if isinstance(grant, TokenExchange) and isinstance(grant.subject, str):
            subject_credentials = await self._get(grant.subject, owner[1])
            subject = (
                subject_credentials.access_token
                if isinstance(subject_credentials, OAuthCredentials)
                else subject_credentials.secret
            )
        bound_key = None if stale is None else stale.dpop_key
        if bound_key is not None and client.authentication is ClientAuthentication.NONE:
            # The refresh token of a client without a secret is bound to its original key.
            client = attrs.evolve(client, dpop_key=bound_key)
        return TokenQuestion(client, stale, subject)

    async def _final_answer(
        self, question: TokenQuestion, renewal_claim: _RenewalClaim, *, repeatable: bool
    ) -> tuple[Granted | Refused | ConnectorError, int]:
        """Return the token endpoint's final response, and the number of requests made."""
        core, attempts, counted_attempts, delay, is_challenge = self._core, 0, 0, 0.0, False
        while True:
            attempts += 1
            asked_at = core.utc()
            answer = await self._send(question)
            if not isinstance(answer, ConnectorError):
                answer = read_token(
                    answer, question.client, asked_at, held=question.held, hidden=question.hidden()
                )
            if isinstance(answer, Granted):
                return answer, attempts
            was_challenged, is_challenge = is_challenge, _wants_nonce(answer)
            # A request that could outlast the claim is not started.
            spare_seconds = (
                renewal_claim.until - core.nanoseconds()
            ) / _SECOND - self._pace.request
            if is_challenge and not was_challenged and spare_seconds >= 0:
                continue
            counted_attempts += 1
            if is_lost(answer) and not repeatable:
                return answer, attempts
            error, wait = renewal_error(None, answer)
            decision = retry.decide(
                self._pace.retry,
                error,
                attempt=counted_attempts,
                repeatable=True,
                retry_after=wait,
                remaining=spare_seconds,
                previous=delay,
                draw=core.fraction(),
            )
            if not isinstance(decision, RetryAfterDelay):
                return answer, attempts
            delay = decision.delay
            await core.sleep(delay)

    async def _send(self, question: TokenQuestion) -> Any:
        """Send a token request once; return the response, or the error if none arrived."""
        core = self._core
        context = SigningContext(core.utc(), core.new_id())
        parameters = question.parameters(context)
        nonce = core.nonces.nonce_for(question.client.at("token_endpoint"))
        request, url = token_request(question.client, parameters, context, nonce=nonce)
        del parameters
        try:
            answer = await core.send(request, url, Timeouts(total=self._pace.request))
        except ConnectorError as error:
            failed_error = error
        else:
            if question.client.dpop_key is not None:
                core.nonces.remember_nonce(url, answer.headers)
            return answer
        return without_frames(failed_error)

    async def _store_token(
        self,
        owner: Owner,
        question: TokenQuestion,
        stale: OAuthCredentials | None,
        new: OAuthCredentials,
        renewal_claim: _RenewalClaim,
    ) -> None:
        """Store a new token, with retries, then release the claim on its renewal."""
        core, pause = self._core, _FIRST_PAUSE
        while (store_error := await self._store(owner, new)) is not None:
            if core.nanoseconds() + pause * _SECOND > renewal_claim.until:
                self.unstored[owner] = stale, new
                raise store_error
            await core.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        await self._release_claim(renewal_claim)
        refresh_token = None if stale is None else stale.refresh_token
        if refresh_token is None or refresh_token != new.refresh_token:
            self._reusable_tokens.pop(owner, None)
            return
        self._reusable_tokens[owner] = refresh_token
        # The refresh token does not rotate, so the outcomes of earlier requests are irrelevant.
        for use in _EARLIER_USES[renewal_claim.use]:
            earlier_claim = claim_key(owner, question.client, stale, use=use)
            resolve = Resolve(earlier_claim, done=False, ttl=_SHORT_TTL)
            await core.execute(resolve, seconds_left(core, renewal_claim.until))

    def _lost_error(self, owner: Owner, wait: float) -> CredentialRefreshFailed:
        """Return the error for a refresh token that is sent again after `wait` seconds."""
        error = lost_renewal_error(owner[0])
        error.due = self._core.utc() + timedelta(seconds=wait)
        return error

    async def _release_claim(self, claim: _RenewalClaim) -> None:
        """Release the claim on a renewal, so that another process can renew immediately."""
        await self._core.execute(
            release_claim(claim.claim.key, claim.claim.fence, ttl=_SHORT_TTL),
            seconds_left(self._core, claim.until),
        )

    async def _store(self, owner: Owner, new: OAuthCredentials) -> CredentialRefreshFailed | None:
        """Store a token; return the error if that fails."""
        try:
            await self._vault.rotate(*owner, new)
        except ConnectorError as error:
            store_error = error
        else:
            return None
        failure_to_store = CredentialRefreshFailed(
            "A new token was granted, but it could not be stored.",
            service=owner[0],
            retryable=True,
            remedy="Check the credential store. moorage stores the token as soon as the store"
            " works again.",
        )
        failure_to_store.__cause__ = without_frames(store_error)
        return failure_to_store

    def _consent_error(self, owner: Owner, reason: str) -> AuthorizationRequired:
        self._notify_observers(ConsentNeeded, owner, reason=reason)
        return AuthorizationRequired(
            f"A person must authorise {owner[0]!r} again: {reason}.", service=owner[0]
        )

    def _notify_observers(self, kind: Any, owner: Owner, **details: Any) -> None:
        core = self._core
        if core.observers:
            core.notify(
                kind(at=core.utc(), service=owner[0], tenant=tenant_of(owner[1]), **details)
            )


def _rotated_credentials(stale: OAuthCredentials | None, answer: Any) -> OAuthCredentials | None:
    """Return the old token with the new refresh token of a refusal; None without one."""
    refresh_token = answer.refresh_token if isinstance(answer, Refused) else None
    if stale is None or refresh_token is None or refresh_token == stale.refresh_token:
        return None
    return attrs.evolve(stale, refresh_token=refresh_token)


def _wants_nonce(answer: Refused | ConnectorError) -> bool:
    return isinstance(answer, Refused) and answer.why is Refusal.NONCE
