"""Helper functions of the conformance kits."""

import asyncio
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from moorage import AsyncHub, AttemptTimeout
from moorage.testing.kits._contract_harness import ContractHarness
from moorage.testing.kits.checks import (
    EventTooLate,
    Flag,
    StallMeter,
    in_thread,
    name_of,
    patience,
    require,
    retrying_check,
    sync_check,
    wait_soon,
    withheld_seconds,
)
from moorage.testing.kits.checks import waiting_at_most as at_most


def test_a_check_is_named_by_its_function() -> None:
    """A report shows a check under the name of its function."""
    assert "require" == name_of(require)


def test_require_raises_the_given_sentence() -> None:
    """`require` raises an error with the given sentence if a list is empty, and only then."""
    require([1], "Never said")

    with pytest.raises(AssertionError, match="Said once"):
        require([], "Said once")


def test_waiting_for_an_event_that_never_comes_names_the_event() -> None:
    """Waiting for an event that never comes raises an error that names the event."""
    start = time.monotonic()
    with at_most(0.001), pytest.raises(AssertionError) as late:
        asyncio.run(wait_soon(asyncio.sleep(60), "Never came.", times=2.0))

    assert "Never came. The check waited for 0.002 s." == str(late.value)
    assert time.monotonic() - start < patience() == 20.0


class HangingHarness(ContractHarness[Any]):
    """A fake test environment of a vendor whose operations never end."""

    contract = "payments"

    def hidden(self) -> list[str]:
        """Return nothing to hide."""
        return []


class HangingHub(AsyncHub):
    """A hub whose payments never end."""

    def __init__(self) -> None:
        """Open nothing."""

    def payments(self, *_: Any, **__: Any) -> Any:
        """Return operations that never end."""

        async def charge() -> None:
            await asyncio.Event().wait()

        return SimpleNamespace(charge=charge)


def test_a_hanging_operation_is_named() -> None:
    """A kit's error names the operation that hangs, and says how long the kit waited."""
    sandbox = SimpleNamespace(requests=[], fault_count=0)
    subject = SimpleNamespace(sandbox=sandbox, vendor=SimpleNamespace(capabilities=frozenset()))
    harness = HangingHarness(subject, HangingHub())
    message = r"operation payments\.charge does not come to an end\. .* waited for 0\.02 s\."
    with at_most(0.002), pytest.raises(AssertionError, match=message):
        asyncio.run(harness("charge"))


class SteadyMeter(StallMeter):
    """A time measurement which reports that the machine was never too busy."""

    def _measure(self) -> None:
        """Measure nothing, so that no lost time is reported."""


class BusyMachine(StallMeter):
    """A time measurement which reports that the machine was too busy for a second."""

    def _measure(self) -> None:
        self.lost = 1.0


@pytest.mark.parametrize("late, tries", [(0, 1), (1, 2), (2, 3), (9, 3)])
def test_late_checks_are_retried(late: int, tries: int) -> None:
    """A check that takes too long is tried three times, and then fails."""
    seen_words: list[str] = []

    async def a_check(word: str) -> None:
        seen_words.append(word)
        if len(seen_words) <= late:
            raise EventTooLate("It took 9 s.")

    if late < 3:
        asyncio.run(retrying_check(a_check, SteadyMeter)("once"))
    else:
        with pytest.raises(EventTooLate, match="9 s"):
            asyncio.run(retrying_check(a_check, SteadyMeter)("once"))
    assert ["once"] * tries == seen_words
    assert "a_check" == name_of(retrying_check(a_check))


def test_failed_checks_are_not_retried() -> None:
    """A check that fails for a reason other than its duration is not retried."""
    runs: list[int] = []

    async def a_check() -> None:
        runs.append(1)
        require([], "Said once")

    with pytest.raises(AssertionError, match="Said once"):
        asyncio.run(retrying_check(a_check, SteadyMeter)())
    assert [1] == runs


@pytest.mark.parametrize("error", [EventTooLate("It took 9 s."), AttemptTimeout("No answer.")])
@pytest.mark.parametrize("failures", [5, 11, 99])
def test_a_failure_on_a_busy_machine_is_tried_again(error: Exception, failures: int) -> None:
    """On a busy machine a check is retried after any failure, but at most eleven times."""
    tries: list[int] = []

    async def a_check() -> None:
        tries.append(1)
        if len(tries) <= failures:
            raise error

    if failures < 12:
        asyncio.run(retrying_check(a_check, BusyMachine)())
    else:
        with pytest.raises(type(error)):
            asyncio.run(retrying_check(a_check, BusyMachine)())
    assert min(failures + 1, 12) == len(tries)


@pytest.mark.parametrize(
    "wall, used, expected", [(0.02, 0.0, 0.0), (0.024, 0.0, 0.0), (0.52, 0.0, 0.5), (0.52, 0.5, 0)]
)
def test_lost_time_excludes_the_pause_and_the_work_of_the_process(
    wall: float, used: float, expected: float
) -> None:
    """Lost time excludes the measured pause, the process's own work and a timer's usual delay."""
    assert pytest.approx(expected) == withheld_seconds(wall, used)


def test_time_measurement_ends_with_its_block() -> None:
    """A measurement ends with its block, and its result can be read afterwards."""
    with StallMeter() as control:
        [thread] = [result for result in threading.enumerate() if "control" in result.name]

    assert 0.0 <= control.lost
    assert not thread.is_alive()


def test_a_call_in_a_thread_answers_or_raises() -> None:
    """A blocking call runs in another thread, and its caller gets its result or error."""
    assert threading.get_ident() != asyncio.run(in_thread(threading.get_ident))
    with pytest.raises(ZeroDivisionError):
        asyncio.run(in_thread(lambda: 1 // 0))


def _until_alone(threads: int) -> None:
    end = time.monotonic() + 20
    while threading.active_count() > threads and time.monotonic() < end:
        time.sleep(0.000_5)


@pytest.mark.parametrize("divisor", [0, 1])
def test_abandoned_thread_results_are_dropped(divisor: int) -> None:
    """The result of a call in a thread is dropped if its caller has stopped waiting."""

    async def leave() -> None:
        gate = threading.Event()
        late_task = asyncio.ensure_future(in_thread(lambda: 1 // divisor * gate.wait(20)))
        await asyncio.sleep(0)
        late_task.cancel()
        gate.set()
        await asyncio.to_thread(_until_alone, threads_before + 1)
        await asyncio.sleep(0)

    threads_before = threading.active_count()
    asyncio.run(leave())


def test_waiting_for_a_flag_ends() -> None:
    """Waiting for a flag returns at once if it is set, and stops after a while if it never is."""
    with at_most(0.08):
        unset_flag, flag = Flag(), Flag()
    flag.set()

    assert flag.is_set()
    assert (False, True) == (asyncio.run(unset_flag.wait()), asyncio.run(flag.wait()))


def test_check_runs_with_a_wrapped_adapter() -> None:
    """A check keeps its name if its factory is wrapped, and gets the wrapped adapter."""
    factory_results: list[int] = []

    async def a_check(factory: Callable[[], int]) -> None:
        """Create and record an adapter."""
        factory_results.append(factory())

    blocking_check = sync_check(a_check, lambda factory: factory() + 1)
    blocking_check(int)

    assert ("a_check", [1]) == (name_of(blocking_check), factory_results)
