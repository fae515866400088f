"""Messages between a broker of rate-limit tokens and its machine's processes, as JSON lines.

A process asks with `{"id": 7, "within": 20000, "limits": [[key, n, price, burst, cost], …]}`, and
gives up with `{"id": 7, "leave": true}`. The broker replies with `{"id": 7, "granted": true}`,
`{"id": 7, "wait": 1000}` for a refusal, or `{"id": 7, "store": true}` if the process must use the
store itself. It replies to an unreadable line with `{"error": "…"}`, and disconnects.

A message contains only names of limits and numbers. A broker changes no state but limits: it
refuses keys of any other kind, such as claims.
"""

from __future__ import annotations

from json import loads
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from moorage.domain.resilience.admission import Admission, Gates
from moorage.domain.resilience.bucket import TokenBucket
from moorage.domain.state.commands import EXACT
from moorage.domain.state.keys import LONGEST, class_of, key_prefix_of, tag_of
from moorage.domain.values.json_text import encode_json, is_list, is_object, refuse_constant
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST_LINE: Final = 16_384
"""The maximum number of bytes of a line."""

WITHOUT_BROKER: Final = ("store", "refuse")
"""The choices for calls while the broker is away."""

_MOST_LIMITS: Final = 16
_LONGEST_KEY: Final = 8 * LONGEST

LeasedLimit: TypeAlias = "tuple[str, int, int, int, int]"
"""The key, the rate (`n` tokens in `price` microseconds), the burst and the cost of a limit."""

AdmissionKind: TypeAlias = "tuple[LeasedLimit, ...]"
"""The limits that admit a call together, which distinguish the calls that share a lease."""


class Question(NamedTuple):
    """A process's request for one call's tokens, or its withdrawal of an earlier request.

    Attributes:
        number: the process's number of the question.
        within: the longest wait in microseconds.
        kind: the limits; none if the process gives up.
    """

    number: int
    within: int
    kind: AdmissionKind


class Reply(NamedTuple):
    """The broker's reply to a request for tokens.

    Attributes:
        number: the process's number of the question.
        granted: whether the call is admitted.
        wait: the microseconds to wait if the call is not admitted; None if the process must use the
            store.
    """

    number: int
    granted: bool
    wait: int | None = None


def kind_of(command: object, services: Iterable[str]) -> AdmissionKind | None:
    """Return the kind of admission that a broker can decide; None for any other command.

    Such a command has only limits of one of these services: no circuit, retry budget or claim, no
    calendar quota, and no grant that may have to be given back.
    """
    if not isinstance(command, Admission):
        return None
    gates = command.gates
    if command.claim or command.ticketed or gates.circuit or gates.budget or not gates.limits:
        return None
    names = {key_prefix_of(name, None)[2:-1] for name in services}
    if tag_of(gates.limit_keys[0]).split(":")[1].partition("~")[0] not in names:
        return None
    kind: list[LeasedLimit] = []
    for key, rule, cost in zip(gates.limit_keys, gates.limits, command.costs, strict=True):
        if not isinstance(rule, TokenBucket):
            return None
        kind.append((key, *rule.shape, cost))
    return tuple(kind)


def gates_of(kind: AdmissionKind) -> Gates:
    """Return the protections, such as limits, that admit calls of this kind."""
    limits = [TokenBucket(n, price, burst) for _, n, price, burst, _ in kind]
    return Gates(limits=limits, limit_keys=[limit[0] for limit in kind])


def most_at_once(kind: AdmissionKind) -> int:
    """Return the largest number of calls of a kind that all limits may admit at the same time."""
    return min(burst // cost for *_, burst, cost in kind)


def question_end(kind: AdmissionKind) -> bytes:
    """Return the last bytes of each request of a kind.

    `question_start` returns the bytes before it.
    """
    return b'"limits":' + encode_json(kind) + b"}\n"


def question_start(number: int, within: int) -> bytes:
    """Return the beginning of a request for tokens."""
    return b'{"id":%d,"within":%d,' % (number, within)


def withdrawal(number: int) -> bytes:
    """Return the message by which a process withdraws a request for tokens."""
    return b'{"id":%d,"leave":true}\n' % number


def reply_line(reply: Reply) -> bytes:
    """Return a reply as a line of JSON."""
    if reply.granted:
        return b'{"id":%d,"granted":true}\n' % reply.number
    if reply.wait is None:
        return b'{"id":%d,"store":true}\n' % reply.number
    return b'{"id":%d,"wait":%d}\n' % (reply.number, reply.wait)


def error_line(error: InvalidData) -> bytes:
    """Return the line by which the broker refuses a message."""
    return encode_json({"error": error.message}) + b"\n"


def read_question(line: bytes) -> Question:
    """Return the request for tokens in a line of JSON.

    Raises:
        InvalidData: the line is not a question.
    """
    message = _object(line)
    number = _number(message.get("id"), "id")
    if message.get("leave") is True:
        return Question(number, 0, ())
    patience_seconds = _number(message.get("within"), "within")
    limits = message.get("limits")
    if not is_list(limits) or not 0 < len(limits) <= _MOST_LIMITS:
        raise _invalid_error(f"limits must be a list of 1 to {_MOST_LIMITS} limits.", "limits")
    return Question(number, patience_seconds, tuple([_limit(limit) for limit in limits]))


def read_reply(line: bytes) -> Reply:
    """Return the broker's reply in a line of JSON.

    Raises:
        InvalidData: the line is not a reply, or the broker has refused the question.
    """
    message = _object(line)
    if "error" in message:
        raise _invalid_error(f"The broker refused a request: {message['error']!r:.500}.", "error")
    number = _number(message.get("id"), "id")
    if message.get("granted") is True:
        return Reply(number, granted=True)
    if message.get("store") is True:
        return Reply(number, granted=False)
    return Reply(number, granted=False, wait=_number(message.get("wait"), "wait"))


def _object(line: bytes) -> dict[str, Any]:
    try:
        message = loads(line, parse_constant=refuse_constant)
    except (ValueError, RecursionError):
        message = None
    if not is_object(message):
        raise _invalid_error("A message must be a line with a JSON object.", "message")
    return message


def _limit(value: object) -> LeasedLimit:
    """Return the rate limit in a request for tokens."""
    if not is_list(value) or len(value) != 5:
        raise _invalid_error(
            "A limit must have a key, a rate of two numbers, a burst and a cost.", "limits"
        )
    key, *numbers = value
    if not isinstance(key, str) or not 0 < len(key) <= _LONGEST_KEY or not key.isprintable():
        raise _invalid_error(
            f"A key must be a printable text of 1 to {_LONGEST_KEY} characters.", "key"
        )
    if class_of(key) != "limit":
        raise _invalid_error(
            "The key does not belong to a rate limit, but a broker leases only tokens of rate"
            " limits.",
            "key",
        )
    n, price, burst, cost = (_number(number, "limits", least=1) for number in numbers)
    if cost > burst or (burst + cost) * price >= EXACT:
        raise _invalid_error(
            "A limit must have a burst that is at least its cost and below 2^53.", "limits"
        )
    return key, n, price, burst, cost


def _number(value: object, field: str, *, least: int = 0) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < EXACT:
        raise _invalid_error(f"{field} must be an integer from {least} to 2^53.", field)
    return value


def _invalid_error(message: str, field: str) -> InvalidData:
    return InvalidData(
        message, field=field, remedy="Use the same release of moorage on both sides of the socket."
    )
