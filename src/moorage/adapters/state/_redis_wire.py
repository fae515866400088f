"""The encoding of commands for the script `redis_state.lua`, and of the script's replies.

A script call is one command in the encoding of the script. A command that the script does not know
is executed by a `CompareAndSwap`: one call reads the stored states, and another writes the result
of `apply`, unless they have changed meanwhile.
"""

from __future__ import annotations

import struct
from hashlib import sha1
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeGuard, TypeVar

from moorage.domain.idempotency.claims import (
    Claim,
    ClaimResult,
    MarkSent,
    Renew,
    Settle,
    SettleResult,
    Verdict,
    Withdraw,
)
from moorage.domain.resilience.admission import AT_ONCE, GO, Admission, Answer
from moorage.domain.resilience.bucket import TokenBucket
from moorage.domain.resilience.circuit import MOST_STEPS, CircuitState, Outcome, Record
from moorage.domain.resilience.gate_commands import Confirm, GiveBack, Pause, Report
from moorage.domain.resilience.quota import CalendarQuota
from moorage.domain.state.codec import pack, unpack
from moorage.domain.state.packing import pack_values, unpack_values
from moorage.domain.values.durations import FOREVER
from moorage.domain.values.fingerprints import digest_of
from moorage.errors import StateUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from moorage.domain.resilience.admission import Admitted, Gates
    from moorage.domain.resilience.budget import BudgetRule
    from moorage.domain.resilience.circuit import CircuitRule, Permit
    from moorage.domain.resilience.rate_limit import Rule
    from moorage.domain.state.commands import Command, State, States, Ticket

SCRIPT: Final = Path(__file__).with_name("redis_state.lua").read_bytes()
DIGEST: Final = sha1(SCRIPT, usedforsecurity=False).hexdigest().encode()

Reader: TypeAlias = "Callable[[Any], Any]"
SwapResult: TypeAlias = "tuple[Any, Exception | None]"
"""The answer of a command, or its error."""
_Packed: TypeAlias = "tuple[bytes, tuple[bytes, ...], bytes]"
"""The encoded rules of a circuit, of each limit, and of a budget."""

K = TypeVar("K")
V = TypeVar("V")

_CACHE_SIZE: Final = 4096
_SERVER_TIME: Final = b"0"
_RETRY, _TICKETED, _CIRCUIT, _BUDGET, _CLAIM = 1, 2, 4, 8, 16

_ADMISSION: Final = struct.Struct("<BBBqqq")
_GATE: Final = struct.Struct("<BBqqqqqqB")
_RECORD_HEAD: Final = bytes((0x90 | len(Record._fields),))
_LIMIT: Final = struct.Struct("<BqqqqB")
_RULE: Final = struct.Struct("<BqqqqqqqqqBqqqB")
_THREE_INTEGERS: Final = struct.Struct("<qqq")
_FOUR_INTEGERS: Final = struct.Struct("<qqqq")
_CLAIM_FORMAT: Final = struct.Struct("<qqqqq")
_REPORT: Final = struct.Struct("<Bqqq")
_SETTLE_FORMAT: Final = struct.Struct("<qBq")
_PAUSE: Final = struct.Struct("<Bq")
_TWO_INTEGERS: Final = struct.Struct("<qq")
_ONE_INTEGER: Final = struct.Struct("<q")
_SIZE: Final = struct.Struct("<I")
_SWAP: Final = struct.Struct("<BBI")
_WRITTEN_FORMAT: Final = struct.Struct("<qI")

_ANSWERS: Final = tuple(Answer)
_VERDICTS: Final = tuple(Verdict)
_OUTCOMES: Final = {outcome: number for number, outcome in enumerate(Outcome)}
_NOT_EXECUTED: Final = -1
_CHANGES: Final = (None, CircuitState.OPEN, CircuitState.CLOSED)


class ScriptCall:
    """A command, encoded as arguments of the Redis script.

    Attributes:
        keys: the keys in Redis, with the prefix.
        names: the keys of the command.
        packed: the encoded command.
        read: decodes the reply.
        once: whether the command must not be repeated.
        request: the encoded request of a batch with this call only, once it is needed.
    """

    __slots__ = ("keys", "names", "once", "packed", "read", "request")

    def __init__(
        self,
        keys: tuple[bytes, ...],
        packed: bytes,
        read: Reader,
        *,
        once: bool,
        names: tuple[str, ...] = (),
    ) -> None:
        self.keys = keys
        self.names = names
        self.packed = packed
        self.read = read
        self.once = once
        self.request: bytes | None = None


class ScriptCalls:
    """Encodes commands for the Redis script, and caches repeated encodings.

    Args:
        prefix: the beginning of all keys in Redis.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix.encode()
        # Keyed by identity; each entry holds its object, so that no other object can get the same
        # id.
        self._admissions: dict[int, tuple[Admission, ScriptCall]] = {}
        self._gates: dict[int, tuple[Gates, _Packed]] = {}
        self._circuits: dict[int, tuple[CircuitRule, bytes]] = {}

    def key(self, key: str) -> bytes:
        """Return the Redis key under which a state is stored."""
        return self._prefix + key.encode("utf-8", "surrogatepass")

    def of(self, command: Command[Any]) -> ScriptCall | None:
        """Encode a command for the script; None if the script does not support it."""
        cached_call = self._admissions.get(id(command))
        if cached_call is not None and cached_call[0] is command:
            return cached_call[1]
        maker = _MAKERS.get(type(command))
        try:
            return None if maker is None else maker(self, command)
        except _UnknownRuleError:
            return None

    def admission(self, command: Admission) -> ScriptCall:
        """Encode an admission; the encoding is cached if it contains no unique value."""
        circuit, limits, budget = self._rules(command.gates)
        flags = (
            (_RETRY if command.retry else 0)
            + (_TICKETED if command.ticketed else 0)
            + (_CIRCUIT if circuit else 0)
            + (_BUDGET if budget else 0)
            + (_CLAIM if command.claim else 0)
        )
        chunks = [
            _ADMISSION.pack(1, flags, len(limits), command.within, command.lease, command.token),
            circuit,
        ]
        for limit, cost in zip(limits, command.costs, strict=True):
            chunks += (limit, _ONE_INTEGER.pack(cost))
        chunks.append(budget)
        if command.claim:
            _, fence, target = command.claim
            chunks += (_ONE_INTEGER.pack(fence), _text(target))
        call = self._call(command, b"".join(chunks), _read_admission)
        if not command.token and not command.claim:
            _store(self._admissions, command, call)
        return call

    def confirm(self, command: Confirm) -> ScriptCall:
        """Encode the confirmation of an admission."""
        circuit, limits, _ = self._rules(command.gates)
        has_permit = bool(circuit and command.permit)
        request_bytes = bytes((2, has_permit, len(limits)))
        empty_tickets: tuple[Ticket, ...] = ((),) * (len(limits) - len(command.tickets))
        request_bytes += _tickets(limits, (*command.tickets, *empty_tickets))
        if has_permit and command.permit:
            request_bytes += circuit + _THREE_INTEGERS.pack(*command.permit)
        return self._call(command, request_bytes, _read_confirmation)

    def give_back(self, command: GiveBack) -> ScriptCall | None:
        """Encode the return of rate-limit tickets; None if a ticket is missing."""
        limits = self._rules(command.gates)[1]
        if len(limits) != len(command.tickets):
            return None
        request_bytes = bytes((3, len(limits))) + _tickets(limits, command.tickets)
        return self._call(command, request_bytes, _do_nothing)

    def pause(self, command: Pause) -> ScriptCall:
        """Encode a pause of rate limits."""
        limits = self._rules(command.gates)[1]
        no_tickets: tuple[Ticket, ...] = ((),) * len(limits)
        request_bytes = (
            b"\4" + _PAUSE.pack(len(limits), command.pause) + _tickets(limits, no_tickets)
        )
        return self._call(command, request_bytes, _do_nothing)

    def report(self, command: Report) -> ScriptCall:
        """Encode the report of a call's outcome."""
        rule = self._circuit(command.rule)
        packed_outcome = _REPORT.pack(_OUTCOMES[command.outcome], *command.permit)
        request_bytes = (
            b"\5" + rule + packed_outcome + command.reporter.encode("utf-8", "surrogatepass")
        )
        return self._call(command, request_bytes, _CHANGES.__getitem__)

    def claim(self, command: Claim) -> ScriptCall:
        """Encode the claim of an idempotency key."""
        fingerprint = digest_of(command.fingerprint)
        request_bytes = (
            b"\6"
            + _CLAIM_FORMAT.pack(
                command.owner, command.lease, command.term, command.ttl, command.remembered
            )
            + _SIZE.pack(len(fingerprint))
            + fingerprint
            + _text(command.target)
        )
        return self._call(command, request_bytes, _read_claim)

    def mark_sent(self, command: MarkSent) -> ScriptCall:
        """Encode the command that marks the request of an idempotency key's claim as sent."""
        request_bytes = _ADMISSION.pack(1, _CLAIM, 0, 0, 0, 0)
        request_bytes += _ONE_INTEGER.pack(command.fence) + _text(command.target)
        return self._call(command, request_bytes, _read_mark)

    def settle(self, command: Settle) -> ScriptCall:
        """Encode the settlement of an idempotency key's claim."""
        request_bytes = b"\7" + _SETTLE_FORMAT.pack(command.fence, command.stage, command.ttl)
        return self._call(command, request_bytes + pack_values((command.answer,)), _read_settlement)

    def withdraw(self, command: Withdraw) -> ScriptCall:
        """Encode the withdrawal of an idempotency key's claim."""
        request_bytes = b"\10" + _TWO_INTEGERS.pack(command.owner, command.ttl)
        return self._call(command, request_bytes, _do_nothing)

    def renew(self, command: Renew) -> ScriptCall:
        """Encode the renewal of claims on idempotency keys."""
        request_bytes = b"\13" + _ONE_INTEGER.pack(command.lease)
        request_bytes += b"".join(_TWO_INTEGERS.pack(fence, ttl) for _, fence, ttl in command.held)
        return self._call(command, request_bytes, _read_renewals)

    def _call(self, command: Command[Any], packed: bytes, read: Reader) -> ScriptCall:
        keys = tuple(map(self.key, command.keys))
        return ScriptCall(keys, packed, read, once=command.once, names=command.keys)

    def _rules(self, gates: Gates) -> _Packed:
        cached_rules = self._gates.get(id(gates))
        if cached_rules is None or cached_rules[0] is not gates:
            packed_rules = (
                _packed_gate(gates.circuit) if gates.circuit else b"",
                tuple(map(_limit, gates.limits)),
                _budget(gates.budget) if gates.budget else b"",
            )
            cached_rules = _store(self._gates, gates, packed_rules)
        return cached_rules[1]

    def _circuit(self, rule: CircuitRule) -> bytes:
        cached_circuit = self._circuits.get(id(rule))
        if cached_circuit is None or cached_circuit[0] is not rule:
            cached_circuit = _store(self._circuits, rule, _circuit(rule))
        return cached_circuit[1]


def _text(value: str) -> bytes:
    encoded_text = value.encode("utf-8", "surrogatepass")
    return _SIZE.pack(len(encoded_text)) + encoded_text


def _store(cache: dict[int, tuple[K, V]], key: K, value: V) -> tuple[K, V]:
    if len(cache) >= _CACHE_SIZE:
        cache.clear()
    cache[id(key)] = key, value
    return key, value


# --- rules ----------------------------------------------------------------------


def _packed_gate(rule: CircuitRule) -> bytes:
    config = rule.config
    times = rule.width, rule.span, rule.keep_for, rule.longest, config.probes
    # A record that this rule wrote begins with these bytes.
    record_start = _RECORD_HEAD + pack_values((rule.grid,))
    return (
        _GATE.pack(rule.timed, config.shadow, *times, rule.grid, len(record_start)) + record_start
    )


def _circuit(rule: CircuitRule) -> bytes:
    config = rule.config
    opens = [rule.open_duration(0)]
    while opens[-1] < rule.longest and config.open_growth > 1 and len(opens) <= MOST_STEPS:
        opens.append(rule.open_duration(len(opens)))
    packed_rule = _RULE.pack(
        rule.timed,
        rule.width,
        rule.span,
        rule.keep_for,
        rule.longest,
        rule.within,
        config.failures or 0,
        config.consecutive_failures or 0,
        config.quorum,
        config.minimum_calls,
        config.failure_rate is not None,
        rule.failure_share,
        rule.slow_share,
        config.successes,
        len(opens),
    )
    return packed_rule + b"".join(map(_ONE_INTEGER.pack, opens))


def _limit(rule: Rule) -> bytes:
    if isinstance(rule, TokenBucket):
        shape = pack_values((rule.shape,))
        return _LIMIT.pack(0, rule.n, rule.price, rule.room, rule.refill, len(shape)) + shape
    if isinstance(rule, CalendarQuota):
        return _LIMIT.pack(1, rule.burst, rule.monthly, 0, 0, 0)
    raise _UnknownRuleError


def _budget(rule: BudgetRule) -> bytes:
    return _FOUR_INTEGERS.pack(rule.parts, rule.whole, rule.floor, rule.period)


def _tickets(limits: Iterable[bytes], tickets: Iterable[Ticket]) -> bytes:
    return b"".join(
        limit + bytes((len(ticket),)) + b"".join(map(_ONE_INTEGER.pack, ticket))
        for limit, ticket in zip(limits, tickets, strict=True)
    )


class _UnknownRuleError(Exception):
    """Raised for a kind of rate limit that the Redis script does not support."""


def _all_kinds(kind: type) -> list[type]:
    return [kind, *kind.__subclasses__()]


_ADMISSIONS: Final[tuple[type, ...]] = tuple(
    kind for kind in _all_kinds(Admission) if kind.__module__ == Admission.__module__
)
"""The classes of the domain; a subclass elsewhere may decide differently."""

_MAKERS: Final[dict[type, Callable[[ScriptCalls, Any], ScriptCall | None]]] = {
    **dict.fromkeys(_ADMISSIONS, ScriptCalls.admission),
    Confirm: ScriptCalls.confirm,
    GiveBack: ScriptCalls.give_back,
    Pause: ScriptCalls.pause,
    Report: ScriptCalls.report,
    Claim: ScriptCalls.claim,
    MarkSent: ScriptCalls.mark_sent,
    Renew: ScriptCalls.renew,
    Settle: ScriptCalls.settle,
    Withdraw: ScriptCalls.withdraw,
}


# --- replies --------------------------------------------------------------------


def _read_admission(reply: Any) -> Admitted:
    if reply == 0:
        return AT_ONCE
    if len(reply) == 2:
        return (GO, 0, (reply[0], reply[1], 0), ())
    answer: int = reply[0]
    wait: int = reply[1]
    permit: Permit | None = None if reply[2] is None else tuple(reply[2])
    return (_ANSWERS[answer], wait, permit, tuple(map(tuple, reply[3:])))


def _read_confirmation(reply: list[int]) -> tuple[Answer, int]:
    return _ANSWERS[reply[0]], reply[1]


def _do_nothing(_: object) -> None:
    return None


def _read_claim(reply: list[Any]) -> ClaimResult:
    answer = _answer(reply[3]) if len(reply) > 3 else None
    return ClaimResult(_VERDICTS[reply[0]], reply[1], reply[2], answer)


def _read_mark(reply: list[Any]) -> bool:
    return _ANSWERS[reply[0]] is GO


def _read_settlement(reply: list[Any]) -> SettleResult:
    return SettleResult(reply[0] == 1, reply[1] == 1, _answer(reply[2]))


def _read_renewals(reply: list[int]) -> tuple[bool, ...]:
    return tuple(map(bool, reply))


def _answer(packed: bytes) -> Any:
    try:
        (value,) = unpack_values(packed)
    except ValueError:
        raise _unreadable_error() from None
    return value


def decode_reply(call: ScriptCall, reply: Any) -> Any:
    """Decode the script's reply to a command into the command's answer.

    Raises:
        StateUnavailable: the value of one of its keys is not a state.
    """
    if _is_list(reply) and reply[0] == _NOT_EXECUTED:
        _, _, stored_state, redis_key, *_ = (*reply, b"", b"")
        only_name = call.names[0] if len(call.names) == 1 else None
        key = dict(zip(call.keys, call.names, strict=False)).get(redis_key, only_name)
        if stored_state:
            unpack(stored_state, key)
        raise _unreadable_error(key)
    return call.read(reply)


def _is_list(reply: object) -> TypeGuard[list[Any]]:
    return type(reply) is list


def _unreadable_error(key: str | None = None) -> StateUnavailable:
    return StateUnavailable(
        "A key of moorage in Redis has a value that moorage did not write.",
        key=key,
        remedy="Use a prefix or a database that no other program writes to.",
    )


# --- requests -------------------------------------------------------------------

Batch: TypeAlias = "Sequence[ScriptCall]"


def arguments(batch: Batch, now: bytes = _SERVER_TIME) -> tuple[Sequence[bytes], list[bytes]]:
    """Return the keys and arguments of the Redis script for several commands."""
    first_call = batch[0]
    if all(call is first_call for call in batch):
        return first_call.keys, [now, b"", b"%d" % len(batch), first_call.packed]
    positions: dict[bytes, int] = {}
    values = [now]
    for call, times in _runs(batch):
        indexes = [positions.setdefault(key, len(positions) + 1) for key in call.keys]
        # A single byte, which is half an index, means that there are no keys.
        packed_indexes = struct.pack(f">{len(indexes)}H", *indexes) or b"\0"
        values += (packed_indexes, b"%d" % times, call.packed)
    return list(positions), values


def _runs(batch: Batch) -> Iterator[tuple[ScriptCall, int]]:
    """Yield the commands with counts; equal consecutive commands are yielded once."""
    times = 0
    previous_call = batch[0]
    for call in batch:
        if call is not previous_call:
            yield previous_call, times
            previous_call, times = call, 0
        times += 1
    yield previous_call, times


def request(batch: Batch) -> bytes:
    """Return the request that calls the Redis script by its digest."""
    if len(batch) > 1:
        return _request(batch)
    call = batch[0]
    if call.request is None:
        call.request = _request(batch)
    return call.request


def _request(batch: Batch) -> bytes:
    keys, values = arguments(batch)
    parts = [b"EVALSHA", DIGEST, b"%d" % len(keys), *keys, *values]
    return b"*%d\r\n" % len(parts) + b"".join(map(_bulk, parts))


def with_script(request: bytes) -> bytes:
    """Return the request with the whole script, for a Redis server that lacks it."""
    return request.replace(_DIGEST_PREFIX, _SCRIPT_PREFIX, 1)


def _bulk(part: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(part), part)


_DIGEST_PREFIX: Final = _bulk(b"EVALSHA") + _bulk(DIGEST)
_SCRIPT_PREFIX: Final = _bulk(b"EVAL") + _bulk(SCRIPT)


# --- compare-and-swap -----------------------------------------------------------


class CompareAndSwap:
    """Commands that this process applies to stored states by compare-and-swap.

    The call `read` reads the states. `decide` applies the commands and returns the call that writes
    the changes, if there are any. A reply of 0 to it means that another caller has changed a state
    meanwhile; then both calls are repeated.

    Attributes:
        read: the call that reads the states.
        results: the answer or the error of each command, after `decide`.
        may_be_written: whether the last write was sent and Redis has not refused it.
    """

    def __init__(self, script_calls: ScriptCalls, commands: Sequence[Command[Any]]) -> None:
        self._commands = commands
        self._names = tuple(
            dict.fromkeys(chain.from_iterable(command.keys for command in commands))
        )
        self._keys = tuple(map(script_calls.key, self._names))
        self.read = ScriptCall(self._keys, b"\11", list, once=False)
        self.results: list[SwapResult] = []
        self.may_be_written = False

    def can_resend(self, command: Command[Any], error: BaseException) -> bool:
        """Return whether to send a background command again after this error.

        A command whose state is unusable, or is changed by others all the time, is not sent again.
        """
        return not (isinstance(error, StateUnavailable) or (self.may_be_written and command.once))

    def decide(self, reply: list[Any]) -> ScriptCall | None:
        """Apply the commands one after another to the states that were read."""
        now: int = reply[0]
        stored_states: dict[str, Any] = dict(zip(self._names, reply[1:], strict=True))
        states: dict[str, State | None] = {}
        packed_states: dict[str, bytes] = {}
        self.results = []
        for command in self._commands:
            try:
                states_before = tuple(
                    _read_state(key, states, stored_states) for key in command.keys
                )
                states_after, answer = command.apply(states_before, now)
                changed_states = _read_changes(command, states_before, states_after)
                packed_states |= {key: pack(state) for key, state in changed_states.items()}
            except Exception as error:  # noqa: BLE001 - raised for its caller
                self.results.append((None, error))
                continue
            states |= changed_states
            self.results.append((answer, None))
        if not packed_states:
            return None
        self.may_be_written = True
        return self._write(now, stored_states, states, packed_states)

    def _write(
        self,
        now: int,
        stored: dict[str, Any],
        states: dict[str, State | None],
        packed: dict[str, bytes],
    ) -> ScriptCall:
        parts = [b"\12"]
        keys: list[bytes] = []
        for name, key in zip(self._names, self._keys, strict=True):
            stored_state = stored[name]
            if type(stored_state) is int:
                continue
            keys.append(key)
            old_bytes = stored_state or b""
            parts += (
                _SWAP.pack(stored_state is not None, name in packed, len(old_bytes)),
                old_bytes,
            )
            state = states.get(name)
            if name in packed and state is not None:
                lifetime = max(0, min(state[0] + state[1] - now, FOREVER))
                parts += (_WRITTEN_FORMAT.pack(lifetime, len(packed[name])), packed[name])
        runs_once = any(command.once for command in self._commands)
        return ScriptCall(tuple(keys), b"".join(parts), int, once=runs_once)

    def answer(self, position: int) -> Any:
        """Return the answer of the command at this position, or raise its error."""
        answer, error = self.results[position]
        if error is not None:
            raise error
        return answer


def _read_state(key: str, states: dict[str, State | None], stored: dict[str, Any]) -> State | None:
    if key not in states:
        request_bytes = stored[key]
        if type(request_bytes) is int:
            raise _unreadable_error(key)
        states[key] = None if request_bytes is None else unpack(request_bytes, key)
    return states[key]


def _read_changes(command: Command[Any], before: States, after: States) -> dict[str, State]:
    triples = zip(command.keys, before, after, strict=True)
    return {
        key: new_state
        for key, old_state, new_state in triples
        if new_state is not old_state and new_state is not None
    }
