"""The cost of an outbox call, from transaction to result, compared with task queues.

Each host writes an order in a transaction in PostgreSQL and adds a call, and then one worker makes
the call. All contenders send the same request with the same HTTP client, to a vendor's server in
another process. The outbox adds the call in the order's transaction; it takes part a second time,
with a table of a million settled calls. Procrastinate keeps its tasks in PostgreSQL too, and is the
reference. Celery keeps them in a Redis that writes nothing to disk. Both add a task after the order
is committed, so a crash in between loses the task.

Where it matters what a failing machine loses, every server writes to its disk before it replies:
PostgreSQL at each commit, Redis at each change, and RabbitMQ before it confirms a task. Celery then
acknowledges a task after it was done.

Processor time is that of this process and of the contender's private servers with all their
processes, so other programs do not count, and neither does the vendor.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from threading import Event, Semaphore
from typing import TYPE_CHECKING, TypeAlias

import attrs
import psycopg
from celery import Celery
from celery.contrib.testing.worker import start_worker
from http_costs import Vendor
from measure import ELAPSED, Block, Clock, Comparison, Contender, Read, Table, Target, compare
from procrastinate import App, PsycopgConnector, SyncPsycopgConnector
from servers import ProcessorTime, postgresql, rabbitmq, redis

from moorage import Hub, Outbox, Request, Response, RetryPolicy, Service
from moorage.adapters.entries.sql import SqlOutbox
from moorage.adapters.http.stdlib.client import StdlibHttpClient
from moorage.adapters.state.memory import MemoryStorage
from moorage.domain.http.requests import Timeouts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.ports.http import HttpClient

SETTLED = 1_000_000
PEERS = Target(0.5, 0.25)
PAST = Target(1.1, 1.0)
PROCRASTINATE = "procrastinate"
CELERY = "Celery over Redis"
DURABLE_CELERY = "Celery over Redis, each write on disk"
CELERY_OVER_RABBITMQ = "Celery over RabbitMQ, confirmed"
WITH_PAST = "moorage, beside a million settled calls"
WITH_PAST_AGAIN = "moorage, beside a million settled calls, once more"
OURS = "moorage"
PREFIX = "new_"
OLD_PREFIX = "old_"
_MOST_CALLS = 100_000
_MOST_KEYS = 10_000_000
_ORDER = "INSERT INTO orders VALUES (%s)"
_PROCESSOR = "processor time of worker and servers"
_ROUNDS = 40
_SECONDS = 0.3
_DELIVERY_SECONDS = 0.1
"""Shorter, since each call that is delivered has to be added before, which takes much longer."""
_TIMEOUTS = Timeouts(total=30.0)

Send: TypeAlias = Callable[[int], object]
"""Sends the request with this number."""

Measured: TypeAlias = tuple[Block, tuple[int, ...]]
"""A block, and the process ids of the servers that it uses."""


class _NoVendor:
    """A vendor in this process that responds immediately."""

    def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Respond to the request immediately."""
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
            connection.execute(_ORDER, (number,))
            outbox.within(connection).put_request("shop", _request(number))
            connection.commit()
        if delivery_only:
            start = read()
        delivered_calls = outbox.deliver(hub, limit=_MOST_CALLS).done
        duration = read() - start
        if delivered_calls != calls:
            raise RuntimeError(f"{delivered_calls} of {calls} calls were made")
        return duration

    return block


def _settle_entries(url: str) -> None:
    """Add settled entries to the outbox."""
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
        """Make the calls, as the only task of the worker."""
        send(number)

    connection = stack.enter_context(psycopg.connect(url))
    host = worker.with_connector(SyncPsycopgConnector(conninfo=url))
    stack.enter_context(host.open())
    host.schema_manager.apply_schema()
    loop.run_until_complete(worker.open_async())
    stack.callback(lambda: loop.run_until_complete(worker.close_async()))

    def block(calls: int, read: Read) -> float:
        start = read()
        task = host.configure_task("send")
        for number in range(calls):
            connection.execute(_ORDER, (number,))
            connection.commit()
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


def _celery(
    url: str,
    broker: str,
    send: Send,
    stack: ExitStack,
    *,
    delivery_only: bool,
    durable: bool = False,
) -> Block:
    connection = stack.enter_context(psycopg.connect(url))
    app = Celery("bench", broker=broker)
    if durable:
        app.conf.task_acks_late = True
        app.conf.broker_transport_options = {"confirm_publish": True}
    finished_calls, begin = Semaphore(0), Event()

    @app.task(name="send", ignore_result=True)
    def send_later(number: int) -> None:
        """Make a call, and count it as finished."""
        send(number)
        finished_calls.release()

    @app.task(name="wait", ignore_result=True)
    def wait_for_all() -> None:
        """Make the worker wait with its next calls until all are queued."""
        begin.wait()

    stack.enter_context(
        start_worker(app, pool="solo", perform_ping_check=False, shutdown_timeout=60)
    )

    def block(calls: int, read: Read) -> float:
        start = read()
        if delivery_only:
            begin.clear()
            wait_for_all.delay()
        for number in range(calls):
            connection.execute(_ORDER, (number,))
            connection.commit()
            send_later.delay(number)
        if delivery_only:
            start = read()
            begin.set()
        for _ in range(calls):
            finished_calls.acquire()
        return read() - start

    return block


@attrs.frozen
class _Servers:
    """The private servers of a comparison, with URLs and process ids."""

    postgresql: tuple[str, int]
    redis: tuple[str, int] | None
    rabbitmq: tuple[str, int] | None

    @classmethod
    def start(cls, stack: ExitStack, names: Sequence[str], *, durable: bool) -> _Servers:
        """Start the servers for the named candidates."""
        has_redis = CELERY in names or DURABLE_CELERY in names
        return cls(
            stack.enter_context(postgresql(durable=durable)),
            stack.enter_context(redis(durable=durable)) if has_redis else None,
            stack.enter_context(rabbitmq()) if CELERY_OVER_RABBITMQ in names else None,
        )


def _compare(
    rounds: int,
    names: Sequence[str],
    http: HttpClient,
    vendor: str,
    *,
    delivery_only: bool = False,
    durable: bool = False,
    elapsed: bool = False,
) -> Table:
    """Measure the named candidates; the first is the reference.

    Args:
        rounds: how often each is measured.
        names: the contenders.
        http: sends the requests.
        vendor: the address of the vendor.
        delivery_only: measures the worker alone, and not what the host does before.
        durable: whether each server writes to its disk before it replies.
        elapsed: measures elapsed time in place of processor time.
    """

    def send(number: int) -> Response:
        return http.send(_request(number), f"{vendor}/orders", _TIMEOUTS)

    with ExitStack() as stack:
        servers = _Servers.start(stack, names, durable=durable)
        database, database_server = servers.postgresql
        with psycopg.connect(database) as connection:
            connection.execute("CREATE TABLE orders (number bigint)")
        service = Service("shop", base_url=vendor, retry=RetryPolicy(max_attempts=1))
        storage = MemoryStorage(max_entries=_MOST_KEYS)
        hub = stack.enter_context(Hub([], services=[service], http=http, state=storage))

        def outbox(prefix: str) -> Measured:
            block = _outbox(database, prefix, hub, stack, delivery_only=delivery_only)
            return block, (database_server,)

        def procrastinate() -> Measured:
            block = _procrastinate(database, send, stack, delivery_only=delivery_only)
            return block, (database_server,)

        def celery(server: tuple[str, int] | None) -> Measured:
            assert server is not None
            block = _celery(
                database, server[0], send, stack, delivery_only=delivery_only, durable=durable
            )
            return block, (database_server, server[1])

        makers: dict[str, Callable[[], Measured]] = {
            PROCRASTINATE: procrastinate,
            CELERY: lambda: celery(servers.redis),
            DURABLE_CELERY: lambda: celery(servers.redis),
            CELERY_OVER_RABBITMQ: lambda: celery(servers.rabbitmq),
            WITH_PAST: lambda: outbox(OLD_PREFIX),
            WITH_PAST_AGAIN: lambda: outbox(OLD_PREFIX),
            OURS: lambda: outbox(PREFIX),
        }
        measured_blocks = [(name, *makers[name]()) for name in names]
        if WITH_PAST in names:
            _settle_entries(database)
        clock = ELAPSED if elapsed else Clock(_PROCESSOR, time.process_time)
        contenders = [
            Contender(name, block if elapsed else _with_servers(block, used_servers))
            for name, block, used_servers in measured_blocks
        ]
        return compare(
            None,
            contenders,
            rounds=min(rounds, _ROUNDS),
            clock=clock,
            block_seconds=_DELIVERY_SECONDS if delivery_only else _SECONDS,
            mirrored=True,
        )


def _with_servers(block: Block, servers: tuple[int, ...]) -> Block:
    """Wrap a block to measure the processor time of this process and of its servers."""
    seconds = ProcessorTime(*servers)
    return lambda calls, _: block(calls, seconds)


def outbox_in_postgresql(rounds: int) -> Comparison:
    """Measure an outbox call over HTTP, from the transaction until the call is settled."""
    names = (PROCRASTINATE, CELERY, WITH_PAST, OURS)
    with Vendor() as url, StdlibHttpClient() as http:
        table = _compare(rounds, names, http, url)
    return Comparison("from a transaction in PostgreSQL to the settled call", table, PEERS)


def _compare_durably(rounds: int, peer: str) -> Comparison:
    # Celery's workers of two brokers cannot run in one process, so each has its own table.
    with Vendor() as url, StdlibHttpClient() as http:
        table = _compare(rounds, (PROCRASTINATE, peer, OURS), http, url, durable=True)
    return Comparison("from a transaction to the settled call, durably", table, PEERS)


def outbox_durable_redis(rounds: int) -> Comparison:
    """Measure outbox calls against Celery on Redis; all servers write to disk before replying."""
    return _compare_durably(rounds, DURABLE_CELERY)


def outbox_durable_rabbitmq(rounds: int) -> Comparison:
    """Measure outbox calls against Celery on RabbitMQ, which confirms durable messages."""
    return _compare_durably(rounds, CELERY_OVER_RABBITMQ)


def outbox_beside_settled(rounds: int) -> Comparison:
    """Compare an outbox table that already has settled calls with a new table."""
    # The reference and its control write to one table, so both tables get as many calls.
    names = (OURS, WITH_PAST, WITH_PAST_AGAIN)
    with Vendor() as url, StdlibHttpClient() as http:
        table = _compare(rounds, names, http, url)
    return Comparison("an outbox in PostgreSQL with a past", table, PAST)


def _deliveries(rounds: int, *, elapsed: bool) -> Comparison:
    names = (PROCRASTINATE, CELERY, WITH_PAST, OURS)
    table = _compare(
        rounds, names, _NoVendor(), "https://shop.example", delivery_only=True, elapsed=elapsed
    )
    return Comparison("delivery from PostgreSQL to a vendor that costs nothing", table, PEERS)


def outbox_deliveries(rounds: int) -> Comparison:
    """Measure the delivery of stored calls to a vendor that itself costs no time."""
    return _deliveries(rounds, elapsed=False)


def outbox_deliveries_elapsed(rounds: int) -> Comparison:
    """Measure the delivery of stored calls in elapsed time, to show the rate of one worker."""
    return _deliveries(rounds, elapsed=True)


ALL = (
    outbox_in_postgresql,
    outbox_durable_redis,
    outbox_durable_rabbitmq,
    outbox_beside_settled,
    outbox_deliveries,
    outbox_deliveries_elapsed,
)
