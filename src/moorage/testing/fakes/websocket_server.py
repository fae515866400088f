"""A local WebSocket server, for tests of programs that use the WebSocket connector."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING, Any, Self

from moorage.domain.values.installation import optional_module

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from websockets.sync.server import Server, ServerConnection


class WebSocketServer:
    """A WebSocket server in a background thread; a function replies to its messages.

    Args:
        reply: returns the message to send back, several of them, or None for none.
        subprotocols: the names of subprotocols that it accepts.

    Attributes:
        received: the messages that arrived, in order.
    """

    def __init__(
        self,
        reply: Callable[[str], str | Iterable[str] | None],
        *,
        subprotocols: Sequence[str] = (),
    ) -> None:
        self._reply = reply
        self._subprotocols = list(subprotocols) or None
        self._connections: set[ServerConnection] = set()
        self._server: Server | None = None
        self._port = 0
        self.received: list[str] = []

    @property
    def url(self) -> str:
        """The URL of the server, which stays the same after a restart."""
        return f"ws://127.0.0.1:{self._port}"

    def start(self) -> Self:
        """Start the WebSocket server, and return it."""
        self._server = server = _library("sync.server").serve(
            self._serve,
            "127.0.0.1",
            self._port,
            subprotocols=self._subprotocols,
        )
        self._port = server.socket.getsockname()[1]
        Thread(target=server.serve_forever, name="moorage-websocket-server", daemon=True).start()
        return self

    def push(self, message: str) -> None:
        """Send a message to every client."""
        for connection in list(self._connections):
            with suppress(optional_module("websockets.exceptions", "websocket").ConnectionClosed):
                connection.send(message)

    def drop(self, code: int = 1001) -> None:
        """Close all connections with a code; clients may connect again."""
        for connection in list(self._connections):
            connection.close(code)

    def stop(self) -> None:
        """Accept no more connections, and close the open ones."""
        if self._server is not None:
            self._server.shutdown()
        self.drop()

    def _serve(self, connection: ServerConnection) -> None:
        self._connections.add(connection)
        try:
            with suppress(_library("exceptions").ConnectionClosed):
                for message in connection:
                    text = message if isinstance(message, str) else message.decode()
                    self.received.append(text)
                    self._answer(connection, text)
        finally:
            self._connections.discard(connection)

    def _answer(self, connection: ServerConnection, message: str) -> None:
        reply = self._reply(message)
        if isinstance(reply, str):
            connection.send(reply)
        elif isinstance(reply, Iterable):
            for item in reply:
                connection.send(item)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def _library(module: str) -> Any:
    return optional_module(f"websockets.{module}", "websockets")
