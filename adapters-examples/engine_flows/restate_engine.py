"""The flow in Restate: a workflow with a journalled action for each part.

uvicorn engine_flows.restate_engine:app
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, Final

import restate

from engine_flows.order_flow import Order, poll
from engine_flows.verdicts import AskPerson, WaitVerdict, flow_key, verdict
from moorage import ConnectorError

WAITING: Final = "waits_for"
"""The state with the decision that a workflow needs from an operator, and the reason."""

close = restate.Workflow("CloseOrder")


@close.main()
async def run(ctx: restate.WorkflowContext, order: list[str | None]) -> str:
    """Close an order; the workflow key replaces a missing order number."""
    number, amount, token = order
    named_order = Order(number or ctx.key(), str(amount), str(token))
    key = flow_key(number, host=ctx.key())
    await durable(ctx, "invoice", named_order, key)
    payment = await durable(ctx, "payment", named_order, key)
    return await durable(ctx, "booking", named_order, key, payment)


@close.handler()
async def decided(ctx: restate.WorkflowSharedContext, decision: str) -> None:
    """Continue after a person has settled an unknown outcome."""
    await ctx.promise(decision, type_hint=bool).resolve(True)


@close.handler()
async def waits_for(ctx: restate.WorkflowSharedContext) -> list[str] | None:
    """Return the decision for which the workflow waits, and the reason.

    None if the workflow does not wait.
    """
    return await ctx.get(WAITING, type_hint=list[str])


async def durable(
    ctx: restate.WorkflowContext, part: str, order: Order, key: str, payment: str = ""
) -> str:
    """Try one part of the flow until it is done, pausing as each failed try requires.

    The result of a try is journalled, also that of a failed one, so that Restate retries nothing.
    """

    async def attempt() -> dict[str, Any]:
        return await asyncio.to_thread(outcome, part, order, key, payment)

    tries = 0
    while True:
        tries += 1
        result = await ctx.run_typed(part, attempt)
        if "value" in result:
            return str(result["value"])
        if "refusal" in result:
            raise restate.TerminalError(result["refusal"])
        if "seconds" in result:
            await ctx.sleep(timedelta(seconds=result["seconds"]))
            continue
        decision = f"{part} {tries}"
        ctx.set(WAITING, [decision, result["person"]])
        await ctx.promise(decision, type_hint=bool).value()
        ctx.clear(WAITING)


def outcome(part: str, order: Order, key: str, payment: str) -> dict[str, Any]:
    """Try one part of the flow once.

    Return the part's result, or the pause or decision that it needs before the next try.
    """
    try:
        return {"value": poll(part, order, key, payment)}
    except ConnectorError as error:
        decision = verdict(error)
        if isinstance(decision, WaitVerdict):
            return {"seconds": decision.seconds}
        name = "person" if isinstance(decision, AskPerson) else "refusal"
        return {name: decision.reason}


app = restate.app([close], protocol="request_response")
