"""YAML, as far as a configuration needs it: plain values, and nothing that says things twice.

An alias may stand for so much that a short file fills the memory; a key that stands twice hides one
of its values; a tag asks for a value of another kind than is written. None of these is read.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import yaml

from moorage.config.problems import key
from moorage.config.syntax import CORRECT, Malformed


def read_yaml(text: str) -> Any:
    """The one document of a text.

    Raises:
        Malformed: it is no YAML, or has what a configuration must not have.
    """
    allowed = True
    try:
        odd = _odd(text)
        if odd is None:
            return yaml.safe_load(text)
    except yaml.YAMLError as error:
        odd, allowed = _broken(error), False
    raise Malformed(f"{odd.cause} (line {odd.line + 1}).", odd.remedy, allowed=allowed)


class _Odd(NamedTuple):
    """Something that a configuration must not have: its line from 0, its cause and the remedy."""

    line: int
    cause: str
    remedy: str


_WRITE_OUT: Final = "Write the settings out wherever they belong."
_SYNTAX: Final = (
    (
        "mapping values are not allowed",
        "there is a second colon on the line, or the line is indented otherwise than its table",
        "Put texts with a colon into quotation marks, and indent the settings of a table alike.",
    ),
    ("found character '\\t'", "there is a tab, and YAML is indented with spaces", "Write spaces."),
    (
        "found character",
        "a value begins with a character that YAML reserves",
        "Put the value into quotation marks.",
    ),
    ("could not find expected ':'", "a colon is missing after a name", "Write name: value."),
    (
        "expected <block end>",
        "the line is indented otherwise than its table",
        "Indent the settings of a table alike.",
    ),
    (
        "but found another document",
        "there is a second document",
        "Leave one document in the file, without --- between settings.",
    ),
    (
        "found unexpected end of stream",
        "a text is not closed",
        "Close the text with a quotation mark.",
    ),
    (
        "expected the node content",
        "a value is missing, or a bracket is not closed",
        "Write the value, and close each bracket.",
    ),
    (
        "expected ',' or",
        "a list or a table in brackets is not closed",
        "Close each bracket.",
    ),
    (
        "special characters are not allowed",
        "there is a control character",
        "Take the character out.",
    ),
)
"""The beginnings of the parser's messages, the causes in words, and the remedies."""


def _broken(error: yaml.YAMLError) -> _Odd:
    mark: Any = getattr(error, "problem_mark", None)
    line = 0 if mark is None else int(mark.line)
    said = str(getattr(error, "problem", None) or getattr(error, "reason", None))
    for beginning, cause, remedy in _SYNTAX:
        if said.startswith(beginning):
            return _Odd(line, cause, remedy)
    return _Odd(line, "the text is malformed", CORRECT)


def _odd(text: str) -> _Odd | None:
    """The first thing that YAML allows and a configuration does not."""
    untyped: Any = yaml
    for said in untyped.parse(text, yaml.SafeLoader):
        line = int(said.start_mark.line)
        anchor = getattr(said, "anchor", None)
        if anchor is not None:
            alias = isinstance(said, yaml.AliasEvent)
            kind = f"*{key(anchor)} is an alias" if alias else f"&{key(anchor)} is an anchor"
            return _Odd(line, f"{kind}, which no configuration may have", _WRITE_OUT)
        if getattr(said, "tag", None) is not None:
            return _Odd(
                line,
                f"{key(said.tag)} is a tag, which no configuration may have",
                "Leave the tag out, and write the value as it is.",
            )
    return _repeated(untyped.compose(text, yaml.SafeLoader))


def _repeated(node: Any) -> _Odd | None:
    """The first key that is no text, or stands in its table already."""
    inner: list[Any] = []
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for name, value in node.value:
            line = int(name.start_mark.line)
            if name.tag != "tag:yaml.org,2002:str":
                return _Odd(line, "a key is no text", "Put the key into quotation marks.")
            if name.value in seen:
                twice = f"the key {key(name.value)} stands twice in one table"
                return _Odd(line, twice, "Leave one of the two out.")
            seen.add(name.value)
            inner.append(value)
    elif isinstance(node, yaml.SequenceNode):
        inner = node.value
    odd = (_repeated(one) for one in inner)
    return next((one for one in odd if one is not None), None)
