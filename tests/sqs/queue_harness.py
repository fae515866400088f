"""An SQS sandbox, with a synchronous or asynchronous connector and its manager."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage import RetryPolicy, Service
from moorage.adapters.sqs.amazon_sqs import AmazonSqs
from moorage.testing.sandboxes.base import AsyncSandboxHttpClient, SandboxHttpClient
from tests.support.publisher_harness import PublisherHarness

if TYPE_CHECKING:
    from moorage.testing.sandboxes.sqs import AmazonSqsSandbox

QUEUE, FIFO = "orders", "orders.fifo"
SECRET = "sqs-sandbox-secret"


class QueueHarness(PublisherHarness):
    """An SQS connector with its manager.

    Args:
        settings: the settings of the connector.
        is_async: whether the connector is asynchronous.
        http: the HTTP client; by default the connector's own.
        service: settings of the service.
    """

    def __init__(
        self, settings: AmazonSqs, *, is_async: bool, http: Any = None, **service: Any
    ) -> None:
        options: dict[str, Any] = {"retry": RetryPolicy(max_attempts=1), **service}
        make: Any = settings.async_publisher if is_async else settings.publisher
        super().__init__(make("queues", http=http), Service("queues", **options), is_async=is_async)


def sandbox_harness(sandbox: AmazonSqsSandbox, *, is_async: bool, **service: Any) -> QueueHarness:
    """Return a sandbox and a connector that signs its requests with the sandbox's keys."""
    client: Any = AsyncSandboxHttpClient if is_async else SandboxHttpClient
    settings = AmazonSqs(
        region=sandbox.region,
        account="123456789012",
        access_key_id=sandbox.access_key_id,
        secret_access_key=sandbox.secret_access_key,
    )
    return QueueHarness(settings, is_async=is_async, http=client(sandbox), **service)
