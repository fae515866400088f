"""Connecting to host names that have several IP addresses."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool
from urllib3.connection import HTTPConnection

from moorage import Request
from moorage.adapters.http.borrowed.httpx2 import Httpx2HttpClient
from moorage.adapters.http.borrowed.requests import RequestsHttpClient
from moorage.adapters.http.connections import _resolve, _threads
from moorage.domain.http.timeouts import Timeouts
from moorage.errors import AttemptTimeout, ConnectionFailed
from moorage.testing import VendorServer

if TYPE_CHECKING:
    from collections.abc import Iterator

LONG, SHORT = 60.0, 0.3
SILENT = ("192.0.2.1", "192.0.2.2")
CLIENTS = {"requests": RequestsHttpClient, "httpx2": Httpx2HttpClient}


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Yield each synchronous client whose own library opens the connections."""
    http_client = CLIENTS[request.param]()
    yield http_client
    http_client.close()


@pytest.fixture
def waited_seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the list that records the connect timeout of each silent address, without waiting."""
    noted_timeouts: list[float] = []

    class Socket(socket.socket):
        def connect(self, address: Any, /) -> None:
            if address[0] not in SILENT:
                return super().connect(address)
            noted_timeouts.append(self.gettimeout() or 0.0)
            raise TimeoutError

    monkeypatch.setattr(socket, "socket", Socket)
    return noted_timeouts


@pytest.fixture
def vendor_addresses(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list of addresses to which vendor.example resolves."""
    addresses: list[str] = []
    real_getaddrinfo = socket.getaddrinfo

    def look_up(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        if host != "vendor.example":
            return real_getaddrinfo(host, port, *args, **options)
        kinds = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        return [(*kinds, (address, int(port))) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return addresses


def test_silent_addresses_leave_time_for_the_next(
    client: Any, waited_seconds: list[float], vendor_addresses: list[str]
) -> None:
    """Each address of a host is tried for a share of the connect timeout, until one responds."""
    vendor_addresses += [*SILENT, "127.0.0.1"]
    with VendorServer() as vendor:
        vendor.respond(200)
        url = vendor.url.replace("127.0.0.1", "vendor.example") + "/"
        answer = client.send(Request.get("/"), url, Timeouts(total=LONG))
    assert 200 == answer.status
    assert 2 == len(waited_seconds)
    assert 0 < waited_seconds[0] <= LONG / 3
    assert 0 < waited_seconds[1] <= LONG / 2


def test_silent_addresses_together_end_in_time(
    client: Any, waited_seconds: list[float], vendor_addresses: list[str]
) -> None:
    """Trying all addresses of a host takes no longer than the connect timeout."""
    vendor_addresses += SILENT
    with pytest.raises(AttemptTimeout):
        client.send(Request.get("/"), "http://vendor.example/", Timeouts(total=LONG))
    assert 2 == len(waited_seconds)
    assert waited_seconds[0] <= LONG / 2


def test_name_without_addresses_is_not_reached(client: Any, vendor_addresses: list[str]) -> None:
    """A host name without addresses raises ConnectionFailed, and nothing was sent."""
    assert [] == vendor_addresses
    with pytest.raises(ConnectionFailed) as excinfo:
        client.send(Request.get("/"), "http://vendor.example/", Timeouts(total=LONG))
    assert not excinfo.value.may_have_been_processed


def test_endless_lookup_ends_in_time(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name lookup that never ends is stopped at the connect timeout."""
    end_event = threading.Event()

    def look_up(*_: object) -> list[Any]:
        end_event.wait(LONG)
        raise socket.gaierror(socket.EAI_AGAIN, "later")

    monkeypatch.setattr(_threads, "numeric_addresses", lambda *_: [])
    monkeypatch.setattr(_resolve, "_look_up", look_up)
    try:
        with pytest.raises(AttemptTimeout):
            client.send(Request.get("/"), "http://vendor.example/", Timeouts(total=SHORT))
    finally:
        end_event.set()


def test_connection_class_of_a_session_connects_itself() -> None:
    """A requests session's own connection class, for example for SOCKS, opens its connections."""
    hosts: list[str] = []

    class Connection(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            hosts.append(self.host)
            return super()._new_conn()

    class Pool(HTTPConnectionPool):
        ConnectionCls: Any = Connection

    adapter = HTTPAdapter()
    adapter.poolmanager.pool_classes_by_scheme = {"http": Pool}
    with VendorServer() as vendor, requests.Session() as session:
        session.mount("http://", adapter)
        vendor.respond(200)
        client = RequestsHttpClient(session=session)
        answer = client.send(Request.get("/"), f"{vendor.url}/", Timeouts(total=LONG))
        client.close()
    assert 200 == answer.status
    assert ["127.0.0.1"] == hosts
