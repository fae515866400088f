"""One HTTP exchange: authentication, sending, and judging the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from moorage.domain.auth import methods as auth
from moorage.domain.auth.methods import Credentials, OAuthCredentials
from moorage.domain.auth.sent_values import Sent
from moorage.domain.http.requests import Request, Response, join_url
from moorage.domain.observation.events import CredentialRefreshed
from moorage.domain.resilience.admission import Answer
from moorage.domain.resilience.classify import (
    as_unreadable,
    classify,
    is_success,
    keeps_promise,
    unreadable,
)
from moorage.domain.resilience.health import REFUSED
from moorage.domain.resilience.vendor_hints import capped, rate_hint, retry_after
from moorage.domain.secrets.frames import bare
from moorage.domain.service.plan import is_repeatable, with_defaults, with_idempotency_key
from moorage.domain.signing.dpop import ProofRefusal, refusal_of
from moorage.domain.signing.occasion import Occasion
from moorage.domain.values.names import name_of
from moorage.domain.values.text import with_article
from moorage.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectorError,
    CredentialNotFound,
    InvalidData,
    RateLimitExceeded,
    VendorFailed,
)
from moorage.services.calling.admission import refusal
from moorage.services.calling.call import OutOfTimeError
from moorage.services.calling.regions import Route

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from moorage.domain.http.requests import Headers, Timeouts
    from moorage.services.calling.attempts import Ending
    from moorage.services.calling.call import Call
    from moorage.services.core.core import Core

Arrived: TypeAlias = "tuple[Ending, Sent]"
"""The ending of an attempt that was already made, and the credential it sent."""

_UNAUTHORIZED = 401
_MANY = 10**9
_REFUSED_ANEW: Final = (
    "Check the permissions of the credential and its account: a renewed credential was refused too."
    " It is renewed again in some minutes at most."
)
_REFUSED_PROOFS: Final = {
    ProofRefusal.NONCE: "The vendor refuses its own nonce, or sends none that can be used;"
    " report this to the vendor.",
    ProofRefusal.INVALID: "Check the clock of this machine, and that no proxy changes the URL;"
    " the token itself was not refused.",
}


class Exchange:
    """The step that sends one request and judges its answer; made once per call."""

    __slots__ = (
        "_acted",
        "_arrived",
        "_challenged",
        "_core",
        "_credentials",
        "_renewed",
        "_request",
        "_url",
        "transforms",
    )

    def __init__(
        self, core: Core, call: Call, request: Request, arrived: Arrived | None = None
    ) -> None:
        """Prepare a request; `arrived` is the result of a first attempt, if one was made.

        `transforms` are applied to the request before each attempt.
        """
        plan = call.plan
        if plan.base_url is None:
            call.route = _route(call, request)
        call.replayable = request.replayable
        if not request.replayable and call.repeatable and plan.retry.max_attempts > 1:
            raise InvalidData(
                "The body can be read only once, and this request may be sent again.",
                field="body",
                remedy="Give bytes or a function that opens the body anew, or retry=None.",
            )
        request = with_idempotency_key(with_defaults(request, plan), plan, call.key)
        self._arrived = [] if arrived is None else [arrived]
        self._core = core
        self._request = request
        as_it_is = plan.base_url is not None and not plan.request_transforms
        self._url = join_url(plan.base_url or "", request) if as_it_is else None
        self._credentials: Credentials | OAuthCredentials | None = None
        self._renewed = False
        self._challenged = False
        self.transforms = plan.request_transforms

    async def __call__(self, call: Call) -> Ending:
        """Send once. An error that may quote the vendor contains nothing of what was sent."""
        try:
            response, error = await self.send(call)
            if error is None:
                for transform in call.plan.response_transforms:
                    response = await self._in_time(call, self._core.settle(transform(response)))
                    if not isinstance(response, Response):
                        raise _no_result(transform, response, "response_transforms")
                response, error = await self.judged(call, response)
        except ConnectorError as failure:
            response, error = None, failure
        return response, call.masked(error)

    async def send(self, call: Call) -> Ending:
        """The answer, whatever its status, or the error if none arrived."""
        if self._arrived:
            call.leave()
            (response, error), call.sent = self._arrived.pop()
            if error is not None:
                call.disprove(error)
                return None, bare(error)
            return call.cleared(response), None
        base = call.plan.base_url or ""
        departure, plain = await self.prepare(call)
        call.leave()
        try:
            response = await self._core.send(*departure)
        except ConnectorError as error:
            self.note_no_answer(call, error)
            return None, error.with_traceback(None)
        finally:
            # An interruption's traceback contains this frame.
            del departure
        call.status = response.status
        unproven = self.read_proof_challenge(call, response.status, response.headers)
        if unproven is not None:
            return None, unproven
        if plain is not None:
            response = response.evolve(url=join_url(base, plain))
        return call.cleared(response), None

    def read_proof_challenge(
        self, call: Call, status: int, headers: Headers
    ) -> ConnectorError | None:
        """Process the parts of an answer about proofs of possession (RFC 9449, section 9).

        A proof without the vendor's nonce proves that nothing was done, and does not discredit the
        credential: it is returned as the error, and the same attempt is repeated. A second one in a
        row is treated like any other answer.
        """
        plan = call.plan
        call.unproven = None
        if self._credentials is not None and is_success(status):
            self._core.refreshes.accepted(plan.refresh_key)
        if not auth.proves(plan.credentials or self._credentials):
            return None
        nonce_learned = self._core.nonces.learn(plan.base_url or "", headers)
        if status == _UNAUTHORIZED:
            call.unproven = refusal_of(headers)
        challenged_before, self._challenged = self._challenged, call.unproven is ProofRefusal.NONCE
        if challenged_before or not nonce_learned or not self._challenged:
            return None
        call.disproved = True
        call.renewed = call.replayable
        return AuthenticationFailed(
            f"The vendor requires its own nonce in the proof of possession (HTTP {status}).",
            status=status,
            retryable=True,
            remedy="Send the request once more with a new body: the nonce is known now.",
        )

    def note_no_answer(self, call: Call, error: ConnectorError) -> None:
        """Note that no answer arrived."""
        self._challenged = False
        call.disprove(error)

    async def prepare(self, call: Call) -> tuple[tuple[Request, str, Timeouts], Request | None]:
        """The transformed and authorised request with its timeouts.

        Also returned: the request that the answer belongs to, if the sent one contains secrets.
        Nothing is stored here, because hedged reads may be in progress concurrently.
        """
        core, plan, request = self._core, call.plan, self._request
        call.status, self._acted = None, call.acted
        if self.transforms:
            request = await self.shaped(call)
        credentials = plan.credentials or self._credentials
        if credentials is None and plan.service.needs_credentials:
            self._credentials = credentials = await self._current(call)
        if call.claim is not None and not await core.renewals.holds(call.claim, call.left(core)):
            raise refusal(core, call, Answer.FENCED, 0)
        # Nothing is awaited from here on: the URL may contain secrets that no frame should show.
        base = plan.base_url or ""
        url = self._url or join_url(base, request)
        plain = None
        if credentials is not None:
            before = request
            request = auth.authorise(request, credentials)
            if auth.signs(credentials):
                occasion = Occasion(core.utc(), core.new_id())
                nonce = core.nonces.nonce_for(base)
                request = auth.sign(request, url, credentials, occasion, nonce=nonce)
            if request.query != before.query:
                plain, url = before, join_url(base, request)
        sent = Sent(credentials, request, url, plan.service.redaction, base)
        call.send(sent)
        if core.learn is not None:
            sent.teach(core.learn)
        remaining = call.remaining(core) / 1e9
        if remaining <= 0:
            del request, url
            raise call.out_of_time()
        return (request, url, plan.timeouts.within(remaining)), plain

    async def shaped(self, call: Call) -> Request:
        """The request after its transforms."""
        request = self._request
        for transform in self.transforms:
            request = await self._in_time(call, self._core.settle(transform(request)))
            if not isinstance(request, Request):
                raise _no_result(transform, request, "request_transforms")
        return request

    async def judged(self, call: Call, response: Response) -> Ending:
        """Judge an answer, renewing a refused credential first."""
        error = self._judge(call, response)
        if isinstance(error, AuthenticationFailed):
            if call.unproven is None:
                error = await self._renew(call, error)
            else:
                error.remedy = _REFUSED_PROOFS[call.unproven]
        return (response, None) if error is None else (None, error)

    def _judge(self, call: Call, response: Response) -> ConnectorError | None:
        """The error that an answer means, if any; notes a pause that the vendor asks for."""
        plan = call.plan
        error = plan.classify(self._request, response) if plan.classify else None
        if error is None:
            safe = self._request.method.safe
            service = plan.service
            answers_replays = service.idempotency_memory is not None and service.idempotency_replays
            keyed = answers_replays and call.claim is not None
            error = classify(response, service.redaction, safe=safe, keyed=keyed)
        if error is None:
            error = self._unreadable(call, response)
        if error is None:
            call.pause = self.spent(call, response.headers)
            return None
        if not isinstance(error, ConnectorError):
            raise ConfigurationError(
                f"{name_of(plan.classify)} returned {with_article(type(error).__name__)}.",
                path="classify",
                remedy="Return one of moorage's errors, or None.",
            )
        # A vendor's refusal proves that nothing was done; an error of a hook does not.
        call.disproved = isinstance(error, (*REFUSED, RateLimitExceeded))
        wait = retry_after(response.headers, self._core.utc())
        if wait is None and isinstance(error, RateLimitExceeded):
            wait = _reset(response.headers, self._core)
        if wait is not None:
            error.vendor_retry_after = wait
        call.pause = capped(wait, plan.service.max_pause)
        return error

    def _unreadable(self, call: Call, response: Response) -> ConnectorError | None:
        """The error if a successful answer cannot be read; it then counts as lost.

        If the request may be repeated, so may the call.
        """
        parse = call.parse
        if parse is None:
            if call.claim is None or keeps_promise(self._request, response):
                return None
            error: ConnectorError = unreadable(response)
        else:
            try:
                parse(response)
            except Exception as raised:  # noqa: BLE001 - whatever a vendor's parser raises
                error = as_unreadable(raised, response)
            else:
                return None
        if isinstance(error, VendorFailed) and call.repeatable:
            error.retryable = True
            error.remedy = "Repeat the call unchanged; tell the vendor if it persists."
        return bare(error)

    def spent(self, call: Call, headers: Headers) -> float | None:
        """Seconds to pause after a success that used up the vendor's allowance."""
        plan = call.plan
        if not plan.gates.limits:
            return None
        return capped(_reset(headers, self._core), plan.service.max_pause)

    async def _current(self, call: Call) -> Credentials | OAuthCredentials:
        plan = call.plan
        pending = self._core.get_credentials(plan.service.name, plan.tenant)
        return _credentials(await self._in_time(call, pending))

    async def _in_time(self, call: Call, pending: Awaitable[Any]) -> Any:
        """Await a result until the deadline; the synchronous version cannot cancel it."""
        try:
            return await self._core.within(pending, call.remaining(self._core) / 1e9)
        except OutOfTimeError:
            raise call.out_of_time() from None

    async def _renew(self, call: Call, error: AuthenticationFailed) -> ConnectorError:
        """After a 401, renew the credential once; the same attempt is then repeated.

        A service that refuses renewed credentials too does not cause a renewal for each call.
        """
        stale = self._credentials
        not_renewable = stale is None or call.plan.credentials is not None
        if error.status != _UNAUTHORIZED or self._renewed or not_renewable:
            return error
        self._renewed = True
        # The refusal proves that this attempt did nothing.
        call.acted = self._acted
        try:
            current = await self._renewed_by_one(call, stale)
        except ConnectorError as failed:
            failed.__cause__ = failed.__cause__ or error
            return failed
        if current is None:
            error.remedy = _REFUSED_ANEW
            return error
        self._credentials = current
        call.renewed = call.replayable
        return error

    async def _renewed_by_one(
        self, call: Call, stale: Any
    ) -> Credentials | OAuthCredentials | None:
        """The credential that replaces `stale`: renewed by one caller at a time, and once only.

        None if it was renewed a short time ago, and nothing has been accepted since.
        """
        core, plan = self._core, call.plan
        timeout = max(0.0, call.remaining(core) / 1e9)
        try:
            if not await core.acquire(
                plan.refresh_key, self, places=1, queue=_MANY, timeout=timeout
            ):
                raise call.out_of_time()
            current = await self._current(call)
            if current == stale:
                if not core.refreshes.allows(plan.refresh_key, core.nanoseconds()):
                    return None
                pending = core.refresh_credentials(plan.service.name, plan.tenant, stale)
                renewed = await self._in_time(call, pending)
                current = _credentials(renewed)
                core.refreshes.renewed(plan.refresh_key, core.nanoseconds())
                if core.observers:
                    core.tell(CredentialRefreshed(**call.event_fields(core)))
            return current
        finally:
            core.release(plan.refresh_key, self)


def _route(call: Call, request: Request) -> Route:
    plan = call.plan
    if not plan.regions:
        raise ConfigurationError(
            f"Service {plan.service.name!r} has no base_url.",
            path="base_url",
            remedy="Give the service a base_url, or protect a function with `run`.",
        )
    everywhere = call.key is not None and plan.service.idempotency_across_regions
    return Route(plan, request, movable=everywhere or is_repeatable(plan, request))


def _reset(headers: Headers, core: Core) -> float | None:
    """The time at which the vendor allows more, if its answer says that nothing is left."""
    hint = rate_hint(headers, core.utc()) if headers.mention("limit") else None
    return hint.reset_after if hint is not None and hint.remaining == 0 else None


def _credentials(value: object) -> Credentials | OAuthCredentials:
    if isinstance(value, (Credentials, OAuthCredentials)):
        return value
    raise CredentialNotFound(
        f"The credential provider returned {with_article(type(value).__name__)}.",
        remedy="Correct the credential provider: it must return Credentials or OAuthCredentials.",
    )


def _no_result(transform: object, value: object, kind: str) -> ConfigurationError:
    expected = "request" if kind == "request_transforms" else "response"
    return ConfigurationError(
        f"{name_of(transform)} returned {with_article(type(value).__name__)}, not a {expected}.",
        path=kind,
        remedy=f"Return the {expected}, changed or not.",
    )
