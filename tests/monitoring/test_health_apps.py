"""Liveness and readiness pages over HTTP, served by real servers."""

from __future__ import annotations

import asyncio
import json
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    AsyncHealthApp,
    ConnectorManager,
    Credentials,
    HealthApp,
    HealthMonitor,
    HealthSettings,
    Probe,
    Service,
)
from moorage.testing import VendorServer
from tests.webhooks.hosts import _uvicorn, _wsgiref

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping

CANARY = "sk_live_canary"


@pytest.fixture
def monitor() -> Iterator[HealthMonitor]:
    """Return a health monitor of one service, with a secret in its credentials."""
    with VendorServer() as vendor:
        service = Service("vat", vendor.url, credentials=Credentials.bearer(CANARY))
        probe = Probe(service="vat", request="/health")
        with ConnectorManager([service]) as manager:
            new_monitor = HealthMonitor(
                manager, settings=HealthSettings(probes=[probe]), every=60.0
            )
            vendor.respond(401, body=CANARY.encode())
            new_monitor.probe(everything=True)
            yield new_monitor


@pytest.fixture(params=["wsgi", "asgi"])
def port(request: pytest.FixtureRequest, monitor: HealthMonitor) -> Iterator[int]:
    """Yield the port of a server with the health pages."""
    if request.param == "wsgi":
        with _wsgiref(HealthApp(monitor)) as number:
            yield number
    else:
        with _uvicorn(AsyncHealthApp(monitor)) as number:
            yield number


def fetch(port: int, path: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    """Return the server's response to this request."""
    connection = HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return response.status, headers, response.read()
    finally:
        connection.close()


def test_liveness_and_readiness_pages_give_reasons_without_secrets(
    port: int, monitor: HealthMonitor
) -> None:
    """Liveness is 200 at once, readiness is 200 after a check, and neither shows a secret."""
    assert (200, {"state": "alive"}) == (
        fetch(port, "/live")[0],
        json.loads(fetch(port, "/live")[2]),
    )
    assert 503 == fetch(port, "/ready")[0]
    monitor.check()
    status, headers, body = fetch(port, "/ready")

    assert (200, "degraded") == (status, json.loads(body)["state"])
    assert "The probe failed once" in json.loads(body)["reasons"][0]
    assert ("application/json", "no-store") == (headers["content-type"], headers["cache-control"])
    health_document = json.loads(fetch(port, "/health")[2])
    assert "vat" == health_document["services"][0]["service"]
    assert "moorage ping vat" in health_document["services"][0]["reasons"][0]["remedy"]
    assert CANARY not in body.decode() + json.dumps(health_document)


def test_head_response_has_no_body(port: int) -> None:
    """A HEAD response has no body, and other methods and paths are refused."""
    status, headers, body = fetch(port, "/live", "HEAD")
    assert (200, b"", "18") == (status, body, headers["content-length"])
    status, headers, _ = fetch(port, "/ready", "POST")
    assert (405, "GET, HEAD") == (status, headers["allow"])
    assert 404 == fetch(port, "/elsewhere")[0]


def test_unavailable_process_is_not_ready(monitor: HealthMonitor) -> None:
    """While everything is unavailable, readiness is 503 and liveness stays 200."""
    statuses: list[str] = []

    def start(status: str, headers: list[tuple[str, str]]) -> None:
        statuses.append(status)

    monitor.probe(everything=True)
    monitor.check()
    for path in ("/live", "/ready", ""):
        HealthApp(monitor)({"REQUEST_METHOD": "GET", "PATH_INFO": path}, start)

    assert ["200 OK", "503 Service Unavailable", "503 Service Unavailable"] == statuses


def test_asgi_application_answers_lifespan_events(monitor: HealthMonitor) -> None:
    """The ASGI health application answers lifespan events, and refuses WebSockets."""
    sent_messages: list[MutableMapping[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent_messages.append(message)

    app = AsyncHealthApp(monitor)
    asyncio.run(app({"type": "lifespan"}, receive, send))
    asyncio.run(app({"type": "websocket"}, receive, send))

    types = ["lifespan.startup.complete", "lifespan.shutdown.complete", "websocket.close"]
    assert types == [message["type"] for message in sent_messages]


def test_health_pages_below_a_root_path_are_served(monitor: HealthMonitor) -> None:
    """If the ASGI application is mounted below a root path, its health pages are still found."""
    sent_messages: list[MutableMapping[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent_messages.append(message)

    scope = {"type": "http", "method": "GET", "path": "/ops/live", "root_path": "/ops"}
    asyncio.run(AsyncHealthApp(monitor)(scope, receive, send))

    assert 200 == sent_messages[0]["status"]
