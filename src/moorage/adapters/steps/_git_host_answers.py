"""Responses of git hosts, such as GitHub, and the errors for unreadable or refused ones."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import wraps
from inspect import isfunction, signature
from typing import TYPE_CHECKING, Any, Final, NamedTuple, ParamSpec, TypeVar, cast

from moorage.domain.values.patterns import late_pattern
from moorage.errors import (
    AuthenticationFailed,
    ConnectorError,
    InvalidRequest,
    RateLimitExceeded,
    VendorFailed,
    VendorRejected,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.http.headers import Headers

K = TypeVar("K")
P = ParamSpec("P")
R = TypeVar("R")

NOT_FOUND: Final = 404
_PAUSE: Final = 60.0
"""Seconds of a pause that a host asks for without a number."""
_SECONDS: Final = late_pattern(r"[0-9]{1,10}")
_UNREADABLE_ERRORS: Final = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""The errors of Python that reading an answer of another form ends with."""


class Answer(NamedTuple):
    """A git host's answer: status, headers, body, and the host's time."""

    status: int
    headers: Headers
    data: bytes
    now: datetime

    def json(self) -> Any:
        """Return the body as JSON.

        Raises:
            VendorFailed: the body is not JSON.
        """
        try:
            return json.loads(self.data or b"null")
        except (ValueError, RecursionError):
            raise VendorFailed(
                "The git host sent a response that is not JSON.", status=self.status
            ) from None


def refusal(name: str, answer: Answer) -> ConnectorError:
    """Return the error for an unsuccessful answer."""
    status, headers = answer.status, answer.headers
    message = _message(answer.data)
    pause = headers.get("Retry-After")
    is_spent = headers.get("X-RateLimit-Remaining") == "0"
    if status == 429 or (status == 403 and (is_spent or pause is not None)):
        return RateLimitExceeded(
            f"{name} limits the rate of requests: {message}",
            status=status,
            retry_at=_end_of_pause(answer.now, pause, headers),
        )
    facts: dict[str, Any] = {"status": status, "vendor_message": message}
    if status in {401, 403}:
        return AuthenticationFailed(
            f"{name} refused the token or the permission: {message}",
            remedy="Check that the token has not expired, and that it has the permissions that"
            " the documentation of steps on git hosts lists.",
            **facts,
        )
    if status == NOT_FOUND:
        return VendorRejected(
            f"{name} does not have the requested object: {message}",
            remedy="Check the names, and that the token has permission to read the object.",
            **facts,
        )
    if status in {400, 422}:
        return InvalidRequest(f"{name} refused the request: {message}", **facts)
    kind = VendorFailed if status >= 500 else VendorRejected
    return kind(f"{name} answered with the status {status}: {message}", **facts)


def _message(data: bytes) -> str:
    """Return the message in the body of an error response."""
    try:
        document: Any = json.loads(data)
    except (ValueError, RecursionError):
        return _printable(data[:200].decode("utf-8", "replace"))
    if not isinstance(document, dict):
        return _printable(str(document)[:300])
    fields = cast("dict[str, Any]", document)
    parts: list[Any] = [fields.get("message") or fields.get("error") or ""]
    parts += [fields["errors"]] if fields.get("errors") else []
    words = [part if isinstance(part, str) else json.dumps(part) for part in parts]
    return _printable("; ".join(words)[:500])


def _printable(text: str) -> str:
    """Return a host's text without control characters, because they could manipulate a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _end_of_pause(now: datetime, pause: str | None, headers: Headers) -> datetime:
    seconds = _number(pause)
    if seconds is not None:
        return now + timedelta(seconds=seconds)
    reset = _number(headers.get("X-RateLimit-Reset") or headers.get("RateLimit-Reset"))
    if reset is not None:
        return datetime.fromtimestamp(reset, UTC)
    return now + timedelta(seconds=_PAUSE)


def _number(text: str | None) -> int | None:
    """Return the integer in a header; None if it is missing or too large."""
    match = _SECONDS.fullmatch(text or "")
    return None if match is None else int(match[0])


def host_time(text: str | None) -> datetime:
    """Return the host's time, or this machine's if the host reports none."""
    try:
        return parsedate_to_datetime(text or "").astimezone(UTC)
    except (ValueError, OverflowError, TypeError):
        return datetime.now(UTC)


def unreadable_answer_error(host: str, error: Exception) -> ConnectorError | None:
    """Return the error for a response that differs from the host's documentation.

    Args:
        host: the name of the host in messages.
        error: the exception that was raised while reading the answer.
    """
    if isinstance(error, ConnectorError) or not isinstance(error, _UNREADABLE_ERRORS):
        return None
    return VendorFailed(
        f"{host} sent a response that moorage cannot read ({type(error).__name__})."
    )


def reads_answers(host: str) -> Callable[[type[K]], type[K]]:
    """Return a class decorator that makes a host's requests raise errors of moorage.

    It is for the public methods that have a timeout, because only these send requests.
    """

    def with_read_answers(kind: type[K]) -> type[K]:
        for name, method in [*vars(kind).items()]:
            is_request = isfunction(method) and "timeout" in signature(method).parameters
            if is_request and not name.startswith("_"):
                setattr(kind, name, reading_answer(method, host))
        return kind

    return with_read_answers


def reading_answer(request: Callable[P, R], host: str) -> Callable[P, R]:
    """Wrap a request to a host so that an unreadable response raises an error of moorage."""

    @wraps(request)
    def send(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return request(*args, **kwargs)
        except _UNREADABLE_ERRORS as error:
            problem = unreadable_answer_error(host, error)
            if problem is None:
                raise
        raise problem

    return send
