"""The processor time and the bytes of log and table that a call costs a PostgreSQL server.

    make table-costs

A private server, which writes each commit to its disk, serves one kind of call after the other.
All kinds take turns, and the least of several readings counts, so that other programs matter
little. The control is the least that a durable row can cost: one indexed update, committed.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from itertools import count
from typing import TYPE_CHECKING, Final

import attrs
import psycopg
from servers import ProcessorTime, postgresql

from moorage import ConnectorManager, Hub, Outbox, RateLimitConfig, Request, Response, Service
from moorage.adapters.entries.sql import SqlOutbox
from moorage.adapters.state.sql import SqlStorage

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.http.requests import Timeouts

CONTROL: Final = "one update of a row, committed"
_READINGS: Final = 8
_CALLS: Final = 200
_SHARE: Final = 0.7
"""The share of a core that a server may use before its callers begin to wait."""
_PLENTY: Final = RateLimitConfig.per_second(1_000_000)
_LOG: Final = "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"
_SPACE: Final = "SELECT pg_database_size(current_database())"


@attrs.frozen
class ServerUse:
    """A server's resources used by one call.

    Attributes:
        processor: microseconds of its processors.
        log: bytes of its write-ahead log.
    """

    processor: float
    log: float


@attrs.frozen
class Cost:
    """The cost of one kind of call.

    Attributes:
        name: the kind of call.
        processor: microseconds of the server's processors for one call.
        log: bytes of its write-ahead log for one call.
        space: bytes that one call leaves in the tables until they are cleaned.
    """

    name: str
    processor: float
    log: float
    space: float

    def row(self, control: Cost) -> str:
        """Return the Markdown table row, with the ratio to the control."""
        calls_per_second = 1e6 * _SHARE / self.processor
        return (
            f"| {self.name} | {self.processor:.0f} | {self.processor / control.processor:.1f} |"
            f" {self.log:,.0f} | {self.space:,.0f} | {calls_per_second:,.0f} |"
        )


class _Vendor:
    """A vendor in this process that responds immediately."""

    def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Respond to the request immediately."""
        return Response(200)


def least_use(readings: list[ServerUse]) -> ServerUse:
    """Return the shortest processor time and the median log length of several readings.

    Other programs make a time longer. The log has whole pages after each checkpoint, and other
    readings have none of them.
    """
    logs = sorted(reading.log for reading in readings)
    return ServerUse(min(reading.processor for reading in readings), logs[len(logs) // 2])


def costs() -> list[Cost]:
    """Return the cost of each kind of call; the first is the control."""
    with ExitStack() as stack:
        url, server = stack.enter_context(postgresql(durable=True))
        connection = stack.enter_context(psycopg.connect(url, autocommit=True))
        connection.execute("CREATE TABLE one (id INT PRIMARY KEY, value INT)")
        connection.execute("INSERT INTO one VALUES (1, 0)")
        kinds = _kinds(url, connection, stack)
        processor_time = ProcessorTime(server)
        readings: dict[str, list[ServerUse]] = {name: [] for name in kinds}
        spaces: dict[str, float] = {}
        for make_calls in kinds.values():
            make_calls()  # connections, tables and states exist then
        for number in range(_READINGS):
            for name, make_calls in kinds.items():
                space = _number(connection, _SPACE)
                log = _number(connection, _LOG)
                begin = processor_time() - time.process_time()
                make_calls()
                processor = processor_time() - time.process_time() - begin
                log = _number(connection, _LOG) - log
                readings[name].append(ServerUse(processor * 1e6 / _CALLS, log / _CALLS))
                if number:
                    table_growth = _number(connection, _SPACE) - space
                    spaces[name] = spaces.get(name, 0.0) + table_growth / _CALLS / (_READINGS - 1)
    return [
        Cost(name, reading.processor, reading.log, spaces[name])
        for name, reading in ((name, least_use(of_kind)) for name, of_kind in readings.items())
    ]


def _kinds(
    url: str, connection: psycopg.Connection, stack: ExitStack
) -> dict[str, Callable[[], object]]:
    """Return, for each kind of call, a function that makes as many calls as one reading needs."""
    state = stack.enter_context(SqlStorage(url))
    state.migrate()
    store = stack.enter_context(SqlOutbox(url, create=True))
    store.migrate()
    outbox = Outbox(store)
    services = [Service("shop", limits=_PLENTY, base_url="https://shop.example")]
    manager = stack.enter_context(ConnectorManager(services, state=state))
    hub = stack.enter_context(Hub([], services=services, http=_Vendor(), state=state))
    numbers = count()

    def run_stored() -> None:
        for number in range(_CALLS):
            outbox.put_request("shop", Request.post("/orders", json={"number": number}))
        outbox.deliver(hub, limit=_CALLS)

    return {
        CONTROL: _repeat_call(
            lambda: connection.execute("UPDATE one SET value = value + 1 WHERE id = 1")
        ),
        "call with a limit and a circuit": _repeat_call(lambda: manager.run("shop", int)),
        "the same with a new idempotency key": _repeat_call(
            lambda: manager.run("shop", int, idempotency_key=f"order-{next(numbers)}")
        ),
        "the same with a key that is known": _repeat_call(
            lambda: manager.run("shop", int, idempotency_key="order")
        ),
        "call stored in the outbox, and delivered": run_stored,
    }


def _repeat_call(call: Callable[[], object]) -> Callable[[], None]:
    """Return a function that repeats a call as often as one reading needs."""

    def make_calls() -> None:
        for _ in range(_CALLS):
            call()

    return make_calls


def _number(connection: psycopg.Connection, query: str) -> float:
    row = connection.execute(query).fetchone()
    if row is None:
        raise RuntimeError(f"{query} has no row")
    return float(row[0])


def main() -> None:
    """Print the costs as a Markdown table."""
    measured = costs()
    print("| call | µs of the server | of an update | bytes of log | bytes of tables | a second |")
    print("| --- | --- | --- | --- | --- | --- |")
    for cost in measured:
        print(cost.row(measured[0]))


if __name__ == "__main__":
    main()
