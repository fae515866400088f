"""The cost of a step in a Docker container, compared with the bare client.

Both create a container, start it, wait for its end, read its output and remove it. moorage also
registers the key of the step and its result in a SQLite file, puts the working directory into the
container, and starts the watchdog that keeps the time limit.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from itertools import count
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import aiodocker
from measure import (
    ELAPSED,
    PROCESSOR,
    Clock,
    Comparison,
    Contender,
    Target,
    async_block,
    compare,
    sync_block,
)

from moorage import ConnectorManager, DockerPlatform, Service, Step, StepConnector
from moorage.adapters.state.sqlite import SqliteStorage
from tools.docker_engine import IMAGE, docker_engine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ROUNDS: Final = 12
_TARGET: Final = Target(1.05, 1.02)


def docker_step(rounds: int) -> Comparison:
    """Measure the time of a step that works for five seconds."""
    return _comparison("a step of 5 s in a Docker container", 5.0, rounds, ELAPSED, _TARGET)


def docker_short_step(rounds: int) -> Comparison:
    """Measure the time of a step that works for one second."""
    return _comparison("a step of 1 s in a Docker container", 1.0, rounds, ELAPSED, None)


def docker_step_work(rounds: int) -> Comparison:
    """Measure the processor time of the process that follows a step of five seconds."""
    return _comparison("a step of 5 s in a Docker container", 5.0, rounds, PROCESSOR, None)


def _comparison(
    title: str, seconds: float, rounds: int, clock: Clock, target: Target | None
) -> Comparison:
    command = ["sleep", f"{seconds:g}"]
    with (
        docker_engine() as socket,
        _client(socket, command) as bare_client,
        _connector(socket, command) as connector,
    ):
        table = compare(
            None,
            [Contender("aiodocker", bare_client), Contender("moorage", sync_block(connector))],
            rounds=min(rounds, _ROUNDS),
            clock=clock,
            block_seconds=0.0,
        )
    return Comparison(title, table, target, more=clock is PROCESSOR)


@contextmanager
def _client(socket: str, command: list[str]) -> Iterator[Any]:
    """Yield a function that measures steps run by the bare client."""
    loop = asyncio.new_event_loop()

    async def connect() -> aiodocker.Docker:
        return aiodocker.Docker(url=f"unix://{socket}")

    client = loop.run_until_complete(connect())

    async def run() -> None:
        config = {"Image": IMAGE, "Cmd": command}
        container = await client.containers.create(config, name=f"bench-{uuid4().hex}")
        await container.start()
        await container.wait()
        await container.log(stdout=True, stderr=True)
        await container.delete(v=True)

    try:
        yield async_block(run, loop)
    finally:
        loop.run_until_complete(client.close())
        loop.close()


@contextmanager
def _connector(socket: str, command: list[str]) -> Iterator[Callable[[], object]]:
    """Yield a function that runs a step through a connector, each time with a new key."""
    numbers = count()
    step = Step("bench", command, image=IMAGE)
    with TemporaryDirectory() as folder:
        state = SqliteStorage(f"{folder}/state.db")
        with ConnectorManager([Service("steps")], state=state) as manager:
            steps = StepConnector(DockerPlatform(socket), manager)
            yield lambda: steps.execute_step(step, idempotency_key=f"bench-{next(numbers)}")


ALL = (docker_step, docker_short_step, docker_step_work)
