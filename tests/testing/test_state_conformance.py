"""The conformance kit of state stores passes correct ones, and finds faulty ones."""

from __future__ import annotations

import asyncio
import re
from time import sleep
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs
import pytest

from moorage.domain.resilience.admission import Answer as Verdict
from moorage.domain.values.durations import SECOND
from moorage.errors import InvalidData, StateUnavailable, StorageUnavailable
from moorage.testing import state_conformance as kit
from moorage.testing.kits._state_commands import AppendResult, require_one_order
from moorage.testing.kits._state_walk import are_nearly_equal, require_decision
from moorage.testing.kits.checks import name_of, waiting_at_most
from tests.testing.naive_store import AsyncNaiveStore, NaiveStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.state.commands import Command, State, States

Plain: TypeAlias = "type[NaiveStore]"
Answer: TypeAlias = Any
"""The answer of a command, or the product of a factory."""


@attrs.frozen
class Retry:
    """A command's result that contains a duration: the time until the next try."""

    after: float


def _timed_execute(store: Callable[..., Any]) -> Callable[..., Any]:
    def make_store(*bound: int) -> Answer:
        state_store = store(*bound)
        return state_store, state_store.time.pass_by

    return make_store


# --- what is right ---------------------------------------------------------------


@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_correct_synchronous_store_passes(check: kit.Check) -> None:
    """A correct synchronous store with one lock around all commands passes the checks."""
    check(NaiveStore)


@pytest.mark.parametrize("check", [*kit.TIMED_CHECKS, *kit.BOUNDED_CHECKS], ids=name_of)
def test_correct_synchronous_store_with_late_removal_passes(
    check: Callable[..., None],
) -> None:
    """A correct synchronous store that removes expired states only when full passes the checks."""
    check(_timed_execute(NaiveStore))


@pytest.mark.parametrize("check", kit.ASYNC_CHECKS, ids=name_of)
def test_correct_asynchronous_store_passes(check: kit.AsyncCheck) -> None:
    """A correct asynchronous store with one lock around all commands passes the checks."""
    asyncio.run(check(AsyncNaiveStore))


@pytest.mark.parametrize("check", [*kit.ASYNC_TIMED_CHECKS, *kit.ASYNC_BOUNDED_CHECKS], ids=name_of)
def test_correct_asynchronous_store_with_late_removal_passes(
    check: Callable[..., Any],
) -> None:
    """A correct asynchronous store that removes expired states only when full passes the checks."""
    asyncio.run(check(_timed_execute(AsyncNaiveStore)))


@pytest.mark.parametrize("pause", [0.05, 0.1, 1.0, 2.5], ids=str)
def test_correct_store_that_removes_expired_states_at_once_passes(pause: float) -> None:
    """A correct store passes even if states expire between the kit's commands."""
    (check,) = (
        check for check in kit.TIMED_CHECKS if name_of(check) == "decisions_equal_the_model"
    )

    class BusyStore(NaiveStore):
        """A correct store that removes all expired states, and pauses between commands."""

        def now(self) -> int:
            self.time.pass_by(pause)
            now = super().now()
            self.forget(now)
            return now

        def execute(self, command: Command[Answer], /, timeout: float | None = None) -> Answer:
            self.now()
            return super().execute(command, timeout)

    check(_timed_execute(BusyStore))


class UnstableCommand:
    """A command that writes nothing, and whose result changes every second."""

    keys = ("place",)
    once = False
    durable = False

    def apply(self, states: States, now: int) -> tuple[States, str]:
        """Return the states unchanged, with a result that depends on the current second."""
        return states, ("first", "second", "third")[now // SECOND]


def test_result_may_be_right_at_any_moment_of_the_command() -> None:
    """The kit accepts a result that is right at any moment between a command's start and end."""
    span = (SECOND - 1, 2 * SECOND)
    require_decision("a run", UnstableCommand(), (None,), ("second", (None,)), span)

    with pytest.raises(AssertionError, match="In a run, the store answered 'third'"):
        require_decision("a run", UnstableCommand(), (None,), ("third", (None,)), (0, SECOND))


@pytest.mark.parametrize(
    "checks",
    [
        (kit.CHECKS, kit.ASYNC_CHECKS),
        (kit.TIMED_CHECKS, kit.ASYNC_TIMED_CHECKS),
        (kit.BOUNDED_CHECKS, kit.ASYNC_BOUNDED_CHECKS),
    ],
)
def test_both_modes_have_the_same_checks(checks: tuple[tuple[Any, ...], ...]) -> None:
    """All checks of the synchronous kit are also in the asynchronous kit."""
    sync_checks, async_checks = ([name_of(check) for check in family] for family in checks)
    sync_checks = [name for name in sync_checks if name != "waits_end_with_the_callers_timeout"]

    assert sync_checks == async_checks[: len(sync_checks)]
    assert all(check.__doc__ for check in (*checks[0], *checks[1]))


# --- what is wrong ---------------------------------------------------------------


class _EmptyForMissingStore(NaiveStore):
    """A faulty store that returns an empty state for a missing one."""

    def read(self, key: str) -> State | None:
        return self.cells.get(key, ())


class _BooleansAsNumbersStore(NaiveStore):
    """A faulty store that stores booleans as numbers."""

    def put(self, key: str, state: State) -> None:
        self.cells[key] = tuple(int(item) if isinstance(item, bool) else item for item in state)


class _IgnoresKeyCaseStore(NaiveStore):
    """A faulty store that ignores the case of keys."""

    def read(self, key: str) -> State | None:
        return self.cells.get(key.strip().casefold())

    def put(self, key: str, state: State) -> None:
        self.cells[key.strip().casefold()] = state


class _DropsThirdStateStore(NaiveStore):
    """A faulty store that drops the third state that a command writes."""

    def write(self, states: dict[str, State | None], now: int) -> None:
        super().write(dict(list(states.items())[:2]), now)


class _WritesTooEarlyStore(NaiveStore):
    """A faulty store that writes states before the command has decided what to write."""

    def execute(self, command: Command[Any], /, timeout: float | None = None) -> Answer:
        try:
            return super().execute(command, timeout)
        except InvalidData:
            super().write({key: (self.now(), 9**9, "after") for key in command.keys}, 0)
            raise


class _HidesErrorsStore(NaiveStore):
    """A faulty store that hides errors."""

    def execute(self, command: Command[Any], /, timeout: float | None = None) -> Answer:
        try:
            return super().execute(command, timeout)
        except InvalidData:
            return None


class _FractionalStore(NaiveStore):
    """A faulty store whose clock returns fractions instead of integers."""

    def now(self) -> int:
        return super().now() / 1  # type: ignore[return-value]  # which is what is wrong


class _BackwardsClockStore(NaiveStore):
    """A faulty store whose clock runs backwards."""

    def now(self) -> int:
        return 3 * 10**15 - super().now()


class _NewClockStore(NaiveStore):
    """A faulty store whose clock starts when the store is created."""

    def now(self) -> int:
        return super().now() - 10**15


class _DropsPostedCommandsStore(NaiveStore):
    """A faulty store that drops commands given to `post`."""

    def post(self, command: Command[Any], /) -> None:
        """Drop the command."""


class _PostRaisesStore(NaiveStore):
    """A faulty store whose `post` raises an error."""

    def post(self, command: Command[Any], /) -> None:
        self.execute(command)


class _UnlockedStore(NaiveStore):
    """A faulty store without a lock."""

    def execute(self, command: Command[Any], /, timeout: float | None = None) -> Answer:
        previous_states = tuple(map(self.read, command.keys))
        now = self.now()
        next_states, answer = command.apply(previous_states, now)
        sleep(0)
        self.write(dict(zip(command.keys, next_states, strict=True)), now)
        return answer


class _ExecutesTwiceStore(NaiveStore):
    """A faulty store that executes every command twice."""

    def execute(self, command: Command[Any], /, timeout: float | None = None) -> Answer:
        super().execute(command, timeout)
        return super().execute(command, timeout)


class _ReadsClockBeforeLockStore(NaiveStore):
    """A faulty store that reads the clock before it gets its lock."""

    def execute(self, command: Command[Any], /, timeout: float | None = None) -> Answer:
        now = super().now()
        sleep(0)
        with self.lock:
            next_states, answer = command.apply(tuple(map(self.read, command.keys)), now)
            self.write(dict(zip(command.keys, next_states, strict=True)), now)
            return answer


class _WritingBackStore(NaiveStore):
    """A faulty store that also writes unchanged states, and so undoes other callers' changes."""

    def execute(self, command: Command[Any], /, timeout: float | None = None) -> Answer:
        while True:
            previous_states = tuple(map(self.read, command.keys))
            now = self.now()
            next_states, answer = command.apply(previous_states, now)
            triples = list(zip(command.keys, previous_states, next_states, strict=True))
            sleep(0)
            with self.lock:
                if all(
                    self.read(key) is old_values
                    for key, old_values, new_values in triples
                    if new_values is not old_values
                ):
                    self.write(dict(zip(command.keys, next_states, strict=True)), now)
                    return answer


class _OneByOneStore(NaiveStore):
    """A faulty store that writes a command's keys one by one, so that others see partial writes."""

    def write(self, states: dict[str, State | None], now: int) -> None:
        for key, state in states.items():
            super().write({key: state}, now)
            self.lock.release()
            sleep(0)
            self.lock.acquire()


class _ServesOnlyFirstCallerStore(NaiveStore):
    """A faulty store that serves only its first caller."""

    def execute(self, command: Command[Any], /, timeout: float | None = None) -> Answer:
        if command.once:
            self.lock.acquire()
        return super().execute(command, timeout)


class _MillisecondStore(NaiveStore):
    """A faulty store whose clock counts milliseconds."""

    def now(self) -> int:
        return 10**15 + super().now() // 1000


class _NanosecondStore(NaiveStore):
    """A faulty store whose clock counts nanoseconds."""

    def now(self) -> int:
        return super().now() * 1000 % 10**16 + 10**15


class _HalvesLifetimeStore(NaiveStore):
    """A faulty store that removes each state after half of its lifetime."""

    def read(self, key: str) -> State | None:
        state = self.cells.get(key)
        return None if state and state[0] + state[1] / 2 < self.time.micros else state


class _RoundingStore(NaiveStore):
    """A faulty store that loses the last digit of large numbers."""

    def put(self, key: str, state: State) -> None:
        self.cells[key] = (*state[:2], *(_round_down(item) for item in state[2:]))


def _round_down(item: object) -> object:
    return item // 10 * 10 if isinstance(item, int) and item > 10**9 else item


class _IgnoresMaximumSizeStore(NaiveStore):
    """A faulty store that ignores its maximum size."""

    def __init__(self, _: int) -> None:
        super().__init__()


class _PartialStore(NaiveStore):
    """A faulty store that, when full, writes only some of a command's states."""

    def write(self, states: dict[str, State | None], now: int) -> None:
        for key, state in states.items():
            super().write({key: state}, now)


class _RemovesUnexpiredStatesStore(NaiveStore):
    """A faulty store that removes unexpired states to free space."""

    def forget(self, now: int) -> None:
        self.cells.pop(next(iter(self.cells)))


class _NeverRemovesStore(NaiveStore):
    """A faulty store that never removes a state."""

    def forget(self, now: int) -> None:
        """Remove nothing."""


class _CreatesStateOnReadStore(NaiveStore):
    """A faulty store that creates a state for every key that is read."""

    def read(self, key: str) -> State | None:
        if key not in self.cells:
            super().write({key: (0, 9**9)}, 0)
        state = self.cells[key]
        return None if len(state) == 2 else state


class _ReadRefusingStore(NaiveStore):
    """A faulty store that refuses even reads when it is full."""

    def execute(self, command: Command[Any], /, timeout: float | None = None) -> Answer:
        if len(self.cells) >= self.bound and not all(key in self.cells for key in command.keys):
            raise StorageUnavailable("full")
        return super().execute(command, timeout)


class _IgnoresTimeoutStore(NaiveStore):
    """A faulty store that ignores its caller's timeout."""

    def execute(self, command: Command[Any], /, timeout: float | None = None) -> Answer:
        return super().execute(command)


class _EqualWaitStore(NaiveStore):
    """A faulty store that ignores timeouts, and lets every caller wait equally long."""

    def execute(self, command: Command[Any], /, timeout: float | None = None) -> Answer:
        return super().execute(command, 0.2)


class _RaisesValueErrorStore(NaiveStore):
    """A faulty store that raises ValueError for a state that is unreadable."""

    def execute(self, command: Command[Any], /, timeout: float | None = None) -> Answer:
        try:
            return super().execute(command, timeout)
        except StateUnavailable:
            raise ValueError("not enough values to unpack") from None


class _RemovesUnreadableStatesStore(NaiveStore):
    """A faulty store that removes every unreadable state."""

    def execute(self, command: Command[Any], /, timeout: float | None = None) -> Answer:
        try:
            return super().execute(command, timeout)
        except StateUnavailable:
            for key in command.keys:
                self.cells.pop(key, None)
            return super().execute(command, timeout)


class _NamesWrongStateStore(NaiveStore):
    """A faulty store whose error names the wrong state as unreadable."""

    def execute(self, command: Command[Any], /, timeout: float | None = None) -> Answer:
        try:
            return super().execute(command, timeout)
        except StateUnavailable as error:
            raise StateUnavailable(error.message, key="another") from None


class _WithoutTimeoutParameterStore(NaiveStore):
    """A faulty store whose `execute` has no parameter for a timeout."""

    def execute(self, command: Command[Any], /) -> Answer:  # type: ignore[override]  # which is what is wrong
        return super().execute(command)


@pytest.mark.parametrize(
    "check, store, sentence",
    [
        ("a_missing_state_is_none", _EmptyForMissingStore, "is not None"),
        ("states_come_back_unchanged", _BooleansAsNumbersStore, "changed by storing"),
        ("keys_are_distinguished", _IgnoresKeyCaseStore, "another key"),
        (
            "generated_commands_equal_the_model",
            _DropsThirdStateStore,
            "other states than were written",
        ),
        ("an_error_of_a_command_changes_nothing", _WritesTooEarlyStore, "changed a state"),
        ("an_error_of_a_command_changes_nothing", _HidesErrorsStore, "did not reach its caller"),
        (
            "a_state_of_another_layout_is_unusable_alone",
            _RaisesValueErrorStore,
            "limit of another layout raises",
        ),
        (
            "a_state_of_another_layout_is_unusable_alone",
            _RemovesUnreadableStatesStore,
            "read as one of this layout",
        ),
        (
            "a_state_of_another_layout_is_unusable_alone",
            _NamesWrongStateStore,
            "names another state",
        ),
        ("time_never_goes_back", _FractionalStore, "not an int"),
        ("time_never_goes_back", _BackwardsClockStore, "went back"),
        ("time_never_goes_back", _NewClockStore, "since 1970"),
        ("posted_commands_are_executed", _DropsPostedCommandsStore, "0 were executed"),
        ("posting_never_raises", _PostRaisesStore, "raised InvalidData"),
        ("commands_happen_one_after_another", _UnlockedStore, "left their mark"),
        ("commands_happen_one_after_another", _ExecutesTwiceStore, "left their mark"),
        ("commands_happen_one_after_another", _WritingBackStore, "left their mark"),
        (
            "commands_happen_one_after_another",
            _ReadsClockBeforeLockStore,
            "A command got an earlier time than its states: the store reads its clock too early",
        ),
        (
            "readers_see_whole_commands",
            _OneByOneStore,
            "A reader saw the effect of one command on one key, but not on another",
        ),
        (
            "commands_take_a_timeout",
            _WithoutTimeoutParameterStore,
            "`execute` has no parameter `timeout`",
        ),
        ("time_counts_microseconds", _MillisecondStore, "went on by"),
        ("time_counts_microseconds", _NanosecondStore, "went on by"),
        ("states_are_kept_until_expiry", _HalvesLifetimeStore, "before its time"),
        ("decisions_equal_the_model", _RoundingStore, "the model differs"),
        ("a_full_store_refuses_new_states", _IgnoresMaximumSizeStore, "accepted one more"),
        ("a_full_store_refuses_new_states", _PartialStore, "changed a state"),
        ("a_full_store_refuses_new_states", _RemovesUnexpiredStatesStore, "changed a state"),
        ("a_full_store_makes_room", _NeverRemovesStore, "refused a state before"),
        (
            "a_full_store_keeps_unexpired_states",
            _RemovesUnexpiredStatesStore,
            "A state that is still in use was removed to make room",
        ),
        ("reads_store_nothing", _CreatesStateOnReadStore, "refused to be read"),
        ("reads_store_nothing", _ReadRefusingStore, "refused to be read"),
    ],
)
def test_notices_broken_stores(check: str, store: Plain, sentence: str) -> None:
    """A state store with one fault fails the check that looks for this fault."""
    checks: tuple[Callable[..., None], ...] = (
        *kit.CHECKS,
        *kit.TIMED_CHECKS,
        *kit.BOUNDED_CHECKS,
    )
    (the_check,) = (item for item in checks if name_of(item) == check)
    make_store: Callable[..., Any] = store if the_check in kit.CHECKS else _timed_execute(store)

    with pytest.raises(AssertionError, match=re.escape(sentence)):
        the_check(make_store)


@pytest.mark.parametrize("store", [_IgnoresTimeoutStore, _EqualWaitStore])
def test_a_store_that_waits_too_long_is_noticed(store: Plain) -> None:
    """A store that ignores its caller's time limit fails the check."""
    (check,) = (c for c in kit.CHECKS if name_of(c) == "waits_end_with_the_callers_timeout")

    with (
        waiting_at_most(1),
        pytest.raises(AssertionError, match="longer than its caller's time limit"),
    ):
        check(store)


def test_a_store_that_hangs_is_given_up() -> None:
    """If a command never ends, its check fails after a time limit."""
    (check,) = (c for c in kit.CHECKS if name_of(c) == "commands_happen_one_after_another")

    with waiting_at_most(0.01), pytest.raises(AssertionError, match="A command never returned"):
        check(_ServesOnlyFirstCallerStore)


def test_store_exceptions_pass_through() -> None:
    """An unexpected exception of a store is raised unchanged."""
    (check,) = (c for c in kit.CHECKS if name_of(c) == "readers_see_whole_commands")

    with pytest.raises(KeyError, match="broken"):
        check(_BrokenStore)


class _BrokenStore(NaiveStore):
    """A faulty store that raises the given error."""

    def read(self, key: str) -> State | None:
        raise KeyError("broken")


class _CancelledBetweenWritesStore(AsyncNaiveStore):
    """A faulty store that can be cancelled between the writes of two keys."""

    async def execute(self, command: Command[Any], /, timeout: float | None = None) -> Answer:
        async with self.turn:
            plain_store = self.plain
            next_states, answer = command.apply(
                tuple(map(plain_store.read, command.keys)), plain_store.now()
            )
            for key, state in zip(command.keys, next_states, strict=True):
                plain_store.write({key: state}, 0)
                await asyncio.sleep(0)
        return answer


class _RepeatsCancelledCommandStore(AsyncNaiveStore):
    """A faulty store that executes a cancelled command once more."""

    async def execute(self, command: Command[Any], /, timeout: float | None = None) -> Answer:
        try:
            return await super().execute(command, timeout)
        except asyncio.CancelledError:
            self.plain.execute(command, timeout)
            raise


class _UndoesEarlierCommandsStore(AsyncNaiveStore):
    """A faulty store that undoes all earlier commands if the last one is cancelled."""

    async def execute(self, command: Command[Any], /, timeout: float | None = None) -> Answer:
        try:
            return await super().execute(command, timeout)
        except asyncio.CancelledError:
            self.plain.cells.clear()
            raise


@pytest.mark.parametrize(
    "store, sentence",
    [
        (_CancelledBetweenWritesStore, "one of its keys only"),
        (_RepeatsCancelledCommandStore, "executed twice"),
        (_UndoesEarlierCommandsStore, "was not stored"),
    ],
)
def test_a_store_that_is_cancelled_badly_is_noticed(store: kit.AsyncFactory, sentence: str) -> None:
    """A store that runs a cancelled command partly, twice or not at all fails the check."""
    with pytest.raises(AssertionError, match=sentence):
        asyncio.run(kit.ASYNC_CHECKS[-1](store))


# --- histories -------------------------------------------------------------------


def _append_result(number: int, *keys: str, **details: Any) -> AppendResult:
    options: dict[str, Any] = {"now": 0, "found": ((),) * len(keys), "began": 0, "ended": 9}
    return AppendResult(number=number, keys=keys, **(options | details))


def test_any_common_order_is_accepted() -> None:
    """Two concurrent commands may run in either order, if both keys agree on the order."""
    appended = _append_result(1, "a", "b")
    two = _append_result(2, "b", "a", found=((1,), (1,)))

    require_one_order([appended, two], {"a": (1, 2), "b": (1, 2)})


@pytest.mark.parametrize(
    "history, logs, sentence",
    [
        ([_append_result(1, "a")], {"a": ()}, "Of 1 commands 0 left their mark"),
        ([_append_result(1, "a")], {"a": (1, 1)}, "Of 1 commands 1 left their mark, 2 times"),
        (
            [_append_result(1, "a", found=((7,),))],
            {"a": (1,)},
            "A command got a state that never existed, or that another command had changed since",
        ),
        (
            [
                _append_result(1, "a", began=5, ended=6),
                _append_result(2, "a", found=((1,),), ended=4),
            ],
            {"a": (1, 2)},
            "A command did not see the effect of an earlier command",
        ),
        (
            [_append_result(1, "a", now=2), _append_result(2, "a", found=((1,),), now=1)],
            {"a": (1, 2)},
            "A command got an earlier time than its states: the store reads its clock too early",
        ),
        (
            [
                _append_result(1, "a", "b", found=((), (2,))),
                _append_result(2, "a", "b", found=((1,), ())),
            ],
            {"a": (1, 2), "b": (2, 1)},
            "different orders for different keys",
        ),
    ],
)
def test_kit_finds_lost_doubled_and_outdated_commands(
    history: list[AppendResult], logs: dict[str, tuple[int, ...]], sentence: str
) -> None:
    """The kit finds lost, doubled, outdated and contradictory commands."""
    with pytest.raises(AssertionError, match=sentence):
        require_one_order(history, logs)


@pytest.mark.parametrize(
    "one, other, is_near",
    [
        ((1, "a", None), (3, "a", None), True),
        ((1, "a"), (4, "a"), False),
        ((1,), (1, 1), False),
        (1, True, False),
        (1.5, 3.0, True),
        (b"a", "a", False),
        (Verdict.GO, Verdict.NEEDS_TOKEN, False),
        (Retry(after=1.0), Retry(after=2.5), True),
        (Retry(after=1.0), Retry(after=9.0), False),
    ],
)
def test_answers_may_differ_by_the_time_that_passed(
    one: object, other: object, *, is_near: bool
) -> None:
    """Durations in two results may differ by the time between them; all else must be equal."""
    assert is_near is are_nearly_equal(one, other, 2)
