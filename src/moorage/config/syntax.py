"""Explanations of syntax errors in TOML, JSON or YAML, which never quote values.

A parser quotes the text around a mistake, which may be a secret. The explanations of this module
repeat only names of keys and tables, and the position of the mistake.
"""

from __future__ import annotations

import tomllib
from json import JSONDecodeError
from typing import Final, NamedTuple

from moorage.config.problems import key
from moorage.domain.values.patterns import late_pattern

CORRECT: Final = "Correct the file at this place."
_REMOVE_DUPLICATE: Final = "Remove one of the two keys."
_CLOSE_TEXT: Final = "Close the string with a quotation mark."
_REMOVE_CHARACTER: Final = "Remove the character, or write it as an escape."
_ERROR_PLACE: Final = late_pattern(r"\(at (?P<place>[^()]+)\)$")
_NAMES: Final = late_pattern(r"'((?:[^'\\]|\\.)*)'")


class Reason(NamedTuple):
    """The cause of an error, as the end of a sentence, and its remedy.

    `allowed` is True if the format allows the text, but a configuration does not.
    """

    cause: str
    remedy: str = CORRECT
    allowed: bool = False


class MalformedText(ValueError):
    """Raised for a string that moorage's own checks refuse, with the reason."""

    def __init__(self, cause: str, remedy: str, *, allowed: bool = False) -> None:
        super().__init__(cause)
        self.reason = Reason(cause, remedy, allowed)


_TOML_REASONS: Final = (
    ("Cannot declare", "the table {names} appears twice", "Join the two tables into one."),
    (
        "Cannot mutate",
        "a table in braces is extended elsewhere",
        "Write the whole table in one place.",
    ),
    ("Cannot overwrite", "a key appears twice in one table", _REMOVE_DUPLICATE),
    ("Cannot redefine", "a table appears twice", "Join the two tables into one."),
    ("Duplicate inline table key", "the key {names} appears twice in one table", _REMOVE_DUPLICATE),
    (
        "Invalid initial character for a key part",
        "a key has a character that belongs in quotation marks",
        "Write the key in quotation marks.",
    ),
    ("Expected '='", "there is no = after a key", "Write key = value."),
    (
        "Expected newline or end of document",
        "there is more text on the line after a value",
        "Put each setting on a separate line, and strings into quotation marks.",
    ),
    (
        "Expected ']'",
        "the name of a table is not closed with ]",
        "Write [table] on a separate line.",
    ),
    ("Expected ']]'", "the name of a list of tables is not closed", "Write [[table]] on one line."),
    (
        "Invalid value",
        "a value is missing, or is a string without quotation marks",
        'Write strings in quotation marks, such as key = "value".',
    ),
    ("Unclosed array", "a list is not closed with ]", "Close the list."),
    ("Unclosed inline table", "a table in braces is not closed", "Close the table with a brace."),
    ("Unterminated string", "a string is not closed", _CLOSE_TEXT),
    ('Expected "\'"', "a string is not closed", _CLOSE_TEXT),
    ("Expected \"'''\"", "a string is not closed", "Close the string with three quotation marks."),
    (
        "Unescaped '\\'",
        "a string has an invalid escape after a backslash",
        "Write two backslashes, or put the string into single quotation marks.",
    ),
    ("Invalid hex value", "an escape in a string has no hexadecimal number", "Correct the number."),
    (
        "Escaped character is not",
        "an escape in a string does not stand for a character",
        "Correct the number after the backslash.",
    ),
    ("Illegal character", "there is a character that TOML does not allow", _REMOVE_CHARACTER),
    ("Found invalid character", "there is a character that TOML does not allow", _REMOVE_CHARACTER),
    ("Invalid date or datetime", "a date or time does not exist", "Correct the date."),
    ("Invalid statement", "a line is neither a table nor a setting", "Write key = value."),
)
"""The beginnings of the parser's messages, the causes in plain words, and the remedies."""

_JSON_REASONS: Final = {
    "Expecting property name enclosed in double quotes": (
        "a name in double quotation marks is missing, or there is a comma before a brace",
        "Write names in double quotation marks, and no comma after the last setting.",
    ),
    "Expecting value": (
        "a value is missing, or is not valid JSON",
        "Write a value, and put strings in double quotation marks.",
    ),
    "Expecting ':' delimiter": ("a colon is missing after a name", 'Write "name": value.'),
    "Expecting ',' delimiter": (
        "a comma or a closing bracket is missing",
        "Put a comma between two values, and close each bracket.",
    ),
    "Unterminated string starting at": ("a string is not closed", _CLOSE_TEXT),
    "Invalid control character at": (
        "a string contains a line break or another control character",
        "Write a line break as \\n.",
    ),
    "Invalid \\escape": (
        "a string has an invalid escape after a backslash",
        "Write two backslashes.",
    ),
    "Invalid \\uXXXX escape": (
        "an escape in a string has no hexadecimal number",
        "Write four hexadecimal digits after \\u.",
    ),
    "Extra data": (
        "there is more text after the end of the object",
        "Keep only one object in the file.",
    ),
    "Illegal trailing comma before end of object": (
        "there is a comma before a closing brace",
        "Remove the comma.",
    ),
    "Illegal trailing comma before end of array": (
        "there is a comma before a closing bracket",
        "Remove the comma.",
    ),
}
"""The parser's messages, the causes in plain words, and the remedies."""


def reason_of(error: ValueError) -> Reason:
    """Return the cause and the remedy for an error of a TOML, JSON or YAML parser."""
    if isinstance(error, MalformedText):
        return error.reason
    if isinstance(error, JSONDecodeError):
        message = error.msg.removesuffix(": ")
        cause, remedy = _JSON_REASONS.get(message, ("the syntax is invalid", CORRECT))
        return Reason(f"{cause} (line {error.lineno}, column {error.colno}).", remedy)
    if isinstance(error, tomllib.TOMLDecodeError):
        return _toml_reason(str(error))
    return Reason("a number or a date in the file is out of range.", "Write a smaller one.")


def _toml_reason(message: str) -> Reason:
    location = _ERROR_PLACE.search(message)
    place = "" if location is None else f" ({location['place']})"
    matching_rows = [row for row in _TOML_REASONS if message.startswith(row[0])]
    # The longest match counts, because one message may be the beginning of another.
    beginning, cause, remedy = max(
        matching_rows, key=lambda row: len(row[0]), default=("", "the syntax is invalid", CORRECT)
    )
    del beginning
    names = ".".join(map(key, _NAMES.findall(message)))
    return Reason(f"{cause.format(names=names)}{place}.", remedy)
