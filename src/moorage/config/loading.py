"""A configuration as it is written: a file of TOML, JSON or YAML, or a mapping."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NoReturn, TypeAlias, cast

import attrs

from moorage.config.problems import key, under
from moorage.config.syntax import Malformed, Reason, reason_of
from moorage.domain.values.installation import install
from moorage.domain.values.json_text import is_object
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
        reason = Reason("the text is nested deeper than any configuration.")
    except UnicodeDecodeError:
        reason = Reason("the file is not in UTF-8.", "Save it in UTF-8.")
    except ValueError as error:
        reason = reason_of(error)
    else:
        return Written(_checked(found), file)
    problem = f"{file}: " if reason.allowed else f"{file} is no {called}: "
    raise _refused(problem + reason.cause, reason.remedy)


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


def _toml(text: str) -> Any:
    return tomllib.loads(text)


def _json(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_apart, parse_constant=_constant)


def _yaml(text: str) -> Any:
    try:
        from moorage.config.yaml_text import read_yaml  # noqa: PLC0415 - of an extra
    except ImportError:
        raise _refused("YAML needs PyYAML, which is not installed.", install("yaml")) from None
    return read_yaml(text)


def _constant(name: str) -> NoReturn:
    raise Malformed(
        f"{name} is no number of JSON.", "Write a number, or leave the setting out for its default."
    )


def _apart(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            twice = f"the key {key(name)} stands twice in one object."
            raise Malformed(twice, "Leave one of the two out.", allowed=True)
        found[name] = value
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
