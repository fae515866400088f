"""Writes the configuration reference from the tables of settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.config.shapes import ListOf, NamedTable, OneOf, Table, TableByKind
from moorage.config.structure import expectation
from moorage.config.tables import CONFIGURATION
from moorage.contracts.catalog import CONTRACTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.config.shapes import Field, Shape

_INTRODUCTION: Final = """# Configuration

This page lists every table with its settings. You choose the names in angle brackets. A setting
that accepts a list also accepts a single value without a list. [How to write a
configuration](../how-to/configuration.md) explains references, environments and the rest.
"""

_SETTINGS: Final = (
    "The table also accepts every setting of `[services.<name>]` except `regions` and"
    " `needs_credentials`."
)
_TENANTS: Final = (
    "A tenant can have its own `vendors`, and a route for each kind, as at the top level. A route"
    " may name accounts of the tenant and accounts shared by all tenants."
)


def page() -> str:
    """Return the page as Markdown."""
    inner_tables: dict[str, Table] = {}
    parts = [_INTRODUCTION]
    top_settings = {
        n: field for n, field in CONFIGURATION.fields.items() if _nested_shape(field.shape) is None
    }
    parts.append(_section("At the top", Table("", CONFIGURATION.about, top_settings), inner_tables))
    for name, field in CONFIGURATION.fields.items():
        parts += _sections(name, field, inner_tables)
    finished_names: list[str] = []
    while remaining_names := [name for name in inner_tables if name not in finished_names]:
        parts += [_section(name, inner_tables[name], inner_tables) for name in remaining_names]
        finished_names += remaining_names
    return "\n".join(parts)


def _sections(name: str, field: Field, inside: dict[str, Table]) -> Iterator[str]:
    """Return the page's sections about a top-level setting and the settings inside it."""
    nested_shape = _nested_shape(field.shape)
    path = f"{name}.<name>" if isinstance(_unwrapped_shape(field.shape), NamedTable) else name
    if isinstance(nested_shape, TableByKind):
        for kind in nested_shape.names():
            yield _type_name(path, kind, nested_shape, inside)
    elif name == "tenants":
        yield f"## `[{path}]`\n\n{_TENANTS}\n"
    elif name == next(iter(CONTRACTS)):
        title = ", ".join(f"`[{kind}]`" for kind in CONTRACTS)
        yield _section(title, _table(nested_shape), inside)
    elif isinstance(nested_shape, Table) and name not in CONTRACTS:
        yield _section(f"`[{path}]`", nested_shape, inside)


def _type_name(path: str, kind: str, shape: TableByKind, inside: dict[str, Table]) -> str:
    table = shape.table(kind)
    common_settings = _settings() if shape.named else {}
    own_settings = {
        name: field for name, field in table.fields.items() if common_settings.get(name) != field
    }
    text = _section(f"`[{path}]`, {kind}", Table("", table.about, own_settings), inside)
    return f"{text}\n{_SETTINGS}\n" if common_settings else text


def _settings() -> dict[str, Field]:
    return dict(_table(_nested_shape(CONFIGURATION.fields["services"].shape)).fields)


def _nested_shape(shape: Shape) -> Table | TableByKind | None:
    """Return the schema of the table or tables inside a setting; None for a plain value."""
    unwrapped_shape = _unwrapped_shape(shape)
    nested_shape = (
        unwrapped_shape.of if isinstance(unwrapped_shape, NamedTable) else unwrapped_shape
    )
    return nested_shape if isinstance(nested_shape, (Table, TableByKind)) else None


def _table(shape: Table | TableByKind | None) -> Table:
    assert isinstance(shape, Table)
    return shape


def _unwrapped_shape(shape: Shape) -> Shape:
    return shape.of if isinstance(shape, ListOf) else shape


def _section(title: str, table: Table, inside: dict[str, Table]) -> str:
    rows = "\n".join(_row(name, field, inside) for name, field in table.fields.items())
    head = "| name | what | for what | unless given |\n|---|---|---|---|"
    return f"## {title}\n\n{table.about}\n\n{head}\n{rows}\n"


def _row(name: str, field: Field, inside: dict[str, Table]) -> str:
    unwrapped_shape = _unwrapped_shape(field.shape)
    if isinstance(unwrapped_shape, Table):
        inside.setdefault(unwrapped_shape.name, unwrapped_shape)
        list_hint = "" if unwrapped_shape is field.shape else ", or a list of them"
        description = (
            f"a table, [{unwrapped_shape.name}](#{unwrapped_shape.name.lower()}){list_hint}"
        )
    elif isinstance(unwrapped_shape, OneOf):
        description = ", ".join(f"`{choice}`" for choice in unwrapped_shape.choices)
    else:
        description = expectation(field.shape)
    default = "required" if field.required else ""
    if field.default not in {None, ""}:
        default = f"`{_default_text(field.default)}`"
    return f"| `{name}` | {_cell(description)} | {_cell(field.about)} | {default} |"


def _default_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
