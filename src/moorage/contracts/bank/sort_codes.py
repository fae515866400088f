"""Account numbers of the United Kingdom: a sort code and an account number."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.values.frozen_values import field, frozen
from moorage.errors import InvalidData

if TYPE_CHECKING:
    import attrs

    from moorage.contracts.validators import Check

_SEPARATORS: Final = re.compile("[ \u00a0-]")


def _compact(value: Any) -> Any:
    return _SEPARATORS.sub("", value) if isinstance(value, str) else value


def _has_digits(count: int, example: str) -> Check:
    def check_value(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        name = attribute.name.replace("_", " ")
        if isinstance(value, str) and re.fullmatch(f"[0-9]{{{count}}}", value):
            return
        raise InvalidData(
            f"The {name} must be a string of {count} digits.",
            field=attribute.name,
            remedy=f"Give a string such as '{example}', and put zeros in front of a shorter"
            " number.",
        )

    return check_value


@frozen(kw_only=True, repr=False)
class SortCodeAccount:
    """An account at a bank in the United Kingdom. The repr shows the last four digits only.

    Attributes:
        sort_code: six digits that name the branch of the bank; spaces and hyphens are accepted.
        number: eight digits of the account.
    """

    sort_code: str = field(converter=_compact, validator=_has_digits(6, "20-00-00"))
    number: str = field(converter=_compact, validator=_has_digits(8, "55779911"))

    @property
    def value(self) -> str:
        """The sort code and the account number as one string of 14 digits."""
        return self.sort_code + self.number

    def __repr__(self) -> str:
        return f"SortCodeAccount('…{self.number[-4:]}')"
