"""Reads OpenAPI descriptions from files of JSON or YAML.

A file may come from an untrusted source, so its size, its depth and the number of its values are
limited before the description is processed. YAML is read as the same values that JSON would have:
`no` and `2026-01-01` are strings. An alias shares the value of its anchor, and counts like a copy
of that value.
"""

from __future__ import annotations

import json
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast

from moorage.config.loading import unique_keys
from moorage.config.syntax import MalformedText, Reason, reason_of
from moorage.domain.openapi.description import OpenApi
from moorage.domain.values.installation import install
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_BYTES: Final = 100_000_000
"""The largest number of bytes of a file."""


def read_openapi(description: Mapping[str, Any] | str | PurePath) -> OpenApi:
    """Return the OpenAPI description in a file; a parsed description is returned unchanged.

    Args:
        description: the path of a file in JSON or YAML; or its content, parsed.

    Raises:
        ConfigurationError: the file cannot be read.
        DescriptionRefused: the content is not an OpenAPI description of version 3.0 or 3.1.
    """
    if isinstance(description, (str, PurePath)):
        return OpenApi(cast("dict[str, Any]", parsed_description(Path(description))))
    return OpenApi(description)


def parsed_description(file: Path) -> object:
    """Parse a JSON or YAML file, and return its content.

    Raises:
        ConfigurationError: the file cannot be read.
    """
    try:
        # Only reading a pipe or a device shows its size.
        with file.open("rb") as opened_file:
            content = opened_file.read(_MAX_BYTES + 1)
    except OSError as error:
        problem = f"{file} cannot be read ({error.strerror})."
    except ValueError:
        problem = "The path contains a character that no file name may contain."
    else:
        if len(content) > _MAX_BYTES:
            raise _file_error(
                f"{file} has more than {_MAX_BYTES} bytes.",
                "Remove unneeded parts, such as examples.",
            )
        return _parsed_content(content, file)
    raise _file_error(problem, "Pass the path of a JSON or YAML file.")


def _parsed_content(content: bytes, file: Path) -> object:
    is_yaml = file.suffix.lower() in {".yaml", ".yml"}
    try:
        text = content.decode("utf-8-sig")
        if is_yaml:
            return _yaml(text)
        return json.loads(text, object_pairs_hook=unique_keys, parse_constant=_constant)
    except RecursionError:
        reason = Reason("it is nested too deeply.", "Reduce the nesting.")
    except UnicodeDecodeError:
        reason = Reason("it is not encoded in UTF-8.", "Save the file in UTF-8.")
    except ValueError as error:
        reason = reason_of(error)
    raise _file_error(
        f"{file} is not valid {'YAML' if is_yaml else 'JSON'}: {reason.cause}",
        reason.remedy,
    )


def _yaml(text: str) -> object:
    try:
        from moorage.config.yaml_values import yaml_value  # noqa: PLC0415 - an optional package
    except ImportError:
        problem = "A description in YAML needs PyYAML, which is not installed."
    else:
        return yaml_value(text)
    raise _file_error(problem, f"{install('yaml')} Or convert the description to JSON.")


def _constant(name: str) -> NoReturn:
    raise MalformedText(f"{name} is not a JSON number.", "Write a number.")


def _file_error(problem: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(problem, path="description", remedy=remedy)
