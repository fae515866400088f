"""The people who use the operations page, and their permissions."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.domain.values.text import storable_text
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable

_MAX_LENGTH: Final = 150


class Group(StrEnum):
    """A permission, which covers a group of actions that a person may perform."""

    CIRCUITS = "circuits"
    LIMITS = "limits"
    OUTBOX = "outbox"
    INBOX = "inbox"
    PAYMENTS = "payments"
    CREDENTIALS = "credentials"


ALL_ACTS: Final = frozenset(Group)
READ_ONLY: Final[frozenset[Group]] = frozenset()


def _is_name(_: object, __: object, value: Any) -> None:
    if not isinstance(value, str) or not value.strip() or len(value) > _MAX_LENGTH:
        raise InvalidData(
            f"The name of a person must be a string of 1 to {_MAX_LENGTH} characters.",
            field="name",
            remedy="Give the name that identifies the person, such as the user name.",
        )


def _storable(value: str) -> str:
    return storable_text(value) if isinstance(value, str) else value  # pyright: ignore[reportUnnecessaryIsInstance] - the application may pass anything


def _groups(value: Iterable[Group]) -> frozenset[Group]:
    return frozenset(value)


@attrs.frozen
class Person:
    """A person whose identity is verified.

    Attributes:
        name: the name in audit records, which must be unique.
        acts: the permissions of the person; empty for reading only.
        session: a text to which the person's forms are bound, such as the id of the session; by
            default the person's name.
    """

    name: str = attrs.field(validator=_is_name, converter=_storable)
    acts: frozenset[Group] = attrs.field(default=READ_ONLY, converter=_groups)
    session: str = attrs.field(default="", repr=False)

    def may(self, group: Group) -> bool:
        """Return whether the person may perform actions of this group."""
        return group in self.acts

    def is_same(self, name: str) -> bool:
        """Return whether a name is the name of this person, regardless of case."""
        return self.name.strip().casefold() == name.strip().casefold()
