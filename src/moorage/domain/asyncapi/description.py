"""An AsyncAPI description as a value: its operations, messages and servers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.domain.asyncapi.operations import channel_operation, operation_nodes
from moorage.domain.openapi.document import Document, UnmappedOperation
from moorage.domain.values.json_text import is_object
from moorage.errors import DescriptionRefused, Problem

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from moorage.domain.asyncapi.operations import ChannelOperation
    from moorage.domain.openapi.document import Node

_VERSION: Final = re.compile(r"(2\.[0-6]|3\.[01])\.[0-9]+(-.+)?")
_NAME_SEPARATORS: Final = re.compile(r"[^a-z0-9]+")
_KINDS: Final = {
    "amqp": "rabbitmq",
    "amqps": "rabbitmq",
    "kafka": "kafka",
    "kafka-secure": "kafka",
    "mqtt": "mqtt",
    "mqtt5": "mqtt",
    "mqtts": "mqtt",
    "nats": "nats",
    "redis": "redis-streams",
    "rediss": "redis-streams",
    "secure-mqtt": "mqtt",
    "sqs": "sqs",
}


@attrs.frozen
class DescribedServer:
    """A message broker that an AsyncAPI description names as a server.

    Attributes:
        name: the server's name in the description.
        address: the server's URL, or its host and path.
        protocol: the name of its protocol in the description.
        kind: the `kind` of connectors that speak this protocol; None if there is none.
    """

    name: str
    address: str
    protocol: str
    kind: str | None


@attrs.frozen(eq=False, repr=False)
class AsyncApi:
    """An AsyncAPI description of version 2 or 3.

    Attributes:
        tree: the description as a JSON value.
        document: the description with resolvable references.
        version: 2 or 3.
    """

    tree: Mapping[str, Any]
    document: Document = attrs.field(init=False)
    version: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Check that the document is an AsyncAPI description of a supported version."""
        version = self.tree.get("asyncapi") if is_object(self.tree) else None
        if not isinstance(version, str) or _VERSION.fullmatch(version) is None:
            problem = Problem(
                "#/asyncapi",
                "The document is not in the format AsyncAPI 2.0 to 2.6, 3.0 or 3.1.",
                "Pass a description in one of these versions.",
            )
            raise DescriptionRefused.of([problem])
        object.__setattr__(self, "document", Document(self.tree))
        object.__setattr__(self, "version", int(version[0]))

    @property
    def title(self) -> str:
        """The title of the described application."""
        return self.document.root.child("info").text("title") or "events"

    @property
    def name(self) -> str:
        """The application's title as a name of small letters, digits and hyphens."""
        return _NAME_SEPARATORS.sub("-", self.title.lower()).strip("-")[:100] or "events"

    @property
    def servers(self) -> tuple[DescribedServer, ...]:
        """The message brokers of the described application.

        Raises:
            DescriptionRefused: a reference to a server is broken.
        """
        try:
            return tuple(
                _server(name, self.document.resolved(node))
                for name, node in self.document.root.child("servers").children()
            )
        except UnmappedOperation as error:
            problem = error.problem
        raise DescriptionRefused.of([problem])

    def map_operations(
        self, operations: Collection[str] | None = None
    ) -> tuple[tuple[ChannelOperation, ...], tuple[Problem, ...]]:
        """Return the operations that moorage can call, and the problems of those that it cannot.

        Args:
            operations: the names of the operations to return; by default all.

        Raises:
            DescriptionRefused: one of these names is not an operation.
        """
        items = [*operation_nodes(self.document, self.version)]
        known_names = {item.name for item in items}
        unknown_names = sorted(set(operations or ()) - known_names)
        if unknown_names:
            raise DescriptionRefused.of(
                [
                    Problem("#", f"No operation is named {name[:100]!r}.", "Correct the name.")
                    for name in unknown_names
                ]
            )
        mapped_operations: list[ChannelOperation] = []
        problems: list[Problem] = []
        for item in items:
            if operations is None or item.name in operations:
                try:
                    mapped_operations.append(channel_operation(self.document, self.version, item))
                except UnmappedOperation as error:
                    problems.append(error.problem)
        return tuple(mapped_operations), tuple(problems)


def _server(name: str, node: Node) -> DescribedServer:
    protocol = node.text("protocol") or ""
    address = node.text("url") or f"{node.text('host') or ''}{node.text('pathname') or ''}"
    return DescribedServer(name, address, protocol, _KINDS.get(protocol.lower()))
