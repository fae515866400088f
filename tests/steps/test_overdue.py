"""A follower stops an overdue run that its platform did not stop, and stops no other run."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from moorage import (
    AsyncConnectorManager,
    AsyncPlatformInThreads,
    AsyncStepConnector,
    ConnectionFailed,
    ConnectorManager,
    ExecutionResult,
    Service,
    Step,
    StepConnector,
)
from moorage.testing import AsyncVirtualSleeper, MockPlatform, VirtualClock, VirtualSleeper
from tests.steps.step_harness import MODES

if TYPE_CHECKING:
    from moorage.domain.steps.runs import RunStatus

STEP = Step("endless", ["serve"], timeout=100.0, grace=10.0)


class NegligentPlatform(MockPlatform):
    """A platform that enforces no time limit, on a machine with another clock.

    Attributes:
        stop_times: the times of the program's clock at which it was asked to stop the run.
    """

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__({"endless": ExecutionResult.success(stdout="x\n")}, endless=["endless"])
        self._clock = clock
        self.stop_times: list[float] = []

    def status(self, name: str, timeout: float, /) -> RunStatus | None:
        """Return the status of a run, after setting the program's clock forward by a day."""
        self._clock.step_utc(timedelta(days=1))
        return super().status(name, timeout)

    def stop(self, name: str, grace: float, timeout: float, /) -> None:
        """Raise an error the first time; stop the run after that."""
        self.stop_times.append(self._clock.nanoseconds() / 1e9)
        if len(self.stop_times) == 1:
            raise ConnectionFailed("It does not answer.")
        super().stop(name, grace, timeout)


@pytest.mark.parametrize("mode", MODES)
def test_overdue_run_is_stopped_by_the_time_that_it_was_followed(mode: str) -> None:
    """An overdue run is stopped at its limit, not earlier, even if clocks change or differ."""
    clock = VirtualClock()
    platform = NegligentPlatform(clock)

    def run_now() -> ExecutionResult:
        sleeper = VirtualSleeper(clock)
        manager = ConnectorManager([Service("steps")], clock=clock, sleeper=sleeper)
        return StepConnector(platform, manager).execute_step(STEP)

    async def run_later() -> ExecutionResult:
        sleeper = AsyncVirtualSleeper(clock, autojump=True)
        manager = AsyncConnectorManager([Service("steps")], clock=clock, sleeper=sleeper)
        return await AsyncStepConnector(AsyncPlatformInThreads(platform), manager).execute_step(
            STEP
        )

    result = run_now() if mode == "sync" else asyncio.run(run_later())

    assert 143 == result.exit_code
    first, second = platform.stop_times
    assert 115.0 <= first < 117.0
    assert 5.0 <= second - first < 7.0
