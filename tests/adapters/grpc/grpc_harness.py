"""Test helper: a gRPC server in a separate process, and connectors of sync and async mode."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from moorage import AsyncConnectorManager, ConnectorManager, RetryPolicy, Service
from moorage.adapters.grpc.connector_async import AsyncGrpcConnector
from moorage.adapters.grpc.connector_sync import GrpcConnector
from moorage.adapters.grpc.methods import GrpcMethod
from tests.support.ports import free_port

SCRIPT = Path(__file__).with_name("harness_server.py")


def method(name: str, /, **facts: Any) -> GrpcMethod[Any, Any]:
    """Return a method of the test server by name."""
    return GrpcMethod(
        path=f"/harness.Harness/{name}",
        serialize=lambda request: json.dumps(request).encode(),
        deserialize=json.loads,
        **facts,
    )


SERVICE = Service("harness", timeout=20.0, retry=RetryPolicy(max_attempts=1), circuit=None)
ECHO = method("Echo")
READ = method("Echo", safe=True, name="Harness.Read")
COUNT = method("Count", safe=True, streams_answers=True)
COLLECT = method("Collect", streams_requests=True)
CHAT = method("Chat", streams_requests=True, streams_answers=True)


class HarnessServer:
    """A gRPC server that runs in a separate process.

    No other program gets the server's port after its end, so that it can be started there again.
    """

    def __init__(
        self, folder: Path | None = None, *, port: int | None = None, **environment: str
    ) -> None:
        self.port = free_port() if port is None else port
        command = [sys.executable, str(SCRIPT), str(self.port)]
        self.process = subprocess.Popen(
            [*command, *([] if folder is None else [str(folder)])],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline(), "the server ended at once"

    @property
    def address(self) -> str:
        """Return the server's address for connectors."""
        return f"127.0.0.1:{self.port}"

    def kill(self) -> None:
        """Kill the server process at once."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


class Harness:
    """A gRPC connector and its manager in sync or async mode; tests call both synchronously."""

    def __init__(
        self,
        mode: str,
        address: str,
        *,
        service: Service | None = None,
        **settings: Any,
    ) -> None:
        self.is_async = mode == "async"
        settings = {"plaintext": True, "name": "harness", **settings}
        self.connector: Any
        if self.is_async:
            self.connector = AsyncGrpcConnector(address, **settings)
            self.loop = asyncio.new_event_loop()
        else:
            self.connector = GrpcConnector(address, **settings)
        self.protect(service or SERVICE)

    def protect(self, service: Service) -> None:
        """Configure the manager with the protections of this service."""
        kind: Any = AsyncConnectorManager if self.is_async else ConnectorManager
        self.manager: Any = kind([service])

    def run(self, value: Any) -> Any:
        """Return a value; if it is a coroutine, run it and return its result."""
        return self.loop.run_until_complete(value) if self.is_async else value

    def perform(self, operation: Any, **options: Any) -> Any:
        """Perform an operation through the manager."""
        return self.run(self.manager.perform("harness", operation, **options))

    def call(self, called: Any = ECHO, /, **request: Any) -> Any:
        """Call a method of the test server that returns one answer, with default options."""
        return self.perform(self.connector.call(called, request))

    def answers(self, stream: Any) -> list[Any]:
        """Read all answers of a stream."""

        async def read() -> list[Any]:
            async with stream:
                return [answer async for answer in stream]

        if self.is_async:
            return self.loop.run_until_complete(read())
        with stream:
            return list(stream)

    def close(self) -> None:
        """Close the connector, its manager and the event loop."""
        self.run(self.connector.close())
        self.run(self.manager.close())
        if self.is_async:
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.close()
