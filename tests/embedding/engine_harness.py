"""An ERP for tests of workflow engines: its vendor, its books (the accounting) and its hub."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import attrs
from engine_flows import order_flow

from moorage import Step
from moorage.domain.http.headers import Headers
from moorage.testing.sandboxes.base import SandboxHttpClient, reply
from moorage.testing.sandboxes.payments.stripe import StripeSandbox

if TYPE_CHECKING:
    from pathlib import Path

    from moorage import Request, Response

ORDER = ("INV-1", "149.90", "tok_visa")
DECLINED = ("INV-2", "9.90", "tok_visa_chargeDeclined")


class SentRequest(NamedTuple):
    """A request that the vendor received."""

    method: str
    path: str
    key: str | None
    body: Any


class Recorder(SandboxHttpClient):
    """An HTTP client that records the requests of an ERP's flow."""

    def __init__(self, stripe: StripeSandbox) -> None:
        super().__init__(stripe)
        self.sent: list[SentRequest] = []

    def send(self, request: Request, url: str, timeouts: Any, /) -> Response:
        """Record a request, and send it to the sandbox."""
        key = request.headers.get("Idempotency-Key")
        self.sent.append(SentRequest(request.method.value, urlsplit(url).path, key, request.body))
        return super().send(request, url, timeouts)


class Erp:
    """The ERP of one test: its vendor, its books and its hub.

    Attributes:
        stripe: the sandbox of the payment vendor.
        http: the HTTP client, which remembers the requests to the vendor.
    """

    def __init__(self, folder: Path, *, keyless: bool = False) -> None:
        folder.mkdir()
        self._books = folder / "books.db"
        self.stripe = StripeSandbox()
        self.http = Recorder(self.stripe)
        account: dict[str, Any] = {"credentials": self.stripe.api_key, "retry": {"max_attempts": 1}}
        if keyless:
            account["idempotency_header"] = None
        configuration = {
            "state": {"url": f"sqlite:///{folder}/state.db"},
            "payments": {"vendor": "stripe"},
            "vendors": {"stripe": account},
            "platforms": {"here": {"kind": "local", "folder": f"{folder}/runs"}},
            "steps": {"invoice": {"command": ["sh", "-c", "echo invoice $NUMBER"]}},
            "connectors": {
                "books": {
                    "kind": "sql",
                    "dialect": "sqlite",
                    "database": str(self._books),
                    "statements": {
                        "add": "INSERT INTO books (number, payment) VALUES (:number, :payment)"
                    },
                }
            },
        }
        with closing(sqlite3.connect(self._books)) as books:
            books.execute("CREATE TABLE books (number varchar(40), payment varchar(200))")
        self._options = {"source": configuration, "http": self.http}
        self.use()

    def use(self) -> None:
        """Make the flow use this ERP from now on."""
        order_flow.hub.cache_clear()
        order_flow.ports.update(self._options)

    def hold(self, number: str) -> Path:
        """Make the step of an order wait until a file exists, and return the file's path."""
        go_path = self._books.with_name("go")
        wait = f'while [ "$NUMBER" = {number} ] && [ ! -e {go_path} ]; do sleep 0.05; done'
        order_flow.hub().steps.define(Step("invoice", ["sh", "-c", f"{wait}; echo $NUMBER"]))
        return go_path

    def book_rows(self) -> list[tuple[str, str]]:
        """Return the rows of the ERP's books."""
        with closing(sqlite3.connect(self._books)) as books:
            return books.execute("SELECT number, payment FROM books").fetchall()

    def settle(self) -> None:
        """Settle the payment with an unknown outcome as done, as an operator would."""
        order_flow.hub().close_payment("order INV-1/payment", done=True)

    def close(self) -> None:
        """Close the hub that belongs to this test."""
        order_flow.hub().close()
        order_flow.hub.cache_clear()
        order_flow.ports.clear()


def busy(erp: Erp) -> None:
    """Make the vendor refuse the next request with 429 and a Retry-After of one second."""
    body = {"error": {"type": "api_error", "message": "busy"}}
    erp.stripe.fail(attrs.evolve(reply(body, status=429), headers=Headers({"Retry-After": "1"})))
