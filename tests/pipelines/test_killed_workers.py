"""Workers that are killed at random moments lose no message of any broker.

`BROKER_KILLS` is the number of seeds for each broker. The program `kill_broker_workers` beside this
file runs more of them, and prints each.
"""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.pipelines.kill_broker_workers import BROKERS, Servers, run

if TYPE_CHECKING:
    from collections.abc import Generator

SEEDS = range(int(os.environ.get("BROKER_KILLS", "1")))


@pytest.fixture(scope="module")
def servers() -> Generator[Servers]:
    """Yield the private brokers of these tests."""
    with closing(Servers()) as servers:
        yield servers


@pytest.mark.untraced
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("broker", BROKERS)
def test_killed_workers_lose_nothing(broker: str, seed: int, servers: Servers) -> None:
    """After kill -9 at random moments each message is processed, and few are repeated."""
    run(broker, seed, servers)
