"""Requests to a cloud's API, with renewable credentials."""

from __future__ import annotations

from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar, cast

from moorage.adapters.clocks.system import SystemClock
from moorage.adapters.concurrency._plain import run_now
from moorage.adapters.http.stdlib.client import StdlibHttpClient
from moorage.adapters.secret_managers.managed_secrets import session_now
from moorage.adapters.steps._git_host_answers import host_time, unreadable_answer_error
from moorage.domain.auth.methods import authorise, sign, signs
from moorage.domain.http.requests import Request
from moorage.domain.http.timeouts import Timeouts
from moorage.domain.http.urls import join_url
from moorage.domain.resilience.vendor_hints import parse_retry_after
from moorage.domain.signing.context import SigningContext
from moorage.domain.values.json_text import encode_json
from moorage.errors import (
    AttemptTimeout,
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    InvalidData,
    InvalidRequest,
    LocalFailure,
    RateLimitExceeded,
    StorageUnavailable,
    VendorFailed,
    VendorRejected,
)
from moorage.vendor_sdk.aws import aws_refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from moorage.domain.auth.methods import Credentials
    from moorage.domain.http.requests import Response
    from moorage.ports.clock import Clock
    from moorage.ports.http import HttpClient
    from moorage.ports.secret_manager import LoginProvider

P = ParamSpec("P")
T = TypeVar("T")

NOT_FOUND: Final = 404
_UNFINISHED: Final = frozenset({408, 425})
"""Statuses under 500 after which nobody knows whether the request was carried out."""

_REQUEST_IDS: Final = ("x-amzn-requestid", "x-ms-request-id", "x-cloud-trace-context")
_PAUSE: Final = 1.0
"""Seconds of a pause that a cloud asks for without a number."""

_LOGIN_TIMEOUT: Final = 10.0
_SECOND: Final = 1_000_000_000


class CloudApi:
    """Sends requests to a cloud's API.

    Args:
        name: the name of the service in messages.
        login: obtains the credentials.
        http: the HTTP client; by default one of its own.
        clock: the clock of signatures; by default that of this machine.
        remedy: the advice for a request that the credentials do not permit.
    """

    def __init__(
        self,
        name: str,
        login: LoginProvider,
        http: HttpClient | None,
        clock: Clock | None,
        *,
        remedy: str,
    ) -> None:
        self.name = name
        self.clock: Clock = clock or SystemClock()
        self._http: HttpClient = StdlibHttpClient() if http is None else http
        self._is_own = http is None
        self._remedy = remedy
        self._session = session_now(login, self._http, _LOGIN_TIMEOUT, self.clock)

    def ask(
        self,
        method: str,
        base: str,
        path: str,
        timeout: float,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        allowed: frozenset[int] = frozenset(),
    ) -> Response:
        """Send a request, and return the answer.

        Args:
            method: the method.
            base: the URL of the API.
            path: the path below it.
            timeout: the time limit in seconds.
            query: the parameters of the URL.
            body: bytes, or a value that is sent as JSON.
            headers: further headers.
            allowed: statuses of 400 and above that are not errors.

        Raises:
            ConnectorError: the cloud cannot be reached, or refuses the request.
        """
        until = monotonic() + max(0.1, timeout)
        content = body if body is None or isinstance(body, bytes) else encode_json(body)
        kind = {} if content is None else {"Content-Type": "application/json"}
        request = Request(
            cast("Any", method),
            path,
            query=dict(query or {}),
            headers={"Accept": "application/json", **kind, **(headers or {})},
            body=content or b"",
        )

        async def send_authorised(credentials: Credentials) -> Response:
            authorised = authorise(request, credentials)
            url = join_url(base, authorised)
            if signs(credentials):
                context = SigningContext(self._session.wire.utc(), self._session.wire.nonce())
                authorised = sign(authorised, url, credentials, context)
            answer = self._http.send(authorised, url, Timeouts(total=max(0.1, until - monotonic())))
            if answer.status >= 400 and answer.status not in allowed:
                raise self.refusal(answer)
            return answer

        try:
            return run_now(self._session.do(send_authorised))
        except StorageUnavailable as error:
            # Only the login raises this error, so nothing was sent to the service itself.
            problem: ConnectorError = ConnectionFailed(
                f"The credentials for {self.name} are not available: {error.message}",
                may_have_been_processed=False,
                remedy=error.remedy,
            )
        except (ConfigurationError, InvalidData) as error:
            problem = LocalFailure(
                f"The credentials for {self.name} cannot be used: {error.message}",
                remedy="Correct the keys of this machine, or give others in the settings.",
            )
        raise problem

    def countdown(self, timeout: float) -> Callable[[], float]:
        """Return a function that returns the seconds left for the next of several requests.

        The function raises AttemptTimeout once the time limit of all requests has passed.
        """
        end_time = self.clock.nanoseconds() + int(timeout * _SECOND)

        def seconds_left() -> float:
            seconds = (end_time - self.clock.nanoseconds()) / _SECOND
            if seconds > 0:
                return seconds
            raise AttemptTimeout(
                f"{self.name} did not answer all requests within {timeout:g} seconds.",
                remedy="Allow more time, or remove runs that have ended.",
            )

        return seconds_left

    def now(self, answer: Response) -> datetime:
        """Return the time in an answer's headers, or else this machine's time."""
        date = answer.header("date")
        return self.clock.utc() if date is None else host_time(date)

    def refusal(self, answer: Response) -> ConnectorError:
        """Return the error for an unsuccessful answer."""
        code, message = _code_and_message(answer)
        facts: dict[str, Any] = {"status": answer.status, "vendor_code": code or None}
        facts["vendor_message"] = message
        facts["request_id"] = _request_id(answer)
        description = f"{self.name} answered with the status {answer.status}: {message or code}"
        kind = aws_refusal(code)
        if answer.status == 429 or kind is RateLimitExceeded:
            now = self.now(answer)
            pause = parse_retry_after(answer.header("retry-after"), now)
            return RateLimitExceeded(
                f"{self.name} limits the rate of requests: {message or code}",
                by_vendor=True,
                retry_at=now + timedelta(seconds=_PAUSE if pause is None else pause),
                **facts,
            )
        if answer.status in {401, 403} or kind is AuthenticationFailed:
            return AuthenticationFailed(
                f"{self.name} refused the credentials or the permission: {message or code}",
                remedy=self._remedy,
                **facts,
            )
        if answer.status >= 500 or answer.status in _UNFINISHED:
            return VendorFailed(description, **facts)
        if answer.status in {400, 422}:
            return InvalidRequest(description, **facts)
        return VendorRejected(description, **facts)

    def read(self, read: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
        """Return the value that a function reads from a response; raise an error if it fails.

        Raises:
            VendorFailed: the answer does not have the form that the cloud documents.
        """
        try:
            return read(*args, **options)
        except InvalidData:
            problem: ConnectorError = VendorFailed(f"{self.name} sent a response that is not JSON.")
        except Exception as error:
            failure = unreadable_answer_error(self.name, error)
            if failure is None:
                raise
            problem = failure
        raise problem

    def close(self) -> None:
        """Close the HTTP client, unless the application passed it."""
        if self._is_own:
            self._http.close()


def _code_and_message(answer: Response) -> tuple[str, str]:
    """Return the code and message in the body of a cloud's error response."""
    try:
        document: Any = answer.json()
    except InvalidData:
        return "", _printable(answer.text[:200])
    fields = cast("dict[str, Any]", document) if isinstance(document, dict) else {}
    inner_error: Any = fields.get("error")
    if isinstance(inner_error, dict):
        fields = cast("dict[str, Any]", inner_error)
    header = answer.header("x-amzn-errortype") or ""
    code: Any = fields.get("__type") or header or fields.get("status") or fields.get("code") or ""
    message: Any = fields.get("message") or fields.get("Message") or ""
    return str(code).rpartition("#")[2].partition(":")[0][:80], _printable(str(message)[:500])


def _request_id(answer: Response) -> str | None:
    """Return the cloud's id of a request; None if the response has none."""
    numbers = (answer.header(name) for name in _REQUEST_IDS)
    return next((number[:200] for number in numbers if number), None)


def _printable(text: str) -> str:
    """Return a cloud's text without control characters, which could manipulate a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
