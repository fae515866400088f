"""The opening order of secret providers, some of which need secrets from others."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any, Final

from moorage.config.problems import key, path_below
from moorage.domain.values.json_text import is_list, is_object
from moorage.domain.values.patterns import late_pattern

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from moorage.config.problems import Report

_SECRETS: Final = "secrets"
_PROVIDER: Final = late_pattern(r"secret://([A-Za-z0-9_-]+)/")


def ordered_providers(tables: Mapping[Any, Any], report: Report) -> tuple[str, ...]:
    """Return the names of providers, each after those whose secrets it needs.

    Providers that need each other cannot be opened. Each such cycle is reported, and the providers
    in it, or depending on it, are left out.

    Args:
        tables: the tables of the providers, as in the source.
        report: collects one problem for each cycle.
    """
    needed_providers = {
        name: {
            provider: path
            for path, provider in _needed_names(table, path_below(_SECRETS, key(name)))
        }
        for name, table in tables.items()
        if isinstance(name, str)
    }
    dependencies = {
        name: {provider for provider in paths_by_provider if provider in needed_providers}
        for name, paths_by_provider in needed_providers.items()
    }
    while True:
        try:
            return tuple(TopologicalSorter(dependencies).static_order())
        except CycleError as error:
            # Each provider in the error needs the next one; the last repeats the first.
            cycle: list[str] = error.args[1][::-1]
        _report_cycle(cycle, needed_providers, report)
        dependencies = _without_cycles(cycle, dependencies)


def _report_cycle(cycle: list[str], needs: Mapping[str, Mapping[str, str]], report: Report) -> None:
    first_provider, second_provider = cycle[0], cycle[1]
    chain = " needs ".join(f"{_SECRETS}.{key(name)}" for name in cycle)
    report.add(
        needs[first_provider][second_provider],
        f"The providers of secrets depend on each other in a cycle: {chain}.",
        "Read the secret of one provider from secret://env/NAME or secret://file/path.",
    )


def _without_cycles(cycle: list[str], dependencies: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Return dependencies without cycles, and without the providers that depend on a cycle."""
    removed_names = set(cycle)
    while True:
        dependents = {
            name
            for name, needed_names in dependencies.items()
            if name not in removed_names and needed_names & removed_names
        }
        if not dependents:
            return {
                name: needed_names
                for name, needed_names in dependencies.items()
                if name not in removed_names
            }
        removed_names |= dependents


def _needed_names(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Yield each reference's path, and the secret provider that the reference names."""
    if is_object(value):
        for name, entry in value.items():
            yield from _needed_names(entry, path_below(path, key(name)))
    elif is_list(value):
        for position, entry in enumerate(value):
            yield from _needed_names(entry, f"{path}[{position}]")
    elif isinstance(value, str) and (match := _PROVIDER.match(value)) is not None:
        yield path, match[1]
