"""The reason why a text is no TOML, JSON or YAML, without any value that stands in the text.

Parsers quote what they stumble over, which may be a secret. Of a text only the names of its keys
and tables are repeated here, and the place of the mistake.
"""

from __future__ import annotations

import re
import tomllib
from json import JSONDecodeError
from typing import Final, NamedTuple

from moorage.config.problems import key

CORRECT: Final = "Correct the file there."
_ONE_OF_TWO: Final = "Leave one of the two out."
_CLOSE_TEXT: Final = "Close the text with a quotation mark."
_TAKE_OUT: Final = "Take the character out, or write it as an escape."
_AT: Final = re.compile(r"\(at (?P<place>[^()]+)\)$")
_NAMES: Final = re.compile(r"'((?:[^'\\]|\\.)*)'")


class Reason(NamedTuple):
    """The cause of a refusal, as the end of a sentence, and the remedy.

    `allowed` says that the format has such a thing, and only configurations have not.
    """

    cause: str
    remedy: str = CORRECT
    allowed: bool = False


class Malformed(ValueError):
    """A text that our own readers refuse, with the reason."""

    def __init__(self, cause: str, remedy: str, *, allowed: bool = False) -> None:
        super().__init__(cause)
        self.reason = Reason(cause, remedy, allowed)


_OF_TOML: Final = (
    ("Cannot declare", "the table {names} stands twice", "Join the two tables into one."),
    ("Cannot mutate", "a table in braces is extended elsewhere", "Write it in one place."),
    ("Cannot overwrite", "a key stands twice in one table", _ONE_OF_TWO),
    ("Cannot redefine", "a table stands twice", "Join the two tables into one."),
    ("Duplicate inline table key", "the key {names} stands twice in one table", _ONE_OF_TWO),
    (
        "Invalid initial character for a key part",
        "a key has a character that belongs in quotation marks",
        "Write the key in quotation marks.",
    ),
    ("Expected '='", "there is no = after a key", "Write key = value."),
    (
        "Expected newline or end of document",
        "there is more on the line after a value",
        "Put each setting on a line of its own, and texts into quotation marks.",
    ),
    ("Expected ']'", "the name of a table is not closed with ]", "Write [table] on its own line."),
    ("Expected ']]'", "the name of a list of tables is not closed", "Write [[table]] in one line."),
    (
        "Invalid value",
        "a value is missing, or is a text without quotation marks",
        'Write texts in quotation marks, such as key = "value".',
    ),
    ("Unclosed array", "a list is not closed with ]", "Close the list."),
    ("Unclosed inline table", "a table in braces is not closed", "Close the table with a brace."),
    ("Unterminated string", "a text is not closed", _CLOSE_TEXT),
    ('Expected "\'"', "a text is not closed", _CLOSE_TEXT),
    ("Expected \"'''\"", "a text is not closed", "Close the text with three quotation marks."),
    (
        "Unescaped '\\'",
        "a text has a backslash that escapes nothing",
        "Write two backslashes, or put the text into single quotation marks.",
    ),
    ("Invalid hex value", "an escape in a text has no hexadecimal number", "Correct the number."),
    (
        "Escaped character is not",
        "an escape in a text stands for no character",
        "Correct the number after the backslash.",
    ),
    ("Illegal character", "a character stands there that TOML does not allow", _TAKE_OUT),
    ("Found invalid character", "a character stands there that TOML does not allow", _TAKE_OUT),
    ("Invalid date or datetime", "a date or time does not exist", "Correct the date."),
    ("Invalid statement", "a line is neither a table nor a setting", "Write key = value."),
)
"""The beginnings of the parser's messages, the causes in words, and the remedies."""

_OF_JSON: Final = {
    "Expecting property name enclosed in double quotes": (
        "a name in double quotation marks is missing, or a comma stands before a brace",
        "Write names in double quotation marks, and no comma after the last setting.",
    ),
    "Expecting value": (
        "a value is missing, or is none of JSON",
        "Write a value; texts stand in double quotation marks.",
    ),
    "Expecting ':' delimiter": ("a colon is missing after a name", 'Write "name": value.'),
    "Expecting ',' delimiter": (
        "a comma or a closing bracket is missing",
        "Put a comma between two values, and close each bracket.",
    ),
    "Unterminated string starting at": ("a text is not closed", _CLOSE_TEXT),
    "Invalid control character at": (
        "a text has a line break or another control character in it",
        "Write a line break as \\n.",
    ),
    "Invalid \\escape": ("a text has a backslash that escapes nothing", "Write two backslashes."),
    "Invalid \\uXXXX escape": (
        "an escape in a text has no hexadecimal number",
        "Write four hexadecimal digits after \\u.",
    ),
    "Extra data": ("there is more after the end of the object", "Leave one object in the file."),
    "Illegal trailing comma before end of object": (
        "a comma stands before a closing brace",
        "Take the comma out.",
    ),
    "Illegal trailing comma before end of array": (
        "a comma stands before a closing bracket",
        "Take the comma out.",
    ),
}
"""The parser's messages, the causes in words, and the remedies."""


def reason_of(error: ValueError) -> Reason:
    """The reason of what a parser has raised."""
    if isinstance(error, Malformed):
        return error.reason
    if isinstance(error, JSONDecodeError):
        message = error.msg.removesuffix(": ")
        cause, remedy = _OF_JSON.get(message, ("the text is malformed", CORRECT))
        return Reason(f"{cause} (line {error.lineno}, column {error.colno}).", remedy)
    if isinstance(error, tomllib.TOMLDecodeError):
        return _of_toml(str(error))
    return Reason("a number or a date in it is out of range.", "Write a smaller one.")


def _of_toml(message: str) -> Reason:
    at = _AT.search(message)
    place = "" if at is None else f" ({at['place']})"
    fitting = [row for row in _OF_TOML if message.startswith(row[0])]
    # The beginning of one message may be that of another, which is longer.
    beginning, cause, remedy = max(
        fitting, key=lambda row: len(row[0]), default=("", "the text is malformed", CORRECT)
    )
    del beginning
    names = ".".join(map(key, _NAMES.findall(message)))
    return Reason(f"{cause.format(names=names)}{place}.", remedy)
