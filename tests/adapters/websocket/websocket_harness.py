"""A WebSocket server in another process, and connectors of sync or async mode."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

from moorage import AsyncConnectorManager, ConnectorManager, RetryPolicy, Secret, Service
from moorage.adapters.websocket.connector import AsyncWebSocketConnector, WebSocketConnector
from moorage.domain.connectors.reconnecting import ReconnectPolicy
from tests.support.ports import free_port

AT_ONCE = ReconnectPolicy(first=0.01, longest=0.05, patience=60.0)
_SCRIPT = Path(__file__).with_name("server_process.py")


class Server:
    """A WebSocket server that can be killed and started again at the same address."""

    def __init__(self, effects: Path, *files: str) -> None:
        self.effects = effects
        self._files = files
        # No other program gets this port while the server is down.
        self.port = free_port()
        self.start()

    def start(self) -> None:
        """Start the server process, at the same port as before."""
        command = [sys.executable, str(_SCRIPT), str(self.port), str(self.effects), *self._files]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline(), "the server ended at once"

    @property
    def url(self) -> str:
        """Return the server's URL."""
        return f"{'wss' if self._files else 'ws'}://127.0.0.1:{self.port}"

    def kill(self) -> None:
        """Kill the server process at once."""
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def added(self) -> list[str]:
        """Return the ids that the server has recorded as effects."""
        return self.effects.read_text("utf-8").split() if self.effects.exists() else []


class Harness:
    """A factory of sync or async WebSocket connectors, with a manager that performs operations."""

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.loop = None if mode == "sync" else asyncio.new_event_loop()
        self.made: list[Any] = []
        service = Service("orders", retry=RetryPolicy(3, 0), circuit=None, timeout=30.0)
        self.manager: Any = (
            ConnectorManager([service]) if self.loop is None else AsyncConnectorManager([service])
        )

    def connector(self, url: str | Secret, **settings: Any) -> Any:
        """Return a new WebSocket connector of this mode."""
        kind: Any = WebSocketConnector if self.loop is None else AsyncWebSocketConnector
        connector = kind(url, **{"name": "orders", "reconnect": AT_ONCE, **settings})
        self.made.append(connector)
        return connector

    def finish(self, value: Any) -> Any:
        """Return the value; in the asynchronous mode, await it and return the result."""
        return value if self.loop is None else self.loop.run_until_complete(value)

    def perform(self, operation: Any, **options: Any) -> Any:
        """Perform an operation under the protections of the service."""
        return self.finish(self.manager.perform("orders", operation, **options))

    def request(self, connector: Any, method: str, **parameters: Any) -> Any:
        """Perform a safe request."""
        payload = {"method": method, "params": parameters}
        return self.perform(connector.request(payload, name=f"orders.{method}", safe=True))

    def change(self, connector: Any, method: str, *, options: Any = None, **parameters: Any) -> Any:
        """Perform a request that must not be repeated."""
        payload = {"method": method, "params": parameters}
        operation = connector.request(payload, name=f"orders.{method}")
        return self.perform(operation, **(options or {}))

    def subscribe(self, connector: Any, options: Any = None, **parameters: Any) -> Any:
        """Begin a subscription."""
        payload = {"method": "watch", "params": parameters}
        return self.perform(connector.subscribe(payload, name="orders.watch", **(options or {})))

    def session(self, connector: Any) -> Any:
        """Return the open connection of a connector."""
        opening = connector.connection.session(60.0)
        return connector.run(opening) if self.loop is None else self.finish(opening)

    def receive(self, subscription: Any, number: int) -> list[Any]:
        """Return the next messages of a subscription."""
        return [self.finish(subscription.receive(60.0)) for _ in range(number)]

    def close(self) -> None:
        """Close all connectors."""
        for connector in self.made:
            self.finish(connector.close())
        if self.loop is not None:
            for _ in range(10):  # aborted connections end in the next turns of the event loop
                self.loop.run_until_complete(asyncio.sleep(0))
            self.loop.close()
