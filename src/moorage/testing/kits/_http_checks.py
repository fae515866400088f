"""Checks of an HTTP client with a well-behaved vendor."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from typing import TYPE_CHECKING, Final

from moorage.domain.http.requests import (
    BodyStream,
    Headers,
    HttpMethod,
    Request,
    Response,
    Timeouts,
)
from moorage.errors import ConnectorError, LocalFailure
from moorage.testing.fakes.http_server import Behaviour, ReceivedRequest
from moorage.testing.kits._http_harness import PATIENT, failure_of, harness
from moorage.testing.kits.checks import require

if TYPE_CHECKING:
    from moorage.testing.kits._http_harness import Clients

_BYTES: Final = bytes(range(256)) * 2_000
_FIELDS: Final = (("X-One", "1"), ("x-many", "b"), ("X-Many", "a"), ("E", ""))
_LATIN: Final = (("X-Latin", "Zoë"),)


async def an_answer_comes_back_whole(clients: Clients) -> None:
    """Status, header fields, body, URL and duration of a response are returned correctly."""
    async with harness(clients) as (vendor, client):
        vendor.respond(299, _FIELDS, _BYTES)
        answer = await client.send(Request.get("/a"), f"{vendor.url}/a", PATIENT)
        require(type(answer) is Response, f"send() returned {answer!r}.")
        require(answer.status == 299, f"299 came back as {answer.status}.")
        require(answer.body == _BYTES, "The body is not what the vendor sent.")
        require(
            answer.url == f"{vendor.url}/a",
            f"The response's URL is {answer.url!r}, not the URL of the request.",
        )
        require(answer.elapsed > 0, "The `elapsed` of the response is not above zero.")
        _same_fields(_FIELDS, answer.headers, "of the answer")


async def a_request_arrives_as_given(clients: Clients) -> None:
    """Method, header fields and body reach the vendor unchanged; repeated fields stay in order."""
    async with harness(clients) as (vendor, client):
        vendor.always(Behaviour(204))
        for method in HttpMethod:
            body = b"" if method in {"GET", "HEAD", "OPTIONS"} else _BYTES
            request = Request(method, "/", headers=_FIELDS, body=body)
            await client.send(request, vendor.url, PATIENT)
            received_webhook = vendor.requests[-1]
            require(
                received_webhook.method == method, f"{method} arrived as {received_webhook.method}."
            )
            require(received_webhook.body == body, f"The body of {method} is not what was sent.")
            _same_fields(_FIELDS, received_webhook.headers, f"of {method}")
            require(
                len(received_webhook.headers.get_all("host")) == 1,
                "The request does not have exactly one Host field.",
            )


async def fields_beyond_ascii_are_kept(clients: Clients) -> None:
    """Header fields in Latin-1, which HTTP once allowed, are sent and received."""
    async with harness(clients) as (vendor, client):
        vendor.respond(200, _LATIN)
        answer = await client.send(Request.get("/", headers=_LATIN), vendor.url, PATIENT)
        _same_fields(_LATIN, vendor.requests[0].headers, "of the request")
        _same_fields(_LATIN, answer.headers, "of the answer")


async def the_target_is_sent_as_it_is(clients: Clients) -> None:
    """Path and query reach the vendor unchanged: not decoded, encoded, sorted or normalised."""
    async with harness(clients) as (vendor, client):
        vendor.always(Behaviour(204))
        for target in (
            "/",
            "/a%2Fb%20c",
            "/a//b/",
            "/?b=2&a=%2B+%20&b=%C3%A4&c&d=",
            "/a?x=/?&y=%7E",
        ):
            await client.send(Request.get("/"), vendor.url + target, PATIENT)
            received_target = vendor.requests[-1].target
            require(received_target == target, f"{target!r} arrived as {received_target!r}.")


async def streams_are_sent(clients: Clients) -> None:
    """A streamed body arrives complete, with its length if known."""
    chunks = [b"", b"one", b"", b"two" * 50_000]
    async with harness(clients) as (vendor, client):
        vendor.always(Behaviour(204))
        for length in (150_003, None):
            body = BodyStream.of(lambda: chunks, length=length)
            request = Request.put("/", body=body)
            for _ in range(2):  # a function that opens the body can be called again
                await client.send(request, vendor.url, PATIENT)
                received_webhook = vendor.requests[-1]
                require(
                    received_webhook.body == b"".join(chunks), "A streamed body arrived changed."
                )
                header = received_webhook.headers.get("content-length")
                expected = str(length) if length else None
                require(
                    header == expected, f"A body of length {expected} was announced as {header}."
                )


async def a_stream_that_was_read_is_refused(clients: Clients) -> None:
    """A body stream that was read before is refused, and nothing is sent."""
    async with harness(clients) as (vendor, client):
        vendor.always(Behaviour(204))
        request = Request.put("/", body=BodyStream.of(iter([b"once"])))
        await client.send(request, vendor.url, PATIENT)
        await failure_of(
            client.send(request, vendor.url, PATIENT),
            ConnectorError,
            because="a body that can be read once was sent twice.",
        )
    require(
        [request.body for request in vendor.requests] == [b"once"],
        "A request was sent although its body could not be read.",
    )


async def some_answers_have_no_body(clients: Clients) -> None:
    """HEAD, 204 and 304 responses have no body, even if they announce a length."""
    async with harness(clients) as (vendor, client):
        for method, status in (("HEAD", 200), ("GET", 204), ("GET", 304), ("HEAD", 404)):
            vendor.respond(status, {"Content-Length": "5"}, b"12345")
            answer = await client.send(Request(method, "/"), vendor.url, PATIENT)
            require(answer.status == status, f"{status} came back as {answer.status}.")
            require(answer.body == b"", f"{status} to {method} has a body.")


async def every_framing_is_understood(clients: Clients) -> None:
    """The end of a body is found by its length, its last chunk, or the end of the connection."""
    async with harness(clients) as (vendor, client):
        for behaviour in (
            Behaviour(body=_BYTES),
            Behaviour(body=_BYTES, framing="chunked"),
            Behaviour(body=_BYTES, framing="close"),
            Behaviour(body=_BYTES[:300], framing="chunked", piece=7),
            Behaviour(raw=b"HTTP/1.0 200 OK\r\n\r\nold", then="close"),
        ):
            vendor.queue(behaviour)
            answer = await client.send(Request.get("/"), vendor.url, PATIENT)
            expected = behaviour.body or b"old"
            require(answer.body == expected, f"The body of {behaviour} is not what was sent.")


async def interim_answers_are_skipped(clients: Clients) -> None:
    """An HTTP client skips interim responses (1xx), and returns the final one."""
    early_bytes = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    async with harness(clients) as (vendor, client):
        vendor.queue(Behaviour(201, body=b"final", before=early_bytes))
        answer = await client.send(Request.post("/", body=b"x"), vendor.url, PATIENT)
        require(answer.status == 201, f"{answer.status} came back instead of 201.")
        require(answer.body == b"final", "The body does not belong to the final response.")
        require(
            "link" not in answer.headers, "The response has a header field of an interim response."
        )


async def compression_is_undone(clients: Clients) -> None:
    """A compressed body is decompressed, unless the request asks for the raw body."""
    async with harness(clients) as (vendor, client):
        for coding, body in (("gzip", gzip.compress(_BYTES)), ("deflate", zlib.compress(_BYTES))):
            vendor.respond(200, {"Content-Encoding": coding}, body)
            answer = await client.send(Request.get("/"), vendor.url, PATIENT)
            require(answer.body == _BYTES, f"A body in {coding} came back changed.")
        vendor.respond(200, {"Content-Encoding": "gzip"})
        answer = await client.send(Request.head("/"), vendor.url, PATIENT)
        require(answer.body == b"", "No body was decompressed into one.")
        packed_bytes = gzip.compress(_BYTES)
        vendor.respond(200, {"Content-Encoding": "gzip"}, packed_bytes)
        as_it_is = Request.get("/", headers={"Accept-Encoding": "gzip, identity"})
        answer = await client.send(as_it_is, vendor.url, PATIENT)
        require(
            answer.body == packed_bytes,
            "A body was decompressed although the request asked for the compressed body.",
        )


async def clients_do_not_redirect_retry_or_keep_cookies(clients: Clients) -> None:
    """An HTTP client follows no redirect, stores no cookie, and retries nothing."""
    async with harness(clients) as (vendor, client):
        for status, fields in (
            (307, {"Location": f"{vendor.url}/elsewhere"}),
            (401, {"WWW-Authenticate": "Basic"}),
            (503, {"Retry-After": "0"}),
            (200, {"Set-Cookie": "a=b; Path=/"}),
            (200, {}),
        ):
            vendor.respond(status, fields)
            answer = await client.send(Request.get("/"), vendor.url, PATIENT)
            require(answer.status == status, f"{status} came back as {answer.status}.")
        require(len(vendor.requests) == 5, f"5 requests became {len(vendor.requests)}.")
        require("cookie" not in vendor.requests[-1].headers, "A cookie was kept.")


async def callers_do_not_mix(clients: Clients) -> None:
    """If several callers send requests concurrently, each gets its own responses."""

    def echo(received: ReceivedRequest) -> Behaviour:
        return Behaviour(body=received.target.encode(), delay=0.001)

    async with harness(clients) as (vendor, client):
        vendor.always(echo)

        async def send_requests(number: int) -> None:
            for turn in range(5):
                target = f"/{number}/{turn}"
                answer = await client.send(Request.get("/"), vendor.url + target, PATIENT)
                require(answer.body == target.encode(), f"{target} got {answer.body!r}.")

        await asyncio.gather(*map(send_requests, range(8)))


async def without_timeouts_a_client_waits(clients: Clients) -> None:
    """An HTTP client without timeouts waits for a response indefinitely."""
    async with harness(clients) as (vendor, client):
        vendor.queue(Behaviour(204, delay=0.01))
        answer = await client.send(Request.get("/"), vendor.url, Timeouts())
        require(answer.status == 204, f"204 came back as {answer.status}.")


async def a_client_can_be_closed_repeatedly(clients: Clients) -> None:
    """An HTTP client can be closed without having been used, and more than once."""
    async with harness(clients) as (vendor, client):
        vendor.always(Behaviour(204))
        await client.send(Request.get("/"), vendor.url, PATIENT)
        await client.close()
        await client.close()
    await clients().close()


async def a_closed_client_has_its_own_error(clients: Clients) -> None:
    """The error of a closed client differs from the error for an unreachable vendor."""
    async with harness(clients) as (vendor, client):
        vendor.always(Behaviour(204))
        await client.close()
        reason = "the client was closed before."
        call = client.send(Request.get("/"), vendor.url, PATIENT)
        failed = await failure_of(call, LocalFailure, because=reason)
        require(
            not failed.may_have_been_processed,
            f"The error says that the request may have been processed: {reason}",
        )
        require(vendor.requests == (), "A closed client sent a request.")


def _same_fields(expected: tuple[tuple[str, str], ...], received: Headers, owner: str) -> None:
    for name, _ in expected:
        expected_values = Headers(expected).get_all(name)
        received_values = received.get_all(name)
        require(
            expected_values == received_values,
            f"The field {name} {owner} is {received_values!r}, not {expected_values!r}.",
        )
