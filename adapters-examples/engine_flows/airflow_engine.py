"""The flow in Airflow: one task that releases its worker while it waits."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from engine_flows.order_flow import Order, close_order, poll
from engine_flows.verdicts import WaitVerdict, flow_key, verdict
from moorage import ConnectorError

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context


class CloseOrder(BaseOperator):
    """Closes an order in Airflow.

    Retries and clears keep the ids of the run and of the task, so these replace a missing order
    number. After an unknown outcome the task fails; when a person has settled the payment, clear
    the task.
    """

    template_fields = ("number", "amount", "token")

    def __init__(self, *, number: str | None, amount: str, token: str, **options: Any) -> None:
        super().__init__(retries=0, **options)
        self.number = number
        self.amount = amount
        self.token = token

    def execute(self, context: Context, event: Any = None) -> Any:  # noqa: ARG002 - Airflow passes it after a wait
        """Perform all parts of the flow.

        While the flow waits, Airflow's triggerer holds it, not a worker.
        """
        instance = context["ti"]
        id = "/".join(
            map(str, (instance.dag_id, instance.run_id, instance.task_id, instance.map_index))
        )
        order = Order(self.number or id, self.amount, self.token)
        try:
            return close_order(order, flow_key(self.number, host=id), poll)
        except ConnectorError as error:
            decision = verdict(error)
            if not isinstance(decision, WaitVerdict):
                raise AirflowFailException(decision.reason) from None
            pause = TimeDeltaTrigger(timedelta(seconds=decision.seconds))
            return self.defer(trigger=pause, method_name="execute")
