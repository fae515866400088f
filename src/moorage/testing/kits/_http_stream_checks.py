"""Checks of streamed responses of an HTTP client, and of the client's connections."""

from __future__ import annotations

import asyncio
import gzip
from functools import partial
from typing import TYPE_CHECKING

from moorage.domain.http.requests import Request, Timeouts
from moorage.errors import AttemptTimeout, ConnectionFailed, ConnectorError
from moorage.testing.fakes.http_server import Behaviour
from moorage.testing.kits._http_harness import BRIEFLY, GRACE, PATIENT, failure_of, harness
from moorage.testing.kits.checks import require

if TYPE_CHECKING:
    from collections.abc import Callable
    from ssl import SSLContext

    from moorage.ports.http import AsyncHttpClient, AsyncIncoming
    from moorage.testing.kits._http_harness import Clients


async def pieces_of_a_stream_arrive_as_sent(clients: Clients) -> None:
    """Status, header fields and pieces can be read as they arrive, within the total timeout."""
    async with harness(clients) as (vendor, client):
        vendor.queue(Behaviour(206, {"X": "y"}, b"first, then silence", cut=5))
        incoming = await client.open(Request.get("/"), vendor.url, Timeouts(total=2 * BRIEFLY))
        require(incoming.status == 206, f"206 came back as {incoming.status}.")
        require(incoming.headers.get("x") == "y", "A field was not returned.")
        received_bytes = b""
        while len(received_bytes) < 5:
            received_bytes += await incoming.read()
        require(received_bytes == b"first", f"{received_bytes!r} came instead of b'first'.")
        reason = "it stopped in the middle of the body"
        failed_error = await failure_of(
            incoming.read(), AttemptTimeout, because=reason, within=2 * BRIEFLY + GRACE
        )
        require(
            failed_error.may_have_been_processed,
            "A response arrived, so the request may have been processed.",
        )
        incoming.close()


async def a_stream_stays_ended(clients: Clients) -> None:
    """After a response's end, `read` always returns b"", even after `close`."""
    body = bytes(range(256)) * 4_000
    packed_bytes = gzip.compress(body)
    async with harness(clients) as (vendor, client):
        for behaviour, expected in (
            (Behaviour(body=body), body),
            (Behaviour(body=body, framing="chunked"), body),
            (Behaviour(body=body, framing="close"), body),
            (Behaviour(200, {"Content-Encoding": "gzip"}, packed_bytes), body),
            (Behaviour(204), b""),
        ):
            vendor.queue(behaviour)
            incoming = await client.open(Request.get("/"), vendor.url, PATIENT)
            received_bytes = await _remaining_bytes(incoming)
            require(received_bytes == expected, f"The body of {behaviour} is not what was sent.")
            require(await incoming.read() == b"", "Bytes were read after the end of the body.")
            incoming.close()
            incoming.close()
            require(
                await incoming.read() == b"", "A stream returned bytes after its end and close()."
            )


async def a_stream_can_be_closed_early(clients: Clients) -> None:
    """A response can be closed early and repeatedly, and the client still works."""
    async with harness(clients) as (vendor, client):
        vendor.always(Behaviour(204))
        vendor.queue(Behaviour(body=b"x" * 9_999_999))
        incoming = await client.open(Request.get("/"), vendor.url, PATIENT)
        await incoming.read()
        incoming.close()
        incoming.close()
        await failure_of(
            incoming.read(),
            ConnectorError,
            because="half of a response was returned as a complete response.",
        )
        answer = await client.send(Request.get("/"), vendor.url, PATIENT)
        require(answer.status == 204, f"204 came back as {answer.status}.")


async def a_stream_that_is_cut_off_says_so(clients: Clients) -> None:
    """If the connection breaks early, the response's body is not considered complete."""
    async with harness(clients) as (vendor, client):
        for framing in ("length", "chunked"):
            vendor.queue(Behaviour(body=b"x" * 99, framing=framing, cut=9, then="close"))
            incoming = await client.open(Request.get("/"), vendor.url, PATIENT)
            failed_error = await failure_of(
                _remaining_bytes(incoming),
                ConnectionFailed,
                because="it closed in the middle of the body",
            )
            require(
                failed_error.may_have_been_processed,
                "A response arrived, so the request may have been processed.",
            )
            incoming.close()


async def a_flood_ends_with_the_total_timeout(clients: Clients) -> None:
    """The total timeout ends a streamed response, however fast the vendor sends."""
    async with harness(clients) as (vendor, client):
        vendor.queue(Behaviour(framing="close", repeat=bytes(99_999)))
        incoming = await client.open(Request.get("/"), vendor.url, Timeouts(total=BRIEFLY))
        reason = "its body did not end"
        await failure_of(
            _remaining_bytes(incoming), AttemptTimeout, because=reason, within=BRIEFLY + GRACE
        )
        incoming.close()


async def closing_ends_a_read(clients: Clients) -> None:
    """If one caller waits in `read`, closing the response ends this wait."""
    async with harness(clients) as (vendor, client):
        vendor.queue(Behaviour(body=b"x" * 99, cut=0))
        incoming = await client.open(Request.get("/"), vendor.url, PATIENT)
        reading = asyncio.ensure_future(incoming.read())
        await asyncio.sleep(BRIEFLY / 10)
        incoming.close()
        reason = "its answer was closed while it was read"
        await failure_of(reading, ConnectorError, because=reason, within=GRACE)


async def a_full_connection_pool_ends_with_the_pool_timeout(clients: Clients) -> None:
    """With its only connection in use, a client's second call fails at the pool timeout, unsent."""
    async with harness(clients) as (vendor, client):
        vendor.always(Behaviour(204))
        vendor.queue(Behaviour(body=b"x" * 99, cut=9))
        incoming = await client.open(Request.get("/"), vendor.url, PATIENT)
        reason = "no connection was free"
        for timeouts in (Timeouts(pool=BRIEFLY), Timeouts(total=BRIEFLY)):
            call = client.send(Request.post("/"), vendor.url, timeouts)
            failed_error = await failure_of(
                call, AttemptTimeout, because=reason, within=BRIEFLY + GRACE
            )
            require(
                not failed_error.may_have_been_processed,
                "The error does not state that nothing was processed.",
            )
        waiting_calls = [
            asyncio.ensure_future(client.send(Request.get("/"), vendor.url, PATIENT))
            for _ in range(3)
        ]
        await asyncio.sleep(BRIEFLY / 10)
        incoming.close()
        for answer in await asyncio.gather(*waiting_calls):
            require(answer.status == 204, f"204 came back as {answer.status}.")
        require(vendor.connections == 2, f"{vendor.connections} connections were made, not 2.")


async def tls_is_verified(clients: Callable[[SSLContext], AsyncHttpClient]) -> None:
    """The client trusts only the configured authorities, and only the right host name."""
    from moorage.testing.fakes.http_tls import tls_pair  # noqa: PLC0415 - costs milliseconds to load

    server, trusting_context = tls_pair("127.0.0.1")
    wrong_name_server, trusting_misnamed = tls_pair("vendor.example")
    _, trusting_another = tls_pair("127.0.0.1")
    async with harness(partial(clients, trusting_context), tls=server) as (vendor, client):
        vendor.always(lambda received: Behaviour(body=received.body))
        for body in (b"x", bytes(999_999)):
            answer = await client.send(Request.post("/", body=body), vendor.url, PATIENT)
            require(answer.body == body, "A body changed on its way through TLS.")
    for reason, certificate, context in (
        ("its certificate is another's", server, trusting_another),
        ("its certificate has another name", wrong_name_server, trusting_misnamed),
    ):
        async with harness(partial(clients, context), tls=certificate) as (
            vendor,
            client,
        ):
            failed_error = await failure_of(
                client.send(Request.get("/"), vendor.url, PATIENT),
                ConnectionFailed,
                because=reason,
            )
            require(
                not failed_error.may_have_been_processed,
                f"The error does not state that nothing was sent: {reason}.",
            )
            require(vendor.requests == (), f"A request was sent: {reason}.")


async def _remaining_bytes(incoming: AsyncIncoming) -> bytes:
    received_bytes = bytearray()
    while piece := await incoming.read():
        received_bytes += piece
    return bytes(received_bytes)
