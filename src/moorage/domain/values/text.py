"""Checks and conversions of text for databases, and the article before a word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from moorage.domain.values.patterns import late_pattern

if TYPE_CHECKING:
    from collections.abc import Sized

_LONGEST_SHOWN: Final = 24
_LONGEST_REPR: Final = 120
_VOWEL_SOUND: Final = late_pattern(r"[aeioAEIO]|[Uu][np](?!i)|[FHLRSX][A-Z]{2}")


def is_encodable(text: str) -> bool:
    """Return whether the text can be encoded as UTF-8; lone surrogates cannot.

    The result is a boolean, because Python's UnicodeEncodeError would carry the whole text.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def storable_text(text: str) -> str:
    """Return the text with question marks for lone surrogates and NUL characters."""
    return text.encode(errors="replace").decode().replace("\0", "?")


def column_text(text: str, length: int) -> str:
    """Return the text so that any database can store it in a column, shortened if too long.

    Lone surrogates and NUL characters become escape sequences.
    """
    if text.isascii() and len(text) <= length and "\0" not in text:
        return text
    encodable_text = text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
    return encodable_text.replace("\0", "\\0")[:length]


def with_article(name: str) -> str:
    """Return the name of a class after its article: 'an int', 'a str', 'an HTTPError'."""
    return f"{'an' if _VOWEL_SOUND.match(name) else 'a'} {name}"


def brief_repr(value: object) -> str:
    """Return the repr of a refused value for an error message; of a long value its type and size.

    A long value would fill the message, and may be a secret in the wrong place.
    """
    kind = type(value).__name__
    is_sized = isinstance(value, (str, bytes, list, tuple, dict, set))
    size = len(cast("Sized", value)) if is_sized else 0
    if size > _LONGEST_SHOWN:
        return f"<{kind} of {size} {'characters' if isinstance(value, str) else 'elements'}>"
    try:
        text = repr(value)
    except ValueError:  # an integer with thousands of digits
        text = ""
    return text if 0 < len(text) <= _LONGEST_REPR else f"<a long {kind}>"
