"""Connections to a message broker, over which messages are published with acknowledgement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from moorage.ports.link import AsyncLink, Link

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.domain.messages.message import OutgoingMessage, PublishReceipt
    from moorage.domain.values.result import Result


class PublishLink(Link, Protocol):
    """A connection to a message broker.

    `publish` sends one message, and returns when the broker has stored it. `publish` ends within
    `timeout` seconds, and never repeats anything itself.

    `publish_batch` sends several messages, and returns one result for each, in their order.
    `publish_batch` raises only if all messages failed for the same reason.

    `problem` returns the problem of a broker that answers, and the remedy, each as a sentence;
    None if there is no problem. It never waits, and is called after a `ping`.
    """

    def publish(self, item: OutgoingMessage, timeout: float, /) -> PublishReceipt: ...

    def publish_batch(
        self, items: Sequence[OutgoingMessage], timeout: float, /
    ) -> Sequence[Result[PublishReceipt]]: ...

    def problem(self) -> tuple[str, str] | None: ...


class AsyncPublishLink(AsyncLink, Protocol):
    """The asynchronous `PublishLink`; a cancelled method leaves the connection usable or closed.

    Several tasks may use a link concurrently if an `AsyncSharedLink` lends it.
    """

    async def publish(self, item: OutgoingMessage, timeout: float, /) -> PublishReceipt: ...

    async def publish_batch(
        self, items: Sequence[OutgoingMessage], timeout: float, /
    ) -> Sequence[Result[PublishReceipt]]: ...

    def problem(self) -> tuple[str, str] | None: ...
