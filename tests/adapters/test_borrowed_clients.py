"""HTTP adapters that borrow a client which the host application created."""

from __future__ import annotations

import asyncio
import gc
import ssl
from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx2
import pytest
import requests
from requests.adapters import BaseAdapter, HTTPAdapter

from moorage.adapters.concurrency.forking import restart_in_child
from moorage.adapters.http.borrowed.aiohttp import AsyncAiohttpHttpClient
from moorage.adapters.http.borrowed.httpx2 import AsyncHttpx2HttpClient, Httpx2HttpClient
from moorage.adapters.http.borrowed.requests import RequestsHttpClient
from moorage.domain.http.requests import Request, Timeouts
from moorage.domain.http.transport import DangerouslyUnverified, Tls
from moorage.errors import (
    AttemptTimeout,
    ConfigurationError,
    ConnectionFailed,
    InvalidData,
    VendorFailed,
)
from moorage.testing.fakes.http_proxy import ProxyServer
from moorage.testing.fakes.http_server import Behaviour, VendorServer
from moorage.testing.fakes.http_tls import tls_pair
from moorage.testing.kits._http_harness import ThreadedClient, harness
from tests.adapters.borrowed_clients import (
    ASYNC,
    ASYNC_BORROWED,
    SYNC,
    SYNC_BORROWED,
    async_client,
    async_session,
    client,
    session,
    system_context,
)
from tests.adapters.forked import run_in_forked_child
from tests.adapters.http_modes import GET, LONG, POST, in_loop

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.ports.http import AsyncHttpClient

UNVERIFIED = Tls(unverified=DangerouslyUnverified(because="it is on this machine"))

sync_client = pytest.mark.parametrize("make", SYNC.values(), ids=SYNC)
sync_borrowed = pytest.mark.parametrize("make", SYNC_BORROWED.values(), ids=SYNC_BORROWED)
async_clients = pytest.mark.parametrize("make", ASYNC.values(), ids=ASYNC)


def in_threads(make: Callable[..., Any], **settings: Any) -> AsyncHttpClient:
    """Return a synchronous client whose calls run in threads."""
    return ThreadedClient(make(**settings))


def each_client(test: Callable[..., Any]) -> Callable[..., Any]:
    """Run a test with every HTTP adapter; synchronous adapters run in threads."""
    return _parametrized_test(SYNC, ASYNC, test)


def each_borrowed(test: Callable[..., Any]) -> Callable[..., Any]:
    """Run a test with every adapter that uses a passed client.

    Synchronous adapters run in threads.
    """
    return _parametrized_test(SYNC_BORROWED, ASYNC_BORROWED, test)


def _parametrized_test(
    blocking: dict[str, Callable[..., Any]],
    looping: dict[str, Callable[..., Any]],
    test: Callable[..., Any],
) -> Callable[..., Any]:
    client_makers: dict[str, Callable[..., Any]] = {}
    client_makers |= {f"sync-{name}": partial(in_threads, make) for name, make in blocking.items()}
    client_makers |= {f"async-{name}": make for name, make in looping.items()}
    run: Callable[..., Any] = in_loop(test)
    return pytest.mark.parametrize("make", client_makers.values(), ids=client_makers)(run)  # type: ignore[no-any-return]  # it is `run`


# --- the host's client -------------------------------------------------------


def test_borrowed_httpx2_client_is_not_changed() -> None:
    """A borrowed httpx2 client stays open, and its headers and cookies are not sent."""
    with VendorServer() as vendor, client() as value:
        value.headers["X-Theirs"] = "1"
        value.cookies.set("theirs", "1")
        vendor.always(Behaviour(204, {"Set-Cookie": "a=b; Path=/"}))
        with Httpx2HttpClient(client=value) as own_client:
            for _ in range(2):
                own_client.send(GET, vendor.url, LONG)

        assert 1 == vendor.connections
        assert {"theirs": "1"} == dict(value.cookies)
        assert not value.is_closed
        value.get(vendor.url)
        assert not {"x-theirs", "cookie"} & {n.lower() for n in vendor.requests[1].headers}
        assert 1 == vendor.connections


def test_borrowed_requests_session_is_not_changed() -> None:
    """The headers and cookies of a borrowed requests session are not sent."""
    with VendorServer() as vendor, session() as value:
        value.headers["X-Theirs"] = "1"
        value.cookies.set("theirs", "1")
        vendor.always(Behaviour(204, {"Set-Cookie": "a=b; Path=/"}))
        with RequestsHttpClient(session=value) as own_client:
            for _ in range(2):
                own_client.send(GET, vendor.url, LONG)

        assert {"theirs": "1"} == dict(value.cookies)
        value.get(vendor.url)
        assert not {"x-theirs", "cookie"} & {n.lower() for n in vendor.requests[1].headers}
        assert 1 == vendor.connections


@in_loop
async def test_borrowed_aiohttp_session_is_not_changed() -> None:
    """A borrowed aiohttp session stays open, and its headers and cookies are not sent."""
    with VendorServer() as vendor:
        vendor.always(Behaviour(204, {"Set-Cookie": "a=b; Path=/"}))
        connector = aiohttp.TCPConnector(ssl=system_context())
        async with aiohttp.ClientSession(
            connector=connector,
            headers={"X-Theirs": "1"},
            cookie_jar=aiohttp.CookieJar(unsafe=True),
        ) as value:
            async with AsyncAiohttpHttpClient(session=value) as own_client:
                for _ in range(2):
                    await own_client.send(GET, vendor.url, LONG)
            assert not value.closed
            assert 0 == len(value.cookie_jar)
            async with value.get(vendor.url):
                pass

        assert not {"x-theirs", "cookie"} & {n.lower() for n in vendor.requests[1].headers}
        assert 1 == vendor.connections


@each_borrowed
async def test_client_from_a_factory_is_closed(make: Callable[[], AsyncHttpClient]) -> None:
    """A client made by the host's function is closed together with the adapter, not before."""
    with VendorServer() as vendor:
        vendor.always(Behaviour(body=b"x" * 99_999))
        own_client = make()
        await own_client.send(GET, vendor.url, LONG)
        incoming = await own_client.open(GET, vendor.url, LONG)
        await own_client.close()
        received_bytes = b""
        while piece := await incoming.read():
            received_bytes += piece
        assert 99_999 == len(received_bytes)
        await asyncio.to_thread(vendor.wait_for_closed)
        with pytest.raises(ConnectionFailed, match="is closed") as excinfo:
            await own_client.send(GET, vendor.url, LONG)
        assert not excinfo.value.may_have_been_processed


def test_closed_httpx2_client_is_refused() -> None:
    """If the host has closed a httpx2 client, sending through it raises ConnectionFailed."""
    value = client()
    own_client = Httpx2HttpClient(client=value)
    value.close()

    with pytest.raises(ConnectionFailed, match="HTTP client is closed") as excinfo:
        own_client.send(GET, "http://127.0.0.1:1/", LONG)
    assert not excinfo.value.may_have_been_processed
    assert not excinfo.value.retryable


@in_loop
async def test_closed_async_client_is_refused() -> None:
    """If the host has closed an asynchronous client, sending through it raises ConnectionFailed."""
    single_client, other_session = async_client(), async_session()
    own_clients = [
        AsyncHttpx2HttpClient(client=single_client),
        AsyncAiohttpHttpClient(session=other_session),
    ]
    await single_client.aclose()
    await other_session.close()

    for each_one in own_clients:
        with pytest.raises(ConnectionFailed, match="HTTP client is closed"):
            await each_one.send(GET, "http://127.0.0.1:1/", LONG)
        await each_one.close()


# --- certificate verification ------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda **more: Httpx2HttpClient(client=httpx2.Client(verify=False), **more),
        lambda **more: AsyncHttpx2HttpClient(client=httpx2.AsyncClient(verify=False), **more),
        lambda **more: RequestsHttpClient(session=unverified_session(), **more),
    ],
    ids=["httpx2", "async-httpx2", "requests"],
)
def test_unverified_client_is_refused(make: Callable[..., Any]) -> None:
    """A borrowed client that does not verify certificates is refused, unless `tls` allows it."""
    with pytest.raises(ConfigurationError, match="does not verify") as excinfo:
        make()
    assert "DangerouslyUnverified" in (excinfo.value.remedy or "")

    with pytest.warns(UserWarning, match="it is on this machine"):
        assert UNVERIFIED.unverified == make(tls=UNVERIFIED).unverified


def unverified_session() -> requests.Session:
    """Return an aiohttp session that does not verify certificates."""
    new_session = requests.Session()
    new_session.verify = False
    return new_session


@in_loop
async def test_unverified_aiohttp_session_is_refused() -> None:
    """An aiohttp session that does not verify certificates is refused, unless `tls` allows it."""
    anybody_context = tls_pair()[1]
    anybody_context.check_hostname = False
    for trust in (False, anybody_context):
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as value:
            with pytest.raises(ConfigurationError, match="does not verify"):
                AsyncAiohttpHttpClient(session=value)
            with pytest.warns(UserWarning, match="it is on this machine"):
                AsyncAiohttpHttpClient(session=value, tls=UNVERIFIED)


def test_hidden_unverified_client_is_refused_when_connecting() -> None:
    """If a client hides that it does not verify certificates, it is refused when it connects."""
    server, _ = tls_pair()
    anybody_context = tls_pair()[1]
    anybody_context.check_hostname = False
    anybody_context.verify_mode = ssl.CERT_NONE
    hidden_client = httpx2.Client(
        transport=_HidingTransport(httpx2.HTTPTransport(verify=anybody_context))
    )
    with VendorServer(tls=server) as vendor:
        vendor.always(Behaviour(204))
        for own_client in (
            Httpx2HttpClient(client=hidden_client),
            RequestsHttpClient(session=_session_without_tls_checks),
        ):
            with pytest.raises(ConfigurationError, match="does not verify"):
                own_client.send(GET, vendor.url, LONG)
        assert () == vendor.requests
        with pytest.warns(UserWarning, match="it is on this machine"):
            allowed_client = Httpx2HttpClient(client=hidden_client, tls=UNVERIFIED)
        assert 204 == allowed_client.send(GET, vendor.url, LONG).status
        hidden_client.close()


class _UnverifiedAdapter(HTTPAdapter):
    """A requests adapter that never verifies certificates, whatever the session's settings."""

    def get_connection_with_tls_context(
        self,
        request: Any,
        verify: object,
        proxies: Any = None,
        cert: Any = None,
    ) -> Any:
        """Return a connection that does not verify certificates."""
        return super().get_connection_with_tls_context(request, False, proxies, cert)

    def cert_verify(self, conn: object, url: object, verify: object, cert: object) -> None:
        """Do not verify any certificate."""


def _session_without_tls_checks() -> requests.Session:
    new_session = requests.Session()
    new_session.mount("https://", _UnverifiedAdapter())
    return new_session


class _HidingTransport(httpx2.BaseTransport):
    """An httpx2 transport that hides the transport inside it."""

    def __init__(self, inner_transport: httpx2.BaseTransport) -> None:
        self._within = inner_transport

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        return self._within.handle_request(request)

    def close(self) -> None:
        self._within.close()


@pytest.mark.parametrize(
    "settings, path",
    [({"proxy": "http://127.0.0.1:1"}, "proxy"), ({"tls": Tls(minimum="1.3")}, "tls")],
)
@sync_borrowed
def test_proxy_and_tls_settings_are_refused_together_with_borrowed_client(
    make: Callable[..., Any], settings: dict[str, Any], path: str
) -> None:
    """The `proxy` and `tls` settings are refused together with a borrowed client."""
    kind = type(make())
    name = "client" if kind is Httpx2HttpClient else "session"
    with pytest.raises(ConfigurationError, match="has its own") as excinfo:
        kind(**{name: make}, **settings)
    assert path == excinfo.value.path


# --- forks and event loops ---------------------------------------------------


@sync_borrowed
def test_forked_child_creates_its_own_client_and_connections(make: Callable[[], Any]) -> None:
    """A forked child creates its own client and connections."""
    with VendorServer() as vendor, make() as client:
        vendor.always(Behaviour(204))
        client.send(GET, vendor.url, LONG)

        assert 204 == run_in_forked_child(lambda: client.send(GET, vendor.url, LONG).status)
        assert 204 == client.send(GET, vendor.url, LONG).status
        assert 2 == vendor.connections


@pytest.mark.parametrize(
    "give, take",
    [
        (client, lambda value: Httpx2HttpClient(client=value)),
        (session, lambda value: RequestsHttpClient(session=value)),
    ],
    ids=["httpx2", "requests"],
)
def test_forked_child_refuses_the_parents_client(
    give: Callable[[], Any], take: Callable[[Any], Any]
) -> None:
    """A forked child refuses a borrowed client because its parent still uses the connections."""
    with VendorServer() as vendor, give() as value:
        vendor.always(Behaviour(204))
        borrowed_client = take(value)
        borrowed_client.send(GET, vendor.url, LONG)

        def send_request() -> tuple[str, bool]:
            with pytest.raises(ConnectionFailed) as excinfo:
                borrowed_client.send(GET, vendor.url, LONG)
            return str(excinfo.value), excinfo.value.may_have_been_processed

        message, was_processed = run_in_forked_child(send_request)
        assert "belongs to another process" in message
        assert not was_processed


@async_clients
def test_each_loop_has_a_client(make: Callable[..., Any]) -> None:
    """Several event loops may use one HTTP client one after another."""
    client = make()
    with VendorServer() as vendor:
        vendor.always(Behaviour(204, {"Connection": "close"}))

        async def send_request() -> int:
            status: int = (await client.send(GET, vendor.url, LONG)).status
            return status

        with asyncio.Runner() as first, asyncio.Runner() as second:
            assert [204, 204] == [first.run(send_request()), second.run(send_request())]
            assert 204 == first.run(send_request())
            second.run(client.close())
            first.run(client.close())


def test_borrowed_asynchronous_client_is_refused_in_second_event_loop() -> None:
    """A borrowed asynchronous client is refused in a second event loop."""
    with VendorServer() as vendor, asyncio.Runner() as first, asyncio.Runner() as second:
        vendor.always(Behaviour(204))
        value = async_client()
        own_client = AsyncHttpx2HttpClient(client=value)
        first.run(own_client.send(GET, vendor.url, LONG))
        with pytest.raises(ConnectionFailed, match="another event loop") as excinfo:
            second.run(own_client.send(GET, vendor.url, LONG))
        assert "function" in (excinfo.value.remedy or "")
        first.run(own_client.close())
        first.run(value.aclose())


@sync_client
def test_connections_are_new_after_a_fork(make: Callable[..., Any]) -> None:
    """After a fork the HTTP client opens new connections."""
    with VendorServer() as vendor, make() as client:
        vendor.always(Behaviour(204, {"Connection": "close"}))
        client.send(GET, vendor.url, LONG)
        restart_in_child()
        assert 204 == client.send(GET, vendor.url, LONG).status


# --- connections -------------------------------------------------------------


@each_client
async def test_keep_alive_of_idle_connections(
    make: Callable[..., AsyncHttpClient],
) -> None:
    """An idle connection is reused only within the `keep_alive` time."""
    for keep_alive, pause, connections in ((15.0, 0.0, 1), (0, 0.0, 2), (0.02, 0.05, 2)):
        async with harness(partial(make, keep_alive=keep_alive)) as (vendor, own_client):
            vendor.always(Behaviour(204))
            await own_client.send(GET, vendor.url, LONG)
            await asyncio.sleep(pause)
            await own_client.send(GET, vendor.url, LONG)
            assert connections == vendor.connections


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@each_client
async def test_abandoned_response_frees_its_slot(
    make: Callable[..., AsyncHttpClient],
) -> None:
    """If the caller abandons a response, its connection is closed and its slot becomes free."""
    async with harness(partial(make, max_connections=1)) as (vendor, own_client):
        vendor.always(Behaviour(204))
        vendor.queue(Behaviour(body=b"x" * 9_999_999))
        incoming = await own_client.open(GET, vendor.url, LONG)
        del incoming
        gc.collect()

        assert 204 == (await own_client.send(GET, vendor.url, LONG)).status


@each_client
async def test_pool_statistics_count_active_connections(
    make: Callable[..., AsyncHttpClient],
) -> None:
    """Pool statistics count active connections; the number of idle connections is unknown."""
    async with harness(partial(make, max_connections=7)) as (vendor, own_client):
        vendor.queue(Behaviour(body=b"x" * 9_999_999))
        incoming = await own_client.open(GET, vendor.url, LONG)
        result = own_client.statistics()  # type: ignore[attr-defined]  # the adapters have it
        assert (1, None, 0, 7) == (result.active, result.idle, result.waiting, result.limit)
        incoming.close()


# --- errors ------------------------------------------------------------------


@each_client
async def test_errors_have_no_foreign_cause(make: Callable[..., AsyncHttpClient]) -> None:
    """No error has a library's exception as cause or context, since that would show the request."""
    request = Request.get("/", headers={"Authorization": "Bearer sk-live-42"})
    with VendorServer(port="refusing") as unknown_server:
        async with harness(make) as (vendor, own_client):
            for url, behaviour in (
                (unknown_server.url, None),
                (vendor.url, Behaviour(raw=b"", then="close")),
                (vendor.url, Behaviour(raw=b"", then="reset")),
                (vendor.url, Behaviour(raw=b"SSH-2.0\r\n\r\n", then="close")),
                (vendor.url, Behaviour(body=b"x" * 99, cut=9, then="reset")),
                (vendor.url, Behaviour(raw=b"")),
            ):
                if behaviour is not None:
                    vendor.queue(behaviour)
                with pytest.raises((ConnectionFailed, VendorFailed)) as excinfo:
                    await own_client.send(request, f"{url}/?token=sk-live-42", Timeouts(total=0.3))
                error: BaseException | None = excinfo.value
                while error is not None:
                    assert type(error).__module__.partition(".")[0] in {"moorage", "builtins"}
                    assert "sk-live-42" not in f"{error!r} {error}"
                    error = error.__cause__ or error.__context__


@each_client
async def test_write_timeout_is_for_each_piece(
    make: Callable[..., AsyncHttpClient],
) -> None:
    """The write timeout limits each piece of a request body, not the whole body."""
    async with harness(make) as (vendor, own_client):
        vendor.always(Behaviour(204))
        request = Request.put("/", body=bytes(2_000_000))
        answer = await own_client.send(request, vendor.url, Timeouts(write=5.0))
        assert 204 == answer.status
        assert 2_000_000 == len(vendor.requests[0].body)


# --- httpx2 ------------------------------------------------------------------


def test_sync_http2_client_is_refused() -> None:
    """A borrowed synchronous HTTP/2 client is refused, because calls share its connections."""
    with client() as value:
        pool: Any = value._transport._pool  # type: ignore[attr-defined]  # noqa: SLF001 - as below
        pool._http2 = True  # noqa: SLF001 - as it is with httpx2[http2], which is not installed
        with pytest.raises(ConfigurationError, match="HTTP/2"):
            Httpx2HttpClient(client=value)


def test_custom_transports_work() -> None:
    """A borrowed client may have a custom transport without connections."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/late":
            raise httpx2.ReadTimeout("…", request=request)
        if request.url.path == "/gone":
            raise httpx2.ConnectError("…", request=request)
        if request.url.path == "/odd":
            raise LookupError("…")
        return httpx2.Response(200, json={"a": request.headers["x"]})

    value = httpx2.Client(transport=httpx2.MockTransport(answer))
    own_client = Httpx2HttpClient(client=value)

    result = Request.get("/", headers={"X": "1"})
    assert {"a": "1"} == own_client.send(result, "http://vendor.example/", LONG).json()
    for path, kind, is_processed in (
        ("late", AttemptTimeout, True),
        ("gone", ConnectionFailed, False),
        ("odd", ConnectionFailed, True),
    ):
        with pytest.raises(kind) as excinfo:
            own_client.send(result, f"http://vendor.example/{path}", LONG)
        assert is_processed is excinfo.value.may_have_been_processed
    value.close()


# --- requests ----------------------------------------------------------------


def test_session_uses_its_environment_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A borrowed requests session uses the environment's proxy if it trusts the environment."""
    with VendorServer() as vendor, ProxyServer(target=vendor.address) as proxy:
        vendor.always(Behaviour(204))
        monkeypatch.setenv("http_proxy", proxy.url.removeprefix("http://"))
        monkeypatch.setenv("no_proxy", "")
        for trust_env, request in ((True, 1), (False, 1)):
            value = session()
            value.trust_env = trust_env
            with RequestsHttpClient(session=value) as own_client:
                assert 204 == own_client.send(GET, vendor.url, LONG).status
            assert request == len(proxy.requests)
            value.close()


def test_unreachable_socks_proxy_means_nothing_was_processed() -> None:
    """If a passed session's SOCKS proxy is unreachable, the error says nothing was processed."""
    with session() as value:
        value.proxies = {"http": "socks5://127.0.0.1:1"}
        own_client = RequestsHttpClient(session=value)
        with pytest.raises(ConnectionFailed) as excinfo:
            own_client.send(GET, "http://127.0.0.1:1/", LONG)
        assert not excinfo.value.may_have_been_processed


def test_session_adapter_without_connections_is_refused() -> None:
    """A borrowed session is refused if its custom adapter has no connections."""

    class PoollessAdapter(BaseAdapter):
        """A requests adapter that sends requests without urllib3's connections."""

        def close(self) -> None:
            """Do nothing, because there is nothing to close."""

    with session() as value:
        value.mount("http://", PoollessAdapter())
        with pytest.raises(ConfigurationError, match="PoollessAdapter has no connection pool"):
            RequestsHttpClient(session=value).send(GET, "http://127.0.0.1:1/", LONG)


def test_full_blocking_pool_is_waited_for() -> None:
    """If the blocking pool of a borrowed session is full, the call waits up to the pool timeout."""
    with VendorServer() as vendor, session() as value:
        vendor.queue(Behaviour(body=b"x" * 9_999_999))
        value.mount("http://", HTTPAdapter(pool_maxsize=1, pool_block=True))
        own_client = RequestsHttpClient(session=value)
        incoming = own_client.open(GET, vendor.url, LONG)
        with pytest.raises(AttemptTimeout) as excinfo:
            own_client.send(POST, vendor.url, Timeouts(total=0.05))
        assert not excinfo.value.may_have_been_processed
        incoming.close()


# --- aiohttp -----------------------------------------------------------------


@in_loop
async def test_aiohttp_refuses_non_ascii_fields() -> None:
    """A header field that is not ASCII is refused, because aiohttp would send it as UTF-8."""
    async with harness(AsyncAiohttpHttpClient) as (vendor, own_client):
        request = Request.get("/", headers={"X-Name": "Zoë"})
        with pytest.raises(InvalidData, match="X-Name") as excinfo:
            await own_client.send(request, vendor.url, LONG)
        assert "headers.X-Name" == excinfo.value.field
    assert () == vendor.requests


@in_loop
async def test_endless_chunk_extension_ends_at_the_timeout() -> None:
    """If a chunk extension in a response never ends, the call ends at its timeout."""
    async with harness(AsyncAiohttpHttpClient) as (vendor, own_client):
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;"
        vendor.queue(Behaviour(raw=head, repeat=b"x" * 999))
        with pytest.raises(AttemptTimeout) as excinfo:
            await own_client.send(GET, vendor.url, Timeouts(total=0.2))
        assert excinfo.value.may_have_been_processed


@in_loop
async def test_too_large_body_is_refused_however_it_is_delimited() -> None:
    """A body above the size limit is refused, with a Content-Length or in chunks."""
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    async with harness(partial(AsyncAiohttpHttpClient, max_body=2)) as (vendor, own_client):
        vendor.queue(Behaviour(body=b"abc"), Behaviour(raw=chunked), Behaviour(body=b"ab"))
        for _ in range(2):
            with pytest.raises(VendorFailed, match="a body of more than 2 bytes") as excinfo:
                await own_client.send(GET, vendor.url, LONG)
            assert not excinfo.value.retryable
        assert b"ab" == (await own_client.send(GET, vendor.url, LONG)).body


@in_loop
async def test_traces_of_the_session_see_requests() -> None:
    """The functions with which the host traces its session also see moorage's requests."""
    starts: list[str] = []

    async def note_start(_: object, __: object, details: aiohttp.TraceRequestStartParams) -> None:
        starts.append(details.method)

    traces = aiohttp.TraceConfig()
    traces.on_request_start.append(note_start)
    with VendorServer() as vendor:
        async with (
            aiohttp.ClientSession(trace_configs=[traces]) as value,
            AsyncAiohttpHttpClient(session=value) as own_client,
        ):
            await own_client.send(GET, vendor.url, LONG)
    assert ["GET"] == starts


@in_loop
async def test_replaced_session_receives_requests() -> None:
    """If a library has replaced the requests session's `send`, moorage calls the replacement."""
    methods: list[str] = []

    original = aiohttp.ClientSession._request  # noqa: SLF001 - what such libraries replace

    async def replacement(self: aiohttp.ClientSession, method: str, *args: Any, **more: Any) -> Any:
        methods.append(method)
        return await original(self, method, *args, **more)

    with VendorServer() as vendor, pytest.MonkeyPatch.context() as patch:
        patch.setattr(aiohttp.ClientSession, "_request", replacement)
        async with AsyncAiohttpHttpClient() as own_client:
            await own_client.send(GET, vendor.url, LONG)
    assert ["GET"] == methods


@in_loop
async def test_cancelled_call_closes_the_connection_that_it_checked() -> None:
    """If a call is cancelled while it checks an idle connection, its pool slot becomes free."""
    with VendorServer() as vendor:
        own_client = AsyncAiohttpHttpClient()
        vendor.queue(Behaviour(204, then="close"), Behaviour(204))
        await own_client.send(GET, vendor.url, LONG)
        vendor.wait_for_closed()
        task = asyncio.ensure_future(own_client.send(GET, vendor.url, LONG))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert 0 == own_client.statistics().active
        assert 204 == (await own_client.send(GET, vendor.url, LONG)).status
        assert 2 == len(vendor.requests)
        await own_client.close()


@in_loop
async def test_reason_phrase_is_read_as_latin_1() -> None:
    """A reason phrase outside ASCII is decoded as Latin-1, like header fields."""
    async with harness(AsyncAiohttpHttpClient) as (vendor, own_client):
        vendor.queue(Behaviour(raw=b"HTTP/1.1 200 Gr\xfc\xdf\r\nContent-Length: 0\r\n\r\n"))
        assert "Grüß" == (await own_client.send(GET, vendor.url, LONG)).reason
