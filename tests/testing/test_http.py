"""The fake vendor, and the HTTP clients that send requests only to it."""

import io
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from moorage.domain.http.requests import BodyStream, Request, Response, Timeouts
from moorage.errors import ConfigurationError, ConnectionFailed, InvalidData
from moorage.testing.fakes.http import (
    AsyncScriptedHttpClient,
    FakeVendor,
    ScriptedHttpClient,
    UnexpectedRequest,
)
from tests.testing.modes import await_if_needed

URL = "https://vat.example/v1/rates"
TIMEOUTS = Timeouts(total=5.0)
GET = Request.get("/rates")

both_clients = pytest.mark.parametrize("client_of", [ScriptedHttpClient, AsyncScriptedHttpClient])


def _answer(vendor: FakeVendor, url: str = URL, request: Request = GET) -> Response:
    return vendor.receive(request, url, TIMEOUTS)


# --- what a vendor answers -------------------------------------------------------


def test_a_queue_is_answered_in_order() -> None:
    """Each queued response is returned once, in the order of the queue."""
    vendor = FakeVendor([Response(503), lambda _, __: Response(201)])
    vendor.respond(204, {"Retry-After": "1"}, b"x")
    vendor.respond_json({"rate": "0.19"}, status=202)

    answers = [_answer(vendor) for _ in range(4)]

    assert [503, 201, 204, 202] == [answer.status for answer in answers]
    assert ("1", b"x") == (answers[2].header("retry-after"), answers[2].body)
    assert {"rate": "0.19"} == answers[3].json()
    assert "application/json" == answers[3].header("content-type")


def test_permanent_response_is_returned_if_the_queue_is_empty() -> None:
    """The standing response is returned when the queue is empty."""
    vendor = FakeVendor(Response(200))
    vendor.respond(503)

    assert [503, 200, 200] == [_answer(vendor).status for _ in range(3)]


def test_answers_for_a_path_come_first() -> None:
    """Responses for a path are returned before those for any path."""
    vendor = FakeVendor()
    vendor.always(Response(200))
    vendor.always(Response(201), path="/here")
    vendor.respond(202)
    vendor.respond(203, path="/here")

    requests = [_answer(vendor, f"https://x.example{path}").status for path in ("/here",) * 3]

    assert [203, 202, 201] == requests
    assert 200 == _answer(vendor, "https://x.example/there").status


def test_a_function_sees_the_request_and_the_url() -> None:
    """If a response is given as a function, it gets the sent request and its URL."""
    seen_requests: list[tuple[Request, str]] = []

    def answer(request: Request, url: str) -> Response:
        seen_requests.append((request, url))
        return Response(200)

    _answer(FakeVendor(answer))

    assert [(GET, URL)] == seen_requests


def test_response_has_requested_url() -> None:
    """A response has the requested URL unless the test gave it another one."""
    vendor = FakeVendor([Response(200), Response(200, url="https://other.example/")])

    assert [URL, "https://other.example/"] == [_answer(vendor).url for _ in range(2)]


def test_errors_are_copied_each_time() -> None:
    """If a caller changes an error that it got, errors raised later are not affected."""
    vendor = FakeVendor(ConnectionFailed("gone", may_have_been_processed=False))

    caught_errors: list[ConnectionFailed] = []
    for _ in range(2):
        with pytest.raises(ConnectionFailed) as info:
            _answer(vendor)
        caught_errors.append(info.value)

    assert caught_errors[0] is not caught_errors[1]
    assert [("gone", False)] * 2 == [(e.message, e.may_have_been_processed) for e in caught_errors]


def test_an_interruption_is_raised_as_it_is() -> None:
    """A fake vendor raises a scripted exception such as KeyboardInterrupt unchanged."""
    interruption = KeyboardInterrupt()

    with pytest.raises(KeyboardInterrupt) as info:
        _answer(FakeVendor([interruption]))

    assert interruption is info.value


def test_unscripted_request_is_an_error() -> None:
    """A request without a prepared response raises an error that hides secrets, without retry."""
    vendor = FakeVendor()

    with pytest.raises(UnexpectedRequest, match=r"GET https://x.example/a\?token=\*\*\*") as info:
        _answer(vendor, "https://x.example/a?token=hidden")

    assert isinstance(info.value, ConfigurationError)
    assert not info.value.retryable
    assert 1 == len(vendor.requests)


@pytest.mark.parametrize("verb", ["queue", "always"])
def test_invalid_answers_are_refused_at_once(verb: str) -> None:
    """An invalid response is refused when a test scripts it."""
    with pytest.raises(ConfigurationError, match="200 is not an answer"):
        getattr(FakeVendor(), verb)(200)


def test_repr_counts_requests() -> None:
    """The repr of a fake vendor has the number of requests."""
    vendor = FakeVendor(Response(200))
    _answer(vendor)

    assert "<FakeVendor, 1 requests received>" == repr(vendor)


# --- what reaches it -------------------------------------------------------------


@both_clients
def test_whole_request_is_recorded(client_of: Callable[..., Any]) -> None:
    """Method, URL, headers, body and timeouts of a request reach the fake vendor unchanged."""
    vendor = FakeVendor(Response(200))
    request = Request.post("/rates", json={"country": "DE"}, headers={"Authorization": "Bearer s"})
    url = f"{URL}?a=1&b=%20&c="

    await_if_needed(client_of(vendor).send(request, url, TIMEOUTS))

    (delivery,) = vendor.requests
    assert ("POST", url, TIMEOUTS) == (delivery.method, delivery.url, delivery.timeouts)
    assert "/v1/rates" == delivery.path
    assert [("a", "1"), ("b", " "), ("c", "")] == delivery.query
    assert "Bearer s" == delivery.headers["authorization"]
    assert b'{"country":"DE"}' == delivery.body
    assert {"country": "DE"} == delivery.json()


@both_clients
def test_a_form_can_be_read(client_of: Callable[..., Any]) -> None:
    """The fake vendor gets the decoded fields of a form."""
    vendor = FakeVendor(Response(200))

    await_if_needed(
        client_of(vendor).send(Request.post("/", form={"a": "b c", "d": ""}), URL, TIMEOUTS)
    )

    assert [("a", "b c"), ("d", "")] == vendor.requests[0].form


def test_repr_of_a_sent_request_shows_no_secret() -> None:
    """The `repr` of a sent request masks its URL and shows no body."""
    vendor = FakeVendor(Response(200))
    _answer(vendor, "https://x.example/a?token=hidden", Request.post("/a", body=b"hidden"))

    assert "<FakeVendorRequest POST https://x.example/a?token=*** (6 bytes)>" == repr(
        vendor.requests[0]
    )


@both_clients
def test_a_streamed_body_is_read_to_its_end(client_of: Callable[..., Any]) -> None:
    """The fake vendor gets the whole of a body that is streamed from a file or an iterator."""
    vendor = FakeVendor(Response(200))
    for body in (io.BytesIO(b"one two"), iter([b"one ", b"two"])):
        await_if_needed(client_of(vendor).send(Request.post("/", body=body), URL, TIMEOUTS))

    assert [b"one two"] * 2 == [delivery.body for delivery in vendor.requests]


async def _chunks() -> AsyncIterator[bytes]:
    yield b"one "
    yield b"two"


def test_the_async_client_reads_an_async_body() -> None:
    """An asynchronous body is read by the asynchronous client."""
    vendor = FakeVendor(Response(200))

    await_if_needed(
        AsyncScriptedHttpClient(vendor).send(Request.post("/", body=_chunks()), URL, TIMEOUTS)
    )

    assert b"one two" == vendor.requests[0].body


def test_the_plain_client_refuses_an_async_body() -> None:
    """A synchronous client refuses an asynchronous body."""
    vendor = FakeVendor(Response(200))

    with pytest.raises(InvalidData, match="async body"):
        ScriptedHttpClient(vendor).send(Request.post("/", body=_chunks()), URL, TIMEOUTS)

    assert () == vendor.requests


@both_clients
@pytest.mark.parametrize("read", [0, 1])
def test_a_source_that_fails_is_a_failed_connection(
    client_of: Callable[..., Any], read: int
) -> None:
    """If reading the source of a body fails, the error tells whether bytes may have been sent."""

    def failing_source() -> Iterator[bytes]:
        yield from [b"x"] * read
        raise OSError("disk")

    with pytest.raises(ConnectionFailed, match="OSError") as info:
        await_if_needed(
            client_of(FakeVendor()).send(Request.post("/", body=failing_source()), URL, TIMEOUTS)
        )

    assert bool(read) is info.value.may_have_been_processed
    assert isinstance(info.value.__cause__, OSError)


@both_clients
def test_a_body_that_was_read_before_is_refused(client_of: Callable[..., Any]) -> None:
    """A body that was already read cannot be sent, and the body's own error is raised."""
    client, request = client_of(FakeVendor(Response(200))), Request.post("/", body=iter([b"x"]))
    await_if_needed(client.send(request, URL, TIMEOUTS))

    with pytest.raises(InvalidData, match="already been read"):
        await_if_needed(client.send(request, URL, TIMEOUTS))


def test_fake_vendor_does_not_read_bodies() -> None:
    """The fake vendor refuses a request whose body was not read by the client that sent it."""
    with pytest.raises(InvalidData, match="not been read"):
        _answer(FakeVendor(), request=Request.post("/", body=BodyStream.of(iter([b"x"]))))


# --- how the answer comes back ---------------------------------------------------


@both_clients
def test_a_body_comes_in_pieces(client_of: Callable[..., Any]) -> None:
    """A streamed response has its head at once, then pieces of its body, and then b""."""
    client = client_of(FakeVendor(Response(201, {"A": "b"}, b"12345")), piece=2)

    incoming = await_if_needed(client.open(GET, URL, TIMEOUTS))

    assert (201, "b") == (incoming.status, incoming.headers["a"])
    assert [b"12", b"34", b"5", b"", b""] == [await_if_needed(incoming.read()) for _ in range(5)]


@both_clients
def test_closed_streams_cannot_be_read(client_of: Callable[..., Any]) -> None:
    """The unread rest of a closed response cannot be read; a fully read one returns b""."""
    client = client_of(FakeVendor(Response(200, body=b"123")), piece=2)
    unread_stream, read = (
        await_if_needed(client.open(GET, URL, TIMEOUTS)),
        await_if_needed(client.open(GET, URL, TIMEOUTS)),
    )
    pieces = [await_if_needed(read.read()) for _ in range(2)]
    for incoming in (unread_stream, read, unread_stream):
        incoming.close()

    with pytest.raises(ConnectionFailed, match="closed before its end"):
        await_if_needed(unread_stream.read())
    assert ([b"12", b"3"], b"") == (pieces, await_if_needed(read.read()))


@both_clients
def test_response_to_head_has_no_body(client_of: Callable[..., Any]) -> None:
    """A response to HEAD has the headers of the prepared response, but no body."""
    client = client_of(FakeVendor([Response(200, {"Content-Length": "3"}, b"123")]))

    response = await_if_needed(client.send(Request("HEAD", "/rates"), URL, TIMEOUTS))
    assert ("3", b"") == (response.header("content-length"), response.body)


@both_clients
def test_size_of_pieces_must_be_positive(client_of: Callable[..., Any]) -> None:
    """A size of zero for the pieces of a response is refused."""
    client = client_of(FakeVendor(Response(200)), piece=0)

    with pytest.raises(InvalidData, match="never ends"):
        await_if_needed(client.open(GET, URL, TIMEOUTS))


@both_clients
def test_a_closed_client_sends_nothing(client_of: Callable[..., Any]) -> None:
    """After `close` each request fails with an error that says that nothing was sent."""
    vendor = FakeVendor(Response(200))
    client = client_of(vendor)
    await_if_needed(client.close())

    with pytest.raises(ConnectionFailed, match="closed") as info:
        await_if_needed(client.send(GET, URL, TIMEOUTS))

    assert (False, False) == (info.value.may_have_been_processed, info.value.retryable)
    assert (True, ()) == (client.closed, vendor.requests)
