"""A WebSocket server program for tests; each request's method chooses the server's behaviour.

The server prints its port and speaks JSON-RPC 2.0. Its first argument is the port, or 0 for any.
The second is a file in which calls of `add` are recorded, so that a test sees what happened before
the server was killed. Further arguments are the files of a certificate and its key.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from contextlib import suppress
from http import HTTPStatus
from itertools import count
from pathlib import Path
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

TOKEN = "token-of-the-orders-4711"
_OPENINGS = count()


class OrdersServer:
    """A server with a handler `on_x` for each request method `x`."""

    def __init__(self, effects: Path) -> None:
        self._effects = effects

    async def serve(self, connection: ServerConnection) -> None:
        """Answer each request of a connection in a separate task."""
        tasks = []
        with suppress(ConnectionClosed):
            async for message in connection:
                request = json.loads(message)
                tasks.append(asyncio.create_task(self.answer(connection, request)))
        for task in tasks:
            task.cancel()

    async def answer(self, connection: ServerConnection, request: dict[str, Any]) -> None:
        """Call the handler for the request's method, or reply with an error."""
        parameters = request.get("params", {})
        method = getattr(self, f"on_{request['method']}", None)
        if method is None:
            problem = {"code": -32601, "message": "Method not found"}
            await self.reply(connection, request, error=problem)
            return
        with suppress(ConnectionClosed):
            await method(connection, request, parameters)

    async def reply(
        self, connection: ServerConnection, request: dict[str, Any], **members: Any
    ) -> None:
        """Send a response if the request has an id."""
        if "id" in request:
            await connection.send(json.dumps({"jsonrpc": "2.0", "id": request["id"], **members}))

    async def on_echo(self, connection: ServerConnection, request: Any, parameters: Any) -> None:
        """Reply with the request's parameters."""
        await self.reply(connection, request, result=parameters)

    async def on_header(self, connection: ServerConnection, request: Any, parameters: Any) -> None:
        """Reply with a header and the path of the opening handshake."""
        sent = connection.request
        assert sent is not None
        value = sent.headers.get(parameters["name"]), sent.path
        await self.reply(connection, request, result=value)

    async def on_add(self, connection: ServerConnection, request: Any, parameters: Any) -> None:
        """Record the request's id in the file of effects, and send no reply."""
        with self._effects.open("a") as file:
            file.write(f"{parameters['id']}\n")

    async def on_record(self, connection: ServerConnection, request: Any, parameters: Any) -> None:
        """Record the request's id in the file of effects, and reply."""
        await self.on_add(connection, request, parameters)
        await self.reply(connection, request, result="recorded")

    async def on_silent(self, connection: ServerConnection, request: Any, parameters: Any) -> None:
        """Never reply."""

    async def on_late(self, connection: ServerConnection, request: Any, parameters: Any) -> None:
        """Reply after the requested number of seconds."""
        await asyncio.sleep(parameters["seconds"])
        await self.reply(connection, request, result="late")

    async def on_garbage(self, connection: ServerConnection, request: Any, parameters: Any) -> None:
        """Send a message that is not valid JSON."""
        await connection.send("<html>")

    async def on_last(self, connection: ServerConnection, request: Any, parameters: Any) -> None:
        """Send a reply and then a message that is not valid JSON, in one network packet."""
        reply = {"jsonrpc": "2.0", "id": request["id"], "result": "last"}
        connection.protocol.send_text(json.dumps(reply).encode())
        connection.protocol.send_text(b"<html>")
        connection.transport.write(b"".join(connection.protocol.data_to_send()))

    async def on_frame(self, connection: ServerConnection, request: Any, parameters: Any) -> None:
        """Send bytes that are not a WebSocket frame."""
        connection.transport.write(b"\xff" * 50)

    async def on_huge(self, connection: ServerConnection, request: Any, parameters: Any) -> None:
        """Send the header of a message of one gigabyte."""
        connection.transport.write(b"\x82\x7f" + (2**30).to_bytes(8, "big") + b"x" * 1000)

    async def on_close(self, connection: ServerConnection, request: Any, parameters: Any) -> None:
        """Close the connection with the requested code."""
        await connection.close(parameters["code"], parameters.get("reason", ""))

    async def on_abort(self, connection: ServerConnection, request: Any, parameters: Any) -> None:
        """Abort the connection without a close frame."""
        connection.transport.abort()

    async def on_freeze(self, connection: ServerConnection, request: Any, parameters: Any) -> None:
        """Stop reading, so that the server answers neither requests nor pings."""
        connection.transport.pause_reading()

    async def on_watch(self, connection: ServerConnection, request: Any, parameters: Any) -> None:
        """Send the numbers after a position; abort the connection after `cut_after` numbers."""
        await self.reply(connection, request, result="ok")
        begin = int(parameters.get("mark", 0)) + 1
        for number in range(begin, parameters["until"] + 1):
            fields = {"subscription": parameters["subscription"], "result": number}
            if parameters.get("marks", True):
                fields["mark"] = str(number)
            fields["padding"] = "x" * parameters.get("padding", 0)
            notification = {"jsonrpc": "2.0", "method": "number", "params": fields}
            await connection.send(json.dumps(notification))
            if number - begin + 1 == parameters.get("cut_after"):
                await asyncio.sleep(0.05)
                connection.transport.abort()
                return

    async def on_count(self, connection: ServerConnection, request: Any, parameters: Any) -> None:
        """Reply with the number of open connections."""
        await self.reply(connection, request, result=len(connection.server.connections))


def check_request(connection: ServerConnection, request: Any) -> Any:
    """Reply to `/status/N` with status N; refuse a wrong token for `/secret`.

    Of three connections for `/busy`, the second one is refused.
    """
    if request.path.startswith("/status/"):
        status = int(request.path.rpartition("/")[2])
        response = connection.respond(HTTPStatus(status), "no")
        response.headers["Retry-After"] = "7"
        response.headers["Location"] = "/"
        return response
    if request.path == "/busy" and next(_OPENINGS) % 3 == 1:
        return connection.respond(HTTPStatus.TOO_MANY_REQUESTS, "no")
    if request.path == "/secret" and request.headers.get("Authorization") != f"Bearer {TOKEN}":
        return connection.respond(HTTPStatus.UNAUTHORIZED, "no")
    return None


async def main() -> None:
    """Serve until the process is killed."""
    port, effects, *files = sys.argv[1:]
    context = None
    if files:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*files)
    orders = OrdersServer(Path(effects))
    server = await serve(
        orders.serve, "127.0.0.1", int(port), process_request=check_request, ssl=context
    )
    async with server:
        print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - for the test
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
