"""The register of operations with an unknown outcome, which all processes share.

An effect is registered before its first request leaves, and removed as soon as its outcome is
known. An effect that remains belongs to a process that is still at work, has died, or lost the
response.

Laws:

1. An effect is on the list of its shard exactly as long as it is open.
2. A caller that ends without knowing the outcome removes the effect only if nobody has registered
   it again since.
3. An effect that a person has settled stays settled: a repeat gets that answer, or, if it was never
   done, begins a new round under keys that no earlier request has used.
4. An effect is settled as never done only when no request for it can still be under way.
5. A caller that sends nothing does not lengthen the wait of others.
6. A look-up that finds nothing proves something only if it began so long after the time of the last
   holder that the vendor must list what was done. That time is measured by the store's clock.

The state of an effect is `(seen, keep_for, stage, number, since, until, again, round, fingerprint,
what, answer)`: `until` is the end of its last holder's time, `again` the time of the next possible
look-up. The `answer` of an open effect is None until a look-up at the vendor has failed, and then
`(searched, asked, count, result, error)`: the longest time without activity after which a look-up
found nothing, the time of the last look-up, the number of look-ups, and the last result. The state
of a shard is `(seen, keep_for, names)`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias
from zlib import crc32

from moorage.domain.state.commands import reading_time, refusing_unreadable_states
from moorage.domain.state.keys import REGISTER, state_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moorage.domain.state.commands import State, States

OPEN: Final = 0
SETTLED: Final = 1
FREED: Final = 2

KEPT: Final = 366 * 86_400_000_000
"""Microseconds for which the register stores open operations, and operations that a person has
settled.
"""

_SHARDS: Final = 16
_GONE_TTL: Final = 1

Effect: TypeAlias = "tuple[int, int, int, int, int, int, int, int, bytes, Any, Any]"


def effect_name(contract: str, tenant: str | None, key: str) -> str:
    """Return the idempotency key under which the register stores an operation."""
    tenant_suffix = "" if tenant is None else f"@{tenant}"
    return state_key(REGISTER, contract, None, "effect", tenant_suffix, key)


def shards(contract: str) -> tuple[str, ...]:
    """Return the idempotency keys under which the register lists a contract's open operations."""
    return tuple(_shard(contract, number) for number in range(_SHARDS))


def _shard(contract: str, number: int) -> str:
    return state_key(REGISTER, contract, None, "list", str(number))


def _account_names(contract: str, tenant: str | None, key: str) -> tuple[str, str]:
    name = effect_name(contract, tenant, key)
    return name, _shard(contract, crc32(name.encode()) % _SHARDS)


class Registration(NamedTuple):
    """The reply to a registration: the operation's number and state in the register.

    Attributes:
        number: the number to remove the effect with; 0 if another payload has the key.
        first: whether the effect was not open before.
        round: the number of times that it was settled as never done.
        settled: whether a person has settled it as done.
        same: whether it was registered with the same payload.
        forgotten: whether it has been open for so long that the claims of its key may be deleted.
        answer: the outcome that the person recorded.
        held: microseconds for which an earlier holder may still be at work.
    """

    number: int = 0
    first: bool = False
    round: int = 0
    settled: bool = False
    same: bool = True
    forgotten: bool = False
    answer: Any = None
    held: int = 0


class RegisterOperation:
    """The command that registers an operation that lasts at most `span` microseconds.

    The claims of the effect's key exist for at least `memory` microseconds; an effect that stayed
    open longer is not requested again. `operation` and `content` describe the request, so that any
    process can repeat it while it is open. `accounts` are the names of the accounts that may
    execute it. If the operation is registered again while it is open, the accounts of each
    registration remain, since any of them may have executed it.
    """

    __slots__ = ("accounts", "content", "fingerprint", "keys", "memory", "request", "span")
    once = False
    durable = True

    def __init__(
        self,
        contract: str,
        tenant: str | None,
        key: str,
        *,
        fingerprint: bytes,
        operation: str,
        accounts: tuple[str, ...],
        content: Any,
        span: int,
        memory: int,
    ) -> None:
        self.keys = _account_names(contract, tenant, key)
        self.fingerprint = fingerprint
        self.request = (tenant, key, operation)
        self.accounts = accounts
        self.content = content
        self.span = span
        self.memory = memory

    @refusing_unreadable_states
    def apply(self, states: States, now: int) -> tuple[States, Registration]:
        """Return the register with this operation added.

        Nothing changes if the effect is settled, or if its key belongs to another payload.
        """
        effect, register_page = _effect(states[0], now), states[1]
        accounts = self.accounts
        if effect is None:
            stage, number, opened_at, holding_end, due_at, lookup_turn = FREED, 0, now, 0, 0, 0
            is_same, answer = True, None
        else:
            (
                _,
                _,
                stage,
                number,
                opened_at,
                holding_end,
                due_at,
                lookup_turn,
                fingerprint,
                what,
                answer,
            ) = effect
            is_same = fingerprint == self.fingerprint
            if stage == OPEN:
                accounts = tuple(dict.fromkeys((*what[3], *accounts)))
            if stage == SETTLED:
                return states, Registration(settled=True, same=is_same, answer=answer)
        if stage == OPEN and not is_same:
            return states, Registration(round=lookup_turn, same=False)
        if stage == OPEN and now + self.span > opened_at + self.memory:
            return states, Registration(round=lookup_turn, forgotten=True)
        is_first = stage != OPEN
        if is_first:
            opened_at, holding_end, due_at, answer = now, 0, 0, None
        elif answer is not None:
            answer = (None, *answer[1:])
        number, end_time = max(now, number + 1), max(now + self.span, holding_end)
        held_for = max(0, holding_end - now)
        open_effect = (
            *(now, KEPT, OPEN, number, opened_at, end_time, max(end_time, due_at), lookup_turn),
            *(self.fingerprint, (*self.request, accounts, self.content), answer),
        )
        registration = Registration(number, is_first, lookup_turn, held=held_for)
        return (open_effect, _list_effect(register_page, now, self.keys[0])), registration


class ReadRegistration:
    """The command that reads an operation's register entry, for a call that sends nothing."""

    __slots__ = ("fingerprint", "keys")
    once = False
    durable = True

    def __init__(self, contract: str, tenant: str | None, key: str, *, fingerprint: bytes) -> None:
        self.keys = (effect_name(contract, tenant, key),)
        self.fingerprint = fingerprint

    @refusing_unreadable_states
    def apply(self, states: States, now: int) -> tuple[States, Registration]:
        """Return the operation's record; the number is 0 if it is not open with this payload."""
        effect = _effect(states[0], now)
        if effect is None:
            return states, Registration()
        _, _, stage, number, _, _, _, lookup_turn, fingerprint, _, answer = effect
        is_same = fingerprint == self.fingerprint
        if stage == SETTLED:
            return states, Registration(settled=True, same=is_same, answer=answer)
        is_own = stage == OPEN and is_same
        return states, Registration(
            number if is_own else 0, round=lookup_turn, same=stage != OPEN or is_same
        )


class EndHolding:
    """The command by which a caller that sent nothing lets others look up the outcome again.

    Other holders keep their time. Without this command, repeats that send nothing would keep others
    from settling the effect. Only the last holder may use it, because only the last holder knows
    how long (`held`) earlier holders may still work.
    """

    __slots__ = ("held", "keys", "number")
    once = False
    durable = True

    def __init__(
        self, contract: str, tenant: str | None, key: str, *, number: int, held: int
    ) -> None:
        self.keys = (effect_name(contract, tenant, key),)
        self.number = number
        self.held = held

    @refusing_unreadable_states
    def apply(self, states: States, now: int) -> tuple[States, bool]:
        """Stop delaying look-ups by others; return False if another caller registered later."""
        effect = _effect(states[0], now)
        if effect is None or effect[2] != OPEN or effect[3] != self.number:
            return states, False
        end_time = min(effect[5], now + self.held)
        due_at = end_time if effect[6] == effect[5] else effect[6]
        return ((*effect[:5], end_time, due_at, *effect[7:]),), True


class UnregisterOperation:
    """The command that removes an operation with a known outcome from the register.

    If `is_certain` is False, the outcome is not certain for all callers; then only the caller that
    registered the effect last may remove it.
    """

    __slots__ = ("certain", "keys", "number")
    once = False
    durable = True

    def __init__(
        self, contract: str, tenant: str | None, key: str, *, number: int, is_certain: bool
    ) -> None:
        self.keys = _account_names(contract, tenant, key)
        self.number = number
        self.certain = is_certain

    @refusing_unreadable_states
    def apply(self, states: States, now: int) -> tuple[States, bool]:
        """Return True if the operation was open, and has been removed."""
        effect = _effect(states[0], now)
        if effect is None or effect[2] != OPEN or not (self.certain or effect[3] == self.number):
            return states, False
        return _close_effect(effect, states[1], now, self.keys[0], turn=effect[7]), True


class SettlingAnswer(NamedTuple):
    """The result of settling an operation; after a failure, try again in `wait` microseconds."""

    settled: bool
    wait: int = 0


class SettleOperation:
    """The command that settles an operation after its outcome was looked up.

    It settles an effect as never done only once the time of its last holder is over.
    """

    __slots__ = ("answer", "done", "keys")
    once = False
    durable = True

    def __init__(
        self, contract: str, tenant: str | None, key: str, *, done: bool, answer: object = None
    ) -> None:
        self.keys = _account_names(contract, tenant, key)
        self.done = done
        self.answer = answer if done else None

    @refusing_unreadable_states
    def apply(self, states: States, now: int) -> tuple[States, SettlingAnswer]:
        """Return the settled operation's state, and the list of open operations without it."""
        effect = _effect(states[0], now)
        if effect is None or effect[2] != OPEN:
            return states, SettlingAnswer(settled=False)
        if not self.done:
            if now < effect[5]:
                return states, SettlingAnswer(settled=False, wait=effect[5] - now)
            closed_states = _close_effect(effect, states[1], now, self.keys[0], turn=effect[7] + 1)
            return closed_states, SettlingAnswer(settled=True)
        settled_effect = (now, KEPT, SETTLED, *effect[3:10], self.answer)
        return (settled_effect, _remove_listing(states[1], now, self.keys[0])), SettlingAnswer(
            settled=True
        )


class LookupReservation(NamedTuple):
    """The reply to a caller that wants to look up an operation's outcome.

    Attributes:
        ours: whether this caller may look up the outcome now.
        number: the number of its last registration.
        idle: microseconds since the time of its last holder ended.
    """

    ours: bool
    number: int = 0
    idle: int = 0


class ReserveLookup:
    """The command that reserves an open operation, so that only one caller looks it up.

    The reservation lasts `pause` microseconds. With `early`, the effect is reserved even if its
    next look-up is not due yet, because a person asks for this look-up.
    """

    __slots__ = ("early", "keys", "pause")
    once = False
    durable = True

    def __init__(self, name: str, *, pause: int, early: bool = False) -> None:
        self.keys = (name,)
        self.pause = pause
        self.early = early

    @refusing_unreadable_states
    def apply(self, states: States, now: int) -> tuple[States, LookupReservation]:
        """Reserve the operation for this caller, if it is open and a look-up is due."""
        effect = _effect(states[0], now)
        if effect is None or effect[2] != OPEN or now < (effect[5] if self.early else effect[6]):
            return states, LookupReservation(ours=False)
        reservation = LookupReservation(ours=True, number=effect[3], idle=now - effect[5])
        return ((*effect[:6], now + self.pause, *effect[7:]),), reservation


class LatestLookup(NamedTuple):
    """The latest look-up at the vendor that did not settle an operation.

    Attributes:
        ago: microseconds since the latest question.
        times: the number of such questions since the operation was first requested.
        result: the result of the latest question, in the words of the contract.
        error: the name of the error that ended the latest question; None if there was none.
        searched: idle time after which a look-up began that found nothing; None if none did.
    """

    ago: int
    times: int
    result: str
    error: str | None = None
    searched: int | None = None


class RecordLookup:
    """The command that records that a look-up at the vendor did not settle an operation.

    With `absent`, a look-up found nothing. `reserved` is the reply to the `ReserveLookup` with
    which the look-up began. The look-up's result counts only if the operation was not registered
    again in the meantime, because a request may have been sent.
    """

    __slots__ = ("absent", "error", "keys", "reserved", "result")
    once = False
    durable = True

    def __init__(
        self,
        name: str,
        reserved: LookupReservation,
        *,
        result: str,
        error: str | None = None,
        absent: bool = False,
    ) -> None:
        self.keys = (name,)
        self.reserved = reserved
        self.result = result
        self.error = error
        self.absent = absent

    @refusing_unreadable_states
    def apply(self, states: States, now: int) -> tuple[States, bool]:
        """Return True if the look-up's result was recorded."""
        effect = _effect(states[0], now)
        if effect is None or effect[2] != OPEN:
            return states, False
        searched_idle, _, count, _, _ = effect[10] or (None, 0, 0, "", None)
        if self.absent and effect[3] == self.reserved.number:
            searched_idle = max(self.reserved.idle, searched_idle or 0)
        question = (searched_idle, now, count + 1, self.result, self.error)
        return ((*effect[:10], question),), True


def is_absent(searched: int | None, listed_within: int) -> bool:
    """Return whether the vendor's complete list proves that the operation was not carried out.

    Args:
        searched: microseconds from the end of its last holder's time to the beginning of the latest
            look-up that found nothing; None if no look-up found nothing.
        listed_within: microseconds within which the vendor lists a completed operation.
    """
    return searched is not None and searched >= listed_within


class ReadShards:
    """The command that reads the names of a contract's open operations from the register."""

    __slots__ = ("keys",)
    once = False
    durable = True

    def __init__(self, contract: str) -> None:
        self.keys = shards(contract)

    @refusing_unreadable_states
    def apply(self, states: States, _: int) -> tuple[States, tuple[str, ...]]:
        """Return the names of the open operations in any order."""
        return states, tuple(name for state in states if state for name in state[2])


class SettledOperation(NamedTuple):
    """An operation in the register that a look-up or a person has settled as done.

    Attributes:
        ago: microseconds since it was settled.
        what: description of the request.
        answer: receipt that repeats of its key get.
    """

    ago: int
    what: Any
    answer: Any


class OpenOperation(NamedTuple):
    """An operation of unknown outcome in the register; all times are in microseconds.

    Attributes:
        name: the key of its state.
        age: time since its first registration.
        remaining: time for which its holder may still be at work.
        due: whether it may be looked up now.
        what: description of the request.
        last_question: the latest question to the vendor that did not settle it; None if there was
            none.
        idle: time since its last holder's time was over.
    """

    name: str
    age: int
    remaining: int
    due: bool
    what: Any
    last_question: LatestLookup | None = None
    idle: int = 0


class ReadSettled:
    """The command that reads the operations with these names that were settled as done."""

    __slots__ = ("keys",)
    once = False
    durable = True

    def __init__(self, names: Iterable[str]) -> None:
        self.keys = tuple(names)

    @refusing_unreadable_states
    def apply(self, states: States, now: int) -> tuple[States, tuple[SettledOperation, ...]]:
        """Return the settled operations in the order of their names."""
        effects = [_effect(state, now) for state in states]
        return states, tuple(
            SettledOperation(now - effect[0], effect[9], effect[10])
            for effect in effects
            if effect is not None and effect[2] == SETTLED
        )


class ReadEffects:
    """The command that reads a contract's open operations with these names."""

    __slots__ = ("keys",)
    once = False
    durable = True

    def __init__(self, names: Iterable[str]) -> None:
        self.keys = tuple(names)

    @refusing_unreadable_states
    def apply(self, states: States, now: int) -> tuple[States, tuple[OpenOperation, ...]]:
        """Return the open operations in the order of their names."""
        effects: list[OpenOperation] = []
        for name, state in zip(self.keys, states, strict=True):
            effect = _effect(state, now)
            if effect is not None and effect[2] == OPEN:
                _, _, _, _, opened_at, end_time, due_at, _, _, effect_kind, answer = effect
                age, remaining_time = max(0, now - opened_at), max(0, end_time - now)
                question, idle_time = _question(answer, now), max(0, now - end_time)
                effects.append(
                    OpenOperation(
                        name, age, remaining_time, now >= due_at, effect_kind, question, idle_time
                    )
                )
        return states, tuple(effects)


def _question(answer: Any, now: int) -> LatestLookup | None:
    if answer is None:
        return None
    searched_idle, asked_at, count, result, error = answer
    return LatestLookup(max(0, now - asked_at), count, result, error, searched_idle)


def _close_effect(
    effect: Effect, listed: State | None, now: int, name: str, *, turn: int
) -> States:
    """Return the state of an operation settled as not done, and the list without the operation.

    It keeps only the number of the round.
    """
    lifetime = KEPT if turn else _GONE_TTL
    freed_effect = (now, lifetime, FREED, *effect[3:7], turn, b"", None, None)
    return freed_effect, _remove_listing(listed, now, name)


def _list_effect(state: State | None, now: int, name: str) -> State:
    names = () if state is None else state[2]
    return now, KEPT, names if name in names else (*names, name)


def _remove_listing(state: State | None, now: int, name: str) -> State:
    names = () if state is None else state[2]
    remaining_names = tuple(item for item in names if item != name)
    return now, KEPT if remaining_names else _GONE_TTL, remaining_names


def _effect(state: State | None, now: int) -> Effect | None:
    """Return the state of an operation at the present time; None if it has expired.

    If the clock stepped back, all times in the state are moved back with it.
    """
    if state is None:
        return None
    (
        state_time,
        keep_for,
        stage,
        number,
        opened_at,
        end_time,
        due_at,
        lookup_turn,
        fingerprint,
        effect_kind,
        answer,
    ) = state
    time, clock_step = reading_time(state_time, now)
    keep_for -= time - state_time + clock_step
    if keep_for <= 0:
        return None
    if stage == OPEN and answer is not None:
        searched_idle, asked_at, *result = answer
        answer = (searched_idle, asked_at - clock_step, *result)
    return (
        *(
            time,
            keep_for,
            stage,
            number,
            opened_at - clock_step,
            end_time - clock_step,
            due_at - clock_step,
            lookup_turn,
        ),
        *(fingerprint, effect_kind, answer),
    )
