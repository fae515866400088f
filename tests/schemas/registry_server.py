"""A small schema registry with the HTTP API that Confluent documents, on this machine."""

from __future__ import annotations

import json
import re
from typing import Any, Final, Self
from urllib.parse import unquote, urlsplit

from moorage import AsyncConnectorManager, RetryPolicy, Service
from moorage.adapters.schemas.confluent import ConfluentSchemaRegistry
from moorage.testing import Behaviour, Received, VendorServer

_TYPE: Final = {"Content-Type": "application/vnd.schemaregistry.v1+json"}


_QUICK: Final = RetryPolicy(max_attempts=2, base_delay=0.0001, max_delay=0.0001)
MANAGERS: list[AsyncConnectorManager] = []
"""The managers that the running test uses."""


def confluent(server: SchemaRegistryServer, **settings: Any) -> ConfluentSchemaRegistry:
    """Return a client of a registry's server."""
    service = Service("schemas", base_url=server.server.url, retry=_QUICK, circuit=None, **settings)
    MANAGERS.append(AsyncConnectorManager([service]))
    return ConfluentSchemaRegistry(MANAGERS[-1], "schemas")


class SchemaRegistryServer:
    """A registry that keeps what is registered, and knows no compatibility of its own.

    Attributes:
        server: the HTTP server.
        incompatible: texts of schemas that it refuses as incompatible.
    """

    def __init__(self) -> None:
        self.server = VendorServer()
        self.incompatible: set[str] = set()
        self._subjects: dict[str, list[dict[str, Any]]] = {}
        self._ids: dict[str, int] = {}
        self.server.always(self._answer)

    def __enter__(self) -> Self:
        self.server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.close()

    @property
    def paths(self) -> list[str]:
        """The paths of the requests, in order."""
        return [f"{request.method} {request.target}" for request in self.server.requests]

    def register(self, subject: str, text: str, kind: str) -> int:
        """Register a schema without a request, and return its id."""
        return self._keep(subject, {"schema": text, "schemaType": kind})

    def _answer(self, request: Received) -> Behaviour:
        path = urlsplit(request.path).path
        for pattern, answer in (
            (r"/schemas/ids/(\d+)", self._by_id),
            (r"/subjects/([^/]+)/versions/([^/]+)", self._version),
            (r"/subjects/([^/]+)/versions", self._register),
            (r"/compatibility/subjects/([^/]+)/versions", self._check),
        ):
            match = re.fullmatch(pattern, path)
            if match:
                return answer(request, *map(unquote, match.groups()))
        return Behaviour(404, body=b"<html>nothing here</html>")

    def _by_id(self, _: Received, id: str) -> Behaviour:
        for entries in self._subjects.values():
            for entry in entries:
                if entry["id"] == int(id):
                    names = ("schema", "schemaType", "references")
                    return _json(200, {name: entry[name] for name in names if name in entry})
        return _error(404, 40403, "Schema not found")

    def _version(self, _: Received, subject: str, version: str) -> Behaviour:
        entries = self._subjects.get(subject)
        if entries is None:
            return _error(404, 40401, f"Subject '{subject}' not found.")
        number = len(entries) if version == "latest" else int(version)
        if not 0 < number <= len(entries):
            return _error(404, 40402, f"Version {version} not found.")
        return _json(200, entries[number - 1])

    def _register(self, request: Received, subject: str) -> Behaviour:
        document = json.loads(request.body)
        if document["schema"] == "nonsense":
            return _error(422, 42201, "Invalid schema")
        if document["schema"] in self.incompatible:
            return _error(409, 409, "Schema being registered is incompatible")
        return _json(200, {"id": self._keep(subject, document)})

    def _keep(self, subject: str, document: dict[str, Any]) -> int:
        entries = self._subjects.setdefault(subject, [])
        text = json.dumps(document, sort_keys=True)
        id = self._ids.setdefault(text, len(self._ids) + 1)
        if all(entry["id"] != id for entry in entries):
            version = len(entries) + 1
            entries.append({"subject": subject, "version": version, "id": id, **document})
        return id

    def _check(self, request: Received, _: str) -> Behaviour:
        is_compatible = json.loads(request.body)["schema"] not in self.incompatible
        messages = [] if is_compatible else ["READER_FIELD_MISSING_DEFAULT_VALUE"]
        return _json(200, {"is_compatible": is_compatible, "messages": messages})


def _json(status: int, value: object) -> Behaviour:
    return Behaviour(status, _TYPE, json.dumps(value).encode())


def _error(status: int, code: int, message: str) -> Behaviour:
    return _json(status, {"error_code": code, "message": message})
