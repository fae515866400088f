"""A configuration as it is written: a file of TOML, JSON or YAML, or a mapping."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

import attrs

from moorage.config.problems import key, under
from moorage.domain.installation import install
from moorage.domain.json_text import is_object, refuse_constant
from moorage.errors import ConfigurationError

Source: TypeAlias = Mapping[str, Any] | str | os.PathLike[str]

_ROOT: Final = "configuration"
_DEEPEST: Final = 50
_LONGEST: Final = 1_000
"""Bits of a number: what has many more cannot even be printed."""


@attrs.frozen
class Written:
    """What was written, as dicts, lists and plain values.

    Attributes:
        tree: all of it.
        file: where it was read, if it was a file.
    """

    tree: dict[str, Any] = attrs.field(repr=False)
    file: Path | None = None

    @property
    def folder(self) -> Path:
        """What relative paths in it start from."""
        return Path.cwd() if self.file is None else self.file.parent


def load(source: Source) -> Written:
    """What a file or a mapping holds.

    Raises:
        ConfigurationError: it cannot be read, or is no table.
    """
    if isinstance(source, Mapping):
        return Written(_checked(source))
    file = _path(source)
    parse, called = _PARSERS.get(file.suffix.lower(), (_toml, "TOML"))
    content = _content(file)
    try:
        found = parse(content.decode("utf-8-sig"))
    except RecursionError:
        problem = "it is nested deeper than anything of ours."
    except ValueError as error:
        problem = _without_text(error)
    else:
        return Written(_checked(found), file)
    raise _refused(f"{file} is no {called}: {problem}", "Correct the file.")


def _path(source: Any) -> Path:
    try:
        return Path(source)
    except TypeError:
        problem = f"a {type(source).__name__} like this is no path."
    raise _refused(problem)


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        problem = f"{file} cannot be read ({error.strerror})."
    except ValueError:
        problem = "a str like this is no path."
    raise _refused(problem)


def _without_text(error: ValueError) -> str:
    """What a parser says of where a text is wrong, and nothing of the text."""
    if isinstance(error, UnicodeDecodeError):
        return "it is not in UTF-8."
    mark = getattr(error, "mark", None)
    line = getattr(error, "lineno", None) or getattr(mark, "line", None)
    said = str(error)
    if isinstance(error, tomllib.TOMLDecodeError) and "(at " in said:
        return f"there is a mistake {said[said.rindex('(at ') + 1 :].rstrip(')')}."
    return "there is a mistake." if line is None else f"there is a mistake at line {line}."


def _toml(text: str) -> Any:
    return tomllib.loads(text)


def _json(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_apart, parse_constant=refuse_constant)


def _yaml(text: str) -> Any:
    try:
        from moorage.config.yaml_text import read_yaml  # noqa: PLC0415 - of an extra
    except ImportError:
        raise _refused("YAML needs PyYAML, which is not installed.", install("yaml")) from None
    return read_yaml(text)


def _apart(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError
    return found


_PARSERS: Final[Mapping[str, tuple[Callable[[str], Any], str]]] = {
    ".toml": (_toml, "TOML"),
    ".json": (_json, "JSON"),
    ".yaml": (_yaml, "YAML"),
    ".yml": (_yaml, "YAML"),
}


def _checked(found: object) -> dict[str, Any]:
    tree = _plain(found, "", 0)
    if not is_object(tree):
        raise _refused("this is no table.", "Give names with their values.")
    return tree


def _plain(value: Any, path: str, depth: int) -> Any:
    """The value with dicts and lists of our own where it has mappings and sequences."""
    if depth > _DEEPEST:
        raise _refused("this is nested deeper than anything of ours.")
    if isinstance(value, Mapping):
        table: Mapping[Any, Any] = value  # pyright: ignore[reportUnknownVariableType]  # anybody's
        return {name: _plain(one, under(path, key(name)), depth + 1) for name, one in table.items()}
    if isinstance(value, (list, tuple)):
        return [
            _plain(one, f"{path}[{place}]", depth + 1)
            for place, one in enumerate(cast("list[Any]", value))
        ]
    if isinstance(value, int) and value.bit_length() > _LONGEST:
        raise ConfigurationError(
            "this number is longer than anything of ours.", path=path, remedy="Write a shorter one."
        )
    return value


def _refused(
    problem: str, remedy: str = "Give the path of a file, or a mapping."
) -> ConfigurationError:
    return ConfigurationError(problem, path=_ROOT, remedy=remedy)
