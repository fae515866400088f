"""Options of vendors, connectors and platforms with wrong values of every type and form."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest

from moorage import Account, ConfigurationError, ConnectorError, InvalidData
from moorage.config import read_configuration
from moorage.config.connectors import ConnectorSettings
from moorage.domain.connectors.description import ConnectorDescription
from moorage.domain.secrets.options import option_of
from moorage.testing.sandbox_fixtures import fixture_of
from moorage.wiring.accounts import clients_of, services_of
from moorage.wiring.installed_connectors import connector_kind, connector_kind_names
from moorage.wiring.installed_platforms import platform_kind, platform_kind_names
from moorage.wiring.installed_vendors import vendor_class, vendor_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

WRONG_TYPES: Final[dict[str, Any]] = {
    "int": 5,
    "huge int": 10**400,
    "float": 1.5,
    "nan": float("nan"),
    "bool": True,
    "list": ["a"],
    "list of ints": [1],
    "empty list": [],
    "dict": {"a": 1},
    "empty dict": {},
    "nested": {"a": [{"b": [1]}]},
    "bytes": b"ab",
    "set": {1, 2},
    "object": object(),
    "None": None,
}
WRONG_FORMS: Final[dict[str, Any]] = {
    "empty": "",
    "huge": "x" * 5_000,
    "non-ASCII": "héłlo",
    "control characters": "a\r\nb\x00",
    "surrogate": "\ud800",
    "no URL": "http://[bad",
}
IN_FILES: Final = ("int", "nan", "list", "nested", "control characters", "no URL")
"""The values that are tried in configurations, which check the types of simple options alike."""
CONNECTORS: Final[dict[str, dict[str, Any]]] = {
    "graphql": {},
    "grpc": {"address": "grpc.example:443"},
    "json-rpc": {},
    "kafka": {"servers": "kafka.example:9092"},
    "imap": {"url": "imaps://mail.example", "user": "ada", "password": "x"},
    "ldap": {"url": "ldap://directory.example"},
    "mongodb": {"url": "mongodb://mongo.example/erp"},
    "mqtt": {"url": "mqtt://mqtt.example"},
    "nats": {"url": "nats://nats.example"},
    "odata": {},
    "rabbitmq": {"url": "amqp://rabbit.example"},
    "redis-streams": {"url": "redis://redis.example"},
    "soap": {"wsdl": "erp.wsdl"},
    "sql": {"url": "sqlite://"},
    "sqs": {"region": "eu-central-1", "account": "123456789012"},
    "websocket": {"url": "wss://erp.example/ws"},
    "xml-rpc": {},
}
"""Valid settings of each kind of connectors."""
SOURCES: Final[dict[str, dict[str, Any]]] = {
    "imap": {},
    "kafka": {"topics": ["orders"], "group": "erp"},
    "mqtt": {"topics": ["orders"], "client_id": "erp"},
    "nats": {"subjects": ["orders"], "group": "erp"},
    "rabbitmq": {"queues": ["orders"]},
    "redis-streams": {"topics": ["orders"], "group": "erp"},
}
"""Valid options of the source of each kind that has one."""
PLATFORMS: Final[dict[str, dict[str, Any]]] = {
    "azure-containers": {
        "subscription": "sub-1",
        "resource_group": "reports",
        "location": "westeurope",
    },
    "cloud-run": {"project": "acme", "location": "europe-west1"},
    "docker": {},
    "ecs": {"region": "eu-central-1", "task_definition": "erp", "container": "erp"},
    "github": {"repository": "acme/erp", "token": "ghp_1"},
    "gitlab": {"project": "acme/erp", "token": "glpat-1"},
    "kubernetes": {"server": "https://kubernetes.example"},
    "local": {"folder": "runs"},
    "ssh": {"host": "far.example"},
}
"""Valid settings of each kind of platforms."""


def fields_of(kind: type[Any]) -> dict[str, attrs.Attribute[Any]]:
    """Return the options of a class by name."""
    return {name: field for name, field in attrs.fields_dict(kind).items() if field.init}


def wrong_errors(
    kind: type[Any], options: Mapping[str, Any], use: Callable[[Any], object]
) -> Iterator[str]:
    """Yield each option and value with an error that is not moorage's or does not name the option.

    An error about options that belong together may name another option, unless the type is wrong.
    """
    names = fields_of(kind)
    for name, (label, value) in [
        (name, entry) for name in names for entry in (WRONG_TYPES | WRONG_FORMS).items()
    ]:
        try:
            use(kind(**{**options, name: value}))
        except ConnectorError as error:
            place = option_of(error).rpartition("vendors.main.")[2]
            place = place.rpartition("connectors.main.")[2].partition(".")[0].partition("[")[0]
            may_differ = label in {*WRONG_FORMS, "None", "bytes"} or label.split()[-1] in str(
                names[name].type
            )
            is_named = place == name or (may_differ and place in names)
            if not (is_named and isinstance(error, (ConfigurationError, InvalidData))):
                yield f"{name}, {label}: {error!r} names {place!r}"
        except Exception as error:  # noqa: BLE001 - these are the mistakes
            yield f"{name}, {label}: {error!r}"


def configuration_errors(
    kind: type[Any], options: Mapping[str, Any], table: Callable[[dict[str, Any]], dict[str, Any]]
) -> Iterator[str]:
    """Yield each option and value with a configuration problem that lacks the option's path."""
    names = fields_of(kind)
    values = WRONG_TYPES | WRONG_FORMS
    for name, label in [(name, label) for name in names for label in IN_FILES]:
        try:
            read_configuration(table({**options, name: values[label]}))
        except ConfigurationError as error:
            for problem in error.problems:
                place = problem.path.split(".main")[-1].lstrip(".").partition("[")[0].partition(".")
                if place[0] not in names and "***" not in problem.path:
                    yield f"{name}, {label}: {problem}"
        except Exception as error:  # noqa: BLE001 - these are the mistakes
            yield f"{name}, {label}: {error!r}"


def use_vendor(vendor: Any) -> None:
    """Use a vendor as a hub does before its first call."""
    account = Account("main", vendor)
    services_of([account])
    clients_of([account])
    vendor.mode()
    vendor.ping()
    vendor.webhook_verification()


def vendor_options(name: str, folder: Path) -> dict[str, Any]:
    """Return valid options for a vendor."""
    fixture = fixture_of(name, folder)
    try:
        names = fields_of(vendor_class(name))
        return {option: value for option, value in fixture.options.items() if option in names}
    finally:
        fixture.close()


@pytest.mark.untraced
@pytest.mark.parametrize("name", vendor_names())
def test_wrong_option_of_a_vendor_is_named(name: str, tmp_path: Path) -> None:
    """A vendor with a wrong option works, or raises a moorage error that names the option."""
    options = vendor_options(name, tmp_path)
    use_vendor(vendor_class(name)(**options))

    assert [] == [*wrong_errors(vendor_class(name), options, use_vendor)]


@pytest.mark.untraced
@pytest.mark.parametrize("name", vendor_names())
def test_wrong_option_in_a_configuration_is_named(name: str, tmp_path: Path) -> None:
    """Each configuration problem caused by a wrong option has an option's path."""
    options = vendor_options(name, tmp_path)

    def table(fields: dict[str, Any]) -> dict[str, Any]:
        return {"vendors": {"main": {"kind": name, **fields}}}

    read_configuration(table(options))

    assert [] == [*configuration_errors(vendor_class(name), options, table)]


def build(kind_name: str, settings: Any) -> None:
    """Build the connectors of a configuration with these settings."""
    kind = connector_kind(kind_name)
    connector = ConnectorSettings(
        description=ConnectorDescription(name="main", kind=kind_name), settings=settings
    )
    for is_async in (False, True):
        if (kind.build_async if is_async else kind.build) is not None:
            connector.build(None, is_async=is_async)()


@pytest.mark.untraced
@pytest.mark.parametrize("name", CONNECTORS)
def test_wrong_setting_of_a_connector_is_named(name: str) -> None:
    """A connector with a wrong setting works, or raises a moorage error that names the setting."""
    kind = connector_kind(name)
    build(name, kind.settings(**CONNECTORS[name]))

    assert [] == [*wrong_errors(kind.settings, CONNECTORS[name], partial(build, name))]


@pytest.mark.untraced
@pytest.mark.parametrize("name", CONNECTORS)
def test_wrong_setting_in_a_configuration_is_named(name: str) -> None:
    """Each configuration problem caused by a wrong setting has a setting's path."""

    def table(fields: dict[str, Any]) -> dict[str, Any]:
        return {"connectors": {"main": {"kind": name, **fields}}}

    read_configuration(table(CONNECTORS[name]))

    assert [] == [*configuration_errors(connector_kind(name).settings, CONNECTORS[name], table)]


@pytest.mark.untraced
@pytest.mark.parametrize("name", SOURCES)
def test_wrong_option_of_a_source_is_named(name: str) -> None:
    """A source with a wrong option works, or raises a moorage error that names the option."""
    kind = connector_kind(name)
    source = kind.source
    assert source is not None

    def build_source(options: Any) -> object:
        return source.build(kind.settings(**CONNECTORS[name]), options)

    build_source(source.options(**SOURCES[name]))

    assert [] == [*wrong_errors(source.options, SOURCES[name], build_source)]


@pytest.mark.untraced
@pytest.mark.parametrize("name", PLATFORMS)
def test_wrong_setting_of_a_platform_is_named(name: str) -> None:
    """A platform with a wrong setting works, or raises a moorage error that names the setting."""
    kind = platform_kind(name)

    assert [] == [*wrong_errors(kind.settings, PLATFORMS[name], repr)]


def test_tests_cover_each_kind_of_connector_source_and_platform() -> None:
    """The tests in this file cover every kind of connector, source and platform."""
    kinds = {name: connector_kind(name) for name in connector_kind_names()}
    own_kinds = {name for name in kinds if kinds[name].settings.__module__.startswith("moorage.")}

    assert own_kinds == {*CONNECTORS}
    assert {name for name in own_kinds if kinds[name].source is not None} == {*SOURCES}
    assert {*platform_kind_names()} == {*PLATFORMS}
