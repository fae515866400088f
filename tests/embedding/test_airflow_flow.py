"""An ERP's flow in Airflow; `make airflow` runs these tests with its many dependencies.

The tasks run in this process, as in a test of a DAG, with a separate Airflow database.
"""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from threading import Timer
from typing import TYPE_CHECKING, Any

import pytest
from engine_flows.order_flow import Order, close_order
from engine_flows.verdicts import flow_key

from moorage.testing.sandboxes.base import Lost
from tests.embedding.engine_harness import DECLINED, ORDER, Erp, busy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


DAG = """
from airflow.sdk import DAG
from engine_flows.airflow_engine import CloseOrder

with DAG("erp", schedule=None) as dag:
    CloseOrder(
        task_id="close",
        number="{{ dag_run.conf['number'] or '' }}",
        amount="{{ dag_run.conf['amount'] }}",
        token="{{ dag_run.conf['token'] }}",
    )
"""


@pytest.fixture(name="run", scope="module")
def _run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[str, str]]:
    """Return a function that runs an order's task, and returns the task's state and run id."""
    folder = tmp_path_factory.mktemp("airflow")
    os.environ["AIRFLOW_HOME"] = str(folder)
    os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "false"
    pytest.importorskip("airflow", reason="Airflow is not installed: run `make airflow`")
    file = folder / "dags" / "erp.py"
    file.parent.mkdir()
    file.write_text(DAG)
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True)
    dag = runpy.run_path(str(file))["dag"]

    def run(number: str | None, amount: str, token: str) -> tuple[str, str]:
        order = {"number": number, "amount": amount, "token": token}
        dag_run = dag.test(run_conf=order)
        (instance,) = dag_run.get_task_instances()
        return str(instance.state), str(dag_run.run_id)

    return run


@pytest.fixture(name="erp")
def _erp(tmp_path: Path) -> Iterator[Erp]:
    """Yield an ERP whose vendor honours idempotency keys."""
    erp = Erp(tmp_path / "erp")
    yield erp
    erp.close()


@pytest.fixture(name="keyless")
def _keyless(tmp_path: Path) -> Iterator[Erp]:
    """Yield an ERP whose vendor ignores idempotency keys, so a lost response stays unknown."""
    erp = Erp(tmp_path / "keyless", keyless=True)
    yield erp
    erp.close()


def test_airflow_sends_the_same_as_the_flow_alone(erp: Erp, tmp_path: Path, run: Any) -> None:
    """Two Airflow tasks of one order send the same requests as the flow without an engine."""
    bare_erp = Erp(tmp_path / "bare")
    close_order(Order(*ORDER), flow_key(ORDER[0]))
    bare_erp.close()
    erp.use()
    assert ["success", "success"] == [run(*ORDER)[0] for _ in range(2)]
    assert bare_erp.http.sent == erp.http.sent
    assert 1 == len(erp.book_rows())


def test_vendor_retry_after_becomes_trigger_that_continues_task(erp: Erp, run: Any) -> None:
    """A vendor's Retry-After becomes an Airflow trigger that continues the task later."""
    busy(erp)
    assert "success" == run(*ORDER)[0]
    assert 2 == len(erp.http.sent)


def test_airflow_worker_is_free_while_a_step_runs(erp: Erp, run: Any) -> None:
    """A task whose step still runs is deferred, and finds the step's result later."""
    release = erp.hold("INV-1")
    timer = Timer(3.0, release.touch)
    timer.start()
    assert "success" == run(*ORDER)[0]
    timer.join()
    assert ["INV-1"] == [number for number, _ in erp.book_rows()]


def test_airflow_leaves_an_unknown_outcome_to_a_person(keyless: Erp, run: Any) -> None:
    """A task with an unknown outcome fails; after an operator's decision another task continues."""
    keyless.stripe.fail(Lost())
    assert "failed" == run(*ORDER)[0]
    assert ([], 1) == (keyless.book_rows(), len(keyless.http.sent))

    keyless.settle()
    assert "success" == run(*ORDER)[0]
    assert 1 == len(keyless.book_rows()) == len(keyless.stripe.charges)


def test_airflow_task_fails_if_payment_is_declined(erp: Erp, run: Any) -> None:
    """A declined payment makes the Airflow task fail at once."""
    assert "failed" == run(*DECLINED)[0]
    assert 1 == len(erp.http.sent)


def test_airflow_ids_replace_a_missing_order_number(erp: Erp, run: Any) -> None:
    """Without an order number, the ids of Airflow's run and task identify the order."""
    state, run_id = run(None, *ORDER[1:])
    assert "success" == state
    assert [f"erp/{run_id}/close/-1"] == [number for number, _ in erp.book_rows()]
