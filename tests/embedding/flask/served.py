"""A shop for gunicorn whose hub was used before the server forked its workers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from flask import Flask, request
from sqlalchemy import create_engine
from sqlalchemy.orm import scoped_session, sessionmaker

from moorage import Money
from moorage.adapters.http.stdlib.client import StdlibHttpClient
from moorage.contracts.payments import Charge
from moorage_flask import Moorage

if TYPE_CHECKING:
    from moorage import Request, Response, Timeouts
    from moorage.ports.http import Incoming

VENDOR: Final = os.environ["MOORAGE_TEST_VENDOR"]


class SingleAddressClient:
    """An HTTP client that sends the requests for every vendor to one local address."""

    def __init__(self) -> None:
        self._client = StdlibHttpClient()

    def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Send a request to the local address."""
        return self._client.send(request, _local_url(url), timeouts).evolve(url=url)

    def open(self, request: Request, url: str, timeouts: Timeouts, /) -> Incoming:
        """Send a request to the local address and stream the response."""
        return self._client.open(request, _local_url(url), timeouts)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def _local_url(url: str) -> str:
    return f"{VENDOR}/{url.split('/', 3)[3]}"


engine = create_engine(os.environ["MOORAGE_TEST_DATABASE"])
sessions = scoped_session(sessionmaker(engine))
moorage = Moorage()
app = Flask("served")
app.config["MOORAGE"] = {
    "CONFIGURATION": {
        "vendors": {
            "stripe": {
                "credentials": "secret://env/MOORAGE_TEST_KEY",
                "webhook_secrets": ["secret://env/MOORAGE_TEST_SECRET"],
            }
        }
    },
    "DATABASE": sessions,
    "STATE": os.environ.get("MOORAGE_TEST_STATE"),
    "PORTS": {"http": SingleAddressClient()},
}
moorage.init_app(app)


@app.post("/pay/<order>")
def pay(order: str) -> dict[str, str]:
    """Take the money for an order; return the payment and the id of the worker process."""
    amount = Money(request.form["amount"], "EUR")
    charge = Charge(amount, "pm_card_visa", reference=order)
    payment = moorage.hub.payments().charge(charge, idempotency_key=order)
    return {"payment": payment.ref.id, "worker": str(os.getpid())}


with app.app_context():
    pay_first = Charge(Money("1.00", "EUR"), "pm_card_visa", reference="first")
    moorage.hub.payments().charge(pay_first, idempotency_key="first")
