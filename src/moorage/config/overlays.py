"""What is laid over a configuration: the tables of an environment, and environment variables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from moorage.config.problems import key, near, under
from moorage.config.shapes import Many, Named, Table
from moorage.config.structure import Filled, read_value
from moorage.domain.values.json_text import is_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.config.problems import Report
    from moorage.config.shapes import Shape

VARIABLE: Final = "MOORAGE_ENVIRONMENT"
ENVIRONMENTS: Final = "environments"
_PREFIX: Final = "MOORAGE_"
_BETWEEN: Final = "__"
_TAKEN: Final = ("CREDENTIAL_", "TEST_")
"""What names of variables begin with that say something else."""


def for_environment(
    tree: dict[str, Any], environment: str | None, report: Report, origins: dict[str, str]
) -> dict[str, Any]:
    """The configuration with the tables of an environment laid over it.

    Where a configuration has no environments, any name will do.
    """
    rest = {name: one for name, one in tree.items() if name != ENVIRONMENTS}
    if ENVIRONMENTS not in tree:
        return rest
    known = tree[ENVIRONMENTS]
    if not is_object(known):
        report.add(ENVIRONMENTS, "this is no table of environments.", "Write a table for each.")
        return rest
    if environment is None:
        return rest
    if environment not in known:
        names = ", ".join(map(key, known)) or "none"
        report.add(
            ENVIRONMENTS,
            f"there is no environment {key(environment)}.",
            f"Use one of: {names}; or add [{ENVIRONMENTS}.{key(environment)}], which may be empty.",
            nearest=near(environment, map(str, known)),
        )
        return rest
    overlay = known[environment]
    at = f"{ENVIRONMENTS}.{key(environment)}"
    if not is_object(overlay):
        report.add(at, "this is no table.", "Write what differs there, as tables.")
        return rest
    for name in ("version", ENVIRONMENTS):
        if name in overlay:
            report.add(f"{at}.{name}", f"{name} cannot differ.", "Leave it out here.")
    overlay = {name: one for name, one in overlay.items() if name not in {"version", ENVIRONMENTS}}
    return _merged(rest, overlay, "", f"the environment {key(environment)}", origins)


def with_variables(
    tree: dict[str, Any],
    shape: Table,
    variables: Mapping[str, str],
    report: Report,
    origins: dict[str, str],
) -> dict[str, Any]:
    """The configuration with what variables such as `MOORAGE_STATE__URL` say put in.

    Parts of a name are between two underscores. They are taken for what is there, or known, in
    whatever case; and a hyphen is an underscore.
    """
    for variable in sorted(variables):
        parts = variable.upper().removeprefix(_PREFIX).split(_BETWEEN)
        if not variable.upper().startswith(_PREFIX) or len(parts) == 1:
            continue
        if not all(parts) or parts[0].startswith(_TAKEN):
            continue
        known = {_folded(name): name for name in shape.fields}
        if _folded(parts[0]) not in known:
            meant = near(parts[0], known)
            if meant is not None:
                report.add(
                    variable,
                    "this variable leads to nothing in a configuration.",
                    "Unset it, or correct its name.",
                    nearest=f"{_PREFIX}{_BETWEEN.join([meant.upper(), *parts[1:]])}",
                )
            continue
        put = _Put(_value(variables[variable]), f"the environment variable {variable}", origins)
        tree = put.at(tree, shape, parts, "")
    return tree


def _value(text: str) -> Any:
    """A list, a table or a text in quotation marks as in TOML; anything else as it is filled in."""
    found = read_value(text) if text.startswith(("[", "{", '"', "'")) else text
    return Filled(text) if isinstance(found, str) and found == text else found


class _Put(NamedTuple):
    """A value that somebody lays over a place."""

    value: Any
    origin: str
    origins: dict[str, str]

    def at(self, tree: Any, shape: Shape | None, parts: list[str], path: str) -> Any:
        """What is there, with the value in it at the place to which the parts of a name lead."""
        if not parts:
            self.origins[path] = self.origin
            return self.value
        if not is_object(tree):
            self.origins[path] = self.origin
        table: dict[str, Any] = tree if is_object(tree) else {}
        names = [*(shape.fields if isinstance(shape, Table) else ()), *table]
        known = {_folded(name): name for name in names}
        name = known.get(_folded(parts[0]), parts[0].lower())
        own = self.at(table.get(name), _below(shape, name), parts[1:], under(path, key(name)))
        return {**table, name: own}


def _below(shape: Shape | None, name: str) -> Shape | None:
    """What is known of what stands under a name."""
    if isinstance(shape, Table):
        field = shape.fields.get(name)
        inner = None if field is None else field.shape
    else:
        inner = shape.of if isinstance(shape, Named) else None
    return inner.of if isinstance(inner, Many) else inner


def _folded(name: object) -> str:
    return str(name).lower().replace("-", "_")


def _merged(
    tree: dict[str, Any], overlay: dict[str, Any], path: str, origin: str, origins: dict[str, str]
) -> dict[str, Any]:
    """Tables are joined; anything else replaces what was there."""
    whole = dict(tree)
    for name, value in overlay.items():
        before, at = whole.get(name), under(path, key(name))
        if is_object(before) and is_object(value):
            whole[name] = _merged(before, value, at, origin, origins)
        else:
            whole[name] = value
            origins[at] = origin
    return whole
