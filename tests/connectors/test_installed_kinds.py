"""Connector kinds that installed packages provide."""

from __future__ import annotations

import subprocess
import sys

import pytest

from moorage import ConfigurationError
from moorage.wiring.installed_connectors import connector_kind


def test_unknown_connector_kind_is_refused_with_its_path_in_configuration_and_remedy() -> None:
    """An unknown connector kind is refused with its path in the configuration and a remedy."""
    with pytest.raises(ConfigurationError, match="no kind of connector named 'sqll'") as excinfo:
        connector_kind("sqll", "connectors.erp.kind")

    assert "connectors.erp.kind" == excinfo.value.path
    assert "install the package" in excinfo.value.remedy


LIBRARIES = {
    "grpc": ("grpc", {"address": "orders.example:443"}),
    "kafka": ("confluent_kafka", {"servers": "kafka.example"}),
    "mongodb": ("pymongo", {"url": "mongodb://db.example/erp"}),
    "nats": ("nats", {"url": "nats://nats.example"}),
    "mqtt": ("paho", {"url": "mqtt://mqtt.example"}),
    "rabbitmq": ("pika", {"url": "amqp://rabbit.example"}),
    "redis-streams": ("redis", {"url": "redis://redis.example"}),
    "sql": ("sqlalchemy", {"url": "sqlite://"}),
    "websocket": ("websockets", {"url": "wss://orders.example"}),
}
"""The library of each kind, and settings with which a connector of it can be made."""
WITHOUT_LIBRARIES = f"""
import importlib.metadata
import sys

sys.path[:] = sys.argv[1:]
libraries = {LIBRARIES!r}
for library, _ in libraries.values():
    sys.modules[library] = None


def version(package):
    raise importlib.metadata.PackageNotFoundError(package)


importlib.metadata.version = version

import moorage
from moorage.config.schema import json_schema

kinds = json_schema()
for kind, (library, settings) in libraries.items():
    assert repr(kind) in str(kinds), kind
    table = {{"kind": kind, **settings}}
    try:
        with moorage.open({{"connectors": {{"erp": table}}}}) as hub:
            hub.connectors.open()
    except moorage.ConfigurationError as error:
        print(kind, "install" in str(error).lower())
"""


def test_kinds_are_described_without_their_libraries() -> None:
    """Connector kinds are described even if their libraries are missing.

    Using such a kind raises an error that names the library.
    """
    finished = subprocess.run(
        [sys.executable, "-c", WITHOUT_LIBRARIES, *sys.path],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (0, "") == (finished.returncode, finished.stderr)
    assert [f"{kind} True" for kind in LIBRARIES] == finished.stdout.splitlines()
