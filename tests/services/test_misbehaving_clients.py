"""HTTP clients that return values of types which the client port does not allow."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    AsyncConnectorManager,
    BulkheadConfig,
    ConnectionFailed,
    ConnectorError,
    ConnectorManager,
    OutcomeUnknown,
    Request,
    Response,
    Service,
    VendorFailed,
)
from moorage.domain.http.headers import Headers

if TYPE_CHECKING:
    from collections.abc import Callable

SHOP = Service("shop", "https://shop.example", retry=None)
POST = Request.post("/orders", json={"order": 7})
MODES = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


class Client:
    """An HTTP client that returns whatever value the test chooses."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self.sent = 0

    def send(self, request: Request, url: str, timeouts: Any) -> Any:
        """Return the value that the test chose."""
        del request, url, timeouts
        self.sent += 1
        return self._make()

    open = send

    def close(self) -> None:
        """Do nothing."""


class AsyncClient(Client):
    """An asynchronous HTTP client that returns whatever value the test chooses."""

    async def send(self, request: Request, url: str, timeouts: Any) -> Any:
        """Return the value that the test chose."""
        return Client.send(self, request, url, timeouts)

    open = send

    async def close(self) -> None:  # type: ignore[override]  # the asynchronous form
        """Do nothing."""


class Incoming:
    """A fake streamed response, whose pieces may be of a wrong type."""

    def __init__(
        self, *pieces: Any, status: Any = 200, headers: Any = None, is_async: bool = False
    ) -> None:
        self.status = status
        self.headers = Headers({}) if headers is None else headers
        self.closed = False
        self._pieces = list(pieces)
        self.read: Any = self._read_async if is_async else self._read

    def _read(self) -> Any:
        piece = self._pieces.pop(0) if self._pieces else b""
        if isinstance(piece, Exception):
            raise piece
        return piece

    async def _read_async(self) -> Any:
        return self._read()

    def close(self) -> None:
        """Record that the caller closed the response."""
        self.closed = True


def _async_client(make: Callable[[], Any]) -> Any:
    return AsyncClient(make)


def calls(make: Callable[[], Any], key: str | None, *, is_async: bool) -> tuple[list[Any], int]:
    """Make two calls, the second on the fast path; return their results and the requests sent."""
    ends: list[Any] = []
    client: Any = _async_client(make) if is_async else Client(make)

    async def twice() -> None:
        manager = AsyncConnectorManager([SHOP], http=client)
        for _ in range(2):
            try:
                ends.append(await manager.call("shop", POST, idempotency_key=key))
            except ConnectorError as error:
                ends.append(error)
        await manager.close()

    if is_async:
        asyncio.run(twice())
        return ends, client.sent
    with ConnectorManager([SHOP], http=client) as manager:
        for _ in range(2):
            try:
                ends.append(manager.call("shop", POST, idempotency_key=key))
            except ConnectorError as error:
                ends.append(error)
    return ends, client.sent


def streamed(make: Callable[[], Any], *, is_async: bool) -> tuple[list[Any], BaseException | None]:
    """Return the pieces of a streamed response, and the error that ended it."""
    pieces: list[Any] = []
    service = Service("shop", "https://shop.example", retry=None, bulkhead=BulkheadConfig(1))

    async def stream_async() -> None:
        manager = AsyncConnectorManager([service], http=_async_client(make))
        async with await manager.stream("shop", Request.get("/orders")) as answer:
            async for piece in answer:
                pieces.append(piece)  # noqa: PERF401 - the pieces before an error count too

    def stream_sync() -> None:
        manager = ConnectorManager([service], http=Client(make))
        with manager.stream("shop", Request.get("/orders")) as answer:
            for piece in answer:
                pieces.append(piece)  # noqa: PERF402 - the pieces before an error count too

    try:
        if is_async:
            asyncio.run(stream_async())
        else:
            stream_sync()
    except ConnectorError as error:
        return pieces, error
    return pieces, None


@MODES
@pytest.mark.parametrize("value", [None, 200, "ok", (200, b""), POST, Response, ValueError()])
def test_error_names_the_type_if_a_client_returns_no_response(
    value: object, *, is_async: bool
) -> None:
    """If a client returns no Response, the call fails with an error that names the wrong type."""
    ends, sent = calls(lambda: value, None, is_async=is_async)

    assert 2 == sent
    for error in ends:
        assert isinstance(error, ConnectionFailed)
        assert type(value).__name__ in error.message
        assert "instead of a Response" in error.message
        assert error.may_have_been_processed


@MODES
def test_key_of_a_client_without_a_response_stays_unknown(*, is_async: bool) -> None:
    """If the HTTP client does not return a Response, a keyed request is not repeated."""
    ends, sent = calls(lambda: None, "order-7", is_async=is_async)

    assert 1 == sent
    assert [OutcomeUnknown, OutcomeUnknown] == [type(end) for end in ends]


@MODES
@pytest.mark.parametrize("key", [None, "order-7"])
@pytest.mark.parametrize("status", [100, 101, 199])
def test_interim_status_is_no_success(status: int, key: str | None, *, is_async: bool) -> None:
    """A status below 200 is a failure on both paths, with and without an idempotency key."""
    ends, _ = calls(lambda: Response(status), key, is_async=is_async)

    expected = VendorFailed if key is None else OutcomeUnknown
    assert [expected, expected] == [type(end) for end in ends]


@MODES
@pytest.mark.parametrize("value", [None, 200, Response(200, body=b"all")])
def test_stream_needs_an_incoming_answer(value: object, *, is_async: bool) -> None:
    """If a client returns something that cannot be streamed, the error names its type."""
    pieces, error = streamed(lambda: value, is_async=is_async)

    assert [] == pieces
    assert isinstance(error, ConnectionFailed)
    assert type(value).__name__ in error.message


@MODES
@pytest.mark.parametrize("head", [{"status": "200"}, {"status": None}, {"headers": {"a": "b"}}])
def test_stream_needs_a_status_and_headers(head: dict[str, Any], *, is_async: bool) -> None:
    """A streamed response with an invalid status or invalid headers is refused and closed."""
    answer = Incoming(b"all", is_async=is_async, **head)

    pieces, error = streamed(lambda: answer, is_async=is_async)

    assert [] == pieces
    assert isinstance(error, ConnectionFailed)
    assert "status and headers" in error.message
    assert answer.closed


@MODES
@pytest.mark.parametrize("piece", [None, "text", 5, [1], bytearray(b"x")])
def test_piece_of_a_stream_must_be_bytes(piece: object, *, is_async: bool) -> None:
    """A stream raises an error, instead of just ending, if one of its chunks is not bytes."""
    answer = Incoming(b"begin", piece, is_async=is_async)

    pieces, error = streamed(lambda: answer, is_async=is_async)

    assert [b"begin"] == pieces
    assert isinstance(error, ConnectionFailed)
    assert type(piece).__name__ in error.message
    assert answer.closed


@MODES
@pytest.mark.parametrize("piece", [ValueError("a secret"), "text"])
def test_client_that_fails_while_an_error_body_is_read(piece: object, *, is_async: bool) -> None:
    """If a client fails while an error's body is read, an error of moorage is raised."""
    answer = Incoming(piece, status=404, is_async=is_async)

    pieces, error = streamed(lambda: answer, is_async=is_async)

    assert [] == pieces
    assert isinstance(error, ConnectionFailed)
    assert "a secret" not in str(error)
    assert answer.closed
