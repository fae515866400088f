"""HTTP services with named operations, running on this machine."""

from __future__ import annotations

import json
from typing import Any

import graphql

from moorage.testing import Behaviour, VendorServer

SDL = """
type Order { id: ID!, total: Int }
type Query { echo(text: String!): String, orders: [Order], broken: String }
type Mutation { add(id: ID!): Order }
"""


class GraphQLServer:
    """A GraphQL service that stores the orders added to it; graphql-core executes the queries."""

    def __init__(self) -> None:
        self.added: list[str] = []
        self._schema = graphql.build_schema(SDL)
        self.server = VendorServer()
        self.server.always(self._answer)

    def echo(self, _: Any, text: str) -> str:
        """Return the given text."""
        return text

    def orders(self, _: Any) -> list[dict[str, Any]]:
        """Return the orders."""
        return [{"id": name, "total": None} for name in self.added]

    def broken(self, _: Any) -> str:
        """Raise an error, like a resolver that has a bug."""
        raise ValueError("the warehouse is closed")

    def add(self, _: Any, id: str) -> dict[str, Any]:
        """Add an order."""
        self.added.append(id)
        return {"id": id}

    def _answer(self, request: Any) -> Behaviour:
        body = request.json()
        result = graphql.graphql_sync(
            self._schema,
            body["query"],
            self,
            variable_values=body.get("variables"),
            operation_name=body.get("operationName"),
        )
        return Behaviour.of_json(result.formatted)


class JsonRpcServer:
    """A JSON-RPC service with the methods `echo` and `add`."""

    def __init__(self) -> None:
        self.added: list[str] = []
        self.methods: list[str] = []
        self.server = VendorServer()
        self.server.always(self._answer)

    def _answer(self, request: Any) -> Behaviour:
        body = json.loads(request.body)
        self.methods.append(body["method"])
        result: dict[str, Any] = {"result": body["params"]}
        if body["method"] == "add":
            self.added += body["params"]
        elif body["method"] != "echo":
            result = {"error": {"code": -32601, "message": "Method not found"}}
        return Behaviour.of_json({"jsonrpc": "2.0", "id": body["id"], **result})
