"""An XML-RPC server with methods of Odoo's API, built on Python's standard library."""

from __future__ import annotations

import threading
from datetime import datetime
from typing import Any, Self
from xmlrpc.client import Fault
from xmlrpc.server import SimpleXMLRPCRequestHandler, SimpleXMLRPCServer

PASSWORD = "hunter2"
MOMENT = datetime.fromisoformat("2026-01-31T12:00:00")


class _Handler(SimpleXMLRPCRequestHandler):
    rpc_paths = ("/xmlrpc/2/object", "/xmlrpc/2/common", "/RPC2")


class XmlRpcServer:
    """An XML-RPC server on its own port that records received calls in `calls`."""

    def __init__(self) -> None:
        self._server = SimpleXMLRPCServer(
            ("127.0.0.1", 0),
            _Handler,
            logRequests=False,
            allow_none=True,
            use_builtin_types=True,
        )
        register: Any = self._server.register_function
        register(self.echo, "echo")
        register(self.fail, "fail")
        register(self.execute, "execute_kw")
        register(lambda: {"server_version": "17.0"}, "version")
        self._server.register_introspection_functions()
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self.calls: list[Any] = []

    @property
    def url(self) -> str:
        """Return the URL of the server."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def echo(self, *values: Any) -> list[Any]:
        """Record the arguments, and return them as a list."""
        self.calls.append(values)
        return list(values)

    def fail(self, code: Any, text: str) -> None:
        """Return an XML-RPC fault."""
        self.calls.append((code, text))
        raise Fault(code, text)

    def execute(
        self, database: str, user: int, password: str, model: str, method: str, *rest: Any
    ) -> Any:
        """Respond to a call of a model's method as Odoo does."""
        self.calls.append((database, user, model, method, *rest))
        if password != PASSWORD:
            raise Fault(3, "Access Denied")
        if method == "write":
            raise Fault(2, "The order is closed.")
        return [{"id": 7, "write_date": MOMENT, "image": b"\xff", "name": False}]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
