"""Loads a configuration from a file of TOML, JSON or YAML, or from a mapping."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn, TypeAlias, TypeVar, cast

from moorage.config.problems import key, located_error, path_below
from moorage.config.syntax import MalformedText, Reason, reason_of
from moorage.domain.values.frozen_values import evolve, field, frozen
from moorage.domain.values.installation import install
from moorage.domain.values.json_text import is_object
from moorage.domain.values.text import with_article
from moorage.errors import ConfigurationError

Source: TypeAlias = Mapping[str, Any] | str | os.PathLike[str]

Checked = TypeVar("Checked")

_ROOT: Final = "configuration"
_MAX_DEPTH: Final = 50
_MAX_INTEGER_BITS: Final = 1_000
"""The maximum number of bits of an integer; Python refuses to print much longer integers."""
_MAX_BYTES: Final = 16_000_000
_MAX_KEY_PARTS: Final = 100
_LONG_KEY: Final = re.compile(
    r"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*"|'[^'\n]*')[ \t]*+\.[ \t]*+)"""
    f"{{{_MAX_KEY_PARTS}}}"
)
"""A key in TOML with more parts, which are separated by dots."""
"""The largest number of bytes of a configuration file."""


@frozen
class WrittenConfiguration:
    """The content of a configuration as dicts, lists and plain values.

    Attributes:
        tree: the whole content.
        file: the file that was read, if any.
        lines: returns the line of each setting in the file by its path.
    """

    tree: dict[str, Any] = field(repr=False)
    file: Path | None = None
    lines: Callable[[], Mapping[str, int]] = field(default=dict[str, int], repr=False)

    @property
    def folder(self) -> Path:
        """The folder to which relative paths in the configuration refer."""
        return Path.cwd() if self.file is None else self.file.parent

    def check_content(self, check: Callable[[dict[str, Any]], Checked]) -> Checked:
        """Check the content; an error contains the name of the file, and the line."""
        try:
            return check(self.tree)
        except ConfigurationError as error:
            if self.file is None:
                raise
            problems = error.problems
        raise located_error(problems, str(self.file), self.lines())


def load(source: Source) -> WrittenConfiguration:
    """Return the content of a configuration file or mapping.

    Raises:
        ConfigurationError: the source cannot be read, or is not a table.
    """
    if isinstance(source, Mapping):
        return WrittenConfiguration(_check_table(source))
    file = _path(source)
    parse, format_name = _PARSERS.get(file.suffix.lower(), (_toml, "TOML"))
    content = _content(file)
    try:
        text = content.decode("utf-8-sig")
        parsed_tree = parse(text)
    except RecursionError:
        reason = Reason("the text is nested too deeply.")
    except UnicodeDecodeError:
        reason = Reason("the file is not encoded in UTF-8.", "Save the file in UTF-8.")
    except ValueError as error:
        reason = reason_of(error)
    else:
        lines = partial(_lines, text, is_yaml=parse is _yaml)
        unchecked_content = WrittenConfiguration(parsed_tree, file, lines)
        return evolve(unchecked_content, tree=unchecked_content.check_content(_check_table))
    problem = f"{file}: " if reason.allowed else f"{file} is not valid {format_name}: "
    raise _file_error(problem + reason.cause, reason.remedy)


def _path(source: Any) -> Path:
    if source == "":
        raise _file_error("The path of the configuration is empty.")
    try:
        return Path(source)
    except TypeError:
        problem = (
            "The configuration must be a path or a mapping, not"
            f" {with_article(type(source).__name__)}."
        )
    raise _file_error(problem)


def _content(file: Path) -> bytes:
    try:
        # Only reading a pipe or a device shows its size.
        with file.open("rb") as opened_file:
            content = opened_file.read(_MAX_BYTES + 1)
    except OSError as error:
        problem = f"{file} cannot be read ({error.strerror})."
    except ValueError:
        problem = "The path contains a character that no file name may contain."
    else:
        if len(content) <= _MAX_BYTES:
            return content
        problem = f"{file} has more than {_MAX_BYTES} bytes."
    raise _file_error(problem)


def _toml(text: str) -> Any:
    if _LONG_KEY.search(text) is not None:
        # The time of the parser grows with the square of the number of parts.
        raise _file_error(
            f"The file has a key with more than {_MAX_KEY_PARTS} parts.",
            "Shorten the key.",
        )
    return tomllib.loads(text)


def _json(text: str) -> Any:
    return json.loads(text, object_pairs_hook=unique_keys, parse_constant=_constant)


def _yaml(text: str) -> Any:
    try:
        from moorage.config.yaml_text import read_yaml  # noqa: PLC0415 - an optional package
    except ImportError:
        raise _file_error(
            "A YAML file needs PyYAML, which is not installed.", install("yaml")
        ) from None
    return read_yaml(text)


def _lines(text: str, *, is_yaml: bool) -> Mapping[str, int]:
    if is_yaml:
        from moorage.config.yaml_text import lines_of_yaml  # noqa: PLC0415 - an optional package

        return lines_of_yaml(text)
    from moorage.config.lines import lines_of  # noqa: PLC0415 - needed only for mistakes

    return lines_of(text)


def _constant(name: str) -> NoReturn:
    raise MalformedText(
        f"{name} is not a JSON number.", "Write a number, or remove the setting to use its default."
    )


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the pairs of a JSON object as a dict; refuse a key that appears twice.

    Raises:
        Malformed: a key appears twice.
    """
    table: dict[str, Any] = {}
    for name, value in pairs:
        if name in table:
            cause = f"the key {key(name)} appears twice in one object."
            raise MalformedText(cause, "Remove one of the two keys.", allowed=True)
        table[name] = value
    return table


_PARSERS: Final[Mapping[str, tuple[Callable[[str], Any], str]]] = {
    ".toml": (_toml, "TOML"),
    ".json": (_json, "JSON"),
    ".yaml": (_yaml, "YAML"),
    ".yml": (_yaml, "YAML"),
}


def _check_table(source: object) -> dict[str, Any]:
    tree = _copy_plain(source, "", 0)
    if not is_object(tree):
        raise _file_error(
            "The configuration is not a table.", "Write settings as names with values."
        )
    return tree


def _copy_plain(value: Any, path: str, depth: int) -> Any:
    """Return the value with mappings and sequences copied to dicts and lists."""
    if depth > _MAX_DEPTH:
        raise _file_error(
            "The configuration is nested too deeply.",
            "Reduce the number of tables inside each other.",
        )
    if isinstance(value, Mapping):
        table: Mapping[Any, Any] = value  # pyright: ignore[reportUnknownVariableType]  # from the user's mapping
        return {
            name: _copy_plain(entry, path_below(path, key(name)), depth + 1)
            for name, entry in table.items()
        }
    if isinstance(value, (list, tuple)):
        return [
            _copy_plain(entry, f"{path}[{position}]", depth + 1)
            for position, entry in enumerate(cast("list[Any]", value))
        ]
    if isinstance(value, int) and value.bit_length() > _MAX_INTEGER_BITS:
        raise ConfigurationError(
            "The number is too long.", path=path, remedy="Write a shorter number."
        )
    return value


def _file_error(
    problem: str, remedy: str = "Pass the path of a file, or a mapping."
) -> ConfigurationError:
    return ConfigurationError(problem, path=_ROOT, remedy=remedy)
