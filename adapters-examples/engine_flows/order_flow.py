"""The example flow: print an order's invoice, take its payment, and book it.

Every part has an idempotency key that is derived from the order. So an engine may repeat a part
after any crash, and each part takes effect once.
"""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import attrs

import moorage
from moorage import Money
from moorage.contracts.payments import Charge

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE: Final = 2.0
"""The seconds for which an engine's worker follows a step."""

ports: dict[str, Any] = {}
"""The ports that a test passes; empty in production."""


@cache
def hub() -> moorage.Hub:
    """Return this process's hub, opened at its first use."""
    return moorage.open(**{"source": os.environ.get("MOORAGE_CONFIG", "moorage.toml"), **ports})


@attrs.frozen
class Order:
    """An order to close."""

    number: str
    amount: str
    token: str


class StepFailedError(Exception):
    """Raised if the program for printing an invoice fails."""


def poll(part: str, order: Order, key: str, payment: str = "") -> str:
    """Perform one part of the flow.

    Wait at most a few seconds for a running step, so that the worker is free for other work.

    Raises:
        StepRunning: the step is still running; the same call finds it again.
    """
    return perform(part, order, key, payment, patience=PATIENCE)


def perform(
    part: str, order: Order, key: str, payment: str = "", *, patience: float | None = None
) -> str:
    """Perform one part of the flow under its own idempotency key, and return the result."""
    part_key = f"{key}/{part}"
    if part == "invoice":
        result = hub().steps.run(
            "invoice",
            environment={"NUMBER": order.number},
            idempotency_key=part_key,
            patience=patience,
        )
        if not result.is_success:
            raise StepFailedError(f"The invoice {order.number} ended with {result.exit_code}.")
        return result.stdout.strip()
    if part == "payment":
        charge = Charge(Money(order.amount, "EUR"), order.token, reference=order.number)
        return str(hub().payments().charge(charge, idempotency_key=part_key).ref)
    row = {"number": order.number, "payment": payment}
    hub().connectors.run("books", "add", row, idempotency_key=part_key)
    return payment


def close_order(order: Order, key: str, run: Callable[..., str] = perform) -> str:
    """Perform all parts of the flow through `run`, and return the payment's reference."""
    run("invoice", order, key)
    payment = run("payment", order, key)
    return run("booking", order, key, payment)
