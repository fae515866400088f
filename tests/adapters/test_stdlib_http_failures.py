"""Network failures of the standard library's HTTP clients, in sync and async mode."""

from __future__ import annotations

import gzip
import socket
import ssl
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Any, Literal

import pytest

from moorage.adapters.http.connections._resolve import connected_socket
from moorage.adapters.http.stdlib._exchange import Exchange
from moorage.adapters.http.stdlib.client import StdlibHttpClient
from moorage.adapters.http.stdlib.client_async import AsyncStdlibHttpClient
from moorage.adapters.mail.smtp import SmtpTransport
from moorage.domain.auth.methods import Credentials
from moorage.domain.http.requests import BodyStream, Request, Timeouts
from moorage.domain.http.transport import DangerouslyUnverified, Tls
from moorage.errors import (
    AttemptTimeout,
    ConfigurationError,
    ConnectionFailed,
    InvalidData,
    VendorFailed,
)
from moorage.testing.fakes.http_server import Behaviour, VendorServer
from moorage.testing.kits._http_harness import harness
from moorage.vendors.email.smtp import Smtp
from tests.adapters.http_modes import GET, LONG, POST, SHORT_TIMEOUT, Make, with_both_clients
from tests.support.signals_while_waiting import interrupt_while_waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LARGE = bytes(16_000_000)


# --- invalid requests and settings -------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/rates",
        "vat.example/rates",
        "ftp://vat.example/",
        "http://",
        "http://user:key@vat.example/",
        "http://vat.example:0/",
        "http://vat.example:65536/",
        "http://vat.example:x/",
        "http://vat.example/a b",
        "http://vat.example/a\r\nX: y",
        "http://vat.example/ä",
        "http://vät.example/",
        "http://[::1/",
    ],
)
@with_both_clients
async def test_invalid_urls_are_refused(make: Make, url: str) -> None:
    """A relative URL is refused before anything is sent, and the error does not show the URL."""
    client = make()
    with pytest.raises(InvalidData, match="The URL") as excinfo:
        await client.send(GET, url, SHORT_TIMEOUT)
    await client.close()

    assert "url" == excinfo.value.field
    assert "key" not in f"{excinfo.value!r}"


@pytest.mark.parametrize(
    "rest, target, host",
    [
        ("", "/", ""),
        ("?a", "/?a", ""),
        ("#b", "/", ""),
        ("/a?b#c", "/a?b", ""),
    ],
)
@with_both_clients
async def test_request_target_of_a_url(make: Make, rest: str, target: str, host: str) -> None:
    """For a URL without a path, `/` is requested; a fragment is not sent."""
    async with harness(make) as (vendor, client):
        vendor.always(Behaviour(204))
        await client.send(GET, f"HTTP://{vendor.url[7:]}{rest}", LONG)

        assert target == vendor.requests[0].target
        assert vendor.url[7:] == vendor.requests[0].headers["host"]


@pytest.mark.parametrize("kind", [StdlibHttpClient, AsyncStdlibHttpClient])
@pytest.mark.parametrize(
    "name, value",
    [
        ("max_connections", 0),
        ("max_connections", True),
        ("max_body", -1),
        ("max_head", 1.5),
        ("max_fields", "many"),
        ("keep_alive", -0.1),
        ("keep_alive", float("nan")),
        ("keep_alive", "long"),
        ("tls", True),
        ("tls", "ca.pem"),
    ],
)
def test_invalid_setting_is_refused(kind: Callable[..., object], name: str, value: object) -> None:
    """An invalid client setting is refused at construction, and the error names the setting."""
    with pytest.raises(ConfigurationError, match=name) as excinfo:
        kind(**{name: value})

    assert name == excinfo.value.path


@pytest.mark.parametrize("kind", [StdlibHttpClient, AsyncStdlibHttpClient])
def test_passing_both_tls_and_ssl_context_is_refused(kind: Callable[..., object]) -> None:
    """Passing both `tls` and `ssl_context` is refused."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # some builds of Python allow older versions
    with pytest.raises(ConfigurationError, match="both `tls` and `ssl_context`") as excinfo:
        kind(tls=Tls(), ssl_context=context)

    assert "tls" == excinfo.value.path


@pytest.mark.parametrize("kind", [StdlibHttpClient, AsyncStdlibHttpClient])
def test_unverified_client_warns_at_its_line(kind: Callable[..., object]) -> None:
    """The warning about an unverified client points to the line that creates it."""
    with pytest.warns(UserWarning, match=r"not verified \(a bench\)") as reports:
        kind(tls=Tls(unverified=DangerouslyUnverified("a bench")))

    assert [__file__] == [warning.filename for warning in reports]


# --- name resolution ---------------------------------------------------------


class FakeResolver:
    """A host name resolver that gives the addresses which a test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.addresses_by_name: dict[str, Any] = {}
        self._system = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._look_up)

    def _look_up(self, host: str, port: int, *args: Any, **fields: Any) -> object:
        if host not in self.addresses_by_name or fields.get("flags"):
            return self._system(host, port, *args, **fields)
        answer = self.addresses_by_name[host]
        return answer() if callable(answer) else answer


@pytest.fixture(name="names")
def _names(monkeypatch: pytest.MonkeyPatch) -> FakeResolver:
    """Return a host name resolver that gives the addresses which the test sets."""
    return FakeResolver(monkeypatch)


def addresses(*vendors: VendorServer) -> list[tuple[Any, ...]]:
    """Return the addresses of these servers in the format that a name lookup returns."""
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (*vendor.address,)) for vendor in vendors]


def test_name_of_a_mail_server_is_resolved_within_the_timeout(names: FakeResolver) -> None:
    """A look-up that hangs does not hold up an email for longer than the step's timeout."""
    released = Event()
    names.addresses_by_name["mail.example"] = lambda: released.wait(60) and []
    vendor = Smtp(host="mail.example", step_timeout=0.1)
    transport = SmtpTransport(vendor, ssl.create_default_context())
    credentials = Credentials.basic("shop", "a-password-of-this-test")
    try:
        with pytest.raises(ConnectionFailed, match="TimeoutError"):
            transport.deliver(credentials, {}, b"")
        assert not released.is_set()
    finally:
        released.set()


def test_connection_tries_each_address_of_a_name(names: FakeResolver) -> None:
    """If the first address of a host refuses the connection, the next address is tried."""
    with VendorServer(port="refusing") as broken_server, VendorServer() as vendor:
        names.addresses_by_name["vendor.example"] = addresses(broken_server, vendor)
        with connected_socket(("vendor.example", 81), 30.0) as connection:
            assert vendor.address == connection.getpeername()


@pytest.mark.parametrize("port", ["refusing", "ignoring"])
@with_both_clients
async def test_every_address_is_tried_in_time(
    make: Make, names: FakeResolver, port: Literal["refusing", "ignoring"]
) -> None:
    """If one address of a host refuses or does not respond, the next one is tried in time."""
    with VendorServer(port=port) as broken_server:
        async with harness(make) as (vendor, client):
            vendor.always(Behaviour(204))
            names.addresses_by_name["vendor.example"] = addresses(broken_server, vendor)
            timeouts = Timeouts(connect=0.2)
            answer = await client.send(GET, "http://vendor.example:81/", timeouts)

            assert 204 == answer.status
            assert "vendor.example:81" == vendor.requests[0].headers["host"]


def fail_to_resolve() -> object:
    """Raise the error that a resolver raises for an unknown host name."""
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


@pytest.mark.parametrize(
    "answer, words",
    [(fail_to_resolve, "Name or service not known"), ([], "the host name has no address")],
)
@with_both_clients
async def test_name_without_address_is_not_reached(
    make: Make, names: FakeResolver, answer: object, words: str
) -> None:
    """A host name without addresses raises ConnectionFailed, and nothing was sent."""
    names.addresses_by_name["vendor.example"] = answer
    client = make()
    with pytest.raises(ConnectionFailed, match=f"vendor.example:80 .*{words}") as excinfo:
        await client.send(POST, "http://vendor.example", LONG)
    await client.close()

    assert not excinfo.value.may_have_been_processed


@with_both_clients
async def test_lookup_ends_with_the_connect_timeout(make: Make, names: FakeResolver) -> None:
    """A slow name lookup ends at the connect timeout."""
    answer = Event()
    names.addresses_by_name["vendor.example"] = lambda: answer.wait(20) and []
    client = make()
    with pytest.raises(AttemptTimeout, match=r"within the connect timeout of 0\.05 s") as excinfo:
        await client.send(GET, "http://vendor.example/", Timeouts(connect=0.05))
    answer.set()
    await client.close()

    assert not excinfo.value.may_have_been_processed


@with_both_clients
async def test_client_without_a_timeout_waits_for_the_name_lookup(
    make: Make, names: FakeResolver
) -> None:
    """Without a timeout, the client waits for the name lookup."""
    async with harness(make) as (vendor, client):
        vendor.always(Behaviour(204))
        names.addresses_by_name["vendor.example"] = addresses(vendor)

        assert 204 == (await client.send(GET, "http://vendor.example/", Timeouts())).status


@with_both_clients
async def test_ipv6_address_is_shown_in_brackets(make: Make) -> None:
    """The error for an unreachable IPv6 address shows it in brackets."""
    client = make()
    with pytest.raises(ConnectionFailed, match=r"\[::1\]:9 could not be reached"):
        await client.send(GET, "http://[::1]:9/", LONG)
    await client.close()


@with_both_clients
async def test_expired_total_timeout_sends_nothing(make: Make) -> None:
    """If the total timeout ends before the call gets a connection, nothing is sent."""
    async with harness(make) as (vendor, client):
        with pytest.raises(AttemptTimeout, match="within the total timeout") as excinfo:
            await client.send(GET, vendor.url, Timeouts(total=1e-9))

        assert not excinfo.value.may_have_been_processed
        assert 0 == vendor.connections


# --- sending requests --------------------------------------------------------


def failing_source(error: BaseException, *chunks: object) -> Iterator[Any]:
    """Return a request body that yields these chunks and then fails."""
    yield from chunks
    raise error


def body(*chunks: Any, length: int | None = None, error: BaseException | None = None) -> Request:
    """Return a request whose body yields these chunks, then may fail."""
    source = partial(iter, chunks) if error is None else partial(failing_source, error, *chunks)
    return Request.put("/", body=BodyStream.of(source, length=length))


@pytest.mark.parametrize(
    "request_",
    [
        body(b"one", error=LookupError("gone")),
        body(b"one", error=TimeoutError("gone")),
        body(b"one", error=InvalidData("gone")),
        body(b"one", "two"),
        body(b"one", b"two", length=5),
        body(b"one", length=5),
    ],
)
@with_both_clients
async def test_source_that_fails_midway_may_have_been_processed(
    make: Make, request_: Request
) -> None:
    """If reading the request body fails midway, the request may have been processed."""
    async with harness(make) as (vendor, client):
        with pytest.raises(ConnectionFailed, match="did not receive all of the request") as excinfo:
            await client.send(request_, vendor.url, LONG)
        vendor.wait_for_closed()

    assert excinfo.value.may_have_been_processed
    assert excinfo.value.__cause__ is not None


@pytest.mark.parametrize("request_", [body("one"), body(b"one", length=2), body(length=2)])
@with_both_clients
async def test_invalid_source_is_refused_before_sending(make: Make, request_: Request) -> None:
    """A request body that contradicts its announced length is refused before anything is sent."""
    async with harness(make) as (vendor, client):
        with pytest.raises(InvalidData, match="The body's stream"):
            await client.send(request_, vendor.url, LONG)

        assert 0 == vendor.connections


@pytest.mark.parametrize(
    "request_", [Request.post("/", body=LARGE), body(*([bytes(999_999)] * 16)), body(LARGE)]
)
@with_both_clients
async def test_early_response_is_read(make: Make, request_: Request) -> None:
    """A response that arrives before the whole request body was sent is returned."""
    early_behaviour = Behaviour(413, body=b"too much", reads="head", then="close")
    async with harness(make) as (vendor, client):
        for count in (1, 2):
            vendor.queue(early_behaviour)
            answer = await client.send(request_, vendor.url, LONG)
            assert (413, b"too much") == (answer.status, answer.body)
            assert count == vendor.connections


@with_both_clients
async def test_partly_sent_request_may_have_been_processed(make: Make) -> None:
    """If the vendor closes the connection during the request, it may have been processed."""
    async with harness(make) as (vendor, client):
        vendor.queue(Behaviour(raw=b"", reads="head", then="reset"))
        with pytest.raises(ConnectionFailed, match="did not accept all of the request") as excinfo:
            await client.send(Request.post("/", body=LARGE), vendor.url, LONG)

    assert excinfo.value.may_have_been_processed


# --- receiving responses -----------------------------------------------------


@with_both_clients
async def test_body_in_memory_is_bounded(make: Make) -> None:
    """A response body above `max_body` raises an error, unless it is read as a stream."""
    async with harness(partial(make, max_body=99)) as (vendor, client):
        for behaviour in (
            Behaviour(body=bytes(100)),
            Behaviour(body=bytes(100), framing="close"),
            Behaviour(200, {"Content-Encoding": "gzip"}, gzip.compress(bytes(100))),
        ):
            vendor.queue(behaviour)
            with pytest.raises(VendorFailed, match="a body of more than 99 bytes") as excinfo:
                await client.send(GET, vendor.url, LONG)
            assert 200 == excinfo.value.status
            assert "limit" in excinfo.value.remedy
            assert not excinfo.value.retryable

        vendor.queue(Behaviour(503, body=bytes(100)))
        with pytest.raises(VendorFailed, match="a body of more than 99 bytes") as excinfo:
            await client.send(GET, vendor.url, LONG)
        assert excinfo.value.retryable

        vendor.queue(Behaviour(body=bytes(99)), Behaviour(body=bytes(100)))
        assert bytes(99) == (await client.send(GET, vendor.url, LONG)).body
        incoming = await client.open(GET, vendor.url, LONG)
        assert bytes(100) == await incoming.read()
        incoming.close()


@with_both_clients
async def test_streamed_decompression_bomb_is_refused(make: Make) -> None:
    """A streamed response that decompresses beyond the limit is refused."""
    async with harness(partial(make, max_body=100_000)) as (vendor, client):
        vendor.respond(200, {"Content-Encoding": "gzip"}, gzip.compress(bytes(9_999_999)))
        incoming = await client.open(GET, vendor.url, LONG)
        assert 65_536 == len(await incoming.read())
        with pytest.raises(VendorFailed, match="a body of more than 100000 bytes") as excinfo:
            await incoming.read()
        assert "Accept-Encoding: identity" in excinfo.value.remedy
        with pytest.raises(ConnectionFailed, match="closed before its end"):
            await incoming.read()

        vendor.respond(200, {"Content-Encoding": "gzip"}, bytes(200_000))
        incoming = await client.open(
            GET.with_header("Accept-Encoding", "identity"), vendor.url, LONG
        )
        size = 0
        while piece := await incoming.read():
            size += len(piece)
        assert 200_000 == size


@with_both_clients
async def test_partial_content_is_not_decompressed(make: Make) -> None:
    """Partial content (206) of a compressed file is returned without decompression."""
    part = gzip.compress(bytes(100))[5:9]
    async with harness(make) as (vendor, client):
        vendor.respond(206, {"Content-Encoding": "gzip"}, part)

        assert part == (await client.send(GET, vendor.url, LONG)).body


@with_both_clients
async def test_max_head_limits_size_of_response_headers(make: Make) -> None:
    """`max_head` limits the size of response headers, and `max_fields` their number."""
    async with harness(partial(make, max_head=200, max_fields=3)) as (vendor, client):
        vendor.respond(200, {"A": "x" * 200})
        with pytest.raises(VendorFailed, match="a head of more than 200 bytes"):
            await client.send(GET, vendor.url, LONG)
        vendor.respond(200, [("A", "x")] * 3)
        with pytest.raises(VendorFailed, match="more than 3 header fields"):
            await client.send(GET, vendor.url, LONG)


@pytest.mark.parametrize(
    "behaviour, words",
    [
        (Behaviour(raw=b""), "did not respond within the total timeout of 0.1 s"),
        (Behaviour(body=b"ab", cut=1), "did not finish its response within the total timeout"),
        (Behaviour(raw=b"", then="close"), "closed the connection without a response\\."),
        (Behaviour(raw=b"", then="reset"), "without a response: Connection reset by peer\\."),
        (Behaviour(body=b"ab", cut=1, then="close"), "before the end of its response\\."),
        (Behaviour(raw=b"SSH-2.0"), "sent a response that is not HTTP/1.1\\."),
    ],
    ids=repr,
)
@with_both_clients
async def test_errors_name_the_vendor_and_the_fault(
    make: Make, behaviour: Behaviour, words: str
) -> None:
    """The error for a failed request names the vendor's address and the fault."""
    async with harness(make) as (vendor, client):
        vendor.queue(behaviour)
        host, port = vendor.address
        with pytest.raises((ConnectionFailed, VendorFailed), match=f"{host}:{port} .*{words}"):
            await client.send(GET, vendor.url, SHORT_TIMEOUT)


# --- the synchronous client only ---------------------------------------------


def test_interrupt_closes_the_connection() -> None:
    """Ctrl-C during a call raises KeyboardInterrupt, closes the connection and frees its slot."""
    with VendorServer() as vendor, StdlibHttpClient(max_connections=1) as client:
        vendor.queue(Behaviour(raw=b""), Behaviour(204))
        interrupt_while_waiting(
            lambda: client.send(GET, vendor.url, Timeouts()), once=lambda: vendor.requests
        )
        vendor.wait_for_closed()

        assert 204 == client.send(GET, vendor.url, LONG).status


def test_an_exchange_interrupted_in_its_constructor_ends_silently() -> None:
    """If a constructor of an exchange is interrupted, the object's finaliser raises no error."""
    exchange = Exchange.__new__(Exchange)
    exchange.__del__()
