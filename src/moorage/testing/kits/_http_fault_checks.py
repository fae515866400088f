"""Checks of an HTTP client whose vendor violates HTTP."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.http.requests import BodyStream, Request, Timeouts
from moorage.errors import (
    AttemptTimeout,
    ConnectionFailed,
    ConnectorError,
    LocalFailure,
    VendorFailed,
)
from moorage.testing.fakes.http_server import Behaviour
from moorage.testing.kits._http_harness import (
    BRIEFLY,
    GRACE,
    GZIP,
    PATIENCE,
    PATIENT,
    decompression_bomb,
    failure_of,
    harness,
)
from moorage.testing.kits.checks import require

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.testing.kits._http_harness import Clients

_OK: Final = b"HTTP/1.1 200 OK\r\n"
_SECRET: Final = "sk-live-42"  # noqa: S105 - opens nothing
_DRIP_SECONDS: Final = BRIEFLY / 10
_MEBIBYTE: Final = 1_048_576

_CUT_OFF: Final[dict[str, Behaviour]] = {
    "it closed without an answer": Behaviour(raw=b"", then="close"),
    "it reset the connection instead of answering": Behaviour(raw=b"", then="reset"),
    "it closed before it had read anything": Behaviour(raw=b"", reads="nothing", then="close"),
    "it closed in the middle of the head": Behaviour(raw=_OK + b"Content-", then="close"),
    "it closed after an interim answer": Behaviour(raw=b"HTTP/1.1 100 x\r\n\r\n", then="close"),
    "it closed in the middle of the body": Behaviour(body=b"x" * 99, cut=9, then="close"),
    "it reset the connection in the body": Behaviour(body=b"x" * 99, cut=9, then="reset"),
    "it closed in the middle of a chunk": Behaviour(
        body=b"x" * 99, framing="chunked", cut=9, then="close"
    ),
    "it closed before the last chunk": Behaviour(
        body=b"x" * 9, framing="chunked", cut=14, then="close"
    ),
    "it sent less than it said": Behaviour(200, {"Content-Length": "99"}, b"x", then="close"),
}

_SILENT: Final[dict[str, Behaviour]] = {
    "it never answered": Behaviour(raw=b""),
    "it stopped in the middle of the head": Behaviour(raw=_OK + b"Content-"),
    "it stopped in the middle of the body": Behaviour(body=b"x" * 99, cut=9),
    "it sent less than it said, and stayed": Behaviour(200, {"Content-Length": "99"}, b"x"),
}

_DRIPPING: Final[dict[str, Behaviour]] = {
    "its head dripped": Behaviour(headers={"X": "x" * 999}, piece=1, pause=_DRIP_SECONDS),
    "its body dripped": Behaviour(body=b"x" * 9_999, piece=1, pause=_DRIP_SECONDS),
    "its body dripped without end": Behaviour(framing="close", repeat=b"x", pause=_DRIP_SECONDS),
    "interim answers came without end": Behaviour(
        raw=b"", repeat=b"HTTP/1.1 100 x\r\n\r\n", pause=_DRIP_SECONDS
    ),
}

_NOT_HTTP: Final[dict[str, bytes]] = {
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n",
    "no status": b"HTTP/1.1 OK\r\n\r\n",
    "a status that is not a number": b"HTTP/1.1 2x0 OK\r\n\r\n",
    "a field without a name": _OK + b": x\r\n\r\n",
    "a field with a NUL": _OK + b"A: \x00\r\n\r\n",
    "two lengths": _OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    "a length that is not a number": _OK + b"Content-Length: x\r\n\r\n",
    "a chunk without a size": _OK + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "a chunk longer than its size": _OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nxyz\r\n",
    "a coding that the body does not have": _OK
    + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nplain",
}


def _require_failure(failed: ConnectionFailed, *, processed: bool, because: str) -> None:
    require(
        failed.may_have_been_processed is processed,
        f"may_have_been_processed must be {processed}: {because}.",
    )


async def a_cut_connection_is_noticed(clients: Clients) -> None:
    """If the connection breaks before the response, the request may have been processed."""
    async with harness(clients) as (vendor, client):
        for reason, behaviour in _CUT_OFF.items():
            vendor.queue(behaviour)
            call = client.send(Request.post("/", body=b"x"), vendor.url, PATIENT)
            failed_error = await failure_of(call, ConnectionFailed, because=reason)
            _require_failure(failed_error, processed=True, because=reason)
            require(
                not isinstance(failed_error, AttemptTimeout),
                f"A timeout was reported although none had passed: {reason}.",
            )


async def silence_ends_with_the_read_timeout(clients: Clients) -> None:
    """If a response pauses, the read timeout ends the call; the vendor may have processed it."""
    async with harness(clients) as (vendor, client):
        for reason, behaviour in _SILENT.items():
            vendor.queue(behaviour)
            call = client.send(Request.get("/"), vendor.url, Timeouts(read=BRIEFLY))
            failed_error = await failure_of(
                call, AttemptTimeout, because=reason, within=BRIEFLY + GRACE
            )
            _require_failure(failed_error, processed=True, because=reason)


async def dripping_ends_with_the_total_timeout(clients: Clients) -> None:
    """The total timeout ends an exchange, however slowly a vendor sends."""
    async with harness(clients) as (vendor, client):
        for reason, behaviour in _DRIPPING.items():
            vendor.queue(behaviour)
            timeouts = Timeouts(read=PATIENCE, total=BRIEFLY)
            call = client.send(Request.get("/"), vendor.url, timeouts)
            failed_error = await failure_of(
                call, AttemptTimeout, because=reason, within=BRIEFLY + GRACE
            )
            _require_failure(failed_error, processed=True, because=reason)


async def a_slow_answer_is_waited_for(clients: Clients) -> None:
    """The read timeout applies to each piece of the response, not to the whole."""
    async with harness(clients) as (vendor, client):
        vendor.queue(
            Behaviour(raw=_OK + b"Content-Length: 9\r\n\r\n" + b"x" * 9, piece=12, pause=0.02)
        )
        answer = await client.send(Request.get("/"), vendor.url, Timeouts(read=PATIENCE / 10))
        require(answer.body == b"x" * 9, f"{answer.body!r} came back.")


async def unread_requests_end_with_the_write_timeout(clients: Clients) -> None:
    """If a vendor stops reading, the call ends at the write timeout; the vendor may have acted."""
    body = bytes(64 * _MEBIBYTE)
    async with harness(clients) as (vendor, client):
        for timeouts in (Timeouts(write=BRIEFLY), Timeouts(total=BRIEFLY)):
            vendor.queue(Behaviour(raw=b"", reads="head"))
            reason = "it did not read the body."
            call = client.send(Request.put("/", body=body), vendor.url, timeouts)
            failed_error = await failure_of(
                call, AttemptTimeout, because=reason, within=BRIEFLY + 2 * GRACE
            )
            _require_failure(failed_error, processed=True, because=reason)


async def a_response_that_is_not_http_is_refused(clients: Clients) -> None:
    """A response that is ambiguous or not HTTP raises an error that blames the vendor."""
    async with harness(clients) as (vendor, client):
        for reason, raw_bytes in _NOT_HTTP.items():
            vendor.queue(Behaviour(raw=raw_bytes, then="close"))
            call = client.send(Request.get("/"), vendor.url, PATIENT)
            await failure_of(call, VendorFailed, because=reason)


async def an_endless_answer_is_refused(clients: Clients) -> None:
    """An HTTP client limits the size of a response's head, body and decompressed body."""
    gzip = _OK + b"Content-Encoding: gzip\r\n\r\n"
    async with harness(clients) as (vendor, client):
        for reason, behaviour in {
            "its head did not end": Behaviour(raw=_OK, repeat=b"A: b\r\n" * 99),
            "its head's line did not end": Behaviour(raw=_OK + b"A: ", repeat=b"x" * 999),
            "its body did not end": Behaviour(framing="close", repeat=bytes(99_999)),
            "its body was a bomb": Behaviour(raw=gzip + decompression_bomb(GZIP), then="close"),
        }.items():
            vendor.queue(behaviour)
            call = client.send(Request.get("/"), vendor.url, PATIENT)
            await failure_of(call, VendorFailed, because=reason)


async def an_unreachable_vendor_got_nothing(clients: Clients) -> None:
    """If no byte of a request can have arrived, the error states that nothing was processed."""
    for port, time_limit in (("refusing", PATIENCE), ("ignoring", BRIEFLY + GRACE)):
        async with harness(clients, port=port) as (vendor, client):
            reason = f"its port was {port}"
            kind = AttemptTimeout if port == "ignoring" else ConnectionFailed
            for timeouts in (Timeouts(connect=BRIEFLY), Timeouts(total=BRIEFLY)):
                call = client.send(Request.post("/", body=b"x"), vendor.url, timeouts)
                failed_error = await failure_of(call, kind, because=reason, within=time_limit)
                _require_failure(failed_error, processed=False, because=reason)


async def an_unresolved_host_got_nothing(clients: Clients) -> None:
    """A host name that cannot be resolved raises a connection error."""
    client = clients()
    for host in ("moorage..invalid", f"{'a' * 64}.invalid"):
        reason = f"{host} is not a host name"
        call = client.send(Request.get("/"), f"http://{host}/", PATIENT)
        failed_error = await failure_of(call, ConnectionFailed, because=reason)
        _require_failure(failed_error, processed=False, because=reason)
    await client.close()


async def a_failed_tls_handshake_sends_nothing(clients: Clients) -> None:
    """No byte of a request is sent before the TLS handshake ends, within the connect timeout."""
    async with harness(clients) as (vendor, client):
        url = vendor.url.replace("http:", "https:")
        vendor.queue(
            Behaviour(raw=b"HTTP/1.1 400 Bad Request\r\n\r\n", reads="nothing", then="close")
        )
        reason = "it did not speak TLS"
        failed_error = await failure_of(
            client.send(Request.get("/"), url, PATIENT), ConnectionFailed, because=reason
        )
        _require_failure(failed_error, processed=False, because=reason)
        vendor.queue(Behaviour(raw=b"", reads="nothing"))
        reason = "it did not answer the handshake"
        call = client.send(Request.get("/"), url, Timeouts(connect=BRIEFLY))
        failed_error = await failure_of(
            call, AttemptTimeout, because=reason, within=BRIEFLY + GRACE
        )
        _require_failure(failed_error, processed=False, because=reason)


async def a_failing_body_source_has_its_own_error(clients: Clients) -> None:
    """If reading a request's body fails, the error states whether anything was sent."""

    def failing_stream(*chunks: bytes) -> Iterator[bytes]:
        yield from chunks
        raise LookupError("the disk is gone")

    async with harness(clients) as (vendor, client):
        vendor.always(Behaviour(204))
        for chunks in ((), (b"one",)):
            reason = f"the source failed after {len(chunks)} pieces"
            body = BodyStream.of(partial(failing_stream, *chunks))
            call = client.send(Request.put("/", body=body), vendor.url, PATIENT)
            failed = await failure_of(call, LocalFailure, because=reason)
            if not chunks:
                _require_failure(failed, processed=False, because=reason)
    require(vendor.requests == (), "An incomplete request body was sent as a complete body.")


async def a_body_of_wrong_length_is_an_error(clients: Clients) -> None:
    """A request body of wrong length raises an error, and the vendor gets no complete request."""
    async with harness(clients) as (vendor, client):
        vendor.always(Behaviour(204))
        for length in (3, 30):
            body = BodyStream.of(lambda: [b"12", b"34"], length=length)
            await failure_of(
                client.send(Request.put("/", body=body), vendor.url, PATIENT),
                ConnectorError,
                because=f"a body of 4 bytes said it had {length}.",
            )
    require(vendor.requests == (), "A body of the wrong length was sent whole.")


async def a_connection_that_ended_is_replaced(clients: Clients) -> None:
    """If the vendor closes an idle connection, the next request still succeeds."""
    async with harness(clients) as (vendor, client):
        for count in (1, 2, 3):
            vendor.queue(Behaviour(204, then="close"))
            answer = await client.send(Request.post("/", body=b"x"), vendor.url, PATIENT)
            require(answer.status == 204, f"204 came back as {answer.status}.")
            vendor.wait_for_closed(count)
        require(len(vendor.requests) == 3, f"3 requests became {len(vendor.requests)}.")


async def a_request_that_was_read_is_not_sent_again(clients: Clients) -> None:
    """A request that may have been read is not sent again when its connection breaks."""
    async with harness(clients) as (vendor, client):
        for request in (Request.get("/"), Request.post("/", body=b"x")):
            request_count = len(vendor.requests)
            vendor.queue(Behaviour(204), Behaviour(raw=b"", then="close"), Behaviour(204))
            await client.send(request, vendor.url, PATIENT)
            reason = "it closed a connection that had carried an exchange before"
            failed_error = await failure_of(
                client.send(request, vendor.url, PATIENT), ConnectionFailed, because=reason
            )
            _require_failure(failed_error, processed=True, because=reason)
            require(len(vendor.requests) == request_count + 2, "A request was sent again.")
            await client.send(request, vendor.url, PATIENT)


async def stray_bytes_are_no_answer(clients: Clients) -> None:
    """Stray bytes after a response are not taken for the next response."""
    stray_bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray"
    async with harness(clients) as (vendor, client):
        vendor.queue(
            Behaviour(raw=_OK + b"Content-Length: 2\r\n\r\nok" + stray_bytes), Behaviour(204)
        )
        first_answer = await client.send(Request.get("/"), vendor.url, PATIENT)
        second_answer = await client.send(Request.get("/"), vendor.url, PATIENT)
        require(
            (first_answer.body, second_answer.status) == (b"ok", 204),
            "Bytes after a response were read as the next response.",
        )


async def errors_keep_secrets(clients: Clients) -> None:
    """No error of an HTTP client shows a URL's query, credentials, or a body."""
    request = Request.get("/", headers={"Authorization": f"Bearer {_SECRET}"})
    echo = _OK + f"X {_SECRET}\r\n\r\n".encode()
    async with harness(clients) as (vendor, client):
        url = f"{vendor.url}/{_SECRET}?key={_SECRET}"
        for behaviour in (
            Behaviour(raw=b"", then="close"),
            Behaviour(raw=b""),
            Behaviour(raw=echo, then="close"),
        ):
            vendor.queue(behaviour)
            call = client.send(request, url, Timeouts(total=BRIEFLY))
            failed_error = await failure_of(call, ConnectorError, because=f"{behaviour}")
            error_text = f"{failed_error} {failed_error!r} {vars(failed_error)}"
            require(_SECRET not in error_text, f"A secret shows after {behaviour}.")
            host, port = vendor.address
            require(f"{host}:{port}" in error_text, f"{failed_error!r} does not name the host.")


async def cancelling_closes_the_connection(clients: Clients) -> None:
    """A cancelled call ends immediately, and closes its connection."""
    async with harness(clients) as (vendor, client):
        vendor.queue(Behaviour(raw=b""), Behaviour(204))
        call: asyncio.Future[Any] = asyncio.ensure_future(
            client.send(Request.get("/"), vendor.url, PATIENT)
        )
        await asyncio.to_thread(vendor.wait_for_requests)
        call.cancel()
        await asyncio.wait([call], timeout=PATIENCE)
        require(call.cancelled(), "A cancelled call did not end as cancelled.")
        await asyncio.to_thread(vendor.wait_for_closed)
        answer = await client.send(Request.get("/"), vendor.url, PATIENT)
        require(answer.status == 204, "After a cancelled call, no further call was possible.")
