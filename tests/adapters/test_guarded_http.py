"""The guard that keeps requests to user-supplied URLs away from internal addresses."""

from __future__ import annotations

import asyncio
import gc
import re
import socket
import warnings
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx2
import pytest
import requests

from moorage import CircuitBreakerConfig, ConnectorManager, Service
from moorage.adapters.http.borrowed import aiohttp as aiohttp_http
from moorage.adapters.http.borrowed import httpx2 as httpx2_http
from moorage.adapters.http.borrowed import requests as requests_http
from moorage.adapters.http.borrowed._aiohttp_resolver import guarded_connector_options
from moorage.adapters.http.borrowed._engine import LibraryEngine
from moorage.adapters.http.borrowed._guarded_resolver import GuardedResolver
from moorage.adapters.http.connections._loops import LoopNetwork
from moorage.adapters.http.connections._settings import ConnectionSettings
from moorage.adapters.http.connections._threads import ThreadNetwork, run
from moorage.adapters.http.connections._wire import DeadlinePassed
from moorage.adapters.http.pyreqwest.client import PyreqwestHttpClient
from moorage.adapters.http.pyreqwest.client_async import AsyncPyreqwestHttpClient
from moorage.adapters.http.stdlib._engine import Engine
from moorage.adapters.http.stdlib.client import StdlibHttpClient
from moorage.domain.http.outgoing import OutgoingGuard
from moorage.domain.http.transport import Tls
from moorage.domain.resilience.circuit import CircuitState
from moorage.errors import (
    AttemptTimeout,
    ConfigurationError,
    ConnectionFailed,
    DestinationRefused,
)
from moorage.testing.fakes.http_server import Behaviour, VendorServer
from moorage.testing.fakes.http_tls import tls_pem
from moorage.testing.kits._http_harness import harness
from tests.adapters.http_modes import GET, LONG, POST, Make, with_both_clients

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

    from moorage.domain.http.requests import Response

ALLOWED = "127.0.0.1"
INTERNAL_HOST = "127.0.0.2"
SOCKET_KIND = (socket.AF_INET, socket.SOCK_STREAM, 6, "")


class RebindingResolver:
    """An attacker's name resolver that returns a different address at each lookup."""

    def __init__(self, port: int, *answers: list[str] | None) -> None:
        self._port = port
        self._answers = list(answers)
        self.asked = 0

    async def resolve(self, host: str, port: int, until: float) -> list[Any]:
        """Return the next address from the series of addresses that the host name resolves to."""
        self.asked += 1
        answer = self._answers.pop(0)
        if answer is None:
            raise DeadlinePassed
        return [(*SOCKET_KIND, (address, self._port)) for address in answer]


class SyncRebindingClient(RebindingResolver, ThreadNetwork):
    """A synchronous HTTP client that uses the rebinding resolver."""


class AsyncRebindingClient(RebindingResolver, LoopNetwork):
    """The rebinding resolver for asynchronous clients."""


def borrowed_engine(make: Callable[..., Engine]) -> Callable[[ConnectionSettings, Any], Engine]:
    """Return a function that creates a guarded engine over a library's client."""
    return lambda settings, network: make(None, settings, network)


in_all = pytest.mark.parametrize(
    "network, drive, make",
    [
        (SyncRebindingClient, run, lambda settings, network: Engine(network, settings)),
        (AsyncRebindingClient, asyncio.run, lambda settings, network: Engine(network, settings)),
        (SyncRebindingClient, run, borrowed_engine(httpx2_http.engine)),
        (AsyncRebindingClient, asyncio.run, borrowed_engine(httpx2_http.async_engine)),
        (SyncRebindingClient, run, borrowed_engine(requests_http.engine)),
        (AsyncRebindingClient, asyncio.run, borrowed_engine(aiohttp_http.async_engine)),
    ],
    ids=["sync", "async", "httpx2", "async httpx2", "requests", "aiohttp"],
)


@pytest.fixture(autouse=True)
def _collect_connections(request: pytest.FixtureRequest) -> Generator[None, None, None]:
    """Collect connections that aiohttp left open, so that no later test fails because of them."""
    yield
    if "aiohttp" in request.node.name:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


async def close_engine(engine: Engine) -> None:
    """Close an HTTP engine, and wait until a library's engine has closed its connections."""
    engine.close()
    if isinstance(engine, LibraryEngine):
        await engine.settle()


def guard(port: int, **settings: Any) -> OutgoingGuard:
    """Return a guard that allows one address of this machine."""
    return OutgoingGuard(networks=ALLOWED, ports=port, **settings)


@pytest.mark.parametrize("secure", [False, True])
@in_all
def test_rebound_name_is_not_followed(
    network: Callable[..., Any],
    drive: Callable[[Coroutine[Any, Any, list[Response]]], list[Response]],
    make: Callable[[ConnectionSettings, Any], Engine],
    secure: bool,
) -> None:
    """A connection goes to the address that the guard checked, even if the host name changes."""
    server, authority = tls_pem("vendor.example")
    with VendorServer(tls=server if secure else None) as vendor:
        vendor.always(Behaviour(204))
        port = vendor.address[1]
        names = network(port, [ALLOWED], [INTERNAL_HOST])
        settings = ConnectionSettings(
            guard=guard(443 if secure else 80), tls=Tls(authorities=authority), keep_alive=0.0
        )
        url = f"http{'s' if secure else ''}://vendor.example/"

        async def send_twice() -> list[Response]:
            engine = make(settings, names)
            answers = [await engine.send(GET, url, LONG)]
            assert 1 == names.asked
            with pytest.raises(DestinationRefused, match=r"has an address that is this machine"):
                await engine.send(GET, url, LONG)
            await close_engine(engine)
            return answers

        assert [204] == [answer.status for answer in drive(send_twice())]
        assert ["vendor.example"] == [request.headers["host"] for request in vendor.requests]


@in_all
def test_host_name_with_one_public_and_one_internal_address_is_refused(
    network: Callable[..., Any],
    drive: Callable[[Coroutine[Any, Any, None]], None],
    make: Callable[[ConnectionSettings, Any], Engine],
) -> None:
    """A host name with one public and one internal address is refused."""
    names = network(1, [ALLOWED, INTERNAL_HOST])

    async def send_once() -> None:
        engine = make(ConnectionSettings(guard=guard(80)), names)
        with pytest.raises(DestinationRefused):
            await engine.send(GET, "http://v.example/", LONG)
        await close_engine(engine)

    drive(send_once())


@in_all
def test_name_without_reachable_address_fails_to_connect(
    network: Callable[..., Any],
    drive: Callable[[Coroutine[Any, Any, None]], None],
    make: Callable[[ConnectionSettings, Any], Engine],
) -> None:
    """If a host name has no addresses, or none that listens, ConnectionFailed is raised."""
    with VendorServer(port="refusing") as vendor:
        names = network(vendor.address[1], [], [ALLOWED, ALLOWED])

        async def send_twice() -> None:
            engine = make(ConnectionSettings(guard=guard(80)), names)
            for _ in range(2):
                with pytest.raises(ConnectionFailed) as excinfo:
                    await engine.send(POST, "http://v.example/", LONG)
                assert not isinstance(excinfo.value, DestinationRefused)
                assert not excinfo.value.may_have_been_processed
            await close_engine(engine)

        drive(send_twice())


@in_all
def test_endless_lookup_ends_with_the_connect_timeout(
    network: Callable[..., Any],
    drive: Callable[[Coroutine[Any, Any, None]], None],
    make: Callable[[ConnectionSettings, Any], Engine],
) -> None:
    """The connect timeout includes the name lookup.

    The timeout error says that nothing was sent.
    """

    async def send_once() -> None:
        engine = make(ConnectionSettings(guard=guard(80)), network(80, None))
        with pytest.raises(AttemptTimeout) as excinfo:
            await engine.send(POST, "http://v.example/", LONG)
        assert not excinfo.value.may_have_been_processed
        await close_engine(engine)

    drive(send_once())


def test_aiohttp_sockets_are_guarded() -> None:
    """The guard also checks IP addresses that aiohttp connects to without a name lookup."""
    make = guarded_connector_options(GuardedResolver(guard(80), LoopNetwork()))["socket_factory"]
    make((*SOCKET_KIND, (ALLOWED, 80))).close()

    with pytest.raises(DestinationRefused):
        make((*SOCKET_KIND, (INTERNAL_HOST, 80)))


@pytest.mark.parametrize(
    "refuse",
    [
        lambda request: PyreqwestHttpClient(guard=request),
        lambda request: AsyncPyreqwestHttpClient(guard=request),
        lambda request: httpx2_http.Httpx2HttpClient(client=httpx2.Client, guard=request),
        lambda request: httpx2_http.AsyncHttpx2HttpClient(client=httpx2.AsyncClient, guard=request),
        lambda request: requests_http.RequestsHttpClient(session=requests.Session, guard=request),
        lambda request: aiohttp_http.AsyncAiohttpHttpClient(
            session=aiohttp.ClientSession, guard=request
        ),
    ],
    ids=["pyreqwest", "async pyreqwest", "httpx2", "async httpx2", "requests", "aiohttp"],
)
def test_unguardable_clients_refuse_a_guard(refuse: Callable[[OutgoingGuard], object]) -> None:
    """An HTTP client that opens its own connections refuses an address guard.

    The error suggests another client.
    """
    with pytest.raises(ConfigurationError) as excinfo:
        refuse(OutgoingGuard())

    assert "guard" == excinfo.value.path
    assert re.search("StdlibHttpClient|its own (client|session)", str(excinfo.value.remedy))


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://0x7f.1/",
        "http://2130706433/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://localhost/",
        "http://169.254.169.254/latest/meta-data",
        "http://8.8.8.8:22/",
    ],
)
@with_both_clients
async def test_internal_addresses_are_refused(make: Make, url: str) -> None:
    """An internal address is refused in every notation, and no request is sent."""
    client = make(guard=OutgoingGuard())
    with pytest.raises(DestinationRefused) as excinfo:
        await client.send(POST, url, LONG)
    await client.close()

    assert (False, False) == (excinfo.value.may_have_been_processed, excinfo.value.retryable)


@with_both_clients
async def test_allowed_networks_are_reachable(make: Make) -> None:
    """An address in an allowed network is reachable; redirects are not followed."""
    async with harness(make) as (vendor, _):
        vendor.always(Behaviour(302, {"Location": "http://127.0.0.2/"}))
        client = make(guard=guard(vendor.address[1]))
        answer = await client.send(GET, vendor.url, LONG)
        await client.close()

    assert (302, 1) == (answer.status, len(vendor.requests))


@pytest.mark.parametrize(
    "options", [{"guard": "none"}, {"guard": OutgoingGuard(), "proxy": "http://p"}]
)
@with_both_clients
async def test_guard_with_a_proxy_is_refused(make: Make, options: dict[str, Any]) -> None:
    """A guard together with a proxy is refused, because a proxy looks up host names itself."""
    with pytest.raises(ConfigurationError) as excinfo:
        make(**options)

    assert "guard" == excinfo.value.path


def test_refused_destination_opens_no_circuit() -> None:
    """A request to a refused address is not retried, and its circuit counts no failure."""
    service = Service(
        "hooks", base_url="http://localhost:80", circuit=CircuitBreakerConfig(failures=1)
    )
    with (
        StdlibHttpClient(guard=OutgoingGuard()) as client,
        ConnectorManager([service], http=client) as manager,
    ):
        for _ in range(2):
            with pytest.raises(DestinationRefused) as excinfo:
                manager.call("hooks", GET)
            assert 1 == excinfo.value.attempts
        assert CircuitState.CLOSED is manager.circuit_state("hooks").state
