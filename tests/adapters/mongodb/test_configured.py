"""MongoDB connectors opened from a configuration, and their operations by name."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import pytest
from pymongo.errors import ConfigurationError as SettingsError
from pymongo.errors import ProtocolError

import moorage
from moorage import (
    ConfigurationError,
    ConnectionFailed,
    InvalidData,
    InvalidRequest,
    Secret,
    Tls,
)
from moorage.adapters.mongodb import changes_async, changes_sync
from moorage.adapters.mongodb._error_conversion import error_of_pymongo
from moorage.adapters.mongodb._monitor import Progress
from moorage.adapters.mongodb.connector_async import AsyncMongoConnector
from moorage.adapters.mongodb.connector_sync import MongoConnector
from tests.adapters.mongodb.mongodb_harness import Harness

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.mongodb_servers import PrivateMongo

CONDITION = {"_id": {"$oid": "650000000000000000000001"}}


def configuration(**settings: Any) -> dict[str, Any]:
    """Return a configuration with one MongoDB connector."""
    return {"connectors": {"erp": {"kind": "mongodb", **settings}}}


def test_a_configuration_names_a_connector(server: PrivateMongo, monkeypatch: Any) -> None:
    """A connector of kind "mongodb" can be opened by synchronous and asynchronous programs."""
    monkeypatch.setenv("ERP_URL", server.url(database=Harness.new_name()))
    config = configuration(url="secret://env/ERP_URL", connections=2)
    with moorage.open(config) as hub:
        connector = hub.connectors.get("erp", MongoConnector)
        hub.connectors.run("erp", "insert_one", {"collection": "a", "document": {"_id": 1}})
        assert 1 == hub.manager.perform("erp", connector.count("a", {}))
        assert hub.connectors.health("erp").is_healthy
        assert 2 == connector.statistics().maximum

    async def perform() -> Any:
        async with moorage.aopen(config) as hub:
            connector = hub.connectors.get("erp", AsyncMongoConnector)
            return await hub.manager.perform("erp", connector.count("a", {}))

    assert 1 == asyncio.run(perform())


def test_operations_by_name_take_and_return_json(harness: Harness) -> None:
    """Operations called by name accept and return MongoDB's own types as Extended JSON."""
    document = {**CONDITION, "at": {"$date": "2026-01-02T03:04:05Z"}, "tags": ["a"]}
    identity = harness.by_name("insert_one", collection="orders", document=document)
    assert CONDITION["_id"] == identity
    assert [document] == harness.by_name("find", collection="orders", where=CONDITION, limit=5)
    change = {"$set": {"total": {"$numberDecimal": "1.10"}}}
    updated = harness.by_name("update_one", collection="orders", where=CONDITION, change=change)
    assert {"matched": 1, "modified": 1, "upserted_id": None} == updated
    stages = [{"$match": CONDITION}, {"$limit": 1}]
    assert 1 == len(harness.by_name("aggregate", collection="orders", stages=stages))
    assert 1 == harness.by_name("delete_many", collection="orders", where={})


def test_json_has_operators_only_if_the_configuration_says_so(
    harnesses: Callable[..., Harness], server: PrivateMongo
) -> None:
    """Without `operators=True`, JSON arguments cannot contain query operators such as `$in`."""
    condition = {"total": {"$in": [{"$numberInt": "1"}, 2]}}
    strict_harness, permissive_harness = (
        harnesses(server.url()),
        harnesses(server.url(), operators=True),
    )
    with pytest.raises(InvalidData, match=r"begins with \$"):
        strict_harness.by_name("count", collection="none", where=condition)
    assert 0 == permissive_harness.by_name("count", collection="none", where=condition)
    with pytest.raises(InvalidData, match="JavaScript"):
        permissive_harness.by_name("count", collection="none", where={"$where": "1"})


@pytest.mark.parametrize(
    "argument, value",
    [
        ("where", "all"),
        ("where", {"$oid": "650000000000000000000001"}),
        ("where", {"_id": {"$oid": "short"}}),
        ("where", {"_id": {"$numberDecimal": "many"}}),
        ("limit", True),
        ("collection", 7),
    ],
)
def test_wrong_arguments_are_named(harness: Harness, argument: str, value: Any) -> None:
    """An argument of the wrong form is refused; the error contains the argument's name."""
    arguments = {"collection": "orders", "where": {}, argument: value}
    with pytest.raises(InvalidData) as excinfo:
        harness.connector.operations["find"].operation(arguments)
    assert argument == excinfo.value.field


@pytest.mark.parametrize(
    "settings, path",
    [
        ({"url": "http://db.example/erp"}, "url"),
        ({"url": "mongodb://db.example/"}, "url"),
        ({"url": "mongodb://db.example/erp?w=0"}, "url"),
        ({"url": "mongodb://db.example/erp?tls=perhaps"}, "url"),
        ({"url": "mongodb://db.example:port/erp"}, "url"),
        ({"options": {"maxIdleTimeMS": "long"}}, "url"),
        ({"tls": Tls(certificate="client.pem", key="client.key")}, "tls"),
        ({"tls": Tls(authorities=b"-----BEGIN CERTIFICATE-----")}, "tls"),
    ],
)
@pytest.mark.parametrize("kind", [MongoConnector, AsyncMongoConnector])
def test_wrong_settings_are_named(kind: Any, settings: dict[str, Any], path: str) -> None:
    """Settings that pymongo does not accept are refused at construction."""
    settings = {"url": "mongodb://db.example/erp", **settings}
    with pytest.raises(ConfigurationError) as excinfo:
        kind(settings.pop("url"), **settings)
    assert path == excinfo.value.path


def test_files_for_tls_need_tls() -> None:
    """If a configuration has files for TLS but no TLS, it is refused."""
    config = configuration(url="mongodb://db.example/erp", tls_authorities="ca.pem")
    with pytest.raises(ConfigurationError, match="TLS is not turned on"):
        moorage.open(config)


def test_telemetry_names_mongodb_server_only_if_url_has_exactly_one() -> None:
    """Telemetry contains the MongoDB server's name only if the URL has exactly one server."""
    urls = {
        "mongodb://db.example/erp": ("db.example", None),
        "mongodb://db.example:27018/erp": ("db.example", 27018),
        "mongodb://a.example,b.example/erp": (None, None),
        "mongodb+srv://cluster.example/erp": (None, None),
    }
    for url, place in urls.items():
        connector = MongoConnector(Secret(url), database="shop")
        target = connector.count("orders", {}).target
        assert (place, "shop") == ((target.host, target.port), target.namespace)
        connector.close()


def test_the_library_is_named_if_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """If pymongo is not installed, the error contains the name of the package to install."""
    monkeypatch.setitem(sys.modules, "pymongo", None)
    with (
        moorage.open(configuration(url="mongodb://db.example/erp")) as hub,
        pytest.raises(ConfigurationError, match="not installed"),
    ):
        hub.connectors.get("erp", MongoConnector)


def test_forked_child_has_its_own_mongodb_client_and_connections(harness: Harness) -> None:
    """A forked child has its own MongoDB client and connections."""
    harness.do("count", "orders", {})
    parents = harness.connector._client  # noqa: SLF001 - nothing else tells clients apart
    type(harness.connector)._restart_after_fork(harness.connector)  # noqa: SLF001 - as a fork does
    assert 0 == harness.connector.statistics().created
    harness.do("count", "orders", {})
    assert 1 == harness.connector.statistics().created
    harness.run(parents.close())


def test_forked_child_uses_mongodb_in_an_event_loop_of_its_own(server: PrivateMongo) -> None:
    """An asynchronous connector that the parent process has used works in a child's event loop."""
    harness = Harness("async", server.url(database=Harness.new_name()))
    assert 0 == harness.do("count", "orders", {})
    parents, loop = harness.connector._client, harness.loop  # noqa: SLF001 - nothing else tells clients apart
    type(harness.connector)._restart_after_fork(harness.connector)  # noqa: SLF001 - as a fork does
    harness.loop = asyncio.new_event_loop()
    assert 0 == harness.do("count", "orders", {})
    harness.close()
    assert loop is not None
    loop.run_until_complete(parents.close())
    loop.close()


def test_update_that_shortens_an_array_reports_its_new_length() -> None:
    """A change event contains the lengths to which an update has shortened arrays."""
    update = {
        "updatedFields": {"total": 1},
        "removedFields": ["note"],
        "truncatedArrays": [{"field": "lines", "newSize": 2}, {"field": "tags.0", "newSize": 0}],
    }
    for module in (changes_sync, changes_async):
        change = module._change_of(  # noqa: SLF001 - no test server shortens arrays
            {"operationType": "update", "_id": {"_data": "82"}, "updateDescription": update}
        )
        assert ({"total": 1}, ("note",)) == (change.fields, change.removed)
        assert {"lines": 2, "tags.0": 0} == change.truncated


def test_client_side_exceptions_of_pymongo_become_moorage_errors() -> None:
    """Pymongo's exceptions for wrong settings and protocol errors become moorage errors."""
    progress = Progress(has_effect=True, is_whole=True)
    assert isinstance(error_of_pymongo(SettingsError("no sessions"), progress, ""), InvalidRequest)
    progress.has_connection()
    lost = error_of_pymongo(ProtocolError("nonsense"), progress, "")
    assert isinstance(lost, ConnectionFailed)
    assert lost.may_have_been_processed
    late_error = error_of_pymongo(TimeoutError(), progress, "")
    assert isinstance(late_error, ConnectionFailed)
