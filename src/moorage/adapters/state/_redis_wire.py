"""Commands as `redis_state.lua` reads them, its answers as commands give them.

A question is one command for the script. What the script does not know is decided here: a `Swap`
asks what is stored, and then writes what `apply` gave back, if the same is stored still.
"""

from __future__ import annotations

import struct
from hashlib import sha1
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeGuard, TypeVar

from moorage.domain.idempotency.claims import (
    Claim,
    Claimed,
    Renew,
    Settle,
    Settled,
    Verdict,
    Withdraw,
)
from moorage.domain.resilience.admission import (
    AT_ONCE,
    GO,
    Admission,
    Answer,
    Confirm,
    GiveBack,
    Pause,
    Report,
)
from moorage.domain.resilience.bucket import TokenBucket
from moorage.domain.resilience.circuit import MOST_STEPS, CircuitState, Outcome
from moorage.domain.resilience.quota import CalendarQuota
from moorage.domain.state.codec import pack, unpack
from moorage.domain.state.packing import pack_values, unpack_values
from moorage.domain.values.durations import FOREVER
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
Decided: TypeAlias = "tuple[Any, Exception | None]"
"""The answer to a command that is decided here, or the error that it ended with."""
_Packed: TypeAlias = "tuple[bytes, tuple[bytes, ...], bytes]"
"""What admissions need of a circuit, of each limit, and of a budget."""

K = TypeVar("K")
V = TypeVar("V")

_REMEMBERED: Final = 4096
_BY_THE_SERVER: Final = b"0"
_RETRY, _TICKETED, _CIRCUIT, _BUDGET, _CLAIM = 1, 2, 4, 8, 16

_ADMISSION: Final = struct.Struct("<BBBqqq")
_GATE: Final = struct.Struct("<BBqqqqq")
_LIMIT: Final = struct.Struct("<Bqqqq")
_RULE: Final = struct.Struct("<BqqqqqqqqqBqqqB")
_THREE: Final = struct.Struct("<qqq")
_FOUR: Final = struct.Struct("<qqqq")
_CLAIMING: Final = struct.Struct("<qqqqq")
_REPORT: Final = struct.Struct("<Bqqq")
_SETTLE: Final = struct.Struct("<qBq")
_PAUSE: Final = struct.Struct("<Bq")
_TWO: Final = struct.Struct("<qq")
_ONE: Final = struct.Struct("<q")
_SIZE: Final = struct.Struct("<I")
_SWAP: Final = struct.Struct("<BBI")
_WRITTEN: Final = struct.Struct("<qI")

_ANSWERS: Final = tuple(Answer)
_VERDICTS: Final = tuple(Verdict)
_OUTCOMES: Final = {outcome: number for number, outcome in enumerate(Outcome)}
_UNDONE: Final = -1
_CHANGES: Final = (None, CircuitState.OPEN, CircuitState.CLOSED)


class Question:
    """One command for the script: the keys as they are stored, and how to read its reply.

    `names` are the same keys as the command has them.
    """

    __slots__ = ("alone", "keys", "names", "once", "packed", "read")

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
        self.alone: bytes | None = None


class Questions:
    """Makes questions of commands, under keys that begin with `prefix`; remembers what it can."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix.encode()
        # By identity, and holding what they are about, so that no other takes its place.
        self._admissions: dict[int, tuple[Admission, Question]] = {}
        self._gates: dict[int, tuple[Gates, _Packed]] = {}
        self._circuits: dict[int, tuple[CircuitRule, bytes]] = {}

    def key(self, key: str) -> bytes:
        """Where the state of a key is stored."""
        return self._prefix + key.encode("utf-8", "surrogatepass")

    def of(self, command: Command[Any]) -> Question | None:
        """The question that a command is, or None if the script does not know its kind."""
        known = self._admissions.get(id(command))
        if known is not None and known[0] is command:
            return known[1]
        make = _MAKERS.get(type(command))
        try:
            return None if make is None else make(self, command)
        except _UnknownRuleError:
            return None

    def admission(self, command: Admission) -> Question:
        """An admission; one without a token or a claim is made once per plan, and remembered."""
        circuit, limits, budget = self._rules(command.gates)
        flags = (
            (_RETRY if command.retry else 0)
            + (_TICKETED if command.ticketed else 0)
            + (_CIRCUIT if circuit else 0)
            + (_BUDGET if budget else 0)
            + (_CLAIM if command.claim else 0)
        )
        packed = [
            _ADMISSION.pack(1, flags, len(limits), command.within, command.lease, command.token),
            circuit,
        ]
        for limit, cost in zip(limits, command.costs, strict=True):
            packed += (limit, _ONE.pack(cost))
        packed.append(budget)
        if command.claim:
            _, fence, target = command.claim
            packed += (_ONE.pack(fence), _text(target))
        question = self._asked(command, b"".join(packed), _admitted)
        if not command.token and not command.claim:
            _remember(self._admissions, command, question)
        return question

    def confirm(self, command: Confirm) -> Question:
        """A confirmation."""
        circuit, limits, _ = self._rules(command.gates)
        asked = bool(circuit and command.permit)
        packed = bytes((2, asked, len(limits)))
        missing: tuple[Ticket, ...] = ((),) * (len(limits) - len(command.tickets))
        packed += _tickets(limits, (*command.tickets, *missing))
        if asked and command.permit:
            packed += circuit + _THREE.pack(*command.permit)
        return self._asked(command, packed, _confirmed)

    def give_back(self, command: GiveBack) -> Question | None:
        """A return; one with other than a ticket for each limit is wrong, as `apply` will say."""
        limits = self._rules(command.gates)[1]
        if len(limits) != len(command.tickets):
            return None
        packed = bytes((3, len(limits))) + _tickets(limits, command.tickets)
        return self._asked(command, packed, _nothing)

    def pause(self, command: Pause) -> Question:
        """A pause."""
        limits = self._rules(command.gates)[1]
        none: tuple[Ticket, ...] = ((),) * len(limits)
        packed = b"\4" + _PAUSE.pack(len(limits), command.pause) + _tickets(limits, none)
        return self._asked(command, packed, _nothing)

    def report(self, command: Report) -> Question:
        """An outcome."""
        rule = self._circuit(command.rule)
        ended = _REPORT.pack(_OUTCOMES[command.outcome], *command.permit)
        packed = b"\5" + rule + ended + command.reporter.encode("utf-8", "surrogatepass")
        return self._asked(command, packed, _CHANGES.__getitem__)

    def claim(self, command: Claim) -> Question:
        """A claim."""
        packed = (
            b"\6"
            + _CLAIMING.pack(
                command.owner, command.lease, command.term, command.ttl, command.remembered
            )
            + _SIZE.pack(len(command.fingerprint))
            + command.fingerprint
            + _text(command.target)
        )
        return self._asked(command, packed, _claimed)

    def settle(self, command: Settle) -> Question:
        """An end of a claim."""
        packed = b"\7" + _SETTLE.pack(command.fence, command.stage, command.ttl)
        return self._asked(command, packed + pack_values((command.answer,)), _settled)

    def withdraw(self, command: Withdraw) -> Question:
        """A claim given up."""
        packed = b"\10" + _TWO.pack(command.owner, command.ttl)
        return self._asked(command, packed, _nothing)

    def renew(self, command: Renew) -> Question:
        """Renewals of claims."""
        packed = b"\13" + _ONE.pack(command.lease)
        packed += b"".join(_TWO.pack(fence, ttl) for _, fence, ttl in command.held)
        return self._asked(command, packed, _renewed)

    def _asked(self, command: Command[Any], packed: bytes, read: Reader) -> Question:
        keys = tuple(map(self.key, command.keys))
        return Question(keys, packed, read, once=command.once, names=command.keys)

    def _rules(self, gates: Gates) -> _Packed:
        known = self._gates.get(id(gates))
        if known is None or known[0] is not gates:
            packed = (
                _gate(gates.circuit) if gates.circuit else b"",
                tuple(map(_limit, gates.limits)),
                _budget(gates.budget) if gates.budget else b"",
            )
            known = _remember(self._gates, gates, packed)
        return known[1]

    def _circuit(self, rule: CircuitRule) -> bytes:
        known = self._circuits.get(id(rule))
        if known is None or known[0] is not rule:
            known = _remember(self._circuits, rule, _circuit(rule))
        return known[1]


def _text(value: str) -> bytes:
    encoded = value.encode("utf-8", "surrogatepass")
    return _SIZE.pack(len(encoded)) + encoded


def _remember(known: dict[int, tuple[K, V]], of: K, made: V) -> tuple[K, V]:
    if len(known) >= _REMEMBERED:
        known.clear()
    known[id(of)] = of, made
    return of, made


# --- rules ----------------------------------------------------------------------


def _gate(rule: CircuitRule) -> bytes:
    config = rule.config
    times = rule.width, rule.span, rule.quiet, rule.longest, config.probes
    return _GATE.pack(rule.timed, config.shadow, *times)


def _circuit(rule: CircuitRule) -> bytes:
    config = rule.config
    opens = [rule.lasting(0)]
    while opens[-1] < rule.longest and config.open_growth > 1 and len(opens) <= MOST_STEPS:
        opens.append(rule.lasting(len(opens)))
    packed = _RULE.pack(
        rule.timed,
        rule.width,
        rule.span,
        rule.quiet,
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
    return packed + b"".join(map(_ONE.pack, opens))


def _limit(rule: Rule) -> bytes:
    if isinstance(rule, TokenBucket):
        return _LIMIT.pack(0, rule.n, rule.price, rule.room, rule.refill)
    if isinstance(rule, CalendarQuota):
        return _LIMIT.pack(1, rule.burst, rule.monthly, 0, 0)
    raise _UnknownRuleError


def _budget(rule: BudgetRule) -> bytes:
    return _FOUR.pack(rule.parts, rule.whole, rule.floor, rule.period)


def _tickets(limits: Iterable[bytes], tickets: Iterable[Ticket]) -> bytes:
    return b"".join(
        limit + bytes((len(ticket),)) + b"".join(map(_ONE.pack, ticket))
        for limit, ticket in zip(limits, tickets, strict=True)
    )


class _UnknownRuleError(Exception):
    """A limit of a kind that the script does not know."""


def _all_kinds(kind: type) -> list[type]:
    return [kind, *kind.__subclasses__()]


_ADMISSIONS: Final[tuple[type, ...]] = tuple(
    kind for kind in _all_kinds(Admission) if kind.__module__ == Admission.__module__
)
"""Those of the domain; one that somebody else derives from them may decide otherwise."""

_MAKERS: Final[dict[type, Callable[[Questions, Any], Question | None]]] = {
    **dict.fromkeys(_ADMISSIONS, Questions.admission),
    Confirm: Questions.confirm,
    GiveBack: Questions.give_back,
    Pause: Questions.pause,
    Report: Questions.report,
    Claim: Questions.claim,
    Renew: Questions.renew,
    Settle: Questions.settle,
    Withdraw: Questions.withdraw,
}


# --- replies --------------------------------------------------------------------


def _admitted(reply: Any) -> Admitted:
    if reply == 0:
        return AT_ONCE
    if len(reply) == 2:
        return (GO, 0, (reply[0], reply[1], 0), ())
    answer: int = reply[0]
    wait: int = reply[1]
    permit: Permit | None = None if reply[2] is None else tuple(reply[2])
    return (_ANSWERS[answer], wait, permit, tuple(map(tuple, reply[3:])))


def _confirmed(reply: list[int]) -> tuple[Answer, int]:
    return _ANSWERS[reply[0]], reply[1]


def _nothing(_: object) -> None:
    return None


def _claimed(reply: list[Any]) -> Claimed:
    answer = _answer(reply[3]) if len(reply) > 3 else None
    return Claimed(_VERDICTS[reply[0]], reply[1], reply[2], answer)


def _settled(reply: list[Any]) -> Settled:
    return Settled(reply[0] == 1, reply[1] == 1, _answer(reply[2]))


def _renewed(reply: list[int]) -> tuple[bool, ...]:
    return tuple(map(bool, reply))


def _answer(packed: bytes) -> Any:
    try:
        (value,) = unpack_values(packed)
    except ValueError:
        raise _unreadable() from None
    return value


def answer_of(question: Question, reply: Any) -> Any:
    """The answer to a question.

    Raises:
        StateUnavailable: what is stored under one of its keys is no state.
    """
    if _is_list(reply) and reply[0] == _UNDONE:
        _, _, stored, where, *_ = (*reply, b"", b"")
        only = question.names[0] if len(question.names) == 1 else None
        key = dict(zip(question.keys, question.names, strict=False)).get(where, only)
        if stored:
            unpack(stored, key)
        raise _unreadable(key)
    return question.read(reply)


def _is_list(reply: object) -> TypeGuard[list[Any]]:
    return type(reply) is list


def _unreadable(key: str | None = None) -> StateUnavailable:
    return StateUnavailable(
        "what is stored under a key of moorage's is no state of its kind.",
        key=key,
        remedy="Give moorage a prefix or a database that nothing else writes to.",
    )


# --- requests -------------------------------------------------------------------

Batch: TypeAlias = "Sequence[Question]"


def arguments(batch: Batch, now: bytes = _BY_THE_SERVER) -> tuple[Sequence[bytes], list[bytes]]:
    """The keys and the other arguments of the script that do a batch."""
    first = batch[0]
    if all(question is first for question in batch):
        return first.keys, [now, b"", b"%d" % len(batch), first.packed]
    places: dict[bytes, int] = {}
    given = [now]
    for question, times in _in_a_row(batch):
        which = [places.setdefault(key, len(places) + 1) for key in question.keys]
        # Half a place stands for none at all.
        packed = struct.pack(f">{len(which)}H", *which) or b"\0"
        given += (packed, b"%d" % times, question.packed)
    return list(places), given


def _in_a_row(batch: Batch) -> Iterator[tuple[Question, int]]:
    """Each question of a batch, and how often it stands there without another between."""
    times = 0
    before = batch[0]
    for question in batch:
        if question is not before:
            yield before, times
            before, times = question, 0
        times += 1
    yield before, times


def request(batch: Batch) -> bytes:
    """A batch as the server reads it from its socket: a call of the script by its digest."""
    if len(batch) > 1:
        return _request(batch)
    question = batch[0]
    if question.alone is None:
        question.alone = _request(batch)
    return question.alone


def _request(batch: Batch) -> bytes:
    keys, given = arguments(batch)
    parts = [b"EVALSHA", DIGEST, b"%d" % len(keys), *keys, *given]
    return b"*%d\r\n" % len(parts) + b"".join(map(_bulk, parts))


def with_script(request: bytes) -> bytes:
    """The same call, for a server that has not seen the script yet."""
    return request.replace(_BY_DIGEST, _IN_FULL, 1)


def _bulk(part: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(part), part)


_BY_DIGEST: Final = _bulk(b"EVALSHA") + _bulk(DIGEST)
_IN_FULL: Final = _bulk(b"EVAL") + _bulk(SCRIPT)


# --- what is decided here -------------------------------------------------------


class Swap:
    """Commands that are decided here, over what is stored under all of their keys.

    First `look` is asked; `decide` gives the question that writes, unless there is nothing to
    write; if that is answered with 0, somebody was faster, and it all begins anew. Then `outcomes`
    has for each command its answer, or the error it ended with.
    """

    def __init__(self, questions: Questions, commands: Sequence[Command[Any]]) -> None:
        self._commands = commands
        self._names = tuple(dict.fromkeys(chain.from_iterable(each.keys for each in commands)))
        self._keys = tuple(map(questions.key, self._names))
        self.look = Question(self._keys, b"\11", list, once=False)
        self.outcomes: list[Decided] = []

    def decide(self, found: list[Any]) -> Question | None:
        """Apply the commands, one after another, to what was found."""
        now: int = found[0]
        stored: dict[str, Any] = dict(zip(self._names, found[1:], strict=True))
        states: dict[str, State | None] = {}
        packed: dict[str, bytes] = {}
        self.outcomes = []
        for command in self._commands:
            try:
                before = tuple(_state(key, states, stored) for key in command.keys)
                after, answer = command.apply(before, now)
                changed = _changed(command, before, after)
                packed |= {key: pack(state) for key, state in changed.items()}
            except Exception as error:  # noqa: BLE001 - carried to whoever asked
                self.outcomes.append((None, error))
                continue
            states |= changed
            self.outcomes.append((answer, None))
        if not packed:
            return None
        return self._write(now, stored, states, packed)

    def _write(
        self,
        now: int,
        stored: dict[str, Any],
        states: dict[str, State | None],
        packed: dict[str, bytes],
    ) -> Question:
        parts = [b"\12"]
        keys: list[bytes] = []
        for name, key in zip(self._names, self._keys, strict=True):
            before = stored[name]
            if type(before) is int:
                continue
            keys.append(key)
            old = before or b""
            parts += (_SWAP.pack(before is not None, name in packed, len(old)), old)
            state = states.get(name)
            if name in packed and state is not None:
                lasts = max(0, min(state[0] + state[1] - now, FOREVER))
                parts += (_WRITTEN.pack(lasts, len(packed[name])), packed[name])
        once = any(command.once for command in self._commands)
        return Question(tuple(keys), b"".join(parts), int, once=once)

    def answer(self, place: int) -> Any:
        """Return the answer of a command, or raise its error."""
        answer, error = self.outcomes[place]
        if error is not None:
            raise error
        return answer


def _state(key: str, states: dict[str, State | None], stored: dict[str, Any]) -> State | None:
    if key not in states:
        found = stored[key]
        if type(found) is int:
            raise _unreadable(key)
        states[key] = None if found is None else unpack(found, key)
    return states[key]


def _changed(command: Command[Any], before: States, after: States) -> dict[str, State]:
    triples = zip(command.keys, before, after, strict=True)
    return {key: new for key, old, new in triples if new is not old and new is not None}
