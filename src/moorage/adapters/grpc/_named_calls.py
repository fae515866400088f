"""The gRPC connector's operations by their names, as the command line uses them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

from moorage.domain.connectors.named_operation import NamedOperation
from moorage.domain.values.json_text import is_object
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.adapters.grpc.descriptors import GrpcDescriptors

_FULL_NAME: Final = re.compile(r"(?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*/[A-Za-z_]\w*", re.ASCII)


class AnyGrpcConnector(Protocol):
    """The methods of a connector that make operations, synchronous or asynchronous."""

    descriptors: GrpcDescriptors | None

    def call_by_name(self, method: str, request: Any, *, metadata: Any = None) -> Any: ...

    def reflect(self) -> Any: ...


def named_operations(connector: AnyGrpcConnector) -> Mapping[str, NamedOperation]:
    """Return the operations of a connector, by name."""
    return _Operations(connector)


class _Operations(Mapping[str, NamedOperation]):
    """The gRPC connector's operations by name: "methods" and "call".

    Without descriptions of the service, any full name of a method is an operation: only the server
    knows its methods, and it is asked for them when the operation is performed.
    """

    def __init__(self, connector: AnyGrpcConnector) -> None:
        self._connector = connector
        self._fixed = _fixed_operations(connector)

    def __getitem__(self, name: str) -> NamedOperation:
        operation = self._fixed.get(name)
        if operation is not None:
            return operation
        descriptors = self._connector.descriptors
        if descriptors is None and _FULL_NAME.fullmatch(name):
            return self._method(name, {}, any_arguments=True)
        if descriptors is not None and name in descriptors.methods:
            return self._method(name, descriptors.fields(name))
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        yield from self._fixed
        if self._connector.descriptors is not None:
            yield from self._connector.descriptors.methods

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _method(
        self, name: str, arguments: Mapping[str, str], *, any_arguments: bool = False
    ) -> NamedOperation:
        return NamedOperation(
            name=name,
            about=f"Calls the method {name}; the arguments are the fields of its request.",
            arguments=arguments,
            any_arguments=any_arguments,
            build=lambda request: self._connector.call_by_name(name, dict(request)),
        )


def _fixed_operations(connector: AnyGrpcConnector) -> dict[str, NamedOperation]:
    def call(arguments: Mapping[str, Any]) -> Any:
        method, metadata = arguments["method"], arguments.get("metadata")
        if not isinstance(method, str) or not _FULL_NAME.fullmatch(method.removeprefix("/")):
            raise InvalidData(
                "The name of the gRPC method is not of the form package.Service/Method.",
                field="method",
                remedy="Use a name such as shop.Orders/Get.",
            )
        if metadata is not None and not is_object(metadata):
            raise InvalidData(
                "The metadata of the call is not a JSON object.",
                field="metadata",
                remedy='Pass an object such as {"traceparent": "00-…"}.',
            )
        return connector.call_by_name(method, arguments.get("request", {}), metadata=metadata)

    return {
        "methods": NamedOperation(
            name="methods",
            about="Lists the methods of the server, and the fields of their requests.",
            build=lambda _: connector.reflect(),
            render=lambda described: {name: described.fields(name) for name in described.methods},
        ),
        "call": NamedOperation(
            name="call",
            about="Calls a method without streams.",
            arguments={
                "method": "The full name of the method, such as shop.Orders/Get.",
                "request": "The request as a JSON object; empty by default.",
                "metadata": "The metadata of the call, as a JSON object of strings.",
            },
            required=frozenset({"method"}),
            build=call,
        ),
    }
