"""The connectors of a configuration: their tables, settings and opening order."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from moorage.config.class_tables import summary, table_of
from moorage.config.problems import REPORTED, ReportedProblem, key, path_below, similar_word
from moorage.config.shapes import Field, Flag, ListOf, NamedTable, Number, Table, TableByKind, Text
from moorage.domain.service.settings import Service
from moorage.domain.state.keys import checked_name
from moorage.domain.values.frozen_values import field, frozen
from moorage.domain.values.json_text import is_object
from moorage.wiring.wrong_options import made_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from moorage.config.problems import Report
    from moorage.domain.connectors.description import ConnectorDescription
    from moorage.ports.connector import ConnectorKind

_PATH: Final = "connectors"
_OWN_FIELDS: Final = {
    "kind": Field(Text(), "The kind of the connector.", required=True),
    "enabled": Field(Flag(), "Whether the connector is enabled.", default=True),
    "version": Field(
        Number(whole=True),
        "The version of these settings; by default the newest one of the kind.",
    ),
    "depends_on": Field(
        ListOf(Text()), "The connectors that must be opened before this one, and closed after it."
    ),
}


def _kind(name: str) -> ConnectorKind:
    """Return a connector kind by its name; this imports its modules."""
    from moorage.wiring.installed_connectors import connector_kind  # noqa: PLC0415 - few configurations have connectors

    return connector_kind(name)


def _kind_names() -> tuple[str, ...]:
    """Return the names of all connector kinds."""
    from moorage.wiring.installed_connectors import connector_kind_names  # noqa: PLC0415 - few configurations have connectors

    return connector_kind_names()


def _table(kind: str) -> Table:
    settings = _kind(kind).settings
    fields = {**_OWN_FIELDS, **table_of(settings).fields}
    return Table(kind, summary(settings), fields, kinds=(settings,))


CONNECTORS: Final = Field(
    NamedTable(TableByKind("connector kind", _kind_names, _table, named=False)),
    "Connectors to systems that are not HTTP APIs, by names of your choice.",
)


@frozen(kw_only=True)
class ConnectorSettings:
    """A connector that a configuration names.

    Attributes:
        description: its name, its kind and its dependencies.
        settings: the settings of its kind.
    """

    description: ConnectorDescription
    settings: Any = field(repr=False)

    @property
    def kind(self) -> ConnectorKind:
        """The kind of the connector."""
        return _kind(self.description.kind)

    def build(self, manager: Any, *, is_async: bool) -> Callable[[], Any]:
        """Return the function that makes the connector.

        Args:
            manager: performs its operations.
            is_async: True if the program is asynchronous.
        """
        build_connector: Any = self.kind.build_async if is_async else self.kind.build
        name = self.description.name
        place = path_below(_PATH, key(name))
        return partial(
            made_of, self.settings, lambda settings: build_connector(name, settings, manager), place
        )


def convert_connectors(tree: dict[str, Any], report: Report) -> dict[str, Any]:
    """Return the configuration with the connectors' settings converted to their newest versions."""
    tables = tree.get(_PATH)
    if not is_object(tables):
        return tree
    return {
        **tree,
        _PATH: {name: _convert_settings(name, table, report) for name, table in tables.items()},
    }


def _convert_settings(name: object, table: Any, report: Report) -> Any:
    """Return the settings of a connector in the newest version of its kind."""
    version = table.get("version") if is_object(table) else None
    kind_name = table.get("kind") if is_object(table) else None
    if not isinstance(version, int) or kind_name not in _kind_names():
        return table
    path = path_below(_PATH, key(name))
    kind = report.make_or_report(partial(_kind, kind_name), path)
    if isinstance(kind, ReportedProblem) or version == kind.version:
        return table
    if kind.migrate is None or not 1 <= version < kind.version:
        report.add(
            f"{path}.version",
            f"The kind {kind_name} has no settings in version {version}.",
            f"Use version {kind.version}, or install the package that has version {version}.",
        )
        return table
    fields = {field: value for field, value in table.items() if field not in _OWN_FIELDS}
    migrated_fields = report.make_or_report(partial(kind.migrate, version, fields), path)
    if isinstance(migrated_fields, ReportedProblem):
        return table
    own_fields = {field: value for field, value in table.items() if field in _OWN_FIELDS}
    return {**migrated_fields, **own_fields, "version": kind.version}


def connectors(
    tables: Mapping[str, Any], accounts: Mapping[str, str], report: Report
) -> tuple[ConnectorSettings, ...]:
    """Return the valid connectors, each after those on which it depends.

    Args:
        tables: the settings that could be read, by name.
        accounts: the path of each account's service, by the service's name.
        report: collects the problems.
    """
    results = {
        name: connector
        for name, table in tables.items()
        if (connector := _connector(name, table, accounts, report)) is not None
    }
    order = _opening_order(tables, report) if tables else ()
    return tuple(results[name] for name in order if name in results)


def services_of(
    connectors: Iterable[ConnectorSettings], services: Iterable[Service]
) -> tuple[Service, ...]:
    """Return the services; a connector without a service of its name gets a new service."""
    configured_services = tuple(services)
    names = {service.name for service in configured_services}
    return (
        *configured_services,
        *(
            Service(connector.description.name)
            for connector in connectors
            if connector.description.name not in names
        ),
    )


def check_modes(connectors: Iterable[ConnectorSettings], report: Report, *, is_async: bool) -> None:
    """Report enabled connectors of a kind that does not work in this mode, such as async."""
    mode, other_mode = (
        ("asynchronous", "synchronous") if is_async else ("synchronous", "asynchronous")
    )
    for connector in connectors:
        description = connector.description
        kind = _kind(description.kind)
        if description.enabled and (kind.build_async if is_async else kind.build) is None:
            report.add(
                f"{path_below(_PATH, key(description.name))}.kind",
                f"The kind {kind.name} works only in {other_mode} programs, and this program"
                f" is {mode}.",
                "Use another kind, or set enabled = false in this connector.",
            )


def _connector(
    name: str, table: Mapping[str, Any], accounts: Mapping[str, str], report: Report
) -> ConnectorSettings | None:
    path = path_below(_PATH, key(name))
    if (
        report.make_or_report(partial(checked_name, name, "connector"), path, exact=True)
        is REPORTED
    ):
        return None
    if name in accounts:
        report.add(
            path,
            f"The account {accounts[name]} has a service with the same name.",
            "Rename the account or the connector.",
        )
    if not report.has_no_problem(path):
        return None
    kind = _kind(table["kind"])
    options = {field: value for field, value in table.items() if field not in _OWN_FIELDS}
    settings_class: Callable[..., Any] = kind.settings
    settings = report.make_or_report(partial(settings_class, **options), path, options)
    if settings is REPORTED:
        return None
    from moorage.domain.connectors.description import ConnectorDescription  # noqa: PLC0415 - few configurations have connectors

    description = ConnectorDescription(
        name=name,
        kind=kind.name,
        enabled=table.get("enabled", True),
        version=table.get("version", kind.version),
        depends_on=tuple(table.get("depends_on", ())),
    )
    return ConnectorSettings(description=description, settings=settings)


def _opening_order(tables: Mapping[str, Any], report: Report) -> tuple[str, ...]:
    """Return the names of connectors, each after those on which it depends.

    Dependencies on missing or disabled connectors are reported, and so are cycles.
    """
    from moorage.domain.connectors.dependencies import cycle_of, opening_order  # noqa: PLC0415 - few configurations have connectors

    dependencies = {name: tuple(table.get("depends_on", ())) for name, table in tables.items()}
    for name, needed_names in dependencies.items():
        path = f"{path_below(_PATH, key(name))}.depends_on"
        for dependency in needed_names:
            if dependency not in tables:
                report.add(
                    path,
                    f"There is no connector named {dependency[:80]!r}.",
                    "Use the name of a connector in this configuration.",
                    nearest=similar_word(dependency, sorted(tables)),
                )
            elif tables[name].get("enabled", True) and not tables[dependency].get("enabled", True):
                report.add(
                    path,
                    f"The connector {dependency!r} is disabled.",
                    "Enable that connector, or disable this one too.",
                )
    chain = cycle_of(dependencies)
    if not chain:
        return opening_order(dependencies)
    report.add(
        f"{path_below(_PATH, key(chain[0]))}.depends_on",
        f"The connectors depend on each other in a cycle: {' needs '.join(chain)}.",
        "Remove one of these dependencies.",
    )
    return ()
