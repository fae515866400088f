"""Reads the part of YAML that configurations need: plain values without aliases and tags.

Three features of YAML are refused. Nested aliases let a short file fill the memory. A repeated key
hides one of its values. A tag gives a value a type other than the written one.

PyYAML's libyaml loader, if present, reads a valid string about nine times as fast. A string that it
refuses is read again in Python, which gives better messages. A string with one of the rare
characters that only libyaml accepts is read again too, so that a file is valid on every machine or
on none.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import yaml

from moorage.config.problems import key, path_below
from moorage.config.syntax import CORRECT, MalformedText


def read_yaml(text: str) -> Any:
    """Return the only document of a YAML string.

    Raises:
        Malformed: the string is not YAML, or uses a feature that a configuration must not use.
        RecursionError: the string is nested too deeply.
    """
    if _FAST_LOADER is not None and not _AMBIGUOUS_CHARACTERS.search(text):
        try:
            if _first_unsupported(text, _FAST_LOADER) is None:
                return yaml.load(text, _FAST_LOADER)  # noqa: S506 - a safe loader
        except yaml.YAMLError:
            pass
    is_allowed = True
    try:
        fault = _first_unsupported(text, yaml.SafeLoader)
        if fault is None:
            return yaml.safe_load(text)
    except yaml.YAMLError as error:
        fault, is_allowed = _syntax_fault(error), False
    raise MalformedText(f"{fault.cause} (line {fault.line + 1}).", fault.remedy, allowed=is_allowed)


def lines_of_yaml(text: str) -> dict[str, int]:
    """Return the line of each setting of a valid YAML string, counted from 1, by its path."""
    lines: dict[str, int] = {}
    yaml_module: Any = yaml
    _note_lines(yaml_module.compose(text, yaml.SafeLoader), "", lines)
    return lines


def _note_lines(node: Any, path: str, lines: dict[str, int]) -> None:
    if isinstance(node, yaml.MappingNode):
        entries = [(path_below(path, key(name.value)), name, entry) for name, entry in node.value]
    elif isinstance(node, yaml.SequenceNode):
        entries = [(f"{path}[{number}]", entry, entry) for number, entry in enumerate(node.value)]
    else:
        return
    for entry_path, start, entry in entries:
        lines[entry_path] = int(start.start_mark.line) + 1
        _note_lines(entry, entry_path, lines)


class _Fault(NamedTuple):
    """A fault in a YAML string: its line (counted from 0), the cause and the remedy."""

    line: int
    cause: str
    remedy: str


_FAST_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", None)
"""PyYAML's safe loader on libyaml; None if PyYAML was built without it."""

_AMBIGUOUS_CHARACTERS: Final = re.compile(
    r"[^\r\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff]|[|>][-+0-9]*#|\?"
)
"""Characters that libyaml handles more liberally than PyYAML: tabs, control characters, `|#`, `?`.
"""

_MAX_DEPTH: Final = 200
"""The number of lists and tables inside each other that a text may have."""

_INTEGER: Final = "tag:yaml.org,2002:int"
_ODD_INTEGER: Final = re.compile(r"[-+]?0[0-7_]+|.*:.*")
"""Integers with a leading zero, which are octal, and with colons, which have the base 60."""

_WRITE_OUT_REMEDY: Final = "Write the settings out at each place."
_SYNTAX: Final = (
    (
        "mapping values are not allowed",
        "the line has a second colon, or a different indentation from the rest of its table",
        "Put strings with a colon into quotation marks, and indent all settings of a table alike.",
    ),
    (
        "found character '\\t'",
        "the line is indented with a tab, but YAML requires spaces",
        "Write spaces.",
    ),
    (
        "found character",
        "a value begins with a character that YAML reserves",
        "Put the value into quotation marks.",
    ),
    ("could not find expected ':'", "a colon is missing after a name", "Write name: value."),
    (
        "expected <block end>",
        "the line has a different indentation from the rest of its table",
        "Indent all settings of a table alike.",
    ),
    (
        "but found another document",
        "the file has a second document",
        "Keep only one document in the file, without --- between settings.",
    ),
    (
        "found unexpected end of stream",
        "a string is not closed",
        "Close the string with a quotation mark.",
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
        "the file contains a control character",
        "Remove the character.",
    ),
)
"""The beginnings of the parser's messages, the causes in plain words, and the remedies."""


def _syntax_fault(error: yaml.YAMLError) -> _Fault:
    error_position: Any = getattr(error, "problem_mark", None)
    line = 0 if error_position is None else int(error_position.line)
    problem = str(getattr(error, "problem", None) or getattr(error, "reason", None))
    for beginning, cause, remedy in _SYNTAX:
        if problem.startswith(beginning):
            return _Fault(line, cause, remedy)
    return _Fault(line, "the syntax is invalid", CORRECT)


def _first_unsupported(text: str, loader: Any) -> _Fault | None:
    """Return the first YAML feature in the text that configurations must not use.

    Raises:
        RecursionError: the text is nested too deeply. PyYAML would take minutes for a few kilobytes
            of brackets.
    """
    yaml_module: Any = yaml
    depth = 0
    for event in yaml_module.parse(text, loader):
        line = int(event.start_mark.line)
        depth += _change_of_depth(event)
        if depth > _MAX_DEPTH:
            raise RecursionError
        anchor = getattr(event, "anchor", None)
        if anchor is not None:
            alias = isinstance(event, yaml.AliasEvent)
            kind = f"*{key(anchor)} is an alias" if alias else f"&{key(anchor)} is an anchor"
            return _Fault(
                line, f"{kind}, which is not allowed in a configuration", _WRITE_OUT_REMEDY
            )
        if getattr(event, "tag", None) is not None:
            return _Fault(
                line,
                f"{key(event.tag)} is a tag, which is not allowed in a configuration",
                "Remove the tag, and keep the value.",
            )
    return _node_fault(yaml_module.compose(text, loader))


def _change_of_depth(event: object) -> int:
    """Return 1 for the beginning of a list or a table, -1 for its end, 0 for any other event."""
    return isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)


def _node_fault(node: Any) -> _Fault | None:
    """Return a YAML node's first invalid key, repeated key or misleading number."""
    child_nodes: list[Any] = []
    if isinstance(node, yaml.MappingNode):
        seen_keys: set[str] = set()
        for name, value in node.value:
            line = int(name.start_mark.line)
            if name.tag != "tag:yaml.org,2002:str":
                return _Fault(line, "a key is not a string", "Put the key into quotation marks.")
            if name.value in seen_keys:
                cause = f"the key {key(name.value)} appears twice in one table"
                return _Fault(line, cause, "Remove one of the two keys.")
            seen_keys.add(name.value)
            child_nodes.append(value)
    elif isinstance(node, yaml.SequenceNode):
        child_nodes = node.value
    elif node is not None and node.tag == _INTEGER and _ODD_INTEGER.fullmatch(node.value):
        return _Fault(
            int(node.start_mark.line),
            f"YAML reads {node.value} as a different number",
            "Write the number without a leading zero and without colons, or as a string in"
            " quotation marks.",
        )
    faults = (_node_fault(entry) for entry in child_nodes)
    return next((fault for fault in faults if fault is not None), None)
