"""Which thing of which account at which vendor."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import quote, unquote

import attrs

from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_SAFE: Final = "-_.~/@+=,"
_LONGEST: Final = 2_000
_NO_ID: Final = re.compile("[.]{1,2}|.*[\ud800-\udfff].*", re.DOTALL)
"""A step in a path, and half of a character: JSON can hold it and nothing can write it down."""


def _is_name(_: object, attribute: attrs.Attribute[str], value: object) -> None:
    if not isinstance(value, str) or _NAME.fullmatch(value) is None:
        raise InvalidData(
            f"{str(value)[:80]!r} cannot be the {attribute.name} of a reference.",
            field=attribute.name,
            remedy="Give a short name of small letters, digits, '-', '_' and '.'.",
        )


def _is_id(_: object, attribute: attrs.Attribute[str], value: object) -> None:
    if (
        not isinstance(value, str)
        or not 0 < len(value) <= _LONGEST
        or _NO_ID.fullmatch(value) is not None
    ):
        raise InvalidData(
            "A reference has no id, or one that is too long or none.",
            field=attribute.name,
            remedy="Give the id that the vendor gave.",
        )


def _pairs(value: Mapping[str, str] | Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(dict(value).items()))


@attrs.frozen
class Ref:
    """One thing at a vendor, such as a payment; it can be stored as text and read again.

    Whatever the configuration says later, what is done to the thing goes to the account that it
    belongs to.

    Attributes:
        vendor: the vendor's name, such as "stripe".
        account: the configured account of the vendor.
        id: the vendor's own id.
        related: further ids that the vendor needs for the same thing, by what they are.
    """

    vendor: str = attrs.field(validator=_is_name)
    account: str = attrs.field(validator=_is_name)
    id: str = attrs.field(validator=_is_id)
    related: tuple[tuple[str, str], ...] = attrs.field(default=(), converter=_pairs)

    @classmethod
    def parse(cls, text: Ref | str, field: str = "ref") -> Ref:
        """Read the text that `str` made; `field` says where it stands.

        Raises:
            InvalidData: it is no reference.
        """
        if isinstance(text, Ref):
            return text
        if not isinstance(text, str):
            raise _unreadable(type(text).__name__, field)
        whole, _, more = text.partition("?")
        parts = whole.split(":")
        if len(parts) != 3:
            raise _unreadable(repr(text[:80]), field)
        pairs = [pair.partition("=") for pair in more.split("&") if pair]
        related = tuple((unquote(name), unquote(value)) for name, _, value in pairs)
        return cls(parts[0], parts[1], unquote(parts[2]), related)

    def other(self, name: str) -> str | None:
        """The further id of this name, if there is one."""
        return dict(self.related).get(name)

    def with_related(self, **related: str | None) -> Self:
        """Return this reference with these further ids."""
        known: dict[str, str | None] = {**dict(self.related), **related}
        return attrs.evolve(self, related={name: value for name, value in known.items() if value})

    def __str__(self) -> str:
        more = "&".join(
            f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in self.related
        )
        text = f"{self.vendor}:{self.account}:{quote(self.id, safe=_SAFE)}"
        return f"{text}?{more}" if more else text


def _unreadable(what: str, field: str) -> InvalidData:
    return InvalidData(
        f"{what} is not a reference.",
        field=field,
        remedy="Give the `ref` of an earlier result, or the text that str(ref) made.",
    )
