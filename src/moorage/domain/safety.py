"""What keeps tests away from the world.

A *rehearsal* sends nothing that brings anything about. Recipients may be named, so that nobody else
is written to. And credentials are told apart: those of a vendor's real system have no business in a
test, nor those of its test system in production.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import attrs

from moorage.errors import ConfigurationError, RecipientRefused

if TYPE_CHECKING:
    from collections.abc import Iterable

_NUMBER: Final = re.compile(r"\+[0-9]+\*?")
_PLACE: Final = re.compile(r"(?:\*\.)?[^\s@*.+]+(?:\.[^\s@*.]+)*")
_DEVIANT: Final = frozenset("ßς\u200c\u200d")
"""What IDNA of 2003, which Python knows, takes for other letters, and that of 2008 does not."""
_PERSON: Final = re.compile(r"(?:\*|[^\s@*]+)@[^\s@*]+")


class Mode(StrEnum):
    """Which of a vendor's systems credentials are for."""

    LIVE = "live"
    TEST = "test"


def _patterns(value: str | Iterable[str]) -> tuple[str, ...]:
    given = (value,) if isinstance(value, str) else tuple(value)
    for number, pattern in enumerate(given):
        if not _is_pattern(pattern):
            raise ConfigurationError(
                "this names no recipient.",
                path=f"recipients.{number}",
                remedy="Give an address, a domain (also as '*.example.com', for those below it),"
                " a number such as '+4915112345678', or the beginning of numbers: '+4930*'.",
            )
    return tuple(map(_folded, given))


def _is_pattern(pattern: object) -> bool:
    if not isinstance(pattern, str):
        return False
    known = any(form.fullmatch(pattern) for form in (_NUMBER, _PLACE, _PERSON))
    return known and _is_foldable(pattern)


@attrs.frozen(kw_only=True)
class Safety:
    """How far what is done here reaches into the world.

    Attributes:
        dry_run: whether nothing that changes anything is sent.
        recipients: addresses, numbers and domains that may be written to; none named is everybody.
        live: whether the credentials are those of the vendors' real systems; None if that is not
            said.
    """

    dry_run: bool = False
    recipients: tuple[str, ...] = attrs.field(default=(), converter=_patterns)
    live: bool | None = None

    def allows(self, recipient: str) -> bool:
        """Whether somebody with this address or number may be written to."""
        if not self.recipients:
            return True
        if not _is_foldable(recipient):
            return False
        folded = _folded(recipient)
        return any(_fits(folded, pattern) for pattern in self.recipients)

    def refusal(self, recipients: Iterable[str]) -> RecipientRefused | None:
        """Why something must not be sent to these, if one of them must not be written to.

        It does not say whom it was to.
        """
        refused = [number for number, one in enumerate(recipients) if not self.allows(one)]
        if not refused:
            return None
        return RecipientRefused(
            f"{len(refused)} of its recipients must not be written to from here.",
            refused=tuple(refused),
        )

    def suits(self, mode: Mode | None) -> bool:
        """Whether credentials may be used here; what does not say which they are may."""
        return self.live is None or mode is None or self.live is (mode is Mode.LIVE)


def _folded(text: str) -> str:
    """An address with its domain as the DNS knows it, as a number is written, in small letters."""
    person, at, place = text.strip().lower().rpartition("@")
    if not place.isascii() and _DEVIANT.isdisjoint(place):
        place = place.encode("idna").decode()
    return f"{person}{at}{place}"


def _is_foldable(text: str) -> bool:
    """Whether the DNS could know the domain of an address."""
    try:
        _folded(text)
    except UnicodeError:
        return False
    return True


def _fits(recipient: str, pattern: str) -> bool:
    person, _, place = recipient.rpartition("@")
    if pattern.startswith("+"):
        return not person and (
            recipient == pattern or (pattern.endswith("*") and recipient.startswith(pattern[:-1]))
        )
    if not person:
        return False
    if "@" in pattern:
        return pattern in {recipient, f"*@{place}"}
    return place.endswith(pattern[1:]) if pattern.startswith("*.") else place == pattern
