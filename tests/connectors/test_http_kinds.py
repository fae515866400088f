"""Connectors of GraphQL and JSON-RPC services in a configuration."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

import moorage
from moorage import ConfigurationError, InvalidData, InvalidRequest, VendorRejected
from moorage.testing import VendorServer
from tests.connectors.http_services import SDL, GraphQLServer, JsonRpcServer
from tests.support.command import command

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

ECHO = "query Echo($text: String!) { echo(text: $text) }"
DOCUMENTS = {
    "echo": ECHO,
    "orders": "{ orders { id } broken }",
    "add": "mutation Add($id: ID!) { add(id: $id) { id } }",
}


@pytest.fixture(name="shop")
def _shop() -> Generator[GraphQLServer]:
    server = GraphQLServer()
    with server.server:
        yield server


@pytest.fixture(name="ledger")
def _ledger() -> Generator[JsonRpcServer]:
    server = JsonRpcServer()
    with server.server:
        yield server


def configuration(kind: str, url: str, **settings: Any) -> dict[str, Any]:
    """Return a configuration with one connector of this kind, and its service."""
    return {
        "connectors": {"shop": {"kind": kind, **settings}},
        "services": {"shop": {"base_url": url}},
    }


def test_graphql_documents_run_by_name(shop: GraphQLServer, tmp_path: Path) -> None:
    """A GraphQL document in the configuration runs by name; its variables are the arguments."""
    schema = tmp_path / "shop.graphql"
    schema.write_text(SDL, "utf-8")
    settings = {"documents": DOCUMENTS, "schema": str(schema)}
    with moorage.open(configuration("graphql", shop.server.url, **settings)) as hub:
        connectors = hub.connectors
        expected = {"data": {"add": {"id": "7"}}, "problems": []}
        assert expected == connectors.run("shop", "add", {"id": "7"})
        answer = connectors.run("shop", "orders", {})
        assert answer == json.loads(json.dumps(answer))
        assert {"orders": [{"id": "7"}], "broken": None} == answer["data"]
        (problem,) = answer["problems"]
        assert ["broken"] == problem["path"]
        with pytest.raises(VendorRejected):
            connectors.run("shop", "echo", {"word": "a"})
        operations = connectors["shop"].operations
        assert operations["echo"].operation({"text": "a"}).safe
        assert not operations["add"].operation({"id": "a"}).safe
        assert connectors.health("shop").is_healthy
        assert "<HttpConnector shop (graphql)>" == repr(connectors["shop"])


def test_asynchronous_hub_runs_configured_graphql_documents(shop: GraphQLServer) -> None:
    """An asynchronous hub runs configured documents; its health check runs the configured query."""
    documents = {"orders": "query Mine { orders { id } }"}
    settings = configuration("graphql", shop.server.url, documents=documents, ping="orders")

    async def use_connector() -> Any:
        async with moorage.aopen(settings) as hub:
            assert (await hub.connectors.health("shop")).is_healthy
            return await hub.connectors.run("shop", "orders", {})

    assert {"data": {"orders": []}, "problems": []} == asyncio.run(use_connector())
    assert b'"Mine"' in shop.server.requests[0].body


def test_graphql_connector_may_send_document_hash() -> None:
    """A GraphQL connector may send a document's hash, and its text only if the service asks."""
    problem = {"message": "unknown", "extensions": {"code": "PERSISTED_QUERY_NOT_FOUND"}}
    with VendorServer() as server:
        server.respond(200, {}, json.dumps({"errors": [problem]}).encode())
        server.respond(200, {}, b'{"data": {"echo": "a"}}')
        settings = {"documents": {"echo": ECHO}, "persisted": "automatic"}
        with moorage.open(configuration("graphql", server.url, **settings)) as hub:
            answer = hub.connectors.run("shop", "echo", {"text": "a"})
        first, second = (json.loads(received.body) for received in server.requests)
    assert {"echo": "a"} == answer["data"]
    assert "query" not in first
    assert ECHO == second["query"]


def test_graphql_on_the_command_line(
    shop: GraphQLServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`moorage run` runs a GraphQL document that the configuration declares."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "moorage.toml").write_text(
        f'[connectors.shop]\nkind = "graphql"\n[connectors.shop.documents]\necho = "{ECHO}"\n'
        f'[services.shop]\nbase_url = "{shop.server.url}"\n',
        encoding="utf-8",
    )
    finished = command("run", "shop", "echo", "--arguments", '{"text": "hi"}')
    assert 0 == finished.code
    assert {"echo": "hi"} == json.loads(finished.out)["data"]


@pytest.mark.parametrize(
    "settings, path",
    [
        ({"documents": {"a": "nonsense"}}, "documents.a"),
        ({"documents": {"a": "subscription S { s }"}}, "documents.a"),
        ({"documents": {"a": "{ b }", "c": "{ d"}}, "documents.c"),
        ({"documents": {"a": "{ b }"}, "ping": "b"}, "ping"),
        ({"documents": {"a": "mutation A { b }"}, "ping": "a"}, "ping"),
        ({"persisted": "sometimes"}, "persisted"),
        ({"schema": "missing.graphql"}, "schema"),
    ],
)
def test_wrong_graphql_setting_is_refused_with_its_path(
    settings: dict[str, Any], path: str
) -> None:
    """A wrong setting of a GraphQL connector is refused with its path, before anything is sent."""
    with pytest.raises(ConfigurationError, match=rf"connectors\.shop\.{path}"):
        moorage.open(configuration("graphql", "https://shop.example", **settings))


def test_document_that_does_not_fit_the_schema(tmp_path: Path) -> None:
    """A document with a field that the schema lacks is refused with its line and column."""
    schema = tmp_path / "shop.graphql"
    schema.write_text(SDL, "utf-8")
    settings = {"documents": {"orders": "{ orders { naem } }"}, "schema": str(schema)}
    with pytest.raises(ConfigurationError, match=r"documents\.orders: .*column 12.*naem"):
        moorage.open(configuration("graphql", "https://shop.example", **settings))


def test_json_rpc_method_accepts_parameters_by_position_or_name(ledger: JsonRpcServer) -> None:
    """A JSON-RPC method accepts parameters by position or name.

    Only a method declared as safe counts as safe.
    """
    settings = {"safe_methods": ["echo"]}
    with moorage.open(configuration("json-rpc", ledger.server.url, **settings)) as hub:

        def call(method: object, **more: Any) -> Any:
            return hub.connectors.run("shop", "call", {"method": method, **more})

        assert ["a", 1] == call("echo", parameters=["a", 1])
        assert {"a": 1} == call("echo", parameters={"a": 1})
        assert [] == call("add")
        with pytest.raises(InvalidRequest):
            call("burn")
        for wrong in ({"method": 3}, {"method": ""}, {"method": "echo", "parameters": 3}):
            with pytest.raises(InvalidData):
                call(**wrong)
        operations = hub.connectors["shop"].operations
        assert operations["call"].operation({"method": "echo"}).safe
        assert not operations["call"].operation({"method": "add"}).safe
        assert hub.connectors.health("shop").is_healthy
    assert "rpc.discover" == ledger.methods[-1]


def test_health_check_of_asynchronous_connector_calls_its_method(ledger: JsonRpcServer) -> None:
    """The health check of an asynchronous connector calls the configured method."""
    settings = configuration("json-rpc", ledger.server.url, ping="echo")

    async def use_connector() -> Any:
        async with moorage.aopen(settings) as hub:
            assert (await hub.connectors.health("shop")).is_healthy
            return await hub.connectors.run("shop", "call", {"method": "add", "parameters": ["7"]})

    assert ["7"] == asyncio.run(use_connector())
    assert ["echo", "add"] == ledger.methods


@pytest.mark.parametrize("kind", ["graphql", "json-rpc"])
@pytest.mark.parametrize("body", [b"<html>", b"{}"])
def test_server_of_another_protocol_is_not_healthy(kind: str, body: bytes) -> None:
    """A server whose response breaks the protocol is reported as unavailable, with a remedy."""
    with VendorServer() as server:
        server.respond(200, {}, body)
        with moorage.open(configuration(kind, server.url)) as hub:
            health = hub.connectors.health("shop")
    assert not health.is_healthy
    assert health.remedy
