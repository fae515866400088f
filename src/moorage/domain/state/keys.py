"""The keys of shared state, which differ for each tenant, service and part of a limit.

The part of a key in braces is its tag. A clustered store chooses the node of a key by its tag, so
one command uses keys of one tag only. States that one command decides together, such as the circuit
and the limits of an attempt, have the tag of their service and tenant (`state_key`). A state that
is decided alone, such as the claim of an idempotency key, has a separate tag (`own_key`), so that
the states of one service are spread over all nodes.
"""

from __future__ import annotations

import re
from typing import Final

from moorage.errors import InvalidData

LONGEST: Final = 512

_SAFE_TEXT: Final = re.compile(r"[A-Za-z0-9\-_.]*")
_UNSAFE_CHARACTER: Final = re.compile(r"[^A-Za-z0-9\-_.]")

GUARDS: Final = frozenset({"limit", "circuit", "budget", "bulkhead"})
"""Kinds of states that limit calls; without one, a call is treated as the first."""

REGISTER: Final = "unsettled"
"""The kind of states that list operations with an unknown outcome."""

_CLAIMS: Final = frozenset(
    {"fence", "key", "oauth", "place", "refresh", "turn", REGISTER, "webhook"}
)

_KINDS: Final = GUARDS | _CLAIMS

CLASSES: Final = (*sorted(GUARDS), *sorted(_CLAIMS), "other")
"""The classes of states, for stores that limit the size of each class."""


def _quote(name: str) -> str:
    if _SAFE_TEXT.fullmatch(name):
        return name
    return _UNSAFE_CHARACTER.sub(lambda match: f"%{ord(match[0]):x};", name)


def state_key(kind: str, service: str, tenant: str | None, *more: str) -> str:
    """Return the key under which the state of a service and a tenant is stored.

    All such keys of one service and tenant have the same tag. So they are on one node of a
    clustered store, and one command may use several of them.
    """
    return ":".join((key_prefix_of(service, tenant), *map(_quote, (kind, *more))))


def key_prefix_of(service: str, tenant: str | None) -> str:
    """Return the prefix, in braces, of all state keys of a service and a tenant."""
    return f"{{{'' if tenant is None else '@' + _quote(tenant)}:{_quote(service)}}}"


def part_key(key: str, part: int) -> str:
    """Return the key of a part's state. The tag ends with `~` and the part; part 0 adds nothing."""
    return key.replace("}", f"~{part}}}", 1) if part else key


def own_key(kind: str, service: str, tenant: str | None, name: str, *more: str) -> str:
    """Return the key of a state; only states of the same name have the same hash tag."""
    return own_key_in(key_prefix_of(service, tenant), kind, name, *more)


def own_key_in(home: str, kind: str, name: str, *more: str) -> str:
    """Return the key that `own_key` returns, given the prefix of the service and tenant."""
    if more:
        return f"{home[:-1]}:{_quote(name)}}}:" + ":".join(map(_quote, (kind, *more)))
    return f"{home[:-1]}:{_quote(name)}}}:{kind}"


def tag_of(key: str) -> str:
    """Return a key's tag, by which a clustered store chooses a node; "" if the key has none."""
    return key.partition("{")[2].partition("}")[0]


def has_own_tag(key: str) -> bool:
    """Return whether a key has a separate hash tag, as keys from `own_key` have."""
    return tag_of(key).count(":") == 2


def longer_key(beginning: str, *more: str) -> str:
    """Return a longer state key: the given beginning, followed by further names."""
    if len(more) == 1:
        return f"{beginning}:{_quote(more[0])}"
    return ":".join((beginning, *map(_quote, more)))


def class_of(key: str) -> str:
    """Return the class of state under a key, a member of `CLASSES`."""
    key_rest = key.partition("}:")[2]
    kind = key_rest if key_rest in _KINDS else key_rest.partition(":")[0]
    return kind if kind in _KINDS else "other"


def checked_name(value: object, field: str) -> str:
    """Return a valid name of a service, tenant or part; raise an error for any other value."""
    if not isinstance(value, str) or not value or not value.isprintable() or len(value) > LONGEST:
        raise InvalidData(
            f"{field} must be a printable text of 1 to {LONGEST} characters.",
            field=field,
            remedy=f"Use a short printable name for {field}.",
        )
    return value
