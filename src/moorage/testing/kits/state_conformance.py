"""Checks for every store of shared state.

```python
import time

import pytest

from moorage.adapters.state.memory import MemoryStorage  # yours
from moorage.testing import name_of, state_conformance


@pytest.mark.parametrize("check", state_conformance.CHECKS, ids=name_of)
def test_store(check):
    check(MemoryStorage)


@pytest.mark.parametrize("check", state_conformance.TIMED_CHECKS, ids=name_of)
def test_store_in_time(check):
    check(lambda: (MemoryStorage(), time.sleep))


@pytest.mark.parametrize("check", state_conformance.BOUNDED_CHECKS, ids=name_of)
def test_store_at_its_bound(check):
    check(lambda bound: (MemoryStorage(max_entries=bound), time.sleep))
```

`CHECKS` take a function that returns a store; others may use the same store, because each check
uses its own keys. `TIMED_CHECKS` take a function that returns a store, and a function that makes
the store's time pass: `time.sleep`, or the `advance` of a virtual clock. `BOUNDED_CHECKS` take a
function with one argument, the number of unexpired states that the empty store may hold.
`ASYNC_CHECKS`, `ASYNC_TIMED_CHECKS` and `ASYNC_BOUNDED_CHECKS` are for `AsyncStateStorage`, and
awaited.

A store whose `claims_only` is True takes `CLAIM_CHECKS` and `TIMED_CLAIM_CHECKS` instead of the
first two, or `ASYNC_CLAIM_CHECKS` and `ASYNC_TIMED_CLAIM_CHECKS`.

Random values are drawn from a fixed seed, so that a check that fails will fail again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from functools import wraps
from threading import Thread
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from moorage.domain.entries.renewal import MOST_TOGETHER
from moorage.domain.idempotency.claims import Claim, Renew, Verdict
from moorage.domain.idempotency.tenant_records import CountRecords, Reserve
from moorage.domain.resilience.admission import Admission, Gates
from moorage.domain.resilience.budget import BudgetRule, RetryBudget
from moorage.domain.resilience.circuit import CircuitBreakerConfig, CircuitRule
from moorage.domain.resilience.rate_limit import RateLimitConfig
from moorage.domain.values.durations import DAY, SECOND
from moorage.errors import ConfigurationError, InvalidData, StateUnavailable, StorageUnavailable
from moorage.ports.state import AsyncStateStorage, StateStorage
from moorage.runtime.flows import run_now
from moorage.testing.kits._state_bound_checks import (
    a_full_store_keeps_unexpired_states,
    a_full_store_makes_room,
    a_full_store_refuses_new_states,
    reads_store_nothing,
)
from moorage.testing.kits._state_commands import (
    KEEP,
    Append,
    AppendResult,
    BlockingCommand,
    Write,
    are_equal_values,
    new_key,
    plain_value,
    printable,
    random_from,
    read_command,
    require_one_order,
    similar_names,
)
from moorage.testing.kits._state_subject import SHORT, Flow, Stores, Subject
from moorage.testing.kits._state_walk import RandomCommands, require_decision
from moorage.testing.kits.checks import EventTooLate, patience, require, retrying_check

if TYPE_CHECKING:
    from moorage.domain.state.commands import Command, State

PassTime: TypeAlias = Callable[[float], None]
Factory: TypeAlias = Callable[[], StateStorage]
TimedFactory: TypeAlias = Callable[[], tuple[StateStorage, PassTime]]
BoundedFactory: TypeAlias = Callable[[int], tuple[StateStorage, PassTime]]
AsyncFactory: TypeAlias = Callable[[], AsyncStateStorage]
AsyncTimedFactory: TypeAlias = Callable[[], tuple[AsyncStateStorage, PassTime]]
AsyncBoundedFactory: TypeAlias = Callable[[int], tuple[AsyncStateStorage, PassTime]]

Check: TypeAlias = Callable[[Factory], None]
TimedCheck: TypeAlias = Callable[[TimedFactory], None]
BoundedCheck: TypeAlias = Callable[[BoundedFactory], None]
AsyncCheck: TypeAlias = Callable[[AsyncFactory], Coroutine[Any, Any, None]]
AsyncTimedCheck: TypeAlias = Callable[[AsyncTimedFactory], Coroutine[Any, Any, None]]
AsyncBoundedCheck: TypeAlias = Callable[[AsyncBoundedFactory], Coroutine[Any, Any, None]]

_AT_ONCE: Final = 4
_COMMANDS_EACH: Final = 60
_TENANT_BOUND: Final = 20
_SHORT_TIMEOUT: Final = 0.05


_EitherCheck: TypeAlias = Callable[[Stores], Coroutine[Any, Any, None]]


# --- one command after another ---------------------------------------------------


async def a_missing_state_is_none(stores: Stores) -> None:
    """Reading a state that was never written returns None, even repeatedly."""
    store, key = stores(), new_key()
    for _ in range(3):
        require(await store.read(key) is None, "A state that was never written is not None.")


async def states_come_back_unchanged(stores: Stores) -> None:
    """Stored states are returned unchanged, with the same types and exact values."""
    store, random = stores(), random_from(1)
    big_values = (random.randbytes(1_000_000), "漢" * 100_000, tuple(range(10_000)))
    for value in (*(plain_value(random) for _ in range(200)), *big_values):
        key = new_key()
        now, _ = await store.execute(Write({key: value}))
        require(
            are_equal_values(await store.read(key), (now, DAY, value)),
            f"A state that holds {str(value)[:80]!r} was changed by storing it.",
        )


async def keys_are_distinguished(stores: Stores) -> None:
    """Any printable text can be the key of a state; different texts are different keys."""
    store, state_key, random = stores(), new_key(), random_from(2)
    names = dict.fromkeys((*similar_names(), *(printable(random) for _ in range(100))))
    keys = [f"{state_key}:{name}" for name in names]
    for key in keys:
        await store.execute(Write({key: key}))
    for key in keys:
        state = await store.read(key)
        require(state and state[2] == key, f"{key[-80:]!r} is taken for another key.")


async def generated_commands_equal_the_model(stores: Stores) -> None:
    """Random commands on several keys have the same effects as when executed one by one."""
    store = stores()
    for seed in range(20):
        random = random_from(seed)
        keys = [new_key() for _ in range(6)]
        model: dict[str, State] = {}
        for step in range(20):
            chosen_keys = random.sample(keys, random.randint(1, len(keys)))
            values = {key: random.choice((KEEP, plain_value(random))) for key in chosen_keys}
            command = Write(values)
            now, states = await store.execute(command)
            model_states = tuple(model.get(key) for key in chosen_keys)
            require(
                are_equal_values(states, model_states),
                f"In run {seed}, command {step} was given other states than were written.",
            )
            written_states, _ = command.apply(model_states, now)
            model |= {
                key: state
                for key, state in zip(chosen_keys, written_states, strict=True)
                if state is not None
            }


async def an_error_of_a_command_changes_nothing(stores: Stores) -> None:
    """A command's own error is raised unchanged, writes nothing and blocks no other command."""
    store, keys = stores(), [new_key(), new_key()]
    await store.execute(Write({keys[0]: "before"}))
    for _ in range(3):
        failing = Write(dict.fromkeys(keys, "after"), error=InvalidData("Refused."))
        try:
            await store.execute(failing)
        except InvalidData:
            pass
        else:
            raise AssertionError("The error that a command raised did not reach its caller.")
    state = await store.read(keys[0])
    require(
        state and state[2] == "before" and await store.read(keys[1]) is None,
        "A command that raised an error changed a state.",
    )


async def a_state_of_another_layout_is_unusable_alone(stores: Stores) -> None:
    """A state with an unknown layout affects only commands on its own key."""
    store = stores()
    for kind, command in _every_kind(new_key()):
        await store.execute(Write(dict.fromkeys(command.keys, "of another layout")))
        try:
            await store.execute(command)
        except StateUnavailable as error:
            require(
                error.key is None or error.key in command.keys,
                f"The error for a {kind} of another layout names another state.",
            )
        except Exception as error:
            raise AssertionError(
                f"A {kind} of another layout raises {type(error).__name__}."
            ) from error
        else:
            raise AssertionError(f"A {kind} of another layout is read as one of this layout.")
    for kind, command in _every_kind(new_key()):
        answer = await store.execute(command)
        require(answer is not None, f"A {kind} beside one of another layout cannot be used.")


async def time_never_goes_back(stores: Stores) -> None:
    """The time that a store passes to commands is in microseconds and never goes back."""
    store = stores()
    times = [await store.now() for _ in range(50)]
    require(all(type(now) is int for now in times), "The store's time is not an int.")
    require(sorted(times) == times, "The time of the store went back.")
    require(10**15 < times[0] < 10**17, f"{times[0]} are not the microseconds since 1970.")


async def posted_commands_are_executed(stores: Stores) -> None:
    """Each posted command is executed once, at the latest with the next command."""
    store, key = stores(), new_key()
    for number in range(20):
        store.post(Append(number, [key]))
    await store.now()
    state = await store.read(key)
    executed_numbers = () if state is None else state[2]
    require(
        sorted(executed_numbers) == list(range(20)),
        f"Of 20 commands that were posted {len(executed_numbers)} were executed.",
    )


async def only_claims_are_accepted(stores: Stores) -> None:
    """A store for claims only refuses limits, circuits and several keys, and names alternatives."""
    store, key = stores(), f"{new_key()}:limit"
    limit = RateLimitConfig.per_second(5).rule
    admission = Admission(Gates(limits=[limit], limit_keys=[key]), within=0, lease=1)
    for command in (admission, Write({new_key(): 1, new_key(): 2})):
        try:
            await store.execute(command)
        except ConfigurationError as error:
            require("`state=`" in str(error.remedy), "The refusal does not say what to use.")
        else:
            raise AssertionError(f"A store for claims executes {type(command).__name__}.")


async def claims_equal_the_model(stores: Stores) -> None:
    """Claims have the same results in a store as in the pure functions that define them."""
    store = stores()
    for seed in range(10):
        random = random_from(seed)
        drawn_commands = RandomCommands(random, new_key())
        model: dict[str, State | None] = {}
        for step in range(40):
            store.pass_time(random.choice((0, 0, 0.001, 0.02)))
            command = drawn_commands.draw_claim()
            (key,) = command.keys
            earliest_time = await store.now()
            answer = await store.execute(command)
            latest_time, states = await store.execute(read_command(key))
            require_decision(
                f"run {seed}, command {step} ({type(command).__name__})",
                command, (model.get(key),), (answer, states), (earliest_time, latest_time),
            )  # fmt: skip
            model[key] = states[0]
            drawn_commands.remember_reply(command, answer)


async def posting_never_raises(stores: Stores) -> None:
    """Posting a command raises no error, and the store keeps working."""
    store, key = stores(), new_key()
    try:
        store.post(Write({key: 1}, error=InvalidData("Refused.")))
        await store.now()
    except Exception as error:
        raise AssertionError(f"Posting raised {type(error).__name__}.") from error
    require(await store.read(key) is None, "A command that raised an error changed a state.")


def _every_kind(key: str) -> Iterator[tuple[str, Command[Any]]]:
    """Yield a command for each kind of state, and one for several kinds together."""
    circuit, budget = CircuitRule(CircuitBreakerConfig()), BudgetRule(RetryBudget())
    limit, quota = RateLimitConfig.per_second(5), RateLimitConfig.per_calendar_day(5)
    all_gates = Gates(
        circuit=circuit,
        circuit_key=f"{key}:every:circuit",
        limits=[limit.rule, quota.rule],
        limit_keys=[f"{key}:every:limit", f"{key}:every:quota"],
        budget=budget,
        budget_key=f"{key}:every:budget",
    )
    gates = {
        "limit": Gates(limits=[limit.rule], limit_keys=[f"{key}:limit"]),
        "quota": Gates(limits=[quota.rule], limit_keys=[f"{key}:quota"]),
        "circuit": Gates(circuit=circuit, circuit_key=f"{key}:circuit"),
        "retry budget": Gates(budget=budget, budget_key=f"{key}:budget"),
        "circuit with its limits and retry budget": all_gates,
    }
    for kind, rules in gates.items():
        yield kind, Admission(rules, within=0, lease=1)
    claim = Claim(
        f"{key}:claim", fingerprint=b"f", owner=1, lease=DAY, ttl=DAY, target="a", remembered=0
    )
    yield "claim", claim
    yield "renewed claim", Renew([(f"{key}:renewed", 1, DAY)], lease=DAY)


# --- many at once ----------------------------------------------------------------


async def commands_happen_one_after_another(stores: Stores) -> None:
    """Commands of many callers take effect one by one, each between its call and its reply."""
    store = stores()
    for key_count in (1,) if store.claims_only else (1, 3):
        keys = [new_key() for _ in range(2 * key_count - 1)]
        history: list[AppendResult] = []

        def caller(index: int, keys: list[str] = keys, most: int = key_count) -> Flow:
            random = random_from(index)

            async def calls() -> None:
                for step in range(_COMMANDS_EACH):
                    number = index * _COMMANDS_EACH + step
                    shuffled_keys = random.sample(keys, len(keys))
                    size = random.randint(1, most)
                    written_keys, read_keys = (
                        tuple(shuffled_keys[:size]),
                        shuffled_keys[size : size + random.randrange(3)],
                    )
                    start_time = perf_counter_ns()
                    now, logs = await store.execute(Append(number, written_keys, read_keys))
                    end_time = perf_counter_ns()
                    result = AppendResult(number, written_keys, now, logs, start_time, end_time)
                    history.append(result)  # noqa: B023 - run before the loop goes on
                    await store.yield_to_tasks()

            return calls

        await store.together([caller(index) for index in range(_AT_ONCE)])
        states = {key: await store.read(key) for key in keys}
        require_one_order(
            history, {key: state[2] if state else () for key, state in states.items()}
        )


async def a_tenants_records_have_a_bound(stores: Stores) -> None:
    """Concurrent reservations never exceed the maximum number of records of a tenant."""
    store, tenant = stores(), new_key()
    grants: list[int] = []

    async def reserve() -> None:
        for _ in range(_TENANT_BOUND // 2):
            command = Reserve(tenant, bound=_TENANT_BOUND, number=3, life=DAY)
            grants.append((await store.execute(command)).granted)
            await store.yield_to_tasks()

    await store.together([reserve] * _AT_ONCE)
    counted = await store.execute(CountRecords(tenant))
    require(
        (sum(grants), counted) == (_TENANT_BOUND, _TENANT_BOUND),
        f"Of {_TENANT_BOUND} records, {sum(grants)} were granted, and {counted} are counted.",
    )
    other_reservation = Reserve(new_key(), bound=1, number=1, life=DAY)
    require(
        (await store.execute(other_reservation)).granted == 1,
        "A tenant was refused because of the records of another tenant.",
    )


async def readers_see_whole_commands(stores: Stores) -> None:
    """No reader sees only a part of a command's writes."""
    store, keys = stores(), [new_key(), new_key(), new_key()]
    torn_states: list[object] = []

    async def write() -> None:
        for number in range(_COMMANDS_EACH):
            await store.execute(Append(number, keys))
            await store.yield_to_tasks()

    async def look_up_state() -> None:
        for _ in range(_COMMANDS_EACH):
            _, states = await store.execute(read_command(*keys))
            values = {state and state[2:] for state in states}
            torn_states.extend(values if len(values) > 1 else ())
            await store.yield_to_tasks()

    await store.together([write, look_up_state, write, look_up_state])
    require(
        not torn_states, "A reader saw the effect of one command on one key, but not on another."
    )


async def a_cancelled_command_was_executed_or_not(stores: Stores) -> None:
    """A cancelled command is executed fully or not at all, and the store keeps working."""
    store, keys = stores(), [new_key(), new_key()]
    answered_numbers: list[int] = []

    async def append(number: int) -> None:
        await store.execute(Append(number, keys))
        answered_numbers.append(number)

    random = random_from(3)
    for number in range(100):
        task = asyncio.ensure_future(append(number))
        for _ in range(random.randrange(8)):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    await append(100)
    _, states = await store.execute(read_command(*keys))
    logs = [state[2] for state in states]
    require(logs[0] == logs[1], "A cancelled command was written to one of its keys only.")
    require(len(set(logs[0])) == len(logs[0]), "A cancelled command was executed twice.")
    require(
        set(answered_numbers) <= set(logs[0]), "A command that returned an answer was not stored."
    )


# --- while time passes -----------------------------------------------------------


async def time_counts_microseconds(stores: Stores) -> None:
    """A store's time advances a million microseconds per second, within a tolerance."""
    store = stores()
    for seconds in (0.01, 1.0):
        store_start, start_time = await store.now(), perf_counter_ns()
        store.pass_time(seconds)
        passed_time = await store.now() - store_start
        largest_time = seconds * SECOND + (perf_counter_ns() - start_time) // 1000 + SECOND
        require(
            seconds * SECOND <= passed_time <= largest_time,
            f"While {seconds} s passed, the store's time went on by {passed_time} microseconds.",
        )


async def states_are_kept_until_expiry(stores: Stores) -> None:
    """A store keeps a state at least for its `keep_for` time."""
    store, random = stores(), random_from(4)
    written_states: dict[str, State] = {}
    for _ in range(30):
        key, lifetime = new_key(), random.randrange(SHORT)
        now, _ = await store.execute(Write({key: "kept"}, keep_for=lifetime))
        written_states[key] = (now, lifetime, "kept")
    for _ in range(8):
        store.pass_time(SHORT / 8 / SECOND)
        for _ in range(10):
            await store.execute(Write({new_key(): "dust"}, keep_for=0))
        for key, state in written_states.items():
            now, (stored_state,) = await store.execute(read_command(key))
            is_gone = stored_state is None and now >= state[0] + state[1]
            require(
                is_gone or are_equal_values(stored_state, state),
                f"A state was gone {state[0] + state[1] - now} microseconds before its time.",
            )


async def decisions_equal_the_model(stores: Stores) -> None:
    """Limits, circuits, budgets and claims work in a store as in their pure functions."""
    store = stores()
    for seed in range(10):
        random = random_from(seed)
        drawn_commands = RandomCommands(random, new_key())
        model: dict[str, State | None] = {}
        for step in range(60):
            store.pass_time(random.choice((0, 0, 0.001, 0.02)))
            command = drawn_commands.draw()
            earliest_time = await store.now()
            answer = await store.execute(command)
            latest_time, states = await store.execute(read_command(*command.keys))
            previous_states = tuple(map(model.get, command.keys))
            require_decision(
                f"run {seed}, command {step} ({type(command).__name__})",
                command, previous_states, (answer, states), (earliest_time, latest_time),
            )  # fmt: skip
            model.update(zip(command.keys, states, strict=True))
            drawn_commands.remember_reply(command, answer)


async def many_claims_are_renewed_at_once(stores: Stores) -> None:
    """One command renews all claims that are still held, and no others."""
    store, state_key = stores(), new_key()
    keys = [f"{{{state_key}}}:{number}" for number in range(MOST_TOGETHER)]
    fences = [(await store.execute(_claim(key, owner=1))).fence for key in keys]
    claims = [
        (key, fence + (key == keys[-1]), DAY) for key, fence in zip(keys, fences, strict=True)
    ]
    renewal_results = await store.execute(Renew(claims, lease=DAY))
    require(
        renewal_results == (True,) * (MOST_TOGETHER - 1) + (False,),
        f"Of {MOST_TOGETHER - 1} claims that are held, {sum(renewal_results)} were renewed.",
    )
    store.pass_time(2 * SHORT / SECOND)
    for key in (keys[0], keys[-2]):
        verdict = (await store.execute(_claim(key, owner=2))).verdict
        require(verdict is Verdict.BUSY, "A claim that was renewed has lapsed.")
    verdict = (await store.execute(_claim(keys[-1], owner=2))).verdict
    require(verdict is Verdict.RUN, "A claim that was not renewed lasts longer than its lease.")


def _claim(key: str, owner: int) -> Claim:
    return Claim(key, fingerprint=b"", owner=owner, lease=SHORT, ttl=DAY, target="", remembered=0)


# --- in time ---------------------------------------------------------------------


async def commands_take_a_timeout(stores: Stores) -> None:
    """A store accepts a timeout, and executes a command if the time suffices."""
    store, key = stores(), new_key()
    try:
        await store.execute(Write({key: "told"}), timeout=patience())
    except TypeError as error:
        raise AssertionError("`execute` has no parameter `timeout`.") from error
    state = await store.read(key)
    require(state is not None and state[2] == "told", "A command with enough time wrote nothing.")


@retrying_check
async def waits_end_with_the_callers_timeout(stores: Stores) -> None:
    """Behind a slow command, a caller with a shorter timeout stops waiting first."""
    store, key = stores(), new_key()
    await store.execute(Write({key: "there"}))
    blocking_command = BlockingCommand(key, patience())
    end_errors: dict[str, StorageUnavailable | None] = {}

    def start_thread(name: str, command: Command[Any], *timeout: float) -> Thread:
        def run() -> None:
            error = None
            try:
                run_now(store.execute(command, *timeout))
            except StorageUnavailable as refusal:
                error = refusal
            end_errors[name] = error

        thread = Thread(target=run, daemon=True)
        thread.start()
        return thread

    threads = [start_thread("first", blocking_command)]
    require(blocking_command.held.wait(patience()), "A command never began.")
    threads.append(start_thread("patient", Write({key: "later"})))
    threads.append(start_thread("pressed", Write({key: "later"}), _SHORT_TIMEOUT))
    threads[-1].join(patience() / 2)
    # A caller that would give up at the same time has given up by now.
    threads[-2].join(_SHORT_TIMEOUT)
    previous_errors = dict(end_errors)
    blocking_command.free.set()
    for thread in threads:
        thread.join(patience())
    if "pressed" not in previous_errors or previous_errors.get("patient") is not None:
        raise EventTooLate("A command took longer than its caller's time limit.")


# --- in both colours -------------------------------------------------------------


def _sync_function(check: _EitherCheck) -> Callable[[Callable[..., Any]], None]:
    @wraps(check)
    def run_sync(factory: Callable[..., Any]) -> None:
        run_now(check(lambda *bound: Subject(factory(*bound), is_async=False)))

    return run_sync


def _in_worker_thread(
    check: _EitherCheck,
) -> Callable[[Callable[..., Any]], Coroutine[Any, Any, None]]:
    @wraps(check)
    async def run_check(factory: Callable[..., Any]) -> None:
        await check(lambda *bound: Subject(factory(*bound), is_async=True))

    return run_check


_SHARED_CHECKS: Final = (
    a_missing_state_is_none,
    states_come_back_unchanged,
    keys_are_distinguished,
    generated_commands_equal_the_model,
    an_error_of_a_command_changes_nothing,
    a_state_of_another_layout_is_unusable_alone,
    time_never_goes_back,
    posted_commands_are_executed,
    posting_never_raises,
    commands_happen_one_after_another,
    a_tenants_records_have_a_bound,
    readers_see_whole_commands,
    commands_take_a_timeout,
)
_TIMED: Final = (
    time_counts_microseconds,
    states_are_kept_until_expiry,
    decisions_equal_the_model,
    many_claims_are_renewed_at_once,
)
_BOUNDED: Final = (
    a_full_store_refuses_new_states,
    a_full_store_makes_room,
    a_full_store_keeps_unexpired_states,
    reads_store_nothing,
)

_CLAIMS: Final = (
    a_missing_state_is_none,
    states_come_back_unchanged,
    keys_are_distinguished,
    time_never_goes_back,
    posted_commands_are_executed,
    posting_never_raises,
    only_claims_are_accepted,
    commands_happen_one_after_another,
    a_tenants_records_have_a_bound,
    commands_take_a_timeout,
)
_TIMED_CLAIMS: Final = (
    time_counts_microseconds,
    states_are_kept_until_expiry,
    claims_equal_the_model,
    many_claims_are_renewed_at_once,
)

CHECKS: Final[tuple[Check, ...]] = (
    *map(_sync_function, _SHARED_CHECKS),
    _sync_function(waits_end_with_the_callers_timeout),
)

TIMED_CHECKS: Final[tuple[TimedCheck, ...]] = tuple(map(_sync_function, _TIMED))

BOUNDED_CHECKS: Final[tuple[BoundedCheck, ...]] = tuple(map(_sync_function, _BOUNDED))

ASYNC_CHECKS: Final[tuple[AsyncCheck, ...]] = (
    *map(_in_worker_thread, _SHARED_CHECKS),
    _in_worker_thread(a_cancelled_command_was_executed_or_not),
)

ASYNC_TIMED_CHECKS: Final[tuple[AsyncTimedCheck, ...]] = tuple(map(_in_worker_thread, _TIMED))

ASYNC_BOUNDED_CHECKS: Final[tuple[AsyncBoundedCheck, ...]] = tuple(map(_in_worker_thread, _BOUNDED))

CLAIM_CHECKS: Final[tuple[Check, ...]] = (
    *map(_sync_function, _CLAIMS),
    _sync_function(waits_end_with_the_callers_timeout),
)

TIMED_CLAIM_CHECKS: Final[tuple[TimedCheck, ...]] = tuple(map(_sync_function, _TIMED_CLAIMS))

ASYNC_CLAIM_CHECKS: Final[tuple[AsyncCheck, ...]] = tuple(map(_in_worker_thread, _CLAIMS))

ASYNC_TIMED_CLAIM_CHECKS: Final[tuple[AsyncTimedCheck, ...]] = tuple(
    map(_in_worker_thread, _TIMED_CLAIMS)
)
