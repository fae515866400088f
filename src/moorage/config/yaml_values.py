"""Reads YAML as JSON values, in bounded memory.

The string is read event by event into dicts and lists, so deep nesting fills no stack. Plain words
are resolved as the core schema of YAML 1.2 does: only true, false, null and numbers are not
strings. The number of values below each value is counted, so that a string whose aliases expand to
millions of values is refused immediately.
"""

from __future__ import annotations

import re
from typing import Any, Final, NoReturn

import yaml

from moorage.config.problems import key
from moorage.config.syntax import CORRECT, MalformedText

_MAX_DEPTH: Final = 200
_MOST_VALUES: Final = 5_000_000
_LONGEST_NUMBER: Final = 300
_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_WORDS: Final = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER: Final = re.compile(r"[-+]?[0-9]+")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")


class _YamlLevel:
    """A YAML table or list that is not read completely yet.

    Attributes:
        value: the level's dict or list.
        anchor: the name of its anchor, if it has one.
        count: the number of values in it so far.
        name: the key whose value comes next; None if a key comes next.
    """

    __slots__ = ("anchor", "count", "name", "value")

    def __init__(self, value: dict[str, Any] | list[Any], anchor: str | None) -> None:
        self.value = value
        self.anchor = anchor
        self.count = 1
        self.name: str | None = None


class _Builder:
    """Builds the values of one YAML document from the parser's events."""

    def __init__(self) -> None:
        self.levels: list[_YamlLevel] = []
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.documents: list[Any] = []

    def take(self, event: Any) -> None:
        """Add one event of the YAML parser."""
        line = int(event.start_mark.line)
        if isinstance(event, yaml.ScalarEvent):
            self._add_scalar(event, line)
        elif isinstance(event, yaml.AliasEvent):
            self._add_alias(str(event.anchor), line)
        elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            self._open(event, line)
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            level = self.levels.pop()
            self._add(level.value, level.count, level.anchor, line)

    def _open(self, event: Any, line: int) -> None:
        _check_tag(event, line)
        if len(self.levels) >= _MAX_DEPTH:
            _raise_malformed(
                f"the text has more than {_MAX_DEPTH} levels", line, "Reduce the nesting."
            )
        self._check_key_is_text(line)
        value: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
        self.levels.append(_YamlLevel(value, event.anchor))

    def _add_scalar(self, event: Any, line: int) -> None:
        level = self.levels[-1] if self.levels else None
        if level is not None and isinstance(level.value, dict) and level.name is None:
            if event.value == "<<" and event.implicit[0]:
                _raise_malformed("<< merges another table", line, "Write the values out.")
            if event.value in level.value:
                cause = f"the key {key(event.value)} appears twice in one table"
                _raise_malformed(cause, line, "Remove one of the two keys.")
            level.name = event.value
            return
        _check_tag(event, line)
        # `implicit` is true for a string without quotation marks.
        value = _plain_value(event.value, line) if event.implicit[0] else event.value
        self._add(value, 1, event.anchor, line)

    def _add_alias(self, anchor: str, line: int) -> None:
        if anchor not in self.anchors:
            cause = f"*{key(anchor)} refers to no value before it"
            _raise_malformed(cause, line, "Write the value out.")
        self._check_key_is_text(line)
        value, count = self.anchors[anchor]
        self._add(value, count, None, line)

    def _check_key_is_text(self, line: int) -> None:
        if self.levels and isinstance(self.levels[-1].value, dict) and self.levels[-1].name is None:
            _raise_malformed("a key is not a string", line, "Write the key as a string.")

    def _add(self, value: Any, count: int, anchor: str | None, line: int) -> None:
        if anchor is not None:
            self.anchors[anchor] = value, count
        if not self.levels:
            self.documents.append(value)
            return
        level = self.levels[-1]
        level.count += count
        if level.count > _MOST_VALUES:
            _raise_malformed(
                f"the text expands to more than {_MOST_VALUES} values", line, "Remove aliases."
            )
        if isinstance(level.value, list):
            level.value.append(value)
        else:
            level.value[str(level.name)] = value
            level.name = None


def yaml_value(text: str) -> Any:
    """Return the only document of a YAML string.

    Raises:
        Malformed: the string is not YAML, is nested too deeply, or expands to too many values.
    """
    builder = _Builder()
    parse: Any = yaml.parse
    wrong_line: int | None = None
    try:
        for event in parse(text, _LOADER):
            builder.take(event)
    except yaml.YAMLError as error:
        error_position: Any = getattr(error, "problem_mark", None)
        wrong_line = 0 if error_position is None else int(error_position.line)
    if wrong_line is not None:
        _raise_malformed("the syntax is invalid", wrong_line, CORRECT)
    if len(builder.documents) != 1:
        cause = f"there are {len(builder.documents)} documents."
        raise MalformedText(cause, "Keep exactly one document in the file.")
    return builder.documents[0]


def _check_tag(event: Any, line: int) -> None:
    if event.tag is not None:
        _raise_malformed(f"{key(event.tag)} is a tag", line, "Remove the tag, and write the value.")


def _plain_value(text: str, line: int) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if _FLOAT.fullmatch(text) is None:
        return text
    if len(text) > _LONGEST_NUMBER:
        _raise_malformed(
            "a number is too long", line, "Write a shorter number, or a string in quotation marks."
        )
    return int(text) if _INTEGER.fullmatch(text) else float(text)


def _raise_malformed(cause: str, line: int, remedy: str) -> NoReturn:
    raise MalformedText(f"{cause} (line {line + 1}).", remedy)
