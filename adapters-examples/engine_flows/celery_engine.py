"""The flow in Celery: one task that Celery redelivers until it has ended.

celery --app engine_flows.celery_engine worker
"""

from __future__ import annotations

import os
from typing import Any

from celery import Celery

from engine_flows.order_flow import Order, close_order, poll
from engine_flows.verdicts import WaitVerdict, flow_key, verdict
from moorage import ConnectorError, StepRunning

app = Celery("erp", broker=os.environ.get("BROKER_URL", "memory://"))


@app.task(bind=True, acks_late=True, reject_on_worker_lost=True, max_retries=20)
def close(self: Any, number: str | None, amount: str, token: str) -> str:
    """Close an order.

    Retries and repeated deliveries keep the id of the first task, so this id replaces a missing
    order number. After an unknown outcome the task fails; when a person has settled the payment, a
    new task for the same order goes on.
    """
    order = Order(number or self.request.id, amount, token)
    try:
        return close_order(order, flow_key(number, host=self.request.id), poll)
    except ConnectorError as error:
        decision = verdict(error)
        if not isinstance(decision, WaitVerdict):
            raise
        # A step that is still running is not a failure, however often the task checks it.
        tries = self.request.retries + 1 if isinstance(error, StepRunning) else None
        raise self.retry(countdown=decision.seconds, max_retries=tries) from None
