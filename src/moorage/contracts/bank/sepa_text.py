# ruff: noqa: RUF001 - letters of other alphabets are the subject of the table
"""The characters that SEPA strings may have, and the replacements of other characters."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from moorage.contracts.validators import OneOf
from moorage.errors import InvalidData

_OTHER_CHARACTER: Final = re.compile(r"[^A-Za-z0-9/?:().,'+ -]")
_SEVERAL_SPACES: Final = re.compile(r" {2,}")


def _pairs(text: str) -> dict[str, str]:
    """Parse replacements such as `ä=ae ö=oe` to a table, and add those of the capital letters."""
    pairs = dict(pair.split("=") for pair in text.split())
    return {
        **{letter.upper(): latin.capitalize() for letter, latin in pairs.items() if letter != "ß"},
        **pairs,
    }


_LETTERS: Final = {
    **_pairs("ä=ae ö=oe ü=ue ß=ss æ=ae ø=o å=a œ=oe đ=d ð=d þ=th ł=l ħ=h ı=i ŋ=ng ŧ=t"),
    # Greek and Cyrillic letters, transliterated as in passports.
    **_pairs("α=a β=v γ=g δ=d ε=e ζ=z η=i θ=th ι=i κ=k λ=l μ=m ν=n ξ=x ο=o π=p ρ=r σ=s τ=t"),
    **_pairs("υ=y φ=f χ=ch ψ=ps ω=o"),
    "ς": "s",
    **_pairs("а=a б=b в=v г=g д=d е=e ж=zh з=z и=i й=y к=k л=l м=m н=n о=o п=p р=r с=s т=t"),
    **_pairs("у=u ф=f х=h ц=ts ч=ch ш=sh щ=sht ъ=a ь=y ю=yu я=ya"),
    "€": "E",
    "&": "+",
    "@": "(at)",
    "_": "-",
    '"': "'",
    "`": "'",
    "‘": "'",
    "’": "'",
    "‚": "'",
    "“": "'",
    "”": "'",
    "„": "'",
    "–": "-",
    "—": "-",
    "[": "(",
    "]": ")",
    "{": "(",
    "}": ")",
    "\\": "/",
    "|": "/",
    ";": ",",
    "%": ".",
    "*": ".",
    "#": ".",
    "=": "-",
    "!": ".",
    "$": ".",
    "~": "-",
    "<": ".",
    ">": ".",
    "^": ".",
}


class Characters(OneOf, field="characters"):
    """The treatment of characters that are not in SEPA's Latin set.

    `refuse` raises an error that names the field. `transliterate` replaces them by Latin letters,
    and by a dot if there is no equivalent.
    """

    REFUSE = "refuse"
    TRANSLITERATE = "transliterate"


def is_latin(text: str) -> bool:
    """True if all characters are in the Latin set that SEPA requires of every bank."""
    return _OTHER_CHARACTER.search(text) is None


def transliterate(text: str) -> str:
    """The text in SEPA's Latin set: `Müller & Söhne` becomes `Mueller + Soehne`.

    A letter with an accent loses it, white space becomes one space, and a character without a
    Latin form becomes a dot.
    """
    plain_text = "".join(map(_latin, unicodedata.normalize("NFC", text)))
    return _SEVERAL_SPACES.sub(" ", plain_text).strip(" ")


def _latin(character: str) -> str:
    if is_latin(character):
        return character
    replacement = _LETTERS.get(character)
    if replacement is not None:
        return replacement
    if character.isspace():
        return " "
    # In this form an accent is a mark after its letter, and a ligature becomes its letters.
    parts = [
        part for part in unicodedata.normalize("NFKD", character) if not unicodedata.combining(part)
    ]
    plain_text = "".join(
        part if is_latin(part) else " " if part.isspace() else _LETTERS.get(part, ".")
        for part in parts
    )
    return plain_text or "."


def sepa_text(text: str, field: str, longest: int, characters: Characters) -> str:
    """Return a string with only the characters that a SEPA file allows.

    Raises:
        InvalidData: the string has other characters and `characters` refuses them, or it is
            empty or too long.
    """
    if characters is Characters.TRANSLITERATE:
        text = transliterate(text)
    else:
        match = _OTHER_CHARACTER.search(text)
        if match is not None:
            raise InvalidData(
                f"The {field} has a character at position {match.start() + 1} that SEPA's Latin"
                " character set does not have.",
                field=field,
                remedy="Change the text, or pass characters='transliterate' to the writer.",
            )
    if not text.strip() or text != text.strip():
        raise InvalidData(
            f"The {field} is empty, or begins or ends with a space.",
            field=field,
            remedy="Give a string of letters and digits, or None if the field is optional.",
        )
    if len(text) > longest:
        raise InvalidData(
            f"The {field} has {len(text)} characters in SEPA's Latin character set, but at most"
            f" {longest} are allowed.",
            field=field,
            remedy="Shorten the text.",
        )
    return text
