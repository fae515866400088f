"""The kind "xml-rpc" of connectors in a configuration."""

from __future__ import annotations

from base64 import b64encode
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.domain.secrets.options import as_series, checked_options, maybe_secret
from moorage.domain.values.json_text import is_list, is_object
from moorage.errors import ConfigurationError, InvalidData
from moorage.ports.connector import ConnectorKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.adapters.http_operations.connector_async import AsyncHttpConnector
    from moorage.adapters.http_operations.connector_sync import HttpConnector
    from moorage.domain.connectors.named_operation import NamedOperation
    from moorage.domain.secrets.secret import Secret
    from moorage.domain.service.xml_rpc import XmlRpc
    from moorage.ports.connector import AsyncPerformer, Performer

_READING_METHODS: Final = frozenset({
    "default_get", "fields_get", "name_search", "read", "read_group", "search", "search_count",
    "search_read",
})  # fmt: skip
"""The methods of Odoo's models that change nothing."""


@checked_options
@attrs.frozen(kw_only=True)
class XmlRpcSettings:
    """The settings of an XML-RPC connector (such as for Odoo), which calls a configured service.

    Attributes:
        service: the name of the service; by default that of the connector.
        path: the path of the API below the base URL of the service.
        safe_methods: the methods that change nothing, besides the usual ones of Odoo's models.
        database: the database of Odoo.
        user_id: the number of the user in this database.
        password: the password or API key of the user.
    """

    service: str | None = None
    path: str = "/xmlrpc/2/object"
    safe_methods: tuple[str, ...] = attrs.field(default=(), converter=as_series)
    database: str | None = None
    user_id: int | None = None
    password: Secret | None = attrs.field(default=None, converter=maybe_secret, repr=False)

    def __attrs_post_init__(self) -> None:
        """Refuse an incomplete Odoo account: it needs a database, user id and password."""
        fields = {"database": self.database, "user_id": self.user_id, "password": self.password}
        missing_fields = [name for name, value in fields.items() if value is None]
        if missing_fields and len(missing_fields) < len(fields):
            raise ConfigurationError(
                f"The Odoo account needs {missing_fields[0]}.",
                path=missing_fields[0],
                remedy="Set database, user_id and password, or none of them.",
            )


def _options(settings: XmlRpcSettings) -> dict[str, Any]:
    from moorage.domain.service.xml_rpc import XmlRpc  # noqa: PLC0415 - few programs have one

    client = XmlRpc(settings.path)
    is_odoo = settings.database is not None
    ping = XmlRpc("/xmlrpc/2/common").ping("version") if is_odoo else client.ping()
    return {
        "client": client,
        "operations": _operations(client, settings),
        "ping": ping,
        "service": settings.service,
    }


def _operations(client: XmlRpc, settings: XmlRpcSettings) -> list[NamedOperation]:
    from moorage.domain.connectors.named_operation import NamedOperation  # noqa: PLC0415 - few programs have one

    def call(values: Mapping[str, Any]) -> Any:
        method, parameters = _method(values), _list(values, "parameters")
        return client.call(method, parameters, safe=method in settings.safe_methods)

    def execute(values: Mapping[str, Any]) -> Any:
        method = _method(values)
        account = [settings.database, settings.user_id, settings.password]
        options = _value(values.get("options", {}))
        work = [values["model"], method, _list(values, "arguments"), options]
        is_safe = method in _READING_METHODS or method in settings.safe_methods
        name = f"{values['model']}.{method}"
        return client.call("execute_kw", [*account, *work], name=name, safe=is_safe)

    method = {"method": "The name of the method."}
    operations = [
        NamedOperation(
            name="call",
            about="Calls a method.",
            arguments={**method, "parameters": "The parameters of the method, as a list."},
            required=frozenset(method),
            build=call,
            render=_plain_json,
        )
    ]
    if settings.database is not None:
        model = {**method, "model": "The name of the Odoo model, such as res.partner."}
        arguments = {"arguments": "A list of arguments.", "options": "Arguments by name."}
        operations.append(
            NamedOperation(
                name="execute",
                about="Calls a method of an Odoo model.",
                arguments={**model, **arguments},
                required=frozenset(model),
                build=execute,
                render=_plain_json,
            )
        )
    return operations


def _method(values: Mapping[str, Any]) -> str:
    method = values["method"]
    if isinstance(method, str) and method:
        return method
    raise InvalidData(
        "The name of the XML-RPC method is not valid.",
        field="method",
        remedy="Pass the name of the method as a str.",
    )


def _list(values: Mapping[str, Any], name: str) -> list[Any]:
    value = values.get(name, [])
    if is_list(value):
        return [_value(item) for item in value]
    raise InvalidData(f"The argument {name!r} is not a list.", field=name, remedy="Give a list.")


def _value(value: Any) -> Any:
    """Convert a JSON value to an XML-RPC value; {"$datetime": "…"} becomes a datetime."""
    if is_list(value):
        return [_value(item) for item in value]
    if not is_object(value):
        return value
    if value.keys() != {"$datetime"}:
        return {name: _value(item) for name, item in value.items()}
    try:
        return datetime.fromisoformat(value["$datetime"])
    except (TypeError, ValueError):
        raise InvalidData(
            "The value of $datetime is not an ISO 8601 date and time.",
            field="$datetime",
            remedy='Pass a value such as {"$datetime": "2026-01-31T12:00:00"}.',
        ) from None


def _plain_json(value: Any) -> Any:
    """Convert a result to plain JSON: datetimes in ISO format, and bytes in Base64."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if is_list(value):
        return [_plain_json(item) for item in value]
    return {name: _plain_json(item) for name, item in value.items()} if is_object(value) else value


def _build(name: str, settings: XmlRpcSettings, performer: Performer) -> HttpConnector:
    from moorage.adapters.http_operations.connector_sync import HttpConnector  # noqa: PLC0415 - few programs have one

    return HttpConnector(name, "xml-rpc", performer, **_options(settings))


def _build_async(
    name: str, settings: XmlRpcSettings, performer: AsyncPerformer
) -> AsyncHttpConnector:
    from moorage.adapters.http_operations.connector_async import (  # noqa: PLC0415 - few programs have one
        AsyncHttpConnector,
    )

    return AsyncHttpConnector(name, "xml-rpc", performer, **_options(settings))


XML_RPC: Final = ConnectorKind(
    name="xml-rpc", settings=XmlRpcSettings, build=_build, build_async=_build_async
)
"""The kind of connectors of XML-RPC services."""
