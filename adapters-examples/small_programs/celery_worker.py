"""A Celery worker that charges each payment once, however often its task runs.

celery --app celery_worker worker
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from functools import cache
from typing import Any

from celery import Celery

import moorage
from moorage import ConnectorError, Money
from moorage.contracts.payments import Charge

app = Celery("shop", broker=os.environ.get("BROKER_URL", "memory://"))
ports: dict[str, Any] = {}
"""The ports that a test passes; empty in production."""


@cache
def hub() -> moorage.Hub:
    """Return this process's hub, opened at its first use after Celery has forked."""
    return moorage.open(os.environ.get("MOORAGE_CONFIG", "moorage.toml"), **ports)


@app.task(bind=True, acks_late=True, reject_on_worker_lost=True, max_retries=20)
def pay(self: Any, number: str, amount: str, token: str) -> str:
    """Take an order's payment, and return its reference.

    The key names the order, so a repeated task makes the same payment. Celery also repeats a task
    whose worker process was killed, because of `reject_on_worker_lost`. moorage has already made
    all useful retries before an error arrives here, so Celery only waits until another try may
    help. `settle_unknown`, and then a person, settles an unknown outcome.
    """
    charge = Charge(Money(amount, "EUR"), token, reference=number)
    try:
        payment = hub().payments().charge(charge, idempotency_key=f"pay {number}")
    except ConnectorError as error:
        if not error.retryable:
            raise
        raise self.retry(countdown=delay_of(error)) from None
    return str(payment.ref)


@app.task
def settle_unknown() -> int:
    """Look up payments with an unknown outcome at the vendors; return how many were settled.

    Celery's beat runs it every minute.
    """
    return len(hub().settle_payments(limit=50))


app.conf.beat_schedule = {"settle": {"task": settle_unknown.name, "schedule": 60.0}}


def delay_of(error: ConnectorError) -> float:
    """Return the number of seconds to wait before the next try."""
    if error.retry_at is None:
        return 60.0
    return max(1.0, (error.retry_at - datetime.now(UTC)).total_seconds())
