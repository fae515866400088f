"""Redis's processor time per call, from which the possible calls per second follow.

    make store-costs

The time is what Redis itself counts for its scripts, so the load of this machine matters little.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import attrs
from redis import Redis
from servers import redis

from moorage import (
    AsyncConnectorManager,
    CircuitState,
    ConnectorError,
    ConnectorManager,
    RateLimitConfig,
    Service,
)
from moorage.adapters.state._redis_wire import SCRIPT, ScriptCalls, arguments, decode_reply
from moorage.adapters.state.redis import AsyncRedisStorage, RedisStorage
from moorage.domain.resilience.admission import Admission, Gates
from moorage.domain.resilience.budget import BudgetRule, RetryBudget
from moorage.domain.resilience.circuit import CircuitBreakerConfig, CircuitRule
from moorage.domain.resilience.gate_commands import Confirm
from moorage.domain.values.durations import FOREVER, SECOND

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.adapters.state._redis_wire import ScriptCall
    from moorage.domain.state.commands import Command

CALLS: Final = 2_000
CONCURRENT_CALLS: Final = 128
_READINGS: Final = 40
_CALLS_OF_A_READING: Final = 250
_SCRIPTS: Final = "cmdstat_evalsha"
_SHARE: Final = 0.7
"""The share of a core that a Redis may use before its callers begin to wait."""

_PLENTY: Final = RateLimitConfig.per_second(1_000_000)
_ONE_AN_HOUR: Final = RateLimitConfig.per_hour(1, burst=1)
_QUEUE: Final = RateLimitConfig.per_second(2_000, burst=1)


@attrs.frozen
class Cost:
    """The cost of one kind of call.

    Attributes:
        name: the kind of call.
        microseconds: the server's time for one call.
        trips: the scripts that one call runs.
        processor: microseconds of processor time that the server used for one call, to read the
            request and to send the answer too. Other programs do not make it longer.
    """

    name: str
    microseconds: float
    trips: float
    processor: float

    @property
    def row(self) -> str:
        """Return the cost as a Markdown table row."""
        is_free = self.microseconds < 0.1
        limit_text = "any number" if is_free else f"{1e6 * _SHARE / self.microseconds:,.0f}"
        return f"| {self.name} | {self.trips:.2f} | {self.microseconds:.1f} | {limit_text} |"


def costs(url: str) -> list[Cost]:
    """Return the cost of each kind of call."""
    server: Redis = Redis.from_url(url)

    def measure_calls(name: str, run: Callable[[], object], calls: int = CALLS) -> Cost:
        run()  # connections, scripts and states exist then
        server.config_resetstat()
        used_before = processor_seconds(server)
        run()
        used_seconds = processor_seconds(server) - used_before
        statistics = server.info("commandstats").get(_SCRIPTS, {"calls": 0, "usec": 0})
        trips = statistics["calls"] / calls
        return Cost(name, statistics["usec"] / calls, trips, used_seconds * 1e6 / calls)

    free_service = Service("free", limits=_PLENTY)
    exhausted_service = Service("spent", limits=_ONE_AN_HOUR, max_limit_wait=0)
    queue = Service("queue", limits=_QUEUE)
    open_circuit_service = Service("shut", limits=_PLENTY)
    with RedisStorage(url) as state:
        manager = ConnectorManager(
            [free_service, exhausted_service, queue, open_circuit_service], state=state
        )

        def calls(service: str, *, keyed: bool = False) -> None:
            for _ in range(CALLS):
                key = uuid4().hex if keyed else None
                with suppress(ConnectorError):
                    manager.run(service, int, idempotency_key=key)

        with manager:
            manager.set_circuit("shut", CircuitState.FORCED_OPEN)
            measurements = [
                measure_calls("granted", lambda: calls("free")),
                measure_calls(
                    "granted, with an idempotency key", lambda: calls("free", keyed=True)
                ),
                measure_calls("granted after a wait in a queue", lambda: calls("queue")),
                measure_calls("refused by a limit", lambda: calls("spent")),
                measure_calls("refused by an open circuit", lambda: calls("shut")),
            ]
    name_at_once = f"granted, {CONCURRENT_CALLS} tasks at once"
    measurements.insert(
        1, measure_calls(name_at_once, lambda: asyncio.run(_call_concurrently(url, free_service)))
    )
    server.close()
    return measurements


def command_costs(url: str) -> dict[str, float]:
    """Return Redis's processor time for a command of each kind, in microseconds.

    The first kind is the control. All kinds take turns, and the least of several readings counts,
    so that other programs on the machine have little influence.
    """
    calls = ScriptCalls("command-costs:")
    readings: dict[str, list[float]] = {}
    with Redis.from_url(url) as server:
        digest = server.script_load(SCRIPT)

        def arguments_of(command: Command[Any]) -> tuple[ScriptCall, tuple[Any, ...]]:
            call = calls.of(command)
            if call is None:
                raise AssertionError("the script does not support one of these commands")
            keys, values = arguments([call])
            return call, (digest, len(keys), *keys, *values)

        def answer(command: Command[Any]) -> Any:
            call, values = arguments_of(command)
            return decode_reply(call, server.evalsha(*values)[0])

        free_gates, queue = _gates("free", 1_000_000), _gates("queue", 1)
        empty, full = _gates("empty", Fraction(1, 3_600)), _gates("full", Fraction(1, 3_600))
        for gates in (free_gates, empty, queue, full):
            answer(_ask(gates))
        for gates in (queue, full):
            _, _, permit, tickets = answer(_ask(gates, FOREVER))
        commands: dict[str, Command[Any]] = {
            "granted at once": _ask(free_gates),
            "refused by an empty limit": _ask(empty),
            "refused behind a queue": _ask(full),
            "queued": _ask(queue, FOREVER),
            "confirmed after the wait": Confirm(full, tickets, permit),
        }
        connection = server.connection_pool.get_connection()
        for _ in range(_READINGS):
            for name, command in commands.items():
                answer(
                    command
                )  # the first command after a pause costs more, because it rewrites the state
                request = connection.pack_command("EVALSHA", *arguments_of(command)[1])
                used_before = processor_seconds(server)
                for _ in range(_CALLS_OF_A_READING):
                    connection.send_packed_command(request)
                    connection.read_response()
                used_seconds = processor_seconds(server) - used_before
                readings.setdefault(name, []).append(used_seconds)
        server.connection_pool.release(connection)
    return {
        name: min(used_seconds) * 1e6 / _CALLS_OF_A_READING
        for name, used_seconds in readings.items()
    }


def _gates(name: str, rate: float | Fraction) -> Gates:
    return Gates(
        circuit=CircuitRule(CircuitBreakerConfig()),
        circuit_key=f"circuit-{name}",
        limits=[RateLimitConfig(rate, 1.0, max(1, int(rate))).rule],
        limit_keys=[f"limit-{name}"],
        budget=BudgetRule(RetryBudget()),
        budget_key=f"budget-{name}",
    )


def _ask(gates: Gates, within: int = 0) -> Admission:
    return Admission(gates, within=within, lease=SECOND)


def processor_seconds(server: Redis) -> float:
    """Return the processor seconds that a Redis has used."""
    usage = server.info("cpu")
    return float(usage["used_cpu_user"] + usage["used_cpu_sys"])


async def _call_concurrently(url: str, service: Service) -> None:
    """Make the calls in concurrent tasks of one event loop.

    The tasks share round trips to the store.
    """

    async def nothing() -> None:
        """Respond immediately."""

    async with (
        AsyncRedisStorage(url) as state,
        AsyncConnectorManager([service], state=state) as manager,
    ):

        async def caller() -> None:
            for _ in range(-(-CALLS // CONCURRENT_CALLS)):
                await manager.run(service.name, nothing)

        await asyncio.gather(*(caller() for _ in range(CONCURRENT_CALLS)))


def main() -> None:
    """Print the costs as a Markdown table."""
    with redis(tcp=True) as (url, _):
        print("| call | trips | µs of the server | calls a second at 70 % of a core |")
        print("| --- | --- | --- | --- |")
        for cost in costs(url):
            print(cost.row)
        print("\n| command | µs of the processor | times a grant |")
        print("| --- | --- | --- |")
        by_name = command_costs(url)
        control = by_name["granted at once"]
        for name, used_seconds in by_name.items():
            print(f"| {name} | {used_seconds:.1f} | {used_seconds / control:.2f} |")


if __name__ == "__main__":
    main()
