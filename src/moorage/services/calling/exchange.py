"""One HTTP request: authenticate it, send it, and classify the response."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from moorage.domain.auth import methods as auth
from moorage.domain.auth.methods import Credentials, OAuthCredentials
from moorage.domain.auth.sent_values import SentCredentials
from moorage.domain.http.requests import Request, Response, join_url
from moorage.domain.http.urls import origin_of
from moorage.domain.observation.events import CredentialRefreshed
from moorage.domain.resilience.admission import Answer
from moorage.domain.resilience.classify import (
    as_unreadable,
    classify,
    is_json_as_promised,
    is_success,
    unreadable_answer_error,
)
from moorage.domain.resilience.health import REFUSED
from moorage.domain.resilience.vendor_hints import cap_wait, rate_hint, retry_after
from moorage.domain.secrets.frames import without_frames
from moorage.domain.service.plan import is_repeatable, with_defaults, with_idempotency_key
from moorage.domain.signing.context import SigningContext
from moorage.domain.signing.proof_refusals import ProofRefusal, refusal_of
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
from moorage.services.calling.attempt_result import AttemptResult, success_result
from moorage.services.calling.call import OutOfTimeError
from moorage.services.core.foreign_errors import wrong_answer_error

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from moorage.domain.http.requests import Headers, Timeouts
    from moorage.domain.secrets.secret import Secret
    from moorage.domain.service.operation import HttpOperation
    from moorage.domain.service.plan import Plan
    from moorage.services.calling.attempts import Ending
    from moorage.services.calling.call import Call
    from moorage.services.calling.regions import Route
    from moorage.services.core.core import Core


class FirstAttempt(NamedTuple):
    """The part of a request's first attempt that the fast path has made.

    Attributes:
        ending: the response, or the error that the attempt failed with; None if nothing was
            sent yet.
        sent: the credential that was sent; None if no credential was sent.
        credentials: the credentials that the provider returned, if it was asked.
    """

    ending: Ending | None
    sent: SentCredentials | None
    credentials: Credentials | OAuthCredentials | None


_UNAUTHORIZED = 401
_UNBOUNDED_QUEUE = 10**9
_REFUSED_AGAIN_REMEDY: Final = (
    "The vendor refused the credentials, and then the renewed credentials too. Check their"
    " permissions and the account. moorage renews them again after some minutes."
)
_REFUSED_PROOFS: Final = {
    ProofRefusal.NONCE: "The vendor refuses the nonce that it sent, or sends no usable nonce."
    " Report this to the vendor.",
    ProofRefusal.INVALID: "Check this machine's clock, and that no proxy changes the URL. The"
    " vendor did not refuse the token itself.",
}


class Exchange:
    """The step of a call that sends one request and classifies the response."""

    __slots__ = (
        "_challenged",
        "_core",
        "_credentials",
        "_first",
        "_renewed",
        "_replaced",
        "_request",
        "_url",
        "transforms",
    )

    conditional = False
    """True if requests are changed by more than the functions in `transforms`."""

    def __init__(
        self, core: Core, call: Call, request: Request, first: FirstAttempt | None = None
    ) -> None:
        """Prepare the exchange of one request; the fast path may have made part of the attempt.

        `transforms` are applied to the request before each attempt.
        """
        plan = call.plan
        if plan.base_url is None:
            call.route = _route(call, request)
        call.replayable = is_replayable = request.replayable
        if not is_replayable and call.repeatable and plan.retry.max_attempts > 1:
            raise InvalidData(
                "The request may be sent several times, but its body can be read only once.",
                field="body",
                remedy="Pass the body as bytes or as a function that opens it, or turn"
                " retries off with retry=None.",
            )
        request = with_idempotency_key(with_defaults(request, plan), plan, call.key)
        self._first = first if first is not None and first.ending is not None else None
        self._core = core
        self._request = call.request = request
        # The URL is joined now if joining can fail; otherwise later, because cached responses need
        # no URL.
        is_early = plan.base_url is not None and not plan.request_transforms
        is_early = is_early and not is_sure_to_leave(plan, request)
        self._url = join_url(plan.base_url or "", request) if is_early else None
        self._credentials = None if first is None else first.credentials
        self._renewed = False
        self._replaced = False
        self._challenged = False
        self.transforms = plan.request_transforms

    async def __call__(self, call: Call) -> AttemptResult:
        """Send the request once, and mask credentials in an error that may repeat them."""
        try:
            answer = await self.send(call)
            if isinstance(answer, AttemptResult):
                result = answer
            else:
                response: Any = answer
                for transform in call.plan.response_transforms:
                    response = await self._await_in_time(
                        call, self._core.settle(transform(response))
                    )
                    if not isinstance(response, Response):
                        raise _no_result_error(transform, response, "response_transforms")
                result = self._judge_answer(call, response)
                if isinstance(result.error, AuthenticationFailed):
                    result = await self._retried_with_new_credential(
                        call, response, result, result.error
                    )
        except ConnectorError as failure:
            result = AttemptResult(error=failure)
        call.mask(result.error)
        return result

    async def send(self, call: Call) -> Response | AttemptResult:
        """Send the request; return the response with any status, or the result of a failure.

        If no response can be used, return the result of the attempt.
        """
        if self._first is not None and self._first.ending is not None:
            return self._answer_of_attempt(call, self._first.ending, self._first.sent)
        base = call.plan.base_url or ""
        prepared_arguments, plain_request = await self.prepare(call)
        call.leave()
        try:
            response = await self._core.send(*prepared_arguments)
            if not isinstance(response, Response):
                raise wrong_answer_error(response, "a Response")
        except ConnectorError as error:
            self.record_missing_answer(call, error)
            return AttemptResult(error=error.with_traceback(None))
        finally:
            # The traceback of an interruption contains this frame, which must not show secrets.
            del prepared_arguments
        call.status, call.bytes_in = response.status, len(response.body)
        if call.content is not None:
            call.content.receive(response)
        challenge = self.read_challenge(call, response.status, response.headers)
        if challenge is not None:
            return challenge
        if plain_request is not None:
            response = response.evolve(url=join_url(base, plain_request))
        return call.mask_credential(response)

    def _answer_of_attempt(
        self, call: Call, ending: Ending, sent: SentCredentials | None
    ) -> Response | AttemptResult:
        """Return the response of the fast path's attempt, or the result of its failure."""
        response, error = ending
        self._first = None
        if error is None and not isinstance(response, Response):
            error = wrong_answer_error(response, "a Response")
        if error is not None:
            if sent is not None:
                call.leave()
                call.sent = sent
                call.weigh_effects(error)
            return AttemptResult(error=without_frames(error))
        call.leave()
        call.sent = sent
        call.status, call.bytes_in = response.status, len(response.body)
        return call.mask_credential(response)

    def read_challenge(self, call: Call, status: int, headers: Headers) -> AttemptResult | None:
        """Remember the nonce or challenge in a response that the next requests must include.

        Proofs of possession (RFC 9449, section 9) need a nonce, and Digest (RFC 7616) a challenge.
        A request without the server's nonce proves that nothing was done, and does not
        discredit the credential, so the same attempt is repeated. A second such response in a
        row is treated like any other response.
        """
        plan, core = call.plan, self._core
        if self._credentials is not None and is_success(status):
            core.refreshes.record_acceptance(plan.refresh_key)
        credentials, base = plan.credentials or self._credentials, plan.base_url or ""
        if credentials is None:
            return None
        if auth.proves_key(credentials):
            is_learned: bool | None = core.nonces.remember_nonce(base, headers)
            is_challenge = self._proof_refusal(call, status, headers) is ProofRefusal.NONCE
            requirement = "a nonce from its server in the proof of possession"
        elif auth.responds(credentials):
            is_learned = core.digests.remember_challenge(base, status, headers)
            is_challenge = is_learned is not None
            requirement = "a response to its Digest challenge"
        else:
            return None
        challenged_before, self._challenged = self._challenged, is_challenge
        if challenged_before or not is_learned or not is_challenge:
            return None
        call.record_no_effect()
        error = AuthenticationFailed(
            f"The vendor requires {requirement} (HTTP {status}).",
            status=status,
            retryable=True,
            remedy="Send the request again with a new body. moorage now has the vendor's"
            " nonce or challenge.",
        )
        return AttemptResult(error=error, repeats=call.replayable)

    def _proof_refusal(self, call: Call, status: int, headers: Headers) -> ProofRefusal | None:
        """Return why a response rejects the token's proof of possession.

        None if it accepts the proof.

        Return None if it accepts.
        """
        if status != _UNAUTHORIZED or not auth.proves_key(
            call.plan.credentials or self._credentials
        ):
            return None
        return refusal_of(headers)

    def record_missing_answer(self, call: Call, error: ConnectorError) -> None:
        """Record that a request failed with this error before a response arrived."""
        self._challenged = False
        call.weigh_effects(error)

    async def prepare(self, call: Call) -> tuple[tuple[Request, str, Timeouts], Request | None]:
        """Return the transformed and authorised request with its timeouts.

        The second value is the request to store in the response, if the sent request contains
        secrets. Nothing is stored here, because hedged reads may be in progress at the same time.
        """
        core, plan, request = self._core, call.plan, self._request
        call.status = call.bytes_in = None
        if self.transforms or self.conditional:
            request = await self.transformed_request(call)
        if core.traced is not None and call.beginning is not None:
            request = core.traced(request, call.beginning)
        credentials = plan.credentials or self._credentials
        if credentials is None and plan.service.needs_credentials:
            self._credentials = credentials = await self._current(call)
        base = plan.base_url or ""
        token = await self._token(call, base) if auth.negotiates(credentials) else None
        claim = call.claim if core.renewals.renews else None
        if claim is not None and not await core.renewals.holds(claim, call.left(core)):
            raise refusal(core, call, Answer.FENCED, 0)
        # No code below awaits: the URL may contain secrets, which no stack frame may show.
        url = self._url or join_url(base, request)
        plain_request, request_for_log = None, request
        operation = call.http_operation
        request = _complete_request(operation, request, core)
        if credentials is not None:
            unsigned_request, request = (
                request,
                self._with_authentication(request, url, base, credentials, token),
            )
            if request.body is not unsigned_request.body or (request.path, request.query) != (
                unsigned_request.path,
                unsigned_request.query,
            ):
                plain_request, url = unsigned_request, join_url(base, request)
        redaction, secrets = plan.service.redaction, _secrets_of(operation)
        sent_credentials = SentCredentials(
            credentials, request, url, redaction, base, secrets=secrets
        )
        call.send(sent_credentials)
        if plan.log_content is not None and core.stores_content:
            from moorage.domain.observation.call_content import (  # noqa: PLC0415 - few services log contents
                CallContent,
            )

            call.content = CallContent(
                plan.log_content, plan.service.redaction, request_for_log, base, sent_credentials
            )
        if core.learn is not None:
            sent_credentials.report_secrets(core.learn)
        time_left = call.remaining(core) / 1e9
        if time_left <= 0:
            del request, url
            raise call.deadline_error()
        return (request, url, plan.timeouts.within(time_left)), plain_request

    def _with_authentication(
        self,
        request: Request,
        url: str,
        base_url: str,
        credentials: Credentials | OAuthCredentials,
        token: bytes | None,
    ) -> Request:
        """Return the request with its credentials, and with the headers that these add."""
        core = self._core
        request = auth.authorise(request, credentials)
        if auth.signs(credentials):
            context = SigningContext(core.utc(), core.new_id())
            nonce = core.nonces.nonce_for(base_url)
            return auth.sign(request, url, credentials, context, nonce=nonce)
        if auth.responds(credentials):
            use = core.digests.next_use(base_url, core.new_id())
            return auth.respond(request, url, credentials, use)
        return request if token is None else auth.with_token(request, token)

    async def transformed_request(self, call: Call) -> Request:
        """Return the request after the service's functions have transformed it."""
        request = self._request
        for transform in self.transforms:
            request = await self._await_in_time(call, self._core.settle(transform(request)))
            if not isinstance(request, Request):
                raise _no_result_error(transform, request, "request_transforms")
        return request

    async def result_of_answer(self, call: Call, response: Response) -> AttemptResult:
        """Return the result of a response.

        If it refuses the credential, renew the credential first.
        """
        result = self._judge_answer(call, response)
        if isinstance(result.error, AuthenticationFailed):
            return await self._retried_with_new_credential(call, response, result, result.error)
        return result

    async def _retried_with_new_credential(
        self, call: Call, response: Response, result: AttemptResult, error: AuthenticationFailed
    ) -> AttemptResult:
        """Handle a refused credential: renew it and repeat the request, if that can help."""
        proof = self._proof_refusal(call, response.status, response.headers)
        if proof is None:
            return await self._renew(call, result, error)
        error.remedy = _REFUSED_PROOFS[proof]
        return result

    def _judge_answer(self, call: Call, response: Response) -> AttemptResult:
        """Return the result for a response, and the pause that the vendor requests."""
        plan = call.plan
        classify_hook, operation = plan.classify, call.http_operation
        error = None
        if classify_hook is not None:
            hook_verdict = classify_hook(self._request, response)
            error = _error_of(hook_verdict, classify_hook, "classify")
        if error is None:
            is_safe = self._request.method.safe
            service = plan.service
            answers_replays = service.idempotency_memory is not None and service.idempotency_replays
            has_key = answers_replays and call.claim is not None
            error = classify(response, service.redaction, safe=is_safe, keyed=has_key)
            if operation is not None:
                error = _error_in(operation, response, error)
        if error is None:
            error = self._unreadable_answer_error(call, response)
        if error is None:
            return success_result(response, self.pause_after(call, response.headers))
        if operation is not None and self._replace(call, operation, error):
            return AttemptResult(error=error, repeats=True)
        # A vendor's refusal proves that nothing was done; an error from a hook does not.
        if isinstance(error, (*REFUSED, RateLimitExceeded)):
            call.record_no_effect()
        wait = retry_after(response.headers, self._core.utc())
        if wait is None and isinstance(error, RateLimitExceeded):
            wait = _seconds_until_reset(response.headers, self._core)
        if wait is None:
            wait = error.vendor_retry_after
        error.vendor_retry_after = wait
        return AttemptResult(error=error, pause=cap_wait(wait, plan.service.max_pause))

    def _replace(self, call: Call, operation: HttpOperation[Any], error: ConnectorError) -> bool:
        """Replace the request's body if the operation provides another; return whether it did."""
        replacement = None if self._replaced else operation.replacement(error)
        if replacement is None:
            return False
        self._replaced = True
        self._request = call.request = self._request.evolve(body=replacement.body)
        call.record_no_effect()
        return True

    def _unreadable_answer_error(self, call: Call, response: Response) -> ConnectorError | None:
        """Return the error for an unreadable successful response; None if it can be parsed.

        If the request may be repeated, the call may be repeated too.
        """
        parse = call.parse
        if parse is None:
            if call.claim is None or is_json_as_promised(self._request, response):
                return None
            error: ConnectorError = unreadable_answer_error(response)
        else:
            try:
                parse(response)
            except Exception as raised:  # noqa: BLE001 - whatever a vendor's parser raises
                error = as_unreadable(raised, response)
            else:
                return None
        if isinstance(error, VendorFailed) and call.repeatable and not error.is_well_formed:
            error.retryable = True
            error.remedy = (
                "Repeat the call unchanged. If the error persists, report it to the vendor."
            )
        return without_frames(error)

    def pause_after(self, call: Call, headers: Headers) -> float | None:
        """Return the seconds to pause after a success that used up the vendor's rate limit."""
        plan = call.plan
        if not plan.gates.limits:
            return None
        return cap_wait(_seconds_until_reset(headers, self._core), plan.service.max_pause)

    async def _current(self, call: Call) -> Credentials | OAuthCredentials:
        plan = call.plan
        credentials_lookup = self._core.get_credentials(plan.service.name, plan.tenant)
        return as_credentials(await self._await_in_time(call, credentials_lookup))

    async def _token(self, call: Call, base_url: str) -> bytes:
        """Return the Kerberos negotiator's token for the host of a base URL."""
        origin = origin_of(base_url)
        host = "" if origin is None else origin[1]
        token = await self._await_in_time(call, self._core.negotiate(host))
        if isinstance(token, bytes):
            return token
        raise CredentialNotFound(
            f"The negotiator returned {with_article(type(token).__name__)}.",
            remedy="Correct the negotiator so that it returns the token as bytes.",
        )

    async def _await_in_time(self, call: Call, pending: Awaitable[Any]) -> Any:
        """Await a result until the call's deadline at the latest.

        Synchronous waits cannot be interrupted.
        """
        try:
            return await self._core.within(pending, call.remaining(self._core) / 1e9)
        except OutOfTimeError:
            raise call.deadline_error() from None

    async def _renew(
        self, call: Call, result: AttemptResult, error: AuthenticationFailed
    ) -> AttemptResult:
        """Renew the credential once after a 401, so that the attempt can be repeated.

        If a service also refuses renewed credentials, further renewals are limited.
        """
        stale_credentials = self._credentials
        not_renewable = stale_credentials is None or call.plan.credentials is not None
        if error.status != _UNAUTHORIZED or self._renewed or not_renewable:
            return result
        self._renewed = True
        try:
            current_credentials = await self._renewed_by_one(call, stale_credentials)
        except ConnectorError as failed:
            failed.__cause__ = failed.__cause__ or error
            return result._replace(error=failed)
        if current_credentials is None:
            error.remedy = _REFUSED_AGAIN_REMEDY
            return result
        self._credentials = current_credentials
        return result._replace(repeats=call.replayable)

    async def _renewed_by_one(
        self, call: Call, stale: Any
    ) -> Credentials | OAuthCredentials | None:
        """Return a new credential in place of `stale`; only one caller at a time renews it.

        Return None if the credential was renewed a short time ago and the service has accepted none
        since.
        """
        # A cached exchange may itself hold the revalidation lock of its response.
        core, plan, lock_holder = self._core, call.plan, object()
        timeout = max(0.0, call.remaining(core) / 1e9)
        try:
            if not await core.acquire(
                plan.refresh_key, lock_holder, slots=1, queue=_UNBOUNDED_QUEUE, timeout=timeout
            ):
                raise call.deadline_error()
            current_credentials = await self._current(call)
            if current_credentials == stale:
                if not core.refreshes.may_renew(plan.refresh_key, core.nanoseconds()):
                    return None
                credentials_lookup = core.refresh_credentials(plan.service.name, plan.tenant, stale)
                new_credentials = await self._await_in_time(call, credentials_lookup)
                current_credentials = as_credentials(new_credentials)
                core.refreshes.record_renewal(plan.refresh_key, core.nanoseconds())
                if core.observers:
                    call.emit(core, CredentialRefreshed)
            return current_credentials
        finally:
            core.release(plan.refresh_key, lock_holder)


class LateExchange:
    """An HTTP exchange that is prepared only when its first attempt begins.

    It is used only if making the exchange cannot fail, so that a mistake in a request is always
    found before its idempotency key is claimed.
    """

    __slots__ = ("_core", "_exchange", "_request")

    def __init__(self, core: Core, request: Request) -> None:
        self._core = core
        self._request = request
        self._exchange: Exchange | None = None

    def __call__(self, call: Call) -> Awaitable[AttemptResult]:
        """Prepare the exchange if necessary, and send the request once."""
        if self._exchange is None:
            self._exchange = Exchange(self._core, call, self._request)
        return self._exchange(call)


def is_sure_to_leave(plan: Plan, request: Request) -> bool:
    """Return whether the preparation of this request for sending certainly succeeds."""
    return (
        plan.base_url is not None
        and type(request.body) is bytes
        and request.path[:1] == "/"
        and not request.query
    )


def _route(call: Call, request: Request) -> Route:
    plan = call.plan
    if not plan.regions:
        raise ConfigurationError(
            f"The service {plan.service.name!r} has no base_url.",
            path="base_url",
            remedy="Set base_url of the service, or protect a function with `run`.",
        )
    is_in_all_regions = call.key is not None and plan.service.idempotency_across_regions
    from moorage.services.calling.regions import Route  # noqa: PLC0415 - few services have regions

    return Route(plan, request, may_move=is_in_all_regions or is_repeatable(plan, request))


def _secrets_of(operation: HttpOperation[Any] | None) -> tuple[Secret, ...]:
    """Return the secrets that the request of an operation contains."""
    return () if operation is None else operation.secrets


def _complete_request(
    operation: HttpOperation[Any] | None, request: Request, core: Core
) -> Request:
    """Return the request with the body of this attempt; each attempt may have a new body.

    Raises:
        ConfigurationError: a transform has replaced the body with a stream.
    """
    if operation is None or operation.attempt_body is None:
        return request
    if isinstance(request.body, bytes):
        context = SigningContext(core.utc(), core.new_id())
        return request.evolve(body=operation.attempt_body(request.body, context))
    raise ConfigurationError(
        "A request transform replaced the body with a stream, but the operation must change"
        " the body for each attempt.",
        path="request_transforms",
        remedy="Correct the transform so that it returns a request with a body of bytes.",
    )


def _seconds_until_reset(headers: Headers, core: Core) -> float | None:
    """Return the seconds until the vendor's exhausted limit resets; None if unknown."""
    hint = rate_hint(headers, core.utc()) if headers.has_name_with("limit") else None
    return hint.reset_after if hint is not None and hint.remaining == 0 else None


def _error_of(verdict: object, hook: object, path: str) -> ConnectorError | None:
    """Return the error that a service's hook found in a response; None if it found none.

    Raises:
        ConfigurationError: the hook returned something else.
    """
    if verdict is None or isinstance(verdict, ConnectorError):
        return verdict
    raise ConfigurationError(
        f"{name_of(hook)} returned {with_article(type(verdict).__name__)}.",
        path=path,
        remedy="Correct the function so that it returns one of moorage's errors, or None.",
    )


def _error_in(
    operation: HttpOperation[Any], response: Response, error: ConnectorError | None
) -> ConnectorError | None:
    """Return the error that an operation or the status code finds in a response."""
    if error is None:
        return _error_of(operation.refusal(response), operation.refusal, "refusal")
    return _error_of(operation.failure(response), operation.failure, "failure") or error


def as_credentials(value: object) -> Credentials | OAuthCredentials:
    """Check that a credential provider returned credentials, and return them.

    Raises:
        CredentialNotFound: the provider returned something else.
    """
    if isinstance(value, (Credentials, OAuthCredentials)):
        return value
    raise CredentialNotFound(
        f"The credential provider returned {with_article(type(value).__name__)}.",
        remedy="Correct the credential provider so that it returns Credentials or"
        " OAuthCredentials.",
    )


def _no_result_error(transform: object, value: object, kind: str) -> ConfigurationError:
    expected = "request" if kind == "request_transforms" else "response"
    return ConfigurationError(
        f"{name_of(transform)} returned {with_article(type(value).__name__)}, not a {expected}.",
        path=kind,
        remedy=f"Correct the transform so that it returns the {expected}, changed or unchanged.",
    )
