"""OData services as connectors in a configuration."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

import moorage
from moorage import ConfigurationError, InvalidData, LocalFailure
from moorage.adapters.http_operations.connector_async import AsyncHttpConnector
from moorage.adapters.http_operations.connector_sync import HttpConnector
from tests.support.command import command

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.odata_server import ODataServer


def configuration(url: str, **settings: Any) -> dict[str, Any]:
    """Return a configuration with one OData connector and its service."""
    table = {"kind": "odata", "path": "/odata/v4", **settings}
    return {"connectors": {"erp": table}, "services": {"erp": {"base_url": url}}}


def test_operation_can_be_run_by_name_with_plain_json(server: ODataServer) -> None:
    """Every OData operation can be run by name with plain JSON arguments and results."""
    with moorage.open(configuration(server.url)) as hub:

        def run(operation: str, **arguments: Any) -> Any:
            result = hub.connectors.run("erp", operation, arguments)
            return json.loads(json.dumps(result))

        orders = {"entity_set": "Orders"}
        page = run("query", **orders, page_size=2, order_by=["ID"], count=True)
        assert (2, 3) == (len(page["items"]), page["count"])
        last_page = run("query", next=page["next"], page_size=2)
        assert (["O'Brien"], None) == (
            [item["Name"] for item in last_page["items"]],
            last_page["next"],
        )
        conditions = [["Pieces", "gt", 3], ["Name", "startswith", "n"]]
        assert 1 == run("count", **orders, filter=conditions)
        created = run("create", **orders, data={"Name": "cog", "Pieces": 1})
        key = {"key": created["data"]["ID"]}
        updated = run("update", **orders, **key, etag=created["etag"], changes={"Pieces": 2})
        assert 2 == run("get", **orders, **key, select=["Pieces"])["data"]["Pieces"]
        assert run("delete", **orders, **key, etag=updated["etag"]) is None
        approved = run("action", name="Sales.Approve", parameters={"by": "Ada"}, **orders, key=1)
        assert "Ada" == approved["Approved"]
        assert 19 == run("function", name="Total")
        assert hub.connectors.health("erp").is_healthy
        connector = hub.connectors.get("erp", HttpConnector)
        assert connector.statistics() is None
        assert connector.versions.server is None


def test_asynchronous_hub_has_asynchronous_odata_connector(server: ODataServer) -> None:
    """An asynchronous hub has the asynchronous OData connector."""

    async def use_connector() -> Any:
        async with moorage.aopen(configuration(server.url)) as hub:
            connector = hub.connectors.get("erp", AsyncHttpConnector)
            assert connector.versions.library is None
            assert connector.statistics() is None
            assert "<AsyncHttpConnector erp (odata)>" == repr(connector)
            async with hub.connectors.use("erp"):
                assert (await hub.connectors.health("erp")).is_healthy
            return await hub.connectors.run("erp", "count", {"entity_set": "Orders"})

    assert 3 == asyncio.run(use_connector())


def test_moorage_run_performs_operation_of_configured_odata_connector(
    server: ODataServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`moorage run` performs an operation of a configured OData connector."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "moorage.toml").write_text(
        f'[connectors.orders]\nkind = "odata"\nservice = "erp"\npath = "/odata/v4"\n'
        f'[services.erp]\nbase_url = "{server.url}"\n',
        encoding="utf-8",
    )
    finished = command("run", "orders", "count", "--arguments", '{"entity_set": "Orders"}')
    assert (0, "3\n") == (finished.code, finished.out)


def test_unreachable_odata_service_is_reported_as_unavailable() -> None:
    """An unreachable OData service is reported as unavailable, with a remedy."""
    with moorage.open(configuration("http://127.0.0.1:1")) as hub:
        health = hub.connectors.health("erp")
        connector = hub.connectors.get("erp", HttpConnector)
        connector.close()
        with pytest.raises(LocalFailure, match="erp is closed"):
            connector.open()

    async def check_health() -> Any:
        async with moorage.aopen(configuration("http://127.0.0.1:1")) as hub:
            return await hub.connectors.health("erp")

    assert "unavailable" == asyncio.run(check_health()).state == health.state
    assert health.text
    assert health.remedy
    assert "<HttpConnector erp (odata)>" == repr(connector)


def test_connector_is_closed_at_the_end_of_its_block(server: ODataServer) -> None:
    """An OData connector can be used in a `with` block, at whose end it is closed."""
    with moorage.open(configuration(server.url)) as hub:
        with hub.connectors["erp"] as connector:
            connector.open(5.0)
        with pytest.raises(LocalFailure):
            connector.open(5.0)

    async def use_connector() -> None:
        async with moorage.aopen(configuration(server.url)) as hub:
            async with hub.connectors["erp"] as connector:
                await connector.open(5.0)
            with pytest.raises(LocalFailure):
                await connector.open(5.0)

    asyncio.run(use_connector())


@pytest.mark.parametrize(
    "operation, arguments",
    [
        ("query", {}),
        ("query", {"next": ""}),
        ("query", {"next": 3}),
        ("query", {"next": "Orders", "entity_set": "Orders"}),
        ("query", {"next": "http://["}),
        ("query", {"next": "https://other.example/odata/v4/Orders"}),
        ("query", {"entity_set": "Orders", "filter": "Name eq 1"}),
        ("query", {"entity_set": "Orders", "filter": ["Name eq 1"]}),
        ("query", {"entity_set": "Orders", "filter": [["Name", "or", 1]]}),
        ("query", {"entity_set": "Orders", "filter": [["Name", 1, 1]]}),
        ("get", {"entity_set": "Orders", "key": {"guid": "x"}}),
        ("get", {"entity_set": "Orders", "key": {"guid": 3}}),
        ("get", {"entity_set": "Orders", "key": {"decimal": "x"}}),
        ("create", {"entity_set": "Orders", "data": 3}),
        ("create", {"entity_set": "Orders", "data": {}, "x": 1}),
    ],
)
def test_wrong_arguments_of_odata_operation_are_refused_before_anything_is_sent(
    server: ODataServer, operation: str, arguments: dict[str, Any]
) -> None:
    """Wrong arguments of an OData operation are refused before anything is sent."""
    with moorage.open(configuration(server.url)) as hub, pytest.raises(InvalidData):
        hub.connectors.run("erp", operation, arguments)
    assert [] == server.service.seen


def test_guids_dates_and_decimals_become_json_objects(server: ODataServer) -> None:
    """GUIDs, dates and decimals, which JSON lacks, become JSON objects, even within a key."""
    with moorage.open(configuration(server.url)) as hub:
        get = hub.connectors["erp"].operations["get"]
        key = {"a": {"guid": "0f0e0d0c-0b0a-0908-0706-050403020100"}, "b": {"date": "2026-01-02"}}
        path = get.operation({"entity_set": "Orders", "key": key}).request.path
    expected = "(a=0f0e0d0c-0b0a-0908-0706-050403020100,b=2026-01-02)"
    assert path.endswith(f"/Orders{expected}")


def test_wrong_setting_of_odata_connector_is_refused_with_its_path() -> None:
    """If a setting of an OData connector is wrong, the error contains the setting's path."""
    with pytest.raises(ConfigurationError, match=r"connectors\.erp"):
        moorage.open(configuration("https://erp.example", pth="/odata"))
