"""YAML, as far as a configuration needs it: plain values, and nothing that says things twice.

An alias may stand for so much that a short file fills the memory; a key that stands twice hides one
of its values; a tag asks for a value of another kind than is written. None of these is read.
"""

from __future__ import annotations

from typing import Any

import yaml


def read_yaml(text: str) -> Any:
    """The one document of a text.

    Raises:
        ValueError: it is no YAML, or has what a configuration must not have; `lineno` is where.
    """
    try:
        line = _odd(text)
        if line is None:
            return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark: Any = getattr(error, "problem_mark", None)
        line = 0 if mark is None else mark.line
    wrong: Any = ValueError("this is no YAML of ours")
    wrong.lineno = line + 1
    raise wrong


def _odd(text: str) -> int | None:
    """The line of the first thing that YAML allows and a configuration does not."""
    untyped: Any = yaml
    for said in untyped.parse(text, yaml.SafeLoader):
        mark: Any = said.start_mark
        tagged = getattr(said, "tag", None) is not None
        if isinstance(said, yaml.AliasEvent) or tagged or getattr(said, "anchor", None):
            return int(mark.line)
    return _repeated(untyped.compose(text, yaml.SafeLoader))


def _repeated(node: Any) -> int | None:
    """The line of the first key that is no text, or stands in its table already."""
    inner: list[Any] = []
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for name, value in node.value:
            if name.tag != "tag:yaml.org,2002:str" or name.value in seen:
                return int(name.start_mark.line)
            seen.add(name.value)
            inner.append(value)
    elif isinstance(node, yaml.SequenceNode):
        inner = node.value
    lines = (_repeated(one) for one in inner)
    return next((line for line in lines if line is not None), None)
