"""The flow in Temporal: a workflow with an activity for each part."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from temporalio import activity, workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from engine_flows.order_flow import Order, poll
    from engine_flows.verdicts import AskPerson, WaitVerdict, flow_key, verdict
    from moorage import ConnectorError

UNKNOWN: Final = "OutcomeUnknown"


@activity.defn
def attempt(part: str, order: list[str], key: str, payment: str) -> str:
    """Perform a part; Temporal retries only temporary errors."""
    try:
        return poll(part, Order(*order), key, payment)
    except ConnectorError as error:
        decision = verdict(error)
        if isinstance(decision, WaitVerdict):
            delay = timedelta(seconds=decision.seconds)
            raise ApplicationError(str(error), next_retry_delay=delay) from None
        kind = UNKNOWN if isinstance(decision, AskPerson) else type(error).__name__
        raise ApplicationError(decision.reason, type=kind, non_retryable=True) from None


@workflow.defn
class CloseOrder:
    """Closes an order; after an unknown outcome it waits for a person."""

    def __init__(self) -> None:
        self._waits_for = ""

    @workflow.run
    async def run(self, number: str | None, amount: str, token: str) -> str:
        """Perform all parts of the flow; the workflow id replaces a missing order number."""
        id = workflow.info().workflow_id
        key, order = flow_key(number, host=id), [number or id, amount, token]
        await self._durable("invoice", order, key, "")
        payment = await self._durable("payment", order, key, "")
        return await self._durable("booking", order, key, payment)

    @workflow.signal
    def decided(self) -> None:
        """Continue after a person has settled an unknown outcome."""
        self._waits_for = ""

    @workflow.query
    def waits_for(self) -> str:
        """Return the reason why the workflow waits for an operator.

        Empty if the workflow does not wait.
        """
        return self._waits_for

    async def _durable(self, part: str, order: list[str], key: str, payment: str) -> str:
        while True:
            try:
                return await workflow.execute_activity(
                    attempt,
                    args=[part, order, key, payment],
                    start_to_close_timeout=timedelta(minutes=10),
                    schedule_to_close_timeout=timedelta(days=1),
                    # The activity says which errors are final, and when to try again after others.
                    retry_policy=RetryPolicy(maximum_attempts=0),
                )
            except ActivityError as error:
                cause = error.cause
                if not isinstance(cause, ApplicationError) or cause.type != UNKNOWN:
                    raise
                self._waits_for = cause.message
                await workflow.wait_condition(lambda: not self._waits_for)
