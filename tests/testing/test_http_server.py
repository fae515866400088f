"""The local HTTP server that plays a vendor in tests, with faults."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import socket
import ssl
import struct
import threading
import time
from typing import TYPE_CHECKING

import pytest

from moorage.domain.http.requests import Headers
from moorage.testing.fakes.http_server import Behaviour, ReceivedRequest, VendorServer
from moorage.testing.fakes.http_tls import tls_pair

if TYPE_CHECKING:
    from collections.abc import Iterator

GET = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST /a?b=1&b=&c=%20 HTTP/1.1\r\nContent-Length: 2\r\nX: 1\r\nx: 2\r\n\r\nhi"


@pytest.fixture(name="vendor")
def _vendor() -> Iterator[VendorServer]:
    """Run the local server."""
    with VendorServer() as vendor:
        yield vendor


def connect(vendor: VendorServer) -> socket.socket:
    """Return a connection to the server, with a timeout."""
    sock = socket.create_connection(vendor.address)
    sock.settimeout(5)
    return sock


def read_until_closed(sock: socket.socket) -> bytes:
    """Return everything that arrives until the server closes the connection."""
    return b"".join(iter(lambda: sock.recv(65_536), b""))


def exchange_bytes(vendor: VendorServer, request: bytes = GET) -> bytes:
    """Return all bytes that the server sends in response to one request."""
    with connect(vendor) as sock:
        sock.sendall(request)
        sock.shutdown(socket.SHUT_WR)
        return read_until_closed(sock)


def read_response(vendor: VendorServer, method: str, path: str) -> tuple[int, bytes]:
    """Return the response, read by Python's own HTTP client."""
    client = http.client.HTTPConnection(*vendor.address)
    client.request(method, path)
    answer = client.getresponse()
    status, body = answer.status, answer.read()
    client.close()
    return status, body


# --- what it answers ---------------------------------------------------------


def test_started_server_listens_until_it_is_closed() -> None:
    """Without a `with` block the server listens from `start()` until `close()`."""
    vendor = VendorServer().start()

    assert exchange_bytes(vendor).startswith(b"HTTP/1.1 501 ")

    vendor.close()
    with pytest.raises(ConnectionRefusedError):
        connect(vendor)


def test_server_reuses_a_port() -> None:
    """A server can use the port of another one that was just closed."""
    previous_server = VendorServer().start()
    exchange_bytes(previous_server)
    previous_server.close()
    later_server = VendorServer().start(previous_server.address[1])

    assert previous_server.url == later_server.url
    assert exchange_bytes(later_server).startswith(b"HTTP/1.1 501 ")
    later_server.close()


def test_python_can_read_planned_responses(vendor: VendorServer) -> None:
    """Ordinary responses of the server can be read by Python's own HTTP client."""
    vendor.respond(201, {"X": "y"}, b"made")
    vendor.respond_json({"a": 1}, status=202, headers={"X": "y"})

    assert (201, b"made") == read_response(vendor, "POST", "/")
    assert (202, b'{"a": 1}') == read_response(vendor, "GET", "/")
    assert vendor.url == "http://{}:{}".format(*vendor.address)


def test_queued_answers_come_in_order(vendor: VendorServer) -> None:
    """A path's own queue of responses comes first, then the common queue, then permanent ones."""
    vendor.queue(Behaviour(201), Behaviour(202))
    vendor.queue(Behaviour(203), path="/own")
    vendor.always(Behaviour(204))
    vendor.always(lambda request: Behaviour(200, (), request.target.encode()), path="/own")

    statuses = [read_response(vendor, "GET", path)[0] for path in ("/own?x", "/", "/own", "/")]
    assert [203, 201, 202, 204] == statuses
    assert (200, b"/own?y") == read_response(vendor, "GET", "/own?y")


def test_request_without_a_prepared_response_gets_status_501(vendor: VendorServer) -> None:
    """A request without a prepared response gets status 501 with an explanation."""
    assert (501, b"This test prepared no response to GET /a?b") == read_response(
        vendor, "GET", "/a?b"
    )


@pytest.mark.parametrize(
    "behaviour, method, answer",
    [
        (Behaviour(), b"GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        (Behaviour(299), b"GET", b"HTTP/1.1 299 Unknown\r\nContent-Length: 0\r\n\r\n"),
        (
            Behaviour(200, [("A", "1"), ("a", "é")], b"x"),
            b"GET",
            b"HTTP/1.1 200 OK\r\nA: 1\r\na: \xe9\r\nContent-Length: 1\r\n\r\nx",
        ),
        (Behaviour(body=b"abc"), b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"),
        (Behaviour(304, body=b"abc"), b"GET", b"HTTP/1.1 304 Not Modified\r\n\r\n"),
        (
            Behaviour(body=b"abc", framing="chunked"),
            b"GET",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        ),
        (
            Behaviour(framing="chunked"),
            b"GET",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (Behaviour(body=b"abc", framing="close"), b"GET", b"HTTP/1.1 200 OK\r\n\r\nabc"),
        (
            Behaviour(200, {"content-length": "9"}, b"abc"),
            b"GET",
            b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc",
        ),
        (Behaviour(raw=b"SSH-2.0\r\n"), b"GET", b"SSH-2.0\r\n"),
        (
            Behaviour(204, before=b"HTTP/1.1 103 x\r\n\r\n"),
            b"GET",
            b"HTTP/1.1 103 x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
        ),
        (Behaviour(body=b"abc", cut=1), b"GET", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\na"),
        (Behaviour(raw=b"slowly", piece=4, pause=0.001), b"GET", b"slowly"),
    ],
)
def test_an_answer_is_sent_to_the_byte(
    vendor: VendorServer, behaviour: Behaviour, method: bytes, answer: bytes
) -> None:
    """A prepared response is sent byte for byte."""
    vendor.queue(behaviour)

    assert answer == exchange_bytes(vendor, GET.replace(b"GET", method))


# --- what it remembers -------------------------------------------------------


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_failing_handler_closes_the_connection(vendor: VendorServer) -> None:
    """If a handler raises an error, the client does not wait for a response."""

    def fail(_: ReceivedRequest) -> Behaviour:
        raise LookupError

    vendor.always(fail)
    with connect(vendor) as sock:
        sock.sendall(GET)
        assert b"" == read_until_closed(sock)
    vendor.wait_for_closed()


def test_requests_are_remembered_as_they_came(vendor: VendorServer) -> None:
    """A test can read the method, target, headers, body and connection of each request."""
    vendor.always(Behaviour())
    exchange_bytes(vendor, POST + GET)
    exchange_bytes(vendor)

    posted_webhook, result, repeated_webhook = vendor.requests
    fields = Headers([("Content-Length", "2"), ("X", "1"), ("x", "2")])
    assert ReceivedRequest("POST", "/a?b=1&b=&c=%20", fields, b"hi", 1) == posted_webhook
    assert ("/a", (("b", "1"), ("b", ""), ("c", " "))) == (
        posted_webhook.path,
        posted_webhook.query,
    )
    assert [1, 2] == [result.connection, repeated_webhook.connection]
    assert 2 == vendor.connections


def test_json_is_read(vendor: VendorServer) -> None:
    """A test can read a JSON request body as a value."""
    exchange_bytes(vendor, b"POST / HTTP/1.1\r\nContent-Length: 7\r\n\r\n" + b'{"a":1}')

    assert {"a": 1} == vendor.requests[0].json()


def test_chunked_bodies_are_joined(vendor: VendorServer) -> None:
    """The chunks of a request body are recorded as one body."""
    exchange_bytes(
        vendor,
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
    )

    assert b"abc" == vendor.requests[0].body


def test_client_that_waits_for_100_continue_gets_it(vendor: VendorServer) -> None:
    """A client that waits for `100 Continue` gets it."""
    vendor.always(Behaviour(204))
    answer = exchange_bytes(vendor, POST.replace(b"X: 1", b"Expect: 100-continue"))

    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 ")


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"G=T / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nA : b\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab",
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n",
    ],
)
def test_invalid_requests_are_not_answered(vendor: VendorServer, request_: bytes) -> None:
    """A malformed HTTP request gets no response and is not recorded."""
    assert b"" == exchange_bytes(vendor, request_)
    assert () == vendor.requests


def test_waits_for_requests_and_closes(vendor: VendorServer) -> None:
    """A test can wait, up to a limit, for requests and for closed connections."""
    vendor.always(Behaviour(204))
    with connect(vendor) as sock:
        late_send = threading.Timer(0.01, sock.sendall, [GET])
        late_send.start()
        assert ["GET"] == [request.method for request in vendor.wait_for_requests()]
        late_send.join()
    vendor.wait_for_closed()

    vendor.patience = 0.01
    with pytest.raises(AssertionError, match=r"There were not 2 requests within 0\.01 s"):
        vendor.wait_for_requests(2)
    with pytest.raises(AssertionError, match="There were not 2 connections that ended"):
        vendor.wait_for_closed(2)


# --- faults ------------------------------------------------------------------


def test_connection_stays_open_for_the_next_request(vendor: VendorServer) -> None:
    """One connection can carry several requests, unless client or server closes it."""
    vendor.always(Behaviour(204))
    closing = GET.replace(b"Host: h", b"Connection: close")

    assert 2 == exchange_bytes(vendor, GET + GET).count(b"HTTP/1.1 204")
    assert 1 == exchange_bytes(vendor, closing + GET).count(b"HTTP/1.1 204")
    vendor.always(Behaviour(204, {"Connection": "Close"}))
    assert 1 == exchange_bytes(vendor, GET + GET).count(b"HTTP/1.1 204")


def test_server_can_close_a_connection_unannounced(vendor: VendorServer) -> None:
    """The server can close a connection after a response without `Connection: close`."""
    vendor.queue(Behaviour(204, then="close"))
    with connect(vendor) as sock:
        sock.sendall(GET)

        assert b"HTTP/1.1 204 No Content\r\n\r\n" == read_until_closed(sock)


def test_server_resets_the_connection(vendor: VendorServer) -> None:
    """The server can reset a connection; the client then gets an error."""
    vendor.queue(Behaviour(raw=b"", then="reset"))
    with connect(vendor) as sock:
        sock.sendall(GET)
        with pytest.raises(ConnectionResetError):
            sock.recv(1)


@pytest.mark.parametrize("delay", [0.0, 0.05])
def test_server_closes_before_it_reads(vendor: VendorServer, delay: float) -> None:
    """The server can respond or close the connection before the client has sent anything."""
    vendor.queue(Behaviour(raw=b"?", reads="nothing", then="close", delay=delay))
    start = time.monotonic()
    with connect(vendor) as sock:
        assert b"?" == read_until_closed(sock)

    assert time.monotonic() - start >= delay


def test_server_leaves_the_body_unread(vendor: VendorServer) -> None:
    """If the server stops reading, a client that sends a large body stays blocked."""
    vendor.queue(Behaviour(413, reads="head"))
    with connect(vendor) as sock:
        sock.sendall(b"POST /x HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n")
        assert sock.recv(65_536).startswith(b"HTTP/1.1 413 ")
        sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            any(sock.send(b"x" * 65_536) == 0 for _ in range(99_999))

    assert [b""] == [request.body for request in vendor.requests]


@pytest.mark.parametrize("pause", [0.0, 0.001])
def test_server_sends_an_endless_body(vendor: VendorServer, pause: float) -> None:
    """The server can repeat a response until the client disconnects, and then serve others."""
    vendor.queue(Behaviour(raw=b"a", repeat=b"b" * 9_999, pause=pause))
    with connect(vendor) as sock:
        sock.sendall(GET)
        assert b"a" == sock.recv(1)
        assert b"bb" == sock.recv(2)

    vendor.wait_for_closed()


def test_started_server_can_be_entered() -> None:
    """A server that was started before a `with` block keeps its port there, then is closed."""
    vendor = VendorServer().start()
    address = vendor.address

    with vendor:
        assert address == vendor.address

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)


def test_port_can_refuse_connections() -> None:
    """No other program can use the port of a server that refuses connections."""
    with VendorServer(port="refusing") as vendor, pytest.raises(ConnectionRefusedError):
        connect(vendor)


def test_port_that_ignores_connections_leaves_clients_waiting() -> None:
    """A port that ignores connections leaves clients waiting."""
    with VendorServer(port="ignoring") as vendor, socket.socket() as sock:
        sock.settimeout(0.05)
        with pytest.raises(TimeoutError):
            sock.connect(vendor.address)


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(raw=b""),
        Behaviour(delay=60.0),
        Behaviour(body=b"ab", piece=1, pause=60.0),
        Behaviour(repeat=b"x" * 99_999),
        Behaviour(repeat=b"x", pause=60.0),
        Behaviour(reads="head"),
    ],
    ids=repr,
)
def test_server_stops_at_once(behaviour: Behaviour) -> None:
    """The end of the `with` block ends all threads and connections of the server."""
    start = time.monotonic()
    with VendorServer() as vendor:
        vendor.queue(behaviour)
        sock = connect(vendor)
        sock.sendall(GET)
        vendor.wait_for_requests()
    vendor.close()

    with sock:
        read_until_closed(sock)
    assert time.monotonic() - start < 60  # seconds that a pause of the vendor lasts
    assert not [t for t in threading.enumerate() if t.name == "moorage vendor server"]


# --- TLS ---------------------------------------------------------------------


def test_client_that_trusts_server_certificate_can_connect() -> None:
    """A client that trusts the server's certificate can connect."""
    server, client = tls_pair()
    with VendorServer(tls=server) as vendor:
        vendor.respond(204)
        with (
            connect(vendor) as sock,
            client.wrap_socket(sock, server_hostname="127.0.0.1") as secure_socket,
        ):
            secure_socket.sendall(GET)
            assert secure_socket.recv(999).startswith(b"HTTP/1.1 204 ")
        assert vendor.url.startswith("https://127.0.0.1:")


def test_failed_handshakes_are_survived() -> None:
    """A failed TLS handshake closes only its own connection; the server keeps running."""
    server, _ = tls_pair("vendor.example")
    with VendorServer(tls=server) as vendor:
        with contextlib.suppress(OSError):  # whichever way it notices the closed connection
            exchange_bytes(vendor)
        with connect(vendor) as sock, pytest.raises(ssl.SSLCertVerificationError):
            ssl.create_default_context().wrap_socket(sock, server_hostname="vendor.example")
        vendor.wait_for_closed(2)

    assert () == vendor.requests


def test_repr_of_a_response_omits_defaults_and_shortens_bodies() -> None:
    """The repr of a prepared response leaves out default values and shortens large bodies."""
    assert "Behaviour()" == repr(Behaviour())
    representation = repr(Behaviour(body=gzip.compress(b"x" * 99_999), then="close"))
    assert "then='close'" in representation
    assert len(representation) < 99


def test_clients_that_reset_their_connection_do_not_stop_a_tls_server() -> None:
    """A server with TLS serves the next client after others reset their connections at once."""
    server, client = tls_pair()
    with VendorServer(tls=server) as vendor:
        for _ in range(20):
            sock = connect(vendor)
            sock.sendall(b"no TLS")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        with client.wrap_socket(connect(vendor), server_hostname="127.0.0.1") as secure_sock:
            secure_sock.sendall(GET)
            assert secure_sock.recv(100).startswith(b"HTTP/1.1 501")
