"""The flow in DBOS: a workflow in PostgreSQL, with a step for each part."""

from __future__ import annotations

from typing import Any, Final

import attrs
from dbos import DBOS

from engine_flows.order_flow import Order, close_order, poll
from engine_flows.verdicts import AskPerson, GiveUp, WaitVerdict, flow_key, verdict
from moorage import ConnectorError

WAITING: Final = "waits_for"
"""The event with the reason why a workflow waits for an operator."""
DECIDED: Final = "decided"
"""The topic of the message with which an operator continues the workflow."""
_MONTH: Final = 30 * 86_400.0


@DBOS.step()
def attempt(part: str, order: list[str], key: str, payment: str) -> dict[str, Any]:
    """Try one part of the flow once.

    Return the part's result, or the step that must happen before the next try.

    The decision is a result of the step, so that a recovered workflow decides the same.
    """
    try:
        return {"value": poll(part, Order(*order), key, payment)}
    except ConnectorError as error:
        match verdict(error):
            case WaitVerdict(seconds):
                return {"seconds": seconds}
            case AskPerson(reason):
                return {"person": reason}
            case GiveUp():
                raise


def durable(part: str, order: Order, key: str, payment: str = "") -> str:
    """Try one part of the flow until it is done, pausing as each failed try requires."""
    while True:
        outcome = attempt(part, list(attrs.astuple(order)), key, payment)
        if "value" in outcome:
            return str(outcome["value"])
        if "seconds" in outcome:
            DBOS.sleep(outcome["seconds"])
        else:
            DBOS.set_event(WAITING, outcome["person"])
            DBOS.recv(DECIDED, timeout_seconds=_MONTH)


@DBOS.workflow()
def close(number: str | None, amount: str, token: str) -> str:
    """Close an order; the workflow id replaces a missing order number."""
    id = DBOS.workflow_id
    return close_order(Order(number or str(id), amount, token), flow_key(number, host=id), durable)
