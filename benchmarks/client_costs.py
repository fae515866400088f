"""HTTP clients compared on loopback, with keep-alive and a small JSON response.

Each is asked for the same: status, fields and body. The reference is `http.client` of the standard
library, called directly. Clients of others have a total timeout and no further bounds.
"""

from __future__ import annotations

import asyncio
import http.client
import ssl
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
import httpx2
import urllib3
from http_costs import Vendor
from measure import ELAPSED, PROCESSOR, Clock, Comparison, Contender, Target, compare, sync_block
from pyreqwest.client import ClientBuilder, SyncClientBuilder

from moorage import Request, Timeouts, Tls
from moorage.adapters.http.borrowed.aiohttp import AsyncAiohttpHttpClient
from moorage.adapters.http.pyreqwest.client import PyreqwestHttpClient
from moorage.adapters.http.pyreqwest.client_async import AsyncPyreqwestHttpClient
from moorage.adapters.http.stdlib.client import StdlibHttpClient
from moorage.adapters.http.stdlib.client_async import AsyncStdlibHttpClient
from moorage.testing.fakes.http_tls import certificate_files

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from measure import Block, Read
    from pyreqwest.client import Client

    from moorage.ports.http import AsyncHttpClient, HttpClient

SECONDS = 30.0
CONCURRENT_CALLS = 50
ADAPTER_TARGET = Target(1.1, 1.05)
GET, TIMEOUTS = Request.get("/rates"), Timeouts(total=SECONDS)


def _bare_pyreqwest(url: str, authority: bytes | None) -> Callable[[], object]:
    builder = SyncClientBuilder()
    client = (builder if authority is None else builder.add_root_certificate_pem(authority)).build()
    timeout = timedelta(seconds=SECONDS)

    def send_request() -> object:
        answer = client.get(url).timeout(timeout).build().send()
        return answer.status, list(answer.headers.items()), bytes(answer.bytes())

    return send_request


def _bare_async_pyreqwest(url: str, client: Client) -> Callable[[], Awaitable[object]]:
    timeout = timedelta(seconds=SECONDS)

    async def send_request() -> object:
        answer = await client.get(url).timeout(timeout).build().send()
        return answer.status, list(answer.headers.items()), bytes(await answer.bytes())

    return send_request


def _bare_aiohttp(url: str, session: aiohttp.ClientSession) -> Callable[[], Awaitable[object]]:
    async def send_request() -> object:
        async with session.get(url) as answer:
            return answer.status, list(answer.headers.items()), await answer.read()

    return send_request


def http_client(url: str, trust: ssl.SSLContext | None) -> Callable[[], object]:
    """Return a function that makes a GET request with `http.client` over one connection."""
    locations = urlsplit(url)
    connection = (
        http.client.HTTPConnection(locations.netloc, timeout=SECONDS)
        if trust is None
        else http.client.HTTPSConnection(locations.netloc, timeout=SECONDS, context=trust)
    )

    def send_request() -> object:
        connection.request("GET", locations.path)
        answer = connection.getresponse()
        return answer.status, answer.getheaders(), answer.read()

    return send_request


def _urllib3(url: str, trust: ssl.SSLContext | None) -> Callable[[], object]:
    pool = urllib3.PoolManager(ssl_context=trust, retries=False)

    def send_request() -> object:
        answer = pool.request("GET", url, timeout=SECONDS)
        return answer.status, list(answer.headers.items()), answer.data

    return send_request


def _httpx2(url: str, trust: ssl.SSLContext | None) -> Callable[[], object]:
    client = httpx2.Client(verify=trust or True, timeout=SECONDS)

    def send_request() -> object:
        answer = client.get(url)
        return answer.status_code, answer.headers.items(), answer.content

    return send_request


def _moorage_client(client: HttpClient | AsyncHttpClient, url: str) -> Callable[[], Any]:
    return lambda: client.send(GET, url, TIMEOUTS)


def _sync(rounds: int, clock: Clock, *, secure: bool) -> Comparison:
    with ExitStack() as stack:
        url, tls, trust = _vendor(stack, secure=secure)
        authority = None if tls is None else Path(str(tls.authorities)).read_bytes()
        contenders = [
            Contender("http.client", sync_block(http_client(url, trust))),
            Contender(
                "StdlibHttpClient", sync_block(_moorage_client(StdlibHttpClient(tls=tls), url))
            ),
            Contender(
                "PyreqwestHttpClient",
                sync_block(_moorage_client(PyreqwestHttpClient(tls=tls), url)),
            ),
            Contender("pyreqwest, bare", sync_block(_bare_pyreqwest(url, authority))),
            Contender("urllib3, bare", sync_block(_urllib3(url, trust))),
            Contender("httpx2, bare", sync_block(_httpx2(url, trust))),
        ]
        rows = compare(None, contenders, rounds=rounds, clock=clock, block_seconds=0.03)
    return Comparison(f"HTTP clients, sync{', TLS' * secure}", rows)


def _async(rounds: int, clock: Clock, *, secure: bool) -> Comparison:
    loop = asyncio.new_event_loop()
    with ExitStack() as stack:
        url, tls, trust = _vendor(stack, secure=secure)
        builder = ClientBuilder()
        if tls is not None:
            builder = builder.add_root_certificate_pem(Path(str(tls.authorities)).read_bytes())
        bare_client = builder.build()

        async def start_client() -> tuple[Any, Any]:
            connector = aiohttp.TCPConnector(ssl=trust or True)
            total = aiohttp.ClientTimeout(total=SECONDS)
            session = aiohttp.ClientSession(connector=connector, timeout=total)
            limits = httpx2.Limits(
                max_connections=CONCURRENT_CALLS, max_keepalive_connections=CONCURRENT_CALLS
            )
            return session, httpx2.AsyncClient(verify=trust or True, timeout=SECONDS, limits=limits)

        session, httpx = loop.run_until_complete(start_client())

        async def ask_httpx() -> object:
            answer = await httpx.get(url)
            return answer.status_code, answer.headers.items(), answer.content

        contenders = [
            Contender("http.client, one at a time", sync_block(http_client(url, trust))),
            Contender(
                "AsyncStdlibHttpClient",
                _concurrent_calls(_moorage_client(AsyncStdlibHttpClient(tls=tls), url), loop),
            ),
            Contender(
                "AsyncPyreqwestHttpClient",
                _concurrent_calls(_moorage_client(AsyncPyreqwestHttpClient(tls=tls), url), loop),
            ),
            Contender(
                "pyreqwest, bare", _concurrent_calls(_bare_async_pyreqwest(url, bare_client), loop)
            ),
            Contender(
                "AsyncAiohttpHttpClient",
                _concurrent_calls(_moorage_client(AsyncAiohttpHttpClient(tls=tls), url), loop),
            ),
            Contender("aiohttp, bare", _concurrent_calls(_bare_aiohttp(url, session), loop)),
            Contender("httpx2, bare", _concurrent_calls(ask_httpx, loop)),
        ]
        rows = compare(None, contenders, rounds=rounds, clock=clock, block_seconds=0.05)
        loop.run_until_complete(session.close())
        loop.run_until_complete(httpx.aclose())
    loop.close()
    title = f"HTTP clients, async, {CONCURRENT_CALLS} at once{', TLS' * secure}"
    return Comparison(title, rows)


def _vendor(stack: ExitStack, *, secure: bool) -> tuple[str, Tls | None, ssl.SSLContext | None]:
    """Start a vendor; return its URL, and the certificate authority to trust over TLS."""
    if not secure:
        return f"{stack.enter_context(Vendor())}/rates", None, None
    folder = Path(stack.enter_context(TemporaryDirectory()))
    certificate, key = certificate_files(folder)
    url = stack.enter_context(Vendor(str(certificate), str(key)))
    trust = ssl.create_default_context(cafile=str(certificate))
    return f"{url}/rates", Tls(authorities=str(certificate)), trust


def _concurrent_calls(
    ask: Callable[[], Awaitable[object]], loop: asyncio.AbstractEventLoop
) -> Block:
    """Return a function that measures this many concurrent calls."""

    def block(calls: int, read: Read) -> float:
        calls_per_task = max(1, calls // CONCURRENT_CALLS)

        async def run_share() -> None:
            for _ in range(calls_per_task):
                await ask()

        async def timed_run() -> float:
            start = read()
            await asyncio.gather(*(run_share() for _ in range(CONCURRENT_CALLS)))
            return (read() - start) * calls / (calls_per_task * CONCURRENT_CALLS)

        return loop.run_until_complete(timed_run())

    return block


def http_clients(rounds: int) -> Comparison:
    """Measure the time per call of one thread that makes consecutive calls."""
    return _sync(rounds, ELAPSED, secure=False)


def http_clients_processor(rounds: int) -> Comparison:
    """Measure the client process's processor time for one thread with consecutive calls."""
    return _sync(rounds, PROCESSOR, secure=False)


def http_clients_tls(rounds: int) -> Comparison:
    """Measure the time per call of one thread over TLS."""
    return _sync(rounds, ELAPSED, secure=True)


def http_clients_tls_processor(rounds: int) -> Comparison:
    """Measure the client process's processor time for one thread over TLS."""
    return _sync(rounds, PROCESSOR, secure=True)


def http_uploads(rounds: int) -> Comparison:
    """Measure the processor time for sending a body of 1 MB from memory."""
    body = bytes(1_000_000)
    request, timeout = Request.put("/rates", body=body), timedelta(seconds=SECONDS)
    step_timeouts = Timeouts(total=SECONDS, connect=3.0, read=5.0)
    with Vendor() as base_url:
        url = f"{base_url}/rates"
        bare_client, client = SyncClientBuilder().build(), PyreqwestHttpClient()
        stdlib_client = StdlibHttpClient()

        def bare_upload() -> object:
            sent_request = bare_client.put(url).timeout(timeout).body_bytes(body).build()
            answer = sent_request.send()
            return answer.status, list(answer.headers.items()), bytes(answer.bytes())

        uploads: dict[str, Callable[[], object]] = {
            "pyreqwest, bare": bare_upload,
            "PyreqwestHttpClient": lambda: client.send(request, url, TIMEOUTS),
            "PyreqwestHttpClient with a read timeout": lambda: client.send(
                request, url, step_timeouts
            ),
            "StdlibHttpClient": lambda: stdlib_client.send(request, url, TIMEOUTS),
        }
        rows = compare(
            None,
            [Contender(name, sync_block(upload)) for name, upload in uploads.items()],
            rounds=rounds,
            clock=PROCESSOR,
            block_seconds=0.03,
        )
    return Comparison("uploads of 1 MB, sync", rows)


def http_pyreqwest(rounds: int) -> Comparison:
    """Measure the client process's processor time for one thread's calls through pyreqwest."""
    with Vendor() as base_url:
        url = f"{base_url}/rates"
        contenders = [
            Contender("pyreqwest, bare", sync_block(_bare_pyreqwest(url, None))),
            Contender(
                "PyreqwestHttpClient", sync_block(_moorage_client(PyreqwestHttpClient(), url))
            ),
        ]
        rows = compare(None, contenders, rounds=rounds, clock=PROCESSOR, block_seconds=0.03)
    return Comparison("exchanges through pyreqwest, sync", rows, ADAPTER_TARGET)


def http_pyreqwest_async(rounds: int) -> Comparison:
    """Measure the client process's processor time for fifty concurrent calls through pyreqwest."""
    loop = asyncio.new_event_loop()
    with Vendor() as base_url:
        url = f"{base_url}/rates"
        client = AsyncPyreqwestHttpClient()
        contenders = [
            Contender(
                "pyreqwest, bare",
                _concurrent_calls(_bare_async_pyreqwest(url, ClientBuilder().build()), loop),
            ),
            Contender(
                "AsyncPyreqwestHttpClient", _concurrent_calls(_moorage_client(client, url), loop)
            ),
        ]
        rows = compare(None, contenders, rounds=rounds, clock=PROCESSOR, block_seconds=0.05)
        loop.run_until_complete(client.close())
    loop.close()
    title = f"exchanges through pyreqwest, async, {CONCURRENT_CALLS} at once"
    return Comparison(title, rows, ADAPTER_TARGET)


def http_aiohttp(rounds: int) -> Comparison:
    """Measure the client process's processor time for fifty concurrent calls through aiohttp."""
    loop = asyncio.new_event_loop()
    with Vendor() as base_url:
        url = f"{base_url}/rates"

        async def new_session() -> aiohttp.ClientSession:
            total = aiohttp.ClientTimeout(total=SECONDS)
            return aiohttp.ClientSession(connector=aiohttp.TCPConnector(), timeout=total)

        session = loop.run_until_complete(new_session())
        client = AsyncAiohttpHttpClient()
        contenders = [
            Contender("aiohttp, bare", _concurrent_calls(_bare_aiohttp(url, session), loop)),
            Contender(
                "AsyncAiohttpHttpClient", _concurrent_calls(_moorage_client(client, url), loop)
            ),
        ]
        rows = compare(None, contenders, rounds=rounds, clock=PROCESSOR, block_seconds=0.05)
        loop.run_until_complete(client.close())
        loop.run_until_complete(session.close())
    loop.close()
    return Comparison(
        f"exchanges through aiohttp, {CONCURRENT_CALLS} at once", rows, ADAPTER_TARGET
    )


def http_clients_async(rounds: int) -> Comparison:
    """Measure the time per call of one event loop with fifty concurrent calls."""
    return _async(rounds, ELAPSED, secure=False)


def http_clients_async_processor(rounds: int) -> Comparison:
    """Measure the client process's processor time for a loop with fifty concurrent calls."""
    return _async(rounds, PROCESSOR, secure=False)


def http_clients_async_tls(rounds: int) -> Comparison:
    """Measure the time per call of one event loop over TLS."""
    return _async(rounds, ELAPSED, secure=True)


def http_clients_async_tls_processor(rounds: int) -> Comparison:
    """Measure the client process's processor time for one event loop over TLS."""
    return _async(rounds, PROCESSOR, secure=True)


ALL = (
    http_clients,
    http_clients_processor,
    http_clients_tls,
    http_clients_tls_processor,
    http_uploads,
    http_pyreqwest,
    http_pyreqwest_async,
    http_aiohttp,
    http_clients_async,
    http_clients_async_processor,
    http_clients_async_tls,
    http_clients_async_tls_processor,
)
