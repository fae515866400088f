"""The connector kind for Amazon SQS in a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.adapters.sqs.amazon_sqs import AmazonSqs
from moorage.ports.connector import ConnectorKind

if TYPE_CHECKING:
    from moorage.adapters.messages.publisher_async import AsyncMessagePublisher
    from moorage.adapters.messages.publisher_sync import MessagePublisher
    from moorage.ports.connector import AsyncPerformer, Performer


def _build(name: str, settings: AmazonSqs, _: Performer) -> MessagePublisher:
    return settings.publisher(name)


def _build_async(name: str, settings: AmazonSqs, _: AsyncPerformer) -> AsyncMessagePublisher:
    return settings.async_publisher(name)


SQS: Final = ConnectorKind(name="sqs", settings=AmazonSqs, build=_build, build_async=_build_async)
