"""Keys of shared state: no two tenants, services or parts ever share a key."""

from __future__ import annotations

from typing import Final

from moorage.errors import InvalidData

LONGEST: Final = 512

GUARDS: Final = frozenset({"limit", "circuit", "budget", "bulkhead"})
"""Kinds of states that hold calls back. Without one a call is made as if it were the first."""

_CLAIMS: Final = frozenset(
    {"fence", "key", "oauth", "place", "refresh", "turn", "unsettled", "webhook"}
)

CLASSES: Final = (*sorted(GUARDS), *sorted(_CLAIMS), "other")
"""Classes of states, for whoever bounds each of them apart."""


def _quoted(name: str) -> str:
    if name.isascii() and name.isalnum():
        return name
    return "".join(
        letter
        if letter.isascii() and (letter.isalnum() or letter in "-_.")
        else f"%{ord(letter):x};"
        for letter in name
    )


def state_key(kind: str, service: str, tenant: str | None, *more: str) -> str:
    """The key of one state of a service and tenant, in ASCII.

    All keys of one service and tenant share the part in braces, so that a clustered store keeps
    them on one node and one command may join them.
    """
    home = f"{{{'' if tenant is None else '@' + _quoted(tenant)}:{_quoted(service)}}}"
    return ":".join((home, *map(_quoted, (kind, *more))))


def class_of(key: str) -> str:
    """The class of the state under a key: one of `CLASSES`."""
    kind = key.partition("}:")[2].partition(":")[0]
    return kind if kind in GUARDS or kind in _CLAIMS else "other"


def checked_name(value: object, field: str) -> str:
    """`value` as the name of a service, tenant or part."""
    if not isinstance(value, str) or not value or not value.isprintable() or len(value) > LONGEST:
        raise InvalidData(
            f"{field} must be a printable text of 1 to {LONGEST} characters.",
            field=field,
            remedy=f"Give {field} a short printable name.",
        )
    return value
