"""Patterns of paths in the notation of a `.dockerignore`.

A pattern is compared with a path one character at a time, and all places of the pattern that the
characters so far can reach are tracked. So the time grows with the lengths of both, whatever
wildcards there are. A regular expression would try all ways of dividing a path among the wildcards.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Test: TypeAlias = Callable[[str], bool]

_MOST_REMEMBERED: Final = 4_096
# In Docker, `**` matches any number of whole folders. At the end of a pattern, and at the beginning
# of a pattern without other wildcards, it matches any text.
_PIECES: Final = re.compile(
    r"(\A\*\*(?=[^]*?\[\\/][^]*?\[\\]*\Z)|\*\*/?\Z)|(\*\*/?)|(\*)|(\?)"
    r"|\[(\^?)((?:\\.|[^\\\]])+)\]|\\(.)|(.)",
    re.DOTALL,
)
_MEMBERS: Final = re.compile(r"(\\.|.)(?:-(\\.|.))?", re.DOTALL)


def _accept_none(_: str) -> bool:
    return False


def _accept_any(_: str) -> bool:
    return True


def _is_inside_name(char: str) -> bool:
    return char != "/"


class _PatternPosition(NamedTuple):
    """A position in a path pattern.

    Attributes:
        accepts_next: whether a character leads to the following place.
        accepts_again: whether a character leads to this place again.
        skips: the distances of the places that are reached without a character.
    """

    accepts_next: Test = _accept_none
    accepts_again: Test = _accept_none
    skips: tuple[int, ...] = ()


class PathPattern:
    """A pattern of paths, which may have `*`, `**`, `?` and sets of characters in brackets.

    Args:
        text: the pattern.

    Raises:
        ValueError: a range between brackets ends before it begins.
    """

    __slots__ = ("_end", "_places", "_remembered", "_start")

    def __init__(self, text: str) -> None:
        self._places = [place for match in _PIECES.finditer(text) for place in _places_of(match)]
        self._end = len(self._places)
        self._places.append(_PatternPosition())
        self._start = self._with_skips({0})
        self._remembered: dict[tuple[frozenset[int], str], frozenset[int]] = {}

    def matches(self, path: str) -> bool:
        """Return whether a path, or one of the folders that it is in, matches."""
        reached_places = self._start
        for char in path:
            if char == "/" and self._end in reached_places:
                return True
            reached_places = self._places_after(reached_places, char)
            if not reached_places:
                return False
        return self._end in reached_places

    def _places_after(self, places_reached: frozenset[int], char: str) -> frozenset[int]:
        """Return the positions in the pattern that a character of the path leads to."""
        step = places_reached, char
        next_places = self._remembered.get(step)
        if next_places is None:
            places = [(number, self._places[number]) for number in places_reached]
            numbers = {number for number, place in places if place.accepts_again(char)}
            numbers.update(number + 1 for number, place in places if place.accepts_next(char))
            next_places = self._with_skips(numbers)
            if len(self._remembered) < _MOST_REMEMBERED:
                self._remembered[step] = next_places
        return next_places

    def _with_skips(self, numbers: Iterable[int]) -> frozenset[int]:
        """Return positions in the pattern, and those reachable from them without a character."""
        reached_places = set[int]()
        pending_numbers = [*numbers]
        while pending_numbers:
            number = pending_numbers.pop()
            if number not in reached_places:
                reached_places.add(number)
                pending_numbers.extend(number + skip for skip in self._places[number].skips)
        return frozenset(reached_places)


def _places_of(match: re.Match[str]) -> Iterator[_PatternPosition]:
    """Yield the pattern positions for one piece of a pattern, such as `**`."""
    any_text, folders, star, single_character, is_negated, members, escaped, plain_part = (
        match.groups()
    )
    if any_text:
        yield _PatternPosition(accepts_again=_accept_any, skips=(1,))
    elif folders:
        yield _PatternPosition(skips=(1, 2))
        yield _PatternPosition(accepts_next="/".__eq__, accepts_again=_accept_any)
    elif star:
        yield _PatternPosition(accepts_again=_is_inside_name, skips=(1,))
    elif single_character:
        yield _PatternPosition(accepts_next=_is_inside_name)
    elif members:
        yield _PatternPosition(accepts_next=partial(_is_member, _ranges(members), bool(is_negated)))
    else:
        yield _PatternPosition(accepts_next=(escaped or plain_part).__eq__)


def _ranges(members: str) -> tuple[tuple[str, str], ...]:
    """Return the first and the last character of each range between brackets."""
    ranges = [(match[1][-1], (match[2] or match[1])[-1]) for match in _MEMBERS.finditer(members)]
    if any(range_end < range_start for range_start, range_end in ranges):
        raise ValueError(members)
    return tuple(ranges)


def _is_member(ranges: tuple[tuple[str, str], ...], negated: bool, char: str) -> bool:  # noqa: FBT001 - for partial
    return negated is not any(range_start <= char <= range_end for range_start, range_end in ranges)
