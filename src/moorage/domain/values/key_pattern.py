"""Patterns of object keys with wildcards, such as "invoices/**/*.pdf"."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import attrs

from moorage.errors import InvalidData

if TYPE_CHECKING:
    from typing import Self

_WILDCARD: Final = re.compile(r"[*?\[]")
_TOKEN: Final = re.compile(
    r"(?P<folders>(?:(?<=/)|^)\*\*/)"
    r"|(?P<rest>(?:(?<=/)|^)\*\*$)"
    r"|(?P<star>\*)"
    r"|(?P<one>\?)"
    r"|\[(?P<not>[!^]?)(?P<set>\][^\]/]*|(?!(?<=\[)[!^]\])[^\]/]+)\]"
)
_SPECIAL_CHARACTERS: Final = re.compile(r"[\\\[\]^&~|]")
"""The characters with a meaning in a set of a regular expression, besides the hyphen."""
_MAX_LENGTH: Final = 1_024


@attrs.frozen
class KeyPattern:
    """A wildcard pattern for keys whose parts are separated by slashes.

    `*` stands for any characters of one part, `?` for one character, `[abc]` and `[!abc]` for one
    character of a set, and `**` in place of a part for any number of parts.

    Attributes:
        text: the pattern.
        prefix: the beginning that all matching keys have.
        is_flat: whether the keys that match have no slash after the prefix.
    """

    text: str
    prefix: str
    is_flat: bool
    _expression: re.Pattern[str] = attrs.field(repr=False, eq=False)

    @classmethod
    def of(cls, text: str) -> Self:
        """Return the compiled pattern of a string with wildcards.

        Raises:
            InvalidData: the value is not a string, is empty, or has a set that is not closed.
        """
        if not isinstance(text, str) or not text or len(text) > _MAX_LENGTH:
            raise _bad_pattern("is empty, is too long, or is not a str")
        wildcard = _WILDCARD.search(text)
        prefix = text if wildcard is None else text[: wildcard.start()]
        expression, end = "", 0
        for match in _TOKEN.finditer(text):
            expression += _literal(text[end : match.start()]) + _expression_of(match)
            end = match.end()
        expression += _literal(text[end:])
        try:
            compiled_pattern = re.compile(expression, re.DOTALL)
        except re.error:
            raise _bad_pattern("contains a set of characters that is not a range") from None
        tail_text = text[len(prefix) :]
        return cls(text, prefix, "/" not in tail_text and "**" not in tail_text, compiled_pattern)

    def matches(self, key: str) -> bool:
        """Return whether a key matches the pattern."""
        return self._expression.fullmatch(key) is not None


def _expression_of(match: re.Match[str]) -> str:
    kind = match.lastgroup
    if kind == "folders":
        return r"(?:[^/]+/)*"
    if kind == "rest":
        return r".+"
    if kind == "star":
        return r"[^/]*"
    if kind == "one":
        return r"[^/]"
    characters = _SPECIAL_CHARACTERS.sub(r"\\\g<0>", match["set"]).replace("--", r"-\-")
    # A range such as [.-0] contains the slash, which separates parts.
    return f"(?!/)[{'^' if match['not'] else ''}{characters}]"


def _literal(text: str) -> str:
    if "[" in text:
        raise _bad_pattern("contains a set of characters that is empty or not closed")
    return re.escape(text)


def _bad_pattern(problem: str) -> InvalidData:
    return InvalidData(
        f"The pattern {problem}.",
        field="pattern",
        remedy="Pass a pattern such as 'invoices/**/*.pdf'.",
    )
