"""From a transaction of the host to the settled call, compared with task queues.

Each call is added in a transaction of its own, and then one worker makes it. All contenders send
the same request with the same HTTP client, to a vendor's server in another process. Procrastinate
keeps its tasks in PostgreSQL too, and is the reference. Celery keeps them in a Redis that writes
nothing to disk, and no task is part of a host's transaction. The outbox takes part a second time,
with a table of a million settled calls.

Processor time is that of this process and of private servers of PostgreSQL and Redis with all
their processes, so other programs do not count, and neither does the vendor.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import ExitStack
from threading import Semaphore
from typing import TYPE_CHECKING, TypeAlias

import psycopg
from celery import Celery
from celery.contrib.testing.worker import start_worker
from measure import Block, Clock, Comparison, Contender, Read, Table, Target, compare
from over_http import Vendor
from procrastinate import App, PsycopgConnector, SyncPsycopgConnector
from servers import ProcessorTime, postgresql, redis

from moorage import Hub, Outbox, Request, Response, RetryPolicy, Service
from moorage.adapters.entries.sql import SqlOutbox
from moorage.adapters.http.stdlib.client import StdlibHttpClient
from moorage.domain.http.requests import Timeouts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.ports.http import HttpClient

SETTLED = 1_000_000
PEERS = Target(0.5, 0.25)
PAST = Target(1.1, 1.0)
PROCRASTINATE = "procrastinate"
CELERY = "Celery over Redis"
WITH_PAST = "moorage, beside a million settled calls"
OURS = "moorage"
PREFIX = "new_"
OLD_PREFIX = "old_"
_MANY = 100_000
_ROUNDS = 40
_SECONDS = 0.3
_TIMEOUTS = Timeouts(total=30.0)

Send: TypeAlias = Callable[[int], object]
"""Sends the request with this number."""


class _NoVendor:
    """Answers in this process, at once."""

    def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Answer."""
        return Response(200)


def _request(number: int) -> Request:
    return Request.post("/orders", json={"number": number})


def _outbox(url: str, prefix: str, hub: Hub, stack: ExitStack, *, delivery_only: bool) -> Block:
    store = stack.enter_context(SqlOutbox(url, prefix=prefix, create=True))
    store.migrate()
    outbox = Outbox(store)
    connection = stack.enter_context(psycopg.connect(url))

    def block(calls: int, read: Read) -> float:
        start = read()
        for number in range(calls):
            outbox.within(connection).put_request("shop", _request(number))
            connection.commit()
        if delivery_only:
            start = read()
        delivered_calls = outbox.deliver(hub, limit=_MANY).done
        duration = read() - start
        if delivered_calls != calls:
            raise RuntimeError(f"{delivered_calls} of {calls} calls were made")
        return duration

    return block


def _settle_entries(url: str) -> None:
    """Give the outbox a past."""
    table = f"{OLD_PREFIX}outbox"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            f"INSERT INTO {table} (id, target, operation, added_at, content, state, holds, fence,"
            " attempts, turn, error, settled_at, priority) SELECT 'old-' || n, 'shop', 'call', n,"
            " decode(repeat('ab', 200), 'hex'), 'done', false, 2, 1, 0, '', n, 0"
            f" FROM generate_series(1, {SETTLED}) AS n"
        )
        connection.execute(f"VACUUM ANALYZE {table}")
        connection.execute("CHECKPOINT")


def _procrastinate(url: str, send: Send, stack: ExitStack, *, delivery_only: bool) -> Block:
    logging.getLogger("procrastinate").setLevel(logging.ERROR)
    loop = asyncio.new_event_loop()
    stack.callback(loop.close)
    worker = App(connector=PsycopgConnector(conninfo=url))

    @worker.task(name="send")
    async def send_later(number: int) -> None:
        """Send, in the worker's only task."""
        send(number)

    host = worker.with_connector(SyncPsycopgConnector(conninfo=url))
    stack.enter_context(host.open())
    host.schema_manager.apply_schema()
    loop.run_until_complete(worker.open_async())
    stack.callback(lambda: loop.run_until_complete(worker.close_async()))

    def block(calls: int, read: Read) -> float:
        start = read()
        task = host.configure_task("send")
        for number in range(calls):
            task.defer(number=number)
        if delivery_only:
            start = read()
        loop.run_until_complete(
            worker.run_worker_async(
                wait=False, concurrency=1, listen_notify=False, install_signal_handlers=False
            )
        )
        return read() - start

    return block


def _celery(url: str, send: Send, stack: ExitStack) -> Block:
    app = Celery("bench", broker=url)
    finished_calls = Semaphore(0)

    @app.task(name="send", ignore_result=True)
    def send_later(number: int) -> None:
        """Send, and say so."""
        send(number)
        finished_calls.release()

    stack.enter_context(
        start_worker(app, pool="solo", perform_ping_check=False, shutdown_timeout=60)
    )

    def block(calls: int, read: Read) -> float:
        start = read()
        for number in range(calls):
            send_later.delay(number)
        for _ in range(calls):
            finished_calls.acquire()
        return read() - start

    return block


def _compare(
    rounds: int,
    names: Sequence[str],
    http: HttpClient,
    vendor: str,
    *,
    delivery_only: bool = False,
) -> Table:
    """Measure the contenders with these names, the first of which is the reference."""

    def send(number: int) -> Response:
        return http.send(_request(number), f"{vendor}/orders", _TIMEOUTS)

    with (
        postgresql() as (database, database_server),
        redis() as (broker, broker_server),
        ExitStack() as stack,
    ):
        service = Service("shop", base_url=vendor, retry=RetryPolicy(max_attempts=1))
        hub = stack.enter_context(Hub([], services=[service], http=http))

        def outbox(prefix: str) -> Block:
            return _outbox(database, prefix, hub, stack, delivery_only=delivery_only)

        blocks: dict[str, Callable[[], Block]] = {
            PROCRASTINATE: lambda: _procrastinate(
                database, send, stack, delivery_only=delivery_only
            ),
            CELERY: lambda: _celery(broker, send, stack),
            WITH_PAST: lambda: outbox(OLD_PREFIX),
            OURS: lambda: outbox(PREFIX),
        }
        contenders = [Contender(name, blocks[name]()) for name in names]
        if WITH_PAST in names:
            _settle_entries(database)
        return compare(
            None,
            contenders,
            rounds=min(rounds, _ROUNDS),
            clock=Clock(
                "processor time of worker and servers",
                ProcessorTime(database_server, broker_server),
            ),
            block_seconds=_SECONDS,
            mirrored=True,
        )


def outbox_in_postgresql(rounds: int) -> Comparison:
    """From a transaction to the settled call, which is sent over HTTP."""
    names = (PROCRASTINATE, CELERY, WITH_PAST, OURS)
    with Vendor() as url, StdlibHttpClient() as http:
        table = _compare(rounds, names, http, url)
    return Comparison("from a transaction in PostgreSQL to the settled call", table, PEERS)


def outbox_beside_settled(rounds: int) -> Comparison:
    """From a transaction to the settled call, in a table with settled calls and in a new one."""
    with Vendor() as url, StdlibHttpClient() as http:
        table = _compare(rounds, (OURS, WITH_PAST), http, url)
    return Comparison("an outbox in PostgreSQL with a past", table, PAST)


def outbox_deliveries(rounds: int) -> Comparison:
    """Deliveries of calls that are stored already, to a vendor that costs nothing."""
    names = (PROCRASTINATE, WITH_PAST, OURS)
    table = _compare(rounds, names, _NoVendor(), "https://shop.example", delivery_only=True)
    return Comparison("delivery from PostgreSQL to a vendor that costs nothing", table, PEERS)


ALL = (outbox_in_postgresql, outbox_beside_settled, outbox_deliveries)
