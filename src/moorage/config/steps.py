"""The `[platforms]` and `[steps]` tables of a configuration."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from moorage.config.class_tables import summary, table_of
from moorage.config.problems import REPORTED, ReportedProblem, key, path_below, similar_word
from moorage.config.shapes import Field, ListOf, NamedTable, SecretText, Table, TableByKind, Text
from moorage.domain.service.settings import Service
from moorage.domain.steps.registry import type_of_step
from moorage.domain.steps.step import ConnectorType, Resources, Step, Workspace
from moorage.domain.values.frozen_values import NOTHING, evolve, field, fields_of, frozen
from moorage.wiring.wrong_options import made_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from moorage.config.problems import Report
    from moorage.hub.step_manager_async import AsyncStepManager
    from moorage.hub.step_manager_sync import StepManager
    from moorage.ports.platform import PlatformKind

_PLATFORMS: Final = "platforms"
_STEPS: Final = "steps"
_FILES: Final = ("collect", "inputs", "outputs")
_SERVICE: Final = "steps"
"""The service whose protections apply to starting a step."""


def _kind(name: str) -> PlatformKind:
    """Return a kind of platforms by its name; this imports its modules."""
    from moorage.wiring.installed_platforms import platform_kind  # noqa: PLC0415 - few configurations have platforms

    return platform_kind(name)


def _kind_names() -> tuple[str, ...]:
    from moorage.wiring.installed_platforms import platform_kind_names  # noqa: PLC0415 - few configurations have platforms

    return platform_kind_names()


def _table(kind: str) -> Table:
    """Return the configuration table for one kind of platform."""
    settings = _kind(kind).settings
    fields = {
        "kind": Field(Text(), "The kind of the platform.", required=True),
        **table_of(settings).fields,
    }
    return Table(kind, summary(settings), fields, kinds=(settings,))


PLATFORMS: Final = NamedTable(TableByKind("kind of platform", _kind_names, _table, named=False))

_STEP: Final = evolve(
    table_of(
        Step,
        name="step",
        without=["name", "type", "workspace"],
        shapes={
            "command": ListOf(Text(), single=False),
            "environment": NamedTable(Text()),
            "secrets": NamedTable(SecretText()),
            "resources": table_of(Resources, name="resources"),
        },
    ),
    make=None,
)
_WITH_PLACE: Final = evolve(
    _STEP,
    fields={
        "platform": Field(
            Text(),
            "The name of a platform under [platforms]; by default the only one there, or"
            " docker for a step with an image.",
        ),
        "collect": Field(
            ListOf(Text()), "The relative paths of files that become part of the result."
        ),
        "inputs": Field(
            NamedTable(Text()), "The keys of files in the storage, by their relative paths."
        ),
        "outputs": Field(
            NamedTable(Text()),
            "The keys under which files that the step leaves are stored, by their relative paths.",
        ),
        **_STEP.fields,
    },
)
STEPS: Final = NamedTable(_WITH_PLACE)


@frozen(kw_only=True)
class PlatformSettings:
    """A platform that a configuration names.

    Attributes:
        name: the platform's name, which is the type of the connector that runs steps there.
        kind: the name of its kind.
        settings: the settings of its kind.
    """

    name: ConnectorType
    kind: str
    settings: Any = field(repr=False)


def platforms(tables: Mapping[str, Any], report: Report) -> tuple[PlatformSettings, ...]:
    """Return the platforms whose settings are valid.

    Args:
        tables: the settings that could be read, by name.
        report: collects the problems.
    """
    results = (_platform(name, table, report) for name, table in tables.items())
    return tuple(result for result in results if result is not None)


def steps(
    tables: Mapping[str, Any], platform_names: Iterable[str], report: Report
) -> tuple[Step, ...]:
    """Return the steps whose settings are valid.

    Args:
        tables: the settings that could be read, by name.
        platform_names: the names of all configured platforms, including those with a wrong setting.
        report: collects the problems; it contains those of the platforms already.
    """
    names = tuple(platform_names)
    results = (_step(name, table, names, report) for name, table in tables.items())
    return tuple(result for result in results if result is not None)


def services_with_steps(
    services: tuple[Service, ...],
    tables: Mapping[str, Any],
    accounts: Mapping[str, str],
    report: Report,
) -> tuple[Service, ...]:
    """Return the services, and the service that starts steps if there are any.

    Args:
        services: the valid services.
        tables: all tables that could be read.
        accounts: the path of each account's service, by the service's name.
        report: collects the problems.
    """
    used_table = next((table for table in (_STEPS, _PLATFORMS) if tables.get(table)), None)
    if used_table is None or _SERVICE in tables.get("services", {}):
        return services
    if _SERVICE in accounts:
        report.add(
            used_table,
            f"The account {accounts[_SERVICE]} has the reserved name of the service that"
            " starts steps.",
            "Rename the account.",
        )
        return services
    return (*services, Service(_SERVICE))


def define(
    manager: StepManager | AsyncStepManager,
    platforms: Iterable[PlatformSettings],
    steps: Iterable[Step],
    *,
    is_async: bool,
) -> None:
    """Register a configuration's platforms and steps with a manager of steps.

    Args:
        manager: the manager.
        platforms: the platforms, each of which is made when a step first needs it.
        steps: the steps, which the manager can run by their names.
        is_async: True if the program is asynchronous.
    """
    for platform in platforms:
        manager.register(platform.name, partial(_make_platform, platform, is_async=is_async))
    for step in steps:
        manager.define(step)


def _make_platform(platform: PlatformSettings, *, is_async: bool) -> Any:
    place = path_below(_PLATFORMS, key(platform.name))
    built_platform = made_of(platform.settings, _kind(platform.kind).build, place)
    if not is_async:
        return built_platform
    from moorage.adapters.steps.in_threads import AsyncPlatformInThreads  # noqa: PLC0415 - loads asyncio

    return AsyncPlatformInThreads(built_platform)


def _platform(name: str, table: Mapping[str, Any], report: Report) -> PlatformSettings | None:
    path = path_below(_PLATFORMS, key(name))
    connector_type = report.make_or_report(partial(ConnectorType, name), path, exact=True)
    if isinstance(connector_type, ReportedProblem) or not report.has_no_problem(path):
        return None
    options = {field: value for field, value in table.items() if field != "kind"}
    settings_class: Callable[..., Any] = _kind(table["kind"]).settings
    settings = report.make_or_report(partial(settings_class, **options), path, options)
    if settings is REPORTED:
        return None
    return PlatformSettings(name=connector_type, kind=table["kind"], settings=settings)


def _step(
    name: str, table: Mapping[str, Any], platform_names: tuple[str, ...], report: Report
) -> Step | None:
    path = path_below(_STEPS, key(name))
    platform = table.get("platform")
    if platform is not None:
        _check_platform(platform, platform_names, f"{path}.platform", report)
    if not report.has_no_problem(path):
        return None
    fields = {field: table[field] for field in _STEP.fields if field in table}

    def make_step() -> Step:
        return Step(
            name,
            workspace=Workspace(**{part: table[part] for part in _FILES if part in table}),
            type=platform,
            **fields,
        )

    step = report.make_or_report(make_step, path, fields)
    if isinstance(step, ReportedProblem):
        return None
    if platform is None and report.has_no_problem(_PLATFORMS):
        _check_unnamed_platform(step, platform_names, f"{path}.platform", report)
    return step


def _check_unnamed_platform(
    step: Step, platform_names: tuple[str, ...], path: str, report: Report
) -> None:
    """Report a step that names no platform, unless exactly one platform can run it."""
    registered_types = [ConnectorType(name) for name in sorted(platform_names)]
    all_types = sorted({*registered_types, *map(ConnectorType, _kind_names())})
    choose_type = partial(
        type_of_step, step, registered_types=registered_types, all_types=all_types
    )
    connector_type = report.make_or_report(choose_type, path, exact=True)
    if not isinstance(connector_type, ReportedProblem):
        _check_platform(connector_type, platform_names, path, report)


def _check_platform(name: str, platform_names: tuple[str, ...], path: str, report: Report) -> None:
    """Report the name of a platform that is neither configured nor usable without settings."""
    if name in platform_names:
        return
    if name not in _kind_names():
        report.add(
            path,
            f"There is no platform named {name[:80]!r}.",
            f"Add a table [platforms.{key(name)}] with its kind, or use the name of another"
            " platform.",
            nearest=similar_word(name, [*platform_names, *_kind_names()]),
        )
        return
    settings = _kind(name).settings
    required_fields = [field.name for field in fields_of(settings) if field.default is NOTHING]
    if required_fields:
        report.add(
            path,
            f"Platforms of the kind {name} need the setting {required_fields[0]}.",
            f'Add a table [platforms.{name}] with kind = "{name}" and {required_fields[0]}.',
        )
