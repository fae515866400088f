"""Overlays, which change a configuration: tables of an environment, and variables."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from moorage.config.problems import (
    OF_ENVIRONMENT,
    OF_VARIABLE,
    is_below,
    key,
    path_below,
    similar_word,
)
from moorage.config.shapes import ListOf, NamedTable, Table
from moorage.config.structure import EnvironmentText, read_value
from moorage.domain.state.keys import checked_name
from moorage.domain.values.json_text import is_list, is_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from moorage.config.problems import Report
    from moorage.config.shapes import Shape

VARIABLE: Final = "MOORAGE_ENVIRONMENT"
ENVIRONMENTS: Final = "environments"
_PREFIX: Final = "MOORAGE_"
_SEPARATOR: Final = "__"
_OTHER_USES: Final = ("CREDENTIAL_", "TEST_")
"""The beginnings of variable names that have another meaning."""


def for_environment(
    tree: dict[str, Any], environment: str | None, report: Report, origins: dict[str, str]
) -> dict[str, Any]:
    """Return the configuration with the tables of an environment merged into it.

    If a configuration has no environments, any name is accepted.
    """
    base_tree = {name: value for name, value in tree.items() if name != ENVIRONMENTS}
    if ENVIRONMENTS not in tree:
        return base_tree
    environments = tree[ENVIRONMENTS]
    if not is_object(environments):
        report.add(
            ENVIRONMENTS,
            "The value must be a table that contains a table for each environment.",
            "Write a table for each environment.",
        )
        return base_tree
    for name in environments:
        check = partial(checked_name, name, "environment")
        report.make_or_report(check, path_below(ENVIRONMENTS, key(name)), exact=True)
    if environment is None:
        return base_tree
    if environment not in environments:
        names = ", ".join(map(key, environments)) or "none"
        report.add(
            ENVIRONMENTS,
            f"There is no environment {key(environment)}.",
            f"Use one of: {names}; or add [{ENVIRONMENTS}.{key(environment)}], even if it is"
            " empty.",
            nearest=similar_word(environment, map(str, environments)),
        )
        return base_tree
    overlay = environments[environment]
    overlay_path = f"{ENVIRONMENTS}.{key(environment)}"
    if not is_object(overlay):
        report.add(
            overlay_path,
            "The environment is not a table.",
            "Write the settings that differ in this environment, as tables.",
        )
        return base_tree
    for name in ("version", ENVIRONMENTS):
        if name in overlay:
            report.add(
                f"{overlay_path}.{name}",
                f"The setting {name} cannot differ between environments.",
                "Remove it here.",
            )
    overlay = {
        name: value for name, value in overlay.items() if name not in {"version", ENVIRONMENTS}
    }
    return _merge(base_tree, overlay, "", f"{OF_ENVIRONMENT}{key(environment)}", origins)


def with_variables(
    tree: dict[str, Any],
    shape: Table,
    variables: Mapping[str, str],
    report: Report,
    origins: dict[str, str],
) -> dict[str, Any]:
    """Return the configuration with values from variables such as `MOORAGE_STATE__URL`.

    Two underscores separate the parts of a name. Each part matches an existing or known name
    regardless of case, with hyphens as underscores. Two variables with the same parts must have the
    same value.
    """
    written_services = _services(tree)
    used_variables: dict[str, str] = {}
    for variable in _names_of_settings(variables):
        parts = variable.upper().removeprefix(_PREFIX).split(_SEPARATOR)
        top_level = {_normalize(name): name for name in shape.fields}
        if _normalize(parts[0]) not in top_level:
            nearest_name = similar_word(parts[0], top_level)
            if nearest_name is not None:
                report.add(
                    variable,
                    "The environment variable does not match a setting of the configuration.",
                    "Unset the variable, or correct its name.",
                    nearest=f"{_PREFIX}{_SEPARATOR.join([nearest_name.upper(), *parts[1:]])}",
                )
            continue
        if not all(parts):
            report.add(
                variable,
                "The name of the environment variable has an empty part.",
                "Write two underscores between two parts and none at the end, or unset the"
                " variable.",
            )
            continue
        other_variable = used_variables.setdefault(_normalize(variable), variable)
        if other_variable != variable:
            if variables[other_variable] != variables[variable]:
                report.add(
                    variable,
                    f"The environment variable {other_variable} sets the same setting to another"
                    " value.",
                    "Unset one of the two variables.",
                )
            continue
        origin = f"{OF_VARIABLE}{variable}"
        assignment = _Assignment(_value(variables[variable]), origin, origins, report)
        tree = assignment.at(tree, shape, parts, "")
    for name, service in _services(tree).items():
        if name not in written_services and is_object(service):
            _check_new_service(name, service, written_services, report, origins)
    return tree


def _names_of_settings(variables: Iterable[str]) -> list[str]:
    """Return the variables that may set values, a table's variable before those of its settings."""
    names = [
        variable
        for variable in variables
        if variable.upper().startswith(_PREFIX)
        and _SEPARATOR in variable[len(_PREFIX) :]
        and not variable.upper().removeprefix(_PREFIX).startswith(_OTHER_USES)
    ]
    return sorted(names, key=lambda name: (_normalize(name), name))


def _services(tree: dict[str, Any]) -> dict[str, Any]:
    services = tree.get("services")
    return services if is_object(services) else {}


def _check_new_service(
    name: str,
    service: dict[str, Any],
    written_services: dict[str, Any],
    report: Report,
    origins: dict[str, str],
) -> None:
    """Report a service without a URL that only variables configure; its name may be misspelt."""
    if "base_url" in service or "regions" in service:
        return
    path = path_below("services", key(name))
    variable = next(origin for place, origin in origins.items() if is_below(place, path))
    report.add(
        path,
        f"The configuration has no service {key(name)}, which {variable} sets.",
        "Correct the name of the variable, or set base_url too.",
        nearest=report.similar_word(name, map(str, written_services)),
    )


def _value(text: str) -> Any:
    """Return the value of a variable: a TOML list, table or quoted text, or plain text."""
    parsed_value = read_value(text) if text.startswith(("[", "{", '"', "'")) else text
    return (
        EnvironmentText(text)
        if isinstance(parsed_value, str) and parsed_value == text
        else parsed_value
    )


class _Assignment(NamedTuple):
    """A value, and the path in a configuration at which it is to be set."""

    value: Any
    origin: str
    origins: dict[str, str]
    report: Report

    def at(self, tree: Any, shape: Shape | None, parts: list[str], path: str) -> Any:
        """Return the configuration with the value set at the path that a variable names."""
        if not parts:
            self.origins[path] = self.origin
            return self.value
        if is_list(tree) and any(map(is_object, tree)):
            return self._in_list(tree, shape, parts, path)
        if not is_object(tree):
            self.origins[path] = self.origin
        table: dict[str, Any] = tree if is_object(tree) else {}
        names = dict.fromkeys([*(shape.fields if isinstance(shape, Table) else ()), *table])
        matches = [name for name in names if _normalize(name) == _normalize(parts[0])]
        if len(matches) > 1:
            self.report.add(
                path_below(path, key(matches[0])),
                f"It is unclear whether {self.origin} sets {' or '.join(map(key, matches))}.",
                "Unset the variable, or choose names that differ in more than capital letters,"
                " hyphens and underscores.",
            )
            return tree
        name = matches[0] if matches else parts[0].lower()
        subtree = self.at(
            table.get(name), _inner_shape(shape, name), parts[1:], path_below(path, key(name))
        )
        return {**table, name: subtree}

    def _in_list(
        self, tables: list[Any], shape: Shape | None, parts: list[str], path: str
    ) -> list[Any]:
        """Return a list of tables with the value set in its only table."""
        if len(tables) == 1:
            return [self.at(tables[0], shape, parts, f"{path}[0]")]
        self.report.add(
            path,
            f"The list has {len(tables)} entries, so {self.origin} cannot set one of them.",
            "Unset the variable and change the entry itself, or set a variable to the whole list.",
        )
        return tables


def _inner_shape(shape: Shape | None, name: str) -> Shape | None:
    """Return the shape of the setting with this name, if it is known."""
    if isinstance(shape, Table):
        field = shape.fields.get(name)
        inner_shape = None if field is None else field.shape
    else:
        inner_shape = shape.of if isinstance(shape, NamedTable) else None
    return inner_shape.of if isinstance(inner_shape, ListOf) else inner_shape


def _normalize(name: object) -> str:
    return str(name).lower().replace("-", "_")


def _merge(
    tree: dict[str, Any], overlay: dict[str, Any], path: str, origin: str, origins: dict[str, str]
) -> dict[str, Any]:
    """Merge the tables of an overlay into a configuration; other values replace earlier ones."""
    result = dict(tree)
    for name, value in overlay.items():
        base_value, value_path = result.get(name), path_below(path, key(name))
        if is_object(base_value) and is_object(value):
            result[name] = _merge(base_value, value, value_path, origin, origins)
        else:
            result[name] = value
            origins[value_path] = origin
    return result
