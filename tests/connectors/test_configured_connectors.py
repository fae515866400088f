"""Connectors in a configuration file: kinds from other packages, settings, order, versions."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import pytest

import moorage
from moorage.config.configured import read_configuration
from moorage.errors import ConfigurationError, VendorFailed
from tests.connectors.diary_package import install_diaries

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True, name="diaries")
def _diaries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Make a package with connector kinds look installed."""
    yield install_diaries(tmp_path, monkeypatch)
    sys.modules.pop("our_diaries")


def diary(**settings: Any) -> dict[str, Any]:
    """Return the configuration table of a connector of the kind `diary`."""
    return {"kind": "diary", "pages": 10, **settings}


def problems(connectors: dict[str, Any], **tables: Any) -> list[tuple[str, str]]:
    """Return the problems of a configuration with these connectors; check that no hub opens it."""
    source = {"connectors": connectors, **tables}
    with pytest.raises(ConfigurationError) as excinfo:
        read_configuration(source)
    with pytest.raises(ConfigurationError) as opening:
        moorage.open(source)
    mistakes = [(problem.path, problem.found) for problem in excinfo.value.problems]
    assert mistakes == [(problem.path, problem.found) for problem in opening.value.problems]
    return mistakes


def test_connector_of_another_package_is_configured(
    diaries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hub creates the connectors of its configuration with their settings, and closes them."""
    monkeypatch.setenv("LOCK", "open sesame")
    source = {"connectors": {"mine": diary(lock="secret://env/LOCK")}}
    with moorage.open(source) as hub:
        connector = hub.connectors["mine"]
        assert (10, "open sesame") == (
            connector.settings.pages,
            connector.settings.lock.reveal(),
        )
        assert hub.manager is connector.manager
        assert "Hello Ada" == hub.connectors.run("mine", "greet", {"person": "Ada"})
        assert "open sesame" not in repr(read_configuration(source))

    assert ["close mine"] == diaries.journal


def test_asynchronous_hub_has_asynchronous_connectors(diaries: Any) -> None:
    """A connector configuration for a synchronous program works in an asynchronous program."""

    async def run() -> Any:
        async with moorage.aopen({"connectors": {"mine": diary()}}) as hub:
            await hub.connectors.open()
            return await hub.connectors.run("mine", "greet", {"person": "Ada"})

    assert "Hello Ada" == asyncio.run(run())
    assert ["open mine 30", "close mine"] == diaries.journal


def test_configured_connectors_open_in_order_of_their_dependencies(diaries: Any) -> None:
    """Connectors open in the order of their dependencies, in whatever order their tables appear."""
    source = {"connectors": {"shop": diary(depends_on="base"), "base": diary()}}
    with moorage.open(source) as hub:
        hub.connectors.open(3.0)

    assert ["open base 3", "open shop 3", "close shop", "close base"] == diaries.journal


def test_connector_has_the_service_of_its_name() -> None:
    """A connector uses the protections of the service with its name, or else the defaults."""
    tables = {
        "connectors": {"mine": diary(), "yours": diary()},
        "services": {"mine": {"timeout": 2.0}},
    }
    services = {service.name: service for service in read_configuration(tables).services}

    assert (2.0, 30.0) == (services["mine"].timeout, services["yours"].timeout)


def test_failures_of_a_connector_count_for_its_service(diaries: Any) -> None:
    """A failed operation of a connector counts as a failure of its service."""
    del diaries
    with moorage.open({"connectors": {"mine": diary()}}) as hub:

        def raise_error() -> None:
            raise VendorFailed("broken")

        with pytest.raises(VendorFailed) as excinfo:
            hub.manager.run("mine", raise_error)
    assert "mine" == excinfo.value.service


def test_disabled_connector_stays_in_the_list(diaries: Any) -> None:
    """A connector with `enabled = false` stays listed, and its settings are still checked."""
    with moorage.open({"connectors": {"mine": diary(enabled=False)}}) as hub:
        assert [("mine", False, 2)] == [
            (description.name, description.enabled, description.version)
            for description in hub.connectors.descriptions()
        ]
        hub.connectors.open()

    assert [] == diaries.journal


def test_settings_of_an_older_version_are_converted() -> None:
    """A connector kind accepts settings that were written for its earlier versions."""
    old_table = {"kind": "diary", "version": 1, "sheets": 6}
    with moorage.open({"connectors": {"mine": old_table}}) as hub:
        assert 12 == hub.connectors["mine"].settings.pages
        assert 2 == hub.connectors.descriptions()[0].version


@pytest.mark.parametrize(
    "table, path, message",
    [
        ({}, "kind", "The setting is missing."),
        (3, "", "The value is a whole number, not a table."),
        ({"kind": "dairy"}, "kind", "There is no connector kind named 'dairy'."),
        ({"kind": "text"}, "kind", "refers to our_diaries:TEXT, which is not a ConnectorKind"),
        ({"kind": "gone"}, "kind", "cannot be imported (AttributeError)"),
        ({"kind": "greedy"}, "kind", "have a field 'enabled'"),
        ({"kind": "diary"}, "pages", "The setting is missing."),
        (diary(pages="ten"), "pages", "The value is a string, not a whole number."),
        (diary(page=1), "page", "The setting page is unknown."),
        (diary(enabled="no"), "enabled", "The value is a string, not true or false."),
        (diary(version=3), "version", "has no settings in version 3"),
        (diary(version=0), "version", "has no settings in version 0"),
        (diary(version="one"), "version", "The value is a string, not a whole number."),
        ({"kind": "diary", "version": 1}, "", "The value is not valid here."),
        ({"kind": "text", "version": 1}, "kind", "which is not a ConnectorKind"),
        (diary(depends_on="stock"), "depends_on", "There is no connector named 'stock'."),
    ],
)
def test_wrong_tables_are_refused_with_their_path(table: Any, path: str, message: str) -> None:
    """`moorage check` and `moorage.open` report a wrong connector table with the same path."""
    ((actual_path, actual), *other_problems) = problems({"mine": table})

    # Settings that cannot be converted to the newest version contain none of its fields.
    assert (message == "The value is not valid here.") == bool(other_problems)
    assert f"connectors.mine.{path}".rstrip(".") == actual_path
    assert message in actual


def test_names_that_vendors_have_are_refused() -> None:
    """A connector with the name of a configured vendor is refused."""
    twilio = {
        "account_sid": "AC0123456789abcdef0123456789abcdef",
        "credentials": "0123456789abcdef0123456789abcdef",
        "sender": "+4915112345678",
    }

    ((path, message),) = problems({"twilio": diary()}, vendors={"twilio": twilio})
    assert "connectors.twilio" == path
    assert "has a service with the same name" in message


def test_names_that_cannot_be_services_are_refused() -> None:
    """A connector name that cannot be a service name is refused."""
    ((path, _),) = problems({"": diary()})

    assert 'connectors.""' == path


def test_dependencies_in_a_circle_are_refused() -> None:
    """The error for circular dependencies shows the whole circle."""
    ((path, message),) = problems({"a": diary(depends_on=["b"]), "b": diary(depends_on=["a"])})

    assert path in {"connectors.a.depends_on", "connectors.b.depends_on"}
    assert message in {
        "The connectors depend on each other in a cycle: a needs b needs a.",
        "The connectors depend on each other in a cycle: b needs a needs b.",
    }


def test_dependency_on_a_disabled_connector_is_refused() -> None:
    """A connector that depends on a disabled connector is refused."""
    tables = {"base": diary(enabled=False), "shop": diary(depends_on=["base"])}

    assert [("connectors.shop.depends_on", "The connector 'base' is disabled.")] == problems(tables)
    tables["shop"]["enabled"] = False
    assert 2 == len(read_configuration({"connectors": tables}).connectors)


def test_kind_of_the_wrong_mode_is_refused() -> None:
    """An asynchronous hub refuses a connector kind without an asynchronous variant."""
    source = {"connectors": {"mine": {"kind": "sync_only", "pages": 1}}}
    moorage.open(source).close()
    with pytest.raises(ConfigurationError, match="only in synchronous programs") as excinfo:
        moorage.aopen(source)

    assert "connectors.mine.kind" == excinfo.value.path


def test_reload_that_changes_connectors_is_refused() -> None:
    """A reload is refused if it changes the connectors, and accepted otherwise."""
    source = {"connectors": {"mine": diary()}}
    with moorage.open(source) as hub:
        hub.reload({**source, "services": {"vat": {"base_url": "https://vat.example"}}})
        with pytest.raises(ConfigurationError, match="cannot change its connectors") as excinfo:
            hub.reload({"connectors": {"mine": diary(pages=11)}})

    assert "connectors" == excinfo.value.path
