"""The operations of a SOAP service by name, with plain JSON arguments."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import attrs

from moorage.adapters.http_operations.soap.answers import rendered
from moorage.adapters.http_operations.soap.wsdl import wsdl_request
from moorage.domain.connectors.named_operation import NamedOperation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from moorage.adapters.http_operations.soap.client import Soap
    from moorage.adapters.http_operations.soap.settings import SoapSettings
    from moorage.domain.service.operation import HttpOperation


def named_operations(client: Soap) -> Iterator[NamedOperation]:
    """Yield the operations of the WSDL, each under its own name."""
    for name in client.operations:
        parameters = client.parameters(name)
        yield NamedOperation(
            name=name,
            about=f"Calls {name}.",
            arguments={key: _describe_item(item) for key, item in parameters.items()},
            required=frozenset(key for key, item in parameters.items() if _is_required(item)),
            build=partial(_build, client, name),
            render=rendered,
        )


def ping_of(client: Soap, settings: SoapSettings) -> HttpOperation[Any]:
    """Return the operation that checks whether the service answers."""
    if settings.ping is None:
        return wsdl_request(settings.wsdl)
    return attrs.evolve(client.operation(settings.ping), name="ping")


def _build(client: Soap, name: str, values: Mapping[str, Any]) -> HttpOperation[Any]:
    return client.operation(name, **values)


def _describe_item(item: Any) -> str:
    kind = getattr(item, "type", None)
    name = getattr(kind, "name", None) or "a value"
    return f"A list of {name}." if getattr(item, "accepts_multiple", False) else f"{name}."


def _is_required(item: Any) -> bool:
    is_optional = getattr(item, "is_optional", True) or getattr(item, "nillable", False)
    return not is_optional and getattr(item, "default", None) is None
