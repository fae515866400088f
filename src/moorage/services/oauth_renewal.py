"""One renewal: a claim that no other process has, what is asked, and what is stored.

Laws:

1. A refresh token is shown by one holder at a time, under a claim in shared state that is marked
   before the request leaves, and renewed while the holder lives. A holder that dies before it is
   replaced at once. What a dead holder may have shown is shown once more when its request must
   have ended, as is what was answered and lost, and never again: then a person must be asked.
2. What is granted is stored before anybody uses it.
3. What the server's own trouble prevents is tried again later, and forgets nothing. Only the
   server's word that a grant is over ends it, and then nobody asks again.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import attrs

from moorage.domain import retry
from moorage.domain.auth import OAuthCredentials
from moorage.domain.events import ConsentNeeded, TokenRenewed
from moorage.domain.frames import bare
from moorage.domain.http import Timeouts
from moorage.domain.idempotency import Claim, MarkSent, Resolve, Verdict, abandon, complete, release
from moorage.domain.oauth.client import ClientAuthentication
from moorage.domain.oauth.drawers import tenant_of
from moorage.domain.oauth.grants import Consent, TokenExchange
from moorage.domain.oauth.question import (
    GRANT,
    REMEMBERED,
    Question,
    claim_key,
    failure,
    is_lost,
    too_slow,
)
from moorage.domain.oauth.token_answer import Granted, Refusal, Refused, read_token
from moorage.domain.oauth.token_request import token_request
from moorage.domain.renewal import Held
from moorage.domain.retry import Again
from moorage.domain.signing.occasion import Occasion
from moorage.errors import (
    AuthorizationRequired,
    ConnectorError,
    CredentialNotFound,
    CredentialRefreshFailed,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.oauth.client import OAuthClient
    from moorage.domain.oauth.freshness import Ahead
    from moorage.domain.retry import RetryPolicy
    from moorage.services.core import Core, Flow

Owner: TypeAlias = "tuple[str, str | None]"
Get: TypeAlias = "Callable[[str, str | None], Flow[Any]]"

_SECOND: Final = 10**9
_SOONEST: Final = 0.02
_LATEST: Final = 0.25
_MARGIN: Final = 1.0
_BRIEFLY: Final = 3_600 * 10**6


@attrs.frozen
class Vault:
    """The verbs of where credentials are kept, of either kind."""

    get: Callable[[str, str | None], Flow[Any]]
    has: Callable[[str, str | None], Flow[bool]]
    refresh: Callable[[str, str | None, Any], Flow[Any]]
    rotate: Callable[[str, str | None, Any], Flow[None]]


@attrs.frozen(kw_only=True)
class Pace:
    """How long things may take, in seconds.

    `request` is for one request, `renewal` for all that one holder sends, `patience` for who waits
    for another. What was read from the vault is believed for `believed`.
    """

    ahead: Ahead
    retry: RetryPolicy
    request: float
    renewal: float
    patience: float
    believed: float


class _Turn(NamedTuple):
    """A claim that is held, until when to be done, and if it is the second."""

    claim: Held
    until: int
    again: bool


class _Wait(NamedTuple):
    """For how many seconds another may have its turn."""

    seconds: float


class _LostError(Exception):
    """Nobody knows whether anything was granted."""


class Renewal:
    """Renews tokens under claims.

    Args:
        core: the ports.
        vault: where tokens are kept.
        pace: how long things may take.
        get: another service's credential, for a token exchange.

    Attributes:
        unstored: what was granted and could not be stored yet, beside what it replaces.
    """

    def __init__(self, core: Core, vault: Vault, pace: Pace, get: Get) -> None:
        self._core = core
        self._vault = vault
        self._pace = pace
        self._get = get
        self.unstored: dict[Owner, tuple[OAuthCredentials, OAuthCredentials]] = {}

    async def stored(self, owner: Owner) -> Any:
        """What the vault has, once what waits to be stored is."""
        kept = await self._vault.get(*owner)
        waiting = self.unstored.get(owner)
        if waiting is None:
            return kept
        stale, new = waiting
        if kept == stale:
            await self._vault.rotate(*owner, new)
            kept = new
        self.unstored.pop(owner, None)
        return kept

    async def claimed(
        self,
        owner: Owner,
        client: OAuthClient,
        stale: OAuthCredentials | None,
        *,
        patience: float | None,
    ) -> Any:
        """Renew when no other process does; or what one has stored meanwhile.

        None if another is at it, and there is no patience to wait for it.
        """
        core, began, pause, again = self._core, self._core.nanoseconds(), _SOONEST, False
        while True:
            turn = await self._claim(owner, client, stale, again=again)
            if isinstance(turn, _Turn):
                claim = turn.claim
                core.renewals.keep(claim)
                try:
                    return await self._taken(owner, client, stale, turn)
                except _LostError:
                    turn = None
                finally:
                    core.renewals.let_go(claim)
            if turn is None:
                if again:
                    raise self._over(owner, "the answer that brought the last one was lost")
                again = True
                continue
            if patience is None:
                return None
            pause = min(turn.seconds, pause)
            if core.nanoseconds() - began + pause * _SECOND > patience * _SECOND:
                raise too_slow(owner[0])
            await core.sleep(pause)
            pause = min(2 * pause, _LATEST)
            newer = await self._newer(owner, stale)
            if newer is not None:
                return newer

    async def _claim(
        self, owner: Owner, client: OAuthClient, stale: OAuthCredentials | None, *, again: bool
    ) -> _Turn | _Wait | None:
        """A turn; or how long another may have it; or None if it ended nobody knows how."""
        core, renewal = self._core, self._pace.renewal
        key = claim_key(owner, client, stale, again=again)
        began, term = core.nanoseconds(), int((renewal + _MARGIN) * 10**6)
        until, lease = began + int(renewal * _SECOND), core.renewals.lease(term)
        verdict, fence, wait, _ = await core.execute(
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
            None,
        )
        if verdict is Verdict.REPLAY:
            raise self._over(owner, "its grant is over")
        if verdict is Verdict.RUN:
            held = Held(key, fence, ttl=REMEMBERED, until=began + lease * 1000)
            return _Turn(held, until, again)
        # One that is shown while another holder's request is under way may end the grant.
        return _Wait(wait / 10**6) if wait else None

    async def _newer(self, owner: Owner, stale: OAuthCredentials | None) -> OAuthCredentials | None:
        """What somebody else has stored meanwhile."""
        try:
            kept = await self.stored(owner)
        except CredentialNotFound:
            return None
        if not isinstance(kept, OAuthCredentials):
            return None
        same = stale is not None and (
            kept.access_token == stale.access_token and kept.refresh_token == stale.refresh_token
        )
        return None if same else kept

    async def _taken(
        self, owner: Owner, client: OAuthClient, stale: OAuthCredentials | None, turn: _Turn
    ) -> OAuthCredentials:
        """Take a turn: look once more, ask, and store what is granted."""
        core, began, alone = self._core, self._core.nanoseconds(), client.grant.alone
        try:
            newer = await self._newer(owner, stale)
            question = await self._question(owner, client, stale) if newer is None else None
        except ConnectorError:
            # Nothing was shown, so nobody need wait until this turn lapses.
            await core.execute(release(turn.claim.key, turn.claim.fence, ttl=_BRIEFLY), None)
            raise
        if question is None:
            await core.execute(release(turn.claim.key, turn.claim.fence, ttl=_BRIEFLY), None)
            return newer  # type: ignore[return-value]  # one of the two is there
        mark = MarkSent(turn.claim.key, turn.claim.fence, client.at("token_endpoint"))
        if not alone and not (
            await core.renewals.holds(turn.claim, None) and await core.execute(mark, None)
        ):
            raise too_slow(owner[0])
        answer, attempts = await self._answer(owner, question, turn)
        if isinstance(answer, Granted):
            await self._keep(owner, question, answer.credentials, turn)
            duration = (core.nanoseconds() - began) / _SECOND
            self._tell(TokenRenewed, owner, duration=duration, attempts=attempts)
            return answer.credentials
        if isinstance(answer, Refused) and answer.why is Refusal.GONE and not alone:
            await core.execute(
                complete(turn.claim.key, turn.claim.fence, None, ttl=REMEMBERED), None
            )
            raise self._over(owner, answer.words)
        rotated = _rotated(stale, answer)
        if rotated is not None:
            await self._keep(owner, question, rotated, turn)
            raise failure(owner[0], answer)[0]
        if is_lost(answer) and not alone:
            await core.execute(abandon(turn.claim.key, turn.claim.fence, ttl=REMEMBERED), None)
            raise _LostError
        await core.execute(release(turn.claim.key, turn.claim.fence, ttl=_BRIEFLY), None)
        error, wait = failure(owner[0], answer)
        if wait is not None:
            error.due = core.utc() + timedelta(seconds=wait)
        raise error

    async def _question(
        self, owner: Owner, client: OAuthClient, stale: OAuthCredentials | None
    ) -> Question:
        """What is to be asked."""
        grant, subject = client.grant, None
        if isinstance(grant, Consent) and (stale is None or stale.refresh_token is None):
            raise self._over(owner, "there is no refresh token")
        if isinstance(grant, TokenExchange) and isinstance(grant.subject, str):
            other = await self._get(grant.subject, owner[1])
            subject = other.access_token if isinstance(other, OAuthCredentials) else other.secret
        bound = None if stale is None else stale.dpop_key
        if bound is not None and client.authentication is ClientAuthentication.NONE:
            # A refresh token of who has no secret is bound to the key that it was given for.
            client = attrs.evolve(client, dpop_key=bound)
        return Question(client, stale, subject)

    async def _answer(
        self, owner: Owner, question: Question, turn: _Turn
    ) -> tuple[Granted | Refused | ConnectorError, int]:
        """What the token endpoint says in the end, and after how many requests."""
        core, attempts, tries, delay, challenged = self._core, 0, 0, 0.0, False
        while True:
            attempts += 1
            asked_at = core.utc()
            answer = await self._sent(question)
            if not isinstance(answer, ConnectorError):
                answer = read_token(
                    answer, question.client, asked_at, held=question.held, hidden=question.hidden()
                )
            if isinstance(answer, Granted):
                return answer, attempts
            before, challenged = challenged, _wants_nonce(answer)
            # No request begins that could outlast the claim.
            spare = (turn.until - core.nanoseconds()) / _SECOND - self._pace.request
            if challenged and not before and spare >= 0:
                continue
            tries += 1
            if is_lost(answer) and not question.client.grant.alone:
                return answer, attempts
            error, wait = failure(owner[0], answer)
            decision = retry.decide(
                self._pace.retry,
                error,
                attempt=tries,
                repeatable=True,
                retry_after=wait,
                remaining=spare,
                previous=delay,
                draw=core.fraction(),
            )
            if not isinstance(decision, Again):
                return answer, attempts
            delay = decision.delay
            await core.sleep(delay)

    async def _sent(self, question: Question) -> Any:
        """The answer, or why there is none."""
        core = self._core
        occasion = Occasion(core.utc(), core.new_id())
        told = question.parameters(occasion)
        nonce = core.nonces.known(question.client.at("token_endpoint"))
        request, url = token_request(question.client, told, occasion, nonce=nonce)
        del told
        try:
            answer = await core.send(request, url, Timeouts(total=self._pace.request))
        except ConnectorError as error:
            failed = error
        else:
            if question.client.dpop_key is not None:
                core.nonces.learn(url, answer.headers)
            return answer
        return bare(failed)

    async def _keep(
        self, owner: Owner, question: Question, new: OAuthCredentials, turn: _Turn
    ) -> None:
        """Store what was granted, then let go of the claim."""
        core, pause, stale = self._core, _SOONEST, question.held
        while (failed := await self._store(owner, new)) is not None:
            if core.nanoseconds() + pause * _SECOND > turn.until:
                if stale is not None:
                    self.unstored[owner] = stale, new
                raise failed
            await core.sleep(pause)
            pause = min(2 * pause, _LATEST)
        await core.execute(release(turn.claim.key, turn.claim.fence, ttl=_BRIEFLY), None)
        if turn.again and stale is not None and stale.refresh_token == new.refresh_token:
            # It does not rotate, so what became of the first request does not matter.
            first = claim_key(owner, question.client, stale, again=False)
            await core.execute(Resolve(first, done=False, ttl=_BRIEFLY), None)

    async def _store(self, owner: Owner, new: OAuthCredentials) -> CredentialRefreshFailed | None:
        """Store it, or say why that failed."""
        try:
            await self._vault.rotate(*owner, new)
        except ConnectorError as error:
            failed = error
        else:
            return None
        told = CredentialRefreshFailed(
            "A new token was granted, and cannot be stored.",
            service=owner[0],
            retryable=True,
            remedy="Check the store of credentials; the token is stored as soon as it can be.",
        )
        told.__cause__ = bare(failed)
        return told

    def _over(self, owner: Owner, reason: str) -> AuthorizationRequired:
        self._tell(ConsentNeeded, owner, reason=reason)
        return AuthorizationRequired(
            f"A person must authorise {owner[0]!r} again: {reason}.", service=owner[0]
        )

    def _tell(self, kind: Any, owner: Owner, **details: Any) -> None:
        core = self._core
        if core.observers:
            core.tell(kind(at=core.utc(), service=owner[0], tenant=tenant_of(owner[1]), **details))


def _rotated(stale: OAuthCredentials | None, answer: Any) -> OAuthCredentials | None:
    """What was held, with the refresh token of an answer that has nothing else to be read."""
    new = answer.refresh_token if isinstance(answer, Refused) else None
    if stale is None or new is None or new == stale.refresh_token:
        return None
    return attrs.evolve(stale, refresh_token=new)


def _wants_nonce(answer: Refused | ConnectorError) -> bool:
    return isinstance(answer, Refused) and answer.why is Refusal.NONCE
