"""The HTTP/1.1 client on the standard library, synchronous and asynchronous."""

from __future__ import annotations

import asyncio
import gc
import inspect
import subprocess
import sys
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from moorage.adapters.http.connections._wire import SocketWire
from moorage.adapters.http.stdlib.client import StdlibHttpClient
from moorage.adapters.http.stdlib.client_async import AsyncStdlibHttpClient
from moorage.errors import ConnectionFailed
from moorage.testing import http_conformance as kit
from moorage.testing.fakes.http_server import Behaviour, VendorServer
from moorage.testing.fakes.http_tls import certificate_files
from moorage.testing.kits._http_harness import harness
from moorage.testing.kits.checks import name_of
from tests.adapters.http_modes import GET, LONG, POST, Make, in_loop, with_both_clients

if TYPE_CHECKING:
    from pathlib import Path

# --- conformance -------------------------------------------------------------


@pytest.mark.untraced
@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_stdlib_http_client_passes_conformance_kit(check: kit.Check) -> None:
    """StdlibHttpClient passes the conformance kit."""
    check(StdlibHttpClient)


@pytest.mark.parametrize("check", kit.ASYNC_CHECKS, ids=name_of)
def test_async_stdlib_http_client_passes_conformance_kit(check: kit.AsyncCheck) -> None:
    """AsyncStdlibHttpClient passes the conformance kit."""
    asyncio.run(check(AsyncStdlibHttpClient))


@pytest.mark.parametrize("check", kit.ONE_CONNECTION_CHECKS, ids=name_of)
def test_synchronous_http_client_limited_to_one_connection_serves_its_callers_in_turn(
    check: kit.Check,
) -> None:
    """A synchronous HTTP client limited to one connection serves its callers in turn."""
    check(lambda: StdlibHttpClient(max_connections=1))


@pytest.mark.parametrize("check", kit.ASYNC_ONE_CONNECTION_CHECKS, ids=name_of)
def test_async_client_with_one_connection_serves_callers_in_turn(check: kit.AsyncCheck) -> None:
    """An asynchronous HTTP client limited to one connection serves its callers in turn."""
    asyncio.run(check(lambda: AsyncStdlibHttpClient(max_connections=1)))


@pytest.mark.parametrize("check", kit.TLS_CHECKS, ids=name_of)
def test_sync_client_verifies_certificates(check: kit.TlsCheck) -> None:
    """The synchronous HTTP client verifies servers' certificates."""
    check(lambda context: StdlibHttpClient(ssl_context=context))


@pytest.mark.parametrize("check", kit.ASYNC_TLS_CHECKS, ids=name_of)
def test_async_client_verifies_certificates(check: kit.AsyncTlsCheck) -> None:
    """The asynchronous HTTP client verifies servers' certificates."""
    asyncio.run(check(lambda context: AsyncStdlibHttpClient(ssl_context=context)))


@pytest.mark.parametrize("check", kit.TRUST_CHECKS, ids=name_of)
def test_sync_client_uses_configured_authorities_and_certificate(check: kit.TrustCheck) -> None:
    """The synchronous HTTP client uses the configured authorities and client certificate."""
    check(lambda tls: StdlibHttpClient(tls=tls))


@pytest.mark.parametrize("check", kit.ASYNC_TRUST_CHECKS, ids=name_of)
def test_async_client_uses_configured_authorities_and_certificate(
    check: kit.AsyncTrustCheck,
) -> None:
    """The asynchronous HTTP client uses the configured authorities and client certificate."""
    asyncio.run(check(lambda tls: AsyncStdlibHttpClient(tls=tls)))


@pytest.mark.parametrize("check", kit.GUARD_CHECKS, ids=name_of)
def test_sync_client_connects_only_to_allowed_addresses(check: kit.GuardCheck) -> None:
    """The synchronous HTTP client connects only to addresses that its guard allows."""
    check(lambda guard, tls: StdlibHttpClient(guard=guard, tls=tls))


@pytest.mark.parametrize("check", kit.ASYNC_GUARD_CHECKS, ids=name_of)
def test_async_client_connects_only_to_allowed_addresses(check: kit.AsyncGuardCheck) -> None:
    """The asynchronous HTTP client connects only to addresses that its guard allows."""
    asyncio.run(check(lambda guard, tls: AsyncStdlibHttpClient(guard=guard, tls=tls)))


@pytest.mark.parametrize("check", kit.PROXY_CHECKS, ids=name_of)
def test_sync_client_sends_through_a_proxy(check: kit.ProxyCheck) -> None:
    """The synchronous HTTP client sends through a proxy, and recognises the proxy's failures."""
    check(lambda proxy, tls: StdlibHttpClient(proxy=proxy, tls=tls))


@pytest.mark.parametrize("check", kit.ASYNC_PROXY_CHECKS, ids=name_of)
def test_async_client_sends_through_a_proxy(check: kit.AsyncProxyCheck) -> None:
    """The asynchronous HTTP client sends through a proxy, and recognises the proxy's failures."""
    asyncio.run(check(lambda proxy, tls: AsyncStdlibHttpClient(proxy=proxy, tls=tls)))


def test_key_without_its_password_is_refused(tmp_path: Path) -> None:
    """An encrypted key without its password raises an error instead of asking on the terminal."""
    certificate, key = certificate_files(tmp_path)
    sealed_bytes = load_pem_private_key(key.read_bytes(), None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word")
    )
    key.write_bytes(sealed_bytes)
    code = (
        "from moorage import ConfigurationError, Tls\n"
        "from moorage.adapters.http.stdlib.client import StdlibHttpClient\n"
        f"try: StdlibHttpClient(tls=Tls(certificate={str(certificate)!r}, key={str(key)!r}))\n"
        "except ConfigurationError as error: print(error.path)"
    )
    output = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=True,
        input="word\n",
        start_new_session=True,  # without a terminal, a prompt would read from standard input
        text=True,
    )

    assert "tls.certificate" == output.stdout.strip()


# --- open connections --------------------------------------------------------


@with_both_clients
async def test_connection_is_reused(make: Make) -> None:
    """Successive requests use one connection until either side closes it."""
    async with harness(make) as (vendor, client):
        vendor.always(Behaviour(body=b"x" * 99_999))
        vendor.queue(Behaviour(body=b"x", framing="chunked"), Behaviour(204), Behaviour(500))
        for _ in range(5):
            await client.send(GET, vendor.url, LONG)
        assert 1 == vendor.connections

        vendor.queue(Behaviour(204, {"Connection": "close"}))
        for _ in range(2):
            await client.send(GET, vendor.url, LONG)
        assert 2 == vendor.connections


@pytest.mark.parametrize(
    "keep_alive, fields",
    [(0, {}), (timedelta(0), {}), (15.0, {"Keep-Alive": "timeout=1"})],
)
@with_both_clients
async def test_connection_is_not_kept(
    make: Make, keep_alive: float, fields: dict[str, str]
) -> None:
    """A connection is closed if `keep_alive` is 0, or after the vendor's short keep-alive time."""
    async with harness(partial(make, keep_alive=keep_alive)) as (vendor, client):
        vendor.always(Behaviour(204, fields))
        for _ in range(2):
            await client.send(GET, vendor.url, LONG)
        vendor.wait_for_closed(2)


@with_both_clients
async def test_expired_idle_connections_are_closed(make: Make) -> None:
    """Opening a connection also closes expired idle connections."""
    with VendorServer() as other_server:
        other_server.always(Behaviour(204))
        async with harness(partial(make, keep_alive=0.02)) as (vendor, client):
            vendor.always(Behaviour(204))
            await client.send(GET, vendor.url, LONG)
            await asyncio.sleep(0.03)
            await client.send(GET, other_server.url, LONG)
            vendor.wait_for_closed()
            await client.send(GET, vendor.url, LONG)
            assert 2 == vendor.connections


@with_both_clients
async def test_expired_idle_connection_is_replaced(make: Make) -> None:
    """A connection that was idle for longer than `keep_alive` is not reused."""
    async with harness(partial(make, keep_alive=0.02)) as (vendor, client):
        vendor.always(Behaviour(204))
        await client.send(GET, vendor.url, LONG)
        await asyncio.sleep(0.03)
        await client.send(GET, vendor.url, LONG)
        assert 2 == vendor.connections


@with_both_clients
async def test_reset_connection_is_replaced(make: Make) -> None:
    """A connection that the vendor reset while the connection was idle is not reused."""
    async with harness(make) as (vendor, client):
        vendor.queue(Behaviour(204, then="reset"), Behaviour(201))
        await client.send(POST, vendor.url, LONG)
        vendor.wait_for_closed()

        assert 201 == (await client.send(POST, vendor.url, LONG)).status


@with_both_clients
async def test_reset_at_the_first_byte_is_replaced(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the vendor closes an idle connection at the first byte, a new connection is used."""
    monkeypatch.setattr(SocketWire, "stale", lambda _: False)
    async with harness(make) as (vendor, client):
        vendor.queue(Behaviour(204, then="reset"), Behaviour(201))
        await client.send(POST, vendor.url, LONG)
        vendor.wait_for_closed()

        assert 201 == (await client.send(POST, vendor.url, LONG)).status
        assert 2 == len(vendor.requests)


@with_both_clients
async def test_late_close_may_have_been_processed(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the vendor closes a reused connection after the request, it may have been processed."""
    monkeypatch.setattr(SocketWire, "stale", lambda _: False)
    async with harness(make) as (vendor, client):
        vendor.queue(Behaviour(204, then="close"), Behaviour(201))
        await client.send(POST, vendor.url, LONG)
        vendor.wait_for_closed()

        with pytest.raises(ConnectionFailed) as excinfo:
            await client.send(POST, vendor.url, LONG)
        assert excinfo.value.may_have_been_processed
        assert 1 == len(vendor.requests)


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@with_both_clients
async def test_abandoned_response_frees_its_slot(make: Make) -> None:
    """An abandoned response loses its connection, but frees its pool slot."""
    async with harness(partial(make, max_connections=1)) as (vendor, client):
        vendor.always(Behaviour(204))
        vendor.queue(Behaviour(body=b"x" * 9_999_999))
        incoming = await client.open(GET, vendor.url, LONG)
        waiting_task = asyncio.ensure_future(client.send(GET, vendor.url, LONG))
        await asyncio.sleep(0.01)
        del incoming
        gc.collect()

        assert 204 == (await waiting_task).status


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_finalizer_waits_for_no_lock() -> None:
    """A response that is garbage-collected while the pool is locked does not wait for the lock."""
    with VendorServer() as vendor, StdlibHttpClient(max_connections=1) as client:
        vendor.always(Behaviour(204))
        vendor.queue(Behaviour(body=b"x" * 9_999_999))
        incoming = client.open(GET, vendor.url, LONG)
        with client._engine.pool()._lock:  # noqa: SLF001 - as a thread that is interrupted in it
            del incoming
            gc.collect()

        assert 204 == client.send(GET, vendor.url, LONG).status


@with_both_clients
async def test_closed_client_is_refused(make: Make) -> None:
    """A closed HTTP client refuses new calls; open responses can be read to their end."""
    async with harness(make) as (vendor, client):
        vendor.queue(Behaviour(body=b"x" * 99_999))
        incoming = await client.open(GET, vendor.url, LONG)
        await client.close()
        received_bytes = b""
        while piece := await incoming.read():
            received_bytes += piece
        vendor.wait_for_closed()

        assert 99_999 == len(received_bytes)
        with pytest.raises(ConnectionFailed, match="is closed") as excinfo:
            await client.send(GET, vendor.url, LONG)
        assert not excinfo.value.may_have_been_processed
        assert not excinfo.value.retryable


def test_stdlib_http_client_closes_its_connections_at_end_of_its_with_block() -> None:
    """StdlibHttpClient closes its connections at the end of its `with` block."""
    with VendorServer() as vendor:
        vendor.always(Behaviour(204))
        with StdlibHttpClient() as client:
            client.send(GET, vendor.url, LONG)
        vendor.wait_for_closed()


@in_loop
async def test_async_with_block_closes_the_client() -> None:
    """AsyncStdlibHttpClient closes its connections at the end of its `async with` block."""
    with VendorServer() as vendor:
        vendor.always(Behaviour(204))
        async with AsyncStdlibHttpClient() as client:
            await client.send(GET, vendor.url, LONG)
        vendor.wait_for_closed()


@with_both_clients
async def test_pool_statistics_count_exchanges_idle_connections_and_callers(make: Make) -> None:
    """Pool statistics count running exchanges, idle connections and waiting callers."""

    def pool_counts() -> tuple[int, int | None, int, int]:
        result = client.statistics()  # type: ignore[attr-defined]  # which the port has not
        return result.active, result.idle, result.waiting, result.limit

    async with harness(partial(make, max_connections=1)) as (vendor, client):
        assert (0, 0, 0, 1) == pool_counts()
        vendor.always(Behaviour(body=b"x" * 99_999))
        incoming = await client.open(GET, vendor.url, LONG)
        assert (1, 0, 0, 1) == pool_counts()
        waiting_task = asyncio.ensure_future(client.send(GET, vendor.url, LONG))
        while pool_counts() != (1, 0, 1, 1):  # noqa: ASYNC110 - a pool tells nobody
            await asyncio.sleep(0.001)
        while await incoming.read():
            pass
        await waiting_task
        assert (0, 1, 0, 1) == pool_counts()
        await client.close()
        assert (0, 0, 0, 1) == pool_counts()


@with_both_clients
async def test_expired_connections_are_not_counted_as_idle(make: Make) -> None:
    """Pool statistics do not count an expired connection as idle."""
    async with harness(partial(make, keep_alive=0.02)) as (vendor, client):
        vendor.always(Behaviour(204))
        await client.send(GET, vendor.url, LONG)
        await asyncio.sleep(0.03)

        assert 0 == client.statistics().idle  # type: ignore[attr-defined]  # which the port has not


def test_connections_of_all_loops_are_counted() -> None:
    """Pool statistics include the connections of all event loops."""
    with VendorServer() as vendor:
        vendor.always(Behaviour(204))
        client = AsyncStdlibHttpClient()
        loops = [asyncio.new_event_loop() for _ in range(2)]
        for loop in loops:
            loop.run_until_complete(client.send(GET, vendor.url, LONG))
        assert 2 == client.statistics().idle
        for loop in loops:
            loop.run_until_complete(client.close())
            loop.close()
        assert 0 == client.statistics().idle


# --- both clients ------------------------------------------------------------


def test_sync_and_async_clients_match() -> None:
    """The sync and async clients have the same parameters, defaults and docstrings."""
    plain_signature, async_signature = (
        inspect.signature(kind) for kind in (StdlibHttpClient, AsyncStdlibHttpClient)
    )
    assert plain_signature.parameters == async_signature.parameters

    for name in ("send", "open", "statistics", "close"):
        sync_method, async_method = (
            getattr(kind, name) for kind in (StdlibHttpClient, AsyncStdlibHttpClient)
        )
        assert (
            inspect.signature(sync_method).parameters == inspect.signature(async_method).parameters
        )
        assert sync_method.__doc__ == async_method.__doc__


def test_unused_modules_are_not_loaded() -> None:
    """A StdlibHttpClient that uses no TLS imports neither ssl nor asyncio."""
    code = (
        "import sys, moorage.adapters.http.stdlib.client as http; http.StdlibHttpClient().close();"
        "print(sorted({'asyncio', 'ssl', 'http.client', 'logging'} & set(sys.modules)))"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    )

    assert "[]" == output.stdout.strip()
