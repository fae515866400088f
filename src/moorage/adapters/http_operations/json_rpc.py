"""The kind "json-rpc" of connectors in a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.domain.secrets.options import as_series, checked_options
from moorage.domain.values.json_text import is_list, is_object
from moorage.errors import InvalidData
from moorage.ports.connector import ConnectorKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.adapters.http_operations.connector_async import AsyncHttpConnector
    from moorage.adapters.http_operations.connector_sync import HttpConnector
    from moorage.ports.connector import AsyncPerformer, Performer


@checked_options
@attrs.frozen(kw_only=True)
class JsonRpcSettings:
    """The settings of a JSON-RPC 2.0 connector, which calls one of the configured services.

    Attributes:
        service: the name of the service; by default that of the connector.
        path: the path of the API below the base URL of the service.
        safe_methods: the methods that change nothing, and may be repeated after a failure.
        ping: the method that a health check calls without parameters; any answer of JSON-RPC shows
            that the service is there.
    """

    service: str | None = None
    path: str = "/jsonrpc"
    safe_methods: tuple[str, ...] = attrs.field(default=(), converter=as_series)
    ping: str = "rpc.discover"


def _options(settings: JsonRpcSettings) -> dict[str, Any]:
    from moorage.domain.connectors.named_operation import NamedOperation  # noqa: PLC0415 - few programs have one
    from moorage.domain.service.json_rpc import JsonRpc  # noqa: PLC0415 - few programs have one

    client = JsonRpc(settings.path)

    def call(values: Mapping[str, Any]) -> Any:
        method, parameters = values["method"], values.get("parameters", [])
        if not (isinstance(method, str) and method):
            raise InvalidData(
                "The name of the JSON-RPC method is not a non-empty string.",
                field="method",
                remedy="Pass the name of the method as a str.",
            )
        if not (is_list(parameters) or is_object(parameters)):
            raise InvalidData(
                "The parameters of the JSON-RPC method must be a list or an object.",
                field="parameters",
                remedy="Pass a list of positional parameters, or an object of named parameters.",
            )
        return client.call(method, parameters, safe=method in settings.safe_methods)

    method = {"method": "The name of the method."}
    operation = NamedOperation(
        name="call",
        about="Calls a method.",
        arguments={
            **method,
            "parameters": (
                "The parameters of the method: a list, or an object of named parameters."
            ),
        },
        required=frozenset(method),
        build=call,
    )
    return {
        "client": client,
        "operations": [operation],
        "ping": client.ping(settings.ping),
        "service": settings.service,
    }


def _build(name: str, settings: JsonRpcSettings, performer: Performer) -> HttpConnector:
    from moorage.adapters.http_operations.connector_sync import HttpConnector  # noqa: PLC0415 - few programs have one

    return HttpConnector(name, "json-rpc", performer, **_options(settings))


def _build_async(
    name: str, settings: JsonRpcSettings, performer: AsyncPerformer
) -> AsyncHttpConnector:
    from moorage.adapters.http_operations.connector_async import (  # noqa: PLC0415 - few programs have one
        AsyncHttpConnector,
    )

    return AsyncHttpConnector(name, "json-rpc", performer, **_options(settings))


JSON_RPC: Final = ConnectorKind(
    name="json-rpc", settings=JsonRpcSettings, build=_build, build_async=_build_async
)
"""The kind of connectors of JSON-RPC services."""
