"""One HTTP exchange: who we are, what is sent, what the answer means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mooring.domain import auth
from mooring.domain.auth import Credentials, OAuthCredentials
from mooring.domain.classify import classify
from mooring.domain.events import CredentialRefreshed
from mooring.domain.health import REFUSED
from mooring.domain.http import Request, Response, join_url
from mooring.domain.names import name_of
from mooring.domain.plan import with_idempotency_key
from mooring.domain.retry_after import rate_hint, retry_after
from mooring.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectorError,
    CredentialNotFound,
    InvalidData,
    RateLimitExceeded,
)
from mooring.services.call import OutOfTimeError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from mooring.domain.http import Headers, Timeouts
    from mooring.services.attempts import Ending
    from mooring.services.call import Call
    from mooring.services.core import Core

_UNAUTHORIZED = 401
_MANY = 10**9


class Exchange:
    """The step that sends one request and judges its answer; made once per call."""

    __slots__ = ("_acted", "_core", "_credentials", "_renewed", "_request", "_url")

    def __init__(self, core: Core, call: Call, request: Request) -> None:
        plan = call.plan
        if plan.base_url is None:
            raise ConfigurationError(
                f"Service {plan.service.name!r} has no base_url to send requests to.",
                path="base_url",
                remedy="Give the service a base_url, or protect a function with `run`.",
            )
        call.replayable = request.replayable
        if not request.replayable and call.repeatable and plan.retry.max_attempts > 1:
            raise InvalidData(
                "The body can be read only once, and this request may be sent again.",
                field="body",
                remedy="Give bytes or a function that opens the body anew, or retry=None.",
            )
        headers = request.headers
        for name, value in plan.headers.pairs:
            headers = headers.with_default(name, value)
        headers = with_idempotency_key(headers, plan.service, call.key)
        if headers is not request.headers:
            request = request.evolve(headers=headers)
        self._core = core
        self._request = request
        self._url = None if plan.request_transforms else join_url(plan.base_url, request)
        self._credentials: Credentials | OAuthCredentials | None = None
        self._renewed = False

    async def __call__(self, call: Call) -> Ending:
        """Send once."""
        try:
            response = await self.send(call)
            for transform in call.plan.response_transforms:
                response = await self._in_time(call, self._core.settle(transform(response)))
                if not isinstance(response, Response):
                    raise _no_result(transform, response, "response_transforms")
            return await self.judged(call, response)
        except ConnectorError as error:
            return None, error

    async def send(self, call: Call) -> Response:
        """The answer, whatever its status."""
        request, url, timeouts = await self.prepare(call)
        call.leave()
        try:
            response = await self._core.send(request, url, timeouts)
        except ConnectorError as error:
            call.disprove(error)
            raise
        call.status = response.status
        return response

    async def prepare(self, call: Call) -> tuple[Request, str, Timeouts]:
        """What leaves: transformed and authorised, and how long it may take."""
        core, plan, request = self._core, call.plan, self._request
        call.status, self._acted = None, call.acted
        for transform in plan.request_transforms:
            request = await self._in_time(call, core.settle(transform(request)))
            if not isinstance(request, Request):
                raise _no_result(transform, request, "request_transforms")
        if plan.service.credentials is not None or plan.service.needs_credentials:
            if self._credentials is None:
                self._credentials = plan.service.credentials or await self._current(call)
            request = auth.authorise(request, self._credentials)
            url = join_url(plan.base_url or "", request)
        else:
            url = self._url or join_url(plan.base_url or "", request)
        remaining = call.remaining(core) / 1e9
        if remaining <= 0:
            raise call.out_of_time()
        return request, url, plan.timeouts.within(remaining)

    async def judged(self, call: Call, response: Response) -> Ending:
        """What the answer means, after a refused credential has been renewed."""
        error = self._judge(call, response)
        if isinstance(error, AuthenticationFailed):
            error = await self._renew(call, error)
        return (response, None) if error is None else (None, error)

    def _judge(self, call: Call, response: Response) -> ConnectorError | None:
        """The error that an answer stands for, and whether the vendor asked for a pause."""
        plan = call.plan
        error = plan.classify(self._request, response) if plan.classify else None
        if error is None:
            error = classify(response)
        if error is None:
            call.pause = self.spent(call, response.headers)
            return None
        if not isinstance(error, ConnectorError):
            raise ConfigurationError(
                f"{name_of(plan.classify)} returned a {type(error).__name__}.",
                path="classify",
                remedy="Return one of mooring's errors, or None.",
            )
        # An answer that says no proves that nothing was done; no other error of a hook's does.
        call.disproved = isinstance(error, (*REFUSED, RateLimitExceeded))
        now = self._core.utc()
        call.pause = retry_after(response.headers, now)
        if call.pause is None and isinstance(error, RateLimitExceeded):
            call.pause = _reset(response.headers, self._core)
        return error

    def spent(self, call: Call, headers: Headers) -> float | None:
        """How long to pause after a success that used up what the vendor allows."""
        return _reset(headers, self._core) if call.plan.gates.limits else None

    async def _current(self, call: Call) -> Credentials | OAuthCredentials:
        plan = call.plan
        asked = self._core.get_credentials(plan.service.name, plan.tenant)
        return _credentials(await self._in_time(call, asked))

    async def _in_time(self, call: Call, pending: Awaitable[Any]) -> Any:  # noqa: ANN401 - what comes
        """What is awaited, if it comes before the deadline; the plain face cannot cut it off."""
        try:
            return await self._core.within(pending, call.remaining(self._core) / 1e9)
        except OutOfTimeError:
            raise call.out_of_time() from None

    async def _renew(self, call: Call, error: AuthenticationFailed) -> ConnectorError:
        """After a 401 renew the credential once; the same attempt is then due again."""
        service, stale = call.plan.service, self._credentials
        given = stale is None or service.credentials is not None
        if error.status != _UNAUTHORIZED or self._renewed or given:
            return error
        self._renewed = True
        # The refusal proves that this attempt has done nothing.
        call.acted = self._acted
        try:
            self._credentials = await self._renewed_by_one(call, stale)
        except ConnectorError as failed:
            failed.__cause__ = failed.__cause__ or error
            return failed
        call.renewed = call.replayable
        return error

    async def _renewed_by_one(self, call: Call, stale: Any) -> Credentials | OAuthCredentials:  # noqa: ANN401 - of either kind
        """What is valid instead of `stale`: renewed by one caller at a time, and once only."""
        core, plan = self._core, call.plan
        timeout = max(0.0, call.remaining(core) / 1e9)
        try:
            if not await core.acquire(
                plan.refresh_key, self, places=1, queue=_MANY, timeout=timeout
            ):
                raise call.out_of_time()
            current = await self._current(call)
            if current == stale:
                asked = core.refresh_credentials(plan.service.name, plan.tenant, stale)
                renewed = await self._in_time(call, asked)
                current = _credentials(renewed)
                if core.observers:
                    core.tell(CredentialRefreshed(**call.told(core)))
            return current
        finally:
            core.release(plan.refresh_key, self)


def _reset(headers: Headers, core: Core) -> float | None:
    """When the vendor allows more, if its answer says that nothing is left."""
    hint = rate_hint(headers, core.utc())
    return hint.reset_after if hint is not None and hint.remaining == 0 else None


def _credentials(value: object) -> Credentials | OAuthCredentials:
    if isinstance(value, (Credentials, OAuthCredentials)):
        return value
    raise CredentialNotFound(
        f"the credential provider gave a {type(value).__name__}.",
        remedy="Mend the credential provider: it must give Credentials or OAuthCredentials.",
    )


def _no_result(transform: object, value: object, kind: str) -> ConfigurationError:
    wanted = "request" if kind == "request_transforms" else "response"
    return ConfigurationError(
        f"{name_of(transform)} returned a {type(value).__name__}, not a {wanted}.",
        path=kind,
        remedy=f"Return the {wanted} that goes on.",
    )
