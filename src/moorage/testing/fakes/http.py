"""A fake vendor in memory, and HTTP clients that reach only this vendor.

```python
from moorage import ConnectorManager, Request, Service
from moorage.testing import FakeVendor, ScriptedHttpClient

vendor = FakeVendor()
vendor.respond_json({"rate": "0.19"})
service = Service("vat", base_url="https://vat.example")
manager = ConnectorManager([service], http=ScriptedHttpClient(vendor))
manager.call("vat", Request.get("/rates"))
print(vendor.requests[0].path)  # → /rates
```
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator
from copy import copy
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import parse_qsl, urlsplit

import attrs

from moorage.domain.http.headers import as_headers
from moorage.domain.http.redaction import Redaction
from moorage.domain.http.requests import BodyStream, Request, Response
from moorage.domain.values.json_text import encode_json
from moorage.errors import ConfigurationError, ConnectorError, InvalidData, LocalFailure
from moorage.runtime.flows import run_now

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moorage.domain.http.headers import HeadersInput
    from moorage.domain.http.requests import Headers, HttpMethod, Timeouts

Behaviour: TypeAlias = Callable[[Request, str], Response]
Answer: TypeAlias = Response | BaseException | Behaviour

PIECE: Final = 1024
"""The number of bytes of a body that arrive at once, unless the client was given another number."""


class UnexpectedRequest(ConfigurationError):
    """Raised for a request for which the test has queued no response."""

    remedy = "Prepare an answer for this request, or correct the code that sends it."


@attrs.frozen(repr=False)
class FakeVendorRequest:
    """A request as a fake vendor received it.

    Attributes:
        method: the HTTP method.
        url: the URL that it was sent to.
        headers: the header fields, including those for authentication.
        body: the complete body.
        timeouts: the timeouts that the HTTP client was given.
    """

    method: HttpMethod
    url: str
    headers: Headers
    body: bytes
    timeouts: Timeouts

    @property
    def path(self) -> str:
        """The path of the request's URL, still percent-encoded."""
        return urlsplit(self.url).path

    @property
    def query(self) -> list[tuple[str, str]]:
        """The decoded query parameters of the request's URL."""
        return parse_qsl(urlsplit(self.url).query, keep_blank_values=True)

    @property
    def form(self) -> list[tuple[str, str]]:
        """The decoded fields of a form in the request's body."""
        return parse_qsl(self.body.decode(), keep_blank_values=True)

    def json(self) -> Any:
        """Return the request's body parsed as JSON."""
        return json.loads(self.body)

    def __repr__(self) -> str:
        url = Redaction().query(self.url)
        return f"<FakeVendorRequest {self.method} {url} ({len(self.body)} bytes)>"


class FakeVendor:
    """A fake vendor in memory, with scripted responses and a record of its requests.

    A scripted answer is a response, an error to raise, or a function of the request and its URL
    that returns a response or raises an error. The vendor is scripted by the methods of
    `VendorServer`: each queued answer is given once, in order, answers for a path before those for
    any path; `always` sets the answer while none is queued. A request without an answer raises
    `UnexpectedRequest`. Several threads may send requests concurrently.

    Args:
        answers: the answer to every request, or several answers to queue.
    """

    def __init__(self, answers: Answer | Iterable[Answer] = ()) -> None:
        self._lock = Lock()
        self._deliveries: list[FakeVendorRequest] = []
        self._queues: dict[str | None, deque[Answer]] = {}
        self._standing: dict[str | None, Answer] = {}
        if isinstance(answers, (Response, BaseException)) or callable(answers):
            self.always(answers)
        else:
            self.queue(*answers)

    def queue(self, *answers: Answer, path: str | None = None) -> None:
        """Queue responses, each used once; responses for a path precede responses for any path."""
        for answer in answers:
            _check(answer)
        with self._lock:
            self._queues.setdefault(path, deque()).extend(answers)

    def respond(
        self,
        status: int = 200,
        headers: HeadersInput = (),
        body: bytes = b"",
        *,
        path: str | None = None,
    ) -> None:
        """Queue one response of the fake vendor."""
        self.queue(Response(status, headers, body), path=path)

    def respond_json(
        self,
        value: object,
        *,
        status: int = 200,
        headers: HeadersInput = (),
        path: str | None = None,
    ) -> None:
        """Queue one response with a JSON body."""
        fields = as_headers(headers).with_default("Content-Type", "application/json")
        self.queue(Response(status, fields, encode_json(value)), path=path)

    def always(self, answer: Answer, *, path: str | None = None) -> None:
        """Set the response to requests for which none is queued."""
        _check(answer)
        with self._lock:
            self._standing[path] = answer

    @property
    def requests(self) -> tuple[FakeVendorRequest, ...]:
        """All requests that reached the fake vendor, in order of arrival."""
        with self._lock:
            return tuple(self._deliveries)

    def receive(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Record a request, and return the fake vendor's response."""
        body = as_bytes(request)
        delivery = FakeVendorRequest(request.method, url, request.headers, body, timeouts)
        with self._lock:
            self._deliveries.append(delivery)
            answer = self._next_answer(delivery.path)
        if answer is None:
            raise UnexpectedRequest(f"The fake vendor has no answer prepared for {delivery!r}.")
        if isinstance(answer, Response):
            response = answer
        elif isinstance(answer, BaseException):
            # Each call gets its own error object, because code that catches an error may change it.
            raise copy(answer) if isinstance(answer, ConnectorError) else answer
        else:
            response = answer(request, url)
        if request.method == "HEAD":
            response = response.evolve(body=b"")
        return response if response.url is not None else response.evolve(url=url)

    def _next_answer(self, path: str) -> Answer | None:
        for place in (path, None):
            if queued_responses := self._queues.get(place):
                return queued_responses.popleft()
        return self._standing.get(path, self._standing.get(None))

    def __repr__(self) -> str:
        return f"<FakeVendor, {len(self.requests)} requests received>"


class ScriptedHttpClient:
    """An `HttpClient` that reaches only a fake vendor.

    Args:
        vendor: the fake vendor that answers.
        piece: number of bytes of a body that each read returns after `open`.
    """

    def __init__(self, vendor: FakeVendor, *, piece: int = PIECE) -> None:
        self.vendor = vendor
        self.closed = False
        self._piece = piece

    def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Send a request to the fake vendor, and return its response."""
        refuse_if(closed=self.closed)
        return self.vendor.receive(run_now(with_whole_body(request, plain=True)), url, timeouts)

    def open(self, request: Request, url: str, timeouts: Timeouts, /) -> ScriptedIncoming:
        """Send a request to the fake vendor, and return its response as a stream."""
        return ScriptedIncoming(self.send(request, url, timeouts), piece=self._piece)

    def close(self) -> None:
        """Close the client, which then refuses all requests."""
        self.closed = True


class AsyncScriptedHttpClient:
    """An `AsyncHttpClient` that reaches only a fake vendor.

    Args:
        vendor: the fake vendor that answers.
        piece: number of bytes of a body that each read returns after `open`.
    """

    def __init__(self, vendor: FakeVendor, *, piece: int = PIECE) -> None:
        self.vendor = vendor
        self.closed = False
        self._piece = piece

    async def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Send a request to the fake vendor, and return its response."""
        refuse_if(closed=self.closed)
        return self.vendor.receive(await with_whole_body(request, plain=False), url, timeouts)

    async def open(
        self, request: Request, url: str, timeouts: Timeouts, /
    ) -> AsyncScriptedIncoming:
        """Send a request to the fake vendor, and return its response as a stream."""
        return AsyncScriptedIncoming(await self.send(request, url, timeouts), piece=self._piece)

    async def close(self) -> None:
        """Close the client, which then refuses all requests."""
        self.closed = True


class _ArrivedAnswer:
    """The code that synchronous and asynchronous response streams share.

    Args:
        response: the response.
        piece: the number of bytes of its body to return per read.
        then: the error to raise in place of the body's end.

    Attributes:
        status: the status code.
        headers: the fields received.
    """

    def __init__(
        self, response: Response, *, piece: int = PIECE, then: ConnectorError | None = None
    ) -> None:
        self.status, self.headers = response.status, response.headers
        self._pieces = _Pieces(response, piece, then)

    def close(self) -> None:
        """Close the body without reading the remaining bytes."""
        self._pieces.closed = True


class ScriptedIncoming(_ArrivedAnswer):
    """A response stream whose response has arrived completely."""

    def read(self) -> bytes:
        """Return the next piece of the body; b"" at the end."""
        return self._pieces.take()


class AsyncScriptedIncoming(_ArrivedAnswer):
    """An asynchronous response stream whose response has arrived completely."""

    async def read(self) -> bytes:
        """Return the next piece of the body; b"" at the end."""
        return self._pieces.take()


class _Pieces:
    def __init__(self, response: Response, size: int, then: ConnectorError | None) -> None:
        if size < 1:
            raise InvalidData(
                f"A piece of {size} bytes never ends.",
                field="piece",
                remedy="Give a size of at least one byte.",
            )
        self.response = response
        self.closed = False
        self._size = size
        self._then = then
        self._at = 0

    def take(self) -> bytes:
        piece = self.response.body[self._at : self._at + self._size]
        if piece and self.closed:
            raise LocalFailure(
                "The answer was closed before its end.", may_have_been_processed=True
            )
        if not piece and self._then is not None:
            raise self._then
        self._at += len(piece)
        return piece


async def with_whole_body(request: Request, *, plain: bool) -> Request:
    """Return the request with its body read; with `plain`, asynchronous bodies are refused."""
    if isinstance(request.body, bytes):
        return request
    pieces: list[bytes] = []
    try:
        chunks = request.body.open()
        if isinstance(chunks, Iterator):
            pieces.extend(chunks)
        elif plain:
            raise _awaited_body_error()  # noqa: TRY301 - it passes with the errors of the body itself
        else:
            async for chunk in chunks:
                pieces.append(chunk)  # noqa: PERF401 - what was read counts when the next fails
    except ConnectorError:
        raise
    except Exception as error:
        raise LocalFailure(
            f"The body's source failed with {type(error).__name__}.",
            may_have_been_processed=bool(pieces),
            retryable=True,
            remedy="Look at the cause of this error for what is wrong with the source.",
        ) from error
    return request.evolve(body=b"".join(pieces))


def as_bytes(request: Request) -> bytes:
    """Return the body of a request, which must have been read already."""
    if isinstance(request.body, BodyStream):
        raise InvalidData(
            "This request's body has not been read yet.",
            field="body",
            remedy="Send it with ScriptedHttpClient or AsyncScriptedHttpClient.",
        )
    return request.body


def _awaited_body_error() -> InvalidData:
    return InvalidData(
        "An async body cannot be sent by the synchronous client.",
        field="body",
        remedy="Stream from a plain iterator or file, or use the async client.",
    )


def refuse_if(*, closed: bool) -> None:
    """Raise an error if an HTTP client is closed."""
    if closed:
        raise LocalFailure(
            "The HTTP client is closed.",
            remedy="Make a new client, or close this one later.",
        )


def _check(answer: object) -> None:
    if not isinstance(answer, (Response, BaseException)) and not callable(answer):
        raise ConfigurationError(
            f"{answer!r} is not an answer.",
            path="answers",
            remedy="Give responses, errors, or functions of a request and its URL.",
        )
