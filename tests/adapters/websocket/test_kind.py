"""WebSocket connectors opened from a configuration."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

import moorage
from moorage.adapters.websocket.connector import AsyncWebSocketConnector, WebSocketConnector
from tests.adapters.websocket.server_process import TOKEN

if TYPE_CHECKING:
    from tests.adapters.websocket.websocket_harness import Server


def configuration(server: Server, path: str, **settings: Any) -> dict[str, Any]:
    """Return a configuration with one WebSocket connector."""
    table = {"kind": "websocket", "url": f"{server.url}{path}", **settings}
    return {"version": 1, "connectors": {"orders": table}}


def test_configured_websocket_connector_uses_its_settings(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A configured WebSocket connector uses its settings, with a token from the environment."""
    monkeypatch.setenv("ORDERS_TOKEN", TOKEN)
    settings = {"token": "secret://env/ORDERS_TOKEN", "heartbeat": 5.0}
    with moorage.open(configuration(server, "/secret", **settings)) as hub:
        payload = {"payload": {"method": "echo", "params": [1]}}
        assert [1] == hub.connectors.run("orders", "request", payload)
        assert hub.connectors.health("orders").is_healthy
        assert isinstance(hub.connectors.get("orders", WebSocketConnector), WebSocketConnector)


def test_asynchronous_hub_opens_a_configured_connector(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An asynchronous hub opens an asynchronous connector, with the token in the URL's query."""
    monkeypatch.setenv("ORDERS_TOKEN", TOKEN)
    settings = {"token": "secret://env/ORDERS_TOKEN", "token_parameter": "key"}

    async def use_connector() -> Any:
        async with moorage.aopen(configuration(server, "/a", **settings)) as hub:
            connector = hub.connectors.get("orders", AsyncWebSocketConnector)
            assert isinstance(connector, AsyncWebSocketConnector)
            payload = {"payload": {"method": "header", "params": {"name": "x"}}}
            return await hub.connectors.run("orders", "request", payload)

    assert [None, f"/a?key={TOKEN}"] == asyncio.run(use_connector())


def test_misspelt_setting_of_websocket_connector_is_refused_with_its_path() -> None:
    """A misspelt setting of a WebSocket connector is refused with its path."""
    table = {"kind": "websocket", "url": "ws://a.example", "tokken": "x"}
    with pytest.raises(moorage.ConfigurationError, match=r"connectors\.orders"):
        moorage.open({"version": 1, "connectors": {"orders": table}})


def test_missing_file_of_authorities_is_reported_at_opening() -> None:
    """A missing file of certificate authorities is reported when the connector is opened."""
    table = {"kind": "websocket", "url": "wss://a.example", "authorities": "missing.pem"}
    table["subprotocol"] = "orders.v1"
    with (
        moorage.open({"version": 1, "connectors": {"orders": table}}) as hub,
        pytest.raises(moorage.ConfigurationError, match="file of the authorities"),
    ):
        hub.connectors.get("orders", WebSocketConnector)
