"""The page on which a person causes faults at the local vendors, and the bank's page for buyers."""

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

    from local_vendors.sandboxes import VendorSandboxes

STYLE: Final = Path(__file__).parents[1] / "erp_pages" / "static" / "erp.css"
_FAULTS: Final = {
    "lose": "Lose the next response",
    "slow": "Delay the next response",
    "busy": "Refuse (429)",
    "down": "Fail (503)",
    "none": "Work normally",
}
_STATES: Final = {
    "none": ("paid", "working"),
    "busy": ("waiting", "busy: HTTP 429"),
    "down": ("failed", "down: HTTP 503"),
}
"""The class and the text of a vendor's tag, by its fault."""
_PAGE: Final = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>$title</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="/erp.css"><link rel="icon" href="data:,"></head>
<body><a class="skip" href="#main">Skip to the content</a>
<header class="top"><p class="brand">$title</p></header>
<main id="main">$main</main></body></html>
""")


class PageServer:
    """A server for the control page and the pages of the bank.

    Attributes:
        url: its address, without a slash at the end.
    """

    def __init__(self, vendors: VendorSandboxes) -> None:
        handler = type("Handler", (_Handler,), {"vendors": vendors})
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
    vendors: VendorSandboxes

    def do_GET(self) -> None:
        parts = self.path.partition("?")[0].strip("/").split("/")
        if parts == ["erp.css"]:
            self._send(200, STYLE.read_bytes(), "text/css; charset=utf-8")
        elif parts == [""]:
            self._show("Local vendors", _vendors_page(self.vendors))
        elif parts[0] == "bank" and len(parts) == 3:
            self._show("Your bank", _bank("take the payment", parts[2]))
        elif parts[0] == "account" and len(parts) == 3:
            self._show("Your bank", _bank("read your account by the consent", parts[2]))
        else:
            self._show("Page not found", "<h1>There is no such page.</h1>", 404)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        parts = self.path.strip("/").split("/")
        if parts[0] == "bank" and len(parts) == 3:
            success = form.get("answer") == "confirm"
            self._redirect(self.vendors.confirm(parts[1], parts[2], success=success))
        elif parts[0] == "account" and len(parts) == 3:
            self._redirect(self.vendors.agree(parts[2], agrees=form.get("answer") == "confirm"))
        elif parts[0] == "order":
            self.vendors.order()
            self._redirect("/")
        elif parts[0] == "sign":
            self.vendors.sign(form["contract"], agrees=form.get("answer") == "sign")
            self._redirect("/")
        else:
            self.vendors.behaviours[form["vendor"]].set_fault(form["fault"])
            self._redirect("/")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
        """Log nothing."""

    def _show(self, title: str, main: str, status: int = 200) -> None:
        page = _PAGE.substitute(title=title, main=main)
        self._send(status, page.encode(), "text/html; charset=utf-8")

    def _redirect(self, url: str) -> None:
        self.send_response(303)
        self.send_header("Location", url)
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


def _vendors_page(vendors: VendorSandboxes) -> str:
    return (
        "<h1>Local vendors</h1><p>Cause a fault here, then use the ERP and see what it does.</p>"
        + _faults(vendors)
        + _people(vendors)
    )


def _faults(vendors: VendorSandboxes) -> str:
    rows = "".join(
        f'<li><strong class=grow>{name}</strong><span class="tag {style}">{state}</span>'
        f"<span class=faint>{_in_words(len(behaviour.sandbox.requests), 'request')}</span>"
        "<form method=post class=actions>"
        f"<input type=hidden name=vendor value={name}>"
        + "".join(
            f'<button name=fault value={fault} class="quiet small">{escape(label)}</button>'
            for fault, label in _FAULTS.items()
        )
        + "</form></li>"
        for name, behaviour in vendors.behaviours.items()
        for style, state in [_STATES[behaviour.fault]]
    )
    return f'<ul class="rows card">{rows}</ul>'


def _people(vendors: VendorSandboxes) -> str:
    contracts = "".join(
        "<form method=post action=/sign class=actions>"
        f"<input type=hidden name=contract value={envelope.id}>"
        f"<span>{escape(envelope.persons[0].name)} has a contract to sign.</span>"
        "<button name=answer value=sign class=quiet>Sign</button>"
        "<button name=answer value=decline class=quiet>Decline</button></form>"
        for envelope in vendors.docusign.envelopes.values()
        if envelope.is_open
    )
    return (
        "<section class=card><h2>Customers</h2><form method=post action=/order class=actions>"
        f"<button class=quiet>Place an order in the shop</button></form>{contracts}</section>"
    )


def _in_words(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
