"""One HTTP exchange: who we are, what is sent, what the answer means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mooring.domain import auth
from mooring.domain.classify import classify
from mooring.domain.events import CredentialRefreshed
from mooring.domain.http import join_url
from mooring.domain.plan import with_idempotency_key
from mooring.domain.retry_after import rate_hint, retry_after
from mooring.errors import (
    AttemptTimeout,
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    InvalidData,
)
from mooring.services.attempts import out_of_time

if TYPE_CHECKING:
    from mooring.domain.auth import Credentials
    from mooring.domain.http import Headers, Request, Response, Timeouts
    from mooring.services.attempts import Ending
    from mooring.services.call import Call
    from mooring.services.core import Core

_UNAUTHORIZED = 401


class Exchange:
    """The step that sends one request and judges its answer; made once per call."""

    __slots__ = ("_core", "_credentials", "_renewed", "_request", "_url")

    def __init__(self, core: Core, call: Call, request: Request) -> None:
        plan = call.plan
        if plan.base_url is None:
            raise ConfigurationError(
                f"Service {plan.service.name!r} has no base_url to send requests to.",
                path="base_url",
                remedy="Give the service a base_url, or protect a function with `run`.",
            )
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
        self._credentials: Credentials | None = None
        self._renewed = False

    async def __call__(self, call: Call) -> Ending:
        """Send once."""
        try:
            response = await self.send(call)
            for transform in call.plan.response_transforms:
                response = await self._core.settle(transform(response))
            return self.judge(call, response)
        except AuthenticationFailed as error:
            return None, await self._renew(call, error)
        except ConnectorError as error:
            return None, error

    async def send(self, call: Call) -> Response:
        """The answer, whatever its status."""
        request, url, timeouts = await self.prepare(call)
        call.acted = True
        try:
            response = await self._core.send(request, url, timeouts)
        except AttemptTimeout as error:
            if call.remaining(self._core) <= 0:
                raise out_of_time(call) from error
            raise
        except ConnectorError:
            raise
        except Exception as error:
            raise foreign(error) from error
        call.status = response.status
        return response

    async def prepare(self, call: Call) -> tuple[Request, str, Timeouts]:
        """What leaves: transformed and authorised, and how long it may take."""
        core, plan, request = self._core, call.plan, self._request
        for transform in plan.request_transforms:
            request = await core.settle(transform(request))
        if plan.service.credentials is not None or plan.service.needs_credentials:
            if self._credentials is None:
                self._credentials = await self._who(call)
            request = auth.authorise(request, self._credentials)
            url = join_url(plan.base_url or "", request)
        else:
            url = self._url or join_url(plan.base_url or "", request)
        remaining = call.remaining(core) / 1e9
        if remaining <= 0:
            raise out_of_time(call)
        return request, url, plan.timeouts.within(remaining)

    def judge(self, call: Call, response: Response) -> Ending:
        """What the answer means, and whether the vendor asked for a pause."""
        plan = call.plan
        error = plan.classify(self._request, response) if plan.classify else None
        if error is None:
            error = classify(response)
        if error is None:
            call.pause = self._spent(call, response.headers)
            return response, None
        call.pause = retry_after(response.headers, self._core.utc())
        if isinstance(error, AuthenticationFailed):
            raise error
        return None, error

    def _spent(self, call: Call, headers: Headers) -> float | None:
        """How long to pause after a success that used up what the vendor allows."""
        if not call.plan.gates.limits:
            return None
        hint = rate_hint(headers, self._core.utc())
        return hint.reset_after if hint is not None and hint.remaining == 0 else None

    async def _who(self, call: Call) -> Credentials:
        plan = call.plan
        if plan.service.credentials is not None:
            return plan.service.credentials
        return await self._core.get_credentials(plan.service.name, plan.tenant)

    async def _renew(self, call: Call, error: AuthenticationFailed) -> ConnectorError:
        """After a 401 renew the credential once; the same attempt is then due again."""
        service = call.plan.service
        refused = error.status == _UNAUTHORIZED and not self._renewed
        if not refused or self._credentials is None or not service.needs_credentials:
            return error
        self._renewed = True
        try:
            self._credentials = await self._core.refresh_credentials(
                service.name, call.plan.tenant, self._credentials
            )
        except ConnectorError as failed:
            failed.__cause__ = error
            return failed
        call.renewed = self._request.replayable
        if self._core.observers:
            self._core.tell(CredentialRefreshed(**call.told(self._core)))
        return error


def foreign(error: Exception) -> ConnectionFailed:
    """An HTTP client let a foreign exception through: nothing is known of the request."""
    return ConnectionFailed(
        f"the HTTP client raised {type(error).__name__}.",
        remedy="Mend the HTTP adapter: it must raise mooring's errors only.",
    )
