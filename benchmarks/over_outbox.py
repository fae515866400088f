"""Delivery from an outbox in PostgreSQL, compared with task queues.

Every block first writes its tasks down, which is not timed, and then works them off. Procrastinate
keeps tasks in PostgreSQL too, and is the reference. Celery keeps them in Redis, where no task is
part of a host's transaction; it works while the block sends, so that is in its time. The outbox
stands there a second time, in a table with a million calls that are done.
"""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import closing
from threading import Semaphore
from typing import TYPE_CHECKING, Any

import psycopg
from celery import Celery
from celery.contrib.testing.worker import start_worker
from measure import ELAPSED, Block, Comparison, Contender, Read, Target, compare
from procrastinate import App, PsycopgConnector
from procrastinate.exceptions import ConnectorException

from moorage import Hub, Outbox, Request, Response, RetryPolicy, Service
from moorage.adapters.entries.sql import SqlOutbox

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from moorage.domain.http.requests import Timeouts

POSTGRES = os.environ.get("MOORAGE_TEST_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/test")
REDIS = os.environ.get("MOORAGE_TEST_REDIS_URL", "redis://127.0.0.1:6379/0")
SCHEMA = "moorage_bench_queues"
PREFIX = "moorage_bench_"
SETTLED = 1_000_000
TARGET = Target(0.5, 0.25)
_MANY = 100_000


class _Vendor:
    """Answers at once."""

    def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Answer."""
        return Response(200)


def _outbox(store: SqlOutbox) -> Block:
    shop = Service("shop", base_url="https://shop.example", retry=RetryPolicy(max_attempts=1))
    hub = Hub([], services=[shop], http=_Vendor())
    outbox = Outbox(store)

    def block(calls: int, read: Read) -> float:
        with psycopg.connect(POSTGRES) as connection:
            inner_outbox = outbox.within(connection)
            for number in range(calls):
                inner_outbox.put_request("shop", Request.post("/orders", json=number))
        start = read()
        delivered_calls = outbox.deliver(hub, limit=_MANY).done
        duration = read() - start
        if delivered_calls != calls:
            raise RuntimeError(f"{delivered_calls} of {calls} calls were made")
        return duration

    return block


def _settle_entries(store: SqlOutbox) -> None:
    """Give the outbox a past."""
    table = f"{PREFIX}old_outbox"
    with psycopg.connect(POSTGRES, autocommit=True) as connection:
        connection.execute(
            f"INSERT INTO {table} (id, target, operation, added_at, content, state, holds, fence,"
            " attempts, turn, error, settled_at, priority) SELECT 'old-' || n, 'shop', 'call', n,"
            " decode(repeat('ab', 200), 'hex'), 'done', false, 2, 1, 0, '', n, 0"
            f" FROM generate_series(1, {SETTLED}) AS n"
        )
        connection.execute(f"VACUUM ANALYZE {table}")
        connection.execute("CHECKPOINT")
    store.due(1)


def _procrastinate(loop: asyncio.AbstractEventLoop) -> tuple[Block, Callable[[], None]]:
    app = App(connector=PsycopgConnector(conninfo=POSTGRES, kwargs={"options": _options()}))

    @app.task(name="nothing")
    async def empty_call(number: int) -> None:
        """The call that is put off."""

    async def open_connection() -> None:
        await app.open_async()
        await app.schema_manager.apply_schema_async()

    async def run(calls: int, read: Read) -> float:
        await empty_call.batch_defer_async(*({"number": number} for number in range(calls)))
        start = read()
        await app.run_worker_async(
            wait=False, concurrency=1, listen_notify=False, install_signal_handlers=False
        )
        return read() - start

    try:
        loop.run_until_complete(open_connection())
    except ConnectorException as error:
        raise RuntimeError("procrastinate's tables could not be created") from error
    return (
        lambda calls, read: loop.run_until_complete(run(calls, read)),
        lambda: loop.run_until_complete(app.close_async()),
    )


def _options() -> str:
    return f"-csearch_path={SCHEMA}"


def _celery() -> Generator[Block]:
    app = Celery("bench", broker=REDIS)
    app.conf.task_default_queue = PREFIX
    finished_calls = Semaphore(0)

    @app.task(name="nothing", ignore_result=True)
    def nothing(number: int) -> None:
        """Say that the call that was put off is made."""
        finished_calls.release()

    def block(calls: int, read: Read) -> float:
        start = read()
        for number in range(calls):
            nothing.delay(number)
        for _ in range(calls):
            finished_calls.acquire()
        return read() - start

    with start_worker(app, pool="solo", perform_ping_check=False, shutdown_timeout=60):
        yield block


def outbox_in_postgresql(rounds: int) -> Comparison:
    """Deliveries from PostgreSQL, one worker each."""
    logging.getLogger("procrastinate").setLevel(logging.ERROR)
    loop: Any = asyncio.new_event_loop()
    with psycopg.connect(POSTGRES, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
        connection.execute(f"CREATE SCHEMA {SCHEMA}")
        for name in ("outbox", "old_outbox"):
            connection.execute(f"DROP TABLE IF EXISTS {PREFIX}{name}")
    peer, close_peer = _procrastinate(loop)
    with (
        SqlOutbox(POSTGRES, prefix=PREFIX, create=True) as new_outbox,
        SqlOutbox(POSTGRES, prefix=f"{PREFIX}old_", create=True) as old_outbox,
        closing(_celery()) as celery,
    ):
        new_outbox.migrate()
        old_outbox.migrate()
        _settle_entries(old_outbox)
        rows = compare(
            None,
            [
                Contender("procrastinate", peer),
                Contender("Celery over Redis", next(celery)),
                Contender("moorage, beside a million that are done", _outbox(old_outbox)),
                Contender("moorage", _outbox(new_outbox)),
            ],
            rounds=min(rounds, 12),
            clock=ELAPSED,
            block_seconds=0.5,
        )
        next(celery, None)
    close_peer()
    with psycopg.connect(POSTGRES, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA {SCHEMA} CASCADE")
        for name in ("outbox", "old_outbox"):
            connection.execute(f"DROP TABLE {PREFIX}{name}")
    return Comparison("delivery from an outbox in PostgreSQL, sync", rows, TARGET)


ALL = (outbox_in_postgresql,)
