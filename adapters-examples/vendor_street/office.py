"""The control pages, where people make vendors fail, and the bank's page for buyers."""

from __future__ import annotations

import threading
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from vendor_street.street import VendorSandboxes

STYLE: Final = Path(__file__).parents[1] / "erp_pages" / "static" / "erp.css"
_TROUBLES: Final = {
    "lose": "Lose the next answer",
    "slow": "Answer the next slowly",
    "busy": "Be busy (429)",
    "down": "Be down (503)",
    "well": "Be well",
}
_PAGE: Final = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>$title</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="/erp.css"><link rel="icon" href="data:,"></head>
<body><a class="skip" href="#main">Skip to the content</a>
<header class="top"><p class="brand">$title</p></header>
<main id="main">$main</main></body></html>
""")


class PageServer:
    """A server for the control pages.

    Attributes:
        url: where it is, without a slash at the end.
    """

    def __init__(self, street: VendorSandboxes) -> None:
        handler = type("Handler", (_Handler,), {"street": street})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    street: VendorSandboxes

    def do_GET(self) -> None:
        parts = self.path.partition("?")[0].strip("/").split("/")
        if parts == ["erp.css"]:
            self._send(200, STYLE.read_bytes(), "text/css; charset=utf-8")
        elif parts == [""]:
            self._show("The vendors", _vendors(self.street))
        elif parts[0] == "bank" and len(parts) == 3:
            self._show("Your bank", _bank("take the payment", parts[2]))
        elif parts[0] == "account" and len(parts) == 3:
            self._show("Your bank", _bank("read your account by the consent", parts[2]))
        else:
            self._show("Nothing here", "<h1>There is no such page</h1>", 404)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        parts = self.path.strip("/").split("/")
        if parts[0] == "bank" and len(parts) == 3:
            success = form.get("answer") == "confirm"
            self._lead(self.street.confirm(parts[1], parts[2], success=success))
        elif parts[0] == "account" and len(parts) == 3:
            self._lead(self.street.agree(parts[2], agrees=form.get("answer") == "confirm"))
        elif parts[0] == "order":
            self.street.order()
            self._lead("/")
        elif parts[0] == "sign":
            self.street.sign(form["contract"], agrees=form.get("answer") == "sign")
            self._lead("/")
        else:
            self.street.doors[form["vendor"]].trouble(form["how"])
            self._lead("/")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
        """Log nothing."""

    def _show(self, title: str, main: str, status: int = 200) -> None:
        page = _PAGE.substitute(title=title, main=main)
        self._send(status, page.encode(), "text/html; charset=utf-8")

    def _lead(self, where: str) -> None:
        self.send_response(303)
        self.send_header("Location", where)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _bank(purpose: str, id_: str) -> str:
    title = "Confirm the payment" if "payment" in purpose else "Confirm the access"
    return (
        f"<h1>{title}</h1>"
        f"<p>A business wants to {purpose} <code>{escape(id_)}</code>.</p>"
        "<form method=post class=actions>"
        "<button name=answer value=confirm>Confirm</button>"
        "<button name=answer value=refuse class=quiet>Refuse</button></form>"
    )


def _people(street: VendorSandboxes) -> str:
    contracts = "".join(
        f"<form method=post action=/sign class=actions>"
        f"<input type=hidden name=contract value={envelope.id}>"
        f"<span>{escape(envelope.persons[0].name)} has a contract to sign.</span>"
        "<button name=answer value=sign class=quiet>Sign</button>"
        "<button name=answer value=decline class=quiet>Decline</button></form>"
        for envelope in street.docusign.envelopes.values()
        if envelope.is_open
    )
    return (
        "<section class=card><h2>People</h2><form method=post action=/order class=actions>"
        f"<button class=quiet>Order in the shop</button></form>{contracts}</section>"
    )


def _vendors(street: VendorSandboxes) -> str:
    doors = "".join(
        f"<section class=card><h2>{name}</h2>"
        f"<p>It is {door.mood}, and was asked {len(door.sandbox.requests)} times.</p>"
        "<form method=post class=actions>"
        f"<input type=hidden name=vendor value={name}>"
        + "".join(
            f"<button name=how value={mood} class=quiet>{escape(label)}</button>"
            for mood, label in _TROUBLES.items()
        )
        + "</form></section>"
        for name, door in street.doors.items()
    )
    return f"<h1>The vendors of this street</h1>{doors}{_people(street)}"
