"""The flow in procrastinate: one job in PostgreSQL.

procrastinate --app engine_flows.procrastinate_engine.app worker
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from procrastinate import App, BaseRetryStrategy, JobContext, PsycopgConnector, RetryDecision

from engine_flows.order_flow import Order, close_order, poll
from engine_flows.verdicts import WaitVerdict, flow_key, verdict
from moorage import ConnectorError, StepRunning

if TYPE_CHECKING:
    from procrastinate.jobs import Job

_MOST_ATTEMPTS = 20

app = App(connector=PsycopgConnector(conninfo=os.environ.get("DATABASE_URL", "")))


class RetryAtStrategy(BaseRetryStrategy):
    """Retries a job only after an error of moorage that a retry may cure.

    A job with an unknown outcome fails. After a person has settled the payment, start the failed
    job again with `procrastinate`; it keeps its id.
    """

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        """Return the time of the next try; None if the job has failed finally."""
        if not isinstance(exception, ConnectorError):
            return None
        # A step that is still running is not a failure, however often the job checks it.
        if job.attempts >= _MOST_ATTEMPTS and not isinstance(exception, StepRunning):
            return None
        decision = verdict(exception)
        if not isinstance(decision, WaitVerdict):
            return None
        return RetryDecision(retry_in={"seconds": int(decision.seconds + 0.999)})


@app.task(name="close", retry=RetryAtStrategy(), pass_context=True)
def close(context: JobContext, number: str | None, amount: str, token: str) -> str:
    """Close an order; the job id replaces a missing order number."""
    id = str(context.job.id)
    return close_order(Order(number or id, amount, token), flow_key(number, host=id), poll)
