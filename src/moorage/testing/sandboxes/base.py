"""The base class of all vendor sandboxes."""

from __future__ import annotations

import json
import re
import time
from base64 import b64decode
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from http.client import HTTPConnection, HTTPSConnection
from threading import RLock, local
from types import NoneType
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Literal,
    NoReturn,
    TypeAlias,
    TypeVar,
    dataclass_transform,
)
from urllib.parse import parse_qsl, unquote, urlsplit

import attrs

from moorage.domain.http.requests import Response
from moorage.domain.values.json_text import encode_json
from moorage.errors import AttemptTimeout, ConnectionFailed, ConnectorError, InvalidData
from moorage.runtime.flows import run_now
from moorage.testing.fakes.http import (
    AsyncScriptedIncoming,
    ScriptedIncoming,
    as_bytes,
    with_whole_body,
)
from moorage.testing.fakes.http_script import Behaviour, ReceivedRequest
from moorage.testing.fakes.http_server import VendorServer

if TYPE_CHECKING:
    from collections.abc import Generator, Hashable, Iterable

    from moorage.domain.http.headers import Headers
    from moorage.domain.http.requests import Request, Timeouts

PIECE: Final = 65_536
Routes: TypeAlias = Mapping[str, Callable[..., Response]]
"""The handlers of a sandbox, by method and path."""

_Record = TypeVar("_Record")
_Problem = TypeVar("_Problem")
_Value = TypeVar("_Value")


_JSON_TYPES: Final = frozenset(
    f"application/{name}" for name in ("json", "scim+json", "vnd.api+json", "glsVersion1+json")
)


UNREADABLE: Final = (
    ArithmeticError,
    AttributeError,
    InvalidData,
    LookupError,
    RecursionError,
    StopIteration,
    TypeError,
    ValueError,
)
"""The errors of a handler whose request has a value of a wrong type or format, or lacks one."""


def no_fields() -> dict[str, str]:
    """Return an empty dict of headers."""
    return {}


@attrs.frozen(repr=False)
class SandboxRequest:
    """A request that a sandbox received.

    Attributes:
        method: the HTTP method.
        host: the host that it was sent to.
        path: the path, percent-encoded as it was received.
        query: the decoded query parameters.
        headers: the request's header fields.
        body: the complete body.
    """

    method: str
    host: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: Headers
    body: bytes

    @property
    def form(self) -> tuple[tuple[str, str], ...]:
        """The decoded fields of a form; the request's content type must be a form's."""
        kind = (self.headers.get("content-type") or "").partition(";")[0]
        if self.body and kind != "application/x-www-form-urlencoded":
            raise Refusal(Response(415, body=b"The body is not a form."))
        try:
            return tuple(parse_qsl(self.body.decode(), keep_blank_values=True))
        except UnicodeDecodeError:
            raise Refusal(Response(400, body=b"This form is not in UTF-8.")) from None

    def json(self) -> Any:
        """The value of a JSON body; the request's content type must be JSON."""
        kind = (self.headers.get("content-type") or "").partition(";")[0]
        if kind not in _JSON_TYPES:
            raise Refusal(Response(415, body=b"This is not JSON."))
        try:
            return json.loads(self.body, parse_constant=_refuse_constant)
        except (RecursionError, ValueError):
            raise Refusal(Response(400, body=b"This is not JSON.")) from None

    def basic(self) -> tuple[str, str] | None:
        """The user and password of the request's basic authentication, if any can be read."""
        scheme, _, text = (self.headers.get("authorization") or "").partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            user, _, password = b64decode(text, validate=True).decode().partition(":")
        except ValueError:
            return None
        return user, password

    def bearer(self) -> str | None:
        """The bearer token of the request, if any."""
        scheme, _, text = (self.headers.get("authorization") or "").partition(" ")
        return text if scheme.lower() == "bearer" else None


@attrs.frozen(kw_only=True)
class Notice:
    """A webhook that a sandbox sends, signed like the vendor's.

    Attributes:
        url: the URL that it is sent to.
        headers: the webhook's header fields, with the signature if the vendor sends it in a header.
        body: the bytes that are sent.
        method: the HTTP method.
    """

    url: str
    headers: Mapping[str, str] = attrs.field(factory=no_fields, repr=False)
    body: bytes = attrs.field(default=b"", repr=False)
    method: str = "POST"

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of `WebhookVerifier.verify`: `verify(**notice.arguments())`."""
        return attrs.asdict(self)

    def deliver(self, timeout: float = 10.0) -> int:
        """Send the webhook to its URL, and return the status of the response.

        Args:
            timeout: seconds for the application to answer.
        """
        locations = urlsplit(self.url)
        kind = HTTPSConnection if locations.scheme == "https" else HTTPConnection
        connection = kind(locations.netloc, timeout=timeout)
        try:
            path = (
                f"{locations.path or '/'}?{locations.query}"
                if locations.query
                else locations.path or "/"
            )
            connection.request(self.method, path, self.body, dict(self.headers))
            return connection.getresponse().status
        finally:
            connection.close()


class Refusal(Exception):
    """An exception that makes a sandbox refuse a request with an error response."""

    def __init__(self, response: Response) -> None:
        super().__init__(f"HTTP {response.status}")
        self.response = response


def reply(value: object, status: int = 200, **headers: str) -> Response:
    """Return a JSON response; underscores in header names become hyphens."""
    fields = {name.replace("_", "-"): text for name, text in headers.items()}
    return Response(status, {"Content-Type": "application/json", **fields}, encode_json(value))


def refusal(value: object, status: int, **headers: str) -> Refusal:
    """Return an exception that refuses a request with a JSON response."""
    return Refusal(reply(value, status, **headers))


def existing(records: Mapping[str, _Record], id_: str, missing: Refusal) -> _Record:
    """Return the record with an id; if there is none, raise the vendor's error response."""
    if id_ not in records:
        raise missing
    return records[id_]


def check_step(what: str, state: str, *states: str) -> None:
    """Refuse a step of a buyer or bank that the vendor does not allow in an object's state.

    Args:
        what: the object, with its id.
        state: its current state.
        states: the states in which the step is possible.

    Raises:
        InvalidData: the step is not possible.
    """
    if state not in states:
        raise InvalidData(
            f"{what} is {state}, so this step is not possible.",
            field="status",
            remedy=f"Take this step once, while the state is {' or '.join(states)}.",
        )


def first_problem(problems: Mapping[_Problem, object]) -> _Problem | None:
    """Return the first problem whose condition is true; None if all are false."""
    return next((problem for problem, applies in problems.items() if applies), None)


def unreadable_problem(error: Exception) -> str:
    """Return a description of an error in `UNREADABLE`."""
    return f"The request cannot be read ({type(error).__name__}: {error})."


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def moment(at: datetime | None) -> datetime:
    """Return a time in UTC; by default the current time."""
    return (at or datetime.now(UTC)).astimezone(UTC)


def _is_empty(_: Response) -> bool:
    return False


@attrs.define
class Replays:
    """The responses that a vendor repeats for known idempotency keys.

    Args:
        conflict: makes the error response to a key that was used for another request before; if
            None, the content of a repeated request does not matter.
        headers: fields that are added to a repeated response.
        refusals: decides which error responses are replayed, besides successes; by default none.
        header: header that carries the key, for `once`.
        by_path: True if each path has its own keys, for `once`.
        longest: number of characters that a key may have, for `once`.
        invalid: makes the error response to a key that is empty or too long, for `once`; if None,
            every key is accepted.
        memory: seconds for which the vendor remembers a key at least; afterwards the sandbox
            executes a request with the key again. None if the vendor never forgets.
        now: returns the time, in seconds since 1970.
    """

    conflict: Callable[[], Refusal] | None = None
    headers: Mapping[str, str] = attrs.field(factory=no_fields)
    refusals: Callable[[Response], bool] = _is_empty
    header: str = "idempotency-key"
    by_path: bool = False
    longest: int = 255
    invalid: Callable[[], Refusal] | None = None
    memory: float | None = None
    now: Callable[[], float] = time.time
    _responses: dict[Hashable, tuple[object, Response, float]] = attrs.field(
        factory=dict, init=False
    )

    def respond(self, key: Hashable, content: object, execute: Callable[[], Response]) -> Response:
        """Return an idempotency key's stored response, or execute the request and store it.

        Args:
            key: the idempotency key, with anything else that distinguishes keys at the vendor.
            content: the content of the request, which must be equal to that of the first request
                with the key.
            execute: executes the request.
        """
        now = self.now()
        earlier_content, response, stored_at = self._responses.get(key, (None, None, now))
        is_forgotten = self.memory is not None and now >= stored_at + self.memory
        if response is not None and not is_forgotten:
            if self.conflict is not None and earlier_content != content:
                raise self.conflict()
            return response.evolve(headers={**dict(response.headers), **self.headers})
        try:
            response = execute()
        except Refusal as refusal:
            response = refusal.response
            if not self.refusals(response):
                raise
        self._responses[key] = content, response, now
        return response

    def once(self, handle: Callable[..., Response]) -> Callable[..., Response]:
        """Return a route handler that repeats the first response for each idempotency key.

        Args:
            handle: executes a request without a key, and the first request with a key.
        """

        def respond(request: SandboxRequest, **names: str) -> Response:
            key = request.headers.get(self.header)
            if key is None:
                return handle(request, **names)
            if self.invalid is not None and not 0 < len(key) <= self.longest:
                raise self.invalid()
            scope = request.path if self.by_path else ""
            content = request.path, request.body
            return self.respond((scope, key), content, lambda: handle(request, **names))

        return respond


def state_field(factory: Callable[[], _Value], *, init: Literal[False] = False) -> _Value:
    """Return a field of a sandbox that is not an argument of its constructor.

    Args:
        factory: makes the initial value, such as `dict` for objects by id.
        init: always False, which type checkers read.
    """
    value: _Value = attrs.field(factory=factory, init=init)
    return value


def _fields_with_values(_: type, fields: list[attrs.Attribute[Any]]) -> list[attrs.Attribute[Any]]:
    """Return only the fields that have a default value; the others are mere type annotations."""
    return [field for field in fields if field.default is not attrs.NOTHING]


@dataclass_transform(eq_default=False, field_specifiers=(attrs.field, state_field))
class Sandbox:
    """A local server that imitates a vendor.

    The annotated names with a value in a subclass become fields and arguments of its constructor,
    as by `attrs.define`, unless it has an `__init__`; `state_field` makes a field without argument.
    A subclass declares its `routes`: patterns, such as `"POST /v1/things/{id}"`, each with the
    method that executes it. The method takes the request, and the values of the braces by name. It
    needs no lock, because requests are executed one at a time. `check_access` is called first.

    Attributes:
        hosts: the names under which the real vendor is reached.
        open_routes: the routes that need no credentials.
        requests: every request, in order of arrival.
        sent: every webhook that the sandbox made, in order.
        mounts: other sandboxes under the same hosts, by path, such as a token endpoint; each has
            requests and faults of its own.
    """

    hosts: tuple[str, ...] = ()
    open_routes: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self._lock = RLock()
        self._next: deque[Response | ConnectorError | Lost | SlowAnswer | AlteredAnswer | None] = (
            deque()
        )
        self.requests: list[SandboxRequest] = []
        self.sent: list[Notice] = []
        self.mounts: dict[str, Sandbox] = {}
        self._delays = local()
        self._count = 0

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        # A class keeps a constructor that it defines or inherits.
        written = (kind for kind in cls.__mro__ if "__attrs_attrs__" not in vars(kind))
        if next(kind for kind in written if "__init__" in vars(kind)) is Sandbox:
            attrs.define(
                cls, eq=False, repr=False, slots=False, field_transformer=_fields_with_values
            )

    def __attrs_pre_init__(self) -> None:
        Sandbox.__init__(self)

    @cached_property
    def _table(self) -> list[tuple[str, re.Pattern[str], Callable[..., Response]]]:
        return [
            (route, re.compile(_pattern(route)), handle) for route, handle in self.routes().items()
        ]

    def routes(self) -> Routes:
        """The sandbox's routes, by method and path."""
        return {}

    def check_access(self, request: SandboxRequest) -> None:
        """Raise a `Refusal` if a request's credentials are invalid.

        Without an override every request is accepted.
        """

    def unknown(self, request: SandboxRequest) -> Response:
        """Return the response to a request that matches no route."""
        return reply({"message": f"There is no {request.method} {request.path}."}, 404)

    def unreadable(self, problem: str) -> Response:
        """Return the response to a request that lacks a value or has one of a wrong type.

        Args:
            problem: a description of the problem.
        """
        return reply({"message": problem}, 400)

    def number(self) -> int:
        """Return a number that is new in this sandbox."""
        self._count += 1
        return self._count

    def uuid(self) -> str:
        """Return a UUID that is new in this sandbox."""
        return f"00000000-0000-4000-8000-{self.number():012d}"

    def notify(
        self, url: str, body: bytes, headers: Mapping[str, str], *, method: str = "POST"
    ) -> Notice:
        """Record and return a webhook that the sandbox sends."""
        notice = Notice(url=url, headers=headers, body=body, method=method)
        self.sent.append(notice)
        return notice

    # --- faults ------------------------------------------------------------

    def fail(
        self, *answers: Response | ConnectorError | Lost | SlowAnswer | AlteredAnswer | None
    ) -> None:
        """Respond to the next requests with these responses, errors or faults, one each.

        For a value of None, the sandbox responds to the request as usual.

        Raises:
            InvalidData: a value is none of these, such as a bare status.
        """
        for planned_response in answers:
            if not isinstance(
                planned_response,
                (Response, ConnectorError, Lost, SlowAnswer, AlteredAnswer, NoneType),
            ):
                raise InvalidData(
                    f"A sandbox cannot answer with {planned_response!r}.",
                    field="answers",
                    remedy="Pass a Response, an error, Lost, Slow or Altered: Response(503).",
                )
        with self._lock:
            self._next.extend(answers)

    @property
    def fault_count(self) -> int:
        """The number of queued faults."""
        with self._lock:
            return len(self._next)

    def forget_faults(self) -> None:
        """Remove all queued faults."""
        with self._lock:
            self._next.clear()

    # --- requests ----------------------------------------------------------

    def answer(self, request: SandboxRequest) -> Response:
        """Execute a request like the vendor."""
        with self._lock:
            self.requests.append(request)
            planned = self._next.popleft() if self._next else None
            if isinstance(planned, Response):
                return planned
            if isinstance(planned, ConnectorError):
                raise planned
            response = self._route_request(request)
            if isinstance(planned, Lost):
                raise ConnectionFailed("The answer was lost.")
            self._delay_by(planned)
            return planned.change(response) if isinstance(planned, AlteredAnswer) else response

    def take_delay(self) -> float:
        """Return the seconds by which this thread's last response is delayed, and forget them."""
        delay: float = vars(self._delays).pop("seconds", 0.0)
        return delay

    def _delay_by(self, planned: object) -> None:
        """Remember the delay of a response for the thread that took the fault."""
        if isinstance(planned, SlowAnswer):
            self._delays.seconds = planned.seconds

    def at(self, path: str) -> Sandbox:
        """Return the sandbox for a path: a sandbox from `mounts`, or this one."""
        return self.mounts.get(path, self)

    def route(self, method: str, path: str) -> str | None:
        """Return the route for a method and path, if there is one."""
        line = f"{method} {path}"
        table = self.at(path)._table  # noqa: SLF001 - one of our own
        return next((route for route, pattern, _ in table if pattern.fullmatch(line)), None)

    def _route_request(self, request: SandboxRequest) -> Response:
        line = f"{request.method} {request.path}"
        try:
            for route, pattern, handle in self._table:
                match = pattern.fullmatch(line)
                if match is not None:
                    if route not in self.open_routes:
                        self.check_access(request)
                    return handle(request, **{k: unquote(v) for k, v in match.groupdict().items()})
            return self.unknown(request)
        except Refusal as refusal:
            return refusal.response
        except UNREADABLE as error:
            return self.unreadable(unreadable_problem(error))

    @contextmanager
    def serving(self) -> Generator[VendorServer]:
        """Serve the sandbox on a local port; the server's `url` is its address."""
        with VendorServer() as server:
            server.always(self.behave)
            yield server

    def behave(self, received: ReceivedRequest) -> Behaviour:
        """Return the behaviour by which a local server responds like the sandbox."""
        url = urlsplit(received.target)
        request = SandboxRequest(
            received.method,
            received.headers.get("host") or "",
            url.path,
            tuple(parse_qsl(url.query, keep_blank_values=True)),
            received.headers,
            received.body,
        )
        try:
            response = (sandbox := self.at(url.path)).answer(request)
        except ConnectorError:
            return Behaviour(raw=b"", then="close")
        delay = sandbox.take_delay()
        return Behaviour(response.status, response.headers.pairs, response.body, delay=delay)


@attrs.frozen
class Lost:
    """A fault: the request is executed, but its response is lost."""


@attrs.frozen
class SlowAnswer:
    """A fault: the request is executed, but its response is delayed."""

    seconds: float


@attrs.frozen
class AlteredAnswer:
    """A fault: the request is executed, but its response is altered."""

    change: Callable[[Response], Response]


class _Clients:
    def __init__(self, sandboxes: Iterable[Sandbox]) -> None:
        self._hosts = {host: sandbox for sandbox in sandboxes for host in sandbox.hosts}

    def answer(self, request: Request, url: str, timeouts: Timeouts) -> Response:
        parts = urlsplit(url)
        sandbox = next(
            (
                candidate
                for host, candidate in self._hosts.items()
                if parts.netloc == host or (host[0] == "." and parts.netloc.endswith(host))
            ),
            None,
        )
        if sandbox is None:
            raise InvalidData(
                f"No sandbox is at {parts.netloc}.",
                field="url",
                remedy="Give the client a sandbox whose `hosts` has it.",
            )
        received_request = SandboxRequest(
            request.method.value,
            parts.netloc,
            parts.path,
            tuple(parse_qsl(parts.query, keep_blank_values=True)),
            request.headers,
            as_bytes(request),
        )
        answering_sandbox = sandbox.at(parts.path)
        response = answering_sandbox.answer(received_request)
        delay = answering_sandbox.take_delay()
        if timeouts.total is not None and delay > timeouts.total:
            raise AttemptTimeout("The answer took longer than the time limit of the attempt.")
        return response.evolve(url=url)


class SandboxHttpClient:
    """An `HttpClient` that sends requests only to the given sandboxes, in memory."""

    def __init__(self, *sandboxes: Sandbox) -> None:
        self._clients = _Clients(sandboxes)

    def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Send a request to the sandbox, and return its response."""
        whole_request = run_now(with_whole_body(request, plain=True))
        return self._clients.answer(whole_request, url, timeouts)

    def open(self, request: Request, url: str, timeouts: Timeouts, /) -> ScriptedIncoming:
        """Send a request to the sandbox, and return its response as a stream."""
        return ScriptedIncoming(self.send(request, url, timeouts), piece=PIECE)

    def close(self) -> None:
        """Do nothing, because there is nothing to close."""


class AsyncSandboxHttpClient:
    """An `AsyncHttpClient` that sends requests only to the given sandboxes, in memory."""

    def __init__(self, *sandboxes: Sandbox) -> None:
        self._clients = _Clients(sandboxes)

    async def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Send a request to the sandbox, and return its response."""
        return self._clients.answer(await with_whole_body(request, plain=False), url, timeouts)

    async def open(
        self, request: Request, url: str, timeouts: Timeouts, /
    ) -> AsyncScriptedIncoming:
        """Send a request to the sandbox, and return its response as a stream."""
        return AsyncScriptedIncoming(await self.send(request, url, timeouts), piece=PIECE)

    async def close(self) -> None:
        """Do nothing, because there is nothing to close."""


def _pattern(route: str) -> str:
    parts = re.split(r"\{(\w+)(\*?)\}", route)
    pattern = ""
    for start in range(0, len(parts), 3):
        pattern += re.escape(parts[start])
        if start + 1 < len(parts):
            pattern += f"(?P<{parts[start + 1]}>{'.*' if parts[start + 2] else '[^/]+'})"
    return pattern


__all__ = [
    "UNREADABLE",
    "AsyncSandboxHttpClient",
    "Lost",
    "Notice",
    "Refusal",
    "Replays",
    "Routes",
    "Sandbox",
    "SandboxHttpClient",
    "SandboxRequest",
    "SlowAnswer",
    "check_step",
    "existing",
    "first_problem",
    "moment",
    "refusal",
    "reply",
    "state_field",
    "unreadable_problem",
]
