"""The order, charge and crash points common to all task queues' programs."""

import os
import urllib.parse
import urllib.request
from collections.abc import Callable

import psycopg

DATABASE = os.environ["CRASH_DATABASE"]
QUEUE = os.environ["CRASH_QUEUE"]


def stop_at(point: str) -> None:
    """Report this crash point and wait, if it is the chosen crash point."""
    if os.environ.get("CRASH_POINT") == point:
        del os.environ["CRASH_POINT"]
        channel = int(os.environ["CRASH_CHANNEL"])
        os.write(channel, b"!")
        os.read(channel, 1)


def charge() -> None:
    """Charge at the vendor over HTTP."""
    form = {"amount": 3000, "currency": "eur", "confirm": "true", "payment_method": "pm_card_visa"}
    form["payment_method_types[]"] = "card"
    request = urllib.request.Request(  # noqa: S310 - an HTTP URL that the harness chose
        os.environ["CRASH_VENDOR"] + "/v1/payment_intents",
        urllib.parse.urlencode(form).encode(),
        {"Authorization": "Bearer sk_test_sandbox", "Stripe-Version": "2025-09-30.clover"},
    )
    stop_at("claimed")
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - the same URL
        answer.read()
    stop_at("answered")


def order(enqueue: Callable[[], object]) -> None:
    """Store an order, and request its charge after the commit."""
    with psycopg.connect(DATABASE) as connection:
        connection.execute("INSERT INTO orders VALUES ('ORDER-2')")
        stop_at("before commit")
        connection.commit()
    stop_at("committed")
    enqueue()
