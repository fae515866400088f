"""A SOAP server made with spyne, without zeep, in its own process."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import warnings
from decimal import Decimal as Number
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

warnings.simplefilter("ignore")
# spyne's own copy of six is too old for Python 3.12.
for _name in ("", ".collections_abc", ".urllib", ".urllib.parse", ".urllib.request",
              ".urllib.error", ".http_cookies", ".queue", ".builtins"):  # fmt: skip
    sys.modules[f"spyne.util.six.moves{_name}"] = importlib.import_module(f"six.moves{_name}")

spyne: Any = importlib.import_module("spyne")
soap: Any = importlib.import_module("spyne.protocol.soap")
wsgi: Any = importlib.import_module("spyne.server.wsgi")


class Line(spyne.ComplexModel):  # type: ignore[misc]  # spyne has no types
    """A line of an invoice, as a SOAP type."""

    __namespace__ = "urn:spyne"
    article = spyne.Unicode(min_occurs=1, nillable=False)
    pieces = spyne.Integer(min_occurs=1)
    price = spyne.Decimal
    at = spyne.DateTime


class Invoices(spyne.Service):  # type: ignore[misc]  # spyne has no types
    """The SOAP operations of the test server."""

    @spyne.rpc(spyne.Array(Line), _returns=spyne.Decimal)  # type: ignore[untyped-decorator]  # spyne has no types
    def total(ctx: Any, lines: Any) -> Any:  # noqa: N805 - spyne has no self
        """Return the sum of the invoice lines."""
        return sum((line.pieces * line.price for line in lines), Number(0))

    @spyne.rpc(Line, _returns=Line)  # type: ignore[untyped-decorator]  # spyne has no types
    def echo(ctx: Any, line: Any) -> Any:  # noqa: N805 - spyne has no self
        """Return the invoice line unchanged."""
        return line

    @spyne.rpc(spyne.Unicode)  # type: ignore[untyped-decorator]  # spyne has no types
    def fail(ctx: Any, code: Any) -> Any:  # noqa: N805 - spyne has no self
        """Return a SOAP fault."""
        raise spyne.Fault(code, "The reason.", detail={"order": "7"})

    @spyne.rpc(spyne.Unicode)  # type: ignore[untyped-decorator]  # spyne has no types
    def die(ctx: Any, code: Any) -> Any:  # noqa: N805 - spyne has no self
        """Kill this process during the call."""
        os.kill(os.getpid(), signal.SIGKILL)


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - Python names it so
        """Log nothing."""


def main() -> None:
    """Print the port of the second argument, and serve there until the process is killed."""
    protocol = soap.Soap12 if sys.argv[1] == "1.2" else soap.Soap11
    application = spyne.Application(
        [Invoices], "urn:spyne", in_protocol=protocol(validator="lxml"), out_protocol=protocol()
    )
    port, web_application = int(sys.argv[2]), wsgi.WsgiApplication(application)
    server = make_server("127.0.0.1", port, web_application, handler_class=_Handler)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
