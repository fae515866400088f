"""Enumerations that keep unknown values, and the value of a field that is not set."""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import Final, Literal, TypeAlias


class OpenEnum(StrEnum):
    """An enumeration of strings that also accepts unknown strings.

    A service may add values at any time. An unknown string becomes a member that is equal to the
    string and whose `is_known` is False.
    """

    @classmethod
    def _missing_(cls, value: object) -> OpenEnum | None:
        if not isinstance(value, str):
            return None
        member = str.__new__(cls, value)
        member._name_ = value
        member._value_ = value
        return member

    @property
    def is_known(self) -> bool:
        """True if the API description lists this value."""
        return self.value in type(self)._value2member_map_


class _Unset(Enum):
    """The class of UNSET, an enumeration so that type checkers can distinguish UNSET."""

    UNSET = "unset"

    def __repr__(self) -> str:
        return "UNSET"

    def __bool__(self) -> bool:
        return False


UNSET: Final = _Unset.UNSET
"""The value of a field that is left out, where None would be sent as null."""

Unset: TypeAlias = Literal[_Unset.UNSET]
"""The type of UNSET."""
