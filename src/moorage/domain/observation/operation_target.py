"""The part of a database or broker that an operation concerns, for traces and metrics."""

from __future__ import annotations

from typing import TypeAlias

import attrs


@attrs.frozen(kw_only=True)
class DatabaseTarget:
    """The part of a database that an operation reads or changes.

    Attributes:
        system: the product, such as "postgresql".
        namespace: the name of the database; None if it is unknown.
        host: the host of the server; None if there is none.
        port: the port of the server; None if it is the usual one.
        text: the text of the statement, in which values are parameters; None if there is not
            exactly one statement.
        summary: the commands and tables of the statement, such as "SELECT customers".
        operation: the command, such as "SELECT"; None if the statement has several.
        collection: the table; None if the statement has several.
        batch_size: the number of statements, if there are several and their number is known.
    """

    system: str
    namespace: str | None = None
    host: str | None = None
    port: int | None = None
    text: str | None = None
    summary: str | None = None
    operation: str | None = None
    collection: str | None = None
    batch_size: int | None = None

    def __str__(self) -> str:
        """Return a short name for the database operation, one of few possible names."""
        return self.summary or self.operation or self.namespace or self.system


@attrs.frozen(kw_only=True)
class MessageTarget:
    """The destination at a broker to which messages are published.

    Attributes:
        system: the kind of the broker, such as "rabbitmq".
        destination: the topic, subject, queue, stream, or exchange and routing key.
        operation: the broker's own word for publishing, such as "send".
        host: the host of the broker; None if there are several or none.
        port: the broker's port; None if it is the usual one.
        message_id: the id of the message; None if it has none, or if there are several messages.
        count: the number of messages of a batch; None for a single message.
        size: the bytes of the payload; None for a batch.
    """

    system: str
    destination: str
    operation: str = "publish"
    host: str | None = None
    port: int | None = None
    message_id: str | None = None
    count: int | None = None
    size: int | None = None

    def __str__(self) -> str:
        """Return a short name for the broker operation, one of few possible names."""
        return f"{self.operation} {self.destination}"


OperationTarget: TypeAlias = DatabaseTarget | MessageTarget
"""The part of a foreign system that an operation concerns."""
