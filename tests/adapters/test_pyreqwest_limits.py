"""Limitations of pyreqwest, and moorage's handling of them."""

from __future__ import annotations

import asyncio
import gc
import gzip
import ssl
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from socket import create_server
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey

from moorage.adapters.http.pyreqwest._clients import Clients
from moorage.adapters.http.pyreqwest._errors import meaning_of
from moorage.adapters.http.pyreqwest.client import PyreqwestHttpClient
from moorage.adapters.http.pyreqwest.client_async import AsyncPyreqwestHttpClient
from moorage.domain.http.requests import BodyStream, Request, Timeouts
from moorage.domain.http.transport import Tls
from moorage.errors import (
    AttemptTimeout,
    ConfigurationError,
    ConnectionFailed,
    InvalidData,
    VendorFailed,
)
from moorage.testing.fakes.http_server import Behaviour, VendorServer
from moorage.testing.fakes.http_tls import certificate_files
from moorage.testing.kits._http_harness import harness
from tests.adapters.http_modes import GET, LONG, Make, in_loop
from tests.adapters.pyreqwest_modes import with_both_clients

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

LARGE = bytes(16_000_000)


# --- ambiguous responses -----------------------------------------------------------------

CHUNKS = b"\r\n2\r\nok\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    "head, message",
    [
        (b"200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n", "ambiguous"),
        (b"200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n", "ambiguous"),
        (b"200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "ambiguous"),
        (b"200 OK\r\nTransfer-Encoding: chunked, chunked\r\n", "ambiguous"),
        (b"200 OK\r\nTransfer-Encoding: gzip, chunked\r\n", "ambiguous"),
        (b"101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n", "switches"),
    ],
)
@with_both_clients
async def test_ambiguous_length_is_refused(make: Make, head: bytes, message: str) -> None:
    """A response with ambiguous length headers is refused."""
    async with harness(make) as (vendor, client):
        vendor.queue(Behaviour(raw=b"HTTP/1.1 " + head + CHUNKS), Behaviour(201))
        with pytest.raises(VendorFailed, match=message):
            await client.send(GET, vendor.url, LONG)

        assert 201 == (await client.send(GET, vendor.url, LONG)).status


@pytest.mark.parametrize("method", ["HEAD", "GET"])
@with_both_clients
async def test_lengths_without_a_body_are_ignored(make: Make, method: str) -> None:
    """A malformed Content-Length is ignored on a response that cannot have a body."""
    status = b"200 OK" if method == "HEAD" else b"304 Not Modified"
    raw_bytes = b"HTTP/1.1 " + status + b"\r\nContent-Length: 2, 2\r\n\r\n"
    async with harness(make) as (vendor, client):
        vendor.queue(Behaviour(raw=raw_bytes))

        assert b"" == (await client.send(Request(method, "/"), vendor.url, LONG)).body


# --- requests that pyreqwest would change ------------------------------------


@pytest.mark.parametrize("target", ["/a/../b", "/?q='x'", "/{id}", "/a\\b", "/a|b?c<d>"])
@with_both_clients
async def test_urls_that_would_be_rewritten_are_refused(make: Make, target: str) -> None:
    """A URL path or query that pyreqwest would rewrite is refused."""
    async with harness(make) as (vendor, client):
        with pytest.raises(InvalidData, match="pyreqwest would change") as excinfo:
            await client.send(GET, vendor.url + target, LONG)

    assert "url" == excinfo.value.field
    assert target not in str(excinfo.value)
    assert () == vendor.requests


@with_both_clients
async def test_a_fragment_is_not_sent(make: Make) -> None:
    """A URL's fragment is not sent."""
    async with harness(make) as (vendor, client):
        vendor.always(Behaviour(204))
        await client.send(GET, f"{vendor.url}/a?b#c", LONG)

    assert "/a?b" == vendor.requests[0].target


@with_both_clients
async def test_invalid_host_is_refused(make: Make) -> None:
    """A host such as 1.2.3.400 is refused, because it is neither an address nor a name."""
    async with harness(make) as (_, client):
        with pytest.raises(InvalidData, match="does not accept"):
            await client.send(GET, "http://1.2.3.400/", LONG)


@with_both_clients
async def test_non_ascii_fields_are_refused(make: Make) -> None:
    """A request header that pyreqwest cannot send unchanged is refused."""
    async with harness(make) as (vendor, client):
        with pytest.raises(InvalidData, match="value is not ASCII") as excinfo:
            await client.send(Request.get("/", headers={"X-Name": "Zoë"}), vendor.url, LONG)

    assert "headers.X-Name" == excinfo.value.field
    assert () == vendor.requests


@with_both_clients
async def test_non_ascii_field_does_not_hide_others(make: Make) -> None:
    """If one response header is not ASCII, all other headers are still returned unchanged."""
    fields = (("X-One", "1"), ("X-Name", "Zoë"), ("X-Many", "a"), ("X-Many", "b"))
    async with harness(make) as (vendor, client):
        vendor.respond(200, fields, b"body")
        answer = await client.send(GET, vendor.url, LONG)

    assert b"body" == answer.body
    assert ("1", "", ("a", "b")) == (
        answer.header("x-one"),
        answer.header("x-name"),
        answer.headers.get_all("x-many"),
    )


@pytest.mark.parametrize(
    "fields, name",
    [
        ({"Content-Length": "7"}, "Content-Length"),
        ({"Transfer-Encoding": "chunked"}, "Transfer-Encoding"),
    ],
)
@with_both_clients
async def test_field_that_contradicts_the_body_is_refused(
    make: Make, fields: dict[str, str], name: str
) -> None:
    """A Content-Length or Transfer-Encoding header that contradicts the request body is refused."""
    async with harness(make) as (vendor, client):
        request = Request.post("/", body=b"four", headers=fields)
        with pytest.raises(InvalidData, match="contradicts the body") as excinfo:
            await client.send(request, vendor.url, LONG)

    assert f"headers.{name}" == excinfo.value.field
    assert () == vendor.requests


@with_both_clients
async def test_explicit_content_length(make: Make) -> None:
    """An explicit Content-Length is sent once, and a Range request asks for no compression."""
    fields = {"Content-Length": "4", "Range": "bytes=0-3"}
    async with harness(make) as (vendor, client):
        vendor.always(Behaviour(204))
        await client.send(Request.post("/", body=b"four", headers=fields), vendor.url, LONG)

    (received_webhook,) = vendor.requests
    assert ("4",) == received_webhook.headers.get_all("content-length")
    assert "identity" == received_webhook.headers.get("accept-encoding")
    assert b"four" == received_webhook.body


# --- limits and timeouts -----------------------------------------------------


@pytest.mark.parametrize("coded", [False, True])
@with_both_clients
async def test_response_body_larger_than_max_body_is_refused(make: Make, coded: bool) -> None:
    """A response body larger than `max_body` is refused, before and after decompression."""
    body = gzip.compress(bytes(9_999)) if coded else bytes(9_999)
    answer = Behaviour(200, {"Content-Encoding": "gzip"} if coded else {}, body)
    async with harness(partial(make, max_body=9_000)) as (vendor, client):
        vendor.always(answer)
        with pytest.raises(VendorFailed, match="body of more than 9000 bytes") as excinfo:
            await client.send(GET, vendor.url, LONG)
        assert not excinfo.value.retryable
        incoming = await client.open(GET, vendor.url, LONG)
        if coded:
            with pytest.raises(VendorFailed, match="9000"):
                await incoming.read()
        else:
            assert await incoming.read()
        incoming.close()

    assert 200 == excinfo.value.status


@with_both_clients
async def test_partial_content_is_not_decompressed(make: Make) -> None:
    """Partial content (206) of a compressed body is returned without decompression."""
    async with harness(make) as (vendor, client):
        vendor.respond(206, {"Content-Encoding": "gzip"}, b"middle")
        assert b"middle" == (await client.send(GET, vendor.url, LONG)).body


@with_both_clients
async def test_sending_does_not_count_as_silence(make: Make) -> None:
    """Sending a request body may take longer than the read timeout."""

    def yield_slowly() -> Iterator[bytes]:
        for _ in range(4):
            Event().wait(0.1)
            yield b"x"

    async with harness(make) as (vendor, client):
        vendor.always(Behaviour(204))
        request = Request.put("/", body=BodyStream.of(yield_slowly))
        await client.send(request, vendor.url, Timeouts(read=0.3, total=20))
        vendor.always(Behaviour(raw=b""))
        with pytest.raises(AttemptTimeout, match=r"did not respond within the read timeout of 0.3"):
            await client.send(request, vendor.url, Timeouts(read=0.3, total=20))

    assert b"xxxx" == vendor.requests[0].body


@with_both_clients
async def test_stream_start_is_bounded(make: Make) -> None:
    """A streamed call whose response never begins ends at the total timeout."""
    async with harness(make) as (vendor, client):
        vendor.queue(Behaviour(raw=b""))
        with pytest.raises(AttemptTimeout, match="did not respond within the total") as excinfo:
            await client.open(GET, vendor.url, Timeouts(total=0.2))

    assert excinfo.value.may_have_been_processed


@with_both_clients
async def test_read_timeout_after_a_streamed_body(make: Make) -> None:
    """After a streamed upload, a pause in the response ends at the read timeout."""
    request = Request.put("/", body=BodyStream.of(lambda: [b"x"]))
    async with harness(make) as (vendor, client):
        vendor.always(Behaviour(body=b"x" * 99, cut=9))
        with pytest.raises(AttemptTimeout, match="did not finish its response within the read"):
            await client.send(request, vendor.url, Timeouts(read=0.1, total=20))


@with_both_clients
async def test_error_names_write_timeout_if_vendor_stops_reading_request(make: Make) -> None:
    """If the vendor stops reading the request, the error names the write timeout."""
    request = Request.put("/", body=BodyStream.of(lambda: [LARGE] * 9))
    async with harness(make) as (vendor, client):
        vendor.queue(Behaviour(raw=b"", reads="head"))
        with pytest.raises(
            AttemptTimeout, match=r"did not accept .* the write timeout of 0.1"
        ) as excinfo:
            await client.send(request, vendor.url, Timeouts(write=0.1, total=20))

    assert excinfo.value.may_have_been_processed


@with_both_clients
async def test_write_timeout_of_a_body_in_memory(make: Make) -> None:
    """If the vendor stops reading a body in memory, the error names the write timeout."""
    async with harness(make) as (vendor, client):
        vendor.queue(Behaviour(raw=b"", reads="head"))
        with pytest.raises(AttemptTimeout, match=r"did not accept .* the write timeout of 0.1"):
            await client.send(
                Request.put("/", body=LARGE * 9), vendor.url, Timeouts(write=0.1, total=20)
            )


@pytest.mark.parametrize("timeouts", [{"read": 5}, {"write": 5}, {"read": 5, "write": 5}])
@with_both_clients
async def test_body_in_memory_arrives_whole(make: Make, timeouts: dict[str, float]) -> None:
    """With timeouts for single steps, a body in memory is sent whole, with its length."""
    body = bytes(range(256)) * 999 + b"end"
    async with harness(make) as (vendor, client):
        vendor.queue(Behaviour(), Behaviour())
        for headers in ({}, {"Content-Length": str(len(body))}):
            request = Request.put("/", headers=headers, body=body)
            await client.send(request, vendor.url, Timeouts(total=20, **timeouts))

    for received in vendor.requests:
        assert body == received.body
        assert (str(len(body)),) == received.headers.get_all("content-length")


@pytest.mark.parametrize("body", [BodyStream.of(lambda: [LARGE] * 9), LARGE * 9])
@with_both_clients
async def test_early_response_ends_sending(make: Make, body: BodyStream | bytes) -> None:
    """A response that arrives before the whole request body was sent is returned."""
    request = Request.put("/", body=body)
    async with harness(make) as (vendor, client):
        vendor.queue(Behaviour(413, reads="head"))
        timeouts = Timeouts(read=5, write=5, total=20)
        assert 413 == (await client.send(request, vendor.url, timeouts)).status


@pytest.mark.parametrize("body", [BodyStream.of(lambda: [LARGE] * 9), LARGE * 9])
def test_upload_whose_event_loop_has_ended_warns_of_nothing(body: BodyStream | bytes) -> None:
    """If a vendor reads on after the event loop has ended, the abandoned request ends silently."""
    may_read_on, is_over = Event(), Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            connection.recv(1)
            may_read_on.wait(120)
            while connection.recv(1_000_000):
                pass
        is_over.set()

    async def send_until_timeout() -> None:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with AsyncPyreqwestHttpClient() as client:
            with pytest.raises(AttemptTimeout, match=r"the write timeout of 0.1"):
                await client.send(Request.put("/", body=body), url, Timeouts(write=0.1, total=100))

    with create_server(("127.0.0.1", 0)) as listener:
        server = Thread(target=serve)
        server.start()
        asyncio.run(send_until_timeout())
        may_read_on.set()
        assert is_over.wait(120)
        server.join()
    gc.collect()


# --- request bodies ----------------------------------------------------------


def failing_body(error: Exception) -> BodyStream:
    """Return a request body whose source cannot be opened."""

    def opener() -> list[bytes]:
        raise error

    return BodyStream.of(opener)


@with_both_clients
async def test_source_that_cannot_be_opened(make: Make) -> None:
    """If the source of a request body cannot be opened, the call fails and nothing was sent."""
    async with harness(make) as (vendor, client):
        with pytest.raises(ConnectionFailed, match="failed with PermissionError") as excinfo:
            await client.send(
                Request.put("/", body=failing_body(PermissionError())), vendor.url, LONG
            )
        assert not excinfo.value.may_have_been_processed
        body_error = InvalidData("It is locked.", field="body")
        with pytest.raises(InvalidData, match="It is locked"):
            await client.send(Request.put("/", body=failing_body(body_error)), vendor.url, LONG)
        wrong_kind: Any = BodyStream.of(lambda: ["text"])  # type: ignore[list-item]  # on purpose
        with pytest.raises(InvalidData, match="returns str, not bytes"):
            await client.send(Request.put("/", body=wrong_kind), vendor.url, LONG)

    assert () == vendor.requests


@pytest.mark.parametrize("chunks", [(), (b"one",)])
@in_loop
async def test_slow_source_times_out(chunks: tuple[bytes, ...]) -> None:
    """A request whose body stalls ends at the total timeout.

    The error says whether part of it was sent.
    """

    async def source() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk
        await asyncio.sleep(60)

    request = Request.put("/", body=BodyStream.of(source))
    async with harness(AsyncPyreqwestHttpClient) as (vendor, client):
        with pytest.raises(AttemptTimeout, match="within the total timeout") as excinfo:
            await client.send(request, vendor.url, Timeouts(total=0.1))

    assert bool(chunks) is excinfo.value.may_have_been_processed


def test_source_is_read_in_the_callers_thread() -> None:
    """A synchronous body is read in the caller's thread, so it delays no other call."""
    start_time, may_continue = Event(), Event()

    def blocked_chunks() -> Iterator[bytes]:
        yield b"x"
        start_time.set()
        may_continue.wait(20)
        raise KeyboardInterrupt

    with VendorServer() as vendor, PyreqwestHttpClient() as client:
        vendor.always(Behaviour(204))

        async def at_once() -> None:
            request = Request.put("/", body=BodyStream.of(blocked_chunks))
            sending_task = asyncio.ensure_future(
                asyncio.to_thread(_is_interrupted, client, request, vendor.url)
            )
            await asyncio.to_thread(start_time.wait, 20)
            streamed_request = Request.put("/", body=BodyStream.of(lambda: [b"y"]))
            answer = await asyncio.to_thread(client.send, streamed_request, vendor.url, LONG)
            assert 204 == answer.status
            may_continue.set()
            assert await sending_task

        asyncio.run(at_once())

    assert [b"y"] == [received_webhook.body for received_webhook in vendor.requests]


def _is_interrupted(client: PyreqwestHttpClient, request: Request, url: str) -> bool:
    try:
        client.send(request, url, LONG)
    except KeyboardInterrupt:
        return True
    return False


# --- cancelling and closing --------------------------------------------------


@in_loop
async def test_cancelled_call_abandons_its_request() -> None:
    """A cancelled call ends at once; its request continues in the background for a limited time."""
    async with harness(partial(AsyncPyreqwestHttpClient, max_connections=1)) as (vendor, client):
        vendor.queue(Behaviour(raw=b""), Behaviour(204))
        call = asyncio.ensure_future(client.send(GET, vendor.url, Timeouts(total=1)))
        await asyncio.to_thread(vendor.wait_for_requests)
        call.cancel()
        await asyncio.wait([call])
        assert call.cancelled()
        assert 204 == (await client.send(GET, vendor.url, LONG)).status
        await asyncio.to_thread(vendor.wait_for_closed)


@in_loop
async def test_cancelled_upload_stops() -> None:
    """If a call is cancelled during its upload, the rest of the body is not sent."""
    ended_event = asyncio.Event()

    async def source() -> AsyncIterator[bytes]:
        yield b"x"
        await ended_event.wait()
        yield b"y"

    async with harness(AsyncPyreqwestHttpClient) as (vendor, client):
        vendor.always(Behaviour(204))
        request = Request.put("/", body=BodyStream.of(source))
        call = asyncio.ensure_future(client.send(request, vendor.url, LONG))
        await asyncio.sleep(0.1)
        call.cancel()
        await asyncio.wait([call])
        ended_event.set()
        await asyncio.to_thread(vendor.wait_for_closed)

    assert () == vendor.requests


@in_loop
async def test_cancelled_read_is_not_the_end() -> None:
    """After a cancelled read, the response stream raises an error instead of ending."""
    async with harness(AsyncPyreqwestHttpClient) as (vendor, client):
        vendor.queue(Behaviour(body=b"x" * 99, cut=0))
        incoming = await client.open(GET, vendor.url, LONG)
        reading = asyncio.ensure_future(incoming.read())
        await asyncio.sleep(0.01)
        reading.cancel()
        await asyncio.wait([reading])
        assert reading.cancelled()
        with pytest.raises(ConnectionFailed, match="closed before its end"):
            await incoming.read()
        await asyncio.to_thread(vendor.wait_for_closed)


@with_both_clients
async def test_abandoned_response_frees_its_slot(make: Make) -> None:
    """An abandoned response loses its connection, but frees its pool slot."""
    async with harness(partial(make, max_connections=1)) as (vendor, client):
        vendor.always(Behaviour(204))
        vendor.queue(Behaviour(body=b"x" * 9_999_999))
        incoming = await client.open(GET, vendor.url, LONG)
        del incoming
        gc.collect()

        assert 204 == (await client.send(GET, vendor.url, LONG)).status


@with_both_clients
async def test_closed_client_is_refused(make: Make) -> None:
    """A closed client refuses new calls; the caller can still read responses that have begun."""
    async with harness(make) as (vendor, client):
        vendor.queue(Behaviour(body=b"x" * 99_999))
        incoming = await client.open(GET, vendor.url, LONG)
        await client.close()
        received_bytes = b""
        while piece := await incoming.read():
            received_bytes += piece
        await asyncio.to_thread(vendor.wait_for_closed)

        assert 99_999 == len(received_bytes)
        with pytest.raises(ConnectionFailed, match="is closed") as excinfo:
            await client.send(GET, vendor.url, LONG)
        assert not excinfo.value.may_have_been_processed
        assert not excinfo.value.retryable


@with_both_clients
async def test_statistics_count_exchanges(make: Make) -> None:
    """Pool statistics count running requests; the number of idle connections is unknown."""
    async with harness(partial(make, max_connections=1)) as (vendor, client):
        vendor.always(Behaviour(204))
        vendor.queue(Behaviour(body=b"x" * 99, cut=9))
        incoming = await client.open(GET, vendor.url, LONG)
        waiting_task = asyncio.ensure_future(client.send(GET, vendor.url, LONG))
        await asyncio.sleep(0.1)
        result = client.statistics()  # type: ignore[attr-defined]  # which the port has not
        assert (1, None, 1, 1) == (result.active, result.idle, result.waiting, result.limit)
        incoming.close()
        await waiting_task
        assert 0 == client.statistics().active  # type: ignore[attr-defined]  # which the port has not


@with_both_clients
async def test_closed_idle_connection_is_replaced(make: Make) -> None:
    """A request on a connection that the vendor closed is retried, or may have been processed."""
    request = Request.post("/", body=b"x")
    async with harness(make) as (vendor, client):
        vendor.always(Behaviour(204, then="close"))
        for count in range(1, 20):
            try:
                answer = await client.send(request, vendor.url, LONG)
                assert 204 == answer.status
            except ConnectionFailed as failed_value:
                assert failed_value.may_have_been_processed  # noqa: PT017 - it may, or may not, be raised
            await asyncio.to_thread(vendor.wait_for_closed, min(count, vendor.connections))
        assert len(vendor.requests) <= 19


@with_both_clients
async def test_compressed_bodies_in_pieces(make: Make) -> None:
    """A compressed response is decompressed for any division into pieces."""
    body = bytes(range(256)) * 99
    request = Request.get("/", headers={"Accept-Encoding": "gzip"})
    async with harness(make) as (vendor, client):
        packed_bytes = gzip.compress(body)
        vendor.always(
            Behaviour(200, {"Content-Encoding": "gzip"}, packed_bytes, piece=50, pause=0.001)
        )
        incoming = await client.open(request, vendor.url, LONG)
        received_bytes = b""
        while piece := await incoming.read():
            received_bytes += piece

    assert body == received_bytes
    assert "gzip" == vendor.requests[0].headers.get("accept-encoding")


@pytest.mark.parametrize("keep_alive, connections", [(15, 1), (0, 2)])
@with_both_clients
async def test_connections_are_reused(make: Make, keep_alive: float, connections: int) -> None:
    """Successive calls reuse one connection, unless `keep_alive` is 0."""
    async with harness(partial(make, keep_alive=keep_alive)) as (vendor, client):
        vendor.always(Behaviour(body=b"x" * 99_999))
        for _ in range(2):
            await client.send(GET, vendor.url, LONG)

    assert connections == vendor.connections


def test_several_loops_may_use_one_client() -> None:
    """One asynchronous client works in several event loops, one loop after another."""
    client = AsyncPyreqwestHttpClient()
    with VendorServer() as vendor:
        vendor.always(Behaviour(204))

        async def send_request() -> int:
            return (await client.send(GET, vendor.url, LONG)).status

        assert [204, 204] == [asyncio.run(send_request()) for _ in range(2)]
        asyncio.run(client.close())


@in_loop
async def test_async_with_block_closes_the_client() -> None:
    """The asynchronous client closes at the end of its `async with` block."""
    with VendorServer() as vendor:
        vendor.always(Behaviour(204))
        async with AsyncPyreqwestHttpClient() as client:
            await client.send(GET, vendor.url, LONG)
        await asyncio.to_thread(vendor.wait_for_closed)


# --- inner clients -----------------------------------------------------------


@with_both_clients
async def test_clients_per_connect_timeout_are_bounded(make: Make) -> None:
    """The client keeps inner pyreqwest clients only for the last used connect timeouts."""
    async with harness(make) as (vendor, client):
        vendor.always(Behaviour(204))
        for connect in range(1, 40):
            await client.send(GET, vendor.url, Timeouts(connect=connect, total=50))
        inner_client: Any = getattr(client, "_client", client)
        clients: Any = getattr(inner_client, "_clients", None) or inner_client._blocking.clients  # noqa: SLF001 - the kept clients are private
        assert isinstance(clients, Clients)
        assert 16 == len(clients._clients)  # noqa: SLF001 - the kept clients are private


@pytest.mark.parametrize("as_text", [True, False])
def test_key_in_the_file_of_its_certificate(tmp_path: Path, as_text: bool) -> None:
    """An encrypted key in the same file as its certificate is decrypted with the password."""
    certificate, key = certificate_files(tmp_path)
    sealed_bytes = serialization.load_pem_private_key(key.read_bytes(), None).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"word"),
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(certificate)
    certificate_and_key = tmp_path / "both.pem"
    certificate_and_key.write_bytes(certificate.read_bytes() + sealed_bytes)
    tls = Tls(
        authorities=str(certificate),
        certificate=certificate_and_key.read_bytes() if as_text else str(certificate_and_key),
        password="word",
    )
    with VendorServer(tls=server) as vendor, PyreqwestHttpClient(tls=tls) as client:
        vendor.always(Behaviour(204))
        assert 204 == client.send(GET, vendor.url, LONG).status


def test_unsupported_key_is_refused(tmp_path: Path) -> None:
    """A TLS key type that pyreqwest does not support raises ConfigurationError."""
    certificate, key = ed448(tmp_path, Ed448PrivateKey.generate())
    client = PyreqwestHttpClient(tls=Tls(certificate=certificate, key=key))
    with pytest.raises(ConfigurationError, match="does not accept") as excinfo:
        client.send(GET, "http://127.0.0.1/", LONG)

    assert "tls" == excinfo.value.path


def ed448(folder: Path, key: Ed448PrivateKey) -> tuple[str, str]:
    """Write a self-signed Ed448 certificate and its key to files."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ours")])
    now = datetime.now(UTC)
    signed_certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(hours=1))
        .sign(key, None)
    )
    certificate, secret = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(signed_certificate.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return str(certificate), str(secret)


def test_unknown_exceptions_may_have_been_processed() -> None:
    """If pyreqwest raises an unknown exception, the request may have been processed."""
    meaning = meaning_of(ValueError("https://user:secret@vendor.example/"))

    assert (True, False, False, "") == (
        meaning.sent,
        meaning.timed_out,
        meaning.malformed,
        meaning.reason,
    )
