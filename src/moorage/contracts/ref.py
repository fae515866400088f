"""References: strings that identify an object at a vendor, with its account and the vendor."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import quote, unquote

from moorage.domain.values.frozen_values import evolve, field, frozen
from moorage.domain.values.patterns import late_pattern
from moorage.domain.values.text import is_encodable
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import attrs

_NAME: Final = late_pattern(r"[a-z0-9][a-z0-9_.-]{0,63}")
_SAFE_CHARACTERS: Final = "-_.~/@+=,"
_MAX_LENGTH: Final = 2_000
_NO_ID: Final = late_pattern("[.]{1,2}|.*[\ud800-\udfff].*", re.DOTALL)
""""." and ".." are steps in a path; unpaired surrogates fit into JSON, but not into UTF-8."""


def _is_name(_: object, attribute: attrs.Attribute[str], value: object) -> None:
    if not isinstance(value, str) or _NAME.fullmatch(value) is None:
        raise InvalidData(
            f"{str(value)[:80]!r} cannot be the {attribute.name} of a reference.",
            field=attribute.name,
            remedy="Give a short name of lowercase letters, digits, '-', '_' and '.'.",
        )


def _is_id(_: object, attribute: attrs.Attribute[str], value: object) -> None:
    if (
        not isinstance(value, str)
        or not 0 < len(value) <= _MAX_LENGTH
        or _NO_ID.fullmatch(value) is not None
    ):
        raise InvalidData(
            "The id of a reference is missing, invalid or too long.",
            field=attribute.name,
            remedy="Give the id that the vendor assigned.",
        )


def _pairs(value: Mapping[str, str] | Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    if value == ():
        return ()
    try:
        pairs = sorted(dict(value).items())
    except (TypeError, ValueError):
        pairs = None
    if pairs is None or not all(
        isinstance(text, str) and is_encodable(text) for pair in pairs for text in pair
    ):
        raise InvalidData(
            "The related ids of a reference are not strings by name.",
            field="related",
            remedy="Give a mapping of names to ids, such as {'order': 'o-1'}.",
        )
    return tuple(pairs)


@frozen
class Ref:
    """A reference of an object at a vendor, such as a payment. It can be stored as text.

    Later operations on the object go to the account in its reference, even if the routes of the
    configuration have changed.

    Attributes:
        vendor: name of the vendor, such as "stripe".
        account: name of the configured account.
        id: the vendor's id of the object.
        related: further ids that the vendor needs for the object, by name.
    """

    vendor: str = field(validator=_is_name)
    account: str = field(validator=_is_name)
    id: str = field(validator=_is_id)
    related: tuple[tuple[str, str], ...] = field(default=(), converter=_pairs)

    @classmethod
    def parse(cls, text: Ref | str, field: str = "ref") -> Ref:
        """Parse the text of a reference; errors name `field` as the wrong field.

        Raises:
            InvalidData: the text is not a reference.
        """
        if isinstance(text, Ref):
            return text
        if not isinstance(text, str):
            raise _unreadable_error(type(text).__name__, field)
        main_part, _, related_part = text.partition("?")
        parts = main_part.split(":")
        if len(parts) != 3:
            raise _unreadable_error(repr(text[:80]), field)
        pairs = [pair.partition("=") for pair in related_part.split("&") if pair]
        related_ids = tuple((unquote(name), unquote(value)) for name, _, value in pairs)
        return cls(parts[0], parts[1], unquote(parts[2]), related_ids)

    def other(self, name: str) -> str | None:
        """The related id with this name; None if there is none."""
        return dict(self.related).get(name)

    def with_related(self, **related: str | None) -> Self:
        """A copy of this reference with these related ids added."""
        merged_ids: dict[str, str | None] = {**dict(self.related), **related}
        return evolve(self, related={name: value for name, value in merged_ids.items() if value})

    def __str__(self) -> str:
        related_query = "&".join(
            f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in self.related
        )
        text = f"{self.vendor}:{self.account}:{quote(self.id, safe=_SAFE_CHARACTERS)}"
        return f"{text}?{related_query}" if related_query else text


def _unreadable_error(text: str, field: str) -> InvalidData:
    return InvalidData(
        f"{text} is not a reference in text form.",
        field=field,
        remedy="Give the `ref` of an earlier result, or the text that str(ref) returned.",
    )
